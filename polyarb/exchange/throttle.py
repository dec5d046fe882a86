"""
How much may be asked of the exchange now (protocol.md section 18), without a clock of its own.

Two budgets stand before every request: the signer's token bucket, which counts orders and not
requests, and the windows of the endpoint, of the CLOB and of everything from this address. New risk
leaves the last share of each to what ends risk: cancels and unwinds. What the exchange says of its
own count, and how long it asks us to wait, overrules ours.

    wait_ns = throttle.take("POST /orders", 3, now_ns)        # 0: taken; else nothing was
    throttle.heard("POST /orders", response, now_ns, wall_ns) # every answer
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from polyarb.core.base import integer
from polyarb.domain.wire import HttpResponse
from polyarb.errors import RangeError
from polyarb.exchange.answers import SECOND, retry_after_ns

MINUTE: Final = 60 * SECOND
BACKOFF_MIN_NS: Final = SECOND
BACKOFF_MAX_NS: Final = 30 * SECOND
TRUSTED_WAIT_NS: Final = 10 * MINUTE
"""No restart and no limit lasts longer; a longer wait is asked about again after that."""

TIERS: Final[Mapping[str, tuple[int, int, int, int]]] = {
    "Standard": (40, 60, 80, 120),
    "Copper": (60, 90, 120, 180),
    "Bronze": (80, 120, 160, 240),
    "Silver": (200, 300, 400, 600),
    "Gold": (400, 600, 800, 1_200),
    "Platinum": (450, 675, 900, 1_350),
    "Diamond": (525, 787, 1_050, 1_575),
    "Elite": (600, 900, 1_200, 1_800),
}
"""Orders per second and at once, cancels per second and at once."""


class Budget(Enum):
    """Which of the signer's buckets a request draws on."""

    NONE = "none"
    ORDERS = "orders"
    CANCELS = "cancels"


class _Row(NamedTuple):
    """An endpoint: its bucket, and (requests, span) of its windows."""

    budget: Budget
    windows: tuple[tuple[int, int], ...]


_SHORT: Final = 10 * SECOND
_LONG: Final = 10 * MINUTE


def _row(budget: Budget, burst: int, sustained: int = 0) -> _Row:
    return _Row(budget, ((burst, _SHORT), *(((sustained, _LONG),) if sustained else ())))


ENDPOINTS: Final[Mapping[str, _Row]] = {
    "POST /order": _row(Budget.ORDERS, 5_000, 120_000),
    "POST /orders": _row(Budget.ORDERS, 2_000, 21_000),
    "DELETE /order": _row(Budget.CANCELS, 5_000, 120_000),
    "DELETE /orders": _row(Budget.CANCELS, 2_000, 15_000),
    "DELETE /cancel-all": _row(Budget.CANCELS, 250, 6_000),
    "DELETE /cancel-market-orders": _row(Budget.CANCELS, 1_500, 21_000),
    "GET /data/order": _row(Budget.NONE, 900),
    "GET /data/orders": _row(Budget.NONE, 500),
    "GET /data/trades": _row(Budget.NONE, 500),
    "GET /balance-allowance": _row(Budget.NONE, 200),
    "GET /balance-allowance/update": _row(Budget.NONE, 50),
    "POST /v1/heartbeats": _row(Budget.NONE, 900),
    "POST /auth/api-key": _row(Budget.NONE, 100),
    "GET /auth/derive-api-key": _row(Budget.NONE, 100),
    "GET /auth/api-keys": _row(Budget.NONE, 100),
    "GET /time": _row(Budget.NONE, 900),
    "GET /version": _row(Budget.NONE, 900),
}
TOTAL: Final = _row(Budget.NONE, 9_000)


class Bucket:
    """
    A token bucket, counted in billionths of a token so that time adds exact amounts.

    Attributes:
        rate: Tokens a second.
        burst: What it holds at most.
    """

    __slots__ = ("_at_ns", "_level", "burst", "rate")

    def __init__(self, rate: int, burst: int, now_ns: int) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst * SECOND
        self._at_ns = now_ns

    def wait_ns(self, cost: int, keep: int, now_ns: int) -> int:
        """Return how long until `cost` is there beside `keep`; more than it holds waits for all."""
        self._fill(now_ns)
        missing = min(cost + keep, self.burst) * SECOND - self._level
        return max(0, -(-missing // self.rate))

    def spend(self, cost: int, now_ns: int) -> None:
        """Take tokens, below none if need be."""
        self._fill(now_ns)
        self._level -= cost * SECOND

    def tokens(self, now_ns: int) -> int:
        """Return whole tokens left; may be negative."""
        self._fill(now_ns)
        return self._level // SECOND

    def lower(self, tokens: int, now_ns: int) -> None:
        """Take note that no more than `tokens` are left."""
        self._fill(now_ns)
        self._level = min(self._level, tokens * SECOND)

    def reshape(self, rate: int, burst: int, now_ns: int) -> None:
        """Go on under another tier, with what is there."""
        self._fill(now_ns)
        full = self._level >= self.burst * SECOND
        self.rate, self.burst = rate, burst
        self._level = burst * SECOND if full else min(self._level, burst * SECOND)

    def _fill(self, now_ns: int) -> None:
        if now_ns > self._at_ns:
            earned = (now_ns - self._at_ns) * self.rate
            self._level = min(self.burst * SECOND, self._level + earned)
            self._at_ns = now_ns


class Window:
    """
    At most so many requests within any span; counted in slices, so that it errs on our side.

    A slice counts until the whole of it is older than the span.
    """

    SLICES: Final = 20

    __slots__ = ("_counts", "_ends_ns", "_last", "_slice_ns", "_sum", "limit")

    def __init__(self, limit: int, span_ns: int) -> None:
        self.limit = limit
        self._slice_ns = span_ns // self.SLICES
        self._counts = [0] * (self.SLICES + 1)
        self._last = 0
        self._ends_ns = self._slice_ns
        self._sum = 0

    def room(self, now_ns: int) -> int:
        """Return how many requests may follow at once."""
        if now_ns >= self._ends_ns:
            self._turn(now_ns)
        return self.limit - self._sum

    def wait_ns(self, keep: int, now_ns: int) -> int:
        """Return how long until one more request leaves `keep`."""
        too_many = 1 + keep - self.room(now_ns)
        if too_many <= 0:
            return 0
        for age in range(self.SLICES, -1, -1):  # the oldest first
            too_many -= self._counts[(self._last - age) % len(self._counts)]
            if too_many <= 0:
                return (self._last - age + len(self._counts)) * self._slice_ns - now_ns
        return len(self._counts) * self._slice_ns

    def count(self, requests: int, now_ns: int) -> None:
        """Take note of requests."""
        if now_ns >= self._ends_ns:
            self._turn(now_ns)
        self._counts[self._last % len(self._counts)] += requests
        self._sum += requests

    def _turn(self, now_ns: int) -> None:
        """Let go of the slices that are over."""
        current = now_ns // self._slice_ns
        for place in range(self._last + 1, min(current, self._last + len(self._counts)) + 1):
            index = place % len(self._counts)
            self._sum -= self._counts[index]
            self._counts[index] = 0
        self._last = current
        self._ends_ns = (current + 1) * self._slice_ns


class _Pause:
    """Until when nothing may be sent, and how often in a row that was asked for."""

    __slots__ = ("_times", "until_ns")

    def __init__(self) -> None:
        self.until_ns = 0
        self._times = 0

    def extend(self, asked_ns: int | None, now_ns: int) -> None:
        """Wait as asked, else a second, doubled each time."""
        if asked_ns is None:
            asked_ns = min(BACKOFF_MIN_NS << min(self._times, 10), BACKOFF_MAX_NS)
        self._times += 1
        self.until_ns = max(self.until_ns, now_ns + min(asked_ns, TRUSTED_WAIT_NS))

    def over(self) -> None:
        """Take note of an answer that asks for nothing."""
        self._times = 0


class _Gate:
    """
    All that stands before one endpoint.

    Attributes:
        bucket: The signer's, if it draws on one.
        windows: Each with what new risk leaves of it.
        pauses: The endpoint's own, and its budget's.
    """

    __slots__ = ("_kept_percent", "bucket", "pauses", "windows")

    def __init__(
        self,
        *,
        bucket: Bucket | None,
        windows: tuple[Window, ...],
        pauses: tuple[_Pause, _Pause],
        kept_percent: int,
    ) -> None:
        self._kept_percent = kept_percent
        self.bucket = bucket
        self.windows = tuple((each, each.limit * kept_percent // 100) for each in windows)
        self.pauses = pauses

    def wait_ns(self, cost: int, requests: int, urgent: bool, now_ns: int) -> int:
        """Return how long until all of it may pass."""
        wait_ns = 0
        for pause in self.pauses:
            if pause.until_ns > now_ns:
                wait_ns = max(wait_ns, pause.until_ns - now_ns)
        for window, kept in self.windows:
            keep = requests - 1 + (0 if urgent else kept)
            if window.room(now_ns) <= keep:
                wait_ns = max(wait_ns, window.wait_ns(keep, now_ns))
        bucket = self.bucket
        if bucket:
            keep = 0 if urgent else bucket.burst * self._kept_percent // 100
            wait_ns = max(wait_ns, bucket.wait_ns(cost, keep, now_ns))
        return wait_ns


class Throttle:
    """
    The budgets of one signer on one address.

    Args:
        now_ns: Monotonic; as for every call.
        tier: Of the signer, until a header says otherwise.
        kept_percent: Of each budget, what new risk leaves to cancels and unwinds.

    Attributes:
        tier: As the exchange said last.
        warnings: How often it said that it would have refused.

    Raises:
        RangeError: No such tier, or a share outside 0..90.
    """

    def __init__(self, now_ns: int, *, tier: str = "Standard", kept_percent: int = 20) -> None:
        if tier not in TIERS:
            raise RangeError(f"tier {tier!r} is none of {', '.join(TIERS)}")
        self._kept_percent = integer("kept_percent", kept_percent, 0, 90)
        self.tier = tier
        self.warnings = 0
        orders, most, cancels, most_cancels = TIERS[tier]
        self._buckets = {
            Budget.ORDERS: Bucket(orders, most, now_ns),
            Budget.CANCELS: Bucket(cancels, most_cancels, now_ns),
        }
        self._pauses = {budget: _Pause() for budget in Budget}
        total = _windows(TOTAL)
        self._gates = {
            name: _Gate(
                bucket=self._buckets.get(row.budget),
                windows=(*_windows(row), *total),
                pauses=(_Pause(), self._pauses[row.budget]),
                kept_percent=self._kept_percent,
            )
            for name, row in ENDPOINTS.items()
        }
        self._clear: dict[str, int] = {}

    def take(
        self, endpoint: str, cost: int, now_ns: int, *, requests: int = 1, urgent: bool = False
    ) -> int:
        """
        Take what a request costs, if it is there.

        Args:
            endpoint: A key of `ENDPOINTS`.
            cost: Orders, or ids to cancel; 1 for all else.
            now_ns: Monotonic.
            requests: How many it takes.
            urgent: It ends risk: a cancel, an unwind. Others leave the last share.

        Returns:
            0: it was taken. Otherwise nothing was, and it may be there after so many nanoseconds.
        """
        wait_ns = self._gates[endpoint].wait_ns(cost, requests, urgent, now_ns)
        if wait_ns == 0:
            self.spend(endpoint, cost, now_ns, requests=requests)
        return wait_ns

    def spend(self, endpoint: str, cost: int, now_ns: int, *, requests: int = 1) -> None:
        """Take what `wait_ns` found to be there."""
        self._clear.clear()
        gate = self._gates[endpoint]
        for window, _ in gate.windows:
            window.count(requests, now_ns)
        if gate.bucket:
            gate.bucket.spend(cost, now_ns)

    def wait_ns(self, endpoint: str, cost: int, now_ns: int, *, urgent: bool = False) -> int:
        """
        Return what `take` would, and take nothing.

        What was there once is there until something is taken or heard: time alone only adds. So
        whoever asks ahead of need is answered at once when it counts.
        """
        if cost <= self._clear.get(endpoint, -1):
            return 0
        wait_ns = self._gates[endpoint].wait_ns(cost, 1, urgent, now_ns)
        if wait_ns == 0 and not urgent:
            self._clear[endpoint] = cost
        return wait_ns

    def charge(self, endpoint: str, cost: int, now_ns: int) -> None:
        """Take what a request turned out to cost beside: the orders that a bulk cancel ended."""
        self._clear.clear()
        bucket = self._gates[endpoint].bucket
        if bucket:
            bucket.spend(cost, now_ns)

    def heard(self, endpoint: str, response: HttpResponse, now_ns: int, wall_ns: int) -> None:
        """
        Take note of an answer: its headers, and whether it asks to wait.

        Args:
            endpoint: As in `take`.
            response: Of any status.
            now_ns: Monotonic.
            wall_ns: Unix, by the exchange's clock, for headers that are dates.
        """
        self._clear.clear()
        gate = self._gates[endpoint]
        signer_limit = self._headers(gate.bucket, response.headers, now_ns)
        endpoint_pause, budget_pause = gate.pauses
        if response.status == 429:
            pause = budget_pause if signer_limit else endpoint_pause
            pause.extend(retry_after_ns(response, wall_ns), now_ns)
        elif response.status == 425:
            asked_ns = retry_after_ns(response, wall_ns)
            for each in (Budget.ORDERS, Budget.CANCELS):
                self._pauses[each].extend(asked_ns, now_ns)
        elif response.status < 500:
            endpoint_pause.over()
            budget_pause.over()

    def tokens(self, budget: Budget, now_ns: int) -> int:
        """Return what is left of one of the signer's buckets."""
        return self._buckets[budget].tokens(now_ns)

    def _headers(self, bucket: Bucket | None, headers: Mapping[str, str], now_ns: int) -> bool:
        """Take over what the exchange says of its bucket; return whether it said anything."""
        left = _signed(headers.get("poly-ratelimit-remaining", ""))
        tier = headers.get("poly-ratelimit-tier", "")
        if tier in TIERS and tier != self.tier:
            self._promote(tier, now_ns)
        if headers.get("poly-ratelimit-warning", "").lower() == "true":
            self.warnings += 1
        if bucket is None or left is None:
            return False
        bucket.lower(left, now_ns)
        return True

    def _promote(self, tier: str, now_ns: int) -> None:
        self.tier = tier
        orders, most, cancels, most_cancels = TIERS[tier]
        self._buckets[Budget.ORDERS].reshape(orders, most, now_ns)
        self._buckets[Budget.CANCELS].reshape(cancels, most_cancels, now_ns)


def _windows(row: _Row) -> tuple[Window, ...]:
    return tuple(Window(limit, span_ns) for limit, span_ns in row.windows)


def _signed(text: str) -> int | None:
    """Return a whole number that may be negative."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        return None
    return int(text)
