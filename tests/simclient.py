"""A venue over a tiny catalogue, and a client of it: signed requests in, answers out, no socket."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coincurve import PrivateKey

from polyarb.sim import signatures
from polyarb.sim.accounts import KINDS
from polyarb.sim.catalog import Catalog, Event, Market, Structure
from polyarb.sim.config import VenueConfig
from polyarb.sim.decimals import ONE_E4, parse
from polyarb.sim.http import Request, Response, dump
from polyarb.sim.signatures import Generation, keccak
from polyarb.sim.streams import Channel
from polyarb.sim.venue import Venue

SECOND = 1_000_000_000
MS = 1_000_000

# The public Anvil development keys: nobody's money.
KEYS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
)


def market(number: int = 0, **changes: Any) -> Market:
    """Return a market whose ids follow from its number: tokens 1000 + 2n + 1 and 1000 + 2n + 2."""
    made: dict[str, Any] = {
        "gamma_id": str(900 + number),
        "condition_id": f"0x{number + 1:064x}",
        "question_id": f"0x{number:064x}",
        # no V3 position id: some of the bits 40 to 103 are set
        "tokens": tuple(str((1 << 100) + 1000 + 2 * number + side) for side in (1, 2)),
        "question": f"Will it be {number}?",
        "slug": f"market-{number}",
        "index": number,
    }
    return Market(**(made | changes))


def catalog(
    markets: Iterable[Market] | None = None, structure: Structure = Structure.MIXED
) -> Catalog:
    """Return a catalogue of one event, by default of one market."""
    held = list(markets or [market()])
    for each in held:
        each.neg_risk = structure in {Structure.NEGRISK, Structure.AUGMENTED}
    return Catalog(
        [Event(id="7", slug="event", title="An event", structure=structure, markets=held)]
    )


def venue(
    markets: Iterable[Market] | None = None,
    *,
    structure: Structure = Structure.MIXED,
    seed: int = 1,
    **config: Any,
) -> Venue:
    """Return a venue without participants that audits itself; its feed has no jitter."""
    return Venue(
        VenueConfig(**({"feed_delay_ms": 0.0} | config)),
        catalog(markets, structure),
        seed=seed,
        audit=True,
    )


class Collector:
    """A sink that keeps what came out of a channel, with the venue's time."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.frames: list[bytes] = []
        self.times: list[int] = []
        self.raws: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.aborted = False

    def text(self, data: bytes) -> None:
        self.frames.append(data)
        self.times.append(self.venue.now_ns)

    def raw(self, data: bytes) -> None:
        self.raws.append(data)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.aborted = True

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the objects of all JSON frames so far, arrays opened; `kind` is an event_type."""
        found: list[dict[str, Any]] = []
        for frame in self.frames:
            try:
                value = json.loads(frame)
            except (ValueError, RecursionError):
                continue
            found += value if isinstance(value, list) else [value]
        return [m for m in found if kind is None or m["event_type"] == kind]


class Client:
    """
    One API key with the wallet of one signature type, fully approved and funded.

    Args:
        venue: Where it trades.
        key: Private key, hex.
        signature_type: 0 EOA, 1 proxy, 2 safe, 3 deposit wallet.
        cash_e6: Deposited at once.
    """

    def __init__(
        self,
        venue: Venue,
        key: str = KEYS[0],
        signature_type: int = 3,
        cash_e6: int = 10_000_000_000,
    ) -> None:
        self.venue = venue
        self.signature_type = signature_type
        self.secret_key = PrivateKey(bytes.fromhex(key))
        point = self.secret_key.public_key.format(compressed=False)[1:]
        self.eoa = "0x" + keccak(point)[-20:].hex()
        self.address = KINDS[signature_type](self.eoa).lower()
        accounts = venue.accounts
        self.credential = accounts.find(self.eoa, 0) or accounts.create(self.eoa)
        self.wallet = accounts.wallet(self.eoa, self.address, signature_type)
        accounts.approve_all(self.wallet)
        if cash_e6:
            venue.set_up(self.wallet)
            venue.deposit(self.wallet, cash_e6)
        self._salt = 0

    # -- orders

    def order(
        self,
        token: str,
        side: str = "BUY",
        price: str = "0.5",
        size: str = "10",
        kind: str = "GTC",
        *,
        amounts: tuple[int, int] | None = None,
        post_only: bool = False,
        expiration: int = 0,
        generation: Generation | None = None,
        neg_risk: bool | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """
        Return the item of a POST body.

        `amounts` replaces the makerAmount and takerAmount that follow from price and size;
        `generation` and `neg_risk` say which exchange it is signed for, by default the right one;
        `changes` replace members of the order before it is signed.
        """
        self._salt += 1
        known = self.venue.catalog.tokens.get(token)
        price_e4, shares = parse(price, 4), parse(size, 6)
        assert price_e4 is not None
        assert shares is not None
        cash = price_e4 * shares // ONE_E4
        made, taken = amounts or ((cash, shares) if side == "BUY" else (shares, cash))
        order: dict[str, Any] = {
            "salt": self._salt,
            "maker": signatures.checksum(self.address),
            "signer": signatures.checksum(self.address if self.signature_type == 3 else self.eoa),
            "tokenId": token,
            "makerAmount": str(made),
            "takerAmount": str(taken),
            "side": side,
            "expiration": str(expiration),
            "signatureType": self.signature_type,
            "timestamp": str(self.venue.now_ns // MS),
            "metadata": "0x" + "0" * 64,
            "builder": "0x" + "0" * 64,
            **changes,
        }
        if generation is None:
            v3 = signatures.is_position_id(int(token))
            generation = Generation.V3 if v3 else Generation.V2
        if neg_risk is None:
            neg_risk = bool(known and known[0].neg_risk)
        order["signature"] = self.sign(order, generation, neg_risk)
        return {
            "order": order,
            "owner": self.credential.key,
            "orderType": kind,
            "deferExec": False,
            "postOnly": post_only,
        }

    def sign(self, order: dict[str, Any], generation: Generation, neg_risk: bool) -> str:
        """Return the signature of an order's members, wrapped for a deposit wallet."""
        fields = signatures.read_fields(generation, order)
        hashed = signatures.order_digest(generation, neg_risk, self.venue.config.chain_id, fields)
        if fields.signature_type != 3:
            return "0x" + self.sign_digest(hashed.digest).hex()
        return "0x" + self._wrapped(fields, hashed).hex()

    def _wrapped(self, fields: signatures.SignedFields, hashed: signatures.OrderHash) -> bytes:
        """Wrap as ERC-7739 does (protocol.md section 7.2)."""
        domain = hashed.exchange
        outer = (
            keccak(signatures._TYPED_DATA_SIGN.encode())
            + hashed.struct_hash
            + domain.wallet_words
            + bytes.fromhex(fields.maker[2:]).rjust(32, b"\0")
            + bytes(32)
        )
        digest = keccak(b"\x19\x01" + domain.separator + keccak(outer))
        return (
            self.sign_digest(digest)
            + domain.separator
            + hashed.struct_hash
            + signatures._CONTENTS_TYPE
        )

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r, s and v (27 or 28)."""
        raw = self.secret_key.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes([raw[64] + 27])

    def order_id(self, item: dict[str, Any]) -> str:
        """Return the id that the venue will give an item."""
        token = int(item["order"]["tokenId"])
        generation = Generation.V3 if signatures.is_position_id(token) else Generation.V2
        known = self.venue.catalog.tokens.get(str(token))
        return signatures.order_digest(
            generation,
            bool(known and known[0].neg_risk),
            self.venue.config.chain_id,
            signatures.read_fields(generation, item["order"]),
        ).order_id

    def place(self, token: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Post one order that must be accepted; return the answer."""
        response = self.post("/order", self.order(token, *arguments, **named))
        assert response.status == 200, response.body
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    # -- requests

    def post(self, path: str, body: object = None, **named: Any) -> Response:
        """POST a body and wait for the answer."""
        return self.wait(self.send("POST", path, body, **named))

    def get(self, path: str, **query: str) -> Response:
        """GET, signed, and wait for the answer."""
        return self.wait(self.send("GET", path, query=query))

    def delete(self, path: str, body: object = None, **named: Any) -> Response:
        """DELETE and wait for the answer."""
        return self.wait(self.send("DELETE", path, body, **named))

    def json(self, path: str, **query: str) -> Any:
        """GET what must be there; return its JSON."""
        response = self.get(path, **query)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        auth: bool = True,
        timestamp: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> list[Response]:
        """
        Hand a request over; return the list in which its answer appears, now or later.

        `body` is bytes as they are, None for none, or anything else as compact JSON. With `auth`
        the request is signed (L2) at `timestamp` in Unix seconds, by default the venue's time.
        """
        from polyarb.sim.router import dispatch

        raw = body if isinstance(body, bytes) else b"" if body is None else dump(body)
        signed = self.headers(method, path, raw, timestamp) if auth else {}
        answers: list[Response] = []
        dispatch(
            self.venue,
            Request(
                method=method,
                path=path,
                query={name: [value] for name, value in (query or {}).items()},
                headers=signed | (headers or {}),
                body=raw,
                reply=answers.append,
            ),
        )
        return answers

    def headers(
        self, method: str, path: str, body: bytes = b"", timestamp: int | None = None
    ) -> dict[str, str]:
        """Return the L2 headers of a request, names in lower case."""
        at = str(self.venue.now_ns // SECOND if timestamp is None else timestamp)
        held = self.credential
        return {
            "poly_address": signatures.checksum(self.eoa),
            "poly_api_key": held.key,
            "poly_passphrase": held.passphrase,
            "poly_timestamp": at,
            "poly_signature": signatures.hmac_signature(held.secret, at, method, path, body),
        }

    def wait(self, answers: Sequence[Response], for_s: float = 60) -> Response:
        """Let the venue's time run until the answer is there."""
        until_ns = self.venue.now_ns + int(for_s * SECOND)
        run(self.venue, until_ns, lambda: bool(answers))
        assert answers, f"no answer in {for_s} s"
        return answers[0]

    # -- sockets

    def watch(self, *tokens: str, **members: Any) -> tuple[Collector, Channel]:
        """Open a market socket on some tokens."""
        sink = Collector(self.venue)
        channel = self.venue.feeds.open(sink)
        message = {"type": "market", "assets_ids": list(tokens), **members}
        self.venue.feeds.receive(channel, json.dumps(message))
        return sink, channel

    def listen(self, *markets: str) -> tuple[Collector, Channel]:
        """Open a user socket and log in."""
        sink = Collector(self.venue)
        channel = self.venue.users.open(sink)
        held = self.credential
        message: dict[str, Any] = {
            "type": "user",
            "auth": {
                "apiKey": held.key,
                "secret": held.secret,
                "passphrase": held.passphrase,
            },
        }
        if markets:
            message["markets"] = list(markets)
        self.venue.users.receive(channel, json.dumps(message))
        return sink, channel


def run(venue: Venue, until_ns: int, done: Callable[[], bool] = lambda: False) -> None:
    """Step the venue from event to event up to a time, or until `done`."""
    while not done():
        due = venue.next_ns()
        if due is None or due > until_ns:
            venue.advance(until_ns)
            return
        venue.advance(due)
