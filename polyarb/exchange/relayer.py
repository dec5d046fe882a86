"""
The relayer's client: calls of one wallet go in, what became of them comes out.

A wallet makes one batch at a time. Each batch is told to `note` before it leaves and again when the
relayer has named it, so that after a crash `follow` finds out about it.

A submission without an answer may have been taken. It is looked up by the wallet's nonce, which
every carried-out batch moves by one. Only after the nonce was seen unchanged for a while are the
very same bytes offered again, to hear what the relayer says to them: "busy" and "nonce" tell that
the first copy arrived, and should both copies be taken, their nonce lets one of them through.
Another batch is signed for that nonce only when the first is refused, expired, or failed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from polyarb import clock
from polyarb.core.digest import checksum_address
from polyarb.domain.wire import ExchangePort, HttpResponse
from polyarb.errors import (
    DeniedError,
    GarbledError,
    MalformedError,
    RetryError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from polyarb.exchange.auth import Credentials, header_value
from polyarb.exchange.batches import Batch, BatchSigner, Kind, kind_of, sign_batch
from polyarb.exchange.calls import Call
from polyarb.exchange.submission import (
    FINAL,
    MINUTE_NS,
    SECOND,
    SHOWN,
    SUBMISSIONS_MAX,
    Answer,
    Busy,
    Later,
    Lost,
    Quota,
    Refused,
    Stale,
    State,
    Taken,
    Transaction,
    read_answer,
    read_deployed,
    read_transaction,
    read_turn,
)
from polyarb.exchange.wallets import parse_address

SUBMIT: Final = "/submit"
PARAMS: Final = "/v1/account/transactions/params"
TRANSACTIONS: Final = "/v1/account/transactions/"
RELAY_PAYLOAD: Final = "/relay-payload"
DEPLOYED: Final = "/deployed"

_T = TypeVar("_T")


class Key(Protocol):
    """Who may use the relayer."""

    def headers(self, method: str, path: str, body: bytes, timestamp: int) -> dict[str, str]:
        """Return what proves it; `path` is without the base address's, time in Unix seconds."""


@dataclass(frozen=True, slots=True)
class RelayerKey:
    """
    A relayer API key: by itself a secret.

    Attributes:
        api_key: The key.
        address: The EOA it belongs to.
    """

    api_key: str = field(repr=False)
    address: str

    def __post_init__(self) -> None:
        header_value("relayer api_key", self.api_key)
        parse_address("relayer address", self.address)

    def headers(self, method: str, path: str, body: bytes, timestamp: int) -> dict[str, str]:
        """Return the two headers, whatever is asked."""
        return {"RELAYER_API_KEY": self.api_key, "RELAYER_API_KEY_ADDRESS": self.address}


@dataclass(frozen=True, slots=True)
class BuilderKey:
    """A builder's API key, which signs every request as L2 does (protocol.md section 5)."""

    credentials: Credentials

    def headers(self, method: str, path: str, body: bytes, timestamp: int) -> dict[str, str]:
        """Return the four headers of a request."""
        held = self.credentials
        return {
            "POLY_BUILDER_API_KEY": held.api_key,
            "POLY_BUILDER_PASSPHRASE": held.passphrase,
            "POLY_BUILDER_SIGNATURE": held.sign(method, path, body, timestamp),
            "POLY_BUILDER_TIMESTAMP": str(timestamp),
        }


class Pace(Protocol):
    """Time, as it passes for the client."""

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""

    async def sleep(self, for_ns: int) -> None:
        """Wait."""


class WallPace:
    """The system's time."""

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""
        return clock.wall_ns()

    async def sleep(self, for_ns: int) -> None:
        """Wait."""
        await asyncio.sleep(for_ns / SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    How long and how often.

    Attributes:
        poll_ns: Between two looks at a transaction.
        patience_ns: A batch that is not final after so long is `End.UNDECIDED`.
        deadline_s: What a deposit wallet's batch is good for.
        margin_ns: So long after its deadline an unseen batch counts as expired.
        probe_after: Unchanged nonces after which the same bytes are offered again.
        tries: Submissions that were not taken, before that is the outcome.
        wait_max_ns: Between two of them, where the relayer does not say.
        read_tries: Of one read, within a look.
        timeout_ns: For one answer.
        quota: Submissions in a minute.
    """

    poll_ns: int = 2 * SECOND
    patience_ns: int = 15 * MINUTE_NS
    deadline_s: int = 600
    margin_ns: int = 2 * MINUTE_NS
    probe_after: int = 5
    tries: int = 10
    wait_max_ns: int = 30 * SECOND
    read_tries: int = 4
    timeout_ns: int = 10 * SECOND
    quota: int = SUBMISSIONS_MAX


DEFAULT: Final = Limits()


class End(StrEnum):
    """What became of a batch."""

    CONFIRMED = "confirmed"  # all of its calls happened
    USED = "used"  # its nonce is used up: they happened, or it reverted; balances tell
    FAILED = "failed"  # it reverted, or was never broadcast: nothing happened
    EXPIRED = "expired"  # its deadline passed unseen: nothing happened
    REFUSED = "refused"  # it was never taken, and never will be
    BUSY = "busy"  # it was never taken, time and again; later it may
    UNDECIDED = "undecided"  # it may still happen: follow it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What became of a batch.

    Attributes:
        batch: As it was submitted last.
        transaction_hash: "" where none was told.
        reason: In the relayer's words, or in ours; "" where there is nothing to say.
    """

    end: End
    batch: Batch
    transaction_hash: str = ""
    reason: str = ""

    @property
    def final(self) -> bool:
        """Say whether nothing can happen any more."""
        return self.end is not End.UNDECIDED


def _unnoted(_batch: Batch) -> None:
    return


class Relayer:
    """
    Carries out calls of one wallet.

    Args:
        port: The relayer; reached under its base address.
        signer: Owner of the wallet.
        key: Who may use the relayer; proves nothing about the wallet.
        pace: Time.
        prefix: What the port's paths have in front of the relayer's own.
        limits: How long and how often.

    Raises:
        WalletMismatchError: The wallet is an EOA (`calls.transaction` is for those).
    """

    def __init__(
        self,
        port: ExchangePort,
        signer: BatchSigner,
        key: Key,
        *,
        pace: Pace,
        prefix: str = "",
        limits: Limits = DEFAULT,
    ) -> None:
        self._port = port
        self._signer = signer
        self._key = key
        self._pace = pace
        self._prefix = prefix
        self._limits = limits
        self._kind = kind_of(signer.signature_type)
        self._turn = asyncio.Lock()
        self._quota = Quota(limits.quota)

    @property
    def busy(self) -> bool:
        """Say whether a batch is under way here."""
        return self._turn.locked()

    def submissions_left(self) -> int:
        """Return how many submissions the quota allows now."""
        return self._quota.left(self._pace.now_ns())

    # -- batches

    async def carry_out(
        self,
        calls: Sequence[Call],
        *,
        metadata: str = "",
        note: Callable[[Batch], None] = _unnoted,
    ) -> Outcome:
        """
        Have the wallet make calls, all of them or none, and return what became of that.

        Args:
            calls: In order.
            metadata: A note that the relayer keeps.
            note: Hears of every batch before it leaves and when it is named; what it raises
                stops the batch from leaving.

        Raises:
            InputError: Calls that no batch can hold.
            RetryError: The nonce cannot be read; nothing left.
            DeniedError: The same, for good: the key, or the wallet's address.
        """
        async with self._turn:
            return await self._carry_out(calls, metadata, note)

    async def follow(self, batch: Batch, *, note: Callable[[Batch], None] = _unnoted) -> Outcome:
        """Find out what became of a batch that may have left."""
        async with self._turn:
            return await self._follow(batch, note)

    async def _carry_out(
        self, calls: Sequence[Call], metadata: str, note: Callable[[Batch], None]
    ) -> Outcome:
        nonce = 0
        for attempt in range(self._limits.tries):
            batch = await self._sign(calls, nonce, metadata)
            nonce = 0
            answer = await self._submit(batch, note)
            match answer:
                case Taken():
                    return await self._watch(_named(batch, answer, note))
                case Lost():
                    return await self._follow(batch, note)
                case Refused():
                    return Outcome(end=End.REFUSED, batch=batch, reason=answer.reason)
                case Stale() if answer.on_chain > batch.nonce:
                    nonce = answer.on_chain  # what we read lags; sign again at once
                case Stale() | Busy() | Later():
                    await self._pace.sleep(self._wait_ns(attempt, answer))
        return Outcome(end=End.BUSY, batch=batch, reason=f"{attempt + 1} times: {answer}")

    async def _sign(self, calls: Sequence[Call], nonce: int, metadata: str) -> Batch:
        relay, read_nonce = await self.turn()
        return sign_batch(
            self._signer,
            calls,
            nonce=max(nonce, read_nonce),
            deadline_s=self._pace.now_ns() // SECOND + self._limits.deadline_s,
            relay=relay,
            metadata=metadata,
        )

    async def _submit(self, batch: Batch, note: Callable[[Batch], None]) -> Answer:
        while wait_ns := self._quota.take(self._pace.now_ns()):
            await self._pace.sleep(wait_ns)
        note(batch)
        try:
            response = await self._send("POST", SUBMIT, {}, batch.body)
        except ConnectionRefusedError as error:
            return Later(None, f"no connection: {error}")
        except (OSError, TimeoutError) as error:
            return Lost(str(error) or type(error).__name__)
        now_ns = self._pace.now_ns()
        return read_answer(response.status, response.headers, response.body, now_ns)

    def _wait_ns(self, attempt: int, answer: Stale | Busy | Later) -> int:
        if isinstance(answer, Later) and answer.wait_ns is not None:
            return max(answer.wait_ns, self._limits.poll_ns)
        return min(self._limits.poll_ns << attempt, self._limits.wait_max_ns)

    # -- what became of one

    async def _follow(self, batch: Batch, note: Callable[[Batch], None]) -> Outcome:
        if batch.transaction_id:
            return await self._watch(batch)
        until_ns = self._pace.now_ns() + self._limits.patience_ns
        unchanged = 0
        while self._pace.now_ns() < until_ns:
            await self._pace.sleep(self._limits.poll_ns)
            turn = await self._told(self.turn())
            if turn is None:
                continue
            if ended := self._ended(batch, turn[1]):
                return ended
            unchanged += 1
            if unchanged % self._limits.probe_after == 0 and not self._late(batch, 0):
                found = await self._probe(batch, note)
                if isinstance(found, Outcome):
                    return found
                if found.transaction_id:
                    return await self._watch(found)
        return Outcome(end=End.UNDECIDED, batch=batch, reason="neither taken nor refused")

    async def _probe(self, batch: Batch, note: Callable[[Batch], None]) -> Outcome | Batch:
        """Offer the same bytes again; return how it ended, or the batch, named if it is known."""
        answer = await self._submit(batch, note)
        match answer:
            case Taken():
                return _named(batch, answer, note)
            case Refused(status=400) if "deadline" not in answer.reason:
                # What is refused for what it says was refused the first time as well: had it
                # been taken, the answer would be that the wallet is busy or the nonce used.
                return Outcome(end=End.REFUSED, batch=batch, reason=answer.reason)
        return batch

    async def _watch(self, batch: Batch) -> Outcome:
        """Look at a named transaction until it is final."""
        until_ns = self._pace.now_ns() + self._limits.patience_ns
        state = State.UNKNOWN
        while self._pace.now_ns() < until_ns:
            await self._pace.sleep(self._limits.poll_ns)
            found = await self._told(self.transaction(batch.transaction_id))
            state = found.state if found else state
            if found and state is State.CONFIRMED:
                return Outcome(end=End.CONFIRMED, batch=batch, transaction_hash=found.hash)
            if found and state not in FINAL and not self._stuck(batch, state):
                continue
            # What the relayer forgot, the chain knows; and where a batch was offered twice, one
            # copy fails because the other went through.
            turn = await self._told(self.turn())
            if turn and (ended := self._ended(batch, turn[1], found)):
                return ended
        return Outcome(end=End.UNDECIDED, batch=batch, reason=f"state {state or 'not known'}")

    def _stuck(self, batch: Batch, state: State) -> bool:
        """Say whether its deadline passed before it was mined."""
        return state is not State.MINED and self._late(batch, self._limits.margin_ns)

    def _ended(self, batch: Batch, nonce: int, found: Transaction | None = None) -> Outcome | None:
        """Return how a batch ended that was not seen to be confirmed; None if it may still be."""
        if nonce > batch.nonce:
            return Outcome(end=End.USED, batch=batch, reason=f"the wallet's nonce is {nonce}")
        if found and found.state in FINAL:
            why = f"{found.state}: {found.error}"
            return Outcome(end=End.FAILED, batch=batch, transaction_hash=found.hash, reason=why)
        if self._late(batch, self._limits.margin_ns):
            why = f"deadline {batch.deadline_s} has passed at nonce {nonce}"
            return Outcome(end=End.EXPIRED, batch=batch, reason=why)
        return None

    def _late(self, batch: Batch, margin_ns: int) -> bool:
        if batch.deadline_s is None:
            return False
        return self._pace.now_ns() > batch.deadline_s * SECOND + margin_ns

    async def _told(self, asked: Awaitable[_T]) -> _T | None:
        """Return what a read tells, or None: a batch that left is not given up over a read."""
        try:
            return await asked
        except (RetryError, DeniedError):
            return None

    # -- reads

    async def turn(self) -> tuple[str, int]:
        """
        Return (relay, next nonce) of the wallet; the relay is "" but for a proxy.

        Raises:
            RetryError: No useful answer on any try.
            DeniedError: Another 4xx.
        """
        path = RELAY_PAYLOAD if self._kind is Kind.PROXY else PARAMS
        query = {"address": self._signer.address, "type": self._kind.value}
        found = await self._read(path, query, self._read_turn)
        if found is None:
            raise DeniedError(f"GET {path}: 404", 404)
        return found

    def _read_turn(self, body: bytes) -> tuple[str, int]:
        address, nonce = read_turn(body)
        if self._kind is not Kind.PROXY:
            return "", nonce
        return checksum_address(parse_address("relay", address)), nonce

    async def transaction(self, transaction_id: str) -> Transaction | None:
        """Return what the relayer says about a batch, None if it knows none; raises as `turn`."""
        return await self._read(TRANSACTIONS + transaction_id, {}, read_transaction)

    async def deployed(self) -> bool:
        """Say whether the wallet exists on the chain yet; raises as `turn`."""
        query = {"address": self._signer.funder, "type": self._kind.value}
        return bool(await self._read(DEPLOYED, query, read_deployed))

    async def _read(
        self, path: str, query: Mapping[str, str], read: Callable[[bytes], _T]
    ) -> _T | None:
        for attempt in range(self._limits.read_tries):
            if attempt:
                await self._pace.sleep(min(SECOND << attempt, self._limits.wait_max_ns))
            try:
                return _understood(path, await self._get(path, query), read)
            except RetryError as error:
                last = error
        raise last

    async def _get(self, path: str, query: Mapping[str, str]) -> HttpResponse:
        try:
            return await self._send("GET", path, query, b"")
        except (OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise UnreachableError(f"GET {path}: {said}") from None

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> HttpResponse:
        headers = self._key.headers(method, path, body, self._pace.now_ns() // SECOND)
        if body:
            headers["Content-Type"] = "application/json"
        return await self._port.request(
            method,
            self._prefix + path,
            query=query or None,
            headers=headers,
            body=body,
            timeout_ns=self._limits.timeout_ns,
        )


def _named(batch: Batch, answer: Taken, note: Callable[[Batch], None]) -> Batch:
    named = batch.named(answer.transaction_id)
    note(named)
    return named


def _understood(path: str, response: HttpResponse, read: Callable[[bytes], _T]) -> _T | None:
    """Return what `read` makes of an answer, None for 404, or raise what it stands for."""
    status, body = response.status, response.body
    if 200 <= status < 300:
        try:
            return read(body)
        except MalformedError as error:
            raise GarbledError(f"GET {path}: {error}") from None
    if status == 404:
        return None
    message = f"GET {path}: {status} {body[:SHOWN].decode(errors='replace')!r}"
    if status == 429:
        raise ThrottledError(message)
    if status >= 500 or status in {408, 425}:
        raise UnavailableError(message)
    raise DeniedError(message, status)
