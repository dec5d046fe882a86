/* decode/levels.h -- internal: lists of levels, in any spelling; of cursor.h. Runs in the venue's
 * own are the kernels' (take_levels).
 */
/* One level, an object or a pair, at p. *kept: it belongs into the list. */
PA_INLINE const uint8_t *level(cursor *c, message *m, member list, const uint8_t *p, unsigned depth,
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
