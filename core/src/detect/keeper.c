#include "detect/engine_parts.h"

#include <stdio.h>
#include <stdlib.h>

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

bool hx_keeper_begin(hx_engine *engine)
{
    hx_keeper *k = &engine->keeper;
    hx_checkpoint *c = &k->making;
    const hx_bundle *b = atomic_load(&engine->bundle);
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
    hx_text_bytes(&c->keys, b->key_hash, b->log_keys * sizeof *b->key_hash);
    memcpy(c->digest, b->digest, sizeof c->digest);
    if (c->position.failed || c->keys.failed || !c->worker) {
        pthread_mutex_lock(&k->lock);
        k->busy = false;
        k->failed++;
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

int hx_keeper_restore(hx_engine *engine, hx_error *err)
{
    hx_checkpoint c;
    hx_error missing = {{0}};
    int rc = hx_checkpoint_read(engine->config.checkpoint, &c, err);

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
    for (uint32_t w = 0; w < engine->config.workers && !rc; w++)
        for (uint32_t part = 0; part < c.worker_count && !rc; part++)
            rc = hx_worker_load(engine->worker[w], c.worker[part].ptr, c.worker[part].len,
                                (const uint64_t *)(const void *)c.keys.ptr,
                                (uint32_t)(c.keys.len / sizeof(uint64_t)), err);
    hx_checkpoint_free(&c);
    return rc;
}
