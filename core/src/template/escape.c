#include "escape.h"

#include <haechi/utf8.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool starts_placeholder(const char *at, uint32_t room)
{
    return (room >= 3 && memcmp(at, "<*>", 3) == 0) || (room >= 5 && memcmp(at, "<...>", 5) == 0);
}

void hx_escape(hx_text *out, hx_slice bytes)
{
    for (uint32_t i = 0; i < bytes.len;) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        uint32_t length = hx_utf8_length((const unsigned char *)bytes.ptr + i, bytes.len - i);

        if (length == 0 || c < 0x20 || c == 0x7f) {
            hx_text_printf(out, "\\x%02x", c);
            length = 1;
        } else if (c == '\\') {
            hx_text_bytes(out, "\\\\", 2);
        } else {
            if (starts_placeholder(bytes.ptr + i, bytes.len - i))
                hx_text_bytes(out, "\\", 1);
            hx_text_bytes(out, bytes.ptr + i, length);
        }
        i += length;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int64_t hx_unescape(const char *escaped, char *out)
{
    char *to = out;

    for (const char *p = escaped; *p; p++) {
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        p++;
        if (*p == '\\' || *p == '<') {
            *to++ = *p;
        } else if (*p == 'x' && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
            *to++ = (char)(hex_value(p[1]) * 16 + hex_value(p[2]));
            p += 2;
        } else {
            return -1;
        }
    }
    return to - out;
}
