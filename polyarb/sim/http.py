"""One HTTP exchange as values, for sockets and for in-process callers alike."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Fate(StrEnum):
    """What becomes of an answer on its way out."""

    SENT = "sent"
    LOST = "lost"  # the connection is closed before the first byte
    CUT = "cut"  # half of it leaves, then the connection is reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer: status, exact body bytes, headers, and whether it arrives."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    fate: Fate = Fate.SENT


@dataclass(slots=True, kw_only=True)
class Request:
    """
    One request as it came off the wire.

    Attributes:
        path: Without the query, not decoded: it is what HMAC signs.
        query: Every value of every parameter, decoded.
        headers: Names in lower case.
        body: The raw bytes.
        peer: Who asks, for the limits per address.
        rest: What followed the fixed part of a route that ends in ``/*``.
        reply: Called once with the answer, at once or at a later venue time.
    """

    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = "local"
    rest: str = ""
    reply: Callable[[Response], None] = field(default=lambda _: None, repr=False)

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default


Handler = Callable[[Any, Request], Response | None]
"""Called with the venue and a request; None means that `Request.reply` is called later."""


class HttpError(Exception):
    """A refusal on its way to the client: status and text, as JSON with `extra` or plain."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        plain: bool = False,
        **extra: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.plain = plain
        self.extra = extra


def dump(value: object) -> bytes:
    """Return compact JSON; half a surrogate pair of a client's comes back as a question mark."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def ok(value: object) -> Response:
    """Return 200 with a JSON body."""
    return Response(status=200, body=dump(value))


def error(status: int, message: str, **extra: object) -> Response:
    """Return the venue's error object."""
    return Response(status=status, body=dump({"error": message, **extra}))


OVERRIDES: Final = (("not found", 404), ("unauthorized", 401), ("context canceled", 400))
"""The venue sends texts that hold these with that status, whatever it was (section 13)."""


def refused(refusal: HttpError) -> Response:
    """Return a refusal as the venue sends it."""
    status = refusal.status
    for text, instead in OVERRIDES:
        if status < 500 and text in refusal.message.lower():
            status = instead
    if refusal.plain:
        return Response(
            status=status,
            body=refusal.message.encode(),
            content_type="text/plain; charset=utf-8",
            headers=refusal.headers,
        )
    answer = error(status, refusal.message, **refusal.extra)
    return Response(status=status, body=answer.body, headers=refusal.headers)


def load(body: bytes, status: int = 400, message: str = "Invalid payload") -> Any:
    """
    Return the JSON value of a body; floats stay text, so that no digit is lost.

    Raises:
        HttpError: Not JSON: other text, bad UTF-8, nesting without end, a number of any length.
    """
    try:
        return json.loads(body, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise HttpError(status, message) from None


def _no_constant(name: str) -> None:
    raise ValueError(name)
