"""
What wallets do beside the book: transactions that split, merge, redeem, convert and approve.

One queue stands for the relayer and the chain behind it (protocol.md section 24.4). A transaction
is taken, broadcast, mined and confirmed, `VenueConfig.relayer_ms` apart; all it asks for happens in
the instant it is mined, or nothing of it.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from polyarb.sim import calls
from polyarb.sim.calls import Call
from polyarb.sim.catalog import Event, Market
from polyarb.sim.ledger import FundsError, Ledger, Wallet

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
EOA: Final = "EOA"
CREATE: Final = "WALLET-CREATE"


class State(StrEnum):
    """Of a transaction, as the relayer spells it."""

    NEW = "STATE_NEW"
    EXECUTED = "STATE_EXECUTED"  # broadcast: it has a hash
    MINED = "STATE_MINED"
    CONFIRMED = "STATE_CONFIRMED"
    FAILED = "STATE_FAILED"  # reverted
    INVALID = "STATE_INVALID"  # never broadcast


NEXT: Final = {
    State.NEW: State.EXECUTED,
    State.EXECUTED: State.MINED,
    State.MINED: State.CONFIRMED,
}
"""Where a transaction goes if nothing goes wrong; the states that are missing are final."""

OPERATIONS: Final[dict[type[Call], str]] = {
    calls.Approve: "approve",
    calls.SetApprovalForAll: "approve",
    calls.Split: "split",
    calls.Merge: "merge",
    calls.Redeem: "redeem",
    calls.Convert: "convert",
    calls.RouterSplit: "split",
    calls.RouterMerge: "merge",
    calls.RouterRedeem: "redeem",
}
"""Names of what the chain carries out, for the log and for faults; USDC.e it does not know."""


class RevertError(Exception):
    """A call that the contracts refuse."""


@dataclass(slots=True, eq=False, kw_only=True)
class Transaction:
    """
    What a wallet was asked to do.

    Attributes:
        kind: WALLET, SAFE, PROXY or WALLET-CREATE; EOA for one that needed no relayer.
        submitter: EOA of the credential that brought it.
        calls: In order; none for a creation.
        deadline_s: Unix seconds after which it must not be broadcast; None for none.
        hash: "" before it is broadcast.
        fate: The state a fault ends it in; None without one.
    """

    id: str
    kind: str
    wallet: Wallet
    submitter: str
    nonce: int
    calls: tuple[Call, ...]
    deadline_s: int | None = None
    state: State = State.NEW
    hash: str = ""
    error: str = ""
    fate: str | None = None

    def operations(self) -> list[str]:
        """Return what its calls are named."""
        return [OPERATIONS[type(call)] for call in self.calls] or ["create"]


class Chain:
    """
    Every transaction there was, and what the contracts make of it.

    Attributes:
        nonces: The next nonce by wallet address.
        transactions: By id.
        by_hash: Those that were broadcast.
        deployed: Deposit wallets that exist.
        submissions: When each peer submitted lately, for the relayer's quota.
    """

    def __init__(self, venue: "Venue") -> None:
        self._venue = venue
        self.nonces = Counter[str]()
        self.transactions: dict[str, Transaction] = {}
        self.by_hash: dict[str, Transaction] = {}
        self.deployed: set[str] = set()
        self.submissions = defaultdict[str, deque[int]](deque)
        self._active: dict[str, Transaction] = {}

    def active(self, wallet: Wallet) -> Transaction | None:
        """Return the relayed transaction of a wallet that is not final yet."""
        return self._active.get(wallet.address)

    def send(self, transaction: Transaction) -> None:
        """Take a transaction whose signature and nonce are right; one of an EOA is broadcast."""
        venue, wallet = self._venue, transaction.wallet
        self.transactions[transaction.id] = transaction
        operations = transaction.operations()
        venue.say("relay", transaction.id, wallet.address, transaction.kind, operations)
        transaction.fate = next(filter(None, map(venue.faults.relayer, operations)), None)
        if transaction.kind == EOA:
            self.nonces[wallet.address] += 1  # a revert uses it up as well
            transaction.state = State.EXECUTED
            self.by_hash[transaction.hash] = transaction
        else:
            self._active[wallet.address] = transaction
        self._later(transaction)

    def _later(self, transaction: Transaction) -> None:
        venue = self._venue
        operations = dict.fromkeys(transaction.operations())
        wait_ns = venue.config.relayer_ms * MS
        wait_ns += max(map(venue.faults.relayer_wait_ns, operations))
        venue.schedule(venue.now_ns + wait_ns, self._step, transaction)

    def _step(self, transaction: Transaction) -> None:
        transaction.state = self._next(transaction)
        self._venue.say("relayed", transaction.id, transaction.state, transaction.error)
        if transaction.state in NEXT:
            self._later(transaction)
        else:
            self._active.pop(transaction.wallet.address, None)

    def _next(self, transaction: Transaction) -> State:
        state, venue = NEXT[transaction.state], self._venue
        if state == State.EXECUTED:
            deadline_s = transaction.deadline_s
            if transaction.fate == State.INVALID:
                return _fail(transaction, State.INVALID, "the relayer cannot execute this now")
            if deadline_s is not None and deadline_s < venue.now_ns // SECOND:
                return _fail(transaction, State.INVALID, f"deadline {deadline_s} has passed")
            transaction.hash = f"0x{venue.rng('ids').getrandbits(256):064x}"
            self.by_hash[transaction.hash] = transaction
        elif state == State.MINED:
            if transaction.fate:
                return _fail(transaction, State.FAILED, "execution reverted")
            try:
                self._carry_out(transaction)
            except (RevertError, FundsError) as refusal:
                return _fail(transaction, State.FAILED, f"execution reverted: {refusal}")
        return state

    def _carry_out(self, transaction: Transaction) -> None:
        venue, wallet = self._venue, transaction.wallet
        undo = _undo(venue.ledger, wallet)
        try:
            for call in transaction.calls:
                self._call(wallet, call)
        except (RevertError, FundsError):
            undo()
            raise
        if transaction.kind == CREATE:
            self.deployed.add(wallet.address)
        elif transaction.kind != EOA:
            self.nonces[wallet.address] += 1
        venue.enforce(wallet)
        if venue.audit:
            venue.check()

    def _call(self, wallet: Wallet, call: Call) -> None:
        """Do one call; it may leave half of it done when it raises."""
        ledger = self._venue.ledger
        match call:
            case calls.Approve():
                if call.token == calls.PUSD:  # nothing here takes USDC.e
                    _allow(wallet.approved[0], call.spender, call.amount > 0)
            case calls.SetApprovalForAll():
                _allow(wallet.approved[1], call.operator, call.approved)
            case calls.Split():
                market = self._adapted(wallet, call, tokens=False)
                ledger.split(wallet, market, call.amount_e6)
            case calls.Merge():
                ledger.merge(wallet, self._adapted(wallet, call), call.amount_e6)
            case calls.Redeem():
                ledger.redeem(wallet, self._adapted(wallet, call))
            case calls.Convert():
                self._convert(wallet, call)
            case calls.RouterSplit():
                market = self._routed(wallet, call.condition_id, tokens=False)
                ledger.split(wallet, market, call.amount_e6)
            case calls.RouterMerge():
                ledger.merge(wallet, self._routed(wallet, call.condition_id), call.amount_e6)
            case calls.RouterRedeem():
                market = self._routed(wallet, call.condition_id)
                ledger.redeem_outcome(wallet, market, call.outcome, call.amount_e6)
            case _:
                raise RevertError("USDC.e is not simulated")

    def _adapted(
        self, wallet: Wallet, call: calls.Split | calls.Merge | calls.Redeem, *, tokens: bool = True
    ) -> Market:
        """Return the market of a call through a collateral adapter, which must be its own."""
        adapter = calls.NEG_RISK_ADAPTER if call.neg_risk else calls.ADAPTER
        market = self._venue.catalog.markets.get(call.condition_id)
        if market is None or market.v3:
            raise RevertError(f"condition {call.condition_id} is unknown to {adapter}")
        if market.neg_risk != call.neg_risk:
            kind = "neg-risk" if market.neg_risk else "standard"
            raise RevertError(f"condition {call.condition_id} is {kind}, not for {adapter}")
        _check_allowance(wallet, adapter, tokens=tokens)
        return market

    def _routed(self, wallet: Wallet, condition: str, *, tokens: bool = True) -> Market:
        """Return the market of a call through the V3 router."""
        markets = self._venue.catalog.markets
        # Gamma shows the 31 bytes, or 32 that end in zero.
        market = markets.get(condition) or markets.get(condition + "00")
        if market is None or not market.v3:
            raise RevertError(f"condition {condition} is unknown to {calls.ROUTER}")
        _check_allowance(wallet, calls.ROUTER, tokens=tokens)
        return market

    def _convert(self, wallet: Wallet, call: calls.Convert) -> None:
        event = self._event(call.market_id)
        chosen = frozenset(bit for bit in range(256) if call.index_set >> bit & 1)
        _check_allowance(wallet, calls.NEG_RISK_ADAPTER, tokens=True)
        self._venue.ledger.convert(wallet, event, chosen, call.amount_e6)

    def _event(self, market_id: str) -> Event:
        for event in self._venue.catalog.events:
            if event.neg_risk_id == market_id and not any(market.v3 for market in event.markets):
                return event
        raise RevertError(f"market {market_id} is unknown to {calls.NEG_RISK_ADAPTER}")


def _fail(transaction: Transaction, state: State, why: str) -> State:
    transaction.error = why
    return state


def _allow(spenders: set[str], spender: str, allowed: bool) -> None:
    """Note an approval: of any amount at all for as much as there is."""
    (spenders.add if allowed else spenders.discard)(spender)


def _check_allowance(wallet: Wallet, spender: str, *, tokens: bool) -> None:
    if spender not in wallet.approved[tokens]:
        what = "tokens" if tokens else "collateral"
        raise RevertError(f"{spender} is not approved for the {what} of {wallet.address}")


def _undo(ledger: Ledger, wallet: Wallet) -> Callable[[], None]:
    """Return what puts everything back that a transaction of `wallet` can change."""
    held = [(w, w.cash_e6, w.positions.copy()) for w in (wallet, ledger.vault)]
    approved = (wallet.approved[0].copy(), wallet.approved[1].copy())
    locked_e6, dust = ledger.locked_e6.copy(), ledger.dust.copy()

    def undo() -> None:
        for w, cash_e6, positions in held:
            w.cash_e6, w.positions = cash_e6, positions
        wallet.approved = approved
        ledger.locked_e6, ledger.dust = locked_e6, dust

    return undo
