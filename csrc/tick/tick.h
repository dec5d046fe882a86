/* tick/tick.h -- a frame, or all frames of a socket read, into books and relations: one crossing.
 *
 * Idea     pa_tick decodes one frame into the arena's scratch and applies its records;
 *          pa_stream does it for every whole text frame that a connection's buffer holds after a
 *          read. Then the relations of the tokens that changed are evaluated, once, with all that
 *          the call brought. What happened is in the arena's report: which books changed, how many
 *          opportunities there are now (scan/scan.h has them in its ring), what was refused
 *          and where, what Python has to look at. Nothing of a message becomes a Python object.
 * Refused  a frame that is malformed in one byte changes no book.
 * Threads  owner only (one writer per arena).
 * Heap     none: the scratch is a section of the arena.
 */
#ifndef PA_TICK_TICK_H
#define PA_TICK_TICK_H

#include "base/arena.h"
#include "base/status.h"
#include "book/store.h"
#include "decode/market.h"
#include "stream/split.h"

/* cffi:begin */
#define PA_CHANGED_MAX 1024
#define PA_NOTICES_MAX 128
#define PA_PIECES_MAX 64
#define PA_RAW 0 /* notice of bytes for the protocol object; other notices have 1 + pa_kind */

/* A message that Python reads for itself (new_market, market_resolved, tick_size_change, error,
 * subscribed, unknown, pong, text), or a raw piece; offsets into what the call was given. */
typedef struct pa_notice {
    uint32_t kind; /* 1 + pa_kind; PA_RAW */
    uint32_t at;
    uint32_t bytes;
} pa_notice;

typedef struct pa_report {
    uint32_t frames;        /* text frames seen, refused ones included                */
    uint32_t messages;
    uint32_t records;
    uint32_t rejected;      /* frames refused                                         */
    uint32_t bad;           /* pa_bad of the first of them                            */
    uint32_t bad_at;        /* offset in its frame                                    */
    uint32_t bad_frame_at;  /* the frame's own place in what the call was given       */
    uint32_t bad_frame_bytes;
    uint32_t changed_count; /* books that changed, each once                          */
    uint32_t changed_lost;  /* more that did not fit                                  */
    uint32_t notice_count;
    uint32_t notices_lost;
    uint32_t raw_count;     /* notices that are raw pieces                            */
    uint32_t more;          /* 1: see to the notices, call again: see pa_stream       */
    uint32_t data_count;    /* messages that say something of a market: not pong, text */
    uint32_t pong_count;
    uint32_t opportunity_count; /* relations sighted by this call: see pa_scan_next     */
    uint32_t rejected_by[16]; /* frames refused by pa_bad                              */
    uint32_t changed[1024];
    pa_notice notices[128];
} pa_report;

/* What the last pa_tick or pa_stream of this arena did. The lists' ends are their counts; what lies
 * behind is of earlier calls. */
pa_report *pa_report_of(pa_arena *arena);

/* How the calls that follow apply: PA_APPLY_. */
void pa_tick_configure(pa_arena *arena, uint32_t flags);

/* Decode and apply one frame received at `recv_ns` (monotonic). PA_OK, or PA_E_MALFORMED /
 * PA_E_CAPACITY: refused, as the report says. PA_E_RANGE: the arena has no books. */
pa_status pa_tick(pa_arena *arena, const uint8_t *frame, size_t bytes, uint64_t recv_ns);

/* `received` more bytes are in the splitter's buffer behind its tail: see to every whole frame.
 * Refused frames are in the report; the others are applied. The buffer is compacted, unless the
 * report has notices, which point into it: then the caller sees to them (raw pieces go to the
 * protocol object in their order). With `more` set it calls again after that, with received 0:
 * the lists are full, or the last raw piece comes before what is behind it (anything but a ping or
 * pong does). Without, it calls pa_split_compact.
 * PA_E_RANGE: the arena has no books, or more bytes than there was room for. */
pa_status pa_stream(pa_arena *arena, pa_splitter *splitter, uint32_t received, uint64_t recv_ns);
/* cffi:end */

_Static_assert(PA_CHANGED_MAX == 1024 && PA_NOTICES_MAX == 128 && PA_BAD_COUNT <= 16,
               "the report's arrays");

#endif
