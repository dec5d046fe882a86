/* The definition. Eight bytes at a time where that costs no clarity. */
#include <stdbool.h>

#include "decode/kernel.h"
#include "decode/swar.h"

/* Bit 7 of the lowest byte that ends or interrupts a string; higher bits may be false. */
static inline uint64_t specials(uint64_t w) {
    const uint64_t quote = w ^ PA_SWAR('"'), slash = w ^ PA_SWAR('\\');
    return ((quote - PA_SWAR(1)) | (slash - PA_SWAR(1)) | (w - PA_SWAR(0x20)) | w) & PA_SWAR(0x80);
}

static inline const uint8_t *plain_end(const uint8_t *p, const uint8_t *end, const uint8_t *start) {
    (void)start;
    while (end - p >= 8) {
        const uint64_t found = specials(pa_load64(p));
        if (found != 0) {
            return p + (__builtin_ctzll(found) >> 3);
        }
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80) {
        ++p;
    }
    return p;
}

PA_INLINE bool plain_run(const uint8_t *p, uint32_t n) {
    return plain_end(p, p + n + 1, p) == p + n && p[n] == '"';
}

static inline uint64_t quotes_of(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) {
        const uint64_t w = pa_load64(p + 8 * i) ^ PA_SWAR('"');
        const uint64_t none = ((w & PA_SWAR(0x7F)) + PA_SWAR(0x7F)) | w; /* bit 7: not a quote */
        bits |= ((~none >> 7 & PA_SWAR(1)) * UINT64_C(0x0102040810204080) >> 56) << 8 * i;
    }
    return bits;
}

static inline const uint8_t *digits_end(const uint8_t *p) {
    for (int i = 0; i < 12; ++i, p += 8) {
        const uint64_t odd = pa_swar_no_digits(pa_load64(p));
        if (odd != 0) { /* exact up to the first one */
            return p + (__builtin_ctzll(odd) >> 3);
        }
    }
    return p;
}

/* At most 18 digits with what is appended: no overflow. */
static inline bool number_text(const uint8_t *p, const uint8_t *end, uint32_t *n, int64_t *out) {
    const uint8_t *const first = p;
    int64_t value = 0;
    uint32_t fraction = 0, digits = 0;
    const uint8_t *const limit = end - p > 13 ? p + 13 : end;
    for (; p < limit && *p >= '0' && *p <= '9'; ++p, ++digits) {
        value = value * 10 + (*p - '0');
    }
    if (p < limit && *p == '.') {
        for (++p; p < limit && *p >= '0' && *p <= '9' && fraction < 6; ++p, ++fraction) {
            value = value * 10 + (*p - '0');
        }
    }
    if (p >= limit || *p != '"' || digits + fraction == 0) {
        return false;
    }
    static const int32_t SCALE[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    *n = (uint32_t)(p - first);
    *out = value * SCALE[fraction];
    return *out <= PA_SIZE_MAX_E6;
}

/* Every level goes the general way. */
static inline const uint8_t *take_levels(const uint8_t *p, const uint8_t *end, pa_book_level **out,
                                         const pa_book_level *last) {
    (void)end, (void)out, (void)last;
    return p;
}

#define PA_DECODE_NAME pa_decode_scalar
#include "decode/cursor.h"
