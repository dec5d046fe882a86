"""Whatever an answer is, reading it ends in one of the known ways."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polyarb.domain.answer import Accepted, Canceled, Later, Refused, Unknown
from polyarb.domain.report import Units, amount_e6, load, read_order, read_trade
from polyarb.domain.wire import HttpResponse
from polyarb.errors import MalformedError
from polyarb.exchange.answers import (
    Asked,
    read_batch_answer,
    read_cancel_answer,
    read_order_answer,
)
from polyarb.sim.mishaps import REFUSALS

NOW_NS = 1_790_000_000 * 10**9
IDS = [f"0x{number:064x}" for number in range(1, 5)]
OWNER = "owner"

words = st.sampled_from(
    [
        *("", "0", "5", "4.2", "5000000", "1e6", "-1", "NaN", "live", "matched", "delayed"),
        *("unmatched", "LIVE", "CANCELED", "MATCHED", "BUY", "SELL", "0.57", OWNER, *IDS),
        *(text for _, text in REFUSALS.values()),
    ]
)
leaves = st.one_of(words, st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text())
names = st.sampled_from(
    [
        *("success", "errorMsg", "error", "orderID", "status", "makingAmount", "takingAmount"),
        *("tradeIDs", "canceled", "not_canceled", "retry_after_seconds", "id", "side", "price"),
        *("original_size", "size_matched", "asset_id", "market", "size", "maker_orders", "owner"),
        *("matched_amount", "order_id", "trader_side", "taker_order_id", "timestamp", IDS[0]),
    ]
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=12)
    ),
    max_leaves=40,
)
items = st.fixed_dictionaries(
    {},
    optional={
        "success": st.sampled_from([True, True, True, False, None, 1, "true"]),
        "errorMsg": st.sampled_from(["", "", "", None, "invalid expiration", "odd"]),
        "orderID": st.sampled_from([*IDS, "", None]),
        "status": st.sampled_from(["live", "matched", "delayed", "unmatched", "", None]),
        "makingAmount": words,
        "takingAmount": words,
        "tradeIDs": values,
    },
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 425, 429, 500, 503])
bodies = st.one_of(
    values.map(lambda value: json.dumps(value).encode()),
    st.lists(items, max_size=6).map(lambda rows: json.dumps(rows).encode()),
    items.map(lambda row: json.dumps(row).encode()),
    st.binary(max_size=60),
)


def acceptable(asked: str, item: Any) -> bool:
    """Section 12 to the letter."""
    return (
        isinstance(item, dict)
        and item.get("success") is True
        and not any(item.get(name) for name in ("errorMsg", "error", "error_msg", "message"))
        and asked == (item.get("orderID") or item.get("orderId"))
        and item.get("status") in {"live", "matched", "delayed"}
    )


@given(statuses, bodies, st.integers(1, 4))
def test_no_answer_is_an_acceptance_but_one_that_says_so(
    status: int, body: bytes, count: int
) -> None:
    asked = [Asked(order_id, 5_000_000) for order_id in IDS[:count]]
    response = HttpResponse(status=status, body=body)
    answers = read_batch_answer(asked, response, Units(), NOW_NS)
    answers += [read_order_answer(asked[0], response, Units(), NOW_NS)]
    try:
        told = load(body)
    except MalformedError:
        told = None
    rows = told if isinstance(told, list) else [told]
    for one, said in zip([*asked, asked[0]], answers, strict=True):
        assert isinstance(said, Accepted | Refused | Unknown | Later)
        if isinstance(said, Accepted):
            assert 200 <= status < 300
            assert any(acceptable(one.order_id, row) for row in rows)
            assert said.making_e6 is None or 0 <= said.making_e6 <= 5_001_000
        if isinstance(said, Refused | Later):
            assert not any(
                acceptable(one.order_id, row) for row in rows if 200 <= status < 300
            ) or any(isinstance(row, dict) and row.get("errorMsg") for row in rows)


@given(statuses, bodies)
def test_no_id_is_canceled_but_one_that_is_named(status: int, body: bytes) -> None:
    said = read_cancel_answer(IDS, HttpResponse(status=status, body=body), NOW_NS)
    assert isinstance(said, Canceled | Refused | Unknown | Later)
    if isinstance(said, Canceled):
        for order_id in said.canceled:
            assert order_id in body.decode().lower() or "\\u" in body.decode()
        assert said.unsaid == frozenset(IDS) - said.canceled - said.kept.keys()


@given(values)
def test_an_object_is_a_report_or_malformed(value: Any) -> None:
    told = load(json.dumps(value))
    for read in (
        lambda: read_order(told, Units()),
        lambda: read_order(told, Units(), 5_000_000),
        lambda: read_trade(told, OWNER, Units()),
    ):
        try:
            report = read()
        except MalformedError:
            continue
        assert report.condition_id is not None


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.booleans())
def test_amounts_are_read_back_as_they_were_written(
    size_e6: int, matched_e6: int, base: bool
) -> None:
    """With the order's own size at hand nothing is ever a million times too large or too small."""
    matched_e6 = min(matched_e6, size_e6)

    def text(units: int) -> str:
        whole, part = divmod(units, 10**6)
        return str(units) if base else f"{whole}.{part:06d}"

    told = {"id": IDS[0], "status": "LIVE", "side": "BUY", "price": "0.5"}
    told |= {"original_size": text(size_e6), "size_matched": text(matched_e6)}
    report = read_order(told, Units(), size_e6)
    assert (report.size_e6, report.matched_e6) == (size_e6, matched_e6)
    assert amount_e6("size", text(size_e6), 1 if base else 10**6) == size_e6
