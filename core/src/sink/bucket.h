/* A token bucket in slices of 10 ms: what of a slice's allowance is not used in it lapses, and what
 * was taken beyond it is paid for by the next slices. Integers, so that a second is exact. */
#ifndef HAECHI_SINK_BUCKET_H
#define HAECHI_SINK_BUCKET_H

#include <stdint.h>

#define HX_BUCKET_SLICE_NS 10000000
#define HX_BUCKET_SLICES   100 /* a second */

typedef struct hx_bucket {
    uint64_t eps;
    uint64_t slice; /* since time 0 */
    int64_t tokens; /* below 0: owed */
} hx_bucket;

/* Starts with one slice's allowance. */
void hx_bucket_init(hx_bucket *bucket, uint64_t eps, int64_t now_ns);

/* How many may be taken now; not above 0: none. */
int64_t hx_bucket_allowance(hx_bucket *bucket, int64_t now_ns);

/* When the next slice begins. */
int64_t hx_bucket_next_ns(const hx_bucket *bucket);

#endif
