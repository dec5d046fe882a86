#include "account/balance.h"

#include <stdbool.h>

#define READ_TRIES 8

static bool in_range(int64_t amount_e6) {
    return amount_e6 >= 1 && amount_e6 <= PA_CASH_MAX_E6;
}

static int64_t at_least_zero(int64_t value) {
    return value > 0 ? value : 0;
}

static int64_t load(const _Atomic int64_t *word) {
    /* Acquire pairs with the releases of swap() and raise(): seeing an operation's second
     * word implies seeing its first. */
    return atomic_load_explicit(word, memory_order_acquire);
}

static bool swap(_Atomic int64_t *word, int64_t *seen, int64_t value) {
    /* Release pairs with load(); acquire does for the value that was replaced, and for *seen
     * after a failure, what load() does. */
    return atomic_compare_exchange_weak_explicit(word, seen, value, memory_order_acq_rel,
                                                 memory_order_acquire);
}

static int64_t raise(_Atomic int64_t *word, int64_t by) {
    /* Release pairs with load() and with the acquire of a reservation. */
    return atomic_fetch_add_explicit(word, by, memory_order_acq_rel) + by;
}

/* Two words cannot be read at once. A refusal therefore needs both unchanged around the
 * reading it rests on; otherwise the caller looks again. */
static bool unchanged(const pa_balance *balance, int64_t available, int64_t cash) {
    return load(&balance->available) == available && load(&balance->cash) == cash &&
           load(&balance->available) == available;
}

int64_t pa_balance_available(const pa_balance *balance) {
    return at_least_zero(load(&balance->available));
}

void pa_balance_read(const pa_balance *balance, pa_balance_snapshot *out) {
    int64_t available = 0, cash = 0;
    for (int i = 0; i < READ_TRIES; ++i) {
        available = load(&balance->available);
        cash = load(&balance->cash);
        if (unchanged(balance, available, cash)) {
            break;
        }
    }
    out->available_e6 = at_least_zero(available);
    out->cash_e6 = cash;
    out->held_e6 = at_least_zero(cash - available);
    out->shortfall_e6 = at_least_zero(-available);
}

pa_status pa_balance_reserve(pa_balance *balance, int64_t amount_e6) {
    return pa_balance_reserve_inline(balance, amount_e6);
}

pa_status pa_balance_release(pa_balance *balance, int64_t amount_e6) {
    if (!in_range(amount_e6)) {
        return PA_E_RANGE;
    }
    int64_t available = load(&balance->available);
    for (;;) {
        /* Cash second: a deposit raises it first, so this order can only make the hold look
         * larger than it is, never refuse a rightful one. */
        const int64_t cash = load(&balance->cash);
        if (cash - available < amount_e6) {
            if (unchanged(balance, available, cash)) {
                return PA_E_RANGE;
            }
            available = load(&balance->available);
        } else if (swap(&balance->available, &available, available + amount_e6)) {
            return PA_OK;
        }
    }
}

pa_status pa_balance_commit(pa_balance *balance, int64_t amount_e6) {
    if (!in_range(amount_e6)) {
        return PA_E_RANGE;
    }
    int64_t cash = load(&balance->cash);
    for (;;) {
        const int64_t available = load(&balance->available);
        if (cash - available < amount_e6 || cash < amount_e6) {
            if (unchanged(balance, available, cash)) {
                return cash - available < amount_e6 ? PA_E_RANGE : PA_E_FUNDS;
            }
            cash = load(&balance->cash);
        } else if (swap(&balance->cash, &cash, cash - amount_e6)) {
            return PA_OK;
        }
    }
}

pa_status pa_balance_credit(pa_balance *balance, int64_t amount_e6) {
    if (!in_range(amount_e6)) {
        return PA_E_RANGE;
    }
    int64_t cash = load(&balance->cash);
    do {
        if (cash > PA_CASH_MAX_E6 - amount_e6) {
            return PA_E_RANGE;
        }
    } while (!swap(&balance->cash, &cash, cash + amount_e6));
    /* Killed here, the money shows as held: less may be promised than we own. The other order
     * would let a reservation take it before it is ours. */
    (void)raise(&balance->available, amount_e6);
    return PA_OK;
}

pa_status pa_balance_reconcile(pa_balance *balance, int64_t exchange_cash_e6,
                               int64_t *shortfall_e6) {
    if (exchange_cash_e6 < 0 || exchange_cash_e6 > PA_CASH_MAX_E6) {
        return PA_E_RANGE;
    }
    int64_t taken = 0; /* by how much `available` is lower than when we began */
    int64_t cash = load(&balance->cash);
    for (;;) {
        const int64_t excess = cash - exchange_cash_e6;
        if (excess > taken) { /* before the cash goes, so that it cannot be promised */
            (void)raise(&balance->available, taken - excess);
            taken = excess;
        }
        const int64_t before = cash;
        if (swap(&balance->cash, &cash, exchange_cash_e6)) {
            /* Our own move of the cash is -excess; what of it `available` has not followed,
             * or followed too far because others committed meanwhile, it follows now. */
            const int64_t due = taken - (before - exchange_cash_e6);
            const int64_t available = raise(&balance->available, due);
            *shortfall_e6 = at_least_zero(-available);
            return available < 0 ? PA_E_FUNDS : PA_OK;
        }
    }
}

pa_status pa_balance_restore(pa_balance *balance, int64_t cash_e6, int64_t held_e6) {
    if (cash_e6 < 0 || cash_e6 > PA_CASH_MAX_E6 || held_e6 < 0 || held_e6 > cash_e6) {
        return PA_E_RANGE;
    }
    /* Nothing is available while the cash changes. Release pairs with load(). */
    atomic_store_explicit(&balance->available, 0, memory_order_release);
    atomic_store_explicit(&balance->cash, cash_e6, memory_order_release); /* pairs with load() */
    atomic_store_explicit(&balance->available, cash_e6 - held_e6, memory_order_release); /* same */
    return PA_OK;
}
