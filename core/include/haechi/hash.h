/* The house's 64-bit hash: multiply-fold over 16 bytes a step, in the manner of wyhash (Wang Yi,
 * public domain). Good distribution, a nanosecond for a short key, the same on every machine; not
 * a cryptographic hash, so nothing that an attacker must not forge hangs on it. */
#ifndef HAECHI_HASH_H
#define HAECHI_HASH_H

#include <stdint.h>
#include <string.h>

#define HX_HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t hx_hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* One 64-bit word folded into a running hash. */
static inline uint64_t hx_hash_u64(uint64_t h, uint64_t v)
{
    return hx_hash_mix(h ^ UINT64_C(0xa0761d6478bd642f), v ^ UINT64_C(0xe7037ed1a0b428db));
}

static inline uint64_t hx_hash_load64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t hx_hash_load32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Reads exactly len bytes at data, never one more. */
static inline uint64_t hx_hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ hx_hash_mix(seed ^ UINT64_C(0xa0761d6478bd642f), len);
    uint64_t a = 0, b = 0;

    while (len > 16) {
        h = hx_hash_mix(hx_hash_load64(p) ^ UINT64_C(0xe7037ed1a0b428db),
                        hx_hash_load64(p + 8) ^ h);
        p += 16;
        len -= 16;
    }
    if (len >= 8) {
        a = hx_hash_load64(p);
        b = hx_hash_load64(p + len - 8);
    } else if (len >= 4) {
        a = hx_hash_load32(p);
        b = hx_hash_load32(p + len - 4);
    } else if (len > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[len >> 1] << 8 | p[len - 1];
    }
    return hx_hash_mix(UINT64_C(0x8ebc6af09c88c6e3) ^ len,
                       hx_hash_mix(a ^ UINT64_C(0xe7037ed1a0b428db), b ^ h));
}

#endif
