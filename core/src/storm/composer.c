/* Composer: made from its configuration, its clock, and the names of what it may be told. */
#include "storm/composer.h"

#include <stdlib.h>

static const uint64_t NS_TIMES_MILLI = UINT64_C(1000000000000);

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

int hx_anomaly_kinds_parse(const char *names, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } known[] = {
        {"step_skipped", HX_ANOMALY_STEP_SKIPPED},
        {"steps_out_of_order", HX_ANOMALY_STEPS_OUT_OF_ORDER},
        {"failure_repeated", HX_ANOMALY_FAILURE_REPEATED},
        {"never_seen_message", HX_ANOMALY_NEVER_SEEN_MESSAGE},
        {"value_out_of_range", HX_ANOMALY_VALUE_OUT_OF_RANGE},
        {"message_burst", HX_ANOMALY_MESSAGE_BURST},
        {"host_silence", HX_ANOMALY_HOST_SILENCE},
        {"sessions", HX_ANOMALY_OF_SESSIONS},
        {"all", HX_ANOMALY_ALL},
    };
    uint32_t bits = 0;

    for (const char *name = names;; name++) {
        size_t len = strcspn(name, ","), i = 0, count = sizeof known / sizeof *known;
        while (i < count && (strlen(known[i].name) != len || memcmp(known[i].name, name, len) != 0))
            i++;
        if (i == count)
            return HX_ENOTFOUND;
        bits |= known[i].bits;
        name += len;
        if (!*name)
            break;
    }
    *out = bits;
    return 0;
}

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
    if (c->kinds & ~(uint32_t)HX_ANOMALY_ALL)
        return hx_error_set(err, HX_EINVAL, "kinds: 0x%x has bits that are no kind of anomaly",
                            c->kinds);
    if (c->worker >= workers)
        return hx_error_set(err, HX_EINVAL, "worker: %u is not below %u", c->worker, workers);
    if (workers > c->profile->host_count)
        return hx_error_set(err, HX_EINVAL, "workers: %u, but the profile has only %u hosts",
                            workers, c->profile->host_count);
    if (c->lanes > c->profile->host_count / workers)
        return hx_error_set(err, HX_EINVAL,
                            "lanes: %u for each of %u workers, but the profile has only %u hosts, "
                            "and each lane needs one of its own",
                            c->lanes, workers, c->profile->host_count);
    return 0;
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
}

static int order_create(hx_composer *c)
{
    uint32_t count = c->live.slot_count;

    if (count > UINT16_MAX + 1u)
        c->order_wide = calloc(count, sizeof *c->order_wide);
    else
        c->order = calloc(count, sizeof *c->order);
    if (!c->order && !c->order_wide)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        if (c->order_wide)
            c->order_wide[i] = i;
        else
            c->order[i] = (uint16_t)i;
    }
    return 0;
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
    c->first_mutant = p->normal_count;
    c->alarm = UINT64_MAX;
    if (config->kinds == 0)
        c->config.kinds = HX_ANOMALY_OF_SESSIONS;
    clock_start(c, config->start_ns, config->eps_milli, config->worker, workers);
    hx_stamp_start(&c->stamp, config->form, config->start_ns);
    c->last_time_ns = config->start_ns;
    rc = hx_slots_create(&c->live, &c->config, host_first, host_end - host_first,
                         hx_hash_u64(seed, 2));
    if (!rc)
        rc = order_create(c);
    if (!rc) {
        c->open = calloc(hx_composer_sessions(c), sizeof *c->open);
        c->marks = calloc(hx_composer_sessions(c), sizeof *c->marks);
        rc = c->open && c->marks ? 0 : HX_ENOMEM;
    }
    if (!rc)
        rc = hx_storm_disturbances_create(c, hx_hash_u64(seed, 3));
    if (rc) {
        hx_composer_destroy(c);
        return hx_error_set(err, rc, "composer: %s", hx_strerror(rc));
    }
    /* Sessions that all speak in every turn would keep step with each other for ever. */
    c->turn_end = config->lanes ? 0 : c->live.slot_count / 2;
    hx_storm_turn_start(c, 0);
    *out = c;
    return 0;
}

void hx_composer_destroy(hx_composer *c)
{
    if (!c)
        return;
    hx_storm_disturbances_destroy(c);
    hx_slots_destroy(&c->live);
    free(c->open);
    free(c->marks);
    free(c->order);
    free(c->order_wide);
    free(c);
}

uint32_t hx_composer_sessions(const hx_composer *c)
{
    return c->live.lane_count * c->live.slot_count;
}

int64_t hx_composer_time(const hx_composer *c)
{
    return c->time_ns;
}

int hx_composer_pace(hx_composer *c, int64_t time_ns, uint64_t eps_milli)
{
    if (time_ns < c->last_time_ns || eps_milli < 1 || eps_milli > NS_TIMES_MILLI)
        return HX_EINVAL;
    clock_start(c, time_ns, eps_milli, 0, 1);
    return 0;
}

void hx_composer_finish(hx_composer *c)
{
    for (uint32_t i = 0; i < hx_composer_sessions(c); i++)
        if (c->open[i].events)
            hx_storm_episode_of_session(c, &c->live.slots[i], &c->open[i], false);
    if (c->disturbances)
        hx_storm_disturbances_finish(c);
}
