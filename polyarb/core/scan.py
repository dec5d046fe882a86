"""
Relations over all-in costs, and scans of all tops (csrc/scan).

`Relations` is the owner's: it enters relations and takes those that are violated out of the
arena's ring. They are evaluated by `polyarb.core.tick`; what changes a cost elsewhere (marks,
resets, fees, removed tokens) is told with `Relations.changed`, or found by `Relations.sweep`.

Times are CLOCK_MONOTONIC, money is x 10^6.
"""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena
from polyarb.core.base import INT64_MAX, UINT64_MAX, check, integer
from polyarb.core.book import SLOT_MAX

LEGS_MIN: Final[int] = lib.PA_RELATION_LEGS_MIN
LEGS_MAX: Final[int] = lib.PA_RELATION_LEGS_MAX
WEIGHT_MAX: Final[int] = lib.PA_RELATION_WEIGHT_MAX
"""Of all legs of a relation together."""

PAYOFF_MAX_E6: Final[int] = lib.PA_RELATION_PAYOFF_MAX


class End(enum.IntEnum):
    """Why a relation was no longer seen; see csrc/scan/scan.h."""

    NONE = lib.PA_END_NONE
    PRICE = lib.PA_END_PRICE
    NOT_LIVE = lib.PA_END_NOT_LIVE
    STALE = lib.PA_END_STALE
    REMOVED = lib.PA_END_REMOVED


ENDS: Final = tuple(End(index) for index in range(lib.PA_END_COUNT))
SCAN_COUNTERS: Final = tuple(
    ffi.string(lib.pa_scan_counter_name(index)).decode("ascii")
    for index in range(lib.PA_SCAN_COUNT)
)
"""Names of the scan's counters, in the core's order."""


class SightedLeg(NamedTuple):
    """
    A leg as it was at the relation's last sighting.

    Attributes:
        slot: Of its token.
        weight: Shares of a set.
        version: Low 32 bits of its book's update count.
        cost_e6: Of one share, fee included.
    """

    slot: int
    weight: int
    version: int
    cost_e6: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """
    A copy of a relation's record.

    Attributes:
        id: Of the relation.
        payoff_e6: What a set pays at least.
        min_edge_e6: What it must be worth beyond its cost to be seen.
        edge_e6: Of a set at the last sighting, fees included.
        best_edge_e6: The best since it opened.
        first_ns: When it opened last, 0 if it never did.
        last_ns: Of its last sighting.
        ended_ns: When it ended, 0 if it did not.
        evaluations: How often a changed cost of it was looked at.
        opened_count: How often it opened.
        open: Whether its last evaluation saw it.
        end: Why it ended last.
        legs: In the order they were given.
    """

    id: int
    payoff_e6: int
    min_edge_e6: int
    edge_e6: int
    best_edge_e6: int
    first_ns: int
    last_ns: int
    ended_ns: int
    evaluations: int
    opened_count: int
    open: bool
    end: End
    legs: tuple[SightedLeg, ...]


class Swept(NamedTuple):
    """
    What a sweep found.

    Attributes:
        relations: Evaluated.
        violated: Of them, on fresh books or not.
        sightings: Of them, on fresh books: in the ring now.
        untold: Tokens whose cost had changed and nobody told.
        wrong: Relations that the changes so far had left wrong. Always 0.
    """

    relations: int
    violated: int
    sightings: int
    untold: int
    wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanInfo:
    """
    Capacity and use.

    Attributes:
        relation_count: Relations now.
        relation_capacity: As laid out.
        leg_count: Legs of all of them.
        leg_capacity: As laid out.
        violated_count: Relations that are violated, on fresh books or not.
        waiting_count: Places of the ring that are taken.
        owed_count: Relations that found no room there, and will be offered again.
        ring_capacity: As laid out.
    """

    relation_count: int
    relation_capacity: int
    leg_count: int
    leg_capacity: int
    violated_count: int
    waiting_count: int
    owed_count: int
    ring_capacity: int


class Relations:
    """
    The relations of an arena. Owner only: one process, one thread.

    Made after `polyarb.core.book.Books`, which takes the books over. There are no relations then:
    those of an earlier process are gone, since what they rest on may have changed.

    Raises:
        ArenaAccessError: The arena is closed, read-only, or has no relations.
    """

    __slots__ = ("_arena", "_relation", "_swept")

    def __init__(self, arena: Arena) -> None:
        if not arena.writable:
            raise errors.ArenaAccessError("the relations' arena is closed or mapped read-only")
        if arena.info.config.relation_count == 0:
            raise errors.ArenaAccessError("arena.relation_count is 0: the arena has no relations")
        self._arena = arena.handle()
        self._relation = ffi.new("pa_relation *")
        self._swept = ffi.new("pa_swept *")
        check(lib.pa_scan_recover(self._arena), "relations")

    def add(
        self,
        legs: Sequence[tuple[int, int]],
        payoff_e6: int,
        now_ns: int,
        *,
        min_edge_e6: int = 0,
    ) -> int:
        """
        Enter a relation, evaluate it, and return its id.

        Args:
            legs: 2..256 slots, each once, with their weights, at least 1 and at most 512 in all.
            payoff_e6: What a set pays at least, 1..512000000.
            now_ns: Monotonic.
            min_edge_e6: It is seen when ``payoff - cost`` is more than this.

        Raises:
            ArgumentTypeError, RangeError: Wrong, with the value and what is allowed.
            CapacityError: ``arena.relation_count`` or ``arena.leg_count``.
        """
        given = _legs(legs)
        integer("payoff_e6", payoff_e6, 1, PAYOFF_MAX_E6)
        _edge(min_edge_e6)
        out = ffi.new("uint64_t *")
        status = lib.pa_scan_add(
            self._arena, given, len(legs), payoff_e6, min_edge_e6, _ns(now_ns), out
        )
        if status == lib.PA_E_CAPACITY:
            raise errors.CapacityError(self._full(len(legs)))
        if status == lib.PA_E_RANGE:
            raise errors.RangeError(f"a leg's slot is of no token: {[slot for slot, _ in legs]}")
        check(status, "relation")
        return int(out[0])

    def remove(self, relation: int, now_ns: int) -> Sighting:
        """Take a relation out, of the ring as well; return what it was. RangeError: not there."""
        status = lib.pa_scan_remove(self._arena, _id(relation), _ns(now_ns), self._relation)
        check(status, f"relation {relation}")
        return _sighting(self._relation)

    def set_min_edge(self, relation: int, min_edge_e6: int, now_ns: int) -> None:
        """Change when a relation is seen, and evaluate it. RangeError."""
        _edge(min_edge_e6)
        status = lib.pa_scan_set_min_edge(self._arena, _id(relation), min_edge_e6, _ns(now_ns))
        check(status, f"relation {relation}")

    def read(self, relation: int) -> Sighting:
        """Return a relation's record. RangeError: not there."""
        check(lib.pa_scan_read(self._arena, _id(relation), self._relation), f"relation {relation}")
        return _sighting(self._relation)

    def changed(self, slots: Iterable[int], now_ns: int) -> int:
        """Evaluate the relations of slots whose costs changed outside a frame; how many fired."""
        given = ffi.new("uint32_t[]", [_slot(slot) for slot in slots])
        return int(lib.pa_scan_changed(self._arena, given, len(given), _ns(now_ns)))

    def sweep(self, now_ns: int) -> Swept:
        """Evaluate every relation; what is violated and fresh goes into the ring (again)."""
        check(lib.pa_scan_sweep(self._arena, _ns(now_ns), self._swept), "sweep")
        s = self._swept
        return Swept(s.relations, s.violated, s.sightings, s.untold, s.wrong)

    def next(self) -> Sighting | None:
        """Take the next relation out of the ring: one that was seen, or that ended since."""
        return _sighting(self._relation) if lib.pa_scan_next(self._arena, self._relation) else None

    def drain(self) -> Iterator[Sighting]:
        """Take out of the ring what is in it."""
        while (sighting := self.next()) is not None:
            yield sighting

    def info(self) -> ScanInfo:
        """Return capacity and use."""
        out = ffi.new("pa_scan_info *")
        lib.pa_scan_read_info(self._arena, out)
        return ScanInfo(
            relation_count=out.relation_count,
            relation_capacity=out.relation_capacity,
            leg_count=out.leg_count,
            leg_capacity=out.leg_capacity,
            violated_count=out.violated_count,
            waiting_count=out.waiting_count,
            owed_count=out.owed_count,
            ring_capacity=out.ring_capacity,
        )

    def _full(self, more: int) -> str:
        info = self.info()
        if info.relation_capacity == 0:
            return "the books were taken over again: make Relations anew"
        if info.relation_count == info.relation_capacity:
            return f"arena.relation_count {info.relation_capacity}: no room for another"
        return f"arena.leg_count {info.leg_capacity}: {info.leg_count} used, no room for {more}"


def scan_counters(arena: Arena) -> dict[str, int]:
    """Return every counter of the scan by name (`SCAN_COUNTERS`); any process."""
    out = ffi.new("uint64_t[]", lib.PA_SCAN_COUNT)
    lib.pa_scan_counters(arena.handle(), out)
    return {name: int(out[index]) for index, name in enumerate(SCAN_COUNTERS)}


class TopScan:
    """
    Scans of all tops at once, whatever the books' states. Owner only.

    Args:
        arena: With books.
        count: Slots 0..count-1 are looked at.

    Raises:
        ArenaAccessError: The arena is closed or has no books.
        RangeError: `count` is more than the arena's.
    """

    __slots__ = ("_arena", "_bits", "_count", "_pairs", "_tops")

    def __init__(self, arena: Arena, count: int) -> None:
        tokens = arena.info.config.token_count
        if tokens == 0:
            raise errors.ArenaAccessError("arena.token_count is 0: the arena has no books")
        self._count = integer("count", count, 0, tokens)
        self._arena = arena.handle()
        self._tops = arena.section(lib.PA_SECTION_TOPS, "const uint64_t *")
        self._bits = ffi.new("uint64_t[]", (count + 63) // 64)
        self._pairs = ffi.new("uint32_t[]", count)
        self.pair()

    def pair(self) -> None:
        """Read again which slots are pairs: after tokens were entered, paired or removed."""
        check(lib.pa_scan_pairs(self._arena, self._pairs, self._count), "pairs")

    def crossed(self) -> list[int]:
        """Return the slots whose best bid is not below their best ask."""
        lib.pa_scan_crossed(self._tops, self._count, self._bits)
        return self._found()

    def unmirrored(self) -> list[int]:
        """Return the slots whose best prices are not their complement's, seen from there."""
        lib.pa_scan_mirror(self._tops, self._pairs, self._count, self._bits)
        return self._found()

    def _found(self) -> list[int]:
        return [
            64 * index + bit
            for index, word in enumerate(self._bits)
            if word
            for bit in range(64)
            if word >> bit & 1
        ]


def _sighting(r: Any) -> Sighting:
    legs = r.legs
    return Sighting(
        id=r.id,
        payoff_e6=r.payoff_e6,
        min_edge_e6=r.min_edge_e6,
        edge_e6=r.edge_e6,
        best_edge_e6=r.best_edge_e6,
        first_ns=r.first_ns,
        last_ns=r.last_ns,
        ended_ns=r.ended_ns,
        evaluations=r.evaluations,
        opened_count=r.opened_count,
        open=bool(r.open),
        end=ENDS[r.end],
        legs=tuple(
            SightedLeg(leg.slot, leg.weight, leg.version, leg.cost_e6)
            for leg in (legs[i] for i in range(r.leg_count))
        ),
    )


def _legs(legs: Sequence[tuple[int, int]]) -> Any:
    """Judge the legs of a relation and return them as the core takes them."""
    integer("legs of a relation", len(legs), LEGS_MIN, LEGS_MAX)
    seen: set[int] = set()
    for slot, weight in legs:
        _slot(slot)
        integer("weight", weight, 1, WEIGHT_MAX)
        if slot in seen:
            raise errors.RangeError(f"slot {slot} is twice in a relation; give it one weight")
        seen.add(slot)
    integer("sum of weights", sum(weight for _, weight in legs), 1, WEIGHT_MAX)
    return ffi.new("pa_scan_leg[]", [tuple(leg) for leg in legs])


def _edge(min_edge_e6: int) -> int:
    return integer("min_edge_e6", min_edge_e6, 0, PAYOFF_MAX_E6)


def _id(relation: int) -> int:
    return integer("relation", relation, 0, UINT64_MAX)


def _slot(slot: int) -> int:
    return integer("slot", slot, 0, SLOT_MAX)


def _ns(now_ns: int) -> int:
    return integer("now_ns", now_ns, 0, INT64_MAX)
