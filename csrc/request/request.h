/* request/request.h -- a planned basket to the bytes and the HMAC of its POST /orders.
 *
 * Idea     the last stretch of the hot path in one crossing: stamps from the account, words
 *          into orders whose constant words are already there, one side-by-side hash, one
 *          signature per leg, the body, the HMAC over exactly that body. Everything an order
 *          does not change is filled once, when the request is made.
 *          A post is the whole HTTP request in one buffer: a head that the caller wrote once,
 *          with room for what changes, and the body behind it.
 *          Generations V2 and V3; V1 orders (history, and a field more) take the general way
 *          through polyarb/exchange/signing.py.
 * Threads  one writer: a pa_request is its own scratch space.
 * Heap     none. It holds the HMAC key and points at the signer: private memory, never the
 *          arena; opaque to Python.
 */
#ifndef PA_REQUEST_REQUEST_H
#define PA_REQUEST_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "account/nonce.h"
#include "base/status.h"
#include "digest/eip712.h"
#include "digest/sha256.h"
#include "encode/batch.h"
#include "sign/signer.h"

/* cffi:begin */

/* What a leg needs to know of its token. */
typedef struct pa_token {
    uint8_t id[32];     /* big endian                               */
    char text[78];      /* the same in decimal                      */
    uint8_t text_bytes; /* 1..PA_TOKEN_TEXT_MAX                     */
    uint8_t domain;     /* pa_domain: V2, V2_NEG_RISK or V3         */
} pa_token;

/* One planned leg. Amounts in base units (x1e6), as protocol.md section 10 rounds them. */
typedef struct pa_leg {
    uint64_t maker_amount;
    uint64_t taker_amount;
    uint64_t expiration_s; /* Unix seconds; 0 unless GTD   */
    uint32_t token;        /* index into the request's tokens */
    uint8_t side;          /* 0 BUY, 1 SELL                */
    uint8_t order_type;    /* pa_order_type                */
    uint8_t post_only;     /* 0 or 1                       */
    uint8_t reserved;      /* zero                         */
} pa_leg;

/* What a build gives beside the body. */
typedef struct pa_built {
    size_t body_bytes;
    uint64_t first_ms;       /* timestamp of leg 0; leg i has first_ms + i            */
    uint32_t time_bytes;     /* of time_text                                          */
    uint32_t reserved;       /* zero                                                  */
    char time_text[12];      /* POLY_TIMESTAMP: Unix seconds, decimal                 */
    char signature[44];      /* POLY_SIGNATURE                                        */
} pa_built;

/* Where the head of a post has room for what changes: offsets from its first byte. */
typedef struct pa_slots {
    uint32_t head_bytes;   /* with its empty line; the body follows                       */
    uint32_t length_at;    /* Content-Length, PA_POST_LENGTH_BYTES: blanks, then digits   */
    uint32_t time_at;      /* POLY_TIMESTAMP, PA_POST_TIME_BYTES                          */
    uint32_t signature_at; /* POLY_SIGNATURE, PA_POST_SIGNATURE_BYTES                     */
} pa_slots;

#define PA_POST_LENGTH_BYTES 6
#define PA_POST_TIME_BYTES 10
#define PA_POST_SIGNATURE_BYTES 44

typedef struct pa_request pa_request;

/* How many bytes, 64-aligned, the caller allocates for a pa_request. */
size_t pa_request_bytes(void);

/* Prepare `request`. `account_order` is an order of this account with maker, signer, signature
 * type, metadata and builder filled, words and texts; its other fields are ignored. `tokens`
 * and `signer` must outlive the request.
 * PA_E_RANGE: a length, or an account_order that pa_digest_orders refuses or that is V1. */
pa_status pa_request_init(pa_request *request, const pa_domains *domains, const pa_signer *signer,
                          const pa_hmac *hmac, const pa_order *account_order,
                          const pa_token *tokens, uint32_t token_count, const char *owner,
                          size_t owner_bytes);

/* Build the request for 1..PA_BATCH_MAX legs at wall clock `now_ms`: the body into
 * [body, body+capacity), the rest into *out. Timestamps and salts are taken from `stamp`.
 * PA_E_RANGE: a count, token, side, order type, flag or time; nothing was taken.
 * PA_E_CAPACITY, PA_E_KEY (also after a wipe): stamps may have been taken, which only leaves a
 * gap. */
pa_status pa_request_build(pa_request *request, pa_stamp *stamp, const pa_leg *legs, size_t count,
                           uint64_t now_ms, char *body, size_t capacity, pa_built *out);

/* The same into [post, post+capacity), which begins with a head: the body goes behind it and what
 * changes into its slots. Nothing else of the head is written.
 * PA_E_RANGE: also slots that are not within the head. PA_E_CAPACITY: also a head that leaves no
 * room, or a body of more digits than its length's slot has. */
pa_status pa_request_post(pa_request *request, pa_stamp *stamp, const pa_leg *legs, size_t count,
                          uint64_t now_ms, const pa_slots *slots, char *post, size_t capacity,
                          pa_built *out);

/* Read one byte of each cache line of `request`, so that the next build finds them near. */
void pa_request_touch(const pa_request *request);

/* Digest (order id), 32 bytes, of leg `index` of the last build; valid until the next. */
const uint8_t *pa_request_digest(const pa_request *request, size_t index);

/* Overwrite what the request knows of the HMAC key. */
void pa_request_wipe(pa_request *request);
/* cffi:end */

_Static_assert(sizeof(pa_token) == 112, "no padding");
_Static_assert(sizeof(pa_leg) == 32, "two per cache line");

#endif
