"""
Engines that are killed at a chosen step, again and again, on exchanges that live on.

``python tests/kills.py exchanges COUNT`` serves so many exchanges until stdin ends; ``python
tests/kills.py chains FOLDER`` reads where they are and what is to be done as one line of JSON from
stdin, and lets one chain of lives run on each. A life is a process: it takes up what the lives
before it left, holds its journal against the exchange's books, trades a basket, and kills itself
at the step that it was told: before or after cash moves, a signature is made, a record is written,
or bytes go to a socket or come from one, and with half of the bytes written. What becomes of lives
is told as lines of JSON on stdout.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import wraps
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import msgspec
from trading import account, credentials, plain_markets

from polyarb import clock
from polyarb.control import config as configuration
from polyarb.control import trader
from polyarb.control.dealer import Dealer
from polyarb.control.ledger import baskets
from polyarb.core.account import Account, Balance, BreakerLimits
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.decode import Side as BookSide
from polyarb.domain.basket import BasketPlan, BasketState, LegPlan, Policy
from polyarb.domain.order import OrderType, Side
from polyarb.exchange.signing import OrderSigner
from polyarb.execution.machine import Machine, recover
from polyarb.journal import record
from polyarb.journal.follower import Follower
from polyarb.journal.writer import Journal
from polyarb.sim import router, scenarios
from polyarb.sim.exchange import Exchange
from polyarb.sim.http import Request, Response, ok
from polyarb.sim.server import Server
from polyarb.sim.venue import Venue

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
PHASES: Final = ("trade", "recover")
KINDS: Final = ("taken", "one leg refused", "one leg rests", "three legs")
SOON: Final = Policy(
    ask_ns=60 * MS, settle_ns=40 * MS, requote_ns=20 * MS, waits_max=60, absent_max=3
)
"""The exchange is near, and confirms at once: nothing has to be waited for."""

LIFE_S: Final = 20.0
LIMITS: Final = BreakerLimits(
    daily_loss_e6=None,
    open_positions=None,
    consecutive_errors=None,
    error_rate=None,
    cooldown_ms=1_000,
)


# -- the exchanges


def owned(venue: Any, request: Request) -> Response:
    """GET /admin/owned?owner=API_KEY: an account as the exchange has it."""
    owner = request.first("owner")
    wallet = venue.ledger.wallets[request.first("wallet").lower()]
    return ok(
        {
            "orders": {
                order.id: [order.matched_e6, venue.book(order.market).resting(order)]
                for order in venue.orders.values()
                if order.owner == owner
            },
            "trades": {
                f"{trade_id} {order_id}": [shares, trade.status]
                for trade_id, trade in venue.trades_of[owner].items()
                for order_id, shares in _sides(trade)
            },
            "cash": wallet.cash_e6,
            "tokens": {token: units for token, units in wallet.positions.items() if units},
        }
    )


def _sides(trade: Any) -> Iterator[tuple[str, int]]:
    yield trade.taker.id, trade.size_e6
    yield from ((part.maker.id, part.shares) for part in trade.parts)


def markets(venue: Venue) -> list[dict[str, Any]]:
    """Return markets that trade at once, without a fee, on a tick of a cent."""
    found = [
        {
            "condition_id": market.condition_id,
            "neg_risk": market.neg_risk,
            "tokens": market.tokens,
            "tick": market.tick_e4,
            "min": market.min_size_e6,
            "rate": 0,
        }
        for market in plain_markets(venue)
        if not market.fee_e6(5_000, 10**12)
    ]
    assert len(found) > 1
    return found


async def exchanges(count: int) -> None:
    """Serve exchanges with a chain in a hurry, until stdin ends."""
    router.ROUTES["GET /admin/owned"] = owned
    still = scenarios.find("still")
    venue = msgspec.structs.replace(
        still.venue, mined_ms=15, confirmed_ms=15, user_event_ms=2, ip_limits=False, limits="off"
    )
    scenario = msgspec.structs.replace(still, venue=venue).stocked(size=40)
    servers = []
    for seed in range(count):
        exchange = Exchange(scenario, seed=seed + 1, start_ns=clock.wall_ns(), signature_type=3)
        servers.append(Server(exchange))
    told = [
        {
            **server.exchange.describe(await server.start()),
            "markets": markets(server.exchange.venue),
        }
        for server in servers
    ]
    print(json.dumps(told), flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    for server in servers:
        await server.stop()
        server.exchange.venue.check()
        assert not server.exchange.venue.last_error, server.exchange.venue.last_error


# -- steps


class Steps:
    """
    Counts the steps of a life, and ends it in the middle.

    Args:
        say: Is told where, right before.
    """

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        self._say = say
        self._at: int | None = None
        self.count = 0

    def arm(self, at: int) -> None:
        """Let the life end at the `at`-th step from now."""
        self._at, self.count = at, 0

    def disarm(self) -> int:
        """Let it live; return how many steps there were."""
        self._at = None
        return self.count

    def step(self, name: str) -> None:
        """Take note of a step, which may be the last."""
        self.count += 1
        if self.count == self._at:
            self._say({"killed": name})
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, kind: type, method: str, name: str) -> None:
        """Make steps of the beginning and the end of a method."""
        call = getattr(kind, method)

        @wraps(call)
        def stepped(*given: Any, **named: Any) -> Any:
            self.step(f"before {name}")
            done = call(*given, **named)
            self.step(f"after {name}")
            return done

        setattr(kind, method, stepped)

    def install(self) -> None:
        """Watch this process."""
        for method in ("reserve", "commit", "release", "credit", "restore", "reconcile"):
            self.around(Balance, method, method)
        self.around(OrderSigner, "sign", "sign")
        self.around(trader.ExchangeTrader, "send", "send")
        self.around(trader.ExchangeTrader, "cancel", "cancel")
        self.around(trader.ExchangeTrader, "look", "look")
        self.around(Journal, "append", "record")
        self.around(socket.socket, "recv", "bytes in")
        send = socket.socket.send

        def torn(sock: socket.socket, data: Any, *flags: int) -> int:
            self.step("before bytes out")
            self.count += 1
            if self.count == self._at:
                send(sock, bytes(data)[: len(data) // 2], *flags)
                self._say({"killed": "within bytes out"})
                os.kill(os.getpid(), signal.SIGKILL)
            sent = send(sock, data, *flags)
            self.step("after bytes out")
            return sent

        socket.socket.send = torn  # type: ignore[method-assign,assignment]


# -- a life


class Rest:
    """Books of the exchange itself, as the dealer wants to see those of an arena."""

    def __init__(self, clob_url: str) -> None:
        self._url = clob_url

    def slot(self, token: str) -> Any:
        return token

    def fresh(self, slot: Any, now_ns: int) -> bool:
        return True

    def ladder(self, slot: Any, side: BookSide) -> list[tuple[int, int]]:
        book = _get(f"{self._url}/book?token_id={slot}")
        bids = side is BookSide.BID
        rows = book["bids" if bids else "asks"]
        ladder = ((_units(row["price"], 4), _units(row["size"], 6)) for row in rows)
        return sorted(ladder, reverse=bids)[:20]


class Life:
    """One process, from what it finds to its end."""

    def __init__(self, told: Mapping[str, Any], folder: Path, work: Mapping[str, Any]) -> None:
        self.told = told
        self.folder = folder
        self.work = work
        self.steps = Steps(_say)
        self.rest = Rest(told["clob_url"])

    async def run(self) -> None:
        """Take up, check, trade, check."""
        self.steps.install()
        if self.work["phase"] == "recover":
            self.steps.arm(self.work["at"])
        arena = Arena.create(config=ArenaConfig(histogram_count=1))
        words = Account(arena)
        words.breaker.configure(LIMITS, clock.monotonic_ns())
        words.breaker.enable()
        born = self.told["account"]
        self.signer = account(born, 3, self.told["chain_id"])
        dealer = Dealer(
            configuration.load(),
            clob_url=self.told["clob_url"],
            user_ws_url=self.told["user_ws_url"],
            signer=self.signer,
            credentials=credentials(born),
            account=words,
            books=self.rest,  # type: ignore[arg-type]
            registry=self.rest,  # type: ignore[arg-type]
            folder=self.folder,
            say=lambda line: _say({"said": line}) if "ALERT" in line else None,
        )
        async with dealer:
            running = asyncio.create_task(dealer.run())
            await self._end(dealer, words)
            if self.work["phase"] == "trade":
                self.steps.arm(self.work["at"])
            plan = self.plan()
            if plan:
                dealer.executor.submit(plan)
            await dealer.drain(LIFE_S)
            _say({"lived": self.steps.disarm(), "planned": bool(plan)})
            await self._end(dealer, words)
            running.cancel()

    async def _end(self, dealer: Dealer, words: Account) -> None:
        """Wait until nothing is open, and compare."""
        await dealer.drain(LIFE_S)
        states = [each.machine.basket.state for each in dealer.executor.flights.values()]
        assert all(state is BasketState.CLOSED for state in states), states
        await dealer.reconcile_cash()
        check(self.folder, self.told, self.signer, words)
        _say({"checked": True})

    def plan(self) -> BasketPlan | None:
        """Return a basket of the kind that is asked for; None where books are too thin by now."""
        kind, number = self.work["kind"], self.work["number"]
        markets = self.told["markets"]
        one, other = (markets[(number + k) % len(markets)] for k in range(2))
        chosen = [(one, 0), (one, 1)] + [(other, 0)] * (kind == "three legs")
        legs = [self._leg(market, outcome) for market, outcome in chosen]
        whole = [leg for leg in legs if leg]
        if len(whole) < len(legs):
            return None
        style, timeout_ns = OrderType.FAK, SECOND
        if kind == "one leg rests":
            style, timeout_ns = OrderType.GTC, 60 * MS
        if kind in ("one leg rests", "one leg refused"):
            whole[1] = self._far(whole[1])
        spend = sum(leg.cost_e6 + leg.fee_e6 for leg in whole)
        return BasketPlan(
            id=f"b{number}",
            relation=f"r{number}",
            legs=tuple(whole),
            style=style,
            sets_e6=SETS_E6,
            payoff_e6=1_000_000,
            loss_cap_e6=2 * spend,
            hold_e6=3 * spend + 20_000_000,
            timeout_ns=timeout_ns,
            policy=SOON,
        )

    def _leg(self, market: Mapping[str, Any], outcome: int) -> LegPlan | None:
        token = market["tokens"][outcome]
        asks = self.rest.ladder(token, BookSide.ASK)
        deep = accumulate(size for _, size in asks)
        limits = (limit for (limit, _), size in zip(asks, deep, strict=True) if size >= SETS_E6)
        limit = next(limits, None)
        return None if limit is None else _leg(market, token, limit)

    def _far(self, leg: LegPlan) -> LegPlan:
        """Return the leg at a price that nobody sells at."""
        asks = self.rest.ladder(leg.token, BookSide.ASK)
        limit = max(leg.tick_e4, asks[0][0] - 20 * leg.tick_e4)
        maker = limit * SETS_E6 // 10_000
        return replace(leg, limit_e4=limit, maker_e6=maker, cost_e6=maker)


SETS_E6: Final = 6_000_000


def _leg(market: Mapping[str, Any], token: str, limit: int) -> LegPlan:
    maker = -(-limit * SETS_E6 // 10_000 // 10_000) * 10_000
    return LegPlan(
        token=token,
        condition_id=market["condition_id"],
        neg_risk=market["neg_risk"],
        tick_e4=market["tick"],
        side=Side.BUY,
        weight=1,
        limit_e4=limit,
        shares_e6=SETS_E6,
        maker_e6=limit * SETS_E6 // 10_000,
        taker_e6=SETS_E6,
        cost_e6=maker,
        fee_e6=maker * market["rate"] // 10**6 + 1_000,
        min_size_e6=market["min"],
        rate_e6=market["rate"],
    )


def check(folder: Path, told: Mapping[str, Any], signer: OrderSigner, words: Account) -> None:
    """Hold the journal and the account against the exchange, when nothing is under way."""
    query = f"owner={told['account']['api_key']}&wallet={signer.funder}"
    theirs = _get(f"{told['admin_url']}/owned?{query}")
    with Follower(folder) as follower:
        entries = follower.read(1 << 20)
    found = baskets(entries)
    machines = [recover(each.plan, each.events) for each in found.values()]
    pairs = zip(found.values(), machines, strict=True)
    assert all(each.closed or machine.over for each, machine in pairs), "a basket is not over"
    assert all(each.ended for each in found.values()), "a basket's end is not on record"
    intents = [e.record for e in entries if isinstance(e.record, record.Intent)]
    ids = [leg.order_id for intent in intents for leg in intent.legs]
    assert len(ids) == len(set(ids)), "an order was intended twice"
    unknown = theirs["orders"].keys() - set(ids)
    assert not unknown, f"orders that nobody recorded: {unknown}"
    resting = [order_id for order_id, (_, rests) in theirs["orders"].items() if rests]
    assert not resting, f"open orders: {resting}"
    _same_trades(machines, theirs["trades"], set(ids))
    tokens: Counter[str] = Counter()
    for machine in machines:
        for leg, net_e6 in zip(machine.plan.legs, machine.holding.nets_e6, strict=True):
            tokens[leg.token] += net_e6
    ours = {token: units for token, units in tokens.items() if units}
    assert ours == theirs["tokens"], f"tokens: {ours} is {theirs['tokens']}"
    spent = told["begun_e6"] - theirs["cash"]
    said = sum(machine.holding.spent_e6 for machine in machines)
    fees = sum(machine.result.fee_e6 for machine in machines)
    assert spent <= said <= spent + fees + 10 * len(ids), f"cash: {said} is {spent}, fees {fees}"
    funds = words.balance.snapshot()
    assert (funds.cash_e6, funds.held_e6) == (theirs["cash"], 0), f"{funds} is {theirs['cash']}"


def _same_trades(machines: list[Machine], trades: Mapping[str, Any], ids: set[str]) -> None:
    ours = {
        f"{trade.trade_id} {tracked.order.id}": [trade.shares_e6, trade.status.value.upper()]
        for machine in machines
        for tracked in machine.basket.orders
        for trade in tracked.trades
    }
    mine = {name: each for name, each in trades.items() if name.split()[1] in ids}
    assert ours == mine, f"trades: {ours} is {mine}"


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (loopback)
        return json.load(answer)


def _units(text: str, places: int) -> int:
    return int(Decimal(text).scaleb(places))


def _say(line: Mapping[str, Any]) -> None:
    os.write(1, json.dumps({**line, "pid": os.getpid()}).encode() + b"\n")


# -- chains of lives


def chain(told: dict[str, Any], folder: Path, kind: str, phase: str, steps: list[int]) -> None:
    """Let one life follow another, killed at these steps; the last one lives."""
    signer = account(told["account"], 3, told["chain_id"])
    query = f"owner={told['account']['api_key']}&wallet={signer.funder}"
    told["begun_e6"] = _get(f"{told['admin_url']}/owned?{query}")["cash"]
    number = 0

    def lived(phase: str, at: int) -> bool:
        nonlocal number
        number += 1
        return life(told, folder, {"phase": phase, "kind": kind, "at": at, "number": number})

    for at in steps:
        if phase == "recover":  # what is to be taken up must be left first
            lived("trade", 1 + at * 7 % 60)
        if lived(phase, at):
            break  # it had no more steps than that
    assert lived("trade", -1), "a life that nobody ends"


def life(told: Mapping[str, Any], folder: Path, work: dict[str, Any]) -> bool:
    """Let a process live; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            asyncio.run(Life(told, folder, work).run())
        except BaseException:
            _say({"failed": traceback.format_exc()[-3000:], "work": work})
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status:
        _say({"failed": f"status {status}", "work": work})
        os._exit(1)
    return True


def chains(folder: Path) -> None:
    """Run one chain on each exchange, all at once."""
    asked = json.loads(sys.stdin.readline())
    children = []
    for index, (told, work) in enumerate(zip(asked["exchanges"], asked["work"], strict=True)):
        child = os.fork()
        if child == 0:
            try:
                chain(told, folder / f"{index}", **work)
            except BaseException:
                _say({"failed": traceback.format_exc()[-3000:]})
                os._exit(1)
            os._exit(0)
        children.append(child)
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            _say({"failed": f"a chain ended with {status}"})


if __name__ == "__main__":
    if sys.argv[1] == "exchanges":
        asyncio.run(exchanges(int(sys.argv[2])))
    else:
        chains(Path(sys.argv[2]))
