"""
Baskets on a venue in virtual time: the executor with its real ledger and client, faults, restarts.

Nothing is pretended but time: orders are signed, sent and matched, the user socket tells, REST is
asked, and the trade journal is on disk.
"""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from trading import MS, Rig

from polyarb.control.ledger import JournalLedger, baskets, machines
from polyarb.control.trader import ExchangeTrader, spawner
from polyarb.core.account import Account, BreakerLimits, Reason
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.domain.basket import BasketPlan, BasketState, LegPlan, Result
from polyarb.domain.order import OrderType, Side
from polyarb.domain.report import OrderReport, TradeReport
from polyarb.exchange.auth import user_login
from polyarb.execution.events import Book
from polyarb.execution.executor import Executor
from polyarb.feed.user import Session, UserConfig, UserLine
from polyarb.journal.follower import Follower
from polyarb.journal.writer import Journal
from polyarb.sim.catalog import Market

SECOND = 1_000_000_000
LIMITS = BreakerLimits(
    daily_loss_e6=None,
    open_positions=None,
    consecutive_errors=None,
    error_rate=None,
    cooldown_ms=1_000,
)


class _Timer:
    """A call on the venue's timeline that can be let go."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def run(self) -> None:
        if self._call:
            self._call()

    def cancel(self) -> None:
        self._call = None


class Pace:
    """Virtual time, the venue's, as long as a life lasts."""

    def __init__(self, rig: Rig, alive: Callable[[], bool]) -> None:
        self._rig = rig
        self._alive = alive

    def monotonic_ns(self) -> int:
        return self._rig.now_ns

    def wall_ns(self) -> int:
        return self._rig.now_ns

    def call_later(self, wait_ns: int, call: Callable[[], None]) -> _Timer:
        timer = _Timer(lambda: call() if self._alive() else None)
        self._rig.venue.schedule(self._rig.now_ns + wait_ns, timer.run)
        return timer


class Life:
    """One process of the engine: what a kill takes away."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.arena = Arena.create(config=ArenaConfig(histogram_count=1))
        self.account = Account(self.arena)
        self.account.breaker.configure(LIMITS, world.rig.now_ns)
        self.account.breaker.enable()
        self.journal = Journal(world.folder, world.rig.now_ns)
        with Follower(world.folder) as follower:
            entries = follower.read(1 << 20)
        found = baskets(entries)
        self.account.stamps.begin(world.random.randrange(4096), world.last_ms)
        self.dead = False
        self.tasks: list[asyncio.Task[None]] = []
        self.ledger = JournalLedger(
            self.journal,
            self.account,
            api_key=world.rig.client.owner,
            wall_ns=lambda: world.rig.now_ns,
        )
        self.ledger.resume(entries)
        self.executor = Executor(
            self.account,
            trader=ExchangeTrader(
                world.rig.client,
                world.rig.signer,
                self.account.stamps,
                spawn=self._spawn,
            ),
            ledger=self.ledger,
            books=world,
            pace=Pace(world.rig, lambda: not self.dead),
            alert=world.alerts.append,
            closed=world.closed,
        )
        self.recovered = machines(found)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(spawner(self.world.failed.append)(work))

    def kill(self) -> Path:
        """End as kill -9 does: nothing more is written; return what is left of the journal."""
        self.dead = True
        for task in self.tasks:
            task.cancel()
        left = self.world.folder.with_name(f"journal{self.world.lives}")
        shutil.copytree(self.world.folder, left)
        return left

    def start(self, cash_e6: int) -> None:
        """Take up what the journal has, with the cash that the exchange says there is."""
        held = sum(machine.basket.held_e6 for machine in self.recovered)
        self.account.balance.restore(max(cash_e6, held), held)
        for machine in self.recovered:
            self.executor.adopt(machine)

    # -- UserListener

    def order(self, report: OrderReport, recv_ns: int) -> None:
        if not self.dead:
            self.executor.order(report)

    def trade(self, report: TradeReport, recv_ns: int) -> None:
        if not self.dead:
            self.executor.trade(report)

    def reconcile(self, reason: str, now_ns: int) -> None:
        if not self.dead:
            self.executor.reconcile()

    def down(self, reason: str, now_ns: int) -> None: ...

    def denied(self, reason: str, *, certain: bool, now_ns: int) -> None: ...


class World:
    """
    A venue, an account on it, and the engine's execution.

    Attributes:
        results: How baskets ended, by id; the last end of each.
        alerts: What the operator was told.
        failed: Exceptions out of tasks; there must be none.
    """

    def __init__(self, folder: Path, seed: int, **options: Any) -> None:
        self.random = Random(seed)
        self.folder = folder
        self.rig = Rig(seed=seed, **options)
        self.rig.client = self.rig.make_client(attempts=1)
        self.results: dict[str, Result] = {}
        self.plans: dict[str, BasketPlan] = {}
        self.alerts: list[str] = []
        self.failed: list[BaseException] = []
        self.last_ms = 0
        self.pending = 0
        self.count = self.lives = 0
        self.life = Life(self)
        self.begun_e6 = self.wallet.cash_e6
        self.life.start(self.begun_e6)
        self.line = self._line()

    def _line(self) -> UserLine:
        """Return a user socket that tells the present life."""
        session = Session(
            lambda: user_login(self.rig.credentials),
            owner=self.rig.credentials.api_key,
            listener=self.life,
            now_ns=self.rig.now_ns,
            config=UserConfig(),
            random=self.random,
        )
        return UserLine(self.rig.port, session, lambda: self.rig.now_ns)

    @property
    def wallet(self) -> Any:
        """The client's wallet on the venue."""
        return self.rig.venue.ledger.wallets[self.rig.signer.funder.lower()]

    def closed(self, plan: BasketPlan, result: Result) -> None:
        self.results[plan.id] = result

    def book(self, token: str) -> Book | None:
        """Return what the engine's books would say: the venue's own, without delay."""
        market, outcome = self.rig.venue.catalog.tokens[token]
        book = self.rig.venue.books[market.condition_id]
        return Book(tuple(book.depth(True, outcome))[:20], tuple(book.depth(False, outcome))[:20])

    # -- plans

    def plan(
        self,
        legs: Sequence[tuple[Market, int]],
        sets_e6: int,
        *,
        style: OrderType = OrderType.FAK,
        payoff_e6: int = 1_000_000,
        loss_cap_e6: int | None = None,
    ) -> BasketPlan | None:
        """
        Return a plan that buys so many sets at what the books say, whatever it is worth.

        None: a book does not hold as many.
        """
        planned = [self._leg(market, outcome, sets_e6, style) for market, outcome in legs]
        if not all(planned):
            return None
        self.count += 1
        spend = sum(leg.cost_e6 + leg.fee_e6 for leg in planned)
        plan = BasketPlan(
            id=f"b{self.count}",
            relation=f"r{self.count}",
            legs=tuple(planned),
            style=style,
            sets_e6=sets_e6,
            payoff_e6=payoff_e6,
            loss_cap_e6=spend if loss_cap_e6 is None else loss_cap_e6,
            hold_e6=2 * spend,
        )
        self.plans[plan.id] = plan
        return plan

    def capped(self, plan: BasketPlan, loss_cap_e6: int) -> BasketPlan:
        """Return the plan with another cap."""
        return replace(plan, loss_cap_e6=loss_cap_e6)

    def _leg(
        self, market: Market, outcome: int, shares_e6: int, style: OrderType
    ) -> LegPlan | None:
        token = market.tokens[outcome]
        book = self.book(token)
        assert book
        left, cost, limit = shares_e6, 0, 0
        for price, size in book.asks:
            taken = min(left, size)
            left -= taken
            cost += -(-price * taken // 10_000)
            limit = price
            if not left:
                break
        if left:
            return None
        cents = -(-cost // 10_000) * 10_000
        if style is OrderType.GTC:
            maker, taker = limit * shares_e6 // 10_000, shares_e6
        else:
            maker, taker = cents, cents * 10_000 // limit // 100 * 100
        rate = market.fee_e6(5_000, 10**12) * 4 // 10**6
        return LegPlan(
            token=token,
            condition_id=market.condition_id,
            neg_risk=market.neg_risk,
            tick_e4=market.tick_e4,
            side=Side.BUY,
            weight=1,
            limit_e4=limit,
            shares_e6=shares_e6,
            maker_e6=maker,
            taker_e6=taker,
            cost_e6=maker,
            fee_e6=maker * rate // 10**6 + 1_000,
            min_size_e6=market.min_size_e6,
            rate_e6=rate,
        )

    # -- time

    def at(self, wait_s: float, act: Callable[[], Any]) -> None:
        """Do something in so many seconds."""
        self.pending += 1

        def due() -> None:
            self.pending -= 1
            act()

        self.rig.venue.schedule(self.rig.now_ns + int(wait_s * SECOND), due)

    def submit(self, plan: BasketPlan) -> None:
        """Let the present life trade a plan, if there is one."""
        if not self.life.dead:
            self.life.executor.submit(plan)

    def restart(self, after_s: float = 1.0) -> None:
        """Kill the engine, if it lives, and start another in so many seconds."""
        if self.life.dead:
            return
        self.lives += 1
        left = self.life.kill()
        self.line.stop()
        self.last_ms = self.rig.now_ns // MS + 1

        def begin() -> None:
            self.folder = left
            self.life = Life(self)
            self.life.start(self.wallet.cash_e6)
            self.line = self._line()

        self.at(after_s, begin)

    def play(self, for_s: float = 900) -> None:
        """Let time pass until all that was planned is done and every basket is over."""
        asyncio.run(self._play(self.rig.now_ns + int(for_s * SECOND)))

    async def _play(self, end_ns: int) -> None:
        rig = self.rig
        while True:
            await self.line.step()
            for _ in range(12):  # tasks go on until they wait for the venue
                await asyncio.sleep(0)
            assert not self.failed, self.failed
            if not self.pending and not self.life.dead and self.over:
                return
            times = (rig.venue.next_ns(), self.line.session.next_deadline())
            due_ns = min(at for at in times if at is not None)
            assert due_ns <= end_ns, f"it takes too long: {self.states()}"
            rig.port.run_until(max(rig.now_ns, due_ns))

    def states(self) -> dict[str, BasketState]:
        return {
            name: flight.machine.basket.state for name, flight in self.life.executor.flights.items()
        }

    @property
    def over(self) -> bool:
        """Whether every basket has come to an end, or to the operator."""
        ends = {BasketState.CLOSED, BasketState.STRANDED}
        return all(state in ends for state in self.states().values())

    @property
    def tripped(self) -> bool:
        return Reason.STRANDED in self.life.account.breaker.blocked(self.rig.now_ns)


__all__ = ["MS", "SECOND", "Life", "Pace", "World"]
