"""Holdings for the planner, and a wallet in which its steps happen."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polyarb.domain.market import FREE, Event, LeftOut, Market, Refusal
from polyarb.domain.money import Tick
from polyarb.domain.settlement import Convert, Merge, Redeem, Step
from polyarb.execution.settle import Group, Holding

UNIT = 10**6
NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000


def group_id(number: int = 0) -> str:
    return f"0x{number + 0xAB:062x}00"


def market(number: int, *, group: int | None = None, **changes: Any) -> Market:
    """Return a market; with `group` it is the one of that index in a neg-risk group."""
    made: dict[str, Any] = {
        "id": str(number),
        "condition_id": f"0x{number + 1:064x}",
        "question_id": f"0x{number:064x}",
        "question": f"Will it be {number}?",
        "slug": f"market-{number}",
        "tokens": (f"{number}1", f"{number}2"),
        "outcomes": ("Yes", "No"),
        "event_id": "7",
        "group_title": "",
        "group_threshold": "",
        "tick": Tick.T_0_01,
        "min_size_e6": 5 * UNIT,
        "fees": FREE,
        "neg_risk": group is not None,
        "neg_risk_id": "" if group is None else group_id(group),
        "question_index": number if group is not None else 0,
        "other": False,
        "v3": False,
        "seconds_delay": 0,
        "taker_delay": None,
        "clear_on_start": False,
        "start_ms": None,
        "end_ms": NOW_MS + 10 * DAY_MS,
        "game_start_ms": None,
        "volume_e6": 0,
        "liquidity_e6": 0,
        "uma_status": "",
    }
    return Market(**(made | changes))


def event(markets: Sequence[Market], fee_bips: int = 0, left_out: int = 0) -> Event:
    return Event(
        id="7",
        slug="event",
        title="An event",
        tags=(),
        neg_risk_id=markets[0].neg_risk_id,
        augmented=False,
        fee_bips=fee_bips,
        start_ms=None,
        end_ms=None,
        markets=tuple(markets),
        left_out=tuple(
            LeftOut(condition_id="", question_index=None, reason=Refusal.INACTIVE)
            for _ in range(left_out)
        ),
    )


class Purse:
    """
    A wallet in which steps happen as the contracts do them.

    Attributes:
        tokens: Millionths by token; a market that is not known here has ``index:`` as its YES.
        kept: What conversions kept, as (cash, {token: shares}).
    """

    def __init__(
        self,
        held: Iterable[Holding],
        groups: Mapping[str, Group],
    ) -> None:
        self.held = list(held)
        self.groups = groups
        self.cash_e6 = 0
        self.tokens: Counter[str] = Counter()
        for each in self.held:
            yes, no = each.market.tokens
            self.tokens[yes], self.tokens[no] = each.yes_e6, each.no_e6

    def holdings(self) -> list[Holding]:
        """Return what is left, as the planner takes it."""
        return [
            Holding(
                market=each.market,
                yes_e6=self.tokens[each.market.tokens[0]],
                no_e6=self.tokens[each.market.tokens[1]],
                pays_e4=each.pays_e4,
            )
            for each in self.held
        ]

    def do(self, step: Step) -> None:
        """Carry a step out; it must be covered."""
        match step:
            case Merge():
                for token in self._of(step.condition_id).market.tokens:
                    self._take(token, step.amount_e6)
                self.cash_e6 += step.amount_e6
            case Convert():
                self._convert(step)
            case Redeem():
                held = self._of(step.condition_id)
                assert held.pays_e4 is not None, "redeemed before it is resolved"
                rates = (held.pays_e4, 10_000 - held.pays_e4)
                for token, rate in zip(held.market.tokens, rates, strict=True):
                    self.cash_e6 += self.tokens[token] * rate // 10_000
                    self.tokens[token] = 0

    def worth_e6(self, neg_risk_id: str, winner: int) -> int:
        """Return what cash and the group's tokens pay if the market of index `winner` wins."""
        total = self.cash_e6
        for token, place, yes in self._group_tokens(neg_risk_id):
            if yes == (place == winner):
                total += self.tokens[token]
        return total

    def _group_tokens(self, neg_risk_id: str) -> Iterable[tuple[str, int, bool]]:
        known = {}
        for each in self.held:
            if each.market.neg_risk_id == neg_risk_id:
                known[each.market.question_index] = each.market.tokens
        for place in range(self.groups[neg_risk_id].question_count):
            yes, no = known.get(place, (f"{neg_risk_id}:{place}", ""))
            yield yes, place, True
            if no:
                yield no, place, False

    def _convert(self, step: Convert) -> None:
        group = self.groups[step.neg_risk_id]
        assert 0 < step.index_set < 1 << group.question_count
        fee_e6 = step.amount_e6 * group.fee_bips // 10_000
        chosen = step.index_set.bit_count()
        self.cash_e6 += (chosen - 1) * (step.amount_e6 - fee_e6)
        for token, place, yes in self._group_tokens(step.neg_risk_id):
            selected = step.index_set >> place & 1
            if selected and not yes:
                self._take(token, step.amount_e6)
                chosen -= 1
            elif yes and not selected:
                self.tokens[token] += step.amount_e6 - fee_e6
        assert chosen == 0, "a market was selected that is not held"

    def _take(self, token: str, amount_e6: int) -> None:
        assert 0 < amount_e6 <= self.tokens[token], f"{amount_e6} of {self.tokens[token]} {token}"
        self.tokens[token] -= amount_e6

    def _of(self, condition_id: str) -> Holding:
        (found,) = [each for each in self.held if each.market.condition_id == condition_id]
        return found
