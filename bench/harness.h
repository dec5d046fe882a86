/* harness.h -- rounds, threads and JSON for the C benchmarks.
 *
 * Idea     a benchmark is a function that does its operation `count` times. A round lasts
 *          about ROUND_NS; with several threads all start behind one barrier, each on a CPU
 *          of its own, and all stop when the first has done its share, so that every
 *          operation counted was contended. What is reported is wall time per operation as
 *          one thread sees it, the loop around it included (the row "loop" says how much).
 * Output   one JSON object on stdout: {"bench", "cpu", "compiler", "rows": [{"name", "unit",
 *          "threads", "median", "min", "max", "rounds", "note"}]}.
 * Heap     none. Compile with _GNU_SOURCE (CPU affinity) and -lpthread.
 */
#ifndef PA_BENCH_HARNESS_H
#define PA_BENCH_HARNESS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUND_NS 30000000
#define ROUNDS 9
#define CHUNK 1000 /* operations between two looks at the stop word: adds about 1/1000 */
#define BENCH_THREADS_MAX 2

/* Do the operation `count` times; the returned value depends on every one of them. */
typedef uint64_t bench_fn(uint64_t count);

static _Atomic uint64_t bench_sink; /* what the compiler must believe somebody reads */
static const char *bench_separator = "";

static inline uint64_t bench_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* One thread's part of a round. */
typedef struct bench_part {
    _Alignas(64) bench_fn *run;
    uint64_t chunks;
    int threads, index;
    _Atomic int *ready, *stop;
    double ns; /* out: per operation */
} bench_part;

static inline void bench_pin(int index) {
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
            return;
        }
    }
}

static inline void *bench_thread(void *argument) {
    bench_part *part = argument;
    uint64_t sink = 0, done = 0;
    if (part->threads > 1) {
        bench_pin(part->index);
    }
    atomic_fetch_add(part->ready, 1);
    while (atomic_load(part->ready) < part->threads) {
    }
    const uint64_t start = bench_now_ns();
    /* Relaxed: pairs with nothing, a chunk more or less does not matter. */
    while (done < part->chunks && !atomic_load_explicit(part->stop, memory_order_relaxed)) {
        sink += part->run(CHUNK);
        ++done;
    }
    const uint64_t elapsed = bench_now_ns() - start;
    atomic_store(part->stop, 1);
    atomic_fetch_add(&bench_sink, sink);
    part->ns = (double)elapsed / (double)(done > 0 ? done * CHUNK : 1);
    return NULL;
}

/* One round; the mean over the threads of what each saw per operation. */
static inline double bench_round(bench_fn *run, int threads, uint64_t chunks) {
    _Alignas(64) _Atomic int ready = 0;
    _Alignas(64) _Atomic int stop = 0;
    bench_part parts[BENCH_THREADS_MAX];
    pthread_t others[BENCH_THREADS_MAX];
    double sum = 0;
    for (int i = 0; i < threads; ++i) {
        parts[i] = (bench_part){run, chunks, threads, i, &ready, &stop, 0};
        if (pthread_create(&others[i], NULL, bench_thread, &parts[i]) != 0) {
            exit(1);
        }
    }
    for (int i = 0; i < threads; ++i) {
        pthread_join(others[i], NULL);
        sum += parts[i].ns;
    }
    return sum / threads;
}

static inline int bench_ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Print one row; the rounds in ascending order. */
static inline void bench_print(const char *name, int threads, const double *rounds, int count,
                               const char *note) {
    printf("%s\n  {\"name\": \"%s\", \"unit\": \"ns\", \"threads\": %d, \"median\": %.2f, "
           "\"min\": %.2f, \"max\": %.2f, \"rounds\": %d, \"note\": \"%s\"}",
           bench_separator, name, threads, rounds[count / 2], rounds[0], rounds[count - 1], count,
           note);
    bench_separator = ",";
    fflush(stdout);
}

/* Calibrate, warm up, measure and print one row. `reset` (or NULL) runs before every round,
 * outside the clock. */
static inline void bench_row(const char *name, int threads, void (*reset)(void), bench_fn *run,
                             const char *note) {
    double rounds[ROUNDS];
    uint64_t chunks = 1;
    for (double ns = 0; ns * CHUNK * (double)chunks < ROUND_NS / 4.0; chunks *= 2) {
        if (reset != NULL) {
            reset();
        }
        ns = bench_round(run, threads, chunks);
    }
    for (int i = -1; i < ROUNDS; ++i) { /* the first is a warm-up of full length */
        if (reset != NULL) {
            reset();
        }
        const double ns = bench_round(run, threads, chunks * 2);
        if (i >= 0) {
            rounds[i] = ns;
        }
    }
    qsort(rounds, ROUNDS, sizeof *rounds, bench_ascending);
    bench_print(name, threads, rounds, ROUNDS, note);
}

/* An empty loop, for what the loop itself costs. */
static inline uint64_t bench_loop(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        sum += i;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

static inline void bench_begin(const char *name) {
    char line[256], cpu[128] = "unknown";
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info != NULL && fgets(line, sizeof line, info) != NULL) {
        if (sscanf(line, "model name : %127[^\"\\\n]", cpu) == 1) {
            break;
        }
    }
    if (info != NULL) {
        fclose(info);
    }
    printf("{\"bench\": \"%s\", \"cpu\": \"%s\", \"compiler\": \"%s\", \"rows\": [", name, cpu,
           __VERSION__);
}

static inline void bench_end(void) {
    puts("\n]}");
}

#endif
