"""
Balance, nonces, stamps and the breaker (csrc/account), in the arena's account section.

There are two halves. `AccountView` only reads and works on a read-only mapping, so that
monitors and reports cannot change anything by mistake; `Account` adds what changes. Both see
the same words: what one process writes, every other reads without a lock.

Times: ``now_ns`` is CLOCK_MONOTONIC, ``now_ms`` and stamps are Unix milliseconds, ``unix_day``
is Unix seconds // 86400. Amounts are micro-dollars (cash_e6).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena
from polyarb.core.base import INT64_MAX, check, integer

CASH_MAX_E6: Final[int] = lib.PA_CASH_MAX_E6
NONCE_MAX: Final[int] = lib.PA_NONCE_MAX
STAMP_MS_MIN: Final[int] = lib.PA_STAMP_MS_MIN
STAMP_MS_MAX: Final[int] = lib.PA_STAMP_MS_MAX
STAMP_TAG_MAX: Final[int] = lib.PA_STAMP_TAG_MAX


class Reason(enum.Enum):
    """Why trading is blocked; the value is the name the core gives it."""

    TRADING_OFF = "trading_off"
    MANUAL = "manual"
    DAILY_LOSS = "daily_loss"
    OPEN_POSITIONS = "open_positions"
    CONSECUTIVE_ERRORS = "consecutive_errors"
    ERROR_RATE = "error_rate"
    STRANDED = "stranded"


_REASONS: Final = tuple(
    Reason(ffi.string(lib.pa_reason_name(i)).decode("ascii")) for i in range(lib.PA_REASON_COUNT)
)
_INDEX: Final = {reason: index for index, reason in enumerate(_REASONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """
    A copy of the balance; each amount in micro-dollars, >= 0.

    Attributes:
        available_e6: What a reservation may take.
        cash_e6: All we own, what is held included.
        held_e6: Reserved, neither committed nor released.
        shortfall_e6: By how much holds exceed cash; 0 unless a reconciliation found less.
    """

    available_e6: int
    cash_e6: int
    held_e6: int
    shortfall_e6: int


class Stamp(NamedTuple):
    """What makes a V2 or V3 order unlike any other: Unix milliseconds, and a salt < 2**53."""

    timestamp_ms: int
    salt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    """
    Trip when errors reach a share of the results in a sliding window.

    Attributes:
        permille: 1..1000 errors in a thousand results.
        samples_min: 1..10000 results in the window before the share counts.
        window_ms: 1000..86400000; results leave it in steps of a sixteenth.
    """

    permille: int
    samples_min: int
    window_ms: int

    def __post_init__(self) -> None:
        integer("error_rate.permille", self.permille, 1, lib.PA_PERMILLE_MAX)
        integer("error_rate.samples_min", self.samples_min, 1, lib.PA_SAMPLES_MAX)
        integer("error_rate.window_ms", self.window_ms, lib.PA_WINDOW_MS_MIN, lib.PA_PERIOD_MS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """
    What trips the breaker. None means not limited, and has to be said: nothing has a default.

    Attributes:
        daily_loss_e6: Net loss of a UTC day that trips it, 1..10**14 micro-dollars.
        open_positions: How many are allowed, 1..1000000.
        consecutive_errors: Errors in a row that trip it, 1..1000000.
        error_rate: Share of errors that trips it.
        cooldown_ms: After which the last two end by themselves, 1..86400000.

    Raises:
        ArgumentTypeError, RangeError: Named after the limit.
    """

    daily_loss_e6: int | None
    open_positions: int | None
    consecutive_errors: int | None
    error_rate: ErrorRate | None
    cooldown_ms: int

    def __post_init__(self) -> None:
        for name, high in (
            ("daily_loss_e6", lib.PA_DAILY_LOSS_MAX_E6),
            ("open_positions", lib.PA_POSITIONS_MAX),
            ("consecutive_errors", lib.PA_ERRORS_MAX),
        ):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1, high)
        if self.error_rate is not None and not isinstance(self.error_rate, ErrorRate):
            kind = type(self.error_rate).__name__
            raise errors.ArgumentTypeError(f"error_rate must be an ErrorRate or None, not {kind}")
        integer("cooldown_ms", self.cooldown_ms, 1, lib.PA_PERIOD_MS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """When a reason last tripped (monotonic ns) and how often since the arena was laid out."""

    last_ns: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """
    A copy of the breaker for monitors; each value by itself, not all of one instant.

    Attributes:
        blocked: Reasons in force; empty: trading is allowed.
        first: The earliest trip in force, None without one.
        pnl_e6: Net result of `unix_day` in micro-dollars, profit above 0.
        unix_day: The newest UTC day seen, 0 for none.
        open_positions: How many are open.
        errors_in_row: Since the last success or cool-down.
        window_errors: Errors among the window's results.
        window_total: The window's results.
        cooldown_until_ns: When the cool-downs in force will be over, 0 without one.
        trips: By reason; only those that ever tripped.
        limits: None before the first configure.
    """

    blocked: tuple[Reason, ...]
    first: Reason | None
    pnl_e6: int
    unix_day: int
    open_positions: int
    errors_in_row: int
    window_errors: int
    window_total: int
    cooldown_until_ns: int
    trips: Mapping[Reason, Trip]
    limits: BreakerLimits | None


class _Part:
    """One part of an account; `account` is kept because it keeps the memory mapped."""

    __slots__ = ("_account", "cdata")

    def __init__(self, account: Any, part: Any) -> None:
        self._account = account
        self.cdata = part


class BalanceView(_Part):
    """How much collateral may still be promised, read only."""

    __slots__ = ()

    @property
    def available_e6(self) -> int:
        """Micro-dollars a reservation may take now, >= 0."""
        return int(lib.pa_balance_available(self.cdata))

    def snapshot(self) -> Funds:
        """Copy the balance."""
        out = ffi.new("pa_balance_snapshot *")
        lib.pa_balance_read(self.cdata, out)
        return Funds(
            available_e6=out.available_e6,
            cash_e6=out.cash_e6,
            held_e6=out.held_e6,
            shortfall_e6=out.shortfall_e6,
        )


class Balance(BalanceView):
    """Reserve before signing; commit what was filled; release the rest. Any thread, any process."""

    __slots__ = ()

    def reserve(self, amount_e6: int) -> None:
        """
        Hold `amount_e6` micro-dollars, 1..10**16.

        Raises:
            ArgumentTypeError, RangeError: Not such an amount.
            FundsError: Less is available; nothing is held.
        """
        amount = _amount(amount_e6)
        if lib.pa_balance_reserve(self.cdata, amount):
            raise errors.FundsError(
                f"amount_e6 {amount} is needed, {self.available_e6} is available"
            )

    def release(self, amount_e6: int) -> None:
        """
        Give `amount_e6` of a hold back.

        Raises:
            ArgumentTypeError, RangeError: Not an amount, or more than is held.
        """
        amount = _amount(amount_e6)
        if lib.pa_balance_release(self.cdata, amount):
            raise self._more_than_held(amount)

    def commit(self, amount_e6: int) -> None:
        """
        Spend `amount_e6` of a hold.

        Raises:
            ArgumentTypeError, RangeError: Not an amount, or more than is held.
            FundsError: Held, but a reconciliation has taken the cash; nothing changed.
        """
        amount = _amount(amount_e6)
        status = lib.pa_balance_commit(self.cdata, amount)
        if status == lib.PA_E_FUNDS:
            raise errors.FundsError(
                f"amount_e6 {amount} is needed, cash is {self.snapshot().cash_e6}"
            )
        if status:
            raise self._more_than_held(amount)

    def credit(self, amount_e6: int) -> None:
        """
        Add proceeds or a deposit of `amount_e6`.

        Raises:
            ArgumentTypeError, RangeError: Not an amount, or cash would exceed 10**16.
        """
        amount = _amount(amount_e6)
        if lib.pa_balance_credit(self.cdata, amount):
            cash = self.snapshot().cash_e6
            raise errors.RangeError(f"amount_e6 {amount} is outside 1..{CASH_MAX_E6 - cash}")

    def reconcile(self, exchange_cash_e6: int) -> None:
        """
        Let the exchange's figure stand: cash becomes it, holds stay, available follows.

        Raises:
            ArgumentTypeError, RangeError: Not 0..10**16; nothing changed.
            FundsError: Done, but holds exceed the cash: nothing is available until holds of
                the shortfall have been released.
        """
        cash = integer("exchange_cash_e6", exchange_cash_e6, 0, CASH_MAX_E6)
        shortfall = ffi.new("int64_t *")
        if lib.pa_balance_reconcile(self.cdata, cash, shortfall):
            raise errors.FundsError(
                f"exchange_cash_e6 {cash} is {shortfall[0]} short of what is held"
            )

    def restore(self, cash_e6: int, held_e6: int) -> None:
        """
        Start from what journal and exchange say; ends the holds of a process that died.

        Args:
            cash_e6: All we own, 0..10**16.
            held_e6: What live orders still hold of it, 0..cash_e6.

        Raises:
            ArgumentTypeError, RangeError: Out of range; nothing changed.
        """
        cash = integer("cash_e6", cash_e6, 0, CASH_MAX_E6)
        held = integer("held_e6", held_e6, 0, cash)
        check(lib.pa_balance_restore(self.cdata, cash, held), "restore")

    def _more_than_held(self, amount: int) -> errors.RangeError:
        return errors.RangeError(
            f"amount_e6 {amount} is more than is held, {self.snapshot().held_e6}"
        )


class NonceView(_Part):
    """The nonce of V1 orders, read only."""

    __slots__ = ()

    @property
    def current(self) -> int:
        """The nonce the next issue returns."""
        return int(lib.pa_nonce_current(self.cdata))


class Nonce(NonceView):
    """Nonces of V1 orders: counted optimistically, and the exchange's stands in a conflict."""

    __slots__ = ()

    def initialize(self, nonce: int) -> None:
        """Let the next issue return `nonce`, 0..2**63 - 2. ArgumentTypeError, RangeError."""
        value = integer("nonce", nonce, 0, NONCE_MAX)
        check(lib.pa_nonce_initialize(self.cdata, value), "nonce")

    def issue(self) -> int:
        """Take the next nonce; each is returned once, to any thread or process."""
        return int(lib.pa_nonce_issue(self.cdata))

    def issue_many(self, count: int) -> range:
        """Take 1..15 nonces in a row. ArgumentTypeError, RangeError."""
        first = ffi.new("uint64_t *")
        wanted = integer("count", count, 1, lib.PA_BATCH_MAX)
        check(lib.pa_nonce_issue_many(self.cdata, wanted, first), "nonces")
        return range(first[0], first[0] + wanted)

    def handle_conflict(self, server_nonce: int) -> None:
        """
        Let the next issue return ``server_nonce + 1``, whichever side was ahead.

        Raises:
            ArgumentTypeError, RangeError: Not 0..2**63 - 3.
        """
        value = integer("server_nonce", server_nonce, 0, NONCE_MAX - 1)
        check(lib.pa_nonce_handle_conflict(self.cdata, value), "server_nonce")


class StampsView(_Part):
    """Timestamps and salts of V2 and V3 orders, read only."""

    __slots__ = ()

    @property
    def last_ms(self) -> int:
        """The last timestamp issued, Unix milliseconds; 0 for none."""
        return int(lib.pa_stamp_last(self.cdata))

    @property
    def tag(self) -> int:
        """The 12 bits that this run's salts end with."""
        return int(lib.pa_stamp_tag(self.cdata))

    def ahead_ms(self, now_ms: int) -> int:
        """How far the stamps run ahead of the clock; much means that it was set back."""
        return int(lib.pa_stamp_ahead_ms(self.cdata, integer("now_ms", now_ms, 0, INT64_MAX)))


class Stamps(StampsView):
    """Strictly rising millisecond timestamps, and the salts derived from them."""

    __slots__ = ()

    def begin(self, tag: int, last_known_ms: int = 0) -> None:
        """
        Begin a run. Before anything is issued.

        Args:
            tag: 12 random bits, 0..4095, drawn anew at every start.
            last_known_ms: The newest timestamp in the journal, which will not be issued
                again; 0 for none.

        Raises:
            ArgumentTypeError, RangeError: A tag outside its range, or a time that is neither
                0 nor in 2020..2089.
        """
        bits = integer("tag", tag, 0, STAMP_TAG_MAX)
        low = STAMP_MS_MIN if last_known_ms else 0
        last = integer("last_known_ms", last_known_ms, low, STAMP_MS_MAX)
        check(lib.pa_stamp_begin(self.cdata, bits, last), "stamps")

    def issue(self, count: int, now_ms: int) -> list[Stamp]:
        """
        Take 1..15 stamps in a row for orders made at `now_ms`.

        Raises:
            ArgumentTypeError, RangeError: A count or time out of range (2020..2089), or no
                timestamps are left.
        """
        wanted = integer("count", count, 1, lib.PA_BATCH_MAX)
        now = integer("now_ms", now_ms, STAMP_MS_MIN, STAMP_MS_MAX)
        first = ffi.new("uint64_t *")
        if lib.pa_stamp_issue(self.cdata, wanted, now, first):
            left = STAMP_MS_MAX - max(self.last_ms, now - 1)
            raise errors.RangeError(f"count {wanted} is outside 1..{left}: the last stamps")
        tag = lib.pa_stamp_tag(self.cdata)
        return [
            Stamp(stamp, lib.pa_stamp_salt(stamp, tag))
            for stamp in range(first[0], first[0] + wanted)
        ]


class BreakerView(_Part):
    """Whether we may trade, and why not, read only."""

    __slots__ = ()

    def blocked(self, now_ns: int) -> tuple[Reason, ...]:
        """Return the reasons in force against trading; empty when it is allowed."""
        return _reasons_in(lib.pa_breaker_blocked(self.cdata, _monotonic(now_ns)))

    @property
    def limits(self) -> BreakerLimits | None:
        """The limits in force; None before the first configure."""
        out = ffi.new("pa_breaker_config *")
        lib.pa_breaker_limits(self.cdata, out)
        if out.cooldown_ms == 0:
            return None
        rate = (
            ErrorRate(
                permille=out.error_permille,
                samples_min=out.error_samples_min,
                window_ms=out.window_ms,
            )
            if out.error_permille
            else None
        )
        return BreakerLimits(
            daily_loss_e6=out.daily_loss_e6 or None,
            open_positions=out.open_positions_max or None,
            consecutive_errors=out.consecutive_errors_max or None,
            error_rate=rate,
            cooldown_ms=out.cooldown_ms,
        )

    def snapshot(self, now_ns: int) -> BreakerState:
        """Copy the breaker's state as of `now_ns`."""
        out = ffi.new("pa_breaker_snapshot *")
        lib.pa_breaker_read(self.cdata, _monotonic(now_ns), out)
        first = out.first_reason
        trips = {
            reason: Trip(last_ns=out.trip_last_ns[i], count=out.trip_count[i])
            for i, reason in enumerate(_REASONS)
            if out.trip_count[i]
        }
        return BreakerState(
            blocked=_reasons_in(out.blocked_mask),
            first=None if first == lib.PA_REASON_COUNT else _REASONS[first],
            pnl_e6=out.pnl_e6,
            unix_day=out.unix_day,
            open_positions=out.open_positions,
            errors_in_row=out.errors_in_row,
            window_errors=out.window_errors,
            window_total=out.window_total,
            cooldown_until_ns=out.cooldown_until_ns,
            trips=MappingProxyType(trips),
            limits=self.limits,
        )


class Breaker(BreakerView):
    """Stops trading by itself, by limit, or by hand. Any thread, any process."""

    __slots__ = ()

    def configure(self, limits: BreakerLimits, now_ns: int) -> None:
        """
        Set the limits and weigh what is already counted; does not switch trading on.

        Raises:
            ArgumentTypeError: Not BreakerLimits.
        """
        if not isinstance(limits, BreakerLimits):
            kind = type(limits).__name__
            raise errors.ArgumentTypeError(f"limits must be BreakerLimits, not {kind}")
        status = lib.pa_breaker_configure(self.cdata, _config_of(limits), _monotonic(now_ns))
        check(status, f"limits {limits}")

    def can_execute(self, now_ns: int) -> bool:
        """Whether trading is allowed now. Ends a cool-down that is over."""
        return bool(lib.pa_breaker_can_execute(self.cdata, _monotonic(now_ns)))

    def require(self, now_ns: int) -> None:
        """Raise BlockedError, naming the reasons, unless trading is allowed now."""
        if not self.can_execute(now_ns):
            names = ", ".join(reason.value for reason in self.blocked(now_ns)) or "just ended"
            raise errors.BlockedError(f"trading is blocked: {names}")

    def enable(self) -> None:
        """Switch trading on. BlockedError: no limits have been configured."""
        if lib.pa_breaker_enable(self.cdata):
            raise errors.BlockedError(
                f"trading is blocked: {Reason.TRADING_OFF.value} until limits are configured"
            )

    def disable(self) -> None:
        """Switch trading off."""
        lib.pa_breaker_disable(self.cdata)

    def trip(self, reason: Reason, now_ns: int) -> None:
        """
        Block until an operator's reset.

        Raises:
            ArgumentTypeError: Not a Reason.
            RangeError: Neither MANUAL nor STRANDED.
        """
        index = _index(reason)
        if lib.pa_breaker_trip(self.cdata, index, _monotonic(now_ns)):
            raise errors.RangeError(f"reason {reason.value} is not one of manual, stranded")

    def reset(self, reason: Reason) -> None:
        """
        End a trip as its operator; what it counted starts again from nothing.

        Raises:
            ArgumentTypeError: Not a Reason.
            RangeError: TRADING_OFF and OPEN_POSITIONS are no trips.
        """
        if lib.pa_breaker_reset(self.cdata, _index(reason)):
            raise errors.RangeError(f"reason {reason.value} is no trip that a reset ends")

    def record_pnl(self, pnl_e6: int, unix_day: int, now_ns: int) -> None:
        """
        Add a realised result to its UTC day; 0 only shows the breaker the day.

        Args:
            pnl_e6: Micro-dollars within +-10**14, profit above 0.
            unix_day: 1..65535. An older day than the newest seen counts for the newest.
            now_ns: The time of the trip, should it be one.

        Raises:
            ArgumentTypeError, RangeError: Out of range; nothing changed.
        """
        pnl = integer("pnl_e6", pnl_e6, -lib.PA_DAILY_LOSS_MAX_E6, lib.PA_DAILY_LOSS_MAX_E6)
        day = integer("unix_day", unix_day, 1, lib.PA_UNIX_DAY_MAX)
        status = lib.pa_breaker_record_pnl(self.cdata, pnl, day, _monotonic(now_ns))
        check(status, f"pnl_e6 {pnl}")

    def record_result(self, *, error: bool, now_ns: int) -> None:
        """Take note of one request's outcome."""
        if type(error) is not bool:
            raise errors.ArgumentTypeError(f"error must be a bool, not {type(error).__name__}")
        lib.pa_breaker_record_result(self.cdata, error, _monotonic(now_ns))

    def position_opened(self) -> None:
        """Count a position. RangeError: a million are open."""
        if lib.pa_breaker_position_opened(self.cdata):
            raise errors.RangeError(f"open_positions is {lib.PA_POSITIONS_MAX}, the most it counts")

    def position_closed(self) -> None:
        """Count a position off. RangeError: none is open."""
        if lib.pa_breaker_position_closed(self.cdata):
            raise errors.RangeError("open_positions is 0, none can be closed")

    def restore(self, *, open_positions: int, pnl_e6: int, unix_day: int, now_ns: int) -> None:
        """
        Start from what journal and exchange say. Before anything is counted.

        Raises:
            ArgumentTypeError, RangeError: open_positions not 0..1000000, pnl_e6 beyond
                +-10**14, or unix_day not 1..65535; nothing changed.
        """
        count = integer("open_positions", open_positions, 0, lib.PA_POSITIONS_MAX)
        pnl = integer("pnl_e6", pnl_e6, -lib.PA_DAILY_LOSS_MAX_E6, lib.PA_DAILY_LOSS_MAX_E6)
        day = integer("unix_day", unix_day, 1, lib.PA_UNIX_DAY_MAX)
        status = lib.pa_breaker_restore(self.cdata, count, pnl, day, _monotonic(now_ns))
        check(status, "breaker")


class AccountView:
    """
    An arena's account, read only; also on a mapping that cannot be written.

    Attributes:
        balance: Collateral.
        nonce: For V1 orders.
        stamps: For V2 and V3 orders.
        breaker: Whether we may trade.

    Raises:
        ArenaAccessError: The arena is closed.
    """

    balance: BalanceView
    nonce: NonceView
    stamps: StampsView
    breaker: BreakerView

    def __init__(self, arena: Arena) -> None:
        account = arena.section(lib.PA_SECTION_ACCOUNT, "pa_account *")
        self.balance = BalanceView(account, lib.pa_account_balance(account))
        self.nonce = NonceView(account, lib.pa_account_nonce(account))
        self.stamps = StampsView(account, lib.pa_account_stamp(account))
        self.breaker = BreakerView(account, lib.pa_account_breaker(account))


class Account(AccountView):
    """
    An arena's account, to be changed.

    Raises:
        ArenaAccessError: The arena is closed, or mapped read-only.
    """

    balance: Balance
    nonce: Nonce
    stamps: Stamps
    breaker: Breaker

    def __init__(self, arena: Arena) -> None:
        account = arena.section(lib.PA_SECTION_ACCOUNT, "pa_account *")
        if not arena.writable:
            raise errors.ArenaAccessError("the account's arena is mapped read-only")
        self.balance = Balance(account, lib.pa_account_balance(account))
        self.nonce = Nonce(account, lib.pa_account_nonce(account))
        self.stamps = Stamps(account, lib.pa_account_stamp(account))
        self.breaker = Breaker(account, lib.pa_account_breaker(account))


def _amount(amount_e6: object) -> int:
    return integer("amount_e6", amount_e6, 1, CASH_MAX_E6)


def _monotonic(now_ns: object) -> int:
    return integer("now_ns", now_ns, 0, INT64_MAX)


def _index(reason: object) -> int:
    if not isinstance(reason, Reason):
        raise errors.ArgumentTypeError(f"reason must be a Reason, not {type(reason).__name__}")
    return _INDEX[reason]


def _reasons_in(mask: int) -> tuple[Reason, ...]:
    return tuple(reason for index, reason in enumerate(_REASONS) if mask >> index & 1)


def _config_of(limits: BreakerLimits) -> Any:
    unlimited = {
        Reason.DAILY_LOSS: limits.daily_loss_e6,
        Reason.OPEN_POSITIONS: limits.open_positions,
        Reason.CONSECUTIVE_ERRORS: limits.consecutive_errors,
        Reason.ERROR_RATE: limits.error_rate,
    }
    rate = limits.error_rate
    return ffi.new(
        "pa_breaker_config *",
        {
            "daily_loss_e6": limits.daily_loss_e6 or 0,
            "open_positions_max": limits.open_positions or 0,
            "consecutive_errors_max": limits.consecutive_errors or 0,
            "error_permille": rate.permille if rate else 0,
            "error_samples_min": rate.samples_min if rate else 0,
            "window_ms": rate.window_ms if rate else 0,
            "cooldown_ms": limits.cooldown_ms,
            "unlimited_mask": sum(
                1 << _INDEX[reason] for reason, limit in unlimited.items() if limit is None
            ),
        },
    )
