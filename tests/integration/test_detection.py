"""
From mispricings of the simulated exchange, over its sockets, to decisions.

The venue keeps its own account of what could have been earned (`polyarb.sim.mispricing`), made by
other code than what is judged here.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import pytest

from polyarb import clock
from polyarb.control import config as configuration
from polyarb.control.engine import Decision, Engine
from polyarb.core.basket import DUST_E6
from polyarb.detection.build import BUILDERS, build
from polyarb.detection.policy import Policy
from polyarb.detection.relation import Kind
from polyarb.domain.opportunity import End, Skip
from polyarb.exchange.catalog import Universe
from polyarb.exchange.client import Client
from polyarb.exchange.discovery import Discovery
from polyarb.sim import scenarios
from polyarb.sim.exchange import Exchange
from polyarb.sim.mispricing import Mispricing, relations
from polyarb.sim.server import Server

pytestmark = pytest.mark.asyncio

MS = 1_000_000
LONG_NS = 1_200 * MS
"""What lived so long must have been seen: the venue takes 0.1 s to publish, and hosts are busy."""
LATE_NS = 3_000 * MS
"""A decision may come so long after what it is about has ended."""

BETWEEN_MARKETS = [kind for kind in BUILDERS if kind not in {Kind.CROSSED, Kind.COMPLEMENT}]


@dataclass(frozen=True)
class Run:
    """
    What a run on an exchange came to.

    Attributes:
        decisions: With their times on the wall clock.
        records: The venue's own.
        watched: Legs of the relations, as sets of tokens.
        until_ns: When the engine stopped, on the wall clock.
        said: What it told, likewise.
    """

    engine: Engine
    decisions: list[tuple[int, Decision]]
    records: list[Mispricing]
    watched: set[frozenset[str]]
    until_ns: int
    said: list[tuple[int, str]]
    exchange: Exchange

    def about(self, tokens: frozenset[str]) -> Iterable[tuple[int, Decision]]:
        return [
            (at_ns, decision)
            for at_ns, decision in self.decisions
            if frozenset(leg.token for leg in decision.seen.legs) == tokens
        ]


def tokens_of(record: Mispricing) -> frozenset[str]:
    return frozenset(market.tokens[outcome] for market, outcome in record.relation.legs)


async def made(seconds: float, seed: int, *, faults: tuple[str, ...] = (), **market: float) -> Run:
    scenario = scenarios.find("default")
    scenario = msgspec.structs.replace(
        scenario, market=msgspec.structs.replace(scenario.market, **market)
    )
    server = Server(Exchange(scenario, seed=seed, start_ns=clock.wall_ns()))
    url = await server.start()
    venue = server.exchange.venue
    for name in faults:
        server.driver.act(lambda name=name: venue.faults.add({"name": name, "at_s": 2.0}))
    decisions: list[tuple[int, Decision]] = []
    said: list[tuple[int, str]] = []
    try:
        async with Client(clob_url=url, gamma_url=url, attempts=1) as client:
            discovery = Discovery(client)
            await discovery.load(clock.monotonic_ns())
            catalog = discovery.catalog
            wall_ns = clock.wall_ns() - clock.monotonic_ns()
            engine = Engine(
                configuration.load(),
                catalog=catalog,
                discovery=discovery,
                markets=Universe().select(catalog.events.values(), clock.wall_ms()).markets,
                build=lambda events: build(events, BETWEEN_MARKETS, Policy()),
                client=client,
                market_ws_url=f"ws{url.removeprefix('http')}/ws/market",
                say=lambda line: said.append((clock.wall_ns(), line)),
                on_signal=lambda each: decisions.append((each.at_ns + wall_ns, each)),
            )
            await engine.run(asyncio.Event(), seconds)
            until_ns = clock.wall_ns()
    finally:
        await server.stop()
    assert venue.scorer
    watched = {frozenset(each.tokens) for each in engine.built.relations.values()}
    records = venue.scorer.records()
    return Run(engine, decisions, records, watched, until_ns, said, server.exchange)


def pays_at_least(run: Run, legs: frozenset[str]) -> int:
    """Return what a share of each of these tokens pays together, by the venue's own bounds."""
    known = [run.exchange.venue.catalog.tokens[token] for token in legs]
    spans = [(market.bounds or (None, None), outcome) for market, outcome in known]
    cuts = {cut for span, _ in spans for cut in span if cut is not None}
    values = [cut + side for cut in cuts for side in (-1, 0, 1)]

    def inside(span: tuple[int | None, int | None], value: int) -> bool:
        low, high = span
        return (low is None or value >= low) and (high is None or value < high)

    return min(sum(inside(span, v) is (outcome == 0) for span, outcome in spans) for v in values)


async def test_what_was_executable_is_seen_and_no_decoy_is_taken():
    run = await made(12, 7, mispricings_per_min=300.0, rival_ms=2_500.0)
    real = [
        record
        for record in run.records
        if not record.decoy
        and tokens_of(record) in run.watched
        and (record.spent_ns or run.until_ns) - record.opened_ns > LONG_NS
    ]
    kinds = {record.relation.kind for record in real}
    assert len(real) >= 4, "the venue was quieter than meant"
    assert len(kinds) >= 2
    unseen = [
        record
        for record in real
        if not any(
            record.opened_ns <= at_ns <= (record.closed_ns or run.until_ns) + LATE_NS
            for at_ns, _ in run.about(tokens_of(record))
        )
    ]
    assert not unseen
    taken = [(at, each) for at, each in run.decisions if each.verdict.skip is None]
    assert taken
    known = {
        frozenset(market.tokens[outcome] for market, outcome in relation.legs)
        for event in run.exchange.venue.catalog.events
        for relation in relations(event)
    }
    for at_ns, decision in taken:
        legs = frozenset(leg.token for leg in decision.seen.legs)
        plan = decision.verdict.plan
        assert plan
        sized = plan.sized
        if legs in known:
            assert any(
                tokens_of(record) == legs
                and not record.decoy
                and record.opened_ns <= at_ns <= (record.spent_ns or at_ns) + LATE_NS
                for record in run.records
            ), f"{decision.seen.relation} was no mispricing"
        else:  # the venue looks at a range's two parts only
            assert decision.seen.relation.startswith("range:")
            least = pays_at_least(run, legs)
            short_e6 = least * sized.sets_e6 - sized.payoff_e6
            assert 0 <= short_e6 <= DUST_E6 * len(legs)
        assert sized.profit_e6 > 0
        assert sized.worst_loss_e6 <= 100_000_000
    summary = run.engine.summary()
    # The summary is of the moment the run ended; the connection's end may bring a few more.
    assert 0 < summary["opportunities"] <= run.engine.lives.count
    assert summary["scan"]["wrong"] == summary["scan"]["ring_overflows"] == 0
    assert summary["hot_path_rest_calls"] == 0
    assert sum(each["count"] for each in summary["survival"].values()) <= run.engine.lives.count


async def test_decoys_are_left_alone_and_each_has_its_reason():
    run = await made(8, 11, mispricings_per_min=300.0, decoy_share=1.0, news=0.0, takers=0.0)
    decoys = [record for record in run.records if record.decoy]
    assert len(decoys) >= 3
    for record in decoys:
        legs = tokens_of(record)
        if record.decoy == "augmented":
            assert legs not in run.watched
        for at_ns, decision in run.about(legs):
            if record.opened_ns <= at_ns <= (record.closed_ns or at_ns):
                assert decision.verdict.skip in {Skip.SIZE, Skip.PROFIT}, record


async def test_a_lost_feed_ends_what_is_open_and_nothing_fires_on_it():
    run = await made(6, 7, faults=("abort_1006",), mispricings_per_min=300.0, rival_ms=5_000.0)
    ended = [life for life in run.engine.lives.done if life.end is End.NOT_LIVE]
    assert ended, "nothing was open when the connection went"
    (lost_ns,) = [at_ns for at_ns, line in run.said if "lost: 1006" in line]
    back_ns = min(at for at, line in run.said if line.endswith(" tokens") and at > lost_ns)
    assert not [each for at, each in run.decisions if lost_ns < at < back_ns]
    assert [each for at, each in run.decisions if at > back_ns], "and it comes back"
    assert run.engine.summary()["hot_path_rest_calls"] == 0
