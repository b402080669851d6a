/* A thread's place: what it searches in a text, which rules hold. */
#include "rules/seat.h"

#include <stdlib.h>

static int make_forms(hx_rule_seat *s)
{
    int rc = 0;

    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        const hx_field *field = &s->rules->fields[f];

        if (field->remembers)
            rc |= hx_seat_forms_init(&s->fields[f].near);
        if (field->far)
            rc |= hx_seat_forms_init(&s->fields[f].far);
    }
    return rc;
}

int hx_rule_seat_create(const hx_rules *rules, hx_rule_seat **out, hx_error *err)
{
    const size_t patterns = rules->book.pattern_count, count = rules->book.rule_count;
    hx_rule_seat *s = calloc(1, sizeof *s);

    *out = s;
    if (s) {
        s->rules = rules;
        hx_seat_stamp(s);
        s->way = hx_forms_way_best();
        s->lists = calloc(HX_LISTS_ROOM, sizeof *s->lists);
        s->lists_end = LIST_IDS; /* behind list 0 */
        s->places = calloc(HX_LISTS_PLACES, sizeof *s->places);
        s->found = calloc(patterns + 1, sizeof *s->found);
        s->fresh = calloc(patterns + 1 + LIST_IDS, sizeof *s->fresh);
        s->maybe = calloc(2 * patterns + 1, sizeof *s->maybe);
        s->bits = calloc(patterns / 64 + 1, sizeof *s->bits);
        s->marked = calloc(patterns + 1, sizeof *s->marked);
        s->looked_at = calloc(count + 1, sizeof *s->looked_at);
        s->hits = calloc(count + 1, sizeof *s->hits);
    }
    if (!s || !s->lists || !s->places || !s->found || !s->fresh || !s->maybe || !s->bits ||
        !s->marked || !s->looked_at || !s->hits || make_forms(s) ||
        (rules->scratch && rules->hs->clone_scratch(rules->scratch, &s->scratch) != 0)) {
        hx_rule_seat_destroy(rules, s);
        *out = NULL;
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
    }
    return 0;
}

void hx_seat_stamp(hx_rule_seat *seat)
{
    static _Atomic uint64_t last;

    seat->stamp = atomic_fetch_add(&last, 1) + 1;
}

uint64_t hx_rule_seat_stamp(const hx_rule_seat *seat)
{
    return seat->stamp;
}

void hx_rule_seat_destroy(const hx_rules *rules, hx_rule_seat *s)
{
    if (!s)
        return;
    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        hx_seat_forms_free(&s->fields[f].near);
        hx_seat_forms_free(&s->fields[f].far);
    }
    if (s->scratch)
        rules->hs->free_scratch(s->scratch);
    free(s->lists);
    free(s->places);
    free(s->found);
    free(s->fresh);
    free(s->maybe);
    free(s->bits);
    free(s->marked);
    free(s->looked_at);
    free(s->hits);
    free(s);
}

uint64_t hx_rule_seat_hits(const hx_rule_seat *seat, uint32_t rule)
{
    return atomic_load_explicit(&seat->hits[rule], memory_order_relaxed);
}

const hx_rule_counters *hx_rule_seat_counters(const hx_rule_seat *seat)
{
    return &seat->counters;
}

/* --- searching ---------------------------------------------------------------------------------
 */

static int on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                  void *context)
{
    hx_rule_seat *s = context;

    (void)from, (void)to, (void)flags;
    s->found[s->found_count++] = id; /* each once: that is what HS_FLAG_SINGLEMATCH is for */
    return 0;
}

void hx_seat_search(hx_rule_seat *s, const hs_database_t *database, hx_slice text)
{
    s->found_count = 0;
    if (!database)
        return;
    s->counters.scans++;
    s->rules->hs->scan(database, text.ptr, text.len, 0, s->scratch, on_hit, s);
}

static void mark(hx_rule_seat *s, uint32_t pattern)
{
    uint64_t bit = UINT64_C(1) << (pattern & 63);

    if (s->bits[pattern >> 6] & bit)
        return;
    s->bits[pattern >> 6] |= bit;
    s->marked[s->marked_count++] = pattern;
}

static void mark_found(hx_rule_seat *s)
{
    for (uint32_t i = 0; i < s->found_count; i++)
        mark(s, s->found[i]);
}

bool hx_seat_is_there(hx_rule_seat *s, uint32_t block, uint32_t pattern, hx_slice text)
{
    hx_seat_search(s, s->rules->blocks[block], text);
    for (uint32_t i = 0; i < s->found_count; i++)
        if (s->found[i] == pattern)
            return true;
    return false;
}

/* --- a text ------------------------------------------------------------------------------------
 */

static bool is_among(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* What told holds: gated patterns that are found have hit. Into maybe, behind the kept ones there:
 * numbered patterns that may have; how many there are then. ids: those that the form tells of. */
static uint32_t search_told(hx_rule_seat *s, const hx_field *f, const uint32_t *ids, uint32_t count,
                            uint32_t kept, hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;

    hx_seat_search(s, f->told, text);
    for (uint32_t i = 0; i < s->found_count; i++) {
        const hx_pattern *p = &patterns[s->found[i]];

        if (!p->numbered)
            mark(s, s->found[i]);
        /* Among many nothing is looked for: a pattern too much is searched like the others. */
        else if (p->loose || kept > HX_CHECKS_ALONE || is_among(ids, count, p->leader))
            s->maybe[kept++] = s->found[i];
    }
    return kept;
}

/* Those of the list that may hit. Whatever a search for them finds has hit. */
static void check(hx_rule_seat *s, hx_rule_field field, const uint32_t *ids, uint32_t count,
                  hx_slice text)
{
    const hx_field *f = &s->rules->fields[field];
    const hx_pattern *patterns = s->rules->book.patterns;
    uint32_t kept = 0, done = HX_NO_BLOCK;
    bool told = false, at_once;

    for (uint32_t i = 0; i < count; i++)
        if (ids[i] == HX_TOLD_ID || patterns[ids[i]].numbered)
            told = true;
        else
            s->maybe[kept++] = ids[i];
    if (told && hx_clues_are_in(&f->clues, text))
        kept = search_told(s, f, ids, count, kept, text);
    at_once = kept > HX_CHECKS_ALONE && f->exact;
    if (at_once) {
        hx_seat_search(s, f->exact, text);
        mark_found(s);
    }
    for (uint32_t i = 0; i < kept; i++) {
        const hx_pattern *p = &patterns[s->maybe[i]];

        if ((at_once && !p->far) || p->block == done)
            continue;
        done = p->block;
        hx_seat_search(s, s->rules->blocks[done], text);
        mark_found(s);
    }
}

hx_rule_place hx_rule_seat_look(const hx_rule_seat *seat, hx_rule_field field, hx_slice text)
{
    hx_form_place place;

    if (!seat->fields[field].near.forms.items || !text.len)
        return (hx_rule_place){NULL, 0};
    place = seat->way.place(&seat->fields[field].near.forms, text);
    return (hx_rule_place){place.form, place.hash};
}

static void take_list(hx_rule_seat *s, hx_rule_field field, const uint32_t *list, hx_slice text)
{
    for (uint32_t i = 0; i < list[LIST_HITS]; i++)
        mark(s, list[LIST_IDS + i]);
    if (list[LIST_CHECKS])
        check(s, field, list + LIST_IDS + list[LIST_HITS], list[LIST_CHECKS], text);
}

/* What the text's form tells. The number of its list, or UINT32_MAX where it is not kept. */
static uint32_t take_form(hx_rule_seat *s, hx_rule_field field, hx_slice text, hx_rule_place at)
{
    hx_seat_forms *forms = &s->fields[field].near;
    const hx_form_place place = {at.form, at.hash};
    const hx_form_place known = hx_seat_forms_find(s, forms, place, text);
    uint32_t number = UINT32_MAX;

    if (known.form) {
        s->counters.known++;
        number = hx_form_use(known);
        take_list(s, field, s->lists + number, text);
        return number;
    }
    hx_seat_learn(s, field, text);
    if (place.form && (number = hx_seat_keep_list(s)) != UINT32_MAX)
        hx_seat_forms_keep(forms, place, text, number);
    take_list(s, field, s->fresh, text);
    return number;
}

/* The same of the message, where there is room for a note by its form: 1 + the number of its list.
 */
static void take_noted(hx_rule_seat *s, hx_slice text, uint32_t *note)
{
    if (*note) {
        s->counters.known++;
        take_list(s, HX_RULE_MESSAGE, s->lists + *note - 1, text);
    } else {
        *note = 1 + take_form(s, HX_RULE_MESSAGE, text,
                              hx_rule_seat_look(s, HX_RULE_MESSAGE, text)); /* 0: not kept */
    }
}

static void search_blindly(hx_rule_seat *s, const hx_field *f, hx_slice text)
{
    hx_seat_search(s, f->blind, text);
    mark_found(s);
}

/* --- rules -------------------------------------------------------------------------------------
 */

static void deny(hx_ruled *r, uint32_t rule)
{
    uint32_t at = r->denied_count;

    if (at == HX_RULES_DENIED_MAX) {
        r->denied_over++;
        if (rule > r->denied[at - 1])
            return;
        at--;
    } else {
        r->denied_count++;
    }
    /* In the order of the file, whichever pattern hit first. */
    for (; at > 0 && r->denied[at - 1] > rule; at--)
        r->denied[at] = r->denied[at - 1];
    r->denied[at] = rule;
}

static void look_at(hx_rule_seat *s, uint32_t index, const hx_rule_line *line)
{
    const hx_rule *rule = &s->rules->book.rules[index];
    uint32_t node = rule->condition;

    if (s->looked_at[index] == s->line)
        return;
    s->looked_at[index] = s->line;
    if (!hx_condition_holds(s->rules->book.nodes, &node, s->bits, line))
        return;
    s->counters.hits[rule->action]++;
    atomic_store_explicit(&s->hits[index],
                          atomic_load_explicit(&s->hits[index], memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (rule->action == HX_RULE_DENY)
        deny(&s->ruled, index);
    else if (rule->action == HX_RULE_ALLOW)
        s->ruled.allow = true;
    else
        s->ruled.escalate = true;
}

static const hx_ruled *look_at_rules(hx_rule_seat *s, const hx_rule_line *line)
{
    const hx_triggers *t = &s->rules->triggers;
    hx_ruled *r = &s->ruled;

    r->allow = r->escalate = false;
    r->denied_count = r->denied_over = 0;
    if (++s->line == 0) { /* once in four thousand million lines */
        memset(s->looked_at, 0, s->rules->book.rule_count * sizeof *s->looked_at);
        s->line = 1;
    }
    for (uint32_t i = 0; i < s->marked_count; i++)
        for (uint32_t at = t->begin[s->marked[i]]; at < t->begin[s->marked[i] + 1]; at++)
            look_at(s, t->rules[at], line);
    for (uint32_t i = 0; i < t->always_count; i++)
        look_at(s, t->always[i], line);
    for (uint32_t i = 0; i < s->marked_count; i++)
        s->bits[s->marked[i] >> 6] = 0;
    s->marked_count = 0;
    if (r->allow) {
        r->escalate = false;
        r->denied_count = r->denied_over = 0;
    }
    return r->allow || r->escalate || r->denied_count ? r : NULL;
}

const hx_ruled *hx_rule_seat_judge(hx_rule_seat *seat, const hx_rule_line *line,
                                   const hx_rule_place *place)
{
    hx_rule_seat *s = seat;
    const uint64_t stamp = s->stamp;

    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        const hx_field *field = &s->rules->fields[f];
        const hx_slice text = line->text[f];

        if (!field->used || !text.len)
            continue;
        if (f == HX_RULE_MESSAGE && line->note && field->remembers && s->stamp == stamp)
            take_noted(s, text, line->note);
        else if (field->remembers)
            take_form(s, (hx_rule_field)f, text,
                      f == HX_RULE_LINE && place ? *place
                                                 : hx_rule_seat_look(s, (hx_rule_field)f, text));
        if (field->blind)
            search_blindly(s, field, text);
    }
    if (!s->marked_count && !s->rules->triggers.always_count)
        return NULL;
    return look_at_rules(s, line);
}
