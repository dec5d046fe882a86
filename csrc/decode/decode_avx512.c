#if defined(__x86_64__)
#pragma GCC target("avx2,avx512f,avx512vl,avx512bw,avx512dq,bmi,bmi2")
#include <immintrin.h>
#include <stdbool.h>

#include "decode/kernel.h"

static inline const uint8_t *plain_end(const uint8_t *p, const uint8_t *end) {
    while (end - p >= 64) {
        const __m512i v = _mm512_loadu_si512(p);
        /* Signed: what is below a blank is a control or has its high bit set. */
        const __mmask64 found = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')) |
                                _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')) |
                                _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8(' '));
        if (found != 0) {
            return p + __builtin_ctzll(found);
        }
        p += 64;
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80) {
        ++p;
    }
    return p;
}

static inline void look(const uint8_t *p, uint32_t *quotes, uint32_t *brace) {
    const __m512i v = _mm512_loadu_si512(p);
    const uint64_t found = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('}'));
    *quotes = (uint32_t)_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"'));
    *brace = (uint32_t)_tzcnt_u64(found);
}

#include "decode/levels_simd.h"

#define PA_DECODE_NAME pa_decode_avx512
#include "decode/cursor.h"
#else
typedef int pa_no_avx512; /* ISO C forbids an empty translation unit */
#endif
