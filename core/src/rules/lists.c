/* What is remembered: forms, and lists of what they hit, each kept once. */
#include "rules/seat.h"

#include <haechi/hash.h>

/* --- forms -------------------------------------------------------------------------------------
 */

/* Places of one form: neighbours, so that they are of the same few. */
#define WAYS 4

static hx_form_place way(const hx_forms *forms, hx_form_place place, uint32_t number)
{
    place.form = &forms->items[(uint32_t)(place.form - forms->items) ^ number];
    return place;
}

hx_form_place hx_seat_find_form(const hx_rule_seat *s, const hx_forms *forms, hx_form_place place,
                                hx_slice text)
{
    if (!place.form || s->way.holds(place, text))
        return place;
    for (uint32_t i = 1; i < WAYS; i++) {
        const hx_form_place other = way(forms, place, i);

        if (other.form->hash == other.hash && s->way.holds(other, text))
            return other;
    }
    return (hx_form_place){NULL, place.hash};
}

void hx_seat_keep_form(const hx_forms *forms, hx_form_place place, hx_slice text, uint32_t list)
{
    hx_form_place chosen = way(forms, place, place.hash >> 8 & (WAYS - 1));

    for (uint32_t i = 0; i < WAYS; i++) {
        const hx_form_place other = way(forms, place, i);

        if (!other.form->used) {
            chosen = other;
            break;
        }
    }
    hx_form_keep(chosen, text, list);
}

/* --- lists -------------------------------------------------------------------------------------
 */

static void forget_forms(hx_rule_seat *s)
{
    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++)
        for (uint32_t i = 0; i < HX_FORMS; i++) {
            if (s->fields[f].near.items)
                s->fields[f].near.items[i].hash = s->fields[f].near.items[i].used = 0;
            if (s->fields[f].far.items)
                s->fields[f].far.items[i].hash = s->fields[f].far.items[i].used = 0;
        }
    memset(s->places, 0, HX_LISTS_PLACES * sizeof *s->places);
    s->lists_end = LIST_IDS;
}

uint32_t hx_seat_keep_list(hx_rule_seat *s)
{
    const uint32_t size = LIST_IDS + s->fresh[LIST_HITS] + s->fresh[LIST_CHECKS];
    uint64_t hash;
    uint32_t at, looked = 0;

    if (size == LIST_IDS)
        return 0;
    if (size > HX_LISTS_ROOM / 4)
        return UINT32_MAX;
    hash = hx_hash_bytes(s->fresh, size * sizeof *s->fresh, HX_HASH_SEED);
    for (at = (uint32_t)hash & (HX_LISTS_PLACES - 1); s->places[at] && looked < 64; looked++) {
        if (memcmp(s->lists + s->places[at], s->fresh, size * sizeof *s->fresh) == 0)
            return s->places[at];
        at = (at + 1) & (HX_LISTS_PLACES - 1);
    }
    if (looked == 64 || s->lists_end + size > HX_LISTS_ROOM) {
        forget_forms(s);
        at = (uint32_t)hash & (HX_LISTS_PLACES - 1);
    }
    s->places[at] = s->lists_end;
    memcpy(s->lists + s->lists_end, s->fresh, size * sizeof *s->fresh);
    s->lists_end += size;
    return s->places[at];
}

void hx_seat_put_in_order(uint32_t *numbers, uint32_t count)
{
    if (count > 64)
        return;
    for (uint32_t i = 1; i < count; i++) {
        uint32_t number = numbers[i], at = i;

        for (; at > 0 && numbers[at - 1] > number; at--)
            numbers[at] = numbers[at - 1];
        numbers[at] = number;
    }
}
