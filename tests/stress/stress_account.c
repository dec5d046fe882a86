/* The account under threads, processes and SIGKILL. Arguments: seed, effort (1: seconds). */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

#include "account/account.h"
#include "check.h"

#define PROCESSES 2
#define THREADS 2
#define WORKERS (PROCESSES * THREADS)
#define ISSUED_MAX 40000
#define FUNDS_E6 1000000

/* What a worker knows for certain, for the judge: raised and lowered on the safe side of
 * each call, so that it holds at whatever instant the worker dies. */
typedef struct ledger {
    _Alignas(64) _Atomic int64_t held_least;
    _Atomic int64_t credited_most;
    _Atomic int64_t spent_least;
    _Atomic int64_t moved; /* operations that succeeded */
} ledger;

typedef struct shared {
    pa_account account;
    ledger ledgers[WORKERS];
    uint64_t stamps[WORKERS][ISSUED_MAX];
    uint64_t nonces[WORKERS][ISSUED_MAX];
    _Atomic int reconciling;
    _Alignas(64) _Atomic uint64_t arrived; /* at the pair's meeting point, in all */
} shared;

static shared *all;
static uint64_t seed;
static uint64_t effort;

typedef void work(int worker, uint64_t random);

static uint64_t next(uint64_t *random) { /* xorshift64 */
    *random ^= *random << 13;
    *random ^= *random >> 7;
    return *random ^= *random << 17;
}

static void clear(void) {
    memset(all, 0, sizeof *all);
}

static void note(_Atomic int64_t *word, int64_t by) {
    atomic_fetch_add(word, by);
}

/* ---- running workers ---- */

typedef struct job {
    work *run;
    int worker;
} job;

static void *thread_main(void *argument) {
    const job *j = argument;
    j->run(j->worker, (seed + 1) * 0x9E3779B97F4A7C15ULL ^ (uint64_t)(j->worker + 1) << 32);
    return NULL;
}

static pid_t spawn(work *run, int process) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) {
        return child;
    }
    pthread_t threads[THREADS];
    job jobs[THREADS];
    for (int i = 0; i < THREADS; ++i) {
        jobs[i] = (job){run, process * THREADS + i};
        CHECK(pthread_create(&threads[i], NULL, thread_main, &jobs[i]) == 0);
    }
    for (int i = 0; i < THREADS; ++i) {
        pthread_join(threads[i], NULL);
    }
    _exit(0);
}

static void run_everywhere(work *run) {
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; ++i) {
        children[i] = spawn(run, i);
    }
    for (int i = 0; i < PROCESSES; ++i) {
        int status;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* ---- balance ---- */

/* One reservation and its end. Nothing a rightful holder does may be refused; only while
 * somebody reconciles may the cash be missing. */
static void trade_once(ledger *mine, uint64_t *random) {
    pa_balance *b = &all->account.balance;
    const int64_t amount = (int64_t)(next(random) % (FUNDS_E6 / 3)) + 1;
    if (pa_balance_reserve(b, amount) != PA_OK) {
        return;
    }
    note(&mine->held_least, amount);
    const int64_t spend = (int64_t)(next(random) % (uint64_t)(amount + 1));
    int64_t back = amount - spend;
    if (spend > 0) {
        note(&mine->held_least, -spend);
        const pa_status status = pa_balance_commit(b, spend);
        CHECK(status == PA_OK || (status == PA_E_FUNDS && all->reconciling));
        if (status == PA_OK) {
            note(&mine->spent_least, spend);
            note(&mine->credited_most, spend); /* sold again at once: the game goes on */
            CHECK(pa_balance_credit(b, spend) == PA_OK);
        } else {
            note(&mine->held_least, spend);
            back = amount;
        }
    }
    if (back > 0) {
        note(&mine->held_least, -back);
        CHECK(pa_balance_release(b, back) == PA_OK);
    }
    note(&mine->moved, 1);
}

static void trade(int worker, uint64_t random) {
    for (uint64_t i = 0; i < 100000 * effort; ++i) {
        trade_once(&all->ledgers[worker], &random);
        CHECK(pa_balance_available(&all->account.balance) >= 0);
        CHECK(all->reconciling || all->account.balance.available >= 0);
        CHECK(all->account.balance.cash >= 0);
    }
}

static void funds_are_conserved_under_contention(void) {
    clear();
    CHECK(pa_balance_credit(&all->account.balance, FUNDS_E6) == PA_OK);
    run_everywhere(trade);
    pa_balance_snapshot s;
    pa_balance_read(&all->account.balance, &s);
    CHECK(s.available_e6 == FUNDS_E6 && s.cash_e6 == FUNDS_E6 && s.held_e6 == 0);
    for (int i = 0; i < WORKERS; ++i) {
        CHECK(all->ledgers[i].moved > 0);
    }
}

static void trade_or_reconcile(int worker, uint64_t random) {
    if (worker != 0) {
        trade(worker, random);
        return;
    }
    for (uint64_t i = 0; i < 100000 * effort; ++i) {
        int64_t missing = 0;
        const int64_t theirs = (int64_t)(next(&random) % (2 * FUNDS_E6));
        CHECK(pa_balance_reconcile(&all->account.balance, theirs, &missing) != PA_E_RANGE);
        CHECK(missing >= 0);
    }
}

static void holds_survive_reconciliation(void) {
    clear();
    all->reconciling = 1;
    run_everywhere(trade_or_reconcile);
    /* Nothing is held any more, so both words agree: every move hit both by the same. */
    CHECK(all->account.balance.available == all->account.balance.cash);
}

static void trade_until_killed(int worker, uint64_t random) {
    for (;;) {
        trade_once(&all->ledgers[worker], &random);
    }
}

static void reconcile_until_killed(int worker, uint64_t random) {
    if (worker != 0) {
        trade_until_killed(worker, random);
    }
    for (;;) {
        int64_t missing = 0;
        const int64_t theirs = (int64_t)(next(&random) % (2 * FUNDS_E6));
        CHECK(pa_balance_reconcile(&all->account.balance, theirs, &missing) != PA_E_RANGE);
    }
}

static void judge_the_books(void) {
    int64_t held = 0, credited = FUNDS_E6, spent = 0;
    for (int i = 0; i < WORKERS; ++i) {
        held += all->ledgers[i].held_least;
        credited += all->ledgers[i].credited_most;
        spent += all->ledgers[i].spent_least;
    }
    const int64_t available = all->account.balance.available, cash = all->account.balance.cash;
    CHECK(available + held <= cash); /* no hold of the dead can be promised again */
    CHECK(cash >= 0);
    if (!all->reconciling) {
        CHECK(available >= 0 && cash <= credited - spent); /* nothing earned that was not */
    }
}

static void a_killed_process_never_overstates_the_books(work *run, int reconciling) {
    uint64_t random = seed | 1;
    int64_t moved = 0;
    for (uint64_t round = 0; round < 150 * effort; ++round) {
        clear();
        all->reconciling = reconciling;
        CHECK(pa_balance_credit(&all->account.balance, FUNDS_E6) == PA_OK);
        pid_t children[PROCESSES];
        for (int i = 0; i < PROCESSES; ++i) {
            children[i] = spawn(run, i);
        }
        while (all->ledgers[1].moved == 0 && all->ledgers[WORKERS - 1].moved == 0) {
        }
        for (volatile uint64_t spin = next(&random) % 300000; spin > 0; --spin) {
        }
        for (int i = 0; i < PROCESSES; ++i) {
            CHECK(kill(children[i], SIGKILL) == 0);
        }
        for (int i = 0; i < PROCESSES; ++i) {
            int status;
            CHECK(waitpid(children[i], &status, 0) == children[i] && WIFSIGNALED(status));
        }
        judge_the_books();
        for (int i = 0; i < WORKERS; ++i) {
            moved += all->ledgers[i].moved;
        }
    }
    CHECK(moved > 0);
}

/* ---- stamps and nonces ---- */

static void issue(int worker, uint64_t random) {
    uint64_t stamps = 0, nonces = 0, last = 0;
    while (stamps + PA_BATCH_MAX <= ISSUED_MAX && nonces + PA_BATCH_MAX <= ISSUED_MAX) {
        const uint32_t count = (uint32_t)(next(&random) % PA_BATCH_MAX) + 1;
        const uint64_t now = PA_STAMP_MS_MIN + next(&random) % 100000; /* jumps to and fro */
        uint64_t first;
        CHECK(pa_stamp_issue(&all->account.stamp, count, now, &first) == PA_OK);
        CHECK(first >= now && first > last);
        last = first + count - 1;
        for (uint64_t i = 0; i < count; ++i) {
            all->stamps[worker][stamps++] = first + i;
        }
        CHECK(pa_nonce_issue_many(&all->account.nonce, count, &first) == PA_OK);
        for (uint64_t i = 0; i < count; ++i) {
            all->nonces[worker][nonces++] = first + i;
        }
    }
}

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The nonzero ones among all workers' values are all different; returns how many. */
static uint64_t all_different(uint64_t (*values)[ISSUED_MAX]) {
    uint64_t *const flat = &values[0][0];
    const size_t n = (size_t)WORKERS * ISSUED_MAX;
    uint64_t used = 0;
    qsort(flat, n, sizeof *flat, ascending);
    for (size_t i = 0; i < n; ++i) {
        CHECK(i == 0 || flat[i] == 0 || flat[i] != flat[i - 1]);
        used += flat[i] != 0;
    }
    return used;
}

static void stamps_and_nonces_are_issued_once(void) {
    clear();
    CHECK(pa_nonce_initialize(&all->account.nonce, 1) == PA_OK);
    run_everywhere(issue);
    CHECK(all_different(all->stamps) > ISSUED_MAX);
    CHECK(all_different(all->nonces) == pa_nonce_current(&all->account.nonce) - 1);
}

/* ---- breaker ---- */

static const pa_breaker_config LIMITS = {
    .daily_loss_e6 = 1000,
    .open_positions_max = 3,
    .consecutive_errors_max = 64,
    .error_permille = 500,
    .error_samples_min = 50,
    .window_ms = 1000,
    .cooldown_ms = 1000,
};

static void fail(int worker, uint64_t random) {
    (void)worker, (void)random;
    for (int i = 0; i < 200; ++i) {
        pa_breaker_record_result(&all->account.breaker, 1, 1000);
        CHECK(pa_breaker_record_pnl(&all->account.breaker, -10, 1, 1000) == PA_OK);
        CHECK(pa_breaker_trip(&all->account.breaker, PA_REASON_MANUAL, 1000) == PA_OK);
    }
}

static void every_reason_trips_exactly_once(void) {
    for (uint64_t round = 0; round < 30 * effort; ++round) {
        clear();
        pa_breaker *b = &all->account.breaker;
        CHECK(pa_breaker_configure(b, &LIMITS, 0) == PA_OK && pa_breaker_enable(b) == PA_OK);
        run_everywhere(fail);
        pa_breaker_snapshot s;
        pa_breaker_read(b, 1000, &s);
        CHECK(s.trip_count[PA_REASON_CONSECUTIVE_ERRORS] == 1);
        CHECK(s.trip_count[PA_REASON_ERROR_RATE] == 1);
        CHECK(s.trip_count[PA_REASON_DAILY_LOSS] == 1 && s.pnl_e6 == -10 * 200 * WORKERS);
        CHECK(s.trip_count[PA_REASON_MANUAL] == 1);
        CHECK(s.window_errors == 200 * WORKERS && s.errors_in_row == 200 * WORKERS);
        CHECK(!pa_breaker_can_execute(b, 1000));
    }
}

/* Two workers, one of each process, meet here: the `meeting`-th time each. */
static void meet(uint64_t meeting) {
    atomic_fetch_add(&all->arrived, 1);
    for (uint64_t spin = 0; atomic_load(&all->arrived) < 2 * meeting; ++spin) {
        if (spin > 10000) {
            sched_yield(); /* the other one may be waiting for this processor */
        }
    }
}

static void check_gate(void) {
    pa_breaker_snapshot s;
    pa_breaker_read(&all->account.breaker, 0, &s);
    CHECK((s.blocked_mask >> PA_REASON_OPEN_POSITIONS & 1) == (s.open_positions >= 3));
    CHECK((s.blocked_mask >> PA_REASON_DAILY_LOSS & 1) == (s.pnl_e6 <= -1000));
}

/* Every race gets its own short round, and both look at the gate when it is over: a wrong bit
 * would be put right by the next change. */
static void race(int worker, uint64_t random) {
    pa_breaker *b = &all->account.breaker;
    if (worker % THREADS != 0) {
        return;
    }
    const bool first = worker == 0;
    uint64_t meeting = 0;
    for (uint32_t round = 1; round <= 60000; ++round) {
        for (volatile uint64_t spin = next(&random) % 64; spin > 0; --spin) {
        }
        /* From two open positions, at a limit of three. */
        CHECK(pa_breaker_position_opened(b) == PA_OK && pa_breaker_position_closed(b) == PA_OK);
        CHECK((first ? pa_breaker_position_opened(b) : pa_breaker_position_closed(b)) == PA_OK);
        meet(++meeting);
        check_gate();
        meet(++meeting);
        CHECK((first ? pa_breaker_position_closed(b) : pa_breaker_position_opened(b)) == PA_OK);
        /* The day's first loss ends the trip of the day before, the second is too much. */
        CHECK(pa_breaker_record_pnl(b, -600, round, 1) == PA_OK);
        meet(++meeting);
        check_gate();
        CHECK(!pa_breaker_can_execute(b, 1));
        meet(++meeting);
    }
}

static void the_gate_follows_the_facts(void) {
    for (uint64_t round = 0; round < 2 * effort; ++round) {
        clear();
        pa_breaker *b = &all->account.breaker;
        CHECK(pa_breaker_configure(b, &LIMITS, 0) == PA_OK && pa_breaker_enable(b) == PA_OK);
        CHECK(pa_breaker_position_opened(b) == PA_OK && pa_breaker_position_opened(b) == PA_OK);
        run_everywhere(race);
        CHECK(all->account.breaker.open_positions == 2);
    }
}

/* Everybody fails and everybody ends cool-downs; a stale end must not end a newer trip. */
static void fail_and_look(int worker, uint64_t random) {
    pa_breaker *b = &all->account.breaker;
    for (uint64_t i = 0; i < 30000 * effort; ++i) {
        const uint64_t now = i * 100000;
        if (next(&random) % 3 != 0) {
            pa_breaker_record_result(b, 1, now);
        }
        (void)pa_breaker_can_execute(b, now);
        if (next(&random) % 1000 == 0) {
            CHECK(pa_breaker_trip(b, PA_REASON_MANUAL, now) == PA_OK);
            CHECK(worker != 0 || pa_breaker_reset(b, PA_REASON_MANUAL) == PA_OK);
        }
    }
}

static void a_hand_trip_survives_every_cool_down(void) {
    clear();
    pa_breaker *b = &all->account.breaker;
    CHECK(pa_breaker_configure(b, &LIMITS, 0) == PA_OK && pa_breaker_enable(b) == PA_OK);
    run_everywhere(fail_and_look);
    CHECK(pa_breaker_trip(b, PA_REASON_MANUAL, 0) == PA_OK);
    CHECK(!pa_breaker_can_execute(b, INT64_MAX));
    CHECK(pa_breaker_reset(b, PA_REASON_MANUAL) == PA_OK && pa_breaker_can_execute(b, INT64_MAX));
}

int main(int count, char **arguments) {
    seed = count > 1 ? strtoull(arguments[1], NULL, 10) : (uint64_t)time(NULL);
    effort = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    funds_are_conserved_under_contention();
    holds_survive_reconciliation();
    a_killed_process_never_overstates_the_books(trade_until_killed, 0);
    a_killed_process_never_overstates_the_books(reconcile_until_killed, 1);
    stamps_and_nonces_are_issued_once();
    every_reason_trips_exactly_once();
    the_gate_follows_the_facts();
    a_hand_trip_survives_every_cool_down();
    puts("account stress: ok");
    return 0;
}
