/* Templates that differ in words behind a '=', or in a name before an address. */
#include "rules.h"

#include <haechi/hash.h>

#include <stdlib.h>

static bool is_slot(uint32_t symbol)
{
    return hx_symbol_is_word(symbol) && symbol & HX_SYMBOL_SLOT;
}

/* Merges slots[from..to), which are the same but for words in slots, into the first. */
static void merge_slots(hx_groups *groups, uint64_t from, uint64_t to)
{
    hx_group *into = &groups->items[groups->slots[from].group];

    for (uint64_t i = from + 1; i < to; i++) {
        hx_group *group = &groups->items[groups->slots[i].group];

        for (uint32_t p = 0; p < into->count; p++)
            if (into->symbols[p] != group->symbols[p])
                into->symbols[p] = HX_SYMBOL_ANY;
        hx_group_merge(groups, into, group);
    }
}

/* Where several keys have values that are words, templates differ in all of them at once: merges
 * groups that are the same but for such words. */
bool hx_merge_slots(hx_groups *groups)
{
    uint64_t n = 0;
    bool merged = false;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];
        uint64_t key = group->count;
        uint32_t slots = 0, fixed = 0;

        for (uint32_t p = 0; !group->gone && p < group->count; p++) {
            slots += is_slot(group->symbols[p]);
            fixed += hx_symbol_is_word(group->symbols[p]) && !is_slot(group->symbols[p]);
            key = hx_hash_u64(key, is_slot(group->symbols[p]) ? 0 : group->symbols[p]);
        }
        if (slots > 1 && fixed >= SLOT_WORDS)
            groups->slots[n++] = (hx_slot){key, g, 0};
    }
    hx_slots_sort(groups, n);
    for (uint64_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && groups->slots[to].key == groups->slots[from].key &&
                            groups->items[groups->slots[to].group].count ==
                                groups->items[groups->slots[from].group].count;
             to++)
            continue;
        if (to - from >= STAR_WORDS) {
            merge_slots(groups, from, to);
            merged = true;
        }
    }
    return merged;
}

#define WHOLE UINT32_MAX /* position of a slot that stands for the group as it is */

/* A host's name, or another one in the same form, right before a value. */
static bool is_name_of_value(const hx_shapes *shapes, const hx_group *group, uint32_t p)
{
    hx_slice word;

    if (p + 1 >= group->count || !hx_symbol_is_word(group->symbols[p]) ||
        group->symbols[p + 1] != HX_SYMBOL_VALUE)
        return false;
    word = hx_shapes_word(shapes, group->symbols[p]);
    return memchr(word.ptr, '.', word.len) != NULL;
}

/* Merges slots[from..to) into the group that is as it is, where there is one: what the others have
 * before its value belongs to it. */
static bool merge_named(hx_groups *groups, uint64_t from, uint64_t to)
{
    hx_group *into = NULL;
    bool merged = false;

    for (uint64_t i = from; i < to; i++)
        if (groups->slots[i].position == WHOLE && !groups->items[groups->slots[i].group].gone)
            into = &groups->items[groups->slots[i].group];
    if (!into || hx_group_words(into) < VALUE_WORDS)
        return false;
    for (uint64_t i = from; i < to; i++) {
        hx_group *group = &groups->items[groups->slots[i].group];
        uint32_t p = groups->slots[i].position;

        if (p == WHOLE || group->gone || group->count != into->count + 1 ||
            memcmp(group->symbols, into->symbols, p * sizeof *into->symbols) != 0 ||
            memcmp(group->symbols + p + 2, into->symbols + p + 1,
                   (into->count - p - 1) * sizeof *into->symbols) != 0)
            continue;
        into->symbols[p] = HX_SYMBOL_SPAN;
        hx_group_merge(groups, into, group);
        merged = true;
    }
    return merged;
}

/* "from 10.0.0.1" and "from host.example (10.0.0.1)" are the same, with and without the name. */
bool hx_merge_named(hx_groups *groups)
{
    uint64_t n = 0;
    bool merged = false;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];

        if (group->gone)
            continue;
        groups->slots[n++] = (hx_slot){
            hx_hash_bytes(group->symbols, group->count * sizeof *group->symbols, 0), g, WHOLE};
        for (uint32_t p = 0; p < group->count; p++)
            if (is_name_of_value(groups->shapes, group, p)) {
                memcpy(groups->room, group->symbols, p * sizeof *groups->room);
                memcpy(groups->room + p, group->symbols + p + 1,
                       (group->count - p - 1) * sizeof *groups->room);
                groups->slots[n++] = (hx_slot){
                    hx_hash_bytes(groups->room, (group->count - 1) * sizeof *groups->room, 0), g,
                    p};
            }
    }
    hx_slots_sort(groups, n);
    for (uint64_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && groups->slots[to].key == groups->slots[from].key; to++)
            continue;
        merged |= to - from > 1 && merge_named(groups, from, to);
    }
    return merged;
}
