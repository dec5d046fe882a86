/* Bodies: the bound is reached exactly by the largest order, every smaller buffer is refused,
 * and nothing is written past the end. */
#include "check.h"
#include "encode/batch.h"
#include "encode/writer.h"

static const char OWNER[] = "e5544f82-62cb-9e11-2b0a-eb7a3f2d3427";

static void largest_order(pa_order *order, int domain, int signature_type) {
    CHECK(pa_order_init(order, domain) == PA_OK);
    memset((uint8_t *)order->word + 32, 0xff, 12 * 32);
    memset(order->expiration, 0xff, 32);
    order->side = 1; /* SELL is the longer word */
    order->signature_type = (uint8_t)signature_type;
    memset(order->token_text, '9', sizeof order->token_text);
    order->token_bytes = PA_TOKEN_TEXT_MAX;
    memset(order->maker_text, 'a', PA_ADDRESS_TEXT);
    memset(order->signer_text, 'b', PA_ADDRESS_TEXT);
    memset(order->taker_text, 'c', PA_ADDRESS_TEXT);
    memset(order->metadata_text, 'd', PA_BYTES32_TEXT_MAX);
    memset(order->builder_text, 'e', PA_BYTES32_TEXT_MAX);
    order->metadata_bytes = order->builder_bytes = PA_BYTES32_TEXT_MAX;
}

static void bound_is_tight(void) {
    static pa_order orders[PA_BATCH_MAX];
    static pa_signed done[PA_BATCH_MAX];
    pa_terms terms[PA_BATCH_MAX];
    for (size_t count = 1; count <= PA_BATCH_MAX; ++count) {
        for (size_t i = 0; i < count; ++i) {
            const int domain = (int)((i + count) % PA_DOMAIN_COUNT);
            largest_order(orders + i, domain, domain <= PA_DOMAIN_V1_NEG_RISK ? 2 : (int)(i % 4));
            /* V1 carries deferExec only when it is set; elsewhere false is the longer word. */
            terms[i] = (pa_terms){PA_GTC, domain <= PA_DOMAIN_V1_NEG_RISK, 0, 0};
        }
        const size_t bound = pa_batch_bytes_max(orders, count, sizeof OWNER - 1);
        size_t written = 0;
        char *out = (char *)guarded(bound);
        CHECK(pa_encode_batch(orders, done, terms, count, OWNER, sizeof OWNER - 1, out, bound,
                              &written) == PA_OK);
        if (written != bound) {
            fprintf(stderr, "%zu orders: %zu bytes, bound %zu\n", count, written, bound);
        }
        CHECK(written == bound);
        for (size_t capacity = 0; capacity < bound; capacity += capacity < bound - 130 ? 61 : 1) {
            char *tight = (char *)guarded(capacity);
            CHECK(pa_encode_batch(orders, done, terms, count, OWNER, sizeof OWNER - 1, tight,
                                  capacity, &written) == PA_E_CAPACITY);
            CHECK(written == 0);
            if (count > 2) {
                break;
            }
        }
    }
}

static void single_is_the_batch_without_brackets(void) {
    pa_order order;
    static pa_signed done;
    const pa_terms terms = {PA_FAK, 0, 0, 0};
    char batch[4096], single[4096];
    size_t batch_bytes = 0, single_bytes = 0;
    for (int domain = 0; domain < PA_DOMAIN_COUNT; ++domain) {
        largest_order(&order, domain, 1);
        CHECK(pa_encode_batch(&order, &done, &terms, 1, OWNER, 36, batch, sizeof batch,
                              &batch_bytes) == PA_OK);
        CHECK(pa_encode_order(&order, &done, &terms, OWNER, 36, single, sizeof single,
                              &single_bytes) == PA_OK);
        CHECK(batch_bytes == single_bytes + 2 && batch[0] == '[' && batch[batch_bytes - 1] == ']');
        CHECK(memcmp(batch + 1, single, single_bytes) == 0);
    }
}

static pa_status encode(const pa_order *order, pa_terms terms, const char *owner, size_t bytes) {
    static pa_signed done;
    char out[4096];
    size_t written = 99;
    const pa_status status =
        pa_encode_order(order, &done, &terms, owner, bytes, out, sizeof out, &written);
    CHECK(status == PA_OK || written == 0);
    return status;
}

static void bad_items_are_refused(void) {
    const pa_terms terms = {PA_GTC, 0, 0, 0};
    pa_order good, bad;
    largest_order(&good, PA_DOMAIN_V2, 0);
    CHECK(encode(&good, terms, OWNER, 36) == PA_OK);
    CHECK(encode(&good, terms, OWNER, 0) == PA_E_RANGE);
    CHECK(encode(&good, terms, OWNER, PA_OWNER_BYTES_MAX + 1) == PA_E_RANGE);
    CHECK(encode(&good, terms, "a\"b", 3) == PA_E_MALFORMED);
    CHECK(encode(&good, terms, "a\\b", 3) == PA_E_MALFORMED);
    CHECK(encode(&good, terms, "a\nb", 3) == PA_E_MALFORMED);
    CHECK(encode(&good, terms, "a\0b", 3) == PA_E_MALFORMED);
    CHECK(encode(&good, terms, "a\xffz", 3) == PA_E_MALFORMED);
    CHECK(encode(&good, (pa_terms){PA_ORDER_TYPE_COUNT, 0, 0, 0}, OWNER, 36) == PA_E_RANGE);
    CHECK(encode(&good, (pa_terms){PA_GTC, 2, 0, 0}, OWNER, 36) == PA_E_RANGE);
    CHECK(encode(&good, (pa_terms){PA_GTC, 0, 2, 0}, OWNER, 36) == PA_E_RANGE);
#define REFUSED(change, status)                        \
    do {                                               \
        bad = good;                                    \
        change;                                        \
        CHECK(encode(&bad, terms, OWNER, 36) == status); \
    } while (0)
    REFUSED(bad.domain = PA_DOMAIN_COUNT, PA_E_RANGE);
    REFUSED(bad.side = 2, PA_E_RANGE);
    REFUSED(bad.signature_type = 4, PA_E_RANGE);
    REFUSED((bad.domain = PA_DOMAIN_V1, bad.signature_type = 3), PA_E_RANGE);
    REFUSED(bad.token_bytes = 0, PA_E_RANGE);
    REFUSED(bad.token_bytes = PA_TOKEN_TEXT_MAX + 1, PA_E_RANGE);
    REFUSED(bad.metadata_bytes = PA_BYTES32_TEXT_MAX + 1, PA_E_RANGE);
    REFUSED(bad.builder_bytes = 1, PA_E_RANGE);
    REFUSED(bad.token_text[77] = '"', PA_E_MALFORMED);
    REFUSED(bad.maker_text[0] = '\\', PA_E_MALFORMED);
    REFUSED(bad.signer_text[41] = '\x1f', PA_E_MALFORMED);
    REFUSED(bad.metadata_text[5] = '\x7f', PA_E_MALFORMED);
    REFUSED(bad.builder_text[65] = '"', PA_E_MALFORMED);
    CHECK(pa_batch_bytes_max(&good, 0, 36) == 0);
    CHECK(pa_batch_bytes_max(&good, PA_BATCH_MAX + 1, 36) == 0);
    CHECK(pa_batch_bytes_max(&good, 1, 0) == 0);
    CHECK(pa_batch_bytes_max(&good, 1, PA_OWNER_BYTES_MAX + 1) == 0);
}

/* 2^k and 2^k - 1 for every k against long division by ten. */
static void words_are_decimal(void) {
    for (int k = 0; k <= 256; ++k) {
        uint8_t word[32] = {0}, rest[32];
        char expected[80], got[80];
        size_t digits = 0;
        for (int bit = 0; bit < k; ++bit) {
            word[31 - bit / 8] |= (uint8_t)(1 << bit % 8);
        }
        memcpy(rest, word, 32);
        int nonzero = 1;
        do {
            unsigned remainder = 0;
            nonzero = 0;
            for (int i = 0; i < 32; ++i) {
                const unsigned v = remainder << 8 | rest[i];
                rest[i] = (uint8_t)(v / 10);
                remainder = v % 10;
                nonzero |= rest[i];
            }
            expected[sizeof expected - ++digits] = (char)('0' + remainder);
        } while (nonzero);
        pa_writer w = {got, got + sizeof got, 0};
        pa_put_word(&w, word);
        CHECK(!w.full && (size_t)(w.at - got) == digits);
        CHECK(memcmp(got, expected + sizeof expected - digits, digits) == 0);
        w = (pa_writer){got, got + digits - 1, 0};
        pa_put_word(&w, word);
        CHECK(w.full);
    }
}

int main(void) {
    words_are_decimal();
    single_is_the_batch_without_brackets();
    bad_items_are_refused();
    bound_is_tight();
    puts("encode: ok");
    return 0;
}
