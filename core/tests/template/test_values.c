/* Checks of values: what passes them and what does not; the same by a form and one by one; what is
 * refused when they are read; and what a study counts. */
#include "../check.h"
#include "template/checks.h"

#include <haechi/values.h>

static const char templates[] =
    "{\"format\": 1, \"max_tokens\": 64, \"templates\": ["
    "{\"text\": \"opened for <*> by uid <*>\", \"count\": 1, \"example\": \"\", \"tokens\": "
    "[\"opened\", \"for\", \"<*>\", \"by\", \"uid\", \"<#>\"]},"
    "{\"text\": \"login from <*> port <*>\", \"count\": 1, \"example\": \"\", \"tokens\": "
    "[\"login\", \"from\", \"<#>\", \"port\", \"<#>\"]},"
    "{\"text\": \"said <*> then <*>\", \"count\": 1, \"example\": \"\", \"tokens\": "
    "[\"said\", \"<+>\", \"then\", \"<#>\"]},"
    "{\"text\": \"plain <*>\", \"count\": 1, \"example\": \"\", \"tokens\": [\"plain\", "
    "\"<#>\"]}]}";

#define PART(kind, key, step, skeleton)                                                            \
    "{\"log_key\": " #key ", \"step\": " #step ", \"kind\": \"" kind "\", \"nats\": 20, "          \
    "\"limit\": 15, \"skeleton\": \"" skeleton "\", \"part\": 0, "
static const char checks[] =
    "{\"format\": 1, \"checks\": ["
    "{\"log_key\": 0, \"step\": 2, \"kind\": \"words\", \"nats\": 20, \"limit\": 15, "
    "\"usual\": [\"deploy\", \"backup\", \"user0\"]}," /* 1 */
    PART("range", 0, 5, "0") "\"low\": 500, \"high\": 2999, \"low_slope\": 0.1, "
                             "\"high_slope\": 0.1},"                        /* 2 */
    PART("networks", 1, 2, "4") "\"usual\": [\"10.1\", \"10.22\"]},"        /* 3 */
    PART("numbers", 1, 4, "0") "\"usual\": [21, 22, 443, 445, 993, 8443]}," /* 4 */
    PART("range", 2, 3, "0") "\"low\": null, \"high\": 123456789012}"       /* 5 */
                             "]}";

typedef struct room {
    hx_matcher *matcher;
    hx_values *values;
    hx_match_scratch *scratch, *plain;
} room;

static void open_room(room *r)
{
    hx_error err = {{0}};

    CHECK_INT(hx_matcher_create(templates, sizeof templates - 1, &r->matcher, &err), 0);
    CHECK_INT(hx_values_create(checks, sizeof checks - 1, r->matcher, &r->values, &err), 0);
    CHECK_INT(hx_values_count(r->values), 5);
    CHECK_INT(hx_match_scratch_create(r->matcher, &r->scratch), 0);
    CHECK_INT(hx_match_scratch_create(r->matcher, &r->plain), 0);
    CHECK_INT(hx_match_scratch_watch(r->scratch, r->values), 0);
}

static void close_room(room *r)
{
    hx_match_scratch_destroy(r->scratch);
    hx_match_scratch_destroy(r->plain);
    hx_values_destroy(r->values);
    hx_matcher_destroy(r->matcher);
}

/* By its form, found or not, and one by one. */
static uint32_t judge(room *r, const char *text)
{
    const uint32_t len = (uint32_t)strlen(text);
    char *guarded = check_guard_copy(text, len);
    hx_slice message = hx_slice_make(guarded, len);
    uint32_t key = hx_matcher_match(r->matcher, r->plain, message);
    uint16_t odd;

    CHECK_INT(hx_matcher_judge_at(r->matcher, r->scratch, message,
                                  hx_matcher_look(r->scratch, message), &odd),
              key);
    CHECK_INT(hx_values_judge(r->values, r->plain, message, key), odd);
    check_guard_free(guarded, len);
    return odd;
}

static const struct {
    const char *message;
    uint32_t odd;
} verdicts[] = {
    {"opened for deploy by uid 1000", 0},
    {"opened for deploy by uid 500", 0},
    {"opened for deploy by uid 499", 2},
    {"opened for deploy by uid 2999", 0},
    {"opened for deploy by uid 3000", 2},
    {"opened for deploy by uid 0", 2},
    {"opened for deploy by uid 912345", 2},
    {"opened for deploy by uid 99999999999999999999999", 2},
    {"opened for user7 by uid 1000", 0},
    {"opened for root by uid 1000", 1},
    {"opened for root by uid 0", 1},
    {"opened for deploy by uid eth7", 0}, /* another skeleton: nothing is known of it */
    {"login from 10.1.200.3 port 22", 0},
    {"login from 10.22.200.3 port 443", 0},
    {"login from 10.2.200.3 port 443", 3},
    {"login from 999.2.200.3 port 443", 3},
    {"login from 10.1.200.3 port 23", 4},
    {"login from 10.1.200.3 port 8443", 0},
    {"login from 10.1.200.3 port 84430000000000000000000", 4},
    {"login from 10.1.200.3 port 21", 0},
    {"login from 10.1.200.3 port 0022", 0}, /* zeros in front say nothing */
    {"login from 10.1.200.3 port 0023", 4},
    {"login from 10.1.200.3 port 00000443", 0},
    {"login from 10.1.200.3 port 000000443", 0},
    {"login from 10.1.200.3 port 445", 0},
    {"login from 10.1.200.3 port 993", 0},
    {"login from 10.1.200.3 port 994", 4},
    {"login from 10.1.200.3 port 22 ssh2", 0},
    {"login from 010.1.200.3 port 22", 0},
    {"login from 10.001.200.3 port 22", 0},
    {"login from 010.002.200.3 port 22", 3},
    {"login from 100.1.200.3 port 22", 3},
    {"login from 1.10.200.3 port 22", 3},
    {"said a b c then 123456789012", 0},
    {"said a then 123456789013", 5},
    {"said a 7 then 5", 0},
    {"plain 912345", 0},
    {"what no template has", 0},
    {"", 0},
};

static void test_verdicts(void)
{
    room r;

    open_room(&r);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
            CHECK_INT(judge(&r, verdicts[i].message), verdicts[i].odd);
    close_room(&r);
}

/* Any digits in any of the messages: by forms as one by one, which judge() compares. */
static void test_other_digits(void)
{
    uint64_t state = 11;
    uint32_t odd = 0;
    room r;

    open_room(&r);
    for (uint32_t round = 0; round < 40000; round++) {
        char text[400];
        uint32_t at = round % (sizeof verdicts / sizeof verdicts[0]);

        snprintf(text, sizeof text, "%s", verdicts[at].message);
        if (round % 16 == 0 && *text) /* too long for a form */
            snprintf(text, sizeof text, "said %0230u then %s", 1u, "123456789013");
        if (round % 16 == 1 && *text) /* no room for a plan behind it */
            snprintf(text, sizeof text, "said %0200u then %s", 1u, "123456789013");
        for (char *c = text; *c; c++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            if (*c >= '0' && *c <= '9' && (state >> 40) % 2)
                *c = (char)('0' + (state >> 33) % 10);
        }
        odd += judge(&r, text) != 0;
    }
    CHECK(odd > 1000);
    close_room(&r);
}

/* Any value at any place, so that plans of tokens are made, found, and given up for others: judge()
 * compares with the checks one by one. */
static void test_other_values(void)
{
    static const char *const values[] = {
        "22",
        "443",
        "7",
        "0",
        "10.1.2.3",
        "10.22.0.1",
        "10.2.0.1",
        "eth0",
        "5 KB",
        "v1",
        "a1-b2",
        "12:05:59",
        "1.5",
        "2025-08-30",
        "123456789",
        "0000001000",
        "user7",
        "root",
        "deploy",
        "x@y",
        "10.1.2.3:22",
        "7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7",
        "SHA256:q8fJ2Zx0bM4v9nQ1rT5yU7iO3pA6sD8gH2jK4lZ6xC8vB0nM2qW4eR6tY8",
    };
    static const char *const shapes[] = {
        "opened for %s by uid %s",
        "login from %s port %s",
        "said a %s then %s",
        "plain %s%s",
    };
    const uint32_t n = sizeof values / sizeof values[0];
    uint64_t state = 17;
    uint32_t odd = 0;
    room r;

    open_room(&r);
    for (uint32_t round = 0; round < 60000; round++) {
        char text[400], pieces[2][100];

        for (uint32_t i = 0; i < 2; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            snprintf(pieces[i], sizeof pieces[i], "%s%.*s", values[(state >> 33) % n],
                     (int)(state >> 60), "abcdefghijklmnop");
        }
        snprintf(text, sizeof text, shapes[(state >> 50) % 4], pieces[0], pieces[1]);
        odd += judge(&r, text) != 0;
    }
    CHECK(odd > 1000);
    close_room(&r);
}

static void test_explain(void)
{
    hx_slice message = hx_slice_str("opened for deploy by uid 912345");
    hx_value_finding f;
    hx_text usual = {0};
    room r;

    open_room(&r);
    CHECK(hx_values_explain(r.values, r.plain, message, 1, &f));
    CHECK_BYTES(f.value.ptr, f.value.len, "912345", 6);
    CHECK(f.kind == HX_VALUE_RANGE && !f.too_low);
    CHECK_INT(f.low, 500);
    CHECK_INT(f.high, 2999);
    CHECK_INT(f.step, 5);
    CHECK(f.nats > 20 && f.limit == 15);
    CHECK(!hx_values_explain(r.values, r.plain, message, 0, &f)); /* deploy is usual */
    CHECK(!hx_values_explain(r.values, r.plain, message, 77, &f));
    CHECK(hx_values_explain(r.values, r.plain, hx_slice_str("opened for deploy by uid 3"), 1, &f));
    CHECK(f.too_low);
    hx_values_usual(r.values, 2, 8, &usual);
    CHECK_BYTES(usual.ptr, usual.len, "[\"10.1.0.0/16\", \"10.22.0.0/16\"]", 31);
    usual.len = 0;
    hx_values_usual(r.values, 0, 2, &usual);
    CHECK_BYTES(usual.ptr, usual.len, "[\"backup\", \"deploy\"]", 20);
    hx_text_free(&usual);
    close_room(&r);
}

static const struct {
    const char *json, *says;
} refused[] = {
    {"", "not a JSON object"},
    {"{\"format\": 1}", "not a JSON object"},
    {"{\"format\": 2, \"checks\": []}", "format 1"},
    {"{\"format\": 1, \"checks\": [7]}", "log_key"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 4, \"step\": 0}]}", "log_key"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 0, \"step\": 0}]}", "step"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 2, \"step\": 1}]}", "step"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 0, \"step\": 2, \"kind\": \"odd\"}]}", "kind"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 0, \"step\": 2, \"kind\": \"words\"}]}", "usual"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 0, \"step\": 2, \"kind\": \"words\", \"nats\": "
     "-1}]}",
     "nats"},
    {"{\"format\": 1, \"checks\": [{\"log_key\": 0, \"step\": 2, \"kind\": \"range\"}]}",
     "skeleton"},
    {"{\"format\": 1, \"checks\": [" PART("range", 0, 5, "x") "\"low\": 1, \"high\": 2}]}", "part"},
    {"{\"format\": 1, \"checks\": [" PART("range", 0, 5, "4") "\"low\": 1, \"high\": 2}]}", "part"},
    {"{\"format\": 1, \"checks\": [" PART("networks", 0, 5, "0") "\"usual\": [\"1\"]}]}", "part"},
    {"{\"format\": 1, \"checks\": [" PART("range", 0, 5, "0") "\"low\": 3, \"high\": 2}]}",
     "order"},
    {"{\"format\": 1, \"checks\": [" PART("range", 0, 5, "0") "\"low\": 1.5, \"high\": 2}]}",
     "whole"},
    {"{\"format\": 1, \"checks\": [" PART("numbers", 0, 5, "0") "\"usual\": [\"a\"]}]}", "kind"},
    {"{\"format\": 1, \"checks\": [" PART("networks", 0, 5, "4") "\"usual\": [\"1\", \"1.2\"]}]}",
     "kind"},
    {"{\"format\": 1, \"checks\": [" PART("networks", 0, 5, "4") "\"usual\": [\"1.2.3.4\"]}]}",
     "kind"},
    {"{\"format\": 1, \"checks\": [" PART("range", 3, 1, "0") "\"low\": 1, \"high\": 2}, " PART(
         "range", 0, 5, "0") "\"low\": 1, \"high\": 2}]}",
     "order"},
};

static void test_refused(void)
{
    hx_matcher *matcher;
    hx_error err = {{0}};

    CHECK_INT(hx_matcher_create(templates, sizeof templates - 1, &matcher, &err), 0);
    for (uint32_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        hx_values *values;
        int rc = hx_values_create(refused[i].json, strlen(refused[i].json), matcher, &values, &err);

        CHECK(rc == HX_EMALFORMED || rc == HX_EVERSION);
        CHECK(!values);
        CHECK(strstr(err.text, "values.json"));
        CHECK(strstr(err.text, refused[i].says));
    }
    hx_matcher_destroy(matcher);
}

static void test_study(void)
{
    static const char *const messages[] = {
        "opened for deploy by uid 1000", "opened for deploy by uid 1007",
        "opened for user7 by uid 0099",  "login from 10.1.2.3 port 22",
        "login from 10.7.2.3 port 22",   "said a b then 3",
    };
    static const char *const told[] = {
        "{\"messages\":6,\"steps\":[{\"log_key\":0,\"step\":2,\"count\":3,\"other\":0,",
        "{\"text\":\"deploy\",\"count\":2,\"blocks\":1,\"parts\":[]}",
        /* one text in two pieces */
        ("\"zeros\":1,\"long\":0,\"lowest\":[99,1000,1007],\"highest\":[1007,1000,99],"
         "\"values\":[[1000,1,1],[1007,1,1],[99,1,1]]"),
        "\"networks\":{\"8\":[[10,2,2]],\"16\":[[655361,1,1],[655367,1,1]],",
        "{\"log_key\":2,\"step\":3,\"count\":1,",
    };
    hx_matcher *matcher;
    hx_match_scratch *scratch;
    hx_value_study *study;
    hx_error err = {{0}};
    hx_text json = {0};

    CHECK_INT(hx_matcher_create(templates, sizeof templates - 1, &matcher, &err), 0);
    CHECK_INT(hx_match_scratch_create(matcher, &scratch), 0);
    CHECK_INT(hx_value_study_create(matcher, 2, &study), 0);
    for (uint32_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        hx_slice message = hx_slice_str(messages[i]);

        CHECK_INT(hx_value_study_learn(study, message, hx_matcher_match(matcher, scratch, message)),
                  0);
    }
    CHECK_INT(hx_value_study_finish(study, &json), 0);
    hx_text_bytes(&json, "", 1);
    for (uint32_t i = 0; i < sizeof told / sizeof told[0]; i++)
        CHECK(strstr(json.ptr, told[i]));
    hx_text_free(&json);
    hx_value_study_destroy(study);
    hx_match_scratch_destroy(scratch);
    hx_matcher_destroy(matcher);
}

int main(void)
{
    test_verdicts();
    test_other_digits();
    test_other_values();
    test_explain();
    test_refused();
    test_study();
    return 0;
}
