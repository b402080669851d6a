/* The frozen templates as a prefix tree over tokens. A word's edge is found by hash and compared
 * byte for byte; where one template is left, the rest of it is compared step by step. */
#ifndef HAECHI_TEMPLATE_TREE_H
#define HAECHI_TEMPLATE_TREE_H

#include "token.h"

#include <haechi/error.h>

typedef enum hx_step_kind {
    HX_STEP_WORD,
    HX_STEP_VALUE, /* one value */
    HX_STEP_ANY,   /* one word or value */
    HX_STEP_SPAN,  /* one or more words or values */
    HX_STEP_REST,  /* whatever is left, also nothing; last of its template */
} hx_step_kind;

typedef struct hx_step {
    hx_word_head head;
    const char *word; /* borrowed from the words given to hx_tree_create */
    uint32_t length;
    hx_step_kind kind;
} hx_step;

typedef struct hx_pattern {
    const hx_step *steps;
    uint32_t count;
} hx_pattern;

typedef struct hx_tree hx_tree;

/* A branch left aside on the way down. A node leaves three at most. */
typedef struct hx_tree_branch {
    uint32_t ref;
    uint32_t step;  /* of the pattern */
    uint32_t token; /* of the message */
    bool is_span;   /* ref may also begin one token later */
} hx_tree_branch;

#define HX_TREE_BRANCHES(max_tokens) (3 * ((size_t)(max_tokens) + 2))

/* Nodes looked at for one message. Only templates with several spans, made for it, ask for more;
 * such a message then counts as one that fits none. */
#define HX_TREE_VISITS 65536

/* Borrows patterns and what they point to. HX_EMALFORMED where two patterns are the same; *first
 * and *second then name them. */
int hx_tree_create(const hx_pattern *patterns, uint32_t count, hx_tree **out, uint32_t *first,
                   uint32_t *second);
void hx_tree_destroy(hx_tree *tree);

/* The index of the most specific pattern that fits the tokens, or UINT32_MAX: at the first token
 * where two differ, a word is preferred to a value, a value to any, any to a span, a
 * span to the rest. */
uint32_t hx_tree_find(const hx_tree *tree, const hx_tokenizer *message, hx_tree_branch *branches);

#endif
