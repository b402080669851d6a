/* The storm's totals as one JSON object: for its end, its control socket and its snapshots. */
#include "send/room.h"

#include <haechi/usage.h>

#include <stdio.h>

static void put_count(hx_text *out, const char *key, uint64_t value)
{
    hx_text_json_key(out, key);
    hx_text_printf(out, "%llu", (unsigned long long)value);
}

static void put_number(hx_text *out, const char *key, double value)
{
    hx_text_json_key(out, key);
    hx_text_printf(out, "%.9g", value);
}

static void put_bool(hx_text *out, const char *key, bool value)
{
    hx_text_json_key(out, key);
    hx_text_str(out, value ? "true" : "false");
}

static uint64_t of(const stream *s, enum sender_stat i)
{
    return atomic_load_explicit(s->stat[i], memory_order_relaxed);
}

/* Streams of several workers to one port: the sink reports the port's total to each of them, so the
 * largest report counts. */
typedef struct reported {
    bool any, all;
    uint64_t sent, received, dropped;
} reported;

static reported port_reported(const hx_sender *s, uint32_t place, uint32_t places)
{
    reported r = {.all = true};

    for (uint32_t i = place; i < s->stream_count; i += places) {
        const stream *to = &s->streams[i];
        uint64_t received = of(to, SENDER_RECEIVED), dropped = of(to, SENDER_DROPPED);

        r.any |= of(to, SENDER_REPORTED) != 0;
        r.all &= of(to, SENDER_REPORTED) != 0;
        r.sent += of(to, SENDER_EVENTS);
        r.received = received > r.received ? received : r.received;
        r.dropped = dropped > r.dropped ? dropped : r.dropped;
    }
    return r;
}

static void put_reports(const hx_sender *s, hx_text *out)
{
    uint32_t places = s->config.target_count * s->config.port_count;
    reported sum = {.all = true};
    bool ended = atomic_load(&s->ended_ns) != 0;

    for (uint32_t i = 0; i < places && i < s->stream_count; i++) {
        reported r = port_reported(s, i, places);

        sum.any |= r.any;
        sum.all &= r.all;
        sum.sent += r.sent;
        sum.received += r.received;
        sum.dropped += r.dropped;
    }
    uint64_t lost = sum.sent > sum.received ? sum.sent - sum.received : 0;
    put_bool(out, "reported", sum.any);
    /* While it runs, what is on its way would be counted as lost. */
    if (!sum.any || (ended && !sum.all)) {
        hx_text_str(out, ", \"received\": 0, \"kernel_dropped\": 0, \"lost\": null, "
                         "\"loss_ratio\": null");
        return;
    }
    put_count(out, "received", sum.received);
    put_count(out, "kernel_dropped", sum.dropped);
    put_count(out, "lost", lost);
    put_number(out, "loss_ratio", sum.sent ? (double)lost / (double)sum.sent : 0);
}

static void put_ports(const hx_sender *s, hx_text *out)
{
    const hx_sender_config *c = &s->config;

    hx_text_json_key(out, "ports");
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < s->stream_count; i++) {
        const stream *to = &s->streams[i];

        hx_text_str(out, i ? ", {" : "{");
        hx_text_json_key(out, "target");
        hx_text_json_string(out, hx_slice_str(c->output ? c->output : c->targets[to->target]));
        put_count(out, "port", to->port);
        put_count(out, "worker", of(to, SENDER_WORKER));
        put_count(out, "events", of(to, SENDER_EVENTS));
        put_count(out, "bytes", of(to, SENDER_BYTES));
        put_count(out, "controls", of(to, SENDER_CONTROLS));
        put_count(out, "errors", of(to, SENDER_ERRORS));
        put_count(out, "refused", of(to, SENDER_REFUSED));
        put_count(out, "reconnects", of(to, SENDER_RECONNECTS));
        put_bool(out, "reported", of(to, SENDER_REPORTED) != 0);
        put_count(out, "received", of(to, SENDER_RECEIVED));
        put_count(out, "dropped", of(to, SENDER_DROPPED));
        hx_text_str(out, "}");
    }
    hx_text_str(out, "]");
}

/* Seconds in which events left: from the timeline's start to the last of them. */
static double seconds_of(const hx_sender *s)
{
    int64_t end_ns = atomic_load(&s->ended_ns) ? atomic_load(&s->stopped_ns) : sender_now_ns();

    return s->zero_ns && end_ns > s->zero_ns ? (double)(end_ns - s->zero_ns) / 1e9 : 0;
}

static int64_t late_max_ns(const hx_sender *s)
{
    int64_t most = 0;

    for (uint32_t i = 0; i < s->worker_count; i++) {
        int64_t late_ns = atomic_load_explicit(&s->workers[i].late_max_ns, memory_order_relaxed);
        most = late_ns > most ? late_ns : most;
    }
    return most;
}

void hx_sender_summary(hx_sender *s, hx_text *out)
{
    const hx_sender_config *c = &s->config;
    double seconds = seconds_of(s);
    uint64_t events = hx_stats_total(s->stats, SENDER_EVENTS);
    double eps = seconds > 0 ? (double)events / seconds : 0;
    double offered =
        seconds > 0 ? sender_offered(s, s->zero_ns + (int64_t)(seconds * 1e9)) / seconds : 0;
    hx_usage usage = hx_usage_now();

    hx_text_str(out, "{");
    put_count(out, "events", events);
    put_count(out, "bytes", hx_stats_total(s->stats, SENDER_BYTES));
    put_count(out, "controls", hx_stats_total(s->stats, SENDER_CONTROLS));
    put_count(out, "errors", hx_stats_total(s->stats, SENDER_ERRORS));
    put_count(out, "refused", hx_stats_total(s->stats, SENDER_REFUSED));
    put_count(out, "reconnects", hx_stats_total(s->stats, SENDER_RECONNECTS));
    put_number(out, "seconds", seconds);
    /* By the wall clock, when the first event was due: its line says config.composer.start_ns. */
    put_count(out, "began_us", (uint64_t)s->zero_real_ns / 1000);
    put_number(out, "eps", eps);
    put_count(out, "eps_peak", atomic_load(&s->eps_peak));
    if (c->eps_milli && !c->unhurried) {
        put_number(out, "offered_eps", offered);
        put_number(out, "rate_error_ratio", offered > 0 ? (eps - offered) / offered : 0);
    } else {
        hx_text_str(out, ", \"offered_eps\": 0, \"rate_error_ratio\": 0");
    }
    put_count(out, "late_events", hx_stats_total(s->stats, SENDER_LATE_EVENTS));
    put_number(out, "late_max_us", (double)late_max_ns(s) / 1e3);
    put_number(out, "cpu_seconds", usage.cpu_user_s + usage.cpu_system_s);
    put_number(out, "cpu_cores",
               seconds > 0 ? (usage.cpu_user_s + usage.cpu_system_s) / seconds : 0);
    put_count(out, "rss_peak_bytes", usage.rss_peak_bytes);
    put_bool(out, "gso",
             !c->plain && c->transport == HX_UDP && !c->output && !atomic_load(&s->gso_refused));
    put_count(out, "sends", hx_stats_total(s->stats, SENDER_SENDS));
    put_count(out, "workers", s->worker_count);
    put_count(out, "episodes",
              atomic_load(hx_stats_value(s->stats, HX_STATS_TOOL, SENDER_EPISODES)));
    put_bool(out, "interrupted", atomic_load(&s->stopping));
    put_bool(out, "paused", atomic_load(&s->paused));
    put_reports(s, out);
    put_ports(s, out);
    hx_text_str(out, "}");
}
