"""
What the exchange checks before it believes anybody: digests, signatures, wallets.

Everything here is computed from the type strings of EIP-712 and the addresses of protocol.md,
with a Keccak and a secp256k1 of its own (pycryptodome, coincurve), because the simulator judges
the client: a mistake made once must not sit on both sides of the wire. No state and no I/O.

Addresses are 0x and 40 lower-case hex digits unless a name says checksum. Input is hostile:
a signature that proves nothing is None or a `Reason`, a value that cannot be hashed is a
`MalformedError`; nothing else is raised.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final

from coincurve import PrivateKey, PublicKey
from Crypto.Hash.keccak import Keccak_Hash

from polyarb.errors import MalformedError

ZERO_ADDRESS: Final = "0x" + "00" * 20
ZERO_WORD: Final = bytes(32)

_UINT256_MAX: Final = 2**256 - 1
_UINT256_DIGITS: Final = 78
_ADDRESS_CHARS: Final = 42
_SIGNATURE_BYTES: Final = 65
_SIGNATURE_CHARS_MAX: Final = 4096
# SEC 2 §2.4.1: half of the group order; a larger s is the twin of a smaller one (EIP-2).
_HALF_ORDER: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
)


# Hashing, addresses, recovery


def keccak(data: bytes) -> bytes:
    """Return Keccak-256 of `data` with the original padding, 32 bytes."""
    return Keccak_Hash(data, 32, False).digest()


def shown(value: object) -> str:
    """Return a hostile value short enough for a message, whatever its type and size."""
    if type(value) is str:
        return repr(value[:80])
    if type(value) is int:  # not a huge one: Python refuses its decimal text
        return str(value) if value.bit_length() <= 256 else f"an int of {value.bit_length()} bits"
    return type(value).__name__


def parse_address(value: object) -> str:
    """
    Return an address in lower case.

    Case is not checked against EIP-55: the venue compares addresses without it.

    Raises:
        MalformedError: Not 0x and 40 hex digits.
    """
    if type(value) is str and len(value) == _ADDRESS_CHARS and value[:2] == "0x":
        try:
            raw = bytes.fromhex(value[2:])
        except ValueError:
            raw = b""
        if len(raw) == 20:  # fewer if fromhex skipped blanks
            return value.lower()
    raise MalformedError(f"{shown(value)} is not an address (0x and 40 hex digits)")


def address_bytes(value: object) -> bytes:
    """Return the 20 bytes of an address; MalformedError as `parse_address`."""
    return bytes.fromhex(parse_address(value)[2:])


def checksum(address: bytes | str) -> str:
    """Return an address (20 bytes, or text of any case) with the capitals of EIP-55."""
    if isinstance(address, bytes):
        if len(address) != 20:
            raise MalformedError(f"an address has 20 bytes, not {len(address)}")
        digits = address.hex()
    else:
        digits = parse_address(address)[2:]
    nibbles = keccak(digits.encode()).hex()
    pairs = zip(digits, nibbles, strict=False)
    return "0x" + "".join(c.upper() if nibble >= "8" else c for c, nibble in pairs)


def parse_signature(value: object) -> bytes | None:
    """Return the bytes of 0x and pairs of hex digits, or of bytes; None if it is neither."""
    if type(value) is bytes:
        return value
    if type(value) is not str or len(value) > _SIGNATURE_CHARS_MAX or value[:2] != "0x":
        return None
    try:
        raw = bytes.fromhex(value[2:])
    except ValueError:
        return None
    return raw if 2 * len(raw) == len(value) - 2 else None  # fromhex skips blanks


@lru_cache(maxsize=4096)
def _address_of(public_key: bytes) -> str:
    return "0x" + keccak(public_key[1:])[12:].hex()


def key_address(private_key: bytes) -> str:
    """Return the address of a private key of 32 bytes."""
    return _address_of(PrivateKey(private_key).public_key.format(compressed=False))


def recover(digest: bytes, signature: bytes) -> str | None:
    """
    Return the address whose key signed `digest`, or None if the signature is nobody's.

    Args:
        digest: 32 bytes.
        signature: r, s and v, 65 bytes; v is 27 or 28 and s in the lower half (EIP-2).
    """
    if len(signature) != _SIGNATURE_BYTES or len(digest) != 32:
        return None
    v = signature[64]
    if v not in (27, 28) or signature[32:64] > _HALF_ORDER:
        return None
    compact = signature[:64] + (b"\0" if v == 27 else b"\1")
    try:
        key = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError:
        return None
    return _address_of(key.format(compressed=False))


def personal_digest(digest: bytes) -> bytes:
    """Return what a wallet signs when asked to sign 32 bytes as a message (ERC-191, eth_sign)."""
    return keccak(b"\x19Ethereum Signed Message:\n32" + digest)


# EIP-712


_DOMAIN_TYPE: Final = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_ORDER_V1: Final = (
    "Order(uint256 salt,address maker,address signer,address taker,uint256 tokenId,"
    "uint256 makerAmount,uint256 takerAmount,uint256 expiration,uint256 nonce,"
    "uint256 feeRateBps,uint8 side,uint8 signatureType)"
)
_ORDER_V2: Final = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)
_TYPED_DATA_SIGN: Final = (
    "TypedDataSign(Order contents,string name,string version,uint256 chainId,"
    "address verifyingContract,bytes32 salt)" + _ORDER_V2
)
_CLOB_AUTH: Final = "ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_CLOB_AUTH_MESSAGE: Final = "This message attests that I control the given wallet"
_CALL: Final = "Call(address target,uint256 value,bytes data)"
_BATCH: Final = "Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)" + _CALL
_SAFE_TX: Final = (
    "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,"
    "uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)

# ERC-7739 "TypedDataSign": what stands behind the inner signature, the order's type string last.
_CONTENTS_TYPE: Final = _ORDER_V2.encode() + len(_ORDER_V2).to_bytes(2, "big")
_WRAPPED_BYTES: Final = _SIGNATURE_BYTES + 32 + 32 + len(_CONTENTS_TYPE)


@cache
def text_hash(text: str) -> bytes:
    """Return keccak of a constant text; cached, so not for text that comes from outside."""
    return keccak(text.encode())


def _word(value: int, bits: int = 256) -> bytes:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise MalformedError(f"{shown(value)} is not a uint{bits}")
    return value.to_bytes(32, "big")


def _address_word(value: object) -> bytes:
    return bytes(12) + address_bytes(value)


def _domain(name: str, version: str, chain_id: int, contract: str) -> bytes:
    """Return the separator of a domain with a verifying contract."""
    parts = text_hash(_DOMAIN_TYPE), text_hash(name), text_hash(version), _word(chain_id)
    return keccak(b"".join((*parts, _address_word(contract))))


def _typed_digest(separator: bytes, struct_hash: bytes) -> bytes:
    return keccak(b"\x19\x01" + separator + struct_hash)


# Orders


class Generation(StrEnum):
    """Which exchange an order is signed for; protocol.md section 1."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


class Reason(StrEnum):
    """What a verification found."""

    VERIFIED = "verified"
    NOT_A_SIGNATURE = "signature is not hex of the right length"
    UNRECOVERABLE = "no key made this signature"
    WRONG_KEY = "the signature is another key's"
    WRONG_SIGNER = "signer is not the address it must be"
    WRONG_MAKER = "maker is not the address it must be"
    WRONG_TYPE = "signatureType is unknown to this generation"
    WRONG_DOMAIN = "the wrapped domain separator is another exchange's"
    WRONG_CONTENTS = "the wrapped contents hash is another order's"
    WRONG_CONTENTS_TYPE = "the wrapped type string is not the order's"


# protocol.md sections 6, 7 and 8: standard, then neg-risk.
_EXCHANGES: Final = {
    (137, Generation.V1): (
        "0x4bfb41d5b3570defd03c39a9a4d8de6bd8b8982e",
        "0xc5d563a36ae78145c45a50134d48a1215220f80a",
    ),
    (137, Generation.V2): (
        "0xe111180000d2663c0091e4f400237545b87b996b",
        "0xe2222d279d744050d28e00520010520000310f59",
    ),
    (137, Generation.V3): ("0xe3333700ca9d93003f00f0f71f8515005f6c00aa",) * 2,
    (80002, Generation.V1): (
        "0xdfe02eb6733538f8ea35d585af8de5958ad99e40",
        "0xd91e80cf2e7be2e162c6513ced06f1dd0da35296",
    ),
    (80002, Generation.V2): (
        "0xe111180000d2663c0091e4f400237545b87b996b",
        "0xe2222d279d744050d28e00520010520000310f59",
    ),
    (80002, Generation.V3): ("0x9fe6e61422adb6f610d8597f9684b16912d50c3d",) * 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    One contract that verifies orders.

    Attributes:
        generation: Fixes the order's layout and the domain's version.
        chain_id: 137 or 80002.
        address: The verifying contract.
        separator: EIP-712 domain separator, 32 bytes.
        wallet_words: The words that end a TypedDataSign before the wallet: name, version, chain.
    """

    generation: Generation
    chain_id: int
    address: str
    separator: bytes
    wallet_words: bytes


@cache
def exchange(generation: Generation, neg_risk: bool, chain_id: int) -> Exchange:
    """
    Return the exchange that an order of `generation` is signed for.

    Raises:
        MalformedError: A chain or generation the venue does not know.
    """
    pair = _EXCHANGES.get((chain_id, generation))
    if pair is None:
        raise MalformedError(f"no exchange {generation!s:.20} on chain {chain_id}")
    address = pair[neg_risk]
    version = generation.removeprefix("v")
    return Exchange(
        generation=Generation(generation),
        chain_id=chain_id,
        address=address,
        separator=_domain("Polymarket CTF Exchange", version, chain_id, address),
        wallet_words=text_hash("DepositWallet") + text_hash("1") + _word(chain_id),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedFields:
    """
    The signed part of an order; `read_fields` makes one out of JSON.

    Attributes:
        salt: uint256, as every integer here but the next two.
        side: 0 BUY, 1 SELL.
        signature_type: 0 EOA, 1 proxy, 2 safe, 3 deposit wallet.
        taker: V1 only, with expiration (Unix seconds), nonce and fee_rate_bps.
        timestamp: V2 and V3 only (milliseconds), with metadata and builder of 32 bytes.
    """

    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: int
    signature_type: int
    taker: str = ZERO_ADDRESS
    expiration: int = 0
    nonce: int = 0
    fee_rate_bps: int = 0
    timestamp: int = 0
    metadata: bytes = ZERO_WORD
    builder: bytes = ZERO_WORD


@dataclass(frozen=True, slots=True)
class OrderHash:
    """
    An order's hashes on one exchange.

    Attributes:
        exchange: Whose domain the digest is of.
        struct_hash: hashStruct of the order, the contents hash of ERC-7739.
        digest: What types 0 to 2 sign, and what the order id spells.
    """

    exchange: Exchange
    struct_hash: bytes
    digest: bytes

    @property
    def order_id(self) -> str:
        """The order id: 0x and the digest in hex."""
        return "0x" + self.digest.hex()


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What `verify_order` found.

    Attributes:
        owner: The EOA that signed, or None if the signature does not hold.
        reason: `Reason.VERIFIED`, or why it does not.
    """

    owner: str | None
    reason: Reason


def read_uint(value: object, name: str, bits: int = 256) -> int:
    """
    Return an unsigned integer that travels as a JSON number or as decimal text.

    Raises:
        MalformedError: Another type, a sign, a fraction, no digit, or 2**bits and above.
    """
    if type(value) is str and len(value) <= _UINT256_DIGITS and value.isascii() and value.isdigit():
        number = int(value)
    elif type(value) is int:
        number = value
    else:
        raise MalformedError(f"{name} {shown(value)} is not an unsigned integer")
    if not 0 <= number < 1 << bits:
        raise MalformedError(f"{name} {shown(value)} is not a uint{bits}")
    return number


def read_word(value: object, name: str) -> bytes:
    """Return 32 bytes from 0x and up to 64 hex digits, padded on the left; or MalformedError."""
    if type(value) is str and 3 <= len(value) <= 66 and value[:2] == "0x":
        digits = value[2:].rjust(64, "0")
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            raw = b""
        if len(raw) == 32:
            return raw
    raise MalformedError(f"{name} {shown(value)} is not 0x and up to 64 hex digits")


def read_fields(generation: Generation, order: Mapping[str, object]) -> SignedFields:
    """
    Return the signed fields of the ``order`` member of a POST body.

    What is not signed (``expiration`` outside V1, ``signature``) is not looked at, and neither
    are members the generation does not know.

    Raises:
        MalformedError: A member is missing, or not what its type in the struct allows.
    """
    if not isinstance(order, Mapping):
        raise MalformedError("order is not an object")
    side = order.get("side")
    if side not in ("BUY", "SELL"):
        raise MalformedError(f"side {shown(side)} is neither BUY nor SELL")
    get, v1 = order.get, generation == Generation.V1
    return SignedFields(
        salt=read_uint(get("salt"), "salt"),
        maker=parse_address(get("maker")),
        signer=parse_address(get("signer")),
        token_id=read_uint(get("tokenId"), "tokenId"),
        maker_amount=read_uint(get("makerAmount"), "makerAmount"),
        taker_amount=read_uint(get("takerAmount"), "takerAmount"),
        side=int(side == "SELL"),
        signature_type=read_uint(get("signatureType"), "signatureType", 8),
        taker=parse_address(get("taker")) if v1 else ZERO_ADDRESS,
        expiration=read_uint(get("expiration"), "expiration") if v1 else 0,
        nonce=read_uint(get("nonce"), "nonce") if v1 else 0,
        fee_rate_bps=read_uint(get("feeRateBps"), "feeRateBps") if v1 else 0,
        timestamp=0 if v1 else read_uint(get("timestamp"), "timestamp"),
        metadata=ZERO_WORD if v1 else read_word(get("metadata", "0x00"), "metadata"),
        builder=ZERO_WORD if v1 else read_word(get("builder"), "builder"),
    )


def order_digest(
    generation: Generation, neg_risk: bool, chain_id: int, fields: SignedFields
) -> OrderHash:
    """
    Return the order's hashes on the exchange of these three.

    Raises:
        MalformedError: No such exchange, or a field outside its type.
    """
    domain = exchange(generation, neg_risk, chain_id)
    try:
        struct_hash = keccak(_encode_v1(fields) if generation == "v1" else _encode_v2(fields))
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise MalformedError(f"order cannot be hashed: {error!s:.200}") from error
    return OrderHash(domain, struct_hash, _typed_digest(domain.separator, struct_hash))


def _encode_v1(f: SignedFields) -> bytes:
    data = b"".join(
        (
            text_hash(_ORDER_V1),
            f.salt.to_bytes(32, "big"),
            bytes.fromhex(f.maker[2:]).rjust(32, b"\0"),
            bytes.fromhex(f.signer[2:]).rjust(32, b"\0"),
            bytes.fromhex(f.taker[2:]).rjust(32, b"\0"),
            f.token_id.to_bytes(32, "big"),
            f.maker_amount.to_bytes(32, "big"),
            f.taker_amount.to_bytes(32, "big"),
            f.expiration.to_bytes(32, "big"),
            f.nonce.to_bytes(32, "big"),
            f.fee_rate_bps.to_bytes(32, "big"),
            f.side.to_bytes(1, "big").rjust(32, b"\0"),
            f.signature_type.to_bytes(1, "big").rjust(32, b"\0"),
        )
    )
    if len(data) != 13 * 32:
        raise ValueError("a field is longer than a word")
    return data


def _encode_v2(f: SignedFields) -> bytes:
    data = b"".join(
        (
            text_hash(_ORDER_V2),
            f.salt.to_bytes(32, "big"),
            bytes.fromhex(f.maker[2:]).rjust(32, b"\0"),
            bytes.fromhex(f.signer[2:]).rjust(32, b"\0"),
            f.token_id.to_bytes(32, "big"),
            f.maker_amount.to_bytes(32, "big"),
            f.taker_amount.to_bytes(32, "big"),
            f.side.to_bytes(1, "big").rjust(32, b"\0"),
            f.signature_type.to_bytes(1, "big").rjust(32, b"\0"),
            f.timestamp.to_bytes(32, "big"),
            f.metadata,
            f.builder,
        )
    )
    if len(data) != 12 * 32:
        raise ValueError("a field is longer than a word, or metadata or builder not 32 bytes")
    return data


def is_position_id(token_id: int) -> bool:
    """Return whether a token trades on exchange V3: bits 40 to 103 are zero (protocol.md §8)."""
    return 0 <= token_id <= _UINT256_MAX and token_id >> 40 & (1 << 64) - 1 == 0


def verify_order(fields: SignedFields, hashed: OrderHash, signature: object, eoa: str) -> Verdict:
    """
    Decide whether `signature` binds the EOA of the API key to an order.

    That `maker` of types 1 to 3 is a wallet of `eoa` is another question: `owns_wallet`.

    Args:
        fields: The order.
        hashed: `order_digest` of the same fields.
        signature: As posted (0x and hex digits), or its bytes; anything else is refused.
        eoa: The address that owns the API key.
    """
    raw = parse_signature(signature)
    eoa = eoa.lower()
    if fields.signature_type == 3 and hashed.exchange.generation != "v1":
        return _verify_wrapped(fields, hashed, raw, eoa)
    if not 0 <= fields.signature_type <= 2:
        return Verdict(None, Reason.WRONG_TYPE)
    if fields.signer.lower() != eoa:
        return Verdict(None, Reason.WRONG_SIGNER)
    if fields.signature_type == 0 and fields.maker.lower() != eoa:
        return Verdict(None, Reason.WRONG_MAKER)
    if raw is None or len(raw) != _SIGNATURE_BYTES:
        return Verdict(None, Reason.NOT_A_SIGNATURE)
    return _verdict(recover(hashed.digest, raw), eoa)


def _verify_wrapped(
    fields: SignedFields, hashed: OrderHash, raw: bytes | None, eoa: str
) -> Verdict:
    """Unwrap ERC-7739 as the deposit wallet does (protocol.md section 7.2)."""
    if fields.maker.lower() != fields.signer.lower():
        return Verdict(None, Reason.WRONG_MAKER)
    if raw is None or len(raw) != _WRAPPED_BYTES:
        return Verdict(None, Reason.NOT_A_SIGNATURE)
    if raw[129:] != _CONTENTS_TYPE:
        return Verdict(None, Reason.WRONG_CONTENTS_TYPE)
    if raw[65:97] != hashed.exchange.separator:
        return Verdict(None, Reason.WRONG_DOMAIN)
    if raw[97:129] != hashed.struct_hash:
        return Verdict(None, Reason.WRONG_CONTENTS)
    outer = b"".join(
        (
            text_hash(_TYPED_DATA_SIGN),
            hashed.struct_hash,
            hashed.exchange.wallet_words,
            bytes.fromhex(fields.maker[2:]).rjust(32, b"\0"),
            ZERO_WORD,
        )
    )
    digest = _typed_digest(hashed.exchange.separator, keccak(outer))
    return _verdict(recover(digest, raw[:65]), eoa)


def _verdict(signer: str | None, eoa: str) -> Verdict:
    if signer is None:
        return Verdict(None, Reason.UNRECOVERABLE)
    if signer != eoa:
        return Verdict(None, Reason.WRONG_KEY)
    return Verdict(signer, Reason.VERIFIED)


# L1 and L2 authentication


def clob_auth_digest(address: object, timestamp: object, nonce: object, chain_id: int) -> bytes:
    """
    Return what a wallet signs to get API credentials (protocol.md section 4).

    Args:
        address: The signing EOA.
        timestamp: Unix seconds, decimal text; hashed as text.
        nonce: uint256, decimal text or int.
        chain_id: 137 or 80002.

    Raises:
        MalformedError: One of them is not that.
    """
    read_uint(timestamp, "timestamp", 64)
    domain_type = "EIP712Domain(string name,string version,uint256 chainId)"
    parts = text_hash(domain_type), text_hash("ClobAuthDomain"), text_hash("1"), _word(chain_id)
    words = (
        text_hash(_CLOB_AUTH),
        _address_word(address),
        keccak(str(timestamp).encode()),
        _word(read_uint(nonce, "nonce")),
        text_hash(_CLOB_AUTH_MESSAGE),
    )
    return _typed_digest(keccak(b"".join(parts)), keccak(b"".join(words)))


def l1_signer(
    address: object, timestamp: object, nonce: object, chain_id: int, signature: object
) -> str | None:
    """Return `address` if it made the L1 `signature` over these values, else None."""
    try:
        digest = clob_auth_digest(address, timestamp, nonce, chain_id)
        claimed = parse_address(address)
    except MalformedError:
        return None
    raw = parse_signature(signature)
    return claimed if raw is not None and recover(digest, raw) == claimed else None


def hmac_signature(secret: str, timestamp: str, method: str, path: str, body: bytes = b"") -> str:
    """
    Return the L2 signature of a request, base64url with padding (protocol.md section 5).

    Args:
        secret: base64url, with or without its padding.
        timestamp: Unix seconds as sent.
        method: Upper case.
        path: Without host and query string.
        body: Exactly the bytes sent; empty if there is no body.

    Raises:
        MalformedError: `secret` is not base64url. The message does not show it.
    """
    key = _secret_bytes(secret)
    head = f"{timestamp}{method}{path}".encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(hmac.digest(key, head + body, "sha256")).decode()


def check_hmac(
    signature: object, secret: str, *, timestamp: str, method: str, path: str, body: bytes = b""
) -> bool:
    """Return whether `signature` is the request's, in constant time; see `hmac_signature`."""
    if type(signature) is not str:
        return False
    try:
        expected = hmac_signature(secret, timestamp, method, path, body)
    except MalformedError:
        return False
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogatepass"))


def _secret_bytes(secret: str) -> bytes:
    try:
        text = secret.rstrip("=").encode("ascii")
        standard = text.translate(bytes.maketrans(b"-_+/", b"+/!!"))  # ! is of no alphabet
        key = binascii.a2b_base64(standard + b"=" * (-len(text) % 4), strict_mode=True)
    except (ValueError, AttributeError, TypeError):
        key = b""
    if not key:
        raise MalformedError("secret is not base64url")
    return key


# The wallets of an EOA


@dataclass(frozen=True, slots=True)
class DepositWallets:
    """
    The two addresses the factory may give an EOA's deposit wallet.

    Attributes:
        uups: An ERC-1967 proxy whose implementation is its own to change.
        beacon: One that asks the factory's beacon.
    """

    uups: str
    beacon: str


_PROXY_FACTORY: Final = "0xab45c5a4b0c941a2f231c04c3f49182e1a254052"
_PROXY_IMPLEMENTATION: Final = "0x44e999d5c2f66ef0861317f9a4805ac2e90aeb4f"
_SAFE_FACTORY: Final = "0xaacfeea03eb1561c4e67d661e40682bd20e3541b"
_SAFE_CODE_HASH: Final = "2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf"
_DEPOSIT_FACTORY: Final = "0x00000000000fb5c9adea0298d729a0cb3823cc07"
_DEPOSIT_IMPLEMENTATION: Final = "0x58ca52ebe0dadfdf531cde7062e76746de4db1eb"
_DEPOSIT_BEACON: Final = "0x7a18edfe055488a3128f01f563e5b479d92ffc3a"

# Creation code by assembly, {} where addresses go. The proxy first asks its factory for the
# implementation, returns the 45 bytes of ERC-1167, then runs cloneConstructor("") on itself.
_PROXY_CODE: Final = (
    "3d3d606380380380913d393d73{factory}5af4602a57600080fd5b602d8060366000396000f3"
    "363d3d373d3d3d363d73{implementation}5af43d82803e903d91602b57fd5bf3"
    "52e831dd{offset:064x}{length:064x}"
)
# Solady LibClone, deployERC1967 and deployERC1967BeaconProxy with immutable arguments: PUSH2 of
# the runtime's size (0x3d or 0x52 bytes and the arguments), the copy of it, and the runtime.
_UUPS_CODE: Final = (
    "61{size:04x}3d8160233d3973{target}60095155f3"
    "363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    "545af43d6000803e6038573d6000fd5b3d6000f3{arguments}"
)
_BEACON_CODE: Final = (
    "61{size:04x}3d8160233d3973{target}60195155f3"
    "363d3d373d3d363d602036600436635c60da1b60e01b36527f"
    "a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"
    "545afa5036515af43d6000803e604d573d6000fd5b3d6000f3{arguments}"
)


def _create2(factory: str, salt: bytes, code_hash: bytes) -> str:
    """Return where `factory` deploys that code with that salt (EIP-1014)."""
    return "0x" + keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + code_hash)[12:].hex()


def proxy_wallet(eoa: str) -> str:
    """Return the proxy wallet (signature type 1) of an EOA; or MalformedError."""
    return _proxy_wallet(parse_address(eoa))


def safe_wallet(eoa: str) -> str:
    """Return the Safe (signature type 2) of an EOA; or MalformedError."""
    return _safe_wallet(parse_address(eoa))


def deposit_wallets(eoa: str) -> DepositWallets:
    """Return both addresses an EOA's deposit wallet (type 3) can have; or MalformedError."""
    return _deposit_wallets(parse_address(eoa))


def deposit_wallet(eoa: str) -> str:
    """Return the one of `deposit_wallets` that a factory with a beacon deploys, as ours does."""
    return deposit_wallets(eoa).beacon


@lru_cache(maxsize=4096)
def _proxy_wallet(eoa: str) -> str:
    code = _PROXY_CODE.format(
        factory=_PROXY_FACTORY[2:], implementation=_PROXY_IMPLEMENTATION[2:], offset=32, length=0
    )
    return _create2(_PROXY_FACTORY, keccak(address_bytes(eoa)), keccak(bytes.fromhex(code)))


@lru_cache(maxsize=4096)
def _safe_wallet(eoa: str) -> str:
    return _create2(_SAFE_FACTORY, keccak(_address_word(eoa)), bytes.fromhex(_SAFE_CODE_HASH))


@lru_cache(maxsize=4096)
def _deposit_wallets(eoa: str) -> DepositWallets:
    arguments = _address_word(_DEPOSIT_FACTORY) + _address_word(eoa)
    salt = keccak(arguments)

    def at(code: str, runtime_bytes: int, target: str) -> str:
        filled = code.format(
            size=runtime_bytes + len(arguments), target=target[2:], arguments=arguments.hex()
        )
        return _create2(_DEPOSIT_FACTORY, salt, keccak(bytes.fromhex(filled)))

    return DepositWallets(
        uups=at(_UUPS_CODE, 0x3D, _DEPOSIT_IMPLEMENTATION),
        beacon=at(_BEACON_CODE, 0x52, _DEPOSIT_BEACON),
    )


def owns_wallet(eoa: str, wallet: str, signature_type: int) -> bool:
    """Return whether `wallet` is the one, or one of the two, that `eoa` owns for that type."""
    try:
        if signature_type == 0:
            return parse_address(wallet) == parse_address(eoa)
        if signature_type == 1:
            return parse_address(wallet) == proxy_wallet(eoa)
        if signature_type == 2:
            return parse_address(wallet) == safe_wallet(eoa)
        if signature_type == 3:
            both = deposit_wallets(eoa)
            return parse_address(wallet) in (both.uups, both.beacon)
    except MalformedError:
        pass
    return False


# Relayer transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCall:
    """
    One call a wallet is asked to make.

    Attributes:
        target: Address called.
        value: Native coin sent along, uint256.
        data: Selector and arguments.
    """

    target: str
    value: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTransaction:
    """
    What the owner of a Safe signs; members as in the SafeTx struct.

    Attributes:
        safe: The wallet, the verifying contract.
        operation: 0 call, 1 delegatecall (multisend).
    """

    safe: str
    to: str
    value: int
    data: bytes
    operation: int
    nonce: int
    safe_tx_gas: int = 0
    base_gas: int = 0
    gas_price: int = 0
    gas_token: str = ZERO_ADDRESS
    refund_receiver: str = ZERO_ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTransaction:
    """
    What the owner of a proxy wallet signs: a relay request of the Gas Station Network.

    Attributes:
        owner: ``from``, the EOA.
        to: The proxy factory.
        data: Call of ``proxy(...)`` on it.
        relayer_fee: Zero at this venue, as gas_price.
        relay_hub: Contract that takes the request.
        relay: Address that ``/relay-payload`` named.
    """

    owner: str
    to: str
    data: bytes
    relayer_fee: int
    gas_price: int
    gas_limit: int
    nonce: int
    relay_hub: str
    relay: str


def deposit_batch_digest(
    wallet: str, nonce: int, deadline: int, calls: Sequence[RawCall], *, chain_id: int
) -> bytes:
    """Return what the owner of a deposit wallet signs (section 24.4); or MalformedError."""
    hashes = [
        keccak(
            b"".join(
                (text_hash(_CALL), _address_word(c.target), _word(c.value), keccak(_bytes(c.data)))
            )
        )
        for c in calls
    ]
    words = (
        text_hash(_BATCH),
        _address_word(wallet),
        _word(nonce),
        _word(deadline),
        keccak(b"".join(hashes)),
    )
    return _typed_digest(_domain("DepositWallet", "1", chain_id, wallet), keccak(b"".join(words)))


def deposit_batch_signer(
    wallet: str,
    nonce: int,
    deadline: int,
    calls: Sequence[RawCall],
    *,
    chain_id: int,
    signature: object,
) -> str | None:
    """Return who signed that batch of calls, or None; compare it with the wallet's owner."""
    try:
        digest = deposit_batch_digest(wallet, nonce, deadline, calls, chain_id=chain_id)
    except MalformedError:
        return None
    raw = parse_signature(signature)
    return None if raw is None else recover(digest, raw)


def safe_transaction_hash(transaction: SafeTransaction, chain_id: int) -> bytes:
    """Return the EIP-712 digest of a Safe transaction; or MalformedError."""
    t = transaction
    domain = (
        text_hash("EIP712Domain(uint256 chainId,address verifyingContract)"),
        _word(chain_id),
        _address_word(t.safe),
    )
    words = (
        text_hash(_SAFE_TX),
        _address_word(t.to),
        _word(t.value),
        keccak(_bytes(t.data)),
        _word(t.operation, 8),
        _word(t.safe_tx_gas),
        _word(t.base_gas),
        _word(t.gas_price),
        _address_word(t.gas_token),
        _address_word(t.refund_receiver),
        _word(t.nonce),
    )
    return _typed_digest(keccak(b"".join(domain)), keccak(b"".join(words)))


def safe_signer(transaction: SafeTransaction, chain_id: int, signature: object) -> str | None:
    """
    Return who signed a Safe transaction, or None; compare it with the Safe's owner.

    As the Safe contract does: v of 27 or 28 signs the hash itself, 31 or 32 the hash as a
    message (`personal_digest`), which is what the SDK sends.
    """
    try:
        digest = safe_transaction_hash(transaction, chain_id)
    except MalformedError:
        return None
    raw = parse_signature(signature)
    if raw is None or len(raw) != _SIGNATURE_BYTES:
        return None
    if raw[64] in (31, 32):
        return recover(personal_digest(digest), raw[:64] + bytes([raw[64] - 4]))
    return recover(digest, raw)


def proxy_transaction_hash(transaction: ProxyTransaction) -> bytes:
    """Return the packed hash of a relay request; or MalformedError."""
    t = transaction
    parts = (
        b"rlx:",
        address_bytes(t.owner),
        address_bytes(t.to),
        _bytes(t.data),
        _word(t.relayer_fee),
        _word(t.gas_price),
        _word(t.gas_limit),
        _word(t.nonce),
        address_bytes(t.relay_hub),
        address_bytes(t.relay),
    )
    return keccak(b"".join(parts))


def proxy_signer(transaction: ProxyTransaction, signature: object) -> str | None:
    """Return who signed a relay request as a message, or None; compare it with ``owner``."""
    try:
        digest = personal_digest(proxy_transaction_hash(transaction))
    except MalformedError:
        return None
    raw = parse_signature(signature)
    return None if raw is None else recover(digest, raw)


def _bytes(value: object) -> bytes:
    if type(value) is not bytes:
        raise MalformedError(f"data is {type(value).__name__}, not bytes")
    return value
