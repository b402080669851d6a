/* Compose: an event is a slot drawn at random, and a line is copies of what was rendered before. A
 * copy is of whole blocks into room that is kept for it, since a length known only at run time
 * costs a branch that cannot be foretold; that is where the time would go. */
#include "storm/number.h"
#include "storm/slots.h"
#include "storm/stamp.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECONDS_PER_SESSION_EVENT = 2, SESSIONS_MIN = 8 };
static const uint64_t NS_TIMES_MILLI = UINT64_C(1000000000000);

/* An anomalous session under way, beside its slot. */
typedef struct open_episode {
    int64_t first_time_ns, last_time_ns;
    uint64_t first_event, last_event;
    uint32_t events; /* 0: none is open */
} open_episode;

struct hx_composer {
    uint64_t random;
    uint64_t sequence, sequence_step;
    /* time_ns + time_part / time_base is exact; both advance by one event's share */
    int64_t time_ns, step_ns;
    uint64_t time_part, step_part, time_base;
    hx_stamp stamp;
    const storm_text *texts;
    const storm_piece *pieces;
    const char *literals;
    const uint16_t *text_refs;
    const storm_step *steps;
    uint32_t first_mutant;
    uint32_t slot;        /* of the event composed last */
    int64_t last_time_ns; /* of the event composed last */
    storm_slots live;
    open_episode *open; /* one a slot */
    hx_composer_config config;
};

int hx_line_form_parse(const char *name, hx_line_form *out)
{
    static const char *const names[] = {"iso", "rfc3164", "rfc5424"};

    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (hx_line_form)i;
            return 0;
        }
    }
    return HX_ENOTFOUND;
}

/* --- making ------------------------------------------------------------------------------------
 */

static int config_check(const hx_composer_config *c, uint32_t workers, hx_error *err)
{
    if (c->form > HX_LINE_RFC5424)
        return hx_error_set(err, HX_EINVAL, "form: %d is none that is known", (int)c->form);
    if (c->eps_milli < 1 || c->eps_milli > NS_TIMES_MILLI)
        return hx_error_set(err, HX_EINVAL, "eps: not from 0.001 to 1000000000");
    if (c->start_ns < 0)
        return hx_error_set(err, HX_EINVAL, "start: before 1970");
    if (!(c->anomaly_rate >= 0 && c->anomaly_rate <= 1))
        return hx_error_set(err, HX_EINVAL, "anomaly_rate: %g is not from 0 to 1", c->anomaly_rate);
    if (c->worker >= workers)
        return hx_error_set(err, HX_EINVAL, "worker: %u is not below %u", c->worker, workers);
    if (workers > c->profile->host_count)
        return hx_error_set(err, HX_EINVAL, "workers: %u, but the profile has only %u hosts",
                            workers, c->profile->host_count);
    return 0;
}

static uint32_t sessions_live(const hx_composer_config *c, uint32_t workers)
{
    uint64_t sessions = c->sessions;

    if (sessions == 0) {
        sessions = c->eps_milli * SECONDS_PER_SESSION_EVENT / 1000;
        if (sessions > HX_SESSIONS_DEFAULT_MAX)
            sessions = HX_SESSIONS_DEFAULT_MAX;
        if (sessions < SESSIONS_MIN)
            sessions = SESSIONS_MIN;
    }
    return (uint32_t)((sessions + workers - 1) / workers);
}

/* The time of event `sequence`, and from there on in steps of `every` events. */
static void clock_start(hx_composer *c, int64_t start_ns, uint64_t eps_milli, uint64_t sequence,
                        uint64_t every)
{
    unsigned __int128 offset = (unsigned __int128)sequence * NS_TIMES_MILLI;
    unsigned __int128 step = (unsigned __int128)every * NS_TIMES_MILLI;

    c->time_base = eps_milli;
    c->time_ns = start_ns + (int64_t)(offset / eps_milli);
    c->time_part = (uint64_t)(offset % eps_milli);
    c->step_ns = (int64_t)(step / eps_milli);
    c->step_part = (uint64_t)(step % eps_milli);
    hx_stamp_start(&c->stamp, c->config.form, c->time_ns);
}

int hx_composer_create(const hx_composer_config *config, hx_composer **out, hx_error *err)
{
    const hx_profile *p = config->profile;
    uint32_t workers = config->workers ? config->workers : 1;
    int rc = config_check(config, workers, err);
    hx_composer *c;

    if (rc)
        return rc;
    c = calloc(1, sizeof *c);
    if (!c)
        return hx_error_set(err, HX_ENOMEM, "composer: out of memory");
    uint32_t layout = config->form == HX_LINE_RFC5424;
    uint64_t seed = hx_hash_u64(hx_hash_u64(HX_HASH_SEED, config->seed), config->worker);
    uint32_t host_first = (uint32_t)((uint64_t)p->host_count * config->worker / workers);
    uint32_t host_end = (uint32_t)((uint64_t)p->host_count * (config->worker + 1) / workers);
    c->config = *config;
    c->random = hx_hash_u64(seed, 1);
    c->sequence = config->worker;
    c->sequence_step = workers;
    c->texts = p->texts[layout];
    c->pieces = p->pieces;
    c->literals = p->literals;
    c->text_refs = p->text_refs;
    c->steps = p->steps;
    c->first_mutant = p->normal_count;
    clock_start(c, config->start_ns, config->eps_milli, config->worker, workers);
    rc = hx_slots_create(&c->live, config, sessions_live(config, workers), host_first,
                         host_end - host_first, hx_hash_u64(seed, 2));
    if (!rc) {
        c->open =
            calloc(c->live.pools[0].slot_count + c->live.pools[1].slot_count, sizeof *c->open);
        rc = c->open ? 0 : HX_ENOMEM;
    }
    if (rc) {
        hx_composer_destroy(c);
        return hx_error_set(err, rc, "composer: %s", hx_strerror(rc));
    }
    *out = c;
    return 0;
}

void hx_composer_destroy(hx_composer *c)
{
    if (!c)
        return;
    hx_slots_destroy(&c->live);
    free(c->open);
    free(c);
}

int hx_composer_pace(hx_composer *c, int64_t time_ns, uint64_t eps_milli)
{
    if (time_ns < c->last_time_ns || eps_milli < 1 || eps_milli > NS_TIMES_MILLI)
        return HX_EINVAL;
    clock_start(c, time_ns, eps_milli, 0, 1);
    return 0;
}

/* --- episodes ----------------------------------------------------------------------------------
 */

static void episode_report(hx_composer *c, uint32_t slot, bool complete)
{
    static const char *const kinds[STORM_KINDS] = {
        [STORM_NORMAL] = "normal",
        [STORM_SKIPPED] = "step_skipped",
        [STORM_REORDERED] = "steps_out_of_order",
        [STORM_REPEATED] = "failure_repeated",
        [STORM_NEVER_SEEN] = "never_seen_message",
    };
    const storm_flow *flow = &c->config.profile->flows[c->live.slots[slot].flow];
    open_episode *open = &c->open[slot];
    hx_episode e = {
        .kind = kinds[flow->kind],
        .technique = flow->technique[0] ? flow->technique : NULL,
        .first_time_ns = open->first_time_ns,
        .last_time_ns = open->last_time_ns,
        .first_event = open->first_event,
        .last_event = open->last_event,
        .events = open->events,
        .complete = complete,
    };

    open->events = 0;
    if (!c->config.on_episode)
        return;
    uint64_t id = hx_hash_u64(hx_hash_u64(HX_HASH_SEED, c->config.seed), e.first_event);
    snprintf(e.id, sizeof e.id, "%016llx", (unsigned long long)id);
    hx_slots_session_name(&c->live, slot, e.session, sizeof e.session);
    memcpy(e.host, c->live.hosts[c->live.slots[slot].host].name, sizeof e.host - 1);
    c->config.on_episode(c->config.context, &e);
}

static __attribute__((noinline)) void episode_event(hx_composer *c, uint32_t slot, bool last)
{
    open_episode *open = &c->open[slot];

    if (open->events++ == 0) {
        open->first_event = c->sequence;
        open->first_time_ns = c->time_ns;
    }
    open->last_event = c->sequence;
    open->last_time_ns = c->time_ns;
    if (last)
        episode_report(c, slot, true);
}

void hx_composer_finish(hx_composer *c)
{
    uint32_t count = c->live.pools[0].slot_count + c->live.pools[1].slot_count;

    for (uint32_t i = 0; i < count; i++)
        if (c->open[i].events)
            episode_report(c, i, false);
}

/* --- composing ---------------------------------------------------------------------------------
 */

/* Copies at least len bytes, in blocks of 16; nearly all literals and values are below 32. */
static inline char *put_blocks(char *out, const char *bytes, uint32_t len)
{
    memcpy(out, bytes, 16);
    memcpy(out + 16, bytes + 16, 16);
    for (uint32_t i = 32; i < len; i += 16)
        memcpy(out + i, bytes + i, 16);
    return out + len;
}

static inline char *put_value(char *out, const storm_piece *piece, uint64_t draw)
{
    uint32_t i = hx_random_below(draw, piece->count);

    if (!piece->table)
        return hx_number_write(out, piece->base + i);
    const char *value = piece->table + (size_t)i * piece->stride;
    uint8_t len = (uint8_t)value[piece->stride - 1];
    memcpy(out, value, 16);
    for (uint32_t k = 16; k < len; k += 16)
        memcpy(out + k, value + k, 16);
    return out + len;
}

static inline char *put_text(hx_composer *c, char *out, const storm_text *text, uint32_t seed)
{
    const storm_piece *piece = c->pieces + text->first_piece;
    const storm_piece *end = piece + text->piece_count;

    for (; piece < end; piece++) {
        uint64_t drawn = hx_random_next(&c->random);
        uint64_t kept = hx_hash_mix(seed ^ piece->salt, UINT64_C(0xe7037ed1a0b428db));

        out = put_blocks(out, c->literals + piece->literal, piece->literal_len);
        out = put_value(out, piece, piece->salt ? kept : drawn);
    }
    return put_blocks(out, c->literals + text->tail, text->tail_len);
}

static inline uint32_t slot_draw(hx_composer *c)
{
    uint64_t draw = hx_random_next(&c->random);
    const storm_pool *pool = &c->live.pools[(uint32_t)draw < c->live.without_pid_below];

    return pool->slot_first + hx_random_below(draw, pool->slot_count);
}

static inline uint32_t compose_line(hx_composer *c, char *out)
{
    uint32_t i = slot_draw(c);
    storm_slot *slot = &c->live.slots[i];
    const storm_step *step = &c->steps[slot->cursor++];
    uint32_t choice = hx_random_below(hx_random_next(&c->random), step->count);
    const storm_text *text = &c->texts[c->text_refs[step->first + choice]];
    bool last = --slot->left == 0;
    char *p = out;

    if (c->time_ns >= c->stamp.until_ns)
        hx_stamp_advance(&c->stamp, c->time_ns);
    memcpy(p, text->pri, sizeof text->pri);
    p += text->pri_len;
    memcpy(p, c->stamp.text, sizeof c->stamp.text);
    p += c->stamp.length;
    memcpy(p, slot->head, sizeof slot->head);
    p += slot->head_len;
    p = put_text(c, p, text, slot->seed);
    if (slot->flow >= c->first_mutant)
        episode_event(c, i, last);
    if (last)
        hx_slots_start(&c->live, i);
    c->slot = i;
    return (uint32_t)(p - out);
}

static inline void clock_advance(hx_composer *c)
{
    c->last_time_ns = c->time_ns;
    c->sequence += c->sequence_step;
    c->time_ns += c->step_ns;
    c->time_part += c->step_part;
    if (c->time_part >= c->time_base) {
        c->time_part -= c->time_base;
        c->time_ns++;
    }
}

uint32_t hx_composer_next(hx_composer *c, char *out, hx_composed *composed)
{
    uint32_t length = compose_line(c, out);

    if (composed)
        *composed = (hx_composed){length, c->slot, c->sequence, c->time_ns};
    clock_advance(c);
    return length;
}

size_t hx_composer_fill(hx_composer *c, char *out, size_t capacity, uint64_t max_events,
                        uint64_t *events)
{
    char *p = out;
    uint64_t made = 0;

    while (made < max_events && capacity - (size_t)(p - out) >= HX_LINE_ROOM) {
        p += compose_line(c, p);
        *p++ = '\n';
        clock_advance(c);
        made++;
    }
    *events = made;
    return (size_t)(p - out);
}
