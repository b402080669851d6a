/* A command of any bytes on the sink's control socket: one line of JSON comes back, and the sink
 * lives.
 */
#include "sink/parts.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hx_sink *idle_sink(void)
{
    static const uint16_t any_port[] = {0};
    static const hx_sink_config config = {.listen = {.ports = any_port, .port_count = 1}};
    hx_sink *sink;

    if (hx_sink_create(&config, &sink, NULL, NULL))
        abort();
    return sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hx_sink *sink;
    hx_text out = {0};
    cJSON *answer, *ok;

    if (!sink)
        sink = idle_sink();
    hx_sink_answer(sink, (const char *)data, size, &out);
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
