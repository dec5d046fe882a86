"""
Books asked for by REST: who asks, for what, and how often. Never anybody who reads a book.

The keeper is sans-IO: it leaves requests here, `serve` (or a test) fetches and brings answers back.
One request of each kind is under way at most, so that what is due together is asked together.
"""

import asyncio
import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

BATCH_MAX: Final = 100
"""Tokens of one POST /books (protocol.md section 15: the cap is undocumented)."""

NO_LINE: Final = -1


class SnapshotSource(Protocol):
    """Where REST books come from; `exchange.client` is one."""

    async def books(self, tokens: Sequence[str]) -> bytes:
        """Return the body of ``POST /books`` for `tokens` as it came; raise what went wrong."""


class Purpose(enum.Enum):
    """Why books are asked for."""

    WARMUP = "warmup"
    RESYNC = "resync"
    PROBE = "probe"
    """Is a silent connection frozen?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    Books to fetch.

    Attributes:
        number: To give back with the answer.
        purpose: Why.
        tokens: At most `BATCH_MAX`.
        due_ns: An answer after this is not wanted any more.
        line: Of a probe: the connection in question.
    """

    number: int
    purpose: Purpose
    tokens: tuple[str, ...]
    due_ns: int
    line: int = NO_LINE


class Requests:
    """
    What is asked for and not answered yet.

    Attributes:
        counts: Requests so far, by purpose.
        in_read: Whether a reader is being served right now.
        in_read_count: Requests that came of serving one.
    """

    __slots__ = ("_count", "_fresh", "_open", "_timeout_ns", "counts", "in_read", "in_read_count")

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ns = timeout_ms * 1_000_000
        self._open: dict[int, Request] = {}
        self._fresh: list[Request] = []
        self._count = 0
        self.counts: Counter[Purpose] = Counter()
        self.in_read = False
        self.in_read_count = 0

    def busy(self, purpose: Purpose, line: int = NO_LINE) -> bool:
        """Whether a request of this kind, of a probe for that connection, is under way."""
        return any(r.purpose is purpose and r.line == line for r in self._open.values())

    def ask(
        self, purpose: Purpose, tokens: Sequence[str], now_ns: int, line: int = NO_LINE
    ) -> None:
        """Leave a request for `take`."""
        self._count += 1
        request = Request(
            number=self._count,
            purpose=purpose,
            tokens=tuple(tokens[:BATCH_MAX]),
            due_ns=now_ns + self._timeout_ns,
            line=line,
        )
        self._open[request.number] = request
        self._fresh.append(request)
        self.counts[purpose] += 1
        self.in_read_count += self.in_read

    def take(self) -> list[Request]:
        """Return what was asked for since the last call; the caller fetches it."""
        fresh, self._fresh = self._fresh, []
        return [request for request in fresh if request.number in self._open]

    def close(self, number: int) -> Request | None:
        """Return the request that an answer belongs to; None if it came too late."""
        return self._open.pop(number, None)

    def expired(self, now_ns: int) -> list[Request]:
        """Return the requests whose time is up and give them up."""
        late = [request for request in self._open.values() if now_ns >= request.due_ns]
        for request in late:
            del self._open[request.number]
        return late


class Asker(Protocol):
    """What `serve` needs of the keeper."""

    def tick(self, now_ns: int) -> None:
        """Do what is due."""

    def next_deadline(self) -> int:
        """Return when `tick` has something to do."""

    def requests(self) -> list[Request]:
        """Return what is to be fetched."""

    def answered(self, number: int, body: bytes, now_ns: int) -> None:
        """Take the answer to a request."""

    def refused(self, number: int, reason: str, now_ns: int) -> None:
        """Take note that there is no answer."""


async def serve(keeper: Asker, source: SnapshotSource, monotonic_ns: Callable[[], int]) -> None:
    """Let the keeper do its work, and fetch what it asks for, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            keeper.tick(monotonic_ns())
            for request in keeper.requests():
                name = f"books {request.purpose.value} {request.number}"
                tasks.create_task(_fetch(keeper, source, request, monotonic_ns), name=name)
            await asyncio.sleep(max(0, keeper.next_deadline() - monotonic_ns()) / 1e9)


async def _fetch(
    keeper: Asker, source: SnapshotSource, request: Request, monotonic_ns: Callable[[], int]
) -> None:
    try:
        async with asyncio.timeout((request.due_ns - monotonic_ns()) / 1e9):
            body = await source.books(request.tokens)
    except Exception as error:  # whatever a client raises: the keeper asks again
        keeper.refused(request.number, f"{type(error).__name__}: {error}", monotonic_ns())
    else:
        keeper.answered(request.number, body, monotonic_ns())
