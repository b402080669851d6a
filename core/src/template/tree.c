#include "tree.h"

#include <haechi/hash.h>

#include <stdlib.h>

#define NONE UINT32_MAX
#define LEAF UINT32_C(0x80000000) /* a reference with this bit is a template, else a node */

typedef struct hx_node {
    uint32_t value, any, span; /* references, or NONE */
    uint32_t end, rest;        /* templates that end, or whose rest begins, here; or NONE */
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

/* --- building ------------------------------------------------------------------------------- */

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
    tree->nodes[node] = (hx_node){NONE, NONE, NONE, NONE, NONE};
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
        else if (step->kind == HX_STEP_SPAN)
            tree->nodes[range.node].span = add_child(b, from, to, range.depth + 1);
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

/* --- finding -------------------------------------------------------------------------------- */

static uint32_t find_edge(const hx_tree *tree, uint32_t node, const hx_tokenizer *m,
                          const hx_token *token)
{
    const char *word = m->text + token->start;
    uint32_t length = token->length;
    hx_word_head head = hx_tokenizer_head(m, token->start, length);
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

static bool token_fits(const hx_step *step, const hx_tokenizer *m, uint32_t at)
{
    const hx_token *token = &m->tokens[at];
    const char *word = m->text + token->start;

    if (step->kind == HX_STEP_WORD) {
        hx_word_head head = hx_tokenizer_head(m, token->start, token->length);

        return !token->is_value &&
               same_word(&head, word, token->length, &step->head, step->word, step->length);
    }
    return step->kind != HX_STEP_VALUE || token->is_value;
}

/* Whether the steps from step on fit the tokens from token on. A span takes as little as it can;
 * when a later token does not fit, the last span takes one more (no earlier one needs to). */
static bool rest_fits(const hx_pattern *pattern, const hx_tokenizer *m, uint32_t step,
                      uint32_t token)
{
    uint32_t span_step = 0, span_token = 0;

    for (;;) {
        if (step == pattern->count) {
            if (token == m->count && !m->cut)
                return true;
        } else if (pattern->steps[step].kind == HX_STEP_REST) {
            return true;
        } else if (token < m->count && token_fits(&pattern->steps[step], m, token)) {
            if (pattern->steps[step].kind == HX_STEP_SPAN) {
                span_step = step + 1;
                span_token = token + 1;
            }
            step++;
            token++;
            continue;
        }
        if (!span_step || span_token >= m->count)
            return false;
        step = span_step;
        token = ++span_token;
    }
}

/* A walk through the tree: where it stands, and the branches it has left aside. */
typedef struct hx_walk {
    hx_tree_branch *branches;
    uint32_t n_branches;
    uint32_t ref, step, token;
} hx_walk;

static void leave_aside(hx_walk *walk, uint32_t ref, uint32_t step, uint32_t token, bool is_span)
{
    if (ref != NONE)
        walk->branches[walk->n_branches++] = (hx_tree_branch){ref, step, token, is_span};
}

/* Goes back to the last branch left aside. */
static bool take_branch(hx_walk *walk, uint32_t tokens)
{
    hx_tree_branch *branch;

    if (!walk->n_branches)
        return false;
    branch = &walk->branches[walk->n_branches - 1];
    walk->ref = branch->ref;
    walk->step = branch->step;
    walk->token = branch->token;
    if (branch->is_span && branch->token < tokens)
        branch->token++;
    else
        walk->n_branches--;
    return true;
}

/* From a node to the child that the next token leads to; NONE in ref where there is none. */
static void descend(const hx_tree *tree, const hx_tokenizer *m, hx_walk *walk)
{
    const hx_node *node = &tree->nodes[walk->ref];
    const hx_token *token = &m->tokens[walk->token];
    uint32_t child = token->is_value ? node->value : find_edge(tree, walk->ref, m, token);

    walk->step++;
    walk->token++;
    leave_aside(walk, node->span, walk->step, walk->token, true);
    if (child == NONE)
        child = node->any;
    else
        leave_aside(walk, node->any, walk->step, walk->token, false);
    walk->ref = child;
}

uint32_t hx_tree_find(const hx_tree *tree, const hx_tokenizer *m, hx_tree_branch *branches)
{
    hx_walk walk = {.branches = branches, .ref = tree->root};

    for (uint32_t visits = 0; visits < HX_TREE_VISITS; visits++) {
        if (walk.ref == NONE) {
            if (!take_branch(&walk, m->count))
                return NONE;
        } else if (walk.ref & LEAF) {
            uint32_t found = walk.ref & ~LEAF;

            if (rest_fits(&tree->patterns[found], m, walk.step, walk.token))
                return found;
            walk.ref = NONE;
        } else {
            const hx_node *node = &tree->nodes[walk.ref];

            if (node->rest != NONE)
                leave_aside(&walk, node->rest | LEAF, walk.step, walk.token, false);
            if (walk.token < m->count) {
                descend(tree, m, &walk);
            } else {
                if (node->end != NONE && !m->cut)
                    return node->end;
                walk.ref = NONE;
            }
        }
    }
    return NONE;
}
