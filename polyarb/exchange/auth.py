"""
Who we are, in headers: the wallet's signature (L1) and the API key's HMAC (L2).

L1 creates or derives API credentials (protocol.md section 4); L2 goes with every private request
(section 5). Time arrives as a parameter, and nothing here does I/O. Header values are checked for
what could end one header and start another; a secret is never part of a message.
"""

import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from polyarb.core.base import integer
from polyarb.core.digest import HmacKey, keccak256
from polyarb.errors import ArgumentTypeError, KeyMaterialError, MalformedError, RangeError
from polyarb.exchange.wallets import parse_address

METHODS: Final = ("GET", "POST", "DELETE", "PUT", "PATCH")
TIMESTAMP_MAX: Final = 10**11
"""Seconds. Milliseconds taken for seconds are refused; seconds fit until the year 5138."""

_DOMAIN_TYPE: Final = b"EIP712Domain(string name,string version,uint256 chainId)"
_CLOB_AUTH_TYPE: Final = b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_ATTESTATION: Final = b"This message attests that I control the given wallet"

_PATH: Final = re.compile(r"/[!-~]*")
_SECRET: Final = re.compile(r"([A-Za-z0-9+/]+)(={0,2})")
_SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{130}")


class ClobAuthSigner(Protocol):
    """What an L1 signature needs of a key's owner."""

    @property
    def address(self) -> str:
        """The EOA, checksummed."""

    @property
    def chain_id(self) -> int:
        """137 on Polygon, 80002 on Amoy."""

    def sign_digest(self, digest: bytes) -> str:
        """Return r, s and v (27 or 28) over 32 bytes: 0x and 130 hex digits."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    An API key with what proves it is ours; the secret is decoded once, here.

    Attributes:
        api_key: The key's UUID; also the `owner` of orders.
        secret: base64 of the HMAC key, in either alphabet, with or without its padding.
        passphrase: Sent as it is.
        hmac: The decoded secret, ready to sign.

    Raises:
        KeyMaterialError: The secret is empty or not base64.
        MalformedError: `api_key` or `passphrase` cannot be a header's value.
    """

    api_key: str
    secret: str = field(repr=False)
    passphrase: str = field(repr=False)
    hmac: HmacKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        header_value("api_key", self.api_key)
        header_value("passphrase", self.passphrase)
        object.__setattr__(self, "hmac", HmacKey(_decode_secret(self.secret)))

    def sign(self, method: str, path: str, body: bytes | str | None, timestamp: int) -> str:
        """Return the request's POLY_SIGNATURE; arguments and errors as `l2_headers`."""
        message = f"{_seconds(timestamp)}{_method(method)}{_path(path)}"
        return self.hmac.sign(message.encode("ascii"), _body_bytes(body))


def l2_headers(  # noqa: PLR0917 (in the order in which they are signed)
    credentials: Credentials,
    method: str,
    path: str,
    body: bytes | str | None,
    timestamp: int,
    address: str,
) -> dict[str, str]:
    """
    Return the five headers of a private request.

    Args:
        credentials: The API key's.
        method: GET, POST, DELETE, PUT or PATCH.
        path: Without host and query; the query is never signed.
        body: The exact bytes that are sent; None or empty if there are none.
        timestamp: Unix seconds by the exchange's clock.
        address: The EOA that owns the key, also when a wallet contract holds the funds.

    Raises:
        RangeError: Another method, or a timestamp outside 0..10^11.
        MalformedError: A path with a query, or text that does not belong into a header.
        ArgumentTypeError: A timestamp that is not an int, a body that is neither bytes nor str.
    """
    parse_address("address", address)
    return {
        "POLY_ADDRESS": address,
        "POLY_SIGNATURE": credentials.sign(method, path, body, timestamp),
        "POLY_TIMESTAMP": str(timestamp),
        "POLY_API_KEY": credentials.api_key,
        "POLY_PASSPHRASE": credentials.passphrase,
    }


def user_login(credentials: Credentials, condition_ids: Sequence[str] = ()) -> str:
    """
    Return the first message of the user socket (protocol.md section 21). It holds the secret.

    Args:
        credentials: The API key's.
        condition_ids: Markets to hear of; none for all.
    """
    auth = {
        "apiKey": credentials.api_key,
        "secret": credentials.secret,
        "passphrase": credentials.passphrase,
    }
    message: dict[str, object] = {"type": "user", "auth": auth}
    if condition_ids:
        message["markets"] = [*condition_ids]
    return json.dumps(message, separators=(",", ":"))


def l1_headers(signer: ClobAuthSigner, timestamp: int, nonce: int = 0) -> dict[str, str]:
    """
    Return the four headers that create or derive API credentials.

    Args:
        signer: The wallet's key; signs a digest and shows nothing.
        timestamp: Unix seconds by the exchange's clock.
        nonce: Which of the wallet's API keys is meant.

    Raises:
        RangeError: A timestamp outside 0..10^11 or a nonce outside 256 bits.
        MalformedError: An address or signature of `signer` that is not one.
    """
    digest = clob_auth_digest(signer.address, timestamp, nonce, signer.chain_id)
    signature = signer.sign_digest(digest)
    if _SIGNATURE.fullmatch(signature) is None:
        raise MalformedError("signature is not 0x and 130 hex digits")
    return {
        "POLY_ADDRESS": signer.address,
        "POLY_SIGNATURE": signature,
        "POLY_TIMESTAMP": str(timestamp),
        "POLY_NONCE": str(nonce),
    }


def clob_auth_digest(address: str, timestamp: int, nonce: int, chain_id: int) -> bytes:
    """
    Return the 32 bytes an L1 signature is made over (EIP-712, protocol.md section 4).

    Raises:
        MalformedError: Not an address.
        RangeError: A timestamp outside 0..10^11, nonce or chain id outside 256 bits.
        ArgumentTypeError: One of the three is not an int.
    """
    separator = keccak256(
        keccak256(_DOMAIN_TYPE)
        + keccak256(b"ClobAuthDomain")
        + keccak256(b"1")
        + _uint256("chain_id", chain_id)
    )
    struct_hash = keccak256(
        keccak256(_CLOB_AUTH_TYPE)
        + parse_address("address", address).rjust(32, b"\0")
        + keccak256(_seconds(timestamp).encode("ascii"))
        + _uint256("nonce", nonce)
        + keccak256(_ATTESTATION)
    )
    return keccak256(b"\x19\x01" + separator + struct_hash)


def header_value(name: str, value: str) -> None:
    """Refuse what cannot be a header's value; no message shows it."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value or value.strip() != value or not (value.isascii() and value.isprintable()):
        raise MalformedError(f"{name} must be printable ASCII without blanks at its ends")


def _decode_secret(secret: str) -> bytes:
    if not isinstance(secret, str):
        raise KeyMaterialError(f"secret must be a str, not {type(secret).__name__}")
    match = _SECRET.fullmatch(secret.translate({ord("-"): "+", ord("_"): "/"}))
    if match is None:
        raise KeyMaterialError("secret is empty or not base64")
    digits, padding = match.groups()
    missing = -len(digits) % 4
    if missing == 3 or len(padding) > missing:
        raise KeyMaterialError("secret has a length that is not base64's")
    return binascii.a2b_base64(digits + "=" * missing)


def _seconds(timestamp: int) -> str:
    return str(integer("timestamp", timestamp, 0, TIMESTAMP_MAX))


def _uint256(name: str, value: int) -> bytes:
    return integer(name, value, 0, 2**256 - 1).to_bytes(32, "big")


def _method(method: str) -> str:
    if method not in METHODS:
        raise RangeError(f"method {str(method)[:80]!r} is not one of {', '.join(METHODS)}")
    return method


def _path(path: str) -> str:
    if not isinstance(path, str):
        raise ArgumentTypeError(f"path must be a str, not {type(path).__name__}")
    if "?" in path or "#" in path:
        raise MalformedError(f"path {path[:80]!r} holds a query, which is never signed; cut it off")
    if _PATH.fullmatch(path) is None:
        raise MalformedError(f"path {path[:80]!r} is not / and printable ASCII")
    return path


def _body_bytes(body: bytes | str | None) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if not isinstance(body, str):
        raise ArgumentTypeError(f"body must be bytes, str or None, not {type(body).__name__}")
    try:
        return body.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError(f"body cannot be UTF-8: {error.reason} at {error.start}") from None
