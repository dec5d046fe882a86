"""From Gamma's pages to a catalogue, and on while it runs (protocol.md sections 15, 25)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from polyarb import errors
from polyarb.domain.market import Event, Market, Refusal
from polyarb.exchange.catalog import Catalog, Change, Universe
from polyarb.exchange.gamma import (
    Page,
    Reader,
    Terms,
    confirmed,
    read_event,
    read_page,
    read_terms,
)

PAGE: Final = 100
PAGES_MAX: Final = 10_000
LOOKUPS_MAX: Final = 64
"""Announced events that one `refresh` asks for."""

TERMS_MAX: Final = 5_000
"""Markets that one load completes from the CLOB, one request each."""

CONCURRENT: Final = 8

_T = TypeVar("_T")
Query = Sequence[tuple[str, str]]


class Source(Protocol):
    """
    Reads of both services; `exchange/client.py` is one.

    Both return what `read` makes of the body, or None for 404, and raise RetryError where there
    was no useful answer in spite of retries; `read` raises MalformedError for one to ask again for.
    """

    async def gamma(self, path: str, query: Query, read: Callable[[bytes], _T]) -> _T | None:
        """GET from Gamma."""

    async def clob(self, path: str, query: Query, read: Callable[[bytes], _T]) -> _T | None:
        """GET from the CLOB."""


class Discovery:
    """
    Keeps a catalogue that covers some universes.

    Args:
        source: Where it asks.
        universes: What must be in the catalogue; lists and tags limit what is asked for. None
            at all, or one without either, is all there is.
        complete: Ask the CLOB for what Gamma leaves open, one request a market.

    Attributes:
        catalog: What it has found.
        refused: What the last `load` left out, by reason.
        page_count: Pages that `load` read.
    """

    def __init__(
        self, source: Source, universes: Sequence[Universe] = (), *, complete: bool = True
    ) -> None:
        self.catalog = Catalog()
        self.refused: Counter[Refusal] = Counter()
        self.page_count = 0
        self._source = source
        self._universes = tuple(universes) or (Universe(),)
        self._completes = complete
        self._at = 0

    async def load(self, now_ns: int) -> Change:
        """
        Walk through Gamma and take the outcome in the place of what there was.

        For the time before trading: a page of 100 events holds the loop for tens of milliseconds.

        Raises:
            RetryError: A page did not come; the catalogue is as it was.
        """
        reader = Reader()
        for query in await self._walks():
            await self._walk(query, reader)
        events = await self._complete(reader)
        self.refused = reader.refused
        return self.catalog.load(events, now_ns)

    def notice(self, message: Mapping[str, Any], now_ns: int) -> Change:
        """Take a message of the market socket; markets that no universe could hold are not news."""
        if message.get("event_type") == "new_market" and not any(
            universe.may_hold(message) for universe in self._universes
        ):
            return Change()
        return self.catalog.notice(message, now_ns)

    async def refresh(self, now_ns: int) -> Change:
        """
        Ask for events of which a market was announced, `LOOKUPS_MAX` at a time.

        Those that Gamma does not have yet, or not open, stay wanted for `catalog.WANTED_NS`.

        Raises:
            RetryError: An answer did not come; ask again.
        """
        catalog = self.catalog
        catalog.forget(now_ns)
        wanted = list(catalog.wanted)
        first = self._at % len(wanted) if wanted else 0
        asked = (wanted[first:] + wanted[:first])[:LOOKUPS_MAX]
        self._at = first + len(asked)
        reader = Reader()
        for page in await self._each(asked, self._event):
            reader.add(page)
        changes = [catalog.put(event, now_ns) for event in await self._complete(reader)]
        catalog.forget(now_ns)
        return Change(
            added=tuple(market for change in changes for market in change.added),
            removed=tuple(market for change in changes for market in change.removed),
            changed=tuple(market for change in changes for market in change.changed),
        )

    async def confirm(self, markets: Iterable[Market], now_ns: int) -> Change:
        """
        Hold some markets against the CLOB, one request each.

        It knows their taker delay, and ticks and switches before Gamma does; a market of which it
        says something else that matters leaves the catalogue.

        Raises:
            RetryError: An answer did not come; nothing was changed.
        """
        changed: list[Market] = []
        removed: list[Market] = []
        for terms in await self._each([market.condition_id for market in markets], self._terms):
            known = self.catalog.market(terms.condition_id)
            if known is None:
                continue
            market = confirmed(known, terms)
            if isinstance(market, Refusal):
                removed += self.catalog.leave(known.condition_id, market).removed
            else:
                changed += self.catalog.learn(market, now_ns).changed
        return Change(removed=tuple(removed), changed=tuple(changed))

    async def _walks(self) -> list[Query]:
        """Return the filters of the walks that cover every universe."""
        walks: dict[Query, None] = {}
        for universe in self._universes:
            if universe.events or universe.conditions:
                ids = [name for name in universe.events if name.isdigit()]
                slugs = [name for name in universe.events if not name.isdigit()]
                ids += await self._events_of(universe.conditions)
                named = [("id", name) for name in ids] + [("slug", name) for name in slugs]
                walks |= dict.fromkeys((each,) for each in named)
            elif universe.tags:
                walks |= dict.fromkeys((("tag_slug", tag),) for tag in universe.tags)
            else:
                return [()]
        return list(walks)

    async def _events_of(self, conditions: Iterable[str]) -> list[str]:
        """Return the ids of the events that hold some markets, which are wanted whole."""
        reader = Reader()
        for condition in conditions:
            await self._walk((("condition_ids", condition),), reader, "/markets/keyset")
        return [event.id for event in reader.events()]

    async def _walk(self, query: Query, reader: Reader, path: str = "/events/keyset") -> None:
        cursors: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            cursors.add(cursor)
            after = [("after_cursor", cursor)] if cursor else []
            asked = [("closed", "false"), ("limit", str(PAGE)), *query, *after]
            page = await self._source.gamma(path, asked, read_page)
            if page is None:
                raise errors.GarbledError(f"{path}: 404")
            reader.add(page)
            self.page_count += 1
            cursor = page.next_cursor
            if cursor in cursors or len(cursors) > PAGES_MAX:
                raise errors.GarbledError(f"{path}: page {len(cursors)} leads back, or too far")

    async def _complete(self, reader: Reader) -> list[Event]:
        """Return the reader's events, with what Gamma left open asked of the CLOB."""
        events = reader.events()
        if not reader.incomplete or not self._completes:
            return events
        terms = await self._each(reader.incomplete[:TERMS_MAX], self._terms)
        return reader.events({each.condition_id: each for each in terms})

    async def _event(self, event_id: str) -> Page | None:
        return await self._source.gamma(f"/events/{event_id}", (), read_event)

    async def _terms(self, condition: str) -> Terms | None:
        try:
            return await self._source.clob(f"/clob-markets/{condition}", (), read_terms)
        except errors.GarbledError:  # no reason to go without all the others
            return None

    async def _each(self, names: Iterable[str], ask: Callable[[str], Any]) -> list[Any]:
        """Return what there is for each name, a few at a time."""
        turns = asyncio.Semaphore(CONCURRENT)

        async def one(name: str) -> Any:
            async with turns:
                return await ask(name)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(name), name=f"ask {name}") for name in names]
        except* errors.PolyarbError as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks if task.result() is not None]
