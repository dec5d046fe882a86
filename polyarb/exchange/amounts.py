"""
Price and size → the two integers an order is signed with (protocol.md section 10).

An order names what its maker gives and what it gets, in base units of 10^-6; the exchange takes
the price from their ratio. The rules here are those of the official SDK's decimal arithmetic,
in integers, so that none of the binary rounding of the older clients can lose a cent.
"""

from typing import Final, NamedTuple

from polyarb.domain.money import (
    UNITS_MAX,
    DecimalLike,
    PriceE4,
    Tick,
    decimal_units,
    decimal_units_floor,
    exact,
    shown,
    units_text,
)
from polyarb.errors import (
    ArgumentTypeError,
    MinimumNotionalError,
    MinimumSizeError,
    PriceRangeError,
    RangeError,
    TickError,
)

SIZE_DECIMALS: Final = 2
MARKET_TAKER_DECIMALS: Final = 4
MARKETABLE_BUY_MIN_E6: Final = 1_000_000

_CENT_E6: Final = 10_000


class Amounts(NamedTuple):
    """
    What an order gives and gets.

    Attributes:
        maker: Collateral x 10^6 for a BUY, shares x 10^6 for a SELL.
        taker: The other of the two.
    """

    maker: int
    taker: int


def check_price(price: DecimalLike, tick: Tick | DecimalLike) -> PriceE4:
    """
    Return `price` x 10^4 if the market takes it: tick <= price <= 1 - tick, a multiple of tick.

    Raises:
        PriceRangeError: Outside that range (asked first, as the exchange's clients do).
        TickError: Between two multiples; it is never rounded to one.
        ArgumentTypeError, MalformedError, RangeError: Not a price or not a tick at all.
    """
    tick = Tick.of(tick)
    numerator, scale = _price_in_range(price, tick)
    price_e4, rest = divmod(numerator * 10_000, 10**scale)
    if rest or price_e4 % tick.step_e4:
        raise TickError(f"price {shown(price)} is not a multiple of tick {tick.value}")
    return PriceE4(price_e4)


def limit_amounts(
    price: DecimalLike,
    size: DecimalLike,
    side: str,
    tick: Tick | DecimalLike,
    *,
    minimum_size: DecimalLike | None = None,
    marketable: bool = False,
) -> Amounts:
    """
    Return the amounts of a GTC or GTD order (protocol.md section 10.3).

    The size is cut to 2 decimals. price x size is then exact within the tick's amount decimals:
    k x 10^-4 by n x 10^-2 is k x n base units, so there is nothing left to round.

    Args:
        price: On the market's grid.
        size: Shares.
        side: "BUY" or "SELL", or a value equal to one.
        tick: The market's.
        minimum_size: The market's, in shares; compared with the size as cut. None: not checked.
        marketable: Whether the order crosses the book, which the caller sees and this function
            does not. A BUY that does must be worth $1; one that rests need not.

    Raises:
        PriceRangeError, TickError: As `check_price`.
        MinimumSizeError: Below `minimum_size`, or less than 0.01.
        MinimumNotionalError: A marketable BUY of less than $1.
        ArgumentTypeError, MalformedError, RangeError: Not a price, a size, a side or a tick; or
            an amount above 2**63 - 1.
    """
    buy = _is_buy(side)
    price_e4 = check_price(price, tick)
    size_cents = _cents("size", size)
    size_e6 = size_cents * _CENT_E6
    quote_e6 = price_e4 * size_cents
    _check_minimum_size(size_e6, minimum_size)
    if buy:
        _check_notional(quote_e6, marketable)
        return Amounts(maker=quote_e6, taker=size_e6)
    return Amounts(maker=size_e6, taker=quote_e6)


def market_amounts(
    price: DecimalLike,
    amount: DecimalLike,
    side: str,
    tick: Tick | DecimalLike,
    *,
    minimum_size: DecimalLike | None = None,
    marketable: bool = True,
) -> Amounts:
    """
    Return the amounts of a FOK or FAK order (protocol.md section 10.4).

    The amount is cut to 2 decimals and the price to the tick's; what we get is then rounded down
    to the tick's amount decimals and never has more than 4, the most every deployment accepts.

    The SDKs round up at 4 decimals more before they round down. With a price of k steps of
    10^-d, k <= 9999, a BUY's quotient is at least 1/k > 10^-4 of a unit below the next one, and a
    SELL's product is exact: that step never changes the result and is left out here.

    Rounding the shares of a BUY down encodes a price equal to the limit or above it by less than
    price x 10^-4 / shares (10^-3 on tick 0.1), so that an ask exactly at the limit still crosses.
    Cutting the price is in our favour for a BUY and against us for a SELL: a worst price that
    must hold belongs on the grid (`check_price`).

    Args:
        price: Worst price accepted.
        amount: Collateral to spend for a BUY, shares to sell for a SELL.
        side: "BUY" or "SELL", or a value equal to one.
        tick: The market's.
        minimum_size: The market's, in shares; compared with the shares of the result. For a BUY
            that is the count at the worst price, the fewest a full fill brings. None: not checked.
        marketable: Whether a BUY must be worth $1. True, since an order that matches at once or
            dies is marketable by its nature; False only rebuilds an order that was sent elsewhere.

    Raises:
        PriceRangeError: Outside tick..1 - tick.
        MinimumSizeError: Below `minimum_size`, or one of the two amounts rounds to zero.
        MinimumNotionalError: A BUY of less than $1.
        ArgumentTypeError, MalformedError, RangeError: As `limit_amounts`.
    """
    buy = _is_buy(side)
    tick = Tick.of(tick)
    numerator, scale = _price_in_range(price, tick)
    one = 10**tick.price_decimals
    steps = numerator * one // 10**scale
    cents = _cents("amount", amount)
    decimals = min(tick.amount_decimals, MARKET_TAKER_DECIMALS)
    if buy:
        taker = cents * one * 10**decimals // (steps * 100)
    else:
        taker = cents * steps * 10**decimals // (one * 100)
    taker *= 10 ** (6 - decimals)
    amounts = Amounts(maker=cents * _CENT_E6, taker=taker)
    if not taker:
        raise MinimumSizeError(f"amount {shown(amount)} at price {shown(price)} is worth nothing")
    if taker > UNITS_MAX:
        raise RangeError(f"shares {units_text(taker, 6)} is above {units_text(UNITS_MAX, 6)}")
    if buy:
        _check_notional(amounts.maker, marketable)
    _check_minimum_size(amounts.taker if buy else amounts.maker, minimum_size)
    return amounts


def _price_in_range(price: DecimalLike, tick: Tick) -> tuple[int, int]:
    numerator, scale = exact("price", price)
    low, high = tick.step_e4, 10_000 - tick.step_e4
    if not low * 10**scale <= numerator * 10_000 <= high * 10**scale:
        bounds = f"{tick.value}..{units_text(high, 4)}"
        raise PriceRangeError(f"price {shown(price)} is outside {bounds} for tick {tick.value}")
    return numerator, scale


def _cents(name: str, value: DecimalLike) -> int:
    cents = decimal_units_floor(name, value, SIZE_DECIMALS)
    if not cents:
        raise MinimumSizeError(f"{name} {shown(value)} is below 0.01, the least there is")
    if cents > UNITS_MAX // _CENT_E6:
        raise RangeError(f"{name} {shown(value)} is above {units_text(UNITS_MAX, 6)}")
    return cents


def _is_buy(side: str) -> bool:
    if not isinstance(side, str):
        raise ArgumentTypeError(f"side must be BUY or SELL, not {type(side).__name__}")
    if side == "BUY":
        return True
    if side == "SELL":
        return False
    raise RangeError(f"side {shown(side)!r} is not BUY or SELL")


def _check_minimum_size(size_e6: int, minimum_size: DecimalLike | None) -> None:
    if minimum_size is None:
        return
    if size_e6 < decimal_units("minimum_size", minimum_size, 6):
        size = units_text(size_e6, 6)
        raise MinimumSizeError(f"size {size} is below the market's minimum {shown(minimum_size)}")


def _check_notional(quote_e6: int, marketable: bool) -> None:
    if marketable and quote_e6 < MARKETABLE_BUY_MIN_E6:
        quote = units_text(quote_e6, 6)
        raise MinimumNotionalError(f"notional {quote} is below 1, the least of a marketable BUY")
