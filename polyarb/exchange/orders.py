"""Bodies of POST /order and POST /orders, and the amounts that go into orders."""

from collections.abc import Sequence

from polyarb import errors
from polyarb.core.digest import OrderBatch, batch_count
from polyarb.core.encode import Terms, encode_batch, encode_order
from polyarb.domain.order import OrderType, SignedOrder
from polyarb.exchange.amounts import Amounts, limit_amounts, market_amounts

__all__ = ["Amounts", "batch_body", "limit_amounts", "market_amounts", "order_body"]

_RESTING = (OrderType.GTC, OrderType.GTD)


def batch_body(
    signed: Sequence[SignedOrder],
    *,
    owner: str,
    order_type: OrderType | str | Sequence[OrderType | str],
    defer_exec: bool = False,
    post_only: bool = False,
) -> bytes:
    """
    Return the exact body of POST /orders: the bytes to sign for L2 and to send.

    Args:
        signed: 1 to 15 signed orders of any generation.
        owner: The API key's id.
        order_type: GTC, GTD, FOK or FAK, for all orders or one for each.
        defer_exec: As the venue documents it; V1 bodies carry the member only when it is set.
        post_only: Only with GTC and GTD.

    Raises:
        CapacityError: No order, or more than 15.
        ArgumentTypeError: A value of another type.
        MalformedError: A signature that is not "0x" and 65 or 317 bytes; an owner that JSON
            would escape.
        RangeError: An unknown order type, or post-only with FOK or FAK.
    """
    batch = _pack(signed)
    kinds = [order_type] * batch.count if isinstance(order_type, str) else order_type
    return encode_batch(batch, [_terms(kind, defer_exec, post_only) for kind in kinds], owner)


def order_body(
    signed: SignedOrder,
    *,
    owner: str,
    order_type: OrderType | str,
    defer_exec: bool = False,
    post_only: bool = False,
) -> bytes:
    """Return the exact body of POST /order; arguments and errors as `batch_body`."""
    return encode_order(_pack([signed]), _terms(order_type, defer_exec, post_only), owner)


def _pack(signed: Sequence[SignedOrder]) -> OrderBatch:
    batch_count(signed)
    for item in signed:
        if not isinstance(item, SignedOrder):
            raise errors.ArgumentTypeError(
                f"signed must hold SignedOrders, not {type(item).__name__}"
            )
    batch = OrderBatch([item.order for item in signed])
    for i, item in enumerate(signed):
        batch.put_transmitted(i, item.signature)
    return batch


def _terms(order_type: OrderType | str, defer_exec: bool, post_only: bool) -> Terms:
    for name, value in (("defer_exec", defer_exec), ("post_only", post_only)):
        if type(value) is not bool:
            raise errors.ArgumentTypeError(f"{name} must be a bool, not {type(value).__name__}")
    if not isinstance(order_type, str):
        raise errors.ArgumentTypeError(f"order_type must be a str, not {type(order_type).__name__}")
    if order_type not in tuple(OrderType):
        raise errors.RangeError(f"order_type {order_type[:40]!r} is none of {', '.join(OrderType)}")
    kind = OrderType(order_type)
    if post_only and kind not in _RESTING:
        raise errors.RangeError(f"post_only True goes with GTC and GTD, not with {kind}")
    return Terms(order_type=kind, defer_exec=defer_exec, post_only=post_only)
