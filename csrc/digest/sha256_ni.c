/* The SHA instructions. Without vzeroupper in front, code that ran AVX-512 before makes these
 * legacy-SSE encodings many times slower (performance.md section 4), so the function stays out
 * of line and clears the upper halves itself. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "digest/sha256_kernel.h"

/* Four rounds on message words m, constants k..k+3 (Intel SHA extensions: sha256rnds2 does two
 * with the low half of its third operand). */
#define ROUNDS4(m, k)                                                                        \
    do {                                                                                     \
        __m128i wk = _mm_add_epi32(m, _mm_loadu_si128((const __m128i *)(PA_SHA256_K + (k)))); \
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);                                        \
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0E));               \
    } while (0)

/* w[t..t+3] from the sixteen words before: m0 the oldest four, m3 the newest. */
#define SCHEDULE(m0, m1, m2, m3)                                                             \
    _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4)), m3)

__attribute__((noinline, target("sha,sse4.1,ssse3,avx"))) void pa_sha256_ni(uint32_t *h, const uint8_t *data, size_t blocks) {
    _mm256_zeroupper();
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    const __m128i dcba = _mm_loadu_si128((const __m128i *)h);
    const __m128i hgfe = _mm_loadu_si128((const __m128i *)(h + 4));
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
    const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);

    for (; blocks > 0; --blocks, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        const __m128i *in = (const __m128i *)data;
        __m128i m0 = _mm_shuffle_epi8(_mm_loadu_si128(in), big_endian);
        __m128i m1 = _mm_shuffle_epi8(_mm_loadu_si128(in + 1), big_endian);
        __m128i m2 = _mm_shuffle_epi8(_mm_loadu_si128(in + 2), big_endian);
        __m128i m3 = _mm_shuffle_epi8(_mm_loadu_si128(in + 3), big_endian);
        ROUNDS4(m0, 0);
        ROUNDS4(m1, 4);
        ROUNDS4(m2, 8);
        ROUNDS4(m3, 12);
#pragma GCC unroll 3
        for (int k = 16; k < 64; k += 16) {
            m0 = SCHEDULE(m0, m1, m2, m3);
            ROUNDS4(m0, k);
            m1 = SCHEDULE(m1, m2, m3, m0);
            ROUNDS4(m1, k + 4);
            m2 = SCHEDULE(m2, m3, m0, m1);
            ROUNDS4(m2, k + 8);
            m3 = SCHEDULE(m3, m0, m1, m2);
            ROUNDS4(m3, k + 12);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#else
typedef int pa_no_sha_ni; /* ISO C forbids an empty translation unit */
#endif
