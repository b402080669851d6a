/* The templates of messages that came before, by their outlines. A bounded number of answers is
 * kept; a new one takes the place of one of the two that it could lie beside. */
#ifndef HAECHI_TEMPLATE_ANSWERS_H
#define HAECHI_TEMPLATE_ANSWERS_H

#include "outline.h"

typedef struct hx_answer {
    uint64_t hash; /* 0: free */
    uint32_t length;
    uint32_t key;
    uint32_t open; /* what of the log key's checks of values the words leave open (checks.h) */
    char outline[HX_OUTLINE_BYTES];
} hx_answer;

#define HX_ANSWER_PAIRS 2048 /* a power of two */

typedef struct hx_answers {
    hx_answer *items; /* in pairs */
    uint32_t turn;    /* which one of a pair is given up next */
} hx_answers;

/* 0 or HX_ENOMEM. */
int hx_answers_init(hx_answers *answers);
void hx_answers_free(hx_answers *answers);

/* An outline's hash is made up from all of it, but anyone can make two with the same: they are
 * compared whole. */
static inline bool hx_answer_fits(const hx_answer *answer, const hx_outline *outline)
{
    if (answer->hash != outline->hash || answer->length != outline->length)
        return false;
    for (uint32_t at = 0; at < outline->length; at += HX_OUTLINE_STEP) {
        uint64_t x[HX_OUTLINE_STEP / 8], y[HX_OUTLINE_STEP / 8], differ = 0;

        memcpy(x, answer->outline + at, sizeof x);
        memcpy(y, outline->bytes + at, sizeof y);
        for (uint32_t i = 0; i < HX_OUTLINE_STEP / 8; i++)
            differ |= x[i] ^ y[i];
        if (differ)
            return false;
    }
    return true;
}

static inline hx_answer *hx_answers_pair(const hx_answers *answers, const hx_outline *outline)
{
    return &answers->items[2 * (outline->hash >> 32 & (HX_ANSWER_PAIRS - 1))];
}

/* The answer to an outline, where there is one, is on its way. GCC drops calls of functions that
 * only fetch, unless it must inline them. */
static inline __attribute__((always_inline)) void hx_answers_fetch(const hx_answers *answers,
                                                                   const hx_outline *outline)
{
    const hx_answer *pair = hx_answers_pair(answers, outline);

    __builtin_prefetch(&pair[0]);
    __builtin_prefetch(&pair[1]);
    __builtin_prefetch((const char *)&pair[0] + 64);
    __builtin_prefetch((const char *)&pair[1] + 64);
}

/* The answer to an outline, or NULL. */
static inline const hx_answer *hx_answers_find(const hx_answers *answers, const hx_outline *outline)
{
    const hx_answer *pair = hx_answers_pair(answers, outline);

    if (hx_answer_fits(&pair[0], outline))
        return &pair[0];
    return hx_answer_fits(&pair[1], outline) ? &pair[1] : NULL;
}

void hx_answers_keep(hx_answers *answers, const hx_outline *outline, uint32_t key, uint32_t open);

#endif
