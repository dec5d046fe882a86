"""
Reads from the exchange over HTTP: repeated while that may help, typed errors.

What is here only reads, so that a request without an answer may simply be sent again (style.md
section 6 forbids that to everything else).
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self, TypeVar

import msgspec
import stamina

from polyarb import clock, errors
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.transport import BODY_MAX, SHOWN, Session, TooLongError, base_url

BOOKS_MAX: Final = 500
"""Tokens in one POST /books; the venue publishes this cap for a sister route only."""

WAIT_S_MIN: Final = 0.05
WAIT_S_MAX: Final = 60.0
"""A longer Retry-After is for the caller to decide on."""

_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOT_NOW: Final = frozenset({408, 425})
_T = TypeVar("_T")
Query = Sequence[tuple[str, str]]


class Client:
    """
    Reads from the CLOB and from Gamma; an async context manager.

    Every read is repeated while that may help: after a broken or late answer, an unreadable one,
    429, 425 and 5xx, as long as the exchange asks for (Retry-After) or else ever longer.

    Args:
        clob_url: Base address of the CLOB.
        gamma_url: Base address of Gamma.
        timeout_s: For one answer, connecting included.
        attempts: How often a read is tried at most.
        budget_s: After so long since the first attempt a failure is final.
        body_max: Bytes of one answer, decompressed.

    Raises:
        InputError: An address that is not http(s)://host…
    """

    def __init__(
        self,
        *,
        clob_url: str,
        gamma_url: str,
        timeout_s: float = 10.0,
        attempts: int = 5,
        budget_s: float = 45.0,
        body_max: int = BODY_MAX,
    ) -> None:
        self._clob_url = base_url("clob_url", clob_url)
        self._gamma_url = base_url("gamma_url", gamma_url)
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._budget_s = budget_s
        self._session = Session(body_max=body_max)

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; nothing happens the second time."""
        await self._session.close()

    # -- reads

    async def gamma(self, path: str, query: Query, read: Callable[[bytes], _T]) -> _T | None:
        """
        GET from Gamma and return what `read` makes of the body; None for 404.

        Raises:
            RetryError: No useful answer in any attempt; one that `read` called malformed is none.
            DeniedError: Another 3xx or 4xx.
        """
        return await self._read("GET", self._gamma_url + path, query, b"", read)

    async def clob(self, path: str, query: Query, read: Callable[[bytes], _T]) -> _T | None:
        """GET from the CLOB; as `gamma`."""
        return await self._read("GET", self._clob_url + path, query, b"", read)

    async def books(self, tokens: Sequence[str]) -> bytes:
        """
        Return the books of `tokens` as one JSON array, as POST /books answers it.

        Tokens that have no book are not in it. Raises as `gamma`.
        """
        parts: list[bytes] = []
        for first in range(0, len(tokens), BOOKS_MAX):
            wanted = [{"token_id": token} for token in tokens[first : first + BOOKS_MAX]]
            body = json.dumps(wanted, separators=(",", ":")).encode()
            answer = await self._read("POST", f"{self._clob_url}/books", (), body, _array)
            if answer is None:
                raise errors.DeniedError("POST /books: 404", 404)
            parts.append(answer)
        if len(parts) == 1:
            return parts[0]
        inner = (part.strip()[1:-1].strip() for part in parts)
        return b"[" + b",".join(part for part in inner if part) + b"]"

    async def time_s(self) -> int:
        """Return the CLOB's clock, Unix seconds. Raises as `gamma`."""
        found = await self.clob("/time", (), seconds_in)
        if found is None:
            raise errors.DeniedError("GET /time: 404", 404)
        return found

    # -- inside

    async def _read(
        self, method: str, url: str, query: Query, body: bytes, read: Callable[[bytes], _T]
    ) -> _T | None:
        async def ask() -> _T | None:
            response = await self._exchange(method, url, query, body)
            return understood(f"{method} {url}", response, read)

        return await repeated(ask, attempts=self._attempts, budget_s=self._budget_s)

    async def _exchange(self, method: str, url: str, query: Query, body: bytes) -> HttpResponse:
        """Send one request and return its whole answer, whatever the status."""
        try:
            return await self._session.fetch(
                method, url, query=query, body=body, timeout_s=self._timeout_s
            )
        except TooLongError as error:
            raise errors.GarbledError(str(error)) from None
        except (TimeoutError, OSError) as error:
            raise errors.UnreachableError(str(error)) from None


async def repeated(
    ask: Callable[[], Awaitable[_T]], *, attempts: int, budget_s: float = 45.0
) -> _T:
    """
    Return what a read returns, asking again while that may help.

    Args:
        ask: Raises `RetryError` for what asking again may mend; a write is never one.
        attempts: How often at most.
        budget_s: After so long since the first attempt a failure is final.
    """
    async for attempt in stamina.retry_context(
        on=retry_wait,
        attempts=attempts,
        timeout=budget_s,
        wait_initial=0.1,
        wait_max=5.0,
        wait_jitter=0.2,
    ):
        with attempt:
            return await ask()
    raise AssertionError("stamina returns or raises")


def retry_wait(error: Exception) -> bool | float:
    """Say whether a read that failed is worth another attempt, or after how many seconds."""
    if not isinstance(error, errors.RetryError):
        return False
    wait_s = error.wait_s if isinstance(error, errors.ThrottledError) else None
    if wait_s is None:
        return True
    return max(wait_s, WAIT_S_MIN) if wait_s <= WAIT_S_MAX else False


def understood(
    request: str, response: HttpResponse, read: Callable[[bytes], _T], *, now_ns: int | None = None
) -> _T | None:
    """
    Return what `read` makes of an answer, None for 404, or raise what it stands for.

    Args:
        request: What was asked, for messages.
        response: Whole.
        read: Raises MalformedError for what it cannot make sense of.
        now_ns: Unix, for a Retry-After that is a date; None for the system's.

    Raises:
        GarbledError: A body that is not what it should be.
        ThrottledError, UnavailableError: Not now.
        DeniedError: Not ever.
    """
    status, body = response.status, response.body
    if 200 <= status < 300:
        if body.lstrip()[:1] == b"<":
            raise errors.GarbledError(f"{request}: {status} with HTML: {body[:SHOWN]!r}")
        try:
            return read(body)
        except errors.MalformedError as error:
            raise errors.GarbledError(f"{request}: {error}") from None
    if status == 404:
        return None
    told = _error_body(body)
    said = told.get("error")
    said = said if isinstance(said, str) else body[:SHOWN].decode(errors="replace")
    message = f"{request}: {status} {said[:SHOWN]!r}"
    now_ns = clock.wall_ns() if now_ns is None else now_ns
    wait_s = _wait_s(response.headers.get("retry-after"), told, now_ns)
    if status == 429:
        raise errors.ThrottledError(message, wait_s)
    if status >= 500 or status in _NOT_NOW:
        raise errors.UnavailableError(message, wait_s)
    raise errors.DeniedError(message, status)


def _error_body(body: bytes) -> Mapping[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except _BROKEN:
        return {}
    return told if isinstance(told, dict) else {}


def _wait_s(header: str | None, told: Mapping[str, Any], now_ns: int) -> float | None:
    """Return what Retry-After (seconds or a date) or the body's member asks for, in seconds."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    with suppress(ValueError):
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(at.timestamp() - now_ns / 1e9, 0.0)
    wait_s = told.get("retry_after_seconds")
    if isinstance(wait_s, int | float) and not isinstance(wait_s, bool) and wait_s >= 0:
        return float(wait_s)
    return None


def _array(body: bytes) -> bytes:
    try:
        msgspec.json.decode(body, type=list[msgspec.Raw])
    except _BROKEN:
        raise errors.MalformedError(f"no JSON array: {body[:SHOWN]!r}") from None
    return body


def seconds_in(body: bytes) -> int:
    """Return a bare number, or the one in ``{"time": …}``, also as text."""
    try:
        told = msgspec.json.decode(body)
    except _BROKEN:
        told = None
    if isinstance(told, dict):
        told = told.get("time")
    text = str(told) if isinstance(told, int | str) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise errors.MalformedError(f"no time: {body[:SHOWN]!r}")
    return int(text)
