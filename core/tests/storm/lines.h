/* Lines of the small profile, read back: their fields, the sessions they are of, and whether a
 * normal session goes that way. */
#ifndef HAECHI_TESTS_STORM_LINES_H
#define HAECHI_TESTS_STORM_LINES_H

#include <haechi/hash.h>
#include <haechi/storm.h>

static hx_profile *profile;

static inline hx_composer *composer_make(hx_composer_config config)
{
    hx_composer *composer = NULL;
    hx_error err = {""};

    config.profile = profile;
    if (!config.eps_milli)
        config.eps_milli = 1000000;
    if (!config.start_ns)
        config.start_ns = INT64_C(1756548930000000000);
    int rc = hx_composer_create(&config, &composer, &err);
    if (rc)
        fprintf(stderr, "%s\n", err.text);
    CHECK_INT(rc, 0);
    return composer;
}

/* A line's head cut into its fields, so that forms can be compared field by field. */
typedef struct fields {
    char pri[8], time[40], host[32], process[32], pid[16], message[256];
} fields;

static inline fields fields_cut(hx_line_form form, const char *line, uint32_t len)
{
    char text[HX_LINE_ROOM], day[8], clock[16], msgid[32], data[64];
    fields f = {""};
    int at = 0, n = 0;

    memcpy(text, line, len);
    text[len] = '\0';
    switch (form) {
    case HX_LINE_ISO:
        n = sscanf(text, "<%7[0-9]>%39s %31s %31[^[: ]%n", f.pri, f.time, f.host, f.process, &at);
        CHECK_INT(n, 4);
        break;
    case HX_LINE_RFC3164:
        n = sscanf(text, "<%7[0-9]>%7s %7s %15s %31s %31[^[: ]%n", f.pri, f.time, day, clock,
                   f.host, f.process, &at);
        CHECK_INT(n, 6);
        break;
    case HX_LINE_RFC5424:
        n = sscanf(text, "<%7[0-9]>1 %39s %31s %31s %15s %31s %n", f.pri, f.time, f.host, f.process,
                   f.pid, msgid, &at);
        CHECK_INT(n, 6);
        n = text[at] == '[' ? (int)strcspn(text + at, "]") + 1 : 1;
        CHECK((size_t)n < sizeof data && text[at + n] == ' ');
        CHECK(strcmp(f.process, "app") == 0 ? strncmp(text + at, "[x@1 a=\"b\"]", 11) == 0
                                            : text[at] == '-');
        CHECK(strcmp(msgid, strcmp(f.process, "app") == 0 ? "REQ" : "-") == 0);
        snprintf(f.message, sizeof f.message, "%.255s", text + at + n + 1);
        if (strcmp(f.pid, "-") == 0)
            f.pid[0] = '\0';
        return f;
    }
    if (text[at] == '[') {
        CHECK_INT(sscanf(text + at, "[%15[0-9]]%n", f.pid, &n), 1);
        at += n;
    }
    CHECK(strncmp(text + at, ": ", 2) == 0);
    snprintf(f.message, sizeof f.message, "%.255s", text + at + 2);
    return f;
}

enum { SESSIONS = 1 << 16 };

/* What is known of a session by name: an open-addressed table, more than large enough here. */
typedef struct seen {
    uint64_t name;
    uint32_t slot, step;
    uint64_t ended; /* event */
    char user[64];
} seen;

static inline seen *seen_find(seen *table, const fields *f)
{
    char name[96];
    uint64_t hash = hx_hash_bytes(
        name, (size_t)snprintf(name, sizeof name, "%s %s %s", f->host, f->process, f->pid), 1);
    uint32_t i = (uint32_t)hash % SESSIONS;

    while (table[i].name && table[i].name != hash)
        i = (i + 1) % SESSIONS;
    table[i].name = hash;
    return &table[i];
}

/* The step that a message is, given the one before (0: none): what normal flows allow. */
static inline uint32_t step_after(uint32_t before, const char *message)
{
    static const struct {
        const char *word;
        uint32_t step, before[4]; /* ends in 0, but for one that begins: {0} */
    } steps[] = {
        {"begin ", 1, {0}}, {"work ", 2, {1}},   {"toil ", 2, {1}}, {"end ", 9, {1, 2}},
        {"fail ", 4, {0}},  {"fail ", 5, {4}},   {"ok ", 6, {5}},   {"bye", 9, {6}},
        {"hot ", 7, {0}},   {"hotter ", 8, {7}}, {"cool ", 9, {8}}, {"link up", 9, {0}},
    };

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strncmp(message, steps[i].word, strlen(steps[i].word)) == 0)
            for (int k = 0; k < 4; k++)
                if (steps[i].before[k] == before && (k == 0 || before))
                    return steps[i].step;
    return 0;
}

typedef struct episodes {
    hx_episode list[4096];
    uint32_t count;
} episodes;

static inline void episode_keep(void *context, const hx_episode *episode)
{
    episodes *all = context;

    if (all->count < sizeof all->list / sizeof *all->list)
        all->list[all->count++] = *episode;
}

#endif
