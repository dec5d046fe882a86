"""Signing inside C, through the addresses of a libsecp256k1 that the caller has (csrc/sign)."""

from dataclasses import dataclass
from typing import Any

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.base import check
from polyarb.core.digest import Domains, OrderBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Secp256k1:
    """
    Addresses inside libsecp256k1, as integers; `owner` keeps the library and context alive.

    Attributes:
        context: A signing context of its own.
        sign_recoverable: secp256k1_ecdsa_sign_recoverable.
        serialize_compact: secp256k1_ecdsa_recoverable_signature_serialize_compact.
    """

    context: int
    sign_recoverable: int
    serialize_compact: int
    owner: object


class Signer:
    """
    A secret key in private memory that is overwritten when the object goes.

    Args:
        library: Where libsecp256k1 is.
        secret: 32 bytes, already known to be a key (1 <= key < n).
        own_nonce: Derive RFC 6979 nonces in C instead of in the library. Only after the two
            were compared (polyarb/exchange/signing.py does).
    """

    __slots__ = ("_library", "cdata")

    def __init__(self, library: Secp256k1, secret: bytes, *, own_nonce: bool) -> None:
        if len(secret) != 32:
            raise errors.KeyMaterialError(f"a secret key has 32 bytes, not {len(secret)}")
        self._library = library
        memory = ffi.new("uint64_t[]", lib.PA_SIGNER_BYTES // 8)
        self.cdata: Any = ffi.gc(
            ffi.cast("pa_signer *", memory),
            lambda signer, _memory=memory, wipe=lib.pa_signer_wipe: wipe(signer),
        )
        functions = ffi.new(
            "pa_secp256k1 *",
            {
                "context": ffi.cast("void *", library.context),
                "sign_recoverable": ffi.cast("void *", library.sign_recoverable),
                "serialize_compact": ffi.cast("void *", library.serialize_compact),
            },
        )
        check(lib.pa_signer_init(self.cdata, functions, secret, own_nonce), "libsecp256k1")

    def sign_digest(self, digest: bytes) -> bytes:
        """
        Return r, s and v, 65 bytes, of a 32-byte digest.

        Raises:
            RangeError: Another length.
            KeyMaterialError: The library refuses the key.
        """
        if len(digest) != 32:
            raise errors.RangeError(f"digest has {len(digest)} bytes, not 32")
        out = ffi.new("uint8_t[65]")
        check(lib.pa_signer_sign(self.cdata, digest, out), "signing")
        return ffi.buffer(out)[:]  # type: ignore[no-any-return]

    def sign_orders(self, batch: OrderBatch, domains: Domains) -> None:
        """Hash and sign a whole basket in one crossing; the batch holds the signatures."""
        status = lib.pa_sign_orders(
            self.cdata, domains.cdata, batch.orders, batch.count, batch.done
        )
        check(status, f"signing {batch.count} orders")

    def wipe(self) -> None:
        """Overwrite the secret; signing afterwards raises KeyMaterialError."""
        lib.pa_signer_wipe(self.cdata)

    def __repr__(self) -> str:
        return "Signer(<secret>)"

    def __reduce__(self) -> str:
        raise errors.ArgumentTypeError("a Signer cannot be pickled")
