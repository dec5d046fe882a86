#if defined(__x86_64__)
#include <immintrin.h>

#include "scan/kernel.h"

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,bmi,bmi2,popcnt")))

/* OR of three. */
#define ANY(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xFE)

/* The violated lanes of one block. */
AVX512 static inline __attribute__((always_inline)) uint64_t block_mask(const uint32_t *rows,
                                                                        uint32_t legs) {
    const __m512i first = _mm512_loadu_si512(rows), second = _mm512_loadu_si512(rows + LANES);
    __m512i sum = _mm512_add_epi32(first, second), any = _mm512_or_si512(first, second);
    uint32_t leg = 2;
    for (; leg + 2 <= legs; leg += 2) {
        const __m512i a = _mm512_loadu_si512(rows + leg * LANES);
        const __m512i b = _mm512_loadu_si512(rows + (leg + 1) * LANES);
        sum = _mm512_add_epi32(sum, _mm512_add_epi32(a, b));
        any = ANY(any, a, b);
    }
    if (leg < legs) {
        const __m512i last = _mm512_loadu_si512(rows + leg * LANES);
        sum = _mm512_add_epi32(sum, last);
        any = _mm512_or_si512(any, last);
    }
    const __mmask16 below =
        _mm512_cmplt_epi32_mask(sum, _mm512_loadu_si512(rows + legs * LANES));
    return _mm512_mask_testn_epi32_mask(below, any, _mm512_set1_epi32(PA_COST_NONE));
}

/* Inlined with `legs` known, it has no inner loop. */
AVX512 static inline __attribute__((always_inline)) void sweep_legs(const uint32_t *rows,
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

AVX512 static void sweep(const uint32_t *rows, uint32_t legs, uint32_t blocks, uint64_t *bits) {
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

/* The first of `count` entries that a step of 16 has. */
AVX512 static inline __mmask16 within(size_t count) {
    return (__mmask16)_bzhi_u32(0xFFFF, count < LANES ? (uint32_t)count : LANES);
}

AVX512 static void differ(const uint32_t *a, const uint32_t *b, size_t count, uint64_t *bits) {
    for (; count >= 64; count -= 64, a += 64, b += 64) {
        uint64_t word = 0;
        for (int i = 0; i < 4; ++i) {
            word |= (uint64_t)_mm512_cmpneq_epi32_mask(_mm512_loadu_si512(a + 16 * i),
                                                       _mm512_loadu_si512(b + 16 * i))
                    << 16 * i;
        }
        *bits++ = word;
    }
    if (count != 0) {
        uint64_t word = 0;
        for (size_t i = 0; i < count; i += LANES) {
            const __mmask16 in = within(count - i);
            word |= (uint64_t)_mm512_cmpneq_epi32_mask(_mm512_maskz_loadu_epi32(in, a + i),
                                                       _mm512_maskz_loadu_epi32(in, b + i))
                    << i;
        }
        *bits = word;
    }
}

/* The low halves of 16 tops: bid, ask and state; beyond `count` 0. */
AVX512 static inline __m512i low_halves(const uint64_t *tops, __mmask16 in) {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i first = _mm512_maskz_loadu_epi64((__mmask8)in, tops);
    const __m512i second = _mm512_maskz_loadu_epi64((__mmask8)(in >> 8), tops + 8);
    return _mm512_permutex2var_epi32(first, even, second);
}

/* The bid, and one below the ask, each shifted to the word's top: what is below the latter's 14
 * bits cannot make it smaller. */
AVX512 static inline uint64_t crossed_16(__m512i tops) {
    const __m512i bid = _mm512_slli_epi32(tops, 32 - TOP_ASK_AT);
    const __m512i ask = _mm512_sub_epi32(_mm512_slli_epi32(tops, 32 - 2 * TOP_ASK_AT),
                                         _mm512_set1_epi32(1 << (32 - TOP_ASK_AT)));
    return _mm512_cmplt_epu32_mask(ask, bid);
}

AVX512 static void crossed(const uint64_t *tops, size_t count, uint64_t *bits) {
    for (; count >= 64; count -= 64, tops += 64) {
        uint64_t word = 0;
        for (int i = 0; i < 64; i += LANES) {
            word |= crossed_16(low_halves(tops + i, 0xFFFF)) << i;
        }
        *bits++ = word;
    }
    if (count != 0) {
        uint64_t word = 0;
        for (size_t i = 0; i < count; i += LANES) {
            word |= crossed_16(low_halves(tops + i, within(count - i))) << i;
        }
        *bits = word;
    }
}

/* Those of 16 tops, beginning with an even one, that are not the mirror of their neighbour. */
AVX512 static inline uint64_t unmirrored_16(__m512i tops) {
    const __m512i price = _mm512_set1_epi32(TOP_PRICE);
    const __m512i other = _mm512_shuffle_epi32(tops, (_MM_PERM_ENUM)0xB1);
    const __m512i sum =
        _mm512_add_epi32(_mm512_and_si512(tops, price),
                         _mm512_and_si512(_mm512_srli_epi32(other, TOP_ASK_AT), price));
    const uint32_t bad = _mm512_mask_cmpneq_epi32_mask(_mm512_test_epi32_mask(sum, sum), sum,
                                                       _mm512_set1_epi32(PRICE_ONE));
    return bad | (bad & 0x5555) << 1 | (bad >> 1 & 0x5555);
}

/* The bits of 16 tops from `at`, of which `wrong` are no mirror of their neighbour: kept where that
 * is their pair, else looked up. */
AVX512 static __attribute__((noinline)) uint64_t by_pairs(const uint64_t *tops,
                                                          const uint32_t *pairs, size_t count,
                                                          size_t at, __mmask16 in, uint64_t wrong) {
    const __m512i lanes =
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i beside = _mm512_xor_si512(
        _mm512_add_epi32(_mm512_set1_epi32((int)at), lanes), _mm512_set1_epi32(1));
    const __m512i told = _mm512_maskz_loadu_epi32(in, pairs + at);
    const __mmask16 near = _mm512_mask_cmpeq_epi32_mask(in, told, beside);
    uint32_t far = _mm512_mask_cmplt_epu32_mask((__mmask16)(in & ~near), told,
                                                _mm512_set1_epi32((int)count));
    wrong &= near;
    for (; far != 0; far &= far - 1) {
        const uint32_t lane = _tzcnt_u32(far);
        wrong |= (uint64_t)top_unmirrored(tops, count, at + lane, pairs[at + lane]) << lane;
    }
    return wrong;
}

/* Whether all of 64 slots from `at` are pairs of neighbours. */
AVX512 static inline int beside_64(const uint32_t *pairs, size_t at) {
    const __m512i step = _mm512_set1_epi32(LANES);
    const __m512i first =
        _mm512_setr_epi32(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    __m512i beside = _mm512_add_epi32(_mm512_set1_epi32((int)at), first);
    __m512i differ = _mm512_setzero_si512();
    for (int i = 0; i < 64; i += LANES) {
        /* differ | (told ^ beside) */
        differ =
            _mm512_ternarylogic_epi32(differ, _mm512_loadu_si512(pairs + at + i), beside, 0xF6);
        beside = _mm512_add_epi32(beside, step);
    }
    return _mm512_test_epi32_mask(differ, differ) == 0;
}

AVX512 static void mirror(const uint64_t *tops, const uint32_t *pairs, size_t count,
                          uint64_t *bits) {
    size_t from = 0;
    for (; from + 64 <= count; from += 64) {
        uint64_t word = 0;
        for (int i = 0; i < 64; i += LANES) {
            word |= unmirrored_16(low_halves(tops + from + i, 0xFFFF)) << i;
        }
        if (pairs != NULL && !beside_64(pairs, from)) {
            uint64_t told = 0;
            for (int i = 0; i < 64; i += LANES) {
                told |= by_pairs(tops, pairs, count, from + (size_t)i, 0xFFFF, word >> i & 0xFFFF)
                        << i;
            }
            word = told;
        }
        *bits++ = word;
    }
    if (from < count) {
        uint64_t word = 0;
        for (size_t i = 0; i < count - from; i += LANES) {
            const __mmask16 in = within(count - from - i);
            uint64_t wrong = unmirrored_16(low_halves(tops + from + i, in)) & in;
            if (count % 2 != 0 && i + LANES > count - from) { /* the last one has no neighbour */
                wrong &= in >> 1;
            }
            if (pairs != NULL) {
                wrong = by_pairs(tops, pairs, count, from + i, in, wrong);
            }
            word |= wrong << i;
        }
        *bits = word;
    }
}

const scan_kernel PA_SCAN_AVX512 = {sweep, differ, crossed, mirror};
#else
typedef int pa_no_avx512; /* ISO C forbids an empty translation unit */
#endif
