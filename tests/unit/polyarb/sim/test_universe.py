"""The generated catalogue: everything is in it, it adds up, and a seed gives it again."""

from itertools import pairwise

import pytest

from polyarb.sim.catalog import Catalog, Event, Structure
from polyarb.sim.config import START_NS
from polyarb.sim.universe import DEFAULT_SIZE, FEES, generate, next_updown

MINUTE_NS = 60_000_000_000
SEEDS = range(1, 9)


def everything(catalog: Catalog) -> list[str]:
    return [repr(event) for event in catalog.events]


def of(catalog: Catalog, *structures: Structure) -> list[Event]:
    return [event for event in catalog.events if event.structure in structures]


def test_a_seed_gives_the_same_catalogue_again() -> None:
    assert everything(generate(7, 300)) == everything(generate(7, 300))
    assert everything(generate(7)) != everything(generate(8))


def test_ids_of_a_seed_are_pinned() -> None:
    """They are hashes of names: a change here breaks recorded runs."""
    fed = generate(1).events[2]
    assert fed.slug == "fed-decision-in-december"
    assert fed.markets[0].condition_id[:14] == "0xc4e6e505ab6a"


@pytest.mark.parametrize("seed", SEEDS)
def test_default_has_every_structure_tick_fee_and_delay(seed: int) -> None:
    catalog = generate(seed)
    markets = list(catalog.markets.values())
    assert (len(catalog.events), len(markets)) == (24, DEFAULT_SIZE)
    assert {event.structure for event in catalog.events} == set(Structure)
    assert {market.tick_e4 for market in markets} == {1000, 100, 50, 25, 10, 1}
    assert {repr(market.fee) for market in markets} == {repr(fee) for fee in FEES.values()}
    assert {fee.exponent for market in markets if (fee := market.fee)} == {1, 2}
    assert any(market.seconds_delay for market in markets)
    assert any(market.taker_delay for market in markets)
    sizes = {len(event.markets) for event in of(catalog, Structure.NEGRISK)}
    assert {3, 12} <= sizes
    assert {event.neg_risk for event in catalog.events if event.markets[0].v3} == {True, False}


@pytest.mark.parametrize("size", [DEFAULT_SIZE, 3000])
def test_every_id_and_slug_is_used_once(size: int) -> None:
    catalog = generate(2, size)
    markets = [market for event in catalog.events for market in event.markets]
    assert size <= len(markets) < size + 15
    for name in ("gamma_id", "condition_id", "question_id", "slug"):
        assert len({getattr(market, name) for market in markets}) == len(markets), name
    assert len(catalog.tokens) == 2 * len(markets)
    assert len({event.id for event in catalog.events}) == len(catalog.events)
    assert len({event.slug for event in catalog.events}) == len(catalog.events)


@pytest.mark.parametrize("seed", SEEDS)
def test_neg_risk_question_ids_are_the_market_id_and_the_index(seed: int) -> None:
    for event in of(generate(seed), Structure.NEGRISK, Structure.AUGMENTED):
        for index, market in enumerate(event.markets):
            assert market.index == index
            assert market.neg_risk
            assert market.question_id == f"{event.neg_risk_id[:-2]}{index:02x}"


def test_position_ids_have_the_layout_of_section_8() -> None:
    markets = [market for market in generate(1).markets.values() if market.v3]
    for market in markets:
        for outcome, token in enumerate(market.tokens):
            position = int(token)
            assert position >> 248 == (2 if market.neg_risk else 1)
            assert position & ((2**64 - 1) << 40) == 0
            assert f"0x{position:064x}" == f"{market.condition_id}{outcome:02x}"
    assert len(markets) == 5


@pytest.mark.parametrize("size", [DEFAULT_SIZE, 1000])
@pytest.mark.parametrize("seed", SEEDS)
def test_fair_prices_fit_together_and_keep_two_ticks_away_from_0_and_1(
    seed: int, size: int
) -> None:
    for event in generate(seed, size).events:
        fair = event.initial
        assert len(fair) == len(event.markets)
        for price, market in zip(fair, event.markets, strict=True):
            edge = 2 * market.tick_e4 / 10_000
            assert edge - 1e-9 <= price <= 1 - edge + 1e-9, market.slug
        if event.neg_risk:
            assert sum(fair) == pytest.approx(1)
        ladder = [
            (market.bounds[0] or 0, market.bounds[1] or 2**62, price)
            for market, price in zip(event.markets, fair, strict=True)
            if market.bounds
        ]
        assert bool(ladder) == (
            event.structure in {Structure.LADDER, Structure.RANGES, Structure.DATES}
        )
        for low, high, price in ladder:
            for lower, higher, other in ladder:
                if lower <= low and high <= higher:
                    assert price <= other + 1e-9, event.slug


@pytest.mark.parametrize("seed", SEEDS)
def test_a_range_is_what_lies_between_two_steps(seed: int) -> None:
    for event in of(generate(seed), Structure.RANGES):
        price = {
            market.bounds: fair for market, fair in zip(event.markets, event.initial, strict=True)
        }
        steps = sorted(bounds[0] for bounds in price if bounds and bounds[1] is None and bounds[0])
        assert len(steps) > 1
        for low, high in pairwise(steps):
            assert price[low, None] == pytest.approx(price[low, high] + price[high, None])


def test_augmented_events_have_placeholders_other_and_one_that_waits() -> None:
    for event in of(generate(1), Structure.AUGMENTED):
        unnamed = [market for market in event.markets if market.placeholder]
        assert [market.group_title for market in unnamed] == ["Person A", "Person B", "Other"]
        assert [market.accepting for market in unnamed] == [True, False, True]
        assert all(market.accepting for market in event.markets if not market.placeholder)


def test_dates_follow_the_start() -> None:
    start_ns = 1_900_000_000_000_000_000
    for event in generate(1, 500, start_ns).events:
        for market in event.markets:
            assert market.start_ms < start_ns // 1_000_000 < market.end_ms
            assert market.end_ms <= event.end_ms


def test_updown_markets_follow_each_other_without_a_gap() -> None:
    now, later = (next_updown(1, START_NS + after * MINUTE_NS).markets[0] for after in (4, 5))
    again = next_updown(1, START_NS).markets[0]
    assert now.condition_id == again.condition_id != later.condition_id
    assert now.condition_id in generate(1).markets
    assert now.end_ms == START_NS // 1_000_000 + 300_000
    assert later.end_ms == now.end_ms + 300_000
    assert later.slug == f"btc-updown-5m-{now.end_ms // 1000}"
    assert later.question == "Bitcoin Up or Down - November 19, 7:05PM-7:10PM ET"
    assert later.outcomes == ("Up", "Down")
    assert later.taker_delay
    assert len({next_updown(1, START_NS, coin).id for coin in range(4)}) == 4
