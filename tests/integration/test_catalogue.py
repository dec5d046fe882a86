"""The catalogue against the simulated exchange: pages, faults and notices over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from conftest import captures
from integration.conftest import Exchange, running
from websockets.asyncio.client import connect

from polyarb.control import cli
from polyarb.domain.market import Refusal, Structure
from polyarb.domain.money import Tick
from polyarb.exchange import discovery as discovery_module
from polyarb.exchange.catalog import Universe
from polyarb.exchange.client import Client
from polyarb.exchange.discovery import Discovery
from polyarb.sim import InProcessVenue

T = TypeVar("T")
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def venue() -> Iterator[Exchange]:
    """Start a venue of this module's own: its markets are changed and resolved."""
    with running("--port", "0", "--seed", "11", "--scenario", "still", "--markets", "400") as found:
        yield found


def using(venue: Exchange, act: Callable[[Client], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with Client(clob_url=venue.clob_url, gamma_url=venue.gamma_url) as client:
            return await act(client)

    return asyncio.run(whole())


def load(venue: Exchange, *universes: Universe) -> Discovery:
    async def act(client: Client) -> Discovery:
        discovery = Discovery(client, universes)
        await discovery.load(0)
        return discovery

    return using(venue, act)


def clob_markets(venue: Exchange) -> dict[str, dict[str, Any]]:
    found, cursor = {}, ""
    while cursor != "LTE=":
        page = venue.get(f"{venue.clob_url}/markets?next_cursor={cursor}")
        found |= {told["condition_id"]: told for told in page["data"]}
        cursor = page["next_cursor"]
    return found


def test_every_page_is_walked_and_agrees_with_the_clob(
    venue: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery_module, "PAGE", 9)
    discovery = load(venue)
    catalog, told = discovery.catalog, clob_markets(venue)
    assert discovery.page_count > 5
    assert len(catalog) + sum(discovery.refused.values()) == len(told) >= 400
    assert {m.condition_id for m in catalog} == {
        condition for condition, each in told.items() if each["active"]
    }
    for market in catalog:
        each = told[market.condition_id]
        assert [token["token_id"] for token in each["tokens"]] == list(market.tokens)
        assert Tick.of(str(each["minimum_tick_size"])) is market.tick
        assert each["neg_risk"] == market.neg_risk
        assert each["question_id"] == market.question_id
        assert each["seconds_delay"] == market.seconds_delay
    structures = {event.structure for event in catalog.events.values()}
    assert structures == set(Structure)


def test_the_clob_confirms_the_catalogue_and_adds_the_taker_delay(venue: Exchange) -> None:
    async def act(client: Client) -> Discovery:
        discovery = Discovery(client, [Universe(tags=("crypto",))])
        await discovery.load(0)
        assert all(market.taker_delay is None for market in discovery.catalog)
        change = await discovery.confirm(list(discovery.catalog), 0)
        assert not change.removed
        return discovery

    delays = {market.condition_id: market.taker_delay for market in using(venue, act).catalog}
    told = {name: venue.get(f"{venue.clob_url}/clob-markets/{name}") for name in delays}
    assert delays == {name: each.get("itode", False) for name, each in told.items()}
    assert set(delays.values()) == {True, False}


def test_books_come_in_parts_as_the_venue_sends_them(venue: Exchange) -> None:
    discovery = load(venue)
    tokens = [token for market in discovery.catalog for token in market.tokens]
    assert len(tokens) > 500
    books = json.loads(using(venue, lambda client: client.books(tokens)))
    assert [book["asset_id"] for book in books] == tokens
    [one] = json.loads(using(venue, lambda client: client.books(tokens[:1])))
    assert one == venue.get(f"{venue.clob_url}/book?token_id={tokens[0]}")


def test_the_clock_is_read(venue: Exchange) -> None:
    assert using(venue, Client.time_s) > 1_700_000_000


@pytest.mark.parametrize(
    "fault",
    [
        {"name": "error", "values": {"status": 500}},
        {"name": "error", "values": {"status": 425, "text": "restarting"}},
        {"name": "html_error"},
        {"name": "html_error", "values": {"status": 200}},
        {"name": "reset_mid_response"},
        {"name": "truncated_body"},
        {"name": "request_lost"},
        {"name": "response_lost"},
        {"name": "too_many_requests"},
    ],
    ids=lambda fault: "-".join(map(str, [fault["name"], *fault.get("values", {}).values()])),
)
def test_a_fault_on_a_page_costs_time_and_no_market(venue: Exchange, fault: dict[str, Any]) -> None:
    whole = {market.condition_id for market in load(venue).catalog}
    path = {"path": "GET /gamma/events/keyset"}
    before = fired(venue, fault["name"])
    venue.command("faults", **fault, count=2, match=path)
    assert {market.condition_id for market in load(venue).catalog} == whole
    assert fired(venue, fault["name"]) == before + 2


def fired(venue: Exchange, name: str) -> int:
    known = venue.get(f"{venue.admin_url}/faults")
    return next(int(each["fired"]) for each in known if each["name"] == name)


def test_ticks_and_resolutions_are_followed_from_the_market_socket(venue: Exchange) -> None:
    discovery = load(venue)
    catalog = discovery.catalog
    event = next(
        each
        for each in catalog.events.values()
        if each.structure is Structure.NEGRISK and each.markets[0].tick is Tick.T_0_01
    )
    first, *others = event.markets
    tokens = [token for market in event.markets for token in market.tokens]

    async def listen() -> None:
        async with connect(venue.market_ws_url) as socket:
            wanted = {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True}
            await socket.send(json.dumps(wanted))
            await socket.recv()
            await asyncio.to_thread(
                venue.command, "tick", condition_id=first.condition_id, tick="0.001"
            )
            await asyncio.to_thread(
                venue.command, "resolve", event=event.id, winners=[0] + [1] * len(others)
            )
            while any(catalog.market(each.condition_id) for each in event.markets):
                for message in notices(await asyncio.wait_for(socket.recv(), 10)):
                    change = discovery.notice(message, SECOND)
                    heard[message["event_type"]] = heard.get(message["event_type"], 0) + len(
                        change.changed + change.removed
                    )

    heard: dict[str, int] = {}
    asyncio.run(listen())
    assert heard["tick_size_change"] == 1
    assert heard["market_resolved"] == 1 + len(others)
    assert event.id not in catalog.events
    assert event.id not in load(venue).catalog.events


def notices(frame: str | bytes) -> list[dict[str, Any]]:
    try:
        told = json.loads(frame)
    except ValueError:
        return []
    return told if isinstance(told, list) else [told]


def test_the_command_shows_what_the_venue_has(
    venue: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["markets", "--url", venue.gamma_url, "--clob-url", venue.clob_url]
    assert cli.main([*command, "--tags", "Crypto", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["markets"]
    assert sum(told["events"].values()) == len({row["event"] for row in told["markets"]})
    assert {"tick", "fee_rate", "tokens", "end"} <= told["markets"][0].keys()
    assert cli.main([*command, "--max-tokens", "8", "--top", "2"]) == 0
    shown = capsys.readouterr().out
    assert "selected  4 markets, 8 tokens" in shown
    assert len(shown.splitlines()) == 11


def test_the_command_says_what_is_wrong(
    venue: Exchange, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery_module, "PAGE", 0)
    for arguments, code in [
        (["--url", "nowhere"], 2),
        (["--catalogue", "/nowhere.jsonl"], 2),
        (["--catalogue", "/dev/null", "--min-volume-usd", "much"], 2),
        (["--url", f"{venue.gamma_url}/not/here"], 1),
    ]:
        assert cli.main(["markets", *arguments]) == code
        assert capsys.readouterr().err.startswith("polyarb: ")


def test_the_command_reads_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = captures("gamma") / "active-markets_2026-03-11.jsonl.gz"
    assert cli.main(["markets", "--catalogue", str(recorded), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["markets"]) == 18_072
    assert told["refused"] == {"no_fees": 1730, "no_order_book": 40}
    assert told["events"] == {"binary": 765, "negrisk": 851, "augmented": 657, "group": 1120}


# -- markets that appear, in virtual time


class InProcess:
    """A source that asks a venue in this process."""

    def __init__(self, venue: InProcessVenue) -> None:
        self._venue = venue

    async def gamma(self, path: str, query: Any, read: Callable[[bytes], T]) -> T | None:
        return await self.clob(f"/gamma{path}", query, read)

    async def clob(self, path: str, query: Any, read: Callable[[bytes], T]) -> T | None:
        answer = self._venue.call("GET", path, query=dict(query))
        return read(answer.body) if answer.status == 200 else None


class Heard:
    """A listener that keeps every message."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def text(self, message: bytes) -> None:
        self.messages += notices(message)

    def closed(self, code: int, reason: str) -> None:
        """Nothing follows."""


def test_new_markets_are_found_and_old_ones_leave_while_it_runs() -> None:
    """Five-minute markets come and go; the catalogue ends as a fresh load would."""
    venue = InProcessVenue("quiet", seed=5)
    discovery = Discovery(InProcess(venue))
    asyncio.run(discovery.load(venue.now_ns))
    before = {market.condition_id for market in discovery.catalog}
    heard = Heard()
    stream = venue.open("/ws/market", heard)
    tokens = [token for market in discovery.catalog for token in market.tokens]
    subscription = {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True}
    stream.send(json.dumps(subscription))
    added = removed = 0
    for _ in range(90):
        venue.advance(10 * SECOND)
        stream.send("PING")
        fresh: list[str] = []
        while heard.messages:
            removed += len(discovery.notice(heard.messages.pop(0), venue.now_ns).removed)
        for market in asyncio.run(discovery.refresh(venue.now_ns)).added:
            added += 1
            fresh += market.tokens
        if fresh:
            more = {"operation": "subscribe", "assets_ids": fresh, "custom_feature_enabled": True}
            stream.send(json.dumps(more))
    again = Discovery(InProcess(venue))
    asyncio.run(again.load(venue.now_ns))
    assert added >= 3
    assert removed >= 2
    ours = {market.condition_id: market for market in discovery.catalog}
    theirs = {market.condition_id: market for market in again.catalog}
    assert theirs.items() <= ours.items()
    # Nobody says when a market stops accepting orders; what is over but not resolved stays.
    assert all((ours[name].end_ms or 0) <= venue.now_ns // 10**6 for name in ours.keys() - theirs)
    assert ours.keys() - before
    assert not discovery.catalog.wanted
    assert Refusal.ANNOUNCED not in {
        left.reason for event in discovery.catalog.events.values() for left in event.left_out
    }
