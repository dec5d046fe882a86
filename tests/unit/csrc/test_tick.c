/* A frame, or a read's worth of frames, into the books. */
#include "check.h"
#include "tick/tick.h"

static pa_arena *arena;
static uint64_t now = 1000;

static void fresh(void) {
    const pa_arena_config config = {1, 2048, 4, 1024, 0, 0, 0};
    uint64_t bytes;
    uint32_t slot;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = guarded(bytes);
    CHECK(pa_arena_init(block, bytes, &config, "test", 1) == PA_OK);
    arena = (pa_arena *)block;
    CHECK(pa_store_recover(arena, 0, now) == PA_OK);
    CHECK(pa_store_add(arena, "1", 1, 100, now, &slot) == PA_OK && slot == 0);
    CHECK(pa_store_add(arena, "2", 1, 100, now, &slot) == PA_OK && slot == 1);
    CHECK(pa_store_pair(arena, 0, 1) == PA_OK);
}

static pa_status tick(const char *text) {
    const size_t bytes = strlen(text);
    return pa_tick(arena, memcpy(guarded(bytes), text, bytes), bytes, ++now);
}

static pa_book_top top(uint32_t slot) {
    pa_book_top out;
    CHECK(pa_store_read(arena, slot, &out) == PA_OK);
    return out;
}

static uint64_t counted(pa_counter which) {
    uint64_t counters[PA_COUNT_COUNT];
    pa_episodes episodes[PA_STATE_COUNT];
    pa_store_counters(arena, counters, episodes);
    return counters[which];
}

#define YES "{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[{\"price\":\"0.4\",\"size\":\"3\"}],"  \
            "\"asks\":[{\"price\":\"0.6\",\"size\":\"2\"}],\"timestamp\":\"50\"}"
#define NO "{\"event_type\":\"book\",\"asset_id\":\"2\",\"bids\":[{\"price\":\"0.4\",\"size\":\"2\"}],"   \
           "\"asks\":[{\"price\":\"0.6\",\"size\":\"3\"}],\"timestamp\":\"50\"}"

static void warm(void) {
    fresh();
    CHECK(top(0).state == PA_STATE_WARMING);
    CHECK(tick("[" YES "," NO "]") == PA_OK);
    CHECK(top(0).state == PA_STATE_LIVE && top(1).state == PA_STATE_LIVE);
}

static void a_frame_is_applied_whole_or_not_at_all(void) {
    warm();
    const pa_book_top before = top(0);
    CHECK(tick("[{\"event_type\":\"price_change\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":\"0.41\","
               "\"size\":\"9\",\"side\":\"BUY\"}]},{\"event_type\":\"book\",\"asset_id\":\"2\",\"bids\":[{]}]") ==
          PA_E_MALFORMED);
    const pa_report *r = pa_report_of(arena);
    CHECK(r->rejected == 1 && r->frames == 1 && r->changed_count == 0 && r->records == 0);
    CHECK(r->bad == PA_BAD_SYNTAX && r->rejected_by[PA_BAD_SYNTAX] == 1 && r->bad_at > 0);
    const pa_book_top after = top(0);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK(counted(PA_COUNT_FRAMES_REJECTED) == 1);
}

static void both_entries_belong_together(void) {
    warm();
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"51\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.41\",\"size\":\"9\",\"side\":\"BUY\",\"best_bid\":\"0.41\",\"best_ask\":\"0.6\"},{\"asset_id\":\"2\","
               "\"price\":\"0.59\",\"size\":\"9\",\"side\":\"SELL\",\"best_bid\":\"0.4\",\"best_ask\":\"0.59\"}]}") == PA_OK);
    CHECK(top(0).state == PA_STATE_LIVE && top(0).bid_e4 == 4100 && top(1).ask_e4 == 5900);
    CHECK(pa_report_of(arena)->changed_count == 2 && counted(PA_COUNT_MIRROR_MISMATCHES) == 0);
    /* One of them alone is a mismatch of both, until the other comes. */
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"52\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.41\",\"size\":\"8\",\"side\":\"BUY\"}]}") == PA_OK);
    CHECK(top(0).state == PA_STATE_MIRROR && top(1).state == PA_STATE_MIRROR);
    CHECK(top(1).since_ns == now && counted(PA_COUNT_MIRROR_MISMATCHES) == 1);
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"52\",\"price_changes\":[{\"asset_id\":\"2\",\"price\":"
               "\"0.59\",\"size\":\"8\",\"side\":\"SELL\"}]}") == PA_OK);
    CHECK(top(0).state == PA_STATE_LIVE && top(1).state == PA_STATE_LIVE);
}

static void checks_set_and_clear_states(void) {
    warm();
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"51\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.6\",\"size\":\"1\",\"side\":\"BUY\"},{\"asset_id\":\"2\",\"price\":\"0.4\",\"size\":\"1\",\"side\":\"SELL\"}]}") ==
          PA_OK);
    CHECK(top(0).state == PA_STATE_CROSSED && top(1).state == PA_STATE_CROSSED);
    CHECK(counted(PA_COUNT_CROSSED_BOOKS) == 2);
    uint32_t from = 0, slots[4], count;
    CHECK(pa_store_failing(arena, now + 1, 0, &from, slots, 4, &count) == PA_OK && count == 2);
    from = 0;
    CHECK(pa_store_failing(arena, now, 0, &from, slots, 4, &count) == PA_OK && count == 0);
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"52\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.6\",\"size\":\"0\",\"side\":\"BUY\",\"best_bid\":\"0.39\",\"best_ask\":\"0.6\"},{\"asset_id\":\"2\",\"price\":"
               "\"0.4\",\"size\":\"0\",\"side\":\"SELL\"}]}") == PA_OK);
    CHECK(top(0).state == PA_STATE_TOP && top(1).state == PA_STATE_LIVE);
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"53\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.3\",\"size\":\"5\",\"side\":\"BUY\",\"best_bid\":\"0.4\",\"best_ask\":\"0.6\"},{\"asset_id\":\"2\",\"price\":"
               "\"0.7\",\"size\":\"5\",\"side\":\"SELL\"}]}") == PA_OK);
    CHECK(top(0).state == PA_STATE_LIVE);
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"54\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.301\",\"size\":\"5\",\"side\":\"BUY\"}]}") == PA_OK);
    CHECK(top(0).state == PA_STATE_GAP && counted(PA_COUNT_OFF_TICK) == 1);
    CHECK(tick("{\"event_type\":\"tick_size_change\",\"asset_id\":\"1\",\"new_tick_size\":\"0.001\"}") == PA_OK);
    CHECK(top(0).state == PA_STATE_TICK && top(0).bid_e4 == 0);
    CHECK(pa_report_of(arena)->notice_count == 1);
    CHECK(tick(YES) == PA_OK && top(0).state == PA_STATE_MIRROR); /* NO has a level more */
    CHECK(pa_store_mark(arena, 0, PA_STATE_FROZEN, ++now) == PA_OK && top(0).state == PA_STATE_FROZEN);
    CHECK(pa_store_clear(arena, 0, PA_STATE_FROZEN, ++now) == PA_OK && top(0).state == PA_STATE_MIRROR);
    CHECK(tick("{\"event_type\":\"market_resolved\",\"assets_ids\":[\"1\",\"2\"],\"winning_asset_id\":\"1\"}") == PA_OK);
    CHECK(top(0).state == PA_STATE_RESOLVED && counted(PA_COUNT_RESOLVED) == 2);
    CHECK(tick(YES) == PA_OK && top(0).state == PA_STATE_RESOLVED);
}

static void times_decide_what_is_old(void) {
    warm();
    CHECK(tick("{\"event_type\":\"price_change\",\"timestamp\":\"49\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":"
               "\"0.41\",\"size\":\"9\",\"side\":\"BUY\"}]}") == PA_OK);
    CHECK(top(0).bid_e4 == 4000 && counted(PA_COUNT_DELTAS_OLD) == 1);
    CHECK(tick("{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[],\"asks\":[],\"timestamp\":\"49\"}") == PA_OK);
    CHECK(top(0).bid_e4 == 4000 && counted(PA_COUNT_SNAPSHOT_REJECTS) == 1);
    CHECK(pa_store_reset(arena, 0, ++now) == PA_OK && top(0).state == PA_STATE_WARMING);
    CHECK(tick("{\"asset_id\":\"1\",\"bids\":[],\"asks\":[],\"timestamp\":\"49\"}") == PA_OK); /* REST */
    CHECK(top(0).state == PA_STATE_MIRROR && top(0).time_ms == 49);
    CHECK(counted(PA_COUNT_DELTAS_IGNORED) == 0 && tick("{\"event_type\":\"price_change\",\"asset_id\":\"7\","
          "\"price\":\"0.5\",\"side\":\"BUY\",\"size\":\"1\"}") == PA_OK);
    CHECK(counted(PA_COUNT_UNKNOWN_TOKENS) == 1);
}

static void a_restart_proves_every_book_again(void) {
    warm();
    CHECK(pa_store_recover(arena, 0, ++now) == PA_OK);
    CHECK(top(0).state == PA_STATE_STALE && top(0).bid_e4 == 4000);
    CHECK(tick("[" YES "," NO "]") == PA_OK && top(0).state == PA_STATE_LIVE);
    pa_store_info info;
    pa_store_read_info(arena, &info);
    CHECK(info.live_count == 2 && info.recovered == 0);
}

static size_t frame(uint8_t *out, const char *text) {
    const size_t n = strlen(text);
    out[0] = 0x81;
    if (n < 126) {
        out[1] = (uint8_t)n;
        memcpy(out + 2, text, n);
        return n + 2;
    }
    out[1] = 126, out[2] = (uint8_t)(n >> 8), out[3] = (uint8_t)n;
    memcpy(out + 4, text, n);
    return n + 4;
}

static void a_read_is_one_call(void) {
    fresh();
    static uint8_t wire[1 << 16];
    size_t n = frame(wire, YES);
    n += frame(wire + n, "PONG");
    n += frame(wire + n, "{\"event_type\":\"book\"");
    n += frame(wire + n, NO);
    for (size_t cut = 0; cut <= n; ++cut) {
        uint8_t *buffer = guarded(PA_BUFFER_MIN);
        pa_splitter s = {.buffer = buffer, .capacity = PA_BUFFER_MIN};
        uint32_t frames = 0, rejected = 0, pongs = 0;
        const size_t parts[2] = {cut, n - cut};
        for (int i = 0; i < 2; ++i) {
            memcpy(buffer + s.tail, wire + (i == 0 ? 0 : cut), parts[i]);
            CHECK(pa_stream(arena, &s, (uint32_t)parts[i], ++now) == PA_OK);
            const pa_report *r = pa_report_of(arena);
            frames += r->frames, rejected += r->rejected, pongs += r->pong_count;
            CHECK(r->notice_count == 0 && s.head == 0);
        }
        CHECK(frames == 4 && rejected == 1 && pongs == 1 && s.tail == 0);
        CHECK(top(0).state == PA_STATE_LIVE && top(1).state == PA_STATE_LIVE);
    }
    pa_splitter s = {.buffer = guarded(PA_BUFFER_MIN), .capacity = PA_BUFFER_MIN};
    CHECK(pa_stream(arena, &s, PA_BUFFER_MIN + 1, now) == PA_E_RANGE);
}

static void notices_keep_their_bytes_and_end(void) {
    fresh();
    uint8_t *buffer = guarded(65536);
    pa_splitter s = {.buffer = buffer, .capacity = 65536};
    size_t n = 0;
    for (int i = 0; i < 200; ++i) {
        buffer[n++] = 0x89; /* pings */
        buffer[n++] = 0;
        n += frame(buffer + n, "NO NEW ASSETS");
    }
    n += frame(buffer + n, YES);
    uint32_t raw = 0, text = 0, calls = 0, received = (uint32_t)n;
    const pa_report *r = pa_report_of(arena);
    do {
        CHECK(pa_stream(arena, &s, received, ++now) == PA_OK);
        for (uint32_t i = 0; i < r->notice_count; ++i) {
            raw += r->notices[i].kind == PA_RAW;
            text += r->notices[i].kind == 1 + PA_KIND_TEXT;
            CHECK(r->notices[i].kind == PA_RAW ? buffer[r->notices[i].at] == 0x89
                                               : buffer[r->notices[i].at] == 'N');
        }
        pa_split_compact(&s);
        received = 0;
        ++calls;
    } while (r->more);
    CHECK(raw == 200 && text == 200 && calls > 1 && s.tail == 0 && top(0).state == PA_STATE_LIVE);
}

static void many_books_in_one_frame(void) {
    fresh();
    static char text[1 << 20];
    size_t n = 0;
    uint32_t slot = 0;
    for (int i = 0; i < 2000; ++i) {
        char token[16];
        sprintf(token, "%d", 1000 + i);
        CHECK(pa_store_add(arena, token, strlen(token), 0, now, &slot) == PA_OK);
        n += (size_t)snprintf(text + n, sizeof text - n, "%c{\"event_type\":\"book\",\"asset_id\":\"%s\",\"bids\":[{\"price\":\"0.%d\",\"size\":\"1\"}],"
                        "\"asks\":[]}", i == 0 ? '[' : ',', token, 1 + i % 9);
    }
    strcpy(text + n, "]");
    CHECK(tick(text) == PA_OK);
    const pa_report *r = pa_report_of(arena);
    CHECK(r->records == 2000 && r->changed_count == PA_CHANGED_MAX);
    CHECK(r->changed_lost == 2000 - PA_CHANGED_MAX);
    CHECK(top(slot).state == PA_STATE_LIVE && top(slot).bid_e4 == 1000 * (1 + 1999 % 9));
}

int main(void) {
    a_frame_is_applied_whole_or_not_at_all();
    both_entries_belong_together();
    checks_set_and_clear_states();
    times_decide_what_is_old();
    a_restart_proves_every_book_again();
    a_read_is_one_call();
    notices_keep_their_bytes_and_end();
    many_books_in_one_frame();
    const pa_arena_config none = {.histogram_count = 1};
    uint64_t bytes;
    CHECK(pa_arena_bytes(&none, &bytes) == PA_OK);
    pa_arena *without = (pa_arena *)guarded(bytes);
    CHECK(pa_arena_init(without, bytes, &none, "test", 1) == PA_OK);
    CHECK(pa_tick(without, (const uint8_t *)"{}", 2, 1) == PA_E_RANGE && pa_report_of(without) == NULL);
    puts("tick: ok");
    return 0;
}
