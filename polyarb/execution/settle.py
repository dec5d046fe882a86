"""
From tokens to cash: what to merge, convert and redeem now, and what to hold (protocol.md 24.1).

Pure. Whoever holds tokens that are worth a certain amount together can wait until they pay it, or
have it now. Cash that is free returns something every day; a conversion may keep a part of what it
turns. A step is taken if what its cash returns per day is more than what it costs, spread over the
days until the tokens would have paid by themselves.

Three identities carry the plan, and each leaves the worth of all tokens in every outcome as it was
(but for the fee of a conversion):

* YES + NO of one market = 1.
* NO of k markets of a neg-risk group = k - 1, and YES of all others.
* a token of a resolved market = what it pays.

Merging first, and converting what NO is left in layers (all markets that have some, then all but
the scarcest, …), frees as much cash as any order of them: a pair that is merged frees 1 at no fee,
and one more NO in a conversion frees 1 and costs the YES that the pair had.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from polyarb.domain.market import Event, Market
from polyarb.domain.money import CashE6, PriceE4, SizeE6
from polyarb.domain.settlement import Convert, Merge, Redeem, Step
from polyarb.errors import RangeError

DAY_MS: Final = 86_400_000
ONE_E4: Final = 10_000
ONE_E6: Final = 1_000_000
REST_MS_MAX: Final = 3_600_000
YES: Final = 0
NO: Final = 1


class Realise(StrEnum):
    """When tokens become cash."""

    AUTO = "auto"  # when that returns more per day than holding them
    MERGE = "merge"  # as soon as they can, whatever a conversion keeps
    HOLD = "hold"  # when their market is resolved


class Reason(StrEnum):
    """Why tokens that could become cash are held."""

    ORDERED = "ordered"  # `Realise.HOLD`
    RETURN = "return"  # holding returns more per day
    DUST = "dust"  # too little cash for a place in a batch
    UNKNOWN_FEE = "unknown_fee"  # the group of a conversion is not known
    RESOLVING = "resolving"  # a market of the group is resolved: no conversion any more
    RESTING = "resting"  # it failed by itself; it is tried again later
    PENDING = "pending"  # what was settled or sent is not in these balances yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What cash and waiting are worth.

    Attributes:
        daily_e6: What 1 of free cash returns in a day, x 10^6: 1,000 is 0.1%.
        resolve_ms: From a market's end to its cash.
        unknown_ms: How long tokens of a market without an end are taken to wait: little, so
            that no fee is paid for a wait that may be short.
        min_freed_e6: Less cash than this is not worth a place in a batch.
        load_max: Of one batch; a merge or a redemption is 1, a conversion grows with its group.
        rest_ms: How long a step rests that failed alone; twice as long each time it fails again.

    Raises:
        RangeError: One that is negative, or a batch that could hold nothing.
    """

    realise: Realise = Realise.AUTO
    daily_e6: int = 1_000
    resolve_ms: int = DAY_MS
    unknown_ms: int = DAY_MS
    min_freed_e6: int = ONE_E6
    load_max: int = 20
    rest_ms: int = 60_000

    def __post_init__(self) -> None:
        for name, low in (
            ("daily_e6", 0),
            ("resolve_ms", 1),
            ("unknown_ms", 1),
            ("min_freed_e6", 1),
            ("load_max", 1),
            ("rest_ms", 1),
        ):
            if getattr(self, name) < low:
                raise RangeError(f"{name} {getattr(self, name)} is below {low}")


DEFAULT: Final = Terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """
    What the wallet has of one market and may spend: settled, not on sale, in no open basket.

    Attributes:
        pays_e4: What one YES pays x 10^4 once the market is resolved: 10,000, 5,000 or 0.
    """

    market: Market
    yes_e6: SizeE6
    no_e6: SizeE6
    pays_e4: PriceE4 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    What a conversion depends on.

    Attributes:
        fee_bips: What it keeps, of 10,000.
        question_count: Markets of the group, also those that cannot be traded.
        resolved: One of them is, or may be, resolved.
    """

    fee_bips: int
    question_count: int
    resolved: bool = False


def group_of(event: Event) -> Group:
    """Return what conversions of a neg-risk event depend on."""
    return Group(
        fee_bips=event.fee_bips,
        question_count=len(event.markets) + len(event.left_out),
        resolved=any(market.yes_pays_e4 is not None for market in event.left_out),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """
    A step and what it is worth.

    Attributes:
        freed_e6: Cash it brings, at least.
        cost_e6: Worth that it destroys, at most.
        per_day_e6: What it returns per day above holding.
        load: Its share of a batch.
    """

    step: Step
    freed_e6: CashE6
    cost_e6: CashE6
    per_day_e6: CashE6
    load: int = 1

    @property
    def subject(self) -> str:
        """What it acts on; a step of the same kind on the same subject is the same again."""
        return subject(self.step)


class Held(NamedTuple):
    """Tokens that stay: of which condition or group, and why."""

    subject: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What to do.

    Attributes:
        batch: To be sent now, as one; empty where nothing may be sent or nothing is worth it.
        later: Worth it as well, but not in this batch. Best first, as `batch`.
        held: What stays, and why.
    """

    batch: tuple[Priced, ...] = ()
    later: tuple[Priced, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the batch."""
        return tuple(priced.step for priced in self.batch)


def subject(step: Step) -> str:
    """Return what a step acts on: ``merge 0x…``."""
    what = step.neg_risk_id if isinstance(step, Convert) else step.condition_id
    return f"{type(step).__name__.lower()} {what}"


def plan(
    holdings: Sequence[Holding],
    groups: Mapping[str, Group],
    *,
    now_ms: int,
    terms: Terms = DEFAULT,
    pending: Sequence[Step] = (),
    suspects: Iterable[str] = (),
    resting: Iterable[str] = (),
    may_send: bool = True,
) -> Plan:
    """
    Return the steps that are worth taking.

    Args:
        holdings: One for each market.
        groups: By neg-risk id.
        now_ms: Unix milliseconds.
        terms: What cash and waiting are worth.
        pending: Steps that may have spent tokens which `holdings` still shows; what they take
            is not planned with again.
        suspects: Subjects of steps that may have failed a batch: each goes alone.
        resting: Subjects that are not tried now.
        may_send: A batch may leave now: none is under way, and the quota allows it.
    """
    resolved = {each.market.neg_risk_id for each in holdings if each.pays_e4 is not None}
    desk = _Desk(groups, resolved, now_ms, terms, frozenset(resting))
    unspent, blocked = _unspent(holdings, pending)
    for each in unspent:
        if each.is_open:
            desk.merge(each)
        else:
            desk.redeem(each, each.holding.market.condition_id in blocked)
    for neg_risk_id, members in _by_group(unspent).items():
        desk.convert(neg_risk_id, members)
    ranked = sorted(desk.found, key=lambda priced: (-priced.per_day_e6, priced.subject))
    batch = _fill(ranked, terms.load_max, frozenset(suspects)) if may_send else []
    taken = {id(priced) for priced in batch}
    later = [priced for priced in ranked if id(priced) not in taken]
    return Plan(batch=tuple(batch), later=tuple(later), held=tuple(desk.held))


class Result(StrEnum):
    """What became of a batch, as far as it concerns its steps."""

    DONE = "done"  # all of it happened
    UNSURE = "unsure"  # it happened or not, and cannot any more
    FAILED = "failed"  # nothing of it happened, and that may be the fault of one of them
    NOT_NOW = "not_now"  # nothing of it happened, for another reason


@dataclass(slots=True)
class _Trouble:
    """
    What a step that failed has behind it.

    Attributes:
        alone_count: How often it failed in a batch of its own.
        until_ms: It rests until then.
    """

    alone_count: int = 0
    until_ms: int = 0


@dataclass(slots=True)
class Settler:
    """
    Plans batch after batch, and remembers what that takes.

    One batch is under way at a time. What it spent stays spent until balances are read that are
    younger than its end. A batch that failed is taken apart: its steps go one by one, and the one
    that fails again rests.
    """

    terms: Terms = DEFAULT
    _sent: tuple[Step, ...] = ()
    _ended: list[tuple[int, Step]] = field(default_factory=list)
    _trouble: dict[str, _Trouble] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Say whether a batch is under way."""
        return bool(self._sent)

    @property
    def pending(self) -> tuple[Step, ...]:
        """Steps that may have spent tokens which balances still show."""
        return (*self._sent, *(step for _, step in self._ended))

    def plan(
        self,
        holdings: Sequence[Holding],
        groups: Mapping[str, Group],
        *,
        now_ms: int,
        read_ms: int,
        submissions_left: int,
    ) -> Plan:
        """
        Return what to do now.

        Args:
            holdings: As of `plan`.
            groups: As of `plan`.
            now_ms: Unix milliseconds.
            read_ms: When the balances behind `holdings` were read from the chain.
            submissions_left: What the relayer's quota allows now.
        """
        self._ended = [(at_ms, step) for at_ms, step in self._ended if at_ms >= read_ms]
        return plan(
            holdings,
            groups,
            now_ms=now_ms,
            terms=self.terms,
            pending=self.pending,
            suspects=self._trouble,
            resting=[name for name, it in self._trouble.items() if it.until_ms > now_ms],
            may_send=not self.busy and submissions_left > 0,
        )

    def sent(self, steps: Sequence[Step]) -> None:
        """Take note that a batch leaves, or may have left."""
        assert not self._sent, "one batch at a time"
        self._sent = tuple(steps)

    def ended(self, result: Result, now_ms: int) -> None:
        """Take note of its end."""
        steps, self._sent = self._sent, ()
        if result in {Result.DONE, Result.UNSURE}:
            self._ended += [(now_ms, step) for step in steps]
        if result is Result.DONE:
            for step in steps:
                self._trouble.pop(subject(step), None)
        if result is Result.FAILED:
            for step in steps:
                self._fault(subject(step), len(steps) == 1, now_ms)

    def _fault(self, name: str, alone: bool, now_ms: int) -> None:
        trouble = self._trouble.setdefault(name, _Trouble())
        if alone:
            rest_ms = min(self.terms.rest_ms << min(trouble.alone_count, 20), REST_MS_MAX)
            trouble.alone_count += 1
            trouble.until_ms = now_ms + rest_ms


@dataclass(slots=True)
class _Set:
    """What of a holding is not spent."""

    holding: Holding
    left_e6: list[int]

    @property
    def is_open(self) -> bool:
        return self.holding.pays_e4 is None

    def take(self, *amounts_e6: int) -> None:
        self.left_e6 = [
            max(left - amount, 0) for left, amount in zip(self.left_e6, amounts_e6, strict=True)
        ]


def _unspent(holdings: Sequence[Holding], pending: Sequence[Step]) -> tuple[list[_Set], set[str]]:
    """Return what pending steps leave, and the conditions that any of them touches."""
    sets = [_Set(each, [each.yes_e6, each.no_e6]) for each in holdings]
    by_condition = {each.holding.market.condition_id: each for each in sets}
    assert len(by_condition) == len(sets), "one holding for each market"
    blocked: set[str] = set()
    for step in pending:
        if isinstance(step, Convert):
            touched = [each for each in sets if _selected(step, each.holding.market)]
            for each in touched:
                each.take(0, step.amount_e6)
        else:
            found = by_condition.get(step.condition_id)
            touched = [found] if found else []
            for each in touched:
                each.take(*([step.amount_e6] * 2 if isinstance(step, Merge) else each.left_e6))
        blocked |= {each.holding.market.condition_id for each in touched}
    return sets, blocked


def _selected(step: Convert, market: Market) -> bool:
    return market.neg_risk_id == step.neg_risk_id and bool(
        step.index_set >> market.question_index & 1
    )


def _by_group(sets: Sequence[_Set]) -> dict[str, list[_Set]]:
    """Return the sets of each group that have NO left, most of it first."""
    groups: dict[str, list[_Set]] = {}
    for each in sets:
        market = each.holding.market
        if market.neg_risk_id and not market.v3 and each.left_e6[NO] and each.is_open:
            groups.setdefault(market.neg_risk_id, []).append(each)
    for members in groups.values():
        members.sort(key=lambda each: (-each.left_e6[NO], each.holding.market.question_index))
    return groups


class _Desk:
    """Finds steps and judges them."""

    def __init__(
        self,
        groups: Mapping[str, Group],
        resolved: Set[str],
        now_ms: int,
        terms: Terms,
        resting: frozenset[str],
    ) -> None:
        self._groups = groups
        self._resolved = resolved
        self._now_ms = now_ms
        self._terms = terms
        self._resting = resting
        self.found: list[Priced] = []
        self.held: list[Held] = []

    def redeem(self, tokens: _Set, blocked: bool) -> None:
        """Judge a resolved market; a redemption takes all there is, so nothing may be under way."""
        holding, (yes_e6, no_e6) = tokens.holding, tokens.left_e6
        assert holding.pays_e4 is not None
        paid_e6 = yes_e6 * holding.pays_e4 // ONE_E4 + no_e6 * (ONE_E4 - holding.pays_e4) // ONE_E4
        step = Redeem(
            condition_id=holding.market.condition_id,
            neg_risk=holding.market.neg_risk,
            v3=holding.market.v3,
            amounts_e6=(SizeE6(yes_e6), SizeE6(no_e6)),
        )
        if blocked:
            self.held.append(Held(subject(step), Reason.PENDING))
        elif paid_e6:
            self._judge(step, paid_e6)

    def merge(self, tokens: _Set) -> None:
        """Judge the pairs of an open market, and spend them if they merge."""
        market, pairs_e6 = tokens.holding.market, min(tokens.left_e6)
        if not pairs_e6:
            return
        step = Merge(
            condition_id=market.condition_id,
            neg_risk=market.neg_risk,
            v3=market.v3,
            amount_e6=SizeE6(pairs_e6),
        )
        if self._judge(step, pairs_e6, early_ms=self._early_ms([market])):
            tokens.take(pairs_e6, pairs_e6)

    def convert(self, neg_risk_id: str, members: Sequence[_Set]) -> None:
        """Judge each layer of NO of a group; `members` have most of it first."""
        if len(members) < 2:
            return
        group, name = self._groups.get(neg_risk_id), f"convert {neg_risk_id}"
        if group is None:
            self.held.append(Held(name, Reason.UNKNOWN_FEE))
        elif group.resolved or neg_risk_id in self._resolved:
            self.held.append(Held(name, Reason.RESOLVING))
        else:
            amounts = [*(each.left_e6[NO] for each in members), 0]
            for count, (amount_e6, next_e6) in enumerate(pairwise(amounts), 1):
                if count > 1 and amount_e6 > next_e6:
                    markets = [each.holding.market for each in members[:count]]
                    self._layer(group, markets, amount_e6 - next_e6)

    def _layer(self, group: Group, markets: Sequence[Market], amount_e6: int) -> None:
        others = len(markets) < group.question_count
        fee_e6 = -(-amount_e6 * group.fee_bips // ONE_E4)
        step = Convert(
            neg_risk_id=markets[0].neg_risk_id,
            index_set=sum(1 << market.question_index for market in markets),
            amount_e6=SizeE6(amount_e6),
        )
        self._judge(
            step,
            (len(markets) - 1) * (amount_e6 - fee_e6),
            # Of what the fee takes, the collateral is lost, and one YES of the others may win.
            cost_e6=fee_e6 * (len(markets) - 1 + others),
            early_ms=self._early_ms(markets),
            load=1 + group.question_count // 4,
        )

    def _judge(
        self, step: Step, freed_e6: int, *, cost_e6: int = 0, early_ms: int = 0, load: int = 1
    ) -> bool:
        """Note a step as worth it, or why its tokens are held; a redemption is never early."""
        per_day_e6 = freed_e6 * self._terms.daily_e6 // ONE_E6
        if early_ms:
            per_day_e6 -= -(-cost_e6 * DAY_MS // early_ms)
        name, reason = subject(step), None
        if name in self._resting:
            reason = Reason.RESTING
        elif freed_e6 < self._terms.min_freed_e6:
            reason = Reason.DUST
        elif early_ms and self._terms.realise is Realise.HOLD:
            reason = Reason.ORDERED
        elif early_ms and self._terms.realise is Realise.AUTO and per_day_e6 <= 0:
            reason = Reason.RETURN
        if reason:
            self.held.append(Held(name, reason))
            return False
        priced = Priced(
            step=step,
            freed_e6=CashE6(freed_e6),
            cost_e6=CashE6(cost_e6),
            per_day_e6=CashE6(per_day_e6),
            load=load,
        )
        self.found.append(priced)
        return True

    def _early_ms(self, markets: Sequence[Market]) -> int:
        """Return how long tokens would wait: until the first of their markets pays."""
        ends = [market.end_ms for market in markets]
        waits = [
            self._terms.unknown_ms
            if end_ms is None
            else max(end_ms - self._now_ms, 0) + self._terms.resolve_ms
            for end_ms in ends
        ]
        return min(waits)


def _fill(ranked: Sequence[Priced], load_max: int, suspects: frozenset[str]) -> list[Priced]:
    """Return the best that fit into a batch; a suspect goes alone."""
    batch: list[Priced] = []
    load = 0
    for priced in ranked:
        if priced.subject in suspects:
            if not batch:
                return [priced]
        elif not batch or load + priced.load <= load_max:
            batch.append(priced)
            load += priced.load
    return batch
