"""
Relations in the arena, and the opportunities that come out of its ring.

The core evaluates whatever a frame changed (`polyarb.core.scan`); this names what it found. It
takes no decision: what is worth a trade is `polyarb.risk`'s business.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from polyarb import errors
from polyarb.book.registry import Registry
from polyarb.core import scan
from polyarb.detection.relation import Relation
from polyarb.domain.opportunity import End, Opportunity, SeenLeg

ENDS = {
    scan.End.PRICE: End.PRICE,
    scan.End.NOT_LIVE: End.NOT_LIVE,
    scan.End.STALE: End.STALE,
    scan.End.REMOVED: End.REMOVED,
}


@dataclass(frozen=True, slots=True)
class Watched:
    """
    A relation in the arena.

    Attributes:
        number: The core's name for it.
        slots: Of its legs, in their order.
    """

    relation: Relation
    number: int
    slots: tuple[int, ...]


class Detector:
    """
    One for all relations of an arena. Owner only.

    Args:
        scanned: The arena's relations.
        registry: The tokens of the run.
        min_edge_e6: A set must yield more than this after fees to be seen.
    """

    __slots__ = ("_by_number", "_by_token", "_min_edge_e6", "_registry", "_scanned", "_watched")

    def __init__(
        self, scanned: scan.Relations, registry: Registry, *, min_edge_e6: int = 0
    ) -> None:
        self._scanned = scanned
        self._registry = registry
        self._min_edge_e6 = min_edge_e6
        self._watched: dict[str, Watched] = {}
        self._by_number: dict[int, Watched] = {}
        self._by_token: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def __contains__(self, relation_id: object) -> bool:
        return relation_id in self._watched

    def get(self, relation_id: str) -> Watched | None:
        """Return a relation that is watched."""
        return self._watched.get(relation_id)

    def watch(self, relation: Relation, now_ns: int) -> bool:
        """
        Enter a relation; False if a leg is not a token of this run. Again: no effect.

        Raises:
            CapacityError: ``arena.relation_count`` or ``arena.leg_count``.
        """
        if relation.id in self._watched:
            return True
        slots: list[int] = []
        for leg in relation.legs:
            slot = self._registry.slot(leg.token)
            if slot is None:
                return False
            slots.append(slot)
        weights = (leg.weight for leg in relation.legs)
        number = self._scanned.add(
            [*zip(slots, weights, strict=True)],
            relation.worth_e6,
            now_ns,
            min_edge_e6=self._min_edge_e6,
        )
        watched = Watched(relation, number, tuple(slots))
        self._watched[relation.id] = self._by_number[number] = watched
        for token in relation.tokens:
            self._by_token.setdefault(token, set()).add(relation.id)
        return True

    def forget(self, relation_id: str, now_ns: int) -> Opportunity | None:
        """Take a relation out; return the opportunity that ended with it, if it was open."""
        watched = self._watched.pop(relation_id, None)
        if watched is None:
            return None
        was_open = self._scanned.read(watched.number).open
        sighting = self._scanned.remove(watched.number, now_ns)
        del self._by_number[watched.number]
        for token in watched.relation.tokens:
            of_token = self._by_token[token]
            of_token.discard(relation_id)
            if not of_token:
                del self._by_token[token]
        return self._named(watched, sighting) if was_open else None

    def forget_tokens(self, tokens: Iterable[str], now_ns: int) -> list[Opportunity]:
        """Take out every relation with one of these tokens, before they leave the table."""
        ids = {each for token in tokens for each in self._by_token.get(token, ())}
        ended = (self.forget(each, now_ns) for each in sorted(ids))
        return [each for each in ended if each is not None]

    def drain(self) -> Iterator[Opportunity]:
        """Yield what was seen, or seen no more, since the last time; the latest of each."""
        for sighting in self._scanned.drain():
            yield self._named(self._by_number[sighting.id], sighting)

    def changed(self, tokens: Iterable[str], now_ns: int) -> None:
        """Let the scan look at tokens whose cost changed outside a frame."""
        slots = (self._registry.slot(token) for token in tokens)
        self._scanned.changed([slot for slot in slots if slot is not None], now_ns)

    def sweep(self, now_ns: int) -> scan.Swept:
        """
        Look at every relation.

        Raises:
            SelfTestError: What the frames' changes had left did not agree with the costs.
        """
        swept = self._scanned.sweep(now_ns)
        if swept.wrong:
            raise errors.SelfTestError(f"the sweep found {swept.wrong} relations wrong")
        return swept

    def _named(self, watched: Watched, sighting: scan.Sighting) -> Opportunity:
        return Opportunity(
            relation=watched.relation.id,
            edge_e6=sighting.edge_e6,
            best_edge_e6=sighting.best_edge_e6,
            first_ns=sighting.first_ns,
            last_ns=sighting.last_ns,
            legs=tuple(
                SeenLeg(
                    token=leg.token, weight=seen.weight, cost_e6=seen.cost_e6, version=seen.version
                )
                for leg, seen in zip(watched.relation.legs, sighting.legs, strict=True)
            ),
            ended_ns=sighting.ended_ns,
            end=None if sighting.open else ENDS.get(sighting.end),
        )
