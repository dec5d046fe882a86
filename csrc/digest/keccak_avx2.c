#if defined(__x86_64__)
#include <immintrin.h>

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
#else
typedef int pa_no_avx2; /* ISO C forbids an empty translation unit */
#endif
