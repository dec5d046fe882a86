"""What both neg-risk builders ask of an event."""

import re
from typing import Final

from polyarb.detection import bracket, text
from polyarb.detection.policy import Policy
from polyarb.detection.question import compares
from polyarb.detection.refusal import Refused, Why
from polyarb.detection.relation import Kind
from polyarb.domain.market import Event

_COUNTED: Final = re.compile(r"\bhow many\b|\bnumber of\b|#|\bnumber\b", re.I)
_OTHER: Final = re.compile(r"\b(?:other|another|someone else|anyone else|field|none)\b", re.I)


def brackets(event: Event) -> Why | bool:
    """Return what `bracket.check` says of the markets' titles."""
    for market in event.markets:
        own = bracket.read(market.group_title)
        if own and own.low == own.high and compares(market.question, own.low or 0):
            return Why.TITLE
    return bracket.check(
        [market.group_title for market in event.markets],
        counted=bool(_COUNTED.search(event.title)),
        # What was closed as NO lay at an end: a count that has passed it.
        ends=not (event.whole and event.left_out),
    )


def doubt(event: Event, policy: Policy) -> tuple[Why, str] | None:
    """Return why an event's YES may not pay 1 together, and what shows it."""
    if event.augmented:
        return Why.AUGMENTED, ""
    for left in event.left_out:
        if left.yes_pays_e4 != 0:
            return Why.LEFT_OUT, left.reason
    indices = [market.question_index for market in event.markets]
    indices += [left.question_index for left in event.left_out if left.question_index is not None]
    if sorted(indices) != list(range(len(event.markets) + len(event.left_out))):
        return Why.GAP, str(sorted(indices))
    if any(market.other for market in event.markets):
        return Why.OTHER, ""
    return _text_doubt(event, policy) or _set_doubt(event)


def _set_doubt(event: Event) -> tuple[Why, str] | None:
    """Say what is missing among the markets, as far as it shows."""
    titles = ", ".join(market.group_title for market in event.markets)
    found = brackets(event)
    if isinstance(found, Why):
        return found, titles
    return None if found or event.whole else (Why.NOT_WHOLE, titles)


def _text_doubt(event: Event, policy: Policy) -> tuple[Why, str] | None:
    other = any(_OTHER.search(market.group_title) for market in event.markets)
    for market in event.markets:
        if not market.rules:
            return Why.NO_RULES, market.question
        if text.mentions_split(market.rules):
            return Why.SPLIT, market.question
        if text.mentions_other(market.rules) and not other:
            return Why.OTHER, market.question
        if text.mentions_all_no(market.rules) and not policy.all_no:
            return Why.ALL_NO, market.question
    return None


def state_names(event: Event) -> list[str]:
    """Return a name for the state in which each market resolves YES, all different."""
    names: dict[str, None] = {}
    for market in event.markets:
        title = market.group_title or market.question
        names[title if title not in names else f"{title} [{market.question_index}]"] = None
    return list(names)


def refused(kind: Kind, event: Event, why: Why, said: str = "") -> Refused:
    """Return the refusal of a whole event."""
    return Refused(
        kind=kind,
        event_id=event.id,
        why=why,
        conditions=tuple(market.condition_id for market in event.markets),
        said=said,
    )
