/* sign/rfc6979.h -- internal: the deterministic ECDSA nonce, as libsecp256k1 derives it.
 *
 * Idea     libsecp256k1 spends about a fifth of a signature in 22 software SHA-256 compressions
 *          (RFC 6979 section 3.2). It takes the nonce function as a parameter; this one gives
 *          the same nonce from 18 compressions with the CPU's SHA instructions. A wrong nonce
 *          would give away the key, so it is used only after a comparison with the library's
 *          own signatures (polyarb/exchange/signing.py), and never where the SHA
 *          instructions are missing.
 * Threads  any. Heap: none. What it knew of the key is wiped from the stack.
 */
#ifndef PA_SIGN_RFC6979_H
#define PA_SIGN_RFC6979_H

#include <stdint.h>

/* secp256k1_nonce_function: nonce32 from msg32 and key32. `algo16` and `data` extend the input
 * when given; `attempt` selects the n-th candidate. Returns 1. */
int pa_rfc6979(unsigned char *nonce32, const unsigned char *msg32, const unsigned char *key32,
               const unsigned char *algo16, void *data, unsigned int attempt);

#endif
