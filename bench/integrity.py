"""
What the checks of live books find, and how fast a frozen feed is: ``python -m bench.integrity``.

Questions: how often does each check fire on streams that are alive, and for how long (what lasts
over a second is resynchronised)? How long does a feed stay frozen before it is suspected, and how
often is one suspected that is alive? Inputs: the recordings (``--captures``), and the simulated
exchange in virtual time. The tables are those of docs/integrity.md; nothing here is timed.

A freeze is tried at every moment of a series: the data up to there, then silence. A suspicion of a
live series is a false one; as live, it is answered by a look at REST, and the watch goes on.
"""

import argparse
import csv
import gzip
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from polyarb.book.frozen import FrozenConfig, FrozenWatch
from polyarb.control.integrity import counted
from polyarb.control.replay import Player, Timeline, replay
from polyarb.core.decode import Decoder
from polyarb.journal import frames
from polyarb.journal.captured import captured
from polyarb.journal.frames import Record
from polyarb.sim import InProcessVenue

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
MOMENTS: Final = 5_000
"""Freezes tried on a series, evenly spread."""
POLL_MAX: Final = 3 * SECOND
"""Between two polls; after a longer pause the poller had been away."""
FREEZE_S: Final = 180
LIVE_S: Final = 420


@dataclass(slots=True)
class Series:
    """
    When data came over one connection.

    Attributes:
        name: Of the source.
        seen: (when, a token of it), ascending.
        left: (when, token) of those that are over.
        down: (from, to): the recorder did not look.
    """

    name: str
    seen: list[tuple[int, str]] = field(default_factory=list)
    left: list[tuple[int, str]] = field(default_factory=list)
    down: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Figures:
    """
    What a watch made of a series.

    Attributes:
        span_ns: Of the series.
        known_ns: Of it, with enough seen to expect anything.
        alarms: Suspicions; all of them false.
        delays: From a freeze to its suspicion, for each moment tried.
    """

    span_ns: int = 0
    known_ns: int = 0
    alarms: int = 0
    delays: list[int] = field(default_factory=list)


def watched(series: Series, config: FrozenConfig) -> Figures:
    """Let a watch see a series."""
    watch = FrozenWatch(config)
    found = Figures()
    start_ns, end_ns = series.seen[0][0], series.seen[-1][0]
    step_ns = max(1, (end_ns - start_ns) // MOMENTS)
    moment_ns = last_ns = start_ns
    watch.opened(start_ns)
    for now_ns, act in _merged(series, watch):
        if watch.due_ns() is not None:
            found.known_ns += now_ns - last_ns
        while (due_ns := watch.due_ns()) is not None and due_ns < now_ns:
            moment_ns = _tried(found.delays, moment_ns, due_ns, due_ns, step_ns)
            found.alarms += 1
            watch.proven(due_ns)
        moment_ns = _tried(found.delays, moment_ns, now_ns, watch.due_ns(), step_ns)
        act()
        last_ns = now_ns
    found.span_ns = end_ns - start_ns
    return found


def _merged(series: Series, watch: FrozenWatch) -> list[tuple[int, Callable[[], None]]]:
    """Return what happens to a watch, in order."""
    acts = [(at_ns, partial(watch.dropped, token)) for at_ns, token in series.left]
    acts += [(from_ns, watch.closed) for from_ns, _ in series.down]
    acts += [(to_ns, partial(watch.opened, to_ns)) for _, to_ns in series.down]
    acts += [(at_ns, partial(watch.seen, token, at_ns)) for at_ns, token in series.seen]
    return sorted(acts, key=itemgetter(0))


def _tried(
    delays: list[int], moment_ns: int, until_ns: int, due_ns: int | None, step_ns: int
) -> int:
    """Freeze at each moment before `until_ns`: found when the watch is due."""
    while moment_ns < until_ns:
        if due_ns is not None:
            delays.append(due_ns - moment_ns)
        moment_ns += step_ns
    return moment_ns


# -- where series come from


def of_stream(path: Path) -> Series:
    """Return the data of a captured stream."""
    decoder, line = Decoder(), Timeline()
    series = Series(path.name)
    for record in captured(path):
        heard = decoder.decode(record.data).records
        told_ms = max((each.time_ms or 0 for each in heard), default=0)
        now_ns = line.at(record.recv_ns or told_ms * MS)
        token = next((each.token for each in heard if each.token), None)
        if token:
            series.seen.append((now_ns, token))
    return series


def of_latencies(path: Path) -> Series:
    """Return the frames of the latency log: one connection on 169 tokens."""
    series, line = Series(path.name), Timeline()
    for text in gzip.decompress(path.read_bytes()).splitlines():
        said = json.loads(text)
        series.seen.append((line.at(said["recv_ts_ms"] * MS), said["asset_id"]))
    return series


def of_seconds(paths: Sequence[Path]) -> Series:
    """Return the changes between rows of the 15-minute markets, one after another."""
    series = Series("btc-updown-15m, 4 markets at 1 Hz")
    for path in paths:
        rows = _rows(path)
        before: list[tuple[str, ...]] = [(), ()]
        tokens = rows[0]["token_id_up"], rows[0]["token_id_down"]
        for row in rows:
            for side, name in enumerate(("up", "down")):
                shown = tuple(row[key] for key in row if f"_{name}_" in key or key.endswith(name))
                if shown != before[side]:
                    before[side] = shown
                    series.seen.append((int(row["ts_ms"]) * MS, tokens[side]))
        series.left += [(series.seen[-1][0] + 1, token) for token in tokens]
    return series


def of_polls(path: Path) -> Series:
    """Return the changes of the best prices of 5-minute markets, polled about once a second."""
    series = Series("btc-5m, top of book polled")
    before: dict[tuple[str, str], tuple[str, ...]] = {}
    market, left = "", ""
    last_ns = 0
    for row in _rows(path):
        now_ns = int(row["timestamp_ms"]) * MS
        if last_ns and now_ns - last_ns > POLL_MAX:
            series.down.append((last_ns + 1, now_ns))
        last_ns = now_ns
        if row["market_ts"] != market:
            left, market = market, row["market_ts"]
            series.left += [(now_ns, left + side) for side in ("up", "down")]
        key = (market, row["side"])
        shown = (row["bid"], row["ask"], row["bid_depth"], row["ask_depth"])
        if before.get(key) != shown:
            before[key] = shown
            series.seen.append((now_ns, market + row["side"]))
    return series


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))


class Ear:
    """A subscriber of the simulated exchange."""

    def __init__(self, venue: InProcessVenue, hear: Callable[[int, bytes], None]) -> None:
        self._venue = venue
        self._hear = hear

    def text(self, message: bytes) -> None:
        """Take a message."""
        self._hear(self._venue.now_ns, message)

    def closed(self, code: int, reason: str) -> None:
        """Nothing comes any more."""


def subscribed(
    scenario: str, count: int, hear: Callable[[int, bytes], None], *, seed: int = 1
) -> InProcessVenue:
    """
    Return a venue, one connection of which carries `count` tokens (0: all) to `hear`.

    It takes markets that end last, so that none is over when the series is.
    """
    venue = InProcessVenue(scenario, seed=seed)
    markets = [m for m in venue.exchange.venue.catalog.markets.values() if m.accepting]
    markets.sort(key=lambda market: -market.end_ms)
    tokens = [token for market in markets for token in market.tokens]
    wanted = {"type": "market", "assets_ids": tokens[: count or None]}
    line = venue.open("/ws/market", Ear(venue, hear))
    line.send(json.dumps(wanted))

    def ping() -> None:
        line.send("PING")
        venue.exchange.venue.schedule(venue.now_ns + 10 * SECOND, ping)

    ping()
    return venue


def of_exchange(scenario: str, count: int, hours: float) -> Series:
    """Return what the simulated exchange sends over one connection."""
    series = Series(f"simulator, {scenario}, {count or 'all'} tokens")
    token_of = _first_token()

    def hear(now_ns: int, message: bytes) -> None:
        token = token_of(message)
        if token:
            series.seen.append((now_ns, token))

    subscribed(scenario, count, hear).advance(int(hours * HOUR))
    return series


def frozen_exchange(scenario: str, count: int, times: int) -> tuple[list[int], int, int]:
    """
    Freeze the simulated exchange's feed itself, `times` times.

    Returns:
        How long each freeze lasted before it was suspected, how many were not found in
        `FREEZE_S`, and how many suspicions there were while it was alive.
    """
    watch = FrozenWatch()
    token_of = _first_token()

    def hear(now_ns: int, message: bytes) -> None:
        token = token_of(message)
        if token:
            watch.seen(token, now_ns)

    venue = subscribed(scenario, count, hear)
    delays, missed, alarms = [], 0, 0
    for _ in range(times):
        alarms += _suspicions(venue, watch, LIVE_S)
        venue.exchange.venue.faults.add({"name": "frozen_feed", "for_s": FREEZE_S, "values": {}})
        began_ns = venue.now_ns
        for _ in range(FREEZE_S * 10):
            venue.advance(SECOND // 10)
            due_ns = watch.due_ns()
            if due_ns is not None and due_ns <= venue.now_ns:
                delays.append(venue.now_ns - began_ns)
                break
        else:
            missed += 1
        venue.run_until(began_ns + FREEZE_S * SECOND)
        watch.proven(venue.now_ns)
    return delays, missed, alarms


def _suspicions(venue: InProcessVenue, watch: FrozenWatch, seconds: int) -> int:
    found = 0
    for _ in range(seconds * 10):
        venue.advance(SECOND // 10)
        due_ns = watch.due_ns()
        if due_ns is not None and due_ns <= venue.now_ns:
            found += 1
            watch.proven(venue.now_ns)
    return found


def _first_token() -> Callable[[bytes], str | None]:
    decoder = Decoder()
    return lambda message: next((r.token for r in decoder.decode(message).records if r.token), None)


# -- tables


def check_rows(player: Player, name: str) -> Iterator[list[str]]:
    """Yield a line for each check that fired on a stream, or one that says none did."""
    checks = player.integrity
    assert checks
    sums = f"{checks.matched:,} / {checks.mismatched:,} / {checks.unproven:,}"
    first = [name, f"{player.frames:,}", sums]
    counts = ", ".join(f"{key} {n:,}" for key, n in counted(player.books).items())
    counts = ", ".join([*(f"refused: {why} {n:,}" for why, n in player.rejected.items()), counts])
    rows = checks.rows() or [("none", "", "", "", "", "")]
    for at, row in enumerate(rows):
        yield [*(first if at == 0 else ["", "", ""]), *row, counts.strip(", ") if at == 0 else ""]


def stream_rows(folder: Path) -> Iterator[list[str]]:
    """Yield what the checks found on each captured stream."""
    for path in sorted(folder.glob("2*json*")):
        player = Player(1 << 10)
        replay([path], player)
        yield from check_rows(player, path.name.split("_part")[0].removesuffix(path.suffix))


def exchange_rows(scenario: str, minutes: float) -> Iterator[list[str]]:
    """Yield what they found on the simulated exchange."""
    player = Player(1 << 12)

    def hear(now_ns: int, message: bytes) -> None:
        player.play(Record(frames.Kind.FRAME, now_ns, now_ns, message))

    venue = subscribed(scenario, 0, hear)
    venue.advance(int(minutes * 60 * SECOND))
    assert player.integrity
    player.integrity.finish()
    yield from check_rows(player, f"simulator, {scenario}, {minutes:g} min")


def frozen_row(series: Series, config: FrozenConfig) -> list[str]:
    """Return what the watch made of a series."""
    found = watched(series, config)
    hours = found.known_ns / HOUR
    row = [
        series.name,
        f"{len(series.seen):,}",
        _span(found.span_ns),
        f"{found.known_ns / max(1, found.span_ns):.0%}",
        f"{found.alarms}",
        f"{found.alarms / hours:.1f}" if hours > 0.2 else "too short",
    ]
    if not found.delays:
        return [*row, "nothing known", "", ""]
    ranked = sorted(found.delays)
    spots = (statistics.median(ranked), ranked[len(ranked) * 9 // 10], ranked[-1])
    return [*row, *(f"{delay / SECOND:.1f} s" for delay in spots)]


def _span(span_ns: int) -> str:
    return f"{span_ns / HOUR:.1f} h" if span_ns > HOUR else f"{span_ns / SECOND:.0f} s"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"### {title}", "", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


CHECKS: Final = (
    *("stream", "frames", "hashes: right / wrong / unknown"),
    *("check", "fired", "median ms", "longest ms", "over 1 s", "at the end", "counted"),
)
FROZEN: Final = (
    *("series", "data", "span", "known", "false suspicions", "an hour"),
    *("freeze found after, median", "p90", "longest"),
)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; those of recordings only if there are any."""
    options = _parse(arguments)
    root: Path = options.captures
    config = FrozenConfig()
    if (root / "ws").is_dir():
        print(table("Recorded streams", CHECKS, [*stream_rows(root / "ws")]))
    else:
        print(f"no recordings at {root}", file=sys.stderr)
    minutes = 60 * options.hours / 4
    rows = [row for name in ("default", "broken-feed") for row in exchange_rows(name, minutes)]
    print(table("Simulated exchange", CHECKS, rows))
    series = [] if not (root / "series").is_dir() else list(_recorded(root))
    made: list[Any] = [("default", 0), ("default", 20), ("default", 2), ("quiet", 0), ("quiet", 20)]
    series += [of_exchange(name, count, options.hours) for name, count in made]
    print(table("Frozen feeds", FROZEN, [frozen_row(each, config) for each in series]))
    for name, count in (("default", 0), ("quiet", 0)):
        delays, missed, alarms = frozen_exchange(name, count, options.freezes)
        told = ", ".join(f"{delay / SECOND:.1f}" for delay in sorted(delays))
        print(f"{name}: {options.freezes} freezes of {FREEZE_S} s, found after {told} s;")
        print(f"{missed} not found; {alarms} suspicions in {options.freezes * LIVE_S} s alive\n")
    return 0


def _recorded(root: Path) -> Iterator[Series]:
    for path in sorted((root / "ws").glob("2*json*")):
        yield of_stream(path)
    folder = root / "series"
    yield of_latencies(folder / "ws-latency-events_2026-04-27.jsonl.gz")
    yield of_seconds(sorted(folder.glob("btc-updown-15m-*.csv.gz")))
    yield of_polls(folder / "btc-5m_top-of-book_polled_2026-02-17_PM.csv.gz")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.integrity")
    beside = Path(__file__).parents[2] / "shared" / "captures"
    parser.add_argument("--captures", type=Path, default=beside, metavar="DIR")
    parser.add_argument("--hours", type=float, default=2.0, metavar="H", help="of each simulation")
    parser.add_argument("--freezes", type=int, default=20, metavar="N")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
