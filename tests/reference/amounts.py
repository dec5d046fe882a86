"""
Order amounts in decimal arithmetic, word for word from protocol.md section 10.

Base units are 10^-6. Prices, sizes and amounts are text; the context is wide enough that only the
roundings written here round.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext

# tick: (price decimals, amount decimals); size decimals are 2 throughout (section 10.2)
ROUNDING = {
    "0.1": (1, 3),
    "0.01": (2, 4),
    "0.005": (3, 5),
    "0.0025": (4, 6),
    "0.001": (3, 5),
    "0.0001": (4, 6),
}
WIDE = Context(prec=200)


def price_verdict(price: str, tick: str) -> str:
    """Return "valid", "range" or "grid" (section 10.1)."""
    with localcontext(WIDE):
        p, t = Decimal(price), Decimal(tick)
        if not t <= p <= 1 - t:
            return "range"
        return "valid" if p % t == 0 else "grid"


def limit(price: str, size: str, side: str, tick: str) -> tuple[int, int]:
    """Return (maker, taker) of a limit order (section 10.3)."""
    with localcontext(WIDE):
        cut = floor(Decimal(size), 2)
        quote = down(cut * Decimal(price), ROUNDING[tick][1])
        return (units(quote), units(cut)) if side == "BUY" else (units(cut), units(quote))


def market_sdk(price: str, amount: str, side: str, tick: str) -> tuple[int, int]:
    """Return (maker, taker) of a FOK or FAK order with the tick's own decimals (section 10.4)."""
    with localcontext(WIDE):
        price_decimals, amount_decimals = ROUNDING[tick]
        worst = floor(Decimal(price), price_decimals)
        maker = floor(Decimal(amount), 2)
        taker = maker / worst if side == "BUY" else maker * worst
        return units(maker), units(down(taker, amount_decimals))


def market(price: str, amount: str, side: str, tick: str) -> tuple[int, int]:
    """Return the same with the taker amount cut to 4 decimals: "Always cut"."""
    maker, taker = market_sdk(price, amount, side, tick)
    return maker, taker // 100 * 100


def down(value: Decimal, decimals: int) -> Decimal:
    """Round up at decimals + 4, then floor."""
    return floor(value.quantize(Decimal(1).scaleb(-decimals - 4), ROUND_CEILING), decimals)


def floor(value: Decimal, decimals: int) -> Decimal:
    """Cut to `decimals`."""
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_FLOOR)


def units(value: Decimal) -> int:
    """Return base units, of which there is a whole number."""
    scaled = value * 10**6
    assert scaled == int(scaled)
    return int(scaled)
