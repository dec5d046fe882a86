#include <string.h>

#include "base/cpu.h"
#include "scan/table.h"

const scan_kernel *pa_scan_kernel = &PA_SCAN_SCALAR;

static const char *const ENDS[PA_END_COUNT] = {
    [PA_END_NONE] = "none",   [PA_END_PRICE] = "price",     [PA_END_NOT_LIVE] = "not_live",
    [PA_END_STALE] = "stale", [PA_END_REMOVED] = "removed",
};

static const char *const COUNTERS[PA_SCAN_COUNT] = {
    [PA_SCAN_EVALUATIONS] = "evaluations",
    [PA_SCAN_SIGHTINGS] = "sightings",
    [PA_SCAN_OPENED] = "opened",
    [PA_SCAN_ENDED_PRICE] = "ended_price",
    [PA_SCAN_ENDED_NOT_LIVE] = "ended_not_live",
    [PA_SCAN_ENDED_STALE] = "ended_stale",
    [PA_SCAN_ENDED_REMOVED] = "ended_removed",
    [PA_SCAN_WITHHELD_STALE] = "withheld_stale",
    [PA_SCAN_RING_OVERFLOWS] = "ring_overflows",
    [PA_SCAN_SWEEPS] = "sweeps",
    [PA_SCAN_UNTOLD] = "untold",
    [PA_SCAN_WRONG] = "wrong",
};

const char *pa_end_name(int end) {
    return end >= 0 && end < PA_END_COUNT ? ENDS[end] : NULL;
}

const char *pa_scan_counter_name(int counter) {
    return counter >= 0 && counter < PA_SCAN_COUNT ? COUNTERS[counter] : NULL;
}

void pa_scan_counters(const pa_arena *arena, uint64_t *counters) {
    const pa_scan *const scan = pa_arena_view(arena, PA_SECTION_SCAN);
    const bool none = (const void *)scan == pa_arena_view(arena, PA_SECTION_SEEN);
    for (int i = 0; i < PA_SCAN_COUNT; ++i) {
        /* Relaxed: each stands alone. */
        counters[i] = none ? 0 : atomic_load_explicit(&scan->counters[i], memory_order_relaxed);
    }
}

/* ---- scans of the tops ---- */

pa_status pa_scan_pairs(pa_arena *arena, uint32_t *pairs, uint32_t slot_count) {
    pa_books books;
    if (pa_store_of(arena) == NULL) {
        return PA_E_CAPACITY;
    }
    pa_books_open(arena, &books);
    for (uint32_t slot = 0; slot < slot_count; ++slot) {
        const bool there = slot < books.store->slot_count && books.tokens[slot].bytes != 0;
        pairs[slot] = there ? books.books[slot].pair : PA_SLOT_NONE;
    }
    return PA_OK;
}

void pa_scan_crossed(const uint64_t *tops, size_t top_count, uint64_t *bits) {
    pa_scan_kernel->crossed(tops, top_count, bits);
}

void pa_scan_mirror(const uint64_t *tops, const uint32_t *pairs, size_t top_count, uint64_t *bits) {
    pa_scan_kernel->mirror(tops, pairs, top_count, bits);
}

/* ---- the choice ---- */

#define PROOF_COUNT 165 /* two words of bits and a part, and every kind of step */

static uint64_t draw(uint64_t *state) {
    /* splitmix64 */
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static bool sweeps_agree(const scan_kernel *k) {
    enum { BLOCKS = 7 };
    uint32_t rows[BLOCKS * 14 * LANES];
    uint64_t state = 1;
    for (uint32_t legs = 2; legs <= 13; ++legs) { /* every way through a kernel */
        uint64_t ours[2], theirs[2];
        for (uint32_t i = 0; i < BLOCKS * (legs + 1) * LANES; ++i) {
            const uint32_t bound = (legs + 1) * LANES;
            const uint64_t z = draw(&state);
            rows[i] = z >> 60 == 0 ? PA_COST_NONE : (uint32_t)(z % 1000000);
            rows[i] = i % bound >= legs * LANES ? (uint32_t)(z % (1000000 * legs)) : rows[i];
        }
        k->sweep(rows, legs, BLOCKS, ours);
        PA_SCAN_SCALAR.sweep(rows, legs, BLOCKS, theirs);
        if (memcmp(ours, theirs, sizeof ours) != 0) {
            return false;
        }
    }
    return true;
}

static bool tops_agree(const scan_kernel *k) {
    uint64_t tops[PROOF_COUNT], state = 2;
    uint32_t pairs[PROOF_COUNT];
    for (uint32_t i = 0; i < PROOF_COUNT; ++i) {
        const uint64_t z = draw(&state), bid = z % 4 * 2500, ask = (z >> 8) % 5 * 2500;
        tops[i] = bid | ask << TOP_ASK_AT | z >> 28 << 28;
        pairs[i] = (z >> 16) % 3 == 0 ? (uint32_t)((z >> 20) % PROOF_COUNT) : i ^ 1;
    }
    for (size_t n = 0; n <= PROOF_COUNT; n += 3) {
        uint64_t ours[3][3], theirs[3][3];
        memset(ours, 0, sizeof ours);
        memset(theirs, 0, sizeof theirs);
        k->crossed(tops, n, ours[0]);
        PA_SCAN_SCALAR.crossed(tops, n, theirs[0]);
        k->mirror(tops, pairs, n, ours[1]);
        PA_SCAN_SCALAR.mirror(tops, pairs, n, theirs[1]);
        k->differ((const uint32_t *)tops, pairs, n, ours[2]);
        PA_SCAN_SCALAR.differ((const uint32_t *)tops, pairs, n, theirs[2]);
        if (memcmp(ours, theirs, sizeof ours) != 0) {
            return false;
        }
    }
    return true;
}

pa_status pa_scan_init(int level) {
    const scan_kernel *chosen = &PA_SCAN_SCALAR;
#if defined(__x86_64__)
    chosen = level == PA_LEVEL_AVX512 ? &PA_SCAN_AVX512
             : level == PA_LEVEL_AVX2 ? &PA_SCAN_AVX2
                                      : chosen;
#else
    (void)level;
#endif
    if (!sweeps_agree(chosen) || !tops_agree(chosen)) {
        return PA_E_SELFTEST;
    }
    pa_scan_kernel = chosen;
    return PA_OK;
}
