/* The command "templates": of an engine that has read a log with hostile lines in it. */
#include "detect/engine_parts.h"
#include "made.h"

#include <time.h>

/* Ten of log key 0, three of 1, one of 2, four that fit none, one without a header. */
static void write_log(void)
{
    hx_text text = {0};

    for (int n = 0; n < 10; n++)
        hx_text_printf(&text, "2020-01-01T00:00:%02dZ h p[1]: open request %d\n", n, n);
    for (int n = 0; n < 3; n++)
        hx_text_printf(&text, "2020-01-01T00:00:10Z h p[1]: close request %d now\n", n);
    hx_text_str(&text, "2020-01-01T00:00:11Z h p[1]: retry after error 1 of it\n");
    hx_text_str(&text, "2020-01-01T00:00:12Z h p[1]: \033[31m<script>\"\\\t\001\xff\xc3 x\n");
    for (int n = 0; n < 3; n++)
        hx_text_str(&text, "2020-01-01T00:00:13Z h p[1]: never heard\n");
    hx_text_str(&text, "no header\n\n");
    made_file("app.log", text.ptr, text.len);
    hx_text_free(&text);
}

/* One line whose cut is, before being 0, 1 and 2, at each place of a letter of three bytes. */
static void write_long_log(uint32_t letters, uint32_t before)
{
    hx_text text = {0};

    hx_text_str(&text, "2020-01-01T00:00:12Z h p[1]: ");
    for (uint32_t n = 0; n < before; n++)
        hx_text_str(&text, "x");
    for (uint32_t n = 0; n < letters; n++)
        hx_text_str(&text, "\xec\x95\x88");
    hx_text_str(&text, "\n");
    made_file("long.log", text.ptr, text.len);
    hx_text_free(&text);
}

static hx_engine *run_engine(const char *name, uint32_t workers)
{
    const char *path = made_path(name);
    hx_engine_config config = {.bundle = made_folder(),
                               .source = {.paths = &path, .path_count = 1},
                               .workers = workers,
                               .batch_bytes = 4096,
                               .memo_entries = 64,
                               .max_shapes = 64,
                               .repeat_us = -1,
                               .alerts = made_path("alerts")};
    hx_engine *engine = NULL;
    hx_error err = {{0}};

    CHECK_INT(hx_engine_create(&config, &engine, &err), 0);
    CHECK_INT(hx_engine_run(engine, &err), 0);
    return engine;
}

/* The answer without its newline, NUL-terminated; to be freed. */
static hx_text ask(hx_engine *engine, const char *command)
{
    hx_text out = {0};

    hx_engine_answer(engine, command, strlen(command), &out);
    CHECK(!out.failed && out.len && out.ptr[out.len - 1] == '\n');
    out.ptr[out.len - 1] = 0;
    return out;
}

/* The numbers after "log_key": in an answer, "-" for null, one after the other. */
static void keys_in(const char *answer, char *keys)
{
    static const char name[] = "\"log_key\": ";

    for (const char *at = answer; (at = strstr(at, name)) != NULL;) {
        at += strlen(name);
        *keys++ = *at == 'n' ? '-' : *at;
    }
    *keys = 0;
}

static void test_which_are_shown(void)
{
    static const struct {
        const char *wish, *keys;
    } cases[] = {
        {"", "012"},
        {", \"sort\": \"key\"", "012"},
        {", \"sort\": \"count\", \"examples\": false", "012"},
        {", \"offset\": 1", "12"},
        {", \"offset\": 1, \"limit\": 1", "1"},
        {", \"offset\": 3", ""},
        {", \"offset\": 4294967295, \"limit\": 500", ""},
        {", \"limit\": 0", ""},
        {", \"keys\": [2, null, 0, 2]", "2-02"},
        {", \"keys\": []", ""},
        {", \"keys\": [1], \"offset\": 9, \"sort\": \"count\"", "1"},
    };

    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        hx_engine *engine = run_engine("app.log", workers);

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char command[200], keys[32];
            hx_text said;

            snprintf(command, sizeof command, "{\"command\": \"templates\"%s}", cases[i].wish);
            said = ask(engine, command);
            CHECK(strstr(said.ptr, "\"ok\": true") != NULL);
            CHECK(strstr(said.ptr, "\"log_keys\": 3, \"lines\": 18, \"unseen\": 4,") != NULL);
            CHECK(strstr(said.ptr, "\"counts\"") == NULL);
            keys_in(said.ptr, keys);
            CHECK((strstr(said.ptr, "\"example\"") != NULL) == (*keys && i != 2));
            CHECK_BYTES(keys, strlen(keys), cases[i].keys, strlen(cases[i].keys));
            hx_text_free(&said);
        }
        hx_engine_destroy(engine);
    }
}

static void test_refusals(void)
{
    static const struct {
        const char *wish, *sentence;
    } cases[] = {
        {"\"sort\": \"size\"", "\\\"sort\\\" is not"},
        {"\"sort\": 3", "\\\"sort\\\" is not"},
        {"\"offset\": -1", "\\\"offset\\\" is not"},
        {"\"offset\": 0.5", "\\\"offset\\\" is not"},
        {"\"offset\": 1e300", "\\\"offset\\\" is not"},
        {"\"offset\": \"1\"", "\\\"offset\\\" is not"},
        {"\"limit\": 501", "\\\"limit\\\" is not"},
        {"\"limit\": null", "\\\"limit\\\" is not"},
        {"\"keys\": 3", "\\\"keys\\\" is not"},
        {"\"keys\": [3]", "\\\"keys\\\" is not"},
        {"\"keys\": [-1]", "\\\"keys\\\" is not"},
        {"\"keys\": [0.5]", "\\\"keys\\\" is not"},
        {"\"keys\": [\"0\"]", "\\\"keys\\\" is not"},
        {"\"keys\": [[0]]", "\\\"keys\\\" is not"},
    };
    hx_engine *engine = run_engine("app.log", 1);
    hx_text many = {0}, said;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char command[200];

        snprintf(command, sizeof command, "{\"command\": \"templates\", %s}", cases[i].wish);
        said = ask(engine, command);
        CHECK(strstr(said.ptr, "\"ok\": false") != NULL);
        CHECK(strstr(said.ptr, cases[i].sentence) != NULL);
        hx_text_free(&said);
    }
    hx_text_str(&many, "{\"command\": \"templates\", \"keys\": [0");
    for (int n = 0; n < 500; n++)
        hx_text_str(&many, ",0");
    hx_text_bytes(&many, "]}", 3);
    said = ask(engine, many.ptr);
    CHECK(strstr(said.ptr, "at most 500") != NULL);
    hx_text_free(&said);
    hx_text_free(&many);
    hx_engine_destroy(engine);
}

static void test_counts_and_examples(void)
{
    static const char *const parts[] = {
        "\"counts\": [10,3,1], \"templates\": [",
        "{\"log_key\": 0, \"template\": \"open request <*>\", \"count\": 10, \"example\": "
        "\"2020-01-01T00:00:00Z h p[1]: open request "
        "0\", "
        "\"example_cut\": false, \"example_source\": \"/",
        "app.log\", \"example_offset\": 0, \"example_time\": \"2",
        "{\"log_key\": 2, \"template\": \"retry after error <*> of it\", \"count\": 1, ",
        /* What the terminal or a page might act on comes as text. */
        "{\"log_key\": null, \"template\": null, \"count\": 4, \"example\": \"2020-01-01T00:00:12Z "
        "h p[1]: "
        "\\u001b[31m<script>\\\"\\\\\\t\\u0001\\ufffd\\ufffd x\", \"example_cut\": false",
    };
    hx_engine *engine = run_engine("app.log", 2);
    hx_text said =
        ask(engine, "{\"command\": \"templates\", \"counts\": true, \"keys\": [0, 2, null]}");

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!strstr(said.ptr, parts[i]))
            fprintf(stderr, "%s\nnot in\n%s\n", parts[i], said.ptr);
        CHECK(strstr(said.ptr, parts[i]) != NULL);
    }
    hx_text_free(&said);
    hx_engine_destroy(engine);
}

/* A long line is cut between two letters, and says so. */
static void test_cut(void)
{
    for (uint32_t before = 0; before < 3; before++) {
        uint32_t whole = (HX_EXAMPLE_BYTES - 29 - before) / 3;
        hx_engine *engine;
        hx_text said;
        const char *begin, *end;

        write_long_log(100, before);
        engine = run_engine("long.log", 1);
        said = ask(engine, "{\"command\": \"templates\", \"keys\": [null]}");
        begin = strstr(said.ptr, "p[1]: ");
        end = strstr(said.ptr, "\", \"example_cut\": true");
        CHECK(begin && end);
        CHECK_INT(end - begin, 6 + before + 3 * whole);
        CHECK(strstr(said.ptr, "fffd") == NULL);
        hx_text_free(&said);
        hx_engine_destroy(engine);
    }
}

static void *run(void *arg)
{
    hx_error err = {{0}};

    CHECK_INT(hx_engine_run(arg, &err), 0);
    return NULL;
}

static void await_counts(hx_engine *engine, const char *counts)
{
    const struct timespec nap = {0, 2000000};
    bool there = false;

    for (int i = 0; i < 5000 && !there; i++) {
        hx_text said = ask(engine, "{\"command\": \"templates\"}");

        there = strstr(said.ptr, counts) != NULL;
        hx_text_free(&said);
        nanosleep(&nap, NULL);
    }
    CHECK(there);
}

/* Also with the same one loaded again: counts and examples are those of the lines read since. */
static void test_a_loaded_bundle_starts_anew(void)
{
    const char *path = made_path("app.log");
    hx_engine_config config = {.bundle = made_folder(),
                               .source = {.paths = &path, .path_count = 1, .follow = true},
                               .workers = 2,
                               .batch_bytes = 4096,
                               .memo_entries = 64,
                               .max_shapes = 64,
                               .repeat_us = -1,
                               .alerts = made_path("alerts")};
    hx_engine *engine = NULL;
    hx_error err = {{0}};
    pthread_t runner;
    hx_text said;
    FILE *log;

    CHECK_INT(hx_engine_create(&config, &engine, &err), 0);
    CHECK(pthread_create(&runner, NULL, run, engine) == 0);
    await_counts(engine, "\"lines\": 18, \"unseen\": 4,");
    CHECK_INT(hx_engine_load_bundle(engine, made_folder(), &err), 0);
    said = ask(engine, "{\"command\": \"templates\", \"keys\": [0, null]}");
    CHECK(strstr(said.ptr, "\"lines\": 0, \"unseen\": 0,") != NULL);
    CHECK(strstr(said.ptr, "\"count\": 0, \"example\": null}") != NULL);
    hx_text_free(&said);
    log = fopen(path, "a");
    CHECK(log && fputs("2020-01-01T00:00:20Z h p[1]: open request 3\n", log) >= 0);
    fclose(log);
    await_counts(engine, "\"lines\": 1, \"unseen\": 0,");
    hx_engine_stop(engine);
    pthread_join(runner, NULL);
    hx_engine_destroy(engine);
}

int main(void)
{
    hx_bundle_destroy(made_bundle(&(made_manifest){0}));
    write_log();
    test_which_are_shown();
    test_refusals();
    test_counts_and_examples();
    test_cut();
    test_a_loaded_bundle_starts_anew();
    return 0;
}
