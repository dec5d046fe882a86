/* decode/cursor.h -- internal: the one text of the cursor, compiled once for each kernel.
 *
 * The including file defines PA_DECODE_NAME and inline functions before:
 *   plain_end(p, end, start)        the first byte of [p, end) that ends or interrupts a string:
 *                                   quote, backslash, control or not ASCII; `end` if none; from
 *                                   `start` on it may be read as well
 *   digits_end(p)                   the first byte from p on that is no digit; 96 can be read
 *   plain_run(p, n)                 whether a quote is at p + n, and before it no other, no
 *                                   backslash, control or byte that is not ASCII; 32 < n
 *   quotes_of(p)                    a bit for each quote of the 64 bytes at p
 *   number_text(p, end, &n, &v)     p is behind an opening quote; true and the value x 10^6 if
 *                                   the text up to the next quote is a short plain decimal
 *   take_levels(p, end, &out, last) a run of levels in the venue's spelling; see below
 * Each may always decline: what it declines goes the general way, which alone refuses.
 */
#include <stdbool.h>
#include <string.h>

#include "base/fixed.h"
#include "decode/kernel.h"
#include "decode/swar.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

typedef struct cursor {
    const uint8_t *start;
    const uint8_t *end;
    pa_decoded *out;
    uint32_t record_count;
    uint32_t level_count;
    uint32_t message_count;
    uint32_t skipped;
    int bad;
    const uint8_t *bad_at;
} cursor;

/* A string, number or null where a scalar may stand; NONE is "" or null, OTHER anything else. */
typedef enum scalar_kind { SCALAR_NONE, SCALAR_TEXT, SCALAR_NUMBER, SCALAR_OTHER } scalar_kind;

typedef struct scalar {
    const uint8_t *at;
    uint32_t bytes;
    scalar_kind kind;
} scalar;

/* What a value was that is not what its member should be; held against the message only if
 * its kind needs that member, since the kind may be known last. */
typedef enum member {
    MEMBER_TOKEN, MEMBER_PRICE, MEMBER_SIZE, MEMBER_SIDE, MEMBER_TICK, MEMBER_TIME,
    MEMBER_BEST_BID, MEMBER_BEST_ASK, MEMBER_BIDS, MEMBER_ASKS, MEMBER_CHANGES, MEMBER_LAST,
    MEMBER_COUNT
} member;

typedef struct message {
    pa_record r;
    uint32_t seen;  /* bits of members that have a value                    */
    uint32_t wrong; /* bits of members whose value is wrong                 */
    int reason[MEMBER_COUNT];
    const uint8_t *wrong_at[MEMBER_COUNT];
    int event_kind; /* of event_type; -1: none                              */
    int plain_kind; /* of type; -1: none                                    */
    uint32_t record_first;
    uint32_t change_count; /* records from record_first on, of price_changes or changes */
    uint32_t change_flag;
    uint32_t asset_count;
    uint32_t asset_at[PA_ASSETS_MAX], asset_bytes[PA_ASSETS_MAX];
    uint32_t winner_at, winner_bytes;
    uint32_t skipped;
} message;

#define BIT(m) (1U << (m))

static const uint8_t *fail(cursor *c, const uint8_t *at, int bad) {
    if (c->bad == PA_BAD_NONE) {
        c->bad = at >= c->end && bad == PA_BAD_SYNTAX ? PA_BAD_END : bad;
        c->bad_at = at;
    }
    return NULL;
}

static void hold(message *m, member which, const uint8_t *at, int reason) {
    if ((m->wrong & BIT(which)) == 0) {
        m->wrong |= BIT(which);
        m->reason[which] = reason;
        m->wrong_at[which] = at;
    }
}

static inline const uint8_t *space(const uint8_t *p, const uint8_t *end) {
    while (p < end && UNLIKELY(*p <= ' ') &&
           (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        ++p;
    }
    return p;
}

static inline bool is(const uint8_t *p, const uint8_t *end, uint8_t c) {
    return LIKELY(p < end) && *p == c;
}

/* The well-formed UTF-8 sequence at p, at least two bytes long (RFC 3629 section 4), or NULL. */
static const uint8_t *utf8(const uint8_t *p, const uint8_t *end) {
    const size_t left = (size_t)(end - p);
    const uint8_t a = p[0];
    uint8_t low = 0x80, high = 0xBF;
    size_t more = 0;
    if (a >= 0xC2 && a <= 0xDF) {
        more = 1;
    } else if (a >= 0xE0 && a <= 0xEF) {
        more = 2;
        low = a == 0xE0 ? 0xA0 : 0x80;
        high = a == 0xED ? 0x9F : 0xBF;
    } else if (a >= 0xF0 && a <= 0xF4) {
        more = 3;
        low = a == 0xF0 ? 0x90 : 0x80;
        high = a == 0xF4 ? 0x8F : 0xBF;
    }
    if (more == 0 || left <= more || p[1] < low || p[1] > high) {
        return NULL;
    }
    for (size_t i = 2; i <= more; ++i) {
        if ((p[i] & 0xC0) != 0x80) {
            return NULL;
        }
    }
    return p + more + 1;
}

static bool is_hex(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* The escape whose backslash is at p. */
static const uint8_t *escape(cursor *c, const uint8_t *p) {
    if (p + 1 >= c->end) {
        return fail(c, c->end, PA_BAD_END);
    }
    if (p[1] != 'u') {
        return p[1] != 0 && strchr("\"\\/bfnrt", p[1]) != NULL ? p + 2
                                                               : fail(c, p + 1, PA_BAD_SYNTAX);
    }
    for (int i = 2; i < 6; ++i) {
        if (p + i >= c->end) {
            return fail(c, c->end, PA_BAD_END);
        }
        if (!is_hex(p[i])) {
            return fail(c, p + i, PA_BAD_SYNTAX);
        }
    }
    return p + 6;
}

/* `found`, which was computed from what is at p, as p plus a constant where its length is a usual
 * one (keys, "price_change", milliseconds, hash, condition id). Then the processor predicts where
 * the text goes on instead of waiting for the search: a book's dozen members cost half. The
 * empty assembly keeps the compiler from seeing that both are the same. */
static inline const uint8_t *pinned(const uint8_t *p, const uint8_t *found) {
    const uint8_t *guess;
#define PIN(n)                           \
    case n:                              \
        guess = p + (n);                 \
        __asm__("" : "+r"(guess));       \
        return guess
    switch (found - p) {
        PIN(4);
        PIN(5);
        PIN(6);
        PIN(8);
        PIN(9);
        PIN(10);
        PIN(12);
        PIN(13);
        PIN(16);
        PIN(40);
        PIN(66);
    default:
        return found;
    }
#undef PIN
}

/* The string whose opening quote is at p - 1; *text is what is between the quotes, as written.
 * *plain: no escapes and nothing but ASCII. Returns behind the closing quote. */
static inline const uint8_t *string(cursor *c, const uint8_t *p, const uint8_t **end_of_text,
                                    bool *plain) {
    const uint8_t *const found = plain_end(p, c->end, c->start);
    *plain = true;
    if (LIKELY(found < c->end && *found == '"')) {
        p = pinned(p, found);
        *end_of_text = p;
        return p + 1;
    }
    for (;;) {
        p = plain_end(p, c->end, c->start);
        if (UNLIKELY(p >= c->end)) {
            return fail(c, c->end, PA_BAD_END);
        }
        if (LIKELY(*p == '"')) {
            *end_of_text = p;
            return p + 1;
        }
        *plain = false;
        if (*p == '\\') {
            p = escape(c, p);
        } else if (*p < 0x20) {
            return fail(c, p, PA_BAD_SYNTAX);
        } else {
            const uint8_t *next = utf8(p, c->end);
            p = next != NULL ? next : fail(c, p, PA_BAD_UTF8);
        }
        if (p == NULL) {
            return NULL;
        }
    }
}

static bool digit(const uint8_t *p, const uint8_t *end) {
    return p < end && *p >= '0' && *p <= '9';
}

/* RFC 8259 section 6. */
static const uint8_t *number(cursor *c, const uint8_t *p) {
    p += *p == '-';
    if (!digit(p, c->end)) {
        return fail(c, p, PA_BAD_SYNTAX);
    }
    if (*p == '0') {
        ++p;
    } else {
        while (digit(p, c->end)) {
            ++p;
        }
    }
    if (is(p, c->end, '.')) {
        if (!digit(++p, c->end)) {
            return fail(c, p, PA_BAD_SYNTAX);
        }
        while (digit(p, c->end)) {
            ++p;
        }
    }
    if (p < c->end && (*p | 0x20) == 'e') {
        ++p;
        p += p < c->end && (*p == '+' || *p == '-');
        if (!digit(p, c->end)) {
            return fail(c, p, PA_BAD_SYNTAX);
        }
        while (digit(p, c->end)) {
            ++p;
        }
    }
    return p;
}

static const uint8_t *literal(cursor *c, const uint8_t *p, const char *word) {
    for (; *word != '\0'; ++word, ++p) {
        if (!is(p, c->end, (uint8_t)*word)) {
            return fail(c, p, PA_BAD_SYNTAX);
        }
    }
    return p;
}

/* A key and its colon; p is at the opening quote. Returns the value's first byte. */
static inline const uint8_t *key(cursor *c, const uint8_t *p, const uint8_t **text,
                                 const uint8_t **end_of_text, bool *plain) {
    if (UNLIKELY(!is(p, c->end, '"'))) {
        return fail(c, p, PA_BAD_SYNTAX);
    }
    *text = p + 1;
    p = string(c, p + 1, end_of_text, plain);
    if (UNLIKELY(p == NULL)) {
        return NULL;
    }
    p = space(p, c->end);
    if (UNLIKELY(!is(p, c->end, ':'))) {
        return fail(c, p, PA_BAD_SYNTAX);
    }
    p = space(p + 1, c->end);
    return LIKELY(p < c->end) ? p : fail(c, p, PA_BAD_END);
}

/* Behind a member or element: at the next one's first byte with *more, or behind `close`. */
static inline const uint8_t *after(cursor *c, const uint8_t *p, uint8_t close, bool *more) {
    p = space(p, c->end);
    if (is(p, c->end, ',')) {
        *more = true;
        p = space(p + 1, c->end);
        return LIKELY(p < c->end) ? p : fail(c, p, PA_BAD_END);
    }
    *more = false;
    return is(p, c->end, close) ? p + 1 : fail(c, p, PA_BAD_SYNTAX);
}

/* Behind the opening bracket: as `after`. */
static inline const uint8_t *opened(cursor *c, const uint8_t *p, uint8_t close, bool *more) {
    p = space(p, c->end);
    *more = !is(p, c->end, close);
    if (!*more) {
        return p + 1;
    }
    return LIKELY(p < c->end) ? p : fail(c, p, PA_BAD_END);
}

/* Any value at p, `depth` arrays and objects around it. Recursion ends at PA_NEST_MAX. */
static const uint8_t *skip(cursor *c, const uint8_t *p, unsigned depth) {
    const uint8_t *text = NULL, *end_of_text = NULL;
    bool plain, more;
    switch (*p) {
    case '"':
        return string(c, p + 1, &end_of_text, &plain);
    case '{':
    case '[': {
        const bool object = *p == '{';
        const uint8_t close = object ? '}' : ']';
        if (depth >= PA_NEST_MAX) {
            return fail(c, p, PA_BAD_NESTING);
        }
        p = opened(c, p + 1, close, &more);
        while (p != NULL && more) {
            p = object ? key(c, p, &text, &end_of_text, &plain) : p;
            p = p == NULL ? NULL : skip(c, p, depth + 1);
            p = p == NULL ? NULL : after(c, p, close, &more);
        }
        return p;
    }
    case 't':
        return literal(c, p, "true");
    case 'f':
        return literal(c, p, "false");
    case 'n':
        return literal(c, p, "null");
    default:
        return number(c, p);
    }
}

/* The value at p as a scalar. */
static inline const uint8_t *take(cursor *c, const uint8_t *p, unsigned depth, scalar *out) {
    if (LIKELY(*p == '"')) {
        const uint8_t *end_of_text = p;
        bool plain;
        out->at = p + 1;
        p = string(c, p + 1, &end_of_text, &plain);
        if (UNLIKELY(p == NULL)) { /* what is said of the value then is harmless */
            out->bytes = 0;
            out->kind = SCALAR_OTHER;
            return NULL;
        }
        out->bytes = (uint32_t)(end_of_text - out->at);
        out->kind = !plain ? SCALAR_OTHER : out->bytes == 0 ? SCALAR_NONE : SCALAR_TEXT;
        return p;
    }
    out->at = p;
    out->kind = *p == 'n' ? SCALAR_NONE : *p == '-' || digit(p, c->end) ? SCALAR_NUMBER : SCALAR_OTHER;
    p = skip(c, p, depth);
    out->bytes = p == NULL ? 0 : (uint32_t)(p - out->at);
    out->kind = p == NULL ? SCALAR_OTHER : out->kind;
    return p;
}

/* `s` as an integer x 10^decimals, 0..most; false: it is not. */
static bool fixed(const scalar *s, uint32_t decimals, int64_t most, int64_t *out) {
    int64_t value;
    if (s->kind == SCALAR_OTHER ||
        pa_fixed_parse((const char *)s->at, s->bytes, decimals, &value) != PA_OK || value > most) {
        return false;
    }
    *out = value;
    return true;
}

/* A price member at p into *out, 0..10000. What has no value leaves *out and *has alone. */
static inline const uint8_t *price(cursor *c, const uint8_t *p, unsigned depth, int32_t *out,
                                   bool *has, bool *wrong) {
    uint32_t n;
    if (LIKELY(c->end - p >= 8 && *p == '"') && LIKELY(pa_swar_price(pa_load64(p) >> 8, &n, out))) {
        *has = true;
        return p + n + 2;
    }
    scalar s;
    int64_t value;
    p = take(c, p, depth, &s);
    if (p != NULL && s.kind != SCALAR_NONE) {
        if (fixed(&s, PA_PRICE_DECIMALS, PA_PRICE_ONE_E4, &value)) {
            *out = (int32_t)value;
            *has = true;
        } else {
            *wrong = true;
        }
    }
    return p;
}

static inline const uint8_t *size(cursor *c, const uint8_t *p, unsigned depth, int64_t *out,
                                  bool *has, bool *wrong) {
    uint32_t n;
    if (LIKELY(*p == '"') && LIKELY(number_text(p + 1, c->end, &n, out))) {
        *has = true;
        return p + n + 2;
    }
    scalar s;
    p = take(c, p, depth, &s);
    if (p != NULL && s.kind != SCALAR_NONE) {
        if (fixed(&s, PA_CASH_DECIMALS, PA_SIZE_MAX_E6, out)) {
            *has = true;
        } else {
            *wrong = true;
        }
    }
    return p;
}

/* BUY or SELL, in either case. */
static bool side_of(const scalar *s, uint32_t *side) {
    if (s->kind != SCALAR_TEXT) {
        return false;
    }
    if (s->bytes == 3 && (s->at[0] | 0x20) == 'b' && (s->at[1] | 0x20) == 'u' &&
        (s->at[2] | 0x20) == 'y') {
        *side = PA_BID;
        return true;
    }
    *side = PA_ASK;
    return s->bytes == 4 && (s->at[0] | 0x20) == 's' && (s->at[1] | 0x20) == 'e' &&
           (s->at[2] | 0x20) == 'l' && (s->at[3] | 0x20) == 'l';
}

/* Decimal digits without leading zeros, at most PA_TOKEN_TEXT_MAX. A number has passed its
 * grammar; only digits make it a token. */
static bool token_of(const cursor *c, const scalar *s, uint32_t *at, uint32_t *bytes) {
    const uint8_t *p = s->at;
    uint32_t n = s->bytes;
    if (s->kind != SCALAR_TEXT && s->kind != SCALAR_NUMBER) {
        return false;
    }
    while (n > 1 && *p == '0') {
        ++p;
        --n;
    }
    if (n == 0 || n > PA_TOKEN_TEXT_MAX || !pa_swar_digits(p, n)) {
        return false;
    }
    *at = (uint32_t)(p - c->start);
    *bytes = n;
    return true;
}

static bool is_tick(int32_t e4) {
    return e4 == 1 || e4 == 10 || e4 == 25 || e4 == 50 || e4 == 100 || e4 == 1000;
}

static bool time_of(const scalar *s, uint64_t *out) {
    int64_t value;
    if (s->kind == SCALAR_TEXT && s->bytes == 13 && pa_swar_time(s->at, out)) {
        return true;
    }
    if (!fixed(s, 0, (INT64_C(1) << 53) - 1, &value)) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

static inline bool same(const uint8_t *p, const char *name, size_t n) {
    return memcmp(p, name, n) == 0;
}

/* One level, an object or a pair, at p. *kept: it belongs into the list. */
static const uint8_t *level(cursor *c, message *m, member list, const uint8_t *p, unsigned depth,
                            pa_book_level *out, bool *kept) {
    const uint8_t *const at = p, *text = NULL, *end_of_text = NULL;
    bool plain, more, has_price = false, has_size = false, wrong_price = false, wrong_size = false;
    const bool object = *p == '{';
    int32_t price_e4 = 0;
    int64_t size_e6 = 0;
    *kept = false;
    if (!object && *p != '[') {
        hold(m, list, p, PA_BAD_LEVELS);
        return skip(c, p, depth);
    }
    p = opened(c, p + 1, object ? '}' : ']', &more);
    for (int i = 0; p != NULL && more; ++i) {
        int which = i; /* of a pair: price, then size */
        if (object) {
            p = key(c, p, &text, &end_of_text, &plain);
            if (p == NULL) {
                return NULL;
            }
            const size_t n = (size_t)(end_of_text - text);
            which = n == 5 && same(text, "price", 5) ? 0 : n == 4 && same(text, "size", 4) ? 1 : 2;
            if (which < 2) { /* of a key that comes twice the last counts */
                *(which == 0 ? &has_price : &has_size) = false;
                *(which == 0 ? &wrong_price : &wrong_size) = false;
            }
        }
        if (which == 0) {
            p = price(c, p, depth + 1, &price_e4, &has_price, &wrong_price);
        } else if (which == 1) {
            p = size(c, p, depth + 1, &size_e6, &has_size, &wrong_size);
        } else {
            p = skip(c, p, depth + 1);
            m->skipped += 1;
        }
        p = p == NULL ? NULL : after(c, p, object ? '}' : ']', &more);
    }
    if (p == NULL) {
        return NULL;
    }
    if (wrong_price || (has_price && (price_e4 <= 0 || price_e4 >= PA_PRICE_ONE_E4))) {
        hold(m, list, at, PA_BAD_PRICE);
    } else if (wrong_size) {
        hold(m, list, at, PA_BAD_SIZE);
    } else if (!has_price || !has_size) {
        hold(m, list, at, PA_BAD_MISSING);
    } else {
        *out = (pa_book_level){.size_e6 = size_e6, .price_e4 = price_e4};
        *kept = true;
    }
    return p;
}

/* A list of levels at p, `depth` deep. */
static const uint8_t *levels(cursor *c, message *m, member list, const uint8_t *p, unsigned depth,
                             uint32_t *first, uint32_t *count) {
    bool more;
    m->wrong &= ~BIT(list);
    *first = c->level_count;
    *count = 0;
    if (*p != '[') {
        if (*p != 'n') {
            hold(m, list, p, PA_BAD_LEVELS);
        }
        return skip(c, p, depth);
    }
    p = opened(c, p + 1, ']', &more);
    pa_book_level *const last = c->out->levels + c->out->level_capacity;
    while (p != NULL && more) {
        pa_book_level *at = c->out->levels + c->level_count;
        if (LIKELY(*p == '{')) {
            p = take_levels(p, c->end, &at, last);
            c->level_count = (uint32_t)(at - c->out->levels);
            if (LIKELY(*p == ']')) { /* it took the last one */
                ++p;
                break;
            }
        }
        if (at >= last) {
            return fail(c, p, PA_BAD_CAPACITY);
        }
        bool kept;
        p = level(c, m, list, p, depth + 1, at, &kept);
        c->level_count += kept;
        p = p == NULL ? NULL : after(c, p, ']', &more);
    }
    *count = c->level_count - *first;
    return p;
}

static bool hash_of(const cursor *c, const scalar *s, pa_record *r) {
    if (s->kind == SCALAR_TEXT && s->bytes == PA_HASH_TEXT) {
        r->hash_at = (uint32_t)(s->at - c->start);
        r->flags |= PA_HAS_HASH;
        return true;
    }
    r->flags &= ~(uint32_t)PA_HAS_HASH;
    return false;
}

/* Members that an entry and a message have in common; `m` is where wrong values are held. */
static inline const uint8_t *price_member(cursor *c, const uint8_t *p, unsigned depth, message *m,
                                          member which, pa_record *r, uint32_t flag, int32_t *out) {
    bool has = false, wrong = false;
    const uint8_t *const at = p;
    r->flags &= ~flag;
    m->wrong &= ~BIT(which);
    *out = 0;
    p = price(c, p, depth, out, &has, &wrong);
    if (UNLIKELY(wrong)) {
        hold(m, which, at, PA_BAD_PRICE);
    } else if (has) {
        r->flags |= flag;
    }
    return p;
}

static inline const uint8_t *size_member(cursor *c, const uint8_t *p, unsigned depth, message *m,
                                         pa_record *r) {
    bool has = false, wrong = false;
    const uint8_t *const at = p;
    r->flags &= ~(uint32_t)PA_HAS_SIZE;
    m->wrong &= ~BIT(MEMBER_SIZE);
    r->size_e6 = 0;
    p = size(c, p, depth, &r->size_e6, &has, &wrong);
    if (UNLIKELY(wrong)) {
        hold(m, MEMBER_SIZE, at, PA_BAD_SIZE);
    } else if (has) {
        r->flags |= PA_HAS_SIZE;
    }
    return p;
}

static inline const uint8_t *side_member(cursor *c, const uint8_t *p, unsigned depth, message *m,
                                         pa_record *r) {
    scalar s;
    const uint8_t *const at = p;
    p = take(c, p, depth, &s);
    m->wrong &= ~BIT(MEMBER_SIDE);
    m->seen &= ~BIT(MEMBER_SIDE);
    if (p != NULL && s.kind != SCALAR_NONE) {
        if (LIKELY(side_of(&s, &r->side))) {
            m->seen |= BIT(MEMBER_SIDE);
        } else {
            r->side = 0;
            hold(m, MEMBER_SIDE, at, PA_BAD_SIDE);
        }
    }
    return p;
}

static inline const uint8_t *tick_member(cursor *c, const uint8_t *p, unsigned depth, message *m,
                                         pa_record *r) {
    bool has = false, wrong = false;
    const uint8_t *const at = p;
    m->wrong &= ~BIT(MEMBER_TICK);
    r->flags &= ~(uint32_t)PA_HAS_TICK;
    r->tick_e4 = 0;
    p = price(c, p, depth, &r->tick_e4, &has, &wrong);
    if (UNLIKELY(wrong || (has && !is_tick(r->tick_e4)))) {
        r->tick_e4 = 0;
        hold(m, MEMBER_TICK, at, PA_BAD_TICK);
    } else if (has) {
        r->flags |= PA_HAS_TICK;
    }
    return p;
}

static inline const uint8_t *last_member(cursor *c, const uint8_t *p, unsigned depth, message *m,
                                         pa_record *r) {
    const uint8_t *const at = p;
    r->flags &= ~(uint32_t)PA_HAS_NO_LAST;
    p = price_member(c, p, depth, m, MEMBER_LAST, r, PA_HAS_LAST, &r->last_e4);
    if (p != NULL && (r->flags & PA_HAS_LAST) == 0 && *at == '"' && at[1] == '"') {
        r->flags |= PA_HAS_NO_LAST;
    }
    return p;
}

static inline const uint8_t *token_member(cursor *c, const uint8_t *p, unsigned depth, message *m,
                                          pa_record *r) {
    scalar s;
    const uint8_t *const at = p;
    p = take(c, p, depth, &s);
    m->wrong &= ~BIT(MEMBER_TOKEN);
    r->token_at = r->token_bytes = 0;
    if (p != NULL && s.kind != SCALAR_NONE && UNLIKELY(!token_of(c, &s, &r->token_at, &r->token_bytes))) {
        hold(m, MEMBER_TOKEN, at, PA_BAD_TOKEN);
    }
    return p;
}

/* What of `m` makes an entry or a message unusable: the first of `needed` that is wrong. */
static int blame(const message *m, uint32_t needed, const uint8_t **at) {
    const uint32_t wrong = m->wrong & needed;
    if (wrong == 0) {
        return PA_BAD_NONE;
    }
    const int which = __builtin_ctz(wrong);
    *at = m->wrong_at[which];
    return m->reason[which];
}

#define CHANGE_NEEDS                                                                        \
    (BIT(MEMBER_TOKEN) | BIT(MEMBER_PRICE) | BIT(MEMBER_SIZE) | BIT(MEMBER_SIDE) |          \
     BIT(MEMBER_BEST_BID) | BIT(MEMBER_BEST_ASK))

/* What a change needs beyond values that are right. */
static int change_lacks(const pa_record *r, uint32_t seen) {
    if ((r->flags & (PA_HAS_PRICE | PA_HAS_SIZE)) != (PA_HAS_PRICE | PA_HAS_SIZE) ||
        (seen & BIT(MEMBER_SIDE)) == 0) {
        return PA_BAD_MISSING;
    }
    return r->price_e4 <= 0 || r->price_e4 >= PA_PRICE_ONE_E4 ? PA_BAD_PRICE : PA_BAD_NONE;
}

/* Whether the n >= 4 bytes at p are those of `text`; for a literal its words are constants. */
static inline __attribute__((always_inline)) bool same_words(const uint8_t *p, const char *text, size_t n) {
    const uint8_t *const q = (const uint8_t *)text;
    uint64_t differ = 0;
    if (n < 8) {
        return ((pa_load32(p) ^ pa_load32(q)) | (pa_load32(p + n - 4) ^ pa_load32(q + n - 4))) == 0;
    }
    for (size_t i = 0; i + 8 < n; i += 8) {
        differ |= pa_load64(p + i) ^ pa_load64(q + i);
    }
    return (differ | (pa_load64(p + n - 8) ^ pa_load64(q + n - 8))) == 0;
}

/* Whether the bytes of a literal are at p, where they can be read. */
#define SAME(p, text) same_words(p, text, sizeof(text) - 1)

#define CHANGE_TOKEN_BYTES 112 /* from the brace to the last byte that digits_end looks at   */
#define CHANGE_REST_BYTES 160  /* from behind the token to the last byte anything looks at   */

/* An entry exactly as the venue writes it, without blanks or with one behind each comma, or NULL:
 * then it goes the general way. Nothing is accepted here that `change` would not read as the same
 * record. Where price and size end is read from one map of quotes, not found one after the other. */
static inline __attribute__((always_inline)) const uint8_t *
usual_change(const cursor *c, const uint8_t *token, const uint8_t *p, bool blank, pa_record *r) {
#define BEHIND(at, text) (blank ? SAME(at, "\", \"" text) : SAME(at, "\",\"" text))
#define LENGTH(text) (sizeof("\",\"" text) - 1 + blank)
    uint32_t n, size_bytes;
    int32_t price_e4, bid_e4, ask_e4;
    int64_t size_e6;
    const uint32_t token_bytes = (uint32_t)(p - token);
    const uint8_t *const price_at = p + LENGTH("price\":\"");
    const uint64_t quotes = quotes_of(price_at);
    if (!BEHIND(p, "price\":\"") || !pa_swar_price(pa_load64(price_at), &n, &price_e4)) {
        return NULL;
    }
    const uint32_t size_from = n + (uint32_t)LENGTH("size\":\"");
    const uint8_t *const size_at = price_at + size_from;
    const uint32_t size_to = (uint32_t)__builtin_ctzll(quotes >> size_from | UINT64_C(1) << 63);
    if (!BEHIND(price_at + n, "size\":\"") || size_to > 16 ||
        !number_text(size_at, c->end, &size_bytes, &size_e6) || size_bytes != size_to) {
        return NULL;
    }
    const uint8_t *const side_at = size_at + size_to + LENGTH("side\":\"");
    const bool sell = SAME(side_at, "SELL");
    if (!BEHIND(size_at + size_to, "side\":\"") || (!sell && !SAME(side_at, "BUY\""))) {
        return NULL;
    }
    const uint8_t *const hash = side_at + 3 + sell + LENGTH("hash\":\"");
    const uint8_t *const bid_at = hash + PA_HASH_TEXT + LENGTH("best_bid\":\"");
    if (!BEHIND(side_at + 3 + sell, "hash\":\"") || !plain_run(hash, PA_HASH_TEXT) ||
        !BEHIND(hash + PA_HASH_TEXT, "best_bid\":\"") || !pa_swar_price(pa_load64(bid_at), &n, &bid_e4)) {
        return NULL;
    }
    const uint8_t *const ask_at = bid_at + n + LENGTH("best_ask\":\"");
    if (!BEHIND(bid_at + n, "best_ask\":\"") || !pa_swar_price(pa_load64(ask_at), &n, &ask_e4) ||
        ask_at[n + 1] != '}') {
        return NULL;
    }
    *r = (pa_record){.flags = PA_HAS_PRICE | PA_HAS_SIZE | PA_HAS_BEST_BID | PA_HAS_BEST_ASK |
                              PA_HAS_HASH,
                     .token_at = (uint32_t)(token - c->start),
                     .token_bytes = token_bytes,
                     .hash_at = (uint32_t)(hash - c->start),
                     .side = sell ? PA_ASK : PA_BID,
                     .price_e4 = price_e4,
                     .size_e6 = size_e6,
                     .best_bid_e4 = bid_e4,
                     .best_ask_e4 = ask_e4};
    return ask_at + n + 2;
#undef BEHIND
#undef LENGTH
}

/* As usual_change, in whichever of the two spellings it is; p is at the brace. */
static inline const uint8_t *usual_entry(const cursor *c, const uint8_t *p, pa_record *r) {
    if (c->end - p < CHANGE_TOKEN_BYTES || !SAME(p, "{\"asset_id\":\"")) {
        return NULL;
    }
    const uint8_t *const token = p + 13;
    p = digits_end(token);
    if ((size_t)(p - token) - 1 >= PA_TOKEN_TEXT_MAX || *token == '0' ||
        c->end - p < CHANGE_REST_BYTES) {
        return NULL;
    }
    return p[2] == ' ' ? usual_change(c, token, p, true, r) : usual_change(c, token, p, false, r);
}

/* One entry of price_changes or changes at p. */
static const uint8_t *change(cursor *c, message *m, const uint8_t *p, unsigned depth,
                             pa_record *r) {
    const uint8_t *const at = p, *text = NULL, *end_of_text = NULL, *wrong_at = p;
    bool plain, more;
    scalar s;
    message e; /* only wrong, seen, reason and wrong_at: what is written is read */
    e.wrong = e.seen = 0;
    memset(r, 0, sizeof *r);
    p = opened(c, p + 1, '}', &more);
    while (p != NULL && more) {
        p = key(c, p, &text, &end_of_text, &plain);
        if (p == NULL) {
            return NULL;
        }
        bool known = true;
        switch (end_of_text - text) {
        case 4:
            if (same(text, "size", 4)) {
                p = size_member(c, p, depth + 1, &e, r);
            } else if (same(text, "side", 4)) {
                p = side_member(c, p, depth + 1, &e, r);
            } else if (same(text, "hash", 4)) {
                p = take(c, p, depth + 1, &s);
                (void)hash_of(c, &s, r);
            } else {
                known = false;
            }
            break;
        case 5:
            known = same(text, "price", 5);
            if (known) {
                p = price_member(c, p, depth + 1, &e, MEMBER_PRICE, r, PA_HAS_PRICE, &r->price_e4);
            }
            break;
        case 8:
            if (same(text, "asset_id", 8)) {
                p = token_member(c, p, depth + 1, &e, r);
            } else if (same(text, "best_bid", 8)) {
                p = price_member(c, p, depth + 1, &e, MEMBER_BEST_BID, r, PA_HAS_BEST_BID,
                                 &r->best_bid_e4);
            } else if (same(text, "best_ask", 8)) {
                p = price_member(c, p, depth + 1, &e, MEMBER_BEST_ASK, r, PA_HAS_BEST_ASK,
                                 &r->best_ask_e4);
            } else {
                known = false;
            }
            break;
        default:
            known = false;
        }
        if (!known) {
            m->skipped += 1;
            p = skip(c, p, depth + 1);
        }
        p = p == NULL ? NULL : after(c, p, '}', &more);
    }
    if (p == NULL) {
        return NULL;
    }
    int bad = UNLIKELY(e.wrong != 0) ? blame(&e, CHANGE_NEEDS, &wrong_at) : PA_BAD_NONE;
    if (bad == PA_BAD_NONE) {
        wrong_at = at;
        bad = change_lacks(r, e.seen);
    }
    if (UNLIKELY(bad != PA_BAD_NONE)) {
        hold(m, MEMBER_CHANGES, wrong_at, bad);
    }
    return p;
}

/* The entries at p, into records; which message they belong to shows later. */
static const uint8_t *changes(cursor *c, message *m, const uint8_t *p, unsigned depth,
                              uint32_t flag) {
    bool more;
    m->wrong &= ~BIT(MEMBER_CHANGES);
    m->seen |= BIT(MEMBER_CHANGES);
    m->change_count = 0;
    m->change_flag = flag;
    if (*p != '[') {
        hold(m, MEMBER_CHANGES, p, PA_BAD_LEVELS);
        return skip(c, p, depth);
    }
    p = opened(c, p + 1, ']', &more);
    while (p != NULL && more) {
        const uint32_t index = m->record_first + m->change_count;
        if (*p != '{') {
            hold(m, MEMBER_CHANGES, p, PA_BAD_LEVELS);
            p = skip(c, p, depth + 1);
        } else if (index >= c->out->record_capacity) {
            return fail(c, p, PA_BAD_CAPACITY);
        } else {
            const uint8_t *const next = usual_entry(c, p, &c->out->records[index]);
            p = LIKELY(next != NULL) ? next : change(c, m, p, depth + 1, &c->out->records[index]);
            m->change_count += 1;
        }
        p = p == NULL ? NULL : after(c, p, ']', &more);
    }
    return p;
}

/* assets_ids: a list of token ids; what is not one is left out. */
static const uint8_t *assets(cursor *c, message *m, const uint8_t *p, unsigned depth) {
    bool more;
    scalar s;
    m->asset_count = 0;
    if (*p != '[') {
        return skip(c, p, depth);
    }
    p = opened(c, p + 1, ']', &more);
    while (p != NULL && more) {
        const uint32_t i = m->asset_count;
        p = take(c, p, depth + 1, &s);
        if (p != NULL && i < PA_ASSETS_MAX) {
            m->asset_count += token_of(c, &s, &m->asset_at[i], &m->asset_bytes[i]);
        } else {
            m->skipped += 1;
        }
        p = p == NULL ? NULL : after(c, p, ']', &more);
    }
    return p;
}

typedef struct name_row {
    const char *name;
    int kind;
} name_row;

static int kind_of(const scalar *s, const name_row *rows, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (s->kind == SCALAR_TEXT && s->bytes == strlen(rows[i].name) &&
            same(s->at, rows[i].name, s->bytes)) {
            return rows[i].kind;
        }
    }
    return PA_KIND_UNKNOWN;
}

static int event_kind(const scalar *s) {
    static const name_row ROWS[] = {
        {"price_change", PA_KIND_CHANGE},   {"book", PA_KIND_BOOK},
        {"last_trade_price", PA_KIND_TRADE}, {"best_bid_ask", PA_KIND_BEST},
        {"tick_size_change", PA_KIND_TICK}, {"new_market", PA_KIND_NEW_MARKET},
        {"market_resolved", PA_KIND_RESOLVED},
    };
    if (LIKELY(s->kind == SCALAR_TEXT && s->bytes == 12 && same(s->at, "price_change", 12))) {
        return PA_KIND_CHANGE;
    }
    return kind_of(s, ROWS, sizeof ROWS / sizeof *ROWS);
}

static int plain_kind(const scalar *s) {
    static const name_row ROWS[] = {
        {"orderbook", PA_KIND_BOOK},
        {"trade", PA_KIND_TRADE},
        {"subscribed", PA_KIND_SUBSCRIBED},
        {"error", PA_KIND_ERROR},
    };
    return kind_of(s, ROWS, sizeof ROWS / sizeof *ROWS);
}

/* The member `text` of a message, its value at p. Returns behind the value. */
static inline const uint8_t *message_member(cursor *c, message *m, const uint8_t *text, size_t n,
                                            const uint8_t *p, unsigned depth) {
    pa_record *const r = &m->r;
    const uint8_t *const at = p;
    scalar s;
    switch (n) {
    case 4:
        if (same(text, "bids", 4) || same(text, "buys", 4)) {
            m->seen |= BIT(MEMBER_BIDS);
            return levels(c, m, MEMBER_BIDS, p, depth, &r->bid_first, &r->bid_count);
        }
        if (same(text, "asks", 4)) {
            m->seen |= BIT(MEMBER_ASKS);
            return levels(c, m, MEMBER_ASKS, p, depth, &r->ask_first, &r->ask_count);
        }
        if (same(text, "hash", 4)) {
            p = take(c, p, depth, &s);
            (void)hash_of(c, &s, r);
            return p;
        }
        if (same(text, "size", 4)) {
            return size_member(c, p, depth, m, r);
        }
        if (same(text, "side", 4)) {
            return side_member(c, p, depth, m, r);
        }
        if (same(text, "type", 4)) {
            p = take(c, p, depth, &s);
            m->plain_kind = plain_kind(&s);
            return p;
        }
        break;
    case 5:
        if (same(text, "price", 5)) {
            return price_member(c, p, depth, m, MEMBER_PRICE, r, PA_HAS_PRICE, &r->price_e4);
        }
        if (same(text, "sells", 5)) {
            m->seen |= BIT(MEMBER_ASKS);
            return levels(c, m, MEMBER_ASKS, p, depth, &r->ask_first, &r->ask_count);
        }
        break;
    case 6:
    case 9:
        if (n == 6 ? same(text, "market", 6) : same(text, "market_id", 9)) {
            p = take(c, p, depth, &s);
            const bool usable = s.kind == SCALAR_TEXT || s.kind == SCALAR_NUMBER;
            r->market_at = usable ? (uint32_t)(s.at - c->start) : 0;
            r->market_bytes = usable ? s.bytes : 0;
            return p;
        }
        if (n == 9 && same(text, "timestamp", 9)) {
            p = take(c, p, depth, &s);
            m->wrong &= ~BIT(MEMBER_TIME);
            r->flags &= ~(uint32_t)PA_HAS_TIME;
            r->time_ms = 0;
            if (p != NULL && s.kind != SCALAR_NONE) {
                if (LIKELY(time_of(&s, &r->time_ms))) {
                    r->flags |= PA_HAS_TIME;
                } else {
                    hold(m, MEMBER_TIME, at, PA_BAD_TIME);
                }
            }
            return p;
        }
        if (n == 9 && same(text, "tick_size", 9)) {
            return tick_member(c, p, depth, m, r);
        }
        break;
    case 7:
        if (same(text, "changes", 7)) {
            return changes(c, m, p, depth, PA_HAS_CHANGES);
        }
        break;
    case 8:
        if (same(text, "asset_id", 8) || same(text, "token_id", 8)) {
            return token_member(c, p, depth, m, r);
        }
        if (same(text, "best_bid", 8)) {
            return price_member(c, p, depth, m, MEMBER_BEST_BID, r, PA_HAS_BEST_BID,
                                &r->best_bid_e4);
        }
        if (same(text, "best_ask", 8)) {
            return price_member(c, p, depth, m, MEMBER_BEST_ASK, r, PA_HAS_BEST_ASK,
                                &r->best_ask_e4);
        }
        if (same(text, "neg_risk", 8)) {
            return skip(c, p, depth);
        }
        break;
    case 10:
        if (same(text, "event_type", 10)) {
            p = take(c, p, depth, &s);
            m->event_kind = event_kind(&s);
            return p;
        }
        if (same(text, "assets_ids", 10)) {
            return assets(c, m, p, depth);
        }
        break;
    case 13:
        if (same(text, "price_changes", 13)) {
            return changes(c, m, p, depth, 0);
        }
        if (same(text, "new_tick_size", 13)) {
            return tick_member(c, p, depth, m, r);
        }
        if (same(text, "old_tick_size", 13)) {
            return skip(c, p, depth);
        }
        break;
    case 16:
        if (same(text, "last_trade_price", 16)) {
            return last_member(c, p, depth, m, r);
        }
        if (same(text, "winning_asset_id", 16)) {
            p = take(c, p, depth, &s);
            m->winner_bytes = 0;
            (void)token_of(c, &s, &m->winner_at, &m->winner_bytes);
            return p;
        }
        if (same(text, "transaction_hash", 16)) {
            return skip(c, p, depth);
        }
        break;
    default:
        if ((n == 12 && same(text, "fee_rate_bps", 12)) ||
            (n == 14 && same(text, "min_order_size", 14))) {
            return skip(c, p, depth);
        }
    }
    m->skipped += 1;
    return skip(c, p, depth);
}

/* One record of the message, or a failure. */
static bool emit(cursor *c, const message *m, const uint8_t *at) {
    if (c->record_count >= c->out->record_capacity) {
        (void)fail(c, at, PA_BAD_CAPACITY);
        return false;
    }
    c->out->records[c->record_count++] = m->r;
    return true;
}

/* price_change: each entry takes what the message says once. */
static int finish_changes(cursor *c, message *m, const uint8_t *at, const uint8_t **wrong_at) {
    int bad = blame(m, BIT(MEMBER_TIME) | BIT(MEMBER_CHANGES) | BIT(MEMBER_TOKEN), wrong_at);
    if (bad != PA_BAD_NONE) {
        return bad;
    }
    if ((m->seen & BIT(MEMBER_CHANGES)) == 0) { /* flat, 2024 */
        bad = blame(m, CHANGE_NEEDS, wrong_at);
        if (bad == PA_BAD_NONE) {
            bad = m->r.token_bytes == 0 ? PA_BAD_MISSING : change_lacks(&m->r, m->seen);
        }
        m->r.flags |= PA_HAS_FLAT;
        return bad != PA_BAD_NONE ? bad : emit(c, m, at) ? PA_BAD_NONE : PA_BAD_CAPACITY;
    }
    const uint32_t shared = (m->r.flags & PA_HAS_TIME) | m->change_flag;
    for (uint32_t i = 0; i < m->change_count; ++i) {
        pa_record *r = &c->out->records[m->record_first + i];
        r->kind = PA_KIND_CHANGE;
        r->flags |= shared;
        r->time_ms = m->r.time_ms;
        r->market_at = m->r.market_at;
        r->market_bytes = m->r.market_bytes;
        r->message = m->r.message;
        r->at = m->r.at;
        r->bytes = m->r.bytes;
        if (r->token_bytes == 0) {
            r->token_at = m->r.token_at;
            r->token_bytes = m->r.token_bytes;
            if (r->token_bytes == 0) {
                return PA_BAD_MISSING;
            }
        }
        if ((r->flags & PA_HAS_HASH) == 0 && (m->r.flags & PA_HAS_HASH) != 0) {
            r->hash_at = m->r.hash_at;
            r->flags |= PA_HAS_HASH;
        }
    }
    c->record_count = m->record_first + m->change_count;
    return PA_BAD_NONE;
}

/* One record for each of the assets, one without a token if there are none. */
static int finish_assets(cursor *c, message *m, const uint8_t *at) {
    uint32_t i = 0;
    const uint32_t flags = m->r.flags;
    do {
        if (m->asset_count > 0) {
            m->r.token_at = m->asset_at[i];
            m->r.token_bytes = m->asset_bytes[i];
            const bool won = m->winner_bytes != 0 && m->winner_bytes == m->r.token_bytes &&
                             memcmp(c->start + m->winner_at, c->start + m->r.token_at,
                                    m->winner_bytes) == 0;
            m->r.flags = flags | (won ? PA_HAS_WINNER : 0);
        }
        if (!emit(c, m, at)) {
            return PA_BAD_CAPACITY;
        }
    } while (++i < m->asset_count);
    return PA_BAD_NONE;
}

/* What each kind needs to be right if it is there. */
static const uint32_t NEEDS[PA_KIND_COUNT] = {
    [PA_KIND_BOOK] = BIT(MEMBER_TOKEN) | BIT(MEMBER_TIME) | BIT(MEMBER_BIDS) | BIT(MEMBER_ASKS) |
                     BIT(MEMBER_TICK),
    [PA_KIND_TRADE] = BIT(MEMBER_TOKEN) | BIT(MEMBER_PRICE) | BIT(MEMBER_SIZE) | BIT(MEMBER_SIDE),
    [PA_KIND_TICK] = BIT(MEMBER_TOKEN) | BIT(MEMBER_TICK) | BIT(MEMBER_TIME),
    [PA_KIND_BEST] = BIT(MEMBER_TOKEN) | BIT(MEMBER_BEST_BID) | BIT(MEMBER_BEST_ASK),
};

static bool lacks(const message *m) {
    switch (m->r.kind) {
    case PA_KIND_BOOK:
        return m->r.token_bytes == 0 || (m->seen & (BIT(MEMBER_BIDS) | BIT(MEMBER_ASKS))) == 0;
    case PA_KIND_TRADE:
        return m->r.token_bytes == 0 || (m->r.flags & PA_HAS_PRICE) == 0;
    case PA_KIND_TICK:
        return m->r.token_bytes == 0 || (m->r.flags & PA_HAS_TICK) == 0;
    case PA_KIND_BEST:
        return m->r.token_bytes == 0;
    default:
        return false;
    }
}

/* The message ends: say what it is, and whether it has what that needs. */
static const uint8_t *finish(cursor *c, message *m, const uint8_t *at, const uint8_t *p) {
    const uint8_t *wrong_at = at;
    int bad = PA_BAD_NONE;
    m->r.message = c->message_count++;
    m->r.at = (uint32_t)(at - c->start);
    m->r.bytes = (uint32_t)(p - at);
    int kind = m->event_kind;
    if (kind < 0) {
        kind = m->plain_kind;
        if (kind == PA_KIND_BOOK || kind == PA_KIND_TRADE) {
            m->r.flags |= PA_HAS_PLAIN;
        }
        if ((kind < 0 || kind == PA_KIND_UNKNOWN) &&
            (m->seen & (BIT(MEMBER_BIDS) | BIT(MEMBER_ASKS))) != 0) {
            kind = PA_KIND_BOOK; /* as REST gives it */
        }
        kind = kind < 0 ? PA_KIND_UNKNOWN : kind;
    }
    m->r.kind = (uint32_t)kind;
    if (LIKELY(kind == PA_KIND_CHANGE)) {
        bad = finish_changes(c, m, at, &wrong_at);
    } else {
        bad = blame(m, NEEDS[kind], &wrong_at);
        if (bad == PA_BAD_NONE && lacks(m)) {
            bad = PA_BAD_MISSING;
        }
        if (bad == PA_BAD_NONE) {
            bad = kind == PA_KIND_NEW_MARKET || kind == PA_KIND_RESOLVED ? finish_assets(c, m, at)
                  : emit(c, m, at)                                       ? PA_BAD_NONE
                                                                         : PA_BAD_CAPACITY;
        }
    }
    if (kind < PA_KIND_NEW_MARKET) {
        c->skipped += m->skipped;
    }
    return bad == PA_BAD_NONE ? p : fail(c, wrong_at, bad);
}

#define MARKET_TEXT 66      /* 0x and 64 hex digits */
#define USUAL_HEAD_BYTES 320 /* from a message's first key to the last byte looked at before its lists */

/* The members from the first key, at p, on as long as they are those of a book or price_change as
 * the venue writes them, without blanks: as `message_member` would take them, one after the other.
 * Behind them as `after`; at p with *more if not even the first ones are. */
static inline const uint8_t *usual_members(cursor *c, message *m, const uint8_t *p, unsigned depth,
                                           bool *more) {
    pa_record *const r = &m->r;
    const uint8_t *const market = p + sizeof("\"market\":\"") - 1;
    const uint8_t *const rest = market + MARKET_TEXT;
    *more = true;
    if (c->end - p < USUAL_HEAD_BYTES || !SAME(p, "\"market\":\"") ||
        !plain_run(market, MARKET_TEXT)) {
        return p;
    }
    if (SAME(rest, "\",\"price_changes\":[")) {
        r->market_at = (uint32_t)(market - c->start);
        r->market_bytes = MARKET_TEXT;
        p = changes(c, m, rest + sizeof("\",\"price_changes\":") - 1, depth, 0);
        if (LIKELY(p != NULL && c->end - p >= 57) && LIKELY(SAME(p, ",\"timestamp\":\"")) &&
            LIKELY(SAME(p + 27, "\",\"event_type\":\"price_change\"}")) &&
            LIKELY(pa_swar_time(p + 14, &r->time_ms))) {
            r->flags |= PA_HAS_TIME;
            m->event_kind = PA_KIND_CHANGE;
            *more = false;
            return p + 57;
        }
        return p == NULL ? NULL : after(c, p, '}', more);
    }
    const uint8_t *const token = rest + sizeof("\",\"asset_id\":\"") - 1;
    if (!SAME(rest, "\",\"asset_id\":\"") || *token == '0') {
        return p;
    }
    const uint8_t *const token_end = digits_end(token);
    const uint8_t *const time = token_end + sizeof("\",\"timestamp\":\"") - 1;
    const uint8_t *const hash = time + 13 + sizeof("\",\"hash\":\"") - 1;
    uint64_t time_ms;
    if ((size_t)(token_end - token) - 1 >= PA_TOKEN_TEXT_MAX ||
        !SAME(token_end, "\",\"timestamp\":\"") || !pa_swar_time(time, &time_ms) ||
        !SAME(time + 13, "\",\"hash\":\"") || !plain_run(hash, PA_HASH_TEXT) ||
        !SAME(hash + PA_HASH_TEXT, "\",\"bids\":")) {
        return p;
    }
    r->market_at = (uint32_t)(market - c->start);
    r->market_bytes = MARKET_TEXT;
    r->token_at = (uint32_t)(token - c->start);
    r->token_bytes = (uint32_t)(token_end - token);
    r->hash_at = (uint32_t)(hash - c->start);
    r->time_ms = time_ms;
    r->flags |= PA_HAS_TIME | PA_HAS_HASH;
    m->seen |= BIT(MEMBER_BIDS);
    p = levels(c, m, MEMBER_BIDS, hash + PA_HASH_TEXT + sizeof("\",\"bids\":") - 1, depth,
               &r->bid_first, &r->bid_count);
    if (LIKELY(p != NULL && c->end - p > 8) && LIKELY(SAME(p, ",\"asks\":"))) {
        m->seen |= BIT(MEMBER_ASKS);
        p = levels(c, m, MEMBER_ASKS, p + 8, depth, &r->ask_first, &r->ask_count);
    }
    if (LIKELY(p != NULL && c->end - p > 13) && LIKELY(SAME(p, ",\"tick_size\":"))) {
        p = tick_member(c, p + 13, depth, m, r);
    }
    if (LIKELY(p != NULL && c->end - p > 40) &&
        LIKELY(SAME(p, ",\"event_type\":\"book\",\"last_trade_price\":"))) {
        m->event_kind = PA_KIND_BOOK;
        p = last_member(c, p + 40, depth, m, r);
    }
    return p == NULL ? NULL : after(c, p, '}', more);
}

/* One object of the socket at p, `depth` arrays around it. */
static const uint8_t *one_message(cursor *c, const uint8_t *p, unsigned depth) {
    const uint8_t *const at = p, *text = NULL, *end_of_text = NULL;
    bool plain, more;
    message m;
    memset(&m.r, 0, sizeof m.r);
    m.seen = m.wrong = 0;
    m.event_kind = m.plain_kind = -1;
    m.record_first = c->record_count;
    m.change_count = m.asset_count = m.skipped = m.winner_bytes = m.winner_at = m.change_flag = 0;
    p = opened(c, p + 1, '}', &more);
    p = p != NULL && more ? usual_members(c, &m, p, depth + 1, &more) : p;
    while (p != NULL && more) {
        p = key(c, p, &text, &end_of_text, &plain);
        if (p == NULL) {
            return NULL;
        }
        p = message_member(c, &m, text, (size_t)(end_of_text - text), p, depth + 1);
        p = p == NULL ? NULL : after(c, p, '}', &more);
    }
    return p == NULL ? NULL : finish(c, &m, at, p);
}

/* A frame that does not start as JSON: a text of the server's. */
static void text_frame(cursor *c, const uint8_t *p) {
    const uint8_t *const at = p;
    const uint8_t *last = c->end;
    while (p != NULL && p < c->end) {
        if (*p < 0x80) {
            ++p;
        } else {
            const uint8_t *next = utf8(p, c->end);
            p = next != NULL ? next : fail(c, p, PA_BAD_UTF8);
        }
    }
    if (p == NULL) {
        return;
    }
    while (last > at && (last[-1] == ' ' || last[-1] == '\n' || last[-1] == '\r' || last[-1] == '\t')) {
        --last;
    }
    message m;
    memset(&m.r, 0, sizeof m.r);
    m.r.kind = last - at == 4 && same(at, "PONG", 4) ? PA_KIND_PONG : PA_KIND_TEXT;
    m.r.at = (uint32_t)(at - c->start);
    m.r.bytes = (uint32_t)(last - at);
    c->message_count = 1;
    (void)emit(c, &m, at);
}

static void whole_frame(cursor *c) {
    const uint8_t *p = space(c->start, c->end);
    if (p == c->end || (*p != '{' && *p != '[')) {
        text_frame(c, p);
        return;
    }
    if (*p == '{') {
        p = one_message(c, p, 0);
    } else {
        bool more;
        p = opened(c, p + 1, ']', &more);
        while (p != NULL && more) {
            if (*p == '{') {
                p = one_message(c, p, 1);
            } else { /* an array of something else: nothing we know */
                message m;
                const uint8_t *const at = p;
                memset(&m.r, 0, sizeof m.r);
                p = skip(c, p, 1);
                if (p != NULL) {
                    m.r.kind = PA_KIND_UNKNOWN;
                    m.r.message = c->message_count++;
                    m.r.at = (uint32_t)(at - c->start);
                    m.r.bytes = (uint32_t)(p - at);
                    p = emit(c, &m, at) ? p : NULL;
                }
            }
            p = p == NULL ? NULL : after(c, p, ']', &more);
        }
    }
    if (p != NULL && space(p, c->end) != c->end) {
        (void)fail(c, space(p, c->end), PA_BAD_TRAILING);
    }
}

pa_status PA_DECODE_NAME(const uint8_t *frame, size_t bytes, pa_decoded *out) {
    cursor c = {.start = frame, .end = frame + bytes, .out = out};
    out->record_count = out->level_count = out->message_count = out->skipped = 0;
    if (bytes > PA_FRAME_BYTES_MAX) {
        out->bad = PA_BAD_TOO_LONG;
        out->bad_at = PA_FRAME_BYTES_MAX;
        return PA_E_CAPACITY;
    }
    whole_frame(&c);
    out->bad = (uint32_t)c.bad;
    out->bad_at = 0;
    if (UNLIKELY(c.bad != PA_BAD_NONE)) {
        out->bad_at = (uint32_t)(c.bad_at - frame);
        return c.bad == PA_BAD_CAPACITY ? PA_E_CAPACITY : PA_E_MALFORMED;
    }
    out->record_count = c.record_count;
    out->level_count = c.level_count;
    out->message_count = c.message_count;
    out->skipped = c.skipped;
    return PA_OK;
}
