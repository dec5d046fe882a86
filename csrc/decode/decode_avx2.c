#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "base/fixed.h"
#include "decode/kernel.h"
#include "decode/swar.h"

/* Everything that follows, the shared cursor included, and nothing before it. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), \
                             apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

static inline uint32_t specials(const uint8_t *p) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)p);
    /* Signed: what is below a blank is a control or has its high bit set. */
    return (uint32_t)_mm256_movemask_epi8(
        _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')),
                                        _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'))),
                        _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), v)));
}

#define STEP 32
#include "decode/ends_simd.h"

PA_INLINE bool plain_run(const uint8_t *p, uint32_t n) {
    uint32_t odd = 0;
    for (uint32_t i = 0; i + 31 < n; i += 32) {
        odd |= specials(p + i);
    }
    return odd == 0 && specials(p + n - 31) == UINT32_C(1) << 31 && p[n] == '"';
}

static inline uint64_t quotes_of(const uint8_t *p) {
    const __m256i quote = _mm256_set1_epi8('"');
    const uint32_t low = (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), quote));
    const uint32_t high = (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(p + 32)), quote));
    return (uint64_t)high << 32 | low;
}

static inline const uint8_t *digits_end(const uint8_t *p) {
    for (int i = 0; i < 3; ++i, p += 32) {
        const __m256i v = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_set1_epi8('0'));
        const uint32_t digits = (uint32_t)_mm256_movemask_epi8(
            _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(9)), v));
        if (digits != UINT32_MAX) {
            return p + _tzcnt_u32(~digits);
        }
    }
    return p;
}

#include "decode/levels_simd.h"

#define PA_DECODE_NAME pa_decode_avx2
#include "decode/cursor.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int pa_no_avx2; /* ISO C forbids an empty translation unit */
#endif
