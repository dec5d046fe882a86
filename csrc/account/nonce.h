/* account/nonce.h -- what makes one order different from every other: nonce, timestamp, salt.
 *
 * Idea     V1 orders carry a nonce that counts up; the exchange refuses a wrong one and says
 *          which it has, so we count optimistically and let theirs stand. V2 and V3 orders
 *          have none: there a millisecond timestamp and a salt below 2^53 (it travels as a
 *          JSON number, protocol.md) tell orders apart. One word holds the last timestamp
 *          issued; a batch takes max(last + 1, now), so timestamps rise strictly across
 *          threads, processes, restarts on the same arena and clocks set back. The salt is
 *          that timestamp with 12 bits drawn at start below it: unique because the
 *          timestamp is. Should a start know neither arena nor journal and its clock be
 *          behind, the drawn bits still tell its salts from the earlier ones, 4095 in 4096.
 * Threads  pa_nonce_initialize, pa_nonce_handle_conflict: one caller at a time. pa_stamp_begin:
 *          before start. The rest: any thread, any process.
 * Memory   one 64-bit lock-free word each; uniqueness is a property of the word's own
 *          modification order and nothing is published through it, so all is relaxed.
 *          Zero-filled memory: the nonce starts at 0, stamps at the clock.
 * Heap     none: a part of the arena's account section.
 */
#ifndef PA_ACCOUNT_NONCE_H
#define PA_ACCOUNT_NONCE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"

/* cffi:begin */
#define PA_NONCE_MAX 9223372036854775806   /* 2^63 - 2: the largest value to start from     */
#define PA_STAMP_MS_MIN 1577836800000      /* 2020-01-01T00:00:00Z, the salt's epoch        */
#define PA_STAMP_MS_MAX 3776860055551      /* the epoch + 2^41 - 1, in the year 2089        */
#define PA_STAMP_TAG_MAX 4095              /* 12 bits                                       */

typedef struct pa_nonce pa_nonce;
typedef struct pa_stamp pa_stamp;

/* Let the next issue return `value`. PA_E_RANGE: above PA_NONCE_MAX. */
pa_status pa_nonce_initialize(pa_nonce *nonce, uint64_t value);

/* The nonce the next issue returns. */
uint64_t pa_nonce_current(const pa_nonce *nonce);

/* Take the next nonce. Each value is returned once. */
uint64_t pa_nonce_issue(pa_nonce *nonce);

/* Take `count` nonces in a row; *first is the lowest. PA_E_RANGE: count not 1..PA_BATCH_MAX. */
pa_status pa_nonce_issue_many(pa_nonce *nonce, uint32_t count, uint64_t *first);

/* The exchange refused a nonce and holds `server_nonce`: theirs stands, the next issue returns
 * server_nonce + 1, whichever side was ahead. PA_E_RANGE: not below PA_NONCE_MAX. */
pa_status pa_nonce_handle_conflict(pa_nonce *nonce, uint64_t server_nonce);

/* Begin a run: salts take `tag` (0..PA_STAMP_TAG_MAX, drawn at random by the caller), and no
 * timestamp up to `last_known_ms` (the newest in the journal; 0: none) is issued again.
 * PA_E_RANGE: a tag or a time out of range; nothing changed. */
pa_status pa_stamp_begin(pa_stamp *stamp, uint32_t tag, uint64_t last_known_ms);

/* Take `count` timestamps in a row for orders made at the wall clock's `now_ms`; *first is the
 * lowest. PA_E_RANGE: count not 1..PA_BATCH_MAX, now_ms not PA_STAMP_MS_MIN..PA_STAMP_MS_MAX,
 * or no such timestamps are left; nothing was taken. */
pa_status pa_stamp_issue(pa_stamp *stamp, uint32_t count, uint64_t now_ms, uint64_t *first);

/* The last timestamp issued, in milliseconds; 0: none yet. */
uint64_t pa_stamp_last(const pa_stamp *stamp);

/* How far the stamps run ahead of the clock, in milliseconds; 0 if they do not. More than the
 * number of orders just sent means that the clock was set back. */
uint64_t pa_stamp_ahead_ms(const pa_stamp *stamp, uint64_t now_ms);

/* The tag of this run. */
uint32_t pa_stamp_tag(const pa_stamp *stamp);

/* The salt of one issued timestamp, below 2^53. Both arguments in their ranges. */
uint64_t pa_stamp_salt(uint64_t timestamp_ms, uint32_t tag);
/* cffi:end */

#define PA_STAMP_TAG_BITS 12

struct pa_nonce {
    _Alignas(64) _Atomic uint64_t next;
};

struct pa_stamp {
    _Alignas(64) _Atomic uint64_t last_ms;
    _Atomic uint64_t tag; /* same line: written before start only */
};

_Static_assert(sizeof(pa_nonce) == 64 && sizeof(pa_stamp) == 64, "a cache line each");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share it: a lock would be private to one");
_Static_assert(PA_STAMP_MS_MAX - PA_STAMP_MS_MIN == (1LL << 41) - 1, "41 bits of milliseconds");
_Static_assert(PA_STAMP_TAG_MAX == (1 << PA_STAMP_TAG_BITS) - 1, "salts stay below 2^53");

/* pa_nonce_issue for the tick path. */
static inline uint64_t pa_nonce_issue_inline(pa_nonce *nonce) {
    /* Relaxed: pairs with nothing, the word's own order makes values unique. */
    return atomic_fetch_add_explicit(&nonce->next, 1, memory_order_relaxed);
}

/* pa_stamp_issue for the tick path. */
static inline pa_status pa_stamp_issue_inline(pa_stamp *stamp, uint32_t count, uint64_t now_ms,
                                              uint64_t *first) {
    if (count - 1 >= PA_BATCH_MAX ||
        now_ms - PA_STAMP_MS_MIN > (uint64_t)(PA_STAMP_MS_MAX - PA_STAMP_MS_MIN)) {
        return PA_E_RANGE;
    }
    /* Relaxed: only a guess, the swap decides. */
    uint64_t last = atomic_load_explicit(&stamp->last_ms, memory_order_relaxed);
    uint64_t start;
    do {
        start = last >= now_ms ? last + 1 : now_ms;
        if (start > (uint64_t)PA_STAMP_MS_MAX - (count - 1)) {
            return PA_E_RANGE;
        }
        /* Relaxed, both: pairs with nothing, the word's own order makes values unique. */
    } while (!atomic_compare_exchange_weak_explicit(&stamp->last_ms, &last, start + count - 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    *first = start;
    return PA_OK;
}

/* pa_stamp_salt for the tick path. */
static inline uint64_t pa_stamp_salt_inline(uint64_t timestamp_ms, uint32_t tag) {
    return (timestamp_ms - PA_STAMP_MS_MIN) << PA_STAMP_TAG_BITS | tag;
}

#endif
