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
    return tuple(
        tuple(rng.choice(values) for _ in range(count)) for _ in range(rng.randint(1, 4))
    )


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
                asks=ladder(rng, tick, price, rng.choice((*(1, 1, 2, 2, 3, 3, 4, 4) * 4, 0)), sizes, rise=True),
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
    return min(
        sum(leg.weight * paid for leg, paid in zip(made.legs, state, strict=True))
        for state in made.pays
    ) >= made.payoff


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
