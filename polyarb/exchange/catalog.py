"""
What there is to trade, kept up to date, and which part of it a run wants.

Without I/O: `exchange/discovery.py` brings events from Gamma, the feed's listener the notices.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from polyarb import errors
from polyarb.domain.market import Event, LeftOut, Market, Refusal
from polyarb.domain.money import CashE6, PriceE4, Tick
from polyarb.exchange.gamma import read_tags, read_text, read_tick, tag_slug

HEARD_NS: Final = 600_000_000_000
"""For so long a tick heard on the socket counts more than what Gamma, which lags, says."""

WANTED_NS: Final = 900_000_000_000
"""For so long a market that was announced is asked for; later a full load finds it."""

WANTED_MAX: Final = 4096
DAY_MS: Final = 86_400_000
NOTHING: Final = CashE6(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    What became of the catalogue's markets; false if nothing did.

    Attributes:
        changed: As they are now; also where only their event is another, because one more market
            of it was announced.
    """

    added: tuple[Market, ...] = ()
    removed: tuple[Market, ...] = ()
    changed: tuple[Market, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class Catalog:
    """
    Events with at least one market that can be traded, found by id, condition and token.

    Attributes:
        events: By id.
        wanted: Events to ask Gamma for, by id: a market of theirs was announced.
        notices: Messages taken, by kind; those that named nothing known as ``unknown``.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: dict[str, Event] = {}
        self.wanted: dict[str, dict[str, int]] = {}
        self.notices: Counter[str] = Counter()
        self._markets: dict[str, Market] = {}
        self._tokens: dict[str, str] = {}
        self._ticks: dict[str, tuple[Tick, int]] = {}
        self._resolved: dict[str, PriceE4 | None] = {}
        self.load(events, 0)

    def __len__(self) -> int:
        """Return how many markets there are."""
        return len(self._markets)

    def __iter__(self) -> Iterator[Market]:
        """Go through the markets, event by event."""
        return (market for event in self.events.values() for market in event.markets)

    def market(self, condition_id: str) -> Market | None:
        """Return a market, None where it is not, or no longer, tradable."""
        return self._markets.get(condition_id)

    def by_token(self, token: str) -> tuple[Market, int] | None:
        """Return the market of a token and the token's place in it (0 YES, 1 NO)."""
        condition = self._tokens.get(token)
        if condition is None:
            return None
        market = self._markets[condition]
        return market, market.tokens.index(token)

    # -- from Gamma

    def load(self, events: Iterable[Event], now_ns: int) -> Change:
        """Take a full walk's events in the place of all that are there."""
        events = list(events)
        before = self._markets.copy()
        gone = self.events.keys() - {event.id for event in events}
        for event_id in gone:
            self._drop(self.events[event_id])
        for event in events:
            self._put(event, now_ns)
        return _difference(before, self._markets)

    def put(self, event: Event, now_ns: int) -> Change:
        """Take one event in the place of what was known of it."""
        before = {market.condition_id: market for market in self._known(event.id)}
        self._put(event, now_ns)
        after = {market.condition_id: market for market in self._known(event.id)}
        return _difference(before, after)

    def forget(self, now_ns: int) -> None:
        """Give up on announced markets that did not turn up in `WANTED_NS`."""
        for event_id, conditions in list(self.wanted.items()):
            for condition, heard_ns in list(conditions.items()):
                if now_ns - heard_ns > WANTED_NS or condition in self._markets:
                    del conditions[condition]
            if not conditions:
                del self.wanted[event_id]

    # -- from the market socket

    def notice(self, message: Mapping[str, Any], now_ns: int) -> Change:
        """
        Take a message of the market socket (protocol.md section 20.1); others are ignored.

        ``new_market`` says too little to trade by: it puts its event on `wanted`.
        """
        kind = read_text(message.get("event_type"))
        if kind == "new_market":
            return self._want(message, now_ns)
        if kind not in {"market_resolved", "tick_size_change"}:
            return Change()
        market = self._named(message)
        self.notices[kind if market else "unknown"] += 1
        if market is None:
            return Change()
        if kind == "market_resolved":
            pays = _yes_pays(market, message)
            self._resolved[market.condition_id] = pays
            return self._leave(market, Refusal.RESOLVED, pays)
        tick = read_tick(message.get("new_tick_size"))
        if tick is None:
            return self._leave(market, Refusal.NO_TICK, None)
        self._ticks[market.condition_id] = tick, now_ns
        if tick is market.tick:
            return Change()
        return self._replace(replace(market, tick=tick))

    def learn(self, market: Market, now_ns: int) -> Change:
        """Take what the CLOB says of a market in the place of what was known of it."""
        known = self._markets.get(market.condition_id)
        market = self._heard(market, now_ns)
        return self._replace(market) if known and known != market else Change()

    def leave(self, condition_id: str, reason: Refusal) -> Change:
        """Take a market out; nothing happens where it is not in."""
        market = self._markets.get(condition_id)
        return self._leave(market, reason, None) if market else Change()

    # -- inside

    def _known(self, event_id: str) -> tuple[Market, ...]:
        event = self.events.get(event_id)
        return event.markets if event else ()

    def _drop(self, event: Event) -> None:
        del self.events[event.id]
        for market in event.markets:
            del self._markets[market.condition_id]
            for token in market.tokens:
                del self._tokens[token]

    def _put(self, event: Event, now_ns: int) -> None:
        if known := self.events.get(event.id):
            self._drop(known)
        markets: list[Market] = []
        left_out = list(event.left_out)
        for market in event.markets:
            condition = market.condition_id
            if condition in self._resolved:
                pays = self._resolved[condition]
                left_out.append(_left(market, Refusal.RESOLVED, pays))
            elif condition in self._markets or any(t in self._tokens for t in market.tokens):
                left_out.append(_left(market, Refusal.DUPLICATE))
            else:
                markets.append(self._heard(market, now_ns))
        if markets:
            self._enter(replace(event, markets=tuple(markets), left_out=tuple(left_out)))

    def _enter(self, event: Event) -> None:
        self.events[event.id] = event
        for market in event.markets:
            self._markets[market.condition_id] = market
            for token in market.tokens:
                self._tokens[token] = market.condition_id

    def _heard(self, market: Market, now_ns: int) -> Market:
        """Return the market with the tick last heard on the socket, while that is news."""
        tick, heard_ns = self._ticks.get(market.condition_id, (market.tick, now_ns))
        if now_ns - heard_ns > HEARD_NS:
            del self._ticks[market.condition_id]
            return market
        return market if tick is market.tick else replace(market, tick=tick)

    def _replace(self, market: Market) -> Change:
        event = self.events[market.event_id]
        self._markets[market.condition_id] = market
        self.events[event.id] = replace(
            event,
            markets=tuple(
                market if each.condition_id == market.condition_id else each
                for each in event.markets
            ),
        )
        return Change(changed=(market,))

    def _leave(self, market: Market, reason: Refusal, pays: PriceE4 | None) -> Change:
        event = self.events[market.event_id]
        self._drop(event)
        rest = tuple(each for each in event.markets if each is not market)
        if rest:
            left_out = (*event.left_out, _left(market, reason, pays))
            self._enter(replace(event, markets=rest, left_out=left_out))
        return Change(removed=(market,))

    def _named(self, message: Mapping[str, Any]) -> Market | None:
        found = self.by_token(read_text(message.get("asset_id")))
        return found[0] if found else self._markets.get(read_text(message.get("market")).lower())

    def _want(self, message: Mapping[str, Any], now_ns: int) -> Change:
        event = message.get("event_message")
        event_id = read_text(event.get("id")) if isinstance(event, Mapping) else ""
        condition = read_text(message.get("market") or message.get("condition_id")).lower()
        known = event_id.isascii() and event_id.isdigit() and condition  # it goes into a path
        self.notices["new_market" if known else "unknown"] += 1
        if not known or condition in self._markets:
            return Change()
        if event_id not in self.wanted and len(self.wanted) >= WANTED_MAX:
            del self.wanted[next(iter(self.wanted))]
        conditions = self.wanted.setdefault(event_id, {})
        if condition in conditions or len(conditions) >= WANTED_MAX:
            return Change()
        conditions[condition] = now_ns
        event = self.events.get(event_id)
        if event is None:
            return Change()
        # Until it is read again nobody may take what was known of it for all there is.
        announced = LeftOut(condition_id=condition, question_index=None, reason=Refusal.ANNOUNCED)
        self.events[event_id] = replace(event, left_out=(*event.left_out, announced))
        return Change(changed=event.markets)


def _difference(before: Mapping[str, Market], after: Mapping[str, Market]) -> Change:
    return Change(
        added=tuple(market for name, market in after.items() if name not in before),
        removed=tuple(market for name, market in before.items() if name not in after),
        changed=tuple(m for name, m in after.items() if name in before and m != before[name]),
    )


def _left(market: Market, reason: Refusal, pays: PriceE4 | None = None) -> LeftOut:
    return LeftOut(
        condition_id=market.condition_id,
        question_index=market.question_index if market.neg_risk else None,
        reason=reason,
        yes_pays_e4=pays,
    )


def _yes_pays(market: Market, message: Mapping[str, Any]) -> PriceE4 | None:
    winner = read_text(message.get("winning_asset_id"))
    if winner not in market.tokens:
        return None
    return PriceE4(10_000 if winner == market.tokens[0] else 0)


# -- universes


class Unwanted(StrEnum):
    """Why a universe leaves a market out that could be traded."""

    NOT_NAMED = "not_named"  # neither its event nor its condition is listed
    TAGS = "tags"
    VOLUME = "volume"
    END_DATE = "end_date"  # too late, or not known
    MAX_TOKENS = "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """
    The markets of a universe, those with most volume first.

    Attributes:
        left_out: How many it left out for which reason; a market counts once.
    """

    markets: tuple[Market, ...] = ()
    left_out: Counter[Unwanted] = field(default_factory=Counter)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token, YES before NO."""
        return tuple(token for market in self.markets for token in market.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """
    Which markets a run wants. Every filter narrows; several values of one filter widen it.

    A neg-risk event is worth something as a whole only: unless a market of it is named by its
    condition, its volume is the sum of its markets', its end the last one's, and it is taken or
    left in one piece.

    Attributes:
        name: To tell it from other universes.
        tags: Of events, as labels or as addresses have them.
        events: Ids or slugs; together with `conditions` one filter.
        conditions: Condition ids.
        min_volume_e6: Volume so far, at least.
        max_days: To the end date, at most; one that has passed counts as due now.
        max_tokens: Taken by falling volume while they fit.
    """

    name: str = "all"
    tags: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    min_volume_e6: CashE6 = NOTHING
    max_days: int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tuple(map(tag_slug, self.tags)))
        object.__setattr__(self, "conditions", tuple(each.lower() for each in self.conditions))
        for name in ("min_volume_e6", "max_days", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise errors.RangeError(f"{name} {value} is below 0")

    def may_hold(self, message: Mapping[str, Any]) -> bool:
        """Say whether a market announced by ``new_market`` could belong here."""
        event = message.get("event_message")
        event = event if isinstance(event, Mapping) else {}
        names = {read_text(event.get("id")), read_text(event.get("slug"))}
        condition = read_text(message.get("market")).lower()
        tags = read_tags(message.get("tags"))  # not always told yet
        return self._names(names, condition) and (not tags or self._tagged(tags))

    def select(self, events: Iterable[Event], now_ms: int) -> Selection:
        """Return what it wants of `events`."""
        left_out = Counter[Unwanted]()
        groups: list[tuple[Market, ...]] = []
        for event in events:
            tagged = self._tagged(event.tags)
            named = [
                market
                for market in event.markets
                if self._names({event.id, event.slug}, market.condition_id)
            ]
            left_out[Unwanted.NOT_NAMED] += len(event.markets) - len(named)
            if not tagged:
                left_out[Unwanted.TAGS] += len(named)
                continue
            for group in self._groups(named):
                reason = self._unwanted(group, now_ms)
                if reason:
                    left_out[reason] += len(group)
                else:
                    groups.append(group)
        return self._largest(groups, left_out)

    def _tagged(self, tags: Iterable[str]) -> bool:
        return not self.tags or not set(self.tags).isdisjoint(tags)

    def _names(self, event: set[str], condition: str) -> bool:
        if not self.events and not self.conditions:
            return True
        return condition in self.conditions or not event.isdisjoint(self.events)

    def _groups(self, named: list[Market]) -> Iterator[tuple[Market, ...]]:
        """Yield what is judged together."""
        whole = [m for m in named if m.neg_risk and m.condition_id not in self.conditions]
        if whole:
            yield tuple(whole)
        yield from ((m,) for m in named if not m.neg_risk or m.condition_id in self.conditions)

    def _unwanted(self, group: tuple[Market, ...], now_ms: int) -> Unwanted | None:
        if _volume_e6(group) < self.min_volume_e6:
            return Unwanted.VOLUME
        if self.max_days is not None:
            ends = [market.end_ms for market in group]
            latest_ms = now_ms + self.max_days * DAY_MS
            if any(end_ms is None or end_ms > latest_ms for end_ms in ends):
                return Unwanted.END_DATE
        return None

    def _largest(self, groups: list[tuple[Market, ...]], left_out: Counter[Unwanted]) -> Selection:
        groups.sort(key=lambda group: (-_volume_e6(group), group[0].condition_id))
        markets: list[Market] = []
        for group in groups:
            tokens = 2 * (len(markets) + len(group))
            if self.max_tokens is not None and tokens > self.max_tokens:
                left_out[Unwanted.MAX_TOKENS] += len(group)
            else:
                markets += group
        return Selection(markets=tuple(markets), left_out=+left_out)


def _volume_e6(group: Iterable[Market]) -> int:
    return sum(market.volume_e6 for market in group)


def union(selections: Iterable[Selection]) -> tuple[Market, ...]:
    """Return the markets of several universes, each once."""
    found = {m.condition_id: m for selection in selections for m in selection.markets}
    return tuple(found.values())
