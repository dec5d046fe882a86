"""Every switch of the venue, with its default; scenario files set them by these names."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from polyarb.errors import MalformedError

_S = TypeVar("_S", bound=msgspec.Struct)
_SAID: Final = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

_Ms = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=86_400)]
_Period = Annotated[int, msgspec.Meta(ge=1, le=86_400)]

START_NS = 1_795_132_800_000_000_000
"""Where virtual time begins unless told otherwise: 2026-11-20 00:00 UTC."""


class VenueConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    How the venue behaves (protocol.md section 27).

    Attributes:
        skew_s: Accepted age of L1 and L2 timestamps, either way.
        order_age_s: Accepted age of an order's own timestamp, either way; 0 for any (section 28).
        generation: Orders accepted; "v2" takes V3 orders for V3 markets too.
        refusal: A refused single order answers "http" 400, or 200 with ``errorMsg`` ("body").
        amounts: ``makingAmount`` and sizes of orders as "decimal" shares or "base" units.
        hashes: Fill ``transactionsHashes`` in the answer (before 2026-07-24).
        taker_decimals: What FOK and FAK takers may have: four, or the tick's own where finer.
        market_min_size: Hold FOK and FAK to the market's minimum size as well.
        limits: Per-signer buckets: "off", "warn" (headers only) or "enforce".
        tier: Row of the per-signer table.
        ip_limits: Enforce the limits per address.
        allow_eoa: Accept plain EOAs as makers.
        taker_delay_ms: Hold of ``itode`` markets.
        mined_ms, confirmed_ms: From a match to MINED, from there to CONFIRMED.
        user_event_ms: From an event to the user socket.
        feed_delay_ms: Typical delay of the market socket above its floor; order is kept.
        pong_ms: Delay of PONG.
        trade_report_ms: From a match to its ``last_trade_price``.
        relayer_ms: Between two states of a relayed transaction.
        dump_limit: Tokens a connection may name before its opening books are left out.
        idle_close_s: A socket that never sends PING ends after so long.
        heartbeat_s: Without a heartbeat for so long, orders are cancelled.
        format: Shape of ``price_change``: "2026", "changes" (2025) or "flat" (2024).
        spaced: White space after commas, as on some days.
    """

    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53)] = 137
    skew_s: _Seconds = 30
    order_age_s: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    generation: Literal["v1", "v2"] = "v2"
    refusal: Literal["http", "body"] = "http"
    amounts: Literal["decimal", "base"] = "decimal"
    hashes: bool = False
    taker_decimals: Literal["tick", "four"] = "tick"
    market_min_size: bool = False
    limits: Literal["off", "warn", "enforce"] = "warn"
    tier: Literal[
        "Standard", "Copper", "Bronze", "Silver", "Gold", "Platinum", "Diamond", "Elite"
    ] = "Standard"
    ip_limits: bool = True
    allow_eoa: bool = True
    taker_delay_ms: _Ms = 150
    mined_ms: _Ms = 2_000
    confirmed_ms: _Ms = 3_000
    user_event_ms: _Ms = 15
    feed_delay_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 2.0
    pong_ms: _Ms = 60
    trade_report_ms: tuple[_Ms, _Ms] = (17, 85)
    relayer_ms: _Ms = 1_000
    dump_limit: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 500
    idle_close_s: _Period = 125
    heartbeat_s: _Period = 10
    format: Literal["2026", "changes", "flat"] = "2026"
    spaced: bool = False

    def __post_init__(self) -> None:
        """Refuse what msgspec's own marks cannot say."""
        low, high = self.trade_report_ms
        if low > high:
            raise ValueError(f"trade_report_ms = [{low}, {high}]; allowed: [LEAST, MOST]")


def decode(
    kind: type[_S], table: Mapping[str, Any], where: str, *, besides: Iterable[str] = ()
) -> _S:
    """
    Return a table as what it stands for.

    Args:
        kind: A struct.
        table: Its members; those left out keep their defaults.
        where: What a complaint begins with: the file and table.
        besides: Keys that may stand there too, taken out before.

    Raises:
        MalformedError: Names the key, its value and what is allowed.
    """
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        said = _explain(kind, table, str(error), besides)
        raise MalformedError(f"{where} {said}") from None


def _explain(
    kind: type[msgspec.Struct], table: Mapping[str, Any], said: str, besides: Iterable[str]
) -> str:
    """Return what msgspec found wrong with a table: the key, its value and what is allowed."""
    whole = _SAID.fullmatch(said)
    assert whole
    message, at = whole[1], whole[2] or ""
    unknown = _UNKNOWN.fullmatch(message)
    if unknown and not at:
        allowed = ", ".join((*besides, *kind.__struct_fields__))
        return f"has no {unknown[1]!r}; allowed: {allowed}"
    lower = message[:1].lower() + message[1:]
    key = re.split(r"[.\[]", at.removeprefix("."))[0]
    if key not in table:
        return lower
    return f"{key} = {table[key]!r}; {_allowed(kind, key) or lower}"


def _allowed(kind: type[msgspec.Struct], key: str) -> str:
    """Return what a member may be where its type lists or bounds that, else ""."""
    hint = get_type_hints(kind, include_extras=True).get(key)
    # What may be None, or is a pair, has its bounds inside.
    for each in (hint, *get_args(hint)):
        if get_origin(each) is Literal:
            return "allowed: " + ", ".join(map(repr, get_args(each)))
        if get_origin(each) is Annotated:
            number, bounds = get_args(each)[:2]
            each_of = " each" if get_origin(hint) is tuple else ""
            return f"allowed: {number.__name__} {bounds.ge}..{bounds.le}{each_of}"
    return ""
