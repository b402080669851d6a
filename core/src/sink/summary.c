/* The sink's totals: as one JSON object, and as lines for people. */
#include "sink/parts.h"

#include <haechi/usage.h>

#include <stdio.h>
#include <stdlib.h>

uint64_t hx_sink_lost(const hx_account *account)
{
    return account->kernel_dropped + account->lost_elsewhere;
}

static void add_counters(hx_port_counters *sum, const hx_port_counters *part)
{
    sum->messages += part->messages;
    sum->bytes += part->bytes;
    sum->controls += part->controls;
    sum->kernel_dropped += part->kernel_dropped;
    sum->truncated += part->truncated;
    sum->empty += part->empty;
    sum->bad_framing += part->bad_framing;
    sum->clients += part->clients;
    sum->refused += part->refused;
    sum->tls_failed += part->tls_failed;
}

static void add_worker(hx_sink_worker *worker, uint32_t port, hx_sink_sums *out)
{
    const uint32_t ports = worker->sink->config.listen.port_count;

    pthread_mutex_lock(&worker->lock);
    for (uint32_t i = 0; i < worker->port_count; i++) {
        const hx_sink_row *row = &worker->row[i];

        if (port != HX_SINK_ALL_PORTS && row->index % ports != port)
            continue;
        add_counters(&out->counters, &row->counters);
        hx_account_add(&out->account, &row->account);
    }
    pthread_mutex_unlock(&worker->lock);
}

void hx_sink_add_up(hx_sink *sink, uint32_t port, hx_sink_sums *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t w = 0; w < sink->workers; w++) {
        int64_t first_ns = atomic_load(&sink->worker[w].first_ns);
        int64_t last_ns = atomic_load(&sink->worker[w].last_ns);

        if (first_ns && (!out->first_ns || first_ns < out->first_ns))
            out->first_ns = first_ns;
        if (last_ns > out->last_ns)
            out->last_ns = last_ns;
        add_worker(&sink->worker[w], port, out);
    }
}

/* --- JSON --------------------------------------------------------------------------------------
 */

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

static void put_flag(hx_text *out, const char *key, bool value)
{
    hx_text_json_key(out, key);
    hx_text_str(out, value ? "true" : "false");
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* Of all that was sent to the sink as far as it knows. */
static double loss_ratio(const hx_sink_sums *sums)
{
    const hx_account *a = &sums->account;
    uint64_t lost = hx_sink_lost(a), said = a->sent + a->sent_controls;
    uint64_t seen = sums->counters.messages + sums->counters.controls + lost;

    return ratio((double)lost, (double)(said > seen ? said : seen));
}

static const struct {
    const char *name;
    double q;
} quantiles[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};

#define QUANTILES (sizeof quantiles / sizeof quantiles[0])

static double mean(const hx_histogram *h)
{
    return ratio((double)atomic_load(&h->sum), (double)atomic_load(&h->count));
}

static void put_latency(hx_text *out, const hx_histogram *h)
{
    hx_text_json_key(out, "latency_us");
    hx_histogram_json(h, out);
}

static void put_account(hx_text *out, const hx_sink_sums *sums)
{
    const hx_account *a = &sums->account;

    put_count(out, "sent", a->sent);
    put_count(out, "sent_bytes", a->sent_bytes);
    put_count(out, "sent_controls", a->sent_controls);
    put_count(out, "kernel_dropped", a->kernel_dropped);
    put_count(out, "kernel_dropped_buffers", sums->counters.kernel_dropped);
    put_count(out, "lost", hx_sink_lost(a));
    put_count(out, "lost_elsewhere", a->lost_elsewhere);
    put_number(out, "loss_ratio", loss_ratio(sums));
    put_flag(out, "closed", a->closed);
    put_count(out, "streams", a->streams);
    put_count(out, "streams_ended", a->streams_ended);
}

static void put_ports(hx_sink *sink, hx_text *out)
{
    const hx_listen_config *listen = &sink->config.listen;
    hx_sink_sums sums;

    hx_text_json_key(out, "ports");
    for (uint32_t p = 0; p < listen->port_count; p++) {
        hx_sink_add_up(sink, p, &sums);
        hx_text_str(out, p ? ", {" : "[{");
        put_count(out, "port", listen->ports[p]);
        put_count(out, "received", sums.counters.messages);
        put_count(out, "bytes", sums.counters.bytes);
        put_count(out, "controls", sums.counters.controls);
        put_count(out, "sent", sums.account.sent);
        put_count(out, "sent_controls", sums.account.sent_controls);
        put_count(out, "kernel_dropped", sums.account.kernel_dropped);
        put_count(out, "lost_elsewhere", sums.account.lost_elsewhere);
        put_flag(out, "closed", sums.account.closed);
        hx_text_str(out, "}");
    }
    hx_text_str(out, "]");
}

static void put_mishaps(hx_sink *sink, hx_text *out, const hx_port_counters *c)
{
    put_count(out, "truncated", c->truncated);
    put_count(out, "empty", c->empty);
    put_count(out, "bad_framing", c->bad_framing);
    put_count(out, "clients", c->clients);
    put_count(out, "refused", c->refused);
    put_count(out, "tls_failed", c->tls_failed);
    put_count(out, "write_errors", atomic_load(&sink->file.write_errors));
    put_count(out, "unwritten", atomic_load(&sink->file.unwritten));
}

static double seconds_of(const hx_sink_sums *sums)
{
    return (double)(sums->last_ns - sums->first_ns) / 1e9;
}

void hx_sink_summary(hx_sink *sink, hx_text *out)
{
    hx_histogram *latency = calloc(1, sizeof *latency);
    hx_usage usage = hx_usage_now();
    hx_sink_sums sums;
    double seconds;

    if (!latency) {
        out->failed = true;
        return;
    }
    hx_sink_add_up(sink, HX_SINK_ALL_PORTS, &sums);
    hx_stats_merge(sink->stats, HX_SINK_LATENCY_US, latency);
    seconds = seconds_of(&sums);
    hx_text_str(out, "{");
    put_count(out, "received", sums.counters.messages);
    put_count(out, "received_bytes", sums.counters.bytes);
    put_count(out, "controls", sums.counters.controls);
    put_account(out, &sums);
    put_number(out, "seconds", seconds);
    put_number(out, "eps", ratio((double)sums.counters.messages, seconds));
    put_count(out, "eps_peak", atomic_load(&sink->eps_peak));
    put_latency(out, latency);
    put_mishaps(sink, out, &sums.counters);
    put_number(out, "cpu_seconds", usage.cpu_user_s + usage.cpu_system_s);
    put_number(out, "cpu_cores", ratio(usage.cpu_user_s + usage.cpu_system_s, seconds));
    put_count(out, "rss_peak_bytes", usage.rss_peak_bytes);
    put_ports(sink, out);
    hx_text_str(out, "}");
    free(latency);
}

/* --- for people --------------------------------------------------------------------------------
 */

/* 1234567 as 1,234,567. */
static void put_grouped(hx_text *out, uint64_t value)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            hx_text_str(out, ",");
        hx_text_bytes(out, digits + i, 1);
    }
}

static void put_term(hx_text *out, const char *before, uint64_t value, const char *after)
{
    hx_text_str(out, before);
    put_grouped(out, value);
    hx_text_str(out, after);
}

static void report_account(hx_text *out, const hx_sink_sums *sums)
{
    const hx_account *a = &sums->account;

    if (!a->streams) {
        if (a->kernel_dropped)
            put_term(out, "account   ", a->kernel_dropped, " dropped by the kernel at least\n");
        if (sums->counters.messages)
            hx_text_str(out, "account   open: nothing said how much was sent; run haechi-storm "
                             "with --account for it to close\n");
        return;
    }
    put_term(out, "account   ", a->sent + a->sent_controls, " sent = ");
    put_term(out, "", a->received + a->received_controls, " received + ");
    put_term(out, "", a->kernel_dropped, " kernel_dropped + ");
    put_term(out, "", a->lost_elsewhere, " lost elsewhere");
    hx_text_printf(out, " (%.4f %% lost, control messages among them)\n", 100 * loss_ratio(sums));
    if (!a->closed)
        hx_text_printf(out, "          open: %u of %u streams have not said how much they sent\n",
                       a->streams - a->streams_ended, a->streams);
}

static void report_latency(hx_text *out, const hx_histogram *h)
{
    if (!atomic_load(&h->count))
        return;
    hx_text_printf(out, "latency   average %.0f us", mean(h));
    for (size_t i = 0; i < QUANTILES; i++)
        hx_text_printf(out, ", %s %llu", quantiles[i].name,
                       (unsigned long long)hx_histogram_quantile(h, quantiles[i].q));
    put_term(out, ", most ", atomic_load(&h->max), "");
    put_term(out, " (", atomic_load(&h->count), " probes)\n");
}

static void report_mishaps(hx_sink *sink, hx_text *out, const hx_port_counters *c)
{
    const struct {
        const char *name;
        uint64_t value;
    } mishaps[] = {
        {"truncated", c->truncated},
        {"empty", c->empty},
        {"bad_framing", c->bad_framing},
        {"refused", c->refused},
        {"tls_failed", c->tls_failed},
        {"write_errors", atomic_load(&sink->file.write_errors)},
        {"unwritten", atomic_load(&sink->file.unwritten)},
    };
    const char *before = "also      ";

    for (size_t i = 0; i < sizeof mishaps / sizeof mishaps[0]; i++) {
        if (!mishaps[i].value)
            continue;
        put_term(out, before, mishaps[i].value, " ");
        hx_text_str(out, mishaps[i].name);
        before = ", ";
    }
    if (*before == ',')
        hx_text_str(out, "\n");
}

void hx_sink_report(hx_sink *sink, hx_text *out)
{
    hx_histogram *latency = calloc(1, sizeof *latency);
    hx_usage usage = hx_usage_now();
    hx_sink_sums sums;
    double seconds;

    if (!latency) {
        out->failed = true;
        return;
    }
    hx_sink_add_up(sink, HX_SINK_ALL_PORTS, &sums);
    hx_stats_merge(sink->stats, HX_SINK_LATENCY_US, latency);
    seconds = seconds_of(&sums);
    put_term(out, "received  ", sums.counters.messages, " events, ");
    put_grouped(out, sums.counters.bytes);
    hx_text_printf(out, " bytes in %.3f s: ", seconds);
    put_term(out, "", (uint64_t)ratio((double)sums.counters.messages, seconds), " events/s, ");
    put_term(out, "", atomic_load(&sink->eps_peak), " in the best second\n");
    report_account(out, &sums);
    report_latency(out, latency);
    report_mishaps(sink, out, &sums.counters);
    hx_text_printf(out, "cost      %.2f s of processor time, %.1f MiB of memory at most\n",
                   usage.cpu_user_s + usage.cpu_system_s, (double)usage.rss_peak_bytes / (1 << 20));
    free(latency);
}
