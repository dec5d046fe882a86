"""
Gamma's JSON, and the CLOB's on single markets, as domain objects (protocol.md sections 15 and 25).

Gamma writes lists inside strings, numbers as text, the same figure twice, and leaves out what does
not apply; nothing here relies on a member being there or on its type. Every member is read for
itself, and a market of which one that matters cannot be read is left out, counted by the reason.
"""

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from polyarb import errors
from polyarb.domain.market import FREE, Event, FeeSchedule, LeftOut, Market, Refusal
from polyarb.domain.money import (
    UNITS_MAX,
    CashE6,
    DecimalLike,
    PriceE4,
    SizeE6,
    Tick,
    decimal_units,
    decimal_units_floor,
)

TEXT_MAX: Final = 300
"""Characters of a title that are kept; real ones have up to 200."""

RULES_MAX: Final = 20_000
"""Characters of a market's rules; real ones have up to 6,000. Longer ones count as not known."""

TAGS_MAX: Final = 64
DELAY_S_MAX: Final = 3600
NEST_MAX: Final = 8
BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding of bytes that are no JSON may raise."""

_SCIENTIFIC: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{1,2}", re.ASCII)
_TOKEN: Final = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)
_BYTES32: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_CONDITION: Final = re.compile(r"0x(?:[0-9a-f]{62}|[0-9a-f]{64})", re.ASCII)  # V3: one byte less
_TICKS: Final = {tick.value: tick for tick in Tick}
_PAYS_E4: Final = {"1:0": 10_000, "0:1": 0, "0.5:0.5": 5_000}
_PLAIN: Final = str.maketrans(
    {"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u2013": "-", "\u2014": "-"}
)
_SPELLING: Final = {
    "question_id": "questionID",
    "neg_risk_market_id": "negRiskMarketID",
    "neg_risk_fee_bips": "negRiskFeeBips",
    "next_cursor": "next_cursor",
}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return _SPELLING.get(name, first + "".join(map(str.capitalize, rest)))


NOTHING: Final = msgspec.Raw()


class Told(msgspec.Struct, rename=_camel, gc=False):
    """
    What Gamma says of a market, an event or a page of either: members of any type, None if absent.

    One class for all of them, since only its members tell which one an object is. Members that
    are not named here are skipped without becoming objects; `Raw` ones are read in their turn.
    """

    id: Any = None
    slug: Any = None
    title: Any = None
    active: Any = None
    closed: Any = None
    archived: Any = None
    start_date: Any = None
    end_date: Any = None
    end_date_iso: Any = None
    neg_risk: Any = None
    neg_risk_market_id: Any = None
    tags: Any = None
    # of markets
    question: Any = None
    condition_id: Any = None
    question_id: Any = None
    clob_token_ids: Any = None
    position_ids: Any = None
    version: Any = None
    outcomes: Any = None
    outcome_prices: Any = None
    accepting_orders: Any = None
    enable_order_book: Any = None
    order_price_min_tick_size: Any = None
    order_min_size: Any = None
    neg_risk_other: Any = None
    fees_enabled: Any = None
    fee_schedule: Any = None
    fee_type: Any = None
    seconds_delay: Any = None
    clear_book_on_start: Any = None
    game_start_time: Any = None
    group_item_title: Any = None
    group_item_threshold: Any = None
    volume_num: Any = None
    volume: Any = None
    liquidity_num: Any = None
    liquidity: Any = None
    uma_resolution_status: Any = None
    description: Any = None
    resolution_source: Any = None
    # of events
    neg_risk_augmented: Any = None
    neg_risk_fee_bips: Any = None
    # of pages, and of what recorders put around an object
    markets: msgspec.Raw = NOTHING
    events: msgspec.Raw = NOTHING
    next_cursor: Any = None
    raw: msgspec.Raw = NOTHING
    object: msgspec.Raw = NOTHING


class _Compact(msgspec.Struct):
    """What ``/clob-markets/{condition}`` says: short members of any type."""

    c: Any = None
    t: Any = None
    mts: Any = None
    mos: Any = None
    nr: Any = None
    fd: Any = None
    sd: Any = None
    itode: Any = None
    ao: Any = None
    cbos: Any = None


# Floats as text: no digit is lost on the way to integers.
_TOLD: Final = msgspec.json.Decoder(Told, float_hook=str)
_COMPACT: Final = msgspec.json.Decoder(_Compact, float_hook=str)
_ANY: Final = msgspec.json.Decoder(float_hook=str)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    How one market trades according to the CLOB, which knows it before and better than Gamma.

    Attributes:
        tick, min_size_e6, fees: None where it does not say, or nothing that can be used.
    """

    condition_id: str
    tokens: tuple[str, str]
    tick: Tick | None
    min_size_e6: SizeE6 | None
    fees: FeeSchedule | None
    neg_risk: bool
    accepting: bool
    seconds_delay: int
    taker_delay: bool
    clear_on_start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """
    Some of Gamma's objects.

    Attributes:
        pairs: Markets, each with its event, or None where nothing was said of one.
        broken: What could not be read.
        whole: Ids of events that came with a list of all their markets.
        next_cursor: Where the next page begins; None at the end.
    """

    pairs: list[tuple[Told, Told | None]] = field(default_factory=list)
    broken: Counter[Refusal] = field(default_factory=Counter)
    whole: set[str] = field(default_factory=set)
    next_cursor: str | None = None


class Reader:
    """
    Turns pages into events.

    It keeps what it was told until all pages are there, since the lists of markets spread an
    event over several, and since the CLOB's terms may have to complete it.

    Attributes:
        refused: What the last `events` left out, with what could not be read before.
        incomplete: Conditions of markets that only lack what the CLOB's terms have.
    """

    def __init__(self) -> None:
        self.refused: Counter[Refusal] = Counter()
        self.incomplete: list[str] = []
        self._broken: Counter[Refusal] = Counter()
        self._events: dict[str, tuple[Told, list[Told]]] = {}
        self._whole: set[str] = set()
        self._paragraphs: dict[str, str] = {}
        self._rules: dict[tuple[str, ...], tuple[str, ...]] = {}

    def add(self, page: Page) -> None:
        """Take a page; of an event told twice the first telling counts, with all its markets."""
        self._broken += page.broken
        self._whole |= page.whole
        for market, event in page.pairs:
            market.description = self._shared(market.description)
            source = read_text(market.resolution_source)
            market.resolution_source = self._paragraphs.setdefault(source, source)
            key = _event_id(event) if event else _condition(market) or f"?{len(self._events)}"
            self._events.setdefault(key, (event or market, []))[1].append(market)

    def _shared(self, text: object) -> tuple[str, ...]:
        """Return rules by paragraphs, each of which, and each whole, is kept once."""
        if isinstance(text, tuple):  # a list told the market twice
            return text
        rules = tuple(self._paragraphs.setdefault(part, part) for part in read_rules(text))
        return self._rules.setdefault(rules, rules)

    def count(self, reason: Refusal) -> None:
        """Count something else that could not be read."""
        self._broken[reason] += 1

    def events(self, terms: Mapping[str, Terms] | None = None) -> list[Event]:
        """Return every event with its markets; `terms` by condition id take precedence."""
        self.refused = +self._broken
        self.incomplete = []
        seen: set[str] = set()
        made = [
            self._event(key, told, markets, terms or {}, seen)
            for key, (told, markets) in self._events.items()
        ]
        self.refused.update(left.reason for event in made for left in event.left_out)
        return made

    def _event(
        self,
        key: str,
        told: Told,
        told_markets: list[Told],
        terms: Mapping[str, Terms],
        seen: set[str],
    ) -> Event:
        group = _group(told, told_markets)
        markets: list[Market] = []
        left_out: list[LeftOut] = []
        for each in told_markets:
            try:
                market = _market(each, told, key, group, terms.get(_condition(each)), seen)
            except _LeftOutError as error:
                if error.reason in _COMPLETED_BY_TERMS and _condition(each) not in terms:
                    self.incomplete.append(_condition(each))
                left_out.append(_left_out(each, group, error.reason))
            else:
                seen.update(_names(market))
                markets.append(market)
        markets.sort(key=lambda market: market.question_index)
        ends = [market.end_ms for market in markets if market.end_ms is not None]
        return Event(
            id=key,
            slug=read_text(told.slug),
            title=read_text(told.title) or read_text(told.question),
            tags=read_tags(told.tags, *(each.tags for each in told_markets)),
            neg_risk_id=group,
            augmented=bool(group) and _flag(told.neg_risk_augmented) is not False,
            fee_bips=_units(told.neg_risk_fee_bips, 0, most=10_000) or 0,
            start_ms=_ms(told.start_date),
            end_ms=max(ends, default=_ms(told.end_date)),
            markets=tuple(markets),
            left_out=tuple(left_out),
            whole=key in self._whole,
        )


class _LeftOutError(Exception):
    """A market that cannot be traded."""

    def __init__(self, reason: Refusal) -> None:
        self.reason = reason


_COMPLETED_BY_TERMS: Final = frozenset(
    {Refusal.NO_NEG_RISK_FLAG, Refusal.NO_TICK, Refusal.NO_MINIMUM_SIZE, Refusal.NO_FEES}
)


# -- documents


def read_page(document: bytes) -> Page:
    """
    Read an answer of a keyset list.

    Raises:
        MalformedError: Not JSON, or an object without a list of events or markets.
    """
    told = _decoded(document)
    if told is None or not (_given(told.markets) or _given(told.events)):
        raise errors.MalformedError(f"no page of Gamma's: {document[:80]!r}")
    cursor = told.next_cursor
    page = Page(next_cursor=cursor if cursor and isinstance(cursor, str) else None)
    _collect(document, None, page, NEST_MAX)
    return page


def read_event(document: bytes) -> Page:
    """
    Read an answer of ``/events/{id}``.

    Raises:
        MalformedError: Not JSON, or no event.
    """
    told = _decoded(document)
    if told is None or not _given(told.markets) or not _event_id(told):
        raise errors.MalformedError(f"no event of Gamma's: {document[:80]!r}")
    page = Page()
    _collect(document, None, page, NEST_MAX)
    return page


def read_file(path: Path) -> Reader:
    """
    Read a recording, plain or ``.gz``: one JSON text a line, or one in all.

    A text is a market, an event, a page or a list of those, bare or as the member ``raw`` or
    ``object`` of what a recorder put around it. A line that cannot be read is counted.

    Raises:
        InputError: The file cannot be opened, or its compression is broken.
    """
    reader = Reader()
    try:
        for text in _texts(path):
            if not text.isspace():
                page = Page()
                _collect(text, None, page, NEST_MAX)
                reader.add(page)
    except (OSError, EOFError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise errors.InputError(f"{path}: {said}") from None
    return reader


def _texts(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        first = b"\n"
        while first.isspace():
            first = file.readline()
        if _is_json(first):
            yield first
            yield from file
            return
        whole = first + file.read()
        yield from [whole] if _is_json(whole) else whole.splitlines()


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except BROKEN:
        return False
    return True


def _collect(text: bytes | msgspec.Raw, event: Told | None, page: Page, nest: int) -> None:
    """Put every market in `text` on `page`; `event` is the one around it."""
    try:
        items = _LIST.decode(text)
    except msgspec.ValidationError:  # not a list
        pass
    except BROKEN:
        page.broken[Refusal.NOT_JSON] += 1
        return
    else:
        for item in items:
            _collect(item, event, page, nest - 1) if nest else _reject(page, item)
        return
    told = _decoded(text)
    if told is None or not nest:
        _reject(page, text)
        return
    for inner in (told.object, told.raw):
        if _given(inner):
            _collect(inner, event, page, nest - 1)
            return
    if _given(told.markets) or (_given(told.events) and not _event_id(told)):
        _collect_members(told, page, nest)
    else:
        page.pairs.append((told, _own_event(told) or event))
        _release(told)


def _collect_members(told: Told, page: Page, nest: int) -> None:
    """Take what an event or a page holds."""
    around = told if _event_id(told) else None
    broken = page.broken.total()
    for member in (told.markets, told.events):
        if _given(member):
            _collect(member, around, page, nest - 1)
    if around and page.broken.total() == broken:
        page.whole.add(_event_id(told))
    _release(told)


def _release(told: Told) -> None:
    """Let go of the document: its unread parts would keep all of it in memory."""
    told.markets = told.events = told.raw = told.object = NOTHING


def _given(member: msgspec.Raw) -> bool:
    return bytes(memoryview(member)[:5]) not in {b"", b"null"}


def _reject(page: Page, text: bytes | msgspec.Raw) -> None:
    begins = bytes(memoryview(text)[:64]).lstrip()[:1]
    page.broken[Refusal.NOT_JSON if begins == b"{" else Refusal.NOT_AN_OBJECT] += 1


def _decoded(text: bytes | msgspec.Raw) -> Told | None:
    try:
        return _TOLD.decode(text)
    except BROKEN:
        return None


def _own_event(told: Told) -> Told | None:
    """Return the first event that a market names."""
    try:
        items = _LIST.decode(told.events)
    except BROKEN:
        return None
    event = _decoded(items[0]) if items else None
    if event is None or not _event_id(event):
        return None
    _release(event)
    event.description = None  # its markets have their own
    return event


# -- markets


def _market(  # noqa: PLR0917  (all six are one call's)
    told: Told, event: Told, key: str, group: str, terms: Terms | None, seen: set[str]
) -> Market:
    """Return a market of the event `key`; `group` is that event's neg-risk id."""
    condition = _condition(told)
    if not condition:
        raise _LeftOutError(Refusal.NO_CONDITION)
    _check_status(told)
    tokens, v3 = _tokens(told)
    outcomes = tuple(map(read_text, _strings(told.outcomes)))
    if len(outcomes) != 2 or not all(outcomes):
        raise _LeftOutError(Refusal.NO_OUTCOMES)
    neg_risk = _neg_risk(told, terms)
    index = 0
    if neg_risk:
        if event is told:
            raise _LeftOutError(Refusal.NO_EVENT)
        index = _index(told, group)
    market = Market(
        id=read_text(told.id),
        condition_id=condition,
        question_id=read_text(told.question_id).lower(),
        question=read_text(told.question),
        slug=read_text(told.slug),
        tokens=tokens,
        outcomes=(outcomes[0], outcomes[1]),
        event_id=key,
        group_title=read_text(told.group_item_title),
        group_threshold=read_text(told.group_item_threshold),
        tick=_tick(told, terms),
        min_size_e6=_min_size_e6(told, terms),
        fees=_fees(told, terms),
        neg_risk=neg_risk,
        neg_risk_id=group if neg_risk else "",
        question_index=index,
        other=_flag(told.neg_risk_other) is True,
        v3=v3,
        seconds_delay=_delay(told.seconds_delay),
        taker_delay=None,
        clear_on_start=_flag(told.clear_book_on_start) is True,
        start_ms=_ms(told.start_date),
        end_ms=_ms(told.end_date) or _ms(event.end_date) or _ms(told.end_date_iso),
        game_start_ms=_ms(told.game_start_time),
        volume_e6=_cash_e6(told.volume_num, told.volume),
        liquidity_e6=_cash_e6(told.liquidity_num, told.liquidity),
        uma_status=read_text(told.uma_resolution_status),
        rules=told.description if isinstance(told.description, tuple) else (),
        source=read_text(told.resolution_source),
    )
    if not seen.isdisjoint(_names(market)):
        raise _LeftOutError(Refusal.DUPLICATE)
    made = confirmed(market, terms) if terms else market
    if isinstance(made, Refusal):
        raise _LeftOutError(made)
    return made


def _names(market: Market) -> tuple[str, ...]:
    """Return what no other market may have."""
    own = (market.condition_id, *market.tokens)
    return (*own, market.question_id) if market.neg_risk else own


def _check_status(told: Told) -> None:
    """Tradable if active, accepting, with an order book, neither closed nor archived."""
    if _flag(told.closed) is not False:
        raise _LeftOutError(Refusal.CLOSED)
    if _flag(told.archived) is True:
        raise _LeftOutError(Refusal.ARCHIVED)
    if _flag(told.active) is not True:
        raise _LeftOutError(Refusal.INACTIVE)
    if _flag(told.enable_order_book) is not True:
        raise _LeftOutError(Refusal.NO_ORDER_BOOK)
    if _flag(told.accepting_orders) is not True:
        raise _LeftOutError(Refusal.NOT_ACCEPTING)


def _left_out(told: Told, group: str, reason: Refusal) -> LeftOut:
    try:
        index = _index(told, group) if group and _flag(told.neg_risk) else None
    except _LeftOutError:
        index = None
    closed = _flag(told.closed) is True
    pays = _PAYS_E4.get(":".join(_strings(told.outcome_prices))) if closed else None
    return LeftOut(
        condition_id=_condition(told),
        question_index=index,
        reason=reason,
        yes_pays_e4=None if pays is None else PriceE4(pays),
    )


def _condition(told: Told) -> str:
    condition = read_text(told.condition_id).lower()
    return condition if _CONDITION.fullmatch(condition) else ""


def _tokens(told: Told) -> tuple[tuple[str, str], bool]:
    """Return both tokens, and whether they are positions of the V3 exchange."""
    v3 = read_text(told.version) == "v2"
    tokens = _strings(told.position_ids if v3 else told.clob_token_ids)
    if len(tokens) != 2 or tokens[0] == tokens[1] or not all(map(_is_token, tokens)):
        raise _LeftOutError(Refusal.NO_TOKENS)
    if any(is_position_id(int(token)) != v3 for token in tokens):
        raise _LeftOutError(Refusal.NO_TOKENS)
    return (tokens[0], tokens[1]), v3


def _is_token(token: str) -> bool:
    return bool(_TOKEN.fullmatch(token)) and int(token) < 2**256


def is_position_id(token: int) -> bool:
    """Say whether a token id is a position id of the V3 exchange (protocol.md section 8)."""
    return token >> 40 & (1 << 64) - 1 == 0


def _group(told: Told, markets: Iterable[Told]) -> str:
    """Return the neg-risk id of an event: its own, else that of its first market with one."""
    if _flag(told.neg_risk) is False:
        return ""
    for each in (told, *markets):
        group = read_text(each.neg_risk_market_id).lower()
        if _BYTES32.fullmatch(group) and _flag(each.neg_risk) is not False:
            return group
    return ""


def _index(told: Told, group: str) -> int:
    """Return a market's place in its group: the last byte of its question id."""
    question = read_text(told.question_id).lower()
    own = read_text(told.neg_risk_market_id).lower() or group
    if not group or not _BYTES32.fullmatch(question) or not own == group == question[:-2] + "00":
        raise _LeftOutError(Refusal.NO_NEG_RISK_INDEX)
    return int(question[-2:], 16)


def _neg_risk(told: Told, terms: Terms | None) -> bool:
    neg_risk = _flag(told.neg_risk)
    if neg_risk is None and terms:
        return terms.neg_risk
    if neg_risk is None:
        raise _LeftOutError(Refusal.NO_NEG_RISK_FLAG)
    return neg_risk


def _tick(told: Told, terms: Terms | None) -> Tick:
    tick = read_tick(told.order_price_min_tick_size) or (terms.tick if terms else None)
    if tick is None:
        raise _LeftOutError(Refusal.NO_TICK)
    return tick


def _min_size_e6(told: Told, terms: Terms | None) -> SizeE6:
    size = _size_e6(told.order_min_size) or (terms.min_size_e6 if terms else None)
    if not size:
        raise _LeftOutError(Refusal.NO_MINIMUM_SIZE)
    return size


def _fees(told: Told, terms: Terms | None) -> FeeSchedule:
    """Return the schedule; one that is told counts even where fees are said to be off."""
    on = _flag(told.fees_enabled)
    fees = _schedule(told.fee_schedule, read_text(told.fee_type))
    if fees is None and told.fee_schedule is None and on is False:
        return FREE
    if fees is None and terms and terms.fees and (terms.fees.rate_e6 or not on):
        return terms.fees
    if fees is None:
        raise _LeftOutError(Refusal.NO_FEES)
    return fees


def _schedule(told: object, kind: str = "") -> FeeSchedule | None:
    """Return a schedule in either service's spelling, or None where it is of no known form."""
    if not isinstance(told, dict):
        return None
    rate = _units(told.get("rate", told.get("r")), 6, most=1_000_000)
    exponent = _units(told.get("exponent", told.get("e")), 0)
    if rate is None or (rate and exponent not in {1, 2}):
        return None
    return FeeSchedule(
        rate_e6=rate,
        exponent=exponent if rate and exponent else 1,
        taker_only=not rate or _flag(told.get("takerOnly", told.get("to"))) is not False,
        rebate_e6=_units(told.get("rebateRate"), 6, most=1_000_000) or 0,
        kind=kind,
    )


# -- the CLOB's terms


def read_terms(document: bytes) -> Terms:
    """
    Read an answer of ``/clob-markets/{condition}``.

    Raises:
        MalformedError: Not JSON, or not the terms of a market with two tokens.
    """
    try:
        told = _COMPACT.decode(document)
    except BROKEN:
        raise errors.MalformedError(f"no JSON object: {document[:80]!r}") from None
    condition = read_text(told.c).lower()
    pair = told.t if isinstance(told.t, list) else []
    tokens = [read_text(each.get("t")) for each in pair if isinstance(each, dict)]
    if not _CONDITION.fullmatch(condition) or len(tokens) != 2 or not all(map(_is_token, tokens)):
        raise errors.MalformedError(f"no terms of a market: {document[:80]!r}")
    return Terms(
        condition_id=condition,
        tokens=(tokens[0], tokens[1]),
        tick=read_tick(told.mts),
        min_size_e6=_size_e6(told.mos),
        fees=FREE if told.fd is None else _schedule(told.fd),
        neg_risk=_flag(told.nr) is True,
        accepting=_flag(told.ao) is True,
        seconds_delay=_delay(told.sd),
        taker_delay=_flag(told.itode) is True,
        clear_on_start=_flag(told.cbos) is True,
    )


def confirmed(market: Market, terms: Terms) -> Market | Refusal:
    """Return `market` with the CLOB's word on it, or why the two do not go together."""
    if set(terms.tokens) != set(market.tokens) or terms.neg_risk != market.neg_risk:
        return Refusal.CONTRADICTION
    if not terms.accepting:
        return Refusal.NOT_ACCEPTING
    if terms.tick is None:
        return Refusal.NO_TICK
    if not terms.min_size_e6:
        return Refusal.NO_MINIMUM_SIZE
    if terms.fees is None:
        return Refusal.NO_FEES
    curves = {(each.rate_e6, each.exponent, each.taker_only) for each in (market.fees, terms.fees)}
    if len(curves) > 1:
        return Refusal.CONTRADICTION
    return replace(
        market,
        tick=terms.tick,
        min_size_e6=terms.min_size_e6,
        seconds_delay=max(market.seconds_delay, terms.seconds_delay),
        taker_delay=terms.taker_delay,
        clear_on_start=market.clear_on_start or terms.clear_on_start,
    )


# -- members


def read_tick(value: object) -> Tick | None:
    """Return the tick in a number or a text, or None where it is none of the six."""
    if isinstance(value, str) and value in _TICKS:
        return _TICKS[value]
    try:
        return Tick.of(_number(value))
    except errors.InputError:
        return None


def read_text(value: object) -> str:
    """Return a text or a number as one printable line of bounded length, "" for anything else."""
    if not isinstance(value, str):
        if not isinstance(value, int) or isinstance(value, bool):
            return ""
        value = str(value)
    value = value[:TEXT_MAX].strip()
    return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)


def read_rules(value: object) -> tuple[str, ...]:
    """Return a text by paragraphs, in plain quotes and single spaces; () where it is none."""
    if not isinstance(value, str) or len(value) > RULES_MAX:
        return ()
    lines = value.translate(_PLAIN).splitlines()
    return tuple(line for line in (" ".join(each.split()) for each in lines) if line)


def _event_id(told: Told) -> str:
    return read_text(told.id) or read_text(told.slug)


def tag_slug(label: str) -> str:
    """Return a tag as addresses have it: ``Fed Rates`` is ``fed-rates``."""
    return "-".join(label.lower().split())


def read_tags(*lists: object) -> tuple[str, ...]:
    """Return the tags in lists of texts or of objects, each once, in order."""
    found: dict[str, None] = {}
    for tags in lists:
        for tag in tags[:TAGS_MAX] if isinstance(tags, list) else ():
            named = tag.get("slug") or tag.get("label") if isinstance(tag, dict) else tag
            if (text := read_text(named)) and len(found) < TAGS_MAX:
                found[tag_slug(text)] = None
    return tuple(found)


def _flag(value: object) -> bool | None:
    """Return a switch, None where it is not there or not one."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _strings(value: object) -> list[str]:
    """Return a list of texts or integers, also where it is JSON inside a text; else []."""
    if isinstance(value, str):
        try:
            value = _ANY.decode(value)
        except BROKEN:
            return []
    if not isinstance(value, list):
        return []
    texts = [each if isinstance(each, str) else read_text(each) for each in value[:3]]
    return texts if all(texts) else []


def _number(value: object) -> DecimalLike:
    """Return a number in any spelling; "", which is none, for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        return ""
    return Decimal(value) if _SCIENTIFIC.fullmatch(value) else value


def _units(value: object, decimals: int, *, most: int = UNITS_MAX) -> int | None:
    """Return value x 10**decimals exactly; None where there is no such integer, or above `most`."""
    try:
        units = decimal_units("value", _number(value), decimals)
    except errors.InputError:
        return None
    return units if units <= most else None


def _size_e6(value: object) -> SizeE6 | None:
    size = _units(value, 6)
    return None if size is None else SizeE6(size)


def _cash_e6(*values: object) -> CashE6:
    """Return the first figure that is one, cut to 1e-6; 0 for none."""
    for value in values:
        with suppress(errors.InputError):
            return CashE6(decimal_units_floor("value", _number(value), 6))
    return CashE6(0)


def _delay(value: object) -> int:
    """Return seconds; what is there but cannot be read counts as a delay."""
    if value is None or value == "":
        return 0
    seconds = _units(value, 0, most=DELAY_S_MAX)
    return DELAY_S_MAX if seconds is None else seconds


def _ms(value: object) -> int | None:
    """Return a date in any of the forms seen as Unix milliseconds, or None."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        at = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return at if at > 0 else None
