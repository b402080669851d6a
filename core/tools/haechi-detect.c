/* haechi-detect: settings to the engine, and signals. */
#include "detect-settings.h"

#include <haechi/parent.h>
#include <haechi/text.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic(hx_engine *) running;
static _Atomic bool stop_wanted;

static void on_signal(int number)
{
    hx_engine *engine = atomic_load(&running);

    (void)number;
    atomic_store(&stop_wanted, true);
    if (engine)
        hx_engine_stop(engine);
}

/* --- running -----------------------------------------------------------------------------------
 */

/* Beside the executable, as the stand-alone archive has it. */
static const char *library_beside(char *buffer, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", buffer, size - 32);
    char *slash;

    if (n <= 0)
        return NULL;
    buffer[n] = 0;
    slash = strrchr(buffer, '/');
    if (!slash)
        return NULL;
    strcpy(slash + 1, "libonnxruntime.so");
    return access(buffer, R_OK) == 0 ? buffer : NULL;
}

static void write_summary(hx_engine *engine, const char *path)
{
    hx_text out = {0};
    FILE *f = strcmp(path, "-") == 0 ? stderr : fopen(path, "w");

    hx_engine_summary(engine, &out);
    hx_text_str(&out, "\n");
    if (!f || fwrite(out.ptr, 1, out.len, f) != out.len)
        fprintf(stderr, "haechi-detect: summary: %s: %s\n", path, strerror(errno));
    if (f && f != stderr)
        fclose(f);
    hx_text_free(&out);
}

/* Before the engine is made: a TERM that comes while it starts ends it as soon as it has. */
static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* A signal changes nothing any more, and would cut short how the totals are written. */
static void ignore_signals(void)
{
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}

int main(int argc, char **argv)
{
    static settings s = {
        .engine = {.workers = 1,
                   .batch_bytes = 1u << 20,
                   .memo_entries = 131072,
                   .max_shapes = 4096,
                   .alerts_per_second = 10000,
                   .alerts = "-"},
        .checkpoint_interval_s = 5,
        .repeat_s = -1,
    };
    char beside[4096];
    hx_engine *engine = NULL;
    hx_error err = {{0}};
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            settings_help();
            return 0;
        }
    }
    if (hx_parent_follow(&err)) {
        fprintf(stderr, "haechi-detect: %s\n", err.text);
        return EXIT_USAGE;
    }
    settings_read(&s, argc, argv);
    if (!s.engine.onnxruntime)
        s.engine.onnxruntime = library_beside(beside, sizeof beside);
    catch_signals();
    rc = hx_engine_create(&s.engine, &engine, &err);
    if (!rc) {
        atomic_store(&running, engine);
        if (atomic_load(&stop_wanted))
            hx_engine_stop(engine);
        rc = hx_engine_run(engine, &err);
        atomic_store(&running, NULL);
        ignore_signals();
        if (s.summary)
            write_summary(engine, s.summary);
    }
    hx_engine_destroy(engine);
    if (rc) {
        fprintf(stderr, "haechi-detect: %s\n", err.text[0] ? err.text : hx_strerror(rc));
        return rc == HX_EINVAL ? EXIT_USAGE : 1;
    }
    return 0;
}
