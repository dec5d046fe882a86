"""
Questions and rules as a text with slots: its numbers and dates, and the words around them.

Two markets ask the same but for a number if their questions and their rules are the same text
once that number is taken out. Nothing here understands a sentence; what is not of a known form is
not read, and what is not the same text is not the same question.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

SCALE: Final = 10**9
"""Numbers are kept x 10^9."""

DIGITS_MAX: Final = 15
"""Of a number, signs included; with its scale it is still exact as a `Decimal`."""

_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_MONTH: Final = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
)
_SLOT: Final = re.compile(
    rf"""
    \b(?P<month>{_MONTH})
      (?:\s+(?P<day>[0-9]{{1,2}})(?![0-9])(?:st|nd|rd|th)?)?(?![\w])
      (?:,?\s+(?P<year>20[0-9][0-9])(?![0-9]))?
    | (?<![\w$€£.,/-])(?P<alone>20[0-9][0-9])(?![\w%,/-]|\.[0-9])
    | (?<![\w.,])
      (?P<sign>(?<![^\s(<>≤≥])-)?(?P<unit>[$€£])?(?P<number>[0-9]+(?:,[0-9]{{3}})*(?:\.[0-9]+)?)
      (?![0-9]|[.,][0-9]|(?:st|nd|rd|th)\b)
      (?:\ ?(?P<scale>[kKmMbBtT]|[bB]n|thousand|million|billion|trillion)(?![A-Za-z]))?
      (?P<after>\ ?(?:%|[°º][CF]\b|bps\b))?
    """,
    re.VERBOSE,
)
_POWERS: Final = {
    **dict.fromkeys(("k", "thousand"), 3),
    **dict.fromkeys(("m", "million"), 6),
    **dict.fromkeys(("b", "bn", "billion"), 9),
    **dict.fromkeys(("t", "trillion"), 12),
}


class Slot(NamedTuple):
    """
    A number or date of a text.

    Attributes:
        kind: NUMBER, DATE (with a day), MONTH (without) or YEAR.
        value: A number x `SCALE`; month x 100 + day; a year.
        unit: $, %, °c, bps, …; "" for none.
        year: Of a date or month; 0 where it says none.
    """

    kind: "SlotKind"
    value: int
    unit: str = ""
    year: int = 0


class SlotKind(StrEnum):
    """What stands in a slot, as it is marked in the text around it."""

    NUMBER = "<n>"
    DATE = "<d>"
    MONTH = "<m>"
    YEAR = "<y>"


MARK: Final = re.compile("<[ndmy]>")
_LIKE_A_MARK: Final = re.compile("<(?=[a-z]>)", re.I)


class Text(NamedTuple):
    """
    A text without its numbers and dates.

    Attributes:
        frame: In lower case, a mark for each slot.
        slots: In order.
    """

    frame: str
    slots: tuple[Slot, ...]

    def at(self, position: int) -> int:
        """Return the number of the first slot from a position of the frame on."""
        return len(MARK.findall(self.frame, 0, position))


@lru_cache(maxsize=16_384)
def read(text: str) -> Text:
    """Return a text with its numbers and dates in slots."""
    text = _LIKE_A_MARK.sub("(", text)
    frame: list[str] = []
    slots: list[Slot] = []
    end = 0
    for match in _SLOT.finditer(text):
        slot = _slot(match)
        if slot is None:
            continue
        frame += (text[end : match.start()], slot.kind)
        slots.append(slot)
        end = match.end()
    frame.append(text[end:])
    return Text("".join(frame).casefold(), tuple(slots))


def _slot(match: re.Match[str]) -> Slot | None:
    if month := match["month"]:
        number = _MONTHS.index(month[:3].casefold()) + 1
        year = int(match["year"] or 0)
        if match["day"]:
            return Slot(SlotKind.DATE, number * 100 + int(match["day"]), year=year)
        if month == "May" and not year:
            return None  # the verb, for all we know
        return Slot(SlotKind.MONTH, number * 100, year=year)
    if match["alone"]:
        return Slot(SlotKind.YEAR, int(match["alone"]))
    if len(match["number"]) > DIGITS_MAX:
        return None
    power = _POWERS.get((match["scale"] or "").casefold(), 0)
    value = Decimal(match["number"].replace(",", "")).scaleb(power) * SCALE
    if value != value.to_integral_value():
        return None
    unit = (match["unit"] or "") + (match["after"] or "").strip().casefold().replace("º", "°")
    return Slot(SlotKind.NUMBER, -int(value) if match["sign"] else int(value), unit)


def number_text(value: int) -> str:
    """Return a number x `SCALE` as people write it."""
    whole, rest = divmod(abs(value), SCALE)
    digits = f"{rest:09}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole:,}{'.' + digits if digits else ''}"


# -- words


def mentions_split(rules: Iterable[str]) -> bool:
    """Say whether the rules name a case that pays half, or gives the money back."""
    return any(_SPLIT.search(part) for part in rules)


def mentions_all_no(rules: Iterable[str]) -> bool:
    """
    Say whether the rules name a case of its own that resolves NO, not just everything else.

    In a neg-risk event that may be true of all markets at once: a match that is canceled, an
    answer that is not known in time. What only one market can meet, a team that is out, is not.
    """
    return any(map(_says_no, rules))


@lru_cache(maxsize=16_384)
def _says_no(part: str) -> bool:
    return bool(_TO_NO.search(part)) and any(
        _TO_NO.search(each) and not _ELSE.match(each) and not _OUT.search(each)
        for each in _SENTENCE.split(part)
    )


def mentions_other(rules: Iterable[str]) -> bool:
    """Say whether the rules may resolve to an outcome called Other."""
    return any(_TO_OTHER.search(part) for part in rules)


def mentions_creation(question: str, rules: Iterable[str]) -> bool:
    """Say whether what counts begins when the market was made."""
    return bool(_AGAIN.search(question)) or any(_CREATION.search(part) for part in rules)


def is_conditional(question: str) -> bool:
    """Say whether a question asks what happens if something else does."""
    return bool(_CONDITIONAL.search(question))


_SPLIT: Final = re.compile(
    r"50\s?%?\s?[-/]\s?50|\bhalf\b|equal(?:ly)? (?:split|share)"
    r"|\bN/A\b|\bvoid(?:ed)?\b|\brefund",
    re.I,
)
_TO_NO: Final = re.compile(
    r"\b(?:resolves?d?|settles?d?|considered)\b[^.]{0,40}"
    r"(?:[\"']no[.,]?[\"']|\b(?:to|as) no(?=[.,;:)]|$))",
    re.I,
)
_ELSE: Final = re.compile(r"\s*(?:otherwise|if not|else)\b", re.I)
_OUT: Final = re.compile(
    r"\b(?:impossible|eliminated|disqualified|fails? to qualify|no longer possible)\b", re.I
)
_TO_OTHER: Final = re.compile(r"\bresolves?d?\b[^.]{0,40}[\"']other\b", re.I)
_CREATION: Final = re.compile(
    r"\b(?:creation|created|issuance)\b|\b(?:start|launch|opening|open) of (?:this|the) market\b"
    r"|\bmarket(?:'s)? (?:opens|opened|starts|started|begins|began|start|launch|opening)\b"
    r"|\bmarket's (?:[a-z]+ ){0,2}time ?(?:frame|period|line)\b",
    re.I,
)
_AGAIN: Final = re.compile(r"\b(?:another|again|next)\b", re.I)
_CONDITIONAL: Final = re.compile(r"\b(?:if|unless|assuming|provided|given that)\b", re.I)
_SENTENCE: Final = re.compile(
    r"(?<=[.!?][\"'])\s+|(?<![ .(][A-Za-z]\.)(?<!\binc\.)(?<!\bcorp\.)(?<!\bvs\.)(?<!\be\.g\.)"
    r"(?<!\bi\.e\.)(?<!\bno\.)(?<!\bjr\.)(?<!\bdr\.)(?<!\bst\.)(?<=[.!?])\s+",
    re.I,
)


def yes_sentences(rules: Iterable[Text]) -> list[str]:
    """Return the sentences that say what resolves to Yes, without their numbers."""
    return [sentence for part in rules for sentence in _yes_sentences(part.frame)]


@lru_cache(maxsize=16_384)
def _yes_sentences(frame: str) -> tuple[str, ...]:
    if not _TO_YES.search(frame):
        return ()
    return tuple(
        sentence
        for sentence in _SENTENCE.split(frame)
        if _TO_YES.search(sentence) and not _ELSE.match(sentence)
    )


def lasts(question: str, rules: Iterable[Text]) -> bool:
    """
    Say whether a question may be answered at its date instead of by it.

    What happens once by June has happened by December; what is still so, is not so, or is the most
    of all in June need not be in December.
    """
    return bool(_LASTING.search(question)) or any(map(_LASTING_RULE.search, yes_sentences(rules)))


_LASTING_RULE: Final = re.compile(
    r"\b(?:remain\w*|stay\w*|still|continu\w*|surviv\w*|maintain\w*|without|never"
    r"|(?:do|does|did|has|have|is|are|was|were|been) not|fails? to)\b|n't\b",
    re.I,
)
_LASTING: Final = re.compile(
    rf"{_LASTING_RULE.pattern}|\b(?:no|not|cannot|keep\w*|holds?|avoid\w*|only|exactly|unchanged"
    r"|lasts?|lasting|longer|until|most|least|largest|biggest|highest|lowest|smallest|top|leads?"
    r"|leading|rank\w*|favorite)\b",
    re.I,
)


def forget() -> None:
    """Drop what was read before, as after a start."""
    for kept in (read, _says_no, _yes_sentences):
        kept.cache_clear()


_TO_YES: Final = re.compile(r"\bresolves?d?\b[^.]{0,40}[\"']yes\b")
