"""Stories of single baskets; tests/property/test_baskets.py has all of them at once."""

from dataclasses import replace

import pytest
from baskets import PRICES, books, leg, near, nothing, plan, thin

from polyarb.domain.basket import (
    BasketState,
    LegState,
    Order,
    Outcome,
    Policy,
    Purpose,
    TradeStatus,
)
from polyarb.domain.order import OrderType, Side
from polyarb.execution import actions as act
from polyarb.execution import events as ev
from polyarb.execution.machine import Machine, recover

MATCHED, LIVE, CANCELED = ev.OrderStatus.MATCHED, ev.OrderStatus.LIVE, ev.OrderStatus.CANCELED
FULL_E6 = 10_000_000


class Trader:
    """A machine, and an executor that signs at once and keeps what was recorded."""

    def __init__(self, its=None):
        self.plan = its or plan()
        self.machine = Machine(self.plan)
        self.record = []
        self.sent = []
        self.tell(ev.Begin())
        self.tell(ev.Reserved())

    def tell(self, event):
        """Return the actions, those of the signing included."""
        actions = list(self.machine.handle(event))
        self.sent += [o for a in actions if isinstance(a, act.Send) for o in a.orders]
        self.record += [action.event for action in actions if isinstance(action, act.Journal)]
        for action in [a for a in actions if isinstance(a, act.Intend)]:
            count = len(self.machine.basket.orders)
            signed = tuple(
                replace(order, id=str(count + index)) for index, order in enumerate(action.orders)
            )
            self.record.append(ev.Journaled(signed))
            actions += self.tell(ev.Journaled(signed))
        return actions

    def fill(self, order_id, shares=FULL_E6, status=TradeStatus.CONFIRMED, trade="t"):
        """Tell of a trade at the order's limit."""
        order: Order = next(t.order for t in self.machine.basket.orders if t.order.id == order_id)
        amount = order.maker_e6 if order.side is Side.BUY else order.taker_e6
        cash = amount * shares // order.shares_e6
        return self.tell(ev.Traded(order_id, f"{trade}{order_id}", shares, cash, 0, status))

    @property
    def state(self):
        return self.machine.basket.state

    @property
    def legs(self):
        return [tracked.state for tracked in self.machine.basket.orders]


def only(actions, kind):
    """Return the one action of a kind."""
    (found,) = [action for action in actions if isinstance(action, kind)]
    return found


def kinds(actions):
    return [type(action) for action in actions]


def one_sided(its=None, **fill):
    """Return a trader with all of leg 0 and none of leg 1, asked for quotes."""
    trader = Trader(its)
    trader.fill("0", **fill)
    assert act.AskQuotes in kinds(trader.tell(ev.Refused("1", "no orders found to match")))
    return trader


def test_cash_is_held_then_the_intent_recorded_then_the_orders_sent():
    machine = Machine(plan())
    assert machine.handle(ev.Begin()) == (act.Reserve(plan().hold_e6),)
    (intend,) = machine.handle(ev.Reserved())
    assert [order.leg for order in intend.orders] == [0, 1]
    signed = tuple(replace(order, id=str(order.leg)) for order in intend.orders)
    assert machine.handle(ev.Journaled(signed)) == (act.Send(signed), act.Wait(plan().timeout_ns))
    sent = ev.Sent(("0", "1"))
    assert machine.handle(sent) == (act.Journal(sent),)
    assert machine.basket.state is BasketState.SENT


def test_a_basket_without_cash_is_blocked():
    machine = Machine(plan())
    machine.handle(ev.Begin())
    (close,) = machine.handle(ev.ReserveRefused())
    assert close.result.outcome is Outcome.BLOCKED
    assert machine.over


def test_a_basket_that_cannot_be_recorded_gives_its_cash_back_and_sends_nothing():
    machine = Machine(plan())
    machine.handle(ev.Begin())
    machine.handle(ev.Reserved())
    release, close = machine.handle(ev.JournalRefused("disk full"))
    assert release == act.Release(plan().hold_e6)
    assert close.result.outcome is Outcome.BLOCKED


def test_both_legs_filled_is_complete_and_closes_when_both_trades_are_confirmed():
    trader = Trader()
    trader.tell(ev.Accepted("0", MATCHED, FULL_E6))
    trader.tell(ev.Accepted("1", MATCHED, FULL_E6))
    assert trader.state is BasketState.COMPLETE
    assert only(trader.fill("0"), act.Commit) == act.Commit(4_500_000, 4_500_000)
    actions = trader.fill("1")
    assert only(actions, act.Release) == act.Release(1_000_000)
    result = only(actions, act.Close).result
    assert result.outcome is Outcome.COMPLETE
    assert result.pnl_e6 == 10_000_000 - 9_300_000
    assert result.sets_e6 == FULL_E6


def test_the_user_channel_may_be_first_and_the_answer_last():
    trader = Trader()
    trader.fill("0")
    trader.fill("1")
    assert trader.machine.over
    assert trader.tell(ev.Accepted("0", MATCHED, FULL_E6))[1:] == []
    assert trader.machine.over


def test_nothing_changes_however_often_it_is_told():
    trader = Trader()
    fact = ev.Traded("0", "t", FULL_E6, 4_500_000, 0, TradeStatus.MATCHED)
    assert trader.tell(fact)
    before = trader.machine.basket
    assert trader.tell(fact) == []
    assert trader.machine.basket == before


def test_no_leg_filled_is_over_without_a_question():
    trader = Trader()
    trader.tell(ev.Refused("0", "no match"))
    actions = trader.tell(ev.Refused("1", "no match"))
    assert only(actions, act.Close).result.outcome is Outcome.FAILED
    assert only(actions, act.Release).cash_e6 == trader.plan.hold_e6


def test_a_missing_leg_is_bought_when_that_is_cheapest():
    trader = one_sided()
    trader.tell(ev.Quotes(near()))
    order = trader.sent[-1]
    assert (order.leg, order.purpose, order.side) == (1, Purpose.COMPLETION, Side.BUY)
    assert (order.limit_e4, order.maker_e6, order.taker_e6) == (4_900, 4_900_000, FULL_E6)
    trader.tell(ev.Accepted("2", MATCHED, FULL_E6))
    actions = trader.fill("2")
    assert only(actions, act.Close).result.outcome is Outcome.COMPLETE


def test_a_filled_leg_is_sold_when_that_is_cheapest():
    trader = one_sided()
    trader.tell(ev.Quotes(thin()))
    order = trader.sent[-1]
    assert (order.leg, order.purpose, order.side) == (0, Purpose.UNWIND, Side.SELL)
    assert (order.limit_e4, order.maker_e6, order.taker_e6) == (4_300, FULL_E6, 4_300_000)
    actions = trader.fill("2")
    assert only(actions, act.Credit) == act.Credit(4_300_000, hold=False)
    result = only(actions, act.Close).result
    assert (result.outcome, result.pnl_e6) == (Outcome.UNWOUND, -200_000)


def test_shares_that_are_not_in_the_wallet_yet_are_not_sold():
    trader = one_sided(status=TradeStatus.MATCHED)
    actions = trader.tell(ev.Quotes(thin()))
    assert kinds(actions) == [act.Ask, act.Wait]
    trader.fill("0", status=TradeStatus.MINED)
    assert act.AskQuotes in kinds(trader.tell(ev.TimedOut()))
    trader.tell(ev.Quotes(thin()))
    assert trader.sent[-1].side is Side.SELL


def test_unequal_partial_fills_keep_their_whole_sets():
    trader = Trader(plan(loss_cap_e6=5_000_000))
    trader.fill("0")
    trader.tell(ev.Accepted("1", MATCHED, 4_000_000))
    assert act.AskQuotes in kinds(trader.fill("1", 4_000_000))
    trader.tell(ev.Quotes(thin()))
    assert trader.sent[-1].maker_e6 == 6_000_000
    result = only(trader.fill("2", 6_000_000), act.Close).result
    assert (result.outcome, result.sets_e6) == (Outcome.PARTIAL, 4_000_000)


def test_what_is_too_small_to_sell_is_held_inside_the_cap():
    trader = Trader(plan(loss_cap_e6=2_000_000, slack_e6=0, policy=Policy(attempts_max=2)))
    trader.fill("0")
    trader.tell(ev.Accepted("1", MATCHED, 7_000_000))
    trader.fill("1", 7_000_000)
    trader.tell(ev.Quotes(thin()))  # 3 shares are below the minimum of 5
    assert act.AskQuotes in kinds(trader.tell(ev.TimedOut()))
    actions = trader.tell(ev.Quotes(thin()))
    assert only(actions, act.Close).result.outcome is Outcome.HELD
    assert len(trader.sent) == 2


def test_what_cannot_be_brought_inside_the_cap_is_stranded_and_watched():
    its = plan(loss_cap_e6=1_000_000, policy=Policy(attempts_max=1))
    trader = one_sided(its)
    actions = trader.tell(ev.Quotes(nothing()))
    assert trader.state is BasketState.STRANDED
    assert {act.Trip, act.Alert, act.Release, act.Journal, act.Wait} <= set(kinds(actions))
    assert trader.tell(ev.TimedOut()) == [act.Wait(its.policy.settle_ns)]
    assert trader.machine.result.outcome is Outcome.STRANDED


def test_a_stranded_basket_that_comes_right_by_itself_is_closed():
    trader = one_sided(plan(policy=Policy(attempts_max=1)), status=TradeStatus.MATCHED)
    trader.tell(ev.Quotes(nothing()))
    assert trader.state is BasketState.STRANDED
    actions = trader.fill("0", status=TradeStatus.FAILED)
    assert only(actions, act.Close).result.outcome is Outcome.FAILED


def test_an_order_without_an_answer_is_asked_for_and_never_sent_again():
    trader = Trader()
    trader.fill("0")
    actions = trader.tell(ev.SendUnknown(("1",), "connection reset"))
    assert only(actions, act.Ask) == act.Ask(("1",))
    assert trader.legs == [LegState.FILLED, LegState.UNKNOWN]
    trader.tell(ev.OrderSeen("1", MATCHED, FULL_E6))
    trader.fill("1")
    assert trader.machine.over
    assert len(trader.sent) == 2


def test_an_order_counts_as_never_arrived_only_when_it_is_absent_again_and_again():
    trader = Trader(plan(policy=Policy(absent_max=3)))
    trader.fill("0")
    trader.tell(ev.SendUnknown(("1",), "time-out"))
    for _ in range(2):
        trader.tell(ev.Absent("1"))
        assert only(trader.tell(ev.TimedOut()), act.Ask).order_ids == ("1",)
    assert act.AskQuotes in kinds(trader.tell(ev.Absent("1")))


def test_an_order_seen_between_two_absences_is_not_gone():
    trader = Trader(plan(style=OrderType.GTC, policy=Policy(absent_max=2)))
    trader.tell(ev.Absent("0"))
    trader.tell(ev.OrderSeen("0", LIVE, 0))
    trader.tell(ev.Absent("0"))
    assert trader.legs[0] is LegState.UNKNOWN


def test_an_order_that_arrives_after_all_opens_the_question_again():
    trader = Trader(plan(policy=Policy(absent_max=1)))
    for order_id in ("0", "1"):
        trader.tell(ev.SendUnknown((order_id,), "time-out"))
        trader.tell(ev.Absent(order_id))
    assert trader.machine.over
    actions = trader.fill("1")
    assert only(actions, act.Commit) == act.Commit(4_800_000, 0)
    assert {act.Alert, act.AskQuotes} <= set(kinds(actions))
    trader.tell(ev.Quotes(near()))  # no cash is held any more: it can only sell
    assert trader.sent[-1].side is Side.SELL


def test_an_order_that_rests_after_all_is_canceled():
    trader = Trader(plan(style=OrderType.GTC, policy=Policy(absent_max=1)))
    for order_id in ("0", "1"):
        trader.tell(ev.Absent(order_id))
    assert trader.machine.over
    assert act.Cancel(("0",)) in trader.tell(ev.OrderSeen("0", LIVE, 0))


def test_a_trade_that_fails_is_reversed_and_opens_the_question_again():
    trader = Trader()
    trader.fill("0")
    trader.fill("1", status=TradeStatus.MATCHED)
    assert trader.state is BasketState.COMPLETE
    actions = trader.fill("1", status=TradeStatus.FAILED)
    assert only(actions, act.Credit) == act.Credit(4_800_000, hold=True)
    assert act.AskQuotes in kinds(actions)
    assert trader.legs == [LegState.FILLED, LegState.FAILED]
    trader.tell(ev.Quotes(near()))
    assert trader.sent[-1].purpose is Purpose.COMPLETION


def test_resting_orders_are_canceled_when_time_is_up_and_late_fills_counted():
    trader = Trader(plan(style=OrderType.GTC))
    trader.tell(ev.Accepted("0", LIVE))
    trader.tell(ev.Accepted("1", LIVE))
    actions = trader.tell(ev.TimedOut())
    assert only(actions, act.Cancel) == act.Cancel(("0", "1"))
    assert only(trader.tell(ev.CancelAnswer("0", True)), act.Ask) == act.Ask(("0",))
    trader.tell(ev.OrderSeen("0", CANCELED, 0))
    trader.tell(ev.CancelAnswer("1", False, "Order already matched"))
    assert trader.legs == [LegState.CANCELED, LegState.UNKNOWN]
    assert act.AskQuotes in kinds(trader.fill("1"))


def test_one_refused_leg_cancels_the_other_that_rests():
    trader = Trader(plan(style=OrderType.GTC))
    trader.tell(ev.Accepted("0", LIVE))
    assert only(trader.tell(ev.Refused("1", "no")), act.Cancel) == act.Cancel(("0",))


def test_an_order_that_comes_to_rest_when_it_should_not_is_canceled_at_once():
    trader = Trader(plan(style=OrderType.GTC))
    trader.tell(ev.Refused("0", "no"))
    assert only(trader.tell(ev.Accepted("1", LIVE)), act.Cancel) == act.Cancel(("1",))


def test_a_delayed_leg_is_waited_for_and_not_canceled():
    trader = Trader()
    trader.tell(ev.Accepted("0", ev.OrderStatus.DELAYED))
    assert act.Cancel not in kinds(trader.tell(ev.Refused("1", "no")))
    actions = trader.tell(ev.TimedOut())
    assert act.Cancel not in kinds(actions)
    assert only(actions, act.Ask).order_ids == ("0",)
    assert trader.state is BasketState.UNWINDING


def test_amounts_that_cannot_be_trusted_are_asked_for():
    trader = Trader()
    assert only(trader.tell(ev.Accepted("0", MATCHED, None)), act.Ask) == act.Ask(("0",))


def test_shares_that_no_trade_accounts_for_end_with_the_operator():
    trader = Trader(plan(policy=Policy(waits_max=2)))
    trader.tell(ev.Accepted("0", MATCHED, FULL_E6))
    trader.tell(ev.Accepted("1", MATCHED, FULL_E6))
    for _ in range(2):
        assert act.Trip not in kinds(trader.tell(ev.TimedOut()))
    assert act.Trip in kinds(trader.tell(ev.TimedOut()))


def test_trades_that_take_their_time_are_asked_for_as_long_as_it_takes():
    trader = Trader(plan(policy=Policy(waits_max=2)))
    trader.fill("0", status=TradeStatus.MATCHED)
    trader.fill("1", status=TradeStatus.MINED)
    alerts = 0
    for _ in range(9):
        actions = trader.tell(ev.TimedOut())
        assert only(actions, act.Ask).order_ids == ("0", "1")
        alerts += act.Alert in kinds(actions)
    assert alerts == 1
    assert trader.state is BasketState.COMPLETE


def test_halted_it_sells_and_buys_nothing_more():
    trader = one_sided(plan(loss_cap_e6=5_000_000))
    trader.tell(ev.Halted())
    trader.tell(ev.Quotes(near()))
    assert trader.sent[-1].side is Side.SELL


def test_orders_that_are_not_wanted_any_more_are_not_sent():
    """A late fill between the decision and the signature."""
    trader = Trader()
    trader.fill("0")
    trader.tell(ev.Refused("1", "no"))
    intend = only(trader.machine.handle(ev.Quotes(near())), act.Intend)
    trader.tell(ev.Traded("1", "late", FULL_E6, 4_800_000, 0, TradeStatus.MATCHED))
    signed = tuple(replace(order, id="2") for order in intend.orders)
    actions = trader.machine.handle(ev.Journaled(signed))
    assert act.Send not in kinds(actions)
    assert act.Journal(ev.Refused("2", "withdrawn")) in actions


def test_a_foreign_order_is_reported_and_nothing_else():
    trader = Trader()
    before = trader.machine.basket
    assert kinds(trader.tell(ev.OrderSeen("0xother", LIVE, 0))) == [act.Alert]
    assert trader.machine.basket == before


@pytest.mark.parametrize("upto", range(12))
def test_a_restart_takes_up_what_was_recorded(upto):
    """Cut anywhere: what is missing is asked for, nothing is sent twice."""
    trader = one_sided()
    trader.tell(ev.Quotes(thin()))
    trader.fill("2", status=TradeStatus.MATCHED)
    record = trader.record[: max(1, upto)]
    again = recover(trader.plan, record)
    actions = again.handle(ev.Restarted())
    assert act.Send not in kinds(actions)
    unsettled = {t.order.id for t in again.basket.orders if not t.settled}
    assert {i for a in actions if isinstance(a, act.Ask) for i in a.order_ids} == unsettled
    if upto >= len(trader.record):
        assert again.holding == trader.machine.holding


def test_a_restart_of_a_stranded_basket_halts_again():
    trader = one_sided(plan(policy=Policy(attempts_max=1)))
    trader.tell(ev.Quotes(nothing()))
    again = recover(trader.plan, trader.record)
    assert again.basket.state is BasketState.STRANDED
    assert act.Trip in kinds(again.handle(ev.Restarted()))


def test_a_leg_sold_out_of_inventory_is_bought_back_to_unwind():
    sold = leg(1, 5_200, side=Side.SELL, maker_e6=FULL_E6, taker_e6=5_200_000, cost_e6=0)
    its = plan(legs=(leg(0, 4_500), sold), loss_cap_e6=2_000_000, slack_e6=6_000_000)
    trader = Trader(its)
    trader.tell(ev.Refused("0", "no"))
    assert act.AskQuotes in kinds(trader.fill("1"))
    trader.tell(ev.Quotes(books([0, 5_100], [9_800, 5_300])))
    order = trader.sent[-1]
    assert (order.leg, order.side, order.limit_e4) == (1, Side.BUY, 5_300)
    result = only(trader.fill("2"), act.Close).result
    assert (result.outcome, result.pnl_e6) == (Outcome.UNWOUND, -100_000)


def test_what_is_open_and_held_can_be_asked_for():
    trader = one_sided()
    assert trader.machine.open_ids == ()
    assert trader.machine.holding.nets_e6 == (FULL_E6, 0)
    assert trader.machine.holding.spent_e6 == PRICES[0] * 1_000
