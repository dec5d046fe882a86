"""All relations of a catalogue."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from polyarb import errors
from polyarb.detection import (
    complement,
    crossed,
    ladder,
    negrisk_no,
    negrisk_yes,
    ranges,
)
from polyarb.detection.policy import Builder, Policy
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind, Relation
from polyarb.domain.market import Event

BUILDERS: Final[Mapping[Kind, Builder]] = MappingProxyType(
    {
        Kind.COMPLEMENT: complement.build,
        Kind.NEGRISK_YES: negrisk_yes.build,
        Kind.NEGRISK_NO: negrisk_no.build,
        Kind.LADDER: ladder.build,
        Kind.RANGE: ranges.build,
        Kind.CROSSED: crossed.build,
    }
)
"""In the order in which they count where two make the same; `custom` has a file of its own."""


@dataclass(frozen=True, slots=True)
class Built:
    """
    What a catalogue gives.

    Attributes:
        relations: By id, no two with the same legs.
        refused: What gave none, in the order it was met.
    """

    relations: dict[str, Relation] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    _legs: dict[frozenset[tuple[str, int]], str] = field(default_factory=dict, repr=False)

    def counts(self) -> dict[Kind, int]:
        """Return how many relations of each kind there are."""
        found = Counter(relation.kind for relation in self.relations.values())
        return {kind: found[kind] for kind in Kind if found[kind]}

    def reasons(self) -> dict[Why, int]:
        """Return how many refusals there are by reason."""
        found = Counter(refused.why for refused in self.refused)
        return {why: found[why] for why in Why if found[why]}

    def add(self, made: Iterable[Relation | Refused]) -> None:
        """Take what a builder made; of relations with the same legs the first is kept."""
        for each in made:
            if isinstance(each, Refused):
                self.refused.append(each)
                continue
            legs = frozenset((leg.token, leg.weight) for leg in each.legs)
            known = self._legs.setdefault(legs, each.id)
            if known == each.id and each.id not in self.relations:
                self.relations[each.id] = each
            else:
                self.refused.append(
                    Refused(kind=each.kind, event_id=each.event_id, why=Why.SAME_LEGS, said=known)
                )


def build(events: Iterable[Event], builders: Iterable[Kind] | None, policy: Policy) -> Built:
    """
    Return the relations of all `events`.

    Args:
        events: Of the catalogue.
        builders: Which kinds; None for all.
        policy: What they may take for granted.

    Raises:
        RangeError: A kind that has no builder.
    """
    wanted = list(BUILDERS) if builders is None else list(dict.fromkeys(builders))
    for kind in wanted:
        if kind not in BUILDERS:
            raise errors.RangeError(f"no builder {kind}; there are {', '.join(BUILDERS)}")
    events = list(events)
    built = Built()
    for kind in BUILDERS:
        if kind in wanted:
            built.add(BUILDERS[kind](events, policy))
    return built
