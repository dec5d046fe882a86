#include "sign/rfc6979.h"

#include <string.h>

#include "digest/sha256.h"

/* The generator's state: V, and K as an HMAC key ready to use. */
typedef struct {
    uint8_t v[32];
    pa_hmac k;
} drbg;

/* K = HMAC(K, V || separator || seed); V = HMAC(K, V). RFC 6979 section 3.2, d to g. */
static void mix(drbg *g, const uint8_t *separator, const uint8_t *seed, size_t bytes) {
    uint8_t key[32];
    const pa_bytes parts[] = {{g->v, sizeof g->v}, {separator, 1}, {seed, bytes}};
    const pa_bytes v = {g->v, sizeof g->v};
    pa_hmac_sign(&g->k, parts, bytes == 0 ? 2 : 3, key);
    pa_hmac_init(&g->k, key, sizeof key);
    pa_hmac_sign(&g->k, &v, 1, g->v);
    explicit_bzero(key, sizeof key);
}

/* bits2octets of RFC 6979 section 2.3.4: the digest modulo the group order, which is at most one
 * subtraction away. The digest is public, so branching on it gives nothing away. */
static void reduce(uint8_t *out, const uint8_t *msg32) {
    static const uint8_t ORDER[32] = { /* SEC 2 version 2 section 2.4.1 */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41};
    memcpy(out, msg32, 32);
    if (memcmp(msg32, ORDER, 32) < 0) {
        return;
    }
    int borrow = 0;
    for (int i = 31; i >= 0; --i) {
        const int difference = out[i] - ORDER[i] - borrow;
        borrow = difference < 0;
        out[i] = (uint8_t)(difference + 256 * borrow);
    }
}

int pa_rfc6979(unsigned char *nonce32, const unsigned char *msg32, const unsigned char *key32,
               const unsigned char *algo16, void *data, unsigned int attempt) {
    static const uint8_t ZERO = 0, ONE = 1, ZEROS[32] = {0};
    uint8_t seed[32 + 32 + 32 + 16];
    size_t bytes = 64;
    memcpy(seed, key32, 32);
    reduce(seed + 32, msg32);
    if (data != NULL) {
        memcpy(seed + bytes, data, 32);
        bytes += 32;
    }
    if (algo16 != NULL) {
        memcpy(seed + bytes, algo16, 16);
        bytes += 16;
    }
    drbg g;
    memset(g.v, 1, sizeof g.v);
    pa_hmac_init(&g.k, ZEROS, sizeof ZEROS);
    mix(&g, &ZERO, seed, bytes);
    mix(&g, &ONE, seed, bytes);
    for (unsigned int i = 0;; ++i) {
        const pa_bytes v = {g.v, sizeof g.v};
        pa_hmac_sign(&g.k, &v, 1, g.v);
        if (i == attempt) {
            break;
        }
        mix(&g, &ZERO, NULL, 0);
    }
    memcpy(nonce32, g.v, 32);
    explicit_bzero(seed, sizeof seed);
    explicit_bzero(&g, sizeof g);
    return 1;
}
