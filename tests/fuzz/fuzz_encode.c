/* Any bytes as orders, signatures and terms: a documented status, never a byte out of bounds, and
 * what is accepted is one well-formed JSON text within the bound, that a buffer one byte smaller
 * does not take. Input: count, owner length, capacity cut, owner, then the structs' own bytes. */
#include "check.h"
#include "encode/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *skip_value(const char *p, const char *end);

/* Past one string, number, true, false, array or object without blanks; NULL if it is none. */
static const char *skip_members(const char *p, const char *end, char close, int object) {
    for (;;) {
        if (object) {
            if (p == end || *p != '"' || (p = skip_value(p, end)) == NULL || p == end || *p++ != ':') {
                return NULL;
            }
        }
        if ((p = skip_value(p, end)) == NULL || p == end) {
            return NULL;
        }
        if (*p == close) {
            return p + 1;
        }
        if (*p++ != ',') {
            return NULL;
        }
    }
}

static const char *skip_value(const char *p, const char *end) {
    if (p == end) {
        return NULL;
    }
    if (*p == '{' || *p == '[') {
        return skip_members(p + 1, end, *p == '{' ? '}' : ']', *p == '{');
    }
    if (*p == '"') {
        for (++p; p < end && *p != '"'; ++p) {
            if ((unsigned char)*p < 0x20 || *p == '\\') {
                return NULL;
            }
        }
        return p < end ? p + 1 : NULL;
    }
    const char *start = p;
    while (p < end && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z'))) {
        ++p;
    }
    return p > start ? p : NULL;
}

static const uint8_t *take(void *to, size_t bytes, const uint8_t *p, const uint8_t *end) {
    const size_t have = (size_t)(end - p) < bytes ? (size_t)(end - p) : bytes;
    memset(to, 0, bytes);
    memcpy(to, p, have);
    return p + have;
}

/* Arbitrary bytes are nearly always refused; most inputs are moved into range, to get further. */
static void tame(pa_order *order, pa_terms *terms, unsigned how) {
    if (how % 8 == 0) {
        return;
    }
    order->domain = (uint8_t)(order->domain % PA_DOMAIN_COUNT);
    order->side &= 1;
    order->signature_type =
        (uint8_t)(order->signature_type % (order->domain <= PA_DOMAIN_V1_NEG_RISK ? 3 : 4));
    order->token_bytes = (uint8_t)(1 + order->token_bytes % PA_TOKEN_TEXT_MAX);
    order->metadata_bytes = (uint8_t)(2 + order->metadata_bytes % (PA_BYTES32_TEXT_MAX - 1));
    order->builder_bytes = (uint8_t)(2 + order->builder_bytes % (PA_BYTES32_TEXT_MAX - 1));
    terms->order_type = (uint8_t)(terms->order_type % PA_ORDER_TYPE_COUNT);
    terms->defer_exec &= 1;
    terms->post_only &= 1;
    char *const texts[] = {order->token_text, order->maker_text, order->signer_text,
                           order->taker_text, order->metadata_text, order->builder_text};
    const size_t bytes[] = {78, 42, 42, 42, 66, 66};
    for (size_t t = 0; t < 6; ++t) {
        for (size_t i = 0; i < bytes[t] && how % 8 != 1; ++i) {
            texts[t][i] = "0123456789abcdefABCDEFx"[(unsigned char)texts[t][i] % 23];
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static pa_order orders[PA_BATCH_MAX];
    static pa_signed done[PA_BATCH_MAX];
    static pa_terms terms[PA_BATCH_MAX];
    char owner[PA_OWNER_BYTES_MAX + 1];
    uint8_t head[4];
    const uint8_t *p = data, *end = data + size;
    p = take(head, sizeof head, p, end);
    p = take(owner, sizeof owner, p, end);
    const size_t count = head[0] % (PA_BATCH_MAX + 2);
    const size_t owner_bytes = head[1] % (PA_OWNER_BYTES_MAX + 2);
    for (size_t i = 0; i < sizeof owner && head[3] % 8 > 1; ++i) {
        owner[i] = "0123456789abcdef-"[(unsigned char)owner[i] % 17];
    }
    for (size_t i = 0; i < count && i < PA_BATCH_MAX; ++i) {
        p = take(orders + i, sizeof *orders, p, end);
        p = take(terms + i, sizeof *terms, p, end);
        memset(done + i, orders[i].word[1][31], sizeof *done);
        tame(orders + i, terms + i, head[3]);
    }
    const size_t bound = pa_batch_bytes_max(orders, count, owner_bytes);
    const size_t capacity = bound > head[2] ? bound - head[2] : 0;
    char *out = malloc(capacity + 1); /* the sanitizer guards its end */
    CHECK(out != NULL);
    size_t written = 1;
    pa_status status = pa_encode_batch(orders, done, terms, count, owner, owner_bytes, out,
                                       capacity, &written);
    CHECK(status == PA_OK || status == PA_E_RANGE || status == PA_E_MALFORMED ||
          status == PA_E_CAPACITY);
    CHECK((status == PA_OK) == (written != 0));
    if (status == PA_OK) {
        CHECK(written <= bound && written <= capacity);
        CHECK(skip_value(out, out + written) == out + written);
        char *small = malloc(written - 1);
        CHECK(small != NULL);
        CHECK(pa_encode_batch(orders, done, terms, count, owner, owner_bytes, small, written - 1,
                              &written) == PA_E_CAPACITY);
        free(small);
        pa_domains domains;
        memset(&domains, 1, sizeof domains);
        status = pa_digest_orders(&domains, orders, count, done);
        CHECK(status == PA_OK || status == PA_E_RANGE);
    }
    free(out);
    return 0;
}
