/* What hashing a basket costs, against one scalar permutation.
 *
 * Question  do the EIP-712 digests of 2 to 4 orders stay within five permutations (performance.md
 *           row 6)? One order takes four: three blocks of struct, one of envelope.
 * Input     argv: a file of pa_order, a file with one pa_domains, a file with the 32-byte digest
 *           expected of each order, and the number of rounds (0: check only). Groups of orders are
 *           rotated, and so are the states of the permutation.
 * Output    one JSON object: per kernel level and count the nanoseconds of each round, both
 *           sides, over the operations said.
 * Moves     a rise at one level only is that level's kernel or its absorb; at all levels, the
 *           words that are copied around the hashing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "polyarb.h"

#define ORDERS_MAX 128
#define TURNS 65 /* changes of side within a round; their median counts, as in paired.py */
#define TURN 64  /* operations between two of them */
#define STATES 128
#define COUNT_MAX 4

static pa_order orders[ORDERS_MAX + COUNT_MAX]; /* the first ones again at the end */
static uint8_t expected[ORDERS_MAX + COUNT_MAX][32];
static pa_domains domains;
static pa_signed done[COUNT_MAX];
static uint64_t states[STATES][25];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "bench_digest: %s\n", what);
    exit(1);
}

static void read_file(const char *path, void *into, size_t bytes) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(into, 1, bytes, file) != bytes || fgetc(file) != EOF) {
        fail(path);
    }
    fclose(file);
}

static uint64_t digest_turn(size_t count, size_t at) {
    const uint64_t start = now_ns();
    for (size_t i = 0; i < TURN; ++i) {
        if (pa_digest_orders(&domains, orders + (at + i * count) % ORDERS_MAX, count, done) != PA_OK) {
            fail("an order was refused");
        }
    }
    return now_ns() - start;
}

static uint64_t hash_turn(size_t count, size_t at) {
    uint8_t out[COUNT_MAX][32];
    const uint64_t start = now_ns();
    for (size_t i = 0; i < TURN; ++i) {
        const pa_order *first = orders + (at + i * count) % ORDERS_MAX;
        pa_keccak256_many(first->word[0], sizeof *first, 12 * PA_WORD, count, out[0]);
        __asm__ volatile("" : : "r"(out) : "memory");
    }
    return now_ns() - start;
}

static uint64_t permute_turn(size_t at) {
    const uint64_t start = now_ns();
    for (size_t i = 0; i < TURN; ++i) {
        pa_keccak_f1600(states[(at + i) % STATES]);
    }
    return now_ns() - start;
}

static void check(size_t count) {
    for (size_t i = 0; i < ORDERS_MAX; ++i) {
        if (pa_digest_orders(&domains, orders + i, count, done) != PA_OK) {
            fail("an order was refused");
        }
        for (size_t k = 0; k < count; ++k) {
            if (memcmp(done[k].digest, expected[i + k], 32) != 0) {
                fail("a digest differs from the one expected");
            }
        }
    }
}

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const char *level, const char *what, uint64_t (*turn)(size_t, size_t),
                    size_t count, long rounds, const char **separator) {
    printf("%s\n{\"level\": \"%s\", \"what\": \"%s\", \"count\": %zu, \"operations\": %d, \"rounds\": [",
           *separator, level, what, count, TURN);
    *separator = ",";
    for (long round = -1; round < rounds; ++round) { /* the first is a warm-up */
        uint64_t ours[TURNS], against[TURNS];
        for (size_t i = 0; i < TURNS; ++i) {
            if ((round & 1) != 0) {
                against[i] = permute_turn(i * TURN);
                ours[i] = turn(count, i * TURN);
            } else {
                ours[i] = turn(count, i * TURN);
                against[i] = permute_turn(i * TURN);
            }
        }
        qsort(ours, TURNS, sizeof *ours, ascending);
        qsort(against, TURNS, sizeof *against, ascending);
        if (round >= 0) {
            printf("%s[%llu, %llu]", round > 0 ? ", " : "", (unsigned long long)ours[TURNS / 2],
                   (unsigned long long)against[TURNS / 2]);
        }
    }
    printf("]}");
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fail("usage: bench_digest ORDERS DOMAINS DIGESTS ROUNDS");
    }
    read_file(argv[1], orders, ORDERS_MAX * sizeof *orders);
    read_file(argv[2], &domains, sizeof domains);
    read_file(argv[3], expected, sizeof expected[0] * ORDERS_MAX);
    memcpy(orders + ORDERS_MAX, orders, COUNT_MAX * sizeof *orders);
    memcpy(expected + ORDERS_MAX, expected, COUNT_MAX * sizeof *expected);
    const long rounds = strtol(argv[4], NULL, 10);
    for (size_t i = 0; i < STATES; ++i) {
        states[i][0] = i;
    }
    const char *separator = "";
    printf("{\"bench\": \"digest\", \"rows\": [");
    for (int level = 0; level < PA_LEVEL_COUNT; ++level) {
        if (!pa_level_runs(level)) {
            continue;
        }
        if (pa_init(pa_level_name(level)) != PA_OK) {
            fail("a level that should run does not start");
        }
        for (size_t count = 1; count <= COUNT_MAX; ++count) {
            check(count);
            if (rounds > 0) {
                measure(pa_level_name(level), "digests", digest_turn, count, rounds, &separator);
                measure(pa_level_name(level), "hash", hash_turn, count, rounds, &separator);
            }
        }
    }
    puts("\n]}");
    return 0;
}
