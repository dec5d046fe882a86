"""The desk: what holds at the moment of a decision, gathered for `polyarb.risk`."""

from collections.abc import Iterable
from typing import Final

from polyarb import clock
from polyarb.control.config import Config, usd_e6
from polyarb.core.account import Account
from polyarb.core.arena import Arena
from polyarb.core.basket import Basket, Caps, Leg, Sizer
from polyarb.core.book import STATES, Books, State
from polyarb.detection.detector import Watched
from polyarb.detection.relation import Realise, Relation
from polyarb.domain.order import OrderType
from polyarb.exchange.catalog import Catalog
from polyarb.execution.signals import Guard
from polyarb.risk.sizing import Plan, Reason, Refused, Thresholds, judge
from polyarb.risk.validation import LegBook, Situation, Verdict, life_of, validate

SOON_MS: Final = 2_000
"""So close to its end, or to a game that wipes its book, a market is left alone."""

STYLES: Final = {"fak": OrderType.FAK, "fok": OrderType.FOK, "gtc": OrderType.GTC}


class Desk:
    """
    Decides about the opportunities of one arena. Owner only.

    Args:
        config: Sections detection, risk and execution.
        arena, books, account: Of the run.
        catalog: Fees, ticks, minimum sizes, and which markets still take orders.
    """

    __slots__ = (
        *("_account", "_arena", "_baskets", "_books", "_catalog", "_config", "_sizer", "_style"),
        "_thresholds",
    )

    def __init__(
        self, config: Config, *, arena: Arena, books: Books, account: Account, catalog: Catalog
    ) -> None:
        self._config = config
        self._arena = arena
        self._books = books
        self._account = account
        self._catalog = catalog
        self._sizer = Sizer()
        self._baskets: dict[str, tuple[frozenset[str], Basket]] = {}
        self._style = STYLES[config.execution.style]
        self._thresholds = Thresholds(
            profit_e6=usd_e6(config.detection.min_profit_usd),
            profit_bps=config.detection.min_profit_bps,
            profit_pct_e4=int(config.detection.min_profit_pct * 10_000),
            annual_pct_e4=int(config.detection.min_annual_pct * 10_000),
        )

    def decide(
        self, watched: Watched, now_ns: int, *, ready: bool, guard: Guard | None = None
    ) -> Verdict:
        """
        Return the plan to trade, or the first reason not to.

        Args:
            watched: The relation.
            now_ns: Monotonic.
            ready: The books are warm, and the run goes on.
            guard: Why no basket of it may be started now.
        """
        relation = watched.relation
        now_ms = clock.wall_ms()
        lives = (self._life(leg.token, now_ms) for leg in relation.legs)
        return validate(
            Situation(
                trading=self._config.execution.trading and ready,
                submitting=guard is Guard.SUBMITTING,
                cool_ns=self._config.execution.cooldown_ms * 10**6 * (guard is Guard.COOL_DOWN),
                books=[
                    self._leg_book(leg.token, slot, now_ns)
                    for leg, slot in zip(relation.legs, watched.slots, strict=True)
                ],
                blocked=[reason.value for reason in self._account.breaker.blocked(now_ns)],
                life=[why for why in lives if why is not None],
                size=lambda: self._sized(watched, now_ms),
            )
        )

    def forget(self, tokens: Iterable[str]) -> None:
        """Lay out anew the baskets of tokens whose market has changed."""
        changed = frozenset(tokens)
        self._baskets = {
            name: kept for name, kept in self._baskets.items() if kept[0].isdisjoint(changed)
        }

    def _life(self, token: str, now_ms: int) -> str | None:
        found = self._catalog.by_token(token)
        return life_of(found[0] if found else None, now_ms, seconds_delay=False, soon_ms=SOON_MS)

    def _leg_book(self, token: str, slot: int, now_ns: int) -> LegBook:
        state = STATES[self._books.packed(slot) >> 28 & 15]
        heard_ns = self._books.heard_ns(slot)
        return LegBook(
            token=token,
            live=state is State.LIVE,
            state=state.name.lower(),
            fresh=self._books.fresh(slot, now_ns),
            heard_ns=now_ns - heard_ns if heard_ns else None,
        )

    def _sized(self, watched: Watched, now_ms: int) -> Plan | Refused:
        basket = self._basket(watched.relation)
        if basket is None:
            return Refused(reason=Reason.DEPTH)
        risk = self._config.risk
        caps = Caps(
            cash_e6=self._account.balance.available_e6,
            relation_e6=usd_e6(self._config.execution.trade_size_usd or risk.max_basket_usd),
            event_e6=usd_e6(risk.max_event_usd),
            loss_e6=usd_e6(risk.max_loss_per_basket_usd),
        )
        answer = self._sizer.size_books(self._arena, basket, watched.slots, caps)
        return judge(answer, self._thresholds, _locked_ms(watched.relation, now_ms))

    def _basket(self, relation: Relation) -> Basket | None:
        """Return the relation laid out for sizing; None where a market is no longer known."""
        kept = self._baskets.get(relation.id)
        if kept:
            return kept[1]
        legs = []
        for leg in relation.legs:
            found = self._catalog.by_token(leg.token)
            if found is None:
                return None
            market = found[0]
            legs.append(
                Leg(
                    weight=leg.weight,
                    tick_e4=market.tick.step_e4,
                    min_size_e6=market.min_size_e6,
                    rate_e6=market.fees.rate_e6,
                    exponent=market.fees.exponent,
                )
            )
        basket = Basket(
            legs,
            [state.pays_e6 for state in relation.states],
            payoff_e6=relation.worth_e6,
            style=self._style,
            slippage_ticks=self._config.execution.slippage_ticks,
        )
        self._baskets[relation.id] = frozenset(relation.tokens), basket
        return basket


def _locked_ms(relation: Relation, now_ms: int) -> int | None:
    """Return for how long a set keeps its cash; None if nobody knows."""
    if relation.realise is not Realise.HOLD:
        return 0
    return None if relation.until_ms is None else max(0, relation.until_ms - now_ms)
