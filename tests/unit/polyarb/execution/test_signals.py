"""At most one signal of a relation waits, the newest; at most one basket of it is on its way."""

import pytest

from polyarb.errors import RangeError
from polyarb.execution.signals import Guard, Signals


def test_the_latest_signal_of_a_relation_wins_and_keeps_its_place():
    signals = Signals(4, 0)
    for relation, signal in (("a", 1), ("b", 2), ("a", 3)):
        assert signals.offer(relation, signal, 0) is None
    assert (len(signals), signals.replaced) == (2, 1)
    assert signals.take() == ("a", 3)
    assert signals.take() == ("b", 2)
    assert signals.take() is None


def test_full_it_drops_the_relation_that_waited_longest():
    signals = Signals(2, 0)
    for relation in "abc":
        signals.offer(relation, relation, 0)
    assert signals.dropped == 1
    assert signals.take() == ("b", "b")


def test_a_relation_on_its_way_is_guarded_then_cools_down():
    signals = Signals(2, 100)
    signals.offer("a", 1, 0)
    signals.take()
    assert signals.offer("a", 2, 10) is Guard.SUBMITTING
    signals.ended("a", 20)
    assert signals.guarded("a", 119) is Guard.COOL_DOWN
    assert signals.offer("a", 3, 120) is None
    assert signals.take() == ("a", 3)


def test_a_basket_that_did_not_wait_is_guarded_too():
    signals = Signals(2, 0)
    signals.offer("a", 1, 0)
    signals.begin("a")
    assert signals.take() is None
    signals.ended("a", 5)
    assert signals.offer("a", 2, 5) is None


def test_a_withdrawn_signal_is_gone():
    signals = Signals(2, 0)
    signals.offer("a", 1, 0)
    signals.withdraw("a")
    signals.withdraw("b")
    assert signals.take() is None


@pytest.mark.parametrize(("capacity", "cooldown"), [(0, 0), (65_537, 0), (1, -1)])
def test_bounds_are_checked(capacity, cooldown):
    with pytest.raises(RangeError):
        Signals(capacity, cooldown)


def test_an_end_without_a_beginning_is_our_mistake():
    with pytest.raises(RangeError, match="relation a has no basket"):
        Signals(1, 0).ended("a", 0)
