"""
Money as integers: prices x 10^4, shares and collateral x 10^6, and the ticks prices move by.

Configuration and callers hand over `str`, `Decimal` or `int`; they become integers here, exactly
or not at all. Text that arrives on the wire is read in C (``csrc/base/fixed.h``), by one grammar
with this: ``0.5``, ``.5``, ``30`` and ``30.``; no sign, exponent, blank or separator.
"""

import enum
import re
from decimal import Decimal
from typing import Final, NewType, TypeAlias

from polyarb.errors import ArgumentTypeError, MalformedError, RangeError

PriceE4 = NewType("PriceE4", int)
SizeE6 = NewType("SizeE6", int)
CashE6 = NewType("CashE6", int)

DecimalLike: TypeAlias = Decimal | str | int

UNITS_MAX: Final = 2**63 - 1
"""The core keeps every amount in 64 bits, and so does the exchange's matching engine."""

DECIMALS_MAX: Final = 18
DIGITS_MAX: Final = 80
"""Digits a value may need, zeros at either end apart; a 256-bit integer has 78."""

_TEXT: Final = re.compile(r"(?=\.?[0-9])([0-9]*)\.?([0-9]*)")


def exact(name: str, value: DecimalLike) -> tuple[int, int]:
    """
    Return (numerator, scale) such that `value` is numerator / 10**scale, scale >= 0.

    An int counts whole units: 5 is five shares, not five millionths.

    Raises:
        ArgumentTypeError: A float (its digits are not the ones that were written), a bool, None.
        MalformedError: A sign, NaN, Infinity, or text that breaks the grammar.
        RangeError: More than DIGITS_MAX digits.
    """
    if isinstance(value, str):
        match = _TEXT.fullmatch(value)
        if match is None:
            raise MalformedError(f"{name} {shown(value)!r} is not a decimal number")
        return _ratio(name, match[1] + match[2], -len(match[2]))
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        if sign or not isinstance(exponent, int):
            raise MalformedError(f"{name} {shown(value)} is not a plain number >= 0")
        return _ratio(name, "".join(map(str, digits)), exponent)
    if type(value) is int:
        if value < 0:
            raise MalformedError(f"{name} is below 0; a sign is not accepted")
        if value >= 10**DIGITS_MAX:
            raise RangeError(f"{name} has more than {DIGITS_MAX} digits")
        return value, 0
    if isinstance(value, float):
        raise ArgumentTypeError(f"{name}: float {value} is not exact; pass a str or Decimal")
    raise ArgumentTypeError(f"{name} must be a str, Decimal or int, not {type(value).__name__}")


def decimal_units(name: str, value: DecimalLike, decimals: int) -> int:
    """
    Return `value` x 10**decimals, which must be an integer already.

    Raises:
        ArgumentTypeError: As `exact`.
        MalformedError: As `exact`, or a non-zero digit beyond `decimals`.
        RangeError: As `exact`, above 2**63 - 1, or `decimals` outside 0..18.
    """
    _check_decimals(decimals)
    numerator, scale = exact(name, value)
    if scale > decimals:
        raise MalformedError(f"{name} {shown(value)} has more than {decimals} decimals")
    return _bounded(name, value, decimals, numerator * 10 ** (decimals - scale))


def decimal_units_floor(name: str, value: DecimalLike, decimals: int) -> int:
    """
    Return `value` x 10**decimals, rounded down.

    For quantities the protocol tells us to cut (protocol.md section 10): what is cut is not
    ordered. Raises as `decimal_units`, but takes any number of decimals.
    """
    _check_decimals(decimals)
    numerator, scale = exact(name, value)
    return _bounded(name, value, decimals, numerator * 10**decimals // 10**scale)


def units_text(units: int, decimals: int) -> str:
    """Return `units` / 10**decimals as the shortest exact text: ``0.5``, ``30``."""
    whole, fraction = divmod(units, 10**decimals)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{decimals}d}".rstrip("0")


def shown(value: object) -> str:
    """Return `value` as an error message shows it: as it was written, but not at any length."""
    return str(value)[:DIGITS_MAX]


def cost_e6_ceil(price_e4: PriceE4, size_e6: SizeE6) -> CashE6:
    """
    Collateral that buys `size_e6` at `price_e4`, rounded up to 1e-6.

    Against us on purpose: a reservation may exceed the fill, never the reverse.
    """
    return CashE6(-(-price_e4 * size_e6 // 10_000))


def proceeds_e6_floor(price_e4: PriceE4, size_e6: SizeE6) -> CashE6:
    """
    Collateral that `size_e6` sold at `price_e4` brings, rounded down to 1e-6.

    Against us on purpose: we never count on a fraction the exchange may keep.
    """
    return CashE6(price_e4 * size_e6 // 10_000)


class Tick(enum.Enum):
    """
    A market's smallest price step; the exchange has these six (protocol.md section 10.2).

    Attributes:
        value: The step as text.
        price_decimals: Decimals a price may have.
        amount_decimals: Decimals price x size may have.
        step_e4: The step, and so the lowest price, x 10^4. The highest is 10_000 - step_e4.
    """

    T_0_1 = ("0.1", 1, 3, 1_000)
    T_0_01 = ("0.01", 2, 4, 100)
    T_0_005 = ("0.005", 3, 5, 50)
    T_0_0025 = ("0.0025", 4, 6, 25)
    T_0_001 = ("0.001", 3, 5, 10)
    T_0_0001 = ("0.0001", 4, 6, 1)

    _value_: str
    price_decimals: int
    amount_decimals: int
    step_e4: int

    def __new__(cls, text: str, price_decimals: int, amount_decimals: int, step_e4: int) -> "Tick":
        """Make a member; its value is the text alone."""
        tick = object.__new__(cls)
        tick._value_ = text
        tick.price_decimals = price_decimals
        tick.amount_decimals = amount_decimals
        tick.step_e4 = step_e4
        return tick

    @classmethod
    def of(cls, tick: "Tick | DecimalLike") -> "Tick":
        """
        Return the tick of that exact value: ``0.01``, ``.01`` and ``0.010`` are the same.

        Raises:
            ArgumentTypeError, MalformedError: As `exact`.
            RangeError: None of the six.
        """
        if isinstance(tick, cls):
            return tick
        numerator, scale = exact("tick", tick)  # type: ignore[arg-type]
        for member in cls:
            if numerator * 10_000 == member.step_e4 * 10**scale:
                return member
        allowed = ", ".join(member.value for member in cls)
        raise RangeError(f"tick {shown(tick)} is not one of {allowed}")


def _ratio(name: str, digits: str, exponent: int) -> tuple[int, int]:
    significant = digits.rstrip("0")
    exponent += len(digits) - len(significant)
    significant = significant.lstrip("0")
    if not significant:
        return 0, 0
    # Before any power of ten is taken: Decimal("1E+999999999") is a short object.
    if max(len(significant), len(significant) + exponent, -exponent) > DIGITS_MAX:
        raise RangeError(f"{name} needs more than {DIGITS_MAX} digits")
    if exponent >= 0:
        return int(significant) * 10**exponent, 0
    return int(significant), -exponent


def _check_decimals(decimals: int) -> None:
    if not 0 <= decimals <= DECIMALS_MAX:
        raise RangeError(f"decimals {decimals} is outside 0..{DECIMALS_MAX}")


def _bounded(name: str, value: DecimalLike, decimals: int, units: int) -> int:
    if units > UNITS_MAX:
        raise RangeError(f"{name} {shown(value)} is above {units_text(UNITS_MAX, decimals)}")
    return units
