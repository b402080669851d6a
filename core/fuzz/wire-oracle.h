/* What must hold for any format and any lines: nothing but 0 or HX_EMALFORMED, slices inside the
 * line, and a scratch that remembers gives what a fresh one gives. */
#ifndef HAECHI_FUZZ_WIRE_ORACLE_H
#define HAECHI_FUZZ_WIRE_ORACLE_H

#include <haechi/format.h>

#include <stdlib.h>

#define WIRE_NOW_US INT64_C(1763800000000000)

static inline void wire_inside(hx_slice part, hx_slice line)
{
    if (part.len && (part.ptr < line.ptr || part.ptr + part.len > line.ptr + line.len))
        abort();
}

static inline void wire_check_line(const hx_format *format, hx_slice line,
                                   hx_format_scratch *remembering)
{
    hx_format_scratch fresh = {.now_us = remembering->now_us};
    hx_record record, again;
    int rc = hx_format_parse(format, line, remembering, &record);

    if (rc != 0 && rc != HX_EMALFORMED)
        abort();
    if (hx_format_parse(format, line, &fresh, &again) != rc || again.time_us != record.time_us ||
        !hx_slice_equal(again.message, record.message))
        abort();
    if (rc && (record.message.ptr != line.ptr || record.message.len != line.len))
        abort();
    wire_inside(record.host, line);
    wire_inside(record.process, line);
    wire_inside(record.pid, line);
    wire_inside(record.thread, line);
    wire_inside(record.level, line);
    wire_inside(record.msgid, line);
    wire_inside(record.structured_data, line);
    wire_inside(record.message, line);
}

/* Each line by each format, in memory of its own, so that a byte read too many is seen. */
static inline void wire_check_lines(hx_format *const *formats, hx_format_scratch *scratches,
                                    uint32_t count, const char *bytes, size_t len)
{
    const char *end = bytes + len;

    for (const char *p = bytes;;) {
        const char *newline = len ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        size_t line_len = (size_t)((newline ? newline : end) - p);
        char *copy = malloc(line_len);

        if (line_len && copy)
            memcpy(copy, p, line_len);
        for (uint32_t i = 0; i < count && copy; i++)
            wire_check_line(formats[i], hx_slice_make(copy, line_len), &scratches[i]);
        free(copy);
        if (!newline)
            return;
        p = newline + 1;
    }
}

#endif
