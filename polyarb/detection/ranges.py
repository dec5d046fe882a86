"""
One market is several others together: "above 100" = "100 to 110" + "above 110".

The value lies in exactly one part of the parent if in the parent, else in none. So two relations
hold, NO of the parent with YES of all parts, which pays 1, and YES of the parent with NO of all k
parts, which pays k. They are known by three names: bought as it is the first is
POLYMARKET_TRIANGLE_BUY, and SELL_PARENT_BUY_CHILDREN where the parent is in hand and sold instead
of buying its NO; the second is BUY_PARENT_SELL_CHILDREN.

Only what is measured at one instant divides like that: a price may reach 105 and 115 in one month.
And the parts must meet exactly: with "above 110" and "110 up to 120" nobody has 110 itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from polyarb.detection import text
from polyarb.detection.ladder import apart, readings
from polyarb.detection.line import states
from polyarb.detection.policy import Made, Policy, fit, no, until_ms, yes
from polyarb.detection.question import AmbiguousError, Asked, number
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind, Leg, Realise, Relation, Strategy
from polyarb.domain.market import Event

PARTS_MAX: Final = 12
WAYS_MAX: Final = 64
"""In which a parent is divided, at most."""


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield both relations of each way in which a market is divided into others."""
    events = list(events)
    groups: list[list[Asked]] = []
    for event in events:
        if not event.neg_risk_id and len(event.markets) > 2:
            groups += _of_one_event(event, policy)
    for group in readings(events, policy):
        if len({each.market.event_id for each in group}) > 1:
            groups.append(group)
    for group in groups:
        yield from _divided(group)


def _of_one_event(event: Event, policy: Policy) -> list[list[Asked]]:
    """Return markets about the same value; why others are not is what `ladder` reports."""
    same: dict[object, list[Asked]] = defaultdict(list)
    for market in fit(event, Kind.RANGE, policy)[0]:
        try:
            asked = number(market)
        except AmbiguousError:
            continue
        same[asked.about, asked.rules, asked.unit, market.source, market.end_ms].append(asked)
    return [group for group in same.values() if len(group) > 2]


def _divided(group: list[Asked]) -> Iterator[Made]:
    """Take every market for a parent."""
    doubts: dict[Why, dict[str, None]] = defaultdict(dict)
    for parent in group:
        others = [each for each in group if each is not parent]
        for parts in _ways(parent, others):
            why = _doubt([parent, *parts])
            if why is None and not _meet(parent, parts):
                why = Why.STRICTNESS
            if why:
                names = [each.market.condition_id for each in (parent, *parts)]
                doubts[why].update(dict.fromkeys(names))
            else:
                yield from relations(parent, parts)
    for why, conditions in doubts.items():
        yield Refused(
            kind=Kind.RANGE,
            event_id=group[0].market.event_id,
            why=why,
            conditions=tuple(conditions),
        )


def _doubt(members: list[Asked]) -> Why | None:
    if not all(each.moment for each in members):
        return Why.PERIOD
    if any(each.strict is None for each in members):
        return Why.STRICTNESS
    first = members[0]
    for each in members[1:]:
        if each.market.event_id != first.market.event_id and (why := apart(first, each)):
            return why
    return None


def _ways(parent: Asked, others: list[Asked]) -> Iterator[list[Asked]]:
    """Yield chains of parts from the parent's low end to its high one, whoever owns the ends."""
    begin: dict[int, list[Asked]] = defaultdict(list)
    for each in others:
        begin[each.part.low[0]].append(each)
    goal = parent.part.high[0]
    open_: list[list[Asked]] = [[each] for each in begin[parent.part.low[0]]]
    found = 0
    while open_ and found < WAYS_MAX:
        chain = open_.pop()
        end = chain[-1].part.high[0]
        if end == goal:
            if len(chain) > 1:
                found += 1
                yield chain
        elif end < goal and len(chain) < PARTS_MAX:
            open_ += [[*chain, each] for each in begin[end] if each.part.high[0] > end]


def _meet(parent: Asked, parts: list[Asked]) -> bool:
    """Say whether each part begins in the very cut where the one before it ends."""
    at = parent.part.low
    for each in parts:
        if each.part.low != at:
            return False
        at = each.part.high
    return at == parent.part.high


def relations(parent: Asked, parts: list[Asked]) -> tuple[Relation, Relation]:
    """Return the relation that buys the parts and the one that buys the parent."""
    buy_parts = _relation(parent, parts, parent_yes=False)
    return buy_parts, _relation(parent, parts, parent_yes=True)


def _relation(parent: Asked, parts: list[Asked], *, parent_yes: bool) -> Relation:
    members = [parent, *parts]
    sides = [parent_yes, *(not parent_yes for _ in parts)]
    legs: list[Leg] = [
        yes(each.market) if side else no(each.market)
        for each, side in zip(members, sides, strict=True)
    ]
    names = ", ".join(each.market.question for each in parts)
    return Relation(
        kind=Kind.RANGE,
        slug=parent.market.slug,
        event_id=parent.market.event_id,
        title=f"{parent.market.question} is {names}",
        legs=tuple(legs),
        states=states(
            [(each.part, side) for each, side in zip(members, sides, strict=True)],
            text.number_text,
        ),
        until_ms=until_ms(each.market for each in members),
        realise=Realise.HOLD,
        strategies=(Strategy.BUY_PARENT_SELL_CHILDREN,)
        if parent_yes
        else (Strategy.TRIANGLE_BUY, Strategy.SELL_PARENT_BUY_CHILDREN),
        note="the parts meet without gap or overlap, boundaries included",
    )
