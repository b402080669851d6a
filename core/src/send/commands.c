/* What may be said to a running storm over its control socket. */
#include "send/room.h"

#include <haechi/quantity.h>

#include <cjson/cJSON.h>

static void execute(hx_sender *s, const char *name, const cJSON *command, hx_text *out)
{
    const cJSON *eps = cJSON_GetObjectItemCaseSensitive(command, "eps");
    const cJSON *us = cJSON_GetObjectItemCaseSensitive(command, "us");
    hx_error err = {""};
    int rc = 0;

    if (strcmp(name, "stats") == 0) {
        hx_text_str(out, "{\"ok\": true, \"stats\": ");
        hx_sender_summary(s, out);
        hx_text_str(out, "}");
        return;
    }
    if (strcmp(name, "set_rate") == 0) {
        uint64_t milli = 0;

        if (cJSON_IsNumber(eps) && eps->valuedouble > 0 && eps->valuedouble < 1e15)
            milli = (uint64_t)(eps->valuedouble * 1000 + 0.5);
        else if (!cJSON_IsString(eps) || hx_quantity_parse(eps->valuestring, 3, &milli))
            rc = hx_error_set(&err, HX_EINVAL,
                              "set_rate: \"eps\" is needed: a number, or a text such as \"2M\"");
        if (!rc)
            rc = hx_sender_set_rate(s, milli, &err);
    } else if (strcmp(name, "set_burst") == 0) {
        if (cJSON_IsNumber(us) && us->valuedouble >= 0 && us->valuedouble <= UINT32_MAX)
            rc = hx_sender_set_burst(s, (uint32_t)us->valuedouble, &err);
        else
            rc = hx_error_set(&err, HX_EINVAL,
                              "set_burst: \"us\" is needed: how long an event may wait");
    } else if (strcmp(name, "pause") == 0) {
        hx_sender_pause(s, true);
    } else if (strcmp(name, "resume") == 0) {
        hx_sender_pause(s, false);
    } else if (strcmp(name, "stop") == 0) {
        hx_sender_stop(s);
    } else {
        rc = hx_error_set(&err, HX_EINVAL,
                          "\"%.40s\" is not stats, set_rate, set_burst, pause, resume or stop",
                          name);
    }
    hx_control_put_result(out, rc, &err);
}

void sender_answer(void *context, const char *line, size_t len, hx_text *out)
{
    cJSON *command = cJSON_ParseWithLength(line, len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "command"));

    if (name)
        execute(context, name, command, out);
    else
        hx_control_put_error(out, "a JSON object with a \"command\" is needed");
    hx_text_str(out, "\n");
    cJSON_Delete(command);
}
