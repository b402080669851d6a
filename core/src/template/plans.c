#include "plans.h"

#include "plan_token.h"

#include <haechi/error.h>
#include <haechi/hash.h>
#include <haechi/pages.h>

#include <stdlib.h>

#define WAYS        2
#define TOKEN_PAIRS 2048 /* a power of two */
#define TOKEN_WORDS 15   /* of a form and its items: with what stands before, two cache lines */
#define SHORT_WORDS 4    /* of the shortest form: with one item they are in the first line */
#define SHORT_BYTES (8 * SHORT_WORDS)
#define ITEM_WORDS  (sizeof(hx_plan_item) / 8)
#define TABLE_BYTES (WAYS * TOKEN_PAIRS * sizeof(token_plan))
#define WORK        4 /* tokens at once */

#define KEY_1       UINT64_C(0xe7037ed1a0b428db)
#define KEY_2       UINT64_C(0x8ebc6af09c88c6e3)
#define KEY_3       UINT64_C(0x589965cc75374cc3)

typedef struct token_plan {
    uint32_t group; /* 1 and its number; 0: free */
    uint8_t length, count;
    uint64_t words[TOKEN_WORDS]; /* the form, zero behind its end; the items */
} token_plan;

/* A token that has a say, on its way. */
typedef struct token_work {
    const hx_check_group *group;
    token_plan *pair;
    hx_token token;
    uint32_t number;            /* of the group, and 1 */
    uint64_t form[SHORT_WORDS]; /* the token's first bytes, their digits made zeros */
} token_work;

struct hx_planner {
    const hx_values *values;
    token_plan *plans; /* in pairs */
    uint32_t turn;     /* which one of a pair is given up next */
    hx_cut_message message;
    const hx_blanked *blanked; /* the message */
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

/* The words of a token's form behind the first ones. */
static inline uint64_t form_word(const hx_planner *p, hx_token token, uint32_t i)
{
    const uint32_t left = token.length - 8 * i;
    uint64_t eight;

    memcpy(&eight, p->blanked->bytes + token.start + 8 * i, sizeof eight);
    return left < 8 ? eight & ((UINT64_C(1) << 8 * left) - 1) : eight;
}

static inline uint32_t form_words(hx_token token)
{
    return token.length <= SHORT_BYTES ? SHORT_WORDS : (token.length + 7u) / 8;
}

#if defined(__x86_64__)
#include <emmintrin.h>

/* From SHORT_BYTES less length on: as many bytes of ones, and zeros behind them. */
static const uint8_t ones_first[2 * SHORT_BYTES] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
};

/* Takes the first bytes of a token's form; how many of them are digits. */
static inline uint32_t take_form(const char *text, uint32_t length, uint64_t form[SHORT_WORDS])
{
    const uint8_t *ones = ones_first + SHORT_BYTES - (length < SHORT_BYTES ? length : SHORT_BYTES);
    const __m128i *from = (const __m128i *)(const void *)text;
    const __m128i *mask = (const __m128i *)(const void *)ones;
    const __m128i zero = _mm_set1_epi8('0');
    __m128i first = _mm_and_si128(_mm_loadu_si128(from), _mm_loadu_si128(mask));
    __m128i second = _mm_and_si128(_mm_loadu_si128(from + 1), _mm_loadu_si128(mask + 1));
    __m128i digits = _mm_add_epi8(_mm_cmpeq_epi8(first, zero), _mm_cmpeq_epi8(second, zero));
    __m128i sums = _mm_sad_epu8(_mm_sub_epi8(_mm_setzero_si128(), digits), _mm_setzero_si128());

    _mm_storeu_si128((__m128i *)(void *)form, first);
    _mm_storeu_si128((__m128i *)(void *)(form + 2), second);
    return (uint32_t)(_mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4));
}
#else
static inline uint32_t take_form(const char *text, uint32_t length, uint64_t form[SHORT_WORDS])
{
    uint32_t digits = 0;

    memset(form, 0, SHORT_BYTES);
    memcpy(form, text, length < SHORT_BYTES ? length : SHORT_BYTES);
    for (uint32_t i = 0; i < length && i < SHORT_BYTES; i++)
        digits += text[i] == '0';
    return digits;
}
#endif

/* False where the token is none of the checks' business. */
static inline bool take_token(const hx_planner *p, token_work *w)
{
    const char *text = p->blanked->bytes + w->token.start;
    uint32_t digits = take_form(text, w->token.length, w->form);

    for (uint32_t i = SHORT_BYTES; i < w->token.length; i++)
        digits += text[i] == '0';
    return w->group->others >> (w->token.length - digits) % 64 & 1;
}

static inline bool is_plan_of(const hx_planner *p, const token_plan *plan, const token_work *w)
{
    uint64_t differ = (plan->group ^ w->number) | (plan->length ^ w->token.length);

    for (uint32_t i = 0; i < SHORT_WORDS; i++)
        differ |= plan->words[i] ^ w->form[i];
    if (differ)
        return false;
    for (uint32_t i = SHORT_WORDS; i < form_words(w->token); i++)
        differ |= plan->words[i] ^ form_word(p, w->token, i);
    return !differ;
}

static bool fits(hx_token token, uint32_t count)
{
    return form_words(token) + (count == HX_PLAN_SLOW ? 0 : count * ITEM_WORDS) <= TOKEN_WORDS;
}

static void keep_plan(hx_planner *p, const token_work *w, const hx_token_items *items)
{
    token_plan *plan = !w->pair[0].group   ? &w->pair[0]
                       : !w->pair[1].group ? &w->pair[1]
                                           : &w->pair[p->turn++ & 1];
    const uint32_t words = form_words(w->token);

    plan->group = w->number;
    plan->length = (uint8_t)w->token.length;
    plan->count = (uint8_t)items->count;
    memcpy(plan->words, w->form, sizeof w->form);
    for (uint32_t i = SHORT_WORDS; i < words; i++)
        plan->words[i] = form_word(p, w->token, i);
    if (items->count != HX_PLAN_SLOW)
        memcpy(plan->words + words, items->item, items->count * sizeof items->item[0]);
}

static __attribute__((noinline)) void make_plan(hx_planner *p, const token_work *w,
                                                hx_token_items *out)
{
    hx_check_token token = {
        .text = hx_slice_make(p->message.text + w->token.start, w->token.length),
        .is_value = w->token.is_value,
    };

    hx_token_items_make(p->values, w->group, &token, out);
    if (fits(w->token, out->count))
        keep_plan(p, w, out);
}

/* What is left to do of a token by its form, as it is kept, or made now in room; how much. */
static inline const hx_plan_item *find_items(hx_planner *p, const token_work *w,
                                             hx_token_items *room, uint32_t *count)
{
    for (const token_plan *plan = w->pair; plan < w->pair + WAYS; plan++)
        if (is_plan_of(p, plan, w)) {
            *count = plan->count;
            return (const hx_plan_item *)(const void *)(plan->words + form_words(w->token));
        }
    make_plan(p, w, room);
    *count = room->count;
    return room->item;
}

static inline void fetch_pair(const hx_planner *p, token_work *w)
{
    const uint64_t *form = w->form;
    /* Any numbers will do, where they are others. */
    uint64_t hash = hx_hash_mix(form[0] ^ HX_HASH_SEED ^ w->number, form[1] ^ KEY_1) +
                    hx_hash_mix(form[2] ^ KEY_2, form[3] ^ KEY_3);

    for (uint32_t i = SHORT_WORDS; i < form_words(w->token); i++)
        hash = hx_hash_u64(hash, form_word(p, w->token, i));
    w->pair = &p->plans[WAYS * (hash >> 32 & (TOKEN_PAIRS - 1))];
    __builtin_prefetch(&w->pair[0]);
    __builtin_prefetch(&w->pair[1]);
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
        if (!hx_cut_token(&p->message, group->place, &w->token) || !take_token(p, w))
            continue;
        w->number = (uint32_t)(group - p->values->groups) + 1;
        fetch_pair(p, w);
        p->count++;
    }
}

void hx_planner_begin(hx_planner *planner, const hx_cut_message *message, const hx_blanked *blanked,
                      uint32_t log_key, uint32_t open)
{
    planner->message = *message;
    planner->blanked = blanked;
    planner->log_key = log_key;
    planner->open = open;
    planner->at = 0;
    if (message->length <= HX_BLANKED_MOST)
        gather(planner);
}

/* False: they are too many. */
static bool take_items(hx_planner *p, const token_work *w, uint32_t *count, hx_plan *out)
{
    hx_token_items room;
    uint32_t more;
    const hx_plan_item *items = find_items(p, w, &room, &more);

    if (more > HX_PLAN_ITEMS - *count) /* also what is slow */
        return false;
    for (uint32_t i = 0; i < more; i++)
        out->items[(*count)++] = place_item(items[i], w->token.start, p->message.length);
    return true;
}

uint8_t hx_planner_finish(hx_planner *planner, hx_plan *out)
{
    uint32_t count = 0;

    if (planner->message.length > HX_BLANKED_MOST)
        return HX_PLAN_SLOW;
    for (; planner->count; gather(planner)) {
        for (uint32_t i = 0; i < planner->count; i++) {
            if (!take_items(planner, &planner->work[i], &count, out))
                return HX_PLAN_SLOW;
            if (count && out->items[count - 1].kind == HX_PLAN_ALWAYS)
                return (uint8_t)count;
        }
        if (planner->count < WORK) /* there are no more */
            break;
    }
    return (uint8_t)count;
}
