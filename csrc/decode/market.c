#include "decode/market.h"

#include <string.h>

#include "base/cpu.h"
#include "decode/kernel.h"

static decode_fn *decode = pa_decode_scalar; /* written before start only */

static const char *const KINDS[PA_KIND_COUNT] = {
    [PA_KIND_BOOK] = "book",
    [PA_KIND_CHANGE] = "price_change",
    [PA_KIND_TRADE] = "last_trade_price",
    [PA_KIND_TICK] = "tick_size_change",
    [PA_KIND_BEST] = "best_bid_ask",
    [PA_KIND_NEW_MARKET] = "new_market",
    [PA_KIND_RESOLVED] = "market_resolved",
    [PA_KIND_SUBSCRIBED] = "subscribed",
    [PA_KIND_ERROR] = "error",
    [PA_KIND_PONG] = "pong",
    [PA_KIND_TEXT] = "text",
    [PA_KIND_UNKNOWN] = "unknown",
};

static const char *const BADS[PA_BAD_COUNT] = {
    [PA_BAD_NONE] = "none",         [PA_BAD_SYNTAX] = "syntax",     [PA_BAD_END] = "end",
    [PA_BAD_TRAILING] = "trailing", [PA_BAD_UTF8] = "utf8",         [PA_BAD_NESTING] = "nesting",
    [PA_BAD_TOKEN] = "token",       [PA_BAD_PRICE] = "price",       [PA_BAD_SIZE] = "size",
    [PA_BAD_SIDE] = "side",         [PA_BAD_TICK] = "tick",         [PA_BAD_TIME] = "time",
    [PA_BAD_MISSING] = "missing",   [PA_BAD_LEVELS] = "levels",     [PA_BAD_CAPACITY] = "capacity",
    [PA_BAD_TOO_LONG] = "too_long",
};

const char *pa_kind_name(int kind) {
    return kind >= 0 && kind < PA_KIND_COUNT ? KINDS[kind] : NULL;
}

const char *pa_bad_name(int bad) {
    return bad >= 0 && bad < PA_BAD_COUNT ? BADS[bad] : NULL;
}

pa_status pa_decode(const uint8_t *frame, size_t bytes, pa_decoded *out) {
    return decode(frame, bytes, out);
}

/* What a kernel could get wrong: every length of price and size, both spellings of white
 * space, the change from one to the other, escapes, and the last bytes of a frame. */
static const char *const SAMPLES[] = {
    ("{\"market\":\"0x677483d4868b5d64d779100345df9cf1ac598cc6eef0c73c7df9cba24be52552\","
    "\"asset_id\":\"64014407071173554650750271910505804043936597106769212755931625753599668120313\""
    ",\"timestamp\":\"1751514774535\",\"hash\":\"544d8db4158166f4ff14b186c24de51774c84dd3\","
    "\"bids\":[{\"price\":\"0.1\",\"size\":\"7\"},{\"price\":\"0.02\",\"size\":\"530.25\"},"
    "{\"price\":\"0.003\",\"size\":\"1234567890.123456\"},{\"price\":\"0.0041\",\"size\":\".5\"},"
    "{\"price\":\".05\",\"size\":\"12345678901.5\"},{\"price\":\"0.06\",\"size\":\"8.0000000\"}],"
    "\"asks\":[{\"price\":\"0.99\", \"size\":\"1352.02\"}, {\"price\":\"0.98\", \"size\":\"53\"}, "
    "{\"price\": \"0.97\", \"size\": \"105\"}, {\"size\":\"330\",\"price\":\"0.96\"}],"
    "\"tick_size\":\"0.0001\",\"event_type\":\"book\",\"last_trade_price\":\"0.390\"}"),
    ("{\"market\":\"0xab\",\"price_changes\":[{\"asset_id\":\"11222277780\",\"price\":\"0.09\","
    "\"size\":\"12.5\",\"side\":\"BUY\",\"hash\":\"8f586c609394aa59b47792c3ade0ec455d30489c\","
    "\"best_bid\":\"0.37\",\"best_ask\":\"0.38\"},{\"asset_id\":\"114\",\"price\":0.91,\"size\":0,"
    "\"side\":\"SELL\",\"note\":\"a \\\"quoted\\\" text of more than one window, and its \\u20ac, "
    "and \xe2\x82\xac\"}],\"timestamp\":1788786330404,\"event_type\":\"price_change\"}"),
    ("{\"market\":\"0x677483d4868b5d64d779100345df9cf1ac598cc6eef0c73c7df9cba24be52552\","
    "\"price_changes\":[{\"asset_id\":"
    "\"64014407071173554650750271910505804043936597106769212755931625753599668120313\","
    "\"price\":\"0.75\",\"size\":\"144\",\"side\":\"SELL\",\"hash\":"
    "\"544d8db4158166f4ff14b186c24de51774c84dd3\",\"best_bid\":\"0.31\",\"best_ask\":\"0.33\"},"
    "{\"asset_id\":\"112222\",\"price\":\"0.2501\",\"size\":\"1234567890.12345\",\"side\":\"BUY\","
    "\"hash\":\"8f586c609394aa59b47792c3ade0ec455d30489c\",\"best_bid\":\"0.6\",\"best_ask\":"
    "\"0.699\"}],\"timestamp\":\"1788786290338\",\"event_type\":\"price_change\"}"),
    ("[{\"event_type\":\"book\",\"asset_id\":\"5\",\"bids\":[{\"price\":\"0.5\",\"size\":\"1e3\"}],"
    "\"asks\":[],\"timestamp\":\"1\",\"padding\":\"                                          \"}]"),
};

static int agrees(decode_fn *chosen, const uint8_t *frame, size_t bytes) {
    pa_record expected_records[4], got_records[4];
    pa_book_level expected_levels[16], got_levels[16];
    pa_decoded expected = {.records = expected_records, .levels = expected_levels,
                           .record_capacity = 4, .level_capacity = 16};
    pa_decoded got = {.records = got_records, .levels = got_levels,
                      .record_capacity = 4, .level_capacity = 16};
    return pa_decode_scalar(frame, bytes, &expected) == chosen(frame, bytes, &got) &&
           expected.bad == got.bad && expected.bad_at == got.bad_at &&
           expected.record_count == got.record_count && expected.skipped == got.skipped &&
           expected.level_count == got.level_count &&
           memcmp(expected_records, got_records, got.record_count * sizeof(pa_record)) == 0 &&
           memcmp(expected_levels, got_levels, got.level_count * sizeof(pa_book_level)) == 0;
}

pa_status pa_decode_init(int level) {
    decode_fn *chosen = pa_decode_scalar;
#if defined(__x86_64__)
    if (level >= PA_LEVEL_AVX2) {
        chosen = pa_decode_avx2;
    }
#else
    (void)level;
#endif
    for (size_t i = 0; i < sizeof SAMPLES / sizeof *SAMPLES; ++i) {
        const size_t bytes = strlen(SAMPLES[i]);
        for (size_t cut = bytes > 80 ? bytes - 80 : 0; cut <= bytes; ++cut) {
            if (!agrees(chosen, (const uint8_t *)SAMPLES[i], cut)) {
                return PA_E_SELFTEST;
            }
        }
    }
    decode = chosen;
    return PA_OK;
}
