"""Neg-risk sets: when all YES pay 1, when k NO pay k - 1, and when nobody can tell."""

from dataclasses import replace

import pytest
from catalogues import POLICY, closed, negrisk, relations, whys

from polyarb.detection import bracket, negrisk_no, negrisk_yes
from polyarb.detection.policy import Policy

ONE = 1_000_000


def yes(event, policy=POLICY):
    return list(negrisk_yes.build([event], policy))


def no(event, policy=POLICY):
    return list(negrisk_no.build([event], policy))


def test_one_of_all_yes_pays():
    (made,) = relations(yes(negrisk("Ann", "Bob", "Cid")))
    assert made.payoff_e6 == ONE
    assert [leg.outcome for leg in made.legs] == ["Yes"] * 3
    assert [(state.name, state.pays_e6) for state in made.states] == [
        ("Ann", (ONE, 0, 0)),
        ("Bob", (0, ONE, 0)),
        ("Cid", (0, 0, ONE)),
    ]
    assert made.realise == "hold"


def test_all_no_pay_all_but_one_and_convert_at_once():
    (made,) = relations(no(negrisk("Ann", "Bob", "Cid")))
    assert made.payoff_e6 == made.convert_e6 == 2 * ONE
    assert made.realise == "convert"
    assert len(made.states) == 3


def test_a_conversion_keeps_the_events_fee():
    (made,) = relations(no(negrisk("Ann", "Bob", "Cid", fee_bips=25)))
    assert made.payoff_e6 == 2 * ONE
    assert made.convert_e6 == 1_995_000
    assert made.realise == "hold"


def test_no_of_some_markets_pays_in_the_state_of_none_of_them():
    event = negrisk("Ann", "Bob", "Cid", left_out=(closed(3, None),))
    (made,) = relations(no(event))
    assert (made.states[-1].name, made.states[-1].pays_e6) == ("none of these", (ONE,) * 3)
    assert made.payoff_e6 == 2 * ONE


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (negrisk("Ann", "Bob", augmented=True), "augmented"),
        (negrisk("Ann", "Bob", left_out=(closed(2, None),)), "left_out"),
        (negrisk("Ann", "Bob", left_out=(closed(2, 10_000),)), "left_out"),
        (negrisk("Ann", "Bob", left_out=(closed(2, 5_000),)), "left_out"),
        (negrisk("Ann", "Bob", left_out=(closed(3, 0),)), "gap"),
        (negrisk("Ann", "Bob", whole=False), "not_whole"),
        (negrisk("Ann", left_out=(closed(1, 0),)), "single"),
        (negrisk("Ann", "Bob", rules=""), "no_rules"),
        (negrisk("Ann", "Bob", rules="If it is canceled, it will resolve to 'No'."), "all_no"),
        (negrisk("Ann", "Bob", rules='If nobody wins it resolves "No".'), "all_no"),
        (negrisk("Ann", "Bob", rules='If it is canceled it settles as "No".'), "all_no"),
        (negrisk("Ann", "Bob", rules="If it is canceled it will resolve N/A."), "split"),
        (negrisk("Ann", "Bob", rules="If it is canceled all trades are void."), "split"),
        (negrisk("Ann", "Bob", rules="If it is a tie it resolves 50-50."), "split"),
        (negrisk("Ann", "Bob", rules='If nobody wins it will resolve to "Other".'), "other"),
        (negrisk(*map(str, range(300))), "not_exhaustive"),
        (negrisk(*(f"Person {name}" for name in range(300))), "too_many"),
    ],
)
def test_a_set_that_may_pay_nothing_is_left_out(event, why):
    if not event.markets[0].rules[0]:
        event = replace(event, markets=tuple(replace(m, rules=()) for m in event.markets))
    assert whys(yes(event)) == [why]
    assert relations(yes(event)) == []


def test_what_resolved_no_is_not_bought():
    event = negrisk("Ann", "Bob", left_out=(closed(2, 0), closed(3, 0)))
    (made,) = relations(yes(event))
    assert len(made.legs) == 2


@pytest.mark.parametrize(
    "rules",
    [
        'Otherwise, this market will resolve to "No".',
        'It resolves "Yes" if she wins. Otherwise, it will resolve to "No".',
        'If it becomes impossible for this team to win, it resolves immediately to "No".',
        'If no statement is released it will resolve to the "No change" bracket.',
        "If no data is there by April it will resolve to the lowest range bracket.",
    ],
)
def test_rules_that_only_one_market_can_meet_are_no_doubt(rules):
    assert len(relations(yes(negrisk("Ann", "Bob", rules=rules)))) == 1


def test_an_other_among_the_outcomes_may_be_named_in_the_rules():
    event = negrisk("Ann", "Other", rules='If nobody wins it will resolve to "Other".')
    assert len(relations(yes(event))) == 1
    flagged = replace(event, markets=(event.markets[0], replace(event.markets[1], other=True)))
    assert whys(yes(flagged)) == ["other"]


def test_a_canceled_match_may_be_the_operators_risk():
    event = negrisk("Ann", "Draw", "Bob", rules='If it is canceled it resolves to "No".')
    assert len(relations(yes(event, Policy(all_no=True)))) == 1


def test_seconds_delay_and_answers_under_way_are_left_out():
    event = negrisk("Ann", "Bob", "Cid")
    first = replace(event.markets[0], seconds_delay=3)
    delayed = replace(event, markets=(first, *event.markets[1:]))
    assert whys(yes(delayed)) == ["seconds_delay"]
    (made,) = relations(no(delayed))
    assert (len(made.legs), made.payoff_e6) == (2, ONE)
    assert len(relations(yes(delayed, Policy(seconds_delay=True)))) == 1
    disputed = replace(event, markets=(replace(first, uma_status="disputed"), *event.markets[1:]))
    assert whys(yes(disputed)) == ["seconds_delay"]
    assert whys(yes(disputed, Policy(seconds_delay=True))) == ["resolving"]


def test_two_markets_with_one_title_are_two_states():
    (made,) = relations(yes(negrisk("Ann", "Ann", "Bob")))
    assert len({state.name for state in made.states}) == 3


# -- brackets


@pytest.mark.parametrize(
    "titles",
    [
        ("<41.0", "41.0–41.4", "41.5–41.9", "42.0+"),
        ("≤47", "48", "49", "50+"),
        ("<18", "18-20", "21-23", "24+"),
        ("<$2.00", "$2.00–2.25", "$2.25–2.50", "≥$2.50"),
        ("<420k", "420 - 422.5k", "422.5 - 425k", ">425k"),
        ("22°C or below", "23°C", "24°C", "25°C or higher"),
        ('<2"', '2-3"', '>3"'),
        ("≤-0.4%", "-0.3– -0.1%", "0.0–0.2%", "0.3%+"),
        ("<14m sq km", "14-14.2m sq km", "14.2m+ sq km"),
        ("<0", "0", "1-100", "101-1k", ">1k"),
        ("≤5", "6-9", "10 or more"),
    ],
)
def test_brackets_that_leave_nothing_out_need_no_list_of_all_markets(titles):
    assert bracket.check(titles, counted=False) is True
    assert bracket.check(titles[::-1], counted=False) is True
    assert len(relations(yes(negrisk(*titles, whole=False)))) == 1


@pytest.mark.parametrize(
    ("titles", "why"),
    [
        (("<3", "4-6", "7+"), "not_exhaustive"),
        (("<-1.0%", "-0.9 – -0.5%", "-0.4%+"), "not_exhaustive"),
        (("2", "3", "≥4"), "not_exhaustive"),
        (("<3", "3", "4"), "not_exhaustive"),
        (("<3", ">3"), "not_exhaustive"),
        (("56+", "58+", "60+"), "overlap"),
        (("<5", "4-6", "7+"), "overlap"),
        (("≤5", "5", "6+"), "overlap"),
        (("<3%", "3-4°C", "5°C+"), "units"),
    ],
)
def test_brackets_that_miss_or_share_a_number_are_no_set(titles, why):
    assert bracket.check(titles, counted=False) == why
    assert whys(yes(negrisk(*titles))) == [why]


def test_counts_begin_at_nothing():
    titles = ("0", "1", "2", "3+")
    assert bracket.check(titles, counted=False) == "not_exhaustive"
    assert bracket.check(titles, counted=True) is True
    assert len(relations(yes(negrisk(*titles, title="How many?", whole=False)))) == 1


def test_brackets_that_were_passed_may_be_closed():
    event = negrisk("20-39", "40-59", "60+", left_out=(closed(3, 0),))
    assert len(relations(yes(event))) == 1
    hole = negrisk("<20", "40-59", "60+", left_out=(closed(3, 0),))
    assert whys(yes(hole)) == ["not_exhaustive"]


def test_overlapping_brackets_give_no_set_of_no_either():
    assert whys(no(negrisk("56+", "58+"))) == ["overlap"]


@pytest.mark.parametrize("title", ["Ann", "Democrats 16%+", "No change", "", "1.2.3", "12-"])
def test_other_titles_are_no_brackets(title):
    assert bracket.read(title) is None


def test_a_long_title_is_no_bracket_and_costs_no_time():
    assert bracket.read("5" + " a" * 140 + "!") is None
    assert bracket.read("5 " + "a" * 290 + "!") is None
    assert bracket.read("5-6" + "a" * 280 + "-") is None


def test_a_number_that_the_question_compares_is_not_that_number():
    event = negrisk("0", "1", "2+", title="How many seats?")
    wrong = replace(event.markets[1], question="Will they win less than or equal to 1 seat?")
    mixed = replace(event, markets=(event.markets[0], wrong, event.markets[2]))
    assert whys(yes(mixed)) == ["title"]
