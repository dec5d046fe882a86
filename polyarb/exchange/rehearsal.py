"""
The send path without consequences: run every few milliseconds, so that the real one is warm.

What has not run for a while costs several times as much. A rehearsal runs the code that sends,
`FastPath.build` and `FastPath.send`, over the same tokens and with as many bytes, but everything it
could do harm with is another: the key and the API secret are drawn at random and are nobody's, the
stamps and the cash are those of an arena of its own, the budget is its own, and what it writes to
is a buffer. It holds nothing that leads to an account, a connection or a socket.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

from polyarb import clock
from polyarb.core.account import Account
from polyarb.core.arena import Arena
from polyarb.core.base import UINT64_MAX, integer
from polyarb.core.digest import HmacKey
from polyarb.core.request import Request, Token
from polyarb.domain.answer import OrderAnswer
from polyarb.domain.order import Order
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.answers import SECOND, Asked
from polyarb.exchange.auth import Credentials
from polyarb.exchange.fastpath import FastPath, Leg, prepared_post
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.throttle import Throttle

CASH_E6: Final = 10**12
"""What the arena of a rehearsal holds, so that reservations in it succeed."""


class Buffer:
    """An outlet that leads nowhere; `written` is the last request."""

    ready = True

    def __init__(self) -> None:
        self.written = b""

    def write(self, request: bytes) -> None:
        """Keep it."""
        self.written = request

    async def answer(self, timeout_s: float) -> HttpResponse:
        """Nobody answers."""
        raise ConnectionError("a rehearsal")

    def close(self) -> None:
        """There is nothing to cut."""


class _Buffers:
    def __init__(self) -> None:
        self.buffer = Buffer()

    def ready(self, now_ns: int) -> Buffer:
        """Return the buffer."""
        return self.buffer


class _Nobody:
    """A client with a clock and a budget, and no connection."""

    def __init__(self) -> None:
        self._throttle = Throttle(clock.monotonic_ns(), tier="Elite")

    @property
    def now_ns(self) -> int:
        """Return our clock's time."""
        return clock.wall_ns()

    def wait_ns(self, orders: int, now_ns: int, *, urgent: bool = False) -> int:
        """Look whether the budget is there, which it is: nothing is ever taken."""
        return self._throttle.wait_ns("POST /orders", orders, now_ns, urgent=urgent)

    def spend(self, orders: int) -> None:
        """Take nothing."""

    async def post_built(self, asked: Sequence[Asked], body: bytes) -> Sequence[OrderAnswer]:
        """Send nothing."""
        raise ConnectionError("a rehearsal")

    def understand(self, asked: Sequence[Asked], response: HttpResponse) -> Sequence[OrderAnswer]:
        """There are no answers."""
        raise ConnectionError("a rehearsal")


class Rehearsal:
    """
    A send path of nobody's.

    Args:
        url: Base address that the template names; nothing is opened.
        credentials: Whose lengths are imitated; nothing of them is kept.
        account_order: Any order of the account, as for its `Request`.
        tokens: Those of its `Request`.
        legs: What is rehearsed.
        chain_id: As the account's.

    Attributes:
        path: The send path.
        account: Cash and stamps of its own, for whoever rehearses a reservation as well.
        address: Of the random key.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials,
        account_order: Order,
        tokens: Sequence[Token],
        legs: Sequence[Leg],
        chain_id: int = 137,
    ) -> None:
        signer = OrderSigner(secrets.token_bytes(32), chain_id=chain_id)
        native, domains = signer.core
        assert native is not None, f"backend {signer.backend} does not sign inside C"
        self.address: Final = signer.address
        self._arena: Final = Arena.create(None)
        self.account: Final = Account(self._arena)
        self.account.stamps.begin(0)
        self.account.balance.credit(CASH_E6)
        nobody = _imitated(credentials)
        self._buffers = _Buffers()
        self._legs = tuple(legs)
        request = Request(
            signer=native,
            domains=domains,
            hmac=HmacKey(secrets.token_bytes(32)),
            account_order=replace(account_order, salt=0),
            tokens=tokens,
            owner=nobody.api_key,
            stamps=self.account.stamps,
        )
        self.path: Final = FastPath(
            _Nobody(),
            self._buffers,
            request=request,
            post=prepared_post(url, signer.address, nobody),
            start=_never,
        )

    @property
    def written(self) -> bytes:
        """Return the last rehearsed request."""
        return self._buffers.buffer.written

    def run(self) -> None:
        """Rehearse once, inside a running loop."""
        self.path.build(self._legs)
        self.path.send()


class KeepWarm:
    """
    A timer that rehearses, and prepares the real path.

    Args:
        rehearse: What is run each time, such as `Rehearsal.run`.
        prepare: `FastPath.prepare` of the real path.
        every_ns: How often.

    Attributes:
        count: How often it did.
    """

    def __init__(
        self, rehearse: Callable[[], None], prepare: Callable[[], None], every_ns: int
    ) -> None:
        self._rehearse = rehearse
        self._prepare = prepare
        self._every_s = integer("every_ns", every_ns, 1, UINT64_MAX) / SECOND
        self._timer: asyncio.TimerHandle | None = None
        self.count = 0

    def begin(self) -> None:
        """Rehearse from now on."""
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._again)

    def end(self) -> None:
        """Rehearse no more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self.begin()
        self._rehearse()
        self._prepare()
        self.count += 1


def _never(coroutine: Coroutine[Any, Any, None]) -> None:
    """Begin nothing: there is no answer to wait for."""
    coroutine.close()


def _imitated(credentials: Credentials) -> Credentials:
    """Return credentials of nobody's, as long as those given."""
    return Credentials("0" * len(credentials.api_key), "AAAA", "0" * len(credentials.passphrase))
