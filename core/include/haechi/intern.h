/* Names as numbers: each distinct name has one, from 1 on, so that what is kept of a name is found
 * without comparing it again. Lines name few hosts and processes, and each of them millions of
 * times.
 *
 * Bounded: a name that comes when all numbers are given out, or that is too long, has number 0, and
 * who asked has to go by the name; so has one that another thread is just giving its number. Which
 * name gets which number depends on who comes first: numbers mean nothing outside the process, and
 * nothing that is written hangs on them. Any number of threads may ask at once; nobody waits. */
#ifndef HAECHI_INTERN_H
#define HAECHI_INTERN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HX_INTERN_NAME_MAX 51

typedef struct hx_interned { /* a cache line */
    uint64_t hash;
    _Atomic uint32_t
        number; /* 0: empty; UINT32_MAX: being written; else nothing changes any more */
    uint8_t len;
    char name[HX_INTERN_NAME_MAX];
} hx_interned;

typedef struct hx_intern {
    uint32_t max, mask;
    _Atomic uint32_t given;
    hx_interned *places; /* [mask + 1], by hash */
} hx_intern;

/* max: at least 1. 0 or HX_ENOMEM. */
int hx_intern_init(hx_intern *intern, uint32_t max);
void hx_intern_free(hx_intern *intern);

/* Gives the next number to a name that has none, at this empty place. */
uint32_t hx_intern_add(hx_intern *intern, hx_interned *place, const char *name, uint32_t len,
                       uint64_t hash);

/* Most names are of four to sixteen bytes: two words, that may overlap. */
static inline bool hx_interned_same(const char *a, const char *b, uint32_t len)
{
    uint64_t x = 0, y = 0, u = 0, v = 0;

    if (len >= 8 && len <= 16) {
        memcpy(&x, a, 8), memcpy(&u, b, 8);
        memcpy(&y, a + len - 8, 8), memcpy(&v, b + len - 8, 8);
    } else if (len >= 4 && len < 8) {
        memcpy(&x, a, 4), memcpy(&u, b, 4);
        memcpy(&y, a + len - 4, 4), memcpy(&v, b + len - 4, 4);
    } else {
        return memcmp(a, b, len) == 0;
    }
    return x == u && y == v;
}

/* The number of a name, given now if it has none; 0: there is none for it. hash: of the name,
 * always by the same function and seed. */
static inline uint32_t hx_intern_number(hx_intern *intern, const char *name, uint32_t len,
                                        uint64_t hash)
{
    for (uint32_t at = (uint32_t)hash & intern->mask;; at = (at + 1) & intern->mask) {
        hx_interned *place = &intern->places[at];
        const uint32_t number = atomic_load_explicit(&place->number, memory_order_acquire);

        if (number == 0)
            return hx_intern_add(intern, place, name, len, hash);
        if (number == UINT32_MAX)
            return 0;
        if (place->hash == hash && place->len == len && hx_interned_same(place->name, name, len))
            return number;
    }
}

#endif
