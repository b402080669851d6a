/* values: what stands where a template varies. A number far from all that training saw at its
 * place, an address of a network that never spoke, a word where there was a handful of words.
 *
 * The front makes the checks while it reads (template/checks.h), because it knows what a message's
 * form leaves open; here is only said what is odd, of the few messages that are. */
#include "detect/bundle.h"
#include "detect/detector.h"

#include <haechi/values.h>

#include <cjson/cJSON.h>
#include <stdlib.h>

#define SHOWN_MAX       8
#define SHOWN_BYTES_MAX 200 /* of the value in the reason */

typedef struct values_model {
    const struct hx_bundle *bundle;
    hx_values *values;
} values_model;

typedef struct values_state {
    hx_match_scratch *match;
    hx_format_scratch header;
} values_state;

/* --- what is said ------------------------------------------------------------------------------
 */

static hx_slice shown(hx_slice value)
{
    return hx_slice_make(value.ptr, value.len < SHOWN_BYTES_MAX ? value.len : SHOWN_BYTES_MAX);
}

static void put_limit(hx_text *out, const char *name, uint64_t limit)
{
    hx_text_json_key(out, name);
    if (limit == UINT64_MAX)
        hx_text_str(out, "null");
    else
        hx_text_printf(out, "%llu", (unsigned long long)limit);
}

static void say_detail(const values_model *m, uint32_t check, const hx_value_finding *f,
                       const char *template_text, hx_text *out)
{
    hx_text_printf(out, "{\"position\": %u, \"value\": ", f->step);
    hx_text_json_string(out, shown(f->value));
    if (f->kind == HX_VALUE_RANGE) {
        put_limit(out, "low", f->low);
        put_limit(out, "high", f->high);
    } else {
        hx_text_json_key(out, "usual");
        hx_values_usual(m->values, check, SHOWN_MAX, out);
    }
    hx_text_json_key(out, "template");
    hx_text_json_string(out, hx_slice_str(template_text));
    hx_text_str(out, "}");
}

static void say_reason(const values_model *m, uint32_t check, const hx_value_finding *f,
                       const char *template_text, hx_text *out)
{
    hx_slice value = shown(f->value);

    if (f->kind == HX_VALUE_RANGE) {
        hx_text_printf(out, "%.*s is %s than any number expected there, %llu", (int)value.len,
                       value.ptr, f->too_low ? "less" : "more",
                       (unsigned long long)(f->too_low ? f->low : f->high));
    } else {
        hx_text_printf(out, "\"%.*s\" was never seen there; usual are ", (int)value.len, value.ptr);
        hx_values_usual(m->values, check, SHOWN_MAX, out);
    }
    hx_text_printf(out, ", in \"%s\".", template_text);
}

static void values_event(const void *model, void *state, void *session, const hx_event *event,
                         const char *buffer, uint16_t token, hx_reporter *reporter)
{
    const values_model *m = model;
    values_state *s = state;
    const uint32_t check = event->odd_value - 1u;
    const hx_slice line = hx_slice_make(buffer + event->line, event->length);
    const char *text = hx_matcher_text(m->bundle->matcher, event->key);
    hx_text reason = {0}, detail = {0};
    hx_value_finding found;
    hx_record record;

    (void)session, (void)token;
    if (!event->odd_value || !text ||
        hx_format_parse(m->bundle->format, line, &s->header, &record) ||
        !hx_values_explain(m->values, s->match, record.message, check, &found))
        return;
    say_reason(m, check, &found, text, &reason);
    say_detail(m, check, &found, text, &detail);
    reporter->report(
        reporter, event, event->time_us,
        &(hx_finding){.rule = found.kind == HX_VALUE_RANGE ? "range" : "rare_value",
                      .score = found.nats,
                      .limit = found.limit,
                      .evidence = found.nats,
                      .detail = hx_slice_make(detail.ptr, detail.failed ? 0 : detail.len),
                      .reason = hx_slice_make(reason.ptr, reason.failed ? 0 : reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
}

/* --- the bundle's part -------------------------------------------------------------------------
 */

static void values_unload(void *model)
{
    values_model *m = model;

    if (!m)
        return;
    hx_values_destroy(m->values);
    free(m);
}

static int values_load(const cJSON *section, const hx_bundle_files *files,
                       const struct hx_bundle *bundle, void **model, hx_error *err)
{
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(section, "file"));
    values_model *m = calloc(1, sizeof *m);
    char *bytes = NULL;
    size_t len = 0;
    int rc;

    if (!m)
        return hx_error_set(err, HX_ENOMEM, "bundle: out of memory");
    m->bundle = bundle;
    if (!file || !*file || strchr(file, '/'))
        rc = hx_error_set(err, HX_EMALFORMED,
                          "manifest.json: values.file: \"%s\" is not a file's name",
                          file ? file : "");
    else
        rc = hx_bundle_read(files, file, &bytes, &len, err);
    if (!rc)
        rc = hx_values_create(bytes, len, bundle->matcher, &m->values, err);
    free(bytes);
    if (rc) {
        values_unload(m);
        return rc;
    }
    *model = m;
    return 0;
}

/* Where log keys come instead of lines there are no values. */
static const hx_values *values_values(const void *model)
{
    const values_model *m = model;

    return m->bundle->format ? m->values : NULL;
}

static int values_open(const void *model, uint32_t worker, uint32_t workers, void **state)
{
    const values_model *m = model;
    values_state *s = calloc(1, sizeof *s);
    int rc;

    (void)worker, (void)workers;
    if (!s)
        return HX_ENOMEM;
    rc = hx_match_scratch_create(m->bundle->matcher, &s->match);
    if (rc) {
        free(s);
        return rc;
    }
    *state = s;
    return 0;
}

static void values_close(void *state)
{
    values_state *s = state;

    hx_match_scratch_destroy(s->match);
    free(s);
}

const hx_detector hx_values_detector = {
    .name = "values",
    .only_odd = true,
    .load = values_load,
    .unload = values_unload,
    .values = values_values,
    .open = values_open,
    .close = values_close,
    .event = values_event,
};
