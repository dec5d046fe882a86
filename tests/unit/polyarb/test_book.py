"""Books, splitter and ticker as Python uses them, the C programs behind them, recorded streams."""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import captures
import pytest
from reference import feed

from polyarb import errors
from polyarb._core import lib
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import COUNTERS, STATES, Books, BookView, State
from polyarb.core.decode import BADS, KINDS, Bad, Decoder, Kind, Level
from polyarb.core.stream import Splitter
from polyarb.core.tick import Ticker
from polyarb.domain.market import FeeSchedule

CONFIG = ArenaConfig(histogram_count=1, token_count=16, depth=4, ladder_pages=64)
YES = (
    b'{"event_type":"book","asset_id":"1","bids":[{"price":"0.4","size":"3"}],"asks":[],"timestamp":"5","hash":"%s"}'
    % (b"a" * 40)
)


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena.create(config=CONFIG) as made:
        yield made


@pytest.mark.parametrize("flavour", ["plain", "address"])
@pytest.mark.parametrize("unit", ["decode", "book", "stream", "tick"])
def test_the_unit_holds_in_c(c_program: Callable[..., str], unit: str, flavour: str) -> None:
    assert f"{unit}: ok" in c_program(f"unit/csrc/test_{unit}.c", flavour)


@pytest.mark.parametrize(
    ("part", "flavour", "reads"),
    [
        ("threads", "plain", 3_000_000),
        ("processes", "plain", 1_000_000),
        ("threads", "thread", 100_000),
    ],
)
def test_no_read_is_torn(
    c_program: Callable[..., str], part: str, flavour: str, reads: int
) -> None:
    out = c_program("stress/stress_store.c", flavour, part, str(reads))
    assert "store stress: ok" in out


def test_names_agree_with_the_core() -> None:
    assert [kind.value for kind in KINDS] == [kind.value for kind in Kind]
    assert [bad.value for bad in BADS] == [bad.value for bad in Bad]
    assert len(STATES) == lib.PA_STATE_COUNT == len(State)
    assert len(set(COUNTERS)) == lib.PA_COUNT_COUNT


def test_an_arena_without_books_says_which_setting_is_missing() -> None:
    with Arena.create(config=ArenaConfig(histogram_count=1)) as arena:
        for make in (lambda: Books(arena, 1), lambda: BookView(arena), lambda: Ticker(arena)):
            with pytest.raises(errors.ArenaAccessError, match=r"arena\.token_count"):
                make()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("token_count", -1), ("token_count", 262145), ("depth", 57), ("ladder_pages", 2**20 + 1)],
)
def test_a_capacity_outside_its_range_names_the_setting(setting: str, value: int) -> None:
    with pytest.raises(errors.RangeError, match=rf"arena\.{setting} {value} is outside"):
        ArenaConfig(**{"token_count": 1, setting: value})


def test_a_reader_sees_what_the_owner_applied(tmp_path: Path) -> None:
    with Arena.create(tmp_path / "arena", config=CONFIG) as arena:
        books, ticker = Books(arena, 1), Ticker(arena)
        slot = books.add("1", 10)
        assert ticker.tick(YES, 20) == 1
        with Arena.attach(tmp_path / "arena") as other:
            view = BookView(other)
            top, depth = view.top(slot), view.depth(slot)
            assert top is not None
            assert depth is not None
            assert top.live
            assert (top.bid, top.ask) == (Level(4000, 3_000_000), None)
            assert (top.recv_ns, top.time_ms, top.since_ns, top.updates) == (20, 5, 20, 1)
            assert (depth.hash, depth.tick_e4, depth.failing_since_ns) == ("a" * 40, 100, 0)
            assert view.packed(slot) & 0x3FFF == 4000
            assert view.token(slot) == "1"
            assert view.counters()["snapshots_applied"] == 1
            assert view.info().live_count == 1
            with pytest.raises(errors.ArenaAccessError):
                Books(other, 1)
            with pytest.raises(errors.ArenaAccessError):
                Ticker(other)


def test_wrong_arguments_are_named(arena: Arena) -> None:
    books = Books(arena, 1)
    slot = books.add("1", 1)
    with pytest.raises(errors.MalformedError, match="token 'x'"):
        books.add("x", 1)
    with pytest.raises(errors.ArgumentTypeError, match="token must be a str"):
        books.add(1, 1)  # type: ignore[arg-type]
    with pytest.raises(errors.RangeError, match="tick_e4 7"):
        books.add("2", 1, tick_e4=7)
    with pytest.raises(errors.RangeError, match="slot 16"):
        books.top(16)
    with pytest.raises(errors.RangeError):
        books.mark(slot, State.CROSSED, 1)
    with pytest.raises(errors.RangeError):
        books.pair(slot, slot)
    for token in range(2, 17):
        books.add(str(token), 1)
    with pytest.raises(errors.CapacityError, match=r"arena\.token_count 16"):
        books.add("99", 1)


def test_books_outlive_their_owner_and_are_stale_until_proven(tmp_path: Path) -> None:
    with Arena.create(tmp_path / "arena", config=CONFIG) as arena:
        books, ticker = Books(arena, 1), Ticker(arena)
        slot = books.add("1", 1)
        ticker.tick(YES, 2)
    with Arena.own(tmp_path / "arena") as arena:
        books, ticker = Books(arena, 3), Ticker(arena)
        top = books.top(slot)
        assert top is not None
        assert top.state is State.STALE
        assert top.bid == Level(4000, 3_000_000)
        assert not books.info().recovered
        ticker.tick(YES, 4)
        assert books.top(slot).live  # type: ignore[union-attr]
        assert books.episodes()[State.STALE].ns_max == 1


def test_failing_lists_what_lasts(arena: Arena) -> None:
    books, ticker = Books(arena, 1), Ticker(arena)
    a, b = books.add("1", 1), books.add("2", 1)
    ticker.tick(YES, 10)
    books.mark(a, State.GAP, 20)
    assert books.failing(21) == [a, b]
    assert books.failing(21, ignore=(State.WARMING,)) == [a]
    assert books.failing(20, ignore=(State.WARMING,)) == []
    books.clear(a, State.GAP, 30)
    assert books.failing(99, ignore=(State.WARMING,)) == []


def framed(payload: bytes, first: int = 0x81) -> bytes:
    size = len(payload)
    head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([first]) + head + payload


def test_a_read_is_split_and_applied_and_the_rest_is_handed_on(arena: Arena) -> None:
    books, ticker, splitter = Books(arena, 1), Ticker(arena), Splitter(4096)
    slot = books.add("1", 1)
    wire = framed(YES) + framed(b"hi", 0x89) + framed(b"PONG") + framed(b'{"event_type":"new"}')
    for part in (wire[:30], wire[30:]):
        ticker.stream(splitter, splitter.write(part), 5)
    report = ticker.report
    assert books.top(slot).live  # type: ignore[union-attr]
    assert (report.pong_count, report.rejected, report.first_rejected) == (1, 0, None)
    raw, unknown = list(report.notices())
    assert (raw.kind, unknown.kind) == (None, Kind.UNKNOWN)
    assert splitter.read(raw.at, raw.size) == framed(b"hi", 0x89)
    assert json.loads(splitter.read(unknown.at, unknown.size)) == {"event_type": "new"}
    splitter.compact()
    assert splitter.pending == 0
    assert len(splitter.room()) == splitter.capacity
    ticker.stream(splitter, splitter.write(framed(b"{]")), 6)
    assert report.first_rejected == (Bad.SYNTAX, 1, 2, 2)
    assert report.rejected_by() == {Bad.SYNTAX: 1}
    with pytest.raises(errors.RangeError):
        ticker.stream(splitter, 5000, 7)
    with pytest.raises(errors.CapacityError):
        splitter.write(bytes(5000))


# ---- recorded streams ----

needs_captures = pytest.mark.skipif(
    not captures.names(), reason="no captures: set POLYARB_CAPTURES"
)


@needs_captures
@pytest.mark.parametrize("name", captures.names())
def test_every_recorded_frame_decodes_as_json_reads_it(name: str) -> None:
    decoder = Decoder()
    for frame in captures.frames(captures.folder() / "ws" / name):
        ours = decoder.decode(frame)
        assert ours.bad is Bad.NONE, frame
        theirs = feed.decode(frame)
        assert [(r.kind.value, r.token) for r in ours.records if r.kind is not Kind.NEW_MARKET] == [
            (r.kind, r.token) for r in theirs if r.kind != "new_market"
        ]
        for r, twin in zip(ours.records, theirs, strict=True):
            assert (list(r.bids), list(r.asks)) == (twin.bids, twin.asks)
            if r.kind is Kind.CHANGE:
                assert (r.price_e4, r.size_e6, r.side) == (twin.price_e4, twin.size_e6, twin.side)


# Level changes of these streams, and how many of their hashes a rebuilt book does not give at once:
# the seven of captures/README.md, whose changes were sent late. No check may fire on them.
HASHED = {
    "2026-05-14_btc-5m_burst_part1_506ms.ndjson": (120, 7),
    "2026-09-07_esports-match_both-tokens_153s.ndjson": (114, 0),
    "2026-10-02_neg-risk_three-markets_24min.jsonl": (354, 0),
}


@needs_captures
@pytest.mark.parametrize("name", sorted(HASHED))
def test_recorded_hashes_are_reproduced_by_the_rebuilt_books(name: str) -> None:
    # After each change the book's hash is the recorded one, or the next change of the token has
    # the same time and hash: those of one instant share the hash of the state after them. The
    # last_trade_price is the hint it is documented to be: any price of the stream's may be in it.
    decoder = Decoder()
    with Arena.create(config=ArenaConfig(histogram_count=1, token_count=16)) as arena:
        books, ticker = Books(arena, 1), Ticker(arena)
        slots: dict[str, int] = {}
        last: dict[str, list[str]] = {}
        checked = missed = 0
        path = captures.folder() / "ws" / name
        frames = list(captures.frames(path))
        trades = [r for f in frames for r in decoder.decode(f).records if r.kind is Kind.TRADE]
        following = _following(decoder, frames)
        for now, frame in enumerate(frames, start=1):
            records = decoder.decode(frame).records
            for r in records:
                if r.kind is Kind.BOOK and r.token is not None and r.token not in slots:
                    slots[r.token] = books.add(r.token, now, tick_e4=r.tick_e4 or 0)
                    first = f"{(r.last_e4 or 0) / 10_000:.3f}" if r.last_e4 else ""
                    spelled = [f"{(t.price_e4 or 0) / 10_000:.3f}" for t in trades]
                    last[r.token] = [first, *spelled]
            for (_, a), (_, b) in itertools.combinations(list(slots.items()), 2):
                _pair_if_mirrored(books, a, b, name)
            assert ticker.tick(frame, now) >= 0
            # Changes of one frame and token share their last hash.
            for token, r in {
                r.token: r for r in records if r.kind in (Kind.BOOK, Kind.CHANGE)
            }.items():
                if token not in slots or r.hash is None:
                    continue
                checked += r.kind is Kind.CHANGE
                assert r.time_ms is not None
                hashes = {
                    books.hash(
                        slots[token],
                        market=r.market or "",
                        time_ms=r.time_ms,
                        min_order_size="5",
                        neg_risk="neg-risk" in name,
                        last_trade_price=price,
                    )
                    for price in last[token]
                }
                if r.hash not in hashes:
                    missed += following.get((now, token)) != (r.time_ms, r.hash)
        assert (checked, missed) == HASHED[name]
        counters = books.counters()
        assert (
            counters["snapshot_rejects"] == counters["off_tick"] == counters["time_backwards"] == 0
        )
        assert set(books.episodes()) == {State.WARMING}
        assert all(books.top(slot).live for slot in slots.values())  # type: ignore[union-attr]


def _following(decoder: Decoder, frames: list[bytes]) -> dict[tuple[int, str], tuple[int, str]]:
    """Return, for a token's change in frame n, time and hash of its next change."""
    following: dict[tuple[int, str], tuple[int, str]] = {}
    last: dict[str, int] = {}
    for now, frame in enumerate(frames, start=1):
        for r in decoder.decode(frame).records:
            if r.kind is Kind.CHANGE and r.token and r.time_ms is not None and r.hash:
                if r.token in last:
                    following[last[r.token], r.token] = (r.time_ms, r.hash)
                last[r.token] = now
    return following


def _pair_if_mirrored(books: Books, a: int, b: int, name: str) -> None:
    """Pair the tokens of the stream that has both of one market and no other."""
    if "esports" in name and books.complement(a) is None:
        books.pair(a, b)


def snapshot(token: str, bid: str, ask: str, ms: int) -> bytes:
    return (
        f'{{"event_type":"book","asset_id":"{token}","timestamp":"{ms}",'
        f'"bids":[{{"price":"{bid}","size":"9"}}],"asks":[{{"price":"{ask}","size":"9"}}]}}'
    ).encode()


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("rate_e6", [0, 1, 30_000, 70_000, 250_000, 999_999, 1_000_000])
def test_a_cost_is_the_ask_and_the_fee_rounded_up(
    arena: Arena, rate_e6: int, exponent: int
) -> None:
    books, ticker = Books(arena, 1), Ticker(arena)
    slot = books.add("1", 1, tick_e4=1)
    assert books.cost_e6(slot) is None
    books.set_fee(slot, FeeSchedule(rate_e6=rate_e6, exponent=exponent))
    for ask_e4 in (2, 3, 10, 499, 2500, 4999, 5000, 5001, 7777, 9990, 9999):
        ticker.tick(snapshot("1", "0.0001", f"0.{ask_e4:04d}", ask_e4), ask_e4)
        p = Fraction(ask_e4, 10_000)
        fee = Fraction(rate_e6) * (p * (1 - p)) ** exponent
        assert books.cost_e6(slot) == 100 * ask_e4 + math.ceil(fee)


def test_what_is_not_to_be_bought_has_no_cost(arena: Arena) -> None:
    books, ticker = Books(arena, 1), Ticker(arena)
    slot = books.add("1", 1, tick_e4=100)
    free = FeeSchedule(rate_e6=0)
    ticker.tick(snapshot("1", "0.4", "0.5", 1), 1)
    assert books.cost_e6(slot) is None, "nobody said what it costs"
    books.set_fee(slot, free)
    assert books.cost_e6(slot) == 500_000
    books.mark(slot, State.GAP, 2)
    assert books.cost_e6(slot) is None
    books.clear(slot, State.GAP, 3)
    assert books.cost_e6(slot) == 500_000
    books.set_fee(slot, None)
    assert books.cost_e6(slot) is None
    books.set_fee(slot, free)
    ticker.tick(snapshot("1", "0.4", "0.4", 2), 2)
    assert books.cost_e6(slot) is None, "crossed"
    books.reset(slot, 4)
    assert books.cost_e6(slot) is None
    ticker.tick(snapshot("1", "0.4", "0.6", 3), 5)
    assert books.cost_e6(slot) == 600_000
    books.remove(slot, 6)
    assert books.cost_e6(slot) is None
    again = books.add("2", 7, tick_e4=100)
    ticker.tick(snapshot("2", "0.4", "0.6", 3), 8)
    assert again == slot
    assert books.cost_e6(again) is None, "a fee does not outlive its token"


@pytest.mark.parametrize("rate_e6", [-1, 1_000_001])
def test_a_fee_outside_its_range_is_named(arena: Arena, rate_e6: int) -> None:
    books = Books(arena, 1)
    slot = books.add("1", 1)
    with pytest.raises(errors.RangeError, match=f"rate_e6.*{rate_e6}"):
        books.set_fee(slot, FeeSchedule(rate_e6=rate_e6))
    with pytest.raises(errors.RangeError, match=r"exponent.*3"):
        books.set_fee(slot, FeeSchedule(rate_e6=1, exponent=3))


def test_a_quiet_book_is_as_fresh_as_the_lines_that_carry_it(arena: Arena) -> None:
    books, ticker = Books(arena, 1), Ticker(arena)
    quiet, busy = (books.add(token, 1, tick_e4=100) for token in "12")
    books.set_ages(100, 1_000)
    books.set_fee(quiet, FeeSchedule(rate_e6=0))
    lines = [Splitter(4096, line=line) for line in (1, 2)]

    def arrive(line: int, ms: int, now_ns: int, slot: int = 1) -> None:
        frame = framed(snapshot(str(slot + 1), "0.4", "0.5", ms))
        ticker.stream(lines[line - 1], lines[line - 1].write(frame), now_ns)

    books.carry(quiet, 1, True)
    arrive(1, 1, 10, quiet)
    assert books.fresh(quiet, 110)
    assert not books.fresh(quiet, 111)
    arrive(1, 2, 100)
    assert books.heard_ns(quiet) == 100
    assert books.fresh(quiet, 200)
    assert not books.fresh(busy, 200), "its fee is not known"
    arrive(2, 3, 300)
    assert not books.fresh(quiet, 300), "not carried by that line"
    books.carry(quiet, 2, True)
    assert books.fresh(quiet, 300)
    with pytest.raises(errors.CapacityError):
        books.carry(quiet, 3, True)
    books.carry(quiet, 2, False)
    assert books.heard_ns(quiet) == 100
    lines[0].restart()
    assert lines[0].line == 1
    for now_ns in range(200, 1_100, 50):
        ticker.stream(lines[0], lines[0].write(framed(b"PONG")), now_ns)
    assert books.heard_ns(quiet) == 100, "a PONG says nothing of books"
    arrive(1, 4, 1_010)
    assert books.fresh(quiet, 1_010)
    assert not books.fresh(quiet, 1_011), "no update of its own for too long"
    again = Books(arena, 1_020)
    assert again.heard_ns(quiet) == 10, "nobody is connected"


@pytest.mark.parametrize(("quiet_ns", "hard_ns"), [(0, 1), (2, 1), (1, 1 << 62), (-1, 5)])
def test_ages_outside_their_range_are_named(arena: Arena, quiet_ns: int, hard_ns: int) -> None:
    with pytest.raises(errors.RangeError, match="_ns"):
        Books(arena, 1).set_ages(quiet_ns, hard_ns)


@pytest.mark.parametrize("line", [0, -1, 1024])
def test_a_line_outside_its_range_is_named(arena: Arena, line: int) -> None:
    books = Books(arena, 1)
    with pytest.raises(errors.RangeError, match=f"line.*{line}"):
        books.carry(books.add("1", 1), line, True)
