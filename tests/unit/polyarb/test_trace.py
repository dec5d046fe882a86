"""Histograms and the clock from Python."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarb import errors
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.trace import LIMIT_NS, Clock, Histogram, HistogramView


@pytest.mark.parametrize(("flavour", "reads"), [("plain", 10_000_000), ("address", 1_000_000)])
def test_c_trace(c_program: Callable[..., str], flavour: str, reads: int) -> None:
    assert "trace: ok" in c_program("unit/csrc/test_trace.c", flavour, str(reads))


@pytest.mark.parametrize("flavour", ["plain", "thread"])
def test_readers_never_disturb_the_writer(c_program: Callable[..., str], flavour: str) -> None:
    assert "histogram stress: ok" in c_program("stress/stress_histogram.c", flavour)


def test_histograms_of_an_arena_do_not_overlap() -> None:
    arena = Arena.create(None, config=ArenaConfig(histogram_count=3))
    histograms = [Histogram(arena, index) for index in range(3)]
    for index, histogram in enumerate(histograms):
        histogram.record_n(0, index + 1)
        histogram.record_n(2**64 - 1, index + 1)
    assert [histogram.snapshot().count for histogram in histograms] == [2, 4, 6]


@pytest.mark.parametrize("index", [-1, 3])
def test_a_histogram_the_arena_lacks_is_refused(index: int) -> None:
    arena = Arena.create(None, config=ArenaConfig(histogram_count=3))
    for kind in (Histogram, HistogramView):
        with pytest.raises(errors.RangeError, match=rf"histogram {index} is outside 0\.\.2"):
            kind(arena, index)


def test_a_view_reads_a_read_only_mapping(tmp_path: Path) -> None:
    with Arena.create(tmp_path / "arena") as arena, Arena.attach(tmp_path / "arena") as watched:
        Histogram(arena, 1).record(500)
        view = HistogramView(watched, 1)
        assert view.percentile(500_000) == 500
        own = Histogram.private()
        own.merge(view)
        assert own.snapshot() == view.snapshot()
        with pytest.raises(errors.ArenaAccessError, match="read-only"):
            Histogram(watched, 1)


def test_histograms_outlive_their_process(tmp_path: Path) -> None:
    with Arena.create(tmp_path / "arena") as arena:
        Histogram(arena, 0).record(LIMIT_NS)
    with Arena.attach(tmp_path / "arena") as arena:
        latency = HistogramView(arena, 0).snapshot()
        assert (latency.count, latency.clamped, latency.max_ns) == (1, 1, LIMIT_NS)


@pytest.mark.parametrize("value", [1.5, None, True])
def test_a_duration_is_an_int(value: object) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="ns must be an int"):
        Histogram.private().record(value)  # type: ignore[arg-type]


def test_refusals_name_value_and_bound() -> None:
    histogram = Histogram.private()
    with pytest.raises(errors.RangeError, match="ns -1 is outside"):
        histogram.record(-1)
    with pytest.raises(errors.RangeError, match=r"quantile_e6 1000001 is outside 0\.\.1000000"):
        histogram.percentile(1_000_001)
    with pytest.raises(errors.RangeError, match="itself"):
        histogram.merge(histogram)
    with pytest.raises(errors.ArgumentTypeError, match="source must be a histogram"):
        histogram.merge(None)  # type: ignore[arg-type]


def test_the_clock_is_on_the_timeline_of_monotonic() -> None:
    clock = Clock()
    clock.sync()
    # The narrowest of several looks: the others are the scheduler's.
    looks = []
    for _ in range(50):
        before = time.monotonic_ns()
        now = clock.now_ns()
        looks.append((time.monotonic_ns() - before, now - before))
    width, offset = min(looks)
    assert -100_000 < offset < width + 100_000


def test_the_clock_never_goes_back() -> None:
    clock = Clock()
    last = 0
    for turn in range(20_000):
        if turn % 1000 == 0:
            clock.sync()
        now = clock.now_ns()
        assert now >= last
        last = now
