"""
Frames that bring an edge and take it away: what both sides of the tick-to-trade benchmarks see.

Two markets whose YES tokens cost 0.52 and 0.50 to take. An edge frame asks 0.40 to 0.47 for the
first one's, so that the two together cost less than what they pay; the frame after it takes that
away. As captured: two entries that mirror each other, hashes, best prices that are right.
"""

import json
from functools import cache
from random import Random
from typing import Any, Final

DISTINCT: Final = 128
START_MS: Final = 1_790_000_000_000
LEVELS: Final = 20
CONDITIONS: Final = ("0x" + "5f" * 32, "0x" + "6a" * 32)
TOKENS: Final = (
    ("11222207778053407312635373366544979454737683597972991769934826816815141723973" + "1")[:77],
    "114602688616062054693464639818826590702731982636255124778328943187816056373369",
    "71321045679252212594626385532706912750332728571942532289631379312455583992563",
    "52114319501245915516055106046884209969926127482827954674443846427813813222426",
)
"""YES and NO of the first market, YES and NO of the second."""

ASKED: Final = (5_200, 5_000)
"""Best asks of the YES tokens while there is no edge, x 10^4."""

BID: Final = (3_600, 4_600)
"""Their best bids."""

SHARES: Final = 100
"""Of a trade, of either token."""


def price(e4: int) -> str:
    """Return a price as the venue writes it."""
    return f"{e4 / 10_000:.4f}".rstrip("0")


def ask_e4(number: int) -> int:
    """Return the ask of the first YES token that edge `number` brings."""
    return 4_000 + 100 * (number * 5 % 8)


@cache
def books() -> bytes:
    """Return the opening array of all four tokens."""
    rng = Random(1)
    rows = []
    for market, ask in enumerate(ASKED):
        bids = [(BID[market] - 100 * n, _size(rng)) for n in range(LEVELS)]
        asks = [(ask + 100 * n, _size(rng)) for n in range(LEVELS)]
        mirrored = ([(10_000 - p, s) for p, s in asks], [(10_000 - p, s) for p, s in bids])
        for outcome, (low, high) in enumerate(((bids, asks), mirrored)):
            rows.append(
                {
                    "market": CONDITIONS[market],
                    "asset_id": TOKENS[2 * market + outcome],
                    "timestamp": str(START_MS),
                    "hash": f"{rng.getrandbits(160):040x}",
                    "bids": [{"price": price(p), "size": s} for p, s in reversed(low)],
                    "asks": [{"price": price(p), "size": s} for p, s in reversed(high)],
                    "tick_size": "0.01",
                    "event_type": "book",
                    "last_trade_price": "0.500",
                }
            )
    return _dump(rows)


def edge(number: int) -> bytes:
    """Return the frame that brings edge `number`."""
    return _change(number, 2 * number + 1, bring=True)


def no_edge(number: int) -> bytes:
    """Return the frame before it, which takes the edge before it away."""
    return _change(number - 1, 2 * number, bring=False)


def _change(number: int, turn: int, *, bring: bool) -> bytes:
    rng = Random(turn % (2 * DISTINCT))
    level = ask_e4(number)
    size = _size(rng) if bring else "0"
    best = level if bring else ASKED[0]
    entries = [
        _entry(TOKENS[0], level, size, "SELL", (BID[0], best), rng),
        _entry(TOKENS[1], 10_000 - level, size, "BUY", (10_000 - best, 10_000 - BID[0]), rng),
    ]
    return _dump(
        {
            "market": CONDITIONS[0],
            "price_changes": entries,
            "timestamp": str(START_MS + turn),
            "event_type": "price_change",
        }
    )


def _entry(  # noqa: PLR0917
    token: str, level: int, size: str, side: str, top: tuple[int, int], rng: Random
) -> dict[str, Any]:
    return {
        "asset_id": token,
        "price": price(level),
        "size": size,
        "side": side,
        "hash": f"{rng.getrandbits(160):040x}",
        "best_bid": price(top[0]),
        "best_ask": price(top[1]),
    }


def _size(rng: Random) -> str:
    return rng.choice((str(rng.randrange(200, 5000)), f"{rng.randrange(20_000, 99_999) / 100:.2f}"))


def _dump(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
