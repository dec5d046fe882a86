"""Relations and scans of the tops against their slow twins, on every kernel."""

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from reference import scan as slow

from polyarb._core import ffi, lib
from polyarb.core import base
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books
from polyarb.core.scan import Relations, Sighting, scan_counters
from polyarb.core.tick import Ticker
from polyarb.domain.market import FeeSchedule

TOKENS = 24
SECOND = 1_000_000_000


@pytest.fixture(params=["scalar", "avx2", "avx512"], scope="module", autouse=True)
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run every test with each kernel this machine has."""
    before = base.kernel()
    if request.param not in base.kernels():
        pytest.skip(f"this machine has no {request.param}")
    base.select_kernel(request.param)
    yield request.param
    base.select_kernel(before)


class Both:
    """The core and its twin, given the same."""

    def __init__(self, arena: Arena, draw: random.Random) -> None:
        self.draw = draw
        self.now = 100 * SECOND
        self.arena = arena
        self.books = Books(arena, self.now)
        self.ticker = Ticker(arena)
        self.relations = Relations(arena)
        self.twin = slow.Scan(TOKENS)
        for slot in range(TOKENS):
            assert self.books.add(str(500 + slot), self.now) == slot

    def costs(self, slots: list[int]) -> dict[int, int | None]:
        return {slot: self.twin.books[slot].cost_e6() for slot in slots}

    def frame(self) -> None:
        slots = [self.draw.randrange(TOKENS) for _ in range(self.draw.choice((1, 1, 2, 3, 8)))]
        before, messages = self.costs(slots), []
        for slot in slots:
            e4 = self.draw.choice((0, 100, 9900, *range(3000, 7000, 100)))
            asks = [{"price": f"{e4 / 10_000:.4f}", "size": "7"}] if e4 else []
            messages.append({"asset_id": str(500 + slot), "bids": [], "asks": asks})
            book = self.twin.books[slot]
            book.ask_e4, book.live, book.recv_ns = e4, True, self.now
            book.updates += 1
        text = json.dumps([{"event_type": "book", **m} for m in messages]).encode()
        assert self.ticker.tick(text, self.now) == len(set(slots))
        assert self.ticker.report.opportunity_count == self.twin.changed(before, self.now)

    def fee(self) -> None:
        slot = self.draw.randrange(TOKENS)
        before, book = self.costs([slot]), self.twin.books[slot]
        book.rate_e6 = self.draw.choice((None, 0, 0, 1, 25_000, 250_000, 1_000_000))
        book.exponent = self.draw.choice((1, 2))
        schedule = None
        if book.rate_e6 is not None:
            schedule = FeeSchedule(rate_e6=book.rate_e6, exponent=book.exponent)
        self.books.set_fee(slot, schedule)
        assert self.relations.changed([slot], self.now) == self.twin.changed(before, self.now)

    def reset(self) -> None:
        slot = self.draw.randrange(TOKENS)
        before, book = self.costs([slot]), self.twin.books[slot]
        self.books.reset(slot, self.now)
        book.live, book.ask_e4, book.recv_ns = False, 0, 0
        assert self.relations.changed([slot], self.now) == self.twin.changed(before, self.now)

    def add(self) -> None:
        count = self.draw.choice((2, 2, 2, 3, 4, 7, 16, 17, TOKENS))
        slots = self.draw.sample(range(TOKENS), count)
        legs = [(slot, self.draw.choice((1, 1, 1, 2, 5))) for slot in slots]
        payoff = sum(weight for _, weight in legs) * self.draw.randrange(300_000, 700_000)
        edge = self.draw.choice((0, 0, 1, 20_000))
        key = self.relations.add(legs, payoff, self.now, min_edge_e6=edge)
        assert key not in self.twin.relations
        self.twin.relations[key] = slow.Relation(legs, payoff, edge)
        self.twin.evaluate(key, self.now)

    def remove(self) -> None:
        if self.twin.relations:
            key = self.draw.choice(sorted(self.twin.relations))
            ours = self.relations.remove(key, self.now)
            self.same(ours, self.twin.remove(key, self.now))

    def edge(self) -> None:
        if self.twin.relations:
            key = self.draw.choice(sorted(self.twin.relations))
            edge = self.draw.randrange(0, 100_000)
            self.twin.relations[key].min_edge_e6 = edge
            self.relations.set_min_edge(key, edge, self.now)
            self.twin.evaluate(key, self.now)

    def sweep(self) -> None:
        violated, sightings = self.twin.sweep(self.now)
        ours = self.relations.sweep(self.now)
        assert ours == (len(self.twin.relations), violated, sightings, 0, 0)

    def drain(self) -> None:
        found = list(self.relations.drain())
        assert len(found) == len({sighting.id for sighting in found})
        assert {sighting.id for sighting in found} == self.twin.waiting
        for sighting in found:
            self.same(sighting, self.twin.relations[sighting.id])
        self.twin.waiting.clear()

    def time(self) -> None:
        self.now += self.draw.choice((1, SECOND // 10, SECOND, 2 * SECOND))

    def same(self, ours: Sighting, theirs: slow.Relation) -> None:
        for name in slow.Relation.__dataclass_fields__:
            if name in ("legs", "seen", "end"):
                continue
            assert getattr(ours, name) == getattr(theirs, name), name
        assert ours.end.name.lower() == theirs.end
        assert [(leg.slot, leg.weight) for leg in ours.legs] == theirs.legs
        if theirs.opened_count:
            assert [(leg.version, leg.cost_e6) for leg in ours.legs] == theirs.seen

    def check(self) -> None:
        for key, relation in self.twin.relations.items():
            self.same(self.relations.read(key), relation)
        counters = scan_counters(self.arena)
        assert {name: counters[name] for name in self.twin.counters} == self.twin.counters
        assert counters["untold"] == counters["wrong"] == counters["ring_overflows"] == 0


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 300))
def test_relations_are_what_sums_made_anew_say(seed: int, steps: int) -> None:
    config = ArenaConfig(histogram_count=1, token_count=TOKENS, relation_count=512, leg_count=4096)
    with Arena.create(config=config) as arena:
        both = Both(arena, random.Random(seed))
        for slot in range(TOKENS):
            both.twin.books[slot].rate_e6 = 0
            both.books.set_fee(slot, FeeSchedule(rate_e6=0))
        ways = (*(both.frame,) * 12, *(both.add,) * 4, both.fee, both.reset, both.remove)
        for _ in range(steps):
            both.draw.choice((*ways, both.remove, both.edge, both.sweep, both.drain, both.time))()
        both.check()
        both.drain()
        both.sweep()


TOPS = st.builds(
    lambda bid, ask, rest: bid | ask << 14 | rest << 28,
    st.sampled_from((0, 1, 4000, 5000, 6000, 9999, 16383)),
    st.sampled_from((0, 1, 4000, 5000, 6000, 9999, 10000, 16383)),
    st.integers(0, 2**36 - 1),
)


def prices(top: int) -> tuple[int, int]:
    return top & 0x3FFF, top >> 14 & 0x3FFF


def bits_of(call: str, *arguments: object, count: int) -> list[int]:
    bits = ffi.new("uint64_t[]", [2**64 - 1] * ((count + 63) // 64))
    getattr(lib, call)(*arguments, count, bits)
    return [i for i in range(64 * len(bits)) if bits[i // 64] >> i % 64 & 1]


@given(tops=st.lists(TOPS, max_size=200), data=st.data())
def test_tops_are_scanned_as_one_by_one(tops: list[int], data: st.DataObject) -> None:
    count = len(tops)
    given_tops = ffi.new("uint64_t[]", tops)
    crossed = [i for i, (bid, ask) in enumerate(map(prices, tops)) if bid and ask and bid >= ask]
    assert bits_of("pa_scan_crossed", given_tops, count=count) == crossed
    pairs = [i ^ 1 for i in range(count)]
    for _ in range(data.draw(st.integers(0, 4)) if count else 0):
        pairs[data.draw(st.integers(0, count - 1))] = data.draw(
            st.sampled_from((lib.PA_SLOT_NONE, 0, count - 1, count, count + 1))
        )
    wrong = []
    for i, other in enumerate(pairs):
        if other < count:
            (bid, ask), (other_bid, other_ask) = prices(tops[i]), prices(tops[other])
            if {bid + other_ask, ask + other_bid} - {0, 10_000}:
                wrong.append(i)
    assert bits_of("pa_scan_mirror", given_tops, ffi.new("uint32_t[]", pairs), count=count) == wrong
