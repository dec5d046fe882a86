"""Small plans and books for the tests of what becomes of a basket."""

from collections.abc import Iterable, Sequence
from typing import Any

from polyarb.domain.basket import BasketPlan, LegPlan, Policy
from polyarb.domain.order import OrderType, Side
from polyarb.execution.events import Book

PRICES = (4_500, 4_800)
SHARES_E6 = 10_000_000
DEEP_E6 = 100_000_000

BRIEF = Policy(waits_max=1, absent_max=1, attempts_max=1)
"""As impatient as can be: few states."""


def leg(index: int = 0, price_e4: int = 4_500, **changes: Any) -> LegPlan:
    """Return a leg that buys ten shares at its price."""
    shares = changes.pop("shares_e6", SHARES_E6)
    rate = changes.get("rate_e6", 0)
    maker = price_e4 * shares // 10_000
    values: dict[str, Any] = {
        "token": str(100 + index),
        "condition_id": f"0x{index:064x}",
        "neg_risk": False,
        "tick_e4": 100,
        "side": Side.BUY,
        "weight": 1,
        "limit_e4": price_e4,
        "shares_e6": shares,
        "maker_e6": maker,
        "taker_e6": shares,
        "cost_e6": maker,
        "fee_e6": -(-rate * maker // 1_000_000) + 20 if rate else 0,
        "min_size_e6": 5_000_000,
    }
    return LegPlan(**(values | changes))


def plan(
    prices: Sequence[int] = PRICES,
    *,
    legs: Iterable[LegPlan] = (),
    slack_e6: int = 1_000_000,
    **changes: Any,
) -> BasketPlan:
    """Return a plan of ten sets that pay a dollar each, with something to complete it from."""
    its = tuple(legs) or tuple(leg(index, price) for index, price in enumerate(prices))
    values: dict[str, Any] = {
        "id": "b1",
        "relation": "complement:x",
        "legs": its,
        "style": OrderType.FAK,
        "sets_e6": SHARES_E6,
        "payoff_e6": 1_000_000,
        "loss_cap_e6": 1_000_000,
        "hold_e6": sum(one.cost_e6 + one.fee_e6 for one in its) + slack_e6,
    }
    return BasketPlan(**(values | changes))


def books(
    bids: Sequence[int], asks: Sequence[int], size_e6: int = DEEP_E6
) -> tuple[Book | None, ...]:
    """Return one level a side for each leg; a price of 0 is no level."""
    return tuple(
        Book(
            bids=((bid, size_e6),) if bid else (),
            asks=((ask, size_e6),) if ask else (),
        )
        for bid, ask in zip(bids, asks, strict=True)
    )


def near(prices: Sequence[int] = PRICES) -> tuple[Book | None, ...]:
    """Return books in which completing is cheap."""
    return books([price - 200 for price in prices], [price + 100 for price in prices])


def thin(prices: Sequence[int] = PRICES) -> tuple[Book | None, ...]:
    """Return books in which only selling is."""
    return books([price - 200 for price in prices], [9_800] * len(prices))


def nothing(prices: Sequence[int] = PRICES) -> tuple[Book | None, ...]:
    """Return books that cannot be trusted."""
    return (None,) * len(prices)
