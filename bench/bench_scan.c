/* Everything at once, and one frame's worth.
 *
 * Question  how near is a sweep over all relations to just reading the rows they lie in
 *           (performance.md row 17), how far from the scalar definition (rows 18, 21); the same of
 *           the scans of the tops. What does a changed cost take as its token's relations grow, and
 *           how long is it from a frame to the opportunity in the ring.
 * Input     1,000 to 50,000 tokens, each in two relations of 2..12 legs with weights 1..3; costs near
 *           what the relations pay, one in a thousand violated. "Reading" adds up the same words, with
 *           vectors as wide. The scalar definition is compiled without vectors, as it trades.
 * Correct   every kernel's answer is compared with the scalar one's, and that with sums made anew
 *           from legs and costs, before anything is timed.
 * Moves     the first falls when the rows leave a cache; the last follows the scheduler's noise.
 * usage: bench_scan full|smoke
 */
#include "harness.h"

#include <sys/mman.h>

#include "base/cpu.h"
#include "scan/table.h"
#include "tick/tick.h"

#define SWEEP_ROUNDS 9
#define TURNS 41        /* of a round, which is their median: one the scheduler took does not count */
#define NS_OF_TURN 100000
#define FRAME_TOKENS 2048
#define NOW UINT64_C(1000000000000)

#define REQUIRE(condition)                                                                  \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

static uint64_t seed = 88172645463325252ULL;

static uint32_t below(uint32_t n) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)((seed >> 11) % n);
}

/* ---- one arena at a time ---- */

static pa_arena *arena;
static scan_view v;
static uint64_t arena_bytes;

static void lay_out(uint32_t tokens, uint32_t relations, uint32_t legs) {
    uint32_t ring = 1;
    while (ring < relations) {
        ring *= 2;
    }
    const pa_arena_config config = {1, tokens, 4, 256 + tokens, relations, legs, ring};
    if (arena != NULL) {
        munmap(arena, arena_bytes);
    }
    REQUIRE(pa_arena_bytes(&config, &arena_bytes) == PA_OK);
    arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(arena != MAP_FAILED && pa_arena_init(arena, arena_bytes, &config, "bench", 1) == PA_OK);
    REQUIRE(pa_store_recover(arena, 0, NOW) == PA_OK && pa_scan_recover(arena) == PA_OK);
    for (uint32_t i = 0; i < tokens; ++i) {
        char token[16];
        uint32_t slot;
        const int n = snprintf(token, sizeof token, "%u", 1000000 + i);
        REQUIRE(pa_store_add(arena, token, (size_t)n, 100, NOW, &slot) == PA_OK && slot == i);
        REQUIRE(pa_store_set_fee(arena, slot, 0, 1) == PA_OK);
    }
    REQUIRE(open_view(arena, &v));
}

static void set_cost(uint32_t slot, uint32_t cost) {
    atomic_store_explicit(&v.books.costs[slot], cost, memory_order_relaxed);
}

/* `count` legs with different tokens, from `first` of `tokens` on. */
static void relate(uint32_t count, uint32_t first, uint32_t tokens, int32_t payoff_e6) {
    pa_scan_leg legs[PA_RELATION_LEGS_MAX];
    uint64_t id;
    for (uint32_t i = 0; i < count; ++i) {
        legs[i] = (pa_scan_leg){(first + i * (tokens / count)) % tokens, 1};
    }
    REQUIRE(pa_scan_add(arena, legs, count, payoff_e6, 0, NOW, &id) == PA_OK);
}

/* Each token in about two relations of 2..12 legs. */
static void universe(uint32_t tokens) {
    lay_out(tokens, tokens, 2 * tokens + 16);
    for (uint32_t slot = 0; slot < tokens; ++slot) {
        set_cost(slot, below(200) == 0 ? PA_COST_NONE : 80000 + below(40000));
    }
    for (uint32_t legs = 0; legs < 2 * tokens;) {
        pa_scan_leg chosen[12];
        const uint32_t count = 2 + below(11), first = below(tokens);
        int32_t payoff = 0;
        uint64_t id;
        for (uint32_t i = 0; i < count; ++i) {
            chosen[i] = (pa_scan_leg){(first + i * (1 + tokens / 29)) % tokens, 1 + below(3)};
            payoff += (int32_t)(chosen[i].weight * (85000 + below(9000)));
        }
        REQUIRE(pa_scan_add(arena, chosen, count, payoff, 0, NOW, &id) == PA_OK);
        legs += count;
    }
}

/* ---- the kernels ---- */

typedef struct contestant {
    const char *level;
    int runs;
    const scan_kernel *kernel;
    uint64_t (*read)(const void *words, size_t bytes); /* adds them up, a whole vector at a time */
} contestant;

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static uint64_t read_avx512(const void *words, size_t bytes) {
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    const char *p = words, *const end = p + bytes;
    for (; p + 256 <= end; p += 256) {
        a = _mm512_add_epi32(a, _mm512_loadu_si512(p));
        b = _mm512_add_epi32(b, _mm512_loadu_si512(p + 64));
        c = _mm512_add_epi32(c, _mm512_loadu_si512(p + 128));
        d = _mm512_add_epi32(d, _mm512_loadu_si512(p + 192));
    }
    for (; p + 64 <= end; p += 64) {
        a = _mm512_add_epi32(a, _mm512_loadu_si512(p));
    }
    a = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
    return (uint64_t)(uint32_t)_mm512_reduce_add_epi32(a);
}

__attribute__((target("avx2"))) static uint64_t read_avx2(const void *words, size_t bytes) {
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    const char *p = words, *const end = p + bytes;
    for (; p + 128 <= end; p += 128) {
        a = _mm256_add_epi32(a, _mm256_loadu_si256((const __m256i *)p));
        b = _mm256_add_epi32(b, _mm256_loadu_si256((const __m256i *)(p + 32)));
        c = _mm256_add_epi32(c, _mm256_loadu_si256((const __m256i *)(p + 64)));
        d = _mm256_add_epi32(d, _mm256_loadu_si256((const __m256i *)(p + 96)));
    }
    for (; p + 32 <= end; p += 32) {
        a = _mm256_add_epi32(a, _mm256_loadu_si256((const __m256i *)p));
    }
    a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
    uint32_t lanes[8], sum = 0;
    _mm256_storeu_si256((__m256i *)lanes, a);
    for (int i = 0; i < 8; ++i) {
        sum += lanes[i];
    }
    return sum;
}
#endif

static contestant CONTESTANTS[] = {
    {"scalar", 1, &PA_SCAN_SCALAR, NULL},
#if defined(__x86_64__)
    {"avx2", 0, &PA_SCAN_AVX2, read_avx2},
    {"avx512", 0, &PA_SCAN_AVX512, read_avx512},
#endif
};
enum { CONTESTANT_COUNT = sizeof CONTESTANTS / sizeof *CONTESTANTS };

/* What a contestant does over and over; the result depends on everything it saw. */
typedef uint64_t pass_fn(const contestant *c);

static uint32_t top_count;
static uint64_t tops[65536], bits[1024];
static uint32_t pairs[65536];

/* As sweep_rows of evaluate.c, which queues what it finds. */
static uint64_t pass_sweep(const contestant *c) {
    uint64_t found = 0, lanes[(PA_SCAN_PAGE_LANES + 63) / 64];
    for (uint32_t page = 0; page < v.scan->page_high; ++page) {
        const scan_lanes *const of = &v.lanes[page];
        const uint32_t blocks = (of->used + LANES - 1) / LANES;
        c->kernel->sweep(v.rows + (uint64_t)page * PA_SCAN_PAGE_ROWS * LANES, of->leg_count, blocks,
                         lanes);
        for (uint32_t word = 0; word < (blocks + 3) / 4; ++word) {
            for (; lanes[word] != 0; lanes[word] &= lanes[word] - 1) {
                found += 1;
            }
        }
    }
    return found;
}

static uint64_t pass_read(const contestant *c) {
    uint64_t sum = 0;
    for (uint32_t page = 0; page < v.scan->page_high; ++page) {
        const scan_lanes *const of = &v.lanes[page];
        const uint32_t blocks = (of->used + LANES - 1) / LANES;
        sum += c->read(v.rows + (uint64_t)page * PA_SCAN_PAGE_ROWS * LANES,
                       (size_t)blocks * (of->leg_count + 1) * PA_SCAN_ROW_BYTES);
    }
    return sum;
}

static uint64_t pass_crossed(const contestant *c) {
    c->kernel->crossed(tops, top_count, bits);
    return bits[0];
}

static uint64_t pass_mirror(const contestant *c) {
    c->kernel->mirror(tops, pairs, top_count, bits);
    return bits[0];
}

static uint64_t pass_read_tops(const contestant *c) {
    return c->read(tops, top_count * sizeof *tops);
}

/* ---- rounds ---- */

static double time_pass(pass_fn *pass, const contestant *c, uint64_t times) {
    uint64_t sink = 0;
    const uint64_t start = bench_now_ns();
    for (uint64_t i = 0; i < times; ++i) {
        sink += pass(c);
        __asm__ volatile("" : "+r"(sink) : : "memory");
    }
    const uint64_t elapsed = bench_now_ns() - start;
    atomic_fetch_add_explicit(&bench_sink, sink, memory_order_relaxed);
    return (double)elapsed / (double)times;
}

static void print_list(const char *name, const double *list) {
    printf(", \"%s\": [", name);
    for (int i = 0; i < SWEEP_ROUNDS; ++i) {
        printf("%s%.2f", i == 0 ? "" : ", ", list[i]);
    }
    printf("]");
}

/* One contestant, the scalar definition and reading, turn by turn; every other round backwards. */
static void compare(const char *what, const contestant *c, pass_fn *pass, pass_fn *read,
                    uint32_t tokens, uint64_t bytes, uint64_t relations) {
    double rounds[3][SWEEP_ROUNDS];
    const contestant *const who[3] = {c, &CONTESTANTS[0], c};
    pass_fn *const does[3] = {pass, pass, read};
    uint64_t times[3];
    for (int k = 0; k < 3; ++k) {
        double once = time_pass(does[k], who[k], 3);
        for (int i = 0; i < 3; ++i) { /* the first may have been disturbed */
            const double again = time_pass(does[k], who[k], 1 + (uint64_t)(NS_OF_TURN / once));
            once = again < once ? again : once;
        }
        times[k] = 1 + (uint64_t)(NS_OF_TURN / once);
    }
    for (int i = -1; i < SWEEP_ROUNDS; ++i) {
        double turns[3][TURNS];
        for (int turn = 0; turn < 3 * TURNS; ++turn) {
            const int k = i % 2 == 0 ? turn % 3 : 2 - turn % 3;
            turns[k][turn / 3] = time_pass(does[k], who[k], times[k]);
        }
        for (int k = 0; k < 3 && i >= 0; ++k) {
            qsort(turns[k], TURNS, sizeof **turns, bench_ascending);
            rounds[k][i] = turns[k][TURNS / 2];
        }
    }
    printf("%s\n  {\"what\": \"%s\", \"level\": \"%s\", \"tokens\": %u, \"bytes\": %llu, "
           "\"relations\": %llu",
           bench_separator, what, c->level, tokens, (unsigned long long)bytes,
           (unsigned long long)relations);
    bench_separator = ",";
    print_list("ours", rounds[0]);
    print_list("scalar", rounds[1]);
    print_list("reading", rounds[2]);
    printf("}");
}

/* One row of `run`, by turns as above: the median over the rounds of each one's median turn. */
static void alone(const char *name, bench_fn *run, const char *note) {
    double rounds[SWEEP_ROUNDS], turns[TURNS];
    uint64_t sink = run(FRAME_TOKENS);
    for (int i = -1; i < SWEEP_ROUNDS; ++i) {
        for (int turn = 0; turn < TURNS; ++turn) {
            const uint64_t start = bench_now_ns();
            sink += run(FRAME_TOKENS);
            turns[turn] = (double)(bench_now_ns() - start) / FRAME_TOKENS;
        }
        qsort(turns, TURNS, sizeof *turns, bench_ascending);
        rounds[i < 0 ? 0 : i] = turns[TURNS / 2];
    }
    atomic_fetch_add_explicit(&bench_sink, sink, memory_order_relaxed);
    qsort(rounds, SWEEP_ROUNDS, sizeof *rounds, bench_ascending);
    bench_print(name, 1, rounds, SWEEP_ROUNDS, note);
}

/* ---- are they right ---- */

static uint64_t violated_anew(void) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < v.scan->relation_high; ++i) {
        const scan_relation *const r = &v.relations[i];
        int64_t sum = 0;
        for (uint32_t k = r->first_leg; k != 0; k = v.legs[k - 1].next) {
            const uint32_t cost = cost_now(&v, v.legs[k - 1].slot);
            sum += cost == PA_COST_NONE ? INT64_C(1) << 40 : (int64_t)cost * v.legs[k - 1].weight;
        }
        found += sum < r->payoff_e6 - r->min_edge_e6;
    }
    return found;
}

static uint64_t row_bytes(void) {
    uint64_t bytes = 0;
    for (uint32_t page = 0; page < v.scan->page_high; ++page) {
        const uint32_t blocks = (v.lanes[page].used + LANES - 1) / LANES;
        bytes += (uint64_t)blocks * (v.lanes[page].leg_count + 1) * PA_SCAN_ROW_BYTES;
    }
    return bytes;
}

static void sweeps(uint32_t tokens, int full) {
    universe(tokens);
    const uint64_t anew = violated_anew();
    REQUIRE(anew > 0 || tokens < 5000);
    for (int i = 0; i < CONTESTANT_COUNT; ++i) {
        const contestant *const c = &CONTESTANTS[i];
        if (!c->runs) {
            continue;
        }
        REQUIRE(pass_sweep(c) == anew);
        if (i > 0 && full) {
            compare("sweep", c, pass_sweep, pass_read, tokens, row_bytes(), v.scan->relation_count);
        }
    }
    pa_swept swept;
    REQUIRE(pa_scan_sweep(arena, NOW, &swept) == PA_OK && swept.violated == anew && swept.wrong == 0);
}

static void scans_of_tops(uint32_t tokens, int full) {
    top_count = tokens;
    for (uint32_t i = 0; i < tokens; ++i) {
        const uint64_t bid = 1 + below(9990), ask = bid + 1 + below(9);
        tops[i] = i % 2 == 0 ? bid | ask << 14 : (10000 - (tops[i - 1] >> 14 & 0x3FFF)) |
                                                     (10000 - (tops[i - 1] & 0x3FFF)) << 14;
        tops[i] |= UINT64_C(1) << 28 | (uint64_t)below(1000000) << 32;
        pairs[i] = i ^ 1;
    }
    for (uint32_t i = 0; i < tokens; i += 997) {
        tops[i] ^= 1; /* a mirror broken, or a cross */
    }
    static uint64_t expected[2][1024];
    PA_SCAN_SCALAR.crossed(tops, top_count, expected[0]);
    PA_SCAN_SCALAR.mirror(tops, pairs, top_count, expected[1]);
    for (int i = 1; i < CONTESTANT_COUNT; ++i) {
        const contestant *const c = &CONTESTANTS[i];
        if (!c->runs) {
            continue;
        }
        (void)pass_crossed(c);
        REQUIRE(memcmp(bits, expected[0], (tokens + 63) / 64 * 8) == 0);
        (void)pass_mirror(c);
        REQUIRE(memcmp(bits, expected[1], (tokens + 63) / 64 * 8) == 0 && bits[0] != 0);
        if (full) {
            compare("crossed", c, pass_crossed, pass_read_tops, tokens, tokens * 8ULL, 0);
            compare("mirror", c, pass_mirror, pass_read_tops, tokens, tokens * 8ULL, 0);
        }
    }
}

/* ---- a frame's worth ---- */

static uint32_t order[FRAME_TOKENS], flip;

/* Cells and costs of one token, there and back; nothing is violated. */
static uint64_t changed(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        const uint32_t at = flip++, slot = order[at % FRAME_TOKENS];
        set_cost(slot, 500000 + (~at / FRAME_TOKENS & 1) * 10000);
        sum += pa_scan_changed(arena, &slot, 1, NOW);
    }
    return sum;
}

static uint64_t unchanged(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        const uint32_t slot = order[flip++ % FRAME_TOKENS];
        set_cost(slot, 500000);
        sum += pa_scan_changed(arena, &slot, 1, NOW);
    }
    return sum;
}

/* `each` relations of `legs` legs for every token but the last two, which have another. */
static void related(uint32_t each, uint32_t legs) {
    const uint32_t relations = each * FRAME_TOKENS / legs;
    lay_out(FRAME_TOKENS + 2, relations + 1, relations * legs + 2);
    for (uint32_t i = 0; i < FRAME_TOKENS + 2; ++i) {
        set_cost(i, 500000);
    }
    const pa_scan_leg others[] = {{FRAME_TOKENS, 1}, {FRAME_TOKENS + 1, 1}};
    uint64_t id;
    REQUIRE(pa_scan_add(arena, others, 2, 1, 0, NOW, &id) == PA_OK);
    for (uint32_t i = 0; i < relations; ++i) {
        relate(legs, i % (FRAME_TOKENS / legs), FRAME_TOKENS, 400000);
    }
    for (uint32_t i = 0; i < FRAME_TOKENS; ++i) {
        order[i] = i;
    }
    for (uint32_t i = FRAME_TOKENS - 1; i > 0; --i) {
        const uint32_t k = below(i + 1), keep = order[i];
        order[i] = order[k];
        order[k] = keep;
    }
    flip = 0;
}

static void frames(int full) {
    static const uint32_t EACH[] = {0, 1, 4, 16, 64};
    for (size_t i = 0; i < sizeof EACH / sizeof *EACH; ++i) {
        for (uint32_t legs = 4; legs <= (EACH[i] != 0 ? 32 : 4); legs *= 8) {
            char name[64];
            related(EACH[i], legs);
            (void)changed(2 * FRAME_TOKENS);
            uint64_t counters[PA_SCAN_COUNT];
            pa_scan_counters(arena, counters);
            REQUIRE(counters[PA_SCAN_EVALUATIONS] == 2 * EACH[i] * FRAME_TOKENS);
            (void)snprintf(name, sizeof name, "changed_cost_%u_relations_of_%u_legs", EACH[i], legs);
            if (full) {
                alone(name, changed, "2048 tokens in random order");
            }
            if (full && EACH[i] == 16 && legs == 4) {
                alone("unchanged_cost_16_relations_of_4_legs", unchanged, "none of them violated");
            }
        }
    }
}

/* ---- from a frame to the ring ---- */

#define MARKETS 128
#define SHOTS 200000
static char texts[MARKETS][2][512];
static uint32_t lengths[MARKETS][2];
static double taken_ns[SHOTS];

static uint32_t write_change(char *out, uint32_t market, const char *ask, const char *complement, const char *size) {
    return (uint32_t)snprintf(
        out, 512,
        "{\"market\":\"0x5f65177b394277fd294cd75650044e32ba009a95022d88a0c1d565897d72f8f1\",\"price_changes\":[{"
        "\"asset_id\":\"%u\",\"price\":\"%s\",\"size\":\"%s\",\"side\":\"SELL\"},{\"asset_id\":\"%u\",\"price\":\"%s\","
        "\"size\":\"%s\",\"side\":\"BUY\"}],\"timestamp\":\"1757908892351\",\"event_type\":\"price_change\"}",
        1000000 + 2 * market, ask, size, 1000001 + 2 * market, complement, size);
}

static void snapshot(uint32_t slot, const char *bid, const char *ask) {
    char text[512];
    const int n = snprintf(text, sizeof text,
                           "{\"event_type\":\"book\",\"asset_id\":\"%u\",\"bids\":[{\"price\":\"%s\",\"size\":\"50\"}],"
                           "\"asks\":[{\"price\":\"%s\",\"size\":\"50\"}]}", 1000000 + slot, bid, ask);
    REQUIRE(pa_tick(arena, (const uint8_t *)text, (size_t)n, NOW) == PA_OK);
}

/* Four YES of four markets pay 1 together; each costs 0.26 until one is offered at 0.2 for a frame. */
static void frame_to_ring(int full) {
    static pa_relation out;
    lay_out(2 * MARKETS, MARKETS, 4 * MARKETS);
    for (uint32_t m = 0; m < MARKETS; ++m) {
        REQUIRE(pa_store_pair(arena, 2 * m, 2 * m + 1) == PA_OK);
        snapshot(2 * m, "0.1", "0.26");
        snapshot(2 * m + 1, "0.74", "0.9");
        lengths[m][0] = write_change(texts[m][0], m, "0.2", "0.8", "30");
        lengths[m][1] = write_change(texts[m][1], m, "0.2", "0.8", "0");
    }
    for (uint32_t m = 0; m < MARKETS; ++m) {
        pa_scan_leg legs[4];
        uint64_t id;
        for (uint32_t i = 0; i < 4; ++i) {
            legs[i] = (pa_scan_leg){(2 * m + 2 * 31 * i) % (2 * MARKETS), 1};
        }
        REQUIRE(pa_scan_add(arena, legs, 4, 1000000, 0, NOW, &id) == PA_OK);
    }
    const uint32_t shots = full ? SHOTS : 1000;
    uint64_t seen = 0, clock = UINT64_MAX;
    for (int i = 0; i < 1000; ++i) {
        const uint64_t start = bench_now_ns(), ns = bench_now_ns() - start;
        clock = ns < clock ? ns : clock;
    }
    for (uint32_t i = 0; i < shots; ++i) {
        const uint32_t m = below(MARKETS);
        const uint64_t start = bench_now_ns();
        REQUIRE(pa_tick(arena, (const uint8_t *)texts[m][0], lengths[m][0], NOW) == PA_OK);
        taken_ns[i] = (double)(bench_now_ns() - start);
        REQUIRE(pa_report_of(arena)->opportunity_count == 4);
        while (pa_scan_next(arena, &out)) {
            REQUIRE(out.open && out.edge_e6 == 1000000 - 3 * 260000 - 200000);
            seen += 1;
        }
        REQUIRE(pa_tick(arena, (const uint8_t *)texts[m][1], lengths[m][1], NOW) == PA_OK);
        while (pa_scan_next(arena, &out)) {
            REQUIRE(!out.open && out.end == PA_END_PRICE);
        }
    }
    REQUIRE(seen == 4ULL * shots);
    qsort(taken_ns, shots, sizeof *taken_ns, bench_ascending);
    printf("%s\n  {\"what\": \"ring\", \"p50\": %.0f, \"p99\": %.0f, \"p999\": %.0f, \"clock\": %llu, "
           "\"shots\": %u}", bench_separator, taken_ns[shots / 2], taken_ns[shots / 100 * 99],
           taken_ns[shots / 1000 * 999], (unsigned long long)clock, shots);
    bench_separator = ",";
    /* The same frames with nothing to evaluate: what of it is decoding and books. */
    for (uint32_t i = 0; i < MARKETS; ++i) {
        REQUIRE(pa_scan_remove(arena, id_of(&v, &v.relations[i]), NOW, NULL) == PA_OK);
    }
    for (uint32_t i = 0; i < shots; ++i) {
        const uint32_t m = below(MARKETS);
        const uint64_t start = bench_now_ns();
        REQUIRE(pa_tick(arena, (const uint8_t *)texts[m][0], lengths[m][0], NOW) == PA_OK);
        taken_ns[i] = (double)(bench_now_ns() - start);
        REQUIRE(pa_report_of(arena)->opportunity_count == 0);
        REQUIRE(pa_tick(arena, (const uint8_t *)texts[m][1], lengths[m][1], NOW) == PA_OK);
    }
    qsort(taken_ns, shots, sizeof *taken_ns, bench_ascending);
    printf("%s\n  {\"what\": \"no_relations\", \"p50\": %.0f, \"p99\": %.0f, \"p999\": %.0f, \"clock\": %llu, "
           "\"shots\": %u}", bench_separator, taken_ns[shots / 2], taken_ns[shots / 100 * 99],
           taken_ns[shots / 1000 * 999], (unsigned long long)clock, shots);
}

int main(int argc, char **argv) {
    static const uint32_t TOKENS[] = {1000, 5000, 10000, 50000};
    const int full = argc > 1 && strcmp(argv[1], "full") == 0;
    for (int i = 1; i < CONTESTANT_COUNT; ++i) {
        CONTESTANTS[i].runs = pa_level_runs(i);
    }
    int level = PA_LEVEL_SCALAR;
    REQUIRE(pa_level_choose(NULL, &level) == PA_OK && pa_decode_init(level) == PA_OK);
    REQUIRE(pa_scan_init(level) == PA_OK);
    bench_begin("scan");
    for (size_t i = 0; i < sizeof TOKENS / sizeof *TOKENS; ++i) {
        sweeps(TOKENS[i], full);
        scans_of_tops(TOKENS[i], full);
    }
    frames(full);
    frame_to_ring(full);
    bench_end();
    return 0;
}
