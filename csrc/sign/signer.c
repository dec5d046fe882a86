#include "sign/signer.h"

#include <string.h>

#include "sign/rfc6979.h"

typedef int nonce_fn(unsigned char *, const unsigned char *, const unsigned char *,
                     const unsigned char *, void *, unsigned int);
typedef int sign_fn(const void *context, void *signature, const unsigned char *msg32,
                    const unsigned char *key32, nonce_fn *nonce, const void *data);
typedef int serialize_fn(const void *context, unsigned char *out64, int *recovery,
                         const void *signature);

struct pa_signer {
    const void *context;
    sign_fn *sign;
    serialize_fn *serialize;
    nonce_fn *nonce; /* NULL: the library's default */
    uint8_t secret[32];
};
_Static_assert(sizeof(struct pa_signer) == PA_SIGNER_BYTES, "callers allocate it");

pa_status pa_signer_init(pa_signer *signer, const pa_secp256k1 *library, const uint8_t *secret,
                         int own_nonce) {
    if (library->context == NULL || library->sign_recoverable == NULL ||
        library->serialize_compact == NULL || own_nonce < 0 || own_nonce > 1) {
        return PA_E_RANGE;
    }
    signer->context = library->context;
    /* POSIX dlsym: an object pointer holds a function's address. memcpy, since ISO C has no cast. */
    memcpy(&signer->sign, &library->sign_recoverable, sizeof signer->sign);
    memcpy(&signer->serialize, &library->serialize_compact, sizeof signer->serialize);
    signer->nonce = own_nonce ? pa_rfc6979 : NULL;
    memcpy(signer->secret, secret, sizeof signer->secret);
    return PA_OK;
}

/* A wiped signer; no key is zero. */
static int is_zero(const uint8_t *secret) {
    uint8_t any = 0;
    for (int i = 0; i < 32; ++i) {
        any |= secret[i];
    }
    return any == 0;
}

pa_status pa_signer_sign(const pa_signer *signer, const uint8_t *digest, uint8_t *out) {
    _Alignas(16) unsigned char signature[65]; /* secp256k1_ecdsa_recoverable_signature */
    int recovery = 0;
    memset(out, 0, 65);
    if (is_zero(signer->secret) ||
        !signer->sign(signer->context, signature, digest, signer->secret, signer->nonce, NULL) ||
        !signer->serialize(signer->context, out, &recovery, signature) || recovery < 0 ||
        recovery > 1) {
        /* Recovery ids 2 and 3 mean r overflowed the group order: about 2^-127, and not a
         * signature the venue's contract can express as v 27 or 28. */
        memset(out, 0, 65);
        return PA_E_KEY;
    }
    out[64] = (uint8_t)(27 + recovery);
    return PA_OK;
}

pa_status pa_sign_orders(const pa_signer *signer, const pa_domains *domains,
                         const pa_order *orders, size_t count, pa_signed *done) {
    pa_status status = pa_digest_orders(domains, orders, count, done);
    for (size_t i = 0; i < count && status == PA_OK; ++i) {
        status = pa_signer_sign(signer, done[i].to_sign, done[i].signature);
        if (status == PA_OK && orders[i].signature_type == 3) {
            status = pa_signature_wrap(domains, orders + i, done + i);
        }
    }
    return status;
}

void pa_signer_wipe(pa_signer *signer) {
    /* The addresses stay: a signature under way in another thread must not jump to nowhere. */
    explicit_bzero(signer->secret, sizeof signer->secret);
}
