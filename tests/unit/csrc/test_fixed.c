/* Decimal text: the grammar's edges, every length, and nothing read past the end. */
#include "base/fixed.h"
#include "check.h"

static pa_status parse(const char *text, uint32_t decimals, int64_t *out) {
    const size_t bytes = strlen(text);
    uint8_t *copy = guarded(bytes);
    memcpy(copy, text, bytes);
    return pa_fixed_parse((const char *)copy, bytes, decimals, out);
}

static void accepts(const char *text, uint32_t decimals, int64_t expected) {
    int64_t value = -1;
    CHECK(parse(text, decimals, &value) == PA_OK);
    CHECK(value == expected);
}

static void refuses(const char *text, uint32_t decimals, pa_status expected) {
    int64_t value = -7;
    CHECK(parse(text, decimals, &value) == expected);
    CHECK(value == -7);
}

static void formats(int64_t value, uint32_t decimals, const char *expected) {
    char out[PA_FIXED_TEXT_MAX];
    size_t written = 99;
    CHECK(pa_fixed_format(value, decimals, out, sizeof out, &written) == PA_OK);
    CHECK(written == strlen(expected) && memcmp(out, expected, written) == 0);
    uint8_t *tight = guarded(written);
    CHECK(pa_fixed_format(value, decimals, (char *)tight, written, &written) == PA_OK);
    CHECK(pa_fixed_format(value, decimals, (char *)tight, written - 1, &written) == PA_E_CAPACITY);
    int64_t back = -1;
    CHECK(pa_fixed_parse(expected, strlen(expected), decimals, &back) == PA_OK && back == value);
}

int main(void) {
    accepts("0.5", 4, 5000);
    accepts(".5", 4, 5000);
    accepts("0.50", 4, 5000);
    accepts("30", 6, 30000000);
    accepts("30.", 6, 30000000);
    accepts("219.217767", 6, 219217767);
    accepts("0.5000000000000000000000", 4, 5000);
    accepts("0000000000000000000000000000001", 0, 1);
    accepts("0", 18, 0);
    accepts("9223372036854775807", 0, INT64_MAX);
    accepts("9223372036854.775807", 6, INT64_MAX);

    static const char *const BAD[] = {"",    ".",     "-1",  "+1",   " 1",  "1 ",    "1e3", "1E3",
                                      "NaN", "inf",   "1.2.3", "0x10", "1,5", "1_000", "\xd9\xa1", "1\n"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; ++i) {
        refuses(BAD[i], 6, PA_E_MALFORMED);
    }
    refuses("0.00001", 4, PA_E_MALFORMED);
    refuses("0.1234567", 6, PA_E_MALFORMED);
    refuses("9223372036854775808", 0, PA_E_RANGE);
    refuses("9223372036854.775808", 6, PA_E_RANGE);
    refuses("99999999999999999999999999999999999999", 0, PA_E_RANGE);
    refuses("99999999999999999999999999999999999999x", 0, PA_E_MALFORMED);
    refuses("1", 19, PA_E_RANGE);
    int64_t value = 0;
    CHECK(pa_fixed_parse("1\0002", 3, 0, &value) == PA_E_MALFORMED);

    formats(0, 6, "0");
    formats(500000, 6, "0.5");
    formats(1, 6, "0.000001");
    formats(30000000, 6, "30");
    formats(INT64_MAX, 6, "9223372036854.775807");
    formats(INT64_MAX, 0, "9223372036854775807");
    formats(INT64_MAX, 18, "9.223372036854775807");
    formats(100, 18, "0.0000000000000001");
    char out[PA_FIXED_TEXT_MAX];
    size_t written = 0;
    CHECK(pa_fixed_format(-1, 6, out, sizeof out, &written) == PA_E_RANGE);
    CHECK(pa_fixed_format(1, 19, out, sizeof out, &written) == PA_E_RANGE);

    uint64_t power = 1;
    for (uint32_t digits = 1; digits <= 20; ++digits, power *= 10) {
        char text[20], expected[24];
        for (uint64_t v = power - (digits > 1); v <= power; ++v) {
            const int bytes = snprintf(expected, sizeof expected, "%llu", (unsigned long long)v);
            CHECK(pa_decimal_digits(v) == (uint32_t)bytes);
            CHECK(pa_decimal_u64(v, text) == (uint32_t)bytes && memcmp(text, expected, (size_t)bytes) == 0);
        }
    }
    puts("fixed: ok");
    return 0;
}
