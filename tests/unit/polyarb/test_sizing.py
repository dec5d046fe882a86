"""Thresholds: what a sized basket must earn, to the unit."""

from dataclasses import replace

import pytest

from polyarb import errors
from polyarb.core.basket import Sized, Why
from polyarb.risk.sizing import YEAR_MS, Plan, Reason, Refused, Thresholds, judge

DAY_MS = 86_400_000
SIZED = Sized(  # 0.40 on 99.60: a little over 40 basis points
    sets_e6=100_000_000,
    cost_e6=99_000_000,
    fee_e6=600_000,
    outlay_e6=100_000_000,
    payoff_e6=100_000_000,
    profit_e6=400_000,
    worst_loss_e6=60_000_000,
    worst_state=0,
    worst_unwind_e6=1_000_000,
    legs=(),
)


def reason(locked_ms: int | None = 0, **asked: int) -> Reason | None:
    answer = judge(SIZED, Thresholds(**asked), locked_ms)
    if isinstance(answer, Plan):
        assert answer.sized is SIZED
        return None
    assert answer.sized is SIZED
    return answer.reason


def test_every_core_reason_is_a_reason():
    for why in Why:
        answer = judge(why, Thresholds(), None)
        assert answer == Refused(reason=Reason(why.value))


@pytest.mark.parametrize(
    ("name", "reached", "refused"),
    [
        ("profit_e6", 400_000, Reason.PROFIT),
        ("profit_bps", 40, Reason.PROFIT_BPS),
        ("profit_pct_e4", 4_016, Reason.PROFIT_PCT),
        ("annual_pct_e4", 4_016 * 365, Reason.ANNUAL_PCT),
    ],
)
def test_a_threshold_is_reached_to_the_unit(name: str, reached: int, refused: Reason) -> None:
    assert reason(DAY_MS, **{name: reached}) is None
    beyond = reached + (reached // 1_000 if name == "annual_pct_e4" else 1)
    assert reason(DAY_MS, **{name: beyond}) is refused


def test_a_percentage_equals_its_basis_points():
    exact = replace(SIZED, cost_e6=100_000_000, fee_e6=0, profit_e6=1_000_000)
    for asked in (Thresholds(profit_bps=100), Thresholds(profit_pct_e4=10_000)):
        assert isinstance(judge(exact, asked, None), Plan)
        assert isinstance(judge(replace(exact, profit_e6=999_999), asked, None), Refused)


def test_capital_that_is_free_at_once_has_no_annual_return():
    answer = judge(SIZED, Thresholds(annual_pct_e4=10**9), 0)
    assert isinstance(answer, Plan)
    assert answer.annual_pct_e4 is None
    assert answer.profit_pct_e4 == 4_016


def test_a_year_is_the_percentage_itself():
    answer = judge(SIZED, Thresholds(), YEAR_MS)
    assert isinstance(answer, Plan)
    assert answer.annual_pct_e4 == answer.profit_pct_e4 == 4_016


def test_an_unknown_lock_is_refused_only_where_it_matters():
    assert reason(None, annual_pct_e4=1) is Reason.LOCK_UNKNOWN
    assert reason(None, profit_e6=1) is None


def test_bad_arguments_are_named():
    with pytest.raises(errors.RangeError, match="profit_bps -1"):
        Thresholds(profit_bps=-1)
    with pytest.raises(errors.ArgumentTypeError, match="profit_e6 must be an int"):
        Thresholds(profit_e6=1.0)  # type: ignore[arg-type]
    with pytest.raises(errors.RangeError, match="locked_ms -1"):
        judge(SIZED, Thresholds(), -1)
    with pytest.raises(errors.ArgumentTypeError, match="answer must be"):
        judge(None, Thresholds(), 0)  # type: ignore[arg-type]
