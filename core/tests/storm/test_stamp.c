/* Timestamps and numbers: the text that follows the clock is the text made anew. */
#include "../check.h"
#include "storm/number.h"
#include "storm/stamp.h"

static const struct {
    int64_t time_ns;
    const char *text[3];
} stamps[] = {
    {0, {"1970-01-01T00:00:00.000Z ", "Jan  1 00:00:00 ", "1 1970-01-01T00:00:00.000000Z "}},
    {INT64_C(1756548930123456789),
     {"2025-08-30T10:15:30.123Z ", "Aug 30 10:15:30 ", "1 2025-08-30T10:15:30.123456Z "}},
    {INT64_C(1709251199999999999),
     {"2024-02-29T23:59:59.999Z ", "Feb 29 23:59:59 ", "1 2024-02-29T23:59:59.999999Z "}},
    {INT64_C(1735689600000001000),
     {"2025-01-01T00:00:00.000Z ", "Jan  1 00:00:00 ", "1 2025-01-01T00:00:00.000001Z "}},
};

static void test_texts(void)
{
    for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
        for (int form = 0; form < 3; form++) {
            hx_stamp stamp;
            hx_stamp_start(&stamp, (hx_line_form)form, stamps[i].time_ns);
            CHECK_BYTES(stamp.text, stamp.length, stamps[i].text[form],
                        strlen(stamps[i].text[form]));
        }
    }
}

/* Steps of all sizes over a leap day's end, against a stamp that is new at every step. */
static void test_advance(void)
{
    static const int64_t steps[] = {1, 999, 1000, 250000, 1000000, 999999999, 61000000007};

    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        for (int form = 0; form < 3; form++) {
            int64_t now = INT64_C(1709251199999000000) - 500 * steps[s];
            hx_stamp follows, fresh;

            hx_stamp_start(&follows, (hx_line_form)form, now);
            for (int i = 0; i < 2000; i++, now += steps[s]) {
                if (now >= follows.until_ns)
                    hx_stamp_advance(&follows, now);
                hx_stamp_start(&fresh, (hx_line_form)form, now);
                CHECK_BYTES(follows.text, follows.length, fresh.text, fresh.length);
                CHECK(now < follows.until_ns);
            }
        }
    }
}

static void test_numbers(void)
{
    uint32_t value = 0;

    /* Every value up to 100,000, then growing steps up to the bound. */
    while (value <= 99999999) {
        char got[16], want[16];
        size_t got_len = (size_t)(hx_number_write(got, value) - got);

        snprintf(want, sizeof want, "%u", value);
        CHECK_BYTES(got, got_len, want, strlen(want));
        if (value == 99999999)
            break;
        value += 1 + (value > 100000 ? value / 997 : 0);
        value = value > 99999999 ? 99999999 : value;
    }
}

int main(void)
{
    test_texts();
    test_advance();
    test_numbers();
    return 0;
}
