#include "storm-settings.h"

#include <haechi/quantity.h>

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

static int refuse(const char *name, const char *value, const char *allowed)
{
    fprintf(stderr, "haechi-storm: %s: \"%.80s\" is not %s\n", name, value, allowed);
    return HX_EINVAL;
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

/* --- values ------------------------------------------------------------------------------------
 */

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

static int read_whole(const char *name, const char *text, uint64_t low, uint64_t high,
                      uint64_t *out)
{
    char allowed[96];

    if (!text || (hx_quantity_parse(text, 0, out) == 0 && *out >= low && *out <= high))
        return 0;
    snprintf(allowed, sizeof allowed, "a whole number from %llu to %llu", (unsigned long long)low,
             (unsigned long long)high);
    return refuse(name, text, allowed);
}

static int read_u32(const char *name, const char *text, uint32_t low, uint32_t high, uint32_t *out)
{
    uint64_t value = *out;
    int rc = read_whole(name, text, low, high, &value);

    *out = (uint32_t)value;
    return rc;
}

static int read_bool(const char *name, const char *text, bool *out)
{
    if (!text)
        return 0;
    *out = strcmp(text, "true") == 0;
    return *out || strcmp(text, "false") == 0 ? 0 : refuse(name, text, "true or false");
}

static int read_duration(const char *name, const char *text, int64_t low, int64_t *ns)
{
    const int64_t year_ns = INT64_C(366) * 86400 * 1000000000;

    if (!text || (hx_duration_parse(text, ns) == 0 && *ns >= low && *ns <= year_ns))
        return 0;
    return refuse(name, text, "a time such as 30, 30s, 10m or 24h");
}

static int read_eps(const storm_settings *s, storm_plan *plan)
{
    hx_sender_config *c = &plan->sender;

    plan->max_eps_milli = HX_SENDER_EPS_MAX * 1000;
    if (s->max_eps && (hx_quantity_parse(s->max_eps, 3, &plan->max_eps_milli) ||
                       plan->max_eps_milli < 1000 || plan->max_eps_milli > UINT64_C(1000000000000)))
        return refuse("max_eps", s->max_eps, "a number from 1 to 1G, such as 20M");
    c->eps_milli = 1000000;
    if (!s->eps)
        return 0;
    if (strcmp(s->eps, "max") == 0) {
        c->eps_milli = 0;
        return 0;
    }
    if (hx_quantity_parse(s->eps, 3, &c->eps_milli) || c->eps_milli == 0 ||
        c->eps_milli > UINT64_C(1000000000000))
        return refuse("eps", s->eps,
                      "a number from 0.001 to 1G, such as 100000, 0.5 or 4M, or max");
    if (s->output && !s->paced)
        return 0; /* of log time alone: nothing is sent */
    if (c->eps_milli < 1000)
        return refuse("eps", s->eps,
                      "at least 1; only a file written at once may have a lower rate");
    if (c->eps_milli > plan->max_eps_milli) {
        fprintf(
            stderr,
            "haechi-storm: eps: %s is above the limit of %.0f a second; --max-eps %s allows it\n",
            s->eps, (double)plan->max_eps_milli / 1000, s->eps);
        return HX_EINVAL;
    }
    return 0;
}

static int read_content(const storm_settings *s, storm_plan *plan)
{
    hx_composer_config *c = &plan->sender.composer;
    char *end;

    c->seed = 1;
    if (s->seed && hx_quantity_parse(s->seed, 0, &c->seed))
        return refuse("seed", s->seed, "a whole number below 2^64");
    if (s->form && hx_line_form_parse(s->form, &c->form))
        return refuse("form", s->form, "one of iso, rfc3164, rfc5424");
    if (read_u32("sessions", s->sessions, 0, 10000000, &c->sessions))
        return HX_EINVAL;
    if (s->anomaly_rate) {
        c->anomaly_rate = strtod(s->anomaly_rate, &end);
        if (end == s->anomaly_rate || *end || !(c->anomaly_rate >= 0 && c->anomaly_rate <= 1))
            return refuse("anomaly_rate", s->anomaly_rate, "a number from 0 to 1");
    }
    if (s->anomaly_kinds && hx_anomaly_kinds_parse(s->anomaly_kinds, &c->kinds))
        return refuse("anomaly_kinds", s->anomaly_kinds,
                      "sessions, all, or names of kinds joined by commas (docs/profiles.md)");
    return read_whole("disturbance_events", s->disturbance_events, 0, UINT64_MAX,
                      &c->disturbance_events);
}

static int read_start(const storm_settings *s, storm_plan *plan)
{
    struct timespec now;
    int64_t *start_ns = &plan->sender.composer.start_ns;

    if (s->start && read_time(s->start, start_ns))
        return refuse("start", s->start, "a UTC time from 1970 on, such as 2025-08-30T10:15:30Z");
    if (s->start)
        return 0;
    if (s->output && !s->paced)
        return read_time("2025-08-30T10:15:30Z", start_ns);
    clock_gettime(CLOCK_REALTIME, &now);
    *start_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    plan->sender.start_now = true;
    return 0;
}

/* --- targets -----------------------------------------------------------------------------------
 */

static bool is_near_v4(uint32_t a)
{
    return a >> 24 == 127 || a >> 24 == 10 || a >> 20 == (172u << 4 | 1) ||
           a >> 16 == (192u << 8 | 168) || a >> 16 == (169u << 8 | 254);
}

/* Loopback, private (RFC 1918, RFC 4193) and link-local addresses. */
static bool is_near(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return is_near_v4(
            ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a))
        return is_near_v4((uint32_t)a->s6_addr[12] << 24 | (uint32_t)a->s6_addr[13] << 16 |
                          (uint32_t)a->s6_addr[14] << 8 | a->s6_addr[15]);
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a) || (a->s6_addr[0] & 0xfe) == 0xfc;
}

static bool is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (list && *list) {
        size_t item = strcspn(list, ",");
        if (item == len && memcmp(list, name, len) == 0)
            return true;
        list += item + (list[item] == ',');
    }
    return false;
}

static int read_targets(const storm_settings *s, storm_plan *plan)
{
    struct sockaddr_storage address;
    hx_error err = {""};
    socklen_t len;

    plan->target_list = strdup(s->target);
    if (!plan->target_list)
        abort();
    for (char *at = strtok(plan->target_list, ","); at; at = strtok(NULL, ",")) {
        if (plan->sender.target_count == HX_SENDER_TARGETS_MAX)
            return refuse("target", s->target, "a list of at most 16");
        if (hx_net_address(at, plan->ports[0], &address, &len, &err)) {
            fprintf(stderr, "haechi-storm: target: %s\n", err.text);
            return HX_EINVAL;
        }
        if (!is_near(&address) && !is_listed(s->allow_target, at)) {
            fprintf(stderr,
                    "haechi-storm: target: %s is neither loopback nor a private or link-local "
                    "address; --allow-target %s allows it, if that machine is yours to load\n",
                    at, at);
            return HX_EINVAL;
        }
        plan->targets[plan->sender.target_count++] = at;
    }
    plan->sender.targets = plan->targets;
    return plan->sender.target_count ? 0 : refuse("target", s->target, "a host or an address");
}

/* Ports that are hardly meant, unless they are allowed. */
static int refuse_ports(const storm_settings *s, const storm_plan *plan)
{
    bool allowed = false;

    if (read_bool("allow_ports", s->allow_ports, &allowed))
        return HX_EINVAL;
    if (!allowed && plan->sender.port_count > 100) {
        fprintf(stderr, "haechi-storm: ports: %u are more than 100; --allow-ports allows them\n",
                plan->sender.port_count);
        return HX_EINVAL;
    }
    for (uint32_t i = 0; i < plan->sender.port_count && !allowed; i++) {
        if (plan->ports[i] < 514) {
            fprintf(stderr,
                    "haechi-storm: ports: %u is below 514, syslog's own, where other services "
                    "listen; choose ports from 514 on, or allow it with --allow-ports\n",
                    plan->ports[i]);
            return HX_EINVAL;
        }
    }
    return 0;
}

static int read_ports(const storm_settings *s, storm_plan *plan)
{
    const char *ports = s->ports ? s->ports : s->output ? NULL : "514-553";
    hx_error err = {""};

    plan->sender.ports = plan->ports;
    if (!ports)
        return 0;
    if (hx_net_ports(ports, plan->ports, &plan->sender.port_count, &err)) {
        fprintf(stderr, "haechi-storm: ports: %s\n", err.text);
        return HX_EINVAL;
    }
    return s->target ? refuse_ports(s, plan) : 0;
}

static int read_transport(const storm_settings *s, hx_sender_config *c)
{
    c->framing = HX_FRAMING_OCTETS;
    if (s->framing && strcmp(s->framing, "newline") == 0)
        c->framing = HX_FRAMING_NEWLINE;
    else if (s->framing && strcmp(s->framing, "octets") != 0)
        return refuse("framing", s->framing, "octets or newline");
    if (!s->transport || strcmp(s->transport, "udp") == 0)
        c->transport = HX_UDP;
    else if (strcmp(s->transport, "tcp") == 0)
        c->transport = HX_TCP;
    else if (strcmp(s->transport, "tls") == 0)
        c->transport = HX_TLS;
    else
        return refuse("transport", s->transport, "udp, tcp or tls");
    c->tls_ca = s->tls_ca;
    c->tls_certificate = s->tls_certificate;
    c->tls_key = s->tls_key;
    c->tls_server_name = s->tls_server_name;
    return read_bool("tls_insecure", s->tls_insecure, &c->tls_insecure);
}

/* --- workers -----------------------------------------------------------------------------------
 */

static int read_pins(const storm_settings *s, storm_plan *plan)
{
    const char *at = s->pin;
    char *end;

    if (!at)
        return 0;
    if (strcmp(at, "auto") == 0) {
        plan->sender.pin_auto = true;
        return 0;
    }
    for (; *at; at = *end == ',' ? end + 1 : end) {
        unsigned long cpu = strtoul(at, &end, 10);
        if (end == at || (*end && *end != ',') || cpu > 65535 ||
            plan->sender.pin_count == STORM_PINS_MAX)
            return refuse("pin", s->pin, "auto or a list of processors such as 0,1");
        plan->pins[plan->sender.pin_count++] = (uint32_t)cpu;
    }
    plan->sender.pin = plan->pins;
    return 0;
}

static int read_workers(const storm_settings *s, storm_plan *plan)
{
    hx_sender_config *c = &plan->sender;
    bool gso = true;

    if (read_u32("workers", s->workers, 0, HX_SENDER_WORKERS_MAX, &c->workers) ||
        read_u32("groups", s->groups, 0, HX_SENDER_WORKERS_MAX, &c->groups) ||
        read_u32("burst_us", s->burst_us, 50, 1000000, &c->burst_us) ||
        read_bool("gso", s->gso, &gso) || read_bool("account", s->account, &c->account))
        return HX_EINVAL;
    c->plain = !gso;
    return read_pins(s, plan);
}

static int read_extent(const storm_settings *s, hx_sender_config *c)
{
    bool paced = false;

    if (read_whole("count", s->count, 1, UINT64_MAX, &c->count) ||
        read_duration("duration", s->duration, 1, &c->duration_ns) ||
        read_duration("ramp_up", s->ramp_up, 0, &c->ramp_up_ns) ||
        read_bool("paced", s->paced, &paced))
        return HX_EINVAL;
    c->unhurried = s->output && !paced;
    if (c->output && !c->count && !c->duration_ns) {
        fprintf(stderr, "haechi-storm: --count or --duration is needed with an output; --help "
                        "shows an example\n");
        return HX_EINVAL;
    }
    return 0;
}

int storm_plan_make(const storm_settings *s, storm_plan *plan)
{
    hx_sender_config *c = &plan->sender;

    *plan = (storm_plan){0};
    if (!s->profile || !s->output == !s->target) {
        fprintf(stderr, "haechi-storm: --%s; --help shows an example\n",
                !s->profile              ? "profile is needed"
                : s->output && s->target ? "output and --target exclude each other"
                                         : "target or --output is needed");
        return HX_EINVAL;
    }
    c->output = s->output;
    c->truth = s->truth;
    c->stats_page = s->stats_page;
    c->control_socket = s->control_socket;
    if (read_eps(s, plan) || read_content(s, plan) || read_start(s, plan) || read_ports(s, plan) ||
        read_transport(s, c) || read_workers(s, plan) || read_extent(s, c))
        return HX_EINVAL;
    return s->target ? read_targets(s, plan) : 0;
}
