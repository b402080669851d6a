#include "sink/parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS      100000000
#define SECOND_TICKS 10

const hx_stat_def hx_sink_stat_defs[HX_SINK_STATS] = {
    [HX_SINK_RECEIVED] = {"received", HX_STAT_COUNTER},
    [HX_SINK_BYTES] = {"bytes", HX_STAT_COUNTER},
    [HX_SINK_CONTROLS] = {"controls", HX_STAT_COUNTER},
    [HX_SINK_KERNEL_DROPPED] = {"kernel_dropped", HX_STAT_COUNTER},
    [HX_SINK_TRUNCATED] = {"truncated", HX_STAT_COUNTER},
    [HX_SINK_EMPTY] = {"empty", HX_STAT_COUNTER},
    [HX_SINK_BAD_FRAMING] = {"bad_framing", HX_STAT_COUNTER},
    [HX_SINK_CLIENTS] = {"clients", HX_STAT_COUNTER},
    [HX_SINK_REFUSED] = {"refused", HX_STAT_COUNTER},
    [HX_SINK_TLS_FAILED] = {"tls_failed", HX_STAT_COUNTER},
    [HX_SINK_SENT] = {"sent", HX_STAT_COUNTER},
    [HX_SINK_PORT] = {"port", HX_STAT_GAUGE},
    [HX_SINK_CLOSED] = {"closed", HX_STAT_GAUGE},
    [HX_SINK_STREAMS] = {"streams", HX_STAT_GAUGE},
    [HX_SINK_STREAMS_ENDED] = {"streams_ended", HX_STAT_GAUGE},
    [HX_SINK_LOST] = {"lost", HX_STAT_GAUGE},
    [HX_SINK_LATENCY_US] = {"latency_us", HX_STAT_HISTOGRAM},
};

const hx_stat_def hx_sink_tool_stat_defs[HX_SINK_TOOL_STATS] = {
    [HX_SINK_WRITE_ERRORS] = {"write_errors", HX_STAT_COUNTER},
    [HX_SINK_UNWRITTEN] = {"unwritten", HX_STAT_COUNTER},
    [HX_SINK_RUNNING] = {"running", HX_STAT_GAUGE},
    [HX_SINK_PAUSED] = {"paused", HX_STAT_GAUGE},
    [HX_SINK_MAX_EPS] = {"max_eps", HX_STAT_GAUGE},
};

int64_t hx_sink_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void set_tool_stat(hx_sink *sink, enum hx_sink_tool_stat stat, uint64_t value)
{
    hx_stat_set(hx_stats_value(sink->stats, HX_STATS_TOOL, stat), value);
}

/* --- making ------------------------------------------------------------------------------------
 */

static int check_config(const hx_sink_config *c, uint32_t workers, hx_error *err)
{
    const long processors = sysconf(_SC_NPROCESSORS_CONF);

    if (!c->listen.port_count || c->listen.port_count > HX_NET_PORTS_MAX)
        return hx_error_set(err, HX_EINVAL, "ports: %u are named, 1 to %d are possible",
                            c->listen.port_count, HX_NET_PORTS_MAX);
    if (workers > HX_SINK_WORKERS_MAX)
        return hx_error_set(err, HX_EINVAL, "workers: %u is more than %d", workers,
                            HX_SINK_WORKERS_MAX);
    if (c->listen.transport != HX_UDP && workers > c->listen.port_count)
        return hx_error_set(err, HX_EINVAL,
                            "workers: %u workers cannot share %u TCP port%s; name as many ports, "
                            "or fewer workers",
                            workers, c->listen.port_count, c->listen.port_count == 1 ? "" : "s");
    for (uint32_t i = 0; i < c->pin_count; i++)
        if (processors > 0 && c->pin[i] >= (uint32_t)processors)
            return hx_error_set(err, HX_EINVAL,
                                "pin: processor %u is not there: this machine has %ld", c->pin[i],
                                processors);
    if (c->max_eps > HX_SINK_EPS_MAX)
        return hx_error_set(err, HX_EINVAL, "max_eps: %llu is more than %llu",
                            (unsigned long long)c->max_eps, (unsigned long long)HX_SINK_EPS_MAX);
    return 0;
}

static int make_workers(hx_sink *sink, hx_error *warning, hx_error *err)
{
    hx_error said = {{0}};
    int rc;

    sink->worker = aligned_alloc(64, sink->workers * sizeof *sink->worker);
    if (!sink->worker)
        return HX_ENOMEM;
    memset(sink->worker, 0, sink->workers * sizeof *sink->worker);
    for (uint32_t w = 0; w < sink->workers; w++) {
        rc = hx_sink_worker_init(sink, w, &said, err);
        if (rc)
            return rc;
        if (warning && !warning->text[0])
            *warning = said; /* the first says it for all: they ask for the same */
    }
    return 0;
}

static int assemble(hx_sink *sink, hx_error *warning, hx_error *err)
{
    const hx_sink_config *c = &sink->config;
    int rc = check_config(c, sink->workers, err);

    if (rc)
        return rc;
    sink->rows = sink->workers > c->listen.port_count ? sink->workers : c->listen.port_count;
    sink->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sink->wake < 0)
        return hx_error_set(err, HX_EIO, "eventfd: %s", strerror(errno));
    rc = hx_stats_create(c->stats_page, "haechi-sink", sink->rows, hx_sink_stat_defs, HX_SINK_STATS,
                         hx_sink_tool_stat_defs, HX_SINK_TOOL_STATS, &sink->stats, err);
    if (!rc && c->max_eps)
        rc = hx_sink_set_rate(sink, c->max_eps, err);
    if (!rc && c->write) {
        rc = hx_sink_file_open(&sink->file, c->write, err);
        sink->file_open = !rc;
    }
    if (!rc)
        rc = make_workers(sink, warning, err);
    if (!rc && c->control_socket)
        rc = hx_control_create(c->control_socket, hx_sink_answer, sink, &sink->control, err);
    return rc;
}

int hx_sink_create(const hx_sink_config *config, hx_sink **out, hx_error *warning, hx_error *err)
{
    hx_sink *sink = calloc(1, sizeof *sink);
    int rc;

    if (warning)
        warning->text[0] = 0;
    if (!sink)
        return hx_error_set(err, HX_ENOMEM, "sink: out of memory");
    sink->config = *config;
    sink->workers = config->workers ? config->workers : 1;
    sink->wake = -1;
    pthread_mutex_init(&sink->rate_lock, NULL);
    pthread_mutex_init(&sink->error_lock, NULL);
    rc = assemble(sink, warning, err);
    if (rc) {
        hx_sink_destroy(sink);
        return rc;
    }
    *out = sink;
    return 0;
}

void hx_sink_destroy(hx_sink *sink)
{
    if (!sink)
        return;
    hx_control_destroy(sink->control);
    for (uint32_t w = 0; sink->worker && w < sink->workers; w++)
        hx_sink_worker_free(&sink->worker[w]);
    free(sink->worker);
    if (sink->file_open)
        hx_sink_file_close(&sink->file);
    hx_stats_destroy(sink->stats);
    if (sink->wake >= 0)
        close(sink->wake);
    pthread_mutex_destroy(&sink->rate_lock);
    pthread_mutex_destroy(&sink->error_lock);
    free(sink);
}

/* --- control -----------------------------------------------------------------------------------
 */

void hx_sink_stop(hx_sink *sink)
{
    const uint64_t one = 1;

    atomic_store(&sink->stopping, true);
    (void)!write(sink->wake, &one, sizeof one);
}

void hx_sink_pause(hx_sink *sink, bool paused)
{
    atomic_store(&sink->paused, paused);
    set_tool_stat(sink, HX_SINK_PAUSED, paused);
}

int hx_sink_set_rate(hx_sink *sink, uint64_t max_eps, hx_error *err)
{
    if (max_eps > HX_SINK_EPS_MAX)
        return hx_error_set(err, HX_EINVAL, "max_eps: %llu is more than %llu",
                            (unsigned long long)max_eps, (unsigned long long)HX_SINK_EPS_MAX);
    pthread_mutex_lock(&sink->rate_lock);
    if (max_eps)
        hx_bucket_init(&sink->bucket, max_eps, hx_sink_now_ns());
    atomic_store(&sink->max_eps, max_eps);
    set_tool_stat(sink, HX_SINK_MAX_EPS, max_eps);
    pthread_mutex_unlock(&sink->rate_lock);
    return 0;
}

/* --- running -----------------------------------------------------------------------------------
 */

static int start_workers(hx_sink *sink, hx_error *err)
{
    for (uint32_t w = 0; w < sink->workers; w++) {
        int rc = pthread_create(&sink->worker[w].thread, NULL, hx_sink_work, &sink->worker[w]);

        if (rc)
            return hx_error_set(err, HX_EIO, "worker %u cannot be started: %s", w, strerror(rc));
        sink->worker[w].started = true;
    }
    return 0;
}

static void join_workers(hx_sink *sink)
{
    for (uint32_t w = 0; w < sink->workers; w++)
        if (sink->worker[w].started)
            pthread_join(sink->worker[w].thread, NULL);
}

static double sample(hx_sink *sink)
{
    double eps = hx_sink_pace_sample(&sink->pace, hx_stats_total(sink->stats, HX_SINK_RECEIVED),
                                     hx_sink_now_ns());

    if (eps > (double)atomic_load(&sink->eps_peak))
        atomic_store(&sink->eps_peak, (uint64_t)(eps + 0.5));
    if (sink->file_open) {
        set_tool_stat(sink, HX_SINK_WRITE_ERRORS, atomic_load(&sink->file.write_errors));
        set_tool_stat(sink, HX_SINK_UNWRITTEN, atomic_load(&sink->file.unwritten));
    }
    return eps;
}

static bool has_gone_idle(hx_sink *sink, int64_t now_ns)
{
    hx_sink_sums sums;

    if (!sink->config.idle_exit_ns || atomic_load(&sink->paused))
        return false;
    hx_sink_add_up(sink, HX_SINK_ALL_PORTS, &sums);
    return sums.last_ns && now_ns - sums.last_ns >= sink->config.idle_exit_ns &&
           sums.account.streams == sums.account.streams_ended;
}

static void tell_second(hx_sink *sink, double eps)
{
    hx_sink_glance glance = {.eps = eps};
    hx_sink_sums sums;

    if (!sink->config.on_second)
        return;
    hx_sink_add_up(sink, HX_SINK_ALL_PORTS, &sums);
    glance.received = hx_stats_total(sink->stats, HX_SINK_RECEIVED);
    glance.lost = hx_sink_lost(&sums.account);
    glance.clients = sums.counters.clients;
    glance.streams = sums.account.streams;
    sink->config.on_second(sink->config.context, &glance);
}

static void watch(hx_sink *sink)
{
    const int64_t start_ns = hx_sink_now_ns();
    struct pollfd wake = {sink->wake, POLLIN, 0};
    int64_t now_ns = start_ns, tick = 0;

    sample(sink);
    while (!atomic_load(&sink->stopping)) {
        int64_t wait_ns = start_ns + (tick + 1) * TICK_NS - now_ns;
        double eps;

        if (wait_ns > 0 && poll(&wake, 1, (int)((wait_ns + 999999) / 1000000)) > 0)
            break;
        now_ns = hx_sink_now_ns();
        if (now_ns < start_ns + (tick + 1) * TICK_NS)
            continue; /* a signal */
        tick = (now_ns - start_ns) / TICK_NS;
        eps = sample(sink);
        if (tick % SECOND_TICKS == 0)
            tell_second(sink, eps);
        if ((sink->config.duration_ns && now_ns - start_ns >= sink->config.duration_ns) ||
            has_gone_idle(sink, now_ns))
            break;
    }
}

static int outcome(hx_sink *sink, hx_error *err)
{
    uint64_t unwritten = sink->file_open ? atomic_load(&sink->file.unwritten) : 0;

    if (sink->error_code)
        return hx_error_set(err, sink->error_code, "%s", sink->error.text);
    if (unwritten)
        return hx_error_set(err, HX_EIO, "write: %s: %llu messages are not in it", sink->file.path,
                            (unsigned long long)unwritten);
    return 0;
}

int hx_sink_run(hx_sink *sink, hx_error *err)
{
    int rc;

    set_tool_stat(sink, HX_SINK_RUNNING, 1);
    rc = start_workers(sink, err);
    if (!rc)
        watch(sink);
    hx_sink_stop(sink);
    join_workers(sink);
    if (sink->file_open)
        hx_sink_file_settle(&sink->file);
    sample(sink);
    set_tool_stat(sink, HX_SINK_RUNNING, 0);
    return rc ? rc : outcome(sink, err);
}
