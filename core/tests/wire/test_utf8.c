/* UTF-8's check against its definition: every code point, and every sequence of up to three bytes.
 */
#include "../check.h"
#include "wire/wire.h"

static size_t encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Bit n: the n bytes form one character. Filled from the code points, so it is the definition. */
static unsigned char two[256 * 256 / 8], three[256 * 256 * 256 / 8];

static bool marked(const unsigned char *set, uint32_t i)
{
    return set[i >> 3] >> (i & 7) & 1;
}

static void test_code_points(void)
{
    char text[16];

    for (uint32_t c = 0; c < 0x200000; c++) {
        bool exists = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        size_t len = encode(c, text);
        const unsigned char *u = (const unsigned char *)text;

        CHECK_INT(wire_utf8_valid_end(text, text + len) == text + len, exists);
        if (len > 1) /* cut short */
            CHECK(wire_utf8_valid_end(text, text + len - 1) == text);
        if (exists && len == 2)
            two[(u[0] << 8 | u[1]) >> 3] |= (unsigned char)(1 << (u[1] & 7));
        if (exists && len == 3)
            three[(u[0] << 16 | u[1] << 8 | u[2]) >> 3] |= (unsigned char)(1 << (u[2] & 7));
    }
}

static void test_every_three_bytes(void)
{
    char text[3];

    for (uint32_t i = 0; i < 1 << 24; i++) {
        bool a = i >> 16 < 0x80, b = (i >> 8 & 0xff) < 0x80, c = (i & 0xff) < 0x80;
        bool want = marked(three, i) || (a && b && c) || (marked(two, i >> 8) && c) ||
                    (a && marked(two, i & 0xffff));

        text[0] = (char)(i >> 16);
        text[1] = (char)(i >> 8);
        text[2] = (char)i;
        CHECK_INT(wire_utf8_valid_end(text, text + 3) == text + 3, want);
    }
}

int main(void)
{
    test_code_points();
    test_every_three_bytes();
    return 0;
}
