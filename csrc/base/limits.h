/* base/limits.h -- limits that more than one unit keeps. */
#ifndef PA_BASE_LIMITS_H
#define PA_BASE_LIMITS_H

/* cffi:begin */
#define PA_BATCH_MAX 15 /* orders of one POST /orders, protocol.md section 12 */
/* cffi:end */

#endif
