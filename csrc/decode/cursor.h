/* decode/cursor.h -- internal: the one text of the cursor, compiled once for each kernel.
 *
 * The including file defines PA_DECODE_NAME and inline functions before:
 *   plain_end(p, end, start)        the first byte of [p, end) that ends or interrupts a string:
 *                                   quote, backslash, control or not ASCII; `end` if none; from
 *                                   `start` on it may be read as well
 *   digits_end(p)                   the first byte from p on that is no digit; 96 can be read
 *   plain_run(p, n)                 whether a quote is at p + n, and before it no other, no
 *                                   backslash, control or byte that is not ASCII; 32 < n
 *   quotes_of(p)                    a bit for each quote of the 64 bytes at p
 *   number_text(p, end, &n, &v)     p is behind an opening quote; true and the value x 10^6 if
 *                                   the text up to the next quote is a short plain decimal
 *   take_levels(p, end, &out, last) from the level whose brace is at p on as many as come in the
 *                                   venue's spelling and fit in front of `last`; the next one's
 *                                   brace, or the list's bracket behind its last
 * Each may always decline: what it declines goes the general way, which alone refuses.
 *
 *   json.h       values of JSON          levels.h     lists of levels
 *   values.h     what they mean          changes.h    entries of a price_change
 *   members.h    a message's members     messages.h   kinds of messages, the plain dialect
 *                                        usual.h      shortcuts for what comes most
 */
#include <stdbool.h>
#include <string.h>

#include "base/fixed.h"
#include "decode/kernel.h"
#include "decode/swar.h"

#include "decode/json.h"

#include "decode/values.h"

#include "decode/members.h"

#include "decode/levels.h"

#include "decode/usual.h"

#include "decode/changes.h"

#include "decode/messages.h"

/* A frame that does not start as JSON: a text of the server's. */
static void text_frame(cursor *c, const uint8_t *p) {
    const uint8_t *const at = p;
    const uint8_t *last = c->end;
    while (p != NULL && p < c->end) {
        if (*p < 0x80) {
            ++p;
        } else {
            const uint8_t *next = utf8(p, c->end);
            p = next != NULL ? next : fail(c, p, PA_BAD_UTF8);
        }
    }
    if (p == NULL) {
        return;
    }
    while (last > at && (last[-1] == ' ' || last[-1] == '\n' || last[-1] == '\r' || last[-1] == '\t')) {
        --last;
    }
    message m;
    memset(&m.r, 0, sizeof m.r);
    m.r.kind = last - at == 4 && same(at, "PONG", 4) ? PA_KIND_PONG : PA_KIND_TEXT;
    m.r.at = (uint32_t)(at - c->start);
    m.r.bytes = (uint32_t)(last - at);
    c->message_count = 1;
    (void)emit(c, &m, at);
}

static void whole_frame(cursor *c) {
    const uint8_t *p = space(c->start, c->end);
    if (p == c->end || (*p != '{' && *p != '[')) {
        text_frame(c, p);
        return;
    }
    if (*p == '{') {
        p = one_message(c, p, 0);
    } else {
        bool more;
        p = opened(c, p + 1, ']', &more);
        while (p != NULL && more) {
            if (*p == '{') {
                p = one_message(c, p, 1);
            } else { /* an array of something else: nothing we know */
                message m;
                const uint8_t *const at = p;
                memset(&m.r, 0, sizeof m.r);
                p = skip(c, p, 1);
                if (p != NULL) {
                    m.r.kind = PA_KIND_UNKNOWN;
                    m.r.message = c->message_count++;
                    m.r.at = (uint32_t)(at - c->start);
                    m.r.bytes = (uint32_t)(p - at);
                    p = emit(c, &m, at) ? p : NULL;
                }
            }
            p = p == NULL ? NULL : after(c, p, ']', &more);
        }
    }
    if (p != NULL && space(p, c->end) != c->end) {
        (void)fail(c, space(p, c->end), PA_BAD_TRAILING);
    }
}

pa_status PA_DECODE_NAME(const uint8_t *frame, size_t bytes, pa_decoded *out) {
    cursor c = {.start = frame, .end = frame + bytes, .out = out};
    out->record_count = out->level_count = out->message_count = out->skipped = 0;
    if (bytes > PA_FRAME_BYTES_MAX) {
        out->bad = PA_BAD_TOO_LONG;
        out->bad_at = PA_FRAME_BYTES_MAX;
        return PA_E_CAPACITY;
    }
    whole_frame(&c);
    out->bad = (uint32_t)c.bad;
    out->bad_at = 0;
    if (UNLIKELY(c.bad != PA_BAD_NONE)) {
        out->bad_at = (uint32_t)(c.bad_at - frame);
        return c.bad == PA_BAD_CAPACITY ? PA_E_CAPACITY : PA_E_MALFORMED;
    }
    out->record_count = c.record_count;
    out->level_count = c.level_count;
    out->message_count = c.message_count;
    out->skipped = c.skipped;
    return PA_OK;
}
