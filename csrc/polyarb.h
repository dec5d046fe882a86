/* polyarb.h -- the public headers, in the order data meets them. A new unit is one line here.
 *
 * `pa_init` is the core's only start-up: it fixes the kernel level for every unit.
 */
#ifndef POLYARB_H
#define POLYARB_H

#include "base/status.h"
#include "base/limits.h"
#include "base/fixed.h"
#include "base/cpu.h"
#include "base/arena.h"
#include "trace/clock.h"
#include "trace/histogram.h"
#include "stream/split.h"
#include "decode/market.h"
#include "book/store.h"
#include "scan/scan.h"
#include "basket/basket.h"
#include "tick/tick.h"
#include "account/balance.h"
#include "account/nonce.h"
#include "account/breaker.h"
#include "account/account.h"
#include "digest/keccak.h"
#include "digest/sha256.h"
#include "digest/eip712.h"
#include "sign/signer.h"
#include "encode/batch.h"
#include "request/request.h"

/* cffi:begin */

/* Choose the level named by `force` (NULL or "": the best that runs here), let every unit
 * take its kernels for it, and compare each with its scalar definition. Before start.
 * PA_E_UNSUPPORTED: unknown or cannot run here, nothing changed. PA_E_SELFTEST: a kernel
 * disagrees; the units are left on their scalar definitions. */
pa_status pa_init(const char *force);

/* The level in use; PA_LEVEL_SCALAR before pa_init. Any thread. */
int pa_level_active(void);

/* The compiler that built the core, such as "gcc 12.2.0". Static storage. Any thread. */
const char *pa_compiler(void);
/* cffi:end */

#endif
