/* Templates and examples hold any bytes; templates.json holds UTF-8 that a person can read. So text
 * is escaped before it becomes a JSON string: a backslash is doubled, a control character or a byte
 * that is no UTF-8 becomes \xHH, and a "<" that would read as a placeholder becomes \<. */
#ifndef HAECHI_TEMPLATE_ESCAPE_H
#define HAECHI_TEMPLATE_ESCAPE_H

#include <haechi/text.h>

void hx_escape(hx_text *out, hx_slice bytes);

/* The bytes again, into room of at least strlen(escaped); their number, or -1 where an escape is
 * none of ours. */
int64_t hx_unescape(const char *escaped, char *out);

#endif
