/* Which token of a message a template's step stands for: those before the first step that takes any
 * number of tokens are counted from the message's front, those behind the last one from its end. */
#ifndef HAECHI_TEMPLATE_PLACES_H
#define HAECHI_TEMPLATE_PLACES_H

#include "tree.h"

#include <haechi/template.h>

/* The template of a log key below hx_matcher_count. */
const hx_pattern *hx_matcher_pattern(const hx_matcher *matcher, uint32_t log_key);
uint32_t hx_matcher_max_tokens(const hx_matcher *matcher);

typedef struct hx_step_place {
    bool from_end;
    uint16_t token; /* from the front; or how many tokens from it on to the end */
} hx_step_place;

/* False for a word, for a step between two spans, and where there is no such step. */
bool hx_step_place_of(const hx_pattern *pattern, uint32_t step, hx_step_place *out);

/* Of a message of count tokens; not below count where it is too short, which one that has the
 * template's log key is not. */
static inline uint32_t hx_step_number(hx_step_place place, uint32_t count)
{
    return place.from_end ? count - place.token : place.token;
}

/* NULL where the message is too short. */
static inline const hx_token *hx_step_token(hx_step_place place, const hx_tokenizer *message)
{
    uint32_t token = hx_step_number(place, message->count);

    return token < message->count ? &message->tokens[token] : NULL;
}

#endif
