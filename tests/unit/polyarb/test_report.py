"""Orders and trades in every spelling that the exchange has for them."""

import json
from typing import Any

import pytest

from polyarb.domain.order import OrderType, Side
from polyarb.domain.report import (
    Fill,
    OrderStatus,
    TradeStatus,
    Units,
    load,
    read_order,
    read_trade,
)
from polyarb.errors import MalformedError

MINE, OTHER = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
ID, MAKER_ID = "0x" + "ab" * 32, "0x" + "cd" * 32
YES, NO = "7132", "5211"


def order(**changes: object) -> dict[str, Any]:
    made = {
        "id": ID,
        "status": "ORDER_STATUS_LIVE",
        "owner": MINE,
        "maker_address": "0xf39f",
        "market": "0xbd31",
        "asset_id": YES,
        "side": "BUY",
        "original_size": "100",
        "size_matched": "25.5",
        "price": "0.57",
        "outcome": "Yes",
        "expiration": "0",
        "order_type": "GTC",
        "associate_trades": ["28c4"],
        "created_at": 1_790_000_000,
    }
    return made | changes


def trade(**changes: object) -> dict[str, Any]:
    made = {
        "id": "28c4",
        "taker_order_id": ID,
        "market": "0xbd31",
        "asset_id": YES,
        "side": "BUY",
        "size": "30",
        "fee_rate_bps": "0",
        "price": "0.58",
        "status": "TRADE_STATUS_MINED",
        "match_time": "1790000000",
        "last_update": "1790000003",
        "owner": MINE,
        "transaction_hash": "0x12",
        "trader_side": "TAKER",
        "maker_orders": [
            maker(size="10", price="0.57", side="SELL", asset_id=YES),
            maker(size="20", price="0.42", side="BUY", asset_id=NO),
        ],
    }
    return made | changes


def maker(size: str, price: str, side: str, asset_id: str, owner: str = OTHER) -> dict[str, Any]:
    return {
        "order_id": MAKER_ID,
        "owner": owner,
        "matched_amount": size,
        "price": price,
        "asset_id": asset_id,
        "side": side,
    }


# -- orders


def test_an_order_of_rest() -> None:
    report = read_order(order(), Units())
    assert (report.order_id, report.status, report.side) == (ID, OrderStatus.LIVE, Side.BUY)
    assert (report.price_e4, report.size_e6, report.matched_e6) == (5_700, 10**8, 25_500_000)
    assert (report.order_type, report.trade_ids) == (OrderType.GTC, ("28c4",))
    assert report.at_ms == 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("LIVE", OrderStatus.LIVE),
        ("live", OrderStatus.LIVE),
        ("ORDER_STATUS_MATCHED", OrderStatus.MATCHED),
        ("DELAYED", OrderStatus.DELAYED),
        ("UNMATCHED", OrderStatus.UNMATCHED),
        ("ORDER_STATUS_INVALID", OrderStatus.INVALID),
        ("CANCELED", OrderStatus.CANCELED),
        ("ORDER_STATUS_CANCELED_MARKET_RESOLVED", OrderStatus.CANCELED),
        ("CANCELED_NOT_ENOUGH_BALANCE", OrderStatus.CANCELED),
        ("CANCELLED", OrderStatus.CANCELED),
        (
            "CANCELED_order couldn't be fully filled. FOK orders are fully filled or killed.",
            OrderStatus.CANCELED,
        ),
    ],
)
def test_every_word_for_a_status(text: str, status: OrderStatus) -> None:
    report = read_order(order(status=text), Units())
    assert (report.status, report.text) == (status, text)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("PLACEMENT", OrderStatus.LIVE),
        ("UPDATE", OrderStatus.LIVE),
        ("CANCELLATION", OrderStatus.CANCELED),
    ],
)
def test_an_old_event_has_a_type_alone(kind: str, status: OrderStatus) -> None:
    told = order(type=kind, associate_trades=None, created_at="", timestamp="1790000000500")
    del told["status"], told["order_type"]
    report = read_order(told, Units())
    assert (report.status, report.trade_ids, report.at_ms) == (status, (), 1_790_000_000_500)


@pytest.mark.parametrize(
    ("size", "matched", "known", "expected"),
    [
        ("100", "25", None, (10**8, 25 * 10**6)),
        ("100000000", "25500000", None, (10**8, 25_500_000)),
        ("100000000", "", None, (10**8, 0)),
        ("20000", "0", 20_000 * 10**6, (20_000 * 10**6, 0)),
        ("20000", "0", 20_000, (20_000, 0)),
        (100, 25, None, (10**8, 25 * 10**6)),
        ("219.2177671", "0.0000009", None, (219_217_767, 0)),
        ("", "", None, (0, 0)),
    ],
)
def test_sizes_are_shares_or_millionths(
    size: object, matched: object, known: int | None, expected: tuple[int, int]
) -> None:
    told = load(json.dumps(order(original_size=size, size_matched=matched)))
    report = read_order(told, Units(), known)
    assert (report.size_e6, report.matched_e6) == expected


def test_what_was_proven_decides_what_proves_nothing() -> None:
    units = Units()
    read_order(order(original_size="2000000", size_matched="0"), units, 2_000_000)
    assert read_order(order(original_size="500", size_matched="0"), units).size_e6 == 500
    read_order(order(original_size="2.5", size_matched="0"), units)
    assert read_order(order(original_size="2000000", size_matched="0"), units).size_e6 == 2 * 10**12


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "x",
        {},
        order(id=""),
        order(id=None),
        order(side="HOLD"),
        order(price=""),
        order(price="-0.5"),
        order(price="1.01"),
        order(price="NaN"),
        order(price="0.12345"),
        order(original_size="ten"),
        order(size_matched="-1"),
        order(original_size="9" * 40),
        order(status="SLEEPING"),
        order(status=""),
    ],
)
def test_what_is_no_order_is_malformed(told: object) -> None:
    with pytest.raises(MalformedError):
        read_order(told, Units())


# -- trades


def test_a_takers_cash_is_what_its_makers_got() -> None:
    """0.57 x 10 and, against a BUY of NO at 0.42, 0.58 x 20; not the worst price times all."""
    report = read_trade(trade(), MINE, Units())
    assert (report.trade_id, report.status) == ("28c4", TradeStatus.MINED)
    assert report.fills == (
        Fill(
            order_id=ID,
            token_id=YES,
            side=Side.BUY,
            size_e6=30 * 10**6,
            cash_e6=5_700_000 + 11_600_000,
            taker=True,
        ),
    )
    assert (report.matched_s, report.at_ms) == (1_790_000_000, 1_790_000_003_000)


def test_without_all_its_makers_the_worst_price_counts_and_rounds_against_us() -> None:
    told = trade(size="10.000001", maker_orders=[], price="0.333")
    (bought,) = read_trade(told, MINE, Units()).fills
    assert bought.cash_e6 == 3_330_001
    (sold,) = read_trade(told | {"side": "SELL"}, MINE, Units()).fills
    assert sold.cash_e6 == 3_330_000


def test_a_maker_has_his_own_part_at_his_own_price() -> None:
    mine = maker(size="20", price="0.42", side="BUY", asset_id=NO, owner=MINE)
    told = trade(trader_side="MAKER", maker_orders=[maker("10", "0.57", "SELL", YES), mine])
    assert read_trade(told, MINE, Units()).fills == (
        Fill(
            order_id=MAKER_ID,
            token_id=NO,
            side=Side.BUY,
            size_e6=20 * 10**6,
            cash_e6=8_400_000,
            taker=False,
        ),
    )


def test_our_own_orders_may_meet() -> None:
    mine = maker(size="30", price="0.58", side="SELL", asset_id=YES, owner=MINE)
    fills = read_trade(trade(maker_orders=[mine]), MINE, Units()).fills
    assert [(fill.order_id, fill.taker) for fill in fills] == [(MAKER_ID, False), (ID, True)]


def test_an_old_event_does_not_say_which_side_we_were() -> None:
    told = trade(matchtime="1790000000", trade_owner=MINE)
    del told["trader_side"], told["match_time"], told["owner"]
    assert [fill.taker for fill in read_trade(told, MINE, Units()).fills] == [True]
    told["maker_orders"][0]["owner"] = MINE
    assert [fill.taker for fill in read_trade(told, MINE, Units()).fills] == [False]
    assert read_trade(told, "somebody else", Units()).fills == ()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("MATCHED", TradeStatus.MATCHED),
        ("TRADE_STATUS_MATCHED_NOT_BROADCASTED", TradeStatus.MATCHED),
        ("TRADE_STATUS_RETRYING", TradeStatus.RETRYING),
        ("CONFIRMED", TradeStatus.CONFIRMED),
        ("failed", TradeStatus.FAILED),
    ],
)
def test_every_word_for_a_settlement(text: str, status: TradeStatus) -> None:
    assert read_trade(trade(status=text), MINE, Units()).status is status


def test_amounts_of_a_trade_may_be_millionths() -> None:
    makers = [maker("10000000", "0.57", "SELL", YES), maker("20000000", "0.42", "BUY", NO)]
    (fill,) = read_trade(trade(size="30000000", maker_orders=makers), MINE, Units()).fills
    assert (fill.size_e6, fill.cash_e6) == (30 * 10**6, 17_300_000)


def test_an_average_price_is_taken_at_its_worse_end() -> None:
    told = trade(price="0.576666", maker_orders=[])
    assert read_trade(told, MINE, Units()).fills[0].cash_e6 == 5_767 * 3_000
    assert read_trade(told | {"side": "SELL"}, MINE, Units()).fills[0].cash_e6 == 5_766 * 3_000


@pytest.mark.parametrize(
    "told",
    [
        None,
        7,
        {},
        trade(id=""),
        trade(status="LOST"),
        trade(status=None),
        trade(size=""),
        trade(side=""),
        trade(price="x", maker_orders=[]),
        trade(taker_order_id=None),
        trade(asset_id=""),
        trade(maker_orders="none"),
        trade(maker_orders=[7]),
        trade(maker_orders=[{"owner": MINE}]),
        trade(maker_orders=[maker("30", "0.57001", "SELL", YES)]),
    ],
)
def test_what_is_no_trade_is_malformed(told: object) -> None:
    with pytest.raises(MalformedError):
        read_trade(told, MINE, Units())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b"{} {}", "x"])
def test_what_is_no_json_is_malformed(data: bytes | str) -> None:
    with pytest.raises(MalformedError, match="no JSON"):
        load(data)


def test_fractions_stay_text() -> None:
    assert load(b'[0.1, 3, "x"]') == ["0.1", 3, "x"]
