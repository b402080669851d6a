/* The engine with rules: what comes of each action, the same for any number of workers, and while
 * other rules are taken up. */
#include "detect/engine_parts.h"
#include "made.h"

#include <haechi/engine.h>

#include <pthread.h>

#define LINES 6000

static const char *const messages[] = {"open request 1", "close request 2 now", "what is this",
                                       "never seen before 7"};

static void write_log(void)
{
    hx_text text = {0};

    for (uint32_t n = 0; n < LINES; n++)
        hx_text_printf(&text, "2020-01-01T%02u:%02u:%02uZ h%u p[%u]: %s\n", n / 3600, n / 60 % 60,
                       n % 60, n % 3, n % 37, messages[n % 100 < 97 ? n % 2 : 2 + n / 100 % 2]);
    made_file("app.log", text.ptr, text.len);
    hx_text_free(&text);
}

#define HEAD(id, action) "{\"id\": \"" id "\", \"action\": \"" action "\", "
#define ONE(head, f, o, v)                                                                         \
    head "\"severity\": \"low\", \"condition\": {\"field\": \"" f "\", \"op\": \"" o               \
         "\", \"value\": " v "}}"
#define FILE_OF(rules) "{\"format\": 1, \"rules\": [" rules "]}"

static hx_engine_config config_for(uint32_t workers, const char *const *path)
{
    return (hx_engine_config){.bundle = made_folder(),
                              .rules = made_path("rules.json"),
                              .source = {.paths = path, .path_count = 1, .poll_ms = 10},
                              .workers = workers,
                              .batch_bytes = 4096,
                              .memo_entries = 64,
                              .max_shapes = 64,
                              .repeat_us = 0,
                              .alerts = made_path("alerts")};
}

static uint64_t summary_count(hx_engine *engine, const char *key)
{
    hx_text out = {0};
    char want[64];
    const char *at;
    uint64_t value;

    hx_engine_summary(engine, &out);
    hx_text_bytes(&out, "", 1);
    snprintf(want, sizeof want, "\"%s\": ", key);
    at = strstr(out.ptr, want);
    CHECK(at != NULL);
    value = strtoull(at + strlen(want), NULL, 10);
    hx_text_free(&out);
    return value;
}

static hx_engine *make_engine(const hx_engine_config *config)
{
    hx_engine *engine = NULL;
    hx_error err = {{0}};
    int rc;

    unlink(made_path("alerts"));
    rc = hx_engine_create(config, &engine, &err);
    if (rc == HX_EIO && strstr(err.text, "cannot be opened"))
        exit(CHECK_SKIP);
    if (rc)
        fprintf(stderr, "%s\n", err.text);
    CHECK_INT(rc, 0);
    return engine;
}

static uint64_t lines_with(const char *words)
{
    hx_text text = made_read("alerts");
    uint64_t count = 0;
    char *at;

    hx_text_bytes(&text, "", 1);
    at = text.ptr;
    for (char *next; (next = strchr(at, '\n')) != NULL; at = next + 1) {
        *next = 0;
        count += strstr(at, words) != NULL;
    }
    hx_text_free(&text);
    return count;
}

/* The ids of all alerts, added up. */
static uint64_t sum_of_alerts(void)
{
    hx_text text = made_read("alerts");
    uint64_t sum = 0;

    for (size_t at = 0; at < text.len;) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        char hex[17] = {0};

        memcpy(hex, text.ptr + at + 8, 16);
        sum += strtoull(hex, NULL, 16);
        at = (size_t)(newline - text.ptr) + 1;
    }
    hx_text_free(&text);
    return sum;
}

/* 180 odd lines, half of each kind; every one is new (repeat 0). */
static void test_actions(void)
{
    static const struct {
        const char *rules;
        uint64_t rule_alerts, new_alerts, allowed, high;
    } cases[] = {
        {FILE_OF(""), 0, 180, 0, 0},
        {FILE_OF(ONE(HEAD("d", "deny"), "message", "contains", "\"what is\"")), 90, 180, 0, 0},
        {FILE_OF(ONE(HEAD("a", "allow"), "message", "contains", "\"what is\"")), 0, 90, 90, 0},
        {FILE_OF(ONE(HEAD("e", "escalate"), "message", "contains", "\"what is\"")), 0, 180, 0, 90},
        {FILE_OF(ONE(HEAD("d", "deny"), "message", "regex",
                     "\"(?i)WHAT\"") "," ONE(HEAD("a", "allow"), "line", "startswith", "\"2020\"")),
         0, 0, 180, 0},
        {FILE_OF(ONE(HEAD("t", "deny"), "template", "startswith",
                     "\"open\"") "," ONE(HEAD("k", "deny"), "log_key", "gt", "60000")),
         2940, 180, 0, 0},
        {FILE_OF(ONE(HEAD("s", "deny"), "session", "equals",
                     "\"36\"") "," ONE(HEAD("n", "deny"), "source", "endswith", "\"nowhere\"")),
         162, 180, 0, 0},
    };
    const char *path = made_path("app.log");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t sum = 0;

        for (uint32_t workers = 1; workers <= 4; workers += 3) {
            hx_engine_config config = config_for(workers, &path);
            hx_error err = {{0}};
            hx_engine *engine;

            made_text("rules.json", cases[i].rules);
            engine = make_engine(&config);
            CHECK_INT(hx_engine_run(engine, &err), 0);
            CHECK_INT(summary_count(engine, "events"), LINES);
            CHECK_INT(summary_count(engine, "rule_hits_deny") > 0,
                      strstr(cases[i].rules, "deny") != NULL);
            CHECK_INT(summary_count(engine, "allowed_alerts"), cases[i].allowed);
            hx_engine_destroy(engine);
            CHECK_INT(lines_with("\"detector\": \"rule\""), cases[i].rule_alerts);
            CHECK_INT(lines_with("\"detector\": \"new_event\""), cases[i].new_alerts);
            CHECK_INT(lines_with("\"severity\": \"high\""), cases[i].high);
            if (workers > 1)
                CHECK(sum_of_alerts() == sum);
            sum = sum_of_alerts();
        }
    }
}

static void *run(void *arg)
{
    hx_error err = {{0}};

    return (void *)(intptr_t)hx_engine_run(arg, &err);
}

static void ask(hx_engine *engine, const char *command, const char *want)
{
    hx_text out = {0};

    hx_engine_answer(engine, command, strlen(command), &out);
    hx_text_bytes(&out, "", 1);
    if (!strstr(out.ptr, want))
        fprintf(stderr, "%s: %s\n", command, out.ptr);
    CHECK(strstr(out.ptr, want) != NULL);
    hx_text_free(&out);
}

/* Rules change many times while three workers judge: every line is judged by one of the sets. */
static void test_changed_while_it_runs(void)
{
    const char *path = made_path("app.log");
    hx_engine_config config = config_for(3, &path);
    hx_error err = {{0}};
    hx_engine *engine;
    pthread_t thread;
    void *rc;

    made_text("rules.json", FILE_OF(ONE(HEAD("one", "deny"), "message", "contains", "\"what\"")));
    made_text("other.json", FILE_OF(ONE(HEAD("two", "deny"), "message", "contains", "\"what\"")));
    made_text("bad.json", FILE_OF(ONE(HEAD("bad", "deny"), "message", "regex", "\"(a\"")));
    config.source.follow = true;
    engine = make_engine(&config);
    CHECK_INT(pthread_create(&thread, NULL, run, engine), 0);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(
            hx_engine_load_rules(engine, made_path(i % 2 ? "rules.json" : "other.json"), &err), 0);
        CHECK_INT(hx_engine_load_rules(engine, made_path("bad.json"), &err), HX_EINVAL);
        CHECK(strstr(err.text, "rule bad"));
        ask(engine, "{\"command\": \"rules\", \"sort\": \"count\", \"limit\": 1}",
            i % 2 ? "\"id\": \"one\"" : "\"id\": \"two\"");
    }
    while (summary_count(engine, "events") < LINES)
        usleep(1000);
    ask(engine, "{\"command\": \"load_rules\"}", "is needed: the rule file");
    ask(engine, "{\"command\": \"load_rules\", \"file\": \"/nowhere\"}", "/nowhere");
    CHECK_INT(summary_count(engine, "rule_loads"), 6);
    CHECK_INT(summary_count(engine, "rules"), 1);
    hx_engine_stop(engine);
    pthread_join(thread, &rc);
    CHECK_INT((intptr_t)rc, 0);
    ask(engine, "{\"command\": \"load_rules\", \"file\": \"/nowhere\"}", "ended");
    hx_engine_destroy(engine);
    CHECK_INT(lines_with("\"detector\": \"rule\""), 90);
}

int main(void)
{
    static const made_manifest usual = {0};
    hx_bundle *bundle = made_bundle(&usual);

    hx_bundle_destroy(bundle);
    write_log();
    test_actions();
    test_changed_while_it_runs();
    return 0;
}
