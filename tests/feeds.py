"""The other end of a market socket, and books to feed: frames by hand, virtual time, no socket."""

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books, Side, State
from polyarb.core.stream import Splitter
from polyarb.core.tick import Ticker
from polyarb.feed import channel as channels
from polyarb.feed.channel import Channel, ChannelConfig, Closed, Counts, Event, parse_url
from polyarb.feed.market import Connection, FeedConfig, MarketFeed

MS = 1_000_000
SECOND = 1_000_000_000
URL = "ws://venue.test/ws/market"
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


# -- bytes of a server


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
    length: int | None = None,
    claimed: int | None = None,
) -> bytes:
    """
    Return one WebSocket frame (RFC 6455 section 5.2).

    Args:
        opcode: Four bits.
        payload: Not masked yet.
        fin: Whether the message ends here.
        rsv: Three bits.
        mask: Four bytes, or none as servers should.
        length: Bytes of the length's extension, 0, 2 or 8; by default the shortest that does.
        claimed: What the length says, if it lies.
    """
    size = len(payload) if claimed is None else claimed
    if length is None:
        length = 0 if size < 126 else 2 if size < 1 << 16 else 8
    short = {0: size, 2: 126, 8: 127}[length]
    head = bytes([fin << 7 | rsv << 4 | opcode, bool(mask) << 7 | short])
    body = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload
    return head + (size.to_bytes(length, "big") if length else b"") + mask + body


def closing(code: int | None, reason: bytes = b"") -> bytes:
    """Return a close frame; `code` None leaves both out."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def answer(request: bytes, status: str = "101 Switching Protocols", extra: str = "") -> bytes:
    """Return the HTTP answer to an opening handshake."""
    head, _, rest = request.partition(b"\r\n\r\n")
    assert not rest
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    key = next(line.split(": ", 1)[1] for line in lines if line.startswith("Sec-WebSocket-Key"))
    assert headers["upgrade"] == "websocket"
    assert "sec-websocket-extensions" not in headers
    magic = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    accept = base64.b64encode(hashlib.sha1(magic).digest()).decode()  # noqa: S324  (RFC 6455)
    return (
        f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    ).encode()


def said(data: bytes) -> list[tuple[int, bytes]]:
    """Return (opcode, payload) of every frame a client sent; all must be masked and whole."""
    found = []
    while data:
        assert data[0] & 0x70 == 0
        assert data[0] & 0x80
        assert data[1] & 0x80, "a client masks its frames"
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
        assert len(body) == size
        found.append((data[0] & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(body))))
        data = data[at + 4 + size :]
    return found


# -- what a market says


def book(token: str, time_ms: int, bids: str = "0.40:10", asks: str = "0.60:10") -> dict[str, Any]:
    """Return a book message; sides are written ``price:size price:size``."""

    def levels(text: str) -> list[dict[str, str]]:
        return [dict(zip(("price", "size"), w.split(":"), strict=True)) for w in text.split()]

    return {
        "event_type": "book",
        "asset_id": token,
        "market": "0x" + "ab" * 32,
        "timestamp": str(time_ms),
        "bids": levels(bids),
        "asks": levels(asks),
    }


def change(token: str, time_ms: int, price: str, size: str, side: str = "BUY") -> dict[str, Any]:
    """Return a price_change of one level."""
    entry = {"asset_id": token, "price": price, "size": size, "side": side}
    return {
        "event_type": "price_change",
        "market": "0x" + "ab" * 32,
        "timestamp": str(time_ms),
        "price_changes": [entry],
    }


def dump(message: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(message, separators=(",", ":")).encode()


def text(message: Any) -> bytes:
    """Return a message in a text frame of its own."""
    return frame(TEXT, message if isinstance(message, bytes) else dump(message))


# -- books, and one channel


class Library:
    """Books of some tokens in an arena of their own."""

    def __init__(self, tokens: Sequence[str], *, flags: int = 0, now_ns: int = 1) -> None:
        self.arena = Arena.create(None, config=ArenaConfig(token_count=max(1, len(tokens))))
        self.books = Books(self.arena, now_ns)
        self.ticker = Ticker(self.arena, flags=flags)
        self.slots = {token: self.books.add(token, now_ns) for token in tokens}

    def bids(self, token: str) -> dict[int, int]:
        """Return size by price of the bids."""
        return dict(self.books.ladder(self.slots[token], Side.BID))

    def sides(self, token: str) -> tuple[dict[int, int], dict[int, int]]:
        """Return size by price of bids and asks."""
        ladder = self.books.ladder
        slot = self.slots[token]
        return dict(ladder(slot, Side.BID)), dict(ladder(slot, Side.ASK))

    def state(self, token: str) -> State:
        """Return its state."""
        top = self.books.top(self.slots[token])
        assert top
        return top.state

    def forget(self, now_ns: int = 1) -> None:
        """Empty every book."""
        for slot in self.slots.values():
            self.books.reset(slot, now_ns)


class Line:
    """A channel with a hand-made server at its other end."""

    def __init__(
        self,
        library: Library,
        *,
        tokens: Sequence[str] = ("1", "2"),
        capacity: int = 1 << 16,
        config: ChannelConfig | None = None,
        tap: Callable[[int, bytes], None] | None = None,
        now_ns: int = SECOND,
    ) -> None:
        self.now_ns = now_ns
        self.splitter = Splitter(capacity)
        self.counts = Counts()
        self.events: list[Event] = []
        self.channel = Channel(
            parse_url(URL),
            tokens,
            library.ticker,
            self.splitter,
            now_ns,
            counts=self.counts,
            config=config or ChannelConfig(),
            tap=tap,
        )

    def opened(self, behind: bytes = b"") -> "Line":
        """Do the handshake, with `behind` in the same read; forget what was sent so far."""
        self.channel.connect()
        self.feed(answer(self.channel.data_to_send()) + behind)
        assert self.channel.state is not channels.State.CONNECTING
        self.channel.data_to_send()
        return self

    def feed(self, data: bytes) -> list[Event]:
        """Let the kernel deliver `data` in one read, or as few as fit; return what happened."""
        found: list[Event] = []
        while data:
            room = self.channel.room()
            part = data[: len(room)]
            room[: len(part)] = part
            data = data[len(part) :]
            found += self.channel.received(len(part), self.now_ns)
        self.events += found
        return found

    def said(self) -> list[tuple[int, bytes]]:
        """Return the frames that went out since last time."""
        return said(self.channel.data_to_send())

    @property
    def closed(self) -> Closed | None:
        """How it ended."""
        ends = [event for event in self.events if isinstance(event, Closed)]
        assert len(ends) < 2, "it ends once"
        return ends[0] if ends else None


# -- a whole feed in virtual time


@dataclass
class Heard:
    """A listener that remembers."""

    library: Library | None = None
    log: list[tuple[Any, ...]] = field(default_factory=list)
    changes: int = 0
    slots: set[int] = field(default_factory=set)
    notices: list[dict[str, Any]] = field(default_factory=list)
    carried: dict[str, set[int]] = field(default_factory=dict)

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        self.changes += 1
        self.slots.update(slots)

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        self.notices.append(message)

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        self.log.append(("up", connection, tuple(tokens), now_ns))
        for token in tokens:
            self.carried.setdefault(token, set()).add(connection)

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        self.log.append(("down", connection, tuple(tokens), reason, now_ns))
        for token in tokens:
            self.carried[token].discard(connection)
            if self.library and not self.carried[token]:
                self.library.books.reset(self.library.slots[token], now_ns)

    def of(self, what: str) -> list[tuple[Any, ...]]:
        """Return the entries of one kind."""
        return [entry for entry in self.log if entry[0] == what]


class World:
    """
    A feed whose network is this object: virtual time, every dial answered or refused by hand.

    Attributes:
        dials: (connection number, when) of every dial.
        accepts: Whether a dial is answered, at once.
        silent: Numbers of connections whose PINGs get no PONG.
        heard: Frames of every connection.
    """

    def __init__(self, library: Library, *, seed: int = 1, **config: Any) -> None:
        self.now_ns = 1_000 * SECOND
        self.library = library
        self.listener = Heard(library)
        self.feed = MarketFeed(
            URL,
            library.ticker,
            self.listener,
            config=FeedConfig(buffer_bytes=1 << 16, **config),
            random=Random(seed),
        )
        self.accepts = True
        self.silent: set[int] = set()
        self.dials: list[tuple[int, int]] = []
        self.heard: dict[int, list[tuple[int, bytes]]] = {}
        self._epochs: dict[int, int] = {}

    def subscribe(self, *markets: Sequence[str]) -> None:
        self.feed.subscribe(markets, self.now_ns)
        self.settle()

    def settle(self) -> None:
        """Do everything that can be done now."""
        self.feed.tick(self.now_ns)
        while pending := self.feed.pending():
            for connection in pending:
                self._serve(connection)

    def run(self, until_ns: int) -> None:
        """Let time pass, from deadline to deadline."""
        self.settle()
        while (due := self.feed.next_deadline()) is not None and due <= until_ns:
            assert due > self.now_ns, "a deadline that does not move is a busy loop"
            self.now_ns = due
            self.settle()
        self.now_ns = until_ns

    def wait(self, seconds: float) -> None:
        self.run(self.now_ns + int(seconds * SECOND))

    def send(self, connection: Connection, data: bytes) -> None:
        """Let the exchange say something."""
        room = connection.room()
        room[: len(data)] = data
        connection.received(len(data), self.now_ns)
        self.settle()

    def cut(self, connection: Connection, reason: str = "reset") -> None:
        """Lose a transport."""
        connection.lost(reason, self.now_ns)
        self.settle()

    def _serve(self, connection: Connection) -> None:
        if connection.channel is None:
            return
        number = connection.number
        if self._epochs.get(number) != connection.epoch:
            self._epochs[number] = connection.epoch
            self.dials.append((number, self.now_ns))
            if not self.accepts:
                connection.lost("refused", self.now_ns)
                return
            connection.connected(self.now_ns)
            self.send(connection, answer(connection.data_to_send()))
            return
        for opcode, payload in said(connection.data_to_send()):
            self.heard.setdefault(number, []).append((opcode, payload))
            if payload == b"PING" and number not in self.silent:
                self.send(connection, text(b"PONG"))
            if opcode == CLOSE:
                connection.lost("closed", self.now_ns)
