"""
A relation: tokens that together pay at least so much, whatever happens, and the proof of it.

The proof is a list of states, of which exactly one comes true, with what each leg pays in each.
What a relation pays is never said by who builds it: it is the least over these states. Outside of
them stands what no builder can see in a catalogue, an oracle that answers 50/50 where the rules do
not say so; rules that do say so give no relation but YES + NO of the same market.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from polyarb import errors
from polyarb.domain.money import CashE6

ONE_E6: Final = 1_000_000
LEGS_MAX: Final = 256
WEIGHTS_MAX: Final = 512
"""Of all legs together; with it the cost of a set stays below 2^30 (csrc/scan)."""

STATES_MAX: Final = 4096
NAME_MAX: Final = 40
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]+")


class Kind(StrEnum):
    """What makes it hold."""

    CROSSED = "crossed"  # one token's bid is at or above its ask
    COMPLEMENT = "complement"  # YES and NO of one market
    NEGRISK_YES = "negrisk_yes"  # exactly one market of the event resolves YES
    NEGRISK_NO = "negrisk_no"  # at most one does
    LADDER = "ladder"  # one market implies another
    RANGE = "range"  # one market is several others together
    CUSTOM = "custom"  # said by the operator


SAME_MARKET: Final = frozenset({Kind.CROSSED, Kind.COMPLEMENT})
"""Within one market both tokens share a book: a violation is an integrity alarm first."""


class Realise(StrEnum):
    """How a full set becomes cash."""

    HOLD = "hold"  # when its markets are resolved
    MERGE = "merge"  # at once, by merging
    CONVERT = "convert"  # at once, by the neg-risk adapter


class Strategy(StrEnum):
    """Names under which the ways to trade a range are known."""

    TRIANGLE_BUY = "POLYMARKET_TRIANGLE_BUY"  # NO of the parent, YES of its parts
    SELL_PARENT_BUY_CHILDREN = "SELL_PARENT_BUY_CHILDREN"  # the same, selling a parent in hand
    BUY_PARENT_SELL_CHILDREN = "BUY_PARENT_SELL_CHILDREN"  # YES of the parent, NO of its parts


@dataclass(frozen=True, slots=True)
class Leg:
    """
    What is bought for one set.

    Attributes:
        outcome: The token's name in its market, to be read by people.
        weight: Shares of it, at least 1.
    """

    token: str
    outcome: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """
    One of the ways it may end.

    Attributes:
        pays_e6: What one share of each leg pays then, in the legs' order.
    """

    name: str
    pays_e6: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """
    Legs, all to buy, and their proof; `__post_init__` refuses what is none.

    Attributes:
        slug: Names it for people; the id is made of it.
        event_id: Of the event of its legs, or of the first of them.
        until_ms: When the last of its markets should be decided; None where nobody says.
        convert_e6: What converting a set pays at once; None where it cannot be converted.
        strategies: Under which names a range is known.
        note: Why it holds, for `--explain`.
        payoff_e6: The least a set pays.
        id: The same for the same kind and legs, in every run.

    Raises:
        InputError: Legs or states that are none, or outside the bounds of `csrc/scan`.
    """

    kind: Kind
    slug: str
    event_id: str
    title: str
    legs: tuple[Leg, ...]
    states: tuple[State, ...]
    until_ms: int | None
    realise: Realise
    convert_e6: CashE6 | None = None
    strategies: tuple[Strategy, ...] = ()
    note: str = ""
    payoff_e6: CashE6 = field(init=False)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        _check_legs(self.legs)
        _check_states(self.states, len(self.legs))
        payoff_e6 = min(pays_e6(self.legs, state) for state in self.states)
        if not payoff_e6:
            raise errors.RangeError("in one state the legs pay nothing at all")
        object.__setattr__(self, "payoff_e6", payoff_e6)
        object.__setattr__(self, "id", f"{self.kind}:{_short(self.slug)}:{_digest(self.legs)}")

    @property
    def worth_e6(self) -> CashE6:
        """What a set brings the way it is realised: a conversion may keep something."""
        if self.realise is Realise.CONVERT and self.convert_e6 is not None:
            return CashE6(min(self.payoff_e6, self.convert_e6))
        return self.payoff_e6

    @property
    def tokens(self) -> tuple[str, ...]:
        """The legs' tokens."""
        return tuple(leg.token for leg in self.legs)


def pays_e6(legs: Iterable[Leg], state: State) -> CashE6:
    """Return what a set pays in a state."""
    return CashE6(sum(leg.weight * pays for leg, pays in zip(legs, state.pays_e6, strict=True)))


def _check_legs(legs: tuple[Leg, ...]) -> None:
    if not 2 <= len(legs) <= LEGS_MAX:
        raise errors.CapacityError(f"{len(legs)} legs are outside 2..{LEGS_MAX}")
    if len({leg.token for leg in legs}) < len(legs):
        raise errors.InputError("a token is in it twice")
    if any(leg.weight < 1 for leg in legs):
        raise errors.RangeError(f"weight {min(leg.weight for leg in legs)} is below 1")
    weights = sum(leg.weight for leg in legs)
    if weights > WEIGHTS_MAX:
        raise errors.CapacityError(f"weights of {weights} in all are above {WEIGHTS_MAX}")


def _check_states(states: tuple[State, ...], legs: int) -> None:
    if not 1 <= len(states) <= STATES_MAX:
        raise errors.CapacityError(f"{len(states)} states are outside 1..{STATES_MAX}")
    if len({state.name for state in states}) < len(states):
        raise errors.InputError("two states have the same name")
    for state in states:
        if len(state.pays_e6) != legs:
            raise errors.InputError(
                f"state {state.name!r} pays {len(state.pays_e6)} of {legs} legs"
            )
        if not all(0 <= pays <= ONE_E6 for pays in state.pays_e6):
            raise errors.RangeError(f"state {state.name!r} pays outside 0..1 a share")


def _short(slug: str) -> str:
    return _NOT_IN_A_NAME.sub("-", slug.casefold()).strip("-")[:NAME_MAX].rstrip("-")


def _digest(legs: tuple[Leg, ...]) -> str:
    text = ",".join(sorted(f"{leg.token}x{leg.weight}" for leg in legs))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
