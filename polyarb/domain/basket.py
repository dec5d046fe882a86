"""
A basket before, while and after it trades: its plan, its orders, and the words for their states.

Every leg buys (or sells out of inventory) `weight` shares a set, and a whole set pays at least
`payoff_e6` however the world turns out. Amounts are x 10^6, prices x 10^4.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from polyarb.domain.order import OrderType, Side
from polyarb.errors import RangeError

UNIT_E6: Final = 1_000_000
"""One share, one set, one dollar."""

DUST_E6: Final = 10_000
"""0.01 share: orders come in steps of it, so nothing smaller can be traded away."""


class BasketState(StrEnum):
    """How far a basket is."""

    PLANNED = "planned"
    RESERVED = "reserved"  # its cash is held
    JOURNALED = "journaled"  # its intent is on record; its orders may be on their way
    SENT = "sent"
    COMPLETE = "complete"  # it holds whole sets; their settlement is awaited
    UNWINDING = "unwinding"  # one-sided, or brought back to whole sets already
    CLOSED = "closed"
    STRANDED = "stranded"  # given up: the operator's


class LegState(StrEnum):
    """What is known of an order, and so of the leg that it trades."""

    PENDING = "pending"  # no witness yet
    LIVE = "live"  # rests
    DELAYED = "delayed"  # held back by the exchange, not to be canceled
    PARTIAL = "partial"  # rests, filled in part
    FILLED = "filled"
    REFUSED = "refused"  # never came to be
    CANCELED = "canceled"  # what is not filled never will be
    UNKNOWN = "unknown"  # to be asked for by its id
    FAILED = "failed"  # over, and at least one of its trades did not settle


class Purpose(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    COMPLETION = "completion"
    UNWIND = "unwind"


class TradeStatus(StrEnum):
    """How far a trade is on its way to the chain (protocol.md section 11.4)."""

    MATCHED = "matched"
    RETRYING = "retrying"
    MINED = "mined"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Outcome(StrEnum):
    """How a basket ended."""

    COMPLETE = "complete"  # every leg as planned
    PARTIAL = "partial"  # fewer whole sets than planned, nothing besides
    HELD = "held"  # more of some leg than whole sets need; its worst loss is inside the cap
    UNWOUND = "unwound"  # it was filled and is flat again
    FAILED = "failed"  # nothing was filled
    BLOCKED = "blocked"  # nothing was sent
    STRANDED = "stranded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    How patient a basket is.

    Attributes:
        ask_ns: Between two questions for the same order.
        settle_ns: Between two questions for trades that are not final.
        requote_ns: Before orders are priced once more.
        waits_max: Time-outs in a row that bring nothing new, before it is given up.
        absent_max: Times an order is not found before it counts as never arrived; with `ask_ns`
            this must span a few seconds (protocol.md section 9).
        attempts_max: Times that completing or unwinding is priced.
    """

    ask_ns: int = 1_000_000_000
    settle_ns: int = 5_000_000_000
    requote_ns: int = 250_000_000
    waits_max: int = 30
    absent_max: int = 5
    attempts_max: int = 8

    def __post_init__(self) -> None:
        for name in self.__slots__:
            _at_least(f"policy.{name}", getattr(self, name), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPlan:
    """
    One leg.

    Attributes:
        token: Decimal id of what is traded.
        tick_e4: The market's.
        side: BUY; SELL of the complement where inventory realises the leg.
        weight: Shares a set.
        limit_e4: Worst price accepted.
        shares_e6: Of the planned sets.
        maker_e6, taker_e6: The amounts that are signed (protocol.md section 10).
        cost_e6: Collateral a BUY may spend without fees, 0 for a SELL.
        fee_e6: The most its fee can be.
        min_size_e6: The market's least order.
        rate_e6, exponent: The market's fee.
    """

    token: str
    condition_id: str
    neg_risk: bool
    tick_e4: int
    side: Side
    weight: int
    limit_e4: int
    shares_e6: int
    maker_e6: int
    taker_e6: int
    cost_e6: int
    fee_e6: int
    min_size_e6: int
    rate_e6: int = 0
    exponent: int = 1

    def __post_init__(self) -> None:
        for name in ("tick_e4", "weight", "shares_e6", "maker_e6", "taker_e6"):
            _at_least(name, getattr(self, name), 1)
        for name in ("cost_e6", "fee_e6", "min_size_e6", "rate_e6"):
            _at_least(name, getattr(self, name), 0)
        if not self.tick_e4 <= self.limit_e4 <= 10_000 - self.tick_e4:
            bounds = f"{self.tick_e4}..{10_000 - self.tick_e4}"
            raise RangeError(f"limit_e4 {self.limit_e4} is outside {bounds}")

    @property
    def least_e6(self) -> int:
        """Shares of a full fill at the limit; one at better prices brings no fewer."""
        return self.taker_e6 if self.side is Side.BUY else self.maker_e6


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketPlan:
    """
    What is to be traded, and what it may cost at the very worst.

    Attributes:
        id: Ours, unique.
        relation: Of the relation that it takes advantage of.
        style: Of the entry orders; completing and unwinding is always FAK.
        sets_e6: Sets planned.
        payoff_e6: What a set pays at least.
        loss_cap_e6: The most it may lose, whatever happens.
        hold_e6: Cash held for it; no order of it is sent that could spend more.
        slippage_ticks: How much worse than quoted the limit of an unwind or completion is.
        timeout_ns: How long the entry orders have.
    """

    id: str
    relation: str
    legs: tuple[LegPlan, ...]
    style: OrderType
    sets_e6: int
    payoff_e6: int
    loss_cap_e6: int
    hold_e6: int
    slippage_ticks: int = 0
    timeout_ns: int = 3_000_000_000
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        if not self.legs:
            raise RangeError(f"basket {self.id} has no legs")
        if self.style not in {OrderType.FAK, OrderType.FOK, OrderType.GTC}:
            raise RangeError(f"style {self.style} is none of FAK, FOK, GTC")
        for name in ("sets_e6", "payoff_e6", "timeout_ns"):
            _at_least(name, getattr(self, name), 1)
        for name in ("loss_cap_e6", "slippage_ticks"):
            _at_least(name, getattr(self, name), 0)
        _at_least("hold_e6", self.hold_e6, sum(leg.cost_e6 + leg.fee_e6 for leg in self.legs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    One order of a basket.

    Attributes:
        id: The exchange's, which is known once it is signed; "" before.
        leg: Index into the plan's legs.
        maker_e6, taker_e6: As signed.
    """

    id: str = ""
    leg: int
    purpose: Purpose
    side: Side
    style: OrderType
    limit_e4: int
    maker_e6: int
    taker_e6: int

    @property
    def shares_e6(self) -> int:
        """Shares of a full fill at the limit."""
        return self.taker_e6 if self.side is Side.BUY else self.maker_e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    How a basket ended.

    Attributes:
        sets_e6: Whole sets held.
        spent_e6: Cash paid less cash received, fees included.
        fee_e6: Of it.
        pnl_e6: What it earns at least, once its sets are cashed in; below 0 a loss.
    """

    outcome: Outcome
    sets_e6: int = 0
    spent_e6: int = 0
    fee_e6: int = 0
    pnl_e6: int = 0


def entry_orders(plan: BasketPlan) -> tuple[Order, ...]:
    """Return the orders that open the plan, not signed yet."""
    return tuple(
        Order(
            leg=index,
            purpose=Purpose.ENTRY,
            side=leg.side,
            style=plan.style,
            limit_e4=leg.limit_e4,
            maker_e6=leg.maker_e6,
            taker_e6=leg.taker_e6,
        )
        for index, leg in enumerate(plan.legs)
    )


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise RangeError(f"{name} {value} is below {least}")
