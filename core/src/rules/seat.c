/* A thread's place: what it remembers of forms, what it searches, which rules hold. */
#include "rules/room.h"

#include <haechi/hash.h>
#include <haechi/pages.h>

#include <stdlib.h>

/* What forms are remembered to hit: lists of patterns, each once. Few are different in a log; when
 * there is no room for a new one, all forms are forgotten. */
#define LISTS_ROOM   (1u << 16) /* numbers */
#define LISTS_PLACES (1u << 14)
/* With more patterns of a field to look at exactly, all of them are searched at once. */
#define CHECKS_ALONE 4
/* Among what is to be looked at exactly: all patterns behind a gate. */
#define GATE_ID UINT32_C(0x80000000)

/* A list: how many have hit, how many may have, and they. List 0: none. */
enum { LIST_HITS, LIST_CHECKS, LIST_IDS };

typedef struct seat_field {
    hx_forms near, far;
} seat_field;

struct hx_rule_seat {
    const hx_rules *rules;
    hs_scratch_t *scratch;
    hx_forms_way way;
    seat_field fields[HX_RULE_TEXTS];
    uint32_t *lists;
    uint32_t lists_end;
    uint32_t *places; /* [LISTS_PLACES]: of lists by hash */
    uint32_t *found;  /* [patterns]: what a search has hit */
    uint32_t found_count;
    uint32_t *fresh;  /* a list in the making */
    uint32_t *maybe;  /* [patterns]: far ones to look at exactly */
    uint64_t *bits;   /* of the patterns that hit in the line at hand */
    uint32_t *marked; /* they */
    uint32_t marked_count;
    uint32_t *looked_at; /* by rule: at which line */
    uint32_t line;
    _Atomic uint64_t *hits; /* by rule; read by other threads */
    hx_ruled ruled;
    hx_rule_counters counters;
};

static int make_forms(hx_rule_seat *s)
{
    int rc = 0;

    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        const hx_field *field = &s->rules->fields[f];

        if (field->remembers)
            rc |= hx_forms_init(&s->fields[f].near);
        if (field->far)
            rc |= hx_forms_init(&s->fields[f].far);
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
        s->way = hx_forms_way_best();
        s->lists = calloc(LISTS_ROOM, sizeof *s->lists);
        s->lists_end = LIST_IDS; /* behind list 0 */
        s->places = calloc(LISTS_PLACES, sizeof *s->places);
        s->found = calloc(patterns + 1, sizeof *s->found);
        s->fresh = calloc(patterns + HX_GATES + LIST_IDS, sizeof *s->fresh);
        s->maybe = calloc(patterns + HX_GATES, sizeof *s->maybe);
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

void hx_rule_seat_destroy(const hx_rules *rules, hx_rule_seat *s)
{
    if (!s)
        return;
    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        hx_forms_free(&s->fields[f].near);
        hx_forms_free(&s->fields[f].far);
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

static void search(hx_rule_seat *s, const hs_database_t *database, hx_slice text)
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

/* Whether the pattern is among what a block hits. */
static bool is_there(hx_rule_seat *s, uint32_t block, uint32_t pattern, hx_slice text)
{
    search(s, s->rules->blocks[block], text);
    for (uint32_t i = 0; i < s->found_count; i++)
        if (s->found[i] == pattern)
            return true;
    return false;
}

/* --- lists of forms ----------------------------------------------------------------------------
 */

static void forget_forms(hx_rule_seat *s)
{
    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++)
        for (uint32_t i = 0; i < HX_FORMS; i++) {
            if (s->fields[f].near.items)
                s->fields[f].near.items[i].hash = s->fields[f].near.items[i].used = 0;
            if (s->fields[f].far.items)
                s->fields[f].far.items[i].hash = s->fields[f].far.items[i].used = 0;
        }
    memset(s->places, 0, LISTS_PLACES * sizeof *s->places);
    s->lists_end = LIST_IDS;
}

/* The number of the list in fresh; UINT32_MAX where it is too long to be kept. */
static uint32_t keep_list(hx_rule_seat *s)
{
    const uint32_t size = LIST_IDS + s->fresh[LIST_HITS] + s->fresh[LIST_CHECKS];
    uint64_t hash;
    uint32_t at, looked = 0;

    if (size == LIST_IDS)
        return 0;
    if (size > LISTS_ROOM / 4)
        return UINT32_MAX;
    hash = hx_hash_bytes(s->fresh, size * sizeof *s->fresh, HX_HASH_SEED);
    for (at = (uint32_t)hash & (LISTS_PLACES - 1); s->places[at] && looked < 64; looked++) {
        if (memcmp(s->lists + s->places[at], s->fresh, size * sizeof *s->fresh) == 0)
            return s->places[at];
        at = (at + 1) & (LISTS_PLACES - 1);
    }
    if (looked == 64 || s->lists_end + size > LISTS_ROOM) {
        forget_forms(s);
        at = (uint32_t)hash & (LISTS_PLACES - 1);
    }
    s->places[at] = s->lists_end;
    memcpy(s->lists + s->lists_end, s->fresh, size * sizeof *s->fresh);
    s->lists_end += size;
    return s->places[at];
}

/* So that the same patterns are the same list, whichever was found first. Long lists are rare and
 * stay as they are. */
static void put_in_order(uint32_t *numbers, uint32_t count)
{
    if (count > 64)
        return;
    for (uint32_t i = 1; i < count; i++) {
        uint32_t number = numbers[i], at = i;

        for (; at > 0 && numbers[at - 1] > number; at--)
            numbers[at] = numbers[at - 1];
        numbers[at] = number;
    }
}

/* Into maybe: the patterns without a word that may hit, as the text's far form tells. */
static uint32_t find_far(hx_rule_seat *s, hx_rule_field field, hx_slice text)
{
    hx_forms *forms = &s->fields[field].far;
    hx_form_place place = {NULL, 0};
    char form[HX_FORM_BYTES];
    hx_slice far;
    uint32_t list, count;

    if (text.len <= HX_FORM_BYTES) {
        hx_far_form(text, form);
        far = hx_slice_make(form, text.len);
        place = s->way.place(forms, far);
        if (s->way.holds(place, far)) {
            const uint32_t *l = s->lists + hx_form_use(place);

            memcpy(s->maybe, l + LIST_IDS, l[LIST_HITS] * sizeof *l);
            return l[LIST_HITS];
        }
    }
    search(s, s->rules->fields[field].far, text);
    put_in_order(s->found, s->found_count);
    count = s->fresh[LIST_HITS] = s->found_count;
    s->fresh[LIST_CHECKS] = 0;
    memcpy(s->fresh + LIST_IDS, s->found, count * sizeof *s->found);
    memcpy(s->maybe, s->found, count * sizeof *s->found);
    if (place.form && (list = keep_list(s)) != UINT32_MAX)
        hx_form_keep(place, far, list);
    return count;
}

/* Into fresh, behind what is there: those of the first count in maybe that hit whatever the digits
 * are. The others, which may, to the front of maybe; their number. */
static uint32_t settle_far(hx_rule_seat *s, hx_rule_field field, uint32_t count, hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    const bool at_once = count > CHECKS_ALONE;
    uint32_t *hits = &s->fresh[LIST_HITS], checks = 0;

    if (at_once) {
        search(s, s->rules->fields[field].far_exact, text);
        memcpy(s->fresh + LIST_IDS, s->found, s->found_count * sizeof *s->found);
        *hits = s->found_count;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t id = s->maybe[i];
        const hx_pattern *p = &patterns[id];

        if (p->digits) {
            if (is_there(s, p->hint, id, text))
                s->maybe[checks++] = id;
        } else if (!p->checked || (!at_once && is_there(s, p->block, id, text))) {
            s->fresh[LIST_IDS + (*hits)++] = id;
        }
    }
    return checks;
}

/* Behind the hits of fresh: patterns behind gates that hit. Behind the first checks of maybe: gates
 * that the text passes; how many there are in maybe then. */
static uint32_t pass_gates(hx_rule_seat *s, hx_rule_field field, uint32_t checks, hx_slice text)
{
    const hx_field *f = &s->rules->fields[field];
    const hx_pattern *patterns = s->rules->book.patterns;
    uint32_t runs[HX_GATES], *hits = &s->fresh[LIST_HITS], open = 0;

    if (!f->gated)
        return checks;
    hx_gate_runs(text, runs);
    for (uint32_t gate = 0; gate < HX_GATES; gate++)
        if (f->told[gate] && runs[gate] >= f->told_least[gate])
            s->maybe[checks++] = GATE_ID + gate;
    for (uint32_t i = 0; i < f->settled_count && open <= CHECKS_ALONE; i++) {
        const hx_pattern *p = &patterns[f->settled_ids[i]];

        open += runs[p->gate] >= p->least;
    }
    if (open > CHECKS_ALONE) {
        search(s, f->settled, text);
        memcpy(s->fresh + LIST_IDS + *hits, s->found, s->found_count * sizeof *s->found);
        *hits += s->found_count;
        return checks;
    }
    for (uint32_t i = 0; i < f->settled_count && open; i++) {
        const uint32_t id = f->settled_ids[i];
        const hx_pattern *p = &patterns[id];

        if (runs[p->gate] < p->least)
            continue;
        open--;
        if (is_there(s, p->block, id, text))
            s->fresh[LIST_IDS + (*hits)++] = id;
    }
    return checks;
}

/* Into fresh: what the text's form tells. Hits come first, then what is to be looked at exactly. */
static void learn(hx_rule_seat *s, hx_rule_field field, hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    const hx_field *f = &s->rules->fields[field];
    const uint32_t far = f->far ? find_far(s, field, text) : 0;
    uint32_t hits, checks;

    s->fresh[LIST_HITS] = 0;
    checks = settle_far(s, field, far, text);
    checks = pass_gates(s, field, checks, text);
    hits = s->fresh[LIST_HITS];
    search(s, f->near, text);
    for (uint32_t i = 0; i < s->found_count; i++) {
        if (patterns[s->found[i]].digits)
            s->maybe[checks++] = s->found[i];
        else
            s->fresh[LIST_IDS + hits++] = s->found[i];
    }
    put_in_order(s->fresh + LIST_IDS, hits);
    put_in_order(s->maybe, checks);
    memcpy(s->fresh + LIST_IDS + hits, s->maybe, checks * sizeof *s->fresh);
    s->fresh[LIST_HITS] = hits;
    s->fresh[LIST_CHECKS] = checks;
}

/* --- a text ------------------------------------------------------------------------------------
 */

/* Those of the list that may hit. Whatever a search for them finds has hit. */
static void check(hx_rule_seat *s, hx_rule_field field, const uint32_t *ids, uint32_t count,
                  hx_slice text)
{
    const hx_pattern *patterns = s->rules->book.patterns;
    const bool at_once = count > CHECKS_ALONE && s->rules->fields[field].exact;
    uint32_t done = HX_NO_BLOCK;

    if (at_once) {
        search(s, s->rules->fields[field].exact, text);
        mark_found(s);
    }
    for (uint32_t i = 0; i < count; i++) {
        const hx_pattern *p;

        if (ids[i] >= GATE_ID) {
            search(s, s->rules->fields[field].told[ids[i] - GATE_ID], text);
            mark_found(s);
            continue;
        }
        p = &patterns[ids[i]];
        if ((at_once && !p->far) || p->block == done)
            continue;
        done = p->block;
        search(s, s->rules->blocks[done], text);
        mark_found(s);
    }
}

static void take_text(hx_rule_seat *s, hx_rule_field field, hx_slice text, hx_rule_place at)
{
    const hx_field *f = &s->rules->fields[field];
    const hx_form_place place = {at.form, at.hash};
    const uint32_t *list = s->fresh;
    uint32_t number;

    if (s->way.holds(place, text)) {
        s->counters.known++;
        number = hx_form_use(place);
        if (!number && !f->blind)
            return;
        list = s->lists + number;
    } else if (f->remembers) {
        learn(s, field, text);
        if (place.form && (number = keep_list(s)) != UINT32_MAX)
            hx_form_keep(place, text, number);
    } else {
        s->fresh[LIST_HITS] = s->fresh[LIST_CHECKS] = 0;
    }
    for (uint32_t i = 0; i < list[LIST_HITS]; i++)
        mark(s, list[LIST_IDS + i]);
    if (list[LIST_CHECKS])
        check(s, field, list + LIST_IDS + list[LIST_HITS], list[LIST_CHECKS], text);
    if (f->blind) {
        search(s, f->blind, text);
        mark_found(s);
    }
}

hx_rule_place hx_rule_seat_look(const hx_rule_seat *seat, hx_rule_field field, hx_slice text)
{
    hx_form_place place;

    if (!seat->fields[field].near.items || !text.len)
        return (hx_rule_place){NULL, 0};
    place = seat->way.place(&seat->fields[field].near, text);
    return (hx_rule_place){place.form, place.hash};
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
                                   const hx_rule_place places[2])
{
    hx_rule_seat *s = seat;

    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        if (!s->rules->fields[f].used || !line->text[f].len)
            continue;
        take_text(s, (hx_rule_field)f, line->text[f],
                  places && f <= HX_RULE_MESSAGE
                      ? places[f]
                      : hx_rule_seat_look(s, (hx_rule_field)f, line->text[f]));
    }
    if (!s->marked_count && !s->rules->triggers.always_count)
        return NULL;
    return look_at_rules(s, line);
}
