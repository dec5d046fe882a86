"""Decimal text to integers and back, the simulator's own: prices x 10^4, sizes and cash x 10^6."""

import re
from functools import lru_cache
from typing import Final

ONE_E4: Final = 10_000
ONE_E6: Final = 1_000_000

_TEXT: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?", re.ASCII)


def parse(value: object, decimals: int) -> int | None:
    """
    Return `value` x 10**decimals, or None where it is no plain decimal of so many digits.

    Text and JSON integers are numbers; a sign, an exponent, a float or over 80 digits are not.
    """
    if type(value) is int:
        value = str(value)
    if type(value) is not str or len(value) > 80:
        return None
    match = _TEXT.fullmatch(value)
    if match is None or not (match[1] or match[2]):
        return None
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > decimals:
        return None
    return int((match[1] or "0") + fraction.ljust(decimals, "0"))


def text(units: int, decimals: int) -> str:
    """Return `units` / 10**decimals as the venue spells it: ``0.5``, ``30``, ``219.217767``."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), 10**decimals)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}." + f"{fraction:0{decimals}d}".rstrip("0")


PRICE: Final = tuple(text(price, 4) for price in range(ONE_E4 + 1))
"""The text of every price, indexed by price_e4."""


@lru_cache(1 << 16)
def size(units: int) -> str:
    """Return the text of a size or an amount of cash in millionths."""
    return text(units, 6)


def ceil_div(numerator: int, divisor: int) -> int:
    """Return the quotient rounded up."""
    return -(-numerator // divisor)
