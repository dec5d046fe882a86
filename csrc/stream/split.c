#include "stream/split.h"

#include <assert.h>
#include <string.h>

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    MASKED = 0x80,
    OPCODE_TEXT = 1,
    OPCODE_CONTROL = 8, /* this bit: close, ping, pong and what is reserved with them */
};

/* Length of the header at p, of which `have` bytes are there, and of the payload behind it;
 * 0: not all of the header is there. */
static uint32_t header(const uint8_t *p, uint64_t have, uint64_t *payload) {
    if (have < 2) {
        return 0;
    }
    const uint32_t length = p[1] & 0x7F;
    const uint32_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    const uint32_t mask = (p[1] & MASKED) != 0 ? 4 : 0;
    if (have < 2 + extended) {
        return 0;
    }
    *payload = length;
    if (extended != 0) {
        *payload = 0;
        for (uint32_t i = 0; i < extended; ++i) {
            *payload = *payload << 8 | p[2 + i];
        }
    }
    return 2 + extended + mask;
}

/* Take `bytes` from the head on. */
static int take(pa_splitter *s, uint64_t bytes, uint32_t *at, uint32_t *taken) {
    *at = s->head;
    *taken = (uint32_t)bytes;
    s->head += (uint32_t)bytes;
    s->other_pieces += 1;
    return PA_PIECE_OTHER;
}

int pa_split_next(pa_splitter *s, const uint8_t *buffer, uint32_t *at, uint32_t *bytes) {
    assert(s->head <= s->tail && s->tail <= s->capacity);
    const uint64_t have = s->tail - s->head;
    uint64_t payload;
    if (s->passing != 0) {
        const uint64_t part = have < s->passing ? have : s->passing;
        if (part == 0) {
            return PA_PIECE_MORE;
        }
        s->passing -= part;
        return take(s, part, at, bytes);
    }
    const uint8_t *const p = buffer + s->head;
    const uint32_t head_bytes = header(p, have, &payload);
    if (head_bytes == 0) {
        return PA_PIECE_MORE;
    }
    /* A length of 2^63 and more is malformed: the object refuses it from the header alone. */
    const int too_long = payload > s->capacity - head_bytes;
    if (!too_long && have < head_bytes + payload) {
        return PA_PIECE_MORE;
    }
    const uint32_t opcode = p[0] & 0x0F;
    if (p[0] == (FIN | OPCODE_TEXT) && (p[1] & MASKED) == 0 && !s->fragmented && !too_long) {
        *at = s->head + head_bytes;
        *bytes = (uint32_t)payload;
        s->head += head_bytes + (uint32_t)payload;
        s->text_frames += 1;
        return PA_PIECE_TEXT;
    }
    if ((opcode & OPCODE_CONTROL) == 0) { /* of a message: the object follows it to its end */
        s->fragmented = (p[0] & FIN) == 0;
    }
    if (too_long) {
        const uint64_t whole = payload > UINT64_MAX - head_bytes ? UINT64_MAX : payload + head_bytes;
        s->passing = whole - (have < whole ? have : whole);
        return take(s, have < whole ? have : whole, at, bytes);
    }
    return take(s, head_bytes + payload, at, bytes);
}

void pa_split_compact(pa_splitter *s, uint8_t *buffer) {
    if (s->head == s->tail) {
        s->head = s->tail = 0;
    } else if (s->head != 0) {
        memmove(buffer, buffer + s->head, s->tail - s->head);
        s->tail -= s->head;
        s->head = 0;
    }
}
