"""
Catalogues and books from recordings: Gamma's JSON, the CLOB's book answers.

Recordings have gaps and oddities of every sort. What cannot be used is counted by its reason and
left out; nothing here stops at a bad line.
"""

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from polyarb.sim.catalog import Catalog, Event, Fee, Market, Structure
from polyarb.sim.decimals import ONE_E4, ceil_div, parse
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Order

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

TICKS_E4: Final = frozenset({1000, 100, 50, 25, 10, 1})

UNDATED_FEES: Final = {
    "crypto_fees": Fee(rate_e6=250_000, exponent=2, kind="crypto_fees", rebate_e6=200_000),
    "crypto_15_min": Fee(rate_e6=250_000, exponent=2, kind="crypto_15_min", rebate_e6=200_000),
    "sports_fees": Fee(rate_e6=30_000, kind="sports_fees", rebate_e6=150_000),
}
"""What a ``feeType`` of early 2026 means, when markets did not carry their schedule yet."""

BACKGROUND: Final = "0x" + "0" * 38 + "b0"
"""The wallet whose orders stand for everyone in a captured book."""

# Text instead of floats: no digit is lost on the way to integers.
_DECODER: Final = msgspec.json.Decoder(float_hook=str)


class _UnusableError(Exception):
    """A market that cannot trade here; the message is the reason it is counted under."""


def read(path: Path) -> Iterator[bytes]:
    """
    Yield the JSON texts in a file, plain or ``.gz``.

    One a line, or the whole file where its first line is not one.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        first = file.readline()
        if _decoded(first) is None:
            yield first + file.read()
        else:
            yield first
            yield from file


def _decoded(line: str | bytes) -> Any:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


# -- Gamma


@dataclass(slots=True)
class _Found:
    """An event on the way: what Gamma said of it, and its usable markets with what they said."""

    raw: dict[str, Any]
    markets: list[tuple[Market, dict[str, Any]]] = field(default_factory=list)


def from_gamma(lines: Iterable[str | bytes]) -> tuple[Catalog, Counter[str]]:
    """
    Load a catalogue from Gamma's objects: markets, or events that hold them, one or a list a line.

    Returns:
        The catalogue, and how much was left out for which reason.
    """
    skipped = Counter[str]()
    found: dict[str, _Found] = {}
    seen: set[str] = set()
    for line in lines:
        for raw, of in _objects(line, skipped):
            key = str(of.get("id") or raw.get("id"))
            try:
                market = _market(raw, of)
                names = {market.condition_id, *market.tokens}
                if not seen.isdisjoint(names):
                    raise _UnusableError("twice")
            except _UnusableError as reason:
                skipped[str(reason)] += 1
                continue
            seen |= names
            found.setdefault(key, _Found(of)).markets.append((market, raw))
    events = (_event(key, each, skipped) for key, each in found.items())
    return Catalog(events), +skipped


def _objects(
    line: str | bytes, skipped: Counter[str]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (market, event) of everything in a line; the event is {} where none is named."""
    told = _decoded(line)
    if told is None:
        if line.strip():
            skipped["not JSON"] += 1
        return
    for raw in _unwrapped(told):
        if not isinstance(raw, dict):
            skipped["no object"] += 1
        elif isinstance(raw.get("markets"), list):
            inner = [market for market in raw["markets"] if isinstance(market, dict)]
            skipped["no object"] += len(raw["markets"]) - len(inner)
            yield from ((market, raw) for market in inner)
        else:
            pages = raw.get("events")
            page = pages[0] if isinstance(pages, list) and pages else {}
            yield raw, page if isinstance(page, dict) else {}


def _unwrapped(told: Any) -> Iterator[Any]:
    """Yield what is in lists, and in the objects that recorders put around what they recorded."""
    if isinstance(told, list):
        for each in told:
            yield from _unwrapped(each)
    elif isinstance(told, dict) and (inner := told.get("object") or told.get("raw")):
        yield from _unwrapped(inner)
    else:
        yield told


def _market(raw: dict[str, Any], of: dict[str, Any]) -> Market:
    v3 = raw.get("version") == "v2"
    tokens = _strings(raw.get("positionIds" if v3 else "clobTokenIds"))
    outcomes = _strings(raw.get("outcomes"))
    condition = _text(raw, "conditionId").lower()
    if not re.fullmatch(r"0x(?:[0-9a-f]{62}|[0-9a-f]{64})", condition):
        raise _UnusableError("no condition id")
    if len(tokens) != 2 or tokens[0] == tokens[1] or not all(map(_is_token, tokens)):
        raise _UnusableError("no two tokens")
    if len(outcomes) != 2:
        raise _UnusableError("no two outcomes")
    if raw.get("enableOrderBook") is False:
        raise _UnusableError("no order book")
    if raw.get("archived") is True:
        raise _UnusableError("archived")
    tick = parse(raw.get("orderPriceMinTickSize") or "0.01", 4)
    least = parse(raw.get("orderMinSize") or 5, 6)
    if tick not in TICKS_E4 or not least:
        raise _UnusableError("unknown tick or minimum size")
    closed = raw.get("closed") is True
    active = raw.get("active") is not False and not closed
    neg_risk = raw.get("negRisk") is True
    question, title = _text(raw, "questionID").lower(), _text(raw, "groupItemTitle").strip()
    if neg_risk and not re.fullmatch(r"0x[0-9a-f]{64}", question):
        raise _UnusableError("no question id")
    gamma_id = _text(raw, "id")
    if not _is_token(gamma_id):
        raise _UnusableError("no id")
    delay = raw.get("secondsDelay")
    slug = _text(raw, "slug") or gamma_id
    return Market(
        gamma_id=gamma_id,
        condition_id=condition,
        question_id=question,
        tokens=(tokens[0], tokens[1]),
        outcomes=(outcomes[0], outcomes[1]),
        question=_text(raw, "question"),
        slug=slug,
        group_title=title,
        group_threshold=_text(raw, "groupItemThreshold"),
        description=_text(raw, "description"),
        resolution_source=_text(raw, "resolutionSource"),
        index=int(question[-2:], 16) if neg_risk else 0,
        tick_e4=tick,
        min_size_e6=least,
        neg_risk=neg_risk,
        placeholder=of.get("negRiskAugmented") is True and bool(_PLACEHOLDER.fullmatch(title)),
        fee=_fee(raw),
        seconds_delay=delay if isinstance(delay, int) and 0 < delay < 60 else 0,
        # Gamma does not tell which markets hold takers back; the short-lived ones are known to.
        taker_delay="updown" in slug,
        v3=v3,
        start_ms=_ms(raw.get("startDate")) or 0,
        end_ms=_ms(raw.get("endDate")) or _ms(of.get("endDate")) or 0,
        game_start_ms=_ms(raw.get("gameStartTime")),
        active=active,
        accepting=active and raw.get("acceptingOrders") is not False,
        closed=closed,
        winner=_winner(raw) if closed else None,
    )


_PLACEHOLDER: Final = re.compile(
    r"Other|(?:Person|Candidate|Player|Team|Party|Company|Option|Individual) [A-Z]{1,2}"
)


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _is_token(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 78


def _strings(value: object) -> list[str]:
    """Return a list of strings that may be written as JSON inside a string."""
    if isinstance(value, str):
        value = _decoded(value)
    if not isinstance(value, list) or not all(isinstance(each, str | int) for each in value):
        return []
    return [str(each) for each in value]


def _fee(raw: dict[str, Any]) -> Fee | None:
    if raw.get("feesEnabled") is not True:
        return None
    kind, told = raw.get("feeType"), raw.get("feeSchedule")
    if not isinstance(told, dict):
        fee = UNDATED_FEES.get(str(kind))
        if fee is None:
            raise _UnusableError("unknown fee schedule")
        return fee
    rate, rebate = parse(told.get("rate"), 6), parse(told.get("rebateRate", 0), 6)
    exponent = parse(told.get("exponent"), 0)
    if rate is None or rate > ONE_E4 * 100 or exponent not in {1, 2}:
        raise _UnusableError("unknown fee schedule")
    return Fee(
        rate_e6=rate,
        exponent=exponent,
        kind=kind if isinstance(kind, str) else None,
        rebate_e6=rebate or 0,
    )


def _winner(raw: dict[str, Any]) -> int:
    prices = tuple(parse(price, 4) for price in _strings(raw.get("outcomePrices")))
    winner = _RESULTS.get(prices)
    if winner is None:
        raise _UnusableError("closed without a result")
    return winner


_RESULTS: Final[dict[tuple[int | None, ...], int]] = {
    (ONE_E4, 0): 0,
    (0, ONE_E4): 1,
    (ONE_E4 // 2, ONE_E4 // 2): 2,
}


def _ms(value: object) -> int | None:
    """Return Unix milliseconds of a date in any of the forms seen, or None."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _event(key: str, found: _Found, skipped: Counter[str]) -> Event:
    raw = found.raw
    kept = found.markets
    if any(not market.closed for market, _ in kept):
        # An event resolves as a whole; what is left of it is still exhaustive without its losers.
        kept = [(market, said) for market, said in kept if not market.closed]
        skipped["closed in an open event"] += len(found.markets) - len(kept)
    neg_risk = sum(market.neg_risk for market, _ in kept)
    if neg_risk:
        kept, left = _one_group(kept)
        skipped["outside its neg-risk group"] += left
    structure, bounds = _structure([market for market, _ in kept], raw)
    if bounds:
        # Lowest threshold first, earliest date first: the chain reads one way.
        ranked = sorted(zip(bounds, kept, strict=True), key=lambda pair: pair[0])
        kept = [pair for _, pair in ranked]
        for bound, (market, _) in ranked:
            ladder = structure is Structure.LADDER
            market.bounds = (bound, None) if ladder else (None, bound)
    markets = [market for market, _ in kept]
    tags = raw.get("tags")
    labels = [tag.get("label") for tag in tags if isinstance(tag, dict)] if tags else []
    first = markets[0]
    return Event(
        id=key if _is_token(key) else first.gamma_id,
        slug=_text(raw, "slug") or first.slug,
        title=_text(raw, "title") or first.question,
        structure=structure,
        markets=markets,
        description=_text(raw, "description"),
        category=str(labels[0]) if labels else "",
        tags=tuple(str(label) for label in labels if label),
        neg_risk_id=first.question_id[:-2] + "00" if neg_risk else "",
        fee_bips=_bips(raw.get("negRiskFeeBips")),
        start_ms=_ms(raw.get("startDate")) or first.start_ms,
        end_ms=_ms(raw.get("endDate")) or max(market.end_ms for market in markets),
        initial=_initial([_price(said) for _, said in kept], structure),
    )


def _bips(value: object) -> int:
    bips = parse(value, 0)
    return bips if bips and bips <= ONE_E4 else 0


def _one_group(
    kept: list[tuple[Market, dict[str, Any]]],
) -> tuple[list[tuple[Market, dict[str, Any]]], int]:
    """Return the largest set of markets of one neg-risk id by index, and how many are not in it."""
    groups: dict[str, dict[int, tuple[Market, dict[str, Any]]]] = {}
    for market, said in kept:
        if market.neg_risk:
            group = groups.setdefault(market.question_id[:-2], {})
            group.setdefault(market.index, (market, said))
    largest = max(groups.values(), key=len)
    return [largest[index] for index in sorted(largest)], len(kept) - len(largest)


# -- what hangs together


def _structure(markets: list[Market], raw: dict[str, Any]) -> tuple[Structure, list[int]]:
    """
    Tell the structure by its flags; ladders only where nothing but a number or a date varies.

    Returns:
        The structure, and for a ladder the bound of each market.
    """
    if markets[0].neg_risk:
        augmented = raw.get("enableNegRisk") is True and raw.get("negRiskAugmented") is True
        return Structure.AUGMENTED if augmented else Structure.NEGRISK, []
    if len(markets) == 1:
        return Structure.BINARY, []
    texts = {_around_title(market) for market in markets}
    if len(texts) == 1 and None not in texts:
        for structure, bounds in (
            (Structure.LADDER, _thresholds(markets)),
            (Structure.DATES, _deadlines(markets, raw)),
        ):
            if bounds and len(set(bounds)) == len(markets):
                return structure, bounds
    return Structure.MIXED, []


def _around_title(market: Market) -> str | None:
    """Return a question with its group title cut out, or None where it is not in it."""
    question, title = market.question.replace(",", ""), market.group_title.replace(",", "")
    title = title.lstrip("↑ ")
    if not title or title not in question:
        return None
    return question.replace(title, "#", 1).replace("$#", "#")


_NUMBER: Final = re.compile(r"(?:↑\s*)?\$?([0-9][0-9,]*(?:\.[0-9]+)?)\s*([KMBT]?)\+?")
_SCALE: Final = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def _thresholds(markets: list[Market]) -> list[int] | None:
    """Return what YES must exceed, x 100, where every market asks for more than a number."""
    bounds = []
    for market in markets:
        match = _NUMBER.fullmatch(market.group_title)
        if not match or not re.search(r"\b(above|reach|exceed)\b", market.question):
            return None
        amount = parse(match[1].replace(",", ""), 2)
        if amount is None:
            return None
        bounds.append(amount * _SCALE[match[2]])
    return bounds


def _deadlines(markets: list[Market], raw: dict[str, Any]) -> list[int] | None:
    """Return by when it must happen, in Unix ms, where every market asks for a date."""
    year = _text(raw, "endDate")[:4] or _text(raw, "startDate")[:4]
    bounds = []
    for market in markets:
        day = _day(market.group_title, year)
        if day is None or " by " not in f" {market.question}":
            return None
        bounds.append(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000)
    return bounds


_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def _day(title: str, year: str) -> date | None:
    match = re.fullmatch(r"([A-Z][a-z]+) ([0-9]{1,2})(?:,? ([0-9]{4}))?", title)
    if not match or match[1] not in _MONTHS or not (match[3] or year.isdigit()):
        return None
    try:
        return date(int(match[3] or year), _MONTHS.index(match[1]) + 1, int(match[2]))
    except ValueError:
        return None


# -- fair prices


def _price(raw: dict[str, Any]) -> float | None:
    """Return the middle of a narrow book, else what Gamma shows as the price of YES."""
    bid, ask = parse(raw.get("bestBid"), 4), parse(raw.get("bestAsk"), 4)
    shown = [parse(price, 6) for price in _strings(raw.get("outcomePrices"))]
    if bid and ask and bid < ask <= bid + ONE_E4 // 10:
        return (bid + ask) / (2 * ONE_E4)
    if shown and shown[0] is not None:
        return min(shown[0] / 10**6, 1.0)
    return None


def _initial(prices: list[float | None], structure: Structure) -> tuple[float, ...]:
    """Return prices that fit together; () where none is known."""
    if all(price is None for price in prices):
        return ()
    neg_risk = structure in {Structure.NEGRISK, Structure.AUGMENTED}
    usual = 1 / len(prices) if neg_risk else 0.5
    filled = [min(max(usual if p is None else p, 0.0005), 0.9995) for p in prices]
    if neg_risk:
        total = sum(filled)
        return tuple(price / total for price in filled)
    if structure is Structure.LADDER:
        return tuple(accumulate(filled, min))
    if structure is Structure.DATES:
        return tuple(accumulate(filled, max))
    return tuple(filled)


# -- books


def load_books(venue: "Venue", lines: Iterable[str | bytes]) -> Counter[str]:
    """
    Put captured answers of ``/book`` and ``/books`` on the venue's books, one order a level.

    Reads of such a book give what was captured, timestamp and hash included. The first book of a
    market counts; its other token's is the same one seen from the other side.

    Returns:
        How many books and levels were used, and what was not for which reason.
    """
    counts = Counter[str]()
    wallet = venue.ledger.add(Wallet(BACKGROUND, ""))
    filled: set[str] = set()
    for line in lines:
        for told in _books(_decoded(line)):
            found = venue.catalog.tokens.get(_text(told, "asset_id"))
            if found is None:
                counts["unknown token"] += 1
            elif found[0].closed:
                counts["closed"] += 1
            elif found[0].condition_id in filled:
                counts["again"] += 1
            else:
                filled.add(found[0].condition_id)
                counts["books"] += 1
                counts += _fill(venue, wallet, *found, told)
    return counts


def _books(told: object) -> Iterator[dict[str, Any]]:
    """Yield the book objects in an answer, however a recorder wrapped it."""
    if isinstance(told, list):
        for each in told:
            yield from _books(each)
    elif isinstance(told, dict):
        if isinstance(told.get("bids"), list):
            yield told
        for wrapper in ("books", "object", "book"):
            yield from _books(told.get(wrapper))


def _fill(
    venue: "Venue", wallet: Wallet, market: Market, outcome: int, told: dict[str, Any]
) -> Counter[str]:
    counts = Counter[str]()
    tick = parse(told.get("tick_size"), 4)
    if tick in TICKS_E4:
        market.tick_e4 = tick
    book = venue.book(market)
    for side_name, bid in (("bids", True), ("asks", False)):
        levels = told.get(side_name)
        for level in levels if isinstance(levels, list) else ():
            price, shares = _level(level)
            if not price or price >= ONE_E4 or not shares:
                counts["unusable level"] += 1
                continue
            # A bid buys the token, an ask buys the other one: collateral is all it takes.
            side, price_e4 = (outcome, price) if bid else (1 - outcome, ONE_E4 - price)
            name = hashlib.sha256(f"{market.tokens[side]}|{price_e4}".encode()).hexdigest()
            order = Order(
                id=f"0x{name}",
                wallet=wallet,
                market=market,
                outcome=side,
                buy=True,
                price_e4=price_e4,
                size_e6=shares,
            )
            if book.crosses(order):
                counts["crossed level"] += 1
                continue
            venue.deposit(wallet, ceil_div(price_e4 * shares, ONE_E4))
            venue.execute(order)
            counts["levels"] += 1
    last, at = parse(told.get("last_trade_price"), 4), parse(told.get("timestamp"), 0)
    if last and last < ONE_E4:
        book.last_price_e4 = last
    if at:
        book.changed_ms = at
    return counts


def _level(level: object) -> tuple[int | None, int | None]:
    if not isinstance(level, dict):
        return None, None
    return parse(level.get("price"), 4), parse(level.get("size"), 6)
