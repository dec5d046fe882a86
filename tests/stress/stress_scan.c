/* One owner that applies frames and evaluates relations, readers that watch from other threads: what
 * they may read (counters, costs, tops) is read without a race, and no counter goes back.
 * usage: stress_scan FRAMES */
#include <pthread.h>
#include <stdatomic.h>

#include "book/store.h"
#include "check.h"
#include "scan/scan.h"
#include "tick/tick.h"

#define TOKENS 8
#define READERS 2

static pa_arena *arena;
static _Atomic int stop;

static void *reader(void *unused) {
    uint64_t before[PA_SCAN_COUNT] = {0}, counters[PA_SCAN_COUNT], costs = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        pa_scan_counters(arena, counters);
        for (int i = 0; i < PA_SCAN_COUNT; ++i) {
            CHECK(counters[i] >= before[i]);
            before[i] = counters[i];
        }
        for (uint32_t slot = 0; slot < TOKENS; ++slot) {
            costs += pa_store_cost(arena, slot) ^ pa_store_top(arena, slot);
        }
    }
    CHECK(costs != 1);
    return unused;
}

static void frame(uint32_t slot, uint32_t cents, uint64_t now) {
    char text[256];
    const int bytes = snprintf(text, sizeof text,
                               "{\"event_type\":\"book\",\"asset_id\":\"%u\",\"bids\":[],\"asks\":"
                               "[{\"price\":\"0.%02u\",\"size\":\"5\"}]}", 10 + slot, cents);
    CHECK(pa_tick(arena, (const uint8_t *)text, (size_t)bytes, now) == PA_OK);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const uint64_t frames = strtoull(argv[1], NULL, 10);
    const pa_arena_config config = {1, TOKENS, 4, 64, 32, 128, 8};
    uint64_t bytes, ids[32] = {0}, z = 1, taken = 0;
    pa_swept swept;
    static pa_relation out;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = guarded(bytes);
    CHECK(pa_arena_init(block, bytes, &config, "stress", 1) == PA_OK);
    arena = (pa_arena *)block;
    CHECK(pa_store_recover(arena, 0, 1) == PA_OK && pa_scan_recover(arena) == PA_OK);
    for (uint32_t i = 0; i < TOKENS; ++i) {
        char token[8];
        uint32_t slot;
        (void)snprintf(token, sizeof token, "%u", 10 + i);
        CHECK(pa_store_add(arena, token, 2, 100, 1, &slot) == PA_OK);
        CHECK(pa_store_set_fee(arena, slot, 0, 1) == PA_OK);
    }
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; ++i) {
        CHECK(pthread_create(&readers[i], NULL, reader, NULL) == 0);
    }
    for (uint64_t i = 1; i <= frames; ++i) {
        z = z * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t *const id = &ids[z >> 59];
        frame((uint32_t)(z >> 40) % TOKENS, 30 + (uint32_t)(z >> 48) % 40, i);
        if (i % 64 == 0 && *id != 0) {
            CHECK(pa_scan_remove(arena, *id, i, NULL) == PA_OK);
            *id = 0;
        } else if (i % 32 == 0 && *id == 0) {
            const pa_scan_leg legs[] = {{(uint32_t)(i / 32) % TOKENS, 1},
                                        {(uint32_t)(i / 32 + 1) % TOKENS, 1},
                                        {(uint32_t)(i / 32 + 3) % TOKENS, 1}};
            CHECK(pa_scan_add(arena, legs, 3, 1400000, 0, i, id) == PA_OK);
        }
        while (i % 16 == 0 && pa_scan_next(arena, &out)) {
            taken += 1;
        }
        if (i % 1000 == 0) {
            CHECK(pa_scan_sweep(arena, i, &swept) == PA_OK && swept.wrong == 0 && swept.untold == 0);
        }
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < READERS; ++i) {
        pthread_join(readers[i], NULL);
    }
    uint64_t counters[PA_SCAN_COUNT];
    pa_scan_counters(arena, counters);
    printf("%llu frames, %llu sightings, %llu taken\n", (unsigned long long)frames,
           (unsigned long long)counters[PA_SCAN_SIGHTINGS], (unsigned long long)taken);
    CHECK(counters[PA_SCAN_SIGHTINGS] > 0 && taken > 0);
    puts("scan stress: ok");
    return 0;
}
