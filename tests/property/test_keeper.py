"""The keeper of the books against its slow twin, and with a venue that tells lies for a while."""

import json
import random

import pytest
from bookrig import MS, SECOND, START_MS, Rig, book, change, no, other, yes
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import keeper as slow

from polyarb.book.freshness import Miss
from polyarb.book.frozen import FrozenConfig, FrozenWatch, Verdict
from polyarb.book.keeper import KeeperConfig
from polyarb.core.base import parse_fixed
from polyarb.core.decode import Side
from polyarb.core.tick import DROP_OLDER, Ticker

MARKETS = 2
TOKENS = [token(m) for m in range(MARKETS) for token in (yes, no)]
SOME = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4, unique=True)
PRICES = [f"0.{cents}" for cents in (38, 39, 41, 42, 58, 59, 61, 62)]
LINES = st.integers(0, 2)
LADDER = st.dictionaries(st.sampled_from(PRICES), st.sampled_from(["1", "2"]), max_size=3)
BACK_MS = st.sampled_from([0, 0, 0, 0, 1, 5, 400])
NEVER = FrozenConfig(windows=(1 << 20,))

BOOKS = st.tuples(st.just("book"), st.sampled_from(TOKENS), LADDER, LADDER, BACK_MS)
CHANGES = st.tuples(
    st.just("change"),
    st.sampled_from(TOKENS),
    st.sampled_from(["BUY", "SELL"]),
    st.sampled_from(PRICES),
    st.sampled_from(["0", "1", "2"]),
    st.booleans(),
    st.sampled_from([None, None, ("0.41", "0.42"), ("0", "1")]),
    BACK_MS,
)
RESOLVED = st.tuples(st.just("resolved"), st.integers(0, MARKETS - 1))
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("up"), LINES, SOME),
        st.tuples(st.just("down"), LINES, SOME),
        st.tuples(st.just("frame"), st.lists(st.one_of(BOOKS, BOOKS, CHANGES), max_size=4)),
        st.tuples(st.just("frame"), st.lists(CHANGES, min_size=1, max_size=3)),
        st.tuples(st.just("truth"), SOME),
        st.tuples(st.just("pass"), st.integers(1, 1_500)),
        st.tuples(st.just("pass"), st.integers(1, 1_500)),
        st.tuples(st.just("warm up")),
        st.tuples(st.just("disable"), st.sampled_from(TOKENS)),
        st.tuples(st.just("frame"), st.lists(RESOLVED, max_size=1)),
    ),
    max_size=40,
)


def e4(price):
    return parse_fixed(price, 4)


def e6(size):
    return parse_fixed(size, 6)


def both_ways(rig, spoken):
    """Return a message for the keeper and for its twin."""
    kind = spoken[0]
    if kind == "book":
        _, token, bids, asks, back_ms = spoken
        ms = rig.ms - back_ms
        entry = {
            "kind": "book",
            "ms": ms,
            "BUY": {e4(p): e6(s) for p, s in bids.items()},
            "SELL": {e4(p): e6(s) for p, s in asks.items()},
        }
        return book(token, bids.items(), asks.items(), ms), [(token, entry)]
    if kind == "resolved":
        tokens = [yes(spoken[1]), no(spoken[1])]
        message = {"event_type": "market_resolved", "assets_ids": tokens, "timestamp": str(rig.ms)}
        return message, [(token, {"kind": "resolved", "ms": rig.ms}) for token in tokens]
    _, token, side, price, size, pair, best, back_ms = spoken
    ms = rig.ms - back_ms
    told = {} if best is None else {"best_bid": best[0], "best_ask": best[1]}
    message = change(token, side, price, size, ms, pair=pair, **told)
    opposite = {"BUY": "SELL", "SELL": "BUY"}[side]
    entry = {"kind": "change", "ms": ms, "side": side, "price": e4(price), "size": e6(size)}
    mirror = {**entry, "side": opposite, "price": 10_000 - e4(price)}
    if best is not None:
        entry |= {"best_bid": e4(best[0]), "best_ask": e4(best[1])}
    return message, [(token, entry), (other(token), mirror)][: 1 + pair]


def look(rig, twin):
    """Hold everything that can be seen against the twin."""
    for token in [*TOKENS, "77"]:
        found, expected = rig.keeper.top(token), twin.read(token, rig.now)
        if isinstance(found, Miss):
            assert found.reason.value == expected, token
            if token in twin.books:
                assert found.state.name == twin.books[token].state
            continue
        bid, ask = (level.price_e4 if level else 0 for level in (found.bid, found.ask))
        assert (bid, ask, rig.now - found.recv_ns) == expected
    for token, theirs in twin.books.items():
        slot = rig.keeper.registry.slot(token)
        for side, name in ((Side.BID, "BUY"), (Side.ASK, "SELL")):
            assert dict(rig.books.ladder(slot, side)) == theirs.sides[name]
    gate = rig.keeper.gate
    assert (gate.state.value, len(gate.waiting)) == (twin.gate, len(twin.waiting))
    assert rig.keeper.registry.disabled.keys() == twin.disabled.keys()


@pytest.mark.parametrize("drop_older", [False, True])
@given(ops=OPS)
@settings(max_examples=250, deadline=None)
def test_any_history_is_told_as_the_twin_tells_it(drop_older, ops):
    config = KeeperConfig(
        max_stale_ms=1_000,
        warmup_timeout_ms=2_000,
        warmup_min_ready_fraction=0.75,
        resync_after_ms=3_600_000,
        opening_ms=3_600_000,
        frozen=NEVER,
    )
    rig = Rig(MARKETS, config=config)
    rig.ticker = Ticker(rig.arena, flags=DROP_OLDER if drop_older else 0)
    twin = slow.Keeper(
        [(yes(m), no(m)) for m in range(MARKETS)],
        drop_older=drop_older,
        max_stale_ms=1_000,
        timeout_ms=2_000,
        fraction=0.75,
    )
    for op, *args in ops:
        if op in ("up", "down"):
            number, tokens = args
            getattr(rig, op)(tokens, number)
            getattr(twin, op)(number, tokens, rig.now)
        elif op in ("frame", "truth"):
            spoken = args[0]
            if op == "truth":
                spoken = [("book", t, *TRUTH[int(t) % 2], 0) for t in spoken]
            messages = [both_ways(rig, each) for each in spoken]
            rig.send(*(ours for ours, _ in messages))
            twin.frame([theirs for _, theirs in messages], rig.now)
        elif op == "pass":
            for _ in range(args[0] // 50 + 1):
                due_ns = rig.keeper.next_deadline()
                rig.pass_ms(50)
                if rig.keeper.next_deadline() != due_ns:  # the keeper has looked around
                    twin.tick(rig.now)
        elif op == "warm up":
            rig.keeper.warm_up(rig.now)
            twin.warm_up(rig.now)
        else:
            rig.keeper.registry.disable(args[0], "asked for")
            twin.disabled.setdefault(args[0], "asked for")
        look(rig, twin)
    counters = rig.keeper.counters()
    assert counters["cache_hits"] == twin.served["hit"]
    for reason in ("not_subscribed", "not_ready", "stale", "never_seen", "crossed", "disabled"):
        assert counters[f"cache_misses_{reason}"] == twin.served[reason]
    assert sum(rig.keeper.served.ages().values()) == twin.served["hit"]
    assert counters["rest_calls_on_read_path"] == 0


TRUTH = (({"0.41": "1", "0.39": "2"}, {"0.42": "1"}), ({"0.58": "1"}, {"0.59": "1", "0.61": "2"}))


# -- frozen or quiet


@given(
    history=st.lists(
        st.tuples(
            st.sampled_from(["seen"] * 8 + ["opened", "closed", "dropped"]),
            st.integers(0, 3 * SECOND),
            st.sampled_from(["a", "b", "c"]),
        ),
        max_size=120,
    )
)
@settings(max_examples=200, deadline=None)
def test_the_watch_knows_what_the_whole_history_says(history):
    config = FrozenConfig(windows=(4, 16))
    watch = FrozenWatch(config)
    twin = slow.Watch(
        alarms_per_hour=config.alarms_per_hour,
        gap_ns=config.burst_gap_ns,
        floor_ns=config.floor_ns,
        windows=config.windows,
    )
    now, last, is_open = SECOND, 0, False
    for what, passed, token in history:
        now += passed
        twin.note("seen" if what == "seen" and is_open else what, now, token)
        if what == "seen":
            if not is_open:  # the watch opens by itself
                twin.history.insert(-1, ("opened", now, ""))
            watch.seen(token, now)
        elif what == "opened":
            if is_open:  # a connection is not opened twice
                watch.closed()
                twin.history.insert(-1, ("closed", now, ""))
            watch.opened(now)
        elif what == "closed":
            watch.closed()
        else:
            watch.dropped(token)
        if what in ("seen", "opened"):
            is_open, last = True, now
        elif what == "closed":
            is_open = False
        limit_s = twin.limit_s()
        assert (watch.limit_ns is None) == (limit_s is None)
        if limit_s is not None:
            assert watch.limit_ns == pytest.approx(limit_s * 1e9, rel=1e-6, abs=10)
        if not is_open or limit_s is None:
            assert watch.verdict(now) is Verdict.UNKNOWN
        else:
            assert watch.verdict(last + watch.limit_ns) is Verdict.FROZEN
            assert watch.verdict(last + watch.limit_ns - 1) is Verdict.ALIVE


# -- a venue that lies


class Venue:
    """The truth, and a socket that spoils what it says of it."""

    def __init__(self, rig, rng):
        self.rig, self.rng = rig, rng
        self.sides = {m: {"BUY": {"0.4": 20}, "SELL": {"0.6": 20}} for m in range(MARKETS)}
        self.ms = dict.fromkeys(range(MARKETS), START_MS)
        self.past = []

    def act(self, *, spoil):
        """One true change, told truly or not."""
        rig, rng = self.rig, self.rng
        market, side = rng.randrange(MARKETS), rng.choice(["BUY", "SELL"])
        price = f"0.{rng.randrange(30, 45) if side == 'BUY' else rng.randrange(55, 70)}".rstrip("0")
        size = rng.choice([0, 0, 1, 2, 3])
        levels = self.sides[market][side]
        if size:
            levels[price] = size
        elif len(levels) > 1:
            levels.pop(price, None)
        self.ms[market] = max(self.ms[market], rig.ms)
        size = levels.get(price, 0)
        best = {
            "best_bid": max(self.sides[market]["BUY"], key=float),
            "best_ask": min(self.sides[market]["SELL"], key=float),
        }
        told = change(yes(market), side, price, str(size), self.ms[market], **best)
        if spoil == "top":
            told["price_changes"][0]["best_bid"] = "0.2"
        elif spoil == "crossed":
            told["price_changes"][0] |= {"side": "BUY", "price": "0.9", "size": "5"}
        elif spoil == "one side":
            del told["price_changes"][1]
        elif spoil == "size":
            told["price_changes"][0]["size"] = "99"
        rig.send(told)
        self.past.append({m: self.books(m) for m in range(MARKETS)})

    def books(self, market):
        sides = self.sides[market]
        bids, asks = ([(p, str(s)) for p, s in sides[side].items()] for side in ("BUY", "SELL"))
        ms = self.ms[market]
        back = [[(f"{1 - float(p):.2f}", s) for p, s in side] for side in (asks, bids)]
        return json.dumps([book(yes(market), bids, asks, ms), book(no(market), *back, ms)])

    def answer(self, *, lag):
        """Answer what was asked, as it was `lag` changes ago."""
        for request in self.rig.asked():
            now = {m: self.books(m) for m in range(MARKETS)}
            then = self.past[-1 - lag] if lag < len(self.past) else now
            found = [b for m in then.values() for b in json.loads(m)]
            self.rig.answer(request, *(b for b in found if b["asset_id"] in request.tokens))


@pytest.mark.parametrize("seed", range(25))
def test_books_come_back_to_the_truth_whatever_was_told(seed):
    """Lies, a lagging REST, lost connections: a while after the last of them all is true again."""
    rng = random.Random(seed)
    rig = Rig(MARKETS)
    venue = Venue(rig, rng)

    def dump():
        for market in range(MARKETS):
            rig.send(*json.loads(venue.books(market)))

    rig.up()
    dump()
    for _ in range(400):
        spoil = rng.choice(["top", "crossed", "one side", "size"]) if rng.random() < 0.05 else None
        venue.act(spoil=spoil)
        rig.pass_ms(rng.choice([1, 10, 100, 300]))
        if rng.random() < 0.3:
            venue.answer(lag=rng.choice([0, 1, 3]))
        if rng.random() < 0.01:
            rig.down()
            rig.asked()
            rig.pass_ms(300)
            rig.up()
            dump()
    for _ in range(600):
        venue.act(spoil=None)
        rig.pass_ms(100)
        venue.answer(lag=rng.choice([0, 1, 3]))
    for market in range(MARKETS):
        for told in json.loads(venue.books(market)):
            slot = rig.keeper.registry.slot(told["asset_id"])
            assert rig.books.top(slot).live
            for side, name in ((Side.BID, "bids"), (Side.ASK, "asks")):
                ours = dict(rig.books.ladder(slot, side))
                assert ours == {e4(level["price"]): e6(level["size"]) for level in told[name]}
    assert rig.keeper.counters()["resyncs"] > 0


def test_the_twins_state_names_are_the_cores():
    from polyarb.core.book import State

    assert set(slow.GRAVITY) <= {state.name for state in State}
    assert MS == 1_000_000
