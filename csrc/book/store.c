#include "book/store.h"

#include <string.h>

#include "book/book.h"

/* Gravest first. */
static const uint8_t GRAVITY[] = {PA_STATE_RESOLVED, PA_STATE_FROZEN, PA_STATE_TICK,
                                  PA_STATE_WARMING,  PA_STATE_STALE,  PA_STATE_GAP,
                                  PA_STATE_CROSSED,  PA_STATE_MIRROR, PA_STATE_TOP};

#define QUIET_NS UINT64_C(1500000000)
#define HARD_NS UINT64_C(60000000000)

static const char *const STATES[PA_STATE_COUNT] = {
    [PA_STATE_NONE] = "none",
    [PA_STATE_LIVE] = "live",
    [PA_STATE_TOP] = "top_mismatch",
    [PA_STATE_MIRROR] = "mirror_mismatch",
    [PA_STATE_CROSSED] = "crossed",
    [PA_STATE_GAP] = "gap",
    [PA_STATE_STALE] = "stale",
    [PA_STATE_WARMING] = "warming",
    [PA_STATE_TICK] = "tick_change",
    [PA_STATE_FROZEN] = "frozen",
    [PA_STATE_RESOLVED] = "resolved",
};

static const char *const COUNTERS[PA_COUNT_COUNT] = {
    [PA_COUNT_FRAMES] = "frames",
    [PA_COUNT_FRAMES_REJECTED] = "frames_rejected",
    [PA_COUNT_MESSAGES] = "messages",
    [PA_COUNT_MEMBERS_SKIPPED] = "members_skipped",
    [PA_COUNT_SNAPSHOTS_APPLIED] = "snapshots_applied",
    [PA_COUNT_SNAPSHOT_REJECTS] = "snapshot_rejects",
    [PA_COUNT_DELTAS_APPLIED] = "deltas_applied",
    [PA_COUNT_DELTAS_IGNORED] = "deltas_ignored",
    [PA_COUNT_DELTAS_OLD] = "deltas_old",
    [PA_COUNT_DUPLICATES] = "duplicates",
    [PA_COUNT_TIME_BACKWARDS] = "time_backwards",
    [PA_COUNT_SEQUENCE_GAPS] = "sequence_gaps",
    [PA_COUNT_CROSSED_BOOKS] = "crossed_books",
    [PA_COUNT_CROSSED_BOOK_RESETS] = "crossed_book_resets",
    [PA_COUNT_MIRROR_MISMATCHES] = "mirror_mismatches",
    [PA_COUNT_TOP_MISMATCHES] = "top_mismatches",
    [PA_COUNT_BEST_MISMATCHES] = "best_mismatches",
    [PA_COUNT_UNKNOWN_TOKENS] = "unknown_tokens",
    [PA_COUNT_OFF_TICK] = "off_tick",
    [PA_COUNT_POOL_FULL] = "pool_full",
    [PA_COUNT_TRADES] = "trades",
    [PA_COUNT_TICK_CHANGES] = "tick_changes",
    [PA_COUNT_RESOLVED] = "resolved",
    [PA_COUNT_OLD_FORMS] = "old_forms",
};

const char *pa_state_name(int state) {
    return state >= 0 && state < PA_STATE_COUNT ? STATES[state] : NULL;
}

const char *pa_counter_name(int counter) {
    return counter >= 0 && counter < PA_COUNT_COUNT ? COUNTERS[counter] : NULL;
}

pa_store *pa_store_of(pa_arena *arena) {
    pa_store *store = pa_arena_at(arena, PA_SECTION_STORE);
    /* An empty section lies where the next one starts. */
    return (void *)store != pa_arena_at(arena, PA_SECTION_INDEX) ? store : NULL;
}

void pa_books_open(pa_arena *arena, pa_books *out) {
    pa_books_at(pa_arena_at(arena, PA_SECTION_STORE), out);
}

static void count(pa_store *store, pa_counter which) {
    pa_store_count(store, which, 1);
}

/* ---- publication ---- */

/* Of a packed top: ask and state, all that a cost depends on but for the fee. */
#define TOP_COST_BITS (UINT64_C(0x3FFFF) << 14)

static void put(_Atomic uint64_t *word, uint64_t value) {
    /* Relaxed: between the odd and the even sequence, see pa_book_publish. */
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* What a book has to say of itself, without the levels behind the first. */
static void publish_head(const pa_book *book, _Atomic uint64_t *slot, uint64_t bid, uint64_t ask) {
    put(slot + SLOT_BID, bid);
    put(slot + SLOT_ASK, ask);
    put(slot + SLOT_STATE, (uint64_t)book->state | (uint64_t)book->faults << 8 |
                               (uint64_t)book->ladder.count[PA_BID] << 24 |
                               (uint64_t)book->ladder.count[PA_ASK] << 40);
    put(slot + SLOT_RECV, book->recv_ns);
    put(slot + SLOT_TIME, book->time_ms);
    put(slot + SLOT_UPDATES, book->updates);
    put(slot + SLOT_SINCE, book->since_ns);
    put(slot + SLOT_SNAPSHOT, book->snapshot_ms);
    put(slot + SLOT_FAILING, book->failing_since_ns);
    put(slot + SLOT_TICK, (uint64_t)(uint32_t)pa_tick_e4(book->ladder.tick) |
                              (uint64_t)(uint32_t)book->last_e4 << 32);
    for (int i = 0; i < PA_HASH_TEXT / 8; ++i) {
        put(slot + SLOT_HASH + i, book->hash[i]);
    }
}

/* ceil(rate x (p (1 - p)) ^ exponent) x 1e6, of prices x 1e4. */
static uint32_t fee_of(int32_t rate_e6, int32_t exponent, uint32_t ask_e4) {
    const uint64_t spread_e8 = (uint64_t)ask_e4 * (PA_PRICE_ONE_E4 - ask_e4); /* <= 2.5e7 */
    if (exponent == 1) {
        return (uint32_t)(((uint64_t)rate_e6 * spread_e8 + 99999999) / 100000000);
    }
    /* rate x spread <= 2.5e13; once more it would not fit: the square's halves one by one. */
    const unsigned __int128 exact = (unsigned __int128)((uint64_t)rate_e6 * spread_e8) * spread_e8;
    return (uint32_t)((exact + (UINT64_C(10000000000000000) - 1)) / UINT64_C(10000000000000000));
}

static uint32_t cost_of(const pa_book *book, uint32_t ask_e4) {
    if (book->state != PA_STATE_LIVE || ask_e4 == 0 || book->fee_rate_e6 < 0) {
        return PA_COST_NONE;
    }
    return ask_e4 * 100 + fee_of(book->fee_rate_e6, book->fee_exponent, ask_e4);
}

void pa_book_publish_listed(const pa_books *in, uint32_t slot_index,
                            const pa_listed lists[PA_SIDE_COUNT]) {
    pa_book *const book = &in->books[slot_index];
    _Atomic uint64_t *const slot = pa_slot_at(in, slot_index);
    const uint32_t depth = in->store->depth;
    uint64_t best[PA_SIDE_COUNT];
    /* Relaxed: one writer. A predecessor that died left it odd; then it goes on from there. */
    const uint64_t odd = atomic_load_explicit(slot + SLOT_SEQUENCE, memory_order_relaxed) | 1;
    atomic_store_explicit(slot + SLOT_SEQUENCE, odd, memory_order_relaxed);
    /* Release: pairs with the acquire fence of readers; who sees a new word sees the odd one. */
    atomic_thread_fence(memory_order_release);
    for (int side = 0; side < PA_SIDE_COUNT; ++side) {
        _Atomic uint64_t *const words = slot + SLOT_LEVELS + (uint32_t)side * depth;
        if (lists != NULL) {
            pa_ladder_show_list(&lists[side], PA_SIZE_SHOWN_BITS, words, depth);
        } else if ((book->dirty >> side & 1) != 0) {
            pa_ladder_show(&in->pool, &book->ladder, side, PA_SIZE_SHOWN_BITS, words, depth);
        }
        /* Relaxed: the writer reads what it wrote. */
        best[side] = atomic_load_explicit(words, memory_order_relaxed);
    }
    book->dirty = 0;
    publish_head(book, slot, best[PA_BID], best[PA_ASK]);
    /* Release: pairs with the readers' first acquire load. */
    atomic_store_explicit(slot + SLOT_SEQUENCE, odd + 1, memory_order_release);
    const uint64_t top = best[PA_BID] >> PA_SIZE_SHOWN_BITS |
                         best[PA_ASK] >> PA_SIZE_SHOWN_BITS << 14 | (uint64_t)book->state << 28 |
                         book->updates << 32;
    /* Relaxed: the writer reads what it wrote. */
    const uint64_t before = atomic_load_explicit(&in->tops[slot_index], memory_order_relaxed);
    if (((before ^ top) & TOP_COST_BITS) != 0) {
        const uint32_t ask_e4 = (uint32_t)(best[PA_ASK] >> PA_SIZE_SHOWN_BITS);
        /* Relaxed: a word that stands alone; who acts on it looks at the book again. */
        atomic_store_explicit(&in->costs[slot_index], cost_of(book, ask_e4), memory_order_relaxed);
    }
    /* Release: pairs with the acquire in pa_store_top; the slot is at least as new. */
    atomic_store_explicit(&in->tops[slot_index], top, memory_order_release);
}

void pa_book_publish(const pa_books *in, uint32_t slot) {
    pa_book_publish_listed(in, slot, NULL);
}

/* Whether a change at this price shows in the slot. */
bool pa_book_shows(const pa_books *in, uint32_t slot_index, int side, int32_t price_e4) {
    const uint32_t depth = in->store->depth;
    const _Atomic uint64_t *const words =
        pa_slot_at(in, slot_index) + SLOT_LEVELS + (side == PA_ASK ? depth : 0);
    /* Relaxed: the writer reads what it wrote. */
    const uint64_t last = atomic_load_explicit(words + depth - 1, memory_order_relaxed);
    const int32_t worst = (int32_t)(last >> PA_SIZE_SHOWN_BITS);
    return last == 0 || (side == PA_BID ? price_e4 >= worst : price_e4 <= worst);
}

/* ---- states ---- */

static void end_episode(pa_store *store, uint32_t state, uint64_t ns) {
    pa_episode_words *e = &store->episodes[state];
    pa_word_add(&e->count, 1);
    pa_word_add(&e->ns_sum, ns);
    /* Relaxed: a counter, as in pa_word_add. */
    if (ns > atomic_load_explicit(&e->ns_max, memory_order_relaxed)) {
        atomic_store_explicit(&e->ns_max, ns, memory_order_relaxed);
    }
}

void pa_book_judge(const pa_books *in, pa_book *book, uint64_t now_ns) {
    uint32_t state = PA_STATE_LIVE;
    for (size_t i = 0; book->faults != 0 && i < sizeof GRAVITY; ++i) {
        if ((book->faults >> GRAVITY[i] & 1) != 0) {
            state = GRAVITY[i];
            break;
        }
    }
    if (state == book->state) {
        return;
    }
    pa_store *const store = in->store;
    if (book->state > PA_STATE_LIVE) {
        end_episode(store, book->state, now_ns > book->since_ns ? now_ns - book->since_ns : 0);
    }
    if (state == PA_STATE_LIVE) {
        store->live_count += 1;
        book->failing_since_ns = 0;
    } else if (book->state == PA_STATE_LIVE || book->state == PA_STATE_NONE) {
        store->live_count -= book->state == PA_STATE_LIVE;
        book->failing_since_ns = now_ns;
    }
    book->state = state;
    book->since_ns = now_ns;
}

void pa_book_fault(const pa_books *in, pa_book *book, int state, bool wrong) {
    static const uint8_t COUNTED[PA_STATE_COUNT] = {
        [PA_STATE_TOP] = PA_COUNT_TOP_MISMATCHES,
        [PA_STATE_GAP] = PA_COUNT_SEQUENCE_GAPS,
        [PA_STATE_CROSSED] = PA_COUNT_CROSSED_BOOKS,
        [PA_STATE_RESOLVED] = PA_COUNT_RESOLVED,
    };
    const uint32_t bit = 1U << state;
    if (wrong && (book->faults & bit) == 0 && COUNTED[state] != 0) {
        count(in->store, COUNTED[state]);
    }
    book->faults = wrong ? book->faults | bit : book->faults & ~bit;
}

static void settle(const pa_books *in, uint32_t slot, uint64_t now_ns) {
    pa_book_judge(in, &in->books[slot], now_ns);
    pa_book_publish(in, slot);
}

/* ---- the table ---- */

static uint64_t mum(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Over every digit: ids of test markets may differ in one alone. */
static uint64_t hash_of(const char *text, uint32_t bytes) {
    uint64_t hash = bytes * UINT64_C(0x9E3779B97F4A7C15);
    if (bytes >= 16) {
        for (uint32_t i = 0; i + 16 < bytes; i += 16) {
            hash ^= mum(load(text + i) ^ (UINT64_C(0xA0761D6478BD642F) + i),
                        load(text + i + 8) ^ UINT64_C(0xE7037ED1A0B428DB));
        }
        return mum(hash ^ load(text + bytes - 16), load(text + bytes - 8) ^ UINT64_C(0x8EBC6AF09C88C6E3));
    }
    for (uint32_t i = 0; i < bytes; ++i) {
        hash = mum(hash ^ (uint8_t)text[i], UINT64_C(0xA0761D6478BD642F));
    }
    return hash;
}

typedef uint64_t two_words __attribute__((vector_size(16)));

static two_words load_two(const char *p) {
    two_words words;
    memcpy(&words, p, sizeof words);
    return words;
}

static bool same_text(const char *a, const char *b, uint32_t bytes) {
    if (bytes < 16) {
        return memcmp(a, b, bytes) == 0;
    }
    two_words differ = load_two(a + bytes - 16) ^ load_two(b + bytes - 16);
    for (uint32_t i = 0; i + 16 < bytes; i += 16) {
        differ |= load_two(a + i) ^ load_two(b + i);
    }
    return (differ[0] | differ[1]) == 0;
}

/* An entry: the hash's high half, and slot + 1; 0: never used; low half 0: a grave. */
uint32_t pa_books_find(const pa_books *in, const char *text, uint32_t bytes) {
    const uint64_t hash = hash_of(text, bytes);
    const uint64_t mask = in->store->index_mask;
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        const uint64_t entry = in->index[i];
        if (entry == 0) {
            return PA_SLOT_NONE;
        }
        if (entry >> 32 == hash >> 32 && (uint32_t)entry != 0) {
            const uint32_t slot = (uint32_t)entry - 1;
            const pa_token *token = &in->tokens[slot];
            if (token->bytes == bytes && same_text(token->text, text, bytes)) {
                return slot;
            }
        }
    }
}

static void enter(const pa_books *in, uint32_t slot) {
    const pa_token *token = &in->tokens[slot];
    const uint64_t hash = hash_of(token->text, token->bytes);
    const uint64_t mask = in->store->index_mask;
    uint64_t i = hash & mask;
    while ((uint32_t)in->index[i] != 0) {
        i = (i + 1) & mask;
    }
    in->store->graves -= in->index[i] != 0;
    in->index[i] = hash >> 32 << 32 | (slot + 1);
}

/* Graves lengthen searches, and without an empty entry none would end. */
static void sweep(const pa_books *in) {
    memset(in->index, 0, (in->store->index_mask + 1) * sizeof *in->index);
    in->store->graves = 0;
    for (uint32_t slot = 0; slot < in->store->slot_count; ++slot) {
        if (in->tokens[slot].bytes != 0) {
            enter(in, slot);
        }
    }
}

static bool open_slot(pa_arena *arena, pa_books *in, uint32_t slot) {
    if (pa_store_of(arena) == NULL) {
        return false;
    }
    pa_books_open(arena, in);
    return slot < in->store->slot_count && in->tokens[slot].bytes != 0;
}

static bool token_valid(const char *text, size_t bytes) {
    if (bytes < 1 || bytes > PA_TOKEN_TEXT_MAX || (bytes > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < bytes; ++i) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

/* A book without levels, warming. */
static void start_book(pa_book *book, uint8_t tick, bool known) {
    memset(book, 0, sizeof *book);
    book->ladder.tick = tick;
    book->flags = known ? BOOK_TICK_KNOWN : 0;
    book->pair = PA_SLOT_NONE;
    book->fee_rate_e6 = -1;
    book->fee_exponent = 1;
    book->faults = 1U << PA_STATE_WARMING;
    book->dirty = 1U << PA_BID | 1U << PA_ASK;
}

pa_status pa_store_add(pa_arena *arena, const char *token, size_t bytes, int32_t tick_e4,
                       uint64_t now_ns, uint32_t *slot) {
    pa_books in;
    if (!token_valid(token, bytes)) {
        return PA_E_MALFORMED;
    }
    if (tick_e4 != 0 && pa_tick_row(tick_e4) == PA_TICK_NONE) {
        return PA_E_RANGE;
    }
    if (pa_store_of(arena) == NULL) {
        return PA_E_CAPACITY;
    }
    pa_books_open(arena, &in);
    const uint32_t found = pa_books_find(&in, token, (uint32_t)bytes);
    if (found != PA_SLOT_NONE) {
        *slot = found;
        return PA_OK;
    }
    pa_store *const store = in.store;
    uint32_t at = store->free_slot; /* slot + 1 */
    if (at != 0) {
        store->free_slot = in.books[at - 1].next_free;
    } else if (store->slot_count < store->capacity) {
        at = ++store->slot_count;
    } else {
        return PA_E_CAPACITY;
    }
    at -= 1;
    memcpy(in.tokens[at].text, token, bytes);
    in.tokens[at].bytes = (uint32_t)bytes;
    /* Unknown: the common tick is tried first, and made finer when a price asks for it. */
    start_book(&in.books[at], pa_tick_row(tick_e4 != 0 ? tick_e4 : 100), tick_e4 != 0);
    enter(&in, at);
    store->token_count += 1;
    settle(&in, at, now_ns);
    *slot = at;
    return PA_OK;
}

pa_status pa_store_find(pa_arena *arena, const char *token, size_t bytes, uint32_t *slot) {
    pa_books in;
    if (!token_valid(token, bytes) || pa_store_of(arena) == NULL) {
        return PA_E_RANGE;
    }
    pa_books_open(arena, &in);
    *slot = pa_books_find(&in, token, (uint32_t)bytes);
    return *slot != PA_SLOT_NONE ? PA_OK : PA_E_RANGE;
}

static void unpair(const pa_books *in, uint32_t slot, uint64_t now_ns) {
    const uint32_t other = in->books[slot].pair;
    if (other != PA_SLOT_NONE) {
        in->books[slot].pair = in->books[other].pair = PA_SLOT_NONE;
        pa_book_fault(in, &in->books[other], PA_STATE_MIRROR, false);
        settle(in, other, now_ns);
    }
}

pa_status pa_store_remove(pa_arena *arena, uint32_t slot, uint64_t now_ns) {
    pa_books in;
    if (!open_slot(arena, &in, slot)) {
        return PA_E_RANGE;
    }
    pa_store *const store = in.store;
    pa_book *const book = &in.books[slot];
    pa_token *const token = &in.tokens[slot];
    unpair(&in, slot, now_ns);
    const uint64_t hash = hash_of(token->text, token->bytes);
    uint64_t i = hash & store->index_mask;
    while ((uint32_t)in.index[i] != slot + 1) {
        i = (i + 1) & store->index_mask;
    }
    in.index[i] = UINT64_C(1) << 32; /* a grave */
    token->bytes = 0;
    token->removals += 1;
    store->graves += 1;
    store->token_count -= 1;
    store->live_count -= book->state == PA_STATE_LIVE;
    pa_ladder_clear(&in.pool, &book->ladder);
    start_book(book, PA_TICK_NONE, false);
    book->faults = 0;
    pa_book_publish(&in, slot);
    /* Relaxed: a top of 0 promises nothing of its slot. */
    atomic_store_explicit(&in.tops[slot], 0, memory_order_relaxed);
    book->next_free = store->free_slot;
    store->free_slot = slot + 1;
    if (store->graves > (store->index_mask + 1) / 4) {
        sweep(&in);
    }
    return PA_OK;
}

pa_status pa_store_pair(pa_arena *arena, uint32_t a, uint32_t b) {
    pa_books in;
    if (!open_slot(arena, &in, a) || !open_slot(arena, &in, b) || a == b) {
        return PA_E_RANGE;
    }
    pa_book *const x = &in.books[a], *const y = &in.books[b];
    if (x->pair == b && y->pair == a) {
        return PA_OK;
    }
    if (x->pair != PA_SLOT_NONE || y->pair != PA_SLOT_NONE) {
        return PA_E_RANGE;
    }
    x->pair = b;
    y->pair = a;
    return PA_OK;
}

uint32_t pa_store_pair_of(pa_arena *arena, uint32_t slot) {
    pa_books in;
    return open_slot(arena, &in, slot) ? in.books[slot].pair : PA_SLOT_NONE;
}

#define MARKS (1U << PA_STATE_GAP | 1U << PA_STATE_STALE | 1U << PA_STATE_FROZEN)

static pa_status set_fault(pa_arena *arena, uint32_t slot, int state, bool wrong, uint32_t allowed,
                           uint64_t now_ns) {
    pa_books in;
    if (state < 0 || state >= PA_STATE_COUNT || (allowed >> state & 1) == 0 ||
        !open_slot(arena, &in, slot)) {
        return PA_E_RANGE;
    }
    pa_book_fault(&in, &in.books[slot], state, wrong);
    settle(&in, slot, now_ns);
    return PA_OK;
}

pa_status pa_store_mark(pa_arena *arena, uint32_t slot, int state, uint64_t now_ns) {
    return set_fault(arena, slot, state, true, MARKS | 1U << PA_STATE_RESOLVED, now_ns);
}

pa_status pa_store_clear(pa_arena *arena, uint32_t slot, int state, uint64_t now_ns) {
    return set_fault(arena, slot, state, false, MARKS, now_ns);
}

/* Without levels, and everything that was wrong forgotten but that it is resolved. */
static void empty(const pa_books *in, uint32_t slot, uint64_t now_ns) {
    pa_book *const book = &in->books[slot];
    pa_ladder_clear(&in->pool, &book->ladder);
    book->flags &= (uint32_t)BOOK_TICK_KNOWN;
    book->faults = (book->faults & 1U << PA_STATE_RESOLVED) | 1U << PA_STATE_WARMING;
    book->time_ms = book->snapshot_ms = book->recv_ns = 0;
    memset(book->hash, 0, sizeof book->hash);
    book->dirty = 1U << PA_BID | 1U << PA_ASK;
    settle(in, slot, now_ns);
    if (book->pair != PA_SLOT_NONE) { /* nothing to compare with any more */
        pa_book_fault(in, &in->books[book->pair], PA_STATE_MIRROR, false);
        settle(in, book->pair, now_ns);
    }
}

pa_status pa_store_reset(pa_arena *arena, uint32_t slot, uint64_t now_ns) {
    pa_books in;
    if (!open_slot(arena, &in, slot)) {
        return PA_E_RANGE;
    }
    if ((in.books[slot].faults >> PA_STATE_CROSSED & 1) != 0) {
        count(in.store, PA_COUNT_CROSSED_BOOK_RESETS);
    }
    in.store->busy = 1;
    empty(&in, slot, now_ns);
    in.store->busy = 0;
    return PA_OK;
}

pa_status pa_store_recover(pa_arena *arena, uint32_t max_depth, uint64_t now_ns) {
    pa_arena_info info;
    pa_books in;
    if (pa_store_of(arena) == NULL) {
        return PA_E_CAPACITY;
    }
    static const int SECTIONS[] = {PA_SECTION_INDEX, PA_SECTION_TOKENS, PA_SECTION_BOOKS,
                                   PA_SECTION_TOPS,  PA_SECTION_SLOTS,  PA_SECTION_LADDERS,
                                   PA_SECTION_COSTS, PA_SECTION_LINES};
    pa_arena_read_info(arena, &info);
    pa_store *const store = pa_store_of(arena);
    for (int i = 0; i < 8; ++i) {
        store->offsets[i] =
            (uint64_t)((char *)pa_arena_at(arena, SECTIONS[i]) - (char *)store);
    }
    pa_books_at(store, &in);
    const bool lost = store->busy != 0;
    store->capacity = info.config.token_count;
    store->depth = info.config.depth;
    store->slot_words = pa_slot_words(info.config.depth);
    store->index_mask = pa_index_entries(info.config.token_count) - 1;
    store->max_depth = max_depth;
    store->recovered = lost;
    store->epoch += 1;
    if (lost) { /* the pool's lists may be torn: start it again, forget every ladder */
        memset(&store->pool, 0, sizeof store->pool);
    }
    store->pool.unit_count =
        (uint32_t)((uint64_t)info.config.ladder_pages * PA_ARENA_ALIGN / PA_POOL_UNIT);
    if (store->quiet_ns == 0) {
        store->quiet_ns = QUIET_NS;
        store->hard_ns = HARD_NS;
    }
    /* Nobody is connected yet, and no cost was ever stored for slots that were never used. */
    memset(in.lines, 0, (PA_LINES_MAX + 1) * sizeof *in.lines);
    for (uint64_t slot = store->slot_count; slot < pa_cost_entries(store->capacity); ++slot) {
        /* Relaxed: nobody reads it yet. */
        atomic_store_explicit(&in.costs[slot], PA_COST_NONE, memory_order_relaxed);
    }
    store->busy = 1;
    store->live_count = 0;
    for (uint32_t slot = 0; slot < store->slot_count; ++slot) {
        pa_book *const book = &in.books[slot];
        if (in.tokens[slot].bytes == 0) {
            continue;
        }
        book->dirty = 1U << PA_BID | 1U << PA_ASK;
        book->lines[0] = book->lines[1] = 0;
        if (lost) {
            book->ladder = (pa_ladder){.tick = book->ladder.tick};
            book->state = PA_STATE_NONE;
            empty(&in, slot, now_ns);
        } else {
            book->state = book->state == PA_STATE_LIVE ? PA_STATE_NONE : book->state;
            book->faults |= 1U << PA_STATE_STALE;
            settle(&in, slot, now_ns);
        }
    }
    if (lost) {
        sweep(&in);
    }
    store->busy = 0;
    return PA_OK;
}

/* ---- what it costs, and whether it is cut off ---- */

pa_status pa_store_set_fee(pa_arena *arena, uint32_t slot, int32_t rate_e6, int32_t exponent) {
    pa_books in;
    if (!open_slot(arena, &in, slot) || rate_e6 < -1 || rate_e6 > 1000000 || exponent < 1 ||
        exponent > 2) {
        return PA_E_RANGE;
    }
    pa_book *const book = &in.books[slot];
    book->fee_rate_e6 = rate_e6;
    book->fee_exponent = exponent;
    /* Relaxed: as in pa_book_publish. */
    const uint64_t top = atomic_load_explicit(&in.tops[slot], memory_order_relaxed);
    atomic_store_explicit(&in.costs[slot], cost_of(book, (uint32_t)(top >> 14) & 0x3FFF),
                          memory_order_relaxed);
    return PA_OK;
}

pa_status pa_store_carry(pa_arena *arena, uint32_t slot, uint32_t line, int carried) {
    pa_books in;
    if (!open_slot(arena, &in, slot) || line < 1 || line > PA_LINES_MAX) {
        return PA_E_RANGE;
    }
    uint16_t *const lines = in.books[slot].lines;
    const int at = lines[0] == line ? 0 : lines[1] == line ? 1 : -1;
    if (!carried) {
        if (at >= 0) {
            lines[at] = 0;
        }
        return PA_OK;
    }
    if (at < 0) {
        if (lines[0] != 0 && lines[1] != 0) {
            return PA_E_CAPACITY;
        }
        lines[lines[0] != 0] = (uint16_t)line;
    }
    return PA_OK;
}

uint64_t pa_store_heard(pa_arena *arena, uint32_t slot) {
    pa_books in;
    return open_slot(arena, &in, slot) ? pa_book_heard(&in, &in.books[slot]) : 0;
}

pa_status pa_store_set_ages(pa_arena *arena, uint64_t quiet_ns, uint64_t hard_ns) {
    pa_store *const store = pa_store_of(arena);
    if (store == NULL || quiet_ns == 0 || quiet_ns > hard_ns || hard_ns >> 62 != 0) {
        return PA_E_RANGE;
    }
    store->quiet_ns = quiet_ns;
    store->hard_ns = hard_ns;
    return PA_OK;
}

int pa_store_fresh(pa_arena *arena, uint32_t slot, uint64_t now_ns) {
    pa_books in;
    return open_slot(arena, &in, slot) && pa_book_fresh(&in, slot, now_ns);
}

void pa_lines_heard(pa_store *store, uint32_t line, uint64_t recv_ns) {
    if (line != 0 && line <= PA_LINES_MAX) {
        pa_books in;
        pa_books_at(store, &in);
        in.lines[line] = recv_ns;
    }
}

pa_status pa_store_ladder(pa_arena *arena, uint32_t slot, int side, pa_book_level *out,
                          uint32_t capacity, uint32_t *levels) {
    pa_books in;
    if (!open_slot(arena, &in, slot) || side < 0 || side >= PA_SIDE_COUNT) {
        return PA_E_RANGE;
    }
    *levels = pa_ladder_read(&in.pool, &in.books[slot].ladder, side, out, capacity);
    return PA_OK;
}

pa_status pa_store_failing(pa_arena *arena, uint64_t before_ns, uint32_t except_mask,
                           uint32_t *from, uint32_t *out, uint32_t capacity, uint32_t *found) {
    pa_books in;
    *found = 0;
    if (pa_store_of(arena) == NULL) {
        return PA_E_CAPACITY;
    }
    pa_books_open(arena, &in);
    uint32_t slot = *from;
    for (; slot < in.store->slot_count && *found < capacity; ++slot) {
        const pa_book *book = &in.books[slot];
        if (book->state > PA_STATE_LIVE && (except_mask >> book->state & 1) == 0 &&
            book->failing_since_ns < before_ns) {
            out[(*found)++] = slot;
        }
    }
    *from = slot;
    return PA_OK;
}

/* ---- readers ---- */

/* A reader's way to a slot's words; NULL: no such slot. */
static const _Atomic uint64_t *slot_view(const pa_arena *arena, uint32_t slot) {
    const pa_store *store = pa_arena_view(arena, PA_SECTION_STORE);
    const _Atomic uint64_t *slots = pa_arena_view(arena, PA_SECTION_SLOTS);
    if (store == (const void *)pa_arena_view(arena, PA_SECTION_INDEX) || slot >= store->capacity) {
        return NULL;
    }
    return slots + (uint64_t)slot * store->slot_words;
}

static uint64_t get(const _Atomic uint64_t *word) {
    /* Relaxed: judged by the sequence afterwards. */
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Copy `n` words of a slot from its second on. */
static bool copy(const _Atomic uint64_t *slot, uint64_t *out, uint32_t n, uint64_t *sequence) {
    for (int i = 0; i < PA_READ_TRIES; ++i) {
        /* Acquire: pairs with the writer's release store of an even sequence. */
        const uint64_t before = atomic_load_explicit(slot + SLOT_SEQUENCE, memory_order_acquire);
        if ((before & 1) == 0) {
            for (uint32_t k = 1; k < n; ++k) {
                out[k] = get(slot + k);
            }
            /* Acquire: pairs with the writer's release fence; a word of an unfinished update
             * makes its odd sequence visible to the load below. */
            atomic_thread_fence(memory_order_acquire);
            if (get(slot + SLOT_SEQUENCE) == before) {
                *sequence = before;
                return true;
            }
        }
    }
    return false;
}

static void unpack_top(const uint64_t *w, uint64_t sequence, pa_book_top *out) {
    const uint64_t size_mask = (UINT64_C(1) << PA_SIZE_SHOWN_BITS) - 1;
    *out = (pa_book_top){
        .bid_size_e6 = (int64_t)(w[SLOT_BID] & size_mask),
        .ask_size_e6 = (int64_t)(w[SLOT_ASK] & size_mask),
        .bid_e4 = (int32_t)(w[SLOT_BID] >> PA_SIZE_SHOWN_BITS),
        .ask_e4 = (int32_t)(w[SLOT_ASK] >> PA_SIZE_SHOWN_BITS),
        .state = (uint32_t)(w[SLOT_STATE] & 0xFF),
        .faults = (uint32_t)(w[SLOT_STATE] >> 8 & 0xFFFF),
        .bid_count = (uint32_t)(w[SLOT_STATE] >> 24 & 0xFFFF),
        .ask_count = (uint32_t)(w[SLOT_STATE] >> 40 & 0xFFFF),
        .sequence = sequence,
        .updates = w[SLOT_UPDATES],
        .recv_ns = w[SLOT_RECV],
        .time_ms = w[SLOT_TIME],
        .since_ns = w[SLOT_SINCE],
    };
}

pa_status pa_store_read(const pa_arena *arena, uint32_t slot_index, pa_book_top *out) {
    const _Atomic uint64_t *slot = slot_view(arena, slot_index);
    uint64_t words[SLOT_TOP_WORDS], sequence;
    if (slot == NULL) {
        return PA_E_RANGE;
    }
    if (!copy(slot, words, SLOT_TOP_WORDS, &sequence)) {
        return PA_E_BUSY;
    }
    unpack_top(words, sequence, out);
    return PA_OK;
}

static uint32_t unpack_levels(const uint64_t *words, uint32_t depth, pa_book_level *out) {
    const uint64_t size_mask = (UINT64_C(1) << PA_SIZE_SHOWN_BITS) - 1;
    uint32_t n = 0;
    for (; n < depth && words[n] != 0; ++n) {
        out[n] = (pa_book_level){.price_e4 = (int32_t)(words[n] >> PA_SIZE_SHOWN_BITS),
                                 .size_e6 = (int64_t)(words[n] & size_mask)};
    }
    return n;
}

pa_status pa_store_read_depth(const pa_arena *arena, uint32_t slot_index, pa_book_depth *out) {
    const _Atomic uint64_t *slot = slot_view(arena, slot_index);
    uint64_t words[SLOT_LEVELS + 2 * PA_DEPTH_MAX], sequence;
    if (slot == NULL) {
        return PA_E_RANGE;
    }
    const pa_store *store = pa_arena_view(arena, PA_SECTION_STORE);
    const uint32_t depth = store->depth;
    if (depth > PA_DEPTH_MAX || !copy(slot, words, SLOT_LEVELS + 2 * depth, &sequence)) {
        return PA_E_BUSY;
    }
    unpack_top(words, sequence, &out->top);
    out->failing_since_ns = words[SLOT_FAILING];
    out->snapshot_ms = words[SLOT_SNAPSHOT];
    out->tick_e4 = (int32_t)(uint32_t)words[SLOT_TICK];
    out->last_e4 = (int32_t)(words[SLOT_TICK] >> 32);
    memcpy(out->hash, words + SLOT_HASH, PA_HASH_TEXT);
    out->bid_shown = unpack_levels(words + SLOT_LEVELS, depth, out->bids);
    out->ask_shown = unpack_levels(words + SLOT_LEVELS + depth, depth, out->asks);
    return PA_OK;
}

uint32_t pa_store_cost(const pa_arena *arena, uint32_t slot) {
    const _Atomic uint32_t *costs = pa_arena_view(arena, PA_SECTION_COSTS);
    if (slot_view(arena, slot) == NULL) {
        return PA_COST_NONE;
    }
    /* Relaxed: a word that stands alone. */
    return atomic_load_explicit(costs + slot, memory_order_relaxed);
}

uint64_t pa_store_top(const pa_arena *arena, uint32_t slot) {
    const _Atomic uint64_t *tops = pa_arena_view(arena, PA_SECTION_TOPS);
    if (slot_view(arena, slot) == NULL) {
        return 0;
    }
    /* Acquire: pairs with the release in pa_book_publish. */
    return atomic_load_explicit(tops + slot, memory_order_acquire);
}

pa_status pa_store_token(const pa_arena *arena, uint32_t slot, char *out, uint32_t *bytes) {
    const pa_token *tokens = pa_arena_view(arena, PA_SECTION_TOKENS);
    if (slot_view(arena, slot) == NULL || tokens[slot].bytes == 0 ||
        tokens[slot].bytes > PA_TOKEN_TEXT_MAX) {
        return PA_E_RANGE;
    }
    *bytes = tokens[slot].bytes;
    memcpy(out, tokens[slot].text, *bytes);
    return PA_OK;
}

void pa_store_counters(const pa_arena *arena, uint64_t *counters, pa_episodes *episodes) {
    const pa_store *store = pa_arena_view(arena, PA_SECTION_STORE);
    const bool none = slot_view(arena, 0) == NULL;
    for (int i = 0; i < PA_COUNT_COUNT; ++i) {
        counters[i] = none ? 0 : get(&store->counters[i]);
    }
    for (int i = 0; i < PA_STATE_COUNT; ++i) {
        episodes[i] = none ? (pa_episodes){0}
                           : (pa_episodes){.count = get(&store->episodes[i].count),
                                           .ns_sum = get(&store->episodes[i].ns_sum),
                                           .ns_max = get(&store->episodes[i].ns_max)};
    }
}

void pa_store_read_info(const pa_arena *arena, pa_store_info *out) {
    const pa_store *store = pa_arena_view(arena, PA_SECTION_STORE);
    *out = (pa_store_info){0};
    if (slot_view(arena, 0) == NULL) {
        return;
    }
    *out = (pa_store_info){
        .token_count = store->token_count,
        .token_capacity = store->capacity,
        .live_count = store->live_count,
        .depth = store->depth,
        .max_depth = store->max_depth,
        .recovered = store->recovered,
        .pool_bytes = (uint64_t)store->pool.unit_count * PA_POOL_UNIT,
        .slot_bytes = store->slot_words * sizeof(uint64_t),
        .token_bytes = PA_TOKEN_BYTES + PA_BOOK_BYTES + sizeof(uint64_t) +
                       store->slot_words * sizeof(uint64_t),
    };
    for (uint32_t i = 0; i < PA_POOL_CLASSES; ++i) {
        out->pool_used += (uint64_t)store->pool.used[i] * PA_POOL_UNIT << i;
    }
}
