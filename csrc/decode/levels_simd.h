/* decode/levels_simd.h -- internal: numbers and runs of levels, for the x86 kernels.
 *
 * A level of the venue's is {"price":"P","size":"S"}, with or without one blank behind colons
 * and commas. Levels go in pairs, a lane each. Where a pair ends is found while the pair before is
 * read, and a size is read from its end, so that little waits for anything. Any deviation ends the
 * run in front of the pair it is in; the general way takes it up from there.
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

static inline __m128i mask16(uint64_t m) {
    return _mm_loadu_si128((const __m128i *)(MASKS + 16 - m));
}

/* Bit m of row i: a text of m characters whose first that is no digit is at i, has at most ten
 * digits before its point and two to seven characters from it on, or no point. What ends with its
 * point is left to the general way, a point alone among it. */
#define ENDS(i) (UINT32_C(0xFD) << (i) & 0x1FFFF)
static const uint32_t SPELLED[17] = {ENDS(0), ENDS(1), ENDS(2), ENDS(3), ENDS(4), ENDS(5),
                                     ENDS(6), ENDS(7), ENDS(8), ENDS(9), ENDS(10)};
#undef ENDS

/* Whether the first m <= 16 characters of a text are a number: *whole digits, then maybe a point
 * and more digits. `odd` has a bit for each that is no digit. No branch on whether there is a
 * point: it would be a coin's. */
PA_INLINE bool spelled(uint32_t odd, uint64_t m, uint64_t *whole) {
    *whole = _tzcnt_u32(odd | 1U << 16);
    return _bzhi_u32(_blsr_u32(odd), (uint32_t)m) == 0 && (SPELLED[*whole] >> m & 1) != 0;
}

/* See cursor.h: from left to right, since the end is not known. */
static inline bool number_text(const uint8_t *p, const uint8_t *end, uint32_t *n, int64_t *out) {
    if (end - p < 17) {
        return false;
    }
    const __m128i text = _mm_loadu_si128((const __m128i *)p);
    const __m128i raw = _mm_sub_epi8(text, _mm_set1_epi8('0'));
    const __m128i point = _mm_cmpeq_epi8(text, _mm_set1_epi8('.'));
    const __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(raw, _mm_set1_epi8(9)), raw);
    const uint32_t odd = ~(uint32_t)_mm_movemask_epi8(digit);
    const uint32_t other = odd & ~(uint32_t)_mm_movemask_epi8(point);
    const uint64_t m = _tzcnt_u32(other);
    uint64_t whole;
    if (m == 0 || p[m] != '"' || !spelled(odd, m, &whole)) {
        return false;
    }
    const __m128i spread = _mm_shuffle_epi8(_mm_and_si128(raw, mask16(m)),
                                            _mm_load_si128((const __m128i *)SPREAD[whole]));
    const __m128i pairs = _mm_maddubs_epi16(spread, _mm_set1_epi16(1 << 8 | 10)); /* 10 a + b */
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
    const __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours),
                                          _mm_set1_epi32(1 << 16 | 10000));
    const uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    *n = (uint32_t)m;
    *out = (int64_t)((both & 0xFFFFFFFF) * 100000000 + (both >> 32));
    return true;
}

/* How many bytes in front of the first quote of the 16 at p; 32: there is none. */
static inline uint32_t quote_at(const uint8_t *p) {
    const __m128i text = _mm_loadu_si128((const __m128i *)p);
    return _tzcnt_u32((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8('"'))));
}

/* What is looked at behind the 64 (32) bytes in which the braces of two levels (of one) are: the
 * second level may begin behind its brace, if that is none, and has 33 bytes up to its size. */
#define PAIR_SLACK 36
#define LAST_SLACK 4

#define SAME4(p, text) (pa_load32(p) == pa_load32((const uint8_t *)(text)))

/* What stands between two levels; `next` is behind the closing brace of the first. */
PA_INLINE bool followed(const uint8_t *next, bool comma) {
    return comma ? SAME4(next - 2, "\"}, ") && next[2] == '{' : SAME4(next - 2, "\"},{");
}

PA_INLINE __m256i load_two(const uint8_t *a, const uint8_t *b) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                   _mm_loadu_si128((const __m128i *)b), 1);
}

/* What a run compares with, in registers: the compiler, if it knew the values, would make them anew
 * for every level. */
typedef struct constants {
    __m256i zero, nine, point, brace;
} constants;

static inline __m256i kept(char c) {
    __m256i v = _mm256_set1_epi8(c);
    __asm__("" : "+x"(v));
    return v;
}

/* A bit for each byte of `v`, which is text less '0', that is no digit. */
static inline uint32_t odd_ones(__m256i v, const constants *k) {
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(v, k->nine), v));
}

/* Sizes are taken from their end, which is known first: sixteen bytes up to the closing quote.
 * Row i: where the digits of a number with i of them behind its point, or without one, go in
 * sixteen, ten before the point and six behind it. */
#define ROW(i)                                                                                \
    {TO(i, 9), TO(i, 8), TO(i, 7), TO(i, 6), TO(i, 5), TO(i, 4), TO(i, 3), TO(i, 2),          \
     TO(i, 1), TO(i, 0), PAST(i, 0), PAST(i, 1), PAST(i, 2), PAST(i, 3), PAST(i, 4), PAST(i, 5)}
#define TO(i, j) (uint8_t)((i) == 0 ? 15 - (j) : 14 - (i) - (j) >= 0 ? 14 - (i) - (j) : 0x80)
#define PAST(i, j) (uint8_t)((j) < (i) ? 16 - (i) + (j) : 0x80)
_Alignas(16) static const uint8_t UP_TO_END[7][16] = {ROW(0), ROW(1), ROW(2), ROW(3),
                                                      ROW(4), ROW(5), ROW(6)};
#undef ROW
#undef TO
#undef PAST

/* 0xFF for the last m of 16 bytes: load from LAST + m. */
_Alignas(32) static const uint8_t LAST[32] = {0,   0,   0,   0,   0,   0,   0,   0,
                                              0,   0,   0,   0,   0,   0,   0,   0,
                                              255, 255, 255, 255, 255, 255, 255, 255,
                                              255, 255, 255, 255, 255, 255, 255, 255};

/* Of sixteen bytes in front of a quote the last m are digits and points, the last i digits: where
 * UP_TO_END has the row that spreads them, as an offset; ODD if they are no number, or not of at
 * most ten digits, or those and a point and one to six more. Row i, column m. */
#define ODD (-1)
#define ALONE(i, m) ((m) == (i) && (i) > 0 && (i) <= 10)
#define WITH(i, m) ((m) > (i) && (i) > 0 && (i) <= 6 && (m) <= (i) + 11)
#define AT(i, m) (int8_t)(ALONE(i, m) ? 0 : WITH(i, m) ? 16 * (i) : ODD)
#define ROW(i)                                                                           \
    {AT(i, 0), AT(i, 1), AT(i, 2),  AT(i, 3),  AT(i, 4),  AT(i, 5),  AT(i, 6),  AT(i, 7), \
     AT(i, 8), AT(i, 9), AT(i, 10), AT(i, 11), AT(i, 12), AT(i, 13), AT(i, 14), AT(i, 15)}
static const int8_t SPREAD_AT[16][16] = {ROW(0),  ROW(1),  ROW(2),  ROW(3), ROW(4),  ROW(5),
                                         ROW(6),  ROW(7),  ROW(8),  ROW(9), ROW(10), ROW(11),
                                         ROW(12), ROW(13), ROW(14), ROW(15)};
#undef ROW
#undef AT
#undef WITH
#undef ALONE

#define RARE(x) __builtin_expect(!!(x), 0)

/* Digits to numbers of four digits each. */
static inline __m256i fours(__m256i digits) {
    const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(1 << 8 | 10));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi32(1 << 16 | 100));
}

/* The sixteen bytes of `text`, in both lanes: constants once it is inlined. */
PA_INLINE __m256i twice(const char text[16]) {
    __m128i v;
    memcpy(&v, text, sizeof v);
    return _mm256_broadcastsi128_si256(v);
}

#define TWICE(literal) twice((const char[16]){literal})

/* Two levels, one from each brace to that of `a_close` and `b_close`, in one spelling, into
 * out[0] and out[1]. Numbers lie in two lanes each: sizes, and prices as what is behind "0.".
 * A price of zero is taken; `*none` then has bits in the price's place. */
PA_INLINE bool two_levels(const uint8_t *a, const uint8_t *a_close, const uint8_t *b,
                          const uint8_t *b_close, bool colon, bool comma, const constants *k,
                          pa_book_level *out, __m256i *none) {
    /* Twelve bytes of its name and the decimals. */
    const __m256i price = load_two(a + colon, b + colon);
    const __m256i name = colon ? TWICE("\"price\": \"0.") : TWICE("{\"price\":\"0.");
    const uint64_t price_odd = ~(uint64_t)(uint32_t)~odd_ones(_mm256_sub_epi8(price, k->zero), k);
    const uint64_t a_decimals = _tzcnt_u64(price_odd >> 12);
    const uint64_t b_decimals = _tzcnt_u64(price_odd >> 28);
    const uint8_t *const a_middle = a + 12 + colon + a_decimals;
    const uint8_t *const b_middle = b + 12 + colon + b_decimals;
    /* What is between price and size. */
    const __m256i found = load_two(a_middle, b_middle);
    const __m256i middle = comma ? colon ? TWICE("\", \"size\": \"") : TWICE("\", \"size\":\"")
                                 : colon ? TWICE("\",\"size\": \"") : TWICE("\",\"size\":\"");
    const uint32_t middle_bytes = 10 + (uint32_t)colon + (uint32_t)comma;
    const uint32_t same = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(price, name)) &
                          ((uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, middle)) |
                           (0xFFFU << middle_bytes & 0xFFFU) * 0x10001U);
    const __m256i text = load_two(a_close - 17, b_close - 17);
    const __m256i size = _mm256_sub_epi8(text, k->zero);
    const uint64_t odd = odd_ones(size, k);
    const uint64_t points = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, k->point));
    const uint64_t other = odd & ~points;
    const uint64_t a_bytes = _lzcnt_u64(other << 48), b_bytes = _lzcnt_u64(other << 32);
    const uint64_t a_digits = _lzcnt_u64(odd << 48), b_digits = _lzcnt_u64(odd << 32);
    if (RARE((~same & 0x0FFF0FFFU) != 0) || RARE((price_odd & 0x10001000U) != 0) ||
        RARE((a_bytes | b_bytes) > 15) ||
        RARE(a_middle + middle_bytes + 1 + a_bytes != a_close) ||
        RARE(b_middle + middle_bytes + 1 + b_bytes != b_close)) {
        return false;
    }
    const int64_t a_row = SPREAD_AT[a_digits][a_bytes], b_row = SPREAD_AT[b_digits][b_bytes];
    /* Those of the text; a shift by 64 would be one by 0, but then the row is ODD. */
    const uint64_t a_points = points << 48 >> (-a_bytes & 63);
    const uint64_t b_points = points << 32 >> (-b_bytes & 63);
    if (RARE((a_row | b_row) < 0) || RARE((_blsr_u64(a_points) | _blsr_u64(b_points)) != 0)) {
        return false;
    }
    const uint8_t *const rows = (const uint8_t *)UP_TO_END;
    const __m256i size_digits =
        _mm256_shuffle_epi8(_mm256_and_si256(size, load_two(LAST + a_bytes, LAST + b_bytes)),
                            load_two(rows + a_row, rows + b_row));
    /* What is behind the decimals, a quote and maybe a comma and so on, is below '0': zeros. */
    const __m256i price_digits = _mm256_subs_epu8(price, k->zero);
    const __m256i size_fours = fours(size_digits), price_fours = fours(price_digits);
    /* A lane: the size's upper and lower eight digits, zero, the price. */
    const __m256i parts = _mm256_madd_epi16(
        _mm256_packus_epi32(size_fours, price_fours),
        _mm256_setr_epi16(10000, 1, 10000, 1, 0, 0, 0, 1, 10000, 1, 10000, 1, 0, 0, 0, 1));
    const __m256i level = _mm256_add_epi64(_mm256_mul_epu32(parts, _mm256_set1_epi64x(100000000)),
                                           _mm256_srli_epi64(parts, 32));
    _mm256_storeu_si256((__m256i *)(void *)out, level);
    *none = _mm256_or_si256(*none, _mm256_cmpeq_epi32(level, _mm256_setzero_si256()));
    return true;
}
#undef TWICE

static inline uint32_t braces(const uint8_t *p, const constants *k) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)p);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, k->brace));
}

/* A bit for each closing brace of the 64 bytes at p. */
static inline uint64_t braces_of_two(const uint8_t *p, const constants *k) {
    return (uint64_t)braces(p + 32, k) << 32 | braces(p, k);
}

/* As take_levels, in one spelling; a price of zero is taken and leaves bits in *none. */
PA_INLINE const uint8_t *run_of_pairs(const uint8_t *p, const uint8_t *end, pa_book_level **out,
                                      const pa_book_level *last, bool colon, bool comma,
                                      __m256i *none) {
    const uint32_t least = 25 + 2 * (uint32_t)colon + (uint32_t)comma; /* to a level's brace */
    const constants k = {kept('0'), kept(9), kept('.'), kept('}')};
    const ptrdiff_t room = least + 64 + PAIR_SLACK;
    pa_book_level *at = *out;
    uint64_t ends = end - p >= room ? braces_of_two(p + least, &k) : 0;
    while (last - at >= 2) {
        const uint64_t rest = _blsr_u64(ends);
        const uint8_t *const a = p + least + _tzcnt_u64(ends);
        const uint8_t *const b = p + least + _tzcnt_u64(rest);
        if (RARE(rest == 0) || RARE(!followed(a + 1, comma))) {
            break;
        }
        /* Looked for before it is needed, or every pair would begin with waiting for it. */
        const uint8_t *const next = b + 2 + comma;
        ends = end - next >= room ? braces_of_two(next + least, &k) : 0;
        if (RARE(!two_levels(p, a, a + 2 + comma, b, colon, comma, &k, at, none))) {
            break;
        }
        if (RARE(!followed(b + 1, comma))) {
            if (b[-1] != '"' || b[1] != ']') {
                break;
            }
            *out = at + 2;
            return b + 1;
        }
        p = next;
        at += 2;
    }
    if (end - p >= least + 32 + LAST_SLACK && at < last) { /* the last of an odd number */
        const uint32_t close = braces(p + least, &k);
        const uint8_t *const a = p + least + _tzcnt_u32(close);
        pa_book_level twice[2];
        if (close != 0 && a[-1] == '"' && a[1] == ']' &&
            two_levels(p, a, p, a, colon, comma, &k, twice, none)) {
            *at = twice[0];
            *out = at + 1;
            return a + 1;
        }
    }
    *out = at;
    return p;
}

/* As take_levels, in one spelling. */
PA_INLINE const uint8_t *run_of_levels(const uint8_t *p, const uint8_t *end, pa_book_level **out,
                                       const pa_book_level *last, bool colon, bool comma) {
    pa_book_level *const first = *out;
    __m256i none = _mm256_setzero_si256();
    const uint8_t *const next = run_of_pairs(p, end, out, last, colon, comma, &none);
    if (__builtin_expect(((uint32_t)_mm256_movemask_epi8(none) & 0x0F000F00U) != 0, 0)) {
        *out = first; /* a price is zero: the general way will say where */
        return p;
    }
    return next;
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
#undef SAME4
