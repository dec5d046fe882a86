"""
What the exchange made of a request that changes something (protocol.md sections 12 to 14).

An answer is one of four kinds, and the kind says what may happen next: `Accepted` exists there,
`Refused` never will, `Unknown` may exist and is looked up by its id but never sent again, `Later`
was not looked at and may be sent again once the exchange wants it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Placement(StrEnum):
    """What became of an order at once; ``unmatched`` is no acceptance (section 12)."""

    LIVE = "live"
    MATCHED = "matched"
    DELAYED = "delayed"


class Reason(StrEnum):
    """Why an order or a cancel was refused for good."""

    TICK = "tick"
    SIZE_MIN = "size_min"
    NOTIONAL_MIN = "notional_min"
    AMOUNTS = "amounts"
    BALANCE = "balance"
    EXPIRATION = "expiration"
    TIMESTAMP = "timestamp"
    POST_ONLY_TYPE = "post_only_type"
    CROSSES = "crosses"
    FOK_KILLED = "fok_killed"
    FAK_KILLED = "fak_killed"
    INSERT = "insert"
    EXECUTION = "execution"
    DELAYING = "delaying"
    ROUNDING = "rounding"
    DISCREPANCY = "discrepancy"
    TIMED_OUT = "timed_out"  # inside the exchange, before the book: it is not placed
    MARKET = "market"
    CANCELED_ON_CHAIN = "canceled_on_chain"
    VERSION = "version"
    NONCE = "nonce"
    SIGNATURE = "signature"
    OWNER = "owner"
    SIGNER = "signer"
    MAKER = "maker"
    BANNED = "banned"
    CLOSED_ONLY = "closed_only"
    PAYLOAD = "payload"
    TOO_MANY = "too_many"
    UNAUTHORIZED = "unauthorized"
    BLOCKED = "blocked"  # by whoever stands before the exchange: client or region


class Why(StrEnum):
    """Why the fate of an order or a cancel is not known."""

    TIMED_OUT = "timed_out"
    BROKEN = "broken"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"
    UNRECOGNISED = "unrecognised"  # a text that we do not know
    CONTRADICTORY = "contradictory"  # success without an id, an id without success
    UNMATCHED = "unmatched"  # a delay is over without a match: it may rest
    DUPLICATED = "duplicated"  # an earlier copy arrived
    MATCH_DELAYED = "match_delayed"
    MISSING = "missing"  # a batch's answer does not speak of it
    FOREIGN_ID = "foreign_id"  # accepted under an id that is not ours


class Cause(StrEnum):
    """Why a request was not looked at; it did nothing."""

    THROTTLED = "throttled"
    BUDGET = "budget"  # our own: it was not sent
    UNREACHABLE = "unreachable"  # no connection: it was not sent
    RESTARTING = "restarting"
    POST_ONLY = "post_only"
    CANCEL_ONLY = "cancel_only"
    DISABLED = "disabled"
    MARKET_NOT_READY = "market_not_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """
    The exchange has the order.

    Attributes:
        order_id: As we computed it.
        placement: What became of it at once.
        making_e6, taking_e6: What it gave and got in that match, base units; 0 where nothing
            matched, None where the answer does not say or cannot be right.
        trade_ids: Of that match.
    """

    order_id: str
    placement: Placement
    making_e6: int | None = None
    taking_e6: int | None = None
    trade_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """
    It does not exist and never will.

    Attributes:
        reason: What the text means.
        text: As the exchange put it.
        nonce: The exchange's own, where it refuses a nonce and says so (V1).
    """

    reason: Reason
    text: str = ""
    nonce: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """It may exist: to be looked up by its id, never to be sent again."""

    why: Why
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """
    It did nothing; the same may be sent again.

    Attributes:
        cause: What stands against it now.
        wait_ns: How long the exchange, or our budget, asks to wait; None if it does not say.
        text: As the exchange put it.
    """

    cause: Cause
    wait_ns: int | None = None
    text: str = ""


class Kept(StrEnum):
    """Why an order was not cancelled; none of them says whether it filled (section 14)."""

    MATCHED = "matched"
    GONE = "gone"
    DELAYED = "delayed"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """
    What a cancel did.

    Attributes:
        canceled: Order ids that rest no more.
        kept: Those that could not be cancelled, and why.
        unsaid: Those asked for that the answer leaves out.
    """

    canceled: frozenset[str] = frozenset()
    kept: Mapping[str, Kept] = field(default_factory=dict)
    unsaid: frozenset[str] = frozenset()


OrderAnswer = Accepted | Refused | Unknown | Later
CancelAnswer = Canceled | Refused | Unknown | Later
