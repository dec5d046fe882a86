/* WebSocket frames out of a buffer: every split point, every length form, everything unusual. */
#include "check.h"
#include "stream/split.h"

#define CAPACITY 8192

typedef struct wire {
    uint8_t bytes[65536];
    size_t count;
} wire;

static void add(wire *w, uint8_t first, size_t payload, int form, int masked) {
    uint8_t *p = w->bytes + w->count;
    *p++ = first;
    const uint8_t mask = masked ? 0x80 : 0;
    if (form == 0) {
        form = payload < 126 ? 7 : payload < 65536 ? 16 : 64;
    }
    if (form == 7) {
        *p++ = (uint8_t)(mask | payload);
    } else {
        *p++ = (uint8_t)(mask | (form == 16 ? 126 : 127));
        for (int i = form / 8 - 1; i >= 0; --i) {
            *p++ = (uint8_t)((uint64_t)payload >> (8 * i));
        }
    }
    if (masked) {
        memcpy(p, "mask", 4);
        p += 4;
    }
    for (size_t i = 0; i < payload; ++i) {
        *p++ = (uint8_t)('a' + (w->count + i) % 26);
    }
    w->count = (size_t)(p - w->bytes);
}

/* One piece as the test remembers it. */
typedef struct seen {
    size_t kind; /* as wide as the rest: no hole, so that memcmp compares */
    size_t bytes;
    uint64_t sum;
} seen;

static uint64_t sum_of(const uint8_t *p, size_t n, uint64_t sum) {
    while (n-- > 0) {
        sum = (sum ^ *p++) * 1099511628211U;
    }
    return sum;
}

/* Feed in portions of `step` bytes, or first `step` and then all; raw runs count as one piece. */
static int feed(const wire *w, size_t step, int once, seen *out) {
    uint8_t *buffer = guarded(CAPACITY);
    pa_splitter s = {.buffer = buffer, .capacity = CAPACITY};
    int count = 0;
    for (size_t at = 0; at < w->count;) {
        size_t part = once && at > 0 ? w->count - at : step;
        part = part < w->count - at ? part : w->count - at;
        part = part < s.capacity - s.tail ? part : s.capacity - s.tail;
        CHECK(part > 0);
        memcpy(buffer + s.tail, w->bytes + at, part);
        s.tail += (uint32_t)part;
        at += part;
        uint32_t from, bytes;
        for (int kind; (kind = pa_split_next(&s, &from, &bytes)) != PA_PIECE_MORE;) {
            if (count == 0 || kind == PA_PIECE_TEXT || out[count - 1].kind != (size_t)kind) {
                out[count++] = (seen){(size_t)kind, 0, 14695981039346656037U};
            }
            out[count - 1].bytes += bytes;
            out[count - 1].sum = sum_of(buffer + from, bytes, out[count - 1].sum);
        }
        pa_split_compact(&s);
        CHECK(s.head == 0);
    }
    munmap((void *)((uintptr_t)buffer / 4096 * 4096), CAPACITY + 4096);
    return count;
}

static void every_split_point_gives_the_same_pieces(void) {
    static wire w;
    w.count = 0;
    add(&w, 0x81, 0, 0, 0);
    add(&w, 0x81, 5, 0, 0);
    add(&w, 0x89, 4, 0, 0); /* ping */
    add(&w, 0x81, 125, 0, 0);
    add(&w, 0x81, 126, 0, 0);
    add(&w, 0x81, 300, 64, 0); /* a longer length than needed is still a frame */
    add(&w, 0x01, 20, 0, 0);   /* fragments, with a ping between them */
    add(&w, 0x89, 0, 0, 0);
    add(&w, 0x00, 20, 0, 0);
    add(&w, 0x80, 20, 0, 0);
    add(&w, 0x81, 600, 0, 0);
    add(&w, 0x82, 30, 0, 0); /* binary */
    add(&w, 0x81, 7, 0, 0);
    add(&w, 0x88, 2, 0, 0);
    seen whole[64], part[64];
    const int count = feed(&w, w.count, 1, whole);
    static const struct {
        int kind;
        size_t bytes;
    } EXPECTED[] = {{PA_PIECE_TEXT, 0},   {PA_PIECE_TEXT, 5},   {PA_PIECE_OTHER, 6},
                    {PA_PIECE_TEXT, 125}, {PA_PIECE_TEXT, 126}, {PA_PIECE_TEXT, 300},
                    {PA_PIECE_OTHER, 68}, {PA_PIECE_TEXT, 600}, {PA_PIECE_OTHER, 32},
                    {PA_PIECE_TEXT, 7},   {PA_PIECE_OTHER, 4}};
    CHECK(count == (int)(sizeof EXPECTED / sizeof *EXPECTED));
    for (int i = 0; i < count; ++i) {
        CHECK(whole[i].kind == (size_t)EXPECTED[i].kind && whole[i].bytes == EXPECTED[i].bytes);
    }
    for (size_t cut = 1; cut < w.count; ++cut) {
        memset(part, 0, sizeof part);
        CHECK(feed(&w, cut, 1, part) == count);
        CHECK(memcmp(whole, part, (size_t)count * sizeof *whole) == 0);
    }
    for (size_t step = 1; step < 40; ++step) {
        CHECK(feed(&w, step, 0, part) == count);
        CHECK(memcmp(whole, part, (size_t)count * sizeof *whole) == 0);
    }
}

static void only_plain_text_frames_are_taken_in_place(void) {
    for (int first = 0; first < 256; ++first) {
        for (int masked = 0; masked < 2; ++masked) {
            static wire w;
            seen out[8];
            w.count = 0;
            add(&w, (uint8_t)first, 10, 0, masked);
            const int count = feed(&w, w.count, 1, out);
            CHECK(count == 1);
            CHECK((out[0].kind == PA_PIECE_TEXT) == (first == 0x81 && !masked));
            CHECK(out[0].bytes == (out[0].kind == PA_PIECE_TEXT ? 10 : w.count));
        }
    }
}

static void a_long_frame_is_handed_on_as_it_comes(void) {
    static wire w;
    seen out[64];
    for (size_t payload = CAPACITY - 8; payload < CAPACITY + 8; ++payload) {
        for (size_t step = 500; step <= CAPACITY; step += 1700) {
            w.count = 0;
            add(&w, 0x81, 3, 0, 0);
            add(&w, 0x81, payload, 0, 0);
            add(&w, 0x81, 4, 0, 0);
            const int count = feed(&w, step, 0, out);
            const int fits = payload + 4 <= CAPACITY;
            CHECK(count == 3 && out[0].kind == PA_PIECE_TEXT && out[2].kind == PA_PIECE_TEXT);
            CHECK(out[1].kind == (size_t)(fits ? PA_PIECE_TEXT : PA_PIECE_OTHER));
            CHECK(out[1].bytes == (fits ? payload : payload + 4) && out[2].bytes == 4);
        }
    }
}

static void a_length_that_cannot_be_is_handed_on(void) {
    static const uint8_t HEADER[10] = {0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255};
    uint8_t *buffer = guarded(CAPACITY);
    pa_splitter s = {.buffer = buffer, .capacity = CAPACITY};
    uint32_t at, bytes;
    for (uint32_t n = 0; n < 10; ++n) {
        s.tail = n;
        memcpy(buffer, HEADER, n);
        CHECK(pa_split_next(&s, &at, &bytes) == PA_PIECE_MORE && s.head == 0);
    }
    memcpy(buffer, HEADER, 10);
    s.tail = 10;
    CHECK(pa_split_next(&s, &at, &bytes) == PA_PIECE_OTHER && bytes == 10);
    CHECK(pa_split_next(&s, &at, &bytes) == PA_PIECE_MORE);
    pa_split_compact(&s);
    s.tail = CAPACITY; /* whatever follows belongs to it */
    CHECK(pa_split_next(&s, &at, &bytes) == PA_PIECE_OTHER && bytes == CAPACITY);
}

int main(void) {
    every_split_point_gives_the_same_pieces();
    only_plain_text_frames_are_taken_in_place();
    a_long_frame_is_handed_on_as_it_comes();
    a_length_that_cannot_be_is_handed_on();
    puts("stream: ok");
    return 0;
}
