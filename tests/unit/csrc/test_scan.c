/* Relations against sums made anew, kernels against their definitions. */
#include "base/cpu.h"
#include "book/store.h"
#include "check.h"
#include "scan/kernel.h"
#include "scan/scan.h"
#include "tick/tick.h"

#define SECOND UINT64_C(1000000000)

static pa_arena *arena;
static uint64_t now;
static uint32_t token_count;
static uint64_t seed;

static uint64_t draw(void) {
    uint64_t z = (seed += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static uint32_t below(uint32_t n) {
    return (uint32_t)(draw() % n);
}

/* ---- kernels ---- */

typedef struct named {
    int level;
    const scan_kernel *kernel;
} named;

static const named KERNELS[] = {
    {PA_LEVEL_SCALAR, &PA_SCAN_SCALAR},
#if defined(__x86_64__)
    {PA_LEVEL_AVX2, &PA_SCAN_AVX2},
    {PA_LEVEL_AVX512, &PA_SCAN_AVX512},
#endif
};

/* `count` words of `bytes` each, `shift` bytes past a cache line, ending on an unmapped page if
 * `shift` is 0 and the count is whole. */
static void *words(size_t count, size_t bytes, size_t shift) {
    static uint8_t *ends[8];
    static int turn;
    uint8_t **const end = &ends[turn++ % 8];
    if (*end == NULL) {
        *end = guarded(65536) + 65536;
    }
    return *end - count * bytes - shift;
}

static uint32_t some_cost(void) {
    switch (below(8)) {
    case 0:
        return PA_COST_NONE;
    case 1:
        return (1U << 30) - 1 - below(3); /* no sum reaches it: still the kernels agree */
    case 2:
        return below(2);
    default:
        return below(1000000);
    }
}

static void sweep_is_the_definition(const scan_kernel *k) {
    for (uint32_t round = 0; round < 1500; ++round) {
        const uint32_t legs = round < 1200 ? 2 + below(14) : 2 + below(255);
        const uint32_t blocks = legs < 16 ? below(20) : below(3);
        const size_t cells = (size_t)blocks * (legs + 1) * LANES;
        uint32_t *const rows = words(cells, sizeof *rows, 4 * below(16));
        uint64_t *const bits = words((blocks + 3) / 4, sizeof *bits, 8 * below(8));
        for (size_t i = 0; i < cells; ++i) {
            rows[i] = some_cost();
            if (i / LANES % (legs + 1) == legs) {
                rows[i] = below(5) == 0 ? (uint32_t)-(int32_t)below(1000) : below(1000000 * legs);
            }
        }
        for (uint32_t b = 0; b < blocks && legs <= 64; ++b) { /* some on the very edge */
            const uint32_t lane = below(LANES);
            uint32_t *const block = rows + (size_t)b * (legs + 1) * LANES, sum = 0;
            for (uint32_t leg = 0; leg < legs; ++leg) {
                block[leg * LANES + lane] = below(1000000);
                sum += block[leg * LANES + lane];
            }
            block[legs * LANES + lane] = sum + below(3) - 1;
        }
        k->sweep(rows, legs, blocks, bits);
        CHECK(blocks % 4 == 0 || bits[blocks / 4] >> blocks % 4 * 16 == 0);
        for (uint32_t b = 0; b < blocks; ++b) {
            for (uint32_t lane = 0; lane < LANES; ++lane) {
                const uint32_t *const at = rows + (size_t)b * (legs + 1) * LANES + lane;
                uint32_t sum = 0, none = 0;
                for (uint32_t leg = 0; leg < legs; ++leg) {
                    sum += at[leg * LANES];
                    none |= at[leg * LANES] >> 30 & 1;
                }
                const uint32_t i = b * LANES + lane;
                CHECK((bits[i / 64] >> i % 64 & 1) == (!none && (int32_t)sum < (int32_t)at[legs * LANES]));
            }
        }
    }
}

static uint64_t some_top(void) {
    const uint64_t bid = below(3) == 0 ? 0 : 1 + below(9999), ask = below(3) == 0 ? 0 : 1 + below(9999);
    return below(4) == 0 ? draw() : bid | ask << 14 | draw() >> 28 << 28;
}

/* The mirror of a top: each price is 1 - the other side's. */
static uint64_t mirrored(uint64_t top) {
    const uint64_t bid = top & 0x3FFF, ask = top >> 14 & 0x3FFF;
    return (ask != 0 ? 10000 - ask : 0) | (bid != 0 ? 10000 - bid : 0) << 14 | draw() >> 28 << 28;
}

static int half(uint64_t bids, uint64_t asks) {
    const uint32_t bid = bids & 0x3FFF, ask = asks >> 14 & 0x3FFF;
    return bid + ask == 0 || bid + ask == 10000;
}

static void tops_are_the_definition(const scan_kernel *k) {
    for (size_t round = 0; round < 1000; ++round) {
        const size_t n = round < 300 ? round : below(400);
        const int paired = below(3) != 0;
        uint64_t *const tops = words(n, sizeof *tops, 8 * below(8));
        uint32_t *const pairs = words(n, sizeof *pairs, 4 * below(16));
        uint64_t *const bits = words((n + 63) / 64, sizeof *bits, 8 * below(8));
        for (size_t i = 0; i < n; ++i) {
            tops[i] = i % 2 == 1 && below(4) != 0 ? mirrored(tops[i - 1]) : some_top();
            pairs[i] = (uint32_t)i ^ 1;
            if (below(8) == 0) {
                pairs[i] = below(2) != 0 ? PA_SLOT_NONE : below((uint32_t)n + 2);
            }
        }
        k->crossed(tops, n, bits);
        for (size_t i = 0; i < (n + 63) / 64 * 64; ++i) {
            const uint64_t bid = i < n ? tops[i] & 0x3FFF : 0, ask = i < n ? tops[i] >> 14 & 0x3FFF : 0;
            CHECK((bits[i / 64] >> i % 64 & 1) == (bid != 0 && ask != 0 && bid >= ask));
        }
        k->mirror(tops, paired ? pairs : NULL, n, bits);
        for (size_t i = 0; i < (n + 63) / 64 * 64; ++i) {
            const size_t other = i >= n ? SIZE_MAX : paired ? pairs[i] : i ^ 1;
            const int wrong = other < n && !(half(tops[i], tops[other]) && half(tops[other], tops[i]));
            CHECK((bits[i / 64] >> i % 64 & 1) == (uint64_t)wrong);
        }
    }
}

static void differ_is_the_definition(const scan_kernel *k) {
    for (size_t round = 0; round < 600; ++round) {
        const size_t n = round < 300 ? round : below(400);
        uint32_t *const a = words(n, sizeof *a, 4 * below(16));
        uint32_t *const b = words(n, sizeof *b, 4 * below(16));
        uint64_t *const bits = words((n + 63) / 64, sizeof *bits, 8 * below(8));
        for (size_t i = 0; i < n; ++i) {
            a[i] = below(1000);
            b[i] = below(3) == 0 ? a[i] ^ 1U << below(32) : a[i];
        }
        k->differ(a, b, n, bits);
        for (size_t i = 0; i < (n + 63) / 64 * 64; ++i) {
            CHECK((bits[i / 64] >> i % 64 & 1) == (i < n && a[i] != b[i]));
        }
    }
}

static void kernels_are_their_definitions(void) {
    for (size_t i = 0; i < sizeof KERNELS / sizeof *KERNELS; ++i) {
        const char *const name = pa_level_name(KERNELS[i].level);
        if (!pa_level_runs(KERNELS[i].level)) {
            printf("%s does not run here\n", name);
            continue;
        }
        seed = 7;
        sweep_is_the_definition(KERNELS[i].kernel);
        tops_are_the_definition(KERNELS[i].kernel);
        differ_is_the_definition(KERNELS[i].kernel);
        CHECK(pa_scan_init(KERNELS[i].level) == PA_OK);
        printf("%s ok\n", name);
    }
}

/* ---- relations ---- */

static uint32_t owed(void) {
    pa_scan_info info;
    pa_scan_read_info(arena, &info);
    return info.owed_count;
}

static void fresh(uint32_t tokens, uint32_t relations, uint32_t legs, uint32_t ring) {
    const pa_arena_config config = {1, tokens, 2, 16384, relations, legs, ring};
    uint64_t bytes;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = guarded(bytes);
    CHECK(pa_arena_init(block, bytes, &config, "test", 1) == PA_OK);
    arena = (pa_arena *)block;
    now = 10 * SECOND;
    token_count = tokens;
    CHECK(pa_store_recover(arena, 0, now) == PA_OK && pa_scan_recover(arena) == PA_OK);
    for (uint32_t i = 0; i < tokens; ++i) {
        char token[16];
        uint32_t slot;
        (void)snprintf(token, sizeof token, "%u", 100 + i);
        CHECK(pa_store_add(arena, token, strlen(token), 1, now, &slot) == PA_OK && slot == i);
        CHECK(pa_store_set_fee(arena, slot, 0, 1) == PA_OK);
    }
}

/* One frame that gives each of these slots an ask, or none for 0. */
static uint32_t quote(const uint32_t *slots, const uint32_t *asks_e4, uint32_t n) {
    static char text[65536];
    size_t at = 0;
    for (uint32_t i = 0; i < n; ++i) {
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "%s{\"event_type\":\"book\",\"asset_id\":\"%u\",\"bids\":[],\"asks\":[",
                               i == 0 ? "[" : ",", 100 + slots[i]);
        if (asks_e4[i] != 0) {
            at += (size_t)snprintf(text + at, sizeof text - at, "{\"price\":\"0.%04u\",\"size\":\"5\"}",
                                   asks_e4[i]);
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "]}");
    }
    text[at++] = ']';
    CHECK(pa_tick(arena, (const uint8_t *)text, at, now) == PA_OK);
    return pa_report_of(arena)->opportunity_count;
}

static uint32_t ask(uint32_t slot, uint32_t ask_e4) {
    return quote(&slot, &ask_e4, 1);
}

static uint64_t add(uint32_t a, uint32_t b, int32_t payoff_e6) {
    const pa_scan_leg legs[] = {{a, 1}, {b, 1}};
    uint64_t id = 0;
    CHECK(pa_scan_add(arena, legs, 2, payoff_e6, 0, now, &id) == PA_OK && id != 0);
    return id;
}

static pa_relation get(uint64_t id) {
    pa_relation out;
    CHECK(pa_scan_read(arena, id, &out) == PA_OK && out.id == id);
    return out;
}

static uint64_t counted(pa_scan_counter which) {
    uint64_t counters[PA_SCAN_COUNT];
    pa_scan_counters(arena, counters);
    return counters[which];
}

static pa_swept sweep(void) {
    pa_swept out;
    CHECK(pa_scan_sweep(arena, now, &out) == PA_OK);
    return out;
}

static int next(pa_relation *out) {
    return pa_scan_next(arena, out);
}

static void a_relation_opens_and_ends_with_its_prices(void) {
    pa_relation r;
    fresh(4, 8, 64, 8);
    const uint64_t id = add(0, 1, 1000000);
    CHECK(ask(0, 4000) == 0 && ask(1, 6000) == 0); /* costs just what it pays */
    CHECK(get(id).open == 0 && get(id).evaluations == 2 && !next(&r));
    now += 5;
    CHECK(ask(1, 5900) == 1 && get(id).open == 1 && get(id).edge_e6 == 10000);
    CHECK(get(id).first_ns == now && get(id).opened_count == 1 && get(id).ended_ns == 0);
    CHECK(get(id).legs[1].cost_e6 == 590000 && get(id).legs[1].version == 2);
    now += 5;
    CHECK(ask(0, 3900) == 1 && ask(1, 5950) == 1); /* in the ring once, the latest */
    CHECK(next(&r) && r.id == id && r.open == 1 && r.edge_e6 == 15000 && r.best_edge_e6 == 20000);
    CHECK(r.last_ns == now && r.first_ns == now - 5 && !next(&r));
    CHECK(ask(1, 5950) == 1 && next(&r) && r.legs[1].version == 4); /* same price, another book */
    CHECK(ask(1, 6200) == 0 && next(&r) && r.open == 0 && r.end == PA_END_PRICE && r.ended_ns == now);
    CHECK(ask(1, 6200) == 0 && !next(&r)); /* told once */
    CHECK(ask(1, 5000) == 1 && ask(1, 0) == 0); /* ended while it waits: told as it is now */
    CHECK(next(&r) && r.open == 0 && r.end == PA_END_NOT_LIVE && r.opened_count == 2 && !next(&r));
    CHECK(counted(PA_SCAN_OPENED) == 2 && counted(PA_SCAN_ENDED_PRICE) == 1);
    CHECK(counted(PA_SCAN_ENDED_NOT_LIVE) == 1 && counted(PA_SCAN_SIGHTINGS) == 5);
    CHECK(sweep().wrong == 0);
}

static void what_a_frame_brings_is_evaluated_together(void) {
    pa_relation r;
    fresh(4, 8, 64, 8);
    const uint64_t id = add(0, 1, 1000000);
    const uint32_t slots[] = {0, 1}, before[] = {3000, 7500}, after[] = {7500, 3000};
    CHECK(quote(slots, before, 2) == 0 && quote(slots, after, 2) == 0);
    CHECK(get(id).opened_count == 0 && !next(&r)); /* 0.3 + 0.3 never was */
}

static void weights_and_edges_count(void) {
    fresh(4, 8, 64, 8);
    const pa_scan_leg legs[] = {{0, 3}, {1, 2}, {2, 1}};
    uint64_t id;
    CHECK(pa_scan_add(arena, legs, 3, 3000000, 99999, now, &id) == PA_OK);
    CHECK(ask(0, 5000) == 0 && ask(1, 5000) == 0 && ask(2, 4000) == 1);
    CHECK(get(id).edge_e6 == 100000);
    CHECK(pa_scan_set_min_edge(arena, id, 100000, now) == PA_OK);
    CHECK(get(id).open == 0 && get(id).end == PA_END_PRICE && sweep().violated == 0);
    CHECK(pa_scan_set_min_edge(arena, id, 0, now) == PA_OK && get(id).open == 1);
    CHECK(pa_scan_set_min_edge(arena, id, -1, now) == PA_E_RANGE);
}

static void only_live_and_fresh_books_fire(void) {
    pa_relation r;
    fresh(4, 8, 64, 8);
    const uint64_t id = add(0, 1, 1000000);
    CHECK(ask(0, 4000) == 0);
    now += 2 * SECOND; /* 0 has been silent too long */
    CHECK(ask(1, 5000) == 0 && get(id).open == 0 && counted(PA_SCAN_WITHHELD_STALE) == 1);
    CHECK(ask(0, 4000) == 1 && get(id).open == 1 && next(&r));
    now += 2 * SECOND;
    CHECK(sweep().sightings == 0 && next(&r) && r.open == 0 && r.end == PA_END_STALE);
    CHECK(ask(0, 4000) == 0 && ask(1, 5000) == 1 && next(&r));
    /* What nobody tells of does not fire, and a sweep finds it. */
    const uint32_t one = 1;
    CHECK(pa_store_mark(arena, 1, PA_STATE_FROZEN, now) == PA_OK && ask(0, 4000) == 0);
    CHECK(get(id).end == PA_END_NOT_LIVE && counted(PA_SCAN_ENDED_NOT_LIVE) == 1);
    CHECK(pa_store_clear(arena, 1, PA_STATE_FROZEN, now) == PA_OK && sweep().untold == 1);
    CHECK(get(id).open == 1 && sweep().untold == 0);
    CHECK(pa_store_set_fee(arena, 1, 1000000, 1) == PA_OK); /* 0.25 a share */
    CHECK(ask(0, 4000) == 0 && get(id).end == PA_END_PRICE);
    CHECK(pa_store_set_fee(arena, 1, -1, 1) == PA_OK && pa_scan_changed(arena, &one, 1, now) == 0);
    CHECK(ask(1, 1000) == 0 && get(id).open == 0);
    CHECK(pa_store_set_fee(arena, 1, 0, 1) == PA_OK && pa_scan_changed(arena, &one, 1, now) == 1);
    CHECK(get(id).open == 1 && sweep().wrong == 0 && counted(PA_SCAN_WRONG) == 0);
}

static void a_slot_given_to_another_token_is_not_the_leg(void) {
    fresh(2, 8, 64, 8);
    uint32_t slot;
    const uint64_t id = add(0, 1, 1000000);
    CHECK(ask(0, 4000) == 0 && ask(1, 5000) == 1);
    CHECK(pa_store_remove(arena, 1, now) == PA_OK && ask(0, 4000) == 0);
    CHECK(get(id).open == 0 && get(id).end == PA_END_NOT_LIVE);
    CHECK(pa_store_add(arena, "101", 3, 1, now, &slot) == PA_OK && slot == 1);
    CHECK(pa_store_set_fee(arena, 1, 0, 1) == PA_OK && ask(1, 1000) == 0 && get(id).open == 0);
    CHECK(sweep().violated == 1 && get(id).open == 0);
    CHECK(pa_scan_remove(arena, id, now, NULL) == PA_OK);
    CHECK(get(add(0, 1, 1000000)).open == 1);
}

static void a_removed_relation_is_gone(void) {
    pa_relation r;
    fresh(4, 2, 64, 2);
    const uint64_t id = add(0, 1, 1000000);
    CHECK(ask(0, 4000) == 0 && ask(1, 5000) == 1);
    CHECK(pa_scan_remove(arena, id, now, &r) == PA_OK);
    CHECK(r.id == id && r.open == 0 && r.end == PA_END_REMOVED && r.edge_e6 == 100000);
    CHECK(!next(&r) && pa_scan_read(arena, id, &r) == PA_E_RANGE);
    CHECK(pa_scan_remove(arena, id, now, &r) == PA_E_RANGE && sweep().relations == 0);
    CHECK(pa_scan_set_min_edge(arena, id, 1, now) == PA_E_RANGE);
    const uint64_t again = add(0, 1, 1000000); /* seen at once */
    CHECK((uint32_t)again == (uint32_t)id && again != id && next(&r) && r.id == again && r.open);
    CHECK(ask(0, 9000) == 0 && next(&r) && pa_scan_remove(arena, again, now, &r) == PA_OK);
    CHECK(r.end == PA_END_PRICE && counted(PA_SCAN_ENDED_REMOVED) == 1);
}

static void a_full_ring_is_counted_and_nothing_lost(void) {
    pa_relation r;
    fresh(8, 4, 64, 2);
    const uint64_t ids[] = {add(0, 1, 1000000), add(2, 3, 1000000), add(4, 5, 1000000)};
    for (uint32_t slot = 0; slot < 6; ++slot) {
        (void)ask(slot, 4000);
    }
    CHECK(counted(PA_SCAN_RING_OVERFLOWS) == 1 && get(ids[2]).open == 1);
    CHECK(ask(4, 4000) == 1 && counted(PA_SCAN_RING_OVERFLOWS) == 2 && owed() == 1);
    CHECK(ask(4, 9000) == 0 && counted(PA_SCAN_RING_OVERFLOWS) == 3 && get(ids[2]).open == 0);
    CHECK(next(&r) && r.id == ids[0] && next(&r) && r.id == ids[1]);
    CHECK(next(&r) && r.id == ids[2] && r.open == 0 && r.opened_count == 1 && !next(&r));
    CHECK(owed() == 0);
    /* A sweep offers what there is room for, and removing what is owed owes nothing. */
    for (uint32_t slot = 4; slot < 6; ++slot) {
        (void)ask(slot, 4000);
    }
    CHECK(ask(0, 4000) == 1 && ask(2, 4000) == 1 && counted(PA_SCAN_RING_OVERFLOWS) == 4);
    CHECK(owed() == 1 && pa_scan_remove(arena, ids[1], now, NULL) == PA_OK && owed() == 0);
    CHECK(next(&r) && r.id == ids[2] && next(&r) && r.id == ids[0] && !next(&r));
    CHECK(sweep().sightings == 2 && next(&r) && next(&r) && !next(&r));
}

static void bad_relations_are_refused(void) {
    fresh(300, 2, 400, 2);
    pa_scan_leg legs[257];
    uint64_t id = 0;
    for (uint32_t i = 0; i < 257; ++i) {
        legs[i] = (pa_scan_leg){i, 1};
    }
    CHECK(pa_scan_add(arena, legs, 1, 1, 0, now, &id) == PA_E_RANGE);
    CHECK(pa_scan_add(arena, legs, 257, 1, 0, now, &id) == PA_E_RANGE);
    CHECK(pa_scan_add(arena, legs, 2, 0, 0, now, &id) == PA_E_RANGE);
    CHECK(pa_scan_add(arena, legs, 2, 512000001, 0, now, &id) == PA_E_RANGE);
    CHECK(pa_scan_add(arena, legs, 2, 1, -1, now, &id) == PA_E_RANGE);
    CHECK(pa_scan_add(arena, legs, 2, 1, 512000001, now, &id) == PA_E_RANGE);
    legs[1].weight = 0;
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, now, &id) == PA_E_RANGE);
    legs[1].weight = UINT32_MAX;
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, now, &id) == PA_E_RANGE);
    legs[1].weight = 512;
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, now, &id) == PA_E_RANGE);
    legs[1] = (pa_scan_leg){0, 1};
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, now, &id) == PA_E_RANGE);
    legs[1].slot = 300;
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, now, &id) == PA_E_RANGE && id == 0);
    legs[1] = (pa_scan_leg){1, 511};
    CHECK(pa_scan_add(arena, legs, 2, 512000000, 512000000, now, &id) == PA_OK);
    legs[1].weight = 1;
    CHECK(pa_scan_remove(arena, id, now, NULL) == PA_OK);
    CHECK(pa_scan_add(arena, legs, 256, 512000000, 0, now, &id) == PA_OK);
    CHECK(pa_scan_add(arena, legs, 145, 1, 0, now, &id) == PA_E_CAPACITY); /* legs */
    CHECK(pa_scan_add(arena, legs, 144, 1, 0, now, &id) == PA_OK);
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, now, &id) == PA_E_CAPACITY);
    CHECK(pa_end_name(PA_END_STALE)[0] == 's' && pa_end_name(PA_END_COUNT) == NULL);
    CHECK(pa_scan_counter_name(-1) == NULL && pa_scan_counter_name(PA_SCAN_WRONG)[0] == 'w');
}

static void an_arena_without_relations_has_none(void) {
    const pa_arena_config config = {1, 2, 2, 16, 0, 0, 0};
    uint64_t bytes, id;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = guarded(bytes);
    CHECK(pa_arena_init(block, bytes, &config, "test", 1) == PA_OK);
    arena = (pa_arena *)block;
    const pa_scan_leg legs[] = {{0, 1}, {1, 1}};
    const uint32_t slots[] = {0, 1};
    pa_relation r;
    pa_swept swept;
    pa_scan_info info;
    CHECK(pa_store_recover(arena, 0, 1) == PA_OK && pa_scan_recover(arena) == PA_E_CAPACITY);
    CHECK(pa_scan_add(arena, legs, 2, 1, 0, 1, &id) == PA_E_CAPACITY && !next(&r));
    CHECK(pa_scan_changed(arena, slots, 2, 1) == 0 && counted(PA_SCAN_SWEEPS) == 0);
    CHECK(pa_scan_sweep(arena, 1, &swept) == PA_E_CAPACITY);
    pa_scan_read_info(arena, &info);
    CHECK(info.relation_capacity == 0);
}

static void who_takes_the_books_over_has_no_relations(void) {
    pa_relation r;
    pa_swept swept;
    fresh(4, 8, 64, 8);
    const uint64_t id = add(0, 1, 1000000);
    CHECK(ask(0, 4000) == 0 && ask(1, 5000) == 1);
    /* Another process: its books are those, stale until proven. */
    CHECK(pa_store_recover(arena, 0, now) == PA_OK);
    CHECK(ask(0, 4000) == 0 && ask(1, 5000) == 0 && !next(&r)); /* not one of the dead fires */
    CHECK(pa_scan_read(arena, id, &r) == PA_E_RANGE && pa_scan_sweep(arena, now, &swept) == PA_E_CAPACITY);
    CHECK(pa_scan_recover(arena) == PA_OK && !next(&r) && sweep().relations == 0);
    const uint64_t again = add(0, 1, 1000000);
    CHECK(again != id && pa_scan_read(arena, id, &r) == PA_E_RANGE && get(again).open == 1);
    CHECK(counted(PA_SCAN_OPENED) == 2); /* counters go on */
}

/* A sweep needs nothing that the changes left behind, so it sees what is wrong there. */
static void a_sweep_finds_and_mends_what_is_wrong(void) {
    fresh(4, 8, 64, 8);
    const uint64_t id = add(0, 1, 1000000);
    CHECK(ask(0, 4000) == 0 && ask(1, 5000) == 1 && sweep().wrong == 0);
    uint32_t *const rows = pa_arena_at(arena, PA_SECTION_ROWS);
    CHECK(rows[0] == 400000 && rows[16] == 500000 && rows[32] == 1000000);
    rows[0] = 600000;
    CHECK(sweep().wrong == 1 && rows[0] == 400000 && get(id).open == 1 && sweep().wrong == 0);
    int64_t *const slacks = pa_arena_at(arena, PA_SECTION_SLACKS);
    CHECK(slacks[0] == 100000);
    slacks[0] = -5;
    CHECK(sweep().wrong == 1 && slacks[0] == 100000 && get(id).open == 1);
    slacks[0] = 300000; /* it would fire at a wrong edge */
    CHECK(ask(0, 4000) == 1 && get(id).edge_e6 == 100000 && counted(PA_SCAN_WRONG) == 3);
}

static void more_changes_than_the_report_holds_are_swept(void) {
    fresh(1100, 8, 64, 8);
    static char text[1 << 18];
    const uint64_t id = add(1098, 1099, 1000000);
    size_t at = 0;
    for (uint32_t i = 0; i < 1100; ++i) {
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "%c{\"event_type\":\"book\",\"asset_id\":\"%u\",\"bids\":[],\"asks\":"
                               "[{\"price\":\"0.4\",\"size\":\"5\"}]}", i == 0 ? '[' : ',', 100 + i);
    }
    text[at++] = ']';
    CHECK(pa_tick(arena, (const uint8_t *)text, at, now) == PA_OK);
    const pa_report *const report = pa_report_of(arena);
    CHECK(report->changed_lost == 1100 - PA_CHANGED_MAX && report->opportunity_count == 1);
    CHECK(get(id).open == 1 && counted(PA_SCAN_SWEEPS) == 1);
}

static void the_tops_of_an_arena_are_scanned(void) {
    fresh(4, 1, 2, 1);
    uint32_t pairs[6];
    uint64_t bits;
    CHECK(pa_store_pair(arena, 0, 3) == PA_OK && pa_scan_pairs(arena, pairs, 6) == PA_OK);
    CHECK(pairs[0] == 3 && pairs[3] == 0 && pairs[1] == PA_SLOT_NONE && pairs[5] == PA_SLOT_NONE);
    CHECK(ask(0, 4000) == 0);
    const uint64_t *const tops = pa_arena_at(arena, PA_SECTION_TOPS);
    pa_scan_mirror(tops, pairs, 4, &bits);
    CHECK(bits == 9);
    pa_scan_crossed(tops, 4, &bits);
    CHECK(bits == 0);
}

/* ---- at random ---- */

#define MODEL_RELATIONS 200

typedef struct model {
    uint64_t id;
    uint32_t leg_count;
    int32_t payoff_e6, min_edge_e6;
    pa_scan_leg legs[PA_RELATION_LEGS_MAX];
} model;

static model models[MODEL_RELATIONS];
static uint32_t model_count;

static int model_violated(const model *m) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < m->leg_count; ++i) {
        const uint32_t cost = pa_store_cost(arena, m->legs[i].slot);
        if (cost == PA_COST_NONE) {
            return 0;
        }
        sum += (int64_t)cost * m->legs[i].weight;
    }
    return m->payoff_e6 - sum > m->min_edge_e6;
}

static void model_add(void) {
    model *const m = &models[model_count];
    m->leg_count = below(4) == 0 ? 2 + below(token_count - 2) : 2 + below(4);
    m->payoff_e6 = 0;
    const uint32_t first = below(token_count);
    for (uint32_t i = 0; i < m->leg_count; ++i) {
        m->legs[i] = (pa_scan_leg){(first + i) % token_count, 1 + below(below(5) == 0 ? 3 : 1)};
        m->payoff_e6 += (int32_t)(m->legs[i].weight * (400000 + below(200000)));
    }
    m->min_edge_e6 = (int32_t)below(20000);
    const pa_status status = pa_scan_add(arena, m->legs, m->leg_count, m->payoff_e6, m->min_edge_e6,
                                         now, &m->id);
    CHECK(status == PA_OK || status == PA_E_CAPACITY);
    model_count += status == PA_OK;
}

static void at_random(uint64_t from) {
    seed = from;
    fresh(40, MODEL_RELATIONS, 1500, 1U << below(9));
    model_count = 0;
    static pa_relation r;
    for (uint32_t step = 0; step < 4000; ++step) {
        now += below(50000000);
        const uint32_t what = below(100), slot = below(token_count);
        if (what < 55) {
            uint32_t slots[6], asks[6];
            const uint32_t n = 1 + below(6);
            for (uint32_t i = 0; i < n; ++i) {
                slots[i] = below(token_count);
                asks[i] = below(12) == 0 ? 0 : 3000 + below(4000);
            }
            (void)quote(slots, asks, n);
        } else if (what < 70 && model_count < MODEL_RELATIONS) {
            model_add();
        } else if (what < 78 && model_count > 0) {
            const uint32_t i = below(model_count);
            CHECK(pa_scan_remove(arena, models[i].id, now, &r) == PA_OK && r.leg_count == models[i].leg_count);
            models[i] = models[--model_count];
        } else if (what < 82 && model_count > 0) {
            model *const m = &models[below(model_count)];
            m->min_edge_e6 = (int32_t)below(20000);
            CHECK(pa_scan_set_min_edge(arena, m->id, m->min_edge_e6, now) == PA_OK);
        } else if (what < 86) {
            CHECK(pa_store_reset(arena, slot, now) == PA_OK);
            (void)(below(2) != 0 && pa_scan_changed(arena, &slot, 1, now));
        } else if (what < 90) {
            CHECK(pa_store_set_fee(arena, slot, (int32_t)below(50000), 1 + (int)below(2)) == PA_OK);
            (void)(below(2) != 0 && pa_scan_changed(arena, &slot, 1, now));
        } else if (what < 96) {
            (void)next(&r);
        }
        if (step % 16 == 0) {
            const pa_swept swept = sweep();
            uint32_t violated = 0;
            for (uint32_t i = 0; i < model_count; ++i) {
                const int is = model_violated(&models[i]);
                violated += (uint32_t)is;
                CHECK(pa_scan_read(arena, models[i].id, &r) == PA_OK && (is || !r.open));
                CHECK(r.leg_count == models[i].leg_count && r.min_edge_e6 == models[i].min_edge_e6);
                for (uint32_t leg = 0; leg < r.leg_count; ++leg) {
                    CHECK(r.legs[leg].slot == models[i].legs[leg].slot &&
                          r.legs[leg].weight == models[i].legs[leg].weight);
                }
            }
            CHECK(swept.wrong == 0 && swept.relations == model_count && swept.violated == violated);
        }
    }
    while (model_count > 0) { /* everything given back */
        CHECK(pa_scan_remove(arena, models[--model_count].id, now, NULL) == PA_OK);
    }
    pa_scan_info info;
    pa_scan_read_info(arena, &info);
    CHECK(info.relation_count == 0 && info.leg_count == 0 && info.page_count == 0);
    CHECK(info.owed_count == 0);
    CHECK(info.violated_count == 0 && !next(&r) && counted(PA_SCAN_WRONG) == 0);
}

/* Whatever the leg counts, what the arena was laid out for fits; and again, in other kinds. */
static void the_capacity_is_there(void) {
    static uint64_t ids[2000];
    static pa_scan_leg legs[PA_RELATION_LEGS_MAX];
    for (uint32_t round = 0; round < 4; ++round) {
        fresh(300, 2000, 40000, 1);
        for (uint32_t pass = 0; pass < 3; ++pass) {
            uint32_t n = 0, used = 0;
            while (n < 2000) {
                const uint32_t count = round == 0 ? 2 + n % 255 : round == 1 ? 136 + pass : 2 + below(1U << below(9)) % 255;
                if (used + count > 40000) {
                    break;
                }
                for (uint32_t i = 0; i < count; ++i) {
                    legs[i] = (pa_scan_leg){(n + i) % 300, 1};
                }
                CHECK(pa_scan_add(arena, legs, count, 1, 0, now, &ids[n]) == PA_OK);
                used += count;
                n += 1;
            }
            CHECK(n == 2000 || used > 40000 - 257);
            while (n > 0) {
                const uint32_t i = below(n);
                CHECK(pa_scan_remove(arena, ids[i], now, NULL) == PA_OK);
                ids[i] = ids[--n];
            }
        }
    }
}

int main(void) {
    kernels_are_their_definitions();
    a_relation_opens_and_ends_with_its_prices();
    what_a_frame_brings_is_evaluated_together();
    weights_and_edges_count();
    only_live_and_fresh_books_fire();
    a_slot_given_to_another_token_is_not_the_leg();
    a_removed_relation_is_gone();
    a_full_ring_is_counted_and_nothing_lost();
    bad_relations_are_refused();
    an_arena_without_relations_has_none();
    who_takes_the_books_over_has_no_relations();
    a_sweep_finds_and_mends_what_is_wrong();
    more_changes_than_the_report_holds_are_swept();
    the_tops_of_an_arena_are_scanned();
    the_capacity_is_there();
    for (uint64_t i = 0; i < 12; ++i) {
        const named *const k = &KERNELS[i % (sizeof KERNELS / sizeof *KERNELS)];
        CHECK(!pa_level_runs(k->level) || pa_scan_init(k->level) == PA_OK);
        at_random(1000 + i);
    }
    puts("scan: ok");
    return 0;
}
