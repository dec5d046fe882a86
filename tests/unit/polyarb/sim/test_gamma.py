"""Discovery over the wire: Gamma's pages and objects, and the CLOB's market objects."""

import json
from typing import Any

import pytest
from conftest import captures
from simclient import SECOND, Client

from polyarb.sim.catalog import Catalog, Structure
from polyarb.sim.config import VenueConfig
from polyarb.sim.http import Request, Response
from polyarb.sim.recorded import from_gamma, load_books, read
from polyarb.sim.router import dispatch
from polyarb.sim.universe import generate, next_updown
from polyarb.sim.venue import Venue

FED = "rest/fed-decision-june-2026_{}.json"


class Reader:
    """A venue of generated events, and unsigned reads of it."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.venue = Venue(VenueConfig(ip_limits=False), catalog or generate(1))
        self.catalog = self.venue.catalog
        self.markets = list(self.catalog.markets.values())

    def ask(self, path: str, **query: Any) -> Response:
        answers: list[Response] = []
        told = {
            name: [str(each) for each in (value if isinstance(value, list) else [value])]
            for name, value in query.items()
        }
        request = Request(method="GET", path=path, query=told, reply=answers.append)
        dispatch(self.venue, request)
        return answers[0]

    def get(self, path: str, **query: Any) -> Any:
        response = self.ask(path, **query)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def refused(self, path: str, **query: Any) -> int:
        response = self.ask(path, **query)
        assert json.loads(response.body)["error"]
        return response.status

    def ids(self, **query: Any) -> list[str]:
        return [
            each["id"] for each in self.get("/gamma/markets/keyset", limit=100, **query)["markets"]
        ]

    def event_ids(self, **query: Any) -> list[str]:
        return [
            each["id"] for each in self.get("/gamma/events/keyset", limit=100, **query)["events"]
        ]

    def walk(self, path: str, name: str, **query: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = self.get(path, **query)
            found += [each["id"] for each in page[name]]
            if "next_cursor" not in page:
                return found
            query["after_cursor"] = page["next_cursor"]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


# Pages


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_hold_everything_once_in_the_order_of_the_catalogue(
    reader: Reader, limit: int
) -> None:
    assert reader.walk("/markets/keyset", "markets", limit=limit) == [
        market.gamma_id for market in reader.markets
    ]
    assert reader.walk("/gamma/events/keyset", "events", limit=limit) == [
        event.id for event in reader.catalog.events
    ]


def test_an_event_embeds_its_markets_and_a_market_its_event(reader: Reader) -> None:
    (event,) = reader.get("/gamma/events/keyset", limit=1, id=reader.catalog.events[2].id)["events"]
    assert [market["id"] for market in event["markets"]] == [
        market.gamma_id for market in reader.catalog.events[2].markets
    ]
    assert "events" not in event["markets"][0]
    (market,) = reader.get("/gamma/markets", limit=1, id=event["markets"][0]["id"])
    assert [page["id"] for page in market["events"]] == [event["id"]]
    assert "markets" not in market["events"][0]
    assert {name: market[name] for name in event["markets"][0]} == event["markets"][0]


@pytest.mark.parametrize("name", ["markets", "events"])
def test_pages_have_100_rows_at_most_and_know_no_offset(name: str) -> None:
    reader = Reader(generate(1, 500))
    page = reader.get(f"/gamma/{name}/keyset", limit=5000)
    assert len(page[name]) == 100
    assert page["next_cursor"]
    assert reader.refused(f"/{name}/keyset", offset=0) == 422


@pytest.mark.parametrize("cursor", ["x", "MTIz", "LTE=", "é", "MA=="])
def test_an_unknown_cursor_is_refused(reader: Reader, cursor: str) -> None:
    assert reader.refused("/markets/keyset", after_cursor=cursor) == 422


def test_a_cursor_stays_good_while_markets_come_and_go() -> None:
    reader = Reader()
    first = reader.get("/gamma/events/keyset", limit=5)
    for event in reader.catalog.events[4:6]:
        winners = [0] + [1] * (len(event.markets) - 1)
        reader.venue.resolve(event, winners)
    reader.venue.add_event(next_updown(1, reader.venue.now_ns + 300 * SECOND))
    rest = reader.walk("/gamma/events/keyset", "events", limit=9, after_cursor=first["next_cursor"])
    assert rest == [event.id for event in reader.catalog.events[6:]]


def test_older_lists_take_an_offset_up_to_2000(reader: Reader) -> None:
    ids = [market.gamma_id for market in reader.markets]
    assert [m["id"] for m in reader.get("/gamma/markets", limit=10, offset=5)] == ids[5:15]
    assert [m["id"] for m in reader.get("/markets", limit=3, offset=70)] == ids[70:73]
    assert len(reader.get("/events")) == 20
    assert reader.get("/gamma/events", offset=2000) == []
    assert reader.refused("/gamma/events", offset=2001) == 422
    assert reader.refused("/gamma/events", limit="many") == 422


def test_without_gammas_parameters_markets_are_the_clobs(reader: Reader) -> None:
    page = reader.get("/markets")
    assert (page["limit"], page["count"], page["next_cursor"]) == (500, 74, "LTE=")
    assert reader.get("/markets", next_cursor="MA==") == page
    assert reader.get("/simplified-markets")["count"] == 74


# Filters


def test_lists_of_ids_tokens_and_slugs_really_filter(reader: Reader) -> None:
    one, two = reader.markets[4], reader.markets[9]
    v3 = next(market for market in reader.markets if market.v3)
    both = [one.gamma_id, two.gamma_id]
    assert reader.ids(id=both) == both
    assert reader.ids(slug=[one.slug, two.slug]) == both
    assert reader.ids(condition_ids=[one.condition_id, two.condition_id]) == both
    assert reader.ids(clob_token_ids=[one.tokens[1], two.tokens[0], "5"]) == both
    assert reader.ids(question_ids=one.question_id) == [one.gamma_id]
    assert reader.ids(position_ids=v3.tokens[1]) == [v3.gamma_id]
    assert reader.ids(clob_token_ids=v3.tokens[1]) == []
    assert reader.ids(condition_ids=f"{v3.condition_id}00") == [v3.gamma_id]
    assert reader.ids(condition_ids="0x12") == []
    assert reader.ids(id=one.gamma_id, slug=two.slug) == []
    assert reader.ids(game_id="7") == []


def test_versions_tags_and_slugs_filter_events(reader: Reader) -> None:
    v2 = [event.id for event in reader.catalog.events if event.markets[0].v3]
    assert len(v2) == 2
    assert reader.event_ids(version="v2") == v2
    assert len(reader.event_ids(version=["v1", "v2"])) == 24
    sports = [event.id for event in reader.catalog.events if "Games" in event.tags]
    assert reader.event_ids(tag_slug="games") == sports
    tag = next(
        tag["id"] for tag in reader.get(f"/events/{sports[0]}")["tags"] if tag["label"] == "Games"
    )
    assert reader.event_ids(tag_id=tag) == sports
    assert set(reader.ids(tag_id=tag)) == {
        market.gamma_id
        for event in reader.catalog.events
        if event.id in sports
        for market in event.markets
    }
    assert reader.event_ids(series_id=1) == []


def test_switches_that_nothing_here_has_find_nothing(reader: Reader) -> None:
    assert reader.event_ids(live="true") == []
    assert reader.event_ids(featured="true") == []
    assert reader.ids(archived="true") == []
    assert len(reader.ids(archived="false", active="true")) == 73
    assert len(reader.ids(active="false")) == 1
    assert reader.refused("/markets/keyset", closed="maybe") == 422


def test_closed_markets_appear_only_when_asked_for() -> None:
    reader = Reader()
    event = reader.catalog.events[2]
    gone = [market.gamma_id for market in event.markets]
    reader.venue.resolve(event, [1, 0, 1, 1])
    assert not set(gone) & set(reader.ids())
    assert reader.ids(closed="true") == gone
    assert reader.event_ids(closed="true") == [event.id]
    market = reader.get(f"/gamma/markets/{gone[1]}")
    assert (market["closed"], market["umaResolutionStatus"]) == (True, "resolved")
    assert json.loads(market["outcomePrices"]) == ["1", "0"]


def test_dates_bound_and_order_the_rows(reader: Reader) -> None:
    ends = sorted(market.end_ms for market in reader.markets)
    day = "2026-12-31T00:00:00Z"
    late = reader.ids(end_date_min=day)
    assert late
    assert set(late).isdisjoint(reader.ids(end_date_max="2026-12-30"))
    ordered = reader.walk("/markets/keyset", "markets", limit=10, order="endDate")
    by_id = {market.gamma_id: market.end_ms for market in reader.markets}
    assert [by_id[each] for each in ordered] == ends
    falling = reader.walk("/markets/keyset", "markets", order="end_date", ascending="false")
    assert [by_id[each] for each in falling] == ends[::-1]
    assert reader.ids(ascending="false") == reader.ids()[::-1]
    assert reader.refused("/markets/keyset", order="beauty") == 422
    assert reader.refused("/events/keyset", end_date_min="soon") == 422
    assert reader.refused("/markets/keyset", volume_num_min="x") == 422


def test_volume_and_liquidity_bound_and_order_the_rows() -> None:
    reader = Reader()
    market, other = reader.markets[3], reader.markets[8]
    client = Client(reader.venue)
    client.place(other.tokens[0], "BUY", "0.4", "10")
    client.place(market.tokens[0], "BUY", "0.3", "100")
    client.place(market.tokens[1], "BUY", "0.7", "40")
    assert reader.ids(volume_num_min="0.01") == [market.gamma_id]
    assert set(reader.ids(liquidity_num_min=4)) == {market.gamma_id, other.gamma_id}
    assert reader.ids(order="liquidityNum", ascending="false")[:2] == [
        market.gamma_id,
        other.gamma_id,
    ]
    assert reader.event_ids(volume_min=1) == [market.event.id]
    found = reader.get(f"/gamma/markets/{market.gamma_id}")
    assert (found["volume"], found["volumeNum"]) == ("28", 28)
    assert (found["liquidity"], found["liquidityNum"]) == ("18", 18)
    assert found["lastTradePrice"] == 0.3


# Single objects


def test_single_objects_are_found_by_id_and_by_slug(reader: Reader) -> None:
    market, event = reader.markets[6], reader.catalog.events[3]
    for path in (
        f"/gamma/markets/{market.gamma_id}",
        f"/markets/{market.gamma_id}",
        f"/gamma/markets/slug/{market.slug}",
        f"/markets/slug/{market.slug}",
    ):
        assert reader.get(path)["conditionId"] == market.condition_id
    for path in (f"/gamma/events/{event.id}", f"/events/slug/{event.slug}"):
        assert reader.get(path)["slug"] == event.slug
    assert reader.get(f"/markets/slug/{market.slug}", include_tag="true")["tags"]
    assert reader.refused("/gamma/markets/1") == 404
    assert reader.refused("/markets/1") == 404
    assert reader.refused("/gamma/markets/slug/none") == 404
    assert reader.refused("/gamma/events/none") == 404


def test_arrays_are_text_and_prices_come_from_the_book() -> None:
    reader = Reader()
    market = reader.markets[7]

    def seen() -> dict[str, Any]:
        found: dict[str, Any] = reader.get(f"/gamma/markets/{market.gamma_id}")
        return found

    empty = seen()
    assert empty["outcomes"] == '["Yes", "No"]'
    assert json.loads(empty["clobTokenIds"]) == list(market.tokens)
    assert "bestBid" not in empty
    assert "lastTradePrice" not in empty
    assert (empty["bestAsk"], empty["spread"]) == (1, 1)
    client = Client(reader.venue)
    client.place(market.tokens[0], "BUY", "0.031", "50")
    client.place(market.tokens[1], "BUY", "0.96", "50")
    full = seen()
    assert (full["bestBid"], full["bestAsk"], full["spread"]) == (0.031, 0.04, 0.009)
    assert full["outcomePrices"] == '["0.0355", "0.9645"]'


def test_fees_delays_and_groups_appear_where_they_are(reader: Reader) -> None:
    free = next(market for market in reader.markets if market.fee is None)
    found = reader.get(f"/gamma/markets/{free.gamma_id}")
    assert (found["feesEnabled"], found["feeType"]) == (False, None)
    assert not {"feeSchedule", "takerBaseFee", "secondsDelay", "gameStartTime"} & found.keys()
    game = next(market for market in reader.markets if market.seconds_delay == 3)
    found = reader.get(f"/gamma/markets/{game.gamma_id}")
    assert (found["secondsDelay"], found["gameStartTime"]) == (3, "2026-11-21 15:00:00+00")
    assert found["negRiskMarketID"] == game.event.neg_risk_id
    assert found["feeSchedule"] == {
        "exponent": 1,
        "rate": 0.05,
        "takerOnly": True,
        "rebateRate": 0.15,
    }
    (event,) = [e for e in reader.catalog.events if e.structure is Structure.AUGMENTED]
    found = reader.get(f"/gamma/events/{event.id}")
    assert found["enableNegRisk"]
    assert found["negRiskAugmented"]
    assert found["negRiskFeeBips"] == 0
    assert [m["negRiskOther"] for m in found["markets"]] == [False] * 6 + [True]
    assert [m["acceptingOrders"] for m in found["markets"]] == [True] * 5 + [False, True]


def test_a_v3_market_gives_position_ids(reader: Reader) -> None:
    one, two = [market for market in reader.markets if market.v3 and market.neg_risk][:2]
    found = reader.get(f"/gamma/markets/{one.gamma_id}")
    assert (found["version"], found["clobTokenIds"]) == ("v2", None)
    assert json.loads(found["positionIds"]) == list(one.tokens)
    other = reader.get(f"/gamma/markets/{two.gamma_id}")
    assert found["onchainEventId"] == other["onchainEventId"]
    assert found["requestId"] != other["requestId"]
    assert len(found["requestId"]) == len(found["onchainEventId"]) == 66


def test_geoblock_blocks_nobody(reader: Reader) -> None:
    assert reader.get("/api/geoblock")["blocked"] is False


# The CLOB's objects


def test_compact_parameters_leave_out_what_is_off(reader: Reader) -> None:
    by = {
        "sports": next(m for m in reader.markets if m.seconds_delay and m.neg_risk),
        "crypto": next(m for m in reader.markets if m.taker_delay),
        "world": next(m for m in reader.markets if m.fee is None and m.tick_e4 == 1),
    }
    found = {name: reader.get(f"/clob-markets/{m.condition_id}") for name, m in by.items()}
    assert found["crypto"]["fd"] == {"r": 0.07, "e": 1, "to": True}
    assert found["crypto"]["itode"] is True
    assert (found["sports"]["nr"], found["sports"]["sd"]) == (True, 3)
    assert found["sports"]["gst"] == "2026-11-21T15:00:00Z"
    assert (found["world"]["mts"], found["world"]["mos"]) == (0.0001, 5)
    assert not {"fd", "nr", "sd", "gst", "itode", "mbf"} & found["world"].keys()


def test_market_objects_tell_price_and_winner() -> None:
    reader = Reader()
    event = reader.catalog.events[2]
    reader.venue.resolve(event, [1, 1, 0, 1])
    told = reader.get(f"/markets/{event.markets[2].condition_id}")
    assert [(t["outcome"], t["price"], t["winner"]) for t in told["tokens"]] == [
        ("Yes", 1, True),
        ("No", 0, False),
    ]
    assert told["neg_risk_market_id"] == event.neg_risk_id
    assert reader.refused("/markets/0x12") == 404


# Against recordings and the official client


def like(told: object, ours: object, where: str) -> None:
    """Hold the types of two JSON values together; the venue itself mixes whole and broken."""
    if isinstance(told, int | float) and not isinstance(told, bool):
        assert isinstance(ours, int | float), where
        assert not isinstance(ours, bool), where
    elif told is not None and ours is not None:
        assert type(told) is type(ours), where


def test_objects_have_the_members_of_recorded_ones() -> None:
    told = json.loads(captures(FED.format("gamma-event")).read_text())
    reader = Reader(from_gamma(read(captures(FED.format("gamma-event"))))[0])
    load_books(reader.venue, read(captures(FED.format("clob-books"))))
    ours = reader.get(f"/gamma/events/{told['id']}")
    unknown = {
        *("image", "icon", "deployingTimestamp", "umaBond", "umaReward", "customLiveness"),
        *("oneDayPriceChange", "oneWeekPriceChange", "oneMonthPriceChange", "showGmpSeries"),
        *("showGmpOutcome", "lastTradePrice", "competitive", "seriesSlug", "gmpChartMode"),
        *("estimateValue", "cumulativeMarkets", "eventMetadata", "oneHourPriceChange"),
        "seriesColor",
    }
    assert told.keys() - ours.keys() <= unknown
    assert len(told["markets"]) == len(ours["markets"]) == 5
    for mine in ours["markets"]:
        market = next(each for each in told["markets"] if each["id"] == mine["id"])
        assert market.keys() - mine.keys() <= unknown
        for name in market.keys() & mine.keys():
            like(market[name], mine[name], name)
        for name in (
            *("question", "conditionId", "slug", "questionID", "clobTokenIds", "outcomes"),
            *("outcomePrices", "bestBid", "bestAsk", "spread", "groupItemTitle", "feeSchedule"),
            *("endDateIso", "orderPriceMinTickSize", "orderMinSize", "negRiskMarketID", "feeType"),
        ):
            assert market.get(name) == mine.get(name), name
    for name in told.keys() & ours.keys():
        like(told[name], ours[name], name)


def test_compact_parameters_are_the_recorded_ones() -> None:
    reader = Reader(from_gamma(read(captures(FED.format("gamma-event"))))[0])
    for told in json.loads(captures(FED.format("clob-markets")).read_text()):
        ours = reader.get(f"/clob-markets/{told['c']}")
        for name in told.keys() - {"r", "aot"}:
            assert told[name] == ours[name], name
        assert ours.keys() == told.keys()
        assert ours["r"].keys() == told["r"].keys()
        assert ours["aot"][:16] == told["aot"][:16]


def test_market_objects_have_the_members_of_recorded_ones(reader: Reader) -> None:
    path = captures("rest/clob-markets-page_2024.json.gz")
    told = json.loads(b"".join(read(path)))["data"][0]
    ours = reader.get("/markets")["data"][0]
    assert ours.keys() == told.keys()
    for name, value in told.items():
        like(value, ours[name], name)
    assert ours["tokens"][0].keys() == told["tokens"][0].keys()


def test_the_official_client_reads_every_object(reader: Reader) -> None:
    models = pytest.importorskip("polymarket.models")
    for event in reader.get("/gamma/events", limit=500):
        read_event = models.Event.parse_response(event)
        assert len(read_event.markets) == len(event["markets"])
    for market in reader.get("/gamma/markets", limit=500, include_tag="true"):
        read_market = models.Market.parse_response(market)
        assert read_market.state.neg_risk is market["negRisk"]
