/* What the checks of values (checks.h) leave to do for each message of one form (forms.h): the form
 * says which digits stand where, and most checks are decided by that. */
#ifndef HAECHI_TEMPLATE_PLANS_H
#define HAECHI_TEMPLATE_PLANS_H

#include "checks.h"
#include "forms.h"

#define HX_PLAN_ITEMS 8

typedef enum hx_plan_kind {
    HX_PLAN_RANGE,  /* low <= number <= high, of as many digits, as text */
    HX_PLAN_EITHER, /* low or high, as text; else hx_check_passes */
    HX_PLAN_TEXT,   /* hx_check_passes */
    HX_PLAN_ALWAYS, /* odd, whatever the digits are */
} hx_plan_kind;

typedef struct hx_plan_item {
    uint64_t low, high;
    uint16_t check;
    uint8_t kind;
    uint8_t at, length;  /* in the message */
    uint8_t left, right; /* shifts that leave the number of eight bytes from there on */
} hx_plan_item;

typedef struct hx_plan {
    hx_plan_item items[HX_PLAN_ITEMS];
} hx_plan;

/* What a form remembers of its plan: how many items it has, or that it takes the reference. */
#define HX_PLAN_SLOW 0xff

/* Makes plans. The part of a plan that one token makes is kept by its group and its form: most
 * tokens of a message that is new as a whole came before. Bounded; a new one takes the place of one
 * of the two that it could lie beside. */
typedef struct hx_planner hx_planner;

/* 0 or HX_ENOMEM. Borrows values. */
int hx_planner_create(const hx_values *values, hx_planner **out);
/* NULL is fine. */
void hx_planner_destroy(hx_planner *planner);

/* The plan for all messages of this one's form, which has this log key; only groups that are open
 * count. blanked: the message, where it is not too long for that; it stays there. In two steps,
 * because what is kept of tokens is mostly far away: the first one fetches it. The second one gives
 * the plan's number of items, or HX_PLAN_SLOW. */
void hx_planner_begin(hx_planner *planner, const hx_cut_message *message, const hx_blanked *blanked,
                      uint32_t log_key, uint32_t open);
uint8_t hx_planner_finish(hx_planner *planner, hx_plan *out);

/* The verdict by a plan's items: 0, or 1 and the index of the check that does not pass. */
static inline uint32_t hx_plan_judge(const hx_values *values, const hx_plan_item *items,
                                     uint32_t count, const char *message)
{
    for (const hx_plan_item *i = items; i < items + count; i++) {
        const char *at = message + i->at;
        bool passes = false;

        if (__builtin_expect(i->kind <= HX_PLAN_EITHER, 1)) {
            uint64_t eight;

            memcpy(&eight, at, 8);
            eight = __builtin_bswap64(eight) << i->left >> i->right;
            passes = i->kind == HX_PLAN_RANGE ? eight - i->low <= i->high - i->low
                                              : eight == i->low || eight == i->high;
            at += i->left / 8;
        }
        if (__builtin_expect(!passes, 0) && (i->kind == HX_PLAN_EITHER || i->kind == HX_PLAN_TEXT))
            passes = hx_check_passes(&values->checks[i->check], at, i->length);
        if (__builtin_expect(!passes, 0))
            return i->check + 1u;
    }
    return 0;
}

#endif
