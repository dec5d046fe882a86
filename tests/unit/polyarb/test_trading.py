"""The account's client against the simulated exchange in virtual time, and every fault of REST."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import stamina
from conftest import VECTORS, vectors
from trading import SECOND, Rig

from polyarb import errors
from polyarb.core.account import Account
from polyarb.core.arena import Arena
from polyarb.domain.answer import (
    Accepted,
    Canceled,
    Cause,
    Kept,
    Later,
    Placement,
    Reason,
    Refused,
    Unknown,
    Why,
)
from polyarb.domain.order import Generation
from polyarb.domain.report import OrderStatus, TradeStatus
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.auth import Credentials
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.throttle import Budget
from polyarb.exchange.trading import Timeouts, TradingClient
from polyarb.sim.mishaps import REFUSALS

ATTEMPTS = 4


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Let the attempts of a read follow one another."""
    stamina.set_testing(True, attempts=ATTEMPTS)
    yield
    stamina.set_testing(False)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def sent(rig: Rig, path: str) -> int:
    """Return how many writes went to a path."""
    return sum(rig.asked.count(f"{method} {path}") for method in ("POST", "DELETE"))


# -- orders


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
def test_an_order_of_every_wallet_rests_and_is_found_by_its_id(signature_type: int) -> None:
    rig = Rig(signature_type=signature_type)
    [placed] = rig.place(rig.resting())
    assert placed.answer == Accepted(
        order_id=placed.signed.order_id, placement=Placement.LIVE, making_e6=0, taking_e6=0
    )
    assert rig.journal == [placed.signed.order_id], "the journal heard of it first"
    report = rig.run(rig.client.order(placed.signed.order_id))
    assert report is not None
    assert (report.status, report.size_e6, report.matched_e6) == (OrderStatus.LIVE, 10**7, 0)
    assert (report.token_id, report.price_e4) == (rig.market.tokens[0], 100)
    assert rig.run(rig.client.open_orders()) == [report]


@pytest.mark.parametrize("amounts", ["decimal", "base"])
def test_what_matched_is_told_by_the_answer_the_order_and_the_trade(amounts: str) -> None:
    rig = Rig(venue={"amounts": amounts})
    [placed] = rig.place(rig.taking("5"), kind="FAK")
    answer = placed.answer
    assert isinstance(answer, Accepted)
    assert answer.placement is Placement.MATCHED
    assert answer.making_e6
    assert answer.taking_e6
    [trade] = rig.run(rig.client.trades(trade_id=answer.trade_ids[0]))
    [fill] = trade.fills
    assert (fill.order_id, fill.size_e6, fill.taker) == (
        placed.signed.order_id,
        answer.taking_e6,
        True,
    )
    assert 0 <= fill.cash_e6 - answer.making_e6 <= 1
    report = rig.run(rig.client.order(placed.signed.order_id))
    assert report is not None
    assert report.matched_e6 == answer.taking_e6
    assert report.trade_ids == answer.trade_ids


@pytest.mark.parametrize("count", [2, 15, 16, 31])
def test_orders_go_fifteen_to_a_request_and_every_one_has_its_answer(count: int) -> None:
    rig = Rig()
    placed = rig.place(*(rig.resting(size=str(5 + n)) for n in range(count)))
    assert [isinstance(one.answer, Accepted) for one in placed] == [True] * count
    assert len(rig.run(rig.client.open_orders())) == count
    assert sent(rig, "/orders") == -(-count // 15)
    assert rig.journal == [one.signed.order_id for one in placed]


def test_orders_of_one_request_have_fates_of_their_own(rig: Rig) -> None:
    far = replace(rig.resting(), maker_amount=10**13, taker_amount=10**15)  # nobody has that much
    placed = rig.place(rig.resting(), far, rig.taking(), kind=["GTC", "GTC", "FAK"])
    kinds = [type(one.answer) for one in placed]
    assert kinds == [Accepted, Refused, Accepted]
    assert placed[1].answer.reason is Reason.BALANCE


def test_a_held_order_answers_delayed_and_matches_later() -> None:
    rig = Rig("default", market_with=lambda market: market.seconds_delay)
    [placed] = rig.place(rig.taking(), kind="FAK")
    answer = placed.answer
    assert isinstance(answer, Accepted)
    assert answer.placement is Placement.DELAYED
    said = rig.run(rig.client.cancel([answer.order_id]))
    assert isinstance(said, Canceled)
    assert said.kept == {answer.order_id: Kept.DELAYED}
    rig.port.advance(10 * SECOND)
    report = rig.run(rig.client.order(answer.order_id))
    assert report is not None
    assert report.status is not OrderStatus.DELAYED


def test_no_orders_need_no_request(rig: Rig) -> None:
    assert rig.place() == []
    assert rig.run(rig.client.post([], order_type="GTC")) == []
    assert isinstance(rig.run(rig.client.cancel([])), Canceled)
    assert not rig.asked


def test_what_cannot_be_encoded_is_said_before_anything_is_sent(rig: Rig) -> None:
    with pytest.raises(errors.RangeError, match="post_only True goes with GTC"):
        rig.place(rig.resting(), kind="FAK", post_only=True)
    with pytest.raises(errors.RangeError, match="2 order types for 1 orders"):
        rig.place(rig.resting(), kind=["GTC", "GTC"])
    assert not rig.asked


# -- the budget


def test_what_the_budget_does_not_cover_is_not_sent(rig: Rig) -> None:
    for _ in range(3):
        rig.place(*(rig.resting() for _ in range(15)))
    asked = sent(rig, "/orders")
    answers = [one.answer for one in rig.place(*(rig.resting() for _ in range(15)))]
    assert all(isinstance(each, Later) and each.cause is Cause.BUDGET for each in answers)
    assert sent(rig, "/orders") == asked
    urgent = rig.place(*(rig.resting() for _ in range(15)), urgent=True)
    assert all(isinstance(one.answer, Accepted) for one in urgent)
    wait_ns = answers[0].wait_ns
    assert wait_ns
    rig.port.advance(2 * wait_ns)
    assert all(
        isinstance(one.answer, Accepted) for one in rig.place(*(rig.resting() for _ in range(12)))
    )


def test_under_enforced_limits_nothing_is_ever_refused() -> None:
    rig = Rig(venue={"limits": "enforce"})
    kinds = set()
    for _ in range(60):
        for one in rig.place(*(rig.resting() for _ in range(7))):
            kinds.add((type(one.answer), getattr(one.answer, "cause", None)))
        rig.run(rig.client.cancel_all())
        rig.port.advance(SECOND // 20)
    assert kinds == {(Accepted, None), (Later, Cause.BUDGET)}


def test_the_exchanges_headers_are_heard(rig: Rig) -> None:
    rig.place(rig.resting())
    assert rig.throttle.tokens(Budget.ORDERS, rig.now_ns) == 59
    rig.fault("too_many_requests", retry_after_s=7, count=1, match={"path": "POST /order"})
    [placed] = rig.place(rig.resting())
    assert placed.answer == Later(
        cause=Cause.THROTTLED, wait_ns=7 * SECOND, text="429 Too Many Requests"
    )
    [again] = rig.place(rig.resting())
    assert again.answer == Later(cause=Cause.BUDGET, wait_ns=7 * SECOND)
    rig.port.advance(8 * SECOND)
    [after] = rig.place(rig.resting())
    assert isinstance(after.answer, Accepted)


# -- cancels


def test_a_cancel_by_id_of_one_and_of_many(rig: Rig) -> None:
    ids = [one.signed.order_id for one in rig.place(*(rig.resting() for _ in range(5)))]
    assert rig.run(rig.client.cancel(ids[:1])) == Canceled(canceled=frozenset(ids[:1]))
    said = rig.run(rig.client.cancel([*ids, ids[1], ids[2].upper().replace("0X", "0x")]))
    assert isinstance(said, Canceled)
    assert said.canceled == frozenset(ids[1:])
    assert said.kept == {ids[0]: Kept.GONE}
    assert not said.unsaid
    assert rig.run(rig.client.open_orders()) == []


def test_more_than_a_thousand_ids_go_in_parts(rig: Rig) -> None:
    [placed] = rig.place(rig.resting())
    strangers = [f"0x{number:064x}" for number in range(1_500)]
    said = rig.run(rig.client.cancel([*strangers, placed.signed.order_id]))
    assert isinstance(said, Canceled)
    assert len(said.kept) == 1_000
    assert len(said.unsaid) == 501, "the budget did not reach for the second part"
    rig.port.advance(60 * SECOND)
    said = rig.run(rig.client.cancel([*strangers[:700], placed.signed.order_id]))
    assert isinstance(said, Canceled)
    assert said.canceled == {placed.signed.order_id}


def test_a_market_a_token_and_all(rig: Rig) -> None:
    first, second = rig.market, rig.another_market()
    orders = [rig.orders.limit(m, o, "BUY", 100, "10") for m in (first, second) for o in (0, 1)]
    ids = [one.signed.order_id for one in rig.place(*orders)]
    client = rig.client
    said = rig.run(client.cancel_market(condition_id=first.condition_id, token_id=first.tokens[1]))
    assert said == Canceled(canceled=frozenset({ids[1]}))
    said = rig.run(client.cancel_market(condition_id=first.condition_id))
    assert said == Canceled(canceled=frozenset({ids[0]}))
    said = rig.run(client.cancel_market(token_id=second.tokens[0]))
    assert said == Canceled(canceled=frozenset({ids[2]}))
    assert rig.run(client.cancel_all()) == Canceled(canceled=frozenset({ids[3]}))
    assert rig.run(client.cancel_all()) == Canceled()
    with pytest.raises(errors.RangeError, match="condition_id or a token_id"):
        rig.run(client.cancel_market())


def test_bulk_cancels_pay_for_each_order(rig: Rig) -> None:
    rig.place(*(rig.resting() for _ in range(12)))
    before = rig.throttle.tokens(Budget.CANCELS, rig.now_ns)
    rig.run(rig.client.cancel_all())
    assert rig.throttle.tokens(Budget.CANCELS, rig.now_ns) == before - 13


def test_bulk_cancels_pay_for_each_order_where_no_header_says_so() -> None:
    rig = Rig(venue={"limits": "off"})
    rig.place(*(rig.resting() for _ in range(12)))
    rig.run(rig.client.cancel_all())
    assert rig.throttle.tokens(Budget.CANCELS, rig.now_ns) == 120 - 13


# -- orders that are signed a second time


def test_another_generation_is_signed_once_more_under_another_id() -> None:
    rig = Rig(signature_type=2, venue={"generation": "v1"})
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Accepted)
    assert placed.signed.order.generation is Generation.V1
    assert len(rig.journal) == 2
    assert rig.journal[1] == placed.signed.order_id != rig.journal[0]
    assert sent(rig, "/order") == 2


def test_an_old_order_becomes_one_of_today() -> None:
    rig = Rig(signature_type=2)
    [placed] = rig.place(as_v1(rig.resting()))
    assert isinstance(placed.answer, Accepted)
    assert placed.signed.order.generation is Generation.V2


def as_v1(order: Any) -> Any:
    return replace(order, generation=Generation.V1, timestamp=0)


def test_a_deposit_wallet_has_no_old_orders_and_stays_refused() -> None:
    rig = Rig(signature_type=3, venue={"generation": "v1"})
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Refused)
    assert placed.answer.reason is Reason.VERSION
    assert len(rig.journal) == 1


@pytest.mark.parametrize("fault", ["error_200", "leg_refused"])
def test_a_mismatch_is_mended_once_and_no_more(rig: Rig, fault: str) -> None:
    values = {"reason": "version"} if fault == "leg_refused" else {}
    rig.fault(fault, count=1, **values)
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Accepted)
    assert len(rig.journal) == 2
    rig.fault(fault, **values)
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Refused)
    assert len(rig.journal) == 4


def test_only_the_orders_of_a_batch_that_were_refused_for_it_are_signed_again(rig: Rig) -> None:
    rig.fault("leg_refused", reason="version", match={"leg": 1}, count=1)
    placed = rig.place(*(rig.resting() for _ in range(3)))
    assert all(isinstance(one.answer, Accepted) for one in placed)
    assert len(set(rig.journal)) == len(rig.journal) == 4
    assert len(rig.run(rig.client.open_orders())) == 3


def test_a_nonce_conflict_is_set_right_once() -> None:
    arena = Arena.create()
    nonces = Account(arena).nonce
    nonces.initialize(3)
    rig = Rig(signature_type=2, venue={"generation": "v1"})
    rig.client = rig.make_client(nonces=nonces)
    rig.fault("leg_refused", text="invalid nonce: expected 41", count=1)
    [placed] = rig.place(replace(as_v1(rig.resting()), nonce=nonces.issue()))
    assert isinstance(placed.answer, Accepted)
    assert placed.signed.order.nonce == 42
    assert nonces.issue() == 43
    rig.fault("leg_refused", text="invalid nonce: expected 50")
    [placed] = rig.place(replace(as_v1(rig.resting()), nonce=nonces.issue()))
    assert isinstance(placed.answer, Refused)
    assert placed.answer.nonce == 50
    assert len(rig.journal) == 4


def test_a_nonce_that_is_not_told_mends_nothing(rig: Rig) -> None:
    rig.fault("leg_refused", text="invalid nonce")
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Refused)
    assert len(rig.journal) == 1


# -- every fault on the way of an order


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("fault", "values", "expected", "exists"),
    [
        ("error", {}, Why.SERVER_ERROR, False),
        ("error", {"status": 400, "text": "odd"}, Why.UNRECOGNISED, False),
        ("html_error", {}, Why.SERVER_ERROR, False),
        ("html_error", {"status": 403}, Reason.BLOCKED, False),
        ("too_many_requests", {}, Cause.THROTTLED, False),
        ("request_lost", {}, Why.BROKEN, False),
        ("order_timed_out", {}, Reason.TIMED_OUT, False),
        ("order_body_error", {}, Reason.EXECUTION, False),
        ("order_body_error", {"text": "who knows"}, Why.UNRECOGNISED, False),
        ("response_lost", {}, Why.BROKEN, True),
        ("accepted_then_500", {}, Why.SERVER_ERROR, True),
        ("slow", {}, Why.TIMED_OUT, True),
        ("reset_mid_response", {}, Why.BROKEN, True),
        ("truncated_body", {}, Why.UNREADABLE, True),
        ("user_event_early", {}, None, True),
    ],
)
def test_what_becomes_of_an_order_is_never_guessed(
    rig: Rig, batch: bool, *, fault: str, values: Mapping[str, Any], expected: object, exists: bool
) -> None:
    """Whatever a fault does: what exists is accepted or unknown, and one request was sent."""
    path = "POST /orders" if batch else "POST /order"
    rig.fault(fault, match={"path": path}, **values)
    orders = [rig.resting() for _ in range(3 if batch else 1)]
    for one in rig.place(*orders):
        assert meaning(one.answer) is expected
        if not isinstance(one.answer, Later | Refused):
            found = rig.run(rig.client.order(one.signed.order_id))
            assert (found is not None) is exists
    assert sent(rig, path.removeprefix("POST ")) == 1
    assert len(rig.run(rig.client.open_orders())) == (len(orders) if exists else 0)


def meaning(said: object) -> object:
    match said:
        case Refused():
            return said.reason
        case Unknown():
            return said.why
        case Later():
            return said.cause
    return None


@pytest.mark.parametrize("refusal", ["http", "body"])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refused_leg_is_never_taken_for_an_order(batch: bool, reason: str, refusal: str) -> None:
    rig = Rig(venue={"refusal": refusal})
    rig.fault("leg_refused", reason=reason, match={"leg": 0})
    placed = rig.place(*(rig.resting() for _ in range(2 if batch else 1)))
    assert not isinstance(placed[0].answer, Accepted)
    if batch:
        assert isinstance(placed[1].answer, Accepted)
    status, text = REFUSALS[reason]
    if isinstance(placed[0].answer, Refused | Later):
        assert text.split("{")[0].lower()[:20] in placed[0].answer.text.lower()
    elif not batch and refusal == "http":
        assert status >= 500 or reason == "duplicated"


def test_a_copy_of_an_order_is_unknown_not_refused(rig: Rig) -> None:
    [signed] = rig.signer.sign([rig.resting()])
    for expected in (None, Why.DUPLICATED):
        [answer] = rig.run(rig.client.post([signed], order_type="GTC"))
        assert meaning(answer) is expected
    assert len(rig.run(rig.client.open_orders())) == 1


@pytest.mark.parametrize(
    ("mode", "cause", "cancels"),
    [
        ("restart", Cause.RESTARTING, False),
        ("post_only", Cause.POST_ONLY, True),
        ("cancel_only", Cause.CANCEL_ONLY, True),
        ("disabled", Cause.DISABLED, False),
    ],
)
def test_the_exchanges_modes(rig: Rig, mode: str, cause: Cause, cancels: bool) -> None:
    [held] = rig.place(rig.resting())
    rig.fault(mode, **({"seconds": 60.0} if mode == "restart" else {}))
    for orders in (1, 2):
        for one in rig.place(*(rig.resting() for _ in range(orders))):
            assert isinstance(one.answer, Later)
            assert one.answer.cause is cause or (mode == "restart" and orders == 2)
    said = rig.run(rig.client.cancel([held.signed.order_id]))
    if cancels:
        assert said == Canceled(canceled=frozenset({held.signed.order_id}))
    else:
        assert isinstance(said, Later)
        rig.throttle = rig.fresh_throttle()
        said = rig.run(rig.make_client().cancel([held.signed.order_id]))
        assert isinstance(said, Later)
        assert said.cause is cause


def test_after_a_restart_orders_wait_as_long_as_it_said(rig: Rig) -> None:
    rig.fault("restart", seconds=60.0)
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Later)
    assert placed.answer.wait_ns
    assert 0 < placed.answer.wait_ns <= 60 * SECOND
    rig.port.advance(placed.answer.wait_ns)
    [placed] = rig.place(rig.resting())
    assert meaning(placed.answer) is Cause.POST_ONLY
    [placed] = rig.place(rig.resting(), post_only=True)
    assert isinstance(placed.answer, Accepted)


@pytest.mark.parametrize("fault", ["market_closed", "tick_change"])
def test_what_a_market_does_not_take_is_not_placed(rig: Rig, fault: str) -> None:
    order = rig.orders.limit(rig.market, 0, "BUY", 1_100, "10")
    values = {"tick": "0.1"} if fault == "tick_change" else {}
    rig.fault(fault, match={"market": rig.market.condition_id}, **values)
    [placed] = rig.place(order)
    expected = Cause.MARKET_NOT_READY if fault == "market_closed" else Reason.TICK
    assert meaning(placed.answer) is expected


def test_a_partial_fill_is_what_the_answer_says(rig: Rig) -> None:
    rig.fault("leg_partial", share=0.5)
    [placed] = rig.place(rig.taking("4"), kind="FAK")
    assert isinstance(placed.answer, Accepted)
    report = rig.run(rig.client.order(placed.signed.order_id))
    assert report is not None
    assert placed.answer.taking_e6 == report.matched_e6
    assert report.final
    [killed] = rig.place(rig.taking("4"), kind="FOK")
    assert meaning(killed.answer) is Reason.FOK_KILLED


def test_a_lagging_balance_refuses_what_was_not_there(rig: Rig) -> None:
    rig.fault("lagging_balance")
    rig.place(rig.taking("5"), kind="FAK")
    rig.port.advance(10 * SECOND)
    token = rig.market.tokens[0]
    assert rig.run(rig.client.balance(token)).units == 0
    assert rig.run(rig.client.balance(token, refresh=True)).units > 0


@pytest.mark.parametrize(
    ("fault", "values", "last"),
    [
        ("trade_failed", {}, TradeStatus.FAILED),
        ("trade_retrying", {}, TradeStatus.CONFIRMED),
        ("trade_retrying", {"end": "FAILED"}, TradeStatus.FAILED),
        ("slow_settlement", {}, TradeStatus.CONFIRMED),
        ("delayed_hash", {}, TradeStatus.CONFIRMED),
    ],
)
def test_a_trade_is_followed_to_its_end(
    rig: Rig, fault: str, values: Mapping[str, Any], last: TradeStatus
) -> None:
    rig.fault(fault, **values)
    [placed] = rig.place(rig.taking(), kind="FAK")
    seen = []
    for _ in range(100):
        [trade] = rig.run(rig.client.trades(trade_id=placed.answer.trade_ids[0]))
        assert [fill.order_id for fill in trade.fills] == [placed.signed.order_id]
        if trade.status not in seen[-1:]:
            seen.append(trade.status)
        rig.port.advance(SECOND)
    assert seen[0] is TradeStatus.MATCHED
    assert seen[-1] is last
    assert (TradeStatus.RETRYING in seen) is (fault == "trade_retrying")


def test_a_held_order_may_find_nobody() -> None:
    rig = Rig("default", market_with=lambda market: market.seconds_delay)
    rig.fault("delayed_unmatched")
    [placed] = rig.place(rig.taking(), kind="FAK")
    assert isinstance(placed.answer, Accepted)
    rig.port.advance(10 * SECOND)
    report = rig.run(rig.client.order(placed.signed.order_id))
    assert report is not None
    assert (report.status, report.matched_e6) == (OrderStatus.CANCELED, 0)


# -- faults on the way of a cancel and of a read


@pytest.mark.parametrize(
    ("fault", "expected", "done"),
    [
        ("error", Why.SERVER_ERROR, False),
        ("html_error", Why.SERVER_ERROR, False),
        ("too_many_requests", Cause.THROTTLED, False),
        ("request_lost", Why.BROKEN, False),
        ("response_lost", Why.BROKEN, True),
        ("accepted_then_500", Why.SERVER_ERROR, True),
        ("slow", Why.TIMED_OUT, True),
        ("reset_mid_response", Why.BROKEN, True),
        ("truncated_body", Why.UNREADABLE, True),
    ],
)
@pytest.mark.parametrize("how", ["DELETE /order", "DELETE /orders", "DELETE /cancel-all"])
def test_what_becomes_of_a_cancel_is_never_guessed(
    rig: Rig, how: str, fault: str, expected: object, done: bool
) -> None:
    ids = [one.signed.order_id for one in rig.place(rig.resting(), rig.resting())]
    rig.fault(fault, match={"path": how})
    act = {
        "DELETE /order": lambda: rig.client.cancel(ids[:1]),
        "DELETE /orders": lambda: rig.client.cancel(ids),
        "DELETE /cancel-all": rig.client.cancel_all,
    }
    assert meaning(rig.run(act[how]())) is expected
    left = len(rig.run(rig.client.open_orders()))
    assert left == (0 if done and how != "DELETE /order" else 1 if done else 2)


@pytest.mark.parametrize(
    "fault",
    [
        "error",
        "html_error",
        "too_many_requests",
        "request_lost",
        "slow",
        "reset_mid_response",
        "truncated_body",
        "response_lost",
    ],
)
def test_a_read_is_repeated_until_it_makes_sense(rig: Rig, fault: str) -> None:
    [placed] = rig.place(rig.resting())
    values = {"status": 502} if fault == "error" else {}
    if fault == "too_many_requests":
        values = {"retry_after_s": 0}
    for path in ("/data/order/*", "/data/orders", "/data/trades", "/balance-allowance"):
        rig.fault(fault, count=2, match={"path": f"GET {path}"}, **values)
    found = rig.run(rig.client.order(placed.signed.order_id))
    assert found is not None
    assert rig.run(rig.client.open_orders()) == [found]
    assert rig.run(rig.client.trades()) == []
    assert rig.run(rig.client.balance()).units > 0
    assert rig.venue.faults.counts[fault] == 8


def test_a_read_that_stays_broken_says_so(rig: Rig) -> None:
    rig.fault("html_error", match={"path": "GET /data/orders"})
    with pytest.raises(errors.UnavailableError, match="GET /data/orders: 502"):
        rig.run(rig.client.open_orders())
    assert rig.venue.faults.counts["html_error"] == ATTEMPTS


def test_a_read_that_is_denied_is_not_repeated(rig: Rig) -> None:
    rig.fault("html_error", status=403, match={"path": "GET /data/orders"})
    with pytest.raises(errors.DeniedError) as caught:
        rig.run(rig.client.open_orders())
    assert caught.value.status == 403
    assert rig.venue.faults.counts["html_error"] == 1


def test_an_order_that_nobody_knows_is_none(rig: Rig) -> None:
    assert rig.run(rig.client.order("0x" + "00" * 32)) is None


def test_long_lists_come_whole(rig: Rig) -> None:
    orders = [rig.resting(size=str(5 + n % 50)) for n in range(230)]
    for first in range(0, 230, 15):
        rig.place(*orders[first : first + 15])
        rig.port.advance(SECOND)
    assert len(rig.run(rig.client.open_orders())) == 230
    assert len(rig.run(rig.client.open_orders(token_id=rig.market.tokens[0]))) == 230
    assert rig.run(rig.client.open_orders(token_id=rig.market.tokens[1])) == []


def test_trades_since_include_that_second(rig: Rig) -> None:
    placed = []
    for _ in range(3):
        placed += rig.place(rig.taking("2"), kind="FAK")
        rig.port.advance(10 * SECOND)
    trades = rig.run(rig.client.trades())
    assert [trade.trade_id for trade in trades] == [
        one.answer.trade_ids[0] for one in reversed(placed)
    ]
    since = rig.run(rig.client.trades(since_s=trades[1].matched_s))
    assert since == trades[:2]
    assert rig.run(rig.client.trades(since_s=0)) == trades
    assert rig.run(rig.client.trades(condition_id=rig.another_market().condition_id)) == []


def test_balances_of_cash_and_tokens(rig: Rig) -> None:
    cash = rig.run(rig.client.balance())
    [placed] = rig.place(rig.taking("5"), kind="FAK")
    rig.port.advance(10 * SECOND)
    held = rig.run(rig.client.balance(rig.market.tokens[0]))
    assert held.units == placed.answer.taking_e6
    assert rig.run(rig.client.balance()).units < cash.units
    assert min(cash.allowances.values()) == 2**256 - 1
    assert all(spender == spender.lower() for spender in cash.allowances)


def test_an_old_answer_has_one_allowance() -> None:
    rig = Rig(signature_type=2, venue={"generation": "v1"})
    assert rig.run(rig.client.balance()).allowances == {"": 2**256 - 1}


# -- clock, version, heartbeats, credentials


@pytest.mark.parametrize("offset_s", [-3_600, -60, 60, 3_600])
def test_a_clock_that_is_off_is_learned_after_a_401(rig: Rig, offset_s: int) -> None:
    [placed] = rig.place(rig.resting())
    rig.fault("clock_skew", offset_s=offset_s)
    [refused] = rig.place(rig.resting())
    assert meaning(refused.answer) is Reason.UNAUTHORIZED
    said = rig.run(rig.client.cancel([placed.signed.order_id]))
    assert said == Canceled(canceled=frozenset({placed.signed.order_id}))
    assert abs(rig.client.offset_ns - offset_s * SECOND) <= SECOND
    [after] = rig.place(rig.resting())
    assert isinstance(after.answer, Accepted)
    fresh = rig.make_client()
    assert len(rig.run(fresh.open_orders())) == 1


def test_an_offset_that_agrees_with_the_exchange_stays(rig: Rig) -> None:
    assert rig.run(rig.client.sync_time()) == 0
    rig.client.offset_ns = SECOND // 3
    rig.port.advance(SECOND // 10)
    assert rig.run(rig.client.sync_time()) == SECOND // 3
    rig.client.offset_ns = 2 * SECOND
    assert abs(rig.run(rig.client.sync_time())) <= SECOND


@pytest.mark.parametrize(("generation", "version"), [("v1", 1), ("v2", 2)])
def test_the_version(generation: str, version: int) -> None:
    rig = Rig(signature_type=2, venue={"generation": generation})
    assert rig.run(rig.client.version()) == version
    rig.fault("error", status=404, text="404 page not found", match={"path": "GET /version"})
    assert rig.run(rig.client.version()) == 2


def test_heartbeats_carry_the_last_id_and_keep_orders_alive(rig: Rig) -> None:
    rig.place(rig.resting())
    for _ in range(6):
        assert rig.run(rig.client.heartbeat()) is None
        rig.port.advance(5 * SECOND)
    assert len(rig.run(rig.client.open_orders())) == 1
    rig.port.advance(20 * SECOND)
    assert rig.run(rig.client.open_orders()) == []


def test_a_wrong_heartbeat_id_is_corrected_once(rig: Rig) -> None:
    assert rig.run(rig.client.heartbeat()) is None
    restarted = rig.make_client()
    assert rig.run(restarted.heartbeat()) is None
    assert sent(rig, "/v1/heartbeats") == 3
    rig.fault("heartbeat_refused")
    said = rig.run(restarted.heartbeat())
    assert isinstance(said, Unknown)
    assert "Invalid Heartbeat ID" in said.text
    assert sent(rig, "/v1/heartbeats") == 5


def test_a_heartbeat_without_an_answer_says_so(rig: Rig) -> None:
    rig.fault("response_lost", count=1, match={"path": "POST /v1/heartbeats"})
    assert meaning(rig.run(rig.client.heartbeat())) is Why.BROKEN
    assert rig.run(rig.client.heartbeat()) is None


def test_credentials_are_known_to_be_good_or_bad(rig: Rig) -> None:
    assert rig.run(rig.client.authorized())
    held = rig.credentials
    wrong = Credentials(held.api_key, held.secret, held.passphrase + "x")
    assert not rig.run(rig.make_client(credentials=wrong).authorized())
    [placed] = rig.run(
        rig.make_client(credentials=wrong).place(
            [rig.resting()], order_type="GTC", journal=lambda _: None
        )
    )
    assert meaning(placed.answer) is Reason.UNAUTHORIZED


# -- the bytes


class Recorder:
    """A port that keeps what it is asked and answers what it is told."""

    def __init__(self, body: object = None, status: int = 200) -> None:
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = []
        self._answer = HttpResponse(status=status, body=json.dumps(body).encode())

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = 0,
    ) -> HttpResponse:
        self.asked.append((method, path, dict(query or {}), dict(headers or {}), body))
        return self._answer


def sdk_client(name: str, recorder: Recorder) -> tuple[TradingClient, dict[str, Any]]:
    meta = json.loads((VECTORS / f"{name}.json").read_text())["meta"]
    signer = OrderSigner(
        meta["private_key"],
        signature_type=meta.get("signature_type", 0),
        funder=meta.get("funder"),
    )
    held = Credentials(meta["api_key"], meta["api_secret"], meta["api_passphrase"])
    client = TradingClient(
        recorder,
        signer=signer,
        credentials=held,
        wall_ns=lambda: meta["now"] * SECOND,
        monotonic_ns=lambda: SECOND,
    )
    return client, meta


@pytest.mark.parametrize("name", ["v1_http_requests", "v2_http_requests"])
def test_cancels_are_the_sdks_byte_for_byte(name: str) -> None:
    """Same path, body and HMAC, with the SDK's clock."""
    calls = {
        "/cancel-all": lambda client, _: client.cancel_all(),
        "/order": lambda client, body: client.cancel([body["orderID"]]),
        "/orders": lambda client, body: client.cancel(body),
    }
    compared = 0
    for case in vectors(name):
        if case["method"] != "DELETE" or case["path"] not in calls:
            continue
        recorder = Recorder({"canceled": [], "not_canceled": {}})
        client, _ = sdk_client(name, recorder)
        body = json.loads(case["body"]) if case["body"] else None
        if isinstance(body, list) and len(body) < 2:
            continue
        asyncio.run(calls[case["path"]](client, body))
        [(method, path, _, headers, sent_body)] = recorder.asked
        assert (method, path) == ("DELETE", case["path"])
        assert sent_body.decode() == case["body"]
        theirs = {k: v for k, v in case["headers"].items() if k.startswith("POLY_")}
        assert headers == theirs
        compared += 1
    assert compared >= 2


def test_the_signature_covers_the_very_bytes_that_are_sent(rig: Rig) -> None:
    """The venue checks it; one changed byte on the way is a 401."""
    [placed] = rig.place(rig.resting())
    assert isinstance(placed.answer, Accepted)
    made = rig.port.request

    async def bent(method: str, path: str, **named: Any) -> HttpResponse:
        named["body"] = named.get("body", b"").replace(b'"GTC"', b'"GTD"')
        return await made(method, path, **named)

    rig.port.request = bent  # type: ignore[method-assign]
    [placed] = rig.place(rig.resting())
    assert meaning(placed.answer) is Reason.UNAUTHORIZED


def test_pages_that_do_not_end_are_noticed() -> None:
    recorder = Recorder({"data": [], "next_cursor": "MQ=="})
    client, _ = sdk_client("v2_http_requests", recorder)
    with pytest.raises(errors.GarbledError, match="the pages do not end"):
        asyncio.run(client.open_orders())
    assert len(recorder.asked) == 2


@pytest.mark.parametrize("body", [{}, [], {"balance": "-1"}, {"balance": "1.5"}, {"balance": None}])
def test_a_balance_that_is_none_is_garbled(body: object) -> None:
    client, _ = sdk_client("v2_http_requests", Recorder(body))
    with pytest.raises(errors.GarbledError):
        asyncio.run(client.balance())


def test_bad_settings_are_refused() -> None:
    with pytest.raises(errors.RangeError, match="order_ns"):
        Timeouts(order_ns=0)
    with pytest.raises(errors.RangeError, match="attempts"):
        Rig().make_client(attempts=0)
