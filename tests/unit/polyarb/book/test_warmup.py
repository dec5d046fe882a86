"""The gate: how many books have to be ready, by when, and what becomes of the others."""

import pytest
from bookrig import MS, SECOND, Rig, book, no, yes

from polyarb.book.freshness import Reason
from polyarb.book.keeper import KeeperConfig
from polyarb.book.warmup import Gate, GateState
from polyarb.core.book import State, Top
from polyarb.errors import RangeError


def test_the_gate_opens_with_the_fraction_and_not_before():
    rig = Rig(5)
    rig.keeper.warm_up(rig.now)
    rig.up()
    rig.dump(rig.tokens[:7])
    assert not rig.keeper.gate.is_open
    rig.pass_ms(300)
    rig.dump(rig.tokens[7:8])
    assert rig.keeper.gate.is_open
    assert rig.keeper.gate.warmed_ns == 300 * MS


def test_a_token_that_never_came_is_disabled_for_the_run_with_the_reason():
    rig = Rig(5)
    rig.keeper.warm_up(rig.now)
    rig.up()
    rig.dump(rig.tokens[:9])
    rig.pass_ms(9_900)
    assert rig.keeper.registry.disabled == {}
    rig.pass_ms(200)
    late = rig.tokens[9]
    assert rig.keeper.registry.disabled == {late: "warm-up: warming"}
    assert rig.keeper.gate.state is GateState.SETTLED
    rig.dump([late])
    miss = rig.keeper.top(late)
    assert (miss.reason, miss.detail) == (Reason.DISABLED, "warm-up: warming")
    rig.pass_ms(60_000)
    assert late in rig.keeper.registry.disabled


def test_a_token_that_comes_after_the_gate_opened_is_in_time():
    rig = Rig(5)
    rig.keeper.warm_up(rig.now)
    rig.up()
    rig.dump(rig.tokens[:9])
    rig.pass_ms(5_000)
    rig.dump(rig.tokens[9:])
    rig.pass_ms(6_000)
    assert rig.keeper.registry.disabled == {}


def test_too_few_books_leave_the_gate_closed_until_another_warm_up():
    rig = Rig(5)
    rig.keeper.warm_up(rig.now)
    rig.up()
    rig.dump(rig.tokens[:7])
    rig.pass_ms(11_000)
    assert rig.keeper.gate.state is GateState.FAILED
    assert len(rig.keeper.registry.disabled) == 3
    rig.keeper.registry.disable(rig.tokens[0], "operator")
    rig.keeper.warm_up(rig.now)
    assert rig.keeper.registry.disabled == {rig.tokens[0]: "operator"}
    rig.dump(rig.tokens[7:])
    assert rig.keeper.gate.is_open


def test_a_book_that_is_broken_just_then_was_ready_once_and_stays():
    rig = Rig(1)
    rig.keeper.warm_up(rig.now)
    rig.open()
    rig.pass_ms(9_950)
    rig.down()
    rig.pass_ms(500)
    assert rig.keeper.registry.disabled == {}


def test_without_tokens_the_gate_is_open_at_once():
    rig = Rig(0)
    rig.keeper.warm_up(rig.now)
    assert rig.keeper.gate.is_open


@pytest.mark.parametrize(("total", "fraction", "needed"), [(10, 0.8, 8), (3, 0.8, 3), (7, 0.0, 0)])
def test_the_fraction_is_rounded_up(total, fraction, needed):
    gate = Gate()
    gate.start(range(total), 0, timeout_ms=1_000, min_ready_fraction=fraction)
    for slot in range(needed):
        assert not gate.is_open
        gate.ready([slot], slot)
    assert gate.is_open


def test_a_token_that_leaves_is_not_waited_for():
    gate = Gate()
    gate.start(range(2), 0, timeout_ms=1_000, min_ready_fraction=1.0)
    gate.ready([0], 1)
    gate.gone(1)
    gate.ready([], 2)
    assert gate.is_open
    assert gate.tick(SECOND) == set()
    assert gate.due_ns is None


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(RangeError, match="warmup_min_ready_fraction"):
        KeeperConfig(warmup_min_ready_fraction=fraction)


# -- REST, once, before the sockets


def test_rest_warms_what_no_connection_carries_yet():
    rig = Rig(120)
    rig.keeper.warm_up(rig.now, rest=True)
    rig.pass_ms(100)
    (first,) = rig.asked()
    assert len(first.tokens) == 100
    rig.answer(first, *(rig.book(token) for token in first.tokens))
    assert isinstance(rig.keeper.top(rig.tokens[0]), Top)
    assert not rig.keeper.gate.is_open  # what no socket keeps current is not ready
    rig.up(rig.tokens[100:200])
    rig.pass_ms(100)
    (second,) = rig.asked()
    assert second.tokens == tuple(rig.tokens[200:])
    assert rig.count("rest_calls_warmup") == 2


def test_the_socket_has_to_prove_what_rest_told():
    """Between the REST book and the subscription changes may have been missed."""
    rig = Rig(1)
    rig.keeper.warm_up(rig.now, rest=True)
    rig.pass_ms(100)
    (request,) = rig.asked()
    rig.answer(request, *(rig.book(token) for token in rig.tokens))
    rig.pass_ms(100)
    rig.up()
    assert rig.keeper.top(yes(0)).state is State.STALE
    rig.dump()
    assert rig.keeper.gate.is_open


def test_a_rest_answer_that_comes_after_the_socket_changes_nothing():
    rig = Rig(1)
    rig.keeper.warm_up(rig.now, rest=True)
    rig.pass_ms(100)
    (request,) = rig.asked()
    rig.up()
    rig.answer(request, *(rig.book(token) for token in rig.tokens))
    assert rig.keeper.top(yes(0)).reason is Reason.NEVER_SEEN
    rig.pass_ms(900)
    assert not [r for r in rig.asked() if r.purpose.value == "warmup"]


def test_rest_warm_up_survives_ghosts_garbage_and_silence():
    rig = Rig(2)
    rig.keeper.warm_up(rig.now, rest=True)
    rig.pass_ms(100)
    (request,) = rig.asked()
    ghost = book(yes(0), [("0.01", "1")], [("0.99", "1")], rig.ms)
    rig.answer(request, ghost, {"asset_id": yes(1)}, rig.book(no(1)))
    assert rig.keeper.top(yes(0)).reason is Reason.NEVER_SEEN
    assert isinstance(rig.keeper.top(no(1)), Top)
    rig.keeper.warm_up(rig.now, rest=True)
    rig.pass_ms(100)
    (request,) = rig.asked()
    rig.keeper.answered(request.number, b"<html>502</html>", rig.now)
    rig.keeper.refused(request.number, "again", rig.now)
    rig.pass_ms(1_000)
    assert rig.asked() == []
