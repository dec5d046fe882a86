"""
Signatures over orders and log-ins: the only place that knows coincurve, and the key.

Signing runs inside C through the libsecp256k1 that coincurve loaded. Before a signer is given
out, what C makes of several digests is compared with ``PrivateKey.sign_recoverable``; where
symbols are missing or a byte differs, coincurve signs instead.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import coincurve
from coincurve.context import Context

from polyarb import errors
from polyarb.core.base import sha256_accelerated
from polyarb.core.digest import Domains, OrderBatch, checksum_address, keccak256
from polyarb.core.sign import Secp256k1, Signer
from polyarb.domain.order import Generation, Order, SignatureType, SignedOrder
from polyarb.exchange.contracts import exchange_contracts
from polyarb.exchange.wallets import parse_address

Backend = Literal["native", "native-library-nonce", "coincurve"]
BACKENDS: Final[tuple[Backend, ...]] = ("native", "native-library-nonce", "coincurve")

GROUP_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2
_KEY_TEXT: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}", re.ASCII)
_PROBES: Final = (*(keccak256(bytes([i])) for i in range(4)), bytes(32), b"\xff" * 32)


class OrderSigner:
    """
    Signs orders and log-ins for one account.

    Args:
        private_key: 64 hexadecimal digits, with or without "0x", or 32 bytes.
        signature_type: 0 EOA, 1 proxy, 2 safe, 3 deposit wallet (protocol.md section 7.1).
        funder: The wallet that holds the funds; needed for types 1 to 3, and for type 0
            only ever the EOA itself.
        chain_id: 137 Polygon, 80002 Amoy.
        backend: Where signatures are made. None takes the first of `BACKENDS` that agrees with
            coincurve; a named one that cannot be had raises SelfTestError.

    Attributes:
        address: The EOA of the key, checksummed.
        funder: The wallet, checksummed.
        backend: Which backend signs.

    Raises:
        KeyMaterialError: Not a key. The message never holds it.
        WalletMismatchError: Key, funder and signature type contradict each other.
        MalformedError: `funder` is not an address, or its checksum is wrong.
        RangeError: `signature_type` or `chain_id` is none.
    """

    __slots__ = (
        *("_domains", "_key", "_maker_texts", "_signer", "_signer_texts"),
        *("address", "backend", "chain_id", "funder", "signature_type"),
    )

    def __init__(
        self,
        private_key: str | bytes,
        *,
        signature_type: int = 0,
        funder: str | None = None,
        chain_id: int = 137,
        backend: Backend | None = None,
    ) -> None:
        if isinstance(signature_type, bool) or signature_type not in tuple(SignatureType):
            raise errors.RangeError(f"signature_type {signature_type!r} is outside 0..3")
        self.signature_type: Final = SignatureType(signature_type)
        self._domains: Final = Domains(chain_id, exchange_contracts(chain_id))
        self.chain_id: Final = chain_id
        secret = _parse_key(private_key)
        self._key: Final = coincurve.PrivateKey(secret)
        owner = keccak256(self._key.public_key.format(compressed=False)[1:])[12:]
        self.address: Final = checksum_address(owner)
        self.funder: Final = _match_wallet(self.address, self.signature_type, funder)
        wallet_signs = self.signature_type is SignatureType.POLY_1271
        self._maker_texts: Final = _spellings(self.funder)
        self._signer_texts: Final = _spellings(self.funder if wallet_signs else self.address)
        self.backend: Backend
        self._signer: Signer | None
        self.backend, self._signer = _choose_backend(self._key, secret, backend)

    def sign(self, orders: Sequence[Order]) -> list[SignedOrder]:
        """
        Hash and sign 1 to 15 orders, in one crossing where signing runs inside C.

        Raises:
            CapacityError: No order, or more than 15.
            ArgumentTypeError: Something that is not an `Order`.
            WalletMismatchError: An order of another maker, signer or signature type.
        """
        batch = OrderBatch(orders)
        for order in orders:
            self._check_order(order)
        self.sign_batch(batch)
        return [
            SignedOrder(
                order=order, digest=batch.digest(i), signature="0x" + batch.signature(i).hex()
            )
            for i, order in enumerate(orders)
        ]

    def sign_batch(self, batch: OrderBatch) -> None:
        """Hash and sign orders already in the core's form; the batch holds the signatures."""
        if self._signer is not None:
            self._signer.sign_orders(batch, self._domains)
            return
        batch.hash(self._domains)
        for i in range(batch.count):
            signature = _coincurve_sign(self._key, batch.to_sign(i))
            batch.put_signature(i, self._domains, signature)

    def sign_digest(self, digest: bytes) -> str:
        """Return "0x" and the 65-byte signature of a 32-byte digest; for log-ins."""
        if len(digest) != 32:
            raise errors.RangeError(f"digest has {len(digest)} bytes, not 32")
        signed = self._signer.sign_digest(digest) if self._signer else None
        return "0x" + (signed or _coincurve_sign(self._key, digest)).hex()

    def domain_separator(self, generation: Generation, neg_risk: bool) -> bytes:
        """Return the 32-byte separator that such orders are signed under."""
        return self._domains.separator(generation, neg_risk)

    @property
    def core(self) -> tuple[Signer | None, Domains]:
        """Return what a prepared request signs with; no signer if coincurve signs."""
        return self._signer, self._domains

    def _check_order(self, order: Order) -> None:
        if order.signature_type != self.signature_type:
            raise errors.WalletMismatchError(
                f"signature_type {order.signature_type:d} of the order is not the "
                f"signer's {self.signature_type:d}"
            )
        if order.maker not in self._maker_texts:
            raise errors.WalletMismatchError(f"maker {order.maker} is not the funder {self.funder}")
        if order.signer not in self._signer_texts:
            raise errors.WalletMismatchError(
                f"signer {order.signer} is not {self._signer_texts[0]}, which signs "
                f"orders of signature type {self.signature_type:d}"
            )

    def __repr__(self) -> str:
        return (
            f"OrderSigner(<secret>, address={self.address!r}, funder={self.funder!r}, "
            f"signature_type={self.signature_type:d}, chain_id={self.chain_id})"
        )

    def __reduce__(self) -> str:
        raise errors.ArgumentTypeError("an OrderSigner cannot be pickled: it holds a key")


def _parse_key(private_key: object) -> bytes:
    """Return the 32 bytes of a key; no message or traceback of ours holds any of it."""
    if isinstance(private_key, (bytes, bytearray)):
        if len(private_key) != 32:
            raise errors.KeyMaterialError(f"private_key has {len(private_key)} bytes, not 32")
        secret = bytes(private_key)
    elif isinstance(private_key, str):
        if not _KEY_TEXT.fullmatch(private_key):
            raise errors.KeyMaterialError(
                f"private_key of {len(private_key)} characters is not 64 hexadecimal digits"
            )
        secret = bytes.fromhex(private_key[-64:])
    else:
        raise errors.ArgumentTypeError(
            f"private_key must be a str or 32 bytes, not {type(private_key).__name__}"
        )
    value = int.from_bytes(secret, "big")
    if value == 0:
        raise errors.KeyMaterialError("private_key is zero")
    if value >= GROUP_ORDER:
        raise errors.KeyMaterialError("private_key is not below the order of secp256k1")
    return secret


def _match_wallet(address: str, signature_type: SignatureType, funder: str | None) -> str:
    """Return the checksummed wallet, or say why the three do not belong together."""
    kind = f"signature type {signature_type:d} ({signature_type.name})"
    if funder is None:
        if signature_type is not SignatureType.EOA:
            raise errors.WalletMismatchError(f"{kind} needs a funder: the wallet's address")
        return address
    wallet = checksum_address(parse_address("funder", funder))
    if int(wallet, 16) == 0:
        raise errors.WalletMismatchError("funder is the zero address")
    if signature_type is SignatureType.EOA and wallet != address:
        raise errors.WalletMismatchError(
            f"{kind} trades from the key's own address {address}, not from funder {wallet}"
        )
    if signature_type is not SignatureType.EOA and wallet == address:
        raise errors.WalletMismatchError(
            f"{kind} trades from a wallet, but funder {wallet} is the key's own address"
        )
    return wallet


def _spellings(address: str) -> tuple[str, str]:
    return address, address.lower()


def _coincurve_sign(key: coincurve.PrivateKey, digest: bytes) -> bytes:
    """Return r, s, v as coincurve gives it: v is 27 plus its recovery id."""
    signature = key.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def _choose_backend(
    key: coincurve.PrivateKey, secret: bytes, wanted: Backend | None
) -> tuple[Backend, Signer | None]:
    """Return the first backend that gives coincurve's signatures byte for byte."""
    if wanted is not None and wanted not in BACKENDS:
        raise errors.RangeError(f"backend {wanted!r} is none of {', '.join(BACKENDS)}")
    library = _library()
    for backend in BACKENDS if wanted is None else (wanted,):
        if backend == "coincurve":
            return backend, None
        own_nonce = backend == "native"
        if library is None or (own_nonce and wanted is None and not sha256_accelerated()):
            continue  # without SHA instructions the library's own nonces are the faster ones
        signer = Signer(library, secret, own_nonce=own_nonce)
        if all(signer.sign_digest(probe) == _coincurve_sign(key, probe) for probe in _PROBES):
            return backend, signer
    raise errors.SelfTestError(f"backend {wanted!r} does not agree with coincurve here")


def _library() -> Secp256k1 | None:
    """Return libsecp256k1 as coincurve loaded it, with a randomised context of its own."""
    try:
        from coincurve._libsecp256k1 import ffi, lib  # noqa: PLC0415  (private: may be missing)

        context = Context()
        return Secp256k1(
            context=int(ffi.cast("uintptr_t", context.ctx)),
            sign_recoverable=int(
                ffi.cast("uintptr_t", ffi.addressof(lib, "secp256k1_ecdsa_sign_recoverable"))
            ),
            serialize_compact=int(
                ffi.cast(
                    "uintptr_t",
                    ffi.addressof(lib, "secp256k1_ecdsa_recoverable_signature_serialize_compact"),
                )
            ),
            owner=(context, lib),
        )
    except (ImportError, AttributeError):
        return None
