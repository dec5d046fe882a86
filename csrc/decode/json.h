/* decode/json.h -- internal: RFC 8259 and RFC 3629, a value at a time; of cursor.h.
 *
 * Every function takes a place in the frame and returns the place behind what it took, or NULL if
 * the frame is refused, having noted why and where. None looks behind c->end.
 */
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

static const uint8_t *fail(cursor *c, const uint8_t *at, int bad) {
    if (c->bad == PA_BAD_NONE) {
        c->bad = at >= c->end && bad == PA_BAD_SYNTAX ? PA_BAD_END : bad;
        c->bad_at = at;
    }
    return NULL;
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
