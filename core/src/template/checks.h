/* Checks of values as the engine keeps them: those of a log key one behind the other, in the order
 * of the template's steps. */
#ifndef HAECHI_TEMPLATE_CHECKS_H
#define HAECHI_TEMPLATE_CHECKS_H

#include "places.h"
#include "skeleton.h"

#include <haechi/values.h>

#define HX_CHECKS_MAX      65000 /* with one more they have room in 16 bits */
#define HX_CHECK_DIGITS    18
#define HX_VALUES_FORMAT   1
#define HX_PLAN_ITEMS      8
#define HX_VALUE_UNLIMITED UINT64_MAX

typedef struct hx_check {
    hx_value_kind kind;
    uint32_t log_key, step;
    hx_step_place place;
    uint32_t part;      /* of the skeleton; not for words */
    hx_slice skeleton;  /* likewise */
    uint64_t low, high; /* of a range */
    uint32_t octets;    /* of networks */
    uint32_t usual_count;
    uint64_t *usual; /* ascending: numbers, or networks as hx_network_of makes them */
    hx_slice *words; /* ascending */
    double nats, limit, low_slope, high_slope;
} hx_check;

struct hx_values {
    uint32_t count, keys;
    hx_check *checks;
    uint32_t *first_of_key; /* [keys + 1] */
    char *bytes;            /* of skeletons and words */
};

/* What is left to do for each message of one form: the rest of the verdict lies in the form. */
typedef enum hx_plan_kind {
    HX_PLAN_ALWAYS, /* odd, whatever the digits are */
    HX_PLAN_RANGE,  /* low <= number <= high, of as many digits, as text */
    HX_PLAN_TEXT,   /* hx_check_passes */
} hx_plan_kind;

typedef struct hx_plan_item {
    uint64_t low, high;
    uint16_t check;
    uint8_t kind;
    uint8_t at, length;  /* in the message */
    uint8_t left, right; /* of a range: shifts that leave the number of eight bytes */
} hx_plan_item;

typedef struct hx_plan {
    hx_plan_item items[HX_PLAN_ITEMS];
} hx_plan;

/* What a form remembers of its plan: how many items it has, or that it takes the reference. */
#define HX_PLAN_SLOW 0xff

/* A part of a message against its check; text is as long as the part. */
bool hx_check_passes(const hx_check *check, const char *text, uint32_t length);

/* The first octets of an address, 16 bits each; text is one. */
uint64_t hx_network_of(const char *text, uint32_t octets);

/* Of a message of this log key that was cut by tokenizer. 0, or 1 and the check's index. */
uint32_t hx_checks_judge(const hx_values *values, const hx_tokenizer *message, uint32_t log_key);

/* The plan for all messages of this one's form: its number of items, or HX_PLAN_SLOW. */
uint8_t hx_checks_plan(const hx_values *values, const hx_tokenizer *message, uint32_t log_key,
                       hx_plan *out);

/* hx_values_explain of a message that was cut by tokenizer. */
bool hx_checks_explain(const hx_values *values, const hx_tokenizer *message, uint32_t index,
                       hx_value_finding *out);

/* The verdict by a plan of count items. */
static inline uint32_t hx_plan_judge(const hx_values *values, const hx_plan *plan, uint32_t count,
                                     const char *message)
{
    for (const hx_plan_item *i = plan->items; i < plan->items + count; i++) {
        bool passes = false;

        if (__builtin_expect(i->kind == HX_PLAN_RANGE, 1)) {
            uint64_t eight;

            memcpy(&eight, message + i->at, 8);
            eight = __builtin_bswap64(eight) << i->left >> i->right;
            passes = eight - i->low <= i->high - i->low;
        } else if (i->kind == HX_PLAN_TEXT) {
            passes = hx_check_passes(&values->checks[i->check], message + i->at, i->length);
        }
        if (__builtin_expect(!passes, 0))
            return i->check + 1u;
    }
    return 0;
}

static inline bool hx_values_watch(const hx_values *values, uint32_t log_key)
{
    return log_key < values->keys &&
           values->first_of_key[log_key] < values->first_of_key[log_key + 1];
}

#endif
