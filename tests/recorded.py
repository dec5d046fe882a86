"""
A market's story as its socket would tell it, written with the standard library alone.

`story` is a short recording in which every check of the replay fires once, at known times;
``vectors/recorded.jsonl`` and ``vectors/recorded.ndjson`` are its two forms.
"""

import hashlib
import json
from decimal import Decimal
from typing import Any

START_MS = 1_790_000_000_000
CONDITION = "0x" + "c0" * 32
YES, NO = "101" * 25, "202" * 25
DELAY_NS = 35_000_000


class Teller:
    """One market with both books, and the messages about them."""

    def __init__(self, *, neg_risk: bool = True, min_size: str = "15") -> None:
        self.neg_risk = neg_risk
        self.min_size = min_size
        self.last = "0.500"
        self.bids: dict[str, str] = {"0.01": "1000", "0.48": "30.5", "0.49": "20"}
        self.asks: dict[str, str] = {"0.99": "500", "0.53": "60", "0.52": "25.000001"}

    def sides(self, token: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """Return bids ascending and asks descending, of either token."""
        bids, asks = self.bids, self.asks
        if token == NO:
            bids, asks = (
                {mirror(price): size for price, size in side.items()} for side in (asks, bids)
            )
        rows = [
            [{"price": p, "size": s} for p, s in sorted(side.items(), key=lambda level: level[0])]
            for side in (bids, asks)
        ]
        return rows[0], rows[1][::-1]

    def hash(self, token: str, time_ms: int) -> str:
        """Return the hash of a book (protocol.md section 20.2)."""
        bids, asks = self.sides(token)
        said = {
            "market": CONDITION,
            "asset_id": token,
            "timestamp": str(time_ms),
            "hash": "",
            "bids": bids,
            "asks": asks,
            "min_order_size": self.min_size,
            "tick_size": "0.01",
            "neg_risk": self.neg_risk,
            "last_trade_price": self.last,
        }
        return hashlib.sha1(dump(said).encode()).hexdigest()  # noqa: S324  (the venue's)

    def book(self, token: str, time_ms: int, **more: Any) -> dict[str, Any]:
        """Return a snapshot; `more` are its optional members."""
        bids, asks = self.sides(token)
        return {
            "market": CONDITION,
            "asset_id": token,
            "timestamp": str(time_ms),
            "hash": self.hash(token, time_ms),
            "bids": bids,
            "asks": asks,
            "event_type": "book",
            **more,
        }

    def set(self, price: str, side: str, size: str) -> None:
        """Set a level of YES's book."""
        levels = self.bids if side == "BUY" else self.asks
        if size == "0":
            levels.pop(price, None)
        else:
            levels[price] = size

    def change(self, time_ms: int, price: str, side: str, size: str) -> dict[str, Any]:
        """Return the price_change of a level, with hashes and best prices of now."""
        other = {"BUY": "SELL", "SELL": "BUY"}[side]
        entries = []
        for token, p, s in ((YES, price, side), (NO, mirror(price), other)):
            bids, asks = self.sides(token)
            entries.append(
                {
                    "asset_id": token,
                    "price": p,
                    "size": size,
                    "side": s,
                    "hash": self.hash(token, time_ms),
                    "best_bid": bids[-1]["price"] if bids else "0",
                    "best_ask": asks[-1]["price"] if asks else "1",
                }
            )
        return {
            "market": CONDITION,
            "price_changes": entries,
            "timestamp": str(time_ms),
            "event_type": "price_change",
        }

    def moved(self, time_ms: int, price: str, side: str, size: str) -> dict[str, Any]:
        """Set a level and tell it."""
        self.set(price, side, size)
        return self.change(time_ms, price, side, size)

    def traded(self, time_ms: int, price: str) -> dict[str, Any]:
        """Return the report of a trade of YES."""
        return {
            "market": CONDITION,
            "asset_id": YES,
            "price": price,
            "size": "5",
            "side": "BUY",
            "timestamp": str(time_ms),
            "event_type": "last_trade_price",
        }


def story() -> list[tuple[int, str]]:
    """Return (server's time, text) of every frame."""
    t, teller = START_MS, Teller()
    told: list[tuple[int, str]] = []

    def tell(at_ms: int, said: Any) -> None:
        told.append((at_ms, said if isinstance(said, str) else dump(said)))

    first = [teller.book(each, t, tick_size="0.01", last_trade_price="0.500") for each in (YES, NO)]
    tell(t, dump(first) + "\n")
    tell(t + 10, teller.moved(t + 10, "0.49", "BUY", "21"))
    # Two changes of one millisecond share the hash of both.
    teller.set("0.4", "BUY", "7")
    tell(t + 12, teller.moved(t + 12, "0.41", "BUY", "8"))
    tell(t + 12, teller.change(t + 12, "0.4", "BUY", "7"))
    # A trade at 0.52: the hashes know before it is told.
    teller.last = "0.520"
    tell(t + 50, teller.moved(t + 50, "0.52", "SELL", "20.000001"))
    tell(t + 50, teller.book(YES, t + 50))
    tell(t + 50, teller.book(NO, t + 50))
    tell(t + 70, teller.traded(t + 70, "0.52"))
    # A change that took effect is told 30 ms late.
    teller.set("0.3", "BUY", "3")
    tell(t + 100, teller.moved(t + 100, "0.31", "BUY", "4"))
    tell(t + 130, teller.change(t + 130, "0.3", "BUY", "3"))
    # Crossed for 40 ms.
    tell(t + 200, teller.moved(t + 200, "0.52", "BUY", "1"))
    tell(t + 240, teller.moved(t + 240, "0.52", "BUY", "0"))
    # What is not for the books.
    tell(t + 300, '[{"event_type":"book","asset_id":"1')
    tell(t + 310, "PONG")
    tell(t + 320, {"event_type": "gossip", "market": CONDITION})
    return told


def lines(form: str) -> str:
    """Return the story as a file: "jsonl" or "ndjson"."""
    if form == "ndjson":
        return "".join(text + "\n" for _, text in story())
    return "".join(
        dump({"recv_ns": at_ms * 1_000_000 + DELAY_NS, "frame": text}) + "\n"
        for at_ms, text in story()
    )


def mirror(price: str) -> str:
    """Return 1 - price as the venue writes it."""
    return f"{1 - Decimal(price):f}"


def dump(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"))
