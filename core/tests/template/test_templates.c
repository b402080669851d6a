/* templates.json: what is refused, and with what sentence. */
#include "../check.h"

#include <haechi/template.h>

#define HEAD        "{\"format\": 1, \"max_tokens\": 4, \"templates\": "
#define ONE(tokens) HEAD "[{\"text\": \"t\", \"tokens\": " tokens "}]}"

static const struct {
    const char *json;
    int want;
    const char *sentence; /* part of it */
} cases[] = {
    {HEAD "[]}", 0, ""},
    {ONE("[\"a\", \"<*>\", \"<#>\", \"<...>\"]"), 0, ""},
    {ONE("[]"), 0, ""},
    {"", HX_EMALFORMED, "not JSON"},
    {"{\"format\": 1", HX_EMALFORMED, "not JSON"},
    {"[]", HX_EMALFORMED, "not a JSON object"},
    {"{}", HX_EMALFORMED, "format is not a whole number"},
    {"{\"format\": \"1\"}", HX_EMALFORMED, "format is not a whole number"},
    {"{\"format\": 1.5}", HX_EMALFORMED, "format is not a whole number"},
    {"{\"format\": 1e300}", HX_EMALFORMED, "format is not a whole number"},
    {"{\"format\": 2}", HX_EVERSION, "format 2"},
    {"{\"format\": 1}", HX_EMALFORMED, "max_tokens is not"},
    {"{\"format\": 1, \"max_tokens\": 0}", HX_EMALFORMED, "max_tokens is not"},
    {"{\"format\": 1, \"max_tokens\": 99999}", HX_EMALFORMED, "max_tokens is not"},
    {"{\"format\": 1, \"max_tokens\": 4}", HX_EMALFORMED, "templates is not a list"},
    {HEAD "[7]}", HX_EMALFORMED, "templates[0]"},
    {HEAD "[{}]}", HX_EMALFORMED, "templates[0].text"},
    {HEAD "[{\"text\": \"t\"}]}", HX_EMALFORMED, "templates[0].tokens"},
    {ONE("[1]"), HX_EMALFORMED, "not a string"},
    {ONE("[\"\"]"), HX_EMALFORMED, "neither one word"},
    {ONE("[\"two words\"]"), HX_EMALFORMED, "neither one word"},
    {ONE("[\"v4lue\"]"), HX_EMALFORMED, "neither one word"},
    {ONE("[\"\\\\q\"]"), HX_EMALFORMED, "neither one word"},
    {ONE("[\"<...>\", \"a\"]"), HX_EMALFORMED, "goes on after"},
    {ONE("[\"a\", \"b\", \"c\", \"d\", \"e\"]"), HX_EMALFORMED, "longer than max_tokens"},
    {ONE("[\"a\", \"b\", \"c\", \"d\", \"<...>\"]"), 0, ""},
    {HEAD "[{\"text\": \"t\", \"tokens\": [\"a\"]}, {\"text\": \"u\", \"tokens\": [\"b\"]},"
          "{\"text\": \"v\", \"tokens\": [\"a\"]}]}",
     HX_EMALFORMED, "templates 0 and 2 are the same"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_matcher *matcher;
        hx_error err = {{0}};
        size_t len = strlen(cases[i].json);
        /* Not NUL-terminated, at the end of mapped memory. */
        char *json = check_guard_copy(cases[i].json, len);

        CHECK_INT(hx_matcher_create(json, len, &matcher, &err), cases[i].want);
        CHECK(strstr(err.text, cases[i].sentence) != NULL);
        CHECK((matcher != NULL) == (cases[i].want == 0));
        hx_matcher_destroy(matcher);
        check_guard_free(json, len);
    }
}

static void test_deep_nesting(void)
{
    size_t len = 1 << 20;
    char *json = malloc(len);
    hx_matcher *matcher;

    CHECK(json != NULL);
    memset(json, '[', len);
    CHECK_INT(hx_matcher_create(json, len, &matcher, NULL), HX_EMALFORMED);
    free(json);
}

int main(void)
{
    test_cases();
    test_deep_nesting();
    hx_matcher_destroy(NULL);
    hx_match_scratch_destroy(NULL);
    return 0;
}
