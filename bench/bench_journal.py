"""
Measure the trade journal.

Questions: what does the intent cost between signing and sending, and what a result afterwards? How
long does a restart read, and how fast does the projector's process go? The other side of the first
rows is what a program does that wants as much, to survive its own kill: a line of JSON and a write
to the file, which is a system call. A journal that the disk is asked for each time is a row of its
own. Every record must be read back.
"""

import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.inputs import Inputs, Run
from bench.paired import INPUTS, Row, paired
from polyarb.domain.order import OrderType, Side
from polyarb.journal import record
from polyarb.journal.follower import Follower
from polyarb.journal.projector import Projector
from polyarb.journal.record import Record
from polyarb.journal.writer import Fsync, Journal

RECORDS: Final = 100_000
PROJECTED: Final = 20_000
CONDITION: Final = "0x" + "5f" * 32
LEGS: Final = 3


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    intents = [_intent(run.inputs, n) for n in range(INPUTS)]
    fills = [_fill(run.inputs, n) for n in range(INPUTS)]
    named: tuple[tuple[str, list[Record]], ...] = (
        (f"journal: an intent of {LEGS} legs", list(intents)),
        ("journal: a fill", list(fills)),
    )
    for name, records in named:
        yield _append(name, records, run.rounds)
    if run.rounds:
        yield _each(fills)
    yield _recovery(run)
    yield _projection(run)


def _append(name: str, records: list[Record], rounds: int) -> Row:
    """Append, against a line of JSON and a write."""
    plain = [msgspec.to_builtins(each) for each in records]
    tail: list[int] = []
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "j", 1) as journal:
        file = os.open(Path(folder) / "lines", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

        def ours(first: int, last: int) -> int:
            journal.tend(1)
            start = time.perf_counter_ns()
            for each in records[first:last]:
                journal.append(each, start)
            return time.perf_counter_ns() - start

        def against(first: int, last: int) -> int:
            start = time.perf_counter_ns()
            for each in plain[first:last]:
                os.write(file, json.dumps(each).encode() + b"\n")
            return time.perf_counter_ns() - start

        row = paired(name, ours, against, rounds=rounds, faster=True)
        for n in range(10_000 if rounds else 0):
            if n % 16 == 0:
                journal.tend(1)
            start = time.perf_counter_ns()
            journal.append(records[n % INPUTS], start)
            tail.append(time.perf_counter_ns() - start)
        os.close(file)
        assert journal.late_segments == 0
        found = [entry.record for entry in _read(Path(folder) / "j")]
        assert len(found) == journal.seq
        assert found[:INPUTS] == records
    if not rounds:
        return row
    tail.sort()
    p50, p99, p999 = (tail[int(len(tail) * share)] / 1e3 for share in (0.5, 0.99, 0.999))
    note = f"p50 {p50:.1f}, p99 {p99:.1f}, p99.9 {p999:.1f} µs; against json and write(2)"
    return dataclasses.replace(row, note=note)


def _each(records: list[record.Fill]) -> Row:
    """Append with a disk that is asked each time."""
    took = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "j", 1, fsync=Fsync.ALWAYS) as journal,
    ):
        for each in records:
            start = time.perf_counter_ns()
            journal.append(each, start)
            took.append(time.perf_counter_ns() - start)
        return Row(
            name="journal: a fill, fsync `always`",
            ours=statistics.median(took),
            note=f"this disk's; at most {max(took) / 1e6:.1f} ms of {len(took)}",
        )


def _recovery(run: Run) -> Row:
    """Open a journal whose writer was killed, and read all of it."""
    count = RECORDS if run.rounds else 1_000
    given = _mixed(run.inputs, count)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "j"
        stored = _fill_journal(folder, given)
        lines = b"\n".join(json.dumps(msgspec.to_builtins(each)).encode() for each in given)
        ours, against = [], []
        for _ in range(max(run.rounds, 1)):
            start = time.perf_counter_ns()
            with Journal(folder, 1) as journal:
                found = _read(folder)
                ours.append(time.perf_counter_ns() - start)
                assert journal.seq == count
            assert [entry.record for entry in found] == given
            start = time.perf_counter_ns()
            assert len([json.loads(line) for line in lines.split(b"\n")]) == count
            against.append(time.perf_counter_ns() - start)
    if not run.rounds:
        return Row(name="journal: recovery", note="ran")
    return Row(
        name=f"journal: recovery of {count:,} records",
        ours=statistics.median(ours),
        against=statistics.median(against),
        ratios=tuple(b / a for a, b in zip(ours, against, strict=True)),
        note=f"{stored / 1e6:.0f} MB, every checksum; against json.loads of as many lines, none",
    )


def _projection(run: Run) -> Row:
    """Write a journal into SQLite."""
    count = PROJECTED if run.rounds else 500
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "j"
        _fill_journal(folder, _mixed(run.inputs, count))
        projector = Projector(folder, f"sqlite:{temporary}/trades.db")
        start, done = time.perf_counter_ns(), 0
        while step := projector.step():
            done += step
        took = time.perf_counter_ns() - start
        projector.close()
        assert done == count
    if not run.rounds:
        return Row(name="journal: projection", note="ran")
    rate = done / took * 1e9
    return Row(name="journal: a record into SQLite", ours=took / done, note=f"{rate:,.0f} a second")


def _fill_journal(folder: Path, records: list[Record]) -> int:
    with Journal(folder, 1) as journal:
        for n, each in enumerate(records):
            journal.append(each, n)
            if n % 64 == 0:
                journal.tend(n)
    return sum(path.stat().st_size for path in folder.iterdir())


def _read(folder: Path) -> list[Any]:
    found: list[Any] = []
    with Follower(folder) as follower:
        while more := follower.read():
            found += more
    return found


def _mixed(inputs: Inputs, count: int) -> list[Record]:
    """Return what baskets of three legs leave in a journal."""
    made: list[Record] = []
    for n in range(count // 14 + 1):
        basket, ids = f"b-{n}", tuple(_order_id(LEGS * n + leg) for leg in range(LEGS))
        made.append(record.Skip("stale", 100, "negrisk_yes:1", "3 s old"))
        made.append(record.Cash(record.CashChange.RESERVED, 9_000_000, 10**9, 9_000_000, basket))
        made.append(_intent(inputs, n))
        made.append(record.Sent(basket, ids, n))
        made += [
            record.Answer(basket, each, record.Outcome.ACCEPTED, "matched", http=200)
            for each in ids
        ]
        made += [_fill(inputs, LEGS * n + leg) for leg in range(LEGS)]
        made.append(record.Cash(record.CashChange.COMMITTED, 8_900_000, 10**9, 0, basket))
        made.append(record.Closed(basket, record.Result.COMPLETE, 8_900_000, 1_000, 0, 99_000))
        made.append(record.Note("merge", basket))
        made.append(record.Switch(True, "start"))
    return made[:count]


def _intent(inputs: Inputs, n: int) -> record.Intent:
    legs = []
    for k, signal in enumerate(inputs.baskets[n % len(inputs.baskets)][:LEGS]):
        legs.append(
            record.Leg(
                order_id=_order_id(LEGS * n + k),
                token=str(inputs.tokens[signal.token].token_id),
                condition_id=CONDITION,
                neg_risk=True,
                side=Side(signal.side),
                limit_e4=4_200,
                shares_e6=signal.taker_amount,
                maker_e6=signal.maker_amount,
                taker_e6=signal.taker_amount,
                cost_e6=signal.maker_amount,
                fee_e6=12_000,
            )
        )
    body = b'{"order":{"salt":1,"signature":"0x' + b"5f" * 300 + b'"},"owner":""}' + b" " * 200
    return record.Intent(
        basket=f"b-{n}",
        relation="negrisk_yes:1",
        purpose=record.Purpose.OPEN,
        style=OrderType.FAK,
        legs=tuple(legs),
        bodies=(body * LEGS,),
        payoff_e6=10_000_000,
        loss_cap_e6=500_000,
        reserved_e6=9_000_000,
    )


def _fill(inputs: Inputs, n: int) -> record.Fill:
    signal = inputs.baskets[n % len(inputs.baskets)][0]
    return record.Fill(
        trade_id=f"{n:08x}-0000-4000-8000-000000000000",
        order_id=_order_id(n),
        basket=f"b-{n // LEGS}",
        token=str(inputs.tokens[signal.token].token_id),
        side=Side.BUY,
        shares_e6=signal.taker_amount,
        cash_e6=signal.maker_amount,
        fee_e6=12_000,
        state=record.TradeState.MATCHED,
    )


def _order_id(n: int) -> str:
    return f"0x{n:064x}"
