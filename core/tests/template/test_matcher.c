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

/* A note is the form's, and gone with it. */
static void test_notes(const hx_matcher *matcher, hx_match_scratch *scratch)
{
    static char longer[300];
    uint32_t *note;

    hx_matcher_match(matcher, scratch, hx_slice_str("port 80 is open"));
    note = hx_matcher_note(scratch);
    CHECK(note != NULL && *note == 0);
    *note = 7;
    hx_matcher_match(matcher, scratch, hx_slice_str("port is open"));
    CHECK(hx_matcher_note(scratch) != note && *hx_matcher_note(scratch) == 0);
    hx_matcher_match(matcher, scratch, hx_slice_str("port 81 is open"));
    CHECK(hx_matcher_note(scratch) == note && *note == 7);
    memset(longer, 'x', sizeof longer);
    hx_matcher_match(matcher, scratch, hx_slice_make(longer, sizeof longer));
    CHECK(hx_matcher_note(scratch) == NULL);
    hx_matcher_forget_notes(scratch);
    hx_matcher_match(matcher, scratch, hx_slice_str("port 82 is open"));
    CHECK(hx_matcher_note(scratch) == note && *note == 0);
    /* So many others that it must go. */
    *note = 7;
    for (int i = 0; i < 200000; i++) {
        char other[32];
        int at = 0;

        for (int rest = i; rest; rest /= 26)
            other[at++] = (char)('a' + rest % 26);
        hx_matcher_match(matcher, scratch, hx_slice_make(other, (size_t)at));
    }
    hx_matcher_match(matcher, scratch, hx_slice_str("port 83 is open"));
    CHECK(!hx_matcher_note(scratch) || *hx_matcher_note(scratch) == 0);
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
    test_notes(matcher, scratch);
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
    return 0;
}
