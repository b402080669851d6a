#include "mine.h"

#include <haechi/error.h>
#include <haechi/hash.h>

#include <stdlib.h>

/* A template in the making. */
typedef struct hx_group {
    uint64_t symbols;
    uint32_t count;
    uint32_t first_shape;
    bool gone; /* merged into another */
} hx_group;

/* One position of one group, keyed by all its other symbols. */
typedef struct hx_slot {
    uint64_t key;
    uint32_t group, position;
} hx_slot;

typedef struct hx_mining {
    uint32_t *symbols;
    hx_group *groups;
    uint32_t count;
    hx_slot *slots;
} hx_mining;

static int compare_slots(const void *a, const void *b)
{
    const hx_slot *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->group < y->group ? -1 : x->group > y->group;
}

static uint64_t key_without(const uint32_t *symbols, uint32_t count, uint32_t position)
{
    uint64_t h = hx_hash_bytes(symbols, position * sizeof *symbols, position);

    return hx_hash_bytes(symbols + position + 1, (count - position - 1) * sizeof *symbols, h);
}

/* Merges groups that differ in one position only, where at least `least` words stand there. */
static bool merge_stars(hx_mining *m, uint32_t least)
{
    uint64_t n = 0;
    bool merged = false;

    for (uint32_t g = 0; g < m->count; g++) {
        const hx_group *group = &m->groups[g];

        for (uint32_t p = 0; !group->gone && p < group->count; p++)
            if (m->symbols[group->symbols + p] >= HX_SYMBOL_VALUE)
                m->slots[n++] =
                    (hx_slot){key_without(m->symbols + group->symbols, group->count, p), g, p};
    }
    qsort(m->slots, n, sizeof *m->slots, compare_slots);
    for (uint64_t from = 0, to; from < n; from = to) {
        uint32_t live = 0, into = UINT32_MAX;

        for (to = from; to < n && m->slots[to].key == m->slots[from].key; to++)
            live += !m->groups[m->slots[to].group].gone;
        if (live < least)
            continue;
        for (uint64_t i = from; i < to; i++) {
            hx_group *group = &m->groups[m->slots[i].group];

            if (group->gone)
                continue;
            if (into == UINT32_MAX) {
                into = m->slots[i].group;
                m->symbols[group->symbols + m->slots[i].position] = HX_SYMBOL_ANY;
            } else {
                group->gone = true;
            }
            merged = true;
        }
    }
    return merged;
}

int hx_mine(const hx_shapes *shapes, uint32_t max_templates, hx_mined *mined)
{
    hx_mining m = {.count = shapes->count};
    int rc = HX_ENOMEM;

    *mined = (hx_mined){0};
    m.symbols = malloc((shapes->symbol_count + 1) * sizeof *m.symbols);
    m.slots = malloc((shapes->symbol_count + 1) * sizeof *m.slots);
    m.groups = malloc((shapes->count + (size_t)1) * sizeof *m.groups);
    mined->items = malloc((shapes->count + (size_t)1) * sizeof *mined->items);
    if (!m.symbols || !m.slots || !m.groups || !mined->items)
        goto out;
    if (shapes->symbol_count)
        memcpy(m.symbols, shapes->symbols, shapes->symbol_count * sizeof *m.symbols);
    for (uint32_t i = 0; i < shapes->count; i++)
        m.groups[i] = (hx_group){shapes->items[i].symbols, shapes->items[i].count, i, false};
    while (merge_stars(&m, 5))
        continue;
    while (merge_stars(&m, 3))
        continue;
    for (uint32_t i = 0; i < m.count && mined->count < max_templates; i++)
        if (!m.groups[i].gone)
            mined->items[mined->count++] = (hx_mined_template){
                m.groups[i].symbols, m.groups[i].count, m.groups[i].first_shape};
    mined->symbols = m.symbols;
    m.symbols = NULL;
    rc = 0;
out:
    free(m.symbols);
    free(m.slots);
    free(m.groups);
    if (rc)
        hx_mined_free(mined);
    return rc;
}

void hx_mined_free(hx_mined *mined)
{
    free(mined->symbols);
    free(mined->items);
    *mined = (hx_mined){0};
}
