"""The system's clocks: the only place that reads them, so that tests can pass time in."""

import time


def wall_ns() -> int:
    """Return the wall clock, Unix nanoseconds; it may jump."""
    return time.time_ns()


def wall_ms() -> int:
    """Return the wall clock, Unix milliseconds; what order timestamps are made of."""
    return time.time_ns() // 1_000_000


def monotonic_ns() -> int:
    """Return the monotonic clock in nanoseconds, the same for all processes of the host."""
    return time.monotonic_ns()
