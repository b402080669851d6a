/* Which template a message gets: the most specific that fits, or none. */
#include "../check.h"

#include <haechi/template.h>

static const char json[] =
    "{\"format\": 1, \"max_tokens\": 8, \"templates\": ["
    "{\"text\": \"0\", \"tokens\": [\"user\", \"<*>\", \"logged\", \"in\"]},"
    "{\"text\": \"1\", \"tokens\": [\"user\", \"root\", \"logged\", \"<*>\"]},"
    "{\"text\": \"2\", \"tokens\": [\"user\", \"root\", \"logged\", \"in\"]},"
    "{\"text\": \"3\", \"tokens\": [\"user\", \"<#>\", \"logged\", \"in\"]},"
    "{\"text\": \"4\", \"tokens\": [\"user\", \"<+>\", \"in\"]},"
    "{\"text\": \"5\", \"tokens\": [\"user\", \"<...>\"]},"
    "{\"text\": \"6\", \"tokens\": [\"<*>\", \"started\"]},"
    "{\"text\": \"7\", \"tokens\": [\"unit\", \"failed\"]},"
    "{\"text\": \"8\", \"tokens\": [\"unit\", \"failed\", \"<+>\", \"reason\", \"<+>\", \"end\"]},"
    "{\"text\": \"9\", \"tokens\": [\"averyveryverylongword\", \"x\"]},"
    "{\"text\": \"10\", \"tokens\": [\"averyveryverylongwork\", \"x\"]},"
    "{\"text\": \"11\", \"tokens\": [\"caf\\u00e9\", \"\\\\xff\\\\xfe\"]},"
    "{\"text\": \"12\", \"tokens\": [\"<#>\"]}"
    "]}";

static const struct {
    const char *message;
    uint32_t want;
} cases[] = {
    {"user root logged in", 2},
    {"user root logged out", 1},
    {"user bob logged in", 0},
    {"user bob logged out", 5},
    {"user 17 logged in", 3},
    {"user bob the builder logged in", 4},
    {"user root in in", 4},
    {"user in", 5},
    {"user", 5},
    {"user a b c d e f g h i j k", 5},
    {"user root", 5},
    {"cron started", 6},
    {"42 started", 6},
    {"cron daemon started", HX_KEY_UNSEEN},
    {"cron stopped", HX_KEY_UNSEEN},
    {"unit failed", 7},
    {"unit succeeded", HX_KEY_UNSEEN},
    {"unit failed a reason b end", 8},
    {"unit failed a reason reason b c end", 8},
    {"unit failed reason b end", HX_KEY_UNSEEN},
    {"unit failed a reason end", HX_KEY_UNSEEN},
    {"unit failed a b c d e f g", HX_KEY_UNSEEN},
    {"averyveryverylongword x", 9},
    {"averyveryverylongwork x", 10},
    {"averyveryverylongwor x", HX_KEY_UNSEEN},
    {"caf\xc3\xa9 \xff\xfe", 11},
    {"12345", 12},
    {"", HX_KEY_UNSEEN},
    {"...", HX_KEY_UNSEEN},
};

static void test_cases(const hx_matcher *matcher, hx_match_scratch *scratch)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].message);
        char *message = check_guard_copy(cases[i].message, len);

        CHECK_INT(hx_matcher_match(matcher, scratch, hx_slice_make(message, len)), cases[i].want);
        check_guard_free(message, len);
    }
}

static void test_texts(const hx_matcher *matcher)
{
    CHECK_INT(hx_matcher_count(matcher), 13);
    for (uint32_t i = 0; i < 13; i++)
        CHECK_INT(atoi(hx_matcher_text(matcher, i)), i);
    CHECK(hx_matcher_text(matcher, 13) == NULL);
    CHECK(hx_matcher_text(matcher, HX_KEY_UNSEEN) == NULL);
}

static uint64_t shape(hx_match_scratch *scratch, const char *message)
{
    return hx_template_shape(scratch, hx_slice_str(message));
}

static void test_shapes(hx_match_scratch *scratch)
{
    CHECK(shape(scratch, "port 22 open") == shape(scratch, "port 8080, open"));
    CHECK(shape(scratch, "port 22 open") != shape(scratch, "port 22 shut"));
    CHECK(shape(scratch, "port http open") != shape(scratch, "port 22 open"));
    CHECK(shape(scratch, "") != shape(scratch, "a"));
}

int main(void)
{
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    hx_error err = {{0}};

    CHECK_INT(hx_matcher_create(json, sizeof json - 1, &matcher, &err), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &scratch), 0);
    test_cases(matcher, scratch);
    test_texts(matcher);
    test_shapes(scratch);
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    return 0;
}
