"""
Basket sizing by trying every number of sets (csrc/basket/basket.h says what is computed).

Prices x 10^4, shares and cash x 10^6, fees per share as fractions of 2^32. `h` counts lattice
steps: 0.01 sets.
"""

from dataclasses import dataclass

STEP = 10_000
CENT = 10_000
ONE = 10_000
DUST = 100
Q = 2**32
SHARES_MAX = 10**14
FAK, FOK, GTC = range(3)
REASONS = (
    *("ok", "depth", "no_edge", "lattice", "below_minimum", "one_dollar"),
    *("cash", "relation", "event", "loss"),
)


@dataclass(frozen=True)
class Leg:
    """One token to buy: levels are (price, size), best first."""

    asks: tuple[tuple[int, int], ...]
    bids: tuple[tuple[int, int], ...] = ()
    weight: int = 1
    tick: int = 100
    min_size: int = 5_000_000
    rate: int = 0
    exponent: int = 1


@dataclass(frozen=True)
class Basket:
    """Legs that pay `pays[state][leg]` a share, and at least `payoff` a set."""

    legs: tuple[Leg, ...]
    pays: tuple[tuple[int, ...], ...]
    payoff: int
    style: int = FAK
    slippage: int = 0
    cash: int = 10**18
    relation: int = 10**18
    event: int = 10**18
    loss: int = 10**18


@dataclass(frozen=True)
class Order:
    """A leg of a plan."""

    shares: int
    maker: int
    taker: int
    notional: int
    cost: int
    fee: int
    outlay: int
    unwind: int
    limit: int
    levels: int


@dataclass(frozen=True)
class Plan:
    """The best number of sets."""

    sets: int
    cost: int
    fee: int
    outlay: int
    payoff: int
    profit: int
    worst_loss: int
    worst_unwind: int
    worst_state: int
    orders: tuple[Order, ...]


def up(a: int, b: int) -> int:
    """Return a / b rounded up."""
    return -(-a // b)


def fee_unit(leg: Leg, price: int) -> int:
    """Return the fee of a share at `price`, of 2^32, rounded up."""
    curve, one = price * (ONE - price), ONE * ONE
    return up(Q * leg.rate * curve**leg.exponent, 10**6 * one**leg.exponent)


def level_fee(leg: Leg, price: int, shares: int) -> int:
    """Return the most a level's fills are charged: half a 10^-5 a minimum size, one for two."""
    if not leg.rate:
        return 0
    unit = fee_unit(leg, price) + up(5 * Q, leg.min_size)
    return up(shares * unit, Q) + 10


def walk(leg: Leg, style: int, shares: int) -> tuple[int, int, int, int]:
    """Return (notional, fee, price of the worst level, levels) of the first `shares`."""
    notional = fee = levels = worst = 0
    for price, size in leg.asks:
        if not shares:
            break
        taken = min(shares, size)
        notional += up(price * taken, ONE)
        if style != GTC and size % STEP:
            notional += 1
        fee += level_fee(leg, price, taken)
        shares -= taken
        worst = price
        levels += 1
    assert not shares
    return notional, fee, worst, levels


def depth(leg: Leg) -> int:
    """Return the lattice steps that the leg's asks hold."""
    shares = min(SHARES_MAX, sum(size for _, size in leg.asks))
    return shares // (leg.weight * STEP)


def limit_of(basket: Basket, leg: Leg, worst: int) -> int:
    """Return the limit price."""
    return min(worst + basket.slippage * leg.tick, ONE - leg.tick)


def cost_of(basket: Basket, leg: Leg, h: int) -> tuple[int, int, int, int, int]:
    """Return (cost, fee, notional, limit, levels) of a leg of h steps."""
    notional, fee, worst, levels = walk(leg, basket.style, leg.weight * h * STEP)
    limit = limit_of(basket, leg, worst)
    cost = notional
    if basket.style != GTC:
        cost = up(notional, CENT) * CENT
        fee += rest_fee(leg, worst, limit, cost - notional)
    return cost, fee, notional, limit, levels


def rest_fee(leg: Leg, worst: int, limit: int, rest: int) -> int:
    """Return the most fee on what the rest of a budget's last cent buys."""
    if not rest or not leg.rate:
        return 0
    at = worst if leg.exponent == 1 or worst >= 3_333 else min(limit, 3_333)
    piece = up(5 * Q, leg.min_size)
    if at == worst:
        unit = up((fee_unit(leg, at) + piece) * ONE, at)
    else:
        unit = up(fee_unit(leg, at) * ONE, at) + up(piece * ONE, worst)
    return up(rest * unit, Q) + 10


def amounts(basket: Basket, leg: Leg, h: int) -> tuple[int, int]:
    """Return (maker, taker)."""
    cost, _, _, limit, _ = cost_of(basket, leg, h)
    if basket.style == GTC:
        return limit * leg.weight * h, leg.weight * h * STEP
    unit = 1_000 if leg.tick == 1_000 else 100
    return cost, cost * ONE // limit // unit * unit


def spent(leg: Leg, h: int, limit: int, budget: int, notional: int) -> bool:
    """Say whether the asks up to `limit` take the budget whole (FOK)."""
    if budget == notional:
        return True
    if limit <= 100:
        return False
    shares, more = leg.weight * h * STEP, 0
    for price, size in leg.asks:
        taken = min(shares, size)
        shares -= taken
        if price <= limit and not shares:
            more += price * (size - taken) // ONE
    return budget - notional <= more


def piece(leg: Leg, rounding: int) -> int:
    """Return `rounding` for each fill of the minimum size, a share, of 2^32."""
    return up(rounding * Q, leg.min_size)


def fee_a_dollar(leg: Leg, limit: int, rounding: int) -> int:
    """Return the most fee that a dollar spent at prices up to `limit` draws, of 2^32."""
    if leg.exponent == 1:
        return up((fee_unit(leg, leg.tick) + piece(leg, rounding)) * ONE, leg.tick)
    at = min(limit, 3_333)
    return up(fee_unit(leg, at) * ONE, at) + up(piece(leg, rounding) * ONE, leg.tick)


def outlay(basket: Basket, leg: Leg, h: int) -> int:
    """Return the most that the leg can cost, fee included."""
    cost, _, _, limit, _ = cost_of(basket, leg, h)
    places = len(leg.asks) + 1
    rounding = 5 if leg.rate else 0
    if basket.style == GTC:
        shares = leg.weight * h * STEP
        most = limit * leg.weight * h + up(
            shares * (fee_unit(leg, limit) + piece(leg, rounding)), Q
        )
        return most + places * (12 if leg.rate else 1)
    most = cost + up(cost * fee_a_dollar(leg, limit, rounding), Q)
    return most + places * (12 if leg.rate else 0)


def loss(basket: Basket, leg: Leg, h: int, pays: int) -> int:
    """Return the most that the leg can lose where a share pays `pays`."""
    if not pays:
        return outlay(basket, leg, h)
    cost, _, _, limit, _ = cost_of(basket, leg, h)
    rounding = 7 if leg.rate else 2
    fee = fee_unit(leg, limit) + piece(leg, rounding)
    if basket.style == GTC:  # shares x (limit + fee - pays)
        shares = leg.weight * h * STEP
        most = up(shares * (100 * limit * Q + 10**6 * fee - pays * Q), 10**6 * Q)
    elif pays * 10**8 >= leg.rate * limit**2 + limit * 10**10 // 16 + up(
        rounding * 10**14, leg.min_size
    ):  # dollars x (1 + (fee - pays) / limit)
        most = up(cost * (100 * limit * Q + 10**6 * fee - pays * Q), 100 * limit * Q)
    else:
        fee = fee_a_dollar(leg, limit, rounding)
        most = up(cost * (100 * limit * (Q + fee) - pays * Q), 100 * limit * Q)
    return max(0, most) + 2 * rounding * (len(leg.asks) + 1)


def proceeds(leg: Leg, shares: int) -> tuple[int, int]:
    """Return (cash from selling whole steps into the bids, bids reached into)."""
    left, cash, levels = shares // STEP * STEP, 0, 0
    for price, size in leg.bids:
        if not left:
            break
        sold = min(left, size)
        cash += price * sold // ONE - level_fee(leg, price, sold)
        left -= sold
        levels += 1
    return max(0, cash), levels


def unwind_bound(basket: Basket, leg: Leg, h: int) -> int:
    """Return the most that selling any part of the leg again can lose."""
    cost, _, _, limit, _ = cost_of(basket, leg, h)
    shares = leg.weight * h * STEP
    if basket.style != GTC:
        fills = 2 * (len(leg.asks) + 1) + up(up(cost * ONE, limit), leg.min_size)
        shares = max(0, cost - fills) * ONE // limit
    cash, levels = proceeds(leg, shares)
    remainder = leg.bids[0][0] if leg.bids else 0
    return max(0, outlay(basket, leg, h) - cash) + remainder + 12 * levels


def payoff(basket: Basket, h: int) -> int:
    """Return what h steps pay; of an order 0.0001 shares may be missing."""
    return basket.payoff * h // 100 - up(basket.payoff * DUST, 10**6)


def profit(basket: Basket, h: int) -> int:
    """Return payoff less cost and fee."""
    return payoff(basket, h) - sum(sum(cost_of(basket, leg, h)[:2]) for leg in basket.legs)


def worst_loss(basket: Basket, h: int) -> tuple[int, int]:
    """Return (the most that can be lost, first state in which it is)."""
    losses = [
        sum(loss(basket, leg, h, paid) for leg, paid in zip(basket.legs, state, strict=True))
        for state in basket.pays
    ]
    return max(losses), losses.index(max(losses))


def total_outlay(basket: Basket, h: int) -> int:
    """Return the most that all legs can cost."""
    return sum(outlay(basket, leg, h) for leg in basket.legs)


def size(basket: Basket) -> Plan | str:
    """Return the plan of the highest profit, of equal ones the smallest, or why there is none."""
    steps = min(map(depth, basket.legs))
    if not steps:
        return "depth"
    if not first_share_pays(basket):
        return "no_edge"
    every = range(1, steps + 1)
    legs = basket.legs
    rules = [
        (
            "lattice",
            lambda h: (
                profit(basket, h) > 0
                and (basket.style != FOK or all(_whole(basket, leg, h) for leg in legs))
            ),
        ),
        (
            "below_minimum",
            lambda h: all(
                min(leg.weight * h * STEP, amounts(basket, leg, h)[1]) >= leg.min_size
                for leg in legs
            ),
        ),
        ("one_dollar", lambda h: all(amounts(basket, leg, h)[0] >= 10**6 for leg in legs)),
        ("cash", lambda h: total_outlay(basket, h) <= basket.cash),
        ("relation", lambda h: total_outlay(basket, h) <= basket.relation),
        ("event", lambda h: total_outlay(basket, h) <= basket.event),
        ("loss", lambda h: worst_loss(basket, h)[0] <= basket.loss),
    ]
    left = list(every)
    for reason, holds in rules:
        left = [h for h in left if holds(h)]
        if not left:
            return reason
    return plan(basket, max(left, key=lambda h: (profit(basket, h), -h)))


def _whole(basket: Basket, leg: Leg, h: int) -> bool:
    cost, _, notional, limit, _ = cost_of(basket, leg, h)
    return spent(leg, h, limit, cost, notional)


def first_share_pays(basket: Basket) -> bool:
    """Say whether the first step's marginal cost, without rounding, is below what it pays."""
    marginal = basket.payoff * Q * 100
    for leg in basket.legs:
        _, _, price, _ = walk(leg, basket.style, leg.weight * STEP)
        unit = fee_unit(leg, price) + up(5 * Q, leg.min_size) if leg.rate else 0
        marginal -= leg.weight * (price * Q * 100 * 100 + unit * 100 * 10**6)
    return marginal > 0


def plan(basket: Basket, h: int) -> Plan:
    """Return the plan of h steps."""
    orders = []
    for leg in basket.legs:
        cost, fee, notional, limit, levels = cost_of(basket, leg, h)
        maker, taker = amounts(basket, leg, h)
        shares = leg.weight * h * STEP
        orders.append(
            Order(
                shares=shares,
                maker=maker,
                taker=taker,
                notional=notional,
                cost=cost,
                fee=fee,
                outlay=outlay(basket, leg, h),
                unwind=cost + fee - proceeds(leg, shares)[0],
                limit=limit,
                levels=levels,
            )
        )
    worst, state = worst_loss(basket, h)
    return Plan(
        sets=h * STEP,
        cost=sum(order.cost for order in orders),
        fee=sum(order.fee for order in orders),
        outlay=sum(order.outlay for order in orders),
        payoff=payoff(basket, h),
        profit=profit(basket, h),
        worst_loss=worst,
        worst_unwind=sum(unwind_bound(basket, leg, h) for leg in basket.legs),
        worst_state=state,
        orders=tuple(orders),
    )
