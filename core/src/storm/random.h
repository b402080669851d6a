/* Random numbers for composing: wyrand (Wang Yi, public domain), one multiplication a draw. Not for
 * secrets. */
#ifndef HAECHI_STORM_RANDOM_H
#define HAECHI_STORM_RANDOM_H

#include <haechi/hash.h>

#define HX_RANDOM_STRIDE UINT64_C(0xa0761d6478bd642f)

static inline uint64_t hx_random_next(uint64_t *state)
{
    *state += HX_RANDOM_STRIDE;
    return hx_hash_mix(*state, *state ^ UINT64_C(0xe7037ed1a0b428db));
}

/* A draw to 0 .. n-1, by multiplication (Lemire, 2019); its bias is below n / 2^32. */
static inline uint32_t hx_random_below(uint64_t draw, uint32_t n)
{
    return (uint32_t)(((draw >> 32) * n) >> 32);
}

#endif
