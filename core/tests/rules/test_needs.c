/* What an expression cannot find without. */
#include "../check.h"
#include "rules/widen.h"

/* The texts of a kind as "a|b", with \\x.. for each byte. */
static void check_set(const char *pattern, const hx_needs *needs, hx_need kind, const char *want)
{
    hx_text got = {0}, wanted = {0};

    hx_needs_write(needs, hx_needs_of(needs, kind), &got);
    for (; *want; want++)
        if (*want == '|')
            hx_text_str(&wanted, "|");
        else
            hx_text_printf(&wanted, "\\x%02x", (unsigned char)*want);
    if (got.len != wanted.len || (got.len && memcmp(got.ptr, wanted.ptr, got.len) != 0))
        fprintf(stderr, "of %s: %.*s\n", pattern, (int)got.len, got.len ? got.ptr : "");
    CHECK_BYTES(got.ptr, got.len, wanted.ptr, wanted.len);
    hx_text_free(&got);
    hx_text_free(&wanted);
}

static void test_table(void)
{
    static const struct {
        const char *in, *word, *number;
    } cases[] = {
        {"port 8080", "port ", "8080"},
        {"(?:login|key) .*\\bport (?:8244|44050)\\b", "port ", "8244|44050"},
        {"(?:login|password).*x", "login|password", ""},
        {"(?i)Event(?:ID)?[=: ]+(4624|4625)", "Event", "4624|4625"},
        {"CVE-20[12][0-9]-1234", "CVE-", "1234"},
        {"\\x34\\x36", "", "46"},
        {"ab|cd12", "ab|cd", ""},
        {"a12|b345", "a|b", "12|345"},
        {"(?:12)?34", "", "34"},
        {"(?:12)*", "", ""},
        {"(?:12){0,3}x", "x", ""},
        {"(?:123){2}x", "x", "123"},
        {"123?4", "", "12"},
        {"123+4", "", "123"},
        {"123{2}4", "", "123"},
        {"12\\b34", "", "12"},
        {"12.34|5", "", "12|5"},
        {"12^3", "", "12"},
        {"((1|2)(3|456))", "", "1|2"},
        {"(a|)bc", "bc", ""},
        {"(|12)", "", ""},
        {"|12", "", ""},
        {"12|", "", ""},
        {"\\d{4}", "", ""},
        {"[12]", "", ""},
        {"1(?i)2", "", "1"},
        {"", "", ""},
    };
    hx_byte_set digits = {{0}};

    hx_byte_set_add(&digits, '0', '9');
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static hx_needs needs;
        hx_widening widening;

        hx_widen(hx_slice_str(cases[i].in), &digits, &widening, &needs);
        CHECK(widening.kind != HX_WIDEN_UNKNOWN);
        check_set(cases[i].in, &needs, HX_NEED_WORD, cases[i].word);
        check_set(cases[i].in, &needs, HX_NEED_NUMBER, cases[i].number);
        hx_text_free(&widening.text);
    }
}

/* Digits and others in a row. */
static void test_texts(void)
{
    static const struct {
        const char *in, *text;
    } cases[] = {
        {"port 8080", "port 8080"},
        {"\\b13\\.4\\.(?:57|1[0-9][0-9])\\.", "13.4."},
        {"a12|b345", "a12|b345"},
        {"CVE-20[12][0-9]-1234", "CVE-20"},
        {"ab1?2", "ab"},
        {"12.3456", "3456"},
        {"x(?:1|22)y", "x"},
    };
    hx_byte_set digits = {{0}};

    hx_byte_set_add(&digits, '0', '9');
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static hx_needs needs;
        hx_widening widening;

        hx_widen(hx_slice_str(cases[i].in), &digits, &widening, &needs);
        check_set(cases[i].in, &needs, HX_NEED_TEXT, cases[i].text);
        hx_text_free(&widening.text);
    }
}

/* More texts, or longer ones, than there is room for. */
static void test_bounds(void)
{
    static hx_needs needs;
    const hx_need_set *set;
    uint32_t bytes = 0;

    hx_needs_begin(&needs);
    for (int i = 0; i < HX_NEEDS_ANY; i++) {
        hx_needs_byte(&needs, (unsigned char)('a' + i));
        if (i + 1 < HX_NEEDS_ANY)
            hx_needs_alternative(&needs);
    }
    hx_needs_end(&needs);
    CHECK_INT(hx_needs_of(&needs, HX_NEED_WORD)->count, HX_NEEDS_ANY);

    hx_needs_begin(&needs);
    for (int i = 0; i <= HX_NEEDS_ANY; i++) {
        hx_needs_byte(&needs, 'x');
        hx_needs_alternative(&needs);
    }
    hx_needs_end(&needs);
    CHECK_INT(hx_needs_of(&needs, HX_NEED_WORD)->count, 0);

    hx_needs_begin(&needs);
    hx_needs_byte(&needs, '1');
    for (int i = 0; i < 2 * HX_NEEDS_BYTES; i++)
        hx_needs_byte(&needs, 'y');
    hx_needs_byte(&needs, '2');
    hx_needs_end(&needs);
    set = hx_needs_of(&needs, HX_NEED_WORD);
    for (uint32_t i = 0; i < set->count; i++)
        bytes += set->any[i].length;
    CHECK_INT(bytes, HX_NEEDS_BYTES - 1);
    CHECK_INT(hx_needs_of(&needs, HX_NEED_NUMBER)->count, 1);
}

int main(void)
{
    test_table();
    test_texts();
    test_bounds();
    return 0;
}
