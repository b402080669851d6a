/* What the network's ports counted: in the stats page, and as "network" in the totals. */
#include "detect/engine_parts.h"

#include <stdlib.h>

#define PUBLISH_EVERY_US 100000

/* A port, or all of them. */
typedef struct tally {
    hx_port_counters counters;
    hx_account account;
    uint64_t kernel_dropped; /* messages; as long as the account is open, at least so many */
    uint64_t lost;
} tally;

static void add_port(tally *sum, const hx_source_port *port)
{
    const hx_port_counters *c = &port->counters;
    const hx_account *a = &port->account;
    bool known = a->streams && a->closed;
    /* Every buffer that the kernel dropped held a message at least. */
    uint64_t dropped =
        known || a->kernel_dropped > c->kernel_dropped ? a->kernel_dropped : c->kernel_dropped;

    sum->counters.messages += c->messages;
    sum->counters.bytes += c->bytes;
    sum->counters.controls += c->controls;
    sum->counters.shed += c->shed;
    sum->counters.kernel_dropped += c->kernel_dropped;
    sum->counters.truncated += c->truncated;
    sum->counters.empty += c->empty;
    sum->counters.bad_framing += c->bad_framing;
    sum->counters.clients += c->clients;
    sum->counters.refused += c->refused;
    sum->counters.tls_failed += c->tls_failed;
    hx_account_add(&sum->account, a);
    sum->kernel_dropped += dropped;
    sum->lost += c->shed + dropped + a->lost_elsewhere;
}

int hx_network_create(hx_engine *engine, hx_error *err)
{
    uint32_t count = hx_source_ports(engine->source, NULL);

    engine->live = engine->config.source.follow || count;
    engine->ports_read_us = INT64_MIN / 2;
    if (!count)
        return 0;
    engine->ports = calloc(count, sizeof *engine->ports);
    return engine->ports ? 0 : hx_error_set(err, HX_ENOMEM, "network: out of memory");
}

void hx_network_publish(hx_engine *engine, int64_t now_us, bool now)
{
    uint32_t count = hx_source_ports(engine->source, NULL);
    tally sum = {0};

    if (!count || (!now && now_us - engine->ports_read_us < PUBLISH_EVERY_US))
        return;
    engine->ports_read_us = now_us;
    hx_source_refresh(engine->source);
    hx_source_ports(engine->source, engine->ports);
    for (uint32_t i = 0; i < count; i++)
        add_port(&sum, &engine->ports[i]);
    const uint64_t values[] = {
        [HX_ENGINE_NET_RECEIVED - HX_ENGINE_NET_FIRST] = sum.counters.messages,
        [HX_ENGINE_NET_BYTES - HX_ENGINE_NET_FIRST] = sum.counters.bytes,
        [HX_ENGINE_NET_CONTROLS - HX_ENGINE_NET_FIRST] = sum.counters.controls,
        [HX_ENGINE_NET_SENT - HX_ENGINE_NET_FIRST] = sum.account.sent,
        [HX_ENGINE_NET_SHED - HX_ENGINE_NET_FIRST] = sum.counters.shed,
        [HX_ENGINE_NET_KERNEL_DROPPED - HX_ENGINE_NET_FIRST] = sum.kernel_dropped,
        [HX_ENGINE_NET_KERNEL_DROPPED_BUFFERS - HX_ENGINE_NET_FIRST] = sum.counters.kernel_dropped,
        [HX_ENGINE_NET_LOST_ELSEWHERE - HX_ENGINE_NET_FIRST] = sum.account.lost_elsewhere,
        [HX_ENGINE_NET_TRUNCATED - HX_ENGINE_NET_FIRST] = sum.counters.truncated,
        [HX_ENGINE_NET_EMPTY - HX_ENGINE_NET_FIRST] = sum.counters.empty,
        [HX_ENGINE_NET_BAD_FRAMING - HX_ENGINE_NET_FIRST] = sum.counters.bad_framing,
        [HX_ENGINE_NET_CLIENTS - HX_ENGINE_NET_FIRST] = sum.counters.clients,
        [HX_ENGINE_NET_REFUSED - HX_ENGINE_NET_FIRST] = sum.counters.refused,
        [HX_ENGINE_NET_TLS_FAILED - HX_ENGINE_NET_FIRST] = sum.counters.tls_failed,
    };

    for (uint32_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hx_stat_set(hx_stats_value(engine->stats, HX_STATS_TOOL, HX_ENGINE_NET_FIRST + i),
                    values[i]);
}

/* --- totals ------------------------------------------------------------------------------------
 */

static void put_count(hx_text *out, const char *key, uint64_t value)
{
    hx_text_json_key(out, key);
    hx_text_printf(out, "%llu", (unsigned long long)value);
}

/* What a port has as well. */
static void put_main(hx_text *out, const tally *t)
{
    put_count(out, "received", t->counters.messages);
    put_count(out, "bytes", t->counters.bytes);
    put_count(out, "controls", t->counters.controls);
    put_count(out, "sent", t->account.sent);
    put_count(out, "sent_controls", t->account.sent_controls);
    put_count(out, "shed", t->counters.shed);
    put_count(out, "kernel_dropped", t->kernel_dropped);
    put_count(out, "lost_elsewhere", t->account.lost_elsewhere);
    hx_text_json_key(out, "closed");
    hx_text_str(out, t->account.closed && t->account.streams ? "true" : "false");
}

static void put_totals(hx_text *out, const tally *t)
{
    uint64_t sent = t->account.sent + t->account.sent_controls;
    uint64_t offered = t->account.streams ? sent : t->counters.messages + t->lost;

    put_main(out, t);
    put_count(out, "kernel_dropped_buffers", t->counters.kernel_dropped);
    put_count(out, "lost", t->lost);
    hx_text_json_key(out, "loss_ratio");
    hx_text_printf(out, "%.9g", offered ? (double)t->lost / (double)offered : 0);
    put_count(out, "truncated", t->counters.truncated);
    put_count(out, "empty", t->counters.empty);
    put_count(out, "bad_framing", t->counters.bad_framing);
    put_count(out, "clients", t->counters.clients);
    put_count(out, "refused", t->counters.refused);
    put_count(out, "tls_failed", t->counters.tls_failed);
}

static void put_latency(const hx_engine *engine, hx_text *out)
{
    hx_histogram *sum = calloc(1, sizeof *sum);

    if (!sum) {
        out->failed = true;
        return;
    }
    hx_source_latency(engine->source, sum);
    hx_text_json_key(out, "latency_us");
    hx_histogram_json(sum, out);
    free(sum);
}

void hx_network_summary(hx_engine *engine, hx_text *out)
{
    uint32_t count = hx_source_ports(engine->source, NULL);
    hx_source_port *ports = calloc(count + 1, sizeof *ports);
    tally sum = {0};

    if (!ports)
        out->failed = true;
    if (ports && count) {
        hx_source_ports(engine->source, ports);
        for (uint32_t i = 0; i < count; i++)
            add_port(&sum, &ports[i]);
        hx_text_json_key(out, "network");
        hx_text_str(out, "{");
        put_totals(out, &sum);
        put_latency(engine, out);
        hx_text_json_key(out, "ports");
        for (uint32_t i = 0; i < count; i++) {
            tally one = {0};

            add_port(&one, &ports[i]);
            hx_text_str(out, i ? ", {" : "[{");
            put_count(out, "port", ports[i].port);
            hx_text_json_key(out, "input");
            hx_text_json_string(out, hx_slice_str(ports[i].name));
            put_main(out, &one);
            hx_text_str(out, "}");
        }
        hx_text_str(out, "]}");
    }
    free(ports);
}
