"""The fast send path of a simulated exchange's account."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from peer import Peer, http, listening
from trading import account, credentials, plain_markets

from polyarb import clock
from polyarb.core.account import Account
from polyarb.core.arena import Arena
from polyarb.core.request import Post, Request, Token
from polyarb.domain.order import Order, OrderType, Side
from polyarb.exchange.auth import Credentials
from polyarb.exchange.fastpath import FastPath, Leg, Lines, prepared_post
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.throttle import Throttle
from polyarb.exchange.trading import Timeouts, TradingClient
from polyarb.exchange.transport import HttpPort, Session
from polyarb.sim import scenarios
from polyarb.sim.exchange import Exchange
from polyarb.sim.server import Server

CREDENTIALS = Credentials(
    "e5544f82-62cb-9e11-2b0a-eb7a3f2d3427", "3v8QXlT6ohXEGZiG_GVJ8FEW5DX_1bDV9mzzLB6KUjM=", "phrase"
)
SIGNER = OrderSigner("0x" + "11" * 32)
SECOND = 1_000_000_000
RESTING = Leg(0, Side.BUY, 100_000, 10_000_000, OrderType.GTC)
"""10 shares for 0.01."""


def account_order(signer: OrderSigner) -> Order:
    """Return an order of the account, of which only who gives it matters."""
    return Order(
        salt=0,
        maker=signer.funder,
        signer=signer.funder if signer.signature_type == 3 else signer.address,
        token_id=0,
        maker_amount=0,
        taker_amount=0,
        side=Side.BUY,
        signature_type=signer.signature_type,
        timestamp=0,
    )


class Path:
    """A fast path and everything it rests on."""

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        signer: OrderSigner,
        credentials: Credentials,
        tokens: Sequence[Token],
        lines: dict[str, Any] | None = None,
        timeout_ns: int = SECOND,
    ) -> None:
        self.signer, self.credentials, self.tokens = signer, credentials, tokens
        self.account = Account(Arena.create(None))
        self.account.stamps.begin(77)
        native, domains = signer.core
        assert native is not None
        self.request = Request(
            signer=native,
            domains=domains,
            hmac=credentials.hmac,
            account_order=account_order(signer),
            tokens=tokens,
            owner=credentials.api_key,
            stamps=self.account.stamps,
        )
        self.throttle = Throttle(clock.monotonic_ns(), tier="Elite")
        self.client = TradingClient(
            HttpPort(session, url),
            signer=signer,
            credentials=credentials,
            throttle=self.throttle,
            timeouts=Timeouts(order_ns=timeout_ns, cancel_ns=timeout_ns, read_ns=5 * SECOND),
        )
        self.lines = Lines(session, url, **(lines or {}))
        self.post: Post = prepared_post(url, signer.address, credentials)
        self.fast = FastPath(
            self.client,
            self.lines,
            request=self.request,
            post=self.post,
            timeout_ns=timeout_ns,
        )

    def send(self, *legs: Leg) -> Any:
        """Build and send."""
        self.fast.build(legs)
        return self.fast.send()


class Venue:
    """The simulated exchange of this process, behind a port."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url
        self.venue = server.exchange.venue
        told = server.exchange.account
        self.signer = account(told, 3)
        self.credentials = credentials(told)
        market = plain_markets(self.venue)[0]
        self.tokens = [
            Token(token_id=int(token), neg_risk=market.neg_risk) for token in market.tokens
        ]

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

    def path(self, session: Session, **options: Any) -> Path:
        """Return a fast path of its account."""
        return Path(
            session,
            self.url,
            signer=self.signer,
            credentials=self.credentials,
            tokens=self.tokens,
            **options,
        )


@contextlib.asynccontextmanager
async def venue(seed: int = 7) -> AsyncIterator[Venue]:
    """Serve an exchange whose signers have the largest budget."""
    chosen = scenarios.find("still")
    config = msgspec.structs.replace(chosen.venue, tier="Elite")
    exchange = Exchange(
        msgspec.structs.replace(chosen, venue=config),
        seed=seed,
        start_ns=clock.wall_ns(),
        signature_type=3,
    )
    server = Server(exchange)
    url = await server.start()
    try:
        yield Venue(server, url)
    finally:
        await server.stop()
    assert exchange.venue.counts["internal_errors"] == 0


@contextlib.asynccontextmanager
async def tended(path: Path) -> AsyncIterator[Path]:
    """Keep its lines ready."""
    await path.lines.tend()
    running = asyncio.create_task(path.lines.run())
    try:
        yield path
    finally:
        running.cancel()
        await asyncio.wait([running])
        await path.fast.close()


@contextlib.asynccontextmanager
async def against_a_peer(**options: Any) -> AsyncIterator[tuple[Peer, Path]]:
    """Give a peer that accepts every order, and a path to it."""
    async with listening() as peer, Session() as session:
        peer.answer = accepting
        path = Path(
            session,
            peer.url,
            signer=SIGNER,
            credentials=CREDENTIALS,
            tokens=[Token(token_id=5)],
            **options,
        )
        async with tended(path):
            yield peer, path


def ids_of(post: bytes) -> list[str]:
    """Return the order ids of a request, hashed anew by the general path."""
    orders = [item["order"] for item in json.loads(post.partition(b"\r\n\r\n")[2])]
    made = [
        replace(
            account_order(SIGNER),
            salt=int(order["salt"]),
            maker=order["maker"],
            signer=order["signer"],
            token_id=int(order["tokenId"]),
            maker_amount=int(order["makerAmount"]),
            taker_amount=int(order["takerAmount"]),
            side=order["side"],
            signature_type=order["signatureType"],
            timestamp=int(order["timestamp"]),
        )
        for order in orders
    ]
    return [signed.order_id for signed in SIGNER.sign(made)]


def accepted(ids: list[str]) -> bytes:
    """Return the answer that accepts orders."""
    items = [
        {"success": True, "errorMsg": "", "orderID": id_, "status": "live"}
        | {"takingAmount": "", "makingAmount": ""}
        for id_ in ids
    ]
    return http(json.dumps(items).encode(), "Content-Type: application/json")


async def accepting(peer: Peer, writer: asyncio.StreamWriter) -> None:
    """Accept what was posted last."""
    writer.write(accepted(ids_of(peer.posts[-1])))
