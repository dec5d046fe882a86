#include "polyarb.h"

static int active_level = PA_LEVEL_SCALAR; /* written before start only */

static pa_status use(int level) {
    pa_status status = pa_keccak_init(level);
    if (status == PA_OK) {
        status = pa_sha256_init(level);
    }
    if (status == PA_OK) {
        status = pa_decode_init(level);
    }
    if (status == PA_OK) {
        status = pa_scan_init(level);
    }
    return status;
}

pa_status pa_init(const char *force) {
    int level = PA_LEVEL_SCALAR;
    pa_status status = pa_level_choose(force, &level);
    if (status != PA_OK) {
        return status;
    }
    status = use(level);
    if (status != PA_OK) {
        level = PA_LEVEL_SCALAR;
        (void)use(level);
    }
    active_level = level;
    return status;
}

int pa_level_active(void) {
    return active_level;
}

const char *pa_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}
