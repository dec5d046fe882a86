/* decode/swar.h -- internal: a few digits at a time in a 64-bit register.
 *
 * Byte 0 of a loaded word is its lowest: the first character. Hence little-endian only, which
 * every machine we build for is.
 */
#ifndef PA_DECODE_SWAR_H
#define PA_DECODE_SWAR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first character is the lowest byte");

/* Worth more here than a call is: constants of the caller's go into it. */
#define PA_INLINE static inline __attribute__((always_inline))

#define PA_SWAR(c) (UINT64_C(0x0101010101010101) * (c))

static inline uint64_t pa_load64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint32_t pa_load32(const uint8_t *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Bit 7 of every byte that is no digit. */
static inline uint64_t pa_swar_no_digits(uint64_t w) {
    return ((w + PA_SWAR(0x46)) | (w - PA_SWAR(0x30)) | w) & PA_SWAR(0x80);
}

static inline uint32_t pa_swar_eight(uint64_t w) {
    w -= PA_SWAR(0x30);
    w = (w * 10 + (w >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
    w = (w * 100 + (w >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
    return (uint32_t)(w * 10000 + (w >> 32));
}

/* The venue's price, "0." and one to four digits up to a quote, in the low seven bytes of `w`.
 * *n is the length of the text. False: spelled otherwise, or zero. */
PA_INLINE bool pa_swar_price(uint64_t w, uint32_t *n, int32_t *price_e4) {
    const uint64_t x = w ^ PA_SWAR('"');
    const uint64_t quote = (x - PA_SWAR(1)) & ~x & PA_SWAR(0x80);
    const uint32_t length = quote == 0 ? 8 : (uint32_t)__builtin_ctzll(quote) >> 3;
    const uint32_t decimals = length - 2;
    if (decimals - 1 > 3 || (w & 0xFFFF) != ('0' | '.' << 8)) {
        return false;
    }
    const uint32_t mask = (uint32_t)(UINT64_C(0xFFFFFFFF) >> (32 - 8 * decimals));
    uint32_t digits = ((uint32_t)(w >> 16) & mask) | (0x30303030U & ~mask);
    if ((((digits + 0x46464646U) | (digits - 0x30303030U) | digits) & 0x80808080U) != 0) {
        return false;
    }
    digits -= 0x30303030U;
    digits = (digits * 10 + (digits >> 8)) & 0x00FF00FFU;
    *price_e4 = (int32_t)((digits * 100 + (digits >> 16)) & 0xFFFFU);
    *n = length;
    return *price_e4 != 0;
}

/* Whether the n bytes at p are digits. */
static inline bool pa_swar_digits(const uint8_t *p, uint32_t n) {
    uint64_t bad = 0;
    if (n >= 8) {
        for (uint32_t i = 0; i + 8 < n; i += 8) {
            bad |= pa_swar_no_digits(pa_load64(p + i));
        }
        return (bad | pa_swar_no_digits(pa_load64(p + n - 8))) == 0;
    }
    for (uint32_t i = 0; i < n; ++i) {
        bad |= (uint64_t)(p[i] < '0' || p[i] > '9');
    }
    return bad == 0;
}

/* Thirteen digits, as the venue writes milliseconds; false: not all of them are. */
PA_INLINE bool pa_swar_time(const uint8_t *p, uint64_t *out) {
    const uint64_t high = pa_load64(p), low = pa_load64(p + 5);
    if ((pa_swar_no_digits(high) | pa_swar_no_digits(low)) != 0) {
        return false;
    }
    /* Eight digits, and the last five of the other eight. */
    *out = (uint64_t)pa_swar_eight(high) * 100000 + pa_swar_eight(low) % 100000;
    return true;
}

#endif
