"""
Markets as parts of one line, of values or of days, and the states their boundaries make.

A cut lies just below or just above a value, so that who owns the value itself is never lost:
"above 100" begins at (100, ABOVE), "at least 100" at (100, BELOW). Between two neighbouring cuts
of some parts every one of them is decided; these segments are therefore all states there are.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from polyarb.detection.relation import ONE_E6, State

BELOW: Final = 0
ABOVE: Final = 1
Cut = tuple[int, int]
START: Final[Cut] = (-(10**40), BELOW)
END: Final[Cut] = (10**40, ABOVE)


class Part(NamedTuple):
    """What lies between two cuts."""

    low: Cut
    high: Cut

    def holds(self, other: "Part") -> bool:
        """Say whether all of `other` lies in it."""
        return self.low <= other.low and other.high <= self.high


def segments(parts: Iterable[Part]) -> list[Part]:
    """Return what the cuts of `parts` divide the whole line into, in order."""
    cuts = {START, END}
    for part in parts:
        cuts.update(part)
    return [Part(low, high) for low, high in pairwise(sorted(cuts))]


def states(legs: Sequence[tuple[Part, bool]], show: Callable[[int], str]) -> tuple[State, ...]:
    """Return every state of legs, each the YES (True) or the NO of a part."""
    return tuple(
        State(
            name=name(segment, show),
            pays_e6=tuple(ONE_E6 if part.holds(segment) is yes else 0 for part, yes in legs),
        )
        for segment in segments(part for part, _ in legs)
    )


def name(part: Part, show: Callable[[int], str]) -> str:
    """Return a part in words; `show` writes a value."""
    (low, low_side), (high, high_side) = part
    begins = ends = ""
    if part.low != START:
        begins = f"{'from' if low_side == BELOW else 'above'} {show(low)}"
    if part.high != END:
        ends = f"{'below' if high_side == BELOW else 'up to'} {show(high)}"
    if low == high:
        return f"exactly {show(low)}"
    return ", ".join(filter(None, (begins, ends))) or "anything"
