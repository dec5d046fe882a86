"""
What crossing from Python into C costs: ``python -m pytest bench/bench_binding.py``.

Question: how many crossings does a path have to spare? Each figure is one call as a caller in
Python writes it, the wrapper's checks of its arguments included where it goes through one. A rise
of all of them together is cffi or the interpreter; of one, its wrapper.
"""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from polyarb._core import ffi, lib
from polyarb.core import keccak256
from polyarb.core.account import Account, BreakerLimits
from polyarb.core.arena import Arena
from polyarb.core.digest import HmacKey
from polyarb.core.trace import Histogram

pytest.importorskip("pytest_benchmark")


class Benchmark(Protocol):
    """The fixture of pytest-benchmark."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Measure `function`; return what it gave."""


def test_call_without_arguments(benchmark: Benchmark) -> None:
    """The bare crossing."""
    assert benchmark(lib.pa_level_active) in range(lib.PA_LEVEL_COUNT)


def test_call_with_a_pointer(benchmark: Benchmark) -> None:
    """Bytes become a pointer."""
    assert benchmark(lib.pa_is_position_id, b"\xff" * 32) == 0


def test_call_with_pointer_and_length(benchmark: Benchmark) -> None:
    """One order of zeros is out of range: the crossing and a few comparisons."""
    orders = ffi.new("pa_order[1]")
    assert benchmark(lib.pa_batch_bytes_max, orders, 1, 36) == 0


def test_call_with_four_arguments(benchmark: Benchmark) -> None:
    """Bytes, two integers and an out parameter; parses four characters."""
    out = ffi.new("int64_t *")
    assert benchmark(lib.pa_fixed_parse, b"0.55", 4, 4, out) == lib.PA_OK
    assert out[0] == 5500


def test_from_buffer(benchmark: Benchmark) -> None:
    """What a wrapper does with a buffer it is given."""
    data = bytearray(1536)
    assert len(benchmark(ffi.from_buffer, "uint8_t[]", data)) == len(data)


def test_keccak256_of_32_bytes(benchmark: Benchmark) -> None:
    """One permutation, and bytes back."""
    assert len(benchmark(keccak256, bytes(32))) == 32


def test_hmac_key_sign_1536_bytes(benchmark: Benchmark) -> None:
    """A header over a body of two orders."""
    key = HmacKey(b"k" * 32)
    assert len(benchmark(key.sign, b"1790000000POST/orders", bytes(1515))) == 44


def test_histogram_record(benchmark: Benchmark) -> None:
    """A stage measured from Python."""
    histogram = Histogram.private()
    benchmark(histogram.record, 1234)
    assert histogram.snapshot().max_ns == 1234


def test_breaker_can_execute(benchmark: Benchmark) -> None:
    """The gate, asked from Python."""
    with Arena.create(None) as arena:
        breaker = Account(arena).breaker
        breaker.configure(
            BreakerLimits(
                daily_loss_e6=1_000_000,
                open_positions=10,
                consecutive_errors=5,
                error_rate=None,
                cooldown_ms=30_000,
            ),
            1,
        )
        breaker.enable()
        assert benchmark(breaker.can_execute, 2) is True


def test_balance_reserve(benchmark: Benchmark) -> None:
    """A hold, taken from Python."""
    with Arena.create(None) as arena:
        balance = Account(arena).balance
        balance.restore(10**16, 0)
        benchmark(balance.reserve, 1)
        assert balance.snapshot().held_e6 > 0


def test_stamps_issue_of_two(benchmark: Benchmark) -> None:
    """Two stamps as Python objects."""
    with Arena.create(None) as arena:
        stamps = Account(arena).stamps
        stamps.begin(77)
        assert len(benchmark(stamps.issue, 2, 1_790_000_000_000)) == 2
