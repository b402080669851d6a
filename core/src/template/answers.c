#include "answers.h"

#include <haechi/error.h>

#include <stdlib.h>

int hx_answers_init(hx_answers *answers)
{
    answers->turn = 0;
    answers->items = calloc(2 * (size_t)HX_ANSWER_PAIRS, sizeof *answers->items);
    return answers->items ? 0 : HX_ENOMEM;
}

void hx_answers_free(hx_answers *answers)
{
    free(answers->items);
}

void hx_answers_keep(hx_answers *answers, const hx_outline *outline, uint32_t key, uint32_t open)
{
    hx_answer *pair = hx_answers_pair(answers, outline);
    hx_answer *answer = &pair[!pair[0].hash ? 0 : !pair[1].hash ? 1 : answers->turn++ & 1];

    answer->hash = outline->hash;
    answer->length = outline->length;
    answer->key = key;
    answer->open = open;
    memcpy(answer->outline, outline->bytes, HX_OUTLINE_BYTES);
}
