"""Sized plans sent to the venue's matching: accepted, no dearer than said, no share too few."""

import json
import os
from random import Random

import pytest
import simclient
from simclient import KEYS, Client

from polyarb.core.basket import DUST_E6, Basket, Leg, Sized, Sizer
from polyarb.domain.money import Tick, units_text
from polyarb.domain.order import OrderType
from polyarb.exchange.amounts import limit_amounts, market_amounts
from polyarb.sim.catalog import Fee, Market
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order

SEED = int(os.environ.get("POLYARB_SIZING_SEED", "20261125"))
RUNS = int(os.environ.get("POLYARB_SIZING_SIM_RUNS", "12"))
MILLION = 10**6
SIZER = Sizer()


class Pit:
    """A market a leg, whose asks are sells and buys of the complement, several to a level."""

    def __init__(self, rng: Random, tick: Tick, *, many: bool) -> None:
        self.rng, self.tick, self.many = rng, tick, many
        self.outcomes = [rng.randrange(2) for _ in range(rng.randint(2, 4))]
        markets = [self.market(number) for number in range(len(self.outcomes))]
        self.venue = simclient.venue(markets, market_min_size=True, taker_decimals="four")
        self.markets = list(self.venue.catalog.markets.values())
        self.client = Client(self.venue, KEYS[0], cash_e6=10**12)
        self.makers = [self.venue.ledger.add(Wallet(f"0x{n:040x}", "")) for n in (1, 2)]
        for maker in self.makers:
            self.venue.deposit(maker, 10**15)
            for market in self.markets:
                self.venue.ledger.split(maker, market, 10**13)
        self.count = 0
        for index in range(len(markets)):
            step = tick.step_e4
            price = max(0, (10_000 // len(markets) - 300) // step - 1) * step
            for _ in range(rng.randint(1, 4)):
                price += rng.choice((1, 1, 2)) * tick.step_e4
                for _ in range(rng.choice((1, 1, 3, 8)) if many else 1):
                    self.rest(index, price)
                if rng.random() < 0.5:
                    break

    def market(self, number: int) -> Market:
        rate = self.rng.choice((0, 40_000, 70_000, 250_000))
        fee = Fee(rate_e6=rate, exponent=self.rng.choice((1, 1, 2))) if rate else None
        return simclient.market(number, tick_e4=self.tick.step_e4, fee=fee)

    def rest(self, index: int, price_e4: int) -> None:
        """Let an ask rest; it may be a bid for the other token."""
        rng, market = self.rng, self.markets[index]
        mirrored = rng.random() < 0.5
        self.count += 1
        size = rng.randint(5_000_000, 60_000_000)
        self.venue.execute(
            Order(
                id=f"m{self.count}",
                wallet=rng.choice(self.makers),
                market=market,
                outcome=self.outcomes[index] ^ mirrored,
                buy=mirrored,
                price_e4=10_000 - price_e4 if mirrored else price_e4,
                size_e6=size if rng.random() < 0.5 else size // 10_000 * 10_000,
            )
        )

    def asks(self, index: int) -> list[tuple[int, int]]:
        return list(self.venue.book(self.markets[index]).depth(False, self.outcomes[index]))

    def bids(self, index: int) -> list[tuple[int, int]]:
        return list(self.venue.book(self.markets[index]).depth(True, self.outcomes[index]))

    def size(self, style: OrderType, slippage: int) -> tuple[Basket, Sized | None]:
        count = len(self.markets)
        legs = [
            Leg(
                tick_e4=self.tick.step_e4,
                min_size_e6=market.min_size_e6,
                rate_e6=market.fee.rate_e6 if market.fee else 0,
                exponent=market.fee.exponent if market.fee else 1,
            )
            for market in self.markets
        ]
        pays = [[MILLION * (i == s) for i in range(count)] for s in range(count)]
        basket = Basket(legs, pays, style=style, slippage_ticks=slippage)
        sized = SIZER.size(basket, [*map(self.asks, range(count))], [*map(self.bids, range(count))])
        return basket, sized if isinstance(sized, Sized) else None

    def buy(self, index: int, style: OrderType, amounts: tuple[int, int]) -> tuple[int, int, int]:
        """Post the order; return (status, cash spent with fees, shares bought)."""
        token = self.markets[index].tokens[self.outcomes[index]]
        wallet = self.client.wallet
        cash, shares = wallet.cash_e6, wallet.positions.get(token, 0)
        item = self.client.order(token, kind=style, amounts=amounts)
        response = self.client.post("/order", item)
        simclient.run(self.venue, self.venue.now_ns + 60 * simclient.SECOND)
        body = json.loads(response.body)
        if response.status != 200:
            return response.status, body["error"], 0
        return (
            response.status,
            cash - wallet.cash_e6,
            wallet.positions.get(token, 0) - shares,
        )


def official_amounts(tick: Tick, style: OrderType, leg: object) -> tuple[int, int]:
    """Return the amounts that polyarb.exchange makes of the limit and the size or budget."""
    price = units_text(leg.limit_e4, 4)
    if style is OrderType.GTC:
        made = limit_amounts(
            price, units_text(leg.shares_e6, 6), "BUY", tick, minimum_size=5, marketable=True
        )
    else:
        made = market_amounts(price, units_text(leg.maker_e6, 6), "BUY", tick, minimum_size=5)
    return tuple(made)


@pytest.mark.parametrize("style", [OrderType.FAK, OrderType.FOK, OrderType.GTC])
@pytest.mark.parametrize("tick", list(Tick), ids=lambda tick: tick.value)
def test_the_venue_takes_a_plan_at_no_more_than_said(tick: Tick, style: OrderType) -> None:
    rng = Random(f"{SEED} {tick} {style}")
    plans = 0
    for number in range(RUNS):
        pit = Pit(rng, tick, many=number % 2 == 1)
        _, sized = pit.size(style, rng.choice((0, 0, 1)))
        if sized is None:
            continue
        plans += 1
        for index, leg in enumerate(sized.legs):
            assert (leg.maker_e6, leg.taker_e6) == official_amounts(tick, style, leg)
            asks = pit.asks(index)
            status, spent, bought = pit.buy(index, style, (leg.maker_e6, leg.taker_e6))
            assert status == 200, (spent, leg, asks)
            assert spent <= leg.cost_e6 + leg.fee_e6, (spent, leg, asks)
            assert bought >= leg.shares_e6 - DUST_E6, (bought, leg, asks)
    assert plans > RUNS // 4


@pytest.mark.parametrize("style", [OrderType.FAK, OrderType.GTC])
def test_no_way_a_moved_book_fills_a_plan_loses_more_than_said(style: OrderType) -> None:
    """Between sizing and matching asks go and come, better and worse ones."""
    rng = Random(f"{SEED} moved {style}")
    plans = 0
    for _ in range(6 * RUNS):
        pit = Pit(rng, rng.choice(list(Tick)), many=True)
        _, sized = pit.size(style, rng.choice((0, 1, 5)))
        if sized is None:
            continue
        plans += 1
        held = []
        for index, leg in enumerate(sized.legs):
            book = pit.venue.book(pit.markets[index])
            for order in list(book.orders()):
                if rng.random() < 0.4:
                    pit.venue.remove(order, "CANCELED")
            step = pit.tick.step_e4
            for _ in range(rng.randint(0, 3)):
                pit.rest(index, rng.randrange(step, leg.limit_e4 + 2 * step, step))
            status, spent, bought = pit.buy(index, style, (leg.maker_e6, leg.taker_e6))
            if status != 200:
                assert "no orders found to match" in spent, spent
                spent = 0
            assert spent <= leg.outlay_e6, (spent, leg)
            held.append((spent, bought))
        for state in range(len(held)):
            loss = sum(spent - bought * (i == state) for i, (spent, bought) in enumerate(held))
            assert loss <= sized.worst_loss_e6
    assert plans > RUNS
