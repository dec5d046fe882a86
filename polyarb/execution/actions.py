"""
What the machine wants done, in the order given; each is done before the next.

A crash may come between any two. That is why a fact is journaled before anything that follows
from it, and an order's intent before the order.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from polyarb.domain.basket import BasketPlan, Order, Result
from polyarb.execution.events import Event


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold cash; answer `Reserved` or `ReserveRefused`."""

    cash_e6: int


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what is held."""

    cash_e6: int


@dataclass(frozen=True, slots=True)
class Commit:
    """
    Take out what was spent.

    Attributes:
        cash_e6: Spent, fee included.
        held_e6: How much of it was held; less only where the exchange traded what it had said
            it would not.
    """

    cash_e6: int
    held_e6: int


@dataclass(frozen=True, slots=True)
class Credit:
    """
    Put in what was received, or what a failed trade gives back.

    Attributes:
        hold: Hold it again at once; if that cannot be, `ReserveRefused` says so.
    """

    cash_e6: int
    hold: bool


@dataclass(frozen=True, slots=True)
class Journal:
    """Record the event; replayed by `recover` it changes a basket as it did now."""

    event: Event


@dataclass(frozen=True, slots=True)
class Intend:
    """
    Sign the orders and record them with their ids and bytes; answer `Journaled`.

    Attributes:
        plan: On record with the first orders, so that a restart knows it.
    """

    plan: BasketPlan
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """
    Post the orders: several if they are more than a request takes, never one of them twice.

    The answer is `Sent`, then one of `Accepted`, `Refused` and `SendUnknown` for each.
    """

    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the orders; answer `CancelAnswer` for each, or nothing."""

    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """
    Read the orders by id, after that their trades.

    The answers are `Traded` for every trade of theirs, then `OrderSeen` or `Absent`; or nothing,
    where one of the two could not be read. An order that is `Absent` must not have trades that
    were not told before: older servers do not know orders that are over.
    """

    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskQuotes:
    """Read the legs' books; answer `Quotes`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Answer `TimedOut` when the time is up; a later `Wait` replaces it."""

    wait_ns: int


class TripReason(StrEnum):
    """Why the breaker has to open."""

    STRANDED = "stranded"
    STRAY = "stray_event"  # something happened that cannot: a mistake of ours


@dataclass(frozen=True, slots=True)
class Trip:
    """Open the breaker: no basket is started until an operator closes it."""

    reason: TripReason


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell the operator."""

    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """The basket is over; record it."""

    result: Result


Action: TypeAlias = (
    Reserve
    | Release
    | Commit
    | Credit
    | Journal
    | Intend
    | Send
    | Cancel
    | Ask
    | AskQuotes
    | Wait
    | Trip
    | Alert
    | Close
)
