"""Every pair of state and event is in a table, and the machine takes every one of them."""

from typing import get_args

import pytest
from baskets import near, plan

from polyarb.domain.basket import BasketState, LegState, Order, Purpose, TradeStatus
from polyarb.domain.order import OrderType, Side
from polyarb.execution import events as ev
from polyarb.execution.actions import Alert, Trip
from polyarb.execution.machine import _STEPS, Basket, step
from polyarb.execution.orders import Tracked
from polyarb.execution.table import BASKETS, LEGS, Step, Told, grid

SAMPLES = [
    ev.Begin(),
    ev.Reserved(),
    ev.ReserveRefused(5),
    ev.Journaled(
        (
            Order(
                id="new",
                leg=0,
                purpose=Purpose.UNWIND,
                side=Side.SELL,
                style=OrderType.FAK,
                limit_e4=4_000,
                maker_e6=10_000_000,
                taker_e6=4_000_000,
            ),
        )
    ),
    ev.JournalRefused("disk full"),
    ev.Sent(("0",)),
    ev.Accepted("0", ev.OrderStatus.MATCHED, 10_000_000),
    ev.Refused("0", "no"),
    ev.SendUnknown(("0",), "reset"),
    ev.OrderSeen("0", ev.OrderStatus.LIVE, 0),
    ev.Absent("0"),
    ev.Traded("0", "t", 10_000_000, 4_500_000, 0, TradeStatus.MATCHED),
    ev.CancelAnswer("0", True),
    ev.TimedOut(),
    ev.Quotes(near()),
    ev.Restarted(),
    ev.Halted(),
    ev.GaveUp("enough"),
]


def entry(order_id: str, index: int) -> Order:
    return Order(
        id=order_id,
        leg=index,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        style=OrderType.FAK,
        limit_e4=4_500,
        maker_e6=4_500_000,
        taker_e6=10_000_000,
    )


def basket(state: BasketState) -> Basket:
    early = state in {BasketState.PLANNED, BasketState.RESERVED}
    return Basket(
        state=state,
        orders=() if early else (Tracked(entry("0", 0)), Tracked(entry("1", 1))),
        held_e6=0 if state is BasketState.PLANNED else plan().hold_e6,
    )


def test_the_samples_are_one_of_each_event():
    assert [type(sample) for sample in SAMPLES] == list(get_args(ev.Event))


def test_every_event_of_a_basket_in_every_state_is_in_the_table():
    names = {kind.__name__ for kind in get_args(ev.Event)}
    assert set(BASKETS) == {(state, name) for state in BasketState for name in names}
    assert set(BASKETS.values()) == set(Step) == set(_STEPS)


def test_everything_told_of_an_order_in_every_state_is_in_the_table():
    assert set(LEGS) == {(state, told) for state in LegState for told in Told}


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", BasketState)
def test_the_machine_takes_every_pair(state, event):
    before = basket(state)
    after, actions = step(plan(), before, event)
    if BASKETS[state, type(event).__name__] is Step.STRAY:
        assert after == before
        assert [type(action) for action in actions] == [Trip, Alert]
    elif BASKETS[state, type(event).__name__] is Step.IGNORE:
        assert (after, actions) == (before, ())
    else:
        assert after != before or actions or isinstance(event, ev.Sent | ev.Quotes)


@pytest.mark.parametrize("told", Told)
@pytest.mark.parametrize("state", [LegState.FILLED, LegState.CANCELED, LegState.FAILED])
def test_what_is_over_never_rests_again(state, told):
    assert LEGS[state, told] in {LegState.FILLED, LegState.CANCELED, LegState.FAILED}


def test_a_grid_with_a_cell_too_few_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        grid("a b\nrow x")


def test_a_dot_is_the_column_itself():
    assert grid("a b\nrow . x") == {("a", "row"): "a", ("b", "row"): "x"}
