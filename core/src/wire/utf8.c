#include "wire.h"

/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
static int sequence_length(const unsigned char *p, const unsigned char *end)
{
    unsigned char low = 0x80, high = 0xbf;
    int len;

    if (*p < 0x80)
        return 1;
    if (*p < 0xc2 || *p > 0xf4)
        return 0;
    len = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    if (*p == 0xe0)
        low = 0xa0;
    else if (*p == 0xed)
        high = 0x9f;
    else if (*p == 0xf0)
        low = 0x90;
    else if (*p == 0xf4)
        high = 0x8f;
    if (end - p < len || p[1] < low || p[1] > high)
        return 0;
    for (int i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

const char *wire_utf8_valid_end(const char *p, const char *end)
{
    while (p < end) {
        uint64_t word;
        int len;

        if (end - p >= 8) {
            memcpy(&word, p, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                p += 8;
                continue;
            }
        }
        len = sequence_length((const unsigned char *)p, (const unsigned char *)end);
        if (len == 0)
            return p;
        p += len;
    }
    return p;
}
