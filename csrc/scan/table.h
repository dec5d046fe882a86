/* scan/table.h -- internal: how the scan's sections are laid out, and what table.c (relations come
 * and go) and evaluate.c (costs change) need of each other. */
#ifndef PA_SCAN_TABLE_H
#define PA_SCAN_TABLE_H

#include <stdatomic.h>

#include "book/book.h"
#include "scan/kernel.h"
#include "scan/scan.h"

enum {
    SCAN_OPEN = 1,     /* seen at its last evaluation                      */
    SCAN_VIOLATED = 2, /* its slack is positive: counted in its legs' heads */
    SCAN_WAITING = 4,  /* in the ring                                       */
    SCAN_OWED = 8      /* should be, but the ring was full                  */
};

enum {
    AT_SEEN,
    AT_HEADS,
    AT_PLACES,
    AT_PLACED,
    AT_SLACKS,
    AT_RELATIONS,
    AT_LEGS,
    AT_ROWS,
    AT_LANES,
    AT_RING,
    AT_COUNT
};

/* What is linked by "+ 1" is so that 0, of which the arena is made, is the end. */
typedef struct pa_scan {
    uint64_t offsets[AT_COUNT]; /* of the other sections, from this one */
    uint32_t epoch;             /* of the books that the relations are about */
    uint32_t relation_capacity, leg_capacity, ring_capacity, page_capacity, chunk_capacity;
    uint32_t relation_count, relation_high, free_relation; /* now, ever, first to reuse + 1 */
    uint32_t leg_count, leg_high, free_leg;
    uint32_t page_count, page_high, free_page;
    uint32_t chunk_high, free_chunk;
    uint32_t violated_count, owed_count;
    uint32_t head, tail;  /* of the ring: next out, next in; they wrap */
    uint32_t queue;       /* first of those to evaluate, + 1           */
    uint32_t last_page[PA_RELATION_LEGS_MAX + 1]; /* of a leg count, + 1: the one not full */
    _Alignas(64) _Atomic uint64_t counters[PA_SCAN_COUNT];
} pa_scan;

typedef struct scan_head {
    uint32_t chunk;    /* the first, and only one not full, of its places, + 1 */
    uint32_t violated; /* of its relations                                      */
} scan_head;

/* One leg, as a changed cost finds it. */
typedef struct scan_place {
    uint32_t cell; /* in the rows                             */
    uint32_t what; /* relation << PLACE_RELATION_AT | weight  */
} scan_place;

#define PLACE_RELATION_AT 10

typedef struct scan_chunk {
    uint32_t next; /* of the same token, all of them full, + 1; next free one if free */
    uint32_t used;
    scan_place places[PA_SCAN_CHUNK_PLACES];
} scan_chunk;

/* Whose places a chunk has: indices of legs. */
typedef struct scan_placed {
    uint32_t legs[PA_SCAN_CHUNK_PLACES];
    uint32_t reserved;
} scan_placed;

/* The same leg, as its relation has it. */
typedef struct scan_leg {
    uint32_t slot;
    uint32_t weight;
    uint32_t removals; /* of that slot's token, when entered: the slot may be another's now */
    uint32_t next;     /* leg of the same relation, + 1; next free one if free */
    uint32_t chunk, at; /* its place */
    uint32_t version, cost_e6;
} scan_leg;

typedef struct scan_slack {
    int64_t e6; /* payoff - min_edge - sum of cells: > 0 is violated */
    uint32_t evaluations;
    uint32_t next; /* in the queue, + 1, or END_OF_QUEUE; 0: not in it */
} scan_slack;

#define END_OF_QUEUE UINT32_MAX

typedef struct scan_relation {
    uint64_t first_ns, last_ns, ended_ns;
    uint32_t generation;
    uint32_t leg_count; /* 0: free                      */
    uint32_t first_leg; /* + 1; next free one if free   */
    uint32_t page, lane;
    uint32_t flags, end, opened_count;
    int32_t payoff_e6, min_edge_e6, edge_e6, best_edge_e6;
    uint32_t reserved[6];
} scan_relation;

/* Who has the lanes of a page of rows. */
typedef struct scan_lanes {
    uint32_t leg_count; /* 0: free                          */
    uint32_t used;
    uint32_t before;    /* page of the same leg count, + 1; next free one if free */
    uint32_t reserved[13];
    uint32_t owner[PA_SCAN_PAGE_LANES];
} scan_lanes;

_Static_assert(sizeof(pa_scan) <= PA_SCAN_BYTES, "fits its section");
_Static_assert(sizeof(scan_head) == PA_SCAN_HEAD_BYTES, "fits its place");
_Static_assert(sizeof(scan_chunk) == PA_SCAN_CHUNK_BYTES, "a cache line");
_Static_assert(sizeof(scan_placed) == PA_SCAN_PLACED_BYTES, "fits its place");
_Static_assert(PA_RELATIONS_MAX <= 1 << (32 - PLACE_RELATION_AT) &&
                   PA_RELATION_WEIGHT_MAX < 1 << PLACE_RELATION_AT,
               "fit into a word");
_Static_assert(sizeof(scan_slack) == PA_SCAN_SLACK_BYTES, "4 per cache line");
_Static_assert(sizeof(scan_relation) == PA_SCAN_RELATION_BYTES, "fits its place");
_Static_assert(sizeof(scan_leg) == PA_SCAN_LEG_BYTES, "fits its place");
_Static_assert(sizeof(scan_lanes) == PA_SCAN_LANES_BYTES, "fits its place");
_Static_assert(LANES * sizeof(uint32_t) == PA_SCAN_ROW_BYTES, "a row is a cache line");
_Static_assert(PA_SCAN_PAGE_ROWS > PA_RELATION_LEGS_MAX &&
                   PA_SCAN_PAGE_ROWS / (PA_RELATION_LEGS_MIN + 1) * LANES == PA_SCAN_PAGE_LANES,
               "a page takes relations of any leg count");
/* No sum of real costs reaches a cost that is none, nor does any slack with one rise above 0. */
_Static_assert(PA_RELATION_PAYOFF_MAX < PA_COST_NONE &&
                   PA_RELATION_WEIGHT_MAX * 1000000LL < PA_COST_NONE,
               "costs of a share are at most 1");

/* Where everything is mapped now. */
typedef struct scan_view {
    pa_scan *scan;
    uint32_t *seen;
    scan_head *heads;
    scan_chunk *chunks;
    scan_placed *placed;
    scan_slack *slacks;
    scan_relation *relations;
    scan_leg *legs;
    uint32_t *rows;
    scan_lanes *lanes;
    uint64_t *ring;
    pa_books books;
} scan_view;

static inline void scan_count(pa_scan *scan, pa_scan_counter which, uint64_t by) {
    pa_word_add(&scan->counters[which], by);
}

static inline pa_scan *scan_of(pa_arena *arena) {
    pa_scan *scan = pa_arena_at(arena, PA_SECTION_SCAN);
    /* An empty section lies where the next one starts. */
    return (void *)scan != pa_arena_at(arena, PA_SECTION_SEEN) ? scan : NULL;
}

static inline void view_at(pa_scan *scan, pa_store *store, scan_view *out) {
    char *const base = (char *)scan;
    out->scan = scan;
    out->seen = (void *)(base + scan->offsets[AT_SEEN]);
    out->heads = (void *)(base + scan->offsets[AT_HEADS]);
    out->chunks = (void *)(base + scan->offsets[AT_PLACES]);
    out->placed = (void *)(base + scan->offsets[AT_PLACED]);
    out->slacks = (void *)(base + scan->offsets[AT_SLACKS]);
    out->relations = (void *)(base + scan->offsets[AT_RELATIONS]);
    out->legs = (void *)(base + scan->offsets[AT_LEGS]);
    out->rows = (void *)(base + scan->offsets[AT_ROWS]);
    out->lanes = (void *)(base + scan->offsets[AT_LANES]);
    out->ring = (void *)(base + scan->offsets[AT_RING]);
    pa_books_at(store, &out->books);
}

/* False: no relations, or those of books that somebody has taken over since. */
static inline bool open_view(pa_arena *arena, scan_view *out) {
    pa_scan *const scan = scan_of(arena);
    if (scan == NULL) {
        return false;
    }
    pa_store *const store = pa_arena_at(arena, PA_SECTION_STORE);
    view_at(scan, store, out);
    return scan->epoch == store->epoch && scan->epoch != 0;
}

static inline scan_relation *find(const scan_view *v, uint64_t id) {
    const uint32_t index = (uint32_t)id;
    if (index >= v->scan->relation_high) {
        return NULL;
    }
    scan_relation *const r = &v->relations[index];
    return r->leg_count != 0 && r->generation == id >> 32 ? r : NULL;
}

static inline uint32_t index_of(const scan_view *v, const scan_relation *r) {
    return (uint32_t)(r - v->relations);
}

static inline uint64_t id_of(const scan_view *v, const scan_relation *r) {
    return (uint64_t)r->generation << 32 | index_of(v, r);
}

static inline uint32_t cost_now(const scan_view *v, uint32_t slot) {
    /* Relaxed: the owner reads what it wrote. */
    return atomic_load_explicit(&v->books.costs[slot], memory_order_relaxed);
}

static inline uint32_t weighted(uint32_t cost, uint32_t weight) {
    return cost == PA_COST_NONE ? PA_COST_NONE : cost * weight;
}

/* ---- table.c ---- */

/* Write a relation's lane: what its places say, what its tokens cost. */
void scan_fill_lane(const scan_view *v, const scan_relation *r);

/* The slack from the tokens' costs alone. */
int64_t scan_slack_of(const scan_view *v, const scan_relation *r);

void scan_copy(const scan_view *v, const scan_relation *r, pa_relation *out);

/* ---- evaluate.c ---- */

/* To be settled by the next scan_settle. */
static inline void scan_enqueue(const scan_view *v, uint32_t index) {
    scan_slack *const s = &v->slacks[index];
    if (s->next == 0) {
        s->next = v->scan->queue != 0 ? v->scan->queue : END_OF_QUEUE;
        v->scan->queue = index + 1;
    }
}

/* Act on the slacks of what is queued; how many sightings. */
uint32_t scan_settle(const scan_view *v, uint64_t now_ns);

/* A token's cost as it is now, which may have changed with nobody telling. */
void scan_catch_up(const scan_view *v, uint32_t slot);

/* Whether its slack is positive, as its tokens' heads count it. */
void scan_set_violated(const scan_view *v, scan_relation *r, bool violated);

/* No longer seen; no effect on one that was not. */
void scan_end(const scan_view *v, scan_relation *r, pa_end why, uint64_t now_ns);

/* ---- scan.c ---- */

extern const scan_kernel *pa_scan_kernel; /* written before start only */

#endif
