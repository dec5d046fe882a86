"""What to merge, convert and redeem: the identities, their price per day, and what is in flight."""

import pytest
from settlerig import DAY_MS, NOW_MS, UNIT, event, group_id, market

from polyarb.domain.market import LeftOut, Refusal
from polyarb.domain.settlement import Convert, Merge, Redeem
from polyarb.errors import RangeError
from polyarb.execution.settle import (
    Group,
    Held,
    Holding,
    Plan,
    Realise,
    Reason,
    Result,
    Settler,
    Terms,
    group_of,
    plan,
    subject,
)

GROUP = group_id(0)
FREE_GROUP = {GROUP: Group(fee_bips=0, question_count=3)}


def hold(number=0, yes=0, no=0, pays_e4=None, **changes) -> Holding:
    return Holding(
        market=market(number, **changes), yes_e6=yes * UNIT, no_e6=no * UNIT, pays_e4=pays_e4
    )


def ask(*holdings: Holding, groups=FREE_GROUP, **named) -> Plan:
    return plan(holdings, groups, now_ms=NOW_MS, **named)


def merge(number: int, amount: int, **changes) -> Merge:
    made = market(number, **changes)
    return Merge(
        condition_id=made.condition_id,
        neg_risk=made.neg_risk,
        v3=made.v3,
        amount_e6=amount * UNIT,
    )


def convert(index_set: int, amount: int) -> Convert:
    return Convert(neg_risk_id=GROUP, index_set=index_set, amount_e6=amount * UNIT)


def redeem(number: int, yes: int, no: int, **changes) -> Redeem:
    made = market(number, **changes)
    return Redeem(
        condition_id=made.condition_id,
        neg_risk=made.neg_risk,
        v3=made.v3,
        amounts_e6=(yes * UNIT, no * UNIT),
    )


# What there is to do


def test_nothing_is_nothing():
    assert ask() == Plan()
    assert ask(hold(0), hold(1, yes=5), hold(2, no=5)) == Plan()


@pytest.mark.parametrize("changes", [{}, {"group": 0}, {"v3": True}])
def test_pairs_are_merged(changes):
    found = ask(hold(1, yes=8, no=5, **changes))
    assert found.steps == (merge(1, 5, **changes),)
    assert (found.batch[0].freed_e6, found.batch[0].cost_e6) == (5 * UNIT, 0)


def test_no_of_two_markets_is_converted():
    found = ask(hold(0, no=10, group=0), hold(2, no=10, group=0))
    assert found.steps == (convert(0b101, 10),)
    assert found.batch[0].freed_e6 == 10 * UNIT


def test_no_of_all_markets_is_all_but_one_in_cash():
    found = ask(*(hold(n, no=10, group=0) for n in range(3)))
    assert found.steps == (convert(0b111, 10),)
    assert found.batch[0].freed_e6 == 20 * UNIT


def test_unequal_amounts_of_no_are_converted_in_layers():
    found = ask(hold(0, no=10, group=0), hold(1, no=30, group=0), hold(2, no=20, group=0))
    assert set(found.steps) == {convert(0b111, 10), convert(0b110, 10)}
    assert sum(priced.freed_e6 for priced in found.batch) == 30 * UNIT


def test_pairs_are_merged_before_the_rest_is_converted():
    found = ask(hold(0, yes=4, no=10, group=0), hold(1, no=6, group=0))
    assert set(found.steps) == {merge(0, 4, group=0), convert(0b11, 6)}


def test_no_of_one_market_alone_frees_nothing():
    assert ask(hold(0, no=10, group=0)).steps == ()


def test_no_of_different_groups_or_of_none_does_not_convert():
    groups = {**FREE_GROUP, group_id(1): Group(fee_bips=0, question_count=3)}
    assert ask(hold(0, no=9, group=0), hold(1, no=9, group=1), groups=groups).steps == ()
    assert ask(hold(0, no=9), hold(1, no=9)).steps == ()


def test_v3_markets_do_not_convert():
    assert ask(hold(0, no=9, group=0, v3=True), hold(1, no=9, group=0, v3=True)).steps == ()


@pytest.mark.parametrize(
    ("pays_e4", "freed"), [(10_000, 7 * UNIT), (0, 4 * UNIT), (5_000, 5_500_000)]
)
def test_a_resolved_market_is_redeemed_for_what_it_pays(pays_e4, freed):
    found = ask(hold(0, yes=7, no=4, pays_e4=pays_e4))
    assert found.steps == (redeem(0, 7, 4),)
    assert found.batch[0].freed_e6 == freed


def test_half_a_millionth_is_not_counted_on():
    one = Holding(market=market(0), yes_e6=3_000_001, no_e6=1, pays_e4=5_000)
    assert ask(one).batch[0].freed_e6 == 1_500_000


def test_tokens_that_pay_nothing_stay_where_they_are():
    assert ask(hold(0, no=7, pays_e4=10_000)) == Plan()


def test_a_group_with_a_resolved_market_does_not_convert():
    rows = [hold(0, yes=3, pays_e4=10_000, group=0), hold(1, no=9, group=0), hold(2, no=9, group=0)]
    found = ask(*rows)
    assert found.steps == (redeem(0, 3, 0, group=0),)
    assert found.held == (Held(f"convert {GROUP}", Reason.RESOLVING),)
    told = {GROUP: Group(fee_bips=0, question_count=3, resolved=True)}
    assert ask(*rows[1:], groups=told).held == (Held(f"convert {GROUP}", Reason.RESOLVING),)


def test_a_group_that_is_not_known_does_not_convert():
    found = ask(hold(0, no=9, group=0), hold(1, no=9, group=0), groups={})
    assert found == Plan(held=(Held(f"convert {GROUP}", Reason.UNKNOWN_FEE),))


def test_a_group_counts_the_markets_that_cannot_be_traded():
    made = group_of(event([market(n, group=0) for n in range(3)], fee_bips=7, left_out=2))
    assert made == Group(fee_bips=7, question_count=5)
    gone = LeftOut(condition_id="", question_index=9, reason=Refusal.RESOLVED, yes_pays_e4=0)
    base = event([market(0, group=0)])
    assert group_of(
        type(base)(**{n: getattr(base, n) for n in base.__slots__} | {"left_out": (gone,)})
    ).resolved


# What it is worth


def fee(bips: int, count: int = 3) -> dict[str, Group]:
    return {GROUP: Group(fee_bips=bips, question_count=count)}


def both(days: int | None) -> list[Holding]:
    end_ms = None if days is None else NOW_MS + days * DAY_MS
    return [hold(n, no=100, group=0, end_ms=end_ms) for n in (0, 1)]


def test_a_fee_is_worth_it_only_if_the_wait_is_long():
    """100 NO twice: 99 are free for a fee of 1 that costs at most 2; 0.1% a day is 0.099."""
    terms = Terms(daily_e6=1_000)
    soon, late = (ask(*both(d), groups=fee(100), terms=terms) for d in (19, 20))
    assert (soon.steps, soon.held) == ((), (Held(f"convert {GROUP}", Reason.RETURN),))
    (step,) = late.batch
    assert (step.freed_e6, step.cost_e6) == (99 * UNIT, 2 * UNIT)
    assert step.per_day_e6 == 99_000 - -(-2 * UNIT // 21) == 3_761


def test_the_first_market_to_end_decides_how_long_a_conversion_saves():
    rows = [
        hold(0, no=100, group=0, end_ms=NOW_MS + 300 * DAY_MS),
        hold(1, no=100, group=0, end_ms=NOW_MS),
    ]
    assert ask(*rows, groups=fee(100)).held == (Held(f"convert {GROUP}", Reason.RETURN),)


def test_no_of_all_markets_costs_only_collateral():
    rows = [hold(n, no=100, group=0) for n in range(2)]
    (step,) = ask(*rows, groups=fee(100, count=2), terms=Terms(realise=Realise.MERGE)).batch
    assert (step.freed_e6, step.cost_e6) == (99 * UNIT, UNIT)


def test_a_fee_is_rounded_against_us():
    rows = [Holding(market=market(n, group=0), yes_e6=0, no_e6=5 * UNIT + 1) for n in (0, 1)]
    (step,) = ask(*rows, groups=fee(1), terms=Terms(realise=Realise.MERGE)).batch
    assert (step.freed_e6, step.cost_e6) == (5 * UNIT + 1 - 501, 2 * 501)


def test_a_wait_of_unknown_length_pays_for_no_fee():
    assert ask(*both(None), groups=fee(100)).steps == ()
    assert ask(*both(None), groups=fee(0)).steps != ()


def test_an_end_that_has_passed_still_waits_for_its_resolution():
    assert ask(*both(-5), groups=fee(0)).steps != ()
    terms = Terms(resolve_ms=30 * DAY_MS)
    assert ask(*both(-5), groups=fee(100), terms=terms).steps != ()


def test_cash_that_returns_nothing_is_not_fetched_early():
    rows = [hold(0, yes=5, no=5), hold(1, yes=5, pays_e4=10_000)]
    found = ask(*rows, terms=Terms(daily_e6=0))
    assert found.steps == (redeem(1, 5, 0),)
    assert found.held == (Held(subject(merge(0, 5)), Reason.RETURN),)


def test_to_hold_is_to_redeem_only():
    rows = [hold(0, yes=5, no=5), hold(1, yes=5, pays_e4=10_000)]
    found = ask(*rows, terms=Terms(realise=Realise.HOLD))
    assert found.steps == (redeem(1, 5, 0),)
    assert found.held == (Held(subject(merge(0, 5)), Reason.ORDERED),)


def test_to_merge_is_to_convert_at_any_fee():
    assert ask(*both(0), groups=fee(500), terms=Terms(realise=Realise.MERGE)).steps != ()


def test_dust_is_left_alone():
    small = Holding(market=market(0), yes_e6=UNIT - 1, no_e6=UNIT)
    assert ask(small) == Plan(held=(Held(f"merge {market(0).condition_id}", Reason.DUST),))
    assert ask(small, terms=Terms(min_freed_e6=1)).steps != ()


@pytest.mark.parametrize(
    "name", ["daily_e6", "resolve_ms", "unknown_ms", "min_freed_e6", "load_max", "rest_ms"]
)
def test_terms_that_make_no_sense_are_refused(name):
    with pytest.raises(RangeError, match=f"{name} -1 is below"):
        Terms(**{name: -1})


# How it is sent


def test_the_best_come_first_and_a_batch_has_a_bound():
    rows = [hold(n, yes=n, no=n) for n in range(1, 8)]
    found = ask(*rows, terms=Terms(load_max=3))
    assert [step.amount_e6 // UNIT for step in found.steps] == [7, 6, 5]
    assert [priced.step.amount_e6 // UNIT for priced in found.later] == [4, 3, 2, 1]


def test_a_conversion_of_a_large_group_takes_more_of_a_batch():
    groups = {GROUP: Group(fee_bips=0, question_count=40)}
    rows = [hold(0, no=50, group=0), hold(1, no=50, group=0), hold(5, yes=9, no=9)]
    found = ask(*rows, groups=groups, terms=Terms(load_max=11))
    assert found.steps == (convert(0b11, 50),)
    assert found.batch[0].load == 11
    assert len(found.later) == 1


def test_a_step_above_the_bound_goes_alone():
    groups = {GROUP: Group(fee_bips=0, question_count=250)}
    rows = [hold(0, no=50, group=0), hold(1, no=50, group=0), hold(5, yes=9, no=9)]
    assert len(ask(*rows, groups=groups).batch) == 1


def test_what_may_not_be_sent_now_is_for_later():
    found = ask(hold(0, yes=5, no=5), may_send=False)
    assert found.batch == ()
    assert [priced.step for priced in found.later] == [merge(0, 5)]


# What is in flight


def test_what_a_pending_step_takes_is_not_planned_with():
    rows = [hold(0, yes=10, no=15, group=0), hold(1, no=15, group=0)]
    found = ask(*rows, pending=[merge(0, 4, group=0), convert(0b11, 5)])
    # 15 NO less 4 less 5 leave 6 pairs, and nothing to convert them with but 10 of the second.
    assert found.steps == (merge(0, 6, group=0),)


def test_a_pending_step_may_take_more_than_balances_still_show():
    assert ask(hold(0, yes=3, no=3), pending=[merge(0, 5)]).steps == ()


def test_a_redemption_waits_for_what_is_pending_on_its_market():
    row = hold(0, yes=9, no=3, pays_e4=10_000)
    held = (Held(subject(redeem(0, 0, 0)), Reason.PENDING),)
    for step in (merge(0, 1), redeem(0, 9, 3)):
        assert ask(row, pending=[step]) == Plan(held=held)
    assert ask(row, pending=[merge(1, 1)]).steps == (redeem(0, 9, 3),)


def test_pending_steps_of_other_markets_and_groups_do_not_matter():
    rows = [hold(0, no=5, group=0), hold(1, no=5, group=0)]
    other = Convert(neg_risk_id=group_id(1), index_set=0b11, amount_e6=5 * UNIT)
    assert ask(*rows, pending=[other, merge(9, 5)]).steps == (convert(0b11, 5),)


# One batch after the other


class Desk:
    """A settler and its time."""

    def __init__(self, **terms) -> None:
        self.settler = Settler(Terms(**terms))
        self.now_ms = NOW_MS
        self.rows = [hold(n, yes=5 + n, no=5 + n) for n in range(3)]

    def plan(self, *, read_ms: int | None = None, left: int = 25) -> Plan:
        self.now_ms += 1
        return self.settler.plan(
            self.rows,
            FREE_GROUP,
            now_ms=self.now_ms,
            read_ms=self.now_ms if read_ms is None else read_ms,
            submissions_left=left,
        )

    def go(self, result: Result) -> int:
        """Send the next batch and end it; return how many steps it had."""
        steps = self.plan().steps
        self.settler.sent(steps)
        self.settler.ended(result, self.now_ms)
        return len(steps)


def test_one_batch_is_under_way_at_a_time():
    desk = Desk()
    desk.settler.sent(desk.plan().steps[:1])
    assert desk.settler.busy
    assert desk.plan().batch == ()
    assert len(desk.plan().later) == 2
    desk.settler.ended(Result.NOT_NOW, desk.now_ms)
    assert len(desk.plan().batch) == 3


def test_without_quota_nothing_is_sent():
    assert Desk().plan(left=0).batch == ()


@pytest.mark.parametrize("result", [Result.DONE, Result.UNSURE])
def test_what_was_spent_stays_spent_until_younger_balances_are_read(result):
    desk = Desk()
    assert desk.go(result) == 3
    ended_ms = desk.now_ms
    assert desk.plan(read_ms=ended_ms) == Plan()
    assert len(desk.settler.pending) == 3
    assert len(desk.plan(read_ms=ended_ms + 1).batch) == 3
    assert desk.settler.pending == ()


@pytest.mark.parametrize("result", [Result.FAILED, Result.NOT_NOW])
def test_what_did_not_happen_is_not_spent(result):
    desk = Desk()
    desk.go(result)
    assert desk.settler.pending == ()


def test_a_batch_that_failed_is_taken_apart_and_the_culprit_rests():
    desk = Desk(rest_ms=1_000)
    assert desk.go(Result.FAILED) == 3
    culprit = merge(2, 7)  # the best comes first, alone
    assert desk.plan().steps == (culprit,)
    assert desk.go(Result.FAILED) == 1
    assert Held(subject(culprit), Reason.RESTING) in desk.plan().held
    assert desk.go(Result.DONE) == 1
    desk.rows[1] = hold(1)
    assert desk.go(Result.DONE) == 1
    desk.rows = [*desk.rows[:2], desk.rows[2], hold(0 + 7, yes=2, no=2)]
    desk.now_ms += 1_000
    assert desk.plan().steps == (culprit,)


def test_a_step_that_fails_again_rests_twice_as_long_up_to_an_hour():
    desk = Desk(rest_ms=1_000)
    desk.rows = desk.rows[:1]
    rests = []
    for _ in range(15):
        assert desk.go(Result.FAILED) == 1
        start_ms = desk.now_ms
        while not desk.plan().batch:
            desk.now_ms += 499
        rests.append((desk.now_ms - start_ms) // 1_000)
    assert rests[:4] == [1, 2, 4, 8]
    assert rests[-1] == 3_600
    desk.go(Result.DONE)
    assert len(desk.plan().batch) == 1


def test_another_reason_makes_nobody_a_suspect():
    desk = Desk()
    desk.go(Result.NOT_NOW)
    assert desk.go(Result.NOT_NOW) == 3


def test_two_batches_at_once_are_our_own_mistake():
    desk = Desk()
    desk.settler.sent(desk.plan().steps)
    with pytest.raises(AssertionError, match="one batch"):
        desk.settler.sent(())
