"""
Orders and trades as the exchange reports them, over REST and the user socket alike.

One object each, in integers, whatever spelling it came in (protocol.md sections 15 and 21).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from polyarb.domain.money import CashE6, PriceE4, SizeE6, decimal_units_floor, exact
from polyarb.domain.order import OrderType, Side
from polyarb.errors import MalformedError, RangeError

SHOWN: Final = 120
MILLISECONDS_FROM: Final = 10**11
"""A time at or above this counts milliseconds, below it seconds."""

UNIT: Final = 10**6
BASE_FROM: Final = 10**4
"""Nobody trades less than a hundredth of a share: a smaller integer counts whole shares."""

DUST_E6: Final = 10_000
"""Orders are for hundredths of a share: less than one of them is left over by rounding alone."""

_PREFIX: Final = re.compile(r"(ORDER|TRADE)_STATUS_")
_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


class OrderStatus(StrEnum):
    """Where an order stands; the exchange's many words for the last come as one."""

    LIVE = "live"
    MATCHED = "matched"
    DELAYED = "delayed"
    UNMATCHED = "unmatched"
    INVALID = "invalid"
    CANCELED = "canceled"


class TradeStatus(StrEnum):
    """Where the settlement of a trade stands (section 11.4); the last two are final."""

    MATCHED = "matched"
    MINED = "mined"
    RETRYING = "retrying"
    CONFIRMED = "confirmed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether it stays so."""
        return self in {TradeStatus.CONFIRMED, TradeStatus.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """
    What is said of an order.

    Attributes:
        order_id: Its digest.
        status: MATCHED does not mean filled whole: see `final` and `matched_e6`.
        size_e6: Shares it asked for.
        matched_e6: Of these, how many have matched so far.
        trade_ids: Its trades so far, in no order.
        text: The exchange's word for the status.
        at_ms: When that was said, or the order made; 0 where the object has no time.
    """

    order_id: str
    status: OrderStatus
    condition_id: str
    token_id: str
    side: Side
    price_e4: PriceE4
    size_e6: SizeE6
    matched_e6: SizeE6
    order_type: OrderType | None = None
    trade_ids: tuple[str, ...] = ()
    text: str = ""
    at_ms: int = 0

    @property
    def final(self) -> bool:
        """Whether nothing more can fill it; what is left of one that matched may yet rest."""
        if self.status is not OrderStatus.MATCHED:
            return self.status in {OrderStatus.INVALID, OrderStatus.CANCELED}
        at_once = self.order_type in {OrderType.FAK, OrderType.FOK}
        return at_once or self.matched_e6 + DUST_E6 >= self.size_e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """
    What a trade did to one order of ours.

    Attributes:
        order_id: With the trade's id it names the fill.
        size_e6: Shares bought or sold.
        cash_e6: Paid, rounded up, or received, rounded down; without the fee.
        taker: Whether ours was the incoming order, which pays the fee.
    """

    order_id: str
    token_id: str
    side: Side
    size_e6: SizeE6
    cash_e6: CashE6
    taker: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeReport:
    """
    What is said of a trade.

    Attributes:
        fills: Of our orders; none where the trade names no order of ours.
        matched_s: When it matched, Unix seconds.
        at_ms: When that was said, or its status changed last; 0 where the object has no time.
    """

    trade_id: str
    status: TradeStatus
    condition_id: str
    fills: tuple[Fill, ...]
    transaction_hash: str = ""
    text: str = ""
    matched_s: int = 0
    at_ms: int = 0


class Units:
    """
    Whether amounts count shares or millionths of them; documents and answers disagree (28.2).

    The amounts of one object are looked at together. A point proves shares. Without one, what was
    learned decides; before that, what fits: into the order's own amount where it is known, else
    less than a hundredth of a share or a million of them is not believed.
    """

    __slots__ = ("_learned",)

    def __init__(self) -> None:
        self._learned = 0

    def of(self, *texts: str) -> int:
        """Return the base units that 1 stands for in the amounts of one object: 10^6 or 1."""
        if any("." in text for text in texts):
            self._learned = UNIT
        most = 0 if self._learned else _most(texts)
        if 0 < most < BASE_FROM:
            self._learned = UNIT
        return self._learned or (1 if most >= UNIT else UNIT)

    def within(self, bound_e6: int, text: str) -> int | None:
        """Return the same for an amount of at most `bound_e6`; None where that cannot be told."""
        fits = [scale for scale in (UNIT, 1) if amount_e6("amount", text, scale) <= bound_e6]
        if "." in text:
            return UNIT if UNIT in fits else None
        if len(fits) == 1:
            self._learned = fits[0]
        elif not self._learned and 0 < _most((text,)) < BASE_FROM:
            self._learned = UNIT
        return self._learned if self._learned in fits else None

    def equal(self, size_e6: int, text: str) -> None:
        """Learn from an amount that has to be `size_e6`."""
        fits = [scale for scale in (UNIT, 1) if amount_e6("amount", text, scale) == size_e6]
        if text and len(fits) == 1:
            self._learned = fits[0]


def amount_e6(name: str, text: str, scale: int) -> int:
    """Return an amount in base units, cut after the sixth decimal; "" is 0."""
    if not text:
        return 0
    try:
        return decimal_units_floor(name, text, 0 if scale == 1 else 6)
    except RangeError as error:
        raise MalformedError(str(error)) from None


def _no_number(name: str) -> None:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(parse_float=str, parse_constant=_no_number)


def load(data: bytes | str) -> Any:
    """
    Return a JSON value, its fractions left as text.

    Raises:
        MalformedError: It is none: other text, bad UTF-8, nesting without end.
    """
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode())
    except (ValueError, RecursionError):
        shown = data[:SHOWN]
        raise MalformedError(f"no JSON: {shown!r}") from None


def read_order(told: object, units: Units, size_e6: int | None = None) -> OrderReport:
    """
    Return the report in an order object of REST or an order event.

    Args:
        told: Decoded by `load`.
        units: What amounts count.
        size_e6: The shares that were ordered, where that is known.

    Raises:
        MalformedError: Not an order: a member is missing or is not what it should be.
    """
    row = _object("order", told)
    size, matched = _text(row, "original_size"), _text(row, "size_matched")
    if size_e6 is not None:
        units.equal(size_e6, size)
    scale = units.of(size, matched)
    status, text = _order_status(row)
    kind = _text(row, "order_type")
    return OrderReport(
        order_id=_needed(row, "id").lower(),
        status=status,
        condition_id=_text(row, "market"),
        token_id=_text(row, "asset_id"),
        side=_side(row),
        price_e4=_price(row),
        size_e6=SizeE6(amount_e6("original_size", size, scale)),
        matched_e6=SizeE6(amount_e6("size_matched", matched, scale)),
        order_type=OrderType(kind) if kind in tuple(OrderType) else None,
        trade_ids=_strings(row.get("associate_trades")),
        text=text,
        at_ms=_milliseconds(row, "timestamp", "created_at"),
    )


def read_trade(told: object, owner: str, units: Units) -> TradeReport:
    """
    Return the report in a trade object of REST or a trade event.

    Args:
        told: Decoded by `load`.
        owner: Our API key's id: whose orders count as ours.
        units: What amounts count.

    Raises:
        MalformedError: Not a trade.
    """
    row = _object("trade", told)
    rows = row.get("maker_orders") or []
    if not isinstance(rows, list):
        raise MalformedError(f"maker_orders {str(rows)[:SHOWN]!r} is no list")
    makers = [_object("maker order", maker) for maker in rows]
    amounts = (_text(maker, "matched_amount") for maker in makers)
    scale = units.of(_text(row, "size"), *amounts)
    fills = [_maker_fill(maker, scale) for maker in makers if _text(maker, "owner") == owner]
    if _is_taker(row, owner):
        fills.append(_taker_fill(row, makers, scale))
    word = _text(row, "status")
    return TradeReport(
        trade_id=_needed(row, "id"),
        status=_trade_status(word),
        condition_id=_text(row, "market"),
        fills=tuple(fills),
        transaction_hash=_text(row, "transaction_hash"),
        text=_text(row, "err_msg") or word,
        matched_s=_milliseconds(row, "match_time", "matchtime") // 1000,
        at_ms=_milliseconds(row, "timestamp", "last_update"),
    )


# What makes a fill


def _is_taker(row: Mapping[str, Any], owner: str) -> bool:
    """Say whether the incoming order is ours; old events have no `trader_side`."""
    side = _text(row, "trader_side").upper()
    if side:
        return side == "TAKER"
    makers = {_text(maker, "owner") for maker in row.get("maker_orders") or []}
    return owner in {_text(row, "owner"), _text(row, "trade_owner")} and owner not in makers


def _maker_fill(maker: Mapping[str, Any], scale: int) -> Fill:
    side, price_e4 = _side(maker), _price(maker)
    shares = amount_e6("matched_amount", _needed(maker, "matched_amount"), scale)
    return Fill(
        order_id=_needed(maker, "order_id").lower(),
        token_id=_needed(maker, "asset_id"),
        side=side,
        size_e6=SizeE6(shares),
        cash_e6=_cash(side, price_e4 * shares),
        taker=False,
    )


def _taker_fill(row: Mapping[str, Any], makers: list[Mapping[str, Any]], scale: int) -> Fill:
    side, token = _side(row), _needed(row, "asset_id")
    shares = amount_e6("size", _needed(row, "size"), scale)
    return Fill(
        order_id=_needed(row, "taker_order_id").lower(),
        token_id=token,
        side=side,
        size_e6=SizeE6(shares),
        cash_e6=_cash(side, _taker_cash_e10(row, makers, token, shares, scale)),
        taker=True,
    )


def _taker_cash_e10(
    row: Mapping[str, Any], makers: list[Mapping[str, Any]], token: str, shares: int, scale: int
) -> int:
    """
    Return what the makers' own prices add up to, where they account for every share.

    The trade's price is the worst it reached; a maker of the other token stands at the complement.
    """
    found = cash = 0
    for maker in makers:
        part = amount_e6("matched_amount", _needed(maker, "matched_amount"), scale)
        price_e4 = _price(maker)
        found += part
        cash += part * (price_e4 if _text(maker, "asset_id") == token else 10_000 - price_e4)
    return cash if found == shares else _worst_price(row) * shares


def _cash(side: Side, cash_e10: int) -> CashE6:
    """Round against us: up what is paid, down what comes in."""
    return CashE6(-(-cash_e10 // 10_000) if side is Side.BUY else cash_e10 // 10_000)


# Statuses


def _order_status(row: Mapping[str, Any]) -> tuple[OrderStatus, str]:
    """Return the status and the exchange's word; V1 events have a `type` alone."""
    text = _text(row, "status")
    word = _PREFIX.sub("", text).strip().upper()
    if word.startswith("CANCEL"):
        return OrderStatus.CANCELED, text
    for status in OrderStatus:
        if word == status.upper():
            return status, text
    kind = _text(row, "type").upper()
    if kind == "CANCELLATION":
        return OrderStatus.CANCELED, text or kind
    if not word and kind in {"PLACEMENT", "UPDATE"}:
        return OrderStatus.LIVE, kind
    raise MalformedError(f"order status {text[:SHOWN]!r} is none")


_TRADE: Final = {
    **{status.upper(): status for status in TradeStatus},
    "MATCHED_NOT_BROADCASTED": TradeStatus.MATCHED,
}


def _trade_status(text: str) -> TradeStatus:
    word = _PREFIX.sub("", text).strip().upper()
    if word not in _TRADE:
        raise MalformedError(f"trade status {text[:SHOWN]!r} is none of {', '.join(_TRADE)}")
    return _TRADE[word]


# Members


def _object(what: str, told: object) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise MalformedError(f"{what} {str(told)[:SHOWN]!r} is no object")
    return told


def _text(row: Mapping[str, Any], name: str) -> str:
    """Return a member as text: "" where it is missing, null or no plain value."""
    value = row.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _needed(row: Mapping[str, Any], name: str) -> str:
    value = _text(row, name)
    if not value:
        raise MalformedError(f"{name} is missing: {str(dict(row))[:SHOWN]}")
    return value


def _strings(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _side(row: Mapping[str, Any]) -> Side:
    text = _text(row, "side").upper()
    if text not in tuple(Side):
        raise MalformedError(f"side {text[:SHOWN]!r} is neither BUY nor SELL")
    return Side(text)


def _price(row: Mapping[str, Any]) -> PriceE4:
    """Return the price of an order: it has four decimals at most."""
    price_e4, rest = _ratio_e4(row)
    if rest:
        raise MalformedError(f"price {_text(row, 'price')[:SHOWN]} has more than 4 decimals")
    return PriceE4(price_e4)


def _worst_price(row: Mapping[str, Any]) -> PriceE4:
    """Return the price of a trade; of an average with more digits what is worse for the taker."""
    price_e4, rest = _ratio_e4(row)
    return PriceE4(price_e4 + (1 if rest and _side(row) is Side.BUY else 0))


def _ratio_e4(row: Mapping[str, Any]) -> tuple[int, int]:
    try:
        numerator, scale = exact("price", _needed(row, "price"))
    except RangeError as error:
        raise MalformedError(str(error)) from None
    if numerator > 10**scale:
        raise MalformedError(f"price {_text(row, 'price')[:SHOWN]} is above 1")
    unit = 10**scale
    return numerator * 10_000 // unit, numerator * 10_000 % unit


def _most(texts: Sequence[str]) -> int:
    """Return the largest of some amounts without a point."""
    for text in texts:
        if text and not _NUMBER.fullmatch(text):
            raise MalformedError(f"amount {text[:SHOWN]!r} is no number")
    return max((int(text) for text in texts if text), default=0)


def _milliseconds(row: Mapping[str, Any], *names: str) -> int:
    """Return the first of the members that is a time, in Unix milliseconds; 0 for none."""
    for name in names:
        text = _text(row, name)
        if text and _NUMBER.fullmatch(text):
            value = int(text)
            return value if value >= MILLISECONDS_FROM else value * 1000
    return 0
