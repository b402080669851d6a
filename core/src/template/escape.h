/* Templates and examples hold any bytes; templates.json holds UTF-8 that a person can read. So text
 * is escaped before it becomes a JSON string: a backslash is doubled, a control character or a byte
 * that is no UTF-8 becomes \xHH, and a "<" that would read as a placeholder becomes \<. */
#ifndef HAECHI_TEMPLATE_ESCAPE_H
#define HAECHI_TEMPLATE_ESCAPE_H

#include <haechi/slice.h>

#include <stdbool.h>
#include <stddef.h>

/* Bytes that grow. After an allocation failed, failed is set and appending does nothing. */
typedef struct hx_text {
    char *ptr;
    size_t len, room;
    bool failed;
} hx_text;

void hx_text_append(hx_text *text, const void *bytes, size_t len);
void hx_text_print(hx_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hx_text_free(hx_text *text);

void hx_escape(hx_text *out, hx_slice bytes);

/* The bytes again, into room of at least strlen(escaped); their number, or -1 where an escape is
 * none of ours. */
int64_t hx_unescape(const char *escaped, char *out);

/* A JSON string, quotes included, of text that is valid UTF-8. */
void hx_json_string(hx_text *out, const char *utf8, size_t len);

#endif
