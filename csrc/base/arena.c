#include "base/arena.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define CACHE_LINE 64
#define MAGIC UINT64_C(0x1a627261796c6f70) /* "polyarb", 0x1a: little-endian, and no text */

typedef struct extent {
    uint64_t offset; /* from the block's start */
    uint64_t bytes;
} extent;

/* What init fixes for good. The checksum covers every byte of it before itself. */
typedef struct facts {
    uint32_t layout_version; /* up to `bytes`: the same in every version there will be */
    uint32_t header_bytes;
    uint64_t bytes;
    uint64_t created_unix_ns;
    pa_arena_config config;
    uint32_t section_count;
    char build[PA_BUILD_MAX];
    extent sections[PA_SECTION_COUNT];
    uint64_t checksum;
} facts;

struct pa_arena {
    _Atomic uint64_t magic;
    facts facts;
    _Alignas(CACHE_LINE) _Atomic uint64_t owner_pid;
    _Atomic uint64_t owner_start;
    _Atomic uint64_t owner_epoch;
};

enum {
    FACTS_AT = offsetof(struct pa_arena, facts),
    CLAIM_BYTES = FACTS_AT + offsetof(facts, bytes) + sizeof(uint64_t),
    JUDGED_BYTES = FACTS_AT + sizeof(facts)
};

/* Another process maps the words at another address: only lock-free atomics are address-free
 * (C11 7.17.5.2 p2). */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics are always lock-free");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "32-bit atomics are always lock-free");
_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "an atomic word is one word");

_Static_assert(FACTS_AT == 8 && offsetof(facts, layout_version) == 0 &&
                   offsetof(facts, header_bytes) == 4 && offsetof(facts, bytes) == 8,
               "a reader of any version finds version and length here");
_Static_assert(sizeof(facts) == 128 + sizeof(extent) * PA_SECTION_COUNT,
               "no padding: the checksum covers nothing that is not written");
_Static_assert(sizeof(facts) == 496, "another layout: raise PA_LAYOUT_VERSION");
_Static_assert(offsetof(struct pa_arena, owner_pid) == 512, "owner words: a line of their own");
_Static_assert(sizeof(struct pa_arena) == 576, "another layout: raise PA_LAYOUT_VERSION");
_Static_assert(sizeof(pa_arena_config) == 28, "crosses to Python, and is checksummed");
_Static_assert(sizeof(pa_arena_info) == 80 + PA_BUILD_MAX, "crosses to Python");
_Static_assert(PA_ACCOUNT_BYTES % CACHE_LINE == 0, "the next section starts a line");
_Static_assert(PA_HISTOGRAM_BYTES % CACHE_LINE == 0, "no two histograms share a line");

static uint64_t account_bytes(const pa_arena_config *config) {
    (void)config;
    return PA_ACCOUNT_BYTES;
}

static uint64_t trace_bytes(const pa_arena_config *config) {
    return (uint64_t)config->histogram_count * PA_HISTOGRAM_BYTES;
}

static uint64_t store_bytes(const pa_arena_config *config) {
    return config->token_count != 0 ? PA_STORE_BYTES : 0;
}

static uint64_t index_bytes(const pa_arena_config *config) {
    return config->token_count != 0 ? pa_index_entries(config->token_count) * sizeof(uint64_t) : 0;
}

static uint64_t token_bytes(const pa_arena_config *config) {
    return (uint64_t)config->token_count * PA_TOKEN_BYTES;
}

static uint64_t book_bytes(const pa_arena_config *config) {
    return (uint64_t)config->token_count * PA_BOOK_BYTES;
}

static uint64_t top_bytes(const pa_arena_config *config) {
    return (uint64_t)config->token_count * sizeof(uint64_t);
}

static uint64_t cost_bytes(const pa_arena_config *config) {
    return pa_cost_entries(config->token_count) * sizeof(uint32_t);
}

static uint64_t line_bytes(const pa_arena_config *config) {
    return config->token_count != 0 ? (PA_LINES_MAX + 1) * sizeof(uint64_t) : 0;
}

static uint64_t slot_bytes(const pa_arena_config *config) {
    return (uint64_t)config->token_count * pa_slot_words(config->depth) * sizeof(uint64_t);
}

static uint64_t ladder_bytes(const pa_arena_config *config) {
    return (uint64_t)config->ladder_pages * PA_ARENA_ALIGN;
}

static uint64_t frame_bytes(const pa_arena_config *config) {
    return config->token_count != 0 ? PA_FRAME_BYTES : 0;
}

static uint64_t scan_bytes(const pa_arena_config *config) {
    return config->relation_count != 0 ? PA_SCAN_BYTES : 0;
}

static uint64_t seen_bytes(const pa_arena_config *config) {
    return config->relation_count != 0 ? cost_bytes(config) : 0;
}

static uint64_t head_bytes(const pa_arena_config *config) {
    return config->relation_count != 0 ? (uint64_t)config->token_count * PA_SCAN_HEAD_BYTES : 0;
}

static uint64_t place_bytes(const pa_arena_config *config) {
    return pa_scan_chunks(config->token_count, config->leg_count) * PA_SCAN_CHUNK_BYTES;
}

static uint64_t placed_bytes(const pa_arena_config *config) {
    return pa_scan_chunks(config->token_count, config->leg_count) * PA_SCAN_PLACED_BYTES;
}

static uint64_t slack_bytes(const pa_arena_config *config) {
    return (uint64_t)config->relation_count * PA_SCAN_SLACK_BYTES;
}

static uint64_t relation_bytes(const pa_arena_config *config) {
    return (uint64_t)config->relation_count * PA_SCAN_RELATION_BYTES;
}

static uint64_t leg_bytes(const pa_arena_config *config) {
    return (uint64_t)config->leg_count * PA_SCAN_LEG_BYTES;
}

static uint64_t row_bytes(const pa_arena_config *config) {
    return pa_scan_pages(config->relation_count, config->leg_count) * PA_SCAN_PAGE_ROWS *
           PA_SCAN_ROW_BYTES;
}

static uint64_t lane_bytes(const pa_arena_config *config) {
    return pa_scan_pages(config->relation_count, config->leg_count) * PA_SCAN_LANES_BYTES;
}

static uint64_t ring_bytes(const pa_arena_config *config) {
    return (uint64_t)config->opportunity_count * sizeof(uint64_t);
}

/* The whole layout: what follows the header, in this order, each on a new page. */
static uint64_t (*const MAP[])(const pa_arena_config *) = {
    [PA_SECTION_ACCOUNT] = account_bytes,
    [PA_SECTION_TRACE] = trace_bytes,
    [PA_SECTION_STORE] = store_bytes,
    [PA_SECTION_INDEX] = index_bytes,
    [PA_SECTION_TOKENS] = token_bytes,
    [PA_SECTION_BOOKS] = book_bytes,
    [PA_SECTION_TOPS] = top_bytes,
    [PA_SECTION_COSTS] = cost_bytes,
    [PA_SECTION_LINES] = line_bytes,
    [PA_SECTION_SLOTS] = slot_bytes,
    [PA_SECTION_LADDERS] = ladder_bytes,
    [PA_SECTION_FRAME] = frame_bytes,
    [PA_SECTION_SCAN] = scan_bytes,
    [PA_SECTION_SEEN] = seen_bytes,
    [PA_SECTION_HEADS] = head_bytes,
    [PA_SECTION_PLACES] = place_bytes,
    [PA_SECTION_PLACED] = placed_bytes,
    [PA_SECTION_SLACKS] = slack_bytes,
    [PA_SECTION_RELATIONS] = relation_bytes,
    [PA_SECTION_LEGS] = leg_bytes,
    [PA_SECTION_ROWS] = row_bytes,
    [PA_SECTION_LANES] = lane_bytes,
    [PA_SECTION_RING] = ring_bytes,
};
_Static_assert(sizeof(MAP) / sizeof(*MAP) == PA_SECTION_COUNT, "one row per section");

static uint64_t aligned_up(uint64_t offset) {
    return (offset + PA_ARENA_ALIGN - 1) / PA_ARENA_ALIGN * PA_ARENA_ALIGN;
}

static int relations_valid(const pa_arena_config *config) {
    const uint32_t ring = config->opportunity_count;
    if (config->relation_count == 0) {
        return config->leg_count == 0 && ring == 0;
    }
    return config->token_count != 0 && config->relation_count <= PA_RELATIONS_MAX &&
           config->leg_count >= 2 && config->leg_count <= PA_LEGS_MAX && ring >= 1 &&
           ring <= PA_RELATIONS_MAX && (ring & (ring - 1)) == 0;
}

static int config_valid(const pa_arena_config *config) {
    if (config->histogram_count < 1 || config->histogram_count > PA_HISTOGRAMS_MAX) {
        return 0;
    }
    if (config->token_count == 0) {
        return config->depth == 0 && config->ladder_pages == 0 && relations_valid(config);
    }
    return config->token_count <= PA_TOKENS_MAX && config->depth >= 1 &&
           config->depth <= PA_DEPTH_MAX && config->ladder_pages >= 1 &&
           config->ladder_pages <= PA_LADDER_PAGES_MAX && relations_valid(config);
}

/* Where every section lies for a valid `config`; returns the whole block's length. */
static uint64_t lay_out(const pa_arena_config *config, extent sections[PA_SECTION_COUNT]) {
    uint64_t end = aligned_up(sizeof(struct pa_arena));
    for (int i = 0; i < PA_SECTION_COUNT; i++) {
        sections[i] = (extent){.offset = end, .bytes = MAP[i](config)};
        end = aligned_up(end + sections[i].bytes);
    }
    return end;
}

/* FNV-1a, 64 bits (draft-eastlake-fnv). Every step is a bijection of the state, so that any
 * change of a single byte changes the sum. */
static uint64_t checksum(const facts *of) {
    const unsigned char *byte = (const unsigned char *)of;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < offsetof(facts, checksum); i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

pa_status pa_arena_bytes(const pa_arena_config *config, uint64_t *bytes) {
    extent sections[PA_SECTION_COUNT];
    if (!config_valid(config)) {
        return PA_E_RANGE;
    }
    *bytes = lay_out(config, sections);
    return PA_OK;
}

pa_status pa_arena_init(void *memory, uint64_t bytes, const pa_arena_config *config,
                        const char *build, uint64_t created_unix_ns) {
    facts made = {
        .layout_version = PA_LAYOUT_VERSION,
        .header_bytes = sizeof(struct pa_arena),
        .created_unix_ns = created_unix_ns,
        .config = *config,
        .section_count = PA_SECTION_COUNT,
    };
    if ((uintptr_t)memory % PA_ARENA_ALIGN != 0 || !config_valid(config)) {
        return PA_E_RANGE;
    }
    made.bytes = lay_out(config, made.sections);
    if (bytes < made.bytes) {
        return PA_E_CAPACITY;
    }
    for (size_t i = 0; i < PA_BUILD_MAX - 1 && build[i] != '\0'; i++) {
        made.build[i] = build[i];
    }
    made.checksum = checksum(&made);
    pa_arena *arena = memory;
    /* Relaxed: init runs before anyone else; a block that has a magic was not zero-filled. */
    assert(atomic_load_explicit(&arena->magic, memory_order_relaxed) == 0);
    arena->facts = made;
    /* Release: pairs with the acquire in has_magic; who sees the magic sees the facts. */
    atomic_store_explicit(&arena->magic, MAGIC, memory_order_release);
    return PA_OK;
}

/* Whether the block starts as an arena does, as far as it goes. */
static int has_magic(const void *memory, uint64_t bytes) {
    static const uint64_t magic = MAGIC;
    if (bytes < sizeof(magic) || (uintptr_t)memory % _Alignof(struct pa_arena) != 0) {
        /* A stump, or a copy: a mapping that someone may be laying out is neither. */
        return memcmp(memory, &magic, bytes < sizeof(magic) ? bytes : sizeof(magic)) == 0;
    }
    /* Acquire: pairs with the release in pa_arena_init. */
    return atomic_load_explicit(&((const pa_arena *)memory)->magic, memory_order_acquire) == magic;
}

/* Whether the facts agree with their checksum and with what MAP makes of their config. */
static int facts_valid(const facts *found) {
    extent sections[PA_SECTION_COUNT];
    return found->checksum == checksum(found) && config_valid(&found->config) &&
           found->header_bytes == sizeof(struct pa_arena) &&
           found->section_count == PA_SECTION_COUNT &&
           found->build[PA_BUILD_MAX - 1] == '\0' &&
           found->bytes == lay_out(&found->config, sections) &&
           memcmp(found->sections, sections, sizeof(sections)) == 0;
}

pa_status pa_arena_check(const void *memory, uint64_t bytes) {
    facts found;
    uint32_t layout_version;
    uint64_t stated_bytes;
    if (bytes != 0 && !has_magic(memory, bytes)) {
        return PA_E_FOREIGN;
    }
    if (bytes < CLAIM_BYTES) {
        return PA_E_TRUNCATED;
    }
    pa_arena_read_claim(memory, bytes, &layout_version, &stated_bytes);
    if (layout_version != PA_LAYOUT_VERSION) {
        return PA_E_VERSION;
    }
    if (bytes < JUDGED_BYTES) {
        return PA_E_TRUNCATED;
    }
    memcpy(&found, (const char *)memory + FACTS_AT, sizeof(found)); /* judge what cannot change */
    if (!facts_valid(&found)) {
        return PA_E_CORRUPT;
    }
    return bytes < found.bytes ? PA_E_TRUNCATED : PA_OK;
}

void pa_arena_read_claim(const void *memory, uint64_t bytes, uint32_t *layout_version,
                         uint64_t *stated_bytes) {
    *layout_version = 0;
    *stated_bytes = 0;
    if (bytes >= CLAIM_BYTES && has_magic(memory, bytes)) {
        const char *found = (const char *)memory + FACTS_AT;
        memcpy(layout_version, found + offsetof(facts, layout_version), sizeof(*layout_version));
        memcpy(stated_bytes, found + offsetof(facts, bytes), sizeof(*stated_bytes));
    }
}

void pa_arena_read_info(const pa_arena *arena, pa_arena_info *out) {
    /* Acquire: pairs with the release in pa_arena_own; epoch n comes with owner n or a later. */
    const uint64_t epoch = atomic_load_explicit(&arena->owner_epoch, memory_order_acquire);
    *out = (pa_arena_info){
        .bytes = arena->facts.bytes,
        .created_unix_ns = arena->facts.created_unix_ns,
        /* Relaxed: the epoch's acquire, above, orders both. */
        .owner_pid = atomic_load_explicit(&arena->owner_pid, memory_order_relaxed),
        .owner_start = atomic_load_explicit(&arena->owner_start, memory_order_relaxed),
        .owner_epoch = epoch,
        .layout_version = arena->facts.layout_version,
        .section_count = arena->facts.section_count,
        .config = arena->facts.config,
    };
    memcpy(out->build, arena->facts.build, sizeof(out->build));
}

uint64_t pa_arena_own(pa_arena *arena, uint64_t pid, uint64_t start) {
    /* Relaxed: the epoch's release, below, publishes both. */
    atomic_store_explicit(&arena->owner_pid, pid, memory_order_relaxed);
    atomic_store_explicit(&arena->owner_start, start, memory_order_relaxed);
    /* Release: pairs with the acquire in pa_arena_read_info. */
    return atomic_fetch_add_explicit(&arena->owner_epoch, 1, memory_order_release) + 1;
}

void pa_arena_disown(pa_arena *arena) {
    /* Relaxed: one word, which orders nothing; the caller's file lock orders the owners. */
    atomic_store_explicit(&arena->owner_pid, 0, memory_order_relaxed);
}

void *pa_arena_at(pa_arena *arena, int section) {
    if (section < 0 || section >= PA_SECTION_COUNT) {
        return NULL;
    }
    return (char *)arena + arena->facts.sections[section].offset;
}

const void *pa_arena_view(const pa_arena *arena, int section) {
    if (section < 0 || section >= PA_SECTION_COUNT) {
        return NULL;
    }
    return (const char *)arena + arena->facts.sections[section].offset;
}
