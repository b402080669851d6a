/* Bursts, silences and unusual hours, of hosts and of log keys, in lines made by a table: for any
 * number of workers and wherever one takes over from another. */
#include "detect/rates.h"
#include "made.h"

#include <haechi/hash.h>

#include <math.h>

#define NONE     "{\"limit\": null}"
#define SOME     "{\"limit\": 12}"
#define LIMITS   "\"burst\": [" SOME ", " NONE ", " NONE "], \"silence\": {\"limit\": 15}"
#define NO_RATES "\"burst\": [" NONE ", " NONE ", " NONE "], \"silence\": " NONE
#define HOURS    "\"busy_hour\": {\"limit\": 15}, \"quiet_hour\": {\"limit\": 15}"
#define RATES(interval, more)                                                                      \
    "{\"name\": \"rates\", \"interval_s\": " interval ", \"warm\": 5, \"max_hosts\": 100, "        \
    "\"repeat_s\": 5, " more "}"
#define SEASON "\"season\": {\"period_h\": 24, \"file\": \"seasons.json\"}"

static void test_statistics(void)
{
    static const struct {
        double count, usual, excess, lack;
    } cases[] = {
        {0, 5, 0, 5},
        {5, 5, 0, 0},
        {6, 5, 0, 0}, /* one more than usual is usual */
        {12, 5, 12 * 0.693147180559945 - 6, 0},
        {3, 0, 3 * 1.09861228866811 - 2, 0},
        {400, 199, 400 * 0.693147180559945 - 200, 0},
        {100, 200, 0, 100 - 100 * 0.693147180559945},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(fabs(hx_rate_excess(cases[i].count, cases[i].usual) - cases[i].excess) < 1e-9);
        CHECK(fabs(hx_rate_lack(cases[i].count, cases[i].usual) - cases[i].lack) < 1e-9);
    }
    for (double usual = 0; usual < 100; usual += 7)
        for (double count = 1; count < 1000; count += 13) {
            CHECK(hx_rate_excess(count + 13, usual) >= hx_rate_excess(count, usual));
            CHECK(hx_rate_excess(count, usual + 7) <= hx_rate_excess(count, usual));
            CHECK(hx_rate_lack(count + 13, usual) <= hx_rate_lack(count, usual));
            CHECK(hx_rate_lack(count, usual + 7) >= hx_rate_lack(count, usual));
        }
}

/* --- lines -------------------------------------------------------------------------------------
 */

/* Two hosts say two kinds of line, ten of each a second (or, with steps of minutes, a minute); but
 * for what is otherwise. */
typedef struct otherwise {
    const char *host; /* NULL: both */
    int key;          /* -1: both */
    int from, to;     /* steps */
    uint32_t count;
} otherwise;

static const char *const hosts[2] = {"web-server1", "db1"};

typedef struct seen {
    hx_reporter reporter; /* the first */
    char said[32][100];
    uint32_t count;
} seen;

static void note(hx_reporter *reporter, const hx_event *event, int64_t time_us,
                 const hx_finding *finding)
{
    seen *s = (seen *)(void *)reporter;

    CHECK(s->count < 32);
    CHECK(!event || event->time_us == time_us);
    CHECK(finding->score >= finding->limit && finding->limit > 0);
    CHECK(finding->detail.len > 2 && finding->reason.ptr[finding->reason.len - 1] == '.');
    snprintf(s->said[s->count++], sizeof s->said[0], "%s %.*s at %lld", finding->rule,
             (int)finding->subject.len, finding->subject.ptr, (long long)(time_us / 1000000));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static uint32_t count_at(const otherwise *o, uint32_t host, uint32_t key, int step)
{
    for (; o->to; o++)
        if ((!o->host || strcmp(o->host, hosts[host]) == 0) &&
            (o->key < 0 || (uint32_t)o->key == key) && step >= o->from && step < o->to)
            return o->count;
    return 10;
}

static bool numbered; /* whether events say their host's number */

/* One step's lines, evenly over it, to all workers. */
static void give_step(const rates_model *m, void **state, uint32_t workers, const otherwise *o,
                      int step, int64_t step_us, seen *s)
{
    static hx_event events[1024];
    static hx_seen lines[1024];
    static char buffer[64];
    uint32_t n = 0;

    strcpy(buffer, hosts[0]);
    strcpy(buffer + 32, hosts[1]);
    for (uint32_t at = 0; at < 200; at++)
        for (uint32_t of = 0; of < 4; of++) {
            const uint32_t host = of / 2, key = of % 2, count = count_at(o, host, key, step);
            hx_event *e = &events[n];

            if (at * count / 200 == (at + 1) * count / 200)
                continue;
            *e = (hx_event){.time_us = step * step_us + at * step_us / 200,
                            .earlier_us = n ? events[n - 1].time_us : HX_TIME_NONE,
                            .key = key,
                            .first_of_line = 1,
                            .host_at = host * 32,
                            .host_len = (uint8_t)strlen(hosts[host])};
            e->host = (uint32_t)hx_hash_bytes(hosts[host], e->host_len, HX_HASH_SEED);
            e->host_number = numbered ? host + 1 : 0;
            n++;
        }
    CHECK(n <= 1024);
    for (uint32_t i = 0; i < n; i++)
        lines[i] = hx_seen_of(events, i, workers);
    for (uint32_t w = 0; w < workers; w++)
        hx_rates_detector.lines(m, state[w], &(hx_seen_lines){lines, n, events, n, buffer},
                                &s->reporter);
    s->reporter.before_us = n ? events[n - 1].time_us : s->reporter.before_us;
    if (n)
        for (uint32_t w = 0; w < workers; w++)
            hx_rates_detector.advance(m, state[w], s->reporter.before_us, &s->reporter);
}

static void take_over(const rates_model *m, void **before, uint32_t workers, void **after,
                      uint32_t more)
{
    for (uint32_t w = 0; w < more; w++)
        CHECK_INT(hx_rates_detector.open(m, w, more, &after[w]), 0);
    for (uint32_t w = 0; w < workers; w++) {
        hx_text saved = {0};

        hx_rates_detector.save(before[w], &saved);
        for (uint32_t to = 0; to < more; to++)
            CHECK_INT(hx_rates_detector.restore(m, after[to], saved.ptr, saved.len), 0);
        CHECK(hx_rates_detector.restore(m, after[0], saved.ptr, saved.len - 1) != 0);
        hx_text_free(&saved);
        hx_rates_detector.close(before[w]);
    }
}

/* What is said, in the order of the text. The states go to other workers at a step, if any. */
static seen run(const rates_model *m, const otherwise *o, int steps, int64_t step_us,
                uint32_t workers, int handed_at)
{
    seen s = {.reporter = {.before_us = HX_TIME_NONE, .report = note}};
    void *state[4], *next[4];

    for (uint32_t w = 0; w < workers; w++)
        CHECK_INT(hx_rates_detector.open(m, w, workers, &state[w]), 0);
    for (int step = 0; step < steps; step++) {
        if (step == handed_at) {
            take_over(m, state, workers, next, 4 - workers);
            workers = 4 - workers;
            memcpy(state, next, sizeof state);
        }
        give_step(m, state, workers, o, step, step_us, &s);
    }
    for (uint32_t w = 0; w < workers; w++)
        hx_rates_detector.close(state[w]);
    qsort(s.said, s.count, sizeof s.said[0], by_text);
    return s;
}

typedef struct story {
    otherwise otherwise[4];
    const char *said[4];
} story;

static void check_story(const rates_model *m, const story *one, int steps, int64_t step_us)
{
    static const struct {
        uint32_t workers;
        int handed_at;
    } ways[] = {{1, -1}, {2, -1}, {3, -1}, {1, 30}, {3, 31}, {2, 37}};

    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        seen s = run(m, one->otherwise, steps, step_us, ways[way].workers, ways[way].handed_at);
        uint32_t want = 0;

        for (; want < 4 && one->said[want]; want++)
            if (want >= s.count || strcmp(s.said[want], one->said[want]) != 0) {
                fprintf(stderr, "want: %s\n", one->said[want]);
                for (uint32_t i = 0; i < s.count; i++)
                    fprintf(stderr, "said: %s\n", s.said[i]);
                exit(1);
            }
        CHECK_INT(s.count, want);
    }
}

static hx_bundle *loaded(const char *section, const char *file)
{
    hx_bundle *bundle = NULL;
    hx_error err = {{0}};

    if (made_load_with(section, file ? "seasons.json" : NULL, file, &bundle, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(bundle && bundle->detectors.detector[0] == &hx_rates_detector);
    return bundle;
}

static void test_bursts_and_silences(void)
{
    static const story stories[] = {
        {{{0}}, {NULL}},
        {{{"db1", -1, 30, 31, 60}}, {"burst db1 at 30"}},
        {{{NULL, 1, 30, 31, 60}}, {"burst close request <*> now at 30"}},
        {{{NULL, -1, 30, 31, 60}}, {NULL}}, /* everybody: nothing of anybody */
        {{{"db1", -1, 30, 40, 0}}, {"silence db1 at 30"}},
        {{{NULL, 0, 30, 40, 0}}, {"silence open request <*> at 30"}},
        {{{NULL, -1, 30, 40, 0}}, {NULL}},
        {{{"db1", 0, 30, 31, 11}}, {NULL}},
    };
    hx_bundle *bundle = loaded(RATES("1", LIMITS ", \"keys\": {" LIMITS "}"), NULL);

    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++)
        check_story(bundle->detectors.model[0], &stories[i], 60, 1000000);
    hx_bundle_destroy(bundle);
}

/* One line of a host, in a batch of its own. */
static void give_line(const rates_model *m, void *state, uint32_t host, int64_t time_us, seen *s)
{
    hx_event e = {.time_us = time_us,
                  .earlier_us = HX_TIME_NONE,
                  .first_of_line = 1,
                  .host_len = (uint8_t)strlen(hosts[host])};
    hx_seen line;

    e.host = (uint32_t)hx_hash_bytes(hosts[host], e.host_len, HX_HASH_SEED);
    e.host_number = numbered ? host + 1 : 0;
    line = hx_seen_of(&e, 0, 1);
    hx_rates_detector.lines(m, state, &(hx_seen_lines){&line, 1, &e, 1, hosts[host]}, &s->reporter);
    if (time_us > s->reporter.before_us)
        s->reporter.before_us = time_us;
    hx_rates_detector.advance(m, state, s->reporter.before_us, &s->reporter);
}

/* Lines that are late are no silence, once lines were late; a silence is one nevertheless. late: a
 * line of the other host comes half a second late first. */
static void check_late_lines(const rates_model *m, bool late)
{
    const int64_t step_us = 10000, half_us = 500000;
    seen s = {.reporter = {.before_us = HX_TIME_NONE, .report = note}};
    int64_t at_us = 0;
    void *state;

    CHECK_INT(hx_rates_detector.open(m, 0, 1, &state), 0);
    for (; at_us < 20000000; at_us += step_us)
        for (uint32_t host = 0; host < 2; host++)
            give_line(m, state, host, at_us + host, &s);
    if (late)
        give_line(m, state, 0, at_us - half_us, &s);
    for (int64_t end_us = at_us + half_us; at_us < end_us; at_us += step_us)
        give_line(m, state, 0, at_us, &s);
    for (int64_t own_us = at_us - half_us; own_us < at_us; own_us += step_us)
        give_line(m, state, 1, own_us, &s);
    CHECK_INT(s.count, late ? 0 : 1);
    for (int64_t end_us = at_us + 3000000; at_us < end_us; at_us += step_us)
        give_line(m, state, 0, at_us, &s);
    CHECK_INT(s.count, 1);
    CHECK(strstr(s.said[0], "silence db1"));
    hx_rates_detector.close(state);
}

static void test_late_lines(void)
{
    hx_bundle *bundle = loaded(RATES("0.1", LIMITS), NULL);

    check_late_lines(bundle->detectors.model[0], true);
    check_late_lines(bundle->detectors.model[0], false);
    hx_bundle_destroy(bundle);
}

/* A host is not heard from the thirtieth second on. Where lines were lost until then, it may have
 * spoken: the silence is what comes after. */
static void test_silence_after_a_loss(void)
{
    static const struct {
        int64_t lost_us;
        int back; /* at this step it speaks again */
        const char *said;
    } cases[] = {
        {HX_TIME_NONE, 40, "silence db1 at 30"},
        {31000000, 40, "silence db1 at 31"},
        {31000000, 31, NULL},
        {33500000, 34, NULL},
        {20000000, 40, "silence db1 at 30"}, /* long ago */
    };
    hx_bundle *bundle = loaded(RATES("0.1", LIMITS), NULL);
    const rates_model *m = bundle->detectors.model[0];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const otherwise silent[] = {{"db1", -1, 30, cases[i].back, 0}, {0}};
        seen s = {.reporter = {.before_us = HX_TIME_NONE, .lost_us = HX_TIME_NONE, .report = note}};
        void *state;

        CHECK_INT(hx_rates_detector.open(m, 0, 1, &state), 0);
        for (int step = 0; step < 36; step++) {
            if (step == 30)
                s.reporter.lost_us = cases[i].lost_us;
            give_step(m, &state, 1, silent, step, 1000000, &s);
        }
        CHECK_INT(s.count, cases[i].said != NULL);
        if (s.count)
            CHECK_BYTES(s.said[0], strlen(s.said[0]), cases[i].said, strlen(cases[i].said));
        hx_rates_detector.close(state);
    }
    hx_bundle_destroy(bundle);
}

/* Of a bundle of before there were limits of log keys: hosts only. */
static void test_without_keys(void)
{
    static const story stories[] = {{{{"db1", -1, 30, 31, 60}}, {"burst db1 at 30"}},
                                    {{{NULL, 1, 30, 31, 60}}, {NULL}}};
    hx_bundle *bundle = loaded(RATES("1", LIMITS), NULL);

    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++)
        check_story(bundle->detectors.model[0], &stories[i], 60, 1000000);
    hx_bundle_destroy(bundle);
}

/* --- hours -------------------------------------------------------------------------------------
 */

#define SIX(n)   n ", " n ", " n ", " n ", " n ", " n
#define ALWAYS   "[" SIX("40") ", " SIX("40") ", " SIX("40") ", " SIX("40") "]"
#define NOT_AT_3 "[40, 40, 0, 0, 0, 40, " SIX("40") ", " SIX("40") ", " SIX("40") "]"
#define TOTAL    "[" SIX("80") ", " SIX("80") ", " SIX("80") ", " SIX("80") "]"
#define FILE_OF(hosts, keys)                                                                       \
    "{\"format\": 1, \"period_h\": 24, \"total\": " TOTAL ", \"hosts\": [" hosts                   \
    "], \"keys\": [" keys "]}"
#define HOST(name, mean) "{\"name\": \"" name "\", \"mean\": " mean "}"
#define KEY(key, mean)   "{\"log_key\": " key ", \"mean\": " mean "}"

/* A step is half an hour: of each host and of each kind there are forty lines an hour. */
static void test_hours(void)
{
    static const story stories[] = {
        {{{0}}, {NULL}},
        {{{"db1", -1, 12, 14, 0}}, {"quiet_hour db1 at 25200"}},
        {{{"db1", -1, 13, 15, 0}}, {NULL}}, /* of neither hour all */
        {{{NULL, 1, 12, 14, 0}}, {"quiet_hour close request <*> now at 25200"}},
        {{{NULL, -1, 12, 14, 0}}, {NULL}},
    };
    hx_bundle *bundle =
        loaded(RATES("60", NO_RATES ", " HOURS ", " SEASON ", \"keys\": {" NO_RATES ", " HOURS "}"),
               FILE_OF(HOST("db1", ALWAYS), KEY("1", ALWAYS)));

    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++)
        check_story(bundle->detectors.model[0], &stories[i], 48, 1800000000);
    hx_bundle_destroy(bundle);
}

/* What never comes at three comes at three. */
static void test_unusual_hour(void)
{
    static const story usual = {{{NULL, 0, 4, 10, 0}}, {NULL}};
    static const story odd = {{{NULL, 0, 4, 6, 0}, {NULL, 0, 8, 10, 0}},
                              {"busy_hour open request <*> at 12231"}};
    hx_bundle *bundle =
        loaded(RATES("60", NO_RATES ", " HOURS ", " SEASON ", \"keys\": {" NO_RATES ", " HOURS "}"),
               FILE_OF("", KEY("0", NOT_AT_3)));

    check_story(bundle->detectors.model[0], &usual, 40, 1800000000);
    check_story(bundle->detectors.model[0], &odd, 40, 1800000000);
    hx_bundle_destroy(bundle);
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static void test_refused(void)
{
    static const struct {
        const char *section, *file, *named;
    } cases[] = {
        {RATES("0", LIMITS), NULL, "rates.interval_s"},
        {RATES("1", "\"burst\": []"), NULL, "3 levels"},
        {RATES("1", LIMITS ", \"keys\": {}"), NULL, "3 levels"},
        {RATES("1", LIMITS ", \"keys\": 7"), NULL, "3 levels"},
        {RATES("1", LIMITS ", \"busy_hour\": {\"limit\": -1}"), NULL, "rates.busy_hour.limit"},
        {RATES("1", LIMITS ", \"quiet_hour\": {\"limit\": \"x\"}"), NULL, "rates.quiet_hour.limit"},
        {RATES("1", LIMITS ", \"season\": {\"file\": \"a/b\"}"), NULL, "rates.season.file"},
        {RATES("1", LIMITS ", \"season\": {\"file\": 7}"), NULL, "rates.season.file"},
        {RATES("1", LIMITS ", " SEASON), "", "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), "{\"format\": 1, \"period_h\": 23}", "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), FILE_OF(HOST("", ALWAYS), ""), "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), FILE_OF(HOST("a", "[1]"), ""), "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), FILE_OF(HOST("a", ALWAYS) ", " HOST("a", ALWAYS), ""),
         "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), FILE_OF("", KEY("3", ALWAYS)), "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), FILE_OF("", KEY("0.5", ALWAYS)), "seasons.json"},
        {RATES("1", LIMITS ", " SEASON), FILE_OF("", KEY("0", "[\"x\"]")), "seasons.json"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_bundle *bundle = NULL;
        hx_error err = {{0}};

        CHECK(made_load_with(cases[i].section, cases[i].file ? "seasons.json" : NULL, cases[i].file,
                             &bundle, &err) != 0);
        if (!strstr(err.text, cases[i].named))
            fprintf(stderr, "case %zu: %s\n", i, err.text);
        CHECK(strstr(err.text, cases[i].named) != NULL);
    }
}

int main(void)
{
    test_statistics();
    for (int i = 0; i < 2; i++) {
        numbered = i;
        test_bursts_and_silences();
        test_silence_after_a_loss();
        test_late_lines();
        test_without_keys();
        test_hours();
        test_unusual_hour();
    }
    test_refused();
    return 0;
}
