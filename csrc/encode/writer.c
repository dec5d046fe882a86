#include "encode/writer.h"

static uint64_t load_be64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; ++i) {
        v = v << 8 | p[i];
    }
    return v;
}

void pa_put_word(pa_writer *w, const uint8_t *word) {
    static const uint64_t CHUNK = 10000000000000000000ULL; /* 10^19: the most a u64 holds */
    uint64_t limbs[4] = {load_be64(word), load_be64(word + 8), load_be64(word + 16),
                         load_be64(word + 24)};
    if ((limbs[0] | limbs[1] | limbs[2]) == 0) {
        put_u64(w, limbs[3]);
        return;
    }
    char text[80];
    size_t at = sizeof text;
    while ((limbs[0] | limbs[1] | limbs[2] | limbs[3]) != 0) {
        uint64_t rest = 0;
        for (int i = 0; i < 4; ++i) {
            const unsigned __int128 value = (unsigned __int128)rest << 64 | limbs[i];
            limbs[i] = (uint64_t)(value / CHUNK);
            rest = (uint64_t)(value % CHUNK);
        }
        const int last = (limbs[0] | limbs[1] | limbs[2] | limbs[3]) == 0;
        for (int i = 0; last ? rest != 0 : i < 19; ++i, rest /= 10) {
            text[--at] = (char)('0' + rest % 10);
        }
    }
    put(w, text + at, sizeof text - at);
}

void pa_put_hex(pa_writer *w, const uint8_t *bytes, size_t count) {
    static const char DIGITS[] = "0123456789abcdef";
    if (w->full || (size_t)(w->end - w->at) < 2 * count) {
        w->full = 1;
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        w->at[2 * i] = DIGITS[bytes[i] >> 4];
        w->at[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    w->at += 2 * count;
}
