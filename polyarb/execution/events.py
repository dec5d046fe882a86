"""
What the machine is told: by the account, the journal, the exchange's three witnesses, the clock.

The POST's answer, the user channel and REST speak of the same facts, in any order, late and more
than once; an event says what was heard, not what is true.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from polyarb.domain.basket import Order, TradeStatus
from polyarb.errors import RangeError


class OrderStatus(StrEnum):
    """
    What the exchange says of an order, its many spellings brought together.

    An ``unmatched`` order rests: LIVE. Everything that starts with ``CANCELED``, and ``INVALID``,
    is CANCELED.
    """

    LIVE = "live"
    DELAYED = "delayed"
    MATCHED = "matched"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Begin:
    """Trade the plan."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """The cash is held."""


@dataclass(frozen=True, slots=True)
class ReserveRefused:
    """
    It is not.

    Attributes:
        cash_e6: How much is missing of what the basket thought it had.
    """

    cash_e6: int = 0


@dataclass(frozen=True, slots=True)
class Journaled:
    """Orders are signed and on record, in the order of `Intend`; nothing of them was sent."""

    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class JournalRefused:
    """The intent could not be recorded."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The last byte was handed to the kernel."""

    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The POST was answered with an order id.

    Attributes:
        filled_e6: Shares traded at once; None where the answer's amounts cannot be trusted.
    """

    order_id: str
    status: OrderStatus
    filled_e6: int | None = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The order does not exist and never will: a definite refusal, or it was never sent."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SendUnknown:
    """
    Nobody knows whether they arrived: no answer, a broken one, or one that says ``Duplicated``.

    Attributes:
        reason: As the client puts it.
    """

    order_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """
    The user channel or a read tells of an order.

    Attributes:
        matched_e6: Shares traded so far; 0 where it does not say.
    """

    order_id: str
    status: OrderStatus
    matched_e6: int


@dataclass(frozen=True, slots=True)
class Absent:
    """The exchange was asked for the order and does not know it, now."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Traded:
    """
    An order traded.

    Attributes:
        trade_id: With the order's id the fill's name: one trade can fill two of our orders.
        shares_e6: > 0.
        cash_e6: Paid or received, without the fee.
        fee_e6: An upper bound; the exchange does not tell it.
    """

    order_id: str
    trade_id: str
    shares_e6: int
    cash_e6: int
    fee_e6: int
    status: TradeStatus

    def __post_init__(self) -> None:
        if self.shares_e6 < 1 or self.cash_e6 < 0 or self.fee_e6 < 0:
            raise RangeError(
                f"trade {self.trade_id}: shares_e6 {self.shares_e6}, cash_e6 {self.cash_e6}, "
                f"fee_e6 {self.fee_e6}; shares are above 0, cash and fee are not below"
            )

    def moved_to(self, status: TradeStatus) -> "Traded":
        """Return the trade at another status."""
        return self if status is self.status else replace(self, status=status)


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """
    A cancel was answered; it does not tell what had traded before.

    Attributes:
        reason: Why not, if it was not.
    """

    order_id: str
    canceled: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The time of the last `Wait` is up."""


@dataclass(frozen=True, slots=True)
class Book:
    """Levels (price_e4, size_e6) of one token, best first."""

    bids: tuple[tuple[int, int], ...] = ()
    asks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Quotes:
    """The legs' books, in the plan's order; None for one that cannot be trusted now."""

    books: tuple[Book | None, ...]


@dataclass(frozen=True, slots=True)
class Restarted:
    """The process is a new one; what was recorded has been replayed."""


@dataclass(frozen=True, slots=True)
class Halted:
    """No new risk from now on."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The basket is the operator's; recorded, so that a restart does not take it up again."""

    reason: str


Fact: TypeAlias = (
    Sent | Accepted | Refused | SendUnknown | OrderSeen | Absent | Traded | CancelAnswer
)
"""What is told of orders."""

Event: TypeAlias = (
    Begin
    | Reserved
    | ReserveRefused
    | Journaled
    | JournalRefused
    | Fact
    | TimedOut
    | Quotes
    | Restarted
    | Halted
    | GaveUp
)
