"""Books, feed and REST together over sockets, against the simulated exchange."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest
from waiting import WAIT_S, until

from polyarb import clock
from polyarb.book.freshness import Miss, Reason
from polyarb.book.frozen import FrozenConfig
from polyarb.book.keeper import Keeper, KeeperConfig
from polyarb.book.registry import Pair, Registry
from polyarb.book.snapshots import serve
from polyarb.book.warmup import GateState
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books, State, Top
from polyarb.core.decode import Decoder, Side
from polyarb.core.tick import DROP_OLDER, Ticker
from polyarb.exchange.client import Client
from polyarb.feed import socket as feed_socket
from polyarb.feed.market import FeedConfig, MarketFeed
from polyarb.sim import scenarios
from polyarb.sim.catalog import Market
from polyarb.sim.exchange import Exchange
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order
from polyarb.sim.server import Server

pytestmark = pytest.mark.asyncio

SECOND = 1_000_000_000
QUICK = KeeperConfig(resync_after_ms=300, opening_ms=500, rest_timeout_ms=2_000)


class Rig:
    """
    A venue, and a keeper with its feed and its REST.

    Attributes:
        markets: Those that are subscribed to.
        asked: Bodies of REST answers, newest last.
    """

    def __init__(self, server: Server, url: str, client: Client, config: dict[str, Any]) -> None:
        self.server, self.venue, self.client = server, server.exchange.venue, client
        count = config.pop("markets", 4)
        keeper_config = config.pop("keeper", QUICK)
        self.markets: list[Market] = [
            m for m in self.venue.catalog.markets.values() if m.accepting and m.tick_e4 >= 10
        ][:count]
        self.pairs = [market.tokens for market in self.markets]
        self.tokens = [token for pair in self.pairs for token in pair]
        self.wallet = self.venue.ledger.add(Wallet("0x" + "aa" * 20, ""))
        self.venue.deposit(self.wallet, 10**15)
        self.orders = 0
        now_ns = clock.monotonic_ns()
        arena = config.pop("arena", None) or Arena.create(config=ArenaConfig(token_count=64))
        self.books = Books(arena, now_ns)
        registry = Registry(self.books)
        for market in self.markets:
            yes, no = market.tokens
            registry.add(Pair(yes=yes, no=no, tick_e4=market.tick_e4), now_ns)
        two = config.get("copies") == 2
        self.keeper = Keeper(
            self.books,
            Ticker(arena, flags=DROP_OLDER),
            registry,
            config=keeper_config,
            schedule=asyncio.get_running_loop().call_soon,
        )
        self.feed = MarketFeed(
            url.replace("http", "ws", 1) + "/ws/market",
            Ticker(arena, flags=DROP_OLDER if two else 0),
            self.keeper,
            config=FeedConfig(backoff_min_ns=SECOND // 50, **config),
            random=Random(1),
        )
        self.keeper.attach(self.feed)
        self.feed.subscribe(self.pairs, now_ns)

    def fault(self, name: str, **members: Any) -> int:
        known = {"at_s", "for_s", "probability", "count", "match"}
        spec = {key: members.pop(key) for key in members.keys() & known}
        made: list[int] = []
        add = self.venue.faults.add
        self.act(lambda: made.append(add({"name": name, **spec, "values": members})))
        return made[0]

    def act(self, act: Callable[[], object]) -> None:
        self.server.driver.act(act)

    def touch(self, market: Market) -> None:
        """Place an order far from the best prices and take it back: two changes."""
        self.orders += 1
        order = Order(
            id=f"touch{self.orders}",
            wallet=self.wallet,
            market=market,
            outcome=0,
            buy=True,
            price_e4=market.tick_e4,
            size_e6=self.orders * 1_000_000,
        )
        self.act(lambda: self.venue.execute(order))
        self.act(lambda: self.venue.remove(order, "CANCELED"))

    async def busy(self, done: Callable[[], Any], what: str, *markets: Market) -> None:
        """Keep markets moving until `done`."""
        async with asyncio.timeout(WAIT_S):
            while not done():
                for market in markets or self.markets:
                    self.touch(market)
                await asyncio.sleep(0.02)

    def state(self, token: str) -> State:
        slot = self.keeper.registry.slot(token)
        assert slot is not None
        top = self.books.top(slot)
        assert top
        return top.state

    def all_live(self) -> bool:
        return all(self.state(token) is State.LIVE for token in self.tokens)

    def equal(self, token: str) -> bool:
        market, outcome = self.venue.catalog.tokens[token]
        body = self.venue.feeds.page(market).rest(outcome)
        record = Decoder().decode(body).records[0]
        slot = self.keeper.registry.slot(token)
        assert slot is not None
        return {Side.BID: sorted(record.bids, reverse=True), Side.ASK: sorted(record.asks)} == {
            side: self.books.ladder(slot, side) for side in Side
        }

    async def right(self) -> None:
        """Wait until every book is live and as the venue has it."""
        await until(lambda: self.all_live() and all(map(self.equal, self.tokens)), "all books")

    @property
    def epochs(self) -> list[int]:
        return [connection.epoch for connection in self.feed.connections.values()]

    def count(self, name: str) -> int:
        return self.keeper.counters()[name]


@contextlib.asynccontextmanager
async def made(scenario: str = "still", **config: Any) -> AsyncIterator[Rig]:
    """Yield a rig that is not running yet."""
    server = Server(Exchange(scenarios.find(scenario), seed=7, start_ns=clock.wall_ns()))
    url = await server.start()
    try:
        async with Client(clob_url=url, gamma_url=url, attempts=1) as client:
            yield Rig(server, url, client, config)
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    """Run keeper and feed."""
    tasks = [
        asyncio.create_task(serve(rig.keeper, rig.client, clock.monotonic_ns)),
        asyncio.create_task(feed_socket.run(rig.feed)),
    ]
    try:
        yield rig
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def warm(scenario: str = "still", **config: Any) -> AsyncIterator[Rig]:
    """Yield a rig that runs and is warm."""
    async with made(scenario, **config) as rig, running(rig):
        rig.keeper.warm_up(clock.monotonic_ns())
        await until(lambda: rig.keeper.gate.is_open, "the gate")
        await rig.right()
        yield rig


async def test_books_become_warm_and_are_served_without_any_rest():
    async with warm() as rig:
        for token in rig.tokens:
            top = rig.keeper.top(token, 5_000)
            assert isinstance(top, Top)
            assert top.bid or top.ask
        assert rig.keeper.gate.warmed_ns is not None
        for _ in range(2_000):
            rig.keeper.depth(rig.tokens[0], 3, 60_000)
        rig.keeper.top("123")
        looked = rig.keeper.next_deadline()
        await until(lambda: rig.keeper.next_deadline() > looked + SECOND // 4, "some looks around")
        assert rig.count("rest_calls_on_read_path") == 0
        assert sum(rig.count(f"rest_calls_{why}") for why in ("warmup", "resync", "probe")) == 0
        assert rig.venue.counts["POST /books"] == 0


async def test_rest_warms_books_before_the_socket_is_there():
    async with made() as rig:
        served = asyncio.create_task(serve(rig.keeper, rig.client, clock.monotonic_ns))
        rig.keeper.warm_up(clock.monotonic_ns(), rest=True)
        await until(rig.all_live, "books by REST")
        assert not rig.keeper.gate.is_open
        assert rig.count("rest_calls_warmup") == 1
        served.cancel()
        async with running(rig):
            await until(lambda: rig.keeper.gate.is_open, "the gate")
            await rig.right()
        assert rig.count("rest_calls_warmup") == 1


async def test_a_lost_connection_is_not_ready_at_once_and_comes_back():
    async with warm(tokens_per_connection=4) as rig:
        found: list[Top | Miss] = []
        for token in rig.tokens:
            rig.keeper.on_change(token, lambda token: found.append(rig.keeper.top(token, 60_000)))
        rig.fault("abort_1006", count=1, match={"connection": 1})
        await until(lambda: found, "the loss")
        assert isinstance(found[0], Miss)
        assert (found[0].reason, found[0].state) == (Reason.NOT_READY, State.WARMING)
        await until(lambda: sorted(rig.epochs) == [1, 2], "another connection")
        await rig.right()
        assert rig.count("frozen_feeds") == 0


@pytest.mark.parametrize(
    ("fault", "members", "state"),
    [
        ("stale_top", {"count": 1}, State.TOP_MISMATCH),
        ("crossed_book", {"count": 1, "ms": 3_600_000}, State.CROSSED),
    ],
)
async def test_what_is_broken_for_good_is_made_right_by_rest_alone(fault, members, state):
    async with warm() as rig:
        market = rig.markets[0]
        others = [token for token in rig.tokens if token not in market.tokens]
        updates = [rig.books.top(rig.keeper.registry.slot(t)).updates for t in others]
        rig.fault(fault, match={"market": market.condition_id, "kind": "price_change"}, **members)
        broken: set[State] = set()
        rig.keeper.on_change(market.tokens[0], lambda token: broken.add(rig.state(token)))
        order = Order(
            id="one change",
            wallet=rig.wallet,
            market=market,
            outcome=0,
            buy=True,
            price_e4=market.tick_e4,
            size_e6=7_000_000,
        )
        rig.act(lambda: rig.venue.execute(order))
        await until(lambda: state in broken, "the fault")
        miss = rig.keeper.top(market.tokens[0])
        assert isinstance(miss, Miss)
        await rig.right()
        assert rig.count("resyncs") in (1, 2)
        assert rig.count("rest_calls_on_read_path") == 0
        assert updates == [rig.books.top(rig.keeper.registry.slot(t)).updates for t in others]
        assert rig.epochs == [1]


async def test_opening_books_that_never_come_are_fetched_by_rest():
    async with made() as rig:
        missing = rig.markets[1].tokens[0]
        rig.fault("missing_snapshot", match={"token": missing})
        async with running(rig):
            rig.keeper.warm_up(clock.monotonic_ns())
            await rig.right()
            assert rig.count("resyncs") == 1
            assert rig.count("rest_calls_resync") == 1
            await until(lambda: not rig.keeper.gate.waiting, "the last book")


async def test_tokens_without_any_book_are_disabled_and_the_gate_opens_without_them():
    config = KeeperConfig(warmup_timeout_ms=700, resync_after_ms=5_000)
    async with made(markets=10, keeper=config) as rig:
        missing = rig.markets[1].tokens[0]
        rig.fault("missing_snapshot", match={"token": missing})
        async with running(rig):
            rig.keeper.warm_up(clock.monotonic_ns())
            await until(lambda: rig.keeper.gate.state is GateState.SETTLED, "the time-out")
            assert rig.keeper.registry.disabled == {missing: "warm-up: warming"}
            assert rig.keeper.top(missing).reason is Reason.DISABLED


async def test_a_resync_in_the_middle_of_a_fast_market_loses_nothing():
    """REST answers late, while changes go on; what they said meanwhile is replayed."""
    async with warm() as rig:
        market = rig.markets[0]
        rig.fault("slow", match={"path": "POST /books"}, seconds=0.4)
        rig.fault(
            "crossed_book",
            count=1,
            ms=3_600_000,
            match={"market": market.condition_id, "kind": "price_change"},
        )
        await rig.busy(lambda: rig.count("resyncs") >= 2, "resyncs", market)
        await rig.right()
        assert rig.count("crossed_book_resets") >= 1


async def test_a_failing_rest_only_delays_a_resync():
    async with warm() as rig:
        market = rig.markets[0]
        rig.fault("error", count=3, match={"path": "POST /books"}, status=500)
        rig.fault("stale_top", count=2, match={"market": market.condition_id})
        rig.touch(market)
        await until(lambda: rig.count("resyncs") > 0, "a resync")
        await rig.right()
        assert rig.count("rest_calls_resync") > 3
        assert rig.count("resync_answers_refused") > 0


async def test_changes_are_told_while_books_move():
    async with warm() as rig:
        token = rig.markets[0].tokens[0]
        changes = rig.keeper.changes(token)
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        rig.touch(rig.markets[0])
        assert await asyncio.wait_for(first, WAIT_S) == token
        heard = []
        rig.keeper.on_change(token, heard.append)
        before = rig.count("deltas_applied")
        for _ in range(50):
            rig.touch(rig.markets[0])
        await until(lambda: rig.count("deltas_applied") >= before + 200, "all changes")
        await asyncio.sleep(0)
        assert 1 <= len(heard) <= 100
        await changes.aclose()


FAST = FrozenConfig(burst_gap_ns=50_000_000, floor_ns=300_000_000)


async def test_a_frozen_connection_is_replaced_and_a_quiet_one_left_alone():
    config = KeeperConfig(resync_after_ms=300, frozen=FAST)
    async with warm(tokens_per_connection=4, keeper=config) as rig:
        lines = rig.keeper._lines
        await rig.busy(
            lambda: all(line.watch.limit_ns for line in lines.all()) and len(lines.all()) == 2,
            "enough to know both connections by",
        )
        # Quiet: nothing moves, one suspicion each at least, and REST clears them.
        await until(lambda: rig.count("rest_calls_probe") >= 2, "suspicions")
        await until(rig.all_live, "the proof")
        assert rig.epochs == [1, 1]
        assert rig.count("frozen_feeds") == 0
        # Frozen: one connection's markets move at the venue, and it says PONG and nothing else.
        rig.fault("frozen_feed", match={"connection": 1})
        began = clock.monotonic_ns()
        await rig.busy(lambda: rig.count("frozen_feeds"), "the detection")
        assert clock.monotonic_ns() - began < 10 * SECOND
        await until(lambda: sorted(rig.epochs) == [1, 2], "another connection")
        await rig.right()
        assert rig.count("frozen_feeds") == 1


async def test_with_two_copies_a_lost_one_is_not_noticed_by_readers():
    async with warm(copies=2, keeper=KeeperConfig(resync_after_ms=300)) as rig:
        misses: list[Miss] = []

        def look(_: str) -> None:
            for token in rig.tokens:
                found = rig.keeper.top(token, 60_000)
                if isinstance(found, Miss):
                    misses.append(found)

        for token in rig.tokens:
            rig.keeper.on_change(token, look)
        rig.fault("abort_1006", count=1, match={"connection": 1})
        await rig.busy(lambda: sum(rig.epochs) >= 3, "another connection")
        await rig.right()
        assert misses == []


async def test_best_prices_are_the_venues_own():
    """`Rig.equal` would see little if the core read both sides of it wrongly."""
    async with warm() as rig:
        for token in rig.tokens:
            market, outcome = rig.venue.catalog.tokens[token]
            book, top = rig.venue.book(market), rig.keeper.top(token, 60_000)
            assert isinstance(top, Top)
            assert (top.bid.price_e4 if top.bid else None) == book.best(True, outcome)
            assert (top.ask.price_e4 if top.ask else None) == book.best(False, outcome)
