"""Why something in the catalogue gives no relation: every reason is named, and every case kept."""

from dataclasses import dataclass
from enum import StrEnum

from polyarb.detection.relation import Kind


class Why(StrEnum):
    """What stood in the way."""

    # any market
    SECONDS_DELAY = "seconds_delay"  # marketable orders are answered later; live sports
    RESOLVING = "resolving"  # an answer is proposed or disputed
    SAME_MARKET = "same_market"  # not asked for
    TOO_MANY = "too_many"  # legs, states or pairs
    SAME_LEGS = "same_legs"  # another builder made it
    # neg-risk events
    AUGMENTED = "augmented"  # outcomes are added while it trades
    SINGLE = "single"  # fewer than two markets are left
    LEFT_OUT = "left_out"  # a market that is not known to have resolved NO cannot be bought
    GAP = "gap"  # an index of the group is missing
    NOT_WHOLE = "not_whole"  # a market that was closed may be missing, and nothing shows it
    NOT_EXHAUSTIVE = "not_exhaustive"  # a number belongs to no bracket
    OVERLAP = "overlap"  # a number belongs to two
    OTHER = "other"  # it has an Other that may still change, or rules that need one
    ALL_NO = "all_no"  # its rules name a case in which every market resolves NO
    SPLIT = "split"  # its rules name a case that pays 50/50
    # texts
    NO_RULES = "no_rules"
    OUTCOMES = "outcomes"  # not Yes and No
    NO_SLOT = "no_slot"  # no number or date of its question tells it from its neighbours
    SEVERAL_SLOTS = "several_slots"  # more than one does
    NO_NEIGHBOUR = "no_neighbour"  # no other market asks the same of another number or date
    TITLE = "title"  # its short title says another number, date or direction than its question
    UNITS = "units"
    DIRECTION = "direction"  # not said, or said both ways
    STRICTNESS = "strictness"  # who gets a value exactly on the boundary differs, or is not said
    RULES = "rules"  # differ in more than that number or date
    SOURCE = "source"  # they resolve by different sources
    END_DATE = "end_date"  # they end at different times, or in the wrong order
    NO_YEAR = "no_year"
    DATE = "date"  # not "by" a date: on it, in it, or another thing
    PERIOD = "period"  # reached or touched within a time, not measured at an instant
    WINDOW = "window"  # the earlier deadline's time begins before the later one's
    CONDITION = "condition"  # it depends on something else happening
    # relation files
    SYNTAX = "syntax"
    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    VALUE = "value"  # of a type or outside the bounds it must have
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105  (not a secret)
    UNKNOWN_NAME = "unknown_name"
    DUPLICATE = "duplicate"  # an id, a token or a state
    WEIGHT = "weight"
    PAYOFF = "payoff"  # claimed is not what the states pay at least
    STATES_OVERLAP = "states_overlap"
    STATES_MISSING = "states_missing"  # they do not cover every case
    CYCLE = "cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """
    Something that gave no relation.

    Attributes:
        kind: Who would have built it.
        event_id: Of which event, or the name in a relation file.
        conditions: The markets it is about; () for all of the event's.
        said: What in them was in the way, to be read by people.
        line: Of a relation file, from 1; 0 elsewhere.
    """

    kind: Kind
    event_id: str
    why: Why
    conditions: tuple[str, ...] = ()
    said: str = ""
    line: int = 0
