/* Conditions: when they hold, and which hit makes them worth a look. */
#include "../check.h"
#include "rules/room.h"

#define P(word) "{\"field\": \"message\", \"op\": \"contains\", \"value\": \"" word "\"}"
#define PROGRAM "{\"field\": \"process\", \"op\": \"equals\", \"value\": \"sshd\"}"
#define LOW     "{\"field\": \"severity\", \"op\": \"gte\", \"value\": 5}"

/* The patterns in order of their appearance are bits 0, 1, 2 ... of hits. */
static const struct {
    const char *condition;
    uint64_t hits;
    uint32_t severity;
    int holds;
    const char *triggers; /* "-": looked at for every line */
} cases[] = {
    {P("alpha-one"), 1, 0, 1, "0"},
    {P("alpha-one"), 0, 0, 0, "0"},
    {"{\"all\": [" P("alpha-one") ", " P("be") "]}", 3, 0, 1, "0"},
    {"{\"all\": [" P("alpha-one") ", " P("be") "]}", 1, 0, 0, "0"},
    {"{\"all\": [" PROGRAM ", " P("alpha-one") "]}", 3, 0, 1, "1"},
    {"{\"any\": [" P("alpha-one") ", " P("be") "]}", 2, 0, 1, "01"},
    {"{\"any\": [" P("alpha-one") ", " LOW "]}", 0, 6, 1, "-"},
    {"{\"any\": [" P("alpha-one") ", " LOW "]}", 0, 4, 0, "-"},
    {"{\"all\": [" P("alpha-one") ", " LOW "]}", 1, 6, 1, "0"},
    {"{\"all\": [" P("alpha-one") ", " LOW "]}", 1, HX_RULE_NUMBER_NONE, 0, "0"},
    {"{\"not\": " P("alpha-one") "}", 0, 0, 1, "-"},
    {"{\"not\": " LOW "}", 0, HX_RULE_NUMBER_NONE, 1, "-"},
    {"{\"all\": [{\"not\": " P("be") "}, " P("alpha-one") "]}", 2, 0, 1, "1"},
    {"{\"all\": [{\"any\": [" P("alpha-one") ", " P("be") "]}, " P("gamma-ray") "]}", 5, 0, 1, "2"},
    {"{\"any\": [{\"all\": [" P("alpha-one") ", " P("be") "]}, {\"not\": {\"not\": " P(
         "gamma-ray") "}}]}",
     4, 0, 1, "-"},
    {"{\"field\": \"host\", \"op\": \"exists\", \"value\": false}", 0, 0, 1, "-"},
    {"{\"field\": \"message\", \"op\": \"exists\", \"value\": true}", 0, 0, 1, "-"},
    {"{\"field\": \"severity\", \"op\": \"exists\", \"value\": true}", 0, HX_RULE_NUMBER_NONE, 0,
     "-"},
};

static void check_triggers(const hx_triggers *t, uint32_t patterns, const char *want)
{
    char got[8];
    uint32_t n = 0;

    if (t->always_count)
        got[n++] = '-';
    for (uint32_t p = 0; p < patterns; p++)
        if (t->begin[p] != t->begin[p + 1])
            got[n++] = (char)('0' + p);
    CHECK_BYTES(got, n, want, strlen(want));
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_rule_line line = {.text[HX_RULE_MESSAGE] = HX_SLICE_LIT("m")};
        hx_triggers triggers = {0};
        hx_text json = {0};
        hx_error err = {{0}};
        uint32_t node = 0;
        hx_book book;

        line.number[0] = cases[i].severity;
        hx_text_printf(&json,
                       "{\"format\": 1, \"rules\": [{\"id\": \"r\", \"action\": \"deny\", "
                       "\"condition\": %s}]}",
                       cases[i].condition);
        CHECK_INT(hx_book_read(&book, json.ptr, json.len, "rules", &err), 0);
        CHECK_INT(hx_triggers_make(&triggers, &book), 0);
        CHECK_INT(hx_condition_holds(book.nodes, &node, &cases[i].hits, &line), cases[i].holds);
        CHECK_INT(node, book.node_count);
        check_triggers(&triggers, book.pattern_count, cases[i].triggers);
        hx_triggers_free(&triggers);
        hx_book_free(&book);
        hx_text_free(&json);
    }
    return 0;
}
