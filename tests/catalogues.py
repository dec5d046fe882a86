"""Events and markets as the catalogue keeps them, with texts of the form that the venue writes."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from polyarb.detection.policy import Policy
from polyarb.detection.refusal import Refused
from polyarb.detection.relation import Relation
from polyarb.domain.market import FREE, Event, LeftOut, Market, Refusal
from polyarb.domain.money import CashE6, PriceE4, SizeE6, Tick

GROUP = "0x" + "ab" * 31 + "00"
END_MS = 1_775_000_000_000
START_MS = 1_770_000_000_000
YES_IF = 'This market will resolve to "Yes" if {what}. Otherwise, this market will resolve to "No".'
SOURCE = "The resolution source is the exchange's own figure."
POLICY = Policy()

_numbers = itertools.count(1)


def market(question: str, *rules: str, **changes: Any) -> Market:
    """Return a market; its tokens are those of no other."""
    number = next(_numbers)
    members: dict[str, Any] = {
        "id": str(number),
        "condition_id": f"0x{number:064x}",
        "question_id": f"0x{0xCD00 + number:064x}",
        "question": question,
        "slug": f"market-{number}",
        "tokens": (str(10**20 + 2 * number), str(10**20 + 2 * number + 1)),
        "outcomes": ("Yes", "No"),
        "event_id": "77",
        "group_title": "",
        "group_threshold": "",
        "tick": Tick.of("0.01"),
        "min_size_e6": SizeE6(5_000_000),
        "fees": FREE,
        "neg_risk": False,
        "neg_risk_id": "",
        "question_index": 0,
        "other": False,
        "v3": False,
        "seconds_delay": 0,
        "taker_delay": None,
        "clear_on_start": False,
        "start_ms": START_MS,
        "end_ms": END_MS,
        "game_start_ms": None,
        "volume_e6": CashE6(0),
        "liquidity_e6": CashE6(0),
        "uma_status": "",
        "rules": rules,
    }
    return Market(**members | changes)


def event(markets: Iterable[Market], **changes: Any) -> Event:
    """Return an event of these markets."""
    members: dict[str, Any] = {
        "id": "77",
        "slug": "an-event",
        "title": "An event",
        "tags": (),
        "neg_risk_id": "",
        "augmented": False,
        "fee_bips": 0,
        "start_ms": START_MS,
        "end_ms": END_MS,
        "markets": tuple(markets),
    }
    return Event(**members | changes)


def negrisk(*titles: str, rules: str = "It resolves to one of them.", **changes: Any) -> Event:
    """Return a neg-risk event of markets with these titles, whole unless `changes` say else."""
    markets = [
        market(
            f"Will it be {title}?",
            rules,
            group_title=title,
            neg_risk=True,
            neg_risk_id=GROUP,
            question_index=index,
        )
        for index, title in enumerate(titles)
    ]
    return event(markets, **{"neg_risk_id": GROUP, "whole": True} | changes)


def closed(index: int, pays_e4: int | None) -> LeftOut:
    """Return a neg-risk market that can no longer be bought."""
    return LeftOut(
        condition_id=f"0x{0xEE00 + index:064x}",
        question_index=index,
        reason=Refusal.CLOSED,
        yes_pays_e4=None if pays_e4 is None else PriceE4(pays_e4),
    )


def above(*levels: int, word: str = "above", what: str = "is higher than") -> list[Market]:
    """Return markets on whether a price is above each level at noon of one day."""
    rule = YES_IF.format(what=f'the final "Close" price {what} the price specified in the title')
    return [
        market(
            f"Will the price of Bitcoin be {word} ${level:,} on March 12?",
            rule,
            SOURCE,
            group_title=f"{level:,}",
        )
        for level in levels
    ]


def by(*dates: str, what: str = "a treaty is signed by {date}, 11:59 PM ET") -> list[Market]:
    """Return markets on whether something happens by each date."""
    return [
        market(f"Treaty by {date}?", YES_IF.format(what=what.format(date=date)), SOURCE)
        for date in dates
    ]


def relations(made: Iterable[Relation | Refused]) -> list[Relation]:
    """Return what was built."""
    return [each for each in made if isinstance(each, Relation)]


def whys(made: Iterable[Relation | Refused]) -> list[str]:
    """Return why what was not built was not."""
    return [each.why.value for each in made if isinstance(each, Refused)]


def named(relation: Relation, events: Iterable[Event]) -> set[tuple[str, str]]:
    """Return a relation's legs as (question, outcome)."""
    return set(_named(relation, [market for each in events for market in each.markets]))


def _named(relation: Relation, markets: list[Market]) -> Iterator[tuple[str, str]]:
    for leg in relation.legs:
        for each in markets:
            if leg.token in each.tokens:
                yield each.question, leg.outcome
