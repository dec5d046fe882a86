"""An account on a venue in virtual time, and a trading client of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from polyarb.domain.order import Order, Side, SignatureType
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.amounts import limit_amounts, market_amounts
from polyarb.exchange.auth import Credentials
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.throttle import Throttle
from polyarb.exchange.trading import TradingClient
from polyarb.sim import InProcessVenue, scenarios
from polyarb.sim.catalog import Market
from polyarb.sim.decimals import PRICE
from polyarb.sim.venue import Venue

T = TypeVar("T")
SECOND = 1_000_000_000
MS = 1_000_000


def account(told: dict[str, Any], signature_type: int, chain_id: int = 137) -> OrderSigner:
    """Return the signer of an account as ``polyarb exchange`` prints it."""
    funder = told["wallets"][str(signature_type)] if signature_type else None
    return OrderSigner(
        told["private_key"], signature_type=signature_type, funder=funder, chain_id=chain_id
    )


def credentials(told: dict[str, Any]) -> Credentials:
    """Return its API credentials."""
    return Credentials(told["api_key"], told["api_secret"], told["api_passphrase"])


class Orders:
    """Orders of one account, each with a salt of its own."""

    def __init__(self, signer: OrderSigner, now_ms: Callable[[], int]) -> None:
        self.signer = signer
        self._now_ms = now_ms
        self._salt = 1_000

    def limit(self, market: Market, outcome: int, side: str, price_e4: int, size: str) -> Order:
        """Return an order that may rest."""
        amounts = limit_amounts(PRICE[price_e4], size, side, PRICE[market.tick_e4])
        return self.make(market, outcome, side, amounts)

    def market(self, market: Market, outcome: int, side: str, price_e4: int, amount: str) -> Order:
        """Return an order for FAK or FOK; `amount` is dollars of a BUY, shares of a SELL."""
        amounts = market_amounts(PRICE[price_e4], amount, side, PRICE[market.tick_e4])
        return self.make(market, outcome, side, amounts)

    def make(self, market: Market, outcome: int, side: str, amounts: tuple[int, int]) -> Order:
        self._salt += 1
        signer = self.signer
        wallet = signer.signature_type is SignatureType.POLY_1271
        return Order(
            neg_risk=market.neg_risk,
            salt=self._salt,
            maker=signer.funder,
            signer=signer.funder if wallet else signer.address,
            token_id=int(market.tokens[outcome]),
            maker_amount=amounts[0],
            taker_amount=amounts[1],
            side=Side(side),
            signature_type=signer.signature_type,
            timestamp=self._now_ms(),
        )


def plain_markets(venue: Venue, fits: Callable[[Market], object] | None = None) -> list[Market]:
    """Return markets that trade on a tick of 0.01, by default at once."""
    fits = fits or (lambda market: not market.taker_delay and not market.seconds_delay)
    return [
        market
        for market in venue.catalog.markets.values()
        if market.accepting and not market.v3 and market.tick_e4 == 100 and fits(market)
    ]


class Rig:
    """A venue in virtual time with the client's account, and what drives both."""

    def __init__(
        self,
        scenario: str | scenarios.Scenario = "still",
        signature_type: int = 3,
        *,
        venue: Mapping[str, Any] | None = None,
        market_with: Callable[[Market], object] | None = None,
        **options: Any,
    ) -> None:
        chosen = scenarios.find(scenario) if isinstance(scenario, str) else scenario
        config = msgspec.structs.replace(chosen.venue, **(venue or {}))
        self.port = InProcessVenue(
            msgspec.structs.replace(chosen, venue=config),
            signature_type=signature_type,
            **options,
        )
        self.venue = self.port.exchange.venue
        self.asked: list[str] = []
        self._request = self.port.request
        self.port.request = self._noted  # type: ignore[method-assign]
        self.signer = account(self.port.account, signature_type)
        self.credentials = credentials(self.port.account)
        self.throttle = self.fresh_throttle()
        self.orders = Orders(self.signer, lambda: self.now_ns // MS)
        self.journal: list[str] = []
        self.client = self.make_client()
        self.markets = plain_markets(self.venue, market_with)
        self.market = self.markets[0]

    async def _noted(self, method: str, path: str, **named: Any) -> HttpResponse:
        self.asked.append(f"{method} {path}")
        return await self._request(method, path, **named)

    def another_market(self) -> Market:
        """Return a market like the first."""
        return self.markets[1]

    def fresh_throttle(self) -> Throttle:
        """Return a throttle that has heard nothing."""
        return Throttle(self.now_ns)

    def make_client(self, **options: Any) -> TradingClient:
        """Return a client of the account, in virtual time."""
        made = {
            "signer": self.signer,
            "credentials": self.credentials,
            "throttle": self.throttle,
            "wall_ns": lambda: self.now_ns,
            "monotonic_ns": lambda: self.now_ns,
        }
        return TradingClient(self.port, **(made | options))

    @property
    def now_ns(self) -> int:
        return self.port.now_ns

    def fault(self, name: str, **members: Any) -> int:
        """Add a fault; members that are none of a spec's are values."""
        known = {"at_s", "for_s", "every_s", "probability", "count", "match"}
        spec = {key: members[key] for key in members.keys() & known}
        values = {key: members[key] for key in members.keys() - known}
        return self.venue.faults.add({"name": name, **spec, "values": values})

    def run(self, awaitable: Awaitable[T], for_s: float = 60) -> T:
        """Return what something awaited returns, letting time pass for it."""
        return asyncio.run(self._run(awaitable, self.now_ns + int(for_s * SECOND)))

    async def _run(self, awaitable: Awaitable[T], until_ns: int) -> T:
        task = asyncio.ensure_future(awaitable)
        while True:
            for _ in range(10):  # it goes on until it waits for the venue
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            due_ns = self.venue.next_ns()
            assert due_ns is not None, "the venue has nothing more to do"
            assert due_ns <= until_ns, "it takes too long"
            self.port.run_until(due_ns)

    def resting(self, price_e4: int = 100, size: str = "10", side: str = "BUY") -> Order:
        """Return an order that rests far from the best prices."""
        return self.orders.limit(self.market, 0, side, price_e4, size)

    def taking(self, dollars: str = "5", price_e4: int = 9_900) -> Order:
        """Return a BUY that meets whatever is there."""
        return self.orders.market(self.market, 0, "BUY", price_e4, dollars)

    def place(self, *orders: Order, kind: str = "GTC", **options: Any) -> list[Any]:
        """Sign and post orders; return what became of them, in order."""

        def journal(signed: Any) -> None:
            self.journal += [one.order_id for one in signed]

        return self.run(self.client.place(orders, order_type=kind, journal=journal, **options))
