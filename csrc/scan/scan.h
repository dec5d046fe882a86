/* scan/scan.h -- relations over all-in costs: which baskets cost less than they pay.
 *
 * Idea     a relation is a set of legs (token, weight), all bought, that pays at least payoff_e6
 *          together. It is violated when payoff - sum(weight x cost) exceeds its min_edge_e6, the
 *          costs being the store's (book/store.h). Each relation keeps that difference as its
 *          *slack*; a changed cost reaches the slack of every relation of its token in one
 *          addition, whatever their size. A cost that is none makes any slack negative.
 *          Beside it the weighted costs lie as rows of 16 lanes, relations of equal leg count
 *          together and dense (what is removed is filled by the last), for one sweep over
 *          everything that needs no slack and so proves all of them.
 * Sighting a violated relation whose books are all live and fresh: its record is written anew
 *          (edge, and of each leg book version and cost) and it is put into the ring, at most
 *          once until it is taken out: the latest sighting wins. One whose books are not all
 *          fresh is withheld. Costs that change in one call are evaluated together, at its end.
 * Life     a relation is open from its first sighting to the first evaluation that does not see
 *          it; what ends it while it waits in the ring or after is told through the ring too.
 *          A ring with fewer places than relations can be full: counted, and offered again when
 *          the ring has been emptied.
 * Told     a call of csrc/tick evaluates what it changed. What else changes a cost (marks, resets,
 *          fees, removals) is told with pa_scan_changed, or found by the next pa_scan_sweep. Until
 *          then nothing fires wrongly: a sighting looks at the books themselves.
 * Restart  pa_scan_recover, after pa_store_recover: no relations. They come from a catalogue that
 *          may have changed, so Python adds them again. Before it, and after the next
 *          pa_store_recover, the unit does nothing.
 * Threads  pa_scan_counters: any thread, any process. The kernels' functions (pa_scan_crossed,
 *          pa_scan_mirror): any. Everything else: owner only.
 * Memory   counters are relaxed: each stands alone. Nothing else is shared.
 * Heap     none: sections of the arena.
 */
#ifndef PA_SCAN_SCAN_H
#define PA_SCAN_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "book/store.h"

/* cffi:begin */
#define PA_RELATION_LEGS_MIN 2
#define PA_RELATION_LEGS_MAX 256
#define PA_RELATION_WEIGHT_MAX 512    /* sum over the legs                           */
#define PA_RELATION_PAYOFF_MAX 512000000 /* of one set, x 1e6; above any sum of costs */

/* Why a relation was no longer seen. */
typedef enum pa_end {
    PA_END_NONE = 0, /* it never was, or still is                                   */
    PA_END_PRICE,    /* its legs cost too much                                      */
    PA_END_NOT_LIVE, /* a leg cannot be bought: book not live, no ask, fee unknown   */
    PA_END_STALE,    /* a leg's book is not fresh                                   */
    PA_END_REMOVED,  /* pa_scan_remove                                              */
    PA_END_COUNT
} pa_end;

/* Counters of the unit, each of which only grows. */
typedef enum pa_scan_counter {
    PA_SCAN_EVALUATIONS = 0, /* of single relations, by changed tokens              */
    PA_SCAN_SIGHTINGS,
    PA_SCAN_OPENED,
    PA_SCAN_ENDED_PRICE,     /* in the order of pa_end                              */
    PA_SCAN_ENDED_NOT_LIVE,
    PA_SCAN_ENDED_STALE,
    PA_SCAN_ENDED_REMOVED,
    PA_SCAN_WITHHELD_STALE,  /* violated, but not all books were live and fresh     */
    PA_SCAN_RING_OVERFLOWS,
    PA_SCAN_SWEEPS,
    PA_SCAN_UNTOLD,          /* costs that a sweep found changed                    */
    PA_SCAN_WRONG,           /* slacks that a sweep found wrong: 0                  */
    PA_SCAN_COUNT
} pa_scan_counter;

typedef struct pa_scan_leg {
    uint32_t slot;
    uint32_t weight; /* >= 1 */
} pa_scan_leg;

typedef struct pa_relation_leg {
    uint32_t slot;
    uint32_t weight;
    uint32_t version; /* low half of the book's update count, at the last sighting */
    uint32_t cost_e6; /* of one share, then                                        */
} pa_relation_leg;

/* A copy of a relation. Of its legs only leg_count are written. */
typedef struct pa_relation {
    uint64_t id;
    int32_t payoff_e6;
    int32_t min_edge_e6;
    int32_t edge_e6;       /* of one set, at the last sighting     */
    int32_t best_edge_e6;  /* since it opened                      */
    uint64_t first_ns;     /* when it opened last; 0: never        */
    uint64_t last_ns;      /* of the last sighting                 */
    uint64_t ended_ns;     /* 0: it has not ended                  */
    uint32_t evaluations;  /* by changed tokens; wraps             */
    uint32_t opened_count;
    uint32_t open;         /* 1: seen at its last evaluation       */
    uint32_t end;          /* pa_end of the last time it was open  */
    uint32_t leg_count;
    uint32_t reserved;
    pa_relation_leg legs[256];
} pa_relation;

/* What a sweep found. */
typedef struct pa_swept {
    uint32_t relations; /* evaluated                                               */
    uint32_t violated;  /* of them, fresh or not                                   */
    uint32_t sightings;
    uint32_t untold;    /* tokens whose cost had changed without anyone saying so  */
    uint32_t wrong;     /* relations whose slack was wrong: 0; mended              */
} pa_swept;

typedef struct pa_scan_info {
    uint32_t relation_count;    /* now                                            */
    uint32_t relation_capacity;
    uint32_t leg_count;
    uint32_t leg_capacity;
    uint32_t violated_count;    /* fresh or not                                   */
    uint32_t waiting_count;     /* places of the ring that are taken              */
    uint32_t owed_count;        /* relations that found no room there             */
    uint32_t ring_capacity;
    uint32_t page_count;        /* of rows, in use                                */
    uint32_t reserved;
} pa_scan_info;

/* "price", "not_live", ...; "evaluations", ...; NULL outside the enumeration. Static storage. */
const char *pa_end_name(int end);
const char *pa_scan_counter_name(int counter);

/* Choose the kernels for `level` (pa_level) and hold them to their definitions. Before start.
 * PA_E_SELFTEST: one disagrees, nothing changed. */
pa_status pa_scan_init(int level);

/* Forget every relation, and begin. After pa_store_recover. PA_E_CAPACITY: the arena was laid out
 * without relations. */
pa_status pa_scan_recover(pa_arena *arena);

/* Enter a relation of legs with different slots and evaluate it. Ids are not 0 and never given
 * twice. PA_E_RANGE: a count, weight, sum of weights, payoff (1..PA_RELATION_PAYOFF_MAX), min_edge
 * (0..the same) or slot, or a slot twice. PA_E_CAPACITY: arena.relation_count or arena.leg_count,
 * or no pa_scan_recover yet. */
pa_status pa_scan_add(pa_arena *arena, const pa_scan_leg *legs, uint32_t leg_count,
                      int32_t payoff_e6, int32_t min_edge_e6, uint64_t now_ns, uint64_t *id);

/* Take a relation out; *out (or NULL) is its last copy, ended. It is not in the ring after that.
 * PA_E_RANGE: no such relation, as below. */
pa_status pa_scan_remove(pa_arena *arena, uint64_t id, uint64_t now_ns, pa_relation *out);

/* Change the least edge (0..PA_RELATION_PAYOFF_MAX) and evaluate. PA_E_RANGE. */
pa_status pa_scan_set_min_edge(pa_arena *arena, uint64_t id, int32_t min_edge_e6, uint64_t now_ns);

/* Copy a relation. PA_E_RANGE: no such relation. */
pa_status pa_scan_read(pa_arena *arena, uint64_t id, pa_relation *out);

/* Evaluate the relations of slots whose books changed; how many sightings. Slots of no relation,
 * or no slots at all, are in order. */
uint32_t pa_scan_changed(pa_arena *arena, const uint32_t *slots, uint32_t count, uint64_t now_ns);

/* Evaluate every relation from its costs. PA_E_CAPACITY: no pa_scan_recover yet. */
pa_status pa_scan_sweep(pa_arena *arena, uint64_t now_ns, pa_swept *out);

/* Take the next relation out of the ring into *out; 0: it is empty. */
int pa_scan_next(pa_arena *arena, pa_relation *out);

/* Copy counters[PA_SCAN_COUNT]. Any thread. */
void pa_scan_counters(const pa_arena *arena, uint64_t *counters);
void pa_scan_read_info(pa_arena *arena, pa_scan_info *out);

/* The complements of slots 0..count-1, PA_SLOT_NONE without. PA_E_CAPACITY: no books. */
pa_status pa_scan_pairs(pa_arena *arena, uint32_t *pairs, uint32_t count);

/* Of `count` packed tops (pa_store_top) those whose bid is not below their ask, both being there,
 * whatever the state: bit i % 64 of bits[i / 64], the rest of the last word 0. */
void pa_scan_crossed(const uint64_t *tops, size_t count, uint64_t *bits);

/* Of `count` packed tops those that are not the mirror of their pair's: bid + ask of the other must
 * be 1 both ways, or both be missing. pairs[i] is the other's place; one outside 0..count-1 (or a
 * NULL `pairs`: always i ^ 1) that is not among the tops, gives bit 0. */
void pa_scan_mirror(const uint64_t *tops, const uint32_t *pairs, size_t count, uint64_t *bits);
/* cffi:end */

_Static_assert(sizeof(pa_relation) == 72 + 16 * PA_RELATION_LEGS_MAX, "crosses to Python");

#endif
