/* Histogram and clock as one thread sees them. */
#include "check.h"
#include "trace/clock.h"
#include "trace/histogram.h"

static pa_histogram histogram, other;

static pa_histogram *fresh(void) {
    memset(&histogram, 0, sizeof histogram);
    return &histogram;
}

static uint64_t percentile(const pa_histogram *h, uint32_t quantile_e6) {
    uint64_t ns = 0;
    CHECK(pa_histogram_percentile(h, quantile_e6, &ns) == PA_OK);
    return ns;
}

static void zero_memory_is_an_empty_histogram(void) {
    pa_histogram_snapshot s, zero = {0};
    pa_histogram_read(fresh(), &s);
    CHECK(memcmp(&s, &zero, sizeof s) == 0);
    CHECK(percentile(&histogram, 0) == 0 && percentile(&histogram, PA_QUANTILE_ONE_E6) == 0);
    uint64_t ns = 7;
    CHECK(pa_histogram_percentile(&histogram, PA_QUANTILE_ONE_E6 + 1, &ns) == PA_E_RANGE);
    CHECK(ns == 7);
}

static void every_bucket_follows_the_one_before(void) {
    uint32_t last = 0;
    CHECK(pa_histogram_index(0) == 0);
    for (uint64_t ns = 1; ns < 1U << 20; ++ns) {
        const uint32_t index = pa_histogram_index(ns);
        CHECK(index == last || index == last + 1);
        CHECK(ns >= PA_HISTOGRAM_EXACT_NS || index == ns);
        last = index;
    }
    for (int bit = 7; bit < 37; ++bit) { /* where a power of two begins */
        CHECK(pa_histogram_index((1ULL << bit) - 1) + 1 == pa_histogram_index(1ULL << bit));
    }
    CHECK(pa_histogram_index(PA_HISTOGRAM_LIMIT_NS - 1) == PA_HISTOGRAM_BUCKETS - 1);
    CHECK(pa_histogram_index(PA_HISTOGRAM_LIMIT_NS) == PA_HISTOGRAM_BUCKETS - 1);
    CHECK(pa_histogram_index(UINT64_MAX) == PA_HISTOGRAM_BUCKETS - 1);
}

static void a_percentile_is_within_079_percent(void) {
    for (uint64_t ns = 1; ns < PA_HISTOGRAM_LIMIT_NS; ns += ns / 97 + 1) {
        pa_histogram *h = fresh();
        pa_histogram_record(h, ns / 2);
        pa_histogram_record(h, ns);
        pa_histogram_record(h, ns * 2 < PA_HISTOGRAM_LIMIT_NS ? ns * 2 : PA_HISTOGRAM_LIMIT_NS - 1);
        const uint64_t said = percentile(h, 500000);
        const uint64_t wrong = said > ns ? said - ns : ns - said;
        CHECK(ns < PA_HISTOGRAM_EXACT_NS ? wrong == 0 : wrong * 128 <= ns);
    }
}

static void extremes_are_exact(void) {
    pa_histogram *h = fresh();
    pa_histogram_record(h, 1000003);
    pa_histogram_record(h, 1000001);
    pa_histogram_record(h, 2000003);
    CHECK(percentile(h, 0) == 1000001 && percentile(h, PA_QUANTILE_ONE_E6) == 2000003);
    pa_histogram_snapshot s;
    pa_histogram_read(h, &s);
    CHECK(s.count == 3 && s.min_ns == 1000001 && s.max_ns == 2000003 && s.sum_ns == 4000007);
    CHECK(s.p999_ns <= s.max_ns && s.p50_ns >= s.min_ns);
}

static void what_is_too_long_is_clamped_and_counted(void) {
    pa_histogram *h = fresh();
    pa_histogram_snapshot s;
    pa_histogram_record(h, PA_HISTOGRAM_LIMIT_NS - 1);
    pa_histogram_read(h, &s);
    CHECK(s.clamped == 0);
    pa_histogram_record(h, PA_HISTOGRAM_LIMIT_NS);
    pa_histogram_record(h, UINT64_MAX);
    pa_histogram_read(h, &s);
    CHECK(s.clamped == 2 && s.count == 3 && s.max_ns == UINT64_MAX && s.sum_ns == UINT64_MAX);
    CHECK(s.p50_ns == UINT64_MAX); /* never less than the truth */
}

static void record_n_is_record_n_times(void) {
    pa_histogram *h = fresh();
    memset(&other, 0, sizeof other);
    for (int i = 0; i < 1000; ++i) {
        pa_histogram_record(&other, 4711);
        pa_histogram_record(&other, PA_HISTOGRAM_LIMIT_NS);
    }
    pa_histogram_record_n(h, 4711, 1000);
    pa_histogram_record_n(h, PA_HISTOGRAM_LIMIT_NS, 1000);
    pa_histogram_record_n(h, 1, 0);
    CHECK(memcmp(h, &other, sizeof other) == 0);
    pa_histogram_record_n(h, UINT64_MAX, UINT64_MAX - 2000);
    pa_histogram_snapshot s;
    pa_histogram_read(h, &s);
    CHECK(s.sum_ns == UINT64_MAX);
}

static void merged_is_recorded_together(void) {
    pa_histogram *h = fresh();
    static pa_histogram both;
    memset(&other, 0, sizeof other);
    memset(&both, 0, sizeof both);
    for (uint64_t i = 0; i < 20000; ++i) {
        const uint64_t ns = i * i * i;
        pa_histogram_record(i % 3 ? h : &other, ns);
        pa_histogram_record(&both, ns);
    }
    pa_histogram_merge(h, &other);
    CHECK(memcmp(h, &both, sizeof both) == 0);
    pa_histogram_reset(h);
    memset(&other, 0, sizeof other);
    CHECK(memcmp(h, &other, sizeof other) == 0);
    pa_histogram_merge(h, &other); /* nothing to nothing: still no smallest value */
    CHECK(memcmp(h, &other, sizeof other) == 0);
}

static void an_arenas_histograms_are_found_and_no_more(void) {
    const pa_arena_config config = {.histogram_count = 3};
    uint64_t bytes = 0;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED && pa_arena_init(block, bytes, &config, "test", 0) == PA_OK);
    for (uint32_t i = 0; i < 3; ++i) {
        pa_histogram_record_n(pa_histogram_of(block, i), 0, i + 1);
        pa_histogram_record(pa_histogram_of(block, i), UINT64_MAX);
    }
    for (uint32_t i = 0; i < 3; ++i) {
        CHECK(pa_histogram_count(pa_histogram_view(block, i)) == i + 2);
    }
    CHECK(pa_histogram_of(block, 3) == NULL && pa_histogram_view(block, UINT32_MAX) == NULL);
    CHECK(pa_arena_check(block, bytes) == PA_OK);
}

static void the_clock_never_goes_back(uint64_t reads) {
    pa_clock clock;
    pa_clock_init(&clock);
    CHECK(pa_clock_is_tsc(&clock) == (clock.mult != 0));
    uint64_t last = 0;
    for (uint64_t i = 0; i < reads; ++i) {
        if (i % (reads / 64) == 0) {
            (void)pa_clock_sync(&clock);
        }
        const uint64_t now = pa_clock_now_ns(&clock);
        CHECK(now >= last);
        last = now;
    }
}

/* The smallest of several differences: what is left is not the scheduler's. */
static int64_t distance(const pa_clock *clock) {
    int64_t best = INT64_MAX;
    for (int i = 0; i < 100; ++i) {
        const uint64_t before = pa_clock_system_ns();
        const uint64_t ours = pa_clock_now_ns(clock);
        const uint64_t after = pa_clock_system_ns();
        const int64_t off = (int64_t)(ours - before) - (int64_t)(after - before) / 2;
        if ((off < 0 ? -off : off) < best) {
            best = off < 0 ? -off : off;
        }
    }
    return best;
}

static void wait_until(uint64_t ns) {
    while (pa_clock_system_ns() < ns) {
    }
}

static void the_clock_stays_within_100_us_of_the_systems(void) {
    pa_clock clock;
    pa_clock_init(&clock);
    const uint64_t start = pa_clock_system_ns();
    for (uint64_t i = 1; i <= 6; ++i) {
        wait_until(start + i * 50000000);
        CHECK(distance(&clock) < 100000);
        (void)pa_clock_sync(&clock);
    }
}

/* A line that is `ahead` of the system's by so much is steered back without a step back. */
static void steer(int64_t ahead) {
    pa_clock clock;
    pa_clock_init(&clock);
    if (!pa_clock_is_tsc(&clock)) {
        CHECK(pa_clock_sync(&clock) == 0);
        return;
    }
    clock.anchor_ns += (uint64_t)ahead;
    const uint64_t before = pa_clock_now_ns(&clock);
    const int64_t said = pa_clock_sync(&clock);
    CHECK(said > ahead - 1000000 && said < ahead + 1000000);
    const uint64_t after = pa_clock_now_ns(&clock);
    CHECK(after >= before && (ahead < -62500000 || after - before < 50000000));
    wait_until(pa_clock_system_ns() + 20000000);
    (void)pa_clock_sync(&clock);
    const int64_t left = pa_clock_sync(&clock);
    CHECK((left < 0 ? -left : left) < (ahead < 0 ? -ahead : ahead)); /* on its way */
}

static void without_a_counter_the_system_is_asked(void) {
    const pa_clock none = {0};
    const uint64_t before = pa_clock_system_ns();
    const uint64_t now = pa_clock_now_ns(&none);
    CHECK(now >= before && now <= pa_clock_system_ns() && !pa_clock_is_tsc(&none));
}

static void a_core_that_is_behind_reads_the_anchor(void) {
    const pa_clock clock = {.anchor_tsc = 1000, .anchor_ns = 5, .mult = 1ULL << PA_CLOCK_SHIFT};
    CHECK(pa_clock_line(&clock, 999) == 5 && pa_clock_line(&clock, 1001) == 6);
    CHECK(pa_clock_line(&clock, 1000 + (1ULL << 62)) == 5 + (1ULL << 62));
}

int main(int count, char **arguments) {
    zero_memory_is_an_empty_histogram();
    every_bucket_follows_the_one_before();
    a_percentile_is_within_079_percent();
    extremes_are_exact();
    what_is_too_long_is_clamped_and_counted();
    record_n_is_record_n_times();
    merged_is_recorded_together();
    an_arenas_histograms_are_found_and_no_more();
    the_clock_never_goes_back(count > 1 ? strtoull(arguments[1], NULL, 10) : 10000000);
    the_clock_stays_within_100_us_of_the_systems();
    steer(2000000);
    steer(-2000000);
    steer(200000000);
    steer(-200000000);
    without_a_counter_the_system_is_asked();
    a_core_that_is_behind_reads_the_anchor();
    puts("trace: ok");
    return 0;
}
