#include "../check.h"

#include <haechi/quantity.h>

static void test_quantities(void)
{
    static const struct {
        const char *text;
        uint32_t digits;
        int rc;
        uint64_t want;
    } cases[] = {
        {"0", 0, 0, 0},
        {"1", 3, 0, 1000},
        {"0.5", 3, 0, 500},
        {".5", 3, 0, 500},
        {"5.", 3, 0, 5000},
        {"0.001", 3, 0, 1},
        {"0.0001", 3, HX_EINVAL, 0},
        {"4M", 3, 0, UINT64_C(4000000000)},
        {"4m", 0, 0, 4000000},
        {"750k", 0, 0, 750000},
        {"1.5K", 0, 0, 1500},
        {"1.2345k", 0, HX_EINVAL, 0},
        {"1.2345k", 3, 0, 1234500},
        {"20M", 3, 0, UINT64_C(20000000000)},
        {"1g", 0, 0, 1000000000},
        {"18446744073709551615", 0, 0, UINT64_MAX},
        {"18446744073709551616", 0, HX_EINVAL, 0},
        {"18446744073709551615", 1, HX_EINVAL, 0},
        {"18446744074G", 0, HX_EINVAL, 0},
        {"", 0, HX_EINVAL, 0},
        {".", 0, HX_EINVAL, 0},
        {"k", 0, HX_EINVAL, 0},
        {"1kk", 0, HX_EINVAL, 0},
        {"1 k", 0, HX_EINVAL, 0},
        {" 1", 0, HX_EINVAL, 0},
        {"1 ", 0, HX_EINVAL, 0},
        {"-1", 0, HX_EINVAL, 0},
        {"+1", 0, HX_EINVAL, 0},
        {"1e3", 0, HX_EINVAL, 0},
        {"0x10", 0, HX_EINVAL, 0},
        {"1,000", 0, HX_EINVAL, 0},
        {"1.2.3", 3, HX_EINVAL, 0},
        {"nan", 0, HX_EINVAL, 0},
        {"max", 0, HX_EINVAL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t got = 0;
        int rc = hx_quantity_parse(cases[i].text, cases[i].digits, &got);

        if (rc != cases[i].rc || got != cases[i].want)
            fprintf(stderr, "\"%s\" with %u digits\n", cases[i].text, cases[i].digits);
        CHECK_INT(rc, cases[i].rc);
        CHECK(got == cases[i].want);
    }
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        int rc;
        int64_t want;
    } cases[] = {
        {"30", 0, INT64_C(30000000000)},
        {"30s", 0, INT64_C(30000000000)},
        {"0.25", 0, 250000000},
        {"1.5ms", 0, 1500000},
        {"30m", 0, INT64_C(1800000000000)},
        {"24h", 0, INT64_C(86400000000000)},
        {"365d", 0, INT64_C(31536000000000000)},
        {"0", 0, 0},
        {"0.000000001", 0, 1},
        {"0.0000000001", HX_EINVAL, 0},
        {"9223372036.854775807", 0, INT64_MAX},
        {"9223372036.854775808", HX_EINVAL, 0},
        {"106752d", HX_EINVAL, 0},
        {"99999999999999999999", HX_EINVAL, 0},
        {"", HX_EINVAL, 0},
        {"s", HX_EINVAL, 0},
        {"-1s", HX_EINVAL, 0},
        {"1M", HX_EINVAL, 0},
        {"1S", HX_EINVAL, 0},
        {"1h30m", HX_EINVAL, 0},
        {"1 s", HX_EINVAL, 0},
        {"1us", HX_EINVAL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t got = 0;
        int rc = hx_duration_parse(cases[i].text, &got);

        if (rc != cases[i].rc || got != cases[i].want)
            fprintf(stderr, "\"%s\"\n", cases[i].text);
        CHECK_INT(rc, cases[i].rc);
        CHECK_INT(got, cases[i].want);
    }
}

int main(void)
{
    test_quantities();
    test_durations();
    return 0;
}
