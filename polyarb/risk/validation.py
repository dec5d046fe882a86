"""
Whether to trade an opportunity: every reason not to, in the order of design.md section 7.

Pure: whoever decides says what holds now (`Situation`), and how to size it when it has come so far.
The first reason counts; what was measured and what is allowed is told with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from polyarb.domain.market import Market
from polyarb.domain.money import units_text
from polyarb.domain.opportunity import Skip
from polyarb.risk.sizing import Plan, Reason, Refused

MS: Final = 1_000_000

OF_SIZING: Final = {
    Reason.NO_EDGE: Skip.PROFIT,
    Reason.PROFIT: Skip.PROFIT,
    Reason.PROFIT_BPS: Skip.PROFIT_BPS,
    Reason.PROFIT_PCT: Skip.PROFIT_PCT,
    Reason.ANNUAL_PCT: Skip.ANNUAL,
    Reason.LOCK_UNKNOWN: Skip.ANNUAL,
    Reason.DEPTH: Skip.SIZE,
    Reason.LATTICE: Skip.SIZE,
    Reason.BELOW_MINIMUM: Skip.SIZE,
    Reason.ONE_DOLLAR: Skip.SIZE,
    Reason.RELATION: Skip.SIZE,
    Reason.EVENT: Skip.SIZE,
    Reason.CASH: Skip.BALANCE,
    Reason.LOSS: Skip.LOSS,
}
"""Which skip a size that is none, or not good enough, comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegBook:
    """
    A leg's book at the moment of the decision.

    Attributes:
        live: Whether it may be traded on.
        state: Its state's name, for the message.
        fresh: Whether it was heard of recently enough.
        heard_ns: How long ago that was; None for never.
    """

    token: str
    live: bool
    state: str
    fresh: bool
    heard_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """
    What holds at the moment of the decision.

    Attributes:
        trading: The operator's switch.
        submitting: A basket of this relation is on its way.
        cool_ns: What is left of its cool-down.
        books: Of all legs.
        blocked: Why the breaker forbids it, by name; none if it does not.
        orders_left: Orders that the exchange would take now; None where nothing is known.
        life: Of each leg's market, why it takes no orders for sure; none where all do.
        heartbeat_lost: The exchange cancels what rests: no new risk.
        skew_ms: By how much our clock is off; None where nobody measured it.
        skew_ms_max: What is allowed.
        size: Sizes it.
    """

    trading: bool
    submitting: bool = False
    cool_ns: int = 0
    books: Sequence[LegBook]
    blocked: Sequence[str] = ()
    orders_left: int | None = None
    life: Sequence[str] = ()
    heartbeat_lost: bool = False
    skew_ms: int | None = None
    skew_ms_max: int = 1_000
    size: Callable[[], Plan | Refused]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What was decided.

    Attributes:
        skip: Why not; None: trade `plan`.
        detail: What was measured against what.
        plan: What would be, or would have been, traded; None where it did not come to a size.
    """

    skip: Skip | None = None
    detail: str = ""
    plan: Plan | None = field(default=None, repr=False)


def validate(now: Situation) -> Verdict:
    """Return the first reason not to trade, or the plan."""
    for skip, check in _BEFORE:
        detail = check(now)
        if detail is not None:
            return Verdict(skip=skip, detail=detail)
    sized = now.size()
    if isinstance(sized, Refused):
        return Verdict(skip=OF_SIZING[sized.reason], detail=_sizing(sized))
    for skip, check in _AFTER:
        detail = check(now)
        if detail is not None:
            return Verdict(skip=skip, detail=detail, plan=sized)
    return Verdict(plan=sized)


def life_of(market: Market | None, now_ms: int, *, seconds_delay: bool, soon_ms: int) -> str | None:
    """
    Return why a market takes no orders, or may not for long; None if nothing speaks against it.

    Args:
        market: As the catalogue has it; None: not, or no longer, to be traded.
        now_ms: Unix milliseconds.
        seconds_delay: Markets that answer marketable orders seconds later are allowed.
        soon_ms: How close to its end, or to the start of a game that wipes its book, is too close.
    """
    if market is None:
        return "not in the catalogue"
    if market.seconds_delay and not seconds_delay:
        return f"answers {market.seconds_delay} s later"
    if market.uma_status:
        return f"its resolution is {market.uma_status}"
    if market.clear_on_start and market.game_start_ms is not None:
        left_ms = market.game_start_ms - now_ms
        if 0 <= left_ms < soon_ms:
            return f"its book is wiped in {left_ms} ms"
    if market.end_ms is not None and 0 <= market.end_ms - now_ms < soon_ms:
        return f"it ends in {market.end_ms - now_ms} ms"
    return None


def _trading(now: Situation) -> str | None:
    return None if now.trading else "trading is off"


def _submitting(now: Situation) -> str | None:
    return "a basket of it is on its way" if now.submitting else None


def _cool_down(now: Situation) -> str | None:
    return f"{now.cool_ns / MS:.0f} ms left" if now.cool_ns > 0 else None


def _live(now: Situation) -> str | None:
    wrong = [f"{book.token} is {book.state}" for book in now.books if not book.live]
    return "; ".join(wrong) or None


def _fresh(now: Situation) -> str | None:
    wrong = [
        f"{book.token} was "
        + ("never heard of" if book.heard_ns is None else f"heard of {book.heard_ns // MS} ms ago")
        for book in now.books
        if not book.fresh
    ]
    return "; ".join(wrong) or None


def _breaker(now: Situation) -> str | None:
    return ", ".join(now.blocked) or None


def _rate(now: Situation) -> str | None:
    left, wanted = now.orders_left, len(now.books)
    return f"{wanted} orders, {left} left" if left is not None and left < wanted else None


def _life(now: Situation) -> str | None:
    return "; ".join(now.life) or None


def _heartbeat(now: Situation) -> str | None:
    return "heartbeat lost" if now.heartbeat_lost else None


def _clock(now: Situation) -> str | None:
    skew, most = now.skew_ms, now.skew_ms_max
    return f"{skew} ms, allowed {most}" if skew is not None and abs(skew) > most else None


def _sizing(refused: Refused) -> str:
    if refused.sized is None:
        return refused.reason.value
    sized = refused.sized
    profit, spent = units_text(sized.profit_e6, 6), units_text(sized.cost_e6 + sized.fee_e6, 6)
    return f"{refused.reason.value}: {profit} of {spent}"


Check = Callable[[Situation], str | None]

_BEFORE: Final[tuple[tuple[Skip, Check], ...]] = (
    (Skip.TRADING_DISABLED, _trading),
    (Skip.SUBMITTING, _submitting),
    (Skip.COOL_DOWN, _cool_down),
    (Skip.NOT_LIVE, _live),
    (Skip.STALE, _fresh),
    (Skip.BREAKER, _breaker),
    (Skip.RATE, _rate),
)
_AFTER: Final[tuple[tuple[Skip, Check], ...]] = (
    (Skip.LIFE_CYCLE, _life),
    (Skip.HEARTBEAT, _heartbeat),
    (Skip.CLOCK, _clock),
)
