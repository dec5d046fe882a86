"""What the relayer's answers mean, one by one, and its quota."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarb.errors import MalformedError
from polyarb.exchange.submission import (
    MINUTE_NS,
    SECOND,
    Busy,
    Later,
    Lost,
    Quota,
    Refused,
    Stale,
    State,
    Taken,
    read_answer,
    read_deployed,
    read_transaction,
    read_turn,
)

NOW_NS = 1_790_000_000 * SECOND
HTML = b"<html><h1>502 Bad Gateway</h1></html>"


def error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()


def read(status: int, body: bytes, **headers: str) -> Any:
    lowered = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(status, lowered, body, NOW_NS)


@pytest.mark.parametrize("body", [b'{"transactionID":"a-1","state":"STATE_NEW"}'])
@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_name_means_that_it_was_taken(status, body):
    assert read(status, body) == Taken("a-1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        HTML,
        b"[]",
        b"{}",
        b'{"transactionID":',
        b'{"transactionID":null}',
        b'{"transactionID":""}',
        b'{"transactionID":7}',
        b'{"transactionID":"../params"}',  # it becomes part of a path
        b'{"transactionID":"a b"}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_success_without_a_name_may_be_one(body):
    assert isinstance(read(200, body), Lost)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("body", [b"", HTML, error("wallet busy: active action x")])
def test_an_error_on_their_side_tells_nothing(status, body):
    found = read(status, body)
    assert isinstance(found, Lost)
    assert str(status) in found.reason


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("wallet busy: active action 0f-1a", Busy("0f-1a")),
        ("Wallet busy: active action", Busy("")),
        ("wallet busy, see active action a-1.", Busy("a-1")),
        ("wallet has in-flight action", Busy("")),
        ("batch nonce 3 does not match on-chain nonce 4", Stale(4)),
        ("Batch nonce 4 does not match on-chain nonce 3", Stale(3)),
        ("batch nonce 3 does not match on-chain nonce " + "9" * 78, Stale(10**78 - 1)),
        ("invalid signature", Refused(400, "400 invalid signature")),
        ("", Refused(400, "400 ")),
    ],
)
def test_a_400_is_told_by_its_text(text, answer):
    assert read(400, error(text)) == answer


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 413, 422])
def test_any_other_refusal_is_final(status):
    found = read(status, HTML)
    assert isinstance(found, Refused)
    assert found.status == status
    assert "502 Bad Gateway" in found.reason


@pytest.mark.parametrize("status", [425, 429])
@pytest.mark.parametrize(
    ("header", "wait_ns"),
    [
        ("7", 7 * SECOND),
        (" 7 ", 7 * SECOND),
        ("0", 0),
        ("Mon, 21 Sep 2026 14:14:00 GMT", 40 * SECOND),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_too_many_is_later_and_as_late_as_told(status, header, wait_ns):
    found = read(status, b"slow down", retry_after=header)
    assert isinstance(found, Later)
    assert found.wait_ns == wait_ns
    assert "slow down" in found.reason


def transaction(**changes: Any) -> bytes:
    told: dict[str, Any] = {
        "transaction_id": "a-1",
        "transaction_hash": "0x1",
        "state": "STATE_MINED",
    }
    return json.dumps(told | changes).encode()


def test_a_transaction_is_read():
    found = read_transaction(transaction(error_msg="x" * 1000))
    assert (found.id, found.state, found.hash) == ("a-1", State.MINED, "0x1")
    assert found.error == "x" * 200


def test_a_transaction_may_leave_things_open():
    bare = read_transaction(transaction(transaction_hash=None, state="STATE_NOVEL"))
    assert (bare.hash, bare.state) == ("", State.UNKNOWN)
    assert read_transaction(transaction(state="")).state is State.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [HTML, b"", b"null", b"[]", b"{}", transaction(state=1), transaction(transaction_id=None)],
)
def test_what_is_no_transaction_is_malformed(body):
    with pytest.raises(MalformedError):
        read_transaction(body)


def test_a_turn_is_read():
    assert read_turn(b'{"address":"0x1","nonce":"18446744073709551616"}') == ("0x1", 2**64)
    assert read_turn(b'{"nonce":0}') == ("", 0)


@pytest.mark.parametrize(
    "nonce", [None, -1, True, 1.5, "", "1e3", "\u0663", "9" * 79, 2**256, str(2**256), [], {}]
)
def test_what_is_no_nonce_is_malformed(nonce):
    for body in (json.dumps({"address": "0x1", "nonce": nonce}).encode(), b"{}", HTML):
        with pytest.raises(MalformedError):
            read_turn(body)


def test_deployed_is_read():
    assert read_deployed(b'{"deployed":true}') is True
    with pytest.raises(MalformedError):
        read_deployed(b'{"deployed":"true"}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["transactionID", "transaction_id", "state", "nonce", "error", "deployed"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.integers(100, 599),
    st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
    st.text(max_size=30),
)
def test_no_answer_breaks_the_readers(status, body, header):
    read(status, body, retry_after=header)
    for reader in (read_transaction, read_turn, read_deployed):
        with contextlib.suppress(MalformedError):
            reader(body)


# The quota


def test_a_quota_counts_the_last_minute():
    quota = Quota(2)
    assert (quota.left(0), quota.take(0), quota.take(10)) == (2, 0, 0)
    assert quota.left(20) == 0
    assert quota.take(20) == MINUTE_NS - 20
    assert quota.left(MINUTE_NS - 1) == 0
    assert quota.left(MINUTE_NS) == 1
    assert quota.take(MINUTE_NS) == 0
    assert quota.take(MINUTE_NS) == 10


@given(st.integers(1, 30), st.lists(st.integers(0, 20 * SECOND), max_size=200))
def test_no_minute_has_more_than_the_quota(count, gaps):
    quota, now, taken = Quota(count), 0, []
    for gap in gaps:
        now += gap
        if quota.take(now) == 0:
            taken.append(now)
        assert len([at for at in taken if at > now - MINUTE_NS]) <= count
