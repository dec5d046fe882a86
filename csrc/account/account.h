/* account/account.h -- the arena's account section: balance, nonce, stamps and breaker.
 *
 * Idea     one struct at the start of PA_SECTION_ACCOUNT; each hot word on a cache line of
 *          its own, since two counters that share a line cost 34 ns instead of 5.
 * Threads  any. Memory: as each part says; zero-filled memory is a valid account with no
 *          money, stamps from the clock, and trading off.
 * Heap     none.
 */
#ifndef PA_ACCOUNT_ACCOUNT_H
#define PA_ACCOUNT_ACCOUNT_H

#include "account/balance.h"
#include "account/breaker.h"
#include "account/nonce.h"
#include "base/arena.h"

/* cffi:begin */
typedef struct pa_account pa_account;

/* The account section of `arena`, valid while it is mapped. */
pa_account *pa_account_of(pa_arena *arena);
const pa_account *pa_account_view(const pa_arena *arena);

/* The parts, valid as long as the account is. A caller that mapped it read-only uses only
 * what takes a const pointer. */
pa_balance *pa_account_balance(pa_account *account);
pa_nonce *pa_account_nonce(pa_account *account);
pa_stamp *pa_account_stamp(pa_account *account);
pa_breaker *pa_account_breaker(pa_account *account);
/* cffi:end */

struct pa_account {
    pa_balance balance;
    pa_nonce nonce;
    pa_stamp stamp;
    pa_breaker breaker;
};

_Static_assert(sizeof(pa_account) <= PA_ACCOUNT_BYTES, "fits its section");
_Static_assert(_Alignof(pa_account) == 64, "starts a cache line, as sections do");

#endif
