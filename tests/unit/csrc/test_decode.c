/* Frames as each kernel reads them: every input ends on an unmapped page, is cut at every byte
 * and lies at every alignment. */
#include "base/cpu.h"
#include "check.h"
#include "decode/kernel.h"

static decode_fn *decode = pa_decode_scalar;
static pa_record records[64];
static pa_book_level levels[512];

static const char TOKEN[] =
    "64014407071173554650750271910505804043936597106769212755931625753599668120313";

static pa_decoded run(const uint8_t *frame, size_t bytes) {
    pa_decoded out = {.records = records, .record_capacity = 64,
                      .levels = levels, .level_capacity = 512};
    const pa_status status = decode(frame, bytes, &out);
    CHECK((status == PA_OK) == (out.bad == PA_BAD_NONE));
    return out;
}

static pa_decoded read_text(const char *text) {
    const size_t bytes = strlen(text);
    return run(memcpy(guarded(bytes), text, bytes), bytes);
}

/* A book of the venue's shape with `n` levels a side; returns its length. */
static size_t make_book(char *out, int n, const char *comma, const char *colon, const char *tail) {
    char *p = out;
    p += sprintf(p, "{\"market\"%s\"0x%064d\"%s\"asset_id\"%s\"%s\"%s\"timestamp\"%s\"1788786290337\"%s"
                    "\"hash\"%s\"544d8db4158166f4ff14b186c24de51774c84dd3\"%s\"bids\"%s[",
                 colon, 7, comma, colon, TOKEN, comma, colon, comma, colon, comma, colon);
    for (int side = 0; side < 2; ++side) {
        for (int i = 0; i < n; ++i) {
            p += sprintf(p, "%s{\"price\"%s\"0.%03d\"%s\"size\"%s\"%d.%d\"}", i > 0 ? comma : "", colon,
                         side == 0 ? i + 1 : 999 - i, comma, colon, i * i * 37, i % 7 + 1);
        }
        p += sprintf(p, side == 0 ? "]%s\"asks\"%s[" : "]%s%s", side == 0 ? comma : "",
                     side == 0 ? colon : tail);
    }
    return (size_t)(p - out);
}

static void a_book_is_read_level_by_level(void) {
    static const char *const COMMAS[] = {",", ", ", " , "}, *const COLONS[] = {":", ": ", " :\t"};
    static const char *const TAILS[] = {
        "}", ",\"event_type\":\"book\"}",
        ",\"tick_size\":\"0.001\",\"event_type\":\"book\",\"last_trade_price\":\"0.390\"}"};
    static char text[65536];
    for (int n = 0; n < 70; ++n) {
        for (int style = 0; style < 27; ++style) {
            const size_t bytes =
                make_book(text, n, COMMAS[style % 3], COLONS[style / 3 % 3], TAILS[style / 9]);
            const pa_decoded d = run(memcpy(guarded(bytes), text, bytes), bytes);
            CHECK(d.bad == PA_BAD_NONE && d.record_count == 1 && d.level_count == 2U * (uint32_t)n);
            CHECK(records[0].kind == PA_KIND_BOOK && records[0].token_bytes == 77);
            CHECK(records[0].bid_count == (uint32_t)n && records[0].ask_count == (uint32_t)n);
            CHECK(records[0].time_ms == 1788786290337 && (records[0].flags & PA_HAS_HASH) != 0);
            for (int i = 0; i < n; ++i) {
                const pa_book_level *bid = &levels[records[0].bid_first + (uint32_t)i];
                const pa_book_level *ask = &levels[records[0].ask_first + (uint32_t)i];
                CHECK(bid->price_e4 == 10 * (i + 1) && ask->price_e4 == 10 * (999 - i));
                CHECK(bid->size_e6 == i * i * INT64_C(37000000) + (i % 7 + 1) * 100000);
                CHECK(ask->size_e6 == bid->size_e6 && ask->reserved == 0);
            }
        }
    }
}

static void a_frame_cut_anywhere_is_refused_at_its_end(void) {
    static char text[65536];
    const size_t bytes = make_book(text, 12, ",", ":", ",\"event_type\":\"book\"}");
    for (size_t cut = 1; cut < bytes; ++cut) {
        const pa_decoded d = run(memcpy(guarded(cut), text, cut), cut);
        CHECK(d.bad == PA_BAD_END && d.bad_at == cut);
        CHECK(d.record_count == 0 && d.level_count == 0 && d.message_count == 0);
    }
    for (size_t shift = 1; shift < 64; ++shift) { /* any alignment */
        uint8_t *at = guarded(bytes + shift);
        memset(at + bytes, ' ', shift);
        CHECK(run(memcpy(at, text, bytes), bytes + shift).level_count == 24);
    }
}

static void a_change_is_read_in_every_spelling(void) {
    static const char *const FRAMES[] = {
        "{\"market\":\"0xab\",\"price_changes\":[{\"asset_id\":\"17\",\"price\":\"0.5\",\"size\":\"200.25\","
        "\"side\":\"SELL\",\"hash\":\"8f586c609394aa59b47792c3ade0ec455d30489c\",\"best_bid\":\"0.48\","
        "\"best_ask\":\"0.5\"}],\"timestamp\":\"1788786330404\",\"event_type\":\"price_change\"}",
        "{\"market\":\"0xab\", \"price_changes\":[{\"asset_id\":\"17\", \"price\":\"0.5\", \"size\":\"200.25\", "
        "\"side\":\"SELL\", \"hash\":\"8f586c609394aa59b47792c3ade0ec455d30489c\", \"best_bid\":\"0.48\", "
        "\"best_ask\":\"0.5\"}], \"timestamp\":\"1788786330404\", \"event_type\":\"price_change\"}",
        "{\"price_changes\":[{\"best_ask\":0.5,\"side\":\"sell\",\"size\":200.25,\"best_bid\":\".48\","
        "\"price\":\"0.50\",\"asset_id\":\"0017\",\"hash\":\"8f586c609394aa59b47792c3ade0ec455d30489c\"}],"
        "\"event_type\":\"price_change\",\"timestamp\":1788786330404}",
        "{\"event_type\":\"price_change\",\"asset_id\":\"17\",\"price\":\".5\",\"side\":\"SELL\",\"best_bid\":"
        "\"0.48\",\"best_ask\":\"0.5\",\"size\":\"200.250000\",\"timestamp\":\"1788786330404\",\"hash\":"
        "\"8f586c609394aa59b47792c3ade0ec455d30489c\"}",
        "[{\"asset_id\":\"17\",\"changes\":[{\"price\":\"0.5\",\"side\":\"SELL\",\"size\":\"200.25\",\"best_bid\":"
        "\"0.48\",\"best_ask\":\"0.5\"}],\"event_type\":\"price_change\",\"hash\":"
        "\"8f586c609394aa59b47792c3ade0ec455d30489c\",\"timestamp\":\"1788786330404\"}]"};
    for (size_t i = 0; i < sizeof FRAMES / sizeof *FRAMES; ++i) {
        const pa_decoded d = read_text(FRAMES[i]);
        const pa_record *r = &records[0];
        CHECK(d.bad == PA_BAD_NONE && d.record_count == 1 && r->kind == PA_KIND_CHANGE);
        CHECK(r->price_e4 == 5000 && r->size_e6 == 200250000 && r->side == PA_ASK);
        CHECK(r->best_bid_e4 == 4800 && r->best_ask_e4 == 5000 && r->time_ms == 1788786330404);
        CHECK(r->token_bytes == 2 && memcmp(FRAMES[i] + r->token_at, "17", 2) == 0);
        CHECK((r->flags & PA_HAS_HASH) != 0 && FRAMES[i][r->hash_at] == '8');
        CHECK(((r->flags & PA_HAS_FLAT) != 0) == (i == 3) &&
              ((r->flags & PA_HAS_CHANGES) != 0) == (i == 4));
    }
}

static void what_is_wrong_is_named_with_its_place(void) {
    static const struct {
        const char *text;
        int bad;
        const char *at; /* the offending byte starts this; NULL: the end */
    } CASES[] = {
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[{\"price\":\"0.12345\",\"size\":\"1\"}]}",
         PA_BAD_PRICE, "{\"price\":\"0.12345"},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[{\"price\":\"0\",\"size\":\"1\"}]}", PA_BAD_PRICE,
         "{\"price\":\"0\""},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"asks\":[[\"1\",\"1\"]]}", PA_BAD_PRICE, "[\"1\",\"1\"]"},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[{\"price\":\"0.5\",\"size\":\"-1\"}]}",
         PA_BAD_SIZE, "{\"price\":\"0.5\""},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[{\"price\":\"0.5\",\"size\":1e3}]}", PA_BAD_SIZE,
         "{\"price\":\"0.5\""},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[{\"price\":\"0.5\"}]}", PA_BAD_MISSING,
         "{\"price\":\"0.5\""},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[7]}", PA_BAD_LEVELS, "7]"},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":{}}", PA_BAD_LEVELS, "{}}"},
        {"{\"event_type\":\"book\",\"asset_id\":\"x\",\"bids\":[]}", PA_BAD_TOKEN, "\"x\""},
        {"{\"event_type\":\"book\",\"bids\":[]}", PA_BAD_MISSING, "{\"event_type"},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\"}", PA_BAD_MISSING, "{\"event_type"},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[],\"tick_size\":\"0.02\"}", PA_BAD_TICK, "\"0.02\""},
        {"{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[],\"timestamp\":\"soon\"}", PA_BAD_TIME, "\"soon\""},
        {"{\"event_type\":\"price_change\",\"price_changes\":[{\"asset_id\":\"1\",\"price\":\"0.5\",\"size\":\"1\","
         "\"side\":\"HOLD\"}]}", PA_BAD_SIDE, "\"HOLD\""},
        {"{\"event_type\":\"price_change\",\"price_changes\":[{\"price\":\"0.5\",\"size\":\"1\",\"side\":\"BUY\"}]}",
         PA_BAD_MISSING, "{\"event_type"},
        {"{\"event_type\":\"price_change\",\"price_changes\":[3]}", PA_BAD_LEVELS, "3]"},
        {"{\"event_type\":\"tick_size_change\",\"asset_id\":\"1\",\"new_tick_size\":\"0.3\"}", PA_BAD_TICK, "\"0.3\""},
        {"{\"a\":1,}", PA_BAD_SYNTAX, "}"},
        {"{\"a\":01}", PA_BAD_SYNTAX, "1}"},
        {"{\"a\":.5}", PA_BAD_SYNTAX, ".5"},
        {"{\"a\":NaN}", PA_BAD_SYNTAX, "NaN"},
        {"{\"a\":\"\\x\"}", PA_BAD_SYNTAX, "x\""},
        {"{\"a\":\"\n\"}", PA_BAD_SYNTAX, "\n"},
        {"{\"a\" 1}", PA_BAD_SYNTAX, "1}"},
        {"{a:1}", PA_BAD_SYNTAX, "a:1"},
        {"[1 2]", PA_BAD_SYNTAX, "2]"},
        {"{\"a\":\"\xff\"}", PA_BAD_UTF8, "\xff"},
        {"{\"a\":\"\xed\xa0\x80\"}", PA_BAD_UTF8, "\xed"},
        {"\xc0\xaf", PA_BAD_UTF8, "\xc0"},
        {"{} {}", PA_BAD_TRAILING, "{}"},
        {"[] x", PA_BAD_TRAILING, "x"},
        {"{\"winning_asset_id\":\"12", PA_BAD_END, NULL}, /* a fuzzer's: read past the end */
        {"{\"hash\":\"12\x01", PA_BAD_SYNTAX, "\x01"},
        {"{\"a\":\"\\u12", PA_BAD_END, NULL},
        {"{\"a\":tru", PA_BAD_END, NULL},
        {"[{}", PA_BAD_END, NULL},
        {"[", PA_BAD_END, NULL},
        {"{", PA_BAD_END, NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; ++i) {
        const pa_decoded d = read_text(CASES[i].text);
        const char *last = CASES[i].text, *at = NULL;
        while (CASES[i].at != NULL && (last = strstr(last, CASES[i].at)) != NULL) {
            at = last++; /* the last one */
        }
        const size_t expected = at != NULL ? (size_t)(at - CASES[i].text) : strlen(CASES[i].text);
        if (d.bad != (uint32_t)CASES[i].bad || d.bad_at != expected) {
            fprintf(stderr, "%s: %s at %u, expected %s at %zu\n", CASES[i].text,
                    pa_bad_name((int)d.bad), d.bad_at, pa_bad_name(CASES[i].bad), expected);
            exit(1);
        }
        CHECK(d.record_count == 0 && d.level_count == 0);
    }
}

static void what_nobody_needs_may_be_anything(void) {
    static const char *const FRAMES[] = {
        "{\"event_type\":\"other\",\"price\":{},\"size\":[1],\"asset_id\":true,\"bids\":7,\"tick_size\":\"x\"}",
        "{\"event_type\":\"new_market\",\"price\":\"abc\",\"assets_ids\":null,\"timestamp\":\"now\"}",
        "{\"event_type\":\"best_bid_ask\",\"asset_id\":\"1\",\"size\":\"-\",\"side\":7}", "{}", "{\"x\":[[[{}]]]}"};
    for (size_t i = 0; i < sizeof FRAMES / sizeof *FRAMES; ++i) {
        CHECK(read_text(FRAMES[i]).bad == PA_BAD_NONE);
    }
    const pa_decoded d = read_text("{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[],\"new\":1,\"x\":[]}");
    CHECK(d.skipped == 2);
}

static void texts_are_no_faults(void) {
    static const struct {
        const char *text;
        uint32_t kind;
    } CASES[] = {{"PONG", PA_KIND_PONG},        {"PONG\n", PA_KIND_PONG}, {"NO NEW ASSETS", PA_KIND_TEXT},
                 {"INVALID", PA_KIND_TEXT},     {"", PA_KIND_TEXT},       {" \r\n", PA_KIND_TEXT},
                 {"\xe2\x82\xac", PA_KIND_TEXT}, {"123", PA_KIND_TEXT}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; ++i) {
        const pa_decoded d = read_text(CASES[i].text);
        CHECK(d.bad == PA_BAD_NONE && d.record_count == 1 && records[0].kind == CASES[i].kind);
    }
    const pa_decoded d = read_text("[]");
    CHECK(d.bad == PA_BAD_NONE && d.record_count == 0 && d.message_count == 0);
}

static void nesting_ends_at_its_bound(void) {
    char text[2 * PA_NEST_MAX + 64];
    for (int deep = PA_NEST_MAX - 3; deep < PA_NEST_MAX + 3; ++deep) {
        char *p = text + sprintf(text, "{\"a\":");
        memset(p, '[', (size_t)deep);
        memset(p + deep, ']', (size_t)deep);
        memcpy(p + 2 * deep, "}", 2);
        CHECK(read_text(text).bad == (deep < PA_NEST_MAX ? PA_BAD_NONE : PA_BAD_NESTING));
    }
}

static void buffers_bound_what_is_taken(void) {
    static char text[65536];
    const size_t bytes = make_book(text, 30, ",", ":", "}");
    const uint8_t *frame = memcpy(guarded(bytes), text, bytes);
    for (uint32_t capacity = 0; capacity < 61; ++capacity) {
        pa_book_level *room = (void *)guarded(capacity * sizeof *room);
        pa_decoded out = {.records = records, .record_capacity = 1, .levels = room,
                          .level_capacity = capacity};
        const pa_status status = decode(frame, bytes, &out);
        CHECK(status == (capacity < 60 ? PA_E_CAPACITY : PA_OK));
        CHECK(out.bad == (capacity < 60 ? PA_BAD_CAPACITY : PA_BAD_NONE));
    }
    pa_decoded none = {.levels = levels, .level_capacity = 512};
    CHECK(decode(frame, bytes, &none) == PA_E_CAPACITY && none.record_count == 0);
}

static void markets_name_all_their_tokens(void) {
    pa_decoded d = read_text("{\"event_type\":\"market_resolved\",\"assets_ids\":[\"11\",\"22\"],"
                             "\"winning_asset_id\":\"22\",\"timestamp\":\"5\"}");
    CHECK(d.record_count == 2 && d.message_count == 1);
    CHECK((records[0].flags & PA_HAS_WINNER) == 0 && (records[1].flags & PA_HAS_WINNER) != 0);
    d = read_text("[{\"event_type\":\"book\",\"asset_id\":\"1\",\"bids\":[]},3,"
                  "{\"type\":\"orderbook\",\"token_id\":9,\"bids\":[[0.5,10]],\"asks\":[]}]");
    CHECK(d.bad == PA_BAD_NONE && d.message_count == 3 && d.record_count == 3);
    CHECK(records[1].kind == PA_KIND_UNKNOWN && records[2].kind == PA_KIND_BOOK);
    CHECK((records[2].flags & PA_HAS_PLAIN) != 0 && records[2].bid_count == 1);
    CHECK(levels[records[2].bid_first].price_e4 == 5000);
}

int main(void) {
    for (int level = 0; level < PA_LEVEL_COUNT; ++level) {
        if (!pa_level_runs(level)) {
            printf("%s: this machine has none\n", pa_level_name(level));
            continue;
        }
        CHECK(pa_decode_init(level) == PA_OK);
        decode = pa_decode;
        a_book_is_read_level_by_level();
        a_frame_cut_anywhere_is_refused_at_its_end();
        a_change_is_read_in_every_spelling();
        what_is_wrong_is_named_with_its_place();
        what_nobody_needs_may_be_anything();
        texts_are_no_faults();
        nesting_ends_at_its_bound();
        buffers_bound_what_is_taken();
        markets_name_all_their_tokens();
        printf("%s ok\n", pa_level_name(level));
    }
    CHECK(pa_kind_name(-1) == NULL && pa_kind_name(PA_KIND_COUNT) == NULL);
    CHECK(pa_bad_name(-1) == NULL && pa_bad_name(PA_BAD_COUNT) == NULL);
    puts("decode: ok");
    return 0;
}
