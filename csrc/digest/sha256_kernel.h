/* digest/sha256_kernel.h -- internal: what a compression kernel provides. */
#ifndef PA_DIGEST_SHA256_KERNEL_H
#define PA_DIGEST_SHA256_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* Put `blocks` 64-byte blocks through h. */
typedef void sha256_fn(uint32_t *h, const uint8_t *data, size_t blocks);

extern const uint32_t PA_SHA256_K[64]; /* FIPS 180-4 section 4.2.2 */

sha256_fn pa_sha256_scalar;
sha256_fn pa_sha256_ni;

#endif
