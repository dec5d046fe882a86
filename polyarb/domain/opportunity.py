"""A relation that is violated now, and the words for what became of it."""

from dataclasses import dataclass
from enum import StrEnum


class End(StrEnum):
    """Why an opportunity is none any more."""

    PRICE = "price"  # the legs cost what they pay, or more
    NOT_LIVE = "not_live"  # a leg's book cannot be trusted, or nobody offers it
    STALE = "stale"  # a leg was not heard of for too long
    REMOVED = "removed"  # its relation was taken out


class Skip(StrEnum):
    """Why an opportunity is not traded; in the order of the checks, the first reason counts."""

    TRADING_DISABLED = "trading_disabled"
    SUBMITTING = "already_submitting"  # a basket of this relation is on its way
    COOL_DOWN = "cool_down"  # the last one is not long enough ago
    NOT_LIVE = "book_not_live"
    STALE = "stale"
    BREAKER = "breaker"
    RATE = "rate_budget"  # the exchange would refuse so many orders now
    PROFIT = "min_profit"  # absolute; also: nothing is left of the edge
    PROFIT_BPS = "min_profit_bps"
    PROFIT_PCT = "min_profit_pct"
    ANNUAL = "min_annual"
    SIZE = "size"  # no size that depth, minimums, amounts and caps allow
    BALANCE = "balance"
    LOSS = "worst_loss"  # above the cap
    LIFE_CYCLE = "life_cycle"  # a market that takes no orders, or not for sure
    HEARTBEAT = "heartbeat"  # lost: no new risk
    CLOCK = "clock_skew"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLeg:
    """
    A leg as it was when the relation was last seen violated.

    Attributes:
        token: Decimal id.
        weight: Shares a set.
        cost_e6: Of one share, fee included.
        version: The low 32 bits of its book's update count.
    """

    token: str
    weight: int
    cost_e6: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """
    A violated relation; times are monotonic, those of the frames that showed it.

    Attributes:
        relation: Its id.
        edge_e6: What a set at the best prices yields after fees, when it was last seen.
        best_edge_e6: The most it was.
        first_ns: When it was seen first.
        last_ns: And last.
        ended_ns: When it was seen no more, 0 while it is open.
        end: Why; None while it is open.
        legs: In the relation's order.
    """

    relation: str
    edge_e6: int
    best_edge_e6: int
    first_ns: int
    last_ns: int
    legs: tuple[SeenLeg, ...]
    ended_ns: int = 0
    end: End | None = None

    @property
    def life_ns(self) -> int:
        """How long it has been seen, to its end if it has one."""
        return (self.ended_ns or self.last_ns) - self.first_ns
