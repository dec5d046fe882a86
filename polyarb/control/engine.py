"""
The engine: catalogue, relations, books, feed, detection and execution, wired together on one loop.

Without a dealer, or with ``execution.trading = false``, an opportunity that passes every check is
counted as ``accepted`` and reported: detection alone is a mode of its own.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from polyarb import clock, errors
from polyarb.book.keeper import Keeper, KeeperConfig
from polyarb.book.registry import Pair, Registry
from polyarb.book.snapshots import serve
from polyarb.control.config import Config, usd_e6
from polyarb.control.dealer import Dealer
from polyarb.control.desk import Desk
from polyarb.core import scan
from polyarb.core.account import Account, BreakerLimits
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import kernel
from polyarb.core.book import Books
from polyarb.core.tick import DROP_OLDER, Ticker
from polyarb.detection.build import Built
from polyarb.detection.detector import Detector, Watched
from polyarb.detection.lives import Lives
from polyarb.detection.relation import Relation
from polyarb.domain.market import Market
from polyarb.domain.opportunity import Opportunity, Skip
from polyarb.exchange.catalog import Catalog, Change
from polyarb.exchange.client import Client
from polyarb.exchange.discovery import Discovery
from polyarb.feed import socket
from polyarb.feed.market import FeedConfig, MarketFeed
from polyarb.risk.sizing import Plan
from polyarb.risk.validation import Verdict

MS: Final = 1_000_000
SWEEP_MS: Final = 250
"""How often every relation is looked at; frames trigger those that they touch at once."""

REFRESH_S: Final = 5.0
EXPLAINED: Final = 1_000
"""Decisions that can be asked for one by one."""

DRAIN_S: Final = 10.0
"""How long baskets that are on their way have at the end of a run."""

ACCEPTED: Final = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What was decided about an opportunity.

    Attributes:
        number: Of the opportunity's life.
        at_ns: Monotonic.
        seen: What it was about.
        verdict: What came of it.
    """

    number: int
    at_ns: int
    seen: Opportunity
    verdict: Verdict


class Engine:
    """
    Everything for one run on one catalogue.

    Args:
        config: As loaded.
        discovery: Has loaded the catalogue; None for one that does not change.
        catalog: The catalogue.
        markets: Those of it whose books are wanted.
        build: Makes the relations of events.
        client: For REST books.
        market_ws_url: Of the market socket.
        dealer: Makes what trades, of the account's words, the books and their tokens; None for
            detection alone.
        say: Is told what a person should know, line by line.
        on_signal: Is called with each decision, outside the receive path's checks.

    Attributes:
        lives: Of the opportunities so far.
        verdicts: Decisions by name: a skip, or ``accepted``.
        decisions: The last `EXPLAINED`.
    """

    def __init__(
        self,
        config: Config,
        *,
        catalog: Catalog,
        markets: Sequence[Market],
        build: Callable[[Iterable[Any]], Built],
        client: Client,
        market_ws_url: str,
        discovery: Discovery | None = None,
        dealer: Callable[[Account, Books, Registry], Dealer] | None = None,
        say: Callable[[str], None] = lambda line: None,
        on_signal: Callable[[Decision], None] = lambda decision: None,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._discovery = discovery
        self._client = client
        self._build = build
        self._say = say
        self._on_signal = on_signal
        self._wanted = {market.condition_id for market in markets}
        self._done: dict[str, Any] = {}
        self._stopping = False
        self.lives = Lives()
        self.verdicts: Counter[str] = Counter()
        self.decisions: deque[Decision] = deque(maxlen=EXPLAINED)
        now_ns = clock.monotonic_ns()
        self.built = build(catalog.events.values())
        self._arena = Arena.create(config.arena.path or None, config=self._layout(len(markets)))
        self._account = Account(self._arena)
        if dealer is None and config.account.paper_usd:
            self._account.balance.credit(usd_e6(config.account.paper_usd))
        self._account.breaker.configure(_limits(config), now_ns)
        if config.execution.trading:
            self._account.breaker.enable()
        self.books = Books(self._arena, now_ns, max_depth=config.book.max_depth)
        scanned = scan.Relations(self._arena)
        redundant = config.book.copies > 1
        self.ticker = Ticker(self._arena, flags=DROP_OLDER if redundant else 0)
        registry = Registry(self.books)
        self.keeper = Keeper(
            self.books,
            Ticker(self._arena, flags=DROP_OLDER),
            registry,
            config=_keeper(config),
            schedule=lambda call: asyncio.get_running_loop().call_soon(call),
        )
        self.detector = Detector(scanned, registry)
        self.dealer = dealer(self._account, self.books, registry) if dealer else None
        self._desk = Desk(
            config, arena=self._arena, books=self.books, account=self._account, catalog=catalog
        )
        self.feed = MarketFeed(
            market_ws_url,
            self.ticker,
            self,
            config=FeedConfig(
                tokens_per_connection=config.book.tokens_per_connection,
                copies=config.book.copies,
            ),
            random=Random(),  # noqa: S311  (jitter)
        )
        self.keeper.attach(self.feed)
        registry.keep([token for market in markets for token in market.tokens], now_ns)
        self._enter(markets, now_ns)
        self._watch(self.built.relations.values(), now_ns)

    def _layout(self, markets: int) -> ArenaConfig:
        """Return what the arena must hold: what there is, and half as much again to come."""
        arena = self._config.arena
        relations = self.built.relations.values()
        count = arena.relations or max(64, len(relations) * 3 // 2)
        legs = sum(len(relation.legs) for relation in relations)
        return ArenaConfig(
            token_count=arena.tokens or max(64, markets * 3),
            depth=arena.depth,
            relation_count=count,
            leg_count=max(8 * 64, legs * 3 // 2, 2 * count),
        )

    # -- the run

    async def run(self, stop: asyncio.Event, duration_s: float | None = None) -> None:
        """
        Watch until `stop` is set or the time is over.

        Raises:
            PolyarbError: A task of it failed; whatever was open is in `lives`.
        """
        async with self.dealer or nullcontext():
            await self._live(stop, duration_s)

    async def _live(self, stop: asyncio.Event, duration_s: float | None) -> None:
        now_ns = clock.monotonic_ns()
        self.keeper.warm_up(now_ns)
        dealing = [self.dealer.run()] if self.dealer else []
        running = [
            *(asyncio.create_task(work, name="dealer") for work in dealing),
            asyncio.create_task(serve(self.keeper, self._client, clock.monotonic_ns), name="books"),
            asyncio.create_task(socket.run(self.feed), name="feed"),
            asyncio.create_task(self._sweep(), name="sweep"),
            asyncio.create_task(self._refresh(), name="catalogue"),
            asyncio.create_task(self._announce_warm_up(), name="warm-up"),
        ]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            async with asyncio.timeout(duration_s):
                await self._first_of(stopped, running)
        except TimeoutError:
            pass
        finally:
            self._stopping = True
            if self.dealer:
                await self.dealer.drain(DRAIN_S)
            self._done = self._told()  # before the connections end, and their books with them
            for task in (*running, stopped):
                task.cancel()
            await asyncio.gather(*running, stopped, return_exceptions=True)

    async def _first_of(self, stopped: asyncio.Task[Any], running: list[asyncio.Task[Any]]) -> None:
        """Wait until `stopped` is done, or one of the others has failed."""
        waiting = {stopped, *running}
        while not stopped.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()

    async def _announce_warm_up(self) -> None:
        while not self.keeper.gate.is_open:
            await asyncio.sleep(0.02)
            if self.keeper.gate.due_ns is None:
                self._say("warm-up failed: too few books in time; nothing will be traded")
                return
        self._say(
            f"warm after {(self.keeper.gate.warmed_ns or 0) // MS} ms: {self._live_count()} of "
            f"{len(self.keeper.registry)} books live, {len(self.detector)} relations watched"
        )
        self.look(clock.monotonic_ns())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_MS / 1e3)
            self.look(clock.monotonic_ns())

    def look(self, now_ns: int) -> None:
        """Look at every relation, whatever has changed."""
        self.detector.sweep(now_ns)
        self._drain(now_ns)

    async def _refresh(self) -> None:
        """Ask Gamma for events that were announced."""
        while self._discovery:
            await asyncio.sleep(REFRESH_S)
            with suppress(errors.RetryError):  # asked again
                now_ns = clock.monotonic_ns()
                self._catalogue_changed(await self._discovery.refresh(now_ns), now_ns)

    # -- FeedListener

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        """Take note of books that changed; decide about what the scan saw in them."""
        self.keeper.changed(slots, recv_ns)
        if self.ticker.report.opportunity_count:
            self._drain(recv_ns)

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        """Take what a message says of the catalogue."""
        self.keeper.notice(message, recv_ns)
        if self._discovery:
            change = self._discovery.notice(message, recv_ns)
        else:
            change = self._catalog.notice(message, recv_ns)
        self._catalogue_changed(change, recv_ns)

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Take note that a connection carries tokens."""
        self.keeper.up(connection, tokens, now_ns)
        self._say(f"connection {connection}: {len(tokens)} tokens")

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """Take note that it does no more."""
        self.keeper.down(connection, tokens, reason, now_ns)
        self.detector.changed(tokens, now_ns)
        self._drain(now_ns)
        self._say(f"connection {connection} lost: {reason}")

    # -- the catalogue

    def _catalogue_changed(self, change: Change, now_ns: int) -> None:
        if not change:
            return
        gone = [token for market in change.removed for token in market.tokens]
        for ended in self.detector.forget_tokens(gone, now_ns):
            self._saw(ended, self.lives.open[ended.relation].kind, now_ns)
        tokens = [token for token in gone if token in self.keeper.registry]
        self.feed.unsubscribe(tokens, now_ns)
        for token in tokens:
            self.keeper.forget(token, now_ns)
        touched = {market.event_id for market in (*change.added, *change.changed)}
        self._enter(change.added, now_ns)
        self._desk.forget(token for market in change.changed for token in market.tokens)
        events = [self._catalog.events[each] for each in touched if each in self._catalog.events]
        self._watch(self._build(events).relations.values(), now_ns)

    def _enter(self, markets: Iterable[Market], now_ns: int) -> None:
        """Let the books of markets in, as far as they fit."""
        entered = []
        for market in markets:
            yes, no = market.tokens
            pair = Pair(yes=yes, no=no, tick_e4=market.tick.step_e4, fees=market.fees)
            try:
                self.keeper.registry.add(pair, now_ns)
            except errors.CapacityError as error:
                self._say(f"{market.slug}: {error}")
                break
            entered.append(market.tokens)
        self.feed.subscribe(entered, now_ns)

    def _watch(self, relations: Iterable[Relation], now_ns: int) -> None:
        try:
            for relation in relations:
                self.detector.watch(relation, now_ns)
        except errors.CapacityError as error:
            self._say(f"not every relation is watched: {error}")

    # -- decisions

    def _drain(self, now_ns: int) -> None:
        for seen in self.detector.drain():
            watched = self.detector.get(seen.relation)
            assert watched, "the ring names relations that are watched"
            self._saw(seen, watched.relation.kind, now_ns)

    def _saw(self, seen: Opportunity, kind: str, now_ns: int) -> None:
        life = self.lives.saw(seen, kind)
        watched = self.detector.get(seen.relation)
        if seen.end is not None or watched is None:
            return
        ready = self.keeper.gate.is_open and not self._stopping
        guard = self.dealer.guarded(watched.relation.id, now_ns) if self.dealer else None
        verdict = self._desk.decide(watched, now_ns, ready=ready, guard=guard)
        name = verdict.skip.value if verdict.skip else ACCEPTED
        sized = verdict.plan.sized if verdict.plan else None
        life.decided(name, sized.sets_e6 if sized else 0, sized.profit_e6 if sized else 0)
        self.verdicts[name] += 1
        decision = Decision(number=life.number, at_ns=now_ns, seen=seen, verdict=verdict)
        if self.dealer and verdict.skip is None and verdict.plan:
            self._trade(self.dealer, watched, verdict.plan)
        self.decisions.append(decision)
        self._on_signal(decision)

    def _trade(self, dealer: Dealer, watched: Watched, plan: Plan) -> None:
        legs = []
        for leg in watched.relation.legs:
            found = self._catalog.by_token(leg.token)
            assert found, "a market that is not there takes no orders: it was skipped"
            legs.append((leg.token, found[0], leg.weight))
        dealer.submit(watched.relation.id, legs, plan)

    # -- what there is to tell

    def _live_count(self) -> int:
        return self.books.info().live_count

    def summary(self) -> dict[str, Any]:
        """Return what the run came to, as it was when it ended; what it has come to before."""
        return self._done or self._told()

    def _told(self) -> dict[str, Any]:
        counters = self.keeper.counters()
        skipped = {skip.value: self.verdicts[skip.value] for skip in Skip}
        return {
            "kernel": kernel(),
            "messages": counters["messages"],
            "frames_rejected": counters["frames_rejected"],
            "books_total": len(self.keeper.registry),
            "books_ready": self._live_count(),
            "warmup_ms": None if (ns := self.keeper.gate.warmed_ns) is None else ns // MS,
            "relations": len(self.detector),
            "relation_kinds": {str(kind): count for kind, count in self.built.counts().items()},
            "opportunities": self.lives.count,
            "accepted": self.verdicts[ACCEPTED],
            "skipped": {name: count for name, count in skipped.items() if count},
            "survival": self.lives.survival(),
            "scan": scan.scan_counters(self._arena),
            "hot_path_rest_calls": counters["rest_calls_on_read_path"],
            "trading": self.dealer.summary() if self.dealer else None,
        }


def _limits(config: Config) -> BreakerLimits:
    risk = config.risk
    return BreakerLimits(
        daily_loss_e6=usd_e6(risk.daily_loss_usd),
        open_positions=risk.max_open_baskets,
        consecutive_errors=risk.max_consecutive_errors,
        error_rate=None,
        cooldown_ms=60_000,
    )


def _keeper(config: Config) -> KeeperConfig:
    book = config.book
    return KeeperConfig(
        max_stale_ms=book.max_stale_ms,
        hard_stale_ms=book.hard_stale_ms,
        warmup_timeout_ms=book.warmup_timeout_ms,
        warmup_min_ready_fraction=float(book.warmup_min_ready_fraction),
    )
