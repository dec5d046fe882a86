/* Costs change: slacks, sightings, the ring, and the sweep that proves them. */
#include "scan/table.h"

/* ---- the ring ---- */

static bool ring_full(const pa_scan *scan) {
    return scan->tail - scan->head == scan->ring_capacity;
}

static void put(const scan_view *v, scan_relation *r) {
    pa_scan *const scan = v->scan;
    v->ring[scan->tail++ & (scan->ring_capacity - 1)] = id_of(v, r);
    r->flags |= SCAN_WAITING;
}

static void offer(const scan_view *v, scan_relation *r) {
    pa_scan *const scan = v->scan;
    if ((r->flags & SCAN_WAITING) != 0) {
        return; /* it will be read as it is then */
    }
    if (!ring_full(scan)) {
        scan->owed_count -= (r->flags & SCAN_OWED) != 0;
        r->flags &= ~(uint32_t)SCAN_OWED;
        put(v, r);
        return;
    }
    scan_count(scan, PA_SCAN_RING_OVERFLOWS, 1);
    scan->owed_count += (r->flags & SCAN_OWED) == 0;
    r->flags |= SCAN_OWED;
}

/* What found no room before, as far as it has some now. */
static void offer_owed(const scan_view *v) {
    pa_scan *const scan = v->scan;
    const uint32_t high = scan->relation_high;
    for (uint32_t i = 0; i < high && scan->owed_count != 0 && !ring_full(scan); ++i) {
        if ((v->relations[i].flags & SCAN_OWED) != 0) {
            offer(v, &v->relations[i]);
        }
    }
}

/* ---- evaluation ---- */

void scan_end(const scan_view *v, scan_relation *r, pa_end why, uint64_t now_ns) {
    if ((r->flags & SCAN_OPEN) == 0) {
        return;
    }
    r->flags &= ~(uint32_t)SCAN_OPEN;
    r->end = why;
    r->ended_ns = now_ns;
    scan_count(v->scan, PA_SCAN_ENDED_PRICE + (pa_scan_counter)(why - PA_END_PRICE), 1);
}

void scan_set_violated(const scan_view *v, scan_relation *r, bool violated) {
    if (((r->flags & SCAN_VIOLATED) != 0) == violated) {
        return;
    }
    r->flags ^= SCAN_VIOLATED;
    v->scan->violated_count += violated ? 1U : UINT32_MAX;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        v->heads[v->legs[i - 1].slot].violated += violated ? 1U : UINT32_MAX;
    }
}

static pa_end unsold(const scan_view *v, const scan_relation *r) {
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        if (v->seen[v->legs[i - 1].slot] == PA_COST_NONE) {
            return PA_END_NOT_LIVE;
        }
    }
    return PA_END_PRICE;
}

/* What forbids to act on a violated relation; PA_END_NONE: nothing. */
static pa_end obstacle(const scan_view *v, const scan_relation *r, uint64_t now_ns) {
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        const scan_leg *const l = &v->legs[i - 1];
        if (v->books.tokens[l->slot].removals != l->removals) {
            return PA_END_NOT_LIVE;
        }
        if (!pa_book_fresh(&v->books, l->slot, now_ns)) {
            return PA_END_STALE;
        }
    }
    return PA_END_NONE;
}

static void sight(const scan_view *v, scan_relation *r, int32_t edge_e6, uint64_t now_ns) {
    if ((r->flags & SCAN_OPEN) == 0) {
        r->flags |= SCAN_OPEN;
        r->opened_count += 1;
        r->first_ns = now_ns;
        r->ended_ns = 0;
        r->best_edge_e6 = edge_e6;
        r->end = PA_END_NONE;
        scan_count(v->scan, PA_SCAN_OPENED, 1);
    }
    r->last_ns = now_ns;
    r->edge_e6 = edge_e6;
    r->best_edge_e6 = edge_e6 > r->best_edge_e6 ? edge_e6 : r->best_edge_e6;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        scan_leg *const l = &v->legs[i - 1];
        l->version = (uint32_t)v->books.books[l->slot].updates;
        l->cost_e6 = v->seen[l->slot];
    }
    scan_count(v->scan, PA_SCAN_SIGHTINGS, 1);
}

/* A token's new cost into every relation of it; those it may have decided are queued. */
static uint32_t spread(const scan_view *v, uint32_t slot, uint32_t cost) {
    const uint32_t old = v->seen[slot];
    uint32_t evaluations = 0;
    v->seen[slot] = cost;
    for (uint32_t link = v->heads[slot].chunk; link != 0;) {
        const scan_chunk *const chunk = &v->chunks[link - 1];
        link = chunk->next;
        for (uint32_t i = 0; i < chunk->used; ++i) {
            const scan_place p = chunk->places[i];
            const uint32_t index = p.what >> PLACE_RELATION_AT;
            const uint32_t weight = p.what & ((1U << PLACE_RELATION_AT) - 1);
            scan_slack *const s = &v->slacks[index];
            const uint32_t after = weighted(cost, weight);
            const int64_t was = s->e6, is = was + weighted(old, weight) - after;
            v->rows[p.cell] = after;
            s->e6 = is;
            s->evaluations += 1;
            if (was > 0 || is > 0) {
                scan_enqueue(v, index);
            }
        }
        evaluations += chunk->used;
    }
    return evaluations;
}

void scan_catch_up(const scan_view *v, uint32_t slot) {
    const uint32_t cost = cost_now(v, slot);
    if (cost != v->seen[slot]) {
        (void)spread(v, slot, cost);
    }
}

/* Before a relation is acted on: every cost of it as it is, and the slack from nothing else. */
static int64_t ascertain(const scan_view *v, const scan_relation *r) {
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        scan_catch_up(v, v->legs[i - 1].slot);
    }
    scan_slack *const s = &v->slacks[index_of(v, r)];
    const int64_t e6 = scan_slack_of(v, r);
    scan_count(v->scan, PA_SCAN_WRONG, s->e6 != e6);
    s->e6 = e6;
    return e6;
}

/* Act on what the slack says now; whether that is a sighting. */
static bool settle(const scan_view *v, scan_relation *r, uint64_t now_ns) {
    const bool was_open = (r->flags & SCAN_OPEN) != 0;
    int64_t e6 = v->slacks[index_of(v, r)].e6;
    pa_end why;
    if (e6 > 0) {
        e6 = ascertain(v, r);
    }
    scan_set_violated(v, r, e6 > 0);
    if (e6 > 0) {
        why = obstacle(v, r, now_ns);
        scan_count(v->scan, PA_SCAN_WITHHELD_STALE, why != PA_END_NONE);
    } else {
        why = was_open ? unsold(v, r) : PA_END_PRICE;
    }
    if (why == PA_END_NONE) {
        sight(v, r, (int32_t)e6 + r->min_edge_e6, now_ns);
        offer(v, r);
        return true;
    }
    if (was_open) {
        scan_end(v, r, why, now_ns);
        offer(v, r);
    }
    return false;
}

/* Settling may add to the queue, but not what is being settled. */
uint32_t scan_settle(const scan_view *v, uint64_t now_ns) {
    pa_scan *const scan = v->scan;
    uint32_t sightings = 0;
    while (scan->queue != 0) {
        const uint32_t index = scan->queue - 1;
        scan_slack *const s = &v->slacks[index];
        scan->queue = s->next != END_OF_QUEUE ? s->next : 0;
        sightings += settle(v, &v->relations[index], now_ns);
        s->next = 0;
    }
    return sightings;
}

/* A token whose cost is what it was: violated relations of it are seen again, with another book. */
static void look_again(const scan_view *v, uint32_t slot) {
    for (uint32_t link = v->heads[slot].chunk; link != 0; link = v->chunks[link - 1].next) {
        const scan_chunk *const chunk = &v->chunks[link - 1];
        for (uint32_t i = 0; i < chunk->used; ++i) {
            const uint32_t index = chunk->places[i].what >> PLACE_RELATION_AT;
            if (v->slacks[index].e6 > 0) {
                scan_enqueue(v, index);
            }
        }
    }
}

/* The slots that pa_scan_changed found something to do for, and those behind them. */
static __attribute__((noinline)) uint32_t tell(pa_scan *scan, pa_store *store,
                                               const uint32_t *slots, uint32_t slot_count,
                                               uint64_t now_ns) {
    scan_view v;
    uint32_t evaluations = 0;
    view_at(scan, store, &v);
    for (uint32_t i = 0; i < slot_count; ++i) {
        const uint32_t slot = slots[i];
        if (slot >= store->capacity || v.heads[slot].chunk == 0) {
            continue;
        }
        const uint32_t cost = cost_now(&v, slot);
        if (cost != v.seen[slot]) {
            evaluations += spread(&v, slot, cost);
        } else if (v.heads[slot].violated != 0) {
            look_again(&v, slot);
        }
    }
    scan_count(scan, PA_SCAN_EVALUATIONS, evaluations);
    return scan_settle(&v, now_ns);
}

/* Most changes leave every cost as it was: that is seen without a view of everything. */
uint32_t pa_scan_changed(pa_arena *arena, const uint32_t *slots, uint32_t slot_count,
                         uint64_t now_ns) {
    pa_scan *const scan = scan_of(arena);
    if (scan == NULL || scan->relation_count == 0) {
        return 0;
    }
    pa_store *const store = pa_arena_at(arena, PA_SECTION_STORE);
    if (scan->epoch != store->epoch) {
        return 0;
    }
    const scan_head *const heads = (const void *)((char *)scan + scan->offsets[AT_HEADS]);
    const uint32_t *const seen = (const void *)((char *)scan + scan->offsets[AT_SEEN]);
    pa_books books;
    pa_books_at(store, &books);
    for (uint32_t i = 0; i < slot_count; ++i) {
        const uint32_t slot = slots[i];
        if (slot < store->capacity && heads[slot].chunk != 0 &&
            (heads[slot].violated != 0 ||
             /* Relaxed: the owner reads what it wrote. */
             atomic_load_explicit(&books.costs[slot], memory_order_relaxed) != seen[slot])) {
            return tell(scan, store, slots + i, slot_count - i, now_ns);
        }
    }
    return 0;
}

/* ---- the sweep ---- */

/* Costs that nobody told of. */
static uint32_t sweep_costs(const scan_view *v) {
    enum { AT_ONCE = 4096 };
    uint64_t bits[AT_ONCE / 64];
    uint32_t untold = 0;
    const uint32_t slot_count = v->books.store->slot_count;
    for (uint32_t from = 0; from < slot_count; from += AT_ONCE) {
        const uint32_t n = slot_count - from < AT_ONCE ? slot_count - from : AT_ONCE;
        /* The owner reads what it wrote: no other thread stores there. */
        pa_scan_kernel->differ((const uint32_t *)v->books.costs + from, v->seen + from, n, bits);
        for (uint32_t word = 0; word < (n + 63) / 64; ++word) {
            for (; bits[word] != 0; bits[word] &= bits[word] - 1) {
                const uint32_t slot = from + 64 * word + (uint32_t)__builtin_ctzll(bits[word]);
                /* One of no relation was not evaluated, only not seen. */
                untold += v->heads[slot].chunk != 0;
                (void)spread(v, slot, cost_now(v, slot));
            }
        }
    }
    return untold;
}

/* What the queue will find, in the count of violated relations. */
static void judge_queue(const scan_view *v) {
    for (uint32_t at = v->scan->queue; at != 0 && at != END_OF_QUEUE; at = v->slacks[at - 1].next) {
        scan_set_violated(v, &v->relations[at - 1], v->slacks[at - 1].e6 > 0);
    }
}

/* Queue the violated lanes of a page; how many whose slack says otherwise. */
static uint32_t take_lanes(const scan_view *v, const scan_lanes *of, uint64_t *bits,
                           uint32_t word_count, uint32_t *violated) {
    uint32_t wrong = 0;
    for (uint32_t word = 0; word < word_count; ++word) {
        for (; bits[word] != 0; bits[word] &= bits[word] - 1) {
            const uint32_t lane = 64 * word + (uint32_t)__builtin_ctzll(bits[word]);
            wrong += v->slacks[of->owner[lane]].e6 <= 0;
            *violated += 1;
            scan_enqueue(v, of->owner[lane]);
        }
    }
    return wrong;
}

/* Queue every violated lane; how many whose slack says otherwise. */
static uint32_t sweep_rows(const scan_view *v, uint32_t *violated) {
    uint64_t bits[(PA_SCAN_PAGE_LANES + 63) / 64];
    uint32_t wrong = 0;
    for (uint32_t page = 0; page < v->scan->page_high; ++page) {
        const scan_lanes *const of = &v->lanes[page];
        const uint32_t blocks = (of->used + LANES - 1) / LANES; /* a free page has none */
        pa_scan_kernel->sweep(v->rows + (uint64_t)page * PA_SCAN_PAGE_ROWS * LANES, of->leg_count,
                              blocks, bits);
        wrong += take_lanes(v, of, bits, (blocks + 3) / 4, violated);
    }
    return wrong;
}

/* Everything from the tokens' costs, with nothing that was kept; how many were wrong. */
static uint32_t mend(const scan_view *v) {
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < v->scan->relation_high; ++i) {
        const scan_relation *const r = &v->relations[i];
        if (r->leg_count != 0) {
            const int64_t e6 = scan_slack_of(v, r);
            wrong += e6 != v->slacks[i].e6;
            v->slacks[i].e6 = e6;
            scan_fill_lane(v, r);
            scan_enqueue(v, i);
        }
    }
    return wrong;
}

pa_status pa_scan_sweep(pa_arena *arena, uint64_t now_ns, pa_swept *out) {
    scan_view v;
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
    out->sightings = scan_settle(&v, now_ns);
    out->violated = v.scan->violated_count;
    offer_owed(&v);
    scan_count(v.scan, PA_SCAN_SWEEPS, 1);
    scan_count(v.scan, PA_SCAN_UNTOLD, out->untold);
    scan_count(v.scan, PA_SCAN_WRONG, out->wrong);
    return PA_OK;
}

int pa_scan_next(pa_arena *arena, pa_relation *out) {
    scan_view v;
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
        scan_relation *const r = find(&v, v.ring[scan->head++ & (scan->ring_capacity - 1)]);
        if (r != NULL) {
            r->flags &= ~(uint32_t)SCAN_WAITING;
            scan_copy(&v, r, out);
            return 1;
        }
    }
}
