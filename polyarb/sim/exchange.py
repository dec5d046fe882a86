"""One exchange, assembled: a scenario's catalogue, venue, participants, faults, and an account."""

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from polyarb.errors import MalformedError
from polyarb.sim import recorded, signatures, universe
from polyarb.sim.catalog import Catalog
from polyarb.sim.config import START_NS
from polyarb.sim.decimals import ONE_E6
from polyarb.sim.feeds import Feeds
from polyarb.sim.http import Request
from polyarb.sim.log import EventLog
from polyarb.sim.mispricing import Mispricings
from polyarb.sim.participants import Participants
from polyarb.sim.router import dispatch
from polyarb.sim.scenarios import Scenario
from polyarb.sim.streams import Channel, Sink
from polyarb.sim.venue import Venue

BALANCE_E6: Final = 10_000 * ONE_E6
DEPOSIT_WALLET: Final = 3
MS: Final = 1_000_000
# SEC 2 section 2.4.1: the order of the group; a private key is 1 .. n - 1.
_GROUP_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_T = TypeVar("_T")


class Kind(StrEnum):
    """What a client can do."""

    REQUEST = "request"
    OPEN = "open"
    TEXT = "text"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    Something a client did; all of them with the seed and the start repeat a run.

    Attributes:
        at_ns: Venue time since its start.
        path: Of the request or the socket.
        number: Of the socket, counted by path.
        body: Of the request, or the text said on the socket.
    """

    at_ns: int
    kind: Kind
    path: str
    number: int = 0
    body: bytes = b""
    method: str = ""
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""


class Exchange:
    """
    A venue with everything that lives on it.

    Its drivers (`server`, `inprocess`) advance the venue, then call `request` and the rest.

    Args:
        scenario: What to assemble.
        seed: Of everything random, and of the account.
        start_ns: Unix nanoseconds at which the venue's time begins.
        signature_type: Which of the account's wallets it trades from.
        balance_e6: What each of its four wallets starts with.
        write: Where the event log goes.
        audit: Recount the ledger after every event.
        begin: Let time begin at once; else it begins with `begin`.

    Attributes:
        recorder: Called with every action of a client.
        left_out: What of a recorded catalogue is not here, counted by its reason.
        begun: Whether time has begun.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int = 1,
        start_ns: int = START_NS,
        signature_type: int = DEPOSIT_WALLET,
        balance_e6: int = BALANCE_E6,
        write: Callable[[str], object] | None = None,
        audit: bool = False,
        begin: bool = True,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.recorder: Callable[[Action], None] | None = None
        self.begun = False
        catalog, self.left_out = _catalog(scenario, seed, start_ns)
        self.venue = Venue(
            scenario.venue,
            catalog,
            seed=seed,
            start_ns=start_ns,
            log=EventLog(write),
            audit=audit,
        )
        self.feeds: dict[str, Feeds] = {f.path: f for f in (self.venue.feeds, self.venue.users)}
        self.venue.say("start", seed, scenario.name)
        self.account = self._open_account(signature_type, balance_e6)
        self.mispricings = self.venue.scorer = Mispricings(self.venue)
        books = scenario.catalogue.books
        if books:
            loaded = _loaded(books, partial(recorded.load_books, self.venue))
            if not loaded["books"]:
                raise MalformedError(
                    f"{books}: no book of a market there is; left out: {listed(loaded)}"
                )
        self.participants = Participants(self.venue, scenario.market)
        self.participants.quote()
        if begin:
            self.begin(start_ns)

    def begin(self, at_ns: int) -> None:
        """Let time begin: until then nothing happens, however long assembling takes."""
        venue, made_ms = self.venue, self.venue.now_ns // MS
        venue.start_ns = venue.now_ns = at_ns
        for book in venue.books.values():
            if book.changed_ms == made_ms:  # a captured book has a time of its own
                book.changed_ms = at_ns // MS
        self.begun = True
        self.participants.start()
        for spec in self.scenario.faults:
            venue.faults.add(spec)

    def _open_account(self, signature_type: int, balance_e6: int) -> dict[str, Any]:
        digest = hashlib.sha256(f"polyarb exchange account|{self.seed}".encode()).digest()
        key = int.from_bytes(digest, "big") % (_GROUP_ORDER - 1) + 1
        private_key = key.to_bytes(32, "big")
        eoa = signatures.key_address(private_key)
        credential = self.venue.accounts.create(eoa)
        wallets = self.venue.accounts.wallets(eoa)
        for wallet in wallets:
            self.venue.set_up(wallet)
            if balance_e6:
                self.venue.deposit(wallet, balance_e6)
        addresses = [signatures.checksum(wallet.address) for wallet in wallets]
        return {
            "private_key": "0x" + private_key.hex(),
            "address": addresses[0],
            "signature_type": signature_type,
            "funder": addresses[signature_type],
            "wallets": {str(kind): address for kind, address in enumerate(addresses)},
            "api_key": credential.key,
            "api_secret": credential.secret,
            "api_passphrase": credential.passphrase,
        }

    def describe(self, base_url: str) -> dict[str, Any]:
        """Return everything a client needs to know, as one JSON object."""
        socket_url = "ws" + base_url.removeprefix("http")
        return {
            "clob_url": base_url,
            "market_ws_url": f"{socket_url}/ws/market",
            "user_ws_url": f"{socket_url}/ws/user",
            "gamma_url": f"{base_url}/gamma",
            "data_url": f"{base_url}/data-api",
            "relayer_url": f"{base_url}/relayer",
            "rpc_url": f"{base_url}/rpc",
            "geoblock_url": f"{base_url}/api/geoblock",
            "admin_url": f"{base_url}/admin",
            "chain_id": self.venue.config.chain_id,
            "seed": self.seed,
            "scenario": self.scenario.name,
            "pid": os.getpid(),
            "account": self.account,
        }

    # -- what clients do, at the venue's present

    def request(self, request: Request) -> None:
        """Take one request; its `reply` is called now or later."""
        self._record(
            Kind.REQUEST,
            request.path,
            body=request.body,
            method=request.method,
            query=request.query,
            headers=request.headers,
            peer=request.peer,
        )
        dispatch(self.venue, request)

    def open(self, path: str, sink: Sink) -> Channel:
        """Open a socket: ``/ws/market`` or ``/ws/user``."""
        channel = self.feeds[path].open(sink)
        self._record(Kind.OPEN, path, number=channel.number)
        return channel

    def receive(self, channel: Channel, text: str) -> None:
        """Take one text message."""
        if channel.open:
            self._record(Kind.TEXT, channel.path, number=channel.number, body=text.encode())
            self.feeds[channel.path].receive(channel, text)

    def gone(self, channel: Channel) -> None:
        """Forget a socket whose client went away."""
        if channel.open:
            self._record(Kind.GONE, channel.path, number=channel.number)
        self.feeds[channel.path].gone(channel)

    def _record(self, kind: Kind, path: str, **what: Any) -> None:
        if self.recorder:
            at_ns = self.venue.now_ns - self.venue.start_ns
            self.recorder(Action(at_ns=at_ns, kind=kind, path=path, **what))


def _catalog(scenario: Scenario, seed: int, start_ns: int) -> tuple[Catalog, Counter[str]]:
    """Return what trades, and what of a recording does not, counted by its reason."""
    wanted = scenario.catalogue
    if not wanted.gamma:
        size = wanted.size or universe.DEFAULT_SIZE
        return universe.generate(seed, size, start_ns), Counter()
    told, left_out = _loaded(wanted.gamma, recorded.from_gamma)
    catalog = Catalog()
    for event in told.events:
        if any(market.closed for market in event.markets):
            left_out["settled"] += len(event.markets)
        elif wanted.size and len(catalog.markets) + len(event.markets) > wanted.size:
            left_out["more than asked for"] += len(event.markets)
        else:
            catalog.add(event)
    if not catalog.markets:
        raise MalformedError(f"{wanted.gamma}: no market to trade; left out: {listed(left_out)}")
    return catalog, left_out


def listed(counts: Mapping[str, int]) -> str:
    """Return what was counted as text: "40 no order book, 2 twice"."""
    return ", ".join(f"{count:,} {what}" for what, count in counts.items()) or "nothing"


def _loaded(name: str, load: Callable[[Iterator[bytes]], _T]) -> _T:
    try:
        return load(recorded.read(Path(name)))
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
