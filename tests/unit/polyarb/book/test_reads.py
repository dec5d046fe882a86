"""Reads: a book that is fresh enough, or the reason why not, from the arena alone."""

import json

import pytest
from bookrig import MS, Rig, book, change, framed, no, yes

from polyarb.book.freshness import AGE_NAMES, Miss, Reason, Staleness
from polyarb.book.keeper import KeeperConfig
from polyarb.book.registry import Pair
from polyarb.core.book import Depth, State, Top
from polyarb.core.stream import Splitter
from polyarb.domain.market import FREE, FeeSchedule
from polyarb.errors import RangeError

Y, N = yes(0), no(0)


@pytest.fixture
def rig():
    rig = Rig()
    rig.open()
    return rig


def reason(found):
    assert isinstance(found, Miss)
    return found.reason


def test_a_live_book_is_served_with_its_age_counted(rig):
    rig.now += 30 * MS
    top = rig.keeper.top(Y, Staleness.LATENCY_ARB_TIGHT)
    assert isinstance(top, Top)
    assert (top.bid.price_e4, top.ask.price_e4) == (4000, 4200)
    assert rig.keeper.served.mean_age_ns == 30 * MS
    assert rig.keeper.served.ages()["10-50"] == 1
    assert rig.count("cache_hits") == 1


def test_depth_has_at_most_the_levels_asked_for(rig):
    depth = rig.keeper.depth(Y, 1)
    assert isinstance(depth, Depth)
    assert [level.price_e4 for level in depth.bids] == [4000]
    assert len(rig.keeper.depth(Y, 5).asks) == 2
    assert rig.keeper.depth(Y, 0).bids == ()


@pytest.mark.parametrize("preset", list(Staleness))
def test_a_preset_serves_up_to_its_age_and_not_a_nanosecond_more(rig, preset):
    rig.now += preset * MS
    assert isinstance(rig.keeper.top(Y, preset), Top)
    rig.now += 1
    miss = rig.keeper.top(Y, preset)
    assert reason(miss) is Reason.STALE
    assert miss.state is State.LIVE
    assert miss.age_ns == preset * MS + 1
    assert reason(rig.keeper.depth(Y, 1, preset)) is Reason.STALE


def test_presets_are_those_of_the_strategies():
    assert {p.name: int(p) for p in Staleness} == {
        "LATENCY_ARB_TIGHT": 100,
        "LATENCY_ARB": 500,
        "FAST15M": 1_500,
        "LONG": 5_000,
    }


def test_the_configured_age_holds_without_one_and_the_hard_one_always():
    rig = Rig(config=KeeperConfig(max_stale_ms=200, hard_stale_ms=1_000))
    rig.open()
    rig.now += 201 * MS
    assert reason(rig.keeper.top(Y)) is Reason.STALE
    assert isinstance(rig.keeper.top(Y, 5_000), Top)
    rig.now += 800 * MS
    assert reason(rig.keeper.top(Y, 5_000)) is Reason.STALE


def test_an_unknown_token_is_not_subscribed(rig):
    assert reason(rig.keeper.top("77")) is Reason.NOT_SUBSCRIBED
    assert reason(rig.keeper.depth("77", 3)) is Reason.NOT_SUBSCRIBED
    assert reason(rig.keeper.top("no token at all")) is Reason.NOT_SUBSCRIBED


def test_a_token_without_any_book_yet_was_never_seen():
    rig = Rig()
    assert reason(rig.keeper.top(Y)) is Reason.NEVER_SEEN
    rig.up()
    assert reason(rig.keeper.top(Y)) is Reason.NEVER_SEEN


def test_a_lost_connection_makes_books_not_ready_at_once(rig):
    rig.down()
    miss = rig.keeper.top(Y)
    assert (miss.reason, miss.state) == (Reason.NOT_READY, State.WARMING)


def test_a_crossed_book_is_crossed_and_its_twin_as_well(rig):
    rig.send(change(Y, "BUY", "0.42", "5", rig.ms))
    assert [reason(rig.keeper.top(token)) for token in (Y, N)] == [Reason.CROSSED] * 2
    rig.send(change(Y, "SELL", "0.42", "0", rig.ms))
    assert isinstance(rig.keeper.top(Y), Top)


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (change(Y, "BUY", "0.39", "7", 0, pair=False), State.MIRROR_MISMATCH),
        (change(Y, "BUY", "0.39", "7", 0, best_bid="0.41"), State.TOP_MISMATCH),
        (change(Y, "BUY", "0.395", "7", 0), State.GAP),
        (
            {"event_type": "tick_size_change", "asset_id": Y, "new_tick_size": "0.001"},
            State.TICK_CHANGE,
        ),
    ],
)
def test_a_failed_check_makes_a_book_not_ready(rig, message, state):
    rig.send({**message, "timestamp": str(rig.ms)})
    miss = rig.keeper.top(Y)
    assert (miss.reason, miss.state) == (Reason.NOT_READY, state)


def test_a_resolved_market_is_disabled(rig):
    rig.send({"event_type": "market_resolved", "assets_ids": [Y, N], "timestamp": str(rig.ms)})
    assert reason(rig.keeper.top(Y)) is Reason.DISABLED


def test_a_disabled_token_says_why(rig):
    rig.keeper.registry.disable(Y, "no fee data")
    rig.keeper.registry.disable(Y, "another reason")
    miss = rig.keeper.top(Y)
    assert (miss.reason, miss.detail, miss.state) == (Reason.DISABLED, "no fee data", State.LIVE)
    assert isinstance(rig.keeper.top(N), Top)
    rig.keeper.registry.enable(Y)
    assert isinstance(rig.keeper.top(Y), Top)


def test_every_read_is_counted_once_under_its_reason(rig):
    keeper = rig.keeper
    for _ in range(3):
        keeper.top(Y)
    keeper.top("77")
    keeper.registry.disable(N, "x")
    keeper.depth(N, 1)
    rig.now += 9_000 * MS
    keeper.depth(Y, 1)
    rig.down()
    keeper.top(Y)
    counters = keeper.counters()
    assert {r.value: counters[f"cache_misses_{r.value}"] for r in Reason} == {
        "not_subscribed": 1,
        "not_ready": 1,
        "stale": 1,
        "never_seen": 0,
        "crossed": 0,
        "disabled": 1,
    }
    assert counters["cache_hits"] == 3
    assert keeper.served.hit_rate == 3 / 7


def test_the_age_histogram_has_the_classes_of_the_issue(rig):
    ages = (0, 10, 11, 50, 100, 101, 250, 500, 501, 1_000, 5_000, 5_001)
    start = rig.now
    for age in ages:
        rig.now = start + age * MS
        assert isinstance(rig.keeper.top(Y, 10_000), Top)
    assert list(rig.keeper.served.ages().values()) == [2, 2, 1, 2, 1, 2, 1, 1]
    assert len(AGE_NAMES) == 8
    assert rig.keeper.served.mean_age_ns == sum(ages) * MS // len(ages)


def test_no_read_ever_asks_for_anything_by_rest(rig):
    for state in ("live", "stale", "down"):
        if state == "stale":
            rig.now += 60_000 * MS
        if state == "down":
            rig.down()
        for token in (Y, N, "77"):
            rig.keeper.top(token)
            rig.keeper.depth(token, 3)
    assert rig.asked() == []
    assert rig.count("rest_calls_on_read_path") == 0


def test_a_request_made_while_reading_would_be_counted(rig):
    """The proof above would be worth nothing if the counter could not move."""
    inner = rig.keeper._books

    class Spoiled:
        def top(self, slot):
            rig.keeper._requests.ask(next(iter(type(purpose))), [Y], rig.now)
            return inner.top(slot)

        def __getattr__(self, name):
            return getattr(inner, name)

    from polyarb.book.snapshots import Purpose

    purpose = Purpose.WARMUP
    rig.keeper._books = Spoiled()
    rig.keeper.top(Y)
    assert rig.count("rest_calls_on_read_path") == 1


def test_all_counters_of_the_issue_are_there(rig):
    names = (
        "cache_hits snapshots_applied snapshot_rejects deltas_applied sequence_gaps "
        "crossed_book_resets mirror_mismatches frozen_feeds resyncs"
    )
    counters = rig.keeper.counters()
    assert set(names.split()) <= counters.keys()
    assert counters["snapshots_applied"] == 2
    rig.send(book(Y, [], [], rig.ms - 10_000))
    assert rig.count("snapshot_rejects") == 1


def test_changes_are_told_once_and_the_latest_wins(rig):
    heard = []
    end = rig.keeper.on_change(Y, lambda token: heard.append(rig.keeper.top(token)))
    rig.keeper.on_change(Y, lambda token: 1 / 0)
    for size in ("1", "2", "3"):
        rig.send(change(Y, "BUY", "0.4", size, rig.ms))
    assert heard == []
    assert len(rig.soon) == 1
    rig.settle()
    assert [top.bid.size_e6 for top in heard] == [3_000_000]
    assert isinstance(rig.errors[0], ZeroDivisionError)
    end()
    end()
    rig.send(change(Y, "BUY", "0.4", "4", rig.ms))
    rig.settle()
    assert len(heard) == 1


def test_a_change_of_state_alone_is_told_too(rig):
    heard = []
    rig.keeper.on_change(Y, heard.append)
    rig.down()
    rig.settle()
    assert heard == [Y]


def test_nobody_who_listens_costs_a_delivery(rig):
    rig.send(change(Y, "BUY", "0.4", "4", rig.ms))
    rig.down()
    assert not rig.soon
    with pytest.raises(RangeError):
        rig.keeper.on_change("77", print)


@pytest.mark.asyncio
async def test_changes_can_be_awaited(rig):
    changes = rig.keeper.changes(Y)
    waiting = anext(changes)
    import asyncio

    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    for size in ("1", "2"):
        rig.send(change(Y, "BUY", "0.4", size, rig.ms))
    rig.settle()
    assert await task == Y
    await changes.aclose()
    rig.send(change(Y, "BUY", "0.4", "3", rig.ms))
    assert not rig.soon


def test_a_forgotten_token_is_not_subscribed_and_its_slot_is_free(rig):
    rig.down([Y], why="unsubscribed")
    rig.keeper.forget(Y, rig.now)
    rig.keeper.forget(Y, rig.now)
    assert reason(rig.keeper.top(Y)) is Reason.NOT_SUBSCRIBED
    assert isinstance(rig.keeper.top(N), Top)


def test_a_disabled_token_costs_nothing_that_is_known_until_it_is_enabled(rig):
    registry, books = rig.keeper.registry, rig.books
    fees = FeeSchedule(rate_e6=40_000)
    slots = registry.add(Pair(yes=Y, no=N, tick_e4=100, fees=fees), rig.now)
    rig.dump()
    assert [books.cost_e6(slot) for slot in slots] == [429_744, 609_600]
    registry.disable(Y, "said so")
    assert books.cost_e6(slots[0]) is None
    assert not books.fresh(slots[0], rig.now)
    rig.dump()
    assert books.cost_e6(slots[0]) is None, "not with the next book either"
    registry.enable(Y)
    assert books.cost_e6(slots[0]) == 429_744


def test_quiet_books_are_fresh_for_the_scan_as_long_as_their_line_brings_data():
    rig = Rig(markets=2, config=KeeperConfig(max_stale_ms=200, hard_stale_ms=60_000))
    rig.keeper.registry.add(Pair(yes=Y, no=N, fees=FREE), rig.now)
    rig.open()
    slot = rig.keeper.registry.slot(Y)
    rig.now += 201 * MS
    assert not rig.books.fresh(slot, rig.now)
    splitter = Splitter(4096, line=rig.line(0))
    frame = framed(json.dumps(rig.book(yes(1))).encode())
    rig.ticker.stream(splitter, splitter.write(frame), rig.now)
    assert rig.books.fresh(slot, rig.now)
    assert reason(rig.keeper.top(Y)) is Reason.STALE, "readers ask for the age of the book itself"
    rig.down()
    rig.up()
    rig.dump()
    assert rig.books.fresh(slot, rig.now)
