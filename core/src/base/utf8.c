#include <haechi/utf8.h>

uint32_t hx_utf8_length(const unsigned char *p, size_t room)
{
    unsigned char low = 0x80, high = 0xbf;
    uint32_t length;

    if (*p < 0x80)
        return 1;
    if (*p < 0xc2 || *p > 0xf4)
        return 0;
    length = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    if (*p == 0xe0)
        low = 0xa0;
    else if (*p == 0xed)
        high = 0x9f;
    else if (*p == 0xf0)
        low = 0x90;
    else if (*p == 0xf4)
        high = 0x8f;
    if (room < length || p[1] < low || p[1] > high)
        return 0;
    for (uint32_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}
