/* base/arena.h -- one block of memory that holds all state, laid out for several processes.
 *
 * Idea     a header (magic, layout version, build, capacities, section table, checksum) and
 *          then sections at fixed, page-aligned offsets. Offsets only, no pointers, so the
 *          block may be anonymous memory, a file or /dev/shm and lie at any address. The
 *          caller maps it (polyarb/core/arena.py); this unit only lays out and judges.
 *          MAP in arena.c is the whole layout: a new section is one row there.
 * Threads  pa_arena_init, _own, _disown: owner only. The rest: any thread, any process.
 * Memory   the checksummed part never changes after init, which stores the magic last with
 *          release; pa_arena_check acquires it. Owner words are atomics on a cache line of
 *          their own: pa_arena_own stores pid and start, then publishes them with a release
 *          increment of the epoch; pa_arena_read_info acquires the epoch first.
 * Heap     none: nothing in csrc allocates.
 */
#ifndef PA_BASE_ARENA_H
#define PA_BASE_ARENA_H

#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_LAYOUT_VERSION 3
#define PA_ARENA_ALIGN 4096  /* of the block and of every section */
#define PA_BUILD_MAX 64      /* bytes of the build text, terminator included */
#define PA_HISTOGRAMS_MAX 256
#define PA_TOKENS_MAX 262144
#define PA_DEPTH_MAX 56            /* levels a side that readers see                    */
#define PA_LINES_MAX 1023          /* connections that carry books, 1..                 */
#define PA_LADDER_PAGES_MAX 1048576 /* of PA_ARENA_ALIGN bytes: 4 GB                     */
#define PA_RELATIONS_MAX 262144
#define PA_LEGS_MAX 4194304        /* over all relations                                */

typedef enum pa_section {
    PA_SECTION_ACCOUNT = 0, /* account/account.h: one pa_account           */
    PA_SECTION_TRACE,       /* trace/histogram.h: histogram_count of them  */
    PA_SECTION_STORE,       /* book/store.h: counters and the pool's heads */
    PA_SECTION_INDEX,       /* book/store.c: hash of token id → slot       */
    PA_SECTION_TOKENS,      /* book/store.c: the ids' text                 */
    PA_SECTION_BOOKS,       /* book/store.c: the writer's side of a book   */
    PA_SECTION_TOPS,        /* book/store.h: one packed word a token       */
    PA_SECTION_COSTS,       /* book/store.h: what one share costs, a token */
    PA_SECTION_LINES,       /* book/store.h: when a line brought data last */
    PA_SECTION_SLOTS,       /* book/store.h: one sequence lock a token     */
    PA_SECTION_LADDERS,     /* book/ladder.h: the pool of levels           */
    PA_SECTION_FRAME,       /* tick/tick.c: records of the frame at hand   */
    PA_SECTION_SCAN,        /* scan/scan.h: counters and the heads of lists */
    PA_SECTION_SEEN,        /* scan/table.h: a token's cost, as evaluated  */
    PA_SECTION_HEADS,       /* scan/table.h: a token's first places        */
    PA_SECTION_PLACES,      /* scan/table.h: where a token's costs stand   */
    PA_SECTION_PLACED,      /* scan/table.h: whose places these are        */
    PA_SECTION_SLACKS,      /* scan/table.h: what a relation lacks or has  */
    PA_SECTION_RELATIONS,   /* scan/table.h: the rest of a relation        */
    PA_SECTION_LEGS,        /* scan/table.h: its legs                      */
    PA_SECTION_ROWS,        /* scan/kernel.h: weighted costs, 16 lanes each */
    PA_SECTION_LANES,       /* scan/table.h: whose lanes these are         */
    PA_SECTION_RING,        /* scan/table.h: relations to look at          */
    PA_SECTION_COUNT
} pa_section;

/* What the arena is laid out for. Every count has its range beside it. */
typedef struct pa_arena_config {
    uint32_t histogram_count; /* 1..PA_HISTOGRAMS_MAX                                    */
    uint32_t token_count;     /* 0..PA_TOKENS_MAX; 0: no books, then the next two are 0  */
    uint32_t depth;           /* 1..PA_DEPTH_MAX levels a side that readers see          */
    uint32_t ladder_pages;    /* 1..PA_LADDER_PAGES_MAX of PA_ARENA_ALIGN bytes          */
    uint32_t relation_count;  /* 0..PA_RELATIONS_MAX; 0: none, then the next two are 0   */
    uint32_t leg_count;       /* 2..PA_LEGS_MAX over all relations                       */
    uint32_t opportunity_count; /* 1..PA_RELATIONS_MAX, a power of two                   */
} pa_arena_config;

/* A copy of the header, for messages and monitors. */
typedef struct pa_arena_info {
    uint64_t bytes;            /* of the whole block                                       */
    uint64_t created_unix_ns;  /* wall clock at init                                       */
    uint64_t owner_pid;        /* 0: nobody; not running: it ended without disowning it   */
    uint64_t owner_start;      /* the owner's start time, as the caller of own measures it */
    uint64_t owner_epoch;      /* how often it has been owned                              */
    uint32_t layout_version;
    uint32_t section_count;
    pa_arena_config config;
    char build[PA_BUILD_MAX];  /* the build that laid it out, terminated                   */
} pa_arena_info;

typedef struct pa_arena pa_arena;

/* How many bytes an arena of this configuration takes, into *bytes.
 * PA_E_RANGE: a count is outside its range. */
pa_status pa_arena_bytes(const pa_arena_config *config, uint64_t *bytes);

/* Lay out an arena in `memory`, PA_ARENA_ALIGN-aligned, zero-filled, `bytes` long. The magic
 * is written last, so that a block whose init was interrupted stays foreign. `build` is cut
 * at PA_BUILD_MAX - 1 bytes. Owner only, before anyone attaches.
 * PA_E_RANGE: a count, or the alignment. PA_E_CAPACITY: fewer bytes than pa_arena_bytes says.
 * The block is untouched then. */
pa_status pa_arena_init(void *memory, uint64_t bytes, const pa_arena_config *config,
                        const char *build, uint64_t created_unix_ns);

/* Judge a block before anything else touches it. Reads the header only, never past `bytes`;
 * any bytes at any alignment will do. In this order:
 * PA_E_FOREIGN: does not start as an arena. PA_E_TRUNCATED: ends before the version can be told.
 * PA_E_VERSION: another layout version; nothing after it is judged, since it may lie elsewhere.
 * PA_E_TRUNCATED: ends within the header. PA_E_CORRUPT: checksum, or the header contradicts
 * itself. PA_E_TRUNCATED: shorter than the (now trusted) header says; longer is fine. */
pa_status pa_arena_check(const void *memory, uint64_t bytes);

/* What a block says of itself even if it does not pass, for the message: the layout version
 * and the length its header states. Both 0 if it is foreign or ends before they are told. */
void pa_arena_read_claim(const void *memory, uint64_t bytes, uint32_t *layout_version,
                         uint64_t *stated_bytes);

/* Copy the facts of an arena that passed pa_arena_check. While it changes hands the owner's
 * words may be those of two owners; the owner of epoch n is never older than n. */
void pa_arena_read_info(const pa_arena *arena, pa_arena_info *out);

/* Write the owner's words and start a new epoch; returns it (1 for the first owner). That no
 * other owner lives is the caller's to ensure (core/arena.py holds a file lock). */
uint64_t pa_arena_own(pa_arena *arena, uint64_t pid, uint64_t start);

/* Say that nobody owns it any more: pid 0, the rest stays for the post-mortem. */
void pa_arena_disown(pa_arena *arena);

/* The start of a section, valid while the block is mapped; NULL if `section` is none. */
void *pa_arena_at(pa_arena *arena, int section);
const void *pa_arena_view(const pa_arena *arena, int section);
/* cffi:end */

/* Sizes the layout reserves; the units assert that they fit (account.h, histogram.h, store.c,
 * tick.c). */
#define PA_ACCOUNT_BYTES 4096
#define PA_HISTOGRAM_BYTES 20480
#define PA_STORE_BYTES 4096
#define PA_TOKEN_BYTES 96
#define PA_BOOK_BYTES 320
#define PA_FRAME_BYTES 2097152
#define PA_COST_LANES 16 /* the costs are read in whole vectors of so many */
#define PA_SCAN_BYTES 4096
#define PA_SCAN_HEAD_BYTES 8
#define PA_SCAN_CHUNK_PLACES 7
#define PA_SCAN_CHUNK_BYTES 64  /* of so many places of a token */
#define PA_SCAN_PLACED_BYTES 32
#define PA_SCAN_SLACK_BYTES 16
#define PA_SCAN_RELATION_BYTES 96
#define PA_SCAN_LEG_BYTES 32
#define PA_SCAN_ROW_BYTES 64    /* 16 lanes                                           */
#define PA_SCAN_PAGE_ROWS 272   /* of relations of equal leg count; 257 rows are most */
#define PA_SCAN_PAGE_LANES 1440 /* of relations of 2 legs, which take 3 rows          */
#define PA_SCAN_LANES_BYTES (64 + 4 * PA_SCAN_PAGE_LANES)

/* Words of a slot for `depth` levels a side: a head of 16, whole cache lines. */
static inline uint32_t pa_slot_words(uint32_t depth) {
    return (16 + 2 * depth + 7) / 8 * 8;
}

/* Words of the costs: whole vectors. */
static inline uint64_t pa_cost_entries(uint32_t token_count) {
    return ((uint64_t)token_count + PA_COST_LANES - 1) / PA_COST_LANES * PA_COST_LANES;
}

/* Pages that any `relations` with `legs` in all fit into. Those of n legs are dense: a page holds
 * 272 / (n + 1) blocks of 16, so at least half of its rows, and but for the last one of each n it
 * is full. k different n take at least 2 + 3 + .. + (k + 1) legs. */
static inline uint64_t pa_scan_pages(uint32_t relations, uint32_t legs) {
    uint64_t kinds = 0;
    while (kinds < 255 && kinds < relations && (kinds + 1) * (kinds + 4) / 2 <= legs) {
        kinds += 1;
    }
    return ((uint64_t)relations + legs) / (16 * PA_SCAN_PAGE_ROWS / 2) + kinds;
}

/* Chunks that any places of `legs` legs of `tokens` fit into: one of each token is not full. */
static inline uint64_t pa_scan_chunks(uint32_t tokens, uint32_t legs) {
    return (uint64_t)legs / PA_SCAN_CHUNK_PLACES + (tokens < legs ? tokens : legs);
}

/* Entries of the index: a power of two, at least twice the tokens. */
static inline uint64_t pa_index_entries(uint32_t token_count) {
    uint64_t entries = 16;
    while (entries < 2 * (uint64_t)token_count) {
        entries *= 2;
    }
    return entries;
}

#endif
