"""
The official clients, unmodified, against the simulated exchange.

What they accept is the wire format: their models refuse a number that should be a string, a null
that should be a list, a signature or an HMAC that is off by one byte. Prices are read from the book
when a test starts, because an earlier test may have bought the top of it.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

KINDS = [0, 1, 2, 3]  # signature types: EOA, proxy, safe, deposit wallet
KIND_NAMES = {0: "EOA", 1: "POLY_PROXY", 2: "GNOSIS_SAFE", 3: "DEPOSIT_WALLET"}
SORTS = ["standard", "neg_risk", "structured"]  # CTF, neg-risk CTF, V3 position ids
UNIT = 1_000_000
UNKNOWN_ID = "0x" + "5a" * 32
UNKNOWN_TOKEN = str(2**255 + 12345)
CENT = Decimal("0.01")
FEE_AT_MOST = Decimal("0.07") / 4  # of a share: the highest rate, at a price of one half


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One market as Gamma lists it; `tokens` are YES and NO, position ids where `structured`."""

    gamma_id: str
    slug: str
    event: str
    condition_id: str
    tokens: tuple[str, str]
    structured: bool
    neg_risk: bool
    group_id: str
    question_id: str
    tick: Decimal
    min_size: Decimal

    @property
    def yes(self) -> str:
        return self.tokens[0]

    @property
    def no(self) -> str:
        return self.tokens[1]


def listing(market: dict[str, Any]) -> Listing:
    structured = market["version"] == "v2"
    yes, no = json.loads(market["positionIds" if structured else "clobTokenIds"])
    return Listing(
        gamma_id=market["id"],
        slug=market["slug"],
        event=market["events"][0]["slug"],
        condition_id=market["conditionId"],
        tokens=(yes, no),
        structured=structured,
        neg_risk=market["negRisk"],
        group_id=market.get("negRiskMarketID") or "",
        question_id=market["questionID"],
        tick=Decimal(str(market["orderPriceMinTickSize"])),
        min_size=Decimal(str(market["orderMinSize"])),
    )


def eventually(condition: Callable[[], Any], within_s: float = 10) -> Any:
    """Ask `condition` until it holds; each question is a request, so nothing has to sleep."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within_s} s"
    return answer


# --- what there is to trade, and with what ---------------------------------------------------


@pytest.fixture(scope="session")
def listings(exchange: Any) -> dict[str, list[Listing]]:
    """Tradable markets without a seconds delay, by sort; those with a tick of one cent first."""
    found: list[Listing] = []
    cursor = ""
    while True:
        page = exchange.get(f"{exchange.gamma_url}/markets/keyset?closed=false&limit=100{cursor}")
        found += [
            listing(market)
            for market in page["markets"]
            if market["acceptingOrders"] and not market.get("secondsDelay")
        ]
        if not page.get("next_cursor"):
            break
        cursor = f"&after_cursor={page['next_cursor']}"
    found.sort(key=lambda one: one.tick != CENT)
    sorts = {
        "standard": [m for m in found if not m.structured and not m.neg_risk],
        "neg_risk": [m for m in found if not m.structured and m.neg_risk],
        "structured": [m for m in found if m.structured],
    }
    for sort, markets in sorts.items():
        assert markets, f"the scenario lists no {sort} market"
    return sorts


@pytest.fixture(scope="session")
def funded(exchange: Any) -> dict[int, str]:
    """Give all four wallets of the account money, and return them by signature type."""
    wallets = {kind: exchange.account["wallets"][str(kind)] for kind in KINDS}
    for wallet in wallets.values():
        exchange.command("deposit", wallet=wallet, usd="1000")
    return wallets


@pytest.fixture
def market(request: pytest.FixtureRequest, listings: dict[str, list[Listing]]) -> Listing:
    """Return a market of the sort that the test is parametrized with; a standard one otherwise."""
    return listings[getattr(request, "param", "standard")][0]


each_kind = pytest.mark.parametrize("kind", KINDS, ids=list(KIND_NAMES.values()))
each_sort = pytest.mark.parametrize("market", SORTS, indirect=True)


# --- py-clob-client-v2 ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def py() -> Any:
    return pytest.importorskip("py_clob_client_v2", reason="py-clob-client-v2 is not installed")


@pytest.fixture(scope="session")
def py_refusal(py: Any) -> Any:
    from py_clob_client_v2.exceptions import PolyApiException

    return PolyApiException


@dataclass(frozen=True, slots=True)
class Py:
    """py-clob-client-v2 acting for one wallet of the account, in the terms of a `Listing`."""

    sdk: Any
    client: Any

    def top(self, token: str) -> tuple[Decimal, Decimal]:
        book = self.client.get_order_book(token)
        return Decimal(book["bids"][-1]["price"]), Decimal(book["asks"][-1]["price"])

    def asset(self, market: Listing, token: str) -> dict[str, str]:
        return {"position_id" if market.structured else "token_id": token}

    def limit(
        self,
        market: Listing,
        *,
        token: str = "",
        side: str = "BUY",
        price: Decimal | None = None,
        size: Decimal | None = None,
        **more: Any,
    ) -> Any:
        """Sign a limit order; by default the smallest BUY of YES at the lowest price."""
        return self.client.create_order(
            self.sdk.OrderArgs(
                price=float(price or market.tick),
                size=float(size or market.min_size),
                side=side,
                **self.asset(market, token or market.yes),
                **more,
            )
        )

    def rest(self, market: Listing, **more: Any) -> str:
        """Place a limit order that cannot match, and return its id."""
        answer = self.client.post_order(self.limit(market, **more))
        assert answer["status"] == "live", answer
        return answer["orderID"]

    def take(self, market: Listing, amount: Decimal, *, token: str = "", **more: Any) -> Any:
        """Place a FOK or FAK order (`order_type`), which the client itself prices from the book."""
        kind = more.pop("order_type", "FOK")
        side = more.pop("side", "BUY")
        return self.client.create_and_post_market_order(
            self.sdk.MarketOrderArgs(
                amount=float(amount),
                side=side,
                order_type=kind,
                **self.asset(market, token or market.yes),
                **more,
            ),
            order_type=kind,
        )

    def balance(self, market: Listing | None = None, token: str = "") -> int:
        """Return a balance in base units: of a token, or of collateral."""
        params = self.sdk.BalanceAllowanceParams(asset_type="COLLATERAL")
        if market:
            params = self.sdk.BalanceAllowanceParams(
                asset_type="CONDITIONAL-V2" if market.structured else "CONDITIONAL",
                token_id=token or market.yes,
            )
        self.client.update_balance_allowance(params)
        return int(self.client.get_balance_allowance(params)["balance"])

    def open_ids(self, **filters: str) -> set[str]:
        params = self.sdk.OpenOrderParams(**filters)
        return {order["id"] for order in self.client.get_open_orders(params)}


@pytest.fixture
def make_py(py: Any, exchange: Any, funded: dict[int, str]) -> Iterator[Callable[..., Py]]:
    """Make clients for the account's wallets; every order of its key is cancelled afterwards."""
    account = exchange.account
    creds = py.ApiCreds(account["api_key"], account["api_secret"], account["api_passphrase"])

    def make(kind: int = 0, *, creds: Any = creds) -> Py:
        return Py(
            py,
            py.ClobClient(
                exchange.clob_url,
                exchange.chain_id,
                key=account["private_key"],
                creds=creds,
                signature_type=kind,
                funder=funded[kind],
            ),
        )

    yield make
    make().client.cancel_all()


@pytest.fixture
def trader(make_py: Callable[..., Py]) -> Py:
    """Return the client of the deposit wallet, as accounts made since May 2026 have one."""
    return make_py(3)


def message(refusal: pytest.ExceptionInfo[Any]) -> str:
    """Return the text of a refusal that came as HTTP 400."""
    assert refusal.value.status_code == 400, refusal.value
    return str(refusal.value.error_msg["error"])


def test_py_derives_the_key_that_the_exchange_printed(make_py, exchange):
    creds = make_py(creds=None).client.create_or_derive_api_key()
    assert creds.api_key == exchange.account["api_key"]
    assert creds.api_secret == exchange.account["api_secret"]
    assert creds.api_passphrase == exchange.account["api_passphrase"]


def test_py_deleted_key_is_refused_with_401(make_py, py_refusal):
    client = make_py(creds=None).client
    client.set_api_creds(client.create_api_key(nonce=11))
    assert client.creds.api_key in client.get_api_keys()["apiKeys"]
    assert client.delete_api_key() == "OK"
    with pytest.raises(py_refusal) as refusal:
        client.get_api_keys()
    assert refusal.value.status_code == 401


def test_py_wrong_secret_is_refused_with_401(make_py, py, exchange, py_refusal):
    account = exchange.account
    secret = "A" * (len(account["api_secret"]) - 4) + account["api_secret"][-4:]
    creds = py.ApiCreds(account["api_key"], secret, account["api_passphrase"])
    with pytest.raises(py_refusal) as refusal:
        make_py(creds=creds).client.get_open_orders()
    assert refusal.value.status_code == 401


def test_py_server_clock_is_the_wall_clock(make_py):
    """Clients stamp requests and orders with their own clock."""
    assert abs(make_py().client.get_server_time() - time.time()) < 5


def test_py_server_time_can_stamp_the_requests(py, exchange):
    account = exchange.account
    client = py.ClobClient(
        exchange.clob_url,
        exchange.chain_id,
        key=account["private_key"],
        creds=py.ApiCreds(account["api_key"], account["api_secret"], account["api_passphrase"]),
        use_server_time=True,
    )
    assert client.get_closed_only_mode() == {"closed_only": False}


def test_py_health_and_version_are_the_published_words(make_py):
    client = make_py().client
    assert client.get_ok() == "OK"
    assert client.get_version() == 2


@each_sort
def test_py_book_ends_with_the_best_level_of_each_side(trader, market):
    book = trader.client.get_order_book(market.yes)
    bids = [Decimal(level["price"]) for level in book["bids"]]
    asks = [Decimal(level["price"]) for level in book["asks"]]
    assert bids == sorted(bids)
    assert asks == sorted(asks, reverse=True)
    assert bids[-1] < asks[-1]
    assert book["market"] == market.condition_id
    assert book["asset_id"] == market.yes
    assert Decimal(book["tick_size"]) == market.tick


@each_sort
def test_py_book_of_no_mirrors_the_book_of_yes(trader, market):
    yes, no = trader.client.get_order_books(
        [trader.sdk.BookParams(market.yes), trader.sdk.BookParams(market.no)]
    )
    mirrored = [(1 - Decimal(level["price"]), Decimal(level["size"])) for level in yes["bids"]]
    assert mirrored == [(Decimal(x["price"]), Decimal(x["size"])) for x in no["asks"]]


def test_py_book_hash_is_that_of_its_canonical_form(trader, market):
    book = trader.client.get_order_book(market.yes)
    assert trader.client.get_order_book_hash(book) == book["hash"]


def test_py_unknown_token_has_no_book(trader, py_refusal):
    with pytest.raises(py_refusal) as refusal:
        trader.client.get_order_book(UNKNOWN_TOKEN)
    assert refusal.value.status_code == 404


def test_py_prices_follow_from_the_book(trader, market):
    client, token = trader.client, market.yes
    bid, ask = trader.top(token)
    assert Decimal(client.get_price(token, "BUY")["price"]) == bid
    assert Decimal(client.get_price(token, "SELL")["price"]) == ask
    assert Decimal(client.get_midpoint(token)["mid"]) == (bid + ask) / 2
    assert Decimal(client.get_spread(token)["spread"]) == ask - bid


def test_py_price_batches_agree_with_single_questions(trader, market):
    client, token = trader.client, market.yes
    ask = [trader.sdk.BookParams(token, "BUY")]
    assert client.get_prices(ask)[token]["BUY"] == client.get_price(token, "BUY")["price"]
    assert client.get_midpoints(ask)[token] == client.get_midpoint(token)["mid"]
    assert client.get_spreads(ask)[token] == client.get_spread(token)["spread"]


@each_sort
def test_py_market_parameters_agree_everywhere(make_py, market):
    asked, listed = make_py().client, make_py().client
    parameters = listed.get_clob_market_info(market.condition_id)
    assert [token["t"] for token in parameters["t"]] == list(market.tokens)
    for token in market.tokens:
        assert Decimal(asked.get_tick_size(token)) == Decimal(listed.get_tick_size(token))
        assert asked.get_neg_risk(token) == listed.get_neg_risk(token) == market.neg_risk
    assert asked.get_market(market.condition_id)["condition_id"] == market.condition_id


def test_py_market_lists_can_be_paged_to_their_end(trader, market):
    for name in ("markets", "simplified_markets", "sampling_markets"):
        cursor, seen = "MA==", []
        while cursor != "LTE=":
            page = getattr(trader.client, f"get_{name}")(cursor)
            seen += [row["condition_id"] for row in page["data"]]
            cursor = page["next_cursor"]
        assert len(seen) == len(set(seen)), name
        assert name != "markets" or market.condition_id in seen


def test_py_account_questions_without_news_have_their_empty_answers(trader, market):
    client = trader.client
    assert client.get_closed_only_mode() == {"closed_only": False}
    assert client.get_notifications() == []
    assert "history" in client.get_prices_history(
        trader.sdk.PricesHistoryParams(market=market.yes, interval="1d", fidelity=60)
    )


def digest(order: Any, market: Listing, chain_id: int) -> str:
    """Return the order id by the client's own hashing."""
    from py_clob_client_v2.config import get_contract_config
    from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2

    contracts = get_contract_config(chain_id)
    plain = contracts.neg_risk_exchange_v2 if market.neg_risk else contracts.exchange_v2
    contract, version = (contracts.exchange_v3, "3") if market.structured else (plain, "2")
    builder = ExchangeOrderBuilderV2(contract, chain_id, None, domain_version=version)
    return builder.build_order_hash(builder.build_order_typed_data(order))


@each_kind
@each_sort
def test_py_resting_order_is_known_by_its_digest(make_py, exchange, kind, market):
    trader = make_py(kind)
    order = trader.limit(market)
    answer = trader.client.post_order(order)
    assert (answer["success"], answer["errorMsg"], answer["status"]) == (True, "", "live")
    assert answer["orderID"] == digest(order, market, exchange.chain_id)
    found = trader.client.get_order(answer["orderID"])
    assert found["maker_address"].lower() == order.maker.lower()
    assert (found["asset_id"], found["side"], found["order_type"]) == (market.yes, "BUY", "GTC")
    assert Decimal(found["price"]) == market.tick
    assert Decimal(found["original_size"]) == market.min_size
    assert Decimal(found["size_matched"]) == 0


def test_py_resting_order_shows_in_the_book_of_both_tokens(trader, market):
    trader.rest(market, size=market.min_size + 1)
    book = trader.client.get_order_book(market.yes)
    mirror = trader.client.get_order_book(market.no)
    assert Decimal(book["bids"][0]["price"]) == market.tick
    assert Decimal(mirror["asks"][0]["price"]) == 1 - market.tick
    assert book["bids"][0]["size"] == mirror["asks"][0]["size"]


@each_sort
def test_py_dated_order_keeps_its_expiration(trader, market):
    until = int(time.time()) + 600
    answer = trader.client.post_order(trader.limit(market, expiration=until), "GTD")
    found = trader.client.get_order(answer["orderID"])
    assert (found["order_type"], int(found["expiration"])) == ("GTD", until)


def test_py_dated_order_needs_three_minutes(trader, market, py_refusal):
    order = trader.limit(market, expiration=int(time.time()) + 90)
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(order, "GTD")
    assert "invalid expiration" in message(refusal)


@each_kind
@each_sort
def test_py_bought_shares_arrive_and_can_be_sold_again(make_py, kind, market):
    trader = make_py(kind)
    before = trader.balance(market)
    bought = trader.take(market, Decimal(10))
    assert bought["status"] == "matched", bought
    shares = eventually(lambda: trader.balance(market) - before)
    sold = trader.take(market, Decimal(shares // 10_000) / 100, side="SELL", order_type="FAK")
    assert sold["status"] == "matched", sold
    eventually(lambda: trader.balance(market) - before < shares)


def test_py_fill_has_a_hash_once_the_client_returns(trader, market):
    """The client itself polls the trades of an answer until they are mined."""
    answer = trader.take(market, Decimal(5))
    assert answer["transactionsHashes"]
    (trade,) = trader.client.get_trades(trader.sdk.TradeParams(id=answer["tradeIDs"][0]))
    assert trade["transaction_hash"] == answer["transactionsHashes"][0]
    assert trade["taker_order_id"] == answer["orderID"]
    assert trade["trader_side"] == "TAKER"
    assert trade["maker_orders"]


def test_py_trade_is_confirmed_in_the_end(trader, market):
    answer = trader.take(market, Decimal(5))
    params = trader.sdk.TradeParams(id=answer["tradeIDs"][0])
    eventually(lambda: trader.client.get_trades(params)[0]["status"].endswith("CONFIRMED"))


def test_py_last_trade_is_the_fill_just_made(trader, market):
    trader.take(market, Decimal(5))
    last = trader.client.get_last_trade_price(market.yes)
    assert last["side"] == "BUY"
    assert Decimal(last["price"]) < 1


def beyond_the_top(trader: Py, market: Listing, token: str) -> tuple[Decimal, Decimal]:
    """Return the best ask, and a budget that it cannot use up, in whole cents."""
    best = trader.client.get_order_book(token)["asks"][-1]
    price, size = Decimal(best["price"]), Decimal(best["size"])
    return price, (price * size).quantize(CENT) + 5


def test_py_fok_beyond_the_limit_trades_nothing(trader, exchange, funded, market, py_refusal):
    price, budget = beyond_the_top(trader, market, market.no)
    exchange.command("deposit", wallet=funded[3], usd=str(2 * budget))
    before = trader.balance(market, market.no)
    with pytest.raises(py_refusal) as refusal:
        trader.take(market, budget, token=market.no, price=float(price))
    assert "couldn't be fully filled" in message(refusal)
    assert trader.balance(market, market.no) == before


def test_py_fak_takes_what_is_there_and_rests_nothing(trader, exchange, funded, market):
    price, budget = beyond_the_top(trader, market, market.no)
    exchange.command("deposit", wallet=funded[3], usd=str(2 * budget))
    answer = trader.take(market, budget, token=market.no, price=float(price), order_type="FAK")
    assert answer["status"] == "matched"
    assert answer["orderID"] not in trader.open_ids()
    assert trader.top(market.no)[1] > price


def test_py_fak_that_meets_nothing_is_refused(trader, market, py_refusal):
    price = float(market.tick)
    with pytest.raises(py_refusal) as refusal:
        trader.take(market, Decimal(1), price=price, order_type="FAK")
    assert "no orders found to match with FAK order" in message(refusal)


def test_py_crossing_limit_order_trades_at_the_resting_price(trader, market):
    bid, ask = trader.top(market.yes)
    before = trader.balance()
    order = trader.limit(market, price=1 - market.tick, size=market.min_size)
    answer = trader.client.post_order(order)
    assert answer["status"] == "matched"
    spent = eventually(lambda: before - trader.balance())
    assert bid * UNIT < spent / market.min_size <= (ask + FEE_AT_MOST) * UNIT


def test_py_post_only_order_rests_where_it_does_not_cross(trader, market):
    answer = trader.client.post_order(trader.limit(market), post_only=True)
    assert answer["status"] == "live"


def test_py_post_only_order_that_crosses_is_refused(trader, market, py_refusal):
    order = trader.limit(market, price=trader.top(market.yes)[1])
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(order, post_only=True)
    assert "crosses book" in message(refusal)


def test_py_batch_is_answered_item_by_item_in_order(trader, market):
    size = [market.min_size, market.min_size + 1, Decimal(1)]
    orders = [trader.limit(market, size=one) for one in size]
    first, second, third = trader.client.post_orders(
        [trader.sdk.PostOrdersV2Args(order=order) for order in orders]
    )
    assert Decimal(trader.client.get_order(first["orderID"])["original_size"]) == size[0]
    assert Decimal(trader.client.get_order(second["orderID"])["original_size"]) == size[1]
    assert "lower than the minimum" in third["errorMsg"]
    assert third["orderID"] == ""


def test_py_batch_of_sixteen_is_refused_whole(trader, market, py_refusal):
    order = trader.sdk.PostOrdersV2Args(order=trader.limit(market))
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_orders([order] * 16)
    assert "Too many orders in payload: 16, max allowed: 15" in message(refusal)


def test_py_same_order_twice_is_a_duplicate(trader, market, py_refusal):
    order = trader.limit(market)
    trader.client.post_order(order)
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(order)
    assert "Duplicated" in message(refusal)


def test_py_small_order_is_refused_with_the_minimum(trader, market, py_refusal):
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(trader.limit(market, size=Decimal(1)))
    assert "lower than the minimum" in message(refusal)


def test_py_order_beyond_the_balance_is_refused(trader, market, py_refusal):
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(trader.limit(market, size=Decimal(10**9)))
    assert "not enough balance / allowance" in message(refusal)


def test_py_order_of_a_wallet_without_approvals_is_refused(py, exchange, market, py_refusal):
    key = "0x" + hashlib.sha256(b"unapproved").hexdigest()
    newcomer = Py(py, py.ClobClient(exchange.clob_url, exchange.chain_id, key=key))
    newcomer.client.set_api_creds(newcomer.client.create_or_derive_api_key())
    exchange.command("deposit", wallet=newcomer.client.get_address(), usd="100")
    with pytest.raises(py_refusal) as refusal:
        newcomer.rest(market)
    assert "the allowance is not enough" in message(refusal)


def test_py_order_signed_for_another_exchange_is_refused(trader, listings, py_refusal):
    market = listings["neg_risk"][0]
    order = trader.client.create_order(
        trader.sdk.OrderArgs(
            token_id=market.yes,
            price=float(market.tick),
            size=float(market.min_size),
            side="BUY",
        ),
        trader.sdk.PartialCreateOrderOptions(neg_risk=False),
    )
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(order)
    assert "signature" in message(refusal)


def test_py_order_changed_after_signing_is_refused(trader, market, py_refusal):
    order = dataclasses.replace(trader.limit(market), takerAmount=str(100 * UNIT))
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(order)
    assert "signature" in message(refusal)


def test_py_order_of_the_first_generation_is_refused_by_name(make_py, market, py_refusal):
    trader = make_py(0)
    order = trader.client.create_order(
        trader.sdk.OrderArgsV1(
            token_id=market.yes,
            price=float(market.tick),
            size=float(market.min_size),
            side="BUY",
        ),
        trader.sdk.PartialCreateOrderOptions(version=1),
    )
    with pytest.raises(py_refusal) as refusal:
        trader.client.post_order(order)
    assert message(refusal) == "order_version_mismatch"


@each_sort
def test_py_cancelled_order_is_no_longer_open(trader, market):
    order_id = trader.rest(market)
    answer = trader.client.cancel_order(trader.sdk.OrderPayload(order_id))
    assert answer == {"canceled": [order_id], "not_canceled": {}}
    assert order_id not in trader.open_ids()


def test_py_unknown_order_is_not_cancelled_and_says_why(trader):
    answer = trader.client.cancel_order(trader.sdk.OrderPayload(UNKNOWN_ID))
    assert answer["canceled"] == []
    assert "not found" in answer["not_canceled"][UNKNOWN_ID].lower()


def test_py_list_of_orders_is_cancelled_and_the_others_stay(trader, market):
    first, second, third = (trader.rest(market) for _ in range(3))
    answer = trader.client.cancel_orders([first, second])
    assert set(answer["canceled"]) == {first, second}
    assert trader.open_ids() & {first, second, third} == {third}


def test_py_cancel_all_leaves_no_order_of_the_key(make_py, market):
    first, second = make_py(3).rest(market), make_py(2).rest(market)
    answer = make_py(0).client.cancel_all()
    assert {first, second} <= set(answer["canceled"])
    assert make_py(3).open_ids() == set()


def test_py_market_cancel_spares_other_markets(trader, listings):
    here, there = listings["standard"][0], listings["neg_risk"][0]
    first, second = trader.rest(here), trader.rest(there)
    params = trader.sdk.OrderMarketCancelParams(market=here.condition_id)
    assert trader.client.cancel_market_orders(params)["canceled"] == [first]
    assert trader.open_ids() & {first, second} == {second}


def test_py_asset_cancel_spares_the_other_token(trader, market):
    yes, no = trader.rest(market), trader.rest(market, token=market.no)
    params = trader.sdk.OrderMarketCancelParams(asset_id=market.yes)
    assert trader.client.cancel_market_orders(params)["canceled"] == [yes]
    assert trader.open_ids() & {yes, no} == {no}


def test_py_open_orders_can_be_filtered(trader, market):
    yes, no = trader.rest(market), trader.rest(market, token=market.no)
    assert trader.open_ids(asset_id=market.no) & {yes, no} == {no}
    assert trader.open_ids(market=market.condition_id) >= {yes, no}
    assert trader.open_ids(id=yes) == {yes}


def test_py_open_orders_beyond_a_page_are_all_listed(trader, market):
    wanted: set[str] = set()
    for _ in range(8):
        orders = [trader.sdk.PostOrdersV2Args(order=trader.limit(market)) for _ in range(15)]
        wanted |= {answer["orderID"] for answer in trader.client.post_orders(orders)}
    assert len(wanted) == 120
    assert wanted <= trader.open_ids()


def test_py_resting_sell_reserves_its_shares(trader, market, py_refusal):
    trader.take(market, Decimal(10))
    shares = Decimal(eventually(lambda: trader.balance(market)) // 10_000) / 100
    more = {"side": "SELL", "price": 1 - market.tick, "size": shares}
    trader.rest(market, **more)
    with pytest.raises(py_refusal) as refusal:
        trader.rest(market, **more)
    assert "not enough balance / allowance" in message(refusal)


@each_kind
def test_py_each_wallet_has_a_balance_of_its_own(make_py, exchange, funded, kind):
    others = [make_py(other) for other in KINDS if other != kind]
    before = [other.balance() for other in others]
    mine = make_py(kind).balance()
    exchange.command("deposit", wallet=funded[kind], usd="12.5")
    assert make_py(kind).balance() - mine == 12_500_000
    assert [other.balance() for other in others] == before


def test_py_order_scoring_answers_for_one_and_for_many(trader, market):
    order_id = trader.rest(market)
    params = trader.sdk.OrderScoringParams(order_id)
    many = trader.sdk.OrdersScoringParams([order_id])
    one = trader.client.is_order_scoring(params)["scoring"]
    assert trader.client.are_orders_scoring(many) == {order_id: one}


@pytest.fixture
def beating(make_py: Callable[..., Py]) -> Iterator[Py]:
    """Credentials of their own: a heartbeat once sent puts all orders of its key at stake."""
    trader = make_py(3, creds=None)
    trader.client.set_api_creds(trader.client.create_or_derive_api_key(nonce=12))
    yield trader
    trader.client.cancel_all()


def test_py_wrong_heartbeat_is_told_the_expected_id(beating, py_refusal):
    with pytest.raises(py_refusal) as refusal:
        beating.client.post_heartbeat("d2719ab0-b4c4-4d6e-9f4f-000000000000")
    assert refusal.value.error_msg["error_msg"] == "Invalid Heartbeat ID"
    expected = refusal.value.error_msg["heartbeat_id"]
    following = beating.client.post_heartbeat(expected)["heartbeat_id"]
    assert beating.client.post_heartbeat(following)["heartbeat_id"]


def test_py_orders_end_when_the_heartbeat_does(beating, market, py_refusal):
    try:
        beating.client.post_heartbeat("")
    except py_refusal as refusal:
        beating.client.post_heartbeat(refusal.error_msg["heartbeat_id"])
    order_id = beating.rest(market)
    eventually(lambda: order_id not in beating.open_ids(), within_s=30)


# --- polymarket-client --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pm() -> Any:
    return pytest.importorskip("polymarket", reason="polymarket-client is not installed")


@pytest.fixture(scope="session")
def environment(pm: Any, exchange: Any) -> Any:
    """Return the client's own production environment, with its addresses on loopback."""
    from polymarket.environments import _create_environment

    nowhere = f"{exchange.clob_url}/nowhere"
    config = dataclasses.replace(
        pm.PRODUCTION._config,
        chain_id=exchange.chain_id,
        clob_url=exchange.clob_url,
        clob_market_ws_url=exchange.market_ws_url,
        clob_user_ws_url=exchange.user_ws_url,
        relayer_url=exchange.relayer_url,
        gamma_url=exchange.gamma_url,
        data_url=exchange.data_url,
        rpc_url=exchange.rpc_url,
        rfq_url=nowhere,
        builder_gateway_url=nowhere,
        collateral_return_url=nowhere,
        perps_url=nowhere,
        relayer_poll_frequency_ms=20,
        relayer_max_polls=1500,
    )
    return _create_environment(name="sim", config=config)


@pytest.fixture(scope="session")
def account(pm: Any, exchange: Any, environment: Any) -> dict[str, Any]:
    """Arguments of ``create`` for the exchange's account; a wallet is still to be named."""
    born = exchange.account
    return {
        "private_key": born["private_key"],
        "environment": environment,
        "credentials": pm.ApiKeyCreds(
            key=born["api_key"], secret=born["api_secret"], passphrase=born["api_passphrase"]
        ),
        "api_key": pm.RelayerApiKey(key=born["api_key"], address=born["address"]),
    }


@pytest.fixture(scope="session")
def clients(pm: Any, account: dict[str, Any], funded: dict[int, str]) -> Iterator[dict[int, Any]]:
    """Return one synchronous client per signature type; approvals are in place."""
    made = {kind: pm.SecureClient.create(wallet=funded[kind], **account) for kind in KINDS}
    for client in made.values():
        client.setup_trading_approvals()
    yield made
    for client in made.values():
        client.close()


@pytest.fixture
def client(request: pytest.FixtureRequest, clients: dict[int, Any]) -> Iterator[Any]:
    """Return the client of the wallet the test is parametrized with, else the deposit wallet's."""
    kind = request.getfixturevalue("kind") if "kind" in request.fixturenames else 3
    yield clients[kind]
    clients[kind].cancel_all()


@pytest.fixture(scope="session")
def public(pm: Any, environment: Any) -> Iterator[Any]:
    with pm.PublicClient(environment) as client:
        yield client


@pytest.fixture(scope="session")
def make_newcomer(pm: Any, exchange: Any, environment: Any) -> Iterator[Callable[..., Any]]:
    """Make accounts from nothing: each a new key, whose deposit wallet the client deploys."""
    from eth_account import Account

    with contextlib.ExitStack() as made:

        def make(name: str, **deposit: Any) -> Any:
            key = "0x" + hashlib.sha256(name.encode()).hexdigest()
            issued = exchange.command("relayer-key", address=Account.from_key(key).address)
            client = pm.SecureClient.create(
                private_key=key, environment=environment, api_key=pm.RelayerApiKey(**issued)
            )
            made.enter_context(client)
            exchange.command("deposit", wallet=str(client.wallet), usd="1000", **deposit)
            return client

        yield make


def pm_rest(client: Any, market: Listing, **more: Any) -> str:
    """Place the smallest order that cannot match, and return its id."""
    more = {"asset_id": market.yes, "side": "BUY", "price": market.tick} | more
    answer = client.place_limit_order(size=more.pop("size", market.min_size), **more)
    assert answer.ok, answer
    assert answer.status == "live", answer
    return str(answer.order_id)


def pm_open(client: Any, **filters: Any) -> set[str]:
    return {order.id for order in client.list_open_orders(**filters).iter_items()}


def pm_balance(client: Any, market: Listing | None = None, token: str = "") -> int:
    if market is None:
        return int(client.get_balance_allowance(asset_type="COLLATERAL").balance)
    kind = "CONDITIONAL-V2" if market.structured else "CONDITIONAL"
    return int(client.get_balance_allowance(asset_type=kind, asset_id=token or market.yes).balance)


def pm_sets(client: Any, market: Listing) -> tuple[int, int]:
    return pm_balance(client, market, market.yes), pm_balance(client, market, market.no)


@each_kind
def test_pm_recognises_each_wallet_of_the_account(clients, funded, kind):
    assert clients[kind].wallet_type == KIND_NAMES[kind]
    assert str(clients[kind].wallet) == funded[kind]


def test_pm_chooses_the_deposit_wallet_when_none_is_named(pm, account, funded):
    with pm.SecureClient.create(**account) as client:
        assert str(client.wallet).lower() == funded[3].lower()


def test_pm_derives_the_key_that_the_exchange_printed(pm, account, exchange):
    with pm.SecureClient.create(**account | {"credentials": None}) as client:
        assert client.credentials.key == exchange.account["api_key"]
        assert client.credentials.key in client.fetch_api_keys()


def test_pm_replaces_credentials_that_the_exchange_does_not_know(pm, account, exchange):
    stale = pm.ApiKeyCreds(key="nobody", secret="c2VjcmV0", passphrase="none")  # noqa: S106
    with pm.SecureClient.create(**account | {"credentials": stale}) as client:
        assert client.credentials.key == exchange.account["api_key"]


def test_pm_deploys_the_wallet_of_a_new_key(make_newcomer):
    newcomer = make_newcomer("deployed")
    assert newcomer.wallet_type == "DEPOSIT_WALLET"
    assert pm_balance(newcomer) == 1000 * UNIT


def test_pm_approvals_of_a_new_wallet_are_missing_until_set_up(make_newcomer):
    newcomer = make_newcomer("approving")
    assert not newcomer.get_trading_approvals_state().is_fully_approved
    newcomer.setup_trading_approvals()
    eventually(lambda: newcomer.get_trading_approvals_state().is_fully_approved)


def test_pm_deposit_can_bring_the_approvals(make_newcomer):
    newcomer = make_newcomer("approved", approve=True)
    assert newcomer.get_trading_approvals_state().is_fully_approved


def test_pm_approves_what_an_order_was_refused_for(make_newcomer, market):
    """The client reads in the refusal that the allowance is missing, and posts again."""
    newcomer = make_newcomer("refused")
    assert pm_rest(newcomer, market) in pm_open(newcomer)
    missing = newcomer.get_trading_approvals_state().missing
    assert missing.erc1155
    assert newcomer.environment._config.standard_exchange not in {
        approval.spender for approval in missing.erc20
    }
    newcomer.cancel_all()


@each_sort
def test_pm_reads_the_book_of_every_sort_of_market(public, market):
    book = public.get_order_book(asset_id=market.yes)
    assert book.condition_id == market.condition_id
    assert book.tick_size == market.tick
    assert book.bids[-1].price < book.asks[-1].price
    assert public.get_midpoint(asset_id=market.yes) == (
        (book.bids[-1].price + book.asks[-1].price) / 2
    )


def test_pm_price_batches_agree_with_single_questions(public, pm, market):
    ids = list(market.tokens)
    assert public.get_midpoints(asset_ids=ids) == {
        token: public.get_midpoint(asset_id=token) for token in ids
    }
    assert public.get_spreads(asset_ids=ids) == {
        token: public.get_spread(asset_id=token) for token in ids
    }
    assert [book.asset_id for book in public.get_order_books(asset_ids=ids)] == ids
    prices = public.get_prices(requests=[pm.PriceRequest(market.yes, "BUY")])
    assert prices[market.yes]["BUY"] == public.get_price(asset_id=market.yes, side="BUY")


def test_pm_last_trade_is_nothing_or_a_side_and_a_price(public, market):
    """A token that never traded has no side, and is left out of the batch."""
    single = {token: public.get_last_trade_price(asset_id=token) for token in market.tokens}
    batch = public.get_last_trade_prices(asset_ids=list(market.tokens))
    assert {row.asset_id: row.price for row in batch} == {
        token: last.price for token, last in single.items() if last
    }


def test_pm_pages_through_all_events_once(public, listings):
    events = list(public.list_events(closed=False, page_size=1).iter_items())
    assert len({event.id for event in events}) == len(events)
    found = {market.id for event in events for market in event.markets}
    assert {one.gamma_id for sort in listings.values() for one in sort} <= found


@each_sort
def test_pm_finds_a_market_by_condition_id_and_slug(public, market):
    (by_condition,) = public.list_markets(condition_ids=market.condition_id).iter_items()
    assert by_condition.id == public.get_market(id=market.gamma_id).id == market.gamma_id
    assert by_condition.id == public.get_market(slug=market.slug).id
    outcomes = by_condition.outcomes
    ids = "position_id" if market.structured else "token_id"
    assert (getattr(outcomes.yes, ids), getattr(outcomes.no, ids)) == market.tokens
    assert by_condition.trading.minimum_tick_size == market.tick


def test_pm_open_markets_are_not_among_the_closed(public, market):
    listed = public.list_markets(condition_ids=market.condition_id, closed=True).iter_items()
    assert list(listed) == []


@each_kind
@each_sort
def test_pm_resting_order_is_accepted_and_read_back(client, kind, market):
    order_id = pm_rest(client, market)
    order = client.get_order(order_id=order_id)
    assert order.maker_address.lower() == str(client.wallet).lower()
    assert (order.asset_id, order.side, order.price) == (market.yes, "BUY", market.tick)
    assert (order.original_size, order.size_matched) == (market.min_size, 0)
    assert order_id in pm_open(client, asset_id=market.yes)


@each_kind
@each_sort
def test_pm_market_buy_is_bounded_and_settles(client, kind, market):
    cash, held = pm_balance(client), pm_balance(client, market)
    price = client.get_order_book(asset_id=market.yes).asks[-2].price  # the best may be nearly gone
    answer = client.place_market_order(
        asset_id=market.yes, side="BUY", amount=10 * price, max_price=price, order_type="FOK"
    )
    assert answer.status == "matched", answer
    assert client.wait_for_order_fill_settlement(answer)
    bought, spent = pm_balance(client, market) - held, cash - pm_balance(client)
    assert bought >= 10 * UNIT
    assert 0 < spent <= 10 * price * UNIT + bought * FEE_AT_MOST


def test_pm_market_sell_gives_the_shares_back(client, market):
    bought = client.place_market_order(asset_id=market.yes, side="BUY", amount=10)
    client.wait_for_order_fill_settlement(bought)
    cash, held = pm_balance(client), pm_balance(client, market)
    sold = client.place_market_order(asset_id=market.yes, side="SELL", shares=5)
    assert sold.status == "matched", sold
    client.wait_for_order_fill_settlement(sold)
    assert pm_balance(client, market) == held - 5 * UNIT
    assert pm_balance(client) > cash


def test_pm_trade_list_holds_both_sides_of_a_fill(client, market):
    answer = client.place_market_order(asset_id=market.yes, side="BUY", amount=10)
    (trade,) = client.list_account_trades(id=answer.trade_ids[0]).iter_items()
    assert (trade.taker_order_id, trade.trader_side) == (answer.order_id, "TAKER")
    assert sum(maker.matched_amount for maker in trade.maker_orders) == trade.size


def test_pm_dated_order_is_accepted(client, market):
    until = int(time.time()) + 600
    order_id = pm_rest(client, market, expiration=until)
    order = client.get_order(order_id=order_id)
    assert (order.order_type, order.expires_at.timestamp()) == ("GTD", until)


def test_pm_post_only_order_rests_or_is_refused(client, pm, market):
    pm_rest(client, market, post_only=True)
    ask = client.get_order_book(asset_id=market.yes).asks[-1].price
    with pytest.raises(pm.RequestRejectedError, match="order crosses book") as refusal:
        client.place_limit_order(
            asset_id=market.yes, side="BUY", price=ask, size=market.min_size, post_only=True
        )
    assert refusal.value.status == 400


def test_pm_batch_tells_accepted_from_rejected(client, pm, market):
    def order(size: Decimal) -> Any:
        return client.create_limit_order(
            asset_id=market.yes, side="BUY", price=market.tick, size=size
        )

    accepted, rejected = client.post_orders([order(market.min_size), order(Decimal(1))])
    assert accepted.ok
    assert isinstance(rejected, pm.RejectedOrder)
    assert "lower than the minimum" in rejected.message


def test_pm_order_beyond_the_balance_is_refused_for_the_balance(client, pm, market):
    """Words about the allowance would make the client approve something and try again."""
    with pytest.raises(pm.RequestRejectedError) as refusal:
        pm_rest(client, market, size=10**9)
    assert "not enough balance / allowance" in str(refusal.value)
    assert "allowance is not enough" not in str(refusal.value)


def test_pm_cancels_one_some_by_market_and_all(client, listings):
    here, there = listings["standard"][0], listings["structured"][0]
    first, second, third, fourth = (pm_rest(client, here) for _ in range(4))
    other = pm_rest(client, there)
    assert client.cancel_order(order_id=first).canceled == (first,)
    assert set(client.cancel_orders(order_ids=[second, first]).canceled) == {second}
    assert set(client.cancel_market_orders(market=here.condition_id).canceled) == {third, fourth}
    assert other in pm_open(client)
    assert other in client.cancel_all().canceled
    assert pm_open(client) == set()


def test_pm_order_cancelled_twice_says_why(client, market):
    order_id = pm_rest(client, market)
    client.cancel_order(order_id=order_id)
    answer = client.cancel_order(order_id=order_id)
    assert answer.canceled == ()
    assert answer.not_canceled[order_id]


def test_pm_wrong_heartbeat_raises_with_the_expected_id(pm, account, funded):
    born = account | {"credentials": None, "nonce": 13}
    with pm.SecureClient.create(wallet=funded[3], **born) as client:
        with pytest.raises(pm.OrderHeartbeatMismatchError) as refusal:
            client.send_order_heartbeat(heartbeat_id="d2719ab0-b4c4-4d6e-9f4f-000000000000")
        beat = client.send_order_heartbeat(heartbeat_id=refusal.value.heartbeat_id)
        assert client.send_order_heartbeat(heartbeat_id=beat.heartbeat_id).heartbeat_id


def test_pm_account_questions_without_news_have_their_empty_answers(client, market):
    assert client.get_closed_only_mode() is False
    assert isinstance(client.get_notifications(), tuple)
    order_id = pm_rest(client, market)
    one = client.get_order_scoring(order_id=order_id)
    assert client.get_orders_scoring(order_ids=[order_id]) == {order_id: one}


def test_pm_rate_limit_state_reaches_its_listener(pm, account, funded, market):
    heard: list[Any] = []
    with pm.SecureClient.create(
        wallet=funded[3], on_rate_limit_update=heard.append, **account
    ) as client:
        client.cancel_order(order_id=pm_rest(client, market))
    assert heard


@each_kind
@each_sort
def test_pm_split_and_merge_leave_everything_as_it_was(client, kind, market):
    cash, sets = pm_balance(client), pm_sets(client, market)
    amount = 3 * UNIT
    client.split_position(condition_id=market.condition_id, amount=amount).wait()
    eventually(lambda: pm_sets(client, market) == (sets[0] + amount, sets[1] + amount))
    assert pm_balance(client) == cash - amount
    client.merge_positions(condition_id=market.condition_id, amount=amount).wait()
    eventually(lambda: pm_sets(client, market) == sets)
    assert pm_balance(client) == cash


def test_pm_merge_of_more_than_is_held_is_refused(client, pm, market):
    client.split_position(condition_id=market.condition_id, amount=UNIT).wait()
    with pytest.raises(pm.UserInputError):
        client.merge_positions(condition_id=market.condition_id, amount=10**15)


@pytest.mark.parametrize("kind", [1, 2, 3], ids=["POLY_PROXY", "GNOSIS_SAFE", "DEPOSIT_WALLET"])
def test_pm_batch_of_calls_runs_as_one_transaction(client, kind, listings):
    here, there = listings["standard"][0], listings["neg_risk"][0]
    for market in (here, there):
        client.split_position(condition_id=market.condition_id, amount=UNIT).wait()
    before = pm_balance(client)
    client.merge_multiple_positions(
        positions=[{"condition_id": one.condition_id, "amount": UNIT} for one in (here, there)]
    ).wait()
    eventually(lambda: pm_balance(client) == before + 2 * UNIT)


def conversion(client: Any, chosen: list[Listing], amount: int) -> Any:
    """Return the call that turns `amount` NO of each market into collateral and the other YES."""
    from eth_abi import encode
    from eth_utils import keccak
    from polymarket.calls import TransactionCall

    selector = keccak(text="convertPositions(bytes32,uint256,uint256)")[:4]
    index_set = sum(1 << int(market.question_id[-2:], 16) for market in chosen)
    group = bytes.fromhex(chosen[0].group_id.removeprefix("0x"))
    data = selector + encode(["bytes32", "uint256", "uint256"], [group, index_set, amount])
    adapter = client.environment._config.neg_risk_collateral_adapter
    return TransactionCall(to=adapter, data="0x" + data.hex())


@each_kind
def test_pm_converted_no_pays_collateral_and_the_other_yes(client, exchange, kind, listings):
    markets = listings["neg_risk"]
    group = [one for one in markets if one.group_id == markets[0].group_id]
    assert len(group) >= 3, "the scenario lists no neg-risk event of three markets"
    chosen, other, amount = group[:2], group[2], 2 * UNIT
    for market in chosen:
        client.split_position(condition_id=market.condition_id, amount=amount).wait()
    cash, held = pm_balance(client), pm_balance(client, other)
    no = [pm_balance(client, market, market.no) for market in chosen]
    client.execute_transaction(calls=[conversion(client, chosen, amount)]).wait()
    eventually(lambda: pm_balance(client, other) == held + amount)
    assert pm_balance(client) == cash + amount
    assert [pm_balance(client, m, m.no) for m in chosen] == [before - amount for before in no]


def test_pm_positions_agree_with_the_balances(client, market):
    client.split_position(condition_id=market.condition_id, amount=2 * UNIT).wait()

    def rows() -> dict[str, int]:
        listed = client.list_positions(condition_id=market.condition_id).iter_items()
        return {row.asset_id: int(row.current_size * UNIT) for row in listed}

    eventually(lambda: rows() == dict(zip(market.tokens, pm_sets(client, market), strict=True)))


def test_pm_failed_transaction_is_reported_as_failed(client, pm, market):
    """A merge that the books of the venue do not allow fails on the chain, not at the relayer."""
    from polymarket.calls import ctf_merge_positions_call

    config = client.environment._config
    call = ctf_merge_positions_call(
        target=config.collateral_adapter,
        collateral=config.collateral_token,
        condition_id=market.condition_id,
        amount=10**15,
    )
    with pytest.raises(pm.TransactionFailedError):
        client.execute_transaction(calls=[call]).wait()


# --- streams ------------------------------------------------------------------------------------


async def until(handle: Any, wanted: Callable[[Any], Any], within_s: float = 10) -> Any:
    """Return the first event that is `wanted`."""
    async with asyncio.timeout(within_s):
        async for event in handle:
            if wanted(event):
                return event
    raise AssertionError("the stream ended")


def of(kind: str, token: str = "") -> Callable[[Any], bool]:
    def wanted(event: Any) -> bool:
        return event.type == kind and (not token or event.payload.asset_id == token)

    return wanted


@pytest.fixture
def streams(pm: Any, account: dict[str, Any], clients: dict[int, Any]) -> Any:
    """Return a context that makes an asynchronous client; streams exist on no other."""

    async def make() -> Any:
        return await pm.AsyncSecureClient.create(wallet=str(clients[3].wallet), **account)

    class Context:
        async def __aenter__(self) -> Any:
            self.client = await make()
            return self.client

        async def __aexit__(self, *_: object) -> None:
            await self.client.cancel_all()
            await self.client.close()

    return Context


@each_sort
@pytest.mark.asyncio
async def test_pm_market_stream_opens_with_the_books(streams, market):
    from polymarket.streams import MarketSpec

    async with streams() as client:
        handle = await client.subscribe(MarketSpec(asset_ids=market.tokens))
        book = await until(handle, of("book", market.yes))
        rest = await client.get_order_book(asset_id=market.yes)
        assert sorted(level.price for level in book.payload.bids) == [
            level.price for level in rest.bids
        ]
        await handle.close()


@pytest.mark.asyncio
async def test_pm_market_stream_tells_each_order_to_both_tokens(streams, market):
    from polymarket.streams import MarketSpec

    async with streams() as client:
        handle = await client.subscribe(MarketSpec(asset_ids=market.tokens))
        await until(handle, of("book", market.no))
        await client.place_limit_order(
            asset_id=market.yes, side="BUY", price=market.tick, size=market.min_size
        )
        change = await until(handle, of("price_change"))
        told = {(c.asset_id, c.side, c.price) for c in change.payload.price_changes}
        assert told == {
            (market.yes, "BUY", market.tick),
            (market.no, "SELL", 1 - market.tick),
        }
        await handle.close()


@pytest.mark.asyncio
async def test_pm_market_stream_reports_a_trade(streams, market):
    from polymarket.streams import MarketSpec

    async with streams() as client:
        handle = await client.subscribe(MarketSpec(asset_ids=[market.yes]))
        await until(handle, of("book"))
        await client.place_market_order(asset_id=market.yes, side="BUY", amount=10)
        trade = await until(handle, of("last_trade_price"))
        assert trade.payload.side == "BUY"
        assert trade.payload.size > 0
        await handle.close()


@pytest.mark.asyncio
async def test_pm_custom_features_add_the_top_of_the_book(streams, market):
    from polymarket.streams import MarketSpec

    async with streams() as client:
        handle = await client.subscribe(
            MarketSpec(asset_ids=[market.yes], custom_feature_enabled=True)
        )
        book = await until(handle, of("book"))
        bid = max(level.price for level in book.payload.bids)
        ask = min(level.price for level in book.payload.asks)
        assert ask - bid > market.tick, "the quiet book is too tight for this test"
        await client.place_limit_order(
            asset_id=market.yes, side="BUY", price=bid + market.tick, size=market.min_size
        )
        top = await until(handle, of("best_bid_ask", market.yes))
        assert (top.payload.best_bid, top.payload.best_ask) == (bid + market.tick, ask)
        await handle.close()


@pytest.mark.asyncio
async def test_pm_market_stream_takes_tokens_later(streams, listings):
    from polymarket.streams import MarketSpec

    here, there = listings["standard"][0], listings["neg_risk"][0]
    async with streams() as client:
        first = await client.subscribe(MarketSpec(asset_ids=[here.yes]))
        await until(first, of("book", here.yes))
        second = await client.subscribe(MarketSpec(asset_ids=[there.yes]))
        await until(second, of("book", there.yes))
        await second.close()
        await first.close()


@each_sort
@pytest.mark.asyncio
async def test_pm_user_stream_follows_an_order_to_its_end(streams, market):
    from polymarket.streams import UserSpec

    async with streams() as client:
        handle = await client.subscribe(UserSpec())
        answer = await client.place_limit_order(
            asset_id=market.yes, side="BUY", price=market.tick, size=market.min_size
        )
        placed = await until(handle, of("order"))
        assert placed.payload.order_event_type == "PLACEMENT"
        assert placed.payload.id == answer.order_id
        await client.cancel_order(order_id=answer.order_id)
        gone = await until(handle, of("order"))
        assert gone.payload.order_event_type == "CANCELLATION"
        assert gone.payload.id == answer.order_id
        await handle.close()


@pytest.mark.asyncio
async def test_pm_user_stream_follows_a_trade_to_its_confirmation(streams, market):
    from polymarket.streams import UserSpec

    async with streams() as client:
        handle = await client.subscribe(UserSpec(markets=[market.condition_id]))
        answer = await client.place_market_order(asset_id=market.yes, side="BUY", amount=10)

        def confirmed(event: Any) -> bool:
            return (
                event.type == "trade"
                and event.payload.id in answer.trade_ids
                and event.payload.status == "CONFIRMED"
            )

        trade = await until(handle, confirmed)
        assert trade.payload.taker_order_id == answer.order_id
        assert trade.payload.transaction_hash
        await handle.close()


@pytest.mark.asyncio
async def test_pm_user_stream_names_the_makers_part_of_a_fill(streams, make_newcomer, market):
    """The maker sees the taker's trade, with his own order among its makers."""
    from polymarket.streams import UserSpec

    newcomer = make_newcomer("taker")
    newcomer.setup_trading_approvals()
    async with streams() as client:
        handle = await client.subscribe(UserSpec())
        book = await client.get_order_book(asset_id=market.yes)
        bid, ask = book.bids[-1].price, book.asks[-1].price
        assert ask - bid > market.tick, "the quiet book is too tight for this test"
        mine = await client.place_limit_order(
            asset_id=market.yes, side="BUY", price=bid + market.tick, size=market.min_size
        )
        newcomer.place_limit_order(
            asset_id=market.no, side="BUY", price=1 - bid - market.tick, size=market.min_size
        )
        trade = await until(handle, of("trade"))
        assert trade.payload.trader_side == "MAKER"
        part = next(x for x in trade.payload.maker_orders if x.order_id == mine.order_id)
        assert (part.asset_id, part.side, part.price) == (market.yes, "BUY", bid + market.tick)
        assert part.matched_amount == market.min_size
        await handle.close()


@pytest.mark.asyncio
async def test_pm_user_stream_of_a_market_is_silent_about_others(streams, listings):
    from polymarket.streams import UserSpec

    here, there = listings["standard"][0], listings["structured"][0]
    async with streams() as client:
        handle = await client.subscribe(UserSpec(markets=[there.condition_id]))
        for market in (here, there):
            await client.place_limit_order(
                asset_id=market.yes, side="BUY", price=market.tick, size=market.min_size
            )
        first = await until(handle, of("order"))
        assert first.payload.condition_id == there.condition_id
        await handle.close()


# --- last, because a resolved market does not come back ----------------------------------------


def resolve(exchange: Any, market: Listing) -> None:
    """Let YES win in one market, and NO in the others of its event: they resolve together."""
    event = exchange.get(f"{exchange.gamma_url}/events/slug/{market.event}")
    ids = [one["conditionId"] for one in event["markets"]]
    winners = [int(one != market.condition_id) for one in ids]
    exchange.command("resolve", event=market.event, winners=winners)


@pytest.fixture(scope="module", params=SORTS)
def resolved(request, exchange, listings, clients) -> Listing:
    """Give every wallet two sets of a market that no other test needs, then let YES win."""
    first, last = listings[request.param][0], listings[request.param][-1]
    assert last.event != first.event, f"the scenario lists one {request.param} event"
    for client in clients.values():
        client.split_position(condition_id=last.condition_id, amount=2 * UNIT).wait()
    resolve(exchange, last)
    return last


@each_kind
def test_pm_winning_shares_are_redeemed_for_one_each(clients, resolved, kind):
    client = clients[kind]
    cash, (won, lost) = pm_balance(client), pm_sets(client, resolved)
    assert (won, lost) == (2 * UNIT, 2 * UNIT)
    client.redeem_positions(condition_id=resolved.condition_id).wait()
    eventually(lambda: pm_balance(client) == cash + won)
    assert pm_sets(client, resolved) == (0, 0)


def test_pm_resolved_market_is_listed_as_closed_only(public, resolved):
    ids = {"condition_ids": resolved.condition_id}
    assert [m.id for m in public.list_markets(closed=True, **ids).iter_items()] == [
        resolved.gamma_id
    ]
    assert list(public.list_markets(closed=False, **ids).iter_items()) == []
