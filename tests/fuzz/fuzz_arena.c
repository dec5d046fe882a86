/* Any bytes as a mapped file: a documented status, no byte read beyond them; and a sound header
 * with some bytes changed is never taken for sound. Input: the file's own bytes, or a recipe. */
#include "base/arena.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int documented(pa_status status) {
    return status == PA_OK || status == PA_E_FOREIGN || status == PA_E_VERSION ||
           status == PA_E_TRUNCATED || status == PA_E_CORRUPT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t *sound;
    static uint64_t bytes;
    if (sound == NULL) {
        const pa_arena_config config = {.histogram_count = 1};
        CHECK(pa_arena_bytes(&config, &bytes) == PA_OK);
        sound = aligned_alloc(PA_ARENA_ALIGN, bytes);
        CHECK(sound != NULL);
        memset(sound, 0, bytes);
        CHECK(pa_arena_init(sound, bytes, &config, "fuzz", 1) == PA_OK);
    }
    uint8_t *copy = malloc(size + 1);
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    CHECK(documented(pa_arena_check(copy, size)));
    /* The same bytes laid over the start of a sound arena. */
    const size_t laid = size < 576 ? size : 576;
    uint8_t *mixed = malloc(bytes);
    CHECK(mixed != NULL);
    memcpy(mixed, sound, bytes);
    for (size_t i = 0; i < laid; ++i) {
        mixed[i] ^= data[i];
    }
    pa_status status = pa_arena_check(mixed, bytes);
    CHECK(documented(status));
    if (status == PA_OK) {
        pa_arena_info info;
        pa_arena_read_info((const pa_arena *)mixed, &info);
        CHECK(info.bytes == bytes && info.config.histogram_count == 1);
    }
    free(mixed);
    free(copy);
    return 0;
}
