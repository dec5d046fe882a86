/* decode/values.h -- internal: what texts and numbers mean: prices, sizes, sides, tokens, times; of
 * cursor.h. All exact: what does not fit is wrong, nothing is rounded.
 */
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

static bool hash_of(const cursor *c, const scalar *s, pa_record *r) {
    if (s->kind == SCALAR_TEXT && s->bytes == PA_HASH_TEXT) {
        r->hash_at = (uint32_t)(s->at - c->start);
        r->flags |= PA_HAS_HASH;
        return true;
    }
    r->flags &= ~(uint32_t)PA_HAS_HASH;
    return false;
}
