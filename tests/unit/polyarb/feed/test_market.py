"""Many connections in virtual time: shards, back-off, keep-alive, copies, changing tokens."""

import itertools
import json
import statistics
from collections.abc import Iterable
from random import Random

import pytest
from feeds import CLOSE, MS, SECOND, TEXT, Library, World, book, change, closing, text

from polyarb.core.book import State as BookState
from polyarb.core.tick import DROP_OLDER
from polyarb.errors import ArgumentTypeError, CapacityError, RangeError
from polyarb.feed.channel import ChannelConfig, State
from polyarb.feed.market import Connection, FeedConfig


def pairs(count: int, start: int = 1) -> list[tuple[str, str]]:
    """Return markets of two tokens: ("1", "2"), ("3", "4") and so on."""
    return [(str(n), str(n + 1)) for n in range(start, start + 2 * count, 2)]


def flat(markets: Iterable[Iterable[str]]) -> list[str]:
    return [token for market in markets for token in market]


def world(count: int = 4, *, flags: int = 0, seed: int = 1, **config: object) -> World:
    return World(Library(flat(pairs(count)), flags=flags), seed=seed, **config)


def only(world: World) -> Connection:
    (connection,) = world.feed.connections.values()
    return connection


def subscriptions(world: World, number: int) -> list[dict[str, object]]:
    """Return what a connection said about tokens, all its epochs together."""
    said = [payload for opcode, payload in world.heard[number] if opcode == TEXT]
    return [json.loads(payload) for payload in said if payload != b"PING"]


# -- shards


@pytest.mark.parametrize(("markets", "size", "connections"), [(50, 20, 5), (3, 200, 1), (7, 5, 4)])
def test_the_universe_is_spread_over_connections(markets, size, connections):
    there = world(markets, tokens_per_connection=size)
    there.subscribe(*pairs(markets))
    sets = [set(connection.tokens) for connection in there.feed.connections.values()]
    assert len(sets) == connections
    assert max(map(len, sets)) <= size
    assert sorted(token for tokens in sets for token in tokens) == sorted(flat(pairs(markets)))
    assert all(len(tokens & set(market)) in {0, 2} for tokens in sets for market in pairs(markets))
    assert set(there.feed.tokens) == set(flat(pairs(markets)))
    for connection in there.feed.connections.values():
        (first,) = subscriptions(there, connection.number)
        assert first["assets_ids"] == list(connection.tokens)


def test_the_whole_venue_finds_its_shards_quickly():
    there = world(1)
    there.feed.subscribe(pairs(36_000), there.now_ns)
    assert len(there.feed.connections) == 360


def test_what_cannot_be_one_market_is_refused():
    there = world(tokens_per_connection=3)
    with pytest.raises(ArgumentTypeError, match="a sequence of tokens"):
        there.feed.subscribe(["12"], there.now_ns)
    with pytest.raises(CapacityError, match="tokens_per_connection is 3"):
        there.feed.subscribe([("1", "2", "3", "4")], there.now_ns)


# -- opening, ending, coming back


def test_up_and_down_are_told_with_their_tokens():
    there = world()
    there.subscribe(*pairs(2))
    (up,) = there.listener.log
    assert up == ("up", 0, ("1", "2", "3", "4"), there.now_ns)
    there.send(only(there), text(book("1", 1000)))
    assert there.library.state("1") is BookState.LIVE
    there.cut(only(there), "reset by peer")
    assert there.listener.log[1] == (
        "down",
        0,
        ("1", "2", "3", "4"),
        "1006 reset by peer",
        there.now_ns,
    )
    assert there.library.state("1") is BookState.WARMING
    assert not only(there).up


def test_a_lost_connection_subscribes_to_everything_again():
    there = world()
    there.subscribe(*pairs(2))
    there.subscribe(*pairs(1, 5))
    there.feed.unsubscribe(["2"], there.now_ns)
    there.cut(only(there))
    there.wait(0.2)
    last = subscriptions(there, 0)[-1]
    assert last["type"] == "market"
    assert last["assets_ids"] == ["1", "3", "4", "5", "6"]
    assert only(there).epoch == 2
    assert [entry[0] for entry in there.listener.log[-2:]] == ["down", "up"]


def test_a_frame_cut_off_by_the_end_does_not_reach_into_the_next_epoch():
    there = world()
    there.subscribe(*pairs(1))
    there.send(only(there), text(book("1", 1000))[:50])
    there.cut(only(there))
    there.wait(0.2)
    there.send(only(there), text(book("1", 1000)))
    assert there.library.state("1") is BookState.LIVE


def test_a_close_of_the_exchange_is_answered_and_comes_back():
    there = world()
    there.subscribe(*pairs(1))
    there.send(only(there), closing(1013, b"slow consumer"))
    assert there.heard[0][-1] == (CLOSE, (1013).to_bytes(2, "big") + b"slow consumer")
    assert only(there).last_reason == "1013 slow consumer"
    there.wait(0.2)
    assert only(there).up


# -- back-off


def waits(there: World, number: int = 0) -> list[int]:
    """Return the nanoseconds between the dials of a connection."""
    at = [when for dialled, when in there.dials if dialled == number]
    return [after - before for before, after in itertools.pairwise(at)]


def test_waits_double_up_to_their_bound_and_differ_between_connections():
    there = world(40, tokens_per_connection=2)
    there.accepts = False
    there.subscribe(*pairs(40))
    there.wait(400)
    for number in there.feed.connections:
        for attempt, wait in enumerate(waits(there, number)):
            most = min(30 * SECOND, 200 * MS << attempt)
            assert max(100 * MS, most // 2) <= wait <= most
    first = [waits(there, number)[0] for number in there.feed.connections]
    assert len(set(first)) > 30
    assert 130 * MS < statistics.mean(first) < 170 * MS


def test_bounds_of_the_wait_are_a_setting():
    there = world(backoff_min_ns=SECOND, backoff_max_ns=SECOND)
    there.accepts = False
    there.subscribe(*pairs(1))
    there.wait(10)
    assert set(waits(there)) == {SECOND}


def test_a_stable_connection_starts_again_with_the_shortest_wait():
    there = world()
    there.accepts = False
    there.subscribe(*pairs(1))
    there.wait(60)
    there.accepts = True
    there.wait(30)
    connection = only(there)
    assert connection.up
    there.wait(20)
    there.cut(connection)
    before = len(there.dials)
    there.wait(0.2)
    assert len(there.dials) == before + 1


def test_a_connection_that_never_lasts_waits_longer_and_longer():
    there = world()
    there.subscribe(*pairs(1))
    for _ in range(12):
        while not only(there).up:
            there.run(there.feed.next_deadline())
        there.wait(1)
        there.cut(only(there))
    assert waits(there)[-1] > 15 * SECOND


def test_it_comes_back_for_ever():
    there = world()
    there.accepts = False
    there.subscribe(*pairs(1))
    there.wait(100_000)
    there.accepts = True
    there.wait(31)
    assert only(there).up


# -- keep-alive


def test_pings_keep_all_connections_alive_for_an_hour():
    there = world(8, tokens_per_connection=4)
    there.subscribe(*pairs(8))
    there.wait(3_600)
    assert all(c.up and c.epoch == 1 for c in there.feed.connections.values())
    pings = [payload for _, payload in there.heard[0] if payload == b"PING"]
    assert len(pings) == 360
    assert there.feed.connections[0].counts.pongs == 360


def test_lost_pongs_end_one_connection_and_not_the_others():
    there = world(2, tokens_per_connection=2)
    there.subscribe(*pairs(2))
    there.silent.add(1)
    there.wait(29.9)
    assert not there.listener.of("down")
    there.wait(0.1)
    ((_, number, tokens, reason, _),) = there.listener.of("down")
    assert (number, tokens, reason) == (1, ("3", "4"), "1006 no PONG for 30 s")
    there.silent.clear()
    there.wait(0.2)
    assert all(c.up for c in there.feed.connections.values())
    assert there.feed.connections[0].epoch == 1


def test_a_handshake_that_hangs_is_dialled_again():
    there = world()
    there.feed.subscribe(pairs(1), there.now_ns)
    there.feed.tick(there.now_ns)  # dialled, and nobody answers
    there.feed.pending()
    due = there.feed.next_deadline()
    assert due == there.now_ns + 10 * SECOND
    there.now_ns = due
    there.settle()
    assert only(there).last_reason == "1006 not open after 10 s"
    there.wait(0.2)
    assert only(there).up


# -- tokens come and go


def test_new_tokens_join_an_open_connection():
    there = world()
    there.subscribe(*pairs(1))
    there.subscribe(*pairs(2))
    assert len(there.feed.connections) == 1
    assert subscriptions(there, 0)[1] == {
        "operation": "subscribe",
        "assets_ids": ["3", "4"],
        "custom_feature_enabled": True,
    }
    assert there.listener.log[-1][:3] == ("up", 0, ("3", "4"))
    there.subscribe(*pairs(2))
    assert len(subscriptions(there, 0)) == 2, "known tokens are not asked for again"


def test_tokens_of_one_market_stay_together_even_if_they_come_apart():
    there = world(tokens_per_connection=4)
    there.subscribe(("1",), ("3", "4"), ("5", "6"))
    there.subscribe(("1", "2"))
    homes = [set(c.tokens) for c in there.feed.connections.values()]
    assert homes == [{"1", "2", "3", "4"}, {"5", "6"}]


def test_tokens_leave_and_their_place_is_given_away():
    there = world(tokens_per_connection=4)
    there.subscribe(*pairs(4))
    there.feed.unsubscribe(["3", "4", "nobody"], there.now_ns)
    there.settle()
    assert subscriptions(there, 0)[-1] == {"operation": "unsubscribe", "assets_ids": ["3", "4"]}
    assert there.listener.log[-1][:4] == ("down", 0, ("3", "4"), "unsubscribed")
    there.subscribe(("1", "x"), ("y",))
    assert list(there.feed.connections[0].tokens) == ["1", "2", "x", "y"]
    assert len(there.feed.connections) == 2


def test_a_connection_without_tokens_ends_and_does_not_come_back():
    there = world(tokens_per_connection=2)
    there.subscribe(*pairs(2))
    there.feed.unsubscribe(["1", "2"], there.now_ns)
    there.settle()
    assert there.heard[0][-1][0] == CLOSE
    assert list(there.feed.connections) == [1]
    there.wait(100)
    assert [number for number, _ in there.dials] == [0, 1]
    there.subscribe(("1", "2"))
    assert list(there.feed.connections) == [1, 2]


@pytest.mark.parametrize("accepts", [True, False])
def test_a_connection_that_is_not_open_can_lose_its_tokens_too(accepts):
    there = world()
    there.accepts = accepts
    there.feed.subscribe(pairs(1), there.now_ns)
    there.feed.tick(there.now_ns)
    if not accepts:
        there.settle()
    there.feed.unsubscribe(["1", "2"], there.now_ns)
    assert not there.feed.connections
    there.settle()
    there.wait(100)
    assert not there.listener.log


def test_books_can_be_asked_for_again():
    there = world(tokens_per_connection=4)
    there.subscribe(*pairs(4))
    there.feed.resubscribe(["1", "5", "nobody"])
    there.settle()
    for number, token in ((0, "1"), (1, "5")):
        gone, back = subscriptions(there, number)[-2:]
        assert gone == {"operation": "unsubscribe", "assets_ids": [token]}
        assert back["operation"] == "subscribe"
        assert back["assets_ids"] == [token]
    assert not there.listener.of("down")


# -- copies


def test_a_copy_carries_the_same_tokens_and_the_first_of_two_wins():
    there = world(1, flags=DROP_OLDER, copies=2)
    there.subscribe(*pairs(1))
    one, two = there.feed.connections.values()
    assert list(one.tokens) == list(two.tokens) == ["1", "2"]
    for connection in (one, two):
        there.send(connection, text(book("1", 1000)))
    there.send(two, text(change("1", 1005, "0.41", "7")) + text(change("1", 1006, "0.41", "9")))
    there.send(one, text(change("1", 1005, "0.41", "7")))
    assert there.library.bids("1")[4_100] == 9_000_000, "the slower copy does not turn time back"


def test_a_token_is_ready_as_long_as_one_copy_carries_it():
    there = world(1, flags=DROP_OLDER, copies=2)
    there.subscribe(*pairs(1))
    one, two = there.feed.connections.values()
    for token in ("1", "2"):
        there.send(one, text(book(token, 1000)))
    there.cut(one)
    assert there.library.state("1") is BookState.LIVE
    there.cut(two)
    assert there.library.state("1") is BookState.WARMING


def test_renewal_is_spread_and_waits_for_the_other_copy():
    there = world(1, flags=DROP_OLDER, copies=2, renew_ns=600 * SECOND)
    there.subscribe(*pairs(1))
    there.wait(449)
    assert not there.listener.of("down")
    there.wait(151)
    downs = there.listener.of("down")
    assert {entry[1] for entry in downs} == {0, 1}
    assert all(entry[3] == "1000 renewed" for entry in downs)
    up = {0: True, 1: True}
    for what, number, *_ in there.listener.log[2:]:
        up[number] = what == "up"
        assert any(up.values()), "never both at once"


def test_a_renewal_is_put_off_while_the_other_copy_is_down():
    there = world(1, flags=DROP_OLDER, copies=2, renew_ns=600 * SECOND)
    there.subscribe(*pairs(1))
    one, _ = there.feed.connections.values()
    there.accepts = False
    there.cut(one)
    there.wait(3_000)
    assert len(there.listener.of("down")) == 1
    there.accepts = True
    there.wait(100)
    assert len(there.listener.of("down")) >= 2


# -- what others ask for


def test_when_data_came_last_is_known_by_connection():
    there = world(2, tokens_per_connection=2)
    there.subscribe(*pairs(2))
    assert there.feed.data_ns(0) == 0
    there.wait(5)
    there.send(there.feed.connections[0], text(book("1", 1000)))
    at = there.now_ns
    there.wait(10)
    there.send(there.feed.connections[0], text(b"PONG"))
    assert [there.feed.data_ns(number) for number in (0, 1, 7)] == [at, 0, 0]
    there.cut(there.feed.connections[0])
    assert there.feed.data_ns(0) == 0


def test_a_connection_has_a_line_of_its_own_in_the_core_and_gives_it_back():
    there = world(4, tokens_per_connection=4)
    markets = pairs(4)
    there.subscribe(*markets)
    feed = there.feed
    assert [feed.line(number) for number in feed.connections] == [1, 2]
    slot = there.library.slots["1"]
    there.library.books.carry(slot, feed.line(0), True)
    there.send(feed.connections[0], text(book("3", 1000)))
    assert there.library.books.heard_ns(slot) == there.now_ns
    feed.unsubscribe(flat(markets[:2]), there.now_ns)
    there.settle()
    assert feed.line(0) == 0
    there.subscribe(("101", "102"))
    assert [feed.line(number) for number in feed.connections] == [2, 1]


def test_a_frozen_connection_is_replaced_on_request():
    there = world(2, tokens_per_connection=2)
    there.subscribe(*pairs(2))
    there.wait(11)
    there.feed.reconnect(1, "frozen", there.now_ns)
    there.settle()
    assert there.listener.log[-1][:4] == ("down", 1, ("3", "4"), "1000 frozen")
    there.feed.reconnect(1, "frozen", there.now_ns)
    there.feed.reconnect(7, "never there", there.now_ns)
    there.wait(0.2)
    assert there.feed.connections[1].epoch == 2
    assert there.feed.connections[0].epoch == 1


def test_a_peer_that_ignores_our_close_is_left_after_its_time():
    there = world()
    there.subscribe(*pairs(1))
    there.wait(11)
    connection = only(there)
    connection.close("frozen", there.now_ns)
    assert connection.state is State.CLOSING
    assert there.feed.next_deadline() == there.now_ns + ChannelConfig().close_ns
    there.now_ns += ChannelConfig().close_ns
    there.feed.tick(there.now_ns)  # and dialled again in the same breath
    there.settle()
    assert connection.epoch == 2


def test_stopping_closes_everything_for_good():
    there = world(4, tokens_per_connection=2)
    there.subscribe(*pairs(3))
    there.accepts = False
    there.subscribe(*pairs(4))
    assert not there.feed.stopped
    there.feed.stop(there.now_ns)
    there.settle()
    assert there.feed.stopped
    assert {there.heard[number][-1][0] for number in (0, 1, 2)} == {CLOSE}
    dials = len(there.dials)
    there.wait(1_000)
    assert len(there.dials) == dials
    assert there.feed.next_deadline() is None


def test_a_listener_may_change_the_subscription_from_inside_a_read():
    there = world()
    there.subscribe(*pairs(1))

    def notice(message: dict[str, object], recv_ns: int) -> None:
        there.feed.subscribe([message["assets_ids"]], recv_ns)
        there.feed.unsubscribe(["1", "2"], recv_ns)

    there.listener.notice = notice
    there.send(only(there), text({"event_type": "new_market", "assets_ids": ["3", "4"]}))
    assert list(only(there).tokens) == ["3", "4"]
    assert only(there).up


def test_waking_happens_once_until_it_is_looked_at():
    there = world(tokens_per_connection=2)
    calls = []
    there.feed.wake = lambda: calls.append(1)
    there.feed.subscribe(pairs(3), there.now_ns)
    there.feed.tick(there.now_ns)
    assert len(calls) == 1
    assert len(there.feed.pending()) == 3
    assert there.feed.pending() == []


def test_what_came_is_recorded_by_connection_and_epoch():
    taken = []

    class Tape:
        def read(self, connection: int, recv_ns: int, data: bytes) -> None:
            taken.append((connection, recv_ns, data))

    there = world()
    there.feed.tap = Tape()
    there.subscribe(*pairs(1))
    data = text(book("1", 1000))
    there.send(only(there), data)
    assert taken == [(0, there.now_ns, data)]


def test_the_same_seed_gives_the_same_history():
    def history(seed: int) -> tuple[list[object], list[object]]:
        there = world(8, tokens_per_connection=2, seed=seed, renew_ns=30 * SECOND)
        chance = Random(3)
        there.subscribe(*pairs(8))
        for _ in range(200):
            there.wait(chance.random() * 3)
            there.accepts = chance.random() < 0.7
            up = [c for c in there.feed.connections.values() if c.up]
            if up:
                there.cut(chance.choice(up))
        return there.dials, there.listener.log

    assert history(1) == history(1)
    assert history(1) != history(2)


@pytest.mark.parametrize(
    "setting",
    [
        *({"tokens_per_connection": 0}, {"tokens_per_connection": 1025}, {"copies": 3}),
        *({"buffer_bytes": 1}, {"backoff_min_ns": 0}, {"backoff_max_ns": 1}, {"renew_ns": -1}),
        {"stable_ns": -1},
    ],
)
def test_a_setting_out_of_range_is_named(setting):
    (name,) = setting
    with pytest.raises(RangeError, match=rf"feed\.{name}"):
        FeedConfig(**setting)
