"""
The Data API: who holds what and who traded, for reconciliation (protocol.md section 25).

Two generations: plain lists with offsets, and under ``/v2`` pages in an envelope.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from polyarb.sim import wire
from polyarb.sim.accounts import spenders
from polyarb.sim.calls import CONDITIONAL_TOKENS, POSITION_MANAGER, PUSD
from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, ONE_E6
from polyarb.sim.http import HttpError, Request, Response, ok
from polyarb.sim.ledger import Wallet
from polyarb.sim.wire import Trade

if TYPE_CHECKING:
    from polyarb.sim.http import Handler
    from polyarb.sim.venue import Venue

SECOND: Final = 1_000_000_000
PAGE: Final = 100
PAGE_MAX: Final = 500
PAGE_MAX_V2: Final = 1_000
CONTRACTS: Final = (
    (PUSD, "ERC20"),
    (CONDITIONAL_TOKENS, "ERC1155"),
    (POSITION_MANAGER, "ERC1155"),
)


@dataclass(slots=True)
class Entry:
    """What a wallet bought and sold of one token, fees apart; position calls are not in it."""

    bought_e6: int = 0
    cost_e6: int = 0
    sold_e6: int = 0
    proceeds_e6: int = 0
    fee_e6: int = 0

    @property
    def average(self) -> float:
        """Return the average price paid."""
        return self.cost_e6 / self.bought_e6 if self.bought_e6 else 0.0


@dataclass(frozen=True, slots=True)
class Position:
    """Shares of one token in a wallet, valued at the middle of its book."""

    wallet: Wallet
    market: Market
    outcome: int
    size_e6: int
    entry: Entry
    price: float

    @property
    def opposite(self) -> str:
        """Return the token of the other outcome."""
        return self.market.tokens[1 - self.outcome]

    @property
    def mergeable(self) -> bool:
        """Say whether the wallet holds the other outcome too."""
        return not self.market.closed and self.wallet.tokens(self.opposite) > 0

    def values(self) -> dict[str, float]:
        """Return size, cost, value and profit, by the names of the second generation."""
        size, average = self.size_e6 / ONE_E6, self.entry.average
        cost, value = size * average, size * self.price
        realized = (self.entry.proceeds_e6 - self.entry.sold_e6 * average) / ONE_E6
        sold_cost = self.entry.sold_e6 * average / ONE_E6
        return {
            "current_size": size,
            "avg_price": average,
            "entry_cost_usdc": cost,
            "entry_fees_usdc": self.entry.fee_e6 / ONE_E6,
            "total_cost_usdc": self.entry.cost_e6 / ONE_E6,
            "current_price": self.price,
            "current_value": value,
            "total_size": self.entry.bought_e6 / ONE_E6,
            "realized_pnl": realized,
            "unrealized_pnl": value - cost,
            "total_pnl": value - cost + realized,
            "percent_pnl": 100 * (value - cost) / cost if cost else 0.0,
            "percent_realized_pnl": 100 * realized / sold_cost if sold_cost else 0.0,
        }


def _price(venue: "Venue", market: Market, outcome: int) -> float:
    if market.winner is not None:
        return 0.5 if market.winner == 2 else float(market.winner == outcome)
    book = venue.book(market)
    bid, ask = book.best(True, outcome), book.best(False, outcome)
    return ((bid or 0) + (ONE_E4 if ask is None else ask)) / (2 * ONE_E4)


def _fills(trade: Trade) -> Iterator[tuple[bool, Any, int, int, int]]:
    """Yield (taker, order, shares, collateral, fee) of everyone in a trade."""
    yield True, trade.taker, trade.size_e6, trade.cash_e6, trade.fee_e6
    for part in trade.parts:
        yield False, part.maker, part.shares, part.cash_e6, 0


def _entries(venue: "Venue", wallet: Wallet) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for trade in venue.trades_of[wallet.address].values():
        if trade.status == "FAILED":
            continue
        for _, order, shares, cash, fee in _fills(trade):
            if order.wallet is not wallet:
                continue
            entry = entries.setdefault(order.token, Entry())
            entry.fee_e6 += fee
            if order.buy:
                entry.bought_e6 += shares
                entry.cost_e6 += cash
            else:
                entry.sold_e6 += shares
                entry.proceeds_e6 += cash
    return entries


def _positions(venue: "Venue", request: Request, market_parameter: str) -> list[Position]:
    user = request.first("user").lower()
    if not user.startswith("0x"):
        raise HttpError(400, "required query param 'user' not provided")
    wallet = venue.ledger.wallets.get(user)
    if wallet is None:
        return []
    wanted = _conditions(request, market_parameter)
    entries = _entries(venue, wallet)
    return [
        Position(
            *(wallet, market, outcome, shares),
            entries.get(token, Entry()),
            _price(venue, market, outcome),
        )
        for token, shares in wallet.positions.items()
        for market, outcome in (venue.catalog.tokens[token],)
        if not wanted or not wanted.isdisjoint({market.condition_id, f"{market.condition_id}00"})
    ]


def _conditions(request: Request, name: str) -> set[str]:
    return {each for value in request.query.get(name, []) for each in value.split(",") if each}


def _number(request: Request, name: str, default: int, most: int) -> int:
    given = request.first(name) or str(default)
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise HttpError(400, f"invalid {name}")
    return min(int(given), most)


# -- the first generation


def get_positions(venue: "Venue", request: Request) -> Response:
    """GET /positions."""
    try:
        least = float(request.first("sizeThreshold") or 1)
    except ValueError:
        raise HttpError(400, "invalid sizeThreshold") from None
    rows = [
        _position_row(position)
        for position in _positions(venue, request, "market")
        if position.size_e6 / ONE_E6 >= least
    ]
    return ok(_slice(request, rows))


def _slice(request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    start = _number(request, "offset", 0, 10_000)
    return rows[start : start + _number(request, "limit", PAGE, PAGE_MAX)]


def _position_row(position: Position) -> dict[str, Any]:
    market, values = position.market, position.values()
    return {
        "proxyWallet": position.wallet.address,
        "asset": market.tokens[position.outcome],
        "conditionId": market.condition_id,
        "size": values["current_size"],
        "avgPrice": values["avg_price"],
        "initialValue": values["entry_cost_usdc"],
        "currentValue": values["current_value"],
        "cashPnl": values["unrealized_pnl"],
        "percentPnl": values["percent_pnl"],
        "totalBought": values["total_size"],
        "realizedPnl": values["realized_pnl"],
        "percentRealizedPnl": values["percent_realized_pnl"],
        "curPrice": position.price,
        "redeemable": market.winner is not None,
        "mergeable": position.mergeable,
        "title": market.question,
        "slug": market.slug,
        "icon": "",
        "eventId": market.event.id,
        "eventSlug": market.event.slug,
        "outcome": market.outcomes[position.outcome],
        "outcomeIndex": position.outcome,
        "oppositeOutcome": market.outcomes[1 - position.outcome],
        "oppositeAsset": position.opposite,
        "endDate": _date(market),
        "negativeRisk": market.neg_risk,
    }


def _date(market: Market) -> str:
    return f"{datetime.fromtimestamp(market.end_ms // 1000, UTC):%Y-%m-%d}"


def get_trades(venue: "Venue", request: Request) -> Response:
    """GET /trades."""
    rows = [
        {
            "proxyWallet": row["proxy_wallet"],
            "side": row["side"],
            "asset": row["token_id"],
            "conditionId": row["condition_id"],
            "size": row["size"],
            "price": row["price"],
            "timestamp": row["timestamp"],
            "title": row["title"],
            "slug": row["slug"],
            "icon": "",
            "eventSlug": row["event_slug"],
            "outcome": row["outcome"],
            "outcomeIndex": row["outcome_index"],
            "name": "",
            "pseudonym": "",
            "bio": "",
            "profileImage": "",
            "profileImageOptimized": "",
            "transactionHash": row["transaction_hash"],
        }
        for row in _trades(venue, request, "market", request.first("takerOnly", "true") != "false")
    ]
    return ok(_slice(request, rows))


def get_value(venue: "Venue", request: Request) -> Response:
    """GET /value."""
    user, value = _value(venue, request, "market")
    return ok([{"user": user, "value": value}])


def _value(venue: "Venue", request: Request, market_parameter: str) -> tuple[str, float]:
    positions = _positions(venue, request, market_parameter)
    value = sum(position.values()["current_value"] for position in positions)
    return request.first("user").lower(), value


# -- the second


def get_positions_v2(venue: "Venue", request: Request) -> Response:
    """GET /v2/positions."""
    wanted = request.first("status")
    return _page(
        request,
        [
            row
            for position in _positions(venue, request, "condition_id")
            for row in (_position_row_v2(position),)
            if wanted in {"", row["status"]} or (wanted == "MERGEABLE" and row["mergeable"])
        ],
    )


def _position_row_v2(position: Position) -> dict[str, Any]:
    market = position.market
    resolved = market.winner is not None
    return {
        "proxy_wallet": position.wallet.address,
        "token_id": market.tokens[position.outcome],
        "condition_id": market.condition_id,
        **position.values(),
        "status": "REDEEMABLE" if resolved else "OPEN",
        "redeemable": resolved,
        "mergeable": position.mergeable,
        "negative_risk": market.neg_risk,
        "archived": False,
        "verified": False,
        "title": market.question,
        "slug": market.slug,
        "event_slug": market.event.slug,
        "event_id": market.event.id,
        "outcome": market.outcomes[position.outcome],
        "outcome_index": position.outcome,
        "opposite_outcome": market.outcomes[1 - position.outcome],
        "opposite_token_id": position.opposite,
        "end_date": _date(market),
    }


def get_trades_v2(venue: "Venue", request: Request) -> Response:
    """GET /v2/trades."""
    taker_only = request.first("taker_only", "true") != "false"
    return _page(request, list(_trades(venue, request, "condition_id", taker_only)))


def _trades(
    venue: "Venue", request: Request, market_parameter: str, taker_only: bool
) -> Iterator[dict[str, Any]]:
    """Yield what is on the chain, newest first: a row for the taker, on demand for the makers."""
    user, side = request.first("user").lower(), request.first("side")
    wanted = _conditions(request, market_parameter)
    mine = venue.trades_of[user] if user else venue.trades
    for trade in reversed(mine.values()):
        market = trade.taker.market
        if not trade.hash or trade.status == "FAILED":
            continue
        if wanted and wanted.isdisjoint({market.condition_id, f"{market.condition_id}00"}):
            continue
        for taker, order, shares, cash, _ in _fills(trade):
            if (
                (taker or not taker_only)
                and user in {"", order.wallet.address}
                and side in {"", wire.side(order.buy)}
            ):
                yield {
                    "proxy_wallet": order.wallet.address,
                    "token_id": order.token,
                    "condition_id": market.condition_id,
                    "side": wire.side(order.buy),
                    "size": shares / ONE_E6,
                    "price": cash / shares,
                    "timestamp": trade.matched_ns // SECOND,
                    "transaction_hash": trade.hash,
                    "title": market.question,
                    "slug": market.slug,
                    "event_slug": market.event.slug,
                    "outcome": market.outcomes[order.outcome],
                    "outcome_index": order.outcome,
                }


def get_value_v2(venue: "Venue", request: Request) -> Response:
    """GET /v2/value."""
    user, value = _value(venue, request, "condition_id")
    return ok({"data": {"proxy_wallet": user, "value": value}})


def get_approvals(venue: "Venue", request: Request) -> Response:
    """GET /v2/approvals: each token contract with each spender; as polymarket-client asks it."""
    user, chain_id = request.first("user").lower(), venue.config.chain_id
    wallet = venue.ledger.wallets.get(user)
    contracts = [
        {
            "token": token,
            "spender": spender,
            "standard": standard,
            "approved": wallet is not None and spender in wallet.approved[standard == "ERC1155"],
            "amount": "max",
        }
        for token, standard in CONTRACTS
        for spender in sorted(spenders(chain_id))
    ]
    return ok({"data": {"address": user, "chain_id": chain_id, "contracts": contracts}})


def _page(request: Request, rows: list[dict[str, Any]]) -> Response:
    try:
        start = wire.decode_cursor(request.first("cursor"))
    except ValueError:
        raise HttpError(400, "invalid cursor") from None
    end = start + (_number(request, "limit", PAGE, PAGE_MAX_V2) or 1)
    more = end < len(rows)
    return ok(
        {
            "data": rows[start:end],
            "pagination": {
                "has_more": more,
                "next_cursor": wire.encode_cursor(end) if more else None,
            },
        }
    )


_PATHS: "Final[dict[str, Callable[[Venue, Request], Response]]]" = {
    "/positions": get_positions,
    "/trades": get_trades,
    "/value": get_value,
    "/v2/positions": get_positions_v2,
    "/v2/trades": get_trades_v2,
    "/v2/value": get_value_v2,
    "/v2/approvals": get_approvals,
}

ROUTES: "Final[dict[str, Handler]]" = {
    f"GET {prefix}{path}": handler
    for path, handler in _PATHS.items()
    for prefix in ("", "/data-api")
}
"""None of them collides with another service, so the prefix may be left out."""
