/* stream/split.h -- WebSocket frames out of a connection's receive buffer.
 *
 * Idea     the caller owns one buffer per connection, of which [head, tail) is not consumed yet;
 *          it reads from the socket to `tail` on. pa_split_next says what comes first in it: a
 *          whole text message in one frame, whose payload stays where it is; or bytes that the
 *          websockets protocol object has to see: control frames, fragmented messages, binary,
 *          reserved bits, masked frames, whatever is wrong. The latter are whole frames, with
 *          their headers, in the order received, so that the object meets a valid stream from
 *          which the simple frames were cut out.
 * Long     a frame that the buffer cannot hold as a whole is handed on in pieces as it comes, as
 *          bytes for the object, which has a bound of its own.
 * Refers   RFC 6455 section 5.2: FIN, three reserved bits, opcode; mask bit, length of 7, 16 or
 *          64 bits. UTF-8 of a text message is judged by csrc/decode, which refuses it.
 * Threads  owner only. Heap: none.
 */
#ifndef PA_STREAM_SPLIT_H
#define PA_STREAM_SPLIT_H

#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_BUFFER_MIN 4096
#define PA_BUFFER_MAX 67108864

typedef enum pa_piece {
    PA_PIECE_MORE = 0, /* nothing whole is left: read on                       */
    PA_PIECE_TEXT,     /* [at, at + bytes): the payload of a whole text message */
    PA_PIECE_OTHER     /* [at, at + bytes): raw bytes for the protocol object   */
} pa_piece;

/* A connection's place in its buffer. Zero but for buffer and capacity is the start. */
typedef struct pa_splitter {
    uint8_t *buffer;       /* the caller's, for as long as the splitter is used    */
    uint32_t head;         /* first byte not consumed                              */
    uint32_t tail;         /* behind the last byte received                        */
    uint32_t capacity;     /* of the buffer, PA_BUFFER_MIN..PA_BUFFER_MAX          */
    uint32_t fragmented;   /* 1: inside a fragmented message, whose frames are not ours */
    uint32_t line;         /* of the store whose books it feeds, 0: none           */
    uint32_t reserved;
    uint64_t passing;      /* bytes of a long frame that are still to be handed on */
    uint64_t text_frames;  /* counters */
    uint64_t other_pieces;
    uint64_t bytes;        /* received */
} pa_splitter;

/* What is next in the buffer; *at and *bytes for TEXT and OTHER, which are consumed by this call
 * and stay where they are until pa_split_compact. */
int pa_split_next(pa_splitter *splitter, uint32_t *at, uint32_t *bytes);

/* Move what is not consumed to the buffer's start: room for the next read. Moves nothing if
 * nothing is left, at most one incomplete frame otherwise. */
void pa_split_compact(pa_splitter *splitter);
/* cffi:end */

_Static_assert(sizeof(pa_splitter) == 64, "crosses to Python");

#endif
