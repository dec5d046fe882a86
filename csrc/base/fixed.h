/* base/fixed.h -- the one place where decimal text becomes an integer, and back.
 *
 * Idea     prices travel as x1e4, shares and collateral as x1e6 integers. A number that
 *          needs more decimals than its unit holds is malformed, never rounded; trailing
 *          zeros beyond the unit are no loss and are accepted ("0.500000000").
 * Grammar  digits [ "." digits ] | "." digits | digits "."; at least one digit. No sign, no
 *          exponent, no blank, no separator. The venue writes "0.5", ".5", "30" and "30."
 *          for the same things (protocol.md section 3).
 * Threads  any. Heap: none.
 */
#ifndef PA_BASE_FIXED_H
#define PA_BASE_FIXED_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_PRICE_DECIMALS 4
#define PA_CASH_DECIMALS 6
#define PA_DECIMALS_MAX 18
#define PA_FIXED_TEXT_MAX 21 /* bytes of the longest text pa_fixed_format writes */

/* The bytes [text, text+bytes) as an integer x 10^decimals into *out. Reads nothing past
 * the end and needs no terminator. `decimals` is 0..PA_DECIMALS_MAX.
 * PA_E_MALFORMED: not the grammar, or a non-zero digit beyond `decimals`.
 * PA_E_RANGE: above INT64_MAX, or `decimals` itself is out of range. *out is untouched then. */
pa_status pa_fixed_parse(const char *text, size_t bytes, uint32_t decimals, int64_t *out);

/* `value` / 10^decimals as the shortest exact text ("0.5", "30") into [out, out+capacity);
 * how many bytes in *written; no terminator. PA_E_RANGE: value < 0 or decimals too large.
 * PA_E_CAPACITY: it does not fit, nothing was written. PA_FIXED_TEXT_MAX always fits. */
pa_status pa_fixed_format(int64_t value, uint32_t decimals, char *out, size_t capacity,
                          size_t *written);
/* cffi:end */

/* How many bytes pa_decimal_u64 will write for `value`: 1..20. */
uint32_t pa_decimal_digits(uint64_t value);

/* `value` in decimal at `out`, which holds at least pa_decimal_digits(value) bytes.
 * Returns that number. */
uint32_t pa_decimal_u64(uint64_t value, char *out);

#endif
