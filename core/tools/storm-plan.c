/* From the texts of haechi-storm's settings to what the sender is to do, each checked. */
#include "storm-settings.h"

#include <haechi/quantity.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int refuse(const char *name, const char *value, const char *allowed)
{
    fprintf(stderr, "haechi-storm: %s: \"%.80s\" is not %s\n", name, value, allowed);
    return HX_EINVAL;
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
