#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "digest/keccak_kernel.h"

#define LANE __m256i
#define XOR3(a, b, c) _mm256_xor_si256(a, _mm256_xor_si256(b, c))
#define ROL(a, n) _mm256_or_si256(_mm256_slli_epi64(a, n), _mm256_srli_epi64(a, 64 - (n)))
#define CHI(a, b, c) _mm256_xor_si256(a, _mm256_andnot_si256(b, c))
#define RC(a, i) _mm256_xor_si256(a, _mm256_set1_epi64x((long long)PA_KECCAK_RC[i]))
#include "digest/keccak_round.h"

__attribute__((target("avx2"))) void pa_keccak_x4_avx2(uint64_t *state) {
    __m256i a[KECCAK_LANES];
    for (int i = 0; i < KECCAK_LANES; ++i) {
        a[i] = _mm256_loadu_si256((const __m256i *)(state + 4 * i));
    }
    KECCAK_F1600(a);
    for (int i = 0; i < KECCAK_LANES; ++i) {
        _mm256_storeu_si256((__m256i *)(state + 4 * i), a[i]);
    }
}

static long long lane(const uint8_t *p, size_t i) {
    long long v;
    memcpy(&v, p + 8 * i, sizeof v);
    return v;
}

__attribute__((target("avx2")))
void pa_keccak_absorb_x4(uint64_t *state, const uint8_t *const *from, size_t lanes) {
    const uint8_t *const p0 = from[0], *const p1 = from[1], *const p2 = from[2], *const p3 = from[3];
    for (size_t i = 0; i < lanes; ++i) {
        __m256i *at = (__m256i *)(state + 4 * i);
        const __m256i v = _mm256_set_epi64x(lane(p3, i), lane(p2, i), lane(p1, i), lane(p0, i));
        _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), v));
    }
}
#else
typedef int pa_no_avx2; /* ISO C forbids an empty translation unit */
#endif
