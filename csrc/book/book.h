/* book/book.h -- internal: how the store's sections are laid out, and what apply.c needs of it. */
#ifndef PA_BOOK_BOOK_H
#define PA_BOOK_BOOK_H

#include "book/ladder.h"
#include "book/store.h"

/* A slot's words. The first eight are the top: one cache line. */
enum {
    SLOT_SEQUENCE = 0,
    SLOT_BID,
    SLOT_ASK,
    SLOT_STATE, /* state, faults << 8, bid count << 24, ask count << 40 */
    SLOT_RECV,
    SLOT_TIME,
    SLOT_UPDATES,
    SLOT_SINCE,
    SLOT_TOP_WORDS,
    SLOT_HASH = SLOT_TOP_WORDS, /* five */
    SLOT_TICK = 13,
    SLOT_FAILING,
    SLOT_SNAPSHOT,
    SLOT_LEVELS /* depth bids, then depth asks */
};
_Static_assert(SLOT_LEVELS == 16, "base/arena.h: pa_slot_words");

typedef struct pa_episode_words {
    _Atomic uint64_t count, ns_sum, ns_max;
} pa_episode_words;

struct pa_store {
    uint64_t index_mask;
    uint32_t capacity, depth, slot_words, max_depth; /* of the arena, and the caller's */
    uint32_t slot_count;  /* slots ever used                            */
    uint32_t free_slot;   /* slot + 1 of the first that was given back  */
    uint32_t token_count, live_count, graves;
    uint32_t busy;        /* a frame or a reset is half done            */
    uint32_t recovered;
    uint32_t epoch;       /* how often they were taken over             */
    uint64_t frame;       /* marks of books that this frame has touched */
    uint64_t call;
    uint64_t offsets[8];  /* of the other sections, from this one       */
    uint64_t quiet_ns;    /* pa_store_set_ages                          */
    uint64_t hard_ns;
    pa_pool_heads pool;
    _Alignas(64) _Atomic uint64_t counters[PA_COUNT_COUNT];
    pa_episode_words episodes[PA_STATE_COUNT];
};

typedef struct pa_token {
    char text[PA_TOKEN_TEXT_MAX];
    uint16_t reserved;
    uint32_t bytes;    /* 0: free                              */
    uint32_t removals; /* from this slot: who has it is another */
    uint32_t more[2];
} pa_token;

enum {
    BOOK_READY = 1,      /* had a snapshot since it was entered or reset       */
    BOOK_TICK_KNOWN = 2, /* told by the caller or a message, not guessed       */
    BOOK_EXPECT_BID = 4, /* this frame said what the best prices are           */
    BOOK_EXPECT_ASK = 8
};

typedef struct pa_book {
    pa_ladder ladder;
    uint32_t flags;
    uint32_t pair;
    uint32_t faults;
    uint32_t state;
    uint32_t dirty;     /* sides whose shown levels changed */
    uint32_t next_free; /* slot + 1 */
    int32_t expect_bid_e4, expect_ask_e4;
    int32_t last_e4;
    int32_t fee_rate_e6;    /* -1: costs nothing that is known: not tradable */
    int32_t fee_exponent;
    uint16_t lines[2];      /* that carry it; 0: none                     */
    uint64_t updates, recv_ns, time_ms, snapshot_ms;
    uint64_t since_ns, failing_since_ns;
    uint64_t frame, call; /* last touched by */
    uint64_t hash[PA_HASH_TEXT / 8];
} pa_book;

_Static_assert(sizeof(struct pa_store) <= PA_STORE_BYTES, "fits its section");
_Static_assert(sizeof(pa_token) == PA_TOKEN_BYTES, "fits its place");
_Static_assert(sizeof(pa_book) <= PA_BOOK_BYTES, "fits its place");

/* Where everything is mapped now. */
typedef struct pa_books {
    pa_store *store;
    uint64_t *index;
    pa_token *tokens;
    pa_book *books;
    _Atomic uint64_t *tops;
    _Atomic uint64_t *slots;
    _Atomic uint32_t *costs;
    uint64_t *lines; /* owner only */
    pa_pool pool;
} pa_books;

/* From the store section, after recover. */
static inline void pa_books_at(pa_store *store, pa_books *out) {
    char *const base = (char *)store;
    out->store = store;
    out->index = (void *)(base + store->offsets[0]);
    out->tokens = (void *)(base + store->offsets[1]);
    out->books = (void *)(base + store->offsets[2]);
    out->tops = (void *)(base + store->offsets[3]);
    out->slots = (void *)(base + store->offsets[4]);
    out->costs = (void *)(base + store->offsets[6]);
    out->lines = (void *)(base + store->offsets[7]);
    out->pool.heads = &store->pool;
    out->pool.base = (void *)(base + store->offsets[5]);
}

void pa_books_open(pa_arena *arena, pa_books *out);

/* Slot of a token without leading zeros, or PA_SLOT_NONE. */
uint32_t pa_books_find(const pa_books *in, const char *text, uint32_t bytes);

void pa_book_publish(const pa_books *in, uint32_t slot);

/* The same of a book whose sides a snapshot has just brought, sorted: `lists`, or NULL. */
void pa_book_publish_listed(const pa_books *in, uint32_t slot,
                            const pa_listed lists[PA_SIDE_COUNT]);
bool pa_book_shows(const pa_books *in, uint32_t slot, int side, int32_t price_e4);

/* Set or end one fault, counting what begins; then judge: the state follows. */
void pa_book_fault(const pa_books *in, pa_book *book, int state, bool wrong);
void pa_book_judge(const pa_books *in, pa_book *book, uint64_t now_ns);

/* When something last showed that the book is not cut off: its own update, or data of any token on
 * a line that carries it. 0: nothing yet. */
static inline uint64_t pa_book_heard(const pa_books *in, const pa_book *book) {
    uint64_t heard = book->recv_ns;
    for (int i = 0; i < 2; ++i) {
        const uint64_t line_ns = book->lines[i] != 0 ? in->lines[book->lines[i]] : 0;
        heard = line_ns > heard ? line_ns : heard;
    }
    return heard;
}

/* Whether a book may be traded on at `now_ns`: live, its fee known, heard of within quiet_ns, and updated itself
 * within hard_ns. A time ahead of `now_ns` is no age. */
static inline bool pa_book_fresh(const pa_books *in, uint32_t slot, uint64_t now_ns) {
    const pa_book *const book = &in->books[slot];
    return book->state == PA_STATE_LIVE && book->fee_rate_e6 >= 0 &&
           pa_book_heard(in, book) + in->store->quiet_ns >= now_ns &&
           book->recv_ns + in->store->hard_ns >= now_ns;
}

static inline _Atomic uint64_t *pa_slot_at(const pa_books *in, uint32_t slot) {
    return in->slots + (uint64_t)slot * in->store->slot_words;
}

static inline void pa_word_add(_Atomic uint64_t *word, uint64_t by) {
    /* Relaxed, and no read-modify-write: one writer, and each counter stands alone. */
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static inline void pa_store_count(pa_store *store, pa_counter which, uint64_t by) {
    pa_word_add(&store->counters[which], by);
}

#endif
