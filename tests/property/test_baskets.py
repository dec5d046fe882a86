"""
Small baskets in every way they can go, and large ones in very many (tests/explore.py).

``POLYARB_EXPLORE=deep`` adds the cases with hundreds of thousands of states, minutes each.
"""

import os
import random

import pytest
from baskets import BRIEF, leg, near, nothing, plan, thin
from explore import Case, Explorer
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarb.domain.basket import BasketPlan, Outcome, Policy
from polyarb.domain.order import OrderType
from polyarb.execution.events import Book

BOTH = (near(), thin())
ALL = (*BOTH, nothing())
THREE = (3_000, 3_200, 3_500)
FOK = plan(policy=BRIEF, style=OrderType.FOK)
GTC = plan(policy=BRIEF, style=OrderType.GTC)
FAK = plan(policy=BRIEF)
SMALL = plan(policy=BRIEF, loss_cap_e6=6_000_000, slack_e6=0)
THREE_FOK = plan(THREE, policy=BRIEF, style=OrderType.FOK)

CASES = [
    Case("fak: settlement", FAK, ALL, faults=0, crash=False),
    Case("fak: lost, late, crash", FAK, ALL, faults=1, settle=False),
    Case("fok: two faults", FOK, (thin(),), faults=2, settle=False),
    Case("fok: trades fail", FOK, (thin(),), faults=1, crash=False),
    Case("fok: delayed", FOK, (thin(),), faults=0, settle=False, delay=True, crash=False),
    Case("fok: halted", FOK, BOTH, faults=1, settle=False, halt=True, crash=False),
    Case("gtc: cancels", GTC, (thin(),), faults=0, settle=False, crash=False),
    Case("fak: too small to sell", SMALL, BOTH, faults=1, partial=30, settle=False, crash=False),
    Case("fok: older server", FOK, (thin(),), faults=1, settle=False, only_open=True),
    Case("three legs", THREE_FOK, (thin(THREE),), faults=0, settle=False, crash=False),
]
DEEP = [
    Case("fak: trades fail", FAK, BOTH, faults=1, crash=False),
    Case("fak: older server", FAK, BOTH, faults=1, settle=False, only_open=True),
    Case("fok: trades fail, crash", FOK, BOTH, faults=1),
    Case("fok: delayed, one fault", FOK, BOTH, faults=1, settle=False, delay=True),
    Case("fok: mined first", FOK, BOTH, faults=0, mined=True, crash=False),
    Case("gtc: cancels, one fault", GTC, (thin(),), faults=1, settle=False, crash=False),
    Case("three legs, one fault", THREE_FOK, (thin(THREE),), faults=1, settle=False, crash=False),
]


def ids(cases: list[Case]) -> list[str]:
    return [case.name.replace(" ", "-") for case in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_every_way_of_a_small_basket_ends_inside_its_cap_or_halted(case, capsys):
    explored(case, capsys)


@pytest.mark.skipif(os.environ.get("POLYARB_EXPLORE") != "deep", reason="POLYARB_EXPLORE=deep")
@pytest.mark.parametrize("case", DEEP, ids=ids(DEEP))
def test_every_way_of_a_small_basket_with_more_faults(case, capsys):
    explored(case, capsys)


def explored(case, capsys):
    report = Explorer(case).run()
    with capsys.disabled():
        ends = ", ".join(f"{outcome} {count:,}" for outcome, count in sorted(report.ends.items()))
        print(
            f"\n{case.name}: {report.states:,} states, {report.transitions:,} transitions, "
            f"{report.steps:,} steps of the machine; closed as {ends}"
        )
    assert report.states > 1_000
    assert {Outcome.COMPLETE, Outcome.FAILED, Outcome.UNWOUND} <= set(report.ends)


@st.composite
def plans(draw) -> BasketPlan:
    sets = draw(st.integers(500, 5_000)) * 10_000
    legs = []
    for index in range(draw(st.integers(2, 4))):
        price = draw(st.integers(3, 45)) * 100
        weight = draw(st.sampled_from([1, 1, 2]))
        maker = price * weight * sets // 10_000 // 10_000 * 10_000 + 10_000
        legs.append(
            leg(
                index,
                price,
                shares_e6=weight * sets,
                weight=weight,
                maker_e6=maker,
                taker_e6=maker * 10_000 // price // 100 * 100,
                cost_e6=maker,
                rate_e6=draw(st.sampled_from([0, 40_000])),
                fee_e6=maker // 20 + 100,
                min_size_e6=draw(st.sampled_from([1, 5])) * 1_000_000,
            )
        )
    cost = sum(one.cost_e6 + one.fee_e6 for one in legs)
    return plan(
        legs=legs,
        style=draw(st.sampled_from([OrderType.FAK, OrderType.FAK, OrderType.FOK, OrderType.GTC])),
        sets_e6=sets,
        payoff_e6=-(-cost * 1_000_000 // sets) + draw(st.sampled_from([0, 30_000])),
        loss_cap_e6=draw(st.sampled_from([100_000, 500_000, 2_000_000, 100_000_000])),
        slack_e6=draw(st.sampled_from([0, 200_000, 10_000_000])),
        slippage_ticks=draw(st.integers(0, 1)),
        policy=Policy(
            waits_max=draw(st.integers(2, 6)),
            absent_max=draw(st.integers(1, 3)),
            attempts_max=draw(st.integers(1, 3)),
        ),
    )


@st.composite
def quoted(draw, its: BasketPlan) -> tuple[Book | None, ...]:
    """Draw one book a leg: not to be trusted, empty on a side, thin or deep."""
    sizes = st.sampled_from([1_000_000, 4_000_000, 7_000_000, 50_000_000, 500_000_000])
    drawn: list[Book | None] = []
    for one in its.legs:
        if draw(st.integers(0, 7)) == 0:
            drawn.append(None)
            continue
        bid = max(100, one.limit_e4 - draw(st.integers(0, 5)) * 100)
        ask = bid + draw(st.integers(1, 8)) * 100
        bids = [bid - step * 100 for step in range(draw(st.integers(0, 3)))]
        asks = [ask + step * 100 for step in range(draw(st.integers(0, 3)))]
        drawn.append(
            Book(
                bids=tuple((price, draw(sizes)) for price in bids if price >= 100),
                asks=tuple((price, draw(sizes)) for price in asks if price <= 9_900),
            )
        )
    return tuple(drawn)


@st.composite
def cases(draw) -> Case:
    its = draw(plans())
    return Case(
        "drawn",
        its,
        tuple(draw(st.lists(quoted(its), min_size=1, max_size=4))),
        faults=draw(st.sampled_from([0, 1, 3, 6])),
        partial=draw(st.sampled_from([10, 30, 50, 90])),
        halt=draw(st.integers(0, 4)) == 0,
        delay=draw(st.booleans()),
        mined=draw(st.booleans()),
        only_open=draw(st.integers(0, 4)) == 0,
    )


@settings(max_examples=300, deadline=None)
@given(cases(), st.integers(0, 2**32), st.sampled_from([20, 60, 120]))
def test_no_way_of_any_basket_breaks_a_promise(case: Case, seed: int, length: int) -> None:
    Explorer(case).walk(random.Random(seed), length)
