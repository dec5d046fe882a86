"""The executor's way to the exchange: orders signed here, sent by `polyarb.exchange.trading`."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from polyarb import errors
from polyarb.core.account import Stamps
from polyarb.core.digest import is_position_id
from polyarb.domain.answer import CancelAnswer, OrderAnswer, Reason, Refused
from polyarb.domain.basket import BasketPlan, Order
from polyarb.domain.order import Generation, SignatureType, SignedOrder
from polyarb.domain.order import Order as WireOrder
from polyarb.domain.report import OrderReport, TradeReport
from polyarb.exchange.orders import batch_body
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.trading import BATCH_MAX, TradingClient

MS: Final = 1_000_000
SKEW_S: Final = 5
"""How much earlier than its order a trade may say it matched: clocks differ."""


@dataclass(frozen=True, slots=True)
class Signed:
    """
    Orders that are signed.

    Attributes:
        orders: With their ids.
        signed: The same, as they are sent.
        bodies: The exact bytes of each request.
    """

    orders: tuple[Order, ...]
    signed: tuple[SignedOrder, ...]
    bodies: tuple[bytes, ...]


class ExchangeTrader:
    """
    Signs and sends for one account.

    Args:
        client: Of its API key.
        signer: Of its wallet.
        stamps: Issues what makes orders unique.
        generation: What the exchange takes; learnt anew when it refuses one for that.
        spawn: Runs what takes time.
    """

    def __init__(
        self,
        client: TradingClient,
        signer: OrderSigner,
        stamps: Stamps,
        *,
        generation: Generation = Generation.V2,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._client = client
        self._signer = signer
        self._stamps = stamps
        self._spawn = spawn
        self.generation = generation

    def sign(self, plan: BasketPlan, orders: Sequence[Order]) -> Signed:
        """Sign orders, 15 at a time; raises what cannot be signed."""
        now_ms = self._client.now_ns // MS
        made: list[SignedOrder] = []
        bodies: list[bytes] = []
        for first in range(0, len(orders), BATCH_MAX):
            part = orders[first : first + BATCH_MAX]
            stamps = self._stamps.issue(len(part), now_ms)
            wire = [self._wire(plan, o, s) for o, s in zip(part, stamps, strict=True)]
            signed = self._signer.sign(wire)
            made += signed
            owner = self._client.owner
            bodies.append(batch_body(signed, owner=owner, order_type=part[0].style))
        named = tuple(replace(o, id=s.order_id) for o, s in zip(orders, made, strict=True))
        return Signed(named, tuple(made), tuple(bodies))

    def _wire(self, plan: BasketPlan, order: Order, stamp: Any) -> WireOrder:
        leg, signer = plan.legs[order.leg], self._signer
        token = int(leg.token)
        is_wallet = signer.signature_type is SignatureType.POLY_1271
        generation = Generation.V3 if is_position_id(token) else self.generation
        return WireOrder(
            generation=generation,
            neg_risk=leg.neg_risk and not is_position_id(token),
            salt=stamp.salt,
            timestamp=0 if generation is Generation.V1 else stamp.timestamp_ms,
            maker=signer.funder,
            signer=signer.funder if is_wallet else signer.address,
            token_id=token,
            maker_amount=order.maker_e6,
            taker_amount=order.taker_e6,
            side=order.side,
            signature_type=signer.signature_type,
        )

    def send(
        self, batch: Any, urgent: bool, answered: Callable[[Sequence[OrderAnswer]], None]
    ) -> None:
        """Post a batch, once."""
        assert isinstance(batch, Signed)

        async def post() -> None:
            answers = await self._client.post(
                batch.signed, order_type=batch.orders[0].style, urgent=urgent
            )
            answered(answers)
            if any(isinstance(a, Refused) and a.reason is Reason.VERSION for a in answers):
                await self._learn_generation()

        self._spawn(post())

    async def _learn_generation(self) -> None:
        with suppress(errors.PolyarbError):  # the next refusal asks again
            version = await self._client.version()
            self.generation = Generation.V1 if version == 1 else Generation.V2

    def cancel(self, order_ids: Sequence[str], answered: Callable[[CancelAnswer], None]) -> None:
        """Cancel orders."""

        async def cancel() -> None:
            answered(await self._client.cancel(order_ids))

        self._spawn(cancel())

    def look(
        self,
        order: Order,
        token: str,
        told: Callable[[OrderReport | None, Sequence[TradeReport]], None],
    ) -> None:
        """Read an order and its trades; tells nothing where nobody answers."""

        async def look() -> None:
            try:
                report = await self._client.order(order.id, size_e6=order.shares_e6)
                trades = await self._client.trades(token_id=token)
            except errors.PolyarbError:
                return
            told(report, [t for t in trades if any(f.order_id == order.id for f in t.fills)])

        self._spawn(look())


def spawner(failed: Callable[[BaseException], None]) -> Callable[[Coroutine[Any, Any, None]], Any]:
    """Return what runs coroutines of the current loop, and tells of those that fail."""
    running: set[asyncio.Task[None]] = set()

    def done(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        running.add(task)
        task.add_done_callback(done)
        return task

    return spawn
