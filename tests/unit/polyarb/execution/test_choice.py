"""What is done about a basket that is not whole sets."""

import random
from itertools import chain, combinations

import pytest
from baskets import DEEP_E6, books, leg, near, nothing, plan, thin

from polyarb.domain.basket import UNIT_E6, Purpose
from polyarb.domain.order import Side
from polyarb.execution import choice
from polyarb.execution.choice import Holding, choose, is_whole, loss_e6
from polyarb.execution.events import Book

CASH_E6 = 10_000_000


def chosen(its, nets, spent, quoted, **changes):
    return choose(
        its, Holding(nets, spent), quoted, **({"cash_e6": CASH_E6, "buy": True} | changes)
    )


def sides(option):
    return [(one.order.leg, one.order.side, one.order.purpose) for one in option.orders]


ONE_SIDED = ((10_000_000, 0), 4_500_000)
BUY_1 = [(1, Side.BUY, Purpose.COMPLETION)]
SELL_0 = [(0, Side.SELL, Purpose.UNWIND)]


def test_the_loss_of_a_holding_counts_whole_sets_only():
    assert loss_e6(plan(), Holding((10_000_000, 4_000_000), 6_420_000)) == 2_420_000
    assert loss_e6(plan(), Holding((-2_000_000, 0), -1_000_000)) == 1_000_000


def test_completing_is_chosen_where_it_costs_less():
    option = chosen(plan(), *ONE_SIDED, near())
    assert sides(option) == BUY_1
    assert option.loss_e6 == 4_500_000 + 4_900_000 - 10_000_000


def test_selling_is_chosen_where_it_costs_less():
    option = chosen(plan(), *ONE_SIDED, thin())
    assert sides(option) == SELL_0
    assert (option.loss_e6, option.worst_e6) == (200_000, 200_000)


def test_nothing_is_bought_without_cash_or_when_halted():
    assert sides(chosen(plan(), *ONE_SIDED, near(), cash_e6=4_899_999)) == SELL_0
    assert sides(chosen(plan(), *ONE_SIDED, near(), buy=False)) == SELL_0


def test_nothing_without_books_or_outside_the_cap():
    assert chosen(plan(), *ONE_SIDED, nothing()) is None
    assert chosen(plan(), *ONE_SIDED, books([2_000, 2_000], [9_800, 9_800])) is None


def test_a_thin_bid_is_taken_where_its_price_is_inside_the_cap():
    quoted = books([4_300, 0], [9_800, 9_800], size_e6=6_000_000)
    option = chosen(plan(), *ONE_SIDED, quoted)
    assert option.orders[0].order.maker_e6 == 6_000_000


def test_worthless_odds_and_ends_are_held():
    its = plan(loss_cap_e6=5_000_000)
    nets = (10_000_000, 10_000_000 - 300_000)  # 0.3 shares cannot be sold, and buying takes 5
    assert not is_whole(its, nets)
    option = chosen(its, nets, 9_000_000, near())
    assert option.orders == ()


def test_two_missing_legs_are_bought_only_if_one_of_them_alone_is_inside_the_cap():
    prices = (3_000, 3_000, 3_000)
    holding = ((10_000_000, 0, 0), 3_000_000)
    quoted = books([0, 0, 0], [3_100, 3_100, 3_100])
    assert chosen(plan(prices, loss_cap_e6=6_000_000), *holding, quoted) is None
    option = chosen(plan(prices, loss_cap_e6=6_100_000), *holding, quoted)
    assert option.worst_e6 == 6_100_000
    assert len(option.orders) == 2


def test_weights_count():
    its = plan(legs=(leg(0, weight=2, shares_e6=20_000_000), leg(1)), payoff_e6=1_500_000)
    option = chosen(its, (20_000_000, 0), 9_000_000, books([0, 0], [4_600, 4_900]))
    assert option.orders[0].order.taker_e6 == 10_000_000
    assert is_whole(its, (20_000_000, 10_000_000))


@pytest.mark.parametrize("seed", range(200))
def test_the_worst_is_the_worst_of_every_subset_and_part(seed):
    """`_judged` looks at a few ends; here are all of them, and many points between."""
    draw = random.Random(seed)
    count = draw.randint(2, 5)
    legs = tuple(
        leg(index, draw.randrange(500, 4_000, 100), rate_e6=draw.choice([0, 50_000]))
        for index in range(count)
    )
    its = plan(legs=legs, loss_cap_e6=10**12, slack_e6=10**9)
    nets = tuple(draw.choice([0, 0, 4_000_000, 10_000_000]) for _ in legs)
    holding = Holding(nets, draw.randrange(0, 10_000_000))
    quoted = tuple(
        Book(((one.limit_e4 - 100, DEEP_E6),), ((one.limit_e4 + 100, DEEP_E6),)) for one in legs
    )
    for orders in choice._candidates(its, nets, quoted):
        worst = choice._judged(its, holding, orders).worst_e6
        every = range(len(orders))
        for filled in chain.from_iterable(combinations(every, n) for n in range(1, count + 1)):
            after = choice._after(its, holding, [orders[i] for i in filled], quoted=False)
            assert loss_e6(its, after) <= worst
        for _ in range(50):
            parts = [draw.randrange(UNIT_E6 + 1) for _ in orders]
            part = partly(its, holding, orders, parts)
            assert loss_e6(its, part) <= max(worst, loss_e6(its, holding)) + len(orders) + 1


def partly(its, holding, orders, parts):
    nets, spent = list(holding.nets_e6), holding.spent_e6
    for priced, part in zip(orders, parts, strict=True):
        order = priced.order
        shares = order.shares_e6 * part // UNIT_E6
        nets[order.leg] += shares if order.side is its.legs[order.leg].side else -shares
        spent += -(-priced.bound_e6 * part // UNIT_E6)
    return Holding(tuple(nets), spent)
