/* What the engine does on the control socket's commands. */
#include "detect/engine_parts.h"

#include <cjson/cJSON.h>

static void do_load_bundle(hx_engine *e, const cJSON *command, hx_text *out)
{
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "path"));
    hx_error err = {{0}};
    int rc;

    if (!path) {
        hx_control_put_error(out, "load_bundle: \"path\" is needed: the bundle's directory");
        return;
    }
    rc = hx_engine_load_bundle(e, path, &err);
    if (rc) {
        hx_control_put_result(out, rc, &err);
        return;
    }
    hx_text_str(out, "{\"ok\": true");
    hx_text_json_key(out, "bundle");
    hx_text_json_string(out, hx_slice_str(atomic_load(&e->bundle)->digest));
    hx_text_str(out, "}");
}

static void do_load_rules(hx_engine *e, const cJSON *command, hx_text *out)
{
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "file"));
    hx_error err = {{0}};
    int rc;

    if (!file) {
        hx_control_put_error(out, "load_rules: \"file\" is needed: the rule file's path");
        return;
    }
    rc = hx_engine_load_rules(e, file, &err);
    if (rc) {
        hx_control_put_result(out, rc, &err);
        return;
    }
    hx_text_str(out, "{\"ok\": true");
    hx_text_json_key(out, "rules");
    hx_text_printf(out, "%u", hx_rules_count(atomic_load(&e->rules)));
    hx_text_json_key(out, "digest");
    hx_text_json_string(out, hx_slice_str(hx_rules_digest(atomic_load(&e->rules))));
    hx_text_str(out, "}");
}

static void do_stats(hx_engine *e, hx_text *out)
{
    hx_text_str(out, "{\"ok\": true, \"stats\": ");
    hx_engine_summary(e, out);
    hx_text_str(out, "}");
}

static void execute(hx_engine *e, const char *name, const cJSON *command, hx_text *out)
{
    hx_error err = {{0}};
    int rc = 0;

    if (strcmp(name, "stats") == 0) {
        do_stats(e, out);
        return;
    }
    if (strcmp(name, "load_bundle") == 0) {
        do_load_bundle(e, command, out);
        return;
    }
    if (strcmp(name, "templates") == 0) {
        hx_engine_templates(e, command, out);
        return;
    }
    if (strcmp(name, "load_rules") == 0) {
        do_load_rules(e, command, out);
        return;
    }
    if (strcmp(name, "rules") == 0) {
        hx_engine_rules(e, command, out);
        return;
    }
    if (strcmp(name, "pause") == 0)
        hx_engine_pause(e, true);
    else if (strcmp(name, "resume") == 0)
        hx_engine_pause(e, false);
    else if (strcmp(name, "checkpoint") == 0)
        rc = hx_engine_checkpoint(e, &err);
    else if (strcmp(name, "stop") == 0)
        hx_engine_stop(e);
    else
        rc = hx_error_set(&err, HX_EINVAL,
                          "\"%.40s\" is not stats, templates, rules, load_bundle, load_rules, "
                          "pause, resume, checkpoint or stop",
                          name);
    hx_control_put_result(out, rc, &err);
}

bool hx_engine_is_slow(const char *line, size_t len)
{
    static const char *const slow[] = {"load_bundle", "load_rules", "checkpoint"};
    cJSON *command = cJSON_ParseWithLength(line, len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "command"));
    bool found = false;

    for (size_t i = 0; name && i < sizeof slow / sizeof slow[0]; i++)
        found |= strcmp(name, slow[i]) == 0;
    cJSON_Delete(command);
    return found;
}

void hx_engine_answer(void *engine, const char *line, size_t len, hx_text *out)
{
    cJSON *command = cJSON_ParseWithLength(line, len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "command"));

    if (name)
        execute(engine, name, command, out);
    else
        hx_control_put_error(out, "a JSON object with a \"command\" is needed");
    hx_text_str(out, "\n");
    cJSON_Delete(command);
}
