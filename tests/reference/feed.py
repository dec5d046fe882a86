"""
The market socket and its books, slowly and plainly: `json`, `Decimal` and dictionaries.

Written from protocol.md section 20 and the contracts of csrc/decode/market.h and
csrc/book/store.h, for comparison with the core. Nothing here is clever.
"""

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

TICKS = (1000, 100, 50, 25, 10, 1)
SIZE_MAX_E6 = 10**18
DECIMAL = re.compile(r"(?=\.?[0-9])[0-9]*\.?[0-9]*")
EVENTS = (
    *("price_change", "book", "last_trade_price", "best_bid_ask", "tick_size_change"),
    *("new_market", "market_resolved"),
)
PLAIN = {"orderbook": "book", "trade": "last_trade_price", "subscribed": "subscribed"}
PLAIN["error"] = "error"


class Number(str):
    """A JSON number as it was written."""


class RefusedError(Exception):
    """The frame is refused; the argument is the reason."""


@dataclass
class Record:
    """One record; None where there is no such member."""

    kind: str
    token: str | None = None
    bids: list[tuple[int, int]] = field(default_factory=list)
    asks: list[tuple[int, int]] = field(default_factory=list)
    price_e4: int | None = None
    size_e6: int | None = None
    side: int | None = None
    best_bid_e4: int | None = None
    best_ask_e4: int | None = None
    tick_e4: int | None = None
    last_e4: int | None = None
    time_ms: int | None = None
    hash: str | None = None
    winner: bool = False


def decode(frame: bytes) -> list[Record]:
    """Return the records of a frame, or raise RefusedError."""
    try:
        text = frame.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError("utf8") from error
    body = text.strip(" \t\r\n")
    if not body.startswith(("{", "[")):
        return [Record("pong" if body == "PONG" else "text")]
    try:
        value = json.loads(body, parse_int=Number, parse_float=Number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError("json") from error
    if isinstance(value, dict):
        return _message(value)
    return [
        r
        for item in value
        for r in (_message(item) if isinstance(item, dict) else [Record("unknown")])
    ]


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _scaled(value: Any, decimals: int, most: int, reason: str) -> int | None:
    """Return the value x 10**decimals, None if it says nothing."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise RefusedError(reason)
    number = Decimal(value).scaleb(decimals)
    if number != int(number) or int(number) > most:
        raise RefusedError(reason)
    return int(number)


def _price(value: Any) -> int | None:
    return _scaled(value, 4, 10_000, "price")


def _size(value: Any) -> int | None:
    return _scaled(value, 6, SIZE_MAX_E6, "size")


def _token(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]+", value):
        raise RefusedError("token")
    digits = value.lstrip("0") or "0"
    if len(digits) > 78:
        raise RefusedError("token")
    return digits


def _time(value: Any) -> int | None:
    return _scaled(value, 0, 2**53 - 1, "time")


def _tick(value: Any) -> int | None:
    tick = _price(value)
    if tick is not None and tick not in TICKS:
        raise RefusedError("tick")
    return tick


def _side(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, Number) or not isinstance(value, str):
        raise RefusedError("side")
    if value.upper() not in ("BUY", "SELL"):
        raise RefusedError("side")
    return 0 if value.upper() == "BUY" else 1


def _hash(value: Any) -> str | None:
    plain = isinstance(value, str) and not isinstance(value, Number)
    return value if plain and len(value) == 40 and value.isascii() else None


def _levels(value: Any) -> list[tuple[int, int]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RefusedError("levels")
    done = []
    for item in value:
        if isinstance(item, dict):
            price, size = item.get("price"), item.get("size")
        elif isinstance(item, list):
            price, size = [*item, None, None][:2]
        else:
            raise RefusedError("levels")
        price_e4, size_e6 = _price(price), _size(size)
        if price_e4 is not None and not 0 < price_e4 < 10_000:
            raise RefusedError("price")
        if price_e4 is None or size_e6 is None:
            raise RefusedError("missing")
        done.append((price_e4, size_e6))
    return done


def _kind(m: dict[str, Any]) -> str:
    if "event_type" in m:
        event = m["event_type"]
        known = isinstance(event, str) and not isinstance(event, Number) and event in EVENTS
        return event if known else "unknown"
    name = m.get("type")
    if isinstance(name, str) and not isinstance(name, Number) and name in PLAIN:
        return PLAIN[name]
    return "book" if {"bids", "asks", "buys", "sells"} & set(m) else "unknown"


def _last_of(m: dict[str, Any], *names: str) -> Any:
    """Return the value of whichever of `names` comes last."""
    return next((value for key, value in reversed(m.items()) if key in names), None)


def _change(entry: dict[str, Any]) -> Record:
    r = Record(
        "price_change",
        token=_token(entry.get("asset_id")),
        price_e4=_price(entry.get("price")),
        size_e6=_size(entry.get("size")),
        side=_side(entry.get("side")),
        best_bid_e4=_price(entry.get("best_bid")),
        best_ask_e4=_price(entry.get("best_ask")),
        hash=_hash(entry.get("hash")),
    )
    if r.price_e4 is None or r.size_e6 is None or r.side is None:
        raise RefusedError("missing")
    if not 0 < r.price_e4 < 10_000:
        raise RefusedError("price")
    return r


def _changes(m: dict[str, Any]) -> list[Record]:
    time_ms, token = _time(m.get("timestamp")), _token(_last_of(m, "asset_id", "token_id"))
    entries = _last_of(m, "price_changes", "changes")
    if "price_changes" not in m and "changes" not in m:
        done = [_change({**m, "asset_id": _last_of(m, "asset_id", "token_id")})]
    elif not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise RefusedError("levels")
    else:
        done = [_change(entry) for entry in entries]
    for r in done:
        r.time_ms = time_ms
        r.token = r.token or token
        r.hash = r.hash or _hash(m.get("hash"))
        if r.token is None:
            raise RefusedError("missing")
    return done


def _message(m: dict[str, Any]) -> list[Record]:
    kind = _kind(m)
    if kind == "price_change":
        return _changes(m)
    if kind in ("new_market", "market_resolved"):
        return _assets(kind, m)
    r = Record(kind)
    if kind not in ("book", "last_trade_price", "tick_size_change", "best_bid_ask"):
        return [r]
    r.token = _token(_last_of(m, "asset_id", "token_id"))
    if kind == "book":
        r.bids = _levels(_last_of(m, "bids", "buys"))
        r.asks = _levels(_last_of(m, "asks", "sells"))
        r.time_ms = _time(m.get("timestamp"))
        r.tick_e4 = _tick(_last_of(m, "tick_size", "new_tick_size"))
        r.hash = _hash(m.get("hash"))
        with_last = m.get("last_trade_price")
        try:
            r.last_e4 = 0 if with_last == "" else _price(with_last)
        except RefusedError:
            r.last_e4 = None
        lists = {"bids", "asks", "buys", "sells"} & set(m)
        missing = not lists
    elif kind == "last_trade_price":
        r.price_e4, r.size_e6 = _price(m.get("price")), _size(m.get("size"))
        r.side = _side(m.get("side"))
        missing = r.price_e4 is None
    elif kind == "tick_size_change":
        r.tick_e4 = _tick(_last_of(m, "tick_size", "new_tick_size"))
        r.time_ms = _time(m.get("timestamp"))
        missing = r.tick_e4 is None
    else:
        r.best_bid_e4, r.best_ask_e4 = _price(m.get("best_bid")), _price(m.get("best_ask"))
        missing = False
    if r.token is None or missing:
        raise RefusedError("missing")
    return [r]


def _assets(kind: str, m: dict[str, Any]) -> list[Record]:
    tokens = []
    listed = m.get("assets_ids")
    for item in (listed if isinstance(listed, list) else [])[:1000]:
        try:
            token = _token(item)
        except RefusedError:
            continue
        if token is not None and len(tokens) < 16:
            tokens.append(token)
    try:
        winner = _token(m.get("winning_asset_id"))
    except RefusedError:
        winner = None
    if not tokens:
        try:
            return [Record(kind, token=_token(_last_of(m, "asset_id", "token_id")))]
        except RefusedError:
            return [Record(kind)]
    return [Record(kind, token=t, winner=winner is not None and t == winner) for t in tokens]


@dataclass
class Book:
    """One token's book: a dictionary a side, price to size."""

    tick_e4: int
    tick_known: bool
    sides: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    ready: bool = False
    pair: str | None = None
    faults: set[str] = field(default_factory=lambda: {"warming"})
    time_ms: int = 0
    snapshot_ms: int = 0
    updates: int = 0
    hash: str = ""
    expected: tuple[int | None, int | None] = (None, None)

    def best(self, side: int) -> int:
        """Return the best price; 0 or 10000 for an empty side, as messages have it."""
        prices = self.sides[side]
        return (max(prices) if side == 0 else min(prices)) if prices else (0, 10_000)[side]

    def levels(self, side: int) -> list[tuple[int, int]]:
        """Return the whole side, best first."""
        return sorted(self.sides[side].items(), reverse=side == 0)

    @property
    def state(self) -> str:
        """The gravest fault."""
        for name in (
            *("resolved", "frozen", "tick_change", "warming", "stale", "gap", "crossed"),
            *("mirror_mismatch", "top_mismatch"),
        ):
            if name in self.faults:
                return name
        return "live"


class Feed:
    """All books, by token."""

    def __init__(self, *, drop_older: bool = False, max_depth: int = 0) -> None:
        self.books: dict[str, Book] = {}
        self.drop_older = drop_older
        self.max_depth = max_depth

    def add(self, token: str, tick_e4: int = 0) -> None:
        """Enter a token."""
        self.books.setdefault(token, Book(tick_e4 or 100, tick_e4 != 0))

    def pair(self, a: str, b: str) -> None:
        """Two tokens of one market."""
        self.books[a].pair, self.books[b].pair = b, a

    def tick(self, frame: bytes) -> bool:
        """Apply a frame; False if it was refused."""
        try:
            records = decode(frame)
        except RefusedError:
            return False
        touched: dict[str, Book] = {}
        for book in self.books.values():
            book.expected = (None, None)
        for r in records:
            book = self.books.get(r.token or "")
            if book is not None and self._apply(book, r):
                touched[r.token or ""] = book
        for book in touched.values():
            self._check(book)
        return True

    def _apply(self, book: Book, r: Record) -> bool:
        if r.kind == "book":
            return self._snapshot(book, r)
        if r.kind == "price_change":
            return self._delta(book, r)
        if r.kind == "tick_size_change":
            book.tick_known = True
            if r.tick_e4 == book.tick_e4 or "resolved" in book.faults:
                return False
            book.tick_e4 = r.tick_e4 or 0
            book.sides = ({}, {})
            book.ready = False
            book.faults = (book.faults | {"tick_change"}) - {"crossed", "top_mismatch", "gap"}
            return True
        if r.kind == "market_resolved":
            book.faults.add("resolved")
            return True
        return False

    def _snapshot(self, book: Book, r: Record) -> bool:
        old = book.ready and r.time_ms is not None and r.time_ms < book.time_ms
        if "resolved" in book.faults or old:
            return False
        book.expected = (None, None)
        prices = [price for price, _ in [*r.bids, *r.asks]]
        tick = r.tick_e4 or book.tick_e4
        if any(price % tick for price in prices):
            if r.tick_e4 or book.tick_known:
                book.faults.add("gap")
                return True
            tick = next(t for t in TICKS[TICKS.index(tick) :] if not any(p % t for p in prices))
        book.tick_known = book.tick_known or r.tick_e4 is not None
        book.tick_e4 = tick
        for side, levels in enumerate((r.bids, r.asks)):
            book.sides[side].clear()
            for price, size in levels:
                if size:
                    book.sides[side][price] = size
                else:
                    book.sides[side].pop(price, None)
            self._trim(book, side)
        book.updates += 1
        book.time_ms = book.time_ms if r.time_ms is None else r.time_ms
        book.snapshot_ms = r.time_ms or 0
        book.hash = r.hash or ""
        book.ready = True
        book.faults -= {"warming", "gap", "stale", "tick_change", "top_mismatch", "frozen"}
        return True

    def _delta(self, book: Book, r: Record) -> bool:
        if not book.ready or "resolved" in book.faults:
            return False
        if r.time_ms is not None:
            if r.time_ms < book.snapshot_ms:
                return False
            if r.time_ms < book.time_ms and self.drop_older:
                return False
        price = r.price_e4 or 0
        book.expected = (None, None)
        if price % book.tick_e4:
            if book.tick_known:
                book.faults.add("gap")
                return True
            book.tick_e4 = next(
                t for t in TICKS if t < book.tick_e4 and not price % t and not book.tick_e4 % t
            )
        side = r.side or 0
        if r.size_e6:
            book.sides[side][price] = r.size_e6
        else:
            book.sides[side].pop(price, None)
        self._trim(book, side)
        book.updates += 1
        book.time_ms = book.time_ms if r.time_ms is None else r.time_ms
        book.hash = r.hash or ""
        book.expected = (r.best_bid_e4, r.best_ask_e4)
        return True

    def _trim(self, book: Book, side: int) -> None:
        if self.max_depth:
            for price, _ in book.levels(side)[self.max_depth :]:
                del book.sides[side][price]

    def _check(self, book: Book) -> None:
        expected = book.expected
        self._fault(book, "crossed", all(book.sides) and book.best(0) >= book.best(1))
        if expected != (None, None):
            wrong = any(e is not None and e != book.best(s) for s, e in enumerate(expected))
            self._fault(book, "top_mismatch", wrong)
        if book.pair is not None:
            other = self.books[book.pair]
            wrong = (
                book.ready
                and other.ready
                and any(
                    {10_000 - p: s for p, s in book.sides[side].items()} != other.sides[1 - side]
                    for side in (0, 1)
                )
            )
            self._fault(book, "mirror_mismatch", wrong)
            self._fault(other, "mirror_mismatch", wrong)

    @staticmethod
    def _fault(book: Book, name: str, wrong: bool) -> None:
        (book.faults.add if wrong else book.faults.discard)(name)
