"""Ladders: what implies what, and everything that may look like it."""

from dataclasses import replace

import catalogues
import pytest
from catalogues import POLICY, SOURCE, YES_IF, above, by, event, market, named, relations, whys

from polyarb.detection import ladder
from polyarb.detection.policy import Policy

ONE = 1_000_000


def built(markets, policy=POLICY):
    return list(ladder.build([event(markets)], policy))


def test_a_higher_price_implies_each_lower_one():
    markets = above(100_000, 110_000, 120_000)
    made = built(markets)
    assert whys(made) == []
    pairs = {frozenset(named(each, [event(markets)])) for each in relations(made)}
    question = "Will the price of Bitcoin be above ${}on March 12?".format
    low, middle, high = (question(f"{level:,} ") for level in (100_000, 110_000, 120_000))
    assert pairs == {
        frozenset({(low, "Yes"), (middle, "No")}),
        frozenset({(low, "Yes"), (high, "No")}),
        frozenset({(middle, "Yes"), (high, "No")}),
    }
    assert {each.payoff_e6 for each in relations(made)} == {ONE}


def test_the_states_are_every_side_of_both_boundaries():
    (made,) = relations(built(above(100, 110)))
    assert [(state.name, state.pays_e6) for state in made.states] == [
        ("up to 100", (0, ONE)),
        ("above 100, up to 110", (ONE, ONE)),
        ("above 110", (ONE, 0)),
    ]
    assert made.realise == "hold"
    assert made.until_ms == catalogues.END_MS


def test_a_lower_price_implies_each_higher_one_where_it_is_below():
    markets = above(90, 80, word="below", what="is lower than")
    (made,) = relations(built(markets))
    assert named(made, [event(markets)]) == {
        ("Will the price of Bitcoin be below $90 on March 12?", "Yes"),
        ("Will the price of Bitcoin be below $80 on March 12?", "No"),
    }


def test_reached_and_dipped_to_are_two_ladders():
    def hits(word, side, level):
        what = f'any 1-minute candle has a final "{side}" price equal to or {{}} the listed price'
        rule = YES_IF.format(what=what.format("greater than" if side == "High" else "lower than"))
        return market(f"Will Bitcoin {word} ${level} in March?", rule, group_title=f"{level}")

    markets = [hits("reach", "High", level) for level in (110, 120)]
    markets += [hits("dip to", "Low", level) for level in (80, 90)]
    found = [named(each, [event(markets)]) for each in relations(built(markets))]
    assert found == [
        {
            ("Will Bitcoin reach $110 in March?", "Yes"),
            ("Will Bitcoin reach $120 in March?", "No"),
        },
        {
            ("Will Bitcoin dip to $90 in March?", "Yes"),
            ("Will Bitcoin dip to $80 in March?", "No"),
        },
    ]


def test_units_are_scaled_before_they_are_compared():
    rule = YES_IF.format(what="the value of the token is greater than the value in the title")
    levels = ("$500M", "$1B", "$1.5B", "$2 billion")
    markets = [
        market(f"FDV above {level} one day after launch?", rule, group_title=level)
        for level in levels
    ]
    made = relations(built(markets))
    assert len(made) == 6
    implied = [leg.token for each in made for leg in each.legs if leg.outcome == "Yes"]
    assert implied.count(markets[0].tokens[0]) == 3
    assert markets[3].tokens[0] not in implied


def test_reached_is_not_compared_with_being_above():
    reach = YES_IF.format(what="any candle has a price equal to or greater than the listed price")
    markets = [
        above(100)[0],
        market("Will the price of Bitcoin reach $110 on March 12?", reach, group_title="110"),
    ]
    made = built(markets)
    assert relations(made) == []
    assert set(whys(made)) == {"no_neighbour"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"source": "https://other.example"}, "source"),
        ({"end_ms": catalogues.END_MS + 1}, "end_date"),
        ({"end_ms": None}, "end_date"),
        ({"rules": (above(1)[0].rules[0], "Other paragraphs.")}, "rules"),
        ({"rules": ()}, "no_rules"),
        ({"outcomes": ("Up", "Down")}, "outcomes"),
        ({"seconds_delay": 3}, "seconds_delay"),
        ({"uma_status": "proposed"}, "resolving"),
        ({"group_title": "120,000"}, "title"),
        ({"group_title": "↓ 110"}, "title"),
        ({"question": "Will the price of Bitcoin be above 110% on March 12?"}, "units"),
        ({"question": "Will the price of Ether be above $110 on March 12?"}, "no_neighbour"),
        ({"question": "Will the price of Bitcoin be above $110 on March 13?"}, "no_neighbour"),
        ({"question": "If it snows, will Bitcoin be above $110 on March 12?"}, "condition"),
        ({"question": "Will Bitcoin be above $110 and above $120?"}, "several_slots"),
        ({"question": "Will it snow?"}, "no_slot"),
    ],
)
def test_what_differs_in_more_than_the_number_is_left_out(change, why):
    low, high = above(100, 110)
    made = built([low, replace(high, **change)])
    assert relations(made) == []
    assert why in whys(made)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("the price is lower than the price specified in the title", "direction"),
        ("the price is higher than the listed price and never lower than it", "direction"),
        ("the price is not above the price specified in the title", "direction"),
        ("the price is equal to the price specified in the title", "direction"),
        ("the price is above the title's; it pays 50-50 if there is none", "split"),
    ],
)
def test_rules_that_do_not_say_the_same_as_the_question_are_left_out(what, why):
    rule = YES_IF.format(what=what)
    markets = [replace(each, rules=(rule,)) for each in above(100, 110)]
    made = built(markets)
    assert relations(made) == []
    assert set(whys(made)) == {why}


@pytest.mark.parametrize(
    "question",
    [
        "Will it finish above {}th place in March?",  # the higher place is the smaller number
        "Will Bitcoin not be above ${} on March 12?",
        "Will it fail to get above ${} on March 12?",
        "Will it never be above ${} on March 12?",
    ],
)
def test_questions_that_turn_the_order_round_are_left_out(question):
    markets = [replace(each, question=question.format(n)) for n, each in enumerate(above(4, 5), 4)]
    assert relations(built([replace(each, group_title="") for each in markets])) == []


def test_a_low_whose_rules_speak_of_above_is_left_out():
    """As the venue once wrote them: copied from the HIGH markets of the same page."""
    rule = YES_IF.format(what="for any week the rate is equal to or above the listed rate")
    markets = [market(f"Will the rate hit {n}% (LOW) by May 1, 2026?", rule) for n in (5, 6)]
    assert relations(built(markets)) == []
    assert set(whys(built(markets))) == {"direction"}


def test_hit_needs_a_direction():
    rule = YES_IF.format(what="it hits the listed number")
    markets = [market(f"Will it hit {n} subscribers?", rule) for n in (480, 490)]
    assert set(whys(built(markets))) == {"direction"}


def test_a_threshold_in_the_rules_must_be_the_questions_own():
    def at(level, said):
        what = f"the price is higher than {said} at noon"
        return replace(above(level)[0], rules=(YES_IF.format(what=what),))

    assert len(relations(built([at(100, 100), at(110, 110)]))) == 1
    assert relations(built([at(100, 100), at(110, 100)])) == []


def test_seconds_delay_is_the_operators_choice():
    markets = [replace(each, seconds_delay=3) for each in above(100, 110)]
    assert len(relations(built(markets, Policy(seconds_delay=True)))) == 1


def test_a_window_from_the_markets_creation_must_not_open_later_for_the_implied():
    what = "the price is above the listed price between the creation of this market and March 12"
    low, high = (replace(each, rules=(YES_IF.format(what=what),)) for each in above(100, 110))
    day_ms = 86_400_000
    early, late = catalogues.START_MS, catalogues.START_MS + day_ms
    assert relations(built([replace(low, start_ms=early), replace(high, start_ms=late)]))
    made = built([replace(low, start_ms=late), replace(high, start_ms=early)])
    assert (relations(made), whys(made)) == ([], ["window"])
    unknown = [replace(each, start_ms=None) for each in (low, high)]
    assert whys(built(unknown)) == ["window"]


def test_only_steps_within_reach_are_paired_on_a_long_ladder():
    short, long = above(*range(100, 164)), above(*range(100, 165))
    assert len(relations(built(short))) == 64 * 63 // 2
    made = relations(built(long))
    assert len(made) == sum(min(ladder.REACH, 64 - step) for step in range(64))


# -- deadlines


def test_an_earlier_deadline_implies_each_later_one():
    markets = by("March 31, 2026", "June 30, 2026", "December 31, 2026")
    made = relations(built(markets))
    assert len(made) == 3
    assert named(made[0], [event(markets)]) == {
        ("Treaty by June 30, 2026?", "Yes"),
        ("Treaty by March 31, 2026?", "No"),
    }
    assert [state.name for state in made[0].states] == [
        "up to March 31, 2026",
        "above March 31, 2026, up to June 30, 2026",
        "above June 30, 2026",
    ]


@pytest.mark.parametrize("listed", ["the listed date", "11:59 PM ET on the date in the title"])
def test_rules_may_leave_the_date_to_the_title(listed):
    markets = by("March 31, 2026", "June 30, 2026", what=f"a treaty is signed by {listed}")
    assert len(relations(built(markets))) == 1


def test_the_year_may_stand_in_the_rules_or_the_short_title():
    said = [
        replace(each, question=each.question.replace(", 2026", ""))
        for each in by("March 31, 2026", "June 30, 2026")
    ]
    assert len(relations(built(said))) == 1
    listed = by("March 31", "June 30", what="a treaty is signed by the listed date")
    assert whys(built(listed)) == ["no_year"]
    titled = [
        replace(each, group_title=f"{date}, 2026")
        for each, date in zip(listed, ("March 31", "June 30"), strict=True)
    ]
    assert len(relations(built(titled))) == 1


def test_years_order_deadlines_of_different_years():
    markets = by("December 31, 2025", "March 31, 2026")
    (made,) = relations(built(markets))
    assert named(made, [event(markets)]) == {
        ("Treaty by March 31, 2026?", "Yes"),
        ("Treaty by December 31, 2025?", "No"),
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"question": "Treaty on June 30, 2026?"}, "date"),
        ({"question": "Treaty in June 2026?"}, "date"),
        ({"question": "Treaty by the end of June 2026?"}, "date"),
        ({"question": "Treaty before June 30, 2026?"}, "no_neighbour"),
        ({"question": "Treaty by June 30, 2026, or by May 1, 2026?"}, "several_slots"),
        ({"question": "Treaty by June 31, 2026?"}, "date"),
        ({"group_title": "June 29"}, "title"),
        ({"group_title": "June 30, 2027"}, "title"),
        ({"end_ms": catalogues.END_MS - 1}, "end_date"),
        ({"source": "https://other.example"}, "source"),
    ],
)
def test_what_is_no_later_deadline_of_the_same_is_left_out(changes, why):
    early, late = by("March 31, 2026", "June 30, 2026")
    made = built([early, replace(late, **changes)])
    assert relations(made) == []
    assert why in whys(made)


@pytest.mark.parametrize(
    "what",
    [
        "the price is above it on {date}",  # at a date, not by it
        "a treaty is in force as of {date}",
        "a treaty is signed",  # no date at all
    ],
)
def test_rules_must_say_by_as_well(what):
    made = built(by("March 31, 2026", "June 30, 2026", what=what))
    assert (relations(made), whys(made)) == ([], ["date"])


@pytest.mark.parametrize(
    "asked",
    [
        "Fewer than 10 strikes by {}?",
        "Unemployment at least 5% by {}?",
        "Will he still be in office by {}?",
        "Will the truce hold by {}?",
        "Will it stay open by {}?",
        "No strikes by {}?",
        "Will it be the largest company by {}?",
        "Exactly 3 strikes by {}?",
    ],
)
def test_what_may_be_over_again_by_the_later_date_is_left_out(asked):
    dates = ("March 31, 2026", "June 30, 2026")
    markets = [
        replace(each, question=asked.format(date))
        for each, date in zip(by(*dates), dates, strict=True)
    ]
    assert relations(built(markets)) == []


@pytest.mark.parametrize(
    "what",
    ["he remains in office by {date}", "it has not fallen by {date}", "it still holds by {date}"],
)
def test_rules_that_ask_what_is_still_so_are_left_out(what):
    made = built(by("March 31, 2026", "June 30, 2026", what=what))
    assert (relations(made), whys(made)) == ([], ["date"])


def test_a_window_must_lie_in_the_other():
    def within(begins, ends):
        return by(ends, what=f"it is signed between {begins}, and {ends}, 11:59 PM ET")[0]

    early = within("January 6, 2026", "March 31, 2026")
    inside = within("January 6, 2026", "June 30, 2026")
    wider = within("January 2, 2026", "June 30, 2026")
    later = within("February 1, 2026", "June 30, 2026")
    assert len(relations(built([early, inside]))) == 1
    assert len(relations(built([early, wider]))) == 1
    assert whys(built([early, later])) == ["window"]
    assert whys(built([early, by("June 30, 2026")[0]])) == ["rules"]


def test_another_one_counts_from_when_the_market_was_made():
    early, late = (
        replace(each, question=f"Another {each.question}")
        for each in by("March 31, 2026", "June 30, 2026")
    )
    assert len(relations(built([early, late]))) == 1
    late = replace(late, start_ms=catalogues.START_MS + 86_400_000)
    assert whys(built([early, late])) == ["window"]


def test_events_before_the_start_of_the_market_are_a_window_too():
    note = "Events that occurred prior to the start of this market will not qualify."
    early, late = (
        replace(each, rules=(*each.rules, note)) for each in by("March 31, 2026", "June 30, 2026")
    )
    late = replace(late, start_ms=catalogues.START_MS + 86_400_000)
    assert whys(built([early, late])) == ["window"]


def test_numbers_too_long_to_be_exact_are_not_compared():
    long = "1" * 16
    markets = [*above(100), replace(above(100)[0], question=f"Will it be above ${long} on May 1?")]
    assert relations(built(markets)) == []


@pytest.mark.parametrize(
    "text", ["1" * 20_000, "1,111" * 4_000, "a " * 10_000, '"yes" if ' * 2_000]
)
def test_long_texts_cost_no_time(text):
    rule = f'It will resolve to "Yes" if {text} is above the price in the title.'
    made = built([replace(each, rules=(rule,)) for each in above(100, 110)])
    assert len(made) == 1


def test_texts_that_look_like_our_own_marks_do_no_harm():
    rule = YES_IF.format(what="<n> is higher than <d> the price <x> in the title <m>")
    markets = [
        market(f"Will <n> and <d> be above ${level} on March 12?", rule, SOURCE)
        for level in (100, 110)
    ]
    assert len(relations(built(markets))) == 1
