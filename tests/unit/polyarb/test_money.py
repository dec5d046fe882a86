"""Money: decimal values become integers exactly or are refused; ticks; rounding against us."""

import random
from decimal import Decimal

import pytest
from reference import fixed

from polyarb.domain.money import (
    CashE6,
    PriceE4,
    SizeE6,
    Tick,
    cost_e6_ceil,
    decimal_units,
    decimal_units_floor,
    proceeds_e6_floor,
    units_text,
)
from polyarb.errors import ArgumentTypeError, InputError, MalformedError, RangeError


@pytest.mark.parametrize(
    ("value", "decimals", "units"),
    [
        ("0.5", 4, 5_000),
        (".5", 4, 5_000),
        ("30.", 6, 30_000_000),
        ("30", 6, 30_000_000),
        ("0.500000000", 4, 5_000),
        ("000.0001", 4, 1),
        ("0", 6, 0),
        ("219.217767", 6, 219_217_767),
        ("9223372036854.775807", 6, 2**63 - 1),
        ("0." + "0" * 500, 6, 0),
        ("0" * 500 + "1", 6, 1_000_000),
        (5, 6, 5_000_000),
        (Decimal("0.5"), 4, 5_000),
        (Decimal("1E+2"), 6, 100_000_000),
        (Decimal("1E-6"), 6, 1),
        (Decimal("0E+999999"), 6, 0),
        (Decimal("0.10"), 1, 1),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_units_are_the_exact_integer(value, decimals, units):
    assert decimal_units("price", value, decimals) == units


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "-1",
        "+1",
        "1e3",
        "1E3",
        " 1",
        "1 ",
        "1\n",
        "1_000",
        "1,000",
        "0x1",
        "1..2",
        "1.2.3",
        "nan",
        "NaN",
        "inf",
        "Infinity",
        "١",
        "½",
        "1\x00",
        "--1",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-1"),
        Decimal("-0"),
        -1,
    ],
    ids=repr,
)
def test_what_is_no_plain_number_is_malformed(value):
    with pytest.raises(MalformedError, match="size"):
        decimal_units("size", value, 6)
    with pytest.raises(MalformedError, match="size"):
        decimal_units_floor("size", value, 6)


@pytest.mark.parametrize("value", ["0.00001", Decimal("0.12345"), Decimal("1E-80")], ids=repr)
def test_a_digit_beyond_the_unit_is_malformed_and_never_rounded(value):
    with pytest.raises(MalformedError, match="more than 4 decimals"):
        decimal_units("price", value, 4)


def test_a_float_is_refused_with_the_reason():
    with pytest.raises(
        ArgumentTypeError, match=r"price: float 0\.1 is not exact; pass a str or Decimal"
    ):
        decimal_units("price", 0.1, 4)


@pytest.mark.parametrize("value", [True, None, b"1", [1], 1j], ids=repr)
def test_other_types_are_refused(value):
    with pytest.raises(ArgumentTypeError, match="price must be a str, Decimal or int"):
        decimal_units("price", value, 4)


@pytest.mark.parametrize(
    "value",
    [
        "9" * 81,
        "9" * 100000,
        "0." + "1" * 100000,
        "1" + "0" * 100000,
        10**80,
        10**6000,
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        Decimal("1" * 41 + "E+40"),
        Decimal("9" * 6000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_unbounded_length_is_refused_before_any_work_is_done_on_it(value):
    for parse in (decimal_units, decimal_units_floor):
        with pytest.raises(RangeError, match="more than 80 digits") as caught:
            parse("size", value, 6)
        assert len(str(caught.value)) < 200


def test_a_message_does_not_repeat_a_text_of_any_length():
    for text in ("x" * 100_000, "0" * 100_000 + "1.00000001", "0" * 100_000 + "9" * 30):
        with pytest.raises(InputError) as caught:
            decimal_units("size", text, 6)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("decimals", "bound"), [(0, 2**63 - 1), (6, "9223372036854.775807")])
def test_units_end_at_64_bits(decimals, bound):
    above = Decimal(2**63).scaleb(-decimals)
    with pytest.raises(RangeError, match=f"size {above} is above {bound}"):
        decimal_units("size", above, decimals)


@pytest.mark.parametrize("decimals", [-1, 19])
def test_decimals_outside_the_table_are_refused(decimals):
    for parse in (decimal_units, decimal_units_floor):
        with pytest.raises(RangeError, match="decimals"):
            parse("size", 0, decimals)


@pytest.mark.parametrize(
    ("value", "units"),
    [("7.88214", 788), ("8.2", 820), ("0.009", 0), (Decimal("1.999999"), 199), (3, 300)],
    ids=str,
)
def test_floor_cuts_and_never_rounds_up(value, units):
    assert decimal_units_floor("size", value, 2) == units


def test_units_agree_with_the_slow_twin_on_generated_text():
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for _ in range(5_000):
        text = "".join(rng.choices("0123456789.-e ", [9] * 10 + [6, 1, 1, 1], k=rng.randint(0, 24)))
        decimals = rng.randint(0, 18)
        try:
            got = decimal_units("text", text, decimals)
        except MalformedError:
            got = "malformed"
        except RangeError:
            got = "range"
        assert got == fixed.verdict(text, decimals), (seed, text, decimals)


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (5_000, 4, "0.5"),
        (9_975, 4, "0.9975"),
        (30_000_000, 6, "30"),
        (0, 6, "0"),
        (1, 6, "0.000001"),
    ],
)
def test_units_text_is_the_shortest_exact_text(units, decimals, text):
    assert units_text(units, decimals) == text


@pytest.mark.parametrize(
    ("price_e4", "size_e6", "cost_e6", "proceeds_e6"),
    [
        (5_000, 1, 1, 0),
        (5_000, 2, 1, 1),
        (1, 9_999, 1, 0),
        (1, 10_000, 1, 1),
        (9_999, 0, 0, 0),
        (9_999, 10**18, 9_999 * 10**14, 9_999 * 10**14),
        (3_333, 10**18 + 1, 3_333 * 10**14 + 1, 3_333 * 10**14),
    ],
)
def test_costs_round_up_and_proceeds_round_down(price_e4, size_e6, cost_e6, proceeds_e6):
    assert cost_e6_ceil(PriceE4(price_e4), SizeE6(size_e6)) == CashE6(cost_e6)
    assert proceeds_e6_floor(PriceE4(price_e4), SizeE6(size_e6)) == CashE6(proceeds_e6)


@pytest.mark.parametrize(
    ("text", "price_decimals", "amount_decimals", "step_e4"),
    [
        ("0.1", 1, 3, 1_000),
        ("0.01", 2, 4, 100),
        ("0.005", 3, 5, 50),
        ("0.0025", 4, 6, 25),
        ("0.001", 3, 5, 10),
        ("0.0001", 4, 6, 1),
    ],
)
def test_ticks_are_the_six_of_the_exchange(text, price_decimals, amount_decimals, step_e4):
    tick = Tick.of(text)
    assert (tick.value, tick.price_decimals, tick.amount_decimals, tick.step_e4) == (
        text,
        price_decimals,
        amount_decimals,
        step_e4,
    )
    assert tick is Tick(text) is Tick.of(tick) is Tick.of(Decimal(text)) is Tick.of(text + "00")
    assert len(Tick) == 6


@pytest.mark.parametrize("value", ["0.02", "0", "1", "0.00001", Decimal("0.0050001"), 1], ids=repr)
def test_another_tick_is_out_of_range_and_the_message_lists_the_six(value):
    with pytest.raises(RangeError, match=r"tick .* is not one of 0\.1, 0\.01, .*0\.0001"):
        Tick.of(value)


@pytest.mark.parametrize(
    ("value", "error"), [(0.01, ArgumentTypeError), (None, ArgumentTypeError), ("", MalformedError)]
)
def test_what_is_no_number_is_no_tick(value, error):
    with pytest.raises(error, match="tick"):
        Tick.of(value)
