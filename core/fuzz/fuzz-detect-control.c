/* A command of any bytes on the control socket: one line of JSON comes back, and the engine lives.
 */
#include "detect/engine_parts.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char templates[] =
    "{\"format\": 1, \"max_tokens\": 8, \"templates\": ["
    "{\"text\": \"user <*> in\", \"count\": 2, \"example\": \"user a in\", "
    "\"tokens\": [\"user\", \"<*>\", \"in\"]}, "
    "{\"text\": \"gone\", \"count\": 1, \"example\": \"gone\", \"tokens\": [\"gone\"]}]}";

/* What it asks a bundle for: the templates, and lines of each kind that were counted. */
static void fill_bundle(hx_bundle *bundle)
{
    static const char line[] = "user \xed\x95\xb4 in\t\x1b";
    const hx_line_place place = {.at_us = 1};
    hx_error err = {{0}};

    if (hx_matcher_create(templates, sizeof templates - 1, &bundle->matcher, &err) ||
        hx_tally_create(2, 2, &bundle->tally))
        abort();
    bundle->log_keys = 2;
    hx_tally_count(hx_tally_counts(bundle->tally, 0), 0);
    hx_tally_count(hx_tally_counts(bundle->tally, 1), HX_KEY_UNSEEN);
    hx_tally_show(bundle->tally, 0, &place, hx_slice_make(line, sizeof line - 1));
}

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
    fill_bundle(bundle);
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
