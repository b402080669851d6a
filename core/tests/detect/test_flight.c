/* Batches between reader and workers: taken again the last first, done with in order, bounded by
 * number and by their lines. */
#include "../check.h"
#include "detect/flight.h"

#include <pthread.h>
#include <time.h>

enum { COUNT = 6 };

static hx_batch batches[COUNT];

/* Sends a batch of this length to so many workers. */
static hx_batch *fly(hx_flight *f, uint32_t bytes, uint32_t users)
{
    hx_batch *batch = hx_flight_take(f);

    batch->chunk.length = bytes;
    atomic_store(&batch->users, users);
    hx_flight_send(f);
    return batch;
}

static void test_taken(void)
{
    hx_flight f;
    hx_batch *a, *b, *c;

    CHECK_INT(hx_flight_init(&f, batches, COUNT, 1000), 0);
    a = hx_flight_take(&f);
    CHECK(a == &batches[0]);
    CHECK(hx_flight_take(&f) == a); /* not sent: free still */
    CHECK(fly(&f, 10, 0) == a);
    CHECK(fly(&f, 10, 1) == a); /* nobody used it: it is near */
    b = fly(&f, 10, 1);
    c = fly(&f, 10, 2);
    CHECK(a != b && b != c && a != c);
    CHECK_INT(f.bytes, 30);
    atomic_store(&b->users, 0); /* a, which was sent before it, is not done with */
    CHECK(hx_flight_take(&f) != b);
    CHECK_INT(f.bytes, 30);
    atomic_store(&a->users, 0);
    CHECK(hx_flight_take(&f) == b);
    CHECK_INT(f.bytes, 10);
    CHECK(!f.behind);
    atomic_store(&c->users, 0);
    CHECK(hx_flight_take(&f) != NULL);
    CHECK_INT(f.bytes, 0);
    CHECK_INT(f.done, f.sent);
    for (uint32_t i = 0; i < 1000; i++) /* few at once: few are ever touched */
        CHECK(fly(&f, 10, 0) < &batches[3]);
    hx_flight_free(&f);
}

/* A worker that is done with a batch after a while. */
static void *use(void *batch)
{
    const struct timespec moment = {0, 3000000};

    nanosleep(&moment, NULL);
    atomic_store(&((hx_batch *)batch)->users, 0);
    return NULL;
}

/* Everything is taken until the oldest is done with. False where that was so before it was asked.
 */
static bool waits(hx_flight *f, hx_batch *oldest)
{
    pthread_t worker;
    bool waited;

    CHECK_INT(pthread_create(&worker, NULL, use, oldest), 0);
    CHECK(hx_flight_take(f) != NULL);
    waited = f->behind;
    CHECK_INT(pthread_join(worker, NULL), 0);
    CHECK(hx_flight_take(f) != NULL);
    CHECK(!f->behind);
    return waited;
}

static bool waits_for_number(void)
{
    hx_flight f;
    hx_batch *first;
    bool waited;

    CHECK_INT(hx_flight_init(&f, batches, COUNT, 1000), 0);
    first = fly(&f, 1, 1);
    for (uint32_t i = 1; i < COUNT; i++)
        fly(&f, 1, 1);
    CHECK_INT(f.free_count, 0);
    waited = waits(&f, first);
    CHECK_INT(f.free_count, 1);
    hx_flight_free(&f);
    return waited;
}

static bool waits_for_lines(void)
{
    hx_flight f;
    hx_batch *first;
    bool waited;

    CHECK_INT(hx_flight_init(&f, batches, COUNT, 1000), 0);
    first = fly(&f, 400, 1);
    fly(&f, 599, 0);
    CHECK(hx_flight_take(&f) != NULL);
    CHECK(!f.behind);
    fly(&f, 5000000, 0); /* one may be longer than what is left */
    CHECK_INT(f.free_count, COUNT - 3);
    waited = waits(&f, first);
    CHECK_INT(f.free_count, COUNT);
    CHECK_INT(f.bytes, 0);
    hx_flight_free(&f);
    return waited;
}

/* One of many tries is not held up for longer than the worker takes. */
static bool in_some(bool (*try)(void))
{
    for (int i = 0; i < 100; i++) {
        for (uint32_t b = 0; b < COUNT; b++)
            atomic_store(&batches[b].users, 0);
        if (try())
            return true;
    }
    return false;
}

int main(void)
{
    test_taken();
    CHECK(in_some(waits_for_number));
    CHECK(in_some(waits_for_lines));
    return 0;
}
