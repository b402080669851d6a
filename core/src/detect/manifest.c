#include "detect/manifest.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define LOG_KEYS_MAX 65000
#define MAX_OPEN_MAX (1u << 24)

struct hx_manifest {
    cJSON *root;
};

int hx_manifest_parse(const char *json, size_t json_len, hx_manifest **out, hx_error *err)
{
    hx_manifest *m = calloc(1, sizeof *m);
    const cJSON *format;

    if (!m)
        return hx_error_set(err, HX_ENOMEM, "manifest.json: out of memory");
    m->root = cJSON_ParseWithLength(json, json_len);
    format = cJSON_GetObjectItemCaseSensitive(m->root, "format");
    if (!cJSON_IsObject(m->root) || !cJSON_IsNumber(format)) {
        hx_manifest_destroy(m);
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: not a JSON object with a \"format\"");
    }
    if (format->valuedouble != HX_BUNDLE_FORMAT) {
        double have = format->valuedouble;

        hx_manifest_destroy(m);
        return hx_error_set(
            err, HX_EVERSION,
            "manifest.json: format %g: this engine reads format %d; train the bundle "
            "again, or use the engine it was made for",
            have, HX_BUNDLE_FORMAT);
    }
    *out = m;
    return 0;
}

void hx_manifest_destroy(hx_manifest *manifest)
{
    if (!manifest)
        return;
    cJSON_Delete(manifest->root);
    free(manifest);
}

static const cJSON *section(const hx_manifest *m, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(m->root, name);
}

const char *hx_manifest_sha256(const hx_manifest *manifest, const char *file)
{
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(section(manifest, "files"), file);

    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "sha256"));
}

const char *hx_manifest_format(const hx_manifest *manifest)
{
    const char *spec = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(section(manifest, "parser"), "format"));

    return spec ? spec : "";
}

const cJSON *hx_manifest_detector(const hx_manifest *manifest, const char *name)
{
    const cJSON *d;

    cJSON_ArrayForEach(d, section(manifest, "detectors"))
    {
        const char *have = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "name"));

        if (have && strcmp(have, name) == 0)
            return d;
    }
    return NULL;
}

const char *hx_manifest_model_file(const hx_manifest *manifest)
{
    const char *file = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(hx_manifest_detector(manifest, "deeplog"), "file"));

    return file ? file : "";
}

/* --- checked values ----------------------------------------------------------------------------
 */

/* A number at object.key within [low, high], or an error that names place, value and bounds. */
static int get_number(const cJSON *object, const char *place, const char *key, double low,
                      double high, double *out, hx_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item))
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: %s%s: a number is needed", place,
                            key);
    if (!(item->valuedouble >= low && item->valuedouble <= high))
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: %s%s: %g is not within %g to %g",
                            place, key, item->valuedouble, low, high);
    *out = item->valuedouble;
    return 0;
}

static int get_u32(const cJSON *object, const char *place, const char *key, double low, double high,
                   uint32_t *out, hx_error *err)
{
    double v = 0;
    int rc = get_number(object, place, key, low, high, &v, err);

    if (!rc && v != floor(v))
        rc = hx_error_set(err, HX_EMALFORMED, "manifest.json: %s%s: %g is not a whole number",
                          place, key, v);
    *out = (uint32_t)v;
    return rc;
}

static int fill_fields(const cJSON *session, hx_session_rule *rule, hx_error *err)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } fields[] = {
        {"host", HX_FIELD_HOST},
        {"process", HX_FIELD_PROCESS},
        {"pid", HX_FIELD_PID},
        {"thread", HX_FIELD_THREAD},
    };
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(session, "fields"))
    {
        const char *name = cJSON_GetStringValue(item);
        size_t i = 0;

        while (name && i < sizeof fields / sizeof fields[0] && strcmp(name, fields[i].name) != 0)
            i++;
        if (!name || i == sizeof fields / sizeof fields[0])
            return hx_error_set(
                err, HX_EMALFORMED,
                "manifest.json: session.fields: \"%s\" is not host, process, pid or "
                "thread",
                name ? name : "?");
        rule->fields |= fields[i].bit;
    }
    return 0;
}

static int fill_by(const cJSON *session, hx_session_rule *rule, hx_error *err)
{
    static const char *const names[] = {"fields", "value", "time", "all"};
    const char *by = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "by"));

    for (uint32_t i = 0; by && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(by, names[i]) == 0) {
            rule->by = (hx_session_by)i;
            return 0;
        }
    }
    return hx_error_set(err, HX_EMALFORMED,
                        "manifest.json: session.by: \"%s\" is not fields, value, time or all",
                        by ? by : "");
}

static int fill_session(const hx_manifest *m, hx_bundle *b, hx_error *err)
{
    const cJSON *session = section(m, "session");
    const char *prefix = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "prefix"));
    double idle_s = 0;
    int rc = fill_by(session, &b->rule, err);

    if (!rc)
        rc = fill_fields(session, &b->rule, err);
    if (!rc && prefix && strlen(prefix) >= sizeof b->rule.prefix)
        rc =
            hx_error_set(err, HX_EMALFORMED, "manifest.json: session.prefix: longer than %zu bytes",
                         sizeof b->rule.prefix - 1);
    if (!rc && prefix)
        memcpy(b->rule.prefix, prefix, strlen(prefix) + 1);
    if (!rc && b->rule.by == HX_SESSION_BY_TIME)
        rc = get_u32(session, "session.", "seconds", 1, 1e9, &b->rule.seconds, err);
    if (!rc)
        rc = get_number(session, "session.", "idle_s", 0.001, 1e9, &idle_s, err);
    if (!rc)
        rc = get_u32(session, "session.", "max_open", 1, MAX_OPEN_MAX, &b->max_open, err);
    b->idle_us = (int64_t)(idle_s * 1e6 + 0.5);
    return rc;
}

static int fill_deeplog(const cJSON *d, hx_bundle *b, hx_error *err)
{
    hx_deeplog *dl = &b->deeplog;
    const char *rule = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "rule"));
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "file"));
    const uint32_t n = b->log_keys;
    uint32_t begin = 0, end = 0, unseen = 0;
    double least = 0;
    int rc;

    if (!rule || (strcmp(rule, "likelihood") != 0 && strcmp(rule, "topk") != 0))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: deeplog.rule: \"%s\" is not likelihood or topk",
                            rule ? rule : "");
    /* A name, not a path: a bundle reads nothing outside itself. */
    if (!file || !*file || strchr(file, '/'))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: deeplog.file: \"%s\" is not a file's name",
                            file ? file : "");
    dl->likelihood = rule[0] == 'l';
    rc = get_u32(d, "deeplog.", "begin", n, n, &begin, err);
    if (!rc)
        rc = get_u32(d, "deeplog.", "end", n + 1.0, n + 1.0, &end, err);
    if (!rc)
        rc = get_u32(d, "deeplog.", "unseen", n + 2.0, n + 2.0, &unseen, err);
    if (!rc)
        rc = get_u32(d, "deeplog.", "top_k", 1, 65535, &dl->top_k, err);
    if (!rc)
        rc = get_number(d, "deeplog.", "unseen_surprise", 0, 1000, &dl->unseen_surprise, err);
    if (!rc)
        rc = get_number(d, "deeplog.", "event_surprise", 0, 1e6, &dl->event_surprise, err);
    if (!rc)
        rc = get_number(d, "deeplog.", "session_surprise", 0, 1e6, &dl->session_surprise, err);
    if (!rc)
        rc = get_number(d, "deeplog.", "least_surprise", 0, 1e6, &least, err);
    if (!rc)
        rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(d, "event_evidence"),
                              "deeplog.event", &dl->event_evidence, err);
    if (!rc)
        rc = hx_evidence_read(cJSON_GetObjectItemCaseSensitive(d, "session_evidence"),
                              "deeplog.session", &dl->session_evidence, err);
    if (rc)
        return rc;
    dl->enabled = true;
    dl->least_q10 = (int32_t)floor(least * HX_NAT);
    dl->unseen_surprise_q10 = (int32_t)floor(dl->unseen_surprise * HX_NAT + 0.5);
    dl->event_limit_q10 = (int32_t)floor(dl->event_surprise * HX_NAT);
    return 0;
}

/* Every key is unseen to the model but those it was trained on. */
static int fill_tokens(const cJSON *new_event, hx_bundle *b, hx_error *err)
{
    const cJSON *trained = cJSON_GetObjectItemCaseSensitive(new_event, "trained_keys"), *item;

    b->token_of_key = calloc(b->log_keys + 1, sizeof *b->token_of_key);
    if (!b->token_of_key)
        return hx_error_set(err, HX_ENOMEM, "manifest.json: out of memory");
    for (uint32_t k = 0; k < b->log_keys; k++)
        b->token_of_key[k] = b->deeplog.unseen;
    if (!cJSON_IsArray(trained))
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: new_event.trained_keys: a list of log keys is needed");
    cJSON_ArrayForEach(item, trained)
    {
        double k = cJSON_IsNumber(item) ? item->valuedouble : -1;

        if (!(k >= 0 && k < b->log_keys && k == floor(k)))
            return hx_error_set(
                err, HX_EMALFORMED,
                "manifest.json: new_event.trained_keys: %g is not a log key below %u", k,
                b->log_keys);
        b->token_of_key[(uint32_t)k] = (uint16_t)k;
    }
    return 0;
}

int hx_manifest_fill(const hx_manifest *manifest, hx_bundle *bundle, hx_error *err)
{
    const cJSON *deeplog = hx_manifest_detector(manifest, "deeplog"),
                *new_event = hx_manifest_detector(manifest, "new_event");
    double repeat_s = 0;
    int rc = get_u32(manifest->root, "", "log_keys", 1, LOG_KEYS_MAX, &bundle->log_keys, err);

    if (!rc && !*hx_manifest_format(manifest))
        rc = hx_error_set(err, HX_EMALFORMED,
                          "manifest.json: parser.format: a preset's name or a pattern is needed");
    if (!rc)
        rc = get_u32(manifest->root, "", "window", 1, HX_WINDOW_MAX, &bundle->window, err);
    if (!rc)
        rc = fill_session(manifest, bundle, err);
    if (rc)
        return rc;
    bundle->deeplog.begin = (uint16_t)bundle->log_keys;
    bundle->deeplog.end = (uint16_t)(bundle->log_keys + 1);
    bundle->deeplog.unseen = (uint16_t)(bundle->log_keys + 2);
    bundle->deeplog.classes = bundle->log_keys + 3;
    if (!new_event)
        return hx_error_set(err, HX_EMALFORMED, "manifest.json: detectors: no \"new_event\"");
    rc = get_number(new_event, "new_event.", "repeat_s", 0, 1e9, &repeat_s, err);
    bundle->repeat_us = (int64_t)(repeat_s * 1e6);
    if (!rc && deeplog)
        rc = fill_deeplog(deeplog, bundle, err);
    if (!rc)
        rc = fill_tokens(new_event, bundle, err);
    return rc;
}
