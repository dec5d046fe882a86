/* Every kernel against its scalar definition: each length past two blocks, each alignment, input
 * that ends on an unmapped page; and the hashes that the sources hold as constants. */
#include "base/cpu.h"
#include "check.h"
#include "digest/eip712.h"
#include "digest/keccak.h"
#include "digest/sha256.h"
#include "polyarb.h"

static uint64_t seed = 88172645463325252ULL;

static uint8_t random_byte(void) { /* xorshift64 */
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint8_t)(seed >> 32);
}

static uint8_t *random_input(size_t bytes) {
    uint8_t *p = guarded(bytes);
    for (size_t i = 0; i < bytes; ++i) {
        p[i] = random_byte();
    }
    return p;
}

static void set_level(int level) {
    CHECK(pa_init(pa_level_name(level)) == PA_OK);
    CHECK(pa_level_active() == level);
}

static void keccak_agrees(int level) {
    for (size_t bytes = 0; bytes <= 2 * 136 + 2; ++bytes) {
        const uint8_t *input = random_input(bytes);
        uint8_t expected[32], got[32];
        set_level(PA_LEVEL_SCALAR);
        pa_keccak256(input, bytes, expected);
        set_level(level);
        pa_keccak256(input, bytes, got);
        CHECK(memcmp(expected, got, 32) == 0);
    }
    for (size_t count = 1; count <= 19; ++count) {
        for (size_t bytes = 60; bytes <= 420; bytes += 45) {
            const size_t stride = bytes + count % 3;
            const uint8_t *input = random_input(stride * (count - 1) + bytes);
            uint8_t *got = guarded(32 * count);
            uint8_t expected[32];
            pa_keccak256_many(input, stride, bytes, count, got);
            for (size_t i = 0; i < count; ++i) {
                pa_keccak256(input + i * stride, bytes, expected);
                CHECK(memcmp(expected, got + 32 * i, 32) == 0);
            }
        }
    }
}

static void sha256_agrees(int level) {
    for (size_t bytes = 0; bytes <= 3 * 64; ++bytes) {
        const uint8_t *input = random_input(bytes);
        uint8_t expected[32], got[32];
        set_level(PA_LEVEL_SCALAR);
        pa_sha256(input, bytes, expected);
        set_level(level);
        pa_sha256(input, bytes, got);
        CHECK(memcmp(expected, got, 32) == 0);
    }
    for (size_t key_bytes = 0; key_bytes <= 130; key_bytes += 13) {
        const uint8_t *key = random_input(key_bytes), *text = random_input(200);
        pa_hmac hmac;
        uint8_t expected[32], got[32];
        pa_hmac_init(&hmac, key, key_bytes);
        const pa_bytes whole = {text, 200};
        pa_hmac_sign(&hmac, &whole, 1, expected);
        for (size_t cut = 0; cut <= 200; cut += 7) {
            const pa_bytes parts[3] = {{text, cut / 2}, {text + cut / 2, cut - cut / 2}, {text + cut, 200 - cut}};
            pa_hmac_sign(&hmac, parts, 3, got);
            CHECK(memcmp(expected, got, 32) == 0);
        }
    }
}

static void hash_is(const char *text, const uint8_t *expected) {
    uint8_t got[32];
    pa_keccak256((const uint8_t *)text, strlen(text), got);
    CHECK(memcmp(got, expected, 32) == 0);
}

#define ORDER_V1                                                                               \
    "Order(uint256 salt,address maker,address signer,address taker,uint256 tokenId,"           \
    "uint256 makerAmount,uint256 takerAmount,uint256 expiration,uint256 nonce,"                \
    "uint256 feeRateBps,uint8 side,uint8 signatureType)"

static void constants_are_the_hashes_of_their_texts(void) {
    pa_order order;
    CHECK(pa_order_init(&order, PA_DOMAIN_V1) == PA_OK);
    hash_is(ORDER_V1, order.word[0]);
    CHECK(pa_order_init(&order, PA_DOMAIN_V3) == PA_OK);
    hash_is(PA_ORDER_TYPE_V2, order.word[0]);
    CHECK(pa_order_init(&order, PA_DOMAIN_COUNT) == PA_E_RANGE);
    CHECK(pa_order_init(&order, -1) == PA_E_RANGE);
    CHECK(strlen(PA_ORDER_TYPE_V2) == PA_ORDER_TYPE_BYTES);
}

/* The ERC-7739 constants, by building the outer digest of one order from texts alone. */
static void outer_digest_is_built_from_its_texts(void) {
    pa_domains domains;
    memset(&domains, 0x5a, sizeof domains);
    pa_order order;
    pa_signed done;
    CHECK(pa_order_init(&order, PA_DOMAIN_V2) == PA_OK);
    order.signature_type = order.word[PA_V2_SIGNATURE_TYPE][31] = 3;
    memset(order.word[PA_WORD_SIGNER] + 12, 0xab, 20);
    CHECK(pa_digest_orders(&domains, &order, 1, &done) == PA_OK);

    char type[512];
    snprintf(type, sizeof type,
             "TypedDataSign(Order contents,string name,string version,uint256 chainId,"
             "address verifyingContract,bytes32 salt)%s", PA_ORDER_TYPE_V2);
    uint8_t words[7][32] = {{0}}, text[66] = {0x19, 0x01}, expected[32];
    pa_keccak256((const uint8_t *)type, strlen(type), words[0]);
    memcpy(words[1], done.struct_hash, 32);
    pa_keccak256((const uint8_t *)"DepositWallet", 13, words[2]);
    pa_keccak256((const uint8_t *)"1", 1, words[3]);
    memcpy(words[4], domains.chain_id, 32);
    memcpy(words[5], order.word[PA_WORD_SIGNER], 32);
    memcpy(text + 2, domains.separator[PA_DOMAIN_V2], 32);
    pa_keccak256(words[0], sizeof words, text + 34);
    pa_keccak256(text, sizeof text, expected);
    CHECK(memcmp(done.to_sign, expected, 32) == 0);
    CHECK(memcmp(done.to_sign, done.digest, 32) != 0);
}

/* A mixed batch gives each order what it gets alone. */
static void batch_equals_singles(void) {
    static pa_order orders[PA_BATCH_MAX];
    static pa_signed batch[PA_BATCH_MAX];
    pa_domains domains;
    for (size_t i = 0; i < sizeof domains; ++i) {
        ((uint8_t *)&domains)[i] = random_byte();
    }
    for (size_t count = 1; count <= PA_BATCH_MAX; ++count) {
        for (size_t i = 0; i < count; ++i) {
            const int domain = random_byte() % PA_DOMAIN_COUNT;
            CHECK(pa_order_init(orders + i, domain) == PA_OK);
            const int v1 = domain <= PA_DOMAIN_V1_NEG_RISK;
            for (size_t k = 32; k < (v1 ? 11U : 7U) * 32; ++k) {
                ((uint8_t *)orders[i].word)[k] = random_byte();
            }
            orders[i].side = random_byte() & 1;
            orders[i].signature_type = (uint8_t)(random_byte() % (v1 ? 3 : 4));
            orders[i].word[v1 ? PA_V1_SIDE : PA_V2_SIDE][31] = orders[i].side;
            orders[i].word[v1 ? PA_V1_SIGNATURE_TYPE : PA_V2_SIGNATURE_TYPE][31] =
                orders[i].signature_type;
        }
        CHECK(pa_digest_orders(&domains, orders, count, batch) == PA_OK);
        for (size_t i = 0; i < count; ++i) {
            pa_signed one;
            CHECK(pa_digest_orders(&domains, orders + i, 1, &one) == PA_OK);
            CHECK(memcmp(one.struct_hash, batch[i].struct_hash, 96) == 0);
        }
    }
}

static void bad_orders_are_refused(void) {
    static const pa_domains domains;
    static pa_order orders[PA_BATCH_MAX + 1];
    static pa_signed done[PA_BATCH_MAX + 1];
    CHECK(pa_digest_orders(&domains, orders, 0, done) == PA_E_RANGE);
    CHECK(pa_digest_orders(&domains, orders, PA_BATCH_MAX + 1, done) == PA_E_RANGE);
    orders[1].domain = PA_DOMAIN_COUNT;
    CHECK(pa_digest_orders(&domains, orders, 2, done) == PA_E_RANGE);
    orders[1].domain = PA_DOMAIN_V1;
    orders[1].signature_type = 3;
    CHECK(pa_digest_orders(&domains, orders, 2, done) == PA_E_RANGE);
    orders[1].signature_type = 0;
    orders[1].side = 1; /* the word still says 0 */
    CHECK(pa_digest_orders(&domains, orders, 2, done) == PA_E_RANGE);
    orders[1].side = 0;
    CHECK(pa_digest_orders(&domains, orders, 2, done) == PA_OK);
    uint8_t out[32];
    CHECK(pa_domain_separator(0, 137, out, out) == PA_E_RANGE);
    CHECK(pa_domain_separator(10, 137, out, out) == PA_E_RANGE);
    orders[0].domain = PA_DOMAIN_COUNT;
    CHECK(pa_signature_wrap(&domains, orders, done) == PA_E_RANGE);
}

int main(void) {
    for (int level = 0; level < PA_LEVEL_COUNT; ++level) {
        if (!pa_level_runs(level)) {
            printf("digest: %s cannot run here, not tested\n", pa_level_name(level));
            continue;
        }
        keccak_agrees(level);
        sha256_agrees(level);
        batch_equals_singles();
        constants_are_the_hashes_of_their_texts();
        outer_digest_is_built_from_its_texts();
        printf("digest: %s ok\n", pa_level_name(level));
    }
    bad_orders_are_refused();
    CHECK(pa_init("neon") == PA_E_UNSUPPORTED);
    CHECK(pa_level_name(PA_LEVEL_COUNT) == NULL && pa_level_name(-1) == NULL);
    CHECK(pa_level_runs(PA_LEVEL_COUNT) == 0 && pa_level_runs(-1) == 0);
    return 0;
}
