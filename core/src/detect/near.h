/* The names that lines have named of late, with their hash and number, so that for most lines
 * neither is worked out: of a short name the bytes themselves say where it would be, in a table
 * small enough to stay near. What is not there is asked of the names that all threads share
 * (haechi/intern.h). One thread's. */
#ifndef HAECHI_DETECT_NEAR_H
#define HAECHI_DETECT_NEAR_H

#include <haechi/hash.h>
#include <haechi/intern.h>

#define HX_NEAR_NAME_MAX 16

typedef struct hx_near_name {
    uint64_t part[2]; /* of its bytes, the rest zero */
    uint64_t hash;
    uint32_t number;
    uint32_t len; /* 0: none is here */
} hx_near_name;

typedef struct hx_near {
    hx_near_name (*pairs)[2]; /* [1 << bits], a cache line each; NULL: nothing is kept */
    uint32_t bits;
} hx_near;

/* Where a name would be, and its bytes. */
typedef struct hx_near_place {
    uint64_t part[2];
    uint32_t at; /* UINT32_MAX: it is not of those that are kept */
} hx_near_place;

/* Reads HX_NEAR_NAME_MAX bytes from the name on, and none at or past end: a name that is so near
 * the end is not kept. Fetches the place. */
static inline hx_near_place hx_near_look(const hx_near *near, const char *name, uint32_t len,
                                         const char *end)
{
    hx_near_place p = {{0, 0}, UINT32_MAX};

    if (!near->pairs || len - 1 >= HX_NEAR_NAME_MAX || end - name < HX_NEAR_NAME_MAX)
        return p;
    memcpy(p.part, name, sizeof p.part);
    p.part[0] &= len < 8 ? (UINT64_C(1) << (8 * len)) - 1 : UINT64_MAX;
    p.part[1] &= len <= 8 ? 0 : UINT64_MAX >> (8 * (HX_NEAR_NAME_MAX - len));
    p.at = (uint32_t)((p.part[0] ^ p.part[1] * UINT64_C(0xe7037ed1a0b428db)) *
                          UINT64_C(0x9e3779b97f4a7c15) >>
                      (64 - near->bits));
    __builtin_prefetch(near->pairs[p.at]);
    return p;
}

static inline bool hx_near_is(const hx_near_name *n, const hx_near_place *p, uint32_t len)
{
    return n->len == len && n->part[0] == p->part[0] && n->part[1] == p->part[1];
}

/* Hash and number (0: none) of a name that was looked for. numbers: or NULL. */
static inline uint64_t hx_near_find(hx_near *near, const hx_near_place *p, hx_intern *numbers,
                                    const char *name, uint32_t len, uint32_t *number)
{
    hx_near_name *pair = p->at != UINT32_MAX ? near->pairs[p->at] : NULL;
    uint64_t hash;

    for (hx_near_name *n = pair; pair && n < pair + 2; n++) {
        if (hx_near_is(n, p, len)) {
            *number = n->number;
            return n->hash;
        }
    }
    hash = hx_hash_bytes(name, len, HX_HASH_SEED);
    *number = numbers ? hx_intern_number(numbers, name, len, hash) : 0;
    if (pair && (*number || !numbers)) { /* one that has no number yet may get one */
        pair[1] = pair[0];
        pair[0] = (hx_near_name){{p->part[0], p->part[1]}, hash, *number, len};
    }
    return hash;
}

#endif
