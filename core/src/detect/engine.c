#include "detect/engine_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Batches on the way at once: enough that neither the reader nor a worker waits for the other's
 * hiccups; more only makes the engine larger. A worker's part of the batches; and how many of full
 * length there may be, one that is being filled and one that is just too much among them. */
#define BATCHES_PER_WORKER 32
#define FULL_PER_WORKER    3
#define BATCHES_MOST       256

const hx_stat_def hx_engine_stat_defs[HX_ENGINE_STATS] = {
    [HX_ENGINE_SOURCE_BYTES] = {"source_bytes", HX_STAT_COUNTER},
    [HX_ENGINE_TRUNCATED_LINES] = {"truncated_lines", HX_STAT_COUNTER},
    [HX_ENGINE_ROTATIONS] = {"rotations", HX_STAT_COUNTER},
    [HX_ENGINE_TRUNCATIONS] = {"truncations", HX_STAT_COUNTER},
    [HX_ENGINE_READ_ERRORS] = {"read_errors", HX_STAT_COUNTER},
    [HX_ENGINE_INPUTS_OPEN] = {"inputs_open", HX_STAT_GAUGE},
    [HX_ENGINE_ALERT_RETRIES] = {"alert_write_retries", HX_STAT_COUNTER},
    [HX_ENGINE_BUNDLE_LOADS] = {"bundle_loads", HX_STAT_COUNTER},
    [HX_ENGINE_RULE_LOADS] = {"rule_loads", HX_STAT_COUNTER},
    [HX_ENGINE_RULES] = {"rules", HX_STAT_GAUGE},
    [HX_ENGINE_CHECKPOINTS] = {"checkpoints", HX_STAT_COUNTER},
    [HX_ENGINE_CHECKPOINT_ERRORS] = {"checkpoint_errors", HX_STAT_COUNTER},
    [HX_ENGINE_PAUSED] = {"paused", HX_STAT_GAUGE},
    /* What the account says was lost can shrink: what is under way is missing for a moment. */
    [HX_ENGINE_NET_RECEIVED] = {"net_received", HX_STAT_COUNTER},
    [HX_ENGINE_NET_BYTES] = {"net_bytes", HX_STAT_COUNTER},
    [HX_ENGINE_NET_CONTROLS] = {"net_controls", HX_STAT_COUNTER},
    [HX_ENGINE_NET_SENT] = {"net_sent", HX_STAT_COUNTER},
    [HX_ENGINE_NET_SHED] = {"net_shed", HX_STAT_COUNTER},
    [HX_ENGINE_NET_KERNEL_DROPPED] = {"net_kernel_dropped", HX_STAT_GAUGE},
    [HX_ENGINE_NET_KERNEL_DROPPED_BUFFERS] = {"net_kernel_dropped_buffers", HX_STAT_COUNTER},
    [HX_ENGINE_NET_LOST_ELSEWHERE] = {"net_lost_elsewhere", HX_STAT_GAUGE},
    [HX_ENGINE_NET_TRUNCATED] = {"net_truncated", HX_STAT_COUNTER},
    [HX_ENGINE_NET_EMPTY] = {"net_empty", HX_STAT_COUNTER},
    [HX_ENGINE_NET_BAD_FRAMING] = {"net_bad_framing", HX_STAT_COUNTER},
    [HX_ENGINE_NET_CLIENTS] = {"net_clients", HX_STAT_COUNTER},
    [HX_ENGINE_NET_REFUSED] = {"net_refused", HX_STAT_COUNTER},
    [HX_ENGINE_NET_TLS_FAILED] = {"net_tls_failed", HX_STAT_COUNTER},
};

int64_t hx_engine_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- making ------------------------------------------------------------------------------------
 */

static int check_config(const hx_engine_config *c, hx_error *err)
{
    long processors = sysconf(_SC_NPROCESSORS_CONF);

    if (!c->bundle)
        return hx_error_set(err, HX_EINVAL, "bundle: a directory is needed");
    if (c->workers < 1 || c->workers > HX_WORKERS_MAX)
        return hx_error_set(err, HX_EINVAL, "workers: %u is not within 1 to %d", c->workers,
                            HX_WORKERS_MAX);
    if (c->batch_bytes < 4096 || c->batch_bytes > (16u << 20))
        return hx_error_set(err, HX_EINVAL, "batch_bytes: %u is not within 4096 to 16777216",
                            c->batch_bytes);
    if (c->memo_entries < 4 || c->memo_entries > (1u << 26))
        return hx_error_set(err, HX_EINVAL, "memo_entries: %u is not within 4 to 67108864",
                            c->memo_entries);
    if (c->max_shapes < 1 || c->max_shapes > (1u << 22))
        return hx_error_set(err, HX_EINVAL, "novelty.max_shapes: %u is not within 1 to 4194304",
                            c->max_shapes);
    for (uint32_t i = 0; i < c->pin_count; i++)
        if (processors > 0 && c->pin[i] >= (uint32_t)processors)
            return hx_error_set(err, HX_EINVAL,
                                "pin: processor %u is not there: this machine has %ld", c->pin[i],
                                processors);
    return 0;
}

static int make_batches(hx_engine *e, hx_error *err)
{
    const uint32_t workers = e->config.workers;

    e->batch_count = workers == 1 ? 1 : BATCHES_PER_WORKER * workers;
    e->batch_count = e->batch_count < BATCHES_MOST ? e->batch_count : BATCHES_MOST;
    e->batches = calloc(e->batch_count, sizeof *e->batches);
    if (!e->batches)
        return hx_error_set(err, HX_ENOMEM, "engine: out of memory");
    for (uint32_t i = 0; i < e->batch_count; i++)
        if (hx_batch_init(&e->batches[i], e->config.batch_bytes, workers))
            return hx_error_set(err, HX_ENOMEM, "engine: no memory for %u batches of %u bytes",
                                e->batch_count, e->config.batch_bytes);
    if (hx_flight_init(&e->flight, e->batches, e->batch_count,
                       ((uint64_t)FULL_PER_WORKER * workers - 2) * e->config.batch_bytes))
        return hx_error_set(err, HX_ENOMEM, "engine: out of memory");
    return 0;
}

static int make_workers(hx_engine *e, hx_error *err)
{
    const hx_engine_config *c = &e->config;
    int rc;

    if (hx_intern_init(&e->host_numbers, HX_HOST_NUMBERS) ||
        hx_intern_init(&e->process_numbers, HX_PROCESS_NUMBERS))
        return hx_error_set(err, HX_ENOMEM, "engine: no memory for the names of hosts");
    e->shared = (hx_worker_shared){
        .workers = c->workers,
        .memo_entries = c->memo_entries,
        .max_shapes = c->max_shapes,
        .max_model_windows = c->max_model_windows,
        .ml_share = c->ml_budget / c->workers,
        .alerts_per_second = e->live ? (c->alerts_per_second + c->workers - 1) / c->workers : 0,
        .repeat_us = c->repeat_us,
        .judge_torn = c->judge_torn,
        .sink = &e->sink,
        .stats = e->stats,
        .source = e->source,
        .give_up = &e->stopping,
        .latest_us = &e->latest_us,
        .host_numbers = &e->host_numbers,
        .process_numbers = &e->process_numbers,
    };
    for (uint32_t w = 0; w < c->workers; w++) {
        rc = hx_worker_create(&e->shared, w, atomic_load(&e->bundle), &e->worker[w], err);
        if (rc)
            return rc;
    }
    return c->workers > 1 ? hx_crew_create(e, err) : 0;
}

static int open_source(hx_engine *e, hx_error *err)
{
    hx_error said = {{0}};
    int rc = hx_source_create(&e->config.source, &e->source, &said);

    if (rc)
        return hx_error_set(err, rc, "%s", said.text);
    if (said.text[0])
        fprintf(stderr, "haechi-detect: %s\n", said.text);
    return hx_network_create(e, err);
}

static int assemble(hx_engine *e, hx_error *err)
{
    const hx_engine_config *c = &e->config;
    hx_bundle *bundle = NULL;
    int rc = check_config(c, err);

    if (!rc)
        rc = hx_bundle_load(c->bundle, &e->bundle_options, &bundle, err);
    atomic_store(&e->bundle, bundle);
    if (!rc)
        rc = open_source(e, err);
    if (!rc)
        rc = hx_alert_sink_open(&e->sink, c->alerts, err);
    e->sink_open = !rc;
    if (!rc)
        rc = hx_stats_create(c->stats_page, "haechi-detect", c->workers, hx_worker_stat_defs,
                             HX_WORKER_STATS, hx_engine_stat_defs, HX_ENGINE_STATS, &e->stats, err);
    if (!rc)
        rc = make_batches(e, err);
    if (!rc)
        rc = make_workers(e, err);
    if (!rc && c->rules)
        rc = hx_engine_first_rules(e, err);
    if (!rc && c->checkpoint)
        rc = hx_keeper_restore(e, err);
    if (!rc)
        rc = hx_keeper_start(e, err);
    if (!rc && c->control_socket)
        rc = hx_control_create_slow(c->control_socket, hx_engine_answer, hx_engine_is_slow, e,
                                    &e->control, err);
    return rc;
}

int hx_engine_create(const hx_engine_config *config, hx_engine **out, hx_error *err)
{
    hx_engine *e = calloc(1, sizeof *e);
    int rc;

    if (!e)
        return hx_error_set(err, HX_ENOMEM, "engine: out of memory");
    e->config = *config;
    e->bundle_options = (hx_bundle_options){config->onnxruntime, config->format, config->workers};
    e->checkpoint_lock = -1;
    atomic_store(&e->latest_us, HX_TIME_NONE);
    pthread_mutex_init(&e->bundle_lock, NULL);
    pthread_mutex_init(&e->in_use_lock, NULL);
    pthread_mutex_init(&e->error_lock, NULL);
    rc = assemble(e, err);
    if (rc) {
        hx_engine_destroy(e);
        return rc;
    }
    *out = e;
    return 0;
}

void hx_engine_destroy(hx_engine *engine)
{
    if (!engine)
        return;
    atomic_store(&engine->ended, true); /* a command that waits for the engine waits no longer */
    hx_control_destroy(engine->control);
    hx_keeper_stop(engine);
    if (engine->checkpoint_lock >= 0)
        close(engine->checkpoint_lock);
    hx_crew_destroy(engine);
    for (uint32_t w = 0; w < engine->config.workers && w < HX_WORKERS_MAX; w++)
        hx_worker_destroy(engine->worker[w]);
    hx_intern_free(&engine->host_numbers);
    hx_intern_free(&engine->process_numbers);
    for (uint32_t i = 0; engine->batches && i < engine->batch_count; i++)
        hx_batch_free(&engine->batches[i], engine->config.workers);
    free(engine->batches);
    hx_flight_free(&engine->flight);
    hx_source_destroy(engine->source);
    free(engine->ports);
    if (engine->sink_open)
        hx_alert_sink_close(&engine->sink);
    hx_stats_destroy(engine->stats);
    hx_bundle_destroy(engine->retired);
    hx_bundle_destroy(atomic_load(&engine->bundle));
    hx_rules_destroy(engine->retired_rules);
    hx_rules_destroy(atomic_load(&engine->rules));
    free(engine);
}

/* --- control -----------------------------------------------------------------------------------
 */

void hx_engine_stop(hx_engine *engine)
{
    atomic_store(&engine->stopping, true);
    hx_source_wake(engine->source);
}

void hx_engine_fail(hx_engine *engine, int code, const hx_error *err)
{
    pthread_mutex_lock(&engine->error_lock);
    if (!atomic_load(&engine->failed)) {
        engine->error = *err;
        engine->error_code = code;
        atomic_store(&engine->failed, true);
    }
    pthread_mutex_unlock(&engine->error_lock);
    hx_engine_stop(engine);
}

void hx_engine_pause(hx_engine *engine, bool paused)
{
    atomic_store(&engine->paused, paused);
    hx_stat_set(hx_stats_value(engine->stats, HX_STATS_TOOL, HX_ENGINE_PAUSED), paused);
    hx_source_wake(engine->source);
}

void hx_engine_nap(void)
{
    const struct timespec ms = {0, 1000000};

    nanosleep(&ms, NULL);
}

static bool everyone_at(hx_engine *e, uint64_t epoch)
{
    for (uint32_t w = 0; w < e->config.workers; w++)
        if (hx_worker_epoch(e->worker[w]) < epoch)
            return false;
    return true;
}

int hx_engine_load_bundle(hx_engine *engine, const char *directory, hx_error *err)
{
    hx_bundle *next = NULL, *old;
    uint64_t epoch;
    int rc;

    pthread_mutex_lock(&engine->bundle_lock);
    rc = atomic_load(&engine->ended)
             ? hx_error_set(err, HX_EEND, "the engine has ended")
             : hx_bundle_load(directory, &engine->bundle_options, &next, err);
    if (rc) {
        pthread_mutex_unlock(&engine->bundle_lock);
        return rc;
    }
    epoch = next->epoch = atomic_load(&engine->bundle)->epoch + 1;
    old = atomic_exchange(&engine->bundle, next);
    hx_source_wake(engine->source);
    while (!everyone_at(engine, epoch) && !atomic_load(&engine->ended))
        hx_engine_nap();
    if (everyone_at(engine, epoch)) {
        hx_stat_add(hx_stats_value(engine->stats, HX_STATS_TOOL, HX_ENGINE_BUNDLE_LOADS), 1);
        pthread_mutex_lock(&engine->in_use_lock);
        hx_bundle_destroy(old);
        pthread_mutex_unlock(&engine->in_use_lock);
    } else {
        /* The engine ended meanwhile; its workers may still hold the old one. */
        hx_bundle_destroy(engine->retired);
        engine->retired = old;
        rc = hx_error_set(err, HX_EEND, "the engine ended before it took up %s", directory);
    }
    pthread_mutex_unlock(&engine->bundle_lock);
    return rc;
}

int hx_engine_checkpoint(hx_engine *engine, hx_error *err)
{
    hx_keeper *k = &engine->keeper;
    uint64_t before, failed;

    if (!engine->config.checkpoint)
        return hx_error_set(err, HX_EINVAL, "checkpoint: none is configured");
    pthread_mutex_lock(&k->lock);
    while (k->busy && !atomic_load(&engine->ended)) {
        pthread_mutex_unlock(&k->lock);
        hx_engine_nap();
        pthread_mutex_lock(&k->lock);
    }
    before = k->written;
    failed = k->failed;
    pthread_mutex_unlock(&k->lock);
    atomic_store(&engine->checkpoint_wanted, true);
    hx_source_wake(engine->source);
    for (;;) {
        int rc = HX_EAGAIN;

        pthread_mutex_lock(&k->lock);
        if (k->written > before)
            rc = 0;
        else if (k->failed > failed)
            rc = hx_error_set(err, HX_EIO, "%s", k->last_error.text);
        pthread_mutex_unlock(&k->lock);
        if (rc != HX_EAGAIN)
            return rc;
        if (atomic_load(&engine->ended))
            return hx_error_set(err, HX_EEND, "the engine ended before the checkpoint");
        hx_engine_nap();
    }
}
