"""The simulated exchange on its port: what a client's bytes do to it, and the other way round."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from simclient import Client
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from polyarb import clock
from polyarb.sim import InProcessVenue, scenarios, server
from polyarb.sim.decimals import PRICE
from polyarb.sim.exchange import Action, Exchange
from polyarb.sim.http import Fate, Request, dump, ok
from polyarb.sim.server import Server
from polyarb.sim.streams import Channel

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def serving(scenario: str = "still", **options: Any) -> AsyncIterator[tuple[Server, str]]:
    """Serve a venue in this process: (server, base URL)."""
    exchange = Exchange(scenarios.find(scenario), seed=7, **{"start_ns": clock.wall_ns()} | options)
    running = Server(exchange)
    url = await running.start()
    try:
        yield running, url
    finally:
        await running.stop()


@contextlib.asynccontextmanager
async def raw(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a plain connection."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def market_socket(url: str, **options: Any) -> connect:
    return connect(url.replace("http", "ws", 1) + "/ws/market", proxy=None, **options)


def tokens(running: Server, count: int = 2) -> list[str]:
    return list(running.exchange.venue.catalog.tokens)[:count]


async def subscribed(running: Server, stream: ClientConnection, count: int = 2) -> list[Any]:
    """Subscribe and return the opening books."""
    await stream.send(json.dumps({"type": "market", "assets_ids": tokens(running, count)}))
    books = json.loads(await stream.recv())
    assert isinstance(books, list)
    return books


def channel(running: Server) -> Channel:
    (only,) = running.exchange.venue.feeds.channels.values()
    return only


def after(running: Server, **changes: Any) -> None:
    """Let every answer leave with these changes."""
    running.exchange.venue.faults.after = lambda _, response: (replace(response, **changes), 0)


# HTTP


async def test_one_connection_takes_many_requests():
    async with serving() as (_, url), raw(url) as (reader, writer):
        for _ in range(3):
            writer.write(b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert abs(int(await reader.readexactly(length)) - clock.wall_ns() // 10**9) <= 1


async def test_a_request_may_arrive_byte_by_byte():
    async with serving() as (_, url), raw(url) as (reader, writer):
        for byte in b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_the_venue_sees_path_query_headers_and_body_as_they_were_sent(monkeypatch):
    seen: list[Request] = []

    def take(self: Exchange, request: Request) -> None:
        seen.append(request)
        request.reply(ok("OK"))

    monkeypatch.setattr(Exchange, "request", take)
    async with serving() as (_, url), raw(url) as (reader, writer):
        writer.write(
            b"POST /a%2Fb/c?x=1&x=2%20&y= HTTP/1.1\r\nHost: x\r\nPOLY_API_KEY: k\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\xff{}"
        )
        await reader.readuntil(b"\r\n\r\n")
    (request,) = seen
    assert (request.method, request.path, request.body) == ("POST", "/a%2Fb/c", b"\xff{}")
    assert request.query == {"x": ["1", "2 "], "y": [""]}
    assert request.headers["poly_api_key"] == "k"
    assert request.peer == "127.0.0.1"


async def test_a_body_of_8_mb_is_read_and_a_larger_one_refused():
    async with serving() as (_, url), aiohttp.ClientSession(url) as client:
        async with client.post("/books", data=b"[" + b" " * (server.BODY_MAX - 2) + b"]") as answer:
            assert answer.status != 413
        async with client.post("/books", data=b" " * (server.BODY_MAX + 1)) as answer:
            assert answer.status == 413
            assert "error" in await answer.json()
        async with client.get("/ok") as answer:
            assert answer.status == 200


async def test_a_lost_answer_is_a_connection_that_ends_without_a_byte():
    async with serving() as (running, url), raw(url) as (reader, writer):
        after(running, fate=Fate.LOST)
        writer.write(b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


async def test_a_cut_answer_ends_half_way():
    async with serving() as (running, url), raw(url) as (reader, writer):
        after(running, fate=Fate.CUT, body=b"x" * 1000)
        writer.write(b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(4096):
                got += chunk
        assert b"content-length: 1000" in got.lower()
        assert got.count(b"x" * 500) == 1
        assert not got.endswith(b"x" * 501)


async def test_an_answer_carries_its_headers_and_content_type():
    async with serving() as (running, url), aiohttp.ClientSession(url) as client:
        after(running, status=429, headers={"Retry-After": "3"}, content_type="text/html")
        async with client.get("/time") as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "3"
            assert answer.headers["Content-Type"] == "text/html"


async def test_an_answer_may_come_later():
    async with serving() as (running, url), aiohttp.ClientSession(url) as client:
        faults = running.exchange.venue.faults
        faults.after = lambda _, response: (response, 200_000_000)
        began = clock.monotonic_ns()
        async with client.get("/ok") as answer:
            assert answer.status == 200
        assert clock.monotonic_ns() - began >= 200_000_000


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\x80" * 1000,
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /ws/market\r\n\r\n",
        b"GET /ws/ HTTP/1.1\r\n\r\n",
        b"GET /ws/market HTTP/1.1\r\n\r\n",
        b"GET /ws/market HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /ws/user " + b"x" * 20_000,
        b"POST /order HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS greeting
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_garbage_ends_its_own_connection_at_most(garbage):
    async with serving() as (running, url):
        async with raw(url) as (reader, writer):
            writer.write(garbage)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 5)
        async with aiohttp.ClientSession(url) as client, client.get("/ok") as answer:
            assert answer.status == 200
        assert not running.exchange.venue.last_error


async def test_a_connection_that_says_nothing_is_dropped(monkeypatch):
    monkeypatch.setattr(server, "OPEN_S", 0.05)
    async with serving() as (_, url):
        for beginning in (b"", b"GET /ws/mar", b"GET /ws/market HTTP/1.1\r\nHost: x\r\n"):
            async with raw(url) as (reader, writer):
                writer.write(beginning)
                with contextlib.suppress(ConnectionError):
                    assert await asyncio.wait_for(reader.read(), 5) == b""


# WebSockets


async def test_a_subscription_is_answered_with_books_and_ping_with_pong():
    async with serving() as (running, url), market_socket(url) as stream:
        books = await subscribed(running, stream)
        assert {book["asset_id"] for book in books} == set(tokens(running))
        await stream.send("PING")
        assert await stream.recv() == "PONG"
        await (await stream.ping())  # the protocol's own


async def test_binary_and_fragmented_messages_count_as_text():
    async with serving() as (_, url), market_socket(url) as stream:
        await stream.send(b"\xff\xfe")  # no text: nothing happens
        await stream.send(b"PING")
        assert await stream.recv() == "PONG"
        await stream.send(iter(["PI", "NG"]))
        assert await stream.recv() == "PONG"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # text that is no UTF-8
        (b"\x81\x02{}", 1002),  # not masked
        (b"\x81\xff\0\0\0\0\0\x10\0\1\0\0\0\0", 1009),  # over 1 MB
        (b"\xff\xff\xff\xff", 1002),
    ],
)
async def test_a_frame_that_breaks_the_protocol_is_answered_with_its_close_code(frame, code):
    async with serving() as (running, url), market_socket(url) as stream:
        stream.transport.write(frame)
        with pytest.raises(ConnectionClosed):
            await stream.recv()
        assert stream.close_code == code
        assert not running.exchange.venue.feeds.channels


async def test_everything_said_in_one_instant_leaves_in_one_write(monkeypatch):
    writes: list[int] = []
    async with serving() as (running, url), market_socket(url) as stream:
        await subscribed(running, stream)
        (sink,) = running.sockets
        transport = sink._transport
        monkeypatch.setattr(sink, "_transport", Spy(transport, writes), raising=True)
        running.driver.act(lambda: [sink.text(b"%d" % number) for number in range(1000)])
        assert [await stream.recv() for _ in range(1000)] == [str(n) for n in range(1000)]
        assert len(writes) == 1


class Spy:
    """A transport that notes the size of each write."""

    def __init__(self, transport: asyncio.Transport, writes: list[int]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(len(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def stream_until_closed(stream: ClientConnection) -> AsyncIterator[str | bytes]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await stream.recv()


async def test_a_slow_consumer_is_closed_with_1013(monkeypatch):
    monkeypatch.setattr(server, "BUFFER_MAX", 2**18)
    async with (
        serving() as (running, url),
        market_socket(url, max_queue=1, ping_interval=None) as stream,
    ):
        await subscribed(running, stream)
        only = channel(running)
        while only.open:
            running.driver.act(lambda: only.text(b"x" * 2**17))
            await asyncio.sleep(0)
        assert not running.exchange.venue.feeds.channels
        async for _ in stream_until_closed(stream):
            pass
        assert stream.close_code == 1013
        assert stream.close_reason == "slow consumer: send buffer full"


async def test_a_frame_of_8_mb_reaches_whoever_reads():
    async with serving() as (running, url), market_socket(url, max_size=None) as stream:
        await subscribed(running, stream)
        running.driver.act(lambda: channel(running).text(b"y" * server.BUFFER_MAX))
        running.driver.act(lambda: channel(running).text(b"z"))
        assert len(await stream.recv()) == server.BUFFER_MAX
        assert await stream.recv() == "z"


async def test_closing_and_dropping_from_the_venue():
    async with serving() as (running, url):
        venue = running.exchange.venue
        async with market_socket(url) as stream:
            await subscribed(running, stream)
            running.driver.act(lambda: venue.feeds.end(channel(running), 1000, "settled"))
            with pytest.raises(ConnectionClosed):
                await stream.recv()
            assert (stream.close_code, stream.close_reason) == (1000, "settled")
        async with market_socket(url) as stream:
            await subscribed(running, stream)
            only = channel(running)
            running.driver.act(lambda: (only.text(b"last"), venue.feeds.drop(only)))
            assert await stream.recv() == "last"
            with pytest.raises(ConnectionClosed):
                await stream.recv()
            assert stream.close_code == 1006


async def test_raw_bytes_go_out_as_they_are():
    async with serving() as (running, url), market_socket(url) as stream:
        await subscribed(running, stream)
        only = channel(running)
        running.driver.act(lambda: (only.text(b"good"), only.sink.raw(b"\xff\xff broken")))
        assert await stream.recv() == "good"
        with pytest.raises(ConnectionClosed):
            await stream.recv()
        await stream.wait_closed()
        while running.exchange.venue.feeds.channels:
            await asyncio.sleep(0.01)


async def test_a_client_that_vanishes_is_forgotten():
    async with serving() as (running, url):
        async with market_socket(url) as stream:
            await subscribed(running, stream)
            stream.transport.abort()
        while running.exchange.venue.feeds.channels or running.sockets:
            await asyncio.sleep(0.01)


async def test_a_subscriber_on_a_path_of_its_own_is_refused_by_http():
    async with serving() as (_, url):
        wrong = url.replace("http", "ws", 1) + "/ws/other"
        with pytest.raises(Exception, match="404"):
            async with connect(wrong, proxy=None):
                pass


# The clock and the port


async def test_refused_connections_end_by_themselves():
    async with serving() as (running, url):
        async with market_socket(url) as stream:
            await subscribed(running, stream)
            running.exchange.venue.on_refuse_connections(0.2)
            with pytest.raises(ConnectionRefusedError):
                async with raw(url):
                    pass
            await stream.send("PING")
            assert await stream.recv() == "PONG"  # what is open stays open
        until = clock.monotonic_ns() + 5 * 10**9
        while clock.monotonic_ns() < until:
            with contextlib.suppress(ConnectionRefusedError):
                async with raw(url):
                    return
            await asyncio.sleep(0.02)
        pytest.fail("the port stayed closed")


async def test_requests_get_their_turn_in_a_storm_that_is_too_big():
    """The venue falls behind and says so; it does not fall silent."""
    async with serving() as (running, url), aiohttp.ClientSession(url) as client:
        venue = running.exchange.venue

        def burn() -> None:  # 2 ms of work a ms
            until = clock.monotonic_ns() + 2_000_000
            while clock.monotonic_ns() < until:
                pass
            venue.schedule(venue.now_ns + 1_000_000, burn)

        running.driver.act(burn)
        began = clock.monotonic_ns()
        for _ in range(20):
            async with client.get("/ok") as answer:
                assert answer.status == 200
        assert clock.monotonic_ns() - began < 2_000_000_000
        assert running.driver.lag_ns_max > 10_000_000
        assert len(venue._queue) < 1000


async def test_an_event_that_breaks_does_not_stop_the_clock(capsys):
    async with serving() as (running, url), aiohttp.ClientSession(url) as client:
        venue = running.exchange.venue
        done = asyncio.Event()
        venue.schedule(venue.now_ns, lambda: 1 / 0)
        venue.schedule(venue.now_ns, done.set)
        running.driver.act(lambda: None)
        await asyncio.wait_for(done.wait(), 5)
        async with client.get("/ok") as answer:
            assert answer.status == 200
    assert server._sum_up(running, sys.stderr) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_the_end_does_not_wait_for_an_answer_that_never_comes(monkeypatch):
    monkeypatch.setattr(server, "END_S", 0.1)
    async with serving() as (running, url), raw(url) as (reader, writer):
        running.exchange.venue.faults.after = lambda _, response: (response, 10**15)
        writer.write(b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
        while not running._answers:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(running.stop(), 5)
        assert await reader.read() == b""


# The same actions, over sockets and in process


async def trade(running: Server, http: aiohttp.ClientSession) -> set[str]:
    """Place, match and cancel signed orders all over the venue; return the statuses they got."""
    venue, account = running.exchange.venue, running.exchange.account
    trader = Client(venue, account["private_key"][2:], account["signature_type"], cash_e6=0)

    async def send(method: str, path: str, body: object = None) -> Any:
        raw = dump(body) if body else b""
        headers = trader.headers(method, path, raw)
        async with http.request(method, path, data=raw, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    posts = []
    for number, token in enumerate(tokens(running, 60)):
        market, outcome = venue.catalog.tokens[token]
        ask = venue.book(market).best(False, outcome)
        if ask is None or market.seconds_delay:
            continue
        batch = [
            trader.order(token, "BUY", PRICE[ask], "20", kind)
            for kind in ("GTC", "FAK", "GTC")[: 1 + number % 3]
        ]
        posts.append(asyncio.create_task(send("POST", "/orders", batch)))
        if number % 7 == 0:
            await send("DELETE", "/cancel-all")
        await asyncio.sleep(0.01)
    return {item["status"] for answer in await asyncio.gather(*posts) for item in answer}


async def test_a_run_over_sockets_repeats_in_process_to_the_same_log():
    start_ns = clock.wall_ns()
    recorded: list[Action] = []
    async with serving("default", start_ns=start_ns) as (running, url):
        exchange = running.exchange
        exchange.recorder = recorded.append
        async with (
            market_socket(url, max_queue=None) as stream,
            aiohttp.ClientSession(url) as http,
        ):
            await subscribed(running, stream, count=40)
            assert "matched" in await trade(running, http)
            async with http.get("/book?token_id=1") as answer:
                assert answer.status == 404
    assert exchange.venue.counts["fills"] > 10
    again = InProcessVenue("default", seed=7, start_ns=start_ns)
    again.replay(recorded)
    again.run_until(exchange.venue.now_ns)
    assert again.exchange.venue.log.count == exchange.venue.log.count
    assert again.digest() == exchange.venue.log.digest()


# In process


class Ear:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ended: tuple[int, str] | None = None

    def text(self, message: bytes) -> None:
        assert self.ended is None
        self.heard.append(message)

    def closed(self, code: int, reason: str) -> None:
        assert self.ended is None
        self.ended = (code, reason)


@pytest.fixture
def venue() -> InProcessVenue:
    return InProcessVenue("still", seed=7)


async def test_in_process_time_stands_still_but_for_the_answer_of_a_call(venue):
    began = venue.now_ns
    assert venue.call("GET", "/time").body == b"%d" % (began // 10**9)
    assert venue.now_ns == began
    venue.exchange.venue.faults.after = lambda _, response: (response, 2 * 10**9)
    assert venue.call("GET", "/ok").status == 200
    assert venue.now_ns == began + 2 * 10**9
    with pytest.raises(TimeoutError, match="GET /ok"):
        venue.call("GET", "/ok", timeout_ns=10**9)
    assert venue.now_ns == began + 3 * 10**9


async def test_in_process_an_awaited_request_ends_when_time_reaches_its_answer(venue):
    venue.exchange.venue.faults.after = lambda _, response: (response, 2 * 10**9)
    slow = asyncio.create_task(venue.request("GET", "/ok"))
    late = asyncio.create_task(venue.request("GET", "/ok", timeout_ns=10**9))
    await asyncio.sleep(0)
    venue.advance(2 * 10**9 - 1)
    await asyncio.sleep(0)
    assert not slow.done()
    with pytest.raises(TimeoutError):
        await late
    venue.advance(1)
    answer = await slow
    assert (answer.status, answer.body) == (200, b'"OK"')
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.CUT])
async def test_in_process_an_answer_can_be_lost(venue, fate):
    venue.exchange.venue.faults.after = lambda _, response: (replace(response, fate=fate), 0)
    with pytest.raises(ConnectionError):
        venue.call("GET", "/ok")


async def test_in_process_sockets_speak_and_end(venue):
    inner = venue.exchange.venue
    ear = Ear()
    stream = await venue.connect("/ws/market", ear)
    stream.send(json.dumps({"type": "market", "assets_ids": list(inner.catalog.tokens)[:2]}))
    stream.send("PING")
    venue.advance(10**9)
    books, pong = ear.heard
    assert len(json.loads(books)) == 2
    assert pong == b"PONG"
    (only,) = inner.feeds.channels.values()
    inner.feeds.end(only, 1000, "settled")
    assert ear.ended == (1000, "settled")
    stream.send("PING")
    stream.close()

    for ending, code in ((inner.feeds.drop, 1006), (lambda c: c.sink.raw(b"\xff"), 1002)):
        ear = Ear()
        venue.open("/ws/market", ear)
        (only,) = inner.feeds.channels.values()
        ending(only)
        assert ear.ended
        assert ear.ended[0] == code
        assert not inner.feeds.channels

    quiet = Ear()
    venue.open("/ws/user", quiet).close()
    assert quiet.ended is None
    assert not inner.users.channels


async def test_in_process_frames_that_come_as_bytes_are_taken_apart(venue):
    ear = Ear()
    venue.open("/ws/market", ear)
    (only,) = venue.exchange.venue.feeds.channels.values()
    long = b"y" * 70_000
    only.raw(b"\x82\x01a" + b"\x01\x01b" + b"\x89\x01?" + b"\x80\x7e\x00\xc8" + b"x" * 200)
    only.raw(b"\x81\x7f" + len(long).to_bytes(8, "big") + long)
    assert ear.heard == [b"a", b"b" + b"x" * 200, long]
    only.raw(b"\x81\x05abcd")
    assert ear.ended == (1002, "no whole frame")


async def test_in_process_connections_are_refused_for_a_while(venue):
    venue.exchange.venue.on_refuse_connections(2.0)
    with pytest.raises(ConnectionRefusedError):
        venue.open("/ws/market", Ear())
    venue.advance(2 * 10**9)
    venue.open("/ws/market", Ear())
    with pytest.raises(ConnectionRefusedError):
        venue.open("/ws/other", Ear())


# The process


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "polyarb", "exchange", "--scenario", "still", *arguments]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


async def test_time_begins_when_it_listens(monkeypatch):
    exchange = Exchange(scenarios.find("still"), start_ns=10**18, begin=False)
    monkeypatch.setattr(server.clock, "wall_ns", lambda: 2 * 10**18)
    running = Server(exchange)
    assert exchange.venue.now_ns == 10**18
    await running.start()
    assert exchange.venue.start_ns == 2 * 10**18
    await running.stop()


async def test_falling_behind_is_said_once_until_it_has_caught_up(monkeypatch, capsys):
    now = [10**12]

    def tick() -> int:
        now[0] += server.SLICE_NS  # so that each event takes a slice of time
        return now[0]

    monkeypatch.setattr(server.clock, "monotonic_ns", tick)
    exchange = Exchange(scenarios.find("still"))
    driver = server.Driver(exchange, asyncio.get_running_loop())
    driver.begin()
    venue = exchange.venue
    for episode in (1, 2):
        for number in range(5):
            venue.schedule(venue.now_ns + number, lambda: None)
        now[0] += 2 * 10**9
        seen = []
        while venue.next_ns() is not None:
            driver._pump()
            seen.append(venue.counts["behind_ms"])
        assert min(seen) > 1_000
        assert len(seen) > 2
        assert capsys.readouterr().err.count("s behind: this host is too slow") == 1, episode
        driver._pump()
        assert venue.counts["behind_ms"] == 0
    driver.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_in_order_with_a_summary(tmp_path, number):
    log = tmp_path / "events.jsonl"
    with process("--log", str(log), "--signature-type", "2", "--balance", "12.5") as running:
        assert running.stdout
        told = json.loads(await asyncio.to_thread(running.stdout.readline))
        assert told["pid"] == running.pid
        assert told["account"]["funder"] == told["account"]["wallets"]["2"]
        base = told["clob_url"]
        async with market_socket(base) as stream, aiohttp.ClientSession(base) as client:
            async with client.get("/ok") as answer:
                assert answer.status == 200
            running.send_signal(number)
            with pytest.raises(ConnectionClosed):
                await stream.recv()
            assert stream.close_code == 1001
        rest, summary = await asyncio.to_thread(running.communicate)
        assert running.returncode == 0
        assert rest == ""
        assert "requests       1 (0 internal errors)" in summary
        assert "ledger check   OK" in summary
        lines = log.read_text().splitlines()
        assert f"({len(lines):,} lines)" in summary
        assert all(json.loads(line) for line in lines)
        assert any('"deposit"' in line and "12500000" in line for line in lines)


async def test_a_ledger_that_does_not_add_up_ends_with_1(capsys):
    async with serving() as (running, _):
        wallet = running.exchange.venue.accounts.wallets(
            running.exchange.account["address"].lower()
        )[0]
        wallet.cash_e6 += 1
        assert server._sum_up(running, sys.stderr) == 1
        wallet.cash_e6 -= 1
    assert "ledger check   WRONG" in capsys.readouterr().err


async def test_a_port_in_use_ends_with_2_and_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with process("--port", str(port)) as running:
            said, complaint = await asyncio.to_thread(running.communicate)
    assert running.returncode == 2
    assert said == ""
    assert complaint == (
        f"polyarb: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    )
