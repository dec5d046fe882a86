/* The table, the ladders and the pool behind them, and what readers see. */
#include "book/book.h"
#include "check.h"

static pa_arena *fresh(uint32_t tokens, uint32_t depth, uint32_t pages) {
    const pa_arena_config config = {1, tokens, depth, pages, 0, 0, 0};
    uint64_t bytes;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = guarded(bytes);
    CHECK(pa_arena_init(block, bytes, &config, "test", 1) == PA_OK);
    CHECK(pa_store_recover((pa_arena *)block, 0, 1) == PA_OK);
    return (pa_arena *)block;
}

static uint32_t add(pa_arena *arena, const char *token) {
    uint32_t slot = PA_SLOT_NONE;
    CHECK(pa_store_add(arena, token, strlen(token), 0, 1, &slot) == PA_OK);
    return slot;
}

static uint64_t state = 88172645463325252ULL;

static uint64_t draw(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state >> 8;
}

/* ---- ladders against plain arrays ---- */

static int64_t plain[PA_SIDE_COUNT][PA_PRICE_ONE_E4];

static void same_as_plain(const pa_pool *pool, const pa_ladder *ladder, int side, int32_t step) {
    static pa_book_level got[PA_PRICE_ONE_E4];
    const uint32_t count = pa_ladder_read(pool, ladder, side, got, PA_PRICE_ONE_E4);
    uint32_t i = 0;
    for (int32_t k = 1; k < PA_PRICE_ONE_E4 / step; ++k) {
        const int32_t price = step * (side == PA_BID ? PA_PRICE_ONE_E4 / step - k : k);
        if (plain[side][price] != 0) {
            CHECK(i < count && got[i].price_e4 == price && got[i].size_e6 == plain[side][price]);
            ++i;
        }
        CHECK(pa_ladder_size(pool, ladder, side, (uint32_t)(price / step)) == plain[side][price]);
    }
    CHECK(i == count && count == ladder->count[side]);
    CHECK(count == 0 ? ladder->best[side] == 0
                     : pa_ladder_price(ladder, ladder->best[side]) == got[0].price_e4);
}

static uint32_t used(const pa_pool *pool) {
    uint32_t blocks = 0;
    for (int i = 0; i < PA_POOL_CLASSES; ++i) {
        blocks += pool->heads->used[i];
    }
    return blocks;
}

static void a_ladder_is_an_array_of_sizes(void) {
    static const int32_t TICKS[] = {1000, 100, 50, 25, 10, 1};
    pa_arena *arena = fresh(1, 1, 256);
    pa_books in;
    pa_books_open(arena, &in);
    for (int t = 0; t < PA_TICK_COUNT; ++t) {
        const int32_t step = TICKS[t];
        const uint32_t grid = (uint32_t)(PA_PRICE_ONE_E4 / step - 1);
        pa_ladder ladder = {.tick = (uint8_t)t};
        memset(plain, 0, sizeof plain);
        CHECK(pa_tick_row(step) == t && pa_tick_e4((uint8_t)t) == step);
        for (int32_t price = 0; price <= PA_PRICE_ONE_E4; ++price) {
            const uint32_t index = pa_ladder_index((uint8_t)t, price);
            CHECK(index == (price % step == 0 ? (uint32_t)(price / step) : 0));
        }
        for (int i = 0; i < 30000; ++i) {
            const int side = (int)(draw() % 2);
            const uint32_t near = 1 + (uint32_t)(draw() % (grid < 70 ? grid : 70));
            const uint32_t index = draw() % 4 != 0 ? near : 1 + (uint32_t)(draw() % grid);
            const int64_t size = draw() % 3 == 0 ? 0 : 1 + (int64_t)(draw() % 1000);
            int64_t before = -1;
            CHECK(pa_ladder_set(&in.pool, &ladder, side, index, size, &before));
            CHECK(before == plain[side][index * (uint32_t)step]);
            plain[side][index * (uint32_t)step] = size;
            if (i % 1500 == 0) {
                same_as_plain(&in.pool, &ladder, PA_BID, step);
                same_as_plain(&in.pool, &ladder, PA_ASK, step);
            }
        }
        /* Snapshots in any order, over whatever is there. */
        for (int i = 0; i < 300; ++i) {
            static pa_book_level levels[512];
            const int side = (int)(draw() % 2), order = (int)(draw() % 3);
            uint32_t n = 0;
            memset(plain[side], 0, sizeof plain[side]);
            for (uint32_t k = 1; k <= grid && n < 500; k += 1 + (uint32_t)(draw() % 5)) {
                levels[n++] = (pa_book_level){1 + (int64_t)(draw() % 99), (int32_t)k * step, 0};
            }
            for (uint32_t k = 0; k < n && order > 0; ++k) {
                const uint32_t with = order == 1 ? n - 1 - k : (uint32_t)(draw() % n);
                if (order == 2 || k < with) {
                    const pa_book_level keep = levels[k];
                    levels[k] = levels[with];
                    levels[with] = keep;
                }
            }
            for (uint32_t k = 0; k < n; ++k) {
                plain[side][levels[k].price_e4] = levels[k].size_e6;
            }
            const pa_survey s = pa_ladder_survey((uint8_t)t, levels, n);
            CHECK(s.on_grid && (order == 2 || n < 2 || s.way == (order == 0 ? 1 : -1)));
            CHECK(pa_ladder_replace(&in.pool, &ladder, side, levels, n, s.way, UINT32_MAX));
            same_as_plain(&in.pool, &ladder, side, step);
        }
        pa_ladder_clear(&in.pool, &ladder);
        CHECK(used(&in.pool) == 0);
    }
}

static void refining_keeps_every_level(void) {
    pa_arena *arena = fresh(1, 1, 64);
    pa_books in;
    pa_books_open(arena, &in);
    pa_ladder ladder = {.tick = 3}; /* 0.0025 */
    int64_t before;
    for (uint32_t i = 1; i < 400; i += 3) {
        CHECK(pa_ladder_set(&in.pool, &ladder, (int)(i % 2), i, i, &before));
    }
    const uint32_t bids = ladder.count[PA_BID];
    const uint64_t digest = ladder.digest[PA_BID];
    CHECK(pa_ladder_finer(3, 10) == 5 && pa_ladder_finer(1, 1250) == 2 && pa_ladder_finer(2, 10) == 4);
    CHECK(pa_ladder_refine(&in.pool, &ladder, pa_ladder_finer(3, 10)));
    CHECK(ladder.count[PA_BID] == bids && ladder.digest[PA_BID] == digest);
    CHECK(pa_ladder_size(&in.pool, &ladder, PA_ASK, 25) == 1);
}

static void a_full_pool_refuses_and_loses_nothing(void) {
    pa_arena *arena = fresh(1, 1, 1);
    pa_books in;
    pa_books_open(arena, &in);
    pa_ladder ladder = {.tick = 4};
    int64_t before;
    uint32_t index = 1;
    while (index < 999 && pa_ladder_set(&in.pool, &ladder, PA_BID, index, 7, &before)) {
        ++index;
    }
    CHECK(index > 64 && index < 999); /* a page holds some hundred sizes */
    CHECK(ladder.count[PA_BID] == index - 1);
    for (uint32_t i = 1; i < index; ++i) {
        CHECK(pa_ladder_size(&in.pool, &ladder, PA_BID, i) == 7);
    }
    pa_ladder_clear(&in.pool, &ladder);
    CHECK(used(&in.pool) == 0);
    CHECK(pa_ladder_set(&in.pool, &ladder, PA_BID, 5, 7, &before));
    pa_ladder large = {.tick = 5};
    CHECK(!pa_ladder_set(&in.pool, &large, PA_ASK, 5, 7, &before));
}

static void the_mirror_is_one_comparison(void) {
    pa_arena *arena = fresh(1, 1, 64);
    pa_books in;
    pa_books_open(arena, &in);
    pa_ladder yes = {.tick = 1}, no = {.tick = 4}; /* also on different grids */
    int64_t before;
    for (int i = 0; i < 5000; ++i) {
        const uint32_t index = 1 + (uint32_t)(draw() % 99);
        const int side = (int)(draw() % 2);
        const int64_t size = draw() % 3 == 0 ? 0 : (int64_t)(draw() % 100);
        CHECK(pa_ladder_set(&in.pool, &yes, side, index, size, &before));
        CHECK(size == before || yes.digest[side] != no.digest[!side]);
        CHECK(pa_ladder_set(&in.pool, &no, !side, 1000 - 10 * index, size, &before));
        CHECK(yes.digest[PA_BID] == no.digest[PA_ASK] && yes.digest[PA_ASK] == no.digest[PA_BID]);
    }
}

/* ---- the table ---- */

static void tokens_keep_their_slot(void) {
    enum { N = 3000 };
    pa_arena *arena = fresh(N, 1, 8);
    static char text[N][PA_TOKEN_TEXT_MAX + 1];
    static uint32_t slots[N];
    uint32_t slot;
    for (int i = 0; i < N; ++i) {
        if (i % 3 == 0) {
            sprintf(text[i], "%d", 1 + i);
        } else { /* long ones that differ in a few digits */
            sprintf(text[i], "%s%04d%s", "777777777777777777777777777777777777", i,
                    i % 3 == 1 ? "" : "333333333333333333333333333333333333");
        }
        slots[i] = add(arena, text[i]);
        CHECK(add(arena, text[i]) == slots[i]);
    }
    CHECK(pa_store_add(arena, "99999999", 8, 0, 1, &slot) == PA_E_CAPACITY);
    for (int round = 0; round < 20000; ++round) { /* out and in again: graves, and slots reused */
        const int i = (int)(draw() % N);
        char back[PA_TOKEN_TEXT_MAX];
        uint32_t bytes;
        CHECK(pa_store_find(arena, text[i], strlen(text[i]), &slot) == PA_OK && slot == slots[i]);
        CHECK(pa_store_token(arena, slot, back, &bytes) == PA_OK && bytes == strlen(text[i]) &&
              memcmp(back, text[i], bytes) == 0);
        CHECK(pa_store_remove(arena, slot, 2) == PA_OK);
        CHECK(pa_store_remove(arena, slot, 2) == PA_E_RANGE);
        CHECK(pa_store_find(arena, text[i], strlen(text[i]), &slot) == PA_E_RANGE);
        CHECK(pa_store_top(arena, slots[i]) == 0);
        slots[i] = add(arena, text[i]);
    }
    pa_store_info info;
    pa_store_read_info(arena, &info);
    CHECK(info.token_count == N && info.live_count == 0 && info.token_capacity == N);
}

static void bad_arguments_are_answered(void) {
    static const char *const BAD[] = {"", "01", "x", "1 ", "-1",
                                      "1234567890123456789012345678901234567890123456789012345678901234567890123456789"};
    pa_arena *arena = fresh(4, 1, 8);
    uint32_t slot = 77, count;
    pa_book_top top;
    pa_book_level level;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; ++i) {
        CHECK(pa_store_add(arena, BAD[i], strlen(BAD[i]), 0, 1, &slot) == PA_E_MALFORMED && slot == 77);
        CHECK(pa_store_find(arena, BAD[i], strlen(BAD[i]), &slot) == PA_E_RANGE);
    }
    CHECK(pa_store_add(arena, "1", 1, 7, 1, &slot) == PA_E_RANGE);
    CHECK(add(arena, "0") == 0 && add(arena, "1") == 1 && add(arena, "2") == 2);
    CHECK(pa_store_read(arena, 3, &top) == PA_OK && top.state == PA_STATE_NONE);
    CHECK(pa_store_read(arena, 4, &top) == PA_E_RANGE && pa_store_top(arena, 4) == 0);
    CHECK(pa_store_mark(arena, 0, PA_STATE_LIVE, 1) == PA_E_RANGE);
    CHECK(pa_store_mark(arena, 0, PA_STATE_CROSSED, 1) == PA_E_RANGE);
    CHECK(pa_store_mark(arena, 3, PA_STATE_GAP, 1) == PA_E_RANGE);
    CHECK(pa_store_mark(arena, 0, 99, 1) == PA_E_RANGE && pa_store_mark(arena, 0, -1, 1) == PA_E_RANGE);
    CHECK(pa_store_clear(arena, 0, PA_STATE_RESOLVED, 1) == PA_E_RANGE);
    CHECK(pa_store_pair(arena, 0, 0) == PA_E_RANGE && pa_store_pair(arena, 0, 3) == PA_E_RANGE);
    CHECK(pa_store_pair(arena, 0, 1) == PA_OK && pa_store_pair(arena, 1, 0) == PA_OK);
    CHECK(pa_store_pair(arena, 0, 2) == PA_E_RANGE && pa_store_pair_of(arena, 1) == 0);
    CHECK(pa_store_remove(arena, 0, 1) == PA_OK && pa_store_pair_of(arena, 1) == PA_SLOT_NONE);
    CHECK(pa_store_ladder(arena, 1, 2, &level, 1, &count) == PA_E_RANGE);
    CHECK(pa_store_reset(arena, 9, 1) == PA_E_RANGE);
    const pa_arena_config none = {.histogram_count = 1};
    uint64_t bytes, counters[PA_COUNT_COUNT];
    pa_episodes episodes[PA_STATE_COUNT];
    CHECK(pa_arena_bytes(&none, &bytes) == PA_OK);
    pa_arena *without = (pa_arena *)guarded(bytes);
    CHECK(pa_arena_init(without, bytes, &none, "test", 1) == PA_OK);
    CHECK(pa_store_of(without) == NULL && pa_store_recover(without, 0, 1) == PA_E_CAPACITY);
    CHECK(pa_store_add(without, "1", 1, 0, 1, &slot) == PA_E_CAPACITY);
    CHECK(pa_store_read(without, 0, &top) == PA_E_RANGE && pa_store_top(without, 0) == 0);
    pa_store_counters(without, counters, episodes);
    CHECK(counters[PA_COUNT_FRAMES] == 0);
}

static void names_are_complete(void) {
    for (int i = 0; i < PA_STATE_COUNT; ++i) {
        CHECK(pa_state_name(i) != NULL);
    }
    for (int i = 0; i < PA_COUNT_COUNT; ++i) {
        CHECK(pa_counter_name(i) != NULL);
    }
    CHECK(pa_state_name(PA_STATE_COUNT) == NULL && pa_counter_name(-1) == NULL);
}

int main(void) {
    a_ladder_is_an_array_of_sizes();
    refining_keeps_every_level();
    a_full_pool_refuses_and_loses_nothing();
    the_mirror_is_one_comparison();
    tokens_keep_their_slot();
    bad_arguments_are_answered();
    names_are_complete();
    puts("book: ok");
    return 0;
}
