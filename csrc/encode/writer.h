/* encode/writer.h -- internal: append to a buffer and never past its end.
 *
 * A write that does not fit is dropped whole and makes the writer `full` for good; the caller
 * looks once, at the end.
 */
#ifndef PA_ENCODE_WRITER_H
#define PA_ENCODE_WRITER_H

#include <stdint.h>
#include <string.h>

#include "base/fixed.h"

typedef struct {
    char *at;
    char *end;
    int full;
} pa_writer;

static inline void put(pa_writer *w, const char *text, size_t bytes) {
    if (w->full || (size_t)(w->end - w->at) < bytes) {
        w->full = 1;
        return;
    }
    memcpy(w->at, text, bytes);
    w->at += bytes;
}

/* A string literal: its length is known to the compiler, the copy becomes a few stores. */
#define PUT(w, literal) put(w, "" literal, sizeof(literal) - 1)

static inline void put_u64(pa_writer *w, uint64_t value) {
    char text[20];
    put(w, text, pa_decimal_u64(value, text));
}

/* A big-endian 256-bit word in decimal. */
void pa_put_word(pa_writer *w, const uint8_t *word);

/* Bytes as lower-case hexadecimal digits. */
void pa_put_hex(pa_writer *w, const uint8_t *bytes, size_t count);

#endif
