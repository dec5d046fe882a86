/* Signing and the prepared request with a stand-in for libsecp256k1: what is passed to it, what is
 * made of its answers, and every refusal, without a curve in sight. */
#include "check.h"
#include "request/request.h"
#include "sign/rfc6979.h"

static int refuse_after = -1; /* sign this many more, then refuse; -1: never */
static int recovery_id = 1;
static int own_nonces_seen = 0;

/* secp256k1_ecdsa_sign_recoverable's shape: the "signature" is the digest, the key and the id. */
static int fake_sign(const void *context, void *signature, const unsigned char *msg32,
                     const unsigned char *key32, int (*nonce)(void), const void *data) {
    CHECK(*(const int *)context == 42 && data == NULL);
    own_nonces_seen += nonce != NULL;
    if (refuse_after == 0) {
        return 0;
    }
    refuse_after -= refuse_after > 0;
    for (int i = 0; i < 32; ++i) {
        ((unsigned char *)signature)[i] = msg32[i];
        ((unsigned char *)signature)[32 + i] = key32[i];
    }
    ((unsigned char *)signature)[64] = (unsigned char)recovery_id;
    return 1;
}

static int fake_serialize(const void *context, unsigned char *out64, int *recovery,
                          const void *signature) {
    CHECK(*(const int *)context == 42);
    memcpy(out64, signature, 64);
    *recovery = ((const unsigned char *)signature)[64];
    return 1;
}

static int context = 42;
static const char OWNER[] = "owner";
static uint64_t signer_memory[PA_SIGNER_BYTES / 8];
static pa_signer *const signer = (pa_signer *)signer_memory;

static pa_secp256k1 library(void) {
    pa_secp256k1 functions = {&context, NULL, NULL};
    int (*sign)(const void *, void *, const unsigned char *, const unsigned char *, int (*)(void),
                const void *) = fake_sign;
    int (*serialize)(const void *, unsigned char *, int *, const void *) = fake_serialize;
    memcpy(&functions.sign_recoverable, &sign, sizeof sign);
    memcpy(&functions.serialize_compact, &serialize, sizeof serialize);
    return functions;
}

static void signer_takes_addresses_and_a_secret(void) {
    pa_secp256k1 functions = library();
    uint8_t secret[32], digest[32], out[65];
    memset(secret, 7, sizeof secret);
    memset(digest, 9, sizeof digest);
    CHECK(pa_signer_init(signer, &functions, secret, 2) == PA_E_RANGE);
    CHECK(pa_signer_init(signer, &functions, secret, -1) == PA_E_RANGE);
    functions.context = NULL;
    CHECK(pa_signer_init(signer, &functions, secret, 0) == PA_E_RANGE);
    functions = library();
    functions.serialize_compact = NULL;
    CHECK(pa_signer_init(signer, &functions, secret, 0) == PA_E_RANGE);
    functions = library();
    for (int own = 0; own <= 1; ++own) {
        own_nonces_seen = 0;
        CHECK(pa_signer_init(signer, &functions, secret, own) == PA_OK);
        CHECK(pa_signer_sign(signer, digest, out) == PA_OK);
        CHECK(own_nonces_seen == own);
        CHECK(memcmp(out, digest, 32) == 0 && memcmp(out + 32, secret, 32) == 0 && out[64] == 28);
    }
    for (recovery_id = 2; recovery_id <= 3; ++recovery_id) { /* not expressible as v 27 or 28 */
        CHECK(pa_signer_sign(signer, digest, out) == PA_E_KEY && out[0] == 0 && out[64] == 0);
    }
    recovery_id = 0;
    refuse_after = 0;
    CHECK(pa_signer_sign(signer, digest, out) == PA_E_KEY && out[0] == 0);
    refuse_after = -1;
    CHECK(pa_signer_sign(signer, digest, out) == PA_OK && out[64] == 27);
}

static void account_order(pa_order *order, int signature_type) {
    CHECK(pa_order_init(order, PA_DOMAIN_V2) == PA_OK);
    order->signature_type = order->word[PA_V2_SIGNATURE_TYPE][31] = (uint8_t)signature_type;
    memset(order->maker_text, 'a', PA_ADDRESS_TEXT);
    memset(order->signer_text, 'b', PA_ADDRESS_TEXT);
    memset(order->metadata_text, '0', PA_BYTES32_TEXT_MAX);
    memset(order->builder_text, '0', PA_BYTES32_TEXT_MAX);
    order->metadata_bytes = order->builder_bytes = PA_BYTES32_TEXT_MAX;
}

static pa_request *new_request(int signature_type, const pa_token *tokens, uint32_t count) {
    pa_request *request = aligned_alloc(64, (pa_request_bytes() + 63) / 64 * 64);
    pa_order order;
    static const pa_domains domains;
    pa_hmac hmac;
    pa_hmac_init(&hmac, (const uint8_t *)"key", 3);
    account_order(&order, signature_type);
    CHECK(pa_request_init(request, &domains, signer, &hmac, &order, tokens, count, OWNER, 0) == PA_E_RANGE);
    CHECK(pa_request_init(request, &domains, signer, &hmac, &order, tokens, count, OWNER,
                          PA_OWNER_BYTES_MAX + 1) == PA_E_RANGE);
    order.domain = PA_DOMAIN_V1;
    CHECK(pa_request_init(request, &domains, signer, &hmac, &order, tokens, count, OWNER, 5) == PA_E_RANGE);
    order.domain = PA_DOMAIN_V2;
    CHECK(pa_request_init(request, &domains, signer, &hmac, &order, tokens, count, OWNER, 5) == PA_OK);
    return request;
}

static void requests_refuse_without_taking_stamps(pa_token *tokens) {
    pa_request *request = new_request(0, tokens, 2);
    pa_stamp stamp;
    memset(&stamp, 0, sizeof stamp);
    const uint64_t now = PA_STAMP_MS_MIN + 5000;
    pa_leg legs[PA_BATCH_MAX + 1];
    memset(legs, 0, sizeof legs);
    char body[16384];
    pa_built built;
    CHECK(pa_request_build(request, &stamp, legs, 0, now, body, sizeof body, &built) == PA_E_RANGE);
    CHECK(pa_request_build(request, &stamp, legs, PA_BATCH_MAX + 1, now, body, sizeof body, &built) == PA_E_RANGE);
    CHECK(pa_request_build(request, &stamp, legs, 1, 5, body, sizeof body, &built) == PA_E_RANGE);
#define REFUSED(change)                                                                        \
    do {                                                                                       \
        memset(legs, 0, sizeof legs);                                                          \
        change;                                                                                \
        CHECK(pa_request_build(request, &stamp, legs, 2, now, body, sizeof body, &built) ==    \
              PA_E_RANGE);                                                                     \
    } while (0)
    REFUSED(legs[1].token = 2);
    REFUSED(legs[1].token = UINT32_MAX);
    REFUSED(legs[1].side = 2);
    REFUSED(legs[1].order_type = PA_ORDER_TYPE_COUNT);
    REFUSED(legs[1].post_only = 2);
    tokens[1].domain = PA_DOMAIN_V1;
    REFUSED(legs[1].token = 1);
    tokens[1].domain = PA_DOMAIN_COUNT;
    REFUSED(legs[1].token = 1);
    tokens[1].domain = PA_DOMAIN_V3;
    CHECK(pa_stamp_last(&stamp) == 0);

    memset(legs, 0, sizeof legs);
    CHECK(pa_request_build(request, &stamp, legs, 2, now, body, 100, &built) == PA_E_CAPACITY);
    refuse_after = 1;
    CHECK(pa_request_build(request, &stamp, legs, 2, now, body, sizeof body, &built) == PA_E_KEY);
    refuse_after = -1;
    CHECK(pa_request_build(request, &stamp, legs, 2, now, body, sizeof body, &built) == PA_OK);
    CHECK(built.first_ms == now + 4); /* two failed builds left a gap of four */
    pa_request_wipe(request);
    CHECK(pa_request_build(request, &stamp, legs, 2, now, body, sizeof body, &built) == PA_E_KEY);
    free(request);
}

/* A body never reaches a byte past the smallest buffer that holds it. */
static void bodies_fit_exactly(const pa_token *tokens) {
    for (int signature_type = 0; signature_type <= 3; ++signature_type) {
        pa_request *request = new_request(signature_type, tokens, 2);
        pa_stamp stamp;
        memset(&stamp, 0, sizeof stamp);
        pa_leg legs[PA_BATCH_MAX];
        memset(legs, 0, sizeof legs);
        for (uint32_t i = 0; i < PA_BATCH_MAX; ++i) {
            legs[i].token = i % 2;
            legs[i].side = i & 1;
            legs[i].maker_amount = UINT64_MAX >> i;
            legs[i].taker_amount = i;
            legs[i].expiration_s = UINT64_MAX;
        }
        char body[32768];
        pa_built built;
        for (size_t count = 1; count <= PA_BATCH_MAX; ++count) {
            const uint64_t now = PA_STAMP_MS_MAX - 1000;
            CHECK(pa_request_build(request, &stamp, legs, count, now, body, sizeof body, &built) == PA_OK);
            const size_t bytes = built.body_bytes;
            char *tight = (char *)guarded(bytes);
            CHECK(pa_request_build(request, &stamp, legs, count, now, tight, bytes, &built) == PA_OK);
            CHECK(built.body_bytes == bytes && tight[0] == '[' && tight[bytes - 1] == ']');
            CHECK(built.time_bytes == 10 && memcmp(built.time_text, "3776860054", 10) == 0);
            char *small = (char *)guarded(bytes - 1);
            CHECK(pa_request_build(request, &stamp, legs, count, now, small, bytes - 1, &built) == PA_E_CAPACITY);
        }
        free(request);
    }
}

/* A post is its head, untouched but for the slots, and the bytes that a build gives. */
static void posts_are_a_head_and_a_body(const pa_token *tokens) {
    static const char HEAD[] = "N:______;T:__________;S:____________________________________________;";
    const pa_slots slots = {sizeof HEAD - 1, 2, 11, 24};
    const uint64_t now = PA_STAMP_MS_MAX - 1000;
    pa_leg legs[PA_BATCH_MAX];
    memset(legs, 0, sizeof legs);
    for (uint32_t i = 0; i < PA_BATCH_MAX; ++i) {
        legs[i].maker_amount = UINT64_MAX;
    }
    for (size_t count = 1; count <= PA_BATCH_MAX; count += 7) {
        pa_request *request = new_request(3, tokens, 2);
        pa_stamp stamp, again;
        memset(&stamp, 0, sizeof stamp);
        memset(&again, 0, sizeof again);
        static char body[32768];
        pa_built built, posted;
        CHECK(pa_request_build(request, &stamp, legs, count, now, body, sizeof body, &built) == PA_OK);
        const size_t bytes = slots.head_bytes + built.body_bytes;
        char *post = (char *)guarded(bytes);
        memcpy(post, HEAD, slots.head_bytes);
        CHECK(pa_request_post(request, &again, legs, count, now, &slots, post, bytes, &posted) == PA_OK);
        CHECK(posted.body_bytes == built.body_bytes);
        CHECK(memcmp(post + slots.head_bytes, body, built.body_bytes) == 0);
        char wanted[sizeof HEAD];
        snprintf(wanted, sizeof wanted, "N:%6zu;T:%.10s;S:%.44s;", built.body_bytes, built.time_text,
                 built.signature);
        CHECK(memcmp(post, wanted, slots.head_bytes) == 0);
        char *small = (char *)guarded(bytes - 1);
        memcpy(small, HEAD, slots.head_bytes);
        CHECK(pa_request_post(request, &again, legs, count, now, &slots, small, bytes - 1, &posted) ==
              PA_E_CAPACITY);
        CHECK(pa_request_post(request, &again, legs, count, now, &slots, small, 10, &posted) ==
              PA_E_CAPACITY);
        pa_request_touch(request);
        free(request);
    }
}

static void slots_are_within_the_head(const pa_token *tokens) {
    pa_request *request = new_request(0, tokens, 2);
    pa_stamp stamp;
    memset(&stamp, 0, sizeof stamp);
    pa_leg leg;
    memset(&leg, 0, sizeof leg);
    char post[8192];
    pa_built built;
    const pa_slots wrong[] = {{100, 95, 0, 10},         {100, UINT32_MAX, 0, 10}, {100, 0, 91, 10},
                              {100, 0, UINT32_MAX, 10}, {100, 0, 10, 57},         {100, 0, 10, UINT32_MAX},
                              {5, 0, 0, 0},             {0, 0, 0, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        CHECK(pa_request_post(request, &stamp, &leg, 1, PA_STAMP_MS_MIN, wrong + i, post, sizeof post,
                              &built) == PA_E_RANGE);
    }
    CHECK(pa_stamp_last(&stamp) == 0);
    const pa_slots tight = {100, 94, 84, 40};
    CHECK(pa_request_post(request, &stamp, &leg, 1, PA_STAMP_MS_MIN, &tight, post, sizeof post,
                          &built) == PA_OK);
    free(request);
}

int main(void) {
    pa_token tokens[2];
    memset(tokens, 0, sizeof tokens);
    for (int i = 0; i < 2; ++i) {
        memset(tokens[i].id, 0xee, 32);
        memset(tokens[i].text, '8', sizeof tokens[i].text);
        tokens[i].text_bytes = PA_TOKEN_TEXT_MAX;
        tokens[i].domain = (uint8_t)(i == 0 ? PA_DOMAIN_V2_NEG_RISK : PA_DOMAIN_V3);
    }
    signer_takes_addresses_and_a_secret();
    requests_refuse_without_taking_stamps(tokens);
    bodies_fit_exactly(tokens);
    posts_are_a_head_and_a_body(tokens);
    slots_are_within_the_head(tokens);
    pa_signer_wipe(signer);
    uint8_t out[65];
    CHECK(pa_signer_sign(signer, out, out) == PA_E_KEY);
    puts("request: ok");
    return 0;
}
