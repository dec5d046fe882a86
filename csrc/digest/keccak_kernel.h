/* digest/keccak_kernel.h -- internal: what a permutation kernel provides.
 *
 * A kernel permutes `ways` states at once. Lane i of state w is state[i * ways + w].
 */
#ifndef PA_DIGEST_KECCAK_KERNEL_H
#define PA_DIGEST_KECCAK_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define KECCAK_LANES 25
#define KECCAK_RATE 136 /* bytes; 1600 - 2 * 256 bits, FIPS 202 section 5.2 */
#define KECCAK_RATE_LANES 17

typedef void keccak_fn(uint64_t *state);

/* XOR the first `lanes` words of `ways` messages into `state`, with stores as wide as the
 * permutation's loads: narrower ones would not be forwarded to them. */
typedef void absorb_fn(uint64_t *state, const uint8_t *const *from, size_t lanes);

extern const uint64_t PA_KECCAK_RC[24]; /* FIPS 202 section 3.2.5 */

keccak_fn pa_keccak_scalar;   /* 1 way  */
keccak_fn pa_keccak_x4_avx2;  /* 4 ways */
keccak_fn pa_keccak_x4_avx512;
keccak_fn pa_keccak_x8_avx512; /* 8 ways */
keccak_fn pa_keccak_x1_avx512; /* 1 way, in the lanes that x4 would leave idle */

absorb_fn pa_keccak_absorb_x1;
absorb_fn pa_keccak_absorb_x4; /* AVX2 */
absorb_fn pa_keccak_absorb_x8; /* AVX-512 */

#endif
