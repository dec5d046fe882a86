"""
The executor's ledger in the trade journal, and baskets out of it again.

Two things are written of a fact: what a restart needs, exactly (`Planned`, `Happened`), and what
people and the database read (`Intent`, `Answer`, `Fill`, `Cash`, …).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, get_args

import msgspec
from msgspec import structs

from polyarb import errors
from polyarb.control.trader import Signed
from polyarb.core.account import Account
from polyarb.domain.basket import BasketPlan, Outcome, Purpose, Result
from polyarb.domain.order import Side
from polyarb.execution import events
from polyarb.execution.events import Event
from polyarb.execution.machine import Machine, recover
from polyarb.execution.ports import Batch, CashChange
from polyarb.journal import record
from polyarb.journal.record import Cash, Entry, Leg, Record, Settled
from polyarb.journal.record import CashChange as CashMove
from polyarb.journal.writer import Journal

_KINDS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(events.Event)}
_T = TypeVar("_T")

_PURPOSES: Final = {
    Purpose.ENTRY: record.Purpose.OPEN,
    Purpose.COMPLETION: record.Purpose.COMPLETE,
    Purpose.UNWIND: record.Purpose.UNWIND,
}
_RESULTS: Final = {
    Outcome.COMPLETE: record.Result.COMPLETE,
    Outcome.PARTIAL: record.Result.COMPLETE,
    Outcome.HELD: record.Result.COMPLETE,
    Outcome.UNWOUND: record.Result.UNWOUND,
    Outcome.FAILED: record.Result.REFUSED,
    Outcome.BLOCKED: record.Result.REFUSED,
    Outcome.STRANDED: record.Result.STRANDED,
}
_encode = msgspec.msgpack.Encoder().encode


class JournalLedger:
    """
    Writes for an executor.

    Args:
        journal: Of the run.
        account: Whose balance stands beside each movement of cash.
        api_key: Cut out of what is recorded.
        wall_ns: Unix time.
    """

    def __init__(
        self, journal: Journal, account: Account, *, api_key: str, wall_ns: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._account = account
        self._owner = api_key.encode()
        self._wall_ns = wall_ns
        self._legs: dict[str, Leg] = {}
        self._planned: set[str] = set()
        self._cash: list[Cash] = []
        self._cash_e6 = 0

    def intend(self, plan: BasketPlan, batch: Batch, first: bool) -> None:
        """Record orders, and with the first the plan, before any of it is sent."""
        assert isinstance(batch, Signed)
        if first:
            self._append(record.Planned(plan.id, _encode(plan)))
            self._planned.add(plan.id)
        legs = tuple(_leg(plan, order) for order in batch.orders)
        self._legs.update({leg.order_id: leg for leg in legs})
        self._append(
            record.Intent(
                basket=plan.id,
                relation=plan.relation,
                purpose=_PURPOSES[batch.orders[0].purpose],
                style=batch.orders[0].style,
                legs=legs,
                bodies=tuple(body.replace(self._owner, b"") for body in batch.bodies),
                payoff_e6=plan.payoff_e6 * plan.sets_e6 // 10**6,
                loss_cap_e6=plan.loss_cap_e6,
                reserved_e6=plan.hold_e6 if first else 0,
            )
        )
        self._happened(plan, events.Journaled(batch.orders))

    def record(self, plan: BasketPlan, event: Event) -> None:
        """Record a fact, for the restart and for people."""
        self._flush()
        self._happened(plan, event)
        shown = _shown(plan, event, self._legs, self._wall_ns())
        if shown is not None:
            self._append(shown)

    def _happened(self, plan: BasketPlan, event: Event) -> None:
        if plan.id in self._planned:  # before that there is nothing to restart
            self._append(record.Happened(plan.id, type(event).__name__, _encode(event)))

    def cash(self, basket: str, change: CashChange, amount_e6: int) -> None:
        """
        Record that the account's cash was moved.

        What is held for a basket is written after its orders are sent: the plan says it as well.
        """
        self._cash.append(self._moved(record.CashChange(change.value), amount_e6, basket))
        if change is not CashChange.RESERVED:
            self._flush()

    def reconciled(self) -> None:
        """Record that the account has taken the exchange's word, where that was another."""
        before_e6 = self._cash_e6
        found = self._moved(record.CashChange.RECONCILED, 0, "")
        if self._cash_e6 != before_e6:
            self._cash.append(structs.replace(found, amount_e6=self._cash_e6 - before_e6))
        self._flush()

    def settled(self, step: Settled) -> None:
        """Record a step of turning tokens into cash."""
        self._flush()
        self._append(step)

    def _moved(self, change: CashMove, amount_e6: int, basket: str) -> Cash:
        funds = self._account.balance.snapshot()
        self._cash_e6 = funds.cash_e6
        free_e6 = funds.cash_e6 - funds.held_e6
        return record.Cash(change, amount_e6, free_e6, funds.held_e6, basket)

    def _flush(self) -> None:
        for each in self._cash:
            self._append(each)
        self._cash.clear()

    def resume(self, entries: Iterable[Entry]) -> None:
        """Know the baskets and orders of earlier processes."""
        for entry in entries:
            match entry.record:
                case record.Planned(basket=basket):
                    self._planned.add(basket)
                case record.Intent(legs=legs):
                    self._legs.update({leg.order_id: leg for leg in legs})
                case record.Cash(balance_e6=free, held_e6=held):
                    self._cash_e6 = free + held

    def close(self, plan: BasketPlan, result: Result) -> None:
        """Record how a basket ended."""
        self._flush()
        self._append(closed(plan, result))

    def _append(self, entry: Record) -> None:
        self._journal.append(entry, self._wall_ns())


def closed(plan: BasketPlan, result: Result) -> record.Closed:
    """Return what is recorded of an end."""
    stranded = result.outcome is Outcome.STRANDED
    return record.Closed(
        basket=plan.id,
        result=_RESULTS[result.outcome],
        cost_e6=max(result.spent_e6, 0),
        fee_e6=result.fee_e6,
        proceeds_e6=max(-result.spent_e6, 0),
        pnl_e6=result.pnl_e6,
        exposure_e6=max(0, -result.pnl_e6) if stranded else 0,
    )


def _leg(plan: BasketPlan, order: Any) -> record.Leg:
    leg = plan.legs[order.leg]
    buys = order.side is Side.BUY
    return record.Leg(
        order_id=order.id,
        token=leg.token,
        condition_id=leg.condition_id,
        neg_risk=leg.neg_risk,
        side=order.side,
        limit_e4=order.limit_e4,
        shares_e6=order.shares_e6,
        maker_e6=order.maker_e6,
        taker_e6=order.taker_e6,
        cost_e6=order.maker_e6 if buys else 0,
        fee_e6=leg.fee_e6,
    )


def _shown(
    plan: BasketPlan, event: Event, legs: Mapping[str, record.Leg], now_ns: int
) -> Record | None:
    """Return what people are told of a fact."""
    match event:
        case events.Sent(order_ids=ids):
            return record.Sent(plan.id, ids, now_ns)
        case events.Accepted(order_id=id_, status=status, filled_e6=filled):
            return record.Answer(
                plan.id,
                id_,
                record.Outcome.ACCEPTED,
                status=status.value,
                taking_e6=filled or 0,
            )
        case events.Refused(order_id=id_, reason=reason):
            return record.Answer(plan.id, id_, record.Outcome.REFUSED, reason=reason)
        case events.OrderSeen(order_id=id_, status=status, matched_e6=matched):
            return record.Seen(id_, status.value, matched, record.Witness.REST, plan.id)
        case events.CancelAnswer(order_id=id_, canceled=canceled, reason=reason):
            return record.CancelAnswer(id_, canceled, reason)
        case events.Traded(order_id=id_) if id_ in legs:
            return _fill(plan, event, legs[id_])
        case events.GaveUp(reason=reason):
            return record.Phase(plan.id, "stranded", reason)
    return None


def _fill(plan: BasketPlan, event: events.Traded, leg: record.Leg) -> record.Fill:
    return record.Fill(
        trade_id=event.trade_id,
        order_id=event.order_id,
        basket=plan.id,
        token=leg.token,
        side=leg.side,
        shares_e6=event.shares_e6,
        cash_e6=event.cash_e6,
        fee_e6=event.fee_e6,
        state=record.TradeState(event.status.value.upper()),
    )


# -- out of it again


@dataclass(slots=True)
class Recorded:
    """
    What the journal has of a basket.

    Attributes:
        ended: How it ended, the last time; it may have been opened again.
        closed: Nothing has come since.
    """

    plan: BasketPlan
    events: list[Event] = field(default_factory=list)
    ended: record.Closed | None = None
    closed: bool = False


def baskets(entries: Iterable[Entry]) -> dict[str, Recorded]:
    """
    Return the baskets of a journal, by id, with everything that they were told.

    Raises:
        JournalVersionError: A record of a newer build, which may say anything.
        JournalCorruptError: A fact of a basket whose plan is not there, or that cannot be read.
    """
    found: dict[str, Recorded] = {}
    for entry in entries:
        match entry.record:
            case record.Unread(kind=kind, version=version):
                raise errors.JournalVersionError(
                    f"record {entry.seq} is of kind {kind}, version {version}: a newer build's"
                )
            case record.Planned(basket=basket, plan=plan):
                found[basket] = Recorded(_decoded(entry, plan, BasketPlan))
            case record.Happened(basket=basket, kind=kind, event=event):
                if basket not in found or kind not in _KINDS:
                    raise errors.JournalCorruptError(f"record {entry.seq}: {kind} of {basket!r}")
                found[basket].events.append(_decoded(entry, event, _KINDS[kind]))
                found[basket].closed = False
            case record.Closed(basket=basket) as ended if basket in found:
                found[basket].ended = ended
                found[basket].closed = True
    return found


def machines(found: dict[str, Recorded]) -> list[Machine]:
    """
    Return the machines of the baskets that are not over, as their records leave them.

    One is over whose end is on record as it is: a kill may have come before that was written.
    """
    made = []
    for each in found.values():
        if not each.closed:
            machine = recover(each.plan, each.events)
            if not machine.over or closed(each.plan, machine.result) != each.ended:
                made.append(machine)
    return made


def _decoded(entry: Entry, data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise errors.JournalCorruptError(f"record {entry.seq}: {error}") from None
