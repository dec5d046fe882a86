/* decode/market.h -- one frame of the market socket becomes typed records, in one pass.
 *
 * Idea     a cursor walks the frame once and writes records and levels into the caller's
 *          buffers; it touches no book, so a frame that turns out malformed in its last byte
 *          has changed nothing. Members come in any order: what a message is may be its last
 *          member (and is, on the wire), hence a message's own records are finished at its
 *          closing brace. Text that is not needed is not copied: records point into the frame.
 * Accepts  protocol.md section 20: an object, an array of objects, or text (PONG, NO NEW
 *          ASSETS); price_change as price_changes, as changes (to September 2025) and flat
 *          (2024); bids/asks and buys/sells; the REST book object, which has no event_type;
 *          the plain dialect of design.md section 5. Numbers as strings or numbers, ".5",
 *          "" and null as "no value", any white space and key order. Of a key that comes
 *          twice the last counts. Keys are compared as written: one spelled with escapes is
 *          an unknown one.
 * Refuses  what is not JSON (RFC 8259) or not UTF-8, and a message of a known kind whose
 *          needed members are missing or are not what they should be. One such message
 *          refuses its frame. A wrong value where nobody needs it is no fault.
 * Reads    [frame, frame + bytes) and nothing else: kernels work while PA_DECODE_WINDOW bytes
 *          are left and leave the rest to the scalar code. No slack is asked of the caller.
 * Kernels  the scalar cursor is the definition. AVX2 and AVX-512 take runs of levels in the
 *          venue's spelling and the ends of strings in wide steps; what they do not recognise
 *          goes to the same scalar code. pa_decode_init holds them to it.
 * Threads  pa_decode_init: before start. pa_decode: any, with buffers of one's own.
 * Heap     none.
 */
#ifndef PA_DECODE_MARKET_H
#define PA_DECODE_MARKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_FRAME_BYTES_MAX 67108864  /* 64 MB: what pa_decode looks at                      */
#define PA_FRAME_RECORDS_MAX 8192    /* records of one frame                                */
#define PA_FRAME_LEVELS_MAX 65536    /* levels of all books of one frame                    */
#define PA_TOKEN_TEXT_MAX 78         /* digits of 2^256 - 1                                 */
#define PA_NEST_MAX 64               /* arrays and objects inside each other                */
#define PA_ASSETS_MAX 16             /* assets_ids of one message that become records       */
#define PA_PRICE_ONE_E4 10000
#define PA_SIZE_MAX_E6 1000000000000000000 /* 10^18 micro-shares, 10^12 shares              */
#define PA_HASH_TEXT 40              /* hex digits of a book's hash                         */

typedef enum pa_kind {
    PA_KIND_BOOK = 0,   /* a whole ladder: bid_count and ask_count levels                     */
    PA_KIND_CHANGE,     /* one level's new total: price, size, side; maybe the best prices    */
    PA_KIND_TRADE,      /* price, size, side of the taker                                     */
    PA_KIND_TICK,       /* tick_e4 is the new one                                             */
    PA_KIND_BEST,       /* best_bid_ask                                                       */
    PA_KIND_NEW_MARKET, /* one for each of assets_ids, at least one                           */
    PA_KIND_RESOLVED,   /* one for each of assets_ids; PA_HAS_WINNER on the winner            */
    PA_KIND_SUBSCRIBED, /* plain dialect                                                      */
    PA_KIND_ERROR,      /* plain dialect                                                      */
    PA_KIND_PONG,       /* text                                                               */
    PA_KIND_TEXT,       /* any other text, NO NEW ASSETS among it                             */
    PA_KIND_UNKNOWN,    /* an object of an event_type we do not know, or of none              */
    PA_KIND_COUNT
} pa_kind;

/* Which members a record has; a number that is absent is 0. */
#define PA_HAS_PRICE 1
#define PA_HAS_SIZE 2
#define PA_HAS_BEST_BID 4
#define PA_HAS_BEST_ASK 8
#define PA_HAS_TICK 16
#define PA_HAS_LAST 32        /* last_e4: last_trade_price of a book                        */
#define PA_HAS_TIME 64
#define PA_HAS_WINNER 128
#define PA_HAS_FLAT 256       /* price_change of 2024                                       */
#define PA_HAS_CHANGES 512    /* price_change until September 2025                          */
#define PA_HAS_PLAIN 1024     /* plain dialect                                              */
#define PA_HAS_HASH 2048
#define PA_HAS_NO_LAST 4096   /* last_trade_price is there and says "": no trade yet        */

typedef enum pa_side { PA_BID = 0, PA_ASK = 1, PA_SIDE_COUNT } pa_side;

/* Why a frame was refused. */
typedef enum pa_bad {
    PA_BAD_NONE = 0,
    PA_BAD_SYNTAX,    /* not the grammar of JSON at this byte                          */
    PA_BAD_END,       /* the frame ends within a value                                 */
    PA_BAD_TRAILING,  /* something follows the value                                   */
    PA_BAD_UTF8,      /* not UTF-8                                                     */
    PA_BAD_NESTING,   /* deeper than PA_NEST_MAX                                       */
    PA_BAD_TOKEN,     /* asset_id is no decimal of at most PA_TOKEN_TEXT_MAX digits    */
    PA_BAD_PRICE,     /* not 0 < price < 1 in at most four decimals; bests: 0..1       */
    PA_BAD_SIZE,      /* not 0..PA_SIZE_MAX_E6 in at most six decimals                 */
    PA_BAD_SIDE,      /* not BUY or SELL                                               */
    PA_BAD_TICK,      /* no tick of the six                                            */
    PA_BAD_TIME,      /* no time in milliseconds below 2^53                            */
    PA_BAD_MISSING,   /* a member that this kind needs is not there                    */
    PA_BAD_LEVELS,    /* not a list of levels                                          */
    PA_BAD_CAPACITY,  /* more records or levels than the caller's buffers hold         */
    PA_BAD_TOO_LONG,  /* over PA_FRAME_BYTES_MAX                                       */
    PA_BAD_COUNT
} pa_bad;

typedef struct pa_book_level {
    int64_t size_e6;  /* shares x 1e6, >= 0; a level of 0 says that there is none */
    int32_t price_e4; /* price x 1e4, 1..9999                                     */
    int32_t reserved; /* zero                                                     */
} pa_book_level;

/* Offsets are from the frame's first byte. */
typedef struct pa_record {
    uint32_t kind;         /* pa_kind                                                        */
    uint32_t flags;        /* PA_HAS_                                                        */
    uint32_t token_at;     /* asset_id, decimal digits without quotes or leading zeros       */
    uint32_t token_bytes;  /* 0: none                                                        */
    uint32_t market_at;    /* condition id as written, without quotes                        */
    uint32_t market_bytes; /* 0: none                                                        */
    uint32_t hash_at;      /* PA_HASH_TEXT bytes, if PA_HAS_HASH                             */
    uint32_t bid_first;    /* index of the first of bid_count levels, in the order received  */
    uint32_t bid_count;
    uint32_t ask_first;
    uint32_t ask_count;
    uint32_t side;         /* pa_side                                                        */
    int32_t price_e4;
    int32_t best_bid_e4;   /* 0: that side is empty                                          */
    int32_t best_ask_e4;   /* 10000: that side is empty                                      */
    int32_t tick_e4;
    int32_t last_e4;
    uint32_t message;      /* how many messages of the frame came before                     */
    uint32_t at;           /* the message's own extent                                       */
    uint32_t bytes;
    int64_t size_e6;
    uint64_t time_ms;      /* Unix milliseconds                                              */
} pa_record;

/* The caller's buffers and what a frame made of them. */
typedef struct pa_decoded {
    pa_record *records;
    pa_book_level *levels;
    uint32_t record_capacity;
    uint32_t level_capacity;
    uint32_t record_count;   /* 0 if the frame was refused                     */
    uint32_t level_count;    /* likewise                                       */
    uint32_t message_count;  /* likewise                                       */
    uint32_t skipped;        /* members of unknown name, and assets over PA_ASSETS_MAX */
    uint32_t bad;            /* pa_bad                                         */
    uint32_t bad_at;         /* offset of the offending byte; frame length: the end */
} pa_decoded;

/* Decode [frame, frame + bytes) into the buffers of `*out`. PA_E_MALFORMED: refused, see bad
 * and bad_at; PA_E_CAPACITY: likewise, with PA_BAD_CAPACITY or PA_BAD_TOO_LONG. */
pa_status pa_decode(const uint8_t *frame, size_t bytes, pa_decoded *out);

/* "book", "price_change", …; NULL outside the enumeration. Static storage. Any thread. */
const char *pa_kind_name(int kind);

/* "syntax", "end", …; NULL outside the enumeration. Static storage. Any thread. */
const char *pa_bad_name(int bad);
/* cffi:end */

#define PA_DECODE_WINDOW 80 /* bytes that a kernel may look at: it stops that far from the end */

_Static_assert(sizeof(pa_book_level) == 16, "4 per cache line");
_Static_assert(sizeof(pa_record) == 96, "no hole: crosses to Python");
_Static_assert(PA_FRAME_BYTES_MAX < UINT32_MAX, "offsets are 32 bits");

/* Take the kernels for `level`. PA_E_SELFTEST: they disagree with the scalar cursor. */
pa_status pa_decode_init(int level);

#endif
