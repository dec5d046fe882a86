"""
The venue on one port: HTTP by aiohttp, WebSockets by websockets, time by the monotonic clock.

A connection's first line decides which library it belongs to. Whatever arrives, the venue is first
brought up to the present, so that an action takes place between the same events as in virtual time.
"""

import asyncio
import gc
import json
import logging
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final, TextIO
from urllib.parse import parse_qs

from aiohttp import web
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from polyarb import clock, errors
from polyarb.sim.decimals import parse
from polyarb.sim.exchange import Exchange, listed
from polyarb.sim.http import Fate, Request, Response, error
from polyarb.sim.ledger import LedgerError
from polyarb.sim.log import LogFile
from polyarb.sim.participants import AT_ONCE_MAX
from polyarb.sim.scenarios import Scenario
from polyarb.sim.streams import Channel

BODY_MAX: Final = 8 * 2**20
MESSAGE_MAX: Final = 2**20
BUFFER_MAX: Final = 8 * 2**20
LINE_MAX: Final = 8190
SLICE_NS: Final = 4_000_000
LAG_MAX_NS: Final = 1_000_000_000
PUMP_S: Final = 0.001
OPEN_S: Final = 10.0
BODY_S: Final = 30.0
CLOSE_S: Final = 5.0
END_S: Final = 2.0
KEEP_ALIVE_S: Final = 75.0
SLOW: Final = "slow consumer: send buffer full"

_WEBSOCKET: Final = b"GET /ws/"
_QUIET: Final = logging.getLogger("polyarb.sim.server")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Driver:
    """
    Keep the venue's time at the clock's.

    Where the host is too slow for the market, the venue falls behind and catches up when it can:
    nothing queues up meanwhile, since the venue makes its own future as it goes.

    Attributes:
        lag_ns_max: How far behind it ever was.
    """

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange = exchange
        self.lag_ns_max = 0
        self._venue = exchange.venue
        self._loop = loop
        self._offset_ns = 0
        self._warned = False
        self._behind = False
        self._handle: asyncio.Handle | None = None
        self._due_ns = 0
        self._dirty: list[Socket] = []

    def begin(self) -> None:
        """Let the venue's time run from now on; one that has not begun begins now."""
        began = clock.monotonic_ns()
        if not self.exchange.begun:
            self.exchange.begin(clock.wall_ns())
        self._offset_ns = self._venue.now_ns - began
        self.act(lambda: None)

    def touched(self, sink: "Socket") -> None:
        """Remember a socket that has something to write."""
        self._dirty.append(sink)

    def act(self, act: Callable[[], object]) -> None:
        """Do what a client asked for, at the present."""
        if not self._behind:
            self._catch_up()
        self._step(self._venue.now_ns)  # what the action before this one left for now
        try:
            act()
        finally:
            self._flush()
            self._arm()

    def stop(self) -> None:
        """Let time stand still."""
        if self._handle:
            self._handle.cancel()

    def _pump(self) -> None:
        self._handle = None
        self._catch_up()
        self._flush()
        self._arm()

    def _catch_up(self) -> None:
        """Advance up to the present, or for one slice of it, so that requests get their turn."""
        venue = self._venue
        began = clock.monotonic_ns()
        now = began + self._offset_ns
        self._fall_behind(max(0, now - (venue.next_ns() or now)))
        while (due := venue.next_ns()) is not None and due <= now:
            self._step(due)  # whole instants only: an action must not fall into one
            if clock.monotonic_ns() - began > SLICE_NS:
                self._behind = True
                return
        self._behind = False
        venue.advance(now)

    def _fall_behind(self, lag_ns: int) -> None:
        """Note how late the next event is, and say so where that is too much for a market."""
        self.lag_ns_max = max(self.lag_ns_max, lag_ns)
        self._venue.counts["behind_ms"] = lag_ns // 1_000_000
        if lag_ns > LAG_MAX_NS and not self._warned:
            self._warned = True
            print(
                f"polyarb: the venue is {lag_ns / 1e9:.1f} s behind: this host is too slow for so "
                "much market",
                file=sys.stderr,
            )
        elif lag_ns < LAG_MAX_NS // 2:
            self._warned = False

    def _step(self, at_ns: int) -> None:
        try:
            self._venue.advance(at_ns)
        except Exception:  # one bad event must not stop the clock
            self._venue.counts["internal_errors"] += 1
            self._venue.last_error = traceback.format_exc()

    def _arm(self) -> None:
        due = self._venue.next_ns()
        if self._handle:
            if due is None or due >= self._due_ns:
                return
            self._handle.cancel()
        if self._behind:
            self._due_ns = self._venue.now_ns
            self._handle = self._loop.call_soon(self._pump)
        elif due is not None:
            self._due_ns = due
            wait_s = (due - self._offset_ns - clock.monotonic_ns()) / 1e9
            self._handle = self._loop.call_later(max(wait_s, PUMP_S), self._pump)
        else:
            self._handle = None

    def _flush(self) -> None:
        while self._dirty:
            self._dirty.pop().flush()


class Front(asyncio.Protocol):
    """A new connection, until its first line says whose it is."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first line, but not for ever."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(OPEN_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Hand over to one of the two libraries as soon as it is clear to which."""
        self._buffer += data
        taker: asyncio.Protocol
        if not self._buffer.startswith(_WEBSOCKET[: len(self._buffer)]):
            taker = self._server.http()
        elif b"\n" not in self._buffer and len(self._buffer) < LINE_MAX:
            return
        else:
            path = self._buffer.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
            known = path in self._server.exchange.feeds
            taker = Socket(self._server, path) if known else self._server.http()
        self._timer.cancel()
        self._transport.set_protocol(taker)
        taker.connection_made(self._transport)
        taker.data_received(self._buffer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._timer.cancel()


class Socket(asyncio.Protocol):
    """One WebSocket connection: the driver's side of a `Channel`, and its `Sink`."""

    def __init__(self, server: "Server", path: str) -> None:
        self._server = server
        self._driver = server.driver
        self._exchange = server.exchange
        self._path = path
        self._protocol = ServerProtocol(max_size=MESSAGE_MAX, logger=_QUIET)
        self._channel: Channel | None = None
        self._message: list[bytes] = []
        self._binary = False
        self._out: list[bytes] = []
        self._touched = False
        self._aborted = False

    # -- from the network

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake, but not for ever."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(OPEN_S, transport.abort)
        self._server.sockets.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; whole messages go to the venue at its present."""
        if self._protocol.eof_sent and self._protocol.close_expected():
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Handshake):
                self._shake_hands(event)
            elif isinstance(event, Frame):
                self._frame(event)
        if self._channel and self._protocol.state is not OPEN:
            self._leave(self._channel)
        self.flush()

    def eof_received(self) -> None:
        """Let the transport close; there is nothing to say to half a connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the venue that the client is gone."""
        self._timer.cancel()
        self._server.sockets.discard(self)
        if self._channel:
            self._leave(self._channel)

    def _shake_hands(self, request: Handshake) -> None:
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._timer.cancel()
            self._driver.act(self._open)

    def _open(self) -> None:
        self._channel = self._exchange.open(self._path, self)

    def _leave(self, channel: Channel) -> None:
        if channel.open:
            self._driver.act(partial(self._exchange.gone, channel))

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            if frame.opcode is not Opcode.CONT:
                self._binary = frame.opcode is Opcode.BINARY
            self._message.append(bytes(frame.data))
            if frame.fin:
                whole = b"".join(self._message)
                self._message.clear()
                self._receive(whole)

    def _receive(self, message: bytes) -> None:
        try:
            text = message.decode()
        except UnicodeDecodeError as wrong:
            if not self._binary:
                self._protocol.fail(CloseCode.INVALID_DATA, wrong.reason)
            return
        if self._channel:
            self._driver.act(partial(self._exchange.receive, self._channel, text))

    # -- from the venue (Sink)

    def text(self, data: bytes) -> None:
        """Send one text message with the next flush."""
        if self._protocol.state is OPEN:
            self._protocol.send_text(data)
            self._touch()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, in the order of the messages."""
        self._take()
        self._out.append(data)
        self._touch()

    def close(self, code: int, reason: str) -> None:
        """Close in order; whoever does not answer is cut off."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._cut_later()
            self._touch()

    def abort(self) -> None:
        """Drop the connection once what was said before has been written."""
        self._aborted = True
        self._touch()

    # -- to the network

    def flush(self) -> None:
        """Write everything said since the last time, at once."""
        self._touched = False
        if self._transport.get_write_buffer_size() > BUFFER_MAX:
            self._too_slow()
        self._take()
        ends = b"" in self._out  # websockets' mark for the end of what we send
        data = b"".join(self._out)
        self._out.clear()
        if self._transport.is_closing():
            return
        if data:
            self._transport.write(data)
        if self._aborted:
            self._transport.abort()
        elif ends:
            self._transport.write_eof()
            self._cut_later()

    def _too_slow(self) -> None:
        if self._channel and self._channel.open:
            self._protocol.data_to_send()
            self._out.clear()
            self._exchange.feeds[self._path].end(self._channel, CloseCode.TRY_AGAIN_LATER, SLOW)

    def _take(self) -> None:
        self._out += self._protocol.data_to_send()

    def _touch(self) -> None:
        if not self._touched:
            self._touched = True
            self._driver.touched(self)

    def _cut_later(self) -> None:
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)


class Server:
    """
    One exchange on one port.

    Attributes:
        driver: Its clock.
        sockets: The WebSocket connections there are.
    """

    def __init__(self, exchange: Exchange, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._loop = asyncio.get_running_loop()
        self.driver = Driver(exchange, self._loop)
        self.exchange = exchange
        self.sockets: set[Socket] = set()
        self._answers: set[asyncio.Future[Response]] = set()
        self._reopening: asyncio.TimerHandle | None = None
        self._http = web.Server(
            self._answer,
            request_factory=lambda message, payload, protocol, writer, task: web.BaseRequest(
                message, payload, protocol, writer, task, self._loop, client_max_size=BODY_MAX + 1
            ),
            access_log=None,
            logger=_QUIET,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,
        )
        exchange.venue.on_refuse_connections = self.pause_listening

    async def start(self) -> str:
        """Listen; return the base URL. Raises OSError where that is impossible."""
        self._listener = await self._listen()
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        self.driver.begin()
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def stop(self) -> None:
        """Close every socket with 1001 and finish the requests in hand."""
        if self._reopening:
            self._reopening.cancel()
        self._listener.close()
        for sink in list(self.sockets):
            sink.close(CloseCode.GOING_AWAY, "the exchange ends")
            sink.flush()
        if self._answers:
            await asyncio.wait(self._answers, timeout=END_S)
        for answer in self._answers:
            answer.cancel()
        self._http.pre_shutdown()  # ends connections that wait for their next request
        await self._http.shutdown(END_S)
        until_ns = clock.monotonic_ns() + int(END_S * 1e9)
        while self.sockets and clock.monotonic_ns() < until_ns:
            await asyncio.sleep(0.01)
        self.driver.act(lambda: None)  # up to the end
        self.driver.stop()

    def http(self) -> asyncio.Protocol:
        """Return aiohttp's handler for a connection."""
        return self._http()

    def pause_listening(self, for_s: float) -> None:
        """Refuse new connections for a while."""
        self._listener.close()
        if self._reopening:
            self._reopening.cancel()
        self._reopening = self._loop.call_later(for_s, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self._listening = self._loop.create_task(self._resume())

    async def _resume(self) -> None:
        self._listener = await self._listen()

    async def _listen(self) -> asyncio.Server:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self._port), family=family, backlog=1024)
        self._port = listening.getsockname()[1]
        return await self._loop.create_server(lambda: Front(self), sock=listening)

    # -- HTTP

    async def _answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_S):
                body = await asked.read()
                if len(body) > BODY_MAX:
                    raise web.HTTPRequestEntityTooLarge(BODY_MAX, len(body))
        except web.HTTPRequestEntityTooLarge:
            return _written(error(413, "Payload too large"))
        except TimeoutError:
            return _written(error(408, "Request timeout"))
        path, _, query = asked.raw_path.partition("?")
        answer: asyncio.Future[Response] = self._loop.create_future()

        def reply(response: Response) -> None:
            if not answer.done():
                answer.set_result(response)

        request = Request(
            method=asked.method,
            path=path,
            query=parse_qs(query, keep_blank_values=True),
            headers={name.lower(): value for name, value in asked.headers.items()},
            body=body,
            peer=asked.remote or "",
            reply=reply,
        )
        self._answers.add(answer)
        try:
            self.driver.act(partial(self.exchange.request, request))
            response = await answer
        finally:
            self._answers.discard(answer)
        return await _sent(asked, response)


def _written(response: Response) -> web.Response:
    headers = {**response.headers, "Content-Type": response.content_type}
    return web.Response(status=response.status, body=response.body, headers=headers)


async def _sent(asked: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Return what aiohttp writes, or write part of it and cut the connection."""
    whole: web.StreamResponse = _written(response)
    transport = asked.transport
    if response.fate is Fate.SENT or transport is None:
        return whole
    if response.fate is Fate.CUT:
        whole = web.StreamResponse(status=whole.status, headers=whole.headers)
        whole.content_length = len(response.body)
        with suppress(ConnectionError):  # the client may be gone
            await whole.prepare(asked)
            await whole.write(response.body[: len(response.body) // 2])
        _reset(transport)
    transport.abort()
    return whole


def _reset(transport: asyncio.Transport) -> None:
    """Let the end of a connection be a reset, not a farewell."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def run(
    scenario: Scenario,
    *,
    host: str,
    port: int,
    duration_s: float | None,
    seed: int,
    signature_type: int,
    balance_usd: str,
    log: LogFile | None,
) -> int:
    """
    Serve an exchange until SIGINT, SIGTERM, SIGHUP or the end of its time; return the exit code.

    Raises:
        InputError: It cannot be made or cannot listen where it should.
    """
    balance_e6 = parse(balance_usd, 6)
    if balance_e6 is None:
        raise errors.MalformedError(f"balance {balance_usd!r} is no amount of up to six decimals")
    wanted = scenario.catalogue
    if wanted.gamma:
        print(f"polyarb: loading {wanted.gamma} ...", file=sys.stderr, flush=True)
    elif wanted.size > AT_ONCE_MAX:
        print(f"polyarb: making {wanted.size:,} markets ...", file=sys.stderr, flush=True)
    gc.disable()  # all there is will stay: to look for what does not would double the time
    exchange = Exchange(
        scenario,
        seed=seed,
        start_ns=clock.wall_ns(),
        signature_type=signature_type,
        balance_e6=balance_e6,
        write=log.write if log else None,
        begin=False,
    )
    if wanted.gamma:
        catalog = exchange.venue.catalog
        print(
            f"polyarb: {len(catalog.markets):,} markets in {len(catalog.events):,} events; left "
            f"out: {listed(exchange.left_out)}",
            file=sys.stderr,
        )
    if log:
        exchange.venue.log.flush()
        log.started = True
    return asyncio.run(_serve(exchange, host, port, duration_s))


async def _serve(exchange: Exchange, host: str, port: int, duration_s: float | None) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    server = Server(exchange, host, port)
    try:
        base_url = await server.start()
    except OSError as error:
        raise errors.InputError(
            f"cannot listen on {host} port {port}: {str(error.strerror).partition(' (while')[0]}"
        ) from None
    gc.freeze()  # what there is now stays: no collection needs to walk it again
    gc.enable()
    print(json.dumps(exchange.describe(base_url)), flush=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(duration_s):
            await ended.wait()
    await server.stop()
    return _sum_up(server, sys.stderr)


def _sum_up(server: Server, out: TextIO) -> int:
    """Print what happened; return 1 where the venue itself went wrong."""
    exchange = server.exchange
    venue, counts = exchange.venue, exchange.venue.counts
    try:
        venue.check()
    except LedgerError as error:
        ledger = f"WRONG: {error}"
    else:
        ledger = "OK"
    seconds = (venue.now_ns - venue.start_ns) / 1e9
    digest = venue.log.digest()
    print(
        f"polyarb exchange: {seconds:.1f} s of {exchange.scenario.name}, seed {exchange.seed}\n"
        f"  requests       {counts['requests']:,} ({counts['internal_errors']:,} internal errors)\n"
        f"  orders         {counts['orders']:,} ({counts['refused']:,} refused)\n"
        f"  fills          {counts['fills']:,}\n"
        f"  cancels        {counts['canceled']:,}\n"
        f"  faults fired   {venue.faults.counts.total():,}\n"
        f"  market frames  {counts['frames']:,}\n"
        f"  behind         {server.driver.lag_ns_max / 1e6:.1f} ms at worst\n"
        f"  ledger check   {ledger}\n"
        f"  log digest     {digest} ({venue.log.count:,} lines)",
        file=out,
    )
    if venue.last_error:
        print(f"the last internal error:\n{venue.last_error}", file=out)
    return 1 if venue.last_error or ledger != "OK" else 0
