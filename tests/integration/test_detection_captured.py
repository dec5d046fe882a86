"""Recorded streams through books and relations: what looks like an edge there is none."""

import csv
import gzip
import json
from collections.abc import Iterator

import captures
import conftest
import pytest

from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books
from polyarb.core.decode import Decoder, Kind
from polyarb.core.scan import Relations, TopScan, scan_counters
from polyarb.core.tick import Ticker
from polyarb.domain.market import FREE

pytestmark = pytest.mark.skipif(not captures.names(), reason="no captures: set POLYARB_CAPTURES")

DOLLAR_E6 = 1_000_000
_FOLDER = conftest.captures_root() / "series"
SERIES = sorted(path.name for path in _FOLDER.glob("*two-sided*")) if _FOLDER.is_dir() else []


def tokens_by_market(frames: list[bytes]) -> dict[str, list[str]]:
    """Return the tokens of each market in a stream that has both of them."""
    found: dict[str, dict[str, None]] = {}
    decoder = Decoder()
    for frame in frames:
        for record in decoder.decode(frame).records:
            if record.kind in {Kind.BOOK, Kind.CHANGE} and record.token and record.market:
                found.setdefault(record.market, {})[record.token] = None
    return {market: [*tokens] for market, tokens in found.items() if len(tokens) == 2}


@pytest.mark.parametrize("name", captures.names())
def test_yes_and_no_of_one_market_are_never_cheaper_together_than_they_pay(name: str) -> None:
    # Without fees, which would hide it, and although nobody pairs the books, so that no mirror
    # check keeps them out: `ask(YES) = 1 - bid(NO)` holds at every frame of every recording.
    frames = list(captures.frames(captures.folder() / "ws" / name))
    markets = tokens_by_market(frames)
    count = max(1, 2 * len(markets))
    config = ArenaConfig(histogram_count=1, token_count=count, relation_count=count)
    with Arena.create(config=config) as arena:
        books, ticker, relations = Books(arena, 1), Ticker(arena), Relations(arena)
        books.set_ages(1 << 61, 1 << 61)
        for tokens in markets.values():
            slots = [books.add(token, 1) for token in tokens]
            for slot in slots:
                books.set_fee(slot, FREE)
            relations.add([(slot, 1) for slot in slots], DOLLAR_E6, 1)
        seen = 0
        for now, frame in enumerate(frames, start=2):
            assert ticker.tick(frame, now) >= 0
            seen += ticker.report.opportunity_count
        found = relations.sweep(len(frames) + 2)
        assert (found.untold, found.wrong) == (0, 0)
        counters = scan_counters(arena)
        assert seen == counters["opened"] == 0
        assert TopScan(arena, count).crossed() == []
        if markets and "esports" in name:
            assert counters["evaluations"] > 0


def two_sided(name: str) -> Iterator[bytes]:
    """Yield the rows of a series that has both tokens' books, each row as one frame."""
    path = captures.folder() / "series" / name
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            books = []
            for token, side in (("1", "up"), ("2", "down")):
                levels = {
                    kind: [
                        {
                            "price": row[f"{kind}_px_{side}_{n}"],
                            "size": row[f"{kind}_sz_{side}_{n}"],
                        }
                        for n in range(1, 6)
                        if row[f"{kind}_px_{side}_{n}"] and float(row[f"{kind}_sz_{side}_{n}"]) > 0
                    ]
                    for kind in ("bid", "ask")
                }
                books.append(
                    {
                        "event_type": "book",
                        "asset_id": token,
                        "timestamp": row["ts_ms"],
                        "bids": levels["bid"],
                        "asks": levels["ask"],
                    }
                )
            yield json.dumps(books).encode()


@pytest.mark.parametrize("name", SERIES)
def test_recorded_series_show_no_edge_within_one_market_either(name: str) -> None:
    config = ArenaConfig(histogram_count=1, token_count=2, relation_count=1)
    with Arena.create(config=config) as arena:
        books, ticker, relations = Books(arena, 1), Ticker(arena), Relations(arena)
        slots = [books.add(token, 1, tick_e4=10) for token in ("1", "2")]
        for slot in slots:
            books.set_fee(slot, FREE)
        relations.add([(slot, 1) for slot in slots], DOLLAR_E6, 1)
        rows = 0
        for now, frame in enumerate(two_sided(name), start=2):
            assert ticker.tick(frame, now) == 2, ticker.report.first_rejected
            rows += 1
        assert rows > 100
        counters = scan_counters(arena)
        assert counters["evaluations"] > rows // 5, "the costs hardly moved"
        assert counters["opened"] == 0
