"""
Frames of the market socket as typed records (csrc/decode).

The hot path never comes here: `polyarb.core.tick` decodes and applies in C. This is for tools,
tests and messages that Python looks at itself.
"""

import enum
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from polyarb._core import ffi, lib
from polyarb.core.base import readable


def _names(name: Any, count: int) -> list[str]:
    return [ffi.string(name(index)).decode("ascii") for index in range(count)]


class Kind(enum.Enum):
    """What a message is; the value is the exchange's own word where there is one."""

    BOOK = "book"
    CHANGE = "price_change"
    TRADE = "last_trade_price"
    TICK = "tick_size_change"
    BEST = "best_bid_ask"
    NEW_MARKET = "new_market"
    RESOLVED = "market_resolved"
    SUBSCRIBED = "subscribed"
    ERROR = "error"
    PONG = "pong"
    TEXT = "text"
    UNKNOWN = "unknown"


class Bad(enum.Enum):
    """Why a frame was refused."""

    NONE = "none"
    SYNTAX = "syntax"
    END = "end"
    TRAILING = "trailing"
    UTF8 = "utf8"
    NESTING = "nesting"
    TOKEN = "token"  # noqa: S105  (an asset id)
    PRICE = "price"
    SIZE = "size"
    SIDE = "side"
    TICK = "tick"
    TIME = "time"
    MISSING = "missing"
    LEVELS = "levels"
    CAPACITY = "capacity"
    TOO_LONG = "too_long"


class Side(enum.IntEnum):
    """A side of a book, as the core numbers them."""

    BID = 0
    ASK = 1


KINDS: Final = tuple(Kind(name) for name in _names(lib.pa_kind_name, lib.PA_KIND_COUNT))
BADS: Final = tuple(Bad(name) for name in _names(lib.pa_bad_name, lib.PA_BAD_COUNT))


class Level(NamedTuple):
    """A price x 10^4 and the total size there x 10^6."""

    price_e4: int
    size_e6: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One record of a frame; None where the message has no such member.

    Attributes:
        kind: What it is.
        message: Index of its message in the frame.
        token: Asset id, a decimal without leading zeros.
        market: Condition id as written.
        hash: The book's, 40 characters.
        bids: Levels of a book, in the order received.
        asks: Likewise.
        price_e4: Of a change or trade.
        size_e6: New total of a change, size of a trade.
        side: Of a change, and of a trade if it says so; None for other kinds.
        best_bid_e4: 0 for an empty side.
        best_ask_e4: 10000 for an empty side.
        tick_e4: Of a book, or the new one.
        last_e4: last_trade_price of a book; 0 if it is ``""``.
        time_ms: The exchange's, Unix milliseconds.
        winner: Of a resolved market: this token won.
        form: "", or the older spelling it came in: "flat", "changes" or "plain".
    """

    kind: Kind
    message: int
    token: str | None
    market: str | None
    hash: str | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    price_e4: int | None
    size_e6: int | None
    side: Side | None
    best_bid_e4: int | None
    best_ask_e4: int | None
    tick_e4: int | None
    last_e4: int | None
    time_ms: int | None
    winner: bool
    form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    What a frame holds.

    Attributes:
        records: Empty if it was refused.
        message_count: 0 if it was refused.
        skipped: Members of unknown name.
        bad: Why it was refused, or Bad.NONE.
        bad_at: Offset of the offending byte.
    """

    records: tuple[Record, ...]
    message_count: int
    skipped: int
    bad: Bad
    bad_at: int


class Decoder:
    """
    Buffers to decode into, used again for each frame.

    Args:
        records: How many records a frame may have.
        levels: How many levels.
    """

    __slots__ = ("_keep", "_out")

    def __init__(
        self, records: int = lib.PA_FRAME_RECORDS_MAX, levels: int = lib.PA_FRAME_LEVELS_MAX
    ) -> None:
        self._keep = (ffi.new("pa_record[]", records), ffi.new("pa_book_level[]", levels))
        self._out = ffi.new("pa_decoded *")
        self._out.records, self._out.levels = self._keep
        self._out.record_capacity, self._out.level_capacity = records, levels

    def run(self, frame: bytes) -> int:
        """Decode `frame` and return its status, 0 if it is well formed; makes no objects."""
        return int(lib.pa_decode(frame, len(frame), self._out))

    @property
    def cdata(self) -> Any:
        """The C buffers, for benchmarks; valid as long as the decoder is."""
        return self._out

    def decode(self, frame: bytes | bytearray | memoryview) -> Frame:
        """Decode `frame` into objects. Never raises for what the frame holds."""
        data = bytes(frame)
        lib.pa_decode(readable("frame", data), len(data), self._out)
        out = self._out
        return Frame(
            records=tuple(self._record(data, out.records[i]) for i in range(out.record_count)),
            message_count=out.message_count,
            skipped=out.skipped,
            bad=BADS[out.bad],
            bad_at=out.bad_at,
        )

    def _record(self, data: bytes, r: Any) -> Record:
        flags = r.flags

        def text(at: int, size: int) -> str | None:
            return data[at : at + size].decode("utf-8") if size else None

        def number(flag: int, value: int) -> int | None:
            return int(value) if flags & flag else None

        kind = KINDS[r.kind]
        form = (
            "flat" if flags & lib.PA_HAS_FLAT else "changes" if flags & lib.PA_HAS_CHANGES else ""
        )
        sided = kind in (Kind.CHANGE, Kind.TRADE)
        return Record(
            kind=kind,
            message=r.message,
            token=text(r.token_at, r.token_bytes),
            market=text(r.market_at, r.market_bytes),
            hash=text(r.hash_at, lib.PA_HASH_TEXT) if flags & lib.PA_HAS_HASH else None,
            bids=self._levels(r.bid_first, r.bid_count),
            asks=self._levels(r.ask_first, r.ask_count),
            price_e4=number(lib.PA_HAS_PRICE, r.price_e4),
            size_e6=number(lib.PA_HAS_SIZE, r.size_e6),
            side=Side(r.side) if sided else None,
            best_bid_e4=number(lib.PA_HAS_BEST_BID, r.best_bid_e4),
            best_ask_e4=number(lib.PA_HAS_BEST_ASK, r.best_ask_e4),
            tick_e4=number(lib.PA_HAS_TICK, r.tick_e4),
            last_e4=0 if flags & lib.PA_HAS_NO_LAST else number(lib.PA_HAS_LAST, r.last_e4),
            time_ms=number(lib.PA_HAS_TIME, r.time_ms),
            winner=bool(flags & lib.PA_HAS_WINNER),
            form="plain" if flags & lib.PA_HAS_PLAIN else form,
        )

    def _levels(self, first: int, count: int) -> tuple[Level, ...]:
        levels = self._out.levels
        return tuple(
            Level(levels[i].price_e4, levels[i].size_e6) for i in range(first, first + count)
        )
