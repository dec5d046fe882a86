"""The inputs of bench/data as each side wants them; nothing here is timed."""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from polyarb.core.account import Account
from polyarb.core.arena import Arena
from polyarb.core.request import Request, Token
from polyarb.domain.order import Order, Side
from polyarb.exchange.auth import Credentials
from polyarb.exchange.orders import limit_amounts
from polyarb.exchange.signing import Backend, OrderSigner

SIGNALS: Final = Path(__file__).resolve().parent / "data" / "signals.json"
TICK: Final = "0.01"
ORDER_TYPE: Final = "FAK"
HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0  # SEC 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One leg that detection asked for; `price` and `size` as decimal text."""

    token: int
    side: Side
    price: str
    size: str
    maker_amount: int
    taker_amount: int


class Inputs:
    """The account, its tokens, and 128 baskets of three signals."""

    def __init__(self) -> None:
        raw = json.loads(SIGNALS.read_text(encoding="ascii"))
        self.account: Final[dict[str, Any]] = raw["account"]
        self.now_ms: Final[int] = self.account["now_ms"]
        self.address: Final[str] = self.account["address"]
        self.tokens: Final = [
            Token(token_id=int(token["id"]), neg_risk=token["neg_risk"]) for token in raw["tokens"]
        ]
        self._arena = Arena.create(None)
        self._account = Account(self._arena)
        self._account.stamps.begin(77)
        self.baskets: Final = [[self._signal(leg) for leg in basket] for basket in raw["baskets"]]

    @staticmethod
    def _signal(leg: dict[str, Any]) -> Signal:
        side = Side(leg["side"])
        amounts = limit_amounts(Decimal(leg["price"]), Decimal(leg["size"]), side, Decimal(TICK))
        return Signal(
            token=leg["token"],
            side=side,
            price=leg["price"],
            size=leg["size"],
            maker_amount=amounts.maker,
            taker_amount=amounts.taker,
        )

    @cached_property
    def credentials(self) -> Credentials:
        """The API key."""
        account = self.account
        return Credentials(account["api_key"], account["secret"], account["passphrase"])

    def signer(self, *, signature_type: int = 0, backend: Backend | None = None) -> OrderSigner:
        """Return a signer of the account."""
        return OrderSigner(
            self.account["private_key"],
            signature_type=signature_type,
            funder=self.account["wallet"] if signature_type else None,
            backend=backend,
        )

    def order(self, signer: OrderSigner, signal: Signal, *, salt: int, timestamp: int) -> Order:
        """Return `signal` as the order the general path signs."""
        token = self.tokens[signal.token]
        return Order(
            neg_risk=token.neg_risk,
            salt=salt,
            maker=signer.funder,
            signer=signer.funder if signer.signature_type == 3 else signer.address,
            token_id=token.token_id,
            maker_amount=signal.maker_amount,
            taker_amount=signal.taker_amount,
            side=signal.side,
            signature_type=signer.signature_type,
            timestamp=timestamp,
        )

    def orders(self, signer: OrderSigner, legs: int) -> list[list[Order]]:
        """Return every basket's first `legs` orders, each with a salt and a time of its own."""
        return [
            [
                self.order(signer, signal, salt=1000 * i + k, timestamp=self.now_ms + 10 * i + k)
                for k, signal in enumerate(basket[:legs])
            ]
            for i, basket in enumerate(self.baskets)
        ]

    def request(self, signer: OrderSigner) -> Request:
        """Return the prepared request of `signer`; its backend must sign inside C."""
        native, domains = signer.core
        assert native is not None, f"backend {signer.backend} does not sign inside C"
        return Request(
            signer=native,
            domains=domains,
            hmac=self.credentials.hmac,
            account_order=self.order(signer, self.baskets[0][0], salt=0, timestamp=0),
            tokens=self.tokens,
            owner=self.credentials.api_key,
            stamps=self._account.stamps,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How the benchmarks are run: `rounds` 0 means once, with no figure (smoke)."""

    inputs: Inputs
    rounds: int
    native: Any
    levels: tuple[str, ...] = ()
