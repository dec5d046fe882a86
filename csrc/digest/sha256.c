#include "digest/sha256.h"

#include <assert.h>
#include <string.h>

#include "base/cpu.h"
#include "digest/sha256_kernel.h"

/* FIPS 180-4 section 5.3.3. */
static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static sha256_fn *compress = pa_sha256_scalar; /* written before start only */

static void store_be32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

void pa_sha256_begin(pa_sha256_ctx *ctx, const uint32_t *h, uint64_t bytes) {
    assert(bytes % 64 == 0);
    memcpy(ctx->h, h, sizeof ctx->h);
    ctx->bytes = bytes;
}

void pa_sha256_add(pa_sha256_ctx *ctx, const uint8_t *data, size_t bytes) {
    const size_t held = ctx->bytes % 64;
    ctx->bytes += bytes;
    if (held != 0) {
        const size_t room = 64 - held;
        const size_t taken = bytes < room ? bytes : room;
        memcpy(ctx->block + held, data, taken);
        if (taken < room) {
            return;
        }
        compress(ctx->h, ctx->block, 1);
        data += taken;
        bytes -= taken;
    }
    if (bytes >= 64) {
        compress(ctx->h, data, bytes / 64);
        data += bytes / 64 * 64;
        bytes %= 64;
    }
    memcpy(ctx->block, data, bytes);
}

void pa_sha256_end(pa_sha256_ctx *ctx, uint8_t *out) {
    const uint64_t bits = ctx->bytes * 8;
    size_t held = ctx->bytes % 64;
    ctx->block[held++] = 0x80;
    if (held > 56) {
        memset(ctx->block + held, 0, 64 - held);
        compress(ctx->h, ctx->block, 1);
        held = 0;
    }
    memset(ctx->block + held, 0, 56 - held);
    store_be32(ctx->block + 56, (uint32_t)(bits >> 32));
    store_be32(ctx->block + 60, (uint32_t)bits);
    compress(ctx->h, ctx->block, 1);
    for (int i = 0; i < 8; ++i) {
        store_be32(out + 4 * i, ctx->h[i]);
    }
}

void pa_sha256(const uint8_t *data, size_t bytes, uint8_t *out) {
    pa_sha256_ctx ctx;
    pa_sha256_begin(&ctx, START, 0);
    pa_sha256_add(&ctx, data, bytes);
    pa_sha256_end(&ctx, out);
}

void pa_hmac_init(pa_hmac *hmac, const uint8_t *key, size_t bytes) {
    uint8_t block[64] = {0};
    if (bytes > sizeof block) {
        pa_sha256(key, bytes, block);
    } else {
        memcpy(block, key, bytes);
    }
    memcpy(hmac->inner, START, sizeof START);
    memcpy(hmac->outer, START, sizeof START);
    for (size_t i = 0; i < sizeof block; ++i) {
        block[i] ^= 0x36;
    }
    compress(hmac->inner, block, 1);
    for (size_t i = 0; i < sizeof block; ++i) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    compress(hmac->outer, block, 1);
    explicit_bzero(block, sizeof block);
}

void pa_hmac_sign(const pa_hmac *hmac, const pa_bytes *parts, size_t count, uint8_t *out) {
    pa_sha256_ctx ctx;
    pa_sha256_begin(&ctx, hmac->inner, 64);
    for (size_t i = 0; i < count; ++i) {
        pa_sha256_add(&ctx, parts[i].at, parts[i].bytes);
    }
    pa_sha256_end(&ctx, out);
    pa_sha256_begin(&ctx, hmac->outer, 64);
    pa_sha256_add(&ctx, out, 32);
    pa_sha256_end(&ctx, out);
}

void pa_hmac_sign_base64(const pa_hmac *hmac, const pa_bytes *parts, size_t count, char *out) {
    /* RFC 4648 section 5. */
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t digest[33];
    pa_hmac_sign(hmac, parts, count, digest);
    digest[32] = 0;
    for (size_t i = 0; i < 33; i += 3, out += 4) {
        const uint32_t v = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | digest[i + 2];
        out[0] = ALPHABET[v >> 18];
        out[1] = ALPHABET[v >> 12 & 63];
        out[2] = ALPHABET[v >> 6 & 63];
        out[3] = ALPHABET[v & 63];
    }
    out[-1] = '='; /* 32 bytes leave two in the last group of three */
}

pa_status pa_sha256_init(int level) {
    sha256_fn *chosen = pa_sha256_scalar;
#if defined(__x86_64__)
    if (level >= PA_LEVEL_AVX2 && (pa_cpu_features() & PA_CPU_SHA) != 0) {
        chosen = pa_sha256_ni;
    }
#else
    (void)level;
#endif
    uint8_t data[3 * 64];
    uint32_t expected[8], got[8];
    for (size_t i = 0; i < sizeof data; ++i) {
        data[i] = (uint8_t)(i * 151 + 7);
    }
    memcpy(expected, START, sizeof START);
    memcpy(got, START, sizeof START);
    pa_sha256_scalar(expected, data, 3);
    chosen(got, data, 3);
    if (memcmp(expected, got, sizeof got) != 0) {
        return PA_E_SELFTEST;
    }
    compress = chosen;
    return PA_OK;
}

int pa_sha256_accelerated(void) {
    return compress != pa_sha256_scalar;
}
