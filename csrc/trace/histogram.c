#include "trace/histogram.h"

#include <stddef.h>

#define SUB_BUCKETS (1U << PA_HISTOGRAM_SUB_BITS)

_Static_assert(PA_HISTOGRAM_BUCKETS == (37 - PA_HISTOGRAM_SUB_BITS + 1) * SUB_BUCKETS,
               "the last bucket ends at PA_HISTOGRAM_LIMIT_NS");

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t min_of(const pa_histogram *histogram) {
    return ~pa_histogram_get(&histogram->below_ns);
}

uint64_t pa_histogram_bytes(void) {
    return sizeof(pa_histogram);
}

/* Where histogram `index` lies in the section, or -1. */
static int64_t offset_of(const pa_arena *arena, uint32_t index) {
    pa_arena_info info;
    pa_arena_read_info(arena, &info);
    return index < info.config.histogram_count ? (int64_t)index * PA_HISTOGRAM_STRIDE : -1;
}

pa_histogram *pa_histogram_of(pa_arena *arena, uint32_t index) {
    const int64_t offset = offset_of(arena, index);
    char *section = pa_arena_at(arena, PA_SECTION_TRACE);
    return offset < 0 ? NULL : (void *)(section + offset);
}

const pa_histogram *pa_histogram_view(const pa_arena *arena, uint32_t index) {
    const int64_t offset = offset_of(arena, index);
    const char *section = pa_arena_view(arena, PA_SECTION_TRACE);
    return offset < 0 ? NULL : (const void *)(section + offset);
}

void pa_histogram_record(pa_histogram *histogram, uint64_t ns) {
    pa_histogram_record_inline(histogram, ns);
}

static void add(_Atomic uint64_t *word, uint64_t by) {
    pa_histogram_put(word, pa_histogram_get(word) + by);
}

void pa_histogram_record_n(pa_histogram *histogram, uint64_t ns, uint64_t count) {
    if (count == 0) {
        return;
    }
    const unsigned __int128 total = (unsigned __int128)ns * count;
    add(&histogram->counts[pa_histogram_index(ns)], count);
    pa_histogram_note(histogram, ns, total > UINT64_MAX ? UINT64_MAX : (uint64_t)total);
    if (ns >= PA_HISTOGRAM_LIMIT_NS) {
        add(&histogram->clamped, count);
    }
}

uint64_t pa_histogram_count(const pa_histogram *histogram) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < PA_HISTOGRAM_BUCKETS; ++i) {
        count += pa_histogram_get(&histogram->counts[i]);
    }
    return count;
}

/* The middle of bucket `index`, rounded down. Inverse of pa_histogram_index. */
static uint64_t middle(uint32_t index) {
    if (index < 2 * SUB_BUCKETS) {
        return index;
    }
    const uint32_t shift = (index >> PA_HISTOGRAM_SUB_BITS) - 1;
    const uint64_t low = (uint64_t)(index - (shift << PA_HISTOGRAM_SUB_BITS)) << shift;
    return low + (((1ULL << shift) - 1) >> 1);
}

/* What to say for bucket `index`. The last one has no middle once it holds clamped values:
 * then it is the largest seen, never less than the truth. */
static uint64_t value_of(const pa_histogram *histogram, uint32_t index) {
    const uint64_t max_ns = pa_histogram_get(&histogram->max_ns);
    if (index == PA_HISTOGRAM_BUCKETS - 1 && pa_histogram_get(&histogram->clamped) != 0) {
        return max_ns;
    }
    return most(least(middle(index), max_ns), least(min_of(histogram), max_ns));
}

/* How many of `count` values lie at or below the quantile: rounded up, at least one. */
static uint64_t rank_of(uint64_t count, uint32_t quantile_e6) {
    const unsigned __int128 scaled = (unsigned __int128)count * quantile_e6;
    return most((uint64_t)((scaled + PA_QUANTILE_ONE_E6 - 1) / PA_QUANTILE_ONE_E6), 1);
}

/* The value at each of `quantiles_e6`, ascending, in one walk; `count` is what
 * pa_histogram_count said. Counts only grow, so every rank is met, unless a reset comes in
 * between: then the largest value stands in. */
static void walk(const pa_histogram *histogram, uint64_t count, const uint32_t *quantiles_e6,
                 uint32_t quantile_count, uint64_t *values) {
    uint64_t passed = 0;
    uint32_t q = 0;
    for (uint32_t i = 0; i < PA_HISTOGRAM_BUCKETS && q < quantile_count; ++i) {
        passed += pa_histogram_get(&histogram->counts[i]);
        for (; q < quantile_count && passed >= rank_of(count, quantiles_e6[q]); ++q) {
            values[q] = value_of(histogram, i);
        }
    }
    for (; q < quantile_count; ++q) {
        values[q] = pa_histogram_get(&histogram->max_ns);
    }
}

pa_status pa_histogram_percentile(const pa_histogram *histogram, uint32_t quantile_e6,
                                  uint64_t *ns) {
    if (quantile_e6 > PA_QUANTILE_ONE_E6) {
        return PA_E_RANGE;
    }
    const uint64_t count = pa_histogram_count(histogram);
    if (count == 0) {
        *ns = 0;
    } else if (quantile_e6 == 0) {
        *ns = min_of(histogram);
    } else if (quantile_e6 == PA_QUANTILE_ONE_E6) {
        *ns = pa_histogram_get(&histogram->max_ns);
    } else {
        walk(histogram, count, &quantile_e6, 1, ns);
    }
    return PA_OK;
}

void pa_histogram_merge(pa_histogram *histogram, const pa_histogram *source) {
    for (uint32_t i = 0; i < PA_HISTOGRAM_BUCKETS; ++i) {
        add(&histogram->counts[i], pa_histogram_get(&source->counts[i]));
    }
    add(&histogram->clamped, pa_histogram_get(&source->clamped));
    const uint64_t added = pa_histogram_get(&source->sum_ns);
    const uint64_t sum = pa_histogram_get(&histogram->sum_ns) + added;
    pa_histogram_put(&histogram->sum_ns, sum < added ? UINT64_MAX : sum);
    pa_histogram_put(&histogram->max_ns, most(pa_histogram_get(&histogram->max_ns),
                                              pa_histogram_get(&source->max_ns)));
    pa_histogram_put(&histogram->below_ns, most(pa_histogram_get(&histogram->below_ns),
                                                pa_histogram_get(&source->below_ns)));
}

void pa_histogram_reset(pa_histogram *histogram) {
    pa_histogram_put(&histogram->sum_ns, 0);
    pa_histogram_put(&histogram->max_ns, 0);
    pa_histogram_put(&histogram->below_ns, 0);
    pa_histogram_put(&histogram->clamped, 0);
    for (uint32_t i = 0; i < PA_HISTOGRAM_BUCKETS; ++i) {
        pa_histogram_put(&histogram->counts[i], 0);
    }
}

void pa_histogram_read(const pa_histogram *histogram, pa_histogram_snapshot *out) {
    static const uint32_t USUAL_E6[4] = {500000, 900000, 990000, 999000};
    uint64_t values[4];
    *out = (pa_histogram_snapshot){.count = pa_histogram_count(histogram)};
    if (out->count == 0) {
        return;
    }
    walk(histogram, out->count, USUAL_E6, 4, values);
    out->clamped = pa_histogram_get(&histogram->clamped);
    out->sum_ns = pa_histogram_get(&histogram->sum_ns);
    out->min_ns = min_of(histogram);
    out->max_ns = pa_histogram_get(&histogram->max_ns);
    out->p50_ns = values[0];
    out->p90_ns = values[1];
    out->p99_ns = values[2];
    out->p999_ns = values[3];
}
