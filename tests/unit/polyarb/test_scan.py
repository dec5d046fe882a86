"""Relations and scans of the tops as Python uses them, and the C programs behind them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bookrig import framed

from polyarb import errors
from polyarb._core import lib
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books, State
from polyarb.core.scan import ENDS, SCAN_COUNTERS, End, Relations, TopScan, scan_counters
from polyarb.core.stream import Splitter
from polyarb.core.tick import Ticker
from polyarb.domain.market import FREE

CONFIG = ArenaConfig(histogram_count=1, token_count=300, relation_count=4, leg_count=300)
NOW = 10**10
DOLLAR = 10**6


class Rig:
    """An arena with three tokens that cost what is quoted."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.books = Books(arena, NOW)
        self.ticker = Ticker(arena)
        self.relations = Relations(arena)
        for slot in range(3):
            assert self.books.add(str(7 + slot), NOW) == slot
            self.books.set_fee(slot, FREE)

    def text(self, slot: int, ask: str, bid: str = "") -> bytes:
        asks = [{"price": ask, "size": "5"}] if ask else []
        bids = [{"price": bid, "size": "5"}] if bid else []
        message = {"event_type": "book", "asset_id": str(7 + slot), "bids": bids, "asks": asks}
        return json.dumps(message).encode()

    def quote(self, slot: int, ask: str, bid: str = "", now_ns: int = NOW) -> int:
        self.ticker.tick(self.text(slot, ask, bid), now_ns)
        return self.ticker.report.opportunity_count


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Arena.create(config=CONFIG) as arena:
        yield Rig(arena)


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_the_unit_holds_in_c(c_program: Callable[..., str], flavour: str) -> None:
    out = c_program("unit/csrc/test_scan.c", flavour)
    assert "scan: ok" in out
    assert "scalar ok" in out


@pytest.mark.parametrize(("flavour", "frames"), [("plain", 300_000), ("thread", 20_000)])
def test_readers_do_not_disturb_it(
    c_program: Callable[..., str], flavour: str, frames: int
) -> None:
    assert "scan stress: ok" in c_program("stress/stress_scan.c", flavour, str(frames))


def test_names_agree_with_the_core() -> None:
    assert len(ENDS) == lib.PA_END_COUNT == len(End)
    assert len(set(SCAN_COUNTERS)) == lib.PA_SCAN_COUNT
    assert ENDS[End.NOT_LIVE].name == "NOT_LIVE"


def test_an_opportunity_from_a_frame_to_python_and_back(rig: Rig) -> None:
    key = rig.relations.add([(0, 1), (1, 2)], 2 * DOLLAR, NOW, min_edge_e6=1000)
    assert rig.relations.next() is None
    assert rig.quote(0, "0.5") == 0
    assert rig.quote(1, "0.7") == 1
    seen = rig.relations.next()
    assert seen is not None
    assert (seen.id, seen.open, seen.end) == (key, True, End.NONE)
    assert (seen.edge_e6, seen.best_edge_e6, seen.opened_count) == (100_000, 100_000, 1)
    assert (seen.first_ns, seen.last_ns, seen.ended_ns) == (NOW, NOW, 0)
    assert [tuple(leg) for leg in seen.legs] == [(0, 1, 1, 500_000), (1, 2, 1, 700_000)]
    assert rig.relations.info().violated_count == 1
    assert rig.quote(1, "0.75", now_ns=NOW + 5) == 0
    ended = rig.relations.next()
    assert ended is not None
    assert (ended.open, ended.end, ended.ended_ns) == (False, End.PRICE, NOW + 5)
    assert ended == rig.relations.read(key)
    assert list(rig.relations.drain()) == []


def test_a_socket_read_evaluates_once_at_its_end(rig: Rig) -> None:
    rig.relations.add([(0, 1), (1, 1)], DOLLAR, NOW)
    splitter = Splitter(4096)
    quotes = ((0, "0.3"), (1, "0.3"), (1, "0.8"), (0, "0.1"), (1, "0.7"))
    wire = b"".join(framed(rig.text(slot, ask)) for slot, ask in quotes)
    rig.ticker.stream(splitter, splitter.write(wire), NOW)
    assert rig.ticker.report.opportunity_count == 1
    (seen,) = rig.relations.drain()
    assert (seen.edge_e6, seen.opened_count) == (200_000, 1)


def test_what_changed_outside_a_frame_is_told_or_swept(rig: Rig) -> None:
    key = rig.relations.add([(0, 1), (1, 1)], DOLLAR, NOW)
    rig.quote(0, "0.4")
    rig.quote(1, "0.4")
    rig.books.mark(0, State.FROZEN, NOW)
    assert rig.relations.read(key).open  # not told
    assert rig.relations.changed([0], NOW) == 0
    assert rig.relations.read(key).end is End.NOT_LIVE
    rig.books.clear(0, State.FROZEN, NOW)
    assert rig.relations.sweep(NOW) == (1, 1, 1, 1, 0)
    assert rig.relations.read(key).open
    assert rig.relations.sweep(NOW + 10**12) == (1, 1, 0, 0, 0)
    assert rig.relations.read(key).end is End.STALE
    assert scan_counters(rig.arena)["withheld_stale"] == 1


@pytest.mark.parametrize(
    ("legs", "payoff", "edge", "message"),
    [
        ([(0, 1)], 1, 0, "legs of a relation 1 is outside 2..256"),
        ([(slot, 1) for slot in range(257)], 1, 0, "legs of a relation 257 is outside"),
        ([(0, 0), (1, 1)], 1, 0, "weight 0 is outside 1..512"),
        ([(0, 256), (1, 257)], 1, 0, "sum of weights 513 is outside 1..512"),
        ([(0, 1), (0, 1)], 1, 0, "slot 0 is twice"),
        ([(0, 1), (3, 1)], 1, 0, r"a leg's slot is of no token: \[0, 3\]"),
        ([(0, 1), (1, 1)], 0, 0, "payoff_e6 0 is outside 1..512000000"),
        ([(0, 1), (1, 1)], 1, -1, "min_edge_e6 -1 is outside"),
    ],
)
def test_a_wrong_relation_is_refused_by_name(
    rig: Rig, legs: Any, payoff: int, edge: int, message: str
) -> None:
    with pytest.raises(errors.RangeError, match=message):
        rig.relations.add(legs, payoff, NOW, min_edge_e6=edge)
    assert rig.relations.info().relation_count == 0


def test_what_is_full_is_named(rig: Rig) -> None:
    keys = [rig.relations.add([(0, 1), (1, 1)], DOLLAR, NOW) for _ in range(4)]
    with pytest.raises(errors.CapacityError, match=r"arena\.relation_count 4"):
        rig.relations.add([(0, 1), (1, 1)], DOLLAR, NOW)
    rig.relations.remove(keys[0], NOW)
    for slot in range(3, 300):
        rig.books.add(str(7 + slot), NOW)
    rig.relations.remove(rig.relations.add([(slot, 1) for slot in range(256)], DOLLAR, NOW), NOW)
    rig.relations.add([(slot, 1) for slot in range(256)], DOLLAR, NOW)
    rig.relations.remove(keys[1], NOW)
    message = r"arena\.leg_count 300: 260 used, no room for 41"
    with pytest.raises(errors.CapacityError, match=message):
        rig.relations.add([(slot, 1) for slot in range(41)], DOLLAR, NOW)


def test_a_relation_that_is_not_there_is_refused(rig: Rig) -> None:
    key = rig.relations.add([(0, 1), (1, 1)], DOLLAR, NOW)
    assert rig.relations.remove(key, NOW).end is End.NONE
    for call in (rig.relations.read, lambda k: rig.relations.remove(k, NOW)):
        for wrong in (key, 0, 2**64 - 1):
            with pytest.raises(errors.RangeError, match=f"relation {wrong}"):
                call(wrong)


def test_relations_need_an_arena_with_room_for_them(tmp_path: Path) -> None:
    with (
        Arena.create(config=ArenaConfig(token_count=4)) as arena,
        pytest.raises(errors.ArenaAccessError, match=r"arena\.relation_count is 0"),
    ):
        Relations(arena)
    with Arena.create(tmp_path / "a", config=CONFIG), Arena.attach(tmp_path / "a") as reader:
        assert scan_counters(reader)["sweeps"] == 0
        with pytest.raises(errors.ArenaAccessError, match="read-only"):
            Relations(reader)
    with (
        Arena.create() as arena,
        pytest.raises(errors.ArenaAccessError, match=r"arena\.token_count is 0"),
    ):
        TopScan(arena, 0)


def test_the_next_process_begins_without_relations(tmp_path: Path) -> None:
    path = tmp_path / "arena"
    with Arena.create(path, config=CONFIG) as arena:
        rig = Rig(arena)
        key = rig.relations.add([(0, 1), (1, 1)], DOLLAR, NOW)
        rig.quote(0, "0.4")
        assert rig.quote(1, "0.4") == 1
    with Arena.own(path) as arena:
        books, ticker = Books(arena, NOW), Ticker(arena)
        assert ticker.tick(rig.text(0, "0.3"), NOW) == 1
        assert ticker.tick(rig.text(1, "0.3"), NOW) == 1
        assert ticker.report.opportunity_count == 0  # nobody made Relations yet
        relations = Relations(arena)
        assert list(relations.drain()) == []
        with pytest.raises(errors.RangeError):
            relations.read(key)
        again = relations.add([(0, 1), (1, 1)], DOLLAR, NOW)
        assert again != key
        assert [seen.id for seen in relations.drain()] == [again]
        del books


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"relation_count": 1}, r"arena\.relation_count 1 is outside 0\.\.0"),
        ({"token_count": 1, "leg_count": 2}, r"arena\.leg_count 2 is outside 0\.\.0"),
        ({"token_count": 1, "opportunity_count": 2}, r"arena\.opportunity_count 2 is outside"),
        ({"token_count": 1, "relation_count": 1, "leg_count": 1}, r"arena\.leg_count 1"),
        (
            {"token_count": 1, "relation_count": 1, "opportunity_count": 3},
            r"arena\.opportunity_count 3 is not a power of two",
        ),
        ({"token_count": 1, "relation_count": 2**18 + 1}, r"arena\.relation_count 262145"),
    ],
)
def test_a_wrong_capacity_is_named(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(errors.RangeError, match=message):
        ArenaConfig(**wrong)


def test_capacities_have_defaults() -> None:
    config = ArenaConfig(token_count=10, relation_count=100)
    assert (config.leg_count, config.opportunity_count) == (800, 128)
    with Arena.create(config=config) as arena:
        assert arena.info.config == config


def test_the_tops_are_scanned_in_one_go(rig: Rig) -> None:
    rig.quote(0, "0.6", "0.4")
    rig.quote(1, "0.6", "0.3")
    scan = TopScan(rig.arena, 3)
    assert (scan.crossed(), scan.unmirrored()) == ([], [])
    rig.books.pair(0, 1)
    scan.pair()
    assert scan.unmirrored() == [0, 1]
    rig.quote(1, "0.6", "0.4")
    assert scan.unmirrored() == []
    rig.quote(2, "0.5", "0.5")
    assert scan.crossed() == [2]
    with pytest.raises(errors.RangeError, match="count 301"):
        TopScan(rig.arena, 301)
