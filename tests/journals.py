"""Trade journals for tests: records of every kind, and a journal of them in a folder."""

import random
from pathlib import Path

from polyarb.domain.order import OrderType, Side
from polyarb.journal import record, segment
from polyarb.journal.follower import Follower
from polyarb.journal.record import Entry
from polyarb.journal.writer import Journal

WALL_NS = 1_790_000_000_000_000_000
TRADED = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
CONDITION = "0x" + "5f" * 32
SEGMENT_BYTES = 2 << 20


def order_id(number: int) -> str:
    return f"0x{number:064x}"


def leg(number: int, *, price_e4: int = 4_200, shares_e6: int = 10_000_000) -> record.Leg:
    cost_e6 = price_e4 * shares_e6 // 10_000
    return record.Leg(
        order_id=order_id(number),
        token=TRADED,
        condition_id=CONDITION,
        neg_risk=True,
        side=Side.BUY,
        limit_e4=price_e4,
        shares_e6=shares_e6,
        maker_e6=cost_e6,
        taker_e6=shares_e6,
        cost_e6=cost_e6,
        fee_e6=12_345,
    )


def intent(
    basket: str, *numbers: int, purpose: record.Purpose = record.Purpose.OPEN
) -> record.Intent:
    return record.Intent(
        basket=basket,
        relation="negrisk_yes:1",
        purpose=purpose,
        style=OrderType.FAK,
        legs=tuple(map(leg, numbers)),
        bodies=(b'[{"order":{"salt":1},"owner":"","orderType":"FAK"}]',),
        payoff_e6=10_000_000,
        loss_cap_e6=500_000,
        reserved_e6=8_424_690,
    )


def fill(trade: str, number: int, basket: str, state: str = "MATCHED", tx: str = "") -> record.Fill:
    return record.Fill(
        trade_id=trade,
        order_id=order_id(number),
        basket=basket,
        token=TRADED,
        side=Side.BUY,
        shares_e6=10_000_000,
        cash_e6=4_200_000,
        fee_e6=12_345,
        state=record.TradeState(state),
        tx=tx,
    )


def settled(settlement: str, state: str, *, tx: str = "", why: str = "") -> record.Settled:
    return record.Settled(
        id=settlement,
        kind=record.Settlement.MERGE,
        state=record.SettlementState(state),
        condition_id=CONDITION,
        shares_e6=10_000_000,
        cash_e6=10_000_000,
        tx=tx,
        nonce=7,
        basket="b-1",
        why=why,
    )


def one_of_each() -> list[record.Record]:
    """Return a record of every kind, as a basket of two legs would leave them."""
    return [
        record.Started("run-1", "polyarb 0.1.0", "avx2", "sim", "0x" + "a" * 40, "c0ffee"),
        record.Switch(True, "start", "books are live"),
        record.Skip("stale", 17, "ladder:3", "bid 0.41, 3 s old"),
        record.Cash(record.CashChange.RESERVED, 8_424_690, 91_575_310, 8_424_690, "b-1"),
        intent("b-1", 1, 2),
        record.Sent("b-1", (order_id(1), order_id(2)), 123_456_789),
        record.Answer("b-1", order_id(1), record.Outcome.ACCEPTED, "matched", http=200),
        record.Answer("b-1", order_id(2), record.Outcome.UNKNOWN, reason="timeout", text="<html>"),
        record.Seen(order_id(2), "LIVE", 0, record.Witness.USER, "b-1"),
        fill("t-1", 1, "b-1"),
        record.CancelSent("b-1", (order_id(2),), "time-out"),
        record.CancelAnswer(order_id(2), False, "the order is already canceled or matched"),
        record.Phase("b-1", "unwinding", "one leg is missing"),
        record.Closed("b-1", record.Result.UNWOUND, 4_200_000, 24_690, 4_150_000, -74_690),
        settled("s-1", "submitted"),
        record.Note("reconcile", "a foreign order 0x9 is left alone"),
        record.Planned("b-1", b"\x80"),
        record.Happened("b-1", "Sent", b"\x90"),
    ]


def some_records(count: int, seed: int = 1) -> list[record.Record]:
    """Return records of every kind in any order, with texts of any length."""
    chance = random.Random(seed)
    kinds = one_of_each()
    return [
        record.Note(f"n{n}", "é" * chance.randrange(200))
        if chance.random() < 0.5
        else chance.choice(kinds)
        for n in range(count)
    ]


def write(folder: Path, records: list[record.Record], **options: int) -> list[Path]:
    """Write a journal with an orderly end; return its segments."""
    with Journal(folder, WALL_NS, segment_bytes=SEGMENT_BYTES, **options) as journal:
        for n, each in enumerate(records):
            journal.append(each, WALL_NS + n)
    return segment.paths(folder)


def read(folder: Path) -> list[Entry]:
    """Return all that a follower finds."""
    found: list[Entry] = []
    with Follower(folder) as follower:
        while more := follower.read():
            found += more
    return found


def records(folder: Path) -> list[object]:
    """Return the records alone."""
    return [entry.record for entry in read(folder)]
