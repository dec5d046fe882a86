"""
One market implies another: above 110k implies above 100k, by June implies by December.

Where A implies B, YES of B and NO of A pay at least 1. All pairs of a ladder are built and not only
the neighbours, since an asking price is no sum: with steps 1, 2, 3 the pair (1, 3) may cost as
much less than 1 as the spread of step 2 is wide while (1, 2) and (2, 3) cost 1 or more each.
Above `STEPS_MAX` steps only those at most `REACH` apart are; the spreads of as many steps in
between leave nothing to find.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Final

from polyarb.detection import text
from polyarb.detection.line import Part, states
from polyarb.detection.policy import Made, Policy, fit, no, until_ms, yes
from polyarb.detection.question import AmbiguousError, Asked, day_text, deadline, number
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind, Realise, Relation
from polyarb.domain.market import Event, Market

STEPS_MAX: Final = 64
REACH: Final = 16
SLACK_MS: Final = 600_000
"""The markets of one page are made within minutes; what counts begins for all of them at once."""

Ask = Callable[[Market], Asked]


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield a relation for each pair of which one implies the other."""
    for event in events:
        if event.neg_risk_id or len(event.markets) < 2:
            continue
        markets, refused = fit(event, Kind.LADDER, policy)
        yield from refused
        yield from _read(event, markets)


def _read(event: Event, markets: list[Market]) -> Iterator[Made]:
    """Take every market for what it can be read as, a number or a deadline."""
    unread: dict[str, AmbiguousError] = {}
    taken: set[str] = set()
    for ask, show in ((number, text.number_text), (deadline, day_text)):
        asked: list[Asked] = []
        for market in markets:
            try:
                asked.append(ask(market))
            except AmbiguousError as error:
                if unread.get(market.condition_id, error).why in {Why.NO_SLOT, error.why}:
                    unread[market.condition_id] = error
        for made in ladders(event, asked, show):
            taken.update(each.market.condition_id for each in asked)
            yield made
    yield from _refusals(event, {c: e for c, e in unread.items() if c not in taken})


def _refusals(event: Event, unread: dict[str, AmbiguousError]) -> Iterator[Refused]:
    found: dict[Why, list[tuple[str, str]]] = defaultdict(list)
    for condition, error in unread.items():
        found[error.why].append((condition, error.said))
    for why, cases in found.items():
        yield Refused(
            kind=Kind.LADDER,
            event_id=event.id,
            why=why,
            conditions=tuple(condition for condition, _ in cases),
            said=cases[0][1],
        )


def ladders(event: Event, asked: list[Asked], show: Callable[[int], str]) -> Iterator[Made]:
    """Yield the pairs of each ladder among `asked`, and what kept others out of it."""
    same: dict[object, list[Asked]] = defaultdict(list)
    for each in asked:
        same[each.about].append(each)
    for group in same.values():
        if len(group) > 1:
            yield from _ladder(event, group, show)


def _ladder(event: Event, group: list[Asked], show: Callable[[int], str]) -> Iterator[Made]:
    group.sort(key=lambda each: (each.part, each.market.condition_id))
    reach = REACH if len(group) > STEPS_MAX else len(group)
    against: dict[Why, dict[str, None]] = defaultdict(dict)
    for (one, a), (other, b) in combinations(enumerate(group), 2):
        if other - one > reach:
            continue
        pair = _ordered(a, b)
        if pair is None:
            continue
        if why := doubt(*pair):
            against[why].update({each.market.condition_id: None for each in pair})
        else:
            yield implication(event, *pair, show)
    for why, conditions in against.items():
        yield Refused(
            kind=Kind.LADDER, event_id=event.id, why=why, conditions=tuple(conditions)
        )


def _ordered(a: Asked, b: Asked) -> tuple[Asked, Asked] | None:
    """Return what implies and what is implied; None where neither does, or each the other."""
    if a.part == b.part:
        return None
    if b.part.holds(a.part):
        return a, b
    return (b, a) if a.part.holds(b.part) else None


def doubt(inner: Asked, outer: Asked) -> Why | None:
    """Return why two questions that read alike may not be about the same thing."""
    if inner.unit != outer.unit:
        return Why.UNITS
    if inner.rules != outer.rules:
        return Why.RULES
    if inner.market.source != outer.market.source:
        return Why.SOURCE
    # Two half-lines that open the same way are in order whoever owns their boundaries, as long as
    # the same rules give them away; a range's ends are not.
    if inner.strict != outer.strict or (inner.strict is None and not _alike(inner.part, outer.part)):
        return Why.STRICTNESS
    if inner.begins < outer.begins or bool(inner.begins) != bool(outer.begins):
        return Why.WINDOW
    if inner.made_ms + SLACK_MS < outer.made_ms:
        return Why.WINDOW
    return _end_doubt(inner, outer)


def _alike(inner: Part, outer: Part) -> bool:
    return (inner.low == outer.low) != (inner.high == outer.high)


def _end_doubt(inner: Asked, outer: Asked) -> Why | None:
    """Deadlines end in their order, where somebody says when; numbers at the same time."""
    ends = inner.market.end_ms, outer.market.end_ms
    if inner.by_date:
        late = None not in ends and ends[0] > ends[1]  # type: ignore[operator]
        return Why.END_DATE if late else None
    return None if ends[0] == ends[1] else Why.END_DATE


def implication(
    event: Event, inner: Asked, outer: Asked, show: Callable[[int], str]
) -> Relation:
    """Return the relation of a market that implies another."""
    a, b = inner.market, outer.market
    return Relation(
        kind=Kind.LADDER,
        slug=event.slug,
        event_id=event.id,
        title=f"{a.question} implies {b.question}",
        legs=(yes(b), no(a)),
        states=states(((outer.part, True), (inner.part, False)), show),
        until_ms=until_ms((a, b)),
        realise=Realise.HOLD,
        note="same question and rules but for the "
        + ("date" if inner.by_date else "number")
        + (f"; source {a.source}" if a.source else ""),
    )
