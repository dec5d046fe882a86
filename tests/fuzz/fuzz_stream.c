/* Any bytes as what a server sends, in any portions: the pieces are exactly the bytes received,
 * in order, and the same however they were portioned; books stay sound. Input: one byte that
 * seeds the portions, then the stream. */
#include "check.h"
#include "tick/tick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPACITY PA_BUFFER_MIN

static uint64_t fold(uint64_t hash, const uint8_t *p, size_t n) {
    while (n-- > 0) {
        hash = (hash ^ *p++) * 1099511628211U;
    }
    return hash;
}

/* What comes out of the splitter: a hash over kinds and bytes, raw bytes as one run. */
static uint64_t split_all(const uint8_t *data, size_t size, uint64_t seed, size_t *seen) {
    static uint8_t buffer[CAPACITY];
    pa_splitter s = {.buffer = buffer, .capacity = CAPACITY};
    uint64_t hash = 14695981039346656037U, random = seed * 2 + 1;
    int last = PA_PIECE_MORE;
    *seen = 0;
    while (size > 0) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        size_t part = 1 + (size_t)(seed == 0 ? CAPACITY : random >> 8) % CAPACITY;
        part = part < size ? part : size;
        part = part < s.capacity - s.tail ? part : s.capacity - s.tail;
        CHECK(part > 0); /* there is always room */
        memcpy(buffer + s.tail, data, part);
        s.tail += (uint32_t)part;
        data += part;
        size -= part;
        uint32_t at, bytes;
        for (int piece; (piece = pa_split_next(&s, &at, &bytes)) != PA_PIECE_MORE; last = piece) {
            CHECK(at + (size_t)bytes <= s.tail);
            const uint8_t kind = (uint8_t)piece;
            if (piece == PA_PIECE_TEXT || last != piece) {
                hash = fold(hash, &kind, 1);
            }
            hash = fold(hash, buffer + at, bytes);
            *seen += bytes;
        }
        pa_split_compact(&s);
        CHECK(s.head == 0);
    }
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t *block;
    static pa_arena *arena;
    static uint8_t buffer[CAPACITY];
    if (block == NULL) {
        const pa_arena_config config = {1, 4, 2, 4, 0, 0, 0};
        uint64_t bytes;
        uint32_t slot;
        CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
        block = aligned_alloc(PA_ARENA_ALIGN, bytes);
        CHECK(block != NULL);
        memset(block, 0, bytes);
        CHECK(pa_arena_init(block, bytes, &config, "fuzz", 1) == PA_OK);
        arena = (pa_arena *)block;
        CHECK(pa_store_recover(arena, 0, 1) == PA_OK);
        CHECK(pa_store_add(arena, "1", 1, 0, 1, &slot) == PA_OK);
        CHECK(pa_store_add(arena, "2", 1, 0, 1, &slot) == PA_OK);
        CHECK(pa_store_pair(arena, 0, 1) == PA_OK);
    }
    if (size < 1) {
        return 0;
    }
    size_t all, portions;
    const uint64_t whole = split_all(data + 1, size - 1, 0, &all);
    CHECK(split_all(data + 1, size - 1, data[0], &portions) == whole && all == portions);
    pa_splitter s = {.buffer = buffer, .capacity = CAPACITY};
    for (size_t at = 1; at < size;) {
        size_t part = 1 + (size_t)data[0] * 16;
        part = part < size - at ? part : size - at;
        part = part < s.capacity - s.tail ? part : s.capacity - s.tail;
        memcpy(buffer + s.tail, data + at, part);
        at += part;
        CHECK(pa_stream(arena, &s, (uint32_t)part, at) == PA_OK);
        const pa_report *r = pa_report_of(arena);
        while (r->notice_count > 0) {
            CHECK(r->notice_count <= PA_NOTICES_MAX && r->changed_count <= PA_CHANGED_MAX);
            for (uint32_t i = 0; i < r->notice_count; ++i) {
                CHECK(r->notices[i].at + (size_t)r->notices[i].bytes <= s.tail);
            }
            pa_split_compact(&s);
            if (!r->more) {
                break;
            }
            CHECK(pa_stream(arena, &s, 0, at) == PA_OK);
        }
    }
    pa_book_depth depth;
    for (uint32_t slot = 0; slot < 2; ++slot) {
        CHECK(pa_store_read_depth(arena, slot, &depth) == PA_OK);
        CHECK(depth.top.state >= PA_STATE_LIVE && depth.top.state < PA_STATE_COUNT);
        for (uint32_t i = 1; i < depth.bid_shown; ++i) {
            CHECK(depth.bids[i].price_e4 < depth.bids[i - 1].price_e4);
        }
        CHECK(pa_store_reset(arena, slot, size) == PA_OK);
    }
    return 0;
}
