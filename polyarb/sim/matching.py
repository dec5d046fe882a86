"""
One mirrored ladder per condition, and who meets whom on it (protocol.md section 11.1).

Everything rests on one book in YES terms: a BUY of NO at q is an ask for YES at 1 - q. An order
meets the best opposite level first, at equal price the oldest order, and trades at the resting
order's price. Pure: `plan` says what would happen; the venue makes it so.
"""

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, ceil_div
from polyarb.sim.ledger import Wallet

HISTORY_MAX: Final = 2_000
DUST_E6: Final = 100
"""Less than a ten-thousandth of a share left is nothing left."""


class Kind(StrEnum):
    """How two orders make a match."""

    COMPLEMENTARY = "COMPLEMENTARY"  # one sells what the other buys
    MINT = "MINT"  # two buyers split collateral
    MERGE = "MERGE"  # two sellers join a set


class Status(StrEnum):
    """Of an order, as order reads spell it."""

    LIVE = "LIVE"
    MATCHED = "MATCHED"
    DELAYED = "DELAYED"
    UNMATCHED = "UNMATCHED"
    INVALID = "INVALID"
    CANCELED = "CANCELED"
    NO_BALANCE = "CANCELED_NOT_ENOUGH_BALANCE"
    RESOLVED = "CANCELED_MARKET_RESOLVED"
    EXPIRED = "CANCELED_EXPIRED_ORDER"


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """
    An accepted order.

    Attributes:
        owner: API key that placed it; "" for the venue's own participants.
        outcome: 0 YES, 1 NO: which token.
        buy: BUY or SELL of that token.
        price_e4: Limit in the token's own terms.
        size_e6: Shares; for a budget the least it asks for.
        budget_e6: Collateral a FOK or FAK BUY may spend (section 10.4); 0: `size_e6` counts.
        kind: GTC, GTD, FOK or FAK.
        expires_s: Unix seconds as sent, 0 none.
        matched_e6: Shares traded so far, failed matches included.
        spent_e6: Collateral given (BUY) or received (SELL) for them, fees apart.
        taken_e6, taken_cash_e6: What of them it took at others' prices before it rested.
        leg: Place in the batch it came in.
        trade_ids: Newest last.
        bid, level_e4: Where it stands on the one book, in YES terms.
    """

    id: str
    wallet: Wallet
    owner: str = ""
    market: Market
    outcome: int
    buy: bool
    price_e4: int
    size_e6: int
    budget_e6: int = 0
    kind: str = "GTC"
    post_only: bool = False
    expires_s: int = 0
    created_ns: int = 0
    matched_e6: int = 0
    spent_e6: int = 0
    taken_e6: int = 0
    taken_cash_e6: int = 0
    status: str = Status.LIVE
    leg: int = 0
    trade_ids: tuple[str, ...] = ()
    bid: bool = False
    level_e4: int = 0

    def __post_init__(self) -> None:
        self.bid = self.buy == (self.outcome == 0)
        self.level_e4 = self.price_e4 if self.outcome == 0 else ONE_E4 - self.price_e4

    @property
    def token(self) -> str:
        """Return the token it trades."""
        return self.market.tokens[self.outcome]

    @property
    def left_e6(self) -> int:
        """Return the shares still wanted."""
        return self.size_e6 - self.matched_e6

    @property
    def done(self) -> bool:
        """Say whether nothing worth trading is left."""
        if self.budget_e6:
            return (self.budget_e6 - self.spent_e6) * ONE_E4 < self.price_e4 * DUST_E6
        return self.size_e6 - self.matched_e6 < DUST_E6

    def held_e6(self) -> int:
        """Return what it reserves while it rests: collateral for BUY, shares for SELL."""
        if not self.buy:
            return self.left_e6
        rested = self.price_e4 * (self.size_e6 - self.taken_e6)
        return ceil_div(rested, ONE_E4) + self.taken_cash_e6 - self.spent_e6

    def cash_for(self, shares: int) -> int:
        """Return the collateral a maker moves for the next `shares`, rounded against it in sum."""
        total = self.price_e4 * (self.matched_e6 - self.taken_e6 + shares)
        rounded = ceil_div(total, ONE_E4) if self.buy else total // ONE_E4
        return rounded + self.taken_cash_e6 - self.spent_e6


@dataclass(slots=True, eq=False)
class Level:
    """All orders at one price, oldest first, and the shares they still want."""

    orders: dict[str, Order]
    total_e6: int = 0


class Book:
    """
    The ladder of one condition.

    Attributes:
        sides: (asks, bids): level by its price in YES terms.
        prices: (asks, bids): the prices that have a level, ascending.
        changed_ms: Unix milliseconds of the last change.
        touch: Best bid and ask as of then, in YES terms.
        last_price_e4, last_yes_e4, last_side: The last trade: as it was for the token that traded,
            in YES terms, and the taker's side.
        volume_e6: Collateral that takers moved.
        history: (Unix second, price in YES terms) of the last trades.
    """

    __slots__ = (
        *("changed_ms", "history", "last_price_e4", "last_side", "last_yes_e4"),
        *("_fill", "market", "prices", "sides", "touch", "volume_e6"),
    )

    def __init__(self, market: Market) -> None:
        self.market = market
        self._fill: Callable[[], None] | None = None
        self.sides: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.prices: tuple[list[int], list[int]] = ([], [])
        self.changed_ms = 0
        self.volume_e6 = 0
        self.touch: tuple[int | None, int | None] = (None, None)
        self.history: deque[tuple[int, int]] = deque(maxlen=HISTORY_MAX)
        self.last_yes_e4: int | None = None
        self.last_price_e4: int | None = None
        self.last_side = ""

    def __getattr__(self, name: str) -> Any:
        """Unfold the book at the first look into it: only what `put_off` took away is missing."""
        if name not in {"prices", "sides"}:
            raise AttributeError(name)
        self.unfold()
        return getattr(self, name)

    def put_off(self, touch: tuple[int | None, int | None], fill: Callable[[], None]) -> None:
        """
        Leave an empty book so until somebody looks beyond its touch.

        Args:
            touch: What it shows until then, and just after.
            fill: Lets the orders rest; does the same whenever it is called.
        """
        self.touch, self._fill = touch, fill
        del self.sides, self.prices

    def unfold(self) -> None:
        """Do what was put off, if it was."""
        if self._fill:
            fill, self._fill = self._fill, None
            self.sides, self.prices = ({}, {}), ([], [])
            fill()

    def best(self, bid: bool, outcome: int = 0) -> int | None:
        """Return the best bid or ask of a token in its own terms, or None."""
        if outcome:
            best = self.best(not bid)
            return None if best is None else ONE_E4 - best
        prices = self.prices[bid]
        if not prices:
            return None
        return prices[-1] if bid else prices[0]

    def depth(self, bid: bool, outcome: int = 0) -> Iterator[tuple[int, int]]:
        """Yield (price_e4, shares) of one side of a token's book, best first."""
        side = bid != bool(outcome)
        prices = self.prices[side]
        for price in reversed(prices) if side else prices:
            yield (ONE_E4 - price if outcome else price), self.sides[side][price].total_e6

    def rest(self, order: Order) -> None:
        """Add an order behind all others at its price."""
        side = self.sides[order.bid]
        level = side.get(order.level_e4)
        if level is None:
            level = side[order.level_e4] = Level({})
            insort(self.prices[order.bid], order.level_e4)
        level.orders[order.id] = order
        level.total_e6 += order.left_e6

    def remove(self, order: Order) -> None:
        """Take a resting order off."""
        level = self.sides[order.bid][order.level_e4]
        del level.orders[order.id]
        self.reduce(order, order.left_e6)

    def reduce(self, order: Order, shares: int) -> None:
        """Lower the level of a resting order, and drop it once no order is left."""
        side = self.sides[order.bid]
        level = side[order.level_e4]
        level.total_e6 -= shares
        if not level.orders:
            del side[order.level_e4]
            prices = self.prices[order.bid]
            del prices[bisect_left(prices, order.level_e4)]

    def resting(self, order: Order) -> bool:
        """Say whether this very order stands on the book."""
        level = self.sides[order.bid].get(order.level_e4)
        return level is not None and order.id in level.orders

    def crosses(self, order: Order) -> bool:
        """Say whether it would trade at once."""
        best = self.best(not order.bid)
        if best is None:
            return False
        return best <= order.level_e4 if order.bid else best >= order.level_e4

    def total(self, order: Order) -> int:
        """Return the shares at the level of an order, 0 without one."""
        level = self.sides[order.bid].get(order.level_e4)
        return level.total_e6 if level else 0

    def orders(self) -> Iterator[Order]:
        """Yield every resting order."""
        for side in self.sides:
            for level in side.values():
                yield from level.orders.values()


@dataclass(frozen=True, slots=True)
class Fill:
    """A maker that meets the taker: how much, as what, at whose price."""

    maker: Order
    shares: int
    kind: Kind


@dataclass(slots=True)
class Plan:
    """What a taker would do to a book: its fills in order, and makers whose funds are gone."""

    fills: list[Fill]
    broke: list[Order]
    complete: bool = False


def plan(book: Book, taker: Order) -> Plan:
    """Match a taker against the book on paper."""
    made = Plan([], [])
    left = taker.left_e6
    budget = taker.budget_e6 - taker.spent_e6
    used: Counter[tuple[str, str]] = Counter()
    for maker in makers(book, taker):
        price = maker.level_e4 if taker.outcome == 0 else ONE_E4 - maker.level_e4
        wanted = budget * ONE_E4 // price if taker.budget_e6 else left
        shares = min(wanted, maker.left_e6)
        if shares <= 0 or (wanted < DUST_E6 and made.fills):
            made.complete = True
            break
        if not _can_deliver(maker, shares, used):
            made.broke.append(maker)
            continue
        made.fills.append(Fill(maker, shares, _kind(taker, maker)))
        left -= shares
        budget -= taker_cash(taker, maker, shares)
    made.complete = made.complete or (
        budget * ONE_E4 < taker.price_e4 * DUST_E6 if taker.budget_e6 else left < DUST_E6
    )
    return made


def makers(book: Book, taker: Order) -> Iterator[Order]:
    """Yield the resting orders that an order would meet, first come first."""
    side = not taker.bid
    prices = book.prices[side]
    for price in prices if taker.bid else reversed(prices):
        if price > taker.level_e4 if taker.bid else price < taker.level_e4:
            return
        yield from book.sides[side][price].orders.values()


def _kind(taker: Order, maker: Order) -> Kind:
    if taker.outcome == maker.outcome:
        return Kind.COMPLEMENTARY
    return Kind.MINT if taker.buy else Kind.MERGE


def taker_cash(taker: Order, maker: Order, shares: int) -> int:
    """Return the collateral the taker gives (BUY) or gets (SELL) in a fill, fee apart."""
    moved = maker.cash_for(shares)
    return moved if taker.outcome == maker.outcome else shares - moved


def _can_deliver(maker: Order, shares: int, used: Counter[tuple[str, str]]) -> bool:
    """Say whether the maker's wallet still covers the fill, earlier fills of the plan included."""
    wallet = maker.wallet
    token = "" if maker.buy else maker.token
    units = maker.cash_for(shares) if maker.buy else shares
    has = wallet.cash_e6 if maker.buy else wallet.positions.get(token, 0)
    if used[wallet.address, token] + units > has:
        return False
    used[wallet.address, token] += units
    return True
