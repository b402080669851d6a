#include <haechi/error.h>
#include <haechi/intern.h>
#include <haechi/pages.h>

int hx_intern_init(hx_intern *intern, uint32_t max)
{
    uint32_t places = 2;

    while (places < 2 * max)
        places *= 2;
    memset(intern, 0, sizeof *intern);
    intern->max = max;
    intern->mask = places - 1;
    intern->index = hx_pages_map(places * sizeof *intern->index);
    intern->names = hx_pages_map(max * sizeof *intern->names);
    if (intern->index && intern->names)
        return 0;
    hx_intern_free(intern);
    return HX_ENOMEM;
}

void hx_intern_free(hx_intern *intern)
{
    hx_pages_unmap((void *)intern->index, ((size_t)intern->mask + 1) * sizeof *intern->index);
    hx_pages_unmap(intern->names, intern->max * sizeof *intern->names);
    memset(intern, 0, sizeof *intern);
}

/* A number is taken first and shown when its name is written. Who finds the place taken meanwhile
 * goes on behind it; the number is lost then, which can happen once for each name and thread. */
uint32_t hx_intern_add(hx_intern *intern, uint32_t at, const char *name, uint32_t len,
                       uint64_t hash)
{
    uint32_t number = 0, found = 0;

    if (!len || len > HX_INTERN_NAME_MAX)
        return 0;
    for (;; at = (at + 1) & intern->mask) {
        found = atomic_load_explicit(&intern->index[at], memory_order_acquire);
        if (found && hx_interned_is(&intern->names[found - 1], name, len, hash))
            return found;
        if (found)
            continue;
        if (!number) {
            if (atomic_load(&intern->given) >= intern->max)
                return 0;
            number = atomic_fetch_add(&intern->given, 1) + 1;
            if (number > intern->max)
                return 0;
            intern->names[number - 1].hash = hash;
            intern->names[number - 1].len = (uint8_t)len;
            memcpy(intern->names[number - 1].name, name, len);
        }
        found = 0;
        if (atomic_compare_exchange_strong(&intern->index[at], &found, number))
            return number;
        if (hx_interned_is(&intern->names[found - 1], name, len, hash))
            return found;
    }
}
