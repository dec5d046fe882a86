"""The user socket's session: news once, in any order, and a reconciliation where some is lost."""

import itertools
import json
from random import Random
from typing import Any

import pytest
from conftest import vectors
from feeds import answer

from polyarb import errors
from polyarb.domain.report import (
    OrderReport,
    OrderStatus,
    TradeReport,
    TradeStatus,
)
from polyarb.exchange.auth import Credentials, user_login
from polyarb.feed.user import (
    DOUBT_FROM,
    ROOM,
    Session,
    State,
    Told,
    UserConfig,
    UserFeed,
)

SECOND = 10**9
OWNER = "11111111-0000-4000-8000-000000000001"
ID = "0x" + "ab" * 32
NOW = 1_000 * SECOND


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.orders: list[OrderReport] = []
        self.trades: list[TradeReport] = []
        self.asked: list[str] = []
        self.lost: list[str] = []
        self.refused: list[tuple[str, bool]] = []

    def order(self, report: OrderReport, recv_ns: int) -> None:
        self.orders.append(report)

    def trade(self, report: TradeReport, recv_ns: int) -> None:
        self.trades.append(report)

    def reconcile(self, reason: str, now_ns: int) -> None:
        self.asked.append(reason)

    def down(self, reason: str, now_ns: int) -> None:
        self.lost.append(reason)

    def denied(self, reason: str, *, certain: bool, now_ns: int) -> None:
        self.refused.append((reason, certain))


class Rig:
    """A session that is driven by hand."""

    def __init__(self, **config: int) -> None:
        self.heard = Heard()
        self.config = UserConfig(**config)
        self.now = NOW
        self.session = Session(
            lambda: "LOGIN",
            owner=OWNER,
            listener=self.heard,
            now_ns=NOW,
            config=self.config,
            random=Random(1),
        )

    def dial(self) -> None:
        self.now = max(self.now, self.session.due_ns)
        self.session.tick(self.now)
        assert self.session.state is State.DIALLING

    def open(self) -> list[str]:
        self.dial()
        self.session.opened(self.now)
        texts, self.session.texts = self.session.texts, []
        return texts

    def up(self) -> None:
        self.open()
        self.say(b"PONG")
        assert self.session.state is State.UP

    def say(self, data: object) -> None:
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.session.message(raw, self.now)

    def wait(self, for_ns: int) -> None:
        until = self.now + for_ns
        while (due := self.session.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.session.tick(self.now)
        self.now = until


def order(**changes: object) -> dict[str, Any]:
    made = {
        "event_type": "order",
        "type": "PLACEMENT",
        "id": ID,
        "owner": OWNER,
        "market": "0xbd31",
        "asset_id": "7132",
        "side": "BUY",
        "price": "0.57",
        "original_size": "100",
        "size_matched": "0",
        "order_type": "GTC",
        "status": "LIVE",
        "associate_trades": None,
        "created_at": "1790000000",
        "timestamp": "1790000000500",
    }
    return made | changes


def trade(**changes: object) -> dict[str, Any]:
    made = {
        "event_type": "trade",
        "type": "TRADE",
        "id": "t1",
        "status": "MATCHED",
        "taker_order_id": ID,
        "market": "0xbd31",
        "asset_id": "7132",
        "side": "BUY",
        "size": "10",
        "price": "0.57",
        "owner": OWNER,
        "trade_owner": OWNER,
        "trader_side": "TAKER",
        "transaction_hash": "",
        "match_time": "1790000000",
        "timestamp": "1790000000501",
        "maker_orders": [],
    }
    return made | changes


# -- the connection


def test_it_logs_in_and_asks_for_a_reconciliation_once_a_pong_follows() -> None:
    rig = Rig()
    assert rig.open() == ["LOGIN", "PING"]
    assert rig.heard.asked == []
    rig.say(b"PONG")
    assert rig.heard.asked == ["connected"]
    rig.say(b"PONG")
    assert rig.heard.asked == ["connected"]


@pytest.mark.parametrize("first", [order(), trade(), [order(), trade()]])
def test_an_event_says_as_much_as_a_pong(first: object) -> None:
    rig = Rig()
    rig.open()
    rig.say(first)
    assert rig.session.state is State.UP
    assert rig.heard.asked == ["connected"]


def test_a_login_that_nothing_follows_counts_as_taken() -> None:
    rig = Rig(login_ns=5 * SECOND)
    rig.open()
    rig.wait(5 * SECOND)
    assert rig.session.state is State.UP
    assert rig.heard.asked == ["connected"]


def test_it_pings_and_gives_up_without_a_pong() -> None:
    rig = Rig(ping_ns=10 * SECOND, pong_ns=30 * SECOND)
    rig.up()
    rig.wait(10 * SECOND)
    assert rig.session.texts == ["PING"]
    rig.session.texts.clear()
    rig.say(b"PONG")
    rig.wait(29 * SECOND)
    assert rig.session.state is State.UP
    rig.wait(SECOND)
    assert rig.heard.lost == ["no PONG for 30 s"]
    assert not rig.session.connected


def test_it_comes_back_for_ever_and_waits_ever_longer() -> None:
    rig = Rig(backoff_min_ns=SECOND, backoff_max_ns=30 * SECOND)
    waits = []
    for _ in range(10):
        rig.dial()
        rig.session.ended(1006, "refused", rig.now)
        waits.append((rig.session.due_ns - rig.now) / SECOND)
    assert 1 <= waits[0] <= 2
    assert all(15 <= wait <= 30 for wait in waits[5:])
    assert rig.heard.lost == []
    rig.up()
    rig.now += 20 * SECOND
    rig.session.ended(1006, "", rig.now)
    assert rig.heard.lost == ["1006"]
    assert rig.session.due_ns - rig.now <= 2 * SECOND, "it had lasted"


def test_every_connection_asks_for_a_reconciliation() -> None:
    rig = Rig()
    for count in range(1, 4):
        rig.up()
        assert rig.heard.asked == ["connected"] * count
        rig.session.ended(1013, "slow consumer: send buffer full", rig.now)


def test_one_that_does_not_open_is_given_up() -> None:
    rig = Rig(open_ns=10 * SECOND)
    rig.dial()
    rig.wait(10 * SECOND)
    assert rig.session.last_reason == "1006 not open after 10 s"


# -- credentials


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1008, "invalid credentials"),
        (1008, ""),
        (4001, ""),
        (4401, "no"),
    ],
)
def test_a_refused_login_is_told_from_a_lost_connection(code: int, reason: str) -> None:
    rig = Rig()
    rig.open()
    rig.session.ended(code, reason, rig.now)
    assert rig.heard.refused == [(f"{code} {reason}".rstrip(), True)]
    assert rig.session.state is State.DENIED
    assert rig.session.next_deadline() is None
    rig.wait(3_600 * SECOND)
    assert rig.session.state is State.DENIED
    rig.session.retry(rig.now)
    rig.up()


@pytest.mark.parametrize(
    ("code", "reason", "denied"),
    [
        (1008, "api key deleted", True),
        (1008, "Unauthorized", True),
        (1008, "too many messages", False),
        (1000, "invalid credentials are none of our business", False),
        (1001, "going away", False),
        (1012, "restart", False),
        (1013, "slow consumer", False),
        (1006, "", False),
    ],
)
def test_what_ends_a_connection_that_worked(code: int, reason: str, denied: bool) -> None:
    rig = Rig()
    rig.up()
    rig.session.ended(code, reason, rig.now)
    assert (rig.session.state is State.DENIED) is denied
    assert bool(rig.heard.refused) is denied
    assert bool(rig.heard.lost) is not denied


def test_endings_right_after_the_login_make_it_suspect_but_are_no_denial() -> None:
    rig = Rig()
    for count in range(1, 2 * DOUBT_FROM):
        rig.open()
        rig.session.ended(1006, "", rig.now)
        assert len(rig.heard.refused) == (count >= DOUBT_FROM)
    assert rig.heard.refused == [("1006", False)]
    assert rig.session.state is State.WAITING
    rig.up()
    rig.session.ended(1006, "", rig.now)
    for _ in range(DOUBT_FROM):
        rig.open()
        rig.session.ended(1006, "", rig.now)
    assert len(rig.heard.refused) == 2


def test_a_server_that_is_not_there_is_no_matter_of_credentials() -> None:
    rig = Rig()
    for _ in range(10):
        rig.dial()
        rig.session.ended(1006, "connection refused", rig.now)
    assert rig.heard.refused == []


@pytest.mark.parametrize(
    "case", [c for c in vectors("ws_frames") if c["call"] == "user initial"], ids=lambda c: c["id"]
)
def test_the_login_is_the_sdks_byte_for_byte(case: dict[str, Any]) -> None:
    [frame] = case["frames"]
    auth = json.loads(frame)["auth"]
    held = Credentials(auth["apiKey"], auth["secret"], auth["passphrase"])
    assert user_login(held, case["after"]["markets"]) == frame


def test_the_session_shows_no_secret() -> None:
    rig = Rig()
    rig.session.opened(rig.now)
    rig.session.texts.clear()
    assert "LOGIN" not in repr(vars(rig.session))


def test_the_library_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for name in ("websockets", "websockets.client", "polyarb.feed.websockets"):
        caplog.set_level(1, name)
    rig = Rig()
    feed = UserFeed("ws://venue.test/ws/user", rig.session, rig.config)
    feed.tick(NOW)
    feed.connected(NOW)
    reply = answer(feed.data_to_send())
    feed.room()[: len(reply)] = reply
    feed.received(len(reply), NOW)
    assert rig.session.state is State.LOGGING_IN
    assert feed.data_to_send()
    assert "LOGIN" not in caplog.text
    feed.stop(NOW)
    assert feed.data_to_send()
    feed.lost("end of stream", NOW)
    assert feed.stopped


# -- events


def test_an_order_from_placement_to_its_end() -> None:
    rig = Rig()
    rig.up()
    rig.say(order())
    rig.say(order(type="UPDATE", size_matched="25", associate_trades=["t1"]))
    rig.say(order(type="UPDATE", size_matched="100", status="MATCHED"))
    seen = [(report.status, report.matched_e6) for report in rig.heard.orders]
    assert seen == [
        (OrderStatus.LIVE, 0),
        (OrderStatus.LIVE, 25 * 10**6),
        (OrderStatus.MATCHED, 100 * 10**6),
    ]
    assert rig.heard.orders[-1].final
    assert rig.heard.orders[-1].trade_ids == ("t1",)


STORY = [
    order(timestamp="1790000000001"),
    order(type="UPDATE", size_matched="25", timestamp="1790000000002", associate_trades=["t1"]),
    order(type="UPDATE", size_matched="60", timestamp="1790000000003", associate_trades=["t2"]),
    order(type="CANCELLATION", size_matched="60", status="CANCELED", timestamp="1790000000004"),
]


@pytest.mark.parametrize("mixed", [*itertools.permutations(range(4))])
def test_in_any_order_and_twice_an_order_ends_the_same(mixed: tuple[int, ...]) -> None:
    rig = Rig()
    rig.up()
    for index in mixed:
        rig.say(STORY[index])
        rig.say(STORY[index])
    last = rig.heard.orders[-1]
    assert (last.status, last.matched_e6) == (OrderStatus.CANCELED, 60 * 10**6)
    assert set(last.trade_ids) == {"t1", "t2"}
    matched = [report.matched_e6 for report in rig.heard.orders]
    assert matched == sorted(matched)
    ended = [report.final for report in rig.heard.orders]
    assert ended == sorted(ended), "what ended stays so"
    assert len(rig.heard.orders) <= 4
    rig.say(STORY)
    assert rig.heard.orders[-1] is last


def test_a_fill_that_comes_after_the_cancel_is_news() -> None:
    rig = Rig()
    rig.up()
    rig.say(STORY[3] | {"size_matched": "10"})
    rig.say(STORY[1])
    assert [report.matched_e6 for report in rig.heard.orders] == [10 * 10**6, 25 * 10**6]
    assert all(report.status is OrderStatus.CANCELED for report in rig.heard.orders)


def test_an_order_is_never_delayed_again() -> None:
    """What REST says is as old as the order, and yet it may be the first to know."""
    rig = Rig()
    rig.up()
    rig.say(order(status="DELAYED", timestamp="1790000000900"))
    rig.say(order(status="LIVE", timestamp="1790000000100"))
    rig.say(order(status="DELAYED", timestamp="1790000000950"))
    assert [report.status for report in rig.heard.orders] == [
        OrderStatus.DELAYED,
        OrderStatus.LIVE,
    ]


LIVES = {
    "plain": ["MATCHED", "MINED", "CONFIRMED"],
    "failed": ["MATCHED", "FAILED"],
    "retried": ["MATCHED", "RETRYING", "MINED", "CONFIRMED"],
    "in vain": ["MATCHED", "MINED", "RETRYING", "FAILED"],
}


@pytest.mark.parametrize("life", LIVES)
def test_in_any_order_and_twice_a_trade_ends_the_same(life: str) -> None:
    said = [
        trade(status=status, timestamp=str(1_790_000_000_000 + place))
        for place, status in enumerate(LIVES[life])
    ]
    for mixed in itertools.permutations(said):
        rig = Rig()
        rig.up()
        for event in mixed:
            rig.say(event)
            rig.say(event)
        seen = [report.status for report in rig.heard.trades]
        assert seen[-1] is TradeStatus(LIVES[life][-1].lower())
        assert len(seen) == len(set(seen))
        assert TradeStatus.MATCHED not in seen[1:]
        assert [report.status.final for report in rig.heard.trades[:-1]] == [False] * (
            len(seen) - 1
        )


def test_the_steps_of_a_trade_are_told_apart_by_their_time() -> None:
    rig = Rig()
    rig.up()
    for status, at in (("MINED", 1), ("RETRYING", 2), ("MINED", 3), ("RETRYING", 2), ("MINED", 1)):
        rig.say(trade(status=status, timestamp=str(1_790_000_000_000 + at)))
    assert [report.status for report in rig.heard.trades] == [
        TradeStatus.MINED,
        TradeStatus.RETRYING,
        TradeStatus.MINED,
    ]


def test_a_hash_that_follows_is_news_once() -> None:
    rig = Rig()
    rig.up()
    rig.say(trade(status="MINED"))
    for _ in range(2):
        rig.say(trade(status="MINED", transaction_hash="0x12"))
    assert [report.transaction_hash for report in rig.heard.trades] == ["", "0x12"]


def test_a_trade_of_others_is_counted_and_dropped() -> None:
    rig = Rig()
    rig.up()
    rig.say(trade(trader_side="MAKER"))
    assert rig.heard.trades == []
    assert rig.session.counts.foreign == 1


@pytest.mark.parametrize(
    "data",
    [
        b'{"event_type":"order","id":"0x',
        b"[{]",
        b"[7]",
        b"{}",
        b"",
        {"event_type": 7},
        {"event_type": "order"},
        {"event_type": "trade", "id": "t"},
        order(status="ASLEEP"),
        trade(size="ten"),
        b"{" * 100_000,
    ],
)
def test_what_cannot_be_read_asks_for_a_reconciliation(data: object) -> None:
    rig = Rig()
    rig.up()
    rig.say(data)
    assert len(rig.heard.asked) == 2
    assert rig.heard.asked[1].startswith("unreadable: ")
    assert sum(rig.session.counts.rejected.values()) == 1
    rig.say(order())
    assert len(rig.heard.orders) == 1


@pytest.mark.parametrize("data", [b"hello", b"NO NEW ASSETS", {"event_type": "party"}])
def test_what_is_no_event_is_counted_and_passed_over(data: object) -> None:
    rig = Rig()
    rig.up()
    rig.say(data)
    assert rig.session.counts.texts == 1
    assert rig.heard.asked == ["connected"]


def test_one_bad_event_of_an_array_does_not_cost_the_others() -> None:
    rig = Rig()
    rig.up()
    rig.say([order(), {"event_type": "order"}, trade()])
    assert (len(rig.heard.orders), len(rig.heard.trades)) == (1, 1)
    assert len(rig.heard.asked) == 2


def test_what_is_remembered_is_bounded() -> None:
    told = Told(2)
    reports = [
        TradeReport(trade_id=name, status=TradeStatus.MATCHED, condition_id="", fills=())
        for name in "abc"
    ]
    assert all(told.trade(report) for report in reports)
    assert told.trade(reports[2]) is None
    assert told.trade(reports[0]) is reports[0], "forgotten, so news again"


def test_what_rest_said_already_is_no_news() -> None:
    told = Told(10)
    for status, news in ((TradeStatus.MINED, True), (TradeStatus.MATCHED, False)):
        report = TradeReport(trade_id="t", status=status, condition_id="", fills=())
        assert (told.trade(report) is not None) is news


# -- over bytes


def test_bytes_that_are_no_handshake_end_the_attempt() -> None:
    rig = Rig()
    feed = UserFeed("ws://venue.test/ws/user", rig.session, rig.config)
    feed.tick(NOW)
    assert feed.epoch == 1
    feed.connected(NOW)
    assert b"GET /ws/user" in feed.data_to_send()
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    feed.room()[: len(answer)] = answer
    feed.received(len(answer), NOW)
    assert "503" in rig.session.last_reason
    assert rig.session.state is State.WAITING
    feed.lost("end of stream", NOW)
    assert feed.channel is None
    assert len(feed.room()) == ROOM


def test_a_transport_that_never_comes_is_tried_again() -> None:
    rig = Rig()
    feed = UserFeed("ws://venue.test/ws/user", rig.session, rig.config)
    woken: list[int] = []
    feed.wake = lambda: woken.append(1)
    feed.tick(NOW)
    assert feed.pending() == [feed]
    assert feed.pending() == []
    feed.lost("refused", NOW)
    assert feed.pending() == [feed]
    due = feed.next_deadline()
    assert due is not None
    feed.tick(due)
    assert feed.epoch == 2
    feed.stop(due)
    assert feed.stopped
    assert feed.next_deadline() is None
    assert woken


def test_an_address_that_is_none_is_refused() -> None:
    rig = Rig()
    with pytest.raises(errors.MalformedError, match="no ws:// or wss:// URL"):
        UserFeed("http://venue.test/ws/user", rig.session, rig.config)


@pytest.mark.parametrize("name", ["open_ns", "ping_ns", "backoff_max_ns", "message_bytes_max"])
def test_bad_settings_are_refused(name: str) -> None:
    with pytest.raises(errors.RangeError, match=f"user.{name}"):
        UserConfig(**{name: 0})
