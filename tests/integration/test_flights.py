"""
Random baskets through random faults and restarts, in virtual time; every promise is held to.

A hundred thousand of them: ``python -m bench.flights --baskets 100000``. ``POLYARB_FLIGHT_WORLDS``
says how many worlds are tried here, and ``POLYARB_FLIGHT_SEED`` which is the first.
"""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from flights import LIMITS, World
from trials import Tally, check, fly

from polyarb.domain.basket import Outcome

WORLDS = int(os.environ.get("POLYARB_FLIGHT_WORLDS", "12"))
FIRST = int(os.environ.get("POLYARB_FLIGHT_SEED", "1"))


@pytest.mark.parametrize("part", range(4))
def test_no_basket_is_lost_whatever_the_world_does(part: int, tmp_path: Path) -> None:
    tally = Tally()
    for seed in range(FIRST + part, FIRST + WORLDS, 4):
        tally.add(fly(tmp_path / f"{seed}" / "journal", seed))
    print(tally)
    assert tally.outcomes["complete"] > 0


def test_answers_are_told_though_nobody_says_which_orders_are_taken(tmp_path: Path) -> None:
    world = World(tmp_path / "journal", 1)
    world.rig.fault("error_200", match={"path": "POST /orders"}, count=1)
    world.rig.fault("request_lost", match={"path": "GET /version"}, for_s=30)
    plan = world.plan([(world.rig.market, 0), (world.rig.market, 1)], 10_000_000)
    assert plan
    world.at(0.1, lambda: world.submit(plan))
    world.play()
    assert "GET /version" in world.rig.asked
    assert check(world) == {"failed": 1}


def test_what_an_exchange_of_the_first_generation_takes_is_learnt(tmp_path: Path) -> None:
    venue = {"generation": "v1"}
    world = World(tmp_path / "journal", 1, venue=venue, signature_type=0)
    legs = [(world.rig.market, 0), (world.rig.market, 1)]
    for at_s in (0.1, 5):
        plan = world.plan(legs, 10_000_000)
        assert plan
        world.at(at_s, partial(world.submit, plan))
    world.play()
    assert check(world) == {"failed": 1, "complete": 1}


def test_as_many_baskets_are_open_as_the_breaker_allows(tmp_path: Path) -> None:
    world = World(tmp_path / "journal", 1, limits=replace(LIMITS, open_positions=2))
    legs = [(world.rig.market, 0), (world.rig.market, 1)]
    plans = [world.plan(legs, 10_000_000) for _ in range(4)]
    for at_s, plan in zip((0.1, 0.1, 0.1, 30), plans, strict=True):
        assert plan
        world.at(at_s, partial(world.submit, plan))
    world.play()
    assert check(world) == {"complete": 3, "blocked": 1}
    assert world.results["b3"].outcome is Outcome.BLOCKED


def test_the_runner_says_what_became_of_everything() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.flights", "--worlds", "1"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert " baskets in 1 worlds" in run.stdout
    assert "worlds in which a promise was broken: 0" in run.stdout
