"""
From a frame's bytes to the published top (performance.md rows 1, 2, 3, 20, 21), and memory.

Questions: what does decoding cost against msgspec's typed decode; what do decoding, applying and
publishing cost together, one frame a call and sixteen frames in one socket read; what does a token
take, at each tick, and do cost and memory hold from 100 tokens to the whole venue? Input: 128
distinct messages of the captured shape (messages.py), in the order a feed would bring them. The
other side decodes with `msgspec.json.Decoder` of a union tagged by event_type, as somebody must who
does not know what the next message is. Every frame is read by both sides and compared, and the
books after one pass are those of the generator.
"""

import gc
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from bench.inputs import Run
from bench.messages import Market, decimal, markets, text
from bench.paired import INPUTS, Goal, Row, Side, paired
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import kernel, kernels, select_kernel
from polyarb.core.book import Books, State
from polyarb.core.decode import Decoder, Kind
from polyarb.core.decode import Side as BookSide
from polyarb.core.stream import Splitter
from polyarb.core.tick import Ticker

ROW_1 = {
    20: Goal(must=12, stretch=16, at_least=True),
    100: Goal(must=15, stretch=22, at_least=True),
}
ROW_2 = Goal(must=8, stretch=12, at_least=True)
ROW_3 = Goal(must=3.5, stretch=5, at_least=True)
ROW_21_BOOK = Goal(must=5, stretch=9, at_least=True)
ROW_21_CHANGE = Goal(must=2.5, stretch=4, at_least=True)
MARKETS = 32
READ = 16
"""Frames in one socket read of the batched rows; a burst is 5 to 40 (captures/STATISTICS.md)."""


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    chosen = kernel()
    try:
        yield from _messages(run, chosen, main=True)
        for name in kernels():
            if name != chosen:
                select_kernel(name)
                yield from _messages(run, name, main=False)
    finally:
        select_kernel(chosen)
    yield from _objects()
    yield from _memory()
    yield from _growth(run)


def _messages(run: Run, name: str, *, main: bool) -> Iterator[Row]:
    for levels in (20, 100):
        frames = _books(levels)
        goal = ROW_1[levels] if main else ROW_21_BOOK if name != "scalar" else None
        label = "1" if main else "21"
        yield _paired(
            f"{label} book {levels}+{levels} decode from Python, {name}",
            _decode(frames),
            frames,
            run,
            goal,
        )
        with _Live(frames) as live:
            goal = ROW_2 if main else None
            yield _paired(
                f"{'2 ' if main else ''}book {levels}+{levels} decode + apply + publish, {name}",
                live.ticks(),
                frames,
                run,
                goal,
            )
    frames, warm, after = _changes()
    yield _paired(f"price_change x2 decode from Python, {name}", _decode(frames), frames, run, None)
    goal = ROW_3 if main else ROW_21_CHANGE if name != "scalar" else None
    label = "3" if main else "21"
    for batch in (1, READ):
        with _Live(warm) as live:
            live.replay(frames, after)
            side = live.ticks() if batch == 1 else live.reads(frames)
            how = "one frame a call" if batch == 1 else f"{READ} frames in a read"
            yield _paired(
                f"{label} price_change x2 decode + apply, {how}, {name}", side, frames, run, goal
            )


def _books(levels: int) -> list[bytes]:
    made = markets(INPUTS // 2, tick_e4=10, levels=levels)
    frames = [text(market.book(which, 1_788_786_290_337)) for market in made for which in (0, 1)]
    assert len(set(frames)) == INPUTS
    return frames


def _changes() -> tuple[list[bytes], list[bytes], list[Market]]:
    """Return the changes, the books before them, the markets after them."""
    made = markets(MARKETS, tick_e4=100, levels=25)
    warm = [text(market.book(which, 1_788_786_290_337)) for market in made for which in (0, 1)]
    draw = random.Random(7)
    frames = [text(draw.choice(made).change(1_788_786_290_338 + i)) for i in range(INPUTS)]
    assert len(set(frames)) == INPUTS
    return frames, warm, made


class _Live:
    """An arena with the books that `frames` name, each pair of them one market."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.frames = list(frames)
        self.arena = Arena.create(config=ArenaConfig(histogram_count=1, token_count=len(frames)))
        self.books = Books(self.arena, 1)
        self.ticker = Ticker(self.arena)
        decoder = Decoder()
        for i, frame in enumerate(frames):
            (record,) = decoder.decode(frame).records
            slot = self.books.add(record.token or "", 1)
            if i % 2:
                self.books.pair(slot - 1, slot)
        for frame in frames:
            assert self.ticker.tick(frame, 2) > 0
        assert self.books.info().live_count == len(frames)

    def __enter__(self) -> "_Live":
        return self

    def __exit__(self, *_: object) -> None:
        self.arena.close()

    def replay(self, frames: list[bytes], after: list[Market]) -> None:
        """Apply the changes once and hold every book to the generator's."""
        for frame in frames:
            assert self.ticker.tick(frame, 3) == 2
        for market in after:
            for which, token in enumerate(market.tokens):
                slot = self.books.find(token)
                assert slot is not None
                top = self.books.top(slot)
                assert top is not None
                assert top.state is State.LIVE, top
                ours = {decimal(p): s for p, s in self.books.ladder(slot, BookSide.BID)}
                bids = market.book(which, 0)["bids"]
                assert ours == {b["price"]: round(float(b["size"]) * 1e6) for b in bids}
        self.frames = frames

    def ticks(self) -> Side:
        """One frame a call."""
        arena, tick, kept = self.arena.handle(), lib.pa_tick, _pointers(self.frames)

        def side(first: int, last: int) -> int:
            chosen = kept[first:last]
            start = perf_counter_ns()
            for pointer, size in chosen:
                tick(arena, pointer, size, 5)
            return perf_counter_ns() - start

        return side

    def reads(self, frames: list[bytes]) -> Side:
        """Sixteen frames a call, as a socket read brings them into the buffer."""
        arena, stream, splitter = self.arena.handle(), lib.pa_stream, Splitter(1 << 16)
        parts = [
            b"".join(b"\x81\x7e" + len(f).to_bytes(2, "big") + f for f in frames[i : i + READ])
            for i in range(0, INPUTS, READ)
        ]
        state = splitter.cdata

        def side(first: int, last: int) -> int:
            assert first % READ == last % READ == 0
            spent = 0
            for part in parts[first // READ : last // READ]:
                size = splitter.write(part)  # what the kernel would have done
                start = perf_counter_ns()
                stream(arena, state, size, 5)
                spent += perf_counter_ns() - start
            return spent

        return side


def _pointers(frames: Sequence[bytes]) -> list[tuple[Any, int]]:
    """Return what a receive buffer gives, address and length, made before the clock runs."""
    kept = [ffi.from_buffer("uint8_t[]", frame) for frame in frames]
    _KEEP.append(kept)
    return [(ffi.cast("uint8_t *", pointer), len(pointer)) for pointer in kept]


_KEEP: list[Any] = []


def _decode(frames: list[bytes]) -> Side:
    decoder, decode = Decoder(), lib.pa_decode
    out, kept = decoder.cdata, _pointers(frames)
    _KEEP.append(decoder)

    def side(first: int, last: int) -> int:
        chosen = kept[first:last]
        start = perf_counter_ns()
        for pointer, size in chosen:
            decode(pointer, size, out)
        return perf_counter_ns() - start

    return side


def _paired(name: str, ours: Side, frames: list[bytes], run: Run, goal: Goal | None) -> Row:
    if find_spec("msgspec") is None:
        return Row(name=name, note="msgspec not installed")
    theirs = _msgspec(frames)
    note = "against msgspec's typed decode alone"
    return paired(name, ours, theirs, rounds=run.rounds, turn=16, goal=goal, faster=True, note=note)


def _msgspec(frames: list[bytes]) -> Side:
    import msgspec  # noqa: PLC0415  (may be missing)

    level = msgspec.defstruct("Level", [("price", str), ("size", str)])
    change = msgspec.defstruct(
        "Change",
        [(n, str) for n in ("asset_id", "price", "size", "side", "hash", "best_bid", "best_ask")],
    )
    book = msgspec.defstruct(
        "Book",
        [
            *((n, str) for n in ("market", "asset_id", "timestamp", "hash")),
            ("bids", list[level]),
            ("asks", list[level]),  # type: ignore[valid-type]
            ("tick_size", str, ""),
            ("last_trade_price", str, ""),
        ],
        tag_field="event_type",
        tag="book",
    )
    changes = msgspec.defstruct(
        "PriceChange",
        [("market", str), ("price_changes", list[change]), ("timestamp", str)],  # type: ignore[valid-type]
        tag_field="event_type",
        tag="price_change",
    )
    decode = msgspec.json.Decoder(book | changes).decode
    _compare(frames, decode)

    def side(first: int, last: int) -> int:
        chosen = frames[first:last]
        start = perf_counter_ns()
        for frame in chosen:
            decode(frame)
        return perf_counter_ns() - start

    return side


def _compare(frames: list[bytes], decode: Any) -> None:
    """Both sides read the same out of every frame."""
    decoder = Decoder()
    for frame in frames:
        theirs, ours = decode(frame), decoder.decode(frame).records
        if ours[0].kind is Kind.BOOK:
            for listed, levels in ((theirs.bids, ours[0].bids), (theirs.asks, ours[0].asks)):
                assert [(x.price, round(float(x.size) * 1e6)) for x in listed] == [
                    (decimal(p), s) for p, s in levels
                ]
        else:
            assert [
                (c.asset_id, c.price, round(float(c.size) * 1e6), c.best_bid, c.best_ask)
                for c in theirs.price_changes
            ] == [
                (
                    r.token,
                    decimal(r.price_e4 or 0),
                    r.size_e6,
                    decimal(r.best_bid_e4 or 0),
                    decimal(r.best_ask_e4 or 0),
                )
                for r in ours
            ]


def _objects() -> Iterator[Row]:
    """Row 20: what Python and the C library allocate for sixteen messages in a read."""
    frames, warm, after = _changes()
    with _Live(warm) as live:
        live.replay(frames, after)
        side = live.reads(frames)
        side(0, READ)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(100):
            for first in range(0, INPUTS, READ):
                side(first, first + READ)
        blocks = max(0, sys.getallocatedblocks() - before)
    module = Path(sys.modules["polyarb._core"].__file__ or "")
    symbols = subprocess.run(
        ["nm", "-D", "-u", str(module)], capture_output=True, text=True, check=True
    )
    heap = [
        s for s in ("malloc", "calloc", "realloc", "aligned_alloc") if f" {s}@" in symbols.stdout
    ]
    messages = 100 * INPUTS
    assert blocks < messages / 100, f"{blocks} blocks for {messages} messages"
    assert not heap, f"the core asks the heap: {heap}"
    yield Row(
        name="20 Python objects and mallocs per message",
        note=f"{blocks} more blocks after {messages} messages; the module imports no allocator",
    )


def _memory() -> Iterator[Row]:
    """Yield what a token takes at each tick, with 40 levels a side where the grid has them."""
    for tick_e4 in (1000, 100, 50, 25, 10, 1):
        levels = min(40, 10_000 // tick_e4 // 2 - 2)
        made = markets(64, tick_e4=tick_e4, levels=min(levels, 3000 // tick_e4 - 1))
        frames = [text(market.book(which, 1)) for market in made for which in (0, 1)]
        with _Live(frames) as live:
            info = live.books.info()
            ladder = info.pool_used // info.token_count
            count = (
                sum(len(live.books.ladder(s, side)) for s in range(128) for side in (0, 1)) // 128
            )  # type: ignore[arg-type]
        yield Row(
            name=f"memory per token, tick {decimal(tick_e4)}",
            note=f"{ladder + info.token_bytes} bytes: ladders {ladder} for {count} levels, the "
            f"rest {info.token_bytes} (slot {info.slot_bytes} at depth {info.depth})",
        )


def _growth(run: Run) -> Iterator[Row]:
    """Cost and memory from 100 tokens to the whole venue, two fifths of it fine-ticked."""
    for count in (100, 1_000, 10_000, 72_000) if run.rounds else (100,):
        made = markets(count // 5 // 2 * 2, tick_e4=10, levels=40) + markets(
            count // 2 - count // 5 // 2 * 2, tick_e4=100, levels=25
        )
        config = ArenaConfig(histogram_count=1, token_count=count)
        with Arena.create(config=config) as arena:
            books, ticker = Books(arena, 1), Ticker(arena)
            for market in made:
                a, b = (books.add(token, 1) for token in market.tokens)
                books.pair(a, b)
                assert ticker.tick(text([market.book(0, 1), market.book(1, 1)]), 2) == 2
            draw = random.Random(11)
            chosen = [draw.choice(made) for _ in range(2048)]
            frames = [text(market.change(2 + i)) for i, market in enumerate(chosen)]
            pointers, handle, tick = _pointers(frames), arena.handle(), lib.pa_tick
            best = []
            for _ in range(max(1, run.rounds)):
                start = perf_counter_ns()
                for pointer, size in pointers:
                    tick(handle, pointer, size, 5)
                best.append((perf_counter_ns() - start) / len(frames))
            info = books.info()
            assert info.live_count >= count // 2 * 2 - 4096
            bytes_ = arena.info.bytes
            live = info.pool_used + info.token_count * info.token_bytes
        yield Row(
            name=f"price_change x2 on {info.token_count} tokens, 2048 in random order",
            ours=sorted(best)[len(best) // 2] if run.rounds else None,
            note=f"{live / 1e6:.1f} MB in use, {live // info.token_count} bytes a token; "
            f"arena {bytes_ / 1e6:.0f} MB",
        )
