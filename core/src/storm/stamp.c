#include "storm/stamp.h"

#include <stdio.h>
#include <time.h>

enum { NS_PER_MS = 1000000, NS_PER_US = 1000 };
static const int64_t NS_PER_S = 1000000000;

static void digits_put(char *out, uint32_t value, uint32_t digits)
{
    while (digits--) {
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* The text down to the second. */
static void second_write(hx_stamp *stamp, int64_t second)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)second;
    struct tm tm;
    int n = 0;

    gmtime_r(&t, &tm);
    switch (stamp->form) {
    case HX_LINE_RFC3164:
        n = snprintf(stamp->text, sizeof stamp->text, "%s %2d %02d:%02d:%02d ", months[tm.tm_mon],
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        break;
    case HX_LINE_ISO:
    case HX_LINE_RFC5424:
        n = snprintf(stamp->text, sizeof stamp->text, "%s%04d-%02d-%02dT%02d:%02d:%02d.%sZ ",
                     stamp->form == HX_LINE_ISO ? "" : "1 ", (tm.tm_year + 1900) % 10000,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     stamp->form == HX_LINE_ISO ? "000" : "000000");
        break;
    }
    stamp->length = (uint32_t)n;
    stamp->second = second;
}

void hx_stamp_advance(hx_stamp *stamp, int64_t time_ns)
{
    int64_t start_ns = stamp->second * NS_PER_S;
    uint32_t part;

    if (time_ns - start_ns >= NS_PER_S) {
        second_write(stamp, time_ns / NS_PER_S);
        start_ns = stamp->second * NS_PER_S;
    }
    switch (stamp->form) {
    case HX_LINE_RFC3164:
        stamp->until_ns = start_ns + NS_PER_S;
        break;
    case HX_LINE_ISO:
        part = (uint32_t)(time_ns - start_ns) / NS_PER_MS;
        digits_put(stamp->text + 20, part, 3);
        stamp->until_ns = start_ns + (int64_t)(part + 1) * NS_PER_MS;
        break;
    case HX_LINE_RFC5424:
        part = (uint32_t)(time_ns - start_ns) / NS_PER_US;
        digits_put(stamp->text + 22, part, 6);
        stamp->until_ns = start_ns + (int64_t)(part + 1) * NS_PER_US;
        break;
    }
}

void hx_stamp_start(hx_stamp *stamp, hx_line_form form, int64_t time_ns)
{
    stamp->form = form;
    second_write(stamp, time_ns / NS_PER_S);
    hx_stamp_advance(stamp, time_ns);
}

void hx_stamp_rfc3339(int64_t time_ns, char out[25])
{
    hx_stamp stamp;

    hx_stamp_start(&stamp, HX_LINE_ISO, time_ns);
    memcpy(out, stamp.text, 24);
    out[24] = '\0';
}
