#include "request/request.h"

#include <assert.h>
#include <string.h>

#include "base/fixed.h"

struct pa_request {
    pa_domains domains;
    pa_hmac hmac;
    const pa_signer *signer;
    const pa_token *tokens;
    uint32_t token_count;
    uint32_t owner_bytes;
    char owner[PA_OWNER_BYTES_MAX];
    pa_terms terms[PA_BATCH_MAX];
    pa_signed done[PA_BATCH_MAX];
    pa_order orders[PA_BATCH_MAX];
};

_Static_assert(PA_STAMP_MS_MIN / 1000 >= 1000000000 && PA_STAMP_MS_MAX / 1000 <= 9999999999,
               "seconds of PA_POST_TIME_BYTES digits");

size_t pa_request_bytes(void) {
    return sizeof(pa_request);
}

pa_status pa_request_init(pa_request *request, const pa_domains *domains, const pa_signer *signer,
                          const pa_hmac *hmac, const pa_order *account_order,
                          const pa_token *tokens, uint32_t token_count, const char *owner,
                          size_t owner_bytes) {
    if (owner_bytes < 1 || owner_bytes > PA_OWNER_BYTES_MAX || account_order->domain < PA_DOMAIN_V2 ||
        account_order->domain >= PA_DOMAIN_COUNT || account_order->signature_type > 3) {
        return PA_E_RANGE;
    }
    memset(request, 0, sizeof *request);
    request->domains = *domains;
    request->hmac = *hmac;
    request->signer = signer;
    request->tokens = tokens;
    request->token_count = token_count;
    request->owner_bytes = (uint32_t)owner_bytes;
    memcpy(request->owner, owner, owner_bytes);
    for (size_t i = 0; i < PA_BATCH_MAX; ++i) {
        request->orders[i] = *account_order;
        memset(request->orders[i].expiration, 0, PA_WORD);
    }
    return PA_OK;
}

static int leg_in_range(const pa_request *request, const pa_leg *leg) {
    return leg->token < request->token_count && leg->side <= 1 &&
           leg->order_type < PA_ORDER_TYPE_COUNT && leg->post_only <= 1 &&
           request->tokens[leg->token].domain >= PA_DOMAIN_V2 &&
           request->tokens[leg->token].domain < PA_DOMAIN_COUNT;
}

/* Write what a leg changes; every other word was written by pa_request_init. */
static void fill(pa_order *order, pa_terms *terms, const pa_token *token, const pa_leg *leg,
                 uint64_t stamp_ms, uint64_t salt) {
    pa_word_u64(order->word[PA_WORD_SALT], salt);
    memcpy(order->word[PA_V2_TOKEN], token->id, PA_WORD);
    pa_word_u64(order->word[PA_V2_MAKER_AMOUNT], leg->maker_amount);
    pa_word_u64(order->word[PA_V2_TAKER_AMOUNT], leg->taker_amount);
    order->word[PA_V2_SIDE][31] = leg->side;
    pa_word_u64(order->word[PA_V2_TIMESTAMP], stamp_ms);
    pa_word_u64(order->expiration, leg->expiration_s);
    order->domain = token->domain;
    order->side = leg->side;
    order->token_bytes = token->text_bytes;
    memcpy(order->token_text, token->text, sizeof order->token_text);
    terms->order_type = leg->order_type;
    terms->post_only = leg->post_only;
}

pa_status pa_request_build(pa_request *request, pa_stamp *stamp, const pa_leg *legs, size_t count,
                           uint64_t now_ms, char *body, size_t capacity, pa_built *out) {
    if (count < 1 || count > PA_BATCH_MAX) {
        return PA_E_RANGE;
    }
    if (request->signer == NULL) {
        return PA_E_KEY; /* wiped */
    }
    for (size_t i = 0; i < count; ++i) {
        if (!leg_in_range(request, legs + i)) {
            return PA_E_RANGE;
        }
    }
    uint64_t first = 0;
    pa_status status = pa_stamp_issue_inline(stamp, (uint32_t)count, now_ms, &first);
    if (status != PA_OK) {
        return status;
    }
    const uint32_t tag = pa_stamp_tag(stamp);
    for (size_t i = 0; i < count; ++i) {
        fill(request->orders + i, request->terms + i, request->tokens + legs[i].token, legs + i,
             first + i, pa_stamp_salt_inline(first + i, tag));
    }
    status = pa_sign_orders(request->signer, &request->domains, request->orders, count,
                            request->done);
    if (status != PA_OK) {
        return status;
    }
    status = pa_encode_batch(request->orders, request->done, request->terms, count, request->owner,
                             request->owner_bytes, body, capacity, &out->body_bytes);
    if (status != PA_OK) {
        return status;
    }
    out->first_ms = first;
    out->reserved = 0;
    out->time_bytes = pa_decimal_u64(now_ms / 1000, out->time_text);
    const pa_bytes parts[] = {{(const uint8_t *)out->time_text, out->time_bytes},
                              {(const uint8_t *)"POST/orders", 11},
                              {(const uint8_t *)body, out->body_bytes}};
    pa_hmac_sign_base64(&request->hmac, parts, 3, out->signature);
    return PA_OK;
}

static int within(const pa_slots *slots, uint32_t at, uint32_t bytes) {
    return at <= slots->head_bytes && bytes <= slots->head_bytes - at;
}

pa_status pa_request_post(pa_request *request, pa_stamp *stamp, const pa_leg *legs, size_t count,
                          uint64_t now_ms, const pa_slots *slots, char *post, size_t capacity,
                          pa_built *out) {
    if (!within(slots, slots->length_at, PA_POST_LENGTH_BYTES) ||
        !within(slots, slots->time_at, PA_POST_TIME_BYTES) ||
        !within(slots, slots->signature_at, PA_POST_SIGNATURE_BYTES)) {
        return PA_E_RANGE;
    }
    if (slots->head_bytes > capacity) {
        return PA_E_CAPACITY;
    }
    const pa_status status =
        pa_request_build(request, stamp, legs, count, now_ms, post + slots->head_bytes,
                         capacity - slots->head_bytes, out);
    if (status != PA_OK) {
        return status;
    }
    char digits[20];
    const uint32_t length = pa_decimal_u64(out->body_bytes, digits);
    if (length > PA_POST_LENGTH_BYTES) {
        return PA_E_CAPACITY;
    }
    assert(out->time_bytes == PA_POST_TIME_BYTES);
    char *const at = post + slots->length_at;
    memset(at, ' ', PA_POST_LENGTH_BYTES - length); /* blanks before a value: RFC 9110 section 5.5 */
    memcpy(at + PA_POST_LENGTH_BYTES - length, digits, length);
    memcpy(post + slots->time_at, out->time_text, PA_POST_TIME_BYTES);
    memcpy(post + slots->signature_at, out->signature, PA_POST_SIGNATURE_BYTES);
    return PA_OK;
}

void pa_request_touch(const pa_request *request) {
    const volatile uint8_t *const bytes = (const volatile uint8_t *)request;
    for (size_t at = 0; at < sizeof *request; at += 64) {
        (void)bytes[at];
    }
}

const uint8_t *pa_request_digest(const pa_request *request, size_t index) {
    assert(index < PA_BATCH_MAX);
    return request->done[index].digest;
}

void pa_request_wipe(pa_request *request) {
    explicit_bzero(request, sizeof *request);
}
