"""
From a signal to the bytes of its POST /orders (performance.md rows 7 and 9), and the body alone.

Questions: how much more than its raw signatures does a request cost; how does the whole compare
with the official SDK, over the prepared request and over the general path; what does one order of
a body cost against `json.dumps`? Input: all 128 baskets, cut to 2 and 3 legs. Every body is
compared byte for byte with the SDK's, salts, times and headers included; without the SDK, with
the general path, and every signature recovers to the account.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from time import perf_counter_ns
from typing import Any

from bench.bench_sign import assert_recovers, core_side, library_side
from bench.inputs import ORDER_TYPE, TICK, Inputs, Run, Signal
from bench.paired import INPUTS, Goal, Row, Side, paired
from bench.sdk import Sdk, installed
from polyarb._core import ffi, lib
from polyarb.core.digest import OrderBatch
from polyarb.core.request import Request
from polyarb.domain.order import Order
from polyarb.exchange.auth import l2_headers
from polyarb.exchange.orders import batch_body, limit_amounts
from polyarb.exchange.signing import BACKENDS, OrderSigner

ROW_7 = Goal(must=1.10, stretch=1.06)
ROW_9 = Goal(must=18, stretch=23, at_least=True)


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    for signature_type in (0, 3):
        signer = run.inputs.signer(signature_type=signature_type, backend="native")
        for legs in (2, 3):
            check_requests(run.inputs, signer, legs)
    for legs in (2, 3):
        yield from _against_raw(run, legs)
    yield from _against_sdk(run)
    yield from _bodies(run)


def check_requests(inputs: Inputs, signer: OrderSigner, legs: int) -> None:
    """Hold every prepared request to the general path and, if it is there, to the SDK."""
    request = inputs.request(signer)
    wallet = signer.signature_type
    sdk = Sdk(inputs, signature_type=wallet) if installed() else None
    credentials = inputs.credentials
    digests, signatures = [], []
    for basket in inputs.baskets:
        body = _build(request, basket[:legs], inputs.now_ms)
        sent = [item["order"] for item in json.loads(body)]
        salts = [order["salt"] for order in sent]
        times = [int(order["timestamp"]) for order in sent]
        signed = signer.sign(
            [
                inputs.order(signer, signal, salt=salt, timestamp=timestamp)
                for signal, salt, timestamp in zip(basket, salts, times, strict=False)
            ]
        )
        headers = l2_headers(
            credentials, "POST", "/orders", body, inputs.now_ms // 1000, signer.address
        )
        assert batch_body(signed, owner=credentials.api_key, order_type=ORDER_TYPE) == body
        assert [request.order_id(i) for i in range(legs)] == [item.order_id for item in signed]
        assert headers["POLY_SIGNATURE"] == request.signature
        assert headers["POLY_TIMESTAMP"] == request.timestamp
        digests += [item.digest for item in signed]
        signatures += [bytes.fromhex(order["signature"][2:]) for order in sent]
        if sdk is not None:
            with sdk.frozen(salts, times, inputs.now_ms // 1000):
                sdk.request(sdk.arguments(basket[:legs]))
            assert sdk.body == body, "the SDK sends other bytes"
            assert sdk.headers == headers, "the SDK sends other headers"
            if wallet == 0:
                with sdk.frozen(salts, times, inputs.now_ms // 1000):
                    sdk.request_of_amounts(sdk.amounts(basket[:legs], times))
                assert (sdk.body, sdk.headers) == (body, headers), "the SDK's builder differs"
    if wallet != 3:  # type 3 signs the wallet's digest, which the comparison above covers
        assert_recovers(digests, b"".join(signatures), inputs.address)


def _against_raw(run: Run, legs: int) -> Iterator[Row]:
    """Row 7, with either nonce, and where the rest goes."""
    inputs = run.inputs
    signer = inputs.signer(backend="native")
    signed = [item for orders in inputs.orders(signer, legs) for item in signer.sign(orders)]
    digests = [item.digest for item in signed]
    library, out = library_side(run, digests, legs)
    for backend in BACKENDS[:2]:
        one = inputs.signer(backend=backend)
        yield paired(
            f"7 signal to request, {legs} legs, {backend}",
            _prepared(inputs, inputs.request(one), legs),
            library,
            rounds=run.rounds,
            turn=8,
            goal=ROW_7,
            note=f"against {legs} raw signatures of libsecp256k1, default nonce",
        )
    own, _ = core_side(run, signer, digests)
    yield paired(
        f"the same, {legs} legs, native",
        _prepared(inputs, inputs.request(signer), legs),
        lambda first, last: own(first * legs, last * legs),
        rounds=run.rounds,
        turn=8,
        note=f"against {legs} signatures with our own nonce",
    )
    yield paired(
        f"the same without Python, {legs} legs, native",
        _in_c(run, inputs.request(signer), legs),
        lambda first, last: own(first * legs, last * legs),
        rounds=run.rounds,
        turn=8,
        note="pa_request_build in C, against the same",
    )
    wallet = inputs.signer(signature_type=3, backend="native")
    yield paired(
        f"signal to request, {legs} legs, deposit wallet, native",
        _prepared(inputs, inputs.request(wallet), legs),
        library,
        rounds=run.rounds,
        turn=8,
        note="type 3: two more hashes a leg and a body half as long again",
    )
    assert_recovers(digests, bytes(out), inputs.address)


def _against_sdk(run: Run) -> Iterator[Row]:
    """Row 9, and the same with the same work on both sides."""
    inputs = run.inputs
    version = installed()
    if version is None:
        for name in ("9 signal to request", "price and size given", "general path"):
            yield Row(name=name, note="py-clob-client-v2 is not installed")
        return
    sdk = Sdk(inputs)
    request = inputs.request(inputs.signer(backend="native"))
    for legs in (2, 3):
        whole = _sdk(inputs, sdk, legs)
        public = f"against create_order + post_orders of py-clob-client-v2 {version}"
        for name, ours, against, goal, note in (
            (
                f"9 signal to request, {legs} legs",
                _prepared(inputs, request, legs),
                whole,
                ROW_9,
                public,
            ),
            (
                f"price and size given, {legs} legs",
                _priced(inputs, request, legs),
                whole,
                None,
                f"limit_amounts on the way, header values read; {public}",
            ),
            (
                f"amounts given, {legs} legs",
                _prepared(inputs, request, legs),
                _sdk_core(inputs, sdk, legs),
                None,
                "against the SDK's builder, kept per contract, json.dumps and header",
            ),
            (
                f"general path, {legs} legs",
                _general(inputs, inputs.signer(), legs),
                whole,
                None,
                f"limit_amounts, Order, sign, batch_body, l2_headers; {public}",
            ),
        ):
            yield paired(name, ours, against, rounds=run.rounds, goal=goal, faster=True, note=note)


def _bodies(run: Run) -> Iterator[Row]:
    """Encode 2, 3 and 15 orders in C against json.dumps of the same."""
    inputs = run.inputs
    signer = inputs.signer(backend="native")
    owner = inputs.credentials.api_key
    for count in (2, 3, 15):
        flat = [
            replace(orders[k % 3], salt=100 * i + k)
            for i, orders in enumerate(inputs.orders(signer, 3))
            for k in range(count)
        ]
        batches = [signer.sign(flat[i : i + count]) for i in range(0, len(flat), count)]
        bodies = [batch_body(batch, owner=owner, order_type=ORDER_TYPE) for batch in batches]
        payloads = [json.loads(body) for body in bodies]
        ours, check = _encode(run, signer, flat, count, owner)
        yield paired(
            f"body of {count} orders in C, per order",
            ours,
            _dumps(payloads),
            rounds=run.rounds,
            operations=count,
            faster=True,
            note="against json.dumps of the payload, already a dict",
        )
        check(bodies)
        dumped = [json.dumps(payload, separators=(",", ":")).encode() for payload in payloads]
        assert dumped == bodies


def _build(request: Request, signals: Sequence[Signal], now_ms: int) -> bytes:
    for i, leg in enumerate(signals):
        request.put_leg(i, leg.token, leg.side, leg.maker_amount, leg.taker_amount)
    return bytes(request.build(len(signals), now_ms))


def _prepared(inputs: Inputs, request: Request, legs: int) -> Side:
    """Return the prepared request from Python: amounts are in the signal, as sizing gives them."""
    baskets = [
        [(i, s.token, s.side, s.maker_amount, s.taker_amount) for i, s in enumerate(basket[:legs])]
        for basket in inputs.baskets
    ]
    put_leg, build, now_ms = request.put_leg, request.build, inputs.now_ms

    def side(first: int, last: int) -> int:
        chosen = baskets[first:last]
        start = perf_counter_ns()
        for basket in chosen:
            for leg in basket:
                put_leg(*leg)
            build(legs, now_ms)
        return perf_counter_ns() - start

    return side


def _priced(inputs: Inputs, request: Request, legs: int) -> Side:
    """Return the prepared request with the amounts computed on the way, as the SDK does."""
    tick = Decimal(TICK)
    baskets = [
        [
            (i, s.token, s.side, Decimal(s.price), Decimal(s.size))
            for i, s in enumerate(basket[:legs])
        ]
        for basket in inputs.baskets
    ]
    put_leg, build, now_ms = request.put_leg, request.build, inputs.now_ms

    def side(first: int, last: int) -> int:
        chosen = baskets[first:last]
        start = perf_counter_ns()
        for basket in chosen:
            for i, token, direction, price, size in basket:
                amounts = limit_amounts(price, size, direction, tick)
                put_leg(i, token, direction, amounts.maker, amounts.taker)
            build(legs, now_ms)
            _ = request.signature, request.timestamp
        return perf_counter_ns() - start

    return side


def _general(inputs: Inputs, signer: OrderSigner, legs: int) -> Side:
    """Return the general path from price and size to body and headers, orders made on the way."""
    baskets = [basket[:legs] for basket in inputs.baskets]
    credentials, seconds, tick = inputs.credentials, inputs.now_ms // 1000, Decimal(TICK)
    prices = {id(s): (Decimal(s.price), Decimal(s.size)) for basket in baskets for s in basket}

    def order(signal: Signal, salt: int) -> Order:
        amounts = limit_amounts(*prices[id(signal)], signal.side, tick)
        token = inputs.tokens[signal.token]
        return Order(
            neg_risk=token.neg_risk,
            salt=salt,
            maker=signer.funder,
            signer=signer.address,
            token_id=token.token_id,
            maker_amount=amounts.maker,
            taker_amount=amounts.taker,
            side=signal.side,
            timestamp=inputs.now_ms,
        )

    def side(first: int, last: int) -> int:
        chosen = baskets[first:last]
        start = perf_counter_ns()
        for basket in chosen:
            signed = signer.sign([order(signal, salt) for salt, signal in enumerate(basket)])
            body = batch_body(signed, owner=credentials.api_key, order_type=ORDER_TYPE)
            l2_headers(credentials, "POST", "/orders", body, seconds, signer.address)
        return perf_counter_ns() - start

    return side


def _sdk(inputs: Inputs, sdk: Sdk, legs: int) -> Side:
    baskets = [sdk.arguments(basket[:legs]) for basket in inputs.baskets]
    request = sdk.request

    def side(first: int, last: int) -> int:
        chosen = baskets[first:last]
        start = perf_counter_ns()
        for basket in chosen:
            request(basket)
        return perf_counter_ns() - start

    return side


def _sdk_core(inputs: Inputs, sdk: Sdk, legs: int) -> Side:
    baskets = [sdk.amounts(basket[:legs]) for basket in inputs.baskets]
    request = sdk.request_of_amounts

    def side(first: int, last: int) -> int:
        chosen = baskets[first:last]
        start = perf_counter_ns()
        for basket in chosen:
            request(basket)
        return perf_counter_ns() - start

    return side


def _in_c(run: Run, request: Request, legs: int) -> Side:
    """Return pa_request_build over legs written beforehand."""
    packed = b""
    for basket in run.inputs.baskets:
        _build(request, basket[:legs], run.inputs.now_ms)
        packed += bytes(request._legs)[: ffi.sizeof("pa_leg") * legs]
    body = ffi.new("char[]", 2048 * legs)
    built = ffi.new("pa_built *")
    build = int(ffi.cast("uintptr_t", ffi.addressof(lib, "pa_request_build")))
    loop = run.native.loops.loop_build
    before = (build, request._cdata, request._stamp, ffi.from_buffer(packed), legs)

    def side(first: int, last: int, _request: Request = request) -> int:  # which owns its memory
        elapsed = loop(*before, run.inputs.now_ms, body, len(body), built, first, last)
        assert elapsed > 0, "a build was refused"
        return int(elapsed)

    return side


def _encode(
    run: Run, signer: OrderSigner, flat: list[Order], count: int, owner: str
) -> tuple[Side, Any]:
    orders = ffi.new("pa_order[]", len(flat))
    done = ffi.new("pa_signed[]", len(flat))
    for i in range(0, len(flat), count):
        batch = OrderBatch(flat[i : i + count])
        signer.sign_batch(batch)
        ffi.memmove(orders + i, batch.orders, ffi.sizeof("pa_order") * count)
        ffi.memmove(done + i, batch.done, ffi.sizeof("pa_signed") * count)
    terms = ffi.new("pa_terms[]", [(lib.PA_FAK, 0, 0, 0)] * count)
    capacity = lib.pa_batch_bytes_max(orders, count, len(owner))
    out = ffi.new("char[]", capacity * INPUTS)
    written = ffi.new("size_t[]", INPUTS)
    encode = int(ffi.cast("uintptr_t", ffi.addressof(lib, "pa_encode_batch")))
    loop = run.native.loops.loop_encode
    owner_raw = owner.encode("ascii")
    before = (encode, orders, done, terms, count, owner_raw, len(owner_raw))

    def side(first: int, last: int) -> int:
        elapsed = loop(*before, out, capacity, written, first, last)
        assert elapsed > 0, "a body was refused"
        return int(elapsed)

    def check(bodies: Sequence[bytes]) -> None:
        for i, body in enumerate(bodies):
            assert bytes(ffi.buffer(out + capacity * i, written[i])) == body

    return side, check


def _dumps(payloads: list[Any]) -> Side:
    dumps = json.dumps

    def side(first: int, last: int) -> int:
        chosen = payloads[first:last]
        start = perf_counter_ns()
        for payload in chosen:
            dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        return perf_counter_ns() - start

    return side
