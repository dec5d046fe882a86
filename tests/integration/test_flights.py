"""
Random baskets through random faults and restarts, in virtual time; every promise is held to.

After each world the trade journal, the exchange's ledger and the account must tell the same story.
``POLYARB_FLIGHT_WORLDS`` says how many worlds are tried (each has a handful of baskets), and
``POLYARB_FLIGHT_SEED`` which is the first; a failure names its own.
"""

import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from flights import World

from polyarb.control.ledger import baskets
from polyarb.domain.basket import BasketState, Outcome
from polyarb.domain.order import OrderType
from polyarb.execution.choice import loss_e6
from polyarb.execution.machine import recover
from polyarb.journal import record
from polyarb.journal.follower import Follower

WORLDS = int(os.environ.get("POLYARB_FLIGHT_WORLDS", "150"))
FIRST = int(os.environ.get("POLYARB_FLIGHT_SEED", "1"))

ORDERS = {"path": "POST /orders"}
FAULTS: dict[str, dict[str, Any]] = {
    "response_lost": {"match": ORDERS, "probability": 0.5},
    "request_lost": {"match": ORDERS, "probability": 0.5},
    "accepted_then_500": {"match": ORDERS, "probability": 0.5},
    "reset_mid_response": {"match": ORDERS, "probability": 0.5},
    "truncated_body": {"match": ORDERS, "probability": 0.5},
    "html_error": {"match": ORDERS, "probability": 0.3},
    "error": {"probability": 0.2},
    "slow": {"probability": 0.3},
    "too_many_requests": {"count": 4},
    "order_timed_out": {"probability": 0.5},
    "order_body_error": {"probability": 0.5},
    "leg_refused": {"probability": 0.4},
    "leg_partial": {"probability": 0.4},
    "delayed_unmatched": {"probability": 0.5},
    "trade_failed": {"probability": 0.3},
    "trade_retrying": {"probability": 0.5},
    "user_event_missing": {"probability": 0.5},
    "user_event_twice": {"probability": 0.5},
    "user_events_reordered": {"probability": 0.5},
    "user_event_early": {"probability": 0.5},
    "abort_1006": {},
    "restart": {},
    "lagging_balance": {},
}
AT_ONCE = {"abort_1006", "restart"}


def planned(world: World, random: Random) -> None:
    """Plan a few baskets of every style, faults, and perhaps restarts, all at random times."""
    for name in random.sample(sorted(FAULTS), random.choice((0, 1, 1, 2, 3))):
        lasts = {} if name in AT_ONCE else {"for_s": random.uniform(1, 30)}
        world.rig.fault(
            name, **FAULTS[name], at_s=random.choice((0, random.uniform(0, 2))), **lasts
        )
    markets = world.rig.markets
    for _ in range(random.randint(1, 5)):
        one, other = random.sample(markets, 2)
        legs = [(one, 0), (one, 1)] + [(other, random.randrange(2))] * random.randrange(2)
        style = random.choice((OrderType.FAK, OrderType.FAK, OrderType.FOK, OrderType.GTC))
        sets_e6 = random.randrange(500, 3_000) * 10_000
        share = random.choice((None, None, 5, 20))
        wait_s = random.uniform(0, 3)

        def submit(
            legs: Any = legs, sets: int = sets_e6, style: Any = style, share: Any = share
        ) -> None:
            plan = world.plan(legs, sets, style=style)
            if plan is not None and share:
                spend = sum(leg.cost_e6 for leg in plan.legs)
                plan = world.capped(plan, spend * share // 100)
            if plan is not None:
                world.submit(plan)

        world.at(wait_s, submit)
    for _ in range(random.choice((0, 0, 1, 2))):
        world.at(random.uniform(0, 4), world.restart)


def check(world: World) -> Counter[str]:
    """Hold the journal against the exchange and the account; return what became of baskets."""
    venue, wallet = world.rig.venue, world.wallet
    venue.ledger.check(venue.catalog.events)
    with Follower(world.folder) as follower:
        entries = follower.read(1 << 20)
    found = baskets(entries)
    machines = {name: recover(each.plan, each.events) for name, each in found.items()}
    stranded = [m for m in machines.values() if m.basket.state is BasketState.STRANDED]
    assert bool(stranded) <= world.tripped, "stranded, and the breaker let it be"

    # Nothing was sent that is not in the journal, and nothing twice.
    ids = [
        leg.order_id
        for e in entries
        if isinstance(e.record, record.Intent)
        for leg in e.record.legs
    ]
    assert len(ids) == len(set(ids))
    ours = {order.id for order in venue.orders.values() if order.owner == world.rig.client.owner}
    assert ours <= set(ids), "orders that nobody recorded"

    states = world.states()
    for name, machine in machines.items():
        basket, plan = machine.basket, machine.plan
        # A decision to hold what there is leaves no fact: the end is on record by itself.
        if states.get(name, BasketState.CLOSED) is BasketState.CLOSED:
            assert found[name].closed or basket.state is BasketState.CLOSED, name
            assert loss_e6(plan, machine.holding) <= plan.loss_cap_e6, name
            assert not machine.open_ids
        else:
            assert basket.state is BasketState.STRANDED, (name, basket.state)
    if not stranded:
        assert not wallet.orders, "orders rest"
        _same_tokens(world, machines)
        _same_cash(world, machines)
        assert world.life.account.balance.snapshot().held_e6 == 0
    outcomes = Counter(result.outcome for result in world.results.values())
    outcomes.update(Outcome.STRANDED for _ in stranded)
    return Counter({str(outcome): count for outcome, count in outcomes.items()})


def _same_tokens(world: World, machines: Any) -> None:
    told: Counter[str] = Counter()
    for machine in machines.values():
        for leg, net_e6 in zip(machine.plan.legs, machine.holding.nets_e6, strict=True):
            told[leg.token] += net_e6
    held = Counter(world.wallet.positions)
    for token in told | held:
        assert told[token] == held[token], token


def _same_cash(world: World, machines: Any) -> None:
    told = sum(machine.holding.spent_e6 for machine in machines.values())
    fees = sum(
        trade.fee_e6
        for machine in machines.values()
        for tracked in machine.basket.orders
        for trade in tracked.trades
    )
    spent = world.begun_e6 - world.wallet.cash_e6
    # Fees are bounded, not known, and each fill's cash was rounded against us.
    assert spent <= told <= spent + fees + 10 * len(machines), (spent, told, fees)


@pytest.mark.parametrize("part", range(10))
def test_no_basket_is_lost_whatever_the_world_does(part: int, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(FIRST + part, FIRST + WORLDS, 10):
        random = Random(seed)
        world = World(tmp_path / f"{seed}" / "journal", seed)
        try:
            planned(world, random)
            world.play()
            outcomes += check(world)
        except BaseException as error:
            error.add_note(f"POLYARB_FLIGHT_SEED={seed} POLYARB_FLIGHT_WORLDS=1")
            raise
    print(dict(outcomes))
    assert outcomes["complete"] > 0
