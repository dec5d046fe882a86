#include "account/breaker.h"

#include <stdbool.h>
#include <stddef.h>

#define BIT(reason) (1U << (reason))

enum {
    LIMITS = BIT(PA_REASON_DAILY_LOSS) | BIT(PA_REASON_OPEN_POSITIONS) |
             BIT(PA_REASON_CONSECUTIVE_ERRORS) | BIT(PA_REASON_ERROR_RATE),
    COOLING = BIT(PA_REASON_CONSECUTIVE_ERRORS) | BIT(PA_REASON_ERROR_RATE),
    BY_HAND = BIT(PA_REASON_MANUAL) | BIT(PA_REASON_STRANDED),
    TRIPS = COOLING | BY_HAND | BIT(PA_REASON_DAILY_LOSS),
};

#define NS_PER_MS 1000000ULL
#define PNL_BITS 48
#define PNL_LIMIT ((1LL << (PNL_BITS - 1)) - 1)
#define COUNT_BITS 14
#define RESULTS_MAX ((1U << COUNT_BITS) - 1) /* in one step; then both its counts are halved */
#define STEP_BITS (64 - 2 * COUNT_BITS)      /* shortest steps, 62.5 ms: wraps after 136 years */

static const char *const NAMES[PA_REASON_COUNT] = {
    [PA_REASON_TRADING_OFF] = "trading_off",
    [PA_REASON_MANUAL] = "manual",
    [PA_REASON_DAILY_LOSS] = "daily_loss",
    [PA_REASON_OPEN_POSITIONS] = "open_positions",
    [PA_REASON_CONSECUTIVE_ERRORS] = "consecutive_errors",
    [PA_REASON_ERROR_RATE] = "error_rate",
    [PA_REASON_STRANDED] = "stranded",
};

const char *pa_reason_name(int reason) {
    return reason >= 0 && reason < PA_REASON_COUNT ? NAMES[reason] : NULL;
}

/* ---- words ---- */

static uint64_t get(const _Atomic uint64_t *word) {
    /* Acquire pairs with the release of put() and swap(): the counts are read after the gate,
     * see settle(). */
    return atomic_load_explicit(word, memory_order_acquire);
}

static void put(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release); /* pairs with get() */
}

static bool swap(_Atomic uint64_t *word, uint64_t *seen, uint64_t value) {
    /* Release pairs with get(); acquire stands in for get() on what was replaced or seen. */
    return atomic_compare_exchange_strong_explicit(word, seen, value, memory_order_acq_rel,
                                                   memory_order_acquire);
}

static int64_t loss_limit(const pa_breaker *breaker) {
    /* Relaxed: pairs with nothing, a limit stands alone. */
    return atomic_load_explicit(&breaker->daily_loss_e6, memory_order_relaxed);
}

/* ---- the gate ---- */

static uint32_t mask_of(uint64_t gate) {
    return (uint32_t)gate ^ PA_GATE_OPEN;
}

/* The gate word for `mask`. Setting counts up, also when the bit was set already: it makes
 * every swap fail that was decided before. */
static uint64_t gate_for(uint64_t gate, uint32_t mask, bool counts) {
    const uint64_t sets = (gate >> 32) + counts;
    return sets << 32 | (mask ^ PA_GATE_OPEN);
}

static bool swap_gate(pa_breaker *breaker, uint64_t *gate, uint32_t mask, bool counts) {
    /* Its release pairs with the acquire of pa_breaker_can_execute_inline. */
    return swap(&breaker->gate, gate, gate_for(*gate, mask, counts));
}

/* Set a bit; the gate as it was before. */
static uint64_t block(pa_breaker *breaker, int reason) {
    uint64_t gate = get(&breaker->gate);
    while (!swap_gate(breaker, &gate, mask_of(gate) | BIT(reason), true)) {
    }
    return gate;
}

/* Clear a bit whatever happened meanwhile: an operator's word. */
static void unblock(pa_breaker *breaker, int reason) {
    uint64_t gate = get(&breaker->gate);
    while ((mask_of(gate) & BIT(reason)) != 0 &&
           !swap_gate(breaker, &gate, mask_of(gate) & ~BIT(reason), false)) {
    }
}

/* Set a trip's bit and, for the one who found it clear, record the trip. */
static void trip(pa_breaker *breaker, int reason, uint64_t now_ns) {
    const uint64_t before = block(breaker, reason);
    if ((mask_of(before) & BIT(reason)) == 0) {
        pa_trip_record *record = &breaker->trips[reason];
        put(&record->order, (before >> 32) + 1);
        put(&record->last_ns, now_ns);
        (void)atomic_fetch_add_explicit(&record->count, 1, memory_order_release); /* with get() */
    }
}

/* Trip until `now_ns` + cool-down. Already tripped: the running cool-down is not prolonged. */
static void trip_for_a_while(pa_breaker *breaker, int reason, uint64_t now_ns) {
    if ((mask_of(get(&breaker->gate)) & BIT(reason)) != 0) {
        return;
    }
    /* The end before the bit: who sees the bit must not see an end long past. It only ever
     * rises, so that a thread held up here cannot shorten a newer cool-down. */
    _Atomic uint64_t *until = &breaker->trips[reason].until_ns;
    const uint64_t end = now_ns + get(&breaker->cooldown_ns);
    uint64_t seen = get(until);
    while (seen < end && !swap(until, &seen, end)) {
    }
    trip(breaker, reason, now_ns);
}

/* ---- the day's result and the open positions: bits that follow a fact ---- */

static uint64_t pack_day(uint32_t unix_day, int64_t pnl_e6) {
    return (uint64_t)unix_day << PNL_BITS | ((uint64_t)pnl_e6 & ((1ULL << PNL_BITS) - 1));
}

static uint32_t day_of(uint64_t word) {
    return (uint32_t)(word >> PNL_BITS);
}

static int64_t pnl_of(uint64_t word) {
    return (int64_t)(word << (64 - PNL_BITS)) >> (64 - PNL_BITS); /* arithmetic: sign extends */
}

static bool loses_too_much(const pa_breaker *breaker) {
    const int64_t limit = loss_limit(breaker);
    return limit != 0 && pnl_of(get(&breaker->day_pnl)) <= -limit;
}

static bool holds_too_many(const pa_breaker *breaker) {
    const uint64_t limit = get(&breaker->open_positions_max);
    return limit != 0 && get(&breaker->open_positions) >= limit;
}

/* Let `reason`'s bit go if `in_force` no longer holds. The gate is read before the fact: if
 * the fact turns after our look, whoever turned it sets the bit after it, which counts the
 * gate up, and our swap fails. */
static void settle(pa_breaker *breaker, int reason, bool (*in_force)(const pa_breaker *)) {
    uint64_t gate = get(&breaker->gate);
    while ((mask_of(gate) & BIT(reason)) != 0 && !in_force(breaker) &&
           !swap_gate(breaker, &gate, mask_of(gate) & ~BIT(reason), false)) {
    }
}

static void weigh_positions(pa_breaker *breaker) {
    if (holds_too_many(breaker)) {
        (void)block(breaker, PA_REASON_OPEN_POSITIONS);
    }
    settle(breaker, PA_REASON_OPEN_POSITIONS, holds_too_many); /* also what we set too late */
}

static int64_t clamp_pnl(int64_t pnl_e6) {
    return pnl_e6 > PNL_LIMIT ? PNL_LIMIT : pnl_e6 < -PNL_LIMIT ? -PNL_LIMIT : pnl_e6;
}

pa_status pa_breaker_record_pnl(pa_breaker *breaker, int64_t pnl_e6, uint32_t unix_day,
                                uint64_t now_ns) {
    if (pnl_e6 > PA_DAILY_LOSS_MAX_E6 || pnl_e6 < -PA_DAILY_LOSS_MAX_E6 || unix_day < 1 ||
        unix_day > PA_UNIX_DAY_MAX) {
        return PA_E_RANGE;
    }
    uint64_t seen = get(&breaker->day_pnl);
    uint64_t next;
    do {
        const bool same = unix_day <= day_of(seen);
        next = same ? pack_day(day_of(seen), clamp_pnl(pnl_of(seen) + pnl_e6))
                    : pack_day(unix_day, pnl_e6);
    } while (!swap(&breaker->day_pnl, &seen, next));
    if (day_of(next) != day_of(seen)) {
        settle(breaker, PA_REASON_DAILY_LOSS, loses_too_much);
    }
    if (loses_too_much(breaker)) {
        trip(breaker, PA_REASON_DAILY_LOSS, now_ns);
    }
    return PA_OK;
}

pa_status pa_breaker_position_opened(pa_breaker *breaker) {
    uint64_t count = get(&breaker->open_positions);
    do {
        if (count >= PA_POSITIONS_MAX) {
            return PA_E_RANGE;
        }
    } while (!swap(&breaker->open_positions, &count, count + 1));
    weigh_positions(breaker);
    return PA_OK;
}

pa_status pa_breaker_position_closed(pa_breaker *breaker) {
    uint64_t count = get(&breaker->open_positions);
    do {
        if (count == 0) {
            return PA_E_RANGE;
        }
    } while (!swap(&breaker->open_positions, &count, count - 1));
    weigh_positions(breaker);
    return PA_OK;
}

pa_status pa_breaker_restore(pa_breaker *breaker, uint32_t open_positions, int64_t pnl_e6,
                             uint32_t unix_day, uint64_t now_ns) {
    if (open_positions > PA_POSITIONS_MAX || pnl_e6 > PNL_LIMIT || pnl_e6 < -PNL_LIMIT ||
        unix_day < 1 || unix_day > PA_UNIX_DAY_MAX) {
        return PA_E_RANGE;
    }
    put(&breaker->open_positions, open_positions);
    weigh_positions(breaker);
    const bool new_day = unix_day != day_of(get(&breaker->day_pnl));
    put(&breaker->day_pnl, pack_day(unix_day, pnl_e6));
    if (new_day) {
        settle(breaker, PA_REASON_DAILY_LOSS, loses_too_much);
    }
    if (loses_too_much(breaker)) {
        trip(breaker, PA_REASON_DAILY_LOSS, now_ns);
    }
    return PA_OK;
}

/* ---- errors ---- */

typedef struct results {
    uint32_t errors, total;
} results;

static uint64_t pack_step(uint64_t step, results r) {
    return step << 2 * COUNT_BITS | (uint64_t)r.errors << COUNT_BITS | r.total;
}

static results results_of(uint64_t word) {
    return (results){(uint32_t)(word >> COUNT_BITS) & RESULTS_MAX, (uint32_t)word & RESULTS_MAX};
}

/* How many steps `word` lies before `step`; below zero: after it, the clock went back. */
static int64_t age(uint64_t word, uint64_t step) {
    const uint64_t steps = (step - (word >> 2 * COUNT_BITS)) << (64 - STEP_BITS);
    return (int64_t)steps >> (64 - STEP_BITS); /* arithmetic: sign extends */
}

static uint64_t step_at(const pa_breaker *breaker, uint64_t now_ns) {
    const uint64_t step_ns = get(&breaker->step_ns);
    return step_ns == 0 ? 0 : now_ns / step_ns;
}

/* All results of the window that ends with `step`. Steps from the future stay in, so that a
 * clock set back forgets nothing. */
static results window_sum(const pa_breaker *breaker, uint64_t step) {
    results sum = {0, 0};
    for (int i = 0; i < PA_WINDOW_STEPS; ++i) {
        const uint64_t word = get(&breaker->window[i]);
        if (age(word, step) < PA_WINDOW_STEPS) {
            const results r = results_of(word);
            sum.errors += r.errors;
            sum.total += r.total;
        }
    }
    return sum;
}

static void window_add(pa_breaker *breaker, uint64_t step, bool error) {
    _Atomic uint64_t *word = &breaker->window[step % PA_WINDOW_STEPS];
    uint64_t seen = get(word), next;
    do {
        results r = results_of(seen);
        const bool reuse = r.total == 0 || age(seen, step) > 0; /* older: by a whole window */
        if (reuse) {
            r = (results){0, 0};
        }
        if (r.total == RESULTS_MAX) {
            r = (results){r.errors / 2, r.total / 2};
        }
        r.errors += error;
        r.total += 1;
        next = pack_step(reuse ? step : seen >> 2 * COUNT_BITS, r);
    } while (!swap(word, &seen, next));
}

static bool rate_too_high(const pa_breaker *breaker, uint64_t step) {
    const uint64_t permille = get(&breaker->error_permille);
    if (permille == 0) {
        return false;
    }
    const results sum = window_sum(breaker, step);
    return sum.total >= get(&breaker->error_samples_min) &&
           (uint64_t)sum.errors * PA_PERMILLE_MAX >= permille * sum.total;
}

static bool errors_too_many(const pa_breaker *breaker) {
    const uint64_t limit = get(&breaker->consecutive_errors_max);
    return limit != 0 && get(&breaker->errors_in_row) >= limit;
}

static void weigh_errors(pa_breaker *breaker, uint64_t now_ns) {
    if (errors_too_many(breaker)) {
        trip_for_a_while(breaker, PA_REASON_CONSECUTIVE_ERRORS, now_ns);
    }
    if (rate_too_high(breaker, step_at(breaker, now_ns))) {
        trip_for_a_while(breaker, PA_REASON_ERROR_RATE, now_ns);
    }
}

void pa_breaker_record_result(pa_breaker *breaker, int error, uint64_t now_ns) {
    if (error) {
        uint64_t count = get(&breaker->errors_in_row);
        while (count < PA_ERRORS_MAX && !swap(&breaker->errors_in_row, &count, count + 1)) {
        }
    } else {
        put(&breaker->errors_in_row, 0);
    }
    if (get(&breaker->error_permille) != 0) {
        window_add(breaker, step_at(breaker, now_ns), error != 0);
    }
    weigh_errors(breaker, now_ns);
}

/* What a cool-down's end forgets, as read before it ended. */
typedef struct counted {
    uint64_t errors_in_row;
    uint64_t window[PA_WINDOW_STEPS];
} counted;

static void read_counted(const pa_breaker *breaker, counted *out) {
    out->errors_in_row = get(&breaker->errors_in_row);
    for (int i = 0; i < PA_WINDOW_STEPS; ++i) {
        out->window[i] = get(&breaker->window[i]);
    }
}

/* Start again from nothing. A word that has moved on stays: it holds something newer, and to
 * count too much is the safe side. */
static void forget(pa_breaker *breaker, uint32_t reasons, counted *seen) {
    if ((reasons & BIT(PA_REASON_CONSECUTIVE_ERRORS)) != 0) {
        (void)swap(&breaker->errors_in_row, &seen->errors_in_row, 0);
    }
    for (int i = 0; i < PA_WINDOW_STEPS && (reasons & BIT(PA_REASON_ERROR_RATE)) != 0; ++i) {
        (void)swap(&breaker->window[i], &seen->window[i], 0);
    }
}

/* Those of the cooling reasons in `mask` whose time is over. */
static uint32_t cooled(const pa_breaker *breaker, uint32_t mask, uint64_t now_ns) {
    uint32_t over = 0;
    for (int reason = 0; reason < PA_REASON_COUNT; ++reason) {
        if ((mask & COOLING & BIT(reason)) != 0 &&
            now_ns >= get(&breaker->trips[reason].until_ns)) {
            over |= BIT(reason);
        }
    }
    return over;
}

int pa_breaker_recheck(pa_breaker *breaker, uint64_t now_ns) {
    uint64_t gate = get(&breaker->gate);
    for (;;) {
        const uint32_t mask = mask_of(gate);
        if (mask == 0) {
            return 1;
        }
        if ((mask & ~(uint32_t)COOLING) != 0) {
            return 0;
        }
        const uint32_t over = cooled(breaker, mask, now_ns);
        if (over == 0) {
            return 0;
        }
        counted seen;
        read_counted(breaker, &seen);
        if (swap_gate(breaker, &gate, mask & ~over, false)) {
            forget(breaker, over, &seen);
            gate = get(&breaker->gate);
        }
    }
}

int pa_breaker_can_execute(pa_breaker *breaker, uint64_t now_ns) {
    return pa_breaker_can_execute_inline(breaker, now_ns);
}

uint32_t pa_breaker_blocked(const pa_breaker *breaker, uint64_t now_ns) {
    const uint32_t mask = mask_of(get(&breaker->gate));
    return mask & ~cooled(breaker, mask, now_ns);
}

/* ---- switches ---- */

pa_status pa_breaker_enable(pa_breaker *breaker) {
    if (get(&breaker->configured) == 0) {
        return PA_E_BLOCKED;
    }
    unblock(breaker, PA_REASON_TRADING_OFF);
    return PA_OK;
}

void pa_breaker_disable(pa_breaker *breaker) {
    (void)block(breaker, PA_REASON_TRADING_OFF);
}

static bool in_mask(int reason, uint32_t mask) {
    return reason >= 0 && reason < PA_REASON_COUNT && (mask & BIT(reason)) != 0;
}

pa_status pa_breaker_trip(pa_breaker *breaker, int reason, uint64_t now_ns) {
    if (!in_mask(reason, BY_HAND)) {
        return PA_E_RANGE;
    }
    trip(breaker, reason, now_ns);
    return PA_OK;
}

pa_status pa_breaker_reset(pa_breaker *breaker, int reason) {
    if (!in_mask(reason, TRIPS)) {
        return PA_E_RANGE;
    }
    counted seen;
    read_counted(breaker, &seen);
    forget(breaker, BIT(reason), &seen); /* first: a crash in between leaves it blocked */
    if (reason == PA_REASON_DAILY_LOSS) {
        uint64_t day = get(&breaker->day_pnl);
        while (!swap(&breaker->day_pnl, &day, pack_day(day_of(day), 0))) {
        }
        settle(breaker, reason, loses_too_much); /* unless a new loss is already too much */
        return PA_OK;
    }
    put(&breaker->trips[reason].until_ns, 0);
    unblock(breaker, reason);
    return PA_OK;
}

/* ---- limits ---- */

static bool within(uint64_t value, uint64_t low, uint64_t high) {
    return value >= low && value <= high;
}

/* A limit is in its range, or it is 0 and said to be unlimited; never both. */
static bool limit_valid(const pa_breaker_config *config, int reason, uint64_t value, uint64_t max) {
    return (config->unlimited_mask & BIT(reason)) != 0 ? value == 0 : within(value, 1, max);
}

static bool rate_valid(const pa_breaker_config *config) {
    if ((config->unlimited_mask & BIT(PA_REASON_ERROR_RATE)) != 0) {
        return config->error_permille == 0 && config->error_samples_min == 0 &&
               config->window_ms == 0;
    }
    return within(config->error_permille, 1, PA_PERMILLE_MAX) &&
           within(config->error_samples_min, 1, PA_SAMPLES_MAX) &&
           within(config->window_ms, PA_WINDOW_MS_MIN, PA_PERIOD_MS_MAX);
}

static bool config_valid(const pa_breaker_config *config) {
    return (config->unlimited_mask & ~(uint32_t)LIMITS) == 0 && config->reserved == 0 &&
           limit_valid(config, PA_REASON_DAILY_LOSS, (uint64_t)config->daily_loss_e6,
                       PA_DAILY_LOSS_MAX_E6) &&
           limit_valid(config, PA_REASON_OPEN_POSITIONS, config->open_positions_max,
                       PA_POSITIONS_MAX) &&
           limit_valid(config, PA_REASON_CONSECUTIVE_ERRORS, config->consecutive_errors_max,
                       PA_ERRORS_MAX) &&
           rate_valid(config) && within(config->cooldown_ms, 1, PA_PERIOD_MS_MAX);
}

pa_status pa_breaker_configure(pa_breaker *breaker, const pa_breaker_config *config,
                               uint64_t now_ns) {
    if (!config_valid(config)) {
        return PA_E_RANGE;
    }
    const uint64_t step_ns = config->window_ms * NS_PER_MS / PA_WINDOW_STEPS;
    if (step_ns != get(&breaker->step_ns)) { /* steps of another length cannot be compared */
        for (int i = 0; i < PA_WINDOW_STEPS; ++i) {
            put(&breaker->window[i], 0);
        }
    }
    /* Relaxed: pairs with nothing, a limit stands alone. */
    atomic_store_explicit(&breaker->daily_loss_e6, config->daily_loss_e6, memory_order_relaxed);
    put(&breaker->open_positions_max, config->open_positions_max);
    put(&breaker->consecutive_errors_max, config->consecutive_errors_max);
    put(&breaker->error_permille, config->error_permille);
    put(&breaker->error_samples_min, config->error_samples_min);
    put(&breaker->step_ns, step_ns);
    put(&breaker->cooldown_ns, config->cooldown_ms * NS_PER_MS);
    put(&breaker->configured, 1);

    weigh_positions(breaker);
    if (loses_too_much(breaker)) {
        trip(breaker, PA_REASON_DAILY_LOSS, now_ns);
    }
    weigh_errors(breaker, now_ns);
    return PA_OK;
}

void pa_breaker_limits(const pa_breaker *breaker, pa_breaker_config *out) {
    *out = (pa_breaker_config){
        .daily_loss_e6 = loss_limit(breaker),
        .open_positions_max = (uint32_t)get(&breaker->open_positions_max),
        .consecutive_errors_max = (uint32_t)get(&breaker->consecutive_errors_max),
        .error_permille = (uint32_t)get(&breaker->error_permille),
        .error_samples_min = (uint32_t)get(&breaker->error_samples_min),
        .window_ms = (uint32_t)(get(&breaker->step_ns) * PA_WINDOW_STEPS / NS_PER_MS),
        .cooldown_ms = (uint32_t)(get(&breaker->cooldown_ns) / NS_PER_MS),
    };
    if (get(&breaker->configured) != 0) {
        out->unlimited_mask =
            (out->daily_loss_e6 == 0 ? BIT(PA_REASON_DAILY_LOSS) : 0) |
            (out->open_positions_max == 0 ? BIT(PA_REASON_OPEN_POSITIONS) : 0) |
            (out->consecutive_errors_max == 0 ? BIT(PA_REASON_CONSECUTIVE_ERRORS) : 0) |
            (out->error_permille == 0 ? BIT(PA_REASON_ERROR_RATE) : 0);
    }
}

/* ---- monitors ---- */

/* The trip in `mask` that came first: the gate's count when it was set tells. */
static uint32_t first_of(const pa_breaker *breaker, uint32_t mask) {
    uint32_t first = PA_REASON_COUNT;
    for (uint32_t reason = 0; reason < PA_REASON_COUNT; ++reason) {
        if ((mask & TRIPS & BIT(reason)) != 0 &&
            (first == PA_REASON_COUNT ||
             get(&breaker->trips[reason].order) < get(&breaker->trips[first].order))) {
            first = reason;
        }
    }
    return first;
}

static uint64_t cooling_until(const pa_breaker *breaker, uint32_t mask) {
    uint64_t until = 0;
    for (int reason = 0; reason < PA_REASON_COUNT; ++reason) {
        const uint64_t end = get(&breaker->trips[reason].until_ns);
        if ((mask & COOLING & BIT(reason)) != 0 && end > until) {
            until = end;
        }
    }
    return until;
}

void pa_breaker_read(const pa_breaker *breaker, uint64_t now_ns, pa_breaker_snapshot *out) {
    const uint32_t mask = pa_breaker_blocked(breaker, now_ns);
    const uint64_t day = get(&breaker->day_pnl);
    const results window = window_sum(breaker, step_at(breaker, now_ns));
    *out = (pa_breaker_snapshot){
        .pnl_e6 = pnl_of(day),
        .unix_day = day_of(day),
        .blocked_mask = mask,
        .open_positions = (uint32_t)get(&breaker->open_positions),
        .errors_in_row = (uint32_t)get(&breaker->errors_in_row),
        .window_errors = window.errors,
        .window_total = window.total,
        .first_reason = first_of(breaker, mask),
        .configured = (uint32_t)get(&breaker->configured),
        .cooldown_until_ns = cooling_until(breaker, mask),
    };
    for (int reason = 0; reason < PA_REASON_COUNT; ++reason) {
        out->trip_last_ns[reason] = get(&breaker->trips[reason].last_ns);
        out->trip_count[reason] = get(&breaker->trips[reason].count);
    }
}
