/* digest/sha256.h -- HMAC-SHA256 for request headers, and the compression it stands on.
 *
 * Idea     every L2 request carries an HMAC over its exact body (protocol.md section 5), so it
 *          stands between the last signature and the wire. The key is fixed: its two padded
 *          blocks are compressed once, and the text goes through the SHA instructions where
 *          the CPU has them. The scalar compression is the definition (FIPS 180-4).
 * Threads  pa_sha256_init: before start. The rest: any.
 * Heap     none. A pa_hmac stands for a secret: it never goes into the arena, a log or a repr.
 */
#ifndef PA_DIGEST_SHA256_H
#define PA_DIGEST_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_BASE64_DIGEST_BYTES 44 /* 32 bytes in base64url, padding kept */

/* A key, ready to sign: the state after its inner and its outer block (RFC 2104). */
typedef struct pa_hmac {
    uint32_t inner[8];
    uint32_t outer[8];
} pa_hmac;

/* A stretch of bytes somewhere. */
typedef struct pa_bytes {
    const uint8_t *at;
    size_t bytes;
} pa_bytes;

/* SHA-256 of [data, data+bytes) into out[32]. */
void pa_sha256(const uint8_t *data, size_t bytes, uint8_t *out);

/* Take a key of any length. */
void pa_hmac_init(pa_hmac *hmac, const uint8_t *key, size_t bytes);

/* HMAC-SHA256 of the parts, one after the other, into out[32]. */
void pa_hmac_sign(const pa_hmac *hmac, const pa_bytes *parts, size_t count, uint8_t *out);

/* The same as base64url with padding, into out[PA_BASE64_DIGEST_BYTES]; no terminator. */
void pa_hmac_sign_base64(const pa_hmac *hmac, const pa_bytes *parts, size_t count, char *out);

/* 1 if the CPU's SHA instructions are in use. Any thread. */
int pa_sha256_accelerated(void);
/* cffi:end */

/* Internal to csrc: a message in pieces, from any starting state (sign/nonce.c begins from the
 * state after an HMAC key's block). */
typedef struct pa_sha256_ctx {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t block[64];
} pa_sha256_ctx;

/* Begin from `h` after `bytes` (a multiple of 64) have gone through it. */
void pa_sha256_begin(pa_sha256_ctx *ctx, const uint32_t *h, uint64_t bytes);
void pa_sha256_add(pa_sha256_ctx *ctx, const uint8_t *data, size_t bytes);
void pa_sha256_end(pa_sha256_ctx *ctx, uint8_t *out);

/* Take the kernel for `level`. PA_E_SELFTEST: it disagrees with the scalar one. */
pa_status pa_sha256_init(int level);

#endif
