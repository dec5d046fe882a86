"""The account from Python: what is refused, with which words, and what survives."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarb import errors
from polyarb.core.account import (
    CASH_MAX_E6,
    STAMP_MS_MIN,
    Account,
    AccountView,
    BreakerLimits,
    ErrorRate,
    Reason,
)
from polyarb.core.arena import Arena

NOW_MS = STAMP_MS_MIN + 1_000_000
LIMITS = BreakerLimits(
    daily_loss_e6=100,
    open_positions=2,
    consecutive_errors=3,
    error_rate=ErrorRate(permille=500, samples_min=10, window_ms=60_000),
    cooldown_ms=1000,
)

HALT = """
import sys
from polyarb.core.account import Account
from polyarb.core.arena import Arena
with Arena.operate(sys.argv[1]) as arena:
    Account(arena).breaker.disable()
"""


@pytest.fixture
def account() -> Account:
    return Account(Arena.create(None))


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_c_account(c_program: Callable[..., str], flavour: str) -> None:
    assert "account: ok" in c_program("unit/csrc/test_account.c", flavour)


@pytest.mark.parametrize("flavour", ["plain", "thread"])
def test_account_under_contention_and_kill(c_program: Callable[..., str], flavour: str) -> None:
    assert "account stress: ok" in c_program("stress/stress_account.c", flavour)


def test_a_part_keeps_the_memory_mapped() -> None:
    balance = Account(Arena.create(None)).balance
    balance.credit(5)
    assert balance.available_e6 == 5


@pytest.mark.parametrize("name", ["reserve", "release", "commit", "credit"])
@pytest.mark.parametrize("amount", [-1, 0, CASH_MAX_E6 + 1, 2**70])
def test_an_amount_outside_its_range_names_both(account: Account, name: str, amount: int) -> None:
    with pytest.raises(errors.RangeError, match=rf"^amount_e6 {amount} is outside 1\.\.10{{16}}$"):
        getattr(account.balance, name)(amount)


@pytest.mark.parametrize("amount", [1.0, True, None, "1"])
def test_money_is_an_int(account: Account, amount: object) -> None:
    for call in (account.balance.reserve, account.balance.reconcile, account.balance.credit):
        with pytest.raises(errors.ArgumentTypeError, match=type(amount).__name__):
            call(amount)  # type: ignore[arg-type]


def test_a_refused_reservation_names_needed_and_available(account: Account) -> None:
    account.balance.credit(100)
    with pytest.raises(errors.FundsError, match="amount_e6 101 is needed, 100 is available"):
        account.balance.reserve(101)
    assert account.balance.available_e6 == 100


def test_a_mistaken_release_names_what_is_held(account: Account) -> None:
    account.balance.credit(100)
    account.balance.reserve(40)
    for call in (account.balance.release, account.balance.commit):
        with pytest.raises(errors.RangeError, match="amount_e6 41 is more than is held, 40"):
            call(41)


def test_a_shortfall_is_named(account: Account) -> None:
    account.balance.credit(100)
    account.balance.reserve(60)
    with pytest.raises(errors.FundsError, match="exchange_cash_e6 50 is 10 short of what is held"):
        account.balance.reconcile(50)
    with pytest.raises(errors.FundsError, match="amount_e6 60 is needed, cash is 50"):
        account.balance.commit(60)


def test_cash_stops_at_its_limit(account: Account) -> None:
    account.balance.credit(CASH_MAX_E6 - 7)
    with pytest.raises(errors.RangeError, match=r"amount_e6 8 is outside 1\.\.7"):
        account.balance.credit(8)


def test_stamps_survive_a_restart_on_the_same_file(tmp_path: Path) -> None:
    with Arena.create(tmp_path / "arena") as arena:
        stamps = Account(arena).stamps
        stamps.begin(7)
        last = stamps.issue(15, NOW_MS)[-1].timestamp_ms
        del stamps
    with Arena.own(tmp_path / "arena") as arena:
        stamps = Account(arena).stamps
        stamps.begin(8)
        assert stamps.issue(1, NOW_MS - 5000)[0].timestamp_ms == last + 1
        assert stamps.ahead_ms(NOW_MS - 5000) == 5015


def test_stamps_survive_a_restart_by_the_journal(account: Account) -> None:
    account.stamps.begin(4095, NOW_MS + 50)
    assert account.stamps.issue(2, NOW_MS) == [
        (stamp, (stamp - STAMP_MS_MIN) << 12 | 4095) for stamp in (NOW_MS + 51, NOW_MS + 52)
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: a.stamps.begin(4096), "tag 4096 is outside 0..4095"),
        (lambda a: a.stamps.begin(0, 5), "last_known_ms 5 is outside"),
        (lambda a: a.stamps.issue(16, NOW_MS), "count 16 is outside 1..15"),
        (lambda a: a.stamps.issue(1, 5), "now_ms 5 is outside"),
        (lambda a: a.nonce.issue_many(0), "count 0 is outside 1..15"),
        (lambda a: a.nonce.initialize(-1), "nonce -1 is outside"),
        (lambda a: a.nonce.handle_conflict(2**63), "server_nonce .* is outside"),
        (lambda a: a.balance.restore(5, 6), "held_e6 6 is outside 0..5"),
        (lambda a: a.breaker.record_pnl(1, 0, 0), "unix_day 0 is outside 1..65535"),
        (lambda a: a.breaker.record_pnl(10**15, 1, 0), "pnl_e6 10{15} is outside"),
        (lambda a: a.breaker.can_execute(-1), "now_ns -1 is outside"),
        (lambda a: a.breaker.position_closed(), "open_positions is 0"),
        (lambda a: a.breaker.reset(Reason.TRADING_OFF), "reason trading_off is no trip"),
        (lambda a: a.breaker.trip(Reason.DAILY_LOSS, 0), "not one of manual, stranded"),
    ],
)
def test_refusals_name_value_and_bound(
    account: Account, call: Callable[[Account], object], words: str
) -> None:
    with pytest.raises(errors.RangeError, match=words):
        call(account)


def test_the_last_stamps_are_counted(account: Account) -> None:
    account.stamps.begin(0, 3_776_860_055_549)
    with pytest.raises(errors.RangeError, match=r"count 3 is outside 1\.\.2"):
        account.stamps.issue(3, NOW_MS)


def test_limits_must_be_said() -> None:
    with pytest.raises(TypeError):
        BreakerLimits(daily_loss_e6=1, cooldown_ms=1)  # type: ignore[call-arg]
    for name in ("daily_loss_e6", "open_positions", "consecutive_errors"):
        with pytest.raises(errors.RangeError, match=rf"{name} 0 is outside 1\.\."):
            BreakerLimits(
                **{
                    "daily_loss_e6": None,
                    "open_positions": None,
                    "consecutive_errors": None,
                    name: 0,
                },
                error_rate=None,
                cooldown_ms=1,
            )
    with pytest.raises(errors.RangeError, match=r"error_rate.window_ms 999 is outside 1000"):
        ErrorRate(permille=1, samples_min=1, window_ms=999)


def test_trading_needs_limits_and_the_switch(account: Account) -> None:
    with pytest.raises(errors.BlockedError, match="trading_off until limits are configured"):
        account.breaker.enable()
    account.breaker.configure(LIMITS, 0)
    with pytest.raises(errors.BlockedError, match=r"blocked: trading_off$"):
        account.breaker.require(0)
    account.breaker.enable()
    account.breaker.require(0)


def test_every_reason_in_force_is_named(account: Account) -> None:
    account.breaker.configure(LIMITS, 0)
    account.breaker.enable()
    account.breaker.record_pnl(-100, 20_000, 1)
    account.breaker.trip(Reason.STRANDED, 2)
    with pytest.raises(errors.BlockedError, match=r"blocked: daily_loss, stranded$"):
        account.breaker.require(3)
    state = account.breaker.snapshot(3)
    assert state.first is Reason.DAILY_LOSS
    assert state.trips[Reason.STRANDED].last_ns == 2
    assert state.limits == LIMITS


def test_reasons_are_those_of_the_core(account: Account) -> None:
    assert account.breaker.blocked(0) == (Reason.TRADING_OFF,)
    assert len(Reason) == 7


def test_a_view_reads_a_read_only_mapping(tmp_path: Path) -> None:
    with Arena.create(tmp_path / "arena") as arena, Arena.attach(tmp_path / "arena") as watched:
        view, account = AccountView(watched), Account(arena)
        account.balance.credit(9)
        account.stamps.issue(1, NOW_MS)
        account.nonce.initialize(4)
        account.breaker.configure(LIMITS, 0)
        for _ in range(3):
            account.breaker.record_result(error=True, now_ns=0)
        assert view.balance.snapshot().cash_e6 == 9
        assert (view.stamps.last_ms, view.nonce.current) == (NOW_MS, 4)
        assert view.breaker.limits == LIMITS
        # Looking at a cool-down that is over must not try to end it.
        assert view.breaker.blocked(10**12) == (Reason.TRADING_OFF,)
        assert view.breaker.snapshot(10**12).errors_in_row == 3
        with pytest.raises(errors.ArenaAccessError, match="read-only"):
            Account(watched)


def test_a_closed_arena_is_refused() -> None:
    arena = Arena.create(None)
    arena.close()
    for kind in (Account, AccountView):
        with pytest.raises(errors.ArenaAccessError, match="closed"):
            kind(arena)


def test_the_halt_switch_works_from_another_process(tmp_path: Path) -> None:
    path = tmp_path / "arena"
    with Arena.create(path) as arena:
        breaker = Account(arena).breaker
        breaker.configure(LIMITS, 0)
        breaker.enable()
        assert breaker.can_execute(0)
        subprocess.run([sys.executable, "-c", HALT, str(path)], check=True, timeout=60)
        assert breaker.blocked(0) == (Reason.TRADING_OFF,)
