/* Words of one MAP_SHARED arena under several writers: no update is lost and everyone sees
 * everyone's, whether they are threads or processes. The owner's words change hands meanwhile.
 * Runs "threads", "processes", or both if nothing is named (a sanitizer for threads cannot
 * follow a fork into threads). */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "check.h"

#define WORKERS 4
#define ROUNDS 200000
#define OWNERS 200000

/* A word all add to, and one per worker; the first words of the account section. */
typedef struct words {
    _Atomic uint64_t sum;
    _Atomic uint64_t own[WORKERS];
} words;

typedef struct worker {
    pthread_t thread;
    pa_arena *arena;
    int index;
} worker;

static pa_arena *shared_arena(void) {
    const pa_arena_config config = {.histogram_count = 1};
    uint64_t bytes;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED);
    CHECK(pa_arena_init(block, bytes, &config, "stress", 0) == PA_OK);
    CHECK(pa_arena_check(block, bytes) == PA_OK);
    return block;
}

static words *words_of(pa_arena *arena) {
    return pa_arena_at(arena, PA_SECTION_ACCOUNT);
}

/* The owner of epoch n is never older than n, and epochs only grow. Returns the epoch. */
static uint64_t look(const pa_arena *arena, uint64_t epoch) {
    pa_arena_info info;
    pa_arena_read_info(arena, &info);
    CHECK(info.owner_epoch >= epoch);
    CHECK(info.owner_pid >= info.owner_epoch && info.owner_start >= info.owner_epoch);
    return info.owner_epoch;
}

/* Add to the shared word and to its own, and see the others' words only ever grow. */
static void work(pa_arena *arena, int index) {
    words *w = words_of(arena);
    uint64_t seen[WORKERS] = {0};
    uint64_t epoch = 0;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        atomic_fetch_add_explicit(&w->sum, 1, memory_order_relaxed);
        atomic_store_explicit(&w->own[index], i, memory_order_relaxed);
        for (int other = 0; other < WORKERS; other++) {
            const uint64_t now = atomic_load_explicit(&w->own[other], memory_order_relaxed);
            CHECK(now >= seen[other]);
            seen[other] = now;
        }
        epoch = look(arena, epoch);
    }
}

static void hand_over(pa_arena *arena) {
    for (uint64_t epoch = 1; epoch <= OWNERS; epoch++) {
        CHECK(pa_arena_own(arena, epoch, epoch) == epoch);
    }
}

static void check_nothing_was_lost(pa_arena *arena) {
    words *w = words_of(arena);
    CHECK(w->sum == (uint64_t)WORKERS * ROUNDS);
    CHECK(look(arena, OWNERS) == OWNERS);
    for (int i = 0; i < WORKERS; i++) {
        CHECK(w->own[i] == ROUNDS);
    }
}

static void *work_thread(void *argument) {
    worker *self = argument;
    work(self->arena, self->index);
    return NULL;
}

static void *owner_thread(void *argument) {
    hand_over(argument);
    return NULL;
}

static void run_threads(void) {
    pa_arena *arena = shared_arena();
    worker workers[WORKERS];
    pthread_t owner;
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.arena = arena, .index = i};
        CHECK(pthread_create(&workers[i].thread, NULL, work_thread, &workers[i]) == 0);
    }
    CHECK(pthread_create(&owner, NULL, owner_thread, arena) == 0);
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    }
    CHECK(pthread_join(owner, NULL) == 0);
    check_nothing_was_lost(arena);
}

/* Workers 0..WORKERS-1, then the one that hands the arena over. */
static void run_processes(void) {
    pa_arena *arena = shared_arena();
    pid_t children[WORKERS + 1];
    for (int i = 0; i <= WORKERS; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            i < WORKERS ? work(arena, i) : hand_over(arena);
            _exit(0);
        }
    }
    for (int i = 0; i <= WORKERS; i++) {
        int status;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    check_nothing_was_lost(arena);
}

int main(int count, char **arguments) {
    const char *part = count > 1 ? arguments[1] : "";
    CHECK(*part == '\0' || strcmp(part, "threads") == 0 || strcmp(part, "processes") == 0);
    if (strcmp(part, "processes") != 0) {
        run_threads();
    }
    if (strcmp(part, "threads") != 0) {
        run_processes();
    }
    return 0;
}
