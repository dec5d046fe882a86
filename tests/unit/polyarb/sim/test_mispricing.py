"""Mispricings, by hand: what is violated, by how much, until when, whose doing, and who had it."""

import json
from typing import Any

import pytest
import simclient

from polyarb.sim.catalog import Event, Fee, Market, Structure
from polyarb.sim.decimals import ONE_E4, ONE_E6
from polyarb.sim.ledger import Wallet
from polyarb.sim.log import EventLog
from polyarb.sim.matching import Order, Status
from polyarb.sim.mispricing import Kind, Mispricing, Mispricings, house, relations
from polyarb.sim.venue import Venue

KEY = "a key"
SECOND = 1_000_000_000


class Stage:
    """A venue that audits itself, its mispricings, and hands that quote and take."""

    def __init__(self, structure: Structure, *markets: Market) -> None:
        self.lines: list[Any] = []
        self.venue: Venue = simclient.venue(markets, structure=structure, mined_ms=60_000)
        self.venue.log = EventLog(lambda batch: self.lines.extend(batch.splitlines()))
        self.event: Event = self.venue.catalog.events[0]
        self.watched = Mispricings(self.venue)
        self.orders = 0

    def wallet(self, name: str) -> Wallet:
        wallet = self.venue.ledger.add(Wallet(house(name), ""))
        if not wallet.cash_e6:
            self.venue.deposit(wallet, 10**6 * ONE_E6)
        return wallet

    def place(self, index: int, outcome: int, price_e4: int, shares: float, **more: Any) -> Order:
        self.orders += 1
        order = Order(
            id=str(self.orders),
            wallet=more.pop("wallet", None) or self.wallet("maker"),
            market=self.event.markets[index],
            outcome=outcome,
            buy=True,
            price_e4=price_e4,
            size_e6=round(shares * ONE_E6),
            **more,
        )
        self.venue.execute(order)
        return order

    def ask(self, index: int, price_e4: int, shares: float) -> Order:
        """Offer YES: bid for NO."""
        return self.place(index, 1, ONE_E4 - price_e4, shares)

    def bid(self, index: int, price_e4: int, shares: float) -> Order:
        return self.place(index, 0, price_e4, shares)

    def take(self, index: int, outcome: int, price_e4: int, shares: float, **who: str) -> None:
        """Buy at once, as the client or as the wallet `name`."""
        name = who.get("name", "client")
        owner = KEY if name == "client" else ""
        wallet = self.wallet(name)
        self.place(index, outcome, price_e4, shares, wallet=wallet, owner=owner, kind="FAK")

    def records(self) -> list[Mispricing]:
        return self.watched.records()

    def one(self) -> Mispricing:
        (record,) = self.records()
        return record

    def said(self, kind: str) -> list[list[Any]]:
        self.venue.log.flush()
        return [line for line in map(json.loads, self.lines) if line[1] == kind]


def markets(count: int, rate_e6: int = 0, **more: Any) -> list[Market]:
    fee = Fee(rate_e6=rate_e6) if rate_e6 else None
    return [simclient.market(number, fee=fee, **more) for number in range(count)]


def three(rate_e6: int = 0, last: float = 50, **more: Any) -> Stage:
    """YES at 0.30, 0.33 and 0.34, with more of the last one at 0.36 and 0.45."""
    stage = Stage(Structure.NEGRISK, *markets(3, rate_e6, **more))
    stage.ask(0, 3000, 100)
    stage.ask(1, 3300, 90)
    stage.ask(2, 4500, 1000)
    stage.ask(2, 3600, 30)
    stage.ask(2, 3400, last)
    return stage


def test_all_yes_of_a_neg_risk_set_pay_through_the_depth_of_the_dearest_leg() -> None:
    record = three().one()
    assert record.relation.kind == Kind.NEGRISK_YES
    # 50 at 0.97, 30 at 0.99
    assert (record.edge_e6, record.size_e6) == (30_000, 80 * ONE_E6)
    assert record.profit_e6 == 1_500_000 + 300_000
    assert record.decoy == ""


def test_fees_are_taken_off_and_stop_the_walk() -> None:
    record = three(rate_e6=40_000).one()
    # a set pays 0.0084 + 0.008844 (0.00884 by itself) + 0.008976 (0.00898)
    assert record.edge_e6 == 30_000 - 8_400 - 8_840 - 8_980
    assert record.size_e6 == 50 * ONE_E6
    assert record.profit_e6 == 1_500_000 - 420_000 - 442_200 - 448_800


def test_what_fees_eat_is_a_decoy() -> None:
    record = three(rate_e6=50_000).one()
    assert (record.decoy, record.size_e6, record.profit_e6) == ("fees", 0, 0)
    assert record.edge_e6 < 0


def test_what_is_too_thin_is_a_decoy() -> None:
    stage = Stage(Structure.NEGRISK, *markets(3))
    stage.ask(0, 3000, 100)
    stage.ask(1, 3300, 90)
    stage.ask(2, 3400, 4)
    record = stage.one()
    assert (record.decoy, record.edge_e6, record.profit_e6) == ("minimum size", 30_000, 0)


def test_the_smallest_order_may_reach_into_a_level_that_costs() -> None:
    stage = Stage(Structure.NEGRISK, *markets(3))
    stage.ask(0, 3000, 100)
    stage.ask(1, 3300, 90)
    stage.ask(2, 4000, 100)
    stage.ask(2, 3400, 4)
    record = stage.one()
    assert (record.decoy, record.size_e6) == ("", 5 * ONE_E6)
    assert record.profit_e6 == 4 * 30_000 - 30_000


@pytest.mark.parametrize(("shares", "decoy"), [(49, "minimum size"), (50, "")])
def test_a_leg_costs_a_dollar_at_least(shares: int, decoy: str) -> None:
    stage = Stage(Structure.NEGRISK, *markets(2))
    stage.ask(0, 9500, 1000)
    stage.ask(1, 200, shares)
    assert stage.one().decoy == decoy


def test_sizes_are_hundredths_of_a_share() -> None:
    record = three(last=50.123456).one()
    assert record.size_e6 == 80_120_000
    # the last 0.003456 are not to be had, nor so much of the dearest level
    assert record.profit_e6 == pytest.approx(50.123456 * 30_000 + 29.996544 * 10_000, abs=2)


def test_no_of_a_neg_risk_set_pays_all_but_one() -> None:
    stage = Stage(Structure.NEGRISK, *markets(3))
    for index, price in enumerate((4000, 3500, 3000)):
        stage.bid(index, price, 100 - 10 * index)
    record = stage.one()
    assert record.relation.kind == Kind.NEGRISK_NO
    assert record.edge_e6 == 50_000
    # 80 sets of three; the other two alone make 0.75
    assert (record.size_e6, record.profit_e6) == (80 * ONE_E6, 80 * 50_000)


def test_no_of_some_markets_convert_to_collateral_and_the_other_yes() -> None:
    """A market nobody bids for is left out; one that runs out is left behind."""
    stage = Stage(Structure.NEGRISK, *markets(4))
    for index, (price, shares) in enumerate(((6000, 100), (4500, 90), (1000, 20))):
        stage.bid(index, price, shares)
    record = stage.one()
    assert record.edge_e6 == 150_000
    # 20 sets of three at 1.15, 70 more of two at 1.05
    assert (record.size_e6, record.profit_e6) == (90 * ONE_E6, 20 * 150_000 + 70 * 50_000)


def test_an_augmented_event_is_a_decoy() -> None:
    held = markets(3)
    held[2].placeholder = True
    stage = Stage(Structure.AUGMENTED, *held)
    stage.ask(0, 4000, 100)
    stage.ask(1, 4000, 100)
    record = stage.one()
    assert [market.index for market, _ in record.relation.legs] == [0, 1]
    assert (record.decoy, record.edge_e6) == ("augmented", 200_000)
    stage.ask(2, 1000, 100)
    assert {record.decoy for record in stage.records()} == {"augmented"}


def ladder(structure: Structure, *bounds: tuple[int | None, int | None]) -> Stage:
    return Stage(structure, *(simclient.market(n, bounds=span) for n, span in enumerate(bounds)))


def test_what_is_implied_must_not_be_cheaper() -> None:
    stage = ladder(Structure.LADDER, (100, None), (110, None), (120, None))
    stage.ask(0, 5000, 60)
    stage.bid(2, 5300, 40)
    record = stage.one()
    assert record.relation.kind == Kind.IMPLICATION
    assert [(m.index, outcome) for m, outcome in record.relation.legs] == [(0, 0), (2, 1)]
    assert (record.edge_e6, record.size_e6, record.profit_e6) == (30_000, 40 * ONE_E6, 1_200_000)


def test_an_earlier_date_implies_a_later_one() -> None:
    stage = ladder(Structure.DATES, (None, 6), (None, 12))
    stage.ask(1, 2000, 50)
    stage.bid(0, 2200, 50)
    assert stage.one().edge_e6 == 20_000


@pytest.mark.parametrize("children", [True, False])
def test_a_parent_is_its_upper_part_and_the_range_between(children: bool) -> None:
    stage = ladder(Structure.RANGES, (100, None), (110, None), (100, 110))
    if children:
        stage.bid(0, 6000, 50)
        stage.ask(1, 3500, 50)
        stage.ask(2, 2300, 40)
    else:
        stage.ask(0, 5800, 50)
        stage.bid(1, 3600, 50)
        stage.bid(2, 2400, 40)
    record = stage.one()
    assert record.relation.kind == (Kind.RANGE_CHILDREN if children else Kind.RANGE_PARENT)
    assert record.profit_e6 == 40 * 20_000
    assert record.relation.payoff == (1 if children else 2)


def test_every_relation_pays_its_payoff_in_every_outcome() -> None:
    """The states of a scale are the steps between its edges."""
    bounds = [(100, None), (110, None), (120, None), (100, 110), (110, 120), (None, 100)]
    held = [simclient.market(n, bounds=span) for n, span in enumerate(bounds)]
    (event,) = simclient.catalog(held, Structure.RANGES).events
    made = relations(event)
    assert {relation.kind for relation in made} == {
        *(Kind.COMPLEMENT, Kind.IMPLICATION, Kind.RANGE_PARENT, Kind.RANGE_CHILDREN)
    }
    for relation in made:
        paid = set()
        for end in (90, 100, 110, 120):
            yes = [
                (low is None or low <= end) and (high is None or end < high) for low, high in bounds
            ]
            paid.add(sum(yes[market.index] == (outcome == 0) for market, outcome in relation.legs))
        assert min(paid) == relation.payoff


def test_one_market_alone_is_never_mispriced() -> None:
    """YES and NO are one book: what would cross trades."""
    stage = Stage(Structure.BINARY, *markets(1))
    stage.ask(0, 5000, 50)
    stage.bid(0, 5100, 80)
    assert stage.records() == []
    assert [relation.kind for relation in relations(stage.event)] == [Kind.COMPLEMENT]


def test_it_ends_when_makers_move() -> None:
    stage = three()
    best = next(o for o in stage.venue.orders.values() if o.level_e4 == 3000)
    stage.venue.advance(stage.venue.now_ns + SECOND)
    stage.venue.remove(best, Status.CANCELED)
    record = stage.one()
    assert record.ended == "makers"
    assert record.closed_ns == record.spent_ns == record.opened_ns + SECOND
    (opened,), (closed,) = stage.said("mispricing_open"), stage.said("mispricing_close")
    assert opened[2] == closed[2] == record.id
    assert opened[4] == "negrisk_yes"
    assert opened[6] == [market.tokens[0] for market in stage.event.markets]
    assert opened[7:] == [10_000, 30_000_000, 300_000, ""]  # then came the better ask
    assert closed[3:] == [SECOND, SECOND, 30_000, 80_000_000, 1_800_000, "", "makers"]


@pytest.mark.parametrize("name", ["rival", "noise"])
def test_it_ends_when_somebody_takes_it(name: str) -> None:
    stage = three()
    stage.take(0, 0, 3000, 100, name=name)
    assert stage.one().ended == name
    assert stage.watched.score(KEY).captures == []


def test_it_is_spent_when_only_what_fees_eat_is_left() -> None:
    stage = three(rate_e6=40_000)
    stage.venue.advance(stage.venue.now_ns + SECOND)
    stage.take(2, 0, 3400, 50, name="rival")  # 0.36 is left: 0.99 before fees
    record = stage.one()
    assert record.closed_ns is None
    assert (record.ended, record.spent_ns) == ("rival", record.opened_ns + SECOND)
    assert record.decoy == ""


def test_it_ends_with_its_market() -> None:
    stage = three()
    stage.venue.close_market(stage.event.markets[0])
    assert stage.one().ended == "closed"


def test_a_client_is_scored_by_the_sets_it_bought() -> None:
    stage = three(rate_e6=40_000)
    stage.venue.advance(stage.venue.now_ns + SECOND // 4)
    stage.take(0, 0, 3000, 20)
    stage.take(1, 0, 3300, 25)
    stage.take(2, 0, 3400, 50)
    record = stage.one()
    assert record.ended == f"client {house('client')}"
    score = stage.watched.score(KEY)
    assert (score.episodes, score.available_e6) == (1, record.profit_e6)
    (capture,) = score.captures
    assert (capture.size_e6, capture.reaction_ns) == (20 * ONE_E6, SECOND // 4)
    # 20 of each leg: cost 6 + 6.6 + 6.8, fees 0.168 + 0.17688 + 0.17952
    assert capture.profit_e6 == score.captured_e6 == 20_000_000 - 19_400_000 - 524_400
    assert stage.watched.score("another key").captures == []


def test_selling_a_token_is_buying_the_other_one() -> None:
    stage = ladder(Structure.LADDER, (100, None), (110, None))
    client = stage.wallet("client")
    stage.venue.ledger.split(client, stage.event.markets[1], 50 * ONE_E6)
    stage.ask(0, 5000, 60)
    stage.bid(1, 5300, 60)
    stage.take(0, 0, 5000, 40)
    stage.orders += 1
    stage.venue.execute(
        Order(
            id="sell",
            wallet=client,
            owner=KEY,
            market=stage.event.markets[1],
            outcome=0,
            buy=False,
            price_e4=5300,
            size_e6=40 * ONE_E6,
            kind="FAK",
        )
    )
    (capture,) = stage.watched.score(KEY).captures
    assert (capture.size_e6, capture.profit_e6) == (40 * ONE_E6, 40 * 30_000)


def test_a_fill_counts_once_and_an_episode_offers_its_best() -> None:
    """One stale bid misprices two pairs; whoever buys one of them has not bought the other."""
    stage = ladder(Structure.LADDER, (100, None), (110, None), (120, None))
    stage.ask(0, 5000, 60)
    stage.ask(1, 4900, 60)
    stage.bid(2, 5200, 60)
    first, second = stage.records()
    assert first.episode == second.episode
    assert {first.profit_e6, second.profit_e6} == {60 * 20_000, 60 * 30_000}
    stage.take(0, 0, 5000, 60)
    stage.take(2, 1, 4800, 60)
    score = stage.watched.score(KEY)
    assert (score.episodes, score.available_e6) == (1, 60 * 30_000)
    assert [capture.profit_e6 for capture in score.captures] == [60 * 20_000]


def test_who_buys_a_decoy_is_told() -> None:
    stage = three(rate_e6=50_000)
    for index, price in enumerate((3000, 3300, 3400)):
        stage.take(index, 0, price, 10)
    score = stage.watched.score(KEY)
    assert (score.episodes, score.available_e6, score.captures) == (0, 0, [])
    (capture,) = score.decoys
    assert capture.mispricing.decoy == "fees"
    assert capture.profit_e6 < 0


def test_a_fill_belongs_to_what_was_open_when_it_traded() -> None:
    """The same legs were mispriced a second before; only what is left over is counted there."""
    stage = three()
    old = next(o for o in stage.venue.orders.values() if o.level_e4 == 3000)
    stage.venue.advance(stage.venue.now_ns + SECOND)
    stage.venue.remove(old, Status.CANCELED)
    stage.venue.advance(stage.venue.now_ns + SECOND // 2)
    stage.ask(0, 3000, 20)
    stage.venue.advance(stage.venue.now_ns + SECOND // 4)
    for index, price in enumerate((3000, 3300, 3400)):
        stage.take(index, 0, price, 20)
    first, second = stage.records()
    (capture,) = stage.watched.score(KEY).captures
    assert first.closed_ns
    assert capture.mispricing is second
    assert (capture.size_e6, capture.reaction_ns) == (20 * ONE_E6, SECOND // 4)


def test_what_is_bought_just_after_the_end_counts_for_the_last_one() -> None:
    stage = three()
    stage.take(0, 0, 3000, 20)
    for order in [o for o in stage.venue.orders.values() if o.level_e4 == 3000]:
        stage.venue.remove(order, Status.CANCELED)
    stage.venue.advance(stage.venue.now_ns + SECOND)
    for index, price in ((1, 3300), (2, 3400)):
        stage.take(index, 0, price, 20)
    (capture,) = stage.watched.score(KEY).captures
    assert (capture.mispricing, capture.reaction_ns) == (stage.one(), 0)


def test_a_decoy_that_becomes_real_is_told() -> None:
    stage = Stage(Structure.NEGRISK, *markets(3))
    stage.ask(0, 3000, 100)
    stage.ask(1, 3300, 90)
    stage.ask(2, 3400, 4)
    stage.venue.advance(stage.venue.now_ns + SECOND)
    stage.ask(2, 3300, 50)
    (opened,), (changed,) = stage.said("mispricing_open"), stage.said("mispricing_change")
    assert opened[-1] == "minimum size"
    record = stage.one()
    assert changed[2:] == [record.id, SECOND, record.edge_e6, record.size_e6, record.profit_e6, ""]
    stage.ask(2, 3200, 50)
    assert len(stage.said("mispricing_change")) == 1


def test_a_failed_match_captures_nothing() -> None:
    stage = three()
    for index, price in enumerate((3000, 3300, 3400)):
        stage.take(index, 0, price, 10)
    for trade in stage.venue.trades.values():
        trade.status = "FAILED"
    assert stage.watched.score(KEY).captures == []


def test_an_event_that_opens_later_is_watched() -> None:
    stage = Stage(Structure.BINARY, *markets(1))
    more = [simclient.market(number) for number in (10, 11)]
    (event,) = simclient.catalog(more, Structure.NEGRISK).events
    event.id = "8"
    stage.venue.add_event(event)
    stage.event = event
    stage.ask(0, 4000, 50)
    stage.ask(1, 5000, 50)
    assert stage.one().profit_e6 == 50 * 100_000
