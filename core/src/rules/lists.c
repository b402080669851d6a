/* What is remembered: forms, and lists of what they hit, each kept once. */
#include "rules/seat.h"

#include <haechi/hash.h>

#include <stdlib.h>

/* --- forms -------------------------------------------------------------------------------------
 */

/* Places of one form: neighbours, so that they are of the same few. */
#define WAYS 4

int hx_seat_forms_init(hx_seat_forms *f)
{
    f->tags = calloc(HX_FORMS, sizeof *f->tags);
    return f->tags ? hx_forms_init(&f->forms) : HX_ENOMEM;
}

void hx_seat_forms_free(hx_seat_forms *f)
{
    hx_forms_free(&f->forms);
    free(f->tags);
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)hash | 1; /* a place's number is of the other half */
}

hx_form_place hx_seat_forms_find(const hx_rule_seat *s, const hx_seat_forms *f, hx_form_place place,
                                 hx_slice text)
{
    uint32_t home;

    if (!place.form || s->way.holds(place, text))
        return place;
    home = (uint32_t)(place.form - f->forms.items);
    for (uint32_t i = 1; i < WAYS; i++) {
        const hx_form_place other = {&f->forms.items[home ^ i], place.hash};

        if (f->tags[home ^ i] == tag_of(place.hash) && s->way.holds(other, text))
            return other;
    }
    return (hx_form_place){NULL, place.hash};
}

void hx_seat_forms_keep(hx_seat_forms *f, hx_form_place place, hx_slice text, uint32_t list)
{
    const uint32_t home = (uint32_t)(place.form - f->forms.items);
    uint32_t at = home ^ (place.hash >> 8 & (WAYS - 1));

    for (uint32_t i = 0; i < WAYS; i++)
        if (!f->forms.items[home ^ i].used) {
            at = home ^ i;
            break;
        }
    place.form = &f->forms.items[at];
    if (hx_form_keep(place, text, list))
        f->tags[at] = tag_of(place.hash);
}

/* --- lists -------------------------------------------------------------------------------------
 */

static void forget_forms(hx_rule_seat *s)
{
    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++)
        for (uint32_t i = 0; i < HX_FORMS; i++) {
            hx_form *near = s->fields[f].near.forms.items, *far = s->fields[f].far.forms.items;

            if (near)
                near[i].hash = near[i].used = 0;
            if (far)
                far[i].hash = far[i].used = 0;
        }
    hx_seat_stamp(s);
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
