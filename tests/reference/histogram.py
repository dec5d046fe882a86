"""A histogram that keeps every value."""

from fractions import Fraction
from math import ceil

LIMIT_NS = 2**37
EXACT_NS = 128


class Histogram:
    """Percentiles by sorting."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def percentile(self, quantile_e6: int) -> int:
        """Return the smallest value that at least this part of all values do not exceed."""
        if not self.values:
            return 0
        rank = max(1, ceil(Fraction(quantile_e6 * len(self.values), 1_000_000)))
        return sorted(self.values)[rank - 1]

    @property
    def clamped(self) -> int:
        return sum(value >= LIMIT_NS for value in self.values)


def agrees(said: int, true: int, largest: int) -> bool:
    """Tell whether a percentile `said` may stand for the `true` one: exact, or within 1/128."""
    if true >= LIMIT_NS:
        return true <= said <= largest
    if true < EXACT_NS:
        return said == true
    return abs(said - true) * 128 <= true or said == largest >= LIMIT_NS
