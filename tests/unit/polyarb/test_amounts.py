"""Order amounts against the values of the official decimal SDK, and everything that is refused."""

import enum
from decimal import Decimal

import pytest
from conftest import vectors
from reference import amounts as reference

from polyarb.domain.money import Tick
from polyarb.errors import (
    ArgumentTypeError,
    InputError,
    MalformedError,
    MinimumNotionalError,
    MinimumSizeError,
    PriceRangeError,
    RangeError,
    RefusedError,
    TickError,
)
from polyarb.exchange.amounts import Amounts, check_price, limit_amounts, market_amounts


class Side(enum.StrEnum):
    BUY = "BUY"
    SELL = "SELL"


def cases(name):
    return [pytest.param(case, id=case["id"]) for case in vectors(name)]


@pytest.mark.parametrize("case", cases("order_amounts"))
def test_limit_amounts_are_those_of_the_decimal_sdk(case):
    arguments = (case["price"], case["size"], case["side"], case["tick_size"])
    expected = case["sdk_decimal"]
    if "error" in expected:
        with pytest.raises(TickError, match=f"price {case['price']} is not a multiple of tick"):
            limit_amounts(*arguments)
        return
    assert limit_amounts(*arguments) == (int(expected["maker"]), int(expected["taker"]))
    assert reference.limit(*arguments) == (int(expected["maker"]), int(expected["taker"]))


@pytest.mark.parametrize("case", cases("market_order_amounts"))
def test_market_amounts_are_those_of_the_decimal_sdk_cut_to_four_decimals(case):
    arguments = (case["price"], case["amount"], case["side"], case["tick_size"])
    maker, taker = (int(case["sdk_decimal"][key]) for key in ("maker", "taker"))
    assert market_amounts(*arguments) == (maker, taker // 100 * 100)
    assert reference.market_sdk(*arguments) == (maker, taker)


@pytest.mark.parametrize("case", cases("tick_grid"))
def test_a_price_is_valid_exactly_on_the_grid(case):
    if case["valid"]:
        price_e4 = check_price(case["price"], case["tick_size"])
        assert price_e4 == Decimal(case["price"]) * 10_000
        assert type(price_e4) is int
        return
    expected = PriceRangeError if "must be between" in case["sdk_error"] else TickError
    with pytest.raises(expected):
        check_price(case["price"], case["tick_size"])


@pytest.mark.parametrize("case", cases("price_range"))
def test_a_price_outside_the_range_is_refused_as_such(case):
    try:
        check_price(case["price"], case["tick_size"])
        in_range = True
    except TickError:
        in_range = True
    except PriceRangeError:
        in_range = False
    assert in_range is case["in_range"]


@pytest.mark.parametrize(
    ("price", "tick", "bounds"),
    [
        ("1.2", "0.01", "0.01..0.99"),
        ("0", "0.1", "0.1..0.9"),
        ("1", "0.0025", "0.0025..0.9975"),
        ("0.00009", "0.0001", "0.0001..0.9999"),
        (Decimal("5E+70"), "0.005", "0.005..0.995"),
    ],
)
def test_a_price_out_of_range_is_named_with_its_bounds(price, tick, bounds):
    message = f"price {price} is outside {bounds} for tick {tick}"
    for call in (
        lambda: check_price(price, tick),
        lambda: limit_amounts(price, 10, "BUY", tick),
        lambda: market_amounts(price, 10, "SELL", tick),
    ):
        with pytest.raises(PriceRangeError) as caught:
            call()
        assert str(caught.value) == message


def test_a_price_between_two_ticks_is_never_rounded():
    with pytest.raises(TickError, match=r"price 0\.555 is not a multiple of tick 0\.01"):
        limit_amounts("0.555", "10", "BUY", "0.01")


def test_a_coarse_price_fits_a_finer_tick():
    assert limit_amounts("0.5", "10", "BUY", "0.0001") == limit_amounts("0.5", "10", "BUY", "0.1")


@pytest.mark.parametrize("size", ["8.2", "131.2", "8.20", Decimal("8.2"), "0.29", "1.15"], ids=str)
def test_sizes_that_binary_floats_lose_a_cent_of_are_kept_whole(size):
    expected = int(Decimal(size) * 10**6)
    assert limit_amounts("0.5", size, "SELL", "0.01").maker == expected
    assert market_amounts("0.5", size, "SELL", "0.01").maker == expected


def test_a_price_that_binary_floats_floor_to_the_next_tick_is_kept():
    """0.57 * 100 is 56.99999999999999 in binary; the older SDKs order at 0.56."""
    assert market_amounts("0.57", "179.01", "BUY", "0.01") == (179_010_000, 314_052_600)


def test_the_taker_amount_of_a_market_order_never_has_more_than_four_decimals():
    """On a 0.001 tick the SDK writes 5, which was refused (py-clob-client-v2 issue 99)."""
    assert reference.market_sdk("0.536", "1.0", "BUY", "0.001") == (1_000_000, 1_865_670)
    assert market_amounts("0.536", "1.0", "BUY", "0.001") == Amounts(1_000_000, 1_865_600)


def test_the_sdks_round_up_before_the_floor_changes_nothing_at_the_nearest_miss():
    """99.98 / 0.9999 lies 1/9999 of a base unit below a whole one; no quotient lies nearer."""
    floor = 9_998 * 10**8 // 9_999
    assert (floor + 1) * 9_999 - 9_998 * 10**8 == 1
    assert reference.market_sdk("0.9999", "99.98", "BUY", "0.0001") == (99_980_000, floor)
    assert market_amounts("0.9999", "99.98", "BUY", "0.0001").taker == floor // 100 * 100


@pytest.mark.parametrize("tick", ["0.01", "0.010", ".01", Decimal("0.01"), Tick.T_0_01], ids=repr)
@pytest.mark.parametrize("side", ["BUY", Side.BUY], ids=repr)
@pytest.mark.parametrize("size", ["100", 100, Decimal("1E+2")], ids=repr)
def test_equal_arguments_of_any_accepted_type_give_equal_amounts(tick, side, size):
    amounts = limit_amounts(Decimal("0.25"), size, side, tick)
    assert amounts == (25_000_000, 100_000_000)
    assert (amounts.maker, amounts.taker) == (25_000_000, 100_000_000)
    assert market_amounts(Decimal("0.25"), size, side, tick) == (100_000_000, 400_000_000)


@pytest.mark.parametrize("function", [limit_amounts, market_amounts])
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((0.5, "10", "BUY", "0.01"), ArgumentTypeError, "float 0.5 is not exact"),
        (("0.5", 10.0, "BUY", "0.01"), ArgumentTypeError, "float 10.0 is not exact"),
        (("0.5", "10", "BUY", 0.01), ArgumentTypeError, "float 0.01 is not exact"),
        (("0.5", "10", None, "0.01"), ArgumentTypeError, "side"),
        (("0.5", "10", 0, "0.01"), ArgumentTypeError, "side"),
        (("0.5", "10", "buy", "0.01"), RangeError, "side 'buy'"),
        (("0.5", "10", "BUY", "0.02"), RangeError, "tick 0.02"),
        (("5e-1", "10", "BUY", "0.01"), MalformedError, "price"),
        (("-0.5", "10", "BUY", "0.01"), MalformedError, "price"),
        (("0.5", "-10", "BUY", "0.01"), MalformedError, "-10"),
        (("0.5", "NaN", "BUY", "0.01"), MalformedError, "NaN"),
        (("0.5", Decimal("Infinity"), "BUY", "0.01"), MalformedError, "Infinity"),
    ],
)
def test_arguments_that_are_no_order_are_refused(function, arguments, error, says):
    with pytest.raises(error, match=says):
        function(*arguments)


@pytest.mark.parametrize("size", ["0", "0.009999", Decimal("1E-70"), 0], ids=str)
@pytest.mark.parametrize("function", [limit_amounts, market_amounts])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_size_that_is_cut_to_nothing_is_refused(function, size, side):
    with pytest.raises(MinimumSizeError, match=r"below 0\.01"):
        function("0.5", size, side, "0.01")


def test_a_sale_that_brings_nothing_is_refused():
    with pytest.raises(MinimumSizeError, match="is worth nothing"):
        market_amounts("0.0001", "0.99", "SELL", "0.0001")
    assert market_amounts("0.0001", "1", "SELL", "0.0001") == (1_000_000, 100)


@pytest.mark.parametrize("size", ["9223372036854.78", "9" * 30, 10**40], ids=str)
@pytest.mark.parametrize("function", [limit_amounts, market_amounts])
def test_a_size_beyond_64_bits_is_refused_with_the_bound(function, size):
    with pytest.raises(RangeError, match=f"{size} is above 9223372036854"):
        function("0.5", size, "SELL", "0.01")


def test_the_largest_size_is_accepted():
    assert limit_amounts("0.99", "9223372036854.77", "SELL", "0.01").maker == 9223372036854_770000


def test_shares_beyond_64_bits_are_refused_with_the_bound():
    with pytest.raises(RangeError, match=r"shares .* is above 9223372036854\.775807"):
        market_amounts("0.0001", "9000000000", "BUY", "0.0001")


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_minimum_size_is_compared_with_the_size_as_it_is_cut(side):
    assert limit_amounts("0.5", "5", side, "0.01", minimum_size="5")
    with pytest.raises(MinimumSizeError, match=r"size 4\.99 is below the market's minimum 5"):
        limit_amounts("0.5", "4.999", side, "0.01", minimum_size="5")


def test_the_minimum_size_of_a_market_buy_is_compared_with_its_shares_at_the_worst_price():
    assert market_amounts("0.5", "2.5", "BUY", "0.01", minimum_size="5").taker == 5_000_000
    with pytest.raises(MinimumSizeError, match=r"size 4\.98 is below the market's minimum 5"):
        market_amounts("0.5", "2.49", "BUY", "0.01", minimum_size="5")
    with pytest.raises(MinimumSizeError, match=r"size 4\.99 is below the market's minimum 5"):
        market_amounts("0.9", "4.99", "SELL", "0.01", minimum_size=5)


def test_a_limit_buy_of_less_than_a_dollar_is_refused_only_if_it_crosses():
    assert limit_amounts("0.1", "9.9", "BUY", "0.01") == (990_000, 9_900_000)
    assert limit_amounts("0.1", "9.9", "SELL", "0.01", marketable=True).taker == 990_000
    assert limit_amounts("0.1", "10", "BUY", "0.01", marketable=True).maker == 1_000_000
    with pytest.raises(MinimumNotionalError, match=r"notional 0\.99 is below 1"):
        limit_amounts("0.1", "9.9", "BUY", "0.01", marketable=True)


def test_a_market_buy_of_less_than_a_dollar_is_refused():
    """It matches at once or dies, so it is marketable whatever the book holds."""
    with pytest.raises(MinimumNotionalError, match=r"notional 0\.99 is below 1"):
        market_amounts("0.1", "0.999", "BUY", "0.01")
    assert market_amounts("0.1", "0.99", "BUY", "0.01", marketable=False).maker == 990_000
    assert market_amounts("0.1", "0.99", "SELL", "0.01").taker == 99_000


def test_a_refused_order_is_both_a_refusal_and_bad_input():
    with pytest.raises(TickError) as caught:
        check_price("0.555", "0.01")
    assert isinstance(caught.value, RefusedError)
    assert isinstance(caught.value, InputError)
