"""
Record what the market socket sends: ``python -m polyarb record``.

The feed is the live one and its books are kept as they come, so that the state at the end can be
compared with the replay's: both digests are the same.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from polyarb import clock, errors
from polyarb.control.replay import Carried, shown_book, state_digest
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import format_fixed
from polyarb.core.book import Books
from polyarb.core.tick import DROP_OLDER, Ticker
from polyarb.domain.market import Event, Market
from polyarb.exchange.catalog import Universe
from polyarb.exchange.client import Client
from polyarb.exchange.discovery import Discovery
from polyarb.exchange.gamma import read_file
from polyarb.feed import socket
from polyarb.feed.channel import parse_url
from polyarb.feed.market import FeedConfig, MarketFeed
from polyarb.journal.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    One market to record.

    Attributes:
        tokens: Both, or the one that is wanted.
        condition: "" if not known; then the rest is not either.
        tick_e4: x 10^4.
        min_size: As its books' hashes have it.
        neg_risk: Likewise.
    """

    tokens: tuple[str, ...]
    condition: str = ""
    tick_e4: int = 0
    min_size: str = ""
    neg_risk: bool = False

    def meta(self) -> dict[str, Any]:
        """Return it as the recording says it."""
        said = asdict(self)
        return said if self.condition else {"tokens": self.tokens}


def chosen(
    *, tokens: str, catalogue: Path | None, gamma: str, clob: str, max_tokens: int | None
) -> list[Wanted]:
    """
    Return what the command line asks for.

    Raises:
        InputError: No tokens, or a file that is no catalogue.
        RetryError: Gamma did not answer.
    """
    if tokens:
        texts = dict.fromkeys(text for text in tokens.split(",") if text)
        found = [Wanted(tokens=tuple(text.split(":"))) for text in texts]
    else:
        events = read_file(catalogue).events() if catalogue else asyncio.run(_asked(gamma, clob))
        selection = Universe(max_tokens=max_tokens).select(events, clock.wall_ms())
        found = wanted(selection.markets)
    if not found:
        raise errors.InputError("no market to record")
    return found


async def _asked(gamma: str, clob: str) -> list[Event]:
    async with Client(clob_url=clob, gamma_url=gamma) as client:
        discovery = Discovery(client)
        await discovery.load(clock.monotonic_ns())
    return list(discovery.catalog.events.values())


def wanted(markets: Iterable[Market]) -> list[Wanted]:
    """Return markets of a catalogue as they are recorded."""
    return [
        Wanted(
            tokens=market.tokens,
            condition=market.condition_id,
            tick_e4=market.tick.step_e4,
            min_size=format_fixed(market.min_size_e6, 6),
            neg_risk=market.neg_risk,
        )
        for market in markets
    ]


class Listener:
    """Keeps books and recording in step with the connections."""

    def __init__(self, books: Books, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._books = books
        self._recorder = recorder
        self._say = say
        self._carried = Carried()

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        """Books are looked at when they are asked for."""

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        """Take what is not about levels: it is in the recording."""

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Record it."""
        self._recorder.up(connection, tokens, now_ns)
        self._carried.up(connection, tokens)
        self._say(f"connection {connection}: subscribed to {len(tokens)} tokens")

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """Record it; the books that nobody carries are empty until they come again."""
        self._recorder.down(connection, tokens, reason, now_ns)
        for token in self._carried.down(connection, tokens):
            slot = self._books.find(token)
            if slot is not None:
                self._books.reset(slot, now_ns)
        self._say(f"connection {connection}: {reason}")


async def record(
    url: str,
    markets: Sequence[Wanted],
    folder: Path,
    *,
    duration_s: float | None = None,
    config: FeedConfig | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """
    Record until the time is over, a signal says so, or the recording fails.

    Args:
        url: Of the market socket.
        markets: What to subscribe to.
        folder: Where the segments go.
        duration_s: None for until SIGINT or SIGTERM.
        config: How to connect.
        say: Is told what happens to connections.

    Returns:
        ``frames, rejected, live, tokens, state_digest, interrupted`` and the recorder's summary.

    Raises:
        RecordingError: The folder cannot be recorded into.
        InputError: A token or the URL is none.
    """
    config = config or FeedConfig()
    parse_url(url)  # before anything is written
    arena = Arena.create(
        config=ArenaConfig(token_count=max(1, sum(len(m.tokens) for m in markets)))
    )
    books = Books(arena, clock.monotonic_ns())
    slots = _enter(books, markets)
    redundant = config.copies > 1
    meta = {"url": url, "drop_older": redundant, "markets": [each.meta() for each in markets]}
    recorder = await Recorder.start(folder, meta)
    for file, cut in recorder.repaired.items():
        say(f"{file}: cut {cut} bytes of a torn tail")
    try:
        feed = MarketFeed(
            url,
            Ticker(arena, flags=DROP_OLDER if redundant else 0),
            Listener(books, recorder, say),
            config=config,
            random=Random(),  # noqa: S311  (jitter)
            tap=recorder,
        )
        recorder.aligned = lambda n: len(feed.connections[n].room()) == config.buffer_bytes
        feed.subscribe([market.tokens for market in markets], clock.monotonic_ns())
        state = await _run(feed, recorder, duration_s, lambda: _state(feed, books, slots))
    finally:
        summary = await recorder.stop()
    return state | asdict(summary)


def _state(feed: MarketFeed, books: Books, slots: Mapping[str, int]) -> dict[str, Any]:
    """Return what has come so far and what the books are."""
    rejected: Counter[str] = Counter()
    for connection in feed.connections.values():
        rejected.update({bad.value: n for bad, n in connection.counts.rejected.items()})
    shown = {token: shown_book(books, slot) for token, slot in sorted(slots.items())}
    return {
        "frames": books.counters()["frames"],
        "rejected": dict(sorted(rejected.items())),
        "tokens": len(slots),
        "live": sum(book["state"] == "live" for book in shown.values()),
        "state_digest": state_digest(shown),
    }


def _enter(books: Books, markets: Iterable[Wanted]) -> dict[str, int]:
    """Enter all tokens, paired, and return their slots."""
    now_ns = clock.monotonic_ns()
    slots: dict[str, int] = {}
    for market in markets:
        pair = [books.add(token, now_ns, tick_e4=market.tick_e4) for token in market.tokens]
        if len(pair) == 2:
            books.pair(*pair)
        slots.update(zip(market.tokens, pair, strict=True))
    return slots


async def _run(
    feed: MarketFeed,
    recorder: Recorder,
    duration_s: float | None,
    state: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Run the feed until something ends the recording; return the state at that moment."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    running = loop.create_task(socket.run(feed), name="feed")
    ends = [running, loop.create_task(signalled.wait()), loop.create_task(recorder.broken.wait())]
    try:
        await asyncio.wait(ends, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        recorder.end()  # what the feed's own end brings is no part of it, nor of the state
        return state() | {"interrupted": signalled.is_set()}
    finally:
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def text(done: Mapping[str, Any]) -> str:
    """Return what `record` came to, for people."""
    stored, plain = done["stored_bytes"], done["plain_bytes"]
    lines = [
        f"{done['frames']:,} frames, {done['live']} of {done['tokens']} books live",
        f"{done['records']:,} records, {plain:,} bytes in {stored:,} on disk, "
        f"{done['segments']} segments",
        f"state {done['state_digest']}",
    ]
    lines += [f"refused: {reason} {count:,}" for reason, count in done["rejected"].items()]
    if done["lost"]:
        lines.append(f"{done['lost']:,} reads were NOT recorded: the disk was too slow")
    return "\n".join(lines)
