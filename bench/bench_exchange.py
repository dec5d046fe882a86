"""
Measure the simulated exchange.

Question: is it ever the bottleneck of an engine's test? Orders are signed beforehand by polyarb and
posted in batches of 15, so the figures are what the venue needs to verify, match and answer one.
Messages are counted by a plain socket that does nothing else. An hour is default market time
stepped in process, with nobody watching. Every order must be accepted and the ledger must balance.
"""

import base64
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

from bench.inputs import Run
from bench.native import BENCH
from bench.paired import Goal, Row
from polyarb.domain.order import Generation, Order, Side, SignatureType
from polyarb.exchange.auth import Credentials, l2_headers
from polyarb.exchange.orders import batch_body
from polyarb.exchange.signing import OrderSigner
from polyarb.sim import InProcessVenue, scenarios
from polyarb.sim.exchange import Exchange

BATCH: Final = 15
SECOND: Final = 1_000_000_000
ORDERS_A_SECOND: Final = Goal(must=SECOND / 2_000)
MESSAGES_A_SECOND: Final = Goal(must=SECOND / 20_000)
HOUR: Final = Goal(must=20 * SECOND)
START: Final = Goal(must=2 * SECOND)

FLOOD: Final = '[market]\npreset = "storm"\nchanges_per_s = 60_000.0\n'
"""More than the host can do, so that what arrives is what it can do."""

Batch = tuple[bytes, dict[str, str]]


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    rounds = max(run.rounds, 1)
    batches = 40 if run.rounds else 4
    yield _row(
        "exchange: a signed order, in process",
        [_in_process(batches, seed) for seed in range(rounds)],
        ORDERS_A_SECOND,
        run,
        "verified, matched and answered, in batches of 15; 2,000/s is 500 µs",
    )
    yield _row(
        "exchange: a signed order, over a socket",
        [_over_socket(batches, seed) for seed in range(rounds)],
        ORDERS_A_SECOND,
        run,
        "as its client sees it, one connection, no pipelining",
    )
    yield _row(
        "exchange: a market message, to one subscriber",
        [_storm(5.0 if run.rounds else 0.5, seed) for seed in range(min(rounds, 3))],
        MESSAGES_A_SECOND,
        run,
        "over loopback, from a market that wants to say more than it can; 20,000/s is 50 µs",
    )
    yield _row(
        "exchange: an hour of default market time",
        [_market_time(3_600 if run.rounds else 20, seed) for seed in range(min(rounds, 3))],
        HOUR,
        run,
        "stepped in process, nobody watching",
    )
    yield _row(
        "exchange: from the command to its JSON line",
        [_start_up(seed) for seed in range(rounds)],
        START,
        run,
        "python -m polyarb exchange, default scenario",
    )


def _row(name: str, samples: Sequence[float], goal: Goal, run: Run, note: str) -> Row:
    if run.rounds == 0:
        return Row(name=name, note="ran")
    spread = f"{min(samples) / 1e3:,.1f}–{max(samples) / 1e3:,.1f} µs; {note}"
    return Row(name=name, ours=statistics.median(samples), goal=goal, note=spread)


def _signed(described: dict[str, Any], token: str, neg_risk: bool, batches: int) -> list[Batch]:
    """Return bodies and headers of orders that rest far below the market."""
    account = described["account"]
    signer = OrderSigner(account["private_key"], signature_type=3, funder=account["funder"])
    credentials = Credentials(account["api_key"], account["api_secret"], account["api_passphrase"])
    now_ms = time.time_ns() // 1_000_000
    made = []
    for batch in range(batches):
        orders = [
            Order(
                generation=Generation.V2,
                neg_risk=neg_risk,
                salt=batch * BATCH + index + 1,
                maker=signer.funder,
                signer=signer.funder,
                token_id=int(token),
                maker_amount=50_000,
                taker_amount=5_000_000,
                side=Side.BUY,
                signature_type=SignatureType.POLY_1271,
                timestamp=now_ms,
            )
            for index in range(BATCH)
        ]
        body = batch_body(signer.sign(orders), owner=account["api_key"], order_type="GTC")
        headers = l2_headers(credentials, "POST", "/orders", body, now_ms // 1_000, signer.address)
        made.append((body, headers))
    return made


def _cheapest(markets: Sequence[dict[str, Any]]) -> tuple[str, bool]:
    """Return a token of tick 0.01 and whether it is neg-risk, from the CLOB's market list."""
    for market in markets:
        tokens = [token["token_id"] for token in market["tokens"]]
        plain = int(tokens[0]) >> 40 & (1 << 64) - 1
        if float(market["minimum_tick_size"]) == 0.01 and plain and not market["seconds_delay"]:
            return tokens[0], market["neg_risk"]
    raise AssertionError("no market of tick 0.01")


def _in_process(batches: int, seed: int) -> float:
    venue = InProcessVenue("still", seed=seed, start_ns=time.time_ns())
    markets = json.loads(venue.call("GET", "/markets").body)["data"]
    token, neg_risk = _cheapest(markets)
    described = venue.exchange.describe("http://127.0.0.1")
    made = _signed(described, token, neg_risk, batches)
    started = time.perf_counter_ns()
    answers = [venue.call("POST", "/orders", headers=headers, body=body) for body, headers in made]
    took = time.perf_counter_ns() - started
    _all_live(answer.body for answer in answers)
    venue.exchange.venue.check()
    return took / (batches * BATCH)


def _all_live(bodies: Iterator[bytes]) -> None:
    for body in bodies:
        answers = json.loads(body)
        assert [answer["status"] for answer in answers] == ["live"] * BATCH, answers


@contextmanager
def _exchange(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run ``python -m polyarb exchange``; an orderly end with a balanced ledger is part of it."""
    command = [sys.executable, "-m", "polyarb", "exchange", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, cwd=BENCH.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said.decode()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _over_socket(batches: int, seed: int) -> float:
    with _exchange("--scenario", "still", "--seed", str(seed)) as described:
        address = urlsplit(described["clob_url"])
        assert address.hostname is not None
        connection = HTTPConnection(address.hostname, address.port, timeout=30)
        connection.request("GET", "/markets")
        markets = json.loads(connection.getresponse().read())["data"]
        made = _signed(described, *_cheapest(markets), batches)
        answers = []
        started = time.perf_counter_ns()
        for body, headers in made:
            connection.request("POST", "/orders", body, headers)
            answers.append(connection.getresponse().read())
        took = time.perf_counter_ns() - started
        _all_live(iter(answers))
        connection.close()
    return took / (batches * BATCH)


def _storm(for_s: float, seed: int) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as scenario:
        scenario.write(FLOOD)
        scenario.flush()
        return _flood(scenario.name, for_s, seed)


def _flood(scenario: str, for_s: float, seed: int) -> float:
    with _exchange("--scenario", scenario, "--seed", str(seed)) as described:
        tokens = _every_token(described["clob_url"])
        with _subscribed(described["market_ws_url"], tokens) as feed:
            feed.read_for(1.0)  # the opening books
            count, took = feed.read_for(for_s)
    assert count, "nothing came"
    return took / count


def _every_token(url: str) -> list[str]:
    address = urlsplit(url)
    assert address.hostname is not None
    connection = HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("GET", "/markets")
    markets = json.loads(connection.getresponse().read())["data"]
    connection.close()
    return [token["token_id"] for market in markets for token in market["tokens"]]


class _Feed:
    """A subscriber that only counts: it reads headers of frames and jumps over the rest."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = b""

    def read_for(self, seconds: float) -> tuple[int, int]:
        """Return (messages, nanoseconds) read in about that time."""
        count = 0
        started = time.perf_counter_ns()
        while (took := time.perf_counter_ns() - started) < seconds * SECOND:
            self._held += self._connection.recv(1 << 20)
            found, used = _frames(self._held)
            count += found
            self._held = self._held[used:]
        return count, took


def _frames(data: bytes) -> tuple[int, int]:
    """Return how many whole frames there are and how many bytes they take (RFC 6455 §5.2)."""
    at = count = 0
    end = len(data)
    while at + 10 <= end:
        length, head = data[at + 1] & 127, 2
        if length == 126:
            length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        if at + head + length > end:
            break
        at += head + length
        count += 1
    return count, at


@contextmanager
def _subscribed(url: str, tokens: Sequence[str]) -> Iterator[_Feed]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            "".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        wanted = {"type": "market", "assets_ids": list(tokens)}
        connection.sendall(_masked(json.dumps(wanted).encode()))
        yield _Feed(connection)


def _masked(text: bytes) -> bytes:
    """Return one client frame, masked with zeros."""
    return b"\x81\xff" + len(text).to_bytes(8, "big") + bytes(4) + text


def _market_time(seconds: int, seed: int) -> float:
    """Return what `seconds` of default market time take, scaled to what was asked for."""
    exchange = Exchange(scenarios.find("default"), seed=seed)
    venue = exchange.venue
    started = time.perf_counter_ns()
    venue.advance(venue.now_ns + seconds * SECOND)
    took = time.perf_counter_ns() - started
    venue.check()
    return took


def _start_up(seed: int) -> float:
    started = time.perf_counter_ns()
    with _exchange("--seed", str(seed)):
        return time.perf_counter_ns() - started
