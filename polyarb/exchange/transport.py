"""
HTTP connections to the exchange: the only place that knows aiohttp.

One session for everything: connections are kept and opened ahead of need, names are looked up once
in a while, answers have a bound. Nothing is ever sent twice from here. asyncio sets TCP_NODELAY on
every connection it makes; a test looks.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from polyarb import __version__, errors
from polyarb.core.base import UINT64_MAX, integer
from polyarb.domain.wire import HttpResponse, RequestPort

BODY_MAX: Final = 64 * 2**20
"""A page of 100 events has up to 3 MB, 500 books up to 2 MB."""

CONNECTIONS_MAX: Final = 16
KEEP_S: Final = 60.0
"""An idle connection is closed after so long; common servers and proxies keep it 60 to 75 s."""

DNS_S: Final = 300
SHOWN: Final = 120
SECOND: Final = 1_000_000_000
USER_AGENT: Final = f"polyarb/{__version__}"

Query = Sequence[tuple[str, str]] | Mapping[str, str]


class TooLongError(ConnectionError):
    """An answer of more bytes than are taken in."""


def base_url(name: str, url: str) -> str:
    """Return a base address without a slash at its end; MalformedError if it is none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise errors.MalformedError(f"{name} {url[:SHOWN]!r} is not http(s)://host…")
    return url.rstrip("/")


class Session:
    """
    Connections to any number of hosts; an async context manager.

    Args:
        connections_max: At once, to all hosts together.
        body_max: Bytes of one answer, decompressed.
        tls: For https; the system's certificates by default.
    """

    def __init__(
        self,
        *,
        connections_max: int = CONNECTIONS_MAX,
        body_max: int = BODY_MAX,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connections_max = connections_max
        self._body_max = body_max
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections_max,
                keepalive_timeout=KEEP_S,
                ttl_dns_cache=DNS_S,
                ssl=self._tls or True,
            ),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # aiohttp would send a DELETE again where a kept connection broke: that is ours to decide.
        self._session._retry_connection = False
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; nothing happens the second time."""
        if self._session:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float,
    ) -> HttpResponse:
        """
        Send one request, once, and return its whole answer, whatever the status.

        Half of the time is for a connection, so that it is known whether anything was sent.

        Raises:
            ConnectionRefusedError: No connection could be made: nothing was sent.
            ConnectionError: It may or may not have been received; no whole answer came.
            TimeoutError: The same, and the time is up.
            TooLongError: More than `body_max` bytes came.
        """
        assert self._session, "used outside its context"
        sent = dict(headers or {})
        if body:
            sent.setdefault("Content-Type", "application/json")
        request = f"{method} {url}"
        try:
            async with self._session.request(
                method,
                url,
                params=query or None,
                data=body or None,
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=timeout_s / 2),
            ) as answer:
                names = {name.lower(): value for name, value in answer.headers.items()}
                whole = await self._whole(answer)
                return HttpResponse(status=answer.status, headers=names, body=whole)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ConnectionRefusedError(f"{request}: {_said(error)}") from None
        except TimeoutError:
            raise TimeoutError(f"{request}: no answer in {timeout_s:g} s") from None
        except TooLongError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionError(f"{request}: {_said(error)}") from None

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
        raise TooLongError(f"{answer.url}: {size} bytes, above {self._body_max}")


class HttpPort(RequestPort):
    """
    One base address of the exchange, over sockets.

    Args:
        session: Whose connections are used.
        url: What paths are appended to.

    Raises:
        MalformedError: An address that is not http(s)://host…
    """

    def __init__(self, session: Session, url: str) -> None:
        self._session = session
        self.base_url = base_url("base_url", url)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = 10 * SECOND,
    ) -> HttpResponse:
        """Send one request (see `RequestPort.request`)."""
        return await self._session.fetch(
            method,
            self.base_url + path,
            query=query or (),
            headers=headers,
            body=body,
            timeout_s=integer("timeout_ns", timeout_ns, 1, UINT64_MAX) / SECOND,
        )

    async def warm(self, count: int, *, path: str = "/ok", timeout_ns: int = 5 * SECOND) -> int:
        """
        Use `count` connections at once, opening those that are missing; return how many answered.

        Args:
            count: At most the session's `connections_max`.
            path: Something harmless.
            timeout_ns: For each.
        """
        asked = (self.request("GET", path, timeout_ns=timeout_ns) for _ in range(count))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return sum(isinstance(answer, HttpResponse) for answer in answers)

    async def keep_warm(self, count: int, *, every_s: float = 20.0) -> None:
        """Keep `count` connections open and lately used, until cancelled."""
        while True:
            await self.warm(count)
            await asyncio.sleep(every_s)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
