/* The engine at work: chunks read, handed out, and what is due beside them. */
#include "detect/engine_parts.h"

#include <stdio.h>
#include <time.h>

#define READ_WAIT_MS  100
#define TICK_EVERY_US 1000000
#define VERDICTS_US   60000000 /* from when a session is idle until its alert is surely there */

static uint64_t monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int64_t monotonic_us(void)
{
    return (int64_t)(monotonic_ns() / 1000);
}

static void publish_source(hx_engine *e)
{
    const hx_source_counters *c = hx_source_counters_get(e->source);
    const uint64_t values[] = {
        [HX_ENGINE_SOURCE_BYTES] = c->bytes,
        [HX_ENGINE_TRUNCATED_LINES] = c->truncated_lines,
        [HX_ENGINE_ROTATIONS] = c->rotations,
        [HX_ENGINE_TRUNCATIONS] = c->truncations,
        [HX_ENGINE_READ_ERRORS] = c->read_errors,
        [HX_ENGINE_INPUTS_OPEN] = c->inputs_open,
        [HX_ENGINE_ALERT_RETRIES] = atomic_load(&e->sink.retries),
    };

    for (uint32_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hx_stat_set(hx_stats_value(e->stats, HX_STATS_TOOL, i), values[i]);
}

/* The batch whose turn it is, once every worker is done with what was in it before. */
static hx_batch *next_batch(hx_engine *e)
{
    hx_batch *batch = hx_flight_take(&e->flight);

    batch->chunk = (hx_chunk){0};
    batch->event_count = batch->ruling_count = 0;
    batch->tick_us = HX_TIME_NONE;
    batch->checkpoint = batch->last = batch->close_all = false;
    batch->arrival_time = e->live;
    return batch;
}

/* With nothing to read, event time goes on with the clock, so that idle sessions end. Not while
 * paused: there may be much to read. */
static int64_t tick(hx_engine *e, int64_t now_us)
{
    int64_t latest_us = atomic_load(&e->latest_us);

    if (atomic_load(&e->paused))
        e->last_data_us = now_us;
    if (latest_us == HX_TIME_NONE || !e->live || atomic_load(&e->paused) ||
        now_us - e->last_tick_us < TICK_EVERY_US)
        return HX_TIME_NONE;
    e->last_tick_us = now_us;
    return latest_us + (now_us - e->last_data_us);
}

static bool checkpoint_due(hx_engine *e, int64_t now_us, bool last)
{
    if (!e->config.checkpoint || atomic_load(&e->failed))
        return false;
    return last || atomic_load(&e->checkpoint_wanted) ||
           now_us - e->last_checkpoint_us >= (int64_t)e->config.checkpoint_ms * 1000;
}

static void judge_inline(hx_engine *e, hx_batch *batch)
{
    hx_error err = {{0}};
    int rc = hx_worker_read(e->worker[0], batch, &err);

    if (!rc)
        rc = hx_worker_judge(e->worker[0], batch, &err);
    if (rc)
        hx_engine_fail(e, rc, &err);
    else if (batch->checkpoint)
        hx_keeper_add(e, 0);
}

static void hand_out(hx_engine *e, hx_batch *batch)
{
    const uint64_t number = e->flight.sent;

    hx_flight_send(&e->flight);
    if (e->crew)
        hx_crew_hand_out(e, batch, number);
    else
        judge_inline(e, batch);
}

/* With what the batch is judged. */
static void give_orders(hx_engine *e, hx_batch *batch, const hx_bundle *bundle,
                        const hx_rules *rules)
{
    const hx_error err = {"rules: no memory for what they say of a batch"};

    batch->bundle = bundle;
    batch->rules = rules;
    if (!rules || hx_batch_make_rulings(batch) == 0)
        return;
    batch->rules = NULL;
    hx_engine_fail(e, HX_ENOMEM, &err);
}

static void note_data(hx_engine *e, hx_batch *batch, int64_t now_us)
{
    batch->source = hx_source_input_name(e->source, batch->chunk.input);
    e->last_data_us = now_us;
    e->last_tick_us = now_us;
}

/* Sessions that were open then have ended some time after it, and a tick later they are judged. */
static void note_caught_up(hx_engine *e, const hx_bundle *bundle, int64_t now_us)
{
    if (!e->caught_up_us)
        e->caught_up_us = now_us;
    else if (now_us - e->caught_up_us > bundle->idle_us + VERDICTS_US)
        hx_alert_sink_caught_up(&e->sink);
}

/* Waits for the checkpoint that is being written, so that the last one can begin. */
static void await_keeper(hx_engine *e)
{
    hx_keeper *k = &e->keeper;

    pthread_mutex_lock(&k->lock);
    /* A worker that failed adds no part: then nothing will be written. */
    while (k->busy && k->started && (k->ready || !atomic_load(&e->failed))) {
        pthread_mutex_unlock(&k->lock);
        hx_engine_nap();
        pthread_mutex_lock(&k->lock);
    }
    pthread_mutex_unlock(&k->lock);
}

/* What there is to read. After a stop: what waits in the network's sockets, so that a storm that
 * has ended is judged to its end. */
static int read_source(hx_engine *e, hx_batch *batch, bool stopping)
{
    if (stopping)
        return atomic_load(&e->failed)
                   ? HX_EEND
                   : hx_source_drain(e->source, batch->buffer, batch->capacity, &batch->chunk);
    if (atomic_load(&e->paused)) {
        hx_engine_nap();
        return HX_EAGAIN;
    }
    hx_source_behind(e->source, e->flight.behind);
    return hx_source_read(e->source, batch->buffer, batch->capacity, e->live ? READ_WAIT_MS : 0,
                          &batch->chunk);
}

/* One batch: what there is to read, or an order, or nothing. Returns false after the last. */
static bool turn(hx_engine *e, uint64_t epoch_sent[2])
{
    hx_batch *batch = next_batch(e);
    /* Once: a checkpoint must name the log keys of the bundle that its batch is judged with. */
    const hx_bundle *bundle = atomic_load(&e->bundle);
    const hx_rules *rules = atomic_load(&e->rules);
    bool stopping = atomic_load(&e->stopping);
    int rc = read_source(e, batch, stopping);
    int64_t now_us;

    give_orders(e, batch, bundle, rules);
    now_us = monotonic_us();
    if (rc == 0) {
        note_data(e, batch, now_us);
    } else if (rc == HX_EAGAIN) {
        batch->tick_us = tick(e, now_us);
        note_caught_up(e, bundle, now_us);
    } else {
        batch->last = true;
    }
    batch->close_all = batch->last && !stopping && e->config.close_at_end;
    if (batch->last)
        await_keeper(e);
    if (checkpoint_due(e, now_us, batch->last)) {
        batch->checkpoint = hx_keeper_begin(e, bundle);
        if (batch->checkpoint) {
            e->last_checkpoint_us = now_us;
            atomic_store(&e->checkpoint_wanted, false);
        }
    }
    publish_source(e);
    hx_network_publish(e, now_us, false);
    if (rc == 0 || batch->tick_us != HX_TIME_NONE || batch->last || batch->checkpoint ||
        bundle->epoch != epoch_sent[0] || hx_rules_epoch(rules) != epoch_sent[1]) {
        epoch_sent[0] = bundle->epoch;
        epoch_sent[1] = hx_rules_epoch(rules);
        if (rc)
            batch->chunk.arrival_us = hx_engine_now_us();
        hand_out(e, batch);
    }
    return !batch->last;
}

/* Before the first line: a crash before the next one must not report again what was reported since.
 */
static void first_checkpoint(hx_engine *e)
{
    hx_batch *batch = next_batch(e);

    give_orders(e, batch, atomic_load(&e->bundle), atomic_load(&e->rules));
    batch->chunk.arrival_us = hx_engine_now_us();
    batch->checkpoint = hx_keeper_begin(e, batch->bundle);
    if (!batch->checkpoint)
        return;
    hand_out(e, batch);
    await_keeper(e);
}

int hx_engine_run(hx_engine *engine, hx_error *err)
{
    uint64_t epoch_sent[2] = {0, 0}; /* of the bundle and of the rules */
    int rc = 0;

    atomic_store(&engine->started_ns, monotonic_ns());
    engine->last_checkpoint_us = engine->last_data_us = engine->last_tick_us = monotonic_us();
    if (engine->crew) {
        rc = hx_crew_start(engine, err);
        if (rc)
            hx_engine_fail(engine, rc, err);
    } else {
        hx_crew_pin(engine, 0);
    }
    atomic_store(&engine->running, rc == 0);
    if (!rc && engine->config.checkpoint && !engine->resumed)
        first_checkpoint(engine);
    while (!rc && turn(engine, epoch_sent))
        ;
    if (engine->crew)
        hx_crew_join(engine);
    await_keeper(engine);
    atomic_store(&engine->ended_ns, monotonic_ns());
    atomic_store(&engine->running, false);
    atomic_store(&engine->ended, true);
    publish_source(engine);
    hx_network_publish(engine, 0, true);
    if (atomic_load(&engine->failed)) {
        *err = engine->error;
        return engine->error_code;
    }
    return 0;
}
