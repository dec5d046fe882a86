"""Inventory and holds: sums that do not care how often or in what order they are told."""

import random

import pytest

from polyarb.domain.basket import TradeStatus
from polyarb.domain.order import Side
from polyarb.errors import FundsError, RangeError
from polyarb.execution.actions import Commit, Credit, Release, Reserve
from polyarb.execution.events import Traded
from polyarb.execution.positions import Holds, Position, Positions

MATCHED, MINED = TradeStatus.MATCHED, TradeStatus.MINED
CONFIRMED, FAILED = TradeStatus.CONFIRMED, TradeStatus.FAILED


def trade(trade_id, shares, cash, status=CONFIRMED, *, fee=0, order_id="o"):
    return Traded(order_id, trade_id, shares * 1_000_000, cash, fee, status)


def positions(*fills):
    its = Positions()
    for side, fill in fills:
        its.learn("7", side, fill)
    return its


def test_bought_shares_count_when_they_are_settled():
    its = positions((Side.BUY, trade("a", 10, 4_500_000, MATCHED)))
    assert its.of("7") == Position(arriving_e6=10_000_000, cost_e6=4_500_000)
    its.learn("7", Side.BUY, trade("a", 10, 4_500_000, MINED))
    assert its.of("7") == Position(shares_e6=10_000_000, cost_e6=4_500_000)


def test_sold_shares_are_gone_when_they_are_matched():
    its = positions(
        (Side.BUY, trade("a", 10, 4_500_000, fee=100_000)),
        (Side.SELL, trade("b", 4, 2_000_000, MATCHED, fee=40_000)),
    )
    assert its.of("7") == Position(
        shares_e6=6_000_000,
        leaving_e6=4_000_000,
        cost_e6=2_760_000,
        realised_e6=2_000_000 - 40_000 - 1_840_000,
        fees_e6=140_000,
    )
    assert its.of("7").average_e4 == 4_600


def test_a_trade_that_fails_never_was():
    its = positions((Side.BUY, trade("a", 10, 4_500_000, MATCHED)))
    assert its.learn("7", Side.BUY, trade("a", 10, 4_500_000, FAILED))
    assert its.of("7") == Position()
    assert its.tokens() == ("7",)


def test_one_trade_can_fill_two_orders_and_each_counts_once():
    its = positions(
        (Side.BUY, trade("a", 10, 4_500_000)),
        (Side.BUY, trade("a", 5, 2_250_000, order_id="p")),
    )
    assert not its.learn("7", Side.BUY, trade("a", 5, 2_250_000, order_id="p"))
    assert its.of("7").shares_e6 == 15_000_000


def test_an_unknown_token_is_an_empty_position():
    assert Positions().of("9") == Position()
    assert Position().average_e4 == 0


@pytest.mark.parametrize("seed", range(50))
def test_the_order_of_what_is_told_does_not_matter(seed):
    draw = random.Random(seed)
    told = []
    for number in range(8):
        side = draw.choice(list(Side))
        shares, cash = draw.randint(1, 50), draw.randint(1, 10**8)
        last = draw.choice([CONFIRMED, FAILED])
        told += [
            (side, trade(str(number), shares, cash, status, fee=number))
            for status in draw.choice([(MATCHED, last), (MATCHED, MINED, last), (last,)])
        ]
    expected = positions(*told).of("7")
    for _ in range(5):
        shuffled = draw.sample(told * 2, len(told) * 2)
        assert positions(*shuffled).of("7") == expected
    bought = sum(f.cash_e6 + f.fee_e6 for s, f in told if s is Side.BUY and f.status is CONFIRMED)
    sold = sum(f.cash_e6 - f.fee_e6 for s, f in told if s is Side.SELL and f.status is CONFIRMED)
    assert expected.realised_e6 - expected.cost_e6 == sold - bought


def test_two_baskets_never_hold_the_same_cash():
    holds = Holds(10_000_000)
    holds.apply("a", Reserve(7_000_000))
    with pytest.raises(FundsError, match="4000000 e6 to hold, 3000000 e6 available"):
        holds.apply("b", Reserve(4_000_000))
    assert (holds.available_e6, holds.held_e6, holds.of("b")) == (3_000_000, 7_000_000, 0)


def test_a_hold_is_spent_credited_and_given_back():
    holds = Holds(10_000_000)
    holds.apply("a", Reserve(7_000_000))
    holds.apply("a", Commit(5_000_000, 5_000_000))
    holds.apply("a", Credit(5_000_000, hold=True))
    holds.apply("a", Commit(8_000_000, 7_000_000))
    holds.apply("a", Credit(500_000, hold=False))
    assert (holds.of("a"), holds.available_e6, holds.cash_e6) == (0, 2_500_000, 2_500_000)
    with pytest.raises(RangeError, match="basket a holds 0 e6, not 1 e6"):
        holds.apply("a", Release(1))


def test_cash_below_nothing_is_refused():
    with pytest.raises(RangeError, match="cash_e6 -1"):
        Holds(-1)
