/* Pairs that are new: what is reported and what is not, by a file of members and of users' words;
 * and files that are refused by name. What training makes of logs is tested with the whole engine.
 */
#include "detect/combos.h"
#include "made.h"

#include <haechi/hash.h>

#define SETTLED "\"nats\": 9, \"limit\": 3"
#define HOSTS                                                                                      \
    "[{\"name\": \"web1\", \"usual\": [\"nginx\"], " SETTLED "}, "                                 \
    "{\"name\": \"db1\", \"usual\": [\"postgres\"]}]"
#define USUAL                                                                                      \
    "{\"format\": 1, \"sets\": ["                                                                  \
    "{\"kind\": \"host_process\", \"first\": " HOSTS ", "                                          \
    "\"second\": [{\"name\": \"nginx\", \"usual\": []}, {\"name\": \"postgres\", \"usual\": []}, " \
    "{\"name\": \"sshd\", \"usual\": []}], \"pairs\": [0, 0, 1, 1, 0, 2, 1, 2]}, "                 \
    "{\"kind\": \"process_key\", \"first\": [{\"name\": \"nginx\", \"usual\": [0], " SETTLED "}, " \
    "{\"name\": \"sshd\", \"usual\": [1]}], "                                                      \
    "\"second\": [{\"name\": 0, \"usual\": []}, {\"name\": 1, \"usual\": []}], "                   \
    "\"pairs\": [0, 0, 1, 1, 1, 0]}, "                                                             \
    "{\"kind\": \"host_user\", \"first\": " HOSTS ", "                                             \
    "\"second\": [{\"name\": \"alice\", \"usual\": [\"web1\"]}, "                                  \
    "{\"name\": \"bob\", \"usual\": [\"db1\"], " SETTLED "}], \"pairs\": [0, 0, 1, 1]}], "         \
    "\"users\": [{\"word\": \"user\", \"keys\": [1]}]}"

typedef struct seen {
    hx_reporter reporter; /* the first */
    char rules[512], reason[512];
    uint32_t count;
} seen;

static void note(hx_reporter *reporter, const hx_event *event, int64_t time_us,
                 const hx_finding *finding)
{
    seen *s = (seen *)(void *)reporter;

    CHECK(event != NULL && event->time_us == time_us);
    CHECK(finding->score >= finding->limit && finding->limit > 0);
    CHECK(finding->detail.len > 2 && finding->detail.ptr[0] == '{');
    snprintf(s->rules + strlen(s->rules), sizeof s->rules - strlen(s->rules), "%s ", finding->rule);
    snprintf(s->reason, sizeof s->reason, "%.*s", (int)finding->reason.len, finding->reason.ptr);
    s->count++;
}

static int load(const char *file, hx_bundle **out, hx_error *err)
{
    return made_load_with("{\"name\": \"combos\", \"file\": \"combos.json\", \"repeat_s\": 60}",
                          "combos.json", file, out, err);
}

/* --- what is reported --------------------------------------------------------------------------
 */

typedef struct line {
    int seconds;
    uint32_t key;
    const char *host, *process, *text;
} line;

static hx_event event_of(const line *l, char *buffer)
{
    hx_event e = {.time_us = l->seconds * INT64_C(1000000),
                  .key = l->key,
                  .first_of_line = 1,
                  .host_len = (uint8_t)strlen(l->host),
                  .process_len = (uint8_t)strlen(l->process)};

    e.length = (uint32_t)sprintf(buffer, "%s %s: %s", l->host, l->process, l->text);
    e.process_at = e.host_len + 1u;
    e.host = (uint32_t)hx_hash_bytes(l->host, e.host_len, HX_HASH_SEED);
    e.process = hx_hash_bytes(l->process, e.process_len, HX_HASH_SEED);
    return e;
}

static const struct {
    line line;
    const char *rules;
} lines[] = {
    {{0, 0, "web1", "nginx", "open"}, ""},
    {{0, 0, "web1", "postgres", "open"}, "new_pair "}, /* the host is settled */
    {{0, 0, "db1", "nginx", "open"}, ""},              /* neither is */
    {{0, 0, "web1", "cron", "open"}, ""},              /* no member */
    {{0, 0, "web9", "nginx", "open"}, ""},
    {{0, 1, "web1", "nginx", "close"}, "new_pair "},
    {{0, 2, "web1", "nginx", "retry"}, ""},
    {{0, 1, "web1", "sshd", "close user alice"}, ""},
    {{0, 1, "web1", "sshd", "close user bob"}, "new_user_of_host "},
    {{0, 1, "web1", "sshd", "close user mallory"}, "new_user_of_host "}, /* of a settled host */
    {{0, 1, "db1", "sshd", "close user mallory"}, ""},
    {{0, 1, "db1", "sshd", "close user alice"}, ""},
    {{0, 1, "web9", "sshd", "close user alice"}, ""},
    {{0, 0, "web1", "sshd", "open user mallory2"}, ""}, /* its lines name no user */
    {{0, 1, "web1", "sshd", "close superuser eve"}, ""},
    {{30, 0, "web1", "postgres", "open"}, ""}, /* said before */
    {{30, 1, "web1", "sshd", "close user mallory"}, ""},
    {{61, 0, "web1", "postgres", "open"}, "new_pair "},
    {{61, 1, "web1", "sshd", "close user mallory"}, "new_user_of_host "},
};

#define LINES (sizeof lines / sizeof lines[0])

static hx_intern numbers; /* of hosts and of processes, here */

/* Each line by the states of all workers; one of them at most has something to say. */
static void give(const hx_combos_model *m, void **state, uint32_t workers, size_t i, seen *s)
{
    const line *l = &lines[i].line;
    char buffer[128];
    hx_event e = event_of(l, buffer);

    hx_seen seen_line;

    e.host_number = hx_intern_number(&numbers, l->host, e.host_len, e.host);
    e.process_number = hx_intern_number(&numbers, l->process, e.process_len, e.process);
    seen_line = hx_seen_of(&e, 0, workers);
    s->rules[0] = 0;
    for (uint32_t w = 0; w < workers; w++)
        hx_combos_detector.lines(m, state[w], &(hx_seen_lines){&seen_line, 1, &e, 1, buffer},
                                 &s->reporter);
    if (strcmp(s->rules, lines[i].rules) != 0)
        fprintf(stderr, "line %zu: %s\n", i, s->rules);
    CHECK(strcmp(s->rules, lines[i].rules) == 0);
}

static void open_all(const hx_combos_model *m, void **state, uint32_t workers)
{
    for (uint32_t w = 0; w < workers; w++)
        CHECK_INT(hx_combos_detector.open(m, w, workers, &state[w]), 0);
}

static void close_all(void **state, uint32_t workers)
{
    for (uint32_t w = 0; w < workers; w++)
        hx_combos_detector.close(state[w]);
}

static void test_lines(const hx_combos_model *m)
{
    for (uint32_t workers = 1; workers <= 5; workers += 2) {
        seen s = {.reporter = {.before_us = HX_TIME_NONE, .report = note}};
        void *state[5];

        open_all(m, state, workers);
        for (size_t i = 0; i < LINES; i++)
            give(m, state, workers, i, &s);
        CHECK_INT(s.count, 6);
        CHECK(strstr(s.reason, "The host web1 was never seen with the user mallory; usual there "
                               "are \"nginx\", and nothing is known of that one.") == s.reason);
        close_all(state, workers);
    }
}

/* At any line the workers' states go to others, of another number. */
static void test_restart(const hx_combos_model *m)
{
    for (size_t at = 0; at < LINES; at++) {
        seen s = {.reporter = {.before_us = HX_TIME_NONE, .report = note}};
        hx_text saved[3] = {{0}};
        void *before[3], *after[2];

        open_all(m, before, 3);
        for (size_t i = 0; i < at; i++)
            give(m, before, 3, i, &s);
        open_all(m, after, 2);
        for (uint32_t w = 0; w < 3; w++) {
            hx_combos_detector.save(before[w], &saved[w]);
            for (uint32_t to = 0; to < 2; to++)
                CHECK_INT(hx_combos_detector.restore(m, after[to], saved[w].ptr, saved[w].len), 0);
            CHECK(hx_combos_detector.restore(m, after[0], saved[w].ptr, saved[w].len - 1) != 0);
            hx_text_free(&saved[w]);
        }
        close_all(before, 3);
        for (size_t i = at; i < LINES; i++)
            give(m, after, 2, i, &s);
        close_all(after, 2);
    }
}

/* --- what is refused ---------------------------------------------------------------------------
 */

#define SETS(text)  "{\"format\": 1, \"sets\": " text "}"
#define SET(text)   SETS("[{" text "}]")
#define A           "[{\"name\": \"a\", \"usual\": []}]"
#define WORDS(text) "{\"format\": 1, \"sets\": [], \"users\": " text "}"

static const struct {
    const char *file, *named;
} refused[] = {
    {"{\"format\": 3, \"sets\": []}", "format 1"},
    {"", "format 1"},
    {SETS("7"), "no list"},
    {SET("\"kind\": \"people\", \"first\": " A ", \"second\": " A ", \"pairs\": [0, 0]"), "set 0"},
    {SET("\"kind\": \"host_user\", \"first\": [], \"second\": " A ", \"pairs\": [0, 0]"), "set 0"},
    {SET("\"kind\": \"host_user\", \"first\": " A ", \"second\": " A ", \"pairs\": [0, 1]"),
     "set 0"},
    {SET("\"kind\": \"host_user\", \"first\": " A ", \"second\": " A ", \"pairs\": [0]"), "set 0"},
    {SET("\"kind\": \"process_key\", \"first\": " A ", \"second\": " A ", \"pairs\": [0, 0]"),
     "set 0"},
    {SET("\"kind\": \"host_user\", \"first\": [{\"name\": \"a\", \"usual\": [], \"nats\": 1, "
         "\"limit\": 2}], \"second\": " A ", \"pairs\": [0, 0]"),
     "nats, if any, of at least"},
    {WORDS("[{\"word\": \"user\", \"keys\": [3]}]"), "\"users\""},
    {WORDS("[{\"word\": \"user\", \"keys\": [0, 0]}]"), "\"users\""},
    {WORDS("[{\"word\": \"\", \"keys\": [0]}]"), "\"users\""},
    {WORDS("[{\"word\": 1, \"keys\": [0]}]"), "\"users\""},
    {WORDS("[{\"word\": \"user\"}]"), "\"users\""},
    {WORDS("[{\"word\": \"user\", \"keys\": [-1]}]"), "\"users\""},
};

static void test_refused(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        hx_bundle *bundle = NULL;
        hx_error err = {{0}};

        CHECK(load(refused[i].file, &bundle, &err) != 0);
        if (!strstr(err.text, refused[i].named))
            fprintf(stderr, "case %zu: %s\n", i, err.text);
        CHECK(strstr(err.text, refused[i].named) && strstr(err.text, "combos.json"));
    }
}

int main(void)
{
    hx_bundle *bundle = NULL;
    hx_error err = {{0}};

    if (load(USUAL, &bundle, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(bundle != NULL);
    CHECK(bundle->detectors.count == 1 && bundle->detectors.detector[0] == &hx_combos_detector);
    for (uint32_t max = 1; max <= 32; max *= 2) { /* too few for all names, and enough */
        CHECK_INT(hx_intern_init(&numbers, max), 0);
        test_lines(bundle->detectors.model[0]);
        test_restart(bundle->detectors.model[0]);
        hx_intern_free(&numbers);
    }
    hx_bundle_destroy(bundle);
    test_refused();
    return 0;
}
