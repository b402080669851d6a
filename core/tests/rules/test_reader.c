/* Rule files: what is taken and what is refused, with which words. */
#include "../check.h"
#include "rules/room.h"

#define RULE(rest)      "{\"format\": 1, \"rules\": [{\"id\": \"r1\", \"action\": \"deny\", " rest "}]}"
#define CONDITION(text) RULE("\"condition\": " text)
#define TEST(f, o, v)   "{\"field\": \"" f "\", \"op\": \"" o "\", \"value\": " v "}"

static const struct {
    const char *json;
    int rc;
    const char *says; /* in the sentence */
} cases[] = {
    {"{\"format\": 1, \"rules\": []}", 0, NULL},
    {CONDITION(TEST("line", "contains", "\"x\"")), 0, NULL},
    {CONDITION("{\"all\": [" TEST("severity", "lte", "3") ", {\"not\": " TEST("host", "exists",
                                                                              "true") "}]}"),
     0, NULL},
    {CONDITION("{\"field\": \"line\", \"op\": \"regex\", \"value\": \"a\", \"nocase\": true}"), 0,
     NULL},
    {RULE("\"severity\": \"critical\", \"title\": \"A\", \"tags\": [\"t1\", \"t2\"], "
          "\"condition\": " TEST("line", "contains", "\"\\\\u0000\"")),
     0, NULL},
    {"", HX_EMALFORMED, "not a rule file"},
    {"[]", HX_EMALFORMED, "not a rule file"},
    {"{\"format\": 2, \"rules\": []}", HX_EVERSION, "format 2"},
    {"{\"format\": 1, \"rules\": [7]}", HX_EMALFORMED, "0 of the list"},
    {"{\"format\": 1, \"rules\": [{\"id\": \"a b\"}]}", HX_EMALFORMED, "id: a word"},
    {RULE("\"oops\": 1"), HX_EMALFORMED, "no key of a rule: oops"},
    {RULE("\"severity\": \"bad\""), HX_EMALFORMED, "severity"},
    {RULE("\"title\": 7"), HX_EMALFORMED, "title"},
    {RULE("\"tags\": [\"\"]"), HX_EMALFORMED, "tags"},
    {RULE("\"tags\": 1"), HX_EMALFORMED, "tags"},
    {RULE("\"title\": \"no condition\""), HX_EMALFORMED, "condition"},
    {CONDITION("{}"), HX_EMALFORMED, "condition"},
    {CONDITION("{\"all\": []}"), HX_EMALFORMED, "for all"},
    {CONDITION("{\"some\": []}"), HX_EMALFORMED, "not some"},
    {CONDITION(TEST("colour", "contains", "\"x\"")), HX_EMALFORMED, "colour"},
    {CONDITION(TEST("line", "like", "\"x\"")), HX_EMALFORMED, "like"},
    {CONDITION(TEST("line", "eq", "1")), HX_EMALFORMED, "not eq"},
    {CONDITION(TEST("line", "contains", "1")), HX_EMALFORMED, "contains"},
    {CONDITION(TEST("line", "contains", "\"\"")), HX_EMALFORMED, "not empty"},
    {CONDITION(TEST("line", "contains", "\"a\\u0000b\"")), HX_EMALFORMED, "zero byte"},
    {CONDITION(TEST("line", "exists", "1")), HX_EMALFORMED, "exists"},
    {CONDITION(TEST("severity", "contains", "\"x\"")), HX_EMALFORMED, "not contains"},
    {CONDITION(TEST("severity", "eq", "8")), HX_EMALFORMED, "0 to 7"},
    {CONDITION(TEST("facility", "eq", "1.5")), HX_EMALFORMED, "0 to 23"},
    {CONDITION(TEST("log_key", "eq", "-1")), HX_EMALFORMED, "log_key"},
    {"{\"format\": 1, \"rules\": ["
     "{\"id\": \"a\", \"action\": \"allow\", \"condition\": " TEST(
         "line", "contains", "\"x\"") "},"
                                      "{\"id\": \"a\", \"action\": \"deny\", \"condition\": " TEST(
                                          "line", "contains", "\"y\"") "}]}",
     HX_EMALFORMED, "twice"},
};

static void test_files(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_error err = {{0}};
        hx_book book;
        int rc = hx_book_read(&book, cases[i].json, strlen(cases[i].json), "rules: x", &err);

        if (rc != cases[i].rc)
            fprintf(stderr, "%s: %s\n", cases[i].json, err.text);
        CHECK_INT(rc, cases[i].rc);
        if (cases[i].says && !strstr(err.text, cases[i].says))
            fprintf(stderr, "%s\n", err.text);
        CHECK(!cases[i].says || strstr(err.text, cases[i].says));
        hx_book_free(&book);
    }
}

static void test_depth(void)
{
    for (uint32_t depth = 31; depth <= 33; depth++) {
        hx_text json = {0};
        hx_error err = {{0}};
        hx_book book;

        hx_text_str(&json, "{\"format\": 1, \"rules\": [{\"id\": \"r\", \"action\": \"deny\", "
                           "\"condition\": ");
        for (uint32_t i = 1; i < depth; i++)
            hx_text_str(&json, "{\"not\": ");
        hx_text_str(&json, TEST("line", "contains", "\"x\""));
        for (uint32_t i = 1; i < depth; i++)
            hx_text_str(&json, "}");
        hx_text_str(&json, "}]}");
        CHECK_INT(hx_book_read(&book, json.ptr, json.len, "rules", &err),
                  depth <= 32 ? 0 : HX_EMALFORMED);
        hx_book_free(&book);
        hx_text_free(&json);
    }
}

static void test_same_patterns(void)
{
    hx_text json = {0};
    hx_error err = {{0}};
    hx_book book;

    hx_text_str(&json, "{\"format\": 1, \"rules\": [");
    for (uint32_t i = 0; i < 1000; i++)
        hx_text_printf(&json,
                       "%s{\"id\": \"r%u\", \"action\": \"deny\", \"condition\": {\"all\": ["
                       "{\"field\": \"process\", \"op\": \"equals\", \"value\": \"sshd\"}, "
                       "{\"field\": \"message\", \"op\": \"contains\", \"value\": \"m%u\"}]}}",
                       i ? ", " : "", i, i % 500);
    hx_text_str(&json, "]}");
    CHECK_INT(hx_book_read(&book, json.ptr, json.len, "rules", &err), 0);
    CHECK_INT(book.rule_count, 1000);
    CHECK_INT(book.pattern_count, 501);
    CHECK_INT(book.tests, 2000);
    hx_book_free(&book);
    hx_text_free(&json);
}

int main(void)
{
    test_files();
    test_depth();
    test_same_patterns();
    return 0;
}
