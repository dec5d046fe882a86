"""Plans spend nothing twice, destroy no more than they say, and free all the cash there is."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from reference.settlement import most_cash, worth
from settlerig import DAY_MS, NOW_MS, UNIT, Purse, group_id, market

from polyarb.domain.settlement import Convert, Merge, Step
from polyarb.execution.settle import Group, Holding, Plan, Realise, Terms, plan

AMOUNTS = st.integers(0, 5) | st.integers(0, 10**12)
REALISE = st.sampled_from(Realise)


@st.composite
def groups_of_holdings(draw: st.DrawFn) -> tuple[list[Holding], dict[str, Group]]:
    """Return up to three neg-risk groups, of which not every market is held, and plain markets."""
    held, groups, number = [], {}, 100
    for place in range(draw(st.integers(0, 3))):
        count = draw(st.integers(2, 7))
        groups[group_id(place)] = Group(
            fee_bips=draw(st.sampled_from([0, 0, 1, 100, 999])),
            question_count=count,
            resolved=draw(st.integers(0, 9)) == 0,
        )
        for index in draw(st.sets(st.integers(0, count - 1))):
            number += 1
            made = market(
                number,
                group=place,
                question_index=index,
                end_ms=draw(st.none() | st.integers(-5, 400).map(lambda d: NOW_MS + d * DAY_MS)),
            )
            held.append(draw(holding(made, st.none())))
    for number in range(draw(st.integers(0, 3))):
        made = market(number, v3=draw(st.booleans()))
        held.append(draw(holding(made, st.sampled_from([None, 0, 5_000, 10_000]))))
    return held, groups


@st.composite
def holding(draw: st.DrawFn, made, pays: st.SearchStrategy[int | None]) -> Holding:
    return Holding(market=made, yes_e6=draw(AMOUNTS), no_e6=draw(AMOUNTS), pays_e4=draw(pays))


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    return Terms(
        realise=draw(REALISE),
        daily_e6=draw(st.sampled_from([0, 10, 1_000, 50_000])),
        min_freed_e6=draw(st.sampled_from([1, 3, UNIT])),
        load_max=draw(st.integers(1, 30)),
    )


def ask(purse: Purse, chosen: Terms, pending: Sequence[Step] = ()) -> Plan:
    return plan(purse.holdings(), purse.groups, now_ms=NOW_MS, terms=chosen, pending=pending)


@given(groups_of_holdings(), terms())
@settings(max_examples=200, deadline=None)
def test_a_plan_is_covered_and_costs_no_more_than_it_says(given_, chosen):
    """Everything it lists can happen together, and in every outcome the wallet is worth as much."""
    purse = Purse(*given_)
    found = ask(purse, chosen)
    for priced in (*found.batch, *found.later):
        before_cash, before = purse.cash_e6, worths(purse, priced.step)
        purse.do(priced.step)  # asserts that it is covered
        assert purse.cash_e6 - before_cash >= priced.freed_e6 > 0
        assert priced.cost_e6 >= 0
        for worth_e6, was_e6 in zip(worths(purse, priced.step), before, strict=True):
            assert worth_e6 + priced.cost_e6 >= was_e6
            assert priced.cost_e6 or worth_e6 == was_e6


def worths(purse: Purse, step: Step) -> list[int]:
    """Return what cash and the tokens that a step may touch are worth, in each outcome."""
    touched = [
        each
        for each in purse.held
        if getattr(step, "condition_id", "") == each.market.condition_id
        or getattr(step, "neg_risk_id", "") == each.market.neg_risk_id != ""
    ]
    name = touched[0].market.neg_risk_id
    if name:
        return [purse.worth_e6(name, place) for place in range(purse.groups[name].question_count)]
    (each,) = touched
    yes_e6, no_e6 = (purse.tokens[token] for token in each.market.tokens)
    rates = (0, 10_000) if each.pays_e4 is None else (each.pays_e4,)
    return [
        purse.cash_e6 + yes_e6 * rate // 10_000 + no_e6 * (10_000 - rate) // 10_000
        for rate in rates
    ]


@given(groups_of_holdings(), terms(), st.data())
@settings(max_examples=150, deadline=None)
def test_no_token_is_planned_twice_while_some_of_it_is_pending(given_, chosen, data):
    """Whatever part of an earlier plan is under way, all of it and the new plan are covered."""
    purse = Purse(*given_)
    first = ask(purse, chosen)
    steps = [priced.step for priced in (*first.batch, *first.later)]
    pending = [step for step in steps if data.draw(st.booleans())]
    second = ask(purse, chosen, pending)
    again = [priced.step for priced in (*second.batch, *second.later)]
    for step in data.draw(st.permutations([*pending, *again])):
        purse.do(step)


@given(groups_of_holdings(), terms())
@settings(max_examples=200, deadline=None)
def test_plan_after_plan_comes_to_an_end(given_, chosen):
    purse = Purse(*given_)
    for _ in range(100):
        found = ask(purse, chosen)
        if not found.batch:
            break
        for step in found.steps:
            purse.do(step)
    assert found.batch == found.later == ()


@given(groups_of_holdings(), terms())
def test_batches_hold_every_step_once_and_within_their_bound(given_, chosen):
    purse = Purse(*given_)
    found = ask(purse, chosen)
    load = sum(priced.load for priced in found.batch)
    assert load <= chosen.load_max or len(found.batch) == 1
    ranks = [priced.per_day_e6 for priced in found.batch]
    assert ranks == sorted(ranks, reverse=True)
    listed = [priced.step for priced in (*found.batch, *found.later)]
    assert max(Counter(listed).values(), default=1) == 1
    assert ask(purse, chosen) == found


@given(groups_of_holdings(), terms())
def test_to_hold_touches_no_open_market(given_, chosen):
    purse = Purse(*given_)
    held = Terms(realise=Realise.HOLD, min_freed_e6=chosen.min_freed_e6)
    found = ask(purse, held)
    assert not any(isinstance(p.step, Merge | Convert) for p in (*found.batch, *found.later))


COUNTS = st.integers(1, 3).flatmap(
    lambda n: st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * n)
)


@given(COUNTS)
@settings(max_examples=150, deadline=None)
def test_all_the_cash_there_is_comes_out(counts):
    """No order of merges and conversions frees more than the plans do; tried one by one."""
    group = {group_id(0): Group(fee_bips=0, question_count=max(len(counts), 2))}
    held = [
        Holding(market=market(n, group=0), yes_e6=yes * UNIT, no_e6=no * UNIT)
        for n, (yes, no) in enumerate(counts)
    ]
    purse = Purse(held, group)
    while steps := ask(purse, Terms()).steps:
        for step in steps:
            purse.do(step)
    yes, no = zip(*counts, *[(0, 0)] * (2 - len(counts)), strict=True)
    assert purse.cash_e6 == most_cash(yes, no) * UNIT


def test_the_twin_keeps_what_everything_is_worth():
    """One of each: 1 by the pair, and nothing more by converting it."""
    assert most_cash((1, 0), (1, 0)) == 1
    assert most_cash((0, 0, 0), (1, 1, 1)) == 2
    assert [worth(winner, 2, (1, 0), (0, 3)) for winner in (0, 1)] == [6, 2]
