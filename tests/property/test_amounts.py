"""Order amounts on generated orders: the decimal twin's numbers, and the exchange's own rules."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import amounts as reference

from polyarb.domain.money import Tick
from polyarb.errors import MinimumSizeError, PriceRangeError, TickError
from polyarb.exchange.amounts import check_price, limit_amounts, market_amounts

thousands = settings(max_examples=2_000, deadline=None)

ticks = st.sampled_from(list(Tick))
sides = st.sampled_from(["BUY", "SELL"])
# Up to 8 decimals, small and large alike; "0.01" is the least that can be ordered.
sizes = st.one_of(
    st.integers(10**6, 10**9),
    st.integers(10**6, 10**15),
    st.integers(1, 10**7).map(lambda cents: cents * 10**6),
).map(lambda n: f"{Decimal(n).scaleb(-8):f}")


@st.composite
def on_grid(draw):
    tick = draw(ticks)
    step = draw(st.integers(1, 10_000 // tick.step_e4 - 1))
    return tick, f"{Decimal(step * tick.step_e4).scaleb(-4):f}"


@st.composite
def anywhere(draw):
    tick = draw(ticks)
    numerator = draw(st.integers(tick.step_e4 * 1_000, (10_000 - tick.step_e4) * 1_000))
    return tick, f"{Decimal(numerator).scaleb(-7):f}"


@thousands
@given(on_grid(), sizes, sides)
def test_limit_amounts_are_the_twins_and_keep_the_servers_rules(market, size, side):
    tick, price = market
    amounts = limit_amounts(price, size, side, tick)
    assert amounts == reference.limit(price, size, side, tick.value)
    quote, shares = amounts if side == "BUY" else reversed(amounts)
    assert Fraction(quote, shares) == Fraction(price), "the limit is encoded exactly"
    assert shares % 10_000 == 0, "shares have at most 2 decimals"
    assert quote % 10 ** (6 - tick.amount_decimals) == 0, "so has the quote the tick's"
    assert 0 <= Fraction(size) * 10**6 - shares < 10_000, "never more than was asked for"


@thousands
@given(st.one_of(on_grid(), anywhere()), sizes, sides)
def test_market_amounts_are_the_twins_and_keep_the_servers_rules(market, amount, side):
    tick, price = market
    expected = reference.market(price, amount, side, tick.value)
    if not expected[1]:
        with pytest.raises(MinimumSizeError):
            market_amounts(price, amount, side, tick, marketable=False)
        return
    amounts = market_amounts(price, amount, side, tick, marketable=False)
    assert amounts == expected
    assert amounts.maker % 10_000 == 0, "at most 2 decimals"
    assert amounts.taker % 100 == 0, "at most 4 decimals"
    assert amounts.taker % 10 ** (6 - tick.amount_decimals) == 0, "nor more than the tick's"
    assert 0 <= Fraction(amount) * 10**6 - amounts.maker < 10_000, "never more than was asked for"


@thousands
@given(on_grid(), sizes, sides)
def test_the_worst_price_of_a_market_order_moves_only_by_the_rounding_of_what_we_get(
    market, amount, side
):
    tick, price = market
    step = 10 ** (6 - min(tick.amount_decimals, 4))
    try:
        maker, taker = market_amounts(price, amount, side, tick, marketable=False)
    except MinimumSizeError:
        return
    exact = maker / Fraction(price) if side == "BUY" else maker * Fraction(price)
    assert 0 <= exact - taker < step
    if side == "BUY":
        limit = Fraction(maker, taker)
        assert limit >= Fraction(price), "an ask exactly at the limit still crosses"
        assert limit - Fraction(price) < Fraction(price) * step / taker


@thousands
@given(ticks, st.integers(0, 12_000_000).map(lambda n: f"{Decimal(n).scaleb(-7):f}"))
def test_price_verdicts_are_the_twins(tick, price):
    expected = reference.price_verdict(price, tick.value)
    try:
        assert check_price(price, tick) == Decimal(price) * 10_000
        verdict = "valid"
    except PriceRangeError:
        verdict = "range"
    except TickError:
        verdict = "grid"
    assert verdict == expected


@pytest.mark.parametrize("tick", Tick)
def test_every_price_of_every_grid_is_valid_and_no_other_of_four_decimals(tick):
    valid = set(range(tick.step_e4, 10_000, tick.step_e4))
    for price_e4 in range(10_001):
        price = f"{price_e4 // 10_000}.{price_e4 % 10_000:04d}"
        try:
            accepted = check_price(price, tick) == price_e4
        except (PriceRangeError, TickError):
            accepted = False
        assert accepted is (price_e4 in valid), price
