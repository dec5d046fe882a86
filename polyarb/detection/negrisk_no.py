"""
NO of k markets of a neg-risk event: at most one of them pays nothing, so the set pays k - 1.

That holds for any markets of the group, whether or not they are all there are: the adapter refuses
a second YES (protocol.md 24.1). All that can be bought are taken, since no smaller set has a
greater edge: each NO adds 1 - ask - fee, which is never below 0. The adapter converts the set into
k - 1 of collateral at once, less the event's fee, and into YES of the markets not in it, which only
adds to it.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from polyarb.detection.negrisk import brackets, doubt, refused, state_names
from polyarb.detection.policy import Made, Policy, fit, no, prove, until_ms
from polyarb.detection.refusal import Why
from polyarb.detection.relation import ONE_E6, Kind, Realise, Relation, State
from polyarb.domain.market import Event, Market
from polyarb.domain.money import CashE6

BIPS: Final = 10_000


def build(events: Iterable[Event], policy: Policy) -> Iterator[Made]:
    """Yield one for every event with two markets or more that can be bought."""
    for event in events:
        if event.neg_risk_id and event.markets:
            yield from _of(event, policy)


def _of(event: Event, policy: Policy) -> Iterator[Made]:
    kind = Kind.NEGRISK_NO
    if event.augmented:
        yield refused(kind, event, Why.AUGMENTED)
        return
    markets, bad = fit(event, kind, policy)
    yield from bad
    if len(markets) < 2:
        if not bad:
            yield refused(kind, event, Why.SINGLE)
        return
    if brackets(event) in {Why.OVERLAP, Why.TITLE}:
        # The exchange would let one of them win, its rules two: no telling how it ends.
        yield refused(kind, event, Why.OVERLAP)
        return
    complete = len(markets) == len(event.markets) and doubt(event, policy) is None
    yield prove(
        lambda: _relation(event, markets, complete=complete),
        refused(kind, event, Why.TOO_MANY),
    )


def _relation(event: Event, markets: list[Market], *, complete: bool) -> Relation:
    count = len(markets)
    names = dict(zip(event.markets, state_names(event), strict=True))
    states = [
        State(names[market], tuple(0 if leg == own else ONE_E6 for leg in range(count)))
        for own, market in enumerate(markets)
    ]
    if not complete:
        states.append(State("none of these", (ONE_E6,) * count))
    converted_e6 = (count - 1) * ONE_E6 * (BIPS - event.fee_bips) // BIPS
    return Relation(
        kind=Kind.NEGRISK_NO,
        slug=event.slug,
        event_id=event.id,
        title=f"{event.title}: at most one of {count}",
        legs=tuple(no(market) for market in markets),
        states=tuple(states),
        until_ms=until_ms(markets),
        realise=Realise.HOLD if event.fee_bips else Realise.CONVERT,
        convert_e6=CashE6(converted_e6),
        note=f"group {event.neg_risk_id}: at most one YES; a conversion keeps "
        f"{event.fee_bips} of {BIPS:,}",
    )
