"""
What an order that completes or unwinds would trade at, in the amounts the exchange accepts.

Orders are FAK: a BUY spends whole cents, a SELL gives hundredths of shares, both get at most 4
decimals of the other (protocol.md section 10.4). What cannot be ordered has no price: None.
"""

from dataclasses import dataclass
from typing import Final

from polyarb.domain.basket import LegPlan, Order, Purpose
from polyarb.domain.order import OrderType, Side

CENT_E6: Final = 10_000
MARKETABLE_BUY_MIN_E6: Final = 1_000_000
FEE_STEP_E6: Final = 10
"""Each fill's fee is rounded to 5 decimals, nobody knows which way: ours goes up."""

Levels = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """
    An order and what it costs, fees included; below 0 what it brings.

    Attributes:
        shares_e6: At the quoted levels; at its limit they are the order's.
        cost_e6: At the quoted levels.
        bound_e6: The most, filled whole at prices up to its limit.
    """

    order: Order
    shares_e6: int
    cost_e6: int
    bound_e6: int


def fee_e6_ceil(leg: LegPlan, price_e4: int, shares_e6: int) -> int:
    """Return the most that a fill at the price is charged (protocol.md section 19)."""
    spread: int = (price_e4 * (10_000 - price_e4)) ** leg.exponent
    exact = leg.rate_e6 * shares_e6 * spread
    scale: int = 1_000_000 * 10_000 ** (2 * leg.exponent)
    return -(-exact // (scale * FEE_STEP_E6)) * FEE_STEP_E6


def price_sell(
    leg: LegPlan, bids: Levels, shares_e6: int, *, index: int, purpose: Purpose, slippage: int
) -> Priced | None:
    """Return a SELL of as many of the shares as the bids take; None for fewer than may be sold."""
    taken = _walk(bids, _floor(shares_e6, CENT_E6))
    sold = _floor(sum(size for _, size in taken), CENT_E6)
    if sold < max(leg.min_size_e6, CENT_E6):
        return None
    taken = _walk(bids, sold)
    limit = max(taken[-1][0] - slippage * leg.tick_e4, leg.tick_e4)
    least = _floor(limit * sold // 10_000, _taker_step(leg))
    if not least:
        return None
    brings = sum(price * size // 10_000 for price, size in taken)
    order = Order(
        leg=index,
        purpose=purpose,
        side=Side.SELL,
        style=OrderType.FAK,
        limit_e4=limit,
        maker_e6=sold,
        taker_e6=least,
    )
    fee = sum(fee_e6_ceil(leg, price, size) for price, size in taken)
    fee_bound = fee_e6_ceil(leg, limit, sold) + (FEE_STEP_E6 * len(taken) if leg.rate_e6 else 0)
    return Priced(order, sold, fee - brings, fee_bound - least)


def price_buy(
    leg: LegPlan, asks: Levels, shares_e6: int, *, index: int, purpose: Purpose, slippage: int
) -> Priced | None:
    """
    Return a BUY of at least the shares; None where the asks do not offer so many.

    It buys more where the market's minimum or the $1 of a marketable order ask for it.
    """
    wanted = max(shares_e6, leg.min_size_e6)
    for _ in range(2):  # the second time with what $1 buys at the worst level the first one took
        taken = _walk(asks, wanted)
        if sum(size for _, size in taken) < wanted:
            return None
        spent = sum(-(-price * size // 10_000) for price, size in taken)
        if spent >= MARKETABLE_BUY_MIN_E6:
            break
        wanted = -(-MARKETABLE_BUY_MIN_E6 * 10_000 // taken[0][0])
    limit = min(taken[-1][0] + slippage * leg.tick_e4, 10_000 - leg.tick_e4)
    floor = -(-limit * leg.min_size_e6 // 10_000)  # so that even at the limit it is a full order
    maker = -(-max(spent, floor, MARKETABLE_BUY_MIN_E6) // CENT_E6) * CENT_E6
    taker = _floor(maker * 10_000 // limit, _taker_step(leg))
    if taker < leg.min_size_e6 or not taker:
        return None
    order = Order(
        leg=index,
        purpose=purpose,
        side=Side.BUY,
        style=OrderType.FAK,
        limit_e4=limit,
        maker_e6=maker,
        taker_e6=taker,
    )
    fee = sum(fee_e6_ceil(leg, price, size) for price, size in taken)
    # The lower the price, the more shares for the same money: rate x maker is above every fee.
    fee_bound = -(-leg.rate_e6 * maker // 1_000_000) + FEE_STEP_E6 * (len(taken) + 1)
    return Priced(order, wanted, maker + fee, maker + (fee_bound if leg.rate_e6 else 0))


def _taker_step(leg: LegPlan) -> int:
    """Return the step of what an order gets: 4 decimals, and 3 where prices have but one."""
    return 1_000 if leg.tick_e4 == 1_000 else 100


def _walk(levels: Levels, shares_e6: int) -> list[tuple[int, int]]:
    taken = []
    for price, size in levels:
        if shares_e6 <= 0:
            break
        taken.append((price, min(size, shares_e6)))
        shares_e6 -= size
    return taken


def _floor(value: int, step: int) -> int:
    return value - value % step
