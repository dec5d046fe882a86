#include "scan/scan.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cpu.h"
#include "book/book.h"
#include "scan/kernel.h"

enum {
    OPEN = 1,     /* seen at its last evaluation                      */
    VIOLATED = 2, /* its slack is positive: counted in its legs' heads */
    WAITING = 4,  /* in the ring                                       */
    OWED = 8      /* should be, but the ring was full                  */
};

enum { AT_SEEN, AT_HEADS, AT_PLACES, AT_SLACKS, AT_RELATIONS, AT_LEGS, AT_ROWS, AT_LANES, AT_RING, AT_COUNT };

/* What is linked by "+ 1" is so that 0, of which the arena is made, is the end. */
typedef struct pa_scan {
    uint64_t offsets[AT_COUNT]; /* of the other sections, from this one */
    uint32_t epoch;             /* of the books that the relations are about */
    uint32_t relation_capacity, leg_capacity, ring_capacity, page_capacity;
    uint32_t relation_count, relation_high, free_relation; /* now, ever used, first to reuse + 1 */
    uint32_t leg_count, leg_high, free_leg;
    uint32_t page_count, page_high, free_page;
    uint32_t violated_count, owed_count;
    uint32_t head, tail;  /* of the ring: next out, next in; they wrap */
    uint32_t queue;       /* first of those to evaluate, + 1           */
    uint32_t last_page[PA_RELATION_LEGS_MAX + 1]; /* of each leg count, + 1: the only one not full */
    _Alignas(64) _Atomic uint64_t counters[PA_SCAN_COUNT];
} pa_scan;

typedef struct head {
    uint32_t first;    /* of the token's places, + 1     */
    uint32_t violated; /* of its relations               */
} head;

/* One leg, as a changed cost finds it. */
typedef struct place {
    uint32_t cell; /* in the rows                */
    uint32_t relation;
    uint32_t next; /* place of the same token, + 1 */
    uint32_t weight;
} place;

/* The same leg, as its relation has it; of the same index. */
typedef struct leg {
    uint32_t slot;
    uint32_t removals; /* of that slot's token, when entered: the slot may be another's now */
    uint32_t next;     /* leg of the same relation, + 1 */
    uint32_t before;   /* place of the same token, + 1  */
    uint32_t version, cost_e6;
} leg;

typedef struct slack {
    int64_t e6; /* payoff - min_edge - sum of cells: > 0 is violated */
    uint32_t evaluations;
    uint32_t next; /* in the queue, + 1, or END_OF_QUEUE; 0: not in it */
} slack;

#define END_OF_QUEUE UINT32_MAX

typedef struct relation {
    uint64_t first_ns, last_ns, ended_ns;
    uint32_t generation;
    uint32_t leg_count; /* 0: free                      */
    uint32_t first_leg; /* + 1; next free one if free   */
    uint32_t page, lane;
    uint32_t flags, end, opened_count;
    int32_t payoff_e6, min_edge_e6, edge_e6, best_edge_e6;
    uint32_t reserved[6];
} relation;

/* Who has the lanes of a page of rows. */
typedef struct lanes {
    uint32_t leg_count; /* 0: free                          */
    uint32_t used;
    uint32_t before;    /* page of the same leg count, + 1; next free one if free */
    uint32_t reserved[13];
    uint32_t owner[PA_SCAN_PAGE_LANES];
} lanes;

_Static_assert(sizeof(pa_scan) <= PA_SCAN_BYTES, "fits its section");
_Static_assert(sizeof(head) == PA_SCAN_HEAD_BYTES, "fits its place");
_Static_assert(sizeof(place) == PA_SCAN_PLACE_BYTES, "4 per cache line");
_Static_assert(sizeof(slack) == PA_SCAN_SLACK_BYTES, "4 per cache line");
_Static_assert(sizeof(relation) == PA_SCAN_RELATION_BYTES, "fits its place");
_Static_assert(sizeof(leg) == PA_SCAN_LEG_BYTES, "fits its place");
_Static_assert(sizeof(lanes) == PA_SCAN_LANES_BYTES, "fits its place");
_Static_assert(LANES * sizeof(uint32_t) == PA_SCAN_ROW_BYTES, "a row is a cache line");
_Static_assert(PA_SCAN_PAGE_ROWS > PA_RELATION_LEGS_MAX &&
                   PA_SCAN_PAGE_ROWS / (PA_RELATION_LEGS_MIN + 1) * LANES == PA_SCAN_PAGE_LANES,
               "a page takes relations of any leg count");
/* No sum of real costs reaches a cost that is none, nor does any slack with one rise above 0. */
_Static_assert(PA_RELATION_PAYOFF_MAX < PA_COST_NONE &&
                   PA_RELATION_WEIGHT_MAX * 1000000LL < PA_COST_NONE,
               "costs of a share are at most 1");

/* Where everything is mapped now. */
typedef struct view {
    pa_scan *scan;
    uint32_t *seen;
    head *heads;
    place *places;
    slack *slacks;
    relation *relations;
    leg *legs;
    uint32_t *rows;
    lanes *lanes;
    uint64_t *ring;
    pa_books books;
} view;

static const scan_kernel *kernel = &PA_SCAN_SCALAR; /* written before start only */

static const char *const ENDS[PA_END_COUNT] = {
    [PA_END_NONE] = "none",   [PA_END_PRICE] = "price",     [PA_END_NOT_LIVE] = "not_live",
    [PA_END_STALE] = "stale", [PA_END_REMOVED] = "removed",
};

static const char *const COUNTERS[PA_SCAN_COUNT] = {
    [PA_SCAN_EVALUATIONS] = "evaluations",
    [PA_SCAN_SIGHTINGS] = "sightings",
    [PA_SCAN_OPENED] = "opened",
    [PA_SCAN_ENDED_PRICE] = "ended_price",
    [PA_SCAN_ENDED_NOT_LIVE] = "ended_not_live",
    [PA_SCAN_ENDED_STALE] = "ended_stale",
    [PA_SCAN_ENDED_REMOVED] = "ended_removed",
    [PA_SCAN_WITHHELD_STALE] = "withheld_stale",
    [PA_SCAN_RING_OVERFLOWS] = "ring_overflows",
    [PA_SCAN_SWEEPS] = "sweeps",
    [PA_SCAN_UNTOLD] = "untold",
    [PA_SCAN_WRONG] = "wrong",
};

const char *pa_end_name(int end) {
    return end >= 0 && end < PA_END_COUNT ? ENDS[end] : NULL;
}

const char *pa_scan_counter_name(int counter) {
    return counter >= 0 && counter < PA_SCAN_COUNT ? COUNTERS[counter] : NULL;
}

static void count(pa_scan *scan, pa_scan_counter which, uint64_t by) {
    pa_word_add(&scan->counters[which], by);
}

/* ---- the way to everything ---- */

static pa_scan *scan_of(pa_arena *arena) {
    pa_scan *scan = pa_arena_at(arena, PA_SECTION_SCAN);
    /* An empty section lies where the next one starts. */
    return (void *)scan != pa_arena_at(arena, PA_SECTION_SEEN) ? scan : NULL;
}

static void view_at(pa_scan *scan, pa_store *store, view *out) {
    char *const base = (char *)scan;
    out->scan = scan;
    out->seen = (void *)(base + scan->offsets[AT_SEEN]);
    out->heads = (void *)(base + scan->offsets[AT_HEADS]);
    out->places = (void *)(base + scan->offsets[AT_PLACES]);
    out->slacks = (void *)(base + scan->offsets[AT_SLACKS]);
    out->relations = (void *)(base + scan->offsets[AT_RELATIONS]);
    out->legs = (void *)(base + scan->offsets[AT_LEGS]);
    out->rows = (void *)(base + scan->offsets[AT_ROWS]);
    out->lanes = (void *)(base + scan->offsets[AT_LANES]);
    out->ring = (void *)(base + scan->offsets[AT_RING]);
    pa_books_at(store, &out->books);
}

/* False: no relations, or those of books that somebody has taken over since. */
static bool open_view(pa_arena *arena, view *out) {
    pa_scan *const scan = scan_of(arena);
    if (scan == NULL) {
        return false;
    }
    pa_store *const store = pa_arena_at(arena, PA_SECTION_STORE);
    view_at(scan, store, out);
    return scan->epoch == store->epoch && scan->epoch != 0;
}

static relation *find(const view *v, uint64_t id) {
    const uint32_t index = (uint32_t)id;
    if (index >= v->scan->relation_high) {
        return NULL;
    }
    relation *const r = &v->relations[index];
    return r->leg_count != 0 && r->generation == id >> 32 ? r : NULL;
}

static uint32_t index_of(const view *v, const relation *r) {
    return (uint32_t)(r - v->relations);
}

static uint64_t id_of(const view *v, const relation *r) {
    return (uint64_t)r->generation << 32 | index_of(v, r);
}

static uint32_t cost_now(const view *v, uint32_t slot) {
    /* Relaxed: the owner reads what it wrote. */
    return atomic_load_explicit(&v->books.costs[slot], memory_order_relaxed);
}

static uint32_t weighted(uint32_t cost, uint32_t weight) {
    return cost == PA_COST_NONE ? PA_COST_NONE : cost * weight;
}

/* ---- rows ---- */

static uint32_t cell_of(uint32_t page, uint32_t leg_count, uint32_t lane, uint32_t row) {
    return (page * PA_SCAN_PAGE_ROWS + lane / LANES * (leg_count + 1) + row) * LANES + lane % LANES;
}

static uint32_t page_lanes(uint32_t leg_count) {
    return PA_SCAN_PAGE_ROWS / (leg_count + 1) * LANES;
}

/* A lane that is never violated. */
static void empty_lane(const view *v, uint32_t page, uint32_t leg_count, uint32_t lane) {
    for (uint32_t row = 0; row < leg_count; ++row) {
        v->rows[cell_of(page, leg_count, lane, row)] = PA_COST_NONE;
    }
    v->rows[cell_of(page, leg_count, lane, leg_count)] = 0;
}

/* The next lane for `leg_count` legs. False: no page is left. */
static bool take_lane(const view *v, uint32_t leg_count, uint32_t *page, uint32_t *lane) {
    pa_scan *const scan = v->scan;
    uint32_t *const last = &scan->last_page[leg_count];
    if (*last == 0 || v->lanes[*last - 1].used == page_lanes(leg_count)) {
        uint32_t taken = scan->free_page;
        if (taken != 0) {
            scan->free_page = v->lanes[taken - 1].before;
        } else if (scan->page_high < scan->page_capacity) {
            taken = ++scan->page_high;
        } else {
            return false;
        }
        lanes *const fresh = &v->lanes[taken - 1];
        fresh->leg_count = leg_count;
        fresh->used = 0;
        fresh->before = *last;
        *last = taken;
        scan->page_count += 1;
    }
    lanes *const of = &v->lanes[*last - 1];
    *page = *last - 1;
    *lane = of->used++;
    if (*lane % LANES == 0) { /* a new block: its other lanes wait */
        for (uint32_t i = 0; i < LANES; ++i) {
            empty_lane(v, *page, leg_count, *lane + i);
        }
    }
    return true;
}

/* Write a relation's lane: what its places say, what its tokens cost. */
static void fill_lane(const view *v, const relation *r) {
    uint32_t row = 0;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next, ++row) {
        place *const p = &v->places[i - 1];
        p->cell = cell_of(r->page, r->leg_count, r->lane, row);
        v->rows[p->cell] = weighted(v->seen[v->legs[i - 1].slot], p->weight);
    }
    v->rows[cell_of(r->page, r->leg_count, r->lane, r->leg_count)] =
        (uint32_t)(r->payoff_e6 - r->min_edge_e6);
    v->lanes[r->page].owner[r->lane] = index_of(v, r);
}

/* The slack from the tokens' costs alone. */
static int64_t slack_of(const view *v, const relation *r) {
    int64_t e6 = (int64_t)r->payoff_e6 - r->min_edge_e6;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        e6 -= weighted(v->seen[v->legs[i - 1].slot], v->places[i - 1].weight);
    }
    return e6;
}

/* Give a lane back; the last of its kind moves there, so that no block but the last has a gap. */
static void drop_lane(const view *v, const relation *r) {
    pa_scan *const scan = v->scan;
    uint32_t *const last = &scan->last_page[r->leg_count];
    const uint32_t page = *last - 1;
    lanes *const of = &v->lanes[page];
    const uint32_t lane = --of->used;
    relation *const moved = &v->relations[of->owner[lane]];
    if (moved != r) {
        moved->page = r->page;
        moved->lane = r->lane;
        fill_lane(v, moved);
    }
    empty_lane(v, page, r->leg_count, lane);
    if (of->used == 0) {
        *last = of->before;
        of->leg_count = 0;
        of->before = scan->free_page;
        scan->free_page = page + 1;
        scan->page_count -= 1;
    }
}

/* ---- the ring ---- */

static bool ring_full(const pa_scan *scan) {
    return scan->tail - scan->head == scan->ring_capacity;
}

static void put(const view *v, relation *r) {
    pa_scan *const scan = v->scan;
    v->ring[scan->tail++ & (scan->ring_capacity - 1)] = id_of(v, r);
    r->flags |= WAITING;
}

static void offer(const view *v, relation *r) {
    pa_scan *const scan = v->scan;
    if ((r->flags & WAITING) != 0) {
        return; /* it will be read as it is then */
    }
    if (!ring_full(scan)) {
        scan->owed_count -= (r->flags & OWED) != 0;
        r->flags &= ~(uint32_t)OWED;
        put(v, r);
        return;
    }
    count(scan, PA_SCAN_RING_OVERFLOWS, 1);
    scan->owed_count += (r->flags & OWED) == 0;
    r->flags |= OWED;
}

/* What found no room before, as far as it has some now. */
static void offer_owed(const view *v) {
    pa_scan *const scan = v->scan;
    for (uint32_t i = 0; i < scan->relation_high && scan->owed_count != 0 && !ring_full(scan); ++i) {
        if ((v->relations[i].flags & OWED) != 0) {
            offer(v, &v->relations[i]);
        }
    }
}

/* ---- evaluation ---- */

static void end(const view *v, relation *r, pa_end why, uint64_t now_ns) {
    if ((r->flags & OPEN) == 0) {
        return;
    }
    r->flags &= ~(uint32_t)OPEN;
    r->end = why;
    r->ended_ns = now_ns;
    count(v->scan, PA_SCAN_ENDED_PRICE + (pa_scan_counter)(why - PA_END_PRICE), 1);
}

/* Whether its slack is positive, as its tokens' heads count it. */
static void set_violated(const view *v, relation *r, bool violated) {
    if (((r->flags & VIOLATED) != 0) == violated) {
        return;
    }
    r->flags ^= VIOLATED;
    v->scan->violated_count += violated ? 1U : UINT32_MAX;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        v->heads[v->legs[i - 1].slot].violated += violated ? 1U : UINT32_MAX;
    }
}

static pa_end unsold(const view *v, const relation *r) {
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        if (v->seen[v->legs[i - 1].slot] == PA_COST_NONE) {
            return PA_END_NOT_LIVE;
        }
    }
    return PA_END_PRICE;
}

/* What forbids to act on a violated relation; PA_END_NONE: nothing. */
static pa_end obstacle(const view *v, const relation *r, uint64_t now_ns) {
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        const leg *const l = &v->legs[i - 1];
        if (v->books.tokens[l->slot].removals != l->removals) {
            return PA_END_NOT_LIVE;
        }
        if (!pa_book_fresh(&v->books, l->slot, now_ns)) {
            return PA_END_STALE;
        }
    }
    return PA_END_NONE;
}

static void sight(const view *v, relation *r, int32_t edge_e6, uint64_t now_ns) {
    if ((r->flags & OPEN) == 0) {
        r->flags |= OPEN;
        r->opened_count += 1;
        r->first_ns = now_ns;
        r->ended_ns = 0;
        r->best_edge_e6 = edge_e6;
        r->end = PA_END_NONE;
        count(v->scan, PA_SCAN_OPENED, 1);
    }
    r->last_ns = now_ns;
    r->edge_e6 = edge_e6;
    r->best_edge_e6 = edge_e6 > r->best_edge_e6 ? edge_e6 : r->best_edge_e6;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        leg *const l = &v->legs[i - 1];
        l->version = (uint32_t)v->books.books[l->slot].updates;
        l->cost_e6 = v->seen[l->slot];
    }
    count(v->scan, PA_SCAN_SIGHTINGS, 1);
}

static void enqueue(const view *v, uint32_t index) {
    slack *const s = &v->slacks[index];
    if (s->next == 0) {
        s->next = v->scan->queue != 0 ? v->scan->queue : END_OF_QUEUE;
        v->scan->queue = index + 1;
    }
}

/* A token's new cost into every relation of it; those it may have decided are queued. */
static uint32_t spread(const view *v, uint32_t slot, uint32_t first, uint32_t cost) {
    uint32_t evaluations = 0;
    v->seen[slot] = cost;
    for (uint32_t i = first; i != 0; ++evaluations) {
        const place *const p = &v->places[i - 1];
        slack *const s = &v->slacks[p->relation];
        const uint32_t before = v->rows[p->cell], after = weighted(cost, p->weight);
        const int64_t was = s->e6;
        v->rows[p->cell] = after;
        s->e6 = was + before - after;
        s->evaluations += 1;
        if (was > 0 || s->e6 > 0) {
            enqueue(v, p->relation);
        }
        i = p->next;
    }
    return evaluations;
}

/* A token's cost as it is now, which may have changed with nobody telling. */
static void catch_up(const view *v, uint32_t slot) {
    const uint32_t cost = cost_now(v, slot);
    if (cost != v->seen[slot]) {
        (void)spread(v, slot, v->heads[slot].first, cost);
    }
}

/* Before a relation is acted on: every cost of it as it is, and the slack from nothing else. */
static int64_t ascertain(const view *v, const relation *r) {
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        catch_up(v, v->legs[i - 1].slot);
    }
    slack *const s = &v->slacks[index_of(v, r)];
    const int64_t e6 = slack_of(v, r);
    count(v->scan, PA_SCAN_WRONG, s->e6 != e6);
    s->e6 = e6;
    return e6;
}

/* Act on what the slack says now; whether that is a sighting. */
static bool settle(const view *v, relation *r, uint64_t now_ns) {
    const bool was_open = (r->flags & OPEN) != 0;
    int64_t e6 = v->slacks[index_of(v, r)].e6;
    pa_end why;
    if (e6 > 0) {
        e6 = ascertain(v, r);
    }
    set_violated(v, r, e6 > 0);
    if (e6 > 0) {
        why = obstacle(v, r, now_ns);
        count(v->scan, PA_SCAN_WITHHELD_STALE, why != PA_END_NONE);
    } else {
        why = was_open ? unsold(v, r) : PA_END_PRICE;
    }
    if (why == PA_END_NONE) {
        sight(v, r, (int32_t)e6 + r->min_edge_e6, now_ns);
        offer(v, r);
        return true;
    }
    if (was_open) {
        end(v, r, why, now_ns);
        offer(v, r);
    }
    return false;
}

/* Settling may add to the queue, but not what is being settled. */
static __attribute__((noinline)) uint32_t settle_queue(const view *v, uint64_t now_ns) {
    pa_scan *const scan = v->scan;
    uint32_t sightings = 0;
    while (scan->queue != 0) {
        const uint32_t index = scan->queue - 1;
        slack *const s = &v->slacks[index];
        scan->queue = s->next != END_OF_QUEUE ? s->next : 0;
        sightings += settle(v, &v->relations[index], now_ns);
        s->next = 0;
    }
    return sightings;
}

/* A token whose cost is what it was: violated relations of it are seen again, with another book. */
static void look_again(const view *v, uint32_t first) {
    for (uint32_t i = first; i != 0; i = v->places[i - 1].next) {
        if (v->slacks[v->places[i - 1].relation].e6 > 0) {
            enqueue(v, v->places[i - 1].relation);
        }
    }
}

/* How many relations a slot's new cost had to be told to. */
static inline uint32_t tell(const view *v, uint32_t slot) {
    const head h = v->heads[slot];
    if (h.first == 0) {
        return 0;
    }
    const uint32_t cost = cost_now(v, slot);
    if (cost != v->seen[slot]) {
        return spread(v, slot, h.first, cost);
    }
    if (h.violated != 0) {
        look_again(v, h.first);
    }
    return 0;
}

uint32_t pa_scan_changed(pa_arena *arena, const uint32_t *slots, uint32_t slot_count,
                         uint64_t now_ns) {
    view v;
    if (!open_view(arena, &v) || v.scan->relation_count == 0) {
        return 0;
    }
    uint32_t evaluations = 0;
    for (uint32_t i = 0; i < slot_count; ++i) {
        if (slots[i] < v.books.store->capacity) {
            evaluations += tell(&v, slots[i]);
        }
    }
    if (evaluations != 0) {
        count(v.scan, PA_SCAN_EVALUATIONS, evaluations);
    }
    return v.scan->queue != 0 ? settle_queue(&v, now_ns) : 0;
}

/* ---- the sweep ---- */

/* Costs that nobody told of. */
static uint32_t sweep_costs(const view *v) {
    enum { AT_ONCE = 4096 };
    uint64_t bits[AT_ONCE / 64];
    uint32_t untold = 0;
    const uint32_t slot_count = v->books.store->slot_count;
    for (uint32_t from = 0; from < slot_count; from += AT_ONCE) {
        const uint32_t n = slot_count - from < AT_ONCE ? slot_count - from : AT_ONCE;
        /* The owner reads what it wrote: no other thread stores there. */
        kernel->differ((const uint32_t *)v->books.costs + from, v->seen + from, n, bits);
        for (uint32_t word = 0; word < (n + 63) / 64; ++word) {
            for (; bits[word] != 0; bits[word] &= bits[word] - 1) {
                const uint32_t slot = from + 64 * word + (uint32_t)__builtin_ctzll(bits[word]);
                const uint32_t first = v->heads[slot].first;
                untold += first != 0; /* without, it was not evaluated, only not seen */
                (void)spread(v, slot, first, cost_now(v, slot));
            }
        }
    }
    return untold;
}

/* What the queue will find, in the count of violated relations. */
static void judge_queue(const view *v) {
    for (uint32_t at = v->scan->queue; at != 0 && at != END_OF_QUEUE; at = v->slacks[at - 1].next) {
        set_violated(v, &v->relations[at - 1], v->slacks[at - 1].e6 > 0);
    }
}

/* Queue every violated lane; how many whose slack says otherwise. */
static uint32_t sweep_rows(const view *v, uint32_t *violated) {
    uint16_t masks[PA_SCAN_PAGE_LANES / LANES];
    uint32_t wrong = 0;
    for (uint32_t page = 0; page < v->scan->page_high; ++page) {
        const lanes *const of = &v->lanes[page];
        if (of->leg_count == 0) {
            continue;
        }
        const uint32_t blocks = (of->used + LANES - 1) / LANES;
        kernel->sweep(v->rows + (uint64_t)page * PA_SCAN_PAGE_ROWS * LANES, of->leg_count, blocks,
                      masks);
        for (uint32_t block = 0; block < blocks; ++block) {
            for (uint32_t mask = masks[block]; mask != 0; mask &= mask - 1) {
                const uint32_t index = of->owner[block * LANES + (uint32_t)__builtin_ctz(mask)];
                wrong += v->slacks[index].e6 <= 0;
                *violated += 1;
                enqueue(v, index);
            }
        }
    }
    return wrong;
}

/* Everything from the tokens' costs, with nothing that was kept; how many were wrong. */
static uint32_t mend(const view *v) {
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < v->scan->relation_high; ++i) {
        const relation *const r = &v->relations[i];
        if (r->leg_count != 0) {
            const int64_t e6 = slack_of(v, r);
            wrong += e6 != v->slacks[i].e6;
            v->slacks[i].e6 = e6;
            fill_lane(v, r);
            enqueue(v, i);
        }
    }
    return wrong;
}

pa_status pa_scan_sweep(pa_arena *arena, uint64_t now_ns, pa_swept *out) {
    view v;
    *out = (pa_swept){0};
    if (!open_view(arena, &v)) {
        return PA_E_CAPACITY;
    }
    out->relations = v.scan->relation_count;
    out->untold = sweep_costs(&v);
    judge_queue(&v);
    out->wrong = sweep_rows(&v, &out->violated);
    if (out->wrong != 0 || out->violated != v.scan->violated_count) {
        const uint32_t mended = mend(&v);
        out->wrong = mended > 0 ? mended : 1; /* or a cell alone */
    }
    out->sightings = settle_queue(&v, now_ns);
    out->violated = v.scan->violated_count;
    offer_owed(&v);
    count(v.scan, PA_SCAN_SWEEPS, 1);
    count(v.scan, PA_SCAN_UNTOLD, out->untold);
    count(v.scan, PA_SCAN_WRONG, out->wrong);
    return PA_OK;
}

/* ---- the table ---- */

pa_status pa_scan_recover(pa_arena *arena) {
    static const int SECTIONS[AT_COUNT] = {PA_SECTION_SEEN,   PA_SECTION_HEADS,     PA_SECTION_PLACES,
                                           PA_SECTION_SLACKS, PA_SECTION_RELATIONS, PA_SECTION_LEGS,
                                           PA_SECTION_ROWS,   PA_SECTION_LANES,     PA_SECTION_RING};
    pa_scan *const scan = scan_of(arena);
    if (scan == NULL) {
        return PA_E_CAPACITY;
    }
    pa_arena_info info;
    view v;
    pa_arena_read_info(arena, &info);
    for (int i = 0; i < AT_COUNT; ++i) {
        scan->offsets[i] = (uint64_t)((char *)pa_arena_at(arena, SECTIONS[i]) - (char *)scan);
    }
    pa_store *const store = pa_arena_at(arena, PA_SECTION_STORE);
    view_at(scan, store, &v);
    memset(v.heads, 0, info.config.token_count * sizeof *v.heads);
    for (uint32_t i = 0; i < info.config.relation_count; ++i) {
        const uint32_t generation = v.relations[i].generation; /* ids are not given twice */
        if (generation != 0) {
            memset(&v.relations[i], 0, sizeof v.relations[i]);
            memset(&v.slacks[i], 0, sizeof v.slacks[i]);
            v.relations[i].generation = generation + 1;
        }
    }
    memset(&scan->epoch, 0, offsetof(pa_scan, counters) - offsetof(pa_scan, epoch));
    scan->relation_capacity = info.config.relation_count;
    scan->leg_capacity = info.config.leg_count;
    scan->ring_capacity = info.config.opportunity_count;
    scan->page_capacity = (uint32_t)pa_scan_pages(info.config.relation_count, info.config.leg_count);
    scan->epoch = store->epoch;
    return PA_OK;
}

static bool legs_valid(const view *v, const pa_scan_leg *legs, uint32_t leg_count) {
    uint32_t weights = 0;
    if (leg_count < PA_RELATION_LEGS_MIN || leg_count > PA_RELATION_LEGS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < leg_count; ++i) {
        const uint32_t slot = legs[i].slot;
        if (slot >= v->books.store->slot_count || v->books.tokens[slot].bytes == 0 ||
            legs[i].weight < 1 || legs[i].weight > PA_RELATION_WEIGHT_MAX) {
            return false;
        }
        weights += legs[i].weight;
        for (uint32_t k = 0; k < i; ++k) {
            if (legs[k].slot == slot) {
                return false;
            }
        }
    }
    return weights <= PA_RELATION_WEIGHT_MAX;
}

/* The next unused leg, at the head of its token's list. */
static uint32_t link_leg(const view *v, const pa_scan_leg *from, uint32_t relation_index) {
    pa_scan *const scan = v->scan;
    head *const h = &v->heads[from->slot];
    uint32_t at = scan->free_leg;
    if (at != 0) {
        scan->free_leg = v->legs[at - 1].next;
    } else {
        at = ++scan->leg_high;
    }
    if (h->first != 0) {
        v->legs[h->first - 1].before = at;
    }
    v->legs[at - 1] = (leg){.slot = from->slot,
                            .removals = v->books.tokens[from->slot].removals};
    v->places[at - 1] =
        (place){.relation = relation_index, .next = h->first, .weight = from->weight};
    h->first = at;
    scan->leg_count += 1;
    return at;
}

static void unlink_leg(const view *v, uint32_t at) {
    leg *const l = &v->legs[at - 1];
    const uint32_t next = v->places[at - 1].next;
    if (l->before != 0) {
        v->places[l->before - 1].next = next;
    } else {
        v->heads[l->slot].first = next;
    }
    if (next != 0) {
        v->legs[next - 1].before = l->before;
    }
    l->next = v->scan->free_leg;
    v->scan->free_leg = at;
    v->scan->leg_count -= 1;
}

pa_status pa_scan_add(pa_arena *arena, const pa_scan_leg *legs, uint32_t leg_count,
                      int32_t payoff_e6, int32_t min_edge_e6, uint64_t now_ns, uint64_t *id) {
    view v;
    if (!open_view(arena, &v)) {
        return PA_E_CAPACITY;
    }
    if (payoff_e6 < 1 || payoff_e6 > PA_RELATION_PAYOFF_MAX || min_edge_e6 < 0 ||
        min_edge_e6 > PA_RELATION_PAYOFF_MAX || !legs_valid(&v, legs, leg_count)) {
        return PA_E_RANGE;
    }
    pa_scan *const scan = v.scan;
    if (scan->relation_count == scan->relation_capacity ||
        leg_count > scan->leg_capacity - scan->leg_count) {
        return PA_E_CAPACITY;
    }
    uint32_t page = 0, lane = 0, at = scan->free_relation;
    if (!take_lane(&v, leg_count, &page, &lane)) {
        assert(!"pages for all relations and legs: pa_scan_pages");
        return PA_E_CAPACITY;
    }
    if (at != 0) {
        scan->free_relation = v.relations[at - 1].first_leg;
    } else {
        at = ++scan->relation_high;
    }
    relation *const r = &v.relations[at - 1];
    *r = (relation){.generation = r->generation != 0 ? r->generation : 1, .leg_count = leg_count,
                    .page = page, .lane = lane, .payoff_e6 = payoff_e6,
                    .min_edge_e6 = min_edge_e6};
    v.slacks[at - 1] = (slack){0};
    for (uint32_t i = leg_count; i-- > 0;) {
        catch_up(&v, legs[i].slot);
        const uint32_t linked = link_leg(&v, &legs[i], at - 1);
        v.legs[linked - 1].next = r->first_leg;
        r->first_leg = linked;
    }
    fill_lane(&v, r);
    v.slacks[at - 1].e6 = slack_of(&v, r);
    scan->relation_count += 1;
    enqueue(&v, at - 1);
    (void)settle_queue(&v, now_ns);
    *id = id_of(&v, r);
    return PA_OK;
}

static void copy(const view *v, const relation *r, pa_relation *out) {
    out->id = id_of(v, r);
    out->payoff_e6 = r->payoff_e6;
    out->min_edge_e6 = r->min_edge_e6;
    out->edge_e6 = r->edge_e6;
    out->best_edge_e6 = r->best_edge_e6;
    out->first_ns = r->first_ns;
    out->last_ns = r->last_ns;
    out->ended_ns = r->ended_ns;
    out->evaluations = v->slacks[index_of(v, r)].evaluations;
    out->opened_count = r->opened_count;
    out->open = (r->flags & OPEN) != 0;
    out->end = r->end;
    out->leg_count = r->leg_count;
    out->reserved = 0;
    uint32_t n = 0;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        const leg *const l = &v->legs[i - 1];
        out->legs[n++] =
            (pa_relation_leg){l->slot, v->places[i - 1].weight, l->version, l->cost_e6};
    }
}

pa_status pa_scan_remove(pa_arena *arena, uint64_t id, uint64_t now_ns, pa_relation *out) {
    view v;
    relation *r;
    if (!open_view(arena, &v) || (r = find(&v, id)) == NULL) {
        return PA_E_RANGE;
    }
    pa_scan *const scan = v.scan;
    end(&v, r, PA_END_REMOVED, now_ns);
    set_violated(&v, r, false);
    scan->owed_count -= (r->flags & OWED) != 0;
    if (out != NULL) {
        copy(&v, r, out);
    }
    drop_lane(&v, r);
    for (uint32_t i = r->first_leg; i != 0;) {
        const uint32_t next = v.legs[i - 1].next;
        unlink_leg(&v, i);
        i = next;
    }
    /* Its id in the ring is nobody's from now on. */
    r->generation += 1;
    r->leg_count = 0;
    r->flags = 0;
    r->first_leg = scan->free_relation;
    scan->free_relation = index_of(&v, r) + 1;
    scan->relation_count -= 1;
    return PA_OK;
}

pa_status pa_scan_set_min_edge(pa_arena *arena, uint64_t id, int32_t min_edge_e6, uint64_t now_ns) {
    view v;
    relation *r;
    if (min_edge_e6 < 0 || min_edge_e6 > PA_RELATION_PAYOFF_MAX || !open_view(arena, &v) ||
        (r = find(&v, id)) == NULL) {
        return PA_E_RANGE;
    }
    r->min_edge_e6 = min_edge_e6;
    fill_lane(&v, r);
    v.slacks[index_of(&v, r)].e6 = slack_of(&v, r);
    enqueue(&v, index_of(&v, r));
    (void)settle_queue(&v, now_ns);
    return PA_OK;
}

pa_status pa_scan_read(pa_arena *arena, uint64_t id, pa_relation *out) {
    view v;
    const relation *r;
    if (!open_view(arena, &v) || (r = find(&v, id)) == NULL) {
        return PA_E_RANGE;
    }
    copy(&v, r, out);
    return PA_OK;
}

int pa_scan_next(pa_arena *arena, pa_relation *out) {
    view v;
    if (!open_view(arena, &v)) {
        return 0;
    }
    pa_scan *const scan = v.scan;
    for (;;) {
        if (scan->head == scan->tail) {
            offer_owed(&v);
            if (scan->head == scan->tail) {
                return 0;
            }
        }
        relation *const r = find(&v, v.ring[scan->head++ & (scan->ring_capacity - 1)]);
        if (r != NULL) {
            r->flags &= ~(uint32_t)WAITING;
            copy(&v, r, out);
            return 1;
        }
    }
}

void pa_scan_counters(const pa_arena *arena, uint64_t *counters) {
    const pa_scan *const scan = pa_arena_view(arena, PA_SECTION_SCAN);
    const bool none = (const void *)scan == pa_arena_view(arena, PA_SECTION_SEEN);
    for (int i = 0; i < PA_SCAN_COUNT; ++i) {
        /* Relaxed: each stands alone. */
        counters[i] = none ? 0 : atomic_load_explicit(&scan->counters[i], memory_order_relaxed);
    }
}

void pa_scan_read_info(pa_arena *arena, pa_scan_info *out) {
    view v;
    *out = (pa_scan_info){0};
    if (!open_view(arena, &v)) {
        return;
    }
    const pa_scan *const scan = v.scan;
    *out = (pa_scan_info){
        .relation_count = scan->relation_count,
        .relation_capacity = scan->relation_capacity,
        .leg_count = scan->leg_count,
        .leg_capacity = scan->leg_capacity,
        .violated_count = scan->violated_count,
        .waiting_count = scan->tail - scan->head,
        .ring_capacity = scan->ring_capacity,
        .page_count = scan->page_count,
    };
}

/* ---- scans of the tops ---- */

pa_status pa_scan_pairs(pa_arena *arena, uint32_t *pairs, uint32_t slot_count) {
    pa_books books;
    if (pa_store_of(arena) == NULL) {
        return PA_E_CAPACITY;
    }
    pa_books_open(arena, &books);
    for (uint32_t slot = 0; slot < slot_count; ++slot) {
        const bool there = slot < books.store->slot_count && books.tokens[slot].bytes != 0;
        pairs[slot] = there ? books.books[slot].pair : PA_SLOT_NONE;
    }
    return PA_OK;
}

void pa_scan_crossed(const uint64_t *tops, size_t top_count, uint64_t *bits) {
    kernel->crossed(tops, top_count, bits);
}

void pa_scan_mirror(const uint64_t *tops, const uint32_t *pairs, size_t top_count, uint64_t *bits) {
    kernel->mirror(tops, pairs, top_count, bits);
}

/* ---- the choice ---- */

#define PROOF_COUNT 165 /* two words of bits and a part, and every kind of step */

static uint64_t draw(uint64_t *state) {
    /* splitmix64 */
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static bool sweeps_agree(const scan_kernel *k) {
    uint32_t rows[4 * 6 * LANES];
    uint64_t state = 1;
    for (uint32_t legs = 2; legs <= 5; ++legs) {
        uint16_t ours[4], theirs[4];
        for (uint32_t i = 0; i < 4 * (legs + 1) * LANES; ++i) {
            const uint32_t bound = (legs + 1) * LANES;
            const uint64_t z = draw(&state);
            rows[i] = z >> 60 == 0 ? PA_COST_NONE : (uint32_t)(z % 1000000);
            rows[i] = i % bound >= legs * LANES ? (uint32_t)(z % (1000000 * legs)) : rows[i];
        }
        k->sweep(rows, legs, 4, ours);
        PA_SCAN_SCALAR.sweep(rows, legs, 4, theirs);
        if (memcmp(ours, theirs, sizeof ours) != 0) {
            return false;
        }
    }
    return true;
}

static bool tops_agree(const scan_kernel *k) {
    uint64_t tops[PROOF_COUNT], state = 2;
    uint32_t pairs[PROOF_COUNT];
    for (uint32_t i = 0; i < PROOF_COUNT; ++i) {
        const uint64_t z = draw(&state), bid = z % 4 * 2500, ask = (z >> 8) % 5 * 2500;
        tops[i] = bid | ask << TOP_ASK_AT | z >> 28 << 28;
        pairs[i] = (z >> 16) % 3 == 0 ? (uint32_t)((z >> 20) % PROOF_COUNT) : i ^ 1;
    }
    for (size_t n = 0; n <= PROOF_COUNT; n += 3) {
        uint64_t ours[3][3], theirs[3][3];
        memset(ours, 0, sizeof ours);
        memset(theirs, 0, sizeof theirs);
        k->crossed(tops, n, ours[0]);
        PA_SCAN_SCALAR.crossed(tops, n, theirs[0]);
        k->mirror(tops, pairs, n, ours[1]);
        PA_SCAN_SCALAR.mirror(tops, pairs, n, theirs[1]);
        k->differ((const uint32_t *)tops, pairs, n, ours[2]);
        PA_SCAN_SCALAR.differ((const uint32_t *)tops, pairs, n, theirs[2]);
        if (memcmp(ours, theirs, sizeof ours) != 0) {
            return false;
        }
    }
    return true;
}

pa_status pa_scan_init(int level) {
    const scan_kernel *chosen = &PA_SCAN_SCALAR;
#if defined(__x86_64__)
    chosen = level == PA_LEVEL_AVX512 ? &PA_SCAN_AVX512
             : level == PA_LEVEL_AVX2 ? &PA_SCAN_AVX2
                                      : chosen;
#else
    (void)level;
#endif
    if (!sweeps_agree(chosen) || !tops_agree(chosen)) {
        return PA_E_SELFTEST;
    }
    kernel = chosen;
    return PA_OK;
}
