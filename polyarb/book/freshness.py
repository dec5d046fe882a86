"""
What a reader gets: a book that is fresh enough, or the reason why there is none.

Ages are on the monotonic clock, from when the last update of the token was received.
"""

import enum
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Final

from polyarb.core.book import State, Top

MS: Final = 1_000_000


class Staleness(enum.IntEnum):
    """How old a book may be, in milliseconds, by the kind of market."""

    LATENCY_ARB_TIGHT = 100
    LATENCY_ARB = 500
    FAST15M = 1_500
    LONG = 5_000


class Reason(enum.Enum):
    """Why there is no book."""

    NOT_SUBSCRIBED = "not_subscribed"
    """Not a token of this run."""
    NOT_READY = "not_ready"
    """Connection lost, a check failed, the tick changed: see the miss's `state`."""
    STALE = "stale"
    """Older than asked for, from before a restart, or of a connection that is silent too long."""
    NEVER_SEEN = "never_seen"
    """No snapshot yet."""
    CROSSED = "crossed"
    """Its best bid is not below its best ask."""
    DISABLED = "disabled"
    """Not to be used in this run, or resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """
    No book.

    Attributes:
        reason: Why.
        state: The book's state; NONE if there is none.
        age_ns: Of the last update; None if there was none.
        detail: Why a token is disabled, or "".
    """

    reason: Reason
    state: State = State.NONE
    age_ns: int | None = None
    detail: str = ""


OF_STATE: Final = {
    State.NONE: Reason.NOT_SUBSCRIBED,
    State.TOP_MISMATCH: Reason.NOT_READY,
    State.MIRROR_MISMATCH: Reason.NOT_READY,
    State.CROSSED: Reason.CROSSED,
    State.GAP: Reason.NOT_READY,
    State.STALE: Reason.STALE,
    State.WARMING: Reason.NOT_READY,
    State.TICK_CHANGE: Reason.NOT_READY,
    State.FROZEN: Reason.STALE,
    State.RESOLVED: Reason.DISABLED,
}


def judge(top: Top, max_age_ms: int, now_ns: int) -> Miss | int:
    """Return the age in nanoseconds of a book that may be used, or why it may not."""
    age_ns = max(0, now_ns - top.recv_ns) if top.recv_ns else None
    if top.state is not State.LIVE:
        never = top.state is State.WARMING and top.updates == 0
        reason = Reason.NEVER_SEEN if never else OF_STATE[top.state]
        return Miss(reason=reason, state=top.state, age_ns=age_ns)
    if age_ns is None or age_ns > max_age_ms * MS:
        return Miss(reason=Reason.STALE, state=top.state, age_ns=age_ns)
    return age_ns


AGE_BOUNDS_MS: Final = (10, 50, 100, 250, 500, 1_000, 5_000)
AGE_NAMES: Final = (
    "0-10",
    "10-50",
    "50-100",
    "100-250",
    "250-500",
    "500-1000",
    "1000-5000",
    "over 5000",
)
_BOUNDS_NS: Final = tuple(bound * MS for bound in AGE_BOUNDS_MS)


class Served:
    """
    Count of reads: how old what was served was, and why others got nothing.

    Attributes:
        hits: Reads that got a book.
        misses: Reads that did not, by reason.
    """

    __slots__ = ("_age_ns_sum", "_ages", "hits", "misses")

    def __init__(self) -> None:
        self.hits = 0
        self.misses: Counter[Reason] = Counter()
        self._age_ns_sum = 0
        self._ages = [0] * len(AGE_NAMES)

    def hit(self, age_ns: int) -> None:
        """Count a book of that age; a bound belongs to the class below it."""
        self.hits += 1
        self._age_ns_sum += age_ns
        self._ages[bisect_left(_BOUNDS_NS, age_ns)] += 1

    def miss(self, miss: Miss) -> Miss:
        """Count a miss and return it."""
        self.misses[miss.reason] += 1
        return miss

    @property
    def hit_rate(self) -> float:
        """Share of reads that got a book; 0 without any."""
        reads = self.hits + self.misses.total()
        return self.hits / reads if reads else 0.0

    @property
    def mean_age_ns(self) -> int:
        """Mean age of what was served, rounded down; 0 without any."""
        return self._age_ns_sum // self.hits if self.hits else 0

    def ages(self) -> dict[str, int]:
        """Return the age histogram: milliseconds from-to, each with how many hits."""
        return dict(zip(AGE_NAMES, self._ages, strict=True))
