"""Rate limits: token buckets per signer, sliding windows per address (protocol.md section 18)."""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000_000

TIERS: Final[dict[str, tuple[int, int, int, int]]] = {
    "Standard": (40, 60, 80, 120),
    "Copper": (60, 90, 120, 180),
    "Bronze": (80, 120, 160, 240),
    "Silver": (200, 300, 400, 600),
    "Gold": (400, 600, 800, 1_200),
    "Platinum": (450, 675, 900, 1_350),
    "Diamond": (525, 787, 1_050, 1_575),
    "Elite": (600, 900, 1_200, 1_800),
}
"""Order rate and burst, cancel rate and burst of each tier."""

PER_ADDRESS: Final[dict[str, int]] = {
    "POST /order": 5_000,
    "DELETE /order": 5_000,
    "POST /orders": 2_000,
    "DELETE /orders": 2_000,
    "DELETE /cancel-all": 250,
    "DELETE /cancel-market-orders": 1_500,
    "GET /book": 1_500,
    "GET /price": 1_500,
    "GET /midpoint": 1_500,
    "POST /books": 500,
    "POST /prices": 500,
    "POST /midpoints": 500,
    "GET /prices-history": 1_000,
    "GET /tick-size": 200,
    "GET /data/orders": 500,
    "GET /data/trades": 500,
    "GET /notifications": 125,
    "GET /balance-allowance": 200,
    "GET /balance-allowance/update": 50,
    "POST /auth/api-key": 100,
    "GET /auth/derive-api-key": 100,
    "GET /ok": 100,
    "GET /events": 500,
    "GET /events/keyset": 500,
    "GET /markets/keyset": 300,
    "GET /trades": 200,
    "GET /positions": 150,
}
"""Requests per 10 s from one address."""

TOTAL: Final = 9_000
WINDOW_NS: Final = 10 * SECOND


@dataclass(slots=True)
class Bucket:
    """A token bucket that fills with venue time; counted in billionths of a token."""

    rate: int
    burst: int
    level: int
    at_ns: int

    def fill(self, now_ns: int) -> None:
        """Add what has come in since the last look."""
        self.level = min(self.burst * SECOND, self.level + (now_ns - self.at_ns) * self.rate)
        self.at_ns = now_ns

    @property
    def tokens(self) -> int:
        """Return whole tokens left; may be negative."""
        return self.level // SECOND

    def wait_s(self, cost: int) -> int:
        """Return the seconds until `cost` is there, rounded up."""
        missing = min(cost, self.burst) * SECOND - self.level
        return max(0, -(-missing // (self.rate * SECOND)))


class SignerLimits:
    """An order bucket and a cancel bucket for every signer address."""

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self._buckets: dict[tuple[str, bool], Bucket] = {}

    def bucket(self, signer: str, cancel: bool, now_ns: int) -> Bucket:
        """Return a signer's bucket as of now."""
        rate, burst = TIERS[self.tier][2 * cancel : 2 * cancel + 2]
        known = self._buckets.setdefault(
            (signer, cancel), Bucket(rate, burst, burst * SECOND, now_ns)
        )
        known.fill(now_ns)
        return known


class AddressLimits:
    """Sliding windows of 10 s for each address and route."""

    def __init__(self) -> None:
        self._seen: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)

    def exceeded(self, peer: str, route: str, now_ns: int) -> int | None:
        """Count a request; return the seconds to wait where it is one too many."""
        for name, most in ((route, PER_ADDRESS.get(route)), ("", TOTAL)):
            if most is None:
                continue
            seen = self._seen[peer, name]
            while seen and seen[0] <= now_ns - WINDOW_NS:
                seen.popleft()
            if len(seen) >= most:
                return 1 + (seen[0] + WINDOW_NS - now_ns) // SECOND
            seen.append(now_ns)
        return None
