#include "rules/expressions.h"

#include <stdlib.h>

void hx_expressions_free(hx_expressions *e)
{
    for (uint32_t i = 0; i < e->count; i++)
        free(e->texts[i]);
    free(e->texts);
    free(e->ids);
    free(e->flags);
    memset(e, 0, sizeof *e);
}

static bool grow(hx_expressions *e)
{
    uint32_t room = e->room ? 2 * e->room : 32;
    char **texts = realloc(e->texts, room * sizeof *texts);
    unsigned *ids, *flags;

    if (texts)
        e->texts = texts;
    ids = realloc(e->ids, room * sizeof *ids);
    if (ids)
        e->ids = ids;
    flags = realloc(e->flags, room * sizeof *flags);
    if (flags)
        e->flags = flags;
    if (texts && ids && flags)
        e->room = room;
    return texts && ids && flags;
}

void hx_expressions_add(hx_expressions *e, bool nocase, uint32_t id, hx_slice text)
{
    if (e->count == e->room && !grow(e)) {
        e->failed = true;
        return;
    }
    e->texts[e->count] = malloc((size_t)text.len + 1);
    if (!e->texts[e->count]) {
        e->failed = true;
        return;
    }
    memcpy(e->texts[e->count], text.ptr, text.len);
    e->texts[e->count][text.len] = 0;
    e->ids[e->count] = id;
    e->flags[e->count++] = HX_EXPRESSION_FLAGS | (nocase ? HS_FLAG_CASELESS : 0);
}

static int say_refused(const hx_rules *rules, uint32_t pattern, const char *words, hx_error *err)
{
    const hx_pattern *p = &rules->book.patterns[pattern];

    return hx_error_set(err, HX_EINVAL,
                        "%s: rule %.128s: the pattern \"%.120s\" is refused by Hyperscan: %.120s",
                        rules->name, rules->book.rules[p->rule].id, p->value, words);
}

int hx_expressions_compile(const hx_rules *rules, const hx_expressions *e, hs_database_t **out,
                           uint32_t *fault, hx_error *err)
{
    hs_compile_error_t *refusal = NULL;
    int rc;

    if (e->failed)
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
    if (!e->count)
        return 0;
    if (rules->hs->compile_multi((const char *const *)e->texts, e->flags, e->ids, e->count,
                                 HS_MODE_BLOCK, NULL, out, &refusal) == 0)
        return 0;
    *out = NULL;
    if (fault)
        *fault = refusal && refusal->expression >= 0 ? e->ids[refusal->expression] : UINT32_MAX;
    if (refusal && refusal->expression >= 0)
        rc = say_refused(rules, e->ids[refusal->expression], refusal->message, err);
    else
        rc = hx_error_set(err, HX_EINVAL,
                          "%s: Hyperscan refuses %u patterns together (%.200s): make fewer or "
                          "simpler ones",
                          rules->name, e->count, refusal ? refusal->message : "out of memory");
    if (refusal)
        rules->hs->free_compile_error(refusal);
    return rc;
}
