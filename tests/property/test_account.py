"""The core's account does what its slow twin does, whatever is asked of it and in any order."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from reference import account as slow

from polyarb.core.account import (
    CASH_MAX_E6,
    Account,
    BreakerLimits,
    ErrorRate,
    Reason,
)
from polyarb.core.arena import Arena
from polyarb.errors import FundsError, RangeError

hundreds = settings(max_examples=400, deadline=None)

AMOUNTS = (
    st.integers(1, 100)
    | st.sampled_from([-1, 0, CASH_MAX_E6 - 1, CASH_MAX_E6, CASH_MAX_E6 + 1])
    | st.integers(1, CASH_MAX_E6)
)
BALANCE_STEPS = st.one_of(
    st.tuples(st.sampled_from(["reserve", "release", "commit", "credit", "reconcile"]), AMOUNTS),
    st.tuples(st.just("restore"), AMOUNTS, AMOUNTS),
)


def status(call: Callable[..., Any], *arguments: Any) -> str:
    try:
        call(*arguments)
    except RangeError:
        return "range"
    except FundsError:
        return "funds"
    return "ok"


@hundreds
@given(st.lists(BALANCE_STEPS, max_size=60))
def test_balance_equals_the_sum_of_its_holds(steps: list[tuple[Any, ...]]) -> None:
    balance, twin = Account(Arena.create(None)).balance, slow.Balance()
    for name, *amounts in steps:
        assert status(getattr(balance, name), *amounts) == getattr(twin, name)(*amounts)
        funds = balance.snapshot()
        assert funds.available_e6 == balance.available_e6 == twin.available
        assert (funds.cash_e6, funds.held_e6) == (twin.cash, twin.held)
        assert funds.shortfall_e6 == twin.shortfall


TIMES = st.one_of(
    st.integers(slow.EPOCH_2020_MS, slow.EPOCH_2020_MS + 200),
    st.sampled_from([0, slow.EPOCH_2020_MS - 1, slow.STAMP_MS_MAX, slow.STAMP_MS_MAX + 1]),
    st.integers(slow.STAMP_MS_MAX - 40, slow.STAMP_MS_MAX),
)


@hundreds
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("issue"), st.integers(0, 16), TIMES),
            st.tuples(st.just("begin"), st.integers(-1, 4096), TIMES),
        ),
        max_size=40,
    )
)
def test_stamps_are_those_of_the_twin_and_rise(steps: list[tuple[str, int, int]]) -> None:
    stamps, twin = Account(Arena.create(None)).stamps, slow.Stamps()
    seen: list[int] = []
    for name, first, time in steps:
        wanted = getattr(twin, name)(first, time)
        if isinstance(wanted, list):
            got = stamps.issue(first, time)
            assert got == wanted
            assert all(stamp.salt < 2**53 for stamp in got)
            seen += [stamp.timestamp_ms for stamp in got]
        else:
            assert status(getattr(stamps, name), first, time) == wanted
        assert (stamps.last_ms, stamps.tag) == (twin.last, twin.tag)
    assert seen == sorted(set(seen))


@hundreds
@given(st.lists(st.tuples(st.sampled_from(["issue", "conflict"]), st.integers(1, 15)), max_size=40))
def test_a_nonce_follows_the_last_one_or_the_exchanges(steps: list[tuple[str, int]]) -> None:
    nonce = Account(Arena.create(None)).nonce
    following = 0
    for name, number in steps:
        if name == "issue":
            assert nonce.issue_many(number) == range(following, following + number)
            following += number
        else:
            nonce.handle_conflict(number)
            following = number + 1
        assert nonce.current == following


LIMITS = st.tuples(
    st.none() | st.integers(1, 200),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 5),
    st.none() | st.tuples(st.integers(1, 1000), st.integers(1, 12), st.sampled_from([1000, 1600])),
    st.integers(1, 2000),
)
BREAKER_STEPS = st.one_of(
    st.tuples(st.just("result"), st.booleans()),
    st.tuples(st.just("result"), st.just(True)),
    st.tuples(st.just("pnl"), st.integers(-120, 120), st.integers(1, 4)),
    st.tuples(st.just("pnl"), st.sampled_from([-(10**14), 10**14]), st.integers(1, 4)),
    st.tuples(st.just("can_execute")),
    st.tuples(st.sampled_from(["opened", "closed", "enable", "disable"])),
    st.tuples(st.just("trip"), st.sampled_from(sorted(slow.BY_HAND))),
    st.tuples(
        st.just("reset"), st.sampled_from(sorted(slow.BY_HAND | slow.COOLING | {"daily_loss"}))
    ),
)
WAITS_MS = st.sampled_from([0, 0, 0, 1, 50, 99, 100, 101, 600, 1000, 1600, 2000])


@hundreds
@given(LIMITS, st.lists(st.tuples(WAITS_MS, BREAKER_STEPS), max_size=80))
def test_breaker_blocks_exactly_when_its_twin_does(
    limits: tuple[Any, ...], steps: list[tuple[int, tuple[Any, ...]]]
) -> None:
    breaker, twin = Account(Arena.create(None)).breaker, slow.Breaker(*limits)
    loss, positions, in_row, rate, cooldown = limits
    wanted = BreakerLimits(
        daily_loss_e6=loss,
        open_positions=positions,
        consecutive_errors=in_row,
        error_rate=rate and ErrorRate(permille=rate[0], samples_min=rate[1], window_ms=rate[2]),
        cooldown_ms=cooldown,
    )
    breaker.configure(wanted, 0)
    assert breaker.limits == wanted
    now = 0
    for wait_ms, step in steps:
        now += wait_ms * 1_000_000
        match step:
            case "result", error:
                breaker.record_result(error=error, now_ns=now)
                twin.record_result(error, now)
            case "pnl", pnl, day:
                breaker.record_pnl(pnl, day, now)
                twin.record_pnl(pnl, day, now)
            case ("can_execute",):
                assert breaker.can_execute(now) == twin.can_execute(now)
            case ("opened",):
                breaker.position_opened()
                twin.position_opened()
            case ("closed",):
                assert status(breaker.position_closed) == twin.position_closed()
            case ("enable",):
                breaker.enable()
                twin.enabled = True
            case ("disable",):
                breaker.disable()
                twin.enabled = False
            case "trip", name:
                breaker.trip(Reason(name), now)
                twin.trip(name, now)
            case "reset", name:
                breaker.reset(Reason(name))
                twin.reset(name)
        state = breaker.snapshot(now)
        assert {reason.value for reason in state.blocked} == twin.blocked(now)
        assert state.blocked == breaker.blocked(now)
        assert (state.first and state.first.value) == twin.first(now)
        assert (state.unix_day, state.pnl_e6) == (twin.day, twin.pnl)
        assert (state.open_positions, state.errors_in_row) == (twin.positions, twin.in_row)
        assert (state.window_errors, state.window_total) == twin.window(now)
        assert {r.value: t.count for r, t in state.trips.items()} == twin.counts
        assert {r.value: t.last_ns for r, t in state.trips.items()} == twin.last
