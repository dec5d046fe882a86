"""
Whether a sized basket is worth its capital; the size itself is the core's (``core/basket.py``).

Ratios are of what is spent, cost and fees. All of it is integers: a threshold is reached exactly
or it is not.
"""

import enum
from dataclasses import dataclass
from typing import Final

from polyarb import errors
from polyarb.core.base import INT64_MAX, integer
from polyarb.core.basket import Sized, Why

YEAR_MS: Final = 365 * 86_400_000
_BPS: Final = 10_000
_PCT_E4: Final = 1_000_000


class Reason(enum.Enum):
    """Why an opportunity is not taken: there is no size, or it earns too little."""

    DEPTH = Why.DEPTH.value
    NO_EDGE = Why.NO_EDGE.value
    LATTICE = Why.LATTICE.value
    BELOW_MINIMUM = Why.BELOW_MINIMUM.value
    ONE_DOLLAR = Why.ONE_DOLLAR.value
    CASH = Why.CASH.value
    RELATION = Why.RELATION.value
    EVENT = Why.EVENT.value
    LOSS = Why.LOSS.value
    PROFIT = "below_min_profit_usd"
    PROFIT_BPS = "below_min_profit_bps"
    PROFIT_PCT = "below_min_profit_pct"
    ANNUAL_PCT = "below_min_annual_pct"
    LOCK_UNKNOWN = "lock_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """
    What a basket must earn at its most profitable size; 0 asks for nothing.

    Attributes:
        profit_e6: Micro-dollars.
        profit_bps: Basis points of what is spent.
        profit_pct_e4: Percent of what is spent, x 10^4.
        annual_pct_e4: Likewise, for a year of 365 days of the capital being locked.

    Raises:
        ArgumentTypeError, RangeError: Named after the threshold.
    """

    profit_e6: int = 0
    profit_bps: int = 0
    profit_pct_e4: int = 0
    annual_pct_e4: int = 0

    def __post_init__(self) -> None:
        for name in ("profit_e6", "profit_bps", "profit_pct_e4", "annual_pct_e4"):
            integer(name, getattr(self, name), 0, INT64_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    A size that is worth its capital.

    Attributes:
        sized: Orders, sums and bounds.
        profit_pct_e4: Of what is spent, rounded down.
        annual_pct_e4: Likewise a year; None if the capital is free at once, or nobody knows when.
    """

    sized: Sized
    profit_pct_e4: int
    annual_pct_e4: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """
    No plan.

    Attributes:
        reason: The first that applies, in the order of `Reason`.
        sized: What was refused; None where there is no size.
    """

    reason: Reason
    sized: Sized | None = None


def judge(answer: Sized | Why, thresholds: Thresholds, locked_ms: int | None) -> Plan | Refused:
    """
    Return the plan, or why not.

    Args:
        answer: Of `core.basket.Sizer`.
        thresholds: What it must earn.
        locked_ms: How long the capital is locked until the basket pays, 0 for at once, None if not
            known: then it is refused if an annual return is asked for.

    Raises:
        ArgumentTypeError, RangeError: `locked_ms` is not an int >= 0, or `answer` none of the two.
    """
    if isinstance(answer, Why):
        return Refused(reason=Reason(answer.value))
    if not isinstance(answer, Sized):
        kind = type(answer).__name__
        raise errors.ArgumentTypeError(f"answer must be a Sized or a Why, not {kind}")
    if locked_ms is not None:
        integer("locked_ms", locked_ms, 0, INT64_MAX)
    reason = _too_little(answer, thresholds, locked_ms)
    if reason:
        return Refused(reason=reason, sized=answer)
    spent = answer.cost_e6 + answer.fee_e6
    gain = answer.profit_e6 * _PCT_E4
    return Plan(
        sized=answer,
        profit_pct_e4=gain // spent,
        annual_pct_e4=gain * YEAR_MS // (spent * locked_ms) if locked_ms else None,
    )


def _too_little(sized: Sized, asked: Thresholds, locked_ms: int | None) -> Reason | None:
    profit, spent = sized.profit_e6, sized.cost_e6 + sized.fee_e6
    if profit < asked.profit_e6:
        return Reason.PROFIT
    if profit * _BPS < asked.profit_bps * spent:
        return Reason.PROFIT_BPS
    if profit * _PCT_E4 < asked.profit_pct_e4 * spent:
        return Reason.PROFIT_PCT
    if asked.annual_pct_e4:
        if locked_ms is None:
            return Reason.LOCK_UNKNOWN
        if profit * _PCT_E4 * YEAR_MS < asked.annual_pct_e4 * spent * locked_ms:
            return Reason.ANNUAL_PCT
    return None
