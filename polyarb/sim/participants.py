"""
The living market: makers, takers, lags that misprice, a rival, and what happens to markets.

Everything runs on the venue's queue and on its random numbers, so a run repeats. Quotes come in
clusters, as recorded: silence for a minute, then a dozen changes a millisecond or two apart.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from polyarb.sim import universe
from polyarb.sim.catalog import Event, Market
from polyarb.sim.decimals import ONE_E4, ONE_E6
from polyarb.sim.fair import Fair, fair
from polyarb.sim.http import HttpError
from polyarb.sim.makers import QUOTING, Desk, Quoter
from polyarb.sim.matching import Order, Status
from polyarb.sim.mispricing import (
    CENTI_E6,
    Kind,
    Relation,
    Touch,
    best_basket,
    least_e6,
    relations,
)

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 3_600 * SECOND

DEFAULT: Final = "default"

AT_ONCE_MAX: Final = 2_000
"""Markets of the largest catalogue all of whose books are filled before it starts."""

_UPDOWN: Final = re.compile(r"(btc|eth|sol|xrp)-updown-(5|15)m-\d+")
_COINS: Final = ("btc", "eth", "sol", "xrp")
_NEXT_TICK: Final = {100: 10, 50: 25, 25: 50, 10: 100}


_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Factor = Annotated[float, msgspec.Meta(ge=0, le=10_000)]


class MarketConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    How much goes on.

    Attributes:
        levels: Of a side of a book, more or less.
        shares: Median size of a quote at the touch.
        active_share: Part of the markets that are active; up-or-down markets are fast.
        activity: Multiplies how often makers change quotes; 0 for never.
        changes_per_s: > 0: so many changes a second over all markets, whatever their class.
        takers: Multiplies how often somebody trades.
        news: Multiplies how often fair values move.
        mispricings_per_min: How often a maker lags behind news, over all markets.
        edge_usd: Median profit of such a mispricing, per set and after fees.
        depth_shares: Median size at the touch of its legs.
        life_ms: Median time until its maker wakes.
        decoy_share: Part of them that are none: augmented, eaten by fees, or too small.
        rival_ms: Median reaction of the rival arbitrageur; 0 for no rival.
        tick_changes_per_hour: Over all markets.
        lifecycle: Whether games start, and events end, resolve and recur.
    """

    levels: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 16
    shares: Annotated[float, msgspec.Meta(ge=0.01, le=1_000_000)] = 150.0
    active_share: _Share = 0.15
    activity: _Factor = 1.0
    changes_per_s: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 0.0
    takers: _Factor = 1.0
    news: _Factor = 1.0
    mispricings_per_min: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 4.0
    edge_usd: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.012
    depth_shares: Annotated[float, msgspec.Meta(ge=0.01, le=1_000_000)] = 80.0
    life_ms: Annotated[float, msgspec.Meta(ge=1, le=86_400_000)] = 1_000.0
    decoy_share: _Share = 0.25
    rival_ms: Annotated[float, msgspec.Meta(ge=0, le=86_400_000)] = 250.0
    tick_changes_per_hour: Annotated[float, msgspec.Meta(ge=0, le=3_600_000)] = 6.0
    lifecycle: bool = True


PRESETS: Final = {
    "still": MarketConfig(
        activity=0.0,
        takers=0.0,
        news=0.0,
        mispricings_per_min=0.0,
        rival_ms=0.0,
        tick_changes_per_hour=0.0,
        lifecycle=False,
    ),
    "quiet": MarketConfig(
        active_share=0.05, activity=0.4, takers=0.4, news=0.4, mispricings_per_min=1.0
    ),
    DEFAULT: MarketConfig(),
    "storm": MarketConfig(
        changes_per_s=24_000.0, takers=20.0, news=10.0, mispricings_per_min=60.0, life_ms=400.0
    ),
}
"""From no activity at all to more messages than a client is likely to meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """
    How fast a market is; rates per second (STATISTICS.md section 3).

    Attributes:
        clusters, length: Of bursts of quotes, and the mean number of quotes in one.
        news, step: Of moves of the fair value, and their size in ticks.
        trades: Of takers.
    """

    clusters: float
    length: float
    news: float
    step: float
    trades: float


_QUIET: Final = _Pace(clusters=0.02, length=5, news=1 / 120, step=0.5, trades=1 / 1_500)
_ACTIVE: Final = _Pace(clusters=0.1, length=8, news=0.06, step=0.5, trades=1 / 60)
_FAST: Final = _Pace(clusters=0.9, length=10, news=0.4, step=0.5, trades=0.25)
_STORM_LENGTH: Final = 15


@dataclass(slots=True, eq=False, kw_only=True)
class _Pit:
    """An event and who quotes in it."""

    event: Event
    fair: Fair
    home: list[float]
    quoters: list[Quoter]
    relations: list[Relation] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class _Lag:
    """What would happen if a market's makers slept through some news."""

    fair: Fair
    relation: Relation
    gross_e4: int
    net_e6: int
    touches: dict[str, Touch]


class Participants:
    """
    Everyone who trades on a venue without being asked.

    Args:
        venue: Where; events that open later are quoted too.
        config: How much goes on.
    """

    def __init__(self, venue: "Venue", config: MarketConfig) -> None:
        self.venue = venue
        self.config = config
        self._desk = Desk(
            venue, config.levels, config.shares, still=not (config.activity or config.changes_per_s)
        )
        self._pits: list[_Pit] = []
        self._quoter: dict[str, Quoter] = {}
        self._pit_of: dict[str, _Pit] = {}
        self._refilling: set[str] = set()
        self._hunted: set[Relation] = set()
        self._made_ns = venue.now_ns
        self._chance = venue.rng("takers")
        self._fate = venue.rng("fate")
        self._rate = 0.0

    def quote(self) -> None:
        """Set up all books; those of a large catalogue only when somebody looks into them."""
        catalog = self.venue.catalog
        put_off = len(catalog.markets) > AT_ONCE_MAX
        for event in catalog.events:
            self._quote(event, put_off=put_off)

    def start(self) -> None:
        """Let everything happen that happens from now on."""
        config = self.config
        if not self._pits:
            self.quote()
        if config.changes_per_s:
            self._rate = config.changes_per_s / len(self.venue.catalog.markets)
        for pit in self._pits:
            self._live(pit)
        self.venue.newcomers.append(self._open)
        self.venue.watchers.append(self._watch)
        self._often(config.mispricings_per_min / 60, self._lag)
        self._often(config.tick_changes_per_hour / 3_600, self._change_tick)

    def _often(self, per_s: float, act: Callable[[], None], market: Market | None = None) -> None:
        """Do `act` at random times from now on; as long as a market is open, where one is named."""
        if per_s > 0 and not (market and market.closed):
            due = self.venue.now_ns + int(self._fate.expovariate(per_s) * SECOND)
            self.venue.schedule(due, self._once, per_s, act, market)

    def _once(self, per_s: float, act: Callable[[], None], market: Market | None) -> None:
        self._often(per_s, act, market)
        if self.venue.mode in QUOTING:
            act()

    # -- markets come and go

    def _open(self, event: Event) -> None:
        """Quote an event and let it live."""
        self._live(self._quote(event, put_off=False))

    def _quote(self, event: Event, *, put_off: bool) -> _Pit:
        """Set up the books of an event, now or when somebody looks."""
        state = fair(event)
        home, rules = state.prices(), relations(event)
        pit = _Pit(event=event, fair=state, home=home, quoters=[], relations=rules)
        for market, price in zip(event.markets, home, strict=True):
            quoter = Quoter(self._desk, market, price)
            pit.quoters.append(quoter)
            self._quoter[market.condition_id] = quoter
            self._pit_of[market.condition_id] = pit
            self._desk.stock(market)
            if put_off:
                quoter.put_off()
            else:
                quoter.lay()
        self._pits.append(pit)
        return pit

    def _live(self, pit: _Pit) -> None:
        """Start what happens in an event."""
        updown = _UPDOWN.fullmatch(pit.event.slug)
        for index in range(len(pit.quoters)):
            self._wind_up(pit, index, self._pace(fast=updown is not None))
        if self.config.lifecycle:
            self._plan(pit, updown)

    def _pace(self, *, fast: bool) -> _Pace:
        if fast:
            return _FAST
        return _ACTIVE if self._fate.random() < self.config.active_share else _QUIET

    def _wind_up(self, pit: _Pit, index: int, pace: _Pace) -> None:
        """Start what happens to a market again and again."""
        config, quoter = self.config, pit.quoters[index]
        market = quoter.market
        clusters, length = pace.clusters * config.activity, pace.length
        if self._rate:
            clusters, length = self._rate / _STORM_LENGTH, _STORM_LENGTH
        self._often(clusters, lambda: self._cluster(quoter, length), market)
        self._often(pace.news * config.news, lambda: self._news(pit, index, pace.step), market)
        self._often(pace.trades * config.takers, lambda: self._take(market), market)

    def _plan(self, pit: _Pit, updown: re.Match[str] | None) -> None:
        """Schedule what an event's calendar says; what was due since it was made, now."""
        venue, event = self.venue, pit.event
        starts = sorted({market.game_start_ms or 0 for market in event.markets})
        for start_ms in starts:
            if start_ms * MS > self._made_ns:
                venue.schedule(start_ms * MS, self._game_starts, pit, start_ms)
        end_ns = event.end_ms * MS
        if end_ns > self._made_ns:
            venue.schedule(end_ns, self._end, pit)
            if updown:
                coin, minutes = _COINS.index(updown[1]), int(updown[2])
                venue.schedule(end_ns - 30 * SECOND, self._recur, end_ns, coin, minutes)

    def _recur(self, at_ns: int, coin: int, minutes: int) -> None:
        """Open the next window of an up-or-down market, half a minute before it begins."""
        self.venue.add_event(universe.next_updown(self.venue.seed, at_ns, coin, minutes))

    def _game_starts(self, pit: _Pit, start_ms: int) -> None:
        """Wipe the books of a game that begins (protocol.md section 11.3); quotes return soon."""
        for quoter in pit.quoters:
            if quoter.market.game_start_ms != start_ms or not quoter.market.accepting:
                continue
            for order in list(quoter.book.orders()):
                self.venue.remove(order, Status.CANCELED)
            back = int(self._fate.uniform(0.5, 3) * SECOND)
            self.venue.schedule(self.venue.now_ns + back, quoter.lay)

    def _end(self, pit: _Pit) -> None:
        """Stop trading at an event's end; its result comes two minutes later."""
        for market in pit.event.markets:
            if not market.closed:
                self.venue.close_market(market)
        delay = int(self._fate.uniform(120, 148) * SECOND)
        self.venue.schedule(self.venue.now_ns + delay, self._resolve, pit)

    def _resolve(self, pit: _Pit) -> None:
        if not any(market.closed for market in pit.event.markets):
            self.venue.resolve(pit.event, pit.fair.winners(self._fate))
        self._pits.remove(pit)
        for market in pit.event.markets:
            del self._quoter[market.condition_id], self._pit_of[market.condition_id]
            for wallet in (self._desk.noise, self._desk.rival, *self._desk.makers):
                self.venue.ledger.redeem(wallet, market)

    def _change_tick(self) -> None:
        """Give some market another tick, if its price can be told on it."""
        quoter = self._fate.choice([quoter for pit in self._pits for quoter in pit.quoters])
        market = quoter.market
        tick = _NEXT_TICK.get(market.tick_e4, market.tick_e4)
        edge = min(quoter.fair_e4, ONE_E4 - quoter.fair_e4)
        if market.accepting and tick != market.tick_e4 and edge > 3 * tick:
            self.venue.set_tick(market, tick)
            self._requote([quoter])

    # -- makers

    def _cluster(self, quoter: Quoter, length: float) -> None:
        """Let a market's makers act so often, on average, a millisecond or two apart."""
        self._burst(quoter, 1 + int(self._fate.expovariate(1 / max(length - 0.5, 0.5))))

    def _burst(self, quoter: Quoter, left: int) -> None:
        quoter.act()
        if left > 1:
            gap = self._fate.randrange(1_000_000, 3_000_000)
            self.venue.schedule(self.venue.now_ns + gap, self._burst, quoter, left - 1)

    def _news(self, pit: _Pit, index: int, step: float) -> None:
        """Move a market's fair value, and whatever hangs on it."""
        tick = pit.quoters[index].market.tick_e4
        pit.fair.walk(index, self._fate.gauss(0.0, step) * max(tick, 5))
        self._moved(pit)

    def _moved(self, pit: _Pit, sizes: dict[str, int] | None = None) -> None:
        """Let everyone who is awake see the fair values of an event."""
        changed = []
        for quoter, price in zip(pit.quoters, pit.fair.prices(), strict=True):
            if not quoter.asleep:
                before = quoter.limits()
                quoter.fair_e4 = price * ONE_E4
                if quoter.limits() != before:
                    changed.append(quoter)
        self._requote(changed, sizes or {})

    def _requote(self, quoters: list[Quoter], sizes: dict[str, int] | None = None) -> None:
        """
        Withdraw what is wrong everywhere first, then set what is missing.

        In between nobody's quote is better than fair, so requoting itself misprices nothing.
        """
        at = self.venue.now_ns
        for quoter in quoters:
            quoter.pull()
        for quoter in quoters:
            at += self._fate.randrange(1_000_000, 3_000_000)
            size = (sizes or {}).get(quoter.market.condition_id, 0)
            self.venue.schedule(at, self._refill, quoter, size)

    def _refill(self, quoter: Quoter, size_e6: int) -> None:
        """Complete the touch at once, and what else was withdrawn in a burst."""
        self._refilling.discard(quoter.market.condition_id)
        if not quoter.asleep:
            quoter.fill(size_e6)
            if quoter.parked > 4:
                self._burst(quoter, quoter.parked - 2)

    def _watch(self, market: Market) -> None:
        """Have what was traded away set again, and let the rival look."""
        condition = market.condition_id
        hit = self.venue.cause and not self._desk.still
        if hit and condition in self._quoter and condition not in self._refilling:
            self._refilling.add(condition)
            wait = int(self._fate.lognormvariate(-1.2, 0.7) * SECOND)
            self.venue.schedule(self.venue.now_ns + wait, self._refill, self._quoter[condition], 0)
        if self.config.rival_ms and condition in self._pit_of:
            self._hunt(market)

    # -- takers

    def _take(self, market: Market) -> None:
        """Let somebody buy or sell a little, at once."""
        rng, book, tick = self._chance, self.venue.book(market), market.tick_e4
        outcome, buy = rng.getrandbits(1), rng.random() < 0.7
        best = book.best(not buy, outcome)
        if best is None or self.venue.mode != "normal" or not market.accepting:
            return
        usd_e6 = max(ONE_E6, int(rng.lognormvariate(2.3, 1.0) * ONE_E6) // CENTI_E6 * CENTI_E6)
        price = min(best + 2 * tick, ONE_E4 - tick) if buy else max(best - 2 * tick, tick)
        shares = usd_e6 * ONE_E4 // price
        self._try(
            Order(
                id=self._desk.order_id(),
                wallet=self._desk.noise,
                market=market,
                outcome=outcome,
                buy=buy,
                price_e4=price,
                size_e6=shares if buy else max(CENTI_E6, shares // CENTI_E6 * CENTI_E6),
                budget_e6=usd_e6 if buy else 0,
                kind="FAK",
            )
        )

    def _try(self, order: Order) -> None:
        with suppress(HttpError):  # nothing is there any more
            self.venue.execute(order)

    # -- lags

    def _lag(self) -> None:
        """Let news break while the makers of one market sleep."""
        fate, config = self._fate, self.config
        decoy = fate.random() < config.decoy_share
        kind = fate.choice(("augmented", "fees", "minimum size")) if decoy else ""
        edge_e6 = config.edge_usd * ONE_E6 * fate.lognormvariate(0.0, 0.6)
        pits = [pit for pit in self._pits if self._can_lag(pit, kind)]
        for _ in range(6 if pits else 0):
            pit = fate.choice(pits)
            index = fate.randrange(len(pit.quoters))
            sign = self._direction(pit, index)
            lag = self._search(pit, index, sign, edge_e6, fees=kind == "fees")
            if lag:
                self._fall_asleep(pit, index, lag, kind)
                return

    def _can_lag(self, pit: _Pit, decoy: str) -> bool:
        return (
            any(relation.kind != Kind.COMPLEMENT for relation in pit.relations)
            and any(bool(r.decoy) for r in pit.relations) == (decoy == "augmented")
            and not any(quoter.asleep for quoter in pit.quoters)
            and not any(market.closed for market in pit.event.markets)
        )

    def _direction(self, pit: _Pit, index: int) -> int:
        """Draw where news takes a market; back to where it began if it is far from there."""
        gone = pit.fair.prices()[index] - pit.home[index]
        if abs(gone) > 0.08:
            return -1 if gone > 0 else 1
        return self._fate.choice((-1, 1))

    def _search(
        self, pit: _Pit, index: int, sign: int, edge_e6: float, *, fees: bool
    ) -> _Lag | None:
        """
        Find the smallest news that leaves `edge_e6` behind after fees.

        Args:
            pit: The event.
            index: Whose makers sleep.
            sign: Whether their market's chance rises or falls.
            edge_e6: Wanted, of a set at the best prices.
            fees: Look for one that fees eat instead.
        """
        before = pit.fair.prices()[index]
        sleeper = pit.quoters[index]
        at_stake = [
            relation
            for relation in pit.relations
            if relation.kind != Kind.COMPLEMENT
            and any(market is sleeper.market for market, _ in relation.legs)
            and (relation.gross_e4(self._touch) or 0) <= 0
        ]
        if not sleeper.market.accepting or not at_stake:
            return None
        for step in range(1, 41):
            state = pit.fair.pushed(index, 0.05 * step * sign)
            prices = state.prices()
            if abs(prices[index] - before) > 0.3:
                return None
            touches = {}
            for quoter, price in zip(pit.quoters, prices, strict=True):
                there = quoter.book.touch
                touch = there if quoter is sleeper else quoter.touch(price * ONE_E4)
                if None in touch and None not in there:
                    return None  # too far for this market's grid
                if quoter.market.accepting:
                    touches[quoter.market.condition_id] = touch
            best = self._best(at_stake, state, touches)
            if best and (best.gross_e4 > 0 > best.net_e6 if fees else best.net_e6 >= edge_e6):
                return best
        return None

    def _best(
        self, at_stake: list[Relation], state: Fair, touches: dict[str, Touch]
    ) -> _Lag | None:
        def touch(market: Market) -> Touch:
            return touches.get(market.condition_id, (None, None))

        best = None
        for relation in at_stake:
            gross = relation.gross_e4(touch)
            if gross is None or gross <= 0:
                continue
            net = gross * 100 - relation.fees_e6(touch)
            if best is None or net > best.net_e6:
                best = _Lag(
                    fair=state, relation=relation, gross_e4=gross, net_e6=net, touches=touches
                )
        return best

    def _fall_asleep(self, pit: _Pit, index: int, lag: _Lag, decoy: str) -> None:
        """Make it so: the news is out, one market's makers do not see it for a while."""
        fate, sleeper = self._fate, pit.quoters[index]
        life = int(self.config.life_ms * MS * fate.lognormvariate(0.0, 0.6))
        sleeper.asleep = True
        pit.fair = lag.fair
        self.venue.say(
            "lag", pit.event.id, sleeper.market.condition_id, life, lag.relation.kind, decoy
        )
        self._moved(pit, self._depths(lag, sleeper))
        if decoy == "minimum size":
            self._keep_away(lag, sleeper)
        self.venue.schedule(self.venue.now_ns + life, self._wake, pit, sleeper)

    def _depths(self, lag: _Lag, sleeper: Quoter) -> dict[str, int]:
        """Draw how much the other legs offer at their new touch: one the depth, others more."""
        prices = [
            ask if not outcome else None if bid is None else ONE_E4 - bid
            for market, outcome in lag.relation.legs
            for bid, ask in [lag.touches.get(market.condition_id, (None, None))]
        ]
        least = max(
            least_e6(market, price)
            for (market, _), price in zip(lag.relation.legs, prices, strict=True)
            if price
        )
        drawn = self.config.depth_shares * self._fate.lognormvariate(0.0, 0.7) * ONE_E6
        depth = max(drawn, least * self._fate.uniform(1.0, 1.5))
        others = [m for m, _ in lag.relation.legs if m is not sleeper.market]
        thinnest = self._fate.choice(others)
        return {
            market.condition_id: int(
                depth * (1 if market is thinnest else 1 + self._fate.expovariate(1.0))
            )
            // CENTI_E6
            * CENTI_E6
            for market in others
        }

    def _keep_away(self, lag: _Lag, sleeper: Quoter) -> None:
        """Have one leg offer less than the smallest order, and the rest of it nothing to earn."""
        market, outcome = next(leg for leg in lag.relation.legs if leg[0] is not sleeper.market)
        quoter, tick = self._quoter[market.condition_id], market.tick_e4
        quoter.shy_e4[outcome] = (lag.net_e6 // 100 // tick + 1) * tick
        self._requote([quoter])
        size = self._fate.randrange(1, 5) * ONE_E6
        self.venue.schedule(self.venue.now_ns + 20 * MS, self._probe, quoter, bool(outcome), size)

    def _probe(self, quoter: Quoter, bid: bool, size_e6: int) -> None:
        if quoter.shy_e4[bid] and quoter.market.accepting:
            quoter.probe(bid, size_e6)

    def _wake(self, pit: _Pit, sleeper: Quoter) -> None:
        """Let the sleeper catch up."""
        if self.venue.mode not in QUOTING:
            self.venue.schedule(self.venue.now_ns + SECOND, self._wake, pit, sleeper)
            return
        sleeper.asleep = False
        for quoter in pit.quoters:
            quoter.shy_e4[:] = 0, 0
        self._moved(pit)
        self._requote(pit.quoters)

    # -- the rival

    def _touch(self, market: Market) -> Touch:
        return self.venue.books[market.condition_id].touch

    def _hunt(self, market: Market) -> None:
        """Have the rival notice what is violated; he acts when he gets to it."""
        for relation in self._pit_of[market.condition_id].relations:
            if relation.decoy or relation in self._hunted or relation.kind == Kind.COMPLEMENT:
                continue
            gross = relation.gross_e4(self._touch)
            if gross is not None and gross * 100 > relation.fees_e6(self._touch):
                self._hunted.add(relation)
                self._aim(relation)

    def _aim(self, relation: Relation) -> None:
        """Let his reaction pass, and the delays of the markets, which he is not spared."""
        wait = self.config.rival_ms * MS * self.venue.rng("rival").lognormvariate(0.0, 0.5)
        for market, _ in relation.legs:
            held = self.venue.config.taker_delay_ms * MS if market.taker_delay else 0
            wait = max(wait, wait + held, wait + market.seconds_delay * SECOND)
        self.venue.schedule(self.venue.now_ns + int(wait), self._strike, relation)

    def _strike(self, relation: Relation) -> None:
        """Take all legs that still pay, and come back for more as long as there is."""
        self._hunted.discard(relation)
        basket = best_basket(relation, self.venue.books)
        if basket is None or self.venue.mode != "normal":
            return
        for market, outcome, shares, worst_e4 in basket.legs:
            self._try(
                Order(
                    id=self._desk.order_id(),
                    wallet=self._desk.rival,
                    market=market,
                    outcome=outcome,
                    buy=True,
                    price_e4=worst_e4,
                    size_e6=shares,
                    kind="FAK",
                )
            )
