/* decode/messages.h -- internal: what each kind of message is called, has and needs, the plain
 * dialect's among them; of cursor.h.
 */
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
