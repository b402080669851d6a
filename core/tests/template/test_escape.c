/* Any bytes go into text that is UTF-8 without control characters, and come back. */
#include "../check.h"
#include "template/escape.h"

static const struct {
    const char *bytes;
    uint32_t len;
    const char *want;
} cases[] = {
    {"plain", 5, "plain"},
    {"a\\b", 3, "a\\\\b"},
    {"a\tb\0c\x7f", 6, "a\\x09b\\x00c\\x7f"},
    {"caf\xc3\xa9", 5, "caf\xc3\xa9"},
    {"\xc3", 1, "\\xc3"},
    {"\xff\xfe", 2, "\\xff\\xfe"},
    {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"}, /* a surrogate is no UTF-8 */
    {"<*> and <...>", 13, "\\<*> and \\<...>"},
    {"a < b > c", 9, "a < b > c"},
};

static void check_round(const char *bytes, uint32_t len, const char *want)
{
    hx_text text = {0};
    char back[4096];

    hx_escape(&text, hx_slice_make(bytes, len));
    hx_text_bytes(&text, "", 1);
    CHECK(!text.failed);
    if (want)
        CHECK_BYTES(text.ptr, text.len - 1, want, strlen(want));
    CHECK_INT(hx_unescape(text.ptr, back), len);
    CHECK_BYTES(back, len, bytes, len);
    hx_text_free(&text);
}

int main(void)
{
    static const char *const wrong[] = {"\\", "a\\", "\\q", "\\x", "\\x1", "\\xg0", "\\xA0"};
    char room[16];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_round(cases[i].bytes, cases[i].len, cases[i].want);
    for (uint32_t i = 0; i < 65536; i++)
        check_round((char[]){(char)i, (char)(i >> 8), 'x'}, 3, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_INT(hx_unescape(wrong[i], room), -1);
    return 0;
}
