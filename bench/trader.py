"""
Both sides of tick to trade, from a frame's bytes on: what sees the edge, and what is sent for it.

The relation is the smallest there is: the first YES and the second one, which together pay 1. Ours
is the pieces that trade (ticker, books, gates, cash, send path) with the relation written out by
hand. The other side is what one would put together from libraries: `json` or orjson into a book of
dicts, and the official SDK for the orders.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

from bench.bench_feed import apply, best, dict_book
from bench.edges import SHARES, TOKENS, books
from bench.inputs import Inputs, Signal
from bench.sdk import Sdk
from polyarb.core.account import Account, BreakerLimits
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books
from polyarb.core.request import Request, Token
from polyarb.core.tick import Ticker
from polyarb.domain.market import FREE
from polyarb.domain.order import Side
from polyarb.exchange.fastpath import FastPath, Flight, Leg
from polyarb.exchange.rehearsal import Rehearsal
from polyarb.exchange.signing import OrderSigner

PAID_E6: Final = 1_000_000
SHARES_E6: Final = SHARES * 1_000_000
CASH_E6: Final = 10**13
FIRST, SECOND_YES = TOKENS[0], TOKENS[2]
TRADED: Final = [Token(token_id=int(FIRST)), Token(token_id=int(SECOND_YES))]
LIMITS: Final = BreakerLimits(
    daily_loss_e6=None, open_positions=None, consecutive_errors=None, error_rate=None, cooldown_ms=1
)


class Market:
    """The books of the four tokens in an arena of their own, and what is in front of them."""

    def __init__(self) -> None:
        now_ns = time.monotonic_ns()
        self.arena = Arena.create(None, config=ArenaConfig(token_count=len(TOKENS)))
        self.books = Books(self.arena, now_ns)
        self.slots = [self.books.add(token, now_ns) for token in TOKENS]
        for yes in (0, 2):
            self.books.pair(self.slots[yes], self.slots[yes + 1])
        for slot in self.slots:
            self.books.set_fee(slot, FREE)
        self.ticker = Ticker(self.arena)

    def open(self) -> None:
        """Apply the opening books."""
        assert self.ticker.tick(books(), time.monotonic_ns()) == len(TOKENS)


class Trader:
    """
    What acts on a change of the books.

    Args:
        market: Whose books are looked at.
        account: Cash and breaker.
        path: Builds, and sends.
    """

    def __init__(self, market: Market, account: Account, path: FastPath) -> None:
        self._cost_e6 = market.books.cost_e6
        self._packed = market.books.packed
        self._first, self._second = market.slots[0], market.slots[2]
        self._can_execute = account.breaker.can_execute
        self._reserve, self.release = account.balance.reserve, account.balance.release
        self._path = path
        self.held_e6 = 0

    def look(self, now_ns: int) -> bool:
        """Reserve and build if there is an edge; return whether there is one."""
        first, second = self._cost_e6(self._first), self._cost_e6(self._second)
        if first is None or second is None or first + second >= PAID_E6:
            return False
        if not self._can_execute(now_ns):
            return False
        legs = [
            Leg(index, Side.BUY, (self._packed(slot) >> 14 & 0x3FFF) * 100 * SHARES, SHARES_E6)
            for index, slot in enumerate((self._first, self._second))
        ]
        self.held_e6 = legs[0].maker_amount + legs[1].maker_amount
        self._reserve(self.held_e6)
        self._path.build(legs)
        return True

    def send(self) -> Flight:
        """Send what was built."""
        return self._path.send()


class Dry:
    """The same without consequences: frames into books of their own, orders of nobody's."""

    def __init__(self, inputs: Inputs, signer: OrderSigner, url: str, frames: Sequence[bytes]):
        self._market = Market()
        self._market.open()
        self.rehearsal = Rehearsal(
            url,
            credentials=inputs.credentials,
            account_order=inputs.order(signer, inputs.baskets[0][0], salt=0, timestamp=0),
            tokens=TRADED,
            legs=[Leg(0, Side.BUY, 40_000_000, SHARES_E6)] * 2,
        )
        account = self.rehearsal.account
        account.breaker.configure(LIMITS, time.monotonic_ns())
        account.breaker.enable()
        self._trader = Trader(self._market, account, self.rehearsal.path)
        self._frames = frames
        self._turn = 0

    def run(self) -> None:
        """Let an edge come, build, send to nobody, and let it go."""
        tick, trader = self._market.ticker.tick, self._trader
        now_ns = time.monotonic_ns()
        tick(self._frames[self._turn], now_ns)
        if trader.look(now_ns):
            trader.send()
            trader.release(trader.held_e6)
        self._turn = (self._turn + 1) % len(self._frames)


def account_of(arena: Arena) -> Account:
    """Return an account with cash that may trade."""
    account = Account(arena)
    account.stamps.begin(secrets.randbelow(4096))
    account.balance.credit(CASH_E6)
    account.breaker.configure(LIMITS, time.monotonic_ns())
    account.breaker.enable()
    return account


def request_of(inputs: Inputs, signer: OrderSigner, account: Account) -> Request:
    """Return the prepared request of the two tokens."""
    native, domains = signer.core
    assert native is not None
    return Request(
        signer=native,
        domains=domains,
        hmac=inputs.credentials.hmac,
        account_order=inputs.order(signer, inputs.baskets[0][0], salt=0, timestamp=0),
        tokens=TRADED,
        owner=inputs.credentials.api_key,
        stamps=account.stamps,
    )


class Put:
    """What one would put together: a parser, a book of dicts, the official SDK."""

    def __init__(self, inputs: Inputs, loads: Callable[[bytes | str], Any]) -> None:
        self._loads = loads
        self._book = dict_book(TOKENS)
        self.sdk = Sdk(SimpleNamespace(account=inputs.account, tokens=TRADED))  # type: ignore[arg-type]

    def take(self, message: bytes | str) -> bool:
        """Apply a message; build the request if there is an edge, and return whether there is."""
        apply(self._book, self._loads(message))
        first = best(self._book[FIRST]["SELL"], "SELL")
        second = best(self._book[SECOND_YES]["SELL"], "SELL")
        if first is None or second is None or first + second >= 1:
            return False
        signals = [
            Signal(
                token=token,
                side=Side.BUY,
                price=str(asked),
                size=str(SHARES),
                maker_amount=0,
                taker_amount=0,
            )
            for token, asked in enumerate((first, second))
        ]
        self.sdk.request(self.sdk.arguments(signals))
        return True
