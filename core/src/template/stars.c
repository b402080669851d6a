/* Templates that are the same but for one position. */
#include "rules.h"

#include <haechi/hash.h>

#include <stdlib.h>

typedef struct hx_star {
    uint32_t members;
    uint32_t position;
    uint32_t words;  /* constant words around the position */
    bool has_value;  /* a member has a value there */
    bool has_open;   /* a member is known to vary there */
    bool all_varied; /* every word there was seen to vary elsewhere */
    bool acts;       /* half of the words there say what is done */
} hx_star;

static uint64_t key_without(const hx_group *group, uint32_t position)
{
    uint64_t h = hx_hash_bytes(group->symbols, position * sizeof *group->symbols, position);

    return hx_hash_bytes(group->symbols + position + 1,
                         (group->count - position - 1) * sizeof *group->symbols, h);
}

static bool same_but_at(const hx_group *x, const hx_group *y, uint32_t position)
{
    return x->count == y->count &&
           memcmp(x->symbols, y->symbols, position * sizeof *x->symbols) == 0 &&
           memcmp(x->symbols + position + 1, y->symbols + position + 1,
                  (x->count - position - 1) * sizeof *x->symbols) == 0;
}

static uint64_t collect_star_slots(hx_groups *groups)
{
    uint64_t n = 0;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];

        for (uint32_t p = 0; !group->gone && p < group->count; p++)
            if (group->symbols[p] != HX_SYMBOL_REST)
                groups->slots[n++] = (hx_slot){key_without(group, p), g, p};
    }
    hx_slots_sort(groups, n);
    return n;
}

/* Keeps in slots[from..to) only the members that still make a star with the first of them. */
static uint64_t live_members(hx_groups *groups, uint64_t from, uint64_t to)
{
    uint64_t kept = from;

    for (uint64_t i = from; i < to; i++) {
        hx_slot slot = groups->slots[i];
        const hx_group *group = &groups->items[slot.group];
        const hx_group *first = &groups->items[groups->slots[from].group];

        if (group->gone || slot.position >= group->count)
            continue;
        if (kept > from && (slot.position != groups->slots[from].position ||
                            !same_but_at(first, group, slot.position)))
            continue;
        groups->slots[kept++] = slot;
    }
    return kept;
}

/* Started, stopping: a word that says what is done, and so makes the template, rather than whom it
 * is done to. Good enough for English, which logs are mostly written in. */
static bool is_action(const hx_shapes *shapes, uint32_t symbol)
{
    hx_slice word;

    if (!hx_symbol_is_word(symbol))
        return false;
    word = hx_shapes_word(shapes, symbol);
    return word.len >= 5 && (memcmp(word.ptr + word.len - 2, "ed", 2) == 0 ||
                             memcmp(word.ptr + word.len - 3, "ing", 3) == 0);
}

static hx_star describe_star(const hx_groups *groups, uint64_t from, uint64_t to)
{
    const hx_slot *slots = groups->slots;
    const hx_group *first = &groups->items[slots[from].group];
    hx_star star = {.members = (uint32_t)(to - from),
                    .position = slots[from].position,
                    .words = hx_group_words(first),
                    .all_varied = true};

    uint32_t actions = 0;

    star.words -= hx_symbol_tells(first->symbols[star.position]);
    for (uint64_t i = from; i < to; i++) {
        uint32_t symbol = groups->items[slots[i].group].symbols[star.position];

        actions += is_action(groups->shapes, symbol);
        star.has_value |= symbol == HX_SYMBOL_VALUE;
        star.has_open |= symbol == HX_SYMBOL_ANY || symbol == HX_SYMBOL_SPAN;
        star.all_varied &= !hx_symbol_is_word(symbol) || groups->varied[hx_symbol_word(symbol)];
    }
    star.acts = 2 * actions >= star.members;
    return star;
}

static bool star_varies(const hx_star *star, uint32_t least)
{
    if (star->words == 0 || star->members < least)
        return false;
    if (star->has_open)
        return true;
    if (star->position == 0 || star->acts)
        return star->members >= STAR_WORDS_FIRST;
    if (star->has_value && star->words >= VALUE_WORDS)
        return true;
    if (star->words < 2)
        return star->members >= STAR_WORDS_LONE;
    return star->members >= STAR_WORDS || star->all_varied;
}

static void merge_star(hx_groups *groups, const hx_star *star, uint64_t from, uint64_t to)
{
    hx_group *into = &groups->items[groups->slots[from].group];
    uint32_t general = HX_SYMBOL_ANY;

    for (uint64_t i = from; i < to; i++) {
        hx_group *group = &groups->items[groups->slots[i].group];
        uint32_t symbol = group->symbols[star->position];

        if (symbol == HX_SYMBOL_SPAN)
            general = HX_SYMBOL_SPAN;
        if (hx_symbol_is_word(symbol) && star->members >= STAR_WORDS)
            groups->varied[hx_symbol_word(symbol)] = 1;
        if (group != into)
            hx_group_merge(groups, into, group);
    }
    into->symbols[star->position] = general;
}

bool hx_merge_stars(hx_groups *groups, uint32_t least)
{
    uint64_t n = collect_star_slots(groups);
    bool merged = false;

    for (uint64_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && groups->slots[to].key == groups->slots[from].key; to++)
            continue;
        uint64_t kept = live_members(groups, from, to);

        if (kept - from < 2)
            continue;
        hx_star star = describe_star(groups, from, kept);

        if (star_varies(&star, least)) {
            merge_star(groups, &star, from, kept);
            merged = true;
        }
    }
    return merged;
}
