"""Whatever a catalogue or a file holds, no relation pays less than it says, in any outcome."""

import itertools
import json
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta

import catalogues
from catalogues import POLICY, closed, event, market, negrisk, relations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyarb.detection import custom, ladder, negrisk_no, negrisk_yes, question, ranges
from polyarb.detection.build import build
from polyarb.detection.refusal import Refused
from polyarb.detection.relation import Relation

ONE = 1_000_000
LEVELS = range(95, 121, 5)
HALVES = [half / 2 for half in range(180, 251)]  # each level, and a value on either side


def set_pays(relation, wins):
    """Return what a set pays if the tokens in `wins` pay 1."""
    return sum(leg.weight * ONE for leg in relation.legs if leg.token in wins)


def winners(markets, answers):
    return {each.tokens[0 if answers[each.condition_id] else 1] for each in markets}


# -- values on a line: markets whose answer is known by construction


@st.composite
def closes(draw):
    """Return markets on one close with the function that answers each."""
    found = []
    higher = draw(st.booleans())
    rules = ["This market will resolve according to the official closing price on March 12."]
    if higher:
        rules.append("A price exactly on a boundary belongs to the higher range.")
    for _ in range(draw(st.integers(2, 7))):
        low, high = sorted(draw(st.lists(st.sampled_from(LEVELS), min_size=2, max_size=2)))
        words, answer = draw(
            st.sampled_from(
                [
                    (f"above ${low}", lambda v, a=low: v >= a),
                    (f"below ${high}", lambda v, b=high: v < b),
                    (f"between ${low} and ${high}", lambda v, a=low, b=high: a <= v < b),
                ]
            )
        )
        each = market(f"Will Gold close {words} on March 12?", *rules)
        found.append((each, answer))
    return found


@given(closes())
def test_ladders_and_ranges_pay_at_least_their_payoff_at_every_value(pairs):
    events = [event([each for each, _ in pairs])]
    made = relations(ladder.build(events, POLICY)) + relations(ranges.build(events, POLICY))
    for relation in made:
        least = min(
            set_pays(relation, {m.tokens[0 if answer(v) else 1] for m, answer in pairs})
            for v in HALVES
        )
        assert least == relation.payoff_e6, relation.title


@given(
    st.lists(st.sampled_from(LEVELS), min_size=2, max_size=6, unique=True),
    st.sampled_from(["above", "below"]),
    st.booleans(),
)
def test_every_implied_pair_of_thresholds_is_found_and_none_else(levels, word, inclusive):
    what = {
        ("above", True): "is at least",
        ("above", False): "is higher than",
        ("below", True): "is at most",
        ("below", False): "is lower than",
    }[word, inclusive]
    markets = catalogues.above(*levels, word=word, what=what)
    made = relations(ladder.build([event(markets)], POLICY))
    wanted = set()
    for one, other in itertools.permutations(zip(levels, markets, strict=True), 2):
        if one[0] > other[0] if word == "above" else one[0] < other[0]:
            wanted.add(
                (other[1].tokens[0], one[1].tokens[1])
            )  # YES of the implied, NO of the other
    assert {relation.tokens for relation in made} == wanted


# -- days on a line


@given(st.lists(st.integers(0, 700), min_size=2, max_size=6, unique=True), st.integers(0, 2))
def test_deadlines_imply_each_other_in_their_order(offsets, form):
    days = [date(2026, 1, 1) + timedelta(offset) for offset in offsets]
    texts = [f"{day:%B} {day.day}, {day.year}" for day in days]
    what = [
        "it is signed by {date}, 11:59 PM ET",
        "it is signed by the listed date, 11:59 PM ET",
        "it is signed between January 1, 2026, and {date}, 11:59 PM ET",
    ][form]
    markets = catalogues.by(*texts, what=what)
    made = relations(ladder.build([event(markets)], POLICY))
    # A window that opens on its own last day names one date twice: left out.
    first = date(2026, 1, 1) in days and form == 2
    assert first or len(made) == len(days) * (len(days) - 1) // 2
    for signed in [*days, date(2026, 1, 1), date(2030, 1, 1), *(d + timedelta(1) for d in days)]:
        wins = {
            each.tokens[0 if signed <= day else 1] for each, day in zip(markets, days, strict=True)
        }
        assert all(set_pays(relation, wins) >= relation.payoff_e6 for relation in made)


# -- neg-risk


@given(
    st.integers(1, 8),
    st.lists(st.sampled_from([0, 10_000, None]), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_neg_risk_sets_pay_at_least_their_payoff_whoever_wins(count, others, whole, augmented):
    left_out = tuple(closed(count + at, pays) for at, pays in enumerate(others))
    one = negrisk(
        *(f"Person {at}" for at in range(count)),
        left_out=left_out,
        whole=whole,
        augmented=augmented,
    )
    all_yes = relations(negrisk_yes.build([one], POLICY))
    all_no = relations(negrisk_no.build([one], POLICY))
    # Who may still win: each market, and those that cannot be bought but are not known to be NO.
    ways = [{each.condition_id} for each in one.markets]
    ways += [set() for pays in others if pays != 0]
    for winner in ways:
        answers = {each.condition_id: each.condition_id in winner for each in one.markets}
        wins = winners(one.markets, answers)
        for relation in (*all_yes, *all_no):
            assert set_pays(relation, wins) >= relation.payoff_e6
    assert bool(all_yes) == (
        whole and not augmented and count > 1 and not any(pays != 0 for pays in others)
    )
    assert bool(all_no) == (not augmented and count > 1)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6, unique=True),
    st.booleans(),
    st.sets(st.integers(0, 8)),
)
def test_brackets_are_a_set_exactly_if_no_number_is_missing(ends, dash, dropped):
    """Titles made from cuts, some of them dropped: whole only if none is."""
    ends = sorted(ends)
    titles = [f"<{ends[0]}"]
    for low, after in itertools.pairwise(ends):
        sign = "–" if dash else "-"
        titles.append(f"{low}" if after == low + 1 else f"{low}{sign}{after - 1}")
    titles.append(f"{ends[-1]}+")
    kept = [title for at, title in enumerate(titles) if at not in dropped]
    if len(kept) > 1:
        made = relations(negrisk_yes.build([negrisk(*kept, whole=False)], POLICY))
        assert bool(made) == (len(kept) == len(titles))


# -- files


WAYS = [replace(market(f"Is it {n}?"), slug=f"m{n}") for n in range(4)]
EVENTS = [event(WAYS)]


@st.composite
def tables(draw):
    """Return a relation as a file would have it: a tree of cases, some of them changed."""
    cases = [((), ())]
    for each in WAYS:
        split = []
        for yes, no in cases:
            if draw(st.booleans()):
                split += [((*yes, each.slug), no), (yes, (*no, each.slug))]
            else:
                split.append((yes, no))
        cases = split
    impossible = [draw(st.integers(0, 4)) == 0 for _ in cases]
    if draw(st.booleans()) and len(cases) > 1:
        cases = cases[:-1]  # a hole
    legs = draw(
        st.lists(
            st.tuples(st.sampled_from(WAYS), st.sampled_from(["Yes", "No"]), st.integers(1, 3)),
            min_size=2,
            max_size=4,
            unique_by=lambda leg: (leg[0].slug, leg[1]),
        )
    )
    return legs, list(zip(cases, impossible, strict=False)), draw(st.integers(1, 4))


def document(legs, cases, payoff):
    lines = ["[[relation]]", 'name = "n"', f"payoff = {payoff}", "legs = ["]
    for each, outcome, weight in legs:
        lines.append(f'{{ market = "{each.slug}", outcome = "{outcome}", weight = {weight} }},')
    told = {False: [], True: []}
    for at, ((yes, no), out) in enumerate(cases):
        tail = ', because = "so"' if out else ""
        told[out].append(
            f'{{ name = "s{at}", yes = {json.dumps(yes)}, no = {json.dumps(no)}{tail} }},'
        )
    lines += ["]", "states = [", *told[False], "]", "impossible = [", *told[True], "]"]
    return "\n".join(lines).encode()


@given(tables())
@settings(max_examples=300)
def test_a_file_is_taken_exactly_if_brute_force_agrees_with_it(told):
    legs, cases, payoff = told
    possible, covered = [], True
    for answers in itertools.product([True, False], repeat=len(WAYS)):
        said = dict(zip((each.slug for each in WAYS), answers, strict=True))
        holds = [
            out
            for (yes, no), out in cases
            if all(said[s] for s in yes) and not any(said[s] for s in no)
        ]
        covered = covered and len(holds) == 1
        if holds == [False]:
            possible.append(said)
    decided = all(
        each.slug in (*yes, *no) for each, _, _ in legs for (yes, no), out in cases if not out
    )
    pays = [
        sum(weight for each, outcome, weight in legs if said[each.slug] is (outcome == "Yes"))
        for said in possible
    ]
    (made,) = custom.read(document(legs, cases, payoff), EVENTS, POLICY)
    right = covered and decided and pays and min(pays) == payoff
    assert isinstance(made, Relation) == bool(right), made


NAMES = st.sampled_from(
    (
        *("relation", "name", "payoff", "legs", "states", "impossible", "one_of", "states_of"),
        *("token", "market", "outcome", "weight", "yes", "no", "because", "title", "until", "x"),
    )
)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.sampled_from(["m0", "m1", "n", "Yes", "No", "1", "0.5", "2026-01-01", "", "nan"]),
        st.text(max_size=5),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


def toml(value):
    """Return a value as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return json.dumps(value)


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=8), max_size=3), st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_no_table_makes_the_reader_fail(found, data):
    text = "".join(
        "[[relation]]\n" + "".join(f"{json.dumps(k)} = {toml(v)}\n" for k, v in table.items())
        for table in found
    )
    check(custom.read(text.encode(errors="replace"), EVENTS, POLICY))


@given(
    st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode(errors="replace"))
)
def test_no_bytes_make_the_reader_fail(document):
    check(custom.read(document, EVENTS, POLICY))


@given(st.integers(0, 700), st.binary(max_size=4), st.integers(0, 8))
def test_no_damage_makes_the_reader_fail(at, put, cut):
    whole = document(
        [(WAYS[0], "Yes", 1), (WAYS[1], "No", 2)],
        [((("m0",), ("m1",)), False), (((), ("m0",)), True), ((("m0", "m1"), ()), False)],
        1,
    )
    at %= len(whole)
    check(custom.read(whole[:at] + put + whole[at + cut :], EVENTS, POLICY))


def check(made):
    for each in made:
        assert isinstance(each, (Relation, Refused))
        if isinstance(each, Refused):
            assert each.line >= 1
            assert each.said or each.why


# -- anything at all


VOCABULARY = (
    *("will", "the", "price", "of", "bitcoin", "be", "above", "below", "between", "and", "by"),
    *("before", "$100", "110k", "3.5%", "<n>", "<d>", "March 31", "March 31, 2026", "2026"),
    *("(HIGH)", "hit", "reach", "dip", "to", "↑", "?", "if", "May", "-5", "1e9", "½", "٣", "0"),
)
WORDS = st.lists(
    st.sampled_from(VOCABULARY) | st.text(max_size=4),
    max_size=14,
).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5), st.booleans())
@settings(max_examples=300)
def test_no_text_makes_a_builder_fail(texts, neg_risk):
    markets = [
        market(
            asked,
            *([f'It resolves to "Yes" if {rules}.'] if rules else []),
            group_title=title,
            neg_risk=neg_risk,
            neg_risk_id=catalogues.GROUP if neg_risk else "",
            question_index=at,
        )
        for at, (asked, rules, title) in enumerate(texts)
    ]
    group = catalogues.GROUP if neg_risk else ""
    built = build([event(markets, neg_risk_id=group, whole=True)], None, POLICY)
    assert all(relation.payoff_e6 > 0 for relation in built.relations.values())
    for each in markets:
        for read in (question.number, question.deadline):
            with suppress(question.AmbiguousError):
                read(each)
