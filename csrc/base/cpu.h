/* base/cpu.h -- what this processor can run, and the kernel level chosen from it.
 *
 * Idea     a level is chosen once, before any other thread starts; each unit that has
 *          kernels picks its own for that level (pa_init in polyarb.h drives it) and
 *          proves it against its scalar definition first. A forced level that is unknown
 *          or cannot run here is refused, never replaced.
 * Threads  pa_cpu_*: any.
 */
#ifndef PA_BASE_CPU_H
#define PA_BASE_CPU_H

#include <stdint.h>

#include "base/status.h"

/* cffi:begin */
#define PA_CPU_AVX2 1   /* with BMI1, BMI2 and POPCNT, as every such processor has them */
#define PA_CPU_AVX512 2 /* F, VL, BW and DQ together, with the operating system's consent */
#define PA_CPU_SHA 4
#define PA_CPU_INVARIANT_TSC 8

/* Ascending: a level may use all that the lower ones use. */
typedef enum pa_level { PA_LEVEL_SCALAR = 0, PA_LEVEL_AVX2, PA_LEVEL_AVX512, PA_LEVEL_COUNT } pa_level;

/* The PA_CPU_ bits of this machine. */
uint32_t pa_cpu_features(void);

/* "scalar", "avx2", "avx512"; NULL for a value outside the enumeration. */
const char *pa_level_name(int level);

/* 1 if `level` can run on this machine, 0 if not or if there is no such level. */
int pa_level_runs(int level);

/* The level named by `force`, or the best one that runs here if `force` is NULL or "".
 * PA_E_UNSUPPORTED: unknown, or cannot run here; *level is untouched then. */
pa_status pa_level_choose(const char *force, int *level);
/* cffi:end */

#endif
