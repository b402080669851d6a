/* Whether a text is told to have no clue of a pattern, and never where it has. */
#include "../check.h"
#include "rules/clues.h"
#include "rules/widen.h"

#include <stdlib.h>

static void add(hx_clues *clues, const char *pattern)
{
    static hx_needs needs;
    hx_byte_set digits = {{0}};
    hx_widening widening;

    hx_byte_set_add(&digits, '0', '9');
    hx_widen(hx_slice_str(pattern), &digits, &widening, &needs);
    CHECK(widening.kind != HX_WIDEN_UNKNOWN);
    hx_clues_add(clues, &needs);
    hx_text_free(&widening.text);
}

static void test_table(void)
{
    static const struct {
        const char *pattern, *text;
        bool there;
    } cases[] = {
        {"port 8080", "port 8080", true},
        {"port 8080", "8080", true}, /* what comes before the first digit is not looked at */
        {"port 8080", "port 8081", false},
        {"port 8080", "port 808", false},
        {"port 8080", "", false},
        {"port 123", "port 123", true},
        {"port 123", "12 and 3", false},
        {"\\b13\\.4\\.(?:57|1[0-9][0-9])", "from 113.4.7.9", true},
        {"\\b13\\.4\\.(?:57|1[0-9][0-9])", "from 13.40.7.9", false},
        {"(?:EventID|Code)=(?:4624|4625)", "x=4625", true},
        {"(?:EventID|Code)=(?:4624|4625)", "x=4626", false},
        {"0aB9", "0AB9", true},                 /* whichever case */
        {"0123456789abcdef", "01234567", true}, /* the first bytes */
        {"0123456789abcdef", "0123456", false},
        {"12", "7", true}, /* too short a clue is none */
        {"[0-9]{4}", "x", true},
        {"(?:123|x)", "y", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_clues clues = {0};
        const size_t length = strlen(cases[i].text);
        char *copy = malloc(length + !length); /* so that reading past its end is seen */

        add(&clues, cases[i].pattern);
        CHECK_INT(hx_clues_make(&clues), 0);
        memcpy(copy, cases[i].text, length);
        if (hx_clues_are_in(&clues, hx_slice_make(copy, length)) != cases[i].there)
            fprintf(stderr, "%s in %s\n", cases[i].pattern, cases[i].text);
        CHECK_INT(hx_clues_are_in(&clues, hx_slice_make(copy, length)), cases[i].there);
        free(copy);
        hx_clues_free(&clues);
    }
}

/* Each is found wherever it stands, among many others; and few texts have one by chance. */
static void test_many(void)
{
    hx_clues clues = {0};
    char text[128];
    uint32_t by_chance = 0;

    for (uint32_t i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "port %u", 10000 + 7 * i);
        add(&clues, text);
    }
    CHECK_INT(hx_clues_make(&clues), 0);
    for (uint32_t i = 0; i < 500; i++) {
        int length = snprintf(text, sizeof text, "%*s%u%*s", (int)(i % 40), "", 10000 + 7 * i,
                              (int)(i / 3 % 30), "");

        CHECK(hx_clues_are_in(&clues, hx_slice_make(text, (size_t)length)));
        length = snprintf(text, sizeof text, "10.%u.0.%u port %u", i, i, 50000 + 3 * i);
        by_chance += hx_clues_are_in(&clues, hx_slice_make(text, (size_t)length));
    }
    CHECK(by_chance == 0);
    hx_clues_free(&clues);
}

static void test_none(void)
{
    hx_clues clues = {0};

    CHECK_INT(hx_clues_make(&clues), 0);
    CHECK(!hx_clues_are_in(&clues, hx_slice_str("1234")));
    hx_clues_free(&clues);
}

int main(void)
{
    test_table();
    test_many();
    test_none();
    return 0;
}
