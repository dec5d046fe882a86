/* Loops in C around functions that are already loaded, for the benchmarks in Python.
 *
 * Idea     a comparison with a library's own function must not pay for Python between two
 *          calls. Each loop takes the address of the function as it was loaded (libsecp256k1
 *          by coincurve, ours in polyarb._core, hence the very code that trades), does inputs
 *          first..last-1 and returns the nanoseconds that took.
 * Output   what each call gave stays in the caller's buffers, which are compared afterwards.
 */
#include <string.h>
#include <time.h>

#include "polyarb.h"

typedef int library_sign_fn(const void *context, void *signature, const unsigned char *msg32,
                            const unsigned char *key32, void *nonce, const void *data);
typedef int library_serialize_fn(const void *context, unsigned char *out64, int *recovery,
                                 const void *signature);

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* the clock of time.perf_counter_ns() */
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* An address as Python has it, into a function pointer: POSIX dlsym's conversion. */
#define TAKE(pointer, address) memcpy(&(pointer), &(address), sizeof(pointer))

/* libsecp256k1's recoverable signature with its default nonce function, and its 64 bytes. */
uint64_t loop_library_sign(uintptr_t context, uintptr_t sign, uintptr_t serialize,
                           const uint8_t *secret, const uint8_t *digests, size_t first, size_t last,
                           uint8_t *out) {
    const void *ctx;
    library_sign_fn *do_sign;
    library_serialize_fn *do_serialize;
    TAKE(ctx, context);
    TAKE(do_sign, sign);
    TAKE(do_serialize, serialize);
    int good = 1;
    const uint64_t start = now_ns();
    for (size_t i = first; i < last; ++i) {
        unsigned char signature[65];
        int recovery = 0;
        good &= do_sign(ctx, signature, digests + 32 * i, secret, NULL, NULL);
        good &= do_serialize(ctx, out + 65 * i, &recovery, signature);
        out[65 * i + 64] = (uint8_t)(27 + recovery);
    }
    const uint64_t elapsed = now_ns() - start;
    return good ? elapsed : 0;
}

uint64_t loop_core_sign(uintptr_t sign, const void *signer, const uint8_t *digests, size_t first,
                        size_t last, uint8_t *out) {
    pa_status (*do_sign)(const pa_signer *, const uint8_t *, uint8_t *);
    TAKE(do_sign, sign);
    unsigned bad = 0;
    const uint64_t start = now_ns();
    for (size_t i = first; i < last; ++i) {
        bad |= do_sign(signer, digests + 32 * i, out + 65 * i);
    }
    const uint64_t elapsed = now_ns() - start;
    return bad == 0 ? elapsed : 0;
}

/* One prepared request per basket of `count` legs, without Python in between. */
uint64_t loop_build(uintptr_t build, void *request, void *stamp, const void *legs, size_t count,
                    uint64_t now_ms, char *body, size_t capacity, void *built, size_t first,
                    size_t last) {
    pa_status (*do_build)(pa_request *, pa_stamp *, const pa_leg *, size_t, uint64_t, char *, size_t,
                          pa_built *);
    TAKE(do_build, build);
    unsigned bad = 0;
    const uint64_t start = now_ns();
    for (size_t i = first; i < last; ++i) {
        bad |= do_build(request, stamp, (const pa_leg *)legs + i * count, count, now_ms, body,
                        capacity, built);
    }
    const uint64_t elapsed = now_ns() - start;
    return bad == 0 ? elapsed : 0;
}

/* Message i is parts[2 * i] and parts[2 * i + 1]. */
uint64_t loop_hmac(uintptr_t sign, const void *key, const void *parts, size_t first, size_t last,
                   char *out) {
    void (*do_sign)(const pa_hmac *, const pa_bytes *, size_t, char *);
    TAKE(do_sign, sign);
    const uint64_t start = now_ns();
    for (size_t i = first; i < last; ++i) {
        do_sign(key, (const pa_bytes *)parts + 2 * i, 2, out + PA_BASE64_DIGEST_BYTES * i);
    }
    return now_ns() - start;
}

/* Batch i is `count` orders from i * count on; its bytes go to out + i * capacity. */
uint64_t loop_encode(uintptr_t encode, const void *orders, const void *done, const void *terms,
                     size_t count, const char *owner, size_t owner_bytes, char *out, size_t capacity,
                     size_t *written, size_t first, size_t last) {
    pa_status (*do_encode)(const pa_order *, const pa_signed *, const pa_terms *, size_t,
                           const char *, size_t, char *, size_t, size_t *);
    TAKE(do_encode, encode);
    unsigned bad = 0;
    const uint64_t start = now_ns();
    for (size_t i = first; i < last; ++i) {
        bad |= do_encode((const pa_order *)orders + i * count, (const pa_signed *)done + i * count,
                         terms, count, owner, owner_bytes, out + i * capacity, capacity,
                         written + i);
    }
    const uint64_t elapsed = now_ns() - start;
    return bad == 0 ? elapsed : 0;
}

uint64_t loop_size(uintptr_t size, const pa_basket *const *baskets, void *work, size_t first,
                   size_t last, pa_sized *out, pa_sized_leg *legs) {
    pa_status (*do_size)(const pa_basket *, pa_basket_work *, pa_sized *, pa_sized_leg *);
    TAKE(do_size, size);
    unsigned bad = 0;
    const uint64_t start = now_ns();
    for (size_t i = first; i < last; ++i) {
        bad |= do_size(baskets[i], work, out + i, legs);
    }
    const uint64_t elapsed = now_ns() - start;
    return bad ? 0 : elapsed;
}
