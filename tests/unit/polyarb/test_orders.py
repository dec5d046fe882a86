"""Bodies of POST /order and POST /orders, byte for byte as the official clients send them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import vectors
from orders import GENERATIONS, order_of

from polyarb import errors
from polyarb.core.digest import OrderBatch
from polyarb.core.encode import Terms, bytes_max, encode_batch, encode_batch_into
from polyarb.domain.order import Order, SignedOrder
from polyarb.exchange.orders import batch_body, order_body

OWNER = "e5544f82-62cb-9e11-2b0a-eb7a3f2d3427"
ORDERS = [(g, case) for g, name in GENERATIONS.items() for case in vectors(name)]
HTTP = [
    (generation, case)
    for generation in ("v1", "v2")
    for case in vectors(f"{generation}_http_requests")
    if case["call"].startswith("post_order")
]


def signed_of(generation: str, case: dict[str, Any]) -> SignedOrder:
    return SignedOrder(
        order=order_of(generation, case),
        digest=bytes.fromhex(case["digest"][2:]),
        signature=case["signature"],
    )


def from_json(generation: str, sent: dict[str, Any], neg_risk: bool = False) -> SignedOrder:
    """Read an order back from a body; what is not in it does not change the body."""
    names = {
        "salt": "salt", "maker": "maker", "signer": "signer", "tokenId": "token_id",
        "makerAmount": "maker_amount", "takerAmount": "taker_amount", "side": "side",
        "signatureType": "signature_type", "expiration": "expiration", "taker": "taker",
        "nonce": "nonce", "feeRateBps": "fee_rate_bps", "timestamp": "timestamp",
        "metadata": "metadata", "builder": "builder",
    }  # fmt: skip
    values = {names[key]: value for key, value in sent.items() if key != "signature"}
    order = Order(generation=generation, neg_risk=neg_risk, **values)  # type: ignore[arg-type]
    return SignedOrder(order=order, digest=bytes(32), signature=sent["signature"])


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_bounds_are_exact_and_kept_in_c(c_program: Callable[..., str], flavour: str) -> None:
    assert "encode: ok" in c_program("unit/csrc/test_encode.c", flavour)


@pytest.mark.parametrize(
    ("generation", "case"), ORDERS, ids=lambda v: v["id"] if isinstance(v, dict) else v
)
def test_single_bodies_equal_the_vectors(generation: str, case: dict[str, Any]) -> None:
    inputs = case["inputs"]
    body = order_body(
        signed_of(generation, case),
        owner=inputs["owner"],
        order_type=inputs["order_type"],
        defer_exec=inputs.get("defer_exec", False),
        post_only=inputs["post_only"],
    )
    assert body.decode() == case["body"]


@pytest.mark.parametrize(
    ("generation", "case"), HTTP, ids=lambda v: f"{v['id']}" if isinstance(v, dict) else v
)
def test_recorded_requests_are_reproduced(generation: str, case: dict[str, Any]) -> None:
    """Also batches whose orders have different types."""
    sent = json.loads(case["body"])
    items = sent if isinstance(sent, list) else [sent]
    signed = [from_json(generation, item["order"]) for item in items]
    types = [item["orderType"] for item in items]
    terms: dict[str, Any] = {
        "owner": items[0]["owner"],
        "defer_exec": items[0].get("deferExec", False),
        "post_only": items[0]["postOnly"],
    }
    if isinstance(sent, list):
        assert batch_body(signed, order_type=types, **terms).decode() == case["body"]
    else:
        assert order_body(signed[0], order_type=types[0], **terms).decode() == case["body"]


def test_a_batch_is_its_orders_in_brackets() -> None:
    signed = [signed_of(generation, case) for generation, case in ORDERS[::14]][:15]
    assert len(signed) == 15
    body = batch_body(signed, owner=OWNER, order_type="GTC")
    singles = [order_body(item, owner=OWNER, order_type="GTC") for item in signed]
    assert body == b"[" + b",".join(singles) + b"]"


def test_a_v1_body_carries_defer_exec_only_when_it_is_set() -> None:
    signed = signed_of(*ORDERS[0])
    assert b"deferExec" not in order_body(signed, owner=OWNER, order_type="GTC")
    body = order_body(signed, owner=OWNER, order_type="GTC", defer_exec=True)
    assert b'"deferExec":true,"postOnly":false' in body


def test_a_buffer_one_byte_too_small_is_refused_and_its_end_untouched() -> None:
    signed = [signed_of(generation, case) for generation, case in ORDERS[::40]]
    batch = OrderBatch([item.order for item in signed])
    for i, item in enumerate(signed):
        batch.put_transmitted(i, item.signature)
    terms = [Terms()] * len(signed)
    body = encode_batch(batch, terms, OWNER)
    assert len(body) <= bytes_max(batch, OWNER)
    out = bytearray(b"\xa5" * (len(body) + 8))
    view = memoryview(out)
    assert encode_batch_into(view[: len(body)], batch, terms, OWNER) == len(body)
    assert bytes(out) == body + b"\xa5" * 8
    out[:] = b"\xa5" * len(out)
    with pytest.raises(errors.CapacityError, match=f"into {len(body) - 1} bytes"):
        encode_batch_into(view[: len(body) - 1], batch, terms, OWNER)
    assert bytes(out[len(body) - 1 :]) == b"\xa5" * 9
    with pytest.raises(errors.ArgumentTypeError, match="writable"):
        encode_batch_into(body, batch, terms, OWNER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "exception", "says"),
    [
        ({"owner": ""}, errors.RangeError, r"owner has 0 bytes, outside 1\.\.64"),
        ({"owner": "x" * 65}, errors.RangeError, "owner has 65 bytes"),
        ({"owner": 'a"b'}, errors.MalformedError, "PA_E_MALFORMED"),
        ({"owner": "ключ"}, errors.MalformedError, "PA_E_MALFORMED"),
        ({"owner": None}, errors.ArgumentTypeError, "owner must be a str"),
        (
            {"order_type": "IOC"},
            errors.RangeError,
            "order_type 'IOC' is none of GTC, GTD, FOK, FAK",
        ),
        ({"order_type": ["GTC"]}, errors.RangeError, "1 order types for 2 orders"),
        ({"order_type": [None, None]}, errors.ArgumentTypeError, "order_type must be a str"),
        ({"post_only": True, "order_type": "FAK"}, errors.RangeError, "goes with GTC and GTD"),
        ({"post_only": 1}, errors.ArgumentTypeError, "post_only must be a bool"),
        ({"defer_exec": None}, errors.ArgumentTypeError, "defer_exec must be a bool"),
    ],
)
def test_bad_terms_are_named(change: dict[str, Any], exception: type[Exception], says: str) -> None:
    signed = [signed_of(*ORDERS[0]), signed_of(*ORDERS[100])]
    with pytest.raises(exception, match=says):
        batch_body(signed, **{"owner": OWNER, "order_type": "GTC", **change})


@pytest.mark.parametrize("count", [0, 16])
def test_batches_outside_1_to_15_are_refused(count: int) -> None:
    with pytest.raises(
        errors.CapacityError, match=rf"a batch of {count} orders is outside 1\.\.15"
    ):
        batch_body([signed_of(*ORDERS[0])] * count, owner=OWNER, order_type="GTC")


@pytest.mark.parametrize(
    "signature",
    ["", "0x", "0x" + "1" * 128, "1" * 132, "0x" + "g" * 130, "0x" + " 1" * 65, "0x" + "1" * 634],
)
def test_a_signature_of_another_form_is_refused(signature: str) -> None:
    good = signed_of(*ORDERS[0])
    bad = SignedOrder(order=good.order, digest=good.digest, signature=signature)
    with pytest.raises(errors.MalformedError, match="is not 0x and 65 bytes"):
        batch_body([bad], owner=OWNER, order_type="GTC")


@pytest.mark.parametrize("value", [None, 5, "signed", b"x"])
def test_only_signed_orders_are_encoded(value: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="SignedOrder"):
        batch_body([value], owner=OWNER, order_type="GTC")
    item = SignedOrder(order=order_of(*ORDERS[0]), digest=bytes(32), signature=value)
    if not isinstance(value, str):
        with pytest.raises(errors.ArgumentTypeError, match="signature must be a str"):
            batch_body([item], owner=OWNER, order_type="GTC")
