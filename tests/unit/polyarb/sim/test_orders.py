"""Orders over the wire: what is accepted, what is refused and with which text (12 to 14, 27.2)."""

import json
from typing import Any

import pytest
import simclient
from conftest import vectors
from simclient import KEYS, MS, SECOND, Client

from polyarb.sim.catalog import Fee, Structure
from polyarb.sim.decimals import parse
from polyarb.sim.intake import _rounded_price
from polyarb.sim.signatures import Generation

V3_TOKENS = tuple(str((1 << 248) | (0xABCDEF << 120) | side) for side in (0, 1))


class Floor:
    """A venue of one market, two clients who hold both tokens."""

    def __init__(self, structure: Structure = Structure.MIXED, **config: Any) -> None:
        changes = config.pop("market", {})
        self.venue = simclient.venue([simclient.market(**changes)], structure=structure, **config)
        self.market = next(iter(self.venue.catalog.markets.values()))
        self.yes, self.no = self.market.tokens
        self.ann, self.bob = (Client(self.venue, key) for key in KEYS[:2])
        for client in (self.ann, self.bob):
            self.venue.ledger.split(client.wallet, self.market, 1_000 * 10**6)

    def refused(self, item: dict[str, Any]) -> tuple[int, str]:
        response = self.ann.post("/order", item)
        return response.status, json.loads(response.body)["error"]

    def run(self, seconds: float) -> None:
        simclient.run(self.venue, self.venue.now_ns + int(seconds * SECOND))


def test_a_resting_order_is_live_and_reads_back() -> None:
    floor = Floor()
    answer = floor.ann.place(floor.yes, "BUY", "0.42", "10")
    assert {name: answer[name] for name in ("success", "errorMsg", "status")} == {
        "success": True,
        "errorMsg": "",
        "status": "live",
    }
    assert (answer["makingAmount"], answer["takingAmount"]) == ("", "")
    order = floor.ann.json(f"/data/order/{answer['orderID']}")
    assert {
        name: order[name] for name in ("status", "original_size", "size_matched", "price", "side")
    } == {
        "status": "LIVE",
        "original_size": "10",
        "size_matched": "0",
        "price": "0.42",
        "side": "BUY",
    }
    assert floor.bob.get(f"/data/order/{answer['orderID']}").status == 404


@pytest.mark.parametrize("signature_type", range(4))
@pytest.mark.parametrize("structure", [Structure.MIXED, Structure.NEGRISK])
def test_every_wallet_type_trades_on_both_exchanges(
    structure: Structure, signature_type: int
) -> None:
    floor = Floor(structure)
    client = Client(floor.venue, KEYS[2], signature_type)
    item = client.order(floor.yes)
    answer = json.loads(client.post("/order", item).body)
    assert answer["status"] == "live"
    assert answer["orderID"] == client.order_id(item)


def test_position_ids_are_signed_for_the_third_exchange() -> None:
    floor = Floor(market={"tokens": V3_TOKENS, "v3": True})
    assert floor.ann.place(floor.yes)["status"] == "live"
    item = floor.ann.order(floor.yes, generation=Generation.V2)
    assert floor.refused(item) == (400, "invalid signature")


def test_v1_orders_trade_on_a_v1_venue_only() -> None:
    v1 = {"taker": "0x" + "0" * 40, "nonce": "0", "feeRateBps": "0"}
    modern, old = Floor(), Floor(generation="v1")
    for floor, status in ((modern, 400), (old, 200)):
        client = Client(floor.venue, KEYS[2], 2)
        item = client.order(floor.yes, generation=Generation.V1, **v1)
        for member in ("timestamp", "metadata", "builder"):
            del item["order"][member]
        item["order"]["signature"] = client.sign(item["order"], Generation.V1, False)
        assert client.post("/order", item).status == status
    assert old.refused(old.ann.order(old.yes)) == (400, "order_version_mismatch")


def changed(item: dict[str, Any], **members: Any) -> dict[str, Any]:
    return item | {"order": item["order"] | members}


def broken_cases() -> dict[str, Any]:
    return {
        "another owner": lambda f: f.ann.order(f.yes) | {"owner": f.bob.credential.key},
        "another maker": lambda f: changed(f.ann.order(f.yes), maker=f.bob.address),
        "another's signature": lambda f: changed(
            f.ann.order(f.yes), signature=f.bob.order(f.yes)["order"]["signature"]
        ),
        "a changed price": lambda f: changed(f.ann.order(f.yes), makerAmount="5100000"),
        "a wrong domain": lambda f: f.ann.order(f.yes, neg_risk=True),
        "not hex": lambda f: changed(f.ann.order(f.yes), signature="0xzz"),
    }


@pytest.mark.parametrize("case", broken_cases())
def test_whatever_the_signature_does_not_cover_is_refused(case: str) -> None:
    floor = Floor()
    status, text = floor.refused(broken_cases()[case](floor))
    expected = (
        "the order owner has to be the owner of the API KEY"
        if "owner" in case
        else "invalid signature"
    )
    assert (status, text) == (400, expected)


def test_a_wallet_of_somebody_else_is_no_maker() -> None:
    """Signed by its own key, but for a safe that is not the key's."""
    floor = Floor()
    client = Client(floor.venue, KEYS[2], 2)
    client.address = floor.ann.wallet.address
    status = client.post("/order", client.order(floor.yes))
    assert b"maker address not allowed" in status.body


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"price": "0.425"}, "Price (0.425) breaks minimum tick size rule: 0.01"),
        ({"amounts": (9_990_000, 10_000_000)}, "Price (0.999) breaks minimum tick size rule: 0.01"),
        ({"price": "0"}, "invalid amounts"),
        ({"price": "1"}, "breaks minimum tick size rule"),
        (
            {"amounts": (4_330_000, 19_690_000)},
            "invalid amounts, the maker amount for a $0.22 order of size 19.69 should be '4.3318' "
            "but the value submited is '4.33'",
        ),
        ({"size": "10.001"}, "supports a max accuracy of 4 decimals, taker amount a max of 2"),
        ({"size": "4.99"}, "is invalid. Size (4.99) lower than the minimum: 5"),
        ({"kind": "GTD"}, "invalid expiration"),
        ({"kind": "GTC", "expiration": 2_000_000_000}, "invalid expiration"),
        ({"kind": "FAK", "size": "1"}, "marketable BUY order ($0.5), min size: $1"),
        ({"kind": "FAK", "amounts": (5_001_000, 10_000_000)}, "breaks minimum tick size rule"),
        ({"kind": "FOK", "amounts": (5_005_000, 10_010_000)}, "max accuracy of 2 decimals, taker"),
        ({"kind": "FOK", "post_only": True}, "invalid post-only order"),
        ({"size": "30000"}, "not enough balance / allowance: the balance is not enough"),
        ({"side": "SELL", "size": "1001"}, "not enough balance / allowance"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_with_the_venues_text(
    order: dict[str, Any], text: str
) -> None:
    floor = Floor()
    floor.bob.place(floor.yes, "SELL", "0.5", "100")
    status, said = floor.refused(floor.ann.order(floor.yes, **order))
    assert status == 400
    assert text in said


@pytest.mark.parametrize(
    ("tick_e4", "price", "accepted"),
    [
        (1_000, "0.1", True), (1_000, "0.15", False), (100, "0.01", True), (100, "0.99", True),
        (50, "0.005", True), (50, "0.004", False), (25, "0.9975", True), (25, "0.9980", False),
        (10, "0.001", True), (10, "0.9995", False), (1, "0.0001", True), (1, "0.9999", True),
    ],
)  # fmt: skip
def test_prices_follow_the_markets_own_tick(tick_e4: int, price: str, accepted: bool) -> None:
    floor = Floor(market={"tick_e4": tick_e4})
    response = floor.ann.post("/order", floor.ann.order(floor.yes, "BUY", price, "2000"))
    assert (response.status == 200) is accepted


def test_a_market_order_rounded_down_means_the_tick_price_next_to_it() -> None:
    """10 / 0.67 = 14.92537313: cut at four decimals the ratio is above 0.67, and still crosses."""
    floor = Floor()
    floor.bob.place(floor.yes, "SELL", "0.67", "100")
    answer = floor.ann.place(floor.yes, "BUY", "0.67", kind="FAK", amounts=(10_000_000, 14_925_300))
    assert (answer["status"], answer["makingAmount"], answer["takingAmount"]) == (
        "matched",
        "9.999999",
        "14.925373",
    )


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_what_the_sdks_make_of_a_market_order_is_taken_at_its_price(side: str) -> None:
    """Every tick cuts at decimals of its own: 0.1 at three, 0.0001 at six."""
    ticks = {"0.1": 1000, "0.01": 100, "0.005": 50, "0.0025": 25, "0.001": 10, "0.0001": 1}
    cases = [c for c in vectors("market_order_amounts") if c["side"] == side and c["on_grid"]]
    seen = set()
    for case in cases:
        tick, price = ticks[case["tick_size"]], parse(case["price"], 4)
        maker, taker = (int(case["sdk_decimal"][name]) for name in ("maker", "taker"))
        cash, shares = (maker, taker) if side == "BUY" else (taker, maker)
        if min(cash, shares) >= 10**6:
            assert _rounded_price(tick, side == "BUY", cash, shares) == price, case["id"]
            seen.add(case["tick_size"])
    assert seen == set(ticks)


def test_the_same_order_twice_is_a_duplicate() -> None:
    floor = Floor()
    item = floor.ann.order(floor.yes)
    assert floor.ann.post("/order", item).status == 200
    assert floor.refused(item) == (
        400,
        f"order {floor.ann.order_id(item)} is invalid. Duplicated.",
    )


def test_a_refused_order_may_be_sent_again() -> None:
    floor = Floor()
    item = floor.ann.order(floor.yes, "BUY", "0.5", "30000")
    assert floor.refused(item)[1].startswith("not enough balance")
    floor.venue.deposit(floor.ann.wallet, 10**11)
    assert floor.ann.post("/order", item).status == 200


def test_without_the_exchanges_approval_there_is_no_order() -> None:
    floor = Floor()
    for approved in floor.ann.wallet.approved:
        approved.clear()
    assert "the allowance is not enough" in floor.refused(floor.ann.order(floor.yes))[1]


@pytest.mark.parametrize(("member", "value"), [("accepting", False), ("closed", True)])
def test_a_market_that_does_not_accept_orders_says_so(member: str, value: bool) -> None:
    floor = Floor()
    setattr(floor.market, member, value)
    assert floor.refused(floor.ann.order(floor.yes))[1].startswith("the market is not yet ready")


def test_an_unknown_token_is_no_market() -> None:
    floor = Floor()
    assert floor.refused(floor.ann.order(str(2**200 + 5))) == (404, "market not found")


def test_restricted_accounts_may_only_reduce_or_nothing() -> None:
    floor = Floor()
    floor.venue.accounts.closed_only.add(floor.ann.eoa)
    assert floor.refused(floor.ann.order(floor.yes))[1].endswith("address in closed only mode")
    assert floor.ann.place(floor.yes, "SELL", "0.9")["status"] == "live"
    floor.venue.accounts.banned.add(floor.ann.eoa)
    assert floor.refused(floor.ann.order(floor.yes, "SELL"))[1].endswith("address banned")


# Batches


def test_a_batch_answers_each_item_in_its_place_and_success_says_true_anyway() -> None:
    floor = Floor()
    items = [
        floor.ann.order(floor.yes, "BUY", "0.4"),
        floor.ann.order(floor.yes, "BUY", "0.405"),
        floor.ann.order(floor.no, "BUY", "0.3"),
    ]
    answers = json.loads(floor.ann.post("/orders", items).body)
    assert [answer["status"] for answer in answers] == ["live", "", "live"]
    assert answers[1]["success"] is True
    assert "breaks minimum tick size" in answers[1]["errorMsg"]
    assert answers[1]["orderID"] == ""


def test_sixteen_orders_are_too_many_and_none_is_placed() -> None:
    floor = Floor()
    response = floor.ann.post("/orders", [floor.ann.order(floor.yes) for _ in range(16)])
    assert json.loads(response.body)["error"] == "Too many orders in payload: 16, max allowed: 15"
    assert floor.ann.json("/data/orders")["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[1]",
        b'{"order":{}}',
        b"\xff",
        b"[" * 100_000,
        b'{"order":1e400}',
    ],
)
@pytest.mark.parametrize("path", ["/order", "/orders"])
def test_what_is_no_order_is_an_invalid_payload(path: str, body: bytes) -> None:
    floor = Floor()
    response = floor.ann.post(path, body)
    said = json.loads(response.body)
    if path == "/orders" and body == b"[1]":
        assert said[0]["errorMsg"] == "Invalid order payload"
    else:
        assert (response.status, said) == (400, {"error": "Invalid order payload"})
    assert not floor.venue.counts["internal_errors"]


# Matches


def test_a_match_tells_amounts_and_trade_and_both_sides_can_read_it() -> None:
    floor = Floor(market={"fee": Fee(rate_e6=40_000)})
    resting = floor.bob.place(floor.no, "BUY", "0.6", "10")
    answer = floor.ann.place(floor.yes, "BUY", "0.45", "10")
    assert (answer["status"], answer["makingAmount"], answer["takingAmount"]) == (
        "matched",
        "4",
        "10",
    )
    assert answer["transactionsHashes"] == []
    (mine,) = floor.ann.json("/data/trades", id=answer["tradeIDs"][0])["data"]
    (theirs,) = floor.bob.json("/data/trades")["data"]
    assert (mine["trader_side"], theirs["trader_side"]) == ("TAKER", "MAKER")
    (maker,) = theirs["maker_orders"]
    assert (maker["order_id"], maker["price"], maker["asset_id"], maker["matched_amount"]) == (
        resting["orderID"],
        "0.6",
        floor.no,
        "10",
    )
    assert (mine["status"], mine["transaction_hash"]) == ("MATCHED", "")
    floor.run(2.5)
    assert floor.ann.json("/data/trades")["data"][0]["status"] == "MINED"
    floor.run(3)
    (done,) = floor.ann.json("/data/trades")["data"]
    assert done["status"] == "CONFIRMED"
    assert len(done["transaction_hash"]) == 66
    assert floor.ann.wallet.cash_e6 == (10_000 - 1_000 - 4) * 10**6 - 96_000


@pytest.mark.parametrize(
    ("amounts", "said"), [("decimal", ("4", "10")), ("base", ("4000000", "10000000"))]
)
def test_amounts_come_in_shares_or_base_units(amounts: str, said: tuple[str, str]) -> None:
    floor = Floor(amounts=amounts, hashes=True)
    floor.bob.place(floor.no, "BUY", "0.6", "10")
    answer = floor.ann.place(floor.yes, "BUY", "0.45", "10")
    assert (answer["makingAmount"], answer["takingAmount"]) == said
    assert len(answer["transactionsHashes"]) == 1


def test_a_refusal_can_come_as_200_with_a_message() -> None:
    floor = Floor(refusal="body")
    response = floor.ann.post("/order", floor.ann.order(floor.yes, kind="FOK"))
    said = json.loads(response.body)
    assert (response.status, said["success"], said["orderID"]) == (200, True, "")
    assert said["errorMsg"].startswith("order couldn't be fully filled")


def test_a_killed_fok_reads_back_as_a_sentence() -> None:
    floor = Floor()
    item = floor.ann.order(floor.yes, kind="FOK")
    sink, _ = floor.ann.listen()
    assert floor.refused(item)[1].startswith("order couldn't be fully filled")
    floor.run(1)
    (event,) = sink.messages("order")
    assert event["type"] == "CANCELLATION"
    assert event["status"].startswith("CANCELED_order couldn't be fully filled")
    assert floor.ann.json("/data/orders", id=floor.ann.order_id(item))["data"][0][
        "status"
    ].startswith("CANCELED")


# Time


def test_a_taker_delay_holds_the_answer_and_the_order_cannot_be_cancelled() -> None:
    floor = Floor(market={"taker_delay": True})
    floor.bob.place(floor.yes, "SELL", "0.5", "10")
    item = floor.ann.order(floor.yes)
    answers = floor.ann.send("POST", "/order", item)
    assert answers == []
    order_id = floor.ann.order_id(item)
    assert floor.ann.json(f"/data/order/{order_id}")["status"] == "DELAYED"
    said = json.loads(floor.ann.delete("/order", {"orderID": order_id}).body)
    assert order_id in said["not_canceled"]
    before = floor.venue.now_ns
    assert json.loads(floor.ann.wait(answers).body)["status"] == "matched"
    assert floor.venue.now_ns - before == 150 * MS


def test_resting_orders_are_not_delayed() -> None:
    floor = Floor(market={"taker_delay": True, "seconds_delay": 3})
    assert floor.ann.send("POST", "/order", floor.ann.order(floor.yes))


def test_a_seconds_delay_answers_delayed_and_matches_later() -> None:
    floor = Floor(market={"seconds_delay": 3})
    floor.bob.place(floor.yes, "SELL", "0.5", "10")
    sink, _ = floor.ann.listen()
    answer = floor.ann.place(floor.yes)
    assert answer["status"] == "delayed"
    floor.run(2.9)
    assert sink.messages() == []
    floor.run(0.2)
    assert [m["status"] for m in sink.messages("trade")] == ["MATCHED"]
    assert floor.ann.json(f"/data/order/{answer['orderID']}")["status"] == "MATCHED"


def test_a_delayed_order_that_finds_nothing_any_more_rests() -> None:
    floor = Floor(market={"seconds_delay": 3})
    resting = floor.bob.place(floor.yes, "SELL", "0.5", "10")
    answer = floor.ann.place(floor.yes)
    floor.bob.delete("/order", {"orderID": resting["orderID"]})
    floor.run(4)
    assert floor.ann.json(f"/data/order/{answer['orderID']}")["status"] == "LIVE"


def test_gtd_ends_sixty_seconds_early() -> None:
    floor = Floor()
    expires = floor.venue.now_ns // SECOND + 200
    answer = floor.ann.place(floor.yes, kind="GTD", expiration=expires)
    floor.run(139)
    assert floor.ann.json("/data/orders")["data"][0]["expiration"] == str(expires)
    floor.run(2)
    assert floor.ann.json("/data/orders")["data"] == []
    assert floor.ann.json(f"/data/order/{answer['orderID']}")["status"].startswith("CANCELED")
    soon = floor.ann.order(floor.yes, kind="GTD", expiration=floor.venue.now_ns // SECOND + 179)
    assert floor.refused(soon) == (400, "invalid expiration")


def test_what_changed_during_a_hold_counts_after_it() -> None:
    """The market checks are made again: mode, grid, approval, ban (section 11.3)."""

    def coarser(floor: Floor) -> None:
        floor.venue.set_tick(floor.market, 1_000)

    def unapproved(floor: Floor) -> None:
        floor.ann.wallet.approved[0].clear()

    def disabled(floor: Floor) -> None:
        floor.venue.set_mode("disabled")

    def banned(floor: Floor) -> None:
        floor.venue.accounts.banned.add(floor.ann.eoa)

    for change in (coarser, unapproved, disabled, banned):
        floor = Floor(market={"taker_delay": True})
        floor.bob.place(floor.yes, "SELL", "0.45", "10")
        answers = floor.ann.send("POST", "/order", floor.ann.order(floor.yes, "BUY", "0.45"))
        change(floor)
        assert floor.ann.wait(answers).status == 400, change.__name__
        assert floor.venue.book(floor.market).best(False) == 4_500


# Cancels


def test_each_way_to_cancel_takes_what_it_names() -> None:
    floor = Floor()
    ids = [floor.ann.place(floor.yes, "BUY", price)["orderID"] for price in ("0.1", "0.2", "0.3")]
    ids += [floor.ann.place(floor.no, "BUY", price)["orderID"] for price in ("0.1", "0.2", "0.3")]
    other = floor.bob.place(floor.yes, "BUY", "0.15")["orderID"]
    unknown = "0x" + "ab" * 32

    def canceled(path: str, body: object = None) -> list[str]:
        said = json.loads(floor.ann.delete(path, body).body)
        assert not set(said["canceled"]) & set(said["not_canceled"])
        return said["canceled"]

    assert canceled("/order", {"orderID": ids[0]}) == [ids[0]]
    assert canceled("/order", {"orderID": ids[0]}) == []
    assert canceled("/orders", [ids[1], ids[1], unknown, other]) == [ids[1]]
    assert (
        canceled(
            "/cancel-market-orders", {"market": floor.market.condition_id, "asset_id": floor.no}
        )
        == ids[3:]
    )
    assert canceled("/cancel-all") == [ids[2]]
    assert [order["id"] for order in floor.bob.json("/data/orders")["data"]] == [other]


def test_a_matched_order_is_not_cancelled_and_the_answer_says_why() -> None:
    floor = Floor()
    resting = floor.bob.place(floor.yes, "SELL", "0.5", "10")["orderID"]
    floor.ann.place(floor.yes)
    said = json.loads(floor.bob.delete("/order", {"orderID": resting}).body)
    assert said == {"canceled": [], "not_canceled": {resting: "Order already matched"}}


@pytest.mark.parametrize("body", [{"market": []}, {"market": 0}, {"asset_id": {}}, [], "all"])
def test_a_filter_of_another_type_cancels_nothing(body: object) -> None:
    floor = Floor()
    floor.ann.place(floor.yes, "BUY", "0.1")
    assert floor.ann.delete("/cancel-market-orders", body).status == 400
    assert len(floor.ann.json("/data/orders")["data"]) == 1


def test_orders_whose_approval_is_gone_are_dropped() -> None:
    floor = Floor()
    bid = floor.ann.place(floor.yes, "BUY", "0.1")["orderID"]
    ask = floor.ann.place(floor.yes, "SELL", "0.9")["orderID"]
    floor.ann.wallet.approved[0].clear()
    floor.venue.enforce(floor.ann.wallet)
    assert floor.ann.json(f"/data/order/{bid}")["status"] == "INVALID"
    assert floor.ann.json(f"/data/order/{ask}")["status"] == "LIVE"
    assert not floor.ann.wallet.held_cash_e6


def test_a_deleted_key_leaves_no_order_and_comes_back_as_another() -> None:
    floor = Floor()
    floor.ann.place(floor.yes, "BUY", "0.1")
    sink, _ = floor.ann.listen()
    assert floor.ann.delete("/auth/api-key").status == 200
    assert floor.venue.book(floor.market).best(True) is None
    assert sink.closed is not None
    assert floor.ann.get("/data/orders").status == 401
    again = floor.venue.accounts.create(floor.ann.eoa)
    assert again.key != floor.ann.credential.key


# Modes and limits


def test_a_restart_is_425_in_plain_text_then_two_minutes_of_post_only() -> None:
    floor = Floor()
    resting = floor.ann.place(floor.yes, "BUY", "0.1")["orderID"]
    floor.venue.set_mode("restarting", 90)
    response = floor.ann.post("/order", floor.ann.order(floor.yes))
    assert (response.status, response.body) == (425, b"service not ready")
    assert response.headers["Retry-After"] == "90"
    floor.run(91)
    response = floor.ann.post("/order", floor.ann.order(floor.yes))
    said = json.loads(response.body)
    assert (response.status, said["code"], said["retry_after_seconds"]) == (
        503,
        "post_only_mode",
        119,
    )
    assert (
        floor.ann.post("/order", floor.ann.order(floor.yes, "BUY", "0.2", post_only=True)).status
        == 200
    )
    items = json.loads(floor.ann.post("/orders", [floor.ann.order(floor.yes)]).body)
    assert items[0]["errorMsg"].startswith("post-only mode")
    assert json.loads(floor.ann.delete("/order", {"orderID": resting}).body)["canceled"] == [
        resting
    ]
    floor.run(120)
    assert floor.ann.post("/order", floor.ann.order(floor.yes)).status == 200


def test_cancel_only_and_disabled_differ_in_what_they_still_take() -> None:
    floor = Floor()
    resting = floor.ann.place(floor.yes, "BUY", "0.1")["orderID"]
    floor.venue.set_mode("disabled")
    assert floor.ann.delete("/order", {"orderID": resting}).status == 503
    floor.venue.set_mode("cancel_only")
    assert floor.refused(floor.ann.order(floor.yes))[0] == 503
    assert floor.ann.delete("/order", {"orderID": resting}).status == 200


def test_a_batch_is_charged_by_its_orders_and_refused_whole() -> None:
    floor = Floor(limits="enforce")  # Standard: 40 a second, 60 at once

    def batch() -> Any:
        return floor.ann.post(
            "/orders", [floor.ann.order(floor.yes, "BUY", "0.1", "5") for _ in range(15)]
        )

    responses = [batch() for _ in range(5)]
    assert [response.status for response in responses] == [200, 200, 200, 200, 429]
    assert [r.headers["Poly-RateLimit-Remaining"] for r in responses[:4]] == ["45", "30", "15", "0"]
    assert responses[4].headers["Retry-After"] == "1"
    assert len(floor.ann.json("/data/orders")["data"]) == 60
    floor.run(1)
    assert [batch().status for _ in range(3)] == [200, 200, 429]


def test_a_cancel_of_more_than_a_burst_waits_for_a_full_bucket() -> None:
    floor = Floor(limits="enforce")  # Standard: cancels 80 a second, 120 at once
    ids = [f"0x{number:064x}" for number in range(200)]
    assert floor.ann.delete("/orders", ids).status == 200
    assert floor.ann.delete("/orders", ids).status == 429
    floor.run(3)
    assert floor.ann.delete("/orders", ids).status == 200


def test_warning_mode_only_says_what_would_have_been_refused() -> None:
    floor = Floor(limits="warn")
    responses = [
        floor.ann.post("/order", floor.ann.order(floor.yes, "BUY", "0.1", "5")) for _ in range(61)
    ]
    assert {response.status for response in responses} == {200}
    warned = ["Poly-RateLimit-Warning" in response.headers for response in responses]
    assert warned == [False] * 60 + [True]


# The user socket


def test_one_match_tells_both_owners_and_each_status_is_sent_again_under_one_id() -> None:
    floor = Floor()
    ann, _ = floor.ann.listen()
    bob, _ = floor.bob.listen(floor.market.condition_id)
    floor.bob.place(floor.yes, "SELL", "0.5", "30")
    floor.ann.place(floor.yes)
    floor.run(10)
    assert [m["type"] for m in bob.messages("order")] == ["PLACEMENT", "UPDATE"]
    assert bob.messages("order")[1]["size_matched"] == "10"
    for sink in (ann, bob):
        trades = sink.messages("trade")
        assert [m["status"] for m in trades] == ["MATCHED", "MINED", "CONFIRMED"]
        assert len({m["id"] for m in trades}) == 1


def test_a_filter_is_by_market_and_wrong_credentials_close_the_socket() -> None:
    floor = Floor()
    elsewhere, _ = floor.ann.listen("0x" + "77" * 32)
    floor.ann.credential.passphrase, kept = "wrong", floor.ann.credential.passphrase
    stranger, channel = floor.venue.users, None
    sink = simclient.Collector(floor.venue)
    channel = stranger.open(sink)
    auth = {"apiKey": floor.ann.credential.key, "secret": "x", "passphrase": kept}
    stranger.receive(channel, json.dumps({"type": "user", "auth": auth}))
    floor.ann.credential.passphrase = kept
    floor.ann.place(floor.yes)
    floor.run(1)
    assert elsewhere.messages() == []
    assert sink.closed is not None
    assert sink.frames == []


# Reads


def test_reads_agree_with_the_book() -> None:
    floor = Floor()
    floor.ann.place(floor.yes, "BUY", "0.4")
    floor.ann.place(floor.yes, "SELL", "0.45", "20")
    book = floor.ann.json("/book", token_id=floor.no)
    assert (book["bids"], book["asks"]) == (
        [{"price": "0.55", "size": "20"}],
        [{"price": "0.6", "size": "10"}],
    )
    assert floor.ann.json("/midpoint", token_id=floor.yes) == {"mid": "0.425"}
    assert floor.ann.json("/price", token_id=floor.yes, side="BUY") == {"price": "0.4"}
    assert floor.ann.json("/price", token_id=floor.yes, side="SELL") == {"price": "0.45"}
    assert floor.ann.json("/spread", token_id=floor.no) == {"spread": "0.05"}
    rows = [{"token_id": floor.yes}, {"token_id": "99"}]
    assert len(json.loads(floor.ann.post("/books", rows).body)) == 1
    assert json.loads(floor.ann.post("/midpoints", rows).body) == {floor.yes: "0.425"}
    assert floor.ann.json("/tick-size", token_id=floor.yes) == {"minimum_tick_size": 0.01}
    assert floor.ann.json("/version") == {"version": 2}
    assert floor.ann.json("/time") == floor.venue.now_ns // SECOND


@pytest.mark.parametrize(
    ("path", "query", "status", "text"),
    [
        ("/book", {"token_id": "99"}, 404, "No orderbook exists for the requested token id"),
        ("/book", {"token_id": "x"}, 400, "Invalid token id"),
        ("/book", {}, 400, "Invalid token id"),
        ("/markets-by-token/99", {}, 404, "market not found"),
        ("/clob-markets/0x12", {}, 404, "market not found"),
        ("/data/orders", {"next_cursor": "!"}, 400, "Invalid next_cursor"),
        ("/data/trades", {"after": "yesterday"}, 400, "Invalid trade params payload"),
        ("/nowhere", {}, 404, "404 page not found"),
    ],
)
def test_a_read_of_nothing_says_what_is_missing(
    path: str, query: dict[str, str], status: int, text: str
) -> None:
    response = Floor().ann.get(path, **query)
    assert (response.status, json.loads(response.body)["error"]) == (status, text)


def test_pages_end_with_the_mark_of_the_end() -> None:
    floor = Floor(limits="off")
    for number in range(105):
        floor.ann.place(floor.yes, "BUY", "0.1", f"{number + 5}")
    first = floor.ann.json("/data/orders", next_cursor="MA==")
    assert (first["limit"], first["count"]) == (100, 100)
    last = floor.ann.json("/data/orders", next_cursor=first["next_cursor"])
    assert (last["count"], last["next_cursor"]) == (5, "LTE=")


# Who is asking


@pytest.mark.parametrize(
    "change",
    [
        {"poly_signature": "A" * 43 + "="},
        {"poly_passphrase": "0"},
        {"poly_api_key": "0"},
        {"poly_address": "0x" + "1" * 40},
        {"poly_timestamp": "soon"},
        {"poly_signature": "ÿ"},
        {},
    ],
)
def test_one_wrong_header_is_401(change: dict[str, str]) -> None:
    floor = Floor()
    answers = floor.ann.send("GET", "/data/orders", headers=change, auth=bool(change))
    assert answers[0].status == 401
    assert json.loads(answers[0].body) == {"error": "Unauthorized/Invalid api key"}


@pytest.mark.parametrize(("late_s", "status"), [(29, 200), (-29, 200), (32, 401), (-32, 401)])
def test_a_timestamp_counts_for_thirty_seconds(late_s: int, status: int) -> None:
    floor = Floor()
    at = floor.venue.now_ns // SECOND - late_s
    assert floor.ann.send("GET", "/data/orders", timestamp=at)[0].status == status


def test_the_hmac_covers_the_very_bytes_of_the_body() -> None:
    floor = Floor()
    item = json.dumps(floor.ann.order(floor.yes)).encode()
    headers = floor.ann.headers("POST", "/order", item)
    answers = floor.ann.send("POST", "/order", item + b" ", auth=False, headers=headers)
    assert answers[0].status == 401
    answers = floor.ann.send("POST", "/order", item, auth=False, headers=headers)
    assert answers[0].status == 200


def test_a_read_only_key_reads_and_nothing_else() -> None:
    floor = Floor()
    made = json.loads(floor.ann.post("/auth/readonly-api-key").body)
    floor.ann.credential = floor.venue.accounts.keys[made["apiKey"]]
    assert floor.ann.get("/data/orders").status == 200
    assert floor.ann.post("/order", floor.ann.order(floor.yes)).status == 401
