/* The engine's totals as one JSON object: for the end of a run and for the control socket. */
#include "detect/engine_parts.h"

#include <haechi/usage.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t elapsed_ns(const hx_engine *e)
{
    uint64_t started_ns = atomic_load(&e->started_ns), ended_ns = atomic_load(&e->ended_ns);
    struct timespec t;

    if (!started_ns)
        return 0;
    if (ended_ns)
        return ended_ns - started_ns;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec - started_ns;
}

static void put_number(hx_text *out, const char *key, double value)
{
    hx_text_json_key(out, key);
    hx_text_printf(out, "%.9g", value);
}

static void put_count(hx_text *out, const char *key, uint64_t value)
{
    hx_text_json_key(out, key);
    hx_text_printf(out, "%llu", (unsigned long long)value);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static void put_latencies(hx_engine *e, uint32_t index, const char *name, hx_text *out)
{
    static const struct {
        const char *suffix;
        double q;
    } quantiles[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};
    hx_histogram *sum = calloc(1, sizeof *sum);
    char key[64];

    if (!sum)
        return;
    hx_stats_merge(e->stats, index, sum);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        snprintf(key, sizeof key, "%s_%s", name, quantiles[i].suffix);
        put_count(out, key, hx_histogram_quantile(sum, quantiles[i].q));
    }
    free(sum);
}

static void put_observed(hx_engine *e, hx_text *out)
{
    hx_text members = {0};

    /* Several workers' would have to be added up; training uses one. */
    if (atomic_load(&e->ended) && e->shared.workers == 1)
        hx_worker_observed(e->worker[0], &members);
    if (members.len) {
        hx_text_json_key(out, "observed");
        hx_text_str(out, "{");
        hx_text_bytes(out, members.ptr, members.len);
        hx_text_str(out, "}");
    }
    out->failed |= members.failed;
    hx_text_free(&members);
}

void hx_engine_summary(hx_engine *engine, hx_text *out)
{
    double seconds = (double)elapsed_ns(engine) / 1e9;
    uint64_t lines = hx_stats_total(engine->stats, HX_STAT_LINES);
    uint64_t windows = hx_stats_total(engine->stats, HX_STAT_WINDOWS);
    hx_usage usage = hx_usage_now();
    const hx_rules *rules;

    hx_text_str(out, "{");
    put_number(out, "seconds", seconds);
    put_number(out, "lines_per_s", seconds > 0 ? (double)lines / seconds : 0);
    for (uint32_t i = 0; i < HX_WORKER_STATS; i++)
        if (hx_worker_stat_defs[i].kind != HX_STAT_HISTOGRAM)
            put_count(out, hx_worker_stat_defs[i].name, hx_stats_total(engine->stats, i));
    for (uint32_t i = 0; i < HX_ENGINE_NET_FIRST; i++)
        put_count(out, hx_engine_stat_defs[i].name,
                  atomic_load(hx_stats_value(engine->stats, HX_STATS_TOOL, i)));
    put_number(out, "memo_hit_ratio",
               ratio(hx_stats_total(engine->stats, HX_STAT_MEMO_HITS), windows));
    put_number(out, "ml_ratio",
               ratio(hx_stats_total(engine->stats, HX_STAT_MODEL_WINDOWS), windows));
    put_latencies(engine, HX_STAT_ALERT_LATENCY_US, "alert_latency_us", out);
    put_latencies(engine, HX_STAT_BATCH_NS, "batch_ns", out);
    put_latencies(engine, HX_STAT_STAGE1_US, "stage1_us", out);
    put_latencies(engine, HX_STAT_STAGE2_US, "stage2_us", out);
    put_number(out, "unscored_ratio",
               ratio(hx_stats_total(engine->stats, HX_STAT_UNSCORED), windows));
    put_number(out, "cpu_user_s", usage.cpu_user_s);
    put_number(out, "cpu_system_s", usage.cpu_system_s);
    put_count(out, "rss_peak_bytes", usage.rss_peak_bytes);
    pthread_mutex_lock(&engine->in_use_lock); /* nothing is freed meanwhile */
    hx_text_json_key(out, "bundle");
    hx_text_json_string(out, hx_slice_str(atomic_load(&engine->bundle)->digest));
    hx_text_json_key(out, "rules_digest");
    rules = atomic_load(&engine->rules);
    hx_text_json_string(out, hx_slice_str(rules ? hx_rules_digest(rules) : ""));
    pthread_mutex_unlock(&engine->in_use_lock);
    hx_network_summary(engine, out);
    put_observed(engine, out);
    hx_text_str(out, "}");
}
