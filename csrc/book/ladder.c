#include "book/ladder.h"

#include <assert.h>
#include <string.h>

#define WORDS_MAX 157 /* of the grid of 0.0001 */

static const int32_t STEP[PA_TICK_COUNT] = {1000, 100, 50, 25, 10, 1};
static const uint32_t WORDS[PA_TICK_COUNT] = {1, 2, 4, 7, 16, WORDS_MAX};
static const uint32_t BLOCK_CLASS[PA_TICK_COUNT] = {0, 1, 2, 3, 4, 7};

/* ceil(2^20 / step): price * this >> 20 is exact for every multiple of the step below 10^4,
 * and what it says of others the product with the step shows to be wrong. */
static const uint64_t INVERSE[PA_TICK_COUNT] = {1049, 10486, 20972, 41944, 104858, 1048576};

_Static_assert(WORDS_MAX * 24 <= PA_POOL_UNIT << (PA_POOL_CLASSES - 1), "the largest block");

uint8_t pa_tick_row(int32_t tick_e4) {
    for (uint8_t i = 0; i < PA_TICK_COUNT; ++i) {
        if (STEP[i] == tick_e4) {
            return i;
        }
    }
    return PA_TICK_NONE;
}

int32_t pa_tick_e4(uint8_t row) {
    return row < PA_TICK_COUNT ? STEP[row] : 0;
}

uint32_t pa_ladder_index(uint8_t tick, int32_t price_e4) {
    const uint32_t index = (uint32_t)((uint64_t)price_e4 * INVERSE[tick] >> 20);
    return (int32_t)index * STEP[tick] == price_e4 ? index : 0;
}

uint8_t pa_ladder_finer(uint8_t tick, int32_t price_e4) {
    uint8_t finer = tick;
    while (pa_ladder_index(finer, price_e4) == 0 || STEP[tick] % STEP[finer] != 0) {
        ++finer; /* ends: the last grid holds every price */
    }
    return finer;
}

/* Bits of `w`; the baseline has no instruction for it. */
static inline uint32_t population(uint64_t w) {
    w -= w >> 1 & UINT64_C(0x5555555555555555);
    w = (w & UINT64_C(0x3333333333333333)) + (w >> 2 & UINT64_C(0x3333333333333333));
    w = (w + (w >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    return (uint32_t)(w * UINT64_C(0x0101010101010101) >> 56);
}

static inline uint64_t mix(int side, int32_t price_e4, int64_t size_e6) {
    const uint64_t at = (uint64_t)(side == PA_BID ? price_e4 : PA_PRICE_ONE_E4 - price_e4);
    const uint64_t word = (uint64_t)size_e6 ^ at * UINT64_C(0x9E3779B97F4A7C15);
    const unsigned __int128 product =
        (unsigned __int128)(word ^ UINT64_C(0xA0761D6478BD642F)) * (word ^ UINT64_C(0xE7037ED1A0B428DB));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* ---- the pool ---- */

static inline void *unit(const pa_pool *pool, uint32_t at) {
    return pool->base + (uint64_t)at * PA_POOL_UNIT;
}

/* A free block's first word is the next one of its list. */
static void give(const pa_pool *pool, uint32_t class, uint32_t at) {
    memcpy(unit(pool, at), &pool->heads->free[class], sizeof(uint32_t));
    pool->heads->free[class] = at;
}

static uint32_t pop(const pa_pool *pool, uint32_t class) {
    const uint32_t at = pool->heads->free[class];
    if (at != 0) {
        memcpy(&pool->heads->free[class], unit(pool, at), sizeof(uint32_t));
    }
    return at;
}

/* 2^class units, or 0 if there are none left. */
static uint32_t allocate(const pa_pool *pool, uint32_t class) {
    pa_pool_heads *const heads = pool->heads;
    uint32_t at = pop(pool, class);
    if (at == 0) {
        const uint32_t units = 1U << class;
        const uint32_t start = heads->bump == 0 ? 2 : heads->bump;
        const uint32_t odd = class > 0 ? start & 1 : 0; /* a block of a line starts a line */
        if (start + odd + units <= heads->unit_count) {
            at = start + odd;
            if (odd != 0) {
                give(pool, 0, start);
            }
            heads->bump = at + units;
        }
    }
    for (uint32_t larger = class + 1; at == 0 && larger < PA_POOL_CLASSES; ++larger) {
        at = pop(pool, larger);
        for (uint32_t half = larger; at != 0 && half > class; --half) {
            give(pool, half - 1, at + (1U << (half - 1)));
        }
    }
    heads->used[class] += at != 0;
    return at;
}

static void release(const pa_pool *pool, uint32_t class, uint32_t at) {
    pool->heads->used[class] -= 1;
    give(pool, class, at);
}

/* ---- one side ---- */

/* A directory entry: unit << 3 | class; the extent holds 4 << class sizes. 0: none. */
static inline uint32_t entry_class(uint32_t entry) {
    return entry & 7;
}

static inline int64_t *extent(const pa_pool *pool, uint32_t entry) {
    return unit(pool, entry >> 3);
}

static inline uint64_t *bits_of(const pa_pool *pool, const pa_ladder *ladder, int side) {
    return (uint64_t *)unit(pool, ladder->block) + (side == PA_ASK ? WORDS[ladder->tick] : 0);
}

static inline uint32_t *directory_of(const pa_pool *pool, const pa_ladder *ladder, int side) {
    const uint32_t words = WORDS[ladder->tick];
    return (uint32_t *)((uint64_t *)unit(pool, ladder->block) + 2 * words) +
           (side == PA_ASK ? words : 0);
}

static void drop_extent(const pa_pool *pool, uint32_t *entry) {
    if (*entry != 0) {
        release(pool, entry_class(*entry), *entry >> 3);
        *entry = 0;
    }
}

static inline uint32_t class_for(uint32_t count) {
    return count <= 4 ? 0 : 30 - (uint32_t)__builtin_clz(count - 1);
}

/* Make room for `count` sizes in *entry, keeping the first `kept`. */
static bool resize(const pa_pool *pool, uint32_t *entry, uint32_t count, uint32_t kept) {
    const uint32_t class = class_for(count);
    if (*entry != 0 && entry_class(*entry) == class) {
        return true;
    }
    const uint32_t at = allocate(pool, class);
    if (at == 0) {
        return *entry != 0 && entry_class(*entry) > class; /* a larger one will do */
    }
    if (*entry != 0) {
        memcpy(unit(pool, at), extent(pool, *entry), kept * sizeof(int64_t));
        drop_extent(pool, entry);
    }
    *entry = at << 3 | class;
    return true;
}

static bool ready(const pa_pool *pool, pa_ladder *ladder) {
    if (ladder->block == 0) {
        const uint32_t at = allocate(pool, BLOCK_CLASS[ladder->tick]);
        if (at == 0) {
            return false;
        }
        memset(unit(pool, at), 0, (size_t)WORDS[ladder->tick] * 24);
        ladder->block = at;
    }
    return true;
}

/* The best set bit at or behind index `from`, away from the touch; 0: none. */
static uint32_t seek(const uint64_t *bits, uint32_t words, int side, uint32_t from) {
    int64_t w = from >> 6;
    if (side == PA_BID) {
        uint64_t word = bits[w] & (~UINT64_C(0) >> (63 - (from & 63)));
        while (word == 0 && --w >= 0) {
            word = bits[w];
        }
        return word == 0 ? 0 : (uint32_t)w * 64 + 63 - (uint32_t)__builtin_clzll(word);
    }
    uint64_t word = bits[w] & (~UINT64_C(0) << (from & 63));
    while (word == 0 && ++w < (int64_t)words) {
        word = bits[w];
    }
    return word == 0 ? 0 : (uint32_t)w * 64 + (uint32_t)__builtin_ctzll(word);
}

static void clear_side(const pa_pool *pool, pa_ladder *ladder, int side) {
    if (ladder->block != 0) {
        uint64_t *bits = bits_of(pool, ladder, side);
        uint32_t *directory = directory_of(pool, ladder, side);
        for (uint32_t w = 0; w < WORDS[ladder->tick]; ++w) {
            drop_extent(pool, &directory[w]);
            bits[w] = 0;
        }
    }
    ladder->digest[side] = 0;
    ladder->count[side] = ladder->best[side] = 0;
}

void pa_ladder_clear(const pa_pool *pool, pa_ladder *ladder) {
    clear_side(pool, ladder, PA_BID);
    clear_side(pool, ladder, PA_ASK);
    if (ladder->block != 0) {
        release(pool, BLOCK_CLASS[ladder->tick], ladder->block);
        ladder->block = 0;
    }
}

void pa_ladder_regrid(const pa_pool *pool, pa_ladder *ladder, uint8_t tick) {
    pa_ladder_clear(pool, ladder);
    ladder->tick = tick;
}

bool pa_ladder_refine(const pa_pool *pool, pa_ladder *ladder, uint8_t tick) {
    pa_ladder fine = {.tick = tick};
    const uint32_t factor = (uint32_t)(STEP[ladder->tick] / STEP[tick]);
    bool fits = true;
    for (int side = 0; side < PA_SIDE_COUNT && ladder->block != 0; ++side) {
        const uint64_t *bits = bits_of(pool, ladder, side);
        for (uint32_t at = ladder->best[side]; fits && at != 0;) {
            int64_t before;
            fits = pa_ladder_set(pool, &fine, side, at * factor,
                                 pa_ladder_size(pool, ladder, side, at), &before);
            const uint32_t next = side == PA_BID ? at - 1 : at + 1;
            at = next == 0 || next >= WORDS[ladder->tick] * 64
                     ? 0
                     : seek(bits, WORDS[ladder->tick], side, next);
        }
    }
    if (!fits) {
        pa_ladder_clear(pool, &fine);
    }
    pa_ladder_clear(pool, ladder);
    *ladder = fine;
    return fits;
}

bool pa_ladder_set(const pa_pool *pool, pa_ladder *ladder, int side, uint32_t index,
                   int64_t size_e6, int64_t *before) {
    *before = 0;
    if (!ready(pool, ladder)) {
        return false;
    }
    const uint32_t w = index >> 6, bit = index & 63;
    uint64_t *const word = bits_of(pool, ladder, side) + w;
    uint32_t *const entry = directory_of(pool, ladder, side) + w;
    const uint32_t rank = population(*word & ((UINT64_C(1) << bit) - 1));
    const int32_t price_e4 = pa_ladder_price(ladder, index);
    if ((*word >> bit & 1) != 0) {
        int64_t *const sizes = extent(pool, *entry);
        *before = sizes[rank];
        ladder->digest[side] -= mix(side, price_e4, *before);
        if (size_e6 != 0) {
            sizes[rank] = size_e6;
            ladder->digest[side] += mix(side, price_e4, size_e6);
            return true;
        }
        const uint32_t behind = population(*word) - rank - 1;
        memmove(sizes + rank, sizes + rank + 1, behind * sizeof *sizes);
        *word &= ~(UINT64_C(1) << bit);
        ladder->count[side] -= 1;
        if (*word == 0) {
            drop_extent(pool, entry);
        } else if ((rank + behind) * 4 <= 4U << entry_class(*entry)) {
            (void)resize(pool, entry, rank + behind, rank + behind); /* three quarters were idle */
        }
        if (ladder->best[side] == index) {
            ladder->best[side] =
                ladder->count[side] == 0
                    ? 0
                    : seek(bits_of(pool, ladder, side), WORDS[ladder->tick], side, index);
        }
        return true;
    }
    if (size_e6 == 0) {
        return true;
    }
    const uint32_t held = population(*word);
    if ((*entry == 0 || held == 4U << entry_class(*entry)) && !resize(pool, entry, held + 1, held)) {
        return false;
    }
    int64_t *const sizes = extent(pool, *entry);
    memmove(sizes + rank + 1, sizes + rank, (held - rank) * sizeof *sizes);
    sizes[rank] = size_e6;
    *word |= UINT64_C(1) << bit;
    ladder->count[side] += 1;
    ladder->digest[side] += mix(side, price_e4, size_e6);
    const uint32_t best = ladder->best[side];
    if (best == 0 || (side == PA_BID ? index > best : index < best)) {
        ladder->best[side] = index;
    }
    return true;
}

/* Room for exactly `count` sizes whose old ones are not wanted; an extent twice as large will do. */
static bool fit_extent(const pa_pool *pool, uint32_t *entry, uint32_t count) {
    const uint32_t class = class_for(count);
    return (*entry != 0 && entry_class(*entry) - class <= 1) || resize(pool, entry, count, 0);
}

/* ceil(2^32 / step), modulo 2^32: price x this, modulo 2^32, is below 2^14 for each multiple of the
 * step up to 10^4, and not for anything else. */
static const uint32_t REMAINDER[PA_TICK_COUNT] = {4294968,   42949673,  85899346,
                                                  171798692, 429496730, 0};

pa_survey pa_ladder_survey(uint8_t tick, const pa_book_level *levels, uint32_t count) {
    const uint32_t inverse = REMAINDER[tick];
    uint32_t off = 0;
    int32_t up = 0, down = 0; /* negative once a price does not rise, does not fall */
    int64_t none = 0;         /* negative once a size is zero                       */
    if (count > 0) {
        off = (uint32_t)levels->price_e4 * inverse;
        none = levels->size_e6 - 1;
    }
    for (uint32_t i = 1; i < count; ++i) { /* no branches: what is usual is not known here */
        const int32_t price = levels[i].price_e4, rise = price - levels[i - 1].price_e4;
        off |= (uint32_t)price * inverse;
        up |= rise - 1;
        down |= -rise - 1;
        none |= levels[i].size_e6 - 1;
    }
    return (pa_survey){.on_grid = off < 1U << 14,
                       .way = none < 0 ? 0 : up >= 0 ? 1 : down >= 0 ? -1 : 0};
}

/* Words from..to - 1 have no levels. */
static void clear_words(const pa_pool *pool, uint64_t *bits, uint32_t *directory, uint32_t from,
                        uint32_t to) {
    for (uint32_t w = from; w < to; ++w) {
        drop_extent(pool, &directory[w]);
        bits[w] = 0;
    }
}

/* `count` > 0 levels, ascending from `level` on in steps of `step`. */
static bool replace_sorted(const pa_pool *pool, pa_ladder *ladder, int side,
                           const pa_book_level *level, int step, uint32_t count) {
    uint64_t *const bits = bits_of(pool, ladder, side);
    uint32_t *const directory = directory_of(pool, ladder, side);
    const uint64_t inverse = INVERSE[ladder->tick];
    const pa_book_level *const end = level + (int64_t)step * count;
    uint64_t digest = 0;
    uint32_t index = (uint32_t)((uint64_t)level->price_e4 * inverse >> 20), next_word = 0;
    const uint32_t first = index;
    while (level != end) {
        const uint32_t w = index >> 6;
        /* How many lie in this word: then their sizes go straight to where they stay. */
        const int32_t limit_e4 = ((int32_t)w + 1) * 64 * STEP[ladder->tick];
        uint32_t held = 1;
        for (const pa_book_level *l = level + step; l != end && l->price_e4 < limit_e4; l += step) {
            ++held;
        }
        clear_words(pool, bits, directory, next_word, w);
        next_word = w + 1;
        if (!fit_extent(pool, &directory[w], held)) {
            return false;
        }
        int64_t *const sizes = extent(pool, directory[w]);
        uint64_t word = 0;
        for (uint32_t i = 0; i < held; ++i, level += step) {
            index = (uint32_t)((uint64_t)level->price_e4 * inverse >> 20);
            word |= UINT64_C(1) << (index & 63);
            sizes[i] = level->size_e6;
            digest += mix(side, level->price_e4, level->size_e6);
        }
        bits[w] = word;
        if (level != end) {
            index = (uint32_t)((uint64_t)level->price_e4 * inverse >> 20);
        }
    }
    clear_words(pool, bits, directory, next_word, WORDS[ladder->tick]);
    ladder->digest[side] = digest;
    ladder->count[side] = count;
    ladder->best[side] = side == PA_BID ? index : first;
    return true;
}

bool pa_ladder_replace(const pa_pool *pool, pa_ladder *ladder, int side,
                       const pa_book_level *levels, uint32_t count, int way, uint32_t most) {
    if (!ready(pool, ladder)) {
        return false;
    }
    if (count == 0) {
        clear_side(pool, ladder, side);
        return true;
    }
    if (way == 0) {
        clear_side(pool, ladder, side);
        for (uint32_t i = 0; i < count; ++i) {
            int64_t before;
            if (!pa_ladder_set(pool, ladder, side, pa_ladder_index(ladder->tick, levels[i].price_e4),
                               levels[i].size_e6, &before)) {
                return false;
            }
        }
        pa_ladder_trim(pool, ladder, side, most);
        return true;
    }
    /* From the lowest price up; of too many, the bids' lowest or the asks' highest go. */
    const uint32_t kept = count < most ? count : most;
    const uint32_t skipped = side == PA_BID ? count - kept : 0;
    const pa_book_level *lowest = way > 0 ? levels + skipped : levels + count - 1 - skipped;
    return replace_sorted(pool, ladder, side, lowest, way, kept);
}

void pa_ladder_trim(const pa_pool *pool, pa_ladder *ladder, int side, uint32_t most) {
    if (ladder->count[side] <= most) {
        return;
    }
    const uint64_t *bits = bits_of(pool, ladder, side);
    const uint32_t words = WORDS[ladder->tick];
    while (ladder->count[side] > most) {
        int64_t before; /* the worst bid is the lowest bit, as if it were the best ask */
        const uint32_t worst = seek(bits, words, !side, side == PA_BID ? 0 : words * 64 - 1);
        (void)pa_ladder_set(pool, ladder, side, worst, 0, &before);
    }
}

uint32_t pa_ladder_read(const pa_pool *pool, const pa_ladder *ladder, int side, pa_book_level *out,
                        uint32_t capacity) {
    const uint32_t wanted = ladder->count[side] < capacity ? ladder->count[side] : capacity;
    if (wanted == 0) {
        return 0;
    }
    const uint64_t *bits = bits_of(pool, ladder, side);
    const uint32_t *directory = directory_of(pool, ladder, side);
    const int32_t step = STEP[ladder->tick];
    uint32_t done = 0;
    int64_t w = ladder->best[side] >> 6;
    while (done < wanted) { /* every word behind the best one, until enough levels were met */
        uint64_t word = bits[w];
        const int64_t *size = word == 0 ? NULL : extent(pool, directory[w]);
        if (side == PA_BID) {
            size = word == 0 ? NULL : size + population(word) - 1;
            for (; word != 0 && done < wanted; ++done, --size) {
                const uint32_t bit = 63 - (uint32_t)__builtin_clzll(word);
                out[done] = (pa_book_level){.size_e6 = *size,
                                            .price_e4 = ((int32_t)w * 64 + (int32_t)bit) * step};
                word &= ~(UINT64_C(1) << bit);
            }
            --w;
        } else {
            for (; word != 0 && done < wanted; ++done, ++size) {
                const uint32_t bit = (uint32_t)__builtin_ctzll(word);
                out[done] = (pa_book_level){.size_e6 = *size,
                                            .price_e4 = ((int32_t)w * 64 + (int32_t)bit) * step};
                word &= word - 1;
            }
            ++w;
        }
        assert(done == wanted || (w >= 0 && w < (int64_t)WORDS[ladder->tick]));
    }
    return done;
}

void pa_ladder_show(const pa_pool *pool, const pa_ladder *ladder, int side, uint32_t size_bits,
                    _Atomic uint64_t *words, uint32_t depth) {
    const int64_t most = (INT64_C(1) << size_bits) - 1;
    const uint32_t wanted = ladder->count[side] < depth ? ladder->count[side] : depth;
    uint32_t done = 0;
    if (wanted != 0) {
        const uint64_t *bits = bits_of(pool, ladder, side);
        const uint32_t *directory = directory_of(pool, ladder, side);
        const uint64_t step = (uint64_t)STEP[ladder->tick];
        const bool bid = side == PA_BID;
        for (int64_t w = ladder->best[side] >> 6; done < wanted; w += bid ? -1 : 1) {
            uint64_t word = bits[w];
            if (word == 0) {
                continue;
            }
            const int64_t *size = extent(pool, directory[w]) + (bid ? population(word) - 1 : 0);
            for (; word != 0 && done < wanted; ++done, size += bid ? -1 : 1) {
                const uint32_t bit =
                    bid ? 63 - (uint32_t)__builtin_clzll(word) : (uint32_t)__builtin_ctzll(word);
                word &= ~(UINT64_C(1) << bit);
                const uint64_t price_e4 = ((uint64_t)w * 64 + bit) * step;
                /* Relaxed: between the odd and the even sequence, see pa_book_publish. */
                atomic_store_explicit(words + done,
                                      price_e4 << size_bits | (uint64_t)(*size < most ? *size : most),
                                      memory_order_relaxed);
            }
        }
    }
    for (; done < depth; ++done) {
        atomic_store_explicit(words + done, 0, memory_order_relaxed); /* as above */
    }
}

void pa_ladder_show_list(const pa_listed *list, uint32_t size_bits, _Atomic uint64_t *words,
                         uint32_t depth) {
    const int64_t most = (INT64_C(1) << size_bits) - 1;
    const uint32_t shown = list->count < depth ? list->count : depth;
    const pa_book_level *level = list->best;
    uint32_t i = 0;
    for (; i < shown; ++i, level += list->step) {
        const uint64_t size = (uint64_t)(level->size_e6 < most ? level->size_e6 : most);
        /* Relaxed: between the odd and the even sequence, see pa_book_publish. */
        atomic_store_explicit(words + i, (uint64_t)(uint32_t)level->price_e4 << size_bits | size,
                              memory_order_relaxed);
    }
    for (; i < depth; ++i) {
        atomic_store_explicit(words + i, 0, memory_order_relaxed); /* as above */
    }
}

int64_t pa_ladder_size(const pa_pool *pool, const pa_ladder *ladder, int side, uint32_t index) {
    if (ladder->block == 0) {
        return 0;
    }
    const uint64_t word = bits_of(pool, ladder, side)[index >> 6];
    const uint32_t bit = index & 63;
    if ((word >> bit & 1) == 0) {
        return 0;
    }
    const uint32_t rank = population(word & ((UINT64_C(1) << bit) - 1));
    return extent(pool, directory_of(pool, ladder, side)[index >> 6])[rank];
}
