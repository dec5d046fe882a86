"""
The exchange as seen by whoever trades on it: requests, answers and two sockets, without any I/O.

The engine is written against these Protocols. Sockets implement them for real; the simulator's
`InProcessVenue` implements them in virtual time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """
    What came back.

    Attributes:
        headers: Names in lower case.
        body: The exact bytes.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Listener(Protocol):
    """Hears one socket; called in order, never again after `closed`."""

    def text(self, message: bytes) -> None:
        """Take one text message."""

    def closed(self, code: int, reason: str) -> None:
        """Take note of the end; 1006 where no close frame came."""


class Stream(Protocol):
    """One open socket."""

    def send(self, message: str) -> None:
        """Send one text message; nothing happens on a closed socket."""

    def close(self) -> None:
        """Close it; the listener hears nothing more."""


class RequestPort(Protocol):
    """The REST services under one base address."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = 10_000_000_000,
    ) -> HttpResponse:
        """
        Send one request and return its answer, whatever the status.

        Raises:
            ConnectionRefusedError: No connection could be made: nothing was sent.
            ConnectionError: It may or may not have been received; no whole answer came.
            TimeoutError: The same, and the time is up.
        """


class SocketPort(Protocol):
    """The exchange's sockets."""

    async def connect(self, path: str, listener: Listener) -> Stream:
        """Open ``/ws/market`` or ``/ws/user``; raises ConnectionError where nobody listens."""


class ExchangePort(RequestPort, SocketPort, Protocol):
    """One exchange, under one base address."""
