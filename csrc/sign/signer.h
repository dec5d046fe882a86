/* sign/signer.h -- ECDSA over digests through the libsecp256k1 that coincurve brought along.
 *
 * Idea     curve arithmetic is borrowed: the caller passes the library's own functions in as
 *          addresses (polyarb/exchange/signing.py), so a basket is hashed and signed in one
 *          crossing. The library draws nothing at random: nonces are RFC 6979's, from
 *          sign/rfc6979.h or from the library itself.
 * Threads  pa_signer_init, pa_signer_wipe: owner only. pa_signer_sign: any, the signer is only
 *          read.
 * Heap     none. The signer holds the secret: private memory of the process, never the arena;
 *          opaque to Python, so that no repr and no debugger's pretty-printer shows it.
 */
#ifndef PA_SIGN_SIGNER_H
#define PA_SIGN_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "digest/eip712.h"

/* cffi:begin */
#define PA_SIGNER_BYTES 64 /* what the caller allocates for a pa_signer, 8-aligned */

/* Addresses inside libsecp256k1 (include/secp256k1_recovery.h) and a context of its own. */
typedef struct pa_secp256k1 {
    void *context;
    void *sign_recoverable;  /* secp256k1_ecdsa_sign_recoverable                       */
    void *serialize_compact; /* secp256k1_ecdsa_recoverable_signature_serialize_compact */
} pa_secp256k1;

typedef struct pa_signer pa_signer;

/* Take the 32-byte secret. `own_nonce` 1: nonces from sign/rfc6979.h; 0: the library's default.
 * PA_E_RANGE: an address is NULL or `own_nonce` neither. Whether the secret is one, the first
 * signature tells. */
pa_status pa_signer_init(pa_signer *signer, const pa_secp256k1 *library, const uint8_t *secret,
                         int own_nonce);

/* Sign one 32-byte digest: r, s (low) and v (27 or 28) into out[65].
 * PA_E_KEY: the library refuses the secret; out is zero then. */
pa_status pa_signer_sign(const pa_signer *signer, const uint8_t *digest, uint8_t *out);

/* Hash, sign and, where type 3 asks for it, wrap 1..PA_BATCH_MAX orders: all of done[i].
 * PA_E_RANGE: as pa_digest_orders. PA_E_KEY: the library refuses; what was done is unspecified. */
pa_status pa_sign_orders(const pa_signer *signer, const pa_domains *domains,
                         const pa_order *orders, size_t count, pa_signed *done);

/* Overwrite the secret. Signing afterwards gives PA_E_KEY; a signature that another thread is
 * making meanwhile is worthless and must be thrown away. */
void pa_signer_wipe(pa_signer *signer);
/* cffi:end */

#endif
