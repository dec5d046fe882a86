"""
The feed over sockets, against the simulated exchange.

Whatever the exchange does to a market socket, the connection lives or comes back, and the books end
as REST shows them.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from feeds import SECOND, TEXT, Heard, Library, answer, book, change, dump, frame, text
from waiting import WAIT_S, until

from polyarb import clock
from polyarb.core.book import State as BookState
from polyarb.core.tick import DROP_OLDER
from polyarb.feed import socket as feed_socket
from polyarb.feed.channel import ChannelConfig
from polyarb.feed.market import Connection, FeedConfig, MarketFeed
from polyarb.sim import scenarios, spoil
from polyarb.sim.decimals import ONE_E4, PRICE
from polyarb.sim.exchange import Exchange
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order
from polyarb.sim.server import Server

pytestmark = pytest.mark.asyncio

REPOSITORY = Path(__file__).parents[2]
MARKETS = 12


class Venue:
    """The exchange of this process, a maker that moves its books, and its REST books."""

    def __init__(self, server: Server, url: str, seed: int) -> None:
        self.server = server
        self.venue = server.exchange.venue
        self.url = url.replace("http", "ws", 1) + "/ws/market"
        self.random = Random(seed)
        chosen = [m for m in self.venue.catalog.markets.values() if m.accepting][:MARKETS]
        self.markets = chosen
        self.pairs = [market.tokens for market in chosen]
        self.tokens = [token for pair in self.pairs for token in pair]
        self._wallet = self.venue.ledger.add(Wallet("0x" + "aa" * 20, ""))
        self.venue.deposit(self._wallet, 10**15)
        self._orders = 0

    def act(self, act: Callable[[], object]) -> None:
        self.server.driver.act(act)

    def fault(self, name: str, **members: Any) -> int:
        """Add a fault; members that are none of a spec's are values."""
        known = {"at_s", "for_s", "every_s", "probability", "count", "match"}
        spec = {key: members[key] for key in members.keys() & known}
        values = {key: members[key] for key in members.keys() - known}
        made: list[int] = []
        add = self.venue.faults.add
        self.act(lambda: made.append(add({"name": name, **spec, "values": values})))
        return made[0]

    def clear(self, number: int) -> None:
        """End a fault that may be over already."""
        with contextlib.suppress(Exception):
            self.act(lambda: self.venue.faults.remove(number))

    async def churn(self, count: int) -> None:
        """Place orders all over the books; some of them trade; some are taken back."""
        for n in range(count):
            self.act(self._one)
            if n % 4 == 3:
                await asyncio.sleep(0)

    def _one(self) -> None:
        chance, venue = self.random, self.venue
        if self._wallet.orders and chance.random() < 0.4:
            venue.remove(chance.choice([*self._wallet.orders.values()]), "CANCELED")
            return
        market = chance.choice(self.markets)
        step = market.tick_e4
        self._orders += 1
        venue.execute(
            Order(
                id=f"churn{self._orders}",
                wallet=self._wallet,
                market=market,
                outcome=chance.randrange(2),
                buy=True,
                price_e4=step * chance.randrange(1, ONE_E4 // step),
                size_e6=chance.randrange(5, 200) * 1_000_000,
            )
        )

    def sides(self, token: str) -> tuple[dict[int, int], dict[int, int]]:
        """Return a token's book as REST shows it: size by price of bids and asks."""
        market, outcome = self.venue.catalog.tokens[token]
        return read_sides(json.loads(self.venue.feeds.page(market).rest(outcome)))


def read_sides(rest: dict[str, Any]) -> tuple[dict[int, int], dict[int, int]]:
    def side(name: str) -> dict[int, int]:
        rows = rest[name]
        return {fixed(row["price"], 4): fixed(row["size"], 6) for row in rows}

    return side("bids"), side("asks")


def fixed(number: str, decimals: int) -> int:
    whole, _, part = number.partition(".")
    return int(whole + part.ljust(decimals, "0"))


class Feed:
    """A feed with its books, running."""

    def __init__(self, url: str, pairs: Iterable[tuple[str, str]], **config: Any) -> None:
        self.pairs = list(pairs)
        self.tokens = [token for pair in self.pairs for token in pair]
        flags = DROP_OLDER if config.get("copies") == 2 else 0
        self.library = Library(self.tokens, flags=flags, now_ns=clock.monotonic_ns())
        self.heard = Heard(self.library)
        self.feed = MarketFeed(
            url, self.library.ticker, self.heard, config=FeedConfig(**config), random=Random(1)
        )
        self.feed.subscribe(self.pairs, clock.monotonic_ns())

    @property
    def connections(self) -> list[Connection]:
        return [*self.feed.connections.values()]

    @property
    def epochs(self) -> list[int]:
        return [connection.epoch for connection in self.connections]

    def all_up(self) -> bool:
        return all(connection.up for connection in self.connections)

    def live(self) -> int:
        return self.library.books.info().live_count

    def count(self, name: str) -> int:
        """Return a counter, of all connections together."""
        return sum(getattr(connection.counts, name) for connection in self.connections)

    def rejected(self) -> int:
        return sum(sum(c.counts.rejected.values()) for c in self.connections)

    def wrong(self, venue: Venue) -> list[str]:
        """Return the tokens whose books are not as REST shows them."""
        return [t for t in self.tokens if self.library.sides(t) != venue.sides(t)]

    async def ready(self) -> None:
        await until(lambda: self.live() == len(self.tokens), "every book live")

    async def equal(self, venue: Venue) -> None:
        await until(lambda: not self.wrong(venue), "books as REST shows them")
        states = {token: self.library.state(token) for token in self.tokens}
        assert set(states.values()) == {BookState.LIVE}, states


@contextlib.asynccontextmanager
async def running(feed: Feed, tls: ssl.SSLContext | None = None) -> AsyncIterator[Feed]:
    """Run a feed; its end must be orderly and leave nothing behind."""
    task = asyncio.create_task(feed_socket.run(feed.feed, tls=tls))
    try:
        yield feed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert feed.feed.stopped
    left = [t for t in asyncio.all_tasks() if t.get_name().startswith("dial")]
    await asyncio.gather(*left, return_exceptions=True)
    assert not [c for c in feed.connections if c.channel]


@contextlib.asynccontextmanager
async def serving(scenario: str = "still", seed: int = 7) -> AsyncIterator[Venue]:
    exchange = Exchange(scenarios.find(scenario), seed=seed, start_ns=clock.wall_ns())
    server = Server(exchange)
    url = await server.start()
    try:
        yield Venue(server, url, seed)
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def both(**config: Any) -> AsyncIterator[tuple[Venue, Feed]]:
    """Give a venue and a feed on all of its chosen tokens, every book live."""
    config = {"tokens_per_connection": 10, "backoff_min_ns": SECOND // 50, **config}
    async with serving() as venue, running(Feed(venue.url, venue.pairs, **config)) as feed:
        await feed.ready()
        await feed.equal(venue)
        yield venue, feed


# -- faults that lose nothing: the connection lives and the books end right by themselves

HARMLESS: dict[str, tuple[dict[str, Any], Callable[[Feed], bool]]] = {
    "duplicate_frames": ({}, lambda _: True),
    "huge_frame": (
        {"probability": 0.03, "bytes": 2 << 20},  # the exchange buffers 8 MB, then it closes
        lambda f: f.count("slow") > 10,
    ),
    "binary_frame": ({}, lambda f: f.count("slow") > 100),
    "fragmented_frame": ({"parts": 5}, lambda f: f.count("slow") > 100),
    "stray_text": ({"text": "NO NEW ASSETS"}, lambda f: f.count("texts") > 100),
    "loose_types": ({}, lambda _: True),
    "old_format": ({"form": "changes"}, lambda f: f.library.books.counters()["old_forms"] > 100),
    "old_format flat": ({"form": "flat"}, lambda f: f.library.books.counters()["old_forms"] > 100),
    "crossed_book": (
        {"probability": 0.2},
        lambda f: f.library.books.counters()["crossed_books"] > 0,
    ),
    "wrong_hash": ({}, lambda _: True),
    "stale_top": (
        {"probability": 0.3},
        lambda f: f.library.books.counters()["top_mismatches"] > 50,
    ),
    "slow_feed": ({"seconds": 0.3}, lambda _: True),
}


@pytest.mark.parametrize("name", HARMLESS)
async def test_books_stay_right_through(name):
    members, fired = HARMLESS[name]
    async with both() as (venue, feed):
        number = venue.fault(name.split()[0], **members)
        await venue.churn(400)
        await until(lambda: not feed.wrong(venue), "books as REST shows them")
        venue.clear(number)
        await venue.churn(100)
        for market in venue.markets:  # a last word on every book: what the fault said clears
            venue.act(lambda m=market: touch(venue, m))
        await feed.equal(venue)
        assert fired(feed), feed.library.books.counters()
        assert set(feed.epochs) == {1}
        assert feed.rejected() == 0


def touch(venue: Venue, market: Any) -> None:
    """Place an order far from the best prices and take it back."""
    order = Order(
        id=f"touch{market.condition_id}{venue.random.random()}",
        wallet=venue._wallet,
        market=market,
        outcome=0,
        buy=True,
        price_e4=market.tick_e4,
        size_e6=1_000_000,
    )
    venue.venue.execute(order)
    if order.wallet.orders.get(order.id):
        venue.venue.remove(order, "CANCELED")


# -- faults that lose something: the connection lives, and the books come right once asked for

LOSING: dict[str, dict[str, Any]] = {
    "lost_frames": {"probability": 0.5},
    "frozen_feed": {},
    "truncated_frame": {"probability": 0.5},
    "reordered_frames": {"min_ms": 1, "max_ms": 30},
    "late_change": {"probability": 0.5},
    **{f"malformed_frame {form}": {"form": form, "probability": 0.3} for form in spoil.FORMS},
}


@pytest.mark.parametrize("name", LOSING)
async def test_books_come_right_again_after(name):
    async with both() as (venue, feed):
        number = venue.fault(name.split()[0], **LOSING[name])
        await venue.churn(300)
        venue.clear(number)
        await asyncio.sleep(0.1)  # what was overtaken has to come
        before = feed.heard.changes
        await venue.churn(50)
        await until(lambda: feed.heard.changes > before, "changes, once the fault is over")
        mended = feed.wrong(venue)
        await resubscribed(feed, venue)
        await feed.equal(venue)
        assert set(feed.epochs) == {1}, "the connection lives"
        if name == "malformed_frame empty":
            assert feed.count("texts") > 50
        elif name == "malformed_frame wrong_types":
            assert len(feed.heard.notices) > 50, "of no kind we know"
        elif name.startswith(("truncated", "malformed")):
            assert feed.rejected() > 50
            assert all(c.counts.last_rejected for c in feed.connections if c.counts.rejected)
        elif name.startswith(("lost", "frozen")):
            assert mended, "the fault lost something"


async def resubscribed(feed: Feed, venue: Venue) -> None:
    """Ask for the books that differ until none does, as a resync would."""
    for _ in range(5):
        wrong = feed.wrong(venue)
        if not wrong:
            return
        for token in wrong:
            feed.library.books.reset(feed.library.slots[token], clock.monotonic_ns())
        feed.feed.resubscribe(wrong)
        with contextlib.suppress(AssertionError):
            await until(lambda: not feed.wrong(venue), "the books", 2.0)


async def test_a_missing_opening_book_comes_when_asked_for_again():
    async with serving() as venue:
        victim = venue.tokens[3]
        venue.fault("missing_snapshot", match={"token": victim}, count=1)
        async with running(Feed(venue.url, venue.pairs)) as feed:
            await until(lambda: feed.live() == len(venue.tokens) - 1, "all but one")
            assert feed.library.state(victim) is BookState.WARMING
            feed.feed.resubscribe([victim])
            await feed.equal(venue)
            assert feed.epochs == [1]


async def test_a_frozen_connection_is_replaced_while_the_others_go_on():
    async with both() as (venue, feed):
        number = venue.fault("frozen_feed", match={"connection": 1})
        (frozen,) = [c for c in feed.connections if not await moves(venue, feed, c)]
        feed.feed.reconnect(frozen.number, "frozen", clock.monotonic_ns())
        await until(lambda: frozen.up and frozen.epoch == 2, "a new connection")
        venue.clear(number)
        await feed.ready()
        await feed.equal(venue)
        assert sorted(feed.epochs)[-2:] == [1, 2]
        assert [entry[3] for entry in feed.heard.of("down")] == ["1000 frozen"]


async def moves(venue: Venue, feed: Feed, connection: Connection) -> bool:
    """Say whether any data comes over a connection while the market moves."""
    before = connection.counts.data
    await venue.churn(300)
    with contextlib.suppress(AssertionError):
        await until(lambda: connection.counts.data > before, "data", 0.5)
    return connection.counts.data > before


# -- faults that end connections


@pytest.mark.parametrize(
    ("name", "reason"), [("abort_1006", "1006"), ("slow_consumer", "1013 slow consumer")]
)
async def test_an_ended_connection_comes_back_with_all_of_its_books(name, reason):
    async with both() as (venue, feed):
        venue.fault(name)
        await until(lambda: len(feed.heard.of("down")) == len(feed.connections), "the end of all")
        assert all(entry[3].startswith(reason) for entry in feed.heard.of("down"))
        await until(lambda: set(feed.epochs) == {2} and feed.all_up(), "all again")
        await venue.churn(100)
        await feed.equal(venue)


async def test_aborts_again_and_again_are_survived():
    async with both(backoff_max_ns=SECOND // 10) as (venue, feed):
        number = venue.fault("abort_1006", every_s=0.15, count=10)
        for _ in range(10):
            await venue.churn(30)
            await asyncio.sleep(0.15)
        venue.clear(number)
        await until(feed.all_up, "all up")
        await feed.ready()
        await feed.equal(venue)
        assert min(feed.epochs) > 3


async def test_refused_connections_are_dialled_until_they_are_taken():
    async with both(backoff_max_ns=SECOND // 10) as (venue, feed):
        venue.fault("refused_connections", seconds=1.0)
        venue.fault("abort_1006")
        await until(lambda: min(feed.epochs) > 3, "several dials")
        assert not any(connection.up for connection in feed.connections)
        assert feed.live() == 0, "no book is taken for live meanwhile"
        assert "refused" in feed.connections[0].last_reason.lower() or "Connect" in (
            feed.connections[0].last_reason
        )
        await until(feed.all_up, "all up")
        await feed.ready()
        await feed.equal(venue)


async def test_lost_pongs_end_a_connection_and_it_comes_back():
    keep = ChannelConfig(ping_ns=SECOND // 20, pong_ns=SECOND // 2)
    async with both(channel=keep) as (venue, feed):
        await until(lambda: feed.count("pongs") > 5, "pongs")
        number = venue.fault("pong_lost")
        await until(lambda: feed.heard.of("down"), "the end")
        assert feed.heard.of("down")[0][3] == "1006 no PONG for 0.5 s"
        venue.clear(number)
        await until(feed.all_up, "all up")
        await feed.ready()
        await feed.equal(venue)


# -- ways to connect


async def test_two_copies_hide_the_loss_of_one():
    async with both(copies=2, tokens_per_connection=30) as (venue, feed):
        assert len(feed.connections) == 2
        number = venue.fault("abort_1006", match={"connection": 1})
        await until(lambda: len(feed.heard.of("down")) == 1, "the end of one")
        assert feed.live() == len(feed.tokens)
        await venue.churn(200)
        venue.clear(number)
        await until(feed.all_up, "both")
        await venue.churn(200)
        await feed.equal(venue)


async def test_a_change_that_the_faster_copy_lost_is_mended_like_any_other():
    """What is older than the token's last change is left out, even if nobody has seen it."""
    async with both(copies=2, tokens_per_connection=30) as (venue, feed):
        number = venue.fault("lost_frames", match={"connection": 1}, probability=0.5)
        await venue.churn(400)
        venue.clear(number)
        await resubscribed(feed, venue)
        await feed.equal(venue)
        assert set(feed.epochs) == {1}


async def test_tokens_come_and_go_over_sockets():
    async with both() as (venue, feed):
        away = venue.pairs[2]
        feed.feed.unsubscribe(away, clock.monotonic_ns())
        for token in away:
            feed.library.books.reset(feed.library.slots[token], clock.monotonic_ns())
        await venue.churn(100)
        feed.feed.subscribe([away], clock.monotonic_ns())
        await feed.ready()
        await feed.equal(venue)
        assert set(feed.epochs) == {1}


async def test_the_socket_does_not_wait_for_more_bytes():
    """TCP_NODELAY: a PING must not wait for the answer to the one before."""
    async with both() as (_, feed):
        del feed
        mine = [s for s in open_sockets() if s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)]
        assert len(mine) >= 3


def open_sockets() -> list[socket.socket]:
    gc.collect()
    loop = asyncio.get_running_loop()
    transports = loop._transports
    return [t.get_extra_info("socket") for t in transports.values()]


async def test_an_exception_of_a_listener_ends_the_feed():
    async with serving() as venue:
        feed = Feed(venue.url, venue.pairs)

        def changed(slots: Any, recv_ns: int) -> None:
            raise KeyError("a bug")

        feed.heard.changed = changed
        with pytest.raises(KeyError, match="a bug"):
            async with asyncio.timeout(WAIT_S):
                await feed_socket.run(feed.feed)
        assert feed.feed.stopped


# -- a peer of our own


class Peer:
    """A server that does what a test says, byte by byte."""

    def __init__(self, act: Callable[[asyncio.StreamWriter], Any]) -> None:
        self._act = act
        self.requests: list[bytes] = []
        self.ends = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer(self.requests[-1]))
            acting = asyncio.ensure_future(self._act(writer))
            while await reader.read(65536):
                pass
            await acting
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ends += 1
            writer.close()


@contextlib.asynccontextmanager
async def peer(
    act: Callable[[asyncio.StreamWriter], Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Peer, str]]:
    made = Peer(act)
    server = await asyncio.start_server(made, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield made, f"{'wss' if tls else 'ws'}://localhost:{port}/ws/market"
    finally:
        server.close()


OPENING = text([book("1", 1000), book("2", 1000, "0.40:1", "0.60:1")])


async def nothing(writer: asyncio.StreamWriter) -> None:
    writer.write(OPENING)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-signed certificate of localhost and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key")]
    try:
        subprocess.run([*command, "-out", str(folder / "cert")], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    made.write_text((folder / "key").read_text() + (folder / "cert").read_text())
    return made


async def test_tls_carries_it_too(certificate):
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(OPENING)
        for n in range(2_000):
            writer.write(text(change("1", 1001 + n, "0.41", str(n + 1))))
            if n % 100 == 0:
                await writer.drain()

    async with peer(act, here) as (_, url):
        async with running(Feed(url, [("1", "2")]), trusting) as feed:
            await until(lambda: feed.library.bids("1").get(4_100) == 2_000_000_000, "the last")
            assert feed.library.books.counters()["deltas_applied"] == 2_000
        async with running(Feed(url, [("1", "2")], backoff_max_ns=SECOND // 10)) as feed:
            await until(lambda: feed.epochs[0] > 2, "dials that fail")
            assert "certificate" in feed.connections[0].last_reason.lower()


async def test_one_byte_at_a_time():
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        for byte in OPENING:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async with peer(act) as (_, url), running(Feed(url, [("1", "2")])) as feed:
        await feed.ready()


async def test_a_violation_ends_the_connection_and_it_comes_back():
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(OPENING + frame(TEXT, b"{}", mask=b"abcd"))

    async with (
        peer(act) as (server, url),
        running(Feed(url, [("1", "2")], backoff_max_ns=SECOND // 10)) as feed,
    ):
        await until(lambda: server.ends > 2, "ends")
        assert all(entry[3].startswith("1002") for entry in feed.heard.of("down"))


async def test_nothing_grows_under_eight_megabyte_frames_pings_and_fragments():
    """A gigabyte of it: the connection lives, the books are right, the memory is given back."""
    stop = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(OPENING)
        blank = frame(TEXT, dump(change("1", 1001, "0.41", "7")).ljust(8 << 20))
        levels = " ".join(f"0.{n % 99 + 1:02d}:1" for n in range(50_000))
        many = text(book("1", 999, levels))
        empty = (frame(TEXT, fin=False) + frame(0, fin=False) * 5_000 + frame(0)) * 2
        pings = frame(9, b"x" * 125) * 2_000
        for _ in range(50):
            for data in (blank, many, empty, pings, blank):
                writer.write(data)
                await writer.drain()
        writer.write(text(change("1", 2000, "0.42", "9")))
        await writer.drain()
        await stop.wait()

    async with peer(act) as (_, url), running(Feed(url, [("1", "2")])) as feed:
        await until(lambda: feed.count("slow") > 20, "the first of it", 60)
        before = resident()
        await until(lambda: feed.library.bids("1").get(4_200), "the end of it", 120)
        assert resident() - before < 48 << 20
        assert feed.epochs == [1]
        assert feed.library.bids("1")[4_100] == 7_000_000
        stop.set()


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def test_a_peer_that_never_reads_is_given_up():
    """Our pongs pile up in the transport: there is a bound."""
    stop = asyncio.Event()

    class Deaf(Peer):
        async def __call__(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
            reader._transport.pause_reading()
            with contextlib.suppress(ConnectionError):
                while not stop.is_set():
                    writer.write(frame(9, b"x" * 125) * 500)
                    await writer.drain()
            self.ends += 1
            writer.close()

    deaf = Deaf(nothing)
    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with running(Feed(url, [("1", "2")])) as feed:
        await until(lambda: feed.heard.of("down"), "given up", 60)
        assert feed.heard.of("down")[0][3] == "1006 the peer does not read"
        stop.set()
    server.close()


async def test_a_name_that_is_none_is_dialled_for_ever():
    feed = Feed("ws://no-such-host.invalid/", [("1", "2")], backoff_max_ns=SECOND // 10)
    async with running(feed):
        await until(lambda: feed.epochs[0] > 1, "a second dial")
        assert feed.connections[0].last_reason


# -- an exchange of its own process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def exchange(port: int, *arguments: str) -> Any:
    """Run an exchange; killed without a word at the end."""
    command = [sys.executable, "-m", "polyarb", "exchange", "--port", str(port), "--seed", "7"]
    process = subprocess.Popen([*command, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()


def rest_books(url: str, tokens: list[str]) -> dict[str, Any]:
    """Return the books of POST /books by token."""
    found: dict[str, Any] = {}
    for at in range(0, len(tokens), 400):
        body = json.dumps([{"token_id": token} for token in tokens[at : at + 400]]).encode()
        request = urllib.request.Request(f"{url}/books", data=body)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as got:  # noqa: S310
            found.update({row["asset_id"]: read_sides(row) for row in json.load(got)})
    return found


def known_pairs(url: str) -> list[tuple[str, str]]:
    """Return the token pairs of every market."""
    pairs, cursor = [], ""
    while cursor != "LTE=":
        with urllib.request.urlopen(f"{url}/markets?next_cursor={cursor}", timeout=30) as got:  # noqa: S310
            page = json.load(got)
        pairs += [
            tuple(t["token_id"] for t in m["tokens"]) for m in page["data"] if not m["closed"]
        ]
        cursor = page["next_cursor"]
    return pairs


def differing(feed: Feed, books: dict[str, Any]) -> list[str]:
    return [token for token, sides in books.items() if feed.library.sides(token) != sides]


async def test_five_thousand_tokens_on_several_connections():
    with exchange(0, "--scenario", "still", "--markets", "2500") as told:
        pairs = (await asyncio.to_thread(known_pairs, told["clob_url"]))[:2_500]
        assert len(pairs) == 2_500
        started = clock.monotonic_ns()
        async with running(Feed(told["market_ws_url"], pairs)) as feed:
            await feed.ready()
            took_s = (clock.monotonic_ns() - started) / SECOND
            assert len(feed.connections) == 25
            assert all(len(c.tokens) == 200 for c in feed.connections)
            books = await asyncio.to_thread(rest_books, told["clob_url"], feed.tokens)
            assert len(books) == 5_000
            assert differing(feed, books) == []
            assert set(feed.epochs) == {1}
            assert took_s < WAIT_S


async def test_the_exchange_is_killed_and_comes_back():
    port = free_port()
    config = {"tokens_per_connection": 20, "backoff_max_ns": SECOND // 2}
    with exchange(port, "--scenario", "quiet") as told:
        pairs = (await asyncio.to_thread(known_pairs, told["clob_url"]))[:60]
        feed = Feed(told["market_ws_url"], pairs, **config)
        context = running(feed)
        await context.__aenter__()
        await feed.ready()
    try:
        await until(lambda: not any(c.up for c in feed.connections), "all down")
        assert feed.live() == 0
        await until(lambda: min(feed.epochs) > 2, "dials")
        with exchange(port, "--scenario", "still") as told:
            again = {
                t for pair in await asyncio.to_thread(known_pairs, told["clob_url"]) for t in pair
            }
            await until(feed.all_up, "all up")
            common = [token for token in feed.tokens if token in again]
            assert len(common) > 20
            books = await asyncio.to_thread(rest_books, told["clob_url"], common)
            await until(lambda: not differing(feed, books), "the new books")
    finally:
        await context.__aexit__(None, None, None)


async def test_a_killed_feed_leaves_an_exchange_that_others_can_use(tmp_path):
    """Kill and restart of our side: the next process subscribes and has every book again."""
    program = (
        "import asyncio, sys; sys.path[:0] = ['tests']\n"
        "from feeds import *; from polyarb.feed import socket as s\n"
        "library = Library(sys.argv[2:])\n"
        "feed = MarketFeed(sys.argv[1], library.ticker, Heard(library), random=Random(1))\n"
        "feed.subscribe([(t,) for t in sys.argv[2:]], 1)\n"
        "async def main():\n"
        "    task = asyncio.create_task(s.run(feed))\n"
        "    while library.books.info().live_count < len(sys.argv) - 2:\n"
        "        await asyncio.sleep(0.01)\n"
        "    print('ready', flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    async with serving() as venue:
        for _ in range(3):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program, venue.url, *venue.tokens),
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": "."},
                stdout=subprocess.PIPE,
            )
            assert process.stdout
            async with asyncio.timeout(WAIT_S):
                assert await process.stdout.readline() == b"ready\n"
            process.kill()
            await process.wait()
            await until(lambda: not venue.venue.feeds.channels, "forgotten")


async def test_prices_are_read_as_they_are_written() -> None:
    assert all(fixed(text, 4) == e4 for e4, text in enumerate(PRICE) if 0 < e4 < ONE_E4)
