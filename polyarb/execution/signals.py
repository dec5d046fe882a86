"""
What waits to be traded: at most one signal of a relation, the newest, and never two baskets of it.

Two relations may share tokens and cash; that is for the account and the risk limits to settle.
This keeps one relation from being traded again on books that its own orders are about to change.
"""

from collections import OrderedDict
from enum import StrEnum
from typing import Final, Generic, TypeVar

from polyarb.errors import RangeError

CAPACITY_MAX: Final = 1 << 16

Signal = TypeVar("Signal")


class Guard(StrEnum):
    """Why a signal is not taken up; the words of the skip reasons."""

    SUBMITTING = "submitting"  # a basket of this relation is on its way
    COOL_DOWN = "cool_down"  # the last one is not long enough ago


class Signals(Generic[Signal]):
    """
    A bounded queue of signals by relation: the oldest relation first, its latest signal.

    Full, it drops the relation that has waited longest: its prices are the oldest.

    Args:
        capacity: Relations that may wait, 1..65536.
        cooldown_ns: From the end of a basket to the next of the same relation, >= 0.

    Attributes:
        replaced: Signals that a newer one of their relation took the place of.
        dropped: Signals that were dropped because it was full.
    """

    __slots__ = (
        *("_cooldown_ns", "_ended_ns", "_submitting", "_waiting"),
        *("capacity", "dropped", "replaced"),
    )

    def __init__(self, capacity: int, cooldown_ns: int) -> None:
        if not 1 <= capacity <= CAPACITY_MAX:
            raise RangeError(f"capacity {capacity} is outside 1..{CAPACITY_MAX}")
        if cooldown_ns < 0:
            raise RangeError(f"cooldown_ns {cooldown_ns} is below 0")
        self.capacity = capacity
        self.replaced = self.dropped = 0
        self._cooldown_ns = cooldown_ns
        self._waiting: OrderedDict[str, Signal] = OrderedDict()
        self._submitting: set[str] = set()
        self._ended_ns: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def guarded(self, relation: str, now_ns: int) -> Guard | None:
        """Return why no basket of the relation may be started now; None if one may."""
        if relation in self._submitting:
            return Guard.SUBMITTING
        ended_ns = self._ended_ns.get(relation)
        if ended_ns is None:
            return None
        if now_ns - ended_ns < self._cooldown_ns:
            return Guard.COOL_DOWN
        del self._ended_ns[relation]
        return None

    def offer(self, relation: str, signal: Signal, now_ns: int) -> Guard | None:
        """Queue the signal, in the place of an older one; return why not if it is guarded."""
        guard = self.guarded(relation, now_ns)
        if guard is not None:
            return guard
        if relation in self._waiting:
            self.replaced += 1
        elif len(self._waiting) == self.capacity:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._waiting[relation] = signal
        return None

    def withdraw(self, relation: str) -> None:
        """Forget the relation's signal: it is no opportunity any more."""
        self._waiting.pop(relation, None)

    def take(self) -> tuple[str, Signal] | None:
        """Return the relation that has waited longest, guarded from now on until `ended`."""
        if not self._waiting:
            return None
        relation, signal = self._waiting.popitem(last=False)
        self._submitting.add(relation)
        return relation, signal

    def begin(self, relation: str) -> None:
        """Guard a relation whose basket did not come through the queue: sent at once, recovered."""
        self._submitting.add(relation)
        self._waiting.pop(relation, None)

    def ended(self, relation: str, now_ns: int) -> None:
        """Its basket is over: cool down."""
        if relation not in self._submitting:
            raise RangeError(f"relation {relation} has no basket on its way")
        self._submitting.remove(relation)
        if self._cooldown_ns:
            self._ended_ns[relation] = now_ns
