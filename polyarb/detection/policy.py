"""What builders may take for granted, and what they all refuse."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from polyarb import errors
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind, Leg, Relation
from polyarb.domain.market import Event, Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What the operator allows.

    Attributes:
        seconds_delay: Markets that answer marketable orders seconds later.
        same_market: Relations of kind ``crossed``.
        all_no: Neg-risk events whose rules name a case in which every market resolves NO, as when
            a match is canceled; all YES pay nothing then.
    """

    seconds_delay: bool = False
    same_market: bool = False
    all_no: bool = False


Made = Relation | Refused
Builder = Callable[[Iterable[Event], Policy], Iterator[Made]]


def unfit(market: Market, policy: Policy) -> Why | None:
    """Return why a market may be in no relation at all."""
    if market.seconds_delay and not policy.seconds_delay:
        return Why.SECONDS_DELAY
    return Why.RESOLVING if market.uma_status else None


def fit(event: Event, kind: Kind, policy: Policy) -> tuple[list[Market], list[Refused]]:
    """Return an event's markets that may be in a relation, and the others by their reasons."""
    good: list[Market] = []
    bad: dict[Why, list[str]] = {}
    for market in event.markets:
        why = unfit(market, policy)
        if why is None:
            good.append(market)
        else:
            bad.setdefault(why, []).append(market.condition_id)
    return good, [
        Refused(kind=kind, event_id=event.id, why=why, conditions=tuple(conditions))
        for why, conditions in bad.items()
    ]


def yes(market: Market) -> Leg:
    """Return the leg that pays if a market resolves to its first outcome."""
    return Leg(market.tokens[0], market.outcomes[0])


def no(market: Market) -> Leg:
    """Return the leg that pays if it resolves to its second."""
    return Leg(market.tokens[1], market.outcomes[1])


def until_ms(markets: Iterable[Market]) -> int | None:
    """Return when the last of them should be decided; None if one does not say."""
    ends = [market.end_ms for market in markets]
    known = [end for end in ends if end is not None]
    return max(known, default=None) if len(known) == len(ends) else None


def prove(make: Callable[[], Relation], refused: Refused) -> Made:
    """Return the relation, or `refused` with what it is not a relation for."""
    try:
        return make()
    except errors.CapacityError as error:
        why = Why.TOO_MANY
        said = str(error)
    except errors.InputError as error:
        why = refused.why
        said = str(error)
    return Refused(
        kind=refused.kind,
        event_id=refused.event_id,
        why=why,
        conditions=refused.conditions,
        said=said,
    )
