"""
The simulated exchange knows what its own markets imply; from what Gamma tells we find the same.

Neither side has seen the other's code: the exchange has the bounds of its markets as numbers, we
have their texts.
"""

import json
from collections import Counter

import pytest

from polyarb.detection.build import build
from polyarb.detection.policy import Policy
from polyarb.exchange.gamma import Reader, read_page
from polyarb.sim import gamma, mispricing
from polyarb.sim.universe import generate
from polyarb.sim.venue import Venue, VenueConfig

ONE = 1_000_000


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("seconds_delay", [False, True])
def test_every_relation_of_the_exchange_is_found_and_no_decoy(seed, seconds_delay):
    catalog = generate(seed, size=400)
    venue = Venue(VenueConfig(ip_limits=False), catalog, seed=seed)
    told = {"events": [gamma.gamma_event(venue, event, {}) for event in catalog.events]}
    reader = Reader()
    reader.add(read_page(json.dumps(told).encode()))
    built = build(reader.events(), None, Policy(seconds_delay=seconds_delay))
    found = {frozenset(relation.tokens): relation for relation in built.relations.values()}

    seen: Counter[str] = Counter()
    for relation in (each for event in catalog.events for each in mispricing.relations(event)):
        tokens = frozenset(market.tokens[outcome] for market, outcome in relation.legs)
        markets = [market for market, _ in relation.legs]
        tradable = all(market.accepting and market.active for market in markets)
        delayed = any(market.seconds_delay for market in markets)
        if relation.decoy or not tradable or (delayed and not seconds_delay):
            assert tokens not in found, relation
        else:
            assert found[tokens].payoff_e6 == relation.payoff * ONE, relation
            seen[relation.kind] += 1
    assert set(seen) == set(mispricing.Kind)
    assert all(count >= 8 for count in seen.values()), seen
