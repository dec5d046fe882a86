#include "basket/basket.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define STEP_E6 PA_LATTICE_E6
#define CENT_E6 10000
#define DOLLAR_E6 1000000
#define ONE_E4 10000
#define TWICE_E2_PEAK 3333 /* p (1 - p)^2 x 10^12 is highest there, of whole 10^-4 */
#define FILL 5             /* half of 1e-5: rounding of one fill's fee, nearest     */
#define ODD 10             /* that of a level's two remainders                      */
#define LOSS_FILL(rate) ((rate) > 0 ? FILL + 2 : 2) /* and of its price x shares    */
#define LEVEL_MAX 13       /* what a level's constants and roundings add, at most   */
#define PERIOD_MIN 100     /* steps in which a payoff gains a whole number          */

typedef unsigned __int128 u128;
typedef __int128 i128;

/* Profits are compared as bounds x 100 x 2^32: a step pays payoff / 100, fees are of 2^32. */
#define WHOLE ((i128)1 << 32)
#define SCALE (100 * WHOLE)

/* A level that holds at least one lattice step of the leg. `h` counts steps: 0.01 sets. */
typedef struct rung {
    int64_t last;     /* last h that ends in this level                            */
    int64_t from_e6;  /* shares of the levels before                               */
    int64_t base_e6;  /* notional(h) = base + step x h, exactly                    */
    int64_t fee_e6;   /* of the levels before, and the constant part of this one's */
    uint64_t unit;    /* fee a share, of 2^32                                      */
    uint64_t rest;    /* fee a dollar of a last cent's rest, of 2^32               */
    int32_t price_e4;
    int32_t limit_e4;
    uint32_t level;   /* index in asks                                             */
    uint32_t reserved;
} rung;

typedef struct leg {
    const pa_basket_leg *in;
    rung *rungs;
    int64_t shares_e6, cost_e6, fee_e6, last; /* of the levels read so far */
    int64_t step_e6;                          /* shares of one h           */
    int64_t h_min;                            /* that has the minimum size */
    uint64_t piece;                           /* rounding of fills, a share, of 2^32 */
    uint32_t read, count, at;                 /* levels read, rungs, the walk's rung  */
    int32_t price_e4;                         /* of the last level read    */
} leg;

/* Steps that are looked at together: two of the compiler's vectors, 16 bytes on any machine. */
#define LANES 16
typedef int16_t lanes __attribute__((vector_size(16)));

/* What the caps need of a leg at some h. */
typedef struct bound {
    int64_t outlay_e6, whole_e6; /* lost where a share pays 0, and 1 */
} bound;

struct pa_basket_work {
    const pa_basket *in;
    int64_t first, last; /* the walk's segment           */
    int64_t slope;    /* by how much a step more raises upper() in it, x SCALE    */
    int64_t ends[PA_BASKET_LEGS_MAX]; /* last h of the legs' rungs */
    uint32_t feed;    /* legs with a fee                 */
    int64_t period;   /* steps after which the rests of all last cents are back   */
    uint32_t peak[PA_BASKET_LEGS_MAX];
    lanes rests[PA_BASKET_LEGS_MAX][2]; /* of the legs' last cents, for a block of h */
    int16_t moves[PA_BASKET_LEGS_MAX];
    leg legs[PA_BASKET_LEGS_MAX];
    bound bounds[PA_BASKET_LEGS_MAX];
    int64_t bounds_h, outlay_e6, loss_e6; /* of which h the bounds are, and their sums  */
    uint32_t loss_state;
    pa_basket_leg copies[PA_BASKET_LEGS_MAX];
    rung rungs[PA_BASKET_LEGS_MAX][PA_BASKET_LEVELS_MAX];
    pa_book_level levels[PA_BASKET_LEGS_MAX][2][PA_BASKET_LEVELS_MAX];
};

/* Which conditions a search keeps, and the best that it found; h 0: none. */
typedef struct search {
    bool minimum, dollar;
    int64_t h_max;
    int64_t h, profit_e6;
} search;

static const char *const NAMES[PA_SIZING_COUNT] = {
    [PA_SIZING_OK] = "ok",
    [PA_SIZING_DEPTH] = "depth",
    [PA_SIZING_NO_EDGE] = "no_edge",
    [PA_SIZING_LATTICE] = "lattice",
    [PA_SIZING_MINIMUM] = "below_minimum",
    [PA_SIZING_DOLLAR] = "one_dollar",
    [PA_SIZING_CASH] = "cash",
    [PA_SIZING_RELATION] = "relation",
    [PA_SIZING_EVENT] = "event",
    [PA_SIZING_LOSS] = "loss",
};

size_t pa_basket_work_bytes(void) {
    return (sizeof(pa_basket_work) + 63) / 64 * 64;
}

const char *pa_sizing_name(int reason) {
    return reason >= 0 && reason < PA_SIZING_COUNT ? NAMES[reason] : NULL;
}

/* ---- arithmetic: operands >= 0 unless said ---- */

static int64_t up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static uint64_t up128(u128 a, u128 b) {
    return (uint64_t)((a + b - 1) / b);
}

/* value x of / 2^32, up. */
static int64_t part_up(int64_t value, uint64_t of) {
    return (int64_t)(((u128)(uint64_t)value * of + UINT32_MAX) >> 32);
}

static int64_t signed_up(i128 a, i128 b) {
    return (int64_t)(a >= 0 ? (a + b - 1) / b : -(-a / b));
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* rate x (p (1 - p))^exponent, of 2^32, up: for exponent 1 the powers of two cancel and
 * 10^6 x 10^8 leaves 5^14 / 2^18. */
static uint64_t fee_unit(const pa_basket_leg *in, int64_t price_e4) {
    const uint64_t curve = (uint64_t)(price_e4 * (ONE_E4 - price_e4));
    const uint64_t rate = (uint64_t)in->rate_e6;
    if (in->exponent == 1) { /* at most 10^6 x 25 x 10^6 x 2^18 < 2^63 */
        return (((rate * curve) << 18) + 6103515624U) / 6103515625U;
    }
    /* 10^6 x 10^16 = 2^22 x 5^22 */
    return up128(((u128)rate * curve * curve) << 10, 2384185791015625U);
}

static uint64_t piece_unit(const pa_basket_leg *in, uint64_t rounding) {
    return ((rounding << 32) + (uint64_t)in->min_size_e6 - 1) / (uint64_t)in->min_size_e6;
}

/* `unit` a share into a dollar at `price`. */
static uint64_t a_dollar(uint64_t unit, int64_t price_e4) {
    return (unit * ONE_E4 + (uint64_t)price_e4 - 1) / (uint64_t)price_e4;
}

static int64_t level_fee(const pa_basket_leg *in, uint64_t unit, int64_t shares_e6) {
    return in->rate_e6 == 0 ? 0 : part_up(shares_e6, unit) + ODD;
}

/* ---- ladders ---- */

/* The fee a dollar on what the rest of a last cent buys, at this level or above. Fee over price
 * falls with the price for exponent 1, and for exponent 2 from its peak on. */
static uint64_t rest_unit(const leg *l, const rung *r) {
    if (l->in->exponent == 1 || r->price_e4 >= TWICE_E2_PEAK) {
        return a_dollar(r->unit, r->price_e4);
    }
    const int64_t at = least(r->limit_e4, TWICE_E2_PEAK);
    if (at == r->price_e4) {
        return a_dollar(r->unit, at);
    }
    return a_dollar(fee_unit(l->in, at), at) + a_dollar(l->piece, r->price_e4);
}

/* The next rung of a leg. *more says whether there is one. */
static pa_status extend(const pa_basket *in, leg *l, bool *more) {
    const pa_basket_leg *leg_in = l->in;
    *more = false;
    while (l->read < leg_in->ask_count && l->shares_e6 < PA_BASKET_SHARES_MAX_E6) {
        const pa_book_level *level = &leg_in->asks[l->read];
        const int64_t price = level->price_e4;
        if (price <= l->price_e4 || price >= ONE_E4 || price % leg_in->tick_e4 != 0 ||
            level->size_e6 <= 0) {
            return PA_E_RANGE;
        }
        const int64_t size = least(level->size_e6, PA_BASKET_SHARES_MAX_E6 - l->shares_e6);
        const bool off = in->style != PA_STYLE_GTC && level->size_e6 % STEP_E6 != 0;
        const uint64_t unit = leg_in->rate_e6 == 0 ? 0 : fee_unit(leg_in, price) + l->piece;
        rung *r = &l->rungs[l->count];
        *r = (rung){
            .from_e6 = l->shares_e6,
            .base_e6 = l->cost_e6 + off - price * l->shares_e6 / ONE_E4,
            .fee_e6 = l->fee_e6 + (leg_in->rate_e6 == 0 ? 0 : ODD),
            .unit = unit,
            .price_e4 = (int32_t)price,
            .limit_e4 = (int32_t)least(price + (int64_t)in->slippage_ticks * leg_in->tick_e4,
                                       ONE_E4 - leg_in->tick_e4),
            .level = l->read,
        };
        l->shares_e6 += size;
        l->cost_e6 += up(price * size, ONE_E4) + off; /* price x size <= 10^18 */
        l->fee_e6 += level_fee(leg_in, unit, size);
        l->price_e4 = (int32_t)price;
        ++l->read;
        r->last = l->shares_e6 / l->step_e6;
        if (r->last > l->last) {
            r->rest = rest_unit(l, r);
            l->last = r->last;
            ++l->count;
            *more = true;
            return PA_OK;
        }
    }
    return PA_OK;
}

static const rung *at(const leg *l) {
    return &l->rungs[l->at];
}

static int64_t rung_first(const leg *l) {
    return l->at == 0 ? 1 : l->rungs[l->at - 1].last + 1;
}

static int64_t notional(const leg *l, const rung *r, int64_t h) {
    return r->base_e6 + r->price_e4 * (int64_t)l->in->weight * h;
}

static int64_t rest_of_cent(int64_t notional_e6) {
    const int64_t over = notional_e6 % CENT_E6;
    return over == 0 ? 0 : CENT_E6 - over;
}

static int64_t cost(const pa_basket *in, int64_t notional_e6) {
    return in->style == PA_STYLE_GTC ? notional_e6 : notional_e6 + rest_of_cent(notional_e6);
}

static int64_t fee(const pa_basket *in, const leg *l, const rung *r, int64_t h) {
    if (l->in->rate_e6 == 0) {
        return 0;
    }
    int64_t sum = r->fee_e6 + part_up(h * l->step_e6 - r->from_e6, r->unit);
    const int64_t rest = in->style == PA_STYLE_GTC ? 0 : rest_of_cent(notional(l, r, h));
    if (rest > 0) {
        sum += part_up(rest, r->rest) + ODD;
    }
    return sum;
}

static int64_t dust(const pa_basket *in) {
    return up(in->payoff_e6 * PA_DUST_E6, 1000000);
}

static int64_t payoff(const pa_basket *in, int64_t h) {
    return in->payoff_e6 * h / 100 - dust(in); /* < 2^63: 512 x 10^6 x 10^10 */
}

static int64_t profit(const pa_basket_work *w, int64_t h) {
    const pa_basket *in = w->in;
    int64_t sum = payoff(in, h);
    for (uint32_t i = 0; i < in->leg_count; ++i) {
        const leg *l = &w->legs[i];
        sum -= cost(in, notional(l, at(l), h)) + fee(in, l, at(l), h);
    }
    return sum;
}

/* FOK: the rest of the last cent is on the book as seen, at prices up to the limit. */
static bool takes_whole(const leg *l, int64_t h) {
    const rung *r = at(l);
    const int64_t rest = rest_of_cent(notional(l, r, h));
    if (rest == 0) {
        return true;
    }
    if (r->limit_e4 <= 100) { /* a cent may end in a fraction that buys nothing */
        return false;
    }
    int64_t left_e6 = r->from_e6 - h * l->step_e6, more = 0;
    for (uint32_t i = r->level; i < l->in->ask_count && more < rest; ++i) {
        const pa_book_level *level = &l->in->asks[i];
        if (level->price_e4 > r->limit_e4) {
            break;
        }
        left_e6 += least(level->size_e6, PA_BASKET_SHARES_MAX_E6);
        more += level->price_e4 * left_e6 / ONE_E4;
        left_e6 = 0;
    }
    return more >= rest;
}

static bool fits(const pa_basket_work *w, int64_t h) {
    if (w->in->style == PA_STYLE_FOK) {
        for (uint32_t i = 0; i < w->in->leg_count; ++i) {
            if (!takes_whole(&w->legs[i], h)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- the walk over segments: runs of h in which every leg stays on one rung ---- */

/* What a step costs on a rung, x SCALE; of 512 shares at most 2^62. */
static int64_t step_cost(const leg *l) {
    const int64_t weight = l->in->weight;
    return ((100 * weight * at(l)->price_e4) << 32) + 100 * l->step_e6 * (int64_t)at(l)->unit;
}

/* After the legs' rungs were set. */
static void measure(pa_basket_work *w) {
    w->first = 1;
    w->last = INT64_MAX;
    w->slope = w->in->payoff_e6 << 32; /* at most 2^61 */
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        const leg *l = &w->legs[i];
        w->ends[i] = at(l)->last;
        w->first = most(w->first, rung_first(l));
        w->last = least(w->last, at(l)->last);
        w->slope -= step_cost(l);
    }
}

static void move_leg(pa_basket_work *w, uint32_t i, uint32_t to) {
    leg *l = &w->legs[i];
    w->slope += step_cost(l);
    l->at = to;
    w->slope -= step_cost(l);
    w->ends[i] = at(l)->last;
}

static void measure_last(pa_basket_work *w) {
    w->last = INT64_MAX;
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        w->last = least(w->last, w->ends[i]);
    }
}

/* To the segment that follows. *more: there is one; otherwise the walk has not moved. */
static pa_status forward(pa_basket_work *w, bool *more) {
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        leg *l = &w->legs[i];
        if (w->ends[i] == w->last && l->at + 1 == l->count) {
            const pa_status status = extend(w->in, l, more);
            if (status != PA_OK || !*more) {
                return status;
            }
        }
    }
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        if (w->ends[i] == w->last) {
            move_leg(w, i, w->legs[i].at + 1);
        }
    }
    *more = true;
    w->first = w->last + 1;
    measure_last(w);
    return PA_OK;
}

static bool backward(pa_basket_work *w) {
    if (w->first == 1) {
        return false;
    }
    const int64_t last = w->first - 1;
    w->first = 1;
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        const leg *l = &w->legs[i];
        if (rung_first(l) == last + 1) {
            move_leg(w, i, l->at - 1);
        }
        w->first = most(w->first, rung_first(l));
    }
    w->last = last;
    return true;
}

/* The profit at h without what is rounded at the end, x SCALE: never below profit(h). */
static i128 upper(const pa_basket_work *w, int64_t h) {
    i128 sum = ((i128)w->in->payoff_e6 * h << 32) - dust(w->in) * SCALE;
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        const leg *l = &w->legs[i];
        const rung *r = at(l);
        i128 spent = (i128)notional(l, r, h) << 32;
        if (l->in->rate_e6 != 0) {
            spent += (i128)r->fee_e6 << 32;
            spent += (i128)(h * l->step_e6 - r->from_e6) * (int64_t)r->unit;
        }
        sum -= 100 * spent;
    }
    return sum;
}

/* What the constants and roundings of all levels reached can have taken from upper(), x SCALE. */
static i128 constants(const pa_basket_work *w) {
    int64_t levels = 0;
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        levels += at(&w->legs[i])->level + 1;
    }
    return levels * LEVEL_MAX * SCALE;
}

/* The least h of the leg's present rung and beyond that keeps the conditions of `s`. */
static int64_t leg_lowest(const pa_basket *in, const search *s, const leg *l) {
    const rung *r = at(l);
    const int64_t step = r->price_e4 * (int64_t)l->in->weight;
    const int64_t dollar = s->dollar ? DOLLAR_E6 : 0;
    const int64_t h_min = s->minimum ? l->h_min : 1;
    if (in->style == PA_STYLE_GTC) {
        return most(h_min, up(dollar, r->limit_e4 * (int64_t)l->in->weight));
    }
    int64_t budget = dollar;
    if (s->minimum) { /* taker = budget / limit, cut to units, >= minimum */
        const int64_t unit = l->in->tick_e4 == 1000 ? 1000 : 100;
        budget = most(budget, up(up(l->in->min_size_e6, unit) * unit * r->limit_e4, ONE_E4));
    }
    /* The notional rounds up to that budget or beyond from the cent below it, exclusive, on. */
    const int64_t wanted = up(budget, CENT_E6) * CENT_E6 - CENT_E6 + 1 - r->base_e6;
    return most(h_min, wanted <= 0 ? 1 : up(wanted, step));
}

static int64_t lowest(const pa_basket_work *w, const search *s) {
    int64_t h = w->first;
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        h = most(h, leg_lowest(w->in, s, &w->legs[i]));
    }
    return h;
}

/* ---- the search ---- */

/* A run of h within the segment, from its better end on, and what is still worth finding. */
typedef struct run {
    int64_t h, step, left; /* next, +1 or -1, how many      */
    i128 bound;            /* upper(h)                      */
    int64_t decline;       /* of it with every step, x SCALE */
    int64_t need;          /* least profit that improves     */
} run;

/* Exactly one h. */
static void try(const pa_basket_work *w, search *s, run *r, int64_t h) {
    const int64_t found = profit(w, h);
    if (found >= r->need && fits(w, h)) {
        s->h = h;
        s->profit_e6 = found;
        r->need = found + (r->step > 0);
    }
}

/* Notionals have nothing left to round: the first few h decide. */
static void try_each(const pa_basket_work *w, search *s, run *r) {
    for (; r->left > 0 && r->bound >= r->need * SCALE; --r->left) {
        try(w, s, r, r->h);
        r->h += r->step;
        r->bound -= r->decline;
    }
}

/* Put the rests of every leg's last cent at LANES steps from r->h on into w->rests, and what a
 * block of steps adds to them, modulo a cent, into w->moves. */
static void rests_begin(pa_basket_work *w, const run *r) {
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        const leg *l = &w->legs[i];
        const int64_t cents = (int64_t)l->in->weight * at(l)->price_e4 % CENT_E6;
        const int64_t move = r->step > 0 ? (CENT_E6 - cents) % CENT_E6 : cents;
        int64_t rest = rest_of_cent(notional(l, at(l), r->h));
        for (int t = 0; t < LANES; ++t) {
            w->rests[i][t / 8][t % 8] = (int16_t)rest;
            rest += move;
            rest -= rest >= CENT_E6 ? CENT_E6 : 0;
        }
        w->moves[i] = (int16_t)(move * LANES % CENT_E6);
    }
}

/* (a + b) modulo a cent, both below one. */
static lanes moved(lanes a, lanes b) {
    const lanes sum = a + b;
    return sum - (((CENT_E6 - 1 - sum) >> 15) & CENT_E6); /* the sign, in every bit */
}

/* Sum the legs' rests, each in units of 128 cut, and move on to the next block. A lane's sum stays
 * below 256 x 79 < 2^15. */
static void rests_sum(pa_basket_work *w, uint16_t sums[LANES]) {
    lanes low = {0}, high = {0};
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        lanes *rests = w->rests[i];
        const lanes move = w->moves[i] - (lanes){0};
        low += rests[0] >> 7;
        high += rests[1] >> 7;
        rests[0] = moved(rests[0], move);
        rests[1] = moved(rests[1], move);
    }
    memcpy(sums, &low, sizeof low);
    memcpy(sums + 8, &high, sizeof high);
}

/* Budgets in whole cents: what their rests take is summed for a block of h at once, and only an
 * h that still could improve is looked at. */
static void try_blocks(pa_basket_work *w, search *s, run *r) {
    rests_begin(w, r);
    for (; r->left > 0 && r->bound >= r->need * SCALE; r->left -= LANES) {
        uint16_t sums[LANES];
        rests_sum(w, sums);
        const int64_t room = (int64_t)((r->bound - r->need * SCALE) >> 32) / 100 >> 7;
        const int count = (int)least(r->left, LANES);
        for (int t = 0; t < count; ++t) {
            const int64_t taken = sums[t];
            if (taken <= room &&
                r->bound - t * (i128)r->decline >= (r->need + (taken << 7)) * SCALE) {
                try(w, s, r, r->h + t * r->step);
            }
        }
        r->h += LANES * r->step;
        r->bound -= LANES * (i128)r->decline;
    }
}

/* Visit the segment's h from its better end on, as long as the bound allows an improvement. Beyond
 * one period every cent remainder has been seen with a better bound; what differs then is one
 * rounded fee a leg. (A FOK budget near the end of a level may only be refused for want of depth
 * there: one period more.) */
static void visit(pa_basket_work *w, search *s) {
    const bool falling = w->slope <= 0;
    const int64_t low = lowest(w, s), high = least(w->last, s->h_max);
    if (low > high) {
        return;
    }
    run r = {
        .h = falling ? low : high,
        .step = falling ? 1 : -1,
        .left = high - low + 1,
        .decline = falling ? -w->slope : w->slope,
        .need = s->h == 0 ? 1 : s->profit_e6 + falling,
    };
    r.bound = upper(w, r.h);
    if (w->feed == 0 || (i128)r.decline * w->period >= (w->feed + !falling) * SCALE) {
        r.left = least(r.left, w->in->style == PA_STYLE_FOK ? 2 * w->period : w->period);
    }
    if (w->in->style == PA_STYLE_GTC) {
        try_each(w, s, &r);
    } else {
        try_blocks(w, s, &r);
    }
}

static void remember(pa_basket_work *w, bool store) {
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        if (store) {
            w->peak[i] = w->legs[i].at;
        } else {
            w->legs[i].at = w->peak[i];
        }
    }
    measure(w);
}

/* Find the best h <= s->h_max. The bound without constants is concave, its slope that of upper():
 * left of a visited segment it is at most its value at that segment's first h, right of it at its
 * last. */
static pa_status solve(pa_basket_work *w, search *s) {
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        w->legs[i].at = 0;
    }
    measure(w);
    bool more = true;
    while (more && w->slope > 0 && w->last < s->h_max) {
        const pa_status status = forward(w, &more);
        if (status != PA_OK) {
            return status;
        }
    }
    if (w->slope <= 0 && !backward(w)) {
        return PA_OK;
    }
    remember(w, true);
    do {
        visit(w, s);
    } while (upper(w, w->first) + constants(w) >= most(s->profit_e6, 1) * SCALE && backward(w));
    remember(w, false);
    for (;;) {
        const pa_status status = forward(w, &more);
        if (status != PA_OK || !more || w->first > s->h_max ||
            upper(w, w->first) + constants(w) < (s->profit_e6 + 1) * SCALE) {
            return status;
        }
        visit(w, s);
    }
}

/* ---- bounds on what can go wrong ---- */

static void go_to(pa_basket_work *w, int64_t h) {
    for (uint32_t i = 0; i < w->in->leg_count; ++i) {
        leg *l = &w->legs[i];
        uint32_t low = 0, high = l->count - 1;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            if (l->rungs[middle].last >= h) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        l->at = low;
    }
    measure(w);
}

/* The most fee a dollar draws at prices from the tick to `limit`, of 2^32. */
static uint64_t dollar_fee(const pa_basket_leg *in, int64_t limit_e4, uint64_t rounding) {
    const uint64_t piece = piece_unit(in, rounding);
    if (in->exponent == 1) {
        return a_dollar(fee_unit(in, in->tick_e4) + piece, in->tick_e4);
    }
    const int64_t at_e4 = least(limit_e4, TWICE_E2_PEAK);
    return a_dollar(fee_unit(in, at_e4), at_e4) + a_dollar(piece, in->tick_e4);
}

static int64_t outlay(const pa_basket *in, const leg *l, int64_t h) {
    const rung *r = at(l);
    const pa_basket_leg *leg_in = l->in;
    const int64_t places = (int64_t)leg_in->ask_count + 1;
    const uint64_t rounding = leg_in->rate_e6 == 0 ? 0 : FILL;
    if (in->style == PA_STYLE_GTC) {
        const uint64_t unit = fee_unit(leg_in, r->limit_e4) + piece_unit(leg_in, rounding);
        return r->limit_e4 * (int64_t)leg_in->weight * h + part_up(h * l->step_e6, unit) +
               places * (leg_in->rate_e6 == 0 ? 1 : ODD + 2);
    }
    const int64_t budget = cost(in, notional(l, r, h));
    return budget + part_up(budget, dollar_fee(leg_in, r->limit_e4, rounding)) +
           places * (leg_in->rate_e6 == 0 ? 0 : ODD + 2);
}

/* Lost at most where a share pays `pays_e6` > 0. */
static int64_t leg_loss(const pa_basket *in, const leg *l, int64_t h, int64_t pays_e6) {
    const rung *r = at(l);
    const pa_basket_leg *leg_in = l->in;
    const int64_t limit = r->limit_e4, rounding = LOSS_FILL(leg_in->rate_e6);
    const uint64_t unit = fee_unit(leg_in, limit) + piece_unit(leg_in, (uint64_t)rounding);
    /* limit + fee - pays, x 10^6 x 2^32 */
    const i128 share = (100 * limit - pays_e6) * WHOLE + (i128)unit * 1000000;
    i128 lost;
    if (in->style == PA_STYLE_GTC) {
        lost = signed_up(share * (h * l->step_e6), (i128)1000000 << 32);
    } else {
        const int64_t budget = cost(in, notional(l, r, h));
        const int64_t turn = leg_in->rate_e6 * limit * limit + limit * 625000000 +
                             up(rounding * 100000000000000, leg_in->min_size_e6);
        i128 factor = share;
        if (pays_e6 * 100000000 < turn) {
            const uint64_t most_fee = dollar_fee(leg_in, limit, (uint64_t)rounding);
            factor = (100 * limit - pays_e6) * WHOLE + (i128)most_fee * (100 * limit);
        }
        lost = signed_up(factor * budget, (i128)(100 * limit) << 32);
    }
    return (lost > 0 ? (int64_t)lost : 0) + 2 * rounding * ((int64_t)leg_in->ask_count + 1);
}

/* Sum the legs' bounds at h; the walk goes there. */
static void set_bounds(pa_basket_work *w, int64_t h) {
    const pa_basket *in = w->in;
    const uint32_t *pays = in->pays;
    if (w->bounds_h == h) {
        return;
    }
    go_to(w, h);
    w->bounds_h = h;
    w->outlay_e6 = 0;
    for (uint32_t i = 0; i < in->leg_count; ++i) {
        w->bounds[i].outlay_e6 = outlay(in, &w->legs[i], h);
        w->bounds[i].whole_e6 = leg_loss(in, &w->legs[i], h, 1000000);
        w->outlay_e6 += w->bounds[i].outlay_e6;
    }
    w->loss_e6 = -1;
    for (uint32_t s = 0; s < in->state_count; ++s, pays += in->leg_count) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < in->leg_count; ++i) {
            sum += pays[i] == 0         ? w->bounds[i].outlay_e6
                   : pays[i] == 1000000 ? w->bounds[i].whole_e6
                                        : leg_loss(in, &w->legs[i], h, pays[i]);
        }
        if (sum > w->loss_e6) {
            w->loss_e6 = sum;
            w->loss_state = s;
        }
    }
}

/* Cash from selling the whole steps of `shares` into the bids, fees off; *levels reached into. */
static pa_status proceeds(const leg *l, int64_t shares_e6, int64_t *cash_e6, int64_t *levels) {
    const pa_basket_leg *in = l->in;
    int64_t left = shares_e6 / STEP_E6 * STEP_E6, sum = 0, before = ONE_E4;
    uint32_t i = 0;
    for (; i < in->bid_count && left > 0; ++i) {
        const int64_t price = in->bids[i].price_e4;
        if (price < 1 || price >= before || in->bids[i].size_e6 <= 0) {
            return PA_E_RANGE;
        }
        const int64_t sold = least(left, in->bids[i].size_e6);
        const uint64_t unit = in->rate_e6 == 0 ? 0 : fee_unit(in, price) + l->piece;
        sum += price * sold / ONE_E4 - level_fee(in, unit, sold);
        left -= sold;
        before = price;
    }
    *levels = i;
    *cash_e6 = sum > 0 ? sum : 0;
    return PA_OK;
}

static pa_status unwind(const pa_basket *in, const leg *l, int64_t h, const pa_sized_leg *leg_out,
                        int64_t *unwind_e6, int64_t *worst_e6) {
    int64_t cash, levels;
    pa_status status = proceeds(l, leg_out->shares_e6, &cash, &levels);
    if (status != PA_OK) {
        return status;
    }
    *unwind_e6 = leg_out->cost_e6 + leg_out->fee_e6 - cash;
    if (in->style != PA_STYLE_GTC) {
        const int64_t budget = cost(in, notional(l, at(l), h)), limit = leg_out->limit_e4;
        const int64_t fills = 2 * ((int64_t)l->in->ask_count + 1) +
                              up(up(budget * ONE_E4, limit), l->in->min_size_e6);
        status = proceeds(l, most(0, budget - fills) * ONE_E4 / limit, &cash, &levels);
    }
    *worst_e6 = most(0, leg_out->outlay_e6 - cash) +
                (l->in->bid_count > 0 ? l->in->bids[0].price_e4 : 0) + (ODD + 2) * levels;
    return status;
}

/* ---- checks, and the whole ---- */

static bool known_tick(int32_t tick_e4) {
    return tick_e4 == 1000 || tick_e4 == 100 || tick_e4 == 50 || tick_e4 == 25 || tick_e4 == 10 ||
           tick_e4 == 1;
}

static bool leg_in_range(const pa_basket_leg *in) {
    return in->weight >= 1 && in->weight <= PA_BASKET_WEIGHTS_MAX &&
           in->ask_count <= PA_BASKET_LEVELS_MAX && in->bid_count <= PA_BASKET_LEVELS_MAX &&
           known_tick(in->tick_e4) && in->min_size_e6 >= STEP_E6 &&
           in->min_size_e6 <= PA_BASKET_SHARES_MAX_E6 && in->rate_e6 >= 0 &&
           in->rate_e6 <= 1000000 && (in->exponent == 1 || in->exponent == 2);
}

static bool cap_in_range(int64_t cap_e6) {
    return cap_e6 >= 0 && cap_e6 <= PA_BASKET_CAP_MAX_E6;
}

static bool in_range(const pa_basket *in) {
    if (in->leg_count < 1 || in->leg_count > PA_BASKET_LEGS_MAX || in->state_count < 1 ||
        in->state_count > PA_BASKET_STATES_MAX || in->style < 0 || in->style >= PA_STYLE_COUNT ||
        in->slippage_ticks > PA_BASKET_SLIPPAGE_MAX || in->payoff_e6 < 1 ||
        in->payoff_e6 > 512000000 || !cap_in_range(in->cash_e6) ||
        !cap_in_range(in->relation_e6) || !cap_in_range(in->event_e6) ||
        !cap_in_range(in->loss_e6)) {
        return false;
    }
    uint32_t weights = 0;
    for (uint32_t i = 0; i < in->leg_count; ++i) {
        if (!leg_in_range(&in->legs[i])) {
            return false;
        }
        weights += in->legs[i].weight;
    }
    return weights <= PA_BASKET_WEIGHTS_MAX;
}

/* Every state pays at least payoff_e6 a set. */
static bool pays_enough(const pa_basket *in) {
    const uint32_t *pays = in->pays;
    for (uint32_t s = 0; s < in->state_count; ++s, pays += in->leg_count) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < in->leg_count; ++i) {
            if (pays[i] > 1000000) {
                return false;
            }
            sum += (uint64_t)pays[i] * in->legs[i].weight;
        }
        if (sum < (uint64_t)in->payoff_e6) {
            return false;
        }
    }
    return true;
}

/* The legs at their first rungs; *more: each has one. */
static pa_status begin(pa_basket_work *w, const pa_basket *in, bool *more) {
    int64_t grid = CENT_E6; /* a step moves every notional by a multiple of it */
    w->in = in;
    w->bounds_h = 0;
    w->feed = 0;
    for (uint32_t i = 0; i < in->leg_count; ++i) {
        const pa_basket_leg *leg_in = &in->legs[i];
        leg *l = &w->legs[i];
        *l = (leg){.in = leg_in, .rungs = w->rungs[i]};
        l->step_e6 = (int64_t)leg_in->weight * STEP_E6;
        l->h_min = up(leg_in->min_size_e6, l->step_e6);
        l->piece = leg_in->rate_e6 == 0 ? 0 : piece_unit(leg_in, FILL);
        w->feed += leg_in->rate_e6 != 0;
        grid = common_divisor(grid, leg_in->tick_e4);
        const pa_status status = extend(in, l, more);
        if (status != PA_OK || !*more) {
            return status;
        }
    }
    w->period = most(PERIOD_MIN, CENT_E6 / grid); /* 10 at tick 0.1, a tenth of the former */
    return PA_OK;
}

/* The largest h <= s->h whose outlay and loss are within the caps; both only rise with h. */
static int64_t within(pa_basket_work *w, int64_t h, int64_t outlay_e6, int64_t loss_e6) {
    int64_t low = 0, high = h;
    for (int64_t middle = h; low < high; middle = low + (high - low + 1) / 2) {
        set_bounds(w, middle);
        if (w->outlay_e6 <= outlay_e6 && w->loss_e6 <= loss_e6) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static pa_status solve_within(pa_basket_work *w, search *s, int64_t outlay_e6, int64_t loss_e6) {
    const pa_status status = solve(w, s);
    if (status != PA_OK || s->h == 0) {
        return status;
    }
    const int64_t h_max = within(w, s->h, outlay_e6, loss_e6);
    if (h_max == s->h) {
        return PA_OK;
    }
    *s = (search){.minimum = s->minimum, .dollar = s->dollar, .h_max = h_max};
    return h_max == 0 ? PA_OK : solve(w, s);
}

/* Why nothing keeps all conditions: which of them, one more at a time, leaves nothing. */
static pa_status explain(pa_basket_work *w, int32_t *reason) {
    const pa_basket *in = w->in;
    int64_t outlay_e6 = INT64_MAX;
    for (int32_t r = PA_SIZING_LATTICE; r < PA_SIZING_LOSS; ++r) {
        search s = {
            .minimum = r >= PA_SIZING_MINIMUM, .dollar = r >= PA_SIZING_DOLLAR, .h_max = INT64_MAX};
        outlay_e6 = r == PA_SIZING_CASH       ? in->cash_e6
                    : r == PA_SIZING_RELATION ? least(outlay_e6, in->relation_e6)
                    : r == PA_SIZING_EVENT    ? least(outlay_e6, in->event_e6)
                                              : outlay_e6;
        const pa_status status = solve_within(w, &s, outlay_e6, INT64_MAX);
        if (status != PA_OK || s.h == 0) {
            *reason = r;
            return status;
        }
    }
    *reason = PA_SIZING_LOSS;
    return PA_OK;
}

static void fill_leg(const pa_basket *in, const leg *l, int64_t h, pa_sized_leg *out) {
    const rung *r = at(l);
    const int64_t shares = h * l->step_e6, budget = cost(in, notional(l, r, h));
    const int64_t unit = l->in->tick_e4 == 1000 ? 1000 : 100;
    const bool limit_order = in->style == PA_STYLE_GTC;
    *out = (pa_sized_leg){
        .shares_e6 = shares,
        .maker_e6 = limit_order ? r->limit_e4 * (int64_t)l->in->weight * h : budget,
        .taker_e6 = limit_order ? shares : budget * ONE_E4 / r->limit_e4 / unit * unit,
        .notional_e6 = notional(l, r, h),
        .cost_e6 = budget,
        .fee_e6 = fee(in, l, r, h),
        .limit_e4 = r->limit_e4,
        .levels = r->level + 1,
    };
}

static pa_status fill(pa_basket_work *w, int64_t h, pa_sized *out, pa_sized_leg *legs) {
    const pa_basket *in = w->in;
    if (!pays_enough(in)) {
        return PA_E_RANGE;
    }
    set_bounds(w, h);
    go_to(w, h);
    out->outlay_e6 = w->outlay_e6;
    out->worst_loss_e6 = w->loss_e6;
    out->worst_state = w->loss_state;
    out->sets_e6 = h * STEP_E6;
    out->payoff_e6 = payoff(in, h);
    for (uint32_t i = 0; i < in->leg_count; ++i) {
        pa_sized_leg *leg_out = &legs[i];
        int64_t worst;
        fill_leg(in, &w->legs[i], h, leg_out);
        leg_out->outlay_e6 = w->bounds[i].outlay_e6;
        const pa_status status =
            unwind(in, &w->legs[i], h, leg_out, &leg_out->unwind_e6, &worst);
        if (status != PA_OK) {
            return status;
        }
        out->cost_e6 += leg_out->cost_e6;
        out->fee_e6 += leg_out->fee_e6;
        out->worst_unwind_e6 += worst;
    }
    out->profit_e6 = out->payoff_e6 - out->cost_e6 - out->fee_e6;
    assert(out->profit_e6 > 0);
    return PA_OK;
}

pa_status pa_basket_size(const pa_basket *basket, pa_basket_work *work, pa_sized *out,
                         pa_sized_leg *legs) {
    memset(out, 0, sizeof *out);
    if (!in_range(basket)) {
        return PA_E_RANGE;
    }
    bool more = false;
    pa_status status = begin(work, basket, &more);
    if (status != PA_OK) {
        return status;
    }
    if (!more) {
        out->reason = PA_SIZING_DEPTH;
        return PA_OK;
    }
    measure(work);
    if (work->slope <= 0) {
        out->reason = PA_SIZING_NO_EDGE;
        return PA_OK;
    }
    search s = {.minimum = true, .dollar = true, .h_max = INT64_MAX};
    const int64_t cap = least(basket->cash_e6, least(basket->relation_e6, basket->event_e6));
    status = solve_within(work, &s, cap, basket->loss_e6);
    if (status != PA_OK) {
        return status;
    }
    if (s.h == 0) {
        return explain(work, &out->reason);
    }
    status = fill(work, s.h, out, legs);
    if (status != PA_OK) {
        memset(out, 0, sizeof *out);
    }
    return status;
}

pa_status pa_basket_size_books(pa_arena *arena, const uint32_t *slots, uint32_t levels,
                               const pa_basket *basket, pa_basket_work *work, pa_sized *out,
                               pa_sized_leg *legs) {
    memset(out, 0, sizeof *out);
    if (levels < 1 || levels > PA_BASKET_LEVELS_MAX || basket->leg_count > PA_BASKET_LEGS_MAX) {
        return PA_E_RANGE;
    }
    for (uint32_t i = 0; i < basket->leg_count; ++i) {
        pa_basket_leg *copy = &work->copies[i];
        pa_book_level(*sides)[PA_BASKET_LEVELS_MAX] = work->levels[i];
        *copy = basket->legs[i];
        copy->asks = sides[PA_ASK];
        copy->bids = sides[PA_BID];
        pa_status status = pa_store_ladder(arena, slots[i], PA_ASK, sides[PA_ASK], levels,
                                           &copy->ask_count);
        if (status == PA_OK) {
            status = pa_store_ladder(arena, slots[i], PA_BID, sides[PA_BID], levels,
                                     &copy->bid_count);
        }
        if (status != PA_OK) {
            return status;
        }
    }
    pa_basket read = *basket;
    read.legs = work->copies;
    return pa_basket_size(&read, work, out, legs);
}
