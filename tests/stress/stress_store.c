/* Torn reads: one writer at full speed, readers in threads or in other processes. Every word the
 * writer publishes follows from the update count, so a copy that mixes two updates breaks an
 * equation. usage: stress_store threads|processes READS */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "book/book.h"
#include "check.h"

#define READERS 2
#define DEPTH 3

static pa_arena *arena;
static uint64_t reads;
static _Atomic int *stop;

static void *writer(void *unused) {
    (void)unused;
    pa_books in;
    pa_books_open(arena, &in);
    pa_book *book = &in.books[0];
    for (uint64_t k = 1; !atomic_load_explicit(stop, memory_order_relaxed); ++k) {
        int64_t before;
        for (uint32_t i = 0; i < DEPTH; ++i) {
            CHECK(pa_ladder_set(&in.pool, &book->ladder, PA_BID, 40 - i, (int64_t)(k * 2 + i), &before));
            CHECK(pa_ladder_set(&in.pool, &book->ladder, PA_ASK, 60 + i, (int64_t)(k * 3 + i), &before));
        }
        /* One level more or less, so that counts move as well. */
        CHECK(pa_ladder_set(&in.pool, &book->ladder, PA_BID, 1, (int64_t)(k % 2), &before));
        book->updates = k;
        book->recv_ns = k * 5;
        book->time_ms = k * 7;
        book->snapshot_ms = k * 11;
        book->since_ns = k * 13;
        book->last_e4 = (int32_t)(k % 10000);
        for (uint64_t i = 0; i < PA_HASH_TEXT / 8; ++i) {
            book->hash[i] = k * (17 + i);
        }
        book->dirty = 1U << PA_BID | 1U << PA_ASK;
        pa_book_publish(&in, 0);
    }
    return NULL;
}

static int torn_top(const pa_book_top *t) {
    const uint64_t k = t->updates;
    return t->recv_ns != k * 5 || t->time_ms != k * 7 || t->since_ns != k * 13 ||
           (uint64_t)t->bid_size_e6 != k * 2 || (uint64_t)t->ask_size_e6 != k * 3 ||
           t->bid_count != DEPTH + k % 2 || t->ask_count != DEPTH || t->sequence % 2 != 0;
}

static int torn(const pa_book_depth *d) {
    const uint64_t k = d->top.updates;
    uint64_t hash[PA_HASH_TEXT / 8];
    memcpy(hash, d->hash, sizeof hash);
    int wrong = torn_top(&d->top) || d->snapshot_ms != k * 11 || d->last_e4 != (int32_t)(k % 10000) ||
                d->bid_shown != DEPTH || d->ask_shown != DEPTH;
    for (uint64_t i = 0; i < PA_HASH_TEXT / 8; ++i) {
        wrong |= hash[i] != k * (17 + i);
    }
    for (uint64_t i = 0; i < DEPTH; ++i) {
        wrong |= (uint64_t)d->bids[i].size_e6 != k * 2 + i || (uint64_t)d->asks[i].size_e6 != k * 3 + i;
    }
    return wrong;
}

/* How many copies were torn, or went back in time, or found a top older than the slot before. */
static void *reader(void *count) {
    uint64_t bad = 0, last = 0;
    while (pa_store_top(arena, 0) >> 32 == 0) { /* the writer's first */
        sched_yield();
    }
    for (uint64_t i = 0; i < reads; ++i) {
        pa_book_depth d;
        pa_book_top t;
        const uint64_t packed = pa_store_top(arena, 0) >> 32;
        if ((i & 1) == 0) {
            if (pa_store_read_depth(arena, 0, &d) != PA_OK) {
                sched_yield(); /* it was stopped in the middle: give it the processor */
                continue;
            }
            bad += d.top.updates != 0 && (unsigned)torn(&d);
            t = d.top;
        } else {
            if (pa_store_read(arena, 0, &t) != PA_OK) {
                sched_yield(); /* it was stopped in the middle: give it the processor */
                continue;
            }
            bad += t.updates != 0 && (unsigned)torn_top(&t);
        }
        /* Who sees a packed top finds its slot at least as new (2^32 updates are not reached). */
        bad += t.updates < packed || t.updates < last;
        last = t.updates;
    }
    *(uint64_t *)count = bad;
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    reads = strtoull(argv[2], NULL, 10);
    const pa_arena_config config = {1, 2, DEPTH, 8, 0, 0, 0};
    uint64_t bytes;
    uint32_t slot;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED);
    arena = (pa_arena *)block;
    stop = (_Atomic int *)(block + bytes);
    uint64_t *found = (uint64_t *)(block + bytes + 64);
    CHECK(pa_arena_init(block, bytes, &config, "stress", 1) == PA_OK);
    CHECK(pa_store_recover(arena, 0, 1) == PA_OK);
    CHECK(pa_store_add(arena, "1", 1, 100, 1, &slot) == PA_OK && slot == 0);
    if (strcmp(argv[1], "threads") == 0) {
        pthread_t w, r[READERS];
        CHECK(pthread_create(&w, NULL, writer, NULL) == 0);
        for (int i = 0; i < READERS; ++i) {
            CHECK(pthread_create(&r[i], NULL, reader, &found[i]) == 0);
        }
        for (int i = 0; i < READERS; ++i) {
            pthread_join(r[i], NULL);
        }
        atomic_store(stop, 1);
        pthread_join(w, NULL);
    } else {
        pid_t children[READERS];
        for (int i = 0; i < READERS; ++i) {
            children[i] = fork();
            CHECK(children[i] >= 0);
            if (children[i] == 0) {
                reader(&found[i]);
                _exit(0);
            }
        }
        pthread_t w;
        CHECK(pthread_create(&w, NULL, writer, NULL) == 0);
        for (int i = 0; i < READERS; ++i) {
            int status;
            CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
        }
        atomic_store(stop, 1);
        pthread_join(w, NULL);
    }
    pa_book_top last;
    CHECK(pa_store_read(arena, 0, &last) == PA_OK);
    printf("%llu updates, %llu reads, %llu torn\n", (unsigned long long)last.updates,
           (unsigned long long)(reads * READERS), (unsigned long long)(found[0] + found[1]));
    CHECK(found[0] + found[1] == 0 && last.updates > 0);
    puts("store stress: ok");
    return 0;
}
