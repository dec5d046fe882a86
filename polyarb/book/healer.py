"""Jobs of `resync`: which books need one, what is asked for, which answer is taken."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from polyarb.book import resync
from polyarb.book.freshness import MS
from polyarb.book.lines import Lines
from polyarb.book.registry import Registry
from polyarb.book.resync import Job
from polyarb.book.snapshots import BATCH_MAX, Purpose, Request, Requests
from polyarb.core.book import STATES, Books, State
from polyarb.core.decode import Decoder, Record
from polyarb.core.tick import Ticker

WAIT_MS: Final = 250
WAIT_MS_MAX: Final = 30_000
CALM_MS: Final = 60_000
"""A book that fails again sooner waits longer each time before it is resynchronised."""
STRIKES_MAX: Final = 5
JOBS_MAX: Final = 500
LOOKED_AT_MAX: Final = 2_000
"""Failing books in one tick: after an outage of everything they are tens of thousands."""
HEALED: Final = (
    "resyncs",
    "resyncs_begun",
    "resyncs_spared",
    "resync_answers_refused",
    "ghost_books",
)
UNSENT: Final = (State.WARMING, State.STALE)
"""The opening book did not come: it is asked for on the socket first."""


class Healer:
    """
    Resynchronisation of single books.

    Args:
        books, ticker: Of one arena; the ticker has flag ``DROP_OLDER`` and is not the feed's.
        registry, lines, requests: The keeper's.
        changed: Told of slots that were replaced.
        after_ms: How long a book may fail by itself.
        opening_ms: How long an opening book may take.

    Attributes:
        counts: Of `HEALED`: books made right, those begun, those that came right by themselves
            meanwhile, answers that were missing or not taken, and those that were ghosts.
    """

    __slots__ = (
        *("_after_ns", "_books", "_changed", "_decoder", "_jobs", "_lines", "_registry"),
        *("_next", "_opening_ns", "_requests", "_strikes", "_ticker", "counts"),
    )

    def __init__(
        self,
        books: Books,
        ticker: Ticker,
        registry: Registry,
        lines: Lines,
        requests: Requests,
        *,
        changed: Callable[[Sequence[int], int], None],
        after_ms: int,
        opening_ms: int,
    ) -> None:
        self._books = books
        self._ticker = ticker
        self._registry = registry
        self._lines = lines
        self._requests = requests
        self._changed = changed
        self._after_ns = after_ms * MS
        self._opening_ns = opening_ms * MS
        self._decoder = Decoder()
        self._jobs: dict[int, Job] = {}
        self._next = 0
        self._strikes: dict[int, tuple[int, int]] = {}
        self.counts: Counter[str] = Counter()

    def tick(self, now_ns: int) -> None:
        """End what is well again, begin what failed too long, ask for what is due."""
        for slot in [*self._jobs]:
            if self._live(slot):
                self.counts["resyncs_spared"] += 1
                del self._jobs[slot]
            elif any(line.overflowed for line in self._lines.carriers(slot)):
                del self._jobs[slot]  # it begins anew below
        unsent: list[str] = []
        for slot in self._some_failing(now_ns):
            if len(self._jobs) >= JOBS_MAX:
                break
            if slot not in self._jobs and self._patience_is_over(slot, now_ns):
                self._begin(slot, now_ns, unsent)
        if unsent and self._lines.feed is not None:
            self._lines.feed.resubscribe(unsent)
        self._tidy()
        if not self._requests.busy(Purpose.RESYNC):
            due = [job for job in self._jobs.values() if now_ns >= job.next_ns][:BATCH_MAX]
            if due:
                for job in due:
                    job.asked = True
                self._requests.ask(Purpose.RESYNC, [job.token for job in due], now_ns)

    def lost(self, slots: Iterable[int]) -> None:
        """Give up books that no line carries any more, or that are forgotten."""
        for slot in slots:
            self._jobs.pop(slot, None)

    def refused(self, request: Request, now_ns: int) -> None:
        """Ask again later: there was no answer."""
        for job in self._asked(request):
            self._fail(job, now_ns)

    def answered(self, request: Request, body: bytes, now_ns: int) -> None:
        """Take what can be taken of an answer, and ask for the rest again later."""
        found = resync.books_in(body)
        jobs = self._asked(request)
        lines = {line.number: line for job in jobs for line in self._lines.carriers(job.slot)}
        messages = [m for line in lines.values() for m in line.messages() if self._taken(m)]
        later = resync.changes(messages, {job.token for job in jobs})
        kept = Counter(map(resync.token_of, later))
        good = {}
        for job in jobs:
            book = found.get(job.token)
            if book is not None and self._fits(job, book, kept[job.token]):
                good[job.token] = job
            else:
                self._fail(job, now_ns)
        whole = [found[token] for token in good], [c for c in later if resync.token_of(c) in good]
        if good and not self._apply(good.values(), *whole, now_ns):
            for token, job in good.items():  # whichever was refused shall not keep the others
                own = [change for change in later if resync.token_of(change) == token]
                self._apply([job], [found[token]], own, now_ns)
        for job in good.values():
            if self._live(job.slot):
                self.counts["resyncs"] += 1
                del self._jobs[job.slot]
            else:
                self._fail(job, now_ns)

    def complements(self, slots: Iterable[int]) -> list[int]:
        """Return the other tokens of the markets: a reset changes their state as well."""
        others = map(self._books.complement, slots)
        return [other for other in others if other is not None]

    def is_ghost(self, book: dict[str, Any]) -> bool:
        """Whether a REST book is as wide as the empty shells that are sometimes served."""
        record = self._record(book)
        return record is not None and _spread_e4(record) >= resync.GHOST_SPREAD_E4

    def behind(self, slot: int, book: dict[str, Any]) -> bool:
        """Whether a REST book is newer than ours: its time is that of the last change."""
        top = self._books.top(slot)
        return top is not None and resync.time_ms(book) > top.time_ms

    def _some_failing(self, now_ns: int) -> list[int]:
        """Return the next of those that failed long enough: all, unless there are very many."""
        before_ns = max(0, now_ns - self._after_ns)
        failing = self._books.failing(before_ns, ignore=(State.RESOLVED, State.FROZEN))
        if len(failing) <= LOOKED_AT_MAX:
            return failing
        first = bisect_left(failing, self._next) % len(failing)
        some = (failing[first:] + failing[:first])[:LOOKED_AT_MAX]
        self._next = some[-1] + 1
        return some

    def _patience_is_over(self, slot: int, now_ns: int) -> bool:
        token = self._registry.token(slot)
        if token is None or not self._lines.carried(slot) or self._registry.why_disabled(token):
            return False
        strikes, last_ns = self._strikes.get(slot, (0, 0))
        unsent = self._state(slot) in UNSENT
        wait_ns = (self._opening_ns if unsent else self._after_ns) << min(strikes, STRIKES_MAX)
        return now_ns - max(self._lines.since_ns(slot), last_ns) >= wait_ns

    def _begin(self, slot: int, now_ns: int, unsent: list[str]) -> None:
        token, top = self._registry.token(slot), self._books.top(slot)
        kept = [self._lines.keep(line) for line in self._lines.carriers(slot)]
        if token is None or top is None or not all(kept):
            return
        wait_ns = 0
        if top.state in UNSENT:
            unsent.append(token)
            wait_ns = self._after_ns
        self._jobs[slot] = Job(
            token=token,
            slot=slot,
            first_ms=top.time_ms,
            first_updates=top.updates,
            next_ns=now_ns + wait_ns,
        )
        self.counts["resyncs_begun"] += 1
        strikes, last_ns = self._strikes.get(slot, (0, 0))
        again = now_ns - last_ns < CALM_MS * MS
        self._strikes[slot] = (strikes + 1 if again else 0, now_ns)

    def _tidy(self) -> None:
        """Let go of lines that nobody needs kept any more."""
        needed = {line.number for slot in self._jobs for line in self._lines.carriers(slot)}
        for line in self._lines.all():
            if line.number not in needed:
                self._lines.let_go(line)

    def _record(self, book: dict[str, Any]) -> Record | None:
        """Return a REST book as the core reads it, None if it does not."""
        records = self._decoder.decode(resync.frame([book], ())).records
        return records[0] if records else None

    def _taken(self, message: bytes) -> bool:
        """Whether the books took a message when it came: they refuse the same ones again."""
        return self._decoder.run(message) == 0

    def _asked(self, request: Request) -> list[Job]:
        slots = (self._registry.slot(token) for token in request.tokens)
        jobs = (self._jobs.get(slot) for slot in slots if slot is not None)
        return [job for job in jobs if job and job.asked]

    def _fail(self, job: Job, now_ns: int) -> None:
        self.counts["resync_answers_refused"] += 1
        job.failed(now_ns, WAIT_MS * MS, WAIT_MS_MAX * MS)

    def _fits(self, job: Job, book: dict[str, Any], kept: int) -> bool:
        top, record = self._books.top(job.slot), self._record(book)
        if top is None or record is None:
            return False
        believed = job.tries + 1 >= resync.BELIEVED_AT
        own_e4 = top.ask.price_e4 - top.bid.price_e4 if top.ask and top.bid else 0
        if _spread_e4(record) >= resync.GHOST_SPREAD_E4 > own_e4 and not believed:
            self.counts["ghost_books"] += 1
            return False
        newer = resync.time_ms(book) >= top.time_ms
        # Changes that were applied but not kept would be lost.
        return (newer or kept >= top.updates - job.first_updates) and job.covers(book)

    def _apply(
        self,
        jobs: Iterable[Job],
        books: Iterable[dict[str, Any]],
        later: Iterable[dict[str, Any]],
        now_ns: int,
    ) -> bool:
        for job in jobs:
            self._books.reset(job.slot, now_ns)
        taken = self._ticker.tick(resync.frame(books, later), now_ns) >= 0
        slots = [job.slot for job in jobs]
        self._changed([*slots, *self.complements(slots)], now_ns)
        return taken

    def _live(self, slot: int) -> bool:
        return self._state(slot) is State.LIVE

    def _state(self, slot: int) -> State:
        return STATES[self._books.packed(slot) >> 28 & 15]


def _spread_e4(record: Record) -> int:
    if not record.bids or not record.asks:
        return 0
    return min(record.asks).price_e4 - max(record.bids).price_e4
