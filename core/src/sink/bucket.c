#include "sink/bucket.h"

/* Slice k of a second has the difference of two rounded sums, so that a second has exactly eps. */
static uint64_t earned_before(const hx_bucket *bucket, uint64_t slice)
{
    return slice / HX_BUCKET_SLICES * bucket->eps +
           slice % HX_BUCKET_SLICES * bucket->eps / HX_BUCKET_SLICES;
}

void hx_bucket_init(hx_bucket *bucket, uint64_t eps, int64_t now_ns)
{
    bucket->eps = eps;
    bucket->slice = (uint64_t)now_ns / HX_BUCKET_SLICE_NS;
    bucket->tokens =
        (int64_t)(earned_before(bucket, bucket->slice + 1) - earned_before(bucket, bucket->slice));
}

int64_t hx_bucket_allowance(hx_bucket *bucket, int64_t now_ns)
{
    uint64_t slice = (uint64_t)now_ns / HX_BUCKET_SLICE_NS;
    int64_t most = (int64_t)((bucket->eps + HX_BUCKET_SLICES - 1) / HX_BUCKET_SLICES);

    if (slice > bucket->slice) {
        bucket->tokens +=
            (int64_t)(earned_before(bucket, slice + 1) - earned_before(bucket, bucket->slice + 1));
        if (bucket->tokens > most)
            bucket->tokens = most;
        bucket->slice = slice;
    }
    return bucket->tokens;
}

int64_t hx_bucket_next_ns(const hx_bucket *bucket)
{
    return (int64_t)(bucket->slice + 1) * HX_BUCKET_SLICE_NS;
}
