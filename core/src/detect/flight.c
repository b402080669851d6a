#include "detect/flight.h"

#include <stdlib.h>
#include <time.h>

/* While as much is on its way as may be, the reader looks again after a part of the time that all
 * of it takes, which is 2 to 5 ns a byte: each look takes a processor from a worker. */
#define BYTES_A_NS     2
#define PAUSE_LEAST_NS 20000
#define PAUSE_MOST_NS  1000000

int hx_flight_init(hx_flight *flight, hx_batch *batches, uint32_t count, uint64_t bytes_most)
{
    *flight = (hx_flight){.count = count, .bytes_most = bytes_most};
    flight->free = calloc(count, sizeof(hx_batch *));
    flight->on_way = calloc(count, sizeof(hx_batch *));
    if (!flight->free || !flight->on_way) {
        hx_flight_free(flight);
        return HX_ENOMEM;
    }
    while (flight->free_count < count) {
        flight->free[flight->free_count] = &batches[count - 1 - flight->free_count];
        flight->free_count++;
    }
    return 0;
}

void hx_flight_free(hx_flight *flight)
{
    free(flight->free);
    free(flight->on_way);
    *flight = (hx_flight){0};
}

static void land(hx_flight *f)
{
    for (; f->done != f->sent; f->done++) {
        hx_batch *batch = f->on_way[f->done % f->count];

        if (atomic_load_explicit(&batch->users, memory_order_acquire))
            return;
        f->bytes -= batch->chunk.length;
        f->free[f->free_count++] = batch;
    }
}

static bool is_full(const hx_flight *f)
{
    return !f->free_count || f->bytes >= f->bytes_most;
}

hx_batch *hx_flight_take(hx_flight *flight)
{
    hx_flight *f = flight;

    land(f);
    f->behind = is_full(f);
    while (is_full(f)) {
        uint64_t ns = f->bytes / BYTES_A_NS;
        struct timespec pause = {0, PAUSE_LEAST_NS};

        if (ns > PAUSE_LEAST_NS)
            pause.tv_nsec = ns < PAUSE_MOST_NS ? (long)ns : PAUSE_MOST_NS;
        nanosleep(&pause, NULL);
        land(f);
    }
    return f->free[f->free_count - 1];
}

void hx_flight_send(hx_flight *flight)
{
    hx_flight *f = flight;
    hx_batch *batch = f->free[--f->free_count];

    f->on_way[f->sent++ % f->count] = batch;
    f->bytes += batch->chunk.length;
}
