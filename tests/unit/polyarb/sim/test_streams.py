"""The text of books and changes: the venue's spelling, and hashes that recordings confirm."""

import hashlib
import json
from typing import Any

import simclient
from conftest import captures

from polyarb.sim.catalog import Event, Market, Structure
from polyarb.sim.decimals import parse
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Book, Order
from polyarb.sim.streams import Page

WS = "ws"


def rebuilt(recorded: dict[str, Any], market: Market) -> Book:
    """Return the book of a recorded YES snapshot, one order a level."""
    book = Book(market)
    book.changed_ms = int(recorded["timestamp"])
    book.last_price_e4 = (
        parse(recorded["last_trade_price"], 4) if recorded["last_trade_price"] else None
    )
    wallet = Wallet("w", "")
    for buy, side in ((True, "bids"), (False, "asks")):
        for index, level in enumerate(recorded[side]):
            price, shares = parse(level["price"], 4), parse(level["size"], 6)
            book.rest(
                Order(
                    id=f"{side}{index}",
                    wallet=wallet,
                    market=market,
                    outcome=0,
                    buy=buy,
                    price_e4=price,
                    size_e6=shares,
                )
            )
    return book


def recorded_books() -> list[dict[str, Any]]:
    """Return every opening book of the recordings of the present form."""
    found = []
    for path in sorted(captures(WS).glob("2026-*")):
        line = path.read_text().splitlines()[0]
        frame = json.loads(line)
        books = (
            json.loads(frame["frame"]) if isinstance(frame, dict) and "frame" in frame else frame
        )
        found += [book for book in books if "tick_size" in book]
    return found


def test_recorded_opening_books_come_out_byte_for_byte_with_their_hash() -> None:
    books = recorded_books()
    assert len(books) >= 9
    for recorded in books:
        tick = parse(recorded["tick_size"], 4)
        market = simclient.market(
            condition_id=recorded["market"],
            tokens=(recorded["asset_id"], "2"),
            tick_e4=tick,
            neg_risk=tick == 10,
        )
        page = Page(rebuilt(recorded, market))
        assert page.snapshot(0, first=True).decode() == json.dumps(recorded, separators=(",", ":"))


def test_a_books_complement_has_its_own_recorded_hash() -> None:
    """Both tokens of the esports match were recorded: the mirror of one is the other."""
    path = next(captures(WS).glob("2026-09-07*"))
    both = json.loads(path.read_text().splitlines()[0])
    for yes, no in (both, both[::-1]):
        market = simclient.market(
            condition_id=yes["market"], tokens=(yes["asset_id"], no["asset_id"])
        )
        assert json.loads(Page(rebuilt(yes, market)).snapshot(1, first=True)) == no


def changing() -> tuple[Any, Any, str, str]:
    venue = simclient.venue()
    market = next(iter(venue.catalog.markets.values()))
    return venue, simclient.Client(venue), *market.tokens


def test_a_change_names_both_tokens_with_the_orders_own_first() -> None:
    _, client, yes, no = changing()
    sink, _ = client.watch(yes)
    client.place(no, "BUY", "0.42", "10")
    (change,) = sink.messages("price_change")
    assert list(change) == ["market", "price_changes", "timestamp", "event_type"]
    first, second = change["price_changes"]
    assert (first["asset_id"], first["price"], first["side"], first["size"]) == (
        no,
        "0.42",
        "BUY",
        "10",
    )
    assert (second["asset_id"], second["price"], second["side"]) == (yes, "0.58", "SELL")
    assert (first["best_bid"], first["best_ask"]) == ("0.42", "1")
    assert (second["best_bid"], second["best_ask"]) == ("0", "0.58")


def test_every_hash_is_that_of_the_book_which_a_client_rebuilds() -> None:
    venue, client, yes, no = changing()
    other = simclient.Client(venue, simclient.KEYS[1])
    sink, _ = client.watch(yes, no)
    for price, size in (("0.4", "10"), ("0.41", "20.5"), ("0.4", "7")):
        client.place(yes, "BUY", price, size)
    client.place(no, "BUY", "0.3", "100")
    resting = {token: book(sink, token) for token in (yes, no)}
    assert [resting[token]["hash"] for token in (yes, no)] == list(last_hashes(sink, yes, no))
    assert all(digest(found) == found["hash"] for found in resting.values())
    other.place(no, "BUY", "0.6", "12.25")  # takes 12.25 of 0.41, then nothing is left at 0.4
    simclient.run(venue, venue.now_ns + 10**9)
    traded = book(sink, yes)
    assert traded["hash"] == digest(traded | {"last_trade_price": "0.590"})
    served = json.loads(Page(venue.book(venue.catalog.tokens[yes][0])).rest(0))
    assert served["hash"] == digest(served)
    assert served["bids"] == traded["bids"]
    snapshots = [m for m in sink.messages("book") if m["asset_id"] == yes]
    assert ",".join(snapshots[-1]) == "market,asset_id,bids,asks,hash,timestamp,event_type"
    assert (snapshots[-1]["hash"], snapshots[-1]["bids"]) == (served["hash"], served["bids"])


def last_hashes(sink: simclient.Collector, *tokens: str) -> list[str]:
    entries = {e["asset_id"]: e for m in sink.messages("price_change") for e in m["price_changes"]}
    return [entries[token]["hash"] for token in tokens]


def book(sink: simclient.Collector, token: str) -> dict[str, Any]:
    """Return the book that a client knows from its opening snapshot and all changes since."""
    sides: dict[str, dict[str, str]] = {"BUY": {}, "SELL": {}}
    for message in sink.messages("price_change"):
        for entry in message["price_changes"]:
            if entry["asset_id"] == token:
                sides[entry["side"]][entry["price"]] = entry["size"]
                if entry["size"] == "0":
                    del sides[entry["side"]][entry["price"]]
    rows = {
        side: [
            {"price": price, "size": levels[price]}
            for price in sorted(levels, key=float, reverse=side == "SELL")
        ]
        for side, levels in sides.items()
    }
    changes = sink.messages("price_change")
    return {
        "market": changes[-1]["market"],
        "asset_id": token,
        "timestamp": changes[-1]["timestamp"],
        "hash": last_hashes(sink, token)[0],
        "bids": rows["BUY"],
        "asks": rows["SELL"],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "",
    }


def digest(book: dict[str, Any]) -> str:
    """Return the hash of a REST book by the rule of protocol.md section 20.2, computed apart."""
    members = (
        *("market", "asset_id", "timestamp", "hash", "bids", "asks"),
        *("min_order_size", "tick_size", "neg_risk", "last_trade_price"),
    )
    told = {name: book[name] for name in members} | {"hash": ""}
    canonical = json.dumps(told, separators=(",", ":"))
    return hashlib.sha1(canonical.encode(), usedforsecurity=False).hexdigest()


def test_a_token_that_was_not_there_yet_can_be_subscribed_once_it_is() -> None:
    _, client, yes, _ = changing()
    new = simclient.market(9)
    sink, channel = client.watch(yes, new.tokens[0])
    client.venue.add_event(
        Event(id="9", slug="e9", title="E9", structure=Structure.BINARY, markets=[new])
    )
    told = {"operation": "subscribe", "assets_ids": [new.tokens[0]]}
    client.venue.feeds.receive(channel, json.dumps(told))
    client.place(new.tokens[0])
    assert [message["asset_id"] for message in sink.messages("book")] == [yes, new.tokens[0]]
    assert len(sink.messages("price_change")) == 1
