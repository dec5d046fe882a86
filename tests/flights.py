"""
Baskets on a venue in virtual time: the executor with its real ledger and client, faults, restarts.

Nothing is pretended but time: orders are signed, sent and matched, the user socket tells, REST is
asked, and the trade journal is on disk.
"""

import asyncio
import re
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
JOURNAL_BYTES = 2 << 20
ENDS = frozenset({BasketState.CLOSED, BasketState.STRANDED})
_SALT = re.compile(rb'"salt": ?"?(\d+)')
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

    def __init__(
        self,
        rig: Rig,
        alive: Callable[[], bool],
        wall_ns: Callable[[], int],
        stir: Callable[[], None],
    ) -> None:
        self._rig = rig
        self._alive = alive
        self._wall_ns = wall_ns
        self._stir = stir

    def monotonic_ns(self) -> int:
        return self._rig.now_ns

    def wall_ns(self) -> int:
        return self._wall_ns()

    def call_later(self, wait_ns: int, call: Callable[[], None]) -> _Timer:
        def due() -> None:
            if self._alive():
                self._stir()
                call()

        timer = _Timer(due)
        self._rig.venue.schedule(self._rig.now_ns + wait_ns, timer.run)
        return timer


class Life:
    """One process of the engine: what a kill takes away."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.arena = Arena.create(config=ArenaConfig(histogram_count=1))
        self.account = Account(self.arena)
        self.account.breaker.configure(world.limits, world.rig.now_ns)
        self.account.breaker.enable()
        self.journal = Journal(world.folder, world.wall_ns(), segment_bytes=JOURNAL_BYTES)
        with Follower(world.folder) as follower:
            entries = follower.read(1 << 20)
        found = baskets(entries)
        self.account.stamps.begin(world.random.randrange(4096), world.last_ms)
        self.dead = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.stranded: set[str] = set()
        self._spawn_task = spawner(world.failed.append)
        self.ledger = JournalLedger(
            self.journal,
            self.account,
            api_key=world.rig.client.owner,
            wall_ns=world.wall_ns,
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
            pace=Pace(world.rig, lambda: not self.dead, world.wall_ns, world.stir),
            alert=world.alerts.append,
            closed=world.closed,
        )
        self.recovered = machines(found)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._spawn_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def kill(self) -> Path:
        """End as kill -9 does: nothing more is written; return what is left of the journal."""
        self.dead = True
        for task in self.tasks:
            task.cancel()
        left = self.world.folder.with_name(f"journal{self.world.lives}")
        shutil.copytree(self.world.folder, left)
        self.journal.close()
        shutil.rmtree(self.world.folder)
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
            self.world.stir()
            self.executor.order(report)

    def trade(self, report: TradeReport, recv_ns: int) -> None:
        if not self.dead:
            self.world.stir()
            self.executor.trade(report)

    def reconcile(self, reason: str, now_ns: int) -> None:
        if not self.dead:
            self.world.stir()
            self.executor.reconcile()

    def down(self, reason: str, now_ns: int) -> None: ...

    def denied(self, reason: str, *, certain: bool, now_ns: int) -> None: ...


class World:
    """
    A venue, an account on it, and the engine's execution.

    Attributes:
        results: How baskets ended, by id; the last end of each.
        submitted: Baskets that were handed to an executor.
        waves: What is done one after the other, each when all of the one before is over.
        alerts: What the operator was told.
        failed: Exceptions out of tasks; there must be none.
        skew_ns: How far the engine's clock is off.
    """

    def __init__(
        self, folder: Path, seed: int, *, limits: BreakerLimits = LIMITS, **options: Any
    ) -> None:
        self.random = Random(seed)
        self.folder = folder
        self.limits = limits
        self.skew_ns = 0
        self.rig = Rig(seed=seed, **options)
        exchange = self.rig.port.exchange
        exchange.venue.watchers.remove(exchange.mispricings._watch)  # it only costs time here
        self.rig.client = self.rig.make_client(attempts=1, wall_ns=self.wall_ns)
        self.rig.port.request = self._witness(self.rig.port.request)  # type: ignore[method-assign]
        self.results: dict[str, Result] = {}
        self.plans: dict[str, BasketPlan] = {}
        self.waves: list[Callable[[], None]] = []
        self.alerts: list[str] = []
        self.failed: list[BaseException] = []
        self.salts: set[int] = set()
        self.last_ms = 0
        self.pending = 0
        self.count = self.submitted = self.lives = 0
        self.stirred = False
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

    def _witness(self, request: Callable[..., Any]) -> Callable[..., Any]:
        """Return `request`, which notes the salt of every order: none may be posted twice."""

        def seen(method: str, path: str, *, body: bytes = b"", **named: Any) -> Any:
            if method == "POST" and path.startswith("/order"):
                for salt in map(int, _SALT.findall(body)):
                    assert salt not in self.salts, f"salt {salt} was posted already"
                    self.salts.add(salt)
            return request(method, path, body=body, **named)

        return seen

    @property
    def wallet(self) -> Any:
        """The client's wallet on the venue."""
        return self.rig.venue.ledger.wallets[self.rig.signer.funder.lower()]

    def wall_ns(self) -> int:
        """Return Unix time by the engine's clock."""
        return self.rig.now_ns + self.skew_ns

    def stir(self) -> None:
        """Take note that something was done: the promises are looked at next."""
        self.stirred = True

    def closed(self, plan: BasketPlan, result: Result) -> None:
        self.results[plan.id] = result
        assert -result.pnl_e6 <= plan.loss_cap_e6, f"{plan.id} lost more than its cap: {result}"

    def book(self, token: str) -> Book | None:
        """Return what the engine's books would say: the venue's own, without delay."""
        market, outcome = self.rig.venue.catalog.tokens[token]
        book = self.rig.venue.books[market.condition_id]
        return Book(tuple(book.depth(True, outcome))[:20], tuple(book.depth(False, outcome))[:20])

    # -- plans

    def plan(
        self,
        legs: Sequence[tuple[Market, int] | tuple[Market, int, int]],
        sets_e6: int,
        *,
        style: OrderType = OrderType.FAK,
        payoff_e6: int = 1_000_000,
        loss_cap_e6: int | None = None,
        **more: Any,
    ) -> BasketPlan | None:
        """
        Return a plan that buys so many sets at what the books say, whatever it is worth.

        A leg is a market, an outcome, and its weight if that is not 1. None: a book does not hold
        as many.
        """
        planned = [self._leg(leg, sets_e6, style) for leg in legs]
        if not all(planned):
            return None
        self.count += 1
        spend = sum(leg.cost_e6 + leg.fee_e6 for leg in planned if leg)
        plan = BasketPlan(
            id=f"b{self.count}",
            relation=f"r{self.count}",
            legs=tuple(leg for leg in planned if leg),
            style=style,
            sets_e6=sets_e6,
            payoff_e6=payoff_e6,
            loss_cap_e6=spend if loss_cap_e6 is None else loss_cap_e6,
            **{"hold_e6": 2 * spend, **more},
        )
        self.plans[plan.id] = plan
        return plan

    def capped(self, plan: BasketPlan, loss_cap_e6: int) -> BasketPlan:
        """Return the plan with another cap."""
        return replace(plan, loss_cap_e6=loss_cap_e6)

    def _leg(
        self, leg: tuple[Market, int] | tuple[Market, int, int], sets_e6: int, style: OrderType
    ) -> LegPlan | None:
        market, outcome, weight = (*leg, 1)[:3]
        token, shares_e6 = market.tokens[outcome], sets_e6 * weight
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
        fee = market.fee
        rate, exponent = (fee.rate_e6, fee.exponent) if fee else (0, 1)
        return LegPlan(
            token=token,
            condition_id=market.condition_id,
            neg_risk=market.neg_risk,
            tick_e4=market.tick_e4,
            side=Side.BUY,
            weight=weight,
            limit_e4=limit,
            shares_e6=shares_e6,
            maker_e6=maker,
            taker_e6=taker,
            cost_e6=maker,
            fee_e6=maker * rate // 10**6 + 1_000,  # at most the rate, whatever the exponent
            min_size_e6=market.min_size_e6,
            rate_e6=rate,
            exponent=exponent,
        )

    # -- time

    def at(self, wait_s: float, act: Callable[[], Any]) -> None:
        """Do something in so many seconds."""
        self.pending += 1

        def due() -> None:
            self.pending -= 1
            self.stir()
            act()

        self.rig.venue.schedule(self.rig.now_ns + int(wait_s * SECOND), due)

    def submit(self, plan: BasketPlan) -> None:
        """Let the present life trade a plan, if there is one."""
        if self.life.dead:
            return
        self.submitted += 1
        executor, most = self.life.executor, self.limits.open_positions
        executor.submit(plan)
        if executor.flights[plan.id].machine.basket.orders:
            assert most is None or executor.open_count <= most, "one open basket too many"

    def restart(self, after_s: float = 1.0) -> None:
        """Kill the engine, if it lives, and start another in so many seconds."""
        if self.life.dead:
            return
        self.lives += 1
        left = self.life.kill()
        self.line.stop()
        self.last_ms = self.wall_ns() // MS + 1

        def begin() -> None:
            self.folder = left
            self.life = Life(self)
            self.life.start(self.wallet.cash_e6)
            self.line = self._line()

        self.at(after_s, begin)

    def halt(self) -> None:
        """Let the operator stop all that trades."""
        if not self.life.dead:
            self.life.account.breaker.trip(Reason.MANUAL, self.rig.now_ns)
            self.life.executor.halt()

    def resume(self) -> None:
        """Let the operator have seen everything, and go on."""
        breaker = self.life.account.breaker
        for reason in breaker.blocked(self.rig.now_ns):
            if reason is not Reason.OPEN_POSITIONS:
                breaker.reset(reason)

    def play(self, for_s: float = 900) -> None:
        """Let time pass until every wave is done and every basket is over; `for_s` for each."""
        asyncio.run(self._play(int(for_s * SECOND)))

    async def _play(self, for_ns: int) -> None:
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        end_ns = self.rig.now_ns + for_ns
        while True:
            await self.line.step()
            while ready:  # tasks go on until they wait for the venue
                await asyncio.sleep(0)
            assert not self.failed, self.failed
            self.look()
            if not self.pending and not self.life.dead and self.over:
                if not self.waves:
                    return
                end_ns = self.rig.now_ns + for_ns
                self.waves.pop(0)()
            assert self.rig.now_ns <= end_ns, f"it takes too long: {self.states()}"
            self._pass(ready)

    def _pass(self, ready: Sequence[Any]) -> None:
        """Let time pass until there is something for the engine to do."""
        self.stirred = False
        rig = self.rig
        while not ready and not self.stirred:
            line_ns, due_ns = self.line.session.next_deadline(), rig.venue.next_ns()
            if line_ns is not None and (due_ns is None or line_ns <= due_ns):
                rig.port.run_until(max(rig.now_ns, line_ns))
                return
            assert due_ns is not None, "nothing will ever happen"
            rig.port.run_until(max(rig.now_ns, due_ns))

    def look(self) -> None:
        """See that what must hold at any time does."""
        if self.life.dead:
            return
        life, now_ns = self.life, self.rig.now_ns
        held = 0
        for name, flight in life.executor.flights.items():
            basket = flight.machine.basket
            held += basket.held_e6
            waits = flight.timer is not None or basket.state is BasketState.CLOSED
            assert waits, f"{name} is {basket.state}, and nothing is to come"
            if basket.state is BasketState.STRANDED and name not in life.stranded:
                life.stranded.add(name)
                assert Reason.STRANDED in life.account.breaker.blocked(now_ns), name
        funds = life.account.balance.snapshot()
        assert funds.held_e6 == held, f"{funds} is held for baskets that hold {held}"
        assert not funds.shortfall_e6, funds

    def states(self) -> dict[str, BasketState]:
        return {
            name: flight.machine.basket.state for name, flight in self.life.executor.flights.items()
        }

    @property
    def over(self) -> bool:
        """Whether every basket has come to an end, or to the operator."""
        flights = self.life.executor.flights.values()
        return all(flight.machine.basket.state in ENDS for flight in flights)

    @property
    def tripped(self) -> bool:
        return Reason.STRANDED in self.life.account.breaker.blocked(self.rig.now_ns)


__all__ = ["MS", "SECOND", "Life", "Pace", "World"]
