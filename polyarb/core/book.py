"""
Books of all tokens in the arena (csrc/book): states, tops, depth, ladders, counters.

`BookView` reads, from any process and while the owner writes; `Books` is the owner's and adds what
changes. A token is named by its *slot*, a small integer that stays its own until it is removed.
Books change through `polyarb.core.tick`; here tokens are entered, paired, marked and reset.

Times: ``now_ns``, ``recv_ns``, ``since_ns`` are CLOCK_MONOTONIC, ``time_ms`` the exchange's Unix
milliseconds. Prices are x 10^4, sizes x 10^6.
"""

import enum
import functools
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena
from polyarb.core.base import INT64_MAX, check, format_fixed, integer
from polyarb.core.decode import Level, Side
from polyarb.domain.market import FeeSchedule

TOKEN_TEXT_MAX: Final[int] = lib.PA_TOKEN_TEXT_MAX
SLOT_MAX: Final[int] = lib.PA_TOKENS_MAX - 1
LINES_MAX: Final[int] = lib.PA_LINES_MAX
"""Connections that can carry books; lines are 1..this."""
COST_NONE: Final[int] = lib.PA_COST_NONE


class State(enum.IntEnum):
    """Whether a book can be traded on, or the gravest reason why not; see csrc/book/store.h."""

    NONE = lib.PA_STATE_NONE
    LIVE = lib.PA_STATE_LIVE
    TOP_MISMATCH = lib.PA_STATE_TOP
    MIRROR_MISMATCH = lib.PA_STATE_MIRROR
    CROSSED = lib.PA_STATE_CROSSED
    GAP = lib.PA_STATE_GAP
    STALE = lib.PA_STATE_STALE
    WARMING = lib.PA_STATE_WARMING
    TICK_CHANGE = lib.PA_STATE_TICK
    FROZEN = lib.PA_STATE_FROZEN
    RESOLVED = lib.PA_STATE_RESOLVED


STATES: Final = tuple(State(index) for index in range(lib.PA_STATE_COUNT))
COUNTERS: Final = tuple(
    ffi.string(lib.pa_counter_name(index)).decode("ascii") for index in range(lib.PA_COUNT_COUNT)
)
"""Names of the store's counters, in the core's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """
    A consistent copy of a token's best prices and state.

    Attributes:
        state: LIVE, or why not.
        faults: Every state that holds, LIVE not among them.
        bid: Best bid, None if there is none. A size of 2**50 - 1 stands for anything larger.
        ask: Best ask.
        bid_count: Levels of the whole side.
        ask_count: Likewise.
        sequence: Of publications; even, grows by 2.
        updates: Snapshots and deltas applied.
        recv_ns: When the last of them was received, 0 for none.
        time_ms: The exchange's time of it.
        since_ns: When `state` began.
    """

    state: State
    faults: tuple[State, ...]
    bid: Level | None
    ask: Level | None
    bid_count: int
    ask_count: int
    sequence: int
    updates: int
    recv_ns: int
    time_ms: int
    since_ns: int

    @property
    def live(self) -> bool:
        """Whether the book may be traded on."""
        return self.state is State.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """
    A consistent copy of a token's top and its first levels.

    Attributes:
        top: As `Top`, of the same instant.
        bids: Best first, at most the arena's depth.
        asks: Likewise.
        tick_e4: The market's tick, 0 if not known.
        last_e4: last_trade_price of the market as last told, 0 for none.
        failing_since_ns: Since when the book has not been LIVE, 0 if it is.
        snapshot_ms: The exchange's time of the last snapshot.
        hash: Of the last update, "" if it had none.
    """

    top: Top
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    tick_e4: int
    last_e4: int
    failing_since_ns: int
    snapshot_ms: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Episodes:
    """How often a state ended, how long it lasted in all and at most."""

    count: int
    ns_sum: int
    ns_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """
    Capacity and use.

    Attributes:
        token_count: Tokens in the table.
        token_capacity: As laid out.
        live_count: In State.LIVE.
        depth: Levels a side that readers see.
        max_depth: Levels a side that are kept, 0 for all.
        recovered: The last recover had to empty the books of a writer that died in a frame.
        pool_bytes: Ladder memory.
        pool_used: Of it in books.
        slot_bytes: Of one published slot.
        token_bytes: Of everything but ladders and index, for each token.
    """

    token_count: int
    token_capacity: int
    live_count: int
    depth: int
    max_depth: int
    recovered: bool
    pool_bytes: int
    pool_used: int
    slot_bytes: int
    token_bytes: int


class BookView:
    """
    Read the books of an arena; any thread, any process, also on a read-only mapping.

    Raises:
        ArenaAccessError: The arena is closed or was laid out without books.
    """

    __slots__ = ("_arena", "_depth", "_top")

    def __init__(self, arena: Arena) -> None:
        if arena.info.config.token_count == 0:
            raise errors.ArenaAccessError("arena.token_count is 0: the arena has no books")
        self._arena = arena.handle()
        self._top = ffi.new("pa_book_top *")
        self._depth = ffi.new("pa_book_depth *")

    def packed(self, slot: int) -> int:
        """
        Return the packed top, one load: bits 0..13 bid, 14..27 ask, 28..31 state, 32.. updates.

        A price of 0 means that the side is empty; 0 as a whole that there is no such token.
        """
        return int(lib.pa_store_top(self._arena, slot))

    def top(self, slot: int) -> Top | None:
        """Return the top of `slot`; None if a writer was in the way 64 times. RangeError."""
        status = lib.pa_store_read(self._arena, _slot(slot), self._top)
        return _top(self._top) if _read(status, slot) else None

    def depth(self, slot: int) -> Depth | None:
        """Return the top and the first levels of `slot`; otherwise as `top`."""
        status = lib.pa_store_read_depth(self._arena, _slot(slot), self._depth)
        if not _read(status, slot):
            return None
        d = self._depth
        return Depth(
            top=_top(d.top),
            bids=tuple(Level(d.bids[i].price_e4, d.bids[i].size_e6) for i in range(d.bid_shown)),
            asks=tuple(Level(d.asks[i].price_e4, d.asks[i].size_e6) for i in range(d.ask_shown)),
            tick_e4=d.tick_e4,
            last_e4=d.last_e4,
            failing_since_ns=d.failing_since_ns,
            snapshot_ms=d.snapshot_ms,
            hash=ffi.unpack(d.hash, lib.PA_HASH_TEXT).rstrip(b"\0").decode("ascii", "replace"),
        )

    def cost_e6(self, slot: int) -> int | None:
        """
        Return what one share costs a taker: best ask and fee, rounded up.

        None: no such token, no ask, its book is not live, or its fee is not known.
        """
        cost = int(lib.pa_store_cost(self._arena, slot))
        return None if cost == COST_NONE else cost

    def token(self, slot: int) -> str:
        """Return the token id of `slot`. RangeError: no such slot."""
        out, size = ffi.new("char[]", TOKEN_TEXT_MAX), ffi.new("uint32_t *")
        check(lib.pa_store_token(self._arena, _slot(slot), out, size), f"slot {slot}")
        return ffi.unpack(out, size[0]).decode("ascii")  # type: ignore[no-any-return]

    def counters(self) -> dict[str, int]:
        """Return every counter by name (`COUNTERS`)."""
        counters, episodes = self._counts()
        del episodes
        return {name: int(counters[index]) for index, name in enumerate(COUNTERS)}

    def episodes(self) -> dict[State, Episodes]:
        """Return, for every state that ended at least once, how often and how long it held."""
        counters, episodes = self._counts()
        del counters
        return {
            state: Episodes(count=e.count, ns_sum=e.ns_sum, ns_max=e.ns_max)
            for state, e in zip(STATES, episodes, strict=True)
            if e.count
        }

    def info(self) -> StoreInfo:
        """Return capacity and use."""
        out = ffi.new("pa_store_info *")
        lib.pa_store_read_info(self._arena, out)
        return StoreInfo(
            token_count=out.token_count,
            token_capacity=out.token_capacity,
            live_count=out.live_count,
            depth=out.depth,
            max_depth=out.max_depth,
            recovered=bool(out.recovered),
            pool_bytes=out.pool_bytes,
            pool_used=out.pool_used,
            slot_bytes=out.slot_bytes,
            token_bytes=out.token_bytes,
        )

    def _counts(self) -> tuple[Any, Any]:
        counters = ffi.new("uint64_t[]", lib.PA_COUNT_COUNT)
        episodes = ffi.new("pa_episodes[]", lib.PA_STATE_COUNT)
        lib.pa_store_counters(self._arena, counters, episodes)
        return counters, episodes


class Books(BookView):
    """
    The owner's side: one process, one thread.

    Takes the books over: those of an earlier process are kept, each STALE until its next
    snapshot, or emptied if that process died inside a frame (`StoreInfo.recovered`).

    Args:
        arena: Its arena, writable.
        now_ns: Monotonic.
        max_depth: Levels a side to keep, 0 for all. A book of which levels were left out has no
            reproducible hash.

    Raises:
        ArenaAccessError: The arena is closed, read-only, or has no books.
    """

    __slots__ = ("_levels",)

    def __init__(self, arena: Arena, now_ns: int, *, max_depth: int = 0) -> None:
        if not arena.writable:
            raise errors.ArenaAccessError("the books' arena is closed or mapped read-only")
        super().__init__(arena)
        integer("book.max_depth", max_depth, 0, 9999)
        self._levels = ffi.new("pa_book_level[]", 9999)
        check(lib.pa_store_recover(self._arena, max_depth, _ns(now_ns)), "books")

    def add(self, token: str, now_ns: int, *, tick_e4: int = 0) -> int:
        """
        Enter a token, warming, or find it, and return its slot.

        Args:
            token: Decimal asset id.
            now_ns: Monotonic.
            tick_e4: 1000, 100, 50, 25, 10 or 1; 0 if not known: then prices choose it.

        Raises:
            ArgumentTypeError, MalformedError: Not a decimal of 1..78 digits.
            RangeError: No such tick.
            CapacityError: ``arena.token_count`` tokens are in the table.
        """
        integer("tick_e4", tick_e4, 0, 1000)
        raw = _token(token)
        out = ffi.new("uint32_t *")
        status = lib.pa_store_add(self._arena, raw, len(raw), tick_e4, _ns(now_ns), out)
        if status == lib.PA_E_CAPACITY:
            capacity = self.info().token_capacity
            raise errors.CapacityError(f"arena.token_count {capacity}: no room for {token}")
        check(status, f"token {token[:80]!r}, tick_e4 {tick_e4}")
        return int(out[0])

    def find(self, token: str) -> int | None:
        """Return the slot of a token, None if it is not in the table."""
        raw = _token(token)
        out = ffi.new("uint32_t *")
        found = lib.pa_store_find(self._arena, raw, len(raw), out) == lib.PA_OK
        return int(out[0]) if found else None

    def remove(self, slot: int, now_ns: int) -> None:
        """Take a token out; its slot may be given to another one. RangeError."""
        check(lib.pa_store_remove(self._arena, _slot(slot), _ns(now_ns)), f"slot {slot}")

    def pair(self, a: int, b: int) -> None:
        """Say that two slots are YES and NO of one market. RangeError: not, or paired otherwise."""
        check(lib.pa_store_pair(self._arena, _slot(a), _slot(b)), f"pair of slots {a}, {b}")

    def complement(self, slot: int) -> int | None:
        """Return the other slot of a pair, None without."""
        other = lib.pa_store_pair_of(self._arena, _slot(slot))
        return None if other == lib.PA_SLOT_NONE else int(other)

    def mark(self, slot: int, state: State, now_ns: int) -> None:
        """Say that GAP, STALE, FROZEN or RESOLVED holds, from now on. RangeError."""
        status = lib.pa_store_mark(self._arena, _slot(slot), state, _ns(now_ns))
        check(status, f"slot {slot}, {state.name}")

    def clear(self, slot: int, state: State, now_ns: int) -> None:
        """End GAP, STALE or FROZEN; the next snapshot does so too. RangeError."""
        status = lib.pa_store_clear(self._arena, _slot(slot), state, _ns(now_ns))
        check(status, f"slot {slot}, {state.name}")

    def reset(self, slot: int, now_ns: int) -> None:
        """Empty a book: WARMING until its next snapshot, of whatever time. RangeError."""
        check(lib.pa_store_reset(self._arena, _slot(slot), _ns(now_ns)), f"slot {slot}")

    def set_fee(self, slot: int, fee: FeeSchedule | None) -> None:
        """
        Say what a taker pays in the token's market; None: nobody knows, or it is not to be traded.

        Its cost is none until this is said. Relations hear of it with the next sweep.

        Raises:
            RangeError: No such slot, rate (0..1 x 10^6) or exponent (1, 2).
        """
        rate, exponent = (-1, 1) if fee is None else (fee.rate_e6, fee.exponent)
        if fee is not None:
            integer("fee.rate_e6", rate, 0, 1_000_000)
            integer("fee.exponent", exponent, 1, 2)
        check(lib.pa_store_set_fee(self._arena, _slot(slot), rate, exponent), f"slot {slot}")

    def set_ages(self, quiet_ns: int, hard_ns: int) -> None:
        """
        Bound how long a token may go unheard of, and its book without an update of its own.

        Raises:
            RangeError: Not ``1 <= quiet_ns <= hard_ns < 2**62``.
        """
        integer("hard_ns", hard_ns, 1, (1 << 62) - 1)
        integer("quiet_ns", quiet_ns, 1, hard_ns)
        check(lib.pa_store_set_ages(self._arena, quiet_ns, hard_ns), "ages")

    def carry(self, slot: int, line: int, carried: bool) -> None:
        """
        Say that a line, 1..`LINES_MAX`, carries a token, or does no more.

        Raises:
            RangeError: No such slot or line.
            CapacityError: Two others carry it already.
        """
        integer("line", line, 1, LINES_MAX)
        check(lib.pa_store_carry(self._arena, _slot(slot), line, carried), f"slot {slot}")

    def heard_ns(self, slot: int) -> int:
        """Return when it last updated itself or a line that carries it brought data; 0: never."""
        return int(lib.pa_store_heard(self._arena, _slot(slot)))

    def fresh(self, slot: int, now_ns: int) -> bool:
        """Whether it may be traded on: live, its fee known, and within `set_ages`."""
        return bool(lib.pa_store_fresh(self._arena, _slot(slot), _ns(now_ns)))

    def ladder(self, slot: int, side: Side) -> list[Level]:
        """Return a whole side, best first. RangeError."""
        count = ffi.new("uint32_t *")
        levels = self._levels
        status = lib.pa_store_ladder(self._arena, _slot(slot), side, levels, len(levels), count)
        check(status, f"slot {slot}")
        return [Level(levels[i].price_e4, levels[i].size_e6) for i in range(count[0])]

    def failing(self, before_ns: int, *, ignore: tuple[State, ...] = ()) -> list[int]:
        """Return the slots that have not been LIVE since before `before_ns`, or in `ignore`."""
        mask = sum(1 << state for state in set(ignore))
        start, count = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        out = ffi.new("uint32_t[]", 1024)
        found: list[int] = []
        while True:
            lib.pa_store_failing(self._arena, _ns(before_ns), mask, start, out, len(out), count)
            found += ffi.unpack(out, count[0])
            if count[0] < len(out):
                return found

    def hash(
        self,
        slot: int,
        *,
        market: str,
        time_ms: int,
        min_order_size: str = "",
        neg_risk: bool = False,
        last_trade_price: str = "",
        tick_size: str | None = None,
        short: bool = False,
    ) -> str:
        """
        Return the SHA-1 that the exchange would give this book (protocol.md section 20.2).

        Off the hot path: the ladder is read and written as compact JSON here. What the core does
        not know is the caller's to say; `tick_size` None takes the book's own tick. `short` is the
        form of 2025, which ends with the asks.
        """
        token = self.token(slot)
        if tick_size is None:
            depth = self.depth(slot)
            tick_size = format_fixed(depth.tick_e4 if depth else 0, 4)
        bids = _json_levels(self.ladder(slot, Side.BID))
        asks = _json_levels(self.ladder(slot, Side.ASK))
        text = (
            f'{{"market":"{market}","asset_id":"{token}","timestamp":"{time_ms}","hash":"",'
            f'"bids":[{bids}],"asks":[{asks}]'
        )
        if not short:
            text += (
                f',"min_order_size":"{min_order_size}","tick_size":"{tick_size}",'
                f'"neg_risk":{"true" if neg_risk else "false"},'
                f'"last_trade_price":"{last_trade_price}"'
            )
        text += "}"
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _json_levels(best_first: list[Level]) -> str:
    """Bids ascending and asks descending, as the exchange writes them: the best one last."""
    return ",".join(map(_json_level, reversed(best_first)))


@functools.lru_cache(maxsize=1 << 16)  # a book's levels hardly change from one hash to the next
def _json_level(level: Level) -> str:
    price, size = format_fixed(level.price_e4, 4), format_fixed(level.size_e6, 6)
    return f'{{"price":"{price}","size":"{size}"}}'


def _top(t: Any) -> Top:
    faults = t.faults
    return Top(
        state=STATES[t.state],
        faults=tuple(state for state in STATES if faults >> state & 1),
        bid=Level(t.bid_e4, t.bid_size_e6) if t.bid_e4 else None,
        ask=Level(t.ask_e4, t.ask_size_e6) if t.ask_e4 else None,
        bid_count=t.bid_count,
        ask_count=t.ask_count,
        sequence=t.sequence,
        updates=t.updates,
        recv_ns=t.recv_ns,
        time_ms=t.time_ms,
        since_ns=t.since_ns,
    )


def _read(status: int, slot: int) -> bool:
    if status == lib.PA_E_BUSY:
        return False
    check(status, f"slot {slot}")
    return True


def _slot(slot: int) -> int:
    return integer("slot", slot, 0, SLOT_MAX)


def _ns(now_ns: int) -> int:
    return integer("now_ns", now_ns, 0, INT64_MAX)


def _token(token: str) -> bytes:
    if type(token) is not str:
        raise errors.ArgumentTypeError(f"token must be a str, not {type(token).__name__}")
    return token.encode("utf-8", "surrogatepass")
