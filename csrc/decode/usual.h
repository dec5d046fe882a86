/* decode/usual.h -- internal: what the venue sends most, in exactly the spelling it sends; of
 * cursor.h. A shortcut: it compares literals where the general way looks names up. Whatever
 * differs is left to the general way, from the member on in which it does, and nothing is taken
 * here that the general way would read otherwise.
 */

/* Whether the n >= 4 bytes at p are those of `text`; for a literal its words are constants. */
PA_INLINE bool same_words(const uint8_t *p, const char *text, size_t n) {
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
 * record. Where price and size end is read from one map of quotes, not one after the other. */
PA_INLINE const uint8_t *usual_change(const cursor *c, const uint8_t *token, const uint8_t *p,
                                      bool blank, pa_record *r) {
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
        !BEHIND(hash + PA_HASH_TEXT, "best_bid\":\"") ||
        !pa_swar_price(pa_load64(bid_at), &n, &bid_e4)) {
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

static const uint8_t *changes(cursor *c, message *m, const uint8_t *p, unsigned depth,
                              uint32_t flag);

#define MARKET_TEXT 66       /* 0x and 64 hex digits */
#define USUAL_HEAD_BYTES 320 /* from the first key to the last byte looked at before the lists */

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
