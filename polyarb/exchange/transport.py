"""
HTTP connections to the exchange: the only place that knows aiohttp.

One session for everything: connections are kept and opened ahead of need, names are looked up once
in a while, answers have a bound. Nothing is ever sent twice from here. asyncio sets TCP_NODELAY on
every connection it makes; a test looks.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

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

    async def line(self, url: str, *, timeout_s: float) -> "Line":
        """
        Return a connection that is held out of the pool; the caller closes it.

        Raises:
            ConnectionRefusedError: No connection could be made.
        """
        session = self._session
        assert session, "used outside its context"
        assert session.connector
        target = URL(url, encoded=True)
        request = aiohttp.ClientRequest(
            "GET", target, loop=asyncio.get_running_loop(), session=session, ssl=self._tls or True
        )
        try:
            connection = await session.connector.connect(
                request, [], aiohttp.ClientTimeout(total=timeout_s, connect=timeout_s)
            )
        except (aiohttp.ClientError, OSError) as error:  # of time-outs as well
            raise ConnectionRefusedError(f"{url}: {_said(error)}") from None
        return Line(connection, url, self._body_max)

    async def _whole(self, answer: aiohttp.ClientResponse) -> bytes:
        try:
            size = answer.content_length or 0
            if size > self._body_max:
                raise TooLongError(f"{answer.url}: {size} bytes, above {self._body_max}")
            return await _taken_in(answer.content, str(answer.url), self._body_max)
        except TooLongError:
            answer.close()
            raise


class Line:
    """
    One connection out of the pool's reach, for requests that are written as they are, at once.

    One request at a time, and aiohttp's parser for its answer. Between two requests nothing may
    come: what does ends the line, so that no answer is taken for that of a later request. A line
    that was written to and did not end its answer in order is cut, with what is unsent of it.

    Args:
        connection: aiohttp's.
        name: For messages.
        body_max: Bytes of one answer, decompressed.

    Attributes:
        ready: Whether a request may be written now.
        lost: Called once when the line is of no use any more.
    """

    def __init__(self, connection: aiohttp.connector.Connection, name: str, body_max: int) -> None:
        protocol, transport = connection.protocol, connection.transport
        assert protocol is not None  # an empty one is false
        assert transport is not None
        self._connection = connection
        self._protocol = protocol
        self._transport = transport
        self._name = name
        self._body_max = body_max
        self._rest = _Rest(self, protocol)
        self._open = True
        self.ready = False
        self.lost: Callable[[], None] = _nobody
        self._settle()

    def write(self, request: bytes) -> None:
        """
        Write a whole request; from here on only `answer` says what became of it.

        Args:
            request: Never changed again: what the kernel does not take at once is sent later.
        """
        assert self.ready, "the line is busy, or lost"
        self.ready = False
        self._transport.write(request)
        # Nothing is read before this callback ends, so the parser may come after the bytes.
        self._transport.set_protocol(self._protocol)
        self._protocol.set_response_params(read_until_eof=True)

    async def answer(self, timeout_s: float) -> HttpResponse:
        """
        Return the whole answer of what was written, whatever its status.

        Raises:
            ConnectionError: It may or may not have been received; no whole answer came.
            TimeoutError: The same, and the time is up.
            TooLongError: More than `body_max` bytes came.
        """
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._read()
        except TimeoutError:
            self.close()
            raise TimeoutError(f"{self._name}: no answer in {timeout_s:g} s") from None
        except TooLongError:
            self.close()
            raise
        except Exception as error:  # whatever it is, no whole answer came
            self.close()
            raise ConnectionError(f"{self._name}: {_said(error)}") from None
        except BaseException:  # nobody waits for the rest
            self.close()
            raise
        self._settle()
        return response

    def close(self) -> None:
        """Cut the line; nothing happens the second time."""
        self.ready = False
        if self._open:
            self._open = False
            self._transport.abort()
            self._connection.close()
            self.lost()

    async def _read(self) -> HttpResponse:
        message, payload = await self._protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await self._protocol.read()
        if message.code == 101:
            raise ConnectionError("it went over to another protocol, unasked")
        body = await _taken_in(payload, self._name, self._body_max)
        names = {name.lower(): value for name, value in message.headers.items()}
        return HttpResponse(status=message.code, headers=names, body=body)

    def _settle(self) -> None:
        """Wait for the next request, if the connection is as one that waits should be."""
        transport = self._transport
        fit = (
            self._protocol.is_connected()
            and not self._protocol.should_close  # as asked for, or for bytes behind the answer
            and transport.get_write_buffer_size() == 0  # or it answered before it had the whole
            and transport.is_reading()
        )
        if fit and self._open:
            transport.set_protocol(self._rest)
            self.ready = True
        else:
            self.close()


class _Rest(asyncio.Protocol):
    """Hears a line between two requests."""

    def __init__(self, line: Line, protocol: ResponseHandler) -> None:
        self._line = line
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:
        """End the line: nobody asked."""
        self._line.close()

    def eof_received(self) -> None:
        """End the line."""
        self._line.close()

    def pause_writing(self) -> None:
        """Let aiohttp know: it hears every other one."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Let aiohttp know."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let aiohttp know, which may wait for it."""
        self._protocol.connection_lost(exc)
        self._line.close()


async def _taken_in(content: aiohttp.StreamReader, name: str, body_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        size += len(part)
        if size > body_max:
            raise TooLongError(f"{name}: {size} bytes, above {body_max}")
        parts.append(part)
    return b"".join(parts)


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


def _nobody() -> None:
    pass


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
