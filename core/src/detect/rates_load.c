/* The detector's section of the manifest: from hostile bytes to checked values. */
#include "detect/rates.h"

#include <cjson/cJSON.h>
#include <math.h>
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
static int get_limit(const cJSON *item, const char *key, double *out, hx_error *err)
{
    if (cJSON_IsNull(item)) {
        *out = INFINITY;
        return 0;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: rates.%s: a number above 0, or null, is needed", key);
    *out = item->valuedouble;
    return 0;
}

static int read_bursts(const cJSON *list, hx_rates_model *rule, hx_error *err)
{
    int rc = 0;

    if (cJSON_GetArraySize(list) != HX_RATE_LEVELS)
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: rates.burst: %d levels are needed",
                            HX_RATE_LEVELS);
    for (int l = 0; l < HX_RATE_LEVELS && !rc; l++) {
        const cJSON *level = cJSON_GetArrayItem(list, l);

        rc = get_limit(cJSON_GetObjectItemCaseSensitive(level, "limit"), "burst.limit",
                       &rule->burst_limit[l], err);
        if (!rc)
            rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(level, "evidence"),
                                  "rates.burst", &rule->burst[l], err);
    }
    return rc;
}

static int read_rule(const cJSON *section, hx_rates_model *rule, hx_error *err)
{
    const cJSON *silence = cJSON_GetObjectItemCaseSensitive(section, "silence");
    double interval = 0, warm = 0, hosts = 0, repeat = 0;
    int rc = get(section, "interval_s", 0.001, 86400, &interval, err);

    if (!rc)
        rc = get(section, "warm", 1, 1e6, &warm, err);
    if (!rc)
        rc = get(section, "max_hosts", 1, 1e6, &hosts, err);
    if (!rc)
        rc = get(section, "repeat_s", 0, 1e9, &repeat, err);
    if (!rc)
        rc = read_bursts(cJSON_GetObjectItemCaseSensitive(section, "burst"), rule, err);
    if (!rc)
        rc = get_limit(cJSON_GetObjectItemCaseSensitive(silence, "limit"), "silence.limit",
                       &rule->silence_limit, err);
    if (!rc)
        rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(silence, "evidence"),
                              "rates.silence", &rule->silence, err);
    rule->interval_us = (int64_t)(interval * 1e6 + 0.5);
    rule->warm = (uint32_t)warm;
    rule->max_hosts = (uint32_t)hosts;
    rule->repeat_us = (int64_t)(repeat * 1e6);
    rule->observe = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(section, "observe"));
    return rc;
}

int hx_rates_load(const cJSON *section, const hx_bundle_files *files,
                  const struct hx_bundle *bundle, void **model, hx_error *err)
{
    rates_model *m = calloc(1, sizeof *m);
    int rc;

    (void)files;
    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->bundle = bundle;
    rc = read_rule(section, &m->rule, err);
    if (rc) {
        free(m);
        return rc;
    }
    *model = m;
    return 0;
}
