/* What the arena's header promises: the layout, every status, and that no byte of the judged
 * part and no length slips through. The offsets below are the format, said a second time. */
#include "base/arena.h"
#include "check.h"

#define VERSION_AT 8
#define HEADER_BYTES_AT 12
#define BYTES_AT 16
#define COUNT_AT 32 /* config.histogram_count */
#define TOKENS_AT 36 /* config.token_count, and the five behind it */
#define SECTION_COUNT_AT 60
#define BUILD_AT 64
#define TABLE_AT 128
#define SUM_AT 496
#define JUDGED_BYTES 504
#define HEADER_BYTES 576
#define SMALL (4096 + 4096 + 20480) /* one histogram */

static const char BUILD[] = "polyarb test";

static uint8_t *fresh(uint32_t histogram_count, uint64_t *bytes) {
    const pa_arena_config config = {.histogram_count = histogram_count};
    CHECK(pa_arena_bytes(&config, bytes) == PA_OK);
    uint8_t *block = guarded(*bytes);
    CHECK(pa_arena_init(block, *bytes, &config, BUILD, 1700000000000000000U) == PA_OK);
    return block;
}

/* The first `bytes` of `image`, so that they end on an unmapped page. Reused by each call. */
static const uint8_t *cut(const uint8_t *image, size_t bytes) {
    static uint8_t *end;
    if (end == NULL) {
        end = guarded(2 * SMALL) + 2 * SMALL;
    }
    return memcpy(end - bytes, image, bytes);
}

static uint64_t fnv1a(const uint8_t *data, size_t bytes) {
    uint64_t hash = 14695981039346656037U;
    while (bytes-- > 0) {
        hash = (hash ^ *data++) * 1099511628211U;
    }
    return hash;
}

static void test_published_fnv1a_vectors_hold(void) {
    /* draft-eastlake-fnv, appendix C: FNV-1a, 64 bits, without the terminator */
    CHECK(fnv1a((const uint8_t *)"", 0) == 0xcbf29ce484222325U);
    CHECK(fnv1a((const uint8_t *)"a", 1) == 0xaf63dc4c8601ec8cU);
    CHECK(fnv1a((const uint8_t *)"foobar", 6) == 0x85944171f73967e8U);
}

static void test_sections_are_aligned_in_order_and_disjoint(void) {
    const uint32_t counts[] = {1, 2, 32, PA_HISTOGRAMS_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        uint64_t bytes;
        uint8_t *block = fresh(counts[i], &bytes);
        const uint64_t need[PA_SECTION_COUNT] = {PA_ACCOUNT_BYTES,
                                                 (uint64_t)counts[i] * PA_HISTOGRAM_BYTES};
        const uint8_t *free_from = block + HEADER_BYTES;
        for (int section = 0; section < PA_SECTION_COUNT; section++) {
            uint8_t *start = pa_arena_at((pa_arena *)block, section);
            CHECK(start == pa_arena_view((const pa_arena *)block, section));
            CHECK((uintptr_t)start % PA_ARENA_ALIGN == 0);
            CHECK(start >= free_from);
            free_from = start + need[section];
        }
        CHECK(free_from <= block + bytes);
        CHECK(bytes % PA_ARENA_ALIGN == 0);
        CHECK(pa_arena_at((pa_arena *)block, -1) == NULL);
        CHECK(pa_arena_at((pa_arena *)block, PA_SECTION_COUNT) == NULL);
        CHECK(pa_arena_view((const pa_arena *)block, -1) == NULL);
        CHECK(pa_arena_view((const pa_arena *)block, PA_SECTION_COUNT) == NULL);
    }
}

static void test_the_books_sections_have_room_for_what_was_asked(void) {
    const pa_arena_config config = {1, 1000, 10, 7, 100, 1000, 128};
    uint64_t bytes;
    CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
    uint8_t *block = guarded(bytes);
    CHECK(pa_arena_init(block, bytes, &config, BUILD, 1) == PA_OK);
    const uint64_t pages = pa_scan_pages(100, 1000), chunks = pa_scan_chunks(1000, 1000);
    const uint64_t need[PA_SECTION_COUNT] = {
        PA_ACCOUNT_BYTES, PA_HISTOGRAM_BYTES,
        PA_STORE_BYTES,   pa_index_entries(1000) * 8,
        1000 * PA_TOKEN_BYTES, 1000 * PA_BOOK_BYTES,
        1000 * 8,         pa_cost_entries(1000) * 4,
        (PA_LINES_MAX + 1) * 8, 1000 * 8 * (uint64_t)pa_slot_words(10),
        7 * PA_ARENA_ALIGN, PA_FRAME_BYTES,
        PA_SCAN_BYTES,    pa_cost_entries(1000) * 4,
        1000 * PA_SCAN_HEAD_BYTES, chunks * PA_SCAN_CHUNK_BYTES,
        chunks * PA_SCAN_PLACED_BYTES,
        100 * PA_SCAN_SLACK_BYTES, 100 * PA_SCAN_RELATION_BYTES,
        1000 * PA_SCAN_LEG_BYTES, pages * PA_SCAN_PAGE_ROWS * PA_SCAN_ROW_BYTES,
        pages * PA_SCAN_LANES_BYTES, 128 * 8};
    for (int section = 0; section < PA_SECTION_COUNT; section++) {
        const uint8_t *start = pa_arena_at((pa_arena *)block, section);
        const uint8_t *next = section + 1 < PA_SECTION_COUNT
                                  ? pa_arena_at((pa_arena *)block, section + 1)
                                  : block + bytes;
        CHECK(start + need[section] <= next);
    }
    CHECK(pa_index_entries(1000) == 2048 && pa_slot_words(10) == 40);
    CHECK(pa_arena_check(block, bytes) == PA_OK);
}

static void test_a_count_outside_its_range_is_refused(void) {
    uint64_t bytes = 7;
    uint8_t *block = guarded(SMALL);
    const pa_arena_config wrong[] = {
        {.histogram_count = 0},
        {.histogram_count = PA_HISTOGRAMS_MAX + 1},
        {.histogram_count = UINT32_MAX},
        {.histogram_count = 1, .depth = 1},
        {.histogram_count = 1, .ladder_pages = 1},
        {.histogram_count = 1, .token_count = 1},
        {.histogram_count = 1, .token_count = 1, .depth = 1},
        {.histogram_count = 1, .token_count = 1, .ladder_pages = 1},
        {.histogram_count = 1, .token_count = PA_TOKENS_MAX + 1, .depth = 1, .ladder_pages = 1},
        {.histogram_count = 1, .token_count = 1, .depth = PA_DEPTH_MAX + 1, .ladder_pages = 1},
        {.histogram_count = 1, .token_count = 1, .depth = 1,
         .ladder_pages = PA_LADDER_PAGES_MAX + 1},
        {.histogram_count = 1, .relation_count = 1, .leg_count = 2, .opportunity_count = 1},
        {1, 1, 1, 1, 0, 2, 0},
        {1, 1, 1, 1, 0, 0, 1},
        {1, 1, 1, 1, 1, 0, 1},
        {1, 1, 1, 1, 1, 1, 1},
        {1, 1, 1, 1, 1, 2, 0},
        {1, 1, 1, 1, 1, 2, 3},
        {1, 1, 1, 1, 1, 2, 2 * PA_RELATIONS_MAX},
        {1, 1, 1, 1, PA_RELATIONS_MAX + 1, 2, 1},
        {1, 1, 1, 1, 1, PA_LEGS_MAX + 1, 1},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        CHECK(pa_arena_bytes(&wrong[i], &bytes) == PA_E_RANGE && bytes == 7);
        CHECK(pa_arena_init(block, SMALL, &wrong[i], BUILD, 0) == PA_E_RANGE);
    }
    CHECK(pa_arena_check(block, SMALL) == PA_E_FOREIGN);
}

static void test_init_refuses_a_block_that_is_short_or_misaligned_and_leaves_it(void) {
    const pa_arena_config config = {.histogram_count = 1};
    uint8_t *block = guarded(2 * SMALL);
    CHECK(pa_arena_init(block, SMALL - 1, &config, BUILD, 0) == PA_E_CAPACITY);
    CHECK(pa_arena_init(block, 0, &config, BUILD, 0) == PA_E_CAPACITY);
    CHECK(pa_arena_init(block + 64, SMALL, &config, BUILD, 0) == PA_E_RANGE);
    for (size_t i = 0; i < 2 * SMALL; i++) {
        CHECK(block[i] == 0);
    }
}

static void test_info_is_what_init_was_given(void) {
    uint64_t bytes;
    pa_arena_info info;
    uint8_t *block = fresh(3, &bytes);
    pa_arena_read_info((const pa_arena *)block, &info);
    CHECK(info.bytes == bytes && info.created_unix_ns == 1700000000000000000U);
    CHECK(info.layout_version == PA_LAYOUT_VERSION && info.section_count == PA_SECTION_COUNT);
    CHECK(info.config.histogram_count == 3 && strcmp(info.build, BUILD) == 0);
    CHECK(info.owner_pid == 0 && info.owner_start == 0 && info.owner_epoch == 0);
}

static void test_a_long_build_text_is_cut_and_terminated(void) {
    const pa_arena_config config = {.histogram_count = 1};
    pa_arena_info info;
    for (size_t length = 0; length < 2 * PA_BUILD_MAX; length++) {
        char *build = (char *)guarded(length + 1); /* the terminator is the last byte mapped */
        memset(build, 'b', length);
        uint8_t *block = guarded(SMALL);
        CHECK(pa_arena_init(block, SMALL, &config, build, 0) == PA_OK);
        CHECK(pa_arena_check(block, SMALL) == PA_OK);
        pa_arena_read_info((const pa_arena *)block, &info);
        CHECK(strlen(info.build) == (length < PA_BUILD_MAX ? length : PA_BUILD_MAX - 1));
    }
}

static void test_the_checksum_is_fnv1a_of_the_judged_part(void) {
    uint64_t bytes, stored;
    const uint8_t *block = fresh(1, &bytes);
    memcpy(&stored, block + SUM_AT, sizeof(stored));
    CHECK(stored == fnv1a(block + VERSION_AT, SUM_AT - VERSION_AT));
    for (size_t i = JUDGED_BYTES; i < bytes; i++) { /* and all else is as zero as it was */
        CHECK(block[i] == 0);
    }
}

static void test_owners_are_counted_and_a_disowned_arena_names_none(void) {
    uint64_t bytes;
    pa_arena_info info;
    uint8_t *block = fresh(1, &bytes);
    pa_arena *arena = (pa_arena *)block;
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        CHECK(pa_arena_own(arena, 100 + epoch, 200 + epoch) == epoch);
        pa_arena_read_info(arena, &info);
        CHECK(info.owner_epoch == epoch && info.owner_pid == 100 + epoch);
        CHECK(info.owner_start == 200 + epoch);
        CHECK(pa_arena_check(block, bytes) == PA_OK);
    }
    pa_arena_disown(arena);
    pa_arena_read_info(arena, &info);
    CHECK(info.owner_pid == 0 && info.owner_start == 203 && info.owner_epoch == 3);
}

static void test_a_block_means_the_same_at_any_address(void) {
    uint64_t bytes;
    uint8_t *block = fresh(2, &bytes);
    uint8_t *copy = guarded(bytes);
    memcpy(copy, block, bytes);
    CHECK(pa_arena_check(copy, bytes) == PA_OK);
    for (int section = 0; section < PA_SECTION_COUNT; section++) {
        CHECK((uint8_t *)pa_arena_at((pa_arena *)copy, section) - copy ==
              (uint8_t *)pa_arena_at((pa_arena *)block, section) - block);
    }
}

static void test_every_shorter_length_is_truncated_and_any_longer_passes(void) {
    static uint8_t image[SMALL + 4096];
    uint64_t bytes;
    memcpy(image, fresh(1, &bytes), SMALL);
    CHECK(bytes == SMALL);
    for (size_t length = 0; length < sizeof(image); length++) {
        const pa_status expected = length < SMALL ? PA_E_TRUNCATED : PA_OK;
        CHECK(pa_arena_check(cut(image, length), length) == expected);
    }
}

static void test_a_claim_is_read_as_soon_as_it_is_there(void) {
    uint64_t bytes;
    const uint8_t *image = fresh(1, &bytes);
    for (size_t length = 0; length < HEADER_BYTES; length++) {
        uint32_t layout_version = 9;
        uint64_t stated_bytes = 9;
        const int told = length >= BYTES_AT + 8;
        pa_arena_read_claim(cut(image, length), length, &layout_version, &stated_bytes);
        CHECK(layout_version == (told ? PA_LAYOUT_VERSION : 0));
        CHECK(stated_bytes == (told ? SMALL : 0));
    }
}

static void test_what_does_not_start_as_an_arena_is_foreign(void) {
    static const char text[] = "a text, long enough to hold a header if it were one";
    static uint8_t zeros[HEADER_BYTES];
    uint64_t bytes, stated_bytes;
    uint32_t layout_version;
    uint8_t *image = fresh(1, &bytes);
    for (size_t length = 1; length < sizeof(text); length++) {
        CHECK(pa_arena_check(cut((const uint8_t *)text, length), length) == PA_E_FOREIGN);
        CHECK(pa_arena_check(cut(zeros, length), length) == PA_E_FOREIGN);
    }
    image[0] ^= 1;
    pa_arena_read_claim(image, bytes, &layout_version, &stated_bytes);
    CHECK(layout_version == 0 && stated_bytes == 0);
    CHECK(pa_arena_check(image, bytes) == PA_E_FOREIGN);
}

static void test_another_version_wins_over_all_that_follows_it(void) {
    static const uint32_t versions[] = {0, PA_LAYOUT_VERSION + 1, 7, UINT32_MAX};
    uint64_t bytes, stated_bytes;
    uint32_t layout_version;
    for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        uint8_t image[HEADER_BYTES];
        memcpy(image, fresh(1, &bytes), sizeof(image));
        memcpy(image + VERSION_AT, &versions[i], sizeof(versions[i]));
        memset(image + HEADER_BYTES_AT, 0xa5, sizeof(image) - HEADER_BYTES_AT);
        for (size_t length = BYTES_AT + 8; length <= sizeof(image); length++) {
            CHECK(pa_arena_check(cut(image, length), length) == PA_E_VERSION);
        }
        pa_arena_read_claim(image, sizeof(image), &layout_version, &stated_bytes);
        CHECK(layout_version == versions[i] && stated_bytes == 0xa5a5a5a5a5a5a5a5U);
    }
}

static void test_every_change_of_a_byte_of_the_judged_part_is_detected(void) {
    uint64_t bytes;
    uint8_t *block = fresh(1, &bytes);
    for (size_t i = 0; i < HEADER_BYTES; i++) {
        const pa_status expected = i < VERSION_AT        ? PA_E_FOREIGN
                                   : i < HEADER_BYTES_AT ? PA_E_VERSION
                                   : i < JUDGED_BYTES    ? PA_E_CORRUPT
                                                         : PA_OK;
        for (int flip = 1; flip < 256; flip++) {
            block[i] = (uint8_t)(block[i] ^ flip);
            CHECK(pa_arena_check(block, bytes) == expected);
            block[i] = (uint8_t)(block[i] ^ flip);
        }
    }
    CHECK(pa_arena_check(block, bytes) == PA_OK);
}

static void test_a_contradiction_with_a_right_checksum_is_corrupt(void) {
    static const struct {
        size_t at;
        uint32_t value;
    } lies[] = {
        {HEADER_BYTES_AT, 152},         {BYTES_AT, 0},
        {BYTES_AT, SMALL - 4096},       {BYTES_AT, SMALL + 4096},
        {BYTES_AT + 4, 1},              {COUNT_AT, 0},
        {COUNT_AT, 2},                  {COUNT_AT, PA_HISTOGRAMS_MAX + 1},
        {COUNT_AT, UINT32_MAX},         {TOKENS_AT, 1},
        {TOKENS_AT + 4, 1},             {TOKENS_AT + 8, 1},
        {SECTION_COUNT_AT, 0},          {SECTION_COUNT_AT, PA_SECTION_COUNT + 1},
        {TOKENS_AT + 12, 1},            {BUILD_AT + PA_BUILD_MAX - 4, UINT32_MAX},
        {TABLE_AT, 0},                  {TABLE_AT + 8, 0},
        {TABLE_AT + 16, SMALL},         {TABLE_AT + 20, UINT32_MAX},
        {TABLE_AT + 24, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        uint64_t bytes;
        uint8_t *block = fresh(1, &bytes);
        memcpy(block + lies[i].at, &lies[i].value, sizeof(lies[i].value));
        const uint64_t sum = fnv1a(block + VERSION_AT, SUM_AT - VERSION_AT);
        memcpy(block + SUM_AT, &sum, sizeof(sum));
        CHECK(pa_arena_check(block, bytes) == PA_E_CORRUPT);
    }
}

static void test_random_bytes_behind_our_magic_and_version_never_pass(void) {
    uint64_t bytes, random = 88172645463325252U; /* xorshift64, Marsaglia 2003 */
    uint8_t image[HEADER_BYTES + 8];
    memcpy(image, fresh(1, &bytes), HEADER_BYTES);
    for (int round = 0; round < 100000; round++) {
        for (size_t i = HEADER_BYTES_AT; i + 8 <= sizeof(image); i += 8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            memcpy(image + i, &random, sizeof(random));
        }
        const size_t length = HEADER_BYTES_AT + random % (sizeof(image) - HEADER_BYTES_AT + 1);
        const pa_status status = pa_arena_check(cut(image, length), length);
        CHECK(status == (length < JUDGED_BYTES ? PA_E_TRUNCATED : PA_E_CORRUPT));
    }
}

int main(void) {
    test_published_fnv1a_vectors_hold();
    test_sections_are_aligned_in_order_and_disjoint();
    test_the_books_sections_have_room_for_what_was_asked();
    test_a_count_outside_its_range_is_refused();
    test_init_refuses_a_block_that_is_short_or_misaligned_and_leaves_it();
    test_info_is_what_init_was_given();
    test_a_long_build_text_is_cut_and_terminated();
    test_the_checksum_is_fnv1a_of_the_judged_part();
    test_owners_are_counted_and_a_disowned_arena_names_none();
    test_a_block_means_the_same_at_any_address();
    test_every_shorter_length_is_truncated_and_any_longer_passes();
    test_a_claim_is_read_as_soon_as_it_is_there();
    test_what_does_not_start_as_an_arena_is_foreign();
    test_another_version_wins_over_all_that_follows_it();
    test_every_change_of_a_byte_of_the_judged_part_is_detected();
    test_a_contradiction_with_a_right_checksum_is_corrupt();
    test_random_bytes_behind_our_magic_and_version_never_pass();
    return 0;
}
