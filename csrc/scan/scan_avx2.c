#if defined(__x86_64__)
#include <immintrin.h>

#include "scan/kernel.h"

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define HALF 8

AVX2 static inline __m256i load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* One bit for each word, of its highest bit. */
AVX2 static inline uint32_t signs(__m256i words) {
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(words));
}

/* Bit 30 of `any` goes to the sign, and out with it. */
AVX2 static inline uint32_t violated(__m256i sum, __m256i any, __m256i bound) {
    return signs(_mm256_andnot_si256(_mm256_slli_epi32(any, 1), _mm256_cmpgt_epi32(bound, sum)));
}

/* The violated lanes of one block. */
AVX2 static inline __attribute__((always_inline)) uint64_t block_mask(const uint32_t *rows,
                                                                      uint32_t legs) {
    __m256i sum = load(rows), any = sum;
    __m256i sum_2 = load(rows + HALF), any_2 = sum_2;
    for (uint32_t leg = 1; leg < legs; ++leg) {
        const __m256i cost = load(rows + leg * LANES), cost_2 = load(rows + leg * LANES + HALF);
        sum = _mm256_add_epi32(sum, cost);
        any = _mm256_or_si256(any, cost);
        sum_2 = _mm256_add_epi32(sum_2, cost_2);
        any_2 = _mm256_or_si256(any_2, cost_2);
    }
    rows += legs * LANES;
    return violated(sum, any, load(rows)) | violated(sum_2, any_2, load(rows + HALF)) << HALF;
}

/* Inlined with `legs` known, it has no inner loop. */
AVX2 static inline __attribute__((always_inline)) void sweep_legs(const uint32_t *rows,
                                                                  uint32_t legs, uint32_t blocks,
                                                                  uint64_t *bits) {
    const uint32_t block = (legs + 1) * LANES;
    for (; blocks >= 4; blocks -= 4, rows += 4 * block) {
        *bits++ = block_mask(rows, legs) | block_mask(rows + block, legs) << 16 |
                  block_mask(rows + 2 * block, legs) << 32 |
                  block_mask(rows + 3 * block, legs) << 48;
    }
    if (blocks != 0) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < blocks; ++i) {
            word |= block_mask(rows + i * block, legs) << 16 * i;
        }
        *bits = word;
    }
}

AVX2 static void sweep(const uint32_t *rows, uint32_t legs, uint32_t blocks, uint64_t *bits) {
#define OF(n)                               \
    case n:                                 \
        sweep_legs(rows, n, blocks, bits);  \
        break
    switch (legs) { /* most relations are of few legs */
        OF(2);
        OF(3);
        OF(4);
        OF(5);
        OF(6);
        OF(7);
        OF(8);
    default:
        sweep_legs(rows, legs, blocks, bits);
    }
#undef OF
}

AVX2 static void differ(const uint32_t *a, const uint32_t *b, size_t count, uint64_t *bits) {
    for (size_t from = 0; from < count; from += 64) {
        const size_t n = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        size_t i = 0;
        for (; i + HALF <= n; i += HALF) {
            const __m256i same = _mm256_cmpeq_epi32(load(a + from + i), load(b + from + i));
            word |= (uint64_t)(signs(same) ^ 0xFF) << i;
        }
        for (; i < n; ++i) {
            word |= (uint64_t)(a[from + i] != b[from + i]) << i;
        }
        *bits++ = word;
    }
}

/* The low halves of 8 tops, in their order: bid, ask and state. */
AVX2 static inline __m256i low_halves(const uint64_t *tops) {
    const __m256 first = _mm256_castsi256_ps(load(tops));
    const __m256 second = _mm256_castsi256_ps(load(tops + 4));
    const __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0x88));
    return _mm256_permute4x64_epi64(mixed, 0xD8);
}

/* The bid, and one below the ask, each shifted to the word's top (what is below the latter's 14
 * bits cannot make it smaller), and half the range lower for a signed comparison. */
AVX2 static inline uint32_t crossed_8(__m256i tops) {
    const __m256i half = _mm256_set1_epi32(INT32_MIN);
    const __m256i bid = _mm256_xor_si256(_mm256_slli_epi32(tops, 32 - TOP_ASK_AT), half);
    const __m256i ask =
        _mm256_add_epi32(_mm256_slli_epi32(tops, 32 - 2 * TOP_ASK_AT),
                         _mm256_set1_epi32(INT32_MAX - (1 << (32 - TOP_ASK_AT)) + 1));
    return signs(_mm256_cmpgt_epi32(bid, ask));
}

AVX2 static void crossed(const uint64_t *tops, size_t count, uint64_t *bits) {
    for (size_t from = 0; from < count; from += 64, tops += 64) {
        const size_t n = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        size_t i = 0;
        for (; i + HALF <= n; i += HALF) {
            word |= (uint64_t)crossed_8(low_halves(tops + i)) << i;
        }
        for (; i < n; ++i) {
            word |= (uint64_t)top_crossed(tops[i]) << i;
        }
        *bits++ = word;
    }
}

/* Those of 8 tops, beginning with an even one, that are not the mirror of their neighbour. */
AVX2 static inline uint32_t unmirrored_8(__m256i tops) {
    const __m256i price = _mm256_set1_epi32(TOP_PRICE);
    const __m256i other = _mm256_shuffle_epi32(tops, 0xB1);
    const __m256i sum =
        _mm256_add_epi32(_mm256_and_si256(tops, price),
                         _mm256_and_si256(_mm256_srli_epi32(other, TOP_ASK_AT), price));
    const __m256i good = _mm256_or_si256(_mm256_cmpeq_epi32(sum, _mm256_setzero_si256()),
                                         _mm256_cmpeq_epi32(sum, _mm256_set1_epi32(PRICE_ONE)));
    const uint32_t bad = signs(good) ^ 0xFF;
    return bad | (bad & 0x55) << 1 | (bad >> 1 & 0x55);
}

/* The bits of 8 tops from `at`, of which `wrong` are no mirror of their neighbour: kept where that
 * is their pair, else looked up. */
AVX2 static __attribute__((noinline)) uint32_t by_pairs(const uint64_t *tops, const uint32_t *pairs,
                                                        size_t count, size_t at, uint32_t wrong) {
    for (uint32_t lane = 0; lane < HALF; ++lane) {
        if (pairs[at + lane] != ((at + lane) ^ 1)) {
            const bool far = top_unmirrored(tops, count, at + lane, pairs[at + lane]);
            wrong = (wrong & ~(1U << lane)) | (uint32_t)far << lane;
        }
    }
    return wrong;
}

/* Whether all of 8 slots are pairs of neighbours: `beside` are these. */
AVX2 static inline bool beside_8(const uint32_t *pairs, __m256i beside) {
    const __m256i differ = _mm256_xor_si256(load(pairs), beside);
    return _mm256_testz_si256(differ, differ) != 0;
}

AVX2 static void mirror(const uint64_t *tops, const uint32_t *pairs, size_t count, uint64_t *bits) {
    __m256i beside = _mm256_setr_epi32(1, 0, 3, 2, 5, 4, 7, 6);
    for (size_t from = 0; from < count; from += 64) {
        const size_t n = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        size_t i = 0;
        for (; i + HALF <= n; i += HALF) {
            uint32_t wrong = unmirrored_8(low_halves(tops + from + i));
            if (pairs != NULL && !beside_8(pairs + from + i, beside)) {
                wrong = by_pairs(tops, pairs, count, from + i, wrong);
            }
            beside = _mm256_add_epi32(beside, _mm256_set1_epi32(HALF));
            word |= (uint64_t)wrong << i;
        }
        for (; i < n; ++i) {
            const size_t at = from + i;
            word |= (uint64_t)top_unmirrored(tops, count, at, pair_of(pairs, at)) << i;
        }
        *bits++ = word;
    }
}

const scan_kernel PA_SCAN_AVX2 = {sweep, differ, crossed, mirror};
#else
typedef int pa_no_avx2; /* ISO C forbids an empty translation unit */
#endif
