/* 25 lanes and five temporaries fit the 32 registers that AVX-512VL gives to 256-bit code,
 * with a rotate and a three-input boolean in one instruction each. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "digest/keccak_kernel.h"

/* vpternlog: 0x96 = a ^ b ^ c, 0xD2 = a ^ (~b & c). */
#define LANE __m256i
#define XOR3(a, b, c) _mm256_ternarylogic_epi64(a, b, c, 0x96)
#define ROL(a, n) _mm256_rol_epi64(a, n)
#define CHI(a, b, c) _mm256_ternarylogic_epi64(a, b, c, 0xD2)
#define RC(a, i) _mm256_xor_si256(a, _mm256_set1_epi64x((long long)PA_KECCAK_RC[i]))
#include "digest/keccak_round.h"

__attribute__((target("avx512f,avx512vl")))
void pa_keccak_x4_avx512(uint64_t *state) {
    __m256i a[KECCAK_LANES];
    for (int i = 0; i < KECCAK_LANES; ++i) {
        a[i] = _mm256_loadu_si256((const __m256i *)(state + 4 * i));
    }
    KECCAK_F1600(a);
    for (int i = 0; i < KECCAK_LANES; ++i) {
        _mm256_storeu_si256((__m256i *)(state + 4 * i), a[i]);
    }
}

#undef LANE
#undef XOR3
#undef ROL
#undef CHI
#undef RC
#define LANE __m128i
#define XOR3(a, b, c) _mm_ternarylogic_epi64(a, b, c, 0x96)
#define ROL(a, n) _mm_rol_epi64(a, n)
#define CHI(a, b, c) _mm_ternarylogic_epi64(a, b, c, 0xD2)
#define RC(a, i) _mm_xor_si128(a, _mm_set1_epi64x((long long)PA_KECCAK_RC[i]))

__attribute__((target("avx512f,avx512vl")))
void pa_keccak_x1_avx512(uint64_t *state) {
    __m128i a[KECCAK_LANES];
    for (int i = 0; i < KECCAK_LANES; ++i) {
        a[i] = _mm_loadl_epi64((const __m128i *)(state + i));
    }
    KECCAK_F1600(a);
    for (int i = 0; i < KECCAK_LANES; ++i) {
        _mm_storel_epi64((__m128i *)(state + i), a[i]);
    }
}

#undef LANE
#undef XOR3
#undef ROL
#undef CHI
#undef RC
#define LANE __m512i
#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define ROL(a, n) _mm512_rol_epi64(a, n)
#define CHI(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xD2)
#define RC(a, i) _mm512_xor_si512(a, _mm512_set1_epi64((long long)PA_KECCAK_RC[i]))

__attribute__((target("avx512f,avx512vl")))
void pa_keccak_x8_avx512(uint64_t *state) {
    __m512i a[KECCAK_LANES];
    for (int i = 0; i < KECCAK_LANES; ++i) {
        a[i] = _mm512_loadu_si512(state + 8 * i);
    }
    KECCAK_F1600(a);
    for (int i = 0; i < KECCAK_LANES; ++i) {
        _mm512_storeu_si512(state + 8 * i, a[i]);
    }
}

static long long lane(const uint8_t *p, size_t i) {
    long long v;
    memcpy(&v, p + 8 * i, sizeof v);
    return v;
}

__attribute__((target("avx512f,avx512vl")))
void pa_keccak_absorb_x8(uint64_t *state, const uint8_t *const *from, size_t lanes) {
    for (size_t i = 0; i < lanes; ++i) {
        const __m512i v = _mm512_set_epi64(lane(from[7], i), lane(from[6], i), lane(from[5], i),
                                           lane(from[4], i), lane(from[3], i), lane(from[2], i),
                                           lane(from[1], i), lane(from[0], i));
        _mm512_storeu_si512(state + 8 * i, _mm512_xor_si512(_mm512_loadu_si512(state + 8 * i), v));
    }
}
#else
typedef int pa_no_avx512; /* ISO C forbids an empty translation unit */
#endif
