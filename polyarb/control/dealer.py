"""
The account's side of the engine: baskets bought, watched to their end, and accounted for.

One for one account on one exchange. What it decides is the machines' business
(`polyarb.execution`); here are the journal, the sockets, and the clock that they need.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

from polyarb import clock, errors
from polyarb.book.registry import Registry
from polyarb.control.config import Config, usd_e6
from polyarb.control.ledger import JournalLedger, baskets, machines
from polyarb.control.trader import ExchangeTrader, spawner
from polyarb.core.account import Account
from polyarb.core.book import Books
from polyarb.core.decode import Side as BookSide
from polyarb.domain.basket import BasketPlan, LegPlan, Outcome, Result
from polyarb.domain.market import Market
from polyarb.domain.order import OrderType, Side
from polyarb.domain.report import OrderReport, TradeReport
from polyarb.exchange.auth import Credentials, user_login
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.trading import TradingClient
from polyarb.exchange.transport import HttpPort, Session
from polyarb.execution.events import Book
from polyarb.execution.executor import Executor
from polyarb.execution.signals import Guard, Signals
from polyarb.feed import socket
from polyarb.feed.user import Session as UserSession
from polyarb.feed.user import UserConfig, UserFeed
from polyarb.journal.follower import Follower
from polyarb.journal.writer import Fsync, Journal
from polyarb.risk.sizing import Plan

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
REFRESH_S: Final = 5.0
"""How often the exchange is asked for the balance, and for orders that are not resolved."""

TEND_S: Final = 0.2
CONNECTIONS: Final = 2
SPARE_SHARE: Final = 10
"""A tenth more than a basket can cost is held for completing it."""

SIGNALS: Final = 256
RECORDS_MAX: Final = 1 << 24
STYLES: Final = {"fak": OrderType.FAK, "fok": OrderType.FOK, "gtc": OrderType.GTC}


class ArenaBooks:
    """Prices to complete or unwind by: whole ladders of books that can be trusted now."""

    def __init__(self, books: Books, registry: Registry) -> None:
        self._books = books
        self._registry = registry

    def book(self, token: str) -> Book | None:
        """Return a book; None for one that is not live and fresh."""
        slot = self._registry.slot(token)
        if slot is None or not self._books.fresh(slot, clock.monotonic_ns()):
            return None
        bids, asks = (tuple(self._books.ladder(slot, side)) for side in BookSide)
        return Book(bids, asks)


class LoopPace:
    """The clocks, and the running loop's timers."""

    def monotonic_ns(self) -> int:
        """Return now."""
        return clock.monotonic_ns()

    def wall_ns(self) -> int:
        """Return now by the calendar."""
        return clock.wall_ns()

    def call_later(self, wait_ns: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call it after so long."""
        return asyncio.get_running_loop().call_later(wait_ns / SECOND, call)


class Dealer:
    """
    Trades for one account. An async context manager; `run` it while it is open.

    Args:
        config: Sections risk and execution.
        clob_url, user_ws_url: Of the exchange.
        signer, credentials: Of the account.
        account: Its words in the arena.
        books, registry: Where prices are.
        folder: Of the journal.
        say: Is told what a person should know.
        closed: Is told how a basket ended.

    Attributes:
        results: How baskets ended, the last time: one may be opened again.
    """

    def __init__(
        self,
        config: Config,
        *,
        clob_url: str,
        user_ws_url: str,
        signer: OrderSigner,
        credentials: Credentials,
        account: Account,
        books: Books,
        registry: Registry,
        folder: Path,
        say: Callable[[str], None],
        closed: Callable[[BasketPlan, Result], None] = lambda plan, result: None,
    ) -> None:
        self._config = config
        self._account = account
        self._say = say
        self._told_closed = closed
        self._session = Session()
        self._port = HttpPort(self._session, clob_url)
        self.client = TradingClient(self._port, signer=signer, credentials=credentials)
        self._journal = Journal(folder, clock.wall_ns(), fsync=Fsync(config.journal.fsync))
        self._signals: Signals[None] = Signals(SIGNALS, config.execution.cooldown_ms * MS)
        self._ledger = JournalLedger(
            self._journal, account, api_key=credentials.api_key, wall_ns=clock.wall_ns
        )
        self._failures: list[BaseException] = []
        self.executor = Executor(
            account,
            trader=ExchangeTrader(
                self.client, signer, account.stamps, spawn=spawner(self._failures.append)
            ),
            ledger=self._ledger,
            books=ArenaBooks(books, registry),
            pace=LoopPace(),
            alert=lambda text: say(f"ALERT {text}"),
            closed=self._closed,
        )
        config_of_user = UserConfig()
        said = UserSession(
            lambda: user_login(credentials),
            owner=credentials.api_key,
            listener=self,
            now_ns=clock.monotonic_ns(),
            config=config_of_user,
            random=Random(),  # noqa: S311  (jitter)
        )
        self.user = UserFeed(user_ws_url, said, config_of_user)
        self.results: dict[str, Result] = {}
        self._count = 0
        self._run = secrets.token_hex(4)

    # -- its life

    async def __aenter__(self) -> "Dealer":
        await self._session.__aenter__()
        try:
            await self._begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        self._journal.close()

    async def _begin(self) -> None:
        """Learn the exchange's clock and what we have; take up what an earlier run left."""
        await self.client.sync_time()
        with Follower(self._journal.folder) as follower:
            entries = follower.read(RECORDS_MAX)
        self._ledger.resume(entries)
        last_ms = max((entry.wall_ns // MS for entry in entries), default=0)
        self._account.stamps.begin(secrets.randbelow(4096), last_ms)
        found = machines(baskets(entries))
        held_e6 = sum(machine.basket.held_e6 for machine in found)
        cash_e6 = (await self.client.balance(refresh=True)).units
        self._account.balance.restore(max(cash_e6, held_e6), held_e6)
        self._ledger.reconciled()
        await self._port.warm(CONNECTIONS)
        for machine in found:
            self._signals.begin(machine.plan.relation)
            self.executor.adopt(machine)
        if found:
            self._say(f"{len(found)} baskets of an earlier run are taken up")
        foreign = [o for o in await self.client.open_orders() if not self._ours(o)]
        if foreign:
            self._say(f"{len(foreign)} open orders are not of this engine; they are left alone")

    def _ours(self, order: OrderReport) -> bool:
        return order.order_id in self.executor.open_ids

    async def run(self) -> None:
        """Listen, ask, and keep the journal ahead of need, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(socket.run(self.user), name="user socket")
            group.create_task(self._refresh(), name="balance")
            group.create_task(self._tend(), name="journal")
            group.create_task(self._port.keep_warm(CONNECTIONS), name="connections")

    async def drain(self, within_s: float) -> None:
        """Wait until every basket is over, or stranded, or the time is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.executor.open_count:
                    await asyncio.sleep(0.02)
                with suppress(errors.RetryError, errors.DeniedError):
                    await self.reconcile_cash()

    async def _refresh(self) -> None:
        """Ask for what nobody may have told: orders in doubt, and the cash there is."""
        while True:
            await asyncio.sleep(REFRESH_S)
            self._raise_failures()
            self.executor.reconcile()
            with suppress(errors.RetryError, errors.DeniedError):
                await self.reconcile_cash()

    async def reconcile_cash(self) -> None:
        """Take the exchange's word for the cash, when nothing is under way that could blur it."""
        if self.executor.open_count:
            return
        units = (await self.client.balance(refresh=True)).units
        if not self.executor.open_count:
            self._account.balance.reconcile(units)
            self._ledger.reconciled()

    async def _tend(self) -> None:
        while True:
            self._journal.tend(clock.wall_ns())
            await asyncio.sleep(TEND_S)

    def _raise_failures(self) -> None:
        if self._failures:
            raise self._failures[0]

    # -- baskets

    def guarded(self, relation: str, now_ns: int) -> Guard | None:
        """Return why no basket of a relation may be started now."""
        return self._signals.guarded(relation, now_ns)

    def submit(self, relation: str, legs: list[tuple[str, Market, int]], plan: Plan) -> str:
        """
        Trade a plan at once; return the basket's id.

        Args:
            relation: Its id.
            legs: Token, market and weight of each, in the plan's order.
            plan: Sized and judged.
        """
        self._count += 1
        sized = plan.sized
        execution = self._config.execution
        basket = BasketPlan(
            id=f"{self._run}-{self._count}",
            relation=relation,
            legs=tuple(
                LegPlan(
                    token=token,
                    condition_id=market.condition_id,
                    neg_risk=market.neg_risk,
                    tick_e4=market.tick.step_e4,
                    side=Side.BUY,
                    weight=weight,
                    limit_e4=leg.limit_e4,
                    shares_e6=leg.shares_e6,
                    maker_e6=leg.maker_e6,
                    taker_e6=leg.taker_e6,
                    cost_e6=leg.maker_e6,
                    fee_e6=max(0, leg.outlay_e6 - leg.maker_e6),
                    min_size_e6=market.min_size_e6,
                    rate_e6=market.fees.rate_e6,
                    exponent=market.fees.exponent,
                )
                for (token, market, weight), leg in zip(legs, sized.legs, strict=True)
            ),
            style=STYLES[execution.style],
            sets_e6=sized.sets_e6,
            payoff_e6=sized.payoff_e6 * 10**6 // sized.sets_e6,
            loss_cap_e6=usd_e6(self._config.risk.max_loss_per_basket_usd),
            hold_e6=sized.outlay_e6 + sized.outlay_e6 // SPARE_SHARE,
            slippage_ticks=execution.slippage_ticks,
            timeout_ns=execution.order_timeout_ms * MS,
        )
        self._signals.begin(relation)
        self.executor.submit(basket)
        return basket.id

    def _closed(self, plan: BasketPlan, result: Result) -> None:
        self._signals.ended(plan.relation, clock.monotonic_ns())
        self.results[plan.id] = result
        self._told_closed(plan, result)

    @property
    def stranded(self) -> int:
        """Baskets that were given up."""
        states = (flight.machine.result.outcome for flight in self.executor.flights.values())
        return sum(outcome is Outcome.STRANDED for outcome in states)

    # -- UserListener

    def order(self, report: OrderReport, recv_ns: int) -> None:
        """Take news of an order."""
        self.executor.order(report)

    def trade(self, report: TradeReport, recv_ns: int) -> None:
        """Take news of a trade."""
        self.executor.trade(report)

    def reconcile(self, reason: str, now_ns: int) -> None:
        """Ask for what was missed."""
        self.executor.reconcile()

    def down(self, reason: str, now_ns: int) -> None:
        """Take note that nothing is heard."""
        self._say(f"user socket down: {reason}")

    def denied(self, reason: str, *, certain: bool, now_ns: int) -> None:
        """Take note that the credentials are refused."""
        self._say(f"user socket: credentials {'refused' if certain else 'doubted'}: {reason}")

    def summary(self) -> dict[str, Any]:
        """Return what trading came to."""
        funds = self._account.balance.snapshot()
        results = self.results.values()
        count = Counter(result.outcome.value for result in results)
        return {
            "executed": self._count,
            "complete": count[Outcome.COMPLETE.value],
            "partial": count[Outcome.PARTIAL.value] + count[Outcome.HELD.value],
            "unwound": count[Outcome.UNWOUND.value],
            "stranded": self.stranded,
            "failed": count[Outcome.FAILED.value],
            "blocked": count[Outcome.BLOCKED.value],
            "open": self.executor.open_count,
            "pnl_e6": sum(result.pnl_e6 for result in results),
            "fee_e6_at_most": sum(result.fee_e6 for result in results),
            "balance_e6": funds.available_e6,
            "held_e6": funds.held_e6,
        }
