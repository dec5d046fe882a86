"""A rehearsal runs what sends, and can do nothing: it reserves, signs and writes for nobody."""

import asyncio
import contextlib
import gc
import json
import socket
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import coincurve
import pytest
from hotpath import (
    CREDENTIALS,
    RESTING,
    SIGNER,
    Path,
    account_order,
    against_a_peer,
    tended,
    venue,
)
from waiting import until

from polyarb.core.account import Account, Stamps
from polyarb.core.arena import Arena
from polyarb.core.digest import HmacKey
from polyarb.core.sign import Signer
from polyarb.domain.answer import Accepted
from polyarb.exchange.auth import Credentials, l2_headers
from polyarb.exchange.fastpath import Lines, Way
from polyarb.exchange.rehearsal import KeepWarm, Rehearsal
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.throttle import Throttle
from polyarb.exchange.trading import TradingClient
from polyarb.exchange.transport import HttpPort, Line, Session

pytestmark = pytest.mark.asyncio

LEGS = [RESTING, RESTING]
MS = 1_000_000


def rehearsal_of(path: Path, url: str) -> Rehearsal:
    return Rehearsal(
        url,
        credentials=path.credentials,
        account_order=account_order(path.signer),
        tokens=path.tokens,
        legs=LEGS,
    )


@contextlib.asynccontextmanager
async def rehearsing() -> AsyncIterator[tuple[Any, Path, Rehearsal]]:
    async with against_a_peer() as (peer, path):
        yield peer, path, rehearsal_of(path, peer.url)


def reachable(start: object) -> Iterator[object]:
    """Yield every object that leads from `start`; code leads everywhere and is left out."""
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)
    seen: dict[int, object] = {}
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, code):
            continue
        seen[id(one)] = one
        yield one
        waiting += gc.get_referents(one)


async def test_it_leads_to_nothing_that_could_do_harm() -> None:
    async with rehearsing() as (_, path, rehearsal):
        for _ in range(3):
            rehearsal.run()
        held = [*reachable(rehearsal)]
        outside = (Session, Line, Lines, HttpPort, TradingClient, OrderSigner, Credentials)
        world = (asyncio.BaseTransport, asyncio.AbstractEventLoop, socket.socket, asyncio.Future)
        assert [one for one in held if isinstance(one, outside + world)] == []
        for kind in (Account, Stamps, Arena, Throttle, Signer, HmacKey):
            of_ours = {id(one) for one in reachable(path.fast) if isinstance(one, kind)}
            of_ours |= {id(one) for one in reachable(path.account) if isinstance(one, kind)}
            its_own = {id(one) for one in held if isinstance(one, kind)}
            assert not of_ours & its_own, kind
        secrets = (CREDENTIALS.secret, CREDENTIALS.passphrase, CREDENTIALS.api_key, "11" * 32)
        for one in held:
            if isinstance(one, str | bytes | bytearray):
                text = one if isinstance(one, str) else bytes(one).decode("latin-1")
                assert not any(secret in text for secret in secrets)


async def test_the_walk_finds_what_it_looks_for() -> None:
    """Nothing found means nothing where nothing can be found."""
    async with rehearsing() as (_, path, _rehearsal):
        kinds = {type(one) for one in reachable(path.fast)}
        assert {TradingClient, Lines, Line, Session, Stamps, Signer, Throttle} <= kinds


async def test_it_takes_nothing_and_writes_nothing() -> None:
    async with rehearsing() as (peer, path, rehearsal):
        await path.send(RESTING).answers
        balance = path.account.balance
        balance.credit(5_000_000)
        before = (
            path.account.stamps.last_ms,
            balance.snapshot(),
            path.fast.sent.copy(),
            [*peer.posts],
            peer.gets,
        )
        for _ in range(500):
            rehearsal.run()
            rehearsal.account.balance.reserve(1_000)
            path.fast.prepare()
        assert rehearsal.path.sent[Way.DIRECT] == 500
        await asyncio.sleep(0.05)
        after = (
            path.account.stamps.last_ms,
            balance.snapshot(),
            path.fast.sent,
            peer.posts,
            peer.gets,
        )
        assert after == before
        assert [type(said) for said in await path.send(RESTING).answers] == [Accepted]


async def test_it_signs_for_nobody() -> None:
    async with rehearsing() as (_, _path, rehearsal):
        rehearsal.run()
        assert rehearsal.address != SIGNER.address
        head, _, body = rehearsal.written.partition(b"\r\n\r\n")
        digests = [one.order_id for one in rehearsal.path.asked]
        for digest, item in zip(digests, json.loads(body), strict=True):
            assert item["order"]["maker"] == SIGNER.funder  # for what is not a secret, the same
            raw = bytes.fromhex(item["order"]["signature"][2:])
            signer = coincurve.PublicKey.from_signature_and_message(
                raw[:64] + bytes([raw[64] - 27]), bytes.fromhex(digest[2:]), hasher=None
            )
            assert signer.format() != SIGNER._key.public_key.format()
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        seconds = int(lines["POLY_TIMESTAMP"])
        ours = l2_headers(CREDENTIALS, "POST", "/orders", body, seconds, SIGNER.address)
        assert lines["POLY_SIGNATURE"] != ours["POLY_SIGNATURE"]
        assert lines["POLY_API_KEY"] != CREDENTIALS.api_key
        assert lines["POLY_PASSPHRASE"] != CREDENTIALS.passphrase


async def test_it_writes_as_many_bytes_as_the_real_one() -> None:
    async with rehearsing() as (peer, path, rehearsal):
        rehearsal.run()
        await path.send(*LEGS).answers
        real, own = peer.posts[-1], rehearsal.written
        assert abs(len(real) - len(own)) <= 2 * len(LEGS)  # a salt may have a digit less
        names = [[line.split(b":")[0] for line in one.split(b"\r\n")] for one in (real, own)]
        assert names[0] == names[1]


async def test_the_exchange_would_not_take_it() -> None:
    async with venue() as there, Session() as session, tended(there.path(session)) as path:
        rehearsal = rehearsal_of(path, there.url)
        rehearsal.run()
        line = await session.line(there.url, timeout_s=5)
        line.write(rehearsal.written)
        assert (await line.answer(5)).status == 401
        line.close()
        assert await path.client.open_orders() == []


async def test_a_timer_rehearses_until_it_is_ended() -> None:
    async with rehearsing() as (peer, path, rehearsal):
        timer = KeepWarm(rehearsal.run, path.fast.prepare, MS)
        timer.begin()
        await until(lambda: timer.count >= 5, "rehearsals")
        flight = path.send(RESTING)
        assert flight.way is Way.DIRECT
        await flight.answers
        await until(lambda: timer.count >= 10, "more of them")
        timer.end()
        count = timer.count
        await asyncio.sleep(0.02)
        assert timer.count == count
        assert len(peer.posts) == 1
