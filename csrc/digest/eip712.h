/* digest/eip712.h -- an order as the 32-byte words that EIP-712 hashes, and its digests.
 *
 * Idea     a pa_order *is* the preimage of its struct hash: the type hash, then the fields in
 *          struct order, one big-endian word each. Constant words are filled once; a leg only
 *          rewrites salt, token, amounts, side and timestamp. A whole basket is hashed side by
 *          side (keccak.h). The same digest is the venue's order id (protocol.md section 9), so
 *          it is known before anything is sent.
 * Threads  any. Heap: none.
 */
#ifndef PA_DIGEST_EIP712_H
#define PA_DIGEST_EIP712_H

#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"

/* cffi:begin */
#define PA_WORD 32
#define PA_ORDER_WORDS 13 /* V1; V2 and V3 use the first 12 */
#define PA_TOKEN_TEXT_MAX 78
#define PA_ADDRESS_TEXT 42
#define PA_BYTES32_TEXT_MAX 66
#define PA_SIGNATURE_BYTES 65
#define PA_WRAPPED_BYTES 317 /* type 3, protocol.md section 7.2 */

/* Which contract an order is signed for; the generation follows from it. */
typedef enum pa_domain {
    PA_DOMAIN_V1 = 0,
    PA_DOMAIN_V1_NEG_RISK,
    PA_DOMAIN_V2,
    PA_DOMAIN_V2_NEG_RISK,
    PA_DOMAIN_V3,
    PA_DOMAIN_COUNT
} pa_domain;

/* Where a field lies in pa_order.word. V1 and V2/V3 differ from index 4 on. */
typedef enum pa_word {
    PA_WORD_TYPE = 0,
    PA_WORD_SALT = 1,
    PA_WORD_MAKER = 2,
    PA_WORD_SIGNER = 3,
    PA_V1_TAKER = 4,
    PA_V1_TOKEN = 5,
    PA_V1_MAKER_AMOUNT = 6,
    PA_V1_TAKER_AMOUNT = 7,
    PA_V1_EXPIRATION = 8,
    PA_V1_NONCE = 9,
    PA_V1_FEE_RATE = 10,
    PA_V1_SIDE = 11,
    PA_V1_SIGNATURE_TYPE = 12,
    PA_V2_TOKEN = 4,
    PA_V2_MAKER_AMOUNT = 5,
    PA_V2_TAKER_AMOUNT = 6,
    PA_V2_SIDE = 7,
    PA_V2_SIGNATURE_TYPE = 8,
    PA_V2_TIMESTAMP = 9,
    PA_V2_METADATA = 10,
    PA_V2_BUILDER = 11
} pa_word;

/* Domain separators of one chain, computed once. */
typedef struct pa_domains {
    uint8_t separator[5][32]; /* by pa_domain */
    uint8_t chain_id[32];     /* big endian, for the ERC-7739 wallet domain */
} pa_domains;

/* One order: what is hashed, and the spellings that its JSON repeats. */
typedef struct pa_order {
    uint8_t word[13][32];
    uint8_t expiration[32];  /* V2, V3: sent but not signed, big endian              */
    uint8_t domain;          /* pa_domain                                            */
    uint8_t side;            /* 0 BUY, 1 SELL: the same as its word                  */
    uint8_t signature_type;  /* 0..3: the same as its word                           */
    uint8_t token_bytes;     /* 1..PA_TOKEN_TEXT_MAX: of token_text                  */
    uint8_t metadata_bytes;  /* 2..PA_BYTES32_TEXT_MAX: of metadata_text; V2, V3     */
    uint8_t builder_bytes;   /* 2..PA_BYTES32_TEXT_MAX: of builder_text; V2, V3      */
    char token_text[78];     /* decimal                                              */
    char maker_text[42];     /* "0x" + 40 digits, spelled as it was given            */
    char signer_text[42];
    char taker_text[42];     /* V1                                                   */
    char metadata_text[66];  /* "0x" + digits, spelled as it was given               */
    char builder_text[66];
    uint8_t reserved[10];    /* zero */
} pa_order;

/* What hashing and signing an order gives. */
typedef struct pa_signed {
    uint8_t struct_hash[32]; /* type 3: the contents hash                                 */
    uint8_t digest[32];      /* the order id                                              */
    uint8_t to_sign[32];     /* the digest, or for type 3 the ERC-7739 outer digest       */
    uint8_t signature[317];  /* r, s, v; type 3: followed by what pa_signature_wrap adds  */
    uint8_t reserved[3];     /* zero */
} pa_signed;

/* The separator of EIP712Domain(name, version, chainId, verifyingContract) with the exchange's
 * name, for version 1..9 and a 20-byte contract, into out[32].
 * PA_E_RANGE: another version. */
pa_status pa_domain_separator(uint32_t version, uint64_t chain_id, const uint8_t *contract,
                              uint8_t *out);

/* Clear `order` and set what follows from `domain`: the type hash. PA_E_RANGE: no such domain. */
pa_status pa_order_init(pa_order *order, int domain);

/* Hash 1..PA_BATCH_MAX orders together: struct_hash, digest and to_sign of each.
 * PA_E_RANGE: count, a domain, a side or a signature type (V1 knows 0..2); nothing is written. */
pa_status pa_digest_orders(const pa_domains *domains, const pa_order *orders, size_t count,
                           pa_signed *out);

/* Bytes of the signature that an order of this type transmits. */
size_t pa_signature_bytes(int signature_type);

/* Complete the signature of a type 3 order: what follows its first 65 bytes is written.
 * PA_E_RANGE: no such domain. */
pa_status pa_signature_wrap(const pa_domains *domains, const pa_order *order, pa_signed *done);

/* 1 if the big-endian 256-bit id is a position id of Exchange V3: its bits 40..103 are zero
 * (protocol.md section 8). */
int pa_is_position_id(const uint8_t *token);
/* cffi:end */

_Static_assert(sizeof(pa_order) == 800, "a batch is under 12 KB");
_Static_assert(sizeof(pa_signed) == 416, "no padding");

/* The Order type string that type 3 signatures carry, PA_ORDER_TYPE_BYTES long. */
#define PA_ORDER_TYPE_BYTES 186
extern const char PA_ORDER_TYPE_V2[];

/* `value` as a big-endian word. */
static inline void pa_word_u64(uint8_t *word, uint64_t value) {
    for (int i = 31; i >= 24; --i, value >>= 8) {
        word[i] = (uint8_t)value;
    }
}

#endif
