#include "plans.h"

#include "forms.h"

#include <haechi/error.h>
#include <haechi/hash.h>

#include <stdlib.h>

#define TOKEN_BYTES 64 /* of the longest token whose plan is kept */
#define TOKEN_ITEMS 4
#define TOKEN_PLANS 1024 /* a power of two */

/* Items lie in the token, and those of a range have no shift to the left yet. */
typedef struct hx_token_plan {
    uint64_t form[TOKEN_BYTES / 8]; /* every digit a zero; zero behind its end */
    uint32_t group;                 /* 1 and its number; 0: free */
    uint8_t length, count;          /* count: of items, or HX_PLAN_SLOW */
    hx_plan_item items[TOKEN_ITEMS];
} hx_token_plan;

int hx_token_plans_init(hx_token_plans *plans)
{
    plans->items = calloc(TOKEN_PLANS, sizeof *plans->items);
    return plans->items ? 0 : HX_ENOMEM;
}

void hx_token_plans_free(hx_token_plans *plans)
{
    free(plans->items);
}

/* --- a token -----------------------------------------------------------------------------------
 */

/* As text, so that numbers of one length compare as they are. */
static uint64_t as_text(uint64_t value, uint32_t digits)
{
    uint64_t text = 0;

    for (uint32_t i = 0; i < digits; i++, value /= 10)
        text |= (uint64_t)('0' + value % 10) << (8 * i);
    return text;
}

/* A number of so many digits against a range. False: they decide nothing. */
static bool plan_range(const hx_check *check, uint32_t digits, hx_plan_item *out)
{
    const uint32_t low = check->low_digits, high = check->high_digits;

    if (digits < low || digits > high) {
        out->kind = HX_PLAN_ALWAYS;
        return true;
    }
    if ((digits > low || check->low == 0) && digits < high)
        return false;
    if (digits > 8)
        return true;
    out->kind = HX_PLAN_RANGE;
    out->low = digits == low ? as_text(check->low, digits) : as_text(0, digits);
    out->high = digits == high ? as_text(check->high, digits) : UINT64_MAX >> (64 - 8 * digits);
    out->right = (uint8_t)(64 - 8 * digits);
    return true;
}

/* False: there are too many. */
static bool add_item(const hx_check *check, uint32_t index, const hx_check_token *token,
                     hx_check_say says, hx_token_plan *plan)
{
    hx_plan_item item = {.check = (uint16_t)index, .kind = HX_PLAN_ALWAYS};

    if (says == HX_CHECK_PART) {
        const hx_part *part = &token->skeleton.parts[check->part];

        item.kind = HX_PLAN_TEXT;
        item.at = part->at;
        item.length = part->length;
        if (check->kind == HX_VALUE_RANGE && !plan_range(check, part->length, &item))
            return true;
    }
    if (plan->count == TOKEN_ITEMS)
        return false;
    plan->items[plan->count++] = item;
    return true;
}

static uint32_t count_others(hx_slice text)
{
    uint32_t others = 0;

    for (uint32_t i = 0; i < text.len; i++)
        others += text.ptr[i] < '0' || text.ptr[i] > '9';
    return others;
}

/* Fills count and items. */
static void plan_token(const hx_values *values, const hx_check_group *group, hx_check_token *token,
                       hx_token_plan *out)
{
    out->count = 0;
    if (!(group->others >> count_others(token->text) % 64 & 1))
        return;
    hx_check_token_skeleton(token);
    for (uint32_t i = group->first; i < group->end; i++) {
        hx_check_say says = hx_check_look(&values->checks[i], token);

        if (says == HX_CHECK_NOTHING)
            continue;
        if (!add_item(&values->checks[i], i, token, says, out)) {
            out->count = HX_PLAN_SLOW;
            return;
        }
        if (out->count && out->items[out->count - 1].kind == HX_PLAN_ALWAYS)
            return;
    }
}

/* The eights of a token of at most TOKEN_BYTES; behind: bytes of the message from the token on. */
static uint32_t take_form(hx_slice token, uint32_t behind, uint64_t *form)
{
    uint32_t n = 0;

    for (uint32_t at = 0; at < token.len; at += 8, n++) {
        const uint32_t left = token.len - at;
        uint64_t eight = 0;

        if (at + 8 <= behind)
            memcpy(&eight, token.ptr + at, 8);
        else
            memcpy(&eight, token.ptr + at, behind - at);
        if (left < 8)
            eight &= (UINT64_C(1) << 8 * left) - 1;
        form[n] = hx_blank_eight(eight);
    }
    return n;
}

/* The kept plan of a token's form, or the one that is made of it and kept. */
static const hx_token_plan *find_plan(const hx_values *values, hx_token_plans *plans,
                                      const hx_check_group *group, hx_check_token *token,
                                      uint32_t behind)
{
    const uint32_t number = (uint32_t)(group - values->groups) + 1;
    uint64_t form[TOKEN_BYTES / 8], hash = HX_HASH_SEED ^ number, differ;
    const uint32_t eights = take_form(token->text, behind, form);
    hx_token_plan *plan;

    for (uint32_t i = 0; i < eights; i++)
        hash = hx_hash_u64(hash, form[i]);
    plan = &plans->items[hash >> 32 & (TOKEN_PLANS - 1)];
    differ = (plan->group ^ number) | (plan->length ^ token->text.len);
    for (uint32_t i = 0; i < eights; i++)
        differ |= plan->form[i] ^ form[i];
    if (!differ)
        return plan;
    plan->group = number;
    plan->length = (uint8_t)token->text.len;
    memcpy(plan->form, form, eights * sizeof form[0]);
    plan_token(values, group, token, plan);
    return plan;
}

/* --- a message ---------------------------------------------------------------------------------
 */

/* An item of a token that starts at start: where it lies in the message. */
static hx_plan_item place_item(hx_plan_item item, uint32_t start, uint32_t message_len)
{
    const uint32_t at = start + item.at;

    item.at = (uint8_t)at;
    if (item.kind != HX_PLAN_RANGE)
        return item;
    if (message_len < 8) {
        item.kind = HX_PLAN_TEXT;
        return item;
    }
    if (at + 8 > message_len)
        item.at = (uint8_t)(message_len - 8);
    item.left = (uint8_t)(8 * (at - item.at));
    return item;
}

uint8_t hx_plan_make(const hx_values *values, hx_token_plans *tokens, const hx_cut_message *message,
                     uint32_t log_key, uint32_t open, hx_plan *out)
{
    const hx_check_group *group;
    uint32_t count = 0;

    if (message->length > UINT8_MAX)
        return HX_PLAN_SLOW;
    for (uint32_t at = 0; (group = hx_checks_next(values, log_key, open, &at));) {
        const hx_token_plan *plan;
        hx_check_token token;
        hx_token_plan own;
        uint32_t start;

        hx_check_token_find(group->place, message, &token);
        if (!token.text.ptr)
            continue;
        start = (uint32_t)(token.text.ptr - message->text);
        if (token.text.len <= TOKEN_BYTES) {
            plan = find_plan(values, tokens, group, &token, message->length - start);
        } else {
            plan_token(values, group, &token, &own);
            plan = &own;
        }
        if (plan->count > HX_PLAN_ITEMS - count) /* also what is slow */
            return HX_PLAN_SLOW;
        for (uint32_t i = 0; i < plan->count; i++)
            out->items[count++] = place_item(plan->items[i], start, message->length);
        if (count && out->items[count - 1].kind == HX_PLAN_ALWAYS)
            break;
    }
    return (uint8_t)count;
}
