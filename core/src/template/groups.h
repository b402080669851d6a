/* Templates in the making: groups of shapes that are one template as far as is known. Mining begins
 * with a group for each shape and merges. */
#ifndef HAECHI_TEMPLATE_GROUPS_H
#define HAECHI_TEMPLATE_GROUPS_H

#include "shapes.h"

typedef struct hx_group {
    uint32_t *symbols;
    uint64_t weight; /* messages */
    uint32_t count;
    uint32_t first_shape; /* the earliest shape in it */
    bool gone;            /* merged into another */
} hx_group;

/* One position of one group, keyed by everything but what stands there. */
typedef struct hx_slot {
    uint64_t key;
    uint32_t group, position;
} hx_slot;

typedef struct hx_groups {
    const hx_shapes *shapes;
    hx_group *items;
    uint32_t count, live;
    uint32_t *symbols; /* of all groups */
    hx_slot *slots;    /* room for one for each symbol */
    hx_slot *spare;    /* as much again, to sort */
    uint64_t slot_room;
    uint32_t room[HX_TOKENS_MAX + 1];
    uint8_t *varied; /* for each word: seen where a position was found to vary */
} hx_groups;

int hx_groups_create(hx_groups *groups, const hx_shapes *shapes);
void hx_groups_free(hx_groups *groups);

static inline bool hx_symbol_varies(uint32_t symbol)
{
    return symbol <= HX_SYMBOL_SPAN;
}

/* A word that tells what a message is about, as a key of key=value does not. */
static inline bool hx_symbol_tells(uint32_t symbol)
{
    return hx_symbol_is_word(symbol) && !(symbol & HX_SYMBOL_KEY);
}

/* How many words tell what it is about. */
uint32_t hx_group_words(const hx_group *group);

/* Puts other into group, whose symbols the caller has made to fit both. */
void hx_group_merge(hx_groups *groups, hx_group *group, hx_group *other);

/* Neighbouring positions that vary become one span. */
void hx_group_join_varying(hx_group *group);

/* Merges groups with the same symbols, ANY, VALUE and SPAN counting as the same, and words
 * in and out of key=value. */
void hx_groups_merge_alike(hx_groups *groups);

/* Merges each group into one that is more general: where that has ANY, it may have anything. */
int hx_groups_merge_covered(hx_groups *groups);

/* Sorts groups->slots[0..count) by key, then by group. */
void hx_slots_sort(hx_groups *groups, uint64_t count);

#endif
