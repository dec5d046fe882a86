/* Decimal text: accepts exactly the grammar, exactly the value, or answers a documented status.
 * Input: one byte of decimals, then the text. */
#include "base/fixed.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether [text, text+bytes) is of the grammar, and how many digits lie behind the point. */
static int grammatical(const char *text, size_t bytes, size_t *fraction) {
    size_t digits = 0, points = 0;
    *fraction = 0;
    for (size_t i = 0; i < bytes; ++i) {
        const int digit = text[i] >= '0' && text[i] <= '9';
        if (!digit && text[i] != '.') {
            return 0;
        }
        points += text[i] == '.';
        digits += (size_t)digit;
        *fraction += (size_t)(digit && points > 0);
    }
    return digits > 0 && points <= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    const uint32_t decimals = data[0] % (PA_DECIMALS_MAX + 2);
    const size_t bytes = size - 1;
    const char *text = (const char *)data + 1;
    int64_t value = -1;
    const pa_status status = pa_fixed_parse(text, bytes, decimals, &value);
    CHECK(status == PA_OK || status == PA_E_MALFORMED || status == PA_E_RANGE);
    size_t fraction = 0;
    const int grammar = grammatical(text, bytes, &fraction);
    if (decimals > PA_DECIMALS_MAX) {
        CHECK(status == PA_E_RANGE);
        return 0;
    }
    CHECK(grammar || status == PA_E_MALFORMED);
    if (status != PA_OK) {
        CHECK(value == -1);
        return 0;
    }
    /* The value back to text, and that text, padded with zeros, is the input without its own. */
    char out[PA_FIXED_TEXT_MAX];
    size_t written = 0;
    int64_t again = -1;
    CHECK(pa_fixed_format(value, decimals, out, sizeof out, &written) == PA_OK);
    CHECK(pa_fixed_parse(out, written, decimals, &again) == PA_OK && again == value);
    unsigned __int128 expected = 0;
    size_t behind = 0;
    for (size_t i = 0, points = 0; i < bytes; ++i) {
        points += text[i] == '.';
        if (text[i] != '.' && (points == 0 || behind < decimals)) {
            expected = expected * 10 + (unsigned)(text[i] - '0');
            behind += points;
        }
    }
    for (; behind < decimals; ++behind) {
        expected *= 10;
    }
    CHECK(expected == (unsigned __int128)value);
    return 0;
}
