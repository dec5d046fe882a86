"""
What could have been earned: every violated relation, from its first moment to its last.

The venue's own eyes, independent of whoever trades here: after each change of a market's best
prices the relations of its event are looked at again. A violated one is on record with the most
it would have paid after fees and through the depth of all its legs, so that a run can be scored.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Final

from polyarb.sim.catalog import Event, Market, Structure
from polyarb.sim.decimals import ONE_E4, ONE_E6, ceil_div
from polyarb.sim.matching import Book
from polyarb.sim.wire import Trade

if TYPE_CHECKING:
    from polyarb.sim.venue import Venue

CENTI_E6: Final = ONE_E6 // 100
"""Orders come in hundredths of a share."""

GRACE_NS: Final = 2_000_000_000
"""How long after a mispricing has ended a trade still counts as meant for it."""

_FAR: Final = 2**62  # beyond both ends of any scale

Touch = tuple[int | None, int | None]
Touches = Callable[[Market], Touch]


def house(name: str) -> str:
    """Return the address of one of the venue's own wallets: its name in hexadecimal digits."""
    return "0x" + name.encode().hex().rjust(40, "0")


def _who(address: str) -> str:
    return bytes.fromhex(address[2:]).lstrip(b"\0").decode()


class Kind(StrEnum):
    """Which relation is violated."""

    COMPLEMENT = "complement"  # YES and NO of one market
    NEGRISK_YES = "negrisk_yes"  # YES of every market of a neg-risk event
    NEGRISK_NO = "negrisk_no"  # NO of all but one of its markets, and one more
    IMPLICATION = "implication"  # YES of what is implied, NO of what implies it
    RANGE_PARENT = "range_parent"  # YES of the parent, NO of its upper part and of the range
    RANGE_CHILDREN = "range_children"  # NO of the parent, YES of both


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """
    Tokens that together pay at least `payoff`, whatever happens.

    Attributes:
        legs: (market, outcome) to buy, one share each.
        payoff: Units of collateral.
        optional: A leg may be left out, for one unit of payoff less. NO of k markets of a neg-risk
            event pays k - 1: converted they are k - 1 and YES of the other markets, and selling
            that YES at its bid is the same as buying NO of the market at one less.
        decoy: Why it must not be traded; "" where nothing speaks against it.
    """

    kind: Kind
    event: Event
    legs: tuple[tuple[Market, int], ...]
    payoff: int
    optional: bool = False
    decoy: str = ""

    def gross_e4(self, touches: Touches) -> int | None:
        """Return what a set yields at the best prices, before fees; None if none can be bought."""
        payoff, cost = self.payoff, 0
        for market, outcome in self.legs:
            bid, ask = touches(market)
            price = ask if not outcome else None if bid is None else ONE_E4 - bid
            if price is not None:
                cost += price
            elif self.optional:
                payoff -= 1
            else:
                return None
        return payoff * ONE_E4 - cost if payoff > 0 else None

    def fees_e6(self, touches: Touches) -> int:
        """Return the taker's fees on a set at the best prices, missing legs left out."""
        fees = 0
        for market, outcome in self.legs:
            price = touches(market)[1 - outcome]  # the fee is the same for p and 1 - p
            fees += 0 if price is None else market.fee_e6(price, ONE_E6)
        return fees


def relations(event: Event) -> list[Relation]:
    """Return every relation between the tokens of an event."""
    made = [
        Relation(Kind.COMPLEMENT, event, ((market, 0), (market, 1)), 1) for market in event.markets
    ]
    if event.neg_risk:
        made += _one_of(event)
    if event.structure in {Structure.LADDER, Structure.RANGES, Structure.DATES}:
        made += _scale(event)
    return made


def _one_of(event: Event) -> Iterator[Relation]:
    """
    Yield the two sets of a neg-risk event.

    In an augmented one all YES pay only as long as nobody new appears, and the named ones alone
    do not even do that (they look cheap all the time); none of its sets is there to be traded.
    """
    decoy = "augmented" if event.structure is Structure.AUGMENTED else ""
    groups = [event.markets]
    if decoy:
        groups.append([market for market in event.markets if not market.placeholder])
    for group in groups:
        if len(group) > 1:
            legs = tuple((market, 0) for market in group)
            yield Relation(Kind.NEGRISK_YES, event, legs, 1, decoy=decoy)
    legs = tuple((market, 1) for market in event.markets)
    yield Relation(Kind.NEGRISK_NO, event, legs, len(legs) - 1, optional=True, decoy=decoy)


def _scale(event: Event) -> Iterator[Relation]:
    """Yield what the intervals of a common scale imply."""
    spans: dict[tuple[int, int], Market] = {}
    for market in event.markets:
        if market.bounds:
            low, high = market.bounds
            spans[-_FAR if low is None else low, _FAR if high is None else high] = market
    for (inner, part), (outer, whole) in permutations(spans.items(), 2):
        if outer[0] <= inner[0] and inner[1] <= outer[1]:
            yield Relation(Kind.IMPLICATION, event, ((whole, 0), (part, 1)), 1)
    for (start, middle), (meets, end) in combinations(sorted(spans), 2):
        parent = spans.get((start, end))
        if middle == meets and parent:
            parts = (spans[start, middle], spans[meets, end])
            yield Relation(
                Kind.RANGE_PARENT, event, ((parent, 0), *((part, 1) for part in parts)), 2
            )
            yield Relation(
                Kind.RANGE_CHILDREN, event, ((parent, 1), *((part, 0) for part in parts)), 1
            )


def least_e6(market: Market, price_e4: int) -> int:
    """Return the fewest shares of a leg: the market's minimum, and $1 at its best price."""
    shares = max(market.min_size_e6, ceil_div(ONE_E6 * ONE_E4, price_e4))
    return ceil_div(shares, CENTI_E6) * CENTI_E6


@dataclass(frozen=True, slots=True)
class Basket:
    """
    The most profitable purchase of a relation.

    Attributes:
        legs: (market, outcome, shares, worst price) of each leg that takes part.
        size_e6: Shares of its largest leg.
        profit_e6: What is left of the payoff after costs and fees.
    """

    legs: tuple[tuple[Market, int, int, int], ...]
    size_e6: int
    profit_e6: int


class _Leg:
    """A walk along the asks of one token."""

    def __init__(self, book: Book, outcome: int) -> None:
        self.market, self.outcome = book.market, outcome
        self._levels = book.depth(False, outcome)
        self.fills: list[tuple[int, int]] = []
        self.shares = self.left = self.price_e4 = self.rate_e6 = 0
        self._next()
        self.least_e6 = least_e6(self.market, self.price_e4) if self.left else 0

    def _next(self) -> None:
        """Step to the next level; its rate is what one share costs there."""
        self.price_e4, self.left = next(self._levels, (0, 0))
        self.rate_e6 = self.price_e4 * 100 + self.market.fee_e6(self.price_e4, ONE_E6)

    def take(self, shares: int) -> None:
        """Take shares off the level it stands at."""
        self.fills.append((self.price_e4, shares))
        self.shares += shares
        self.left -= shares
        if not self.left:
            self._next()

    def round_down(self) -> None:
        """Give back what is no hundredth of a share, dearest first."""
        back = self.shares % CENTI_E6
        self.shares -= back
        while back:
            price, shares = self.fills.pop()
            if shares > back:
                self.fills.append((price, shares - back))
            back -= min(shares, back)

    def cost_e6(self) -> int:
        """Return what its fills cost, rounded up, with fees."""
        cash = ceil_div(sum(price * shares for price, shares in self.fills), ONE_E4)
        return cash + sum(self.market.fee_e6(price, shares) for price, shares in self.fills)


def best_basket(relation: Relation, books: Mapping[str, Book]) -> Basket | None:
    """Return the most a relation yields on these books, None where it yields nothing."""
    chosen = list(relation.legs)
    while len(chosen) > 1:
        legs = [_Leg(books[market.condition_id], outcome) for market, outcome in chosen]
        _walk(legs, relation.payoff - (len(relation.legs) - len(chosen)), relation.optional)
        for leg in legs:
            leg.round_down()
        thin = [n for n, leg in enumerate(legs) if not leg.shares or leg.shares < leg.least_e6]
        if not thin:
            return _priced(relation, legs)
        if not relation.optional:
            return None
        chosen = [leg for n, leg in enumerate(chosen) if n not in thin]
    return None


def _walk(legs: list[_Leg], payoff: int, optional: bool) -> None:
    """Buy sets as long as the next one pays, or the smallest order is not reached."""
    while True:
        live = [leg for leg in legs if leg.left]
        missing = len(legs) - len(live)
        if missing and (not optional or payoff <= missing):
            return
        edge = (payoff - missing) * ONE_E6 - sum(leg.rate_e6 for leg in live)
        step = min(leg.left for leg in live)
        if edge <= 0:
            short = max(leg.least_e6 - leg.shares for leg in live)
            if short <= 0:
                return
            step = min(step, short)
        for leg in live:
            leg.take(step)


def _priced(relation: Relation, legs: list[_Leg]) -> Basket | None:
    most = max(leg.shares for leg in legs)
    paid = relation.payoff * most
    if relation.optional:  # at worst the market with the most shares of NO resolves YES
        paid = sum(leg.shares for leg in legs) - most
    profit = paid - sum(leg.cost_e6() for leg in legs)
    if profit <= 0:
        return None
    return Basket(
        tuple((leg.market, leg.outcome, leg.shares, leg.fills[-1][0]) for leg in legs),
        most,
        profit,
    )


@dataclass(slots=True, eq=False, kw_only=True)
class Mispricing:
    """
    One violated relation, from first to last.

    Attributes:
        episode: The same for all that were open together in one event: they compete for one
            stale quote, so that only the best of them could have been had.
        edge_e6, size_e6, profit_e6: The best over its life: what a set yields after fees at the
            best prices, and of the best basket its size and its profit.
        decoy: Why it could not, or must not, be traded: "augmented", "fees" or "minimum size".
        spent_ns: When nothing was left to earn after fees; None until then.
        closed_ns: When it was not violated any more, even before fees; None while it is.
        ended: Why nothing was left: "makers" (quotes moved), "closed", or who took it: "rival",
            "noise" or "client ADDRESS".
    """

    id: int
    episode: int
    relation: Relation
    opened_ns: int
    edge_e6: int
    size_e6: int = 0
    profit_e6: int = 0
    spent_ns: int | None = None
    closed_ns: int | None = None
    ended: str = ""

    @property
    def decoy(self) -> str:
        """Say why it was none to take, "" for a real one."""
        if self.relation.decoy or self.profit_e6:
            return self.relation.decoy
        return "minimum size" if self.edge_e6 > 0 else "fees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What an API key made of a mispricing; the reaction runs from its start to the first fill."""

    mispricing: Mispricing
    size_e6: int
    profit_e6: int
    reaction_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """
    How an API key did.

    Attributes:
        episodes: Groups of mispricings with a real one among them.
        available_e6: Sum of the best profit of each.
        captures: What it took of real ones, oldest first.
        decoys: What it bought of the others.
    """

    episodes: int
    available_e6: int
    captures: list[Capture]
    decoys: list[Capture]

    @property
    def captured_e6(self) -> int:
        """Return the profit of all captures."""
        return sum(capture.profit_e6 for capture in self.captures)


@dataclass(slots=True)
class _Bought:
    """
    What is left of a fill that no capture has used, as shares of one token.

    Attributes:
        during: Ids of the mispricings with this token that were open when it traded.
    """

    at_ns: int
    shares: int
    cost_e6: int
    during: frozenset[int]

    def use(self, shares: int) -> int:
        """Take shares out of it; return their part of the cost."""
        cost = ceil_div(self.cost_e6 * shares, self.shares)
        self.shares -= shares
        self.cost_e6 -= cost
        return cost


class Mispricings:
    """
    Watches every relation of every event of a venue.

    Args:
        venue: Seen through `Venue.watchers`; every event that opens later is watched too.
    """

    def __init__(self, venue: "Venue") -> None:
        self._venue = venue
        self._of: defaultdict[str, list[Relation]] = defaultdict(list)
        self._open: dict[Relation, Mispricing] = {}
        self._done: list[Mispricing] = []
        self._count = 0
        for event in venue.catalog.events:
            self._learn(event)
        venue.newcomers.append(self._learn)
        venue.watchers.append(self._watch)

    def records(self) -> list[Mispricing]:
        """Return all mispricings so far, oldest first, the open ones among them."""
        return sorted((*self._done, *self._open.values()), key=lambda record: record.id)

    def score(self, owner: str) -> Score:
        """Hold the fills of an API key against what there was; a fill counts once."""
        records = self.records()
        best: dict[int, int] = {}
        for record in records:
            if not record.decoy:
                best[record.episode] = max(best.get(record.episode, 0), record.profit_e6)
        bought = self._bought(owner, records)
        # The longest first, so that a pair within a set does not use what the set needs; what was
        # bought just after several of them is the newest one's.
        order = sorted(
            records,
            key=lambda record: (record.episode, len(record.relation.legs), record.id),
            reverse=True,
        )
        found = [
            self._capture(record, bought, late=late) for late in (False, True) for record in order
        ]
        captures = _joined(capture for capture in found if capture)
        return Score(
            episodes=len(best),
            available_e6=sum(best.values()),
            captures=[capture for capture in captures if not capture.mispricing.decoy],
            decoys=[capture for capture in captures if capture.mispricing.decoy],
        )

    # -- watching

    def _learn(self, event: Event) -> None:
        for relation in relations(event):
            for condition in dict.fromkeys(market.condition_id for market, _ in relation.legs):
                self._of[condition].append(relation)

    def _touch(self, market: Market) -> Touch:
        return self._venue.books[market.condition_id].touch

    def _watch(self, market: Market) -> None:
        for relation in self._of[market.condition_id]:
            gross = relation.gross_e4(self._touch)
            record = self._open.get(relation)
            if gross is not None and gross > 0:
                edge = gross * 100 - relation.fees_e6(self._touch)
                self._look(relation, record, edge, market)
            elif record:
                self._close(record, market)

    def _look(
        self, relation: Relation, record: Mispricing | None, edge_e6: int, market: Market
    ) -> None:
        """Take a violated relation down, or what has become of it."""
        basket = best_basket(relation, self._venue.books)
        was = record.decoy if record else None
        if record is None:
            self._count += 1
            record = self._open[relation] = Mispricing(
                id=self._count,
                episode=self._episode(relation.event),
                relation=relation,
                opened_ns=self._venue.now_ns,
                edge_e6=edge_e6,
            )
        record.edge_e6 = max(record.edge_e6, edge_e6)
        if basket and basket.profit_e6 > record.profit_e6:
            record.size_e6, record.profit_e6 = basket.size_e6, basket.profit_e6
        if basket:
            record.spent_ns, record.ended = None, ""
        elif record.profit_e6 and record.spent_ns is None:
            self._spend(record, market)
        if was is None:
            self._venue.say(
                "mispricing_open",
                *(record.id, record.episode, relation.kind, relation.event.id),
                [market.tokens[outcome] for market, outcome in relation.legs],
                *(record.edge_e6, record.size_e6, record.profit_e6, record.decoy),
            )
        elif was != record.decoy:
            self._venue.say(
                "mispricing_change",
                *(record.id, self._venue.now_ns - record.opened_ns),
                *(record.edge_e6, record.size_e6, record.profit_e6, record.decoy),
            )

    def _episode(self, event: Event) -> int:
        for other in self._open.values():
            if other.relation.event is event:
                return other.episode
        return self._count

    def _close(self, record: Mispricing, market: Market) -> None:
        del self._open[record.relation]
        self._done.append(record)
        record.closed_ns = self._venue.now_ns
        if record.spent_ns is None:
            self._spend(record, market)
        self._venue.say(
            "mispricing_close",
            record.id,
            *(at_ns - record.opened_ns for at_ns in (record.spent_ns or 0, record.closed_ns)),
            *(record.edge_e6, record.size_e6, record.profit_e6, record.decoy, record.ended),
        )

    def _spend(self, record: Mispricing, market: Market) -> None:
        """Note that nothing is left to earn, and whose doing the market's new touch is."""
        record.spent_ns, cause = self._venue.now_ns, self._venue.cause
        if not market.accepting:
            record.ended = "closed"
        elif cause is None:
            record.ended = "makers"
        elif cause.taker.owner:
            record.ended = f"client {cause.taker.wallet.address}"
        else:
            record.ended = _who(cause.taker.wallet.address)

    # -- scoring

    def _bought(self, owner: str, records: Iterable[Mispricing]) -> dict[str, list[_Bought]]:
        """Return what an API key bought, by token; selling one token is buying the other."""
        bought: defaultdict[str, list[_Bought]] = defaultdict(list)
        there: defaultdict[str, list[Mispricing]] = defaultdict(list)
        for record in records:
            for market, outcome in record.relation.legs:
                there[market.tokens[outcome]].append(record)
        known = self._venue.catalog.tokens
        for trade in self._venue.trades_of[owner].values():
            if trade.status == "FAILED":
                continue
            for token, buy, shares, cash, fee in _fills(trade, owner):
                market, outcome = known[token]
                cost = cash + fee if buy else shares - cash + fee
                held = market.tokens[outcome if buy else 1 - outcome]
                at = trade.matched_ns
                during = frozenset(
                    record.id
                    for record in there[held]
                    if record.opened_ns <= at <= (record.closed_ns or at)
                )
                bought[held].append(_Bought(at, shares, cost, during))
        return bought

    def _capture(
        self, record: Mispricing, bought: Mapping[str, list[_Bought]], *, late: bool
    ) -> Capture | None:
        """
        Take complete sets of a mispricing out of what was bought during it or just after it.

        Args:
            record: The mispricing.
            bought: By token; what is taken is used.
            late: Take even what was bought after it, while another one was open.
        """
        until = (record.closed_ns or self._venue.now_ns) + GRACE_NS
        relation = record.relation
        legs = [
            [
                fill
                for fill in bought.get(market.tokens[outcome], ())
                if record.opened_ns <= fill.at_ns <= until
                and fill.shares
                and (late or not fill.during or record.id in fill.during)
            ]
            for market, outcome in relation.legs
        ]
        sizes = [sum(fill.shares for fill in fills) for fills in legs]
        if not relation.optional:
            sizes = [min(sizes)] * len(sizes)
        if sum(size > 0 for size in sizes) < 2:
            return None
        first = min(fill.at_ns for fills in legs for fill in fills)
        most = max(sizes)
        paid = sum(sizes) - most if relation.optional else relation.payoff * most
        cost = sum(_use(fills, size) for fills, size in zip(legs, sizes, strict=True))
        return Capture(
            mispricing=record,
            size_e6=most,
            profit_e6=paid - cost,
            reaction_ns=first - record.opened_ns,
        )


def _joined(captures: Iterable[Capture]) -> list[Capture]:
    """Return one capture for each mispricing, oldest first."""
    whole: dict[int, Capture] = {}
    for capture in captures:
        before = whole.get(capture.mispricing.id)
        whole[capture.mispricing.id] = (
            capture
            if before is None
            else replace(
                before,
                size_e6=before.size_e6 + capture.size_e6,
                profit_e6=before.profit_e6 + capture.profit_e6,
                reaction_ns=min(before.reaction_ns, capture.reaction_ns),
            )
        )
    return [whole[number] for number in sorted(whole)]


def _fills(trade: Trade, owner: str) -> Iterator[tuple[str, bool, int, int, int]]:
    """Yield (token, bought, shares, collateral, fee) of an owner's sides of a trade."""
    taker = trade.taker
    if taker.owner == owner:
        yield taker.token, taker.buy, trade.size_e6, trade.cash_e6, trade.fee_e6
    for part in trade.parts:
        if part.maker.owner == owner:
            yield part.maker.token, part.maker.buy, part.shares, part.cash_e6, 0


def _use(fills: Iterable[_Bought], shares: int) -> int:
    cost = 0
    for fill in fills:
        part = min(shares, fill.shares)
        if part:
            cost += fill.use(part)
            shares -= part
    return cost
