#include "account/nonce.h"

pa_status pa_nonce_initialize(pa_nonce *nonce, uint64_t value) {
    if (value > PA_NONCE_MAX) {
        return PA_E_RANGE;
    }
    /* Relaxed: pairs with nothing, whoever issues next takes it from the word itself. */
    atomic_store_explicit(&nonce->next, value, memory_order_relaxed);
    return PA_OK;
}

uint64_t pa_nonce_current(const pa_nonce *nonce) {
    /* Relaxed: pairs with nothing, it may be out of date before it is returned. */
    return atomic_load_explicit(&nonce->next, memory_order_relaxed);
}

uint64_t pa_nonce_issue(pa_nonce *nonce) {
    return pa_nonce_issue_inline(nonce);
}

pa_status pa_nonce_issue_many(pa_nonce *nonce, uint32_t count, uint64_t *first) {
    if (count < 1 || count > PA_BATCH_MAX) {
        return PA_E_RANGE;
    }
    /* Relaxed: as in pa_nonce_issue_inline. */
    *first = atomic_fetch_add_explicit(&nonce->next, count, memory_order_relaxed);
    return PA_OK;
}

pa_status pa_nonce_handle_conflict(pa_nonce *nonce, uint64_t server_nonce) {
    return server_nonce < PA_NONCE_MAX ? pa_nonce_initialize(nonce, server_nonce + 1) : PA_E_RANGE;
}

pa_status pa_stamp_begin(pa_stamp *stamp, uint32_t tag, uint64_t last_known_ms) {
    if (tag > PA_STAMP_TAG_MAX ||
        (last_known_ms != 0 &&
         (last_known_ms < PA_STAMP_MS_MIN || last_known_ms > PA_STAMP_MS_MAX))) {
        return PA_E_RANGE;
    }
    /* Relaxed: only a guess, the swap decides. */
    uint64_t last = atomic_load_explicit(&stamp->last_ms, memory_order_relaxed);
    while (last < last_known_ms &&
           /* Relaxed, both: as in pa_stamp_issue_inline. */
           !atomic_compare_exchange_weak_explicit(&stamp->last_ms, &last, last_known_ms,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    /* Relaxed: before start, so whatever starts the issuers also shows them the tag. */
    atomic_store_explicit(&stamp->tag, tag, memory_order_relaxed);
    return PA_OK;
}

pa_status pa_stamp_issue(pa_stamp *stamp, uint32_t count, uint64_t now_ms, uint64_t *first) {
    return pa_stamp_issue_inline(stamp, count, now_ms, first);
}

uint64_t pa_stamp_last(const pa_stamp *stamp) {
    /* Relaxed: pairs with nothing, it may be out of date before it is returned. */
    return atomic_load_explicit(&stamp->last_ms, memory_order_relaxed);
}

uint64_t pa_stamp_ahead_ms(const pa_stamp *stamp, uint64_t now_ms) {
    const uint64_t last = pa_stamp_last(stamp);
    return last > now_ms ? last - now_ms : 0;
}

uint32_t pa_stamp_tag(const pa_stamp *stamp) {
    /* Relaxed: as its store in pa_stamp_begin. */
    return (uint32_t)atomic_load_explicit(&stamp->tag, memory_order_relaxed);
}

uint64_t pa_stamp_salt(uint64_t timestamp_ms, uint32_t tag) {
    return pa_stamp_salt_inline(timestamp_ms, tag);
}
