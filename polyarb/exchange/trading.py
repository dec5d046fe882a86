"""
The account's side of the CLOB: orders, cancels, reads, heartbeats (protocol.md sections 9 to 17).

Works over any `RequestPort`: sockets, or the simulated exchange in virtual time. A write is sent
once; what became of it is a value (`polyarb.domain.answer`), never an exception, except that a
cancelled task leaves it unknown. A read is repeated while that may help, then raises. The one order
that is sent twice is another order: signed anew after the exchange said that it takes another
generation or nonce, under another id, once.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from polyarb import clock, errors
from polyarb.core.account import Nonce
from polyarb.core.base import UINT64_MAX, integer
from polyarb.core.digest import is_position_id
from polyarb.domain.answer import (
    CancelAnswer,
    Canceled,
    Cause,
    Later,
    OrderAnswer,
    Reason,
    Refused,
    Unknown,
)
from polyarb.domain.order import (
    ZERO_ADDRESS,
    ZERO_BYTES32,
    Generation,
    Order,
    OrderType,
    SignedOrder,
)
from polyarb.domain.report import (
    OrderReport,
    TradeReport,
    Units,
    load,
    read_order,
    read_trade,
)
from polyarb.domain.wire import HttpResponse, RequestPort
from polyarb.exchange.answers import (
    SECOND,
    Asked,
    no_answer,
    read_batch_answer,
    read_cancel_answer,
    read_order_answer,
    refusal_of,
)
from polyarb.exchange.auth import Credentials, l2_headers
from polyarb.exchange.client import repeated, seconds_in, understood
from polyarb.exchange.orders import batch_body
from polyarb.exchange.signing import OrderSigner
from polyarb.exchange.throttle import Throttle

BATCH_MAX: Final = 15
CANCEL_MAX: Final = 1_000
FIRST_PAGE: Final = "MA=="
LAST_PAGE: Final = "LTE="
PAGES_MAX: Final = 10_000
MS: Final = 1_000_000

_T = TypeVar("_T")
Types = OrderType | str | Sequence[OrderType | str]
Journal = Callable[[Sequence[SignedOrder]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long an answer may take, in nanoseconds; a held order answers after its hold."""

    order_ns: int = 5 * SECOND
    cancel_ns: int = 3 * SECOND
    read_ns: int = 5 * SECOND

    def __post_init__(self) -> None:
        for name in ("order_ns", "cancel_ns", "read_ns"):
            integer(name, getattr(self, name), 1, UINT64_MAX)


class Placed(NamedTuple):
    """An order as it was signed last, and what became of that."""

    signed: SignedOrder
    answer: OrderAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """
    What the exchange believes the wallet holds (section 16): a cache of the chain.

    Attributes:
        units: Base units.
        allowances: By spender, lower case; under "" where only one was told (V1).
    """

    units: int
    allowances: Mapping[str, int] = field(default_factory=dict)


class TradingClient:
    """
    One API key at one exchange.

    Args:
        port: Where requests go.
        signer: The account; signs again where the exchange asks for it.
        credentials: Of the API key.
        throttle: The budgets; other users of the same key share it.
        nonces: Of V1 orders.
        timeouts: For answers.
        attempts: How often a read is tried at most.
        wall_ns, monotonic_ns: The clocks.

    Attributes:
        offset_ns: What the exchange's clock is ahead of ours.
        units: What amounts count here.
    """

    def __init__(
        self,
        port: RequestPort,
        *,
        signer: OrderSigner,
        credentials: Credentials,
        throttle: Throttle | None = None,
        nonces: Nonce | None = None,
        timeouts: Timeouts | None = None,
        attempts: int = 4,
        wall_ns: Callable[[], int] = clock.wall_ns,
        monotonic_ns: Callable[[], int] = clock.monotonic_ns,
    ) -> None:
        self._port = port
        self._signer = signer
        self._credentials = credentials
        self._throttle = throttle or Throttle(monotonic_ns())
        self._nonces = nonces
        self._timeouts = timeouts or Timeouts()
        self._attempts = integer("attempts", attempts, 1, 100)
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._heartbeat_id = ""
        self.offset_ns = 0
        self.units = Units()

    @property
    def now_ns(self) -> int:
        """Return the exchange's time as far as we know it, Unix nanoseconds."""
        return self._wall_ns() + self.offset_ns

    @property
    def owner(self) -> str:
        """Return the API key's id, the `owner` of orders."""
        return self._credentials.api_key

    # -- orders

    async def place(
        self,
        orders: Sequence[Order],
        *,
        order_type: Types,
        post_only: bool = False,
        urgent: bool = False,
        journal: Journal,
    ) -> list[Placed]:
        """
        Sign and post orders; sign once more what the exchange wants signed otherwise.

        Args:
            orders: Any number; those of one request are independent of each other all the same.
            order_type: For all of them, or one for each.
            post_only: Only with GTC and GTD.
            urgent: They end risk, and may use the last share of the budget.
            journal: Is given what was signed before any of it is sent, each time.

        Raises:
            InputError: Orders that cannot be signed or encoded; nothing was sent.
        """
        types = [order_type] * len(orders) if isinstance(order_type, str) else [*order_type]
        if len(types) != len(orders):
            raise errors.RangeError(f"{len(types)} order types for {len(orders)} orders")
        placed: dict[int, Placed] = {}
        wanted = dict(enumerate(orders))
        for mend in (self._other_generation, self._other_nonces, None):
            signed = self._sign([*wanted.values()])
            if signed:
                journal(signed)
            answers = await self.post(
                signed,
                order_type=[types[index] for index in wanted],
                post_only=post_only,
                urgent=urgent,
            )
            for index, one, answer in zip(wanted, signed, answers, strict=True):
                placed[index] = Placed(one, answer)
            wanted = await mend(placed) if mend else {}
        return [placed[index] for index in range(len(orders))]

    async def post(
        self,
        signed: Sequence[SignedOrder],
        *,
        order_type: Types,
        post_only: bool = False,
        urgent: bool = False,
    ) -> list[OrderAnswer]:
        """
        Post signed orders, 15 to a request, and return what became of each.

        Raises:
            InputError: Orders that cannot be encoded; nothing was sent.
        """
        if not signed:
            return []
        types = [order_type] * len(signed) if isinstance(order_type, str) else order_type
        parts = [slice(first, first + BATCH_MAX) for first in range(0, len(signed), BATCH_MAX)]
        bodies = [self._body(signed[part], types[part], post_only) for part in parts]
        endpoint = "POST /order" if len(signed) == 1 else "POST /orders"
        wait_ns = self._throttle.take(
            endpoint, len(signed), self._monotonic_ns(), requests=len(parts), urgent=urgent
        )
        if wait_ns:
            return [Later(cause=Cause.BUDGET, wait_ns=wait_ns)] * len(signed)
        asked = [[Asked.of(one) for one in signed[part]] for part in parts]
        posted = (self._post(endpoint, *each) for each in zip(asked, bodies, strict=True))
        return [answer for part in await asyncio.gather(*posted) for answer in part]

    # -- orders whose request is built elsewhere (fastpath): POST /orders, signed and paid for

    def wait_ns(self, orders: int, now_ns: int, *, urgent: bool = False) -> int:
        """Return how long until the budget of a POST /orders is there, 0 if it is; take nothing."""
        return self._throttle.wait_ns("POST /orders", orders, now_ns, urgent=urgent)

    def spend(self, orders: int) -> None:
        """Take the budget of a POST /orders that is being sent."""
        self._throttle.spend("POST /orders", orders, self._monotonic_ns())

    async def post_built(self, asked: Sequence[Asked], body: bytes) -> Sequence[OrderAnswer]:
        """Send the body of a POST /orders, once; its budget is paid."""
        return await self._post("POST /orders", asked, body)

    def understand(self, asked: Sequence[Asked], response: HttpResponse) -> Sequence[OrderAnswer]:
        """Take note of what a POST /orders answered; return what became of each order."""
        self._throttle.heard("POST /orders", response, self._monotonic_ns(), self.now_ns)
        return read_batch_answer(asked, response, self.units, self.now_ns)

    def _body(self, signed: Sequence[SignedOrder], types: Any, post_only: bool) -> bytes:
        return batch_body(signed, owner=self.owner, order_type=types, post_only=post_only)

    async def _post(
        self, endpoint: str, asked: Sequence[Asked], body: bytes
    ) -> Sequence[OrderAnswer]:
        """Send one request; the budget is paid."""
        if endpoint == "POST /order":
            body = body[1:-1]  # the only item of the array
        response = await self._write(endpoint, body, self._timeouts.order_ns)
        if not isinstance(response, HttpResponse):
            return [response] * len(asked)
        if endpoint == "POST /order":
            return [read_order_answer(asked[0], response, self.units, self.now_ns)]
        return read_batch_answer(asked, response, self.units, self.now_ns)

    def _sign(self, orders: Sequence[Order]) -> list[SignedOrder]:
        signed: list[SignedOrder] = []
        for first in range(0, len(orders), BATCH_MAX):
            signed += self._signer.sign(orders[first : first + BATCH_MAX])
        return signed

    async def _other_generation(self, placed: Mapping[int, Placed]) -> dict[int, Order]:
        """Return the orders that were refused for their generation, made for the right one."""
        refused = _refused_for(placed, Reason.VERSION)
        if not refused:
            return {}
        try:
            wanted = Generation.V1 if await self.version() == 1 else Generation.V2
        except errors.PolyarbError:
            wanted = Generation.V2
        made: dict[int, Order] = {}
        for place, (index, order) in enumerate(refused.items()):
            with suppress(errors.RangeError):  # deposit wallets have no V1 orders
                made[index] = self._remade(order, wanted, self.now_ns // MS + place)
        return made

    def _remade(self, order: Order, wanted: Generation, now_ms: int) -> Order:
        """Return a new order, of another id, that wants the same."""
        if wanted is Generation.V1:
            return replace(
                order,
                generation=wanted,
                salt=order.salt ^ 1,
                nonce=self._nonces.issue() if self._nonces else order.nonce,
                timestamp=0,
                metadata=ZERO_BYTES32,
                builder=ZERO_BYTES32,
            )
        return replace(
            order,
            generation=Generation.V3 if is_position_id(order.token_id) else Generation.V2,
            timestamp=max(now_ms, order.timestamp + 1),
            taker=ZERO_ADDRESS,
            nonce=0,
            fee_rate_bps=0,
        )

    async def _other_nonces(self, placed: Mapping[int, Placed]) -> dict[int, Order]:
        """Return the orders that were refused for their nonce, with nonces past the exchange's."""
        refused = _refused_for(placed, Reason.NONCE)
        told = [
            said.nonce
            for index in refused
            if isinstance(said := placed[index].answer, Refused) and said.nonce is not None
        ]
        if self._nonces is None or not told:
            return {}
        self._nonces.handle_conflict(max(told))
        return {
            index: replace(order, nonce=self._nonces.issue()) for index, order in refused.items()
        }

    # -- cancels

    async def cancel(self, order_ids: Sequence[str]) -> CancelAnswer:
        """
        Cancel orders by id, 1000 to a request.

        Where some requests went well, the ids of the others are `Canceled.unsaid`.
        """
        ids = list(dict.fromkeys(each.lower() for each in order_ids))
        answers: list[tuple[list[str], CancelAnswer]] = []
        for first in range(0, len(ids), CANCEL_MAX):
            part = ids[first : first + CANCEL_MAX]
            single = len(ids) == 1
            endpoint = "DELETE /order" if single else "DELETE /orders"
            body = _dump({"orderID": part[0]} if single else part)
            answers.append((part, await self._cancel(endpoint, body, part, len(part))))
        return _merged(answers)

    async def cancel_market(self, *, condition_id: str = "", token_id: str = "") -> CancelAnswer:
        """Cancel what rests in a market or on a token."""
        named = {"market": condition_id, "asset_id": token_id}
        given = {name: value for name, value in named.items() if value}
        if not given:
            raise errors.RangeError("cancel_market needs a condition_id or a token_id")
        return await self._cancel("DELETE /cancel-market-orders", _dump(given), (), 1)

    async def cancel_all(self) -> CancelAnswer:
        """Cancel every order of the API key."""
        return await self._cancel("DELETE /cancel-all", b"", (), 1)

    async def _cancel(
        self, endpoint: str, body: bytes, ids: Sequence[str], cost: int
    ) -> CancelAnswer:
        """Send one cancel; once more after a 401 that a wrong clock explains, which did nothing."""
        said = await self._cancel_once(endpoint, body, ids, cost)
        unauthorized = isinstance(said, Refused) and said.reason is Reason.UNAUTHORIZED
        if unauthorized and await self._clock_was_wrong():
            return await self._cancel_once(endpoint, body, ids, cost)
        return said

    async def _cancel_once(
        self, endpoint: str, body: bytes, ids: Sequence[str], cost: int
    ) -> CancelAnswer:
        wait_ns = self._throttle.take(endpoint, cost, self._monotonic_ns(), urgent=True)
        if wait_ns:
            return Later(cause=Cause.BUDGET, wait_ns=wait_ns)
        response = await self._write(endpoint, body, self._timeouts.cancel_ns)
        if not isinstance(response, HttpResponse):
            return response
        said = read_cancel_answer(ids, response, self.now_ns)
        told = "poly-ratelimit-remaining" in response.headers
        if isinstance(said, Canceled) and not ids and not told:
            self._throttle.charge(endpoint, len(said.canceled), self._monotonic_ns())
        return said

    # -- heartbeats

    async def heartbeat(self) -> Refused | Unknown | Later | None:
        """
        Say that we live; None where it counts. The exchange cancels all after 10 s without.

        An id that is not the expected one does nothing, and is corrected once.
        """
        said: Refused | Unknown | Later | None = None
        for _ in range(2):
            response = await self._beat()
            if not isinstance(response, HttpResponse):
                return response
            said = refusal_of(response, self.now_ns)
            told = _mapping(response.body).get("heartbeat_id")
            if isinstance(told, str):
                self._heartbeat_id = told
            if said is None or response.status != 400 or not isinstance(told, str):
                return said
        return said

    async def _beat(self) -> HttpResponse | Unknown | Later:
        endpoint = "POST /v1/heartbeats"
        wait_ns = self._throttle.take(endpoint, 1, self._monotonic_ns(), urgent=True)
        if wait_ns:
            return Later(cause=Cause.BUDGET, wait_ns=wait_ns)
        body = _dump({"heartbeat_id": self._heartbeat_id})
        return await self._write(endpoint, body, self._timeouts.cancel_ns)

    # -- what became of orders

    async def order(self, order_id: str, *, size_e6: int | None = None) -> OrderReport | None:
        """
        Return an order by its id; None if it is not known now (section 9).

        Two places are asked: older deployments answer the first for live orders alone.

        Args:
            order_id: Its digest.
            size_e6: The shares ordered, where known.

        Raises:
            RetryError: No useful answer in any attempt.
            DeniedError: The exchange will not say.
        """

        def read(body: bytes) -> OrderReport | None:
            told = load(body) if body.strip() else None
            return read_order(told, self.units, size_e6) if told else None

        found = await self._read("GET /data/order", f"/data/order/{order_id}", {}, read)
        if found:
            return found
        rows = await self._pages("GET /data/orders", {"id": order_id})
        orders = [self._readable(read_order, row, self.units, size_e6) for row in rows]
        return next((order for order in orders if order.order_id == order_id.lower()), None)

    async def open_orders(self, *, condition_id: str = "", token_id: str = "") -> list[OrderReport]:
        """Return every order that rests, of the account or of a market. Raises as `order`."""
        rows = await self._pages("GET /data/orders", {"market": condition_id, "asset_id": token_id})
        found = [self._readable(read_order, row, self.units) for row in rows]
        return [*{order.order_id: order for order in found}.values()]

    async def trades(
        self,
        *,
        since_s: int | None = None,
        trade_id: str = "",
        condition_id: str = "",
        token_id: str = "",
    ) -> list[TradeReport]:
        """
        Return our trades, newest first.

        Args:
            since_s: Unix seconds by the exchange's clock, that second included.
            trade_id: This one alone.
            condition_id: Of this market alone.
            token_id: Of this token alone.

        Raises:
            RetryError, DeniedError: As `order`.
        """
        query = {"id": trade_id, "market": condition_id, "asset_id": token_id}
        if since_s is not None:
            query["after"] = str(max(0, since_s - 1))  # the exchange leaves that second out
        rows = await self._pages("GET /data/trades", query)
        found = [self._readable(read_trade, row, self.owner, self.units) for row in rows]
        return [*{trade.trade_id: trade for trade in found}.values()]

    def _readable(self, read: Callable[..., _T], *arguments: Any) -> _T:
        try:
            return read(*arguments)
        except errors.MalformedError as error:
            raise errors.GarbledError(str(error)) from None

    # -- balances, clock, version

    async def balance(self, token_id: str = "", *, refresh: bool = False) -> Balance:
        """
        Return the wallet's collateral, or what it holds of a token. Raises as `order`.

        Args:
            token_id: Position ids of the V3 exchange too.
            refresh: Let the exchange look at the chain first.
        """
        kind = "COLLATERAL"
        if token_id:
            kind = "CONDITIONAL-V2" if is_position_id(int(token_id)) else "CONDITIONAL"
        query = {"asset_type": kind, "signature_type": f"{self._signer.signature_type:d}"}
        query |= {"token_id": token_id} if token_id else {}
        path = "/balance-allowance"
        if refresh:
            await self._read(f"GET {path}/update", f"{path}/update", query, lambda _: None)
        found = await self._read(f"GET {path}", path, query, _balance)
        if found is None:
            raise errors.DeniedError(f"GET {path}: 404", 404)
        return found

    async def version(self) -> int:
        """Return the generation of orders that the exchange takes; 2 where it does not say."""
        found = await self._read("GET /version", "/version", {}, _version, private=False)
        return found or 2

    async def sync_time(self) -> int:
        """
        Learn what the exchange's clock is ahead of ours, and return that in nanoseconds.

        It tells whole seconds: an offset that agrees with the answer stays.
        """
        before_ns = self._wall_ns()
        told_s = await self._read("GET /time", "/time", {}, seconds_in, private=False)
        if told_s is None:
            raise errors.DeniedError("GET /time: 404", 404)
        least = told_s * SECOND - self._wall_ns()
        most = (told_s + 1) * SECOND - before_ns
        if not least <= self.offset_ns <= most:
            self.offset_ns = (least + most) // 2
        return self.offset_ns

    async def authorized(self) -> bool:
        """Tell whether the exchange takes our credentials. RetryError: it did not say."""
        try:
            await self._read("GET /auth/api-keys", "/auth/api-keys", {}, lambda _: None)
        except errors.DeniedError as error:
            if error.status == 401:
                return False
            raise
        return True

    # -- inside

    async def _write(
        self, endpoint: str, body: bytes, timeout_ns: int
    ) -> HttpResponse | Unknown | Later:
        """Sign and send what the budget has been paid for, once."""
        method, path = endpoint.split(" ")
        headers = self._headers(method, path, body)
        try:
            response = await self._port.request(
                method, path, headers=headers, body=body, timeout_ns=timeout_ns
            )
        except (OSError, TimeoutError) as error:
            return no_answer(error)
        self._throttle.heard(endpoint, response, self._monotonic_ns(), self.now_ns)
        return response

    async def _read(
        self,
        endpoint: str,
        path: str,
        query: Mapping[str, str],
        read: Callable[[bytes], _T | None],
        *,
        private: bool = True,
    ) -> _T | None:
        """GET until it makes sense; after a 401 look whether our clock is to blame, once."""

        def ask() -> Awaitable[_T | None]:
            return self._get(endpoint, path, query, read, private)

        try:
            return await repeated(ask, attempts=self._attempts)
        except errors.DeniedError as error:
            if error.status != 401 or not private or not await self._clock_was_wrong():
                raise
        return await repeated(ask, attempts=self._attempts)

    async def _get(
        self,
        endpoint: str,
        path: str,
        query: Mapping[str, str],
        read: Callable[[bytes], _T | None],
        private: bool,
    ) -> _T | None:
        wait_ns = self._throttle.take(endpoint, 1, self._monotonic_ns())
        if wait_ns:
            raise errors.ThrottledError(f"{endpoint}: our budget is spent", wait_ns / SECOND)
        headers = self._headers("GET", path, b"") if private else {}
        try:
            response = await self._port.request(
                "GET", path, query=query, headers=headers, timeout_ns=self._timeouts.read_ns
            )
        except (OSError, TimeoutError) as error:
            raise errors.UnreachableError(f"GET {path}: {error}") from None
        self._throttle.heard(endpoint, response, self._monotonic_ns(), self.now_ns)
        return understood(f"GET {path}", response, read, now_ns=self.now_ns)

    async def _pages(self, endpoint: str, query: Mapping[str, str]) -> list[Any]:
        """Return the rows of every page of a list."""
        path = endpoint.removeprefix("GET ")
        asked = {name: value for name, value in query.items() if value}
        rows: list[Any] = []
        cursor, seen = FIRST_PAGE, set[str]()
        while cursor != LAST_PAGE:
            if cursor in seen or len(seen) >= PAGES_MAX:
                raise errors.GarbledError(f"{endpoint}: the pages do not end")
            seen.add(cursor)
            page = await self._read(endpoint, path, asked | {"next_cursor": cursor}, _page)
            if page is None:
                raise errors.DeniedError(f"{endpoint}: 404", 404)
            rows += page.rows
            cursor = page.next_cursor
        return rows

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        seconds = self.now_ns // SECOND
        return l2_headers(self._credentials, method, path, body, seconds, self._signer.address)

    async def _clock_was_wrong(self) -> bool:
        before_ns = self.offset_ns
        with suppress(errors.PolyarbError):
            return abs(await self.sync_time() - before_ns) >= SECOND
        return False


class _Page(NamedTuple):
    rows: list[Any]
    next_cursor: str


def _page(body: bytes) -> _Page:
    told = load(body)
    if isinstance(told, list):  # as some deployments answer a query by id
        return _Page(told, LAST_PAGE)
    rows = told.get("data") if isinstance(told, dict) else None
    cursor = told.get("next_cursor") if isinstance(told, dict) else None
    if rows is None and isinstance(told, dict) and "data" in told:
        rows = []
    if not isinstance(rows, list) or not isinstance(cursor, str):
        raise errors.MalformedError(f"no page: {body[:120]!r}")
    return _Page(rows, cursor or LAST_PAGE)


def _balance(body: bytes) -> Balance:
    told = load(body)
    if not isinstance(told, dict):
        raise errors.MalformedError(f"no balance: {body[:120]!r}")
    allowances = told.get("allowances")
    if not isinstance(allowances, dict):
        single = told.get("allowance")
        allowances = {} if single is None else {"": single}
    found = {str(name).lower(): _units(value, body) for name, value in allowances.items()}
    return Balance(units=_units(told.get("balance"), body), allowances=found)


def _units(value: object, body: bytes) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 78):
        raise errors.MalformedError(f"no whole number: {body[:120]!r}")
    return int(text)


def _version(body: bytes) -> int:
    version = _mapping(body).get("version")
    return version if version in {1, 2} and isinstance(version, int) else 2


def _mapping(body: bytes) -> Mapping[str, Any]:
    try:
        told = load(body)
    except errors.MalformedError:
        return {}
    return told if isinstance(told, dict) else {}


def _refused_for(placed: Mapping[int, Placed], reason: Reason) -> dict[int, Order]:
    return {
        index: one.signed.order
        for index, one in placed.items()
        if isinstance(one.answer, Refused) and one.answer.reason is reason
    }


def _merged(answers: Sequence[tuple[list[str], CancelAnswer]]) -> CancelAnswer:
    """Return one answer for several requests."""
    done = [answer for _, answer in answers if isinstance(answer, Canceled)]
    if answers and not done:
        return answers[0][1]
    unheard = {id_ for ids, answer in answers if not isinstance(answer, Canceled) for id_ in ids}
    return Canceled(
        canceled=frozenset().union(*(each.canceled for each in done)),
        kept={id_: kept for each in done for id_, kept in each.kept.items()},
        unsaid=frozenset(unheard).union(*(each.unsaid for each in done)),
    )


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
