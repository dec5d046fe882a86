"""Keccak-256, HMAC-SHA256 and the EIP-712 digests of orders (csrc/digest)."""

from collections.abc import Sequence
from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.base import INT64_MAX, check, integer, readable
from polyarb.domain.order import Generation, Order

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
    return bytes(out)


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

    __slots__ = ("_parts", "cdata")

    def __init__(self, key: bytes) -> None:
        source = readable("key", key)
        self.cdata = ffi.gc(ffi.new("pa_hmac *"), _wipe_hmac)
        self._parts = ffi.new("pa_bytes[]", lib.PA_HMAC_PARTS_MAX)
        lib.pa_hmac_init(self.cdata, source, len(source))

    def sign(self, *parts: bytes) -> str:
        """
        Return the base64url text, padding kept, of the HMAC over `parts` joined.

        Raises:
            ArgumentTypeError: A part is not bytes.
            CapacityError: More than 8 parts.
        """
        if len(parts) > lib.PA_HMAC_PARTS_MAX:
            raise errors.CapacityError(f"{len(parts)} parts are more than {lib.PA_HMAC_PARTS_MAX}")
        sources = [readable("part", part) for part in parts]
        for slot, source in zip(self._parts, sources, strict=False):
            slot.at, slot.bytes = source, len(source)
        out = ffi.new("char[]", lib.PA_BASE64_DIGEST_BYTES)
        lib.pa_hmac_sign_base64(self.cdata, self._parts, len(sources), out)
        return ffi.unpack(out, lib.PA_BASE64_DIGEST_BYTES).decode("ascii")  # type: ignore[no-any-return]

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
        return bytes(self.cdata.separator[DOMAIN[generation, neg_risk]])


class OrderBatch:
    """
    1 to 15 orders in the form the core hashes, signs and encodes, and what that gave.

    Raises:
        ArgumentTypeError: An element is not an `Order`.
        CapacityError: None, or more than 15.
    """

    __slots__ = ("count", "done", "orders")

    def __init__(self, orders: Sequence[Order]) -> None:
        self.count = batch_count(orders)
        self.orders = ffi.new("pa_order[]", self.count)
        self.done = ffi.new("pa_signed[]", self.count)
        for slot, order in zip(self.orders, orders, strict=True):
            pack_order(slot, order)

    def hash(self, domains: Domains) -> None:
        """Fill struct hash, digest and what is to be signed, all orders side by side."""
        check(
            lib.pa_digest_orders(domains.cdata, self.orders, self.count, self.done), "order digest"
        )

    def digest(self, index: int) -> bytes:
        """Return the order's 32-byte digest, which is its id."""
        return bytes(self.done[index].digest)

    def struct_hash(self, index: int) -> bytes:
        """Return the 32-byte EIP-712 struct hash."""
        return bytes(self.done[index].struct_hash)

    def to_sign(self, index: int) -> bytes:
        """Return the 32 bytes the key signs: the digest, or type 3's outer digest."""
        return bytes(self.done[index].to_sign)

    def signature(self, index: int) -> bytes:
        """Return the transmitted signature: 65 bytes, 317 for type 3."""
        bytes_ = lib.pa_signature_bytes(self.orders[index].signature_type)
        return bytes(ffi.buffer(self.done[index].signature, bytes_))

    def put_signature(self, index: int, domains: Domains, signature: bytes) -> None:
        """Take a 65-byte signature made elsewhere; type 3's is wrapped."""
        if len(signature) != lib.PA_SIGNATURE_BYTES:
            raise errors.RangeError(f"signature has {len(signature)} bytes, not 65")
        ffi.memmove(self.done[index].signature, signature, len(signature))
        if self.orders[index].signature_type == 3:
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
        wanted = lib.pa_signature_bytes(self.orders[index].signature_type)
        try:
            raw = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError:
            raw = b""
        if len(raw) != wanted or len(signature) != 2 + 2 * wanted:
            raise errors.MalformedError(
                f"signature of {len(signature)} characters is not 0x and {wanted} bytes"
            )
        ffi.memmove(self.done[index].signature, raw, wanted)


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
    check(lib.pa_order_init(ffi.addressof(slot), DOMAIN[order.generation, order.neg_risk]), "order")
    words: list[int | str]
    words = [order.salt, order.maker, order.signer]
    if order.generation is Generation.V1:
        words += [order.taker, order.token_id, order.maker_amount, order.taker_amount]
        words += [order.expiration, order.nonce, order.fee_rate_bps]
        words += [order.side.code, order.signature_type]
    else:
        words += [order.token_id, order.maker_amount, order.taker_amount]
        words += [order.side.code, order.signature_type]
        words += [order.timestamp, order.metadata, order.builder]
    packed = b"".join(
        (int(word, 16) if isinstance(word, str) else word).to_bytes(32, "big") for word in words
    )
    ffi.memmove(slot.word[1], packed, len(packed))
    ffi.memmove(slot.expiration, order.expiration.to_bytes(32, "big"), 32)
    slot.side = order.side.code
    slot.signature_type = order.signature_type
    slot.token_bytes = _spell(slot.token_text, str(order.token_id))
    slot.metadata_bytes = _spell(slot.metadata_text, order.metadata)
    slot.builder_bytes = _spell(slot.builder_text, order.builder)
    _spell(slot.maker_text, order.maker)
    _spell(slot.signer_text, order.signer)
    _spell(slot.taker_text, order.taker)


def _spell(field: Any, text: str) -> int:
    raw = text.encode("ascii")
    assert len(raw) <= len(field)  # Order bounds every text
    ffi.memmove(field, raw, len(raw))
    return len(raw)


def _wipe_hmac(
    key: Any, memmove: Any = ffi.memmove, zeros: bytes = bytes(ffi.sizeof("pa_hmac"))
) -> None:
    memmove(key, zeros, len(zeros))  # bound early: it may run when modules are already gone
