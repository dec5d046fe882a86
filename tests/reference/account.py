"""
The account as plain Python: lists and integers, no words, no concurrency.

Statuses are ``ok``, ``range`` and ``funds``. Times must not go backwards here; what happens
when they do is a matter of tests/unit.
"""

CASH_MAX_E6 = 10**16
PNL_MAX_E6 = 2**47 - 1
EPOCH_2020_MS = 1_577_836_800_000
STAMP_MS_MAX = EPOCH_2020_MS + 2**41 - 1
WINDOW_STEPS = 16

BY_HAND = {"manual", "stranded"}
COOLING = {"consecutive_errors", "error_rate"}


class Balance:
    """Cash, and the sum of holds."""

    def __init__(self) -> None:
        self.cash = 0
        self.held = 0

    @property
    def available(self) -> int:
        return max(0, self.cash - self.held)

    @property
    def shortfall(self) -> int:
        return max(0, self.held - self.cash)

    def reserve(self, amount: int) -> str:
        if not 1 <= amount <= CASH_MAX_E6:
            return "range"
        if amount > self.available:
            return "funds"
        self.held += amount
        return "ok"

    def release(self, amount: int) -> str:
        if not 1 <= amount <= min(CASH_MAX_E6, self.held):
            return "range"
        self.held -= amount
        return "ok"

    def commit(self, amount: int) -> str:
        if not 1 <= amount <= min(CASH_MAX_E6, self.held):
            return "range"
        if amount > self.cash:
            return "funds"
        self.held -= amount
        self.cash -= amount
        return "ok"

    def credit(self, amount: int) -> str:
        if not 1 <= amount <= CASH_MAX_E6 - self.cash:
            return "range"
        self.cash += amount
        return "ok"

    def reconcile(self, cash: int) -> str:
        if not 0 <= cash <= CASH_MAX_E6:
            return "range"
        self.cash = cash
        return "funds" if self.shortfall else "ok"

    def restore(self, cash: int, held: int) -> str:
        if not 0 <= held <= cash <= CASH_MAX_E6:
            return "range"
        self.cash, self.held = cash, held
        return "ok"


class Stamps:
    """Every timestamp ever issued."""

    def __init__(self) -> None:
        self.issued: list[int] = []
        self.known = 0
        self.tag = 0

    @property
    def last(self) -> int:
        return max([self.known, *self.issued])

    def begin(self, tag: int, last_known_ms: int) -> str:
        known = last_known_ms == 0 or EPOCH_2020_MS <= last_known_ms <= STAMP_MS_MAX
        if not (0 <= tag < 4096 and known):
            return "range"
        self.tag, self.known = tag, max(self.known, last_known_ms)
        return "ok"

    def issue(self, count: int, now_ms: int) -> list[tuple[int, int]] | str:
        if not (1 <= count <= 15 and EPOCH_2020_MS <= now_ms <= STAMP_MS_MAX):
            return "range"
        first = max(self.last + 1, now_ms)
        if first + count - 1 > STAMP_MS_MAX:
            return "range"
        taken = list(range(first, first + count))
        self.issued += taken
        return [(stamp, (stamp - EPOCH_2020_MS) * 4096 + self.tag) for stamp in taken]


class Breaker:
    """Every result since the last restart, every reason in force in the order it tripped."""

    def __init__(
        self,
        daily_loss: int | None,
        positions: int | None,
        in_row: int | None,
        rate: tuple[int, int, int] | None,
        cooldown_ms: int,
    ) -> None:
        self.daily_loss, self.positions_max, self.in_row_max = daily_loss, positions, in_row
        self.rate = rate
        self.cooldown_ns = cooldown_ms * 1_000_000
        self.trips: list[str] = []
        self.until: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.enabled = False
        self.day, self.pnl, self.positions, self.in_row = 0, 0, 0, 0
        self.results: list[tuple[int, bool]] = []

    def blocked(self, now: int) -> set[str]:
        reasons = {t for t in self.trips if t not in COOLING or now < self.until[t]}
        if not self.enabled:
            reasons.add("trading_off")
        if self.positions_max is not None and self.positions >= self.positions_max:
            reasons.add("open_positions")
        return reasons

    def first(self, now: int) -> str | None:
        return next((t for t in self.trips if t in self.blocked(now)), None)

    def can_execute(self, now: int) -> bool:
        holding = set(self.trips) - COOLING or not self.enabled
        if not holding and "open_positions" not in self.blocked(now):
            for reason in [t for t in self.trips if now >= self.until[t]]:
                self._forget(reason)
        return not self.blocked(now)

    def trip(self, reason: str, now: int) -> None:
        if reason in self.trips:
            return
        self.trips.append(reason)
        self.until[reason] = now + self.cooldown_ns
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.last[reason] = now

    def reset(self, reason: str) -> None:
        if reason == "daily_loss":
            self.pnl = 0
        self._forget(reason)

    def _forget(self, reason: str) -> None:
        if reason in self.trips:
            self.trips.remove(reason)
        if reason == "consecutive_errors":
            self.in_row = 0
        if reason == "error_rate":
            self.results = []

    def record_pnl(self, pnl: int, day: int, now: int) -> None:
        if day > self.day:
            self.day, self.pnl = day, pnl
            if "daily_loss" in self.trips and not self._loses_too_much():
                self.trips.remove("daily_loss")
        else:
            self.pnl = max(-PNL_MAX_E6, min(PNL_MAX_E6, self.pnl + pnl))
        if self._loses_too_much():
            self.trip("daily_loss", now)

    def _loses_too_much(self) -> bool:
        return self.daily_loss is not None and self.pnl <= -self.daily_loss

    def window(self, now: int) -> tuple[int, int]:
        if self.rate is None:
            return 0, 0
        step = self._step(now)
        inside = [error for at, error in self.results if step - at < WINDOW_STEPS]
        return sum(inside), len(inside)

    def _step(self, now: int) -> int:
        assert self.rate is not None
        return now * WINDOW_STEPS // (self.rate[2] * 1_000_000)

    def record_result(self, error: bool, now: int) -> None:
        self.in_row = self.in_row + 1 if error else 0
        if self.in_row_max is not None and self.in_row >= self.in_row_max:
            self.trip("consecutive_errors", now)
        if self.rate is not None:
            self.results.append((self._step(now), error))
            errors, total = self.window(now)
            if total >= self.rate[1] and errors * 1000 >= self.rate[0] * total:
                self.trip("error_rate", now)

    def position_opened(self) -> None:
        self.positions += 1

    def position_closed(self) -> str:
        if self.positions == 0:
            return "range"
        self.positions -= 1
        return "ok"
