/* basket/basket.h -- how much of an opportunity to buy, exactly.
 *
 * Idea     all legs buy the same number of sets n (leg i: weight_i x n shares), n on the lattice of
 *          0.01 sets that order sizes live on. Every leg walks its own asks, so the cost of n sets
 *          is convex and piecewise linear, but for rounding: segment by segment the slope of the
 *          profit falls. The search finds the segment where it turns, then visits candidates from
 *          there outwards while a bound that leaves all rounding out still exceeds the best profit
 *          found: the answer is that of trying every n, and of equal ones the smallest.
 * Cost     of a leg, rounded against us everywhere:
 *          notional  each level's price x shares up to 1e-6; FAK and FOK: 1e-6 more for a level
 *                    whose size is off the lattice, where a fill may round up that ends one;
 *          FAK, FOK  the order is a collateral budget in whole cents: the notional rounded up to
 *                    the cent. The cent is counted as spent, what it may buy is not counted;
 *          GTC       the order is limit x shares; what it costs is the notional of the levels;
 *          fee       shares x rate x (p(1-p))^exponent of every level, up to 1e-6. The venue rounds
 *                    each fill to 1e-5, and a level may be many orders of which only the sum is
 *                    public: half a unit of 1e-5 is charged for every minimum size there is room
 *                    for, and one unit for two orders of which a remainder is left. What the
 *                    rest of a last cent buys is charged too. A rate of 0 costs nothing.
 * Payoff   of n sets less 0.0001: an order with less than that left may count as filled.
 * Amounts  FAK, FOK: maker = the budget; taker = maker / limit, cut to 4 decimals (3 at tick 0.1).
 *          GTC: maker = limit x shares, taker = shares: exact on the lattice (protocol.md section
 *          10). The limit is the worst level taken, plus slippage, at most 1 - tick. Shares, and
 *          the taker amount too, are at least the market's minimum; maker at least $1. A FOK budget
 *          that was rounded up must find the rest of its last cent on the book as seen.
 * Loss     worst_loss_e6 bounds what we can lose whatever part of whatever legs is filled at
 *          whatever prices up to the limits, in every outcome state. For one state the legs add
 *          up, and each leg's fill is free of the others', so it is the sum of the legs' maxima,
 *          none of which is below "no fill", 0. Let v be what a share pays and h(p) = p + fee(p)
 *          what it costs. dh/dp >= 1 - rate >= 0, so:
 *          GTC       q shares lose at most q (h(limit) - v), linear in q: nothing or all of it.
 *          FAK, FOK  a budget m at price p loses m (1 + (fee(p) - v) / p), linear in m: nothing or
 *                    all of it. With v = 0 it is worst at the lowest price (exponent 2: at 1/3),
 *                    where a dollar buys the most fee. With v > rate limit^2 it grows with p: worst
 *                    at the limit (asked with a margin, limit / 16). Between the two, the highest
 *                    fee and the fewest shares are taken together, which no fill reaches.
 *          A mixture of prices is a mean of single ones. Rounding (fills of at least the minimum
 *          size, but for two at each of as many prices as the book showed) is added on top.
 *          The bound never falls when n grows: each piece is the ceiling of a rising real.
 * Unwind   selling q shares into the bids brings R(q), concave, so the cost of a fill, linear in q,
 *          less R(q) is convex: nothing or all of it is worst again. Sold are whole lattice steps
 *          (one step's worth at the best bid is added for the remainder), the rest counts 0.
 * Caps     on outlay_e6, the same bound without payoff: what the orders can cost at most.
 * Threads  any; `work` is the caller's, one per thread.
 * Heap     none.
 */
#ifndef PA_BASKET_BASKET_H
#define PA_BASKET_BASKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "book/store.h"

/* cffi:begin */
#define PA_BASKET_LEGS_MAX 256
#define PA_BASKET_LEVELS_MAX 256
#define PA_BASKET_STATES_MAX 4096
#define PA_BASKET_WEIGHTS_MAX 512              /* sum of a basket's weights               */
#define PA_BASKET_SLIPPAGE_MAX 10000           /* ticks                                   */
#define PA_BASKET_SHARES_MAX_E6 100000000000000 /* of a leg; deeper books are cut there   */
#define PA_BASKET_CAP_MAX_E6 1000000000000000000
#define PA_LATTICE_E6 10000                    /* 0.01 shares                             */
#define PA_DUST_E6 100 /* shares of an order that the venue may leave as nothing          */

typedef enum pa_style { PA_STYLE_FAK = 0, PA_STYLE_FOK, PA_STYLE_GTC, PA_STYLE_COUNT } pa_style;

/* Why there is no plan: the first condition, in this order, that together with those above it
 * leaves no n with a profit. */
typedef enum pa_sizing {
    PA_SIZING_OK = 0,
    PA_SIZING_DEPTH,    /* some leg has less than a lattice step of asks     */
    PA_SIZING_NO_EDGE,  /* the first share already costs what it pays        */
    PA_SIZING_LATTICE,  /* the edge is smaller than what rounding takes      */
    PA_SIZING_MINIMUM,  /* shares or taker amount below the market's minimum */
    PA_SIZING_DOLLAR,   /* a maker amount below $1                           */
    PA_SIZING_CASH,     /* the caps                                          */
    PA_SIZING_RELATION,
    PA_SIZING_EVENT,
    PA_SIZING_LOSS,
    PA_SIZING_COUNT
} pa_sizing;

typedef struct pa_basket_leg {
    const pa_book_level *asks; /* best first: prices rise, sizes above 0            */
    const pa_book_level *bids; /* best first: prices fall; only for unwinding       */
    int64_t min_size_e6;       /* the market's, PA_LATTICE_E6..PA_BASKET_SHARES_MAX_E6 */
    uint32_t ask_count;        /* 0..PA_BASKET_LEVELS_MAX                           */
    uint32_t bid_count;
    uint32_t weight;           /* shares of a set, 1..PA_BASKET_WEIGHTS_MAX         */
    int32_t tick_e4;           /* one of the six                                    */
    int32_t rate_e6;           /* fee, 0..1000000                                   */
    int32_t exponent;          /* 1 or 2                                            */
} pa_basket_leg;

typedef struct pa_basket {
    const pa_basket_leg *legs;
    const uint32_t *pays;    /* [state][leg]: what a share pays, 0..1000000         */
    int64_t payoff_e6;       /* of a set, 1..512000000; at most the least over the states */
    int64_t cash_e6;         /* caps on outlay_e6, 0..PA_BASKET_CAP_MAX_E6          */
    int64_t relation_e6;
    int64_t event_e6;
    int64_t loss_e6;         /* cap on worst_loss_e6                                */
    uint32_t leg_count;      /* 1..PA_BASKET_LEGS_MAX                               */
    uint32_t state_count;    /* 1..PA_BASKET_STATES_MAX                             */
    int32_t style;           /* pa_style                                            */
    uint32_t slippage_ticks; /* each leg's own; 0..PA_BASKET_SLIPPAGE_MAX           */
} pa_basket;

/* One order to send, and what it can come to. */
typedef struct pa_sized_leg {
    int64_t shares_e6;   /* weight x n, on the lattice; the book as seen gives at least that,
                            less PA_DUST_E6                                         */
    int64_t maker_e6;    /* the order's amounts                                     */
    int64_t taker_e6;
    int64_t notional_e6; /* of shares_e6 on the book as seen                        */
    int64_t cost_e6;     /* what is counted as spent: FAK, FOK: maker_e6; GTC: notional_e6 */
    int64_t fee_e6;      /* at most, on the book as seen                            */
    int64_t outlay_e6;   /* at most, fee included, at any prices up to the limit    */
    int64_t unwind_e6;   /* lost if this leg alone is filled as seen and sold at once into the
                            bids, fees included; below 0: won                       */
    int32_t limit_e4;
    uint32_t levels;     /* of the asks that it reaches into                        */
} pa_sized_leg;

typedef struct pa_sized {
    int64_t sets_e6;          /* n                                                  */
    int64_t cost_e6;          /* sums over the legs                                 */
    int64_t fee_e6;
    int64_t outlay_e6;
    int64_t payoff_e6;        /* of n sets, at least                                */
    int64_t profit_e6;        /* payoff - cost - fee, > 0                           */
    int64_t worst_loss_e6;    /* over every partial fill and every state            */
    int64_t worst_unwind_e6;  /* over every partial fill, sold into the bids        */
    int32_t reason;           /* pa_sizing; all else is zero unless PA_SIZING_OK    */
    uint32_t worst_state;     /* where worst_loss_e6 is reached                     */
} pa_sized;

typedef struct pa_basket_work pa_basket_work;

/* How many bytes, 64-aligned, the caller allocates for a pa_basket_work; any content. */
size_t pa_basket_work_bytes(void);

/* "no_edge", …; NULL outside the enumeration. Static storage. */
const char *pa_sizing_name(int reason);

/* Size `basket` into *out and legs[leg_count]; `legs` is written only with PA_SIZING_OK.
 * PA_E_RANGE: something outside the ranges above, or a payoff that some state does not pay. What
 * lies deeper in a ladder than was looked at is not checked. */
pa_status pa_basket_size(const pa_basket *basket, pa_basket_work *work, pa_sized *out,
                         pa_sized_leg *legs);

/* The same with asks and bids from the owner's books: leg i of slots[i], up to `levels` levels a
 * side, 1..PA_BASKET_LEVELS_MAX. The legs' own asks and bids are ignored. Owner only.
 * PA_E_RANGE: as above, or no such slot. */
pa_status pa_basket_size_books(pa_arena *arena, const uint32_t *slots, uint32_t levels,
                               const pa_basket *basket, pa_basket_work *work, pa_sized *out,
                               pa_sized_leg *legs);
/* cffi:end */

_Static_assert(sizeof(pa_basket_leg) == 48 && sizeof(pa_basket) == 72 &&
                   sizeof(pa_sized_leg) == 72 && sizeof(pa_sized) == 72,
               "no padding: they cross to Python");

#endif
