"""Orders and trades as objects of the wire, for reads and for the user socket (15, 21)."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from polyarb.sim.decimals import PRICE, size
from polyarb.sim.ledger import Escrow
from polyarb.sim.matching import Kind, Order

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Part:
    """One maker's share of a trade, at the maker's own price."""

    maker: Order
    shares: int
    kind: Kind
    cash_e6: int


@dataclass(slots=True, eq=False, kw_only=True)
class Trade:
    """
    One taker order against its makers.

    Attributes:
        price_e4: The last (worst) level it reached, in the taker's terms.
        size_e6, cash_e6, fee_e6: What the taker got or gave, and the fee on it.
        status: MATCHED, MINED, CONFIRMED, RETRYING or FAILED.
        updated_ns: When the status last changed.
        hash: Of the transaction; "" before there is one.
        report_hash: What the market socket shows.
    """

    id: str
    taker: Order
    parts: list[Part]
    price_e4: int
    size_e6: int
    cash_e6: int
    fee_e6: int
    sets_e6: int
    matched_ns: int
    updated_ns: int
    status: str = "MATCHED"
    hash: str = ""
    report_hash: str = ""
    escrow: Escrow = field(default_factory=Escrow)
    give: list[tuple[Any, str, int]] = field(default_factory=list)

    def owners(self) -> dict[str, str]:
        """Return the API keys it concerns, each with its side of the trade; "" left out."""
        sides = {part.maker.owner: "MAKER" for part in self.parts}
        sides[self.taker.owner] = "TAKER"
        sides.pop("", None)
        return sides

    def orders_of(self, owner: str) -> list[Order]:
        """Return the orders of an API key in it."""
        orders = (self.taker, *(part.maker for part in self.parts))
        return [order for order in orders if order.owner == owner]


def side(buy: bool) -> str:
    """Return BUY or SELL."""
    return "BUY" if buy else "SELL"


def seconds(ns: int) -> str:
    """Return Unix seconds as text."""
    return str(ns // 1_000_000_000)


def order_object(order: Order, base_units: bool) -> dict[str, Any]:
    """Return an order as ``/data/order`` gives it."""
    amount = str if base_units else size
    return {
        "id": order.id,
        "status": order.status,
        "owner": order.owner,
        "maker_address": order.wallet.address,
        "market": order.market.condition_id,
        "asset_id": order.token,
        "side": side(order.buy),
        "original_size": amount(order.size_e6),
        "size_matched": amount(order.matched_e6),
        "price": PRICE[order.price_e4],
        "outcome": order.market.outcomes[order.outcome],
        "expiration": str(order.expires_s),
        "order_type": order.kind,
        "associate_trades": list(order.trade_ids),
        "created_at": order.created_ns // 1_000_000_000,
    }


def order_event(order: Order, what: str, now_ns: int, status: str) -> dict[str, Any]:
    """Return an order event of the user socket; `what` is PLACEMENT, UPDATE or CANCELLATION."""
    return {
        **order_object(order, base_units=False),
        "event_type": "order",
        "type": what,
        "order_owner": order.owner,
        "status": status,
        "associate_trades": list(order.trade_ids) or None,
        "created_at": seconds(order.created_ns),
        "timestamp": str(now_ns // 1_000_000),
    }


def trade_object(trade: Trade, owner: str, trader_side: str, base_units: bool) -> dict[str, Any]:
    """Return a trade as ``/data/trades`` gives it to one of its owners."""
    amount = str if base_units else size
    taker = trade.taker
    mine = taker
    if trader_side == "MAKER":
        mine = next(part.maker for part in trade.parts if part.maker.owner == owner)
    return {
        "id": trade.id,
        "taker_order_id": taker.id,
        "market": taker.market.condition_id,
        "asset_id": taker.token,
        "side": side(taker.buy),
        "size": amount(trade.size_e6),
        "fee_rate_bps": "0",
        "price": PRICE[trade.price_e4],
        "status": trade.status,
        "match_time": seconds(trade.matched_ns),
        "match_time_nano": str(trade.matched_ns),
        "last_update": seconds(trade.updated_ns),
        "outcome": taker.market.outcomes[taker.outcome],
        "bucket_index": 0,
        "owner": owner,
        "maker_address": mine.wallet.address,
        "transaction_hash": trade.hash,
        "trader_side": trader_side,
        "maker_orders": [_maker_object(part, amount) for part in trade.parts],
    }


def _maker_object(part: Part, amount: Any) -> dict[str, Any]:
    maker = part.maker
    return {
        "order_id": maker.id,
        "owner": maker.owner or "00000000-0000-0000-0000-000000000000",
        "maker_address": maker.wallet.address,
        "matched_amount": amount(part.shares),
        "price": PRICE[maker.price_e4],
        "fee_rate_bps": "0",
        "asset_id": maker.token,
        "outcome": maker.market.outcomes[maker.outcome],
        "side": side(maker.buy),
    }


def trade_event(trade: Trade, owner: str, trader_side: str, now_ns: int) -> dict[str, Any]:
    """Return a trade event of the user socket."""
    return {
        **trade_object(trade, owner, trader_side, base_units=False),
        "event_type": "trade",
        "type": "TRADE",
        "trade_owner": owner,
        "timestamp": str(now_ns // 1_000_000),
    }


def page(
    found: Sequence[_T], cursor: str, limit: int, render: Callable[[_T], dict[str, Any]]
) -> dict[str, Any]:
    """
    Return one page of a list (protocol.md section 3); only what is on it is rendered.

    Raises:
        ValueError: A cursor that is none of ours.
    """
    start = decode_cursor(cursor)
    part = found[start : start + limit]
    end = start + limit >= len(found)
    return {
        "limit": limit,
        "count": len(part),
        "next_cursor": "LTE=" if end else encode_cursor(start + limit),
        "data": [render(row) for row in part],
    }


def encode_cursor(offset: int) -> str:
    """Return the cursor of an offset: base64 of its digits."""
    return base64.b64encode(str(offset).encode()).decode()


def decode_cursor(cursor: str) -> int:
    """Return the offset of a cursor; "" is the first page. Raises ValueError."""
    if not cursor:
        return 0
    offset = int(base64.b64decode(cursor, validate=True))
    return offset if offset >= 0 else 2**62
