/* A command of any bytes on the control socket: one line of JSON comes back, and the engine lives.
 */
#include "detect/engine_parts.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An engine that has ended: it answers everything and waits for nothing. */
static hx_engine *ended_engine(void)
{
    static const char *const paths[] = {"/dev/null"};
    const hx_source_config source = {.paths = paths, .path_count = 1};
    hx_engine *e = calloc(1, sizeof *e);
    hx_bundle *bundle = calloc(1, sizeof *bundle);
    hx_error err = {{0}};

    if (!e || !bundle || hx_source_create(&source, &e->source, &err) ||
        hx_stats_create(NULL, "fuzz", 1, hx_worker_stat_defs, HX_WORKER_STATS, hx_engine_stat_defs,
                        HX_ENGINE_STATS, &e->stats, &err))
        abort();
    pthread_mutex_init(&e->bundle_lock, NULL);
    pthread_mutex_init(&e->keeper.lock, NULL);
    atomic_store(&e->bundle, bundle);
    atomic_store(&e->ended, true);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hx_engine *engine;
    hx_text out = {0};
    cJSON *answer, *ok;

    if (!engine)
        engine = ended_engine();
    hx_engine_answer(engine, (const char *)data, size, &out);
    if (out.failed || !out.len || memchr(out.ptr, '\n', out.len) != out.ptr + out.len - 1)
        abort();
    answer = cJSON_ParseWithLength(out.ptr, out.len);
    ok = cJSON_GetObjectItem(answer, "ok");
    if (!cJSON_IsBool(ok) || (cJSON_IsFalse(ok) && !cJSON_GetObjectItem(answer, "error")))
        abort();
    cJSON_Delete(answer);
    hx_text_free(&out);
    return 0;
}
