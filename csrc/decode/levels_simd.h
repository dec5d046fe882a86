/* decode/levels_simd.h -- internal: numbers and runs of levels, for the x86 kernels.
 *
 * The including file defines braces(p) before: a bit for each closing brace of the 64 bytes at p.
 *
 * A level of the venue's is {"price":"P","size":"S"}, with or without one blank behind colons
 * and commas. Where the next dozen levels end is found first, so that no level waits for the one
 * before it: their digits are in flight together. Any deviation ends the run in front of the
 * level it is in.
 */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "decode/kernel.h"
#include "decode/swar.h"

/* 0xFF for the first m of 16 bytes: load from MASKS + 16 - m. */
_Alignas(32) static const uint8_t MASKS[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                               255, 255, 255, 255, 255, 255, 255, 255};

/* Where the digits of a number with i of them before the point go in sixteen, ten before the
 * point and six behind it; 0x80 and above: a zero. Row i, i = 0..10. */
#define ROW(i)                                                                             \
    {TO(i, 0), TO(i, 1), TO(i, 2), TO(i, 3), TO(i, 4), TO(i, 5), TO(i, 6), TO(i, 7),       \
     TO(i, 8), TO(i, 9), PAST(i, 0), PAST(i, 1), PAST(i, 2), PAST(i, 3), PAST(i, 4), PAST(i, 5)}
#define TO(i, j) (uint8_t)((j) + (i) >= 10 ? (j) + (i) - 10 : 0x80)
#define PAST(i, j) (uint8_t)((i) + 1 + (j) < 16 ? (i) + 1 + (j) : 0x80)
_Alignas(16) static const uint8_t SPREAD[11][16] = {ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5),
                                                    ROW(6), ROW(7), ROW(8), ROW(9), ROW(10)};
#undef ROW
#undef TO
#undef PAST

static inline __m128i mask16(uint32_t m) {
    return _mm_loadu_si128((const __m128i *)(MASKS + 16 - m));
}

/* How many characters the point and what follows may be: 0, or 2..7. What ends with its point is
 * left to the general way, a point alone among it. */
#define BEHIND 0xFDU
#define POINT ((char)('.' - '0'))

/* Where the point of m characters is, `other` having a bit for each that is no digit and `points`
 * one for each point: m if there is none. False: not at most ten digits, maybe a point and at
 * most six more. No branch on whether there is a point: it would be a coin's. */
static inline __attribute__((always_inline)) bool point_of(uint32_t m, uint32_t other, uint32_t points, uint32_t *whole) {
    *whole = (uint32_t)__builtin_ctz(other | 1U << m);
    return other == points && (other & (other - 1)) == 0 && *whole <= 10 &&
           (BEHIND >> (m - *whole) & 1) != 0;
}

/* The m <= 16 characters at p, of which 16 can be read, as a decimal x 10^6. */
static inline bool decimal16(const uint8_t *p, uint32_t m, int64_t *out) {
    const __m128i text = _mm_loadu_si128((const __m128i *)p);
    const __m128i digits = _mm_and_si128(_mm_sub_epi8(text, _mm_set1_epi8('0')), mask16(m));
    const uint32_t other = 0xFFFF ^ (uint32_t)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits));
    const uint32_t points =
        (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(digits, _mm_set1_epi8(POINT)));
    uint32_t whole;
    if (!point_of(m, other, points, &whole)) {
        return false;
    }
    const __m128i spread = _mm_shuffle_epi8(digits, _mm_load_si128((const __m128i *)SPREAD[whole]));
    const __m128i pairs = _mm_maddubs_epi16(spread, _mm_set1_epi16(1 << 8 | 10)); /* 10 a + b */
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
    const __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours),
                                          _mm_set1_epi32(1 << 16 | 10000));
    const uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    *out = (int64_t)((both & 0xFFFFFFFF) * 100000000 + (both >> 32));
    return true;
}

/* How many bytes in front of the first quote of the 16 at p; 32: there is none. */
static inline uint32_t quote_at(const uint8_t *p) {
    const __m128i text = _mm_loadu_si128((const __m128i *)p);
    return _tzcnt_u32((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8('"'))));
}

static inline bool number_text(const uint8_t *p, const uint8_t *end, uint32_t *n, int64_t *out) {
    if (end - p < 17) {
        return false;
    }
    *n = quote_at(p);
    return *n - 1 < 16 && decimal16(p, *n, out);
}

/* A price of `decimals` behind its "0." and a size of m characters, as two lanes of one vector:
 * the same as decimal16, with the price beside it. */
static inline __attribute__((always_inline)) bool level_numbers(const uint8_t *decimal, uint32_t decimals, const uint8_t *size,
                                 uint32_t m, pa_book_level *out) {
    const __m256i text = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)size)),
        _mm_loadu_si128((const __m128i *)decimal), 1);
    const __m256i mask =
        _mm256_inserti128_si256(_mm256_castsi128_si256(mask16(m)), mask16(decimals), 1);
    const __m256i digits = _mm256_and_si256(_mm256_sub_epi8(text, _mm256_set1_epi8('0')), mask);
    const uint32_t other = ~(uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_min_epu8(digits, _mm256_set1_epi8(9)), digits));
    const uint32_t points =
        (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(digits, _mm256_set1_epi8(POINT)));
    uint32_t whole;
    if (other > 0xFFFF || !point_of(m, other, points, &whole)) {
        return false;
    }
    /* The price's digits stay where they are: what is masked behind them are its zeros. */
    const __m256i order = _mm256_inserti128_si256(
        _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
                         9, 10, 11, 12, 13, 14, 15),
        _mm_load_si128((const __m128i *)SPREAD[whole]), 0);
    const __m256i spread = _mm256_shuffle_epi8(digits, order);
    const __m256i pairs = _mm256_maddubs_epi16(spread, _mm256_set1_epi16(1 << 8 | 10));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(1 << 16 | 100));
    const __m128i low = _mm256_castsi256_si128(fours);
    const __m128i eights =
        _mm_madd_epi16(_mm_packus_epi32(low, low), _mm_set1_epi32(1 << 16 | 10000));
    const uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    out->size_e6 = (int64_t)((both & 0xFFFFFFFF) * 100000000 + (both >> 32));
    /* What follows the price's four digits is zeros: so is the reserved half of the word. */
    const __m128i price = _mm256_extracti128_si256(fours, 1);
    _mm_storel_epi64((__m128i *)(void *)&out->price_e4, price);
    return _mm_cvtsi128_si32(price) != 0;
}

/* Where the next closing braces are, from `p` on, as far as `blocks` of 64 bytes have them. Every
 * block writes BLOCK_ENDS places and goes on by as many as it has, so that nothing branches on
 * their number; a block with more is not made of levels and ends the search. */
#define BLOCKS 16
#define LEVEL_SLACK 32 /* bytes from a level's first byte, or behind its last, that are looked at */
#define BLOCK_ENDS 3 /* a level has 26 bytes at least */

static inline uint32_t find_ends(const uint8_t *p, const uint8_t *end, uint32_t *ends) {
    const size_t whole = (size_t)(end - p) / 64;
    const uint32_t blocks = whole < BLOCKS ? (uint32_t)whole : BLOCKS - 1;
    uint32_t count = 0;
    for (uint32_t b = 0; b <= blocks; ++b) {
        /* The last block of a frame looks back for what is left, maybe nothing. */
        const size_t left = (size_t)(end - p) - 64 * b;
        uint64_t mask = left >= 64 ? braces(p + 64 * b)
                        : left > 0 ? braces(end - 64) >> (64 - left)
                                   : 0;
        const uint32_t found = (uint32_t)__builtin_popcountll(mask);
        for (uint32_t k = 0; k < BLOCK_ENDS; ++k) {
            ends[count + k] = 64 * b + (uint32_t)_tzcnt_u64(mask);
            mask = _blsr_u64(mask);
        }
        if (found > BLOCK_ENDS) {
            return count + BLOCK_ENDS;
        }
        count += found;
    }
    return count;
}

#define SAME8(p, text) (pa_load64(p) == pa_load64((const uint8_t *)(text)))
#define SAME4(p, text) (pa_load32(p) == pa_load32((const uint8_t *)(text)))
#define SAME2(p, text) (memcmp((p), (text), 2) == 0)

/* What stands in front of a price, between price and size, and behind a size, in one spelling of
 * the blanks; constants once it is inlined. */
static inline __attribute__((always_inline)) bool framed(const uint8_t *p, const uint8_t *price_end,
                                                         bool colon, bool comma) {
    const uint8_t *const name = price_end + 2 + comma;
    return SAME8(p, "{\"price\"") &&
           (colon ? SAME4(p + 8, ": \"0") && p[12] == '.' : SAME4(p + 8, ":\"0.")) &&
           (comma ? SAME8(price_end, "\", \"size") && name[5] == '"'
                  : SAME8(price_end, "\",\"size\"")) &&
           (colon ? SAME2(name + 6, ": ") && name[8] == '"' : SAME2(name + 6, ":\""));
}

/* What stands between two levels; `next` is behind the closing brace of the first. */
static inline __attribute__((always_inline)) bool followed(const uint8_t *next, bool comma) {
    return comma ? SAME4(next - 2, "\"}, ") && next[2] == '{' : SAME4(next - 2, "\"},{");
}

/* As take_levels, in one spelling. */
static inline __attribute__((always_inline)) const uint8_t *
run_of_levels(const uint8_t *p, const uint8_t *end, pa_book_level **out, const pa_book_level *last,
              bool colon, bool comma) {
    const uint32_t head = 12 + (uint32_t)colon; /* to the price's decimals */
    const uint32_t middle = 10 + (uint32_t)colon + (uint32_t)comma;
    const uint8_t *const safe = end - LEVEL_SLACK;
    pa_book_level *at = *out;
    for (;;) {
        uint32_t ends[(BLOCKS + 1) * BLOCK_ENDS];
        const uint8_t *const base = p;
        uint32_t count = find_ends(p, end, ends);
        while (count > 0 && base + ends[count - 1] >= safe) {
            --count; /* the last levels of a frame that ends with them */
        }
        if (count > (size_t)(last - at)) {
            count = (uint32_t)(last - at);
        }
        for (uint32_t i = 0; i < count; ++i) {
            const uint8_t *const next = base + ends[i] + 1;
            const uint32_t decimals = quote_at(p + head);
            const uint8_t *const price_end = p + head + decimals;
            const uint8_t *const size = price_end + middle;
            const uint32_t m = (uint32_t)(next - 2 - size); /* wraps if the brace came too soon */
            if (decimals - 1 > 3 || m - 1 > 15 || !framed(p, price_end, colon, comma) ||
                !level_numbers(p + head, decimals, size, m, at)) {
                *out = at;
                return p;
            }
            if (__builtin_expect(!followed(next, comma), 0)) {
                const bool closed = next[-2] == '"' && *next == ']';
                *out = at + closed;
                return closed ? next : p;
            }
            ++at;
            p = next + 1 + comma;
        }
        if (count == 0 || end - p < PA_DECODE_WINDOW) {
            *out = at;
            return p;
        }
    }
}

/* From the level whose brace is at p on: as many as come in one spelling, up to `last`. Returns
 * the next level's brace, or the list's closing bracket if it took the last level. */
static inline const uint8_t *take_levels(const uint8_t *p, const uint8_t *end, pa_book_level **out,
                                         const pa_book_level *last) {
    if (end - p < PA_DECODE_WINDOW) {
        return p;
    }
    /* The first level shows the spelling: the byte behind its colon, and that behind the comma. */
    if (p[9] != ' ') {
        const bool comma = p[14 + (quote_at(p + 12) & 15)] == ' ';
        return comma ? run_of_levels(p, end, out, last, false, true)
                     : run_of_levels(p, end, out, last, false, false);
    }
    const bool comma = p[15 + (quote_at(p + 13) & 15)] == ' ';
    return comma ? run_of_levels(p, end, out, last, true, true)
                 : run_of_levels(p, end, out, last, true, false);
}
#undef SAME8
#undef SAME4
#undef SAME2
