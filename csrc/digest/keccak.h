/* digest/keccak.h -- Keccak-256 as Ethereum uses it, one message or several at once.
 *
 * Idea     FIPS 202's sponge with rate 136 and the original padding byte 0x01 (SHA3-256 has
 *          0x06). Several messages of one length go through the permutation side by side,
 *          one 64-bit lane of a vector each: four permutations for less than the price of
 *          one. The scalar permutation is the definition; pa_keccak_init holds the chosen
 *          one to it.
 * Threads  pa_keccak_init: before start. The rest: any.
 * Heap     none.
 */
#ifndef PA_DIGEST_KECCAK_H
#define PA_DIGEST_KECCAK_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_HASH_BYTES 32

/* Keccak-256 of [data, data+bytes) into out[32]. */
void pa_keccak256(const uint8_t *data, size_t bytes, uint8_t *out);

/* Keccak-256 of `count` messages of `bytes` each, message i at data + i * stride, digest i at
 * out + 32 * i. `out` must not overlap the messages. */
void pa_keccak256_many(const uint8_t *data, size_t stride, size_t bytes, size_t count,
                       uint8_t *out);

/* One Keccak-f[1600] by the scalar definition: what benchmarks measure against. */
void pa_keccak_f1600(uint64_t *state);

/* EIP-55: the checksummed text "0x" + 40 digits of a 20-byte address into out[42]. */
void pa_address_text(const uint8_t *address, char *out);
/* cffi:end */

/* Take the kernels for `level`. PA_E_SELFTEST: they disagree with the scalar one. */
pa_status pa_keccak_init(int level);

#endif
