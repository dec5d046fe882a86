"""The dead-man switch: ten seconds of silence, then a look every five (section 17)."""

import json
from typing import Any

import pytest
import simclient
from simclient import KEYS, SECOND, Client

PATH = "/v1/heartbeats"


class Floor:
    def __init__(self, **config: Any) -> None:
        self.venue = simclient.venue(**config)
        self.ann, self.bob = (Client(self.venue, key) for key in KEYS[:2])
        (market,) = self.venue.catalog.markets.values()
        self.yes, self.no = market.tokens

    def beat(self, heartbeat_id: str | None) -> tuple[int, dict[str, str]]:
        response = self.ann.post(PATH, {"heartbeat_id": heartbeat_id})
        return response.status, json.loads(response.body)

    def run(self, seconds: float) -> None:
        simclient.run(self.venue, self.venue.now_ns + int(seconds * SECOND))

    def status(self, answer: dict[str, Any]) -> str:
        found: str = self.venue.orders[answer["orderID"]].status
        return found


@pytest.mark.parametrize("first", ["", None])
def test_each_answer_names_the_id_of_the_next(first: str | None) -> None:
    floor = Floor()
    status, answer = floor.beat(first)
    assert status == 200
    seen = {answer["heartbeat_id"]}
    for _ in range(3):
        status, answer = floor.beat(answer["heartbeat_id"])
        assert status == 200
        seen.add(answer["heartbeat_id"])
    assert len(seen) == 4


def test_a_wrong_id_is_told_the_expected_one() -> None:
    floor = Floor()
    wrong = {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": ""}
    assert floor.beat("d2719ab0") == (400, wrong)
    _, answer = floor.beat("")
    expected = answer["heartbeat_id"]
    assert floor.beat("") == (400, wrong | {"heartbeat_id": expected})
    assert floor.beat(expected)[0] == 200


@pytest.mark.parametrize(("early_s", "lapse_s"), [(0.0, 10.0), (0.1, 14.9), (4.9, 10.1)])
def test_silence_cancels_ten_to_fifteen_seconds_later(early_s: float, lapse_s: float) -> None:
    floor = Floor()
    order = floor.ann.place(floor.yes, price="0.1")
    other = floor.bob.place(floor.yes, price="0.1")
    floor.run(early_s)
    floor.beat("")
    floor.run(lapse_s - 0.01)
    assert floor.status(order) == "LIVE"
    floor.run(0.02)
    assert floor.status(order) == "CANCELED"
    assert floor.status(other) == "LIVE"
    assert floor.ann.wallet.held_cash_e6 == 0
    floor.venue.check()


def test_heartbeats_in_time_keep_orders() -> None:
    floor = Floor()
    order = floor.ann.place(floor.yes, price="0.1")
    answer = {"heartbeat_id": ""}
    for _ in range(12):
        _, answer = floor.beat(answer["heartbeat_id"])
        floor.run(5)
    assert floor.status(order) == "LIVE"


def test_a_refused_heartbeat_does_not_extend_the_deadline() -> None:
    floor = Floor()
    order = floor.ann.place(floor.yes, price="0.1")
    floor.beat("")
    for _ in range(3):
        floor.run(4)
        assert floor.beat("wrong")[0] == 400
    assert floor.status(order) == "CANCELED"


def test_orders_placed_after_the_silence_go_at_the_next_look() -> None:
    floor = Floor()
    _, answer = floor.beat("")
    floor.run(11)
    late = floor.ann.place(floor.yes, price="0.1")
    floor.run(5)
    assert floor.status(late) == "CANCELED"
    assert floor.beat(answer["heartbeat_id"])[0] == 200
    kept = floor.ann.place(floor.yes, price="0.1")
    floor.run(9)
    assert floor.status(kept) == "LIVE"


def test_other_keys_and_wallets_of_the_account_count_apart_and_together() -> None:
    """The switch is the API key's: all wallets it trades from, no order of another key."""
    floor = Floor()
    safe = Client(floor.venue, KEYS[0], signature_type=2)
    from_safe = safe.place(floor.yes, price="0.1")
    second = floor.venue.accounts.create(floor.ann.eoa, 1)
    floor.ann.credential, first = second, floor.ann.credential
    from_second = floor.ann.place(floor.yes, price="0.1")
    floor.ann.credential = first
    floor.beat("")
    floor.run(15)
    assert floor.status(from_safe) == "CANCELED"
    assert floor.status(from_second) == "LIVE"


def test_the_orders_of_a_deleted_key_go_too_and_then_nobody_looks() -> None:
    floor = Floor()
    order = floor.ann.place(floor.yes, price="0.1")
    floor.beat("")
    floor.venue.accounts.delete(floor.ann.credential)
    floor.run(15)
    assert floor.status(order) == "CANCELED"
    assert floor.venue.next_ns() is None


def test_the_older_form_arms_as_well() -> None:
    floor = Floor()
    order = floor.ann.place(floor.yes, price="0.1")
    response = floor.ann.post("/heartbeats")
    assert (response.status, response.body) == (200, b'{"status":"ok"}')
    floor.run(8)
    floor.ann.post("/heartbeats")
    floor.run(8)
    assert floor.status(order) == "LIVE"
    floor.run(8)
    assert floor.status(order) == "CANCELED"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'"x"', b'{"heartbeat_id":5}', b'{"heartbeat_id":[]}', b"{" * 9999],
)
def test_bodies_that_are_none_are_refused(body: bytes) -> None:
    floor = Floor()
    assert floor.ann.post(PATH, body).status == 400
    assert floor.ann.credential.beat == 0


def test_heartbeats_ask_for_a_key() -> None:
    floor = Floor()
    for path in (PATH, "/heartbeats"):
        assert floor.ann.wait(floor.ann.send("POST", path, {}, auth=False)).status == 401
