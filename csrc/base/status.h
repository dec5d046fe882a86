/* base/status.h -- what a call can answer.
 *
 * Idea     the returned value carries the error, the out parameter the result.
 *          PA_OK is zero. Python turns every other value into one exception class of
 *          polyarb/errors.py; tests/unit/test_errors.py holds the two lists together.
 * Threads  any.
 */
#ifndef PA_BASE_STATUS_H
#define PA_BASE_STATUS_H

/* cffi:begin */
typedef enum pa_status {
    PA_OK = 0,
    PA_E_MALFORMED,   /* input breaks the grammar of what it should be           */
    PA_E_RANGE,       /* well formed, outside the documented range               */
    PA_E_CAPACITY,    /* the caller's buffer or a fixed table is full            */
    PA_E_BUSY,        /* a writer was in the way on every try                    */
    PA_E_FUNDS,       /* the balance does not cover the reservation              */
    PA_E_BLOCKED,     /* the breaker or the trading switch forbids it            */
    PA_E_UNSUPPORTED, /* no such kernel, or this machine cannot run it           */
    PA_E_SELFTEST,    /* two ways to the same answer disagree: do not trade      */
    PA_E_KEY,         /* not a secp256k1 secret key, or the library refused it   */
    PA_E_FOREIGN,     /* arena: not an arena                                     */
    PA_E_VERSION,     /* arena: laid out by another version                      */
    PA_E_TRUNCATED,   /* arena: shorter than its header says                     */
    PA_E_CORRUPT,     /* arena: header does not match its checksum or itself     */
    PA_STATUS_COUNT
} pa_status;

/* The enumerator's own name, such as "PA_E_RANGE"; "PA_E_?" for a value outside the
 * enumeration. Static storage. Any thread. */
const char *pa_status_name(int status);
/* cffi:end */

#endif
