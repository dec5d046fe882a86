"""
Batches of calls, signed as the wallet that makes them demands (protocol.md section 24.4).

A batch is bound to the wallet's next nonce, so of all batches with one nonce the chain carries out
at most one, once. That is what makes a lost submission harmless (``relayer.py``).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Protocol

from polyarb.core.base import integer
from polyarb.core.digest import keccak256
from polyarb.domain.order import ZERO_ADDRESS, SignatureType
from polyarb.errors import CapacityError, WalletMismatchError
from polyarb.exchange import abi, wallets
from polyarb.exchange.calls import Call
from polyarb.exchange.contracts import POLYGON
from polyarb.exchange.wallets import parse_address

CALLS_MAX: Final = 64
"""In one batch; ours, far above what a block's gas allows."""

METADATA_MAX: Final = 500
DEADLINE_S_MAX: Final = 10**11
GAS_MIN: Final = 200_000
GAS_PER_CALL: Final = 500_000
"""A proxy's batch names the gas it may use; nobody charges for it. UNVERIFIED, so ample."""

_DOMAIN: Final = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_SAFE_DOMAIN: Final = "EIP712Domain(uint256 chainId,address verifyingContract)"
_CALL: Final = "Call(address target,uint256 value,bytes data)"
_BATCH: Final = f"Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls){_CALL}"
_SAFE_TX: Final = (
    "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,"
    "uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
_MULTI_SEND: Final = bytes.fromhex("8d80ff0a")  # multiSend(bytes)
_PROXY: Final = bytes.fromhex("34ee9791")  # proxy((uint8,address,uint256,bytes)[])
_ZERO: Final = bytes(abi.WORD)
_PERSONAL: Final = b"\x19Ethereum Signed Message:\n32"  # ERC-191, version 0x45


class Kind(StrEnum):
    """Of a batch, as the relayer spells it."""

    PROXY = "PROXY"
    SAFE = "SAFE"
    WALLET = "WALLET"  # deposit wallet


_KINDS: Final = {
    SignatureType.POLY_PROXY: Kind.PROXY,
    SignatureType.POLY_GNOSIS_SAFE: Kind.SAFE,
    SignatureType.POLY_1271: Kind.WALLET,
}


class BatchSigner(Protocol):
    """What a batch needs of a key's owner; `signing.OrderSigner` is one."""

    @property
    def address(self) -> str:
        """The EOA, checksummed."""

    @property
    def funder(self) -> str:
        """The wallet, checksummed."""

    @property
    def signature_type(self) -> SignatureType:
        """Which kind of wallet it is."""

    @property
    def chain_id(self) -> int:
        """137 on Polygon."""

    def sign_digest(self, digest: bytes) -> str:
        """Return r, s and v (27 or 28) over 32 bytes: 0x and 130 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    A signed batch: all that is needed to submit it and to find out what became of it.

    Attributes:
        kind: Of the wallet.
        owner: The EOA that signed.
        nonce: Of the wallet; the batch is carried out while it is the next one, or never.
        deadline_s: Unix seconds after which a deposit wallet refuses it; None for the other kinds.
        body: The exact bytes of POST /submit.
        transaction_id: The relayer's name for it; "" before it gave one.
    """

    kind: Kind
    owner: str
    nonce: int
    deadline_s: int | None
    body: bytes
    transaction_id: str = ""

    def named(self, transaction_id: str) -> "Batch":
        """Return it with the relayer's name for it."""
        return replace(self, transaction_id=transaction_id)


def kind_of(signature_type: SignatureType) -> Kind:
    """
    Return the relayer's kind of such wallets.

    Raises:
        WalletMismatchError: An EOA, which sends its transactions itself (`calls.transaction`).
    """
    kind = _KINDS.get(signature_type)
    if kind is None:
        raise WalletMismatchError(
            f"signature type {signature_type:d} ({signature_type.name}): no relayer carries an "
            "EOA's calls; it sends them itself and pays gas in POL"
        )
    return kind


def sign_batch(
    signer: BatchSigner,
    calls: Sequence[Call],
    *,
    nonce: int,
    deadline_s: int,
    relay: str = "",
    gas_limit: int | None = None,
    metadata: str = "",
) -> Batch:
    """
    Sign calls that the wallet makes all of, in order, or none.

    Args:
        signer: Owner of the wallet.
        calls: 1 to `CALLS_MAX`.
        nonce: The wallet's next.
        deadline_s: Unix seconds; only a deposit wallet has one.
        relay: Who relays for a proxy, as ``GET /relay-payload`` names it; unused otherwise.
        gas_limit: For a proxy; None takes an ample one.
        metadata: A note that the relayer keeps, up to `METADATA_MAX` characters.

    Raises:
        WalletMismatchError: The wallet is an EOA.
        CapacityError: No call or too many of them, or a note that is too long.
        RangeError, MalformedError: A nonce, deadline or address that is none.
    """
    kind = kind_of(signer.signature_type)
    if not 1 <= len(calls) <= CALLS_MAX:
        raise CapacityError(f"{len(calls)} calls are outside 1..{CALLS_MAX}")
    if len(metadata) > METADATA_MAX:
        raise CapacityError(f"metadata of {len(metadata)} characters is above {METADATA_MAX}")
    abi.uint("nonce", nonce)
    integer("deadline_s", deadline_s, 1, DEADLINE_S_MAX)
    if kind is Kind.WALLET:
        members = _deposit_wallet(signer, calls, nonce, deadline_s)
    elif kind is Kind.SAFE:
        members = _safe(signer, calls, nonce)
    else:
        members = _proxy(signer, calls, nonce, relay, gas_limit)
    head = {"type": kind, "from": signer.address, "nonce": str(nonce), "metadata": metadata}
    return Batch(
        kind=kind,
        owner=signer.address,
        nonce=nonce,
        deadline_s=deadline_s if kind is Kind.WALLET else None,
        body=json.dumps(head | members, separators=(",", ":")).encode(),
    )


# Deposit wallets: EIP-712 Batch


def _deposit_wallet(
    signer: BatchSigner, calls: Sequence[Call], nonce: int, deadline_s: int
) -> dict[str, Any]:
    digest = _typed(_wallet_domain(signer), _batch_hash(signer.funder, calls, nonce, deadline_s))
    return {
        "to": wallets.POLYGON.deposit_factory,
        "signature": signer.sign_digest(digest),
        "depositWalletParams": {
            "depositWallet": signer.funder,
            "deadline": str(deadline_s),
            "calls": [
                {"target": call.target, "value": "0", "data": "0x" + call.data.hex()}
                for call in calls
            ],
        },
    }


def _wallet_domain(signer: BatchSigner) -> bytes:
    return _hash(
        _text(_DOMAIN),
        _text("DepositWallet"),
        _text("1"),
        abi.uint("chain_id", signer.chain_id),
        abi.address("funder", signer.funder),
    )


def _batch_hash(wallet: str, calls: Sequence[Call], nonce: int, deadline_s: int) -> bytes:
    hashes = (
        _hash(_text(_CALL), abi.address("target", call.target), _ZERO, keccak256(call.data))
        for call in calls
    )
    return _hash(
        _text(_BATCH),
        abi.address("wallet", wallet),
        abi.uint("nonce", nonce),
        abi.uint("deadline", deadline_s),
        _hash(*hashes),
    )


# Safes: a SafeTx signed as a message


def _safe(signer: BatchSigner, calls: Sequence[Call], nonce: int) -> dict[str, Any]:
    """One call goes out as it is, several as a delegatecall of the multisend."""
    target, data, operation = calls[0].target, calls[0].data, 0
    if len(calls) > 1:
        target, data, operation = POLYGON.multisend, _multisend(calls), 1
    struct_hash = _hash(
        _text(_SAFE_TX),
        abi.address("to", target),
        _ZERO,  # value
        keccak256(data),
        abi.uint("operation", operation),
        *(_ZERO,) * 5,  # safeTxGas, baseGas, gasPrice, gasToken, refundReceiver
        abi.uint("nonce", nonce),
    )
    domain = _hash(
        _text(_SAFE_DOMAIN),
        abi.uint("chain_id", signer.chain_id),
        abi.address("funder", signer.funder),
    )
    signed = _sign_message(signer, _typed(domain, struct_hash))
    return {
        "to": target,
        "proxyWallet": signer.funder,
        "data": "0x" + data.hex(),
        # A Safe reads v 31 or 32 as eth_sign (Safe contracts, checkNSignatures).
        "signature": signed[:-2] + f"{int(signed[-2:], 16) + 4:02x}",
        "signatureParams": {
            "baseGas": "0",
            "gasPrice": "0",
            "gasToken": ZERO_ADDRESS,
            "operation": str(operation),
            "refundReceiver": ZERO_ADDRESS,
            "safeTxnGas": "0",
        },
    }


def _multisend(calls: Sequence[Call]) -> bytes:
    """Pack calls: operation 0 (1 byte), target (20), value (32), size (32), data."""
    packed = b"".join(
        b"\0"
        + parse_address("target", call.target)
        + _ZERO
        + abi.uint("size", len(call.data))
        + call.data
        for call in calls
    )
    return _MULTI_SEND + abi.sequence([abi.blob(packed)])


# Proxies: a relay request of the Gas Station Network, signed as a message


def _proxy(
    signer: BatchSigner, calls: Sequence[Call], nonce: int, relay: str, gas_limit: int | None
) -> dict[str, Any]:
    if gas_limit is None:
        gas_limit = max(GAS_MIN, GAS_PER_CALL * len(calls))
    factory = wallets.POLYGON.proxy_factory
    one = abi.uint("type", 1)  # a call
    data = _PROXY + abi.sequence(
        [
            abi.tuples(
                [
                    (one, abi.address("target", call.target), _ZERO, abi.blob(call.data))
                    for call in calls
                ]
            )
        ]
    )
    request_hash = _hash(
        b"rlx:",
        parse_address("owner", signer.address),
        parse_address("to", factory),
        data,
        _ZERO,  # relayerFee
        _ZERO,  # gasPrice
        abi.uint("gas_limit", gas_limit),
        abi.uint("nonce", nonce),
        parse_address("relay_hub", POLYGON.relay_hub),
        parse_address("relay", relay),
    )
    return {
        "to": factory,
        "proxyWallet": signer.funder,
        "data": "0x" + data.hex(),
        "signature": _sign_message(signer, request_hash),
        "signatureParams": {
            "gasLimit": str(gas_limit),
            "gasPrice": "0",
            "relay": relay,
            "relayHub": POLYGON.relay_hub,
            "relayerFee": "0",
        },
    }


# Hashing


def _hash(*parts: bytes) -> bytes:
    return keccak256(b"".join(parts))


def _text(text: str) -> bytes:
    return keccak256(text.encode("ascii"))


def _typed(domain: bytes, struct_hash: bytes) -> bytes:
    return _hash(b"\x19\x01", domain, struct_hash)  # EIP-712


def _sign_message(signer: BatchSigner, digest: bytes) -> str:
    return signer.sign_digest(_hash(_PERSONAL, digest))
