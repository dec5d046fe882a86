#include "digest/eip712.h"

#include <string.h>

#include "digest/keccak.h"

/* Type hashes and the hashes of fixed texts; tests/unit/csrc/test_digest.c recomputes each. */
static const uint8_t TYPE_V1[32] = {
    0xa8, 0x52, 0x56, 0x6c, 0x4e, 0x14, 0xd0, 0x08, 0x69, 0xb6, 0xdb, 0x02, 0x20, 0x88, 0x8a, 0x90,
    0x90, 0xa1, 0x3e, 0xcc, 0xda, 0xea, 0x03, 0x71, 0x3f, 0xf0, 0xa3, 0xd2, 0x7b, 0xf9, 0x76, 0x7c};
static const uint8_t TYPE_V2[32] = {
    0xbb, 0x86, 0x31, 0x8a, 0x21, 0x38, 0xf5, 0xfa, 0x8a, 0xe3, 0x2f, 0xbe, 0x8e, 0x65, 0x9f, 0x8f,
    0xcf, 0x13, 0xcc, 0x6a, 0xe4, 0x01, 0x4a, 0x70, 0x78, 0x93, 0x05, 0x54, 0x33, 0x81, 0x85, 0x89};
static const uint8_t TYPE_TYPED_DATA_SIGN[32] = {
    0x6b, 0xa0, 0x28, 0x56, 0x5c, 0xb3, 0x24, 0xc2, 0xaa, 0x02, 0xbb, 0x71, 0x4b, 0x98, 0x16, 0xd0,
    0xbd, 0xdd, 0x55, 0x7a, 0x2f, 0x33, 0xbb, 0x36, 0xcf, 0x13, 0x27, 0x2a, 0x42, 0x56, 0xbd, 0x42};
static const uint8_t HASH_DEPOSIT_WALLET[32] = {
    0xd6, 0x82, 0xb5, 0x29, 0xa1, 0x7c, 0xda, 0x19, 0xaa, 0x27, 0x5f, 0x3a, 0x05, 0x06, 0x08, 0xf9,
    0xe9, 0x40, 0x1f, 0xad, 0xd1, 0xb0, 0xd2, 0x33, 0xd8, 0x15, 0x19, 0x97, 0x22, 0x95, 0x82, 0x8b};
static const uint8_t HASH_ONE[32] = {
    0xc8, 0x9e, 0xfd, 0xaa, 0x54, 0xc0, 0xf2, 0x0c, 0x7a, 0xdf, 0x61, 0x28, 0x82, 0xdf, 0x09, 0x50,
    0xf5, 0xa9, 0x51, 0x63, 0x7e, 0x03, 0x07, 0xcd, 0xcb, 0x4c, 0x67, 0x2f, 0x29, 0x8b, 0x8b, 0xc6};

const char PA_ORDER_TYPE_V2[] =
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)";
_Static_assert(sizeof(PA_ORDER_TYPE_V2) == PA_ORDER_TYPE_BYTES + 1, "protocol.md section 7");

static void hash_text(const char *text, uint8_t *out) {
    pa_keccak256((const uint8_t *)text, strlen(text), out);
}

pa_status pa_domain_separator(uint32_t version, uint64_t chain_id, const uint8_t *contract,
                              uint8_t *out) {
    if (version < 1 || version > 9) {
        return PA_E_RANGE;
    }
    const char digit[2] = {(char)('0' + version), '\0'};
    uint8_t words[5][32] = {{0}};
    hash_text("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
              words[0]);
    hash_text("Polymarket CTF Exchange", words[1]);
    hash_text(digit, words[2]);
    pa_word_u64(words[3], chain_id);
    memcpy(words[4] + 12, contract, 20);
    pa_keccak256(words[0], sizeof words, out);
    return PA_OK;
}

static int is_v1(const pa_order *order) {
    return order->domain == PA_DOMAIN_V1 || order->domain == PA_DOMAIN_V1_NEG_RISK;
}

pa_status pa_order_init(pa_order *order, int domain) {
    if (domain < 0 || domain >= PA_DOMAIN_COUNT) {
        return PA_E_RANGE;
    }
    memset(order, 0, sizeof *order);
    order->domain = (uint8_t)domain;
    memcpy(order->word[PA_WORD_TYPE], is_v1(order) ? TYPE_V1 : TYPE_V2, 32);
    return PA_OK;
}

/* The fields the encoder reads beside the words say the same as the words. */
static int consistent(const pa_order *order) {
    if (order->domain >= PA_DOMAIN_COUNT || order->side > 1) {
        return 0;
    }
    const int v1 = is_v1(order);
    return order->signature_type <= (v1 ? 2 : 3) &&
           order->word[v1 ? PA_V1_SIDE : PA_V2_SIDE][31] == order->side &&
           order->word[v1 ? PA_V1_SIGNATURE_TYPE : PA_V2_SIGNATURE_TYPE][31] ==
               order->signature_type;
}

/* Struct hashes of a run of orders with the same number of words, side by side. */
static size_t hash_run(const pa_order *orders, size_t count, pa_signed *out) {
    uint8_t hashes[PA_BATCH_MAX][32];
    const int v1 = is_v1(orders);
    size_t run = 1;
    while (run < count && is_v1(orders + run) == v1) {
        ++run;
    }
    pa_keccak256_many(orders->word[0], sizeof *orders, (v1 ? 13 : 12) * PA_WORD, run, hashes[0]);
    for (size_t i = 0; i < run; ++i) {
        memcpy(out[i].struct_hash, hashes[i], 32);
    }
    return run;
}

/* The outer digest of the type 3 orders among `orders`, protocol.md section 7.2 steps 3 and 4. */
static void wrap_digests(const pa_domains *domains, const pa_order *orders, size_t count,
                         pa_signed *out) {
    uint8_t words[PA_BATCH_MAX][7][32], hashes[PA_BATCH_MAX][32], texts[PA_BATCH_MAX][66];
    size_t index[PA_BATCH_MAX], wrapped = 0;
    for (size_t i = 0; i < count; ++i) {
        if (orders[i].signature_type != 3) {
            continue;
        }
        uint8_t(*w)[32] = words[wrapped];
        memcpy(w[0], TYPE_TYPED_DATA_SIGN, 32);
        memcpy(w[1], out[i].struct_hash, 32);
        memcpy(w[2], HASH_DEPOSIT_WALLET, 32);
        memcpy(w[3], HASH_ONE, 32);
        memcpy(w[4], domains->chain_id, 32);
        memcpy(w[5], orders[i].word[PA_WORD_SIGNER], 32);
        memset(w[6], 0, 32);
        index[wrapped++] = i;
    }
    if (wrapped == 0) {
        return;
    }
    pa_keccak256_many(words[0][0], sizeof words[0], sizeof words[0], wrapped, hashes[0]);
    for (size_t k = 0; k < wrapped; ++k) {
        texts[k][0] = 0x19, texts[k][1] = 0x01;
        memcpy(texts[k] + 2, domains->separator[orders[index[k]].domain], 32);
        memcpy(texts[k] + 34, hashes[k], 32);
    }
    pa_keccak256_many(texts[0], sizeof texts[0], sizeof texts[0], wrapped, hashes[0]);
    for (size_t k = 0; k < wrapped; ++k) {
        memcpy(out[index[k]].to_sign, hashes[k], 32);
    }
}

pa_status pa_digest_orders(const pa_domains *domains, const pa_order *orders, size_t count,
                           pa_signed *out) {
    uint8_t texts[PA_BATCH_MAX][66], hashes[PA_BATCH_MAX][32];
    if (count < 1 || count > PA_BATCH_MAX) {
        return PA_E_RANGE;
    }
    for (size_t i = 0; i < count; ++i) {
        if (!consistent(orders + i)) {
            return PA_E_RANGE;
        }
    }
    for (size_t i = 0; i < count;) {
        i += hash_run(orders + i, count - i, out + i);
    }
    for (size_t i = 0; i < count; ++i) {
        texts[i][0] = 0x19, texts[i][1] = 0x01;
        memcpy(texts[i] + 2, domains->separator[orders[i].domain], 32);
        memcpy(texts[i] + 34, out[i].struct_hash, 32);
    }
    pa_keccak256_many(texts[0], sizeof texts[0], sizeof texts[0], count, hashes[0]);
    for (size_t i = 0; i < count; ++i) {
        memcpy(out[i].digest, hashes[i], 32);
        memcpy(out[i].to_sign, hashes[i], 32);
    }
    wrap_digests(domains, orders, count, out);
    return PA_OK;
}

size_t pa_signature_bytes(int signature_type) {
    return signature_type == 3 ? PA_WRAPPED_BYTES : PA_SIGNATURE_BYTES;
}

pa_status pa_signature_wrap(const pa_domains *domains, const pa_order *order, pa_signed *done) {
    if (order->domain >= PA_DOMAIN_COUNT) {
        return PA_E_RANGE;
    }
    uint8_t *p = done->signature + PA_SIGNATURE_BYTES;
    memcpy(p, domains->separator[order->domain], 32);
    memcpy(p + 32, done->struct_hash, 32);
    memcpy(p + 64, PA_ORDER_TYPE_V2, PA_ORDER_TYPE_BYTES);
    p[64 + PA_ORDER_TYPE_BYTES] = PA_ORDER_TYPE_BYTES >> 8;
    p[65 + PA_ORDER_TYPE_BYTES] = PA_ORDER_TYPE_BYTES & 255;
    return PA_OK;
}

int pa_is_position_id(const uint8_t *token) {
    for (int i = 19; i < 27; ++i) {
        if (token[i] != 0) {
            return 0;
        }
    }
    return 1;
}
