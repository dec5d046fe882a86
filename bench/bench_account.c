/* What the gate costs: may we trade, is there money, what are the order's nonce and salt.
 *
 * Question  do the words of the account stay within performance.md row 19 (check 1 ns, salt
 *           6 ns, reserve 10 ns; 60 ns when two threads want one word)?
 * Input     one account in plain memory, warm; the breaker open with every limit set.
 * Moves     a figure that rises by itself means a shared cache line, a slower path taken, or
 *           a call that is no longer inlined. With two threads most of it is the line's way
 *           from core to core, which differs between hosts and is absent where both "cores"
 *           are one; a median far above its minimum was measured on a busy machine.
 */
#include <stdbool.h>

#include "account/account.h"
#include "harness.h"

static pa_account account;

static void reset(void) {
    static const pa_breaker_config LIMITS = {
        .daily_loss_e6 = 1000000,
        .open_positions_max = 10,
        .consecutive_errors_max = 5,
        .error_permille = 500,
        .error_samples_min = 20,
        .window_ms = 60000,
        .cooldown_ms = 30000,
    };
    memset(&account, 0, sizeof account);
    if (pa_breaker_configure(&account.breaker, &LIMITS, 0) != PA_OK ||
        pa_breaker_enable(&account.breaker) != PA_OK ||
        pa_balance_restore(&account.balance, PA_CASH_MAX_E6, PA_CASH_MAX_E6 / 2) != PA_OK) {
        exit(1);
    }
}

static void must(bool ok) {
    if (!ok) { /* a benchmark of refusals would be fast and wrong */
        fputs("an operation was refused\n", stderr);
        exit(1);
    }
}

static uint64_t can_execute(uint64_t count) {
    uint64_t yes = 0;
    for (uint64_t i = 0; i < count; ++i) {
        yes += (uint64_t)pa_breaker_can_execute_inline(&account.breaker, i);
    }
    must(yes == count);
    return yes;
}

static uint64_t nonce_issue(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        sum += pa_nonce_issue_inline(&account.nonce);
    }
    return sum;
}

static uint64_t stamp_and_salt(uint64_t count) {
    const uint64_t now_ms = PA_STAMP_MS_MIN + 200000000000;
    const uint32_t tag = pa_stamp_tag(&account.stamp);
    uint64_t sum = 0, first = 0;
    for (uint64_t i = 0; i < count; ++i) {
        must(pa_stamp_issue_inline(&account.stamp, 1, now_ms, &first) == PA_OK);
        sum += first ^ pa_stamp_salt_inline(first, tag);
    }
    return sum;
}

static uint64_t reserve(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        must(pa_balance_reserve_inline(&account.balance, 1) == PA_OK);
    }
    return count;
}

static uint64_t commit(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        must(pa_balance_commit(&account.balance, 1) == PA_OK);
    }
    return count;
}

static uint64_t reserve_and_release(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        must(pa_balance_reserve_inline(&account.balance, 1000) == PA_OK);
        must(pa_balance_release(&account.balance, 1000) == PA_OK);
    }
    return count;
}

int main(void) {
    bench_begin("account");
    bench_row("loop", 1, NULL, bench_loop, "contained in every figure below");
    for (int threads = 1; threads <= 2; ++threads) {
        const char *note = threads == 1 ? "" : "two threads on one word, one CPU each";
        bench_row("breaker_can_execute", threads, reset, can_execute, note);
        bench_row("nonce_issue", threads, reset, nonce_issue, note);
        bench_row("stamp_and_salt", threads, reset, stamp_and_salt, note);
        bench_row("reserve", threads, reset, reserve, note);
        bench_row("commit", threads, reset, commit, note);
        bench_row("reserve_and_release", threads, reset, reserve_and_release,
                  threads == 1 ? "two operations" : "two operations; two threads on one word");
    }
    bench_end();
    return 0;
}
