#include "timestamp.h"

#include "scan.h"

#include <strings.h>

/* Whose text the scratch holds: a program's id is a hash, these two are the fixed forms. */
enum { OWNER_ISO = 1, OWNER_BSD = 2 };

#define ISO_MINUTE_LEN 16 /* "2025-08-30T10:15" */
#define BSD_LEN        15 /* "Oct 11 22:14:15" */

/* Howard Hinnant's civil-from-days arithmetic: years start in March, so that the leap day is last.
 */
int64_t wire_days(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

int wire_month_days(int year, int month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

int wire_year_of(int64_t time_us)
{
    int64_t days = time_us / WIRE_DAY_US - (time_us % WIRE_DAY_US < 0) + 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);

    return (int)(era * 400 + year_of_era + (day_of_year >= 306));
}

/* Two digits as a number, or -1. */
static inline int two_digits(const char *p)
{
    unsigned tens = (unsigned char)(p[0] - '0'), ones = (unsigned char)(p[1] - '0');
    return tens < 10 && ones < 10 ? (int)(tens * 10 + ones) : -1;
}

static const char *fraction_read_bytewise(const char *p, const char *end, int64_t *fraction_us)
{
    int64_t value = 0, scale = WIRE_SECOND_US / 10;
    const char *start = p;

    for (; p < end && wire_is_digit(*p); p++) {
        value += (*p - '0') * scale;
        scale /= 10;
    }
    *fraction_us = value;
    return p == start || p - start > 9 ? NULL : p;
}

static inline const char *fraction_read(const char *p, const char *end, int64_t *fraction_us)
{
#if WIRE_WORDS
    if (end - p >= 8) {
        /* All digits at once: a byte that is no digit gets its top bit in marks; the bytes from the
         * first such on are taken as zeros, and eight digits fold in three multiplications. */
        uint64_t digits = wire_load64(p) ^ UINT64_C(0x3030303030303030);
        uint64_t marks =
            ((digits + UINT64_C(0x7676767676767676)) | digits) & UINT64_C(0x8080808080808080);
        if (marks & ~UINT64_C(0xff)) {
            unsigned bits = (unsigned)__builtin_ctzll(marks) & ~7U;
            if (bits == 0)
                return NULL;
            digits &= (UINT64_C(1) << bits) - 1;
            digits = digits * 10 + (digits >> 8);
            digits =
                ((digits & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
                 (digits >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
                32;
            *fraction_us = (int64_t)(digits & UINT32_MAX) / 100;
            return p + bits / 8;
        }
    }
#endif
    return fraction_read_bytewise(p, end, fraction_us);
}

const char *wire_fraction_read(const char *p, const char *end, int64_t *fraction_us)
{
    return fraction_read(p, end, fraction_us);
}

const char *wire_zone_read(const char *p, const char *end, int64_t *offset_us)
{
    int hours, minutes = 0;
    bool west;

    *offset_us = 0;
    if (p == end)
        return NULL;
    if (*p == 'Z')
        return p + 1;
    if (*p != '+' && *p != '-')
        return NULL;
    west = *p++ == '-';
    if (end - p < 2 || (hours = two_digits(p)) < 0 || hours > 23)
        return NULL;
    p += 2;
    if (p < end && (*p == ':' || wire_is_digit(*p))) {
        p += *p == ':';
        if (end - p < 2 || (minutes = two_digits(p)) < 0 || minutes > 59)
            return NULL;
        p += 2;
    }
    *offset_us = (hours * 60 + minutes) * 60 * WIRE_SECOND_US;
    if (west)
        *offset_us = -*offset_us;
    return p;
}

/* "2025-08-30T10:15" to the microsecond its minute begins at, or HX_TIME_NONE. */
static int64_t iso_minute(const char *p)
{
    int century = two_digits(p), year = two_digits(p + 2), month = two_digits(p + 5);
    int day = two_digits(p + 8), hour = two_digits(p + 11), minute = two_digits(p + 14);

    if ((century | year | month | day | hour | minute) < 0 || p[4] != '-' || p[7] != '-' ||
        (p[10] != 'T' && p[10] != ' ') || p[13] != ':')
        return HX_TIME_NONE;
    year += century * 100;
    if (month < 1 || month > 12 || day < 1 || day > wire_month_days(year, month) || hour > 23 ||
        minute > 59)
        return HX_TIME_NONE;
    return (wire_days(year, month, day) * 1440 + hour * 60 + minute) * 60 * WIRE_SECOND_US;
}

/* The part to the second, which both ISO readers share. The minute is remembered: at a few million
 * lines a second it changes every hundred million lines or so. */
static inline const char *iso_to_second(const char *p, const char *end, hx_format_scratch *scratch,
                                        int max_second, int64_t *time_us)
{
    int second;

    if (end - p < 19)
        return NULL;
    if (scratch->owner != OWNER_ISO || wire_load64(p) != wire_load64(scratch->text) ||
        wire_load64(p + 8) != wire_load64(scratch->text + 8)) {
        int64_t minute_us = iso_minute(p);
        if (minute_us == HX_TIME_NONE)
            return NULL;
        scratch->owner = OWNER_ISO;
        scratch->text_len = ISO_MINUTE_LEN;
        memcpy(scratch->text, p, ISO_MINUTE_LEN);
        scratch->time_us = minute_us;
    }
    second = two_digits(p + 17);
    if (p[16] != ':' || second < 0 || second > max_second)
        return NULL;
    *time_us = scratch->time_us + second * WIRE_SECOND_US;
    return p + 19;
}

/* " +0200" after "2025-08-30 10:15:30", as Ruby and git write it: four digits, or it is a dash or a
 * number of what follows. */
static bool zone_after_blank(const char *p, const char *end)
{
    return end - p >= 6 && p[0] == ' ' && (p[1] == '+' || p[1] == '-') && two_digits(p + 2) >= 0 &&
           two_digits(p + 4) >= 0 && (end - p == 6 || !wire_is_digit(p[6]));
}

const char *wire_iso_read(const char *p, const char *end, hx_format_scratch *scratch,
                          int64_t *time_us)
{
    int64_t fraction_us = 0, offset_us = 0;
    const char *start = p;

    p = iso_to_second(p, end, scratch, 60, time_us);
    if (!p || p == end)
        return p;
    if ((*p == '.' || *p == ',') && end - p > 1 && wire_is_digit(p[1])) {
        p = fraction_read(p + 1, end, &fraction_us);
        if (!p)
            return NULL;
    }
    if (p < end && *p == 'Z') {
        p++;
    } else if (p < end && (*p == '+' || *p == '-')) {
        p = wire_zone_read(p, end, &offset_us);
        if (!p)
            return NULL;
    } else if (p < end && *p == ' ' && start[10] == ' ' && zone_after_blank(p, end)) {
        p = wire_zone_read(p + 1, end, &offset_us);
        if (!p)
            return NULL;
    }
    *time_us += fraction_us - offset_us;
    return p;
}

const char *wire_rfc5424_time_read(const char *p, const char *end, hx_format_scratch *scratch,
                                   int64_t *time_us)
{
    int64_t fraction_us = 0, offset_us = 0;

    if (end - p < 20 || p[10] != 'T')
        return NULL;
    p = iso_to_second(p, end, scratch, 59, time_us);
    if (!p)
        return NULL;
    if (*p == '.') {
        const char *digits = ++p;
        p = fraction_read(p, end, &fraction_us);
        if (!p || p - digits > 6)
            return NULL;
    }
    if (p < end && *p != 'Z' && (end - p < 6 || p[3] != ':'))
        return NULL;
    p = wire_zone_read(p, end, &offset_us);
    *time_us += fraction_us - offset_us;
    return p;
}

static const char month_names[12][10] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
static const char weekday_names[7][10] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                          "Friday", "Saturday", "Sunday"};

/* A run of letters that is one of the names, whole or its first three letters. */
static const char *name_read(const char *p, const char *end, const char (*names)[10], int count,
                             int *which)
{
    const char *start = p;
    size_t len;

    while (p < end && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
        p++;
    len = (size_t)(p - start);
    for (*which = 0; *which < count; ++*which)
        if ((len == 3 || len == strlen(names[*which])) &&
            strncasecmp(start, names[*which], len) == 0)
            return p;
    return NULL;
}

const char *wire_month_read(const char *p, const char *end, int *month)
{
    p = name_read(p, end, month_names, 12, month);
    ++*month;
    return p;
}

const char *wire_weekday_read(const char *p, const char *end)
{
    int which;
    return name_read(p, end, weekday_names, 7, &which);
}

/* "Oct 11 22:14:15" or "Oct  1 22:14:15"; the year comes from now. */
static int64_t bsd_time(const char *p, int64_t now_us)
{
    int month, day = p[4] == ' ' ? two_digits((char[2]){'0', p[5]}) : two_digits(p + 4);
    int hour = two_digits(p + 7), minute = two_digits(p + 10), second = two_digits(p + 13);

    if (!wire_month_read(p, p + 3, &month) || p[3] != ' ' || p[6] != ' ' || p[9] != ':' ||
        p[12] != ':' || (day | hour | minute | second) < 0 || day < 1 || hour > 23 || minute > 59 ||
        second > 60)
        return HX_TIME_NONE;
    for (int year = wire_year_of(now_us + WIRE_FUTURE_US), tries = 0; tries < 9; year--, tries++) {
        int64_t time_us;
        if (day > wire_month_days(year, month))
            continue; /* 29 February: the last leap year; eight years apart at most */
        time_us = (wire_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) *
                  WIRE_SECOND_US;
        if (time_us <= now_us + WIRE_FUTURE_US)
            return time_us;
    }
    return HX_TIME_NONE;
}

const char *wire_bsd_time_read(const char *p, const char *end, hx_format_scratch *scratch,
                               int64_t *time_us)
{
    int64_t ago_us;

    if (end - p < BSD_LEN)
        return NULL;
    ago_us = scratch->now_us + WIRE_FUTURE_US - scratch->time_us;
    if (scratch->owner != OWNER_BSD || wire_load64(p) != wire_load64(scratch->text) ||
        wire_load64(p + 7) != wire_load64(scratch->text + 7) || ago_us < 0 ||
        ago_us >= 365 * WIRE_DAY_US) {
        int64_t value_us = bsd_time(p, scratch->now_us);
        if (value_us == HX_TIME_NONE)
            return NULL;
        scratch->owner = OWNER_BSD;
        scratch->text_len = BSD_LEN;
        memcpy(scratch->text, p, BSD_LEN);
        scratch->time_us = value_us;
    }
    *time_us = scratch->time_us;
    p += BSD_LEN;
    if (end - p > 1 && *p == '.' && wire_is_digit(p[1])) {
        int64_t fraction_us;
        p = fraction_read(p + 1, end, &fraction_us);
        *time_us += p ? fraction_us : 0;
    }
    return p;
}
