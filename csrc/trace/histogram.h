/* trace/histogram.h -- how long things took, to within 0.79 %, at a few instructions each.
 *
 * Idea     log-linear buckets: 64 to every power of two, so a bucket is at most 1/64 as wide
 *          as its values are large and its middle is within 1/128 of any of them. Below 128
 *          every integer has its own. 2048 buckets reach 2^37 ns (137 s); what is larger
 *          falls into the last one and is counted as clamped, while max keeps the true value.
 * Threads  record, record_n, merge's destination, reset: one writer per histogram. The rest:
 *          any thread, any process, without a lock; a reader may see a value in its bucket
 *          and not yet in the sum.
 * Memory   counts are 64-bit relaxed atomics, written by load and store (one writer needs no
 *          locked instruction); each is valid by itself and nothing is published through
 *          them, so there is nothing to pair. Zero-filled memory is an empty histogram.
 * Heap     none: histogram i lies at i * PA_HISTOGRAM_STRIDE in the arena's trace section, or
 *          in 64-byte-aligned memory of the caller's.
 */
#ifndef PA_TRACE_HISTOGRAM_H
#define PA_TRACE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* cffi:begin */
#define PA_HISTOGRAM_BUCKETS 2048
#define PA_HISTOGRAM_EXACT_NS 128           /* below it, every value is its own bucket   */
#define PA_HISTOGRAM_LIMIT_NS 137438953472  /* 2^37: from here on values are clamped     */
#define PA_HISTOGRAM_STRIDE 20480           /* bytes from one to the next in the section */
#define PA_QUANTILE_ONE_E6 1000000          /* quantiles are parts of a million          */

typedef struct pa_histogram pa_histogram;

/* All zero when nothing was recorded. Percentiles as pa_histogram_percentile. */
typedef struct pa_histogram_snapshot {
    uint64_t count;
    uint64_t clamped; /* values of PA_HISTOGRAM_LIMIT_NS and more */
    uint64_t sum_ns;  /* stops at 2^64 - 1                        */
    uint64_t min_ns;
    uint64_t max_ns;
    uint64_t p50_ns;
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
} pa_histogram_snapshot;

/* The bytes one histogram needs in memory of the caller's, aligned to 64. */
uint64_t pa_histogram_bytes(void);

/* Histogram `index` of the arena's trace section, valid while it is mapped; NULL if the arena
 * was laid out with fewer. */
pa_histogram *pa_histogram_of(pa_arena *arena, uint32_t index);
const pa_histogram *pa_histogram_view(const pa_arena *arena, uint32_t index);

/* Count one duration. One writer. */
void pa_histogram_record(pa_histogram *histogram, uint64_t ns);

/* Count the same duration `count` times. One writer. */
void pa_histogram_record_n(pa_histogram *histogram, uint64_t ns, uint64_t count);

/* Values recorded so far. */
uint64_t pa_histogram_count(const pa_histogram *histogram);

/* The value that quantile_e6 parts in a million do not exceed, into *ns: the middle of its
 * bucket, within the smallest and the largest value seen (at 0 and 1000000 exactly those); 0
 * if nothing was recorded. PA_E_RANGE: quantile_e6 above PA_QUANTILE_ONE_E6. */
pa_status pa_histogram_percentile(const pa_histogram *histogram, uint32_t quantile_e6,
                                  uint64_t *ns);

/* Add what `source` holds. One writer of `histogram`; `source` may be another one being
 * written, or of another process, but not the same. */
void pa_histogram_merge(pa_histogram *histogram, const pa_histogram *source);

/* Forget everything. One writer. */
void pa_histogram_reset(pa_histogram *histogram);

/* Copy count, extremes and the usual percentiles. */
void pa_histogram_read(const pa_histogram *histogram, pa_histogram_snapshot *out);
/* cffi:end */

#define PA_HISTOGRAM_SUB_BITS 6 /* 64 buckets to a power of two */

struct pa_histogram {
    _Alignas(64) _Atomic uint64_t sum_ns;
    _Atomic uint64_t max_ns;
    _Atomic uint64_t below_ns; /* ~min: zero-filled memory has seen nothing small */
    _Atomic uint64_t clamped;
    _Alignas(64) _Atomic uint64_t counts[PA_HISTOGRAM_BUCKETS];
};

_Static_assert(sizeof(pa_histogram) <= PA_HISTOGRAM_BYTES, "fits its place in the section");
_Static_assert(PA_HISTOGRAM_STRIDE == PA_HISTOGRAM_BYTES, "the section is laid out for it");
_Static_assert(PA_HISTOGRAM_STRIDE % 64 == 0, "every histogram starts a cache line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share it: a lock would be private to one");

/* The bucket of `ns`. Above 127 the six bits after the leading one choose among 64, and each
 * power of two starts 64 further on. */
static inline uint32_t pa_histogram_index(uint64_t ns) {
    if (ns >= PA_HISTOGRAM_LIMIT_NS) {
        return PA_HISTOGRAM_BUCKETS - 1;
    }
    const uint32_t leading = 63U - (uint32_t)__builtin_clzll(ns | PA_HISTOGRAM_EXACT_NS >> 1);
    const uint32_t shift = leading - PA_HISTOGRAM_SUB_BITS;
    return (shift << PA_HISTOGRAM_SUB_BITS) + (uint32_t)(ns >> shift);
}

static inline uint64_t pa_histogram_get(const _Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_relaxed); /* pairs with nothing: see Memory */
}

static inline void pa_histogram_put(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_relaxed); /* pairs with nothing: see Memory */
}

/* What a value changes besides its bucket; `total_ns` is its share of the sum. */
static inline void pa_histogram_note(pa_histogram *histogram, uint64_t ns, uint64_t total_ns) {
    const uint64_t sum = pa_histogram_get(&histogram->sum_ns) + total_ns;
    pa_histogram_put(&histogram->sum_ns, sum < total_ns ? UINT64_MAX : sum);
    if (ns > pa_histogram_get(&histogram->max_ns)) {
        pa_histogram_put(&histogram->max_ns, ns);
    }
    if (~ns > pa_histogram_get(&histogram->below_ns)) {
        pa_histogram_put(&histogram->below_ns, ~ns);
    }
}

/* pa_histogram_record for the tick path. */
static inline void pa_histogram_record_inline(pa_histogram *histogram, uint64_t ns) {
    _Atomic uint64_t *count = &histogram->counts[pa_histogram_index(ns)];
    pa_histogram_put(count, pa_histogram_get(count) + 1);
    pa_histogram_note(histogram, ns, ns);
    if (__builtin_expect(ns >= PA_HISTOGRAM_LIMIT_NS, 0)) {
        pa_histogram_put(&histogram->clamped, pa_histogram_get(&histogram->clamped) + 1);
    }
}

#endif
