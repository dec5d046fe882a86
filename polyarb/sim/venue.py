"""
The exchange itself, sans-IO: time and requests come in, answers, messages and log lines go out.

Whoever drives it calls `advance` up to the present, then hands over what a client did. Everything
that happens later (a held order, a settlement, a participant's move) waits in one queue, ordered
by time and then by who came first, so a run depends on nothing but its seed and those calls.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from polyarb.sim import wire
from polyarb.sim.accounts import Accounts, spenders
from polyarb.sim.catalog import Catalog, Event, Market
from polyarb.sim.chain import Chain
from polyarb.sim.config import START_NS, VenueConfig
from polyarb.sim.decimals import ONE_E4, ONE_E6, PRICE, ceil_div
from polyarb.sim.faults import Faults
from polyarb.sim.feeds import MarketFeeds, UserFeeds
from polyarb.sim.http import HttpError
from polyarb.sim.ledger import Ledger, Wallet
from polyarb.sim.limits import AddressLimits, SignerLimits
from polyarb.sim.log import EventLog
from polyarb.sim.matching import Book, Fill, Kind, Order, Plan, Status, makers, plan, taker_cash
from polyarb.sim.mishaps import Steps
from polyarb.sim.signatures import Generation, exchange
from polyarb.sim.wire import Part, Trade

if TYPE_CHECKING:
    from polyarb.sim.mispricing import Mispricings

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000

FOK_KILLED: Final = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_KILLED: Final = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no "
    "match is found."
)
NO_FUNDS: Final = "not enough balance / allowance"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order at once."""

    order: Order
    status: str
    trade: Trade | None = None


Done = Callable[[Outcome | HttpError], None]


class Venue:
    """
    One exchange.

    Args:
        config: Its switches.
        catalog: What trades on it.
        seed: Of everything random.
        start_ns: Unix nanoseconds at which its time begins.
        log: Where events go.
        audit: Recount the whole ledger after every match, settlement and position call.

    Attributes:
        now_ns: Its present; never goes back.
        mode: "normal", "restarting", "post_only", "cancel_only" or "disabled".
        mode_until_ns: When the mode ends by itself; 0 for never.
        orders: Every order of a client, by id; those of participants while they rest.
        trades: Every trade a client took part in, oldest first.
        trades_of: The same for each API key and each wallet.
        watchers: Called with a market after each change of its touch, within the same instant.
        cause: The trade that made the change watchers are being told of; None for a quote.
        newcomers: Called with each event that opens while the venue runs.
        on_refuse_connections: What a driver does to refuse new connections for some seconds.
    """

    def __init__(
        self,
        config: VenueConfig,
        catalog: Catalog,
        *,
        seed: int = 1,
        start_ns: int = START_NS,
        log: EventLog | None = None,
        audit: bool = False,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.seed = seed
        self.start_ns = self.now_ns = start_ns
        self.log = log or EventLog()
        self.audit = audit
        self.ledger = Ledger()
        self.accounts = Accounts(str(seed), self.ledger, spenders(config.chain_id))
        self.signer_limits = SignerLimits(config.tier)
        self.address_limits = AddressLimits()
        self.faults = Faults(self)
        self.chain = Chain(self)
        self.mode = "normal"
        self.mode_until_ns = 0
        self.books: dict[str, Book] = {}
        self.orders: dict[str, Order] = {}
        self.trades: dict[str, Trade] = {}
        self.trades_of: defaultdict[str, dict[str, Trade]] = defaultdict(dict)
        self.watchers: list[Callable[[Market], None]] = []
        self.cause: Trade | None = None
        self.newcomers: list[Callable[[Event], None]] = []
        self.feeds = MarketFeeds(self)
        self.users = UserFeeds(self)
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.last_error = ""
        self.scorer: Mispricings | None = None
        self.on_refuse_connections: Callable[[float], None] | None = None
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._rngs: dict[str, Random] = {}
        for event in catalog.events:
            self._open_books(event)

    # -- time and chance

    def schedule(self, at_ns: int, act: Callable[..., None], *arguments: Any) -> None:
        """Do `act` at a venue time; at the same time, in the order of these calls."""
        self._sequence += 1
        at_ns = at_ns if at_ns > self.now_ns else self.now_ns
        heapq.heappush(self._queue, (at_ns, self._sequence, act, arguments))

    def next_ns(self) -> int | None:
        """Return when the next thing happens by itself."""
        return self._queue[0][0] if self._queue else None

    def advance(self, now_ns: int) -> None:
        """Let everything happen that is due up to `now_ns`; a time in the past changes nothing."""
        queue = self._queue
        while queue and queue[0][0] <= now_ns:
            at_ns, _, act, arguments = heapq.heappop(queue)
            self.now_ns = at_ns
            act(*arguments)
        self.now_ns = max(self.now_ns, now_ns)

    def rng(self, name: str) -> Random:
        """Return the random numbers of one purpose, independent of every other."""
        if name not in self._rngs:
            self._rngs[name] = Random(f"{self.seed}|{name}")  # noqa: S311  (chance, not secrecy)
        return self._rngs[name]

    def say(self, kind: str, *fields: object) -> None:
        """Write a line of the event log."""
        self.log.add(_encode((self.now_ns - self.start_ns, kind, *fields)).decode())

    def uuid(self) -> str:
        """Return a random id in the form of a UUID."""
        digits = f"{self.rng('ids').getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    # -- what is there

    def book(self, market: Market) -> Book:
        """Return the book of a market."""
        return self.books[market.condition_id]

    def _open_books(self, event: Event) -> None:
        for market in event.markets:
            book = self.books[market.condition_id] = Book(market)
            book.changed_ms = self.now_ns // MS

    def mode_ends_in_s(self) -> int:
        """Return the whole seconds until the mode ends, 1 at least."""
        return max(1, ceil_div(self.mode_until_ns - self.now_ns, SECOND))

    def set_mode(self, mode: str, for_s: float = 0) -> None:
        """
        Change the engine's mode (protocol.md section 17).

        Args:
            mode: As `mode`. After "restarting" come two minutes of "post_only".
            for_s: How long; 0 for good.
        """
        self.mode = mode
        self.mode_until_ns = self.now_ns + int(for_s * SECOND) if for_s else 0
        self.say("mode", mode, self.mode_until_ns and self.mode_until_ns - self.start_ns)
        if for_s:
            self.schedule(self.mode_until_ns, self._mode_over, mode, self.mode_until_ns)

    def _mode_over(self, mode: str, until_ns: int) -> None:
        if (self.mode, self.mode_until_ns) == (mode, until_ns):
            self.set_mode("post_only", 120) if mode == "restarting" else self.set_mode("normal")

    def deposit(self, wallet: Wallet, cash_e6: int) -> None:
        """Bring collateral in."""
        self.ledger.deposit(wallet, cash_e6)
        self.say("deposit", wallet.address, cash_e6)

    def set_up(self, wallet: Wallet) -> None:
        """Do what an owner does before he trades: deploy the wallet, approve every contract."""
        self.chain.deployed.add(wallet.address)
        self.accounts.approve_all(wallet)
        self.say("set_up", wallet.address)

    def check(self) -> None:
        """Recount the ledger; raises LedgerError."""
        self.ledger.check(self.catalog.events)

    # -- orders

    def submit(self, order: Order, done: Done) -> None:
        """
        Take an order that passed intake; call `done` with what became of it.

        Marketable orders of clients are held first where the market says so (section 11.3).
        """
        market = order.market
        if order.owner:
            self.orders[order.id] = order
        waits = order.owner and not order.post_only and self.book(market).crosses(order)
        if waits and market.seconds_delay:
            self._hold_back(order, market.seconds_delay * SECOND, None)
            done(Outcome(order, "delayed"))
        elif waits and market.taker_delay and self.config.taker_delay_ms:
            self._hold_back(order, self.config.taker_delay_ms * MS, done)
        else:
            self._try(order, done)

    def _hold_back(self, order: Order, for_ns: int, done: Done | None) -> None:
        order.status = Status.DELAYED
        self.say("hold", order.id, for_ns)
        self.schedule(self.now_ns + for_ns, self._release, order, done)

    def _release(self, order: Order, done: Done | None) -> None:
        why_not = self._why_not(order)
        if why_not:
            self._refused(order, HttpError(400, why_not), done)
        else:
            if self.faults.unmatched(order):
                self._pull_makers(order)
            order.status = Status.LIVE
            self._try(order, done, held=True)

    def _why_not(self, order: Order) -> str:
        """Return why an order may not trade after its hold, "" where it may (section 11.3)."""
        closed = {"restarting", "cancel_only", "disabled", "post_only"}
        if not order.market.accepting or self.mode in closed:
            return "the market is not yet ready to process new orders"
        if order.price_e4 % order.market.tick_e4:
            tick = PRICE[order.market.tick_e4]
            return (
                f"order {order.id} is invalid. Price ({PRICE[order.price_e4]}) breaks minimum tick "
                f"size rule: {tick}"
            )
        if self.accounts.banned & {order.wallet.address, order.wallet.owner}:
            return f"'{order.wallet.address}' address banned"
        return "" if self.approved(order) else NO_FUNDS

    def exchange_of(self, market: Market) -> str:
        """Return the contract that settles a market's trades."""
        generation = Generation.V3 if market.v3 else Generation(self.config.generation)
        return exchange(generation, market.neg_risk, self.config.chain_id).address

    def approved(self, order: Order) -> bool:
        """Say whether an order's wallet lets the exchange take what it gives."""
        spenders = order.wallet.approved[0 if order.buy else 1]
        return order.wallet.kind < 0 or self.exchange_of(order.market) in spenders

    def _pull_makers(self, order: Order) -> None:
        """Let the venue's own makers cancel whatever an order would meet."""
        for maker in list(makers(self.book(order.market), order)):
            if not maker.owner:
                self.remove(maker, Status.CANCELED)

    def _try(self, order: Order, done: Done | None, *, held: bool = False) -> None:
        try:
            outcome = self.execute(order)
        except HttpError as refusal:
            self._refused(order, refusal, done)
        else:
            if held and outcome.status == "live":
                outcome = replace(outcome, status="unmatched")
            if done:
                done(outcome)

    def _refused(self, order: Order, refusal: HttpError, done: Done | None) -> None:
        killed = refusal.message in {FOK_KILLED, FAK_KILLED}
        order.status = f"CANCELED_{refusal.message}" if killed else Status.INVALID
        self.say("refuse", order.id, refusal.message)
        self.counts["refused"] += 1
        if killed or done is None:
            self.users.order(order, "CANCELLATION")
        elif order.owner:
            self.orders.pop(order.id, None)  # it was never on the book
        if done:
            done(refusal)

    def execute(self, order: Order) -> Outcome:
        """
        Match an order now, and let what is left rest where its type says so.

        Raises:
            HttpError: Refused; nothing happened, but makers whose funds are gone are off the book.
        """
        book = self.book(order.market)
        order.created_ns = order.created_ns or self.now_ns
        made = plan(book, order)
        cap = self.faults.partial(order)
        if cap is not None:
            _cut(made, cap * order.size_e6 // ONE_E6)
        for broke in made.broke:
            self.remove(broke, Status.NO_BALANCE)
        self._afford(order, made)
        if order.post_only and made.fills:
            raise HttpError(400, "invalid post-only order: order crosses book")
        if order.kind == "FOK" and not made.complete:
            raise HttpError(400, FOK_KILLED)
        if order.kind == "FAK" and not made.fills:
            raise HttpError(400, FAK_KILLED)
        self.counts["orders"] += 1
        self.say(
            "order",
            *(order.id, order.wallet.address, order.token, wire.side(order.buy)),
            *(order.price_e4, order.size_e6, order.kind),
        )
        trade = self._match(order, made) if made.fills else None
        rests = order.kind in {"GTC", "GTD"} and not order.done
        if rests:
            self._rest(order)
        else:
            order.status = Status.MATCHED
        changes = [(not order.bid, level) for level in _levels(made)]
        if rests:
            changes.append((order.bid, order.level_e4))
            self.users.order(order, "PLACEMENT")
        self._changed(order.market, order.outcome, changes, trade)
        if trade:
            self._tell_match(trade)
        return Outcome(order, "matched" if trade else "live", trade)

    def _tell_match(self, trade: Trade) -> None:
        for order in (trade.taker, *(part.maker for part in trade.parts)):
            self.users.order(order, "UPDATE")
        self.users.trade(trade)

    def _afford(self, order: Order, made: Plan) -> None:
        wallet, market = order.wallet, order.market
        if not order.buy:
            has, needs = wallet.free_tokens(order.token), order.left_e6
        else:
            cash = fees = shares = 0
            for fill in made.fills:
                cash += taker_cash(order, fill.maker, fill.shares)
                shares += fill.shares
                price = PRICE_OF[order.outcome](fill.maker.level_e4)
                fees += market.fee_e6(price, fill.shares)
            rest = max(0, order.left_e6 - shares)
            has = wallet.free_cash_e6(market)
            needs = fees + max(order.budget_e6, cash + ceil_div(order.price_e4 * rest, ONE_E4))
        has -= self.faults.unseen(wallet, "" if order.buy else order.token)
        if needs > max(has, 0):
            raise HttpError(
                400,
                f"{NO_FUNDS}: the balance is not enough -> balance: {max(has, 0)}, "
                f"order amount: {needs}",
            )

    def _rest(self, order: Order) -> None:
        self.book(order.market).rest(order)
        order.status = Status.LIVE
        order.taken_e6, order.taken_cash_e6 = order.matched_e6, order.spent_e6
        self.orders[order.id] = order
        order.wallet.orders[order.id] = order
        self._hold(order, order.held_e6())
        if order.kind == "GTD":
            self.schedule((order.expires_s - 60) * SECOND, self._expire, order)

    def _hold(self, order: Order, units: int) -> None:
        wallet = order.wallet
        if order.buy:
            wallet.held[order.market.condition_id] += units
            wallet.held_cash_e6 += units
        else:
            wallet.held[order.token] += units

    def remove(self, order: Order, status: str) -> None:
        """Take a resting order off the book, release its funds and tell its owner."""
        self.book(order.market).remove(order)
        self._hold(order, -order.held_e6())
        self._gone(order)
        order.status = status
        self.counts["canceled"] += 1
        self.say("cancel", order.id, status)
        self._changed(order.market, order.outcome, [(order.bid, order.level_e4)])
        self.users.order(order, "CANCELLATION")

    def _gone(self, order: Order) -> None:
        order.wallet.orders.pop(order.id, None)
        if not order.owner:
            self.orders.pop(order.id, None)

    def _expire(self, order: Order) -> None:
        if self.book(order.market).resting(order):
            self.remove(order, Status.EXPIRED)

    def refuse(self, refusal: HttpError) -> None:
        """Note that something was refused before it became an order."""
        self.counts["refused"] += 1
        self.say("refused", refusal.status, refusal.message)

    def open_orders(self, owner: str) -> list[Order]:
        """Return the resting orders of an API key, oldest first."""
        credential = self.accounts.keys.get(owner)
        if credential is None:
            return []
        found = [
            order
            for wallet in self.accounts.wallets_of(credential.eoa)
            for order in wallet.orders.values()
            if order.owner == owner
        ]
        return sorted(found, key=lambda order: order.created_ns)

    def cancel(self, order_id: str, owner: str) -> str | None:
        """Cancel a client's order; return why not, or None where it is done."""
        order = self.orders.get(order_id)
        if order is None or order.owner != owner:
            return "Order not found or already canceled"
        if order.status == Status.DELAYED:
            return "order is delayed and can't be canceled"
        if self.book(order.market).resting(order):
            self.remove(order, Status.CANCELED)
            return None
        return "Order already matched" if order.matched_e6 else "already canceled or matched"

    # -- matches and their settlement

    def _match(self, order: Order, made: Plan) -> Trade:
        trade = Trade(
            id=self.uuid(),
            taker=order,
            parts=[],
            price_e4=0,
            size_e6=0,
            cash_e6=0,
            fee_e6=0,
            sets_e6=0,
            matched_ns=self.now_ns,
            updated_ns=self.now_ns,
            report_hash=f"0x{self.rng('ids').getrandbits(256):064x}",
        )
        for fill in made.fills:
            self._fill(trade, fill)
        self._take_from_taker(trade)
        order.matched_e6 += trade.size_e6
        order.spent_e6 += trade.cash_e6
        self._remember(trade)
        book = self.book(order.market)
        book.last_price_e4, book.last_side = trade.price_e4, wire.side(order.buy)
        book.last_yes_e4 = PRICE_OF[order.outcome](trade.price_e4)
        book.volume_e6 += trade.cash_e6
        book.history.append((self.now_ns // SECOND, book.last_yes_e4))
        self.counts["fills"] += len(trade.parts)
        self.say(
            "trade",
            *(trade.id, order.id, trade.size_e6, trade.cash_e6, trade.fee_e6),
            [[part.maker.id, part.shares, part.kind] for part in trade.parts],
        )
        mined_ns, confirmed_ns = self.config.mined_ms * MS, self.config.confirmed_ms * MS
        steps = self.faults.settlement(trade, ((mined_ns, "MINED"), (confirmed_ns, "CONFIRMED")))
        self.schedule(self.now_ns + steps[0][0], self._settle, trade, steps)
        concerned = (order, *(part.maker for part in trade.parts))
        for wallet in {id(o.wallet): o.wallet for o in concerned}.values():
            self.enforce(wallet)
        self._audit()
        return trade

    def _fill(self, trade: Trade, fill: Fill) -> None:
        """Take a maker's side of a fill into escrow and off the book."""
        maker, shares, taker = fill.maker, fill.shares, trade.taker
        cash = maker.cash_for(shares)
        mine = taker_cash(taker, maker, shares)
        price = PRICE_OF[taker.outcome](maker.level_e4)
        if maker.buy:
            self.ledger.take(trade.escrow, maker.wallet, "", cash)
            trade.give.append((maker.wallet, maker.token, shares))
            self._hold(maker, -cash)
        else:
            self.ledger.take(trade.escrow, maker.wallet, maker.token, shares)
            trade.give.append((maker.wallet, "", cash))
            self._hold(maker, -shares)
        trade.sets_e6 += {Kind.MINT: shares, Kind.MERGE: -shares}.get(fill.kind, 0)
        trade.parts.append(Part(maker, shares, fill.kind, cash))
        trade.price_e4 = price
        trade.size_e6 += shares
        trade.cash_e6 += mine
        trade.fee_e6 += maker.market.fee_e6(price, shares)
        maker.matched_e6 += shares
        maker.spent_e6 += cash
        book = self.book(maker.market)
        if maker.done:
            left = maker.left_e6
            self._hold(maker, -maker.held_e6())
            del book.sides[maker.bid][maker.level_e4].orders[maker.id]
            book.reduce(maker, shares + left)
            maker.status = Status.MATCHED
            self._gone(maker)
        else:
            book.reduce(maker, shares)

    def _take_from_taker(self, trade: Trade) -> None:
        taker, wallet = trade.taker, trade.taker.wallet
        fee = trade.fee_e6
        if taker.buy:
            self.ledger.take(trade.escrow, wallet, "", trade.cash_e6 + fee)
            trade.give.append((wallet, taker.token, trade.size_e6))
        else:
            self.ledger.take(trade.escrow, wallet, taker.token, trade.size_e6)
            trade.give.append((wallet, "", trade.cash_e6 - fee))
        trade.give.append((self.ledger.vault, "", fee))

    def _remember(self, trade: Trade) -> None:
        concerned = [trade.taker, *(part.maker for part in trade.parts)]
        for order in concerned:
            if order.owner:
                order.trade_ids = (*order.trade_ids, trade.id)
                self.trades[trade.id] = trade
                for whose in (order.owner, order.wallet.address):
                    self.trades_of[whose][trade.id] = trade

    def _settle(self, trade: Trade, steps: Steps) -> None:
        """Take the next step of a trade's way; MINED hands over, FAILED gives back."""
        step, later = steps[0][1], steps[1:]
        trade.status, trade.updated_ns = step, self.now_ns
        if step == "MINED" and trade.escrow.taken:
            if not self.faults.hash_delayed(trade):
                trade.hash = trade.report_hash
            self.ledger.settle(trade.escrow, trade.taker.market, trade.sets_e6, trade.give)
        elif step == "FAILED":
            self.ledger.give_back(trade.escrow)
        self.say("settle", trade.id, step)
        self.users.trade(trade)
        self._audit()
        if later:
            self.schedule(self.now_ns + later[0][0], self._settle, trade, later)

    def enforce(self, wallet: Wallet) -> None:
        """Drop a wallet's newest resting orders that its funds no longer cover (section 10.6)."""
        if wallet.kind < 0 and wallet.cash_e6 >= wallet.held_cash_e6:
            return  # a participant: it holds more than all its orders together
        for order in [order for order in wallet.orders.values() if not self.approved(order)]:
            self.remove(order, Status.INVALID)
        for key in sorted(wallet.held):
            has = wallet.positions.get(key, 0) if key in self.catalog.tokens else wallet.cash_e6
            while wallet.held[key] > has and (newest := _newest(wallet, key)):
                self.remove(newest, Status.NO_BALANCE)

    def _audit(self) -> None:
        if self.audit:
            self.check()

    # -- the market's own life

    def set_tick(self, market: Market, tick_e4: int) -> None:
        """Change a market's tick; orders off the new grid stay until they are filled."""
        old, market.tick_e4 = market.tick_e4, tick_e4
        self.say("tick", market.condition_id, old, tick_e4)
        self.feeds.tick_changed(market, old)

    def add_event(self, event: Event) -> None:
        """Open a new event; everyone with custom features hears of its markets."""
        self.catalog.add(event)
        self._open_books(event)
        for market in event.markets:
            self.say("new_market", market.condition_id, market.slug)
            self.feeds.opened(market)
        for newcomer in self.newcomers:
            newcomer(event)

    def close_market(self, market: Market) -> None:
        """Stop trading: resting orders go, with their size-0 changes."""
        market.accepting = False
        for order in list(self.book(market).orders()):
            self.remove(order, Status.RESOLVED)

    def resolve(self, event: Event, winners: Iterable[int]) -> None:
        """
        Close and resolve every market of an event.

        Args:
            event: All of it: a neg-risk event cannot resolve in parts.
            winners: For each market 0 YES, 1 NO, 2 half to each.

        Raises:
            ValueError: Winners that do not fit the event.
        """
        winners = tuple(winners)
        if len(winners) != len(event.markets) or set(winners) - {0, 1, 2}:
            raise ValueError(f"winners {winners} do not fit {len(event.markets)} markets")
        if event.neg_risk and (winners.count(0) != 1 or 2 in winners):
            raise ValueError("a neg-risk event has exactly one winner")
        for market, winner in zip(event.markets, winners, strict=True):
            self.close_market(market)
            market.winner, market.closed, market.active = winner, True, False
            self.say("resolve", market.condition_id, winner)
        self._audit()
        for market in event.markets:
            self.feeds.resolved(market)

    def _changed(
        self,
        market: Market,
        outcome: int,
        changes: list[tuple[bool, int]],
        trade: Trade | None = None,
    ) -> None:
        """Tell the market's subscribers which levels changed; the order's token comes first."""
        book = self.book(market)
        book.changed_ms = self.now_ns // MS
        touch = (book.best(True), book.best(False))
        moved = touch != book.touch
        book.touch = touch
        self.feeds.changed(book, outcome, changes, trade, moved=moved)
        if moved:
            self.cause = trade
            for watcher in self.watchers:
                watcher(market)


PRICE_OF: Final[tuple[Callable[[int], int], Callable[[int], int]]] = (
    lambda level_e4: level_e4,
    lambda level_e4: ONE_E4 - level_e4,
)
"""A level in the terms of YES and of NO."""


def _levels(made: Plan) -> list[int]:
    return list(dict.fromkeys(fill.maker.level_e4 for fill in made.fills))


def _cut(made: Plan, most: int) -> None:
    """Cut a plan down to `most` shares: the fault `leg_partial`."""
    kept: list[Fill] = []
    for fill in made.fills:
        shares = min(fill.shares, most)
        if shares <= 0:
            break
        kept.append(Fill(fill.maker, shares, fill.kind))
        most -= shares
    made.complete = made.complete and kept == made.fills
    made.fills = kept


def _newest(wallet: Wallet, key: str) -> Order | None:
    for order in reversed(wallet.orders.values()):
        if key == (order.market.condition_id if order.buy else order.token):
            found: Order = order
            return found
    return None
