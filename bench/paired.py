"""
Two sides in one run: rounds, medians, ratios, and the table that shows them.

A side does the operations of inputs ``first..last-1`` and returns how many nanoseconds that took,
by its own clock, so that nothing but the operation lies between the two readings. Within a round
the sides take turns every few inputs, so that a slower machine is slower for both, and a round's
figure is the median of its turns, so that the turns in which the scheduler ran somebody else do
not count. Hence it says what the operation costs while it runs, and nothing about its tail.
"""

import gc
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

Side = Callable[[int, int], int]

INPUTS: Final = 128
"""Distinct inputs that are rotated: one alone would train the branch predictor."""

ROUND_NS: Final = 15_000_000
"""The shorter side of a round lasts at least this long, unless the longer one is at its bound."""

ROUND_MAX_NS: Final = 400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """
    What a row is held to (performance.md section 2).

    Attributes:
        must: The bound that is asked for.
        stretch: Where the field's best would end; None where nobody said.
        at_least: The value should not be below the bound, instead of not above.
    """

    must: float
    stretch: float | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """Return "stretch", "must" or "missed"."""
        if self.stretch is not None and self._meets(value, self.stretch):
            return "stretch"
        return "must" if self._meets(value, self.must) else "missed"

    def texts(self, unit: str) -> tuple[str, str]:
        """Return both bounds as the table shows them."""
        sign = "≥" if self.at_least else "≤"
        shown = (
            None if bound is None else f"{bound:g}{unit}" if bound < 10_000 else duration(bound)
            for bound in (self.must, self.stretch)
        )
        return tuple(f"{sign} {text}" if text else "" for text in shown)  # type: ignore[return-value]

    def _meets(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: What was measured, with the row of performance.md in front where there is one.
        ours: Median nanoseconds of our side; None if the row was not measured.
        against: Median nanoseconds of the other side; None if there is none.
        ratios: One per round: ours / against, or against / ours if more is better. Empty where
            the goal is about nanoseconds.
        goal: What the ratio, or without ratios `ours`, is held to.
        note: What the line needs beside it; alone if nothing was measured.
    """

    name: str
    ours: float | None = None
    against: float | None = None
    ratios: tuple[float, ...] = ()
    goal: Goal | None = None
    note: str = ""

    @property
    def value(self) -> float | None:
        """What the goal is about: the median ratio, or nanoseconds."""
        return statistics.median(self.ratios) if self.ratios else self.ours

    def cells(self) -> tuple[str, ...]:
        """Return row, ours, against, ratio, must, stretch, verdict and note."""
        if self.ours is None:
            return (self.name, "", "", "", "", "", "", self.note)
        must, stretch = self.goal.texts("×" if self.ratios else " ns") if self.goal else ("", "")
        assert self.value is not None
        return (
            self.name,
            duration(self.ours),
            "" if self.against is None else duration(self.against),
            ratio_text(self.ratios),
            must,
            stretch,
            self.goal.verdict(self.value) if self.goal else "",
            self.note,
        )


HEADINGS: Final = (
    *("row", "ours", "against", "ratio (min–max)", "must", "stretch", "verdict", "note"),
)


def paired(
    name: str,
    ours: Side,
    against: Side,
    *,
    rounds: int,
    operations: int = 1,
    turn: int = 16,
    goal: Goal | None = None,
    faster: bool = False,
    note: str = "",
) -> Row:
    """
    Measure `ours` against `against` and return the row.

    Args:
        name: Of the row.
        ours: Our side.
        against: The other side, over the same inputs.
        rounds: How many; 0 runs every input once through both and gives no figure (smoke).
        operations: How many of what is reported one input holds, such as orders in a batch.
        turn: Inputs between two changes of side; a divisor of INPUTS.
        goal: What the ratio is held to.
        faster: Give the ratio as against / ours; follows from `goal` if there is one.
        note: Beside the row.
    """
    if rounds == 0:
        ours(0, INPUTS)
        against(0, INPUTS)
        return Row(name=name, note="ran")
    passes = pass_count(*(sum(turns) for turns in _pass(ours, against, turn, flip=False)))
    samples = [
        _round(ours, against, turn, passes, flip=index % 2 == 1) for index in range(-1, rounds)
    ]
    return summarize(name, samples[1:], turn * operations, goal=goal, faster=faster, note=note)


def summarize(
    name: str,
    samples: Sequence[tuple[float, float]],
    operations: int,
    *,
    goal: Goal | None = None,
    faster: bool = False,
    note: str = "",
) -> Row:
    """Return the row of one ``(ours, against)`` pair of nanoseconds per round."""
    faster = goal.at_least if goal else faster
    return Row(
        name=name,
        ours=statistics.median(ours for ours, _ in samples) / operations,
        against=statistics.median(against for _, against in samples) / operations,
        ratios=tuple(against / ours if faster else ours / against for ours, against in samples),
        goal=goal,
        note=note,
    )


def pass_count(ours_ns: int, against_ns: int) -> int:
    """Return how often a round goes through the inputs, from what one pass took."""
    wanted = -(-ROUND_NS // max(1, min(ours_ns, against_ns)))
    most = ROUND_MAX_NS // max(1, ours_ns + against_ns)
    return max(1, min(wanted, most))


def duration(ns: float) -> str:
    """Return nanoseconds as text of three digits or a little more."""
    if ns < 100:
        return f"{ns:.2f} ns"
    if ns < 10_000:
        return f"{ns:.0f} ns"
    for unit, size in (("µs", 1e3), ("ms", 1e6)):
        if ns < 10_000 * size:
            return f"{ns / size:.1f} {unit}"
    return f"{ns / 1e9:.1f} s"


def ratio_text(ratios: Sequence[float]) -> str:
    """Return the median ratio with the extremes, or nothing without ratios."""
    if not ratios:
        return ""
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    digits = 1 if middle >= 10 else 2 if middle >= 1.5 else 3
    return f"{middle:.{digits}f}× ({low:.{digits}f}–{high:.{digits}f})"


def table(rows: Iterable[Row], *, markdown: bool) -> str:
    """Return `rows` as aligned text, or as a Markdown table."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    if markdown:
        body = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([body[0], "|---" * len(HEADINGS) + "|", *body[1:]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def select(suites: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """
    Return the suites whose name is in `wanted`, all of them if it is empty.

    Raises:
        ValueError: A name that is none; the message lists those there are.
    """
    for name in wanted:
        if name not in suites:
            raise ValueError(f"row {name!r} is none of {', '.join(suites)}")
    return [name for name in suites if not wanted or name in wanted]


def _pass(ours: Side, against: Side, turn: int, *, flip: bool) -> tuple[list[int], list[int]]:
    """Go through the inputs once, taking turns; `flip` lets the other side begin."""
    times: tuple[list[int], list[int]] = [], []
    order = ((1, against), (0, ours)) if flip else ((0, ours), (1, against))
    for first in range(0, INPUTS, turn):
        for index, side in order:
            times[index].append(side(first, first + turn))
    return times


def _round(ours: Side, against: Side, turn: int, passes: int, *, flip: bool) -> tuple[float, float]:
    """Return the median turn of either side."""
    gc.collect()
    gc.disable()
    try:
        done = [_pass(ours, against, turn, flip=flip) for _ in range(passes)]
    finally:
        gc.enable()
    return (
        statistics.median(ns for ours_ns, _ in done for ns in ours_ns),
        statistics.median(ns for _, against_ns in done for ns in against_ns),
    )
