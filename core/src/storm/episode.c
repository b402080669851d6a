/* Episodes: the ground truth, event by event while it is composed, and as a line of JSON. */
#include "storm/composer.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const session_kinds[STORM_KINDS] = {
    [STORM_NORMAL] = "normal",
    [STORM_SKIPPED] = "step_skipped",
    [STORM_REORDERED] = "steps_out_of_order",
    [STORM_REPEATED] = "failure_repeated",
    [STORM_NEVER_SEEN] = "never_seen_message",
    [STORM_VALUE] = "value_out_of_range",
};

/* salt: two kinds of episodes may begin at the same event. */
static hx_episode episode_make(const hx_composer *c, const storm_open *open, uint64_t salt,
                               bool complete)
{
    hx_episode e = {
        .first_time_ns = open->first_time_ns,
        .last_time_ns = open->last_time_ns,
        .first_event = open->first_event,
        .last_event = open->last_event,
        .events = open->events,
        .complete = complete,
    };
    uint64_t id = hx_hash_u64(hx_hash_u64(HX_HASH_SEED + salt, c->config.seed), e.first_event);

    snprintf(e.id, sizeof e.id, "%016llx", (unsigned long long)id);
    return e;
}

void hx_storm_episode_of_session(hx_composer *c, const storm_slot *slot, storm_open *open,
                                 bool complete)
{
    const storm_flow *flow = &c->config.profile->flows[slot->flow];
    hx_episode e = episode_make(c, open, 0, complete);

    open->events = 0;
    if (!c->config.on_episode)
        return;
    e.kind = session_kinds[flow->kind];
    e.technique = flow->technique[0] ? flow->technique : NULL;
    hx_slots_session_name(&c->live, slot, e.session, sizeof e.session);
    memcpy(e.host, c->live.hosts[slot->host].name, sizeof e.host - 1);
    c->config.on_episode(c->config.context, &e);
}

void hx_storm_episode_of_host(hx_composer *c, const char *kind, const char *technique,
                              uint32_t host, const storm_open *open, bool complete)
{
    hx_episode e = episode_make(c, open, (uint8_t)kind[0], complete);

    if (!c->config.on_episode)
        return;
    e.kind = kind;
    e.technique = technique && technique[0] ? technique : NULL;
    memcpy(e.host, c->live.hosts[host].name, sizeof e.host - 1);
    c->config.on_episode(c->config.context, &e);
}

void hx_storm_episode_event(hx_composer *c, uint32_t number, bool last)
{
    storm_open *open = &c->open[number];

    if (open->events++ == 0) {
        open->first_event = c->sequence;
        open->first_time_ns = c->time_ns;
    }
    open->last_event = c->sequence;
    open->last_time_ns = c->time_ns;
    if (last)
        hx_storm_episode_of_session(c, &c->live.slots[number], open, true);
}

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
