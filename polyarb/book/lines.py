"""
The feed's connections as the books see them: which tokens come over which, and since when.

A *line* is one connection of the feed through all of its epochs. A token is *carried* while at
least one line that has it is up; redundant connections carry it twice.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from polyarb import errors
from polyarb.book.frozen import FrozenConfig, FrozenWatch
from polyarb.core.book import Books
from polyarb.feed.channel import Messages

KEPT_BYTES_MAX: Final = 16 << 20
"""Of one line while a book of it is resynchronised; more than that begins anew."""

Ear = Callable[[int, bytes], None]


class Feed(Protocol):
    """What the books ask of the feed; `polyarb.feed.market.MarketFeed` is one."""

    def data_ns(self, number: int) -> int:
        """Return when a connection last brought a message of a market; 0 before."""

    def line(self, number: int) -> int:
        """Return the line of a connection in the core (`Books.carry`), 0 for none."""

    def overhear(self, number: int, ear: Ear | None) -> bytes | None:
        """
        Give what a connection receives to `ear` as well, until its end or until told None.

        Returns:
            The frame that is being received, as far as it is there. None: not now, for want of a
            connection or inside a long message; nothing was changed.
        """

    def resubscribe(self, tokens: Iterable[str]) -> None:
        """Let the exchange send the books of `tokens` again."""

    def reconnect(self, number: int, reason: str, now_ns: int) -> None:
        """Replace a connection."""


@dataclass(slots=True)
class Line:
    """
    One connection.

    Attributes:
        number: The feed's name for it.
        watch: Of its silences.
        core: Its number in the core, 0 for none.
        slots: What it carries now.
        opener: The slot that changed last.
        data_ns: When data came last, as far as the watch knows.
        marked: Slots marked frozen on its account.
        kept: Raw bytes received, while somebody needs them; None otherwise.
        kept_bytes: Their length.
    """

    number: int
    watch: FrozenWatch
    core: int = 0
    slots: set[int] = field(default_factory=set)
    opener: int = -1
    data_ns: int = 0
    marked: set[int] = field(default_factory=set)
    kept: list[bytes] | None = None
    kept_bytes: int = 0

    def hear(self, recv_ns: int, data: bytes) -> None:
        """Keep what was received."""
        del recv_ns
        if self.kept is not None and self.kept_bytes <= KEPT_BYTES_MAX:
            self.kept.append(data)
            self.kept_bytes += len(data)

    @property
    def overflowed(self) -> bool:
        """Whether bytes were left out."""
        return self.kept_bytes > KEPT_BYTES_MAX

    def messages(self) -> list[bytes]:
        """Return the messages in what was kept."""
        return Messages().receive(b"".join(self.kept or ()))


class Lines:
    """
    All of them.

    Args:
        books: Are told which lines of the core carry a token.
        config: Of their watches.

    Attributes:
        feed: Where they come from; set before the first is up.
    """

    __slots__ = ("_books", "_carriers", "_config", "_lines", "_since", "feed")

    def __init__(self, books: Books, config: FrozenConfig) -> None:
        self.feed: Feed | None = None
        self._books = books
        self._config = config
        self._lines: dict[int, Line] = {}
        self._carriers: dict[int, set[int]] = {}
        self._since: dict[int, int] = {}

    def up(self, number: int, slots: Iterable[int], now_ns: int) -> list[int]:
        """Let a line carry `slots` from now on; return those that no other line did."""
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = Line(number, FrozenWatch(self._config))
        if not line.slots:
            line.watch.opened(now_ns)
            line.data_ns = now_ns
            line.core = self.feed.line(number) if self.feed else 0
        fresh = []
        for slot in slots:
            line.slots.add(slot)
            carriers = self._carriers.setdefault(slot, set())
            if not carriers:
                fresh.append(slot)
                self._since[slot] = now_ns
            carriers.add(number)
            self._tell_core(slot)
        return fresh

    def down(self, number: int, slots: Sequence[int]) -> list[int]:
        """Let a line carry `slots` no more; return those that no other line does either."""
        line = self._lines.get(number)
        if line is None:
            return []
        lost = []
        for slot in slots:
            line.slots.discard(slot)
            line.marked.discard(slot)
            carriers = self._carriers.get(slot, set())
            carriers.discard(number)
            if line.core:
                self._books.carry(slot, line.core, carried=False)
                self._tell_core(slot)
            if not carriers and self._carriers.pop(slot, None) is not None:
                lost.append(slot)
        if not line.slots:
            line.watch.closed()
            line.kept, line.kept_bytes = None, 0
        return lost

    def _tell_core(self, slot: int) -> None:
        """Let the core know two of the lines that carry a slot; it keeps no more."""
        lines = (self._lines[number].core for number in sorted(self._carriers.get(slot, ())))
        for core in [core for core in lines if core][:2]:
            with suppress(errors.CapacityError):  # the two it knows are as good
                self._books.carry(slot, core, carried=True)

    def forget(self, slot: int) -> None:
        """Let no line carry a slot any more: it goes to another token."""
        for line in self.carriers(slot):
            self.down(line.number, (slot,))

    def all(self) -> list[Line]:
        """Return every line that is up."""
        return [line for line in self._lines.values() if line.slots]

    def get(self, number: int) -> Line | None:
        """Return a line, None if it is not up."""
        line = self._lines.get(number)
        return line if line and line.slots else None

    def carried(self, slot: int) -> bool:
        """Whether any line carries a slot."""
        return slot in self._carriers

    def carriers(self, slot: int) -> list[Line]:
        """Return the lines that carry a slot."""
        return [self._lines[number] for number in self._carriers.get(slot, ())]

    def since_ns(self, slot: int) -> int:
        """Return since when a carried slot has been carried."""
        return self._since[slot]

    def opened_by(self, slot: int) -> None:
        """Take note of a change: part of the receive path."""
        for number in self._carriers.get(slot, ()):
            self._lines[number].opener = slot

    def keep(self, line: Line) -> bool:
        """Keep what a line receives from now on; whether it is being kept."""
        if line.kept is None and self.feed is not None:
            begun = self.feed.overhear(line.number, line.hear)
            if begun is not None:
                line.kept, line.kept_bytes = [begun], len(begun)
        return line.kept is not None

    def let_go(self, line: Line) -> None:
        """Keep nothing of a line any more."""
        if line.kept is not None and self.feed is not None:
            self.feed.overhear(line.number, None)
        line.kept, line.kept_bytes = None, 0
