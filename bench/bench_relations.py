"""
Measure how long the relations of a whole catalogue take to build.

Question: may they be built again whenever the catalogue is read, on the loop's own core? Input are
the recorded markets where they are at hand, else as many generated ones in ladders, deadlines and
neg-risk brackets. Beside it stands loading the same catalogue, which a start pays as well. The
figures are CPU time; what they leave out is the network.
"""

import gc
import gzip
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.bench_catalogue import COUNT, ROUNDS, SMOKE, recorded
from bench.inputs import Run
from bench.paired import Row, summarize
from polyarb.detection import text
from polyarb.detection.build import build
from polyarb.detection.policy import Policy
from polyarb.domain.market import Event
from polyarb.exchange.gamma import read_file

GROUP: Final = "0x" + "ab" * 20
PER_EVENT: Final = 10
DAYS: Final = ("March 31", "June 30", "September 30", "December 31")


def rows(run: Run) -> Iterator[Row]:
    """Yield the rows of this module."""
    with tempfile.TemporaryDirectory() as folder:
        path = recorded() if run.rounds else None
        count = COUNT if run.rounds else SMOKE
        name = f"relations: a market of {count:,} {'recorded' if path else 'generated'} ones"
        path = path or _generated(Path(folder), count)
        loads, (ours, note) = [_load(path)], _build(read_file(path).events())
        if run.rounds == 0:
            yield Row(name=name, note="ran")
            return
        samples = [(float(ours), float(loads[0]))]
        for _ in range(min(run.rounds, ROUNDS) - 1):
            samples.append((float(_build(read_file(path).events())[0]), float(_load(path))))
        whole = " ".join(f"{sample / 1e9:.2f}" for sample, _ in samples)
        yield summarize(name, samples, count, note=f"against loading; all in {whole} s; {note}")


def _build(events: list[Event]) -> tuple[int, str]:
    """Build all relations as at a start; return nanoseconds, and what came of it."""
    text.forget()
    gc.collect()
    started = time.process_time_ns()
    built = build(events, None, Policy())
    took = time.process_time_ns() - started
    counts = built.counts()
    assert counts["ladder"] > 0
    assert counts["negrisk_yes"] > 0
    return took, ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _load(path: Path) -> int:
    gc.collect()
    started = time.process_time_ns()
    events = read_file(path).events()
    took = time.process_time_ns() - started
    assert events
    return took


def _generated(folder: Path, count: int) -> Path:
    path = folder / "markets.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for number in range(0, count, PER_EVENT):
            file.write(json.dumps(_event(number // PER_EVENT)) + "\n")
    return path


def _event(number: int) -> dict[str, Any]:
    """Return a ladder, a neg-risk event of brackets, or deadlines, in turn."""
    make = (_threshold, _bracket, _deadline)[number % 3]
    group = f"{GROUP}{number:022x}00"
    neg_risk = {"negRisk": number % 3 == 1, "negRiskMarketID": group, "negRiskAugmented": False}
    markets = [
        _market(number, step, group) | neg_risk | make(number, step) for step in range(PER_EVENT)
    ]
    told = {"id": str(number), "slug": f"event-{number}", "title": f"How many, {number}?"}
    return told | neg_risk | {"markets": markets}


def _threshold(number: int, step: int) -> dict[str, Any]:
    what = "the closing price is higher than the price in the title"
    return _texts(f"Will coin {number} be above ${100 + step} on March 12?", str(100 + step), what)


def _bracket(number: int, step: int) -> dict[str, Any]:
    last = step == PER_EVENT - 1
    title = f"{step * 10}+" if last else f"{step * 10}-{step * 10 + 9}"
    return _texts(f"Will there be {title} storms in season {number}?", title, "it is so")


def _deadline(number: int, step: int) -> dict[str, Any]:
    date = f"{DAYS[step % 4]}, {2026 + step // 4}"
    return _texts(f"Treaty {number} by {date}?", date, f"it is signed by {date}, 11:59 PM ET")


def _texts(asked: str, title: str, what: str) -> dict[str, Any]:
    rules = f"This market will resolve to “Yes” if {what}. Otherwise, it will resolve to “No”."
    more = "The source is a consensus of credible reporting. " * 12
    return {"question": asked, "groupItemTitle": title, "description": f"{rules}\n\n{more}"}


def _market(number: int, step: int, group: str) -> dict[str, Any]:
    at = number * PER_EVENT + step
    tokens = [str((1 << 250) + (1 << 80) + 2 * at + place) for place in (0, 1)]
    return {
        "id": str(at),
        "conditionId": f"0x{at:064x}",
        "slug": f"market-{at}",
        "endDate": "2026-12-31T12:00:00Z",
        "startDate": "2026-03-01T12:00:00Z",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.2", "0.8"]',
        "volumeNum": 1,
        "active": True,
        "closed": False,
        "archived": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "questionID": f"{group[:-2]}{step:02x}",
        "clobTokenIds": json.dumps(tokens),
        "feesEnabled": False,
    }
