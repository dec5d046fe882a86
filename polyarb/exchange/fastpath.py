"""
Planned legs to the bytes of a POST /orders in the kernel, within the callback that saw the chance.

A request is built in place in one crossing (`polyarb.core.request.Post`) and written at once to a
connection that waits for it out of aiohttp's pool; there is no task, queue or future before the
write. Whatever is odd before it (no line ready, a stale or lost one) sends the same body over the
ordinary client. Once `Line.write` was called, only an answer says what became of the orders: all
else leaves them `Unknown`, to be looked up by id. Either way a built request is sent once.

    path.build(legs)        # signed: path.asked has the ids, path.body the bytes; nothing is sent
    ...                     # the intent goes on the journal
    flight = path.send()    # in the kernel, or on its way there
    await flight.answers
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from polyarb import clock, errors
from polyarb.core.base import UINT64_MAX, integer
from polyarb.core.request import Post, Request
from polyarb.domain.answer import Cause, Later, OrderAnswer, Unknown, Why
from polyarb.domain.order import OrderType, Side
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.answers import SECOND, Asked
from polyarb.exchange.auth import Credentials
from polyarb.exchange.transport import USER_AGENT, Line, Session, base_url
from polyarb.exchange.wallets import parse_address

MS: Final = 1_000_000
BATCH_MAX: Final = 15
REFRESH_NS: Final = 15 * SECOND
"""An idle line is used so often; the shortest keep-alive in common use is 60 s, minus a reserve."""

BUSY_NS: Final = SECOND
"""A line that is busy when it should be used is looked at again so much later."""

BACKOFF_MIN_NS: Final = SECOND // 10
BACKOFF_MAX_NS: Final = 5 * SECOND

_KEEP_ALIVE: Final = re.compile(r"timeout\s*=\s*([0-9]{1,6})")


class Leg(NamedTuple):
    """
    One order as planned.

    Attributes:
        token: Index into the tokens of the path's request.
        side: BUY or SELL.
        maker_amount, taker_amount: Base units given and taken (protocol.md section 10).
        order_type: GTC, GTD, FOK or FAK.
        expiration_s: Unix seconds; 0 unless GTD.
        post_only: Only with GTC and GTD.
    """

    token: int
    side: Side
    maker_amount: int
    taker_amount: int
    order_type: OrderType = OrderType.FAK
    expiration_s: int = 0
    post_only: bool = False


class Way(Enum):
    """How a request went."""

    DIRECT = "direct"
    ORDINARY = "ordinary"
    NOWHERE = "nowhere"  # our own budget is spent


@dataclass(frozen=True, slots=True)
class Flight:
    """
    A request that was sent, or that will not be.

    Attributes:
        asked: Its orders.
        way: How it went.
        answers: What became of each; never an exception. Belongs to the path: wait for it with
            `asyncio.shield`, or add a callback.
    """

    asked: Sequence[Asked]
    way: Way
    answers: "asyncio.Future[Sequence[OrderAnswer]]"


class Outlet(Protocol):
    """What a request is written to: a `Line`."""

    @property
    def ready(self) -> bool:
        """Whether a request may be written now."""

    def write(self, request: bytes) -> None:
        """Write a whole request at once."""

    async def answer(self, timeout_s: float) -> HttpResponse:
        """Return the answer of what was written; ConnectionError, TimeoutError."""

    def close(self) -> None:
        """Cut it."""


class Outlets(Protocol):
    """Where a ready outlet is found: `Lines`."""

    def ready(self, now_ns: int) -> Outlet | None:
        """Return one that may be written to now."""


class Client(Protocol):
    """The ordinary client: `TradingClient`."""

    @property
    def now_ns(self) -> int:
        """Return the exchange's time, Unix nanoseconds."""

    def wait_ns(self, orders: int, now_ns: int, *, urgent: bool = False) -> int:
        """Return how long until the budget is there, 0 if it is; takes nothing."""

    def spend(self, orders: int) -> None:
        """Take the budget of a request that is being sent."""

    async def post_built(self, asked: Sequence[Asked], body: bytes) -> Sequence[OrderAnswer]:
        """Send a body, once; its budget is paid."""

    def understand(self, asked: Sequence[Asked], response: HttpResponse) -> Sequence[OrderAnswer]:
        """Take note of an answer; return what became of each order."""


def prepared_post(url: str, address: str, credentials: Credentials) -> Post:
    """
    Return the template of POST /orders under a base address.

    Args:
        url: Base address of the CLOB.
        address: The EOA that owns the API key.
        credentials: The API key's.

    Raises:
        MalformedError: An address of either kind that is none.
    """
    parse_address("address", address)
    blank = {
        "Content-Length": b" " * 6,
        "POLY_TIMESTAMP": b"0" * 10,
        "POLY_SIGNATURE": b"0" * 44,
    }
    lines: Mapping[str, bytes] = {
        "Content-Type": b"application/json",
        "POLY_ADDRESS": address.encode(),
        "POLY_API_KEY": credentials.api_key.encode(),
        "POLY_PASSPHRASE": credentials.passphrase.encode(),
    }
    head = _head("POST", url, "/orders")
    head += b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in lines.items())
    at = {}
    for name, value in blank.items():
        head += name.encode() + b": "
        at[name] = len(head)
        head += value + b"\r\n"
    return Post(
        head + b"\r\n",
        length_at=at["Content-Length"],
        time_at=at["POLY_TIMESTAMP"],
        signature_at=at["POLY_SIGNATURE"],
    )


def _head(method: str, url: str, path: str) -> bytes:
    parts = urlsplit(base_url("url", url))
    host = parts.netloc.rpartition("@")[2]
    head = f"{method} {parts.path}{path} HTTP/1.1\r\nHost: {host}\r\n"
    head += f"User-Agent: {USER_AGENT}\r\nAccept: application/json\r\n"
    try:
        return head.encode("ascii")
    except UnicodeEncodeError:
        raise errors.MalformedError(f"url {url[:120]!r} is not ASCII") from None


@dataclass(slots=True, eq=False)
class _Kept:
    """A line, when it is to be used, and until when the server surely keeps it."""

    line: Line
    due_ns: int = 0
    fresh_until_ns: int = 0

    def used(self, now_ns: int, refresh_ns: int) -> None:
        self.due_ns = now_ns + refresh_ns
        self.fresh_until_ns = now_ns + refresh_ns * 3 // 2


class Lines:
    """
    Lines to one host, kept ready: opened and tried before they are needed, used when they idle.

    Args:
        session: Whose connections they are.
        url: Base address.
        count: How many; one, and a spare for each request that may be under way beside it.
        path: Of a GET that is harmless and answered with 2xx.
        refresh_ns: How long a line may idle; a Keep-Alive header shortens it.
        timeout_ns: For opening and trying.
        monotonic_ns: The clock.

    Attributes:
        failures: How often a line could not be opened or did not stand the trial.
        last_failure: Why, the last time.
    """

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        count: int = 2,
        path: str = "/ok",
        refresh_ns: int = REFRESH_NS,
        timeout_ns: int = 5 * SECOND,
        monotonic_ns: Callable[[], int] = clock.monotonic_ns,
    ) -> None:
        self._session = session
        self._url = base_url("url", url)
        self._count = integer("count", count, 1, 8)
        self._trial = _head("GET", url, path) + b"\r\n"
        self._refresh_ns = integer("refresh_ns", refresh_ns, 1, UINT64_MAX)
        self._timeout_s = integer("timeout_ns", timeout_ns, 1, UINT64_MAX) / SECOND
        self._monotonic_ns = monotonic_ns
        self._kept: list[_Kept] = []
        self._wake = asyncio.Event()
        self._retry_ns = 0
        self._backoff_ns = BACKOFF_MIN_NS
        self.failures = 0
        self.last_failure = ""

    def ready(self, now_ns: int) -> Line | None:
        """Return a line that may be written to now."""
        for kept in self._kept:
            line = kept.line
            if line.ready and now_ns <= kept.fresh_until_ns:
                return line
        return None

    def ready_count(self) -> int:
        """Return how many lines may be written to now."""
        now_ns = self._monotonic_ns()
        return sum(kept.line.ready and now_ns <= kept.fresh_until_ns for kept in self._kept)

    async def run(self) -> None:
        """Keep them ready until cancelled, then cut them."""
        try:
            while True:
                self._wake.clear()
                await self.tend()
                wait_s = max(0, self._next_ns() - self._monotonic_ns()) / SECOND
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
        finally:
            self.close()

    async def tend(self) -> None:
        """Use what idles and open what is missing, as far as it is due."""
        for kept in [*self._kept]:
            if kept.line.ready and self._monotonic_ns() >= kept.due_ns:
                await self._try(kept)
        while len(self._kept) < self._count and self._monotonic_ns() >= self._retry_ns:
            await self._open()

    def close(self) -> None:
        """Cut every line; what is under way becomes unknown."""
        for kept in [*self._kept]:
            kept.line.close()

    def _next_ns(self) -> int:
        """Return when something is due."""
        later = self._monotonic_ns() + BUSY_NS
        due = [kept.due_ns if kept.line.ready else later for kept in self._kept]
        if len(self._kept) < self._count:
            due.append(self._retry_ns)
        return min(due, default=self._monotonic_ns() + self._refresh_ns)

    async def _open(self) -> None:
        try:
            line = await self._session.line(self._url, timeout_s=self._timeout_s)
        except ConnectionRefusedError as error:
            self._failed(error)
            return
        kept = _Kept(line)
        line.lost = lambda: self._forget(kept)
        if await self._try(kept):
            self._backoff_ns = BACKOFF_MIN_NS
            self._kept.append(kept)

    async def _try(self, kept: _Kept) -> bool:
        """Let a line answer a harmless request; return whether it is ready then."""
        line = kept.line
        try:
            if not line.ready:
                raise ConnectionError("lost before it was used")
            line.write(self._trial)
            answer = await line.answer(self._timeout_s)
        except (OSError, TimeoutError) as error:
            self._failed(error)
            return False
        if not (line.ready and 200 <= answer.status < 300):
            self._failed(ConnectionError(f"{answer.status}, and not kept open"))
            line.close()
            return False
        told = _KEEP_ALIVE.search(answer.headers.get("keep-alive", "").lower())
        allowed_ns = int(told[1]) * SECOND // 2 if told else self._refresh_ns
        kept.used(self._monotonic_ns(), min(self._refresh_ns, allowed_ns))
        return True

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.last_failure = str(error)[:120] or type(error).__name__
        self._retry_ns = self._monotonic_ns() + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, BACKOFF_MAX_NS)

    def _forget(self, kept: _Kept) -> None:
        if kept in self._kept:
            self._kept.remove(kept)
            self._wake.set()


class FastPath:
    """
    The send path of one account. One thread, inside a running loop.

    Args:
        client: The ordinary client of the same account: its budgets, its clock, its readings of
            answers, and the way of whatever cannot go directly.
        lines: Where requests are written.
        request: Signs.
        post: The template (`prepared_post`), of the same account.
        timeout_ns: For an answer.
        start: Begins a coroutine as a task.
        monotonic_ns: The clock.

    Attributes:
        sent: How many requests went which way.
    """

    def __init__(
        self,
        client: Client,
        lines: Outlets,
        *,
        request: Request,
        post: Post,
        timeout_ns: int = 5 * SECOND,
        start: Callable[[Coroutine[Any, Any, None]], object] | None = None,
        monotonic_ns: Callable[[], int] = clock.monotonic_ns,
    ) -> None:
        self._client = client
        self._lines = lines
        self._request = request
        self._post = post
        self._timeout_s = integer("timeout_ns", timeout_ns, 1, UINT64_MAX) / SECOND
        self._start = start or self._task
        self._monotonic_ns = monotonic_ns
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole: memoryview | None = None
        self._legs: Sequence[Leg] = ()
        self.sent = dict.fromkeys(Way, 0)

    def build(self, legs: Sequence[Leg]) -> None:
        """
        Sign 1 to 15 orders; `body` and `asked` are there then, and nothing is sent.

        A build that was not sent is forgotten.

        Raises:
            InputError: Legs that cannot be orders.
        """
        self._whole, self._legs = None, ()
        request = self._request
        request.clear()  # of a build that failed on the way
        put_leg = request.put_leg
        for index, leg in enumerate(legs):
            token, side, maker, taker, order_type, expiration_s, post_only = leg
            put_leg(
                *(index, token, side, maker, taker),
                order_type=order_type,
                expiration_s=expiration_s,
                post_only=post_only,
            )
        whole = request.build_post(self._post, len(legs), self._client.now_ns // MS)
        self._whole, self._legs = whole, tuple(legs)

    @property
    def asked(self) -> Sequence[Asked]:
        """Return the orders of the last build, sent or not; none if it failed."""
        if not self._legs:
            return []
        legs = self._legs
        return [
            Asked(order_id, leg.maker_amount)
            for order_id, leg in zip(self._request.order_ids(len(legs)), legs, strict=True)
        ]

    @property
    def body(self) -> bytes:
        """Return the body of the last build, for the journal."""
        if self._whole is None:
            raise errors.RangeError("body of no build, or of one that was sent")
        return bytes(self._whole[self._post.head_bytes :])

    def send(self, *, urgent: bool = False) -> Flight:
        """
        Send what was built last, once.

        Args:
            urgent: It ends risk, and may use the last share of the budget.

        Raises:
            RangeError: Nothing was built since the last time.
        """
        whole, self._whole = self._whole, None
        if whole is None:
            raise errors.RangeError("send without a build: what was built is sent once")
        now_ns = self._monotonic_ns()
        wait_ns = self._client.wait_ns(len(self._legs), now_ns, urgent=urgent)
        if wait_ns:
            return self._nowhere(wait_ns)
        outlet = self._lines.ready(now_ns)
        if outlet is None:
            return self._ordinary(bytes(whole[self._post.head_bytes :]))
        try:
            outlet.write(bytes(whole))
        except Exception as error:  # some of it may have left
            outlet.close()
            return self._broken(error)
        flight = self._flight(Way.DIRECT)
        self._start(self._hear(outlet, flight))
        return flight

    def prepare(self) -> None:
        """
        Ask ahead whether the budget is there, and bring near what the next request is made in.

        Worth calling every few milliseconds; sends and takes nothing.
        """
        self._client.wait_ns(BATCH_MAX, self._monotonic_ns())
        self._request.touch()

    async def close(self) -> None:
        """Wait until every flight has its answer; its time-out bounds that."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- after the write, or instead of it

    async def _hear(self, outlet: Outlet, flight: Flight) -> None:
        said: Sequence[OrderAnswer] = _all(flight.asked, Unknown(why=Why.BROKEN, text="abandoned"))
        try:
            response = await outlet.answer(self._timeout_s)
            said = self._client.understand(flight.asked, response)
            self.prepare()
        except TimeoutError as error:
            said = _all(flight.asked, Unknown(why=Why.TIMED_OUT, text=str(error)))
        except OSError as error:  # of whatever kind: bytes may have left
            said = _all(flight.asked, Unknown(why=Why.BROKEN, text=str(error)))
        finally:
            _settle(flight, said)

    def _ordinary(self, body: bytes) -> Flight:
        flight = self._flight(Way.ORDINARY)
        self._start(self._post_ordinarily(flight, body))
        return flight

    async def _post_ordinarily(self, flight: Flight, body: bytes) -> None:
        said: Sequence[OrderAnswer] = _all(flight.asked, Unknown(why=Why.BROKEN, text="abandoned"))
        try:
            said = await self._client.post_built(flight.asked, body)
        finally:
            _settle(flight, said)

    def _nowhere(self, wait_ns: int) -> Flight:
        flight = self._flight(Way.NOWHERE)
        _settle(flight, _all(flight.asked, Later(cause=Cause.BUDGET, wait_ns=wait_ns)))
        return flight

    def _broken(self, error: Exception) -> Flight:
        flight = self._flight(Way.DIRECT)
        _settle(flight, _all(flight.asked, Unknown(why=Why.BROKEN, text=str(error))))
        return flight

    def _flight(self, way: Way) -> Flight:
        asked = self.asked
        self.sent[way] += 1
        if way is not Way.NOWHERE:
            self._client.spend(len(asked))
        return Flight(asked, way, asyncio.get_running_loop().create_future())

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _all(asked: Sequence[Asked], answer: OrderAnswer) -> Sequence[OrderAnswer]:
    return [answer] * len(asked)


def _settle(flight: Flight, said: Sequence[OrderAnswer]) -> None:
    if not flight.answers.done():
        flight.answers.set_result(said)
