/* A command of any bytes on the storm's control socket: one line of JSON comes back, and the storm
 * lives.
 */
#include "send/room.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char profile_json[] =
    "{\"format\": 1, \"name\": \"least\", \"hosts\": {\"prefix\": \"h\", \"count\": 1},"
    " \"pids\": {\"first\": 1, \"count\": 100},"
    " \"processes\": [{\"name\": \"p\", \"facility\": 3, \"pid\": true, \"msgid\": \"-\","
    " \"structured_data\": \"-\"}], \"variables\": [],"
    " \"flows\": [{\"name\": \"f\", \"process\": \"p\", \"share\": 1, \"steps\":"
    " [{\"severity\": 6, \"texts\": [\"x\"]}]}], \"never\": [], \"failures\": []}";

static hx_sender *idle_storm(void)
{
    static hx_sender_config config = {.output = "/dev/null", .eps_milli = 1000, .count = 1};
    hx_profile *profile;
    hx_sender *sender;

    if (hx_profile_create(profile_json, sizeof profile_json - 1, &profile, NULL))
        abort();
    config.composer.profile = profile;
    if (hx_sender_create(&config, &sender, NULL))
        abort();
    return sender;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hx_sender *sender;
    hx_text out = {0};
    cJSON *answer, *ok;

    if (!sender)
        sender = idle_storm();
    sender_answer(sender, (const char *)data, size, &out);
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
