"""Relations into the arena and opportunities out of it, and what becomes of them."""

import json

import pytest

from polyarb.book.registry import Pair, Registry
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books, State
from polyarb.core.scan import Relations
from polyarb.core.tick import Ticker
from polyarb.detection.detector import Detector
from polyarb.detection.lives import KEPT, Lives
from polyarb.detection.relation import Kind, Leg, Realise, Relation
from polyarb.detection.relation import State as Outcome
from polyarb.domain.market import FREE, FeeSchedule
from polyarb.domain.opportunity import End, Opportunity
from polyarb.errors import CapacityError, SelfTestError

ONE = 1_000_000
MS = 1_000_000


def one_of(*tokens, slug="one of", **more):
    """Return the relation of tokens of which exactly one pays."""
    states = tuple(
        Outcome(f"{token} pays", tuple(ONE * (token == other) for other in tokens))
        for token in tokens
    )
    return Relation(
        **{
            "kind": Kind.NEGRISK_YES,
            "slug": slug,
            "event_id": "1",
            "title": slug,
            "legs": tuple(Leg(token, "Yes") for token in tokens),
            "states": states,
            "until_ms": None,
            "realise": Realise.HOLD,
        }
        | more
    )


class Rig:
    """Tokens 1..6 in an arena, a detector, and the lives of what it saw."""

    def __init__(self, relations=4):
        self.now = 1_000 * MS
        config = ArenaConfig(histogram_count=1, token_count=8, relation_count=relations)
        self.arena = Arena.create(config=config)
        self.books = Books(self.arena, self.now)
        self.ticker = Ticker(self.arena)
        self.registry = Registry(self.books)
        for yes in ("1", "3", "5"):
            pair = Pair(yes=yes, no=str(int(yes) + 1), tick_e4=100, fees=FREE)
            self.registry.add(pair, self.now)
        self.detector = Detector(Relations(self.arena), self.registry)
        self.lives = Lives()

    def quote(self, token, ask, at_ms=0):
        """Give a token one ask of 10 shares, at its place in time."""
        self.now += at_ms * MS
        asks = [{"price": ask, "size": "10"}] if ask else []
        message = {"event_type": "book", "asset_id": token, "bids": [], "asks": asks}
        self.ticker.tick(json.dumps(message).encode(), self.now)
        return self.drain()

    def drain(self):
        seen = list(self.detector.drain())
        for each in seen:
            self.lives.saw(each, "negrisk_yes")
        return seen


@pytest.fixture
def rig():
    rig = Rig()
    rig.detector.watch(one_of("1", "3"), rig.now)
    rig.quote("1", "0.5")
    return rig


def test_an_opportunity_is_named_with_what_was_seen(rig):
    relation = one_of("1", "3")
    (seen,) = rig.quote("3", "0.45", 10)
    assert seen.relation == relation.id
    assert (seen.edge_e6, seen.best_edge_e6, seen.end) == (50_000, 50_000, None)
    assert [(leg.token, leg.weight, leg.cost_e6) for leg in seen.legs] == [
        ("1", 1, 500_000),
        ("3", 1, 450_000),
    ]
    assert [leg.version for leg in seen.legs] == [1, 1]
    assert (seen.first_ns, seen.last_ns, seen.life_ns) == (rig.now, rig.now, 0)


def test_its_life_is_followed_to_its_end(rig):
    rig.quote("3", "0.45", 10)
    rig.quote("3", "0.4", 10)
    rig.quote("3", "0.47", 10)
    (ended,) = rig.quote("3", "0.5", 10)
    assert (ended.end, ended.best_edge_e6, ended.life_ns) == (End.PRICE, 100_000, 30 * MS)
    (life,) = rig.lives.done
    assert (life.number, life.sightings, life.best_edge_e6) == (1, 4, 100_000)
    assert (life.end, life.ended_ns - life.first_ns) == (End.PRICE, 30 * MS)
    assert not rig.lives.open
    told = rig.lives.survival()["negrisk_yes"]
    assert (told["count"], told["ends"], told["mean_best_edge_e6"]) == (1, {"price": 1}, 100_000)
    assert told["life_ns"]["max"] == 30 * MS


@pytest.mark.parametrize(
    ("what", "end"),
    [
        (lambda rig: rig.quote("3", "", 5), End.NOT_LIVE),
        (lambda rig: rig.books.mark(rig.registry.slot("3"), State.GAP, rig.now), End.NOT_LIVE),
        (lambda rig: rig.registry.disable("3", "said so"), End.NOT_LIVE),
        (lambda rig: setattr(rig, "now", rig.now + 1_501 * MS), End.STALE),
    ],
)
def test_why_it_ended_is_told(rig, what, end):
    rig.quote("3", "0.45")
    what(rig)
    rig.detector.sweep(rig.now)
    rig.drain()
    assert [life.end for life in rig.lives.done] == [end]


def test_a_changed_cost_outside_of_frames_can_be_told_at_once(rig):
    rig.quote("3", "0.45")
    rig.registry.disable("3", "said so")
    rig.detector.changed(["3", "no token"], rig.now)
    (ended,) = rig.drain()
    assert ended.end is End.NOT_LIVE


def test_what_opened_again_unseen_is_another_life(rig):
    rig.quote("3", "0.45")
    for ask in ("0.5", "0.44"):  # both before anybody looks
        rig.now += MS
        message = {"event_type": "book", "asset_id": "3", "bids": [], "timestamp": "9"}
        message["asks"] = [{"price": ask, "size": "1"}]
        rig.ticker.tick(json.dumps(message).encode(), rig.now)
    rig.drain()
    assert rig.lives.count == 2
    assert [life.end for life in rig.lives.done] == [End.PRICE]
    assert next(iter(rig.lives.open.values())).first_ns == rig.now


def test_a_relation_with_a_leg_outside_the_run_is_not_watched(rig):
    assert not rig.detector.watch(one_of("1", "99"), rig.now)
    assert len(rig.detector) == 1
    assert rig.detector.watch(one_of("1", "3"), rig.now), "again: no effect"
    assert len(rig.detector) == 1


def test_a_full_arena_says_which_setting(rig):
    for index, tokens in enumerate((("1", "4"), ("2", "3"), ("5", "3"))):
        rig.detector.watch(one_of(*tokens, slug=str(index)), rig.now)
    with pytest.raises(CapacityError, match=r"arena\.relation_count 4"):
        rig.detector.watch(one_of("2", "6"), rig.now)


def test_what_is_forgotten_ends_and_is_not_seen_again(rig):
    relation = one_of("1", "3")
    rig.quote("3", "0.45")
    (ended,) = rig.detector.forget_tokens(["3"], rig.now + MS)
    assert (ended.relation, ended.end, ended.life_ns) == (relation.id, End.REMOVED, MS)
    assert relation.id not in rig.detector
    assert rig.quote("3", "0.4") == []
    assert rig.detector.forget(relation.id, rig.now) is None
    rig.registry.remove("3", rig.now)
    assert not rig.detector.watch(relation, rig.now)


def test_fees_and_the_conversions_share_are_costs(rig):
    relation = one_of("3", "5", kind=Kind.NEGRISK_NO, realise=Realise.CONVERT, convert_e6=950_000)
    assert relation.worth_e6 == 950_000
    rig.detector.watch(relation, rig.now)
    fees = FeeSchedule(rate_e6=40_000)
    rig.registry.add(Pair(yes="5", no="6", tick_e4=100, fees=fees), rig.now)
    rig.quote("3", "0.45")
    seen = [each for each in rig.quote("5", "0.45") if each.relation == relation.id]
    assert [each.edge_e6 for each in seen] == [950_000 - 900_000 - 9_900]


def test_a_least_edge_keeps_small_ones_out():
    rig = Rig()
    rig.detector = Detector(Relations(rig.arena), rig.registry, min_edge_e6=50_000)
    rig.detector.watch(one_of("1", "3"), rig.now)
    rig.quote("1", "0.5")
    assert rig.quote("3", "0.45") == []
    assert len(rig.quote("3", "0.44")) == 1


def test_a_wrong_sweep_halts(rig, monkeypatch):
    class Wrong:
        wrong = 2

    monkeypatch.setattr(Relations, "sweep", lambda self, now_ns: Wrong())
    with pytest.raises(SelfTestError, match="2 relations wrong"):
        rig.detector.sweep(rig.now)


def test_lives_keep_the_last_ones_and_count_all():
    lives = Lives()
    for number in range(KEPT + 5):
        seen = Opportunity(
            relation="r",
            edge_e6=1,
            best_edge_e6=1,
            first_ns=number,
            last_ns=number,
            legs=(),
            ended_ns=number + 1,
            end=End.PRICE,
        )
        life = lives.saw(seen, "ladder")
        life.decided("accepted", sets_e6=5, profit_e6=7)
    assert (lives.count, len(lives.done), lives.done[-1].number) == (KEPT + 5, KEPT, KEPT + 5)
    assert lives.survival()["ladder"]["count"] == KEPT + 5
    assert (life.best_sets_e6, life.best_profit_e6, life.verdicts) == (5, 7, {"accepted": 1})
