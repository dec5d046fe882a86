"""Catalogues and books from recordings: the usable is used, the rest counted, nothing breaks."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import captures

from polyarb.sim.catalog import Catalog, Event, Structure
from polyarb.sim.config import VenueConfig
from polyarb.sim.recorded import from_gamma, load_books, read
from polyarb.sim.venue import Venue

ACTIVE = "gamma/active-markets_2026-03-11.jsonl.gz"
FED = "rest/fed-decision-june-2026_gamma-event.json"

HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 7.5, 1e300, "", "x", "0x", "[]", '["a"]', "[1, 2, 3]", "9" * 400),
    *("2026-13-45", "0.5", [], [1, 2], {}, {"a": []}, [[]], [None, {}], "\ud800", "²"),
]


def gamma(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a market object as Gamma spells it; its event is the tens of its number."""
    tens = number // 10
    return {
        "id": str(number),
        "question": f"Will the price of Bitcoin be above ${number},000 on March 12?",
        "conditionId": f"0x{number:064x}",
        "slug": f"market-{number}",
        "endDate": "2026-03-12T16:00:00Z",
        "startDate": "2026-03-05T17:03:08.66907Z",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.63", "0.37"]',
        "active": True,
        "closed": False,
        "archived": False,
        "groupItemTitle": f"{number},000",
        "groupItemThreshold": "0",
        "questionID": f"0x{'ab' * 31}{number % 10:02x}",
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5,
        "clobTokenIds": f'["{(number << 120) + 1}", "{(number << 120) + 2}"]',
        "acceptingOrders": True,
        "negRisk": False,
        "feesEnabled": False,
        "feeType": None,
        "events": [
            {"id": str(tens), "slug": f"event-{tens}", "title": "An event", "negRisk": False}
        ],
        **changes,
    }


def neg_risk(number: int, event: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    flags = {"negRisk": True, "enableNegRisk": True, "negRiskAugmented": False}
    page = {"id": str(number // 10), "slug": "e", "title": "E", **flags, **(event or {})}
    return gamma(number, negRisk=True, events=[page], **changes)


def load(*objects: Any) -> tuple[Catalog, Counter[str]]:
    return from_gamma(json.dumps(each) for each in objects)


def only(*objects: Any) -> Event:
    catalog, skipped = load(*objects)
    assert not skipped
    (event,) = catalog.events
    return event


def test_a_market_is_read_member_by_member() -> None:
    schedule = {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2}
    event = only(
        gamma(
            7,
            feesEnabled=True,
            feeType="crypto_fees_v2",
            feeSchedule=schedule,
            secondsDelay=3,
            gameStartTime="2026-03-12 00:00:00+00",
            description="Why not.",
        )
    )
    (market,) = event.markets
    assert event.structure is Structure.BINARY
    assert (event.id, event.slug, event.title) == ("0", "event-0", "An event")
    assert market.tokens == (str((7 << 120) + 1), str((7 << 120) + 2))
    assert (market.tick_e4, market.min_size_e6, market.seconds_delay) == (10, 5_000_000, 3)
    assert market.fee is not None
    assert (market.fee.rate_e6, market.fee.exponent) == (70_000, 1)
    assert (market.fee.kind, market.fee.rebate_e6) == ("crypto_fees_v2", 200_000)
    assert market.end_ms == 1_773_331_200_000
    assert market.game_start_ms == 1_773_273_600_000
    assert market.accepting
    assert event.initial == (0.63,)


def test_lists_may_be_lists_and_numbers_may_be_text() -> None:
    event = only(
        gamma(outcomes=["Up", "Down"], orderPriceMinTickSize="0.01", clobTokenIds=["5", "6"], id=9)
    )
    assert event.markets[0].outcomes == ("Up", "Down")
    assert event.markets[0].tick_e4 == 100
    assert event.markets[0].gamma_id == "9"


def test_a_tick_that_is_not_told_is_a_cent() -> None:
    told = gamma(orderPriceMinTickSize=None)
    assert only(told).markets[0].tick_e4 == 100
    del told["orderPriceMinTickSize"]
    assert only(told).markets[0].tick_e4 == 100


def test_position_ids_make_a_v3_market() -> None:
    condition = "0x01" + "cd" * 16 + "00" * 14
    market = only(
        gamma(
            version="v2",
            conditionId=condition,
            clobTokenIds=None,
            positionIds=json.dumps([str(int(condition + end, 16)) for end in ("00", "01")]),
        )
    ).markets[0]
    assert market.v3
    assert market.condition_id == condition


@pytest.mark.parametrize(
    ("kind", "exponent", "rate_e6"),
    [("crypto_fees", 2, 250_000), ("crypto_15_min", 2, 250_000), ("sports_fees", 1, 30_000)],
)
def test_fees_of_early_2026_follow_from_their_type(kind: str, exponent: int, rate_e6: int) -> None:
    fee = only(gamma(feesEnabled=True, feeType=kind)).markets[0].fee
    assert fee is not None
    assert (fee.exponent, fee.rate_e6) == (exponent, rate_e6)


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("no condition id", {"conditionId": ""}),
        ("no condition id", {"conditionId": "0x12"}),
        ("no two tokens", {"clobTokenIds": ""}),
        ("no two tokens", {"clobTokenIds": '["1"]'}),
        ("no two tokens", {"clobTokenIds": '["1", "1"]'}),
        ("no two tokens", {"clobTokenIds": '["1", ""]'}),
        ("no two outcomes", {"outcomes": '["A", "B", "C"]'}),
        ("no order book", {"enableOrderBook": False}),
        ("archived", {"archived": True}),
        ("unknown tick or minimum size", {"orderPriceMinTickSize": 0.002}),
        ("unknown fee schedule", {"feesEnabled": True, "feeType": "moon_fees"}),
        ("unknown fee schedule", {"feesEnabled": True, "feeSchedule": {"rate": 1, "exponent": 9}}),
        ("no question id", {"negRisk": True, "questionID": ""}),
        ("no id", {"id": None}),
        ("closed without a result", {"closed": True}),
    ],
)
def test_what_cannot_trade_is_counted_by_its_reason(reason: str, changes: dict[str, Any]) -> None:
    catalog, skipped = load(gamma(11, **changes), gamma(22))
    assert skipped == {reason: 1}
    assert [event.id for event in catalog.events] == ["2"]


def test_lines_that_are_no_markets_are_counted() -> None:
    catalog, skipped = from_gamma(["{", "", "5", b"\xff", json.dumps([gamma(), None]), "[" * 10**5])
    assert len(catalog.markets) == 1
    assert skipped == {"not JSON": 3, "no object": 2}


def test_the_second_market_with_the_same_tokens_is_left_out() -> None:
    catalog, skipped = load(gamma(1), gamma(1), gamma(2, clobTokenIds=gamma(1)["clobTokenIds"]))
    assert skipped == {"twice": 2}
    assert len(catalog.markets) == 1


def test_no_member_of_any_form_breaks_it() -> None:
    whole = neg_risk(1, feesEnabled=True, feeSchedule={"rate": 0.1, "exponent": 1}, version="v1")
    for name in whole:
        for value in HOSTILE:
            load(whole | {name: value}, {"markets": [value, whole], name: value})
    for name in whole["events"][0]:
        for value in HOSTILE:
            load(whole | {"events": [whole["events"][0] | {name: value}]})
    for name in whole["feeSchedule"]:
        for value in HOSTILE:
            load(whole | {"feeSchedule": whole["feeSchedule"] | {name: value}})


# Structures


def test_a_neg_risk_event_is_ordered_by_index_and_its_prices_add_up() -> None:
    prices = {2: "0.6", 0: "0.3", 5: "0.3"}
    event = only(*(neg_risk(n, outcomePrices=f'["{p}", "0.5"]') for n, p in prices.items()))
    assert event.structure is Structure.NEGRISK
    assert [market.index for market in event.markets] == [0, 2, 5]
    assert event.neg_risk_id == f"0x{'ab' * 31}00"
    assert event.initial == pytest.approx((0.25, 0.5, 0.25))


def test_an_augmented_event_knows_its_placeholders() -> None:
    titles = ("Ann", "Person A", "Candidate BB", "Other", "Another Person")
    event = only(
        *(
            neg_risk(number, {"negRiskAugmented": True}, groupItemTitle=title)
            for number, title in enumerate(titles)
        )
    )
    assert event.structure is Structure.AUGMENTED
    assert [market.placeholder for market in event.markets] == [False, True, True, True, False]


def test_a_market_of_another_neg_risk_group_is_left_out() -> None:
    other = f"0x{'cd' * 31}00"
    catalog, skipped = load(neg_risk(0), neg_risk(1), neg_risk(2, questionID=other), gamma(3))
    assert skipped == {"outside its neg-risk group": 2}
    assert [market.index for market in catalog.events[0].markets] == [0, 1]


def test_a_threshold_ladder_is_recognised_and_its_prices_fall() -> None:
    event = only(
        *(gamma(n, outcomePrices=f'["{p}", "0"]') for n, p in ((3, 0.2), (1, 0.9), (2, 0.1)))
    )
    assert event.structure is Structure.LADDER
    assert [market.bounds for market in event.markets] == [
        (100_000 * number, None) for number in (1, 2, 3)
    ]
    assert event.initial == (0.9, 0.1, 0.1)


def test_a_date_ladder_is_recognised_and_its_prices_rise() -> None:
    days = {"June 30, 2026": 0.3, "March 31": 0.4, " December 31, 2026 ": 0.5}
    event = only(
        *(
            gamma(
                number,
                question=f"Will Arc launch a token by {day.strip().replace(',', '')}?",
                groupItemTitle=day,
                outcomePrices=json.dumps([str(price), "0"]),
                events=[{"id": "1", "endDate": "2026-12-31T00:00:00Z"}],
            )
            for number, (day, price) in enumerate(days.items())
        )
    )
    assert event.structure is Structure.DATES
    assert [market.bounds and market.bounds[1] for market in event.markets] == [
        1_774_915_200_000,
        1_782_777_600_000,
        1_798_675_200_000,
    ]
    assert event.initial == (0.4, 0.4, 0.5)


@pytest.mark.parametrize(
    "titles", [("↑ 3,000", "↓ 1,000"), ("O/U 1.5", "O/U 2.5"), ("1,000", "1,000"), ("", "")]
)
def test_anything_less_plain_is_mixed(titles: tuple[str, str]) -> None:
    event = only(
        *(
            gamma(number, groupItemTitle=title, question=f"Will it be above {title} then?")
            for number, title in enumerate(titles)
        )
    )
    assert event.structure is Structure.MIXED
    assert all(market.bounds is None for market in event.markets)


def test_prices_come_from_a_narrow_book_then_from_what_is_shown_then_from_nowhere() -> None:
    def first(**changes: Any) -> tuple[float, ...]:
        told = gamma(**changes)
        return only({name: value for name, value in told.items() if value is not None}).initial

    assert first(bestBid=0.4, bestAsk=0.44) == (0.42,)
    assert first(bestBid=0.1, bestAsk=0.9) == (0.63,)
    assert first(bestAsk=0.9) == (0.63,)
    assert first(outcomePrices=None) == ()
    assert only(gamma(1, outcomePrices=""), gamma(2)).initial == (0.5, 0.5)


def test_a_settled_market_has_its_winner() -> None:
    for prices, winner in (('["1", "0"]', 0), ('["0", "1"]', 1), ('["0.5", "0.5"]', 2)):
        (market,) = only(gamma(closed=True, outcomePrices=prices)).markets
        assert (market.winner, market.closed, market.active, market.accepting) == (
            *(winner, True),
            *(False, False),
        )


def test_settled_markets_of_an_open_event_are_left_out() -> None:
    """An event resolves as a whole here: what is left of a neg-risk one still has one winner."""
    lost = neg_risk(0, closed=True, outcomePrices='["0", "1"]')
    catalog, skipped = load(lost, neg_risk(1), neg_risk(2))
    assert skipped == {"closed in an open event": 1}
    assert [market.index for market in catalog.events[0].markets] == [1, 2]


# Files


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_plain_or_gz_a_line_each_or_one_text(
    tmp_path: Path, zipped: bool, pretty: bool
) -> None:
    event = {"id": "4", "slug": "e", "title": "E", "markets": [gamma(1), gamma(2)]}
    text = json.dumps(event, indent=1) if pretty else "\n".join(map(json.dumps, event["markets"]))
    path = tmp_path / ("told.json.gz" if zipped else "told.json")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    catalog, skipped = from_gamma(read(path))
    assert (len(catalog.markets), skipped) == (2, {})


# Books


def book(catalog: Catalog, outcome: int = 0, **changes: Any) -> dict[str, Any]:
    market = next(iter(catalog.markets.values()))
    return {
        "market": market.condition_id,
        "asset_id": market.tokens[outcome],
        "timestamp": "1773265309000",
        "bids": [{"price": "0.4", "size": "30"}, {"price": "0.41", "size": "12.345678"}],
        "asks": [{"price": "0.99", "size": "1000000"}, {"price": "0.42", "size": "5.5"}],
        "tick_size": "0.01",
        "last_trade_price": "0.390",
        **changes,
    }


def venue_of(*objects: Any) -> Venue:
    return Venue(VenueConfig(), load(*objects)[0], audit=True)


@pytest.mark.parametrize("outcome", [0, 1])
def test_a_captured_book_reads_back(outcome: int) -> None:
    venue = venue_of(gamma())
    told = book(venue.catalog, outcome)
    assert load_books(venue, [json.dumps([told])]) == {"books": 1, "levels": 4}
    (market,) = venue.catalog.markets.values()
    answer = json.loads(venue.feeds.page(market).rest(outcome))
    assert {name: answer[name] for name in told} == told
    assert market.tick_e4 == 100
    venue.check()


def test_books_that_cannot_be_used_are_counted() -> None:
    venue = venue_of(gamma(1), gamma(20, closed=True, outcomePrices='["1", "0"]'))
    settled = list(venue.catalog.markets.values())[1]
    told = book(venue.catalog)
    levels = [
        *([None], {"price": "1", "size": "5"}, {"price": "0", "size": "5"}, {"price": "0.3"}),
        *({"price": "0.3", "size": "-1"}, {"price": "0.5", "size": "9"}),
    ]
    counts = load_books(
        venue,
        [
            "no",
            "[1, null, [[]]]",
            json.dumps(told | {"asset_id": "5"}),
            json.dumps(told | {"asset_id": settled.tokens[0]}),
            json.dumps(told | {"bids": levels, "timestamp": None, "tick_size": 7}),
            json.dumps({"books": [told]}),
        ],
    )
    skipped = {"unknown token": 1, "closed": 1, "again": 1, "unusable level": 5}
    assert counts == {"books": 1, "levels": 2, "crossed level": 1, **skipped}
    venue.check()


# Recordings


@pytest.fixture(scope="module")
def active() -> tuple[Catalog, Counter[str]]:
    """Return the large recording, loaded once."""
    return from_gamma(read(captures(ACTIVE)))


def test_the_active_catalogue_of_2026_03_11_loads(active: tuple[Catalog, Counter[str]]) -> None:
    catalog, skipped = active
    assert skipped == {"no order book": 40}
    assert len(catalog.markets) == 19_842 - 40
    assert len(catalog.events) == 4_588
    by_slug = {event.slug: event for event in catalog.events}
    for slug, structure in {
        "bitcoin-above-on-march-12": Structure.LADDER,
        "us-x-iran-ceasefire-by": Structure.DATES,
        "what-price-will-bitcoin-hit-on-march-11": Structure.MIXED,
        "fed-decision-in-march-885": Structure.NEGRISK,
        "democratic-presidential-nominee-2028": Structure.AUGMENTED,
    }.items():
        assert by_slug[slug].structure is structure
    for event in catalog.events:
        if event.neg_risk:
            assert sum(event.initial) == pytest.approx(1)


def test_the_settled_markets_of_2026_07_24_load() -> None:
    path = captures("gamma/btc-5m-markets_2026-07-24_settled.jsonl.gz")
    catalog, skipped = from_gamma(read(path))
    winners = Counter(market.winner for market in catalog.markets.values())
    assert not skipped
    assert (winners[0] + winners[1], len(catalog.markets)) == (292, 292)
    assert {str(m.fee and m.fee.kind) for m in catalog.markets.values()} == {"crypto_fees_v2"}


def test_single_objects_load() -> None:
    catalog, skipped = from_gamma(read(captures("gamma/singles.jsonl")))
    assert (len(catalog.markets), skipped) == (5, {})


def test_a_whole_event_and_its_books_read_back_to_the_last_digit() -> None:
    """Timestamps, hashes and all."""
    catalog, skipped = from_gamma(read(captures(FED)))
    assert (len(catalog.markets), skipped) == (5, {})
    venue = Venue(VenueConfig(), catalog)
    path = captures("rest/fed-decision-june-2026_clob-books.json")
    assert load_books(venue, read(path)) == {"books": 5, "levels": 605, "again": 5}
    for told in json.loads(path.read_text()):
        market, outcome = venue.catalog.tokens[told["asset_id"]]
        assert json.loads(venue.feeds.page(market).rest(outcome)) == told
    venue.check()


def test_captured_books_find_their_markets(active: tuple[Catalog, Counter[str]]) -> None:
    venue = Venue(VenueConfig(), active[0])
    counts = load_books(venue, read(captures("rest/books_2026-03-11T214149Z.jsonl.gz")))
    assert (counts["books"], counts["unusable level"], counts["crossed level"]) == (3, 0, 0)
    venue.check()
