"""Budgets that the exchange's own counting never has to refuse."""

import random
from collections import deque

import pytest

from polyarb import errors
from polyarb.domain.wire import HttpResponse
from polyarb.exchange.throttle import ENDPOINTS, TIERS, Bucket, Budget, Throttle, Window
from polyarb.sim.limits import PER_ADDRESS, AddressLimits, SignerLimits
from polyarb.sim.limits import TIERS as THEIR_TIERS

SECOND = 10**9
NOW = 1_000_000 * SECOND
WALL = 1_790_000_000 * SECOND


def heard(status: int = 200, body: bytes = b"{}", **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status=status, headers=named, body=body)


def test_tiers_and_windows_are_the_exchanges() -> None:
    assert dict(TIERS) == THEIR_TIERS
    for endpoint, row in ENDPOINTS.items():
        if endpoint in PER_ADDRESS:
            assert row.windows[0][0] <= PER_ADDRESS[endpoint], endpoint


def test_orders_are_counted_not_requests_and_come_back_with_time() -> None:
    throttle = Throttle(NOW, kept_percent=0)
    for _ in range(4):
        assert throttle.take("POST /orders", 15, NOW) == 0
    wait_ns = throttle.take("POST /orders", 15, NOW)
    assert wait_ns == 15 * SECOND // 40
    assert throttle.take("POST /orders", 15, NOW + wait_ns - 1) == 1
    assert throttle.take("POST /orders", 15, NOW + wait_ns) == 0
    assert throttle.tokens(Budget.ORDERS, NOW + wait_ns) == 0


def test_a_batch_is_admitted_whole_or_not_at_all() -> None:
    throttle = Throttle(NOW, kept_percent=0)
    assert throttle.take("POST /orders", 50, NOW) == 0
    assert throttle.take("POST /orders", 11, NOW) > 0
    assert throttle.tokens(Budget.ORDERS, NOW) == 10
    assert throttle.take("POST /order", 1, NOW) == 0
    assert throttle.tokens(Budget.ORDERS, NOW) == 9


def test_the_last_share_is_for_what_ends_risk() -> None:
    throttle = Throttle(NOW, kept_percent=20)
    taken = 0
    while throttle.take("POST /orders", 1, NOW) == 0:
        taken += 1
    assert taken == 48
    assert throttle.take("POST /orders", 12, NOW, urgent=True) == 0
    assert throttle.take("POST /orders", 1, NOW, urgent=True) > 0
    assert throttle.take("DELETE /orders", 120, NOW, urgent=True) == 0


def test_an_endpoint_keeps_a_share_too() -> None:
    throttle = Throttle(NOW, kept_percent=20)
    taken = 0
    while throttle.take("GET /balance-allowance/update", 1, NOW) == 0:
        taken += 1
    assert taken == 40
    assert throttle.take("GET /balance-allowance/update", 1, NOW, urgent=True) == 0


def test_more_than_a_burst_waits_for_all_of_it() -> None:
    throttle = Throttle(NOW)
    assert throttle.take("DELETE /orders", 1_000, NOW, urgent=True) == 0
    assert throttle.take("DELETE /order", 1, NOW, urgent=True) == (1_000 - 120 + 1) * SECOND // 80


def test_bulk_cancels_pay_for_what_they_ended() -> None:
    throttle = Throttle(NOW)
    assert throttle.take("DELETE /cancel-all", 1, NOW, urgent=True) == 0
    throttle.charge("DELETE /cancel-all", 200, NOW)
    assert throttle.tokens(Budget.CANCELS, NOW) == -81
    throttle.charge("GET /time", 5, NOW)


def test_what_the_exchange_says_is_left_overrules_ours() -> None:
    throttle = Throttle(NOW, kept_percent=0)
    throttle.heard("POST /order", heard(poly_ratelimit_remaining="3"), NOW, WALL)
    assert throttle.tokens(Budget.ORDERS, NOW) == 3
    throttle.heard("POST /order", heard(poly_ratelimit_remaining="50"), NOW, WALL)
    assert throttle.tokens(Budget.ORDERS, NOW) == 3, "what is on its way is not counted there yet"
    throttle.heard("DELETE /order", heard(poly_ratelimit_remaining="-7"), NOW, WALL)
    assert throttle.tokens(Budget.CANCELS, NOW) == -7
    for odd in ("", "many", "1.5", "9" * 30, "--1"):
        throttle.heard("POST /order", heard(poly_ratelimit_remaining=odd), NOW, WALL)
    assert throttle.tokens(Budget.ORDERS, NOW) == 3


def test_the_tier_is_what_the_headers_say() -> None:
    throttle = Throttle(NOW, kept_percent=0)
    throttle.heard("POST /order", heard(poly_ratelimit_tier="Gold"), NOW, WALL)
    assert throttle.tier == "Gold"
    assert throttle.tokens(Budget.ORDERS, NOW) == 600
    throttle.heard("POST /order", heard(poly_ratelimit_tier="Wood"), NOW, WALL)
    assert throttle.tier == "Gold"
    assert throttle.take("POST /orders", 590, NOW) == 0
    throttle.heard("POST /order", heard(poly_ratelimit_tier="Standard"), NOW, WALL)
    assert throttle.tokens(Budget.ORDERS, NOW) == 10


def test_warnings_are_counted() -> None:
    throttle = Throttle(NOW)
    for said in ("true", "True", "false", ""):
        throttle.heard("POST /order", heard(poly_ratelimit_warning=said), NOW, WALL)
    assert throttle.warnings == 2


@pytest.mark.parametrize(
    ("retry_after", "wait_ns"),
    [("3", 3 * SECOND), ("Mon, 21 Sep 2026 14:13:30 GMT", 10 * SECOND), ("9" * 12, 600 * SECOND)],
)
def test_retry_after_is_obeyed_on_that_endpoint(retry_after: str, wait_ns: int) -> None:
    throttle = Throttle(NOW)
    throttle.heard("GET /data/orders", heard(429, retry_after=retry_after), NOW, WALL)
    assert throttle.take("GET /data/orders", 1, NOW, urgent=True) == wait_ns
    assert throttle.take("GET /data/trades", 1, NOW) == 0
    assert throttle.take("GET /data/orders", 1, NOW + wait_ns) == 0


def test_the_signers_limit_holds_for_single_and_batch_alike() -> None:
    throttle = Throttle(NOW)
    answer = heard(429, retry_after="2", poly_ratelimit_remaining="0")
    throttle.heard("POST /orders", answer, NOW, WALL)
    assert throttle.take("POST /order", 1, NOW, urgent=True) == 2 * SECOND
    assert throttle.take("DELETE /order", 1, NOW, urgent=True) == 0


def test_without_being_told_it_waits_ever_longer_until_it_works() -> None:
    throttle, now = Throttle(NOW), NOW
    waits = []
    for _ in range(7):
        throttle.heard("POST /order", heard(429), now, WALL)
        waits.append(throttle.wait_ns("POST /order", 1, now) // SECOND)
        now += waits[-1] * SECOND
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    throttle.heard("POST /order", heard(200), now, WALL)
    throttle.heard("POST /order", heard(429), now, WALL)
    assert throttle.wait_ns("POST /order", 1, now) == SECOND


def test_a_restart_pauses_orders_and_cancels_but_no_reads() -> None:
    throttle = Throttle(NOW)
    throttle.heard("POST /orders", heard(425, retry_after="90"), NOW, WALL)
    for endpoint in ("POST /order", "POST /orders", "DELETE /order", "DELETE /cancel-all"):
        assert throttle.take(endpoint, 1, NOW, urgent=True) == 90 * SECOND
    assert throttle.take("GET /data/orders", 1, NOW) == 0


def test_a_server_error_neither_pauses_nor_ends_a_pause() -> None:
    throttle = Throttle(NOW)
    throttle.heard("POST /order", heard(429), NOW, WALL)
    throttle.heard("POST /order", heard(500), NOW, WALL)
    throttle.heard("POST /order", heard(429), NOW + SECOND, WALL)
    assert throttle.wait_ns("POST /order", 1, NOW + SECOND) == 2 * SECOND


@pytest.mark.parametrize("seed", range(20))
def test_the_exchanges_buckets_never_refuse_what_ours_admits(seed: int) -> None:
    rng = random.Random(seed)
    tier = rng.choice(list(TIERS))
    throttle, theirs = Throttle(NOW, tier=tier), SignerLimits(tier)
    now, admitted = NOW, 0
    for _ in range(3_000):
        now += rng.choice((0, 1, 1_000, 10**6, 10**7, 10**8))
        cancel, cost = rng.random() < 0.3, rng.randint(1, 15)
        endpoint = "DELETE /orders" if cancel else "POST /orders"
        bucket = theirs.bucket("eoa", cancel, now)
        if throttle.take(endpoint, cost, now, urgent=rng.random() < 0.5) == 0:
            admitted += 1
            assert bucket.tokens >= min(cost, bucket.burst)
            bucket.level -= cost * SECOND
    assert admitted > 100


@pytest.mark.parametrize("seed", range(20))
def test_a_window_never_lets_more_through_than_any_span_allows(seed: int) -> None:
    rng = random.Random(seed)
    limit, span_ns = rng.randint(1, 50), 10 * SECOND
    window, seen, now, taken = Window(limit, span_ns), deque[int](), NOW, 0
    for _ in range(2_000):
        now += rng.choice((0, 1, 10**6, 10**8, 5 * 10**8, 3 * SECOND))
        wait_ns = window.wait_ns(0, now)
        while seen and seen[0] <= now - span_ns:
            seen.popleft()
        if wait_ns == 0:
            assert len(seen) < limit
            window.count(1, now)
            seen.append(now)
            taken += 1
        else:
            assert window.wait_ns(0, now + wait_ns) == 0, "it need not wait longer than it said"
            now += wait_ns
    assert taken > limit


def test_windows_agree_with_the_exchanges_own() -> None:
    theirs, throttle, now = AddressLimits(), Throttle(NOW, kept_percent=0), NOW
    rng = random.Random(5)
    for _ in range(5_000):
        now += rng.choice((0, 10**5, 10**7))
        if throttle.take("GET /balance-allowance", 1, now) == 0:
            assert theirs.exceeded("peer", "GET /balance-allowance", now) is None


def test_a_clock_that_stands_still_or_goes_back_earns_nothing() -> None:
    bucket = Bucket(40, 60, NOW)
    bucket.spend(60, NOW)
    assert bucket.tokens(NOW - SECOND) == 0
    assert bucket.tokens(NOW) == 0
    assert bucket.tokens(NOW + SECOND) == 40


def test_bad_settings_are_refused() -> None:
    with pytest.raises(errors.RangeError, match="'Wood' is none of Standard"):
        Throttle(NOW, tier="Wood")
    with pytest.raises(errors.RangeError, match="kept_percent"):
        Throttle(NOW, kept_percent=91)


def test_what_was_there_once_is_there_until_something_is_taken_or_heard() -> None:
    """The remembered answer is the one that looking again would give."""
    rng = random.Random(3)
    throttle = Throttle(0)
    now_ns = remembered = 0
    for _ in range(4_000):
        now_ns += rng.choice((0, 0, SECOND // 500, SECOND // 2))
        endpoint = rng.choice(("POST /orders", "DELETE /orders", "POST /order"))
        cost, urgent = rng.randrange(1, 16), rng.random() < 0.3
        match rng.randrange(10):
            case 0:
                throttle.take(endpoint, cost, now_ns, urgent=urgent)
            case 1:
                throttle.charge(endpoint, cost, now_ns)
            case 2:
                left = {"poly-ratelimit-remaining": str(rng.randrange(-5, 40))}
                status = rng.choice((*(200,) * 30, 429, 425))
                throttle.heard(endpoint, HttpResponse(status=status, headers=left), now_ns, 0)
            case _:
                remembered += cost <= throttle._clear.get(endpoint, -1)
                told = throttle.wait_ns(endpoint, cost, now_ns, urgent=urgent)
                assert told == throttle._gates[endpoint].wait_ns(cost, 1, urgent, now_ns)
    assert remembered > 100, remembered
