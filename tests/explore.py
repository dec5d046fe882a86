"""
Every way a small basket can go: the machine against an exchange that may do all it is able to.

A state is the machine, what a restart would make of its records, the exchange, the account, and
how many faults are left. From each, everything that can happen next is tried: an order arrives
late or never, trades in whole or in part, its answer is lost, a witness tells the truth or what
was true before, a trade is confirmed or fails, a cancel comes too late, time is up, prices are
good, bad or gone, the process dies between any two actions. What needs luck against us costs one
of the faults, so that the search ends.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from typing import Any, NamedTuple

from polyarb.domain.basket import (
    BasketPlan,
    BasketState,
    LegState,
    Order,
    Outcome,
    TradeStatus,
)
from polyarb.domain.order import OrderType, Side
from polyarb.execution import actions as act
from polyarb.execution import events as ev
from polyarb.execution.choice import Holding, loss_e6
from polyarb.execution.machine import Basket, holding_of, replay, result_of, step
from polyarb.execution.orders import Tracked, cash_of
from polyarb.execution.pricing import fee_e6_ceil

CASH_E6 = 10_000_000_000

FLYING, NEVER, LIVE, DELAYED, MATCHED, CANCELED, REFUSED = range(7)
STATUS = {
    LIVE: ev.OrderStatus.LIVE,
    DELAYED: ev.OrderStatus.DELAYED,
    MATCHED: ev.OrderStatus.MATCHED,
    CANCELED: ev.OrderStatus.CANCELED,
}
SELDOM = ("TimedOut", "Halted", "ReserveRefused", "JournalRefused", "dies", "Journaled, dies")
MATCH, MINED, CONFIRMED, FAILED = range(4)
WORDS = (TradeStatus.MATCHED, TradeStatus.MINED, TradeStatus.CONFIRMED, TradeStatus.FAILED)


class There(NamedTuple):
    """
    An order at the exchange.

    Attributes:
        history: Every (status, matched) that could be read of it, the last one now.
        cancel: One is on its way.
        trades: (shares, cash, fee, status, was mined).
        late: It arrived after the machine took it for never arrived.
    """

    id: str
    status: int = FLYING
    matched: int = 0
    history: tuple[tuple[int, int], ...] = ()
    cancel: bool = False
    trades: tuple[tuple[int, int, int, int, bool], ...] = ()
    late: bool = False


class World(NamedTuple):
    """Everything but the machine; `reserve` and `intend` are asked for and not answered."""

    orders: tuple[There, ...] = ()
    reserve: bool = False
    intend: tuple[Order, ...] | None = None
    available: int = CASH_E6
    held: int = 0
    faults: int = 0


class State(NamedTuple):
    """`machine` and `durable` are numbers of baskets; -1: nothing is on record."""

    machine: int
    durable: int
    world: World


@dataclass(frozen=True)
class Case:
    """
    What is explored.

    Attributes:
        partial: What part of an order a partial fill takes, in percent.
        books: What may be quoted.
        faults: How many there are in one history.
        crash, halt, delay, mined: Whether such things happen.
        settle: A trade is first matched, then confirmed or failed; False: confirmed at once.
        only_open: The exchange forgets orders that are over (older builds).
    """

    name: str
    plan: BasketPlan
    books: tuple[tuple[ev.Book | None, ...], ...]
    faults: int = 2
    partial: int = 50
    crash: bool = True
    halt: bool = False
    delay: bool = False
    mined: bool = False
    settle: bool = True
    only_open: bool = False


@dataclass
class Report:
    """What was seen."""

    states: int = 0
    steps: int = 0
    transitions: int = 0
    ends: dict[Outcome, int] = field(default_factory=dict)


class Explorer:
    """Visit every state of a case and hold it to what must always be true."""

    def __init__(self, case: Case, limit: int = 5_000_000) -> None:
        self.case = case
        self.plan = case.plan
        self.limit = limit
        self.baskets: list[Basket] = []
        self.numbers: dict[Basket, int] = {}
        self.orders: dict[str, Order] = {}
        self.events: list[Any] = []
        self.event_numbers: dict[tuple[Any, ...], int] = {}
        self.memo: dict[tuple[int, int], tuple[int, tuple[Any, ...]]] = {}
        self.replayed: dict[tuple[int, Any], int] = {}
        self.report = Report()
        self.trail: dict[State, tuple[State | None, str]] = {}

    # --- the search

    def run(self) -> Report:
        """Explore, then see that every state has a way to an end that needs no more bad luck."""
        first = self.start()
        ids = {first: 0}
        self.trail[first] = (None, "start")
        queue = deque([first])
        edges = array("I")
        ends = []
        while queue:
            state = queue.popleft()
            here = ids[state]
            self.check(state)
            if self.final(state):
                ends.append(here)
            for name, fault, after in self.moves(state):
                self.report.transitions += 1
                there = ids.get(after)
                if there is None:
                    there = ids[after] = len(ids)
                    assert there < self.limit, "more states than the limit"
                    self.trail[after] = (state, name)
                    queue.append(after)
                if not fault and there != here:
                    edges.extend((here, there))
        self.report.states = len(ids)
        self.report.steps = len(self.memo)
        self.all_end(len(ids), edges, ends, list(ids))
        return self.report

    def walk(self, choose: Random, length: int) -> Outcome | None:
        """
        Go one way through the case, then on without faults to its end.

        Returns:
            How it ended; None if something is still on its way that the machine gave up.
        """
        state = self.start()
        self.trail = {state: (None, "start")}
        for done in range(50 * length):
            if done == length:
                state = self.world(state, faults=0)
                self.trail[state] = (None, "no more faults")
            self.check(state)
            moves = [(name, after) for name, _, after in self.moves(state) if after != state]
            if not moves or (done > length and self.final(state)):
                return result_of(self.plan, self.baskets[state.machine]).outcome
            likely = [move for move in moves if not move[0].startswith(SELDOM)]
            name, after = choose.choice(likely if likely and choose.random() < 0.9 else moves)
            self.trail.setdefault(after, (state, name))
            state = after
        raise AssertionError("it does not end:\n" + self.story(state))

    def all_end(self, count: int, edges: array, ends: list[int], states: list[State]) -> None:
        before: list[list[int]] = [[] for _ in range(count)]
        for here, there in zip(edges[::2], edges[1::2], strict=True):
            before[there].append(here)
        reached = bytearray(count)
        stack = list(ends)
        for end in ends:
            reached[end] = 1
        while stack:
            for here in before[stack.pop()]:
                if not reached[here]:
                    reached[here] = 1
                    stack.append(here)
        stuck = reached.find(0)
        assert stuck < 0, "no way to an end from:\n" + self.story(states[stuck])

    def story(self, state: State) -> str:
        """Return how it came to this, for a failing test."""
        lines = []
        at: State | None = state
        while at is not None:
            previous, name = self.trail[at]
            lines.append(f"{name}\n      {self.shown(at)}")
            at = previous
        return "\n".join(reversed(lines))

    def shown(self, state: State) -> str:
        basket = self.baskets[state.machine]
        known = ", ".join(
            f"{t.order.id}:{t.state}{'' if t.resolved else '?'} {t.matched_e6}"
            f"{[(x.shares_e6, str(x.status)) for x in t.trades]}"
            for t in basket.orders
        )
        return (
            f"{basket.state} held {basket.held_e6} agreed {basket.agreed} "
            f"attempts {basket.attempts} waits {basket.waits} [{known}] {state.world}"
        )

    def fail(self, state: State, why: str) -> None:
        raise AssertionError(f"{self.case.name}: {why}\n{self.story(state)}")

    # --- numbers for what is compared often

    def number(self, basket: Basket) -> int:
        number = self.numbers.get(basket)
        if number is None:
            number = self.numbers[basket] = len(self.baskets)
            self.baskets.append(basket)
        return number

    def event(self, kind: type, *values: Any) -> int:
        key = (kind.__name__, *values)
        number = self.event_numbers.get(key)
        if number is None:
            number = self.event_numbers[key] = len(self.events)
            self.events.append(kind(*values))
        return number

    def stepped(self, machine: int, event: int) -> tuple[int, tuple[Any, ...]]:
        found = self.memo.get((machine, event))
        if found is None:
            before = self.baskets[machine]
            after, actions = step(self.plan, before, self.events[event])
            check_step(self.plan, before, self.events[event], after, actions)
            found = self.memo[machine, event] = self.number(after), actions
        return found

    def recorded(self, durable: int, event: Any) -> int:
        key = (durable, event)
        found = self.replayed.get(key)
        if found is None:
            if durable < 0:
                first = Basket(state=BasketState.RESERVED, held_e6=self.plan.hold_e6)
            else:
                first = self.baskets[durable]
            found = self.replayed[key] = self.number(replay(self.plan, first, event))
        return found

    def recorded_in(self, state: State, event: Any) -> State:
        """Return the state with the event on record; kept only where a crash may ask for it."""
        if not self.case.crash:
            return state
        return state._replace(durable=self.recorded(state.durable, event))

    # --- what can happen

    def start(self) -> State:
        return State(self.number(Basket()), -1, World(faults=self.case.faults))

    def told(self, state: State, event: int, name: str) -> Iterator[tuple[str, bool, State]]:
        """Yield what comes of an event: all of its actions, and a crash between any two."""
        machine, actions = self.stepped(state.machine, event)
        after = state._replace(machine=machine)
        can_crash = self.case.crash and state.world.faults
        for done, action in enumerate(actions):
            if can_crash and done:
                crashed = self.crash(after)
                if crashed:
                    yield f"{name}, dies after {actions[:done]}", True, crashed
            after = self.done(after, action)
        yield name, False, after

    def tell(self, state: State, kind: type, *values: Any) -> Iterator[tuple[str, bool, State]]:
        return self.told(state, self.event(kind, *values), f"{kind.__name__}{values}")

    def fault(self, moves: Iterator[tuple[str, bool, State]]) -> Iterator[tuple[str, bool, State]]:
        """Yield the moves as one fault more."""
        for name, _, after in moves:
            if after.world.faults:
                yield name, True, self.world(after, faults=after.world.faults - 1)

    def moves(self, state: State) -> Iterator[tuple[str, bool, State]]:
        world, basket = state.world, self.baskets[state.machine]
        yield from self.local(state, basket)
        for index, order in enumerate(world.orders):
            yield from self.exchange(state, index, order)
            tracked = next((t for t in basket.orders if t.order.id == order.id), None)
            if tracked is not None:
                yield from self.witnesses(state, order, tracked)
        if world.orders and basket.state is not BasketState.CLOSED:
            yield from self.tell(state, ev.TimedOut)
        if basket.quoting:
            for books in self.case.books:
                yield from self.tell(state, ev.Quotes, books)
        if world.faults and self.case.crash:
            crashed = self.crash(state)
            if crashed:
                yield "dies", True, crashed
        if self.case.halt and not basket.halted:
            yield from self.fault(self.tell(state, ev.Halted))

    def local(self, state: State, basket: Basket) -> Iterator[tuple[str, bool, State]]:
        """Yield what the executor answers."""
        world = state.world
        if basket.state is BasketState.PLANNED and not world.reserve:
            yield from self.tell(state, ev.Begin)
        if world.reserve:
            told = self.world(state, reserve=False)
            yield from self.tell(told, ev.Reserved)
            refused = self.world(told, available=world.available + world.held, held=0)
            yield from self.fault(self.tell(refused, ev.ReserveRefused, 0))
        if world.intend is not None:
            event = self.event(ev.Journaled, self.sign(world))
            told = self.world(state, intend=None)
            yield from self.fault(self.tell(told, ev.JournalRefused, "disk full"))
            told = told._replace(durable=self.recorded(state.durable, self.events[event]))
            yield from self.told(told, event, "Journaled")
            if world.faults and self.case.crash:
                crashed = self.crash(told)
                if crashed:
                    yield "Journaled, dies before it is told", True, crashed
        if world.orders and basket.state is BasketState.JOURNALED:
            yield from self.tell(state, ev.Sent, tuple(order.id for order in world.orders))

    def exchange(self, state: State, index: int, order: There) -> Iterator[tuple[str, bool, State]]:
        """Yield what the exchange and the network can do with an order."""
        faults = state.world.faults
        if order.status in {FLYING, DELAYED}:
            for outcome in self.outcomes(order):
                yield f"{order.id} arrives", False, self.put(state, index, outcome)
        if order.status == FLYING and faults:
            lost = order._replace(status=NEVER)
            yield f"{order.id} lost", True, self.put(state, index, lost, fault=1)
        if order.status == LIVE:
            rest = self.orders[order.id].shares_e6 - order.matched
            filled = self.fill(order, rest, MATCHED)
            yield f"{order.id} is hit", False, self.put(state, index, filled)
        for at, (shares, cash, fee, status, mined) in enumerate(order.trades):
            if status in {CONFIRMED, FAILED}:
                continue
            nexts = [(CONFIRMED, 0), (FAILED, 1)]
            if self.case.mined and status == MATCH:
                nexts = [(MINED, 0), (FAILED, 1)]
            for there, fault in nexts:
                if fault > faults:
                    continue
                moved = (shares, cash, fee, there, mined or there == MINED)
                trades = (*order.trades[:at], moved, *order.trades[at + 1 :])
                after = self.put(state, index, order._replace(trades=trades), fault=fault)
                yield f"{order.id} trade {there}", bool(fault), after
        if order.cancel:
            yield from self.canceled(state, index, order)

    def outcomes(self, order: There) -> Iterator[There]:
        spec = self.orders[order.id]
        full = spec.shares_e6
        part = full * self.case.partial // 100 // 10_000 * 10_000
        yield self.fill(order, full, MATCHED)
        if spec.style is OrderType.GTC:
            yield self.seen(order._replace(status=LIVE))
            if part:
                yield self.fill(order, part, LIVE)
        else:
            if spec.style is OrderType.FAK and part:
                yield self.fill(order, part, MATCHED)
            if order.status == DELAYED:
                yield self.seen(order._replace(status=CANCELED))
            else:
                yield order._replace(status=REFUSED)
        if self.case.delay and order.status == FLYING:
            yield self.seen(order._replace(status=DELAYED))

    def fill(self, order: There, shares: int, status: int) -> There:
        spec = self.orders[order.id]
        amount = spec.maker_e6 if spec.side is Side.BUY else spec.taker_e6
        cash = amount * shares // spec.shares_e6
        fee = fee_e6_ceil(self.plan.legs[spec.leg], spec.limit_e4, shares)
        trade = (shares, cash, fee, MATCH if self.case.settle else CONFIRMED, False)
        after = order._replace(
            status=status, matched=order.matched + shares, trades=(*order.trades, trade)
        )
        return self.seen(after)

    def seen(self, order: There) -> There:
        history = (*order.history, (order.status, order.matched))
        return order._replace(history=history)

    def canceled(self, state: State, index: int, order: There) -> Iterator[tuple[str, bool, State]]:
        after = order._replace(cancel=False)
        if order.status == LIVE:
            after = self.seen(after._replace(status=CANCELED))
        there = self.put(state, index, after)
        yield from self.tell(there, ev.CancelAnswer, order.id, order.status == LIVE)
        if state.world.faults:
            yield "cancel's answer lost", True, self.put(state, index, after, fault=1)

    def trade_event(self, order: There, at: int, status: int) -> int:
        shares, cash, fee, _, _ = order.trades[at]
        trade_id = f"{order.id}.{at}"
        return self.event(ev.Traded, order.id, trade_id, shares, cash, fee, WORDS[status])

    def witnesses(
        self, state: State, order: There, tracked: Tracked
    ) -> Iterator[tuple[str, bool, State]]:
        """
        Yield what may be told of an order, now or before, as often as you like.

        It is the POST's answer, the user channel, or a read that was asked for: `check_ask` sees to
        it that what is not known is asked for.
        """
        if order.status == REFUSED:
            yield from self.tell(state, ev.Refused, order.id, "no match")
        elif order.history:
            status, matched = order.history[0]
            yield from self.tell(state, ev.Accepted, order.id, STATUS[status], matched)
        if tracked.state is LegState.PENDING:
            unknown = self.tell(state, ev.SendUnknown, (order.id,), "time-out")
            yield from unknown if order.status == NEVER else self.fault(unknown)
        shown = {LIVE, DELAYED} if self.case.only_open else STATUS
        visible = order.status in shown
        # A read tells the trades first (`Ask`), so that an order that is gone was seen whole.
        if not visible and not tracked.resolved and len(tracked.trades) == len(order.trades):
            absent = self.tell(state, ev.Absent, order.id)
            yield from self.fault(absent) if order.status == FLYING else absent
        for status, matched in order.history:
            yield from self.tell(state, ev.OrderSeen, order.id, STATUS[status], matched)
        for at, (_, _, _, status, mined) in enumerate(order.trades):
            said = {status, MATCH} | ({MINED} if mined else set()) if self.case.settle else {status}
            for word in sorted(said):
                event = self.trade_event(order, at, word)
                yield from self.told(state, event, f"{order.id} trade told as {word}")

    def crash(self, state: State) -> State | None:
        """Return the state after the process died and came back; None if nothing was on record."""
        world = state.world
        orders = tuple(order._replace(cancel=False) for order in world.orders)
        cleared = world._replace(orders=orders, reserve=False, intend=None, faults=world.faults - 1)
        if state.durable < 0:
            assert not orders, "an order left before its intent was on record"
            return None
        basket = self.baskets[state.durable]
        sent = {order.id for order in orders}
        unsent = [t.order.id for t in basket.orders if t.order.id not in sent]
        cleared = cleared._replace(orders=(*orders, *(There(i, NEVER) for i in unsent)))
        held = basket.held_e6
        cash = CASH_E6 - moved(basket)
        again = State(
            state.durable, state.durable, cleared._replace(held=held, available=cash - held)
        )
        machine, actions = self.stepped(again.machine, self.event(ev.Restarted))
        after = again._replace(machine=machine)
        for action in actions:
            after = self.done(after, action)
        return after

    # --- what the executor does

    def done(self, state: State, action: Any) -> State:
        world = state.world
        match action:
            case act.Reserve(cash):
                return self.world(
                    state, reserve=True, available=world.available - cash, held=world.held + cash
                )
            case act.Release(cash):
                return self.world(state, available=world.available + cash, held=world.held - cash)
            case act.Commit(cash, held):
                available = world.available - (cash - held)
                return self.world(state, available=available, held=world.held - held)
            case act.Credit(cash, hold):
                if hold:
                    return self.world(state, held=world.held + cash)
                return self.world(state, available=world.available + cash)
            case act.Journal(event):
                return (
                    state._replace(durable=self.recorded(state.durable, event))
                    if self.case.crash
                    else state
                )
            case act.Intend(_, orders):
                return self.world(state, intend=orders)
            case act.Send(orders):
                return self.send(state, orders)
            case act.Cancel(ids):
                return self.cancel(state, ids)
            case act.Ask(ids):
                assert ids
                return state
            case act.Trip(reason):
                assert reason is not act.TripReason.STRAY
                return state
            case act.AskQuotes() | act.Wait():
                return state
            case act.Alert() | act.Close():
                return state
        raise AssertionError(action)

    def sign(self, world: World) -> tuple[Order, ...]:
        signed = []
        for offset, order in enumerate(world.intend or ()):
            index = len(world.orders) + offset
            name = f"{index}.{order.leg}{order.side[0]}{order.maker_e6}.{order.taker_e6}"
            known = self.orders.get(name)
            if known is None:
                known = self.orders[name] = Order(
                    id=name,
                    leg=order.leg,
                    purpose=order.purpose,
                    side=order.side,
                    style=order.style,
                    limit_e4=order.limit_e4,
                    maker_e6=order.maker_e6,
                    taker_e6=order.taker_e6,
                )
            signed.append(known)
        return tuple(signed)

    def send(self, state: State, orders: tuple[Order, ...]) -> State:
        sent = {order.id for order in state.world.orders}
        on_record = {t.order.id for t in self.baskets[state.durable].orders}
        for order in orders:
            assert order.id not in sent, f"{order.id} is sent twice"
            assert order.id in on_record, f"{order.id} is sent before it is on record"
        new = tuple(There(order.id) for order in orders)
        return self.world(state, orders=(*state.world.orders, *new))

    def cancel(self, state: State, ids: tuple[str, ...]) -> State:
        orders = tuple(
            order._replace(cancel=True) if order.id in ids else order
            for order in state.world.orders
        )
        return self.world(state, orders=orders)

    def world(self, state: State, **changes: Any) -> State:
        return state._replace(world=state.world._replace(**changes))

    def put(self, state: State, index: int, order: There, fault: int = 0) -> State:
        world = state.world
        if order.status not in {FLYING, NEVER} and world.orders[index].status == FLYING:
            order = order._replace(late=self.given_up(state, order.id))
        orders = (*world.orders[:index], order, *world.orders[index + 1 :])
        return self.world(state, orders=orders, faults=world.faults - fault)

    def given_up(self, state: State, order_id: str) -> bool:
        """Whether the machine has concluded that an order never arrived which did now."""
        return any(t.order.id == order_id and t.done for t in self.baskets[state.machine].orders)

    # --- what must always be true

    def final(self, state: State) -> bool:
        return self.baskets[state.machine].state in {BasketState.CLOSED, BasketState.STRANDED}

    def check(self, state: State) -> None:
        basket, world = self.baskets[state.machine], state.world
        if world.held < 0 or world.available < 0:
            self.fail(state, "the account is overdrawn")
        if not world.reserve and world.held != basket.held_e6:
            self.fail(state, "the account holds what the basket does not know of")
        if world.available + world.held != CASH_E6 - moved(basket):
            self.fail(state, "cash is not conserved")
        if self.spent(world) > self.plan.hold_e6:
            self.fail(state, "more is spent than was ever held")
        if basket.state is BasketState.CLOSED:
            self.check_closed(state, basket)

    def check_closed(self, state: State, basket: Basket) -> None:
        world = state.world
        ahead = [o for o in world.orders if not self.known(basket, o)]
        for order in ahead:
            if not order.late and order.status != FLYING:
                self.fail(state, f"it closed without knowing all of {order.id}")
        if ahead:
            return
        truth = self.truth(world)
        if truth != holding_of(self.plan, basket):
            self.fail(state, "its holding is not the exchange's")
        loss = loss_e6(self.plan, truth)
        if loss > self.plan.loss_cap_e6:
            self.fail(state, f"it closed with a loss of {loss}")
        if world.held and not world.reserve:
            self.fail(state, "it closed and holds cash")
        outcome = result_of(self.plan, basket).outcome
        ends = self.report.ends
        ends[outcome] = ends.get(outcome, 0) + 1

    def known(self, basket: Basket, order: There) -> bool:
        tracked = next(t for t in basket.orders if t.order.id == order.id)
        told = {(t.trade_id, t.status) for t in tracked.trades}
        true = {(f"{order.id}.{i}", WORDS[t[3]]) for i, t in enumerate(order.trades)}
        return told == true and order.status not in {FLYING, LIVE, DELAYED}

    def spent(self, world: World) -> int:
        """Return what all purchases that did not fail cost."""
        return sum(
            cash + fee
            for order in world.orders
            for _, cash, fee, status, _ in order.trades
            if status != FAILED and self.orders[order.id].side is Side.BUY
        )

    def truth(self, world: World) -> Holding:
        nets, spent = [0] * len(self.plan.legs), 0
        for order in world.orders:
            spec = self.orders[order.id]
            toward = spec.side is self.plan.legs[spec.leg].side
            for shares, cash, fee, status, _ in order.trades:
                if status != FAILED:
                    nets[spec.leg] += shares if toward else -shares
                    spent += cash + fee if spec.side is Side.BUY else fee - cash
        return Holding(tuple(nets), spent)


def moved(basket: Basket) -> int:
    """Return the cash that the account has been told to move for the basket's trades."""
    total = 0
    for tracked in basket.orders:
        side = tracked.order.side
        for trade in tracked.trades:
            if trade.status is TradeStatus.CONFIRMED or (
                side is Side.BUY and trade.status is not TradeStatus.FAILED
            ):
                total += cash_of(trade, side)
    return total


def check_step(
    plan: BasketPlan, before: Basket, event: Any, after: Basket, actions: tuple[Any, ...]
) -> None:
    """Hold one step to what it must do whatever the exchange does."""
    kinds = [type(action) for action in actions]
    over = after.state in {BasketState.CLOSED, BasketState.STRANDED}
    if after.state is BasketState.STRANDED and before.state is not BasketState.STRANDED:
        assert act.Trip in kinds
        assert act.Alert in kinds
    if after.quoting and not before.quoting:
        assert act.AskQuotes in kinds
    if act.Send in kinds or isinstance(event, (ev.TimedOut, ev.Restarted)):
        assert over or act.Wait in kinds, "nothing wakes it up"
        unknown = {tracked.order.id for tracked in after.orders if not tracked.resolved}
        asked = {i for action in actions if isinstance(action, act.Ask) for i in action.order_ids}
        assert act.Send in kinds or over or unknown <= asked, "what is not known is not asked for"
    for action in actions:
        if isinstance(action, act.Intend) and before.orders:
            check_round(plan, before, action.orders)


def check_round(plan: BasketPlan, basket: Basket, orders: tuple[Order, ...]) -> None:
    """No part of what is about to be sent may lose more than the cap, or than doing nothing."""
    assert all(tracked.resolved for tracked in basket.orders), "decided on what is not known"
    holding = holding_of(plan, basket)
    most = max(plan.loss_cap_e6, loss_e6(plan, holding))
    for count in range(1, len(orders) + 1):
        for filled in combinations(orders, count):
            nets, spent = list(holding.nets_e6), holding.spent_e6
            for order in filled:
                leg = plan.legs[order.leg]
                assert not (basket.halted and order.side is leg.side), "bought when halted"
                nets[order.leg] += order.shares_e6 * (1 if order.side is leg.side else -1)
                spent += order.maker_e6 if order.side is Side.BUY else -order.taker_e6
                spent += fee_e6_ceil(leg, order.limit_e4, order.shares_e6)
            assert loss_e6(plan, Holding(tuple(nets), spent)) <= most, "it may lose too much"
