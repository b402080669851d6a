/* Event times: from a timestamp's text to microseconds since 1970-01-01 UTC.
 *
 * Every reader takes [p, end), reads nothing outside it, and returns the first byte it did not
 * consume, or NULL where the text has not the form or names a day or an hour that does not exist.
 * The scratch remembers the part of the last text that changes rarely, and its value. */
#ifndef HAECHI_WIRE_TIMESTAMP_H
#define HAECHI_WIRE_TIMESTAMP_H

#include <haechi/error.h>
#include <haechi/format.h>

#define WIRE_SECOND_US INT64_C(1000000)
#define WIRE_DAY_US    (86400 * WIRE_SECOND_US)

/* A timestamp without a year gets the latest year (one without a century, the latest century) that
 * puts it no further than this after now: long enough for a sender's wrong clock and zone, short
 * enough that in January a December line belongs to the year before. */
#define WIRE_FUTURE_US (31 * WIRE_DAY_US)

/* Days since 1970-01-01 of a date in the Gregorian calendar (month 1..12, day 1..31). */
int64_t wire_days(int year, int month, int day);
int wire_month_days(int year, int month);
int wire_year_of(int64_t time_us);

/* YYYY-MM-DD, 'T' or a blank, HH:MM:SS, then at will '.' or ',' and 1 to 9 digits, then at will Z,
 * +hh:mm, +hhmm or +hh (also after a blank, where there is one before the clock). Second 60 (a leap
 * second) counts as the next minute's 0. */
const char *wire_iso_read(const char *p, const char *end, hx_format_scratch *scratch,
                          int64_t *time_us);

/* RFC 5424's TIMESTAMP: 'T', '.' with 1 to 6 digits at most, a zone always, no second 60. */
const char *wire_rfc5424_time_read(const char *p, const char *end, hx_format_scratch *scratch,
                                   int64_t *time_us);

/* RFC 3164's "Mmm dd hh:mm:ss", and at will a '.' and a fraction, as journalctl can add. */
const char *wire_bsd_time_read(const char *p, const char *end, hx_format_scratch *scratch,
                               int64_t *time_us);

/* A zone: Z, +hh:mm, +hhmm or +hh. */
const char *wire_zone_read(const char *p, const char *end, int64_t *offset_us);

/* A fraction's 1 to 9 digits, as microseconds (further digits are cut off). */
const char *wire_fraction_read(const char *p, const char *end, int64_t *fraction_us);

/* The English name of a month, short or in full; 1..12. Weekdays are read and not kept. */
const char *wire_month_read(const char *p, const char *end, int *month);
const char *wire_weekday_read(const char *p, const char *end);

/* --- timestamps by a format in strptime's letters -------------------------------------------- */

#define WIRE_TIME_OPS 32

typedef struct wire_time_program {
    uint64_t id; /* of the format's text: what the scratch remembers belongs to it */
    uint8_t count;
    uint8_t stable; /* the first ops, up to a fraction: what neighbouring lines share */
    bool has_year, has_century, has_date, has_epoch;
    char op[WIRE_TIME_OPS];      /* a letter of strptime's, or 0: literal */
    char literal[WIRE_TIME_OPS]; /* the literal's byte; a blank stands for one or more */
} wire_time_program;

/* HX_EINVAL with a sentence that names the letter; at is where format starts in the pattern. */
int wire_time_compile(const char *format, size_t len, size_t at, wire_time_program *program,
                      hx_error *err);
const char *wire_time_run(const wire_time_program *program, const char *p, const char *end,
                          hx_format_scratch *scratch, int64_t *time_us);

#endif
