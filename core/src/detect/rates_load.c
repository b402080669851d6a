/* The detector's section of the manifest: from hostile bytes to checked values. */
#include "detect/rates.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int get(const cJSON *section, const char *key, double low, double high, double *out,
               hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(section, key);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: rates.%s: a number from %g to %g is needed", key, low,
                            high);
    *out = item->valuedouble;
    return 0;
}

/* A limit that is null is none: nothing is above it. */
static int read_limit(const cJSON *one, const char *name, hx_rate_limit *out, hx_error *err)
{
    const cJSON *limit = cJSON_GetObjectItemCaseSensitive(one, "limit");
    char place[64];

    snprintf(place, sizeof place, "rates.%s", name);
    out->nats = INFINITY;
    if (!cJSON_IsNull(limit)) {
        if (!cJSON_IsNumber(limit) || !(limit->valuedouble > 0))
            return hx_error_set(err, HX_EMALFORMED,
                                "manifest.json: %s.limit: a number above 0, or null, is needed",
                                place);
        out->nats = limit->valuedouble;
    }
    return hx_evidence_read(cJSON_GetObjectItemCaseSensitive(one, "evidence"), place,
                            &out->evidence, err);
}

/* What bundles did not have from the start: not there, not judged. */
static int read_hours(const cJSON *group, hx_rate_limits *limits, hx_error *err)
{
    const cJSON *busy = cJSON_GetObjectItemCaseSensitive(group, "busy_hour");
    const cJSON *quiet = cJSON_GetObjectItemCaseSensitive(group, "quiet_hour");
    int rc = busy ? read_limit(busy, "busy_hour", &limits->busy_hour, err) : 0;

    return !rc && quiet ? read_limit(quiet, "quiet_hour", &limits->quiet_hour, err) : rc;
}

static int read_group(const cJSON *group, hx_rate_limits *limits, hx_error *err)
{
    const cJSON *bursts = cJSON_GetObjectItemCaseSensitive(group, "burst");
    int rc = 0;

    if (cJSON_GetArraySize(bursts) != HX_RATE_LEVELS)
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: rates.burst: %d levels are needed",
                            HX_RATE_LEVELS);
    for (int l = 0; l < HX_RATE_LEVELS && !rc; l++)
        rc = read_limit(cJSON_GetArrayItem(bursts, l), "burst", &limits->burst[l], err);
    if (!rc)
        rc = read_limit(cJSON_GetObjectItemCaseSensitive(group, "silence"), "silence",
                        &limits->silence, err);
    return rc ? rc : read_hours(group, limits, err);
}

static void no_limits(hx_rate_limits *limits)
{
    for (int l = 0; l < HX_RATE_LEVELS; l++)
        limits->burst[l].nats = INFINITY;
    limits->silence.nats = limits->busy_hour.nats = limits->quiet_hour.nats = INFINITY;
}

static int read_rule(const cJSON *section, hx_rates_model *rule, hx_error *err)
{
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(section, "keys");
    double interval = 0, warm = 0, hosts = 0, repeat = 0;
    int rc = get(section, "interval_s", 0.001, 86400, &interval, err);

    no_limits(&rule->limits[HX_RATE_HOSTS]);
    no_limits(&rule->limits[HX_RATE_KEYS]);
    if (!rc)
        rc = get(section, "warm", 1, 1e6, &warm, err);
    if (!rc)
        rc = get(section, "max_hosts", 1, 1e6, &hosts, err);
    if (!rc)
        rc = get(section, "repeat_s", 0, 1e9, &repeat, err);
    if (!rc)
        rc = read_group(section, &rule->limits[HX_RATE_HOSTS], err);
    if (!rc && keys && !cJSON_IsNull(keys)) {
        rule->watch_keys = true;
        rc = read_group(keys, &rule->limits[HX_RATE_KEYS], err);
    }
    rule->interval_us = (int64_t)(interval * 1e6 + 0.5);
    rule->warm = (uint32_t)warm;
    rule->max_hosts = (uint32_t)hosts;
    rule->repeat_us = (int64_t)(repeat * 1e6);
    rule->observe = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(section, "observe"));
    return rc;
}

void hx_rates_unload(void *model)
{
    rates_model *m = model;

    if (!m)
        return;
    hx_rates_seasons_free(&m->seasons);
    free(m);
}

int hx_rates_load(const cJSON *section, const hx_bundle_files *files,
                  const struct hx_bundle *bundle, void **model, hx_error *err)
{
    rates_model *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->bundle = bundle;
    rc = read_rule(section, &m->rule, err);
    if (!rc)
        rc = hx_rates_seasons_load(section, files, m, err);
    if (rc) {
        hx_rates_unload(m);
        return rc;
    }
    *model = m;
    return 0;
}
