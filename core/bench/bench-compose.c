/* How fast one core composes: events into memory, the same by batches with newlines, in turns of 40
 * lanes as a sender does, and with bursts and silences going on. The memory is one mebibyte,
 * written over and over, as a sender's buffers are.
 *
 *   haechi-bench-compose PROFILE.json [SECONDS [FORM]] [--json]
 *
 * --json: for each way its best slice's rate and that of all slices, NAME_eps and NAME_mean_eps.
 */
#include <haechi/storm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = 1 << 20, SLICE_EVENTS = 1 << 18, LANES = 40, LANE_SESSIONS = 4096 };

/* Processor time of this thread: what the machine's other work takes is not composing. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *slurp(const char *path, size_t *len)
{
    FILE *file = fopen(path, "r");
    char *text = malloc(HX_PROFILE_BYTES_MAX);

    if (!file || !text) {
        perror(path);
        exit(1);
    }
    *len = fread(text, 1, HX_PROFILE_BYTES_MAX, file);
    fclose(file);
    return text;
}

static uint64_t slice_next(hx_composer *composer, char *room)
{
    uint64_t bytes = 0;
    size_t at = 0;

    for (uint32_t i = 0; i < SLICE_EVENTS; i++) {
        uint32_t length = hx_composer_next(composer, room + at, NULL);
        bytes += length;
        at = at + length > ROOM - HX_LINE_ROOM ? 0 : at + length;
    }
    return bytes;
}

static uint64_t slice_fill(hx_composer *composer, char *room)
{
    uint64_t bytes = 0, events;

    for (uint64_t left = SLICE_EVENTS; left; left -= events)
        bytes += hx_composer_fill(composer, room, ROOM, left, &events);
    return bytes;
}

static uint64_t slice_turns(hx_composer *composer, char *room)
{
    uint32_t sessions = hx_composer_sessions(composer) / LANES;
    static uint32_t lane, left;
    uint64_t bytes = 0;
    size_t at = 0;

    for (uint32_t i = 0; i < SLICE_EVENTS; i++) {
        if (left-- == 0) {
            lane = lane + 1 == LANES ? 0 : lane + 1;
            left = sessions - 1;
            hx_composer_turn(composer, lane);
        }
        uint32_t length = hx_composer_next(composer, room + at, NULL);
        bytes += length;
        at = at + length > ROOM - HX_LINE_ROOM ? 0 : at + length;
    }
    return bytes;
}

static void report(const char *name, double events, double bytes, double took, double best_eps,
                   bool json)
{
    static bool any;

    if (json)
        printf("%s\"%s_eps\": %.0f, \"%s_mean_eps\": %.0f", any ? ", " : "{", name, best_eps, name,
               events / took);
    else
        printf("%-6s %10.0f events/s  %6.2f ns/event  %5.2f GB/s  %6.1f bytes/event  best slice "
               "%.0f/s\n",
               name, events / took, took * 1e9 / events, bytes / took / 1e9, bytes / events,
               best_eps);
    any = true;
}

static void measure(const char *name, uint64_t (*slice)(hx_composer *, char *),
                    const hx_composer_config *config, char *room, double seconds, bool json)
{
    uint64_t events = 0, bytes = 0;
    hx_composer *composer;
    hx_error err = {""};

    if (hx_composer_create(config, &composer, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    double from = now(), best = 1e9, took;
    do {
        double began = now();
        bytes += slice(composer, room);
        took = now() - began;
        best = took < best ? took : best;
        events += SLICE_EVENTS;
    } while (now() - from < seconds);
    took = now() - from;
    report(name, (double)events, (double)bytes, took, SLICE_EVENTS / best, json);
    hx_composer_destroy(composer);
}

int main(int argc, char **argv)
{
    bool as_json = argc > 2 && !strcmp(argv[argc - 1], "--json");
    double seconds = (argc -= as_json) > 2 ? atof(argv[2]) : 2;
    char *room = aligned_alloc(64, ROOM + HX_LINE_ROOM);
    hx_composer_config config = {.seed = 1, .eps_milli = UINT64_C(4000000000)};
    hx_profile *profile;
    hx_error err = {""};
    size_t len;

    if (argc < 2 || (argc > 3 && hx_line_form_parse(argv[3], &config.form))) {
        fprintf(
            stderr,
            "usage: haechi-bench-compose PROFILE.json [SECONDS [iso|rfc3164|rfc5424]] [--json]\n");
        return 2;
    }
    char *json = slurp(argv[1], &len);
    if (hx_profile_create(json, len, &profile, &err)) {
        fprintf(stderr, "%s: %s\n", argv[1], err.text);
        return 2;
    }
    config.profile = profile;
    config.start_ns = INT64_C(1756548930000000000);
    measure("next", slice_next, &config, room, seconds, as_json);
    measure("fill", slice_fill, &config, room, seconds, as_json);
    hx_composer_config disturbed = config, lanes = config;
    disturbed.kinds = HX_ANOMALY_ALL;
    disturbed.anomaly_rate = 0.001;
    disturbed.disturbance_events = 1000000;
    measure("odd", slice_next, &disturbed, room, seconds, as_json);
    lanes.lanes = LANES;
    lanes.sessions = LANES * LANE_SESSIONS;
    measure("turns", slice_turns, &lanes, room, seconds, as_json);
    if (as_json)
        puts("}");
    hx_profile_destroy(profile);
    free(json);
    free(room);
    return 0;
}
