"""The CLOB's REST endpoints (protocol.md sections 12 to 15)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polyarb.sim import gamma, wire
from polyarb.sim.accounts import Credential
from polyarb.sim.auth import l2
from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, PRICE, size, text
from polyarb.sim.http import HttpError, Request, Response, dump, error, load, ok, refused
from polyarb.sim.intake import BAD_BODY, accept
from polyarb.sim.limits import SECOND
from polyarb.sim.matching import Order
from polyarb.sim.streams import best_texts
from polyarb.sim.venue import Done, Outcome, Venue

if TYPE_CHECKING:
    from polyarb.sim.http import Handler

_T = TypeVar("_T")

BATCH_MAX: Final = 15
CANCEL_MAX: Final = 3_000
LIST_MAX: Final = 500
PAGE: Final = 100
MARKET_PAGE: Final = 500
NO_BOOK: Final = "No orderbook exists for the requested token id"
REFUSED: Final[dict[str, object]] = {
    "errorMsg": "",
    "orderID": "",
    "takingAmount": "",
    "makingAmount": "",
    "status": "",
    "success": True,
}
"""A failed item of a batch: success says true all the same (section 12)."""


# What is there to trade


def _token(venue: Venue, token: object) -> tuple[Market, int]:
    """Return (market, outcome) of a token that has a book; raises HttpError."""
    if not isinstance(token, str) or not (token.isascii() and token.isdigit()):
        raise HttpError(400, "Invalid token id")
    found = venue.catalog.tokens.get(token)
    if found is None or found[0].closed:
        raise HttpError(404, NO_BOOK)
    return found


def _asked(venue: Venue, request: Request) -> tuple[Market, int]:
    return _token(venue, request.first("token_id"))


def _many(venue: Venue, request: Request) -> list[tuple[Market, int, Mapping[str, Any]]]:
    """Return (market, outcome, row) for each row of a body; unknown tokens are left out."""
    rows = load(request.body)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise HttpError(400, "Invalid payload")
    if len(rows) > LIST_MAX:
        raise HttpError(400, "Payload exceeds the limit")
    known = venue.catalog.tokens
    return [
        (*known[row["token_id"]], row)
        for row in rows
        if isinstance(row.get("token_id"), str)
        and row["token_id"] in known
        and not known[row["token_id"]][0].closed
    ]


def get_book(venue: Venue, request: Request) -> Response:
    """GET /book."""
    market, outcome = _asked(venue, request)
    return Response(status=200, body=venue.feeds.page(market).rest(outcome))


def post_books(venue: Venue, request: Request) -> Response:
    """POST /books."""
    books = (venue.feeds.page(market).rest(o) for market, o, _ in _many(venue, request))
    return Response(status=200, body=b"[" + b",".join(books) + b"]")


def _midpoint(venue: Venue, market: Market, outcome: int) -> str:
    book = venue.book(market)
    bid, ask = book.best(True, outcome) or 0, book.best(False, outcome)
    return text((bid + (ONE_E4 if ask is None else ask)) * 5, 5)


def _spread(venue: Venue, market: Market, outcome: int) -> str:
    book = venue.book(market)
    bid, ask = book.best(True, outcome) or 0, book.best(False, outcome)
    return PRICE[max(0, (ONE_E4 if ask is None else ask) - bid)]


def _price(venue: Venue, market: Market, outcome: int, side: object) -> str:
    """BUY asks for the best bid, SELL for the best ask."""
    if side not in ("BUY", "SELL"):
        raise HttpError(400, "Invalid side")
    bid, ask = best_texts(venue.book(market), outcome)
    return bid if side == "BUY" else ask


def get_midpoint(venue: Venue, request: Request) -> Response:
    """GET /midpoint."""
    return ok({"mid": _midpoint(venue, *_asked(venue, request))})


def post_midpoints(venue: Venue, request: Request) -> Response:
    """POST /midpoints."""
    return ok({m.tokens[o]: _midpoint(venue, m, o) for m, o, _ in _many(venue, request)})


def get_spread(venue: Venue, request: Request) -> Response:
    """GET /spread."""
    return ok({"spread": _spread(venue, *_asked(venue, request))})


def post_spreads(venue: Venue, request: Request) -> Response:
    """POST /spreads."""
    return ok({m.tokens[o]: _spread(venue, m, o) for m, o, _ in _many(venue, request)})


def get_price(venue: Venue, request: Request) -> Response:
    """GET /price."""
    return ok({"price": _price(venue, *_asked(venue, request), request.first("side"))})


def post_prices(venue: Venue, request: Request) -> Response:
    """POST /prices."""
    found: dict[str, dict[str, str]] = {}
    for market, outcome, row in _many(venue, request):
        side = row.get("side")
        price = _price(venue, market, outcome, side)
        found.setdefault(market.tokens[outcome], {})[str(side)] = price
    return ok(found)


def _last_trade(venue: Venue, market: Market, outcome: int) -> dict[str, str] | None:
    book = venue.book(market)
    if book.last_yes_e4 is None:
        return None
    price = ONE_E4 - book.last_yes_e4 if outcome else book.last_yes_e4
    return {"price": PRICE[price], "side": book.last_side}


def get_last_trade(venue: Venue, request: Request) -> Response:
    """GET /last-trade-price."""
    return ok(_last_trade(venue, *_asked(venue, request)) or {"price": "0.5", "side": ""})


def post_last_trades(venue: Venue, request: Request) -> Response:
    """POST /last-trades-prices; tokens that never traded are left out."""
    found = ((m.tokens[o], _last_trade(venue, m, o)) for m, o, _ in _many(venue, request))
    return ok([{"token_id": token, **last} for token, last in found if last])


def get_history(venue: Venue, request: Request) -> Response:
    """GET /prices-history: the last trade of each `fidelity` minutes."""
    market, outcome = _token(venue, request.first("market"))
    minutes = request.first("fidelity", "1")
    if not (minutes.isascii() and minutes.isdigit() and len(minutes) < 8 and int(minutes)):
        raise HttpError(400, "Invalid fidelity")
    step = 60 * int(minutes)
    points = {at // step: (at, price) for at, price in venue.book(market).history}
    return ok(
        {
            "history": [
                {"t": at, "p": (ONE_E4 - price if outcome else price) / ONE_E4}
                for at, price in points.values()
            ]
        }
    )


def get_tick_size(venue: Venue, request: Request) -> Response:
    """GET /tick-size."""
    return ok({"minimum_tick_size": _asked(venue, request)[0].tick_e4 / ONE_E4})


def get_neg_risk(venue: Venue, request: Request) -> Response:
    """GET /neg-risk."""
    return ok({"neg_risk": _asked(venue, request)[0].neg_risk})


def get_fee_rate(venue: Venue, request: Request) -> Response:
    """GET /fee-rate: what is left of V1, and the same everywhere; not the fee that is charged."""
    _asked(venue, request)
    return ok({"base_fee": 1000})


def get_markets(venue: Venue, request: Request) -> Response:
    """GET /markets: the CLOB's pages; with Gamma's parameters, Gamma's list."""
    if gamma.is_list_request(request):
        return gamma.markets_list(venue, request)
    return _market_page(venue, request, gamma.market_object)


def get_simplified_markets(venue: Venue, request: Request) -> Response:
    """GET /simplified-markets and its sampling twin."""
    return _market_page(venue, request, gamma.simplified_object)


def _market_page(
    venue: Venue, request: Request, render: Callable[[Venue, Market], dict[str, Any]]
) -> Response:
    markets = list(venue.catalog.markets.values())
    return _page(request, markets, MARKET_PAGE, lambda market: render(venue, market))


def _page(
    request: Request, found: Sequence[_T], limit: int, render: Callable[[_T], dict[str, Any]]
) -> Response:
    try:
        return ok(wire.page(found, request.first("next_cursor"), limit, render))
    except ValueError:
        raise HttpError(400, "Invalid next_cursor") from None


def get_market(venue: Venue, request: Request) -> Response:
    """GET /markets/{condition}; digits are a Gamma id."""
    if request.rest.startswith("0x"):
        return ok(gamma.market_object(venue, _condition(venue, request.rest)))
    return gamma.market_by_id(venue, request.rest) or error(404, "market not found")


def get_market_by_token(venue: Venue, request: Request) -> Response:
    """GET /markets-by-token/{token}."""
    found = venue.catalog.tokens.get(request.rest)
    if found is None:
        raise HttpError(404, "market not found")
    market = found[0]
    return ok(
        {
            "condition_id": market.condition_id,
            "primary_token_id": market.tokens[0],
            "secondary_token_id": market.tokens[1],
        }
    )


def get_clob_market(venue: Venue, request: Request) -> Response:
    """GET /clob-markets/{condition}."""
    return ok(gamma.clob_market(venue, _condition(venue, request.rest)))


def _condition(venue: Venue, condition: str) -> Market:
    market = venue.catalog.markets.get(condition)
    if market is None:
        raise HttpError(404, "market not found")
    return market


# Orders


def post_order(venue: Venue, request: Request) -> Response | None:
    """POST /order."""
    credential = l2(venue, request)
    _open_for_orders(venue)
    item = load(request.body, message=BAD_BODY)
    headers = _charge(venue, credential, 1, cancel=False)

    def done(result: Outcome | HttpError) -> None:
        request.reply(_single(venue, result, headers))

    _place(venue, credential, item, done)
    return None


def _place(venue: Venue, credential: Credential, item: object, done: Done, leg: int = 0) -> None:
    """Take one item of a request; `done` hears what became of it, now or later."""
    try:
        order = accept(venue, credential, item, leg)
    except HttpError as refusal:
        venue.refuse(refusal)
        done(refusal)
    else:
        venue.submit(order, done)


def _single(venue: Venue, result: Outcome | HttpError, headers: Mapping[str, str]) -> Response:
    if isinstance(result, Outcome):
        return Response(status=200, body=dump(_accepted(venue, result)), headers=headers)
    if venue.config.refusal == "body" and result.status == 400:
        body = dump({**REFUSED, "errorMsg": result.message})
        return Response(status=200, body=body, headers=headers)
    answer = refused(result)
    return replace(answer, headers={**headers, **answer.headers})


def post_orders(venue: Venue, request: Request) -> Response | None:
    """POST /orders: independent items, answered together in their order."""
    credential = l2(venue, request)
    _open_for_orders(venue)
    items = load(request.body, message=BAD_BODY)
    if not isinstance(items, list) or not items:
        raise HttpError(400, BAD_BODY)
    if len(items) > BATCH_MAX:
        raise HttpError(400, f"Too many orders in payload: {len(items)}, max allowed: {BATCH_MAX}")
    headers = _charge(venue, credential, len(items), cancel=False)
    answers: dict[int, dict[str, Any]] = {}

    def done(index: int, result: Outcome | HttpError) -> None:
        if isinstance(result, HttpError):
            answers[index] = {**REFUSED, "errorMsg": result.message}
        else:
            answers[index] = _accepted(venue, result)
        if len(answers) == len(items):
            body = dump([answers[place] for place in range(len(items))])
            request.reply(Response(status=200, body=body, headers=headers))

    for index, item in enumerate(items):
        _place(venue, credential, item, partial(done, index), index)
    return None


def _accepted(venue: Venue, outcome: Outcome) -> dict[str, Any]:
    order, trade = outcome.order, outcome.trade
    answer: dict[str, Any] = {
        "success": True,
        "errorMsg": "",
        "orderID": order.id,
        "status": outcome.status,
        "makingAmount": "",
        "takingAmount": "",
    }
    if trade:
        amount = str if venue.config.amounts == "base" else size
        cash, shares = amount(trade.cash_e6), amount(trade.size_e6)
        making, taking = (cash, shares) if order.buy else (shares, cash)
        hashes = [trade.report_hash] if venue.config.hashes else []
        answer |= {"makingAmount": making, "takingAmount": taking}
        answer |= {"tradeIDs": [trade.id], "transactionsHashes": hashes}
    return answer


def _open_for_orders(venue: Venue) -> None:
    """Refuse new orders where the engine's mode does (section 17)."""
    _open_for_cancels(venue)
    if venue.mode == "cancel_only":
        raise HttpError(
            503,
            "Trading is currently cancel-only. New orders are not accepted, but cancels are "
            "allowed.",
        )


def _open_for_cancels(venue: Venue) -> None:
    if venue.mode == "restarting":
        raise HttpError(
            425, "service not ready", {"Retry-After": str(venue.mode_ends_in_s())}, plain=True
        )
    if venue.mode == "disabled":
        raise HttpError(503, "Trading is currently disabled. Check polymarket.com for updates")


def _charge(venue: Venue, credential: Credential, cost: int, *, cancel: bool) -> dict[str, str]:
    """Take tokens from the signer's bucket; return the headers; raises HttpError 429."""
    if venue.config.limits == "off":
        return {}
    bucket = venue.signer_limits.bucket(credential.eoa, cancel, venue.now_ns)
    short = bucket.tokens < min(cost, bucket.burst)  # more than a burst waits for a full one
    enforced = short and venue.config.limits == "enforce"
    if not enforced:
        bucket.level = max(bucket.level - cost * SECOND, -bucket.burst * SECOND)
    wait = bucket.wait_s(cost)
    headers = {
        "Poly-RateLimit-Remaining": str(bucket.tokens),
        "Poly-RateLimit-Reset": str(venue.now_ns // SECOND + wait),
        "Poly-RateLimit-Tier": venue.config.tier,
    }
    if enforced:
        raise HttpError(429, "Too Many Requests", {**headers, "Retry-After": str(max(1, wait))})
    return {**headers, "Poly-RateLimit-Warning": "true"} if short else headers


# Cancels


def delete_order(venue: Venue, request: Request) -> Response:
    """DELETE /order."""
    credential = l2(venue, request)
    _open_for_cancels(venue)
    body = load(request.body, message=BAD_BODY)
    if not isinstance(body, dict) or not _order_id(body.get("orderID")):
        raise HttpError(400, "Invalid orderID" if isinstance(body, dict) else BAD_BODY)
    headers = _charge(venue, credential, 1, cancel=True)
    return _canceled(venue, credential, [body["orderID"]], headers)


def delete_orders(venue: Venue, request: Request) -> Response:
    """DELETE /orders."""
    credential = l2(venue, request)
    _open_for_cancels(venue)
    ids = load(request.body, message=BAD_BODY)
    if not isinstance(ids, list):
        raise HttpError(400, BAD_BODY)
    if len(ids) > CANCEL_MAX:
        raise HttpError(400, f"Too many orders in payload, max allowed: {CANCEL_MAX}")
    if not all(_order_id(each) for each in ids):
        raise HttpError(400, "Invalid orderID")
    headers = _charge(venue, credential, len(ids), cancel=True)
    return _canceled(venue, credential, list(dict.fromkeys(ids)), headers)


def cancel_all(venue: Venue, request: Request) -> Response:
    """DELETE /cancel-all."""
    return _cancel_where(venue, request, lambda _: True)


def cancel_market(venue: Venue, request: Request) -> Response:
    """DELETE /cancel-market-orders; a missing or empty member does not limit."""
    body = load(request.body, message=BAD_BODY)
    if not isinstance(body, dict):
        raise HttpError(400, BAD_BODY)
    market, token = body.get("market", ""), body.get("asset_id", "")
    if not isinstance(market, str) or not isinstance(token, str):
        raise HttpError(400, BAD_BODY)
    return _cancel_where(
        venue,
        request,
        lambda order: market in ("", order.market.condition_id) and token in ("", order.token),
    )


def _cancel_where(venue: Venue, request: Request, wanted: Callable[[Order], bool]) -> Response:
    credential = l2(venue, request)
    _open_for_cancels(venue)
    headers = _charge(venue, credential, 1, cancel=True)
    ids = [order.id for order in venue.open_orders(credential.key) if wanted(order)]
    if venue.config.limits != "off" and ids:
        bucket = venue.signer_limits.bucket(credential.eoa, True, venue.now_ns)
        bucket.level -= len(ids) * SECOND
        headers["Poly-RateLimit-Remaining"] = str(bucket.tokens)
    return _canceled(venue, credential, ids, headers)


def _canceled(
    venue: Venue, credential: Credential, ids: list[str], headers: Mapping[str, str]
) -> Response:
    reasons = {each: venue.cancel(each, credential.key) for each in ids}
    body = {
        "canceled": [each for each, reason in reasons.items() if reason is None],
        "not_canceled": {each: reason for each, reason in reasons.items() if reason},
    }
    return Response(status=200, body=dump(body), headers=headers)


def _order_id(value: object) -> bool:
    return isinstance(value, str) and len(value) == 66 and value.startswith("0x")


# What became of them


def get_order(venue: Venue, request: Request) -> Response:
    """GET /data/order/{id}."""
    credential = l2(venue, request, reads=True)
    order = venue.orders.get(request.rest)
    if order is None or order.owner != credential.key:
        raise HttpError(404, "Order not found")
    return ok(wire.order_object(order, venue.config.amounts == "base"))


def get_orders(venue: Venue, request: Request) -> Response:
    """GET /data/orders: open orders; by id, whatever its status."""
    credential = l2(venue, request, reads=True)
    wanted = request.first("id")
    if wanted:
        order = venue.orders.get(wanted)
        found = [order] if order and order.owner == credential.key else []
    else:
        found = venue.open_orders(credential.key)
    found = [
        order
        for order in found
        if request.first("market") in {"", order.market.condition_id}
        and request.first("asset_id") in {"", order.token}
    ]
    base = venue.config.amounts == "base"
    return _page(request, found, PAGE, lambda order: wire.order_object(order, base))


def get_trades(venue: Venue, request: Request) -> Response:
    """GET /data/trades, newest first."""
    key = l2(venue, request, reads=True).key
    before, after = _second(request, "before"), _second(request, "after")
    mine = venue.trades_of[key]
    wanted, market = request.first("id"), request.first("market")
    token, address = request.first("asset_id"), request.first("maker_address").lower()
    candidates = mine.values() if not wanted else [mine[wanted]] if wanted in mine else []
    found = [
        trade
        for trade in reversed(list(candidates))
        if market in {"", trade.taker.market.condition_id}
        and token in {"", *(order.token for order in trade.orders_of(key))}
        and address in {"", *(order.wallet.address for order in trade.orders_of(key))}
        and (before is None or trade.matched_ns // SECOND < before)
        and (after is None or trade.matched_ns // SECOND > after)
    ]
    base = venue.config.amounts == "base"
    return _page(
        request,
        found,
        PAGE,
        lambda trade: wire.trade_object(trade, key, trade.owners()[key], base),
    )


def _second(request: Request, name: str) -> int | None:
    given = request.first(name)
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 12):
        raise HttpError(400, "Invalid trade params payload")
    return int(given)


def get_scoring(venue: Venue, request: Request) -> Response:
    """GET /order-scoring."""
    credential = l2(venue, request, reads=True)
    return ok({"scoring": _scores(venue, credential, request.first("order_id"))})


def post_scoring(venue: Venue, request: Request) -> Response:
    """POST /orders-scoring."""
    credential = l2(venue, request, reads=True)
    ids = load(request.body)
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise HttpError(400, "Invalid payload")
    return ok({each: _scores(venue, credential, each) for each in ids})


def _scores(venue: Venue, credential: Credential, order_id: str) -> bool:
    order = venue.orders.get(order_id)
    return bool(order and order.owner == credential.key and venue.book(order.market).resting(order))


# Small things


def get_ok(venue: Venue, request: Request) -> Response:
    """GET /ok and /."""
    return ok("OK")


def get_time(venue: Venue, request: Request) -> Response:
    """GET /time."""
    return ok(venue.now_ns // SECOND + venue.faults.skew_s)


def get_version(venue: Venue, request: Request) -> Response:
    """GET /version."""
    return ok({"version": int(venue.config.generation[1:])})


def get_notifications(venue: Venue, request: Request) -> Response:
    """GET /notifications: nothing is ever noted here."""
    l2(venue, request, reads=True)
    return ok([])


def delete_notifications(venue: Venue, request: Request) -> Response:
    """DELETE /notifications."""
    l2(venue, request)
    return ok("OK")


def get_builder_fees(venue: Venue, request: Request) -> Response:
    """GET /fees/builder-fees/{code}: no builder charges anything here."""
    return ok({"builder_maker_fee_rate_bps": 0, "builder_taker_fee_rate_bps": 0})


def get_builder_trades(venue: Venue, request: Request) -> Response:
    """GET /builder/trades."""
    return _page(request, [], PAGE, dict)


ROUTES: "Final[dict[str, Handler]]" = {
    "GET /": get_ok,
    "GET /ok": get_ok,
    "GET /time": get_time,
    "GET /version": get_version,
    "GET /tick-size": get_tick_size,
    "GET /neg-risk": get_neg_risk,
    "GET /fee-rate": get_fee_rate,
    "GET /book": get_book,
    "POST /books": post_books,
    "GET /midpoint": get_midpoint,
    "POST /midpoints": post_midpoints,
    "GET /price": get_price,
    "POST /prices": post_prices,
    "GET /spread": get_spread,
    "POST /spreads": post_spreads,
    "GET /last-trade-price": get_last_trade,
    "POST /last-trades-prices": post_last_trades,
    "GET /prices-history": get_history,
    "GET /markets": get_markets,
    "GET /sampling-markets": get_markets,
    "GET /simplified-markets": get_simplified_markets,
    "GET /sampling-simplified-markets": get_simplified_markets,
    "GET /markets/*": get_market,
    "GET /markets-by-token/*": get_market_by_token,
    "GET /clob-markets/*": get_clob_market,
    "POST /order": post_order,
    "POST /orders": post_orders,
    "DELETE /order": delete_order,
    "DELETE /orders": delete_orders,
    "DELETE /cancel-all": cancel_all,
    "DELETE /cancel-market-orders": cancel_market,
    "GET /data/order/*": get_order,
    "GET /data/orders": get_orders,
    "GET /data/trades": get_trades,
    "GET /order-scoring": get_scoring,
    "POST /orders-scoring": post_scoring,
    "GET /notifications": get_notifications,
    "DELETE /notifications": delete_notifications,
    "GET /fees/builder-fees/*": get_builder_fees,
    "GET /builder/trades": get_builder_trades,
}
