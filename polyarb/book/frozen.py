"""
Tell a silent connection that is frozen from one whose markets are quiet.

The venue's worst failure leaves the socket open and PONG coming, but sends no more data. There are
no sequence numbers, so silence is all there is to see, and quiet markets are silent too: up to
157 s in a market that is alive (captures/STATISTICS.md section 3).

Model
    Activity comes in clusters of frames, then silence. Single frames are nothing like a Poisson
    process; counted at most once in `burst_gap_ns` ("bursts"), data is close to one, with a rate
    that drifts. If the last k bursts took T, the rate is not known but estimated, and the chance
    that the next one takes longer than s is (1 + s/T)^-k (the predictive, Lomax, distribution;
    it tends to exp(-ks/T) as k grows). There are 3600/(T/k) such chances an hour, so with
        e = alarms_per_hour * (T/k) / 3600        T in seconds
        limit = T * (e^(-1/k) - 1)
    a connection that is alive exceeds its limit about `alarms_per_hour` times an hour, however
    busy it is. k runs over several windows and the largest limit holds: where the rate has
    dropped the short window says so, where it varies the long one does.

    A burst is credited to one token of those that began it. A token that leaves (resolved,
    unsubscribed) takes its bursts along, so a fast market that ends is no reason to expect as
    much of the others, while tokens that move together are not counted twice.

    Before `windows[0]` bursts nothing is known and nothing is claimed. Time without a connection
    does not count: the rates outlive a reconnect, so a feed that is frozen from its opening on
    is found as soon as one that freezes later.
"""

import enum
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

HOUR_NS: Final = 3_600_000_000_000
CHANCE_MAX: Final = 0.5
"""A gap that is exceeded more often than this says nothing, whatever the rate."""


class Verdict(enum.Enum):
    """What a silence means."""

    UNKNOWN = "unknown"
    """Not connected, or too little seen to expect anything."""
    ALIVE = "alive"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenConfig:
    """
    What counts as too long a silence.

    Attributes:
        alarms_per_hour: False alarms to put up with, for each connection.
        burst_gap_ns: From the beginning of a burst until data counts as another.
        floor_ns: No silence shorter than this is suspicious: networks and hosts pause too.
        windows: How many bursts back to look, ascending.
    """

    alarms_per_hour: float = 2.0
    burst_gap_ns: int = 500_000_000
    floor_ns: int = 2_000_000_000
    windows: tuple[int, ...] = (16, 64, 256)


class FrozenWatch:
    """
    The silences of one connection. Pure: time comes in with each call, and never goes back.

    Args:
        config: See `FrozenConfig`.

    Attributes:
        limit_ns: How long a silence may last; None while nothing is known.
    """

    __slots__ = ("_bursts", "_config", "_last_ns", "_lost_ns", "_open", "_quiet_ns", "limit_ns")

    def __init__(self, config: FrozenConfig | None = None) -> None:
        self._config = FrozenConfig() if config is None else config
        # When each burst began, in nanoseconds of connected time, and the token it is credited to.
        self._bursts: deque[tuple[int, str]] = deque(maxlen=self._config.windows[-1] + 1)
        self._open = False
        self._last_ns = 0  # data or opening
        self._quiet_ns = 0  # the same, or a proof that there was nothing to send
        self._lost_ns = 0  # without a connection, in all
        self.limit_ns: int | None = None

    def opened(self, now_ns: int) -> None:
        """Begin: connected and subscribed. The silence before does not count."""
        self._lost_ns += now_ns - self._last_ns
        self._last_ns = self._quiet_ns = now_ns
        self._open = True

    def closed(self) -> None:
        """Expect nothing until `opened`: the connection is lost."""
        self._open = False

    def seen(self, token: str, now_ns: int) -> None:
        """Take note of data for `token`; one of a frame's tokens is enough. Opens if need be."""
        if not self._open:
            self.opened(now_ns)
        at_ns = now_ns - self._lost_ns
        if not self._bursts or at_ns - self._bursts[-1][0] >= self._config.burst_gap_ns:
            self._bursts.append((at_ns, token))
            self._set_limit()
        self._last_ns = self._quiet_ns = now_ns

    def dropped(self, token: str) -> None:
        """Expect nothing of `token` any more."""
        kept = [burst for burst in self._bursts if burst[1] != token]
        if len(kept) < len(self._bursts):
            self._bursts = deque(kept, self._bursts.maxlen)
            self._set_limit()

    def proven(self, now_ns: int) -> None:
        """Another witness says that nothing was missed up to `now_ns`."""
        self._quiet_ns = max(self._quiet_ns, now_ns)

    def silent_ns(self, now_ns: int) -> int:
        """Return how long there has been neither data nor proof; 0 without a connection."""
        return now_ns - self._quiet_ns if self._open else 0

    def due_ns(self) -> int | None:
        """Return from when on `verdict` says FROZEN, None if not at all."""
        if not self._open or self.limit_ns is None:
            return None
        return self._quiet_ns + self.limit_ns

    def verdict(self, now_ns: int) -> Verdict:
        """Return what the silence up to now means."""
        due_ns = self.due_ns()
        if due_ns is None:
            return Verdict.UNKNOWN
        return Verdict.FROZEN if now_ns >= due_ns else Verdict.ALIVE

    def busiest(self, count: int) -> list[str]:
        """Return the tokens that began most of the bursts: where a check would show a freeze."""
        return [token for token, _ in Counter(t for _, t in self._bursts).most_common(count)]

    def _set_limit(self) -> None:
        bursts, last = self._bursts, len(self._bursts) - 1
        limits = [
            self._limit(bursts[last][0] - bursts[last - k][0], k)
            for k in self._config.windows
            if k <= last
        ]
        self.limit_ns = max(self._config.floor_ns, *limits) if limits else None

    def _limit(self, span_ns: int, k: int) -> int:
        chance = min(CHANCE_MAX, self._config.alarms_per_hour * span_ns / (k * HOUR_NS))
        return round(span_ns * (chance ** (-1 / k) - 1)) if chance > 0 else 0
