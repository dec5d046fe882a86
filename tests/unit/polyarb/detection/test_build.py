"""All builders together: each set of legs once, and a reason for everything else."""

import pytest
from catalogues import POLICY, above, event, market, negrisk, relations, whys

from polyarb import errors
from polyarb.detection import complement, crossed
from polyarb.detection.build import BUILDERS, build
from polyarb.detection.policy import Policy
from polyarb.detection.relation import Kind

ONE = 1_000_000


def test_both_tokens_of_a_market_pay_one_however_it_ends():
    (made,) = relations(complement.build([event([market("Will it?")])], POLICY))
    assert made.payoff_e6 == ONE
    assert [state.pays_e6 for state in made.states] == [(ONE, 0), (0, ONE), (ONE // 2, ONE // 2)]
    assert made.realise == "merge"


def test_a_neg_risk_market_never_splits():
    (made, _) = relations(complement.build([negrisk("Ann", "Bob")], POLICY))
    assert len(made.states) == 2


def test_outcomes_of_one_name_are_two_states():
    made = relations(complement.build([event([market("?", outcomes=("A", "A"))])], POLICY))
    assert len(made) == 1


def test_crossed_is_only_built_where_it_is_asked_for():
    events = [event([market("Will it?")])]
    assert whys(crossed.build(events, POLICY)) == ["same_market"]
    (made,) = relations(crossed.build(events, Policy(same_market=True)))
    assert made.kind is Kind.CROSSED
    assert [leg.outcome for leg in made.legs] == ["Yes", "No"]


def test_the_same_legs_are_kept_once():
    built = build([event([market("Will it?")])], None, Policy(same_market=True))
    assert built.counts() == {Kind.COMPLEMENT: 1}
    assert built.reasons()["same_legs"] == 1
    alone = build([event([market("Will it?")])], [Kind.CROSSED], Policy(same_market=True))
    assert alone.counts() == {Kind.CROSSED: 1}


def test_an_id_leads_to_its_relation_and_is_the_same_in_every_run():
    events = [event(above(100, 110, 120)), negrisk("Ann", "Bob", id="78")]
    one, other = (build(events, None, POLICY) for _ in range(2))
    assert list(one.relations) == list(other.relations)
    assert all(key == relation.id for key, relation in one.relations.items())
    assert one.counts() == {
        Kind.COMPLEMENT: 5,
        Kind.NEGRISK_YES: 1,
        Kind.NEGRISK_NO: 1,
        Kind.LADDER: 3,
    }


def test_builders_can_be_chosen():
    events = [event(above(100, 110)), negrisk("Ann", "Bob", id="78")]
    assert set(build(events, [Kind.LADDER], POLICY).counts()) == {Kind.LADDER}
    assert build(events, [], POLICY).relations == {}
    with pytest.raises(errors.RangeError, match="custom"):
        build(events, [Kind.CUSTOM], POLICY)
    assert Kind.CUSTOM not in BUILDERS
