"""The lives of opportunities: how many there were, how good, how long, and why they ended."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from polyarb.core.trace import Histogram
from polyarb.domain.opportunity import End, Opportunity

KEPT: Final = 10_000
"""Ended lives that can be asked for one by one."""


@dataclass(slots=True, kw_only=True)
class Life:
    """
    One opportunity, from its first sight on.

    Attributes:
        number: Counts from 1 in a run.
        relation, kind: Of what.
        first_ns, last_ns, ended_ns: As `Opportunity`.
        sightings: How often it was told.
        best_edge_e6: Of a set at the best prices, after fees.
        best_sets_e6, best_profit_e6: Of the best basket that could be sized; 0 if none could.
        end: Why it ended, None while it is open.
        verdicts: What was decided each time, by name: a skip, or ``accepted``.
    """

    number: int
    relation: str
    kind: str
    first_ns: int
    last_ns: int
    ended_ns: int = 0
    sightings: int = 0
    best_edge_e6: int = 0
    best_sets_e6: int = 0
    best_profit_e6: int = 0
    end: End | None = None
    verdicts: Counter[str] = field(default_factory=Counter)

    def decided(self, verdict: str, sets_e6: int = 0, profit_e6: int = 0) -> None:
        """Note a decision, and the basket it was about."""
        self.verdicts[verdict] += 1
        if profit_e6 > self.best_profit_e6:
            self.best_profit_e6, self.best_sets_e6 = profit_e6, sets_e6


@dataclass(slots=True)
class _Kind:
    count: int = 0
    edge_e6_sum: int = 0
    profit_e6_sum: int = 0
    ends: Counter[End] = field(default_factory=Counter)
    life: Histogram = field(default_factory=Histogram.private)


class Lives:
    """
    Follows what a detector tells.

    Attributes:
        open: By relation.
        done: The last `KEPT` that ended, oldest first.
        count: How many there were.
    """

    __slots__ = ("_kinds", "count", "done", "open")

    def __init__(self) -> None:
        self.open: dict[str, Life] = {}
        self.done: deque[Life] = deque(maxlen=KEPT)
        self.count = 0
        self._kinds: dict[str, _Kind] = {}

    def saw(self, seen: Opportunity, kind: str) -> Life:
        """Take a sighting, or an end, and return the life it belongs to."""
        life = self.open.get(seen.relation)
        if life is not None and life.first_ns != seen.first_ns:
            # It ended and opened again between two looks: the end was overwritten by the opening.
            self._end(life, End.PRICE, seen.first_ns)
            life = None
        if life is None:
            self.count += 1
            life = self.open[seen.relation] = Life(
                number=self.count,
                relation=seen.relation,
                kind=kind,
                first_ns=seen.first_ns,
                last_ns=seen.last_ns,
            )
        life.sightings += 1
        life.last_ns = seen.last_ns
        life.best_edge_e6 = max(life.best_edge_e6, seen.best_edge_e6)
        if seen.end is not None:
            self._end(life, seen.end, seen.ended_ns)
        return life

    def _end(self, life: Life, end: End, ended_ns: int) -> None:
        del self.open[life.relation]
        life.end, life.ended_ns = end, ended_ns
        self.done.append(life)
        of_kind = self._kinds.setdefault(life.kind, _Kind())
        of_kind.count += 1
        of_kind.edge_e6_sum += life.best_edge_e6
        of_kind.profit_e6_sum += life.best_profit_e6
        of_kind.ends[end] += 1
        of_kind.life.record(max(0, ended_ns - life.first_ns))

    def survival(self) -> dict[str, Any]:
        """Return of each kind how many ended, why, how long they lasted, what they were worth."""
        return {kind: _told(found) for kind, found in sorted(self._kinds.items())}


def _told(found: _Kind) -> dict[str, Any]:
    life = found.life.snapshot()
    return {
        "count": found.count,
        "ends": {end.value: found.ends[end] for end in End if found.ends[end]},
        "life_ns": {
            "p50": life.p50_ns,
            "p90": life.p90_ns,
            "p99": life.p99_ns,
            "max": life.max_ns,
        },
        "mean_best_edge_e6": found.edge_e6_sum // found.count,
        "mean_best_profit_e6": found.profit_e6_sum // found.count,
    }
