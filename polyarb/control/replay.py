"""
Recorded frames through the same code as live ones: `python -m polyarb replay`.

A recording of ours goes through the `Channel` that would have received it, read by read; frames of
other captures go to `Ticker.tick` one by one. Nothing but what is recorded decides what comes out:
the same files give the same digest every time, at any speed.
"""

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from polyarb import clock, errors
from polyarb.control.integrity import COLUMNS, Integrity, counted
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import format_fixed
from polyarb.core.book import Books, State
from polyarb.core.decode import Decoder, Frame, Kind, Level, Side
from polyarb.core.stream import Splitter
from polyarb.core.tick import DROP_OLDER, Ticker
from polyarb.feed.channel import Channel, ChannelConfig, Counts, Messages, parse_url
from polyarb.journal import frames
from polyarb.journal.captured import captured, is_captured
from polyarb.journal.frames import FrameReader, Record

TOKENS_MAX: Final = 1 << 16
"""Tokens that frames may bring where no catalogue says which there are."""
MS: Final = 1_000_000
URL: Final = parse_url("ws://recorded/")

_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 4.2.2


class Timeline:
    """One clock for all records of a replay, which never goes back."""

    def __init__(self) -> None:
        self.now_ns = 1
        self._shift_ns: int | None = 0

    def restart(self) -> None:
        """Begin another stream, whose first time follows the last one of this."""
        self._shift_ns = None

    def at(self, time_ns: int) -> int:
        """Return `time_ns` of the stream on this clock; 0 is "no time"."""
        if time_ns:
            if self._shift_ns is None:
                self._shift_ns = max(0, self.now_ns - time_ns)
            self.now_ns = max(self.now_ns, time_ns + self._shift_ns)
        return self.now_ns


class Carried:
    """Which connections carry which tokens; a book is worth something while at least one does."""

    def __init__(self) -> None:
        self._by: dict[int, set[str]] = {}

    def by(self, connection: int) -> set[str]:
        """Return what a connection carries."""
        return self._by.get(connection, set())

    def up(self, connection: int, tokens: Iterable[str]) -> None:
        """Take note that a connection carries `tokens`."""
        self._by.setdefault(connection, set()).update(tokens)

    def down(self, connection: int, tokens: Iterable[str]) -> list[str]:
        """Take note that it no longer does; return those that nobody carries now."""
        gone = set(tokens)
        self.by(connection).difference_update(gone)
        return sorted(gone.difference(*self._by.values()))


class Player:
    """
    The books of a recording.

    Args:
        token_count: How many tokens there may be.
        check: Judge every book that changes (`Integrity`), which makes it several times slower.

    Attributes:
        books: All of them.
        counts: What the channels of a recording of ours counted.
        integrity: What the checks found, if they were asked for.
        rejected: Frames refused, by reason.
        lost: Reads that the recorder had to leave out.
        timeline: When it is.
    """

    def __init__(self, token_count: int = TOKENS_MAX, *, check: bool = True) -> None:
        self._arena = Arena.create(config=ArenaConfig(token_count=token_count))
        self.timeline = Timeline()
        self.books = Books(self._arena, self.timeline.now_ns)
        self._ticker = Ticker(self._arena)
        self._decoder = Decoder()
        self.counts = Counts()
        self.integrity = Integrity(self.books) if check else None
        self.lost = 0
        self._rejected: Counter[str] = Counter()
        self._slots: dict[str, int] = {}
        self._markets: dict[str, list[int]] = {}
        self._discover = True
        self._session: tuple[int, int] | None = None
        self._channels: dict[int, tuple[int, Channel, Messages]] = {}
        self._carried = Carried()

    @property
    def frames(self) -> int:
        """How many frames there were, refused ones and texts included."""
        return self.books.counters()["frames"]

    @property
    def rejected(self) -> dict[str, int]:
        """Frames refused, by reason."""
        both = self._rejected + Counter({bad.value: n for bad, n in self.counts.rejected.items()})
        return dict(sorted(both.items()))

    @property
    def tokens(self) -> Mapping[str, int]:
        """Slots by token."""
        return self._slots

    def begin(self) -> None:
        """Begin another file or folder, which knows its own tokens or finds them."""
        self.timeline.restart()
        self._discover = True
        self._session = None
        self._channels.clear()

    def play(self, record: Record) -> None:
        """
        Take the next record.

        Raises:
            RecordingForeignError: It does not say what records of its kind say.
            CapacityError: More tokens than there is room for.
        """
        try:
            self._play(record)
        except (ValueError, TypeError, LookupError) as error:
            if isinstance(error, errors.CapacityError):
                raise
            raise errors.RecordingForeignError(f"a record {record.kind.name}: {error}") from error

    def _play(self, record: Record) -> None:
        match record.kind:
            case frames.Kind.FRAME:
                self._frame(record)
            case frames.Kind.READ:
                self._read(record)
            case frames.Kind.META:
                self._meta(record)
            case frames.Kind.OPEN:
                self._channel(record)
                self._carried.up(record.connection, _tokens(json.loads(record.data)))
            case frames.Kind.CLOSE:
                self._close(record)
            case frames.Kind.LOST:
                self._lose(record)

    def result(self) -> dict[str, Any]:
        """Return what ``--json`` ends with (design.md section 9)."""
        hashes = self.integrity.reproduced if self.integrity else {}
        shown = {token: shown_book(self.books, slot) for token, slot in sorted(self._slots.items())}
        digest = state_digest(shown)
        tokens = {token: book | {"hash": hashes.get(token)} for token, book in shown.items()}
        return {
            "frames": self.frames,
            "rejected": self.rejected,
            "tokens": tokens,
            "state_digest": digest,
        }

    # -- records

    def _frame(self, record: Record) -> None:
        heard = self._decoder.decode(record.data)
        now_ns = self._time(record, heard)
        self._hear(record.data, heard, now_ns)
        if self._ticker.tick(record.data, now_ns) < 0:
            self._rejected.update(bad.value for bad in self._ticker.report.rejected_by())
        self._judge(self._ticker.report.changed(), now_ns)

    def _read(self, record: Record) -> None:
        channel, messages = self._channel(record)
        now_ns = self._time(record, None)
        if self._discover or self.integrity:
            for message in messages.receive(record.data):
                self._hear(message, self._decoder.decode(message), now_ns)
        data = memoryview(record.data)
        while data:
            room = channel.room()
            count = min(len(room), len(data))
            room[:count] = data[:count]
            data = data[count:]
            for event in channel.received(count, now_ns):
                self._judge(getattr(event, "slots", ()), now_ns)

    def _meta(self, record: Record) -> None:
        """Begin a segment; one of another session begins with new sockets and empty books."""
        session = (record.recv_ns, record.wall_ns)
        if session == self._session:
            return
        if self._session:
            self.timeline.restart()
        self._session = session
        self._channels.clear()
        self._carried = Carried()
        now_ns = self._time(record, None)
        self._reset(self._slots.values(), now_ns)
        meta = _object(record)
        self._ticker = Ticker(self._arena, flags=DROP_OLDER if meta.get("drop_older") else 0)
        self._discover = not meta.get("markets")
        for market in meta.get("markets", ()):
            self._enter(market, now_ns)

    def _enter(self, market: Mapping[str, Any], now_ns: int) -> None:
        """Enter a market that the recording names."""
        tokens = _tokens(market["tokens"])
        slots = [self._add(token, now_ns, market.get("tick_e4", 0)) for token in tokens]
        if len(slots) == 2:
            self.books.pair(*slots)
        if self.integrity and "condition" in market:
            size, neg_risk = market["min_size"], market["neg_risk"]
            self.integrity.market(market["condition"], tokens, min_size=size, neg_risk=neg_risk)

    def _close(self, record: Record) -> None:
        now_ns = self._time(record, None)
        gone = self._carried.down(record.connection, _tokens(_object(record)["tokens"]))
        self._reset([self._slots[token] for token in gone if token in self._slots], now_ns)

    def _lose(self, record: Record) -> None:
        """Go on behind reads that are missing: the books may lack something until a snapshot."""
        now_ns = self._time(record, None)
        self.lost += int(_object(record).get("reads", 0))
        self._channels.pop(record.connection, None)
        tokens = sorted(self._carried.by(record.connection))
        slots = [self._slots[token] for token in tokens if token in self._slots]
        for slot in slots:
            self.books.mark(slot, State.GAP, now_ns)
        self._judge(slots, now_ns)

    # -- what they are made of

    def _time(self, record: Record, heard: Frame | None) -> int:
        if self._session:  # monotonic times, put where the wall clock was when it began
            return self.timeline.at(record.recv_ns - self._session[0] + self._session[1])
        if record.recv_ns or heard is None:
            return self.timeline.at(record.recv_ns)
        return self.timeline.at(max((r.time_ms or 0 for r in heard.records), default=0) * MS)

    def _channel(self, record: Record) -> tuple[Channel, Messages]:
        """Return the channel of a record's socket, a new one if that is a new socket."""
        known = self._channels.get(record.connection)
        if known is None or known[0] != record.epoch:
            channel = _open_channel(self._ticker, self.counts, self.timeline.now_ns)
            known = self._channels[record.connection] = (record.epoch, channel, Messages())
        return known[1], known[2]

    def _hear(self, text: bytes, heard: Frame, now_ns: int) -> None:
        """Learn from a frame before it is applied: which tokens there are, and their markets."""
        if self._discover:
            for r in heard.records:
                if r.token and r.token not in self._slots and r.kind is not Kind.NEW_MARKET:
                    slot = self._add(r.token, now_ns, 0)
                    if r.market:
                        self._pair(r.market, slot)
        if self.integrity:
            self.integrity.heard(text, heard)

    def _add(self, token: str, now_ns: int, tick_e4: int) -> int:
        slot = self._slots[token] = self.books.add(token, now_ns, tick_e4=tick_e4)
        return slot

    def _pair(self, market: str, slot: int) -> None:
        """Take note that a token is of a market, and pair the first two that are."""
        slots = self._markets.setdefault(market, [])
        slots.append(slot)
        if len(slots) == 2:
            self.books.pair(*slots)

    def _reset(self, slots: Iterable[int], now_ns: int) -> None:
        held = list(slots)
        for slot in held:
            self.books.reset(slot, now_ns)
        self._judge(held, now_ns)

    def _judge(self, slots: Sequence[int], now_ns: int) -> None:
        if self.integrity:
            self.integrity.judge(slots, now_ns)


def shown_book(books: Books, slot: int) -> dict[str, Any]:
    """Return a book as ``--json`` shows it."""
    depth = books.depth(slot)
    assert depth  # nobody writes meanwhile
    bids = [_level(level) for level in books.ladder(slot, Side.BID)]
    asks = [_level(level) for level in books.ladder(slot, Side.ASK)]
    return {
        "state": depth.top.state.name.lower(),
        "best_bid": bids[0][0] if bids else None,
        "best_ask": asks[0][0] if asks else None,
        "bids": bids,
        "asks": asks,
    }


def state_digest(shown: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the SHA-256 of books as `shown_book` shows them, by token."""
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def records(path: Path, torn: Callable[[str], None]) -> Iterator[Record]:
    """
    Yield what a file or a folder of segments holds; what is torn at its end goes to `torn`.

    Raises:
        RecordingError: It cannot be read, or is damaged before its end.
    """
    found = frames.segments([path])
    if not found:
        raise errors.RecordingForeignError(f"{path}: a folder without segments")
    for each in found:
        try:
            if is_captured(each) and not frames.is_segment(each):
                yield from captured(each)
            else:
                yield from FrameReader(each)
        except errors.RecordingTornError as error:
            torn(str(error))


def replay(
    paths: Sequence[Path],
    player: Player,
    *,
    speed: float = 0.0,
    torn: Callable[[str], None] = lambda _: None,
) -> None:
    """
    Play files and folders, one after another.

    Args:
        paths: In their order.
        player: Whose books they become.
        speed: How many times as fast as it happened; 0: as fast as it goes.
        torn: Is told what was cut off at a file's end.

    Raises:
        RecordingError: A file cannot be read, or is damaged before its end.
        CapacityError: More tokens than there is room for.
    """
    wait = threading.Event().wait
    start_ns, first_ns = clock.monotonic_ns(), 0
    for path in paths:
        player.begin()
        for record in records(path, torn):
            player.play(record)
            if speed:
                now_ns = player.timeline.now_ns
                first_ns = first_ns or (now_ns if now_ns > 1 else 0)
                due_ns = start_ns + int((now_ns - first_ns) / speed) if first_ns else 0
                if (left_ns := due_ns - clock.monotonic_ns()) > 0:
                    wait(left_ns / 1e9)
    if player.integrity:
        player.integrity.finish()


def show(player: Player, console: Console | None = None) -> None:
    """Print what a replay came to: a table on a terminal, plain lines elsewhere."""
    console = console or Console(highlight=False, soft_wrap=True)
    result = player.result()
    states = Counter(book["state"] for book in result["tokens"].values())
    listed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    console.print(f"{player.frames:,} frames, {len(result['tokens'])} tokens: {listed or 'none'}")
    for reason, count in player.rejected.items():
        console.print(f"refused: {reason} {count:,}")
    if player.lost:
        console.print(f"{player.lost:,} reads were not recorded")
    if player.integrity:
        i = player.integrity
        console.print(
            f"hashes: {i.matched:,} came out ({i.untold:,} with a last trade not told yet), "
            f"{i.mismatched:,} did not, {i.unproven:,} cannot be checked"
        )
        _show_table(i.rows(), console)
    for name, count in counted(player.books).items():
        console.print(f"{name}: {count:,}")
    console.print(f"state {result['state_digest']}")


def _show_table(rows: Sequence[Sequence[str]], console: Console) -> None:
    if not console.is_terminal:
        for row in rows:
            pairs = zip(COLUMNS[1:], row[1:], strict=True)
            console.print(f"{row[0]}: " + ", ".join(f"{name} {value}" for name, value in pairs))
        return
    table = Table(*COLUMNS)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _open_channel(ticker: Ticker, counts: Counts, now_ns: int) -> Channel:
    """Return a channel that is past its handshake."""
    config = ChannelConfig(open_ns=1)
    splitter = Splitter()
    channel = Channel(URL, (), ticker, splitter, now_ns, counts=counts, config=config)
    channel.connect()
    head = channel.data_to_send()
    key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT, usedforsecurity=False).digest())
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    channel.received(splitter.write(answer), now_ns)
    return channel


def _tokens(said: object) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise TypeError("tokens are a list of texts")
    return said


def _object(record: Record) -> dict[str, Any]:
    said = json.loads(record.data)
    if not isinstance(said, dict):
        raise TypeError("not an object")
    return said


def _level(level: Level) -> list[str]:
    return [format_fixed(level.price_e4, 4), format_fixed(level.size_e6, 6)]
