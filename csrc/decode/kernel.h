/* decode/kernel.h -- internal: the cursor's entry for each instruction set. */
#ifndef PA_DECODE_KERNEL_H
#define PA_DECODE_KERNEL_H

#include "decode/market.h"

typedef pa_status decode_fn(const uint8_t *frame, size_t bytes, pa_decoded *out);

decode_fn pa_decode_scalar;
decode_fn pa_decode_avx2;
decode_fn pa_decode_avx512;

#endif
