#include "tick/tick.h"

#include <string.h>

#include "scan/scan.h"

enum { FIN_PING = 0x89, FIN_PONG = 0x8A };

/* The scratch of the frame at hand. */
typedef struct scratch {
    pa_report report;
    uint32_t flags;
    uint32_t reserved[15];
    pa_record records[PA_FRAME_RECORDS_MAX];
    pa_book_level levels[PA_FRAME_LEVELS_MAX];
    uint32_t touched[PA_TOUCHED_MAX];
} scratch;

_Static_assert(sizeof(scratch) <= PA_FRAME_BYTES, "fits its section");

/* The report's counts, not its lists, whose old content nobody reads. */
static void begin(pa_report *report) {
    memset(report, 0, offsetof(pa_report, changed));
}

static void notice(pa_report *report, uint32_t kind, uint32_t at, uint32_t bytes) {
    if (report->notice_count < PA_NOTICES_MAX) {
        report->notices[report->notice_count++] = (pa_notice){kind, at, bytes};
    } else {
        report->notices_lost += 1;
    }
}

/* What Python reads for itself, once a message. */
static void take_notices(pa_report *report, const pa_decoded *decoded, uint32_t frame_at) {
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < decoded->record_count; ++i) {
        const pa_record *r = &decoded->records[i];
        if (r->message == last) {
            continue;
        }
        last = r->message;
        report->pong_count += r->kind == PA_KIND_PONG;
        report->data_count += r->kind != PA_KIND_PONG && r->kind != PA_KIND_TEXT;
        if (r->kind == PA_KIND_TICK || (r->kind >= PA_KIND_NEW_MARKET && r->kind != PA_KIND_PONG)) {
            notice(report, 1 + r->kind, frame_at + r->at, r->bytes);
        }
    }
}

/* Whether Python sees to this raw piece before the frames behind it are looked at: to anything but
 * a whole ping or pong. A fragmented or binary message keeps its place among the others so, and
 * nothing behind a close frame or a violation reaches a book. */
static int waits(const uint8_t *piece, int passing) {
    return passing || (piece[0] != FIN_PING && piece[0] != FIN_PONG) || piece[1] > 125;
}

static pa_status one_frame(pa_store *store, scratch *s, const uint8_t *frame, size_t bytes,
                           uint32_t frame_at, uint64_t recv_ns) {
    pa_report *const report = &s->report;
    pa_decoded decoded = {.records = s->records, .record_capacity = PA_FRAME_RECORDS_MAX,
                          .levels = s->levels, .level_capacity = PA_FRAME_LEVELS_MAX};
    const pa_status status = pa_decode(frame, bytes, &decoded);
    report->frames += 1;
    if (__builtin_expect(status != PA_OK, 0)) {
        if (report->rejected++ == 0) {
            report->bad = decoded.bad;
            report->bad_at = decoded.bad_at;
            report->bad_frame_at = frame_at;
            report->bad_frame_bytes = (uint32_t)bytes;
        }
        report->rejected_by[decoded.bad] += 1;
        pa_apply_reject(store);
        return status;
    }
    report->messages += decoded.message_count;
    report->records += decoded.record_count;
    pa_apply_frame(store, frame, &decoded, s->flags, recv_ns, s->touched, report->changed,
                   PA_CHANGED_MAX, &report->changed_count, &report->changed_lost);
    take_notices(report, &decoded, frame_at);
    return PA_OK;
}

/* The relations of what the call changed. */
static void evaluate(pa_arena *arena, pa_report *report, uint64_t now_ns) {
    if (report->changed_lost != 0) {
        pa_swept swept; /* nobody knows which: all of them */
        (void)pa_scan_sweep(arena, now_ns, &swept);
        report->opportunity_count = swept.sightings;
    } else if (report->changed_count != 0) {
        report->opportunity_count =
            pa_scan_changed(arena, report->changed, report->changed_count, now_ns);
    }
}

/* The scratch, its report begun; NULL: no books. */
static scratch *open_call(pa_arena *arena, pa_store **store) {
    *store = pa_store_of(arena);
    if (*store == NULL) {
        return NULL;
    }
    scratch *const s = pa_arena_at(arena, PA_SECTION_FRAME);
    begin(&s->report);
    pa_apply_begin(*store);
    return s;
}

pa_report *pa_report_of(pa_arena *arena) {
    scratch *const s = pa_arena_at(arena, PA_SECTION_FRAME);
    return pa_store_of(arena) != NULL ? &s->report : NULL;
}

void pa_tick_configure(pa_arena *arena, uint32_t flags) {
    scratch *const s = pa_arena_at(arena, PA_SECTION_FRAME);
    if (pa_store_of(arena) != NULL) {
        s->flags = flags;
    }
}

pa_status pa_tick(pa_arena *arena, const uint8_t *frame, size_t bytes, uint64_t recv_ns) {
    pa_store *store;
    scratch *const s = open_call(arena, &store);
    if (s == NULL) {
        return PA_E_RANGE;
    }
    const pa_status status = one_frame(store, s, frame, bytes, 0, recv_ns);
    evaluate(arena, &s->report, recv_ns);
    return status;
}

pa_status pa_stream(pa_arena *arena, pa_splitter *splitter, uint32_t received, uint64_t recv_ns) {
    pa_store *store;
    uint32_t at, bytes;
    scratch *const s = open_call(arena, &store);
    if (s == NULL || received > splitter->capacity - splitter->tail) {
        return PA_E_RANGE;
    }
    pa_report *const report = &s->report;
    splitter->tail += received;
    splitter->bytes += received;
    for (;;) {
        if (report->raw_count == PA_PIECES_MAX || report->notice_count >= PA_NOTICES_MAX) {
            report->more = 1; /* raw pieces may not be lost */
            break;
        }
        const int passing = splitter->passing != 0;
        const int piece = pa_split_next(splitter, &at, &bytes);
        if (piece == PA_PIECE_MORE) {
            break;
        }
        if (piece == PA_PIECE_TEXT) {
            (void)one_frame(store, s, splitter->buffer + at, bytes, at, recv_ns);
        } else {
            notice(report, PA_RAW, at, bytes);
            report->raw_count += 1;
            if (waits(splitter->buffer + at, passing)) {
                report->more = 1;
                break;
            }
        }
    }
    if (report->data_count != 0) {
        pa_lines_heard(store, splitter->line, recv_ns);
    }
    evaluate(arena, report, recv_ns);
    if (report->notice_count == 0) { /* notices point into the buffer */
        pa_split_compact(splitter);
    }
    return PA_OK;
}
