#include "scan/kernel.h"

/* The definitions: one lane, one top after the other, as written. A compiler that made vectors of
 * them would leave nothing to compare the kernels with. */
#if defined(__clang__)
#define ONE_BY_ONE _Pragma("clang loop vectorize(disable) interleave(disable)")
#elif defined(__GNUC__)
#pragma GCC optimize("no-tree-vectorize")
#define ONE_BY_ONE
#endif

static void sweep(const uint32_t *rows, uint32_t legs, uint32_t blocks, uint64_t *bits) {
    for (uint32_t block = 0; block < blocks; ++block, rows += (legs + 1) * LANES) {
        uint64_t mask = 0;
        for (uint32_t lane = 0; lane < LANES; ++lane) {
            uint32_t sum = 0, any = 0;
            ONE_BY_ONE
            for (uint32_t leg = 0; leg < legs; ++leg) {
                const uint32_t cost = rows[leg * LANES + lane];
                sum += cost;
                any |= cost;
            }
            const bool violated = (any & PA_COST_NONE) == 0 &&
                                  (int32_t)sum < (int32_t)rows[legs * LANES + lane];
            mask |= (uint64_t)violated << lane;
        }
        bits[block / 4] = (block % 4 != 0 ? bits[block / 4] : 0) | mask << block % 4 * LANES;
    }
}

static void differ(const uint32_t *a, const uint32_t *b, size_t count, uint64_t *bits) {
    for (size_t from = 0; from < count; from += 64) {
        const size_t n = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        ONE_BY_ONE
        for (size_t i = 0; i < n; ++i) {
            word |= (uint64_t)(a[from + i] != b[from + i]) << i;
        }
        *bits++ = word;
    }
}

static void crossed(const uint64_t *tops, size_t count, uint64_t *bits) {
    for (size_t from = 0; from < count; from += 64) {
        const size_t n = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        ONE_BY_ONE
        for (size_t i = 0; i < n; ++i) {
            word |= (uint64_t)top_crossed(tops[from + i]) << i;
        }
        *bits++ = word;
    }
}

static void mirror(const uint64_t *tops, const uint32_t *pairs, size_t count, uint64_t *bits) {
    for (size_t from = 0; from < count; from += 64) {
        const size_t n = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        ONE_BY_ONE
        for (size_t i = from; i < from + n; ++i) {
            word |= (uint64_t)top_unmirrored(tops, count, i, pair_of(pairs, i)) << (i - from);
        }
        *bits++ = word;
    }
}

const scan_kernel PA_SCAN_SCALAR = {sweep, differ, crossed, mirror};
