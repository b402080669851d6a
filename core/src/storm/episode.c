#include "storm/stamp.h"

#include <inttypes.h>
#include <stdio.h>

/* Names of hosts, processes and techniques are words of letters, digits and . _ - / by the
 * profile's rules, so nothing needs escaping. */
uint32_t hx_episode_format(const hx_episode *e, char *out)
{
    char first[25], last[25], technique[32] = "null";

    hx_stamp_rfc3339(e->first_time_ns, first);
    hx_stamp_rfc3339(e->last_time_ns, last);
    if (e->technique)
        snprintf(technique, sizeof technique, "\"%.24s\"", e->technique);
    return (uint32_t)snprintf(
        out, HX_EPISODE_JSON_MAX,
        "{\"id\": \"%s\", \"kind\": \"%s\", \"technique\": %s, \"session\": \"%s\", \"host\": "
        "\"%s\", "
        "\"first_time\": \"%s\", \"last_time\": \"%s\", \"first_event\": %" PRIu64
        ", \"last_event\": %" PRIu64 ", \"events\": %u, \"complete\": %s}\n",
        e->id, e->kind, technique, e->session, e->host, first, last, e->first_event, e->last_event,
        e->events, e->complete ? "true" : "false");
}
