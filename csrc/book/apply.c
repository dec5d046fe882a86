/* A frame's records into the books, then the checks, then publication. */
#include <string.h>

#include "book/book.h"

/* The frame at hand. */
typedef struct work {
    pa_books in;
    const uint8_t *frame;
    const pa_decoded *decoded;
    uint64_t recv_ns;
    uint32_t flags;
    uint32_t *touched;
    uint32_t touched_count;
    uint32_t listed_slot; /* whose book is as the last snapshot listed it, or PA_SLOT_NONE */
    pa_listed lists[PA_SIDE_COUNT];
} work;

static void touch(work *w, uint32_t slot) {
    pa_book *const book = &w->in.books[slot];
    w->listed_slot = slot == w->listed_slot ? PA_SLOT_NONE : w->listed_slot;
    if (book->frame != w->in.store->frame) {
        book->frame = w->in.store->frame;
        book->flags &= ~(uint32_t)(BOOK_EXPECT_BID | BOOK_EXPECT_ASK);
        w->touched[w->touched_count++] = slot;
    }
}

static void fault(work *w, pa_book *book, int state, bool wrong) {
    pa_book_fault(&w->in, book, state, wrong);
}

static void note(work *w, pa_counter which) {
    pa_store_count(w->in.store, which, 1);
}

static void take_hash(const work *w, pa_book *book, const pa_record *r) {
    if ((r->flags & PA_HAS_HASH) != 0) {
        memcpy(book->hash, w->frame + r->hash_at, PA_HASH_TEXT);
    } else {
        memset(book->hash, 0, PA_HASH_TEXT);
    }
}

static void stamp(const work *w, pa_book *book, const pa_record *r) {
    book->updates += 1;
    book->recv_ns = w->recv_ns;
    if ((r->flags & PA_HAS_TIME) != 0) {
        book->time_ms = r->time_ms;
    }
}

/* The pool is full, or half a side was replaced: nothing of the book can be trusted. */
static void give_up(work *w, pa_book *book) {
    note(w, PA_COUNT_POOL_FULL);
    pa_ladder_clear(&w->in.pool, &book->ladder);
    book->dirty = 1U << PA_BID | 1U << PA_ASK;
    fault(w, book, PA_STATE_GAP, true);
}

/* The grid for a snapshot and what its sides are like on it; PA_TICK_NONE: its levels are off the
 * tick we know. */
static uint8_t grid_for(const pa_book *book, const pa_record *r, const pa_book_level *bids,
                        const pa_book_level *asks, pa_survey *sides) {
    const bool told = (r->flags & PA_HAS_TICK) != 0;
    uint8_t tick = told ? pa_tick_row(r->tick_e4) : book->ladder.tick;
    for (;; ++tick) { /* ends: every price is on the last grid */
        sides[PA_BID] = pa_ladder_survey(tick, bids, r->bid_count);
        sides[PA_ASK] = pa_ladder_survey(tick, asks, r->ask_count);
        if (sides[PA_BID].on_grid && sides[PA_ASK].on_grid) {
            return tick;
        }
        if (told || (book->flags & BOOK_TICK_KNOWN) != 0) {
            return PA_TICK_NONE;
        }
    }
}

/* At most `most` of a sorted list, from its best level on: the bids' highest, the asks' lowest. */
static pa_listed listed(const pa_book_level *levels, uint32_t count, uint32_t most, int side,
                        int way) {
    const bool best_last = (way > 0) == (side == PA_BID) && count > 0;
    return (pa_listed){.best = best_last ? levels + count - 1 : levels,
                       .step = best_last ? -1 : 1,
                       .count = count < most ? count : most};
}

static void snapshot(work *w, uint32_t slot, const pa_record *r) {
    pa_book *const book = &w->in.books[slot];
    pa_ladder *const ladder = &book->ladder;
    const pa_book_level *const bids = w->decoded->levels + r->bid_first;
    const pa_book_level *const asks = w->decoded->levels + r->ask_first;
    if ((book->faults >> PA_STATE_RESOLVED & 1) != 0 ||
        ((book->flags & BOOK_READY) != 0 && (r->flags & PA_HAS_TIME) != 0 &&
         r->time_ms < book->time_ms)) {
        note(w, PA_COUNT_SNAPSHOT_REJECTS);
        return;
    }
    touch(w, slot);
    book->flags &= ~(uint32_t)(BOOK_EXPECT_BID | BOOK_EXPECT_ASK);
    book->dirty = 1U << PA_BID | 1U << PA_ASK;
    pa_survey sides[PA_SIDE_COUNT];
    const uint8_t tick = grid_for(book, r, bids, asks, sides);
    if (tick == PA_TICK_NONE) {
        note(w, PA_COUNT_SNAPSHOT_REJECTS);
        fault(w, book, PA_STATE_GAP, true);
        return;
    }
    if ((r->flags & PA_HAS_TICK) != 0) {
        book->flags |= BOOK_TICK_KNOWN;
    }
    if (tick != ladder->tick) {
        pa_ladder_regrid(&w->in.pool, ladder, tick);
    }
    const uint32_t most = w->in.store->max_depth != 0 ? w->in.store->max_depth : UINT32_MAX;
    if (!pa_ladder_replace(&w->in.pool, ladder, PA_BID, bids, r->bid_count, sides[PA_BID].way,
                           most) ||
        !pa_ladder_replace(&w->in.pool, ladder, PA_ASK, asks, r->ask_count, sides[PA_ASK].way,
                           most)) {
        note(w, PA_COUNT_SNAPSHOT_REJECTS);
        give_up(w, book);
        return;
    }
    note(w, PA_COUNT_SNAPSHOTS_APPLIED);
    stamp(w, book, r);
    take_hash(w, book, r);
    book->snapshot_ms = (r->flags & PA_HAS_TIME) != 0 ? r->time_ms : 0;
    if ((r->flags & PA_HAS_LAST) != 0) {
        book->last_e4 = r->last_e4;
    }
    book->flags |= BOOK_READY;
    if (sides[PA_BID].way != 0 && sides[PA_ASK].way != 0) {
        w->listed_slot = slot;
        w->lists[PA_BID] = listed(bids, r->bid_count, most, PA_BID, sides[PA_BID].way);
        w->lists[PA_ASK] = listed(asks, r->ask_count, most, PA_ASK, sides[PA_ASK].way);
    }
    /* What a snapshot proves. Crossed and mirror are judged again at the end of the frame. */
    book->faults &= ~(1U << PA_STATE_WARMING | 1U << PA_STATE_GAP | 1U << PA_STATE_STALE |
                      1U << PA_STATE_TICK | 1U << PA_STATE_TOP | 1U << PA_STATE_FROZEN);
}

/* Whether the delta belongs into the book by its time. */
static bool timely(work *w, pa_book *book, const pa_record *r) {
    if ((r->flags & PA_HAS_TIME) == 0) {
        return true;
    }
    if (r->time_ms < book->snapshot_ms) {
        note(w, PA_COUNT_DELTAS_OLD);
        return false;
    }
    if (r->time_ms < book->time_ms) {
        note(w, PA_COUNT_TIME_BACKWARDS);
        if ((w->flags & PA_APPLY_DROP_OLDER) != 0) {
            note(w, PA_COUNT_DELTAS_OLD);
            return false;
        }
    }
    return true;
}

static void delta(work *w, uint32_t slot, const pa_record *r) {
    pa_book *const book = &w->in.books[slot];
    pa_ladder *const ladder = &book->ladder;
    const int side = (int)r->side;
    if ((r->flags & (PA_HAS_FLAT | PA_HAS_CHANGES)) != 0) {
        note(w, PA_COUNT_OLD_FORMS);
    }
    if ((book->flags & BOOK_READY) == 0 || (book->faults >> PA_STATE_RESOLVED & 1) != 0) {
        note(w, PA_COUNT_DELTAS_IGNORED);
        return;
    }
    if (!timely(w, book, r)) {
        return;
    }
    touch(w, slot);
    book->flags &= ~(uint32_t)(BOOK_EXPECT_BID | BOOK_EXPECT_ASK);
    uint32_t index = pa_ladder_index(ladder->tick, r->price_e4);
    if (index == 0 && (book->flags & BOOK_TICK_KNOWN) == 0) {
        if (!pa_ladder_refine(&w->in.pool, ladder, pa_ladder_finer(ladder->tick, r->price_e4))) {
            give_up(w, book);
            return;
        }
        index = pa_ladder_index(ladder->tick, r->price_e4);
    }
    if (index == 0) {
        note(w, PA_COUNT_OFF_TICK);
        fault(w, book, PA_STATE_GAP, true);
        return;
    }
    int64_t before;
    if (!pa_ladder_set(&w->in.pool, ladder, side, index, r->size_e6, &before)) {
        give_up(w, book);
        return;
    }
    if (before == r->size_e6 && r->time_ms == book->time_ms && (r->flags & PA_HAS_HASH) != 0 &&
        memcmp(book->hash, w->frame + r->hash_at, PA_HASH_TEXT) == 0) {
        note(w, PA_COUNT_DUPLICATES);
    }
    if (before != r->size_e6) {
        if (w->in.store->max_depth != 0) {
            pa_ladder_trim(&w->in.pool, ladder, side, w->in.store->max_depth);
        }
        if (pa_book_shows(&w->in, slot, side, r->price_e4)) {
            book->dirty |= 1U << side;
        }
    }
    note(w, PA_COUNT_DELTAS_APPLIED);
    stamp(w, book, r);
    take_hash(w, book, r);
    if ((r->flags & PA_HAS_BEST_BID) != 0) {
        book->flags |= BOOK_EXPECT_BID;
        book->expect_bid_e4 = r->best_bid_e4;
    }
    if ((r->flags & PA_HAS_BEST_ASK) != 0) {
        book->flags |= BOOK_EXPECT_ASK;
        book->expect_ask_e4 = r->best_ask_e4;
    }
}

/* Our best price of a side as messages have it: 0 or 1 for an empty one. */
static int32_t best_e4(const pa_book *book, int side) {
    const uint32_t best = book->ladder.best[side];
    return best != 0 ? pa_ladder_price(&book->ladder, best) : side == PA_BID ? 0 : PA_PRICE_ONE_E4;
}

static void trade(work *w, uint32_t slot, const pa_record *r) {
    pa_book *const book = &w->in.books[slot];
    note(w, PA_COUNT_TRADES);
    book->last_e4 = r->price_e4; /* the market's: its complement reports the same price */
    if (book->pair != PA_SLOT_NONE) {
        w->in.books[book->pair].last_e4 = r->price_e4;
        touch(w, book->pair);
    }
    touch(w, slot);
}

static void tick_change(work *w, uint32_t slot, const pa_record *r) {
    pa_book *const book = &w->in.books[slot];
    const uint8_t tick = pa_tick_row(r->tick_e4);
    const bool news = tick != book->ladder.tick;
    book->flags |= BOOK_TICK_KNOWN;
    if (!news || (book->faults >> PA_STATE_RESOLVED & 1) != 0) {
        return; /* the announcement may come twice, and after a book that has it */
    }
    note(w, PA_COUNT_TICK_CHANGES);
    touch(w, slot);
    pa_ladder_regrid(&w->in.pool, &book->ladder, tick);
    book->flags &= ~(uint32_t)BOOK_READY;
    book->dirty = 1U << PA_BID | 1U << PA_ASK;
    fault(w, book, PA_STATE_TICK, true);
    book->faults &= ~(1U << PA_STATE_CROSSED | 1U << PA_STATE_TOP | 1U << PA_STATE_GAP);
}

static void best_prices(work *w, uint32_t slot, const pa_record *r) {
    const pa_book *const book = &w->in.books[slot];
    if ((book->flags & BOOK_READY) != 0 &&
        (((r->flags & PA_HAS_BEST_BID) != 0 && r->best_bid_e4 != best_e4(book, PA_BID)) ||
         ((r->flags & PA_HAS_BEST_ASK) != 0 && r->best_ask_e4 != best_e4(book, PA_ASK)))) {
        note(w, PA_COUNT_BEST_MISMATCHES);
    }
}

static void resolved(work *w, uint32_t slot) {
    touch(w, slot);
    fault(w, &w->in.books[slot], PA_STATE_RESOLVED, true);
}

#define LINE 64
#define SLOT_AHEAD 320 /* bytes: a slot of depth 10, that of the configuration's default */

/* The slot that the record at `i` is about, its book and what is published of it on their way into
 * the cache; PA_SLOT_NONE: none. */
static uint32_t find(work *w, uint32_t i) {
    if (i >= w->decoded->record_count) {
        return PA_SLOT_NONE;
    }
    const pa_record *const r = &w->decoded->records[i];
    if (r->kind > PA_KIND_RESOLVED || r->kind == PA_KIND_NEW_MARKET || r->token_bytes == 0) {
        return PA_SLOT_NONE;
    }
    const uint32_t slot =
        pa_books_find(&w->in, (const char *)w->frame + r->token_at, r->token_bytes);
    if (slot == PA_SLOT_NONE) {
        note(w, PA_COUNT_UNKNOWN_TOKENS);
        return PA_SLOT_NONE;
    }
    const char *const book = (const char *)&w->in.books[slot];
    for (size_t at = 0; at < sizeof(pa_book); at += LINE) {
        __builtin_prefetch(book + at, 1);
    }
    const char *const words = (const char *)pa_slot_at(&w->in, slot);
    for (size_t at = 0; at < SLOT_AHEAD; at += LINE) { /* behind the last slot it is no harm */
        __builtin_prefetch(words + at, 1);
    }
    __builtin_prefetch((const void *)&w->in.tops[slot], 1);
    return slot;
}

static void one(work *w, const pa_record *r, uint32_t slot) {
    switch (r->kind) {
    case PA_KIND_BOOK:
        snapshot(w, slot, r);
        break;
    case PA_KIND_CHANGE:
        delta(w, slot, r);
        break;
    case PA_KIND_TRADE:
        trade(w, slot, r);
        break;
    case PA_KIND_TICK:
        tick_change(w, slot, r);
        break;
    case PA_KIND_BEST:
        best_prices(w, slot, r);
        break;
    default:
        resolved(w, slot);
    }
}

/* Both must have had a snapshot; otherwise there is nothing to compare. */
static void check_mirror(work *w, uint32_t slot) {
    pa_book *const a = &w->in.books[slot];
    if (a->pair == PA_SLOT_NONE) {
        return;
    }
    pa_book *const b = &w->in.books[a->pair];
    const bool both = (a->flags & b->flags & BOOK_READY) != 0;
    const bool wrong = both && (a->ladder.digest[PA_BID] != b->ladder.digest[PA_ASK] ||
                                a->ladder.digest[PA_ASK] != b->ladder.digest[PA_BID]);
    const bool was = ((a->faults | b->faults) >> PA_STATE_MIRROR & 1) != 0;
    if (wrong != was) {
        if (wrong) {
            note(w, PA_COUNT_MIRROR_MISMATCHES);
        }
        touch(w, a->pair); /* its state changes with this one's */
        fault(w, a, PA_STATE_MIRROR, wrong);
        fault(w, b, PA_STATE_MIRROR, wrong);
    }
}

static void check_book(work *w, uint32_t slot) {
    pa_book *const book = &w->in.books[slot];
    const uint32_t bid = book->ladder.best[PA_BID], ask = book->ladder.best[PA_ASK];
    const bool crossed = bid != 0 && ask != 0 && bid >= ask;
    if (crossed != ((book->faults >> PA_STATE_CROSSED & 1) != 0)) {
        fault(w, book, PA_STATE_CROSSED, crossed);
    }
    if ((book->flags & (BOOK_EXPECT_BID | BOOK_EXPECT_ASK)) != 0) {
        const bool wrong =
            ((book->flags & BOOK_EXPECT_BID) != 0 && book->expect_bid_e4 != best_e4(book, PA_BID)) ||
            ((book->flags & BOOK_EXPECT_ASK) != 0 && book->expect_ask_e4 != best_e4(book, PA_ASK));
        if (wrong != ((book->faults >> PA_STATE_TOP & 1) != 0)) {
            fault(w, book, PA_STATE_TOP, wrong);
        }
    }
    check_mirror(w, slot);
}

void pa_apply_begin(pa_store *store) {
    store->call += 1;
}

void pa_apply_reject(pa_store *store) {
    pa_store_count(store, PA_COUNT_FRAMES, 1);
    pa_store_count(store, PA_COUNT_FRAMES_REJECTED, 1);
}

void pa_apply_frame(pa_store *store, const uint8_t *frame, const pa_decoded *decoded,
                    uint32_t flags, uint64_t recv_ns, uint32_t *touched, uint32_t *changed,
                    uint32_t capacity, uint32_t *count, uint32_t *lost) {
    work w = {.frame = frame, .decoded = decoded, .recv_ns = recv_ns, .flags = flags,
              .touched = touched, .listed_slot = PA_SLOT_NONE};
    pa_books_at(store, &w.in);
    pa_store_count(store, PA_COUNT_FRAMES, 1);
    pa_store_count(store, PA_COUNT_MESSAGES, decoded->message_count);
    if (decoded->skipped != 0) {
        pa_store_count(store, PA_COUNT_MEMBERS_SKIPPED, decoded->skipped);
    }
    store->frame += 1;
    store->busy = 1; /* a process that dies from here on leaves books that recover empties */
    /* The compiler may not move the books' stores out of the busy ones; for a process that is
     * killed, program order is what was stored. */
    atomic_signal_fence(memory_order_seq_cst);
    /* Each book is looked for while the one before is changed. */
    uint32_t slot = find(&w, 0);
    for (uint32_t i = 0; i < decoded->record_count; ++i) {
        const uint32_t next = find(&w, i + 1);
        if (slot != PA_SLOT_NONE) {
            one(&w, &decoded->records[i], slot);
        }
        slot = next;
    }
    const uint32_t own = w.touched_count; /* what the mirror adds needs no check of its own */
    for (uint32_t i = 0; i < own; ++i) {
        check_book(&w, w.touched[i]);
    }
    for (uint32_t i = 0; i < w.touched_count; ++i) {
        pa_book *const book = &w.in.books[w.touched[i]];
        pa_book_judge(&w.in, book, recv_ns);
        pa_book_publish_listed(&w.in, w.touched[i],
                               w.touched[i] == w.listed_slot ? w.lists : NULL);
        if (book->call != store->call) {
            book->call = store->call;
            if (*count < capacity) {
                changed[(*count)++] = w.touched[i];
            } else {
                *lost += 1;
            }
        }
    }
    atomic_signal_fence(memory_order_seq_cst);
    store->busy = 0;
}
