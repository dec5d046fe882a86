/* What measuring costs, since every stage of the tick path is measured all the time.
 *
 * Question  is a record below 25 ns, and is the counter cheaper than asking for the time?
 * Input     4096 durations spread evenly over the octaves from 16 ns to 1 s, in random order:
 *           no two neighbours share a cache line, and the branch predictor learns nothing.
 * Moves     record rises when the histogram no longer fits the caches or a locked instruction
 *           crept in; the clock when the counter is no longer trusted (then both clocks agree).
 */
#include "harness.h"
#include "trace/clock.h"
#include "trace/histogram.h"

#define VALUES 4096

static pa_histogram histogram, other;
static pa_clock calibrated;
static uint64_t values[VALUES];

static void fill(void) {
    uint64_t random = 88172645463325252ULL;
    for (int i = 0; i < VALUES; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const uint64_t octave = 1ULL << (4 + random % 26);
        values[i] = octave + (random >> 32) % octave;
    }
}

static uint64_t record(uint64_t count) {
    static uint64_t at;
    for (uint64_t i = 0; i < count; ++i) {
        pa_histogram_record_inline(&histogram, values[at++ % VALUES]);
    }
    return at;
}

static uint64_t record_one(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        pa_histogram_record_inline(&histogram, 1000 + i % 64);
    }
    return count;
}

static uint64_t time_a_stage(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t start = pa_clock_now_ns_inline(&calibrated);
        pa_histogram_record_inline(&histogram, pa_clock_now_ns_inline(&calibrated) - start);
    }
    return count;
}

static uint64_t clock_now(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        sum += pa_clock_now_ns_inline(&calibrated);
    }
    return sum;
}

static uint64_t clock_system(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        sum += pa_clock_system_ns();
    }
    return sum;
}

static uint64_t snapshot(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        pa_histogram_snapshot out;
        pa_histogram_read(&histogram, &out);
        sum += out.p99_ns;
    }
    return sum;
}

static uint64_t merge(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        pa_histogram_merge(&other, &histogram);
    }
    return count;
}

int main(void) {
    fill();
    pa_clock_init(&calibrated);
    bench_begin("trace");
    bench_row("loop", 1, NULL, bench_loop, "contained in every figure below");
    bench_row("histogram_record", 1, NULL, record, "durations over 26 octaves");
    bench_row("histogram_record_narrow", 1, NULL, record_one, "durations within 64 ns");
    bench_row("time_a_stage", 1, NULL, time_a_stage, "two clock readings and a record");
    bench_row("clock_now", 1, NULL, clock_now,
              pa_clock_is_tsc(&calibrated) ? "time stamp counter" : "no counter: clock_gettime");
    bench_row("clock_gettime", 1, NULL, clock_system, "for comparison");
    bench_row("histogram_read", 1, NULL, snapshot, "a monitor's copy, four percentiles");
    bench_row("histogram_merge", 1, NULL, merge, "");
    bench_end();
    return 0;
}
