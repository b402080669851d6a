/* A text that grows, and JSON written into it. A failed allocation is remembered and makes the rest
 * do nothing, so that a caller checks once, at the end. */
#ifndef HAECHI_TEXT_H
#define HAECHI_TEXT_H

#include <haechi/slice.h>

typedef struct hx_text {
    char *ptr; /* NULL until the first byte; not NUL-terminated */
    size_t len, capacity;
    bool failed; /* out of memory */
} hx_text;

void hx_text_free(hx_text *text);
void hx_text_bytes(hx_text *text, const void *bytes, size_t len);
void hx_text_str(hx_text *text, const char *s);
void hx_text_printf(hx_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

void hx_text_uint(hx_text *text, uint64_t n);
void hx_text_hex(hx_text *text, uint64_t n); /* sixteen digits */
/* As printf's %.*g writes it, byte for byte: 1 to HX_TEXT_DIGITS_MAX digits. */
#define HX_TEXT_DIGITS_MAX 9
void hx_text_general(hx_text *text, double v, int digits);

/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the result is always
 * valid JSON. */
void hx_text_json_string(hx_text *text, hx_slice s);

/* "key": - with a comma before it unless the text ends in '{'. */
void hx_text_json_key(hx_text *text, const char *key);

/* A finite number in the shortest form that %.6g gives; NaN and infinity become null. */
void hx_text_json_number(hx_text *text, double v);

/* Microseconds since 1970 as "2025-08-30T10:15:30.123456Z" in quotes; HX_TIME_NONE (INT64_MIN) as
 * null. */
void hx_text_json_time(hx_text *text, int64_t time_us);

#endif
