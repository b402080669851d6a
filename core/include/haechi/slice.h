/* A borrowed run of bytes: it owns nothing, ends nowhere in particular (no NUL), and lives as long
 * as the buffer it points into. */
#ifndef HAECHI_SLICE_H
#define HAECHI_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct hx_slice {
    const char *ptr; /* may be NULL only when len is 0 */
    uint32_t len;    /* bytes */
} hx_slice;

#define HX_SLICE_LIT(s) ((hx_slice){(s), (uint32_t)(sizeof(s) - 1)})

static inline hx_slice hx_slice_make(const char *ptr, size_t len)
{
    return (hx_slice){ptr, (uint32_t)len};
}

static inline hx_slice hx_slice_str(const char *s)
{
    return (hx_slice){s, (uint32_t)strlen(s)};
}

static inline bool hx_slice_equal(hx_slice a, hx_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif
