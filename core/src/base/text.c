#include <haechi/text.h>
#include <haechi/utf8.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void hx_text_free(hx_text *text)
{
    free(text->ptr);
    *text = (hx_text){0};
}

static bool reserve(hx_text *text, size_t more)
{
    size_t want = text->len + more, capacity = text->capacity ? text->capacity : 256;
    char *grown;

    if (text->failed)
        return false;
    if (want <= text->capacity)
        return true;
    while (capacity < want)
        capacity *= 2;
    grown = realloc(text->ptr, capacity);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->ptr = grown;
    text->capacity = capacity;
    return true;
}

void hx_text_bytes(hx_text *text, const void *bytes, size_t len)
{
    if (len == 0 || !reserve(text, len))
        return;
    memcpy(text->ptr + text->len, bytes, len);
    text->len += len;
}

void hx_text_str(hx_text *text, const char *s)
{
    hx_text_bytes(text, s, strlen(s));
}

void hx_text_printf(hx_text *text, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(text, (size_t)n + 1))
        return;
    va_start(args, format);
    vsnprintf(text->ptr + text->len, (size_t)n + 1, format, args);
    va_end(args);
    text->len += (size_t)n;
}

static void json_escape(hx_text *text, unsigned char c)
{
    static const char short_forms[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *at = memchr(short_forms, c, sizeof short_forms - 1);

    if (at)
        hx_text_printf(text, "\\%c", letters[at - short_forms]);
    else
        hx_text_printf(text, "\\u%04x", c);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The high bit of each byte of x that is nought, and perhaps of bytes above such a one. */
static inline uint64_t noughts(uint64_t x)
{
    return (x - UINT64_C(0x0101010101010101)) & ~x & UINT64_C(0x8080808080808080);
}

/* How many bytes stand for themselves at the beginning, eight at a time. */
static size_t plain_run(const unsigned char *p, size_t len)
{
    const uint64_t each = UINT64_C(0x0101010101010101), high = 0x80 * each;
    size_t run = 0;

    for (; run + 8 <= len; run += 8) {
        uint64_t x;

        memcpy(&x, p + run, sizeof x);
        if (((x & high) | ((x - 0x20 * each) & ~x & high) | noughts(x ^ '"' * each) |
             noughts(x ^ '\\' * each) | noughts(x ^ 0x7f * each)) != 0)
            break;
    }
    while (run < len && is_plain(p[run]))
        run++;
    return run;
}

void hx_text_json_string(hx_text *text, hx_slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    hx_text_bytes(text, "\"", 1);
    for (size_t i = 0; i < s.len;) {
        size_t run = i + plain_run(p + i, s.len - i), n = 0;

        while (run < s.len && p[run] >= 0x80 && (n = hx_utf8_length(p + run, s.len - run)) > 0)
            run += n + plain_run(p + run + n, s.len - run - n);
        hx_text_bytes(text, p + i, run - i);
        i = run;
        if (i >= s.len)
            break;
        if (p[i] >= 0x80)
            hx_text_str(text, "\\ufffd");
        else
            json_escape(text, p[i]);
        i++;
    }
    hx_text_bytes(text, "\"", 1);
}

void hx_text_json_key(hx_text *text, const char *key)
{
    if (text->len && text->ptr[text->len - 1] != '{')
        hx_text_bytes(text, ", ", 2);
    hx_text_json_string(text, hx_slice_str(key));
    hx_text_bytes(text, ": ", 2);
}

void hx_text_json_number(hx_text *text, double v)
{
    if (isfinite(v))
        hx_text_general(text, v, 6);
    else
        hx_text_str(text, "null");
}

/* So many digits of n, with noughts before it. */
static void put_padded(char *at, uint32_t digits, uint64_t n)
{
    for (; digits-- > 0; n /= 10)
        at[digits] = (char)('0' + n % 10);
}

/* Days since 1970 as year, month and day of the calendar, for years from 1 to 9999: by years that
 * begin in March, of which four hundred have always as many days. */
static void put_date(char *at, int64_t days)
{
    const uint64_t n = (uint64_t)(days + 719468), era = n / 146097, of_era = n % 146097;
    const uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const uint64_t day = of_era - (365 * year + year / 4 - year / 100);
    const uint64_t march = (5 * day + 2) / 153; /* months since March */
    const uint64_t month = march < 10 ? march + 3 : march - 9;

    put_padded(at, 4, year + era * 400 + (month <= 2));
    put_padded(at + 5, 2, month);
    put_padded(at + 8, 2, day - (153 * march + 2) / 5 + 1);
}

/* Between these two, years have four digits. */
#define FIRST_SECOND INT64_C(-62135596800)
#define LAST_SECOND  INT64_C(253402300799)

static void put_time(hx_text *text, int64_t second, uint64_t fraction)
{
    char out[] = "\"0000-00-00T00:00:00.000000Z\"";
    const int64_t since = second - FIRST_SECOND, of_day = since % 86400;

    put_date(out + 1, (second - of_day) / 86400);
    put_padded(out + 12, 2, (uint64_t)of_day / 3600);
    put_padded(out + 15, 2, (uint64_t)of_day / 60 % 60);
    put_padded(out + 18, 2, (uint64_t)of_day % 60);
    put_padded(out + 21, 6, fraction);
    hx_text_bytes(text, out, sizeof out - 1);
}

void hx_text_json_time(hx_text *text, int64_t time_us)
{
    int64_t second = time_us / 1000000, fraction = time_us % 1000000;
    time_t t;
    struct tm tm;

    if (time_us == INT64_MIN) {
        hx_text_str(text, "null");
        return;
    }
    if (fraction < 0) {
        fraction += 1000000;
        second--;
    }
    if (second >= FIRST_SECOND && second <= LAST_SECOND) {
        put_time(text, second, (uint64_t)fraction);
        return;
    }
    t = (time_t)second;
    if (!gmtime_r(&t, &tm)) {
        hx_text_str(text, "null");
        return;
    }
    hx_text_printf(text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)fraction);
}
