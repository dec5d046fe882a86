"""The core's histogram against one that keeps every value."""

from hypothesis import given, settings
from hypothesis import strategies as st
from reference.histogram import Histogram as Slow
from reference.histogram import agrees

from polyarb.core.trace import LIMIT_NS, Histogram

hundreds = settings(max_examples=200, deadline=None)

EDGES = [0, 1, 127, 128, 129, LIMIT_NS - 1, LIMIT_NS, LIMIT_NS + 1, 2**64 - 1]
VALUES = st.one_of(
    st.integers(0, 300),
    st.sampled_from(EDGES),
    # Even over the octaves, as an integer strategy alone is not.
    st.integers(0, 40).flatmap(lambda bit: st.integers(2**bit, 2 ** (bit + 1))),
)
QUANTILES = st.integers(0, 1_000_000) | st.sampled_from([0, 500_000, 990_000, 1_000_000])


def compare(histogram: Histogram, twin: Slow, quantiles: list[int]) -> None:
    largest = max(twin.values, default=0)
    for quantile in quantiles:
        said, true = histogram.percentile(quantile), twin.percentile(quantile)
        assert agrees(said, true, largest), (quantile, said, true)
    latency = histogram.snapshot()
    assert latency.count == len(twin.values)
    assert latency.clamped == twin.clamped
    assert latency.sum_ns == min(sum(twin.values), 2**64 - 1)
    assert (latency.min_ns, latency.max_ns) == (min(twin.values, default=0), largest)
    assert latency.p50_ns == histogram.percentile(500_000)
    assert latency.p90_ns == histogram.percentile(900_000)
    assert latency.p99_ns == histogram.percentile(990_000)
    assert latency.p999_ns == histogram.percentile(999_000)


@hundreds
@given(st.lists(VALUES, max_size=50), st.lists(QUANTILES, max_size=8))
def test_percentiles_are_within_a_128th_of_sorting(values: list[int], quantiles: list[int]) -> None:
    histogram, twin = Histogram.private(), Slow()
    for value in values:
        histogram.record(value)
        twin.values.append(value)
    compare(histogram, twin, quantiles)


@hundreds
@given(
    st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=30), st.lists(QUANTILES, max_size=4)
)
def test_a_merge_is_both_recorded(left: list[int], right: list[int], quantiles: list[int]) -> None:
    into, other, twin = Histogram.private(), Histogram.private(), Slow()
    for value in left:
        into.record(value)
    for value in right:
        other.record(value)
    before = other.snapshot()
    into.merge(other)
    twin.values = left + right
    compare(into, twin, quantiles)
    assert other.snapshot() == before
    into.reset()
    compare(into, Slow(), quantiles)


@hundreds
@given(VALUES, st.integers(0, 40))
def test_record_n_is_record_that_often(value: int, count: int) -> None:
    histogram, twin = Histogram.private(), Slow()
    histogram.record_n(value, count)
    twin.values = [value] * count
    compare(histogram, twin, [0, 1, 500_000, 1_000_000])
