"""
Measure the feed: from a socket's bytes to the published top.

Question of rows 4 and 5: what CPU does a message cost the receiving process, user and system time
together, from the kernel's buffer to the book? The other side is a receive loop of ``websockets``
that does nothing with what it gets, and one that decodes with orjson into a book of dicts and takes
the best price of the side that changed, since ours publishes its top. What sends is a process of
its own (`market_peer`), as fast as it is read, so that a read brings many messages; both sides get
the same bytes. Every message must be applied: at the end our books equal those of the dicts.

The sustained rows are wall time over several connections; the latency of a message runs from the
moment the selector reported its socket as readable to the moment its book was published, with
everything that came before it in the same turn of the loop. A paced row is what a lively market
looks like, a flooded one the worst that a read of a full buffer can do.
"""

import asyncio
import json
import selectors
import ssl
import statistics
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from websockets.asyncio.client import connect

from bench import market_peer
from bench.inputs import Run
from bench.native import BENCH
from bench.paired import Goal, Row, summarize
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books, Side, State
from polyarb.core.tick import Ticker
from polyarb.feed import socket as feed_socket
from polyarb.feed.market import FeedConfig, MarketFeed

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

PAIR: Final = (
    "112222077780534073126353733665449794547376835979729917699348268168151417239731",
    "114602688616062054693464639818826590702731982636255124778328943187816056373369",
)
ROW_4: Final = {
    False: Goal(must=12, stretch=18, at_least=True),
    True: Goal(must=5, stretch=8, at_least=True),
}
ROW_5: Final = Goal(must=25, stretch=40, at_least=True)
OURS: Final = 400_000
"""Messages a round for our side; the others get a fifth, to take about as long."""
THEIRS: Final = OURS // 5
FLOOD: Final = 200_000
CONNECTIONS: Final = 4
PACED: Final = (3_000, 1, 1_000)
"""Messages a connection, in a write, microseconds between writes: 1,000 a second each."""
LIMIT_S: Final = 120.0

Data = str | bytes
DictBook = dict[str, dict[str, dict[float, float]]]


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    with TemporaryDirectory(prefix="polyarb-bench-") as folder:
        certificate = _certificate(Path(folder))
        for secure in (False, True):
            name = "TLS" if secure else "plain"
            if secure and certificate is None:
                yield Row(name="feed over TLS", note="openssl is not installed")
                continue
            with _peer(certificate if secure else None) as port:
                side = _Side(port, certificate if secure else None)
                yield from _against(run, side, name)
                yield from _sustained(run, side, name)


def _against(run: Run, side: "_Side", name: str) -> Iterator[Row]:
    count = OURS if run.rounds else 2_000
    theirs = THEIRS if run.rounds else 500
    samples: list[tuple[float, float, float]] = []
    for index in range(max(run.rounds, 1)):
        turns: list[Callable[[], float]] = [
            lambda: side.ours(count),
            lambda: side.bare(theirs),
            lambda: side.dicts(theirs) if orjson else 0.0,
        ]
        order = range(3) if index % 2 == 0 else range(2, -1, -1)
        took = {turn: turns[turn]() for turn in order}
        samples.append((took[0], took[1], took[2]))
    four, five = f"4 wire to book, {name}", f"5 wire to book, {name}"
    if run.rounds == 0:
        yield Row(name=four, note="ran")
        yield Row(name=five, note="ran" if orjson else "orjson is not installed")
        return
    yield summarize(
        four,
        [(ours, bare) for ours, bare, _ in samples],
        1,
        goal=ROW_4[side.secure],
        note="CPU of a price_change x2, 600 bytes; against a websockets loop that does nothing",
    )
    if orjson is None:
        yield Row(name=five, note="orjson is not installed")
        return
    yield summarize(
        five,
        [(ours, dicts) for ours, _, dicts in samples],
        1,
        goal=None if side.secure else ROW_5,
        faster=True,
        note="CPU; against websockets + orjson + dict book with its best prices",
    )


def _sustained(run: Run, side: "_Side", name: str) -> Iterator[Row]:
    rounds = max(min(run.rounds, 3), 1)
    side.sustained(1, 0, 0)  # the sender makes its messages once
    flood = (FLOOD if run.rounds else 1_000, 0, 0)
    paced = PACED if run.rounds else (50, 1, 1_000)
    for what, path in (("flooded", flood), ("1,000/s each", paced)):
        done = [side.sustained(*path) for _ in range(rounds)]
        title = f"feed process, {name}, {CONNECTIONS} connections, {what}"
        if run.rounds == 0:
            yield Row(name=title, note="ran")
            continue
        middle = statistics.median(one.wall_ns for one in done)
        cpu = statistics.median(one.cpu_ns for one in done)
        latencies = [one.percentiles() for one in done]
        texts = " / ".join(
            f"{statistics.median(each) / 1000:.1f}" for each in zip(*latencies, strict=True)
        )
        yield Row(
            name=title,
            ours=middle,
            note=f"wall time a message, {1e9 / middle:,.0f}/s, CPU {cpu:,.0f} ns; readable to "
            f"published p50 / p99 / p99.9 / max {texts} µs",
        )


@dataclass(frozen=True, slots=True)
class Sustained:
    """
    One run.

    Attributes:
        wall_ns, cpu_ns: A message.
        reads: (latency in ns, messages) of every read.
    """

    wall_ns: float
    cpu_ns: float
    reads: list[tuple[int, int]]

    def percentiles(self) -> list[int]:
        """Return p50, p99, p99.9 and the maximum, over messages."""
        ordered = sorted(self.reads)
        sums = list(accumulate(messages for _, messages in ordered))
        return [
            ordered[min(bisect_left(sums, sums[-1] * part), len(ordered) - 1)][0]
            for part in (0.5, 0.99, 0.999, 1)
        ]


class _Woken(selectors.DefaultSelector):
    """A selector that remembers when it last came back."""

    woke_ns = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(timeout)
        self.woke_ns = time.monotonic_ns()
        return ready


class _Heard:
    """A listener that waits for a number of messages."""

    def __init__(self, count: int, selector: _Woken | None = None) -> None:
        self.count = count
        self.feed: MarketFeed | None = None
        self.done = asyncio.get_running_loop().create_future()
        self.began = (0, 0)
        self.ended = (0, 0)
        self.reads: list[tuple[int, int]] = []
        self._selector = selector
        self._seen = 0

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        """Note how long the read took, and whether it was the last one."""
        assert self.feed
        seen = sum(connection.counts.data for connection in self.feed.connections.values())
        if self._selector:
            self.reads.append((time.monotonic_ns() - self._selector.woke_ns, seen - self._seen))
        self._seen = seen
        if seen >= self.count and not self.done.done():
            self.ended = (time.perf_counter_ns(), time.process_time_ns())
            self.done.set_result(None)

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        """There is none."""
        raise AssertionError(message)

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Start the clocks when the last connection is up."""
        self.began = (time.perf_counter_ns(), time.process_time_ns())

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """None may end before all is there."""
        assert self.done.done(), reason


class _Side:
    """The receivers."""

    def __init__(self, port: int, certificate: Path | None) -> None:
        self.secure = certificate is not None
        self._tls = ssl.create_default_context(cafile=certificate) if certificate else None
        self._base = f"{'wss' if certificate else 'ws'}://localhost:{port}"

    def ours(self, count: int) -> float:
        """Return the CPU nanoseconds a message of our feed on one connection."""
        heard = asyncio.run(self._feed(count, [PAIR], f"/{count}/0/0", None))
        return (heard.ended[1] - heard.began[1]) / count

    def sustained(self, count: int, each: int, pause_us: int) -> Sustained:
        """Return what several connections at once take, wall time and latencies."""
        selector = _Woken()
        pairs = [(f"{n}1{PAIR[0]}"[:77], f"{n}2{PAIR[1]}"[:77]) for n in range(1, CONNECTIONS + 1)]
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            path = f"/{count}/{each}/{pause_us}"
            heard = runner.run(self._feed(count, pairs, path, selector))
        total = count * CONNECTIONS
        wall, cpu = (b - a for a, b in zip(heard.began, heard.ended, strict=True))
        return Sustained(wall / total, cpu / total, heard.reads)

    def bare(self, count: int) -> float:
        """Return the CPU nanoseconds a message of a loop that does nothing."""
        return asyncio.run(self._receive(count, None))

    def dicts(self, count: int) -> float:
        """Return the CPU nanoseconds a message of orjson and a book of dicts."""
        book = dict_book(PAIR)
        loads = orjson.loads

        def take(data: Data) -> None:
            apply(book, loads(data))

        return asyncio.run(self._receive(count, take))

    async def _receive(self, count: int, take: Callable[[Data], None] | None) -> float:
        async with connect(
            f"{self._base}/{count}/0/0",
            ssl=self._tls,
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
        ) as connection:
            wanted = {"type": "market", "assets_ids": PAIR}
            await connection.send(json.dumps(wanted))
            if take:
                take(await connection.recv())
            left = count + (take is None)
            began = time.process_time_ns()
            async for message in connection:
                if take:
                    take(message)
                left -= 1
                if not left:
                    break
            took = time.process_time_ns() - began
            connection.transport.abort()
        return took / count

    async def _feed(
        self,
        count: int,
        pairs: Sequence[tuple[str, str]],
        path: str,
        selector: _Woken | None,
    ) -> _Heard:
        arena = Arena.create(None, config=ArenaConfig(token_count=2 * len(pairs)))
        books = Books(arena, time.monotonic_ns())
        slots = {t: books.add(t, time.monotonic_ns()) for pair in pairs for t in pair}
        for pair in pairs:
            books.pair(slots[pair[0]], slots[pair[1]])
        heard = _Heard((count + 2) * len(pairs), selector)
        feed = heard.feed = MarketFeed(
            f"{self._base}{path}",
            Ticker(arena),
            heard,
            config=FeedConfig(tokens_per_connection=2),
            random=Random(1),
        )
        feed.subscribe(pairs, time.monotonic_ns())
        running = asyncio.create_task(feed_socket.run(feed, tls=self._tls))
        async with asyncio.timeout(LIMIT_S):
            await asyncio.wait([heard.done, running], return_when=asyncio.FIRST_COMPLETED)
        _check(books, slots, pairs, count)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return heard


def dict_book(pair: Sequence[str]) -> DictBook:
    """Return an empty book of dicts."""
    return {token: {"BUY": {}, "SELL": {}} for token in pair}


def apply(book: DictBook, message: Any) -> None:
    """Apply the opening books or a price_change."""
    if isinstance(message, list):
        for row in message:
            for side, levels in (("BUY", row["bids"]), ("SELL", row["asks"])):
                book[row["asset_id"]][side] = {float(r["price"]): float(r["size"]) for r in levels}
        return
    for entry in message["price_changes"]:
        side = book[entry["asset_id"]][entry["side"]]
        size = float(entry["size"])
        if size:
            side[float(entry["price"])] = size
        else:
            side.pop(float(entry["price"]), None)
        best(side, entry["side"])


def best(side: dict[float, float], name: str) -> float | None:
    """Return the best price of a side of dicts."""
    return max(side, default=None) if name == "BUY" else min(side, default=None)


def _check(
    books: Books, slots: dict[str, int], pairs: Sequence[tuple[str, str]], count: int
) -> None:
    """Hold our books against those of the dicts; every message must have been applied."""
    counters = books.counters()
    assert counters["deltas_applied"] == 2 * count * len(pairs), counters
    for pair in pairs:
        book = dict_book(pair)
        apply(book, json.loads(market_peer.books(list(pair))))
        made = market_peer.changes(list(pair), 0)
        for n in range(max(0, count - market_peer.DISTINCT), count):
            apply(book, json.loads(made[n % market_peer.DISTINCT]))
        for token in pair:
            for side, name in ((Side.BID, "BUY"), (Side.ASK, "SELL")):
                ours = {p / 1e4: s / 1e6 for p, s in books.ladder(slots[token], side)}
                assert ours == book[token][name], (token, side)
            top = books.top(slots[token])
            assert top
            assert top.state is State.LIVE, top


def _certificate(folder: Path) -> Path | None:
    """Return a self-signed certificate of localhost with its key; None without openssl."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key")]
    try:
        subprocess.run([*command, "-out", str(folder / "cert")], check=True, capture_output=True)
    except FileNotFoundError:
        return None
    made = folder / "localhost.pem"
    made.write_text((folder / "key").read_text() + (folder / "cert").read_text())
    return made


@contextmanager
def _peer(certificate: Path | None) -> Iterator[int]:
    """Run the sender; give its port."""
    command = [
        sys.executable,
        "-m",
        "bench.market_peer",
        *([str(certificate)] if certificate else []),
    ]
    process = subprocess.Popen(command, cwd=BENCH.parent, stdout=subprocess.PIPE)
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
