"""
Who hears what: the market socket and the user socket (protocol.md sections 20 and 21).

Both are lists of `streams.Channel`. What a client sends comes in as text; what it gets goes to its
channel after the delays that were recorded, in order.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from polyarb.sim import wire
from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, PRICE, size
from polyarb.sim.http import dump
from polyarb.sim.matching import Book, Order
from polyarb.sim.streams import Channel, Page, Sink, jitter_ns, spread_out
from polyarb.sim.wire import Trade

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
SETTLED_NS: Final = 10_000_000
"""How long a connection's delay lasts: frames close to each other suffer the same."""
PATHS: Final = ("/ws/market", "/ws/user")


class Feeds:
    """What both sockets share: opening, PING, idling, closing."""

    path = ""

    def __init__(self, venue: "Venue") -> None:
        self.venue = venue
        self.channels: dict[int, Channel] = {}
        self._count = 0

    def open(self, sink: Sink) -> Channel:
        """Take a new connection."""
        self._count += 1
        channel = Channel(self._count, self.path, sink, self.venue.now_ns)
        self.channels[channel.number] = channel
        self.venue.counts[f"opened {self.path}"] += 1
        self._watch_idle(channel)
        return channel

    def gone(self, channel: Channel) -> None:
        """Forget a connection that ended on the client's side."""
        channel.open = False
        self.channels.pop(channel.number, None)

    def end(self, channel: Channel, code: int = 1000, reason: str = "") -> None:
        """Close a connection from this side."""
        channel.close(code, reason)
        self.gone(channel)

    def drop(self, channel: Channel) -> None:
        """Cut a connection from this side, without a close frame."""
        channel.abort()
        self.gone(channel)

    def receive(self, channel: Channel, text: str) -> None:
        """Take one text message from a client; what is no message is ignored."""
        if text.strip().upper() == "PING":
            channel.pinged_ns = self.venue.now_ns
            if not self.venue.faults.pong_lost(channel):
                self.deliver(channel, b"PONG", self.venue.config.pong_ms * MS)
            return
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict):
            self._message(channel, message)

    def deliver(self, channel: Channel, data: bytes, delay_ns: int = 0) -> None:
        """Send a message after a delay, but not before earlier ones."""
        self.act(channel, partial(channel.text, data), delay_ns)

    def post(self, channel: Channel, kind: str, frame: bytes, delay_ns: int = 0) -> None:
        """Send what there is to tell on its way, through whatever faults are on."""
        if self.venue.faults.frames:
            self.venue.faults.frame(self, channel, kind, frame, delay_ns)
        else:
            self.deliver(channel, frame, delay_ns)

    def act(self, channel: Channel, act: Callable[[], None], delay_ns: int = 0) -> None:
        """Do something to a channel in the order of its messages."""
        now = self.venue.now_ns
        due = channel.later(now + delay_ns, act, now)
        if due is not None:
            self.venue.schedule(due, self._flush, channel)

    def _flush(self, channel: Channel) -> None:
        channel.flush(self.venue.now_ns)

    def _watch_idle(self, channel: Channel) -> None:
        limit = self.venue.config.idle_close_s * SECOND
        if not channel.open:
            return
        if self.venue.now_ns - channel.pinged_ns >= limit:
            self.drop(channel)
        else:
            self.venue.schedule(channel.pinged_ns + limit, self._watch_idle, channel)

    def _message(self, channel: Channel, message: dict[str, Any]) -> None:
        raise NotImplementedError


class MarketFeeds(Feeds):
    """
    The market socket.

    A market's `Page` lives while someone watches it, so an unwatched market costs nothing.
    """

    path = "/ws/market"

    def __init__(self, venue: "Venue") -> None:
        super().__init__(venue)
        self._pages: dict[str, Page] = {}
        self._watching: defaultdict[str, dict[int, Channel]] = defaultdict(dict)
        self._on_token: defaultdict[str, dict[int, Channel]] = defaultdict(dict)

    def page(self, market: Market) -> Page:
        """Return the text of a market's book as it is now."""
        return self._pages.get(market.condition_id) or Page(self.venue.book(market))

    def gone(self, channel: Channel) -> None:
        """Forget a connection and its subscriptions."""
        super().gone(channel)
        self._unsubscribe(channel, list(channel.tokens))

    # -- what clients ask for

    def _message(self, channel: Channel, message: dict[str, Any]) -> None:
        tokens = [str(token) for token in _strings(message.get("assets_ids"))]
        operation = message.get("operation")
        custom = message.get("custom_feature_enabled")
        if isinstance(custom, bool):
            channel.custom = custom
        if operation == "unsubscribe":
            self._unsubscribe(channel, tokens)
        elif operation == "subscribe" or str(message.get("type", "")).lower() == "market":
            self._subscribe(channel, tokens, dump_wanted=message.get("initial_dump") is not False)

    def _subscribe(self, channel: Channel, tokens: list[str], *, dump_wanted: bool) -> None:
        first = not channel.subscribed
        channel.subscribed = True
        fresh = [token for token in dict.fromkeys(tokens) if token not in channel.tokens]
        known = self.venue.catalog.tokens
        for token in fresh:
            if token not in known:
                continue
            channel.tokens[token] = None
            market = known[token][0]
            self._on_token[token][channel.number] = channel
            self._watching[market.condition_id][channel.number] = channel
            self._pages.setdefault(market.condition_id, Page(self.venue.book(market)))
        if not fresh and not first:
            if channel.custom:
                self.deliver(channel, b"NO NEW ASSETS")
            return
        if dump_wanted and len(channel.tokens) <= self.venue.config.dump_limit:
            self._dump(channel, fresh)

    def _dump(self, channel: Channel, tokens: list[str]) -> None:
        """Send the opening array: one book a token that still trades, in no special order."""
        found = [self.venue.catalog.tokens[t] for t in tokens if t in self.venue.catalog.tokens]
        books = [
            self._pages[market.condition_id].snapshot(outcome, first=True)
            for market, outcome in found
            if not market.closed and not self.venue.faults.withhold_snapshot(market, outcome)
        ]
        self.venue.rng("feed").shuffle(books)
        self._post(channel, "dump", b"[" + b",".join(books) + b"]\n")

    def _unsubscribe(self, channel: Channel, tokens: list[str]) -> None:
        known = self.venue.catalog.tokens
        for token in tokens:
            if channel.tokens.pop(token, self) is self or token not in known:
                continue
            market = known[token][0]
            self._on_token[token].pop(channel.number, None)
            if any(other in channel.tokens for other in market.tokens):
                continue
            watching = self._watching[market.condition_id]
            watching.pop(channel.number, None)
            if not watching:
                self._pages.pop(market.condition_id, None)

    # -- what the venue has to say

    def changed(
        self,
        book: Book,
        outcome: int,
        changes: Iterable[tuple[bool, int]],
        trade: Trade | None,
        *,
        moved: bool,
    ) -> None:
        """Send what changed on a book: its levels, after a trade the whole book, then its touch."""
        page = self._pages.get(book.market.condition_id)
        if page is None:
            return
        for bid, level_e4 in changes:
            page.update(bid, level_e4)
        self._levels(page, book.market, outcome, list(changes))
        if trade:
            for token in (0, 1):
                told = self._told(book.market, token)
                if told:
                    self._send(told, "book", page.snapshot(token, first=False))
            report = self.venue.rng("feed").randint(*self.venue.config.trade_report_ms) * MS
            self.venue.schedule(self.venue.now_ns + report, self._report, trade)
        if moved:
            self._best(book)

    def _levels(
        self, page: Page, market: Market, outcome: int, changes: list[tuple[bool, int]]
    ) -> None:
        hashes = (page.hash(0), page.hash(1))
        form = self.venue.config.format
        if form == "2026":
            watching = self._watching[market.condition_id].values()
            self._send(watching, "price_change", page.change(outcome, changes, hashes))
            return
        for token in (0, 1):
            for frame in page.old_changes(token, changes, hashes, form == "flat"):
                self._send(self._told(market, token), "price_change", frame)

    def _report(self, trade: Trade) -> None:
        """Send last_trade_price, later than the book it changed, for the taker's token alone."""
        taker = trade.taker
        self._send(
            self._told(taker.market, taker.outcome),
            "last_trade_price",
            dump(
                {
                    "market": taker.market.condition_id,
                    "asset_id": taker.token,
                    "price": PRICE[trade.price_e4],
                    "size": size(trade.size_e6),
                    "fee_rate_bps": "0",
                    "side": wire.side(taker.buy),
                    "timestamp": str(self.venue.now_ns // MS),
                    "event_type": "last_trade_price",
                    "transaction_hash": trade.report_hash,
                }
            ),
        )

    def _best(self, book: Book) -> None:
        market = book.market
        for outcome, token in enumerate(market.tokens):
            told = [c for c in self._on_token[token].values() if c.custom]
            if not told:
                continue
            bid, ask = book.best(True, outcome) or 0, book.best(False, outcome)
            ask = ONE_E4 if ask is None else ask
            frame = {
                "market": market.condition_id,
                "asset_id": token,
                "best_bid": PRICE[bid],
                "best_ask": PRICE[ask],
                "spread": PRICE[max(0, ask - bid)],
                "timestamp": str(self.venue.now_ns // MS),
                "event_type": "best_bid_ask",
            }
            self._send(told, "best_bid_ask", dump(frame))

    def tick_changed(self, market: Market, old_e4: int) -> None:
        """Announce a new tick for both tokens."""
        for outcome, token in enumerate(market.tokens):
            frame = {
                "market": market.condition_id,
                "asset_id": token,
                "old_tick_size": PRICE[old_e4],
                "new_tick_size": PRICE[market.tick_e4],
                "timestamp": str(self.venue.now_ns // MS),
                "event_type": "tick_size_change",
            }
            self._send(self._told(market, outcome), "tick_size_change", dump(frame))

    def opened(self, market: Market) -> None:
        """Announce a new market to everyone with custom features."""
        told = [channel for channel in self.channels.values() if channel.custom]
        self._send(told, "new_market", dump(_new_market(market, self.venue.now_ns)))

    def resolved(self, market: Market) -> None:
        """Announce a result; a connection all of whose tokens are settled ends a second later."""
        watching = list(self._watching[market.condition_id].values())
        told = [channel for channel in watching if channel.custom]
        self._send(told, "market_resolved", dump(_market_resolved(market, self.venue.now_ns)))
        known = self.venue.catalog.tokens
        for channel in watching:
            if all(token in known and known[token][0].closed for token in channel.tokens):
                # Not queued before it is due: the event's other results come in between.
                end = partial(self.end, channel, 1000, "all subscribed assets resolved")
                self.venue.schedule(self.venue.now_ns + SECOND, self.act, channel, end)

    def _told(self, market: Market, outcome: int) -> list[Channel]:
        return list(self._on_token[market.tokens[outcome]].values())

    def _send(self, channels: Iterable[Channel], kind: str, frame: bytes) -> None:
        if self.venue.config.spaced:
            frame = spread_out(frame)
        for channel in list(channels):
            self._post(channel, kind, frame)

    def _post(self, channel: Channel, kind: str, frame: bytes) -> None:
        now = self.venue.now_ns
        if now >= channel.settled_ns:
            channel.delay_ns = jitter_ns(self.venue.rng("feed"), self.venue.config.feed_delay_ms)
            channel.settled_ns = now + SETTLED_NS
        self.venue.counts["frames"] += 1
        self.post(channel, kind, frame, channel.delay_ns)


class UserFeeds(Feeds):
    """The user socket: orders and trades of one API key."""

    path = "/ws/user"

    def _message(self, channel: Channel, message: dict[str, Any]) -> None:
        markets = [str(market) for market in _strings(message.get("markets"))]
        operation = message.get("operation")
        if operation in ("subscribe", "unsubscribe") and channel.owner:
            self._filter(channel, operation == "subscribe", markets)
        elif str(message.get("type", "")).lower() == "user":
            self._log_in(channel, message.get("auth"), markets)

    def _log_in(self, channel: Channel, auth: object, markets: list[str]) -> None:
        given = auth if isinstance(auth, dict) else {}
        credential = self.venue.accounts.keys.get(str(given.get("apiKey")))
        if (
            credential is None
            or given.get("secret") != credential.secret
            or given.get("passphrase") != credential.passphrase
        ):
            self.end(channel, 1008, "invalid credentials")
            return
        channel.owner = credential.key
        channel.markets = set(markets) or None

    def _filter(self, channel: Channel, add: bool, markets: list[str]) -> None:
        if add:
            channel.markets = (channel.markets or set()) | set(markets)
        elif channel.markets is not None:
            channel.markets = channel.markets - set(markets) or None  # none left: all again

    def order(self, order: Order, what: str) -> None:
        """Tell an order's owner what became of it: PLACEMENT, UPDATE or CANCELLATION."""
        if order.owner:
            event = wire.order_event(order, what, self.venue.now_ns, order.status)
            self._later(order.owner, order.market, event)

    def trade(self, trade: Trade) -> None:
        """Tell everyone concerned where a trade stands."""
        for owner, side in trade.owners().items():
            event = wire.trade_event(trade, owner, side, self.venue.now_ns)
            self._later(owner, trade.taker.market, event)

    def _later(self, owner: str, market: Market, event: dict[str, Any]) -> None:
        usual_ns = self.venue.config.user_event_ms * MS
        for delay_ns in self.venue.faults.user_events(event, usual_ns):
            self.venue.schedule(
                self.venue.now_ns + delay_ns, self._tell, owner, market.condition_id, event
            )

    def _tell(self, owner: str, condition: str, event: dict[str, Any]) -> None:
        """Deliver to whoever is connected now; nobody hears it later."""
        frame = dump(event)
        for channel in list(self.channels.values()):
            if channel.owner == owner and (channel.markets is None or condition in channel.markets):
                self.post(channel, event["event_type"], frame)


def _strings(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _new_market(market: Market, now_ns: int) -> dict[str, Any]:
    event = market.event
    fee = market.fee
    return {
        "id": market.gamma_id,
        "question": market.question,
        "market": market.condition_id,
        "slug": market.slug,
        "description": market.description,
        "assets_ids": list(market.tokens),
        "outcomes": list(market.outcomes),
        "event_message": {
            "id": event.id,
            "ticker": event.slug,
            "slug": event.slug,
            "title": event.title,
            "description": event.description,
        },
        "timestamp": str(now_ns // MS),
        "event_type": "new_market",
        "tags": list(event.tags),
        "condition_id": market.condition_id,
        "active": market.active,
        "clob_token_ids": list(market.tokens),
        "sports_market_type": "",
        "line": "",
        "game_start_time": "",
        "order_price_min_tick_size": PRICE[market.tick_e4],
        "group_item_title": market.group_title,
        "taker_base_fee": "1000" if fee else "0",
        "fees_enabled": fee is not None,
        "fee_schedule": {
            "exponent": str(fee.exponent),
            "rate": size(fee.rate_e6),
            "taker_only": True,
            "rebate_rate": size(fee.rebate_e6),
        }
        if fee
        else None,
    }


def _market_resolved(market: Market, now_ns: int) -> dict[str, Any]:
    winner = market.winner if market.winner in {0, 1} else None
    return {
        "id": market.gamma_id,
        "market": market.condition_id,
        "assets_ids": list(market.tokens),
        "winning_asset_id": "" if winner is None else market.tokens[winner],
        "winning_outcome": "" if winner is None else market.outcomes[winner],
        "event_message": None,
        "timestamp": str(now_ns // MS),
        "event_type": "market_resolved",
        "tags": list(market.event.tags),
    }
