/* Relations come and go: legs, lanes and ids. */
#include <assert.h>
#include <string.h>

#include "scan/table.h"

/* ---- rows ---- */

static uint32_t cell_of(uint32_t page, uint32_t leg_count, uint32_t lane, uint32_t row) {
    return (page * PA_SCAN_PAGE_ROWS + lane / LANES * (leg_count + 1) + row) * LANES + lane % LANES;
}

static uint32_t page_lanes(uint32_t leg_count) {
    return PA_SCAN_PAGE_ROWS / (leg_count + 1) * LANES;
}

/* A lane that is never violated. */
static void empty_lane(const scan_view *v, uint32_t page, uint32_t leg_count, uint32_t lane) {
    for (uint32_t row = 0; row < leg_count; ++row) {
        v->rows[cell_of(page, leg_count, lane, row)] = PA_COST_NONE;
    }
    v->rows[cell_of(page, leg_count, lane, leg_count)] = 0;
}

/* The next lane for `leg_count` legs. False: no page is left. */
static bool take_lane(const scan_view *v, uint32_t leg_count, uint32_t *page, uint32_t *lane) {
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
        scan_lanes *const fresh = &v->lanes[taken - 1];
        fresh->leg_count = leg_count;
        fresh->used = 0;
        fresh->before = *last;
        *last = taken;
        scan->page_count += 1;
    }
    scan_lanes *const of = &v->lanes[*last - 1];
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
void scan_fill_lane(const scan_view *v, const scan_relation *r) {
    uint32_t row = 0;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next, ++row) {
        const scan_leg *const l = &v->legs[i - 1];
        const uint32_t cell = cell_of(r->page, r->leg_count, r->lane, row);
        v->chunks[l->chunk].places[l->at].cell = cell;
        v->rows[cell] = weighted(v->seen[l->slot], l->weight);
    }
    v->rows[cell_of(r->page, r->leg_count, r->lane, r->leg_count)] =
        (uint32_t)(r->payoff_e6 - r->min_edge_e6);
    v->lanes[r->page].owner[r->lane] = index_of(v, r);
}

/* The slack from the tokens' costs alone. */
int64_t scan_slack_of(const scan_view *v, const scan_relation *r) {
    int64_t e6 = (int64_t)r->payoff_e6 - r->min_edge_e6;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        e6 -= weighted(v->seen[v->legs[i - 1].slot], v->legs[i - 1].weight);
    }
    return e6;
}

/* Give a lane back; the last of its kind moves there, so that no block but the last has a gap. */
static void drop_lane(const scan_view *v, const scan_relation *r) {
    pa_scan *const scan = v->scan;
    uint32_t *const last = &scan->last_page[r->leg_count];
    const uint32_t page = *last - 1;
    scan_lanes *const of = &v->lanes[page];
    const uint32_t lane = --of->used;
    scan_relation *const moved = &v->relations[of->owner[lane]];
    if (moved != r) {
        moved->page = r->page;
        moved->lane = r->lane;
        scan_fill_lane(v, moved);
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

/* ---- the table ---- */

pa_status pa_scan_recover(pa_arena *arena) {
    static const int SECTIONS[AT_COUNT] = {
        [AT_SEEN] = PA_SECTION_SEEN,     [AT_HEADS] = PA_SECTION_HEADS,
        [AT_PLACES] = PA_SECTION_PLACES, [AT_PLACED] = PA_SECTION_PLACED,
        [AT_SLACKS] = PA_SECTION_SLACKS, [AT_RELATIONS] = PA_SECTION_RELATIONS,
        [AT_LEGS] = PA_SECTION_LEGS,     [AT_ROWS] = PA_SECTION_ROWS,
        [AT_LANES] = PA_SECTION_LANES,   [AT_RING] = PA_SECTION_RING,
    };
    pa_scan *const scan = scan_of(arena);
    if (scan == NULL) {
        return PA_E_CAPACITY;
    }
    pa_arena_info info;
    scan_view v;
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
    scan->page_capacity =
        (uint32_t)pa_scan_pages(info.config.relation_count, info.config.leg_count);
    scan->chunk_capacity =
        (uint32_t)pa_scan_chunks(info.config.token_count, info.config.leg_count);
    scan->epoch = store->epoch;
    return PA_OK;
}

static bool legs_valid(const scan_view *v, const pa_scan_leg *legs, uint32_t leg_count) {
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

/* Room for one more place of a token, in its first chunk. */
static scan_chunk *open_chunk(const scan_view *v, scan_head *h) {
    pa_scan *const scan = v->scan;
    if (h->chunk == 0 || v->chunks[h->chunk - 1].used == PA_SCAN_CHUNK_PLACES) {
        uint32_t taken = scan->free_chunk;
        if (taken != 0) {
            scan->free_chunk = v->chunks[taken - 1].next;
        } else {
            assert(scan->chunk_high < scan->chunk_capacity);
            taken = ++scan->chunk_high;
        }
        v->chunks[taken - 1].next = h->chunk;
        v->chunks[taken - 1].used = 0;
        h->chunk = taken;
    }
    return &v->chunks[h->chunk - 1];
}

/* The next unused leg, + 1, and its place, whose cell is not known yet. */
static uint32_t link_leg(const scan_view *v, const pa_scan_leg *from, uint32_t relation_index) {
    pa_scan *const scan = v->scan;
    uint32_t linked = scan->free_leg;
    if (linked != 0) {
        scan->free_leg = v->legs[linked - 1].next;
    } else {
        linked = ++scan->leg_high;
    }
    scan_chunk *const chunk = open_chunk(v, &v->heads[from->slot]);
    const uint32_t index = (uint32_t)(chunk - v->chunks), at = chunk->used++;
    chunk->places[at] = (scan_place){.what = relation_index << PLACE_RELATION_AT | from->weight};
    v->placed[index].legs[at] = linked - 1;
    v->legs[linked - 1] = (scan_leg){.slot = from->slot,
                                     .weight = from->weight,
                                     .removals = v->books.tokens[from->slot].removals,
                                     .chunk = index,
                                     .at = at};
    scan->leg_count += 1;
    return linked;
}

/* Give a leg back; the last of its token's places moves to where its own was. */
static void unlink_leg(const scan_view *v, uint32_t linked) {
    pa_scan *const scan = v->scan;
    scan_leg *const l = &v->legs[linked - 1];
    scan_head *const h = &v->heads[l->slot];
    const uint32_t index = h->chunk - 1;
    scan_chunk *const first = &v->chunks[index];
    const uint32_t at = --first->used, moved = v->placed[index].legs[at];
    v->chunks[l->chunk].places[l->at] = first->places[at];
    v->placed[l->chunk].legs[l->at] = moved;
    v->legs[moved].chunk = l->chunk;
    v->legs[moved].at = l->at;
    if (first->used == 0) {
        h->chunk = first->next;
        first->next = scan->free_chunk;
        scan->free_chunk = index + 1;
    }
    l->next = scan->free_leg;
    scan->free_leg = linked;
    scan->leg_count -= 1;
}

pa_status pa_scan_add(pa_arena *arena, const pa_scan_leg *legs, uint32_t leg_count,
                      int32_t payoff_e6, int32_t min_edge_e6, uint64_t now_ns, uint64_t *id) {
    scan_view v;
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
        assert(scan->page_high < scan->page_capacity); /* pa_scan_pages: there is room */
        return PA_E_CAPACITY;
    }
    if (at != 0) {
        scan->free_relation = v.relations[at - 1].first_leg;
    } else {
        at = ++scan->relation_high;
    }
    scan_relation *const r = &v.relations[at - 1];
    *r = (scan_relation){
        .generation = r->generation != 0 ? r->generation : 1,
        .leg_count = leg_count,
        .page = page,
        .lane = lane,
        .payoff_e6 = payoff_e6,
        .min_edge_e6 = min_edge_e6,
    };
    v.slacks[at - 1] = (scan_slack){0};
    for (uint32_t i = leg_count; i-- > 0;) {
        scan_catch_up(&v, legs[i].slot);
        const uint32_t linked = link_leg(&v, &legs[i], at - 1);
        v.legs[linked - 1].next = r->first_leg;
        r->first_leg = linked;
    }
    scan_fill_lane(&v, r);
    v.slacks[at - 1].e6 = scan_slack_of(&v, r);
    scan->relation_count += 1;
    scan_enqueue(&v, at - 1);
    (void)scan_settle(&v, now_ns);
    *id = id_of(&v, r);
    return PA_OK;
}

void scan_copy(const scan_view *v, const scan_relation *r, pa_relation *out) {
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
    out->open = (r->flags & SCAN_OPEN) != 0;
    out->end = r->end;
    out->leg_count = r->leg_count;
    out->reserved = 0;
    uint32_t n = 0;
    for (uint32_t i = r->first_leg; i != 0; i = v->legs[i - 1].next) {
        const scan_leg *const l = &v->legs[i - 1];
        out->legs[n++] =
            (pa_relation_leg){l->slot, l->weight, l->version, l->cost_e6};
    }
}

pa_status pa_scan_remove(pa_arena *arena, uint64_t id, uint64_t now_ns, pa_relation *out) {
    scan_view v;
    scan_relation *r;
    if (!open_view(arena, &v) || (r = find(&v, id)) == NULL) {
        return PA_E_RANGE;
    }
    pa_scan *const scan = v.scan;
    scan_end(&v, r, PA_END_REMOVED, now_ns);
    scan_set_violated(&v, r, false);
    scan->owed_count -= (r->flags & SCAN_OWED) != 0;
    if (out != NULL) {
        scan_copy(&v, r, out);
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
    scan_view v;
    scan_relation *r;
    if (min_edge_e6 < 0 || min_edge_e6 > PA_RELATION_PAYOFF_MAX || !open_view(arena, &v) ||
        (r = find(&v, id)) == NULL) {
        return PA_E_RANGE;
    }
    r->min_edge_e6 = min_edge_e6;
    scan_fill_lane(&v, r);
    v.slacks[index_of(&v, r)].e6 = scan_slack_of(&v, r);
    scan_enqueue(&v, index_of(&v, r));
    (void)scan_settle(&v, now_ns);
    return PA_OK;
}

pa_status pa_scan_read(pa_arena *arena, uint64_t id, pa_relation *out) {
    scan_view v;
    const scan_relation *r;
    if (!open_view(arena, &v) || (r = find(&v, id)) == NULL) {
        return PA_E_RANGE;
    }
    scan_copy(&v, r, out);
    return PA_OK;
}

void pa_scan_read_info(pa_arena *arena, pa_scan_info *out) {
    scan_view v;
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
        .owed_count = scan->owed_count,
        .ring_capacity = scan->ring_capacity,
        .page_count = scan->page_count,
    };
}
