/* check.h -- what every C test program shares: an assertion that survives NDEBUG, and input
 * that ends on an unmapped page, so that one byte read too far faults without a sanitizer. */
#ifndef PA_TESTS_CHECK_H
#define PA_TESTS_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

/* `bytes` of memory whose last byte is the last before an unmapped page. Never freed. */
static inline uint8_t *guarded(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t mapped = (bytes + page - 1) / page * page + page;
    uint8_t *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(base != MAP_FAILED);
    CHECK(mprotect(base + mapped - page, page, PROT_NONE) == 0);
    return base + mapped - page - bytes;
}

#endif
