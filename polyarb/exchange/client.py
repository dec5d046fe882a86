"""
Requests to the exchange over HTTP: one session, every answer bounded, typed errors.

What is here only reads, so that a request without an answer may simply be sent again (style.md
section 6 forbids that to everything else).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
import stamina

from polyarb import __version__, clock, errors

BODY_MAX: Final = 64 * 2**20
"""A page of 100 events has up to 3 MB, 500 books up to 2 MB."""

BOOKS_MAX: Final = 500
"""Tokens in one POST /books; the venue publishes this cap for a sister route only."""

CONNECTIONS_MAX: Final = 16
WAIT_S_MIN: Final = 0.05
WAIT_S_MAX: Final = 60.0
"""A longer Retry-After is for the caller to decide on."""

SHOWN: Final = 120

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
        self._clob_url = _base("clob_url", clob_url)
        self._gamma_url = _base("gamma_url", gamma_url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._attempts = attempts
        self._budget_s = budget_s
        self._body_max = body_max
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # asyncio sets TCP_NODELAY on every connection it makes; a test looks.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            timeout=self._timeout,
            headers={"User-Agent": f"polyarb/{__version__}", "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; nothing happens the second time."""
        if self._session:
            await self._session.close()
            self._session = None

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
        found = await self.clob("/time", (), _seconds)
        if found is None:
            raise errors.DeniedError("GET /time: 404", 404)
        return found

    # -- inside

    async def _read(
        self, method: str, url: str, query: Query, body: bytes, read: Callable[[bytes], _T]
    ) -> _T | None:
        async for attempt in stamina.retry_context(
            on=retry_wait,
            attempts=self._attempts,
            timeout=self._budget_s,
            wait_initial=0.1,
            wait_max=5.0,
            wait_jitter=0.2,
        ):
            with attempt:
                status, headers, answer = await self._exchange(method, url, query, body)
                return _understood(f"{method} {url}", status, headers, answer, read)
        raise AssertionError("stamina returns or raises")

    async def _exchange(
        self, method: str, url: str, query: Query, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request and return its whole answer, whatever the status."""
        assert self._session, "used outside its context"
        headers = {"Content-Type": "application/json"} if body else None
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                data=body or None,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                return answer.status, answer.headers, await self._whole(answer)
        except TimeoutError:
            message = f"{method} {url}: no answer in {self._timeout.total} s"
            raise errors.UnreachableError(message) from None
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            raise errors.UnreachableError(f"{method} {url}: {said}") from None

    async def _whole(self, answer: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = answer.content_length or 0
        if size <= self._body_max:
            size = 0
            async for part in answer.content.iter_any():
                size += len(part)
                if size > self._body_max:
                    break
                parts.append(part)
            else:
                return b"".join(parts)
        answer.close()
        raise errors.GarbledError(f"{answer.url}: {size} bytes, above {self._body_max}")


def retry_wait(error: Exception) -> bool | float:
    """Say whether a read that failed is worth another attempt, or after how many seconds."""
    if not isinstance(error, errors.RetryError):
        return False
    wait_s = error.wait_s if isinstance(error, errors.ThrottledError) else None
    if wait_s is None:
        return True
    return max(wait_s, WAIT_S_MIN) if wait_s <= WAIT_S_MAX else False


def _base(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise errors.MalformedError(f"{name} {url[:SHOWN]!r} is not http(s)://host…")
    return url.rstrip("/")


def _understood(
    request: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    read: Callable[[bytes], _T],
) -> _T | None:
    """Return what `read` makes of an answer, None for 404, or raise what it stands for."""
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
    wait_s = _wait_s(headers.get("Retry-After"), told, clock.wall_ns())
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


def _seconds(body: bytes) -> int:
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
