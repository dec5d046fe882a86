"""What can be traded: events, their markets and tokens (protocol.md sections 19, 24.1, 25)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from polyarb.sim.decimals import ONE_E4, ONE_E6


class Structure(StrEnum):
    """How the outcomes of an event's markets hang together."""

    BINARY = "binary"  # one question
    NEGRISK = "negrisk"  # exactly one market resolves YES
    AUGMENTED = "augmented"  # the same, with placeholders and Other
    LADDER = "ladder"  # YES of a higher threshold implies YES of every lower one
    RANGES = "ranges"  # a threshold ladder, with the ranges between its steps
    DATES = "dates"  # YES by an earlier date implies YES by every later one
    MIXED = "mixed"  # markets that share a page and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """A taker's fee: shares x rate x (p (1 - p)) ** exponent (protocol.md section 19)."""

    rate_e6: int
    exponent: int = 1
    kind: str | None = None
    rebate_e6: int = 250_000

    def charge_e6(self, price_e4: int, size_e6: int) -> int:
        """Return the fee in micro-dollars, half up at the fifth decimal."""
        scale: int = 10 * ONE_E6 * ONE_E4 ** (2 * self.exponent)
        curve: int = (price_e4 * (ONE_E4 - price_e4)) ** self.exponent
        return (2 * size_e6 * self.rate_e6 * curve + scale) // (2 * scale) * 10


@dataclass(slots=True, kw_only=True, eq=False)
class Market:
    """
    One yes/no question and its two tokens; index 0 is YES, 1 is NO.

    Attributes:
        tokens: Token or position ids, decimal text.
        index: Place in its event; the last byte of a neg-risk question id.
        tick_e4, accepting, active, closed, winner: Change while the venue runs.
        winner: 0 YES, 1 NO, 2 half to each, None open.
        bounds: What YES means on the event's common scale (ladder, ranges, dates): the outcome x
            is YES when ``bounds[0] <= x < bounds[1]``; None is no bound.
        seconds_delay: > 0: marketable orders answer ``delayed`` (live sports).
        taker_delay: Marketable orders are held for `VenueConfig.taker_delay_ms` (``itode``).
        v3: Structured position ids on the V3 exchange.
    """

    gamma_id: str
    condition_id: str
    question_id: str
    tokens: tuple[str, str]
    outcomes: tuple[str, str] = ("Yes", "No")
    question: str
    slug: str
    group_title: str = ""
    group_threshold: str = ""
    description: str = ""
    resolution_source: str = ""
    index: int = 0
    tick_e4: int = 100
    min_size_e6: int = 5 * ONE_E6
    neg_risk: bool = False
    placeholder: bool = False
    fee: Fee | None = None
    seconds_delay: int = 0
    taker_delay: bool = False
    v3: bool = False
    bounds: tuple[int | None, int | None] | None = None
    start_ms: int = 0
    end_ms: int = 0
    game_start_ms: int | None = None
    active: bool = True
    accepting: bool = True
    closed: bool = False
    winner: int | None = None
    event: "Event" = field(init=False, repr=False)

    def fee_e6(self, price_e4: int, size_e6: int) -> int:
        """Return the taker's fee on a fill at `price_e4`."""
        return self.fee.charge_e6(price_e4, size_e6) if self.fee else 0


@dataclass(slots=True, kw_only=True, eq=False)
class Event:
    """
    A group of markets that share a page and, by its structure, their collateral.

    Attributes:
        fee_bips: What a conversion keeps, of 10,000 (``negRiskFeeBips``).
        initial: Fair YES price of each market at the start, of 1.0; empty when nothing is known.
    """

    id: str
    slug: str
    title: str
    structure: Structure
    markets: list[Market]
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    neg_risk_id: str = ""
    fee_bips: int = 0
    start_ms: int = 0
    end_ms: int = 0
    initial: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for market in self.markets:
            market.event = self

    @property
    def neg_risk(self) -> bool:
        """Say whether exactly one market resolves YES and positions convert."""
        return self.structure in {Structure.NEGRISK, Structure.AUGMENTED}


class Catalog:
    """Every event of a venue, found by id, condition and token; grows while the venue runs."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = []
        self.markets: dict[str, Market] = {}
        self.tokens: dict[str, tuple[Market, int]] = {}
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Add an event with its markets."""
        self.events.append(event)
        for market in event.markets:
            self.markets[market.condition_id] = market
            for outcome, token in enumerate(market.tokens):
                self.tokens[token] = (market, outcome)
