"""
A slow exchange for one condition: a list of orders, searched from end to end each time.

Written from protocol.md sections 10.4, 11.1 and 19 alone. Prices x 10^4, shares and cash x 10^6.
A maker's cash is rounded against it over all its fills together; the taker moves the rest.
"""

from dataclasses import dataclass, field
from fractions import Fraction

DUST = 100
ONE = 10_000


@dataclass
class Resting:
    """An order, resting or on its way in."""

    name: str
    wallet: str
    yes: bool
    buy: bool
    price: int
    shares: int
    budget: int | None = None
    filled: int = 0  # as a maker
    cash: int = 0  # as a maker
    age: int = 0


@dataclass
class Matcher:
    """
    The book of one market and what its wallets gain and lose.

    Attributes:
        moves: (wallet, "cash" | "yes" | "no") to what matches have added, fees included.
        sets: Complete sets that matches have made, less those they have burnt.
        fees: What takers paid on top.
    """

    rate: Fraction = Fraction(0)
    orders: list[Resting] = field(default_factory=list)
    moves: dict[tuple[str, str], int] = field(default_factory=dict)
    sets: int = 0
    fees: int = 0
    clock: int = 0

    def place(
        self,
        name: str,
        wallet: str,
        *,
        yes: bool,
        buy: bool,
        price: int,
        shares: int,
        kind: str = "GTC",
        budget: int | None = None,
    ) -> list[tuple[str, int]] | None:
        """Return (maker, shares) for each fill, or None where the order is killed."""
        taker = Resting(name, wallet, yes, buy, price, shares, budget)
        fills, complete = self._meet(taker)
        if (kind == "FOK" and not complete) or (kind == "FAK" and not fills):
            return None
        for maker, amount in fills:
            self._fill(taker, maker, amount)
        rest = shares - sum(amount for _, amount in fills)
        if kind == "GTC" and rest >= DUST:
            self.clock += 1
            taker.shares, taker.age = rest, self.clock
            self.orders.append(taker)
        return [(maker.name, amount) for maker, amount in fills]

    def cancel(self, name: str) -> None:
        """Take an order off."""
        self.orders = [order for order in self.orders if order.name != name]

    def book(self) -> dict[tuple[bool, int], int]:
        """Return shares by (is a YES bid, YES price)."""
        levels: dict[tuple[bool, int], int] = {}
        for order in self.orders:
            key = (order.yes == order.buy, order.price if order.yes else ONE - order.price)
            levels[key] = levels.get(key, 0) + order.shares - order.filled
        return levels

    def _meet(self, taker: Resting) -> tuple[list[tuple[Resting, int]], bool]:
        """Return the fills on paper, and whether nothing worth trading is left."""
        left, budget = taker.shares, taker.budget
        fills = []
        while True:
            usable = [
                order
                for order in self.orders
                if _cross(taker, order) and order not in [maker for maker, _ in fills]
            ]
            small = left < DUST if budget is None else budget * ONE < taker.price * DUST
            if small or not usable:
                return fills, small
            maker = min(
                usable, key=lambda order: (_taker_price(taker, order) * _sign(taker), order.age)
            )
            price = _taker_price(taker, maker)
            wanted = left if budget is None else budget * ONE // price
            if wanted <= 0 or (wanted < DUST and fills):
                return fills, True
            amount = min(wanted, maker.shares - maker.filled)
            fills.append((maker, amount))
            left -= amount
            if budget is not None:
                budget -= _split(taker, maker, amount)[0]

    def _fill(self, taker: Resting, maker: Resting, amount: int) -> None:
        mine, theirs = _split(taker, maker, amount)
        price = Fraction(_taker_price(taker, maker), ONE)
        exact = Fraction(amount) * self.rate * price * (1 - price)
        fee = int(exact / 10 + Fraction(1, 2)) * 10
        self._move(taker, amount, mine)
        self._move(maker, amount, theirs)
        self._add(taker.wallet, "cash", -fee)
        self.fees += fee
        if taker.yes != maker.yes:
            self.sets += amount if taker.buy else -amount
        maker.filled += amount
        maker.cash += theirs
        if maker.shares - maker.filled < DUST:
            self.orders.remove(maker)

    def _move(self, order: Resting, amount: int, cash: int) -> None:
        sign = 1 if order.buy else -1
        self._add(order.wallet, "yes" if order.yes else "no", sign * amount)
        self._add(order.wallet, "cash", -sign * cash)

    def _add(self, wallet: str, what: str, units: int) -> None:
        self.moves[wallet, what] = self.moves.get((wallet, what), 0) + units


def _cross(taker: Resting, maker: Resting) -> bool:
    """Say whether two orders can trade: what one gives covers what the other wants."""
    if taker.yes == maker.yes:
        if taker.buy == maker.buy:
            return False
        buyer, seller = (taker, maker) if taker.buy else (maker, taker)
        return buyer.price >= seller.price
    if taker.buy != maker.buy:
        return False
    total = taker.price + maker.price
    return total >= ONE if taker.buy else total <= ONE


def _sign(taker: Resting) -> int:
    return 1 if taker.buy else -1


def _taker_price(taker: Resting, maker: Resting) -> int:
    return maker.price if taker.yes == maker.yes else ONE - maker.price


def _split(taker: Resting, maker: Resting, amount: int) -> tuple[int, int]:
    """Return the cash that moves at the taker and at the maker."""
    total = Fraction((maker.filled + amount) * maker.price, ONE)
    rounded = -(-total.numerator // total.denominator) if maker.buy else int(total)
    theirs = rounded - maker.cash
    return (theirs if taker.yes == maker.yes else amount - theirs), theirs
