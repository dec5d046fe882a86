"""
What the trade journal remembers: one typed record for each fact, before or right after it is one.

A record's kind and version stand outside its payload, a MessagePack array of its members in the
order below. A later version of a kind only appends members, with defaults, or gives an enum another
value; both need a higher number in `KINDS`. What a build does not know is handed out as `Unread`
with its bytes, never left out and never guessed.

Money is integers: prices x 10^4, shares and collateral x 10^6; order ids, token ids and condition
ids are spelled as the exchange spells them. No record holds a key, a secret, or the API key.
"""

import enum
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from polyarb import errors
from polyarb.domain.order import OrderType, Side

E6: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Signed: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Id: TypeAlias = Annotated[str, Meta(max_length=256)]
"""What databases index by; the exchange's own have at most 78 characters."""
E4: TypeAlias = Annotated[int, Meta(ge=0, le=10_000)]


class Purpose(enum.StrEnum):
    """What orders are sent for."""

    OPEN = "open"
    COMPLETE = "complete"
    UNWIND = "unwind"
    FLATTEN = "flatten"


class Outcome(enum.StrEnum):
    """What an answer says of an order (protocol.md section 13)."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    LATER = "later"


class Witness(enum.StrEnum):
    """Who said it."""

    RESPONSE = "response"
    USER = "user"
    REST = "rest"


class TradeState(enum.StrEnum):
    """How far a trade is; CONFIRMED and FAILED are final (protocol.md section 12)."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    RETRYING = "RETRYING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"


class CashChange(enum.StrEnum):
    """What happens to collateral."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"
    CREDITED = "credited"
    RECONCILED = "reconciled"


class Result(enum.StrEnum):
    """How a basket ended."""

    COMPLETE = "complete"
    UNWOUND = "unwound"
    REFUSED = "refused"
    STRANDED = "stranded"


class Settlement(enum.StrEnum):
    """What a relayer is asked for."""

    SPLIT = "split"
    MERGE = "merge"
    CONVERT = "convert"
    REDEEM = "redeem"
    APPROVE = "approve"


class SettlementState(enum.StrEnum):
    """How far it is; CONFIRMED and FAILED are final."""

    PLANNED = "planned"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    MINED = "mined"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class _Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All of them are small, frozen, and never part of a cycle."""


class Started(_Record, frozen=True):
    """
    A run begins; the first record of each.

    Attributes:
        run: Its id.
        build: Name and version of what runs.
        kernel: Which trades.
        mode: sim, paper or live.
        account: The funder's address.
        config: A digest of the configuration.
    """

    run: Id
    build: str
    kernel: str
    mode: str
    account: str = ""
    config: str = ""


class Leg(_Record, frozen=True):
    """
    One order of an intent.

    Attributes:
        order_id: Known before sending: the order's digest.
        token: Token id.
        condition_id: Of its market.
        neg_risk: Signed for the neg-risk contract.
        side: BUY or SELL.
        limit_e4: Worst price.
        shares_e6: Wanted.
        maker_e6: The signed maker amount.
        taker_e6: The signed taker amount.
        cost_e6: What a full fill costs at the limit; 0 for a SELL.
        fee_e6: The most a taker pays on it.
    """

    order_id: Id
    token: Id
    condition_id: Id
    neg_risk: bool
    side: Side
    limit_e4: E4
    shares_e6: E6
    maker_e6: E6
    taker_e6: E6
    cost_e6: E6
    fee_e6: E6


class Intent(_Record, frozen=True):
    """
    Orders are about to be sent; must be in the journal before their first byte leaves.

    Attributes:
        basket: Its id.
        relation: Its relation's id.
        purpose: OPEN begins a basket, the others belong to one that has begun.
        style: Of the orders.
        legs: The orders.
        bodies: The exact bytes of each request, with the value of every ``owner`` cut out: that
            is the API key.
        payoff_e6: What the whole basket pays at least.
        loss_cap_e6: The worst loss the plan allows.
        reserved_e6: Collateral held for it.
    """

    basket: Id
    relation: str
    purpose: Purpose
    style: OrderType
    legs: tuple[Leg, ...]
    bodies: tuple[bytes, ...]
    payoff_e6: E6 = 0
    loss_cap_e6: E6 = 0
    reserved_e6: E6 = 0


class Sent(_Record, frozen=True):
    """
    The request's bytes are in the kernel.

    Attributes:
        basket: Whose.
        order_ids: Those in this request.
        sent_ns: Monotonic.
    """

    basket: Id
    order_ids: tuple[Id, ...]
    sent_ns: Signed


class Answer(_Record, frozen=True):
    """
    What the answer to a request says of one order.

    Attributes:
        basket: Whose.
        order_id: Which.
        outcome: The class of the answer.
        status: Of an accepted order: live, matched, delayed, unmatched.
        reason: The typed reason of anything else.
        text: The exchange's own words.
        http: Status; 0 where no whole answer came.
        making_e6: As answered.
        taking_e6: As answered.
        trade_ids: As answered.
    """

    basket: Id
    order_id: Id
    outcome: Outcome
    status: str = ""
    reason: str = ""
    text: str = ""
    http: E6 = 0
    making_e6: E6 = 0
    taking_e6: E6 = 0
    trade_ids: tuple[Id, ...] = ()


class Seen(_Record, frozen=True):
    """
    An order as the user channel or REST shows it.

    Attributes:
        order_id: Which; perhaps none of ours.
        status: In the exchange's words.
        matched_e6: Shares matched so far.
        witness: Who said it.
        basket: Whose; "" for a foreign order.
    """

    order_id: Id
    status: str
    matched_e6: E6
    witness: Witness
    basket: Id = ""


class Fill(_Record, frozen=True):
    """
    One of our orders' part in a trade; again for each of the trade's states.

    Attributes:
        trade_id: Together with `order_id` the key: a state that is sent again is no second fill.
        order_id: Ours.
        basket: Whose; "" for a foreign order.
        token: What traded.
        side: Ours.
        shares_e6: Traded.
        cash_e6: Paid or received, fee apart.
        fee_e6: Paid.
        state: How far the trade is.
        maker: Whether our order rested.
        tx: Transaction hash, once there is one.
    """

    trade_id: Id
    order_id: Id
    basket: Id
    token: Id
    side: Side
    shares_e6: E6
    cash_e6: E6
    fee_e6: E6
    state: TradeState
    maker: bool = False
    tx: str = ""


class CancelSent(_Record, frozen=True):
    """
    A cancel is about to be sent.

    Attributes:
        basket: Whose; "" for all of them.
        order_ids: Which; none means everything.
        reason: Why.
    """

    basket: Id
    order_ids: tuple[Id, ...]
    reason: str = ""


class CancelAnswer(_Record, frozen=True):
    """
    What became of it, order by order.

    Attributes:
        order_id: Which.
        canceled: Whether it is; if not, `reason` says why.
        reason: The exchange's own words.
    """

    order_id: Id
    canceled: bool
    reason: str = ""


class Cash(_Record, frozen=True):
    """
    Collateral held, spent, given back, received, or found to be something else.

    Attributes:
        change: Which of these.
        amount_e6: By how much; RECONCILED may be negative.
        balance_e6: Free afterwards.
        held_e6: Held afterwards.
        basket: For which.
    """

    change: CashChange
    amount_e6: Signed
    balance_e6: Signed
    held_e6: Signed
    basket: Id = ""


class Phase(_Record, frozen=True):
    """
    A basket goes into another state: unwinding, stranded, ... (design.md section 7).

    Attributes:
        basket: Which.
        state: The state it goes into.
        why: What made it.
    """

    basket: Id
    state: str
    why: str = ""


class Closed(_Record, frozen=True):
    """
    A basket came to its end.

    Attributes:
        basket: Which.
        result: How.
        cost_e6: Paid for its legs.
        fee_e6: Paid in fees.
        proceeds_e6: Received for what was sold.
        pnl_e6: Locked or realised, losses negative.
        exposure_e6: What could still be lost; 0 unless stranded.
        stages_ns: Latency by stage.
    """

    basket: Id
    result: Result
    cost_e6: E6
    fee_e6: E6
    proceeds_e6: E6
    pnl_e6: Signed
    exposure_e6: E6 = 0
    stages_ns: dict[Id, E6] = {}


class Settled(_Record, frozen=True):
    """
    A step of turning tokens into cash or cash into tokens; again for each state.

    Attributes:
        id: Ours, known before it is submitted.
        kind: What is asked for.
        state: How far it is.
        condition_id: Of the market, or the id of the neg-risk market.
        shares_e6: Of each token.
        cash_e6: Received, paid if negative; what is expected until it is CONFIRMED.
        tx: The relayer's id or the transaction hash.
        nonce: Of the wallet.
        basket: For which; "" if from inventory.
        why: What went wrong.
    """

    id: Id
    kind: Settlement
    state: SettlementState
    condition_id: Id
    shares_e6: E6
    cash_e6: Signed
    tx: str = ""
    nonce: E6 = 0
    basket: Id = ""
    why: str = ""


class Skip(_Record, frozen=True):
    """
    Opportunities that were not traded: all are counted, one of them is told.

    Attributes:
        reason: Why, as design.md section 7 lists it.
        count: How many since the last such record, this one included.
        relation: Of the one that is told.
        detail: Its figures.
    """

    reason: str
    count: E6
    relation: str = ""
    detail: str = ""


class Switch(_Record, frozen=True):
    """
    Trading is turned on or off.

    Attributes:
        on: Which.
        who: operator, breaker, watchdog, start.
        why: What for.
    """

    on: bool
    who: str
    why: str = ""


class Note(_Record, frozen=True):
    """
    Anything else worth remembering.

    Attributes:
        topic: One word.
        text: For people.
    """

    topic: str
    text: str


class Planned(_Record, frozen=True):
    """
    The plan of a basket, for a restart to go on with; in the journal before its first intent.

    Attributes:
        basket: Which.
        plan: As `polyarb.execution` writes it down.
    """

    basket: Id
    plan: bytes


class Happened(_Record, frozen=True):
    """
    A fact as a basket was told it, for a restart to tell it again.

    Attributes:
        basket: Which.
        kind: Of the fact.
        event: As `polyarb.execution` writes it down.
    """

    basket: Id
    kind: Id
    event: bytes


Record: TypeAlias = (
    Started
    | Intent
    | Sent
    | Answer
    | Seen
    | Fill
    | CancelSent
    | CancelAnswer
    | Cash
    | Phase
    | Closed
    | Settled
    | Skip
    | Switch
    | Note
    | Planned
    | Happened
)


class Unread(msgspec.Struct, frozen=True, gc=False):
    """
    A record that a newer build wrote.

    Attributes:
        kind: Its number.
        version: Of that kind.
        payload: Its bytes.
    """

    kind: int
    version: int
    payload: bytes


class Entry(msgspec.Struct, frozen=True, gc=False):
    """
    A record in its place.

    Attributes:
        seq: 1, 2, 3, ... through the whole journal.
        wall_ns: Unix time it was written at.
        record: What it says.
        crc: Its checksum: tells it from another of the same number.
    """

    seq: int
    wall_ns: int
    record: Record | Unread
    crc: int


END: Final = 0
"""Kind of the orderly end of a segment; it has no payload and is no record."""

KINDS: Final[dict[type[Record], tuple[int, int]]] = {
    Started: (1, 1),
    Intent: (2, 1),
    Sent: (3, 1),
    Answer: (4, 1),
    Seen: (5, 1),
    Fill: (6, 1),
    CancelSent: (7, 1),
    CancelAnswer: (8, 1),
    Cash: (9, 1),
    Phase: (10, 1),
    Closed: (11, 1),
    Settled: (12, 1),
    Skip: (13, 1),
    Switch: (14, 1),
    Note: (15, 1),
    Planned: (16, 1),
    Happened: (17, 1),
}
"""Number and version of each kind. A number is never used again."""

_DECODERS: Final[dict[int, tuple[int, Any]]] = {
    kind: (version, msgspec.msgpack.Decoder(type_).decode)
    for type_, (kind, version) in KINDS.items()
}
_encode = msgspec.msgpack.Encoder().encode


def encode(record: Record) -> tuple[int, int, bytes]:
    """
    Return kind, version and payload, which `decode` is known to take.

    Raises:
        ArgumentTypeError: No record at all.
        MalformedError: A member of another type or outside its range; the message says which.
    """
    try:
        kind, version = KINDS[type(record)]
    except KeyError:
        raise errors.ArgumentTypeError(f"{type(record).__name__} is no record") from None
    try:
        payload = _encode(record)
        _DECODERS[kind][1](payload)  # what gets in can be read, whatever the types' checker missed
    except (TypeError, OverflowError, UnicodeError, msgspec.MsgspecError) as error:
        raise errors.MalformedError(f"{type(record).__name__}: {error}") from None
    return kind, version, payload


def decode(kind: int, version: int, payload: bytes) -> Record | Unread:
    """
    Return what `encode` was given, or an Unread of a kind or version that is newer than this build.

    Raises:
        MalformedError: A payload that none of this kind has.
    """
    known, take = _DECODERS.get(kind, (-1, None))
    if version > known:
        return Unread(kind, version, bytes(payload))
    try:
        record: Record = take(payload)
    except (UnicodeError, msgspec.MsgspecError) as error:
        raise errors.MalformedError(f"kind {kind}: {error}") from None
    return record
