"""``python -m polyarb markets``: what there is to trade, from Gamma or from a recording of it."""

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from polyarb import clock, errors
from polyarb.domain.market import Event, Market, Refusal, Structure
from polyarb.domain.money import CashE6, decimal_units, units_text
from polyarb.exchange.catalog import Catalog, Selection, Universe
from polyarb.exchange.client import Client
from polyarb.exchange.discovery import Discovery
from polyarb.exchange.gamma import read_file

GAMMA_URL: Final = "https://gamma-api.polymarket.com"
CLOB_URL: Final = "https://clob.polymarket.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    A catalogue and what became of it.

    Attributes:
        refused: What could not be traded, by reason.
        load_ns: From the first byte to the last market.
        memory_bytes: By how much the process grew at most meanwhile.
    """

    source: str
    catalog: Catalog
    refused: Mapping[Refusal, int]
    load_ns: int
    memory_bytes: int


def run(given: argparse.Namespace) -> int:
    """Load, select and show; return the exit code."""
    try:
        universe = Universe(
            tags=tuple(given.tags),
            events=tuple(given.event),
            conditions=tuple(given.condition),
            min_volume_e6=CashE6(decimal_units("--min-volume-usd", given.min_volume_usd, 6)),
            max_days=given.max_days,
            max_tokens=given.max_tokens,
        )
        found = load(given, universe)
    except errors.InputError as error:
        print(f"polyarb: {error}", file=sys.stderr)
        return 2
    except errors.RetryError as error:
        print(f"polyarb: {error}", file=sys.stderr)
        return 1
    selected = universe.select(found.catalog.events.values(), clock.wall_ms())
    told = _object(found, selected) if given.json else _text(found, selected, given.top)
    print(told)
    return 0


def load(given: argparse.Namespace, universe: Universe) -> Found:
    """
    Read the catalogue that the arguments name: a file, or Gamma.

    Raises:
        InputError: It cannot be read.
        RetryError: Gamma does not answer.
    """
    before = _peak_bytes()
    began_ns = clock.monotonic_ns()
    source = str(given.catalogue or given.url or GAMMA_URL)
    if given.catalogue:
        reader = read_file(given.catalogue)
        catalog, refused = Catalog(reader.events()), reader.refused
    else:
        catalog, refused = asyncio.run(_discover(given, universe))
    return Found(
        source=source,
        catalog=catalog,
        refused=refused,
        load_ns=clock.monotonic_ns() - began_ns,
        memory_bytes=_peak_bytes() - before,
    )


def _peak_bytes() -> int:
    """Return the most memory this process ever had; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*([0-9]+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


async def _discover(
    given: argparse.Namespace, universe: Universe
) -> tuple[Catalog, Counter[Refusal]]:
    complete = given.clob_url is not None or given.url is None
    async with Client(
        clob_url=given.clob_url or CLOB_URL, gamma_url=given.url or GAMMA_URL
    ) as client:
        discovery = Discovery(client, [universe], complete=complete)
        await discovery.load(clock.monotonic_ns())
    return discovery.catalog, discovery.refused


def _object(found: Found, selected: Selection) -> str:
    events = found.catalog.events
    return json.dumps(
        {
            "source": found.source,
            "load_ms": found.load_ns // 1_000_000,
            "memory_bytes": found.memory_bytes,
            "events": structures(events[m.event_id] for m in selected.markets),
            "markets": [_row(market, events[market.event_id]) for market in selected.markets],
            "refused": _counts(found.refused),
            "left_out": _counts(selected.left_out),
        }
    )


def _row(market: Market, event: Event) -> dict[str, Any]:
    return {
        "condition_id": market.condition_id,
        "question": market.question,
        "event": event.slug,
        "structure": event.structure,
        "tokens": [
            {"token_id": token, "outcome": outcome}
            for token, outcome in zip(market.tokens, market.outcomes, strict=True)
        ],
        "tick": market.tick.value,
        "min_size": units_text(market.min_size_e6, 6),
        "fee_rate": units_text(market.fees.rate_e6, 6),
        "fee_exponent": market.fees.exponent,
        "neg_risk": market.neg_risk,
        "augmented": event.augmented,
        "question_index": market.question_index if market.neg_risk else None,
        "v3": market.v3,
        "seconds_delay": market.seconds_delay,
        "end": day(market.end_ms),
        "volume_usd": units_text(market.volume_e6, 6),
    }


def _text(found: Found, selected: Selection, top: int) -> str:
    events = found.catalog.events
    shapes = structures(events[market.event_id] for market in selected.markets)
    lines = [
        f"{len(found.catalog):,} markets of {len(events):,} events can be traded, from "
        f"{found.source} in {found.load_ns / 1e9:.2f} s and "
        f"{found.memory_bytes / 2**20:.0f} MiB at most",
        f"  refused   {listed(found.refused)}",
        f"  left out  {listed(selected.left_out)}",
        f"  selected  {len(selected.markets):,} markets, {len(selected.tokens):,} tokens",
        f"  events    {listed(shapes)}",
        f"  ticks     {listed(Counter(market.tick.value for market in selected.markets))}",
        f"  fees      {listed(Counter(_fee(market) for market in selected.markets))}",
    ]
    if top > 0 and selected.markets:
        lines += ["", f"{'volume $':>15}  {'end':10}  {'tick':6}  {'fee':8}  structure  question"]
    for market in selected.markets[: max(top, 0)]:
        structure = events[market.event_id].structure
        lines.append(
            f"{market.volume_e6 // 10**6:>15,}  {day(market.end_ms) or '':10}  "
            f"{market.tick.value:6}  {_fee(market):8}  {structure:9}  {market.question}"
        )
    return "\n".join(lines)


def structures(events: Iterable[Event]) -> dict[str, int]:
    """Return how many events there are of each structure, each event once."""
    once = {event.id: event.structure for event in events}
    counts = Counter(once.values())
    return {structure: counts[structure] for structure in Structure if counts[structure]}


def _counts(counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(name): count for name, count in sorted(counts.items())}


def listed(counts: Mapping[Any, int]) -> str:
    """Return counts as a line, the greatest first."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in ranked) or "none"


def _fee(market: Market) -> str:
    fees = market.fees
    power = f"^{fees.exponent}" if fees.exponent > 1 else ""
    return f"{units_text(fees.rate_e6, 6)}{power}" if fees.rate_e6 else "free"


def day(ms: int | None) -> str | None:
    """Return the date of a moment, None for none."""
    return None if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"
