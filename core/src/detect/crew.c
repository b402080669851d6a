/* Several workers: each has a thread, reads every W-th batch and judges its part of all of them. */
#include "detect/engine_parts.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

/* A worker with nothing to do spins a little, then gives its core away, then sleeps: a
 * millisecond's fraction late at the worst, and idle when the input is. */
static void wait_a_little(uint32_t *idle)
{
    const struct timespec nap = {0, 100000};

    if (++*idle < 64)
        atomic_signal_fence(memory_order_seq_cst);
    else if (*idle < 128)
        sched_yield();
    else
        nanosleep(&nap, NULL);
}

typedef struct crew_seat {
    hx_engine *engine;
    uint32_t index;
} crew_seat;

static bool read_next(hx_engine *e, uint32_t index)
{
    hx_batch *batch = hx_ring_pop(&e->crew[index].to_read);
    hx_error err = {{0}};
    int rc;

    if (!batch)
        return false;
    rc = hx_worker_read(e->worker[index], batch, &err);
    if (rc) {
        batch->event_count = 0;
        hx_engine_fail(e, rc, &err);
    }
    /* Never full: a ring has room for all batches there are. */
    for (uint32_t owner = 0; owner < e->config.workers; owner++)
        hx_ring_push(&e->crew[owner].to_judge[index], batch);
    return true;
}

/* The batch whose turn it is, if its reader is done with it. *last: it was the final one. */
static bool judge_next(hx_engine *e, uint32_t index, uint64_t *number, bool *last)
{
    hx_batch *batch = hx_ring_pop(&e->crew[index].to_judge[*number % e->config.workers]);
    hx_error err = {{0}};
    int rc = 0;

    if (!batch)
        return false;
    if (!atomic_load_explicit(&e->failed, memory_order_relaxed))
        rc = hx_worker_judge(e->worker[index], batch, &err);
    if (rc)
        hx_engine_fail(e, rc, &err);
    if (batch->checkpoint && !atomic_load(&e->failed))
        hx_keeper_add(e, index);
    *last = batch->last;
    atomic_fetch_sub_explicit(&batch->users, 1, memory_order_release);
    ++*number;
    return true;
}

static void *work(void *arg)
{
    crew_seat seat = *(crew_seat *)arg;
    uint64_t number = 0;
    uint32_t idle = 0;
    bool last = false;

    free(arg);
    hx_crew_pin(seat.engine, seat.index);
    while (!last) {
        bool did = read_next(seat.engine, seat.index);

        /* Not every thread could be started: there will be no last batch. */
        if (atomic_load(&seat.engine->failed) && !atomic_load(&seat.engine->running))
            break;
        did |= judge_next(seat.engine, seat.index, &number, &last);
        if (did)
            idle = 0;
        else
            wait_a_little(&idle);
    }
    return NULL;
}

int hx_crew_create(hx_engine *engine, hx_error *err)
{
    const uint32_t n = engine->config.workers;

    engine->crew = calloc(n, sizeof *engine->crew);
    if (!engine->crew)
        return hx_error_set(err, HX_ENOMEM, "workers: out of memory");
    for (uint32_t w = 0; w < n; w++) {
        int rc = hx_ring_init(&engine->crew[w].to_read, engine->batch_count);

        for (uint32_t i = 0; i < n && !rc; i++)
            rc = hx_ring_init(&engine->crew[w].to_judge[i], engine->batch_count);
        if (rc)
            return hx_error_set(err, rc, "workers: out of memory");
    }
    return 0;
}

void hx_crew_destroy(hx_engine *engine)
{
    if (!engine->crew)
        return;
    for (uint32_t w = 0; w < engine->config.workers; w++) {
        hx_ring_free(&engine->crew[w].to_read);
        for (uint32_t i = 0; i < engine->config.workers; i++)
            hx_ring_free(&engine->crew[w].to_judge[i]);
    }
    free(engine->crew);
    engine->crew = NULL;
}

int hx_crew_start(hx_engine *engine, hx_error *err)
{
    for (uint32_t w = 0; w < engine->config.workers; w++) {
        crew_seat *seat = malloc(sizeof *seat);

        if (seat)
            *seat = (crew_seat){engine, w};
        if (!seat || pthread_create(&engine->crew[w].thread, NULL, work, seat) != 0) {
            free(seat);
            return hx_error_set(err, HX_EIO, "workers: cannot start thread %u", w);
        }
        engine->crew[w].started = true;
    }
    return 0;
}

void hx_crew_hand_out(hx_engine *engine, hx_batch *batch, uint64_t number)
{
    atomic_store_explicit(&batch->users, engine->config.workers, memory_order_relaxed);
    hx_ring_push(&engine->crew[number % engine->config.workers].to_read, batch);
}

void hx_crew_join(hx_engine *engine)
{
    for (uint32_t w = 0; w < engine->config.workers; w++) {
        if (!engine->crew[w].started)
            continue;
        pthread_join(engine->crew[w].thread, NULL);
        engine->crew[w].started = false;
    }
}

void hx_crew_pin(const hx_engine *engine, uint32_t worker)
{
    cpu_set_t set;

    if (!engine->config.pin_count)
        return;
    CPU_ZERO(&set);
    CPU_SET(engine->config.pin[worker % engine->config.pin_count], &set);
    /* A processor that is not there was refused when the configuration was checked; a later refusal
     * (a cgroup that shrank) only costs speed. */
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}
