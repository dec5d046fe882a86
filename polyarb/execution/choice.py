"""
A basket that is not whole sets: buy what is missing, sell what is too much, or hold it.

Everything is judged by the worst that can come of it. What is not part of a whole set counts as
worthless, since in some outcome it is; a whole set counts as its least payoff.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polyarb.domain.basket import DUST_E6, UNIT_E6, BasketPlan, LegPlan, Purpose
from polyarb.domain.order import Side
from polyarb.execution.events import Book
from polyarb.execution.pricing import Priced, price_buy, price_sell


@dataclass(frozen=True, slots=True)
class Holding:
    """
    What a basket has.

    Attributes:
        nets_e6: Shares of each leg, in the leg's direction: bought less sold of a BUY leg.
        spent_e6: Cash paid less cash received, fees included.
    """

    nets_e6: tuple[int, ...]
    spent_e6: int


@dataclass(frozen=True, slots=True)
class Option:
    """
    Something to do about a holding.

    Attributes:
        orders: None of them: hold what there is.
        loss_e6: What is lost at the quoted prices.
        worst_e6: What can be lost at most, whichever of the orders are filled, unless holding
            is worse.
    """

    orders: tuple[Priced, ...]
    loss_e6: int
    worst_e6: int


def whole_sets_e6(plan: BasketPlan, nets_e6: Sequence[int]) -> int:
    """Return how many sets the shares make up."""
    return max(0, min(n // leg.weight for n, leg in zip(nets_e6, plan.legs, strict=True)))


def is_whole(plan: BasketPlan, nets_e6: Sequence[int]) -> bool:
    """Whether nothing of a leg is left over or owed that could be traded."""
    sets = whole_sets_e6(plan, nets_e6)
    return all(
        abs(net - leg.weight * sets) < DUST_E6 for net, leg in zip(nets_e6, plan.legs, strict=True)
    )


def loss_e6(plan: BasketPlan, holding: Holding) -> int:
    """
    Return what the holding loses in the worst outcome; below 0 it is a profit.

    A share sold out of inventory might have paid a dollar; a share owed may cost one.
    """
    given = sum(_at_risk(leg, n) for n, leg in zip(holding.nets_e6, plan.legs, strict=True))
    payoff = plan.payoff_e6 * whole_sets_e6(plan, holding.nets_e6) // UNIT_E6
    return holding.spent_e6 + given - payoff


def choose(
    plan: BasketPlan,
    holding: Holding,
    books: Sequence[Book | None],
    *,
    cash_e6: int,
    buy: bool,
    barred: frozenset[int] = frozenset(),
) -> Option | None:
    """
    Return what costs least inside the plan's loss cap; None where nothing has a price that is.

    Args:
        plan: Of the basket.
        holding: What it has; none of its orders may trade any more.
        books: Of the legs; None for one that cannot be trusted now.
        cash_e6: What BUY orders may spend.
        buy: False: only reduce.
        barred: Legs of which an order may arrive yet: bought again they could be bought twice.
    """
    hold = loss_e6(plan, holding)
    bound = max(plan.loss_cap_e6, hold)
    options = [
        option
        for orders in _candidates(plan, holding.nets_e6, books)
        if _allowed(orders, cash_e6, buy, barred)
        and (option := _judged(plan, holding, orders)).worst_e6 <= bound
        and _ends_inside(plan, holding, orders)
    ]
    if not options:
        return None
    best = min(options, key=lambda option: (option.loss_e6, len(option.orders)))
    if hold <= min(best.loss_e6, plan.loss_cap_e6):
        return Option((), hold, hold)
    return best


def _at_risk(leg: LegPlan, net_e6: int) -> int:
    return max(0, net_e6 if leg.side is Side.SELL else -net_e6)


def _candidates(
    plan: BasketPlan, nets: Sequence[int], books: Sequence[Book | None]
) -> Iterator[tuple[Priced, ...]]:
    """Yield the orders towards every count of sets that is worth a thought."""
    down = whole_sets_e6(plan, nets)
    for target in {0, down}:
        orders = [
            order
            for index, leg in enumerate(plan.legs)
            if (extra := nets[index] - leg.weight * target) >= DUST_E6
            and (order := _price(plan, index, books, away=True, shares=extra))
        ]
        if orders:
            yield tuple(orders)
    for target in _targets_up(plan, nets, books, down):
        missing = {
            index: short
            for index, leg in enumerate(plan.legs)
            if (short := leg.weight * target - nets[index]) >= DUST_E6
        }
        bought = [_price(plan, i, books, away=False, shares=s) for i, s in missing.items()]
        if bought and None not in bought:
            yield tuple(order for order in bought if order)


def _targets_up(
    plan: BasketPlan, nets: Sequence[int], books: Sequence[Book | None], down: int
) -> set[int]:
    """Return the counts of sets that completing may aim at: what is held, what was planned."""
    most = max(-(-n // leg.weight) for n, leg in zip(nets, plan.legs, strict=True))
    within = min((nets[i] + _depth(leg, books[i])) // leg.weight for i, leg in enumerate(plan.legs))
    wanted = {min(most, plan.sets_e6, within), min(plan.sets_e6, within)}
    return {target for target in wanted if target > down}


def _depth(leg: LegPlan, book: Book | None) -> int:
    if book is None:
        return 0
    return sum(size for _, size in (book.asks if leg.side is Side.BUY else book.bids))


def _price(
    plan: BasketPlan, index: int, books: Sequence[Book | None], *, away: bool, shares: int
) -> Priced | None:
    leg, book = plan.legs[index], books[index]
    if book is None:
        return None
    purpose = Purpose.UNWIND if away else Purpose.COMPLETION
    buy = (leg.side is Side.SELL) is away
    levels = book.asks if buy else book.bids
    price = price_buy if buy else price_sell
    return price(leg, levels, shares, index=index, purpose=purpose, slippage=plan.slippage_ticks)


def _allowed(orders: Sequence[Priced], cash_e6: int, buy: bool, barred: frozenset[int]) -> bool:
    completed = {one.order.leg for one in orders if one.order.purpose is Purpose.COMPLETION}
    if completed & barred or (completed and not buy):
        return False
    return sum(max(0, priced.bound_e6) for priced in orders) <= cash_e6


def _judged(plan: BasketPlan, holding: Holding, orders: tuple[Priced, ...]) -> Option:
    """
    Return the option with the worst over every way in which its orders may be filled.

    The loss is convex in what is filled, so the worst is at an end: each order filled whole or
    not at all. Of those it is enough to look at all, one alone, and all but one. A purchase that
    is not filled leaves its leg to limit the sets, and of the ends that agree in the limiting
    leg the one that spends most has all others filled. A sale that is filled limits the sets to
    what its leg has left, and of the ends that agree in that leg the one that brings least has
    no other.
    """
    every = range(len(orders))
    ends = [set(every), *({i} for i in every), *(set(every) - {i} for i in every)]
    worst = max(
        loss_e6(plan, _after(plan, holding, [orders[i] for i in end], quoted=False))
        for end in ends
        if end
    )
    return Option(orders, loss_e6(plan, _after(plan, holding, orders, quoted=True)), worst)


def _ends_inside(plan: BasketPlan, holding: Holding, orders: tuple[Priced, ...]) -> bool:
    """
    Whether it gets the loss below the cap, filled whole and as often as it takes.

    What a thin book leaves over of an unwind counts at the order's limit: the next one tries it.
    """
    after = _after(plan, holding, orders, quoted=False)
    sets = whole_sets_e6(plan, after.nets_e6)
    left = 0
    for priced in orders:
        leg = plan.legs[priced.order.leg]
        if priced.order.purpose is Purpose.UNWIND and leg.side is Side.BUY:
            extra = after.nets_e6[priced.order.leg] - leg.weight * sets
            left += max(0, -priced.bound_e6 * extra // priced.order.shares_e6)
    return loss_e6(plan, after) - left <= plan.loss_cap_e6


def _after(
    plan: BasketPlan, holding: Holding, orders: Sequence[Priced], *, quoted: bool
) -> Holding:
    nets, spent = list(holding.nets_e6), holding.spent_e6
    for priced in orders:
        leg = priced.order.leg
        shares = priced.shares_e6 if quoted else priced.order.shares_e6
        nets[leg] += shares if priced.order.side is plan.legs[leg].side else -shares
        spent += priced.cost_e6 if quoted else priced.bound_e6
    return Holding(tuple(nets), spent)
