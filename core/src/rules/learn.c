/* What a form tells of its texts: looked for once, in the first text that has it. */
#include "rules/seat.h"

/* Into maybe: the patterns without a word that may hit, as the text's far form tells. */
static uint32_t find_far(hx_rule_seat *s, hx_rule_field field, hx_slice text)
{
    hx_seat_forms *forms = &s->fields[field].far;
    hx_form_place place = {NULL, 0}, known;
    char form[HX_FORM_BYTES];
    hx_slice far;
    uint32_t list, count;

    if (text.len <= HX_FORM_BYTES) {
        hx_far_form(text, form);
        far = hx_slice_make(form, text.len);
        place = s->way.place(&forms->forms, far);
        known = hx_seat_forms_find(s, forms, place, far);
        if (known.form) {
            const uint32_t *l = s->lists + hx_form_use(known);

            memcpy(s->maybe, l + LIST_IDS, l[LIST_HITS] * sizeof *l);
            return l[LIST_HITS];
        }
    }
    hx_seat_search(s, s->rules->fields[field].far, text);
    hx_seat_put_in_order(s->found, s->found_count);
    count = s->fresh[LIST_HITS] = s->found_count;
    s->fresh[LIST_CHECKS] = 0;
    memcpy(s->fresh + LIST_IDS, s->found, count * sizeof *s->found);
    memcpy(s->maybe, s->found, count * sizeof *s->found);
    if (place.form && (list = hx_seat_keep_list(s)) != UINT32_MAX)
        hx_seat_forms_keep(forms, place, far, list);
    return count;
}

/* Into fresh, behind what is there: those of the first count in maybe that hit whatever the digits
 * are. The others, which may, to the front of maybe; their number. */
static uint32_t settle_far(hx_rule_seat *s, hx_rule_field field, uint32_t count, hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    const bool at_once = count > HX_CHECKS_ALONE;
    uint32_t *hits = &s->fresh[LIST_HITS], checks = 0;

    if (at_once) {
        hx_seat_search(s, s->rules->fields[field].far_exact, text);
        memcpy(s->fresh + LIST_IDS, s->found, s->found_count * sizeof *s->found);
        *hits = s->found_count;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t id = s->maybe[i];
        const hx_pattern *p = &patterns[id];

        if (p->digits) {
            if (hx_seat_is_there(s, p->hint, id, text))
                s->maybe[checks++] = id;
        } else if (!p->checked || (!at_once && hx_seat_is_there(s, p->block, id, text))) {
            s->fresh[LIST_IDS + (*hits)++] = id;
        }
    }
    return checks;
}

/* Behind the hits of fresh: of the patterns behind gates that a form settles, those that hit. */
static void settle_gated(hx_rule_seat *s, const hx_field *f, const uint32_t *runs, hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    uint32_t *hits = &s->fresh[LIST_HITS], open = 0;
    bool any = false;

    for (int gate = 0; gate < HX_GATES; gate++)
        any |= runs[gate] >= f->settled_least[gate];
    if (!any)
        return;
    for (uint32_t i = 0; i < f->settled_count && open <= HX_CHECKS_ALONE; i++) {
        const hx_pattern *p = &patterns[f->settled_ids[i]];

        open += runs[p->gate] >= p->least;
    }
    if (open > HX_CHECKS_ALONE) {
        hx_seat_search(s, f->settled, text);
        memcpy(s->fresh + LIST_IDS + *hits, s->found, s->found_count * sizeof *s->found);
        *hits += s->found_count;
        return;
    }
    for (uint32_t i = 0; i < f->settled_count && open; i++) {
        const uint32_t id = f->settled_ids[i];
        const hx_pattern *p = &patterns[id];

        if (runs[p->gate] < p->least)
            continue;
        open--;
        if (hx_seat_is_there(s, p->block, id, text))
            s->fresh[LIST_IDS + (*hits)++] = id;
    }
}

/* Whether texts of the form are searched for what told holds, whatever words they have. */
static bool passes_gate(const hx_field *f, const uint32_t *runs)
{
    bool passes = runs[HX_GATE_ADDRESS] >= f->loose_least;

    for (uint32_t gate = 0; gate < HX_GATES; gate++)
        passes |= runs[gate] >= f->told_least[gate];
    return passes;
}

/* The text with every digit a zero. */
static hx_slice blank(hx_slice text, char out[static HX_FORM_BYTES])
{
    for (uint32_t i = 0; i < text.len; i++) {
        const uint8_t c = (uint8_t)text.ptr[i];

        out[i] = (char)((uint8_t)(c - '0') < 10 ? '0' : c);
    }
    return hx_slice_make(out, text.len);
}

/* Into found: what near holds, of the text's form; or, where the text is too long to have one, what
 * of it hits in the text as it is. True for that. */
static bool search_near(hx_rule_seat *s, const hx_field *f, hx_slice text)
{
    char form[HX_FORM_BYTES];

    if (text.len > HX_FORM_BYTES) {
        hx_seat_search(s, f->exact, text);
        return true;
    }
    if (f->near)
        hx_seat_search(s, f->near, blank(text, form));
    else
        s->found_count = 0;
    return false;
}

/* Behind the hits of fresh: those of the first count numbers at ids, whose words the text has, that
 * hit. */
static void settle_worded(hx_rule_seat *s, const hx_field *f, const uint32_t *ids, uint32_t count,
                          hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    uint32_t *hits = &s->fresh[LIST_HITS];

    if (count > HX_CHECKS_ALONE) {
        hx_seat_search(s, f->exact, text);
        for (uint32_t i = 0; i < s->found_count; i++)
            if (patterns[s->found[i]].worded && !patterns[s->found[i]].digits)
                s->fresh[LIST_IDS + (*hits)++] = s->found[i];
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (hx_seat_is_there(s, patterns[ids[i]].block, ids[i], text))
            s->fresh[LIST_IDS + (*hits)++] = ids[i];
}

/* What near tells: to the hits of fresh, and behind the first checks numbers in maybe; how many
 * there are then. */
static uint32_t take_near(hx_rule_seat *s, const hx_field *f, const uint32_t *runs, uint32_t checks,
                          hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    const bool settled = search_near(s, f, text);
    uint32_t *hits = &s->fresh[LIST_HITS], *end = s->maybe + 2 * s->rules->book.pattern_count;
    uint32_t *worded = end;

    for (uint32_t i = 0; i < s->found_count; i++) {
        const hx_pattern *p = &patterns[s->found[i]];

        if (settled || (!p->digits && !p->worded))
            s->fresh[LIST_IDS + (*hits)++] = s->found[i];
        else if (!p->digits)
            *--worded = s->found[i];
        else if (!p->numbered || runs[HX_GATE_ADDRESS] >= p->least)
            s->maybe[checks++] = s->found[i];
    }
    settle_worded(s, f, worded, (uint32_t)(end - worded), text);
    return checks;
}

void hx_seat_learn(hx_rule_seat *s, hx_rule_field field, hx_slice text)
{
    const hx_field *f = &s->rules->fields[field];
    const uint32_t far = f->far ? find_far(s, field, text) : 0;
    uint32_t runs[HX_GATES] = {0}, hits, checks;

    s->fresh[LIST_HITS] = 0;
    checks = settle_far(s, field, far, text);
    if (f->gated) {
        hx_gate_runs(text, runs);
        if (passes_gate(f, runs))
            s->maybe[checks++] = HX_TOLD_ID;
        settle_gated(s, f, runs, text);
    }
    checks = take_near(s, f, runs, checks, text);
    hits = s->fresh[LIST_HITS];
    hx_seat_put_in_order(s->fresh + LIST_IDS, hits);
    hx_seat_put_in_order(s->maybe, checks);
    memcpy(s->fresh + LIST_IDS + hits, s->maybe, checks * sizeof *s->fresh);
    s->fresh[LIST_CHECKS] = checks;
}
