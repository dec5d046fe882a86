"""
One broken book after another made right again, without touching the others.

A book that fails for longer than `resync_after_ms` gets a *job*. From its beginning on the bytes
of its connections are kept; a REST book is asked for, together with those of other jobs. The
answer and the kept changes of the token that are not older become one frame, so that it takes
effect at once or not at all. Sizes are absolute: what the answer holds already does no harm again.

An answer is *covered* if it is not older than what the book had seen when the job began: nothing
can be missing between it and what was kept. If it is older, a cache may have answered, or what the
book had seen was wrong, so it is asked for again, and believed when it comes twice.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

BELIEVED_AT: Final = 4
"""An answer that does not fit is taken at this try all the same: there is no better witness."""
GHOST_SPREAD_E4: Final = 9_000
"""REST books are sometimes an empty shell of 0.01 and 0.99 (protocol.md section 15)."""


@dataclass(slots=True)
class Job:
    """
    A book on its way back.

    Attributes:
        token: Which.
        slot: Its.
        first_ms: The exchange's time of the book when the bytes began to be kept; 0 if it had none.
        first_updates: Of the book at that moment.
        next_ns: When to ask.
        tries: Answers so far, failures included.
        asked: Whether a request is under way.
        answer: Time and hash of the last answer that was not taken.
    """

    token: str
    slot: int
    first_ms: int
    first_updates: int
    next_ns: int
    tries: int = 0
    asked: bool = False
    answer: tuple[int, str] | None = None

    def failed(self, now_ns: int, wait_ns: int, wait_ns_max: int) -> None:
        """Ask again later, and later each time."""
        self.asked = False
        self.next_ns = now_ns + min(wait_ns << min(self.tries, 30), wait_ns_max)
        self.tries += 1

    def covers(self, book: dict[str, Any]) -> bool:
        """Whether nothing is missing between a REST book and what was kept; see above."""
        answer = (time_ms(book), str(book.get("hash")))
        if answer[0] == 0 or answer[0] >= self.first_ms or answer == self.answer:
            return True
        self.answer = answer
        return self.tries + 1 >= BELIEVED_AT


def books_in(body: bytes) -> dict[str, dict[str, Any]]:
    """Return the book objects of a REST answer by token; none of what cannot be read."""
    return {
        token: book
        for book in _objects(body)
        if isinstance(token := book.get("asset_id"), str)
        and isinstance(book.get("bids"), list)
        and isinstance(book.get("asks"), list)
    }


def time_ms(message: dict[str, Any]) -> int:
    """Return the exchange's time of a message, 0 if it has none that can be read."""
    text = str(message.get("timestamp", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else 0


def changes(messages: Iterable[bytes], tokens: Collection[str]) -> list[dict[str, Any]]:
    """
    Return of kept messages what changes the books of `tokens`, in order, without anything else.

    Every result names one token: other books must not go back in time.
    """
    wanted = [token.encode() for token in tokens]
    return [
        change
        for message in messages
        if any(token in message for token in wanted)
        for found in _objects(message)
        for change in _of_tokens(found, tokens)
    ]


def frame(books: Iterable[dict[str, Any]], later: Iterable[dict[str, Any]]) -> bytes:
    """Return REST books and changes since as one frame."""
    snapshots = ({**book, "event_type": "book"} for book in books)
    return json.dumps([*snapshots, *later], separators=(",", ":")).encode()


def _objects(text: bytes) -> Iterator[dict[str, Any]]:
    try:
        found = json.loads(text, parse_float=str, parse_int=str)  # numbers as they are written
    except (ValueError, RecursionError):
        return
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict):
            yield item


def _of_tokens(message: dict[str, Any], tokens: Collection[str]) -> Iterator[dict[str, Any]]:
    if message.get("event_type") not in ("book", "price_change", "tick_size_change"):
        return
    entries = message.get("price_changes")
    if not isinstance(entries, list):
        if str(message.get("asset_id")) in tokens:
            yield message
        return
    for entry in entries:
        if isinstance(entry, dict) and str(entry.get("asset_id")) in tokens:
            yield {**message, "price_changes": [entry]}


def token_of(change: dict[str, Any]) -> str:
    """Return the token that a result of `changes` is about."""
    entries = change.get("price_changes")
    return str(entries[0]["asset_id"] if entries else change["asset_id"])
