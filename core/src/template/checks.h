/* Checks of values as the engine keeps them: those of a log key one behind the other, in the order
 * of the template's steps. */
#ifndef HAECHI_TEMPLATE_CHECKS_H
#define HAECHI_TEMPLATE_CHECKS_H

#include "outline.h"
#include "places.h"
#include "skeleton.h"

#include <haechi/values.h>

#define HX_CHECKS_MAX      65000 /* with one more they have room in 16 bits */
#define HX_CHECK_DIGITS    18
#define HX_VALUES_FORMAT   1
#define HX_VALUE_UNLIMITED UINT64_MAX

typedef struct hx_check {
    hx_value_kind kind;
    uint32_t log_key, step;
    hx_step_place place;
    uint32_t part;      /* of the skeleton; not for words */
    hx_slice skeleton;  /* likewise */
    uint64_t low, high; /* of a range */
    uint32_t low_digits, high_digits;
    uint32_t octets; /* of networks */
    uint32_t usual_count;
    uint64_t *usual; /* ascending: numbers, or networks as hx_network_of makes them */
    hx_slice *words; /* ascending */
    double nats, limit, low_slope, high_slope;
} hx_check;

/* The checks of one step, and so of one token. */
typedef struct hx_check_group {
    hx_step_place place;
    uint32_t first, end; /* of the checks */
    uint64_t others;     /* bit n: n bytes modulo 64 that are no digits; other tokens are none of
                          * the checks' business */
} hx_check_group;

struct hx_values {
    uint32_t count, group_count, keys;
    hx_check *checks;
    hx_check_group *groups;
    uint32_t *first_of_key; /* [keys + 1], of the groups */
    char *bytes;            /* of skeletons and words */
};

/* Of a log key's groups those that are open: bit n is the n-th, the last bit all from it on. */
#define HX_CHECKS_ALL UINT32_MAX

/* A message, and one of the two that say which tokens it has. */
typedef struct hx_cut_message {
    const char *text;
    uint32_t length;
    const hx_tokenizer *tokenizer; /* or NULL */
    const hx_outline *outline;
} hx_cut_message;

static inline hx_cut_message hx_cut_by_tokenizer(const hx_tokenizer *t)
{
    return (hx_cut_message){t->text, t->length, t, NULL};
}

static inline hx_cut_message hx_cut_by_outline(hx_slice message, const hx_outline *outline)
{
    return (hx_cut_message){message.ptr, message.len, NULL, outline};
}

/* The token of a place. False: there is none. */
static inline bool hx_cut_token(const hx_cut_message *message, hx_step_place place, hx_token *out)
{
    const uint32_t count =
        message->tokenizer ? message->tokenizer->count : message->outline->tokens;
    const uint32_t n = hx_step_number(place, count);

    if (n >= count)
        return false;
    *out =
        message->tokenizer ? message->tokenizer->tokens[n] : hx_outline_token(message->outline, n);
    return true;
}

/* How many a number has. */
static inline uint32_t hx_check_digits(uint64_t value)
{
    uint32_t n = 1;

    while (value >= 10) {
        value /= 10;
        n++;
    }
    return n;
}

/* A part of a message against its check; text is as long as the part. */
bool hx_check_passes(const hx_check *check, const char *text, uint32_t length);

/* The first octets of an address, 16 bits each; text is one. */
uint64_t hx_network_of(const char *text, uint32_t octets);

/* A token of a message with its skeleton, where it has one. */
typedef struct hx_check_token {
    hx_slice text; /* ptr NULL: there is none */
    bool is_value;
    bool whole; /* has a skeleton */
    hx_skeleton skeleton;
} hx_check_token;

static inline void hx_check_token_skeleton(hx_check_token *token)
{
    token->whole =
        token->text.ptr && hx_skeleton_make(token->text.ptr, token->text.len, &token->skeleton);
}

/* What a check has to say of a token: nothing, no, or that a part of it decides. */
typedef enum hx_check_say { HX_CHECK_NOTHING, HX_CHECK_ODD, HX_CHECK_PART } hx_check_say;

hx_check_say hx_check_look(const hx_check *check, const hx_check_token *token);

/* The next group from *at on that is open, or NULL; *at moves behind it. */
static inline const hx_check_group *hx_checks_next(const hx_values *values, uint32_t log_key,
                                                   uint32_t open, uint32_t *at)
{
    const uint32_t first = values->first_of_key[log_key];
    const uint32_t count = values->first_of_key[log_key + 1] - first;

    uint32_t n = *at;
    const uint32_t rest = open >> (n < 31 ? n : 31);

    if (!rest)
        return NULL;
    n += (uint32_t)__builtin_ctz(rest);
    *at = n + 1;
    return n < count ? &values->groups[first + n] : NULL;
}

/* What the words of a message of this log key leave open, for all messages of its outline. */
uint32_t hx_checks_open(const hx_values *values, const hx_cut_message *message, uint32_t log_key);

/* A message of this log key by the groups that are open. 0, or 1 and the check's index. */
uint32_t hx_checks_judge(const hx_values *values, const hx_cut_message *message, uint32_t log_key,
                         uint32_t open);

/* hx_values_explain of a message that was cut. */
bool hx_checks_explain(const hx_values *values, const hx_cut_message *message, uint32_t index,
                       hx_value_finding *out);

static inline bool hx_values_watch(const hx_values *values, uint32_t log_key)
{
    return log_key < values->keys &&
           values->first_of_key[log_key] < values->first_of_key[log_key + 1];
}

#endif
