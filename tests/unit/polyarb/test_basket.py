"""Sizing through the binding: known plans, refusals, and the owner's books."""

import json
from collections.abc import Callable

import pytest

from polyarb import errors
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import format_fixed
from polyarb.core.basket import Basket, Caps, Leg, Sized, Sizer, Why
from polyarb.core.book import Books
from polyarb.core.tick import Ticker
from polyarb.domain.order import OrderType

MILLION = 10**6
YES_NO = [[MILLION, 0], [0, MILLION]]


def pair(style: OrderType = OrderType.FAK, **leg: int) -> Basket:
    return Basket([Leg(**leg), Leg(**leg)], YES_NO, style=style)


def test_the_last_cent_is_counted_and_the_best_size_kept():
    """0.47 + 0.50 leaves 3 cents a set; the second level of either side leaves none."""
    asks = [[(4700, 100 * MILLION), (5000, 50 * MILLION)], [(5000, 80 * MILLION), (5300, 1)]]
    plan = Sizer().size(pair(), asks, [[(4600, 10 * MILLION)], []])
    assert isinstance(plan, Sized)
    assert plan.sets_e6 == 80 * MILLION
    assert plan.cost_e6 == 77_600_000
    assert plan.fee_e6 == 0
    assert plan.profit_e6 == 2_400_000 - 100  # 0.0001 of a set may be missing
    first, second = plan.legs
    assert (first.limit_e4, first.maker_e6, first.taker_e6) == (4700, 37_600_000, 80 * MILLION)
    assert (second.limit_e4, second.maker_e6, second.taker_e6) == (5000, 40 * MILLION, 80 * MILLION)
    assert first.unwind_e6 == 37_600_000 - 4_600_000
    assert second.unwind_e6 == 40 * MILLION
    assert plan.worst_loss_e6 == 40 * MILLION + 12  # the other leg missing, rounding of its fills
    assert plan.worst_state == 0


def test_slippage_moves_the_limit_and_not_the_budget():
    asks = [[(4700, 100 * MILLION)], [(5000, 80 * MILLION)]]
    basket = Basket([Leg(), Leg()], YES_NO, slippage_ticks=2)
    plan = Sizer().size(basket, asks, [[], []])
    assert isinstance(plan, Sized)
    assert [leg.limit_e4 for leg in plan.legs] == [4900, 5200]
    assert [leg.maker_e6 for leg in plan.legs] == [37_600_000, 40_000_000]
    assert plan.legs[0].taker_e6 == 76_734_600


@pytest.mark.parametrize(
    ("asks", "caps", "why"),
    [
        ([[], [(5000, MILLION)]], Caps(), Why.DEPTH),
        ([[(5000, 10**9)], [(5000, 10**9)]], Caps(), Why.NO_EDGE),
        ([[(4999, 10**7)], [(5000, 10**8)]], Caps(), Why.LATTICE),
        ([[(4000, 4 * MILLION)], [(5000, 10**9)]], Caps(), Why.BELOW_MINIMUM),
        ([[(100, 99 * MILLION)], [(5000, 10**9)]], Caps(), Why.ONE_DOLLAR),
        ([[(4000, 10**9)], [(5000, 10**9)]], Caps(cash_e6=4_499_999), Why.CASH),
        ([[(4000, 10**9)], [(5000, 10**9)]], Caps(relation_e6=0), Why.RELATION),
        ([[(4000, 10**9)], [(5000, 10**9)]], Caps(cash_e6=10**8, event_e6=1), Why.EVENT),
        ([[(4000, 10**9)], [(5000, 10**9)]], Caps(loss_e6=2_000_000), Why.LOSS),
    ],
)
def test_a_reason_is_given(asks: list[list[tuple[int, int]]], caps: Caps, why: Why) -> None:
    tick = 1 if why is Why.LATTICE else 100
    assert Sizer().size(pair(tick_e4=tick), asks, [[], []], caps) is why


def test_the_least_cash_that_buys_the_minimum_does():
    asks = [[(4000, 10**9)], [(5000, 10**9)]]
    plan = Sizer().size(pair(), asks, [[], []], Caps(cash_e6=4_500_000))
    assert isinstance(plan, Sized)
    assert (plan.sets_e6, plan.outlay_e6) == (5 * MILLION, 4_500_000)


@pytest.mark.parametrize(
    "asks",
    [
        [(4700, MILLION), (4700, MILLION)],
        [(4700, MILLION), (4600, MILLION)],
        [(4750, MILLION)],
        [(4700, 0)],
        [(4700, -1)],
        [(0, MILLION)],
        [(10_000, MILLION)],
    ],
)
def test_a_ladder_that_is_none_is_refused(asks: list[tuple[int, int]]) -> None:
    with pytest.raises(errors.RangeError, match="out of order or off its tick"):
        Sizer().size(pair(), [asks, [(100, 10**9)]], [[], []])


@pytest.mark.parametrize("bids", [[(4000, MILLION), (4000, MILLION)], [(4000, 0)], [(0, 1)]])
def test_bids_that_are_none_are_refused(bids: list[tuple[int, int]]) -> None:
    with pytest.raises(errors.RangeError, match="out of order"):
        Sizer().size(pair(), [[(4700, 10**8)], [(5000, 10**8)]], [bids, []])


def test_bad_arguments_are_named():
    sizer, ladders = Sizer(), [[(4700, MILLION)], [(5000, MILLION)]]
    for call, error, text in (
        (lambda: Leg(tick_e4=30), errors.RangeError, "tick_e4 30 is not one of"),
        (lambda: Leg(weight=0), errors.RangeError, "weight 0"),
        (lambda: Leg(rate_e6=0.04), errors.ArgumentTypeError, "rate_e6"),  # type: ignore[arg-type]
        (lambda: Leg(exponent=3), errors.RangeError, "exponent 3"),
        (lambda: Leg(min_size_e6=1), errors.RangeError, "min_size_e6 1"),
        (lambda: Caps(loss_e6=-1), errors.RangeError, "loss_e6 -1"),
        (lambda: Basket([], []), errors.RangeError, "legs 0"),
        (lambda: Basket([Leg(weight=300)] * 2, YES_NO), errors.RangeError, "sum of weights 600"),
        (lambda: Basket([Leg()] * 2, []), errors.RangeError, "states 0"),
        (lambda: Basket([Leg()] * 2, [[1]]), errors.RangeError, "state 0: 1 payoffs for 2 legs"),
        (lambda: Basket([Leg()] * 2, [[1, MILLION + 1]]), errors.RangeError, "state 0 pays"),
        (
            lambda: Basket([Leg()] * 2, YES_NO, payoff_e6=MILLION + 1),
            errors.RangeError,
            "payoff_e6 1000001 is outside 1..1000000",
        ),
        (lambda: Basket([Leg()] * 2, [[0, 0]]), errors.RangeError, "payoff_e6 0"),
        (
            lambda: Basket([Leg()] * 2, YES_NO, style=OrderType.GTD),
            errors.RangeError,
            "style .* is not one of FAK, FOK, GTC",
        ),
        (lambda: pair(slippage=1), TypeError, "slippage"),
        (lambda: sizer.size(pair(), ladders[:1], ladders), errors.RangeError, "asks: 1 ladders"),
        (
            lambda: sizer.size(pair(), [[(1, "x")], []], ladders),  # type: ignore[list-item]
            errors.ArgumentTypeError,
            "asks of leg 0",
        ),
        (
            lambda: sizer.size(pair(), [[(1, 2**63)], []], ladders),
            errors.RangeError,
            "asks of leg 0",
        ),
    ):
        with pytest.raises(error, match=text):
            call()


def snapshot(token: str, asks: list[tuple[int, int]], bids: list[tuple[int, int]]) -> bytes:
    sides = {
        name: [{"price": format_fixed(p, 4), "size": format_fixed(s, 6)} for p, s in side]
        for name, side in (("asks", asks), ("bids", bids))
    }
    message = {"event_type": "book", "asset_id": token, "timestamp": "1", **sides}
    return json.dumps(message).encode()


def test_the_same_from_the_owners_books():
    arena = Arena.create(config=ArenaConfig(token_count=2))
    books, ticker = Books(arena, 1), Ticker(arena)
    asks = [[(4700, 100 * MILLION), (5000, 50 * MILLION)], [(5000, 80 * MILLION)]]
    bids = [[(4600, 10 * MILLION)], [(4800, 30 * MILLION), (4700, MILLION)]]
    slots = [books.add(token, 1, tick_e4=100) for token in ("1", "2")]
    for token, up, down in zip(("1", "2"), asks, bids, strict=True):
        ticker.tick(snapshot(token, up, down), 2)
    sizer, basket = Sizer(), pair(rate_e6=40_000)
    assert sizer.size_books(arena, basket, slots) == sizer.size(basket, asks, bids)
    one = sizer.size_books(arena, basket, slots, levels=1)
    assert one == sizer.size(basket, [side[:1] for side in asks], [side[:1] for side in bids])
    with pytest.raises(errors.RangeError, match="1 slots for 2 legs"):
        sizer.size_books(arena, basket, slots[:1])
    with pytest.raises(errors.RangeError, match="slots 0, 999"):
        sizer.size_books(arena, basket, [slots[0], 999])


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_the_unit_holds_in_c(c_program: Callable[..., str], flavour: str) -> None:
    assert "basket: ok" in c_program("unit/csrc/test_basket.c", flavour)
