#include "groups.h"

#include <haechi/error.h>
#include <haechi/hash.h>

#include <stdlib.h>

int hx_groups_create(hx_groups *groups, const hx_shapes *shapes)
{
    *groups = (hx_groups){.shapes = shapes, .count = shapes->count, .live = shapes->count};
    groups->slot_room = shapes->symbol_count + shapes->count + 1;
    groups->items = malloc((shapes->count + (size_t)1) * sizeof *groups->items);
    groups->symbols = malloc((shapes->symbol_count + 1) * sizeof *groups->symbols);
    groups->slots = malloc(groups->slot_room * sizeof *groups->slots);
    groups->spare = malloc(groups->slot_room * sizeof *groups->spare);
    groups->varied = calloc(shapes->word_count + (size_t)1, 1);
    if (!groups->items || !groups->symbols || !groups->slots || !groups->spare || !groups->varied) {
        hx_groups_free(groups);
        return HX_ENOMEM;
    }
    if (shapes->symbol_count)
        memcpy(groups->symbols, shapes->symbols, shapes->symbol_count * sizeof *groups->symbols);
    for (uint32_t i = 0; i < shapes->count; i++)
        groups->items[i] = (hx_group){groups->symbols + shapes->items[i].symbols,
                                      shapes->items[i].weight, shapes->items[i].count, i, false};
    return 0;
}

void hx_groups_free(hx_groups *groups)
{
    free(groups->items);
    free(groups->symbols);
    free(groups->slots);
    free(groups->spare);
    free(groups->varied);
    *groups = (hx_groups){0};
}

uint32_t hx_group_words(const hx_group *group)
{
    uint32_t words = 0;

    for (uint32_t i = 0; i < group->count; i++)
        words += hx_symbol_tells(group->symbols[i]);
    return words;
}

void hx_group_merge(hx_groups *groups, hx_group *group, hx_group *other)
{
    if (other->first_shape < group->first_shape)
        group->first_shape = other->first_shape;
    group->weight += other->weight;
    other->gone = true;
    groups->live--;
}

void hx_group_join_varying(hx_group *group)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t symbol = group->symbols[i];

        if (count && hx_symbol_varies(symbol) && hx_symbol_varies(group->symbols[count - 1]))
            group->symbols[count - 1] = HX_SYMBOL_SPAN;
        else
            group->symbols[count++] = symbol;
    }
    group->count = count;
}

static int compare_slots(const void *a, const void *b)
{
    const hx_slot *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* Keys are hashes, so slots shared out by their highest bits lie nearly in order already. */
void hx_slots_sort(hx_groups *groups, uint64_t count)
{
    enum { BUCKETS = 1 << 12 };
    uint64_t ends[BUCKETS] = {0}, start = 0;

    if (count < BUCKETS) {
        qsort(groups->slots, count, sizeof *groups->slots, compare_slots);
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        ends[groups->slots[i].key >> 52]++;
    for (uint32_t b = 0; b < BUCKETS; b++) {
        uint64_t size = ends[b];

        ends[b] = start;
        start += size;
    }
    for (uint64_t i = 0; i < count; i++)
        groups->spare[ends[groups->slots[i].key >> 52]++] = groups->slots[i];
    for (uint32_t b = 0; b < BUCKETS; b++) {
        uint64_t from = b ? ends[b - 1] : 0;

        qsort(groups->spare + from, ends[b] - from, sizeof *groups->spare, compare_slots);
    }
    hx_slot *sorted = groups->spare;

    groups->spare = groups->slots;
    groups->slots = sorted;
}

static uint32_t kind_blind(uint32_t symbol)
{
    return hx_symbol_varies(symbol) ? HX_SYMBOL_VALUE : symbol & ~HX_SYMBOL_MARKS;
}

static bool are_alike(const hx_group *x, const hx_group *y)
{
    if (x->count != y->count)
        return false;
    for (uint32_t i = 0; i < x->count; i++)
        if (kind_blind(x->symbols[i]) != kind_blind(y->symbols[i]))
            return false;
    return true;
}

void hx_groups_merge_alike(hx_groups *groups)
{
    uint64_t n = 0;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];
        uint64_t key = group->count;

        if (group->gone)
            continue;
        for (uint32_t i = 0; i < group->count; i++)
            key = hx_hash_u64(key, kind_blind(group->symbols[i]));
        groups->slots[n++] = (hx_slot){key, g, 0};
    }
    hx_slots_sort(groups, n);
    for (uint64_t i = 1; i < n; i++) {
        hx_group *group = &groups->items[groups->slots[i - 1].group];
        hx_group *other = &groups->items[groups->slots[i].group];

        if (groups->slots[i - 1].key != groups->slots[i].key || !are_alike(group, other))
            continue;
        for (uint32_t k = 0; k < group->count; k++)
            if (other->symbols[k] < HX_SYMBOL_REST && other->symbols[k] > group->symbols[k])
                group->symbols[k] = other->symbols[k];
        hx_group_merge(groups, group, other);
        groups->slots[i].group = groups->slots[i - 1].group;
    }
}

/* --- groups covered by others --------------------------------------------------------------- */

static bool has_any(const hx_group *group)
{
    for (uint32_t i = 0; i < group->count; i++)
        if (group->symbols[i] == HX_SYMBOL_ANY || group->symbols[i] == HX_SYMBOL_SPAN)
            return true;
    return false;
}

static bool is_open(const hx_group *mask, uint32_t i)
{
    return mask->symbols[i] == HX_SYMBOL_ANY || mask->symbols[i] == HX_SYMBOL_SPAN;
}

/* The key of a group seen through the open positions of mask, which has as many symbols. */
static uint64_t masked_key(const hx_group *group, const hx_group *mask)
{
    uint64_t key = group->count;

    for (uint32_t i = 0; i < group->count; i++)
        key = hx_hash_u64(key, is_open(mask, i) ? HX_SYMBOL_ANY : group->symbols[i]);
    return key;
}

static bool covers(const hx_group *general, const hx_group *group)
{
    if (general->count != group->count || general == group)
        return false;
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t have = general->symbols[i], want = group->symbols[i];

        if (have == want || (have == HX_SYMBOL_SPAN && want != HX_SYMBOL_REST))
            continue;
        if (have != HX_SYMBOL_ANY || want == HX_SYMBOL_SPAN || want == HX_SYMBOL_REST)
            return false;
    }
    return true;
}

static uint64_t mask_hash(const hx_group *group)
{
    uint64_t hash = group->count;

    for (uint32_t i = 0; i < group->count; i++)
        hash = hx_hash_u64(hash, is_open(group, i));
    return hash;
}

/* A table of the general groups: index + 1 at their masked key. */
typedef struct hx_cover_table {
    uint32_t *slots;
    uint64_t mask;
} hx_cover_table;

static hx_group *find_cover(const hx_groups *groups, const hx_cover_table *table,
                            const hx_group *group, const hx_group *mask)
{
    uint64_t slot = masked_key(group, mask) & table->mask;

    for (; table->slots[slot]; slot = (slot + 1) & table->mask) {
        hx_group *general = &groups->items[table->slots[slot] - 1];

        if (!general->gone && covers(general, group))
            return general;
    }
    return NULL;
}

/* Slots [0, n): one general group for each way of being open, sorted by the number of symbols. */
static uint64_t collect_masks(hx_groups *groups, hx_cover_table *table)
{
    uint64_t n = 0, kept = 0;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];
        uint64_t slot;

        if (group->gone || !has_any(group))
            continue;
        slot = masked_key(group, group) & table->mask;
        while (table->slots[slot])
            slot = (slot + 1) & table->mask;
        table->slots[slot] = g + 1;
        groups->slots[n++] = (hx_slot){mask_hash(group), g, 0};
    }
    hx_slots_sort(groups, n);
    for (uint64_t i = 0; i < n; i++)
        if (i == 0 || groups->slots[i].key != groups->slots[i - 1].key)
            groups->slots[kept++] = groups->slots[i];
    for (uint64_t i = 0; i < kept; i++)
        groups->slots[i].key = groups->items[groups->slots[i].group].count;
    qsort(groups->slots, kept, sizeof *groups->slots, compare_slots);
    return kept;
}

static uint64_t first_of_length(const hx_slot *masks, uint64_t n, uint64_t length)
{
    uint64_t low = 0, high = n;

    while (low < high) {
        uint64_t middle = (low + high) / 2;

        if (masks[middle].key < length)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int hx_groups_merge_covered(hx_groups *groups)
{
    hx_cover_table table = {.mask = 63};
    uint64_t n;

    while (table.mask + 1 < 2 * (uint64_t)groups->live)
        table.mask = table.mask * 2 + 1;
    table.slots = calloc(table.mask + 1, sizeof *table.slots);
    if (!table.slots)
        return HX_ENOMEM;
    n = collect_masks(groups, &table);
    for (uint32_t g = 0; g < groups->count; g++) {
        hx_group *group = &groups->items[g], *general = NULL;

        if (group->gone)
            continue;
        for (uint64_t i = first_of_length(groups->slots, n, group->count);
             i < n && groups->slots[i].key == group->count && !general; i++)
            general = find_cover(groups, &table, group, &groups->items[groups->slots[i].group]);
        if (general)
            hx_group_merge(groups, general, group);
    }
    free(table.slots);
    return 0;
}
