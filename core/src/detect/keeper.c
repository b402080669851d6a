#include "detect/engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

static void *keep(void *arg)
{
    hx_engine *e = arg;
    hx_keeper *k = &e->keeper;

    pthread_mutex_lock(&k->lock);
    for (;;) {
        hx_error err = {{0}};
        int rc;

        while (!k->ready && !k->quit)
            pthread_cond_wait(&k->changed, &k->lock);
        if (!k->ready)
            break;
        pthread_mutex_unlock(&k->lock);
        hx_alert_sink_sync(&e->sink);
        rc = hx_checkpoint_write(&k->making, e->config.checkpoint, &err);
        pthread_mutex_lock(&k->lock);
        if (rc) {
            if (k->failed++ == 0 || strcmp(err.text, k->last_error.text) != 0)
                fprintf(stderr, "haechi-detect: %s: the checkpoint before it stays\n", err.text);
            k->last_error = err;
            hx_stat_set(hx_stats_value(e->stats, HX_STATS_TOOL, HX_ENGINE_CHECKPOINT_ERRORS),
                        k->failed);
        } else {
            k->written++;
            k->last_error.text[0] = 0;
            hx_stat_set(hx_stats_value(e->stats, HX_STATS_TOOL, HX_ENGINE_CHECKPOINTS), k->written);
        }
        hx_checkpoint_free(&k->making);
        k->ready = k->busy = false;
        pthread_cond_broadcast(&k->changed);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

int hx_keeper_start(hx_engine *engine, hx_error *err)
{
    hx_keeper *k = &engine->keeper;

    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    if (!engine->config.checkpoint)
        return 0;
    if (pthread_create(&k->thread, NULL, keep, engine) != 0)
        return hx_error_set(err, HX_EIO, "checkpoint: cannot start a thread");
    k->started = true;
    return 0;
}

void hx_keeper_stop(hx_engine *engine)
{
    hx_keeper *k = &engine->keeper;

    if (!k->started)
        return;
    pthread_mutex_lock(&k->lock);
    k->quit = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    k->started = false;
    hx_checkpoint_free(&k->making);
}

/* The names of all inputs in the order of their numbers: in the next run they have others. */
static void put_inputs(const hx_source *source, hx_text *out)
{
    const char *name;

    for (uint32_t i = 0; (name = hx_source_input_name(source, i)) != NULL; i++)
        hx_text_bytes(out, name, strlen(name) + 1);
}

bool hx_keeper_begin(hx_engine *engine, const hx_bundle *bundle)
{
    hx_keeper *k = &engine->keeper;
    hx_checkpoint *c = &k->making;
    char *position = NULL;
    size_t position_len = 0;

    pthread_mutex_lock(&k->lock);
    if (k->busy) {
        pthread_mutex_unlock(&k->lock);
        return false;
    }
    k->busy = true;
    pthread_mutex_unlock(&k->lock);
    hx_checkpoint_free(c);
    c->worker = calloc(engine->config.workers, sizeof *c->worker);
    if (c->worker && hx_source_position_save(engine->source, &position, &position_len) == 0)
        hx_text_bytes(&c->position, position, position_len);
    else
        c->position.failed = true;
    free(position);
    c->worker_count = c->worker ? engine->config.workers : 0;
    c->alert_position = hx_alert_sink_position(&engine->sink);
    hx_text_bytes(&c->keys, bundle->key_hash, bundle->log_keys * sizeof *bundle->key_hash);
    memcpy(c->digest, bundle->digest, sizeof c->digest);
    put_inputs(engine->source, &c->inputs);
    if (c->position.failed || c->keys.failed || c->inputs.failed || !c->worker) {
        pthread_mutex_lock(&k->lock);
        k->busy = false;
        k->failed++;
        hx_error_set(&k->last_error, HX_ENOMEM, "checkpoint: out of memory");
        pthread_mutex_unlock(&k->lock);
        return false;
    }
    atomic_store(&k->missing, engine->config.workers);
    return true;
}

void hx_keeper_add(hx_engine *engine, uint32_t worker)
{
    hx_keeper *k = &engine->keeper;

    hx_worker_save(engine->worker[worker], &k->making.worker[worker]);
    if (atomic_fetch_sub(&k->missing, 1) != 1)
        return;
    pthread_mutex_lock(&k->lock);
    k->ready = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

static uint32_t input_named(const hx_source *source, const char *name)
{
    const char *have;

    for (uint32_t i = 0; (have = hx_source_input_name(source, i)) != NULL; i++)
        if (strcmp(have, name) == 0)
            return i;
    return UINT32_MAX;
}

/* What a number of the checkpoint's inputs is now; UINT32_MAX where that input is gone. To be
 * freed; NULL when out of memory. */
static uint32_t *map_inputs(const hx_source *source, const hx_text *inputs, uint32_t *count)
{
    uint32_t *map = calloc(inputs->len + 1, sizeof *map), n = 0;

    for (size_t at = 0; map && at < inputs->len; at += strlen(inputs->ptr + at) + 1)
        map[n++] = input_named(source, inputs->ptr + at);
    *count = n;
    return map;
}

static int restore_workers(hx_engine *engine, const hx_checkpoint *c, hx_error *err)
{
    hx_saved_numbers numbers = {
        .key_hash = (const uint64_t *)(const void *)c->keys.ptr,
        .key_count = (uint32_t)(c->keys.len / sizeof(uint64_t)),
    };
    uint32_t *inputs = map_inputs(engine->source, &c->inputs, &numbers.input_count);
    int rc = inputs ? 0 : hx_error_set(err, HX_ENOMEM, "checkpoint: out of memory");

    numbers.input = inputs;
    for (uint32_t w = 0; w < engine->config.workers && !rc; w++)
        for (uint32_t part = 0; part < c->worker_count && !rc; part++)
            rc = hx_worker_load(engine->worker[w], c->worker[part].ptr, c->worker[part].len,
                                &numbers, err);
    free(inputs);
    return rc;
}

/* Two engines with one checkpoint would each undo what the other did. The lock is the kernel's and
 * ends with the process, however that ends. Where its file cannot be made, writing the checkpoint
 * will say why. */
static int lock_checkpoint(hx_engine *engine, hx_error *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%s.lock", engine->config.checkpoint);
    engine->checkpoint_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (engine->checkpoint_lock >= 0 && flock(engine->checkpoint_lock, LOCK_EX | LOCK_NB) != 0 &&
        errno == EWOULDBLOCK)
        return hx_error_set(err, HX_EINVAL, "checkpoint: %s is in use by another engine",
                            engine->config.checkpoint);
    return 0;
}

int hx_keeper_restore(hx_engine *engine, hx_error *err)
{
    hx_checkpoint c;
    hx_error missing = {{0}};
    int rc = lock_checkpoint(engine, err);

    if (rc)
        return rc;
    rc = hx_checkpoint_read(engine->config.checkpoint, &c, err);
    if (rc == HX_ENOTFOUND)
        return 0;
    if (rc)
        return rc;
    rc = hx_source_position_load(engine->source, c.position.ptr, c.position.len, &missing);
    if (rc)
        *err = missing;
    else if (missing.text[0])
        fprintf(stderr, "haechi-detect: %s\n", missing.text);
    if (!rc)
        rc = hx_alert_sink_resume(&engine->sink, engine->config.alerts, c.alert_position, err);
    if (!rc)
        rc = restore_workers(engine, &c, err);
    engine->resumed = !rc;
    hx_checkpoint_free(&c);
    return rc;
}
