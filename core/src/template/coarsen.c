/* More templates than allowed: which are given up for more general ones. */
#include "rules.h"

#include <haechi/hash.h>

#include <stdlib.h>

/* Cuts slots[from..to), groups that begin with the same symbols, to that beginning and a rest. */
static void cut_family(hx_groups *groups, uint64_t from, uint64_t to, uint32_t symbols)
{
    hx_group *into = &groups->items[groups->slots[from].group];

    for (uint64_t i = from + 1; i < to; i++) {
        hx_group *group = &groups->items[groups->slots[i].group];

        if (memcmp(group->symbols, into->symbols, symbols * sizeof *into->symbols) == 0)
            hx_group_merge(groups, into, group);
    }
    into->symbols[symbols] = HX_SYMBOL_REST;
    into->count = symbols + 1;
}

/* Cuts the large families of groups that begin with the same symbols. */
static void cut_families(hx_groups *groups, uint32_t symbols, uint32_t most)
{
    uint64_t n = 0;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];

        if (!group->gone && group->count > symbols)
            groups->slots[n++] = (hx_slot){
                hx_hash_bytes(group->symbols, symbols * sizeof *group->symbols, symbols), g, 0};
    }
    hx_slots_sort(groups, n);
    for (uint64_t from = 0, to; from < n && groups->live > most; from = to) {
        for (to = from + 1; to < n && groups->slots[to].key == groups->slots[from].key; to++)
            continue;
        if (to - from >= FAMILY)
            cut_family(groups, from, to, symbols);
    }
}

static int compare_keys(const void *a, const void *b)
{
    const hx_slot *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->group < y->group ? -1 : x->group > y->group;
}

/* What is left over: one template that fits everything takes the place of the rarest ones. */
static void drop_rarest(hx_groups *groups, uint32_t most)
{
    uint64_t n = 0, too_many;

    if (groups->live <= most)
        return;
    for (uint32_t g = 0; g < groups->count; g++)
        if (!groups->items[g].gone)
            groups->slots[n++] = (hx_slot){groups->items[g].weight, g, 0};
    qsort(groups->slots, n, sizeof *groups->slots, compare_keys);
    too_many = groups->live - most + 1;
    /* The first one is cut, and the shape without tokens has no room for a rest. */
    if (groups->items[groups->slots[0].group].count == 0) {
        hx_slot empty = groups->slots[0];

        groups->slots[0] = groups->slots[1];
        groups->slots[1] = empty;
    }
    cut_family(groups, 0, too_many < n ? too_many : n, 0);
}

/* Until no more than most groups are left: longer beginnings first, because they say more. */
void hx_coarsen(hx_groups *groups, uint32_t most)
{
    static const uint32_t beginnings[] = {16, 8, 6, 4, 3, 2, 1};

    for (size_t i = 0; groups->live > most && i < sizeof beginnings / sizeof beginnings[0]; i++) {
        cut_families(groups, beginnings[i], most);
        hx_groups_merge_alike(groups);
    }
    drop_rarest(groups, most);
    hx_groups_merge_alike(groups);
}
