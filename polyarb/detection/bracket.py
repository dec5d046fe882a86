"""
Titles of neg-risk markets as brackets of one scale: ``<41.0``, ``41.0-41.4``, ``26°C or higher``.

The exchange says that exactly one market of an event resolves YES, but not that the markets it
lists are all there are; brackets that leave no number out show it, and those that leave one out,
or claim one twice, show that something is missing or that the event is no partition at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

from polyarb.detection.refusal import Why

_NUMBER: Final = (
    r"(-?)([$€£]?)([0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?) ?(k|m|bn|b|t|million|billion)?(?![0-9.])"
)
_UNIT: Final = r"((?: ?(?:[^\W\d_]|[%°\"'/²]))*)"
_LESS: Final = re.compile(rf"(?:<|less than |under |below ){_NUMBER}{_UNIT}")
_UP_TO: Final = re.compile(rf"(?:≤|<=|at most ){_NUMBER}{_UNIT}")
_OR_LESS: Final = re.compile(rf"{_NUMBER}{_UNIT} or (?:below|less|lower|fewer)")
_MORE: Final = re.compile(rf"(?:>|more than |over |above ){_NUMBER}{_UNIT}")
_FROM: Final = re.compile(rf"(?:≥|>=|at least ){_NUMBER}{_UNIT}")
_OR_MORE: Final = re.compile(rf"{_NUMBER}{_UNIT}(?:\+| or (?:above|more|higher))")
_PLUS: Final = re.compile(rf"{_NUMBER}\+{_UNIT}")
_BETWEEN: Final = re.compile(rf"{_NUMBER}{_UNIT} ?(?:-|to|and|&) ?{_NUMBER}{_UNIT}")
_EXACT: Final = re.compile(rf"{_NUMBER}{_UNIT}")
_ASIDE: Final = re.compile(r"\s*\([^()]*\)")
_PLAIN: Final = str.maketrans({"–": "-", "—": "-", "−": "-", "º": "°", "“": '"', "”": '"'})
_POWERS: Final = {"": 0, "k": 3, "m": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "t": 12}


@dataclass(frozen=True, slots=True)
class Bracket:
    """
    One title's numbers; None is without an end.

    Attributes:
        low_own, high_own: The end itself is in it.
        step: The last decimal that the title shows.
    """

    low: Decimal | None
    high: Decimal | None
    low_own: bool
    high_own: bool
    step: Decimal
    unit: str


def read(title: str) -> Bracket | None:
    """Return a title's bracket, None where it is another thing."""
    title = _ASIDE.sub("", title.translate(_PLAIN).casefold()).strip()
    for pattern, low_own, high_own in (
        (_LESS, True, False),
        (_UP_TO, True, True),
        (_OR_LESS, True, True),
    ):
        if match := pattern.fullmatch(title):
            end, step, unit = _number(match, 1)
            return Bracket(None, end, low_own, high_own, step, unit)
    for pattern, low_own in ((_MORE, False), (_FROM, True), (_OR_MORE, True), (_PLUS, True)):
        if match := pattern.fullmatch(title):
            end, step, unit = _number(match, 1)
            return Bracket(end, None, low_own, True, step, unit)
    if match := _BETWEEN.fullmatch(title):
        # "420 - 422.5k": the first takes the second's scale; "101-1k": it does not.
        bare = Decimal(match[3].replace(",", "")) <= Decimal(match[8].replace(",", ""))
        low, one, first = _number(match, 1, (match[9] or "") if bare else "")
        high, other, unit = _number(match, 6)
        if first and unit and first != unit:
            return None
        return Bracket(low, high, True, True, min(one, other), unit or first)
    if match := _EXACT.fullmatch(title):
        value, step, unit = _number(match, 1)
        return Bracket(value, value, True, True, step, unit)
    return None


def _number(match: re.Match[str], first: int, scale: str = "") -> tuple[Decimal, Decimal, str]:
    """Return a number, the step of its last decimal, and its unit."""
    sign, currency, digits, power, unit = (match[first + place] or "" for place in range(5))
    ten = _POWERS[power or scale]
    number = Decimal(digits.replace(",", ""))
    step = Decimal(1).scaleb(ten + int(number.as_tuple().exponent))
    value = number.scaleb(ten)
    return -value if sign else value, step, currency + unit.replace(" ", "")


def check(titles: Sequence[str], *, counted: bool, ends: bool = True) -> Why | bool:
    """
    Say whether titles are the brackets of one whole scale.

    Args:
        titles: In any order.
        counted: What they are about is counted, so that nothing lies below 0.
        ends: They must reach to both ends.

    Returns:
        True if they are and leave nothing out; False if they are no brackets; else what is wrong.
    """
    found = [read(title) for title in titles]
    brackets = [each for each in found if each]
    if len(brackets) < len(found) or not brackets:
        return False
    units = {each.unit for each in brackets if each.unit}
    if len(units) > 1:
        return Why.UNITS
    brackets.sort(
        key=lambda each: (each.low is not None, each.low or 0, each.high is None, each.high or 0)
    )
    step = min(each.step for each in brackets)
    for one, other in pairwise(brackets):
        if one.high is None or other.low is None:
            return Why.OVERLAP
        why = _meets(one, other, step)
        if why:
            return why
    if not ends:
        return True
    first, last = brackets[0], brackets[-1]
    below = first.low is None or (counted and not units and first.low == 0 and first.low_own)
    return True if below and last.high is None else Why.NOT_EXHAUSTIVE


def _meets(one: Bracket, other: Bracket, step: Decimal) -> Why | None:
    """Say what is wrong where one bracket ends and the next begins; both ends are there."""
    assert one.high is not None
    assert other.low is not None
    if other.low < one.high:
        return Why.OVERLAP
    if other.low == one.high:
        # A shared end belongs to one of them, as the rules say; unless neither has it, or one is
        # nothing but that end.
        if not (one.high_own or other.low_own):
            return Why.NOT_EXHAUSTIVE
        both = one.high_own and other.low_own
        return Why.OVERLAP if both and (one.low == one.high or other.low == other.high) else None
    first_after = one.high + step if one.high_own else one.high
    last_before = other.low - step if other.low_own else other.low
    # first_after is not in `one`; where it is not in `other` either, nobody has it.
    return Why.NOT_EXHAUSTIVE if first_after <= last_before else None
