/* Any bytes as a frame: both kernels agree in every field, nothing is read past the end (the
 * sanitizer guards it), offsets stay inside the frame, and small buffers are respected.
 * Input: the frame's bytes. */
#include "base/cpu.h"
#include "check.h"
#include "decode/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS 64
#define LEVELS 256

typedef struct run {
    pa_record records[RECORDS + 1];
    pa_book_level levels[LEVELS + 1];
    pa_decoded out;
    pa_status status;
} run;

static void decode_with(decode_fn *decode, const uint8_t *data, size_t size, run *r) {
    memset(r->records, 0xA5, sizeof r->records);
    memset(r->levels, 0xA5, sizeof r->levels);
    r->out = (pa_decoded){.records = r->records, .levels = r->levels,
                          .record_capacity = RECORDS, .level_capacity = LEVELS};
    r->status = decode(data, size, &r->out);
    for (size_t i = 0; i < sizeof(pa_record); ++i) {
        CHECK(((uint8_t *)&r->records[RECORDS])[i] == 0xA5);
    }
    CHECK(r->levels[LEVELS].size_e6 == (int64_t)0xA5A5A5A5A5A5A5A5);
}

static void check_sound(const run *r, size_t size) {
    CHECK(r->status == PA_OK || r->status == PA_E_MALFORMED || r->status == PA_E_CAPACITY);
    CHECK((r->status == PA_OK) == (r->out.bad == PA_BAD_NONE));
    CHECK(r->out.bad < PA_BAD_COUNT && r->out.bad_at <= size);
    CHECK(r->status == PA_OK || r->out.record_count + r->out.level_count == 0);
    for (uint32_t i = 0; i < r->out.record_count; ++i) {
        const pa_record *x = &r->records[i];
        CHECK(x->kind < PA_KIND_COUNT && x->side < PA_SIDE_COUNT);
        CHECK(x->token_bytes <= PA_TOKEN_TEXT_MAX && x->token_at + x->token_bytes <= size);
        CHECK(x->market_at + (size_t)x->market_bytes <= size);
        CHECK((x->flags & PA_HAS_HASH) == 0 || x->hash_at + (size_t)PA_HASH_TEXT <= size);
        CHECK(x->at + (size_t)x->bytes <= size && x->message < r->out.message_count);
        CHECK(x->bid_first + x->bid_count <= r->out.level_count);
        CHECK(x->ask_first + x->ask_count <= r->out.level_count);
        CHECK(x->size_e6 >= 0 && x->size_e6 <= PA_SIZE_MAX_E6);
        if (x->kind == PA_KIND_CHANGE) {
            CHECK(x->price_e4 > 0 && x->price_e4 < PA_PRICE_ONE_E4 && x->token_bytes > 0);
        }
    }
    for (uint32_t i = 0; i < r->out.level_count; ++i) {
        CHECK(r->levels[i].price_e4 > 0 && r->levels[i].price_e4 < PA_PRICE_ONE_E4);
        CHECK(r->levels[i].size_e6 >= 0 && r->levels[i].reserved == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static run scalar, wide;
    decode_with(pa_decode_scalar, data, size, &scalar);
    check_sound(&scalar, size);
#if defined(__x86_64__)
    if (!pa_level_runs(PA_LEVEL_AVX2)) {
        return 0;
    }
    decode_with(pa_decode_avx2, data, size, &wide);
    CHECK(scalar.status == wide.status && scalar.out.bad == wide.out.bad);
    CHECK(scalar.out.bad_at == wide.out.bad_at && scalar.out.skipped == wide.out.skipped);
    CHECK(scalar.out.record_count == wide.out.record_count);
    CHECK(scalar.out.level_count == wide.out.level_count);
    CHECK(memcmp(scalar.records, wide.records, wide.out.record_count * sizeof(pa_record)) == 0);
    CHECK(memcmp(scalar.levels, wide.levels, wide.out.level_count * sizeof(pa_book_level)) == 0);
#else
    (void)wide;
#endif
    return 0;
}
