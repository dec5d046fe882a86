"""The user socket in virtual time, and everything that the exchange may do to it."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
import simclient
import stamina
from ledger import Ledger
from trading import SECOND, Rig

from polyarb.domain.report import TradeStatus
from polyarb.exchange.auth import Credentials, l2_headers, user_login
from polyarb.feed.user import Session, State, UserConfig, UserLine
from polyarb.sim import spoil


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=4)
    yield
    stamina.set_testing(False)


class Account:
    """An account that trades, listens, and asks REST whenever it is told that it is behind."""

    def __init__(self, rig: Rig, credentials: Credentials | None = None, **config: int) -> None:
        held = credentials or rig.credentials
        self.rig = rig
        self.ledger = Ledger()
        self.session = Session(
            lambda: user_login(held),
            owner=held.api_key,
            listener=self.ledger,
            now_ns=rig.now_ns,
            config=UserConfig(**config),
            random=Random(3),
        )
        self.line = UserLine(rig.port, self.session, lambda: rig.now_ns)
        self.reconciled = 0

    def live(self, for_s: float) -> None:
        """Let time pass."""
        until = self.rig.now_ns + int(for_s * SECOND)
        while self.rig.now_ns < until:
            due = self.session.next_deadline()
            next_ns = self.rig.venue.next_ns()
            times = [at for at in (due, next_ns, until) if at is not None]
            self.rig.port.run_until(max(self.rig.now_ns, min(times)))
            if due is not None and due <= self.rig.now_ns:
                asyncio.run(self.line.step())
            if self.ledger.behind[self.reconciled :]:
                self.reconciled = len(self.ledger.behind)
                self.reconcile()

    def reconcile(self) -> None:
        """Ask REST for trades, for open orders, and for every order that we thought open."""
        client = self.rig.client
        orders = self.rig.run(client.open_orders())
        listed = {order.order_id for order in orders}
        for known in [*self.ledger.orders.values()]:
            if not known.final and known.order_id not in listed:
                found = self.rig.run(client.order(known.order_id))
                orders += [found] if found else []
        for placed in self.rig.journal:
            if placed not in listed and placed not in self.ledger.orders:
                found = self.rig.run(client.order(placed))
                orders += [found] if found else []
        self.session.learned(orders, self.rig.run(client.trades()), self.rig.now_ns)

    @property
    def differences(self) -> list[str]:
        return self.ledger.differences(self.rig.venue, self.rig.client.owner)


def story(account: Account, steps: int = 12, seed: int = 1, pause_s: float = 1.0) -> None:
    """Place, take, get taken and cancel, in random order."""
    rig, rng = account.rig, random.Random(seed)
    stranger = simclient.Client(rig.venue, simclient.KEYS[1])
    for _ in range(steps):
        act = rng.choice(("rest", "take", "taken", "cancel", "kill"))
        if act == "rest":
            rig.place(rig.resting())
        elif act == "take":
            rig.place(rig.taking(str(rng.randint(1, 9))), kind="FAK")
        elif act == "kill":
            rig.place(rig.taking("900000", price_e4=100), kind="FOK")
        elif act == "taken":
            get_taken(rig, stranger, rng.choice((6, 10)))
        else:
            rig.run(rig.client.cancel(rig.journal[-2:]))
        account.live(rng.random() * pause_s)


def get_taken(rig: Rig, stranger: simclient.Client, shares: int) -> None:
    """Rest at a price that a stranger meets by buying the other token."""
    book = rig.venue.book(rig.market)
    price = (book.best(True) or 0) + 100
    if price < (book.best(False) or 10_000):
        rig.place(rig.orders.limit(rig.market, 0, "BUY", price, "10"))
        other = f"0.{10_000 - price:04d}"
        stranger.place(rig.market.tokens[1], "BUY", other, str(shares), "GTC")


def test_events_alone_tell_everything() -> None:
    account = Account(Rig())
    account.live(1)
    assert account.session.state is State.UP
    story(account, 30)
    account.live(30)
    assert account.differences == []
    assert account.ledger.behind == ["connected"]
    assert {trade.status for trade in account.ledger.trades.values()} == {TradeStatus.CONFIRMED}
    makers = [f for t in account.ledger.trades.values() for f in t.fills if not f.taker]
    assert makers, "we were a maker too"


FAULTS: dict[str, Mapping[str, Any]] = {
    "duplicate_frames": {},
    "reordered_frames": {"max_ms": 900},
    "slow_feed": {"seconds": 3.0},
    "binary_frame": {},
    "huge_frame": {"bytes": 1 << 20},
    "fragmented_frame": {},
    "stray_text": {},
    "loose_types": {},
    "truncated_frame": {"probability": 0.3},
    "pong_lost": {},
}


@pytest.mark.parametrize("name", [*FAULTS, *(f"malformed {form}" for form in spoil.FORMS)])
def test_whatever_happens_to_frames_it_ends_with_the_truth(name: str) -> None:
    rig = Rig()
    account = Account(rig, pong_ns=20 * SECOND)
    account.live(1)
    name, _, form = name.partition(" ")
    values = dict(FAULTS.get(name, {"form": form, "probability": 0.3}))
    fault = "malformed_frame" if name == "malformed" else name
    number = rig.fault(fault, match={"path": "/ws/user"}, **values)
    story(account, 20, seed=len(form))
    account.live(40)
    assert rig.venue.faults.counts[fault] > 0
    rig.venue.faults.remove(number)
    account.live(60)
    assert account.differences == []
    if fault == "pong_lost":
        assert set(account.ledger.lost) == {"no PONG for 20 s"}


@pytest.mark.parametrize("name", ["frozen_feed", "lost_frames", "user_event_missing"])
def test_what_is_never_sent_is_found_by_the_next_reconciliation(name: str) -> None:
    """No socket can notice that: the engine asks REST every few seconds all the same."""
    rig = Rig()
    account = Account(rig)
    account.live(1)
    match = {"kind": "order"} if name == "lost_frames" else {}
    match |= {} if name == "user_event_missing" else {"path": "/ws/user"}
    number = rig.fault(name, match=match)
    story(account)
    rig.venue.faults.remove(number)
    account.live(30)
    assert account.differences != []
    account.reconcile()
    assert account.differences == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("user_event_twice", {}),
        ("user_events_reordered", {"probability": 0.4, "seconds": 2.0}),
        ("user_event_early", {"seconds": 0.5}),
        ("trade_failed", {"probability": 0.5}),
        ("trade_retrying", {}),
        ("trade_retrying", {"end": "FAILED"}),
        ("slow_settlement", {"seconds": 20.0}),
        ("delayed_hash", {}),
        ("leg_partial", {}),
    ],
)
def test_events_in_any_order_and_number_end_with_the_truth(
    name: str, values: Mapping[str, Any]
) -> None:
    rig = Rig()
    account = Account(rig)
    account.live(1)
    rig.fault(name, **values)
    story(account, 20)
    account.live(90)
    assert rig.venue.faults.counts[name] > 0
    assert account.differences == []
    assert account.ledger.behind == ["connected"]


@pytest.mark.parametrize("name", ["abort_1006", "slow_consumer"])
def test_a_lost_connection_comes_back_and_catches_up(name: str) -> None:
    rig = Rig()
    account = Account(rig)
    account.live(1)
    rig.fault(name, every_s=3.0, match={"path": "/ws/user"})
    story(account, 20, pause_s=2.0)
    assert len(account.ledger.lost) > 2
    assert account.ledger.refused == []
    account.live(60)
    assert len(account.ledger.behind) == account.session.counts.opened
    assert account.differences == []


def test_nobody_there_is_waited_for() -> None:
    rig = Rig()
    rig.fault("refused_connections", seconds=20.0)
    account = Account(rig)
    account.live(15)
    assert account.session.counts.opened == 0
    assert account.ledger.refused == []
    account.live(45)
    assert account.session.state is State.UP


def test_wrong_credentials_are_told_from_a_lost_connection() -> None:
    rig = Rig()
    held = rig.credentials
    account = Account(rig, Credentials(held.api_key, held.secret, held.passphrase + "x"))
    account.live(60)
    assert account.ledger.refused == [("1008 invalid credentials", True)]
    assert account.ledger.lost == []
    assert account.session.state is State.DENIED
    assert account.session.counts.opened == 1


def test_a_key_that_is_deleted_ends_it() -> None:
    rig = Rig()
    account = Account(rig)
    account.live(5)
    headers = l2_headers(
        rig.credentials, "DELETE", "/auth/api-key", b"", rig.now_ns // SECOND, rig.signer.address
    )
    assert rig.port.call("DELETE", "/auth/api-key", headers=headers).status == 200
    account.live(5)
    assert account.ledger.refused == [("1008 api key deleted", True)]


@pytest.mark.parametrize("seed", range(5))
def test_a_storm_of_everything_ends_with_the_truth(seed: int) -> None:
    rig = Rig(seed=seed)
    account = Account(rig)
    account.live(1)
    numbers = [
        rig.fault(name, match={"path": "/ws/user"}, probability=0.1)
        for name in ("duplicate_frames", "reordered_frames", "truncated_frame", "fragmented_frame")
    ]
    numbers += [rig.fault("user_event_twice", probability=0.3)]
    numbers += [rig.fault("user_events_reordered", probability=0.3)]
    numbers += [rig.fault("trade_retrying", probability=0.3)]
    numbers += [rig.fault("trade_failed", probability=0.2)]
    numbers += [rig.fault("abort_1006", every_s=4.0, match={"path": "/ws/user"})]
    story(account, 40, seed)
    for number in numbers:
        rig.venue.faults.remove(number)
    account.live(120)
    account.reconcile()
    assert account.differences == []
