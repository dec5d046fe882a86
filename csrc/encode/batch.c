#include "encode/batch.h"

#include "encode/writer.h"

#define DECIMAL_MAX 78 /* digits of 2^256 - 1 */

/* Everything of an object that is neither a number nor a spelled text: counted from the
 * literals below by test_encode.c, which holds the bound to be reached exactly. */
#define FIXED_V1 255
#define FIXED_V2 260

static const char *const ORDER_TYPES[PA_ORDER_TYPE_COUNT] = {
    [PA_GTC] = "GTC", [PA_GTD] = "GTD", [PA_FOK] = "FOK", [PA_FAK] = "FAK"};

static int is_v1(const pa_order *order) {
    return order->domain <= PA_DOMAIN_V1_NEG_RISK;
}

static int in_range(const pa_order *order) {
    const int v1 = is_v1(order);
    return order->domain < PA_DOMAIN_COUNT && order->side <= 1 &&
           order->signature_type <= (v1 ? 2 : 3) && order->token_bytes >= 1 &&
           order->token_bytes <= PA_TOKEN_TEXT_MAX &&
           (v1 || (order->metadata_bytes >= 2 && order->metadata_bytes <= PA_BYTES32_TEXT_MAX &&
                   order->builder_bytes >= 2 && order->builder_bytes <= PA_BYTES32_TEXT_MAX));
}

/* No byte of the text ends a JSON string, escapes in it, or is a control byte. */
static int is_plain(const char *text, size_t bytes) {
    int plain = 1;
    for (size_t i = 0; i < bytes; ++i) {
        const unsigned char c = (unsigned char)text[i];
        plain &= c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    }
    return plain;
}

static int texts_plain(const pa_order *order) {
    int plain = is_plain(order->token_text, order->token_bytes) &
                is_plain(order->maker_text, PA_ADDRESS_TEXT) &
                is_plain(order->signer_text, PA_ADDRESS_TEXT);
    if (is_v1(order)) {
        return plain & is_plain(order->taker_text, PA_ADDRESS_TEXT);
    }
    return plain & is_plain(order->metadata_text, order->metadata_bytes) &
           is_plain(order->builder_text, order->builder_bytes);
}

static size_t item_bytes_max(const pa_order *order, size_t owner_bytes) {
    const size_t shared = order->token_bytes + owner_bytes;
    if (is_v1(order)) { /* salt, amounts, expiration, nonce, fee rate */
        return FIXED_V1 + shared + 3 * PA_ADDRESS_TEXT + 6 * DECIMAL_MAX + 2 * PA_SIGNATURE_BYTES;
    }
    return FIXED_V2 + shared + 2 * PA_ADDRESS_TEXT + 5 * DECIMAL_MAX + order->metadata_bytes +
           order->builder_bytes + 2 * pa_signature_bytes(order->signature_type);
}

size_t pa_batch_bytes_max(const pa_order *orders, size_t count, size_t owner_bytes) {
    if (count < 1 || count > PA_BATCH_MAX || owner_bytes < 1 || owner_bytes > PA_OWNER_BYTES_MAX) {
        return 0;
    }
    size_t bytes = 1 + count; /* brackets, and a comma between any two */
    for (size_t i = 0; i < count; ++i) {
        if (!in_range(orders + i)) {
            return 0;
        }
        bytes += item_bytes_max(orders + i, owner_bytes);
    }
    return bytes;
}

static void put_side(pa_writer *w, const pa_order *order) {
    if (order->side == 0) {
        PUT(w, "BUY");
    } else {
        PUT(w, "SELL");
    }
}

static void put_head(pa_writer *w, const pa_order *order) {
    PUT(w, "{\"order\":{\"salt\":");
    pa_put_word(w, order->word[PA_WORD_SALT]);
    PUT(w, ",\"maker\":\"");
    put(w, order->maker_text, PA_ADDRESS_TEXT);
    PUT(w, "\",\"signer\":\"");
    put(w, order->signer_text, PA_ADDRESS_TEXT);
}

static void put_token(pa_writer *w, const pa_order *order, int maker_amount) {
    PUT(w, "\",\"tokenId\":\"");
    put(w, order->token_text, order->token_bytes);
    PUT(w, "\",\"makerAmount\":\"");
    pa_put_word(w, order->word[maker_amount]);
    PUT(w, "\",\"takerAmount\":\"");
    pa_put_word(w, order->word[maker_amount + 1]);
}

static void put_v1(pa_writer *w, const pa_order *order) {
    PUT(w, "\",\"taker\":\"");
    put(w, order->taker_text, PA_ADDRESS_TEXT);
    put_token(w, order, PA_V1_MAKER_AMOUNT);
    PUT(w, "\",\"expiration\":\"");
    pa_put_word(w, order->word[PA_V1_EXPIRATION]);
    PUT(w, "\",\"nonce\":\"");
    pa_put_word(w, order->word[PA_V1_NONCE]);
    PUT(w, "\",\"feeRateBps\":\"");
    pa_put_word(w, order->word[PA_V1_FEE_RATE]);
    PUT(w, "\",\"side\":\"");
    put_side(w, order);
    PUT(w, "\",\"signatureType\":");
    put_u64(w, order->signature_type);
}

static void put_v2(pa_writer *w, const pa_order *order) {
    put_token(w, order, PA_V2_MAKER_AMOUNT);
    PUT(w, "\",\"side\":\"");
    put_side(w, order);
    PUT(w, "\",\"expiration\":\"");
    pa_put_word(w, order->expiration);
    PUT(w, "\",\"signatureType\":");
    put_u64(w, order->signature_type);
    PUT(w, ",\"timestamp\":\"");
    pa_put_word(w, order->word[PA_V2_TIMESTAMP]);
    PUT(w, "\",\"metadata\":\"");
    put(w, order->metadata_text, order->metadata_bytes);
    PUT(w, "\",\"builder\":\"");
    put(w, order->builder_text, order->builder_bytes);
    PUT(w, "\"");
}

static void put_signature(pa_writer *w, const pa_order *order, const pa_signed *done) {
    PUT(w, ",\"signature\":\"0x");
    pa_put_hex(w, done->signature, pa_signature_bytes(order->signature_type));
}

static void put_terms(pa_writer *w, const pa_terms *terms, int v1, const char *owner,
                      size_t owner_bytes) {
    PUT(w, "\"},\"owner\":\"");
    put(w, owner, owner_bytes);
    PUT(w, "\",\"orderType\":\"");
    put(w, ORDER_TYPES[terms->order_type], 3);
    if (terms->defer_exec) {
        PUT(w, "\",\"deferExec\":true");
    } else if (!v1) {
        PUT(w, "\",\"deferExec\":false");
    } else {
        PUT(w, "\"");
    }
    if (terms->post_only) {
        PUT(w, ",\"postOnly\":true}");
    } else {
        PUT(w, ",\"postOnly\":false}");
    }
}

static pa_status check_items(const pa_order *orders, const pa_terms *terms, size_t count,
                             const char *owner, size_t owner_bytes) {
    if (count < 1 || count > PA_BATCH_MAX || owner_bytes < 1 || owner_bytes > PA_OWNER_BYTES_MAX) {
        return PA_E_RANGE;
    }
    int plain = is_plain(owner, owner_bytes);
    for (size_t i = 0; i < count; ++i) {
        if (!in_range(orders + i) || terms[i].order_type >= PA_ORDER_TYPE_COUNT ||
            terms[i].defer_exec > 1 || terms[i].post_only > 1) {
            return PA_E_RANGE;
        }
        plain &= texts_plain(orders + i);
    }
    return plain ? PA_OK : PA_E_MALFORMED;
}

static void put_item(pa_writer *w, const pa_order *order, const pa_signed *done,
                     const pa_terms *terms, const char *owner, size_t owner_bytes) {
    const int v1 = is_v1(order);
    put_head(w, order);
    if (v1) {
        put_v1(w, order);
    } else {
        put_v2(w, order);
    }
    put_signature(w, order, done);
    put_terms(w, terms, v1, owner, owner_bytes);
}

static pa_status finish(const pa_writer *w, const char *out, size_t *written) {
    if (w->full) {
        return PA_E_CAPACITY;
    }
    *written = (size_t)(w->at - out);
    return PA_OK;
}

pa_status pa_encode_batch(const pa_order *orders, const pa_signed *done, const pa_terms *terms,
                          size_t count, const char *owner, size_t owner_bytes, char *out,
                          size_t capacity, size_t *written) {
    *written = 0;
    const pa_status status = check_items(orders, terms, count, owner, owner_bytes);
    if (status != PA_OK) {
        return status;
    }
    pa_writer w = {out, out + capacity, 0};
    for (size_t i = 0; i < count; ++i) {
        put(&w, i == 0 ? "[" : ",", 1);
        put_item(&w, orders + i, done + i, terms + i, owner, owner_bytes);
    }
    PUT(&w, "]");
    return finish(&w, out, written);
}

pa_status pa_encode_order(const pa_order *order, const pa_signed *done, const pa_terms *terms,
                          const char *owner, size_t owner_bytes, char *out, size_t capacity,
                          size_t *written) {
    *written = 0;
    const pa_status status = check_items(order, terms, 1, owner, owner_bytes);
    if (status != PA_OK) {
        return status;
    }
    pa_writer w = {out, out + capacity, 0};
    put_item(&w, order, done, terms, owner, owner_bytes);
    return finish(&w, out, written);
}
