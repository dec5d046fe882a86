"""
Every fault there is, by name: `KNOWN`.

A fault has a place: a question the venue asks on its way ("what is sent for this answer?"), which
`faults.Faults` answers as if nothing were wrong while no fault is on there. Faults of the places in
`AT_ONCE` wait for no question: they act when they begin.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from polyarb.sim import spoil
from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, ONE_E6, PRICE, size
from polyarb.sim.http import Fate, Request, Response, dump, error
from polyarb.sim.matching import Order
from polyarb.sim.streams import Channel
from polyarb.sim.wire import Trade

if TYPE_CHECKING:
    from polyarb.sim.feeds import Feeds
    from polyarb.sim.venue import Venue

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
MOST: Final = 1e9
"""No number of a fault is larger, so that none of them becomes infinite."""

Steps = tuple[tuple[int, str], ...]
"""What a trade goes through: (nanoseconds after the step before, status)."""

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=MOST)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What a fault is limited to; each place knows some of these.

    Attributes:
        path: "/book", "POST /order", "GET /data/*", "/ws/user"; the others follow from the fault.
        token, market: Token id, condition id. Of a request: anywhere in it. The opening array of a
            market socket concerns no token or market in particular.
        address: A wallet or the EOA behind it.
        kind: Of a frame its ``event_type``, "dump" for the opening array; of a user event that, its
            ``type`` or ``status``; of an order GTC, GTD, FOK, FAK, BUY or SELL; of a relayed
            transaction what it does ("merge").
        leg: Place in a batch, from 0; a single order is 0.
        connection: Number of a socket, counted from 1 by path.
    """

    path: str | None = None
    token: str | None = None
    market: str | None = None
    address: str | None = None
    kind: str | None = None
    leg: int | None = None
    connection: int | None = None


class FaultSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    When a fault fires, and on what.

    Attributes:
        name: One of `KNOWN`.
        at_s: When it begins, seconds after the venue did; None for now.
        for_s: How long it stays; None until it is removed.
        every_s: For faults that wait for no occasion: again and again at this distance.
        probability: Of each occasion.
        count: How often at most.
        match: What it is limited to.
        values: What differs from the fault's defaults.
    """

    name: str
    at_s: _Seconds | None = None
    for_s: _Seconds | None = None
    every_s: Annotated[float, msgspec.Meta(ge=0.001, le=MOST)] | None = None
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    count: _Count | None = None
    match: Match = Match()
    values: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Known:
    """
    A fault there is.

    Attributes:
        place: Where it acts; a key of `PLACES`.
        does: Called with the fault and what the place hands over.
        undo: Called when it ends, if it has ever fired.
        what: What the client sees.
        values: Parameters and their defaults.
        paths: Where it acts unless `Match.path` says otherwise.
        kinds: The same for `Match.kind`.
    """

    place: str
    does: Callable[..., Any]
    what: str
    undo: Callable[["Fault"], None] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Fault:
    """
    One that was asked for.

    Attributes:
        values: The defaults with the spec's changes.
        fired: How often so far.
        on: Whether it has begun and not ended.
        memory: What `does` keeps for `undo`.
    """

    venue: "Venue"
    id: int
    spec: FaultSpec
    known: Known
    values: dict[str, Any]
    fired: int = 0
    on: bool = False
    memory: Any = None

    @property
    def rng(self) -> Random:
        """Return its own random numbers."""
        return self.venue.rng(f"fault {self.id}")

    def ns(self, name: str = "seconds") -> int:
        """Return a value in seconds as nanoseconds."""
        return int(self.values[name] * SECOND)

    def concerns(self, facts: Mapping[str, Any]) -> bool:
        """Say whether it matches an occasion."""
        known, match = self.known, self.spec.match
        if "path" in facts:
            patterns = (match.path,) if match.path else known.paths
            if not any(_on_path(facts["path"], pattern) for pattern in patterns):
                return False
        if known.kinds and match.kind is None and not set(known.kinds) & set(facts["kind"]):
            return False
        return all(
            wanted is None or _fits(facts[name], wanted)
            for name, wanted in msgspec.structs.asdict(match).items()
            if name != "path"
        )


def _on_path(path: str, pattern: str) -> bool:
    """Say whether "POST /order" or "/ws/user" is meant by a pattern, its method being optional."""
    return fnmatchcase(path, pattern) or fnmatchcase(path.rpartition(" ")[2], pattern)


def _fits(fact: Any, wanted: Any) -> bool:
    """Say whether a fact is, or holds, what is wanted."""
    if isinstance(fact, int):
        return bool(fact == wanted)
    return (wanted.encode() if isinstance(fact, bytes) else wanted) in fact


# Requests and their answers

ORDERS: Final = ("POST /order", "POST /orders")
HTML: Final = (
    "<!DOCTYPE html><html><head><title>{status} | polymarket.com | Cloudflare</title></head>"
    "<body><h1>Error {status}</h1><p>cloudflare</p></body></html>\n"
)


def _answer(fault: Fault, _: Request) -> Response:
    return error(fault.values["status"], fault.values["text"])


def _html(fault: Fault, _: Request) -> Response:
    status = fault.values["status"]
    body = HTML.format(status=status).encode()
    return Response(status=status, body=body, content_type="text/html; charset=UTF-8")


def _too_many(fault: Fault, _: Request) -> Response:
    wait = fault.values["retry_after_s"]
    headers = {
        "Retry-After": str(wait),
        "Poly-RateLimit-Remaining": "0",
        "Poly-RateLimit-Reset": str(fault.venue.now_ns // SECOND + wait),
        "Poly-RateLimit-Tier": fault.venue.config.tier,
    }
    body = dump({"error": "Too Many Requests"})
    return Response(status=429, body=body, headers=headers)


def _lost_request(_: Fault, __: Request) -> Response:
    return Response(status=500, body=b"", fate=Fate.LOST)


def _body_error(fault: Fault, request: Request) -> Response:
    item = {"errorMsg": fault.values["text"], "orderID": "", "takingAmount": "", "makingAmount": ""}
    item |= {"status": "", "success": True}
    try:
        asked = json.loads(request.body)
    except (ValueError, RecursionError):
        asked = None
    body = [item] * len(asked) if isinstance(asked, list) else item
    return Response(status=200, body=dump(body))


def _bad_heartbeat(fault: Fault, request: Request) -> Response:
    held = fault.venue.accounts.keys.get(request.headers.get("poly_api_key", ""))
    expected = (held and held.heartbeat_id) or ""
    body = dump({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected})
    return Response(status=400, body=body)


def _late(fault: Fault, _: Request, response: Response) -> tuple[Response, int]:
    return response, fault.ns()


def _lose(_: Fault, __: Request, response: Response) -> tuple[Response, int]:
    return replace(response, fate=Fate.LOST), 0


def _reset(_: Fault, __: Request, response: Response) -> tuple[Response, int]:
    return replace(response, fate=Fate.CUT), 0


def _then_error(fault: Fault, _: Request, response: Response) -> tuple[Response, int]:
    told = error(fault.values["status"], fault.values["text"])
    return replace(response, status=told.status, body=told.body), 0


def _half_body(_: Fault, __: Request, response: Response) -> tuple[Response, int]:
    return replace(response, body=spoil.truncated(response.body)), 0


def _ghost_book(fault: Fault, _: Request, response: Response) -> tuple[Response, int]:
    wanted = fault.spec.match
    try:
        told = json.loads(response.body)
    except ValueError:  # another fault has spoiled it already
        return response, 0
    for book in told if isinstance(told, list) else [told]:
        if not isinstance(book, dict) or "bids" not in book:
            continue
        if wanted.token in {None, book["asset_id"]} and wanted.market in {None, book["market"]}:
            amount = fault.values["size"]
            book |= {"bids": [{"price": "0.01", "size": amount}], "hash": ""}
            book |= {"asks": [{"price": "0.99", "size": amount}]}
            book["hash"] = hashlib.sha1(dump(book), usedforsecurity=False).hexdigest()
    return replace(response, body=dump(told)), 0


# Orders and trades

REFUSALS: Final[dict[str, tuple[int, str]]] = {
    "tick": (400, "order {id} is invalid. Price ({price}) breaks minimum tick size rule: {tick}"),
    "size": (400, "order {id} is invalid. Size ({size}) lower than the minimum: {min}"),
    "duplicated": (400, "order {id} is invalid. Duplicated."),
    "balance": (
        400,
        "not enough balance / allowance: the balance is not enough -> balance: 0, order amount: "
        "{amount}",
    ),
    "funds": (400, "not enough balance / allowance"),
    "expiration": (400, "invalid expiration"),
    "insert": (500, "could not insert order"),
    "post_only_type": (400, "invalid post-only order: post-only is for GTC and GTD orders only"),
    "post_only_crosses": (400, "invalid post-only order: order crosses book"),
    "execution": (400, "could not run the execution"),
    "delaying": (400, "error delaying the order"),
    "fok": (400, "order couldn't be fully filled. FOK orders are fully filled or killed."),
    "fak": (
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no "
        "match is found.",
    ),
    "not_ready": (400, "the market is not yet ready to process new orders"),
    "payload": (400, "Invalid order payload"),
    "owner": (400, "the order owner has to be the owner of the API KEY"),
    "signer": (400, "the order signer address has to be the address of the API KEY"),
    "maker": (400, "maker address not allowed, please use the deposit wallet flow"),
    "banned": (400, "'{address}' address banned"),
    "closed_only": (400, "'{address}' address in closed only mode"),
    "signature": (400, "invalid signature"),
    "version": (400, "order_version_mismatch"),
    "crosses": (400, "order {id} crosses the book"),
    "canceled": (400, "order canceled in the CTF exchange contract"),
    "accuracy": (
        400,
        "invalid amounts, the buy orders maker amount supports a max accuracy of 4 decimals, taker "
        "amount a max of 2 decimals",
    ),
    "marketable": (400, "invalid amount for a marketable BUY order ($0.98), min size: $1"),
    "market": (404, "market not found"),
    "timed_out": (500, "order timed out"),
    "no_match": (500, "there are no matching orders"),
    "killed": (500, "FOK orders are filled or killed"),
    "rounding": (500, "the trade contains rounding issues"),
    "discrepancy": (
        500,
        "the price of the taker's order has a discrepancy greater than allowed with the worst "
        "maker order",
    ),
    "internal": (500, "Internal server error"),
    "post_only": (503, "post-only mode: only post-only orders and cancels are allowed"),
    "disabled": (503, "Trading is currently disabled. Check polymarket.com for updates"),
}
"""What an order can be refused with, whatever is wrong with it (section 13)."""


def _refuse(fault: Fault, order: Order) -> tuple[int, str]:
    if fault.values["text"]:
        return 400, fault.values["text"]
    status, text = REFUSALS[fault.values["reason"]]
    market = order.market
    return status, text.format(
        id=order.id,
        price=PRICE[order.price_e4],
        size=size(order.size_e6),
        tick=PRICE[market.tick_e4],
        min=size(market.min_size_e6),
        amount=order.size_e6,
        address=order.wallet.address,
    )


def _share(fault: Fault, _: Order) -> int:
    return int(fault.values["share"] * ONE_E6)


def _yes(*_: object) -> bool:
    return True


def _fail(_: Fault, __: Trade, steps: Steps) -> Steps:
    return ((steps[0][0], "FAILED"),)


def _retry(fault: Fault, _: Trade, steps: Steps) -> Steps:
    first, then = steps[0]
    fails = fault.values["end"] == "FAILED" or any(status == "FAILED" for _, status in steps)
    if fails:  # whichever fault says so: what is MINED never fails
        return ((first, "RETRYING"), (fault.ns(), "FAILED"))
    return ((first, "RETRYING"), (fault.ns(), then), *steps[1:])


def _linger(fault: Fault, _: Trade, steps: Steps) -> Steps:
    return ((fault.ns(), steps[0][1]), *steps[1:])


def _hash_later(fault: Fault, trade: Trade) -> bool:
    fault.venue.schedule(fault.venue.now_ns + fault.ns(), _show_hash, fault.venue, trade)
    return True


def _show_hash(venue: "Venue", trade: Trade) -> None:
    trade.hash, trade.updated_ns = trade.report_hash, venue.now_ns
    venue.say("hash", trade.id)
    venue.users.trade(trade)


# Frames


@dataclass(frozen=True, slots=True)
class Parcel:
    """
    A frame on its way to one channel.

    Attributes:
        raw: The bytes are WebSocket frames already.
        jumps: It keeps to its own delay, whatever was sent before or after it.
    """

    data: bytes
    delay_ns: int
    raw: bool = False
    jumps: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """Where frames go."""

    feeds: "Feeds"
    channel: Channel

    def send(self, parcel: Parcel) -> None:
        """Put a parcel on its way."""
        hand = self.channel.raw if parcel.raw else self.channel.text
        if parcel.jumps:
            venue = self.feeds.venue
            venue.schedule(venue.now_ns + parcel.delay_ns, hand, parcel.data)
        else:
            self.feeds.act(self.channel, partial(hand, parcel.data), parcel.delay_ns)


def _drop(*_: object) -> list[Parcel]:
    return []


def _twice(_: Fault, __: Way, parcel: Parcel) -> list[Parcel]:
    return [parcel, parcel]


def _overtaken(fault: Fault, _: Way, parcel: Parcel) -> list[Parcel]:
    low, high = int(fault.values["min_ms"]), int(fault.values["max_ms"])
    late = fault.rng.randint(low, max(low, high)) * MS
    return [replace(parcel, delay_ns=parcel.delay_ns + late, jumps=True)]


def _slow(fault: Fault, _: Way, parcel: Parcel) -> list[Parcel]:
    return [replace(parcel, delay_ns=parcel.delay_ns + fault.ns())]


def _stray(fault: Fault, _: Way, parcel: Parcel) -> list[Parcel]:
    return [replace(parcel, data=fault.values["text"].encode()), parcel]


def _spoiled(
    act: Callable[[Fault, bytes], bytes], *, raw: bool = False
) -> Callable[[Fault, Way, Parcel], list[Parcel]]:
    def does(fault: Fault, _: Way, parcel: Parcel) -> list[Parcel]:
        return [parcel if parcel.raw else replace(parcel, data=act(fault, parcel.data), raw=raw)]

    return does


def _malformed(fault: Fault, frame: bytes) -> bytes:
    form = fault.values["form"] or fault.rng.choice(list(spoil.FORMS))
    return spoil.FORMS[form](frame)


def _stale_top(fault: Fault, frame: bytes) -> bytes:
    market = _market_of(fault, frame)
    return spoil.stale_top(frame, market.tick_e4) if market else frame


def _old_format(fault: Fault, way: Way, parcel: Parcel) -> list[Parcel]:
    frames = spoil.old(parcel.data, fault.values["form"], way.channel.tokens)
    return [replace(parcel, data=frame) for frame in frames]


def _crossed(fault: Fault, way: Way, parcel: Parcel) -> list[Parcel]:
    """Show a bid a tick above the best ask, then what really stands at that price."""
    venue = fault.venue
    market = _market_of(fault, parcel.data)
    best = venue.book(market).best(False) if market else None
    if market is None or best is None:
        return [parcel]
    level = min(best + market.tick_e4, ONE_E4 - market.tick_e4)
    shown = json.loads(_level(venue, market, level))
    for entry in shown["price_changes"]:
        entry["size"] = fault.values["size"]
        if entry["side"] == "BUY":
            entry["best_bid"] = PRICE[level]
        else:
            entry["best_ask"] = PRICE[ONE_E4 - level]
    clear = venue.now_ns + parcel.delay_ns + int(fault.values["ms"]) * MS
    venue.schedule(clear, lambda: way.send(Parcel(_level(venue, market, level), 0)))
    return [parcel, replace(parcel, data=dump(shown))]


def _level(venue: "Venue", market: Market, level_e4: int) -> bytes:
    page = venue.feeds.page(market)
    return page.change(0, [(True, level_e4)], (page.hash(0), page.hash(1)))


def _market_of(fault: Fault, frame: bytes) -> Market | None:
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    found = message.get("market") if isinstance(message, dict) else None
    return fault.venue.catalog.markets.get(str(found))


# User events: the delays at which each is told


def _never(*_: object) -> tuple[int, ...]:
    return ()


def _again(fault: Fault, delays: tuple[int, ...]) -> tuple[int, ...]:
    return (*delays, *(delay + fault.ns() for delay in delays))


def _later(fault: Fault, delays: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(delay + fault.ns() for delay in delays)


# The venue as a whole


def _mode(mode: str) -> Callable[[Fault], None]:
    return lambda fault: fault.venue.set_mode(mode)


def _restart(fault: Fault) -> None:
    fault.venue.set_mode("restarting", max(fault.values["seconds"], 0.001))


def _over(mode: str) -> Callable[[Fault], None]:
    def undo(fault: Fault) -> None:
        if fault.venue.mode == mode:
            fault.venue.set_mode(fault.venue.faults.newest_mode() or "normal")

    return undo


def _chosen(fault: Fault) -> Market | None:
    """Return the market that is meant, or any that trades."""
    match, catalog = fault.spec.match, fault.venue.catalog
    markets = [
        market
        for market in catalog.markets.values()
        if market.accepting
        and match.market in {None, market.condition_id}
        and (match.token is None or match.token in market.tokens)
    ]
    return fault.rng.choice(markets) if markets else None


def _tick(fault: Fault) -> None:
    market = _chosen(fault)
    tick_e4 = TICKS[fault.values["tick"]]
    if market and market.tick_e4 != tick_e4:
        fault.venue.set_tick(market, tick_e4)


def _close_market(fault: Fault) -> None:
    market = _chosen(fault)
    if market:
        fault.memory = [*(fault.memory or []), market]
        fault.venue.close_market(market)


def _reopen(fault: Fault) -> None:
    for market in fault.memory or []:
        ended = market.event.end_ms and fault.venue.now_ns >= market.event.end_ms * MS
        market.accepting = not market.closed and not ended


def _on_channels(act: Callable[["Feeds", Channel], None]) -> Callable[[Fault], None]:
    def does(fault: Fault) -> None:
        for feeds in (fault.venue.feeds, fault.venue.users):
            for channel in list(feeds.channels.values()):
                markets = {
                    fault.venue.catalog.tokens[token][0].condition_id
                    for token in channel.tokens
                    if token in fault.venue.catalog.tokens
                }
                facts = {"path": channel.path, "connection": channel.number}
                if fault.concerns(facts | {"token": channel.tokens, "market": markets}):
                    act(feeds, channel)

    return does


def _refuse_connections(fault: Fault) -> None:
    if fault.venue.on_refuse_connections:
        fault.venue.on_refuse_connections(fault.values["seconds"])


def _skew(fault: Fault) -> None:
    fault.memory = (fault.memory or 0) + fault.values["offset_s"]
    fault.venue.faults.skew_s += fault.values["offset_s"]


def _unskew(fault: Fault) -> None:
    fault.venue.faults.skew_s -= fault.memory


def _look(fault: Fault) -> None:
    """Remember what every client holds; believe it until the next look."""
    venue, wanted = fault.venue, fault.spec.match.address
    for wallet in venue.ledger.wallets.values():
        if wallet.kind >= 0 and (not wanted or wanted in {wallet.address, wallet.owner}):
            fault.memory = {*(fault.memory or ()), wallet.address}
            venue.faults.believed[wallet.address] = (wallet.cash_e6, dict(wallet.positions))


def _see(fault: Fault) -> None:
    for address in fault.memory or ():
        fault.venue.faults.believed.pop(address, None)


TICKS: Final = {"0.1": 1000, "0.01": 100, "0.005": 50, "0.0025": 25, "0.001": 10, "0.0001": 1}
CHOICES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("leg_refused", "reason"): tuple(REFUSALS),
    ("trade_retrying", "end"): ("MINED", "FAILED"),
    ("malformed_frame", "form"): ("", *spoil.FORMS),
    ("old_format", "form"): ("changes", "flat"),
    ("relayer_failed", "state"): ("STATE_FAILED", "STATE_INVALID"),
    ("tick_change", "tick"): tuple(TICKS),
}
"""Values of which only these are allowed."""

_ASKED: Final = ("path", "token", "market", "address")
_ORDER: Final = ("token", "market", "address", "kind", "leg")
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "request": _ASKED,
    "response": _ASKED,
    "order": _ORDER,
    "match": _ORDER,
    "hold": _ORDER,
    "trade": ("token", "market", "address"),
    "hash": ("token", "market", "address"),
    "snapshot": ("token", "market"),
    "frame": ("path", "token", "market", "kind", "connection"),
    "pong": ("path", "connection"),
    "user": ("token", "market", "address", "kind"),
    "relayer": ("kind",),
    "relayer_wait": ("kind",),
    "venue": (),
    "market": ("token", "market"),
    "sockets": ("path", "token", "market", "connection"),
    "balances": ("address",),
}
"""Where faults act, and the members of `Match` that mean something there."""

AT_ONCE: Final = frozenset({"venue", "market", "sockets", "balances"})
"""Places where a fault acts when it begins, and every `every_s`."""

RANGES: Final = {
    "status": (200, 599),
    "share": (0, 1),
    "parts": (2, 1000),
    "bytes": (0, 1 << 26),
    "offset_s": (-MOST, MOST),
    "every_s": (0.1, MOST),
}
"""Of values; all other numbers are 0..MOST."""

_CHANGE: Final = ("price_change",)
_PRICED: Final = ("dump", "book", "price_change", "last_trade_price", "order", "trade")


def _known(
    place: str,
    does: Callable[..., Any],
    what: str,
    *,
    on: tuple[str, ...] = ("*",),
    kinds: tuple[str, ...] = (),
    undo: Callable[[Fault], None] | None = None,
    **values: Any,
) -> Known:
    return Known(place, does, what, undo, values, on, kinds)


def _frame(does: Callable[..., Any], what: str, **more: Any) -> Known:
    return _known("frame", does, what, on=("/ws/market",), **more)


KNOWN: Final[dict[str, Known]] = {
    # in place of handling a request
    "error": _known(
        "request",
        _answer,
        "an error answer; the request is not handled",
        status=500,
        text="Internal server error",
    ),
    "error_200": _known(
        "request",
        _answer,
        "the same under status 200",
        status=200,
        text="order_version_mismatch",
        on=ORDERS,
    ),
    "html_error": _known(
        "request",
        _html,
        "a Cloudflare page instead of JSON (403, 502); the request is not handled",
        status=502,
    ),
    "too_many_requests": _known(
        "request", _too_many, "429 with Retry-After and the rate-limit headers", retry_after_s=1
    ),
    "request_lost": _known(
        "request", _lost_request, "the connection closes; the request is not handled", on=ORDERS
    ),
    "order_timed_out": _known(
        "request",
        _answer,
        "500 order timed out; nothing is placed",
        status=500,
        text="order timed out",
        on=ORDERS,
    ),
    "order_body_error": _known(
        "request",
        _body_error,
        "200, success true, a filled errorMsg; nothing is placed",
        text="could not run the execution",
        on=ORDERS,
    ),
    "heartbeat_refused": _known(
        "request",
        _bad_heartbeat,
        "400 Invalid Heartbeat ID with the expected one; the deadline stays",
        on=("POST /v1/heartbeats",),
    ),
    "relayer_busy": _known(
        "request",
        _answer,
        "400 wallet busy; nothing is submitted",
        status=400,
        text="wallet busy: active action",
        on=("POST /relayer/submit", "POST /submit"),
    ),
    # after handling it, where the answer is 200
    "response_lost": _known(
        "response", _lose, "accepted, then the connection closes before the first byte", on=ORDERS
    ),
    "accepted_then_500": _known(
        "response",
        _then_error,
        "accepted, but the answer is an error",
        status=500,
        text="Internal server error",
        on=ORDERS,
    ),
    "slow": _known(
        "response", _late, "handled at once, answered beyond any time-out", seconds=12.0
    ),
    "reset_mid_response": _known("response", _reset, "half of the answer, then a connection reset"),
    "truncated_body": _known(
        "response", _half_body, "200 and half of the JSON, as if it were whole"
    ),
    "user_event_early": _known(
        "response",
        _late,
        "the answer comes later than the user events of the order",
        seconds=0.2,
        on=ORDERS,
    ),
    "ghost_book": _known(
        "response",
        _ghost_book,
        "a REST book of 0.01 and 0.99 alone",
        size="1000",
        on=("GET /book", "POST /books"),
    ),
    # orders
    "leg_refused": _known(
        "order",
        _refuse,
        "a good order is refused; reason names one of the texts, text is any other",
        reason="balance",
        text="",
    ),
    "leg_partial": _known(
        "match", _share, "a FAK fills at most this share of its size; a FOK is killed", share=0.5
    ),
    "delayed_unmatched": _known(
        "hold", _yes, "the makers are gone when a held order is let go: it rests, or is killed"
    ),
    # trades
    "trade_failed": _known("trade", _fail, "FAILED after MATCHED"),
    "trade_retrying": _known(
        "trade", _retry, "RETRYING after MATCHED, then MINED or FAILED", seconds=5.0, end="MINED"
    ),
    "slow_settlement": _known(
        "trade", _linger, "MATCHED for a long time before MINED", seconds=60.0
    ),
    "delayed_hash": _known(
        "hash", _hash_later, "MINED without a transaction hash, which follows", seconds=20.0
    ),
    # the market socket, and with path = "/ws/user" the user socket
    "frozen_feed": _frame(_drop, "no data while PONG goes on"),
    "lost_frames": _frame(_drop, "a change is never sent", kinds=_CHANGE),
    "missing_snapshot": _known("snapshot", _yes, "no opening book for a token"),
    "duplicate_frames": _frame(_twice, "each frame twice"),
    "reordered_frames": _frame(_overtaken, "a frame comes after later ones", min_ms=1, max_ms=30),
    "late_change": _frame(
        _overtaken,
        "a change comes late although hashes of others count with it",
        min_ms=29,
        max_ms=56,
        kinds=_CHANGE,
    ),
    "slow_feed": _frame(_slow, "every frame late, in order", seconds=2.0),
    "malformed_frame": _frame(
        _spoiled(_malformed), "a frame broken in a form, by default any", form="", kinds=_PRICED
    ),
    "truncated_frame": _frame(_spoiled(lambda _, frame: spoil.truncated(frame)), "half of a frame"),
    "huge_frame": _frame(
        _spoiled(lambda fault, frame: spoil.huge(frame, fault.values["bytes"])),
        "a frame of 8 MB",
        bytes=8 << 20,
    ),
    "binary_frame": _frame(
        _spoiled(lambda _, frame: spoil.binary(frame), raw=True), "a binary message"
    ),
    "fragmented_frame": _frame(
        _spoiled(lambda fault, frame: spoil.fragments(frame, fault.values["parts"]), raw=True),
        "a message in WebSocket fragments, a ping between them",
        parts=3,
    ),
    "stray_text": _frame(_stray, "text that is no JSON before a frame", text="hello"),
    "loose_types": _frame(
        _spoiled(lambda _, frame: spoil.loose(frame)), "numbers as numbers, optional members empty"
    ),
    "old_format": _frame(
        _old_format, "price_change as in 2025 or 2024", form="changes", kinds=_CHANGE
    ),
    "crossed_book": _frame(
        _crossed, "a bid above the ask for some tens of ms", ms=40, size="25", kinds=_CHANGE
    ),
    "stale_top": _frame(
        _spoiled(_stale_top), "best_bid and best_ask disagree with the book", kinds=_CHANGE
    ),
    "wrong_hash": _frame(
        _spoiled(
            lambda fault, frame: spoil.wrong_hash(frame, f"{fault.rng.getrandbits(160):040x}")
        ),
        "hashes of no book",
        kinds=("dump", "book", "price_change"),
    ),
    "pong_lost": _known("pong", _yes, "no PONG for a PING"),
    # the user socket
    "user_event_missing": _known("user", _never, "a user event is never sent"),
    "user_event_twice": _known("user", _again, "a user event comes again", seconds=0.05),
    "user_events_reordered": _known(
        "user", _later, "a user event comes after later ones", seconds=0.5
    ),
    # the relayer
    "relayer_failed": _known(
        "relayer",
        lambda fault: fault.values["state"],
        "a relayed transaction fails",
        state="STATE_FAILED",
    ),
    "relayer_slow": _known(
        "relayer_wait",
        lambda fault: fault.ns(),
        "every state of a relayed transaction takes longer",
        seconds=30.0,
    ),
    # the venue as a whole
    "restart": _known(
        "venue", _restart, "425 service not ready, then two minutes post-only", seconds=90.0
    ),
    **{
        name: _known("venue", _mode(name), what, undo=_over(name))
        for name, what in (  # how they are left again: `for_s`, or by removing them
            ("post_only", "503 post_only_mode for all but post-only orders and cancels"),
            ("cancel_only", "503 for every new order"),
            ("disabled", "503 for orders and cancels"),
        )
    },
    "tick_change": _known(
        "market", _tick, "another tick for a market, by default any", tick="0.001"
    ),
    "market_closed": _known(
        "market",
        _close_market,
        "a market, by default any, accepts no orders; those there are go",
        undo=_reopen,
    ),
    "abort_1006": _known(
        "sockets",
        _on_channels(lambda feeds, channel: feeds.drop(channel)),
        "sockets end without a close frame",
    ),
    "slow_consumer": _known(
        "sockets",
        _on_channels(
            lambda feeds, channel: feeds.end(channel, 1013, "slow consumer: send buffer full")
        ),
        "sockets end with close code 1013",
    ),
    "refused_connections": _known(
        "venue",
        _refuse_connections,
        "nobody gets a new connection for the value `seconds`",
        seconds=5.0,
    ),
    "clock_skew": _known(
        "venue",
        _skew,
        "the venue's clock is off, for /time and for timestamps of requests",
        undo=_unskew,
        offset_s=60,
    ),
    "lagging_balance": _known(
        "balances",
        _look,
        "the venue looks at wallets only so often; it refuses what they did not hold then",
        undo=_see,
        every_s=30.0,
    ),
}
"""Every fault by its name."""
