/* The 16-bytes-a-step searches find what their scalar twins find, at every place and length. */
#include "../check.h"
#include "wire/scan.h"

typedef const char *(*scan)(const char *p, const char *end);

static const struct {
    const char *name;
    scan wide, scalar;
} pairs[] = {
    {"blank", wire_scan_blank, wire_scan_blank_scalar},
    {"tag", wire_scan_tag, wire_scan_tag_scalar},
    {"close", wire_scan_close, wire_scan_close_scalar},
    {"printable", wire_scan_printable, wire_scan_printable_scalar},
    {"sd_value", wire_scan_sd_value, wire_scan_sd_value_scalar},
};

int main(void)
{
    char fill[70];

    memset(fill, 'x', sizeof fill);
    for (size_t n = 0; n < sizeof pairs / sizeof pairs[0]; n++) {
        for (size_t len = 0; len < sizeof fill; len += len < 35 ? 1 : 7) {
            char *text = check_guard_copy(fill, len);
            const char *end = text + len;

            CHECK(pairs[n].wide(text, end) == end);
            for (size_t at = 0; at < len; at++) {
                for (int byte = 0; byte < 256; byte++) {
                    text[at] = (char)byte;
                    if (pairs[n].wide(text, end) != pairs[n].scalar(text, end)) {
                        fprintf(stderr, "%s: byte %d at %zu of %zu\n", pairs[n].name, byte, at,
                                len);
                        return 1;
                    }
                }
                text[at] = 'x';
            }
            check_guard_free(text, len);
        }
    }
    return 0;
}
