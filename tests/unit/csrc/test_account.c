/* What one thread can see of the account: ranges, refusals, edges. Contention is in stress/. */
#include "account/account.h"
#include "account/breaker.c" /* its static steps: some tests stop between two of them */
#include "check.h"

#define MS NS_PER_MS
#define ALL_UNLIMITED                                                                         \
    (1U << PA_REASON_DAILY_LOSS | 1U << PA_REASON_OPEN_POSITIONS |                            \
     1U << PA_REASON_CONSECUTIVE_ERRORS | 1U << PA_REASON_ERROR_RATE)

static pa_account account;

static const pa_breaker_config STRICT = {
    .daily_loss_e6 = 100,
    .open_positions_max = 2,
    .consecutive_errors_max = 3,
    .error_permille = 500,
    .error_samples_min = 10,
    .window_ms = 1600, /* steps of 100 ms */
    .cooldown_ms = 1000,
};

static pa_balance *fresh_balance(int64_t cash_e6) {
    memset(&account, 0, sizeof account);
    CHECK(cash_e6 == 0 || pa_balance_credit(&account.balance, cash_e6) == PA_OK);
    return &account.balance;
}

static pa_breaker *fresh_breaker(const pa_breaker_config *config) {
    memset(&account, 0, sizeof account);
    CHECK(pa_breaker_configure(&account.breaker, config, 0) == PA_OK);
    CHECK(pa_breaker_enable(&account.breaker) == PA_OK);
    CHECK(pa_breaker_can_execute(&account.breaker, 0));
    return &account.breaker;
}

static pa_breaker_snapshot state(const pa_breaker *b, uint64_t now_ns) {
    pa_breaker_snapshot out;
    pa_breaker_read(b, now_ns, &out);
    return out;
}

static void failures(pa_breaker *b, int count, uint64_t now_ns) {
    for (int i = 0; i < count; ++i) {
        pa_breaker_record_result(b, 1, now_ns);
    }
}

static void successes(pa_breaker *b, int count, uint64_t now_ns) {
    for (int i = 0; i < count; ++i) {
        pa_breaker_record_result(b, 0, now_ns);
    }
}

static void check_funds(int64_t available, int64_t cash, int64_t held, int64_t shortfall) {
    pa_balance_snapshot s;
    pa_balance_read(&account.balance, &s);
    CHECK(s.available_e6 == available && s.available_e6 == pa_balance_available(&account.balance));
    CHECK(s.cash_e6 == cash && s.held_e6 == held && s.shortfall_e6 == shortfall);
}

static void hot_words_lie_on_lines_of_their_own(void) {
    const char *const words[] = {
        (const char *)&account.balance.available, (const char *)&account.balance.cash,
        (const char *)&account.nonce.next,        (const char *)&account.stamp.last_ms,
        (const char *)&account.breaker.gate,      (const char *)&account.breaker.day_pnl,
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
        for (size_t j = 0; j < i; ++j) {
            CHECK((uintptr_t)words[i] / 64 != (uintptr_t)words[j] / 64);
        }
    }
}

static void zero_memory_owns_nothing_and_may_not_trade(void) {
    fresh_balance(0);
    check_funds(0, 0, 0, 0);
    CHECK(pa_balance_reserve(&account.balance, 1) == PA_E_FUNDS);
    CHECK(!pa_breaker_can_execute(&account.breaker, UINT64_MAX));
    CHECK(pa_breaker_blocked(&account.breaker, 0) == 1U << PA_REASON_TRADING_OFF);
    CHECK(pa_breaker_enable(&account.breaker) == PA_E_BLOCKED); /* no limits yet */
    CHECK(!pa_breaker_can_execute(&account.breaker, 0));
    CHECK(state(&account.breaker, 0).configured == 0);
    CHECK(pa_nonce_current(&account.nonce) == 0);
    CHECK(pa_stamp_last(&account.stamp) == 0 && pa_stamp_tag(&account.stamp) == 0);
}

static void amounts_outside_their_range_change_nothing(void) {
    static const int64_t bad[] = {0, -1, INT64_MIN, PA_CASH_MAX_E6 + 1, INT64_MAX};
    pa_balance *b = fresh_balance(100);
    CHECK(pa_balance_reserve(b, 40) == PA_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        int64_t out = 7;
        CHECK(pa_balance_reserve(b, bad[i]) == PA_E_RANGE);
        CHECK(pa_balance_release(b, bad[i]) == PA_E_RANGE);
        CHECK(pa_balance_commit(b, bad[i]) == PA_E_RANGE);
        CHECK(pa_balance_credit(b, bad[i]) == PA_E_RANGE);
        CHECK(bad[i] == 0 || pa_balance_reconcile(b, bad[i], &out) == PA_E_RANGE);
        CHECK(bad[i] == 0 || pa_balance_restore(b, bad[i], 0) == PA_E_RANGE);
        CHECK(out == 7);
    }
    CHECK(pa_balance_restore(b, 10, 11) == PA_E_RANGE);
    CHECK(pa_balance_restore(b, 10, -1) == PA_E_RANGE);
    check_funds(60, 100, 40, 0);
}

static void the_largest_account_neither_overflows_nor_grows(void) {
    pa_balance *b = fresh_balance(PA_CASH_MAX_E6);
    CHECK(pa_balance_credit(b, 1) == PA_E_RANGE);
    CHECK(pa_balance_reserve(b, PA_CASH_MAX_E6) == PA_OK);
    CHECK(pa_balance_reserve(b, 1) == PA_E_FUNDS);
    check_funds(0, PA_CASH_MAX_E6, PA_CASH_MAX_E6, 0);
    CHECK(pa_balance_commit(b, PA_CASH_MAX_E6) == PA_OK);
    check_funds(0, 0, 0, 0);
    CHECK(pa_balance_credit(b, PA_CASH_MAX_E6) == PA_OK);
}

static void only_what_is_held_is_released_or_spent(void) {
    pa_balance *b = fresh_balance(100);
    CHECK(pa_balance_release(b, 1) == PA_E_RANGE && pa_balance_commit(b, 1) == PA_E_RANGE);
    CHECK(pa_balance_reserve(b, 70) == PA_OK && pa_balance_reserve(b, 31) == PA_E_FUNDS);
    CHECK(pa_balance_reserve(b, 30) == PA_OK);
    CHECK(pa_balance_commit(b, 60) == PA_OK);
    CHECK(pa_balance_commit(b, 41) == PA_E_RANGE && pa_balance_release(b, 41) == PA_E_RANGE);
    CHECK(pa_balance_release(b, 40) == PA_OK);
    check_funds(40, 40, 0, 0);
}

static void theirs_stands_and_holds_stay(void) {
    int64_t missing = -1;
    pa_balance *b = fresh_balance(100);
    CHECK(pa_balance_reserve(b, 60) == PA_OK);
    CHECK(pa_balance_reconcile(b, 150, &missing) == PA_OK && missing == 0);
    check_funds(90, 150, 60, 0);
    CHECK(pa_balance_reconcile(b, 60, &missing) == PA_OK && missing == 0);
    check_funds(0, 60, 60, 0);
    CHECK(pa_balance_reconcile(b, 50, &missing) == PA_E_FUNDS && missing == 10);
    check_funds(0, 50, 60, 10);
}

static void a_shortfall_is_filled_before_anything_is_available(void) {
    int64_t missing = 0;
    pa_balance *b = fresh_balance(100);
    CHECK(pa_balance_reserve(b, 60) == PA_OK && pa_balance_reserve(b, 40) == PA_OK);
    CHECK(pa_balance_reconcile(b, 50, &missing) == PA_E_FUNDS && missing == 50);
    CHECK(pa_balance_commit(b, 60) == PA_E_FUNDS); /* held, but not there */
    CHECK(pa_balance_release(b, 40) == PA_OK);
    check_funds(0, 50, 60, 10);
    CHECK(pa_balance_reserve(b, 1) == PA_E_FUNDS);
    CHECK(pa_balance_release(b, 60) == PA_OK);
    check_funds(50, 50, 0, 0);
}

static void restore_ends_the_holds_of_the_dead(void) {
    pa_balance *b = fresh_balance(100);
    CHECK(pa_balance_reserve(b, 100) == PA_OK);
    CHECK(pa_balance_restore(b, 80, 30) == PA_OK);
    check_funds(50, 80, 30, 0);
}

static void nonces_count_up_and_theirs_stands(void) {
    memset(&account, 0, sizeof account);
    pa_nonce *n = &account.nonce;
    uint64_t first = 99;
    CHECK(pa_nonce_issue(n) == 0 && pa_nonce_issue(n) == 1 && pa_nonce_current(n) == 2);
    CHECK(pa_nonce_initialize(n, 40) == PA_OK && pa_nonce_issue_many(n, 15, &first) == PA_OK);
    CHECK(first == 40 && pa_nonce_current(n) == 55);
    CHECK(pa_nonce_handle_conflict(n, 50) == PA_OK && pa_nonce_issue(n) == 51);   /* we led */
    CHECK(pa_nonce_handle_conflict(n, 500) == PA_OK && pa_nonce_issue(n) == 501); /* they did */
    CHECK(pa_nonce_issue_many(n, 0, &first) == PA_E_RANGE);
    CHECK(pa_nonce_issue_many(n, 16, &first) == PA_E_RANGE && first == 40);
    CHECK(pa_nonce_initialize(n, (uint64_t)PA_NONCE_MAX + 1) == PA_E_RANGE);
    CHECK(pa_nonce_handle_conflict(n, PA_NONCE_MAX) == PA_E_RANGE);
    CHECK(pa_nonce_current(n) == 502);
    CHECK(pa_nonce_handle_conflict(n, PA_NONCE_MAX - 1) == PA_OK);
    CHECK(pa_nonce_current(n) == PA_NONCE_MAX);
}

static void stamps_rise_whatever_the_clock_does(void) {
    memset(&account, 0, sizeof account);
    pa_stamp *s = &account.stamp;
    const uint64_t now = PA_STAMP_MS_MIN + 1000;
    uint64_t first = 0;
    CHECK(pa_stamp_issue(s, 3, now, &first) == PA_OK && first == now);
    CHECK(pa_stamp_last(s) == now + 2);
    CHECK(pa_stamp_issue(s, 1, now, &first) == PA_OK && first == now + 3);
    CHECK(pa_stamp_issue(s, 15, PA_STAMP_MS_MIN, &first) == PA_OK && first == now + 4);
    CHECK(pa_stamp_ahead_ms(s, PA_STAMP_MS_MIN) == 1018 && pa_stamp_ahead_ms(s, now + 18) == 0);
    CHECK(pa_stamp_ahead_ms(s, now + 19) == 0);
    CHECK(pa_stamp_issue(s, 1, now + 19, &first) == PA_OK && first == now + 19);
    CHECK(pa_stamp_issue(s, 1, now + 50, &first) == PA_OK && first == now + 50);
}

static void stamps_outside_their_range_are_refused(void) {
    memset(&account, 0, sizeof account);
    pa_stamp *s = &account.stamp;
    uint64_t first = 7;
    CHECK(pa_stamp_issue(s, 1, PA_STAMP_MS_MIN - 1, &first) == PA_E_RANGE);
    CHECK(pa_stamp_issue(s, 1, (uint64_t)PA_STAMP_MS_MAX + 1, &first) == PA_E_RANGE);
    CHECK(pa_stamp_issue(s, 1, 0, &first) == PA_E_RANGE);
    CHECK(pa_stamp_issue(s, 1, UINT64_MAX, &first) == PA_E_RANGE);
    CHECK(pa_stamp_issue(s, 0, PA_STAMP_MS_MIN, &first) == PA_E_RANGE);
    CHECK(pa_stamp_issue(s, 16, PA_STAMP_MS_MIN, &first) == PA_E_RANGE);
    CHECK(pa_stamp_issue(s, 2, PA_STAMP_MS_MAX, &first) == PA_E_RANGE);
    CHECK(pa_stamp_last(s) == 0 && first == 7);
    CHECK(pa_stamp_issue(s, 1, PA_STAMP_MS_MAX, &first) == PA_OK && first == PA_STAMP_MS_MAX);
    CHECK(pa_stamp_issue(s, 1, PA_STAMP_MS_MIN, &first) == PA_E_RANGE); /* none left */
}

static void salts_are_below_2_53_and_as_unique_as_stamps(void) {
    CHECK(pa_stamp_salt(PA_STAMP_MS_MIN, 0) == 0);
    CHECK(pa_stamp_salt(PA_STAMP_MS_MAX, PA_STAMP_TAG_MAX) == (1ULL << 53) - 1);
    CHECK(pa_stamp_salt(PA_STAMP_MS_MIN + 1, 0) > pa_stamp_salt(PA_STAMP_MS_MIN, PA_STAMP_TAG_MAX));
}

static void a_run_begins_after_the_last_stamp_known(void) {
    memset(&account, 0, sizeof account);
    pa_stamp *s = &account.stamp;
    uint64_t first = 0;
    CHECK(pa_stamp_begin(s, PA_STAMP_TAG_MAX + 1, 0) == PA_E_RANGE);
    CHECK(pa_stamp_begin(s, 5, 1) == PA_E_RANGE);
    CHECK(pa_stamp_begin(s, 5, (uint64_t)PA_STAMP_MS_MAX + 1) == PA_E_RANGE);
    CHECK(pa_stamp_tag(s) == 0 && pa_stamp_last(s) == 0);
    CHECK(pa_stamp_begin(s, 5, PA_STAMP_MS_MIN + 9) == PA_OK && pa_stamp_tag(s) == 5);
    CHECK(pa_stamp_issue(s, 1, PA_STAMP_MS_MIN, &first) == PA_OK && first == PA_STAMP_MS_MIN + 10);
    CHECK(pa_stamp_begin(s, 6, PA_STAMP_MS_MIN + 3) == PA_OK); /* the word knows better */
    CHECK(pa_stamp_last(s) == PA_STAMP_MS_MIN + 10 && pa_stamp_tag(s) == 6);
    CHECK(pa_stamp_begin(s, 7, 0) == PA_OK && pa_stamp_last(s) == PA_STAMP_MS_MIN + 10);
}

static void reasons_have_names(void) {
    CHECK(strcmp(pa_reason_name(PA_REASON_TRADING_OFF), "trading_off") == 0);
    for (int i = 0; i < PA_REASON_COUNT; ++i) {
        CHECK(pa_reason_name(i) != NULL);
    }
    CHECK(pa_reason_name(-1) == NULL && pa_reason_name(PA_REASON_COUNT) == NULL);
}

static void a_forgotten_limit_is_no_freedom(void) {
    pa_breaker_config c = STRICT, back;
    pa_breaker *b = fresh_breaker(&STRICT);
    pa_breaker_config bad[16];
    int n = 0;
    c.daily_loss_e6 = 0, bad[n++] = c, c.daily_loss_e6 = -1, bad[n++] = c;
    c.daily_loss_e6 = PA_DAILY_LOSS_MAX_E6 + 1, bad[n++] = c, c = STRICT;
    c.open_positions_max = 0, bad[n++] = c;
    c.open_positions_max = PA_POSITIONS_MAX + 1, bad[n++] = c;
    c = STRICT, c.consecutive_errors_max = 0, bad[n++] = c;
    c = STRICT, c.error_permille = 1001, bad[n++] = c, c.error_permille = 0, bad[n++] = c;
    c = STRICT, c.error_samples_min = 0, bad[n++] = c;
    c = STRICT, c.window_ms = PA_WINDOW_MS_MIN - 1, bad[n++] = c;
    c = STRICT, c.cooldown_ms = 0, bad[n++] = c, c.cooldown_ms = PA_PERIOD_MS_MAX + 1, bad[n++] = c;
    c = STRICT, c.unlimited_mask = 1U << PA_REASON_DAILY_LOSS, bad[n++] = c; /* and a limit */
    c = STRICT, c.unlimited_mask = 1U << PA_REASON_MANUAL, bad[n++] = c;
    c = STRICT, c.reserved = 1, bad[n++] = c;
    for (int i = 0; i < n; ++i) {
        CHECK(pa_breaker_configure(b, &bad[i], 0) == PA_E_RANGE);
    }
    pa_breaker_limits(b, &back);
    CHECK(memcmp(&back, &STRICT, sizeof back) == 0);
    c = (pa_breaker_config){.cooldown_ms = 1, .unlimited_mask = ALL_UNLIMITED};
    CHECK(pa_breaker_configure(b, &c, 0) == PA_OK);
    pa_breaker_limits(b, &back);
    CHECK(memcmp(&back, &c, sizeof back) == 0);
}

static void without_limits_nothing_trips_by_itself(void) {
    const pa_breaker_config none = {.cooldown_ms = 1, .unlimited_mask = ALL_UNLIMITED};
    pa_breaker *b = fresh_breaker(&none);
    failures(b, 1000, 5);
    CHECK(pa_breaker_record_pnl(b, -PA_DAILY_LOSS_MAX_E6, 1, 5) == PA_OK);
    for (int i = 0; i < 100; ++i) {
        CHECK(pa_breaker_position_opened(b) == PA_OK);
    }
    CHECK(pa_breaker_can_execute(b, 5));
}

static void the_switch_alone_blocks(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    pa_breaker_disable(b);
    pa_breaker_disable(b);
    CHECK(!pa_breaker_can_execute(b, 0) && state(b, 0).first_reason == PA_REASON_COUNT);
    CHECK(pa_breaker_enable(b) == PA_OK && pa_breaker_can_execute(b, 0));
}

static void hand_trips_end_by_reset_only(void) {
    static const int by_hand[] = {PA_REASON_MANUAL, PA_REASON_STRANDED};
    pa_breaker *b = fresh_breaker(&STRICT);
    for (int i = 0; i < 2; ++i) {
        CHECK(pa_breaker_trip(b, by_hand[i], 10) == PA_OK);
        CHECK(pa_breaker_trip(b, by_hand[i], 20) == PA_OK);
        CHECK(!pa_breaker_can_execute(b, INT64_MAX));
        CHECK(pa_breaker_enable(b) == PA_OK && !pa_breaker_can_execute(b, INT64_MAX));
        const pa_breaker_snapshot s = state(b, 30);
        CHECK(s.trip_count[by_hand[i]] == 1 && s.trip_last_ns[by_hand[i]] == 10);
        CHECK(s.blocked_mask == 1U << by_hand[i] && s.first_reason == (uint32_t)by_hand[i]);
        CHECK(pa_breaker_reset(b, by_hand[i]) == PA_OK && pa_breaker_can_execute(b, 0));
    }
    CHECK(pa_breaker_reset(b, PA_REASON_MANUAL) == PA_OK); /* not tripped: nothing to do */
    for (int reason = -1; reason <= PA_REASON_COUNT; ++reason) {
        const int ok = reason == PA_REASON_MANUAL || reason == PA_REASON_STRANDED;
        CHECK(ok || pa_breaker_trip(b, reason, 0) == PA_E_RANGE);
    }
    CHECK(pa_breaker_reset(b, PA_REASON_TRADING_OFF) == PA_E_RANGE);
    CHECK(pa_breaker_reset(b, PA_REASON_OPEN_POSITIONS) == PA_E_RANGE);
    CHECK(pa_breaker_reset(b, -1) == PA_E_RANGE && pa_breaker_reset(b, 32) == PA_E_RANGE);
}

static void the_first_trip_in_force_is_named(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_trip(b, PA_REASON_STRANDED, 7) == PA_OK);
    CHECK(pa_breaker_trip(b, PA_REASON_MANUAL, 7) == PA_OK);
    CHECK(pa_breaker_record_pnl(b, -100, 1, 7) == PA_OK);
    CHECK(state(b, 7).first_reason == PA_REASON_STRANDED);
    CHECK(pa_breaker_reset(b, PA_REASON_STRANDED) == PA_OK);
    CHECK(state(b, 7).first_reason == PA_REASON_MANUAL);
    CHECK(pa_breaker_reset(b, PA_REASON_MANUAL) == PA_OK);
    CHECK(state(b, 7).first_reason == PA_REASON_DAILY_LOSS);
}

static void the_days_net_loss_trips_at_the_limit(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_record_pnl(b, -99, 20000, 1) == PA_OK && pa_breaker_can_execute(b, 1));
    CHECK(pa_breaker_record_pnl(b, 10, 20000, 2) == PA_OK);
    CHECK(pa_breaker_record_pnl(b, -10, 20000, 3) == PA_OK && pa_breaker_can_execute(b, 3));
    CHECK(pa_breaker_record_pnl(b, -1, 20000, 4) == PA_OK && !pa_breaker_can_execute(b, INT64_MAX));
    CHECK(pa_breaker_record_pnl(b, 1000, 20000, 5) == PA_OK && !pa_breaker_can_execute(b, 5));
    const pa_breaker_snapshot s = state(b, 5);
    CHECK(s.pnl_e6 == 900 && s.unix_day == 20000);
    CHECK(s.trip_count[PA_REASON_DAILY_LOSS] == 1 && s.trip_last_ns[PA_REASON_DAILY_LOSS] == 4);
}

static void a_new_day_ends_the_loss_and_an_old_one_does_not(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_record_pnl(b, -100, 20000, 1) == PA_OK && !pa_breaker_can_execute(b, 1));
    CHECK(pa_breaker_record_pnl(b, 0, 19999, 2) == PA_OK && !pa_breaker_can_execute(b, 2));
    CHECK(state(b, 2).unix_day == 20000 && state(b, 2).pnl_e6 == -100);
    CHECK(pa_breaker_record_pnl(b, 0, 20001, 3) == PA_OK && pa_breaker_can_execute(b, 3));
    CHECK(state(b, 3).pnl_e6 == 0);
    CHECK(pa_breaker_record_pnl(b, -100, 20002, 4) == PA_OK && !pa_breaker_can_execute(b, 4));
    CHECK(pa_breaker_record_pnl(b, -100, 20003, 5) == PA_OK && !pa_breaker_can_execute(b, 5));
}

static void a_reset_accepts_the_loss(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_record_pnl(b, -150, 20000, 1) == PA_OK);
    CHECK(pa_breaker_reset(b, PA_REASON_DAILY_LOSS) == PA_OK && pa_breaker_can_execute(b, 1));
    CHECK(state(b, 1).pnl_e6 == 0 && state(b, 1).unix_day == 20000);
    CHECK(pa_breaker_record_pnl(b, -99, 20000, 2) == PA_OK && pa_breaker_can_execute(b, 2));
}

static void results_beyond_their_range_are_refused_and_sums_stop(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_record_pnl(b, PA_DAILY_LOSS_MAX_E6 + 1, 1, 0) == PA_E_RANGE);
    CHECK(pa_breaker_record_pnl(b, -PA_DAILY_LOSS_MAX_E6 - 1, 1, 0) == PA_E_RANGE);
    CHECK(pa_breaker_record_pnl(b, INT64_MIN, 1, 0) == PA_E_RANGE);
    CHECK(pa_breaker_record_pnl(b, 1, 0, 0) == PA_E_RANGE);
    CHECK(pa_breaker_record_pnl(b, 1, PA_UNIX_DAY_MAX + 1, 0) == PA_E_RANGE);
    for (int i = 0; i < 3; ++i) {
        CHECK(pa_breaker_record_pnl(b, PA_DAILY_LOSS_MAX_E6, PA_UNIX_DAY_MAX, 0) == PA_OK);
    }
    CHECK(state(b, 0).pnl_e6 == (1LL << 47) - 1 && state(b, 0).unix_day == PA_UNIX_DAY_MAX);
    for (int i = 0; i < 5; ++i) {
        CHECK(pa_breaker_record_pnl(b, -PA_DAILY_LOSS_MAX_E6, PA_UNIX_DAY_MAX, 0) == PA_OK);
    }
    CHECK(state(b, 0).pnl_e6 == -(1LL << 47) + 1 && !pa_breaker_can_execute(b, 0));
}

static void open_positions_block_while_at_the_limit(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_position_closed(b) == PA_E_RANGE);
    CHECK(pa_breaker_position_opened(b) == PA_OK && pa_breaker_can_execute(b, 0));
    CHECK(pa_breaker_position_opened(b) == PA_OK && !pa_breaker_can_execute(b, INT64_MAX));
    CHECK(pa_breaker_position_opened(b) == PA_OK && state(b, 0).open_positions == 3);
    CHECK(pa_breaker_position_closed(b) == PA_OK && !pa_breaker_can_execute(b, 0));
    CHECK(pa_breaker_position_closed(b) == PA_OK && pa_breaker_can_execute(b, 0));
    CHECK(pa_breaker_restore(b, PA_POSITIONS_MAX, 0, 1, 0) == PA_OK);
    CHECK(!pa_breaker_can_execute(b, 0));
    CHECK(pa_breaker_position_opened(b) == PA_E_RANGE);
    CHECK(pa_breaker_restore(b, PA_POSITIONS_MAX + 1, 0, 1, 0) == PA_E_RANGE);
    CHECK(pa_breaker_restore(b, 0, 0, 1, 0) == PA_OK && pa_breaker_can_execute(b, 0));
}

/* STRICT without the rate: three errors in a row, then a second. */
static pa_breaker *fresh_row(void) {
    pa_breaker_config c = STRICT;
    c.error_permille = c.error_samples_min = c.window_ms = 0;
    c.unlimited_mask = 1U << PA_REASON_ERROR_RATE;
    return fresh_breaker(&c);
}

static void errors_in_a_row_trip_and_cool_down(void) {
    pa_breaker *b = fresh_row();
    failures(b, 2, 5 * MS);
    successes(b, 1, 5 * MS);
    failures(b, 2, 5 * MS);
    CHECK(pa_breaker_can_execute(b, 5 * MS));
    failures(b, 1, 6 * MS);
    CHECK(pa_breaker_blocked(b, 6 * MS) == 1U << PA_REASON_CONSECUTIVE_ERRORS);
    failures(b, 1, 900 * MS); /* does not prolong it */
    CHECK(!pa_breaker_can_execute(b, 1006 * MS - 1));
    CHECK(state(b, 1006 * MS - 1).cooldown_until_ns == 1006 * MS);
    CHECK(pa_breaker_blocked(b, 1006 * MS) == 0 && state(b, 1006 * MS).cooldown_until_ns == 0);
    CHECK(state(b, 0).errors_in_row == 4); /* looking changes nothing */
    CHECK(pa_breaker_can_execute(b, 1006 * MS) && state(b, 0).errors_in_row == 0);
    failures(b, 2, 1007 * MS);
    CHECK(pa_breaker_can_execute(b, 1007 * MS));
    failures(b, 1, 1007 * MS);
    CHECK(state(b, 1007 * MS).trip_count[PA_REASON_CONSECUTIVE_ERRORS] == 2);
    CHECK(pa_breaker_reset(b, PA_REASON_CONSECUTIVE_ERRORS) == PA_OK);
    CHECK(pa_breaker_can_execute(b, 0) && state(b, 0).errors_in_row == 0);
}

static void a_clock_set_back_ends_no_cool_down(void) {
    pa_breaker *b = fresh_row();
    failures(b, 3, 5000 * MS);
    for (uint64_t now = 0; now < 6000 * MS; now += 500 * MS) {
        CHECK(!pa_breaker_can_execute(b, now));
    }
    CHECK(pa_breaker_can_execute(b, 6000 * MS));
}

static void a_cool_down_ends_nothing_else(void) {
    pa_breaker *b = fresh_row();
    failures(b, 3, 0);
    CHECK(pa_breaker_trip(b, PA_REASON_MANUAL, 0) == PA_OK);
    CHECK(!pa_breaker_can_execute(b, 5000 * MS));
    CHECK(pa_breaker_blocked(b, 5000 * MS) == 1U << PA_REASON_MANUAL);
    CHECK(pa_breaker_reset(b, PA_REASON_MANUAL) == PA_OK);
    CHECK(!pa_breaker_can_execute(b, 999 * MS) && pa_breaker_can_execute(b, 1000 * MS));
}

/* STRICT with the rate alone: 500 permille of at least 10 in 1.6 s. */
static pa_breaker *fresh_rate(void) {
    pa_breaker_config c = STRICT;
    c.consecutive_errors_max = 0;
    c.unlimited_mask = 1U << PA_REASON_CONSECUTIVE_ERRORS;
    return fresh_breaker(&c);
}

static void the_error_rate_counts_from_enough_samples(void) {
    pa_breaker *b = fresh_rate();
    failures(b, 9, 0);
    CHECK(pa_breaker_can_execute(b, 0));
    successes(b, 1, 0); /* also a success can complete the sample */
    CHECK(!pa_breaker_can_execute(b, 0));
    CHECK(state(b, 0).window_errors == 9 && state(b, 0).window_total == 10);
    CHECK(pa_breaker_can_execute(b, 1000 * MS)); /* a restart: the window is empty */
    CHECK(state(b, 1000 * MS).window_total == 0);

    b = fresh_rate();
    successes(b, 6, 0);
    failures(b, 5, 0);
    CHECK(pa_breaker_can_execute(b, 0)); /* 5 of 11 */
    failures(b, 1, 0);
    CHECK(!pa_breaker_can_execute(b, 0)); /* 6 of 12 is the limit itself */
}

static void results_leave_the_window_step_by_step(void) {
    pa_breaker *b = fresh_rate();
    failures(b, 4, 0);
    failures(b, 3, 100 * MS);
    CHECK(state(b, 1599 * MS).window_total == 7);
    CHECK(state(b, 1600 * MS).window_total == 3);
    CHECK(state(b, 1699 * MS).window_total == 3 && state(b, 1700 * MS).window_total == 0);
    failures(b, 6, 1699 * MS); /* 3 + 6 of the least 10 */
    CHECK(pa_breaker_can_execute(b, 1699 * MS));
    failures(b, 1, 1699 * MS);
    CHECK(!pa_breaker_can_execute(b, 1699 * MS));
}

static void the_window_works_at_any_uptime(void) {
    for (int bit = 0; bit < 63; ++bit) {
        const uint64_t now = 1ULL << bit;
        pa_breaker *b = fresh_rate();
        failures(b, 9, now);
        CHECK(state(b, now).window_total == 9 && pa_breaker_can_execute(b, now));
        CHECK(state(b, now + 1600 * MS).window_total == 0);
        failures(b, 9, now + 1600 * MS);
        CHECK(pa_breaker_can_execute(b, now + 1600 * MS));
    }
}

static void a_clock_set_back_forgets_no_errors(void) {
    pa_breaker *b = fresh_rate();
    failures(b, 9, 10000 * MS);
    CHECK(state(b, 0).window_errors == 9);
    failures(b, 1, 0);
    CHECK(!pa_breaker_can_execute(b, 0));
}

static void a_step_keeps_its_rate_when_it_is_full(void) {
    pa_breaker_config c = STRICT;
    c.consecutive_errors_max = PA_ERRORS_MAX;
    c.error_permille = 1000;
    pa_breaker *b = fresh_breaker(&c);
    for (int i = 0; i < 100000; ++i) {
        pa_breaker_record_result(b, i % 2, 0);
    }
    const pa_breaker_snapshot s = state(b, 0);
    CHECK(s.window_total >= 8191 && s.window_total <= 16383);
    CHECK(s.window_errors * 2 + 40 > s.window_total && s.window_errors * 2 < s.window_total + 40);
}

static void new_limits_weigh_what_is_counted_already(void) {
    const pa_breaker_config none = {.cooldown_ms = 1000, .unlimited_mask = ALL_UNLIMITED};
    pa_breaker *b = fresh_breaker(&none);
    failures(b, 3, 0);
    CHECK(pa_breaker_record_pnl(b, -100, 1, 0) == PA_OK);
    CHECK(pa_breaker_position_opened(b) == PA_OK && pa_breaker_position_opened(b) == PA_OK);
    CHECK(pa_breaker_can_execute(b, 0));
    CHECK(pa_breaker_configure(b, &STRICT, 50) == PA_OK);
    CHECK(pa_breaker_blocked(b, 50) ==
          (1U << PA_REASON_CONSECUTIVE_ERRORS | 1U << PA_REASON_DAILY_LOSS |
           1U << PA_REASON_OPEN_POSITIONS));
    CHECK(state(b, 50).trip_last_ns[PA_REASON_DAILY_LOSS] == 50);
    CHECK(pa_breaker_configure(b, &none, 60) == PA_OK); /* a limit goes; trips stay trips */
    CHECK(pa_breaker_blocked(b, 60) ==
          (1U << PA_REASON_CONSECUTIVE_ERRORS | 1U << PA_REASON_DAILY_LOSS));
}

static void a_restart_takes_over_the_days_result(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_restore(b, 1, -100, 20000, 9) == PA_OK);
    CHECK(pa_breaker_blocked(b, 9) == 1U << PA_REASON_DAILY_LOSS);
    CHECK(pa_breaker_restore(b, 1, -5, 20001, 9) == PA_OK && pa_breaker_can_execute(b, 9));
    CHECK(pa_breaker_restore(b, 1, 0, 0, 9) == PA_E_RANGE);
    CHECK(pa_breaker_restore(b, 1, PA_DAILY_LOSS_MAX_E6 * 2, 1, 9) == PA_E_RANGE);
    CHECK(state(b, 9).pnl_e6 == -5 && state(b, 9).open_positions == 1);
}

/* A look at the fact, and before its outcome can be used somebody else opens a position. */
static bool other_opens(const pa_breaker *b) {
    const bool before = holds_too_many(b);
    if (!before) {
        CHECK(pa_breaker_position_opened(&account.breaker) == PA_OK);
    }
    return before;
}

static void a_stale_look_clears_no_bit(void) {
    pa_breaker *b = fresh_breaker(&STRICT);
    CHECK(pa_breaker_restore(b, 1, 0, 1, 0) == PA_OK); /* one below the limit */
    (void)block(b, PA_REASON_OPEN_POSITIONS);          /* set by somebody who came late */
    settle(b, PA_REASON_OPEN_POSITIONS, other_opens);
    CHECK(b->open_positions == 2 && !pa_breaker_can_execute(b, 0));
    CHECK(pa_breaker_position_closed(b) == PA_OK && pa_breaker_can_execute(b, 0));
}

static void a_stale_end_of_a_cool_down_ends_no_newer_trip(void) {
    pa_breaker *b = fresh_row();
    failures(b, 3, 0);
    uint64_t seen = get(&b->gate); /* somebody is about to end it, and is held up */
    CHECK(cooled(b, mask_of(seen), 1000 * MS) == mask_of(seen));
    CHECK(pa_breaker_can_execute(b, 1000 * MS));
    failures(b, 3, 1000 * MS);
    CHECK(mask_of(get(&b->gate)) == mask_of(seen)); /* the same reasons, another trip */
    CHECK(!swap_gate(b, &seen, 0, false) && !pa_breaker_can_execute(b, 1000 * MS));
}

static void what_a_cool_down_forgets_is_no_newer_error(void) {
    pa_breaker *b = fresh_row();
    counted seen;
    failures(b, 3, 0);
    read_counted(b, &seen);
    failures(b, 1, 0);
    forget(b, COOLING, &seen);
    CHECK(b->errors_in_row == 4);
}

static void the_arenas_account_is_its_section(void) {
    const pa_arena_config config = {.histogram_count = 1};
    uint64_t bytes = 0;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED && pa_arena_init(block, bytes, &config, "test", 0) == PA_OK);
    pa_account *mine = pa_account_of(block);
    CHECK((const void *)mine == pa_arena_view(block, PA_SECTION_ACCOUNT));
    CHECK(pa_account_view(block) == mine);
    CHECK(pa_balance_credit(pa_account_balance(mine), 5) == PA_OK && mine->balance.cash == 5);
    CHECK(pa_nonce_issue(pa_account_nonce(mine)) == 0 && mine->nonce.next == 1);
    CHECK(pa_stamp_begin(pa_account_stamp(mine), 9, 0) == PA_OK && mine->stamp.tag == 9);
    CHECK(!pa_breaker_can_execute(pa_account_breaker(mine), 0)); /* a fresh arena blocks */
    CHECK(pa_arena_check(block, bytes) == PA_OK);
}

int main(void) {
    the_arenas_account_is_its_section();
    a_stale_look_clears_no_bit();
    a_stale_end_of_a_cool_down_ends_no_newer_trip();
    what_a_cool_down_forgets_is_no_newer_error();
    hot_words_lie_on_lines_of_their_own();
    zero_memory_owns_nothing_and_may_not_trade();
    amounts_outside_their_range_change_nothing();
    the_largest_account_neither_overflows_nor_grows();
    only_what_is_held_is_released_or_spent();
    theirs_stands_and_holds_stay();
    a_shortfall_is_filled_before_anything_is_available();
    restore_ends_the_holds_of_the_dead();
    nonces_count_up_and_theirs_stands();
    stamps_rise_whatever_the_clock_does();
    stamps_outside_their_range_are_refused();
    salts_are_below_2_53_and_as_unique_as_stamps();
    a_run_begins_after_the_last_stamp_known();
    reasons_have_names();
    a_forgotten_limit_is_no_freedom();
    without_limits_nothing_trips_by_itself();
    the_switch_alone_blocks();
    hand_trips_end_by_reset_only();
    the_first_trip_in_force_is_named();
    the_days_net_loss_trips_at_the_limit();
    a_new_day_ends_the_loss_and_an_old_one_does_not();
    a_reset_accepts_the_loss();
    results_beyond_their_range_are_refused_and_sums_stop();
    open_positions_block_while_at_the_limit();
    errors_in_a_row_trip_and_cool_down();
    a_clock_set_back_ends_no_cool_down();
    a_cool_down_ends_nothing_else();
    the_error_rate_counts_from_enough_samples();
    results_leave_the_window_step_by_step();
    the_window_works_at_any_uptime();
    a_clock_set_back_forgets_no_errors();
    a_step_keeps_its_rate_when_it_is_full();
    new_limits_weigh_what_is_counted_already();
    a_restart_takes_over_the_days_result();
    puts("account: ok");
    return 0;
}
