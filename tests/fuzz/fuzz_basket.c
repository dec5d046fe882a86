/* Sizing: any bytes as a basket are refused as documented, or give a plan that adds up.
 * Input: a header, then legs, then levels, all little endian as they lie in memory. */
#include "basket/basket.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int32_t TICKS[8] = {1000, 100, 50, 25, 10, 1, 100, 30};

typedef struct source {
    const uint8_t *p, *end;
} source;

static uint64_t take(source *in, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && in->p < in->end; ++i) {
        value |= (uint64_t)*in->p++ << 8 * i;
    }
    return value;
}

/* Mostly an order that holds: prices move by ticks, sizes of a few magnitudes. */
static pa_book_level *levels(source *in, uint32_t count, int32_t tick, int rise) {
    pa_book_level *made = malloc(count * sizeof *made + (count == 0)); /* its end is guarded */
    CHECK(made != NULL);
    int64_t price = (int64_t)(take(in, 2) % 10000) / tick * tick;
    for (uint32_t i = 0; i < count; ++i) {
        const uint64_t word = take(in, 4);
        const int64_t size_e6 = (int64_t)(word >> 8) << (word >> 5 & 7) * 5;
        made[i] = (pa_book_level){.price_e4 = (int32_t)price, .size_e6 = size_e6 + (word != 0)};
        price += (rise ? 1 : -1) * (int64_t)(1 + (word & 3) * (word >> 2 & 1)) * tick;
        price -= (word & 31) == 31 ? 2 * tick : 0;
    }
    return made;
}

static void check(const pa_basket *basket, const pa_sized *out, const pa_sized_leg *legs) {
    CHECK(out->profit_e6 > 0 && out->sets_e6 > 0 && out->sets_e6 % PA_LATTICE_E6 == 0);
    CHECK(out->profit_e6 == out->payoff_e6 - out->cost_e6 - out->fee_e6);
    CHECK(out->worst_state < basket->state_count && out->worst_loss_e6 <= basket->loss_e6);
    CHECK(out->outlay_e6 <= basket->cash_e6 && out->outlay_e6 <= basket->relation_e6);
    CHECK(out->outlay_e6 <= basket->event_e6 && out->outlay_e6 >= out->cost_e6 + out->fee_e6);
    int64_t cost = 0, fee = 0, outlay = 0;
    for (uint32_t i = 0; i < basket->leg_count; ++i) {
        const pa_basket_leg *in = &basket->legs[i];
        const pa_sized_leg *leg = &legs[i];
        CHECK(leg->shares_e6 == out->sets_e6 * in->weight && leg->shares_e6 >= in->min_size_e6);
        CHECK(leg->limit_e4 % in->tick_e4 == 0 && leg->limit_e4 <= 10000 - in->tick_e4);
        CHECK(leg->levels >= 1 && leg->levels <= in->ask_count);
        CHECK(leg->limit_e4 >= in->asks[leg->levels - 1].price_e4);
        CHECK(leg->maker_e6 >= 1000000 && leg->taker_e6 >= in->min_size_e6);
        CHECK(leg->notional_e6 <= leg->cost_e6 && leg->cost_e6 + leg->fee_e6 <= leg->outlay_e6);
        /* maker / taker is the limit, or above it by less than a grid step of 0.0001 */
        const __int128 maker = (__int128)leg->maker_e6 * 10000;
        CHECK(maker >= (__int128)leg->limit_e4 * leg->taker_e6);
        CHECK(maker < (__int128)(leg->limit_e4 + in->tick_e4) * leg->taker_e6);
        if (basket->style == PA_STYLE_GTC) {
            CHECK(leg->taker_e6 == leg->shares_e6);
        } else {
            CHECK(leg->maker_e6 % 10000 == 0 && leg->taker_e6 % 100 == 0);
            CHECK(leg->cost_e6 == leg->maker_e6 && leg->maker_e6 - leg->notional_e6 < 10000);
        }
        cost += leg->cost_e6;
        fee += leg->fee_e6;
        outlay += leg->outlay_e6;
    }
    CHECK(cost == out->cost_e6 && fee == out->fee_e6 && outlay == out->outlay_e6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static pa_basket_work *work;
    if (work == NULL) {
        work = malloc(pa_basket_work_bytes());
        CHECK(work != NULL);
    }
    source in = {data, data + size};
    enum { LEGS = 6, STATES = 3 };
    const uint32_t count = (uint32_t)take(&in, 1) % (LEGS + 1), style = (uint32_t)take(&in, 1);
    pa_basket_leg legs[LEGS + 1];
    pa_sized_leg out_legs[LEGS + 1];
    pa_sized out;
    uint32_t pays[STATES * LEGS];
    const uint32_t states = 1 + (uint32_t)take(&in, 1) % STATES;
    int64_t payoff = INT64_MAX;
    for (uint32_t i = 0; i < count; ++i) {
        const uint64_t word = take(&in, 8);
        pa_basket_leg *leg = &legs[i];
        *leg = (pa_basket_leg){
            .ask_count = (uint32_t)(word & 15),
            .bid_count = (uint32_t)(word >> 4 & 7),
            .weight = 1 + (uint32_t)(word >> 7 & 3) * (uint32_t)(word >> 9 & 1),
            .tick_e4 = TICKS[word >> 10 & 7],
            .rate_e6 = (int32_t)(word >> 13 & 1) * (int32_t)(word >> 14 & 1048575),
            .exponent = 1 + (int32_t)(word >> 34 & 1),
            .min_size_e6 = 10000 + (int64_t)(word >> 35 & 1) * (int64_t)(word >> 36 & 16777215),
        };
        leg->asks = levels(&in, leg->ask_count, leg->tick_e4, 1);
        leg->bids = levels(&in, leg->bid_count, leg->tick_e4, 0);
    }
    for (uint32_t s = 0; s < states; ++s) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t word = take(&in, 1);
            pays[s * count + i] = word & 1 ? 1000000 : (uint32_t)(word * 3921);
            sum += (int64_t)pays[s * count + i] * legs[i].weight;
        }
        payoff = sum < payoff ? sum : payoff;
    }
    const uint64_t caps = take(&in, 8);
    pa_basket basket = {
        .legs = legs,
        .pays = pays,
        .payoff_e6 = payoff + (int64_t)(caps & 1) * (int64_t)(caps >> 1 & 1),
        .cash_e6 = caps & 4 ? (int64_t)(caps >> 8 & 0xFFFFFFF) : PA_BASKET_CAP_MAX_E6,
        .relation_e6 = caps & 8 ? (int64_t)(caps >> 16 & 0xFFFFFFF) : PA_BASKET_CAP_MAX_E6,
        .event_e6 = caps & 16 ? (int64_t)(caps >> 24 & 0xFFFFFFF) : PA_BASKET_CAP_MAX_E6,
        .loss_e6 = caps & 32 ? (int64_t)(caps >> 32 & 0xFFFFFFF) : PA_BASKET_CAP_MAX_E6,
        .leg_count = count,
        .state_count = states,
        .style = (int32_t)(style & 3),
        .slippage_ticks = style >> 2 & 7,
    };
    const pa_status status = pa_basket_size(&basket, work, &out, out_legs);
    CHECK(status == PA_OK || status == PA_E_RANGE);
    CHECK(out.reason >= 0 && out.reason < PA_SIZING_COUNT);
    if (status == PA_OK && out.reason == PA_SIZING_OK) {
        check(&basket, &out, out_legs);
    } else {
        CHECK(out.sets_e6 == 0 && out.profit_e6 == 0);
    }
    for (uint32_t i = 0; i < count; ++i) {
        free((void *)(uintptr_t)legs[i].asks);
        free((void *)(uintptr_t)legs[i].bids);
    }
    return 0;
}
