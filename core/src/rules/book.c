/* What a rule file holds, kept: nodes of conditions, and every pattern once. */
#include "rules/room.h"

#include <haechi/hash.h>

#include <stdlib.h>

/* Room for one more. False when out of memory. */
static bool make_room(void *array, uint32_t count, uint32_t *room, size_t size)
{
    void *old, *grown;
    uint32_t wanted = *room ? 2 * *room : 64;

    if (count < *room)
        return true;
    memcpy(&old, array, sizeof old);
    grown = realloc(old, wanted * size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    *room = wanted;
    return true;
}

bool hx_book_add_node(hx_book *b, hx_node node)
{
    if (!make_room(&b->nodes, b->node_count, &b->node_room, sizeof *b->nodes))
        return false;
    b->nodes[b->node_count++] = node;
    return true;
}

static uint64_t pattern_hash(const hx_pattern *p)
{
    return hx_hash_bytes(p->value, p->length,
                         HX_HASH_SEED ^ p->field ^ (uint64_t)p->op << 8 ^
                             (uint64_t)p->nocase << 16);
}

static bool same_pattern(const hx_pattern *a, const hx_pattern *b)
{
    return a->field == b->field && a->op == b->op && a->nocase == b->nocase &&
           a->length == b->length && memcmp(a->value, b->value, a->length) == 0;
}

static bool grow_places(hx_book *b)
{
    uint32_t wanted = b->place_mask ? 2 * (b->place_mask + 1) : 256;
    uint32_t *places = calloc(wanted, sizeof *places);

    if (!places)
        return false;
    free(b->places);
    b->places = places;
    b->place_mask = wanted - 1;
    for (uint32_t i = 0; i < b->pattern_count; i++) {
        uint32_t at = (uint32_t)pattern_hash(&b->patterns[i]) & b->place_mask;

        while (places[at])
            at = (at + 1) & b->place_mask;
        places[at] = i + 1;
    }
    return true;
}

uint32_t hx_book_find_pattern(hx_book *b, const hx_pattern *wanted)
{
    uint32_t at;
    hx_pattern *p;

    if (2 * b->pattern_count >= b->place_mask && !grow_places(b))
        return UINT32_MAX;
    for (at = (uint32_t)pattern_hash(wanted) & b->place_mask; b->places[at];
         at = (at + 1) & b->place_mask)
        if (same_pattern(&b->patterns[b->places[at] - 1], wanted))
            return b->places[at] - 1;
    if (!make_room(&b->patterns, b->pattern_count, &b->pattern_room, sizeof *b->patterns))
        return UINT32_MAX;
    p = &b->patterns[b->pattern_count];
    *p = *wanted;
    p->value = malloc((size_t)p->length + 1);
    if (!p->value)
        return UINT32_MAX;
    memcpy(p->value, wanted->value, (size_t)p->length + 1);
    b->places[at] = ++b->pattern_count;
    return b->pattern_count - 1;
}

void hx_book_free(hx_book *book)
{
    for (uint32_t i = 0; i < book->rule_count; i++) {
        const hx_rule *rule = &book->rules[i];

        for (uint32_t t = 0; t < rule->tag_count; t++)
            free((void *)(uintptr_t)rule->tags[t]);
        free((void *)(uintptr_t)rule->tags);
        free((void *)(uintptr_t)rule->id);
        free((void *)(uintptr_t)rule->title);
    }
    for (uint32_t i = 0; i < book->pattern_count; i++)
        free(book->patterns[i].value);
    free(book->rules);
    free(book->nodes);
    free(book->patterns);
    free(book->places);
    memset(book, 0, sizeof *book);
}
