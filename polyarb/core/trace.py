"""Latency histograms and the clock that feeds them (csrc/trace)."""

from dataclasses import dataclass
from typing import Any, Final, Self

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena
from polyarb.core.base import UINT64_MAX, integer

LIMIT_NS: Final[int] = lib.PA_HISTOGRAM_LIMIT_NS
"""Durations from here on (137 s) share the last bucket; `Latency.max_ns` stays true."""

QUANTILE_ONE_E6: Final[int] = lib.PA_QUANTILE_ONE_E6

_LINE_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """
    A copy of a histogram's summary: nanoseconds, percentiles within 0.79 %.

    Attributes:
        count: Durations recorded.
        clamped: Those of LIMIT_NS and more.
        sum_ns: Of all; stops at 2**64 - 1.
        min_ns: Smallest; like all that follow 0 when nothing was recorded.
        max_ns: Largest, also if clamped.
        p50_ns: Median.
        p90_ns: 90th percentile.
        p99_ns: 99th percentile.
        p999_ns: 99.9th percentile.
    """

    count: int
    clamped: int
    sum_ns: int
    min_ns: int
    max_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int


class HistogramView:
    """
    A histogram somebody records into, read only; also on a mapping that cannot be written.

    Raises:
        ArgumentTypeError, RangeError: `index` is not one of the arena's histograms.
        ArenaAccessError: The arena is closed.
    """

    __slots__ = ("_histogram", "_memory")

    def __init__(self, arena: Arena, index: int) -> None:
        self._memory, self._histogram = _place(arena, index)

    def percentile(self, quantile_e6: int) -> int:
        """
        Return what `quantile_e6` parts in a million (990000 is p99) do not exceed, in ns.

        0 is the smallest and 1000000 the largest duration; 0 if nothing was recorded.

        Raises:
            ArgumentTypeError, RangeError: Not 0..1000000.
        """
        wanted = integer("quantile_e6", quantile_e6, 0, QUANTILE_ONE_E6)
        out = ffi.new("uint64_t *")
        lib.pa_histogram_percentile(self._histogram, wanted, out)
        return int(out[0])

    def snapshot(self) -> Latency:
        """Copy count, extremes and the usual percentiles."""
        out = ffi.new("pa_histogram_snapshot *")
        lib.pa_histogram_read(self._histogram, out)
        return Latency(
            count=out.count,
            clamped=out.clamped,
            sum_ns=out.sum_ns,
            min_ns=out.min_ns,
            max_ns=out.max_ns,
            p50_ns=out.p50_ns,
            p90_ns=out.p90_ns,
            p99_ns=out.p99_ns,
            p999_ns=out.p999_ns,
        )


class Histogram(HistogramView):
    """
    A histogram to record into: one of the arena's, by its one writer, or a `private` one.

    Raises:
        ArgumentTypeError, RangeError: `index` is not one of the arena's histograms.
        ArenaAccessError: The arena is closed, or mapped read-only.
    """

    __slots__ = ()

    def __init__(self, arena: Arena, index: int) -> None:
        if not arena.writable:
            raise errors.ArenaAccessError("the histogram's arena is closed or mapped read-only")
        super().__init__(arena, index)

    @classmethod
    def private(cls) -> Self:
        """Return an empty histogram in memory of its own."""
        histogram = cls.__new__(cls)
        block = ffi.new("uint8_t[]", lib.pa_histogram_bytes() + _LINE_BYTES)
        start = -int(ffi.cast("uintptr_t", block)) % _LINE_BYTES
        histogram._memory = block
        histogram._histogram = ffi.cast("pa_histogram *", block + start)
        return histogram

    def record(self, ns: int) -> None:
        """Count one duration, 0..2**64 - 1 ns. ArgumentTypeError, RangeError."""
        lib.pa_histogram_record(self._histogram, integer("ns", ns, 0, UINT64_MAX))

    def record_n(self, ns: int, count: int) -> None:
        """Count the same duration `count` times, 0..2**32 - 1. ArgumentTypeError, RangeError."""
        wanted = integer("count", count, 0, 2**32 - 1)
        lib.pa_histogram_record_n(self._histogram, integer("ns", ns, 0, UINT64_MAX), wanted)

    def merge(self, source: HistogramView) -> None:
        """
        Add what another histogram holds, which may be one that is being written.

        Raises:
            ArgumentTypeError: Not a histogram.
            RangeError: This one itself.
        """
        if not isinstance(source, HistogramView):
            kind = type(source).__name__
            raise errors.ArgumentTypeError(f"source must be a histogram, not {kind}")
        if source._histogram == self._histogram:
            raise errors.RangeError("source is the histogram itself")
        lib.pa_histogram_merge(self._histogram, source._histogram)

    def reset(self) -> None:
        """Forget everything."""
        lib.pa_histogram_reset(self._histogram)


class Clock:
    """
    CLOCK_MONOTONIC read from the processor's counter, calibrated in about 5 ms when made.

    One owner: others make their own.
    """

    __slots__ = ("_clock",)

    def __init__(self) -> None:
        self._clock = ffi.new("pa_clock *")
        lib.pa_clock_init(self._clock)

    @property
    def is_tsc(self) -> bool:
        """Whether it reads the counter; else it asks the system every time."""
        return bool(lib.pa_clock_is_tsc(self._clock))

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC now, in nanoseconds; never less than before."""
        return int(lib.pa_clock_now_ns(self._clock))

    def sync(self) -> int:
        """
        Steer towards CLOCK_MONOTONIC over the next second; call once a second or so.

        Returns:
            By how many nanoseconds readings were ahead of it, below 0 if behind.
        """
        return int(lib.pa_clock_sync(self._clock))


def _place(arena: Arena, index: int) -> tuple[Any, Any]:
    """Return what keeps the arena mapped, and the histogram in it."""
    last = arena.info.config.histogram_count - 1
    offset = integer("histogram", index, 0, last) * lib.PA_HISTOGRAM_STRIDE
    section = arena.section(lib.PA_SECTION_TRACE, "uint8_t *")
    return section, ffi.cast("pa_histogram *", section + offset)
