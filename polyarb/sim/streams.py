"""
What leaves on the two sockets: books, changes and trades as the venue writes them.

A `Page` keeps the text of one market's levels, so that a change costs one level, not the book.
It exists only while someone watches. A `Channel` is one connection; its driver owns the bytes.
"""

import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from math import exp
from random import Random
from statistics import NormalDist
from typing import Final, Protocol

from polyarb.sim.catalog import Market
from polyarb.sim.decimals import ONE_E4, PRICE, size
from polyarb.sim.http import dump
from polyarb.sim.matching import Book

SIDE: Final = ("SELL", "BUY")


class Sink(Protocol):
    """Where a channel's output goes; the driver's side of it."""

    def text(self, data: bytes) -> None:
        """Send one text message."""

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, whatever a WebSocket would make of them."""

    def close(self, code: int, reason: str) -> None:
        """Close in order."""

    def abort(self) -> None:
        """Drop the connection without a word (1006)."""


class Channel:
    """
    One socket.

    Attributes:
        path: "/ws/market" or "/ws/user".
        tokens: Subscribed tokens (market).
        custom: Whether best_bid_ask, new_market and market_resolved are wanted.
        markets: Conditions it is limited to; None for all (user).
        owner: API key it is logged in with (user).
        pinged_ns: When it last said PING.
        sent: Messages sent.
        delay_ns, settled_ns: How late its messages are just now, and until when.
    """

    def __init__(self, number: int, path: str, sink: Sink, now_ns: int) -> None:
        self.number = number
        self.path = path
        self.sink = sink
        self.open = True
        self.pinged_ns = now_ns
        self.tokens: dict[str, None] = {}
        self.custom = False
        self.subscribed = False
        self.markets: set[str] | None = None
        self.owner = ""
        self.sent = 0
        self.delay_ns = self.settled_ns = 0
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()

    def later(self, due_ns: int, act: Callable[[], None], now_ns: int) -> int | None:
        """
        Do `act` at `due_ns`, but never before what was asked for earlier.

        Returns:
            When to call `flush`, or None where it was done at once or waits for a call already due.
        """
        if self._queue:
            last_ns = self._queue[-1][0]
            if due_ns <= last_ns:
                self._queue.append((last_ns, act))
                return None
        elif due_ns <= now_ns:
            act()
            return None
        self._queue.append((due_ns, act))
        return due_ns

    def flush(self, now_ns: int) -> None:
        """Do what is due."""
        while self._queue and self._queue[0][0] <= now_ns and self.open:
            self._queue.popleft()[1]()

    def text(self, data: bytes) -> None:
        """Send a text message now."""
        if self.open:
            self.sent += 1
            self.sink.text(data)

    def raw(self, data: bytes) -> None:
        """Send bytes that are WebSocket frames already."""
        if self.open:
            self.sent += 1
            self.sink.raw(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order."""
        if self.open:
            self.open = False
            self.sink.close(code, reason)

    def abort(self) -> None:
        """Drop the connection."""
        if self.open:
            self.open = False
            self.sink.abort()


class Page:
    """
    The text of one market's levels, for both tokens.

    Levels of a side stand in the order in which the venue lists the YES bids (ascending) and the
    YES asks (descending); the same order is right for the complement.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._market = book.market
        self._keys: tuple[list[int], list[int]] = ([], [])
        self._rows: tuple[tuple[list[bytes], list[bytes]], ...] = (([], []), ([], []))
        self._joined: list[list[bytes | None]] = [[None, None], [None, None]]
        self._frame: tuple[object, tuple[bytes, bytes], bytes] = (None, (b"", b""), b"")
        for bid in (0, 1):
            for level in book.prices[bid]:
                self.update(bool(bid), level)

    def update(self, bid: bool, level_e4: int) -> None:
        """Take over one level of the book."""
        self._joined[bid] = [None, None]
        level = self._book.sides[bid].get(level_e4)
        keys, rows = self._keys[bid], self._rows[bid]
        key = level_e4 if bid else -level_e4
        at = bisect_left(keys, key)
        there = at < len(keys) and keys[at] == key
        if level is None:
            if there:
                del keys[at], rows[0][at], rows[1][at]
            return
        end = f'","size":"{size(level.total_e6)}"}}'
        texts = (
            f'{{"price":"{PRICE[level_e4]}{end}'.encode(),
            f'{{"price":"{PRICE[ONE_E4 - level_e4]}{end}'.encode(),
        )
        for row, text in zip(rows, texts, strict=True):
            if there:
                row[at] = text
            else:
                row.insert(at, text)
        if not there:
            keys.insert(at, key)

    def levels(self, outcome: int) -> tuple[bytes, bytes]:
        """Return (bids ascending, asks descending) of a token, the insides of JSON lists."""
        return self._side(1 - outcome, outcome), self._side(outcome, outcome)

    def _side(self, bid: int, outcome: int) -> bytes:
        text = self._joined[bid][outcome]
        if text is None:
            text = self._joined[bid][outcome] = b",".join(self._rows[bid][outcome])
        return text

    def hash(self, outcome: int) -> str:
        """Return the hash of a token's book (protocol.md section 20.2)."""
        bids, asks = self.levels(outcome)
        market, book = self._market, self._book
        state = (market.tick_e4, book.last_price_e4)
        if self._frame[0] != state:
            head, tail = _hash_frame(market, book)
            yes, no = (head + token.encode() for token in market.tokens)
            self._frame = (state, (yes, no), tail)
        _, heads, tail = self._frame
        return hashlib.sha1(
            b'%b","timestamp":"%d","hash":"","bids":[%b],"asks":[%b],%b'
            % (heads[outcome], book.changed_ms, bids, asks, tail),
            usedforsecurity=False,
        ).hexdigest()

    def snapshot(self, outcome: int, *, first: bool, event: bool = True) -> bytes:
        """Return a book message: the form of the opening frame, or the one after a trade."""
        bids, asks = self.levels(outcome)
        market = self._market
        condition, token = market.condition_id.encode(), market.tokens[outcome].encode()
        digest, at = self.hash(outcome).encode(), self._book.changed_ms
        if first:
            return (
                b'{"market":"%b","asset_id":"%b","timestamp":"%d","hash":"%b","bids":[%b],'
                b'"asks":[%b],"tick_size":"%b","event_type":"book","last_trade_price":"%b"}'
                % (
                    *(condition, token, at, digest, bids, asks),
                    *(PRICE[market.tick_e4].encode(), last_price(self._book).encode()),
                )
            )
        return (
            b'{"market":"%b","asset_id":"%b","bids":[%b],"asks":[%b],"hash":"%b",'
            b'"timestamp":"%d","event_type":"book"}' % (condition, token, bids, asks, digest, at)
        )

    def rest(self, outcome: int) -> bytes:
        """Return the book object of the read endpoints."""
        bids, asks = self.levels(outcome)
        market = self._market
        return (
            b'{"market":"%b","asset_id":"%b","timestamp":"%d","hash":"%b","bids":[%b],"asks":[%b],%b'
            % (
                *(market.condition_id.encode(), market.tokens[outcome].encode()),
                *(self._book.changed_ms, self.hash(outcome).encode(), bids, asks),
                _hash_frame(market, self._book)[1],
            )
        )

    def change(
        self, outcome: int, changes: Iterable[tuple[bool, int]], hashes: tuple[str, str]
    ) -> bytes:
        """
        Return a price_change; of each level the entry of the order's own token comes first.

        All levels that one order changed share a frame, so that the best prices it names are right
        for whoever has applied it.
        """
        rows = [row for bid, level in changes for row in self._entries(outcome, bid, level, hashes)]
        return (
            f'{{"market":"{self._market.condition_id}","price_changes":[{",".join(rows)}],'
            f'"timestamp":"{self._book.changed_ms}","event_type":"price_change"}}'
        ).encode()

    def _entries(
        self, outcome: int, bid: bool, level_e4: int, hashes: tuple[str, str]
    ) -> tuple[str, str]:
        book, market = self._book, self._market
        level = book.sides[bid].get(level_e4)
        total = size(level.total_e6) if level else "0"
        low, high = book.touch[0] or 0, book.touch[1] or ONE_E4
        entries = (
            f'{{"asset_id":"{market.tokens[0]}","price":"{PRICE[level_e4]}",'
            f'"size":"{total}","side":"{SIDE[bid]}","hash":"{hashes[0]}",'
            f'"best_bid":"{PRICE[low]}","best_ask":"{PRICE[high]}"}}',
            f'{{"asset_id":"{market.tokens[1]}","price":"{PRICE[ONE_E4 - level_e4]}",'
            f'"size":"{total}","side":"{SIDE[not bid]}","hash":"{hashes[1]}",'
            f'"best_bid":"{PRICE[ONE_E4 - high]}","best_ask":"{PRICE[ONE_E4 - low]}"}}',
        )
        return (entries[outcome], entries[1 - outcome])

    def old_changes(
        self, outcome: int, changes: Iterable[tuple[bool, int]], hashes: tuple[str, str], flat: bool
    ) -> list[bytes]:
        """Return what a token's subscriber got before 15 September 2025 (section 20.1)."""
        rows = []
        for bid, level_e4 in changes:
            level = self._book.sides[bid].get(level_e4)
            rows.append(
                {
                    "price": PRICE[ONE_E4 - level_e4 if outcome else level_e4],
                    "side": SIDE[bid != bool(outcome)],
                    "size": size(level.total_e6) if level else "0",
                }
            )
        frame = {
            "asset_id": self._market.tokens[outcome],
            "event_type": "price_change",
            "hash": hashes[outcome],
            "market": self._market.condition_id,
            "timestamp": str(self._book.changed_ms),
        }
        if flat:
            return [dump({**frame, **row}) for row in rows]
        return [dump([{**frame, "changes": rows}])]


def best_texts(book: Book, outcome: int) -> tuple[str, str]:
    """Return best bid and ask of a token as text: "0" and "1" where there is none."""
    bid, ask = book.best(True, outcome), book.best(False, outcome)
    return PRICE[bid or 0], PRICE[ONE_E4 if ask is None else ask]


def last_price(book: Book) -> str:
    """Return the market's last trade with its three decimals, "" without one."""
    if book.last_price_e4 is None:
        return ""
    digits = f"{book.last_price_e4:04d}"
    return f"0.{digits[:3]}{digits[3:].rstrip('0')}"


def _hash_frame(market: Market, book: Book) -> tuple[bytes, bytes]:
    head = f'{{"market":"{market.condition_id}","asset_id":"'
    tail = (
        f'"min_order_size":"{size(market.min_size_e6)}","tick_size":"{PRICE[market.tick_e4]}",'
        f'"neg_risk":{"true" if market.neg_risk else "false"},'
        f'"last_trade_price":"{last_price(book)}"}}'
    )
    return head.encode(), tail.encode()


def spread_out(frame: bytes) -> bytes:
    """Return a frame with a blank after every comma between members, as on some days."""
    return frame.replace(b'","', b'", "').replace(b"},{", b"}, {").replace(b'],"', b'], "')


_JITTER: Final = tuple(exp(1.5 * NormalDist().inv_cdf((n + 0.5) / 1024)) for n in range(1024))


def jitter_ns(rng: Random, typical_ms: float) -> int:
    """
    Return a delay above the floor: half below `typical_ms`, one in a hundred above 30 times it.

    The shape of the recorded delays (p50 +2, p90 +20, p99 +70 ms on one host).
    """
    return int(typical_ms * 1e6 * _JITTER[rng.getrandbits(10)]) if typical_ms else 0
