"""
What can be traded: events, their markets, and what trading them costs (protocol.md 19, 24.1, 25).

Everything here is complete and checked: a market of which something is not known does not become
one, but an entry in its event's `left_out`, so that nobody takes what is left for all there is.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from polyarb.domain.money import CashE6, PriceE4, SizeE6, Tick


class Structure(StrEnum):
    """How an event's markets hang together, as far as the exchange itself says."""

    BINARY = "binary"  # one market
    NEGRISK = "negrisk"  # exactly one resolves YES
    AUGMENTED = "augmented"  # the same, but outcomes are added while it trades
    GROUP = "group"  # several markets on one page; what they imply is in their questions


class Refusal(StrEnum):
    """Why a market cannot be traded, or what described it cannot be read."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NO_CONDITION = "no_condition"  # no condition id of the form it must have
    NO_TOKENS = "no_tokens"  # not two token ids, or of another exchange than the market says
    NO_OUTCOMES = "no_outcomes"  # not two names
    DUPLICATE = "duplicate"  # its condition, tokens or neg-risk index were seen before
    RESOLVED = "resolved"
    ANNOUNCED = "announced"  # its event was not read again since
    CLOSED = "closed"
    ARCHIVED = "archived"
    INACTIVE = "inactive"
    NO_ORDER_BOOK = "no_order_book"
    NOT_ACCEPTING = "not_accepting"
    NO_NEG_RISK_FLAG = "no_neg_risk_flag"  # it decides which contract an order is signed for
    NO_EVENT = "no_event"  # neg-risk, but of no event
    NO_NEG_RISK_INDEX = "no_neg_risk_index"  # its question id is not in its event's group
    NO_TICK = "no_tick"  # none, or none of the six
    NO_MINIMUM_SIZE = "no_minimum_size"
    NO_FEES = "no_fees"  # fees are on, or may be, by a schedule that is not told
    CONTRADICTION = "contradiction"  # two services describe it differently


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """
    A taker's fee: shares x rate x (p (1 - p)) ** exponent (protocol.md section 19).

    Attributes:
        rate_e6: x 10^6; 0 is a market without fees.
        exponent: 1 or 2.
        taker_only: Makers pay nothing, which so far holds everywhere.
        rebate_e6: Share of it that makers get back, x 10^6; not part of any trade's price.
        kind: The venue's name for it, "" where it gave none.
    """

    rate_e6: int
    exponent: int = 1
    taker_only: bool = True
    rebate_e6: int = 0
    kind: str = ""


FREE: Final = FeeSchedule(rate_e6=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """
    One yes/no question that can be traded; place 0 is YES (or the first team, or Up), 1 is NO.

    Attributes:
        id: Gamma's id.
        tokens: Token or position ids, decimal text.
        event_id: Of its event.
        group_title, group_threshold: What tells it from the others of its event.
        neg_risk: Its tokens are the neg-risk adapter's, and orders are signed for that exchange.
        neg_risk_id: The group within which exactly one market resolves YES; "" for none.
        question_index: Its place in that group, the last byte of its question id.
        other: The group's explicit Other, or what was a placeholder for it.
        v3: Its tokens are position ids of the V3 exchange.
        seconds_delay: > 0: marketable orders are answered ``delayed`` (live sports).
        taker_delay: Marketable orders are held for a moment; None where only the CLOB knows
            (Gamma does not tell).
        clear_on_start: Its book is wiped when the game starts.
        end_ms: When it should be decided, Unix milliseconds; None where nobody says.
        volume_e6, liquidity_e6: Gamma's figures, minutes old; two markets are equal without them.
        uma_status: How far its resolution is: "", ``proposed``, ``disputed``, …
        rules: What decides it, by paragraphs, in plain quotes and dashes; () where that is not
            known. Markets with the same text share it, so it is kept once.
        source: Where the answer is looked up, "" where only the rules say.
    """

    id: str
    condition_id: str
    question_id: str
    question: str
    slug: str
    tokens: tuple[str, str]
    outcomes: tuple[str, str]
    event_id: str
    group_title: str
    group_threshold: str
    tick: Tick
    min_size_e6: SizeE6
    fees: FeeSchedule
    neg_risk: bool
    neg_risk_id: str
    question_index: int
    other: bool
    v3: bool
    seconds_delay: int
    taker_delay: bool | None
    clear_on_start: bool
    start_ms: int | None
    end_ms: int | None
    game_start_ms: int | None
    volume_e6: CashE6 = field(compare=False)
    liquidity_e6: CashE6 = field(compare=False)
    uma_status: str
    rules: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """
    A market of an event that cannot be traded.

    Attributes:
        condition_id: "" where none could be read.
        question_index: In its neg-risk group; None where it is in none, or not known.
        yes_pays_e4: What one YES paid x 10^4: 10,000, 5,000 or 0; None while that is open.
    """

    condition_id: str
    question_index: int | None
    reason: Refusal
    yes_pays_e4: PriceE4 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    A group of markets under one title.

    Attributes:
        id: Gamma's id; of a market that came without an event, its condition id.
        tags: As Gamma spells them in addresses: ``fed-rates``.
        neg_risk_id: The group of its neg-risk markets; "" for none.
        augmented: Outcomes are added while it trades, so the named ones are not all there are.
        fee_bips: What a conversion keeps, of 10,000.
        markets: Those that can be traded; of a neg-risk event in the order of their index.
        left_out: Those that cannot.
        whole: It was told with its own list of markets, so that those and `left_out` are all there
            are. Put together from lists of markets it may lack some that were closed.
    """

    id: str
    slug: str
    title: str
    tags: tuple[str, ...]
    neg_risk_id: str
    augmented: bool
    fee_bips: int
    start_ms: int | None
    end_ms: int | None
    markets: tuple[Market, ...]
    left_out: tuple[LeftOut, ...] = ()
    whole: bool = False

    @property
    def structure(self) -> Structure:
        """How its markets hang together."""
        if self.neg_risk_id:
            return Structure.AUGMENTED if self.augmented else Structure.NEGRISK
        single = len(self.markets) + len(self.left_out) == 1
        return Structure.BINARY if single else Structure.GROUP
