"""Books that stay broken: alone, coalesced, with nothing lost in between, and back when proven."""

import itertools
import json

import pytest
from bookrig import MS, START_MS, Rig, book, change, mirrored, no, yes

from polyarb.book import resync
from polyarb.book.freshness import Miss, Reason
from polyarb.book.resync import Job
from polyarb.core.book import State, Top
from polyarb.core.decode import Level, Side

Y, N = yes(0), no(0)


def both(market, ms, bid=("0.41", "9"), ask=("0.45", "8"), **more):
    """Return a market's two REST books with one level a side."""
    return (
        book(yes(market), [bid], [ask], ms, **more),
        book(no(market), [(mirrored(ask[0]), ask[1])], [(mirrored(bid[0]), bid[1])], ms, **more),
    )


def broken(markets=1):
    """Open, and market 0 crossed for good; a frame that no later one mends."""
    rig = Rig(markets)
    rig.open()
    rig.pass_ms(100)
    rig.send(change(Y, "BUY", "0.5", "5", rig.ms))
    return rig


def state(rig, token=Y):
    return rig.books.top(rig.keeper.registry.slot(token)).state


def ladder(rig, token=Y, side=Side.BID):
    return rig.books.ladder(rig.keeper.registry.slot(token), side)


def resync_of(rig):
    (request,) = rig.asked()
    assert request.purpose.value == "resync"
    return request


def test_what_clears_within_a_second_is_left_alone():
    rig = broken()
    rig.pass_ms(900)
    rig.send(change(Y, "BUY", "0.5", "0", rig.ms))
    rig.pass_ms(5_000)
    assert rig.asked() == []
    assert isinstance(rig.keeper.top(Y, 10_000), Top)


def test_what_lasts_is_asked_for_alone_and_comes_back():
    rig = broken(3)
    rig.pass_ms(1_200)
    request = resync_of(rig)
    assert set(request.tokens) == {Y, N}
    rig.pass_ms(80)
    rig.answer(request, *both(0, rig.ms - 30))
    top = rig.keeper.top(Y)
    assert (top.bid, top.ask) == (Level(4100, 9_000_000), Level(4500, 8_000_000))
    assert rig.count("resyncs") == 2
    assert rig.count("crossed_book_resets") == 2
    assert isinstance(rig.keeper.top(yes(1), 9_000), Top)
    rig.pass_ms(5_000)
    assert rig.asked() == []


def test_changes_since_the_answer_was_made_are_replayed_on_it():
    """A fast market: the REST book is older than the socket by the time it is here."""
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    made_ms = rig.ms + 10
    rig.pass_ms(20)
    rig.send(change(Y, "BUY", "0.41", "77", made_ms - 5))  # in the answer already
    rig.send(change(Y, "BUY", "0.42", "3", made_ms + 5))
    rig.send(change(Y, "SELL", "0.45", "0", made_ms + 6), change(Y, "SELL", "0.46", "6", rig.ms))
    rig.answer(request, *both(0, made_ms))
    assert isinstance(rig.keeper.top(Y), Top)
    assert ladder(rig) == [Level(4200, 3_000_000), Level(4100, 9_000_000)]
    assert ladder(rig, side=Side.ASK) == [Level(4600, 6_000_000)]
    assert ladder(rig, N) == [Level(5400, 6_000_000)]


def test_a_socket_book_among_the_replayed_ones_stands():
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    made_ms = rig.ms
    rig.pass_ms(20)
    late = change(Y, "BUY", "0.45", "5", rig.ms)  # still crossed
    rig.send(*both(0, rig.ms, bid=("0.47", "1"), ask=("0.47", "1")))
    rig.send(late)
    rig.answer(request, *both(0, made_ms))
    assert [level.price_e4 for level in ladder(rig)] == [4700, 4500]
    assert state(rig) is State.CROSSED
    assert rig.count("resyncs") == 0


def test_replay_does_not_take_other_books_back_in_time():
    rig = broken(2)
    rig.pass_ms(1_200)
    request = resync_of(rig)
    made_ms = rig.ms
    rig.send(
        change(Y, "BUY", "0.42", "3", rig.ms), change(yes(1), "BUY", "0.4", "1", rig.ms), number=0
    )
    rig.send(change(yes(1), "BUY", "0.4", "2", rig.ms))
    rig.answer(request, *both(0, made_ms))
    assert ladder(rig, yes(1))[0] == Level(4000, 2_000_000)


def test_many_that_fail_together_are_asked_for_together():
    rig = Rig(70)
    rig.open()
    for market in range(70):
        rig.send(change(yes(market), "BUY", "0.5", "5", rig.ms))
    rig.pass_ms(1_200)
    first = resync_of(rig)
    assert len(first.tokens) == 100
    rig.pass_ms(300)
    assert rig.asked() == []  # one at a time
    rig.answer(first, *(b for m in range(50) for b in both(m, rig.ms)))
    rig.pass_ms(100)
    second = resync_of(rig)
    assert len(second.tokens) == 40
    assert not set(first.tokens) & set(second.tokens)
    rig.answer(second, *(b for m in range(50, 70) for b in both(m, rig.ms)))
    assert rig.count("resyncs") == 140
    assert rig.count("rest_calls_resync") == 2


def test_a_missing_opening_book_is_asked_for_on_the_socket_then_by_rest():
    rig = Rig(1)
    rig.up()
    rig.dump([N])
    rig.pass_ms(3_900)
    assert rig.resubscribed == []
    rig.pass_ms(200)
    assert rig.resubscribed == [Y]
    assert rig.asked() == []
    rig.pass_ms(1_100)
    request = resync_of(rig)
    assert request.tokens == (Y,)
    rig.answer(request, rig.book(Y))
    assert isinstance(rig.keeper.top(Y), Top)
    assert rig.resubscribed == [Y]


def test_an_opening_book_that_comes_late_spares_the_request():
    rig = Rig(1)
    rig.up()
    rig.pass_ms(4_200)
    rig.dump()
    rig.pass_ms(5_000)
    assert rig.asked() == []
    assert rig.count("resyncs_spared") == 2


def test_an_answer_older_than_the_book_is_taken_only_when_it_comes_again():
    """A cache may have answered; or what we had seen was wrong, and nothing newer ever comes."""
    rig = broken()
    rig.pass_ms(1_200)
    rig.answer(resync_of(rig), *both(0, START_MS))
    assert state(rig) is State.CROSSED
    rig.pass_ms(400)
    rig.answer(resync_of(rig), *both(0, START_MS))
    assert isinstance(rig.keeper.top(Y, 5_000), Top)


def test_an_older_answer_that_is_followed_by_a_newer_one_is_not_taken():
    rig = broken()
    rig.pass_ms(1_200)
    rig.answer(resync_of(rig), *both(0, START_MS))
    rig.pass_ms(400)
    rig.answer(resync_of(rig), *both(0, rig.ms - 10, bid=("0.3", "1")))
    assert ladder(rig) == [Level(3000, 1_000_000)]


def test_a_failing_rest_is_asked_again_later_and_later():
    rig = broken()
    asked = []
    for _ in range(600):
        rig.pass_ms(100)
        for request in rig.asked():
            asked.append(rig.now)
            rig.keeper.refused(request.number, "500", rig.now)
    waits = [(b - a) // MS for a, b in itertools.pairwise(asked)]
    assert waits[0] == 300
    assert all(later >= earlier for earlier, later in itertools.pairwise(waits))
    assert 6 <= len(asked) <= 10
    assert isinstance(rig.keeper.top(Y, 100_000), Miss)
    assert rig.count("resyncs") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[[[[",
        b"[" * 100_000,
        b'[{"asset_id":"1000"}]',
        b'[{"asset_id":"1000","bids":{},"asks":[]}]',
        b'[{"asset_id":1000,"bids":[],"asks":[]}]',
        b'[{"asset_id":"1000","bids":[{"price":"0.123","size":"1"}],"asks":[],"timestamp":"x"}]',
        b'[{"asset_id":"1000","bids":[{"price":"2","size":"1"}],"asks":[]}]',
        b'[{"asset_id":"1000","bids":["x"],"asks":[null]}, 5, null]',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_none_changes_no_book(body):
    rig = broken()
    rig.pass_ms(1_200)
    before = ladder(rig)
    rig.keeper.answered(resync_of(rig).number, body, rig.now)
    assert ladder(rig) in (before, [])
    assert state(rig) is not State.LIVE
    rig.pass_ms(500)
    rig.answer(resync_of(rig), *both(0, rig.ms))
    assert isinstance(rig.keeper.top(Y), Top)


def test_one_bad_book_of_an_answer_does_not_keep_the_others():
    rig = broken(2)
    rig.send(change(yes(1), "BUY", "0.5", "5", rig.ms))
    rig.pass_ms(1_200)
    first, second = both(0, rig.ms)
    first["bids"].append({"price": "0.415", "size": "1"})  # off the tick it names
    rig.answer(resync_of(rig), first, second, *both(1, rig.ms))
    assert isinstance(rig.keeper.top(yes(1)), Top)
    assert state(rig) is not State.LIVE


def test_a_ghost_book_is_not_believed_at_once():
    rig = broken()
    rig.pass_ms(1_200)
    for attempt in range(4):
        requests = []
        while not requests:
            rig.pass_ms(100)
            requests = rig.asked()
        assert state(rig) is not State.LIVE, attempt
        rig.answer(requests[0], *both(0, rig.ms, bid=("0.01", "1"), ask=("0.99", "1")))
    assert state(rig) is State.LIVE  # four times: there is no better witness
    assert rig.count("ghost_books") == 6


def test_a_lost_connection_ends_the_resync_and_a_late_answer_is_ignored():
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    rig.down()
    rig.answer(request, *both(0, rig.ms))
    assert rig.keeper.top(Y).state is State.WARMING
    rig.pass_ms(10_000)
    assert rig.asked() == []


def test_an_answer_after_its_time_is_ignored():
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    rig.pass_ms(5_050)
    rig.answer(request, *both(0, rig.ms))
    assert state(rig) is State.CROSSED
    rig.keeper.answered(999, b"[]", rig.now)


def test_a_connection_inside_a_long_message_is_overheard_later():
    rig = broken()
    rig.deaf.add(0)
    rig.pass_ms(3_000)
    assert rig.asked() == []
    rig.deaf.clear()
    rig.pass_ms(200)
    assert resync_of(rig).tokens


def test_changes_that_could_not_be_kept_are_missed_and_the_answer_waits():
    """What was applied but not kept would be lost under an older REST book."""
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    made_ms = rig.ms
    rig.overhear(0, None)  # a hole in what is kept
    rig.send(change(Y, "BUY", "0.42", "3", rig.ms + 5))
    rig.answer(request, *both(0, made_ms))
    assert state(rig) is State.CROSSED
    rig.pass_ms(400)
    rig.answer(resync_of(rig), *both(0, rig.ms))
    assert isinstance(rig.keeper.top(Y), Top)


def test_a_flood_begins_the_keeping_anew(monkeypatch):
    monkeypatch.setattr("polyarb.book.lines.KEPT_BYTES_MAX", 10_000)
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    for i in range(100):
        rig.send(change(Y, "BUY", "0.3", str(i + 1), rig.ms))
    rig.pass_ms(200)
    rig.answer(request, *both(0, rig.ms - 300))
    assert state(rig) is State.CROSSED
    for _ in range(60):
        rig.pass_ms(100)
        for again in rig.asked():
            rig.answer(again, *both(0, rig.ms))
    assert state(rig) is State.LIVE


def test_a_disabled_token_is_not_resynchronised():
    rig = broken()
    for token in (Y, N):
        rig.keeper.registry.disable(token, "x")
    rig.pass_ms(5_000)
    assert rig.asked() == []


def test_a_book_that_breaks_again_and_again_waits_longer_each_time():
    rig = broken()
    asked = []
    for _ in range(1_500):
        rig.pass_ms(100)
        for request in rig.asked():
            asked.append(rig.now)
            rig.answer(request, *both(0, rig.ms))
            rig.send(change(Y, "BUY", "0.5", "5", rig.ms))
    waits = [(b - a) // (1_000 * MS) for a, b in itertools.pairwise(asked)]
    assert waits[0] >= 1
    assert waits[-1] >= 16
    assert len(asked) < 12


def test_with_two_copies_both_are_kept_and_replayed():
    rig = Rig(1)
    for number in (0, 1):
        rig.up(number=number)
        rig.dump(number=number)
    rig.send(change(Y, "BUY", "0.5", "5", rig.ms))
    rig.pass_ms(1_200)
    request = resync_of(rig)
    made_ms = rig.ms
    rig.pass_ms(20)
    for number in (0, 1):
        rig.send(change(Y, "BUY", "0.42", "3", made_ms + 5), number=number)
    rig.send(change(Y, "BUY", "0.42", "4", made_ms + 6), number=1)
    rig.answer(request, *both(0, made_ms))
    assert ladder(rig)[0] == Level(4200, 4_000_000)


def test_a_message_that_was_refused_is_not_replayed():
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    made_ms = rig.ms
    rig.send(change(Y, "BUY", "0.42", "-3", made_ms + 5))
    rig.send(change(Y, "BUY", "0.43", "3", made_ms + 5))
    rig.answer(request, *both(0, made_ms))
    assert ladder(rig)[0] == Level(4300, 3_000_000)
    assert isinstance(rig.keeper.top(Y), Top)


# -- the pure parts


def test_numbers_keep_their_digits():
    body = b'[{"asset_id":"1","bids":[{"price":0.4800,"size":1e3}],"asks":[],"timestamp":1790}]'
    made = resync.books_in(body)["1"]
    assert made["bids"] == [{"price": "0.4800", "size": "1e3"}]
    assert resync.time_ms(made) == 1790


@pytest.mark.parametrize("stamp", [None, "", "x", "-5", "1.5", "9" * 40, "٣"])
def test_an_unreadable_time_is_none(stamp):
    assert resync.time_ms({"timestamp": stamp}) == 0
    assert resync.time_ms({}) == 0


def test_only_what_changes_books_of_the_tokens_is_kept():
    messages = [
        json.dumps([change(Y, "BUY", "0.4", "1", 5), change(yes(1), "BUY", "0.4", "1", 5)]),
        json.dumps(book(Y, [], [], 6)),
        json.dumps({"event_type": "last_trade_price", "asset_id": Y, "price": "0.4"}),
        json.dumps({"event_type": "price_change", "price_changes": [5, {"asset_id": [Y]}]}),
        f'{{"broken {Y}',
        "PONG",
    ]
    found = resync.changes([m.encode() for m in messages], {Y})
    assert [resync.token_of(each) for each in found] == [Y, Y]
    assert [each["event_type"] for each in found] == ["price_change", "book"]
    assert len(found[0]["price_changes"]) == 1


def test_the_2025_form_is_replayed_too():
    message = (
        b'[{"event_type":"price_change","asset_id":"1000","timestamp":"5","hash":"x",'
        b'"changes":[{"price":"0.4","side":"BUY","size":"1"}]}]'
    )
    (found,) = resync.changes([message], {Y})
    assert resync.token_of(found) == Y


def test_a_job_believes_what_it_is_told_again():
    job = Job(token=Y, slot=0, first_ms=100, first_updates=0, next_ns=0)
    assert job.covers({"timestamp": "100"})
    assert not job.covers({"timestamp": "99", "hash": "a"})
    assert not job.covers({"timestamp": "98", "hash": "b"})
    assert job.covers({"timestamp": "98", "hash": "b"})
    assert job.covers({})


def test_a_token_that_leaves_takes_its_job_along():
    rig = broken()
    rig.pass_ms(1_200)
    request = resync_of(rig)
    rig.down([Y], why="unsubscribed")
    rig.keeper.forget(Y, rig.now)
    rig.answer(request, *both(0, rig.ms))
    assert rig.keeper.top(Y).reason is Reason.NOT_SUBSCRIBED
    assert isinstance(rig.keeper.top(N), Top)


def test_thousands_that_fail_at_once_take_turns(monkeypatch):
    monkeypatch.setattr("polyarb.book.healer.LOOKED_AT_MAX", 30)
    monkeypatch.setattr("polyarb.book.healer.JOBS_MAX", 40)
    rig = Rig(100)
    rig.up()
    asked = set()
    for _ in range(300):
        rig.pass_ms(100)
        for request in rig.asked():
            assert len(request.tokens) <= 40
            asked |= set(request.tokens)
            rig.answer(request, *map(rig.book, request.tokens))
    assert asked == set(rig.tokens)
    assert all(isinstance(rig.keeper.top(token, 60_000), Top) for token in rig.tokens)
