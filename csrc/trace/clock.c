#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "trace/clock.h"

#include <stdbool.h>
#include <time.h>

#include "base/cpu.h"

#define CALIBRATION_NS 5000000
#define PAIR_TRIES 16
#define SLOPE_PART 16 /* a line is at most 1/16 slower or faster than the counter's rate */

/* 100 MHz .. 10 GHz as nanoseconds per tick x 2^48: any other rate is a broken counter. */
#define MULT_MAX ((10ULL << PA_CLOCK_SHIFT))
#define MULT_MIN ((1ULL << PA_CLOCK_SHIFT) / 10)

typedef struct pair {
    uint64_t tsc, ns;
} pair;

uint64_t pa_clock_system_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* Both clocks at one instant: of several tries the one least torn apart. */
static pair read_pair(void) {
    pair best = {0, 0};
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < PAIR_TRIES; ++i) {
        const uint64_t before = pa_clock_ticks();
        const uint64_t ns = pa_clock_system_ns();
        const uint64_t width = pa_clock_ticks() - before;
        if (width < best_width) {
            best_width = width;
            best = (pair){before + width / 2, ns};
        }
    }
    return best;
}

/* Nanoseconds per tick x 2^48 between two pairs; 0 if that makes no sense. */
static uint64_t rate(pair from, pair to) {
    if (to.tsc <= from.tsc || to.ns <= from.ns) {
        return 0;
    }
    const unsigned __int128 mult =
        ((unsigned __int128)(to.ns - from.ns) << PA_CLOCK_SHIFT) / (to.tsc - from.tsc);
    return mult >= MULT_MIN && mult <= MULT_MAX ? (uint64_t)mult : 0;
}

void pa_clock_init(pa_clock *clock) {
    *clock = (pa_clock){0};
    if ((pa_cpu_features() & PA_CPU_INVARIANT_TSC) == 0) {
        return;
    }
    const pair first = read_pair();
    while (pa_clock_system_ns() - first.ns < CALIBRATION_NS) {
    }
    const pair last = read_pair();
    *clock = (pa_clock){
        .anchor_tsc = last.tsc,
        .anchor_ns = last.ns,
        .mult = rate(first, last),
        .first_tsc = first.tsc,
        .first_ns = first.ns,
    };
}

/* The slope that takes a line from `ahead` nanoseconds ahead (behind, if below 0) to none
 * within PA_CLOCK_MEET_NS, as far as one part in SLOPE_PART allows. */
static uint64_t slope(uint64_t mult, int64_t ahead) {
    const int64_t most = PA_CLOCK_MEET_NS / SLOPE_PART;
    const int64_t turn = ahead > most ? most : ahead < -most ? -most : ahead;
    const unsigned __int128 way = (unsigned __int128)(PA_CLOCK_MEET_NS - turn);
    return (uint64_t)(mult * way / PA_CLOCK_MEET_NS);
}

int64_t pa_clock_sync(pa_clock *clock) {
    if (clock->mult == 0) {
        return 0;
    }
    const pair now = read_pair();
    const uint64_t mult = rate((pair){clock->first_tsc, clock->first_ns}, now);
    if (mult == 0) {
        return 0; /* keep the line we have */
    }
    /* Anchored at the newest reading, after which no earlier one can be taken. */
    const uint64_t tsc = pa_clock_ticks();
    const uint64_t ours = pa_clock_line(clock, tsc);
    const uint64_t theirs =
        now.ns + (uint64_t)((unsigned __int128)(tsc - now.tsc) * mult >> PA_CLOCK_SHIFT);
    const int64_t ahead = (int64_t)(ours - theirs);
    const bool far_behind = ahead < -PA_CLOCK_MEET_NS / SLOPE_PART;
    clock->anchor_tsc = tsc;
    clock->anchor_ns = far_behind ? theirs : ours;
    clock->mult = slope(mult, far_behind ? 0 : ahead);
    return ahead;
}

uint64_t pa_clock_now_ns(const pa_clock *clock) {
    return pa_clock_now_ns_inline(clock);
}

int pa_clock_is_tsc(const pa_clock *clock) {
    return clock->mult != 0;
}
