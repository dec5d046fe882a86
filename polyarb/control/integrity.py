"""
How far recorded books can be trusted: which check fired, how often and for how long.

What the core checks at the end of each frame is read from the tokens' faults. The book's hash is
checked here, since it needs what the hot path does not know (protocol.md section 20.2): minimum
size and neg-risk flag, from the catalogue, from a message, or found by trying; and the market's
last trade price, which a book's hash uses before the trade is told. A hash that comes out proves
what was tried: SHA-1 does not match by chance.
"""

import itertools
import json
import statistics
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from polyarb.core.book import Books, Depth, State
from polyarb.core.decode import Frame, Kind

ONE_E4: Final = 10_000
LONG_NS: Final = 1_000_000_000
"""What lasts longer is resynchronised when live."""
CHECKS: Final = {
    State.CROSSED: "crossed",
    State.MIRROR_MISMATCH: "mirror",
    State.TOP_MISMATCH: "top",
    State.GAP: "gap",
    State.TICK_CHANGE: "tick change",
    State.RESOLVED: "resolved",
}
HASH: Final = "hash"
COLUMNS: Final = ("check", "fired", "median ms", "longest ms", "over 1 s", "at the end")
COUNTED: Final = (
    *("time_backwards", "duplicates", "deltas_old", "deltas_ignored", "snapshot_rejects"),
    *("best_mismatches", "off_tick", "old_forms", "unknown_tokens", "members_skipped"),
)
"""Counters of the store that say something of a stream."""

_SIZES: Final = ("5", "15", "1", "10")
_TICKS: Final = ("0.01", "0.001", "0.005", "0.0025", "0.0001", "0.1")
_TRIES: Final = 16
_RECENT: Final = 12


@dataclass(slots=True)
class Spans:
    """
    How often something held, and how long.

    Attributes:
        count: How often it began.
        held: Lengths of those that ended.
        open_count: Still held at the end.
    """

    count: int = 0
    held: list[int] = field(default_factory=list)
    open_count: int = 0

    @property
    def long_count(self) -> int:
        """Those that lasted over a second."""
        return sum(length > LONG_NS for length in self.held)


@dataclass(slots=True)
class Market:
    """
    What the hash of a market's books takes that is not in them.

    Attributes:
        condition: Its id.
        tokens: Seen so far.
        min_size, neg_risk, tick: As texts; None until known.
        short: The hash is of 2025, without them.
        proven: A hash came out with these.
        last: last_trade_price of the last hash that came out.
        tries: Books that nothing came out for.
        recent: Prices that changed lately: one of them was traded at.
    """

    condition: str
    tokens: list[str] = field(default_factory=list)
    min_size: str | None = None
    neg_risk: bool | None = None
    tick: str | None = None
    short: bool = False
    proven: bool = False
    last: str = ""
    tries: int = 0
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))


class Integrity:
    """
    Watch the books of a stream.

    Args:
        books: Of the stream.

    Attributes:
        spans: Of each check that fired.
        reproduced: The last hash of each token that came out.
        matched, mismatched: Hashes that came out, and that did not though others of the market do.
        untold: Of `matched`, with a last trade price that was not told yet.
        unproven: Hashes of markets of which none came out, and those that changes carried in 2025,
            which are of something else.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._markets: dict[str, Market] = {}
        self._of_token: dict[str, Market] = {}
        self._since: dict[tuple[str, int], int] = {}
        self._updates: dict[int, int] = {}
        self._texts: dict[int, str] = {}
        self.spans: dict[str, Spans] = {}
        self.reproduced: dict[str, str] = {}
        self.matched = 0
        self.mismatched = 0
        self.untold = 0
        self.unproven = 0

    def market(
        self,
        condition: str,
        tokens: Iterable[str] = (),
        *,
        min_size: str | None = None,
        neg_risk: bool | None = None,
    ) -> Market:
        """Enter what is known of a market, and return it."""
        market = self._markets.setdefault(condition, Market(condition))
        for token in tokens:
            if self._of_token.setdefault(token, market) is market and token not in market.tokens:
                market.tokens.append(token)
        market.min_size = min_size or market.min_size
        market.neg_risk = market.neg_risk if neg_risk is None else neg_risk
        return market

    def heard(self, text: bytes, frame: Frame) -> None:
        """Learn from a frame, before it is judged."""
        for record in frame.records:
            if record.market and record.token:
                market = self.market(record.market, (record.token,))
                if record.kind is Kind.CHANGE and record.price_e4 is not None:
                    market.recent.append(record.price_e4)
        if b'"min_order_size"' in text or b'"neg_risk"' in text:
            self._told(text)

    def judge(self, slots: Iterable[int], now_ns: int) -> None:
        """Look at books that changed."""
        for slot in slots:
            depth = self._books.depth(slot)
            if depth is None:
                continue
            faults = depth.top.faults
            for state, name in CHECKS.items():
                self._mark(name, slot, state in faults, now_ns)
            if depth.hash and depth.top.updates != self._updates.get(slot):
                self._updates[slot] = depth.top.updates
                self._judge_hash(slot, depth, now_ns)

    def finish(self) -> None:
        """End: what still holds has no length."""
        for name, _ in self._since:
            self.spans[name].open_count += 1
        self._since.clear()

    def rows(self) -> list[tuple[str, ...]]:
        """Return what each check came to, under `COLUMNS`."""
        return [
            (
                name,
                f"{span.count:,}",
                _ms(statistics.median(span.held)) if span.held else "",
                _ms(max(span.held)) if span.held else "",
                f"{span.long_count:,}",
                f"{span.open_count:,}",
            )
            for name, span in sorted(self.spans.items())
        ]

    def _mark(self, name: str, slot: int, holds: bool, now_ns: int) -> None:
        key = (name, slot)
        if not holds:
            if key in self._since:
                self.spans[name].held.append(max(0, now_ns - self._since.pop(key)))
        elif key not in self._since:
            self._since[key] = now_ns
            self.spans.setdefault(name, Spans()).count += 1

    def _told(self, text: bytes) -> None:
        """Take what the optional members of a snapshot say."""
        with suppress(ValueError, RecursionError):
            said = json.loads(text)
            for message in said if isinstance(said, list) else [said]:
                self._take(message)

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        market = self._of_token.get(str(message.get("asset_id")))
        if market is None:
            return
        size, neg_risk = message.get("min_order_size"), message.get("neg_risk")
        if isinstance(size, str) and size:
            market.min_size = size
        if isinstance(neg_risk, bool):
            market.neg_risk = neg_risk

    def _judge_hash(self, slot: int, depth: Depth, now_ns: int) -> None:
        token = self._texts.setdefault(slot, self._books.token(slot))
        market = self._of_token.get(token)
        if market is None or (not market.proven and market.tries >= _TRIES):
            self.unproven += 1
            return
        if market.short and depth.snapshot_ms != depth.top.time_ms:
            self.unproven += 1
            return
        told = _price(depth.last_e4)
        for known in self._attempts(market, depth, told):
            if self._books.hash(slot, **known) == depth.hash:
                self.matched += 1
                self.reproduced[token] = depth.hash
                self._learn(market, known, told)
                self._mark(HASH, slot, False, now_ns)
                return
        if market.proven:
            self.mismatched += 1
            self._mark(HASH, slot, True, now_ns)
        else:
            self.unproven += 1
            market.tries += 1

    def _attempts(self, market: Market, depth: Depth, told: str) -> Iterator[dict[str, Any]]:
        """Yield what the hash may be of, the likeliest first."""
        base = {"market": market.condition, "time_ms": depth.top.time_ms}
        if market.short or not market.proven:
            yield base | {"short": True}
        if market.short:
            return
        sizes = (market.min_size,) if market.min_size else _SIZES
        risks = (False, True) if market.neg_risk is None else (market.neg_risk,)
        ticks = (None,) if depth.tick_e4 else (market.tick,) if market.tick else _TICKS
        nearby = (each for price in market.recent for each in (price, ONE_E4 - price))
        lasts = list(dict.fromkeys([market.last or told, told, *map(_price, nearby)]))
        for last, size, neg_risk, tick in itertools.product(lasts, sizes, risks, ticks):
            yield base | {
                "min_order_size": size,
                "neg_risk": neg_risk,
                "last_trade_price": last,
                "tick_size": tick,
            }

    def _learn(self, market: Market, known: dict[str, Any], told: str) -> None:
        market.proven = True
        market.short = "short" in known
        if not market.short:
            market.min_size, market.neg_risk = known["min_order_size"], known["neg_risk"]
            market.tick = known["tick_size"] or market.tick
            market.last = known["last_trade_price"]
            self.untold += market.last != told


def _ms(length_ns: float) -> str:
    return f"{length_ns / 1e6:,.1f}"


def _price(price_e4: int) -> str:
    """Write a price as ``last_trade_price`` of a book does: three decimals, or four; "" for 0."""
    if price_e4 == 0:
        return ""
    whole, rest = divmod(price_e4, ONE_E4)
    text = f"{whole}.{rest:04d}"
    return text.removesuffix("0") if rest % 10 == 0 else text


def counted(books: Books) -> Counter[str]:
    """Return the store's counters that say something of a stream, those that counted."""
    counters = books.counters()
    return Counter({name: counters[name] for name in COUNTED if counters[name]})
