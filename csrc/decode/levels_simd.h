/* decode/levels_simd.h -- internal: numbers and runs of levels, for the x86 kernels.
 *
 * The including file defines look(p, quotes, brace) before: of the 64 bytes at p,
 * where quotes are in the first 32 and where the first closing brace is in all (64: none).
 *
 * A level of the venue's is {"price":"P","size":"S"}, with or without one blank behind colons
 * and commas. Where it ends is found first, by one comparison of the whole window, so that the
 * next level can start while this one's digits are still being multiplied. Any deviation ends
 * the run in front of the level it is in.
 */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "decode/kernel.h"
#include "decode/swar.h"

/* 0xFF for the first m of 16 bytes: load from MASKS + 16 - m. */
static const uint8_t MASKS[32] = {255, 255, 255, 255, 255, 255, 255, 255,
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

/* The m <= 16 characters at p, of which 16 can be read, as a decimal x 10^6; false: not at most
 * ten digits, maybe a point and at most six more. */
static inline bool decimal16(const uint8_t *p, uint32_t m, int64_t *out) {
    const __m128i text = _mm_loadu_si128((const __m128i *)p);
    const uint32_t full = (1U << m) - 1;
    const __m128i digits = _mm_and_si128(_mm_sub_epi8(text, _mm_set1_epi8('0')),
                                         _mm_loadu_si128((const __m128i *)(MASKS + 16 - m)));
    const uint32_t good = (uint32_t)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits)) & full;
    const uint32_t other = good ^ full; /* at most the point */
    const uint32_t whole = other == 0 ? m : (uint32_t)__builtin_ctz(other);
    const uint32_t point = (uint32_t)(other != 0);
    /* A second odd character, a first that is no point, a number of no digits or of too many. */
    if ((other & (other - 1)) != 0 || (point & (uint32_t)(p[whole & 15] != '.')) != 0 ||
        m - point - 1 >= 16 || whole > 10 || m - whole > 6 + point) {
        return false;
    }
    const __m128i spread = _mm_shuffle_epi8(
        digits, _mm_load_si128((const __m128i *)SPREAD[whole]));
    const __m128i pairs = _mm_maddubs_epi16(
        spread, _mm_set1_epi16(1 << 8 | 10)); /* ab -> 10 a + b */
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
    const __m128i packed = _mm_packus_epi32(fours, fours);
    const __m128i eights = _mm_madd_epi16(packed, _mm_set1_epi32(1 << 16 | 10000));
    const uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    *out = (int64_t)((both & 0xFFFFFFFF) * 100000000 + (both >> 32));
    return true;
}

static inline bool number_text(const uint8_t *p, const uint8_t *end, uint32_t *n, int64_t *out) {
    if (end - p < 17) {
        return false;
    }
    const uint32_t quote = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(
        _mm_loadu_si128((const __m128i *)p), _mm_set1_epi8('"')));
    if (quote == 0) {
        return false;
    }
    *n = (uint32_t)__builtin_ctz(quote);
    return *n != 0 && decimal16(p, *n, out);
}

/* Text between price and size, and what stands around them, in one spelling of the blanks. */
typedef struct spelling {
    uint32_t head;      /* bytes from the brace to the price                         */
    uint32_t middle;    /* bytes from the quote behind the price to the size         */
    uint32_t step;      /* bytes from the closing brace to the next opening one      */
    uint64_t middle_a;  /* its first eight bytes                                     */
    uint32_t middle_b;  /* the next up to four                                       */
    uint32_t middle_mask;
    uint32_t head_b;    /* the bytes behind "price"                                  */
    uint32_t head_mask;
    uint32_t step_b;    /* the bytes behind the closing brace                        */
    uint32_t step_mask;
} spelling;

#define WORD(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static inline spelling spelling_of(bool colon_blank, bool comma_blank) {
    return (spelling){
        .head = 10 + colon_blank,
        .head_b = colon_blank ? WORD(':', ' ', '"', 0) : WORD(':', '"', 0, 0),
        .head_mask = colon_blank ? 0xFFFFFFU : 0xFFFFU,
        .middle = 10 + (uint32_t)colon_blank + (uint32_t)comma_blank,
        /* ",_"size":_" */
        .middle_a = comma_blank ? pa_load64((const uint8_t *)"\", \"size")
                                : pa_load64((const uint8_t *)"\",\"size\""),
        .middle_b = comma_blank ? (colon_blank ? WORD('"', ':', ' ', '"') : WORD('"', ':', '"', 0))
                                : (colon_blank ? WORD(':', ' ', '"', 0) : WORD(':', '"', 0, 0)),
        .middle_mask = comma_blank ? (colon_blank ? 0xFFFFFFFFU : 0xFFFFFFU)
                                   : (colon_blank ? 0xFFFFFFU : 0xFFFFU),
        .step = 2 + (uint32_t)comma_blank,
        .step_b = comma_blank ? WORD(',', ' ', '{', 0) : WORD(',', '{', 0, 0),
        .step_mask = comma_blank ? 0xFFFFFFU : 0xFFFFU,
    };
}

/* From the level whose brace is at p on: as many as come in one spelling, up to `last`. Returns
 * the next level's brace, or the list's closing bracket if it took the last level. */
static inline const uint8_t *take_levels(const uint8_t *p, const uint8_t *end, pa_book_level **out,
                                         const pa_book_level *last) {
    if (end - p < PA_DECODE_WINDOW) {
        return p;
    }
    uint32_t quotes, brace;
    look(p, &quotes, &brace);
    /* The first level shows the spelling: the byte behind its colon, and that behind the comma. */
    const bool colon_blank = p[9] == ' ';
    const uint32_t price_at = 10 + (uint32_t)colon_blank;
    const uint32_t price_quotes = quotes >> price_at;
    if (price_quotes == 0) {
        return p;
    }
    const bool comma_blank = p[price_at + (uint32_t)__builtin_ctz(price_quotes) + 2] == ' ';
    const spelling s = spelling_of(colon_blank, comma_blank);
    const uint64_t head_a = pa_load64((const uint8_t *)"{\"price\"");
    pa_book_level *at = *out;
    while (at < last) {
        const uint8_t *const next = p + brace + 1;
        const uint8_t *const price = p + s.head;
        const uint32_t n = (uint32_t)__builtin_ctzll((uint64_t)quotes >> s.head | UINT64_C(1) << 32);
        const uint8_t *const size = price + n + s.middle;
        const uint32_t m = (uint32_t)(next - 2 - size); /* wraps if the brace came too soon */
        uint32_t length;
        int32_t price_e4;
        int64_t size_e6;
        if (brace >= 64 || n > 6 || m - 1 > 15 || pa_load64(p) != head_a ||
            (pa_load32(p + 8) & s.head_mask) != s.head_b || pa_load64(price + n) != s.middle_a ||
            (pa_load32(price + n + 8) & s.middle_mask) != s.middle_b || next[-2] != '"' ||
            !pa_swar_price(price, &length, &price_e4) || !decimal16(size, m, &size_e6)) {
            break;
        }
        const bool follows = (pa_load32(next) & s.step_mask) == s.step_b;
        if (!follows && *next != ']') {
            break;
        }
        *at++ = (pa_book_level){.size_e6 = size_e6, .price_e4 = price_e4};
        if (!follows) {
            p = next;
            break;
        }
        p = next + s.step - 1;
        if (end - p < PA_DECODE_WINDOW) {
            break;
        }
        look(p, &quotes, &brace);
    }
    *out = at;
    return p;
}
#undef WORD
