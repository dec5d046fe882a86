/* decode/ends_simd.h -- internal: where a string ends, in steps of STEP bytes.
 *
 * The including file defines specials(p) before: a bit for each of the STEP bytes at p that ends
 * or interrupts a string.
 */

/* The last, incomplete step looks back instead of ahead: at bytes that were seen already. */
static inline const uint8_t *plain_end(const uint8_t *p, const uint8_t *end, const uint8_t *start) {
    while (end - p >= STEP) {
        const uint64_t found = specials(p);
        if (found != 0) {
            return p + _tzcnt_u64(found);
        }
        p += STEP;
    }
    if (p < end && end - start >= STEP) {
        const uint64_t found = (uint64_t)specials(end - STEP) >> (STEP - (end - p));
        return found != 0 ? p + _tzcnt_u64(found) : end;
    }
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20 && *p < 0x80) {
        ++p;
    }
    return p;
}

#undef STEP
