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
#define TO(i, j) ((j) + (i) >= 10 ? (j) + (i) - 10 : 0x80)
#define PAST(i, j) ((i) + 1 + (j) < 16 ? (i) + 1 + (j) : 0x80)
_Alignas(16) static const uint8_t SPREAD[11][16] = {ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5),
                                                    ROW(6), ROW(7), ROW(8), ROW(9), ROW(10)};
#undef ROW
#undef TO
#undef PAST

static inline __m128i mask16(uint32_t m) {
    return _mm_loadu_si128((const __m128i *)(MASKS + 16 - m));
}

#define POINT ((char)('.' - '0'))

/* Where the point of m characters is, `other` having a bit for each that is no digit and `points`
 * one for each point: m if there is none. False: not at most ten digits, maybe a point and at
 * most six more. No branch on whether there is a point: it would be a coin's. */
static inline bool point_of(uint32_t m, uint32_t other, uint32_t points, uint32_t *whole) {
    *whole = (uint32_t)__builtin_ctz(other | 1U << m);
    return other == points && (other & (other - 1)) == 0 && *whole <= 10 && m - *whole <= 7 &&
           !(m == 1 && other != 0);
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
static inline bool level_numbers(const uint8_t *decimal, uint32_t decimals, const uint8_t *size,
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
    out->price_e4 = _mm_cvtsi128_si32(_mm256_extracti128_si256(fours, 1));
    out->reserved = 0;
    return out->price_e4 != 0;
}

/* Text around price and size in one spelling of the blanks. */
typedef struct spelling {
    uint32_t head;     /* bytes from the brace to the price, "0." included         */
    uint32_t middle;   /* bytes from the quote behind the price to the size        */
    uint32_t step;     /* bytes from the closing brace to the next opening one     */
    uint64_t head_b;   /* the last eight of the head                               */
    uint64_t middle_a; /* the first and the last eight of the middle               */
    uint64_t middle_b;
    uint64_t tail;     /* quote, closing brace, comma, blank, opening brace        */
    uint64_t tail_mask;
} spelling;

#define TEXT8(text) pa_load64((const uint8_t *)(text))

static inline spelling spelling_of(bool colon, bool comma) {
    return (spelling){
        .head = 12 + (uint32_t)colon,
        .head_b = colon ? TEXT8("ce\": \"0.") : TEXT8("ice\":\"0."),
        .middle = 10 + (uint32_t)colon + (uint32_t)comma,
        .middle_a = comma ? TEXT8("\", \"size") : TEXT8("\",\"size\""),
        .middle_b = colon ? TEXT8("size\": \"") : TEXT8("\"size\":\""),
        .step = 2 + (uint32_t)comma,
        .tail = comma ? TEXT8("\"}, {\0\0") : TEXT8("\"},{\0\0\0"),
        .tail_mask = comma ? UINT64_C(0xFFFFFFFFFF) : 0xFFFFFFFF,
    };
}

/* Where the next closing braces are, from `p` on, as far as `blocks` of 64 bytes have them. Every
 * block writes BLOCK_ENDS places and goes on by as many as it has, so that nothing branches on
 * their number; a block with more is not made of levels and ends the search. */
#define BLOCKS 8
#define BLOCK_ENDS 4

static inline uint32_t find_ends(const uint8_t *p, uint32_t blocks, uint32_t *ends) {
    uint32_t count = 0;
    for (uint32_t b = 0; b < blocks; ++b) {
        uint64_t mask = braces(p + 64 * b);
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

/* From the level whose brace is at p on: as many as come in one spelling, up to `last`. Returns
 * the next level's brace, or the list's closing bracket if it took the last level. */
static inline const uint8_t *take_levels(const uint8_t *p, const uint8_t *end, pa_book_level **out,
                                         const pa_book_level *last) {
    if (end - p < PA_DECODE_WINDOW) {
        return p;
    }
    /* The first level shows the spelling: the byte behind its colon, and that behind the comma. */
    const bool colon = p[9] == ' ';
    const uint32_t price_end_at = quote_at(p + 12 + colon);
    const bool comma = p[14 + (uint32_t)colon + price_end_at] == ' ';
    const spelling s = spelling_of(colon, comma);
    const uint64_t head_a = TEXT8("{\"price\"");
    pa_book_level *at = *out;
    for (;;) {
        uint32_t ends[BLOCKS * BLOCK_ENDS];
        const uint8_t *const base = p;
        /* Of the bytes behind the last block the digits' loads need some, and the tail's. */
        const size_t room = (size_t)(end - p - (PA_DECODE_WINDOW - 64)) / 64;
        const uint32_t count = find_ends(p, room < BLOCKS ? (uint32_t)room : BLOCKS, ends);
        for (uint32_t i = 0; i < count; ++i) {
            const uint8_t *const next = base + ends[i] + 1;
            const uint32_t decimals = quote_at(p + s.head);
            const uint8_t *const price_end = p + s.head + decimals;
            const uint8_t *const size = price_end + s.middle;
            const uint32_t m = (uint32_t)(next - 2 - size); /* wraps if the brace came too soon */
            if (at >= last || decimals - 1 > 3 || m - 1 > 15 || pa_load64(p) != head_a ||
                pa_load64(p + s.head - 8) != s.head_b || pa_load64(price_end) != s.middle_a ||
                pa_load64(size - 8) != s.middle_b ||
                !level_numbers(p + s.head, decimals, size, m, at)) {
                *out = at;
                return p;
            }
            if (__builtin_expect(((pa_load64(next - 2) ^ s.tail) & s.tail_mask) != 0, 0)) {
                const bool closed = next[-2] == '"' && *next == ']';
                *out = at + closed;
                return closed ? next : p;
            }
            ++at;
            p = next + s.step - 1;
        }
        if (count == 0 || end - p < PA_DECODE_WINDOW) {
            *out = at;
            return p;
        }
    }
}
#undef TEXT8
