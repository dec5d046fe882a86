"""
Messages of the market socket as the captures show them, from a seed; nothing here is timed.

Member order, white space (none) and the lengths of ids, hashes, prices and sizes are those of the
recorded streams of September 2026 (captures/STATISTICS.md): two thirds of the sizes have decimals,
a price_change has two entries that mirror each other, and its best prices are right.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any, Final

SEED: Final = 20260907
TIME_MS: Final = 1_788_786_290_337


def text(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def decimal(e4: int) -> str:
    """Return a price as the venue writes it."""
    return f"{e4 / 10_000:.4f}".rstrip("0")


@dataclass
class Market:
    """One market with its two books, prices x 10^4 of YES to sizes as text."""

    random: random.Random
    tick_e4: int
    levels: int
    market: str = field(init=False)
    tokens: tuple[str, str] = field(init=False)
    bids: dict[int, str] = field(init=False)
    asks: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        draw = self.random
        self.market = f"0x{draw.getrandbits(256):064x}"
        self.tokens = (str(draw.getrandbits(254) | 1 << 254), str(draw.getrandbits(255) | 1 << 255))
        middle = draw.randint(3000 // self.tick_e4, 7000 // self.tick_e4)
        below = draw.sample(range(1, middle), min(self.levels, middle - 1))
        above = draw.sample(range(middle + 1, 10_000 // self.tick_e4), self.levels)
        self.bids = {tick * self.tick_e4: self.size() for tick in below}
        self.asks = {tick * self.tick_e4: self.size() for tick in above}

    def size(self) -> str:
        """Draw a size."""
        draw = self.random
        if draw.random() < 1 / 3:
            return str(draw.randint(5, 9999))
        return f"{draw.randint(500, 9_999_999) / 100:.2f}".rstrip("0").rstrip(".")

    def hash(self) -> str:
        """Draw a hash."""
        return f"{self.random.getrandbits(160):040x}"

    def book(self, which: int, time_ms: int) -> dict[str, Any]:
        """Return the book message of YES (0) or NO (1): best levels last."""
        bids, asks = self.bids, self.asks
        if which:
            bids = {10_000 - price: size for price, size in self.asks.items()}
            asks = {10_000 - price: size for price, size in self.bids.items()}
        return {
            "market": self.market,
            "asset_id": self.tokens[which],
            "timestamp": str(time_ms),
            "hash": self.hash(),
            "bids": [{"price": decimal(p), "size": bids[p]} for p in sorted(bids)],
            "asks": [{"price": decimal(p), "size": asks[p]} for p in sorted(asks, reverse=True)],
            "tick_size": decimal(self.tick_e4),
            "event_type": "book",
            "last_trade_price": "0.390",
        }

    def change(self, time_ms: int) -> dict[str, Any]:
        """Set, move or withdraw one level and return the price_change of both tokens."""
        draw = self.random
        side = draw.choice(("BUY", "SELL"))
        levels = self.bids if side == "BUY" else self.asks
        price = draw.choice(sorted(levels))
        if len(levels) > 3 and draw.random() < 0.2:
            del levels[price]
            size = "0"
        else:
            free = price + draw.choice((-1, 0, 0, 0, 1)) * self.tick_e4
            low, high = (0, min(self.asks)) if side == "BUY" else (max(self.bids), 10_000)
            price = free if low < free < high else price
            size = levels[price] = self.size()
        bid, ask = max(self.bids), min(self.asks)
        entries = [
            (self.tokens[0], price, side, bid, ask),
            (
                self.tokens[1],
                10_000 - price,
                "SELL" if side == "BUY" else "BUY",
                10_000 - ask,
                10_000 - bid,
            ),
        ]
        return {
            "market": self.market,
            "price_changes": [
                {
                    "asset_id": token,
                    "price": decimal(at),
                    "size": size,
                    "side": way,
                    "hash": self.hash(),
                    "best_bid": decimal(best_bid),
                    "best_ask": decimal(best_ask),
                }
                for token, at, way, best_bid, best_ask in entries
            ],
            "timestamp": str(time_ms),
            "event_type": "price_change",
        }


def markets(count: int, *, tick_e4: int, levels: int) -> list[Market]:
    """Return `count` markets with `levels` a side."""
    draw = random.Random(SEED + tick_e4 * 1000 + levels)
    return [Market(draw, tick_e4, levels) for _ in range(count)]
