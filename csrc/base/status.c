#include "base/status.h"

static const char *const NAMES[PA_STATUS_COUNT] = {
    [PA_OK] = "PA_OK",
    [PA_E_MALFORMED] = "PA_E_MALFORMED",
    [PA_E_RANGE] = "PA_E_RANGE",
    [PA_E_CAPACITY] = "PA_E_CAPACITY",
    [PA_E_BUSY] = "PA_E_BUSY",
    [PA_E_FUNDS] = "PA_E_FUNDS",
    [PA_E_BLOCKED] = "PA_E_BLOCKED",
    [PA_E_UNSUPPORTED] = "PA_E_UNSUPPORTED",
    [PA_E_SELFTEST] = "PA_E_SELFTEST",
    [PA_E_KEY] = "PA_E_KEY",
    [PA_E_FOREIGN] = "PA_E_FOREIGN",
    [PA_E_VERSION] = "PA_E_VERSION",
    [PA_E_TRUNCATED] = "PA_E_TRUNCATED",
    [PA_E_CORRUPT] = "PA_E_CORRUPT",
};

const char *pa_status_name(int status) {
    return status >= 0 && status < PA_STATUS_COUNT ? NAMES[status] : "PA_E_?";
}
