#include "plans.h"

#include "forms.h"
#include "plan_token.h"

#include <haechi/error.h>
#include <haechi/hash.h>
#include <haechi/pages.h>

#include <stdlib.h>

#define WAYS        2
#define TOKEN_PAIRS 2048 /* a power of two */
#define TOKEN_WORDS 15   /* of a form and its items: with what stands before, two cache lines */
#define ITEM_WORDS  (sizeof(hx_plan_item) / 8)
#define TABLE_BYTES (WAYS * TOKEN_PAIRS * sizeof(token_plan))
#define WORK        4 /* tokens at once */

/* A token's bytes with every digit made a zero. */
typedef struct token_form {
    uint32_t length, eights;
    uint32_t others;         /* bytes that are no digits */
    uint64_t eight[256 / 8]; /* zero behind its end */
} token_form;

typedef struct token_plan {
    uint32_t group; /* 1 and its number; 0: free */
    uint8_t length, count;
    uint64_t words[TOKEN_WORDS]; /* the form, zero behind its end; the items */
} token_plan;

/* A token that has a say, on its way. */
typedef struct token_work {
    const hx_check_group *group;
    token_plan *pair;
    hx_check_token token;
    token_form form;
} token_work;

struct hx_planner {
    const hx_values *values;
    token_plan *plans; /* in pairs */
    uint32_t turn;     /* which one of a pair is given up next */
    hx_cut_message message;
    uint32_t log_key, open;
    uint32_t at; /* of its groups */
    uint32_t count;
    token_work work[WORK];
};

int hx_planner_create(const hx_values *values, hx_planner **out)
{
    hx_planner *p = calloc(1, sizeof *p);

    _Static_assert(sizeof(token_plan) == 128 && sizeof(hx_plan_item) % 8 == 0, "cache lines");
    *out = NULL;
    if (!p)
        return HX_ENOMEM;
    p->values = values;
    p->plans = hx_pages_map(TABLE_BYTES);
    if (!p->plans) {
        free(p);
        return HX_ENOMEM;
    }
    *out = p;
    return 0;
}

void hx_planner_destroy(hx_planner *planner)
{
    if (!planner)
        return;
    hx_pages_unmap(planner->plans, TABLE_BYTES);
    free(planner);
}

/* --- a token -----------------------------------------------------------------------------------
 */

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

static inline bool is_plan_of(const token_plan *plan, uint32_t number, const token_form *form)
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

static void keep_plan(token_plan *plan, uint32_t number, const token_form *form,
                      const hx_token_items *items)
{
    plan->group = number;
    plan->length = (uint8_t)form->length;
    plan->count = (uint8_t)items->count;
    memcpy(plan->words, form->eight, form->eights * sizeof form->eight[0]);
    if (items->count != HX_PLAN_SLOW)
        memcpy(plan->words + form->eights, items->item, items->count * sizeof items->item[0]);
}

static __attribute__((noinline)) void make_plan(hx_planner *p, token_work *w, hx_token_items *out)
{
    token_plan *plan = !w->pair[0].group   ? &w->pair[0]
                       : !w->pair[1].group ? &w->pair[1]
                                           : &w->pair[p->turn++ & 1];

    hx_token_items_make(p->values, w->group, &w->token, out);
    if (fits(&w->form, out->count))
        keep_plan(plan, (uint32_t)(w->group - p->values->groups) + 1, &w->form, out);
}

/* What is left to do of a token by its form: as it is kept, or made now. */
static inline void find_items(hx_planner *p, token_work *w, hx_token_items *out)
{
    const uint32_t number = (uint32_t)(w->group - p->values->groups) + 1;

    for (const token_plan *plan = w->pair; plan < w->pair + WAYS; plan++) {
        if (!is_plan_of(plan, number, &w->form))
            continue;
        out->count = plan->count;
        for (uint32_t i = 0; plan->count != HX_PLAN_SLOW && i < plan->count; i++)
            memcpy(&out->item[i], plan->words + w->form.eights + ITEM_WORDS * i,
                   sizeof out->item[i]);
        return;
    }
    make_plan(p, w, out);
}

static inline void fetch_pair(const hx_planner *p, token_work *w)
{
    uint64_t hash = HX_HASH_SEED ^ ((uint64_t)(w->group - p->values->groups) + 1);

    for (uint32_t i = 0; i < w->form.eights; i++)
        hash = hx_hash_u64(hash, w->form.eight[i]);
    w->pair = &p->plans[WAYS * (hash >> 32 & (TOKEN_PAIRS - 1))];
    __builtin_prefetch(w->pair);
    __builtin_prefetch((const char *)w->pair + 64);
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

/* The next tokens that have a say, with their plans fetched: they are waited for together. */
static void gather(hx_planner *p)
{
    const hx_check_group *group;

    p->count = 0;
    while (p->count < WORK && (group = hx_checks_next(p->values, p->log_key, p->open, &p->at))) {
        token_work *w = &p->work[p->count];

        w->group = group;
        hx_check_token_find(group->place, &p->message, &w->token);
        if (!w->token.text.ptr)
            continue;
        take_form(&p->message, w->token.text, &w->form);
        if (!(group->others >> w->form.others % 64 & 1))
            continue;
        fetch_pair(p, w);
        p->count++;
    }
}

void hx_planner_begin(hx_planner *planner, const hx_cut_message *message, uint32_t log_key,
                      uint32_t open)
{
    planner->message = *message;
    planner->log_key = log_key;
    planner->open = open;
    planner->at = 0;
    if (message->length <= UINT8_MAX)
        gather(planner);
}

/* False: they are too many. */
static bool take_items(hx_planner *p, token_work *w, uint32_t *count, hx_plan *out)
{
    const uint32_t start = (uint32_t)(w->token.text.ptr - p->message.text);
    hx_token_items items;

    find_items(p, w, &items);
    if (items.count > HX_PLAN_ITEMS - *count) /* also what is slow */
        return false;
    for (uint32_t i = 0; i < items.count; i++)
        out->items[(*count)++] = place_item(items.item[i], start, p->message.length);
    return true;
}

uint8_t hx_planner_finish(hx_planner *planner, hx_plan *out)
{
    uint32_t count = 0;

    if (planner->message.length > UINT8_MAX)
        return HX_PLAN_SLOW;
    for (; planner->count; gather(planner))
        for (uint32_t i = 0; i < planner->count; i++) {
            if (!take_items(planner, &planner->work[i], &count, out))
                return HX_PLAN_SLOW;
            if (count && out->items[count - 1].kind == HX_PLAN_ALWAYS)
                return (uint8_t)count;
        }
    return (uint8_t)count;
}
