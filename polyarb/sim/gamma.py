"""
What can be found and how: Gamma's lists and objects, and the CLOB's market objects.

Gamma is spelt as recorded: arrays inside strings, volume once as text and once as a number, no
``bestBid`` where there is none (protocol.md sections 15 and 25).
"""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polyarb.sim import data_api, wire
from polyarb.sim.catalog import Event, Market, Structure
from polyarb.sim.decimals import ONE_E4, ONE_E6, size, text
from polyarb.sim.http import HttpError, Request, Response, ok

if TYPE_CHECKING:
    from polyarb.sim.http import Handler
    from polyarb.sim.venue import Venue

PAGE_MAX: Final = 100
LIST_MAX: Final = 500
OFFSET_MAX: Final = 2_000
"""How far the older lists reach."""

REWARDS: Final = {"min_size": 50, "max_spread": 4.5}
CREATOR: Final = "0x91430CaD2d3975766499717fA0D66A78D814E5c5"
RESOLVER: Final = "0x65070BE91477460D8A7AeEb94ef92fe056C2f2A7"

_T = TypeVar("_T", Market, Event)


def number(units: int, decimals: int) -> int | float:
    """Return a JSON number: whole ones without a point, as recorded."""
    scale: int = 10**decimals
    return units // scale if units % scale == 0 else units / scale


def iso(ms: int) -> str:
    """Return a moment as the venue writes it: ``2026-03-12T16:00:00Z``."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


# -- prices


def touch(venue: "Venue", market: Market) -> tuple[int | None, int | None]:
    """Return the best bid and ask of YES."""
    book = venue.book(market)
    return book.best(True), book.best(False)


def yes_e5(venue: "Venue", market: Market) -> int:
    """Return the price of YES x 10^5: the middle of the book, after resolution what it pays."""
    if market.winner is not None:
        return (100_000, 0, 50_000)[market.winner]
    bid, ask = touch(venue, market)
    return ((bid or 0) + (ONE_E4 if ask is None else ask)) * 5


def _liquidity_e6(venue: "Venue", market: Market) -> int:
    """Return the collateral behind everything that rests on the book."""
    book = venue.book(market)
    return sum(
        price * shares // ONE_E4
        for bid, outcome in ((True, 0), (True, 1))
        for price, shares in book.depth(bid, outcome)
    )


def _volumes_e6(venue: "Venue") -> Counter[str]:
    """Return what changed hands in each market, by condition id."""
    return Counter({condition: book.volume_e6 for condition, book in venue.books.items()})


# -- the CLOB's market objects


def clob_market(venue: "Venue", market: Market) -> dict[str, Any]:
    """Return the compact parameters of ``/clob-markets/{condition}``."""
    found: dict[str, Any] = {
        "r": {"mi": REWARDS["min_size"], "ma": REWARDS["max_spread"], "moas": 4},
        "t": [
            {"t": token, "o": outcome}
            for token, outcome in zip(market.tokens, market.outcomes, strict=True)
        ],
        "c": market.condition_id,
        "mos": number(market.min_size_e6, 6),
        "mts": market.tick_e4 / ONE_E4,
        **({"mbf": 1000, "tbf": 1000} if market.fee else {}),
        "ao": market.accepting,
        **({"nr": True} if market.neg_risk else {}),
        "cbos": True,
        "aot": iso(market.start_ms),
        "ibce": True,
    }
    if market.fee:
        rate = market.fee.rate_e6 / ONE_E6
        found["fd"] = {"r": rate, "e": market.fee.exponent, "to": True}
    if market.seconds_delay:
        found["sd"] = market.seconds_delay
    if market.taker_delay:
        found["itode"] = True
    if market.game_start_ms is not None:
        found["gst"] = iso(market.game_start_ms)
    return found


def market_object(venue: "Venue", market: Market) -> dict[str, Any]:
    """Return a market as the CLOB's ``/markets`` gives it."""
    event = market.event
    fee = 1000 if market.fee else 0
    starts = market.game_start_ms
    return {
        "enable_order_book": not market.closed,
        "active": market.active,
        "closed": market.closed,
        "archived": False,
        "accepting_orders": market.accepting,
        "accepting_order_timestamp": iso(market.start_ms),
        "minimum_order_size": number(market.min_size_e6, 6),
        "minimum_tick_size": market.tick_e4 / ONE_E4,
        "condition_id": market.condition_id,
        "question_id": market.question_id,
        "question": market.question,
        "description": market.description,
        "market_slug": market.slug,
        "end_date_iso": iso(market.end_ms) if market.end_ms else None,
        "game_start_time": None if starts is None else iso(starts),
        "seconds_delay": market.seconds_delay,
        "fpmm": "",
        "maker_base_fee": fee,
        "taker_base_fee": fee,
        "notifications_enabled": True,
        "neg_risk": market.neg_risk,
        "neg_risk_market_id": event.neg_risk_id,
        "neg_risk_request_id": _request_id(market),
        "icon": "",
        "image": "",
        "rewards": {"rates": None, **REWARDS},
        "is_50_50_outcome": market.winner == 2,
        "tokens": _tokens(venue, market),
        "tags": [*event.tags, "All"],
    }


def simplified_object(venue: "Venue", market: Market) -> dict[str, Any]:
    """Return a market as ``/simplified-markets`` gives it."""
    return {
        "condition_id": market.condition_id,
        "rewards": {"rates": None, **REWARDS},
        "tokens": _tokens(venue, market),
        "active": market.active,
        "closed": market.closed,
        "archived": False,
        "accepting_orders": market.accepting,
    }


def _tokens(venue: "Venue", market: Market) -> list[dict[str, Any]]:
    yes = yes_e5(venue, market)
    return [
        {
            "token_id": token,
            "outcome": market.outcomes[outcome],
            "price": number(100_000 - yes if outcome else yes, 5),
            "winner": market.winner == outcome,
        }
        for outcome, token in enumerate(market.tokens)
    ]


def _request_id(market: Market) -> str:
    if not market.neg_risk:
        return ""
    return "0x" + hashlib.sha256(market.question_id.encode()).hexdigest()


# -- Gamma's objects


def gamma_market(
    venue: "Venue", market: Market, volume_e6: int = 0, *, tags: bool = False, page: bool = True
) -> dict[str, Any]:
    """
    Return a market as Gamma gives it.

    Args:
        venue: Whose books say what it costs.
        market: Which.
        volume_e6: What has changed hands.
        tags: Put its event's tags in.
        page: Put its event in, as a market on its own has it.
    """
    found = {
        **_described(market),
        **_switches(market),
        **_traded(venue, market, volume_e6),
        **_resolution(market),
    }
    if page:
        found["events"] = [_event_members(market.event)]
    if tags:
        found["tags"] = tags_of(market.event)
    return found


def _described(market: Market) -> dict[str, Any]:
    """Return who it is and when."""
    starts = market.game_start_ms
    found: dict[str, Any] = {
        "id": market.gamma_id,
        "question": market.question,
        "conditionId": market.condition_id,
        "slug": market.slug,
        "resolutionSource": market.resolution_source,
        "startDate": iso(market.start_ms),
        "description": market.description,
        "outcomes": json.dumps(market.outcomes, ensure_ascii=False),
        "marketMakerAddress": "",
        "createdAt": iso(market.start_ms),
        "submitted_by": CREATOR,
        "resolvedBy": RESOLVER,
        "groupItemThreshold": market.group_threshold or "0",
        "questionID": market.question_id,
        "startDateIso": iso(market.start_ms)[:10],
        "acceptingOrdersTimestamp": iso(market.start_ms),
    }
    if market.end_ms:
        found |= {"endDate": iso(market.end_ms), "endDateIso": iso(market.end_ms)[:10]}
    if market.group_title:
        found["groupItemTitle"] = market.group_title
    if starts is not None:
        at = datetime.fromtimestamp(starts // 1000, UTC)
        found["gameStartTime"] = f"{at:%Y-%m-%d %H:%M:%S}+00"
    if market.seconds_delay:
        found["secondsDelay"] = market.seconds_delay
    tokens = json.dumps(market.tokens)
    if market.v3:
        # The event id of a neg-risk position ends before its index, in three zero bytes.
        event = f"{market.condition_id[:60]}000000"
        found |= {"version": "v2", "clobTokenIds": None, "positionIds": tokens}
        found |= {"onchainEventId": event, "requestId": f"{market.condition_id}00"}
        found["resolutionStatus"] = "active" if market.winner is None else "resolved"
    else:
        found |= {"version": "v1", "clobTokenIds": tokens, "positionIds": None}
    return found


def _switches(market: Market) -> dict[str, Any]:
    """Return how it trades."""
    found: dict[str, Any] = {
        "active": market.active,
        "closed": market.closed,
        "new": False,
        "featured": False,
        "archived": False,
        "restricted": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": market.tick_e4 / ONE_E4,
        "orderMinSize": number(market.min_size_e6, 6),
        "hasReviewedDates": True,
        "acceptingOrders": market.accepting,
        "negRisk": market.neg_risk,
        "negRiskRequestID": _request_id(market),
        "ready": False,
        "funded": False,
        "cyom": False,
        "pagerDutyNotificationEnabled": False,
        "approved": True,
        "clobRewards": [],
        "rewardsMinSize": REWARDS["min_size"],
        "rewardsMaxSpread": REWARDS["max_spread"],
        "automaticallyActive": True,
        "clearBookOnStart": True,
        "manualActivation": False,
        "negRiskOther": market.placeholder and market.group_title == "Other",
        "pendingDeployment": False,
        "deploying": False,
        "rfqEnabled": False,
        "holdingRewardsEnabled": False,
        "feesEnabled": market.fee is not None,
        "requiresTranslation": False,
        "feeType": market.fee.kind if market.fee else None,
    }
    if market.neg_risk:
        found["negRiskMarketID"] = market.event.neg_risk_id
    if market.fee:
        found |= {"makerBaseFee": 1000, "takerBaseFee": 1000}
        found["feeSchedule"] = {
            "exponent": market.fee.exponent,
            "rate": market.fee.rate_e6 / ONE_E6,
            "takerOnly": True,
            "rebateRate": market.fee.rebate_e6 / ONE_E6,
        }
    return found


def _traded(venue: "Venue", market: Market, volume_e6: int) -> dict[str, Any]:
    """Return what it costs and what changed hands: text and numbers side by side."""
    book = venue.book(market)
    bid, ask = touch(venue, market)
    ask = ONE_E4 if ask is None else ask
    yes = yes_e5(venue, market)
    volume, liquidity_e6 = number(volume_e6, 6), _liquidity_e6(venue, market)
    liquidity = number(liquidity_e6, 6)
    found: dict[str, Any] = {
        "outcomePrices": json.dumps([text(yes, 5), text(100_000 - yes, 5)]),
        "updatedAt": iso(book.changed_ms),
        "volume": size(volume_e6),
        "volumeNum": volume,
        "volumeClob": volume,
        **{f"volume{span}": volume for span in ("24hr", "1wk", "1mo", "1yr")},
        **{f"volume{span}Clob": volume for span in ("24hr", "1wk", "1mo", "1yr")},
        "liquidity": size(liquidity_e6),
        "liquidityNum": liquidity,
        "liquidityClob": liquidity,
        "competitive": 1 / (1 + (yes / 100_000 - 0.5) ** 2),
        "spread": number(ask - (bid or 0), 4),
        "bestAsk": number(ask, 4),
    }
    if bid is not None:
        found["bestBid"] = number(bid, 4)
    if book.last_yes_e4 is not None:
        found["lastTradePrice"] = number(book.last_yes_e4, 4)
    return found


def _resolution(market: Market) -> dict[str, Any]:
    if market.winner is None:
        return {"umaResolutionStatuses": "[]"}
    return {"umaResolutionStatuses": '["proposed"]', "umaResolutionStatus": "resolved"}


def _event_members(event: Event) -> dict[str, Any]:
    """Return an event without its markets."""
    found: dict[str, Any] = {
        "id": event.id,
        "ticker": event.slug,
        "slug": event.slug,
        "title": event.title,
        "description": event.description,
        "resolutionSource": event.markets[0].resolution_source if event.markets else "",
        "startDate": iso(event.start_ms),
        "creationDate": iso(event.start_ms),
        "active": any(market.active for market in event.markets),
        "closed": closed(event),
        "archived": False,
        "new": False,
        "featured": False,
        "restricted": True,
        "openInterest": 0,
        "createdAt": iso(event.start_ms),
        "enableOrderBook": True,
        "negRisk": event.neg_risk,
        "commentCount": 0,
        "cyom": False,
        "showAllOutcomes": True,
        "showMarketImages": False,
        "enableNegRisk": event.neg_risk,
        "automaticallyActive": True,
        "negRiskAugmented": event.structure is Structure.AUGMENTED,
        "pendingDeployment": False,
        "deploying": False,
        "requiresTranslation": False,
    }
    if event.end_ms:
        found["endDate"] = iso(event.end_ms)
    if event.neg_risk:
        found |= {"negRiskMarketID": event.neg_risk_id, "negRiskFeeBips": event.fee_bips}
    return found


def gamma_event(venue: "Venue", event: Event, volumes: Mapping[str, int]) -> dict[str, Any]:
    """Return an event as Gamma gives it, with its markets."""
    volume = sum(volumes.get(market.condition_id, 0) for market in event.markets)
    liquidity = sum(_liquidity_e6(venue, market) for market in event.markets)
    return {
        **_event_members(event),
        "updatedAt": iso(max(venue.book(market).changed_ms for market in event.markets)),
        "liquidity": number(liquidity, 6),
        "liquidityClob": number(liquidity, 6),
        "volume": number(volume, 6),
        **{f"volume{span}": number(volume, 6) for span in ("24hr", "1wk", "1mo", "1yr")},
        "markets": [
            gamma_market(venue, market, volumes.get(market.condition_id, 0), page=False)
            for market in event.markets
        ],
        "series": [],
        "tags": tags_of(event),
    }


def closed(event: Event) -> bool:
    """Say whether nothing of an event trades any more."""
    return all(market.closed for market in event.markets)


def tags_of(event: Event) -> list[dict[str, Any]]:
    """Return an event's tags as objects; their ids come from their labels."""
    return [
        {
            "id": _tag_id(label),
            "label": label,
            "slug": label.lower().replace(" ", "-"),
            "forceShow": False,
            "requiresTranslation": False,
        }
        for label in event.tags
    ]


def _tag_id(label: str) -> str:
    return str(zlib.crc32(label.encode()) % 1_000_000)


# -- filters and lists

_NONE: Final = ()

_MARKET_MEMBERS: Final[dict[str, Callable[[Market], Iterable[str]]]] = {
    "id": lambda market: (market.gamma_id,),
    "slug": lambda market: (market.slug,),
    "condition_ids": lambda market: (market.condition_id, f"{market.condition_id}00"),
    "clob_token_ids": lambda market: _NONE if market.v3 else market.tokens,
    "position_ids": lambda market: market.tokens if market.v3 else _NONE,
    "question_ids": lambda market: (market.question_id,),
    "version": lambda market: ("v2" if market.v3 else "v1",),
    "tag_id": lambda market: map(_tag_id, market.event.tags),
    "uma_resolution_status": lambda market: ("" if market.winner is None else "resolved",),
    "game_id": lambda _: _NONE,
    "sports_market_types": lambda _: _NONE,
}
_EVENT_MEMBERS: Final[dict[str, Callable[[Event], Iterable[str]]]] = {
    "id": lambda event: (event.id,),
    "slug": lambda event: (event.slug,),
    "tag_id": lambda event: map(_tag_id, event.tags),
    "tag_slug": lambda event: (tag["slug"] for tag in tags_of(event)),
    "version": lambda event: {"v2" if market.v3 else "v1" for market in event.markets},
    "series_id": lambda _: _NONE,
    "game_id": lambda _: _NONE,
    "recurrence": lambda _: _NONE,
}
"""What a parameter of each name is compared with; nothing here has a game or a series."""

_NEVER: Final = ("archived", "live", "featured", "cyom", "ended")


def _keep(rows: Iterable[_T], request: Request, members: Mapping[str, Any]) -> Iterable[_T]:
    """Leave out what the request's lists and switches do not name."""
    asked = {name: set(request.query[name]) for name in members if request.query.get(name)}
    shut = _flag(request, "closed") or False
    active = _flag(request, "active")
    if any(_flag(request, name) for name in _NEVER):
        return
    for row in rows:
        is_closed = row.closed if isinstance(row, Market) else closed(row)
        is_active = row.active if isinstance(row, Market) else any(m.active for m in row.markets)
        if (
            is_closed == shut
            and active in {None, is_active}
            and all(not given.isdisjoint(members[name](row)) for name, given in asked.items())
        ):
            yield row


def _flag(request: Request, name: str) -> bool | None:
    value = request.first(name).lower()
    if value not in {"", "true", "false"}:
        raise HttpError(422, f"invalid {name}", type="validation error")
    return value == "true" if value else None


def _within(
    rows: Iterable[_T], request: Request, value: Callable[[_T, str], float]
) -> Iterable[_T]:
    """Leave out what lies outside the request's ``…_min`` and ``…_max``."""
    limits = [
        (name[:-4], name[-3:] == "min", _bound(name, values[0]))
        for name, values in request.query.items()
        if name in _LIMITS and values and values[0]
    ]
    for row in rows:
        if all(
            (value(row, what) >= bound if low else value(row, what) <= bound)
            for what, low, bound in limits
        ):
            yield row


_MEASURES: Final = {
    "liquidity": "liquidity",
    "liquidity_num": "liquidity",
    "volume": "volume",
    "volume_num": "volume",
    "start_date": "start",
    "start_time": "start",
    "end_date": "end",
}
_LIMITS: Final = {f"{what}_{side}" for what in _MEASURES for side in ("min", "max")}
_ORDERS: Final = {
    "id": "id",
    "volume": "volume",
    "volumenum": "volume",
    "volume24hr": "volume",
    "liquidity": "liquidity",
    "liquiditynum": "liquidity",
    "startdate": "start",
    "createdat": "start",
    "enddate": "end",
    "competitive": "competitive",
}


def _bound(name: str, value: str) -> float:
    try:
        if "date" in name or "time" in name:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
        return float(value) * ONE_E6
    except (ValueError, OverflowError):
        raise HttpError(422, f"invalid {name}", type="validation error") from None


def _measure(venue: "Venue", volumes: Mapping[str, int]) -> Callable[[Market | Event, str], float]:
    """Return what measures a row: volume, liquidity, a date, the number in its id."""

    def value(row: Market | Event, what: str) -> float:
        markets = [row] if isinstance(row, Market) else row.markets
        what = _MEASURES.get(what, what)
        if what == "volume":
            return sum(volumes.get(market.condition_id, 0) for market in markets)
        if what == "liquidity":
            return sum(_liquidity_e6(venue, market) for market in markets)
        if what == "competitive":
            return max(-abs(yes_e5(venue, market) - 50_000) for market in markets)
        if what == "id":
            return int(row.gamma_id if isinstance(row, Market) else row.id)
        return row.start_ms if what == "start" else row.end_ms

    return value


def _select(
    venue: "Venue",
    request: Request,
    rows: list[_T],
    members: Mapping[str, Any],
    volumes: Mapping[str, int],
) -> Iterable[_T]:
    """Return the rows a request asks for, from the one after its cursor on."""
    value = _measure(venue, volumes)
    order = request.first("order").split(",")[0]
    if order:
        what = _ORDERS.get(order.replace("_", "").lower())
        if what is None:
            raise HttpError(422, "order fields are not valid", type="validation error")
        # Rows of one value keep the catalogue's order, so that a cursor always has one meaning.
        rows = sorted(
            rows, key=lambda row: value(row, what), reverse=_flag(request, "ascending") is False
        )
    elif _flag(request, "ascending") is False:
        rows = rows[::-1]
    return _within(_keep(_after(request, rows), request, members), request, value)


def _after(request: Request, rows: list[_T]) -> list[_T]:
    """Continue behind the row the cursor names: rows come and go, but none leaves the catalogue."""
    cursor = request.first("after_cursor")
    if not cursor:
        return rows
    try:
        last = str(wire.decode_cursor(cursor))
    except ValueError:
        raise HttpError(422, "invalid after_cursor", type="validation error") from None
    for place, row in enumerate(rows):
        if _id(row) == last:
            return rows[place + 1 :]
    raise HttpError(422, "invalid after_cursor", type="validation error")


def _id(row: Market | Event) -> str:
    return row.gamma_id if isinstance(row, Market) else row.id


def _count(request: Request, name: str, default: int, most: int) -> int:
    given = request.first(name) or str(default)
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise HttpError(422, f"invalid {name}", type="validation error")
    return min(int(given), most)


def _keyset(
    request: Request, rows: Iterable[_T], name: str, render: Callable[[_T], dict[str, Any]]
) -> Response:
    if "offset" in request.query:
        raise HttpError(422, "offset is not supported, use after_cursor", type="validation error")
    limit = _count(request, "limit", 20, PAGE_MAX) or 1
    found = list(islice(rows, limit + 1))
    answer: dict[str, Any] = {name: [render(row) for row in found[:limit]]}
    if len(found) > limit:
        answer["next_cursor"] = wire.encode_cursor(int(_id(found[limit - 1])))
    return ok(answer)


def _offset(
    request: Request, rows: Iterable[_T], render: Callable[[_T], dict[str, Any]]
) -> Response:
    limit = _count(request, "limit", 20, LIST_MAX)
    start = _count(request, "offset", 0, OFFSET_MAX + 1)
    if start > OFFSET_MAX:
        raise HttpError(422, "offset too large, use keyset pagination", type="validation error")
    return ok([render(row) for row in islice(rows, start, start + limit)])


# -- routes


def _markets(
    venue: "Venue", request: Request
) -> tuple[Iterable[Market], Callable[[Market], dict[str, Any]]]:
    volumes = _volumes_e6(venue)
    tags = bool(_flag(request, "include_tag"))
    rows = _select(venue, request, list(venue.catalog.markets.values()), _MARKET_MEMBERS, volumes)
    return rows, lambda market: gamma_market(venue, market, volumes[market.condition_id], tags=tags)


def _events(
    venue: "Venue", request: Request
) -> tuple[Iterable[Event], Callable[[Event], dict[str, Any]]]:
    volumes = _volumes_e6(venue)
    rows = _select(venue, request, venue.catalog.events, _EVENT_MEMBERS, volumes)
    return rows, lambda event: gamma_event(venue, event, volumes)


def is_list_request(request: Request) -> bool:
    """Say whether ``GET /markets`` means Gamma's list: the CLOB's takes a cursor at most."""
    return not request.query.keys() <= {"next_cursor"}


def markets_list(venue: "Venue", request: Request) -> Response:
    """GET /markets with limit and offset."""
    return _offset(request, *_markets(venue, request))


def markets_keyset(venue: "Venue", request: Request) -> Response:
    """GET /markets/keyset."""
    rows, render = _markets(venue, request)
    return _keyset(request, rows, "markets", render)


def events_list(venue: "Venue", request: Request) -> Response:
    """GET /events with limit and offset."""
    return _offset(request, *_events(venue, request))


def events_keyset(venue: "Venue", request: Request) -> Response:
    """GET /events/keyset."""
    rows, render = _events(venue, request)
    return _keyset(request, rows, "events", render)


def market_by_id(venue: "Venue", gamma_id: str) -> Response | None:
    """Return a market by its Gamma id; None where there is none."""
    for market in venue.catalog.markets.values():
        if market.gamma_id == gamma_id:
            volume = _volumes_e6(venue)[market.condition_id]
            return ok(gamma_market(venue, market, volume))
    return None


def get_market(venue: "Venue", request: Request) -> Response:
    """GET /gamma/markets/{id}."""
    return market_by_id(venue, request.rest) or _missing("id")


def get_market_tags(venue: "Venue", request: Request) -> Response:
    """GET /markets/{id}/tags."""
    for market in venue.catalog.markets.values():
        if market.gamma_id == request.rest:
            return ok(tags_of(market.event))
    return _missing("id")


def get_event_tags(venue: "Venue", request: Request) -> Response:
    """GET /events/{id}/tags."""
    for event in venue.catalog.events:
        if event.id == request.rest:
            return ok(tags_of(event))
    return _missing("id")


def get_market_by_slug(venue: "Venue", request: Request) -> Response:
    """GET /markets/slug/{slug}."""
    for market in venue.catalog.markets.values():
        if market.slug == request.rest:
            volume = _volumes_e6(venue)[market.condition_id]
            tags = bool(_flag(request, "include_tag"))
            return ok(gamma_market(venue, market, volume, tags=tags))
    return _missing("slug")


def get_event(venue: "Venue", request: Request) -> Response:
    """GET /events/{id}."""
    return _one_event(venue, "id", request.rest)


def get_event_by_slug(venue: "Venue", request: Request) -> Response:
    """GET /events/slug/{slug}."""
    return _one_event(venue, "slug", request.rest)


def _one_event(venue: "Venue", member: str, value: str) -> Response:
    for event in venue.catalog.events:
        if getattr(event, member) == value:
            return ok(gamma_event(venue, event, _volumes_e6(venue)))
    return _missing(member)


def _missing(what: str) -> Response:
    raise HttpError(404, f"{what} not found", type="not found error")


def get_geoblock(venue: "Venue", request: Request) -> Response:
    """GET /api/geoblock."""
    return ok({"blocked": False, "ip": "127.0.0.1", "country": "IE", "region": "L"})


_GAMMA: "Final[dict[str, Handler]]" = {
    "/markets/keyset": markets_keyset,
    "/markets/*/tags": get_market_tags,
    "/events/*/tags": get_event_tags,
    "/markets/slug/*": get_market_by_slug,
    "/events": events_list,
    "/events/keyset": events_keyset,
    "/events/slug/*": get_event_by_slug,
    "/events/*": get_event,
}

ROUTES: "Final[dict[str, Handler]]" = {
    **{f"GET {prefix}{path}": f for path, f in _GAMMA.items() for prefix in ("", "/gamma")},
    # Without a prefix these two are the CLOB's, which passes on what it finds to be Gamma's.
    "GET /gamma/markets": markets_list,
    "GET /gamma/markets/*": get_market,
    "GET /api/geoblock": get_geoblock,
    **data_api.ROUTES,
}
"""Gamma's routes, the Data API's and the geoblock check."""
