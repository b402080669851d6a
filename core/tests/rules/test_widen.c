/* Expressions made blind to which digit, or which byte of a value, stands somewhere. */
#include "../check.h"
#include "rules/widen.h"

static hx_byte_set digits(void)
{
    hx_byte_set set = {{0}};

    hx_byte_set_add(&set, '0', '9');
    return set;
}

static hx_byte_set letters(void)
{
    hx_byte_set set = digits();

    hx_byte_set_add(&set, 'a', 'z');
    hx_byte_set_add(&set, 'A', 'Z');
    hx_byte_set_add(&set, '_', '_');
    return set;
}

static void test_digits(void)
{
#define D "[\\x30-\\x39]"
    static const struct {
        const char *in;
        int kind;
        const char *out; /* NULL: as in */
        int has_word;
    } cases[] = {
        {"Failed password", HX_WIDEN_SAME, NULL, 1},
        {"\\d{1,3}\\.\\d+", HX_WIDEN_SAME, NULL, 0},
        {"[0-9a-f]{64}", HX_WIDEN_SAME, NULL, 0},
        {"[^0-9]x", HX_WIDEN_SAME, NULL, 0},
        {"[[:alnum:]]+[[:punct:]]", HX_WIDEN_SAME, NULL, 0},
        {"[]0-9]", HX_WIDEN_SAME, NULL, 0},
        {"[^]a]", HX_WIDEN_SAME, NULL, 0},
        {"\\bsu\\b.\\S\\s\\w\\W", HX_WIDEN_SAME, NULL, 1},
        {"a{2,3}", HX_WIDEN_SAME, NULL, 0},
        {"(?i:abc)|(?<name1>def)(?P<n2>g)", HX_WIDEN_SAME, NULL, 1},
        {"abc|\\d", HX_WIDEN_SAME, NULL, 0},
        {"(?:abc)?x", HX_WIDEN_SAME, NULL, 0},
        {"(?:abc|def)x", HX_WIDEN_SAME, NULL, 1},
        {"ab?", HX_WIDEN_SAME, NULL, 0},
        {"ab{0,2}", HX_WIDEN_SAME, NULL, 0},
        {"abcd*", HX_WIDEN_SAME, NULL, 1},
        {"port 22", HX_WIDEN_WIDER, "port " D D, 1},
        {"\\x31a", HX_WIDEN_WIDER, D "a", 1},
        {"\\061", HX_WIDEN_WIDER, D, 0},
        {"[0-4]", HX_WIDEN_WIDER, "(?:[0-4]|" D ")", 0},
        {"[^5]{2}", HX_WIDEN_WIDER, "(?:[^5]|" D "){2}", 0},
        {"x{a1}", HX_WIDEN_WIDER, "x{a" D "}", 1},
        {"[\\]1]", HX_WIDEN_WIDER, "(?:[\\]1]|" D ")", 0},
        {"a\\", HX_WIDEN_UNKNOWN, NULL, 0},
        {"(?=a)", HX_WIDEN_UNKNOWN, NULL, 0},
        {"(?#1)a", HX_WIDEN_UNKNOWN, NULL, 0},
        {"(?x) 1", HX_WIDEN_UNKNOWN, NULL, 0},
        {"(*UTF8)1", HX_WIDEN_UNKNOWN, NULL, 0},
        {"\\Q1\\E", HX_WIDEN_UNKNOWN, NULL, 0},
        {"\\1", HX_WIDEN_UNKNOWN, NULL, 0},
        {"a++", HX_WIDEN_UNKNOWN, NULL, 0},
        {"\\p{L}", HX_WIDEN_UNKNOWN, NULL, 0},
        {"a{2}{3}", HX_WIDEN_UNKNOWN, NULL, 0},
        {"^{3}", HX_WIDEN_UNKNOWN, NULL, 0},
        {"a{,3}", HX_WIDEN_UNKNOWN, NULL, 0},
        {"[a", HX_WIDEN_UNKNOWN, NULL, 0},
        {"[\\d-z]", HX_WIDEN_UNKNOWN, NULL, 0},
        {"[[:^digit:]]", HX_WIDEN_UNKNOWN, NULL, 0},
        {"(a", HX_WIDEN_UNKNOWN, NULL, 0},
        {"a)", HX_WIDEN_UNKNOWN, NULL, 0},
    };
    const hx_byte_set set = digits();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *want = cases[i].out ? cases[i].out : cases[i].in;
        hx_widening got;

        hx_widen(hx_slice_str(cases[i].in), &set, &got, NULL);
        if ((int)got.kind != cases[i].kind)
            fprintf(stderr, "of %s\n", cases[i].in);
        CHECK_INT(got.kind, cases[i].kind);
        if (got.kind != HX_WIDEN_UNKNOWN) {
            CHECK_BYTES(got.text.ptr, got.text.len, want, strlen(want));
            if ((int)got.has_word != cases[i].has_word)
                fprintf(stderr, "of %s\n", cases[i].in);
            CHECK_INT(got.has_word, cases[i].has_word);
        }
        hx_text_free(&got.text);
    }
}

static void test_without_words(void)
{
#define L "[\\x30-\\x39\\x41-\\x5a\\x5f-\\x5f\\x61-\\x7a]"
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\\b[0-9a-f]{64}\\b", "\\b(?:[0-9a-f]|" L "){64}\\b"},
        {"(?:\\d{1,3}\\.){3}:", "(?:(?:\\d|" L "){1,3}\\.){3}:"},
        {"[^\\x20-\\x7e]{4,}", "[^\\x20-\\x7e]{4,}"},
        {"\\D", "(?:\\D|" L ")"},
        {"[\\w.]", "[\\w.]"},
    };
    const hx_byte_set set = letters();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_widening got;

        hx_widen(hx_slice_str(cases[i].in), &set, &got, NULL);
        CHECK(got.kind != HX_WIDEN_UNKNOWN);
        CHECK_BYTES(got.text.ptr, got.text.len, cases[i].out, strlen(cases[i].out));
        hx_text_free(&got.text);
    }
}

/* Every prefix of something with everything in it: no byte past the end is read. */
static void test_cut_short(void)
{
    static const char whole[] =
        "^(?:a[^\\]\\x31[:digit:]-]{2,3}?|(?<n>\\x{41}\\012\\cA)|\\bfoo\\d*(?i)b{1,}(?'q'c)+)$";
    const hx_byte_set set = digits();

    for (size_t n = 0; n < sizeof whole; n++) {
        static hx_needs needs;
        char *copy = check_guard_copy(whole, n);
        hx_widening got;

        hx_widen(hx_slice_make(copy, n), &set, &got, &needs);
        hx_text_free(&got.text);
        check_guard_free(copy, n);
    }
}

/* For texts whose digits are zeros. */
static void test_blank(void)
{
#define Z "\\x30"
    static const struct {
        const char *in;
        int kind;
        const char *out; /* NULL: as in */
        int has_word;
    } cases[] = {
        {"Failed password", HX_WIDEN_SAME, NULL, 1},
        {"port 22", HX_WIDEN_WIDER, "port " Z Z, 1},
        {"(?:\\d{1,3}\\.){3}\\d{1,3}:\\d{4}\\b", HX_WIDEN_SAME,
         "(?:" Z "{1,3}\\.){3}" Z "{1,3}:" Z "{4}\\b", 1},
        {"x\\d{3}", HX_WIDEN_SAME, "x" Z "{3}", 1},
        {"x[0-9]{3,}", HX_WIDEN_SAME, "x" Z "{3,}", 1},
        {"x\\d\\dy", HX_WIDEN_SAME, "x" Z Z "y", 1},
        {"\\d+:\\d+", HX_WIDEN_SAME, Z "+:" Z "+", 0}, /* "0:0" is in too many texts */
        {"\\d{12}", HX_WIDEN_SAME, Z "{12}", 0},       /* and so are zeros alone */
        {"x\\d*\\d{2}", HX_WIDEN_SAME, "x" Z "*" Z "{2}", 0},
        {"x\\d?yz", HX_WIDEN_SAME, "x" Z "?yz", 1},
        {"x\\d{0,9}y", HX_WIDEN_SAME, "x" Z "{0,9}y", 0},
        {"ab\\d*", HX_WIDEN_SAME, "ab" Z "*", 1},
        {"[^0-9]{4}", HX_WIDEN_SAME, NULL, 0},
        {"\\D{4}[0-9a-f]", HX_WIDEN_SAME, NULL, 0},
        {"[1-9]", HX_WIDEN_WIDER, "(?:[1-9]|" Z ")", 0},
        {"(a", HX_WIDEN_UNKNOWN, NULL, 0},
    };
#undef Z
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *want = cases[i].out ? cases[i].out : cases[i].in;
        hx_widening got;

        hx_widen_blank(hx_slice_str(cases[i].in), &got);
        if ((int)got.kind != cases[i].kind || (int)got.has_word != cases[i].has_word)
            fprintf(stderr, "of %s\n", cases[i].in);
        CHECK_INT(got.kind, cases[i].kind);
        if (got.kind != HX_WIDEN_UNKNOWN) {
            CHECK_BYTES(got.text.ptr, got.text.len, want, strlen(want));
            CHECK_INT(got.has_word, cases[i].has_word);
        }
        hx_text_free(&got.text);
    }
}

int main(void)
{
    test_digits();
    test_blank();
    test_without_words();
    test_cut_short();
    return 0;
}
