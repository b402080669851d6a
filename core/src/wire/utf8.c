#include "wire.h"

#include <haechi/utf8.h>

const char *wire_utf8_valid_end(const char *p, const char *end)
{
    while (p < end) {
        uint64_t word;
        uint32_t len;

        if (end - p >= 8) {
            memcpy(&word, p, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                p += 8;
                continue;
            }
        }
        len = hx_utf8_length((const unsigned char *)p, (size_t)(end - p));
        if (len == 0)
            return p;
        p += len;
    }
    return p;
}
