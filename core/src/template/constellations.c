/* Templates that are the same but for positions where each has a rare word. */
#include "rules.h"

#include <haechi/hash.h>

#include <stdlib.h>

static uint64_t place_key(const hx_group *group, uint32_t position)
{
    return hx_hash_u64(hx_hash_u64(group->count, position), group->symbols[position]);
}

/* groups->slots: one for each live group, keyed by its symbols but for words that fewer than
 * `common` groups of its length have at that place. open[] gets those places, one for each symbol.
 */
static uint64_t collect_rare_slots(hx_groups *groups, uint32_t common, uint8_t *open)
{
    uint64_t n = 0;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];

        for (uint32_t p = 0; !group->gone && p < group->count; p++)
            groups->slots[n++] = (hx_slot){place_key(group, p), g, p};
    }
    hx_slots_sort(groups, n);
    for (uint64_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && groups->slots[to].key == groups->slots[from].key; to++)
            continue;
        for (uint64_t i = from; i < to; i++) {
            const hx_group *group = &groups->items[groups->slots[i].group];
            const uint32_t *symbol = group->symbols + groups->slots[i].position;

            open[symbol - groups->symbols] =
                *symbol != HX_SYMBOL_REST &&
                (to - from < common || *symbol == HX_SYMBOL_ANY || *symbol == HX_SYMBOL_SPAN);
        }
    }
    n = 0;
    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];
        uint64_t key = group->count;

        if (group->gone)
            continue;
        for (uint32_t p = 0; p < group->count; p++)
            key = hx_hash_u64(key,
                              open[group->symbols + p - groups->symbols] ? 0 : group->symbols[p]);
        groups->slots[n++] = (hx_slot){key, g, 0};
    }
    hx_slots_sort(groups, n);
    return n;
}

static int compare_symbols(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Different symbols that the members slots[from..to) have at a position. */
static uint32_t count_different(const hx_groups *groups, uint64_t from, uint64_t to,
                                uint32_t position, uint32_t *room)
{
    uint32_t n = 0, different = 1;

    for (uint64_t i = from; i < to; i++)
        room[n++] = groups->items[groups->slots[i].group].symbols[position];
    qsort(room, n, sizeof *room, compare_symbols);
    for (uint32_t i = 1; i < n; i++)
        different += room[i] != room[i - 1];
    return different;
}

/* Merges slots[from..to) into the first where the evidence is enough. */
static bool merge_constellation(hx_groups *groups, uint64_t from, uint64_t to, uint32_t *room)
{
    hx_group *into = &groups->items[groups->slots[from].group];
    uint32_t varying = 0, words = 0, fixed = 0, members = (uint32_t)(to - from);
    uint8_t varies[HX_TOKENS_MAX + 1];

    for (uint32_t p = 0; p < into->count; p++) {
        uint32_t different = count_different(groups, from, to, p, room);

        varies[p] = different > 1;
        varying += varies[p];
        words += !varies[p] && hx_symbol_tells(into->symbols[p]);
        fixed += !varies[p] && hx_symbol_is_word(into->symbols[p]);
        if (varies[p] && different < (p ? (uint32_t)STAR_WORDS : (uint32_t)STAR_WORDS_FIRST))
            return false;
    }
    if (!varying || words < 2 || 2 * fixed < into->count ||
        members < CONSTELLATION_FIRST + CONSTELLATION_NEXT * (varying > 2 ? varying - 2 : 0))
        return false;
    for (uint64_t i = from; i < to; i++) {
        hx_group *group = &groups->items[groups->slots[i].group];

        for (uint32_t p = 0; p < into->count; p++)
            if (varies[p] && hx_symbol_is_word(group->symbols[p]))
                groups->varied[hx_symbol_word(group->symbols[p])] = 1;
        if (group != into)
            hx_group_merge(groups, into, group);
    }
    for (uint32_t p = 0; p < into->count; p++)
        if (varies[p])
            into->symbols[p] = HX_SYMBOL_ANY;
    return true;
}

bool hx_merge_constellations(hx_groups *groups, uint32_t common, uint8_t *open, uint32_t *room)
{
    uint64_t n = collect_rare_slots(groups, common, open);
    bool merged = false;

    for (uint64_t from = 0, to; from < n; from = to) {
        const hx_group *first = &groups->items[groups->slots[from].group];

        for (to = from + 1; to < n && groups->slots[to].key == groups->slots[from].key &&
                            groups->items[groups->slots[to].group].count == first->count;
             to++)
            continue;
        if (to - from >= CONSTELLATION_FIRST)
            merged |= merge_constellation(groups, from, to, room);
    }
    return merged;
}
