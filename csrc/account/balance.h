/* account/balance.h -- how much collateral may still be promised: reserve, then commit or release.
 *
 * Idea     two words on two cache lines. `available` decides: whoever lowers it by
 *          compare-and-swap owns that hold. `cash` is all we own, what is held included, so
 *          what is held is the difference and needs no word of its own. Hence one
 *          read-modify-write for each step of a basket: reserve lowers `available`, release
 *          raises it again, commit lowers `cash`.
 * Promise  at every instant available + holds <= cash, also for a process killed between any
 *          two instructions: what makes funds usable moves `cash` first, what takes them
 *          away moves `available` first. A crash may hide money until pa_balance_restore;
 *          it never invents any.
 * Deficit  when the exchange says we own less than is held, the word `available` goes below
 *          zero by exactly the shortfall. Everyone reads that as 0, and what holders then
 *          release fills the gap before it can be promised again.
 * Threads  any thread, any process, except pa_balance_restore: owner only.
 * Memory   both words are 64-bit lock-free atomics in the arena. Every read-modify-write is
 *          acquire-release and every load an acquire, so that whoever sees the second word
 *          an operation wrote also sees the first. Zero-filled memory is a balance of 0.
 * Heap     none: a part of the arena's account section.
 */
#ifndef PA_ACCOUNT_BALANCE_H
#define PA_ACCOUNT_BALANCE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_CASH_MAX_E6 10000000000000000 /* 10^16 micro-dollars: the most an account holds */

typedef struct pa_balance pa_balance;

/* A copy for monitors. Read without stopping anyone: a deposit half done shows as held. */
typedef struct pa_balance_snapshot {
    int64_t available_e6; /* what a reservation may take, >= 0                */
    int64_t cash_e6;      /* all we own, >= 0                                 */
    int64_t held_e6;      /* reserved, neither committed nor released, >= 0   */
    int64_t shortfall_e6; /* by how much holds exceed cash, >= 0; normally 0  */
} pa_balance_snapshot;

/* Micro-dollars that a reservation may take now, >= 0. */
int64_t pa_balance_available(const pa_balance *balance);

/* Both words as one consistent pair where the traffic allows it within a few tries. */
void pa_balance_read(const pa_balance *balance, pa_balance_snapshot *out);

/* Hold `amount_e6`. PA_E_RANGE: not 1..PA_CASH_MAX_E6. PA_E_FUNDS: less is available. */
pa_status pa_balance_reserve(pa_balance *balance, int64_t amount_e6);

/* Give `amount_e6` of a hold back. PA_E_RANGE: not 1..PA_CASH_MAX_E6, or more than is held.
 * The last check is there for a caller's mistake: a caller that gives back what it holds is
 * never refused, whatever others do; that two mistakes at the same instant are both caught is
 * not promised. */
pa_status pa_balance_release(pa_balance *balance, int64_t amount_e6);

/* Spend `amount_e6` of a hold. PA_E_RANGE: as pa_balance_release. PA_E_FUNDS: it is held but
 * the cash is not there (a reconciliation took it); nothing changed. */
pa_status pa_balance_commit(pa_balance *balance, int64_t amount_e6);

/* Add proceeds or a deposit. PA_E_RANGE: not 1..PA_CASH_MAX_E6, or the cash would exceed
 * PA_CASH_MAX_E6. */
pa_status pa_balance_credit(pa_balance *balance, int64_t amount_e6);

/* Theirs stands: cash becomes `exchange_cash_e6`, available moves by the same difference,
 * holds stay. *shortfall_e6 is by how much holds exceed the new cash, 0 if they do not.
 * PA_E_RANGE: not 0..PA_CASH_MAX_E6, nothing changed. PA_E_FUNDS: done, and nothing is
 * available until holds of *shortfall_e6 have been released. */
pa_status pa_balance_reconcile(pa_balance *balance, int64_t exchange_cash_e6,
                               int64_t *shortfall_e6);

/* Start from what the journal and the exchange say: this much cash, this much of it still
 * held by live orders. Ends holds of a process that died. Owner only, while nobody reserves.
 * PA_E_RANGE: cash not 0..PA_CASH_MAX_E6, or held not 0..cash; nothing changed. */
pa_status pa_balance_restore(pa_balance *balance, int64_t cash_e6, int64_t held_e6);
/* cffi:end */

struct pa_balance {
    _Alignas(64) _Atomic int64_t available; /* below zero: the shortfall of a reconciliation */
    _Alignas(64) _Atomic int64_t cash;      /* its own line: commits do not slow reservations */
};

_Static_assert(sizeof(pa_balance) == 128, "two cache lines");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share it: a lock would be private to one");

/* pa_balance_reserve for the gate of the tick path. */
static inline pa_status pa_balance_reserve_inline(pa_balance *balance, int64_t amount_e6) {
    if ((uint64_t)amount_e6 - 1 >= (uint64_t)PA_CASH_MAX_E6) {
        return PA_E_RANGE;
    }
    /* Relaxed: only a guess, the swap decides. */
    int64_t seen = atomic_load_explicit(&balance->available, memory_order_relaxed);
    do {
        if (seen < amount_e6) {
            return PA_E_FUNDS;
        }
        /* Acquire pairs with the release in raise() of balance.c: the cash behind what is
         * taken is visible to the commit that follows. Release carries on for the next. */
    } while (!atomic_compare_exchange_weak_explicit(&balance->available, &seen, seen - amount_e6,
                                                    memory_order_acq_rel,
                                                    /* relaxed: a new guess */
                                                    memory_order_relaxed));
    return PA_OK;
}

#endif
