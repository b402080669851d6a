/* Composing: the forms, exact times, sessions that never share a name, values that a session keeps,
 * anomalies that normal traffic never looks like, and the same bytes for the same seed. */
#include "../check.h"
#include "lines.h"
#include "small.h"

#include <ctype.h>

/* --- forms -------------------------------------------------------------------------------------
 */

static void test_forms(void)
{
    hx_composer *c[3];
    char line[HX_LINE_ROOM];

    for (int form = 0; form < 3; form++)
        c[form] = composer_make(
            (hx_composer_config){.form = (hx_line_form)form, .seed = 7, .anomaly_rate = 0.05});
    for (int i = 0; i < 5000; i++) {
        fields f[3];
        for (int form = 0; form < 3; form++) {
            uint32_t len = hx_composer_next(c[form], line, NULL);
            f[form] = fields_cut((hx_line_form)form, line, len);
            CHECK(strcmp(f[form].host, f[0].host) == 0);
            CHECK(strcmp(f[form].process, f[0].process) == 0);
            CHECK(strcmp(f[form].pri, f[0].pri) == 0);
            CHECK(strcmp(f[form].pid, f[0].pid) == 0);
            CHECK(strcmp(f[form].message, f[0].message) == 0);
        }
        CHECK((f[0].pid[0] == '\0') == (strcmp(f[0].process, "kernel") == 0));
    }
    for (int form = 0; form < 3; form++)
        hx_composer_destroy(c[form]);
}

/* --- time --------------------------------------------------------------------------------------
 */

static void test_times(void)
{
    static const uint64_t rates[] = {1, 500, 1000, 7000, 3000000, 999999937, UINT64_C(20000000000)};
    char line[HX_LINE_ROOM];

    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        hx_composer *c = composer_make((hx_composer_config){
            .eps_milli = rates[r], .worker = 1, .workers = 3, .start_ns = 1000});
        for (uint64_t i = 0; i < 3000; i++) {
            hx_composed e;
            uint32_t len = hx_composer_next(c, line, &e);
            unsigned __int128 ns = (unsigned __int128)e.sequence * UINT64_C(1000000000000);

            CHECK_INT(e.length, len);
            CHECK_INT(e.sequence, 1 + 3 * i);
            CHECK_INT(e.time_ns, 1000 + (int64_t)(ns / rates[r]));
        }
        hx_composer_destroy(c);
    }
}

static void test_pace(void)
{
    hx_composer *c = composer_make((hx_composer_config){.eps_milli = 1000000, .start_ns = 5000});
    char line[HX_LINE_ROOM];
    hx_composed e;

    for (int i = 0; i < 10; i++)
        hx_composer_next(c, line, &e);
    CHECK_INT(e.time_ns, 5000 + 9 * 1000000);
    CHECK_INT(hx_composer_pace(c, 0, 1000), HX_EINVAL);
    CHECK_INT(hx_composer_pace(c, 50000000, 0), HX_EINVAL);
    CHECK_INT(hx_composer_pace(c, 50000000, 2000000), 0);
    hx_composer_next(c, line, &e);
    CHECK_INT(e.time_ns, 50000000);
    hx_composer_next(c, line, &e);
    CHECK_INT(e.time_ns, 50500000);
    CHECK_INT(e.sequence, 11);
    CHECK_INT(hx_composer_pace(c, hx_composer_time(c), 4000000), 0);
    for (int i = 0; i < 9; i++) {
        hx_composer_next(c, line, &e);
        CHECK_INT(e.time_ns, 51000000 + i * 250000);
    }
    hx_composer_destroy(c);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static void test_sessions(void)
{
    enum { EVENTS = 60000, REUSE_MIN = 10000 };
    hx_composer *c = composer_make((hx_composer_config){.seed = 3, .eps_milli = 100000});
    seen *table = calloc(SESSIONS, sizeof *table);
    char line[HX_LINE_ROOM], user[64];

    CHECK(table != NULL);
    for (uint64_t i = 1; i <= EVENTS; i++) {
        hx_composed e;
        uint32_t len = hx_composer_next(c, line, &e);
        fields f = fields_cut(HX_LINE_ISO, line, len);
        seen *s = seen_find(table, &f);
        uint32_t step = step_after(s->step, f.message);

        if (!step)
            fprintf(stderr, "after step %u: %.*s\n", s->step, (int)len, line);
        CHECK(step != 0);
        if (s->step == 0) {
            CHECK(f.pid[0] == '\0' || s->ended == 0 || i - s->ended > REUSE_MIN);
            s->slot = e.session;
            s->user[0] = '\0';
        }
        CHECK_INT(s->slot, e.session);
        if (sscanf(f.message, "%*[a-z] %63[a-z ,]", user) == 1 && !isdigit(user[0]) &&
            strncmp(f.message, "work", 4) != 0) {
            if (s->user[0])
                CHECK(strncmp(s->user, user, 3) == 0);
            memcpy(s->user, user, sizeof user);
        }
        s->step = step == 9 ? 0 : step;
        if (step == 9)
            s->ended = i;
    }
    free(table);
    hx_composer_destroy(c);
}

/* --- anomalies ---------------------------------------------------------------------------------
 */

static const hx_episode *episode_of(const episodes *all, const char *session, uint64_t event)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (event >= all->list[i].first_event && event <= all->list[i].last_event &&
            strcmp(all->list[i].session, session) == 0)
            return &all->list[i];
    return NULL;
}

/* Every session without an episode is normal; every one with an episode is not, and its count,
 * times and kind are what the lines say. */
static void test_episodes(void)
{
    enum { EVENTS = 30000 };
    static episodes all;
    static struct {
        fields f;
        hx_composed e;
    } event[EVENTS];
    static uint32_t events_of[4096];
    uint32_t kinds[256] = {0};
    hx_composer *c = composer_make((hx_composer_config){
        .seed = 11, .anomaly_rate = 0.1, .on_episode = episode_keep, .context = &all});
    seen *table = calloc(SESSIONS, sizeof *table);
    char line[HX_LINE_ROOM];

    all.count = 0;
    for (int i = 0; i < EVENTS; i++)
        event[i].f = fields_cut(HX_LINE_ISO, line, hx_composer_next(c, line, &event[i].e));
    hx_composer_finish(c);
    CHECK(all.count > 500 && all.count < 4096);
    for (int i = 0; i < EVENTS; i++) {
        char session[96];
        const fields *f = &event[i].f;

        snprintf(session, sizeof session, "%s %s%s%s", f->host, f->process, f->pid[0] ? " " : "",
                 f->pid);
        const hx_episode *e = episode_of(&all, session, event[i].e.sequence);
        if (e) {
            events_of[e - all.list]++;
            CHECK(strcmp(e->host, f->host) == 0);
            if (event[i].e.sequence == e->first_event)
                CHECK_INT(event[i].e.time_ns, e->first_time_ns);
            if (event[i].e.sequence == e->last_event)
                CHECK_INT(event[i].e.time_ns, e->last_time_ns);
            continue;
        }
        seen *s = seen_find(table, f);
        uint32_t step = step_after(s->step, f->message);
        CHECK(step != 0);
        s->step = step == 9 ? 0 : step;
    }
    for (uint32_t i = 0; i < all.count; i++) {
        const hx_episode *e = &all.list[i];
        CHECK_INT(e->events, events_of[i]);
        kinds[(uint8_t)e->kind[5]]++; /* step_, steps, failu, never: the sixth letter differs */
        if (strcmp(e->kind, "failure_repeated") == 0) {
            CHECK(strcmp(e->technique, "T1110") == 0);
            CHECK(!e->complete || (e->events >= 8 && e->events <= 20));
        }
        for (uint32_t k = 0; k < i; k++)
            CHECK(strcmp(all.list[k].id, e->id) != 0);
    }
    CHECK(kinds['s'] > 50 && kinds['_'] > 50 && kinds['r'] > 50);
    free(table);
    hx_composer_destroy(c);
}

static void test_episode_text(void)
{
    hx_episode e = {.id = "0123456789abcdef",
                    .kind = "step_skipped",
                    .session = "node01 app 12",
                    .host = "node01",
                    .first_time_ns = 1000000,
                    .last_time_ns = 2000000,
                    .first_event = 3,
                    .last_event = 9,
                    .events = 2};
    char out[HX_EPISODE_JSON_MAX];
    const char *want =
        "{\"id\": \"0123456789abcdef\", \"kind\": \"step_skipped\", \"technique\": null, "
        "\"session\": \"node01 app 12\", \"host\": \"node01\", "
        "\"first_time\": \"1970-01-01T00:00:00.001Z\", \"last_time\": "
        "\"1970-01-01T00:00:00.002Z\", "
        "\"first_event\": 3, \"last_event\": 9, \"events\": 2, \"complete\": false}\n";

    CHECK_BYTES(out, hx_episode_format(&e, out), want, strlen(want));
}

/* --- bytes -------------------------------------------------------------------------------------
 */

/* next and fill, in small and in large pieces, write the same; another seed does not. */
static void test_same_bytes(void)
{
    enum { ROOM = 1 << 18, EVENTS = 1500 };
    char *one = malloc(ROOM), *two = malloc(ROOM), *three = malloc(ROOM);
    hx_composer *a = composer_make((hx_composer_config){.seed = 5, .anomaly_rate = 0.2});
    hx_composer *b = composer_make((hx_composer_config){.seed = 5, .anomaly_rate = 0.2});
    hx_composer *d = composer_make((hx_composer_config){.seed = 6, .anomaly_rate = 0.2});
    size_t one_len = 0, two_len = 0;
    uint64_t events, three_events;

    for (int i = 0; i < EVENTS; i++) {
        one_len += hx_composer_next(a, one + one_len, NULL);
        one[one_len++] = '\n';
    }
    for (uint64_t done = 0; done < EVENTS; done += events)
        two_len += hx_composer_fill(b, two + two_len, HX_LINE_ROOM + 1000 * (done % 5),
                                    EVENTS - done, &events);
    CHECK_BYTES(two, two_len, one, one_len);
    size_t three_len = hx_composer_fill(d, three, ROOM, EVENTS, &three_events);
    CHECK_INT(three_events, EVENTS);
    CHECK(three_len != one_len || memcmp(three, one, one_len) != 0);
    hx_composer_destroy(a);
    hx_composer_destroy(b);
    hx_composer_destroy(d);
    free(one);
    free(two);
    free(three);
}

/* A line at the very end of its room: not a byte past it. */
static void test_room(void)
{
    hx_composer *c = composer_make((hx_composer_config){.seed = 5});
    char blank[HX_LINE_ROOM] = {0};
    char *room = check_guard_copy(blank, sizeof blank);

    for (int i = 0; i < 5000; i++)
        CHECK(hx_composer_next(c, room, NULL) <= hx_profile_facts_get(profile).line_bytes);
    check_guard_free(room, sizeof blank);
    hx_composer_destroy(c);
}

/* Workers have hosts of their own. */
static void test_workers(void)
{
    static uint8_t worker_of[41];
    char line[HX_LINE_ROOM];

    for (uint32_t w = 0; w < 7; w++) {
        hx_composer *c = composer_make((hx_composer_config){.worker = w, .workers = 7});
        for (int i = 0; i < 2000; i++) {
            fields f = fields_cut(HX_LINE_ISO, line, hx_composer_next(c, line, NULL));
            int host = atoi(f.host + strlen("node"));
            CHECK(host >= 1 && host <= 40);
            CHECK(worker_of[host] == 0 || worker_of[host] == w + 1);
            worker_of[host] = (uint8_t)(w + 1);
        }
        hx_composer_destroy(c);
    }
    for (int host = 1; host <= 40; host++)
        CHECK(worker_of[host] != 0);
}

/* --- lanes and turns ---------------------------------------------------------------------------
 */

/* Over random settings: a turn's events are of its lane, no session speaks twice in it by number or
 * by name, and a lane has hosts of its own. */
static void test_turns(void)
{
    enum { RUNS = 60, TURNS = 30 };
    char line[HX_LINE_ROOM];
    uint64_t random = 1;

    for (uint32_t run = 0; run < RUNS; run++) {
        uint32_t lanes = 1 + (uint32_t)((random = hx_hash_mix(random, 77)) % 13);
        uint32_t workers = 1 + (uint32_t)(random >> 20) % 3, lane_of[41] = {0};
        hx_composer *c =
            composer_make((hx_composer_config){.seed = run,
                                               .lanes = lanes,
                                               .workers = workers,
                                               .worker = run % workers,
                                               .sessions = (uint32_t)(random >> 24) % 3000,
                                               .anomaly_rate = run % 2 ? 0.2 : 0});
        uint32_t each = hx_composer_sessions(c) / lanes, *turn_of = calloc(each * lanes, 4);
        seen *table = calloc(SESSIONS, sizeof *table);

        CHECK(table && turn_of && hx_composer_sessions(c) == each * lanes && each > 0);
        for (uint32_t turn = 1; turn <= TURNS; turn++) {
            uint32_t lane = (uint32_t)((random = hx_hash_mix(random + turn, 77)) % lanes);
            uint32_t count = turn % 3 ? each : (uint32_t)(random >> 32) % (each + 1);
            hx_composer_turn(c, lane);
            for (uint32_t i = 0; i < count; i++) {
                hx_composed e;
                fields f = fields_cut(HX_LINE_ISO, line, hx_composer_next(c, line, &e));
                seen *s = seen_find(table, &f);
                uint32_t host = (uint32_t)atoi(f.host + strlen("node"));

                CHECK_INT(e.session / each, lane);
                CHECK(turn_of[e.session] != turn && s->step != turn);
                CHECK(host >= 1 && host <= 40 && lane_of[host] <= lanes);
                CHECK(lane_of[host] == 0 || lane_of[host] == lane + 1);
                lane_of[host] = lane + 1;
                turn_of[e.session] = s->step = turn;
            }
        }
        free(turn_of);
        free(table);
        hx_composer_destroy(c);
    }
}

/* The same turns: the same bytes, by lines or in batches. */
static void test_turns_repeated(void)
{
    enum { ROOM = 1 << 16, TURNS = 40, LANES = 4 };
    hx_composer_config config = {.seed = 5,
                                 .lanes = LANES,
                                 .anomaly_rate = 0.2,
                                 .kinds = HX_ANOMALY_ALL,
                                 .disturbance_events = 300};
    hx_composer *a = composer_make(config), *b = composer_make(config);
    char *one = malloc(ROOM), *two = malloc(ROOM);

    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t count = turn * 37 % 100 + 1;
        uint64_t events;
        size_t len = 0;

        hx_composer_turn(a, turn * 3 % LANES);
        hx_composer_turn(b, turn * 3 % LANES);
        for (uint32_t i = 0; i < count; i++) {
            len += hx_composer_next(a, one + len, NULL);
            one[len++] = '\n';
        }
        size_t two_len = hx_composer_fill(b, two, ROOM, count, &events);
        CHECK_INT(events, count);
        CHECK_BYTES(two, two_len, one, len);
    }
    hx_composer_destroy(a);
    hx_composer_destroy(b);
    free(one);
    free(two);
}

/* Of all lines, the flows have the shares that the profile says: app 40, sshd 40, kernel 20. */
static void test_shares(void)
{
    enum { EVENTS = 60000 };
    static const hx_composer_config configs[] = {
        {.seed = 1, .eps_milli = 1000},
        {.seed = 2, .eps_milli = 1000000},
        {.seed = 3, .sessions = 20, .anomaly_rate = 0.001},
        {.seed = 4, .sessions = 4000},
        {.seed = 5, .sessions = 60, .workers = 3, .worker = 1},
        {.seed = 6, .lanes = 1},
        {.seed = 7, .lanes = 3, .sessions = 120},
        {.seed = 8, .lanes = 2, .workers = 2, .sessions = 100},
    };
    static const struct {
        const char *process;
        uint32_t of_100;
    } shares[] = {{"app", 40}, {"sshd", 40}, {"kernel", 20}};
    char line[HX_LINE_ROOM];

    for (size_t k = 0; k < sizeof configs / sizeof *configs; k++) {
        hx_composer *c = composer_make(configs[k]);
        uint32_t lanes = configs[k].lanes ? configs[k].lanes : 1, count[3] = {0};
        uint32_t each = hx_composer_sessions(c) / lanes, left = 0, lane = 0;

        for (uint32_t i = 0; i < EVENTS; i++) {
            if (configs[k].lanes && left-- == 0) {
                left = each - 1 - lane % 2 * (each / 3);
                hx_composer_turn(c, lane++ % lanes);
            }
            fields f = fields_cut(HX_LINE_ISO, line, hx_composer_next(c, line, NULL));
            for (uint32_t p = 0; p < 3; p++)
                count[p] += strcmp(f.process, shares[p].process) == 0;
        }
        for (uint32_t p = 0; p < 3; p++) {
            double share = 100.0 * count[p] / EVENTS;
            if (share < shares[p].of_100 - 2.0 || share > shares[p].of_100 + 2.0) {
                fprintf(stderr, "settings %zu: %s has %.1f of 100 lines\n", k, shares[p].process,
                        share);
                exit(1);
            }
        }
        hx_composer_destroy(c);
    }
}

static void test_refusals(void)
{
    static const hx_composer_config refused[] = {
        {.eps_milli = 0},
        {.eps_milli = UINT64_MAX},
        {.eps_milli = 1, .start_ns = -1},
        {.eps_milli = 1, .anomaly_rate = 1.5},
        {.eps_milli = 1, .anomaly_rate = -0.1},
        {.eps_milli = 1, .worker = 2, .workers = 2},
        {.eps_milli = 1, .worker = 0, .workers = 41},
        {.eps_milli = 1, .form = (hx_line_form)3},
        {.eps_milli = 1, .lanes = 41},
        {.eps_milli = 1, .kinds = 128},
        {.eps_milli = 1, .lanes = 9, .workers = 5},
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        hx_composer_config config = refused[i];
        hx_composer *composer = NULL;
        hx_error err = {""};

        config.profile = profile;
        CHECK_INT(hx_composer_create(&config, &composer, &err), HX_EINVAL);
        CHECK(err.text[0] != '\0' && composer == NULL);
    }
}

/* Sessions begin at all of a lane's hosts alike: within any stretch of lines none has far more than
 * its share, and none far less. */
static void test_hosts_even(void)
{
    enum { SEEDS = 40, STRETCHES = 12, STRETCH = 1000 };
    char line[HX_LINE_ROOM];

    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        hx_composer *c = composer_make((hx_composer_config){.seed = seed, .sessions = 100});
        for (uint32_t stretch = 0; stretch < STRETCHES; stretch++) {
            uint32_t count[41] = {0}, all = 0;
            for (uint32_t i = 0; i < STRETCH; i++) {
                fields f = fields_cut(HX_LINE_ISO, line, hx_composer_next(c, line, NULL));
                if (strcmp(f.process, "kernel") == 0)
                    continue;
                count[atoi(f.host + strlen("node"))]++;
                all++;
            }
            for (uint32_t host = 1; stretch && host <= 40; host++)
                if (count[host] * 40 > all * 2 || count[host] * 4 * 40 < all) {
                    fprintf(stderr, "seed %u: node%02u has %u of %u lines\n", seed, host,
                            count[host], all);
                    exit(1);
                }
        }
        hx_composer_destroy(c);
    }
}

int main(void)
{
    hx_error err;

    CHECK_INT(hx_profile_create(SMALL_PROFILE, sizeof SMALL_PROFILE - 1, &profile, &err), 0);
    test_forms();
    test_times();
    test_pace();
    test_sessions();
    test_episodes();
    test_episode_text();
    test_same_bytes();
    test_room();
    test_workers();
    test_turns();
    test_turns_repeated();
    test_shares();
    test_hosts_even();
    test_refusals();
    hx_profile_destroy(profile);
    return 0;
}
