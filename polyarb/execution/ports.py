"""
What the executor needs of the world, as it would like to have it; `polyarb.control` provides it.

Nothing here blocks: what takes time answers later, through the callable that it is given.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from polyarb.domain.answer import CancelAnswer, OrderAnswer
from polyarb.domain.basket import BasketPlan, Order, Result
from polyarb.domain.report import OrderReport, TradeReport
from polyarb.execution.events import Book, Event


class CashChange(StrEnum):
    """What happens to collateral."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"
    CREDITED = "credited"


class Batch(Protocol):
    """Orders that are signed, and nothing else yet."""

    @property
    def orders(self) -> tuple[Order, ...]:
        """The orders, each with its id."""


class Trader(Protocol):
    """The way to the exchange."""

    def sign(self, plan: BasketPlan, orders: Sequence[Order]) -> Batch:
        """Sign orders. Raises PolyarbError; nothing was sent."""

    def send(
        self, batch: Batch, urgent: bool, answered: Callable[[Sequence[OrderAnswer]], None]
    ) -> None:
        """Post a batch once, at once; `urgent`: it ends risk. Answers come in the batch's order."""

    def cancel(self, order_ids: Sequence[str], answered: Callable[[CancelAnswer], None]) -> None:
        """Cancel orders."""

    def look(
        self,
        order: Order,
        token: str,
        told: Callable[[OrderReport | None, Sequence[TradeReport]], None],
    ) -> None:
        """Read an order by its id, and its trades; nothing is told where nobody answers."""


class Ledger(Protocol):
    """What must outlive the process; each call returns when it would."""

    def intend(self, plan: BasketPlan, batch: Batch, first: bool) -> None:
        """Record orders before they are sent, and with the `first` the plan."""

    def record(self, plan: BasketPlan, event: Event) -> None:
        """Record a fact."""

    def close(self, plan: BasketPlan, result: Result) -> None:
        """Record the end."""

    def cash(self, basket: str, change: CashChange, amount_e6: int) -> None:
        """Record that the account's cash was moved for a basket."""


class Books(Protocol):
    """Prices to complete or unwind by."""

    def book(self, token: str) -> Book | None:
        """Return a book that can be trusted now; None without."""


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> object:
        """Let it not come."""


class Pace(Protocol):
    """Time, real or not."""

    def monotonic_ns(self) -> int:
        """Return now."""

    def wall_ns(self) -> int:
        """Return now by the calendar."""

    def call_later(self, wait_ns: int, call: Callable[[], None]) -> Timer:
        """Call it after so long."""
