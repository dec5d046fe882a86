"""
Who owns what, in integers: collateral, outcome tokens, what is locked behind them, and escrow.

A complete set of an event's tokens is always worth one unit of the collateral locked for it, so
nothing can appear or vanish: `Ledger.check` recounts everything from the wallets up. A match moves
what it takes into escrow; settlement hands it over, a failed one gives it back. So a fill that
never settles needs no token that was sold on meanwhile.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from polyarb.sim.catalog import Event, Market
from polyarb.sim.decimals import ONE_E4

UNLIMITED = 2**256 - 1


class LedgerError(Exception):
    """The books of the venue do not add up: a defect of the simulator itself."""


class FundsError(Exception):
    """A wallet does not hold what an operation takes."""


@dataclass(slots=True, eq=False)
class Wallet:
    """
    One address that holds funds.

    Attributes:
        address: Lower case.
        owner: Lower-case EOA that may sign for it.
        kind: Signature type, 0..3; -1 for the venue's own.
        positions: Token to shares, absent where zero.
        held: What open orders reserve: collateral by condition id, shares by token.
        held_cash_e6: Sum of the collateral reserved in all markets.
        approved: Spenders allowed to move (collateral, tokens), lower-case addresses.
        orders: Its resting orders by id (`matching.Order`).
    """

    address: str
    owner: str
    kind: int = -1
    cash_e6: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    held_cash_e6: int = 0
    approved: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))
    orders: dict[str, Any] = field(default_factory=dict)

    def tokens(self, token: str) -> int:
        """Return the shares of a token it holds."""
        return self.positions.get(token, 0)

    def free_cash_e6(self, market: Market) -> int:
        """Return the collateral its open BUY orders in this market leave."""
        return self.cash_e6 - self.held.get(market.condition_id, 0)

    def free_tokens(self, token: str) -> int:
        """Return the shares its open SELL orders leave."""
        return self.positions.get(token, 0) - self.held.get(token, 0)


@dataclass(slots=True, eq=False)
class Escrow:
    """What a match took from wallets, until it settles or fails: (wallet, token or "", units)."""

    taken: list[tuple[Wallet, str, int]] = field(default_factory=list)


class Ledger:
    """
    All wallets, and the collateral behind the tokens in them.

    Attributes:
        deposited_e6: Everything that ever came in, less what left.
        locked_e6: Collateral behind each event's tokens, by event id.
        vault: The venue's own wallet: fees, and what conversions keep.
        escrowed: Everything in escrow, by token; "" is collateral.
        dust: Half millionths that redemptions of half-paying tokens left locked, by event id.
    """

    def __init__(self) -> None:
        self.vault = Wallet("0x" + "0" * 38 + "fe", "")
        self.wallets: dict[str, Wallet] = {self.vault.address: self.vault}
        self.deposited_e6 = 0
        self.locked_e6: Counter[str] = Counter()
        self.escrowed: Counter[str] = Counter()
        self.dust: Counter[str] = Counter()

    def add(self, wallet: Wallet) -> Wallet:
        """Return the wallet of that address, `wallet` itself where there was none."""
        return self.wallets.setdefault(wallet.address, wallet)

    def deposit(self, wallet: Wallet, cash_e6: int) -> None:
        """Bring collateral in from outside; a negative amount takes it out."""
        if wallet.cash_e6 + cash_e6 < 0:
            raise FundsError(f"{wallet.address} holds {wallet.cash_e6} of {-cash_e6}")
        wallet.cash_e6 += cash_e6
        self.deposited_e6 += cash_e6

    # -- escrow: what matches do

    def take(self, escrow: Escrow, wallet: Wallet, token: str, units: int) -> None:
        """Move `units` of a token, or of collateral for "", from a wallet into escrow."""
        if token:
            _add(wallet, token, -units)
        elif wallet.cash_e6 < units:
            raise FundsError(f"{wallet.address} holds {wallet.cash_e6} of {units}")
        else:
            wallet.cash_e6 -= units
        self.escrowed[token] += units
        escrow.taken.append((wallet, token, units))

    def give_back(self, escrow: Escrow) -> None:
        """Undo every `take`: the match failed to settle."""
        for wallet, token, units in escrow.taken:
            self._hand(wallet, token, units)
            self.escrowed[token] -= units
        escrow.taken.clear()

    def settle(
        self, escrow: Escrow, market: Market, sets_e6: int, give: Iterable[tuple[Wallet, str, int]]
    ) -> None:
        """
        Turn an escrow into what the match promised.

        Args:
            escrow: Emptied.
            market: Where it happened.
            sets_e6: Complete sets that it makes (> 0, MINT) or burns (< 0, MERGE) on the way.
            give: (wallet, token or "", units), together exactly what is in the escrow after that.
        """
        pot = Counter[str]()
        for _, token, units in escrow.taken:
            pot[token] += units
            self.escrowed[token] -= units
        escrow.taken.clear()
        pot[""] -= sets_e6
        for token in market.tokens:
            pot[token] += sets_e6
        self.locked_e6[market.event.id] += sets_e6
        for wallet, token, units in give:
            self._hand(wallet, token, units)
            pot[token] -= units
        if any(pot.values()):
            raise LedgerError(f"a settlement on {market.slug} leaves {+pot} {-pot}")

    def _hand(self, wallet: Wallet, token: str, units: int) -> None:
        if token:
            _add(wallet, token, units)
        else:
            wallet.cash_e6 += units

    # -- position calls: what the relayer does (protocol.md section 24.3)

    def split(self, wallet: Wallet, market: Market, sets_e6: int) -> None:
        """Turn collateral into YES and NO."""
        if market.closed:
            raise FundsError("the condition is resolved")
        if wallet.cash_e6 < sets_e6:
            raise FundsError(f"collateral {wallet.cash_e6} is below {sets_e6}")
        wallet.cash_e6 -= sets_e6
        self.locked_e6[market.event.id] += sets_e6
        for token in market.tokens:
            _add(wallet, token, sets_e6)

    def merge(self, wallet: Wallet, market: Market, sets_e6: int) -> None:
        """Turn YES and NO into collateral."""
        if market.closed:
            raise FundsError("the condition is resolved")
        short = min(wallet.tokens(token) for token in market.tokens)
        if short < sets_e6:
            raise FundsError(f"complete sets {short} are below {sets_e6}")
        for token in market.tokens:
            _add(wallet, token, -sets_e6)
        self.locked_e6[market.event.id] -= sets_e6
        wallet.cash_e6 += sets_e6

    def redeem(self, wallet: Wallet, market: Market) -> int:
        """Burn both tokens of a resolved market for what they pay; return that."""
        return sum(
            self.redeem_outcome(wallet, market, outcome, wallet.tokens(token))
            for outcome, token in enumerate(market.tokens)
        )

    def redeem_outcome(self, wallet: Wallet, market: Market, outcome: int, shares: int) -> int:
        """Burn shares of one token of a resolved market for what they pay; return that."""
        if market.winner is None:
            raise FundsError("the condition is not resolved")
        _add(wallet, market.tokens[outcome], -shares)
        paid = payout_e6(market, outcome, shares)
        self.dust[market.event.id] += shares % 2 if market.winner == 2 else 0
        self.locked_e6[market.event.id] -= paid
        wallet.cash_e6 += paid
        return paid

    def convert(self, wallet: Wallet, event: Event, chosen: frozenset[int], shares: int) -> None:
        """
        Turn NO of the chosen markets into k - 1 collateral and YES of the others.

        `chosen` are indices of markets. The fee's share of what comes out goes to the vault.
        """
        if not event.neg_risk or len(event.markets) < 2:
            raise FundsError("only markets of a neg-risk event convert")
        by_index = {market.index: market for market in event.markets}
        if not chosen or not chosen <= by_index.keys():
            raise FundsError(f"index set {sorted(chosen)} is none of {sorted(by_index)}")
        if any(market.closed for market in event.markets):
            raise FundsError("a market of the event is resolved")
        taken = [by_index[index].tokens[1] for index in sorted(chosen)]
        short = min(wallet.tokens(token) for token in taken)
        if short < shares:
            raise FundsError(f"NO shares {short} are below {shares}")
        for token in taken:
            _add(wallet, token, -shares)
        fee = shares * event.fee_bips // ONE_E4
        self.locked_e6[event.id] -= (len(chosen) - 1) * shares
        for receiver, part in ((wallet, shares - fee), (self.vault, fee)):
            receiver.cash_e6 += (len(chosen) - 1) * part
            for index, market in by_index.items():
                if index not in chosen:
                    _add(receiver, market.tokens[0], part)

    # -- proof

    def check(self, events: Iterable[Event]) -> None:
        """
        Recount everything.

        Raises:
            LedgerError: Collateral or complete sets have appeared or vanished, or are negative.
        """
        supply = Counter(self.escrowed)
        cash = supply.pop("", 0)
        for wallet in self.wallets.values():
            cash += wallet.cash_e6
            supply.update(wallet.positions)
            if wallet.cash_e6 < 0 or any(units < 0 for units in wallet.positions.values()):
                raise LedgerError(f"{wallet.address} holds less than nothing")
        if min(self.escrowed.values(), default=0) < 0:
            raise LedgerError(f"escrow holds less than nothing: {-self.escrowed}")
        if cash + self.locked_e6.total() != self.deposited_e6:
            raise LedgerError(
                f"collateral {cash} + locked {self.locked_e6.total()} is not what was deposited, "
                f"{self.deposited_e6}"
            )
        for event in events:
            _check_event(event, supply, self.locked_e6[event.id], self.dust[event.id])


def payout_e6(market: Market, outcome: int, shares: int) -> int:
    """Return what shares of a resolved market's token pay."""
    if market.winner == 2:
        return shares // 2
    return shares if market.winner == outcome else 0


def _worth_halves(market: Market, supply: Counter[str]) -> int:
    """Return twice what a market's tokens will pay; a neg-risk event resolves as a whole."""
    yes, no = (supply[token] for token in market.tokens)
    if market.winner == 2:
        return yes + no
    return 2 * (no if market.winner == 1 else yes)


def _check_event(event: Event, supply: Counter[str], locked_e6: int, dust: int) -> None:
    """
    Hold an event's tokens against the collateral behind them.

    Splits and merges keep YES = NO in each market; a conversion of `a` raises YES - NO by `a` in
    every market of its event alike. Before resolution every outcome therefore pays the same:
    all NO plus that difference.
    """
    if any(market.closed for market in event.markets):
        halves = dust + sum(_worth_halves(market, supply) for market in event.markets)
        if 2 * locked_e6 != halves:
            raise LedgerError(f"{event.slug}: locked {locked_e6}, tokens are worth {halves} halves")
        return
    surplus = {supply[market.tokens[0]] - supply[market.tokens[1]] for market in event.markets}
    if len(surplus) > 1 or (not event.neg_risk and surplus != {0}):
        raise LedgerError(f"{event.slug}: YES less NO differs between its markets: {surplus}")
    worth = sum(supply[market.tokens[1]] for market in event.markets) + surplus.pop()
    if worth != locked_e6:
        raise LedgerError(f"{event.slug}: locked {locked_e6}, complete sets are worth {worth}")


def _add(wallet: Wallet, token: str, shares: int) -> None:
    total = wallet.positions.get(token, 0) + shares
    if total < 0:
        raise FundsError(f"{wallet.address} holds {total - shares} of {-shares} shares")
    if total:
        wallet.positions[token] = total
    else:
        wallet.positions.pop(token, None)
