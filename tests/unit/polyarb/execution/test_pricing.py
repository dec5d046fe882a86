"""Orders that complete or unwind are ones the exchange takes, at prices that the books have."""

import random

import pytest
from baskets import DEEP_E6, leg

from polyarb.domain.basket import Purpose
from polyarb.domain.money import Tick, units_text
from polyarb.domain.order import Side
from polyarb.exchange.amounts import market_amounts
from polyarb.execution.pricing import fee_e6_ceil, price_buy, price_sell

BUY = {"index": 0, "purpose": Purpose.COMPLETION, "slippage": 0}
SELL = {"index": 0, "purpose": Purpose.UNWIND, "slippage": 0}


def test_a_sale_walks_the_bids_and_is_limited_by_the_worst_of_them():
    priced = price_sell(leg(), ((4_400, 6_000_000), (4_300, 9_000_000)), 10_000_000, **SELL)
    order = priced.order
    assert (order.limit_e4, order.maker_e6, order.taker_e6) == (4_300, 10_000_000, 4_300_000)
    assert priced.cost_e6 == -(2_640_000 + 1_720_000)
    assert priced.bound_e6 == -4_300_000


def test_a_thin_book_takes_a_part():
    assert price_sell(leg(), ((4_400, 7_001_234),), 10_000_000, **SELL).order.maker_e6 == 7_000_000


@pytest.mark.parametrize("bids", [(), ((4_400, 4_990_000),)])
def test_what_the_bids_take_less_of_than_the_minimum_is_not_for_sale(bids):
    assert price_sell(leg(), bids, 10_000_000, **SELL) is None


def test_slippage_stops_at_the_last_tick():
    wide = SELL | {"slippage": 9}
    assert price_sell(leg(), ((200, DEEP_E6),), 10_000_000, **wide).order.limit_e4 == 100
    wide = BUY | {"slippage": 9}
    assert price_buy(leg(), ((9_800, DEEP_E6),), 10_000_000, **wide).order.limit_e4 == 9_900


def test_a_purchase_buys_the_minimum_or_a_dollar_at_least():
    few = price_buy(leg(), ((4_900, DEEP_E6),), 3_000_000, **BUY)
    assert few.order.taker_e6 >= 5_000_000
    cheap = price_buy(leg(), ((1_000, DEEP_E6),), 5_000_000, **BUY)
    assert cheap.order.maker_e6 == 1_000_000
    assert cheap.order.taker_e6 == 10_000_000


def test_a_purchase_that_the_asks_do_not_offer_has_no_price():
    assert price_buy(leg(), ((4_900, 9_999_999),), 10_000_000, **BUY) is None


def test_the_fee_is_the_exchanges_rounded_up():
    assert fee_e6_ceil(leg(rate_e6=40_000), 5_000, 10_000_000) == 100_000
    assert fee_e6_ceil(leg(rate_e6=250_000, exponent=2), 5_000, 10_000_000) == 156_250
    assert fee_e6_ceil(leg(rate_e6=40_000), 5_001, 1) == 10
    assert fee_e6_ceil(leg(), 5_000, 10_000_000) == 0


@pytest.mark.parametrize("seed", range(300))
def test_amounts_are_those_of_the_exchanges_own_rules(seed):
    draw = random.Random(seed)
    tick = draw.choice(list(Tick))
    steps = 10_000 // tick.step_e4
    price = draw.randrange(1, steps) * tick.step_e4
    one = leg(tick_e4=tick.step_e4, limit_e4=tick.step_e4, rate_e6=draw.choice([0, 70_000]))
    shares = draw.randrange(1, 100_000_000)
    levels = ((price, draw.choice([20_000_000, DEEP_E6, 10 * DEEP_E6])),)
    for side, price_of, extra in ((Side.BUY, price_buy, BUY), (Side.SELL, price_sell, SELL)):
        priced = price_of(one, levels, shares, **extra)
        if priced is None:
            continue
        order = priced.order
        ours = market_amounts(
            units_text(order.limit_e4, 4),
            units_text(order.maker_e6, 6),
            side,
            tick,
            minimum_size="5",
        )
        assert (order.maker_e6, order.taker_e6) == ours
        assert priced.bound_e6 >= priced.cost_e6 - 2 * 10_000  # a cent, and roundings
        assert side is Side.SELL or priced.shares_e6 >= shares
