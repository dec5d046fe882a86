/* scan/kernel.h -- internal: what a scan kernel provides, and the definitions one by one.
 *
 * Rows are of LANES words. A block of relations with n legs is n rows of weighted costs and one of
 * bounds (payoff - min_edge): lane i is violated if no cost is none and their sum is below the
 * bound.
 */
#ifndef PA_SCAN_KERNEL_H
#define PA_SCAN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "book/store.h"

#define LANES 16

/* Which lanes of `blocks` blocks that follow each other are violated, where two arrays differ,
 * which tops are crossed, which are not their pair's mirror: bit i % 64 of bits[i / 64], the rest
 * of the last word 0. Whole words: narrower stores are not forwarded to who reads them next. */
typedef void sweep_fn(const uint32_t *rows, uint32_t legs, uint32_t blocks, uint64_t *bits);
typedef void differ_fn(const uint32_t *a, const uint32_t *b, size_t count, uint64_t *bits);
typedef void crossed_fn(const uint64_t *tops, size_t count, uint64_t *bits);
typedef void mirror_fn(const uint64_t *tops, const uint32_t *pairs, size_t count, uint64_t *bits);

typedef struct scan_kernel {
    sweep_fn *sweep;
    differ_fn *differ;
    crossed_fn *crossed;
    mirror_fn *mirror;
} scan_kernel;

extern const scan_kernel PA_SCAN_SCALAR;
extern const scan_kernel PA_SCAN_AVX2;
extern const scan_kernel PA_SCAN_AVX512;

#define TOP_PRICE 0x3FFFU /* of a packed top: the bid, and the ask from TOP_ASK_AT on */
#define TOP_ASK_AT 14
#define PRICE_ONE 10000U

/* No ask: one below it is the largest price there is room for. */
static inline bool top_crossed(uint64_t top) {
    return (((uint32_t)(top >> TOP_ASK_AT) - 1) & TOP_PRICE) < ((uint32_t)top & TOP_PRICE);
}

static inline bool half_mirrored(uint64_t bids, uint64_t asks) {
    const uint32_t sum =
        ((uint32_t)bids & TOP_PRICE) + ((uint32_t)(asks >> TOP_ASK_AT) & TOP_PRICE);
    return sum == 0 || sum == PRICE_ONE;
}

static inline bool top_unmirrored(const uint64_t *tops, size_t count, size_t i, size_t other) {
    return other < count &&
           !(half_mirrored(tops[i], tops[other]) && half_mirrored(tops[other], tops[i]));
}

static inline size_t pair_of(const uint32_t *pairs, size_t i) {
    return pairs != NULL ? pairs[i] : i ^ 1;
}

#endif
