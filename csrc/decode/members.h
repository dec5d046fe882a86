/* decode/members.h -- internal: a message while it is read, and the members that messages and the
 * entries of a price_change have in common; of cursor.h.
 */
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

static void hold(message *m, member which, const uint8_t *at, int reason) {
    if ((m->wrong & BIT(which)) == 0) {
        m->wrong |= BIT(which);
        m->reason[which] = reason;
        m->wrong_at[which] = at;
    }
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
