"""
From the call that sends to the peer having the whole POST (performance.md rows 12 and 13).

Question: how much of the way out is ours? All sides send the same 128 requests of two legs, already
built, over connections that are open, and take turns every 16 requests; the peer (`trade_peer`)
never sleeps, so that its wake-up is in nobody's figure, and stamps the last byte with the clock
that all processes share. Against a blocking socket that does nothing but ``sendall``, and against
``aiohttp.ClientSession.post``. The peer must have received the very bytes, which its answer tells.
"""

import asyncio
import gc
import hashlib
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from bench.bench_feed import _certificate
from bench.inputs import Inputs, Run
from bench.native import BENCH
from bench.paired import INPUTS, Goal, Row, summarize
from polyarb import clock
from polyarb.domain.answer import OrderAnswer
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.answers import Asked
from polyarb.exchange.auth import l2_headers
from polyarb.exchange.fastpath import FastPath, Leg, Lines, Way, prepared_post
from polyarb.exchange.throttle import Throttle
from polyarb.exchange.transport import Session

ROW_12: Final = {False: Goal(must=1.5, stretch=1.2), True: Goal(must=1.4, stretch=1.2)}
ROW_13: Final = {
    False: Goal(must=6, stretch=9, at_least=True),
    True: Goal(must=4, stretch=6, at_least=True),
}
LEGS: Final = 2
PASSES: Final = 4
TURN: Final = 16
"""Requests between two changes of side."""

Sample = tuple[int, dict[str, Any]]
"""Nanoseconds of the call, what the peer told."""


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    with TemporaryDirectory(prefix="polyarb-bench-") as folder:
        certificate = _certificate(Path(folder))
        for secure in (False, True):
            name = "TLS" if secure else "plain"
            if secure and certificate is None:
                yield Row(name="call to peer over TLS", note="openssl is not installed")
                continue
            with peer("--spin", *([str(certificate)] if secure else [])) as port:
                samples = asyncio.run(_measure(run, port, certificate if secure else None))
            if run.rounds == 0:
                yield Row(name=f"call to peer, {name}", note="ran")
                continue
            yield summarize(
                f"12 call to peer, {name}",
                [(ours, raw) for ours, raw, _ in samples],
                1,
                goal=ROW_12[secure],
                note=f"POST of {LEGS} legs; against sendall on a blocking socket, same bytes",
            )
            yield summarize(
                f"13 call to peer, {name}",
                [(ours, theirs) for ours, _, theirs in samples],
                1,
                goal=ROW_13[secure],
                note="against aiohttp's session.post, body and headers given",
            )


class Counting:
    """The client of a path whose answers are the peer's stamps."""

    def __init__(self) -> None:
        self._throttle = Throttle(clock.monotonic_ns(), tier="Elite")
        self.told: dict[str, Any] = {}

    @property
    def now_ns(self) -> int:
        """Return the wall clock."""
        return clock.wall_ns()

    def wait_ns(self, orders: int, now_ns: int, *, urgent: bool = False) -> int:
        """Look at a budget that nobody draws on, so that the peer sets the pace."""
        return self._throttle.wait_ns("POST /orders", orders, now_ns, urgent=urgent)

    def spend(self, orders: int) -> None:
        """Spend nothing."""

    async def post_built(self, asked: Sequence[Asked], body: bytes) -> Sequence[OrderAnswer]:
        """Fail: nothing may take the ordinary way here."""
        raise AssertionError("a request took the ordinary way")

    def understand(self, asked: Sequence[Asked], response: HttpResponse) -> Sequence[OrderAnswer]:
        """Keep the stamps."""
        [self.told] = json.loads(response.body)
        return []


async def _measure(
    run: Run, port: int, certificate: Path | None
) -> list[tuple[float, float, float]]:
    tls = ssl.create_default_context(cafile=certificate) if certificate else None
    url = f"{'https' if tls else 'http'}://localhost:{port}"
    inputs = run.inputs
    client = Counting()
    async with Session(tls=tls) as session, aiohttp.ClientSession() as other:
        lines = Lines(session, url)
        await lines.tend()
        post = prepared_post(url, inputs.address, inputs.credentials)
        path = FastPath(
            client, lines, request=inputs.request(inputs.signer(backend="native")), post=post
        )
        raw = _blocking(port, tls)
        sides = _Sides(inputs, path, client, raw, other, f"{url}/orders", tls)
        try:
            done = [await sides.round(1 if run.rounds == 0 else PASSES, flip=False)]
            done += [await sides.round(PASSES, flip=n % 2 == 1) for n in range(run.rounds)]
        finally:
            raw.close()
            lines.close()
        assert path.sent[Way.ORDINARY] == path.sent[Way.NOWHERE] == 0, path.sent
        return done[1:]


class _Sides:
    def __init__(  # noqa: PLR0917
        self,
        inputs: Inputs,
        path: FastPath,
        client: Counting,
        raw: socket.socket,
        other: aiohttp.ClientSession,
        url: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._inputs, self._path, self._client = inputs, path, client
        self._raw, self._other, self._url = raw, other, url
        self._tls = tls
        self._legs = [
            [Leg(s.token, s.side, s.maker_amount, s.taker_amount) for s in basket[:LEGS]]
            for basket in inputs.baskets
        ]
        self._head_bytes = path._post.head_bytes

    async def round(self, passes: int, *, flip: bool) -> tuple[float, float, float]:
        """Return the median nanoseconds of ours, the blocking socket and aiohttp."""
        sides: list[Callable[[int], Awaitable[int]]] = [self.ours, self.blocking, self.aiohttp]
        took: list[list[int]] = [[], [], []]
        order = [2, 1, 0] if flip else [0, 1, 2]
        gc.collect()
        gc.disable()
        try:
            for _ in range(passes):
                for first in range(0, INPUTS, TURN):
                    for side in order:
                        for index in range(first, first + TURN):
                            took[side].append(await sides[side](index))
        finally:
            gc.enable()
        ours, raw, other = (statistics.median(each) for each in took)
        return ours, raw, other

    async def ours(self, index: int) -> int:
        """Send over a line."""
        whole = self._build(index)
        send = self._path.send
        began = time.monotonic_ns()
        flight = send()
        assert flight.way is Way.DIRECT
        await flight.answers
        return _checked(began, self._client.told, whole)

    async def blocking(self, index: int) -> int:
        """Send the same bytes over a blocking socket."""
        whole = self._build(index)
        sendall = self._raw.sendall
        began = time.monotonic_ns()
        sendall(whole)
        return _checked(began, _answer(self._raw), whole)

    async def aiohttp(self, index: int) -> int:
        """Post the same body."""
        body = self._build(index)[self._head_bytes :]
        inputs, seconds = self._inputs, clock.wall_ns() // 10**9
        headers = l2_headers(inputs.credentials, "POST", "/orders", body, seconds, inputs.address)
        headers["Content-Type"] = "application/json"
        post, url, tls = self._other.post, self._url, self._tls or True
        began = time.monotonic_ns()
        async with post(url, data=body, headers=headers, ssl=tls) as answer:
            [told] = json.loads(await answer.read())
        assert told["body"] == hashlib.sha256(body).hexdigest(), "another body arrived"
        return int(told["at"]) - began

    def _build(self, index: int) -> bytes:
        self._path.build(self._legs[index])
        assert self._path._whole is not None
        return bytes(self._path._whole)


def _checked(began: int, told: dict[str, Any], whole: bytes) -> int:
    assert told["whole"] == hashlib.sha256(whole).hexdigest(), "other bytes arrived"
    return int(told["at"]) - began


def _blocking(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(("localhost", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(connection, server_hostname="localhost") if tls else connection


def _answer(connection: socket.socket) -> dict[str, Any]:
    held = b""
    while True:
        held += connection.recv(1 << 16)
        head, end, body = held.partition(b"\r\n\r\n")
        if end and len(body) == int(head.lower().partition(b"content-length:")[2].split()[0]):
            [told] = json.loads(body)
            return dict(told)


@contextmanager
def peer(*arguments: str) -> Iterator[int]:
    """Run the exchange of these benchmarks on a processor of its own; give its port."""
    command = [sys.executable, "-m", "bench.trade_peer", *arguments]
    process = subprocess.Popen(command, cwd=BENCH.parent, stdout=subprocess.PIPE)
    assert process.stdout
    ours = os.sched_getaffinity(0)
    first, *others = sorted(ours)
    try:
        if others:
            os.sched_setaffinity(process.pid, {others[-1]})
            os.sched_setaffinity(0, {first})
        yield int(process.stdout.readline())
    finally:
        os.sched_setaffinity(0, ours)
        process.kill()
        process.wait()
        process.stdout.close()
