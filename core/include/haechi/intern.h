/* Names as numbers: each distinct name has one, from 1 on, so that what is kept of a name is found
 * without comparing it again. Lines name few hosts and processes, and each of them millions of
 * times.
 *
 * Bounded: a name that comes when all numbers are given out, or that is too long, has number 0, and
 * who asked has to go by the name. Which name gets which number depends on who comes first: numbers
 * mean nothing outside the process, and nothing that is written hangs on them. Any number of
 * threads may ask at once; nobody waits. */
#ifndef HAECHI_INTERN_H
#define HAECHI_INTERN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HX_INTERN_NAME_MAX 55

typedef struct hx_interned { /* a cache line */
    uint64_t hash;
    uint8_t len;
    char name[HX_INTERN_NAME_MAX];
} hx_interned;

typedef struct hx_intern {
    uint32_t max, mask;
    _Atomic uint32_t given;  /* numbers, of which a few may be without a name */
    _Atomic uint32_t *index; /* [mask + 1], by hash; 0: empty */
    hx_interned *names;      /* [max], of number 1 first; those in the index do not change */
} hx_intern;

/* max: at least 1. 0 or HX_ENOMEM. */
int hx_intern_init(hx_intern *intern, uint32_t max);
void hx_intern_free(hx_intern *intern);

/* The number of a name that is not at this place of the index, where there is room for one more. */
uint32_t hx_intern_add(hx_intern *intern, uint32_t at, const char *name, uint32_t len,
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

static inline bool hx_interned_is(const hx_interned *have, const char *name, uint32_t len,
                                  uint64_t hash)
{
    return have->hash == hash && have->len == len && hx_interned_same(have->name, name, len);
}

/* The number of a name, given now if it has none; 0: there is none for it. hash: of the name,
 * always by the same function and seed. */
static inline uint32_t hx_intern_number(hx_intern *intern, const char *name, uint32_t len,
                                        uint64_t hash)
{
    uint32_t at = (uint32_t)hash & intern->mask, number;

    for (;; at = (at + 1) & intern->mask) {
        number = atomic_load_explicit(&intern->index[at], memory_order_acquire);
        if (!number)
            return hx_intern_add(intern, at, name, len, hash);
        if (hx_interned_is(&intern->names[number - 1], name, len, hash))
            return number;
    }
}

#endif
