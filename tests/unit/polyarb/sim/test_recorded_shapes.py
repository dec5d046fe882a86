"""The venue's messages have the members, order and types of the recorded ones."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import simclient
from conftest import captures
from simclient import KEYS, SECOND, Client

from polyarb.sim.catalog import Event, Fee, Structure

SINGLES = ("best_bid_ask, 2026", "market_resolved, 2026", "new_market with fees, 2026")
LATER = {
    "last_trade_price",
    "best_bid_ask",
    "new_market",
    "market_resolved",
    "price_change",
    "book",
}


def shape(value: Any) -> Any:
    """Return the members and types of a value; of a list, those of its first element."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def recorded(form: str = "2026") -> Iterator[dict[str, Any]]:
    """Yield every recorded message of the streams of a year."""
    for path in sorted(captures("ws").glob(f"{form}-*")):
        for line in filter(str.strip, path.read_text().splitlines()):
            frame = json.loads(line)
            if isinstance(frame, dict) and "frame" in frame:
                frame = frame["frame"]
                frame = json.loads(frame) if frame != "PONG" else []
            yield from frame if isinstance(frame, list) else [frame]


def singles(*kinds: str) -> list[dict[str, Any]]:
    """Return the single recorded frames whose description begins with one of `kinds`."""
    rows = map(json.loads, captures("ws/singles.jsonl").read_text().splitlines())
    found = [json.loads(row["frame"]) for row in rows if row["type"].startswith(kinds)]
    return [frame[0] if isinstance(frame, list) else frame for frame in found]


def session(**config: Any) -> list[dict[str, Any]]:
    """Return the messages of a market's life: opening, orders, a trade, news, its end."""
    venue = simclient.venue(**config)
    market = next(iter(venue.catalog.markets.values()))
    ann, bob = (Client(venue, key) for key in KEYS[:2])
    ann.place(market.tokens[0], "BUY", "0.2", "20")
    sink, _ = ann.watch(*market.tokens, custom_feature_enabled=True)
    bob.place(market.tokens[1], "BUY", "0.6", "20")
    ann.place(market.tokens[0], "BUY", "0.45", "12.5")
    simclient.run(venue, venue.now_ns + SECOND)
    new = simclient.market(5, fee=Fee(rate_e6=70_000, kind="crypto_fees_v2"))
    venue.add_event(
        Event(id="8", slug="e8", title="E8", structure=Structure.BINARY, markets=[new], tags=("a",))
    )
    venue.resolve(venue.catalog.events[0], [0])
    simclient.run(venue, venue.now_ns + 2 * SECOND)
    assert sink.closed == (1000, "all subscribed assets resolved")
    return sink.messages()


def by_kind(messages: Any) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return a message of each kind and member order."""
    found = {}
    for message in messages:
        if message.get("bids") != [] and message.get("asks") != []:
            found[message["event_type"], *message] = message
    return found


def test_market_messages_have_the_recorded_members_in_the_recorded_order() -> None:
    ours = by_kind(session())
    theirs = by_kind([*recorded(), *singles(*SINGLES)])
    assert {kind for kind, *_ in ours} == LATER
    for key, message in ours.items():
        if key[0] == "book" and "tick_size" in key:
            continue  # one side was empty when we subscribed; test_streams has it byte for byte
        assert key in theirs, key
        mine, recording = shape(message), shape(theirs[key])
        if key[0] in {"new_market", "market_resolved"}:
            mine["tags"] = recording["tags"] = []
        assert mine == recording


def test_the_form_of_2025_has_the_recorded_members() -> None:
    old = [message for message in recorded("2025-07") if message["event_type"] == "price_change"]
    (ours, *_) = (m for m in session(format="changes") if m["event_type"] == "price_change")
    assert {name: type(ours[name]) for name in ours} == {name: type(old[0][name]) for name in ours}
    assert set(ours) == set(old[0])
    assert set(ours["changes"][0]) == set(old[0]["changes"][0])


def test_the_form_of_2024_has_the_recorded_members() -> None:
    (old,) = singles("price_change, 2024")
    (ours, *_) = (m for m in session(format="flat") if m["event_type"] == "price_change")
    assert shape(dict(sorted(ours.items()))) == shape(dict(sorted(old.items())))


def test_spaced_frames_are_spaced_as_on_that_day() -> None:
    """The burst of May 2026 has a blank after each comma, and none after a colon."""
    line = captures("ws").joinpath("2026-05-14_btc-5m_burst_part1_506ms.ndjson").read_text()
    recording = next(text for text in line.splitlines() if "price_changes" in text)
    venue = simclient.venue(spaced=True)
    client = Client(venue)
    token = venue.catalog.events[0].markets[0].tokens[0]
    sink, _ = client.watch(token)
    client.place(token)
    ours = sink.frames[-1].decode()
    commas = [text[at + 1] for text in (ours, recording) for at, c in enumerate(text) if c == ","]
    assert set(commas) == {" "}
    assert ": " not in ours


def user_events() -> list[dict[str, Any]]:
    """Return the user events of an order that is placed, matched in part and cancelled."""
    venue = simclient.venue()
    market = venue.catalog.events[0].markets[0]
    ann, bob = (Client(venue, key) for key in KEYS[:2])
    sink, _ = bob.listen()
    resting = bob.place(market.tokens[1], "BUY", "0.6", "20")
    ann.place(market.tokens[0], "BUY", "0.45", "12.5")
    simclient.run(venue, venue.now_ns + 10 * SECOND)
    bob.delete("/order", {"orderID": resting["orderID"]})
    bob.post("/order", bob.order(market.tokens[0], "BUY", "0.3", kind="FOK"))
    simclient.run(venue, venue.now_ns + SECOND)
    return sink.messages()


@pytest.mark.parametrize(
    "kind", ["order PLACEMENT", "order CANCELLATION of a killed", "trade, taker"]
)
def test_user_events_have_every_recorded_member(kind: str) -> None:
    rows = map(json.loads, captures("user/messages.jsonl").read_text().splitlines())
    recording = next(row["message"] for row in rows if row["kind"].startswith(kind))
    same = ("event_type", "type")
    ours = [m for m in user_events() if all(m[name] == recording[name] for name in same)]
    assert ours
    missing = set(recording) - set(ours[-1])
    assert missing == set()
    for name, value in recording.items():
        if value not in ("", None, []) and ours[-1][name] is not None:
            assert type(ours[-1][name]) is type(value), name
    if recording["event_type"] == "trade":
        assert set(recording["maker_orders"][0]) <= set(ours[-1]["maker_orders"][0])


def test_answers_to_orders_have_the_recorded_members() -> None:
    path = captures("rest/order-responses-and-errors.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    matched = next(
        r["body"] for r in rows if r["status"] == 200 and r["body"].get("status") == "matched"
    )
    failed = next(r["body"] for r in rows if r["endpoint"] == "POST /orders (element)")
    cancel = next(r["body"] for r in rows if r["endpoint"] == "DELETE /order")
    venue = simclient.venue(hashes=True)
    token = venue.catalog.events[0].markets[0].tokens[0]
    ann, bob = (Client(venue, key) for key in KEYS[:2])
    resting = bob.place(venue.catalog.events[0].markets[0].tokens[1], "BUY", "0.6", "20")
    ours = ann.place(token, "BUY", "0.45", "12.5")
    assert {name: type(ours[name]) for name in matched} == {n: type(v) for n, v in matched.items()}
    (item,) = json.loads(ann.post("/orders", [ann.order(token, kind="FAK", size="1")]).body)
    assert (item.keys(), item["success"]) == (failed.keys(), failed["success"])
    bob.delete("/cancel-all")
    said = json.loads(bob.delete("/order", {"orderID": resting["orderID"]}).body)
    assert said.keys() == cancel.keys()
