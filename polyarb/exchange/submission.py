"""
What the relayer's answers mean, and how often it may be asked (protocol.md sections 18.1, 24.4).

Pure: bytes come in, values go out. Of a submission three things can be known: that it was taken,
that it was not (`Busy`, `Stale`, `Later`, `Refused`), or neither (`Lost`).
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

from polyarb.errors import MalformedError
from polyarb.exchange.abi import UINT256_MAX

SECOND: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND
SUBMISSIONS_MAX: Final = 25
"""In a minute."""

SHOWN: Final = 200
_DIGITS: Final = re.compile(r"[0-9]{1,78}")
_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,100}")  # it becomes part of a path

# The texts that the official client retries on (polymarket-client 0.14.0).
_STALE: Final = re.compile(
    r"batch nonce\s+(\d{1,78})\s+does not match on-chain nonce\s+(\d{1,78})", re.IGNORECASE
)
_BUSY: Final = re.compile(
    r"wallet busy.*active action(?:\s+([0-9A-Za-z_-]{1,100})\b)?", re.IGNORECASE
)
_IN_FLIGHT: Final = re.compile(r"wallet has in-flight action", re.IGNORECASE)


class State(StrEnum):
    """Of a transaction, as the relayer spells it."""

    NEW = "STATE_NEW"
    EXECUTED = "STATE_EXECUTED"  # broadcast: it has a hash
    MINED = "STATE_MINED"
    CONFIRMED = "STATE_CONFIRMED"
    FAILED = "STATE_FAILED"  # reverted
    INVALID = "STATE_INVALID"  # never broadcast
    UNKNOWN = ""  # a word that we do not know: not final


FINAL: Final = frozenset({State.CONFIRMED, State.FAILED, State.INVALID})


@dataclass(frozen=True, slots=True)
class Taken:
    """It was taken, under this name."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class Busy:
    """It was not: the wallet has a batch under way, of this name if it was told ("" if not)."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class Stale:
    """It was not: the wallet's next nonce is another one."""

    on_chain: int


@dataclass(frozen=True, slots=True)
class Later:
    """It was not: too many submissions, or not now; `wait_ns` if the relayer said how long."""

    wait_ns: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not, and the same bytes never will be (401 and 403: not by this key)."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It may have been."""

    reason: str


Answer = Taken | Busy | Stale | Later | Refused | Lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """
    What the relayer says about one batch.

    Attributes:
        hash: "" before it is broadcast.
    """

    id: str
    state: State
    hash: str
    error: str


def read_answer(status: int, headers: Mapping[str, str], body: bytes, now_ns: int) -> Answer:
    """
    Return what an answer to POST /submit says.

    Args:
        status: Of the answer.
        headers: The answer's, names in lower case.
        body: The answer's.
        now_ns: Unix nanoseconds, for a Retry-After that is a date.
    """
    said = _object(body)
    if 200 <= status < 300:
        transaction_id = said.get("transactionID") if said else None
        if isinstance(transaction_id, str) and _NAME.fullmatch(transaction_id):
            return Taken(transaction_id)
        return Lost(f"{status} without a transactionID: {_short(body)}")
    reason = _reason(said, body)
    if status in {425, 429}:
        return Later(_wait_ns(headers.get("retry-after", ""), now_ns), f"{status} {reason}")
    if status >= 500 or status == 408:
        return Lost(f"{status} {reason}")
    if stale := _STALE.search(reason):
        return Stale(int(stale[2]))
    if busy := _BUSY.search(reason):
        return Busy(busy[1] or "")
    if _IN_FLIGHT.search(reason):
        return Busy("")
    return Refused(status, f"{status} {reason}")


def read_transaction(body: bytes) -> Transaction:
    """Return what GET /v1/account/transactions/{id} tells; or MalformedError."""
    said = _expect(body)
    name, word = said.get("transaction_id"), said.get("state")
    if not isinstance(name, str) or not isinstance(word, str):
        raise MalformedError(f"no transaction: {_short(body)}")
    known = word in State.__members__.values()
    return Transaction(
        id=name,
        state=State(word) if known else State.UNKNOWN,
        hash=_text(said.get("transaction_hash")),
        error=_text(said.get("error_msg"))[:SHOWN],
    )


def read_turn(body: bytes) -> tuple[str, int]:
    """
    Return (address, next nonce) of …/params or /relay-payload; or MalformedError.

    The address of a relay payload is the relay's.
    """
    said = _expect(body)
    return _text(said.get("address")), _nonce(said.get("nonce"), body)


def read_deployed(body: bytes) -> bool:
    """Return what GET /deployed tells; or MalformedError."""
    deployed = _expect(body).get("deployed")
    if not isinstance(deployed, bool):
        raise MalformedError(f"no answer to deployed: {_short(body)}")
    return deployed


class Quota:
    """
    Submissions of the last minute; time is passed in.

    Args:
        count_max: How many a minute may have.
    """

    def __init__(self, count_max: int = SUBMISSIONS_MAX) -> None:
        self._count_max = count_max
        self._seen: deque[int] = deque()

    def take(self, now_ns: int) -> int:
        """Count one more submission, if there is room now; return how long to wait (0: none)."""
        if self.left(now_ns) == 0:
            return self._seen[0] + MINUTE_NS - now_ns
        self._seen.append(now_ns)
        return 0

    def left(self, now_ns: int) -> int:
        """Return how many submissions are possible now."""
        while self._seen and self._seen[0] <= now_ns - MINUTE_NS:
            self._seen.popleft()
        return self._count_max - len(self._seen)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _expect(body: bytes) -> dict[str, Any]:
    said = _object(body)
    if said is None:
        raise MalformedError(f"no JSON object: {_short(body)}")
    return said


def _reason(said: dict[str, Any] | None, body: bytes) -> str:
    error = (said or {}).get("error")
    return error[:SHOWN] if isinstance(error, str) else _short(body)


def _nonce(value: object, body: bytes) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if type(value) is int and 0 <= value <= UINT256_MAX:
        return value
    raise MalformedError(f"no nonce: {_short(body)}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _short(body: bytes) -> str:
    return repr(body[:SHOWN].decode(errors="replace"))


def _wait_ns(text: str, now_ns: int) -> int | None:
    """Return what a Retry-After (seconds, or a date) asks for; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND
    with suppress(ValueError):
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(int(at.timestamp()) * SECOND - now_ns, 0)
    return None
