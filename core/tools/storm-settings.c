#include "storm-settings.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define AT(field) offsetof(storm_settings, field)

typedef enum kind { TEXT, FLAG, LIST } kind;

static const struct setting {
    const char *name; /* with _ in JSON, with - on the command line */
    kind kind;
    size_t at;
    char letter; /* 0: none */
    const char *argument, *help;
} table[] = {
    {"profile", TEXT, AT(profile), 'p', "FILE", "the profile, as JSON (docs/profiles.md)"},
    {"form", TEXT, AT(form), 'f', "FORM", "iso, rfc3164 or rfc5424 [iso]"},
    {"seed", TEXT, AT(seed), 's', "S", "same seed, same bytes [1]"},
    {"start", TEXT, AT(start), 't', "TIME",
     "of the first line [now; with an output 2025-08-30T10:15:30Z]"},
    {"eps", TEXT, AT(eps), 'r', "R",
     "events a second: 100k, 4M, 0.5; max: as fast as it goes [1000]"},
    {"count", TEXT, AT(count), 'n', "N", "events in all; 2M and 750k are understood"},
    {"duration", TEXT, AT(duration), 'd', "T", "how long: 30, 30s, 10m, 24h"},
    {"ramp_up", TEXT, AT(ramp_up), 0, "T", "from nothing to the full rate in this time [0]"},
    {"sessions", TEXT, AT(sessions), 'l', "N", "live at once; 0: from the rate [0]"},
    {"anomaly_rate", TEXT, AT(anomaly_rate), 'a', "R", "share of sessions, 0 to 1 [0]"},
    {"anomaly_kinds", TEXT, AT(anomaly_kinds), 0, "KINDS",
     "sessions, all, or names joined by commas [sessions]"},
    {"disturbance_events", TEXT, AT(disturbance_events), 0, "N",
     "a burst or a silence in so many events; 0: none [0]"},
    {"truth", TEXT, AT(truth), 'T', "FILE", "the anomalous episodes, JSON lines"},
    {"output", TEXT, AT(output), 'o', "FILE", "the lines to a file; - is standard output"},
    {"paced", FLAG, AT(paced), 0, NULL, "with an output: write at the rate, not at once"},
    {"target", LIST, AT(target), 0, "HOST", "where events are sent; several with commas"},
    {"ports", TEXT, AT(ports), 0, "PORTS", "such as 514-553 or 514,601 [514-553]"},
    {"transport", TEXT, AT(transport), 0, "T", "udp, tcp or tls [udp]"},
    {"framing", TEXT, AT(framing), 0, "F", "of tcp and tls: octets or newline [octets]"},
    {"allow_target", LIST, AT(allow_target), 0, "HOST",
     "a target beyond loopback, private and link-local addresses that is meant"},
    {"allow_ports", FLAG, AT(allow_ports), 0, NULL, "ports below 514, or more than 100 of them"},
    {"max_eps", TEXT, AT(max_eps), 0, "R", "the highest rate that is allowed [20M]"},
    {"workers", TEXT, AT(workers), 'w', "N", "threads that send; 0: one for each processor [0]"},
    {"groups", TEXT, AT(groups), 0, "N", "of workers, for --pin auto [1]"},
    {"pin", LIST, AT(pin), 0, "CPU,..|auto",
     "processors for the workers; auto: a group's workers on one NUMA node"},
    {"burst_us", TEXT, AT(burst_us), 0, "US", "how long a port's turn lasts at most [850]"},
    {"gso", TEXT, AT(gso), 0, "BOOL", "several datagrams in a system message [true]"},
    {"account", FLAG, AT(account), 0, NULL, "probes and end marks for a haechi sink"},
    {"tls_ca", TEXT, AT(tls_ca), 0, "FILE", "certificates to trust, PEM [the system's]"},
    {"tls_certificate", TEXT, AT(tls_certificate), 0, "FILE", "to show to the receiver, PEM"},
    {"tls_key", TEXT, AT(tls_key), 0, "FILE", "its key, PEM"},
    {"tls_server_name", TEXT, AT(tls_server_name), 0, "NAME", "in the certificate [the target]"},
    {"tls_insecure", FLAG, AT(tls_insecure), 0, NULL, "do not check the certificate"},
    {"stats_page", TEXT, AT(stats_page), 0, "FILE", "counters for others to read"},
    {"control_socket", TEXT, AT(control_socket), 0, "PATH", "Unix socket for commands"},
    {"summary", TEXT, AT(summary), 0, "FILE|-", "totals as JSON at the end; - is standard error"},
    {"snapshot", TEXT, AT(snapshot), 0, "FILE", "where USR2 writes the totals so far"},
};

enum { SETTINGS = sizeof table / sizeof *table };

static char **value_at(const storm_settings *s, uint32_t i)
{
    return (char **)(void *)((char *)(uintptr_t)s + table[i].at);
}

static void value_set(storm_settings *s, uint32_t i, const char *value)
{
    char **at = value_at(s, i);

    free(*at);
    *at = strdup(value);
    if (!*at)
        abort();
}

static void option_name(const char *name, char *out, size_t room)
{
    size_t i = 0;

    for (; name[i] && i + 1 < room; i++)
        out[i] = name[i] == '_' ? '-' : name[i];
    out[i] = 0;
}

void storm_settings_free(storm_settings *s)
{
    for (uint32_t i = 0; i < SETTINGS; i++)
        free(*value_at(s, i));
    free(s->config);
}

static void help(void)
{
    char name[32], option[64];

    puts(
        "haechi-storm: system logs made of session flows, sent at a set rate or written to a file\n"
        "\n"
        "  haechi-storm --profile system.json --target 127.0.0.1 --ports 5514-5553 --eps 4M \\\n"
        "               --duration 30s --account\n"
        "  haechi-storm --profile system.json --count 2M --eps 100k --anomaly-rate 0.001 \\\n"
        "               --truth truth.jsonl -o app.log\n");
    for (uint32_t i = 0; i < SETTINGS; i++) {
        option_name(table[i].name, name, sizeof name);
        snprintf(option, sizeof option, "--%s %s", name,
                 table[i].argument ? table[i].argument : "");
        printf(table[i].letter ? "  -%c, " : "      ", table[i].letter);
        printf("%-26s %s\n", option, table[i].help);
    }
    puts("  -c, --config FILE              the same settings as a JSON object; argv wins\n"
         "  -j, --json                     the totals, as a JSON object on standard error\n"
         "  -h, --help                     this text\n"
         "\n"
         "TERM, INT: what is composed is sent, then the end. USR1: the configuration is read again "
         "(eps).\n"
         "USR2: the totals so far to --snapshot. Exit codes: 0 done, 1 failed, 2 wrong usage.");
}

/* --- where settings come from ------------------------------------------------------------------
 */

char *storm_file_read(const char *path, size_t *len)
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

static bool is_same_name(const char *name, const char *given)
{
    for (; *name && *given; name++, given++)
        if (*name != (*given == '-' ? '_' : *given))
            return false;
    return *name == *given;
}

static bool scalar_text(const cJSON *item, char number[32], const char **text)
{
    *text = number;
    if (cJSON_IsString(item))
        *text = item->valuestring;
    else if (cJSON_IsBool(item))
        snprintf(number, 32, "%s", cJSON_IsTrue(item) ? "true" : "false");
    else if (cJSON_IsNumber(item))
        snprintf(number, 32, "%.15g", item->valuedouble);
    else
        return false;
    return true;
}

/* Numbers and truths stand as such or as texts, lists as lists or joined by commas. */
static int config_set(storm_settings *s, const char *path, const cJSON *item)
{
    char joined[8192] = "", number[32];
    const char *text;
    const cJSON *part;
    uint32_t i = 0;

    while (i < SETTINGS && !is_same_name(table[i].name, item->string))
        i++;
    if (i < SETTINGS && cJSON_IsNull(item))
        return 0;
    if (i < SETTINGS && scalar_text(item, number, &text)) {
        value_set(s, i, text);
        return 0;
    }
    if (i < SETTINGS && cJSON_IsArray(item) && table[i].kind == LIST) {
        bool fits = true;

        cJSON_ArrayForEach(part, item)
        {
            size_t used = strlen(joined);
            fits &= scalar_text(part, number, &text) &&
                    snprintf(joined + used, sizeof joined - used, "%s%s", used ? "," : "", text) <
                        (int)(sizeof joined - used);
        }
        if (fits) {
            if (*joined)
                value_set(s, i, joined);
            return 0;
        }
    }
    fprintf(stderr, "haechi-storm: %s: %.60s: no setting with this name and kind of value\n", path,
            item->string);
    return HX_EINVAL;
}

int storm_settings_parse(storm_settings *s, const char *name, const char *text, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(text, len);
    const cJSON *item;
    int rc = cJSON_IsObject(root) ? 0 : HX_EMALFORMED;

    if (rc)
        fprintf(stderr, "haechi-storm: %s: not a JSON object\n", name);
    cJSON_ArrayForEach(item, root) if (!rc) rc = config_set(s, name, item);
    cJSON_Delete(root);
    return rc;
}

static int read_config(storm_settings *s, const char *path)
{
    size_t len;
    char *text = storm_file_read(path, &len);
    int rc = text ? storm_settings_parse(s, path, text, len) : HX_EIO;

    free(text);
    return rc;
}

enum { LONG_ONLY = 256 };

static int take_options(storm_settings *s, int argc, char **argv, bool config_only)
{
    struct option options[SETTINGS + 4] = {{0}};
    char letters[2 * SETTINGS + 8] = "c:jh", names[SETTINGS][32];
    int letter;

    for (uint32_t i = 0; i < SETTINGS; i++) {
        option_name(table[i].name, names[i], sizeof names[i]);
        options[i] =
            (struct option){names[i], table[i].kind == FLAG ? no_argument : required_argument, NULL,
                            LONG_ONLY + (int)i};
        if (table[i].letter)
            snprintf(letters + strlen(letters), 3, "%c:", table[i].letter);
    }
    options[SETTINGS] = (struct option){"config", required_argument, NULL, 'c'};
    options[SETTINGS + 1] = (struct option){"json", no_argument, NULL, 'j'};
    options[SETTINGS + 2] = (struct option){"help", no_argument, NULL, 'h'};
    optind = 1;
    while ((letter = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (letter == 'h')
            return HX_EEND;
        if (letter == '?')
            return HX_EINVAL;
        if (letter == 'c' && config_only) {
            if (read_config(s, optarg))
                return HX_EINVAL;
            free(s->config);
            s->config = strdup(optarg);
        }
        if (config_only)
            continue;
        s->json |= letter == 'j';
        for (uint32_t i = 0; i < SETTINGS; i++)
            if (letter == LONG_ONLY + (int)i || (table[i].letter && table[i].letter == letter))
                value_set(s, i, table[i].kind == FLAG ? "true" : optarg);
    }
    return 0;
}

int storm_settings_read(storm_settings *s, int argc, char **argv)
{
    /* The configuration first, so that argv wins wherever it stands. */
    int rc = take_options(s, argc, argv, true);

    s->argc = argc;
    s->argv = argv;
    if (!rc && optind < argc) {
        fprintf(stderr, "haechi-storm: \"%s\" belongs to no option; --help lists them\n",
                argv[optind]);
        return HX_EINVAL;
    }
    if (!rc)
        rc = take_options(s, argc, argv, false);
    if (rc == HX_EEND)
        help();
    return rc;
}
