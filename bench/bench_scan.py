"""
Relations and tops, all at once and one frame at a time (performance.md rows 17, 18, 21).

The C program (bench_scan.c says how) compares every kernel with its scalar definition and with
reading the same words; here the same sweep, called from Python on an arena of its own, stands
beside numpy: for each leg count the sum of its rows of weighted costs, compared with its bounds.
Both sides find the same number of violated relations.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any, Final

from bench.inputs import Run
from bench.paired import Goal, Row, Side, paired
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import kernel
from polyarb.core.book import Books
from polyarb.core.scan import Relations
from polyarb.domain.market import FREE

ROW_17: Final = Goal(must=0.65, stretch=0.85, at_least=True)
ROW_18: Final = {
    "avx512": Goal(must=8, stretch=12, at_least=True),
    "avx2": Goal(must=5, stretch=6, at_least=True),
}
NUMPY_TOKENS: Final = (1_000, 10_000, 50_000)
NOW: Final = 10**12


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    for item in run.native.run("bench_scan", "full" if run.rounds else "smoke")["rows"]:
        yield from _imported(item)
    if find_spec("numpy") is None:
        yield Row(name="sweep, against numpy", note="numpy is not installed")
        return
    for tokens in NUMPY_TOKENS if run.rounds else NUMPY_TOKENS[:1]:
        yield _numpy(run, tokens)


def _imported(item: dict[str, Any]) -> Iterator[Row]:
    """Yield what the C program printed."""
    what = item.get("what", "")
    if what in ("ring", "no_relations"):
        where = "into the ring" if what == "ring" else "with no relation there"
        note = "four relations open, in each of 128 markets" if what == "ring" else "same frames"
        for part in ("p50", "p99"):
            yield Row(
                name=f"frame to opportunity: {where}, {part}",
                ours=item[part],
                note=f"{note}; {item['shots']} frames, reading the clock {item['clock']} ns of it",
            )
    elif what:
        yield from _compared(item)
    else:
        spread = f"{item['min']:.2f}–{item['max']:.2f} ns"
        note = f"{spread}; {item['note']}"
        yield Row(name=item["name"].replace("_", " "), ours=item["median"], note=note)


def _compared(item: dict[str, Any]) -> Iterator[Row]:
    """Yield one kernel against the scalar definition, and against reading."""
    ours, scalar, reading = (sorted(item[key]) for key in ("ours", "scalar", "reading"))
    middle = len(ours) // 2
    sweep, level = item["what"] == "sweep", item["level"]
    size = f"{item['tokens']:,} tokens"
    more = f"{item['relations']} relations, {item['bytes'] // 1024} KB" if sweep else ""
    yield Row(
        name=f"{'17 ' if sweep else ''}{item['what']} {level} of reading, {size}",
        ours=ours[middle],
        against=reading[middle],
        ratios=tuple(r / o for r, o in zip(item["reading"], item["ours"], strict=True)),
        goal=ROW_17 if sweep and level == kernel() else None,
        note=more or "reading takes the tops only, not who is whose pair",
    )
    number = {"avx512": "18 ", "avx2": "18, 21 "}[level] if sweep else ""
    yield Row(
        name=f"{number}{item['what']} {level} against scalar, {size}",
        ours=ours[middle],
        against=scalar[middle],
        ratios=tuple(s / o for s, o in zip(item["scalar"], item["ours"], strict=True)),
        goal=ROW_18[level] if sweep else None,
        note="the definition, compiled without vectors" if sweep else "",
    )


def _numpy(run: Run, tokens: int) -> Row:
    """Hold a whole sweep, called from Python, to numpy's sums of the same weighted costs."""
    draw = random.Random(tokens)
    config = ArenaConfig(
        token_count=tokens, ladder_pages=tokens, relation_count=tokens, leg_count=3 * tokens
    )
    with Arena.create(config=config) as arena:
        books, relations = Books(arena, NOW), Relations(arena)
        costs = arena.section(lib.PA_SECTION_COSTS, "uint32_t *")
        for slot in range(tokens):
            books.add(str(1_000_000 + slot), NOW)
            books.set_fee(slot, FREE)
            costs[slot] = draw.randrange(80_000, 120_000)
        kinds = defaultdict(list)
        while sum(legs * len(kinds[legs]) for legs in list(kinds)) < 2 * tokens:
            chosen = draw.sample(range(tokens), draw.randint(2, 12))
            legs = [(slot, draw.randint(1, 3)) for slot in chosen]
            weighted = [costs[slot] * weight for slot, weight in legs]
            payoff = sum(weighted) + (1 if draw.random() < 0.001 else -draw.randrange(9_000))
            relations.add(legs, payoff, NOW)
            kinds[len(legs)].append(([*weighted], payoff))
        violated = relations.sweep(NOW).violated
        theirs, found = _numpy_side(list(kinds.values()))
        assert violated == found, f"{violated} violated, numpy finds {found}"
        handle, out = arena.handle(), ffi.new("pa_swept *")
        return paired(
            f"whole sweep against numpy, {tokens:,} tokens, {kernel()}",
            _sweep_side(handle, out),
            theirs,
            rounds=run.rounds,
            faster=True,
            note=f"{sum(map(len, kinds.values()))} relations; ours compares all costs as well and "
            f"acts on the {violated} violated; numpy sums rows that lie ready",
        )


def _sweep_side(handle: Any, out: Any) -> Side:
    sweep = lib.pa_scan_sweep

    def side(first: int, last: int) -> int:
        start = perf_counter_ns()
        for _ in range(first, last):
            sweep(handle, NOW, out)
        return perf_counter_ns() - start

    return side


def _numpy_side(kinds: list[list[tuple[list[int], int]]]) -> tuple[Side, int]:
    import numpy as np  # noqa: PLC0415  (a package that only this row needs)

    ready = [
        (
            np.array([costs for costs, _ in kind], dtype=np.uint32).T.copy(),
            np.array([payoff for _, payoff in kind], dtype=np.uint32),
        )
        for kind in kinds
    ]

    def sweep() -> int:
        return sum(
            int(np.count_nonzero(np.add.reduce(costs, axis=0, dtype=np.uint32) < payoffs))
            for costs, payoffs in ready
        )

    def side(first: int, last: int) -> int:
        start = perf_counter_ns()
        for _ in range(first, last):
            sweep()
        return perf_counter_ns() - start

    return side, sweep()
