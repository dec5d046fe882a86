/* account/breaker.h -- may we trade? One load when the answer is yes.
 *
 * Idea     the low half of one word, the gate, has a bit for every reason not to trade. The
 *          trading switch is stored inverted (set: on), so that zero-filled memory blocks and
 *          "may trade" is still one comparison with one constant. The high half counts what
 *          was set: whoever clears a bit swaps the whole word, so a decision taken before a
 *          newer trip cannot undo it.
 *          What the reasons count (the day's result, open positions, errors in a row, a
 *          window of results) lies on other lines and is written only when results arrive.
 * Trips    DAILY_LOSS   net loss of the UTC day reached the limit; ends with the next day
 *                       seen, or by reset, which accepts the loss and starts again from 0
 *          CONSECUTIVE_ERRORS, ERROR_RATE   end by themselves cooldown_ms after the trip, or
 *                       by reset; what they count then starts again from nothing
 *          MANUAL, STRANDED   end by reset only
 *          OPEN_POSITIONS is a limit, not a trip: set while the count is at the limit.
 *          TRADING_OFF is the switch.
 * Crash    facts are written before the gate; pa_breaker_configure, which every start calls,
 *          weighs all facts again and so repairs a process killed between the two.
 * Clocks   now_ns is monotonic, below 2^63, and passed in. A clock that goes backwards lengthens a
 *          cool-down and never ends one. After a reboot a cool-down of the time before may
 *          therefore need a reset.
 * Threads  pa_breaker_configure: before start, or owner only. The rest: any thread, any process.
 * Memory   64-bit lock-free atomics. Setting and clearing the gate are release, reading it is
 *          acquire: who sees a bit also sees the cool-down and the count behind it. Limits
 *          and trip records are relaxed: each stands alone.
 * Heap     none: a part of the arena's account section.
 */
#ifndef PA_ACCOUNT_BREAKER_H
#define PA_ACCOUNT_BREAKER_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_DAILY_LOSS_MAX_E6 100000000000000 /* 10^14 micro-dollars, limit and single result */
#define PA_POSITIONS_MAX 1000000
#define PA_ERRORS_MAX 1000000
#define PA_PERMILLE_MAX 1000
#define PA_SAMPLES_MAX 10000
#define PA_WINDOW_MS_MIN 1000
#define PA_PERIOD_MS_MAX 86400000 /* a day: the longest window and the longest cool-down */
#define PA_UNIX_DAY_MAX 65535     /* in the year 2149 */

/* Bit 1 << reason of a mask. */
typedef enum pa_reason {
    PA_REASON_TRADING_OFF = 0,
    PA_REASON_MANUAL,
    PA_REASON_DAILY_LOSS,
    PA_REASON_OPEN_POSITIONS,
    PA_REASON_CONSECUTIVE_ERRORS,
    PA_REASON_ERROR_RATE,
    PA_REASON_STRANDED,
    PA_REASON_COUNT
} pa_reason;

/* Limits. A zero means "not limited" only if the reason's bit is in unlimited_mask as well,
 * so that a forgotten limit is an error and not a freedom. */
typedef struct pa_breaker_config {
    int64_t daily_loss_e6;           /* 1..PA_DAILY_LOSS_MAX_E6                              */
    uint32_t open_positions_max;     /* 1..PA_POSITIONS_MAX                                  */
    uint32_t consecutive_errors_max; /* 1..PA_ERRORS_MAX                                     */
    uint32_t error_permille;         /* 1..PA_PERMILLE_MAX of the results in the window      */
    uint32_t error_samples_min;      /* 1..PA_SAMPLES_MAX results before the rate counts     */
    uint32_t window_ms;              /* PA_WINDOW_MS_MIN..PA_PERIOD_MS_MAX, kept in 16 steps */
    uint32_t cooldown_ms;            /* 1..PA_PERIOD_MS_MAX                                  */
    uint32_t unlimited_mask;         /* of DAILY_LOSS, OPEN_POSITIONS, CONSECUTIVE_ERRORS,
                                        ERROR_RATE (then samples and window are 0 as well)   */
    uint32_t reserved;               /* zero                                                 */
} pa_breaker_config;

/* A copy for monitors; each value by itself, not all of one instant. */
typedef struct pa_breaker_snapshot {
    int64_t pnl_e6;           /* net result of unix_day; profit above 0            */
    uint32_t unix_day;        /* the newest UTC day seen; 0: none                  */
    uint32_t blocked_mask;    /* reasons in force now                              */
    uint32_t open_positions;
    uint32_t errors_in_row;
    uint32_t window_errors;   /* of window_total results in the window             */
    uint32_t window_total;
    uint32_t first_reason;    /* earliest trip in force; PA_REASON_COUNT: none     */
    uint32_t configured;      /* 1 once limits have been set                       */
    uint64_t cooldown_until_ns;          /* the later of the two in force; 0: none */
    uint64_t trip_last_ns[PA_REASON_COUNT]; /* monotonic time of the last trip     */
    uint64_t trip_count[PA_REASON_COUNT];   /* trips since the arena was laid out  */
} pa_breaker_snapshot;

typedef struct pa_breaker pa_breaker;

/* "trading_off", "manual", ...; NULL for a value outside the enumeration. Static. */
const char *pa_reason_name(int reason);

/* Set the limits and weigh what is already counted against them. Does not switch trading on.
 * PA_E_RANGE: a limit outside its range, or 0 without its bit; nothing changed. */
pa_status pa_breaker_configure(pa_breaker *breaker, const pa_breaker_config *config,
                               uint64_t now_ns);

/* The limits in force; zeros with an empty mask before the first configure. */
void pa_breaker_limits(const pa_breaker *breaker, pa_breaker_config *out);

/* 1 if trading is allowed at now_ns, else 0. Ends a cool-down that is over. */
int pa_breaker_can_execute(pa_breaker *breaker, uint64_t now_ns);

/* The reasons against trading at now_ns, one bit each; 0: none. Writes nothing. */
uint32_t pa_breaker_blocked(const pa_breaker *breaker, uint64_t now_ns);

/* Switch trading on. PA_E_BLOCKED: no limits have been set yet. */
pa_status pa_breaker_enable(pa_breaker *breaker);

/* Switch trading off. */
void pa_breaker_disable(pa_breaker *breaker);

/* Trip MANUAL or STRANDED. PA_E_RANGE: another reason. */
pa_status pa_breaker_trip(pa_breaker *breaker, int reason, uint64_t now_ns);

/* An operator's reset of a trip; what it counted starts again from nothing. PA_OK also if it
 * was not tripped. PA_E_RANGE: TRADING_OFF, OPEN_POSITIONS (neither is a trip), or none. */
pa_status pa_breaker_reset(pa_breaker *breaker, int reason);

/* Add a realised result to its UTC day. A newer day starts from 0 and ends DAILY_LOSS; what
 * belongs to an older day counts for the newest one; a 0 only shows the day. PA_E_RANGE:
 * pnl_e6 beyond +-PA_DAILY_LOSS_MAX_E6 or unix_day not 1..PA_UNIX_DAY_MAX; nothing changed. */
pa_status pa_breaker_record_pnl(pa_breaker *breaker, int64_t pnl_e6, uint32_t unix_day,
                                uint64_t now_ns);

/* Take note of one request's outcome, error 0 or 1. */
void pa_breaker_record_result(pa_breaker *breaker, int error, uint64_t now_ns);

/* A position was opened. PA_E_RANGE: PA_POSITIONS_MAX are open; nothing changed. */
pa_status pa_breaker_position_opened(pa_breaker *breaker);

/* A position was closed. PA_E_RANGE: none is open; nothing changed. */
pa_status pa_breaker_position_closed(pa_breaker *breaker);

/* After a restart, theirs and the journal's facts stand: this many positions are open, and
 * unix_day has brought pnl_e6 so far. Owner only, before start. PA_E_RANGE: out of range. */
pa_status pa_breaker_restore(pa_breaker *breaker, uint32_t open_positions, int64_t pnl_e6,
                             uint32_t unix_day, uint64_t now_ns);

/* Copy the state as of now_ns. */
void pa_breaker_read(const pa_breaker *breaker, uint64_t now_ns, pa_breaker_snapshot *out);
/* cffi:end */

#define PA_WINDOW_STEPS 16
#define PA_GATE_OPEN 1U    /* the switch's inverted bit and nothing else */

typedef struct pa_trip_record {
    _Atomic uint64_t last_ns;
    _Atomic uint64_t count;
    _Atomic uint64_t order;    /* the gate's high half when it tripped */
    _Atomic uint64_t until_ns; /* end of the cool-down */
} pa_trip_record;

struct pa_breaker {
    _Alignas(64) _Atomic uint64_t gate; /* sets << 32 | (mask ^ PA_GATE_OPEN) */

    /* Limits; a 0 is "not limited" here. */
    _Alignas(64) _Atomic int64_t daily_loss_e6;
    _Atomic uint64_t open_positions_max;
    _Atomic uint64_t consecutive_errors_max;
    _Atomic uint64_t error_permille;
    _Atomic uint64_t error_samples_min;
    _Atomic uint64_t step_ns; /* of the window */
    _Atomic uint64_t cooldown_ns;
    _Atomic uint64_t configured;

    /* What is counted. */
    _Alignas(64) _Atomic uint64_t day_pnl; /* unix_day << 48 | pnl_e6 in 48 bits, signed */
    _Atomic uint64_t open_positions;
    _Atomic uint64_t errors_in_row;
    _Alignas(64) _Atomic uint64_t window[PA_WINDOW_STEPS]; /* step | errors | total */

    _Alignas(64) pa_trip_record trips[PA_REASON_COUNT];
};

_Static_assert(sizeof(pa_trip_record) == 32, "two per cache line");
_Static_assert(PA_REASON_COUNT <= 32, "reasons are bits of the gate's low half");
_Static_assert(PA_DAILY_LOSS_MAX_E6 < 1LL << 47, "a day's result fits its 48 bits");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share it: a lock would be private to one");

/* pa_breaker_can_execute when the gate is not simply open. */
int pa_breaker_recheck(pa_breaker *breaker, uint64_t now_ns);

/* pa_breaker_can_execute for the tick path: one load and one comparison when open. */
static inline int pa_breaker_can_execute_inline(pa_breaker *breaker, uint64_t now_ns) {
    /* Acquire pairs with the release of swap_gate() in breaker.c. */
    const uint64_t gate = atomic_load_explicit(&breaker->gate, memory_order_acquire);
    return __builtin_expect((uint32_t)gate == PA_GATE_OPEN, 1) ||
           pa_breaker_recheck(breaker, now_ns);
}

#endif
