/* haechi-storm: argv or a JSON configuration to the maker. Exit codes: 0 done (also when a signal
 * ended it early: whole lines, the truth complete), 1 failed, 2 wrong usage or configuration. */
#include <haechi/storm.h>

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static volatile int stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* Every setting is text until it is read, wherever it came from, so that argv and configuration can
 * not differ in what they allow. */
typedef struct settings {
    char *profile, *count, *eps, *seed, *form, *start, *sessions, *anomaly_rate, *truth, *output;
    bool json;
} settings;

static const struct setting {
    const char *name;
    char letter;
    size_t at;
    const char *argument, *help;
} table[] = {
    {"profile", 'p', offsetof(settings, profile), "FILE",
     "the profile, as JSON (docs/profiles.md)"},
    {"count", 'n', offsetof(settings, count), "N", "lines to write; 2M and 750k are understood"},
    {"eps", 'r', offsetof(settings, eps), "R", "lines a second of log time, 0.001 to 1G [1000]"},
    {"seed", 's', offsetof(settings, seed), "S", "same seed, same bytes [1]"},
    {"form", 'f', offsetof(settings, form), "FORM", "iso, rfc3164 or rfc5424 [iso]"},
    {"start", 't', offsetof(settings, start), "TIME", "of the first line [2025-08-30T10:15:30Z]"},
    {"sessions", 'l', offsetof(settings, sessions), "N", "live at once; 0: from the rate [0]"},
    {"anomaly-rate", 'a', offsetof(settings, anomaly_rate), "R", "share of sessions, 0 to 1 [0]"},
    {"truth", 'T', offsetof(settings, truth), "FILE", "the anomalous sessions, JSON lines"},
    {"output", 'o', offsetof(settings, output), "FILE", "the lines; - is standard output [-]"},
};

enum { SETTINGS = sizeof table / sizeof *table };

static char **setting_at(settings *s, uint32_t i)
{
    return (char **)(void *)((char *)s + table[i].at);
}

static void help(void)
{
    puts("haechi-storm: writes system logs made of session flows, with labelled anomalies on "
         "request\n"
         "\n"
         "  haechi-storm --profile system.json --count 2M --eps 100k --anomaly-rate 0.001 \\\n"
         "               --truth truth.jsonl -o app.log\n");
    for (uint32_t i = 0; i < SETTINGS; i++) {
        char option[40];
        snprintf(option, sizeof option, "--%s %s", table[i].name, table[i].argument);
        printf("  -%c, %-22s %s\n", table[i].letter, option, table[i].help);
    }
    puts("  -c, --config FILE          the same settings as a JSON object; argv wins\n"
         "  -j, --json                 what was written, as a JSON object on standard error\n"
         "  -h, --help                 this text\n"
         "\n"
         "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.");
}

static int refuse(const char *name, const char *value, const char *allowed)
{
    fprintf(stderr, "haechi-storm: %s: \"%.80s\" is not %s\n", name, value, allowed);
    return HX_EINVAL;
}

/* --- reading values ----------------------------------------------------------------------------
 */

/* A decimal number with at most `digits` digits after its point and a suffix k, M or G, in units of
 * 10^-digits; HX_EINVAL where it is none or does not fit. Exact, unlike strtod. */
static int read_decimal(const char *text, uint32_t digits, uint64_t *out)
{
    uint32_t places = 0, scale = digits;
    bool point = false, any = false;
    uint64_t value = 0;

    for (; isdigit((unsigned char)*text) || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return HX_EINVAL;
        places += point;
        any = true;
    }
    scale += *text == 'k' ? 3 : *text == 'M' ? 6 : *text == 'G' ? 9 : 0;
    if (*text == 'k' || *text == 'M' || *text == 'G')
        text++;
    if (!any || *text || places > scale)
        return HX_EINVAL;
    for (; places < scale; places++)
        if (__builtin_mul_overflow(value, 10, &value))
            return HX_EINVAL;
    *out = value;
    return 0;
}

static int read_time(const char *text, int64_t *ns)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint32_t scale = 1000000000;
    int64_t fraction = 0;

    if (!rest)
        return HX_EINVAL;
    if (*rest == '.')
        for (rest++; isdigit((unsigned char)*rest) && scale > 1; rest++)
            fraction += (*rest - '0') * (int64_t)(scale /= 10);
    if (strcmp(rest, "Z") != 0)
        return HX_EINVAL;
    time_t second = timegm(&tm);
    if (second < 0 || second > INT64_MAX / 2000000000)
        return HX_EINVAL;
    *ns = (int64_t)second * 1000000000 + fraction;
    return 0;
}

static int read_rate(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end == text || *end || !(*out >= 0 && *out <= 1) ? HX_EINVAL : 0;
}

static int settings_read(const settings *s, hx_maker_config *config)
{
    uint64_t sessions = 0;

    *config = (hx_maker_config){.output = "-", .truth = s->truth, .stop = &stop};
    config->composer.eps_milli = 1000000;
    config->composer.seed = 1;
    read_time("2025-08-30T10:15:30Z", &config->composer.start_ns);
    if (!s->profile || !s->count) {
        fprintf(stderr, "haechi-storm: --%s is needed; --help shows an example\n",
                s->profile ? "count" : "profile");
        return HX_EINVAL;
    }
    if (s->output)
        config->output = s->output;
    if (read_decimal(s->count, 0, &config->count) || config->count == 0)
        return refuse("count", s->count, "a whole number of 1 or more");
    if (s->eps &&
        (read_decimal(s->eps, 3, &config->composer.eps_milli) || config->composer.eps_milli == 0 ||
         config->composer.eps_milli > UINT64_C(1000000000000)))
        return refuse("eps", s->eps, "a number from 0.001 to 1G, such as 100000, 0.5 or 4M");
    if (s->seed && read_decimal(s->seed, 0, &config->composer.seed))
        return refuse("seed", s->seed, "a whole number below 2^64");
    if (s->form && hx_line_form_parse(s->form, &config->composer.form))
        return refuse("form", s->form, "one of iso, rfc3164, rfc5424");
    if (s->start && read_time(s->start, &config->composer.start_ns))
        return refuse("start", s->start, "a UTC time from 1970 on, such as 2025-08-30T10:15:30Z");
    if (s->sessions && (read_decimal(s->sessions, 0, &sessions) || sessions > 10000000))
        return refuse("sessions", s->sessions, "a whole number from 0 to 10000000");
    if (s->anomaly_rate && read_rate(s->anomaly_rate, &config->composer.anomaly_rate))
        return refuse("anomaly-rate", s->anomaly_rate, "a number from 0 to 1");
    config->composer.sessions = (uint32_t)sessions;
    return 0;
}

/* --- where settings come from ------------------------------------------------------------------
 */

static void setting_set(settings *s, uint32_t i, const char *value)
{
    char **at = setting_at(s, i);

    free(*at);
    *at = strdup(value);
    if (!*at)
        abort();
}

/* The whole file; NULL with a sentence on standard error. To be freed. */
static char *file_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(HX_PROFILE_BYTES_MAX + 2) : NULL;

    *len = text ? fread(text, 1, HX_PROFILE_BYTES_MAX + 1, file) : 0;
    if (!text || ferror(file)) {
        fprintf(stderr, "haechi-storm: %s: cannot be read: %s\n", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

/* Numbers stand as numbers or as texts ("4M") in a configuration. */
static int config_set(settings *s, const char *path, const cJSON *item)
{
    char number[32];

    for (uint32_t i = 0; i < SETTINGS; i++) {
        if (strcmp(table[i].name, item->string) != 0)
            continue;
        if (cJSON_IsString(item)) {
            setting_set(s, i, item->valuestring);
        } else if (cJSON_IsNumber(item)) {
            snprintf(number, sizeof number, "%.15g", item->valuedouble);
            setting_set(s, i, number);
        } else if (!cJSON_IsNull(item)) {
            break;
        }
        return 0;
    }
    fprintf(stderr, "haechi-storm: %s: %.60s: no setting with this name and kind of value\n", path,
            item->string);
    return HX_EINVAL;
}

static int config_read(settings *s, const char *path)
{
    size_t len;
    char *text = file_read(path, &len);
    cJSON *root = text ? cJSON_ParseWithLength(text, len) : NULL;
    const cJSON *item;
    int rc = cJSON_IsObject(root) ? 0 : HX_EMALFORMED;

    if (text && rc)
        fprintf(stderr, "haechi-storm: %s: not a JSON object\n", path);
    cJSON_ArrayForEach(item, root) if (!rc) rc = config_set(s, path, item);
    cJSON_Delete(root);
    free(text);
    return rc;
}

/* 0, HX_EEND after --help, or HX_EINVAL. */
static int argv_read(settings *s, int argc, char **argv)
{
    struct option options[SETTINGS + 4] = {{0}};
    char letters[2 * SETTINGS + 8] = "c:jh";
    int letter, index;

    for (uint32_t i = 0; i < SETTINGS; i++) {
        options[i] = (struct option){table[i].name, required_argument, NULL, table[i].letter};
        snprintf(letters + strlen(letters), 3, "%c:", table[i].letter);
    }
    options[SETTINGS] = (struct option){"config", required_argument, NULL, 'c'};
    options[SETTINGS + 1] = (struct option){"json", no_argument, NULL, 'j'};
    options[SETTINGS + 2] = (struct option){"help", no_argument, NULL, 'h'};
    /* The configuration first, so that argv wins wherever it stands. */
    while ((letter = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (letter == 'h')
            return HX_EEND;
        if (letter == '?' || (letter == 'c' && config_read(s, optarg)))
            return HX_EINVAL;
    }
    if (optind < argc) {
        fprintf(stderr, "haechi-storm: \"%s\" belongs to no option; --help lists them\n",
                argv[optind]);
        return HX_EINVAL;
    }
    optind = 1;
    while ((letter = getopt_long(argc, argv, letters, options, &index)) != -1) {
        s->json |= letter == 'j';
        for (uint32_t i = 0; i < SETTINGS; i++)
            if (table[i].letter == letter)
                setting_set(s, i, optarg);
    }
    return 0;
}

/* --- running -----------------------------------------------------------------------------------
 */

static int run(const settings *s)
{
    struct timespec from, to;
    hx_maker_config config;
    hx_maker_result result = {0};
    hx_profile *profile = NULL;
    hx_error err = {""};
    size_t len;

    if (settings_read(s, &config))
        return EXIT_USAGE;
    char *json = file_read(s->profile, &len);
    if (!json)
        return EXIT_USAGE;
    int rc = hx_profile_create(json, len, &profile, &err);
    free(json);
    if (rc) {
        fprintf(stderr, "haechi-storm: %s: %s\n", s->profile, err.text);
        return EXIT_USAGE;
    }
    config.composer.profile = profile;
    clock_gettime(CLOCK_MONOTONIC, &from);
    rc = hx_maker_run(&config, &result, &err);
    clock_gettime(CLOCK_MONOTONIC, &to);
    hx_profile_destroy(profile);
    if (rc)
        fprintf(stderr, "haechi-storm: %s\n", err.text);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    if (s->json)
        fprintf(stderr,
                "{\"events\": %llu, \"bytes\": %llu, \"episodes\": %llu, \"seconds\": %.6f, "
                "\"interrupted\": %s}\n",
                (unsigned long long)result.events, (unsigned long long)result.bytes,
                (unsigned long long)result.episodes, seconds,
                !rc && result.events < config.count ? "true" : "false");
    if (rc == HX_EINVAL)
        return EXIT_USAGE;
    return rc ? EXIT_FAILED : 0;
}

int main(int argc, char **argv)
{
    /* No SA_RESTART: a write to a reader that has stopped reading ends, too. */
    struct sigaction end = {.sa_handler = on_signal};
    settings s = {0};
    int rc;

    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    signal(SIGPIPE, SIG_IGN);
    rc = argv_read(&s, argc, argv);
    if (rc == HX_EEND)
        help();
    rc = rc == HX_EEND ? 0 : rc ? EXIT_USAGE : run(&s);
    for (uint32_t i = 0; i < SETTINGS; i++)
        free(*setting_at(&s, i));
    return rc;
}
