#include "tree.h"

#include <haechi/hash.h>

#include <stdlib.h>

#define NONE UINT32_MAX
#define LEAF UINT32_C(0x80000000) /* a reference with this bit is a template, else a node */

typedef struct hx_node {
    uint32_t value, any; /* references, or NONE */
    uint32_t end, rest;  /* templates that end, or whose rest begins, here; or NONE */
} hx_node;

typedef struct hx_edge {
    hx_word_head head;
    const char *word; /* NULL: free */
    uint32_t length;
    uint32_t node, child;
} hx_edge;

struct hx_tree {
    const hx_pattern *patterns;
    hx_node *nodes;
    hx_edge *edges;
    uint32_t edge_mask;
    uint32_t n_nodes;
    uint32_t root;
};

static bool same_word(const hx_word_head *head, const char *word, uint32_t length,
                      const hx_word_head *other_head, const char *other, uint32_t other_length)
{
    return head->a == other_head->a && head->b == other_head->b && length == other_length &&
           (length <= 16 || memcmp(word + 16, other + 16, length - 16) == 0);
}

static uint32_t edge_slot(const hx_tree *tree, uint32_t node, const hx_word_head *head)
{
    uint64_t h = hx_hash_mix(head->a ^ UINT64_C(0xa0761d6478bd642f),
                             head->b ^ UINT64_C(0xe7037ed1a0b428db) ^ (uint64_t)node << 32);
    return (uint32_t)h & tree->edge_mask;
}

/* --- building ----------------------------------------------------------------------------------
 */

static int compare_steps(const hx_step *x, const hx_step *y)
{
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind != HX_STEP_WORD)
        return 0;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return memcmp(x->word, y->word, x->length);
}

static int compare_patterns(const void *a, const void *b, void *patterns)
{
    const hx_pattern *x = (const hx_pattern *)patterns + *(const uint32_t *)a;
    const hx_pattern *y = (const hx_pattern *)patterns + *(const uint32_t *)b;
    uint32_t shorter = x->count < y->count ? x->count : y->count;

    for (uint32_t i = 0; i < shorter; i++) {
        int order = compare_steps(&x->steps[i], &y->steps[i]);

        if (order)
            return order;
    }
    return x->count == y->count ? 0 : x->count < y->count ? -1 : 1;
}

/* Patterns order[from..to) are the same before depth and lie in node's subtree. */
typedef struct hx_range {
    uint32_t from, to, depth, node;
} hx_range;

typedef struct hx_building {
    hx_tree *tree;
    const uint32_t *order;
    hx_range *todo; /* at most one for each node, so its room is that of the nodes */
    uint32_t n_todo;
} hx_building;

static uint32_t add_child(hx_building *b, uint32_t from, uint32_t to, uint32_t depth)
{
    hx_tree *tree = b->tree;
    uint32_t node;

    if (to - from == 1)
        return b->order[from] | LEAF;
    node = tree->n_nodes++;
    tree->nodes[node] = (hx_node){NONE, NONE, NONE, NONE};
    b->todo[b->n_todo++] = (hx_range){from, to, depth, node};
    return node;
}

static void add_edge(hx_tree *tree, uint32_t node, const hx_step *step, uint32_t child)
{
    uint32_t slot = edge_slot(tree, node, &step->head);

    while (tree->edges[slot].word)
        slot = (slot + 1) & tree->edge_mask;
    tree->edges[slot] = (hx_edge){step->head, step->word, step->length, node, child};
}

static void build_node(hx_building *b, hx_range range)
{
    hx_tree *tree = b->tree;
    uint32_t from = range.from;

    if (tree->patterns[b->order[from]].count == range.depth)
        tree->nodes[range.node].end = b->order[from++];
    while (from < range.to) {
        const hx_step *step = &tree->patterns[b->order[from]].steps[range.depth];
        uint32_t to = from + 1;

        while (to < range.to &&
               compare_steps(step, &tree->patterns[b->order[to]].steps[range.depth]) == 0)
            to++;
        if (step->kind == HX_STEP_REST)
            tree->nodes[range.node].rest = b->order[from];
        else if (step->kind == HX_STEP_ANY)
            tree->nodes[range.node].any = add_child(b, from, to, range.depth + 1);
        else if (step->kind == HX_STEP_VALUE)
            tree->nodes[range.node].value = add_child(b, from, to, range.depth + 1);
        else
            add_edge(tree, range.node, step, add_child(b, from, to, range.depth + 1));
        from = to;
    }
}

/* Nodes there will be: one for each beginning that two patterns or more have in common. In sorted
 * order a pattern adds those that it shares with the one before and that one did not with its own.
 */
static uint32_t count_nodes(const hx_pattern *patterns, const uint32_t *order, uint32_t count)
{
    uint64_t total = 1;
    uint32_t shared_before = 0;

    for (uint32_t i = 1; i < count; i++) {
        const hx_pattern *x = &patterns[order[i - 1]], *y = &patterns[order[i]];
        uint32_t shared = 0;

        while (shared < x->count && shared < y->count &&
               compare_steps(&x->steps[shared], &y->steps[shared]) == 0)
            shared++;
        if (shared > shared_before)
            total += shared - shared_before;
        shared_before = shared;
    }
    return total < LEAF / 8 ? (uint32_t)total : LEAF / 8;
}

static int find_duplicate(const hx_pattern *patterns, const uint32_t *order, uint32_t count,
                          uint32_t *first, uint32_t *second)
{
    for (uint32_t i = 1; i < count; i++)
        if (compare_patterns(&order[i - 1], &order[i], (void *)(uintptr_t)patterns) == 0) {
            *first = order[i - 1] < order[i] ? order[i - 1] : order[i];
            *second = order[i - 1] < order[i] ? order[i] : order[i - 1];
            return HX_EMALFORMED;
        }
    return 0;
}

static int build(hx_tree *tree, const uint32_t *order, uint32_t count)
{
    uint32_t max_nodes = count_nodes(tree->patterns, order, count);
    uint32_t edges = 16; /* a power of two, at most half full */
    hx_building b = {.tree = tree, .order = order};

    while (edges < 2 * ((uint64_t)max_nodes + count))
        edges *= 2;
    tree->edge_mask = edges - 1;
    tree->nodes = calloc(max_nodes, sizeof *tree->nodes);
    tree->edges = calloc(edges, sizeof *tree->edges);
    b.todo = calloc(max_nodes, sizeof *b.todo);
    if (!tree->nodes || !tree->edges || !b.todo) {
        free(b.todo);
        return HX_ENOMEM;
    }
    tree->root = count ? add_child(&b, 0, count, 0) : NONE;
    while (b.n_todo)
        build_node(&b, b.todo[--b.n_todo]);
    free(b.todo);
    return 0;
}

int hx_tree_create(const hx_pattern *patterns, uint32_t count, hx_tree **out, uint32_t *first,
                   uint32_t *second)
{
    hx_tree *tree = calloc(1, sizeof *tree);
    uint32_t *order = calloc(count ? count : 1, sizeof *order);
    int rc = tree && order ? 0 : HX_ENOMEM;

    if (!rc) {
        tree->patterns = patterns;
        for (uint32_t i = 0; i < count; i++)
            order[i] = i;
        qsort_r(order, count, sizeof *order, compare_patterns, (void *)(uintptr_t)patterns);
        rc = find_duplicate(patterns, order, count, first, second);
    }
    if (!rc)
        rc = build(tree, order, count);
    free(order);
    if (rc) {
        hx_tree_destroy(tree);
        tree = NULL;
    }
    *out = tree;
    return rc;
}

void hx_tree_destroy(hx_tree *tree)
{
    if (!tree)
        return;
    free(tree->nodes);
    free(tree->edges);
    free(tree);
}

/* --- finding -----------------------------------------------------------------------------------
 */

static uint32_t find_edge(const hx_tree *tree, uint32_t node, const char *word, uint32_t length)
{
    hx_word_head head = hx_word_head_load(word, length);
    uint32_t slot = edge_slot(tree, node, &head);

    for (;; slot = (slot + 1) & tree->edge_mask) {
        const hx_edge *edge = &tree->edges[slot];

        if (!edge->word)
            return NONE;
        if (edge->node == node &&
            same_word(&head, word, length, &edge->head, edge->word, edge->length))
            return edge->child;
    }
}

static bool rest_fits(const hx_pattern *pattern, const hx_tokenizer *m, uint32_t depth)
{
    for (; depth < pattern->count; depth++) {
        const hx_step *step = &pattern->steps[depth];
        const hx_token *token = &m->tokens[depth];

        if (step->kind == HX_STEP_REST)
            return true;
        if (depth == m->count)
            return false;
        if (step->kind == HX_STEP_WORD) {
            hx_word_head head = hx_word_head_load(m->text + token->start, token->length);

            if (token->is_value || !same_word(&head, m->text + token->start, token->length,
                                              &step->head, step->word, step->length))
                return false;
        } else if (step->kind == HX_STEP_VALUE && !token->is_value) {
            return false;
        }
    }
    return depth == m->count && !m->cut;
}

uint32_t hx_tree_find(const hx_tree *tree, const hx_tokenizer *m, hx_tree_branch *branches)
{
    uint32_t n_branches = 0, ref = tree->root, depth = 0;

    for (;;) {
        if (ref != NONE && ref & LEAF) {
            if (rest_fits(&tree->patterns[ref & ~LEAF], m, depth))
                return ref & ~LEAF;
            ref = NONE;
        }
        if (ref == NONE) {
            if (!n_branches)
                return NONE;
            ref = branches[--n_branches].ref;
            depth = branches[n_branches].depth;
            continue;
        }
        const hx_node *node = &tree->nodes[ref];

        if (node->rest != NONE)
            branches[n_branches++] = (hx_tree_branch){node->rest | LEAF, depth};
        if (depth == m->count) {
            if (node->end != NONE && !m->cut)
                return node->end;
            ref = NONE;
            continue;
        }
        const hx_token *token = &m->tokens[depth];
        uint32_t child = token->is_value
                             ? node->value
                             : find_edge(tree, ref, m->text + token->start, token->length);
        depth++;
        if (child == NONE) {
            ref = node->any;
        } else {
            if (node->any != NONE)
                branches[n_branches++] = (hx_tree_branch){node->any, depth};
            ref = child;
        }
    }
}
