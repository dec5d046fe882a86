"""
Decimal text as an integer x 10**decimals, by the grammar of ``csrc/base/fixed.h``.

    digits [ "." digits ] | "." digits | digits "."      ASCII digits, at least one
"""

from fractions import Fraction

DIGITS = "0123456789"


def verdict(text: str, decimals: int) -> int | str:
    """Return the integer, or "malformed" or "range"; what is malformed is so at any size."""
    if text.count(".") > 1 or text.strip(DIGITS + ".") or not text.strip("."):
        return "malformed"
    if any(character not in DIGITS + "." for character in text):
        return "malformed"
    whole, _, fraction = text.partition(".")
    value = Fraction(digits(whole)) + Fraction(digits(fraction), 10 ** len(fraction))
    scaled = value * 10**decimals
    if scaled.denominator != 1:
        return "malformed"
    return "range" if scaled > 2**63 - 1 else int(scaled)


def parse(text: str, decimals: int) -> int | None:
    """Return the integer, or None for whatever is refused."""
    answer = verdict(text, decimals)
    return answer if isinstance(answer, int) else None


def digits(text: str) -> int:
    """Return digits (or none) as an integer; ``int`` refuses more than 4300 of them."""
    value = 0
    for character in text:
        value = value * 10 + DIGITS.index(character)
    return value
