"""Matching by hand: every expected number here was worked out on paper (protocol.md 10, 11, 19)."""

import pytest

from polyarb.sim.catalog import Catalog, Event, Fee, Market, Structure
from polyarb.sim.config import VenueConfig
from polyarb.sim.http import HttpError
from polyarb.sim.ledger import Wallet
from polyarb.sim.matching import Kind, Order
from polyarb.sim.venue import FAK_KILLED, FOK_KILLED, Venue

YES, NO = 0, 1


class Pit:
    """One market, three wallets with $1,000 and 500 sets each."""

    def __init__(self, rate_e6: int = 0, exponent: int = 1) -> None:
        self.market = Market(
            gamma_id="1",
            condition_id="0x" + "c1" * 32,
            question_id="0x" + "d1" * 32,
            tokens=("111", "222"),
            question="Will it rain?",
            slug="rain",
            fee=Fee(rate_e6=rate_e6, exponent=exponent) if rate_e6 else None,
        )
        event = Event(
            id="9", slug="e", title="E", structure=Structure.BINARY, markets=[self.market]
        )
        self.venue = Venue(VenueConfig(), Catalog([event]), audit=True)
        self.wallets = {name: self.venue.ledger.add(Wallet(name, "")) for name in "abc"}
        for wallet in self.wallets.values():
            self.venue.deposit(wallet, 1_500 * 10**6)
            self.venue.ledger.split(wallet, self.market, 500 * 10**6)
        self.count = 0

    def place(self, text: str, *, budget: str = "0", post_only: bool = False):
        """Place ``"a BUY YES 10 @ 0.42 GTC"``."""
        name, side, outcome, shares, _, price, *kind = text.split()
        self.count += 1
        order = Order(
            id=f"{name}{self.count}",
            wallet=self.wallets[name],
            market=self.market,
            outcome=YES if outcome == "YES" else NO,
            buy=side == "BUY",
            price_e4=round(float(price) * 10_000),
            size_e6=round(float(shares) * 1e6),
            budget_e6=round(float(budget) * 1e6),
            kind=kind[0] if kind else "GTC",
            post_only=post_only,
        )
        return self.venue.execute(order)

    def settle(self) -> None:
        self.venue.advance(self.venue.now_ns + 10 * 10**9)

    def gained(self, name: str) -> tuple[float, ...]:
        """Return (cash, YES, NO) gained since the start."""
        wallet = self.wallets[name]
        yes, no = (wallet.tokens(token) for token in self.market.tokens)
        return tuple(
            (units - 500 * 10**6) / 1e6 for units in (wallet.cash_e6 - 500 * 10**6, yes, no)
        )

    def book(self, bid: bool, outcome: int = YES) -> list[tuple[float, float]]:
        return [(p / 1e4, s / 1e6) for p, s in self.venue.book(self.market).depth(bid, outcome)]


def test_a_buy_meets_a_sell_of_the_same_token_at_the_resting_price() -> None:
    pit = Pit()
    pit.place("a SELL YES 10 @ 0.42")
    trade = pit.place("b BUY YES 4 @ 0.45").trade
    assert [part.kind for part in trade.parts] == [Kind.COMPLEMENTARY]
    assert (trade.price_e4, trade.cash_e6) == (4_200, 1_680_000)
    pit.settle()
    assert pit.gained("a") == (1.68, -4, 0)
    assert pit.gained("b") == (-1.68, 4, 0)
    assert pit.book(bid=False) == [(0.42, 6)]


def test_two_buyers_whose_prices_reach_one_mint_sets_and_improvement_is_the_takers() -> None:
    pit = Pit()
    pit.place("a BUY NO 10 @ 0.6")
    trade = pit.place("b BUY YES 10 @ 0.45").trade
    assert [part.kind for part in trade.parts] == [Kind.MINT]
    pit.settle()
    assert pit.gained("a") == (-6, 0, 10)
    assert pit.gained("b") == (-4, 10, 0)  # pays 1 - 0.6, not 0.45
    assert pit.venue.ledger.locked_e6["9"] == 1_510 * 10**6


def test_two_sellers_whose_prices_leave_one_merge_sets() -> None:
    pit = Pit()
    pit.place("a SELL NO 10 @ 0.55")
    trade = pit.place("b SELL YES 10 @ 0.4").trade
    assert [part.kind for part in trade.parts] == [Kind.MERGE]
    pit.settle()
    assert pit.gained("a") == (5.5, 0, -10)
    assert pit.gained("b") == (4.5, -10, 0)
    assert pit.venue.ledger.locked_e6["9"] == 1_490 * 10**6


def test_one_taker_meets_makers_on_both_tokens_by_price_then_time() -> None:
    pit = Pit()
    pit.place("a SELL YES 5 @ 0.5")  # second at its price, by time first
    pit.place("c BUY NO 5 @ 0.5")  # the same price on the other token, later
    pit.place("c SELL YES 5 @ 0.49")  # best price
    trade = pit.place("b BUY YES 12 @ 0.5").trade
    assert [(p.maker.id, p.shares // 10**6, p.kind) for p in trade.parts] == [
        ("c3", 5, Kind.COMPLEMENTARY),
        ("a1", 5, Kind.COMPLEMENTARY),
        ("c2", 2, Kind.MINT),
    ]
    assert trade.price_e4 == 5_000
    assert trade.cash_e6 == 2_450_000 + 2_500_000 + 1_000_000
    assert pit.book(bid=True, outcome=NO) == [(0.5, 3)]


def test_both_tokens_show_one_book_from_two_sides() -> None:
    pit = Pit()
    pit.place("a BUY YES 10 @ 0.4")
    pit.place("b BUY NO 7 @ 0.55")
    pit.place("c SELL NO 3 @ 0.58")
    assert pit.book(bid=True) == [(0.42, 3), (0.4, 10)]
    assert pit.book(bid=False) == [(0.45, 7)]
    assert pit.book(bid=False, outcome=NO) == [(0.58, 3), (0.6, 10)]
    assert pit.book(bid=True, outcome=NO) == [(0.55, 7)]


def test_what_a_limit_order_does_not_get_at_once_rests() -> None:
    pit = Pit()
    pit.place("a SELL YES 3 @ 0.4")
    outcome = pit.place("b BUY YES 10 @ 0.45")
    assert outcome.status == "matched"
    assert pit.book(bid=True) == [(0.45, 7)]
    assert pit.wallets["b"].held[pit.market.condition_id] == 3_150_000


def test_fok_fills_whole_or_not_at_all() -> None:
    pit = Pit()
    pit.place("a SELL YES 10 @ 0.5")
    with pytest.raises(HttpError, match=FOK_KILLED):
        pit.place("b BUY YES 11 @ 0.5 FOK", budget="5.5")
    assert pit.book(bid=False) == [(0.5, 10)]
    assert pit.place("b BUY YES 10 @ 0.5 FOK", budget="5").trade.size_e6 == 10 * 10**6
    with pytest.raises(HttpError, match=FAK_KILLED):
        pit.place("b BUY YES 10 @ 0.5 FAK", budget="5")


def test_fak_takes_what_there_is_and_rests_nothing() -> None:
    pit = Pit()
    pit.place("a SELL YES 10 @ 0.5")
    outcome = pit.place("b BUY YES 20 @ 0.55 FAK", budget="11")
    assert (outcome.status, outcome.trade.size_e6) == ("matched", 10 * 10**6)
    assert pit.book(bid=True) == pit.book(bid=False) == []
    assert not pit.wallets["b"].held.total()


def test_a_budget_buys_more_shares_below_its_limit() -> None:
    pit = Pit()
    pit.place("a SELL YES 100 @ 0.4")
    trade = pit.place("b BUY YES 20 @ 0.5 FAK", budget="10").trade
    assert (trade.size_e6, trade.cash_e6) == (25 * 10**6, 10 * 10**6)


def test_a_budget_that_does_not_divide_stops_at_the_last_whole_millionth() -> None:
    pit = Pit()
    pit.place("a SELL YES 100 @ 0.67")
    trade = pit.place("b BUY YES 14.9253 @ 0.67 FAK", budget="10").trade
    assert trade.size_e6 == 14_925_373  # 10 / 0.67 = 14.92537313...
    assert trade.cash_e6 == 9_999_999  # the maker's proceeds are rounded down
    pit.settle()
    assert pit.gained("a") == (9.999999, -14.925373, 0)


def test_a_maker_is_rounded_over_all_its_fills_together() -> None:
    pit = Pit()
    pit.place("a SELL YES 100 @ 0.67")
    for _ in range(3):
        pit.place("b BUY YES 14.9253 @ 0.67 FAK", budget="10")
    pit.settle()
    sold = 3 * 14_925_373
    assert pit.gained("a")[0] == sold * 67 // 100 / 1e6


def test_post_only_never_takes() -> None:
    pit = Pit()
    pit.place("a SELL YES 10 @ 0.5")
    with pytest.raises(HttpError, match="order crosses book"):
        pit.place("b BUY YES 10 @ 0.5", post_only=True)
    assert pit.place("b BUY YES 10 @ 0.49", post_only=True).status == "live"


@pytest.mark.parametrize(
    ("rate_e6", "exponent", "price", "shares", "fee_e6"),
    [
        (40_000, 1, "0.5", "100", 1_000_000),  # 100 x 0.04 x 0.25
        (70_000, 1, "0.1", "7", 44_100),  # 7 x 0.07 x 0.09
        (50_000, 1, "0.03", "0.05", 70),  # 0.00007275 -> 0.00007
        (50_000, 1, "0.01", "0.01", 0),  # 0.00000495 is nothing
        (250_000, 2, "0.5", "100", 1_562_500),  # 100 x 0.25 x 0.0625
    ],
)
def test_takers_pay_the_schedules_fee_on_top_and_makers_none(
    rate_e6: int, exponent: int, price: str, shares: str, fee_e6: int
) -> None:
    pit = Pit(rate_e6, exponent)
    pit.place(f"a SELL YES {shares} @ {price}")
    trade = pit.place(f"b BUY YES {shares} @ {price}").trade
    assert trade.fee_e6 == fee_e6
    pit.settle()
    notional = float(price) * float(shares)
    assert pit.gained("a")[0] == pytest.approx(notional, abs=1e-9)
    assert pit.gained("b")[0] == pytest.approx(-notional - fee_e6 / 1e6, abs=1e-9)
    assert pit.venue.ledger.vault.cash_e6 == fee_e6


def test_a_selling_takers_fee_comes_out_of_the_proceeds() -> None:
    pit = Pit(40_000)
    pit.place("a BUY YES 100 @ 0.5")
    pit.place("b SELL YES 100 @ 0.5")
    pit.settle()
    assert pit.gained("b") == (49, -100, 0)
    assert pit.gained("a") == (-50, 100, 0)


def test_a_buyer_needs_the_fee_as_well() -> None:
    pit = Pit(40_000)
    pit.place("a BUY NO 500 @ 0.5")
    pit.place("c BUY NO 1500 @ 0.5")
    with pytest.raises(HttpError, match="not enough balance / allowance"):
        pit.place("b BUY YES 2000 @ 0.5")  # $1,000 and a fee of $20
    pit.place("b BUY YES 1960 @ 0.5")


def test_open_orders_reserve_per_market_and_side() -> None:
    pit = Pit()
    pit.place("a BUY YES 1000 @ 0.6")
    with pytest.raises(HttpError, match="balance: 400000000, order amount: 420000000"):
        pit.place("a BUY NO 1200 @ 0.35")
    pit.place("a SELL YES 500 @ 0.9")  # the other side has its own
    with pytest.raises(HttpError, match="not enough balance"):
        pit.place("a SELL YES 1 @ 0.9")


def test_a_maker_whose_funds_are_gone_is_passed_over_and_dropped() -> None:
    pit = Pit()
    broke = pit.place("a SELL YES 10 @ 0.4").order
    pit.place("c SELL YES 10 @ 0.5")
    pit.wallets["a"].positions["111"] = 0  # spent behind the venue's back
    pit.wallets["c"].positions["111"] += 500 * 10**6
    trade = pit.place("b BUY YES 10 @ 0.5").trade
    assert [part.maker.wallet.address for part in trade.parts] == ["c"]
    assert broke.status == "CANCELED_NOT_ENOUGH_BALANCE"
    assert pit.book(bid=False) == []


def test_tokens_arrive_when_the_trade_is_mined_and_come_back_when_it_fails() -> None:
    pit = Pit()
    pit.venue.faults.settlement = lambda _, steps: (
        (steps[0][0], "RETRYING"),
        (steps[1][0], "FAILED"),
    )
    pit.place("a SELL YES 10 @ 0.5")
    trade = pit.place("b BUY YES 10 @ 0.5").trade
    assert pit.gained("b") == (-5, 0, 0)
    assert pit.gained("a") == (0, -10, 0)
    pit.settle()
    assert trade.status == "FAILED"
    assert pit.gained("a") == pit.gained("b") == (0, 0, 0)
