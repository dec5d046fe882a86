"""
A token's bid at or above its own ask.

Selling at the bid is buying the other token at 1 - bid, since both share one book: in legs it is
`complement` seen from the other side, so it is built only where that is asked for.
"""

from collections.abc import Iterable, Iterator

from polyarb.detection import complement
from polyarb.detection.policy import Made, Policy, fit
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind
from polyarb.domain.market import Event


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield one for every market, if the policy wants any."""
    for event in events:
        if not policy.same_market:
            yield Refused(kind=Kind.CROSSED, event_id=event.id, why=Why.SAME_MARKET)
            continue
        markets, refused = fit(event, Kind.CROSSED, policy)
        yield from refused
        yield from (complement.pair(market, event, Kind.CROSSED) for market in markets)
