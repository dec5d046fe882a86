"""
One connection to the market socket, without any I/O (protocol.md section 20).

`websockets` does the opening handshake, control frames, closing and whatever is unusual, through
its Sans-I/O layer. Whole text frames never reach it: the core takes them out of the receive buffer
and applies them (`polyarb.core.tick`), so that no message becomes an object.

    channel.connect(now_ns)                        # the transport is there
    channel.data_to_send()                         # after every call; to be written as it is
    channel.room(), channel.received(n, now_ns)    # n bytes were read into the room
    channel.next_deadline(), channel.tick(now_ns)
    channel.lost("reset by peer", now_ns)

`received`, `tick`, `close` and `lost` return what happened, in order. After `Closed` nothing comes
any more; the transport is kept for the peer's end of the closing handshake while the state is
CLOSING, and is of no use once it is CLOSED.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import WebSocketURI, parse_uri

from polyarb import __version__, errors
from polyarb.core.base import UINT64_MAX, integer
from polyarb.core.decode import Bad, Kind
from polyarb.core.stream import Splitter
from polyarb.core.tick import Rejected, Ticker

SECOND: Final = 1_000_000_000
NOTICE_MAX: Final = 1 << 18
"""Longest message that becomes a Python object; announcements of markets take a few KB."""
HANDSHAKE_MAX: Final = 1 << 16

_HEAD_END: Final = b"\r\n\r\n"
_OF_MESSAGES: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_QUIET: Final = logging.getLogger("polyarb.feed.websockets")
_MUTE: Final = logging.Logger("websockets", logging.CRITICAL + 1)
"""For sockets that a secret is sent over: at DEBUG the library would log every frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """
    What a connection is held to; times in nanoseconds.

    Attributes:
        custom_features: Ask for best_bid_ask, new_market and market_resolved too.
        message_bytes_max: Longest message that is put together; a longer one ends the connection
            with 1009.
        open_ns: From dialling to the end of the handshake.
        close_ns: How long the peer has for its half of the closing handshake.
        ping_ns: Between two texts PING.
        pong_ns: Without a PONG for so long the connection is lost.
    """

    custom_features: bool = True
    message_bytes_max: int = 16 << 20
    open_ns: int = 10 * SECOND
    close_ns: int = SECOND
    ping_ns: int = 10 * SECOND
    pong_ns: int = 30 * SECOND

    def __post_init__(self) -> None:
        integer("feed.message_bytes_max", self.message_bytes_max, 1 << 10, 1 << 30)
        for name in ("open_ns", "close_ns", "ping_ns", "pong_ns"):
            integer(f"feed.{name}", getattr(self, name), 1, UINT64_MAX)


class State(Enum):
    """How far a connection is."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Opened(NamedTuple):
    """The handshake is done and the subscription on its way."""


class Changed(NamedTuple):
    """
    Books changed.

    Attributes:
        slots: Each once.
    """

    slots: list[int]


class Notice(NamedTuple):
    """
    A message for Python: new_market, market_resolved, tick_size_change, or of an unknown kind.

    Attributes:
        kind: What the core takes it for.
        message: Its JSON object.
    """

    kind: Kind
    message: dict[str, Any]


class Closed(NamedTuple):
    """
    The end.

    Attributes:
        code: Of the close frame received, of ours where the peer broke the protocol, or 1006.
        reason: Its text, or what happened.
    """

    code: int
    reason: str


Event = Opened | Changed | Notice | Closed


@dataclass(slots=True)
class Counts:
    """
    What came over a connection, all its epochs together.

    Attributes:
        data: Messages that say something of a market.
        pongs: Texts PONG.
        texts: Other texts, such as NO NEW ASSETS.
        slow: Messages that took the way over Python: fragmented, binary or long.
        rejected: Frames refused, by reason.
        notices_lost: Messages for Python that were too long, too many at once or no JSON object.
        changed_lost: Changed books that found no room in a report.
        last_rejected: Where the last refused frame was wrong.
    """

    data: int = 0
    pongs: int = 0
    texts: int = 0
    slow: int = 0
    rejected: Counter[Bad] = field(default_factory=Counter)
    notices_lost: int = 0
    changed_lost: int = 0
    last_rejected: Rejected | None = None


def parse_url(url: str) -> WebSocketURI:
    """
    Return host, port, path and whether TLS is wanted.

    Raises:
        MalformedError: It is no ``ws://`` or ``wss://`` URL.
    """
    try:
        return parse_uri(url)
    except Exception as error:  # InvalidURI, and ValueError for a port that is none
        raise errors.MalformedError(f"{url!r} is no ws:// or wss:// URL") from error


class Assembler:
    """Whole messages out of WebSocket frames."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = bytearray()

    def take(self, frame: object) -> bytes | None:
        """Return the message that `frame` ends, text or binary; None otherwise."""
        if not isinstance(frame, Frame) or frame.opcode not in _OF_MESSAGES:
            return None
        self._parts += frame.data
        if not frame.fin:
            return None
        message = bytes(self._parts)
        self._parts.clear()
        return message


class Messages:
    """
    Whole messages out of the raw bytes of one connection, for recorders: 5 us each, not a hot path.

    Feed it what `market.Tap` is given, from the first bytes of an epoch on.
    """

    __slots__ = ("_assembler", "_protocol")

    def __init__(self, *, message_bytes_max: int = ChannelConfig().message_bytes_max) -> None:
        uri = parse_url("ws://recorded/")
        self._protocol = ClientProtocol(uri, state=OPEN, max_size=message_bytes_max, logger=_QUIET)
        self._assembler = Assembler()

    def receive(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes; none after a violation of the protocol."""
        self._protocol.receive_data(data)
        self._protocol.data_to_send()  # nobody gets its pongs
        taken = map(self._assembler.take, self._protocol.events_received())
        return [message for message in taken if message is not None]


class Link:
    """
    One connection whose messages are for Python: what `websockets` makes of its bytes.

    For sockets that say little, such as the user's; the market's go through `Channel`.
    """

    __slots__ = ("_assembler", "_protocol")

    def __init__(self, uri: WebSocketURI, *, message_bytes_max: int) -> None:
        self._protocol = ClientProtocol(uri, max_size=message_bytes_max, logger=_MUTE)
        self._assembler = Assembler()

    def connect(self) -> None:
        """Begin the handshake: the transport is there. No extension is offered."""
        request = self._protocol.connect()
        request.headers["User-Agent"] = f"polyarb/{__version__}"
        self._protocol.send_request(request)

    def receive(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes, text or binary."""
        self._protocol.receive_data(data)
        taken = map(self._assembler.take, self._protocol.events_received())
        return [message for message in taken if message is not None]

    @property
    def open(self) -> bool:
        """Whether messages may be sent."""
        return self._protocol.state is OPEN

    @property
    def closed(self) -> Closed | None:
        """How the peer ended it, or what it did wrong; None while it may go on."""
        protocol = self._protocol
        if protocol.handshake_exc:
            return Closed(
                CloseCode.ABNORMAL_CLOSURE, f"handshake: {_because(protocol.handshake_exc)}"
            )
        close = protocol.close_sent if protocol.parser_exc else protocol.close_rcvd
        return Closed(close.code, close.reason) if close else None

    def send(self, text: str) -> None:
        """Send a message; nothing happens unless it is open."""
        if self.open:
            self._protocol.send_text(text.encode())

    def close(self, code: int, reason: str) -> None:
        """Begin to close in order."""
        if self.open:
            self._protocol.send_close(code, reason)

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        return b"".join(self._protocol.data_to_send())


def market_frames(
    before: Collection[str] | None, after: Collection[str], *, had_custom: bool, custom: bool
) -> list[str]:
    """
    Return the texts that lead from one subscription to another; `before` is None on a new socket.

    As the official client sends them (``ws_frames.json``): a change of `custom` alone names a
    token that is subscribed already.
    """
    if before is None:
        return [_dump({"type": "market", "assets_ids": [*after], "custom_feature_enabled": custom})]
    held, wanted = set(before), set(after)
    fresh = [token for token in after if token not in held]
    gone = [token for token in before if token not in wanted]
    if custom != had_custom and not fresh:
        fresh = [token for token in after if token in held][:1]
    texts = []
    if fresh:
        texts.append(_operation("subscribe", fresh, custom_feature_enabled=custom))
    if gone:
        texts.append(_operation("unsubscribe", gone))
    return texts


class Channel:
    """
    One connection, from its handshake to its end.

    Args:
        uri: From `parse_url`.
        tokens: What to subscribe to once it is open; the caller's to change, with `subscribe`.
        ticker: Of the books, shared with other connections.
        splitter: Its receive buffer, its own while it lives; the caller makes it once and hands
            it to the next connection.
        now_ns: When dialling begins.
        counts: What to count on.
        config: What it is held to.
        tap: Is given a copy of all bytes received since the handshake, before they are applied.

    Attributes:
        state: How far it is.
        opened_ns, pong_ns, data_ns: When it opened, when the last PONG and the last message of a
            market came; 0 before.
        pong_delay_ns: How long the last PONG took.
    """

    __slots__ = (
        *("_assembler", "_config", "_counts", "_deadline_ns", "_ear", "_head", "_ping_ns"),
        *("_pinged_ns", "_protocol", "_report", "_splitter", "_tap", "_ticker", "_tokens"),
        *("data_ns", "opened_ns", "pong_delay_ns", "pong_ns", "state"),
    )

    def __init__(
        self,
        uri: WebSocketURI,
        tokens: Collection[str],
        ticker: Ticker,
        splitter: Splitter,
        now_ns: int,
        *,
        counts: Counts,
        config: ChannelConfig,
        tap: Callable[[int, bytes], None] | None = None,
    ) -> None:
        self._protocol = ClientProtocol(uri, max_size=config.message_bytes_max, logger=_QUIET)
        self._tokens = tokens
        self._ticker = ticker
        self._report = ticker.report
        self._splitter = splitter
        self._counts = counts
        self._config = config
        self._tap = tap
        self._ear: Callable[[int, bytes], None] | None = None
        self._assembler = Assembler()
        self._head = bytearray()
        self._deadline_ns = now_ns + config.open_ns
        self._ping_ns = self._pinged_ns = 0
        self.state = State.CONNECTING
        self.opened_ns = self.pong_ns = self.data_ns = self.pong_delay_ns = 0

    def connect(self) -> None:
        """Begin the handshake: the transport is there. No extension is offered."""
        request = self._protocol.connect()
        request.headers["User-Agent"] = f"polyarb/{__version__}"
        self._protocol.send_request(request)

    # -- in

    def room(self) -> memoryview:
        """Return where the next read goes; valid until the next `received`. Never empty."""
        return self._splitter.room()

    def received(self, count: int, now_ns: int) -> list[Event]:
        """Take `count` bytes that were read into `room`; return what happened."""
        events: list[Event] = []
        if self.state is State.OPEN:
            if self._tap or self._ear:
                data = bytes(self._splitter.room()[:count])
                for listener in (self._tap, self._ear):
                    if listener:
                        listener(now_ns, data)
            self._ticker.stream(self._splitter, count, now_ns)
            self._count(events, now_ns)
            if self._report.notice_count:
                self._unusual(events, now_ns)
            return events
        data = bytes(self._splitter.room()[:count])
        if self.state is State.CONNECTING:
            self._shake_hands(data, events, now_ns)
        elif self.state is State.CLOSING:
            self._protocol.receive_data(data)
            self._protocol.events_received()
        return events

    def overhear(self, ear: Callable[[int, bytes], None] | None) -> bytes | None:
        """
        Give what is received from here on to `ear` as well, until told None.

        Returns:
            The message that is being received, as far as it is there: `Messages` may begin with
            it. None: not open, or inside a long message; nothing was changed.
        """
        splitter = self._splitter
        if ear and not (self.state is State.OPEN and splitter.between_messages):
            return None
        self._ear = ear
        return splitter.read(0, splitter.pending)

    def lost(self, reason: str) -> list[Event]:
        """Take note that the transport is gone, or never came."""
        return self._end(State.CLOSED, CloseCode.ABNORMAL_CLOSURE, reason)

    # -- time

    def next_deadline(self) -> int | None:
        """Return when `tick` has something to do."""
        if self.state is State.OPEN:
            return min(self._ping_ns, self.pong_deadline_ns)
        return None if self.state is State.CLOSED else self._deadline_ns

    @property
    def pong_deadline_ns(self) -> int:
        """When it counts as lost, if no PONG comes; meaningful while it is open."""
        return max(self.pong_ns, self.opened_ns) + self._config.pong_ns

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due."""
        due_ns = self.next_deadline()
        if due_ns is None or now_ns < due_ns:
            return []
        config = self._config
        if self.state is State.CONNECTING:
            return self.lost(f"not open after {config.open_ns / SECOND:g} s")
        if self.state is State.CLOSING:
            return self.lost("")
        if now_ns >= self.pong_deadline_ns:
            return self.lost(f"no PONG for {config.pong_ns / SECOND:g} s")
        self._protocol.send_text(b"PING")
        self._pinged_ns = now_ns
        self._ping_ns = now_ns + config.ping_ns
        return []

    # -- out

    @property
    def has_data(self) -> bool:
        """Whether `data_to_send` has anything."""
        return bool(self._protocol.writes)

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        return b"".join(self._protocol.data_to_send())

    def subscribe(self, tokens: Iterable[str]) -> None:
        """Ask for more tokens; before the connection is open they are part of the first frame."""
        if self.state is State.OPEN:
            custom = self._config.custom_features
            self._send(_operation("subscribe", tokens, custom_feature_enabled=custom))

    def unsubscribe(self, tokens: Iterable[str]) -> None:
        """Let go of tokens."""
        if self.state is State.OPEN:
            self._send(_operation("unsubscribe", tokens))

    def close(self, code: int, reason: str, now_ns: int) -> list[Event]:
        """Begin to close in order, or drop what is not open yet."""
        if self.state is not State.OPEN:
            return self.lost(reason)
        splitter = self._splitter
        self._protocol.receive_data(splitter.read(0, splitter.pending))  # goes on in there
        self._protocol.events_received()
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
        self._deadline_ns = now_ns + self._config.close_ns
        return self._end(State.CLOSING, code, reason)

    # -- the slow way

    def _shake_hands(self, data: bytes, events: list[Event], now_ns: int) -> None:
        """Give the protocol its HTTP answer, and what came behind it to the splitter."""
        head = self._head
        head += data
        end = head.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END):
            if len(head) > HANDSHAKE_MAX:
                events += self.lost(f"no HTTP answer in {HANDSHAKE_MAX} bytes")
            return
        if not head.startswith(b"HTTP/1.1 101"):
            line = head.partition(b"\r\n")[0][:100]
            events += self.lost(f"handshake: {line.decode('latin-1')}")
            return
        rest = bytes(head[end:])
        self._protocol.receive_data(bytes(head[:end]))
        self._protocol.events_received()
        if self._protocol.state is not OPEN:
            events += self.lost(f"handshake: {_because(self._protocol.handshake_exc)}")
            return
        head.clear()
        self.state = State.OPEN
        self.opened_ns = now_ns
        self._ping_ns = now_ns + self._config.ping_ns
        custom = self._config.custom_features
        for text in market_frames(None, self._tokens, had_custom=custom, custom=custom):
            self._send(text)
        events.append(Opened())
        if rest:
            events += self.received(self._splitter.write(rest), now_ns)

    def _unusual(self, events: list[Event], now_ns: int) -> None:
        """See to what the core handed on, in order, until nothing is left of this read."""
        splitter, report = self._splitter, self._report
        while True:
            more = report.more
            found = [(n.kind, splitter.read(n.at, n.size)) for n in report.notices()]
            for kind, data in found:
                if kind is None:
                    self._raw(data, events, now_ns)
                    if self.state is not State.OPEN:
                        return
                else:
                    self._notice(kind, data, events)
            if not more:
                splitter.compact()
                return
            self._ticker.stream(splitter, 0, now_ns)
            self._count(events, now_ns)

    def _raw(self, data: bytes, events: list[Event], now_ns: int) -> None:
        """Let the protocol see frames that are not whole texts; apply messages it completes."""
        protocol = self._protocol
        protocol.receive_data(data)
        for frame in protocol.events_received():
            message = self._assembler.take(frame)
            if message is not None:
                self._message(message, events, now_ns)
        if protocol.state is OPEN:
            return
        close = protocol.close_sent if protocol.parser_exc else protocol.close_rcvd
        assert close
        self._deadline_ns = now_ns + self._config.close_ns
        events += self._end(State.CLOSING, close.code, close.reason)

    def _message(self, message: bytes, events: list[Event], now_ns: int) -> None:
        self._counts.slow += 1
        self._ticker.tick(message, now_ns)
        self._count(events, now_ns)
        for kind, at, size in self._report.notices():
            assert kind
            self._notice(kind, message[at : at + size], events)

    def _count(self, events: list[Event], now_ns: int) -> None:
        """Take over what the last call of the ticker did."""
        report, counts = self._report, self._counts
        if report.changed_count:
            events.append(Changed(report.changed()))
            counts.changed_lost += report.changed_lost
        if report.data_count:
            counts.data += report.data_count
            self.data_ns = now_ns
        if report.pong_count:
            counts.pongs += report.pong_count
            self.pong_ns = now_ns
            self.pong_delay_ns = now_ns - self._pinged_ns
        if report.rejected:
            counts.rejected.update(report.rejected_by())
            counts.last_rejected = report.first_rejected
        if report.notices_lost:
            counts.notices_lost += report.notices_lost

    def _notice(self, kind: Kind, data: bytes, events: list[Event]) -> None:
        if kind is Kind.TEXT:
            self._counts.texts += 1
            return
        try:
            message = json.loads(data) if len(data) <= NOTICE_MAX else None
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            events.append(Notice(kind, message))
        else:
            self._counts.notices_lost += 1

    def _send(self, text: str) -> None:
        self._protocol.send_text(text.encode())

    def _end(self, state: State, code: int, reason: str) -> list[Event]:
        """Leave the open states; say so once."""
        was, self.state = self.state, state
        self._splitter.restart()
        self._head.clear()
        return [Closed(code, reason)] if was in {State.CONNECTING, State.OPEN} else []


def _operation(operation: str, tokens: Iterable[str], **more: bool) -> str:
    return _dump({"operation": operation, "assets_ids": [*tokens], **more})


def _dump(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _because(error: BaseException | None) -> str:
    cause = error and error.__cause__
    return f"{error}: {cause}" if cause else str(error)
