"""The living market: still where told so, alive as recorded, repeatable, and never free money."""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
import simclient

from polyarb.sim import universe
from polyarb.sim.catalog import Catalog, Market, Structure
from polyarb.sim.config import START_NS, VenueConfig
from polyarb.sim.decimals import ONE_E4
from polyarb.sim.fair import fair
from polyarb.sim.log import EventLog
from polyarb.sim.mispricing import Mispricings
from polyarb.sim.participants import PRESETS, MarketConfig, Participants
from polyarb.sim.venue import Venue

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class World:
    """A venue with participants, its mispricings and its log."""

    def __init__(
        self,
        catalog: Catalog | None = None,
        preset: str = "default",
        *,
        seed: int = 1,
        start: bool = True,
        **changes: Any,
    ) -> None:
        self.lines: list[str] = []
        log = EventLog(lambda batch: self.lines.extend(batch.splitlines()))
        catalog = catalog or universe.generate(seed)
        self.venue = Venue(VenueConfig(feed_delay_ms=0.0), catalog, seed=seed, log=log)
        self.watched = Mispricings(self.venue)
        config = msgspec.structs.replace(PRESETS[preset], **changes)
        self.participants = Participants(self.venue, config)
        if start:
            self.participants.start()

    def run(self, for_ns: int) -> "World":
        self.venue.advance(self.venue.now_ns + for_ns)
        return self

    def subscribe(self) -> simclient.Collector:
        """Listen to everything, without the opening books."""
        sink = simclient.Collector(self.venue)
        channel = self.venue.feeds.open(sink)
        channel.pinged_ns = self.venue.now_ns + 60 * MINUTE  # it need not say so
        tokens = list(self.venue.catalog.tokens)
        self.venue.feeds.receive(channel, json.dumps({"type": "market", "assets_ids": tokens}))
        sink.frames.clear()
        sink.times.clear()
        return sink

    def said(self, kind: str) -> list[list[Any]]:
        self.venue.log.flush()
        return [json.loads(line) for line in self.lines if f',"{kind}"' in line]

    def touches(self) -> dict[str, Any]:
        return {name: book.touch for name, book in self.venue.books.items()}


def small(structure: Structure, *chances: float, **more: Any) -> Catalog:
    """Return a catalogue of one event with these chances."""
    catalog = simclient.catalog(
        [simclient.market(number, **more) for number in range(len(chances))], structure
    )
    catalog.events[0].initial = chances
    return catalog


def of_set(seed: int = 1, **changes: Any) -> World:
    """Return a world of one neg-risk set whose makers lag often and do little else."""
    calm = {"news": 0.0, "takers": 0.0, "activity": 0.1, "mispricings_per_min": 20.0}
    catalog = small(Structure.NEGRISK, 0.2, 0.3, 0.5, tick_e4=10)
    return World(catalog, seed=seed, **(calm | {"decoy_share": 0.0} | changes))


# -- still


def test_a_still_market_is_two_sided_symmetric_and_never_moves() -> None:
    world = World(preset="still")
    levels = {
        name: [list(book.depth(bid)) for bid in (True, False)]
        for name, book in world.venue.books.items()
        if book.market.accepting
    }
    for bids, asks in levels.values():
        assert bids
        assert asks
        both = min(len(bids), len(asks))
        assert [size for _, size in bids[:both]] == [size for _, size in asks[:both]]
        middle = bids[0][0] + asks[0][0]
        assert all(b + a == middle for (b, _), (a, _) in zip(bids, asks, strict=False))
    assert sum(len(bids) + len(asks) for bids, asks in levels.values()) > 25 * len(levels)
    count = world.venue.log.count
    world.run(60 * MINUTE)
    assert world.venue.log.count == count


# -- repeatable


def test_a_seed_gives_one_log() -> None:
    digests = [World(seed=seed).run(MINUTE).venue.log.digest() for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


def test_listening_changes_nothing() -> None:
    alone, heard = World(), World()
    heard.subscribe()
    assert alone.run(MINUTE).venue.log.digest() == heard.run(MINUTE).venue.log.digest()


def test_steps_of_any_length_give_the_same() -> None:
    whole, stepped = World().run(MINUTE), World()
    for _ in range(600):
        stepped.run(SECOND // 10)
    assert whole.venue.log.digest() == stepped.venue.log.digest()


@pytest.mark.parametrize("preset", ["default", "quiet"])
def test_collateral_neither_appears_nor_vanishes(preset: str) -> None:
    world = World(preset=preset, seed=5)
    for _ in range(10):
        world.run(MINUTE // 2).venue.check()
    assert world.venue.counts["fills"] > 20


# -- alive as recorded (STATISTICS.md sections 2 and 3)


@pytest.fixture(scope="module")
def heard() -> tuple[simclient.Collector, World]:
    world = World(seed=2)
    sink = world.subscribe()
    world.run(10 * MINUTE)
    return sink, world


def test_the_mix_of_messages_is_as_recorded(heard: tuple[simclient.Collector, World]) -> None:
    kinds = Counter(message["event_type"] for message in heard[0].messages())
    assert 35 < kinds["price_change"] / 600 < 75
    assert 40 < kinds["price_change"] / kinds["last_trade_price"] < 130
    # both tokens are subscribed: a book for each, and one report; the last are still to come
    assert kinds["book"] == pytest.approx(2 * kinds["last_trade_price"], abs=6)


def test_changes_come_in_clusters(heard: tuple[simclient.Collector, World]) -> None:
    """A fifth to a half within 2 ms and silence of a minute, as in the recorded markets."""
    times: dict[str, list[int]] = {}
    for frame, at in zip(heard[0].frames, heard[0].times, strict=True):
        message = json.loads(frame)
        if message["event_type"] == "price_change":
            times.setdefault(message["market"], []).append(at)
    quiet = [at for at in times.values() if len(at) < 200]
    assert len(quiet) > 30
    gaps = sorted(b - a for at in quiet for a, b in pairwise(at))
    share = sum(gap <= 2_500_000 for gap in gaps) / len(gaps)
    assert 0.4 < share < 0.85
    assert gaps[int(0.97 * len(gaps))] > 20 * SECOND
    fastest = max(len(at) for at in times.values())
    assert fastest / 600 > 5


def test_most_changes_are_far_from_the_touch(heard: tuple[simclient.Collector, World]) -> None:
    last: dict[str, tuple[str, str]] = {}
    moved = total = 0
    for message in heard[0].messages("price_change"):
        first = message["price_changes"][0]
        top = (first["best_bid"], first["best_ask"])
        moved += last.get(first["asset_id"], top) != top
        last[first["asset_id"]] = top
        total += 1
    assert moved / total < 0.25


def test_levels_are_set_again(heard: tuple[simclient.Collector, World]) -> None:
    """Withdrawn, and then back with the size it had."""
    size: dict[tuple[str, str], list[str]] = {}
    for message in heard[0].messages("price_change"):
        for change in message["price_changes"]:
            size.setdefault((change["asset_id"], change["price"]), []).append(change["size"])
    again = sum(a == c and b == "0" for s in size.values() for a, b, c in zip(s, s[1:], s[2:]))  # noqa: B905
    assert again > 1_000


def test_books_keep_their_depth_and_their_grid(heard: tuple[simclient.Collector, World]) -> None:
    world = heard[1]
    books = [book for book in world.venue.books.values() if book.market.accepting]
    depth = sorted(len(book.prices[0]) + len(book.prices[1]) for book in books)
    assert 20 <= depth[len(depth) // 2] <= 48
    assert sum(None in book.touch for book in books) <= 2
    for book in books:
        for side in book.prices:
            assert all(level % book.market.tick_e4 == 0 for level in side)
    world.venue.check()


def test_takers_leave_sizes_of_six_decimals_and_trades_of_every_kind() -> None:
    world = World(small(Structure.BINARY, 0.43), takers=3_000.0, lifecycle=False).run(MINUTE)
    trades = world.said("trade")
    assert any(trade[4] % 100 for trade in trades)
    kinds = {part[2] for trade in trades for part in trade[7]}
    assert kinds == {"COMPLEMENTARY", "MINT", "MERGE"}
    world.venue.check()


def test_a_storm_is_a_storm() -> None:
    world = World(preset="storm")
    sink = world.subscribe()
    world.run(SECOND)
    assert len(sink.frames) >= 20_000
    world.venue.check()


# -- mispricings come from lags alone


@pytest.mark.parametrize("seed", [1, 2])
def test_without_lags_there_is_nothing_to_earn(seed: int) -> None:
    """However much news there is, and whatever ticks do."""
    world = World(seed=seed, mispricings_per_min=0.0, news=10.0, tick_changes_per_hour=1_200.0)
    world.run(3 * MINUTE)
    assert len(world.said("tick")) > 20
    assert {record.decoy for record in world.watched.records()} <= {"augmented"}


def test_lags_have_the_seeded_edge_depth_and_life() -> None:
    world = of_set(rival_ms=0.0, edge_usd=0.01, depth_shares=200.0, life_ms=500.0)
    world.run(20 * MINUTE)
    lags = world.said("lag")
    records = [record for record in world.watched.records() if not record.decoy]
    assert len(lags) > 100
    assert len(records) >= 0.9 * len(lags)
    edges = sorted(record.edge_e6 for record in records)
    assert 7_000 < edges[len(edges) // 2] < 20_000
    lives = sorted((record.closed_ns or 0) - record.opened_ns for record in records)
    assert 300e6 < lives[len(lives) // 2] < 800e6
    sizes = sorted(record.size_e6 for record in records)
    assert 50e6 < sizes[len(sizes) // 2] < 400e6
    assert {record.ended for record in records} <= {"makers", "noise", ""}
    world.venue.check()


def test_every_structure_gets_its_mispricings() -> None:
    world = World(mispricings_per_min=60.0, rival_ms=0.0, activity=0.1).run(5 * MINUTE)
    real = Counter(record.relation.kind for record in world.watched.records() if not record.decoy)
    assert set(real) == {
        *("negrisk_yes", "negrisk_no", "implication", "range_parent", "range_children")
    }


def test_decoys_say_why_they_are_none() -> None:
    world = World(mispricings_per_min=60.0, decoy_share=1.0, activity=0.1).run(5 * MINUTE)
    decoys = Counter(record.decoy for record in world.watched.records())
    assert min(decoys[reason] for reason in ("augmented", "fees", "minimum size")) >= 1
    assert decoys["fees"] + decoys["minimum size"] > 20
    for record in world.watched.records():
        if record.decoy in {"fees", "minimum size"}:
            assert record.profit_e6 == 0
            assert (record.edge_e6 > 0) == (record.decoy == "minimum size")


def test_the_rival_takes_what_is_left_long_enough() -> None:
    fast, slow = of_set(rival_ms=50.0).run(10 * MINUTE), of_set(rival_ms=20_000.0).run(10 * MINUTE)
    ends = [
        Counter(record.ended for record in world.watched.records() if not record.decoy)
        for world in (fast, slow)
    ]
    assert ends[0]["rival"] > 0.7 * ends[0].total()
    assert ends[1]["rival"] < 0.1 * ends[1].total()
    taken = [r for r in fast.watched.records() if r.ended == "rival" and r.spent_ns]
    waits = sorted((record.spent_ns or 0) - record.opened_ns for record in taken)
    assert 20e6 < waits[len(waits) // 2] < 150e6


def test_the_rival_is_not_spared_the_delays_of_a_market() -> None:
    catalog = small(Structure.NEGRISK, 0.2, 0.3, 0.5, tick_e4=10, seconds_delay=3)
    world = World(catalog, rival_ms=50.0, mispricings_per_min=20.0, takers=0.0, life_ms=500.0)
    world.run(5 * MINUTE)
    real = [record for record in world.watched.records() if not record.decoy]
    assert len(real) > 20
    assert sum(record.ended == "rival" for record in real) < 0.1 * len(real)


# -- the life of a market


def test_a_window_ends_resolves_and_the_next_is_there_in_time() -> None:
    world = World(small(Structure.BINARY, 0.5))
    world.venue.add_event(universe.next_updown(1, START_NS))
    first = world.venue.catalog.events[-1].markets[0]
    assert world.venue.book(first).touch != (None, None)
    world.run(5 * MINUTE - 20 * SECOND)
    following = world.venue.catalog.events[-1].markets[0]
    assert following is not first
    assert following.end_ms == first.end_ms + 300_000
    assert None not in world.venue.book(following).touch
    world.run(MINUTE)
    assert not first.accepting
    assert world.venue.book(first).touch == (None, None)
    assert first.winner is None
    world.run(2 * MINUTE)
    assert first.winner in {0, 1}
    world.venue.check()
    world.run(20 * MINUTE)
    assert len(world.venue.catalog.events) == 7
    world.venue.check()


def test_a_set_resolves_to_one_winner() -> None:
    catalog = small(Structure.NEGRISK, 0.2, 0.3, 0.5)
    catalog.events[0].end_ms = START_NS // 1_000_000 + 60_000
    world = World(catalog, takers=100.0).run(4 * MINUTE)
    assert sorted(market.winner or 0 for market in catalog.markets.values()) == [0, 1, 1]
    world.venue.check()


def test_a_games_start_wipes_its_books_and_quotes_return() -> None:
    starts = START_NS // 1_000_000 + 10_000
    world = World(small(Structure.BINARY, 0.4, game_start_ms=starts))
    market = next(iter(world.venue.catalog.markets.values()))
    client = simclient.Client(world.venue, simclient.KEYS[0], 0, 100_000_000)
    client.place(market.tokens[0], "BUY", "0.1", "10")
    world.run(10 * SECOND)
    assert list(world.venue.book(market).orders()) == []
    world.run(5 * SECOND)
    assert None not in world.venue.book(market).touch
    world.venue.check()


def test_an_event_that_opens_later_is_quoted() -> None:
    world = World(small(Structure.BINARY, 0.4))
    catalog = universe.generate(9, 20)
    for event in catalog.events[2:6]:
        world.venue.add_event(event)
    markets: Iterable[Market] = (m for event in catalog.events[2:6] for m in event.markets)
    assert all(world.venue.book(m).touch != (None, None) for m in markets if m.accepting)


def test_nobody_acts_while_the_engine_is_down() -> None:
    world = World().run(MINUTE)
    world.venue.set_mode("disabled")
    before = world.venue.counts["orders"], world.venue.counts["canceled"], world.touches()
    world.run(MINUTE)
    assert before == (world.venue.counts["orders"], world.venue.counts["canceled"], world.touches())
    world.venue.set_mode("normal")
    assert world.run(MINUTE).venue.counts["orders"] > before[0]


def test_books_that_are_there_already_are_left_alone() -> None:
    world = World(small(Structure.BINARY, 0.4), start=False)
    market = next(iter(world.venue.catalog.markets.values()))
    client = simclient.Client(world.venue, simclient.KEYS[0], 0, 100_000_000)
    client.place(market.tokens[0], "BUY", "0.1", "10")
    world.participants.start()
    assert len(list(world.venue.book(market).orders())) == 1


# -- configuration and hidden states


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"speed": 3}, MarketConfig)


@pytest.mark.parametrize("seed", range(5))
def test_chances_add_up_however_far_they_wander(seed: int) -> None:
    rng = Random(seed)
    for event in universe.generate(seed, 100).events:
        state = fair(event)
        assert state.prices() == pytest.approx(event.initial, abs=2e-3)
        for _ in range(50):
            state.walk(rng.randrange(len(event.markets)), rng.gauss(0, 300))
            state = state.pushed(rng.randrange(len(event.markets)), rng.gauss(0, 0.3))
        prices = state.prices()
        assert all(0 <= price <= 1 for price in prices)
        winners = state.winners(rng)
        if event.neg_risk:
            assert sum(prices) == pytest.approx(1)
            assert winners.count(0) == 1
        for a, b in ((a, b) for a in event.markets for b in event.markets if a.bounds and b.bounds):
            if _within(a, b):
                assert prices[a.index] <= prices[b.index]
                assert winners[b.index] <= winners[a.index]


def _within(a: Market, b: Market) -> bool:
    (low, high), (start, end) = a.bounds or (None, None), b.bounds or (None, None)
    return (start is None or (low is not None and start <= low)) and (
        end is None or (high is not None and high <= end)
    )


def test_prices_stay_on_the_venues_scale() -> None:
    world = World(small(Structure.BINARY, 0.0004, tick_e4=100), activity=50.0).run(MINUTE)
    (book,) = world.venue.books.values()
    assert book.touch[0] is None
    assert all(100 <= level <= ONE_E4 - 100 for level in book.prices[0])
