"""What every answer to a write stands for: nothing that may have placed an order is a refusal."""

import json
import random
from typing import Any

import pytest
from conftest import vectors

from polyarb.domain.answer import (
    Accepted,
    Canceled,
    Cause,
    Kept,
    Later,
    OrderAnswer,
    Placement,
    Reason,
    Refused,
    Unknown,
    Why,
)
from polyarb.domain.report import Units
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.answers import (
    Asked,
    classify,
    no_answer,
    read_batch_answer,
    read_cancel_answer,
    read_order_answer,
)
from polyarb.sim.mishaps import REFUSALS

NOW_NS = 1_790_000_000 * 10**9
SECOND = 10**9
IDS = [f"0x{number:064x}" for number in range(0xA0, 0xB0)]
ONE = Asked(IDS[0], 5_000_000)
HTML = b"<!DOCTYPE html><html><title>502 | Cloudflare</title></html>"


def response(status: int, body: object, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status=status, headers=named, body=raw)


def read(status: int, body: object, asked: Asked = ONE, **headers: str) -> OrderAnswer:
    return read_order_answer(asked, response(status, body, **headers), Units(), NOW_NS)


def item(order_id: str = IDS[0], status: str = "live", **changes: object) -> dict[str, Any]:
    made = {"success": True, "errorMsg": "", "orderID": order_id, "status": status}
    return {**made, "makingAmount": "", "takingAmount": "", **changes}


def failed(text: str) -> dict[str, Any]:
    return item("", "", errorMsg=text)


# -- acceptance


@pytest.mark.parametrize("placement", Placement)
def test_an_order_is_accepted_only_under_its_own_id(placement: Placement) -> None:
    said = read(200, item(status=placement))
    assert isinstance(said, Accepted)
    assert (said.order_id, said.placement) == (IDS[0], placement)
    assert read(200, item(IDS[0].upper().replace("0X", "0x"), placement)) == said
    other = read(200, item(IDS[1], placement))
    assert isinstance(other, Unknown)
    assert other.why is Why.FOREIGN_ID


@pytest.mark.parametrize("case", vectors("order_responses"), ids=lambda case: case["what"][:40])
def test_the_sdks_examples(case: dict[str, Any]) -> None:
    """What the SDK accepts we accept; what it does not we never do."""
    asked = Asked(case["raw"]["orderID"] or IDS[0], 5_000_000)
    said = read(200, case["raw"], asked)
    assert isinstance(said, Accepted) is case["accepted"]
    expected = {
        "not_enough_balance": Reason.BALANCE,
        "market_not_ready": Cause.MARKET_NOT_READY,
        "invalid_expiration": Reason.EXPIRATION,
        "invalid_nonce": Reason.NONCE,
        "post_only_would_cross": Reason.CROSSES,
        "post_only_mode": Cause.POST_ONLY,
        "fok_not_filled": Reason.FOK_KILLED,
        "fak_not_filled": Reason.FAK_KILLED,
        "unmatched": Why.UNMATCHED,
    }.get(case["code"] or "")
    if expected:
        assert meaning(said) is expected


def meaning(said: object) -> object:
    match said:
        case Refused():
            return said.reason
        case Unknown():
            return said.why
        case Later():
            return said.cause
    return None


@pytest.mark.parametrize(
    "wrong",
    [
        item(success=False),
        item(success="true"),
        item(success=1),
        item("", "live"),
        item(status=""),
        item(status="resting"),
        item(status="unmatched"),
        item(orderID=None),
        {},
        {"success": True},
        [],
        "OK",
        None,
        7,
    ],
)
def test_what_is_neither_accepted_nor_refused_is_unknown(wrong: object) -> None:
    assert isinstance(read(200, wrong), Unknown)


@pytest.mark.parametrize("status", ["live", "matched"])
def test_an_error_beside_an_accepted_order_is_unknown(status: str) -> None:
    said = read(200, item(status=status, errorMsg="not enough balance / allowance"))
    assert meaning(said) is Why.CONTRADICTORY


@pytest.mark.parametrize(
    ("making", "taking", "expected"),
    [
        ("4.2", "10", (4_200_000, 10_000_000)),
        ("5", "10.5", (5_000_000, 10_500_000)),
        ("4200000", "10000000", (4_200_000, 10_000_000)),
        ("5000001", "10000000", (5_000_001, 10_000_000)),  # a few micro more are seen
        ("2.499999", "4.999998", (2_499_999, 4_999_998)),
        ("6.0", "10", (None, None)),  # more than the order had
        ("6000000", "10", (None, None)),
        ("4.2", "10000000", (None, None)),  # shares and millionths
        ("4.2", "0", (None, None)),
        ("4.2", "", (None, None)),
        ("", "", (None, None)),
        ("4,2", "10", (None, None)),
        ("-1", "10", (None, None)),
        ("1e6", "10", (None, None)),
    ],
)
def test_amounts_are_believed_only_where_they_can_be_right(
    making: str, taking: str, expected: tuple[int | None, int | None]
) -> None:
    said = read(200, item(status="matched", makingAmount=making, takingAmount=taking))
    assert isinstance(said, Accepted)
    assert (said.making_e6, said.taking_e6) == expected


def test_an_amount_that_fits_both_ways_is_not_believed_until_something_was_proven() -> None:
    large, units = Asked(IDS[0], 30_000 * 10**6), Units()
    both = item(status="matched", makingAmount="20000", takingAmount="40000")
    said = read_order_answer(large, response(200, both), units, NOW_NS)
    assert isinstance(said, Accepted)
    assert said.making_e6 is None
    proof = item(status="matched", makingAmount="4.2", takingAmount="10")
    units.of(proof["makingAmount"])
    said = read_order_answer(large, response(200, both), units, NOW_NS)
    assert isinstance(said, Accepted)
    assert (said.making_e6, said.taking_e6) == (20_000 * 10**6, 40_000 * 10**6)


def test_what_rests_has_matched_nothing() -> None:
    said = read(200, item(status="live"))
    assert isinstance(said, Accepted)
    assert (said.making_e6, said.taking_e6, said.trade_ids) == (0, 0, ())


@pytest.mark.parametrize("trades", [None, "x", {}, []])
def test_trades_may_be_missing(trades: object) -> None:
    said = read(200, item(status="matched", tradeIDs=trades))
    assert isinstance(said, Accepted)
    assert said.trade_ids == ()


# -- refusals


EXPECTED: dict[str, Reason | Why | Cause] = {
    "tick": Reason.TICK,
    "size": Reason.SIZE_MIN,
    "duplicated": Why.DUPLICATED,
    "balance": Reason.BALANCE,
    "funds": Reason.BALANCE,
    "expiration": Reason.EXPIRATION,
    "insert": Reason.INSERT,
    "post_only_type": Reason.POST_ONLY_TYPE,
    "post_only_crosses": Reason.CROSSES,
    "execution": Reason.EXECUTION,
    "delaying": Reason.DELAYING,
    "fok": Reason.FOK_KILLED,
    "fak": Reason.FAK_KILLED,
    "not_ready": Cause.MARKET_NOT_READY,
    "payload": Reason.PAYLOAD,
    "owner": Reason.OWNER,
    "signer": Reason.SIGNER,
    "maker": Reason.MAKER,
    "banned": Reason.BANNED,
    "closed_only": Reason.CLOSED_ONLY,
    "signature": Reason.SIGNATURE,
    "version": Reason.VERSION,
    "crosses": Reason.CROSSES,
    "canceled": Reason.CANCELED_ON_CHAIN,
    "accuracy": Reason.AMOUNTS,
    "marketable": Reason.NOTIONAL_MIN,
    "market": Reason.MARKET,
    "timed_out": Reason.TIMED_OUT,
    "no_match": Reason.FAK_KILLED,
    "killed": Reason.FOK_KILLED,
    "rounding": Reason.ROUNDING,
    "discrepancy": Reason.DISCREPANCY,
    "internal": Why.UNRECOGNISED,
    "post_only": Cause.POST_ONLY,
    "disabled": Cause.DISABLED,
}


def test_every_text_of_the_exchange_has_a_meaning() -> None:
    assert EXPECTED.keys() == REFUSALS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_text_means_the_same_in_an_item_and_as_a_bad_request(name: str) -> None:
    _, text = REFUSALS[name]
    for written in (text, text.upper(), f"could not place: {text}"):
        assert meaning(classify(written)) is EXPECTED[name]
        assert meaning(read(200, failed(written))) is EXPECTED[name]
        assert meaning(read(200, {"error": written})) is EXPECTED[name]
        assert meaning(read(400, {"error": written})) is EXPECTED[name]
        assert meaning(read(400, written.encode())) is EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_server_error_is_definite_for_one_text_alone(name: str) -> None:
    """Section 13: ``order timed out`` was not placed; of every other 500 that is not known."""
    _, text = REFUSALS[name]
    definite = name == "timed_out"
    assert isinstance(read(500, {"error": text}), Refused if definite else Unknown)
    if EXPECTED[name] not in {Cause.POST_ONLY, Cause.DISABLED}:
        assert isinstance(read(503, {"error": text}), Refused if definite else Unknown)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 502, 504, 520, 302, 100])
@pytest.mark.parametrize(
    "body", [b"", b"{}", HTML, b"{", b"\xff\xfe", {"error": "brand new text"}, {"error": 7}]
)
def test_what_we_do_not_know_is_unknown(status: int, body: object) -> None:
    assert isinstance(read(status, body), Unknown)


@pytest.mark.parametrize("body", [b"", HTML, b'{"success":true,"err', b"[" * 100_000, b"NaN"])
def test_a_good_status_with_an_unreadable_body_is_unknown(body: bytes) -> None:
    assert meaning(read(200, body)) is Why.UNREADABLE


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, {"error": "Unauthorized/Invalid api key"}, Reason.UNAUTHORIZED),
        (401, HTML, Reason.UNAUTHORIZED),
        (403, HTML, Reason.BLOCKED),
        (403, {"error": "Trading restricted in your region"}, Reason.BLOCKED),
        (413, {"error": "Payload too large"}, Reason.PAYLOAD),
        (404, {"error": "No orderbook exists for the requested token id"}, Reason.MARKET),
    ],
)
def test_a_status_may_say_enough(status: int, body: object, reason: Reason) -> None:
    assert meaning(read(status, body)) is reason


@pytest.mark.parametrize(
    ("text", "nonce"),
    [
        ("invalid nonce", None),
        ("Invalid nonce: expected 41, got 7", 41),
        ("invalid nonce 7, current nonce is 41", 41),
        ("invalid nonce, server nonce=41", 41),
    ],
)
def test_the_exchanges_nonce_is_read_where_it_is_told(text: str, nonce: int | None) -> None:
    said = read(400, {"error": text})
    assert isinstance(said, Refused)
    assert (said.reason, said.nonce) == (Reason.NONCE, nonce)
    beside = read(400, {"error": "invalid nonce", "expected_nonce": "12"})
    assert isinstance(beside, Refused)
    assert beside.nonce == 12


# -- later


@pytest.mark.parametrize(
    ("status", "body", "headers", "cause", "wait_ns"),
    [
        (429, {"error": "Too Many Requests"}, {"retry_after": "3"}, Cause.THROTTLED, 3 * SECOND),
        (429, b"", {}, Cause.THROTTLED, None),
        (429, HTML, {"retry_after": "Mon, 21 Sep 2026 14:13:30 GMT"}, Cause.THROTTLED, 10 * SECOND),
        (429, HTML, {"retry_after": "Mon, 21 Sep 2020 14:13:30 GMT"}, Cause.THROTTLED, 0),
        (429, b"", {"retry_after": "soon"}, Cause.THROTTLED, None),
        (425, b"service not ready", {"retry_after": "90"}, Cause.RESTARTING, 90 * SECOND),
        (425, HTML, {}, Cause.RESTARTING, None),
        (
            503,
            {
                "error": "post-only mode: only post-only orders and cancels are allowed",
                "code": "post_only_mode",
                "retry_after_seconds": 79,
            },
            {},
            Cause.POST_ONLY,
            79 * SECOND,
        ),
        (
            503,
            {
                "error": "Trading is currently cancel-only. New orders are not accepted, but "
                "cancels are allowed."
            },
            {},
            Cause.CANCEL_ONLY,
            None,
        ),
        (503, {"error": "Trading is currently disabled. Check"}, {}, Cause.DISABLED, None),
        (503, {"error": "trading is disabled"}, {}, Cause.DISABLED, None),
    ],
)
def test_what_was_not_looked_at_may_be_sent_again(
    status: int, body: object, headers: dict[str, str], cause: Cause, wait_ns: int | None
) -> None:
    said = read(status, body, **headers)
    assert isinstance(said, Later)
    assert (said.cause, said.wait_ns) == (cause, wait_ns)


def test_a_page_of_503_is_not_the_exchange_speaking() -> None:
    assert meaning(read(503, HTML)) is Why.SERVER_ERROR


def test_no_answer_is_unknown_unless_nothing_was_sent() -> None:
    assert meaning(no_answer(TimeoutError("late"))) is Why.TIMED_OUT
    assert meaning(no_answer(ConnectionResetError())) is Why.BROKEN
    assert meaning(no_answer(OSError("odd"))) is Why.BROKEN
    assert meaning(no_answer(ConnectionRefusedError("nobody"))) is Cause.UNREACHABLE


# -- batches


def batch(body: object, count: int = 3, status: int = 200) -> list[OrderAnswer]:
    asked = [Asked(each, 5_000_000) for each in IDS[:count]]
    return read_batch_answer(asked, response(status, body), Units(), NOW_NS)


def accepted(said: list[OrderAnswer]) -> list[bool]:
    return [isinstance(each, Accepted) for each in said]


def test_items_in_order_belong_to_the_orders() -> None:
    said = batch([item(IDS[0]), failed("not enough balance / allowance"), item(IDS[2], "matched")])
    assert accepted(said) == [True, False, True]
    assert meaning(said[1]) is Reason.BALANCE


def test_items_in_any_order_belong_to_their_ids() -> None:
    items = [item(each) for each in IDS[:15]]
    for seed in range(50):
        mixed = random.Random(seed).sample(items, len(items))
        said = batch(mixed, count=15)
        assert [each.order_id for each in said if isinstance(each, Accepted)] == IDS[:15]


def test_a_short_answer_leaves_the_rest_unknown() -> None:
    for kept in range(3):
        said = batch([item(each) for each in IDS[:kept]])
        assert accepted(said) == [index < kept for index in range(3)]
        assert all(meaning(each) is Why.MISSING for each in said[kept:])


def test_refusals_out_of_place_are_given_only_to_whom_they_must_belong() -> None:
    poor, killed = failed("not enough balance / allowance"), failed("FOK orders are killed")
    said = batch([item(IDS[2]), poor, poor])
    assert [meaning(each) for each in said[:2]] == [Reason.BALANCE] * 2
    assert accepted(said)[2]
    said = batch([item(IDS[2]), poor, killed])
    assert [meaning(each) for each in said[:2]] == [Why.MISSING] * 2
    said = batch([poor, item(IDS[2])])
    assert [meaning(each) for each in said] == [Why.MISSING, Why.MISSING, None]


def test_an_id_in_the_text_says_whose_refusal_it_is() -> None:
    duplicate = failed(f"order {IDS[0]} is invalid. Duplicated.")
    tick = failed(f"order {IDS[2]} is invalid. Price (0.505) breaks minimum tick size rule: 0.01")
    said = batch([tick, item(IDS[1]), duplicate])
    assert [meaning(each) for each in said] == [Why.DUPLICATED, None, Reason.TICK]


def test_a_foreign_id_in_a_batch_is_nobodys() -> None:
    said = batch([item(IDS[0]), item(IDS[9]), item(IDS[2])])
    assert accepted(said) == [True, False, True]
    assert meaning(said[1]) is Why.MISSING


def test_one_refusal_of_a_whole_batch_is_everybodys() -> None:
    text = "Too many orders in payload: 16, max allowed: 15"
    for status, body in ((400, {"error": text}), (200, {"error": text}), (200, failed(text))):
        said = batch(body, status=status)
        assert [meaning(each) for each in said] == [Reason.TOO_MANY] * 3


@pytest.mark.parametrize("status", [200, 400])
def test_a_refusal_of_a_whole_batch_that_names_one_order_is_that_ones(status: int) -> None:
    text = f"order {IDS[1]} is invalid. Size (3) lower than the minimum: 5"
    said = batch({"error": text}, status=status)
    assert [meaning(each) for each in said] == [Why.MISSING, Reason.SIZE_MIN, Why.MISSING]


def test_an_object_for_a_batch_speaks_of_its_own_order() -> None:
    said = batch(item(IDS[1]))
    assert accepted(said) == [False, True, False]
    assert meaning(said[0]) is Why.MISSING


@pytest.mark.parametrize("body", [b"", HTML, b"[{", b"7", b'"OK"', b"[7,null,[]]", b"[]"])
def test_a_batch_without_a_readable_answer_is_unknown(body: bytes) -> None:
    assert all(isinstance(each, Unknown) for each in batch(body))


def test_no_garbage_is_ever_an_acceptance_or_a_refusal() -> None:
    """Cut a good answer anywhere: nothing of it counts."""
    whole = json.dumps([item(IDS[0]), failed("not enough balance / allowance")]).encode()
    for end in range(len(whole)):
        assert all(isinstance(each, Unknown) for each in batch(whole[:end], count=2))


# -- cancels


def canceled(status: int, body: object, asked: list[str] = IDS[:3]) -> object:
    return read_cancel_answer(asked, response(status, body), NOW_NS)


def test_a_cancel_says_what_it_did_what_it_did_not_and_what_is_left_out() -> None:
    body = {"canceled": [IDS[0].upper()], "not_canceled": {IDS[1]: "Order already matched"}}
    said = canceled(200, body)
    assert isinstance(said, Canceled)
    assert said.canceled == {IDS[0]}
    assert said.kept == {IDS[1]: Kept.MATCHED}
    assert said.unsaid == {IDS[2]}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Order already matched", Kept.MATCHED),
        ("Order not found or already canceled", Kept.GONE),
        ("already canceled or matched", Kept.GONE),
        ("order is delayed and can't be canceled", Kept.DELAYED),
        ("the moon is full", Kept.OTHER),
        (None, Kept.OTHER),
    ],
)
def test_why_an_order_was_not_canceled(text: str | None, kept: Kept) -> None:
    said = canceled(200, {"canceled": [], "not_canceled": {IDS[0]: text}})
    assert isinstance(said, Canceled)
    assert said.kept == {IDS[0]: kept}


@pytest.mark.parametrize("body", [{"canceled": None, "not_canceled": {}}, {"canceled": []}])
def test_empty_members_may_be_missing(body: object) -> None:
    said = canceled(200, body, [])
    assert said == Canceled()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "Invalid orderID"}, Reason.PAYLOAD),
        (400, {"error": "Too many orders in payload, max allowed: 3000"}, Reason.TOO_MANY),
        (401, {"error": "Invalid API key"}, Reason.UNAUTHORIZED),
        (425, b"service not ready", Cause.RESTARTING),
        (429, b"", Cause.THROTTLED),
        (503, {"error": "Trading is currently disabled. Check x"}, Cause.DISABLED),
        (500, {"error": "Internal server error"}, Why.SERVER_ERROR),
        (502, HTML, Why.SERVER_ERROR),
        (200, b"{", Why.UNREADABLE),
        (200, b"[]", Why.UNREADABLE),
        (200, b"{}", Why.UNREADABLE),
        (200, {"error": "too many requests"}, Cause.THROTTLED),
    ],
)
def test_a_cancel_may_be_refused_unknown_or_for_later(
    status: int, body: object, expected: object
) -> None:
    assert meaning(canceled(status, body)) is expected


def test_an_order_that_is_not_there_is_not_canceled() -> None:
    said = canceled(404, {"error": "Order not found"}, [IDS[0]])
    assert said == Canceled(kept={IDS[0]: Kept.GONE})
