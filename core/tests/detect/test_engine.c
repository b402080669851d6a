/* The whole engine with several workers, while others swap bundles, pause it and ask it things. */
#include "detect/engine_parts.h"
#include "made.h"

#include <haechi/engine.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define LINES 20000

static hx_engine_config config_for(uint32_t workers, const char *const *path)
{
    return (hx_engine_config){.bundle = made_folder(),
                              .source = {.paths = path, .path_count = 1, .poll_ms = 10},
                              .workers = workers,
                              .batch_bytes = 4096,
                              .memo_entries = 64,
                              .max_shapes = 64,
                              .repeat_us = -1,
                              .alerts = made_path("alerts")};
}

static void write_log(const char *name)
{
    static const char *const messages[] = {"open request 1", "close request 2 now",
                                           "retry after error 3 of it", "what is this"};
    hx_text text = {0};

    for (uint32_t n = 0; n < LINES; n++)
        hx_text_printf(&text, "2020-01-01T%02u:%02u:%02uZ h p[%u]: %s\n", n / 3600 % 24,
                       n / 60 % 60, n % 60, n % 37, messages[n % 40 < 37 ? n % 2 : n % 4]);
    made_file(name, text.ptr, text.len);
    hx_text_free(&text);
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

/* The ids in the alert file, added up: the same set in any order gives the same sum. */
static uint64_t sum_of_alerts(uint64_t *count)
{
    hx_text text = made_read("alerts");
    uint64_t sum = 0;

    *count = 0;
    for (size_t at = 0; at < text.len; ++*count) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        char hex[17] = {0};

        CHECK(newline != NULL);
        memcpy(hex, text.ptr + at + 8, 16);
        sum += strtoull(hex, NULL, 16);
        at = (size_t)(newline - text.ptr) + 1;
    }
    hx_text_free(&text);
    return sum;
}

static void test_any_number_of_workers(void)
{
    static const uint32_t counts[] = {1, 2, 4, 7};
    const char *path = made_path("app.log");
    uint64_t sum = 0, count = 0;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        hx_engine_config config = config_for(counts[i], &path);
        hx_engine *engine = NULL;
        hx_error err = {{0}};
        uint64_t this_sum, this_count;

        unlink(made_path("alerts"));
        CHECK_INT(hx_engine_create(&config, &engine, &err), 0);
        CHECK_INT(hx_engine_run(engine, &err), 0);
        CHECK_INT(summary_count(engine, "lines"), LINES);
        CHECK_INT(summary_count(engine, "events"), LINES);
        hx_engine_destroy(engine);
        this_sum = sum_of_alerts(&this_count);
        if (i == 0) {
            sum = this_sum;
            count = this_count;
        }
        CHECK(this_sum == sum);
        CHECK_INT(this_count, count);
        CHECK(count > 100);
    }
}

static void *run(void *arg)
{
    hx_error err = {{0}};
    int rc = hx_engine_run(arg, &err);

    if (rc)
        fprintf(stderr, "%s\n", err.text);
    return (void *)(intptr_t)rc;
}

/* What the command "templates" has counted, while the workers count on. */
static uint64_t lines_of_templates(hx_engine *engine)
{
    static const char command[] = "{\"command\": \"templates\", \"counts\": true}";
    static const char want[] = "\"lines\": ";
    hx_text out = {0};
    const char *at;
    uint64_t lines;

    hx_engine_answer(engine, command, sizeof command - 1, &out);
    hx_text_bytes(&out, "", 1);
    at = strstr(out.ptr, want);
    CHECK(at != NULL);
    lines = strtoull(at + strlen(want), NULL, 10);
    hx_text_free(&out);
    return lines;
}

static void *pester(void *arg)
{
    hx_engine *engine = arg;
    hx_error err = {{0}};

    for (int i = 0; i < 12; i++) {
        CHECK_INT(hx_engine_load_bundle(engine, made_folder(), &err), 0);
        CHECK_INT(hx_engine_load_bundle(engine, "/nowhere", &err), HX_ENOTFOUND);
        hx_engine_pause(engine, i % 2);
        CHECK_INT(hx_engine_checkpoint(engine, &err), 0);
        CHECK(summary_count(engine, "lines") <= LINES);
        CHECK(lines_of_templates(engine) <= LINES);
    }
    hx_engine_pause(engine, false);
    return NULL;
}

static void test_pestered(uint32_t workers)
{
    const char *path = made_path("app.log");
    hx_engine_config config = config_for(workers, &path);
    const struct timespec nap = {0, 5000000};
    pthread_t runner, other;
    hx_engine *engine = NULL;
    hx_error err = {{0}};
    void *rc;

    unlink(made_path("alerts"));
    unlink(made_path("checkpoint"));
    config.source.follow = true;
    config.checkpoint = made_path("checkpoint");
    config.checkpoint_ms = 10;
    config.control_socket = made_path("control");
    CHECK_INT(hx_engine_create(&config, &engine, &err), 0);
    CHECK_INT(pthread_create(&runner, NULL, run, engine), 0);
    CHECK_INT(pthread_create(&other, NULL, pester, engine), 0);
    pthread_join(other, NULL);
    for (int i = 0; i < 4000 && summary_count(engine, "lines") < LINES; i++)
        nanosleep(&nap, NULL);
    hx_engine_stop(engine);
    pthread_join(runner, &rc);
    CHECK_INT((intptr_t)rc, 0);
    CHECK_INT(summary_count(engine, "lines"), LINES);
    CHECK_INT(summary_count(engine, "events"), LINES);
    CHECK_INT(summary_count(engine, "bundle_loads"), 12);
    CHECK_INT(hx_engine_load_bundle(engine, made_folder(), &err), HX_EEND);
    CHECK_INT(hx_engine_checkpoint(engine, &err), HX_EEND);
    hx_engine_destroy(engine);
    CHECK(access(made_path("control"), F_OK) != 0);
}

static void test_wrong_configurations(void)
{
    const char *path = made_path("app.log");
    hx_engine *engine = NULL;

    for (int i = 0; i < 9; i++) {
        hx_engine_config c = config_for(2, &path);
        static const uint32_t pin[] = {65000};
        hx_error err = {{0}};

        switch (i) {
        case 0:
            c.workers = 0;
            break;
        case 1:
            c.workers = 65;
            break;
        case 2:
            c.batch_bytes = 4095;
            break;
        case 3:
            c.memo_entries = 3;
            break;
        case 4:
            c.max_shapes = 0;
            break;
        case 5:
            c.pin = pin;
            c.pin_count = 1;
            break;
        case 6:
            c.bundle = NULL;
            break;
        case 7:
            c.alerts = made_path("no/where");
            break;
        default:
            c.control_socket = made_path("app.log");
            break;
        }
        CHECK(hx_engine_create(&c, &engine, &err) != 0);
        CHECK(engine == NULL && err.text[0]);
    }
    hx_engine_destroy(NULL);
}

int main(void)
{
    hx_bundle_destroy(made_bundle(&(made_manifest){0}));
    write_log("app.log");
    test_any_number_of_workers();
    test_pestered(1);
    test_pestered(3);
    test_wrong_configurations();
    return 0;
}
