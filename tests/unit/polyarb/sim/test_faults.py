"""Each fault as a client sees it; when faults fire; what a bad spec is told."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import simcalls
from simclient import KEYS, MS, SECOND, Client, Collector, market, run, venue

from polyarb.errors import MalformedError
from polyarb.sim import spoil
from polyarb.sim.exchange import Exchange
from polyarb.sim.http import Fate, Response
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order
from polyarb.sim.mishaps import AT_ONCE, KNOWN, PLACES, REFUSALS
from polyarb.sim.scenarios import built_in, find
from polyarb.sim.venue import Venue

YES, NO = market().tokens
CONDITION = market().condition_id
SHOWN: set[str] = set()


def shows(*names: str) -> Callable[[Any], Any]:
    """Note that a test shows these faults."""
    SHOWN.update(names)
    return lambda test: test


class Maker:
    """A participant of the venue: rests orders without HTTP."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.wallet = venue.ledger.add(Wallet("0x" + "aa" * 20, ""))
        venue.deposit(self.wallet, 100_000_000_000)
        self.ids = itertools.count()

    def buy(self, token: str, price_e4: int, shares: int = 100) -> None:
        """Rest a BUY."""
        found, outcome = self.venue.catalog.tokens[token]
        order = Order(
            id=f"maker{next(self.ids)}",
            wallet=self.wallet,
            market=found,
            outcome=outcome,
            buy=True,
            price_e4=price_e4,
            size_e6=shares * 1_000_000,
        )
        self.venue.execute(order)


class Rig:
    """A venue with a maker at 0.48 / 0.52 and a client."""

    def __init__(self, seed: int = 1, markets: Any = None, **config: Any) -> None:
        self.venue = venue(markets, seed=seed, **config)
        self.maker = Maker(self.venue)
        self.client = Client(self.venue)
        if markets is None:
            self.quote()

    def quote(self) -> None:
        """Put 100 shares on either side of YES."""
        self.maker.buy(YES, 4_800)
        self.maker.buy(NO, 4_800)

    def fault(self, name: str, **members: Any) -> int:
        """Add a fault; members that are none of a spec's are values."""
        known = {"at_s", "for_s", "every_s", "probability", "count", "match"}
        spec = {key: members[key] for key in members.keys() & known}
        values = {key: members[key] for key in members.keys() - known}
        return self.venue.faults.add({"name": name, **spec, "values": values})

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        run(self.venue, self.venue.now_ns + int(seconds * SECOND))

    def buy(self, kind: str = "GTC", price: str = "0.4", size: str = "10") -> dict[str, Any]:
        """Return the item of a BUY of YES; 0.4 rests, 0.52 meets the maker."""
        return self.client.order(YES, "BUY", price, size, kind)

    def take(self) -> dict[str, Any]:
        """Buy 10 YES from the maker; return the answer."""
        return self.client.place(YES, "BUY", "0.52", "10", "FAK")

    def orders(self) -> list[dict[str, Any]]:
        """Return the client's open orders."""
        rows: list[dict[str, Any]] = self.client.json("/data/orders")["data"]
        return rows


@pytest.fixture
def rig() -> Rig:
    return Rig()


def error_of(response: Response) -> str:
    text: str = json.loads(response.body)["error"]
    return text


def test_how_long_connections_are_refused_is_a_value_of_its_own(rig):
    with pytest.raises(MalformedError, match=r"over at once, see its values: seconds = 5\.0"):
        rig.venue.faults.add({"name": "refused_connections", "for_s": 9})
    (row,) = (r for r in rig.venue.faults.describe() if r["name"] == "refused_connections")
    assert "`seconds`" in row["what"]
    assert row["values"] == {"seconds": 5.0}


# In place of handling a request


@shows("error", "error_200", "order_timed_out", "relayer_busy")
@pytest.mark.parametrize(
    ("name", "path", "status", "text"),
    [
        ("error", "/order", 500, "Internal server error"),
        ("error_200", "/order", 200, "order_version_mismatch"),
        ("order_timed_out", "/orders", 500, "order timed out"),
        ("relayer_busy", "/relayer/submit", 400, "wallet busy: active action"),
    ],
)
def test_an_error_is_answered_and_nothing_is_placed(rig, name, path, status, text):
    rig.fault(name)
    item = rig.buy()
    response = rig.client.post(path, [item] if path == "/orders" else item)
    assert (response.status, error_of(response)) == (status, text)
    if name == "error":
        rig.venue.faults.remove(1)
    assert rig.orders() == []


def test_an_error_takes_any_status_and_text(rig):
    rig.fault("error", status=504, text="upstream", match={"path": "/book"})
    response = rig.client.get("/book", token_id=YES)
    assert (response.status, error_of(response)) == (504, "upstream")
    assert rig.client.get("/time").status == 200


@shows("html_error")
@pytest.mark.parametrize("status", [403, 502])
def test_a_page_of_cloudflare_is_html(rig, status):
    rig.fault("html_error", status=status)
    response = rig.client.post("/order", rig.buy())
    assert response.status == status
    assert response.content_type.startswith("text/html")
    assert response.body.startswith(b"<!DOCTYPE html>")
    assert str(status).encode() in response.body


@shows("too_many_requests")
def test_too_many_requests_has_its_headers(rig):
    rig.fault("too_many_requests", retry_after_s=7)
    response = rig.client.post("/order", rig.buy())
    assert response.status == 429
    assert response.headers["Retry-After"] == "7"
    assert response.headers["Poly-RateLimit-Remaining"] == "0"
    assert int(response.headers["Poly-RateLimit-Reset"]) == rig.venue.now_ns // SECOND + 7


@shows("request_lost")
def test_a_lost_request_was_never_there(rig):
    rig.fault("request_lost", count=1)
    item = rig.buy()
    assert rig.client.post("/order", item).fate is Fate.LOST
    assert rig.client.get(f"/data/order/{rig.client.order_id(item)}").status == 404
    assert rig.client.post("/order", item).status == 200


@shows("order_body_error")
def test_a_refusal_can_call_itself_a_success(rig):
    rig.fault("order_body_error")
    answer = rig.client.place(YES)
    assert answer["success"] is True
    assert answer["errorMsg"] == "could not run the execution"
    assert answer["orderID"] == ""
    batch = json.loads(rig.client.post("/orders", [rig.buy(), rig.buy()]).body)
    assert [item["success"] for item in batch] == [True, True]
    assert all(item["errorMsg"] for item in batch)
    assert rig.orders() == []


@shows("heartbeat_refused")
def test_a_refused_heartbeat_names_the_id_it_expects(rig):
    first = json.loads(rig.client.post("/v1/heartbeats", {"heartbeat_id": ""}).body)
    rig.fault("heartbeat_refused", count=1)
    refused = rig.client.post("/v1/heartbeats", first)
    assert refused.status == 400
    told = json.loads(refused.body)
    assert told == {"error_msg": "Invalid Heartbeat ID", **first}
    again = rig.client.post("/v1/heartbeats", {"heartbeat_id": told["heartbeat_id"]})
    assert again.status == 200


# After handling it


@shows("response_lost")
def test_an_order_rests_although_its_answer_is_lost(rig):
    rig.fault("response_lost", count=1)
    item = rig.buy()
    assert rig.client.post("/order", item).fate is Fate.LOST
    assert rig.client.json(f"/data/order/{rig.client.order_id(item)}")["status"] == "LIVE"
    again = rig.client.post("/order", item)
    assert error_of(again) == f"order {rig.client.order_id(item)} is invalid. Duplicated."


@shows("accepted_then_500")
def test_an_order_rests_although_the_answer_is_an_error(rig):
    rig.fault("accepted_then_500")
    response = rig.client.post("/order", rig.buy())
    assert (response.status, error_of(response)) == (500, "Internal server error")
    assert len(rig.orders()) == 1


def test_a_refused_order_keeps_its_own_error(rig):
    rig.fault("accepted_then_500")
    assert rig.client.post("/order", rig.buy(price="0.405")).status == 400


@shows("slow")
def test_a_slow_answer_comes_after_the_order_rests(rig):
    rig.fault("slow", count=1)
    answers = rig.client.send("POST", "/order", rig.buy())
    assert len(rig.orders()) == 1
    rig.wait(11.9)
    assert answers == []
    rig.wait(0.1)
    assert answers[0].status == 200


@shows("reset_mid_response")
def test_a_reset_cuts_the_answer(rig):
    rig.fault("reset_mid_response", match={"path": "POST /order"})
    assert rig.client.post("/order", rig.buy()).fate is Fate.CUT
    assert len(rig.orders()) == 1


@shows("truncated_body")
def test_a_truncated_body_is_no_json(rig):
    rig.fault("truncated_body", match={"path": "/book"})
    response = rig.client.get("/book", token_id=YES)
    assert response.status == 200
    with pytest.raises(ValueError, match=r"."):
        json.loads(response.body)


@shows("user_event_early")
def test_user_events_come_before_the_answer(rig):
    sink, _ = rig.client.listen()
    rig.fault("user_event_early")
    answers = rig.client.send("POST", "/order", rig.buy())
    rig.wait(0.1)
    assert [event["type"] for event in sink.messages()] == ["PLACEMENT"]
    assert answers == []
    rig.wait(0.1)
    assert answers[0].status == 200


@shows("ghost_book")
def test_a_ghost_book_is_wide_while_the_price_is_right(rig):
    rig.fault("ghost_book", match={"token": YES})
    book = rig.client.json("/book", token_id=YES)
    assert [level["price"] for level in book["bids"] + book["asks"]] == ["0.01", "0.99"]
    assert rig.client.json("/price", token_id=YES, side="BUY") == {"price": "0.48"}
    rows = [{"token_id": YES}, {"token_id": NO}]
    ghost, right = json.loads(rig.client.post("/books", rows).body)
    assert ghost["bids"][0]["price"] == "0.01"
    assert right["bids"][0]["price"] == "0.48"


# Orders


@shows("leg_refused")
@pytest.mark.parametrize("reason", REFUSALS)
def test_one_leg_is_refused_and_the_others_are_not(rig, reason):
    rig.fault("leg_refused", match={"leg": 1}, reason=reason)
    items = [rig.buy(), rig.buy(), rig.buy()]
    answers = json.loads(rig.client.post("/orders", items).body)
    assert [bool(answer["errorMsg"]) for answer in answers] == [False, True, False]
    begin = REFUSALS[reason][1].partition("{")[0]
    assert answers[1]["errorMsg"].startswith(begin)
    assert "{" not in answers[1]["errorMsg"]
    assert answers[1]["success"] is True
    assert len(rig.orders()) == 2


@pytest.mark.parametrize("reason", ["balance", "timed_out", "market", "disabled"])
def test_a_single_order_is_refused_with_the_status_of_the_text(rig, reason):
    rig.fault("leg_refused", match={"token": YES, "kind": "BUY"}, reason=reason)
    assert rig.client.post("/order", rig.buy()).status == REFUSALS[reason][0]
    assert rig.client.post("/order", rig.client.order(NO, price="0.4")).status == 200


def test_a_leg_is_refused_with_any_text(rig):
    rig.fault("leg_refused", text="no such luck", match={"address": rig.client.address.upper()})
    assert error_of(rig.client.post("/order", rig.buy())) == "no such luck"


@shows("leg_partial")
def test_a_leg_fills_in_part_and_the_rest_is_killed(rig):
    rig.fault("leg_partial", share=0.4)
    answer = rig.take()
    assert (answer["makingAmount"], answer["takingAmount"]) == ("2.08", "4")
    killed = rig.client.post("/order", rig.buy("FOK", "0.52"))
    assert error_of(killed) == REFUSALS["fok"][1]
    nothing = Rig()
    nothing.fault("leg_partial", share=0.0)
    assert error_of(nothing.client.post("/order", nothing.buy("FAK", "0.52"))) == REFUSALS["fak"][1]


def test_a_resting_kind_never_fills_in_part(rig):
    rig.fault("leg_partial")
    assert rig.client.place(YES, "BUY", "0.52", "10")["takingAmount"] == "10"


@shows("delayed_unmatched")
def test_a_held_order_finds_nothing_and_rests():
    rig = Rig(markets=[market(taker_delay=True)])
    rig.quote()
    rig.fault("delayed_unmatched")
    assert rig.client.place(YES, "BUY", "0.52", "10")["status"] == "unmatched"
    assert [row["status"] for row in rig.orders()] == ["LIVE"]
    rig.maker.buy(NO, 4_700)
    killed = rig.client.post("/order", rig.buy("FAK", "0.53"))
    assert error_of(killed) == REFUSALS["fak"][1]


def test_a_delayed_order_that_finds_nothing_is_placed_later():
    rig = Rig(markets=[market(seconds_delay=3)])
    rig.quote()
    rig.fault("delayed_unmatched")
    sink, _ = rig.client.listen()
    assert rig.client.place(YES, "BUY", "0.52", "10")["status"] == "delayed"
    rig.wait(4)
    assert [(event["type"], event["size_matched"]) for event in sink.messages()] == [
        ("PLACEMENT", "0")
    ]


# Trades


def statuses(sink: Collector) -> list[str]:
    return [event["status"] for event in sink.messages("trade")]


@shows("trade_failed", "trade_retrying", "slow_settlement")
@pytest.mark.parametrize(
    ("name", "values", "seen", "shares"),
    [
        ("trade_failed", {}, ["MATCHED", "FAILED"], 0),
        ("trade_retrying", {}, ["MATCHED", "RETRYING", "MINED", "CONFIRMED"], 10),
        ("trade_retrying", {"end": "FAILED"}, ["MATCHED", "RETRYING", "FAILED"], 0),
        ("slow_settlement", {"seconds": 40}, ["MATCHED"], 0),
    ],
)
def test_a_trade_settles_otherwise(rig, name, values, seen, shares):
    sink, _ = rig.client.listen()
    rig.fault(name, **values)
    before = rig.client.wallet.cash_e6
    trade_id = rig.take()["tradeIDs"][0]
    rig.wait(30)
    assert statuses(sink) == seen
    assert rig.client.json("/data/trades", id=trade_id)["data"][0]["status"] == seen[-1]
    assert rig.client.wallet.tokens(YES) == shares * 1_000_000
    if seen[-1] == "FAILED":
        assert rig.client.wallet.cash_e6 == before
    rig.venue.check()


@pytest.mark.parametrize("ends", [("FAILED", "MINED"), ("MINED", "FAILED")])
def test_a_trade_that_two_faults_concern_does_not_fail_once_it_is_mined(rig, ends):
    sink, _ = rig.client.listen()
    for end in ends:
        rig.fault("trade_retrying", end=end, seconds=2)
    rig.take()
    rig.wait(30)
    assert statuses(sink)[-1] == "FAILED"
    assert "MINED" not in statuses(sink)
    assert rig.client.wallet.tokens(YES) == 0


def test_trades_among_participants_do_not_fail(rig):
    rig.fault("trade_failed")
    rig.maker.buy(YES, 5_200, 10)
    rig.wait(10)
    assert rig.venue.faults.counts["trade_failed"] == 0


@shows("delayed_hash")
def test_a_hash_follows_the_mined_trade(rig):
    sink, _ = rig.client.listen()
    rig.fault("delayed_hash", seconds=4)
    rig.take()
    rig.wait(30)
    told = [(e["status"], bool(e["transaction_hash"])) for e in sink.messages("trade")]
    assert told == [
        ("MATCHED", False),
        ("MINED", False),
        ("CONFIRMED", False),
        ("CONFIRMED", True),
    ]


# Frames


def watch(rig: Rig, *tokens: str) -> Collector:
    sink, _ = rig.client.watch(*(tokens or (YES,)))
    return sink


def change(rig: Rig) -> None:
    """Let a level change."""
    rig.maker.buy(YES, 4_500, 7)


@shows("frozen_feed", "lost_frames")
@pytest.mark.parametrize("name", ["frozen_feed", "lost_frames"])
def test_data_stops_while_pong_goes_on(rig, name):
    sink, channel = rig.client.watch(YES)
    rig.fault(name, match={"connection": 1})
    other = watch(rig)
    change(rig)
    rig.venue.feeds.receive(channel, "PING")
    rig.wait(1)
    assert [message["event_type"] for message in sink.messages()] == ["book"]
    assert sink.frames[-1] == b"PONG"
    assert len(other.messages("price_change")) == 1


def test_one_token_freezes_alone():
    rig = Rig(markets=[market(0), market(1)])
    other = market(1).tokens[0]
    rig.fault("frozen_feed", match={"token": YES})
    sink = watch(rig, YES, other)
    change(rig)
    rig.maker.buy(other, 4_500)
    assert [m["market"] for m in sink.messages("price_change")] == [market(1).condition_id]
    assert len(sink.messages("book")) == 2


@shows("missing_snapshot")
def test_a_snapshot_is_missing(rig):
    rig.fault("missing_snapshot", match={"token": YES})
    sink = watch(rig, YES, NO)
    assert [book["asset_id"] for book in sink.messages("book")] == [NO]


@shows("duplicate_frames")
def test_a_frame_comes_twice(rig):
    sink = watch(rig)
    rig.fault("duplicate_frames")
    change(rig)
    assert sink.frames[1] == sink.frames[2]


@shows("reordered_frames")
def test_a_frame_is_overtaken(rig):
    sink = watch(rig)
    rig.fault("reordered_frames", count=1)
    rig.maker.buy(YES, 4_500, 7)
    rig.maker.buy(YES, 4_600, 7)
    rig.wait(1)
    prices = [m["price_changes"][0]["price"] for m in sink.messages("price_change")]
    assert prices == ["0.46", "0.45"]


@shows("late_change")
def test_a_change_is_late_while_later_hashes_hold_it(rig):
    sink = watch(rig)
    rig.fault("late_change", count=2)
    for price_e4 in (4_500, 4_600, 4_700):
        rig.maker.buy(YES, price_e4, 7)
    rig.wait(1)
    late = {
        m["price_changes"][0]["price"]: at - rig.venue.start_ns
        for m, at in zip(sink.messages("price_change"), sink.times[1:], strict=True)
    }
    assert late["0.47"] == 0
    assert all(29 * MS <= late[price] <= 56 * MS for price in ("0.45", "0.46"))
    book = rig.client.json("/book", token_id=YES)
    newest = sink.messages("price_change")[0]["price_changes"][0]
    assert (newest["price"], newest["hash"]) == ("0.47", book["hash"])


@shows("slow_feed")
def test_a_slow_feed_is_late_and_in_order(rig):
    sink = watch(rig)
    rig.fault("slow_feed", seconds=3)
    change(rig)
    rig.wait(2.9)
    assert len(sink.frames) == 1
    rig.wait(0.1)
    assert len(sink.frames) == 2


def spoiled(rig: Rig, name: str, **members: Any) -> Collector:
    """Return what a subscriber gets of one change under a fault."""
    sink = watch(rig)
    rig.fault(name, **members)
    change(rig)
    return sink


@shows("malformed_frame")
@pytest.mark.parametrize("form", spoil.FORMS)
def test_a_malformed_frame_is_broken_in_its_way(rig, form):
    frame = spoiled(rig, "malformed_frame", form=form).frames[1]
    holds = {
        "bad_json": b",,]",
        "bad_utf8": b"\xc3\x28",
        "nul": b"\0",
        "empty": b"",
        "deep": b"[" * 10_000,
        "wrong_types": b"null",
        "long_number": b"9" * 200,
        "exponent": b'"1e-2"',
        "nan": b":NaN",
        "off_tick": b'"0.12345"',
        "out_of_range": b'"1.5"',
        "negative": b'"-5"',
    }
    assert holds[form] in frame
    if form in {"bad_json", "bad_utf8", "nul", "empty", "deep"}:
        with pytest.raises((ValueError, RecursionError)):
            json.loads(frame)
    else:
        json.loads(frame)


def test_a_malformed_frame_is_any_form_by_default(rig):
    sink = watch(rig)
    rig.fault("malformed_frame")
    for price_e4 in range(3_000, 4_000, 100):
        rig.maker.buy(YES, price_e4, 7)
    assert len({frame[:200] for frame in sink.frames[1:]}) > 4


def test_frames_of_the_user_socket_break_too(rig):
    sink, _ = rig.client.listen()
    rig.fault("malformed_frame", form="negative", match={"path": "/ws/user"})
    rig.take()
    rig.wait(1)
    assert b'"size":"-5"' in sink.frames[1]


@shows("truncated_frame")
def test_half_a_frame_comes(rig):
    frame = spoiled(rig, "truncated_frame").frames[1]
    assert frame.startswith(b'{"market"')
    assert not frame.endswith(b"}")


@shows("huge_frame")
def test_a_frame_of_8_mb_comes(rig):
    sink = spoiled(rig, "huge_frame")
    assert len(sink.frames[1]) == 8 << 20
    assert sink.messages("price_change")


@shows("binary_frame")
def test_a_binary_message_comes(rig):
    raw = spoiled(rig, "binary_frame").raws[0]
    assert raw[:2] == b"\x82\x7e"
    assert json.loads(raw[4:])["event_type"] == "price_change"
    assert int.from_bytes(raw[2:4], "big") == len(raw) - 4


@shows("fragmented_frame")
@pytest.mark.parametrize("parts", [2, 3, 50])
def test_a_message_comes_in_fragments(rig, parts):
    raw = spoiled(rig, "fragmented_frame", parts=parts).raws[0]
    heads, text = [], b""
    while raw:
        size, at = raw[1], 2
        if size == 126:
            size, at = int.from_bytes(raw[2:4], "big"), 4
        heads.append(raw[0])
        text += raw[at : at + size] if raw[0] != 0x89 else b""
        raw = raw[at + size :]
    assert json.loads(text)["event_type"] == "price_change"
    assert heads[:2] == [0x01, 0x89]
    assert set(heads[2:-1]) <= {0x00}
    assert heads[-1] == 0x80


@shows("stray_text")
def test_text_that_is_no_json_comes(rig):
    sink = spoiled(rig, "stray_text")
    assert sink.frames[1] == b"hello"
    assert sink.messages("price_change")


@shows("loose_types")
def test_numbers_come_as_numbers(rig):
    entry = spoiled(rig, "loose_types").messages("price_change")[0]["price_changes"][0]
    assert (entry["price"], entry["size"], entry["best_bid"]) == (0.45, 7, "")


@shows("old_format")
def test_changes_come_as_in_2025_and_2024(rig):
    sink = spoiled(rig, "old_format")
    assert sink.frames[1].startswith(b"[")
    old = sink.messages("price_change")[0]
    assert (old["asset_id"], old["changes"]) == (
        YES,
        [{"price": "0.45", "side": "BUY", "size": "7"}],
    )
    flat = spoiled(Rig(), "old_format", form="flat").messages("price_change")[0]
    assert (flat["price"], flat["side"], flat["size"]) == ("0.45", "BUY", "7")


@shows("crossed_book")
def test_a_book_is_crossed_for_some_milliseconds(rig):
    sink = spoiled(rig, "crossed_book", count=1)
    yes, no = sink.messages("price_change")[1]["price_changes"]
    assert (yes["price"], yes["side"], yes["size"]) == ("0.53", "BUY", "25")
    assert (yes["best_bid"], yes["best_ask"]) == ("0.53", "0.52")
    assert (no["price"], no["side"], no["best_ask"]) == ("0.47", "SELL", "0.47")
    rig.wait(1)
    clear = sink.messages("price_change")[2]["price_changes"][0]
    assert (clear["price"], clear["size"], clear["best_bid"]) == ("0.53", "0", "0.48")
    assert sink.times[3] - sink.times[2] == 40 * MS


@shows("stale_top")
def test_best_prices_of_a_change_disagree_with_the_book(rig):
    entry = spoiled(rig, "stale_top").messages("price_change")[0]["price_changes"][0]
    assert (entry["best_bid"], entry["best_ask"]) == ("0.47", "0.53")


@shows("wrong_hash")
def test_a_hash_is_of_no_book(rig):
    sink = spoiled(rig, "wrong_hash")
    book = rig.client.json("/book", token_id=YES)
    told = sink.messages("price_change")[0]["price_changes"][0]["hash"]
    assert told != book["hash"]
    assert len(told) == 40


@shows("pong_lost")
def test_a_ping_gets_no_pong(rig):
    sink, channel = rig.client.watch(YES)
    rig.fault("pong_lost", count=1)
    rig.venue.feeds.receive(channel, "PING")
    rig.wait(1)
    assert b"PONG" not in sink.frames
    rig.venue.feeds.receive(channel, "PING")
    rig.wait(1)
    assert b"PONG" in sink.frames


@shows("abort_1006", "slow_consumer")
def test_sockets_end(rig):
    first, _ = rig.client.watch(YES)
    second, _ = rig.client.watch(NO)
    user, _ = rig.client.listen()
    rig.fault("abort_1006", match={"token": YES})
    assert (first.aborted, second.aborted, user.aborted) == (True, False, False)
    rig.fault("abort_1006", match={"path": "/ws/user"})
    assert (second.aborted, user.aborted) == (False, True)
    rig.fault("slow_consumer", match={"market": CONDITION})
    assert second.closed == (1013, "slow consumer: send buffer full")
    assert not rig.venue.feeds.channels


# User events


@shows("user_event_missing", "user_event_twice", "user_events_reordered")
@pytest.mark.parametrize(
    ("name", "match", "seen"),
    [
        ("user_event_missing", {}, []),
        ("user_event_missing", {"kind": "order"}, ["TRADE", "TRADE", "TRADE"]),
        ("user_event_missing", {"kind": "MINED"}, ["UPDATE", "TRADE", "TRADE"]),
        ("user_event_twice", {"kind": "UPDATE"}, ["UPDATE", "TRADE", "UPDATE", "TRADE", "TRADE"]),
        ("user_events_reordered", {"kind": "UPDATE"}, ["TRADE", "UPDATE", "TRADE", "TRADE"]),
    ],
)
def test_user_events_come_otherwise(rig, name, match, seen):
    sink, _ = rig.client.listen()
    rig.fault(name, match=match)
    rig.take()
    rig.wait(10)
    assert [event["type"] for event in sink.messages()] == seen


# The relayer


def split(rig: Rig) -> list[str]:
    """Have the relayer split a set; return the states that a client sees each second."""
    held = rig.client.credential
    headers = {"relayer_api_key": held.key, "relayer_api_key_address": rig.client.eoa}
    body = simcalls.submission(rig.client, [simcalls.split(CONDITION, 5_000_000)])
    told = json.loads(rig.client.post("/relayer/submit", body, headers=headers).body)
    path = f"/relayer/v1/account/transactions/{told['transactionID']}"
    states = []
    for _ in range(8):
        rig.wait(1)
        answer = rig.client.wait(rig.client.send("GET", path, headers=headers))
        states.append(json.loads(answer.body)["state"])
    return list(dict.fromkeys(states))


@shows("relayer_failed")
@pytest.mark.parametrize("state", ["STATE_FAILED", "STATE_INVALID"])
def test_a_relayed_transaction_fails(rig, state):
    rig.fault("relayer_failed", state=state, match={"kind": "split"})
    assert split(rig)[-1] == state
    assert rig.client.wallet.tokens(YES) == 0


@shows("relayer_slow")
def test_a_relayed_transaction_takes_long(rig):
    assert split(rig)[-1] == "STATE_CONFIRMED"
    slow = Rig()
    slow.fault("relayer_slow", seconds=30)
    assert split(slow) == ["STATE_NEW"]


# The venue as a whole


@shows("restart")
def test_a_restart_is_425_and_then_post_only(rig):
    rig.fault("restart", at_s=5, seconds=30)
    assert rig.client.post("/order", rig.buy()).status == 200
    rig.wait(5)
    early = rig.client.post("/order", rig.buy())
    assert (early.status, early.body) == (425, b"service not ready")
    assert early.headers["Retry-After"] == "30"
    assert rig.client.delete("/cancel-all").status == 425
    rig.wait(30)
    late = rig.client.post("/order", rig.buy())
    assert (late.status, json.loads(late.body)["code"]) == (503, "post_only_mode")
    assert (
        rig.client.post("/order", rig.client.order(YES, price="0.4", post_only=True)).status == 200
    )
    rig.wait(120)
    assert rig.client.post("/order", rig.buy()).status == 200


@shows("post_only", "cancel_only", "disabled")
@pytest.mark.parametrize(
    ("name", "text", "cancels"),
    [
        ("post_only", "post-only mode", True),
        ("cancel_only", "Trading is currently cancel-only", True),
        ("disabled", "Trading is currently disabled", False),
    ],
)
def test_a_mode_lasts_as_long_as_its_fault(rig, name, text, cancels):
    rig.fault(name, for_s=10)
    refused = rig.client.post("/order", rig.buy())
    assert refused.status == 503
    assert error_of(refused).startswith(text)
    assert (rig.client.delete("/cancel-all").status == 200) is cancels
    rig.wait(10)
    assert rig.client.post("/order", rig.buy()).status == 200
    rig.venue.faults.remove(rig.fault(name))
    assert rig.venue.mode == "normal"


@shows("tick_change")
def test_a_tick_changes_now(rig):
    sink = watch(rig)
    rig.fault("tick_change", tick="0.001", match={"token": NO})
    told = sink.messages("tick_size_change")[0]
    assert (told["old_tick_size"], told["new_tick_size"]) == ("0.01", "0.001")
    assert rig.client.place(YES, "BUY", "0.405", "10")["status"] == "live"


@shows("market_closed")
def test_a_market_closes_and_opens_again(rig):
    rig.client.place(YES, "BUY", "0.4", "10")
    rig.fault("market_closed", for_s=10)
    assert rig.orders() == []
    assert error_of(rig.client.post("/order", rig.buy())) == REFUSALS["not_ready"][1]
    rig.wait(10)
    assert rig.client.post("/order", rig.buy()).status == 200


@shows("refused_connections")
def test_the_driver_is_told_to_refuse_connections(rig):
    told: list[float] = []
    rig.fault("refused_connections")  # a driver without a listener hears nothing of it
    rig.venue.on_refuse_connections = told.append
    rig.fault("refused_connections", seconds=4)
    assert told == [4.0]


@shows("clock_skew")
def test_the_venues_clock_is_off(rig):
    rig.fault("clock_skew", offset_s=-45, for_s=10)
    now = rig.venue.now_ns // SECOND
    assert json.loads(rig.client.wait(rig.client.send("GET", "/time", auth=False)).body) == now - 45
    assert rig.client.get("/data/orders").status == 401
    read = rig.client.wait(rig.client.send("GET", "/data/orders", timestamp=now - 45))
    assert read.status == 200
    rig.wait(10)
    assert rig.client.get("/data/orders").status == 200


@shows("lagging_balance")
def test_the_venue_does_not_know_yet_what_a_wallet_holds(rig):
    def balance() -> int:
        answer = rig.client.json(
            "/balance-allowance", asset_type="CONDITIONAL", signature_type="3", token_id=YES
        )
        return int(answer["balance"])

    rig.fault("lagging_balance", every_s=20)
    split(rig)
    assert rig.client.wallet.tokens(YES) == 5_000_000
    assert balance() == 0
    sell = rig.client.post("/order", rig.client.order(YES, "SELL", "0.6", "5"))
    assert error_of(sell).startswith("not enough balance / allowance")
    rig.wait(20)
    assert balance() == 5_000_000
    assert rig.client.place(YES, "SELL", "0.6", "5")["status"] == "live"


def test_every_fault_has_been_shown():
    assert set(KNOWN) == SHOWN


# When they fire


def fired(rig: Rig, requests: int = 20) -> list[int]:
    """Return which of a number of requests fail."""
    return [n for n in range(requests) if rig.client.get("/ok").status != 200]


def test_a_count_is_the_most_that_fires(rig):
    rig.fault("error", count=3)
    assert fired(rig) == [0, 1, 2]
    assert rig.venue.faults.counts == {"error": 3}


def test_a_probability_is_drawn_from_the_seed():
    runs = []
    for seed in (1, 1, 2):
        rig = Rig(seed)
        rig.fault("error", probability=0.5)
        runs.append(fired(rig))
    assert runs[0] == runs[1] != runs[2]
    assert 4 < len(runs[0]) < 16


def test_chances_of_one_fault_do_not_depend_on_another():
    alone, both = Rig(), Rig()
    for rig in (alone, both):
        rig.fault("error", probability=0.5, match={"path": "/ok"})
    both.fault("slow", probability=0.5, match={"path": "/time"})
    answers = []
    for rig in (alone, both):
        seen = []
        for _ in range(20):
            seen.append(rig.client.get("/ok").status)
            rig.client.get("/time")
        answers.append(seen)
    assert answers[0] == answers[1]


def test_a_fault_begins_and_ends_in_the_venues_time(rig):
    rig.fault("error", at_s=10, for_s=5)
    seen = []
    for _ in range(20):
        seen.append(rig.client.get("/ok").status)
        rig.wait(1)
    assert seen == [200] * 10 + [500] * 5 + [200] * 5


def test_a_fault_that_should_have_begun_begins_now(rig):
    rig.wait(10)
    rig.fault("error", at_s=3)
    assert rig.client.get("/ok").status == 500


def test_a_removed_fault_never_begins(rig):
    number = rig.fault("error", at_s=5)
    rig.venue.faults.remove(number)
    rig.wait(10)
    assert rig.client.get("/ok").status == 200
    with pytest.raises(MalformedError, match=f"no fault {number}"):
        rig.venue.faults.remove(number)


def test_a_fault_of_the_venue_acts_again_and_again(rig):
    sinks = []
    number = rig.fault("abort_1006", every_s=10, count=2)
    for _ in range(3):
        sinks.append(rig.client.watch(YES)[0])
        rig.wait(10)
    assert [sink.aborted for sink in sinks] == [True, False, False]
    with pytest.raises(MalformedError):
        rig.venue.faults.remove(number)


def test_firings_are_logged_and_counted():
    lines: list[str] = []
    rig = Rig()
    rig.venue.log._write = lines.append
    rig.fault("error", count=1)
    rig.client.get("/ok")
    rig.venue.log.flush()
    kinds = [json.loads(line)[1:4] for line in "".join(lines).splitlines() if "fault" in line]
    assert kinds == [["fault_on", 1, "error"], ["fault", "error", 1], ["fault_off", 1, "error"]]
    assert rig.venue.counts["faults"] == 1


def test_the_same_seed_and_actions_give_the_same_log():
    def digest(seed: int) -> str:
        rig = Rig(seed)
        for name, known in KNOWN.items():
            if name not in {"huge_frame", "disabled", "market_closed"}:
                every = {"every_s": 20} if known.place in AT_ONCE else {}
                rig.fault(name, probability=0.3, for_s=60, at_s=len(known.what) % 7, **every)
        rig.client.watch(YES, NO)
        rig.client.listen()
        for step in range(40):
            rig.client.send("POST", "/order", rig.buy("FAK" if step % 2 else "GTC", "0.52"))
            change(rig)
            rig.wait(2)
        rig.venue.check()
        return rig.venue.log.digest()

    assert digest(1) == digest(1) != digest(2)


def test_admin_is_never_at_fault(rig):
    rig.fault("error")
    assert rig.client.get("/admin/faults").status == 200


# Specs


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"name": "nonesuch"}, "fault name = 'nonesuch'; allowed: error, "),
        ({}, "fault"),
        ({"name": "slow", "colour": 1}, "'colour'; allowed: name, at_s"),
        ({"name": "slow", "probability": 2}, "probability = 2"),
        ({"name": "slow", "at_s": float("inf")}, "at_s = inf"),
        ({"name": "slow", "at_s": float("nan")}, "at_s = nan"),
        ({"name": "slow", "count": 0}, "count = 0"),
        ({"name": "slow", "match": {"shape": 1}}, "shape"),
        ({"name": "slow", "match": {"leg": 1}}, "slow: match.leg = 1; allowed: path, token"),
        ({"name": "restart", "match": {"token": "1"}}, "match.token = '1'; allowed: none"),
        ({"name": "slow", "every_s": 5}, "slow: every_s = 5"),
        ({"name": "slow", "values": {"text": "x"}}, "values.text = 'x'; allowed: seconds"),
        ({"name": "slow", "values": {"seconds": "x"}}, "values.seconds = 'x'; allowed: float"),
        ({"name": "slow", "values": {"seconds": True}}, "values.seconds = True; allowed: float"),
        ({"name": "slow", "values": {"seconds": -1}}, "seconds = -1; allowed: 0..1e+09"),
        ({"name": "slow", "values": {"seconds": float("nan")}}, "seconds = nan; allowed"),
        ({"name": "error", "values": {"status": 42}}, "status = 42; allowed: 200..599"),
        ({"name": "pong_lost", "values": {"x": 1}}, "values.x = 1; allowed: none"),
        ({"name": "tick_change", "values": {"tick": "0.3"}}, "tick = '0.3'; allowed: '0.1', "),
        ({"name": "leg_refused", "values": {"reason": "mood"}}, "reason = 'mood'; allowed: 'tick'"),
    ],
)
def test_a_bad_spec_names_member_value_and_what_is_allowed(rig, spec, text):
    with pytest.raises(MalformedError) as refused:
        rig.venue.faults.add(spec)
    assert text in str(refused.value)
    assert not rig.venue.faults._faults


def test_every_known_fault_is_described(rig):
    number = rig.fault("slow", seconds=3, at_s=60)
    rows = {row["name"]: row for row in rig.venue.faults.describe()}
    assert list(rows) == list(KNOWN)
    assert all(row["what"] and row["place"] in PLACES for row in rows.values())
    assert json.loads(json.dumps(rows["slow"])) == {
        "name": "slow",
        "place": "response",
        "what": KNOWN["slow"].what,
        "values": {"seconds": 12.0},
        "match": ["path", "token", "market", "address"],
        "fired": 0,
        "active": [
            {
                "id": number,
                "on": False,
                "fired": 0,
                "name": "slow",
                "at_s": 60.0,
                "for_s": None,
                "every_s": None,
                "probability": 1.0,
                "count": None,
                "match": dict.fromkeys(
                    ("path", "token", "market", "address", "kind", "leg", "connection")
                ),
                "values": {"seconds": 3.0},
            }
        ],
    }


@pytest.mark.parametrize("name", [n for n, s in built_in().items() if s.faults])
def test_a_scenario_with_faults_makes_them_fire(name):
    exchange = Exchange(find(name), seed=3)
    before = exchange.venue.counts["internal_errors"]
    client = Client(exchange.venue)
    token = next(iter(exchange.venue.catalog.tokens))
    for _ in range(40):
        client.watch(token)
        client.listen()
        client.send("POST", "/order", client.order(token, "BUY", "0.9", "10", "FAK"))
        client.send("GET", "/book", query={"token_id": token})
        run(exchange.venue, exchange.venue.now_ns + 5 * SECOND)
    assert exchange.venue.faults.counts
    assert exchange.venue.counts["internal_errors"] == before, exchange.venue.last_error
    exchange.venue.check()


def test_two_clients_are_told_apart_by_address(rig):
    other = Client(rig.venue, KEYS[1])
    rig.fault("error", match={"address": other.address})
    assert rig.client.get("/data/orders").status == 200
    assert other.get("/data/orders").status == 500


# Faults that meet


@pytest.mark.parametrize(
    "first", ["truncated_frame", "stray_text", "malformed_frame", "huge_frame"]
)
def test_a_frame_that_one_fault_spoiled_breaks_no_other(rig: Rig, first: str) -> None:
    sink, _ = rig.client.watch(YES)
    rig.fault(first)
    rig.fault("malformed_frame", form="wrong_types")
    rig.fault("stale_top")
    assert rig.client.post("/order", rig.buy()).status == 200
    rig.wait(1)
    assert sink.frames or sink.raws
    assert not rig.venue.counts["internal_errors"]


def test_an_answer_that_one_fault_spoiled_breaks_no_other(rig: Rig) -> None:
    rig.fault("truncated_body", match={"path": "*"})
    rig.fault("ghost_book", match={"path": "*"})
    for path in ("/book", "/time", "/data/orders"):
        rig.client.get(path, token_id=YES)
    assert not rig.venue.counts["internal_errors"], rig.venue.last_error


def test_modes_nest_and_the_newest_that_is_left_counts(rig: Rig) -> None:
    rig.fault("disabled", for_s=100)
    rig.wait(1)
    rig.fault("cancel_only", for_s=10)
    assert rig.venue.mode == "cancel_only"
    rig.wait(11)
    assert rig.venue.mode == "disabled"
    rig.wait(100)
    assert rig.venue.mode == "normal"


def test_a_market_that_ended_meanwhile_stays_closed() -> None:
    held = market(end_ms=1)
    rig = Rig(markets=[held])
    held.event.end_ms = rig.venue.now_ns // 1_000_000 + 5_000
    rig.fault("market_closed", for_s=10)
    rig.wait(11)
    assert not held.accepting


def test_a_trade_that_is_to_fail_fails_after_a_retry_too(rig: Rig) -> None:
    rig.fault("trade_failed")
    rig.fault("trade_retrying")
    rig.take()
    rig.wait(120)
    assert [t["status"] for t in rig.client.json("/data/trades")["data"]] == ["FAILED"]


def test_an_event_is_matched_by_the_owners_eoa(rig: Rig) -> None:
    sink, _ = rig.client.listen()
    rig.fault("user_event_missing", match={"address": rig.client.eoa})
    rig.client.post("/order", rig.buy())
    rig.wait(1)
    assert sink.messages() == []
