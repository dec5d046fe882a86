"""The Data API: positions and trades as other services see them."""

import json
from typing import Any

import pytest
import simclient
from conftest import captures
from simclient import KEYS, SECOND, Client

from polyarb.sim.catalog import Fee, Structure


class Book:
    """Ann buys 100 YES at 0.4 from Bob, who had split 200 sets, and sells him 40 at 0.5."""

    def __init__(self) -> None:
        fee = Fee(rate_e6=50_000)
        self.venue = simclient.venue([simclient.market(fee=fee, end_ms=1_800_000_000_000)])
        self.market = next(iter(self.venue.catalog.markets.values()))
        self.yes, self.no = self.market.tokens
        self.ann, self.bob = (Client(self.venue, key) for key in KEYS[:2])
        self.venue.ledger.split(self.bob.wallet, self.market, 200_000_000)
        self.bob.place(self.yes, "SELL", "0.4", "100")
        self.ann.place(self.yes, "BUY", "0.4", "100")
        self.settle()
        self.bob.place(self.yes, "BUY", "0.5", "40")
        self.ann.place(self.yes, "SELL", "0.5", "40")
        self.settle()

    def settle(self) -> None:
        simclient.run(self.venue, self.venue.now_ns + 10 * SECOND)

    def get(self, path: str, **query: str) -> Any:
        return self.ann.json(path, **query)


def test_positions_have_size_average_price_and_profit() -> None:
    book = Book()
    (position,) = book.get("/data-api/positions", user=book.ann.address.upper().replace("X", "x"))
    assert (position["asset"], position["oppositeAsset"]) == (book.yes, book.no)
    assert (position["size"], position["avgPrice"]) == (60, 0.4)
    assert position["initialValue"] == 24
    assert position["realizedPnl"] == pytest.approx(4)
    assert position["totalBought"] == 100
    assert position["conditionId"] == book.market.condition_id
    assert (position["redeemable"], position["mergeable"]) == (False, False)
    yes, no = book.get("/positions", user=book.bob.address)
    assert (yes["size"], no["size"]) == (140, 200)
    assert yes["mergeable"]
    assert no["mergeable"]
    assert (no["avgPrice"], no["outcomeIndex"]) == (0, 1)


def test_positions_are_filtered_and_cut() -> None:
    book = Book()
    user = book.bob.address
    assert len(book.get("/data-api/positions", user=user, sizeThreshold="150")) == 1
    assert len(book.get("/data-api/positions", user=user, limit="1", offset="1")) == 1
    assert book.get("/data-api/positions", user=user, market="0x12") == []
    assert len(book.get("/positions", user=user, market=f"0x12,{book.market.condition_id}")) == 2
    assert book.get("/data-api/positions", user="0x" + "12" * 20) == []
    assert book.ann.get("/data-api/positions").status == 400
    assert book.ann.get("/data-api/positions", user=user, sizeThreshold="x").status == 400
    assert book.ann.get("/data-api/positions", user=user, limit="-1").status == 400


def test_a_resolved_position_is_redeemable_at_what_it_pays() -> None:
    book = Book()
    book.venue.resolve(book.market.event, [0])
    yes, no = book.get("/positions", user=book.bob.address)
    assert (yes["curPrice"], no["curPrice"]) == (1, 0)
    assert yes["redeemable"]
    assert not yes["mergeable"]
    (row,) = book.get("/v2/positions", user=book.ann.address)["data"]
    assert (row["status"], row["current_value"]) == ("REDEEMABLE", 60)
    assert book.get("/value", user=book.bob.address) == [{"user": book.bob.address, "value": 140}]


def test_trades_show_the_taker_and_on_demand_the_makers() -> None:
    book = Book()
    sell, buy = book.get("/data-api/trades", user=book.ann.address)
    assert (buy["side"], buy["size"], buy["price"]) == ("BUY", 100, 0.4)
    assert (sell["side"], sell["size"], sell["price"]) == ("SELL", 40, 0.5)
    assert len(buy["transactionHash"]) == 66
    assert book.get("/data-api/trades", user=book.bob.address) == []
    rows = book.get("/data-api/trades", user=book.bob.address, takerOnly="false")
    assert [row["side"] for row in rows] == ["BUY", "SELL"]
    assert len(book.get("/data-api/trades", market=book.market.condition_id)) == 2
    assert book.get("/data-api/trades", market="0x12") == []


def test_a_trade_appears_once_it_is_on_the_chain() -> None:
    book = Book()
    book.ann.place(book.yes, "SELL", "0.4", "5")
    book.bob.place(book.yes, "BUY", "0.4", "5")
    assert len(book.get("/data-api/trades")) == 2
    book.settle()
    assert len(book.get("/data-api/trades")) == 3


def test_the_second_generation_pages_with_a_cursor() -> None:
    book = Book()
    first = book.get("/data-api/v2/trades", user=book.ann.address, limit="1")
    assert first["pagination"]["has_more"] is True
    cursor = first["pagination"]["next_cursor"]
    second = book.get("/data-api/v2/trades", user=book.ann.address, limit="1", cursor=cursor)
    assert second["pagination"] == {"has_more": False, "next_cursor": None}
    assert [page["data"][0]["side"] for page in (first, second)] == ["SELL", "BUY"]
    assert len(book.get("/data-api/v2/trades", side="BUY")["data"]) == 1
    assert book.ann.get("/data-api/v2/trades", cursor="x").status == 400


def test_states_filter_positions() -> None:
    book = Book()
    for status, count in (("OPEN", 2), ("MERGEABLE", 2), ("REDEEMABLE", 0), ("CLOSED", 0)):
        page = book.get("/data-api/v2/positions", user=book.bob.address, status=status)
        assert len(page["data"]) == count, status


def test_a_v3_condition_is_found_in_both_lengths() -> None:
    base = (1 << 248) | (0xABCDEF << 120)
    changes = {"tokens": (str(base), str(base + 1)), "condition_id": f"0x{base >> 8:062x}"}
    venue = simclient.venue([simclient.market(v3=True, **changes)], structure=Structure.BINARY)
    (market,) = venue.catalog.markets.values()
    client = Client(venue)
    venue.ledger.split(client.wallet, market, 5_000_000)
    for condition in (market.condition_id, f"{market.condition_id}00"):
        query = {"user": client.address, "condition_id": condition}
        assert len(client.json("/v2/positions", **query)["data"]) == 2


def test_trades_have_the_members_of_recorded_ones() -> None:
    told: list[dict[str, Any]] = []
    for line in captures("rest/read-endpoints_2026-03.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["source"].endswith("/trades.json"):
            told += row["object"]
    ours = Book().get("/data-api/trades")
    assert told
    assert ours[0].keys() == told[0].keys()


def test_the_official_client_reads_every_row() -> None:
    models = pytest.importorskip("polymarket.models.data")
    book = Book()
    for row in book.get("/data-api/v2/positions", user=book.bob.address)["data"]:
        assert models.Position.parse_response(row).asset_id == row["token_id"]
    for row in book.get("/data-api/v2/trades")["data"]:
        assert models.Trade.parse_response(row).asset_id == row["token_id"]
    value = book.get("/data-api/v2/value", user=book.bob.address)["data"]
    assert models.PortfolioValue.parse_response(value).value > 0
