#if defined(__x86_64__)
#pragma GCC target("avx2")
#include <immintrin.h>
#include <stdbool.h>

#include "decode/kernel.h"

static inline const uint8_t *plain_end(const uint8_t *p, const uint8_t *end) {
    while (end - p >= 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)p);
        /* Signed: what is below a blank is a control or has its high bit set. */
        const __m256i odd = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')),
                            _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'))),
            _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), v));
        const uint32_t found = (uint32_t)_mm256_movemask_epi8(odd);
        if (found != 0) {
            return p + __builtin_ctz(found);
        }
        p += 32;
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80) {
        ++p;
    }
    return p;
}

static inline void look(const uint8_t *p, uint32_t *quotes, uint32_t *brace) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)p);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(p + 32));
    const uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, _mm256_set1_epi8('}')));
    const uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, _mm256_set1_epi8('}')));
    const uint64_t both = (uint64_t)high << 32 | low;
    *quotes = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, _mm256_set1_epi8('"')));
    *brace = both == 0 ? 64 : (uint32_t)__builtin_ctzll(both);
}

#include "decode/levels_simd.h"

#define PA_DECODE_NAME pa_decode_avx2
#include "decode/cursor.h"
#else
typedef int pa_no_avx2; /* ISO C forbids an empty translation unit */
#endif
