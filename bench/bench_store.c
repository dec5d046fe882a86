/* Reading a book while, or while not, somebody writes it.
 *
 * Question  what does the sequence lock add to a copy of the same words (performance.md row 15);
 *           is any of 10^9 reads beside a writer torn (row 16)? And what does publishing cost.
 * Input     1024 slots, read in an order the prefetcher does not guess; beside the writer one slot.
 * Moves     the first rises when a reader's loop leaves registers; the second is 0 or a fault.
 * usage: bench_store READS
 */
#include "harness.h"

#include <sys/mman.h>

#include "book/book.h"

#define SLOTS 1024
#define DEPTH 10

static pa_arena *arena;
static pa_books in;
static uint32_t order[SLOTS];

static void lay_out(void) {
    const pa_arena_config config = {1, SLOTS, DEPTH, 4096, 0, 0, 0};
    uint64_t bytes;
    uint32_t slot;
    pa_arena_bytes(&config, &bytes);
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || pa_arena_init(block, bytes, &config, "bench", 1) != PA_OK) {
        exit(1);
    }
    arena = block;
    (void)pa_store_recover(arena, 0, 1);
    pa_books_open(arena, &in);
    for (uint32_t i = 0; i < SLOTS; ++i) {
        char token[16];
        const int n = snprintf(token, sizeof token, "%u", 1000 + i);
        int64_t before;
        (void)pa_store_add(arena, token, (size_t)n, 100, 1, &slot);
        for (uint32_t k = 0; k < DEPTH; ++k) {
            (void)pa_ladder_set(&in.pool, &in.books[slot].ladder, PA_BID, 40 - k, 1000 + k, &before);
            (void)pa_ladder_set(&in.pool, &in.books[slot].ladder, PA_ASK, 60 + k, 1000 + k, &before);
        }
        in.books[slot].dirty = 3;
        pa_book_publish(&in, slot);
        order[i] = i;
    }
    uint64_t random = 88172645463325252ULL;
    for (uint32_t i = SLOTS - 1; i > 0; --i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const uint32_t k = (uint32_t)(random % (i + 1)), keep = order[i];
        order[i] = order[k];
        order[k] = keep;
    }
}

static uint32_t next_slot(void) {
    static uint32_t at;
    return order[at++ % SLOTS];
}

static uint64_t read_top(uint64_t count) {
    uint64_t sum = 0;
    pa_book_top top;
    for (uint64_t i = 0; i < count; ++i) {
        sum += pa_store_read(arena, next_slot(), &top) == PA_OK ? (uint64_t)top.bid_size_e6 : 0;
    }
    return sum;
}

/* The same words out of the same place and into the same struct, without asking whether they
 * belong together. */
static __attribute__((noinline)) void copy_of_top(uint32_t slot, pa_book_top *out) {
    const volatile uint64_t *from = (const volatile uint64_t *)pa_slot_at(&in, slot);
    uint64_t w[SLOT_TOP_WORDS];
    const uint64_t mask = (UINT64_C(1) << PA_SIZE_SHOWN_BITS) - 1;
    for (int k = 0; k < SLOT_TOP_WORDS; ++k) {
        w[k] = from[k];
    }
    *out = (pa_book_top){
        .bid_size_e6 = (int64_t)(w[SLOT_BID] & mask),
        .ask_size_e6 = (int64_t)(w[SLOT_ASK] & mask),
        .bid_e4 = (int32_t)(w[SLOT_BID] >> PA_SIZE_SHOWN_BITS),
        .ask_e4 = (int32_t)(w[SLOT_ASK] >> PA_SIZE_SHOWN_BITS),
        .state = (uint32_t)(w[SLOT_STATE] & 0xFF),
        .faults = (uint32_t)(w[SLOT_STATE] >> 8 & 0xFFFF),
        .bid_count = (uint32_t)(w[SLOT_STATE] >> 24 & 0xFFFF),
        .ask_count = (uint32_t)(w[SLOT_STATE] >> 40 & 0xFFFF),
        .sequence = w[SLOT_SEQUENCE],
        .updates = w[SLOT_UPDATES],
        .recv_ns = w[SLOT_RECV],
        .time_ms = w[SLOT_TIME],
        .since_ns = w[SLOT_SINCE],
    };
}

static uint64_t copy_top(uint64_t count) {
    uint64_t sum = 0;
    pa_book_top top;
    for (uint64_t i = 0; i < count; ++i) {
        copy_of_top(next_slot(), &top);
        sum += (uint64_t)top.bid_size_e6;
    }
    return sum;
}

static uint64_t read_depth(uint64_t count) {
    uint64_t sum = 0;
    pa_book_depth depth;
    for (uint64_t i = 0; i < count; ++i) {
        sum += pa_store_read_depth(arena, next_slot(), &depth) == PA_OK ? (uint64_t)depth.bids[3].size_e6 : 0;
    }
    return sum;
}

static __attribute__((noinline)) void copy_of_depth(uint32_t slot, pa_book_depth *out) {
    const volatile uint64_t *from = (const volatile uint64_t *)pa_slot_at(&in, slot);
    uint64_t w[SLOT_LEVELS + 2 * DEPTH];
    const uint64_t mask = (UINT64_C(1) << PA_SIZE_SHOWN_BITS) - 1;
    copy_of_top(slot, &out->top);
    for (int k = SLOT_HASH; k < SLOT_LEVELS + 2 * DEPTH; ++k) {
        w[k] = from[k];
    }
    memcpy(out->hash, w + SLOT_HASH, PA_HASH_TEXT);
    out->failing_since_ns = w[SLOT_FAILING];
    out->snapshot_ms = w[SLOT_SNAPSHOT];
    for (int side = 0; side < 2; ++side) {
        pa_book_level *to = side == 0 ? out->bids : out->asks;
        for (int i = 0; i < DEPTH && w[SLOT_LEVELS + side * DEPTH + i] != 0; ++i) {
            const uint64_t word = w[SLOT_LEVELS + side * DEPTH + i];
            to[i] = (pa_book_level){(int64_t)(word & mask), (int32_t)(word >> PA_SIZE_SHOWN_BITS), 0};
        }
    }
}

static uint64_t copy_depth(uint64_t count) {
    uint64_t sum = 0;
    pa_book_depth depth;
    for (uint64_t i = 0; i < count; ++i) {
        copy_of_depth(next_slot(), &depth);
        sum += (uint64_t)depth.bids[3].size_e6;
    }
    return sum;
}

static uint64_t packed(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        sum += pa_store_top(arena, next_slot());
    }
    return sum;
}

static uint64_t publish_head(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        const uint32_t slot = next_slot();
        in.books[slot].updates += 1;
        pa_book_publish(&in, slot);
    }
    return count;
}

static uint64_t publish_both_sides(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        const uint32_t slot = next_slot();
        in.books[slot].dirty = 3;
        pa_book_publish(&in, slot);
    }
    return count;
}

/* ---- beside a writer ---- */

static _Atomic int stop;
static uint64_t written;

static void *write_all_the_time(void *unused) {
    pa_book *book = &in.books[0];
    (void)unused;
    bench_pin(1);
    for (uint64_t k = 1; !atomic_load_explicit(&stop, memory_order_relaxed); ++k) {
        book->updates = k;
        book->recv_ns = k * 5;
        book->time_ms = k * 7;
        book->since_ns = k * 11;
        for (uint64_t i = 0; i < PA_HASH_TEXT / 8; ++i) {
            book->hash[i] = k * (3 + i);
        }
        pa_book_publish(&in, 0);
        written = k;
        for (int i = 0; i < 60; ++i) { /* about as fast as row 16 asks for */
            __asm__ volatile("");
        }
    }
    return NULL;
}

static void beside_a_writer(uint64_t reads) {
    pthread_t writer;
    pa_book_depth d;
    uint64_t torn = 0, busy = 0, hash[PA_HASH_TEXT / 8];
    in.books[0].updates = 0;
    pa_book_publish(&in, 0);
    if (pthread_create(&writer, NULL, write_all_the_time, NULL) != 0) {
        exit(1);
    }
    bench_pin(0);
    while (pa_store_top(arena, 0) >> 32 < 2) {
    }
    const uint64_t start = bench_now_ns();
    for (uint64_t i = 0; i < reads; ++i) {
        if ((i % 8 == 0 ? pa_store_read_depth(arena, 0, &d) : pa_store_read(arena, 0, &d.top)) !=
            PA_OK) {
            ++busy;
            continue;
        }
        const uint64_t k = d.top.updates;
        memcpy(hash, d.hash, sizeof hash);
        torn += (d.top.recv_ns != k * 5) | (d.top.time_ms != k * 7) | (d.top.since_ns != k * 11) |
                (i % 8 == 0 && (hash[0] != k * 3 || hash[4] != k * 7));
    }
    const double ns = (double)(bench_now_ns() - start);
    atomic_store(&stop, 1);
    pthread_join(writer, NULL);
    char note[160];
    snprintf(note, sizeof note, "%llu torn of %llu, %llu busy; writer %.1f M/s; every eighth read with depth",
             (unsigned long long)torn, (unsigned long long)reads, (unsigned long long)busy,
             (double)written / ns * 1e3);
    const double each = ns / (double)reads;
    bench_print("read_beside_a_writer", 1, &each, 1, note);
}

int main(int argc, char **argv) {
    const uint64_t reads = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    lay_out();
    bench_begin("store");
    bench_row("loop", 1, NULL, bench_loop, "contained in every figure below");
    bench_row("packed_top", 1, NULL, packed, "one word, 1024 tokens");
    bench_row("read_top", 1, NULL, read_top, "8 words behind the sequence lock, 1024 slots");
    bench_row("copy_top", 1, NULL, copy_top, "the same without it");
    bench_row("read_depth", 1, NULL, read_depth, "10 levels a side");
    bench_row("copy_depth", 1, NULL, copy_depth, "the same without the lock");
    bench_row("publish", 1, NULL, publish_head, "best prices unchanged");
    bench_row("publish_both_sides", 1, NULL, publish_both_sides, "10 levels a side from the ladder");
    beside_a_writer(reads);
    bench_end();
    return 0;
}
