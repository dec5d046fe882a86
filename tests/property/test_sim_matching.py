"""The venue's matching against its slow twin, and conservation over millions of operations."""

import os
from fractions import Fraction
from random import Random

import pytest
from reference.matcher import Matcher

from polyarb.sim.catalog import Catalog, Event, Fee, Market, Structure
from polyarb.sim.config import VenueConfig
from polyarb.sim.http import HttpError
from polyarb.sim.ledger import FundsError, Wallet
from polyarb.sim.matching import Order
from polyarb.sim.venue import FAK_KILLED, FOK_KILLED, Venue

SEED = int(os.environ.get("POLYARB_SIM_SEED", "20261124"))
OPERATIONS = int(os.environ.get("POLYARB_SIM_OPERATIONS", "2000000"))
RATE_E6 = 50_000


def event(number: int, markets: int, structure: Structure, fee_bips: int = 0) -> Event:
    """Return an event with short ids."""
    return Event(
        id=str(number),
        slug=f"event-{number}",
        title=f"Event {number}",
        structure=structure,
        fee_bips=fee_bips,
        markets=[
            Market(
                gamma_id=f"{number}{index}",
                condition_id=f"0x{number:02x}{index:062x}",
                question_id=f"0x{number:062x}{index:02x}",
                tokens=(f"{number}{index}1", f"{number}{index}2"),
                question="?",
                slug=f"market-{number}-{index}",
                index=index,
                neg_risk=structure is Structure.NEGRISK,
                fee=Fee(rate_e6=RATE_E6) if index % 2 == 0 else None,
            )
            for index in range(markets)
        ],
    )


class Crowd:
    """Wallets that do anything at random, on a venue that recounts its ledger every time."""

    def __init__(self, seed: int, events: list[Event], *, cash_e6: int, audit: bool) -> None:
        self.rng = Random(seed)
        config = VenueConfig(mined_ms=50, confirmed_ms=50)
        self.venue = Venue(config, Catalog(events), seed=seed, audit=audit)
        self.wallets = [self.venue.ledger.add(Wallet(f"0x{n:040x}", "")) for n in range(6)]
        for wallet in self.wallets:
            self.venue.deposit(wallet, cash_e6)
        self.markets = list(self.venue.catalog.markets.values())
        self.count = 0

    def order(self) -> Order:
        """Return a random order; every third at a price that others often choose."""
        rng, market = self.rng, self.rng.choice(self.markets)
        self.count += 1
        kind = rng.choice(("GTC", "GTC", "GTC", "FAK", "FOK"))
        buy = rng.random() < 0.6
        price = rng.choice((4_800, 5_000, 5_200, rng.randrange(100, 10_000, 100)))
        shares = rng.choice((5_000_000, rng.randrange(1, 4_000) * 10_000))
        return Order(
            id=f"o{self.count}",
            wallet=rng.choice(self.wallets),
            market=market,
            outcome=rng.randrange(2),
            buy=buy,
            price_e4=price,
            size_e6=shares,
            budget_e6=price * shares // 10**8 * 10**4 if buy and kind != "GTC" else 0,
            kind=kind,
        )

    def step(self) -> str:
        """Do one thing; return what."""
        draw = self.rng.random()
        if draw < 0.6:
            return self.place()
        wallet = self.rng.choice(self.wallets)
        if draw < 0.9:
            if wallet.orders:
                self.venue.remove(next(iter(wallet.orders.values())), "CANCELED")
            return "cancel"
        what = self.position(wallet, draw)
        self.venue.enforce(wallet)
        return what

    def place(self) -> str:
        """Place an order that may be refused."""
        order = self.order()
        if order.budget_e6 == 0 and order.buy and order.kind != "GTC":
            return "nothing"
        try:
            return "matched" if self.venue.execute(order).trade else "rested"
        except HttpError as refusal:
            return "killed" if refusal.message in {FAK_KILLED, FOK_KILLED} else "refused"

    def position(self, wallet: Wallet, draw: float) -> str:
        """Split, merge or convert; refused where the wallet holds too little."""
        ledger, market = self.venue.ledger, self.rng.choice(self.markets)
        units = self.rng.randrange(1, 20_000_000)
        try:
            if draw < 0.93:
                ledger.split(wallet, market, units)
                return "split"
            if draw < 0.96:
                ledger.merge(wallet, market, units)
                return "merge"
            count = len(market.event.markets)
            chosen = frozenset(self.rng.sample(range(count), self.rng.randrange(1, count + 1)))
            ledger.convert(wallet, market.event, chosen, units)
        except FundsError:
            return "short"
        return "convert"


@pytest.mark.parametrize("seed", range(SEED, SEED + 20))
def test_every_fill_and_every_cent_equals_the_slow_twins(seed: int) -> None:
    """Rich wallets, so that nothing but matching decides; half of the runs with a fee."""
    index = seed % 2  # market 0 has a fee, market 1 has none
    crowd = Crowd(seed, [event(1, 2, Structure.MIXED)], cash_e6=10**15, audit=False)
    market = crowd.markets[index]
    crowd.markets = [market]
    for wallet in crowd.wallets:
        crowd.venue.ledger.split(wallet, market, 10**13)
    start = {
        (wallet.address, what): units
        for wallet in crowd.wallets
        for what, units in holdings(wallet, market).items()
    }
    twin = Matcher(rate=Fraction(0 if index else RATE_E6, 10**6))
    for _ in range(400):
        if crowd.rng.random() < 0.25 and twin.orders:
            name = crowd.rng.choice(twin.orders).name
            crowd.venue.remove(crowd.venue.orders[name], "CANCELED")
            twin.cancel(name)
            continue
        order = crowd.order()
        budget = order.budget_e6 or None
        if budget is None and order.buy and order.kind != "GTC":
            continue
        expected = twin.place(
            order.id,
            order.wallet.address,
            yes=order.outcome == 0,
            buy=order.buy,
            price=order.price_e4,
            shares=order.size_e6,
            kind=order.kind,
            budget=budget,
        )
        try:
            trade = crowd.venue.execute(order).trade
        except HttpError:
            assert expected is None
        else:
            fills = [(part.maker.id, part.shares) for part in trade.parts] if trade else []
            assert fills == expected
        assert levels(crowd.venue, market) == twin.book()
    crowd.venue.advance(crowd.venue.now_ns + 10**12)
    crowd.venue.check()
    gained = {
        (wallet.address, what): units - start[wallet.address, what]
        for wallet in crowd.wallets
        for what, units in holdings(wallet, market).items()
    }
    assert {key: units for key, units in gained.items() if units} == {
        key: units for key, units in twin.moves.items() if units
    }
    assert crowd.venue.ledger.vault.cash_e6 == twin.fees
    locked = crowd.venue.ledger.locked_e6[market.event.id]
    assert locked == 10**13 * len(crowd.wallets) + twin.sets


def holdings(wallet: Wallet, market: Market) -> dict[str, int]:
    return {
        "cash": wallet.cash_e6,
        "yes": wallet.tokens(market.tokens[0]),
        "no": wallet.tokens(market.tokens[1]),
    }


def levels(venue: Venue, market: Market) -> dict[tuple[bool, int], int]:
    return {
        (bid, price): shares
        for bid in (True, False)
        for price, shares in venue.book(market).depth(bid)
    }


def test_collateral_and_complete_sets_never_appear_or_vanish() -> None:
    """Millions of operations of wallets that are often short; a full recount after each match."""
    print(f"POLYARB_SIM_SEED={SEED}")
    seen: dict[str, int] = {}
    rounds = 20
    for turn in range(rounds):
        events = [
            event(1, 2, Structure.MIXED),
            event(2, 4, Structure.NEGRISK, fee_bips=turn % 3 * 50),
        ]
        crowd = Crowd(SEED + turn, events, cash_e6=2_000 * 10**6, audit=True)
        for _ in range(OPERATIONS // rounds):
            what = crowd.step()
            seen[what] = seen.get(what, 0) + 1
            if crowd.count % 16 == 0:
                crowd.venue.advance(crowd.venue.now_ns + crowd.rng.randrange(20_000_000))
        winner = crowd.rng.randrange(4)
        crowd.venue.resolve(events[0], [crowd.rng.randrange(3) for _ in range(2)])
        crowd.venue.resolve(events[1], [int(index != winner) for index in range(4)])
        crowd.venue.advance(crowd.venue.now_ns + 10**12)
        for wallet in (*crowd.wallets, crowd.venue.ledger.vault):
            for market in crowd.markets:
                crowd.venue.ledger.redeem(wallet, market)
        crowd.venue.check()
        ledger = crowd.venue.ledger
        left = ledger.locked_e6.total()
        assert 2 * left == ledger.dust.total()  # nothing is left but odd halves
        assert sum(w.cash_e6 for w in ledger.wallets.values()) + left == ledger.deposited_e6
    assert (
        min(seen[what] for what in ("matched", "rested", "killed", "refused")) > OPERATIONS // 100
    )
    assert min(seen[what] for what in ("cancel", "split", "merge", "convert")) > OPERATIONS // 200
