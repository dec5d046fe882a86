"""
One basket from its plan to its end, without I/O and without a clock: events in, actions out.

`step` is a pure function of a basket and an event; the tables of `polyarb.execution.table` say
what it does. `Machine` keeps a basket, and `recover` makes one again from what was recorded.

    machine = Machine(plan)
    for action in machine.handle(Begin()): ...

The rules behind it:

- An order's id is known before it is sent. What became of it is asked for by that id; it is never
  sent again.
- Facts only add up: trades by their ids, shares by the most that a witness said. So their order
  and their number do not matter.
- A leg whose order was not found is not bought again: the order might arrive after all.
- Nothing is decided while an order may still trade or a trade is not known. Then a basket that is
  not whole sets is completed, unwound or held (`polyarb.execution.choice`), a bounded number of
  times; if nothing is left inside the loss cap it is stranded.
- Whatever changes later, a trade that fails or one that comes late, opens the question again.
- Until it is over a basket waits for an answer that must come, or for the time of its last `Wait`.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from polyarb.domain.basket import (
    DUST_E6,
    BasketPlan,
    BasketState,
    LegState,
    Order,
    Outcome,
    Result,
    TradeStatus,
    entry_orders,
)
from polyarb.domain.order import OrderType, Side
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
from polyarb.execution.choice import Holding, choose, is_whole, loss_e6, whole_sets_e6
from polyarb.execution.events import (
    Absent,
    Accepted,
    CancelAnswer,
    Event,
    Fact,
    GaveUp,
    Halted,
    Journaled,
    JournalRefused,
    OrderSeen,
    Quotes,
    Refused,
    ReserveRefused,
    SendUnknown,
    Sent,
    Traded,
)
from polyarb.execution.orders import SETTLED, Tracked, cash_of, learn, move
from polyarb.execution.table import BASKETS, Step, Told

RECORDED: Final = (
    *(Sent, Accepted, Refused, SendUnknown, OrderSeen, Absent, Traded, CancelAnswer),
    *(ReserveRefused, Halted, GaveUp),
)
"""Recorded when they change a basket with orders; `Journaled` is recorded by whoever signs."""


class Basket(NamedTuple):
    """
    Everything that is known of a basket but its plan.

    Attributes:
        orders: In the order they were recorded; the entry orders first.
        held_e6: Cash held for it.
        agreed: The shares of each leg with which it came to rest; None while something is to do.
        quoting: Quotes are asked for.
        intended: The shares on which orders were decided that are being signed.
        attempts: Times that completing or unwinding was priced.
        waits: Time-outs since anything new was heard.
        halted: Buy nothing more.
    """

    state: BasketState = BasketState.PLANNED
    orders: tuple[Tracked, ...] = ()
    held_e6: int = 0
    agreed: tuple[int, ...] | None = None
    quoting: bool = False
    intended: tuple[int, ...] | None = None
    attempts: int = 0
    waits: int = 0
    halted: bool = False


class Turn(NamedTuple):
    """A basket after a step, and what is to be done."""

    basket: Basket
    actions: tuple[Action, ...] = ()

    def then(self, *actions: Action) -> "Turn":
        """Return it with more to do."""
        return Turn(self.basket, self.actions + actions)


class Machine:
    """One basket; `handle` its events one after the other."""

    __slots__ = ("basket", "plan")

    def __init__(self, plan: BasketPlan, basket: Basket | None = None) -> None:
        self.plan = plan
        self.basket = Basket() if basket is None else basket

    def handle(self, event: Event) -> tuple[Action, ...]:
        """Return what the event asks for."""
        self.basket, actions = step(self.plan, self.basket, event)
        return actions

    @property
    def over(self) -> bool:
        """Nothing will be done any more, unless the exchange takes back what it said."""
        return self.basket.state is BasketState.CLOSED

    @property
    def open_ids(self) -> tuple[str, ...]:
        """Ids of orders whose end or trades are not all known."""
        return unresolved(self.basket)

    @property
    def result(self) -> Result:
        """How it stands, or ended."""
        return result_of(self.plan, self.basket)

    @property
    def holding(self) -> Holding:
        """What it has, by the trades that are known."""
        return holding_of(self.plan, self.basket)


def recover(plan: BasketPlan, events: Iterable[Event]) -> Machine:
    """
    Return the machine as its records leave it: `Journaled` events, and those of `Journal`.

    What its actions were has been done, or is found out by asking: handle `Restarted` next.
    """
    basket = Basket(state=BasketState.RESERVED, held_e6=plan.hold_e6)
    for event in events:
        basket = replay(plan, basket, event)
    return Machine(plan, basket)


def replay(plan: BasketPlan, basket: Basket, event: Event) -> Basket:
    """Return the basket after one more of its records."""
    if not isinstance(event, Journaled):
        return step(plan, basket, event).basket
    # Not asked whether it was still wanted: it may have been sent, and if not, that is next.
    after = _adopt(basket, event.orders)
    closed = basket.state is BasketState.CLOSED
    return after._replace(state=BasketState.UNWINDING) if closed else after


def step(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    """Return the basket after the event, and what is to be done."""
    kind = type(event)
    after, actions = _STEPS[BASKETS[basket.state, kind.__name__]](plan, basket, event)
    if kind in RECORDED and basket.orders and after != basket:
        actions = (Journal(event), *actions)
    return Turn(after, actions)


def unresolved(basket: Basket) -> tuple[str, ...]:
    """Return the ids of orders whose end or trades are not all known."""
    return tuple(tracked.order.id for tracked in basket.orders if not tracked.resolved)


def holding_of(plan: BasketPlan, basket: Basket) -> Holding:
    """Return what it has by the trades that are known and did not fail."""
    nets, spent = [0] * len(plan.legs), 0
    for tracked in basket.orders:
        order = tracked.order
        toward = order.side is plan.legs[order.leg].side
        nets[order.leg] += tracked.held_e6 if toward else -tracked.held_e6
        spent += sum(
            cash_of(trade, order.side)
            for trade in tracked.trades
            if trade.status is not TradeStatus.FAILED
        )
    return Holding(tuple(nets), spent)


def result_of(plan: BasketPlan, basket: Basket) -> Result:
    """Return how the basket stands."""
    holding = holding_of(plan, basket)
    trades = [
        trade
        for tracked in basket.orders
        for trade in tracked.trades
        if trade.status is not TradeStatus.FAILED
    ]
    return Result(
        outcome=_outcome(plan, basket, holding, traded=bool(trades)),
        sets_e6=whole_sets_e6(plan, holding.nets_e6),
        spent_e6=holding.spent_e6,
        fee_e6=sum(trade.fee_e6 for trade in trades),
        pnl_e6=-loss_e6(plan, holding),
    )


def _outcome(plan: BasketPlan, basket: Basket, holding: Holding, *, traded: bool) -> Outcome:
    if basket.state is BasketState.STRANDED:
        return Outcome.STRANDED
    if not basket.orders:
        return Outcome.BLOCKED
    if not traded:
        return Outcome.FAILED
    if _is_full(plan, holding.nets_e6):
        return Outcome.COMPLETE
    if not is_whole(plan, holding.nets_e6):
        return Outcome.HELD
    return Outcome.PARTIAL if whole_sets_e6(plan, holding.nets_e6) >= DUST_E6 else Outcome.UNWOUND


# --- before anything is sent


def _reserve(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    return Turn(basket, (Reserve(plan.hold_e6),))


def _prepare(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    after = basket._replace(state=BasketState.RESERVED, held_e6=plan.hold_e6)
    return Turn(after, (Intend(plan, entry_orders(plan)),))


def _block(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    return _close(plan, basket)


def _return(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    return Turn(basket, (Release(plan.hold_e6),))


def _send(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    assert isinstance(event, Journaled)
    return Turn(_adopt(basket, event.orders), (Send(event.orders), Wait(plan.timeout_ns)))


def _adopt(basket: Basket, orders: tuple[Order, ...]) -> Basket:
    """Return the basket with orders that may be on their way."""
    assert all(order.id for order in orders)
    first = basket.state is BasketState.RESERVED
    return basket._replace(
        state=BasketState.JOURNALED if first else basket.state,
        orders=basket.orders + tuple(map(Tracked, orders)),
        agreed=None,
        intended=None,
        attempts=basket.attempts + (not first),
        waits=0,
    )


# --- facts


def _learn(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    assert isinstance(event, Fact)
    if isinstance(event, Sent):
        first = basket.state is BasketState.JOURNALED
        return Turn(basket._replace(state=BasketState.SENT) if first else basket)
    after, actions = Turn(basket)
    for order_id in event.order_ids if isinstance(event, SendUnknown) else (event.order_id,):
        after, more = _learn_of(plan, after, event, order_id)
        actions += more
    if after.orders == basket.orders:
        return Turn(basket, actions)
    return _proceed(plan, Turn(after, actions))


def _learn_of(plan: BasketPlan, basket: Basket, fact: Fact, order_id: str) -> Turn:
    """Return what is known after a fact of one order, and what that alone asks for."""
    index = next((i for i, t in enumerate(basket.orders) if t.order.id == order_id), None)
    if index is None:
        return Turn(basket, (Alert(f"order {order_id} is not of basket {plan.id}"),))
    before = basket.orders[index]
    known = learn(before, fact, plan.policy.absent_max)
    news = (known.trades, known.matched_e6, known.done) != (
        *(before.trades, before.matched_e6, before.done),
    )
    after = basket._replace(
        orders=(*basket.orders[:index], known, *basket.orders[index + 1 :]),
        waits=0 if news else basket.waits,
    )
    turn = _book(after, before, known, fact) if isinstance(fact, Traded) else Turn(after)
    return turn.then(*_follow(basket, before, known))


def _follow(basket: Basket, before: Tracked, known: Tracked) -> tuple[Action, ...]:
    """
    Return what an order asks for that came to rest, or of which less is known than before.

    One that was unknown and rests is left to the next time-out: its cancel may just have been
    denied, and would be denied and asked about for ever.
    """
    may_rest = basket.state in {BasketState.JOURNALED, BasketState.SENT}
    if known.resting and not (may_rest or before.resting or before.state is LegState.UNKNOWN):
        return (Cancel((known.order.id,)),)
    unsure = known.state is LegState.UNKNOWN and not known.absent
    if known.state is LegState.CANCELED and not known.total:
        unsure = True
    return (Ask((known.order.id,)),) if unsure and known.state is not before.state else ()


def _book(basket: Basket, before: Tracked, known: Tracked, fact: Traded) -> Turn:
    """Return the basket and the account's movements after a trade was told of."""
    side = known.order.side
    was = _moved(side, _trade(before, fact.trade_id))
    now = _moved(side, _trade(known, fact.trade_id))
    if now > was:
        held = min(now - was, basket.held_e6)
        after = basket._replace(held_e6=basket.held_e6 - held)
        return Turn(after, (Commit(now - was, held),))
    if now == was:
        return Turn(basket)
    back = was - now
    hold = side is Side.BUY and basket.state in _HOLDING
    after = basket._replace(held_e6=basket.held_e6 + back) if hold else basket
    return Turn(after, (Credit(back, hold),))


def _trade(tracked: Tracked, trade_id: str) -> Traded | None:
    return next((trade for trade in tracked.trades if trade.trade_id == trade_id), None)


def _moved(side: Side, trade: Traded | None) -> int:
    """Return the cash a trade has taken so far: paid when matched, received when confirmed."""
    counts = trade is not None and (
        trade.status is TradeStatus.CONFIRMED
        or (side is Side.BUY and trade.status is not TradeStatus.FAILED)
    )
    return cash_of(trade, side) if trade is not None and counts else 0


# --- what follows from them


def _proceed(plan: BasketPlan, turn: Turn) -> Turn:
    """Return what the facts lead to, once they have changed."""
    basket, actions = turn
    state = basket.state
    if state in {BasketState.JOURNALED, BasketState.SENT}:
        after = _sent(plan, basket._replace(state=BasketState.SENT))
    elif state is BasketState.STRANDED:
        after = _stranded(plan, basket)
    elif _disturbed(plan, basket):
        after = _reopen(plan, basket)
    elif state is BasketState.CLOSED:
        after = Turn(basket)
    elif basket.agreed is None:
        after = _decide(plan, basket)
    else:
        after = _settle(plan, basket)
    return Turn(after.basket, actions + after.actions)


def _sent(plan: BasketPlan, basket: Basket) -> Turn:
    if all(tracked.state is LegState.FILLED for tracked in basket.orders):
        return _rest(plan, basket)
    short = any(t.done and t.state is not LegState.FILLED for t in basket.orders)
    resting = any(tracked.resting for tracked in basket.orders)
    if short or (basket.halted and resting):
        return _unwind(plan, basket)
    return Turn(basket)


def _unwind(plan: BasketPlan, basket: Basket) -> Turn:
    """Open the one-sided question: nothing may rest while it is asked."""
    after = basket._replace(state=BasketState.UNWINDING, agreed=None)
    first = Turn(after, (*_cancel(basket), Wait(plan.policy.ask_ns)))
    rest = _decide(plan, after)
    return Turn(rest.basket, first.actions + rest.actions)


def _reopen(plan: BasketPlan, basket: Basket) -> Turn:
    turn = _unwind(plan, basket._replace(quoting=False, intended=None))
    if basket.state is not BasketState.CLOSED:
        return turn
    text = f"basket {plan.id} was over, and the exchange traded on"
    return Turn(turn.basket, (Alert(text), *turn.actions))


def _cancel(basket: Basket) -> tuple[Action, ...]:
    """Return the cancel of what rests, or may: the answer tells that too."""
    ids = tuple(
        tracked.order.id
        for tracked in basket.orders
        if tracked.resting
        or (tracked.state is LegState.UNKNOWN and tracked.order.style is OrderType.GTC)
    )
    return (Cancel(ids),) if ids else ()


def _decide(plan: BasketPlan, basket: Basket) -> Turn:
    """Ask for prices as soon as it is known what there is; nothing to do for whole sets."""
    if unresolved(basket):
        return Turn(basket)
    nets = holding_of(plan, basket).nets_e6
    if _is_full(plan, nets) or is_whole(plan, nets):
        return _rest(plan, basket)
    if basket.quoting or basket.intended is not None:
        return Turn(basket)
    if basket.attempts >= plan.policy.attempts_max:
        return _last_resort(plan, basket)
    if basket.attempts:
        return Turn(basket, (Wait(plan.policy.requote_ns),))
    return _ask_quotes(plan, basket)


def _ask_quotes(plan: BasketPlan, basket: Basket) -> Turn:
    return Turn(basket._replace(quoting=True), (AskQuotes(), Wait(plan.policy.ask_ns)))


def _choose(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    assert isinstance(event, Quotes)
    if not basket.quoting or unresolved(basket):
        return Turn(basket._replace(quoting=False))
    after, holding = basket._replace(quoting=False), holding_of(plan, basket)
    option = choose(
        plan,
        holding,
        event.books,
        cash_e6=basket.held_e6,
        buy=not basket.halted,
        barred=_barred(plan, basket),
    )
    if option is None:
        after = after._replace(attempts=basket.attempts + 1)
        return _decide(plan, after)
    if not option.orders:
        return _rest(plan, after)
    orders = tuple(priced.order for priced in option.orders)
    if _unsettled(plan, basket, orders):
        return Turn(after, (Ask(_unsettled_ids(basket)), Wait(plan.policy.ask_ns)))
    return Turn(after._replace(intended=holding.nets_e6), (Intend(plan, orders),))


def _barred(plan: BasketPlan, basket: Basket) -> frozenset[int]:
    """Return the legs that an order was for which was not found, and might arrive after all."""
    return frozenset(
        tracked.order.leg
        for tracked in basket.orders
        if tracked.state is LegState.REFUSED and tracked.absent >= plan.policy.absent_max
    )


def _unsettled(plan: BasketPlan, basket: Basket, orders: Iterable[Order]) -> bool:
    """Whether an order sells shares that are not in the wallet yet."""
    for order in orders:
        if order.side is Side.BUY or plan.legs[order.leg].side is Side.SELL:
            continue
        shares = 0
        for tracked in basket.orders:
            if tracked.order.leg == order.leg and tracked.order.side is Side.BUY:
                shares += sum(t.shares_e6 for t in tracked.trades if t.status in SETTLED)
            elif tracked.order.leg == order.leg:
                shares -= tracked.held_e6
        if order.maker_e6 > shares:
            return True
    return False


def _send_round(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    assert isinstance(event, Journaled)
    if basket.intended != holding_of(plan, basket).nets_e6 or unresolved(basket):
        return _withdraw(plan, basket, event)
    return _send(plan, basket, event)


def _withdraw(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    """Record that orders will not be sent: what they were decided on has changed."""
    assert isinstance(event, Journaled)
    after, journal = Turn(_adopt(basket, event.orders)._replace(agreed=basket.agreed))
    for order in event.orders:
        refusal = Refused(order.id, "withdrawn")
        after = _learn_of(plan, after, refusal, order.id).basket
        journal = (*journal, Journal(refusal))
    if basket.state is BasketState.UNWINDING:
        return _proceed(plan, Turn(after, journal))
    return Turn(after, journal)


def _last_resort(plan: BasketPlan, basket: Basket) -> Turn:
    if loss_e6(plan, holding_of(plan, basket)) > plan.loss_cap_e6:
        return _give_up(plan, basket, "nothing can be traded inside the loss cap")
    return _rest(plan, basket).then(Alert(f"basket {plan.id} holds more than whole sets"))


def _rest(plan: BasketPlan, basket: Basket) -> Turn:
    """Come to rest with what there is, until it is final."""
    nets = _claimed(plan, basket)
    whole = is_whole(plan, nets) and whole_sets_e6(plan, nets) < DUST_E6
    after = basket._replace(
        state=BasketState.UNWINDING if whole else BasketState.COMPLETE,
        agreed=nets,
        quoting=False,
        intended=None,
        waits=0,
    )
    turn = _settle(plan, after)
    return Turn(turn.basket, turn.actions or (Wait(plan.policy.settle_ns),))


def _settle(plan: BasketPlan, basket: Basket) -> Turn:
    """Close a basket at rest when all is final."""
    if not all(tracked.settled for tracked in basket.orders):
        return Turn(basket)
    if loss_e6(plan, holding_of(plan, basket)) > plan.loss_cap_e6:
        return _give_up(plan, basket, "it lost more than its cap")
    return _close(plan, basket)


def _close(plan: BasketPlan, basket: Basket) -> Turn:
    release = (Release(basket.held_e6),) if basket.held_e6 else ()
    after = basket._replace(
        state=BasketState.CLOSED,
        held_e6=0,
        agreed=_claimed(plan, basket),
        quoting=False,
        intended=None,
    )
    return Turn(after, (*release, Close(result_of(plan, after))))


def _claimed(plan: BasketPlan, basket: Basket) -> tuple[int, ...]:
    """Return the shares of each leg, counting what is only said to be filled."""
    nets = [0] * len(plan.legs)
    for tracked in basket.orders:
        toward = tracked.order.side is plan.legs[tracked.order.leg].side
        nets[tracked.order.leg] += tracked.filled_e6 if toward else -tracked.filled_e6
    return tuple(nets)


def _disturbed(plan: BasketPlan, basket: Basket) -> bool:
    """Whether a basket at rest is no longer what it came to rest with."""
    if basket.state is BasketState.UNWINDING and basket.agreed is None:
        return False
    if basket.agreed is None or not all(tracked.done for tracked in basket.orders):
        return True
    nets = _claimed(plan, basket)
    same = all(abs(n - a) < DUST_E6 for n, a in zip(nets, basket.agreed, strict=True))
    return not same and not _is_full(plan, nets)


def _is_full(plan: BasketPlan, nets: Iterable[int]) -> bool:
    return all(n > leg.least_e6 - DUST_E6 for n, leg in zip(nets, plan.legs, strict=True))


# --- time


def _chase(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    if basket.state is BasketState.UNWINDING and basket.agreed is not None:
        return _await(plan, basket, event)
    if basket.waits >= plan.policy.waits_max:
        return _give_up(plan, basket, f"{basket.waits} time-outs without news")
    late = _lost(basket._replace(waits=basket.waits + 1))
    if late.state is BasketState.UNWINDING and not unresolved(late):
        if late.intended is not None:
            return Turn(late, (Wait(plan.policy.ask_ns),))
        if late.attempts >= plan.policy.attempts_max:
            return _last_resort(plan, late)
        turn = _ask_quotes(plan, late)
        ids = _unsettled_ids(late)
        return Turn(turn.basket, ((Ask(ids),) if ids else ()) + turn.actions)
    ask = Ask(unresolved(late))
    if late.state is BasketState.SENT and any(tracked.resting for tracked in late.orders):
        return _unwind(plan, late).then(ask)
    cancel = _cancel(late) if late.state is BasketState.UNWINDING else ()
    return Turn(late, (*cancel, ask, Wait(plan.policy.ask_ns)))


def _lost(basket: Basket) -> Basket:
    """Return the basket with orders that no witness has told of taken for lost."""
    sent = basket.state is BasketState.JOURNALED
    return basket._replace(
        state=BasketState.SENT if sent else basket.state,
        orders=tuple(
            move(tracked, Told.LOST) if tracked.state is LegState.PENDING else tracked
            for tracked in basket.orders
        ),
    )


def _await(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    """Ask for what is not final, as long as it takes; the operator is told once."""
    policy = plan.policy
    over = basket.waits >= policy.waits_max
    if over and unresolved(basket) and basket.state is not BasketState.STRANDED:
        return _give_up(plan, basket, "shares that no trade accounts for")
    after = basket._replace(waits=min(basket.waits + 1, policy.waits_max + 1))
    tell = (Alert(f"trades of basket {plan.id} do not become final"),)
    ids = _unsettled_ids(after)
    return Turn(
        after,
        (
            *_cancel(after),
            *((Ask(ids),) if ids else ()),
            *(tell if basket.waits == policy.waits_max else ()),
            Wait(policy.settle_ns),
        ),
    )


def _unsettled_ids(basket: Basket) -> tuple[str, ...]:
    return tuple(tracked.order.id for tracked in basket.orders if not tracked.settled)


# --- when something is wrong


def _resume(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    """Take up what another process left."""
    journaled = basket.state is BasketState.JOURNALED
    after = basket._replace(
        state=BasketState.SENT if journaled else basket.state,
        orders=tuple(move(tracked, Told.RESTARTED) for tracked in basket.orders),
        quoting=False,
        intended=None,
        waits=0,
    )
    actions: tuple[Action, ...] = ()
    if after.state is BasketState.STRANDED:
        actions = (Trip(TripReason.STRANDED), Alert(f"basket {plan.id} is stranded still"))
    ids = _unsettled_ids(after)
    ask = (Ask(ids),) if ids else ()
    return _proceed(plan, Turn(after, (*actions, *ask, Wait(plan.policy.ask_ns))))


def _reduce(plan: BasketPlan, basket: Basket, _: Event) -> Turn:
    after = basket._replace(halted=True)
    if basket.state is BasketState.SENT:
        return _sent(plan, after)
    return Turn(after)


def _shrink(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    assert isinstance(event, ReserveRefused)
    return Turn(basket._replace(held_e6=max(0, basket.held_e6 - event.cash_e6)))


def _give_up(plan: BasketPlan, basket: Basket, reason: str) -> Turn:
    turn = _strand(plan, basket, GaveUp(reason))
    return Turn(turn.basket, (Journal(GaveUp(reason)), *turn.actions))


def _strand(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    """Stop trading, tell the operator, and go on watching what there is."""
    assert isinstance(event, GaveUp | JournalRefused)
    after = basket._replace(
        state=BasketState.STRANDED, agreed=None, quoting=False, intended=None, waits=0
    )
    text = f"basket {plan.id} is stranded: {event.reason}"
    turn = Turn(after, (Trip(TripReason.STRANDED), Alert(text), *_cancel(after)))
    rest = _stranded(plan, after)
    return Turn(rest.basket, (*turn.actions, *rest.actions, Wait(plan.policy.settle_ns)))


def _stranded(plan: BasketPlan, basket: Basket) -> Turn:
    """Give back the cash when nothing can spend it; close if it came right by itself."""
    if unresolved(basket):
        return Turn(basket)
    release = (Release(basket.held_e6),) if basket.held_e6 else ()
    turn = Turn(basket._replace(held_e6=0), release)
    holding = holding_of(plan, basket)
    right = is_whole(plan, holding.nets_e6) or _is_full(plan, holding.nets_e6)
    settled = all(tracked.settled for tracked in basket.orders)
    if right and settled and loss_e6(plan, holding) <= plan.loss_cap_e6:
        closed = _close(plan, turn.basket)
        return Turn(closed.basket, (*release, *closed.actions))
    return turn


def _ignore(_: BasketPlan, basket: Basket, __: Event) -> Turn:
    return Turn(basket)


def _stray(plan: BasketPlan, basket: Basket, event: Event) -> Turn:
    text = f"basket {plan.id} is {basket.state} and was told {type(event).__name__}"
    return Turn(basket, (Trip(TripReason.STRAY), Alert(text)))


_HOLDING: Final = frozenset(
    {BasketState.JOURNALED, BasketState.SENT, BasketState.COMPLETE, BasketState.UNWINDING}
)

_STEPS: Final[dict[Step, Callable[[BasketPlan, Basket, Event], Turn]]] = {
    Step.RESERVE: _reserve,
    Step.PREPARE: _prepare,
    Step.SEND: _send,
    Step.SEND_ROUND: _send_round,
    Step.WITHDRAW: _withdraw,
    Step.BLOCK: _block,
    Step.RETURN: _return,
    Step.LEARN: _learn,
    Step.SHRINK: _shrink,
    Step.CHASE: _chase,
    Step.AWAIT: _await,
    Step.CHOOSE: _choose,
    Step.RESUME: _resume,
    Step.REDUCE: _reduce,
    Step.STRAND: _strand,
    Step.IGNORE: _ignore,
    Step.STRAY: _stray,
}
