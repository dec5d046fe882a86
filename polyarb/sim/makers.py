"""
Makers: who quotes one market, on both sides of what they believe it is worth.

A `Quoter` stands for all makers of a market. It bids at or below its fair value and asks at or
above it, on the market's grid; so as long as the fair values of an event add up, so do its quotes.
Between news it sets, withdraws and sets again, mostly far from the best prices, as recorded.
"""

import math
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Final

from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, ONE_E6
from polyarb.sim.http import HttpError
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order, Status
from polyarb.sim.mispricing import CENTI_E6, Touch, house

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

CASH_E6: Final = 10**9 * ONE_E6
SETS_E6: Final = 200_000 * ONE_E6
"""What each of the venue's own wallets starts with, and holds of each market's tokens."""

QUOTING: Final = ("normal", "post_only")

_NEAR: Final = 0.5  # mean distance from the touch of a quote that is new, of the ladder's levels
_BUSY_TOUCH: Final = 0.15  # how often a quote at the touch is withdrawn when it was drawn


class Desk:
    """
    What the venue's own participants share: chance, wallets and order ids.

    Args:
        venue: Where they act.
        levels: Levels of a side, more or less.
        shares: Typical size of a quote.
        still: Quote the same sizes on both sides, always.
    """

    def __init__(self, venue: "Venue", levels: int, shares: float, *, still: bool) -> None:
        self.venue = venue
        self.levels = levels
        self.still = still
        self.rng = venue.rng("makers")
        self.noise, self.rival, *makers = (
            venue.ledger.add(Wallet(house(name), ""))
            for name in ("noise", "rival", "maker 1", "maker 2", "maker 3", "maker 4")
        )
        self.makers = tuple(makers)
        for wallet in (self.noise, self.rival, *makers):
            venue.deposit(wallet, CASH_E6)
        self._size = math.log(shares)
        self._prefix = f"0x{self.rng.getrandbits(200):050x}"
        self._orders = 0

    def stock(self, market: Market) -> None:
        """Give makers and takers tokens to sell."""
        for wallet in (self.noise, *self.makers):
            self.venue.ledger.deposit(wallet, SETS_E6)  # however many markets there are
            self.venue.ledger.split(wallet, market, SETS_E6)

    def order_id(self) -> str:
        """Return the next order id."""
        self._orders += 1
        return f"{self._prefix}{self._orders:014x}"

    def order_ids(self, count: int) -> Iterator[str]:
        """Return the next order ids, to be used at any time."""
        first = self._orders + 1
        self._orders += count
        return (f"{self._prefix}{number:014x}" for number in range(first, first + count))

    def size_e6(self, rank: int, market: Market, rng: Random) -> int:
        """Return the size of a quote, larger the farther it stands from the touch."""
        if self.still:
            return round(math.exp(self._size)) * (1 + rank) * ONE_E6
        shares = rng.lognormvariate(self._size + 0.05 * rank, 1.0)
        unit = ONE_E6 if rng.random() < 0.7 else CENTI_E6
        return max(market.min_size_e6, int(shares * ONE_E6) // unit * unit)

    def order(
        self, market: Market, bid: bool, level_e4: int, size_e6: int, *, rng: Random, number: str
    ) -> Order:
        """Return an order of some maker, in the terms of some token."""
        chance = rng.getrandbits(3)
        outcome = chance & 1
        return Order(
            id=number,
            wallet=self.makers[chance >> 1],
            market=market,
            outcome=outcome,
            buy=bid != bool(outcome),
            price_e4=ONE_E4 - level_e4 if outcome else level_e4,
            size_e6=size_e6,
        )

    def quote(self, market: Market, bid: bool, level_e4: int, size_e6: int) -> Order | None:
        """Place an order; None if none rests of it."""
        order = self.order(market, bid, level_e4, size_e6, rng=self.rng, number=self.order_id())
        try:
            self.venue.execute(order)
        except HttpError:
            return None
        return order if order.status == Status.LIVE else None


class Quoter:
    """
    The makers of one market.

    Attributes:
        fair_e4: What they believe YES is worth.
        asleep: They lag: their quotes stay while the world moves on.
        shy_e4: How far their asks and bids keep away from where they could stand.
    """

    def __init__(self, desk: Desk, market: Market, fair: float) -> None:
        self.market = market
        self.book = desk.venue.book(market)
        self.fair_e4 = fair * ONE_E4
        self.asleep = False
        self.shy_e4 = [0, 0]
        self._desk = desk
        tick = market.tick_e4
        self._half_e4 = desk.rng.uniform(0.1, 0.5) * tick if tick > 1 else desk.rng.uniform(4, 12)
        self._quotes: tuple[list[Order], list[Order]] = ([], [])
        self._parked: list[tuple[bool, int, int]] = []

    @property
    def parked(self) -> int:
        """Return how many quotes wait to be set again."""
        return len(self._parked)

    @property
    def step_e4(self) -> int:
        """Return the usual distance between two levels: a fine grid is not filled."""
        return _step_e4(self.market.tick_e4)

    def limits(self, fair_e4: float | None = None) -> tuple[int, int]:
        """Return the lowest ask and the highest bid they may quote; outside the grid for none."""
        fair_e4 = self.fair_e4 if fair_e4 is None else fair_e4
        tick = self.market.tick_e4
        ask = math.ceil((fair_e4 + self._half_e4) / tick) * tick + self.shy_e4[0]
        bid = math.floor((fair_e4 - self._half_e4) / tick) * tick - self.shy_e4[1]
        return max(ask, tick), min(bid, ONE_E4 - tick)

    def touch(self, fair_e4: float) -> Touch:
        """Return the bid and ask they would show at a fair value."""
        ask, bid = self.limits(fair_e4)
        tick = self.market.tick_e4
        return (bid if bid >= tick else None), (ask if ask <= ONE_E4 - tick else None)

    def lay(self) -> None:
        """Set up both sides, unless somebody has."""
        if not self.market.accepting or self.book.sides[0] or self.book.sides[1]:
            return
        for quotes in self._quotes:
            quotes.clear()
        self._parked.clear()
        desk, limits, tick = self._desk, self.limits(), self.market.tick_e4
        for bid, level, size in self._ladder(desk.rng, limits, tick, desk.levels):
            self._set(bid, level, size)

    def put_off(self) -> None:
        """
        Set up both sides at the first look into the book, unheard, and half as deep.

        Looking must change nothing: what will stand there is settled now, whenever that is, down
        to the random numbers and the ids of the orders.
        """
        if not self.market.accepting or self.book.sides[0] or self.book.sides[1]:
            return
        desk, limits, tick = self._desk, self.limits(), self.market.tick_e4
        levels = -(-desk.levels // 2)
        ids = desk.order_ids(2 * max(2, math.ceil(1.25 * levels)))

        def fill() -> None:
            rng = Random(f"{desk.venue.seed}|{self.market.condition_id}")  # noqa: S311  (chance)
            for bid, level, size in self._ladder(rng, limits, tick, levels):
                order = desk.order(self.market, bid, level, size, rng=rng, number=next(ids))
                order.created_ns = desk.venue.start_ns
                desk.venue._rest(order)
                self._quotes[bid].append(order)

        self.book.put_off(self.touch(self.fair_e4), fill)

    def _ladder(
        self, rng: Random, limits: tuple[int, int], tick: int, levels: int
    ) -> Iterator[tuple[bool, int, int]]:
        """Yield (bid, level, size) of both sides, away from their limits, as far as the grid."""
        desk, still = self._desk, self._desk.still
        for bid, level in enumerate(limits):
            count = levels if still else max(2, round(levels * rng.uniform(0.75, 1.25)))
            for rank in range(count):
                size = desk.size_e6(rank, self.market, rng)
                if not tick <= level <= ONE_E4 - tick:
                    break
                yield bool(bid), level, size
                away = 1.0 if still else rng.expovariate(0.7)
                step = max(tick, int(away * _step_e4(tick)) // tick * tick)
                level += -step if bid else step  # noqa: PLW2901  (it walks from its limit)

    def act(self) -> None:
        """Do one of the things makers do all day: withdraw a quote, or set one again."""
        if not self.market.accepting or self._desk.venue.mode not in QUOTING:
            return
        self.book.unfold()
        chance = self._desk.rng.random()
        if self._parked and chance < min(0.9, 0.3 + 0.1 * len(self._parked)):
            self._set_again()
        else:
            self._withdraw_one()

    def pull(self) -> None:
        """Withdraw what stands on the wrong side of the fair value, or off the grid."""
        self.book.unfold()
        tick = self.market.tick_e4
        for bid, limit in enumerate(self.limits()):
            for order in list(self._quotes[bid]):
                level = order.level_e4
                if (level > limit if bid else level < limit) or level % tick:
                    self._withdraw(order)

    def fill(self, size_e6: int = 0) -> None:
        """
        See that both sides stand where they should, and drop what has become too deep.

        Args:
            size_e6: Of a quote that is missing at the touch; 0 for any.
        """
        if not self.market.accepting or self._desk.venue.mode not in QUOTING:
            return
        self.book.unfold()
        for bid, limit in enumerate(self.limits()):
            quotes = self._quotes[bid]
            if not any(o.level_e4 == limit and o.status == Status.LIVE for o in quotes):
                self._set(bool(bid), limit, size_e6 or self._any_size_e6())
            if len(quotes) > 1.3 * self._desk.levels:
                choose = min if bid else max
                self._withdraw(choose(quotes, key=lambda order: order.level_e4), park=False)

    def probe(self, bid: bool, size_e6: int) -> None:
        """Set a small order where they would quote if they were not shy."""
        limit = self.limits()[bid] + (self.shy_e4[1] if bid else -self.shy_e4[0])
        self._set(bid, limit, size_e6)

    def _any_size_e6(self) -> int:
        return self._desk.size_e6(0, self.market, self._desk.rng)

    def _set(self, bid: bool, level_e4: int, size_e6: int) -> None:
        tick = self.market.tick_e4
        if not tick <= level_e4 <= ONE_E4 - tick:
            return
        order = self._desk.quote(self.market, bid, level_e4, size_e6)
        if order:
            self._quotes[bid].append(order)

    def _set_again(self) -> None:
        """Put a withdrawn quote back, at its own level where that is still right."""
        rng = self._desk.rng
        chosen = int(rng.random() * len(self._parked))
        bid, level, size = self._parked[chosen]
        self._parked[chosen] = self._parked[-1]
        self._parked.pop()
        limit = self.limits()[bid]
        if (level > limit if bid else level < limit) or level % self.market.tick_e4:
            level, size = self._free(bid, limit), self._any_size_e6()
        self._set(bid, level, size)

    def _free(self, bid: bool, limit_e4: int) -> int:
        """Draw a level, rather one that is not taken, the nearer to the touch the likelier."""
        tick, level = self.market.tick_e4, limit_e4
        for _ in range(3):
            steps = self._desk.rng.expovariate(1 / (_NEAR * self._desk.levels))
            away = int(steps * self.step_e4) // tick * tick
            level = limit_e4 - away if bid else limit_e4 + away
            if level not in self.book.sides[bid] and tick <= level <= ONE_E4 - tick:
                break
        return level

    def _withdraw_one(self) -> None:
        rng = self._desk.rng
        bid = rng.random() < 0.5
        quotes = self._quotes[bid]
        if len(quotes) < 3:
            quotes = self._quotes[not bid]
            if len(quotes) < 3:
                return
        order = quotes[int(rng.random() * len(quotes))]
        best = self.book.best(order.bid)
        if order.level_e4 == best and rng.random() >= _BUSY_TOUCH:
            order = quotes[int(rng.random() * len(quotes))]
        self._withdraw(order)

    def _withdraw(self, order: Order, *, park: bool = True) -> None:
        """Take a quote off; one that was filled meanwhile is set anew some time."""
        quotes = self._quotes[order.bid]
        at = quotes.index(order)
        quotes[at] = quotes[-1]
        quotes.pop()
        if order.status == Status.LIVE:
            self._desk.venue.remove(order, Status.CANCELED)
        if park:
            self._parked.append((order.bid, order.level_e4, order.size_e6))


def _step_e4(tick_e4: int) -> int:
    return tick_e4 * max(1, 30 // tick_e4)
