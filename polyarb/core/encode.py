"""Signed orders as the exact JSON of POST /order and POST /orders (csrc/encode)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.base import check, writable
from polyarb.core.digest import OrderBatch
from polyarb.domain.order import OrderType

OWNER_BYTES_MAX: Final[int] = lib.PA_OWNER_BYTES_MAX
ORDER_TYPE: Final = {
    OrderType.GTC: lib.PA_GTC,
    OrderType.GTD: lib.PA_GTD,
    OrderType.FOK: lib.PA_FOK,
    OrderType.FAK: lib.PA_FAK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is sent with an order but not signed (protocol.md section 7)."""

    order_type: OrderType = OrderType.GTC
    defer_exec: bool = False
    post_only: bool = False


def bytes_max(batch: OrderBatch, owner: str) -> int:
    """Return the most bytes the body of `batch` can take."""
    bound = int(lib.pa_batch_bytes_max(batch.orders, batch.count, len(owner_bytes(owner))))
    assert bound > 0  # an OrderBatch and a checked owner are always in range
    return bound


def encode_batch(batch: OrderBatch, terms: Sequence[Terms], owner: str) -> bytes:
    """Return the body of POST /orders: an array, one object per order."""
    out = bytearray(bytes_max(batch, owner))
    return bytes(out[: encode_batch_into(out, batch, terms, owner)])


def encode_batch_into(
    out: bytearray | memoryview, batch: OrderBatch, terms: Sequence[Terms], owner: str
) -> int:
    """
    Write the body of POST /orders into `out`; return how many bytes.

    Raises:
        CapacityError: It does not fit; the content of `out` is unspecified then.
        MalformedError: `owner` holds a byte that JSON would escape.
        RangeError: `owner` is empty or too long, or not as many terms as orders.
    """
    target = writable("out", out)
    owner_raw = owner_bytes(owner)
    written = ffi.new("size_t *")
    status = lib.pa_encode_batch(
        *(batch.orders, batch.done, _terms(terms, batch.count), batch.count),
        *(owner_raw, len(owner_raw), ffi.cast("char *", target), len(target), written),
    )
    check(status, f"body of {batch.count} orders into {len(target)} bytes")
    return int(written[0])


def encode_order(batch: OrderBatch, terms: Terms, owner: str) -> bytes:
    """Return the body of POST /order: the batch's only order as an object."""
    if batch.count != 1:
        raise errors.CapacityError(f"POST /order takes 1 order, not {batch.count}")
    owner_raw = owner_bytes(owner)
    capacity = bytes_max(batch, owner)
    out = ffi.new("char[]", capacity)
    written = ffi.new("size_t *")
    status = lib.pa_encode_order(
        *(batch.orders, batch.done, _terms([terms], 1)),
        *(owner_raw, len(owner_raw), out, capacity, written),
    )
    check(status, "body of one order")
    return bytes(ffi.buffer(out, written[0]))


def owner_bytes(owner: str) -> bytes:
    """Return the API key id as it is encoded, or say what is wrong with its length."""
    if type(owner) is not str:
        raise errors.ArgumentTypeError(f"owner must be a str, not {type(owner).__name__}")
    raw = owner.encode("utf-8", "surrogatepass")
    if not 1 <= len(raw) <= OWNER_BYTES_MAX:
        raise errors.RangeError(f"owner has {len(raw)} bytes, outside 1..{OWNER_BYTES_MAX}")
    return raw


def _terms(terms: Sequence[Terms], count: int) -> Any:
    if len(terms) != count:
        raise errors.RangeError(f"{len(terms)} order types for {count} orders")
    return ffi.new(
        "pa_terms[]",
        [(ORDER_TYPE[t.order_type], bool(t.defer_exec), bool(t.post_only), 0) for t in terms],
    )
