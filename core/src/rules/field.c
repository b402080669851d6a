/* The databases of the fields. */
#include "rules/expressions.h"
#include "rules/widen.h"

#include <haechi/hash.h>

#include <stdlib.h>

static const hx_byte_set digits = {{UINT64_C(0x03ff000000000000), 0, 0, 0}};
/* What words are made of, in values too: far forms tell no two of these apart. None but these, so
 * that where a word begins and ends stays. */
static const hx_byte_set word_bytes = {
    {UINT64_C(0x03ff000000000000), UINT64_C(0x07fffffe87fffffe), 0, 0}};

void hx_far_form(hx_slice text, char out[static HX_FORM_BYTES])
{
    /* word_bytes again, without a look-up: so the compiler takes sixteen bytes at a time. */
    for (uint32_t i = 0; i < text.len; i++) {
        const uint8_t c = (uint8_t)text.ptr[i];
        const uint8_t digit = (uint8_t)(c - '0') < 10;
        const uint8_t letter = (uint8_t)((c | 0x20) - 'a') < 26;

        out[i] = (char)((digit | letter | (c == '_')) ? 'a' : c);
    }
}

/* --- one pattern ---------------------------------------------------------------------------------
 */

/* The expression a pattern stands for. */
static void write_expression(const hx_pattern *p, hx_text *out)
{
    if (p->op == HX_OP_REGEX) {
        hx_text_bytes(out, p->value, p->length);
        return;
    }
    if (p->op == HX_OP_EQUALS || p->op == HX_OP_STARTSWITH)
        hx_text_str(out, "^");
    for (uint32_t i = 0; i < p->length; i++) {
        unsigned char c = (unsigned char)p->value[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            hx_text_bytes(out, &c, 1);
        else
            hx_text_printf(out, "\\x%02x", c);
    }
    if (p->op == HX_OP_EQUALS || p->op == HX_OP_ENDSWITH)
        hx_text_str(out, "\\z");
}

static int fit_scratch(hx_rules *rules, const hs_database_t *database, hx_error *err)
{
    if (!database || rules->hs->alloc_scratch(database, &rules->scratch) == 0)
        return 0;
    return hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
}

/* --- one field ---------------------------------------------------------------------------------
 */

typedef struct field_work {
    hx_rules *rules;
    uint32_t field;
    hx_expressions near, far, exact, far_exact, blind, block, settled, told;
    uint32_t block_size;
    bool *given_up;    /* by pattern: its widened form was refused */
    hx_needs needs;    /* of the pattern at hand */
    uint32_t *leaders; /* by hash of their words: places in near, + 1 */
    uint32_t leader_mask;
} field_work;

/* True where the pattern is behind a gate, and so nowhere else. */
static bool sort_gated(field_work *w, uint32_t id, hx_slice own, const hx_widening *near)
{
    hx_pattern *p = &w->rules->book.patterns[id];
    hx_field *f = &w->rules->fields[w->field];
    const bool told = near->kind == HX_WIDEN_WIDER;
    uint32_t *least;

    p->gate = HX_GATE_NONE;
    if (near->kind == HX_WIDEN_UNKNOWN)
        return false;
    p->gate = (uint8_t)hx_gate_find(w->rules->hs, own.ptr,
                                    HX_EXPRESSION_FLAGS | (p->nocase ? HS_FLAG_CASELESS : 0), near,
                                    &p->least);
    if (p->gate == HX_GATE_NONE)
        return false;
    p->far = p->digits = false;
    p->checked = !told;
    hx_expressions_add(told ? &w->told : &w->settled, p->nocase, id, own);
    if (told)
        hx_clues_add(&f->clues, &w->needs);
    least = told ? &f->told_least[p->gate] : &f->settled_least[p->gate];
    if (p->least < *least)
        *least = p->least;
    return true;
}

/* Shorter numbers are in too many texts. */
#define NUMBER_LEAST 3

/* Into near: the words of a numbered pattern, in any case, once for all patterns that have the same
 * ones. The first of them leads. */
static void add_words(field_work *w, uint32_t id, hx_slice words)
{
    hx_pattern *patterns = w->rules->book.patterns;
    uint32_t at = (uint32_t)hx_hash_bytes(words.ptr, words.len, HX_HASH_SEED) & w->leader_mask;

    for (; w->leaders[at]; at = (at + 1) & w->leader_mask) {
        const uint32_t index = w->leaders[at] - 1, leader = w->near.ids[index];

        if (strlen(w->near.texts[index]) == words.len &&
            memcmp(w->near.texts[index], words.ptr, words.len) == 0) {
            patterns[id].leader = leader;
            if (patterns[id].least < patterns[leader].least)
                patterns[leader].least = patterns[id].least;
            return;
        }
    }
    patterns[id].leader = id;
    hx_expressions_add(&w->near, true, id, words);
    if (!w->near.failed)
        w->leaders[at] = w->near.count;
}

/* True where the pattern finds nothing without one of its numbers. With any digits in their place
 * it may hit often, or be dear to search (".*port [0-9]{4}"): so a form is asked for its words
 * only, and a text of such a form for its numbers, before the pattern is searched as it is. */
static bool sort_numbered(field_work *w, uint32_t id, hx_slice own, const hx_widening *near)
{
    hx_pattern *p = &w->rules->book.patterns[id];
    hx_field *f = &w->rules->fields[w->field];
    const hx_need_set *numbers = hx_needs_of(&w->needs, HX_NEED_NUMBER);
    const hx_need_set *words = hx_needs_of(&w->needs, HX_NEED_WORD);
    hx_text number = {0}, word = {0};

    p->numbered = near->kind == HX_WIDEN_WIDER && numbers->count && numbers->least >= NUMBER_LEAST;
    if (!p->numbered)
        return false;
    p->far = false;
    p->digits = p->checked = true;
    p->least = numbers->least;
    p->loose = !words->count || words->least < HX_WIDEN_WORD;
    hx_needs_write(&w->needs, numbers, &number);
    hx_needs_write(&w->needs, words, &word);
    w->near.failed |= number.failed || word.failed;
    hx_expressions_add(&w->told, false, id, hx_slice_make(number.ptr, number.len));
    hx_clues_add(&f->clues, &w->needs);
    hx_expressions_add(&w->exact, p->nocase, id, own);
    if (p->loose)
        f->loose_least = p->least < f->loose_least ? p->least : f->loose_least;
    else if (!word.failed)
        add_words(w, id, hx_slice_make(word.ptr, word.len));
    hx_text_free(&number);
    hx_text_free(&word);
    return true;
}

/* Shorter words are in too many texts. */
#define WORD_LEAST 6

/* True where a form is asked for the pattern's words instead of for it: a search that goes on and
 * on behind a common word is dear, and the words further on are rare. */
static bool is_worded(const field_work *w, const hx_pattern *p)
{
    const hx_need_set *words = hx_needs_of(&w->needs, HX_NEED_WORD);

    return p->op == HX_OP_REGEX && words->count && words->least >= WORD_LEAST &&
           (strstr(p->value, ".*") || strstr(p->value, ".+"));
}

static void add_near(field_work *w, uint32_t id, hx_slice blank)
{
    hx_pattern *p = &w->rules->book.patterns[id];
    hx_text words = {0};

    p->worded = is_worded(w, p);
    if (!p->worded) {
        hx_expressions_add(&w->near, p->nocase, id, blank);
        return;
    }
    p->checked = true;
    hx_needs_write(&w->needs, hx_needs_of(&w->needs, HX_NEED_WORD), &words);
    w->near.failed |= words.failed;
    hx_expressions_add(&w->near, true, id, hx_slice_make(words.ptr, words.len));
    hx_text_free(&words);
}

static void sort_pattern(field_work *w, uint32_t id)
{
    hx_pattern *p = &w->rules->book.patterns[id];
    hx_widening near = {.kind = HX_WIDEN_UNKNOWN}, far = {.kind = HX_WIDEN_UNKNOWN}, blank = {0};
    hx_text own = {0};
    hx_slice text;

    write_expression(p, &own);
    hx_text_bytes(&own, "", 1);
    if (own.failed) {
        w->near.failed = true;
        hx_text_free(&own);
        return;
    }
    text = hx_slice_make(own.ptr, own.len - 1);
    p->numbered = p->loose = p->worded = false;
    if (!w->given_up[id])
        hx_widen(text, &digits, &near, &w->needs);
    if (sort_gated(w, id, text, &near) || sort_numbered(w, id, text, &near)) {
        hx_text_free(&own);
        hx_text_free(&near.text);
        return;
    }
    hx_widen_blank(text, &blank);
    if (near.kind != HX_WIDEN_UNKNOWN && p->op == HX_OP_REGEX && !blank.has_word)
        hx_widen(text, &word_bytes, &far, NULL);
    p->far = far.kind != HX_WIDEN_UNKNOWN;
    p->digits = near.kind == HX_WIDEN_WIDER;
    p->checked = p->far ? far.kind == HX_WIDEN_WIDER : p->digits;
    if (near.kind == HX_WIDEN_UNKNOWN)
        hx_expressions_add(&w->blind, p->nocase, id, text);
    else if (p->far)
        hx_expressions_add(&w->far, p->nocase, id, hx_slice_make(far.text.ptr, far.text.len));
    else
        add_near(w, id, hx_slice_make(blank.text.ptr, blank.text.len));
    if (near.kind != HX_WIDEN_UNKNOWN && !p->far)
        hx_expressions_add(&w->exact, p->nocase, id, text);
    if (p->far && p->checked && !p->digits)
        hx_expressions_add(&w->far_exact, p->nocase, id, text);
    hx_text_free(&own);
    hx_text_free(&near.text);
    hx_text_free(&far.text);
    hx_text_free(&blank.text);
}

static void sort_patterns(field_work *w)
{
    const hx_book *book = &w->rules->book;
    hx_field *f = &w->rules->fields[w->field];

    for (int gate = 0; gate < HX_GATES; gate++)
        f->told_least[gate] = f->settled_least[gate] = UINT32_MAX;
    f->loose_least = UINT32_MAX;
    hx_clues_free(&f->clues);
    memset(w->leaders, 0, ((size_t)w->leader_mask + 1) * sizeof *w->leaders);
    for (uint32_t id = 0; id < book->pattern_count; id++)
        if (book->patterns[id].field == w->field)
            sort_pattern(w, id);
}

static int compile_block(field_work *w, hx_error *err)
{
    hx_rules *rules = w->rules;
    hs_database_t **at = &rules->blocks[rules->block_count];
    int rc = hx_expressions_compile(rules, &w->block, at, NULL, err);

    if (!rc && *at) {
        rules->block_count++;
        rc = fit_scratch(rules, *at, err);
    }
    hx_expressions_free(&w->block);
    return rc;
}

/* The patterns that wanted names, a few in a database each. */
static int compile_blocks(field_work *w, bool (*wanted)(const hx_pattern *), bool hints,
                          hx_error *err)
{
    hx_book *book = &w->rules->book;
    int rc = 0;

    for (uint32_t id = 0; id < book->pattern_count && !rc; id++) {
        hx_pattern *p = &book->patterns[id];
        hx_widening near = {0};

        if (p->field != w->field || !wanted(p))
            continue;
        *(hints ? &p->hint : &p->block) = w->rules->block_count;
        if (hints) {
            hx_widen(hx_slice_make(p->value, p->length), &digits, &near, NULL);
        } else {
            write_expression(p, &near.text);
        }
        hx_expressions_add(&w->block, p->nocase, id, hx_slice_make(near.text.ptr, near.text.len));
        w->block.failed |= near.text.failed;
        hx_text_free(&near.text);
        if (w->block.count == w->block_size)
            rc = compile_block(w, err);
    }
    return rc ? rc : compile_block(w, err);
}

/* A widened form of it decides nothing. */
static bool is_checked(const hx_pattern *p)
{
    return p->checked;
}

/* Its far form may hit where its form with any digits does not. */
static bool has_hint(const hx_pattern *p)
{
    return p->far && p->digits;
}

static void free_lists(field_work *w)
{
    hx_expressions_free(&w->near);
    hx_expressions_free(&w->far);
    hx_expressions_free(&w->exact);
    hx_expressions_free(&w->far_exact);
    hx_expressions_free(&w->blind);
    hx_expressions_free(&w->settled);
    hx_expressions_free(&w->told);
}

/* Near and far ones. A widened pattern may be more than Hyperscan takes where the pattern is not:
 * such a one is searched as it is, in every text. *again: that has been found out. */
static int compile_forms(field_work *w, hx_field *f, bool *again, hx_error *err)
{
    uint32_t fault = UINT32_MAX;
    int rc = hx_expressions_compile(w->rules, &w->near, &f->near, &fault, err);

    if (!rc)
        rc = hx_expressions_compile(w->rules, &w->far, &f->far, &fault, err);
    *again = rc && fault != UINT32_MAX && !w->given_up[fault];
    if (*again) {
        w->given_up[fault] = true;
        if (f->near)
            w->rules->hs->free_database(f->near);
        f->near = NULL;
    }
    return rc;
}

static int compile_gated(field_work *w, hx_field *f, hx_error *err)
{
    hx_rules *rules = w->rules;
    int rc = hx_expressions_compile(rules, &w->settled, &f->settled, NULL, err);

    if (!rc)
        rc = hx_expressions_compile(rules, &w->told, &f->told, NULL, err);
    if (!rc)
        rc = fit_scratch(rules, f->told, err);
    if (!rc && hx_clues_make(&f->clues))
        rc = hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
    f->gated = f->settled || f->told;
    if (rc || !w->settled.count)
        return rc;
    f->settled_ids = calloc(w->settled.count, sizeof *f->settled_ids);
    if (!f->settled_ids)
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
    f->settled_count = w->settled.count;
    for (uint32_t i = 0; i < f->settled_count; i++)
        f->settled_ids[i] = w->settled.ids[i];
    return fit_scratch(rules, f->settled, err);
}

static int compile_field(field_work *w, hx_field *f, hx_error *err)
{
    hx_rules *rules = w->rules;
    bool again = true;
    int rc = 0;

    while (again) {
        free_lists(w);
        sort_patterns(w);
        rc = compile_forms(w, f, &again, err);
    }
    if (!rc)
        rc = hx_expressions_compile(rules, &w->exact, &f->exact, NULL, err);
    if (!rc)
        rc = hx_expressions_compile(rules, &w->far_exact, &f->far_exact, NULL, err);
    if (!rc)
        rc = hx_expressions_compile(rules, &w->blind, &f->blind, NULL, err);
    if (!rc)
        rc = compile_gated(w, f, err);
    if (!rc)
        rc = compile_blocks(w, is_checked, false, err);
    if (!rc)
        rc = compile_blocks(w, has_hint, true, err);
    f->remembers = f->near || f->far || f->gated;
    f->used = f->remembers || f->blind;
    f->has_far = f->far != NULL;
    free_lists(w);
    hx_expressions_free(&w->block);
    if (!rc)
        rc = fit_scratch(rules, f->near, err);
    if (!rc)
        rc = fit_scratch(rules, f->far, err);
    if (!rc)
        rc = fit_scratch(rules, f->exact, err);
    if (!rc)
        rc = fit_scratch(rules, f->far_exact, err);
    return rc ? rc : fit_scratch(rules, f->blind, err);
}

int hx_fields_compile(hx_rules *rules, hx_error *err)
{
    const uint32_t count = rules->book.pattern_count;
    field_work work = {.rules = rules, .block_size = count / HX_BLOCKS_MAX + 1};
    int rc = 0;

    work.given_up = calloc((size_t)count + 1, sizeof *work.given_up);
    rules->blocks =
        calloc(2 * (count / work.block_size + HX_RULE_TEXTS) + 2, sizeof(hs_database_t *));
    work.leader_mask = 1;
    while (work.leader_mask < 2 * count)
        work.leader_mask = 2 * work.leader_mask + 1;
    work.leaders = calloc((size_t)work.leader_mask + 1, sizeof *work.leaders);
    if (!work.given_up || !work.leaders || !rules->blocks)
        rc = hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
    for (uint32_t f = 0; f < HX_RULE_TEXTS && !rc; f++) {
        work.field = f;
        rc = compile_field(&work, &rules->fields[f], err);
    }
    free(work.given_up);
    free(work.leaders);
    return rc;
}
