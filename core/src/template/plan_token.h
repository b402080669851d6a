/* What the checks of one step leave to do for each token of one form. */
#ifndef HAECHI_TEMPLATE_PLAN_TOKEN_H
#define HAECHI_TEMPLATE_PLAN_TOKEN_H

#include "plans.h"

/* Places are the token's, and those of a number have no shift to the left yet. */
typedef struct hx_token_items {
    uint32_t count; /* or HX_PLAN_SLOW */
    hx_plan_item item[HX_PLAN_ITEMS];
} hx_token_items;

/* By the checks, one by one. */
void hx_token_items_make(const hx_values *values, const hx_check_group *group,
                         hx_check_token *token, hx_token_items *out);

#endif
