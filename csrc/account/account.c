#include "account/account.h"

pa_account *pa_account_of(pa_arena *arena) {
    return pa_arena_at(arena, PA_SECTION_ACCOUNT);
}

const pa_account *pa_account_view(const pa_arena *arena) {
    return pa_arena_view(arena, PA_SECTION_ACCOUNT);
}

pa_balance *pa_account_balance(pa_account *account) {
    return &account->balance;
}

pa_nonce *pa_account_nonce(pa_account *account) {
    return &account->nonce;
}

pa_stamp *pa_account_stamp(pa_account *account) {
    return &account->stamp;
}

pa_breaker *pa_account_breaker(pa_account *account) {
    return &account->breaker;
}
