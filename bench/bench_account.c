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

/* The account's only state of two words, as a consistent pair, and the same bytes just copied. */
static uint64_t read_pair(uint64_t count) {
    pa_balance_snapshot pair;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        pa_balance_read(&account.balance, &pair);
        sum += (uint64_t)pair.held_e6;
    }
    return sum;
}

static uint64_t copy_pair(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        const int64_t cash = *(const volatile int64_t *)(const void *)&account.balance.cash;
        const int64_t available = *(const volatile int64_t *)(const void *)&account.balance.available;
        sum += (uint64_t)(cash - available);
    }
    return sum;
}

static _Atomic int writer_stop;

/* Reserve and commit one micro-dollar for ever: what is held is 0 or 1 at every instant. */
static void *write_pairs(void *writes) {
    bench_pin(1);
    while (!atomic_load_explicit(&writer_stop, memory_order_relaxed)) {
        *(uint64_t *)writes += 2 * reserve(1) * commit(1);
    }
    return NULL;
}

/* Print one row: nanoseconds a read beside that writer, and how many pairs no instant had. */
static void read_beside_a_writer(uint64_t count) {
    pthread_t writer;
    uint64_t writes = 0, torn = 0;
    reset();
    must(pa_balance_restore(&account.balance, PA_CASH_MAX_E6, 0) == PA_OK);
    must(pthread_create(&writer, NULL, write_pairs, &writes) == 0);
    bench_pin(0);
    const uint64_t start = bench_now_ns();
    for (uint64_t i = 0; i < count; ++i) {
        pa_balance_snapshot pair;
        pa_balance_read(&account.balance, &pair);
        torn += pair.held_e6 != 0 && pair.held_e6 != 1;
    }
    const double ns = (double)(bench_now_ns() - start);
    atomic_store(&writer_stop, 1);
    pthread_join(writer, NULL);
    char note[128];
    snprintf(note, sizeof note, "%llu torn in %llu reads, writer %.0f M/s", (unsigned long long)torn,
             (unsigned long long)count, (double)writes / ns * 1e3);
    const double each = ns / (double)count;
    bench_print("read_pair_beside_a_writer", 1, &each, 1, note);
}

/* usage: bench_account READS: how many reads to make beside a writer. */
int main(int argc, char **argv) {
    must(argc == 2);
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
    bench_row("copy_pair", 1, reset, copy_pair, "two plain loads");
    bench_row("read_pair", 1, reset, read_pair, "no writer near");
    read_beside_a_writer(strtoull(argv[1], NULL, 10));
    bench_end();
    return 0;
}
