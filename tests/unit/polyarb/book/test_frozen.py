"""Frozen or quiet: the statistic alone, and what the keeper does about it."""

import random

import pytest
from bookrig import MS, SECOND, Rig, change, no, yes

from polyarb.book.freshness import Reason
from polyarb.book.frozen import FrozenConfig, FrozenWatch, Verdict
from polyarb.core.book import State, Top

Y, N = yes(0), no(0)


def fed(times_ns, config=None):
    watch = FrozenWatch(config)
    for at in times_ns:
        watch.seen("1", at)
    return watch


def poisson(rate_per_s, seconds, seed=1):
    rng, at, out = random.Random(seed), 0.0, []
    while at < seconds:
        at += rng.expovariate(rate_per_s)
        out.append(int(at * SECOND))
    return out


def test_nothing_is_claimed_before_enough_was_seen():
    watch = FrozenWatch()
    assert watch.verdict(10**18) is Verdict.UNKNOWN
    for i in range(16):
        watch.seen("1", i * SECOND)
        assert watch.verdict((i + 10_000) * SECOND) is Verdict.UNKNOWN
    watch.seen("1", 16 * SECOND)
    assert watch.verdict(17 * SECOND) is Verdict.ALIVE
    assert watch.verdict(10_000 * SECOND) is Verdict.FROZEN


def test_a_busy_connection_is_found_within_seconds_and_a_quiet_one_gets_minutes():
    fast = fed(range(0, 60 * SECOND, 10 * MS))
    assert 3 * SECOND < fast.limit_ns < 8 * SECOND
    slow = fed(poisson(1 / 30, 3_600))
    assert 100 * SECOND < slow.limit_ns < 400 * SECOND


def test_a_connection_that_is_never_silent_is_watched_as_well():
    """Bursts that are counted from silence to silence would not exist here."""
    watch = fed(range(0, 20 * SECOND, MS))
    assert watch.verdict(40 * SECOND) is Verdict.FROZEN


@pytest.mark.parametrize("rate", [0.05, 0.3, 2.0])
def test_false_alarms_are_as_rare_as_asked_for(rate):
    """20 hours of Poisson bursts, of which so many exceed their limit as the model says."""
    config = FrozenConfig(alarms_per_hour=2.0)
    watch, alarms, times = FrozenWatch(config), 0, poisson(rate, 20 * 3_600)
    for at in times:
        alarms += watch.verdict(at) is Verdict.FROZEN
        watch.seen("1", at)
    assert alarms / 20 < 2 * config.alarms_per_hour


def test_the_boundary_is_the_limit():
    watch = fed(range(0, 40 * SECOND, SECOND))
    due = watch.due_ns()
    assert due == 39 * SECOND + watch.limit_ns
    assert watch.verdict(due - 1) is Verdict.ALIVE
    assert watch.verdict(due) is Verdict.FROZEN
    assert watch.silent_ns(due) == watch.limit_ns


def test_a_market_that_ends_takes_its_bursts_along():
    watch = FrozenWatch()
    for i in range(600):
        watch.seen("fast", i * SECOND)
        if i % 20 == 10:
            watch.seen("slow", i * SECOND + SECOND // 2)
    fast_limit = watch.limit_ns
    watch.dropped("fast")
    assert watch.limit_ns is None  # of what is left, too little is known
    assert watch.verdict(10_000 * SECOND) is Verdict.UNKNOWN
    for i in range(30, 60):
        watch.seen("slow", i * 20 * SECOND)
    assert watch.limit_ns > 5 * fast_limit
    assert watch.busiest(2) == ["slow"]


def test_time_without_a_connection_does_not_count_and_rates_outlive_it():
    watch = fed(range(0, 60 * SECOND, SECOND))
    limit = watch.limit_ns
    watch.closed()
    assert watch.verdict(900 * SECOND) is Verdict.UNKNOWN
    watch.opened(1_000 * SECOND)
    assert watch.limit_ns == limit
    assert watch.verdict(1_001 * SECOND) is Verdict.ALIVE
    assert watch.verdict(1_000 * SECOND + limit) is Verdict.FROZEN  # frozen from its opening on
    watch.seen("1", 1_001 * SECOND)
    assert watch.limit_ns < 2 * limit


def test_a_proof_begins_the_silence_anew():
    watch = fed(range(0, 60 * SECOND, SECOND))
    due = watch.due_ns()
    watch.proven(due)
    assert watch.verdict(due) is Verdict.ALIVE
    assert watch.due_ns() == due + watch.limit_ns


def test_many_frames_at_one_instant_are_one_burst():
    watch = FrozenWatch(FrozenConfig(windows=(4,)))
    for i in range(4):
        for _ in range(100):
            watch.seen("1", i * SECOND)
    assert watch.limit_ns is None


def test_nothing_shorter_than_the_floor_is_suspicious():
    watch = fed(range(0, 60 * SECOND, MS), FrozenConfig(floor_ns=20 * SECOND))
    assert watch.limit_ns == 20 * SECOND


# -- in the keeper


def busy_rig(markets=1):
    """Return a rig whose connection had a change a second, for a minute."""
    rig = Rig(markets)
    rig.open()
    for i in range(60):
        rig.pass_ms(1_000)
        rig.send(change(Y, "BUY", "0.3", str(i + 1), rig.ms))
    return rig


def silent_until_asked(rig):
    for _ in range(1_000):
        rig.pass_ms(100)
        requests = rig.asked()
        if requests:
            return requests[0]
    raise AssertionError("no suspicion")


def rest_books(rig, ms, size="60"):
    bids = [("0.4", "20"), ("0.39", "10"), ("0.3", size)]
    asks = [("0.42", "40"), ("0.43", "30")]
    as_no = [("0.58", "40"), ("0.57", "30")], [("0.6", "20"), ("0.61", "10"), ("0.7", size)]
    made = rig.book(Y, ms), rig.book(N, ms)
    for book, (b, a) in zip(made, ((bids, asks), as_no), strict=True):
        book["bids"] = [{"price": p, "size": s} for p, s in b]
        book["asks"] = [{"price": p, "size": s} for p, s in a]
    return made


def test_a_frozen_feed_is_found_its_books_stop_and_the_connection_is_replaced():
    rig = busy_rig()
    start = rig.now
    request = silent_until_asked(rig)
    assert 2 * SECOND < rig.now - start < 30 * SECOND
    miss = rig.keeper.top(Y, 60_000)
    assert (miss.reason, miss.state) == (Reason.STALE, State.FROZEN)
    rig.answer(request, *rest_books(rig, rig.ms - 500, "61"))
    assert rig.reconnects == [(0, "frozen")]
    assert (rig.count("frozen_feeds"), rig.count("frozen_suspicions")) == (1, 1)
    rig.down()
    rig.pass_ms(200)
    rig.up()
    rig.dump()
    assert isinstance(rig.keeper.top(Y), Top)


def test_a_quiet_market_is_not_a_frozen_feed():
    rig = busy_rig()
    last_ms = rig.ms
    for _ in range(5):
        request = silent_until_asked(rig)
        rig.answer(request, *rest_books(rig, last_ms))
        assert rig.books.top(rig.keeper.registry.slot(Y)).live
    assert rig.reconnects == []
    assert rig.count("frozen_feeds") == 0


def test_a_book_that_changed_and_changed_back_was_missed_all_the_same():
    rig = busy_rig()
    request = silent_until_asked(rig)
    rig.answer(request, *rest_books(rig, rig.ms))
    assert rig.reconnects == [(0, "frozen")]


def test_data_that_comes_before_the_answer_does_not_spare_the_look():
    """The feed may go on after it lost something."""
    rig = busy_rig()
    request = silent_until_asked(rig)
    rig.send(change(Y, "BUY", "0.31", "1", rig.ms))
    assert rig.keeper.top(Y).state is State.FROZEN
    rig.answer(request, *rest_books(rig, rig.ms - 100))
    assert isinstance(rig.keeper.top(Y), Top)
    assert rig.reconnects == []


@pytest.mark.parametrize("how", ["refused", "garbage", "never"])
def test_without_a_second_witness_the_connection_is_replaced(how):
    rig = busy_rig()
    request = silent_until_asked(rig)
    if how == "refused":
        rig.keeper.refused(request.number, "503", rig.now)
    elif how == "garbage":
        rig.keeper.answered(request.number, b"[]", rig.now)
    else:
        rig.pass_ms(5_100)
    assert rig.reconnects == [(0, "frozen")]


def test_a_connection_of_which_nothing_is_known_is_left_alone():
    rig = Rig()
    rig.open()
    rig.pass_ms(3_600_000, step_ms=1_000)
    assert rig.asked() == []
    assert rig.books.top(0).live


def test_each_connection_is_judged_by_its_own_tokens():
    rig = Rig(2)
    a, b = rig.tokens[:2], rig.tokens[2:]
    rig.up(a, 0)
    rig.up(b, 1)
    rig.dump(a, 0)
    rig.dump(b, 1)
    for i in range(120):
        rig.pass_ms(500)
        rig.send(change(a[0], "BUY", "0.3", str(i + 1), rig.ms), number=0)
        rig.send(change(b[0], "BUY", "0.3", str(i + 1), rig.ms), number=1)
    asked = []
    for i in range(60):
        rig.pass_ms(500)
        rig.send(change(b[0], "BUY", "0.3", str(i + 500), rig.ms), number=1)
        asked += rig.asked()
    assert rig.reconnects[0] == (0, "frozen")
    request = asked[0]
    assert (request.line, set(request.tokens)) == (0, {a[0]})
    assert rig.books.top(rig.keeper.registry.slot(b[0])).live


def test_a_copy_that_still_speaks_keeps_the_books_alive():
    rig = Rig(1)
    for number in (0, 1):
        rig.up(number=number)
        rig.dump(number=number)
    for i in range(60):
        rig.pass_ms(1_000)
        for number in (0, 1):
            rig.send(change(Y, "BUY", "0.3", str(i + 1), rig.ms), number=number)
    for i in range(20):
        rig.pass_ms(1_000)
        rig.send(change(Y, "BUY", "0.3", str(i + 500), rig.ms), number=1)
        assert isinstance(rig.keeper.top(Y), Top)
    assert rig.reconnects[0] == (0, "frozen")


def test_a_resolved_market_is_not_missed():
    rig = busy_rig()
    rig.keeper.notice({"event_type": "market_resolved", "assets_ids": [Y, N]}, rig.now)
    rig.pass_ms(600_000, step_ms=500)
    assert rig.asked() == []
