"""
The L2 header's HMAC over a body of about 1.5 KB (performance.md row 11).

Question: is the header at least as cheap as what Python offers (`hmac.digest`, which is OpenSSL in
one call, and `urlsafe_b64encode`), from Python and inside C? Input: the bodies of all 128 baskets
of two orders. Python's side gets prefix and body already joined; ours takes them as two parts.
"""

import base64
import hmac
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

from bench.inputs import ORDER_TYPE, Run
from bench.paired import INPUTS, Goal, Row, Side, paired
from polyarb._core import ffi, lib
from polyarb.exchange.orders import batch_body

ROW_11 = Goal(must=1.0, stretch=2.2, at_least=True)


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    inputs = run.inputs
    signer = inputs.signer()
    key = base64.urlsafe_b64decode(inputs.account["secret"])
    prefix = f"{inputs.now_ms // 1000}POST/orders".encode("ascii")
    owner = inputs.credentials.api_key
    bodies = [
        batch_body(signer.sign(orders), owner=owner, order_type=ORDER_TYPE)
        for orders in inputs.orders(signer, 2)
    ]
    joined = [prefix + body for body in bodies]
    expected = [_reference(key, message) for message in joined]
    assert [inputs.credentials.hmac.sign(prefix, body) for body in bodies] == expected

    bytes_ = sum(map(len, joined)) // INPUTS
    yield paired(
        f"11 HMAC header, {bytes_} bytes, from Python",
        _ours(inputs.credentials.hmac, prefix, bodies),
        _theirs(key, joined),
        rounds=run.rounds,
        turn=32,
        goal=ROW_11,
        note="against hmac.digest + urlsafe_b64encode",
    )
    out = ffi.new("char[]", INPUTS * lib.PA_BASE64_DIGEST_BYTES)
    yield paired(
        f"11 HMAC header, {bytes_} bytes, inside C",
        _in_c(run, inputs.credentials.hmac, prefix, bodies, out),
        _theirs(key, joined),
        rounds=run.rounds,
        turn=32,
        goal=ROW_11,
        note="against the same, called from Python",
    )
    assert bytes(ffi.buffer(out)) == "".join(expected).encode("ascii")


def _reference(key: bytes, message: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).decode("ascii")


def _ours(key: Any, prefix: bytes, bodies: list[bytes]) -> Side:
    sign = key.sign

    def side(first: int, last: int) -> int:
        chosen = bodies[first:last]
        start = perf_counter_ns()
        for body in chosen:
            sign(prefix, body)
        return perf_counter_ns() - start

    return side


def _theirs(key: bytes, messages: list[bytes]) -> Side:
    digest, encode = hmac.digest, base64.urlsafe_b64encode

    def side(first: int, last: int) -> int:
        chosen = messages[first:last]
        start = perf_counter_ns()
        for message in chosen:
            encode(digest(key, message, "sha256")).decode("ascii")
        return perf_counter_ns() - start

    return side


def _in_c(run: Run, key: Any, prefix: bytes, bodies: list[bytes], out: Any) -> Side:
    kept = [ffi.from_buffer("uint8_t[]", part) for body in bodies for part in (prefix, body)]
    parts = ffi.new("pa_bytes[]", [(part, len(part)) for part in kept])
    sign = int(ffi.cast("uintptr_t", ffi.addressof(lib, "pa_hmac_sign_base64")))
    loop = run.native.loops.loop_hmac

    def side(first: int, last: int, _kept: Any = kept) -> int:
        return int(loop(sign, key.cdata, parts, first, last, out))

    return side
