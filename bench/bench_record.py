"""
Measure the recorder and the replay.

Questions: what does recording add to a socket read, and can it ever hold the loop up? How fast is
a recording played again, with every check and without? The other side of the first row is what
recording would cost without a process of its own: compressing and writing in the loop. Reads are
generated price_changes of the recorded size; everything recorded must be read back.
"""

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.inputs import Run
from bench.paired import Row
from polyarb.control.replay import Player, replay
from polyarb.journal import frames
from polyarb.journal.frames import FrameReader, FrameWriter, Kind, Record
from polyarb.journal.recorder import Recorder

READS: Final = 20_000
A_SECOND: Final = 5_000
"""Frames of a portfolio of 200 tokens with ten fast markets (captures/STATISTICS.md section 1)."""
TOKENS: Final = ("7" * 77, "8" * 77)
CONDITION: Final = "0x" + "5f" * 32


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    rounds = max(run.rounds, 1)
    reads = _reads(READS if run.rounds else 500)
    made = [asyncio.run(_recorded(reads)) for _ in range(rounds)]
    inline = [_inline(reads) for _ in range(rounds)]
    played = [_played(reads, check=False) for _ in range(rounds)]
    checked = [_played(reads, check=True) for _ in range(rounds)]
    if run.rounds == 0:
        yield Row(name="record and replay", note="ran")
        return
    ours, longest, stored = zip(*made, strict=True)
    share = statistics.median(stored)
    turns = max(longest) / 1e3, max(most for _, most in inline) / 1e3
    yield Row(
        name="record: a read of one frame",
        ours=statistics.median(ours),
        against=statistics.median(cost for cost, _ in inline),
        ratios=tuple(a / b for a, (b, _) in zip(ours, inline, strict=True)),
        note=f"CPU of the loop at {A_SECOND:,} reads/s, pipe included, against compressing and "
        f"writing in the loop; longest turn {turns[0]:,.0f} µs against {turns[1]:,.0f} µs, which "
        f"may block as well; {share:.0%} of the bytes on disk",
    )
    yield Row(
        name="replay: a frame",
        ours=statistics.median(played),
        note=f"with every book and hash checked {statistics.median(checked) / 1e3:,.0f} µs",
    )


async def _recorded(reads: Sequence[bytes]) -> tuple[float, float, float]:
    """Record reads as they would come; return CPU ns a read, of a turn at most, share stored."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = await Recorder.start(Path(folder), {"markets": []})
        spent = longest = 0
        flush = recorder._flush

        def timed() -> None:
            nonlocal spent, longest
            began = time.thread_time_ns()
            flush()
            took = time.thread_time_ns() - began
            spent += took
            longest = max(longest, took)

        recorder._flush = timed  # type: ignore[method-assign]
        recorder.up(0, TOKENS, 0)
        start = time.perf_counter()
        for at in range(0, len(reads), 10):
            began = time.thread_time_ns()
            for n, data in enumerate(reads[at : at + 10]):
                recorder.read(0, at + n, data)
            spent += time.thread_time_ns() - began
            await asyncio.sleep(max(0.0, start + at / A_SECOND - time.perf_counter()))
        summary = await recorder.stop()
        assert (summary.lost, summary.error) == (0, "")
        found = [
            record.data
            for path in frames.segments([Path(folder)])
            for record in FrameReader(path)
            if record.kind is Kind.READ
        ]
        assert found == list(reads)
        share = summary.stored_bytes / summary.plain_bytes
        return spent / len(reads), longest, share


def _inline(reads: Sequence[bytes]) -> tuple[float, float]:
    """Write a segment in the loop instead; return ns a read and the longest call."""
    meta = frames.encode(Record(Kind.META, 0, 0, b"{}"))
    with tempfile.TemporaryDirectory() as folder, FrameWriter(Path(folder), meta, 0) as writer:
        longest, start = 0, time.thread_time_ns()
        for n, data in enumerate(reads):
            began = time.thread_time_ns()
            writer.write(frames.encode(Record(Kind.READ, n, n, data)))
            longest = max(longest, time.thread_time_ns() - began)
        return (time.thread_time_ns() - start) / len(reads), longest


def _played(reads: Sequence[bytes], *, check: bool) -> float:
    said = json.dumps({"markets": [{"tokens": TOKENS}]}).encode()
    meta = frames.encode(Record(Kind.META, 0, 0, said))
    with tempfile.TemporaryDirectory() as folder:
        with FrameWriter(Path(folder), meta, 0) as writer:
            for n, data in enumerate(reads):
                writer.write(frames.encode(Record(Kind.READ, n, n, data, epoch=1)))
        player = Player(64, check=check)
        start = time.perf_counter_ns()
        replay([Path(folder)], player)
        took = time.perf_counter_ns() - start
        assert player.frames == len(reads)
        return took / len(reads)


def _reads(count: int) -> list[bytes]:
    """Return an opening frame and price_changes of both tokens, in WebSocket frames."""
    chance = random.Random(1)
    prices = range(1, 100)
    levels = {
        "bids": [{"price": f"0.{p:02d}", "size": str(100 + p)} for p in prices[:49]],
        "asks": [{"price": f"0.{p:02d}", "size": str(100 + p)} for p in reversed(prices[50:])],
    }
    first = [
        {"event_type": "book", "market": CONDITION, "asset_id": token, "timestamp": "1"}
        | {"hash": "0" * 40}
        | levels
        for token in TOKENS
    ]
    made = [_framed(first)]
    for n in range(1, count):
        p, size = chance.randrange(1, 50), str(chance.randrange(1, 100_000) / 100)
        entries = [
            {"asset_id": token, "price": f"0.{price:02d}", "size": size, "side": side}
            | {"hash": f"{chance.getrandbits(160):040x}", "best_bid": "0.49", "best_ask": "0.51"}
            for token, price, side in ((TOKENS[0], p, "BUY"), (TOKENS[1], 100 - p, "SELL"))
        ]
        said = {"market": CONDITION, "price_changes": entries, "timestamp": str(n)}
        made.append(_framed(said | {"event_type": "price_change"}))
    return made


def _framed(said: object) -> bytes:
    body = json.dumps(said, separators=(",", ":")).encode()
    return b"\x81\x7e" + len(body).to_bytes(2, "big") + body
