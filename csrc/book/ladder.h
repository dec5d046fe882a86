/* book/ladder.h -- internal: both sides of one book, indexed by the market's own tick.
 *
 * Idea     a side is a bitmap with one bit for each price of the tick's grid, and beside every
 *          64-bit word of it an extent of the pool that holds only the sizes of the bits that
 *          are set, in order of price. A level is found by one bit test and a population
 *          count; setting one moves at most 63 sizes whatever the depth of the book; the next
 *          level is the next bit. A book of 80 levels takes about a kilobyte at any tick.
 * Pool     units of 32 bytes; blocks are powers of two, free lists by power, split when need
 *          be. Unit 0 is never given out, so that 0 is "none".
 * Digest   the sum, modulo 2^64, of a mixed word for each level; asks are mixed at the mirrored
 *          price. Hence "the bids of YES are the asks of NO" is one comparison, kept up to date
 *          by an addition and a subtraction for each change. It can only err for levels that
 *          were made to collide.
 * Threads  owner only.
 * Heap     none: everything is in the arena.
 */
#ifndef PA_BOOK_LADDER_H
#define PA_BOOK_LADDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "decode/market.h"

#define PA_TICK_COUNT 6
#define PA_TICK_NONE 255
#define PA_POOL_UNIT 32
#define PA_POOL_CLASSES 8 /* 32 bytes .. 4 KB */

/* The pool's heads, in the store section; `base` is where its section is mapped now. */
typedef struct pa_pool_heads {
    uint32_t unit_count;
    uint32_t bump;  /* units given out for the first time */
    uint32_t free[PA_POOL_CLASSES];
    uint32_t used[PA_POOL_CLASSES]; /* blocks in use, for monitors */
} pa_pool_heads;

typedef struct pa_pool {
    pa_pool_heads *heads;
    uint8_t *base;
} pa_pool;

typedef struct pa_ladder {
    uint64_t digest[2];
    uint32_t count[2]; /* levels                                            */
    uint32_t best[2];  /* price index, 1..grid; 0: the side is empty        */
    uint32_t block;    /* unit of bitmaps and directories; 0: none yet      */
    uint8_t tick;      /* row of the six ticks, or PA_TICK_NONE: no grid    */
    uint8_t reserved[3];
} pa_ladder;

/* Row of `tick_e4` or PA_TICK_NONE, and back (0 for none). */
uint8_t pa_tick_row(int32_t tick_e4);
int32_t pa_tick_e4(uint8_t row);

/* Index of the price on the grid, 1.., or 0 if it is off the tick. */
uint32_t pa_ladder_index(uint8_t tick, int32_t price_e4);

/* The coarsest grid that holds this price and every price of grid `tick` (0.0025 is not one of
 * 0.001's, so the next row need not do). */
uint8_t pa_ladder_finer(uint8_t tick, int32_t price_e4);

/* Give everything back to the pool; the grid stays. */
void pa_ladder_clear(const pa_pool *pool, pa_ladder *ladder);

/* Clear, then take another grid. */
void pa_ladder_regrid(const pa_pool *pool, pa_ladder *ladder, uint8_t tick);

/* The same levels on a finer grid. False: the pool is full, the ladder is empty. */
bool pa_ladder_refine(const pa_pool *pool, pa_ladder *ladder, uint8_t tick);

/* Set the total at a price index; 0 removes. *before is what it was. False: the pool is full,
 * nothing changed. */
bool pa_ladder_set(const pa_pool *pool, pa_ladder *ladder, int side, uint32_t index,
                   int64_t size_e6, int64_t *before);

/* What a list of levels is like on a grid. */
typedef struct pa_survey {
    bool on_grid;
    int way; /* +1: prices ascend, -1: descend, 0: neither, or a size is zero */
} pa_survey;

pa_survey pa_ladder_survey(uint8_t tick, const pa_book_level *levels, uint32_t count);

/* Replace a side by levels whose prices are all on the grid, of which the survey says in which
 * `way`; of a price that comes twice the last counts; at most `most` of the best are kept. False:
 * the pool is full, the side is empty or partly filled. */
bool pa_ladder_replace(const pa_pool *pool, pa_ladder *ladder, int side,
                       const pa_book_level *levels, uint32_t count, int way, uint32_t most);

/* Drop the worst levels of a side until `most` are left. */
void pa_ladder_trim(const pa_pool *pool, pa_ladder *ladder, int side, uint32_t most);

/* Up to `capacity` levels of a side, best first; returns how many. */
uint32_t pa_ladder_read(const pa_pool *pool, const pa_ladder *ladder, int side,
                        pa_book_level *out, uint32_t capacity);

/* The first `depth` levels of a side as a slot shows them: price << size_bits | size, a size that
 * does not fit as the largest that does; zeros behind the last. Relaxed stores. */
void pa_ladder_show(const pa_pool *pool, const pa_ladder *ladder, int side, uint32_t size_bits,
                    _Atomic uint64_t *words, uint32_t depth);

/* The same, of a list of levels from its best on, `step` apart: what a snapshot just brought. */
typedef struct pa_listed {
    const pa_book_level *best;
    int32_t step; /* +1 or -1 */
    uint32_t count;
} pa_listed;

void pa_ladder_show_list(const pa_listed *list, uint32_t size_bits, _Atomic uint64_t *words,
                         uint32_t depth);

/* The size at a price index; 0: none. */
int64_t pa_ladder_size(const pa_pool *pool, const pa_ladder *ladder, int side, uint32_t index);

static inline int32_t pa_ladder_price(const pa_ladder *ladder, uint32_t index) {
    static const int32_t STEP[PA_TICK_COUNT] = {1000, 100, 50, 25, 10, 1};
    return (int32_t)index * STEP[ladder->tick];
}

#endif
