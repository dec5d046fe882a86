#include "base/fixed.h"

#include <stdbool.h>
#include <string.h>

static const uint64_t POW10[20] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL,
    1000000000ULL, 10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL,
    100000000000000ULL, 1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL,
    1000000000000000000ULL, 10000000000000000000ULL,
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* *value * 10 + digit, refused above INT64_MAX. */
static bool push_digit(uint64_t *value, char c) {
    const uint64_t digit = (uint64_t)(c - '0');
    if (*value > ((uint64_t)INT64_MAX - digit) / 10) {
        return false;
    }
    *value = *value * 10 + digit;
    return true;
}

pa_status pa_fixed_parse(const char *text, size_t bytes, uint32_t decimals, int64_t *out) {
    if (decimals > PA_DECIMALS_MAX) {
        return PA_E_RANGE;
    }
    const char *p = text;
    const char *const end = text + bytes;
    uint64_t value = 0;
    uint32_t fraction = 0;
    bool fits = true, digits = false;

    /* The whole text is read even after an overflow: what breaks the grammar is malformed
     * however large it is. */
    for (; p < end && is_digit(*p); ++p, digits = true) {
        fits = fits && push_digit(&value, *p);
    }
    if (p < end && *p == '.') {
        for (++p; p < end && is_digit(*p); ++p, digits = true) {
            if (fraction < decimals) {
                fits = fits && push_digit(&value, *p);
                ++fraction;
            } else if (*p != '0') {
                return PA_E_MALFORMED;
            }
        }
    }
    if (!digits || p != end) {
        return PA_E_MALFORMED;
    }
    for (; fits && fraction < decimals; ++fraction) {
        fits = push_digit(&value, '0');
    }
    if (!fits) {
        return PA_E_RANGE;
    }
    *out = (int64_t)value;
    return PA_OK;
}

uint32_t pa_decimal_digits(uint64_t value) {
    uint32_t digits = 1;
    while (digits < 20 && value >= POW10[digits]) {
        ++digits;
    }
    return digits;
}

uint32_t pa_decimal_u64(uint64_t value, char *out) {
    static const char PAIRS[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
        "46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
        "9293949596979899";
    const uint32_t digits = pa_decimal_digits(value);
    uint32_t i = digits;
    for (; i >= 2; i -= 2, value /= 100) {
        memcpy(out + i - 2, PAIRS + 2 * (value % 100), 2);
    }
    if (i == 1) {
        out[0] = (char)('0' + value);
    }
    return digits;
}

pa_status pa_fixed_format(int64_t value, uint32_t decimals, char *out, size_t capacity,
                          size_t *written) {
    if (value < 0 || decimals > PA_DECIMALS_MAX) {
        return PA_E_RANGE;
    }
    char text[PA_FIXED_TEXT_MAX];
    uint64_t fraction = (uint64_t)value % POW10[decimals];
    size_t bytes = pa_decimal_u64((uint64_t)value / POW10[decimals], text);
    if (fraction != 0) {
        uint32_t kept = decimals;
        for (; fraction % 10 == 0; fraction /= 10) {
            --kept;
        }
        text[bytes] = '.';
        for (uint32_t i = kept; i > 0; --i, fraction /= 10) {
            text[bytes + i] = (char)('0' + fraction % 10);
        }
        bytes += 1 + kept;
    }
    if (bytes > capacity) {
        return PA_E_CAPACITY;
    }
    memcpy(out, text, bytes);
    *written = bytes;
    return PA_OK;
}
