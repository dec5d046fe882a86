"""
What all baskets together have: shares by token, what they cost, and whose cash is whose.

Both are sums over fills and actions that are told once or many times, in any order. Shares are
counted against us: bought ones when they are settled, sold ones as soon as they are matched.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from polyarb.domain.basket import TradeStatus
from polyarb.domain.order import Side
from polyarb.errors import FundsError, RangeError
from polyarb.execution.actions import Commit, Credit, Release, Reserve
from polyarb.execution.events import Traded
from polyarb.execution.orders import SETTLED, later


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """
    What there is of one token.

    Attributes:
        shares_e6: In the wallet and not sold: what may be sold, merged or redeemed.
        arriving_e6: Bought and not settled.
        leaving_e6: Sold and not settled; in the wallet still, but spoken for.
        cost_e6: Of what was bought and not sold, fees included, at average cost.
        realised_e6: What sales brought above the average cost of what they sold, after fees.
        fees_e6: Paid so far.
    """

    shares_e6: int = 0
    arriving_e6: int = 0
    leaving_e6: int = 0
    cost_e6: int = 0
    realised_e6: int = 0
    fees_e6: int = 0

    @property
    def expected_e6(self) -> int:
        """Shares once everything is settled."""
        return self.shares_e6 + self.arriving_e6

    @property
    def average_e4(self) -> int:
        """Return the average price paid for a share x 10^4, rounded up; 0 where there is none."""
        return -(-self.cost_e6 * 10_000 // self.expected_e6) if self.expected_e6 > 0 else 0


class Fill(NamedTuple):
    """A fill as it was last told."""

    side: Side
    trade: Traded


class Positions:
    """Inventory by token; tell it every trade, as often and in whatever order it is heard."""

    __slots__ = ("_fills",)

    def __init__(self) -> None:
        self._fills: dict[str, dict[tuple[str, str], Fill]] = defaultdict(dict)

    def learn(self, token: str, side: Side, trade: Traded) -> bool:
        """Take note of a fill; return whether that changed anything."""
        fills, key = self._fills[token], (trade.trade_id, trade.order_id)
        before = fills.get(key)
        if before is None:
            fills[key] = Fill(side, trade)
            return True
        status = later(before.trade.status, trade.status)
        if status is before.trade.status:
            return False
        fills[key] = Fill(side, before.trade.moved_to(status))
        return True

    def tokens(self) -> tuple[str, ...]:
        """Return every token that was ever traded."""
        return tuple(token for token, fills in self._fills.items() if fills)

    def of(self, token: str) -> Position:
        """
        Return the position in a token.

        The average cost is that of all purchases, so that it does not depend on their order; what
        a sale of more than was ever bought sells has cost nothing.
        """
        fills = self._fills[token].values() if token in self._fills else ()
        real = [fill for fill in fills if fill.trade.status is not TradeStatus.FAILED]
        bought, sold = _sum(real, Side.BUY), _sum(real, Side.SELL)
        settled_in = _sum([f for f in real if f.trade.status in SETTLED], Side.BUY)
        settled_out = _sum([f for f in real if f.trade.status in SETTLED], Side.SELL)
        paid, taken = bought.cash_e6 + bought.fee_e6, sold.cash_e6 - sold.fee_e6
        gone = min(sold.shares_e6, bought.shares_e6)
        cost = -(-paid * gone // bought.shares_e6) if gone else 0
        return Position(
            shares_e6=settled_in.shares_e6 - sold.shares_e6,
            arriving_e6=bought.shares_e6 - settled_in.shares_e6,
            leaving_e6=sold.shares_e6 - settled_out.shares_e6,
            cost_e6=paid - cost,
            realised_e6=taken - cost,
            fees_e6=bought.fee_e6 + sold.fee_e6,
        )


class _Sum(NamedTuple):
    shares_e6: int
    cash_e6: int
    fee_e6: int


def _sum(fills: list[Fill], side: Side) -> _Sum:
    trades = [trade for its, trade in fills if its is side]
    return _Sum(
        sum(trade.shares_e6 for trade in trades),
        sum(trade.cash_e6 for trade in trades),
        sum(trade.fee_e6 for trade in trades),
    )


class Holds:
    """
    Cash, and how much of it each basket holds; the same dollar is never held twice.

    The account in the core does this for speed; this knows whose the holds are. After a restart
    it is made again from the baskets that are not over, and the core's account from it.

    Args:
        cash_e6: All there is, what is held included.

    Attributes:
        available_e6: What a new basket may hold.
    """

    __slots__ = ("_held", "available_e6")

    def __init__(self, cash_e6: int) -> None:
        if cash_e6 < 0:
            raise RangeError(f"cash_e6 {cash_e6} is below 0")
        self.available_e6 = cash_e6
        self._held: dict[str, int] = {}

    @property
    def held_e6(self) -> int:
        """Return what all baskets hold."""
        return sum(self._held.values())

    @property
    def cash_e6(self) -> int:
        """Return all there is."""
        return self.available_e6 + self.held_e6

    def of(self, basket: str) -> int:
        """Return what a basket holds."""
        return self._held.get(basket, 0)

    def apply(self, basket: str, action: Reserve | Release | Commit | Credit) -> None:
        """
        Do what the basket's machine asks for.

        A `Commit` beyond the hold may take `available_e6` below 0: it tells of cash that is spent.

        Raises:
            FundsError: Less is available than it wants to hold; nothing is changed.
            RangeError: It gives back, or spends out of its hold, more than it holds.
        """
        match action:
            case Reserve(cash):
                if cash > self.available_e6:
                    raise FundsError(f"{cash} e6 to hold, {self.available_e6} e6 available")
                self._move(basket, cash)
                self.available_e6 -= cash
            case Release(cash):
                self._move(basket, -cash)
                self.available_e6 += cash
            case Commit(cash, held):
                self._move(basket, -held)
                self.available_e6 -= cash - held
            case Credit(cash, hold):
                self._move(basket, cash if hold else 0)
                self.available_e6 += 0 if hold else cash

    def _move(self, basket: str, cash_e6: int) -> None:
        held = self.of(basket) + cash_e6
        if held < 0:
            raise RangeError(f"basket {basket} holds {self.of(basket)} e6, not {-cash_e6} e6")
        self._held[basket] = held
        if not held:
            del self._held[basket]
