"""Ranges: a parent, the parts that make it up, and the boundaries between them."""

from dataclasses import replace

import catalogues
import pytest
from catalogues import GROUP, POLICY, event, market, named, relations, whys

from polyarb.detection import ladder, ranges
from polyarb.detection.relation import Strategy

ONE = 1_000_000
SHARED = (
    "This market will resolve according to the official closing price of Gold on March 12, 2026.",
    "A price exactly on a boundary belongs to the higher range.",
)


def close(words, *rules, **changes):
    return market(f"Will Gold (GC) close {words} on March 12?", *(rules or SHARED), **changes)


def three(*rules):
    return [
        close("above $100", *rules),
        close("between $100 and $110", *rules),
        close("above $110", *rules),
    ]


def built(*events):
    return list(ranges.build(events, POLICY))


def test_a_parent_is_its_upper_part_and_the_range_between():
    markets = three()
    parts, parent = relations(built(event(markets)))
    low, middle, high = (each.question for each in markets)
    assert named(parts, [event(markets)]) == {(low, "No"), (middle, "Yes"), (high, "Yes")}
    assert parts.payoff_e6 == ONE
    assert parts.strategies == (Strategy.TRIANGLE_BUY, Strategy.SELL_PARENT_BUY_CHILDREN)
    assert named(parent, [event(markets)]) == {(low, "Yes"), (middle, "No"), (high, "No")}
    assert parent.payoff_e6 == 2 * ONE
    assert parent.strategies == (Strategy.BUY_PARENT_SELL_CHILDREN,)
    assert [state.name for state in parts.states] == [
        "below 100",
        "from 100, below 110",
        "from 110",
    ]


def test_several_ranges_may_lie_between():
    markets = [
        close("above $100"),
        close("between $100 and $110"),
        close("between $110 and $120"),
        close("above $120"),
    ]
    made = relations(built(event(markets)))
    assert sorted(each.payoff_e6 // ONE for each in made) == [1, 3]
    assert all(len(each.legs) == 4 for each in made)


def test_a_range_may_itself_be_divided():
    markets = [
        close("between $100 and $120"),
        close("between $100 and $110"),
        close("between $110 and $120"),
    ]
    assert len(relations(built(event(markets)))) == 2


def test_nothing_is_built_where_a_part_is_missing():
    markets = [close("above $100"), close("between $100 and $105"), close("above $110")]
    assert built(event(markets)) == []


def test_what_is_reached_within_a_time_is_not_divided():
    """A price may reach 105 and 115 in one month."""
    rules = ("This market resolves by any closing price in March.", SHARED[1])
    made = built(event(three(*rules)))
    assert (relations(made), whys(made)) == ([], ["period"])


def test_nobody_saying_who_owns_the_boundary_is_a_refusal():
    made = built(event(three(SHARED[0])))
    assert (relations(made), whys(made)) == ([], ["strictness"])


@pytest.mark.parametrize(
    "change", [{"source": "https://other.example"}, {"end_ms": 1}, {"rules": ("Other.",)}]
)
def test_parts_by_other_rules_are_no_parts(change):
    low, middle, high = three()
    assert built(event([low, replace(middle, **change), high])) == []


# -- a ladder of one event and the brackets of another

NOON = (
    'final "Close" price of the Binance 1 minute candle for BTC/USDT 12:00 in the ET timezone '
    "(noon) on the date specified in the title"
)


def threshold(level, *, inclusive, noon=NOON):
    word = "equal to or higher than" if inclusive else "higher than"
    rule = f'This market will resolve to "Yes" if the {noon} is {word} the price in the title.'
    question = f"Will the price of Bitcoin be above ${level:,} on March 12?"
    return market(question, rule, event_id="1")


def brackets(*words, day="March 12"):
    rules = (
        f"This market will resolve according to the {NOON}.",
        "If the reported value falls exactly between two brackets, then this market will resolve "
        "to the higher range bracket.",
    )
    markets = [
        market(
            f"Will the price of Bitcoin be {each} on {day}?",
            *rules,
            event_id="2",
            neg_risk=True,
            neg_risk_id=GROUP,
            question_index=index,
        )
        for index, each in enumerate(words)
    ]
    return event(markets, id="2", slug="price", neg_risk_id=GROUP)


def ladder_of(*levels, **options):
    return event([threshold(level, **options) for level in levels], id="1", slug="above")


BETWEEN = "between ${:,} and ${:,}".format


def test_two_events_with_the_same_reading_are_one_line():
    pair = (ladder_of(100, 110, inclusive=True), brackets(BETWEEN(100, 110)))
    parts, parent = relations(built(*pair))
    assert (parts.payoff_e6, parent.payoff_e6) == (ONE, 2 * ONE)
    implied = [each for each in relations(ladder.build(pair, POLICY)) if each.event_id == "1"]
    names = [named(each, pair) for each in implied]
    assert {
        ("Will the price of Bitcoin be above $100 on March 12?", "Yes"),
        ("Will the price of Bitcoin be between $100 and $110 on March 12?", "No"),
    } in names


def test_above_and_a_bracket_that_owns_its_low_end_do_not_meet():
    """At exactly 110 neither "above 110" nor "100 to 110" pays."""
    pair = (ladder_of(100, 110, inclusive=False), brackets(BETWEEN(100, 110)))
    made = built(*pair)
    assert (relations(made), whys(made)) == ([], ["strictness"])
    # The bracket lies in "above 90" whoever owns 100, but not in "above 100".
    pair = (ladder_of(90, 100, inclusive=False), brackets(BETWEEN(100, 110)))
    across = [
        each
        for each in relations(ladder.build(pair, POLICY))
        if any("between" in question for question, _ in named(each, pair))
    ]
    assert [named(each, pair) for each in across] == [
        {
            ("Will the price of Bitcoin be above $90 on March 12?", "Yes"),
            ("Will the price of Bitcoin be between $100 and $110 on March 12?", "No"),
        }
    ]


@pytest.mark.parametrize(
    "other",
    [
        ladder_of(100, 110, inclusive=True, noon=NOON.replace("BTC/USDT", "BTC/USDC")),
        ladder_of(100, 110, inclusive=True, noon=NOON.replace("12:00", "13:00")),
        ladder_of(100, 110, inclusive=True, noon=NOON.replace("Binance", "Kraken")),
    ],
)
def test_another_pair_time_or_source_is_another_line(other):
    assert built(other, brackets(BETWEEN(100, 110))) == []


def test_another_day_is_another_line():
    first = ladder_of(100, 110, inclusive=True)
    assert built(first, brackets(BETWEEN(100, 110), day="March 13")) == []
    later = brackets(BETWEEN(100, 110))
    moved = replace(
        later,
        markets=tuple(replace(each, end_ms=catalogues.END_MS + 1) for each in later.markets),
    )
    assert built(first, moved) == []
