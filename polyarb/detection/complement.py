"""YES and NO of one market: one of them pays 1, or each half; merged they pay 1 at once."""

from collections.abc import Iterable, Iterator

from polyarb.detection.policy import Made, Policy, fit, no, yes
from polyarb.detection.relation import ONE_E6, Kind, Realise, Relation, State
from polyarb.domain.market import Event, Market


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield one for every market."""
    for event in events:
        markets, refused = fit(event, Kind.COMPLEMENT, policy)
        yield from refused
        yield from (pair(market, event, Kind.COMPLEMENT) for market in markets)


def pair(market: Market, event: Event, kind: Kind) -> Relation:
    """Return both tokens of a market as a relation."""
    one, other = market.outcomes
    states = [State(one, (ONE_E6, 0)), State(other if other != one else "the other", (0, ONE_E6))]
    if not market.neg_risk:
        states.append(State("50/50", (ONE_E6 // 2, ONE_E6 // 2)))
    return Relation(
        kind=kind,
        slug=market.slug or market.condition_id,
        event_id=event.id,
        title=market.question,
        legs=(yes(market), no(market)),
        states=tuple(states),
        until_ms=market.end_ms,
        realise=Realise.MERGE,
        note="one condition: a share of each is merged into 1",
    )
