"""
The keeper of all books: which can be trusted, and how those that cannot come back.

It hears the feed (`polyarb.feed.market.FeedListener`), answers readers from the arena alone, opens
the gate when enough is warm, finds frozen connections, and has broken books made right again by
REST. It is sans-IO: time comes in with each call, and what is to be fetched goes out by `requests`;
`polyarb.book.snapshots.serve` moves it.

A read costs one look into the arena and cannot cause a request: `counters` shows how many it did
(`rest_calls_on_read_path`, which stays 0).
"""

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from polyarb import clock, errors
from polyarb.book import resync
from polyarb.book.changes import Callback, Changes, follow
from polyarb.book.freshness import MS, Miss, Reason, Served, Staleness, judge
from polyarb.book.frozen import FrozenConfig, Verdict
from polyarb.book.healer import HEALED, Healer
from polyarb.book.lines import Feed, Line, Lines
from polyarb.book.registry import Registry
from polyarb.book.snapshots import BATCH_MAX, Purpose, Request, Requests
from polyarb.book.warmup import Gate
from polyarb.core.base import integer
from polyarb.core.book import STATES, Books, Depth, State, Top
from polyarb.core.tick import Ticker

TICK_MS: Final = 100
"""How often the keeper looks around."""
PROBED: Final = 20
"""Tokens that a probe asks for: those that would have moved first."""
WARMUP_FAILED: Final = "warm-up: "
"""How the reason of tokens begins that were not ready in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperConfig:
    """
    The section ``[book]`` of the configuration.

    Attributes:
        max_stale_ms: How old a book may be if a reader does not say; for the scan, how long
            neither it nor its connections may have brought anything: a quiet book is not stale.
        hard_stale_ms: No reader gets an older one, whatever it says; nor is it scanned.
        warmup_timeout_ms: Tokens that are not ready by then are disabled for the run.
        warmup_min_ready_fraction: Of the tokens, before the gate opens.
        resync_after_ms: How long a book may fail before it is resynchronised.
        opening_ms: How long a connection may take to send its opening books: those of 169 tokens
            came in one frame, after 6 s (captures, ws-latency-events).
        rest_timeout_ms: How long to wait for a REST answer.
        frozen: When a silent connection counts as frozen.
    """

    max_stale_ms: int = Staleness.FAST15M.value
    hard_stale_ms: int = 60_000
    warmup_timeout_ms: int = 10_000
    warmup_min_ready_fraction: float = 0.8
    resync_after_ms: int = 1_000
    opening_ms: int = 4_000
    rest_timeout_ms: int = 5_000
    frozen: FrozenConfig = field(default_factory=FrozenConfig)

    def __post_init__(self) -> None:
        integer("book.hard_stale_ms", self.hard_stale_ms, 1, 86_400_000)
        integer("book.max_stale_ms", self.max_stale_ms, 1, self.hard_stale_ms)
        integer("book.warmup_timeout_ms", self.warmup_timeout_ms, 1, 3_600_000)
        integer("book.resync_after_ms", self.resync_after_ms, 1, 3_600_000)
        integer("book.opening_ms", self.opening_ms, 1, 3_600_000)
        integer("book.rest_timeout_ms", self.rest_timeout_ms, 1, 3_600_000)
        fraction = round(self.warmup_min_ready_fraction * 10_000)
        integer("book.warmup_min_ready_fraction x 10^4", fraction, 0, 10_000)


class Keeper:
    """
    One for all books of an arena. Owner only.

    Args:
        books: Of the arena.
        ticker: Of the same arena, with flag ``DROP_OLDER``, and not the feed's: REST books come
            in by it.
        registry: The tokens. Enter them before `warm_up`.
        config: See `KeeperConfig`.
        schedule: Runs a callable soon, outside the receive path: ``loop.call_soon``.
        monotonic_ns: What readers' ages are measured with.
        failed: Told of an exception in a callback of `on_change`.

    Attributes:
        registry: As given.
        gate: Whether trading may begin.
        served: What readers got.
    """

    __slots__ = (
        *("_books", "_changes", "_config", "_counts", "_healer", "_lines", "_monotonic_ns"),
        *("_requests", "_rest", "_ticked_ns", "_ticker", "gate", "registry", "served"),
    )

    def __init__(
        self,
        books: Books,
        ticker: Ticker,
        registry: Registry,
        *,
        config: KeeperConfig | None = None,
        schedule: Callable[[Callable[[], None]], object],
        monotonic_ns: Callable[[], int] = clock.monotonic_ns,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._books = books
        self._ticker = ticker
        self._config = config or KeeperConfig()
        self._monotonic_ns = monotonic_ns
        self._changes = Changes(schedule, failed)
        self._counts: Counter[str] = Counter()
        self._lines = Lines(books, self._config.frozen)
        self._requests = Requests(self._config.rest_timeout_ms)
        self._rest: deque[str] = deque()
        self._ticked_ns = 0
        books.set_ages(self._config.max_stale_ms * MS, self._config.hard_stale_ms * MS)
        self.registry = registry
        self.gate = Gate()
        self.served = Served()
        self._healer = Healer(
            books,
            ticker,
            registry,
            self._lines,
            self._requests,
            changed=self._told,
            after_ms=self._config.resync_after_ms,
            opening_ms=self._config.opening_ms,
        )

    def attach(self, feed: Feed) -> None:
        """Name the feed that this listens to: frozen connections are replaced through it."""
        self._lines.feed = feed

    # -- warm-up

    def warm_up(self, now_ns: int, *, rest: bool = False) -> None:
        """
        Begin to wait for every token of the registry. What another warm-up disabled may try again.

        Args:
            now_ns: Monotonic.
            rest: Fetch the books of tokens that no connection carries yet by REST, once.
        """
        for token, reason in self.registry.disabled.items():
            if reason.startswith(WARMUP_FAILED):
                self.registry.enable(token)
        tokens = [t for t in self.registry.tokens() if self.registry.why_disabled(t) is None]
        slots = [slot for t in tokens if (slot := self.registry.slot(t)) is not None]
        self.gate.start(
            slots,
            now_ns,
            timeout_ms=self._config.warmup_timeout_ms,
            min_ready_fraction=self._config.warmup_min_ready_fraction,
        )
        self._rest = deque(tokens if rest else ())
        self._look_for_ready(slots, now_ns)

    # -- reads: from the arena, never from anywhere else

    def top(self, token: str, max_age_ms: int | None = None) -> Top | Miss:
        """
        Return the top of a live book, or why there is none to be used.

        Args:
            token: Decimal asset id.
            max_age_ms: How old it may be, `Staleness` for example; None for the configured age.
        """
        self._requests.in_read = True
        try:
            slot = self.registry.slot(token)
            top = self._books.top(slot) if slot is not None else None
            miss = self._judge(token, top, max_age_ms)
        finally:
            self._requests.in_read = False
        return miss or top  # type: ignore[return-value]  # without a top there is a miss

    def depth(self, token: str, levels: int, max_age_ms: int | None = None) -> Depth | Miss:
        """Return at most `levels` levels a side, best first; otherwise as `top`."""
        self._requests.in_read = True
        try:
            slot = self.registry.slot(token)
            depth = self._books.depth(slot) if slot is not None else None
            miss = self._judge(token, depth.top if depth else None, max_age_ms)
        finally:
            self._requests.in_read = False
        if miss or depth is None:
            return miss  # type: ignore[return-value]  # without a depth there is a miss
        return replace(depth, bids=depth.bids[:levels], asks=depth.asks[:levels])

    def _judge(self, token: str, top: Top | None, max_age_ms: int | None) -> Miss | None:
        """Count a read and return why it gets nothing, None if it gets a book."""
        disabled = self.registry.why_disabled(token)
        if disabled is not None:
            state = top.state if top else State.NONE
            return self.served.miss(Miss(reason=Reason.DISABLED, state=state, detail=disabled))
        if top is None:  # or a writer was in the way 64 times, which the owner's thread never sees
            return self.served.miss(Miss(reason=Reason.NOT_SUBSCRIBED))
        config = self._config
        asked_ms = config.max_stale_ms if max_age_ms is None else max_age_ms
        found = judge(top, min(asked_ms, config.hard_stale_ms), self._monotonic_ns())
        if isinstance(found, Miss):
            return self.served.miss(found)
        self.served.hit(found)
        return None

    # -- who wants to know

    def on_change(self, token: str, callback: Callback) -> Callable[[], None]:
        """
        Call `callback` with the token soon after its book or state changed; latest wins.

        Returns:
            A function that ends it.

        Raises:
            RangeError: Not a token of this run.
        """
        slot = self.registry.slot(token)
        if slot is None:
            raise errors.RangeError(f"token {token} is not in the table")
        return self._changes.listen(slot, token, callback)

    def changes(self, token: str) -> AsyncIterator[str]:
        """Yield the token each time it has changed since the last look; raises as `on_change`."""
        return follow(lambda callback: self.on_change(token, callback))

    # -- FeedListener

    def changed(self, slots: Sequence[int], recv_ns: int) -> None:
        """Take note that books changed."""
        if slots:
            self._lines.opened_by(slots[0])
        self._told(slots, recv_ns)

    def notice(self, message: dict[str, Any], recv_ns: int) -> None:
        """Expect nothing more of tokens that are resolved; the rest is the catalogue's business."""
        del recv_ns
        if message.get("event_type") == "market_resolved":
            tokens = message.get("assets_ids")
            for token in tokens if isinstance(tokens, list) else ():
                slot = self.registry.slot(token) if isinstance(token, str) else None
                if slot is not None:
                    self._expect_nothing(slot, str(token))

    def up(self, connection: int, tokens: Sequence[str], now_ns: int) -> None:
        """Take note that a connection carries tokens: what we have of them waits to be proven."""
        for slot in self._lines.up(connection, self._slots(tokens), now_ns):
            if self._state(slot) is not State.WARMING:
                self._books.mark(slot, State.STALE, now_ns)
                self._changes.mark((slot,))

    def down(self, connection: int, tokens: Sequence[str], reason: str, now_ns: int) -> None:
        """Take note that it does not any more: what nobody else carries is not ready, at once."""
        del reason
        slots = self._slots(tokens)
        lost = self._lines.down(connection, slots)
        line = self._lines.get(connection)
        if line:  # others stay: these were let go
            for token in tokens:
                line.watch.dropped(token)
        self._healer.lost(lost)
        for slot in lost:
            self._books.reset(slot, now_ns)
        self._told((*lost, *self._healer.complements(lost)), now_ns)

    # -- time and REST

    def next_deadline(self) -> int:
        """Return when to call `tick`."""
        return self._ticked_ns + TICK_MS * MS

    def tick(self, now_ns: int) -> None:
        """Look around: the gate, silent connections, books that stay broken, late answers."""
        self._ticked_ns = now_ns
        due_ns = self.gate.due_ns
        if due_ns is not None and now_ns >= due_ns:
            self._look_for_ready(tuple(self.gate.waiting), now_ns)
        for slot in self.gate.tick(now_ns):
            token = self.registry.token(slot)
            if token is not None:
                why = self._state(slot).name.lower()
                self.registry.disable(token, f"{WARMUP_FAILED}{why}")
                self._healer.lost((slot,))
        for line in self._lines.all():
            self._watch(line, now_ns)
        for request in self._requests.expired(now_ns):
            self._failed(request, now_ns)
        self._healer.tick(now_ns)
        self._warm_by_rest(now_ns)

    def requests(self) -> list[Request]:
        """Return what is to be fetched, each once; answers go to `answered` or `refused`."""
        return self._requests.take()

    def answered(self, number: int, body: bytes, now_ns: int) -> None:
        """Take the body of a ``POST /books``; of an unknown or late request: no effect."""
        request = self._requests.close(number)
        if request is None:
            return
        if request.purpose is Purpose.RESYNC:
            self._healer.answered(request, body, now_ns)
        elif request.purpose is Purpose.PROBE:
            self._probed(request, body, now_ns)
        else:
            self._warmed(request, body, now_ns)

    def refused(self, number: int, reason: str, now_ns: int) -> None:
        """Take note that a request has no answer."""
        del reason
        request = self._requests.close(number)
        if request is not None:
            self._failed(request, now_ns)

    # -- tokens that leave

    def forget(self, token: str, now_ns: int) -> None:
        """Take a token out of the run; unsubscribe it first."""
        slot = self.registry.slot(token)
        if slot is not None:
            self._expect_nothing(slot, token)
            self._healer.lost((slot,))
            self._lines.forget(slot)
            self._changes.forget(slot)
            self.gate.gone(slot)
            self.registry.remove(token, now_ns)

    # -- what there is to tell

    def counters(self) -> dict[str, int]:
        """Return every counter: reads, the core's, connections, resynchronisation, REST calls."""
        misses = {f"cache_misses_{r.value}": self.served.misses[r] for r in Reason}
        calls = {f"rest_calls_{p.value}": self._requests.counts[p] for p in Purpose}
        return {
            "cache_hits": self.served.hits,
            **misses,
            **self._books.counters(),
            **{name: self._counts[name] for name in ("frozen_feeds", "frozen_suspicions")},
            **{name: self._healer.counts[name] for name in HEALED},
            **calls,
            "rest_calls_on_read_path": self._requests.in_read_count,
        }

    # -- inside

    def _slots(self, tokens: Iterable[str]) -> list[int]:
        return [slot for token in tokens if (slot := self.registry.slot(token)) is not None]

    def _state(self, slot: int) -> State:
        return STATES[self._books.packed(slot) >> 28 & 15]

    def _told(self, slots: Sequence[int], now_ns: int) -> None:
        self._changes.mark(slots)
        if self.gate.waiting:
            self._look_for_ready(slots, now_ns)

    def _look_for_ready(self, slots: Iterable[int], now_ns: int) -> None:
        waiting, lines = self.gate.waiting, self._lines
        ready = [
            slot
            for slot in slots
            if slot in waiting and lines.carried(slot) and self._state(slot) is State.LIVE
        ]
        if ready:
            self.gate.ready(ready, now_ns)

    def _failed(self, request: Request, now_ns: int) -> None:
        if request.purpose is Purpose.RESYNC:
            self._healer.refused(request, now_ns)
        elif request.purpose is Purpose.PROBE:  # no second witness: better safe
            self._replace(request.line, now_ns)

    # -- REST before the sockets are ready

    def _warm_by_rest(self, now_ns: int) -> None:
        while self._rest and not self._requests.busy(Purpose.WARMUP):
            tokens = [self._rest.popleft() for _ in range(min(BATCH_MAX, len(self._rest)))]
            wanted = [t for t in tokens if not all(map(self._lines.carried, self._slots([t])))]
            if wanted:
                self._requests.ask(Purpose.WARMUP, wanted, now_ns)

    def _warmed(self, request: Request, body: bytes, now_ns: int) -> None:
        """Take the books that no connection carries yet, but for ghosts."""
        found = resync.books_in(body)
        books = [
            found[token]
            for token in request.tokens
            if token in found
            and not all(map(self._lines.carried, self._slots([token])))
            and not self._healer.is_ghost(found[token])
        ]
        if books and self._ticker.tick(resync.frame(books, ()), now_ns) > 0:
            self._told(self._ticker.report.changed(), now_ns)

    # -- frozen connections

    def _watch(self, line: Line, now_ns: int) -> None:
        """Suspect a line that is silent for too long: its books wait for a look by REST."""
        feed = self._lines.feed
        data_ns = feed.data_ns(line.number) if feed else 0
        if data_ns > line.data_ns:
            line.data_ns = data_ns
            line.watch.seen(self.registry.token(line.opener) or "", data_ns)
        busy = self._requests.busy(Purpose.PROBE, line.number)
        if busy or line.watch.verdict(now_ns) is not Verdict.FROZEN:
            return
        self._counts["frozen_suspicions"] += 1
        suspects = {other.number for other in self._lines.all() if other.marked} | {line.number}
        for slot in line.slots:
            if all(other.number in suspects for other in self._lines.carriers(slot)):
                self._books.mark(slot, State.FROZEN, now_ns)
                line.marked.add(slot)
        self._changes.mark(line.marked)
        tokens = [token for token in line.watch.busiest(PROBED) if token in self.registry]
        if tokens:
            self._requests.ask(Purpose.PROBE, tokens, now_ns, line.number)
        else:
            self._replace(line.number, now_ns)

    def _probed(self, request: Request, body: bytes, now_ns: int) -> None:
        """Compare REST books with ours: a newer one says that data is missing."""
        line = self._lines.get(request.line)
        if line is None:
            return
        found = resync.books_in(body)
        verdicts = [
            self._healer.behind(slot, found[token])
            for token in request.tokens
            if token in found and (slot := self.registry.slot(token)) is not None
        ]
        if any(verdicts) or not verdicts:
            self._replace(line.number, now_ns)
            return
        line.watch.proven(now_ns)
        for slot in line.marked:
            self._books.clear(slot, State.FROZEN, now_ns)
        self._changes.mark(line.marked)
        line.marked.clear()

    def _replace(self, number: int, now_ns: int) -> None:
        """Replace a frozen connection; its end makes its books not ready."""
        line = self._lines.get(number)
        if line is None:
            return
        self._counts["frozen_feeds"] += 1
        line.watch.closed()  # until it is up again
        if self._lines.feed:
            self._lines.feed.reconnect(number, "frozen", now_ns)

    def _expect_nothing(self, slot: int, token: str) -> None:
        for line in self._lines.carriers(slot):
            line.watch.dropped(token)
