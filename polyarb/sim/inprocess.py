"""
The exchange without sockets, in virtual time.

Time passes only in `run_until` and `advance` (and in `call`, as far as its answer), so an hour of
market takes as long as its events do. It implements `polyarb.domain.wire.ExchangePort`: an awaited
request completes when somebody else lets time reach its answer.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from polyarb.domain.wire import ExchangePort, HttpResponse, Listener, Stream
from polyarb.errors import RangeError
from polyarb.sim import scenarios
from polyarb.sim.exchange import Action, Exchange, Kind
from polyarb.sim.http import Fate, Request, Response
from polyarb.sim.streams import Channel

TIMEOUT_NS: Final = 10_000_000_000
ABNORMAL: Final = 1006
PROTOCOL_ERROR: Final = 1002

_OPCODES: Final = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})

_Result = HttpResponse | Exception


class InProcessVenue(ExchangePort):
    """
    One exchange in this process.

    Args:
        scenario: Name of a built-in one, a file, or one that was made or read.
        options: Of `Exchange`: ``seed``, ``start_ns``, ``signature_type``, ``balance_e6``, …

    Attributes:
        exchange: What it drives; its `venue` can be looked at in tests.
        account: The client's account, as in the line that ``polyarb exchange`` prints.
    """

    def __init__(
        self, scenario: str | Path | scenarios.Scenario = scenarios.DEFAULT, **options: Any
    ) -> None:
        if not isinstance(scenario, scenarios.Scenario):
            scenario = scenarios.find(str(scenario))
        self.exchange = Exchange(scenario, **options)
        self.account: dict[str, Any] = self.exchange.account
        self._venue = self.exchange.venue
        self._refused_until_ns = 0
        self._venue.on_refuse_connections = self._refuse

    # -- time

    @property
    def now_ns(self) -> int:
        """Return the venue's present, Unix nanoseconds."""
        return self._venue.now_ns

    def advance(self, for_ns: int) -> None:
        """Let so much time pass; raises RangeError where it is negative."""
        if for_ns < 0:
            raise RangeError(f"for_ns {for_ns} is negative: time does not go back")
        self._venue.advance(self.now_ns + for_ns)

    def run_until(self, at_ns: int) -> None:
        """Let time pass until `at_ns`."""
        self._venue.advance(at_ns)

    def digest(self) -> str:
        """Return the SHA-256 of the event log so far."""
        return self._venue.log.digest()

    # -- requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = TIMEOUT_NS,
    ) -> HttpResponse:
        """Send one request; wait while somebody else lets time pass (see `ExchangePort`)."""
        waiting: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()

        def done(result: _Result) -> None:
            if waiting.done():
                return
            if isinstance(result, HttpResponse):
                waiting.set_result(result)
            else:
                waiting.set_exception(result)

        asked = _asked(method, path, query, headers, body)
        asked.reply = lambda response: done(_arrived(response))
        self.exchange.request(asked)
        self._venue.schedule(self.now_ns + timeout_ns, done, _late(method, path, timeout_ns))
        return await waiting

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = TIMEOUT_NS,
    ) -> HttpResponse:
        """Send one request and let time pass until its answer (see `ExchangePort.request`)."""
        results: list[_Result] = []
        asked = _asked(method, path, query, headers, body)
        asked.reply = lambda response: results.append(_arrived(response))
        self.exchange.request(asked)
        until = self.now_ns + timeout_ns
        while not results:
            due = self._venue.next_ns()
            if due is None or due > until:
                self.run_until(until)
                raise _late(method, path, timeout_ns)
            self.run_until(due)
        if isinstance(results[0], HttpResponse):
            return results[0]
        raise results[0]

    # -- sockets

    async def connect(self, path: str, listener: Listener) -> Stream:
        """Open ``/ws/market`` or ``/ws/user`` (see `ExchangePort`)."""
        return self.open(path, listener)

    def open(self, path: str, listener: Listener) -> Stream:
        """Open a socket, outside of any event loop."""
        if self.now_ns < self._refused_until_ns or path not in self.exchange.feeds:
            raise ConnectionRefusedError(f"{path}: connection refused")
        return _Line(self.exchange, path, listener)

    def _refuse(self, for_s: float) -> None:
        self._refused_until_ns = self.now_ns + int(for_s * 1e9)

    # -- repeating a run

    def replay(self, actions: Iterable[Action]) -> None:
        """Do what clients did in a recorded run, each at its time."""
        channels: dict[tuple[str, int], Channel] = {}
        for action in actions:
            self.run_until(self._venue.start_ns + action.at_ns)
            socket = (action.path, action.number)
            if action.kind is Kind.REQUEST:
                self.exchange.request(
                    Request(
                        method=action.method,
                        path=action.path,
                        query=action.query,
                        headers=action.headers,
                        body=action.body,
                        peer=action.peer,
                    )
                )
            elif action.kind is Kind.OPEN:
                channels[socket] = self.exchange.open(action.path, _Nowhere())
            elif action.kind is Kind.TEXT:
                self.exchange.receive(channels[socket], action.body.decode())
            else:
                self.exchange.gone(channels.pop(socket))


def _asked(
    method: str,
    path: str,
    query: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
    body: bytes,
) -> Request:
    return Request(
        method=method,
        path=path,
        query={name: [value] for name, value in (query or {}).items()},
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=body,
    )


def _arrived(response: Response) -> _Result:
    """Return what of an answer reaches the client."""
    if response.fate is Fate.LOST:
        return ConnectionResetError("the connection was closed before an answer")
    if response.fate is Fate.CUT:
        return ConnectionResetError("the connection was reset within the answer")
    headers = {name.lower(): value for name, value in response.headers.items()}
    headers["content-type"] = response.content_type
    return HttpResponse(status=response.status, headers=headers, body=response.body)


def _late(method: str, path: str, timeout_ns: int) -> TimeoutError:
    return TimeoutError(f"{method} {path}: no answer within {timeout_ns / 1e9:g} s")


class _Ear:
    """The venue's sink of a socket: what it says goes to the listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.hang_up: Callable[[], None] = lambda: None

    def text(self, data: bytes) -> None:
        """Deliver a message."""
        self._listener.text(data)

    def raw(self, data: bytes) -> None:
        """Deliver the messages in frames as they would be on the wire (RFC 6455 section 5.2)."""
        try:
            for message in _messages(data):
                self._listener.text(message)
        except ValueError as broken:
            self.hang_up()
            self._listener.closed(PROTOCOL_ERROR, str(broken))

    def close(self, code: int, reason: str) -> None:
        """Pass the end on."""
        self._listener.closed(code, reason)

    def abort(self) -> None:
        """Pass the end on."""
        self._listener.closed(ABNORMAL, "")


def _messages(frames: bytes) -> Iterator[bytes]:
    """Yield what is in a server's frames, text or binary, fragments joined; ValueError if none."""
    message = b""
    while frames:
        head, size, at = frames[0], frames[1] if len(frames) > 1 else 0, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(frames[2:at], "big")
        if head & 0x70 or (head & 0x0F) not in _OPCODES or len(frames) < at + size:
            raise ValueError("no whole frame")
        if not head & 0x08:  # control frames are answered by the library
            message += frames[at : at + size]
            if head & 0x80:
                yield message
                message = b""
        frames = frames[at + size :]


class _Line:
    """The client's end of a socket."""

    def __init__(self, exchange: Exchange, path: str, listener: Listener) -> None:
        ear = _Ear(listener)
        self._exchange = exchange
        self._channel = exchange.open(path, ear)
        ear.hang_up = self.close

    def send(self, message: str) -> None:
        """Send one text message; nothing happens on a closed socket."""
        self._exchange.receive(self._channel, message)

    def close(self) -> None:
        """Hang up."""
        self._exchange.gone(self._channel)


class _Nowhere:
    """A sink for sockets nobody listens to."""

    def text(self, data: bytes) -> None:
        """Drop it."""

    raw = text

    def close(self, code: int, reason: str) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""
