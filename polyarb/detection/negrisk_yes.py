"""
YES of every market of a neg-risk event: exactly one of them pays 1.

Only where the markets are all there are. The exchange guarantees at most one YES, by contract; at
least one is what the event's construction, its list of markets and its rules have to show.
"""

from collections.abc import Iterable, Iterator

from polyarb.detection.negrisk import doubt, refused, state_names
from polyarb.detection.policy import Made, Policy, prove, unfit, until_ms, yes
from polyarb.detection.refusal import Why
from polyarb.detection.relation import ONE_E6, Kind, Realise, Relation, State
from polyarb.domain.market import Event


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield one for every event that is complete."""
    for event in events:
        if event.neg_risk_id and event.markets:
            yield _of(event, policy)


def _of(event: Event, policy: Policy) -> Made:
    kind = Kind.NEGRISK_YES
    if why := next(filter(None, (unfit(market, policy) for market in event.markets)), None):
        return refused(kind, event, why)
    if against := doubt(event, policy):
        return refused(kind, event, *against)
    if len(event.markets) < 2:
        return refused(kind, event, Why.SINGLE)
    return prove(lambda: _relation(event), refused(kind, event, Why.TOO_MANY))


def _relation(event: Event) -> Relation:
    count = len(event.markets)
    names = state_names(event)
    return Relation(
        kind=Kind.NEGRISK_YES,
        slug=event.slug,
        event_id=event.id,
        title=f"{event.title}: one of {count}",
        legs=tuple(yes(market) for market in event.markets),
        states=tuple(
            State(name, tuple(ONE_E6 if leg == own else 0 for leg in range(count)))
            for own, name in enumerate(names)
        ),
        until_ms=until_ms(event.markets),
        realise=Realise.HOLD,
        note=f"group {event.neg_risk_id}: {count} markets open, "
        f"{len(event.left_out)} resolved NO, exactly one pays",
    )
