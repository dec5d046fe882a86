"""Decoder and books against their slow twins, on every kernel, with frames of every spelling."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import feed

from polyarb.core import base
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.book import Books
from polyarb.core.decode import Bad, Decoder, Record, Side
from polyarb.core.tick import DROP_OLDER, Ticker

TOKENS = ("1" * 77, "2" * 76, "904", "17", "5" * 78)
DECODER = Decoder()


@pytest.fixture(params=["scalar", "avx2", "avx512"], scope="module", autouse=True)
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run every test with each kernel this machine has."""
    before = base.kernel()
    if request.param not in base.kernels():
        pytest.skip(f"this machine has no {request.param}")
    base.select_kernel(request.param)
    yield request.param
    base.select_kernel(before)


def twin_of(r: Record) -> feed.Record:
    """Return a record of ours as the twin writes it, with what the kind does not need left out."""
    kind = r.kind.value
    out = feed.Record(kind, token=r.token)
    if kind in ("text", "pong", "unknown", "subscribed", "error"):
        return feed.Record(kind)
    if kind in ("new_market", "market_resolved"):
        out.winner = r.winner
        return out
    names = {
        "book": ("time_ms", "tick_e4", "hash", "last_e4"),
        "price_change": (
            *("price_e4", "size_e6", "best_bid_e4", "best_ask_e4", "time_ms", "hash"),
        ),
        "last_trade_price": ("price_e4", "size_e6"),
        "tick_size_change": ("tick_e4", "time_ms"),
        "best_bid_ask": ("best_bid_e4", "best_ask_e4"),
    }[kind]
    for name in names:
        setattr(out, name, getattr(r, name))
    if kind == "book":
        out.bids, out.asks = list(r.bids), list(r.asks)
    if kind == "price_change":
        out.side = int(r.side or 0)
    return out


def check_same(frame: bytes) -> None:
    """Hold the core's reading of `frame` to the twin's."""
    ours = DECODER.decode(frame)
    try:
        theirs = feed.decode(frame)
    except feed.RefusedError:
        theirs = None
    if theirs is None:
        assert ours.bad is not Bad.NONE, frame
        assert not ours.records
        assert 0 <= ours.bad_at <= len(frame)
        return
    assert ours.bad is Bad.NONE, (frame, ours.bad, ours.bad_at)
    for record in theirs:  # the side of a trade is optional, and its default no matter
        if record.kind != "price_change":
            record.side = None
    assert [twin_of(r) for r in ours.records] == theirs, frame


# ---- frames ----

PRICES = st.one_of(
    st.integers(1, 9999).map(lambda e4: f"{e4 / 10_000:.4f}".rstrip("0")),
    st.integers(1, 99).map(lambda cents: f"{cents / 100}"),
    st.sampled_from(
        [".5", "0.50", "0.5000", "0.50000", "0.05.", "1", "0", "1.0", "0.00005", "-0.1", ""]
    ),
    st.sampled_from(["1e-1", "0.1e0", "NaN", "0,5", " 0.5", "0.5 ", "00.5", "0.", ".", "0.12345"]),
)
SIZES = st.one_of(
    st.integers(0, 10**12).map(lambda e6: f"{e6 // 10**6}.{e6 % 10**6:06}".rstrip("0").rstrip(".")),
    st.integers(0, 10**5).map(str),
    st.sampled_from(
        ["0", "0.0", "30.", ".5", "1234567890.123456", "12345678901.5", "8.0000000", "9" * 19]
    ),
    st.sampled_from(["", "-1", "1e3", "0.0000001", "1000000000000", "1000000000001", "1" * 200]),
)
GOOD_PRICES = st.integers(1, 99).map(lambda cents: f"{cents / 100}")
GOOD_SIZES = st.integers(1, 10**9).map(lambda e2: f"{e2 / 100:.2f}".rstrip("0").rstrip("."))
ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.text(max_size=70),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)


def mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(*[good] * 9, odd)


PRICE = mostly(GOOD_PRICES, st.one_of(PRICES, st.floats(0, 1).map(lambda f: round(f, 3)), ANY))
SIZE = mostly(GOOD_SIZES, st.one_of(SIZES, st.integers(0, 10**6), ANY))
SIDE = mostly(
    st.sampled_from(["BUY", "SELL"]), st.one_of(st.sampled_from(["buy", "Sell", ""]), ANY)
)
TOKEN = mostly(
    st.sampled_from(TOKENS), st.one_of(st.sampled_from(["007", "0", "1" * 79, "x", 17]), ANY)
)
TIME = mostly(
    st.integers(10**12, 2 * 10**12).map(str),
    st.one_of(st.sampled_from(["", "0", "12.5", str(2**53), 1750000000000]), ANY),
)
HASH = mostly(st.text("0123456789abcdef", min_size=40, max_size=40), ANY)
LEVEL = mostly(
    st.fixed_dictionaries({"price": PRICE, "size": SIZE}),
    st.one_of(
        st.tuples(PRICE, SIZE), st.fixed_dictionaries({"size": SIZE, "price": PRICE, "x": ANY}), ANY
    ),
)
LEVELS = mostly(
    st.lists(st.fixed_dictionaries({"price": GOOD_PRICES, "size": GOOD_SIZES}), max_size=40),
    st.one_of(st.lists(LEVEL, max_size=5), ANY),
)
CHANGE = st.fixed_dictionaries(
    {"asset_id": TOKEN, "price": PRICE, "size": SIZE, "side": SIDE},
    optional={"hash": HASH, "best_bid": PRICE, "best_ask": PRICE, "note": ANY},
)
USUAL_CHANGE = st.fixed_dictionaries(
    {
        "asset_id": TOKEN,
        "price": PRICE,
        "size": SIZE,
        "side": SIDE,
        "hash": HASH,
        "best_bid": PRICE,
        "best_ask": PRICE,
    }
)
MARKET = mostly(
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: f"0x{text}"),
    st.one_of(st.text(min_size=60, max_size=66), ANY),
)
USUAL_BOOK = st.fixed_dictionaries(
    {
        "market": MARKET,
        "asset_id": TOKEN,
        "timestamp": TIME,
        "hash": HASH,
        "bids": LEVELS,
        "asks": LEVELS,
        "tick_size": st.sampled_from(["0.01", "0.001", "0.0001", "0.02", ""]),
        "event_type": st.just("book"),
        "last_trade_price": PRICE,
    }
)
"""As the venue writes it today, member after member: what the decoder has shortcuts for."""
MEMBERS = {
    "market": st.text("0123456789abcdefx", max_size=66),
    "timestamp": TIME,
    "hash": HASH,
    "last_trade_price": PRICE,
    "tick_size": st.sampled_from(["0.01", "0.001", "0.02", 0.005]),
}
KINDS = st.sampled_from(
    [
        "book",
        "price_change",
        "last_trade_price",
        "best_bid_ask",
        "tick_size_change",
        "new_market",
        "market_resolved",
        "other",
        5,
        None,
    ]
)
MESSAGE = st.one_of(
    USUAL_BOOK,
    st.fixed_dictionaries(
        {"event_type": st.just("book"), "bids": LEVELS, "asks": LEVELS, "asset_id": TOKEN},
        optional=MEMBERS,
    ),
    st.fixed_dictionaries(
        {
            "market": MARKET,
            "price_changes": st.lists(st.one_of(USUAL_CHANGE, CHANGE), max_size=4),
            "timestamp": TIME,
            "event_type": st.just("price_change"),
        },
        optional={"padding": st.text(max_size=300)},
    ),
    st.fixed_dictionaries(
        {
            "event_type": st.just("price_change"),
            "changes": st.lists(CHANGE, max_size=3),
            "asset_id": TOKEN,
        },
        optional=MEMBERS,
    ),
    st.fixed_dictionaries(
        {"event_type": KINDS},
        optional={
            **MEMBERS,
            "price": PRICE,
            "size": SIZE,
            "side": SIDE,
            "best_bid": PRICE,
            "best_ask": PRICE,
            "new_tick_size": st.sampled_from(["0.001", "1"]),
            "assets_ids": st.lists(TOKEN, max_size=20),
            "winning_asset_id": TOKEN,
            "asset_id": TOKEN,
            "buys": LEVELS,
            "sells": LEVELS,
            "type": ANY,
            "extra": ANY,
            "bids": LEVELS,
        },
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["orderbook", "trade", "subscribed", "error", "x"]),
            "token_id": TOKEN,
        },
        optional={
            "market_id": ANY,
            "bids": st.lists(st.tuples(PRICE, SIZE), max_size=4),
            "asks": LEVELS,
            "timestamp": TIME,
            "price": PRICE,
            "size": SIZE,
        },
    ),
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (", ", ":"), (" , ", " :\n"), (",", ": ")])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Draw a frame: a message or several, members shuffled or not, any white space."""
    messages = draw(st.one_of(MESSAGE, st.lists(MESSAGE, max_size=3)))
    if draw(st.booleans()):
        shuffle = random.Random(draw(st.integers(0, 1000))).sample

        def mixed(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: mixed(value[k]) for k in shuffle(list(value), len(value))}
            return [mixed(v) for v in value] if isinstance(value, list) else value

        messages = mixed(messages)
    ascii_ = draw(st.booleans())
    text = json.dumps(messages, separators=draw(SEPARATORS), ensure_ascii=ascii_)
    return draw(st.sampled_from(["", " ", "\r\n"])).encode() + text.encode("utf-8", "replace")


@settings(max_examples=400, deadline=None)
@given(frame=frames())
def test_a_frame_reads_as_json_reads_it(frame: bytes) -> None:
    check_same(frame)


@settings(max_examples=200, deadline=None)
@given(frame=frames(), data=st.data())
def test_a_damaged_frame_is_refused_exactly_when_json_refuses_it(
    frame: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, max(0, len(frame) - 1)))
    edit = data.draw(st.sampled_from(["cut", "drop", "set", "insert"]))
    byte = bytes(
        [data.draw(st.one_of(st.sampled_from(b'"{}[],:\\.0e- \n\x00\x80'), st.integers(0, 255)))]
    )
    damaged = {
        "cut": frame[:at],
        "drop": frame[:at] + frame[at + 1 :],
        "set": frame[:at] + byte + frame[at + 1 :],
        "insert": frame[:at] + byte + frame[at:],
    }[edit]
    check_same(damaged)


# ---- books ----

BOOK_PRICE = st.one_of(
    st.integers(40, 60).map(lambda c: f"{c / 100:.2f}"),
    st.sampled_from(["0.505", "0.0075", "0.9999", "0.5"]),
)
BOOK_SIZE = st.sampled_from(["0", "0", "1", "2.5", "100"])
BOOK_LEVELS = st.lists(st.fixed_dictionaries({"price": BOOK_PRICE, "size": BOOK_SIZE}), max_size=8)
BOOK_TIME = st.integers(1000, 1005).map(str)
BOOK_TOKEN = st.sampled_from(["11", "12", "13", "99"])
BOOK_HASH = st.sampled_from(["a" * 40, "b" * 40])
ENTRY = st.fixed_dictionaries(
    {
        "asset_id": BOOK_TOKEN,
        "price": BOOK_PRICE,
        "size": BOOK_SIZE,
        "side": st.sampled_from(["BUY", "SELL"]),
    },
    optional={
        "hash": BOOK_HASH,
        "best_bid": st.sampled_from(["0", "0.5", "0.45"]),
        "best_ask": st.sampled_from(["1", "0.51", "0.6"]),
    },
)
STEP = st.one_of(
    st.fixed_dictionaries(
        {
            "event_type": st.just("book"),
            "asset_id": BOOK_TOKEN,
            "bids": BOOK_LEVELS,
            "asks": BOOK_LEVELS,
        },
        optional={
            "timestamp": BOOK_TIME,
            "hash": BOOK_HASH,
            "tick_size": st.sampled_from(["0.01", "0.001", "0.0001"]),
        },
    ),
    st.fixed_dictionaries(
        {"event_type": st.just("price_change"), "price_changes": st.lists(ENTRY, max_size=4)},
        optional={"timestamp": BOOK_TIME},
    ),
    st.fixed_dictionaries(
        {
            "event_type": st.just("tick_size_change"),
            "asset_id": BOOK_TOKEN,
            "new_tick_size": st.sampled_from(["0.01", "0.001", "0.0025"]),
        }
    ),
)


def mirrored(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the complement's entry for a change of token 11."""
    return {
        **entry,
        "asset_id": "12",
        "side": "SELL" if entry["side"] == "BUY" else "BUY",
        "price": f"{1 - float(entry['price']):.4f}",
    }


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Draw the frames of a feed, some of which keep a pair in step and some of which do not."""
    steps: list[Any] = draw(st.lists(st.one_of(STEP, st.lists(STEP, max_size=3)), max_size=25))
    if draw(st.booleans()):
        for step in steps:
            if isinstance(step, dict) and step["event_type"] == "price_change":
                yes = [{**e, "asset_id": "11"} for e in step["price_changes"]]
                step["price_changes"] = [
                    e for pair in ((y, mirrored(y)) for y in yes) for e in pair
                ]
    return [json.dumps(step, separators=(",", ":")).encode() for step in steps]


@settings(max_examples=200, deadline=None)
@given(
    history=histories(),
    drop_older=st.booleans(),
    max_depth=st.sampled_from([0, 0, 2, 3]),
    ticks=st.lists(st.sampled_from([0, 100, 10, 1]), min_size=3, max_size=3),
    data=st.data(),
)
def test_books_follow_any_history_as_the_twin_does(
    history: list[bytes], drop_older: bool, max_depth: int, ticks: list[int], data: st.DataObject
) -> None:
    twin = feed.Feed(drop_older=drop_older, max_depth=max_depth)
    with Arena.create(
        config=ArenaConfig(histogram_count=1, token_count=8, depth=3, ladder_pages=64)
    ) as arena:
        books = Books(arena, 1, max_depth=max_depth)
        ticker = Ticker(arena, flags=DROP_OLDER if drop_older else 0)
        slots = {}
        for token, tick in zip(("11", "12", "13"), ticks, strict=True):
            slots[token] = books.add(token, 1, tick_e4=tick)
            twin.add(token, tick)
        books.pair(slots["11"], slots["12"])
        twin.pair("11", "12")
        for now, frame in enumerate(history, start=2):
            before = {token: books.depth(slot) for token, slot in slots.items()}
            taken = ticker.tick(frame, now)
            assert (taken >= 0) == twin.tick(frame)
            changed = set(ticker.report.changed())
            for token, slot in slots.items():
                book, depth = twin.books[token], books.depth(slot)
                assert depth is not None
                assert depth.top.state.name.lower() == book.state, (frame, token)
                assert {f.name.lower() for f in depth.top.faults} == book.faults
                for side, shown, count in (
                    (Side.BID, depth.bids, depth.top.bid_count),
                    (Side.ASK, depth.asks, depth.top.ask_count),
                ):
                    levels = book.levels(side)
                    assert books.ladder(slot, side) == levels
                    assert list(shown) == levels[:3]
                    assert count == len(levels)
                assert (depth.top.bid or (0,))[0] == book.best(0)
                assert (depth.top.ask or (10_000,))[0] == book.best(1)
                assert depth.top.updates == book.updates
                assert depth.hash == book.hash
                assert depth.snapshot_ms == book.snapshot_ms
                packed = books.packed(slot)
                assert packed & 0x3FFF == book.best(0)
                assert (packed >> 14 & 0x3FFF or 10_000) == book.best(1)
                assert packed >> 28 & 15 == depth.top.state
                if depth != before[token]:
                    assert slot in changed
                if depth.top.state.name != before[token].top.state.name:  # type: ignore[union-attr]
                    assert depth.top.since_ns == now
        info = books.info()
        for slot in slots.values():
            books.remove(slot, 99)
        assert books.info().pool_used == 0, info
        assert books.info().token_count == 0
