"""Sizing against trying every size; what a plan promises, over every fill and every state."""

import itertools
import os
from dataclasses import replace
from random import Random

import pytest
from reference import sizing as slow

from polyarb.core import basket as fast
from polyarb.domain.order import OrderType

SEED = int(os.environ.get("POLYARB_SIZING_SEED", "20261125"))
INSTANCES = int(os.environ.get("POLYARB_SIZING_INSTANCES", "1500"))
STYLES = (OrderType.FAK, OrderType.FOK, OrderType.GTC)
TICKS = (1000, 100, 50, 25, 10, 1)
UNLIMITED = 10**18


def ladder(
    rng: Random, tick: int, start: int, count: int, sizes: tuple[int, int], *, rise: bool
) -> tuple[tuple[int, int], ...]:
    """Return up to `count` levels from `start` on; half the sizes are on the lattice."""
    price, levels = start, []
    for _ in range(count):
        if not tick <= price <= 10_000 - tick:
            break
        size = rng.randint(*sizes)
        levels.append((price, max(10_000, size // 10_000 * 10_000) if rng.random() < 0.5 else size))
        price += rng.choice((1, 1, 1, 2, 5)) * tick * (1 if rise else -1)
    return tuple(levels)


def payoffs(rng: Random, weights: list[int]) -> tuple[tuple[int, ...], ...]:
    """Return states in which one leg pays, all but one pay, or anything does."""
    count, kind = len(weights), rng.randrange(3)
    if kind < 2:
        return tuple(
            tuple(1_000_000 * ((i == s) ^ kind) for i in range(count)) for s in range(count)
        )
    values = (0, 250_000, 500_000, 1_000_000)
    return tuple(tuple(rng.choice(values) for _ in range(count)) for _ in range(rng.randint(1, 4)))


def basket(rng: Random, *, sizes: tuple[int, int] = (1, 3_000_000), legs: int = 3) -> slow.Basket:
    """Return an instance whose asks are mostly a little cheaper than what they pay."""
    count = rng.randint(1, legs)
    weights = [rng.choice((1, 1, 1, 1, 2, 3)) for _ in range(count)]
    pays = payoffs(rng, weights)
    payoff = min(sum(w * p for w, p in zip(weights, s, strict=True)) for s in pays)
    target = payoff // 100 if payoff else 5_000
    made = []
    for weight in weights:
        tick = rng.choice(TICKS)
        share = target * rng.uniform(0.5, 1.0) / sum(weights)
        price = min(10_000 - tick, max(tick, int(share * rng.uniform(0.7, 1.2)) // tick * tick))
        made.append(
            slow.Leg(
                asks=ladder(
                    rng,
                    tick,
                    price,
                    rng.choice((*(1, 1, 2, 2, 3, 3, 4, 4) * 4, 0)),
                    sizes,
                    rise=True,
                ),
                bids=ladder(rng, tick, price - tick, rng.randint(0, 4), sizes, rise=False),
                weight=weight,
                tick=tick,
                min_size=rng.choice((10_000, 10_000, 50_000, 1_000_000, 123_456)),
                rate=rng.choice((0, 0, 40_000, 70_000, 250_000, 1_000_000, rng.randrange(10**6))),
                exponent=rng.choice((1, 1, 2)),
            )
        )
    return slow.Basket(
        legs=tuple(made),
        pays=pays,
        payoff=max(1, payoff - rng.choice((0, 0, 0, 1, 12_345))),
        style=rng.randrange(3),
        slippage=rng.choice((0, 0, 1, 3)),
        cash=rng.choice((UNLIMITED, UNLIMITED, UNLIMITED, rng.randrange(10_000_000))),
        relation=rng.choice((UNLIMITED, UNLIMITED, UNLIMITED, rng.randrange(10_000_000))),
        event=rng.choice((UNLIMITED, UNLIMITED, UNLIMITED, rng.randrange(10_000_000))),
        loss=rng.choice((UNLIMITED, UNLIMITED, UNLIMITED, rng.randrange(10_000_000))),
    )


def sane(made: slow.Basket) -> bool:
    return (
        min(
            sum(leg.weight * paid for leg, paid in zip(made.legs, state, strict=True))
            for state in made.pays
        )
        >= made.payoff
    )


SIZER = fast.Sizer()


def sized(made: slow.Basket) -> fast.Sized | fast.Why:
    """Return the core's answer."""
    legs = [
        fast.Leg(
            weight=leg.weight,
            tick_e4=leg.tick,
            min_size_e6=leg.min_size,
            rate_e6=leg.rate,
            exponent=leg.exponent,
        )
        for leg in made.legs
    ]
    caps = fast.Caps(
        cash_e6=made.cash, relation_e6=made.relation, event_e6=made.event, loss_e6=made.loss
    )
    relation = fast.Basket(
        legs,
        made.pays,
        payoff_e6=made.payoff,
        style=STYLES[made.style],
        slippage_ticks=made.slippage,
    )
    return SIZER.size(
        relation, [leg.asks for leg in made.legs], [leg.bids for leg in made.legs], caps
    )


def same(made: slow.Basket, expected: slow.Plan | str, found: fast.Sized | fast.Why) -> None:
    """Compare every number of two answers."""
    if isinstance(expected, str):
        assert isinstance(found, fast.Why), (made, expected, found)
        assert found.value == expected, made
        return
    assert isinstance(found, fast.Sized), (made, expected, found)
    assert found.sets_e6 == expected.sets, (made, expected, found)
    for name in ("cost", "fee", "outlay", "payoff", "profit", "worst_loss", "worst_unwind"):
        assert getattr(found, f"{name}_e6") == getattr(expected, name), (name, made)
    assert found.worst_state == expected.worst_state, made
    for leg, order in zip(found.legs, expected.orders, strict=True):
        assert tuple(leg) == (
            *(order.shares, order.maker, order.taker, order.notional, order.cost, order.fee),
            *(order.outlay, order.unwind, order.limit, order.levels),
        ), made


def test_every_number_equals_that_of_trying_every_size():
    """A dollar and more a leg, so that plans exist; half the instances are smaller."""
    rng = Random(SEED)
    answers: dict[str, int] = {}
    for number in range(INSTANCES):
        sizes = (1, 400_000) if number % 4 == 0 else (100_000, 8_000_000)
        made = basket(rng, sizes=sizes)
        if not sane(made):
            continue
        expected = slow.size(made)
        same(made, expected, sized(made))
        answer = expected if isinstance(expected, str) else "ok"
        answers[answer] = answers.get(answer, 0) + 1
    print(f"seed {SEED}: {answers}")
    assert set(slow.REASONS) <= set(answers)


def plans(seed: str, count: int, **changes: object) -> list[tuple[slow.Basket, fast.Sized]]:
    """Return instances that have a plan."""
    rng = Random(f"{SEED} {seed}")
    found: list[tuple[slow.Basket, fast.Sized]] = []
    while len(found) < count:
        made = replace(basket(rng, sizes=(1_000_000, 20_000_000)), **changes)  # type: ignore[arg-type]
        if sane(made) and isinstance(answer := sized(made), fast.Sized):
            found.append((made, answer))
    return found


def test_a_plan_wins_in_every_state():
    for made, plan in plans("wins", 300):
        for state in made.pays:
            paid = sum(
                paid * (leg.shares_e6 - fast.DUST_E6) // 10**6
                for paid, leg in zip(state, plan.legs, strict=True)
            )
            assert paid >= plan.payoff_e6 - len(plan.legs)
            assert paid - plan.cost_e6 - plan.fee_e6 > -len(plan.legs)
            assert plan.profit_e6 > 0


def charged(leg: slow.Leg, price: int, shares: int) -> int:
    """Return the fee of a fill as the venue rounds it, half up at 10^-5."""
    scale = 10 * 10**6 * 10 ** (8 * leg.exponent)
    exact = shares * leg.rate * (price * (10_000 - price)) ** leg.exponent
    return (2 * exact + scale) // (2 * scale) * 10


def fills(
    rng: Random, style: int, leg: slow.Leg, order: fast.SizedLeg, count: int
) -> list[tuple[int, int]]:
    """Return (spent with fees, shares) of nothing, and of `count` ways to fill an order."""
    prices = range(leg.tick, order.limit_e4 + 1, leg.tick)
    chosen = [prices[0], prices[-1]]
    chosen += [rng.choice(prices) for _ in range(count)]
    ways = [(0, 0)]
    for number, price in enumerate(chosen):
        parts = [(price, 1)]
        if number % 3 == 2:  # at two prices, in some proportion
            parts = [(price, rng.randint(1, 5)), (rng.choice(prices), rng.randint(1, 5))]
        whole = sum(part for _, part in parts)
        portion = 1 if number < 2 or rng.random() < 0.5 else rng.uniform(0.05, 1)
        spent = shares = 0
        for at, part in parts:
            if style == slow.GTC:
                taken = int(order.shares_e6 * portion) * part // whole
            else:
                taken = int(order.maker_e6 * portion) * part // whole * 10_000 // at
            spent += at * taken // 10_000 + charged(leg, at, taken)
            shares += taken
        ways.append((spent, shares))
    return ways


def test_no_fill_in_no_state_loses_more_than_said():
    """Every combination of the legs' fills in every state; the bound is nearly reached."""
    rng = Random(f"{SEED} loss")
    close = 0
    for made, plan in plans("loss", 120):
        ways = [
            fills(rng, made.style, leg, order, 9)
            for leg, order in zip(made.legs, plan.legs, strict=True)
        ]
        worst = max(
            sum(
                spent - paid * shares // 10**6
                for (spent, shares), paid in zip(way, state, strict=True)
            )
            for way in itertools.product(*ways)
            for state in made.pays
        )
        assert worst <= plan.worst_loss_e6, made
        for leg_ways, order in zip(ways, plan.legs, strict=True):
            assert max(spent for spent, _ in leg_ways) <= order.outlay_e6, made
        rounding = sum(14 * (len(leg.asks) + 1) for leg in made.legs)
        pieces = sum(
            7 * 10_000 * order.maker_e6 // (leg.tick * leg.min_size)
            for leg, order in zip(made.legs, plan.legs, strict=True)
        )
        whole = all(paid in {0, 10**6} for state in made.pays for paid in state)
        if whole and all(leg.exponent == 1 or not leg.rate for leg in made.legs):
            close += 1
            assert worst >= plan.worst_loss_e6 - rounding - pieces - plan.outlay_e6 // 10_000, made
    assert close > 30


def test_no_fill_sold_at_once_loses_more_than_said():
    rng = Random(f"{SEED} unwind")
    for made, plan in plans("unwind", 200):
        worst = 0
        for leg, order in zip(made.legs, plan.legs, strict=True):
            losses = []
            for spent, shares in fills(rng, made.style, leg, order, 20):
                left, cash = shares // 10_000 * 10_000, 0
                for price, size in leg.bids:
                    sold = min(left, size)
                    cash += price * sold // 10_000 - charged(leg, price, sold)
                    left -= sold
                losses.append(spent - max(0, cash))
            worst += max(losses)
            assert order.unwind_e6 <= order.cost_e6 + order.fee_e6
        assert worst <= plan.worst_unwind_e6, made


def test_bounds_never_fall_when_a_plan_grows():
    """What the search for the caps rests on."""
    rng = Random(f"{SEED} rising")
    for _ in range(60):
        made = basket(rng)
        steps = min(map(slow.depth, made.legs))
        last = (0, 0)
        for h in range(1, min(steps, 400) + 1):
            now = (slow.total_outlay(made, h), slow.worst_loss(made, h)[0])
            assert now[0] >= last[0], (made, h)
            assert now[1] >= last[1], (made, h)
            last = now


@pytest.mark.parametrize("cap", ["cash", "relation", "event", "loss"])
def test_more_room_never_makes_less_profit(cap: str) -> None:
    for made, plan in plans(f"room {cap}", 60, cash=UNLIMITED, relation=UNLIMITED, event=UNLIMITED):
        most = plan.worst_loss_e6 if cap == "loss" else plan.outlay_e6
        last = 0
        for part in range(11):
            answer = sized(replace(made, **{cap: most * part // 10}))
            if isinstance(answer, fast.Sized):
                room = answer.worst_loss_e6 if cap == "loss" else answer.outlay_e6
                assert room <= most * part // 10
                assert answer.profit_e6 >= last
                last = answer.profit_e6
        assert last == plan.profit_e6


def deep(rng: Random, style: int) -> slow.Basket:
    """Return a basket of many legs and levels whose edge lasts for a while."""
    count = rng.choice((2, 5, 12, 40))
    tick = rng.choice((10, 1)) if count > 12 else rng.choice((100, 25, 10, 1))
    legs = []
    for _ in range(count):
        start = int(10_000 / count * rng.uniform(0.6, 0.98)) // tick * tick
        legs.append(
            slow.Leg(
                asks=ladder(rng, tick, max(tick, start), 100, (1, 900_000_000), rise=True),
                bids=ladder(rng, tick, max(tick, start - tick), 100, (1, 900_000_000), rise=False),
                tick=tick,
                rate=rng.choice((0, 40_000)),
            )
        )
    pays = tuple(tuple(10**6 * (i == s) for i in range(count)) for s in range(count))
    return slow.Basket(legs=tuple(legs), pays=pays, payoff=10**6, style=style)


def relaxed(made: slow.Basket) -> tuple[float, float]:
    """
    Return the best profit and its shares without lattice, cents and rounding of fees.

    Buy the next stretch of shares while it costs less than it pays: the linear programme's
    optimum, since each leg's price only rises.
    """
    places = [[0, leg.asks[0][1]] for leg in made.legs]
    profit = shares = 0.0
    while True:
        edge = made.payoff / 10**6
        for leg, (index, _) in zip(made.legs, places, strict=True):
            p = leg.asks[index][0] / 10_000
            edge -= p + leg.rate / 10**6 * p * (1 - p)
        if edge <= 0:
            return profit, shares
        stretch = min(left for _, left in places)
        profit += edge * stretch
        shares += stretch
        for leg, place in zip(made.legs, places, strict=True):
            place[1] -= stretch
            if not place[1]:
                place[0] += 1
                if place[0] == len(leg.asks):
                    return profit, shares
                place[1] = leg.asks[place[0]][1]


@pytest.mark.parametrize("style", [slow.FAK, slow.GTC])
def test_large_plans_come_close_to_the_relaxed_optimum(style: int) -> None:
    """What is lost is at most a cent a leg (FAK) and the constants of the levels."""
    rng = Random(f"{SEED} large {style}")
    found, widest = 0, 0.0
    while found < 60:
        made = deep(rng, style)
        best, shares = relaxed(made)
        answer = sized(made)
        if isinstance(answer, fast.Why):
            continue
        found += 1
        assert answer.profit_e6 <= best + 1e-6 * best, made
        constants = 100 + sum(13 * leg.levels + 12 for leg in answer.legs)
        pieces = sum(5 * shares / leg.min_size + 700 for leg in made.legs if leg.rate)
        cents = 10_000 * len(made.legs) if style == slow.FAK else 0
        step = 10_000  # the optimum may be between two lattice points
        gap = best - answer.profit_e6
        widest = max(widest, gap / len(made.legs))
        assert gap <= constants + pieces + cents + step, (gap, made)
    print(f"widest gap {widest:.0f} micro-dollars a leg")


EXTREME = slow.Leg(asks=((1, 2**62),), tick=1, min_size=10_000)


@pytest.mark.parametrize("style", [slow.FAK, slow.FOK, slow.GTC])
@pytest.mark.parametrize("rate", [0, 1, 1_000_000])
def test_extremes_keep_their_promises(style: int, rate: int) -> None:
    """The lowest and the highest price, sizes of 2^62, no bids, 256 legs of 256 levels."""
    high = replace(EXTREME, asks=((9_990, 2**62), (9_999, 2**62)), rate=rate)
    low = replace(EXTREME, rate=rate)
    for legs, payoff in (
        ((low, low), 10**6),
        ((high, low), 10**6),
        ((low,) * 256, 10**6),
        ((replace(low, asks=tuple((p, 10_000 + p) for p in range(1, 257))),) * 256, 10**6),
        ((replace(low, weight=512),), 512 * 10**6),
    ):
        count = len(legs)
        states = 1 if count == 1 else count
        pays = tuple(tuple(10**6 * (i == s) for i in range(count)) for s in range(states))
        made = slow.Basket(legs=legs, pays=pays, payoff=payoff, style=style)
        answer = sized(made)
        if isinstance(answer, fast.Why):
            assert answer in {fast.Why.NO_EDGE, fast.Why.LATTICE, fast.Why.ONE_DOLLAR}, made
            continue
        h = answer.sets_e6 // 10_000
        same(made, slow.plan(made, h), answer)
        assert all(
            slow.profit(made, other) <= answer.profit_e6
            for other in (h - 1, h + 1, 1)
            if 1 <= other <= min(map(slow.depth, legs))
        )
