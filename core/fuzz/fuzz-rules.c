/* A rule file of any bytes: refused with a sentence, or taken up, and then a line can be judged.
 * What Hyperscan is given is bounded: it is not what is tested here, and large repeats take it
 * minutes. */
#include "rules/room.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Few patterns, short ones, and none with a number that could be a repeat's. */
static bool is_small(const hx_book *book)
{
    for (uint32_t i = 0; i < book->pattern_count; i++) {
        const hx_pattern *p = &book->patterns[i];

        if (p->length > 32 || (p->op == HX_OP_REGEX && strchr(p->value, '{')))
            return false;
    }
    return book->pattern_count <= 8;
}

static void judge_a_line(const char *json, size_t size)
{
    hx_rule_line line = {.number = {3, HX_RULE_NUMBER_NONE, 7}};
    hx_rules *rules;
    hx_error err = {{0}};

    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++)
        line.text[f] = HX_SLICE_LIT("Failed password for root from 10.0.0.1 port 22");
    if (hx_rules_create(json, size, "rules", 1, &rules, &err)) {
        if (!err.text[0])
            abort();
        return;
    }
    for (int i = 0; i < 3; i++)
        (void)hx_rule_seat_judge(hx_rules_seat(rules, 0), &line, NULL);
    hx_rules_destroy(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data;
    hx_triggers triggers = {0};
    hx_error err = {{0}};
    hx_book book;
    bool good = hx_book_read(&book, json, size, "rules", &err) == 0;

    if (!good && !err.text[0])
        abort();
    if (good && hx_triggers_make(&triggers, &book) == 0 && is_small(&book))
        judge_a_line(json, size);
    hx_triggers_free(&triggers);
    hx_book_free(&book);
    return 0;
}
