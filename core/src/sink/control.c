/* What the sink does on the control socket's commands. */
#include "sink/parts.h"

#include <haechi/quantity.h>

#include <cjson/cJSON.h>

static int set_rate(hx_sink *sink, const cJSON *command, hx_error *err)
{
    const cJSON *eps = cJSON_GetObjectItemCaseSensitive(command, "eps");
    double v = cJSON_IsNumber(eps) ? eps->valuedouble : -1;
    uint64_t number;

    if (cJSON_IsString(eps) && hx_quantity_parse(eps->valuestring, 0, &number) == 0)
        return hx_sink_set_rate(sink, number, err);
    if (!(v >= 0 && v <= (double)HX_SINK_EPS_MAX) || v != (double)(uint64_t)v)
        return hx_error_set(err, HX_EINVAL,
                            "set_rate: \"eps\" is needed: a whole number from 0 (no bound) to "
                            "%llu, or such as \"750k\"",
                            (unsigned long long)HX_SINK_EPS_MAX);
    return hx_sink_set_rate(sink, (uint64_t)v, err);
}

static void execute(hx_sink *sink, const char *name, const cJSON *command, hx_text *out)
{
    hx_error err = {{0}};
    int rc = 0;

    if (strcmp(name, "stats") == 0) {
        hx_text_str(out, "{\"ok\": true, \"stats\": ");
        hx_sink_summary(sink, out);
        hx_text_str(out, "}");
        return;
    }
    if (strcmp(name, "set_rate") == 0)
        rc = set_rate(sink, command, &err);
    else if (strcmp(name, "pause") == 0)
        hx_sink_pause(sink, true);
    else if (strcmp(name, "resume") == 0)
        hx_sink_pause(sink, false);
    else if (strcmp(name, "stop") == 0)
        hx_sink_stop(sink);
    else
        rc = hx_error_set(&err, HX_EINVAL,
                          "\"%.40s\" is not stats, set_rate, pause, resume or stop", name);
    hx_control_put_result(out, rc, &err);
}

void hx_sink_answer(void *sink, const char *line, size_t len, hx_text *out)
{
    cJSON *command = cJSON_ParseWithLength(line, len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "command"));

    if (name)
        execute(sink, name, command, out);
    else
        hx_control_put_error(out, "a JSON object with a \"command\" is needed");
    hx_text_str(out, "\n");
    cJSON_Delete(command);
}
