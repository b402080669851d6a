#include "../check.h"
#include "sink/bucket.h"

#include <stdbool.h>

#define SLICE  INT64_C(10000000)
#define SECOND INT64_C(1000000000)

/* Takes all that is allowed at every step of a second; returns how many. */
static uint64_t take_all(hx_bucket *bucket, int64_t from_ns, int64_t to_ns, int64_t step_ns)
{
    uint64_t taken = 0;

    for (int64_t now = from_ns; now < to_ns; now += step_ns) {
        int64_t allowed = hx_bucket_allowance(bucket, now);

        if (allowed > 0) {
            bucket->tokens -= allowed;
            taken += (uint64_t)allowed;
        }
    }
    return taken;
}

/* A second holds exactly the rate, however often the bucket is asked and whenever it starts. */
static void test_exact(void)
{
    static const uint64_t rates[] = {1, 7, 99, 100, 101, 12345, 1000000, 1000000000};
    static const int64_t steps[] = {SLICE, SLICE / 3, SLICE / 50};
    static const int64_t starts[] = {0, 7 * SLICE, 123456 * SECOND + 3 * SLICE};

    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
            for (size_t t = 0; t < sizeof starts / sizeof starts[0]; t++) {
                hx_bucket bucket;

                hx_bucket_init(&bucket, rates[r], starts[t]);
                CHECK_INT(take_all(&bucket, starts[t], starts[t] + 3 * SECOND, steps[s]),
                          3 * rates[r]);
            }
        }
    }
}

/* What is not used in a slice is gone; a slice's worth is the most that waits. */
static void test_lapse(void)
{
    hx_bucket bucket;

    hx_bucket_init(&bucket, 1000, 0);
    CHECK_INT(hx_bucket_allowance(&bucket, 0), 10);
    CHECK_INT(hx_bucket_allowance(&bucket, SLICE - 1), 10);
    CHECK_INT(hx_bucket_allowance(&bucket, 50 * SECOND), 10);
    hx_bucket_init(&bucket, 3, 0);
    CHECK_INT(hx_bucket_allowance(&bucket, 10 * SECOND), 1);
}

/* What was taken beyond the allowance is paid for by the slices after it. */
static void test_debt(void)
{
    hx_bucket bucket;

    hx_bucket_init(&bucket, 1000, 0);
    bucket.tokens -= 128;
    for (int slice = 1; slice <= 11; slice++)
        CHECK(hx_bucket_allowance(&bucket, slice * SLICE) <= 0);
    CHECK_INT(hx_bucket_allowance(&bucket, 12 * SLICE), 2);
    CHECK_INT(hx_bucket_next_ns(&bucket), 13 * SLICE);
}

/* A clock that stands still or is asked from two threads in the wrong order earns nothing. */
static void test_time_backwards(void)
{
    hx_bucket bucket;

    hx_bucket_init(&bucket, 1000, 5 * SLICE);
    bucket.tokens -= 10;
    CHECK_INT(hx_bucket_allowance(&bucket, 4 * SLICE), 0);
    CHECK_INT(hx_bucket_allowance(&bucket, 5 * SLICE), 0);
    CHECK_INT(hx_bucket_allowance(&bucket, 6 * SLICE), 10);
}

int main(void)
{
    test_exact();
    test_lapse();
    test_debt();
    test_time_backwards();
    return 0;
}
