/* trace/clock.h -- nanoseconds of CLOCK_MONOTONIC without asking the kernel.
 *
 * Idea     where the processor's time stamp counter runs at one rate in every power state
 *          (PA_CPU_INVARIANT_TSC), a reading is one rdtsc and one 128-bit product:
 *          line(tsc) = anchor_ns + (tsc - anchor_tsc) * mult / 2^48. Elsewhere it is
 *          clock_gettime. Both are on one timeline, so times may be compared across processes.
 * Sync     pa_clock_sync measures the rate again over all the time since init, which makes it
 *          more exact with every call, and bends the line: the new one starts where the old
 *          one stands at this instant and is sloped to meet CLOCK_MONOTONIC PA_CLOCK_MEET_NS
 *          later. The slope is never below 15/16 of the rate, so a reading never goes back;
 *          a clock that is behind by more than that can make good jumps forward.
 * Threads  pa_clock_init, pa_clock_sync: owner only. pa_clock_now_ns: any, but not during a
 *          sync; other threads and processes take a clock of their own, or a copy.
 * Memory   a plain struct, no atomics.
 * Heap     none. The only system call in csrc: clock_gettime, normally the vDSO's.
 */
#ifndef PA_TRACE_CLOCK_H
#define PA_TRACE_CLOCK_H

#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_CLOCK_MEET_NS 1000000000 /* a sync's correction is spread over a second */

typedef struct pa_clock {
    uint64_t anchor_tsc; /* the line starts here ...                            */
    uint64_t anchor_ns;  /* ... at this time of CLOCK_MONOTONIC                 */
    uint64_t mult;       /* nanoseconds per tick x 2^48; 0: use clock_gettime   */
    uint64_t first_tsc;  /* the pair taken at init, the far end of every        */
    uint64_t first_ns;   /* measurement of the rate                             */
} pa_clock;

/* Calibrate, in about 5 ms; falls back to clock_gettime where the counter is missing or its
 * rate makes no sense. */
void pa_clock_init(pa_clock *clock);

/* Refine the rate and steer towards CLOCK_MONOTONIC, in about a microsecond. Once a second
 * is plenty. Returns by how many nanoseconds readings were ahead of it (below 0: behind). */
int64_t pa_clock_sync(pa_clock *clock);

/* CLOCK_MONOTONIC now, in nanoseconds. */
uint64_t pa_clock_now_ns(const pa_clock *clock);

/* 1 if readings come from the counter, 0 if from clock_gettime. */
int pa_clock_is_tsc(const pa_clock *clock);
/* cffi:end */

#define PA_CLOCK_SHIFT 48

/* clock_gettime(CLOCK_MONOTONIC) in nanoseconds. */
uint64_t pa_clock_system_ns(void);

#if defined(__x86_64__)
#include <x86intrin.h>

static inline uint64_t pa_clock_ticks(void) {
    return __rdtsc();
}
#else
static inline uint64_t pa_clock_ticks(void) {
    return 0; /* never used: mult stays 0 */
}
#endif

/* The line at `tsc`. A core whose counter is some ticks behind the anchor reads the anchor. */
static inline uint64_t pa_clock_line(const pa_clock *clock, uint64_t tsc) {
    const uint64_t ticks = (int64_t)(tsc - clock->anchor_tsc) < 0 ? 0 : tsc - clock->anchor_tsc;
    return clock->anchor_ns +
           (uint64_t)((unsigned __int128)ticks * clock->mult >> PA_CLOCK_SHIFT);
}

/* pa_clock_now_ns for the tick path. */
static inline uint64_t pa_clock_now_ns_inline(const pa_clock *clock) {
    return __builtin_expect(clock->mult != 0, 1) ? pa_clock_line(clock, pa_clock_ticks())
                                                 : pa_clock_system_ns();
}

#endif
