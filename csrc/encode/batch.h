/* encode/batch.h -- signed orders as the exact JSON of POST /order and POST /orders.
 *
 * Idea     members, their order and their spelling are those of the official clients
 *          (protocol.md sections 6 and 7.3): salt and signatureType are numbers, other
 *          integers are strings, no blanks. The bytes written here are the bytes that the
 *          HMAC covers and the socket sends. Constant parts are copied, not formatted.
 * Threads  any. Heap: none. The buffer is the caller's and is never overrun.
 */
#ifndef PA_ENCODE_BATCH_H
#define PA_ENCODE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "digest/eip712.h"

/* cffi:begin */
#define PA_OWNER_BYTES_MAX 64

typedef enum pa_order_type {
    PA_GTC = 0,
    PA_GTD,
    PA_FOK,
    PA_FAK,
    PA_ORDER_TYPE_COUNT
} pa_order_type;

/* What is sent with an order but not signed. */
typedef struct pa_terms {
    uint8_t order_type; /* pa_order_type */
    uint8_t defer_exec; /* 0 or 1; V1 bodies carry the member only when it is 1 */
    uint8_t post_only;  /* 0 or 1 */
    uint8_t reserved;   /* zero */
} pa_terms;

/* The most bytes a body of these orders can take, brackets and commas included: depends on
 * each order's generation, signature type and spelled lengths, and on the owner's length.
 * 0 if an argument is outside the range pa_encode_batch documents. */
size_t pa_batch_bytes_max(const pa_order *orders, size_t count, size_t owner_bytes);

/* The array of 1..PA_BATCH_MAX orders into [out, out+capacity); its length in *written.
 * Order i is orders[i], signed as done[i], with terms[i]. `owner` is the API key: 1 to
 * PA_OWNER_BYTES_MAX bytes that need no JSON escape.
 * PA_E_RANGE: a count, length, domain, side, signature or order type. PA_E_MALFORMED: `owner`
 * or a spelled text holds a byte that JSON would escape. PA_E_CAPACITY: it does not fit; the
 * buffer's content is unspecified, nothing past its end is touched. *written is 0 then. */
pa_status pa_encode_batch(const pa_order *orders, const pa_signed *done, const pa_terms *terms,
                          size_t count, const char *owner, size_t owner_bytes, char *out,
                          size_t capacity, size_t *written);

/* The same for one order, as an object without brackets: the body of POST /order. */
pa_status pa_encode_order(const pa_order *order, const pa_signed *done, const pa_terms *terms,
                          const char *owner, size_t owner_bytes, char *out, size_t capacity,
                          size_t *written);
/* cffi:end */

#endif
