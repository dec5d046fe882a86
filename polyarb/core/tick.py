"""
Frames into the books and relations: the hot path's only crossing (csrc/tick).

`Ticker.stream` sees to everything a socket read brought, `Ticker.tick` to one frame (fragmented
messages that ``websockets`` put together, REST books, replays). Both fill the ticker's `report`,
which stays valid until the next call of either.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena
from polyarb.core.base import check
from polyarb.core.decode import BADS, KINDS, Bad, Kind
from polyarb.core.stream import Splitter

DROP_OLDER: Final[int] = lib.PA_APPLY_DROP_OLDER
"""Leave out deltas older than their token's last one: for redundant connections."""


class Notice(NamedTuple):
    """
    Bytes that Python looks at itself.

    Attributes:
        kind: Of the message; None for a raw piece, which goes to the protocol object.
        at: Offset in the splitter's buffer, or in the frame given to `Ticker.tick`.
        size: How many bytes.
    """

    kind: Kind | None
    at: int
    size: int


class Rejected(NamedTuple):
    """
    The first refused frame of a call.

    Attributes:
        bad: Why.
        bad_at: Offset of the offending byte in the frame.
        at: The frame's own place in what the call was given.
        size: Its length.
    """

    bad: Bad
    bad_at: int
    at: int
    size: int


class Report:
    """What the last call did; a view of memory that the next call writes again."""

    __slots__ = ("_report",)

    def __init__(self, report: Any) -> None:
        self._report = report

    @property
    def frames(self) -> int:
        """Text frames seen, refused ones included."""
        return int(self._report.frames)

    @property
    def messages(self) -> int:
        """Messages of the frames that were not refused."""
        return int(self._report.messages)

    @property
    def records(self) -> int:
        """Records of them."""
        return int(self._report.records)

    @property
    def data_count(self) -> int:
        """Messages that say something of a market; PONG and other texts do not."""
        return int(self._report.data_count)

    @property
    def pong_count(self) -> int:
        """PONG texts."""
        return int(self._report.pong_count)

    @property
    def opportunity_count(self) -> int:
        """Relations that the call saw violated: `polyarb.core.scan.Relations.next` has them."""
        return int(self._report.opportunity_count)

    @property
    def rejected(self) -> int:
        """Frames refused; none of them changed a book."""
        return int(self._report.rejected)

    @property
    def first_rejected(self) -> Rejected | None:
        """The first of them."""
        r = self._report
        if not r.rejected:
            return None
        return Rejected(BADS[r.bad], r.bad_at, r.bad_frame_at, r.bad_frame_bytes)

    def rejected_by(self) -> dict[Bad, int]:
        """Return the refused frames by reason."""
        by = self._report.rejected_by
        return {bad: by[index] for index, bad in enumerate(BADS) if by[index]}

    @property
    def changed_count(self) -> int:
        """Length of `changed()`."""
        return int(self._report.changed_count)

    @property
    def changed_lost(self) -> int:
        """Books that changed and found no room in the list: look at all of them."""
        return int(self._report.changed_lost)

    def changed(self) -> list[int]:
        """Return the slots whose books or states changed, each once, as far as they fit (1024)."""
        r = self._report
        return ffi.unpack(r.changed, r.changed_count) if r.changed_count else []

    @property
    def notice_count(self) -> int:
        """Length of `notices()`. While it is not 0 the buffer was not compacted."""
        return int(self._report.notice_count)

    @property
    def notices_lost(self) -> int:
        """Messages that found no room in the list; raw pieces are never among them."""
        return int(self._report.notices_lost)

    def notices(self) -> Iterator[Notice]:
        """Yield what Python looks at itself, in the order received."""
        r = self._report
        for i in range(r.notice_count):
            n = r.notices[i]
            yield Notice(None if n.kind == lib.PA_RAW else KINDS[n.kind - 1], n.at, n.bytes)

    @property
    def more(self) -> bool:
        """See to the notices, then stream again with 0 bytes (`Ticker.stream`)."""
        return bool(self._report.more)


class Ticker:
    """
    The way of the bytes into an arena's books. Owner only: one thread of one process.

    Make `polyarb.core.book.Books` of the arena first: it takes the books over.

    Attributes:
        report: Of the last call.

    Raises:
        ArenaAccessError: The arena is closed, read-only, or has no books.
    """

    __slots__ = ("_arena", "_report", "report")

    def __init__(self, arena: Arena, *, flags: int = 0) -> None:
        if not arena.writable:
            raise errors.ArenaAccessError("the books' arena is closed or mapped read-only")
        if arena.info.config.token_count == 0:
            raise errors.ArenaAccessError("arena.token_count is 0: the arena has no books")
        self._arena = arena.handle()
        lib.pa_tick_configure(self._arena, flags)
        self._report = lib.pa_report_of(self._arena)
        self.report = Report(self._report)

    def tick(self, frame: bytes, recv_ns: int) -> int:
        """
        Apply one frame and return how many books changed; -1 if it was refused.

        A refused frame changed no book; `report` says why. `recv_ns` is monotonic.
        """
        if lib.pa_tick(self._arena, frame, len(frame), recv_ns):
            return -1
        return int(self._report.changed_count)

    def stream(self, splitter: Splitter, received: int, recv_ns: int) -> int:
        """
        Apply every frame that `received` more bytes completed; return how many books changed.

        If `report.notice_count` is not 0 afterwards, the caller sees to `report.notices()` (raw
        pieces go to the protocol object, in order). If `report.more`, it then calls this again
        with 0: the lists were full, or the last raw piece comes before the frames behind it, as
        anything but a ping or pong does. If not, it calls ``splitter.compact()``.

        Raises:
            RangeError: More bytes than the splitter had room for.
        """
        status = lib.pa_stream(self._arena, splitter.cdata, received, recv_ns)
        if status:
            check(status, f"{received} bytes received")
        return int(self._report.changed_count)
