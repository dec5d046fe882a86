#include "digest/keccak.h"

#include <string.h>

#include "base/cpu.h"
#include "digest/keccak_kernel.h"

#define WAYS_MAX 8

/* What one level runs, widest first: `ways` states in one call. The scalar row ends each. */
typedef struct {
    keccak_fn *permute;
    absorb_fn *absorb;
    size_t ways;
} kernel;

static const kernel SCALAR[] = {{pa_keccak_scalar, pa_keccak_absorb_x1, 1}};
#if defined(__x86_64__)
/* 495 ns for 8, 273 for 4, 265 for 1 against 334 scalar on the machine of bench/README.md; two
 * or three messages are cheaper in four lanes than one after the other. */
static const kernel AVX2[] = {
    {pa_keccak_x4_avx2, pa_keccak_absorb_x4, 4},
    {pa_keccak_scalar, pa_keccak_absorb_x1, 1},
};
static const kernel AVX512[] = {
    {pa_keccak_x8_avx512, pa_keccak_absorb_x8, 8},
    {pa_keccak_x4_avx512, pa_keccak_absorb_x4, 4},
    {pa_keccak_x1_avx512, pa_keccak_absorb_x1, 1},
};
#endif

static const kernel *kernels = SCALAR; /* written before start only */

/* The narrowest kernel that takes `count` messages at once, or the widest there is. */
static const kernel *kernel_for(size_t count) {
    const kernel *k = kernels;
    while (k->ways > 1 && k[1].ways >= count) {
        ++k;
    }
    return k;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lanes are little endian");

/* Hash `used` messages, 1..k->ways of them; idle ways repeat the first. */
static void hash_group(const kernel *k, const uint8_t *data, size_t stride, size_t bytes,
                       size_t used, uint8_t *out) {
    static const uint8_t LAST[8] = {[7] = 0x80}; /* ends the rate, FIPS 202 section 5.1 */
    const size_t ways = k->ways;
    _Alignas(64) uint64_t state[KECCAK_LANES * WAYS_MAX];
    const uint8_t *from[WAYS_MAX] = {data}, *parts[WAYS_MAX] = {NULL}, *last[WAYS_MAX] = {LAST};
    uint64_t part[WAYS_MAX];

    memset(state, 0, KECCAK_LANES * ways * sizeof *state);
    for (size_t w = 0; w < ways; ++w) {
        from[w] = data + (w < used ? w : 0) * stride;
        parts[w] = (const uint8_t *)&part[w];
        last[w] = LAST;
    }
    for (; bytes >= KECCAK_RATE; bytes -= KECCAK_RATE) {
        k->absorb(state, from, KECCAK_RATE_LANES);
        k->permute(state);
        for (size_t w = 0; w < ways; ++w) {
            from[w] += KECCAK_RATE;
        }
    }
    const size_t lanes = bytes / 8, rest = bytes % 8;
    k->absorb(state, from, lanes);
    for (size_t w = 0; w < ways; ++w) {
        part[w] = (uint64_t)0x01 << 8 * rest;
        for (size_t i = 0; i < rest; ++i) {
            part[w] |= (uint64_t)from[w][8 * lanes + i] << 8 * i;
        }
    }
    k->absorb(state + lanes * ways, parts, 1);
    k->absorb(state + (KECCAK_RATE_LANES - 1) * ways, last, 1);
    k->permute(state);
    for (size_t w = 0; w < used; ++w) {
        for (size_t i = 0; i < PA_HASH_BYTES / 8; ++i) {
            memcpy(out + PA_HASH_BYTES * w + 8 * i, &state[i * ways + w], 8);
        }
    }
}

void pa_keccak256_many(const uint8_t *data, size_t stride, size_t bytes, size_t count,
                       uint8_t *out) {
    while (count > 0) {
        const kernel *k = kernel_for(count);
        const size_t used = count < k->ways ? count : k->ways;
        hash_group(k, data, stride, bytes, used, out);
        data += used * stride;
        out += used * PA_HASH_BYTES;
        count -= used;
    }
}

void pa_keccak256(const uint8_t *data, size_t bytes, uint8_t *out) {
    pa_keccak256_many(data, 0, bytes, 1, out);
}

void pa_keccak_f1600(uint64_t *state) {
    pa_keccak_scalar(state);
}

void pa_address_text(const uint8_t *address, char *out) {
    static const char DIGITS[] = "0123456789abcdef";
    uint8_t hash[PA_HASH_BYTES];
    out[0] = '0';
    out[1] = 'x';
    for (size_t i = 0; i < 20; ++i) {
        out[2 + 2 * i] = DIGITS[address[i] >> 4];
        out[3 + 2 * i] = DIGITS[address[i] & 15];
    }
    /* EIP-55: a letter is upper case where the hash of the lower-case text has a nibble >= 8. */
    pa_keccak256((const uint8_t *)out + 2, 40, hash);
    for (size_t i = 0; i < 40; ++i) {
        const unsigned nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15U;
        if (out[2 + i] >= 'a' && nibble >= 8) {
            out[2 + i] = (char)(out[2 + i] - 'a' + 'A');
        }
    }
}

/* Absorb and permute of `k` against the scalar permutation, each way with a state of its own. */
static int agrees(const kernel *k) {
    _Alignas(64) uint64_t many[KECCAK_LANES * WAYS_MAX] = {0};
    uint64_t alone[WAYS_MAX][KECCAK_LANES];
    const uint8_t *from[WAYS_MAX] = {NULL};
    for (size_t w = 0; w < k->ways; ++w) {
        from[w] = (const uint8_t *)alone[w];
        for (size_t i = 0; i < KECCAK_LANES; ++i) {
            alone[w][i] = 0x9E3779B97F4A7C15U * (i * k->ways + w + 1);
        }
    }
    k->absorb(many, from, KECCAK_LANES);
    k->permute(many);
    for (size_t w = 0; w < k->ways; ++w) {
        pa_keccak_scalar(alone[w]);
        for (size_t i = 0; i < KECCAK_LANES; ++i) {
            if (many[i * k->ways + w] != alone[w][i]) {
                return 0;
            }
        }
    }
    return 1;
}

pa_status pa_keccak_init(int level) {
    const kernel *chosen = SCALAR;
#if defined(__x86_64__)
    chosen = level == PA_LEVEL_AVX512 ? AVX512 : level == PA_LEVEL_AVX2 ? AVX2 : SCALAR;
#else
    (void)level;
#endif
    for (const kernel *k = chosen;; ++k) {
        if (!agrees(k)) {
            return PA_E_SELFTEST;
        }
        if (k->ways == 1) {
            break;
        }
    }
    kernels = chosen;
    return PA_OK;
}
