/* What a text is looked at for before it is searched for patterns of numbers, addresses and
 * digests: a few bytes that begin with a digit, of which each pattern has some that it finds
 * nothing without. Most texts have none of them, and that costs a fraction of a search. */
#ifndef HAECHI_RULES_CLUES_H
#define HAECHI_RULES_CLUES_H

#include "rules/needs.h"

#define HX_CLUE_BYTES 8 /* of the longest; of more the first are looked for */
#define HX_CLUE_LEAST 3

typedef struct hx_clue {
    uint64_t bytes; /* folded, the first one lowest */
    uint64_t mask;  /* of as many as it has; 0: none */
} hx_clue;

typedef struct hx_clues {
    hx_clue *list;
    uint32_t count, room;
    bool failed; /* out of memory */
    bool open;   /* a pattern has none: every text may have it */
    bool short_ones;
    /* Made of the list: */
    uint64_t *map; /* a bit for each hash that a clue has */
    uint32_t shift;
    hx_clue *places; /* by hash; a clue is at its place or behind it, before the next free one */
    uint32_t place_mask;
} hx_clues;

/* needs: of a pattern. */
void hx_clues_add(hx_clues *clues, const hx_needs *needs);
/* All have been added. 0 or HX_ENOMEM. */
int hx_clues_make(hx_clues *clues);
/* Empties them as well. */
void hx_clues_free(hx_clues *clues);

/* Whether one of the patterns may be in the text. */
bool hx_clues_are_in(const hx_clues *clues, hx_slice text);

#endif
