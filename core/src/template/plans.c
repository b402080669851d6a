#include "plans.h"

#include "forms.h"

#include <haechi/error.h>
#include <haechi/hash.h>
#include <haechi/pages.h>

#define WAYS        2
#define TOKEN_PAIRS 2048 /* a power of two */
#define TOKEN_WORDS 15   /* of a form and its items: with what stands before, two cache lines */
#define ITEM_WORDS  (sizeof(hx_plan_item) / 8)

/* Items lie in the token, and those of a number have no shift to the left yet. */
struct hx_token_plan {
    uint32_t group; /* 1 and its number; 0: free */
    uint8_t length, count;
    uint64_t words[TOKEN_WORDS]; /* the form, zero behind its end; the items */
};

int hx_token_plans_init(hx_token_plans *plans)
{
    _Static_assert(sizeof(hx_token_plan) == 128 && sizeof(hx_plan_item) % 8 == 0, "cache lines");
    plans->turn = 0;
    plans->items = hx_pages_map(WAYS * TOKEN_PAIRS * sizeof *plans->items);
    return plans->items ? 0 : HX_ENOMEM;
}

void hx_token_plans_free(hx_token_plans *plans)
{
    hx_pages_unmap(plans->items, WAYS * TOKEN_PAIRS * sizeof *plans->items);
}

/* --- a token -----------------------------------------------------------------------------------
 */

/* As text, so that numbers of one length compare as they are. */
static uint64_t number_text(uint64_t value, uint32_t digits)
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
    out->low = digits == low ? number_text(check->low, digits) : number_text(0, digits);
    out->high = digits == high ? number_text(check->high, digits) : UINT64_MAX >> (64 - 8 * digits);
    out->right = (uint8_t)(64 - 8 * digits);
    return true;
}

/* A network's first octets as text; 0 where the form that ends at dots has other lengths. */
static uint64_t network_text(uint64_t network, const uint8_t *dots, uint32_t octets)
{
    uint64_t text = 0;

    for (uint32_t i = 0; i < octets; i++) {
        const uint64_t octet = network >> 16 * (octets - 1 - i) & 0xffff;
        const uint32_t digits = dots[i] - (i ? dots[i - 1] + 1u : 0);

        if (digits != hx_check_digits(octet))
            return 0;
        text = (i ? text << 8 | '.' : 0) << 8 * digits | number_text(octet, digits);
    }
    return text;
}

/* Where the dots stand in an address. */
static void find_dots(const char *address, uint32_t length, uint8_t dots[3])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < length && count < 3; i++)
        if (address[i] == '.')
            dots[count++] = (uint8_t)i;
}

/* What is usual and looks as the form does, where that is one or two: what is one of them is
 * passed, and of all else the check is asked (a number may have zeros in front). */
static void plan_usual(const hx_check *check, const char *part, hx_plan_item *out)
{
    const bool numbers = check->kind == HX_VALUE_NUMBERS;
    uint32_t length = out->length, count = 0;
    uint64_t known[2];
    uint8_t dots[3] = {0};

    if (!numbers) {
        find_dots(part, length, dots);
        length = dots[check->octets - 1];
    }
    if (length > 8)
        return;
    for (uint32_t i = 0; i < check->usual_count; i++) {
        const uint64_t usual = check->usual[i];
        const uint64_t text = !numbers ? network_text(usual, dots, check->octets)
                              : hx_check_digits(usual) == length ? number_text(usual, length)
                                                                 : 0;

        if (text && count == 2)
            return;
        if (text)
            known[count++] = text;
    }
    if (!count)
        return;
    out->kind = HX_PLAN_EITHER;
    out->length = (uint8_t)length;
    out->low = known[0];
    out->high = known[count - 1];
    out->right = (uint8_t)(64 - 8 * length);
}

/* What a token leaves to do. */
typedef struct token_items {
    uint32_t count; /* or HX_PLAN_SLOW */
    hx_plan_item item[HX_PLAN_ITEMS];
} token_items;

/* False: there are too many. */
static bool add_item(const hx_check *check, uint32_t index, const hx_check_token *token,
                     hx_check_say says, token_items *out)
{
    hx_plan_item item = {.check = (uint16_t)index, .kind = HX_PLAN_ALWAYS};

    if (says == HX_CHECK_PART) {
        const hx_part *part = &token->skeleton.parts[check->part];

        item.kind = HX_PLAN_TEXT;
        item.at = part->at;
        item.length = part->length;
        if (check->kind != HX_VALUE_RANGE)
            plan_usual(check, token->text.ptr + part->at, &item);
        else if (!plan_range(check, part->length, &item))
            return true;
    }
    if (out->count == HX_PLAN_ITEMS)
        return false;
    out->item[out->count++] = item;
    return true;
}

static void plan_token(const hx_values *values, const hx_check_group *group, hx_check_token *token,
                       token_items *out)
{
    out->count = 0;
    hx_check_token_skeleton(token);
    for (uint32_t i = group->first; i < group->end; i++) {
        hx_check_say says = hx_check_look(&values->checks[i], token);

        if (says == HX_CHECK_NOTHING)
            continue;
        if (!add_item(&values->checks[i], i, token, says, out)) {
            out->count = HX_PLAN_SLOW;
            return;
        }
        if (out->count && out->item[out->count - 1].kind == HX_PLAN_ALWAYS)
            return;
    }
}

/* A token's bytes with every digit made a zero. */
typedef struct token_form {
    uint32_t length, eights;
    uint32_t others;         /* bytes that are no digits */
    uint64_t eight[256 / 8]; /* zero behind its end */
} token_form;

/* Eight bytes of a message from one of its bytes on; zeros behind its end. */
static inline uint64_t load_eight(const hx_cut_message *message, uint32_t at)
{
    const uint32_t over = at + 8 > message->length ? at + 8 - message->length : 0;
    uint64_t eight = 0;

    if (message->length >= 8)
        memcpy(&eight, message->text + at - over, 8);
    else
        memcpy(&eight, message->text + at, message->length - at);
    return message->length >= 8 ? eight >> 8 * over : eight;
}

static inline void take_form(const hx_cut_message *message, hx_slice token, token_form *out)
{
    const uint32_t start = (uint32_t)(token.ptr - message->text);
    uint64_t sum = 0; /* of digits, a byte each */
    uint32_t n = 0;

    for (uint32_t at = 0; at < token.len; at += 8, n++) {
        const uint32_t left = token.len - at;
        uint64_t eight = load_eight(message, start + at), digits;

        if (left < 8)
            eight &= (UINT64_C(1) << 8 * left) - 1;
        digits = hx_digits_of_eight(eight);
        sum += digits;
        out->eight[n] = eight & ~(digits * 15);
    }
    out->length = token.len;
    out->eights = n;
    sum = (sum & UINT64_C(0x00ff00ff00ff00ff)) + (sum >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    out->others = token.len - (uint32_t)(sum * UINT64_C(0x0001000100010001) >> 48);
}

static inline bool is_plan_of(const hx_token_plan *plan, uint32_t number, const token_form *form)
{
    uint64_t differ = (plan->group ^ number) | (plan->length ^ form->length);

    if (differ)
        return false;
    for (uint32_t i = 0; i < form->eights; i++)
        differ |= plan->words[i] ^ form->eight[i];
    return !differ;
}

static bool fits(const token_form *form, uint32_t count)
{
    return form->eights + (count == HX_PLAN_SLOW ? 0 : count * ITEM_WORDS) <= TOKEN_WORDS;
}

static void keep_plan(hx_token_plan *plan, uint32_t number, const token_form *form,
                      const token_items *items)
{
    plan->group = number;
    plan->length = (uint8_t)form->length;
    plan->count = (uint8_t)items->count;
    memcpy(plan->words, form->eight, form->eights * sizeof form->eight[0]);
    if (items->count != HX_PLAN_SLOW)
        memcpy(plan->words + form->eights, items->item, items->count * sizeof items->item[0]);
}

static __attribute__((noinline)) void make_plan(const hx_values *values, hx_token_plans *plans,
                                                hx_token_plan *pair, const hx_check_group *group,
                                                const token_form *form, hx_check_token *token,
                                                token_items *out)
{
    hx_token_plan *plan = !pair[0].group   ? &pair[0]
                          : !pair[1].group ? &pair[1]
                                           : &pair[plans->turn++ & 1];

    plan_token(values, group, token, out);
    if (fits(form, out->count))
        keep_plan(plan, (uint32_t)(group - values->groups) + 1, form, out);
}

/* What is left to do of a token by its form: as it is kept, or made now. */
static inline void find_items(const hx_values *values, hx_token_plans *plans,
                              const hx_check_group *group, const token_form *form,
                              hx_check_token *token, token_items *out)
{
    const uint32_t number = (uint32_t)(group - values->groups) + 1;
    uint64_t hash = HX_HASH_SEED ^ number;
    hx_token_plan *pair, *plan;

    for (uint32_t i = 0; i < form->eights; i++)
        hash = hx_hash_u64(hash, form->eight[i]);
    pair = &plans->items[WAYS * (hash >> 32 & (TOKEN_PAIRS - 1))];
    for (plan = pair; plan < pair + WAYS; plan++)
        if (is_plan_of(plan, number, form)) {
            out->count = plan->count;
            if (plan->count != HX_PLAN_SLOW)
                for (uint32_t i = 0; i < plan->count; i++)
                    memcpy(&out->item[i], plan->words + form->eights + ITEM_WORDS * i,
                           sizeof out->item[i]);
            return;
        }
    make_plan(values, plans, pair, group, form, token, out);
}

/* --- a message ---------------------------------------------------------------------------------
 */

/* An item of a token that starts at start: where it lies in the message. */
static hx_plan_item place_item(hx_plan_item item, uint32_t start, uint32_t message_len)
{
    const uint32_t at = start + item.at;

    item.at = (uint8_t)at;
    if (item.kind != HX_PLAN_RANGE && item.kind != HX_PLAN_EITHER)
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
        hx_check_token token;
        token_form form;
        token_items items;
        uint32_t start;

        hx_check_token_find(group->place, message, &token);
        if (!token.text.ptr)
            continue;
        start = (uint32_t)(token.text.ptr - message->text);
        take_form(message, token.text, &form);
        if (!(group->others >> form.others % 64 & 1))
            continue;
        find_items(values, tokens, group, &form, &token, &items);
        if (items.count > HX_PLAN_ITEMS - count) /* also what is slow */
            return HX_PLAN_SLOW;
        for (uint32_t i = 0; i < items.count; i++)
            out->items[count++] = place_item(items.item[i], start, message->length);
        if (count && out->items[count - 1].kind == HX_PLAN_ALWAYS)
            break;
    }
    return (uint8_t)count;
}
