"""
Trials: a world of `flights` in which everything is drawn at random, and what must be true of it.

A trial is waves of baskets. In each something goes wrong: faults of the exchange, a kill of the
engine, a clock that jumps, an operator who halts. At its end the trade journal, the exchange's
ledger and the account must tell the same story.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from flights import LIMITS, SECOND, World

from polyarb.control.ledger import baskets
from polyarb.core.account import BreakerLimits
from polyarb.domain.basket import BasketPlan, BasketState, Outcome
from polyarb.domain.order import OrderType
from polyarb.execution.choice import loss_e6
from polyarb.execution.machine import Machine, recover
from polyarb.journal import record
from polyarb.journal.follower import Follower
from polyarb.sim import scenarios
from polyarb.sim.catalog import Market
from polyarb.sim.config import VenueConfig
from polyarb.sim.mishaps import REFUSALS
from polyarb.sim.participants import PRESETS
from polyarb.sim.scenarios import CatalogueConfig, Scenario

BASKETS: Final = 60
"""Of a trial, more or less."""

ORDERS: Final = {"path": "POST /orders"}
DELETES: Final = {"path": "DELETE /orders"}
USER: Final = {"path": "/ws/user"}
Fault = tuple[str, dict[str, Any]]
REQUESTS: Final[tuple[Fault, ...]] = (
    ("response_lost", {"match": ORDERS, "probability": 0.5}),
    ("request_lost", {"match": ORDERS, "probability": 0.5}),
    ("accepted_then_500", {"match": ORDERS, "probability": 0.5}),
    ("reset_mid_response", {"match": ORDERS, "probability": 0.5}),
    ("truncated_body", {"match": ORDERS, "probability": 0.5}),
    ("html_error", {"match": ORDERS, "probability": 0.3}),
    ("error_200", {"match": ORDERS, "probability": 0.3}),
    ("slow", {"match": ORDERS, "probability": 0.5}),
    ("response_lost", {"match": DELETES, "probability": 0.5}),
    ("request_lost", {"match": DELETES, "probability": 0.5}),
    ("accepted_then_500", {"match": DELETES, "probability": 0.5}),
    ("response_lost", {"match": {"path": "*"}, "probability": 0.3}),
    ("request_lost", {"match": {"path": "*"}, "probability": 0.3}),
    ("reset_mid_response", {"probability": 0.3}),
    ("truncated_body", {"probability": 0.3}),
    ("html_error", {"probability": 0.3}),
    ("error", {"probability": 0.2}),
    ("slow", {"probability": 0.3}),
    ("too_many_requests", {"count": 4}),
    ("order_timed_out", {"probability": 0.5}),
    ("order_body_error", {"probability": 0.5}),
)
TRADES: Final[tuple[Fault, ...]] = (
    ("leg_refused", {"probability": 0.4}),
    ("leg_refused", {"match": {"leg": 0}}),
    ("leg_refused", {"match": {"leg": 1}}),
    ("leg_partial", {"probability": 0.4}),
    ("leg_partial", {"match": {"leg": 1}, "share": 0.3}),
    ("delayed_unmatched", {"probability": 0.5}),
    ("trade_failed", {"probability": 0.3}),
    ("trade_failed", {"count": 1}),
    ("trade_retrying", {"probability": 0.5}),
    ("trade_retrying", {"probability": 0.3, "end": "FAILED"}),
    ("slow_settlement", {"probability": 0.3, "seconds": 20.0}),
    ("delayed_hash", {"probability": 0.5, "seconds": 5.0}),
)
SOCKET: Final[tuple[Fault, ...]] = (
    ("user_event_missing", {"probability": 0.5}),
    ("user_event_twice", {"probability": 0.5}),
    ("user_events_reordered", {"probability": 0.5}),
    ("user_event_early", {"probability": 0.5}),
    ("frozen_feed", {"match": USER, "probability": 0.5}),
    ("duplicate_frames", {"match": USER, "probability": 0.5}),
    ("reordered_frames", {"match": USER, "probability": 0.5}),
    ("slow_feed", {"match": USER, "probability": 0.5}),
    ("malformed_frame", {"match": USER, "probability": 0.3}),
    ("truncated_frame", {"match": USER, "probability": 0.3}),
    ("stray_text", {"match": USER, "probability": 0.3}),
    ("pong_lost", {"match": USER}),
    ("abort_1006", {}),
    ("slow_consumer", {}),
    ("refused_connections", {"seconds": 3.0}),
)
EXCHANGE: Final[tuple[Fault, ...]] = (
    ("restart", {"seconds": 2.0}),
    ("restart", {"seconds": 20.0}),
    ("post_only", {}),
    ("cancel_only", {}),
    ("disabled", {}),
    ("tick_change", {}),
    ("market_closed", {}),
    ("clock_skew", {"offset_s": 2}),
    ("clock_skew", {"offset_s": 60}),
    ("lagging_balance", {}),
)
FAULTS: Final = (REQUESTS, TRADES, TRADES, TRADES, SOCKET, EXCHANGE)
AT_ONCE: Final = frozenset(
    {"abort_1006", "slow_consumer", "refused_connections", "restart", "tick_change"}
)
MODES: Final = frozenset({"post_only", "cancel_only", "disabled"})
KILL, HALT, JUMP = "kill", "halt", "clock_jump"


@dataclass
class Tally:
    """What trials came to; of several, their sum."""

    worlds: int = 0
    baskets: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count another's too."""
        self.worlds += other.worlds
        self.baskets += other.baskets
        self.outcomes += other.outcomes
        self.faults += other.faults


def fly(folder: Path, seed: int, count: int = BASKETS) -> Tally:
    """Run one trial; an error says how it is repeated."""
    try:
        random = Random(f"{seed}|trial")
        world = _world(folder, seed, random)
        trial = _Trial(world, random, count)
        world.play()
        world.at(60, world.resume)  # what is stranded may come right yet
        world.play()
        return trial.tally(check(world))
    except BaseException as error:
        error.add_note(f"seed {seed}: python -m bench.flights --seed {seed} --worlds 1")
        raise


def _world(folder: Path, seed: int, random: Random) -> World:
    """Return a venue with a market that moves a little, of any kind, and an account of any size."""
    still = scenarios.find("still")
    signature_type = random.choice((3, 3, 3, 0, 1, 2))
    old = signature_type != 3 and random.random() < 0.2  # deposit wallets have no V1 orders
    venue: VenueConfig = msgspec.structs.replace(
        still.venue,
        generation="v1" if old else "v2",
        mined_ms=random.choice((20, 20, 2_000)),
        confirmed_ms=random.choice((20, 20, 3_000)),
        user_event_ms=random.choice((1, 15)),
        refusal=random.choice(("http", "http", "body")),
        amounts=random.choice(("decimal", "decimal", "base")),
        hashes=random.random() < 0.2,
        taker_decimals=random.choice(("tick", "four")),
    )
    market = msgspec.structs.replace(
        PRESETS["still"],
        levels=random.choice((3, 6)),
        shares=random.choice((40.0, 150.0)),
        activity=random.choice((0.02, 0.02, 0.02, 0.02, 0.5)),
        news=random.choice((0.0, 0.2, 0.2, 0.2, 3.0)),
        takers=random.choice((0.0, 0.0, 1.0)),
    )
    return World(
        folder,
        seed,
        limits=_limits(random),
        scenario=Scenario(
            name="trial",
            venue=venue,
            market=market,
            catalogue=CatalogueConfig(size=random.choice((30, 30, 30, 74))),
        ),
        signature_type=signature_type,
        balance_e6=random.choice((1_500, 10_000, 100_000)) * 10**6,
    )


def _limits(random: Random) -> BreakerLimits:
    if random.random() < 0.7:
        return LIMITS
    return BreakerLimits(
        daily_loss_e6=random.choice((None, 5_000_000, 50_000_000)),
        open_positions=random.choice((None, 2, 4)),
        consecutive_errors=None,
        error_rate=None,
        cooldown_ms=1_000,
    )


class _Trial:
    """What is done to a world: `count` baskets, in waves of a few."""

    def __init__(self, world: World, random: Random, count: int) -> None:
        self.world = world
        self.random = random
        self.faults = Counter[str]()
        self.markets = [m for m in world.rig.venue.catalog.markets.values() if m.accepting]
        left = count
        while left > 0:
            size = min(left, random.choice((1, 2, 3, 5, 8)))
            left -= size
            world.waves.append(lambda size=size: self._wave(size))  # type: ignore[misc]

    def tally(self, outcomes: Counter[str]) -> Tally:
        """Return what came of it."""
        fired = Counter(self.world.rig.venue.faults.counts) + self.faults
        return Tally(1, self.world.submitted, outcomes, fired)

    def _wave(self, size: int) -> None:
        world, random, venue = self.world, self.random, self.world.rig.venue
        if venue.mode != "normal" and random.random() < 0.9:  # nothing would be taken
            world.waves.insert(0, lambda: self._wave(size))
            until_ns = venue.mode_until_ns or venue.now_ns + SECOND
            world.at((until_ns - venue.now_ns) / SECOND + 0.1, lambda: None)
            return
        world.skew_ns = 0
        world.resume()
        for _ in range(random.choice((1, 1, 2, 3))):
            self._spoil()
        for _ in range(size):
            world.at(random.uniform(0, 3), self._submit)

    def _spoil(self) -> None:
        """Plan something that goes wrong, or two things that do together."""
        random = self.random
        chance = random.random()
        if chance < 0.15:
            self._later(KILL, lambda: self.world.restart(random.choice((0.0, 0.3, 5.0))))
        elif chance < 0.2:
            self._later(HALT, self.world.halt)
        elif chance < 0.25:
            self._later(JUMP, self._jump)
        elif chance < 0.3:  # neither the answer nor the socket tells
            self._fault(random.choice(REQUESTS))
            self._fault(("user_event_missing", {}))
        elif chance < 0.35:  # stopped while one leg is missing
            self._fault(random.choice(TRADES))
            self._later(HALT, self.world.halt)
        else:
            self._fault(random.choice(random.choice(FAULTS)))

    def _fault(self, fault: Fault) -> None:
        world, random = self.world, self.random
        name, members = fault
        most_s = 4 if name in MODES else 20
        lasts = {} if name in AT_ONCE else {"for_s": random.uniform(0.5, most_s)}
        more = {"reason": random.choice([*REFUSALS])} if name == "leg_refused" else {}
        begun_s = (world.rig.now_ns - world.rig.venue.start_ns) / SECOND
        at_s = begun_s + random.choice((0, random.uniform(0, 3)))
        world.rig.fault(name, **members, **more, **lasts, at_s=at_s)

    def _later(self, name: str, act: Any) -> None:
        self.faults[name] += 1
        self.world.at(self.random.uniform(0, 4), act)

    def _jump(self) -> None:
        random = self.random
        self.world.skew_ns = int(random.choice((-60, -2, -0.01, 0.5, 2, 20, 3_600)) * SECOND)
        self.world.at(random.uniform(0.5, 5), self._jump_back)

    def _jump_back(self) -> None:
        self.world.skew_ns = 0

    # -- baskets

    def _submit(self) -> None:
        """Draw a basket and submit it; not all that is drawn can be had."""
        world, random = self.world, self.random
        if random.random() < 0.8:
            world.resume()
        for _ in range(10):
            plan = world.plan(
                self._legs(),
                random.randrange(500, 3_000) * 10_000,
                style=random.choice((OrderType.FAK, OrderType.FAK, OrderType.FOK, OrderType.GTC)),
                slippage_ticks=random.choice((0, 0, 1, 2)),
                timeout_ns=random.choice((1, 3, 10)) * SECOND,
            )
            if plan is not None and all(leg.maker_e6 >= 1_000_000 for leg in plan.legs):
                if plan.style is OrderType.GTC and random.random() < 0.5:
                    plan = self._patient(plan)
                valued = self._valued(plan)  # it may be sent late, by prices that were
                world.at(random.choice((0, 0, 0.3, 2)), partial(world.submit, valued))
                return

    def _patient(self, plan: BasketPlan) -> BasketPlan:
        """Return the plan with a leg that rests, since it offers a tick less than is asked."""
        index = self.random.randrange(len(plan.legs))
        leg = plan.legs[index]
        limit_e4 = max(leg.tick_e4, leg.limit_e4 - leg.tick_e4)
        cost_e6 = limit_e4 * leg.shares_e6 // 10_000
        rests = replace(leg, limit_e4=limit_e4, maker_e6=cost_e6, cost_e6=cost_e6)
        return replace(plan, legs=(*plan.legs[:index], rests, *plan.legs[index + 1 :]))

    def _valued(self, plan: BasketPlan) -> BasketPlan:
        """Return the plan with a payoff that is worth it, and a cap."""
        random = self.random
        spend = sum(leg.cost_e6 + leg.fee_e6 for leg in plan.legs)
        payoff_e6 = -(-spend * random.choice((100, 101, 105, 120)) * 10_000 // plan.sets_e6)
        share = random.choice((100, 100, 50, 20, 10, 5, 2, 1, 0))
        hold_e6 = spend * random.choice((100, 110, 200)) // 100
        return replace(plan, payoff_e6=payoff_e6, loss_cap_e6=spend * share // 100, hold_e6=hold_e6)

    def _legs(self) -> Sequence[tuple[Market, int, int]]:
        """Draw 2-4 legs: a market's two, one outcome of several of an event, or anything."""
        random = self.random
        market = random.choice(self.markets)
        kind = random.random()
        if kind < 0.3:
            return [(market, 0, 1), (market, 1, 1)]
        if kind < 0.6 and len(market.event.markets) > 1:
            siblings = [m for m in market.event.markets if m.accepting]
            outcome = random.randrange(2)
            most = min(len(siblings), 4)
            if most > 1:
                chosen = random.sample(siblings, random.randint(2, most))
                return [(each, outcome, 1) for each in chosen]
        others = random.sample([m for m in self.markets if m is not market], random.randint(1, 3))
        return [
            (each, random.randrange(2), random.choice((1, 1, 1, 2))) for each in (market, *others)
        ]


# -- what must be true


def check(world: World) -> Counter[str]:
    """Hold the journal against the exchange and the account; return what became of baskets."""
    venue = world.rig.venue
    venue.ledger.check(venue.catalog.events)
    with Follower(world.folder) as follower:
        entries = follower.read(1 << 20)
    found = baskets(entries)
    machines = {name: recover(each.plan, each.events) for name, each in found.items()}
    states = world.states()
    stranded = {n: m for n, m in machines.items() if m.basket.state is BasketState.STRANDED}
    _sent_once(world, entries)
    _halted_buys_nothing(entries)
    for name, machine in machines.items():
        # A decision to hold what there is leaves no fact: the end is on record by itself.
        if states.get(name, BasketState.CLOSED) is BasketState.CLOSED:
            assert found[name].closed or machine.basket.state is BasketState.CLOSED, name
            assert loss_e6(machine.plan, machine.holding) <= machine.plan.loss_cap_e6, name
            assert machine.holding.spent_e6 <= machine.plan.hold_e6, name
            assert not machine.open_ids
        else:
            assert name in stranded, (name, machine.basket.state)
    murky = [machine for machine in stranded.values() if machine.open_ids]
    assert not world.wallet.orders, "orders rest, if only of a basket that is stranded"
    _same_tokens(world, machines.values(), {leg.token for m in murky for leg in m.plan.legs})
    if not murky:
        _same_cash(world, machines.values())
        assert world.life.account.balance.snapshot().held_e6 == 0
    outcomes = Counter(str(r.outcome) for n, r in world.results.items() if n not in stranded)
    outcomes.update(str(Outcome.STRANDED) for _ in stranded)
    return outcomes


def _sent_once(world: World, entries: Any) -> None:
    """Nothing was sent that is not on record, and nothing is on record twice."""
    intents = [e.record for e in entries if isinstance(e.record, record.Intent)]
    ids = [leg.order_id for intent in intents for leg in intent.legs]
    assert len(ids) == len(set(ids))
    orders = world.rig.venue.orders.values()
    ours = {order.id for order in orders if order.owner == world.rig.client.owner}
    assert ours <= set(ids), "orders that nobody recorded"
    salts = {
        int(s) for i in intents for body in i.bodies for s in re.findall(rb'"salt":(\d+)', body)
    }
    assert world.salts <= salts, "bytes that nobody recorded"


def _halted_buys_nothing(entries: Any) -> None:
    """After a halt a basket buys nothing more."""
    halted: set[str] = set()
    for entry in entries:
        match entry.record:
            case record.Happened(basket=basket, kind="Halted"):
                halted.add(basket)
            case record.Intent(basket=basket, purpose=purpose):
                assert basket not in halted or purpose is record.Purpose.UNWIND, basket


def _same_tokens(world: World, machines: Any, unclear: set[str]) -> None:
    told: Counter[str] = Counter()
    for machine in machines:
        for leg, net_e6 in zip(machine.plan.legs, machine.holding.nets_e6, strict=True):
            told[leg.token] += net_e6
    held = Counter(world.wallet.positions)
    for token in (told | held).keys() - unclear:
        assert told[token] == held[token], token


def _same_cash(world: World, machines: Sequence[Machine]) -> None:
    told = sum(machine.holding.spent_e6 for machine in machines)
    trades = [t for m in machines for tracked in m.basket.orders for t in tracked.trades]
    fees = sum(trade.fee_e6 for trade in trades)
    spent = world.begun_e6 - world.wallet.cash_e6
    # Fees are bounded, not known, and each fill's cash was rounded against us.
    assert spent <= told <= spent + fees + 10 * len(trades), (spent, told, fees)
    if not world.lives:  # a restart begins with what the exchange says
        assert world.life.account.balance.snapshot().cash_e6 == world.begun_e6 - told
