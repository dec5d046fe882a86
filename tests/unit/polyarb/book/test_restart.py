"""Books in a file: back at once, stale until proven, whatever became of the process before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bookrig import MS, SECOND, Rig, change, no, yes

from polyarb import clock
from polyarb.book.freshness import Reason
from polyarb.book.keeper import KeeperConfig
from polyarb.book.registry import Pair, Registry
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books, State, Top
from polyarb.core.decode import Level, Side

Y, N = yes(0), no(0)
TESTS = Path(__file__).parents[3]

OWNER = """
import sys
from bookrig import Rig, SECOND, change, yes
from polyarb import clock
from polyarb.core.arena import Arena, ArenaConfig
rig = Rig(2, arena=Arena.create(sys.argv[1], config=ArenaConfig(token_count=16)),
          now=clock.monotonic_ns())
rig.open()
rig.send(change(yes(0), "BUY", "0.41", "7", rig.ms))
print("live", flush=True)
size = 0
while sys.argv[2] == "busy":
    size = size % 1000 + 1
    rig.send(change(yes(1), "BUY", "0.3", str(size), rig.ms))
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "books.arena"


def first_run(path, markets=1):
    with Arena.create(path, config=ArenaConfig(token_count=16)) as arena:
        rig = Rig(markets, arena=arena)
        rig.open()
        rig.send(change(Y, "BUY", "0.41", "7", rig.ms))


def test_books_are_back_at_once_and_stale(path):
    first_run(path)
    with Arena.own(path) as arena:
        rig = Rig(1, arena=arena, now=100 * SECOND)
        miss = rig.keeper.top(Y, 10**6)
        assert (miss.reason, miss.state) == (Reason.STALE, State.STALE)
        slot = rig.keeper.registry.slot(Y)
        assert rig.books.ladder(slot, Side.BID)[0] == Level(4100, 7_000_000)
        assert rig.keeper.registry.complement(Y) == N
        rig.up()
        rig.send(change(Y, "BUY", "0.41", "8", rig.ms))
        assert rig.keeper.top(Y).reason is Reason.STALE  # a change proves nothing
        rig.dump([N])
        assert rig.keeper.top(Y).state is State.STALE
        rig.dump([Y])
        assert isinstance(rig.keeper.top(Y), Top)


def test_rest_proves_them_too(path):
    first_run(path)
    with Arena.own(path) as arena:
        rig = Rig(1, arena=arena, now=100 * SECOND)
        rig.keeper.warm_up(rig.now, rest=True)
        rig.pass_ms(100)
        (request,) = rig.asked()
        rig.answer(request, rig.book(Y), rig.book(N))
        assert isinstance(rig.keeper.top(Y), Top)


def test_what_neither_proves_is_resynchronised(path):
    first_run(path)
    with Arena.own(path) as arena:
        rig = Rig(1, arena=arena, now=100 * SECOND)
        rig.up()
        rig.pass_ms(5_500)
        (request,) = rig.asked()
        assert set(request.tokens) == {Y, N}
        rig.answer(request, rig.book(Y), rig.book(N))
        assert isinstance(rig.keeper.top(Y), Top)


def test_a_stale_book_does_not_outlive_its_first_connection(path):
    first_run(path)
    with Arena.own(path) as arena:
        rig = Rig(1, arena=arena, now=100 * SECOND)
        rig.up()
        rig.down()
        assert rig.keeper.top(Y).state is State.WARMING


def test_the_gate_waits_for_proof(path):
    first_run(path)
    with Arena.own(path) as arena:
        rig = Rig(1, arena=arena, now=100 * SECOND)
        rig.keeper.warm_up(rig.now)
        rig.up()
        assert not rig.keeper.gate.is_open
        rig.dump()
        assert rig.keeper.gate.is_open


def test_tokens_of_another_run_are_found_and_can_be_let_go(path):
    first_run(path, markets=3)
    with Arena.own(path) as arena:
        books = Books(arena, SECOND)
        registry = Registry(books)
        assert len(registry) == 6
        registry.keep([Y, N], SECOND)
        assert set(registry.tokens()) == {Y, N}
        assert books.info().token_count == 2
        assert yes(1) not in registry


def test_a_market_that_was_paired_otherwise_is_entered_anew(path):
    first_run(path, markets=2)
    with Arena.own(path) as arena:
        registry = Registry(Books(arena, SECOND))
        registry.add(Pair(yes=Y, no=yes(1)), SECOND)
        assert registry.complement(Y) == yes(1)
        assert registry.complement(N) is None
        registry.add(Pair(yes=Y, no=yes(1)), SECOND)
        assert len(registry) == 4


@pytest.mark.parametrize("how", ["idle", "busy"])
def test_a_killed_owner_leaves_books_that_are_stale_or_empty_but_never_live(path, how):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert owner.stdout
        assert owner.stdout.readline() == b"live\n"
        reader = Arena.attach(path)
        before = reader.info.owner_epoch
        reader.close()
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    with Arena.own(path) as arena:
        assert arena.info.owner_epoch == before + 1
        rig = Rig(2, arena=arena, now=clock.monotonic_ns(), config=KeeperConfig())
        states = {rig.keeper.top(token, 10**6).state for token in rig.tokens}
        emptied = rig.books.info().recovered
        assert states == ({State.WARMING} if emptied else {State.STALE})
        rig.up()
        rig.now += 10 * SECOND  # the exchange's time in this rig goes with its clock
        rig.dump()
        assert all(isinstance(rig.keeper.top(token), Top) for token in rig.tokens)
        rig.now += 5 * MS
        rig.send(change(Y, "BUY", "0.41", "9", rig.ms))
        assert rig.keeper.top(Y).bid == Level(4100, 9_000_000)
