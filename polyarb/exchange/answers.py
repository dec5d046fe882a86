"""
Every answer to a write, classified (protocol.md sections 12 to 14).

What is not understood is `Unknown`: a text that no table has may stand for an order that exists.
A batch is matched with its answer by order id; places count only where they contradict nothing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from polyarb.domain.answer import (
    Accepted,
    CancelAnswer,
    Canceled,
    Cause,
    Kept,
    Later,
    OrderAnswer,
    Placement,
    Reason,
    Refused,
    Unknown,
    Why,
)
from polyarb.domain.order import SignedOrder
from polyarb.domain.report import SHOWN, Units, amount_e6, load
from polyarb.domain.wire import HttpResponse
from polyarb.errors import MalformedError

SECOND: Final = 1_000_000_000
OVERFILL_E6: Final = 1_000
"""Fills go a few micro-shares beyond an order, adapters report (section 10.4)."""

PRICES: Final = 10_000
WAIT_S_MAX: Final = 10**9

_ID: Final = re.compile(r"0x[0-9a-f]{64}")
_NONCE: Final = re.compile(r"(?:expected|current|server|next)\D{0,20}([0-9]{1,18})(?![0-9])")
_TEXTS: Final[tuple[tuple[str, Reason | Why | Cause], ...]] = (
    ("is invalid. duplicated", Why.DUPLICATED),
    ("order match delayed", Why.MATCH_DELAYED),
    ("post-only mode", Cause.POST_ONLY),
    ("currently cancel-only", Cause.CANCEL_ONLY),
    ("trading is currently disabled", Cause.DISABLED),
    ("trading is disabled", Cause.DISABLED),
    ("not yet ready to process new orders", Cause.MARKET_NOT_READY),
    ("service not ready", Cause.RESTARTING),
    ("too many requests", Cause.THROTTLED),
    ("breaks minimum tick size rule", Reason.TICK),
    ("lower than the minimum", Reason.SIZE_MIN),
    ("invalid amount for a marketable", Reason.NOTIONAL_MIN),
    ("invalid amounts", Reason.AMOUNTS),
    ("not enough balance / allowance", Reason.BALANCE),
    ("invalid expiration", Reason.EXPIRATION),
    ("invalid timestamp", Reason.TIMESTAMP),
    ("invalid post-only order: order crosses", Reason.CROSSES),
    ("crosses the book", Reason.CROSSES),
    ("invalid post-only order", Reason.POST_ONLY_TYPE),
    ("fok orders are", Reason.FOK_KILLED),
    ("no orders found to match with fak", Reason.FAK_KILLED),
    ("there are no matching orders", Reason.FAK_KILLED),
    ("could not insert order", Reason.INSERT),
    ("could not run the execution", Reason.EXECUTION),
    ("error delaying the order", Reason.DELAYING),
    ("the trade contains rounding issues", Reason.ROUNDING),
    ("discrepancy greater than allowed", Reason.DISCREPANCY),
    ("order timed out", Reason.TIMED_OUT),
    ("no orderbook exists", Reason.MARKET),
    ("market not found", Reason.MARKET),
    ("invalid token id", Reason.MARKET),
    ("invalid market", Reason.MARKET),
    ("canceled in the ctf exchange contract", Reason.CANCELED_ON_CHAIN),
    ("order_version_mismatch", Reason.VERSION),
    ("invalid nonce", Reason.NONCE),
    ("invalid signature", Reason.SIGNATURE),
    ("the order owner has to be", Reason.OWNER),
    ("the order signer address has to be", Reason.SIGNER),
    ("maker address not allowed", Reason.MAKER),
    ("address banned", Reason.BANNED),
    ("address in closed only mode", Reason.CLOSED_ONLY),
    ("too many orders in payload", Reason.TOO_MANY),
    ("invalid order payload", Reason.PAYLOAD),
    ("invalid payload", Reason.PAYLOAD),
    ("invalid orderid", Reason.PAYLOAD),
    ("payload too large", Reason.PAYLOAD),
    ("unauthorized", Reason.UNAUTHORIZED),
    ("invalid api key", Reason.UNAUTHORIZED),
)
"""First match wins; compared in lower case."""

_BY_STATUS: Final[Mapping[int, Reason]] = {
    401: Reason.UNAUTHORIZED,
    403: Reason.BLOCKED,
    413: Reason.PAYLOAD,
}
_DEFINITE_5XX: Final = frozenset({Reason.TIMED_OUT})
_DEFINITE_503: Final = frozenset({Cause.POST_ONLY, Cause.CANCEL_ONLY, Cause.DISABLED})
_KEPT: Final = (
    ("delayed", Kept.DELAYED),
    ("canceled or matched", Kept.GONE),
    ("not found", Kept.GONE),
    ("already canceled", Kept.GONE),
    ("already matched", Kept.MATCHED),
)


class Asked(NamedTuple):
    """
    What we know of an order that we posted.

    Attributes:
        order_id: Its digest, "0x" and 64 lower-case digits.
        maker_amount: What it may give at most, base units.
    """

    order_id: str
    maker_amount: int

    @classmethod
    def of(cls, signed: SignedOrder) -> "Asked":
        """Return what is to be known of a signed order."""
        return cls(signed.order_id, signed.order.maker_amount)


# Writes that got no answer


def no_answer(error: Exception) -> Unknown | Later:
    """Return what is known after a request raised ConnectionError or TimeoutError."""
    text = str(error)[:SHOWN] or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        return Later(cause=Cause.UNREACHABLE, text=text)
    if isinstance(error, TimeoutError):
        return Unknown(why=Why.TIMED_OUT, text=text)
    return Unknown(why=Why.BROKEN, text=text)


# Orders


def read_order_answer(
    asked: Asked, response: HttpResponse, units: Units, now_ns: int
) -> OrderAnswer:
    """
    Return what POST /order answered.

    Args:
        asked: The order.
        response: Whole.
        units: What amounts count.
        now_ns: Unix, for a Retry-After that is a date.
    """
    whole = _request_level(response, now_ns)
    if not isinstance(whole, _Body):
        return whole
    if isinstance(whole.value, list) and len(whole.value) == 1:
        return _item(asked, whole.value[0], units)
    return _item(asked, whole.value, units)


def read_batch_answer(
    asked: Sequence[Asked], response: HttpResponse, units: Units, now_ns: int
) -> list[OrderAnswer]:
    """Return what POST /orders answered, for each of `asked`; see `read_order_answer`."""
    whole = _request_level(response, now_ns)
    if not isinstance(whole, _Body):
        return [_share(whole, each, asked) for each in asked]
    value = whole.value
    if isinstance(value, dict) and _error_text(value) and not _names(value):
        return [_item(each, value, units) for each in asked]
    items = value if isinstance(value, list) else [value]
    return [
        Unknown(why=Why.MISSING, text=f"{len(items)} items for {len(asked)} orders")
        if place is None
        else _item(each, items[place], units)
        for each, place in zip(asked, _places(asked, items), strict=True)
    ]


def _share(
    whole: Refused | Unknown | Later, one: Asked, asked: Sequence[Asked]
) -> Refused | Unknown | Later:
    """Return what a refusal of a whole batch says of one order: nothing if it names another."""
    named = _ID.search(whole.text.lower())
    vague = isinstance(whole, Unknown) and whole.why is not Why.DUPLICATED
    if len(asked) > 1 and not vague and named and named[0] != one.order_id:
        return Unknown(why=Why.MISSING, text=whole.text)
    return whole


def _places(asked: Sequence[Asked], items: Sequence[object]) -> list[int | None]:
    """
    Return where in the answer each order is spoken of.

    An id, as a member or in the text, decides. Without any contradiction the rest is in the order
    that was asked; with one, what is left is told apart only if all of it says the same.
    """
    ids = [_names(item) for item in items]
    by_id = {named: place for place, named in reversed([*enumerate(ids)]) if named}
    straight = len(items) == len(asked) and all(
        named in {"", each.order_id} for named, each in zip(ids, asked, strict=True)
    )
    if straight:
        return [*range(len(asked))]
    places: list[int | None] = [by_id.get(each.order_id) for each in asked]
    left = [place for place, named in enumerate(ids) if not named]
    missing = [index for index, place in enumerate(places) if place is None]
    if len(left) == len(missing) and len({_error_text(items[place]) for place in left}) == 1:
        for index, place in zip(missing, left, strict=True):
            places[index] = place
    return places


def _names(item: object) -> str:
    """Return the order id that an item gives, or mentions in its error."""
    if not isinstance(item, dict):
        return ""
    given = _member(item, "orderID") or _member(item, "orderId")
    if given:
        return given.lower()
    mentioned = _ID.search(_error_text(item).lower())
    return mentioned[0] if mentioned else ""


def _item(asked: Asked, item: object, units: Units) -> OrderAnswer:
    """Classify one order's object of a 2xx answer."""
    if not isinstance(item, dict):
        return Unknown(why=Why.UNREADABLE, text=str(item)[:SHOWN])
    text = _error_text(item)
    order_id = (_member(item, "orderID") or _member(item, "orderId")).lower()
    status = _member(item, "status").lower()
    if text:
        said = classify(text)
        if isinstance(said, Refused | Later) and order_id and status in tuple(Placement):
            return Unknown(why=Why.CONTRADICTORY, text=f"{status} {order_id}: {text}"[:SHOWN])
        return said
    if item.get("success") is not True or not order_id:
        return Unknown(why=Why.CONTRADICTORY, text=str(item)[:SHOWN])
    if order_id != asked.order_id:
        return Unknown(why=Why.FOREIGN_ID, text=order_id[:SHOWN])
    if status not in tuple(Placement):
        why = Why.UNMATCHED if status == "unmatched" else Why.CONTRADICTORY
        return Unknown(why=why, text=status[:SHOWN])
    making, taking = _matched(asked, item, units)
    return Accepted(
        order_id=order_id,
        placement=Placement(status),
        making_e6=making,
        taking_e6=taking,
        trade_ids=_strings(item.get("tradeIDs")),
    )


def _matched(asked: Asked, item: Mapping[str, Any], units: Units) -> tuple[int | None, int | None]:
    """Return what the order gave and got, where that is said and can be right."""
    making, taking = _member(item, "makingAmount"), _member(item, "takingAmount")
    if not making and not taking:
        matched = _member(item, "status").lower() == Placement.MATCHED
        return (None, None) if matched else (0, 0)
    try:
        scale = units.within(asked.maker_amount + OVERFILL_E6, making)
        if not making or not taking or scale is None:
            return None, None
        gave = amount_e6("makingAmount", making, scale)
        got = amount_e6("takingAmount", taking, scale)
    except MalformedError:
        return None, None
    # No price is below 0.0001 or above 1: further apart they do not count the same thing.
    return (gave, got) if max(gave, got) <= PRICES * min(gave, got) else (None, None)


# Cancels


def read_cancel_answer(asked: Sequence[str], response: HttpResponse, now_ns: int) -> CancelAnswer:
    """
    Return what a DELETE of orders answered.

    Args:
        asked: Order ids, in lower case; empty where the request named none.
        response: Whole.
        now_ns: Unix, for a Retry-After that is a date.
    """
    whole = _request_level(response, now_ns)
    if not isinstance(whole, _Body):
        gone = response.status == 404 and "order not found" in whole.text.lower()
        return Canceled(kept={asked[0]: Kept.GONE}) if gone and len(asked) == 1 else whole
    value = whole.value
    if not isinstance(value, dict):
        return Unknown(why=Why.UNREADABLE, text=str(value)[:SHOWN])
    canceled, kept = value.get("canceled"), value.get("not_canceled")
    if canceled is None and kept is None:
        text = _error_text(value)
        return classify(text) if text else Unknown(why=Why.UNREADABLE, text=str(value)[:SHOWN])
    done = frozenset(each.lower() for each in _strings(canceled))
    reasons = kept if isinstance(kept, dict) else {}
    left = {str(each).lower(): _why_kept(reason) for each, reason in reasons.items()}
    return Canceled(canceled=done, kept=left, unsaid=frozenset(asked) - done - left.keys())


def _why_kept(reason: object) -> Kept:
    text = str(reason).lower()
    return next((kept for part, kept in _KEPT if part in text), Kept.OTHER)


# Texts and whole answers


def refusal_of(response: HttpResponse, now_ns: int) -> Refused | Unknown | Later | None:
    """Return what an answer stands for that is not 2xx with JSON; None for one that is."""
    whole = _request_level(response, now_ns)
    return None if isinstance(whole, _Body) else whole


def classify(text: str) -> Refused | Unknown | Later:
    """Return what an error text stands for; `Unknown` if it is none that we know."""
    shown, lower = text[:SHOWN], text.lower()
    meaning = next((meaning for part, meaning in _TEXTS if part in lower), Why.UNRECOGNISED)
    if isinstance(meaning, Why):
        return Unknown(why=meaning, text=shown)
    if isinstance(meaning, Cause):
        return Later(cause=meaning, text=shown)
    said = _NONCE.search(lower) if meaning is Reason.NONCE else None
    return Refused(reason=meaning, text=shown, nonce=int(said[1]) if said else None)


class _Body(NamedTuple):
    """The JSON of a 2xx answer."""

    value: Any


def _request_level(response: HttpResponse, now_ns: int) -> _Body | Refused | Unknown | Later:
    """Return the JSON of an answer, or what the answer as a whole stands for."""
    status = response.status
    try:
        value = load(response.body)
    except MalformedError:
        value = None
    if 200 <= status < 300:
        if value is not None:
            return _Body(value)
        return Unknown(why=Why.UNREADABLE, text=f"{status} {_shown(response.body)}")
    text = _error_text(value) if isinstance(value, dict) else _plain(response)
    wait_ns = retry_after_ns(response, now_ns)
    said = _known_status(status, text)
    if isinstance(said, Later) and wait_ns is not None:
        return Later(cause=said.cause, wait_ns=wait_ns, text=said.text)
    if isinstance(said, Refused) and said.reason is Reason.NONCE and said.nonce is None:
        return Refused(reason=said.reason, text=said.text, nonce=_nonce_member(value))
    return said


def _known_status(status: int, text: str) -> Refused | Unknown | Later:
    shown = f"{status} {text}"[:SHOWN].rstrip()
    if status == 429:
        return Later(cause=Cause.THROTTLED, text=shown)
    if status == 425:
        return Later(cause=Cause.RESTARTING, text=shown)
    said = classify(text)
    if status >= 500:
        definite = (isinstance(said, Refused) and said.reason in _DEFINITE_5XX) or (
            status == 503 and isinstance(said, Later) and said.cause in _DEFINITE_503
        )
        return said if definite else Unknown(why=Why.SERVER_ERROR, text=shown)
    if not 400 <= status < 500:
        return Unknown(why=Why.UNREADABLE, text=shown)
    if isinstance(said, Unknown) and said.why is Why.UNRECOGNISED:
        reason = _BY_STATUS.get(status)
        return Refused(reason=reason, text=shown) if reason else Unknown(why=said.why, text=shown)
    return said


def retry_after_ns(response: HttpResponse, now_ns: int) -> int | None:
    """Return what Retry-After (seconds or a date) or the body asks for; None if neither does."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:12]), WAIT_S_MAX) * SECOND
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(int(at.timestamp()) * SECOND - now_ns, 0)
    except ValueError:
        pass
    try:
        told = load(response.body)
    except MalformedError:
        return None
    wait_s = told.get("retry_after_seconds") if isinstance(told, dict) else None
    if isinstance(wait_s, int) and not isinstance(wait_s, bool) and wait_s >= 0:
        return min(wait_s, WAIT_S_MAX) * SECOND
    return None


def _nonce_member(value: object) -> int | None:
    """Return the server's nonce from beside the text."""
    if isinstance(value, dict):
        for name in ("expected_nonce", "current_nonce", "server_nonce", "nonce"):
            text = _member(value, name)
            if text.isascii() and text.isdigit() and len(text) <= 18:
                return int(text)
    return None


def _error_text(item: object) -> str:
    if not isinstance(item, dict):
        return ""
    for name in ("error", "errorMsg", "error_msg", "message"):
        text = _member(item, name)
        if text:
            return text
    return ""


def _plain(response: HttpResponse) -> str:
    """Return a text body; a page of HTML is no text of the exchange."""
    text = _shown(response.body)
    return "(HTML)" if text.lstrip().startswith("<") else text


def _shown(body: bytes) -> str:
    return body[: 4 * SHOWN].decode(errors="replace")[:SHOWN]


def _member(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _strings(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
