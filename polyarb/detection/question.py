"""
What a market asks, as a part of a line: of values, above or below a threshold, or of days.

It goes with what must be equal for two markets to ask that of the same thing.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from polyarb.detection import text
from polyarb.detection.line import ABOVE, BELOW, END, START, Part
from polyarb.detection.refusal import Why
from polyarb.detection.text import Slot, SlotKind, Text
from polyarb.domain.market import Market


class AmbiguousError(Exception):
    """A market that may not be compared with others."""

    def __init__(self, why: Why, said: str = "") -> None:
        super().__init__(f"{why}: {said}")
        self.why = why
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One market's question.

    Attributes:
        part: Of the line of values, or of days.
        about: What else the question says; equal for all that ask the same.
        rules: What else the rules say; likewise.
        by_date: The line is of days.
        unit: Of the thresholds.
        strict: Who owns the boundary: not the part (True), the part (False), or nobody says.
        moment: The value is taken at one instant, so that it lies in one of disjoint parts.
        reading: Which figure of which source decides, where the rules say that in a known form:
            markets of different events with the same reading are about the same value.
        begins: When what counts begins: the day a window in the rules opens, as an ordinal; 0 if
            the rules name none.
        made_ms: When the market was made, where what counts begins then; else 0.
    """

    market: Market
    part: Part
    about: tuple[str, tuple[Slot, ...]]
    rules: tuple[tuple[str, tuple[Slot, ...]], ...]
    by_date: bool = False
    unit: str = ""
    strict: bool | None = None
    moment: bool = False
    reading: str = ""
    begins: int = 0
    made_ms: int = 0


# -- numbers


def _spaced(words: str) -> str:
    """Return a pattern whose spaces count where others do not."""
    return words.replace(" ", r"\ ")


_UP: Final = (
    "above|over|more than|greater than|higher than|at least|at or above"
    "|greater than or equal to|exceeds?"
)
_DOWN: Final = (
    "below|under|less than|fewer than|lower than|at most|at or below|less than or equal to"
)
_NUMBER: Final = re.compile(
    rf"""
      \bbetween\ <n>\ (?:and|&|-|to)\ (?P<between><n>)
    | \b(?P<touch>reach(?:es)?|hits?|dips?\ to|drops?\ to|falls?\ to)
      (?:\ \((?P<side>high|low)\))?\ (?P<touched><n>)(?:\ \((?P<after>high|low)\))?
    | \b(?:(?P<up>{_spaced(_UP)})|(?P<down>{_spaced(_DOWN)}))\ (?P<bound><n>)
    | (?P<alone><n>)
      (?:(?P<more>\+|\ or\ (?:more|higher|above))|(?P<less>\ or\ (?:less|lower|below)))
    """,
    re.VERBOSE,
)
_RULES_UP: Final = re.compile(
    r"\b(?:(?P<incl>(?:equal to or|at or) (?:above|over|higher|greater|more)\b|at least\b"
    r"|(?:greater|higher|more) than or equal\b|or (?:higher|more|above|greater)\b)"
    r"|above|over(?= <n>)|(?:higher|greater|more) than|exceed(?:s|ed|ing)?|reach(?:es|ed)?)"
)
_RULES_DOWN: Final = re.compile(
    r"\b(?:(?P<incl>(?:equal to or|at or) (?:below|under|lower|less|fewer)\b|at most\b"
    r"|(?:less|lower|fewer) than or equal\b|or (?:lower|less|below|fewer)\b)"
    r"|below|under(?= <n>)|(?:lower|less|fewer) than|dips?|falls?|drops?)"
)
_NEGATED: Final = re.compile(
    r"(?:\b(?:no|not|never|fail\w*|without|unable|avoid\w*|neither|nor)\b|n't\b)[^,.;()]{0,30}"
    r"\b(?:above|over|below|under|more|less|higher|lower|greater|fewer|at least|at most|exceed"
    r"|reach|dip|fall|drop|hit)"
)
_BOUNDARY_UP: Final = re.compile(
    r"\bexactly (?:on|at|between)\b[^.]*\b(?:higher|upper|greater)(?: range| bracket)+"
)
_INSTANT: Final = re.compile(
    r"\bclos(?:e|es|ing)\b|\bsettle(?:s|ment)?\b|\bfinal trading day\b|\bat (?:noon|<n>:)"
)
_PERIOD: Final = re.compile(
    r"\b(?:any|ever|at some|high|low|highest|lowest|during|(?:before|by|between) <[dmy]>"
    r"|reach|hit|dip|touch|drop|fall|rise)(?!\w)"
)


def number(market: Market) -> Asked:
    """
    Return the number a market asks for.

    Raises:
        AmbiguousError: It asks for none, or not clearly.
    """
    _check(market)
    asked = text.read(market.question)
    found = list(_NUMBER.finditer(asked.frame))
    if not found:
        raise AmbiguousError(Why.NO_SLOT)
    if len(found) > 1:
        raise AmbiguousError(Why.SEVERAL_SLOTS, market.question)
    (match,) = found
    first = asked.at(match.start())
    count = 2 if match["between"] else 1
    own = asked.slots[first : first + count]
    if len({slot.unit for slot in own}) > 1:
        raise AmbiguousError(Why.UNITS, market.question)
    rules = tuple(map(text.read, market.rules))
    up = _direction(match, rules)
    _check_number_title(market, own, up)
    part, strict = _part(match, own, up, rules)
    rest = asked.slots[:first] + asked.slots[first + count :]
    kept = f"{match['touch']} <x>" if match["touch"] else "<x>"
    frame = asked.frame[: match.start()] + kept + asked.frame[match.end() :]
    if not market.rules:
        raise AmbiguousError(Why.NO_RULES)
    return Asked(
        market=market,
        part=part,
        about=(_trimmed(frame), rest),
        rules=tuple(_without_numbers(each, own) for each in rules),
        unit=own[0].unit,
        strict=strict,
        moment=_at_a_moment(frame, rules),
        reading=_reading(rules),
        made_ms=_made_ms(market),
    )


def compares(question: str, value: Decimal | int) -> bool:
    """Say whether a question asks for more or less than a number, not for the number."""
    asked = text.read(question)
    return any(
        asked.slots[asked.at(match.start())].value == value * text.SCALE
        for match in _NUMBER.finditer(asked.frame)
        if not match["between"]
    )


def _direction(match: re.Match[str], rules: tuple[Text, ...]) -> bool | None:
    """Return True for up, False for down, None for between."""
    sentences = text.yes_sentences(rules)
    if any(_NEGATED.search(each) for each in (match.string, *sentences)):
        raise AmbiguousError(Why.DIRECTION, "a negation")
    said_up = any(_RULES_UP.search(each) for each in sentences)
    said_down = any(_RULES_DOWN.search(each) for each in sentences)
    if match["between"]:
        if sentences:
            raise AmbiguousError(Why.DIRECTION, "a range with rules of its own")
        return None
    up = _said(match)
    if match["touch"] and up is None and said_up != said_down:
        up = said_up
    if up is None or (match["touch"] and not (said_up or said_down)):
        raise AmbiguousError(Why.DIRECTION, match[0])
    if said_up and said_down:
        raise AmbiguousError(Why.DIRECTION, "the rules say both above and below")
    if (said_down if up else said_up) or (sentences and not (said_up or said_down)):
        raise AmbiguousError(Why.DIRECTION, "the rules do not say it as the question does")
    return up


def _said(match: re.Match[str]) -> bool | None:
    """Return the direction that a question's own words give; None where it is only "hit"."""
    if match["bound"]:
        return match["up"] is not None
    if match["alone"]:
        return match["more"] is not None
    word, side = match["touch"], match["side"] or match["after"]
    up = True if word.startswith("reach") else None if word.startswith("hit") else False
    if side and up is not None and up != (side == "high"):
        raise AmbiguousError(Why.DIRECTION, match[0])
    return side == "high" if side else up


def _part(
    match: re.Match[str], own: tuple[Slot, ...], up: bool | None, rules: tuple[Text, ...]
) -> tuple[Part, bool | None]:
    """Return the part of the line, and whether its boundary is outside of it."""
    strict = _strict(match, up, rules)
    if up is None:
        low, high = (slot.value for slot in own)
        if low >= high:
            raise AmbiguousError(Why.NO_SLOT, match[0])
        return Part((low, BELOW), (high, BELOW)), strict
    (slot,) = own
    if up:
        return Part((slot.value, ABOVE if strict else BELOW), END), strict
    return Part(START, (slot.value, BELOW if strict else ABOVE)), strict


def _strict(match: re.Match[str], up: bool | None, rules: tuple[Text, ...]) -> bool | None:
    """
    Return whether a value on the boundary is outside; None where nobody says.

    A range, and what is above one, begin at their boundary if the rules give it to the higher.
    """
    sentences = text.yes_sentences(rules)
    if not sentences:
        if not any(_BOUNDARY_UP.search(each.frame) for each in rules):
            return None
        return up is False
    words = _RULES_UP if up else _RULES_DOWN
    found = {bool(each["incl"]) for line in sentences for each in words.finditer(line)}
    if any(word in line for line in sentences for word in ("reach", "dip", "fall", "drop")):
        return None if found != {True} else False
    return not found.pop() if len(found) == 1 else None


def _without_numbers(rules: Text, own: tuple[Slot, ...]) -> tuple[str, tuple[Slot, ...]]:
    """Return a paragraph in which the thresholds are no longer told from each other."""
    values = {slot.value for slot in own}
    slots = tuple(
        Slot(SlotKind.NUMBER, 0, "own")
        if slot.kind is SlotKind.NUMBER and slot.value in values
        else slot
        for slot in rules.slots
    )
    return rules.frame, slots


_TITLE_UP: Final = re.compile(r"↑|>|≥|\+|\babove\b|\bover\b|or (?:more|higher)")
_TITLE_DOWN: Final = re.compile(r"↓|<(?![nmdy]>)|≤|\bbelow\b|\bunder\b|or (?:less|lower)")


def _check_number_title(market: Market, own: tuple[Slot, ...], up: bool | None) -> None:
    title = text.read(market.group_title)
    values = [slot.value for slot in title.slots if slot.kind is SlotKind.NUMBER]
    years = [slot.value * text.SCALE for slot in title.slots if slot.kind is SlotKind.YEAR]
    wanted = [slot.value for slot in own]
    if (values or years) and wanted not in (values, years):
        raise AmbiguousError(Why.TITLE, f"{market.group_title!r} for {market.question!r}")
    bare = text.MARK.sub("", title.frame)
    if (up is not True and _TITLE_UP.search(bare)) or (
        up is not False and _TITLE_DOWN.search(bare)
    ):
        raise AmbiguousError(Why.TITLE, f"{market.group_title!r} for {market.question!r}")


def _at_a_moment(frame: str, rules: tuple[Text, ...]) -> bool:
    """Say whether a question is about one instant, by its own words and by all of the rules'."""
    texts = [frame, *(each.frame for each in rules)]
    return any(_INSTANT.search(each) for each in texts) and not any(
        _PERIOD.search(each) for each in texts
    )


_CANDLE: Final = re.compile(
    r"\bbinance <n> minute candle for (?P<pair>[a-z]+/[a-z]+) <n>:<n> in the et timezone "
    r"\(noon\) on the date specified in the title\b"
)


def _reading(rules: tuple[Text, ...]) -> str:
    """Return the one candle of which the close decides, "" where there is none, or another word."""
    found: set[str] = set()
    for each in rules:
        for match in _CANDLE.finditer(each.frame):
            first = each.at(match.start())
            length, hour, minute = (
                text.number_text(slot.value) for slot in each.slots[first : first + 3]
            )
            clock = f"{hour}:{minute.zfill(2)}"
            found.add(f"Binance's {match['pair']} {length}-minute close at {clock} ET")
    closes = any('final "close" price' in each.frame for each in rules)
    return found.pop() if closes and len(found) == 1 else ""


# -- dates

_BY: Final = re.compile(r"\b(?:by|before) (?P<date><[dy]>)")
_BY_RULES: Final = re.compile(
    r"(?:\b(?:by|before|through|until|prior to|no later than)(?: the end of)?"
    r"|\bbetween (?P<from>[^.;]{0,60}?),? and)\s[\"']?$"
)
_SAID_ELSEWHERE: Final = re.compile(
    r"\b(?:listed|specified|stated|given)\b[^.]{0,20}\b(?:date|title|question)\b"
    r"|\bdate (?:listed|specified|given|stated|in the)\b|\bthe date in\b"
)
_OPENS: Final = re.compile(r"\bbetween (?P<date><d>)[^.;]{0,60}? and (?P<own><o>)")


def deadline(market: Market) -> Asked:
    """
    Return the date by which a market asks for something to happen.

    Raises:
        AmbiguousError: It asks for none, or not clearly.
    """
    _check(market)
    asked = text.read(market.question)
    found = list(_BY.finditer(asked.frame))
    if not found:
        dated = any(slot.kind is not SlotKind.NUMBER for slot in asked.slots)
        raise AmbiguousError(Why.DATE if dated else Why.NO_SLOT, market.question)
    if len(found) > 1:
        raise AmbiguousError(Why.SEVERAL_SLOTS, market.question)
    (match,) = found
    if not market.rules:
        raise AmbiguousError(Why.NO_RULES)
    index = asked.at(match.start("date"))
    slot = asked.slots[index]
    rules = tuple(map(text.read, market.rules))
    # "fewer than 10 by June" is no "fewer than 10 by December"; a number reached by then is.
    counted = any(not each["touch"] for each in _NUMBER.finditer(asked.frame))
    if counted or text.lasts(market.question, rules):
        raise AmbiguousError(Why.DATE, "it may be asked at the date instead of by it")
    day = _day(market, slot, rules)
    _check_date_title(market, day, before=match[0].startswith("before"))
    paragraphs = tuple(_without_date(each, day) for each in rules)
    if not any("<o>" in frame for frame, _, _ in paragraphs) and not any(
        _SAID_ELSEWHERE.search(frame) for frame, _, _ in paragraphs
    ):
        raise AmbiguousError(Why.DATE, "the rules do not name the date")
    opens = [begins for _, _, begins in paragraphs if begins]
    if len(opens) > 1:
        raise AmbiguousError(Why.WINDOW, "two windows")
    frame = f"{asked.frame[: match.start('date')]}<x>{asked.frame[match.end('date') :]}"
    return Asked(
        market=market,
        part=Part(START, (day.toordinal(), ABOVE)),
        about=(_trimmed(frame), asked.slots[:index] + asked.slots[index + 1 :]),
        rules=tuple((frame, slots) for frame, slots, _ in paragraphs),
        by_date=True,
        strict=False,
        begins=opens[0] if opens else 0,
        made_ms=_made_ms(market),
    )


def _day(market: Market, slot: Slot, rules: tuple[Text, ...]) -> date:
    """Return the day meant, with the year that the question, its title or its rules say."""
    if slot.kind is SlotKind.YEAR:
        return date(slot.value, 1, 1)
    title = text.read(market.group_title)
    same = [
        each
        for part in (title, *rules)
        for each in part.slots
        if each.kind is SlotKind.DATE and each.value == slot.value and each.year
    ]
    years = {each.year for each in same} | ({slot.year} if slot.year else set())
    if not years:
        raise AmbiguousError(Why.NO_YEAR, market.question)
    if len(years) > 1:
        raise AmbiguousError(Why.TITLE, f"the years {sorted(years)} for {market.question!r}")
    try:
        return date(years.pop(), slot.value // 100, slot.value % 100)
    except ValueError:
        raise AmbiguousError(Why.DATE, market.question) from None


def _check_date_title(market: Market, day: date, *, before: bool) -> None:
    for slot in text.read(market.group_title).slots:
        wrong = (
            slot.kind is SlotKind.DATE
            and (slot.value != day.month * 100 + day.day or slot.year not in {0, day.year})
        ) or (
            slot.kind is SlotKind.YEAR
            and slot.value != day.year + (0 if before else (day.month, day.day) == (12, 31))
        )
        if wrong or slot.kind is SlotKind.MONTH:
            raise AmbiguousError(Why.TITLE, f"{market.group_title!r} for {market.question!r}")


def _without_date(rules: Text, day: date) -> tuple[str, tuple[Slot, ...], int]:
    """Return a paragraph without its own date and without the day its window opens."""
    frame: list[str] = []
    slots: list[Slot] = []
    end = 0
    for mark, slot in zip(text.MARK.finditer(rules.frame), rules.slots, strict=False):
        own = (
            slot.kind is SlotKind.DATE
            and slot.value == day.month * 100 + day.day
            and slot.year in {0, day.year}
        ) or (slot.kind is SlotKind.YEAR and (slot.value, 1, 1) == (day.year, day.month, day.day))
        before = rules.frame[: mark.start()]
        if own and not _BY_RULES.search(before):
            raise AmbiguousError(Why.DATE, f"the rules say {before[-30:]!r} before the date")
        frame += (rules.frame[end : mark.start()], "<o>" if own else mark[0])
        if not own:
            slots.append(slot)
        end = mark.end()
    frame.append(rules.frame[end:])
    whole = "".join(frame)
    opens = _OPENS.search(whole)
    if opens is None:
        return whole, tuple(slots), 0
    index = len(text.MARK.findall(whole, 0, opens.start("date")))
    slot = slots.pop(index)
    if not slot.year:
        raise AmbiguousError(Why.WINDOW, "the window's first day has no year")
    try:
        begins = date(slot.year, slot.value // 100, slot.value % 100).toordinal()
    except ValueError:
        raise AmbiguousError(Why.DATE, whole) from None
    whole = f"{whole[: opens.start('date')]}<w>{whole[opens.end('date') :]}"
    return whole, tuple(slots), begins


# -- both


def _check(market: Market) -> None:
    if market.outcomes != ("Yes", "No"):
        raise AmbiguousError(Why.OUTCOMES, " and ".join(market.outcomes))
    if text.is_conditional(market.question):
        raise AmbiguousError(Why.CONDITION, market.question)
    if text.mentions_split(market.rules):
        raise AmbiguousError(Why.SPLIT)


def _made_ms(market: Market) -> int:
    if not text.mentions_creation(market.question, market.rules):
        return 0
    if market.start_ms is None:
        raise AmbiguousError(Why.WINDOW, "when the market was made is not known")
    return market.start_ms


def _trimmed(frame: str) -> str:
    return " ".join(frame.strip(" ?.").split())


def day_text(ordinal: int) -> str:
    """Return a day as people write it."""
    return f"{date.fromordinal(ordinal):%B} {date.fromordinal(ordinal):%-d, %Y}"
