#include <haechi/error.h>
#include <haechi/intern.h>
#include <haechi/pages.h>

_Static_assert(sizeof(hx_interned) == 64, "a name is a cache line");

int hx_intern_init(hx_intern *intern, uint32_t max)
{
    uint32_t places = 2;

    while (places < 2 * max)
        places *= 2;
    memset(intern, 0, sizeof *intern);
    intern->max = max;
    intern->mask = places - 1;
    intern->places = hx_pages_map(places * sizeof *intern->places);
    return intern->places ? 0 : HX_ENOMEM;
}

void hx_intern_free(hx_intern *intern)
{
    hx_pages_unmap(intern->places, ((size_t)intern->mask + 1) * sizeof *intern->places);
    memset(intern, 0, sizeof *intern);
}

/* A place is only taken with a number for it, so there are always empty ones. */
static uint32_t take_number(hx_intern *intern)
{
    uint32_t given = atomic_load(&intern->given);

    while (given < intern->max)
        if (atomic_compare_exchange_weak(&intern->given, &given, given + 1))
            return given + 1;
    return 0;
}

uint32_t hx_intern_add(hx_intern *intern, hx_interned *place, const char *name, uint32_t len,
                       uint64_t hash)
{
    uint32_t number = 0;

    if (!len || len > HX_INTERN_NAME_MAX || atomic_load(&intern->given) >= intern->max)
        return 0;
    if (!atomic_compare_exchange_strong(&place->number, &number, UINT32_MAX))
        return 0; /* another name's now, or this one's: the next time it is found */
    number = take_number(intern);
    place->hash = hash;
    place->len = (uint8_t)len;
    memcpy(place->name, name, len);
    atomic_store_explicit(&place->number, number, memory_order_release);
    return number;
}
