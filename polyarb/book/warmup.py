"""
The gate in front of trading: closed until enough books are ready.

It opens as soon as `min_ready_fraction` of the tokens have been ready once. When the time is up,
tokens that never were are the ones that failed; if too many did, the gate stays closed.
"""

import enum
import math
from collections.abc import Collection, Iterable


class GateState(enum.Enum):
    """How far warm-up is."""

    IDLE = "idle"
    WARMING = "warming"
    OPEN = "open"
    """Open, and others may still become ready until the time is up."""
    SETTLED = "settled"
    """Open, and the time is up."""
    FAILED = "failed"
    """Closed, and the time is up."""


class Gate:
    """
    One warm-up.

    Attributes:
        state: How far it is.
        waiting: Slots that have not been ready yet.
        warmed_ns: How long it took to open; None before.
    """

    __slots__ = ("_due_ns", "_needed", "_start_ns", "_total", "state", "waiting", "warmed_ns")

    def __init__(self) -> None:
        self.state = GateState.IDLE
        self.waiting: set[int] = set()
        self.warmed_ns: int | None = None
        self._start_ns = self._due_ns = self._total = self._needed = 0

    @property
    def is_open(self) -> bool:
        """Whether trading may begin."""
        return self.state in (GateState.OPEN, GateState.SETTLED)

    @property
    def due_ns(self) -> int | None:
        """When the time is up; None if it is not running."""
        return self._due_ns if self.state in (GateState.WARMING, GateState.OPEN) else None

    def start(
        self, slots: Collection[int], now_ns: int, *, timeout_ms: int, min_ready_fraction: float
    ) -> None:
        """Begin, for these slots. Without any it is open at once."""
        self.waiting = set(slots)
        self._total = len(self.waiting)
        self._needed = math.ceil(self._total * min_ready_fraction)
        self._start_ns, self._due_ns = now_ns, now_ns + timeout_ms * 1_000_000
        self.warmed_ns = None
        self.state = GateState.WARMING
        self.ready((), now_ns)

    def ready(self, slots: Iterable[int], now_ns: int) -> None:
        """Take note of slots that are ready."""
        self.waiting.difference_update(slots)
        enough = self._total - len(self.waiting) >= self._needed
        if self.state is GateState.WARMING and enough:
            self.state = GateState.OPEN
            self.warmed_ns = now_ns - self._start_ns

    def gone(self, slot: int) -> None:
        """Expect a slot no more; as if it had never been asked for."""
        if slot in self.waiting:
            self.waiting.discard(slot)
            self._total -= 1
            self._needed = min(self._needed, self._total)

    def tick(self, now_ns: int) -> set[int]:
        """Return the slots that failed, once, when the time is up."""
        if self.due_ns is None or now_ns < self._due_ns:
            return set()
        self.state = GateState.SETTLED if self.is_open else GateState.FAILED
        failed, self.waiting = self.waiting, set()
        return failed
