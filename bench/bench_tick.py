"""
From a message to its request, and over loopback to the trade (performance.md rows 8-10, 14, 22).

Questions: what does everything between a frame and the request for it cost, warm, after 50 ms of
idleness, and at worst in a live loop? How long does the exchange wait between the frame that brings
an edge and the POST that takes it, with our pieces and with `websockets`, `json`, the official SDK
and `aiohttp`? Frames and relation are those of `edges`, 128 distinct ones; an untimed frame takes
the edge away again. What is built is checked in the same run: amounts, sides and tokens of every
order equal the SDK's, ids are distinct, signatures recover to the account.

The rows over loopback put the exchange (`trade_peer`) on a processor of its own, where it never
sleeps: its wake-up is in nobody's figure, ours is in everybody's. Both sides take turns run by run.
"Default" is the host as it is; "awake" holds /dev/cpu_dma_latency at 0, where that is permitted.
A call of row 22 during which the scheduler ran somebody else does not count, as in every other row;
how many they were, and the tail with them, stands beside it.
"""

import asyncio
import gc
import json
import resource
import ssl
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
from websockets.asyncio.client import connect

from bench import edges
from bench.bench_feed import _certificate
from bench.bench_send import Counting, peer
from bench.bench_sign import assert_recovers, library_side
from bench.edges import DISTINCT, SHARES, TOKENS, ask_e4, edge, no_edge
from bench.inputs import Run
from bench.paired import INPUTS, Goal, Row, paired, summarize
from bench.sdk import installed
from bench.trader import CASH_E6, TRADED, Dry, Market, Put, Trader, account_of, request_of
from polyarb.exchange.fastpath import FastPath, Lines, Way, prepared_post
from polyarb.exchange.rehearsal import KeepWarm
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.transport import Line, Session
from polyarb.feed import socket as feed_socket
from polyarb.feed.market import FeedConfig, MarketFeed

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

ROW_8: Final = Goal(must=1.12, stretch=1.07)
ROW_9: Final = Goal(must=18, stretch=23, at_least=True)
ROW_10: Final = Goal(must=2.2, stretch=1.4)
ROW_14: Final = {
    "default": Goal(must=8, stretch=12, at_least=True),
    "awake": Goal(must=13, stretch=18, at_least=True),
}
ROW_22: Final = Goal(must=3, stretch=1.5)
LEGS: Final = 2
IDLE_S: Final = 0.05
IDLE_SAMPLES: Final = 40
WARM_NS: Final = 1_000_000
LIVE_CALLS: Final = 100_000
LIVE_TURN: Final = 20
"""Calls in a turn of the live loop."""

TRADES: Final = (60, 10_000)
"""Edges a run, microseconds between two frames."""

LIMIT_S: Final = 30.0
NOWHERE: Final = "http://localhost:1"

assert DISTINCT == INPUTS


class Rig:
    """Our pieces up to the request; nothing is sent."""

    def __init__(self, run: Run) -> None:
        self.signer = run.inputs.signer(backend="native")
        self.market = Market()
        self.market.open()
        self.account = account_of(self.market.arena)
        self.request = request_of(run.inputs, self.signer, self.account)
        post = prepared_post(NOWHERE, run.inputs.address, run.inputs.credentials)
        self.path = FastPath(Counting(), _NoLines(), request=self.request, post=post)
        self.trader = Trader(self.market, self.account, self.path)
        self.edges = [edge(number) for number in range(DISTINCT)]
        self.breaks = [no_edge(number) for number in range(DISTINCT)]

    def reset(self, number: int) -> None:
        """Take away the edge before `number`."""
        now_ns = time.monotonic_ns()
        assert self.market.ticker.tick(self.breaks[number], now_ns) >= 0
        assert not self.trader.look(now_ns)

    def act(self, number: int) -> int:
        """Return the nanoseconds from the frame's bytes to the request's."""
        frame, tick, look = self.edges[number], self.market.ticker.tick, self.trader.look
        began = time.perf_counter_ns()
        now_ns = time.monotonic_ns()
        tick(frame, now_ns)
        found = look(now_ns)
        took = time.perf_counter_ns() - began
        assert found, f"edge {number} was not seen"
        self.trader.release(self.trader.held_e6)
        return took

    def side(self, first: int, last: int) -> int:
        """Do so for some inputs."""
        took = 0
        for number in range(first, last):
            self.reset(number)
            took += self.act(number)
        return took


class _NoLines:
    def ready(self, now_ns: int) -> Line | None:
        """Have none."""
        return None


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    rig = Rig(run)
    digests = check(run, rig)
    library, _ = library_side(run, digests, LEGS)
    yield paired(
        "8 message to request, 2 legs",
        rig.side,
        library,
        rounds=run.rounds,
        turn=8,
        goal=ROW_8,
        note="price_change x2, 600 bytes; against 2 raw signatures of libsecp256k1, default nonce",
    )
    yield _against_sdk(run, rig)
    yield from _idle(run, rig)
    yield _live(run, rig)
    yield from _over_loopback(run)


def check(run: Run, rig: Rig) -> list[bytes]:
    """Hold what is built for every edge to what it should be; return the digests."""
    put = Put(run.inputs, json.loads) if installed() else None
    if put:
        put.take(edges.books())
    digests, signatures = [], []
    for number in range(DISTINCT):
        rig.reset(number)
        rig.act(number)
        built = _orders(rig.path.body)
        asked = [ask_e4(number), edges.ASKED[1]]
        assert [_wanted(order) for order in built] == [
            (str(token.token_id), "BUY", str(price * 100 * SHARES), str(SHARES * 10**6))
            for token, price in zip(TRADED, asked, strict=True)
        ]
        if put:
            assert not put.take(rig.breaks[number])
            assert put.take(rig.edges[number])
            theirs = _orders(put.sdk.body)
            assert [_wanted(order) for order in theirs] == [_wanted(order) for order in built]
        digests += [bytes.fromhex(one.order_id[2:]) for one in rig.path.asked]
        signatures += [bytes.fromhex(order["signature"][2:]) for order in built]
    assert len(set(digests)) == len(digests), "an order was made twice"
    assert_recovers(digests, b"".join(signatures), run.inputs.address)
    assert rig.account.balance.available_e6 == CASH_E6, "cash is held for nothing"
    return digests


def _orders(body: bytes) -> list[dict[str, Any]]:
    return [item["order"] for item in json.loads(body)]


def _wanted(order: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(order[name]) for name in ("tokenId", "side", "makerAmount", "takerAmount"))


def _against_sdk(run: Run, rig: Rig) -> Row:
    name = "9 message to request, 2 legs"
    if orjson is None or not installed():
        return Row(name=name, note="orjson or py-clob-client-v2 is not installed")
    put = Put(run.inputs, orjson.loads)
    put.take(edges.books())

    def theirs(first: int, last: int) -> int:
        took = 0
        for number in range(first, last):
            put.take(rig.breaks[number])
            began = time.perf_counter_ns()
            found = put.take(rig.edges[number])
            took += time.perf_counter_ns() - began
            assert found, f"edge {number} was not seen"
        return took

    return paired(
        name,
        rig.side,
        theirs,
        rounds=run.rounds,
        turn=8,
        goal=ROW_9,
        note=f"against orjson + dict book + py-clob-client-v2 {installed()}",
    )


# -- row 10


def _idle(run: Run, rig: Rig) -> Iterator[Row]:
    samples = max(IDLE_SAMPLES if run.rounds else 2, 2)
    done = [asyncio.run(_idle_round(run, rig, samples)) for _ in range(max(run.rounds, 1))]
    for name, index, goal, note in (
        ("10 message to request after 50 ms idle", 0, ROW_10, "with a rehearsal every 1 ms"),
        ("message to request after 50 ms idle", 1, None, "without rehearsals"),
    ):
        if run.rounds == 0:
            yield Row(name=name, note="ran")
            continue
        took = [(each[index], each[2]) for each in done]
        yield summarize(name, took, 1, goal=goal, note=f"{note}; against its own hot loop")


async def _idle_round(run: Run, rig: Rig, samples: int) -> tuple[float, float, float]:
    """Return the median after idleness with and without rehearsals, and the median hot."""
    dry = Dry(run.inputs, rig.signer, NOWHERE, _alternating())
    warm = KeepWarm(dry.run, rig.path.prepare, WARM_NS)
    cold = await _after_idling(rig, samples)
    warm.begin()
    kept = await _after_idling(rig, samples)
    warm.end()
    hot = [_hot(rig, n) for n in range(4 * DISTINCT)][DISTINCT:]
    assert warm.count > samples
    return statistics.median(kept), statistics.median(cold), statistics.median(hot)


async def _after_idling(rig: Rig, samples: int) -> list[int]:
    took = []
    for n in range(samples):
        rig.reset(n % DISTINCT)
        await asyncio.sleep(IDLE_S)
        took.append(rig.act(n % DISTINCT))
    return took


def _hot(rig: Rig, n: int) -> int:
    rig.reset(n % DISTINCT)
    return rig.act(n % DISTINCT)


def _alternating() -> list[bytes]:
    return [one for n in range(DISTINCT) for one in (no_edge(n), edge(n))]


# -- row 22


def _live(run: Run, rig: Rig) -> Row:
    name = "22 p99 / p50 of row 8 in a live loop"
    calls = LIVE_CALLS if run.rounds else 1_000
    gc.collect()
    gc.freeze()
    try:
        took = asyncio.run(_live_calls(run, rig, calls))
    finally:
        gc.unfreeze()
    if run.rounds == 0:
        return Row(name=name, note="ran")
    alone = sorted(ns for ns, disturbed in took if not disturbed)
    every = sorted(ns for ns, _ in took)
    p50, p99, p999 = (float(alone[int(len(alone) * part)]) for part in (0.5, 0.99, 0.999))
    return Row(
        name=name,
        ours=p99,
        against=p50,
        ratios=(p99 / p50,),
        goal=ROW_22,
        note=f"{calls:,} calls, GC on, rehearsals on; p99.9 {p999 / 1000:.1f} µs, max "
        f"{alone[-1] / 1000:.1f} µs; {len(every) - len(alone)} calls disturbed, with them p99 "
        f"{every[int(len(every) * 0.99)] / 1000:.1f} µs",
    )


async def _live_calls(run: Run, rig: Rig, calls: int) -> list[tuple[int, bool]]:
    """Return what each call took, and whether the scheduler ran somebody else meanwhile."""
    assert gc.isenabled()
    dry = Dry(run.inputs, rig.signer, NOWHERE, _alternating())
    warm = KeepWarm(dry.run, rig.path.prepare, WARM_NS)
    warm.begin()
    took: list[tuple[int, bool]] = []
    while len(took) < calls:
        for _ in range(LIVE_TURN):
            number = len(took) % DISTINCT
            rig.reset(number)
            before = _preempted()
            ns = rig.act(number)
            took.append((ns, _preempted() != before))
        await asyncio.sleep(0)
    warm.end()
    return took


def _preempted() -> int:
    """Return how often the scheduler took the processor away from this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


# -- row 14


def _over_loopback(run: Run) -> Iterator[Row]:
    if not installed():
        yield Row(name="14 tick to trade", note="py-clob-client-v2 is not installed")
        return
    with TemporaryDirectory(prefix="polyarb-bench-") as folder:
        certificate = _certificate(Path(folder))
        for secure in (False, True):
            if secure and certificate is None:
                yield Row(name="tick to trade over TLS", note="openssl is not installed")
                continue
            with peer("--spin", *([str(certificate)] if secure else [])) as port:
                trades = _Trades(run, port, certificate if secure else None)
                for host in ("default", "awake"):
                    yield trades.row(host)


@contextmanager
def _host(kind: str) -> Iterator[None]:
    """Keep the processors from sleeping deeply, if wanted. Raises OSError where not permitted."""
    if kind == "default":
        yield
        return
    with Path("/dev/cpu_dma_latency").open("wb", buffering=0) as latency:
        latency.write(struct.pack("=i", 0))
        yield


class _Trades:
    """Runs of trades against one exchange."""

    def __init__(self, run: Run, port: int, certificate: Path | None) -> None:
        self._run = run
        self._port = port
        self._secure = certificate is not None
        self._tls = ssl.create_default_context(cafile=certificate) if certificate else None
        self._url = f"http{'s' if certificate else ''}://localhost:{port}"
        count, gap_us = TRADES if run.rounds else (3, 2_000)
        self._count = count
        self._socket = f"ws{'s' if certificate else ''}://localhost:{port}/ws/market"
        self._path = f"/{count}/{gap_us}"

    def row(self, host: str) -> Row:
        """Return the row of one kind of host."""
        name = f"14 tick to trade, {'TLS' if self._secure else 'plain'}, {host} host"
        samples: list[tuple[float, float]] = []
        tails: list[float] = []
        try:
            with _host(host):
                for index in range(max(self._run.rounds, 1)):
                    turns: list[Callable[[], list[int]]] = [self.ours, self.theirs]
                    order = (0, 1) if index % 2 == 0 else (1, 0)
                    took = {turn: turns[turn]() for turn in order}
                    samples.append((statistics.median(took[0]), statistics.median(took[1])))
                    tails.append(sorted(took[0])[int(len(took[0]) * 0.9)])
        except PermissionError as error:
            return Row(name=name, note=f"not permitted here: {error}")
        except FileNotFoundError as error:
            return Row(name=name, note=f"not there: {error}")
        except TimeoutError:
            raise AssertionError(f"not every edge was traded within {LIMIT_S:g} s") from None
        if self._run.rounds == 0:
            return Row(name=name, note="ran")
        return summarize(
            name,
            samples,
            1,
            goal=None if self._secure else ROW_14[host],
            faster=True,
            note=f"p90 {statistics.median(tails) / 1000:.0f} µs; against websockets + json + "
            f"py-clob-client-v2 {installed()} + aiohttp",
        )

    def ours(self) -> list[int]:
        """Return what each of our trades took the exchange."""
        return asyncio.run(asyncio.wait_for(self._ours(), LIMIT_S))

    def theirs(self) -> list[int]:
        """Return what each of theirs took."""
        return asyncio.run(asyncio.wait_for(self._theirs(), LIMIT_S))

    async def _ours(self) -> list[int]:
        inputs = self._run.inputs
        signer = inputs.signer(backend="native")
        market = Market()
        account = account_of(market.arena)
        client = Counting()
        async with Session(tls=self._tls) as session:
            lines = Lines(session, self._url)
            await lines.tend()
            path = FastPath(
                client,
                lines,
                request=request_of(inputs, signer, account),
                post=prepared_post(self._url, inputs.address, inputs.credentials),
            )
            trader = Trader(market, account, path)
            listener = _Listener(trader)
            feed = MarketFeed(
                f"{self._socket}{self._path}",
                market.ticker,
                listener,
                config=FeedConfig(tokens_per_connection=len(TOKENS)),
                random=Random(1),
            )
            feed.subscribe([TOKENS[:2], TOKENS[2:]], time.monotonic_ns())
            warm = KeepWarm(
                Dry(inputs, signer, self._url, _alternating()).run, path.prepare, WARM_NS
            )
            warm.begin()
            running = asyncio.create_task(feed_socket.run(feed, tls=self._tls))
            while listener.trades < self._count and not running.done():
                await asyncio.sleep(0.05)
            await path.close()
            warm.end()
            results = await self._results(session_tls=self._tls)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            lines.close()
        assert path.sent == {Way.DIRECT: self._count, Way.ORDINARY: 0, Way.NOWHERE: 0}, path.sent
        return self._checked(results, signer)

    async def _theirs(self) -> list[int]:
        put = Put(self._run.inputs, json.loads)
        trades = 0
        async with (
            aiohttp.ClientSession() as session,
            connect(f"{self._socket}{self._path}", ssl=self._tls, proxy=None) as connection,
        ):
            async with session.get(f"{self._url}/ok", ssl=self._tls or True) as answer:
                await answer.read()
            wanted = {"type": "market", "assets_ids": TOKENS}
            await connection.send(json.dumps(wanted))
            async for message in connection:
                if not put.take(message):
                    continue
                sdk = put.sdk
                async with session.post(
                    f"{self._url}/orders",
                    data=sdk.body,
                    headers=sdk.headers,
                    ssl=self._tls or True,
                ) as answer:
                    await answer.read()
                trades += 1
                if trades == self._count:
                    break
            results = await self._results(session_tls=self._tls)
            connection.transport.abort()
        return self._checked(results, None)

    async def _results(self, *, session_tls: ssl.SSLContext | None) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self._url}/results", ssl=session_tls or True) as answer,
        ):
            return dict(await answer.json())

    def _checked(self, results: dict[str, Any], signer: OrderSigner | None) -> list[int]:
        """Hold every order that arrived to what its edge asks for; return the times."""
        assert results["lost"] == 0, f"{results['lost']} edges were not traded"
        assert len(results["took_ns"]) == self._count, results["took_ns"]
        seen = set()
        for number, body in enumerate(results["bodies"]):
            orders = _orders(body.encode())
            asked = [ask_e4(number), edges.ASKED[1]]
            assert [_wanted(order) for order in orders] == [
                (str(token.token_id), "BUY", str(price * 100 * SHARES), str(SHARES * 10**6))
                for token, price in zip(TRADED, asked, strict=True)
            ], f"trade {number}"
            seen |= {(order["salt"], order["timestamp"]) for order in orders}
        assert len(seen) == LEGS * self._count, "an order was sent twice"
        return [int(each) for each in results["took_ns"]]


class _Listener:
    """Trades in the callback of the read."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self.trades = 0

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        """Look, and send."""
        trader = self._trader
        if trader.look(recv_ns):
            trader.send()
            trader.release(trader.held_e6)
            self.trades += 1

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        """There is none."""
        raise AssertionError(message)

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Nothing has to be done."""

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """Nothing has to be done."""
