/* Gates: which pattern is behind which, and which texts pass. */
#include "../check.h"
#include "rules/gate.h"

#include <stdlib.h>

static void test_patterns(void)
{
    static const struct {
        const char *pattern;
        int gate;
        uint32_t least;
    } cases[] = {
        {"\\b10\\.0\\.(?:5|1[0-9])\\.\\d{1,3}\\b", HX_GATE_ADDRESS, 8},
        {"\\d\\.\\d", HX_GATE_NONE, 0}, /* too short */
        {"\\b[0-9a-f]{64}\\b", HX_GATE_HEX, 64},
        {"(?i)\\bdeadbeef[0-9A-F]{2}", HX_GATE_HEX, 10},
        {"[0-9a-f]{7}", HX_GATE_NONE, 0},
        {"\\b[A-Z]{3}[0-9]{10}", HX_GATE_WORD, 13},
        {"(?i)[0-9A-F]{12}(?:[a-z]_)?", HX_GATE_WORD, 12},
        {"authentication", HX_GATE_NONE, 0}, /* a word is enough to begin with */
        {"deadbeefdeadbeefdeadbeef", HX_GATE_HEX, 24},
        {"[A-Za-z0-9+/]{40,}={0,2}", HX_GATE_CODED, 40},
        {"(?:[a-z]\\s){30,}", HX_GATE_SPELLED, 60},
        {"(?:[a-z]\\s){20,}", HX_GATE_NONE, 0}, /* many texts have so many */
        {"(?:[a-z]\\s){30,}permission denied", HX_GATE_NONE, 0},
        {"[^\\x20-\\x7e]{4,}", HX_GATE_BINARY, 4},
        {"[^\\x20-\\x7e]{4,} ?", HX_GATE_NONE, 0},
        {"[0-9a-f]{32}.", HX_GATE_NONE, 0},
        {"[0-9a-f]{32}\\s", HX_GATE_NONE, 0},
        {"[0-9a-f]{32}|x", HX_GATE_NONE, 0}, /* the shortest way counts */
        {"(?:[0-9a-f]{32}|\\w{13})", HX_GATE_WORD, 13},
        {"[^\\h!-~]{4}", HX_GATE_NONE, 0}, /* what \\h has is told differently */
        {"\\w{12}\\W?", HX_GATE_NONE, 0},
    };
    hx_byte_set digits = {{0}};
    hx_error err = {{0}};
    const hx_hyperscan *hs = hx_hyperscan_get(&err);

    if (!hs) {
        fprintf(stderr, "%s\n", err.text);
        exit(CHECK_SKIP);
    }
    hx_byte_set_add(&digits, '0', '9');
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_widening widening;
        uint32_t least = 0;
        hx_gate gate;

        hx_widen(hx_slice_str(cases[i].pattern), &digits, &widening, NULL);
        CHECK(widening.kind != HX_WIDEN_UNKNOWN);
        gate = hx_gate_find(hs, cases[i].pattern, HS_FLAG_SINGLEMATCH, &widening, &least);
        if ((int)gate != cases[i].gate)
            fprintf(stderr, "of %s\n", cases[i].pattern);
        CHECK_INT(gate, cases[i].gate);
        if (gate != HX_GATE_NONE)
            CHECK_INT(least, cases[i].least);
        hx_text_free(&widening.text);
    }
}

static void test_runs(void)
{
    static const struct {
        const char *text;
        uint32_t runs[HX_GATES];
    } cases[] = {
        {"", {0, 0, 0, 0, 0, 0}},
        {"from 10.0.0.1 port", {8, 2, 4, 4, 7, 0}},
        {"id=ab_12-3/x", {2, 2, 5, 12, 5, 0}},
        {"a\xff\x01\t\x7f b", {0, 1, 1, 1, 2, 4}},
        {"0123456789", {10, 10, 10, 10, 10, 0}},
        {"Ab0Fg", {1, 4, 5, 5, 5, 0}},
        {" ~ ~", {0, 0, 0, 0, 1, 0}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *copy = check_guard_copy(cases[i].text, strlen(cases[i].text));
        uint32_t runs[HX_GATES];

        hx_gate_runs(hx_slice_make(copy, strlen(cases[i].text)), runs);
        for (int gate = 0; gate < HX_GATES; gate++)
            CHECK_INT(runs[gate], cases[i].runs[gate]);
        check_guard_free(copy, strlen(cases[i].text));
    }
}

/* A run longer than can be counted. */
static void test_long_run(void)
{
    static char text[100000];
    uint32_t runs[HX_GATES];

    memset(text, 'x', sizeof text);
    memset(text, '1', 40000);
    hx_gate_runs(hx_slice_make(text, sizeof text), runs);
    CHECK_INT(runs[HX_GATE_ADDRESS], INT16_MAX);
    CHECK_INT(runs[HX_GATE_CODED], INT16_MAX);
    CHECK_INT(runs[HX_GATE_BINARY], 0);
}

int main(void)
{
    test_patterns();
    test_runs();
    test_long_run();
    return 0;
}
