"""What is known of one order from everything that was told of it, whatever came first."""

from typing import Final, NamedTuple

from polyarb.domain.basket import DUST_E6, LegState, Order, TradeStatus
from polyarb.domain.order import OrderType, Side
from polyarb.execution.events import (
    Absent,
    Accepted,
    CancelAnswer,
    Fact,
    OrderSeen,
    OrderStatus,
    Refused,
    SendUnknown,
    Sent,
    Traded,
)
from polyarb.execution.table import LEGS, Told

RESTING: Final = frozenset({LegState.LIVE, LegState.PARTIAL})
DONE: Final = frozenset({LegState.FILLED, LegState.REFUSED, LegState.CANCELED, LegState.FAILED})
FINAL: Final = frozenset({TradeStatus.CONFIRMED, TradeStatus.FAILED})
SETTLED: Final = frozenset({TradeStatus.MINED, TradeStatus.CONFIRMED})
"""The shares are in the wallet and can be sold."""

_OF_TOTAL: Final = frozenset({Told.ACCEPTED_DONE, Told.SEEN_DONE, Told.SEEN_CANCELED, Told.GONE})
_EXISTS: Final = frozenset({Told.SEEN_LIVE, Told.SEEN_DELAYED, Told.ACCEPTED_LIVE})
_ACCEPTED: Final = {
    OrderStatus.LIVE: Told.ACCEPTED_LIVE,
    OrderStatus.DELAYED: Told.ACCEPTED_DELAYED,
    OrderStatus.CANCELED: Told.ACCEPTED_UNCLEAR,
}
_SEEN: Final = {
    OrderStatus.LIVE: Told.SEEN_LIVE,
    OrderStatus.DELAYED: Told.SEEN_DELAYED,
    OrderStatus.MATCHED: Told.SEEN_DONE,
    OrderStatus.CANCELED: Told.SEEN_CANCELED,
}


class Tracked(NamedTuple):
    """
    An order and what is known of it.

    Attributes:
        matched_e6: The most shares that anybody said were traded.
        total: Whoever said so knew the order to be over.
        absent: Times it was not found, in a row.
        trades: One per trade id, at its last known status.
    """

    order: Order
    state: LegState = LegState.PENDING
    matched_e6: int = 0
    total: bool = False
    absent: int = 0
    trades: tuple[Traded, ...] = ()

    @property
    def done(self) -> bool:
        """Nothing of it rests or is on its way."""
        return self.state in DONE

    @property
    def resting(self) -> bool:
        """It can be canceled, and has to be."""
        return self.state in RESTING

    @property
    def traded_e6(self) -> int:
        """Shares of the trades we know, failed ones included."""
        return sum(trade.shares_e6 for trade in self.trades)

    @property
    def failed_e6(self) -> int:
        """Shares of failed trades."""
        return sum(t.shares_e6 for t in self.trades if t.status is TradeStatus.FAILED)

    @property
    def filled_e6(self) -> int:
        """Shares traded and not failed, by whoever says most."""
        return max(self.matched_e6, self.traded_e6) - self.failed_e6

    @property
    def held_e6(self) -> int:
        """Shares of the trades we know, failed ones left out."""
        return self.traded_e6 - self.failed_e6

    @property
    def resolved(self) -> bool:
        """It is over, and every share of it is in a trade we know."""
        if not self.done or self.matched_e6 >= self.traded_e6 + DUST_E6:
            return False
        full = self.traded_e6 > self.order.shares_e6 - DUST_E6
        return self.total or full

    @property
    def settled(self) -> bool:
        """Resolved, and every trade of it is final."""
        return self.resolved and all(trade.status in FINAL for trade in self.trades)


def told(tracked: Tracked, fact: Fact) -> tuple[Told, int]:
    """Return what the fact says, and the shares it says were traded."""
    match fact:
        case Accepted(status=OrderStatus.MATCHED, filled_e6=None):
            return Told.ACCEPTED_UNCLEAR, 0
        case Accepted(status=OrderStatus.MATCHED, filled_e6=int() as filled):
            immediate = tracked.order.style is not OrderType.GTC
            return (Told.ACCEPTED_DONE if immediate else Told.ACCEPTED_LIVE), filled
        case Accepted(status=status, filled_e6=filled):
            return _ACCEPTED[status], filled or 0
        case OrderSeen(status=status, matched_e6=matched):
            return _SEEN[status], matched
        case CancelAnswer(canceled=canceled):
            return (Told.CANCEL_DONE if canceled else Told.CANCEL_DENIED), 0
        case Traded(status=TradeStatus.FAILED):
            return Told.TRADE_FAILED, 0
        case Traded():
            return Told.TRADED, 0
        case Refused():
            return Told.REFUSED, 0
        case SendUnknown():
            return Told.LOST, 0
        case Absent():
            return Told.ABSENT, 0
        case Sent():
            return Told.SENT, 0


def learn(tracked: Tracked, fact: Fact, absent_max: int) -> Tracked:
    """Return what is known after the fact; the same object where it brings nothing new."""
    said, matched_e6 = told(tracked, fact)
    after = tracked
    if isinstance(fact, Traded):
        after = after._replace(trades=_with_trade(after.trades, fact))
        if after.trades == tracked.trades:
            return tracked
    if matched_e6 > after.matched_e6:
        after = after._replace(matched_e6=matched_e6)
    after = move(after, said)
    if said is Told.ABSENT and not after.resolved:
        after = after._replace(absent=after.absent + 1)
        if after.absent >= absent_max:
            after = move(after, Told.GONE)
    return tracked if after == tracked else after


def move(tracked: Tracked, said: Told) -> Tracked:
    """Return it in the state that the table and its amounts give."""
    after = tracked._replace(state=LEGS[tracked.state, said])
    after = after._replace(state=_by_amount(after))
    total = tracked.total or said in _OF_TOTAL or after.state is LegState.REFUSED
    return after._replace(
        total=after.done and total,
        absent=0 if said in _EXISTS else after.absent,
    )


def _by_amount(tracked: Tracked) -> LegState:
    """Return the state that fits what was filled: the table knows no amounts."""
    state, filled = tracked.state, tracked.filled_e6
    full = filled > tracked.order.shares_e6 - DUST_E6
    if full:
        return LegState.FILLED
    if state in RESTING:
        return LegState.PARTIAL if filled else LegState.LIVE
    if state is LegState.FILLED:
        return LegState.FAILED if tracked.failed_e6 else LegState.CANCELED
    if state is LegState.REFUSED and filled:
        return LegState.CANCELED if tracked.absent else LegState.UNKNOWN
    return state


def _with_trade(trades: tuple[Traded, ...], new: Traded) -> tuple[Traded, ...]:
    """Return the trades with one added or moved on; amounts are those first told."""
    for index, old in enumerate(trades):
        if old.trade_id == new.trade_id:
            status = later(old.status, new.status)
            return (*trades[:index], old.moved_to(status), *trades[index + 1 :])
    return tuple(sorted((*trades, new), key=lambda trade: trade.trade_id))


def later(old: TradeStatus, new: TradeStatus) -> TradeStatus:
    """
    Return the status that holds.

    CONFIRMED and FAILED stay. MATCHED is old news of whatever came further. RETRYING takes MINED
    back even where it is old news itself: until it is told again, nothing counts as settled.
    """
    if old in FINAL or new is TradeStatus.MATCHED:
        return old
    return new


def cash_of(trade: Traded, side: Side) -> int:
    """Return what the trade cost, fee included; below 0 what it brought."""
    return trade.cash_e6 + trade.fee_e6 if side is Side.BUY else trade.fee_e6 - trade.cash_e6
