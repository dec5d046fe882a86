"""
How long sizing takes: 2, 5, 12 and 40 legs of 1 to 100 levels.

Question: is the exact answer, with every bound on what can go wrong, there before a signature is
(21 µs); and what would the code cost that a user would write? Input: 128 baskets for each shape,
drawn here with a fixed seed: every leg a binary market of one exhaustive set, prices that leave 1
to 3 % of edge after a fee of 4 %, levels a tick or two apart, sizes of a few magnitudes with two
decimals. Ours is `pa_basket_size` alone, called from C: walk, best size, amounts, worst loss over
every state, unwinding costs. FAK is the harder style: every budget is whole cents.

Beside it:
- walk: pure Python with floats, level by level while the next stretch pays; cut to 0.01. It knows
  no cents, no minimum, no cap and no bound. Its profit bounds ours, which is asserted.
- every size: numpy, floats, the profit of every lattice point of the depth at once. It knows the
  cents, no minimum, no cap, no bound and none of our allowance for a fee's rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from time import perf_counter_ns
from typing import Any, Final

from bench.inputs import Run
from bench.paired import INPUTS, Row, Side, paired
from polyarb._core import ffi, lib
from polyarb.core.basket import LEGS_MAX, Basket, Caps, Leg, Sized, Sizer
from polyarb.domain.order import OrderType

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

SHAPES: Final = [(legs, levels) for legs in (2, 5, 12, 40) for levels in (1, 10, 100)]
RATE_E6: Final = 40_000
STYLES: Final = (OrderType.FAK, OrderType.GTC)
Ladder = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Case:
    """One basket and its ladders."""

    legs: list[Leg]
    asks: list[Ladder]
    bids: list[Ladder]
    pays: list[list[int]]

    def basket(self, style: OrderType) -> Basket:
        """Return it laid out for the core."""
        return Basket(self.legs, self.pays, style=style)


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    for legs, levels in SHAPES:
        cases = draw(legs, levels)
        for style in STYLES:
            yield from _shape(run, cases, style, f"{legs} legs × {levels}")
    for style in STYLES:
        yield from _shape(run, draw(12, 100, deep=True), style, "12 legs × 100, all taken")
    yield _against_every_size(run, draw(5, 10, magnitudes=(1.0, 2.0)))


def draw(
    legs: int,
    levels: int,
    *,
    deep: bool = False,
    magnitudes: tuple[float, float] = (1.5, 3.5),
) -> list[Case]:
    """Return 128 baskets; `deep`: an edge that lasts to the ends of the ladders."""
    rng = Random(f"sizing {legs} {levels} {deep}")
    tick = 1 if deep else 100 if legs <= 5 else 10
    return [_case(rng, legs, levels, tick, magnitudes, deep=deep) for _ in range(INPUTS)]


def _case(
    rng: Random,
    legs: int,
    levels: int,
    tick: int,
    magnitudes: tuple[float, float],
    *,
    deep: bool,
) -> Case:
    shares = [rng.uniform(0.5, 1.5) for _ in range(legs)]
    edge = 0.5 if deep else rng.uniform(0.01, 0.03)
    scale = (1 - edge) / sum(shares)
    for _ in range(20):  # prices whose sum with fees is 1 - edge
        costs = [s * scale + RATE_E6 / 1e6 * s * scale * (1 - s * scale) for s in shares]
        scale *= (1 - edge) / sum(costs)
    asks, bids = [], []
    for share in shares:
        price = max(2 * tick, int(share * scale * 10_000 / tick) * tick)
        asks.append(_ladder(rng, price, levels, tick, magnitudes))
        bids.append(_ladder(rng, price - tick, levels, -tick, magnitudes))
    pays = [[10**6 * (i == s) for i in range(legs)] for s in range(legs)]
    return Case([Leg(tick_e4=tick, rate_e6=RATE_E6)] * legs, asks, bids, pays)


def _ladder(
    rng: Random, price: int, levels: int, step: int, magnitudes: tuple[float, float]
) -> Ladder:
    made = []
    while len(made) < levels and 0 < price < 10_000:
        made.append((price, round(10 ** rng.uniform(*magnitudes) * 100) * 10_000))
        price += rng.choice((1, 1, 2)) * step
    return made


def _shape(run: Run, cases: list[Case], style: OrderType, name: str) -> Iterator[Row]:
    sizer = Sizer()
    answers = [sizer.size(case.basket(style), case.asks, case.bids) for case in cases]
    for case, answer in zip(cases, answers, strict=True):
        best = walk(case)[1] * 1e6
        assert not isinstance(answer, Sized) or answer.profit_e6 <= best * (1 + 1e-9) + 1
    ours = _in_c(run, cases, style)
    found = sum(isinstance(answer, Sized) for answer in answers)
    yield paired(
        f"size {name}, {style}, against a walk in Python", ours, _walk(cases),
        rounds=run.rounds, faster=True, note=f"{found} of {INPUTS} have a plan",
    )  # fmt: skip


def _against_every_size(run: Run, cases: list[Case]) -> Row:
    name = "size 5 legs × 10, small books, FAK, against every size in numpy"
    if numpy is None:
        return Row(name=name, note="numpy is not installed")
    sizer = Sizer()
    for case in cases:
        answer = sizer.size(case.basket(OrderType.FAK), case.asks, case.bids)
        if isinstance(answer, Sized):  # less: what we allow for rounding of fees
            assert -5_000 < answer.profit_e6 - every_size(case) * 1e6 <= 1
    return paired(
        name, _in_c(run, cases, OrderType.FAK), _every_size(cases),
        rounds=run.rounds, faster=True, note="in floats, every 0.01 sets up to the depth",
    )  # fmt: skip


def _in_c(run: Run, cases: list[Case], style: OrderType) -> Side:
    baskets = [case.basket(style) for case in cases]
    ladders = [_laid_out(basket, case) for basket, case in zip(baskets, cases, strict=True)]
    pointers = ffi.new("pa_basket *[]", [basket.capped(Caps()) for basket in baskets])
    memory = ffi.new("uint8_t[]", lib.pa_basket_work_bytes() + 64)
    work = memory + -int(ffi.cast("uintptr_t", memory)) % 64
    out, legs = ffi.new("pa_sized[]", INPUTS), ffi.new("pa_sized_leg[]", LEGS_MAX)
    size = int(ffi.cast("uintptr_t", ffi.addressof(lib, "pa_basket_size")))
    loop = run.native.loops.loop_size

    def side(first: int, last: int, _keep: Any = (baskets, ladders, memory)) -> int:
        elapsed = int(loop(size, pointers, work, first, last, out, legs))
        assert elapsed > 0, "a basket was refused"
        return elapsed

    return side


def _laid_out(basket: Basket, case: Case) -> list[Any]:
    """Point the basket's legs at their ladders; the memory is the caller's to keep."""
    kept = []
    for leg, asks, bids in zip(basket.legs(), case.asks, case.bids, strict=True):
        for name, levels in (("ask", asks), ("bid", bids)):
            made = ffi.new("pa_book_level[]", [(size, price, 0) for price, size in levels])
            setattr(leg, f"{name}s", made)
            setattr(leg, f"{name}_count", len(levels))
            kept.append(made)
    return kept


def walk(case: Case) -> tuple[float, float]:
    """Return (shares, profit) in floats, taking the next stretch while it pays."""
    rate = RATE_E6 / 1e6
    places = [0] * len(case.asks)
    lefts = [side[0][1] / 1e6 for side in case.asks]
    shares = profit = 0.0
    while True:
        edge = 1.0
        for side, place in zip(case.asks, places, strict=True):
            price = side[place][0] / 10_000
            edge -= price + rate * price * (1 - price)
        if edge <= 0:
            return shares, profit
        stretch = min(lefts)
        shares += stretch
        profit += stretch * edge
        for i, side in enumerate(case.asks):
            lefts[i] -= stretch
            if lefts[i] <= 1e-9:
                places[i] += 1
                if places[i] == len(side):
                    return shares, profit
                lefts[i] = side[places[i]][1] / 1e6


def _walk(cases: list[Case]) -> Side:
    def side(first: int, last: int) -> int:
        chosen = cases[first:last]
        start = perf_counter_ns()
        for case in chosen:
            shares, _ = walk(case)
            sets = int(shares * 100) / 100
            [(round(sets, 2), side[0][0]) for side in case.asks]
        return perf_counter_ns() - start

    return side


def every_size(case: Case) -> float:
    """Return the best profit over every lattice point, whole cents a leg; in floats."""
    depth = min(sum(size for _, size in side) for side in case.asks) / 1e6
    sets = numpy.arange(1, int(depth * 100) + 1) / 100
    profit = sets.copy()
    for side in case.asks:
        prices = numpy.array([price / 10_000 for price, _ in side])
        ends = numpy.cumsum([size / 1e6 for _, size in side])
        costs = numpy.concatenate(([0.0], numpy.cumsum(prices * numpy.diff(ends, prepend=0.0))))
        rates = RATE_E6 / 1e6 * prices * (1 - prices)
        fees = numpy.concatenate(([0.0], numpy.cumsum(rates * numpy.diff(ends, prepend=0.0))))
        level = numpy.minimum(numpy.searchsorted(ends, sets), len(side) - 1)
        into = sets - (ends - numpy.diff(ends, prepend=0.0))[level]
        cost = costs[level] + prices[level] * into
        profit -= numpy.ceil(cost * 100 - 1e-6) / 100 + fees[level] + rates[level] * into
    return float(profit.max())


def _every_size(cases: list[Case]) -> Side:
    def side(first: int, last: int) -> int:
        chosen = cases[first:last]
        start = perf_counter_ns()
        for case in chosen:
            every_size(case)
        return perf_counter_ns() - start

    return side
