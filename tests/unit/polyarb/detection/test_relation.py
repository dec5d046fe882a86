"""A relation pays the least over its states, whatever its builder thinks."""

import pytest

from polyarb import errors
from polyarb.detection.line import ABOVE, BELOW, END, START, Part, segments, states
from polyarb.detection.relation import Kind, Leg, Realise, Relation, State, pays_e6

ONE = 1_000_000


def relation(legs, states, **changes):
    members = {
        "kind": Kind.CUSTOM,
        "slug": "Some Slug!",
        "event_id": "1",
        "title": "",
        "legs": tuple(legs),
        "states": tuple(State(name, pays) for name, pays in states),
        "until_ms": None,
        "realise": Realise.HOLD,
    }
    return Relation(**members | changes)


def test_the_payoff_is_the_least_over_the_states_with_weights():
    made = relation(
        [Leg("1", "Yes", 2), Leg("2", "No", 3)],
        [("a", (ONE, 0)), ("b", (0, ONE)), ("c", (ONE, ONE))],
    )
    assert made.payoff_e6 == 2 * ONE
    assert [pays_e6(made.legs, state) for state in made.states] == [2 * ONE, 3 * ONE, 5 * ONE]


def test_the_id_is_readable_and_that_of_the_legs_in_any_order():
    legs = [Leg("1", "Yes"), Leg("2", "No")]
    one = relation(legs, [("a", (ONE, 0)), ("b", (0, ONE))])
    other = relation(legs[::-1], [("a", (ONE, 0)), ("b", (0, ONE))])
    assert one.id == other.id
    assert one.id.startswith("custom:some-slug:")
    assert len(one.id.rsplit(":", 1)[1]) == 8
    heavier = relation([Leg("1", "Yes", 2), Leg("2", "No")], [("a", (ONE, ONE))])
    assert heavier.id != one.id


@pytest.mark.parametrize(
    ("legs", "states", "error"),
    [
        ([Leg("1", "Yes")], [("a", (ONE,))], errors.CapacityError),
        ([Leg(str(n), "Yes") for n in range(257)], [("a", (ONE,) * 257)], errors.CapacityError),
        ([Leg("1", "Yes"), Leg("1", "No")], [("a", (ONE, 0))], errors.InputError),
        ([Leg("1", "Yes", 0), Leg("2", "No")], [("a", (ONE, 0))], errors.RangeError),
        ([Leg("1", "Yes", 512), Leg("2", "No")], [("a", (ONE, 0))], errors.CapacityError),
        ([Leg("1", "Yes"), Leg("2", "No")], [], errors.CapacityError),
        ([Leg("1", "Yes"), Leg("2", "No")], [("a", (ONE,))], errors.InputError),
        ([Leg("1", "Yes"), Leg("2", "No")], [("a", (ONE + 1, 0))], errors.RangeError),
        ([Leg("1", "Yes"), Leg("2", "No")], [("a", (-1, ONE))], errors.RangeError),
        ([Leg("1", "Yes"), Leg("2", "No")], [("a", (0, 0)), ("b", (ONE, 0))], errors.RangeError),
        ([Leg("1", "Yes"), Leg("2", "No")], [("a", (ONE, 0)), ("a", (0, ONE))], errors.InputError),
    ],
)
def test_what_proves_nothing_is_refused(legs, states, error):
    with pytest.raises(error):
        relation(legs, states)


def test_segments_keep_the_owner_of_a_boundary_apart():
    parts = [Part((100, ABOVE), END), Part((100, BELOW), END)]
    assert segments(parts) == [
        Part(START, (100, BELOW)),
        Part((100, BELOW), (100, ABOVE)),
        Part((100, ABOVE), END),
    ]
    found = states([(parts[0], True), (parts[1], False)], str)
    assert [(state.name, state.pays_e6) for state in found] == [
        ("below 100", (0, ONE)),
        ("exactly 100", (0, 0)),
        ("above 100", (ONE, 0)),
    ]


def test_states_of_a_range_say_which_end_is_theirs():
    part = Part((100, BELOW), (110, BELOW))
    assert [state.name for state in states([(part, True)], str)] == [
        "below 100",
        "from 100, below 110",
        "from 110",
    ]
