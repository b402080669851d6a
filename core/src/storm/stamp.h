/* A timestamp's text that follows a clock: only the digits that change are written. */
#ifndef HAECHI_STORM_STAMP_H
#define HAECHI_STORM_STAMP_H

#include <haechi/storm.h>

typedef struct hx_stamp {
    char text[32];    /* with the blank behind it */
    int64_t until_ns; /* the text holds for times below this and not below the one it was set to */
    int64_t second;   /* since 1970; of the text */
    uint32_t length;
    hx_line_form form;
} hx_stamp;

/* Nanoseconds of 64 bits reach from 1970 into 2262. */
#define HX_STAMP_MAX_NS INT64_MAX

/* Makes the first text. */
void hx_stamp_start(hx_stamp *stamp, hx_line_form form, int64_t time_ns);

/* Call when time_ns >= until_ns. Time does not go back. */
void hx_stamp_advance(hx_stamp *stamp, int64_t time_ns);

/* RFC 3339 in UTC with milliseconds, 24 bytes and a NUL. */
void hx_stamp_rfc3339(int64_t time_ns, char out[25]);

#endif
