"""Every reason not to trade, alone and in its order."""

import dataclasses
import itertools
from types import SimpleNamespace

import pytest

from polyarb.core.basket import Sized, SizedLeg
from polyarb.domain.opportunity import Skip
from polyarb.risk import validation
from polyarb.risk.sizing import Plan, Reason, Refused
from polyarb.risk.validation import OF_SIZING, LegBook, Situation, life_of, validate

LEG = SizedLeg(1_000_000, 400_000, 1_000_000, 400_000, 400_000, 10, 400_010, 5, 4000, 1)
SIZED = Sized(
    sets_e6=1_000_000,
    cost_e6=800_000,
    fee_e6=20,
    outlay_e6=800_020,
    payoff_e6=1_000_000,
    profit_e6=199_980,
    worst_loss_e6=400_010,
    worst_state=0,
    worst_unwind_e6=10,
    legs=(LEG, LEG),
)
PLAN = Plan(sized=SIZED, profit_pct_e4=249_968, annual_pct_e4=None)
GOOD = LegBook(token=str(1), live=True, state="live", fresh=True, heard_ns=5_000_000)
GAP = dataclasses.replace(GOOD, live=False, state="gap", fresh=False)
QUIET = dataclasses.replace(GOOD, fresh=False, heard_ns=1_600_000_000)
CLEAR = Situation(trading=True, books=(GOOD, GOOD), orders_left=2, size=lambda: PLAN)

WRONG = {
    Skip.TRADING_DISABLED: ({"trading": False}, "trading is off"),
    Skip.SUBMITTING: ({"submitting": True}, "on its way"),
    Skip.COOL_DOWN: ({"cool_ns": 250_000_000}, "250 ms left"),
    Skip.NOT_LIVE: ({"books": (GOOD, GAP)}, "1 is gap"),
    Skip.STALE: ({"books": (QUIET, GOOD)}, "1 was heard of 1600 ms ago"),
    Skip.BREAKER: ({"blocked": ("daily_loss", "manual")}, "daily_loss, manual"),
    Skip.RATE: ({"orders_left": 1}, "2 orders, 1 left"),
    Skip.LIFE_CYCLE: ({"life": ("not in the catalogue",)}, "not in the catalogue"),
    Skip.HEARTBEAT: ({"heartbeat_lost": True}, "heartbeat lost"),
    Skip.CLOCK: ({"skew_ms": -1_001}, "-1001 ms, allowed 1000"),
}
SIZES = {
    skip: ({"size": lambda r=reason: Refused(reason=r, sized=SIZED)}, reason.value)
    for reason, skip in reversed(OF_SIZING.items())
}


def test_where_nothing_speaks_against_it_the_plan_is_the_answer():
    verdict = validate(CLEAR)
    assert (verdict.skip, verdict.plan) == (None, PLAN)
    unknown = dataclasses.replace(CLEAR, orders_left=None, skew_ms=None)
    assert validate(unknown).plan is PLAN
    edge = dataclasses.replace(CLEAR, orders_left=2, skew_ms=1_000)
    assert validate(edge).plan is PLAN


@pytest.mark.parametrize("skip", Skip)
def test_each_reason_is_told_with_what_was_measured(skip):
    changes, said = (WRONG | SIZES)[skip]
    verdict = validate(dataclasses.replace(CLEAR, **changes))
    assert verdict.skip is skip
    assert said in verdict.detail


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(Skip, 2)))
def test_of_two_reasons_the_first_in_the_designs_order_counts(first, second):
    wrong = WRONG | SIZES
    changes = wrong[second][0] | wrong[first][0]
    if {first, second} == {Skip.NOT_LIVE, Skip.STALE}:  # both are said of books
        changes = {"books": (QUIET, GAP)}
    assert validate(dataclasses.replace(CLEAR, **changes)).skip is first


def test_it_is_sized_only_when_nothing_before_speaks_against_it():
    def never():
        raise AssertionError("sized")

    for skip in list(Skip)[: list(Skip).index(Skip.PROFIT)]:
        assert validate(dataclasses.replace(CLEAR, size=never, **WRONG[skip][0])).skip is skip


def test_what_would_have_been_traded_is_told_where_it_came_to_a_size():
    late = dataclasses.replace(CLEAR, heartbeat_lost=True)
    assert validate(late).plan is PLAN
    too_little = dataclasses.replace(CLEAR, size=lambda: Refused(reason=Reason.PROFIT, sized=SIZED))
    verdict = validate(too_little)
    assert verdict.plan is None
    assert verdict.detail == "below_min_profit_usd: 0.19998 of 0.80002"


def test_every_way_not_to_have_a_size_is_a_skip():
    assert set(OF_SIZING) == set(Reason)


MARKET = SimpleNamespace(
    seconds_delay=0, uma_status="", clear_on_start=False, game_start_ms=None, end_ms=None
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"seconds_delay": 3}, "answers 3 s later"),
        ({"uma_status": "disputed"}, "its resolution is disputed"),
        ({"clear_on_start": True, "game_start_ms": 11_999}, "wiped in 1999 ms"),
        ({"clear_on_start": True, "game_start_ms": 12_000}, None),
        ({"clear_on_start": True, "game_start_ms": 9_999}, None),
        ({"clear_on_start": False, "game_start_ms": 10_000}, None),
        ({"end_ms": 10_000}, "ends in 0 ms"),
        ({"end_ms": 12_000}, None),
        ({"end_ms": 9_000}, None),
    ],
)
def test_the_life_of_a_market(changes, said):
    market = SimpleNamespace(**(vars(MARKET) | changes))
    found = life_of(market, 10_000, seconds_delay=False, soon_ms=2_000)
    assert found is None if said is None else said in found


def test_an_unknown_market_takes_no_orders_and_delays_can_be_allowed():
    assert life_of(None, 0, seconds_delay=True, soon_ms=0) == "not in the catalogue"
    delayed = SimpleNamespace(**(vars(MARKET) | {"seconds_delay": 3}))
    assert life_of(delayed, 0, seconds_delay=True, soon_ms=0) is None


def test_the_order_is_the_designs():
    order = [skip for skip, _ in validation._BEFORE]
    order += [skip for skip in Skip if skip in OF_SIZING.values()]
    order += [skip for skip, _ in validation._AFTER]
    assert order == list(Skip)
