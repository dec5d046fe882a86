"""
The account's client and its user socket over sockets, against the simulated exchange.

Whatever the exchange does to a request or to the socket, what exists is never taken for refused,
nothing is sent twice, and the account's ledger ends as the exchange has it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import stamina
from ledger import Ledger
from trading import Orders, account, credentials, plain_markets
from waiting import until

from polyarb import clock
from polyarb.domain.answer import Accepted, Canceled, Cause, Later, Reason, Refused, Unknown, Why
from polyarb.exchange.auth import Credentials, user_login
from polyarb.exchange.throttle import Throttle
from polyarb.exchange.trading import Timeouts, TradingClient
from polyarb.exchange.transport import HttpPort, Session
from polyarb.feed import socket as feed_socket
from polyarb.feed import user
from polyarb.feed.user import State, UserConfig, UserFeed
from polyarb.sim import scenarios, spoil
from polyarb.sim.exchange import Exchange
from polyarb.sim.mishaps import KNOWN
from polyarb.sim.server import Server

SECOND = 1_000_000_000
MS = 1_000_000


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=4)
    yield
    stamina.set_testing(False)


class Venue:
    """The exchange of this process behind a port, and an account on it."""

    def __init__(self, server: Server, url: str, session: Session) -> None:
        self.server = server
        self.url = url
        self.venue = server.exchange.venue
        told = server.exchange.account
        self.signer = account(told, 3)
        self.credentials = credentials(told)
        self.port = HttpPort(session, url)
        self.client = self.make_client()
        self.orders = Orders(self.signer, lambda: clock.wall_ns() // MS)
        self.market = plain_markets(self.venue)[0]
        self.journal: list[str] = []

    def make_client(self, **options: Any) -> TradingClient:
        """Return a client with short time-outs and a budget of its own."""
        made: dict[str, Any] = {
            "signer": self.signer,
            "credentials": self.credentials,
            "throttle": Throttle(clock.monotonic_ns(), tier="Elite"),
            "timeouts": Timeouts(order_ns=SECOND, cancel_ns=SECOND, read_ns=SECOND),
        }
        return TradingClient(self.port, **(made | options))

    def fault(self, name: str, **members: Any) -> int:
        """Add a fault; members that are none of a spec's are values."""
        known = {"at_s", "for_s", "every_s", "probability", "count", "match"}
        spec = {key: members[key] for key in members.keys() & known}
        values = {key: members[key] for key in members.keys() - known}
        made: list[int] = []
        add = self.venue.faults.add
        self.server.driver.act(lambda: made.append(add({"name": name, **spec, "values": values})))
        return made[0]

    def clear(self, number: int) -> None:
        """End a fault that may be over already."""
        with contextlib.suppress(Exception):
            self.server.driver.act(lambda: self.venue.faults.remove(number))

    def resting(self) -> Any:
        return self.orders.limit(self.market, 0, "BUY", 100, "10")

    def taking(self, dollars: str = "5") -> Any:
        return self.orders.market(self.market, 0, "BUY", 9_900, dollars)

    async def place(self, *orders: Any, kind: str = "GTC") -> list[Any]:
        """Sign and post orders."""

        def journal(signed: Any) -> None:
            self.journal += [one.order_id for one in signed]

        return await self.client.place(orders, order_type=kind, journal=journal)


@contextlib.asynccontextmanager
async def serving(scenario: str = "still") -> AsyncIterator[Venue]:
    exchange = Exchange(
        scenarios.find(scenario), seed=7, start_ns=clock.wall_ns(), signature_type=3
    )
    server = Server(exchange)
    url = await server.start()
    try:
        async with Session() as session:
            yield Venue(server, url, session)
    finally:
        await server.stop()
    assert exchange.venue.counts["internal_errors"] == 0


def meaning(said: object) -> object:
    match said:
        case Refused():
            return said.reason
        case Unknown():
            return said.why
        case Later():
            return said.cause
    return None


# -- requests


@pytest.mark.asyncio
async def test_orders_cancels_and_reads() -> None:
    async with serving() as venue:
        assert await venue.port.warm(4) == 4
        client = venue.client
        await client.sync_time()
        placed = await venue.place(venue.resting(), venue.resting())
        assert [type(one.answer) for one in placed] == [Accepted] * 2
        [taken] = await venue.place(venue.taking(), kind="FAK")
        assert isinstance(taken.answer, Accepted)
        assert taken.answer.taking_e6
        assert len(await client.open_orders()) == 2
        trades = await client.trades(trade_id=taken.answer.trade_ids[0])
        assert [fill.size_e6 for fill in trades[0].fills] == [taken.answer.taking_e6]
        report = await client.order(taken.signed.order_id)
        assert report is not None
        assert report.matched_e6 == taken.answer.taking_e6
        ids = [one.signed.order_id for one in placed[:2]]
        assert await client.cancel(ids[:1]) == Canceled(canceled=frozenset(ids[:1]))
        assert await client.cancel_all() == Canceled(canceled=frozenset(ids[1:]))
        assert (await client.balance()).units > 0
        assert await client.version() == 2
        assert await client.heartbeat() is None
        assert await client.heartbeat() is None
        assert await client.authorized()


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("fault", "values", "expected", "exists"),
    [
        ("error", {}, Why.SERVER_ERROR, False),
        ("error_200", {"text": "odd"}, Why.UNRECOGNISED, False),
        ("html_error", {}, Why.SERVER_ERROR, False),
        ("html_error", {"status": 403}, Reason.BLOCKED, False),
        ("too_many_requests", {}, Cause.THROTTLED, False),
        ("request_lost", {}, Why.BROKEN, False),
        ("order_timed_out", {}, Reason.TIMED_OUT, False),
        ("order_body_error", {}, Reason.EXECUTION, False),
        ("response_lost", {}, Why.BROKEN, True),
        ("accepted_then_500", {}, Why.SERVER_ERROR, True),
        ("slow", {"seconds": 3.0}, Why.TIMED_OUT, True),
        ("reset_mid_response", {}, Why.BROKEN, True),
        ("truncated_body", {}, Why.UNREADABLE, True),
        ("user_event_early", {}, None, True),
        ("leg_refused", {}, Reason.BALANCE, False),
        ("leg_refused", {"reason": "internal"}, (Why.SERVER_ERROR, Why.UNRECOGNISED), False),
    ],
)
@pytest.mark.asyncio
async def test_what_becomes_of_an_order_is_never_guessed(
    batch: bool, *, fault: str, values: Mapping[str, Any], expected: object, exists: bool
) -> None:
    async with serving() as venue:
        await venue.place(venue.resting())  # the connection is a kept one
        path = "POST /orders" if batch else "POST /order"
        match = {} if fault == "leg_refused" else {"match": {"path": path}}
        before = venue.venue.counts["requests"]
        venue.fault(fault, **match, **values)
        placed = await venue.place(*(venue.resting() for _ in range(3 if batch else 1)))
        assert venue.venue.counts["requests"] == before + 1
        for one in placed:
            wanted = expected if isinstance(expected, tuple) else (expected,)
            assert meaning(one.answer) in wanted
            if not isinstance(one.answer, Later | Refused):
                found = await venue.client.order(one.signed.order_id)
                assert (found is not None) is exists


@pytest.mark.parametrize(
    ("fault", "expected", "done"),
    [
        ("error", Why.SERVER_ERROR, False),
        ("request_lost", Why.BROKEN, False),
        ("response_lost", Why.BROKEN, True),
        ("reset_mid_response", Why.BROKEN, True),
        ("truncated_body", Why.UNREADABLE, True),
        ("accepted_then_500", Why.SERVER_ERROR, True),
    ],
)
@pytest.mark.asyncio
async def test_what_becomes_of_a_cancel_is_never_guessed(
    fault: str, expected: object, done: bool
) -> None:
    async with serving() as venue:
        [placed] = await venue.place(venue.resting())
        before = venue.venue.counts["requests"]
        venue.fault(fault, match={"path": "DELETE /order"}, count=1)
        assert meaning(await venue.client.cancel([placed.signed.order_id])) is expected
        assert venue.venue.counts["requests"] == before + 1, "a DELETE is not sent twice"
        assert len(await venue.client.open_orders()) == (0 if done else 1)


@pytest.mark.parametrize(
    "fault",
    [
        "error",
        "html_error",
        "request_lost",
        "response_lost",
        "reset_mid_response",
        "truncated_body",
    ],
)
@pytest.mark.asyncio
async def test_reads_are_repeated(fault: str) -> None:
    async with serving() as venue:
        [placed] = await venue.place(venue.resting())
        venue.fault(fault, count=2, match={"path": "GET /data/orders"})
        [found] = await venue.client.open_orders()
        assert found.order_id == placed.signed.order_id
        assert venue.venue.faults.counts[fault] == 2


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("restart", Cause.RESTARTING),
        ("post_only", Cause.POST_ONLY),
        ("cancel_only", Cause.CANCEL_ONLY),
        ("disabled", Cause.DISABLED),
    ],
)
@pytest.mark.asyncio
async def test_modes(mode: str, cause: Cause) -> None:
    async with serving() as venue:
        venue.fault(mode)
        [placed] = await venue.place(venue.resting())
        assert meaning(placed.answer) is cause
        if cause in {Cause.RESTARTING, Cause.POST_ONLY}:
            assert placed.answer.wait_ns


@pytest.mark.asyncio
async def test_markets_that_change() -> None:
    async with serving() as venue:
        order = venue.orders.limit(venue.market, 0, "BUY", 1_100, "10")
        match = {"market": venue.market.condition_id}
        venue.fault("tick_change", tick="0.1", match=match)
        [placed] = await venue.place(order)
        assert meaning(placed.answer) is Reason.TICK
        venue.fault("market_closed", match=match)
        [placed] = await venue.place(order)
        assert meaning(placed.answer) is Cause.MARKET_NOT_READY


@pytest.mark.asyncio
async def test_another_generation_is_signed_once_more() -> None:
    async with serving() as venue:
        venue.fault("error_200", count=1)
        [placed] = await venue.place(venue.resting())
        assert isinstance(placed.answer, Accepted)
        assert len(venue.journal) == 2
        assert [order.order_id for order in await venue.client.open_orders()] == venue.journal[1:]


@pytest.mark.asyncio
async def test_a_partial_fill_and_a_lagging_balance() -> None:
    async with serving() as venue:
        fast(venue)
        venue.fault("lagging_balance")
        venue.fault("leg_partial", share=0.5)
        [placed] = await venue.place(venue.taking("4"), kind="FAK")
        report = await venue.client.order(placed.signed.order_id)
        assert report is not None
        assert report.final
        assert placed.answer.taking_e6 == report.matched_e6 > 0
        token = venue.market.tokens[0]
        assert (await venue.client.balance(token)).units == 0
        for _ in range(100):
            if (await venue.client.balance(token, refresh=True)).units:
                break
            await asyncio.sleep(0.02)
        assert (await venue.client.balance(token)).units == report.matched_e6


@pytest.mark.asyncio
async def test_a_heartbeat_that_is_refused() -> None:
    async with serving() as venue:
        venue.fault("heartbeat_refused", count=1)
        assert await venue.client.heartbeat() is None
        venue.fault("heartbeat_refused")
        assert isinstance(await venue.client.heartbeat(), Unknown)


@pytest.mark.asyncio
async def test_a_held_order_that_finds_nobody() -> None:
    async with serving("default") as venue:
        venue.market = plain_markets(venue.venue, lambda market: market.seconds_delay)[0]
        venue.fault("delayed_unmatched")
        async with listening(Account(venue)) as held:
            await until(lambda: held.session.state is State.UP, "up")
            [placed] = await venue.place(venue.taking(), kind="FAK")
            assert isinstance(placed.answer, Accepted)
            known = held.ledger.orders
            name = placed.signed.order_id
            await until(lambda: name in known and known[name].final, "its end")
            assert known[name].matched_e6 == 0


@pytest.mark.asyncio
async def test_a_clock_that_is_off() -> None:
    async with serving() as venue:
        venue.fault("clock_skew", offset_s=-120)
        [placed] = await venue.place(venue.resting())
        assert meaning(placed.answer) is Reason.UNAUTHORIZED
        assert await venue.client.open_orders() == []
        [placed] = await venue.place(venue.resting())
        assert isinstance(placed.answer, Accepted)


@pytest.mark.asyncio
async def test_nobody_there_is_for_later() -> None:
    async with serving() as venue:
        venue.fault("refused_connections", seconds=0.5)
        [placed] = await venue.place(venue.resting())
        assert meaning(placed.answer) is Cause.UNREACHABLE
        await until(lambda: venue.server._reopening is None, "it listens again")
        answers = []

        async def again() -> None:
            answers.extend(await venue.place(venue.resting()))

        for _ in range(50):
            await again()
            if isinstance(answers[-1].answer, Accepted):
                break
            await asyncio.sleep(0.05)
        assert isinstance(answers[-1].answer, Accepted)


@pytest.mark.asyncio
async def test_many_at_once_are_all_answered() -> None:
    async with serving() as venue:
        parts = await asyncio.gather(
            *(venue.place(*(venue.resting() for _ in range(10))) for _ in range(20))
        )
        answers = [one.answer for part in parts for one in part]
        assert all(isinstance(each, Accepted) for each in answers)
        assert len(await venue.client.open_orders()) == 200


# -- the user socket


class Account:
    """A running user feed with its ledger, which asks REST whenever it is behind."""

    def __init__(self, venue: Venue, held: Credentials | None = None, **config: int) -> None:
        self.venue = venue
        self.ledger = Ledger()
        self.config = UserConfig(**{"backoff_min_ns": 20 * MS, **config})
        login = held or venue.credentials
        self.session = user.Session(
            lambda: user_login(login),
            owner=login.api_key,
            listener=self.ledger,
            now_ns=clock.monotonic_ns(),
            config=self.config,
            random=Random(1),
        )
        url = venue.url.replace("http", "ws", 1) + "/ws/user"
        self.feed = UserFeed(url, self.session, self.config)
        self.reconciled = 0

    async def reconcile(self) -> None:
        client, ledger = self.venue.client, self.ledger
        self.reconciled = len(ledger.behind)
        orders = await client.open_orders()
        listed = {order.order_id for order in orders}
        for placed in self.venue.journal:
            known = ledger.orders.get(placed)
            if placed not in listed and (known is None or not known.final):
                found = await client.order(placed)
                orders += [found] if found else []
        self.session.learned(orders, await client.trades(), clock.monotonic_ns())

    def differences(self) -> list[str]:
        return self.ledger.differences(self.venue.venue, self.venue.client.owner)

    async def truth(self, within_s: float = 30.0) -> None:
        """Wait until the ledger is the exchange's, asking REST where the session says so."""
        async with asyncio.timeout(within_s):
            while self.differences() or self.reconciled < len(self.ledger.behind):
                if self.reconciled < len(self.ledger.behind):
                    await self.reconcile()
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def listening(account_: Account) -> AsyncIterator[Account]:
    task = asyncio.create_task(feed_socket.run(account_.feed))
    try:
        yield account_
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert account_.feed.stopped
    left = [t for t in asyncio.all_tasks() if t.get_name().startswith("dial")]
    await asyncio.gather(*left, return_exceptions=True)


async def story(venue: Venue, steps: int = 6) -> None:
    for step in range(steps):
        await venue.place(venue.resting(), venue.resting())
        await venue.place(venue.taking(str(2 + step % 5)), kind="FAK")
        await venue.client.cancel(venue.journal[-3:-2])


def fast(venue: Venue) -> None:
    """Let trades settle within the test."""
    changed = msgspec.structs.replace(venue.venue.config, mined_ms=50, confirmed_ms=50)
    venue.venue.config = changed


@pytest.mark.asyncio
async def test_events_tell_everything() -> None:
    async with serving() as venue:
        fast(venue)
        async with listening(Account(venue)) as held:
            await until(lambda: held.session.state is State.UP, "up")
            await story(venue)
            await until(lambda: not held.differences(), "the exchange's ledger")
            assert held.ledger.behind == ["connected"]


FRAMES: dict[str, Mapping[str, Any]] = {
    "duplicate_frames": {},
    "reordered_frames": {},
    "slow_feed": {"seconds": 0.3},
    "binary_frame": {},
    "fragmented_frame": {},
    "huge_frame": {"bytes": 1 << 20},
    "stray_text": {},
    "loose_types": {},
    "truncated_frame": {"probability": 0.3},
    "user_event_twice": {},
    "user_events_reordered": {"probability": 0.4},
    "trade_failed": {"probability": 0.5},
    "trade_retrying": {"seconds": 0.1},
    "slow_settlement": {"seconds": 0.5},
    "delayed_hash": {"seconds": 0.2},
    "user_event_early": {},
}
OF_FRAMES = frozenset({*[*FRAMES][:9], "malformed_frame"})


@pytest.mark.parametrize("name", [*FRAMES, *(f"malformed_frame {form}" for form in spoil.FORMS)])
@pytest.mark.asyncio
async def test_whatever_happens_to_events_it_ends_with_the_truth(name: str) -> None:
    name, _, form = name.partition(" ")
    values = dict(FRAMES.get(name, {"form": form, "probability": 0.3}))
    if name in OF_FRAMES:
        values["match"] = {"path": "/ws/user"}
    async with serving() as venue:
        fast(venue)
        async with listening(Account(venue)) as held:
            await until(lambda: held.session.state is State.UP, "up")
            number = venue.fault(name, **values)
            await story(venue)
            await until(lambda: venue.venue.faults.counts[name], "the fault")
            await held.reconcile()
            venue.clear(number)
            await venue.place(venue.resting())
            await held.truth()


@pytest.mark.parametrize("name", ["abort_1006", "slow_consumer"])
@pytest.mark.asyncio
async def test_a_lost_connection_comes_back_and_catches_up(name: str) -> None:
    async with serving() as venue:
        fast(venue)
        async with listening(Account(venue)) as held:
            await until(lambda: held.session.state is State.UP, "up")
            number = venue.fault(name, every_s=0.2, match={"path": "/ws/user"})
            await story(venue, 12)
            await until(lambda: len(held.ledger.lost) > 3, "losses")
            venue.clear(number)
            await held.truth()
            assert held.ledger.refused == []


@pytest.mark.asyncio
async def test_no_pong_is_a_lost_connection() -> None:
    async with serving() as venue:
        venue.fault("pong_lost", match={"path": "/ws/user"})
        config = {"login_ns": 100 * MS, "ping_ns": 100 * MS, "pong_ns": 400 * MS}
        async with listening(Account(venue, **config)) as held:
            await until(lambda: len(held.ledger.lost) > 1, "losses")
            assert set(held.ledger.lost) == {"no PONG for 0.4 s"}
            assert held.ledger.refused == []


@pytest.mark.parametrize("name", ["frozen_feed", "lost_frames", "user_event_missing"])
@pytest.mark.asyncio
async def test_what_is_never_sent_is_caught_up_by_rest(name: str) -> None:
    match = {} if name == "user_event_missing" else {"path": "/ws/user"}
    match |= {"kind": "order"} if name == "lost_frames" else {}
    async with serving() as venue:
        fast(venue)
        async with listening(Account(venue)) as held:
            await until(lambda: held.session.state is State.UP, "up")
            number = venue.fault(name, match=match)
            await story(venue)
            venue.clear(number)
            await until(lambda: venue.venue.faults.counts[name], "the fault")
            assert held.differences()
            held.ledger.reconcile("every few seconds", 0)
            await held.truth()


@pytest.mark.asyncio
async def test_wrong_credentials_are_told_from_a_lost_connection() -> None:
    async with serving() as venue:
        held = venue.credentials
        wrong = Credentials(held.api_key, held.secret, held.passphrase + "x")
        async with listening(Account(venue, wrong)) as denied:
            await until(lambda: denied.ledger.refused, "a denial")
            assert denied.ledger.refused == [("1008 invalid credentials", True)]
            assert denied.session.state is State.DENIED
            assert denied.ledger.lost == []
            assert not await venue.make_client(credentials=wrong).authorized()


@pytest.mark.asyncio
async def test_nobody_there_is_waited_for() -> None:
    async with serving() as venue:
        venue.fault("refused_connections", seconds=0.5)
        async with listening(Account(venue)) as held:
            await until(lambda: held.session.last_reason, "a failure")
            assert held.session.counts.opened == 0
            await until(lambda: held.session.state is State.UP, "up")
            assert held.ledger.refused == []


@pytest.mark.asyncio
async def test_a_listener_that_breaks_ends_the_feed() -> None:
    async with serving() as venue:
        held = Account(venue)

        def broken(*_: object) -> None:
            raise KeyError("listener")

        held.ledger.reconcile = broken  # type: ignore[method-assign, assignment]
        with pytest.raises(KeyError, match="listener"):
            await asyncio.wait_for(feed_socket.run(held.feed), 20)


def test_every_fault_that_concerns_an_account_is_tried_here() -> None:
    text = Path(__file__).read_text()
    others = {
        *("relayer_busy", "relayer_failed", "relayer_slow"),
        *("ghost_book", "missing_snapshot", "late_change", "old_format"),
        *("crossed_book", "stale_top", "wrong_hash"),
    }
    missing = {name for name in KNOWN.keys() - others if f'"{name}' not in text}
    assert missing == set()
