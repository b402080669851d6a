/* The rules that are in force: taken up, changed while lines go on, asked about. */
#include "detect/engine_parts.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <time.h>

#define SHOWN     100
#define SHOWN_MAX 1000

static void publish(hx_engine *e, const hx_rules *rules)
{
    hx_stat_set(hx_stats_value(e->stats, HX_STATS_TOOL, HX_ENGINE_RULES),
                rules ? hx_rules_count(rules) : 0);
}

int hx_engine_first_rules(hx_engine *engine, hx_error *err)
{
    hx_rules *rules;
    int rc = hx_rules_load(engine->config.rules, engine->config.workers, &rules, err);

    if (rc)
        return rc;
    hx_rules_number(rules, 1);
    atomic_store(&engine->rules, rules);
    publish(engine, rules);
    return 0;
}

static bool everyone_at(hx_engine *e, uint64_t epoch)
{
    for (uint32_t w = 0; w < e->config.workers; w++)
        if (hx_worker_rules_epoch(e->worker[w]) < epoch)
            return false;
    return true;
}

/* They travel in the batches as a bundle does (engine.c). */
int hx_engine_load_rules(hx_engine *engine, const char *path, hx_error *err)
{
    const struct timespec nap = {0, 1000000};
    hx_rules *next = NULL, *old;
    uint64_t epoch;
    int rc;

    pthread_mutex_lock(&engine->bundle_lock);
    rc = atomic_load(&engine->ended) ? hx_error_set(err, HX_EEND, "the engine has ended")
                                     : hx_rules_load(path, engine->config.workers, &next, err);
    if (rc) {
        pthread_mutex_unlock(&engine->bundle_lock);
        return rc;
    }
    epoch = hx_rules_epoch(atomic_load(&engine->rules)) + 1;
    hx_rules_number(next, epoch);
    old = atomic_exchange(&engine->rules, next);
    hx_source_wake(engine->source);
    while (!everyone_at(engine, epoch) && !atomic_load(&engine->ended))
        nanosleep(&nap, NULL);
    if (everyone_at(engine, epoch)) {
        hx_stat_add(hx_stats_value(engine->stats, HX_STATS_TOOL, HX_ENGINE_RULE_LOADS), 1);
        publish(engine, next);
        pthread_mutex_lock(&engine->in_use_lock);
        hx_rules_destroy(old);
        pthread_mutex_unlock(&engine->in_use_lock);
    } else {
        /* The engine ended meanwhile; its workers may still hold the old ones. */
        hx_rules_destroy(engine->retired_rules);
        engine->retired_rules = old;
        rc = hx_error_set(err, HX_EEND, "the engine ended before it took up %s", path);
    }
    pthread_mutex_unlock(&engine->bundle_lock);
    return rc;
}

/* --- asked about -------------------------------------------------------------------------------
 */

typedef struct counted {
    uint64_t hits;
    uint32_t rule;
} counted;

static int most_first(const void *a, const void *b)
{
    const counted *x = a, *y = b;

    if (x->hits != y->hits)
        return x->hits < y->hits ? 1 : -1;
    return x->rule < y->rule ? -1 : x->rule > y->rule;
}

/* A whole number of the command, or what stands for it. */
static uint32_t number_in(const cJSON *command, const char *key, uint32_t usual, uint32_t most)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(command, key);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0))
        return usual;
    return item->valuedouble < most ? (uint32_t)item->valuedouble : most;
}

static void put_rule(const hx_rules *rules, const counted *c, hx_text *out)
{
    static const char *const actions[] = {"deny", "allow", "escalate"};
    static const char *const severities[] = {"low", "medium", "high", "critical"};
    const hx_rule *rule = hx_rules_get(rules, c->rule);

    hx_text_str(out, "{");
    hx_text_json_key(out, "id");
    hx_text_json_string(out, hx_slice_str(rule->id));
    hx_text_json_key(out, "title");
    hx_text_json_string(out, hx_slice_str(rule->title));
    hx_text_json_key(out, "action");
    hx_text_printf(out, "\"%s\"", actions[rule->action]);
    hx_text_json_key(out, "severity");
    hx_text_printf(out, "\"%s\"", severities[rule->severity]);
    hx_text_json_key(out, "hits");
    hx_text_printf(out, "%llu}", (unsigned long long)c->hits);
}

static void put_rules(const hx_rules *rules, const cJSON *command, hx_text *out)
{
    const char *sort = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "sort"));
    const uint32_t count = rules ? hx_rules_count(rules) : 0;
    const uint32_t offset = number_in(command, "offset", 0, count);
    uint32_t end = number_in(command, "limit", SHOWN, SHOWN_MAX);
    counted *all = calloc((size_t)count + 1, sizeof *all);

    if (!all) {
        out->failed = true;
        return;
    }
    end = end < count - offset ? offset + end : count;
    for (uint32_t i = 0; i < count; i++)
        all[i] = (counted){hx_rules_hits(rules, i), i};
    if (sort && strcmp(sort, "count") == 0)
        qsort(all, count, sizeof *all, most_first);
    for (uint32_t i = offset; i < end; i++) {
        hx_text_str(out, i > offset ? ", " : "");
        put_rule(rules, &all[i], out);
    }
    free(all);
}

void hx_engine_rules(hx_engine *engine, const struct cJSON *command, hx_text *out)
{
    const hx_rules *rules;

    pthread_mutex_lock(&engine->in_use_lock); /* they are not freed meanwhile */
    rules = atomic_load(&engine->rules);
    hx_text_str(out, "{\"ok\": true");
    hx_text_json_key(out, "rules");
    hx_text_printf(out, "%u", rules ? hx_rules_count(rules) : 0);
    hx_text_json_key(out, "digest");
    hx_text_json_string(out, hx_slice_str(rules ? hx_rules_digest(rules) : ""));
    hx_text_json_key(out, "hits");
    hx_text_str(out, "[");
    put_rules(rules, command, out);
    hx_text_str(out, "]}");
    pthread_mutex_unlock(&engine->in_use_lock);
}
