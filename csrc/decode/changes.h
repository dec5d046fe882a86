/* decode/changes.h -- internal: the entries of a price_change, in any spelling; of cursor.h. */
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
