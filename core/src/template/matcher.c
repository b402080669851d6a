#include "answers.h"
#include "forms.h"
#include "plans.h"
#include "templates.h"
#include "tree.h"

#include <haechi/hash.h>
#include <haechi/pages.h>
#include <haechi/template.h>

#include <stdlib.h>

struct hx_matcher {
    hx_templates templates;
    hx_tree *tree;
};

struct hx_match_scratch {
    hx_tree_branch *branches;
    hx_forms_way way;
    hx_forms forms;
    hx_form *form;                  /* of the message that was matched last; or NULL */
    hx_outline_write write_outline; /* or NULL: every message takes the long way */
    hx_answers answers;
    hx_outline outline;
    bool outlined;      /* the last message's tokens are in the outline and not in the tokenizer */
    uint32_t open;      /* what its words leave open of its log key's checks */
    hx_blanked blanked; /* the last message whose form was not known */
    hx_tokenizer tokenizer;
    const hx_values *values; /* or NULL: nothing is judged */
    hx_plan *plans;          /* [HX_FORMS], beside the forms: those that do not fit in there */
    hx_planner *planner;
};

int hx_matcher_create(const char *json, size_t json_len, hx_matcher **out, hx_error *err)
{
    hx_matcher *matcher = calloc(1, sizeof *matcher);
    uint32_t first, second;
    int rc;

    *out = NULL;
    if (!matcher)
        return hx_error_set(err, HX_ENOMEM, "not enough memory for a matcher");
    rc = hx_templates_read(&matcher->templates, json, json_len, err);
    if (!rc) {
        rc = hx_tree_create(matcher->templates.patterns, matcher->templates.count, &matcher->tree,
                            &first, &second);
        if (rc == HX_EMALFORMED)
            hx_error_set(err, rc, "templates.json: templates %u and %u are the same", first,
                         second);
        else if (rc)
            hx_error_set(err, rc, "not enough memory for %u templates", matcher->templates.count);
    }
    if (rc) {
        hx_matcher_destroy(matcher);
        return rc;
    }
    *out = matcher;
    return 0;
}

void hx_matcher_destroy(hx_matcher *matcher)
{
    if (!matcher)
        return;
    hx_tree_destroy(matcher->tree);
    hx_templates_free(&matcher->templates);
    free(matcher);
}

uint32_t hx_matcher_count(const hx_matcher *matcher)
{
    return matcher->templates.count;
}

const char *hx_matcher_text(const hx_matcher *matcher, uint32_t log_key)
{
    return log_key < matcher->templates.count ? matcher->templates.texts[log_key] : NULL;
}

const hx_pattern *hx_matcher_pattern(const hx_matcher *matcher, uint32_t log_key)
{
    return &matcher->templates.patterns[log_key];
}

uint32_t hx_matcher_max_tokens(const hx_matcher *matcher)
{
    return matcher->templates.max_tokens;
}

int hx_match_scratch_create(const hx_matcher *matcher, hx_match_scratch **out)
{
    uint32_t max_tokens = matcher->templates.max_tokens;
    hx_match_scratch *scratch = malloc(sizeof *scratch);
    int rc = HX_ENOMEM;

    *out = NULL;
    if (!scratch)
        return rc;
    scratch->plans = NULL;
    scratch->planner = NULL;
    scratch->branches = malloc(HX_TREE_BRANCHES(max_tokens) * sizeof *scratch->branches);
    rc = hx_forms_init(&scratch->forms);
    rc |= hx_answers_init(&scratch->answers);
    if (rc || !scratch->branches) {
        hx_match_scratch_destroy(scratch);
        return HX_ENOMEM;
    }
    scratch->values = NULL;
    scratch->form = NULL;
    scratch->way = hx_forms_way_best();
    scratch->write_outline = hx_outline_best();
    hx_tokenizer_init(&scratch->tokenizer, max_tokens);
    *out = scratch;
    return 0;
}

void hx_match_scratch_destroy(hx_match_scratch *scratch)
{
    if (!scratch)
        return;
    if (scratch->plans)
        hx_pages_unmap(scratch->plans, HX_FORMS * sizeof *scratch->plans);
    hx_planner_destroy(scratch->planner);
    hx_forms_free(&scratch->forms);
    hx_answers_free(&scratch->answers);
    free(scratch->branches);
    free(scratch);
}

static uint32_t match_tokens(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message)
{
    hx_tokenizer_run(&scratch->tokenizer, message);
    return hx_tree_find(matcher->tree, &scratch->tokenizer, scratch->branches);
}

/* A message of a form that is not known. It is blanked, where it is not too long for that, while
 * the answer to its outline comes. */
static uint32_t match_new(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message)
{
    const bool has_outline =
        scratch->write_outline &&
        scratch->write_outline(&scratch->tokenizer, message, &scratch->outline);
    const hx_answer *answer;
    uint32_t key;

    if (has_outline)
        hx_answers_fetch(&scratch->answers, &scratch->outline);
    if (message.len <= HX_BLANKED_MOST)
        hx_blanked_make(&scratch->blanked, message);
    answer = has_outline ? hx_answers_find(&scratch->answers, &scratch->outline) : NULL;
    scratch->outlined = answer != NULL;
    if (answer) {
        scratch->open = answer->open;
        return answer->key;
    }
    scratch->open = HX_CHECKS_ALL;
    key = match_tokens(matcher, scratch, message);
    if (!has_outline)
        return key;
    if (scratch->values) {
        hx_cut_message cut = hx_cut_by_tokenizer(&scratch->tokenizer);

        scratch->open =
            hx_values_watch(scratch->values, key) ? hx_checks_open(scratch->values, &cut, key) : 0;
    }
    hx_answers_keep(&scratch->answers, &scratch->outline, key, scratch->open);
    return key;
}

hx_match_place hx_matcher_look(const hx_match_scratch *scratch, hx_slice message)
{
    hx_form_place place = scratch->way.place(&scratch->forms, message);

    if (scratch->values && place.form) /* its plan begins in the message's last line, or there */
        __builtin_prefetch(place.form->bytes + hx_form_end(message.len) + sizeof(hx_plan_item) - 1);
    return (hx_match_place){place.form, place.hash};
}

uint32_t hx_matcher_match_at(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message,
                             hx_match_place at)
{
    hx_form_place place = {at.form, at.hash};
    uint32_t key;

    scratch->form = place.form;
    if (scratch->way.holds(place, message))
        return hx_form_use(place);
    key = match_new(matcher, scratch, message);
    if (place.form && !hx_form_keep_blanked(place, &scratch->blanked, message.len, key))
        scratch->form = NULL;
    return key;
}

uint32_t hx_matcher_match(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message)
{
    return hx_matcher_match_at(matcher, scratch, message, hx_matcher_look(scratch, message));
}

uint32_t *hx_matcher_note(const hx_match_scratch *scratch)
{
    return scratch->form ? &scratch->form->note : NULL;
}

void hx_matcher_forget_notes(hx_match_scratch *scratch)
{
    for (uint32_t i = 0; i < HX_FORMS; i++)
        scratch->forms.items[i].note = 0;
}

/* --- values ------------------------------------------------------------------------------------
 */

int hx_match_scratch_watch(hx_match_scratch *scratch, const hx_values *values)
{
    scratch->plans = hx_pages_map(HX_FORMS * sizeof *scratch->plans);
    if (!scratch->plans || hx_planner_create(values, &scratch->planner))
        return HX_ENOMEM;
    scratch->values = values;
    return 0;
}

uint32_t hx_values_judge(const hx_values *values, hx_match_scratch *scratch, hx_slice message,
                         uint32_t log_key)
{
    hx_cut_message cut;

    if (!hx_values_watch(values, log_key))
        return 0;
    hx_tokenizer_run(&scratch->tokenizer, message);
    cut = hx_cut_by_tokenizer(&scratch->tokenizer);
    return hx_checks_judge(values, &cut, log_key, HX_CHECKS_ALL);
}

bool hx_values_explain(const hx_values *values, hx_match_scratch *scratch, hx_slice message,
                       uint32_t check, hx_value_finding *out)
{
    hx_cut_message cut;

    hx_tokenizer_run(&scratch->tokenizer, message);
    cut = hx_cut_by_tokenizer(&scratch->tokenizer);
    return check < values->count && hx_checks_explain(values, &cut, check, out);
}

/* Where the plan of a form lies: behind the message, where there is room. */
static inline hx_plan_item *plan_of(const hx_match_scratch *scratch, hx_form *form, uint32_t items)
{
    const uint32_t end = hx_form_end(form->length);

    if (__builtin_expect(end + items * sizeof(hx_plan_item) <= HX_FORM_BYTES, 1))
        return (hx_plan_item *)(void *)(form->bytes + end);
    return scratch->plans[form - scratch->forms.items].items;
}

/* A message of a form that is known, where its digits have a say. */
static __attribute__((noinline)) uint32_t judge_form(hx_match_scratch *scratch, hx_form *form,
                                                     hx_slice message)
{
    if (form->watch == HX_PLAN_SLOW)
        return hx_values_judge(scratch->values, scratch, message, form->key);
    return hx_plan_judge(scratch->values, plan_of(scratch, form, form->watch), form->watch,
                         message.ptr);
}

static inline void copy_items(hx_plan_item *to, const hx_plan_item *from, uint32_t count)
{
    if (count > 0) /* most have one or two: a call for so few takes longer */
        to[0] = from[0];
    if (count > 1)
        to[1] = from[1];
    if (__builtin_expect(count > 2, 0))
        memcpy(to + 2, from + 2, (count - 2) * sizeof *to);
}

/* A message of a form that was not known, right after it was matched and its plan begun; form:
 * where it is kept now, or NULL. */
static uint32_t judge_new(hx_match_scratch *scratch, hx_form *form, hx_slice message,
                          const hx_cut_message *cut, uint32_t key)
{
    hx_plan plan;
    const uint8_t items = hx_planner_finish(scratch->planner, &plan);

    if (form)
        form->watch = items;
    if (items == HX_PLAN_SLOW)
        return hx_checks_judge(scratch->values, cut, key, scratch->open);
    if (form)
        copy_items(plan_of(scratch, form, items), plan.items, items);
    return hx_plan_judge(scratch->values, plan.items, items, message.ptr);
}

uint32_t hx_matcher_judge_at(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message,
                             hx_match_place at, uint16_t *odd)
{
    hx_form_place place = {at.form, at.hash};
    hx_cut_message cut;
    uint32_t key;
    bool watched;

    *odd = 0;
    scratch->form = place.form;
    if (scratch->way.holds(place, message)) {
        if (place.form->watch)
            *odd = (uint16_t)judge_form(scratch, place.form, message);
        return hx_form_use(place);
    }
    key = match_new(matcher, scratch, message);
    watched = scratch->open && hx_values_watch(scratch->values, key);
    if (watched) {
        cut = scratch->outlined ? hx_cut_by_outline(message, &scratch->outline)
                                : hx_cut_by_tokenizer(&scratch->tokenizer);
        hx_planner_begin(scratch->planner, &cut, &scratch->blanked, key, scratch->open);
    }
    if (place.form && !hx_form_keep_blanked(place, &scratch->blanked, message.len, key))
        scratch->form = place.form = NULL;
    if (watched)
        *odd = (uint16_t)judge_new(scratch, place.form, message, &cut, key);
    return key;
}

uint64_t hx_template_shape(hx_match_scratch *scratch, hx_slice message)
{
    hx_tokenizer *t = &scratch->tokenizer;
    uint64_t hash = HX_HASH_SEED;

    hx_tokenizer_run(t, message);
    for (uint32_t i = 0; i < t->count; i++)
        hash = t->tokens[i].is_value
                   ? hx_hash_u64(hash, 1)
                   : hx_hash_bytes(t->text + t->tokens[i].start, t->tokens[i].length, hash);
    return hx_hash_u64(hash, t->cut);
}
