"""
Baskets in flight: does what their machines ask for, and tells them what came of it.

The machines decide (`polyarb.execution.machine`); this holds their cash, signs, journals, sends,
asks, and waits for them, through the ports. Facts come from three witnesses in any order: answers
to what was sent, the user socket (`order`, `trade`), and reads that a machine asked for.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from polyarb import errors
from polyarb.core.account import Account, Reason
from polyarb.domain import answer
from polyarb.domain.basket import BasketPlan, Order, Purpose, Result, TradeStatus
from polyarb.domain.order import Side
from polyarb.domain.report import Fill, OrderReport, TradeReport
from polyarb.domain.report import OrderStatus as Reported
from polyarb.execution.actions import (
    Action,
    Alert,
    Ask,
    AskQuotes,
    Cancel,
    Close,
    Commit,
    Credit,
    Intend,
    Journal,
    Release,
    Reserve,
    Send,
    Trip,
    TripReason,
    Wait,
)
from polyarb.execution.events import (
    Absent,
    Accepted,
    Begin,
    CancelAnswer,
    Event,
    Halted,
    Journaled,
    JournalRefused,
    OrderSeen,
    OrderStatus,
    Quotes,
    Refused,
    Reserved,
    ReserveRefused,
    Restarted,
    SendUnknown,
    Sent,
    TimedOut,
    Traded,
)
from polyarb.execution.machine import Machine
from polyarb.execution.ports import Batch, Books, CashChange, Ledger, Pace, Timer, Trader

DAY_NS: Final = 86_400_000_000_000
FORGET_NS: Final = 600_000_000_000
"""A basket that is over is remembered so long: the exchange may yet take back what it said."""

_PLACED: Final = {
    answer.Placement.LIVE: OrderStatus.LIVE,
    answer.Placement.MATCHED: OrderStatus.MATCHED,
    answer.Placement.DELAYED: OrderStatus.DELAYED,
}
_SEEN: Final = {
    Reported.LIVE: OrderStatus.LIVE,
    Reported.UNMATCHED: OrderStatus.LIVE,
    Reported.DELAYED: OrderStatus.DELAYED,
    Reported.INVALID: OrderStatus.CANCELED,
    Reported.CANCELED: OrderStatus.CANCELED,
}


class Flight:
    """
    One basket on its way.

    Attributes:
        machine: Decides.
        queue: What it has yet to be told.
        batches: Signed and not sent yet, by their orders.
        timer: Of its last `Wait`.
        counted: It is one of the breaker's open positions.
        pnl_e6: What the breaker was told that it earned: it may be over more than once.
    """

    __slots__ = ("batches", "busy", "counted", "machine", "pnl_e6", "queue", "timer")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.queue: deque[Event] = deque()
        self.batches: dict[tuple[Order, ...], Batch] = {}
        self.timer: Timer | None = None
        self.counted = False
        self.busy = False
        self.pnl_e6 = 0


class Executor:
    """
    All baskets of an account. One thread; nothing here blocks.

    Args:
        account: Whose cash is held, and whose breaker trips.
        trader, ledger, books, pace: See `polyarb.execution.ports`.
        alert: Tells the operator.
        closed: Is told how a basket ended.

    Attributes:
        flights: By basket.
    """

    def __init__(
        self,
        account: Account,
        *,
        trader: Trader,
        ledger: Ledger,
        books: Books,
        pace: Pace,
        alert: Callable[[str], None] = lambda text: None,
        closed: Callable[[BasketPlan, Result], None] = lambda plan, result: None,
    ) -> None:
        self._account = account
        self._trader = trader
        self._ledger = ledger
        self._books = books
        self._pace = pace
        self._alert = alert
        self._closed = closed
        self._of_order: dict[str, Flight] = {}
        self.flights: dict[str, Flight] = {}

    # -- baskets

    def submit(self, plan: BasketPlan) -> None:
        """
        Trade a plan; when this returns, its orders are on their way or nothing of it ever is.

        Raises:
            RangeError: A basket of this id is known already.
        """
        if plan.id in self.flights:
            raise errors.RangeError(f"basket {plan.id} is known already")
        flight = self.flights[plan.id] = Flight(Machine(plan))
        self._tell(flight, Begin())

    def adopt(self, machine: Machine) -> None:
        """
        Take up a basket that another process left; its held cash is held already.

        One whose last fact was recorded, but not its end, has only that to come.
        """
        flight = self.flights[machine.plan.id] = Flight(machine)
        for tracked in machine.basket.orders:
            self._of_order[tracked.order.id] = flight
        if machine.over:
            self._close(flight, machine.result)
            return
        self._tell(flight, Restarted())

    def halt(self) -> None:
        """Let no basket take new risk."""
        for flight in [*self.flights.values()]:
            self._tell(flight, Halted())

    @property
    def open_ids(self) -> list[str]:
        """Ids of all orders whose end or trades are not all known."""
        return [each for flight in self.flights.values() for each in flight.machine.open_ids]

    @property
    def open_count(self) -> int:
        """Baskets that are not over."""
        return sum(not flight.machine.over for flight in self.flights.values())

    def is_trading(self, relation: str) -> bool:
        """Whether a basket of this relation is on its way."""
        return any(
            not flight.machine.over and flight.machine.plan.relation == relation
            for flight in self.flights.values()
        )

    # -- witnesses

    def order(self, report: OrderReport) -> None:
        """Take what the user socket or a read says of an order; others' orders are ignored."""
        flight = self._of_order.get(report.order_id)
        if flight is not None:
            self._tell(flight, _seen(report))

    def trade(self, report: TradeReport) -> None:
        """Take what the user socket or a read says of a trade."""
        for fill in report.fills:
            flight = self._of_order.get(fill.order_id)
            if flight is not None and fill.size_e6 > 0:
                self._tell(flight, self._traded(flight, report, fill))

    def reconcile(self) -> None:
        """Ask for every order that is not resolved: something may have been missed."""
        for flight in [*self.flights.values()]:
            self._ask(flight, flight.machine.open_ids)

    def _traded(self, flight: Flight, report: TradeReport, fill: Fill) -> Traded:
        return Traded(
            order_id=fill.order_id,
            trade_id=report.trade_id,
            shares_e6=fill.size_e6,
            cash_e6=fill.cash_e6,
            fee_e6=_fee_e6(flight, fill),
            status=TradeStatus(report.status.value),
        )

    # -- the machines

    def _tell(self, flight: Flight, *events: Event) -> None:
        """Let a machine handle events, and those that come of its actions, one after the other."""
        flight.queue.extend(events)
        if flight.busy:
            return
        flight.busy = True
        try:
            while flight.queue:
                for action in flight.machine.handle(flight.queue.popleft()):
                    self._do(flight, action)
        finally:
            flight.busy = False
        self._count(flight)

    def _do(self, flight: Flight, action: Action) -> None:
        match action:
            case Reserve() | Release() | Commit() | Credit():
                self._move_cash(flight, action)
            case Journal(event=event):
                self._ledger.record(flight.machine.plan, event)
            case Intend(plan=plan, orders=orders):
                self._intend(flight, plan, orders)
            case Send(orders=orders):
                self._send(flight, orders)
            case Cancel(order_ids=ids):
                self._cancel(flight, ids)
            case Ask(order_ids=ids):
                self._ask(flight, ids)
            case AskQuotes():
                books = tuple(self._books.book(leg.token) for leg in flight.machine.plan.legs)
                flight.queue.append(Quotes(books))
            case Wait(wait_ns=wait_ns):
                self._wait(flight, wait_ns)
            case Trip() | Alert():
                self._tell_operator(action)
            case Close(result=result):
                self._close(flight, result)

    def _tell_operator(self, action: Trip | Alert) -> None:
        if isinstance(action, Alert):
            self._alert(action.text)
        else:
            reason = Reason.STRANDED if action.reason is TripReason.STRANDED else Reason.MANUAL
            self._account.breaker.trip(reason, self._pace.monotonic_ns())

    # -- cash

    def _move_cash(self, flight: Flight, action: Reserve | Release | Commit | Credit) -> None:
        match action:
            case Reserve(cash_e6=cash):
                self._reserve(flight, cash)
            case Release(cash_e6=cash):
                self._account.balance.release(cash)
                self._moved(flight, CashChange.RELEASED, cash)
            case Commit(cash_e6=cash, held_e6=held):
                self._commit(flight, cash, held)
            case Credit(cash_e6=cash, hold=hold):
                self._credit(flight, cash, hold=hold)

    def _moved(self, flight: Flight, change: CashChange, cash_e6: int) -> None:
        self._ledger.cash(flight.machine.plan.id, change, cash_e6)

    def _hold(self, flight: Flight, cash_e6: int) -> None:
        self._account.balance.reserve(cash_e6)
        self._moved(flight, CashChange.RESERVED, cash_e6)

    def _spend(self, flight: Flight, cash_e6: int) -> None:
        self._account.balance.commit(cash_e6)
        self._moved(flight, CashChange.COMMITTED, cash_e6)

    def _reserve(self, flight: Flight, cash_e6: int) -> None:
        try:
            self._account.breaker.require(self._pace.monotonic_ns())
            self._hold(flight, cash_e6)
        except errors.RefusedError as error:
            short = cash_e6 if isinstance(error, errors.FundsError) else 0
            flight.queue.append(ReserveRefused(short))
        else:
            flight.queue.append(Reserved())

    def _commit(self, flight: Flight, cash_e6: int, held_e6: int) -> None:
        if held_e6:
            self._spend(flight, held_e6)
        more = cash_e6 - held_e6
        if more > 0:  # the exchange traded what it had said it would not
            try:
                self._hold(flight, more)
                self._spend(flight, more)
            except errors.FundsError:
                self._alert(f"basket {flight.machine.plan.id} spent {more} more than there was")

    def _credit(self, flight: Flight, cash_e6: int, *, hold: bool) -> None:
        self._account.balance.credit(cash_e6)
        self._moved(flight, CashChange.CREDITED, cash_e6)
        if hold:
            try:
                self._hold(flight, cash_e6)
            except errors.FundsError:
                flight.queue.append(ReserveRefused(cash_e6))

    # -- orders

    def _intend(self, flight: Flight, plan: BasketPlan, orders: Sequence[Order]) -> None:
        first = not flight.machine.basket.orders
        try:
            batch = self._trader.sign(plan, orders)
            self._ledger.intend(plan, batch, first)
        except (errors.PolyarbError, OSError) as error:
            flight.queue.append(JournalRefused(f"{type(error).__name__}: {error}"))
            return
        for order in batch.orders:
            self._of_order[order.id] = flight
        flight.batches[batch.orders] = batch
        flight.queue.append(Journaled(batch.orders))

    def _send(self, flight: Flight, orders: tuple[Order, ...]) -> None:
        batch = flight.batches.pop(orders)
        urgent = any(order.purpose is not Purpose.ENTRY for order in orders)

        def answered(answers: Sequence[answer.OrderAnswer]) -> None:
            self._tell(flight, *map(_answered, orders, answers))

        self._trader.send(batch, urgent, answered)
        flight.queue.append(Sent(tuple(order.id for order in orders)))

    def _cancel(self, flight: Flight, order_ids: Sequence[str]) -> None:
        def answered(said: answer.CancelAnswer) -> None:
            if isinstance(said, answer.Canceled):
                done = [CancelAnswer(each, canceled=True) for each in said.canceled]
                kept = [CancelAnswer(i, canceled=False, reason=w) for i, w in said.kept.items()]
                self._tell(flight, *done, *kept)

        self._trader.cancel(order_ids, answered)

    def _ask(self, flight: Flight, order_ids: Iterable[str]) -> None:
        orders = {tracked.order.id: tracked.order for tracked in flight.machine.basket.orders}
        legs = flight.machine.plan.legs
        for order_id in order_ids:
            order = orders[order_id]

            def told(
                report: OrderReport | None,
                trades: Sequence[TradeReport],
                order_id: str = order_id,
            ) -> None:
                for trade in trades:
                    self.trade(trade)
                self._tell(flight, _seen(report) if report else Absent(order_id))

            self._trader.look(order, legs[order.leg].token, told)

    # -- time and the end

    def _wait(self, flight: Flight, wait_ns: int) -> None:
        if flight.timer is not None:
            flight.timer.cancel()

        def due() -> None:
            flight.timer = None
            self._tell(flight, TimedOut())

        flight.timer = self._pace.call_later(wait_ns, due)

    def _count(self, flight: Flight) -> None:
        """Count a basket from when it was let through, or opened again, until it is over."""
        if not flight.counted and not flight.machine.over:
            flight.counted = True
            self._account.breaker.position_opened()

    def _close(self, flight: Flight, result: Result) -> None:
        machine = flight.machine
        if flight.timer is not None:
            flight.timer.cancel()
            flight.timer = None
        now_ns = self._pace.monotonic_ns()
        if flight.counted:
            flight.counted = False
            self._account.breaker.position_closed()
        if result.pnl_e6 != flight.pnl_e6:
            day = self._pace.wall_ns() // DAY_NS
            self._account.breaker.record_pnl(result.pnl_e6 - flight.pnl_e6, day, now_ns)
            flight.pnl_e6 = result.pnl_e6
        self._ledger.close(machine.plan, result)
        self._pace.call_later(FORGET_NS, lambda: self._forget(flight))
        self._closed(machine.plan, result)

    def _forget(self, flight: Flight) -> None:
        if not flight.machine.over:
            return
        self.flights.pop(flight.machine.plan.id, None)
        for tracked in flight.machine.basket.orders:
            self._of_order.pop(tracked.order.id, None)


def _answered(order: Order, said: answer.OrderAnswer) -> Event:
    """Return what an answer to a POST says to a machine."""
    match said:
        case answer.Accepted(placement=placement, making_e6=making, taking_e6=taking):
            shares = taking if order.side is Side.BUY else making
            return Accepted(order.id, _PLACED[placement], shares)
        case answer.Refused(reason=reason):
            return Refused(order.id, reason.value)
        case answer.Later(cause=cause):  # it did nothing: this order will never be
            return Refused(order.id, cause.value)
        case answer.Unknown(why=why):
            return SendUnknown((order.id,), why.value)


def _seen(report: OrderReport) -> OrderSeen:
    if report.status is Reported.MATCHED:
        status = OrderStatus.MATCHED if report.final else OrderStatus.LIVE
    else:
        status = _SEEN[report.status]
    return OrderSeen(report.order_id, status, report.matched_e6)


def _fee_e6(flight: Flight, fill: Fill) -> int:
    """Return the most a fill can have been charged: nobody tells what it was."""
    machine = flight.machine
    tracked = next(each for each in machine.basket.orders if each.order.id == fill.order_id)
    leg = machine.plan.legs[tracked.order.leg]
    if not fill.taker or not leg.rate_e6:
        return 0
    return fee_bound_e6(fill.size_e6, fill.cash_e6, leg.rate_e6, leg.exponent)


def fee_bound_e6(shares_e6: int, cash_e6: int, rate_e6: int, exponent: int) -> int:
    """
    Return an upper bound of a taker's fee on one fill, rounded up to the exchange's 10^-5.

    The price is known as cash over shares, which was rounded: the curve is taken where it is
    highest within that.
    """
    low = max(0, cash_e6 - 1) * 10**6 // shares_e6
    high = min(10**6, -(-(cash_e6 + 1) * 10**6 // shares_e6))
    price = min(max(low, 500_000), high)  # p (1 - p) rises to one half
    curve: int = (price * (10**6 - price)) ** exponent
    unit: int = 10 ** (6 + 12 * exponent)
    fee = -(-shares_e6 * rate_e6 * curve // unit)
    return -(-fee // 10) * 10
