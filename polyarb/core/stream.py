"""
A connection's receive buffer and its place in it (csrc/stream).

`Splitter` owns the memory that the kernel writes into. ``BufferedProtocol.get_buffer`` returns
`room()`; ``buffer_updated(n)`` calls `polyarb.core.tick.Ticker.stream(splitter, n, recv_ns)`.
"""

from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.base import integer

BUFFER_MIN: Final[int] = lib.PA_BUFFER_MIN
BUFFER_MAX: Final[int] = lib.PA_BUFFER_MAX


class Splitter:
    """
    A receive buffer that WebSocket frames are taken out of.

    Args:
        capacity: Bytes, 4096..67108864. A frame that does not fit as a whole is handed on in raw
            pieces, so this bounds what is decoded in place.
        line: Of the books that it feeds (`polyarb.core.book.Books.carry`), 0 for none.

    Raises:
        ArgumentTypeError, RangeError: `capacity`.
    """

    __slots__ = ("_block", "_memory", "_splitter", "_view")

    def __init__(self, capacity: int = 1 << 20, *, line: int = 0) -> None:
        integer("stream.capacity", capacity, BUFFER_MIN, BUFFER_MAX)
        integer("stream.line", line, 0, lib.PA_LINES_MAX)
        self._memory = bytearray(capacity)
        self._view = memoryview(self._memory)
        self._block = ffi.from_buffer("uint8_t[]", self._memory)
        self._splitter = ffi.new("pa_splitter *", self._blank(line))

    @property
    def cdata(self) -> Any:
        """The C splitter, for `polyarb.core.tick`."""
        return self._splitter

    @property
    def capacity(self) -> int:
        """Bytes of the buffer."""
        return len(self._memory)

    @property
    def line(self) -> int:
        """Of the books that it feeds, 0 for none."""
        return int(self._splitter.line)

    @property
    def pending(self) -> int:
        """Bytes received that are not consumed yet: the beginning of a frame."""
        return int(self._splitter.tail - self._splitter.head)

    @property
    def between_messages(self) -> bool:
        """Whether what is pending, if anything, begins a message: none is being handed on."""
        return not self._splitter.passing and not self._splitter.fragmented

    @property
    def received(self) -> int:
        """Bytes received since the start or `restart`."""
        return int(self._splitter.bytes)

    @property
    def text_frames(self) -> int:
        """Text frames taken in place."""
        return int(self._splitter.text_frames)

    @property
    def other_pieces(self) -> int:
        """Pieces handed on."""
        return int(self._splitter.other_pieces)

    def room(self) -> memoryview:
        """Return where the next read goes; valid until the next `Ticker.stream`. Never empty."""
        return self._view[self._splitter.tail :]

    def write(self, data: bytes) -> int:
        """
        Copy `data` to where a read would have put it and return its length.

        For tests, replays and what the handshake left over; then call `Ticker.stream`.

        Raises:
            CapacityError: More than `room()` has.
        """
        room = self.room()
        if len(data) > len(room):
            raise errors.CapacityError(f"{len(data)} bytes do not fit into the {len(room)} left")
        room[: len(data)] = data
        return len(data)

    def read(self, at: int, size: int) -> bytes:
        """Copy out ``[at, at + size)`` of the buffer, as a notice names it."""
        return bytes(self._view[at : at + size])

    def compact(self) -> None:
        """Give up what notices point to and make room; `Ticker.stream` does it without notices."""
        lib.pa_split_compact(self._splitter)

    def restart(self) -> None:
        """Forget everything, for a new connection on the same memory."""
        self._splitter[0] = ffi.new("pa_splitter *", self._blank(self.line))[0]

    def _blank(self, line: int) -> dict[str, Any]:
        return {"buffer": self._block, "capacity": len(self._memory), "line": line}
