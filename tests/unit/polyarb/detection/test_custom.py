"""Relation files: each that is proven is taken, everything else is refused with its line."""

from dataclasses import replace

import pytest
from catalogues import POLICY, event, market, relations

from polyarb import errors
from polyarb.detection import custom
from polyarb.detection.refusal import Refused

ONE = 1_000_000
LOW = replace(market("Above 100?"), slug="low", tokens=("1001", "1002"))
HIGH = replace(market("Above 110?"), slug="high", tokens=("2001", "2002"))
SLOW = replace(market("Live?"), slug="slow", tokens=("3001", "3002"), seconds_delay=3)
MANY = [replace(market(f"Is it {n}?"), slug=f"m{n}") for n in range(12)]
EVENTS = [event([LOW, HIGH, SLOW, *MANY])]

LAST = '"below", no = ["low", "high"]'
GOOD = """\
[[relation]]
name = "implied"
title = "110 implies 100"
payoff = "1"
note = "since 110 > 100"
until = "2026-12-31"
legs = [
    { market = "low", outcome = "Yes" },
    { token = "2002", weight = 1 },
]
states = [
    { name = "above 110", yes = ["low", "high"] },
    { name = "between", yes = ["low"], no = ["high"] },
    { name = "below", no = ["low", "high"] },
]
impossible = [{ yes = ["high"], no = ["low"], because = "110 > 100" }]
"""


def read(text):
    return custom.read(text.encode(), EVENTS, POLICY)


def refused(text):
    """Return (reason, line) of everything refused, and the texts."""
    made = read(text)
    bad = [each for each in made if isinstance(each, Refused)]
    return [(each.why.value, each.line) for each in bad], " ".join(each.said for each in bad)


def line_of(text, part):
    return next(at for at, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_proven_relation_is_taken():
    (made,) = read(GOOD)
    assert made.payoff_e6 == ONE
    assert made.id.startswith("custom:implied:")
    assert [(leg.token, leg.outcome, leg.weight) for leg in made.legs] == [
        ("1001", "Yes", 1),
        ("2002", "No", 1),
    ]
    assert [state.pays_e6 for state in made.states] == [(ONE, 0), (ONE, ONE), (0, ONE)]
    assert made.until_ms == 1_798_675_200_000


def test_one_of_lists_its_states_by_itself():
    names = ", ".join(f'"m{n}"' for n in range(12))
    legs = ", ".join(f'{{ market = "m{n}", outcome = "No", weight = 2 }}' for n in range(12))
    text = f'[[relation]]\nname = "n"\npayoff = "22"\nlegs = [{legs}]\none_of = [{names}]\n'
    (made,) = read(text)
    assert made.payoff_e6 == 22 * ONE
    assert len(made.states) == 12


def test_states_may_be_those_of_another_relation_before_or_after():
    other = '[[relation]]\nname = "other"\npayoff = 1\nstates_of = "implied"\n'
    other += 'legs = [{ token = "1001" }, { market = "high", outcome = "No" }]\n'
    for text in (other + GOOD, GOOD + other):
        assert len(relations(read(text))) == 2


def test_a_market_may_be_named_by_slug_id_or_condition():
    for name in (LOW.id, LOW.condition_id):
        text = GOOD.replace('market = "low"', f'market = "{name}"')
        assert len(relations(read(text))) == 1


@pytest.mark.parametrize(
    ("old", "new", "why", "near"),
    [
        ('token = "2002"', 'token = "9"', "unknown_token", 'token = "9"'),
        ('token = "2002"', "token = 2002", "unknown_token", "token = 2002"),
        ('token = "2002"', 'token = "1001"', "duplicate", 'token = "1001"'),
        ('market = "low"', 'market = "lowest"', "unknown_name", '"lowest"'),
        ('market = "low"', "market = 7", "value", "[[relation]]"),
        ('outcome = "Yes"', 'outcome = "Maybe"', "unknown_name", '"Maybe"'),
        ("weight = 1", "weight = 0", "weight", "weight = 0"),
        ("weight = 1", "weight = -3", "weight", "weight = -3"),
        ("weight = 1", "weight = 1.5", "weight", "weight = 1.5"),
        ("weight = 1", "weight = true", "weight", "weight = true"),
        ("weight = 1", "weight = 512", "too_many", "legs ="),
        ("weight = 1", "wait = 1", "unknown_key", "wait = 1"),
        ('payoff = "1"', 'payoff = "1.000001"', "payoff", "payoff ="),
        ('payoff = "1"', 'payoff = "0.99"', "payoff", "payoff ="),
        ('payoff = "1"', "payoff = 1.0", "value", "payoff ="),
        ('payoff = "1"', 'payoff = "one"', "value", "payoff ="),
        ('payoff = "1"', 'payoff = "-1"', "value", "payoff ="),
        ('payoff = "1"', 'payoff = "1e3"', "value", "payoff ="),
        ('payoff = "1"', f'payoff = "{"9" * 400}"', "value", "payoff ="),
        ('payoff = "1"\n', "", "missing_key", "[[relation]]"),
        ('name = "implied"\n', "", "missing_key", "[[relation]]"),
        ('name = "implied"', 'name = " "', "value", "name ="),
        ('name = "implied"', "name = 3", "value", "name ="),
        ('name = "implied"', 'name = "a\\nb"', "value", "name ="),
        ('until = "2026-12-31"', 'until = "soon"', "value", "until ="),
        ('until = "2026-12-31"', "until = 2026-12-31", "value", "until ="),
        ('title = "', 'tilte = "', "unknown_key", "tilte"),
        ('"between"', '"below"', "duplicate", '"below"'),
        ('name = "between", ', "", "missing_key", "[[relation]]"),
        (f"{{ name = {LAST} }},", "", "states_missing", "states ="),
        (LAST, '"below", no = ["high"]', "states_overlap", '"below"'),
        (LAST, '"below", yes = ["low", "high"]', "states_overlap", "below"),
        (LAST, '"below"', "value", '"below"'),
        (LAST, '"below", yes = ["low"], no = ["low"]', "value", "below"),
        (LAST, '"below", no = "low"', "value", '"below"'),
        (LAST, LAST.replace("]", ', "m1"]'), "states_missing", "states ="),
        ("impossible =", "impassible =", "unknown_key", "impassible"),
        ('yes = ["high"], no = ["low"], b', 'yes = ["low"], b', "states_overlap", "imposs"),
        ('market = "low"', 'market = "slow"', "seconds_delay", '"slow"'),
        ('    { token = "2002", weight = 1 },\n', "", "too_many", "legs ="),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_its_line(old, new, why, near):
    text = f"# a comment\n\n{GOOD.replace(old, new, 1)}"
    assert text.count(old) < GOOD.count(old) + 1
    found, said = refused(text)
    assert found == [(why, line_of(text, near))], said
    assert said


def test_a_payoff_that_some_state_does_not_reach_is_told_with_what_it_is():
    _, said = refused(GOOD.replace('payoff = "1"', 'payoff = "2"'))
    assert "'2' is claimed, the states pay at least 1" in said


def test_a_set_that_pays_nothing_in_a_state_is_refused():
    found, _ = refused(GOOD.replace('token = "2002"', 'token = "2001"'))
    assert found == [("payoff", line_of(GOOD, "payoff"))]


def test_ten_thousand_legs_are_refused_at_once():
    legs = ",\n".join(f'{{ token = "{n}" }}' for n in range(10_000))
    found, said = refused(f'[[relation]]\nname = "n"\npayoff = "1"\nlegs = [{legs}]\nstates = []\n')
    assert found == [("too_many", 4)]
    assert "10,000 legs" in said


def test_a_cycle_of_names_is_refused_where_it_is():
    def one(name, of):
        return (
            f'[[relation]]\nname = "{name}"\npayoff = "1"\n'
            f'legs = [{{ token = "1001" }}, {{ token = "2002" }}]\nstates_of = "{of}"\n'
        )

    found, said = refused(one("a", "b") + one("b", "c") + one("c", "a") + one("d", "d") + GOOD)
    assert found == [("cycle", 5), ("cycle", 10), ("cycle", 15), ("cycle", 20)]
    assert "b -> c -> a -> b" in said
    found, said = refused(one("a", "nobody"))
    assert found == [("unknown_name", 5)]


def test_a_name_may_be_used_once():
    found, _ = refused(GOOD + GOOD)
    assert found == [("duplicate", len(GOOD.splitlines()) + 2)]
    assert len(relations(read(GOOD + GOOD))) == 1


def test_one_bad_relation_does_not_take_the_others_with_it():
    bad = GOOD.replace('"implied"', '"bad"').replace("2002", "9")
    made = read(bad + GOOD)
    assert [type(each).__name__ for each in made] == ["Refused", "Relation"]


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("[[relation]\n", "syntax", 1),
        ("a = 1\nb = = 2\n", "syntax", 2),
        ("x = " + "[" * 100_000, "syntax", 1),
        ("\n" + "a." * 50_000 + "a = 1\n", "syntax", 2),
        ("x = " + "9" * 5_000, "syntax", 1),
        ("relations = []\n", "unknown_key", 1),
        ("relation = 3\n", "value", 1),
        ('relation = [1, "x"]\n', "value", 1),
        ("[relation]\nname = 'x'\n", "value", 1),
        ("[[relation]]\n" * 10_001, "value", 1),
    ],
)
def test_documents_of_another_form_are_refused(text, why, line):
    found, said = refused(text)
    assert (why, line) in found
    assert len(said) < 2_000


def test_bytes_that_are_no_text_are_refused_with_their_line():
    (made,) = custom.read(b"# fine\n\xff\xfe", EVENTS, POLICY)
    assert (made.why.value, made.line) == ("syntax", 2)


def test_a_document_above_its_bound_is_refused():
    assert refused(GOOD + "#" * custom.FILE_MAX)[0] == [("too_many", 1)]
    rest = custom.FILE_MAX - len(GOOD)
    assert len(relations(read(GOOD + "#" * rest))) == 1


def test_an_empty_document_holds_nothing():
    assert read("") == read("# nothing\n") == []


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(errors.InputError, match="No such file"):
        custom.read_file(tmp_path / "none.toml", EVENTS, POLICY)
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert len(custom.read_file(file, EVENTS, POLICY)) == 1


def test_a_slug_that_two_markets_share_names_neither():
    twice = [event([LOW, HIGH, replace(market("?"), slug="low")])]
    (made,) = custom.read(GOOD.encode(), twice, POLICY)
    assert made.why.value == "unknown_name"
