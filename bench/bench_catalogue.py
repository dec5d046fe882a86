"""
Measure how long the catalogue takes to load, and what it keeps in memory.

Question: does a start wait for Gamma's JSON? Input are the 19,842 recorded markets where they are
at hand, else as many generated ones of that size; a gzipped file, a market with its event a line.
Beside ours stands Python's json on the same lines, which ends with dicts that nobody has checked.
The figures are CPU time per market with decompression; what they leave out is the network.
"""

import gc
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.inputs import Run
from bench.native import BENCH
from bench.paired import Row, summarize
from polyarb.exchange.catalog import Catalog
from polyarb.exchange.gamma import read_file

RECORDED: Final = "gamma/active-markets_2026-03-11.jsonl.gz"
COUNT: Final = 19_842
SMOKE: Final = 200
ROUNDS: Final = 3
MEASURE: Final = """
import gc, sys, tracemalloc
from pathlib import Path
from polyarb.exchange.catalog import Catalog
from polyarb.exchange.gamma import read_file

tracemalloc.start()
catalog = Catalog(read_file(Path(sys.argv[1])).events())
gc.collect()
print(*tracemalloc.get_traced_memory())
"""


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    with tempfile.TemporaryDirectory() as folder:
        found = recorded() if run.rounds else None
        path = found or _generated(Path(folder), COUNT if run.rounds else SMOKE)
        count = COUNT if run.rounds else SMOKE
        name = f"catalogue: a market of {count:,} {'recorded' if found else 'generated'} ones"
        ours, against = _load(path, count), _json(path, count)
        if run.rounds == 0:
            yield Row(name=name, note="ran")
            return
        samples = [(float(ours), float(against))]
        for _ in range(min(run.rounds, ROUNDS) - 1):
            samples.append((float(_load(path, count)), float(_json(path, count))))
        kept, peak = _memory(path)
        whole = " ".join(f"{sample / 1e9:.2f}" for sample, _ in samples)
        note = (
            f"against json; all of them in {whole} s; keeps {kept / 2**20:.0f} MiB "
            f"({kept / count / 1024:.1f} KiB each), {peak / 2**20:.0f} MiB at most"
        )
        yield summarize(name, samples, count, note=note)


def _load(path: Path, count: int) -> int:
    """Load as the engine does; return nanoseconds."""
    gc.collect()
    started = time.process_time_ns()
    reader = read_file(path)
    catalog = Catalog(reader.events())
    took = time.process_time_ns() - started
    assert len(catalog) + sum(reader.refused.values()) == count
    assert len(catalog) > count * 0.9
    return took


def _json(path: Path, count: int) -> int:
    """Decode the same lines with json and keep them; return nanoseconds."""
    gc.collect()
    started = time.process_time_ns()
    with gzip.open(path) as file:
        markets = [json.loads(line) for line in file]
    took = time.process_time_ns() - started
    assert len(markets) == count
    return took


def _memory(path: Path) -> tuple[int, int]:
    """Return how many bytes Python's allocator holds for the catalogue, and held at most."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=BENCH.parent, capture_output=True, text=True, check=True)
    kept, peak = map(int, done.stdout.split())
    return kept, peak


def recorded() -> Path | None:
    """Return the recorded markets, None where they are not at hand."""
    shared = BENCH.parent / "shared" / "captures"
    path = Path(os.environ.get("POLYARB_CAPTURES") or shared) / RECORDED
    return path if path.is_file() else None


def _generated(folder: Path, count: int) -> Path:
    """Write as many markets as Gamma would tell them, four to an event."""
    path = folder / "markets.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for number in range(count):
            file.write(json.dumps(_market(number)) + "\n")
    return path


def _market(number: int) -> dict[str, Any]:
    text = f"This market will resolve to “Yes” if number {number} comes up. " * 20
    tokens = [str((1 << 250) + (1 << 80) + 2 * number + place) for place in (0, 1)]
    return {
        "id": str(number),
        "question": f"Will number {number} come up before the end of the year?",
        "conditionId": f"0x{number:064x}",
        "slug": f"will-number-{number}-come-up",
        "endDate": "2026-12-31T12:00:00Z",
        "startDate": "2026-03-26T16:49:31.084Z",
        "description": text,
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.268", "0.732"]',
        "volume": "80362.86028499973",
        "active": True,
        "closed": False,
        "archived": False,
        "groupItemTitle": f"{number}",
        "groupItemThreshold": "0",
        "questionID": f"0x{number + (1 << 200):064x}",
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5,
        "volumeNum": 80362.86028499973,
        "liquidityNum": 1621.93298,
        **{f"volume{span}": 31278.514808999993 for span in ("24hr", "1wk", "1mo", "1yr", "Clob")},
        "clobTokenIds": json.dumps(tokens),
        "acceptingOrders": True,
        "negRisk": False,
        "events": [
            {
                "id": str(number // 4),
                "slug": f"numbers-{number // 4}",
                "title": f"Which number, {number // 4}?",
                "description": text,
                "negRisk": False,
                "negRiskAugmented": False,
            }
        ],
        "bestBid": 0.252,
        "bestAsk": 0.284,
        "umaResolutionStatuses": "[]",
        "feesEnabled": False,
        "feeType": None,
    }
