/* book/store.h -- one book per token; one writer, any number of readers.
 *
 * Idea     the writer keeps whole ladders (book/ladder.h) and, after each frame, publishes what
 *          changed: one packed word per token for scans, and one slot with the top, the first
 *          `depth` levels a side, times and hash. A slot is a sequence lock: the writer makes
 *          the sequence odd, stores the payload, makes it even; a reader keeps a copy only if
 *          the sequence was even and unchanged around it, so it never sees half an update.
 * Trust    a token is tradable in PA_STATE_LIVE only. Everything that can be wrong with a book is
 *          one bit of a mask, and the state is the gravest bit set. Bits that checks set (crossed,
 *          mirror, top) go by themselves when the check is right again; a gap goes with the next
 *          snapshot; stale and frozen with the next snapshot or pa_store_clear. Since when a
 *          state lasts, and since when the token is not live, is kept.
 * Checks   only at the end of a frame, for both entries of a price_change belong together:
 *          crossed   best bid >= best ask, in our own book;
 *          top       the message's best_bid and best_ask against ours;
 *          mirror    bids of YES = asks of NO and the reverse, every level, for pairs.
 * Order    a delta older than its token's snapshot is left out; one older than the last delta is
 *          counted, and left out if PA_APPLY_DROP_OLDER says so (redundant connections). A
 *          snapshot older than what a ready book has seen is refused. Deltas for a book without
 *          a snapshot are left out: they are not wrong, there is nothing to apply them to.
 * Cost     what one share costs a taker now: the best ask and the fee at it, rounded up, kept
 *          current with every publication in an array of its own that scans stream through.
 *          PA_COST_NONE unless the book is live, has an ask, and its market's fee is known.
 * Fresh    a quiet book is as good as its connection: it counts as heard of when any data came on
 *          a line that carries it. pa_store_set_ages bounds that, and the book's own age.
 * Restart  pa_store_recover: a writer that died inside a frame leaves books nobody can trust,
 *          which are emptied; otherwise they are kept, each stale until a snapshot proves it.
 * Threads  readers (pa_store_read, _read_depth, _top, _tops, _counters): any thread, any process.
 *          Everything else: owner only.
 * Memory   payload words are relaxed atomics (a torn copy is discarded, not undefined). Writer:
 *          release fence after going odd, release store going even. Reader: acquire load before,
 *          acquire fence after. Packed tops are single words, stored with release after the
 *          slot: who sees a top finds its slot at least as new. Counters are relaxed: each
 *          stands alone.
 * Heap     none: sections of the arena.
 */
#ifndef PA_BOOK_STORE_H
#define PA_BOOK_STORE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "decode/market.h"

/* cffi:begin */
#define PA_SLOT_NONE 4294967295
#define PA_COST_NONE 1073741824 /* 2^30: above any sum of real costs in a relation */

/* The gravest first wins: RESOLVED > FROZEN > TICK > WARMING > STALE > GAP > CROSSED > MIRROR >
 * TOP > LIVE. */
typedef enum pa_state {
    PA_STATE_NONE = 0, /* no such token                                             */
    PA_STATE_LIVE,     /* tradable                                                  */
    PA_STATE_TOP,      /* a message's best prices are not ours                      */
    PA_STATE_MIRROR,   /* the complement's book is not this one's mirror            */
    PA_STATE_CROSSED,  /* best bid >= best ask                                      */
    PA_STATE_GAP,      /* something of this book could not be applied               */
    PA_STATE_STALE,    /* from before a restart, or told so: not proven yet         */
    PA_STATE_WARMING,  /* no snapshot yet                                           */
    PA_STATE_TICK,     /* tick changed; the old levels are gone, no snapshot yet    */
    PA_STATE_FROZEN,   /* its connection is silent though it should not be          */
    PA_STATE_RESOLVED, /* market resolved; for good                                 */
    PA_STATE_COUNT
} pa_state;

#define PA_APPLY_DROP_OLDER 1 /* leave out deltas older than the token's last one */

/* Counters of the store, each of which only grows. */
typedef enum pa_counter {
    PA_COUNT_FRAMES = 0,
    PA_COUNT_FRAMES_REJECTED,
    PA_COUNT_MESSAGES,
    PA_COUNT_MEMBERS_SKIPPED,     /* of unknown name                                 */
    PA_COUNT_SNAPSHOTS_APPLIED,
    PA_COUNT_SNAPSHOT_REJECTS,    /* older than the book, off the tick, pool full    */
    PA_COUNT_DELTAS_APPLIED,
    PA_COUNT_DELTAS_IGNORED,      /* no snapshot yet, or resolved                    */
    PA_COUNT_DELTAS_OLD,          /* before the snapshot, or left out by DROP_OLDER  */
    PA_COUNT_DUPLICATES,          /* same time, hash and size as we have             */
    PA_COUNT_TIME_BACKWARDS,
    PA_COUNT_SEQUENCE_GAPS,       /* how often a book went into PA_STATE_GAP         */
    PA_COUNT_CROSSED_BOOKS,       /* how often a book crossed or locked              */
    PA_COUNT_CROSSED_BOOK_RESETS, /* crossed books that were reset                   */
    PA_COUNT_MIRROR_MISMATCHES,   /* how often a pair went out of step               */
    PA_COUNT_TOP_MISMATCHES,
    PA_COUNT_BEST_MISMATCHES,     /* best_bid_ask that is not ours; no state         */
    PA_COUNT_UNKNOWN_TOKENS,      /* records of tokens that are not in the table     */
    PA_COUNT_OFF_TICK,            /* deltas off the market's tick                    */
    PA_COUNT_POOL_FULL,
    PA_COUNT_TRADES,
    PA_COUNT_TICK_CHANGES,
    PA_COUNT_RESOLVED,
    PA_COUNT_OLD_FORMS,           /* price_change of 2024 and of 2025: a wrong feed? */
    PA_COUNT_COUNT
} pa_counter;

typedef struct pa_store pa_store;

/* A copy of a slot. */
typedef struct pa_book_top {
    int64_t bid_size_e6;     /* 0: no bid; 2^50 - 1 stands for anything larger      */
    int64_t ask_size_e6;
    int32_t bid_e4;          /* 0: no bid                                           */
    int32_t ask_e4;          /* 0: no ask                                           */
    uint32_t state;          /* pa_state                                            */
    uint32_t faults;         /* bit 1 << pa_state of all that is wrong              */
    uint32_t bid_count;      /* levels of the whole side                            */
    uint32_t ask_count;
    uint64_t sequence;       /* of the slot; even, grows by 2 with each publication */
    uint64_t updates;        /* snapshots and deltas applied                        */
    uint64_t recv_ns;        /* monotonic, of the last of them; 0: none             */
    uint64_t time_ms;        /* the exchange's, of the last of them                 */
    uint64_t since_ns;       /* when the state began                                */
} pa_book_top;

typedef struct pa_book_depth {
    pa_book_top top;
    uint64_t failing_since_ns; /* since when it has not been live; 0: it is          */
    uint64_t snapshot_ms;      /* the exchange's time of the last snapshot           */
    int32_t tick_e4;           /* 0: not known                                       */
    int32_t last_e4;           /* last_trade_price of the market as last told; 0: no */
    uint32_t bid_shown;        /* levels in bids                                     */
    uint32_t ask_shown;
    char hash[40];             /* of the last update; zeros: none                    */
    pa_book_level bids[56];    /* best first                                         */
    pa_book_level asks[56];
} pa_book_depth;

/* How long books were not live, by reason. */
typedef struct pa_episodes {
    uint64_t count;  /* ended                  */
    uint64_t ns_sum;
    uint64_t ns_max;
} pa_episodes;

typedef struct pa_store_info {
    uint32_t token_count;    /* in the table now              */
    uint32_t token_capacity;
    uint32_t live_count;     /* in PA_STATE_LIVE              */
    uint32_t depth;          /* levels a side in a slot       */
    uint32_t max_depth;      /* levels a side kept; 0: all    */
    uint32_t recovered;      /* 1: the last recover had to empty the books */
    uint64_t pool_bytes;     /* of ladder memory              */
    uint64_t pool_used;      /* of it in books                */
    uint64_t slot_bytes;     /* of one slot                   */
    uint64_t token_bytes;    /* of everything but ladders, for each token, without the index */
} pa_store_info;

/* The store of `arena`, valid while it is mapped; NULL if it was laid out without books. */
pa_store *pa_store_of(pa_arena *arena);

/* "live", "mirror_mismatch", …; NULL outside the enumeration. Static storage. */
const char *pa_state_name(int state);
const char *pa_counter_name(int counter);

/* Take over an arena, new or of a process that ended, before the first frame: see Restart.
 * `max_depth`: levels a side to keep, 0 for all. */
pa_status pa_store_recover(pa_arena *arena, uint32_t max_depth, uint64_t now_ns);

/* Enter a token, warming, or find it: *slot is its place for as long as it is in the table.
 * `tick_e4` 0: not known, then the coarsest grid that fits is used. PA_E_MALFORMED: not a
 * decimal of 1..PA_TOKEN_TEXT_MAX digits without leading zeros. PA_E_RANGE: no such tick.
 * PA_E_CAPACITY: arena.token_count. A token that is there keeps its tick. */
pa_status pa_store_add(pa_arena *arena, const char *token, size_t bytes, int32_t tick_e4,
                       uint64_t now_ns, uint32_t *slot);

/* *slot of a token. PA_E_RANGE: not in the table. */
pa_status pa_store_find(pa_arena *arena, const char *token, size_t bytes, uint32_t *slot);

/* Take a token out; its slot may be given to another. PA_E_RANGE: no such slot. */
pa_status pa_store_remove(pa_arena *arena, uint32_t slot, uint64_t now_ns);

/* Two tokens of one market, each the other's complement. PA_E_RANGE: a slot is none, both are
 * one, or one is in another pair already. Again for the same two: no effect. */
pa_status pa_store_pair(pa_arena *arena, uint32_t a, uint32_t b);

/* The complement's slot, PA_SLOT_NONE without. */
uint32_t pa_store_pair_of(pa_arena *arena, uint32_t slot);

/* Say that a state holds (GAP, STALE, FROZEN or RESOLVED), or end it (GAP, STALE, FROZEN).
 * PA_E_RANGE: no such slot, or not one of these. */
pa_status pa_store_mark(pa_arena *arena, uint32_t slot, int state, uint64_t now_ns);
pa_status pa_store_clear(pa_arena *arena, uint32_t slot, int state, uint64_t now_ns);

/* Empty a book: warming until its next snapshot, of whatever time. What a lost connection
 * does to its tokens. PA_E_RANGE: no such slot. */
pa_status pa_store_reset(pa_arena *arena, uint32_t slot, uint64_t now_ns);

/* The whole side of the writer's book, best first, up to `capacity` levels; how many in *count
 * (the side may have more). PA_E_RANGE: no such slot or side. */
pa_status pa_store_ladder(pa_arena *arena, uint32_t slot, int side, pa_book_level *out,
                          uint32_t capacity, uint32_t *count);

/* The slots that have not been live since before `before_ns`, but for those in one of
 * `except_mask`'s states, from `*from` on; how many in *count, where to go on in *from. */
pa_status pa_store_failing(pa_arena *arena, uint64_t before_ns, uint32_t except_mask,
                           uint32_t *from, uint32_t *out, uint32_t capacity, uint32_t *count);

/* The token's text into out[PA_TOKEN_TEXT_MAX], its length in *bytes. PA_E_RANGE: no such slot. */
pa_status pa_store_token(const pa_arena *arena, uint32_t slot, char *out, uint32_t *bytes);

/* Copy the top, or top and depth. Any thread; never delays the writer; at most 64 tries.
 * PA_E_RANGE: no such slot. PA_E_BUSY: *out is unspecified, ask again. */
pa_status pa_store_read(const pa_arena *arena, uint32_t slot, pa_book_top *out);
pa_status pa_store_read_depth(const pa_arena *arena, uint32_t slot, pa_book_depth *out);

/* A taker's fee of the token's market, shares x rate x (p (1 - p)) ^ exponent: rate x 1e6,
 * 0..1000000, exponent 1 or 2. Rate -1: not known, or not to be traded; the cost is none then, as
 * it is from pa_store_add on. Nobody is told: sweep afterwards. PA_E_RANGE: no such slot, rate or exponent. */
pa_status pa_store_set_fee(pa_arena *arena, uint32_t slot, int32_t rate_e6, int32_t exponent);

/* What one share of the token costs a taker, x 1e6; PA_COST_NONE: not to be bought. Any thread. */
uint32_t pa_store_cost(const pa_arena *arena, uint32_t slot);

/* Say that a line (1..PA_LINES_MAX) carries a token, or does no more. At most two do.
 * PA_E_RANGE: no such slot or line. PA_E_CAPACITY: two others carry it already. */
pa_status pa_store_carry(pa_arena *arena, uint32_t slot, uint32_t line, int carried);

/* When the token was last heard of: the later of its own update and of any data on its lines.
 * 0: never, or no such slot. */
uint64_t pa_store_heard(pa_arena *arena, uint32_t slot);

/* A book is fresh if it was heard of within quiet_ns and updated itself within hard_ns (both from
 * the first pa_store_recover on: 1.5 s and 60 s). PA_E_RANGE: 0, quiet_ns > hard_ns, or 2^62. */
pa_status pa_store_set_ages(pa_arena *arena, uint64_t quiet_ns, uint64_t hard_ns);

/* Whether it may be traded on at `now_ns`: live, fresh, its fee known. 0 also without such a slot. */
int pa_store_fresh(pa_arena *arena, uint32_t slot, uint64_t now_ns);

/* The packed top: bits 0..13 bid_e4 (0: none), 14..27 ask_e4 (0: none), 28..31 state, 32..63 the
 * low half of the update count. 0: no such token. Any thread, one load. */
uint64_t pa_store_top(const pa_arena *arena, uint32_t slot);

/* Copy counters, and episodes[PA_STATE_COUNT]. Any thread. */
void pa_store_counters(const pa_arena *arena, uint64_t *counters, pa_episodes *episodes);
void pa_store_read_info(const pa_arena *arena, pa_store_info *out);
/* cffi:end */

#define PA_READ_TRIES 64
#define PA_SIZE_SHOWN_BITS 50 /* of a size in a slot; larger ones are shown as the largest */

_Static_assert(sizeof(pa_book_top) == 80 && PA_DEPTH_MAX == 56 && PA_HASH_TEXT == 40,
               "cross to Python");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share it: a lock would be private to one");

/* ---- for csrc/tick: a frame's records into the books ---- */

/* Data came on a line at recv_ns; line 0 is none. */
void pa_lines_heard(pa_store *store, uint32_t line, uint64_t recv_ns);

/* Begin a call; what changes in it is collected once. */
void pa_apply_begin(pa_store *store);

/* Apply the records of one frame; then check and publish every book they touched. Slots that
 * changed for the first time in this call go to changed[*count..capacity), those that found no
 * room are counted in *lost. */
void pa_apply_frame(pa_store *store, const uint8_t *frame, const pa_decoded *decoded,
                    uint32_t flags, uint64_t recv_ns, uint32_t *touched, uint32_t *changed,
                    uint32_t capacity, uint32_t *count, uint32_t *lost);

/* Count a frame that was refused. */
void pa_apply_reject(pa_store *store);

#define PA_TOUCHED_MAX (2 * PA_FRAME_RECORDS_MAX) /* entries `touched` must hold */

#endif
