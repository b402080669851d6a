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

void hx_text_json_string(hx_text *text, hx_slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    hx_text_bytes(text, "\"", 1);
    for (size_t i = 0; i < s.len;) {
        size_t run = i, n = 0;

        while (run < s.len && p[run] >= 0x20 && p[run] != '"' && p[run] != '\\' && p[run] != 0x7f &&
               (n = hx_utf8_length(p + run, s.len - run)) > 0)
            run += n;
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
        hx_text_printf(text, "%.6g", v);
    else
        hx_text_str(text, "null");
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
    t = (time_t)second;
    if (!gmtime_r(&t, &tm)) {
        hx_text_str(text, "null");
        return;
    }
    hx_text_printf(text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)fraction);
}
