/* haechi-storm: argv or a JSON configuration to the sender. Exit codes: 0 done (also when a signal
 * ended it early: what was composed is sent, the truth complete), 1 failed, 2 wrong usage or
 * configuration. */
#include "storm-settings.h"

#include <haechi/parent.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static volatile sig_atomic_t stop_wanted, reload_wanted, snapshot_wanted;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        reload_wanted = 1;
    else if (number == SIGUSR2)
        snapshot_wanted = 1;
    else
        stop_wanted = 1;
}

static void catch_signals(void)
{
    /* No SA_RESTART: a write to a reader that has stopped reading ends, too. */
    struct sigaction act = {.sa_handler = on_signal};
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* A signal changes nothing any more, and would cut short how the totals are written. */
static void ignore_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_IGN);
}

/* As many sockets as the system allows: one for each target, port and worker. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Whole or not at all: a reader never sees half of it. */
static void summary_write(hx_sender *sender, const char *path)
{
    hx_text out = {0};
    char temporary[4096];
    FILE *file = stderr;

    errno = 0;
    hx_sender_summary(sender, &out);
    hx_text_str(&out, "\n");
    if (strcmp(path, "-") != 0) {
        bool is_device = strncmp(path, "/dev/", 5) == 0;
        int len = snprintf(temporary, sizeof temporary, is_device ? "%s" : "%s.new", path);
        errno = ENAMETOOLONG;
        file = len < (int)sizeof temporary ? fopen(temporary, "we") : NULL;
    }
    bool written = file && !out.failed && fwrite(out.ptr, 1, out.len, file) == out.len;
    if (file && file != stderr) {
        written &= fclose(file) == 0;
        if (written && strcmp(temporary, path) != 0)
            written = rename(temporary, path) == 0;
    }
    if (!written)
        fprintf(stderr, "haechi-storm: %s: the totals cannot be written: %s\n", path,
                strerror(errno));
    hx_text_free(&out);
}

/* The configuration is read again, with argv over it as at the start. The rate is taken over; the
 * rest holds for the next run. */
static void reload(const storm_settings *s, hx_sender *sender)
{
    storm_settings again = {0};
    storm_plan plan = {0};
    hx_error err = {""};

    if (!s->config) {
        fprintf(stderr, "haechi-storm: USR1: there is no --config to read again\n");
        return;
    }
    if (storm_settings_read(&again, s->argc, s->argv) == 0 && storm_plan_make(&again, &plan) == 0) {
        hx_sender_limit(sender, plan.max_eps_milli);
        if (hx_sender_set_rate(sender, plan.sender.eps_milli, &err))
            fprintf(stderr, "haechi-storm: %s: %s\n", s->config, err.text);
        else
            fprintf(stderr,
                    "haechi-storm: %s: eps is %.3f now; other settings hold from the next "
                    "start on\n",
                    s->config, (double)plan.sender.eps_milli / 1000);
    }
    free(plan.target_list);
    storm_settings_free(&again);
}

static void on_watch(void *context, hx_sender *sender)
{
    const storm_settings *s = context;

    if (stop_wanted)
        hx_sender_stop(sender);
    if (reload_wanted) {
        reload_wanted = 0;
        reload(s, sender);
    }
    if (snapshot_wanted) {
        snapshot_wanted = 0;
        summary_write(sender, s->snapshot ? s->snapshot : "-");
    }
}

static int storm(const storm_settings *s, storm_plan *plan)
{
    hx_sender *sender = NULL;
    hx_error err = {""};
    int rc;

    plan->sender.on_watch = on_watch;
    plan->sender.context = (void *)(uintptr_t)s;
    rc = hx_sender_create(&plan->sender, &sender, &err);
    if (!rc) {
        hx_sender_limit(sender, plan->max_eps_milli);
        rc = hx_sender_run(sender, &err);
        ignore_signals();
        if (s->summary)
            summary_write(sender, s->summary);
        if (s->json)
            summary_write(sender, "-");
    }
    hx_sender_destroy(sender);
    if (rc)
        fprintf(stderr, "haechi-storm: %s\n", err.text[0] ? err.text : hx_strerror(rc));
    return rc == HX_EINVAL || rc == HX_ENOTFOUND ? EXIT_USAGE : rc ? EXIT_FAILED : 0;
}

static int run(const storm_settings *s)
{
    hx_profile *profile = NULL;
    storm_plan plan;
    hx_error err = {""};
    size_t len;
    int rc = storm_plan_make(s, &plan) ? EXIT_USAGE : 0;
    char *json = rc ? NULL : storm_file_read(s->profile, &len);

    if (json && hx_profile_create(json, len, &profile, &err)) {
        fprintf(stderr, "haechi-storm: %s: %s\n", s->profile, err.text);
        rc = EXIT_USAGE;
    } else if (!json) {
        rc = EXIT_USAGE;
    }
    free(json);
    plan.sender.composer.profile = profile;
    if (!rc)
        rc = storm(s, &plan);
    hx_profile_destroy(profile);
    free(plan.target_list);
    return rc;
}

int main(int argc, char **argv)
{
    storm_settings s = {0};
    hx_error err = {{0}};
    int rc;

    if (hx_parent_follow(&err)) {
        fprintf(stderr, "haechi-storm: %s\n", err.text);
        return EXIT_USAGE;
    }
    catch_signals();
    raise_file_limit();
    rc = storm_settings_read(&s, argc, argv);
    rc = rc == HX_EEND ? 0 : rc ? EXIT_USAGE : run(&s);
    storm_settings_free(&s);
    return rc;
}
