"""What an account knows of its orders and trades, to be held against the simulated exchange."""

from polyarb.domain.report import OrderReport, TradeReport
from polyarb.sim.venue import Venue


class Ledger:
    """
    A listener of the user socket that keeps the last word on everything.

    Attributes:
        behind: Reasons for which REST has to be asked.
        news: Every report, in order.
    """

    def __init__(self) -> None:
        self.orders: dict[str, OrderReport] = {}
        self.trades: dict[str, TradeReport] = {}
        self.news: list[OrderReport | TradeReport] = []
        self.behind: list[str] = []
        self.lost: list[str] = []
        self.refused: list[tuple[str, bool]] = []

    def order(self, report: OrderReport, recv_ns: int) -> None:
        before = self.orders.get(report.order_id)
        assert before is None or report.matched_e6 >= before.matched_e6
        assert before is None or not before.final or report.final
        self.orders[report.order_id] = report
        self.news.append(report)

    def trade(self, report: TradeReport, recv_ns: int) -> None:
        before = self.trades.get(report.trade_id)
        assert before is None or not before.status.final
        assert before is None or before.fills == report.fills
        self.trades[report.trade_id] = report
        self.news.append(report)

    def reconcile(self, reason: str, now_ns: int) -> None:
        self.behind.append(reason)

    def down(self, reason: str, now_ns: int) -> None:
        self.lost.append(reason)

    def denied(self, reason: str, *, certain: bool, now_ns: int) -> None:
        self.refused.append((reason, certain))

    def differences(self, venue: Venue, owner: str) -> list[str]:
        """Return where it is not what the exchange has; unknown orders that ended count too."""
        found = []
        for order in venue.orders.values():
            if order.owner != owner:
                continue
            known = self.orders.get(order.id)
            if known is None or known.matched_e6 != order.matched_e6:
                found.append(f"order {order.id}: {known}, is {order.status} {order.matched_e6}")
            elif known.final == venue.book(order.market).resting(order):
                found.append(f"order {order.id}: {known.status}, is {order.status}")
        theirs = venue.trades_of[owner]
        for trade_id, trade in theirs.items():
            held = self.trades.get(trade_id)
            if held is None or held.status.upper() != trade.status:
                found.append(f"trade {trade_id}: {held}, is {trade.status}")
            else:
                fills = {fill.order_id: fill.size_e6 for fill in held.fills}
                sizes = {part.maker.id: part.shares for part in trade.parts}
                sizes[trade.taker.id] = trade.size_e6
                found += [f"fill {each}" for each, size in fills.items() if sizes[each] != size]
        found += [f"trade {each} does not exist" for each in self.trades.keys() - theirs.keys()]
        return found
