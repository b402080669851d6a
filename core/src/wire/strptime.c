#include "scan.h"
#include "timestamp.h"

#include <haechi/hash.h>

/* Timestamps by a format in strptime's letters. A format is compiled to one operation a letter or
 * literal byte. The operations before a fraction are the stable part: its text is remembered in the
 * scratch, and a line that has the same text there costs a comparison. */

#define NOT_SET INT32_MIN

typedef struct parts {
    int year, year_of_century, month, day, day_of_year;
    int hour, minute, second, afternoon;
    int64_t epoch_s, fraction_us, offset_us;
} parts;

int wire_time_compile(const char *format, size_t len, size_t at, wire_time_program *program,
                      hx_error *err)
{
    bool has_month = false, has_day = false;

    *program = (wire_time_program){.id = hx_hash_bytes(format, len, HX_HASH_SEED) | 256};
    for (size_t i = 0; i < len; i++) {
        char op = 0, literal = format[i];

        if (program->count == WIRE_TIME_OPS)
            return hx_error_set(err, HX_EINVAL,
                                "pattern, byte %zu: the time format is longer than %d parts",
                                at + i, WIRE_TIME_OPS);
        if (literal == '%' && i + 1 < len && format[i + 1] != '%') {
            op = format[++i];
            if (!strchr("YymbBdeHIMSpzfajsh", op))
                return hx_error_set(
                    err, HX_EINVAL,
                    "pattern, byte %zu: time letter %%%c is not one of "
                    "%%Y %%y %%m %%b %%d %%e %%H %%I %%M %%S %%p %%z %%a %%j %%s %%f",
                    at + i - 1, op);
        } else if (literal == '%') {
            if (i + 1 == len)
                return hx_error_set(err, HX_EINVAL,
                                    "pattern, byte %zu: '%%' at the end of the time format",
                                    at + i);
            i++;
        } else if (wire_is_blank(literal)) {
            while (i + 1 < len && wire_is_blank(format[i + 1]))
                i++;
            literal = ' ';
        }
        program->op[program->count] = op;
        program->literal[program->count++] = literal;
        program->has_year |= op == 'Y';
        program->has_century |= op == 'Y';
        program->has_year |= op == 'y';
        program->has_epoch |= op == 's';
        program->has_date |= op == 'j';
        has_month |= op == 'm' || op == 'b' || op == 'B' || op == 'h';
        has_day |= op == 'd' || op == 'e';
    }
    if (program->count == 0)
        return hx_error_set(err, HX_EINVAL, "pattern, byte %zu: the time format is empty", at);
    if (has_month != has_day)
        return hx_error_set(err, HX_EINVAL,
                            "pattern, byte %zu: the time format has a month or a day, not both",
                            at);
    program->has_date |= has_month;
    program->stable = program->count;
    for (uint8_t i = 0; i < program->count; i++) {
        if (program->op[i] == 'f') {
            program->stable = i;
            break;
        }
    }
    for (uint8_t i = program->stable; i < program->count; i++)
        if (program->op[i] != 0 && program->op[i] != 'z' && program->op[i] != 'f')
            program->stable = 0; /* the calendar goes on after the fraction: nothing to remember */
    return 0;
}

/* From 1 to max_digits digits, between low and high. */
static const char *number_read(const char *p, const char *end, int max_digits, int low, int high,
                               int *value)
{
    const char *start = p;

    *value = 0;
    for (; p < end && p - start < max_digits && wire_is_digit(*p); p++)
        *value = *value * 10 + (*p - '0');
    return p == start || *value < low || *value > high ? NULL : p;
}

static const char *epoch_read(const char *p, const char *end, int64_t *epoch_s)
{
    const char *start = p;

    *epoch_s = 0;
    for (; p < end && wire_is_digit(*p); p++) {
        if (p - start == 11) /* the year 5138: a millisecond count, or junk */
            return NULL;
        *epoch_s = *epoch_s * 10 + (*p - '0');
    }
    return p - start < 9 ? NULL : p; /* before 1973: some other number */
}

static const char *half_day_read(const char *p, const char *end, int *afternoon)
{
    if (end - p < 2 || (p[1] | 32) != 'm' || ((p[0] | 32) != 'a' && (p[0] | 32) != 'p'))
        return NULL;
    *afternoon = (p[0] | 32) == 'p';
    return p + 2;
}

static const char *part_read(char op, const char *p, const char *end, parts *t)
{
    switch (op) {
    case 'Y':
        return number_read(p, end, 4, 1, 9999, &t->year);
    case 'y':
        return number_read(p, end, 2, 0, 99, &t->year_of_century);
    case 'm':
        return number_read(p, end, 2, 1, 12, &t->month);
    case 'b':
    case 'B':
    case 'h':
        return wire_month_read(p, end, &t->month);
    case 'd':
    case 'e':
        return number_read(wire_skip_blanks(p, end), end, 2, 1, 31, &t->day);
    case 'j':
        return number_read(p, end, 3, 1, 366, &t->day_of_year);
    case 'H':
        return number_read(wire_skip_blanks(p, end), end, 2, 0, 23, &t->hour);
    case 'I':
        return number_read(wire_skip_blanks(p, end), end, 2, 1, 12, &t->hour);
    case 'M':
        return number_read(p, end, 2, 0, 59, &t->minute);
    case 'S':
        return number_read(p, end, 2, 0, 60, &t->second);
    case 'p':
        return half_day_read(p, end, &t->afternoon);
    case 'a':
        return wire_weekday_read(p, end);
    case 's':
        return epoch_read(p, end, &t->epoch_s);
    case 'f':
        return wire_fraction_read(p, end, &t->fraction_us);
    default:
        return wire_zone_read(p, end, &t->offset_us);
    }
}

static const char *ops_run(const wire_time_program *program, uint8_t from, uint8_t to,
                           const char *p, const char *end, parts *t)
{
    for (uint8_t i = from; i < to && p; i++) {
        if (program->op[i]) {
            p = part_read(program->op[i], p, end, t);
        } else if (p == end) {
            p = NULL;
        } else if (program->literal[i] == ' ') {
            p = wire_is_blank(*p) ? wire_skip_blanks(p, end) : NULL;
        } else {
            p = *p == program->literal[i] ? p + 1 : NULL;
        }
    }
    return p;
}

/* The date of the parts in this year, as days since 1970; INT64_MIN where it has no such day. */
static int64_t day_in_year(const parts *t, int year)
{
    if (t->day_of_year != NOT_SET) {
        int days = wire_month_days(year, 2) == 29 ? 366 : 365;
        return t->day_of_year > days ? INT64_MIN : wire_days(year, 1, 1) + t->day_of_year - 1;
    }
    if (t->month == NOT_SET)
        return wire_days(year, 1, 1);
    return t->day > wire_month_days(year, t->month) ? INT64_MIN : wire_days(year, t->month, t->day);
}

/* The moment of the parts, without their fraction; HX_TIME_NONE where the date does not exist. */
static int64_t moment(const wire_time_program *program, const parts *t, int64_t now_us)
{
    int hour = t->afternoon == NOT_SET ? t->hour : t->hour % 12 + 12 * t->afternoon;
    int64_t clock_us = (hour * 3600 + t->minute * 60 + t->second) * WIRE_SECOND_US - t->offset_us;
    int64_t latest_us = now_us + WIRE_FUTURE_US;
    int year, step;

    if (program->has_epoch)
        return t->epoch_s * WIRE_SECOND_US - t->offset_us;
    if (program->has_century) {
        int64_t day = day_in_year(t, t->year);
        return day == INT64_MIN ? HX_TIME_NONE : day * WIRE_DAY_US + clock_us;
    }
    if (!program->has_date && !program->has_year) {
        /* A clock alone: today, or yesterday where that is more than half a day away. */
        int64_t today = now_us / WIRE_DAY_US - (now_us % WIRE_DAY_US < 0);
        int64_t time_us = today * WIRE_DAY_US + clock_us;
        return time_us > now_us + WIRE_DAY_US / 2 ? time_us - WIRE_DAY_US : time_us;
    }
    year = wire_year_of(latest_us) + 1; /* a zone may put it into the year before */
    step = program->has_year ? 100 : 1;
    if (program->has_year)
        year += (t->year_of_century - year % 100 + 100) % 100;
    for (int tries = 0; tries < 10; tries++, year -= step) {
        int64_t day = day_in_year(t, year);
        if (day != INT64_MIN && day * WIRE_DAY_US + clock_us <= latest_us)
            return day * WIRE_DAY_US + clock_us;
    }
    return HX_TIME_NONE;
}

/* Whether what the scratch remembers is this text's value: the same bytes, the byte that ended them
 * included (the readers look one byte ahead, so a longer number does not pass for a shorter one),
 * and, where now decides the year, a now that decides the same. */
static bool remembered(const wire_time_program *program, const char *p, const char *end,
                       const hx_format_scratch *scratch)
{
    int64_t ago_us;

    if (scratch->owner != program->id || (size_t)(end - p) < scratch->text_len ||
        memcmp(p, scratch->text, scratch->text_len) != 0)
        return false;
    if (program->has_century || program->has_epoch)
        return true;
    if (!program->has_date)
        return false;
    ago_us = scratch->now_us + WIRE_FUTURE_US - scratch->time_us;
    return ago_us >= 0 && ago_us < 365 * WIRE_DAY_US;
}

const char *wire_time_run(const wire_time_program *program, const char *p, const char *end,
                          hx_format_scratch *scratch, int64_t *time_us)
{
    parts t = {NOT_SET, NOT_SET, NOT_SET, NOT_SET, NOT_SET, 0, 0, 0, NOT_SET, 0, 0, 0};
    uint8_t first = program->stable;
    int64_t base_us;

    if (first && remembered(program, p, end, scratch)) {
        base_us = scratch->time_us;
        p += scratch->text_len - 1;
    } else {
        const char *start = p;
        uint8_t stop = first ? first : program->count;
        p = ops_run(program, 0, stop, p, end, &t);
        if (!p)
            return NULL;
        base_us = moment(program, &t, scratch->now_us);
        if (base_us == HX_TIME_NONE)
            return NULL;
        if (first && p < end && (size_t)(p - start) < sizeof scratch->text) {
            scratch->owner = program->id;
            scratch->text_len = (uint32_t)(p - start) + 1;
            memcpy(scratch->text, start, scratch->text_len);
            scratch->time_us = base_us;
        }
        first = stop;
        t.offset_us = 0; /* is in base_us */
    }
    p = ops_run(program, first, program->count, p, end, &t);
    *time_us = base_us + t.fraction_us - t.offset_us;
    return p;
}
