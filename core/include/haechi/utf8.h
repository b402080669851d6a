/* Which bytes are UTF-8 (RFC 3629). */
#ifndef HAECHI_UTF8_H
#define HAECHI_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length, 1 to 4, of the sequence at p, of which room bytes (at least 1) may be read; 0 where
 * there is none: no overlong forms, no surrogates, nothing past U+10FFFF. */
uint32_t hx_utf8_length(const unsigned char *p, size_t room);

#endif
