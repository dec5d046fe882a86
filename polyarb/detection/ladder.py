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
from contextlib import suppress
from itertools import combinations
from typing import Final

from polyarb.detection import text
from polyarb.detection.line import Part, states
from polyarb.detection.policy import Made, Policy, fit, no, unfit, until_ms, yes
from polyarb.detection.question import AmbiguousError, Asked, day_text, deadline, number
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind, Realise, Relation
from polyarb.domain.market import Event, Market

STEPS_MAX: Final = 64
REACH: Final = 16
SLACK_MS: Final = 600_000
"""The markets of one page are made within minutes; what counts begins for all of them at once."""


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield a relation for each pair of which one implies the other."""
    events = list(events)
    for event in events:
        if event.neg_risk_id or len(event.markets) < 2:
            continue
        markets, refused = fit(event, Kind.LADDER, policy)
        yield from refused
        yield from _read(event, markets)
    for group in readings(events, policy):
        by_event = group[0].market.event_id
        if any(each.market.event_id != by_event for each in group):
            yield from _ladder(group, text.number_text, across=True)


def readings(events: Iterable[Event], policy: Policy) -> Iterator[list[Asked]]:
    """Yield the numbers of all events that are about the same reading."""
    same: dict[object, list[Asked]] = defaultdict(list)
    for event in events:
        for market in event.markets:
            if unfit(market, policy) or not any("inance" in part for part in market.rules):
                continue
            with suppress(AmbiguousError):
                asked = number(market)
                if asked.reading and asked.moment:
                    same[asked.reading, asked.about, market.end_ms].append(asked)
    yield from (group for group in same.values() if len(group) > 1)


def _read(event: Event, markets: list[Market]) -> Iterator[Made]:
    """Take every market for what it can be read as, a number or a deadline."""
    against: dict[str, tuple[Why, str]] = {}
    read: set[str] = set()
    used: set[str] = set()
    for ask, show in ((number, text.number_text), (deadline, day_text)):
        asked: list[Asked] = []
        for market in markets:
            try:
                asked.append(ask(market))
            except AmbiguousError as error:
                if error.why is Why.NO_SLOT:
                    continue
                if market.condition_id not in against:
                    against[market.condition_id] = error.why, error.said
        for group in _alike(asked):
            used.update(each.market.condition_id for each in group)
            yield from _ladder(group, show)
        read.update(each.market.condition_id for each in asked)
    for market in markets:
        why, _ = against.get(market.condition_id, (Why.DATE, ""))
        if market.condition_id in read and why is Why.DATE:
            against[market.condition_id] = Why.NO_NEIGHBOUR, market.question
        against.setdefault(market.condition_id, (Why.NO_SLOT, market.question))
    yield from _refusals(event, {c: why for c, why in against.items() if c not in used})


def _refusals(event: Event, against: dict[str, tuple[Why, str]]) -> Iterator[Refused]:
    found: dict[Why, list[tuple[str, str]]] = defaultdict(list)
    for condition, (why, said) in against.items():
        found[why].append((condition, said))
    for why, cases in found.items():
        yield Refused(
            kind=Kind.LADDER,
            event_id=event.id,
            why=why,
            conditions=tuple(condition for condition, _ in cases),
            said=cases[0][1],
        )


def _alike(asked: list[Asked]) -> Iterator[list[Asked]]:
    """Yield those whose questions are the same but for the number or date."""
    same: dict[object, list[Asked]] = defaultdict(list)
    for each in asked:
        same[each.about].append(each)
    yield from (group for group in same.values() if len(group) > 1)


def _ladder(
    group: list[Asked], show: Callable[[int], str], *, across: bool = False
) -> Iterator[Made]:
    """Yield the pairs of a ladder; with `across`, those of different events only."""
    group.sort(key=lambda each: (each.part, each.market.condition_id))
    reach = REACH if len(group) > STEPS_MAX else len(group)
    against: dict[Why, dict[str, None]] = defaultdict(dict)
    for (one, a), (other, b) in combinations(enumerate(group), 2):
        if other - one > reach or (across and a.market.event_id == b.market.event_id):
            continue
        pair = _ordered(a, b)
        if pair is None:
            continue
        if why := doubt(*pair):
            against[why].update({each.market.condition_id: None for each in pair})
        else:
            yield implication(*pair, show)
    for why, conditions in against.items():
        yield Refused(
            kind=Kind.LADDER,
            event_id=group[0].market.event_id,
            why=why,
            conditions=tuple(conditions),
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
    if inner.market.event_id != outer.market.event_id:
        return apart(inner, outer)
    if inner.rules != outer.rules:
        return Why.RULES
    if inner.market.source != outer.market.source:
        return Why.SOURCE
    # Two half-lines that open the same way are in order whoever owns their boundaries, as long as
    # the same rules give them away; a range's ends are not.
    if inner.strict is None and not _open_alike(inner.part, outer.part):
        return Why.STRICTNESS
    if inner.begins < outer.begins or bool(inner.begins) != bool(outer.begins):
        return Why.WINDOW
    if inner.made_ms + SLACK_MS < outer.made_ms:
        return Why.WINDOW
    return _end_doubt(inner, outer)


def apart(one: Asked, other: Asked) -> Why | None:
    """Return why questions of two events may not be about the same value of the same moment."""
    if not one.reading or one.reading != other.reading or not (one.moment and other.moment):
        return Why.SOURCE
    if one.strict is None or other.strict is None:
        return Why.STRICTNESS
    return None if one.market.end_ms == other.market.end_ms is not None else Why.END_DATE


def _open_alike(inner: Part, outer: Part) -> bool:
    return (inner.low == outer.low) != (inner.high == outer.high)


def _end_doubt(inner: Asked, outer: Asked) -> Why | None:
    """Deadlines end in their order, where somebody says when; numbers at the same time."""
    ends = inner.market.end_ms, outer.market.end_ms
    if inner.by_date:
        late = None not in ends and ends[0] > ends[1]  # type: ignore[operator]
        return Why.END_DATE if late else None
    return None if ends[0] == ends[1] else Why.END_DATE


def implication(inner: Asked, outer: Asked, show: Callable[[int], str]) -> Relation:
    """Return the relation of a market that implies another."""
    a, b = inner.market, outer.market
    return Relation(
        kind=Kind.LADDER,
        slug=b.slug,
        event_id=b.event_id,
        title=f"{a.question} implies {b.question}",
        legs=(yes(b), no(a)),
        states=states(((outer.part, True), (inner.part, False)), show),
        until_ms=until_ms((a, b)),
        realise=Realise.HOLD,
        note=_because(inner, outer),
    )


def _because(inner: Asked, outer: Asked) -> str:
    if inner.market.event_id != outer.market.event_id:
        return f"both are about {inner.reading} on the same day"
    said = "date" if inner.by_date else "number"
    source = f"; source {inner.market.source}" if inner.market.source else ""
    return f"same question and rules but for the {said}{source}"
