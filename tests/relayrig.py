"""Our relayer client on a venue in virtual time, with wallets and markets of every kind."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import simclient
from simclient import KEYS, SECOND, Client

from polyarb.domain.wire import ExchangePort, HttpResponse, Listener, Stream
from polyarb.exchange.batches import Batch
from polyarb.exchange.relayer import DEFAULT, Key, Limits, Relayer, RelayerKey
from polyarb.exchange.signing import OrderSigner
from polyarb.sim import signatures
from polyarb.sim.catalog import Catalog, Event, Market, Structure
from polyarb.sim.config import VenueConfig
from polyarb.sim.http import Fate, Request, Response
from polyarb.sim.router import dispatch
from polyarb.sim.venue import Venue

UNIT = 10**6
GROUP = "0x" + "ab" * 31 + "00"
V3_CONDITION = "0x01" + "cd" * 16 + "00" * 14
CASH_E6 = 1_000 * UNIT

T = TypeVar("T")


def events() -> list[Event]:
    """Return a standard market, a neg-risk event of three that keeps 1%, and a V3 market."""
    v3_tokens = tuple(str(int(V3_CONDITION + side, 16)) for side in ("00", "01"))
    v3 = simclient.market(9, condition_id=V3_CONDITION, tokens=v3_tokens, v3=True)
    group = [simclient.market(n, neg_risk=True, index=n - 1) for n in (1, 2, 3)]
    plain = [simclient.market(0)]
    return [
        Event(id="1", slug="plain", title="", structure=Structure.BINARY, markets=plain),
        Event(
            id="2",
            slug="group",
            title="",
            structure=Structure.NEGRISK,
            markets=group,
            neg_risk_id=GROUP,
            fee_bips=100,
        ),
        Event(id="3", slug="v3", title="", structure=Structure.BINARY, markets=[v3]),
    ]


class Port(ExchangePort):
    """
    The venue's requests, some of which get lost.

    Attributes:
        sent: (method, path) of every request.
        lose: How many answers to POST never come, though the request arrives.
        drop: How many POST do not even arrive.
        refuse: How many POST find nobody who listens.
        deaf: No GET arrives until this time.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.sent: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.lose = 0
        self.drop = 0
        self.refuse = 0
        self.deaf_until_ns = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_ns: int = 10 * SECOND,
    ) -> HttpResponse:
        self.sent.append((method, path))
        if method == "POST":
            self.bodies.append(body)
            if self.refuse:
                self.refuse -= 1
                raise ConnectionRefusedError("nobody listens")
            if self.drop:
                self.drop -= 1
                raise ConnectionResetError("gone on the way")
        elif self.venue.now_ns < self.deaf_until_ns:
            raise ConnectionResetError("nobody hears")
        response = await self._answer(
            Request(
                method=method,
                path=path,
                query={name: [value] for name, value in (query or {}).items()},
                headers={name.lower(): value for name, value in (headers or {}).items()},
                body=body,
            )
        )
        if method == "POST" and self.lose:
            self.lose -= 1
            raise TimeoutError("no answer")
        if response.fate is not Fate.SENT:
            raise ConnectionResetError("closed before an answer")
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return HttpResponse(status=response.status, headers=lowered, body=response.body)

    async def _answer(self, request: Request) -> Response:
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        request.reply = waiting.set_result
        dispatch(self.venue, request)
        return await waiting

    async def connect(self, path: str, listener: Listener) -> Stream:
        raise ConnectionRefusedError(path)


class VirtualPace:
    """The venue's time."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def now_ns(self) -> int:
        return self._venue.now_ns

    async def sleep(self, for_ns: int) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self._venue.now_ns + for_ns
        self._venue.schedule(due_ns, lambda: waiting.done() or waiting.set_result(None))
        await waiting


class Rig:
    """A venue, a wallet on it, and our client of its relayer."""

    def __init__(
        self,
        signature_type: int = 3,
        *,
        limits: Limits = DEFAULT,
        key: Key | None = None,
        prefix: str = "/relayer",
        **config: Any,
    ) -> None:
        self.venue = Venue(VenueConfig(**config), Catalog(events()), audit=True)
        self.ann = Client(self.venue, KEYS[0], signature_type, cash_e6=CASH_E6)
        markets = [m for event in self.venue.catalog.events for m in event.markets]
        self.plain, self.first, self.second, self.third, self.v3 = markets
        self.signer = OrderSigner(
            KEYS[0],
            signature_type=signature_type,
            funder=signatures.checksum(self.ann.address),
        )
        self.port = Port(self.venue)
        self.pace = VirtualPace(self.venue)
        self.key = key or RelayerKey(self.ann.credential.key, self.signer.address)
        self.relayer = Relayer(
            self.port, self.signer, self.key, pace=self.pace, prefix=prefix, limits=limits
        )
        self.noted: list[Batch] = []

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Let virtual time pass until something is done."""

        async def whole() -> T:
            task = asyncio.create_task(doing)
            while not task.done():
                for _ in range(20):  # every step of the client that needs no time
                    await asyncio.sleep(0)
                due_ns = self.venue.next_ns()
                if not task.done():
                    assert due_ns is not None, "it waits for nothing"
                    self.venue.advance(due_ns)
            return task.result()

        done = asyncio.run(whole())
        self.venue.check()
        return done

    def do(self, *calls: Any, **named: Any) -> Any:
        """Carry calls out; return the outcome."""
        return self.run(self.relayer.carry_out(calls, note=self.noted.append, **named))

    def fault(self, name: str, *, match: dict[str, Any] | None = None, **values: Any) -> None:
        count = values.pop("count", 0)
        spec: dict[str, Any] = {"name": name, "values": values}
        spec |= {"match": match} if match else {}
        spec |= {"count": count} if count else {}
        self.venue.faults.add(spec)

    def sets(self, market: Market) -> tuple[int, ...]:
        return tuple(self.ann.wallet.tokens(token) for token in market.tokens)

    @property
    def nonce(self) -> int:
        return self.venue.chain.nonces[self.ann.address]

    @property
    def cash_e6(self) -> int:
        return self.ann.wallet.cash_e6

    def transactions(self) -> int:
        """Return how many batches the relayer ever took."""
        return len(self.venue.chain.transactions)

    def posts(self) -> int:
        return sum(method == "POST" for method, _ in self.port.sent)
