"""From tokens back to cash: planner, calls, wallets and relayer, against the simulated exchange."""

import asyncio
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest
import relayrig
import settlerig
from integration.conftest import Exchange, running
from relayrig import GROUP, UNIT, Rig
from simclient import SECOND

from polyarb.domain.market import Event, Market, Structure
from polyarb.domain.settlement import Convert, Merge, Redeem
from polyarb.domain.wire import ExchangePort, HttpResponse, Listener, Stream
from polyarb.exchange import abi, calls
from polyarb.exchange.auth import Credentials
from polyarb.exchange.catalog import Universe
from polyarb.exchange.client import Client
from polyarb.exchange.contracts import POLYGON
from polyarb.exchange.discovery import Discovery
from polyarb.exchange.relayer import (
    BuilderKey,
    End,
    Limits,
    Outcome,
    Relayer,
    RelayerKey,
    WallPace,
)
from polyarb.exchange.signing import OrderSigner
from polyarb.execution.settle import (
    Group,
    Holding,
    Realise,
    Result,
    Settler,
    Terms,
    group_of,
    plan,
)

QUICK = Limits(poll_ns=SECOND // 20, wait_max_ns=SECOND // 10)
AMOUNT = 20 * UNIT

RESULT = {
    End.CONFIRMED: Result.DONE,
    End.USED: Result.UNSURE,
    End.FAILED: Result.FAILED,
    End.REFUSED: Result.FAILED,
    End.EXPIRED: Result.NOT_NOW,
    End.BUSY: Result.NOT_NOW,
}


# Over sockets


@pytest.fixture(scope="module")
def venue() -> Iterator[Exchange]:
    """Start a venue of this module's own: its events are resolved."""
    with running("--port", "0", "--seed", "13", "--scenario", "still", "--markets", "80") as found:
        yield found


@pytest.fixture(scope="module")
def listed(venue: Exchange) -> list[Event]:
    async def act() -> list[Event]:
        async with Client(clob_url=venue.clob_url, gamma_url=venue.gamma_url) as client:
            discovery = Discovery(client, [Universe()])
            await discovery.load(0)
            return list(discovery.catalog.events.values())

    return asyncio.run(act())


class HttpPort(ExchangePort):
    """One service over real sockets."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = 10 * SECOND,
    ) -> HttpResponse:
        try:
            async with self._session.request(
                method,
                self._base + path,
                params=query,
                headers=headers,
                data=body or None,
                timeout=aiohttp.ClientTimeout(total=timeout_ns / SECOND),
            ) as answer:
                lowered = {name.lower(): value for name, value in answer.headers.items()}
                whole = await answer.read()
                return HttpResponse(status=answer.status, headers=lowered, body=whole)
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from None

    async def connect(self, path: str, listener: Listener) -> Stream:
        raise ConnectionRefusedError(path)


class Wallet:
    """One of the account's wallets, over sockets."""

    def __init__(self, venue: Exchange, kind: int, *, builder: bool = False) -> None:
        born = venue.account
        self.venue = venue
        self.address = born["wallets"][str(kind)]
        self.signer = OrderSigner(born["private_key"], signature_type=kind, funder=self.address)
        self.key: Any = RelayerKey(born["api_key"], born["address"])
        if builder:
            self.key = BuilderKey(
                Credentials(born["api_key"], born["api_secret"], born["api_passphrase"])
            )

    def do(self, *made: calls.Call) -> Outcome:
        async def act() -> Outcome:
            async with aiohttp.ClientSession() as session:
                port = HttpPort(session, self.venue.relayer_url)
                relayer = Relayer(port, self.signer, self.key, pace=WallPace(), limits=QUICK)
                return await relayer.carry_out(made)

        return asyncio.run(act())

    def must(self, *made: calls.Call) -> None:
        done = self.do(*made)
        assert done.end is End.CONFIRMED, done

    def view(self, target: str, signature: str, *values: abi.Value) -> int:
        data = abi.selector(signature) + abi.sequence(values)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_call"}
        asked["params"] = [{"to": target, "data": "0x" + data.hex()}, "latest"]

        async def act() -> Any:
            async with (
                aiohttp.ClientSession() as session,
                session.post(self.venue.rpc_url, data=json.dumps(asked)) as answer,
            ):
                return json.loads(await answer.read())

        return int(asyncio.run(act())["result"], 16)

    @property
    def cash_e6(self) -> int:
        owner = abi.address("owner", self.address)
        return self.view(POLYGON.collateral, "balanceOf(address)", owner)

    def holding(self, market: Market, pays_e4: int | None = None) -> Holding:
        contract = POLYGON.position_manager if market.v3 else POLYGON.tokens
        owner = abi.address("owner", self.address)
        yes, no = (
            self.view(contract, "balanceOf(address,uint256)", owner, abi.uint("id", int(token)))
            for token in market.tokens
        )
        return Holding(market=market, yes_e6=yes, no_e6=no, pays_e4=pays_e4)


def split(market: Market, amount: int = AMOUNT) -> calls.Call:
    return calls.split(market.condition_id, amount, neg_risk=market.neg_risk, v3=market.v3)


def planned(holdings: Sequence[Holding], groups: Mapping[str, Group]) -> tuple[Any, int]:
    """Return the steps of a plan, and the cash they free."""
    found = plan(holdings, groups, now_ms=0, terms=Terms(realise=Realise.MERGE))
    assert not found.later
    return found.steps, sum(priced.freed_e6 for priced in found.batch)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_a_group_is_converted_and_redeemed_and_all_cash_is_back(venue, listed, kind):
    """NO of all its markets becomes cash at once; the one YES that wins pays the rest."""
    groups = [
        event
        for event in listed
        if event.structure is Structure.NEGRISK
        and not (event.left_out or event.fee_bips or event.markets[0].v3)
    ]
    event = groups[kind]
    wallet = Wallet(venue, kind, builder=kind == 2)
    start_e6 = wallet.cash_e6
    wallet.must(*map(split, event.markets))
    held = [wallet.holding(market) for market in event.markets]
    assert {(each.yes_e6, each.no_e6) for each in held} == {(AMOUNT, AMOUNT)}
    assert wallet.cash_e6 == start_e6 - AMOUNT * len(held)

    kept = [Holding(market=each.market, yes_e6=0, no_e6=each.no_e6) for each in held]
    steps, freed_e6 = planned(kept, {event.neg_risk_id: group_of(event)})
    assert [type(step) for step in steps] == [Convert]
    before_e6 = wallet.cash_e6
    wallet.must(*calls.position_calls(steps))
    assert wallet.cash_e6 - before_e6 == freed_e6 == AMOUNT * (len(held) - 1)

    venue.command("resolve", event=event.id, winners=[1] * (len(held) - 1) + [0])
    pays = [0] * (len(held) - 1) + [10_000]
    done = [wallet.holding(m, rate) for m, rate in zip(event.markets, pays, strict=True)]
    steps, freed_e6 = planned(done, {event.neg_risk_id: group_of(event)})
    assert ([type(step) for step in steps], freed_e6) == ([Redeem], AMOUNT)
    wallet.must(*calls.position_calls(steps))
    assert wallet.cash_e6 == start_e6


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_pairs_of_every_kind_of_market_are_merged_in_one_batch(venue, listed, kind):
    wallet = Wallet(venue, kind)
    markets = [next(m for e in listed[::-1] for m in e.markets if not m.neg_risk and not m.v3)]
    markets += [m for e in listed[::-1] for m in e.markets if m.neg_risk and not m.v3][:1]
    markets += [m for e in listed for m in e.markets if m.v3][:1]
    start_e6 = wallet.cash_e6
    wallet.must(*map(split, markets))
    steps, freed_e6 = planned([wallet.holding(market) for market in markets], {})
    assert [type(step) for step in steps] == [Merge] * len(markets)
    wallet.must(*calls.position_calls(steps))
    assert freed_e6 == AMOUNT * len(markets)
    assert wallet.cash_e6 == start_e6


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("response_lost", {End.USED, End.CONFIRMED}),
        ("accepted_then_500", {End.USED, End.CONFIRMED}),
        ("relayer_busy", {End.CONFIRMED}),
        ("relayer_failed", {End.FAILED}),
    ],
)
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_a_fault_on_the_way_is_survived(venue, listed, name, ends, kind):
    market = next(m for e in listed for m in e.markets if not m.neg_risk and not m.v3)
    wallet = Wallet(venue, kind)
    before = wallet.holding(market).yes_e6
    match = {} if name == "relayer_failed" else {"match": {"path": "/relayer/submit"}}
    venue.command("faults", name=name, count=1, **match)
    done = wallet.do(split(market))
    assert done.end in ends, done
    made = wallet.holding(market).yes_e6 - before
    assert made == (0 if done.end is End.FAILED else AMOUNT)


# In virtual time


def ours(rig: Rig) -> list[Market]:
    """Return the rig's markets as our catalogue would describe them."""
    return [
        settlerig.market(
            number,
            condition_id=each.condition_id,
            tokens=each.tokens,
            neg_risk=each.event.structure.value == "negrisk",
            neg_risk_id=GROUP if each.event.id == "2" else "",
            question_index=each.index if each.event.id == "2" else 0,
            v3=each.v3,
            end_ms=None,
        )
        for number, each in enumerate((rig.plain, rig.first, rig.second, rig.third, rig.v3))
    ]


async def settle(rig: Rig, settler: Settler, rounds: int) -> None:
    """Plan, send and look again, as the engine does."""
    markets, groups = ours(rig), {GROUP: Group(fee_bips=100, question_count=3)}
    for _ in range(rounds):
        await rig.pace.sleep(SECOND)
        now_ms = rig.venue.now_ns // 10**6
        held = [
            Holding(
                market=market,
                yes_e6=rig.ann.wallet.tokens(market.tokens[0]),
                no_e6=rig.ann.wallet.tokens(market.tokens[1]),
            )
            for market in markets
        ]
        left = rig.relayer.submissions_left()
        found = settler.plan(held, groups, now_ms=now_ms, read_ms=now_ms, submissions_left=left)
        if not found.steps:
            continue
        settler.sent(found.steps)
        done = await rig.relayer.carry_out(calls.position_calls(found.steps))
        while not done.final:
            done = await rig.relayer.follow(done.batch)
        settler.ended(RESULT[done.end], rig.venue.now_ns // 10**6)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_every_pair_becomes_cash_through_every_fault(kind):
    """Busy, slow and failing chain, lost answers; the ledger is recounted after every event."""
    for seed in range(8):
        rig, chance = Rig(kind), random.Random(f"{kind}|{seed}")
        given = [chance.randrange(2, 40) * UNIT for _ in range(5)]
        markets = (rig.plain, rig.first, rig.second, rig.third, rig.v3)
        for market, amount in zip(markets, given, strict=True):
            rig.venue.ledger.split(rig.ann.wallet, market, amount)
        for name, values in (
            ("relayer_busy", {}),
            ("relayer_slow", {"seconds": chance.randrange(1, 20)}),
            ("relayer_failed", {"state": chance.choice(["STATE_FAILED", "STATE_INVALID"])}),
        ):
            rig.venue.faults.add({"name": name, "values": values, "probability": 0.4, "for_s": 900})
        rig.port.lose, rig.port.drop = chance.randrange(3), chance.randrange(2)
        settler = Settler(Terms(rest_ms=1_000))
        rig.run(settle(rig, settler, 60))
        rig.venue.check()
        assert rig.cash_e6 == relayrig.CASH_E6, f"kind {kind}, seed {seed}: {settler}"
        assert not any(rig.ann.wallet.positions.values())


def test_a_step_that_cannot_work_does_not_keep_the_others_from_their_cash():
    """The router is not approved: the batch fails, is taken apart, and all but that one merge."""
    rig = Rig()
    for market in (rig.plain, rig.first, rig.v3):
        rig.venue.ledger.split(rig.ann.wallet, market, 10 * UNIT)
    done = rig.do(calls.approve_tokens(POLYGON.router, False, v3=True))
    assert done.end is End.CONFIRMED
    rig.ann.wallet.approved[1].discard(POLYGON.router.lower())
    rig.run(settle(rig, Settler(), 40))
    assert rig.sets(rig.plain) == rig.sets(rig.first) == (0, 0)
    assert rig.sets(rig.v3) == (10 * UNIT, 10 * UNIT)
    rig.do(calls.approve_tokens(POLYGON.router, v3=True))
    rig.run(settle(rig, Settler(), 5))
    assert rig.sets(rig.v3) == (0, 0)


def test_no_of_two_markets_pays_its_fee_when_the_wait_is_worth_it():
    rig = Rig()
    for market in (rig.first, rig.second):
        rig.venue.ledger.split(rig.ann.wallet, market, 100 * UNIT)
        yes = market.tokens[0]
        rig.venue.ledger.vault.positions[yes] = rig.ann.wallet.positions.pop(yes)
    before_e6 = rig.cash_e6
    held = [Holding(market=market, yes_e6=0, no_e6=100 * UNIT) for market in ours(rig)[1:3]]
    groups = {GROUP: Group(fee_bips=100, question_count=3)}
    now_ms = rig.venue.now_ns // 10**6
    assert plan(held, groups, now_ms=now_ms).batch == ()
    found = plan(held, groups, now_ms=now_ms, terms=Terms(unknown_ms=30 * 86_400_000))
    (step,) = found.batch
    assert step.freed_e6 == 99 * UNIT
    done = rig.run(rig.relayer.carry_out(calls.position_calls(found.steps)))
    assert done.end is End.CONFIRMED
    assert rig.cash_e6 - before_e6 == step.freed_e6
