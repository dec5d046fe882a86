"""
A keeper in virtual time: frames, connections and REST answers by hand.

`Rig` is the feed's side of a `Keeper`: what is sent reaches the books as the feed would bring it.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from polyarb.book.keeper import Keeper, KeeperConfig
from polyarb.book.registry import Pair, Registry
from polyarb.book.snapshots import Request
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books
from polyarb.core.tick import DROP_OLDER, Ticker

MS = 1_000_000
SECOND = 1_000_000_000
START_MS = 1_790_000_000_000
"""The exchange's time at virtual time 0."""

Levels = Iterable[tuple[str, str]]


def yes(market: int) -> str:
    return str(1000 + 2 * market)


def no(market: int) -> str:
    return str(1001 + 2 * market)


def market_of(token: str) -> int:
    return (int(token) - 1000) // 2


def other(token: str) -> str:
    return str(1000 + ((int(token) - 1000) ^ 1))


def mirrored(price: str) -> str:
    return f"{(10_000 - round(float(price) * 10_000)) / 10_000:.4f}".rstrip("0")


def levels(pairs: Levels) -> list[dict[str, str]]:
    return [{"price": price, "size": size} for price, size in pairs]


def book(token: str, bids: Levels, asks: Levels, ms: int, **more: Any) -> dict[str, Any]:
    """Return a snapshot; a member that is None is left out."""
    message = {
        "event_type": "book",
        "market": f"0x{market_of(token):064x}",
        "asset_id": token,
        "timestamp": str(ms),
        "hash": f"{ms % 16**8:08x}" * 5,
        "bids": levels(bids),
        "asks": levels(asks),
        "tick_size": "0.01",
        **more,
    }
    return {name: value for name, value in message.items() if value is not None}


def change(
    token: str, side: str, price: str, size: str, ms: int, *, pair: bool = True, **more: Any
) -> dict[str, Any]:
    """Return a price_change of a token and, unless told not to, its complement."""
    entry = {"asset_id": token, "price": price, "size": size, "side": side, **more}
    opposite = {"BUY": "SELL", "SELL": "BUY"}[side]
    twin = {"asset_id": other(token), "price": mirrored(price), "size": size, "side": opposite}
    return {
        "event_type": "price_change",
        "market": f"0x{market_of(token):064x}",
        "timestamp": str(ms),
        "price_changes": [entry, twin] if pair else [entry],
    }


def framed(text: bytes) -> bytes:
    """Return a server's text frame, RFC 6455 section 5.2."""
    size = len(text)
    if size < 126:
        return b"\x81" + bytes([size]) + text
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


class Rig:
    """
    A keeper, and everything around it.

    Args:
        markets: Markets 0..n-1, each with tokens `yes` and `no`.
        arena: An arena with books from before; by default a new one.

    Attributes:
        now: Virtual nanoseconds.
        reconnects, resubscribed: What the keeper asked of the feed.
        soon: What it scheduled; `settle` runs it.
        deaf: Connections that refuse to be overheard.
    """

    def __init__(
        self,
        markets: int = 1,
        *,
        arena: Arena | None = None,
        now: int = SECOND,
        config: KeeperConfig | None = None,
    ) -> None:
        self.now = now
        self.arena = arena or Arena.create(config=ArenaConfig(token_count=4 * markets + 4))
        self.books = Books(self.arena, self.now)
        self.ticker = Ticker(self.arena)
        self.soon: deque[Callable[[], None]] = deque()
        self.reconnects: list[tuple[int, str]] = []
        self.resubscribed: list[str] = []
        self.deaf: set[int] = set()
        self.errors: list[Exception] = []
        self._ears: dict[int, Callable[[int, bytes], None]] = {}
        self._data_ns: dict[int, int] = {}
        registry = Registry(self.books)
        for market in range(markets):
            registry.add(Pair(yes=yes(market), no=no(market), tick_e4=100), self.now)
        self.keeper = Keeper(
            self.books,
            Ticker(self.arena, flags=DROP_OLDER),
            registry,
            config=config,
            schedule=self.soon.append,
            monotonic_ns=lambda: self.now,
            failed=self.errors.append,
        )
        self.keeper.attach(self)
        self.tokens = [token(m) for m in range(markets) for token in (yes, no)]

    # -- time

    @property
    def ms(self) -> int:
        """The exchange's time."""
        return START_MS + self.now // MS

    def pass_ms(self, ms: float, step_ms: int = 50) -> None:
        """Let time pass; the keeper looks around whenever it asked to."""
        end = self.now + round(ms * MS)
        while self.now < end:
            self.now = min(end, self.now + step_ms * MS)
            if self.now >= self.keeper.next_deadline():
                self.keeper.tick(self.now)

    def settle(self) -> None:
        """Run what was scheduled."""
        while self.soon:
            self.soon.popleft()()

    # -- the feed

    def data_ns(self, number: int) -> int:
        return self._data_ns.get(number, 0)

    def line(self, number: int) -> int:
        return number + 1

    def overhear(self, number: int, ear: Callable[[int, bytes], None] | None) -> bytes | None:
        if ear and number in self.deaf:
            return None
        if ear:
            self._ears[number] = ear
        else:
            self._ears.pop(number, None)
        return b""

    def resubscribe(self, tokens: Iterable[str]) -> None:
        self.resubscribed += tokens

    def reconnect(self, number: int, reason: str, now_ns: int) -> None:
        assert now_ns == self.now
        self.reconnects.append((number, reason))

    def up(self, tokens: Sequence[str] | None = None, number: int = 0) -> None:
        self.keeper.up(number, self.tokens if tokens is None else tokens, self.now)

    def down(self, tokens: Sequence[str] | None = None, number: int = 0, why: str = "1006") -> None:
        self._ears.pop(number, None)
        self.keeper.down(number, self.tokens if tokens is None else tokens, why, self.now)

    def send(self, *messages: dict[str, Any], number: int = 0) -> None:
        """One frame: an object, or an array of them."""
        text = json.dumps(messages[0] if len(messages) == 1 else messages).encode()
        if number in self._ears:
            self._ears[number](self.now, framed(text))
        self._data_ns[number] = self.now
        if self.ticker.tick(text, self.now) > 0:
            self.keeper.changed(self.ticker.report.changed(), self.now)

    def book(self, token: str, ms: int | None = None, **more: Any) -> dict[str, Any]:
        """Return the book every market begins with: 0.40/0.42 for YES."""
        bids, asks = [("0.39", "10"), ("0.4", "20")], [("0.43", "30"), ("0.42", "40")]
        if int(token) % 2:
            bids, asks = (
                [(mirrored(price), size) for price, size in asks],
                [(mirrored(price), size) for price, size in bids],
            )
        return book(token, bids, asks, self.ms if ms is None else ms, **more)

    def dump(self, tokens: Sequence[str] | None = None, number: int = 0) -> None:
        """Send the opening books."""
        for token in self.tokens if tokens is None else tokens:
            self.send(self.book(token), number=number)

    def open(self) -> None:
        """Everything up and live."""
        self.up()
        self.dump()

    # -- REST

    def asked(self) -> list[Request]:
        return self.keeper.requests()

    def answer(self, request: Request, *books: dict[str, Any]) -> None:
        rest = [{k: v for k, v in each.items() if k != "event_type"} for each in books]
        self.keeper.answered(request.number, json.dumps(rest).encode(), self.now)

    def count(self, name: str) -> int:
        return self.keeper.counters()[name]
