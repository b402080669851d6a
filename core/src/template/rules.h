/* Which words vary? Three kinds of evidence, taken in turns until neither finds more:
 *
 * A star: templates that are the same but for one position. Many words there, or a value there, or
 * only words that were found to vary elsewhere, and the position varies.
 *
 * A constellation: templates that are the same but for positions where each has a rare word, as
 * when a user and a host vary together and no two lines share one. It takes more of them.
 *
 * And templates that differ only in words behind a '=', in several of them at once.
 *
 * All demand that constant words stay, the more so where there is less evidence; and the first
 * token of a message, which mostly names what happens or who speaks, is left alone longest. */
#ifndef HAECHI_TEMPLATE_RULES_H
#define HAECHI_TEMPLATE_RULES_H

#include "groups.h"

enum {
    STAR_WORDS = 4,           /* different words that make a position vary */
    STAR_WORDS_LONE = 8,      /* the same, with one constant word around it */
    STAR_WORDS_FIRST = 12,    /* the same, for a message's first token and for actions */
    VALUE_WORDS = 3,          /* constant words where it is sometimes a value: from 2 variants on */
    CONSTELLATION_FIRST = 10, /* members for two positions ... */
    CONSTELLATION_NEXT = 6,   /* ... and for each further one */
    SLOT_WORDS = 3,           /* constant words outside of slots */
    FAMILY = 16,              /* templates that begin alike, where there are too many */
};

/* Each merges what it can and says whether it merged anything. */

/* Stars of least members or more. */
bool hx_merge_stars(hx_groups *groups, uint32_t least);

/* Constellations, where a word is rare when fewer than common groups of its length have it at its
 * place. open: room for a byte for each symbol; room: for a number for each group. */
bool hx_merge_constellations(hx_groups *groups, uint32_t common, uint8_t *open, uint32_t *room);

/* Groups that differ only in words in slots. */
bool hx_merge_slots(hx_groups *groups);

/* "from 10.0.0.1" and "from host.example (10.0.0.1)": the same, with and without the name. */
bool hx_merge_named(hx_groups *groups);

/* Until no more than most groups are left. */
void hx_coarsen(hx_groups *groups, uint32_t most);

#endif
