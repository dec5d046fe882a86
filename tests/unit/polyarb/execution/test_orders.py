"""What is known of one order does not depend on which witness came first."""

from itertools import permutations

import pytest

from polyarb.domain.basket import LegState, Order, Purpose, TradeStatus
from polyarb.domain.order import OrderType, Side
from polyarb.execution import events as ev
from polyarb.execution.orders import Tracked, later, learn

FULL_E6 = 10_000_000
STATUS = ev.OrderStatus


def tracked(style=OrderType.FAK):
    order = Order(
        id="0",
        leg=0,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        style=style,
        limit_e4=4_500,
        maker_e6=4_500_000,
        taker_e6=FULL_E6,
    )
    return Tracked(order)


def trade(shares, trade_id="t", status=TradeStatus.CONFIRMED):
    return ev.Traded("0", trade_id, shares, shares * 45 // 100, 0, status)


def after(*facts, style=OrderType.FAK, absent_max=2):
    known = tracked(style)
    for fact in facts:
        known = learn(known, fact, absent_max)
    return known


STORIES = {
    "filled": (
        OrderType.FAK,
        [ev.Accepted("0", STATUS.MATCHED, FULL_E6), trade(FULL_E6)],
        (LegState.FILLED, FULL_E6),
    ),
    "killed in part": (
        OrderType.FAK,
        [
            ev.Accepted("0", STATUS.MATCHED, 4_000_000),
            ev.OrderSeen("0", STATUS.CANCELED, 4_000_000),
            trade(4_000_000),
        ],
        (LegState.CANCELED, 4_000_000),
    ),
    "rested, hit, canceled": (
        OrderType.GTC,
        [
            ev.Accepted("0", STATUS.LIVE),
            ev.OrderSeen("0", STATUS.LIVE, 4_000_000),
            ev.OrderSeen("0", STATUS.CANCELED, 4_000_000),
            trade(4_000_000),
            ev.CancelAnswer("0", True),
        ],
        (LegState.CANCELED, 4_000_000),
    ),
    "two trades, one fails": (
        OrderType.FAK,
        [
            ev.OrderSeen("0", STATUS.MATCHED, FULL_E6),
            trade(4_000_000, "a"),
            trade(6_000_000, "b", TradeStatus.MATCHED),
            trade(6_000_000, "b", TradeStatus.FAILED),
        ],
        (LegState.FAILED, 4_000_000),
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_arrival_ends_the_same(name):
    style, facts, (state, held) = STORIES[name]
    for order in permutations(facts):
        known = after(*order, style=style)
        assert known.held_e6 == held, order
        assert known.settled, order
        assert known.state is state, order


def test_a_canceled_order_is_not_resolved_before_its_amounts_are_known():
    known = after(ev.Accepted("0", STATUS.LIVE), ev.CancelAnswer("0", True), style=OrderType.GTC)
    assert known.state is LegState.CANCELED
    assert not known.resolved
    assert learn(known, ev.OrderSeen("0", STATUS.CANCELED, 0), 2).resolved


def test_a_fill_that_no_trade_accounts_for_is_not_resolved():
    known = after(ev.Accepted("0", STATUS.MATCHED, FULL_E6))
    assert known.state is LegState.FILLED
    assert not known.resolved


def test_a_refusal_after_a_trade_is_doubted():
    known = after(trade(4_000_000), ev.Refused("0", "no"))
    assert known.state is LegState.UNKNOWN
    assert not known.resolved


def test_a_gtc_order_that_matched_in_part_rests():
    known = after(ev.Accepted("0", STATUS.MATCHED, 4_000_000), style=OrderType.GTC)
    assert known.state is LegState.PARTIAL


def test_more_than_was_ordered_is_counted_too():
    known = after(ev.Accepted("0", STATUS.MATCHED, FULL_E6), trade(FULL_E6 + 300_000))
    assert (known.held_e6, known.state) == (FULL_E6 + 300_000, LegState.FILLED)


def test_amounts_of_a_trade_are_those_first_told():
    known = after(trade(FULL_E6, status=TradeStatus.MATCHED), trade(5))
    assert known.held_e6 == FULL_E6
    assert known.settled


@pytest.mark.parametrize("old", TradeStatus)
@pytest.mark.parametrize("new", TradeStatus)
def test_what_is_final_stays_and_old_news_is_old(old, new):
    final = {TradeStatus.CONFIRMED, TradeStatus.FAILED}
    expected = old if old in final or new is TradeStatus.MATCHED else new
    assert later(old, new) is expected
