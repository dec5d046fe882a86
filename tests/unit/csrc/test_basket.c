/* Sizing from C: a plan by hand, refusals, ladders that end on an unmapped page. */
#include "basket/basket.h"
#include "check.h"

#define MILLION 1000000

static pa_basket_work *work;
static pa_sized out;
static pa_sized_leg legs_out[PA_BASKET_LEGS_MAX];
static const uint32_t YES_NO[4] = {MILLION, 0, 0, MILLION};

static pa_book_level *ladder(size_t count, const pa_book_level *from) {
    pa_book_level *levels = (pa_book_level *)(void *)guarded(count * sizeof *levels);
    memcpy(levels, from, count * sizeof *levels);
    return levels;
}

static pa_basket_leg leg(int32_t price_e4, int64_t size_e6) {
    const pa_book_level level = {.price_e4 = price_e4, .size_e6 = size_e6};
    return (pa_basket_leg){
        .asks = ladder(1, &level),
        .ask_count = 1,
        .weight = 1,
        .tick_e4 = 100,
        .min_size_e6 = 5 * MILLION,
        .exponent = 1,
    };
}

static pa_basket pair(const pa_basket_leg *legs) {
    return (pa_basket){
        .legs = legs,
        .pays = YES_NO,
        .payoff_e6 = MILLION,
        .cash_e6 = PA_BASKET_CAP_MAX_E6,
        .relation_e6 = PA_BASKET_CAP_MAX_E6,
        .event_e6 = PA_BASKET_CAP_MAX_E6,
        .loss_e6 = PA_BASKET_CAP_MAX_E6,
        .leg_count = 2,
        .state_count = 2,
    };
}

static int32_t reason(const pa_basket *basket) {
    CHECK(pa_basket_size(basket, work, &out, legs_out) == PA_OK);
    return out.reason;
}

static void test_a_plan_by_hand(void) {
    const pa_basket_leg legs[2] = {leg(4700, 100 * MILLION), leg(5000, 80 * MILLION)};
    pa_basket basket = pair(legs);
    CHECK(reason(&basket) == PA_SIZING_OK);
    CHECK(out.sets_e6 == 80 * MILLION && out.cost_e6 == 77600000 && out.fee_e6 == 0);
    CHECK(out.payoff_e6 == 80 * MILLION - 100 && out.profit_e6 == 2399900);
    CHECK(legs_out[0].maker_e6 == 37600000 && legs_out[0].taker_e6 == 80 * MILLION);
    CHECK(legs_out[1].limit_e4 == 5000 && legs_out[1].levels == 1);
    CHECK(legs_out[1].unwind_e6 == 40 * MILLION && out.worst_unwind_e6 == 77600000);
    basket.cash_e6 = 50 * MILLION;
    CHECK(reason(&basket) == PA_SIZING_OK && out.outlay_e6 <= 50 * MILLION);
    CHECK(out.sets_e6 > 50 * MILLION);
}

static void test_every_range_is_kept(void) {
    const pa_basket_leg good[2] = {leg(4700, 100 * MILLION), leg(5000, 80 * MILLION)};
    const pa_basket fine = pair(good);
    CHECK(reason(&fine) == PA_SIZING_OK);
#define REFUSED(member, value)                                                  \
    do {                                                                        \
        pa_basket bad = fine;                                                   \
        bad.member = value;                                                     \
        CHECK(pa_basket_size(&bad, work, &out, legs_out) == PA_E_RANGE);        \
        CHECK(out.sets_e6 == 0 && out.reason == 0 && out.profit_e6 == 0);       \
    } while (0)
    REFUSED(leg_count, 0);
    REFUSED(leg_count, PA_BASKET_LEGS_MAX + 1);
    REFUSED(state_count, 0);
    REFUSED(state_count, PA_BASKET_STATES_MAX + 1);
    REFUSED(style, -1);
    REFUSED(style, PA_STYLE_COUNT);
    REFUSED(slippage_ticks, PA_BASKET_SLIPPAGE_MAX + 1);
    REFUSED(payoff_e6, 0);
    REFUSED(payoff_e6, MILLION + 1); /* no state pays that */
    REFUSED(payoff_e6, 512000001);
    REFUSED(cash_e6, -1);
    REFUSED(relation_e6, PA_BASKET_CAP_MAX_E6 + 1);
    REFUSED(event_e6, -1);
    REFUSED(loss_e6, -1);
    static const uint32_t TOO_MUCH[4] = {MILLION + 1, 0, 0, MILLION + 1};
    REFUSED(pays, TOO_MUCH);
#undef REFUSED
#define REFUSED(member, value)                                                  \
    do {                                                                        \
        pa_basket_leg bad[2] = {good[0], good[1]};                              \
        bad[1].member = value;                                                  \
        const pa_basket basket = pair(bad);                                     \
        CHECK(pa_basket_size(&basket, work, &out, legs_out) == PA_E_RANGE);     \
    } while (0)
    REFUSED(weight, 0);
    REFUSED(weight, PA_BASKET_WEIGHTS_MAX);
    REFUSED(weight, UINT32_MAX);
    REFUSED(tick_e4, 0);
    REFUSED(tick_e4, 30);
    REFUSED(min_size_e6, PA_LATTICE_E6 - 1);
    REFUSED(min_size_e6, PA_BASKET_SHARES_MAX_E6 + 1);
    REFUSED(rate_e6, -1);
    REFUSED(rate_e6, MILLION + 1);
    REFUSED(exponent, 0);
    REFUSED(exponent, 3);
    REFUSED(ask_count, PA_BASKET_LEVELS_MAX + 1);
    REFUSED(bid_count, PA_BASKET_LEVELS_MAX + 1);
#undef REFUSED
}

static void test_reasons_have_names(void) {
    for (int i = 0; i < PA_SIZING_COUNT; ++i) {
        CHECK(pa_sizing_name(i) != NULL);
    }
    CHECK(pa_sizing_name(-1) == NULL && pa_sizing_name(PA_SIZING_COUNT) == NULL);
    CHECK(strcmp(pa_sizing_name(PA_SIZING_DOLLAR), "one_dollar") == 0);
}

/* 256 legs of 256 levels: the whole of the work, and nothing beyond. */
static void test_the_largest_basket(void) {
    static pa_basket_leg legs[PA_BASKET_LEGS_MAX];
    static pa_book_level asks[PA_BASKET_LEVELS_MAX];
    static uint32_t pays[PA_BASKET_LEGS_MAX];
    for (int i = 0; i < PA_BASKET_LEVELS_MAX; ++i) {
        asks[i] = (pa_book_level){.price_e4 = 1 + i, .size_e6 = 1 + 12345 * i};
    }
    const pa_book_level *guarded_asks = ladder(PA_BASKET_LEVELS_MAX, asks);
    for (int i = 0; i < PA_BASKET_LEGS_MAX; ++i) {
        legs[i] = (pa_basket_leg){
            .asks = guarded_asks,
            .ask_count = PA_BASKET_LEVELS_MAX,
            .weight = 2,
            .tick_e4 = 1,
            .min_size_e6 = PA_LATTICE_E6,
            .rate_e6 = MILLION,
            .exponent = 1 + i % 2,
        };
        pays[i] = MILLION;
    }
    pa_basket basket = pair(legs);
    basket.pays = pays;
    basket.leg_count = PA_BASKET_LEGS_MAX;
    basket.state_count = 1;
    basket.payoff_e6 = 512 * MILLION;
    for (basket.style = 0; basket.style < PA_STYLE_COUNT; ++basket.style) {
        CHECK(reason(&basket) == PA_SIZING_OK);
        CHECK(legs_out[255].levels == PA_BASKET_LEVELS_MAX);
    }
}

int main(void) {
    work = (pa_basket_work *)(void *)guarded(pa_basket_work_bytes());
    memset(work, 0xA5, pa_basket_work_bytes()); /* any content */
    test_a_plan_by_hand();
    test_every_range_is_kept();
    test_reasons_have_names();
    test_the_largest_basket();
    puts("basket: ok");
    return 0;
}
