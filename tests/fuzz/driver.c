/* driver.c -- runs a fuzz target without libFuzzer: inputs from a seed, a bounded number of them.
 * usage: target COUNT SEED */
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const long count = strtol(argv[1], NULL, 10);
    uint64_t state = strtoull(argv[2], NULL, 10) * 2 + 1;
    static const char COMMON[] = "0123456789.0123456789.00000-+eEx \"\\,:{}[]";
    printf("%ld inputs, seed %s\n", count, argv[2]);
    for (long i = 0; i < count; ++i) {
        uint8_t input[16384];
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        const unsigned kind = state & 3;
        const size_t size = (size_t)(state >> 8) % (kind == 0 ? sizeof input : 64);
        for (size_t k = 0; k < size; ++k) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            const uint8_t byte = (uint8_t)(state >> 24);
            input[k] = kind >= 2 && k > 0 ? (uint8_t)COMMON[byte % (sizeof COMMON - 1)] : byte;
        }
        uint8_t *exact = malloc(size + (size == 0)); /* the sanitizer guards its end */
        CHECK(exact != NULL);
        memcpy(exact, input, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    return 0;
}
