#include "escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 sequence at p (RFC 3629), 0 where there is none. */
static uint32_t utf8_length(const unsigned char *p, uint32_t room)
{
    static const struct {
        unsigned char from, to, second_from, second_to;
        uint32_t length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    if (p[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (p[0] < forms[i].from || p[0] > forms[i].to)
            continue;
        if (forms[i].length > room || p[1] < forms[i].second_from || p[1] > forms[i].second_to)
            return 0;
        for (uint32_t k = 2; k < forms[i].length; k++)
            if (p[k] < 0x80 || p[k] > 0xbf)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static bool starts_placeholder(const char *at, uint32_t room)
{
    return (room >= 3 && memcmp(at, "<*>", 3) == 0) || (room >= 5 && memcmp(at, "<...>", 5) == 0);
}

void hx_escape(hx_text *out, hx_slice bytes)
{
    for (uint32_t i = 0; i < bytes.len;) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        uint32_t length = utf8_length((const unsigned char *)bytes.ptr + i, bytes.len - i);

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
