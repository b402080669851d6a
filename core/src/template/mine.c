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
#include "mine.h"

#include "groups.h"

#include <haechi/error.h>
#include <haechi/hash.h>

#include <stdlib.h>

enum {
    STAR_WORDS = 4,           /* different words that make a position vary */
    STAR_WORDS_LONE = 8,      /* the same, with one constant word around it */
    STAR_WORDS_FIRST = 12,    /* the same, for a message's first token and for actions */
    VALUE_WORDS = 3,          /* constant words where it is sometimes a value: from 2 variants on */
    CONSTELLATION_FIRST = 10, /* members for two positions ... */
    CONSTELLATION_NEXT = 6,   /* ... and for each further one */
    SLOT_WORDS = 3,           /* constant words outside of slots */
    FAMILY = 16,              /* templates that begin alike, where there are too many */
    ROUNDS = 8,
};

/* --- stars -------------------------------------------------------------------------------------
 */

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
    hx_slice word = hx_symbol_is_word(symbol) ? hx_shapes_word(shapes, symbol) : (hx_slice){0};
    const char *end = word.ptr + word.len;

    return word.len >= 5 && (memcmp(end - 2, "ed", 2) == 0 || memcmp(end - 3, "ing", 3) == 0);
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

    star.words -= hx_symbol_is_word(first->symbols[star.position]);
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

static bool merge_stars(hx_groups *groups, uint32_t least)
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

/* --- constellations ----------------------------------------------------------------------------
 */

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
    uint32_t varying = 0, words = 0, members = (uint32_t)(to - from);
    uint8_t varies[HX_TOKENS_MAX + 1];

    for (uint32_t p = 0; p < into->count; p++) {
        uint32_t different = count_different(groups, from, to, p, room);

        varies[p] = different > 1;
        varying += varies[p];
        words += !varies[p] && hx_symbol_is_word(into->symbols[p]);
        if (varies[p] && different < (p ? (uint32_t)STAR_WORDS : (uint32_t)STAR_WORDS_FIRST))
            return false;
    }
    if (!varying || words < 2 || 2 * words < into->count ||
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

static bool merge_constellations(hx_groups *groups, uint32_t common, uint8_t *open, uint32_t *room)
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

/* --- slots -------------------------------------------------------------------------------------
 */

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
static bool merge_all_slots(hx_groups *groups)
{
    uint64_t n = 0;
    bool merged = false;

    for (uint32_t g = 0; g < groups->count; g++) {
        const hx_group *group = &groups->items[g];
        uint64_t key = group->count;
        uint32_t slots = 0;

        for (uint32_t p = 0; !group->gone && p < group->count; p++) {
            slots += is_slot(group->symbols[p]);
            key = hx_hash_u64(key, is_slot(group->symbols[p]) ? 0 : group->symbols[p]);
        }
        if (slots > 1 && hx_group_words(group) - slots >= SLOT_WORDS)
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

/* --- all of it ---------------------------------------------------------------------------------
 */

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
        while (merge_stars(groups, least))
            merged = true;
    merged |= merge_all_slots(groups);
    for (uint32_t common = 2; common < groups->live; common *= 4)
        merged |= merge_constellations(groups, common, open, room);
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

/* --- too many ----------------------------------------------------------------------------------
 */

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
static void coarsen(hx_groups *groups, uint32_t most)
{
    static const uint32_t beginnings[] = {16, 8, 6, 4, 3, 2, 1};

    for (size_t i = 0; groups->live > most && i < sizeof beginnings / sizeof beginnings[0]; i++) {
        cut_families(groups, beginnings[i], most);
        hx_groups_merge_alike(groups);
    }
    drop_rarest(groups, most);
    hx_groups_merge_alike(groups);
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
        coarsen(&groups, max_templates);
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
