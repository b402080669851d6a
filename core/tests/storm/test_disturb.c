/* Anomalies by kind, read back from the lines: values that normal traffic never has, bursts, silent
 * hosts; only the kinds that are asked for, and the same ones for the same seed. */
#include "../check.h"
#include "lines.h"
#include "small.h"

enum {
    HOSTS = 40,
    PIDS = 500,
    PID_FIRST = 95,
    PID_OF_BURSTS = PID_FIRST + PIDS - PIDS / 4, /* those that are kept for bursts */
    EVENTS = 60000,
};

typedef struct line {
    fields f;
    hx_composed e;
} line;

static line lines[EVENTS];
static episodes all;

/* Composes EVENTS lines in turns of random lanes and lengths. */
static void lines_make(hx_composer_config config)
{
    char out[HX_LINE_ROOM];
    uint64_t random = config.seed + 1;
    uint32_t left = 0;

    all.count = 0;
    config.on_episode = episode_keep;
    config.context = &all;
    hx_composer *c = composer_make(config);
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (config.lanes && left-- == 0) {
            random = hx_hash_mix(random, 77);
            left = (uint32_t)(random >> 32) % (hx_composer_sessions(c) / config.lanes);
            hx_composer_turn(c, (uint32_t)random % config.lanes);
        }
        lines[i].f = fields_cut(config.form, out, hx_composer_next(c, out, &lines[i].e));
    }
    hx_composer_finish(c);
    hx_composer_destroy(c);
    CHECK(all.count > 0 && all.count < sizeof all.list / sizeof *all.list);
}

static bool is_of(const hx_episode *e, const line *l)
{
    char session[96];

    snprintf(session, sizeof session, "%s %s%s%s", l->f.host, l->f.process, l->f.pid[0] ? " " : "",
             l->f.pid);
    return l->e.sequence >= e->first_event && l->e.sequence <= e->last_event &&
           strcmp(session, e->session) == 0;
}

static bool is_odd(const fields *f)
{
    uint32_t few;

    return strstr(f->message, " mallory") || strstr(f->message, " trudy") ||
           (sscanf(f->message, "hot %u", &few) == 1 && few > 11);
}

/* --- values ------------------------------------------------------------------------------------
 */

/* An anomalous session goes a normal way, and one line of it has an odd value; no other line has.
 */
static void test_values(void)
{
    uint32_t odd = 0, labelled = 0;

    lines_make((hx_composer_config){
        .seed = 4, .anomaly_rate = 0.02, .kinds = HX_ANOMALY_VALUE_OUT_OF_RANGE});
    for (uint32_t i = 0; i < EVENTS; i++)
        odd += is_odd(&lines[i].f);
    CHECK(odd > 50);
    for (uint32_t k = 0; k < all.count; k++) {
        const hx_episode *e = &all.list[k];
        uint32_t step = 0, found = 0, events = 0;

        CHECK(strcmp(e->kind, "value_out_of_range") == 0);
        CHECK(strstr(e->session, "app") ? strcmp(e->technique, "T1078") == 0 : !e->technique);
        for (uint64_t i = e->first_event; i <= e->last_event; i++) {
            if (!is_of(e, &lines[i]))
                continue;
            events++;
            step = step_after(step, lines[i].f.message);
            CHECK(step != 0);
            found += is_odd(&lines[i].f);
        }
        CHECK_INT(events, e->events);
        CHECK(found == 1 || (found == 0 && !e->complete));
        CHECK(step == 9 || !e->complete);
        labelled += found;
    }
    CHECK_INT(labelled, odd);
}

static void test_kinds(void)
{
    static const char *const names[] = {
        "step_skipped",       "steps_out_of_order", "failure_repeated", "never_seen_message",
        "value_out_of_range", "message_burst",      "host_silence"};
    static const struct {
        const char *names;
        int rc;
        uint32_t bits;
    } parsed[] = {
        {"step_skipped", 0, 1},
        {"host_silence,step_skipped", 0, 65},
        {"all", 0, 127},
        {"sessions", 0, 31},
        {"sessions,message_burst", 0, 63},
        {"message_burst,message_burst", 0, 32},
        {"", HX_ENOTFOUND, 0},
        {"step_skipped,", HX_ENOTFOUND, 0},
        {",all", HX_ENOTFOUND, 0},
        {"step", HX_ENOTFOUND, 0},
        {"all ", HX_ENOTFOUND, 0},
        {"step_skipped;all", HX_ENOTFOUND, 0},
    };

    for (size_t i = 0; i < sizeof parsed / sizeof *parsed; i++) {
        uint32_t bits = 0;
        CHECK_INT(hx_anomaly_kinds_parse(parsed[i].names, &bits), parsed[i].rc);
        CHECK_INT(bits, parsed[i].bits);
    }
    for (uint32_t kinds = 0; kinds < 128; kinds = kinds ? kinds * 2 : 1) {
        lines_make((hx_composer_config){.seed = kinds,
                                        .lanes = 2,
                                        .anomaly_rate = 0.01,
                                        .disturbance_events = 3000,
                                        .kinds = kinds});
        for (uint32_t k = 0; k < all.count; k++) {
            uint32_t kind = 0;
            while (strcmp(names[kind], all.list[k].kind) != 0)
                kind++;
            CHECK((kinds ? kinds : HX_ANOMALY_OF_SESSIONS) >> kind & 1);
        }
    }
}

/* --- of hosts ----------------------------------------------------------------------------------
 */

static void check_burst(const hx_episode *e, uint32_t lanes, uint32_t sessions)
{
    static uint32_t seen_by[PIDS]; /* the burst that had the pid last */
    static uint32_t bursts;
    uint32_t events = 0, since = 0, lane = UINT32_MAX, of_lane = 0;
    bool flood = e->technique != NULL;

    bursts++;
    for (uint64_t i = e->first_event; i <= e->last_event; i++) {
        const fields *f = &lines[i].f;
        if (lane == UINT32_MAX)
            lane = lines[i].e.session / (sessions / lanes);
        of_lane += lines[i].e.session / (sessions / lanes) == lane;
        since++;
        if (strcmp(f->host, e->host) != 0 || atoi(f->pid) < PID_OF_BURSTS)
            continue;
        CHECK(strcmp(f->process, flood ? "sshd" : "app") == 0);
        CHECK(strcmp(f->pri, flood ? "84" : "30") == 0);
        CHECK(strncmp(f->message, flood ? "flood " : "end ", flood ? 6 : 4) == 0);
        uint32_t *by = &seen_by[atoi(f->pid) - PID_FIRST];
        CHECK(*by != bursts);
        *by = bursts;
        events++;
        since = 0;
    }
    CHECK_INT(events, e->events);
    CHECK_INT(since, 0); /* the last event is of the burst */
    if (!e->complete)
        return;
    CHECK(events >= (flood ? 20 : 30) && events <= (flood ? 60 : 40));
    CHECK(of_lane > 12 * (events - 1) && of_lane < 20 * (events - 1));
}

static void check_silence(const hx_episode *e)
{
    bool before = false, after = false;

    CHECK_INT(e->events, 0);
    CHECK(!e->technique);
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (strcmp(lines[i].f.host, e->host) != 0)
            continue;
        CHECK(i < e->first_event || i > e->last_event);
        before |= i < e->first_event;
        after |= i > e->last_event;
    }
    int64_t ms = (e->last_time_ns - e->first_time_ns) / 1000000;
    CHECK(before);
    CHECK(!e->complete || (ms >= 2000 && ms <= 20001));
    CHECK(after || e->last_event > EVENTS - 3000);
}

/* Apart from bursts' lines, every session goes a normal way, also across its host's silence: in the
 * same slot, under the same name. */
static void check_sessions(void)
{
    seen *table = calloc(SESSIONS, sizeof *table);

    CHECK(table != NULL);
    for (uint32_t i = 0; i < EVENTS; i++) {
        const fields *f = &lines[i].f;
        if (atoi(f->pid) >= PID_OF_BURSTS)
            continue;
        seen *s = seen_find(table, f);
        CHECK(s->step == 0 || s->slot == lines[i].e.session);
        s->slot = lines[i].e.session;
        s->step = step_after(s->step, f->message);
        CHECK(s->step != 0);
        if (s->step == 9)
            s->step = 0;
    }
    free(table);
}

static void test_disturbances(void)
{
    enum { EVERY = 2000 };
    static const hx_composer_config configs[] = {
        {.seed = 1},
        {.seed = 2, .lanes = 1, .sessions = 300},
        {.seed = 3, .lanes = 3},
        {.seed = 4, .lanes = 5, .sessions = 2000},
        {.seed = 5, .lanes = 8, .sessions = 500},
        {.seed = 6, .sessions = 50, .form = HX_LINE_RFC5424},
    };

    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        hx_composer_config config = configs[i];
        uint32_t bursts = 0, silences = 0, lanes = config.lanes ? config.lanes : 1;

        config.kinds = HX_ANOMALY_MESSAGE_BURST | HX_ANOMALY_HOST_SILENCE;
        config.disturbance_events = EVERY;
        lines_make(config);
        hx_composer *c = composer_make(config);
        uint32_t sessions = hx_composer_sessions(c), labelled = 0, written = 0;
        hx_composer_destroy(c);
        for (uint32_t k = 0; k < all.count; k++) {
            const hx_episode *e = &all.list[k];
            bool is_burst = strcmp(e->kind, "message_burst") == 0;
            CHECK(e->session[0] == '\0');
            CHECK(e->first_event <= e->last_event && e->last_event < EVENTS);
            CHECK_INT(e->first_time_ns, lines[e->first_event].e.time_ns);
            CHECK_INT(e->last_time_ns, lines[e->last_event].e.time_ns);
            for (uint32_t other = 0; other < k; other++)
                CHECK(strcmp(all.list[other].id, e->id) != 0);
            if (is_burst)
                check_burst(e, lanes, sessions);
            else
                check_silence(e);
            bursts += is_burst;
            silences += !is_burst;
            labelled += e->events;
        }
        for (uint32_t k = 0; k < EVENTS; k++)
            written += atoi(lines[k].f.pid) >= PID_OF_BURSTS;
        CHECK_INT(labelled, written);
        CHECK(bursts + silences > EVENTS / EVERY / 2 && bursts + silences < EVENTS / EVERY * 2);
        CHECK(bursts >= 5 && silences >= 5);
        check_sessions();
    }
}

/* The same seed and turns: the same disturbances, in any form. */
static void test_repeated(void)
{
    static hx_episode first[4096];
    hx_composer_config config = {.seed = 9,
                                 .lanes = 4,
                                 .anomaly_rate = 0.01,
                                 .disturbance_events = 1500,
                                 .kinds = HX_ANOMALY_ALL};
    uint32_t count = 0;

    for (config.form = HX_LINE_ISO; config.form <= HX_LINE_RFC5424; config.form++) {
        lines_make(config);
        if (config.form == HX_LINE_ISO) {
            count = all.count;
            memcpy(first, all.list, sizeof first);
        }
        CHECK_INT(all.count, count);
        for (uint32_t k = 0; k < count; k++) {
            char one[HX_EPISODE_JSON_MAX], two[HX_EPISODE_JSON_MAX];
            uint32_t one_len = hx_episode_format(&first[k], one);
            CHECK_BYTES(two, hx_episode_format(&all.list[k], two), one, one_len);
        }
    }
}

int main(void)
{
    hx_error err;

    CHECK_INT(hx_profile_create(SMALL_PROFILE, sizeof SMALL_PROFILE - 1, &profile, &err), 0);
    test_values();
    test_kinds();
    test_disturbances();
    test_repeated();
    hx_profile_destroy(profile);
    return 0;
}
