/* What a condition hangs on, and whether it holds. */
#include "rules/room.h"

#include <stdlib.h>

/* --- holding -----------------------------------------------------------------------------------
 */

static bool number_holds(const hx_node *n, uint32_t have)
{
    if (have == HX_RULE_NUMBER_NONE)
        return false;
    switch ((hx_rule_op)n->op) {
    case HX_OP_EQ:
        return have == n->value;
    case HX_OP_LT:
        return have < n->value;
    case HX_OP_LTE:
        return have <= n->value;
    case HX_OP_GT:
        return have > n->value;
    case HX_OP_GTE:
        return have >= n->value;
    default:
        return false;
    }
}

static bool is_there(const hx_rule_line *line, uint8_t field)
{
    return field < HX_RULE_TEXTS ? line->text[field].len > 0
                                 : line->number[field - HX_RULE_TEXTS] != HX_RULE_NUMBER_NONE;
}

bool hx_condition_holds(const hx_node *nodes, uint32_t *node, const uint64_t *bits,
                        const hx_rule_line *line)
{
    const hx_node *n = &nodes[(*node)++];

    switch ((hx_node_kind)n->kind) {
    case HX_NODE_ALL:
    case HX_NODE_ANY:
        while (*node < n->arg)
            if (hx_condition_holds(nodes, node, bits, line) == (n->kind == HX_NODE_ANY)) {
                *node = n->arg;
                return n->kind == HX_NODE_ANY;
            }
        return n->kind == HX_NODE_ALL;
    case HX_NODE_NOT:
        return !hx_condition_holds(nodes, node, bits, line);
    case HX_NODE_HIT:
        return bits[n->arg >> 6] >> (n->arg & 63) & 1;
    case HX_NODE_NUMBER:
        return number_holds(n, line->number[n->field - HX_RULE_TEXTS]);
    case HX_NODE_EXISTS:
        return is_there(line, n->field) == (n->arg == 1);
    }
    return false;
}

/* --- triggers ----------------------------------------------------------------------------------
 */

/* A set of patterns one of which has hit wherever a condition holds, and how often that will be. */
#define NEVER_WITHOUT 0
#define CAN_WITHOUT   UINT64_MAX

typedef struct gathering {
    const hx_book *book;
    uint32_t *found;
    uint32_t count, room;
    bool failed;
} gathering;

static void gather(gathering *g, uint32_t pattern)
{
    if (g->count == g->room) {
        uint32_t room = g->room ? 2 * g->room : 64;
        uint32_t *grown = realloc(g->found, room * sizeof *grown);

        if (!grown) {
            g->failed = true;
            return;
        }
        g->found = grown;
        g->room = room;
    }
    g->found[g->count++] = pattern;
}

/* What names a program or a host hits often, and so do a few letters; a message's words do not. */
static uint64_t cost_of(const hx_pattern *p)
{
    uint64_t cost = 1;

    if (p->length < 8)
        cost = p->length < 4 ? 64 : 8;
    if (p->field != HX_RULE_LINE && p->field != HX_RULE_MESSAGE)
        cost *= 16;
    return cost;
}

static void skip(const hx_node *nodes, uint32_t *node)
{
    const hx_node *n = &nodes[(*node)++];

    if (n->kind == HX_NODE_ALL || n->kind == HX_NODE_ANY)
        *node = n->arg;
    else if (n->kind == HX_NODE_NOT)
        skip(nodes, node);
}

/* The patterns' costs added up, or CAN_WITHOUT. Of all, the cheapest part's patterns; of any, those
 * of all parts. */
static uint64_t find_triggers(gathering *g, uint32_t *node)
{
    const hx_node *nodes = g->book->nodes, *n = &nodes[*node];
    const uint32_t start = g->count;
    uint64_t cost = n->kind == HX_NODE_ALL ? CAN_WITHOUT : NEVER_WITHOUT;

    switch ((hx_node_kind)n->kind) {
    case HX_NODE_HIT:
        gather(g, n->arg);
        ++*node;
        return cost_of(&g->book->patterns[n->arg]);
    case HX_NODE_NOT:
    case HX_NODE_NUMBER:
    case HX_NODE_EXISTS:
        skip(nodes, node);
        return CAN_WITHOUT;
    case HX_NODE_ALL:
        for (++*node; *node < n->arg;) {
            uint32_t before = g->count;
            uint64_t part = find_triggers(g, node);

            if (part < cost) { /* its patterns take the place of the best so far */
                memmove(g->found + start, g->found + before,
                        (g->count - before) * sizeof *g->found);
                g->count = start + (g->count - before);
                cost = part;
            } else {
                g->count = before;
            }
        }
        return cost;
    case HX_NODE_ANY:
        for (++*node; *node < n->arg;) {
            uint64_t part = find_triggers(g, node);

            if (part == CAN_WITHOUT)
                cost = CAN_WITHOUT;
            else if (cost != CAN_WITHOUT)
                cost += part;
        }
        if (cost == CAN_WITHOUT)
            g->count = start;
        return cost;
    }
    return CAN_WITHOUT;
}

/* found: of the rules one after the other, end[r] where rule r's end. */
static int index_triggers(hx_triggers *t, const hx_book *book, const gathering *g,
                          const uint32_t *end)
{
    t->begin = calloc((size_t)book->pattern_count + 3, sizeof *t->begin);
    t->rules = calloc((size_t)g->count + 1, sizeof *t->rules);
    if (!t->begin || !t->rules)
        return HX_ENOMEM;
    /* Counted two places ahead, so that filling moves each begin to where it belongs. */
    for (uint32_t i = 0; i < g->count; i++)
        t->begin[g->found[i] + 2]++;
    for (uint32_t p = 1; p < book->pattern_count + 2; p++)
        t->begin[p] += t->begin[p - 1];
    for (uint32_t rule = 0, i = 0; rule < book->rule_count; rule++)
        for (; i < end[rule]; i++)
            t->rules[t->begin[g->found[i] + 1]++] = rule;
    return 0;
}

int hx_triggers_make(hx_triggers *t, const hx_book *book)
{
    gathering g = {.book = book};
    uint32_t *end = calloc((size_t)book->rule_count + 1, sizeof *end);
    int rc = HX_ENOMEM;

    t->always = calloc((size_t)book->rule_count + 1, sizeof *t->always);
    if (end && t->always) {
        for (uint32_t rule = 0; rule < book->rule_count; rule++) {
            uint32_t node = book->rules[rule].condition;

            if (find_triggers(&g, &node) == CAN_WITHOUT)
                t->always[t->always_count++] = rule;
            end[rule] = g.count;
        }
        rc = g.failed ? HX_ENOMEM : index_triggers(t, book, &g, end);
    }
    free(end);
    free(g.found);
    return rc;
}

void hx_triggers_free(hx_triggers *t)
{
    free(t->begin);
    free(t->rules);
    free(t->always);
    memset(t, 0, sizeof *t);
}
