/* Event times against the C library's calendar, and the rule for years that are not written. */
#include "../check.h"
#include "wire/timestamp.h"

#include <stdbool.h>
#include <time.h>

static const char *read_iso(const char *text, int64_t *time_us)
{
    hx_format_scratch scratch = {0};
    return wire_iso_read(text, text + strlen(text), &scratch, time_us);
}

/* Every day from year 1 to 9999 that is near a month's end, and each one around 1970 to 2100. */
static void test_calendar(void)
{
    for (int year = 1; year <= 9999; year += year < 1960 || year > 2101 ? 13 : 1) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= 32; day += year < 1960 && day < 27 ? 26 : 1) {
                struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
                time_t want = timegm(&tm);
                bool exists = tm.tm_mday == day;
                char text[32];
                int64_t time_us;

                snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                CHECK((read_iso(text, &time_us) != NULL) == exists);
                if (!exists)
                    continue;
                CHECK_INT(time_us, (int64_t)want * WIRE_SECOND_US);
                CHECK_INT(wire_year_of(time_us), year);
                CHECK_INT(wire_year_of(time_us - 1), month == 1 && day == 1 ? year - 1 : year);
            }
        }
    }
}

/* "Mmm dd" is never more than 31 days ahead of now, and never further back than it must be. */
static void test_years(void)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    hx_format_scratch scratch = {0};

    for (int64_t day = 11000; day < 11000 + 4 * 366; day += 3) {
        scratch.now_us = day * WIRE_DAY_US;
        for (int month = 0; month < 12; month++) {
            char text[32];
            int64_t time_us;

            snprintf(text, sizeof text, "%.3s 28 12:00:00", months[month]);
            CHECK(wire_bsd_time_read(text, text + 15, &scratch, &time_us) != NULL);
            CHECK(time_us <= scratch.now_us + WIRE_FUTURE_US);
            CHECK(time_us > scratch.now_us + WIRE_FUTURE_US - 366 * WIRE_DAY_US);
        }
    }
}

/* One text, and now moves on into the next year: the remembered value must not outlive its year. */
static void test_memory_across_years(void)
{
    static const char text[] = "Mar 10 00:00:00";
    hx_format_scratch scratch = {.now_us = wire_days(2024, 12, 1) * WIRE_DAY_US};
    int64_t time_us;

    CHECK(wire_bsd_time_read(text, text + 15, &scratch, &time_us) != NULL);
    CHECK_INT(wire_year_of(time_us), 2024);
    scratch.now_us = wire_days(2025, 2, 6) * WIRE_DAY_US;
    CHECK(wire_bsd_time_read(text, text + 15, &scratch, &time_us) != NULL);
    CHECK_INT(wire_year_of(time_us), 2024);
    scratch.now_us = wire_days(2025, 2, 8) * WIRE_DAY_US;
    CHECK(wire_bsd_time_read(text, text + 15, &scratch, &time_us) != NULL);
    CHECK_INT(wire_year_of(time_us), 2025);
}

/* The eight-bytes-at-once reader says what reading byte by byte says. */
static void test_fractions(void)
{
    for (uint32_t i = 0; i < 200000; i++) {
        char text[24];
        int digits = (int)(i % 11);
        int64_t got = -1, got_alone = -1, want = 0, scale = 100000;
        const char *end, *end_alone;

        for (int d = 0; d < digits; d++, scale /= 10) {
            text[d] = (char)('0' + (i * 2654435761U >> (d + 3)) % 10);
            want += (text[d] - '0') * scale;
        }
        memcpy(text + digits, "Z 0123456", 9);
        end = wire_fraction_read(text, text + digits + 9, &got);
        end_alone = wire_fraction_read(text, text + digits, &got_alone);
        CHECK((end != NULL) == (digits >= 1 && digits <= 9));
        CHECK((end_alone != NULL) == (end != NULL));
        if (end) {
            CHECK_INT(end - text, digits);
            CHECK_INT(got, want);
            CHECK_INT(got_alone, want);
        }
    }
}

int main(void)
{
    test_calendar();
    test_years();
    test_memory_across_years();
    test_fractions();
    return 0;
}
