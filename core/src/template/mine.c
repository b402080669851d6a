#include "mine.h"

#include "rules.h"

#include <haechi/error.h>

#include <stdlib.h>

#define ROUNDS 8 /* of all rules; two or three are the most that logs have needed */

static int settle(hx_groups *groups)
{
    for (uint32_t g = 0; g < groups->count; g++)
        if (!groups->items[g].gone)
            hx_group_join_varying(&groups->items[g]);
    hx_groups_merge_alike(groups);
    return hx_groups_merge_covered(groups);
}

static bool merge_all(hx_groups *groups, uint8_t *open, uint32_t *room)
{
    bool merged = false;

    /* The strongest evidence first: a word that is one of a hundred here may be one of five there.
     */
    for (uint32_t least = 64; least >= 2; least /= least > 4 ? 4 : 2)
        while (hx_merge_stars(groups, least))
            merged = true;
    merged |= hx_merge_slots(groups);
    merged |= hx_merge_named(groups);
    for (uint32_t common = 2; common < groups->live; common *= 4)
        merged |= hx_merge_constellations(groups, common, open, room);
    return merged;
}

static int merge_until_done(hx_groups *groups)
{
    uint8_t *open = malloc(groups->shapes->symbol_count + 1);
    uint32_t *room = malloc((groups->count + (size_t)1) * sizeof *room);
    int rc = open && room ? 0 : HX_ENOMEM;

    for (uint32_t round = 0; !rc && round < ROUNDS; round++) {
        bool merged = merge_all(groups, open, room);

        rc = settle(groups);
        if (!merged)
            break;
    }
    free(open);
    free(room);
    return rc;
}

static int compare_first_shapes(const void *a, const void *b)
{
    const hx_mined_template *x = a, *y = b;

    return x->first_shape < y->first_shape ? -1 : x->first_shape > y->first_shape;
}

int hx_mine(const hx_shapes *shapes, uint32_t max_templates, hx_mined *mined)
{
    hx_groups groups;
    int rc = hx_groups_create(&groups, shapes);

    *mined = (hx_mined){0};
    if (!rc)
        rc = merge_until_done(&groups);
    if (!rc)
        hx_coarsen(&groups, max_templates);
    if (!rc && !(mined->items = malloc((groups.live + (size_t)1) * sizeof *mined->items)))
        rc = HX_ENOMEM;
    for (uint32_t g = 0; !rc && g < groups.count; g++) {
        const hx_group *group = &groups.items[g];

        if (!group->gone)
            mined->items[mined->count++] =
                (hx_mined_template){(uint64_t)(group->symbols - groups.symbols), group->weight,
                                    group->count, group->first_shape};
    }
    if (!rc) {
        qsort(mined->items, mined->count, sizeof *mined->items, compare_first_shapes);
        mined->symbols = groups.symbols;
        groups.symbols = NULL;
    }
    hx_groups_free(&groups);
    return rc;
}

void hx_mined_free(hx_mined *mined)
{
    free(mined->symbols);
    free(mined->items);
    *mined = (hx_mined){0};
}
