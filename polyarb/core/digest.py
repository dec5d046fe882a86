"""Keccak-256, HMAC-SHA256 and the EIP-712 digests of orders (csrc/digest)."""

import struct
from collections.abc import Sequence
from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.base import INT64_MAX, check, integer, readable
from polyarb.domain.order import SIDE_CODE, Generation, Order

BATCH_MAX: Final[int] = lib.PA_BATCH_MAX
ORDER_BYTES: Final[int] = ffi.sizeof("pa_order")

DOMAIN: Final = {
    (Generation.V1, False): lib.PA_DOMAIN_V1,
    (Generation.V1, True): lib.PA_DOMAIN_V1_NEG_RISK,
    (Generation.V2, False): lib.PA_DOMAIN_V2,
    (Generation.V2, True): lib.PA_DOMAIN_V2_NEG_RISK,
    (Generation.V3, False): lib.PA_DOMAIN_V3,
    (Generation.V3, True): lib.PA_DOMAIN_V3,
}
_VERSION: Final = (1, 1, 2, 2, 3)


def keccak256(data: bytes) -> bytes:
    """
    Return the 32-byte Keccak-256 of `data` (original padding, not SHA3-256).

    Raises:
        ArgumentTypeError: Not bytes or a contiguous buffer of bytes.
    """
    source = readable("data", data)
    out = ffi.new("uint8_t[32]")
    lib.pa_keccak256(source, len(source), out)
    return ffi.buffer(out)[:]  # type: ignore[no-any-return]


def checksum_address(address: bytes) -> str:
    """
    Return the EIP-55 text of a 20-byte address.

    Raises:
        ArgumentTypeError: Not bytes.
        RangeError: Not 20 of them.
    """
    source = readable("address", address)
    if len(source) != 20:
        raise errors.RangeError(f"address has {len(source)} bytes, not 20")
    out = ffi.new("char[42]")
    lib.pa_address_text(source, out)
    return ffi.unpack(out, 42).decode("ascii")  # type: ignore[no-any-return]


def is_position_id(token_id: int) -> bool:
    """Tell whether `token_id` is a position id of Exchange V3 (protocol.md section 8)."""
    integer("token_id", token_id, 0, 2**256 - 1)
    return bool(lib.pa_is_position_id(token_id.to_bytes(32, "big")))


class HmacKey:
    """
    An HMAC-SHA256 key, its two padded blocks compressed once.

    The repr shows nothing of it, and its memory is overwritten when it goes.
    """

    __slots__ = ("cdata",)

    def __init__(self, key: bytes) -> None:
        source = readable("key", key)
        self.cdata = ffi.gc(ffi.new("pa_hmac *"), _wipe_hmac)
        lib.pa_hmac_init(self.cdata, source, len(source))

    def sign(self, *parts: bytes) -> str:
        """
        Return the base64url text, padding kept, of the HMAC over `parts` joined.

        Raises:
            ArgumentTypeError: A part is not bytes or a contiguous buffer of bytes.
        """
        try:
            text = b"".join(parts)
        except (TypeError, BufferError) as error:
            raise errors.ArgumentTypeError(f"parts must be bytes: {error}") from error
        out = ffi.new("char[]", lib.PA_BASE64_DIGEST_BYTES)
        lib.pa_hmac_sign_base64(self.cdata, [(ffi.from_buffer(text), len(text))], 1, out)
        return str(ffi.buffer(out), "ascii")

    def __repr__(self) -> str:
        return "HmacKey(<secret>)"

    def __reduce__(self) -> str:
        raise errors.ArgumentTypeError("an HmacKey cannot be pickled")


class Domains:
    """
    The five EIP-712 domain separators of one chain, computed once.

    Args:
        chain_id: 1..2**63 - 1.
        contracts: The 20-byte verifying contracts in the order V1, V1 neg-risk, V2,
            V2 neg-risk, V3.
    """

    __slots__ = ("cdata",)

    def __init__(self, chain_id: int, contracts: Sequence[bytes]) -> None:
        integer("chain_id", chain_id, 1, INT64_MAX)
        if [len(contract) for contract in contracts] != [20] * len(_VERSION):
            raise errors.RangeError(f"contracts must be {len(_VERSION)} addresses of 20 bytes")
        self.cdata = ffi.new("pa_domains *")
        ffi.memmove(self.cdata.chain_id, chain_id.to_bytes(32, "big"), 32)
        for slot, version, contract in zip(self.cdata.separator, _VERSION, contracts, strict=True):
            check(lib.pa_domain_separator(version, chain_id, contract, slot), "domain separator")

    def separator(self, generation: Generation, neg_risk: bool) -> bytes:
        """Return the 32-byte separator an order of this kind is signed under."""
        separator = self.cdata.separator[DOMAIN[generation, neg_risk]]
        return ffi.buffer(separator)[:]  # type: ignore[no-any-return]


class OrderBatch:
    """
    1 to 15 orders in the form the core hashes, signs and encodes, and what that gave.

    Raises:
        ArgumentTypeError: An element is not an `Order`.
        CapacityError: None, or more than 15.
    """

    __slots__ = ("_count", "_done", "_orders")

    def __init__(self, orders: Sequence[Order]) -> None:
        self._count = batch_count(orders)
        self._orders = ffi.new("pa_order[]", self._count)
        self._done = ffi.new("pa_signed[]", self._count)
        for slot, order in zip(self._orders, orders, strict=True):
            pack_order(slot, order)

    @property
    def count(self) -> int:
        """How many orders; the two arrays are as long."""
        return self._count

    @property
    def orders(self) -> Any:
        """``pa_order[count]``, as long as the batch lives."""
        return self._orders

    @property
    def done(self) -> Any:
        """``pa_signed[count]``, as long as the batch lives."""
        return self._done

    def hash(self, domains: Domains) -> None:
        """Fill struct hash, digest and what is to be signed, all orders side by side."""
        check(
            lib.pa_digest_orders(domains.cdata, self.orders, self.count, self.done), "order digest"
        )

    def digest(self, index: int) -> bytes:
        """Return the order's 32-byte digest, which is its id."""
        return ffi.buffer(self.done[self._at(index)].digest)[:]  # type: ignore[no-any-return]

    def struct_hash(self, index: int) -> bytes:
        """Return the 32-byte EIP-712 struct hash."""
        return ffi.buffer(self.done[self._at(index)].struct_hash)[:]  # type: ignore[no-any-return]

    def to_sign(self, index: int) -> bytes:
        """Return the 32 bytes the key signs: the digest, or type 3's outer digest."""
        return ffi.buffer(self.done[self._at(index)].to_sign)[:]  # type: ignore[no-any-return]

    def signature(self, index: int) -> bytes:
        """Return the transmitted signature: 65 bytes, 317 for type 3."""
        count = lib.pa_signature_bytes(self.orders[self._at(index)].signature_type)
        return ffi.buffer(self.done[self._at(index)].signature, count)[:]  # type: ignore[no-any-return]

    def put_signature(self, index: int, domains: Domains, signature: bytes) -> None:
        """Take a 65-byte signature made elsewhere; type 3's is wrapped."""
        source = readable("signature", signature)
        if len(source) != lib.PA_SIGNATURE_BYTES:
            raise errors.RangeError(f"signature has {len(source)} bytes, not 65")
        ffi.memmove(self.done[self._at(index)].signature, source, len(source))
        if self.orders[self._at(index)].signature_type == 3:
            status = lib.pa_signature_wrap(domains.cdata, self.orders + index, self.done + index)
            check(status, "signature wrapping")

    def put_transmitted(self, index: int, signature: str) -> None:
        """
        Take a signature as it is sent: "0x" and 65 bytes, 317 for type 3.

        Raises:
            MalformedError: Not hexadecimal, or another length.
        """
        if type(signature) is not str:
            raise errors.ArgumentTypeError(
                f"signature must be a str, not {type(signature).__name__}"
            )
        wanted = lib.pa_signature_bytes(self.orders[self._at(index)].signature_type)
        try:
            raw = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError:
            raw = b""
        if len(raw) != wanted or len(signature) != 2 + 2 * wanted:
            raise errors.MalformedError(
                f"signature of {len(signature)} characters is not 0x and {wanted} bytes"
            )
        ffi.memmove(self.done[index].signature, raw, wanted)

    def _at(self, index: int) -> int:
        return integer("index", index, 0, self.count - 1)


def batch_count(items: Sequence[object]) -> int:
    """
    Return how many items a batch has.

    Raises:
        CapacityError: None, or more than the venue takes in one request.
    """
    if not 1 <= len(items) <= BATCH_MAX:
        raise errors.CapacityError(f"a batch of {len(items)} orders is outside 1..{BATCH_MAX}")
    return len(items)


def pack_order(slot: Any, order: Order) -> None:
    """Write `order` into a ``pa_order``: the hashed words, and the spellings its JSON repeats."""
    if not isinstance(order, Order):
        raise errors.ArgumentTypeError(f"order must be an Order, not {type(order).__name__}")
    side = SIDE_CODE[order.side]
    numbers = (order.token_id, order.maker_amount, order.taker_amount)
    kind = (side, order.signature_type)
    words: tuple[int, ...]
    if order.generation is Generation.V1:
        own = (order.expiration, order.nonce, order.fee_rate_bps)
        words = (int(order.taker, 16), *numbers, *own, *kind)
    else:
        own = (order.timestamp, int(order.metadata, 16), int(order.builder, 16))
        words = (*numbers, *kind, *own)
    words = (order.salt, int(order.maker, 16), int(order.signer, 16), *words)
    domain = DOMAIN[order.generation, order.neg_risk]
    token = str(order.token_id).encode("ascii")
    metadata, builder = order.metadata.encode("ascii"), order.builder.encode("ascii")
    packed = _ORDER.pack(
        _TYPE_HASH[domain] + b"".join([word.to_bytes(32, "big") for word in words]),
        order.expiration.to_bytes(32, "big"),
        *(domain, side, order.signature_type, len(token), len(metadata), len(builder)),
        *(token, order.maker.encode("ascii"), order.signer.encode("ascii")),
        *(order.taker.encode("ascii"), metadata, builder),
    )
    ffi.memmove(ffi.addressof(slot), packed, len(packed))


def _type_hash(domain: int) -> bytes:
    order = ffi.new("pa_order *")
    check(lib.pa_order_init(order, domain), "order")
    return ffi.buffer(order.word[0])[:]  # type: ignore[no-any-return]


# The layout of pa_order (csrc/digest/eip712.h), written in one go: field by field costs 8 us.
_ORDER: Final = struct.Struct("=416s32s6B78s42s42s42s66s66s10x")
assert _ORDER.size == ffi.sizeof("pa_order")
_TYPE_HASH: Final = tuple(_type_hash(domain) for domain in range(lib.PA_DOMAIN_COUNT))


def _wipe_hmac(
    key: Any, memmove: Any = ffi.memmove, zeros: bytes = bytes(ffi.sizeof("pa_hmac"))
) -> None:
    memmove(key, zeros, len(zeros))  # bound early: it may run when modules are already gone
