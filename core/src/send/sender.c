#include "send/room.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCH_MS = 50,
    START_AFTER_MS = 20, /* time for the workers' threads to be there when the first event is due */
};

const hx_stat_def sender_stat_defs[SENDER_STATS] = {
    [SENDER_EVENTS] = {"events", HX_STAT_COUNTER},
    [SENDER_BYTES] = {"bytes", HX_STAT_COUNTER},
    [SENDER_CONTROLS] = {"controls", HX_STAT_COUNTER},
    [SENDER_ERRORS] = {"errors", HX_STAT_COUNTER},
    [SENDER_SENDS] = {"sends", HX_STAT_COUNTER},
    [SENDER_LATE_EVENTS] = {"late_events", HX_STAT_COUNTER},
    [SENDER_REFUSED] = {"refused", HX_STAT_COUNTER},
    [SENDER_RECONNECTS] = {"reconnects", HX_STAT_COUNTER},
    [SENDER_PORT] = {"port", HX_STAT_GAUGE},
    [SENDER_WORKER] = {"worker", HX_STAT_GAUGE},
    [SENDER_RECEIVED] = {"received", HX_STAT_GAUGE},
    [SENDER_DROPPED] = {"dropped", HX_STAT_GAUGE},
    [SENDER_REPORTED] = {"reported", HX_STAT_GAUGE},
};

const hx_stat_def sender_tool_stat_defs[SENDER_TOOL_STATS] = {
    [SENDER_EPISODES] = {"episodes", HX_STAT_COUNTER},
    [SENDER_TARGET_EPS] = {"target_eps", HX_STAT_GAUGE},
    [SENDER_PAUSED] = {"paused", HX_STAT_GAUGE},
    [SENDER_RUNNING] = {"running", HX_STAT_GAUGE},
};

int64_t sender_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* --- making ------------------------------------------------------------------------------------
 */

static int config_check(const hx_sender_config *c, hx_error *err)
{
    if (!c->output == !c->target_count)
        return hx_error_set(err, HX_EINVAL, "target: targets or an output are needed, not both");
    if (c->target_count > HX_SENDER_TARGETS_MAX)
        return hx_error_set(err, HX_EINVAL, "target: %u are more than %d", c->target_count,
                            HX_SENDER_TARGETS_MAX);
    if (c->target_count && !c->port_count)
        return hx_error_set(err, HX_EINVAL, "ports: at least one is needed");
    if (c->workers > HX_SENDER_WORKERS_MAX)
        return hx_error_set(err, HX_EINVAL, "workers: %u is not within 0 to %d", c->workers,
                            HX_SENDER_WORKERS_MAX);
    if (c->output && !c->eps_milli)
        return hx_error_set(err, HX_EINVAL,
                            "eps: a file's lines need times, so a rate, such as 1000");
    if (c->output && c->unhurried && !c->count && !c->duration_ns)
        return hx_error_set(err, HX_EINVAL, "count: how many lines the file gets is needed");
    if (c->output && c->account)
        return hx_error_set(err, HX_EINVAL,
                            "account: a file does not answer; it is of use with target only");
    if (c->transport != HX_UDP && c->framing == HX_FRAMING_AUTO)
        return hx_error_set(err, HX_EINVAL, "framing: octets or newline is needed");
    return place_check(c, err);
}

/* A worker more than there are streams gets a stream of its own to a port that another has too. */
static void count_streams(hx_sender *s)
{
    const hx_sender_config *c = &s->config;
    uint32_t places =
        c->output ? (c->port_count ? c->port_count : 1) : c->target_count * c->port_count;

    s->worker_count = c->workers ? c->workers : place_processors();
    if (c->output)
        s->worker_count = 1;
    else if (!c->workers && s->worker_count > places)
        s->worker_count = places;
    s->stream_count = places > s->worker_count ? places : s->worker_count;
}

static int open_file(hx_sender *s, hx_error *err)
{
    const char *path = s->config.output;
    int fd = STDOUT_FILENO;

    if (strcmp(path, "-") != 0)
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return hx_error_set(err, HX_EIO, "%s: cannot be written: %s", path, strerror(errno));
    for (uint32_t i = 0; i < s->stream_count; i++)
        s->streams[i].fd = fd;
    return 0;
}

static int open_stream(hx_sender *s, stream *to, hx_error *err)
{
    const hx_sender_config *c = &s->config;
    struct sockaddr_storage address;
    socklen_t len;
    int rc = hx_net_address(c->targets[to->target], to->port, &address, &len, err);

    if (rc)
        return rc;
    if (c->transport == HX_UDP)
        return udp_connect(to, &address, len, err);
    hx_outlet_config outlet = {
        .transport = c->transport,
        .framing = c->framing,
        .address = &address,
        .address_len = len,
        .name = c->tls_server_name ? c->tls_server_name : c->targets[to->target],
        .tls_ca = c->tls_ca,
        .tls_certificate = c->tls_certificate,
        .tls_key = c->tls_key,
        .tls_insecure = c->tls_insecure,
    };
    return hx_outlet_create(&outlet, &to->outlet, err);
}

static int make_streams(hx_sender *s, hx_error *err)
{
    const hx_sender_config *c = &s->config;
    uint32_t places = c->output ? 0 : c->target_count * c->port_count;
    int rc = 0;

    s->streams = calloc(s->stream_count, sizeof *s->streams);
    s->workers = calloc(s->worker_count, sizeof *s->workers);
    if (!s->streams || !s->workers)
        return hx_error_set(err, HX_ENOMEM, "storm: out of memory");
    for (uint32_t i = 0; i < s->stream_count; i++) {
        stream *to = &s->streams[i];

        to->fd = -1;
        to->index = i;
        to->end_sequence = UINT64_MAX;
        for (uint32_t k = 0; k < SENDER_STATS; k++)
            to->stat[k] = hx_stats_value(s->stats, i, k);
        if (places) {
            to->target = i % places / c->port_count;
            to->port = c->ports[i % c->port_count];
        } else {
            to->port = c->port_count ? c->ports[i] : 0;
        }
        hx_stat_set(to->stat[SENDER_PORT], to->port);
        hx_stat_set(to->stat[SENDER_WORKER], i % s->worker_count);
    }
    if (c->output)
        return open_file(s, err);
    for (uint32_t i = 0; i < s->stream_count && !rc; i++)
        rc = open_stream(s, &s->streams[i], err);
    return rc;
}

static int open_truth(hx_sender *s, hx_error *err)
{
    const char *path = s->config.truth;

    if (!path)
        return 0;
    s->truth_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (s->truth_fd < 0)
        return hx_error_set(err, HX_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return 0;
}

static void share_out(hx_sender *s)
{
    uint64_t count = s->config.count;

    for (uint32_t i = 0; i < s->worker_count; i++)
        s->workers[i].count_left =
            count ? count / s->worker_count + (i < count % s->worker_count) : UINT64_MAX;
}

static int assemble(hx_sender *s, hx_error *err)
{
    const hx_sender_config *c = &s->config;
    int rc = config_check(c, err);

    if (rc)
        return rc;
    count_streams(s);
    rc = hx_stats_create(c->stats_page, "haechi-storm", s->stream_count, sender_stat_defs,
                         SENDER_STATS, sender_tool_stat_defs, SENDER_TOOL_STATS, &s->stats, err);
    if (!rc)
        rc = make_streams(s, err);
    for (uint32_t i = 0; i < s->worker_count && !rc; i++)
        rc = worker_create(s, i, err);
    if (!rc)
        rc = open_truth(s, err);
    if (!rc && getrandom(&s->run, sizeof s->run, 0) != sizeof s->run)
        rc = hx_error_set(err, HX_EIO, "getrandom: %s", strerror(errno));
    if (!rc && c->control_socket)
        rc = hx_control_create(c->control_socket, sender_answer, s, &s->control, err);
    if (!rc)
        share_out(s);
    return rc;
}

int hx_sender_create(const hx_sender_config *config, hx_sender **out, hx_error *err)
{
    hx_sender *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return hx_error_set(err, HX_ENOMEM, "storm: out of memory");
    s->config = *config;
    s->truth_fd = -1;
    pthread_mutex_init(&s->truth_lock, NULL);
    pthread_mutex_init(&s->error_lock, NULL);
    pthread_mutex_init(&s->rate_lock, NULL);
    atomic_store(&s->eps_milli, config->eps_milli);
    atomic_store(&s->rate_epoch, 1);
    atomic_store(&s->burst_us, config->burst_us ? config->burst_us : HX_SENDER_BURST_US);
    atomic_store(&s->max_eps_milli, HX_SENDER_EPS_MAX * 1000);
    rc = assemble(s, err);
    if (rc) {
        hx_sender_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void stream_close(stream *s, bool is_file)
{
    hx_outlet_destroy(s->outlet);
    if (s->fd >= 0 && !is_file)
        close(s->fd);
}

void hx_sender_destroy(hx_sender *s)
{
    if (!s)
        return;
    hx_control_destroy(s->control);
    for (uint32_t i = 0; s->workers && i < s->worker_count; i++)
        worker_destroy(&s->workers[i]);
    if (s->config.output && s->streams && s->streams[0].fd > STDOUT_FILENO)
        close(s->streams[0].fd);
    for (uint32_t i = 0; s->streams && i < s->stream_count; i++)
        stream_close(&s->streams[i], s->config.output != NULL);
    if (s->truth_fd >= 0)
        close(s->truth_fd);
    hx_stats_destroy(s->stats);
    free(s->workers);
    free(s->streams);
    free(s);
}

void hx_sender_stop(hx_sender *s)
{
    atomic_store(&s->stopping, true);
}

/* --- what was to be sent -----------------------------------------------------------------------
 */

/* With rate_lock. */
static double offered_by(const hx_sender *s, int64_t now_ns)
{
    double eps = (double)atomic_load(&s->eps_milli) / 1e12; /* a nanosecond */
    double ramp_ns = s->ramp_over ? 0 : (double)s->config.ramp_up_ns;
    double passed_ns = (double)(now_ns - s->offered_since_ns);

    if (atomic_load(&s->paused) || passed_ns <= 0)
        return s->offered;
    if (passed_ns < ramp_ns)
        return s->offered + eps * passed_ns * passed_ns / ramp_ns / 2;
    return s->offered + eps * (passed_ns - ramp_ns / 2);
}

double sender_offered(hx_sender *s, int64_t now_ns)
{
    pthread_mutex_lock(&s->rate_lock);
    double offered = offered_by(s, now_ns);
    pthread_mutex_unlock(&s->rate_lock);
    return offered;
}

typedef enum change { FASTER_OR_SLOWER, PAUSE, RESUME } change;

/* Another rate, or none, from now on. */
static void offer(hx_sender *s, change what, uint64_t eps_milli)
{
    pthread_mutex_lock(&s->rate_lock);
    int64_t now_ns = sender_now_ns();
    if (s->zero_ns && now_ns > s->zero_ns) {
        s->offered = offered_by(s, now_ns);
        s->offered_since_ns = now_ns;
        s->ramp_over = true;
    }
    if (what == FASTER_OR_SLOWER)
        atomic_store(&s->eps_milli, eps_milli);
    else
        atomic_store(&s->paused, what == PAUSE);
    pthread_mutex_unlock(&s->rate_lock);
}

void hx_sender_pause(hx_sender *s, bool paused)
{
    offer(s, paused ? PAUSE : RESUME, 0);
    hx_stat_set(hx_stats_value(s->stats, HX_STATS_TOOL, SENDER_PAUSED), paused);
}

void hx_sender_limit(hx_sender *s, uint64_t max_eps_milli)
{
    atomic_store(&s->max_eps_milli, max_eps_milli);
}

int hx_sender_set_rate(hx_sender *s, uint64_t eps_milli, hx_error *err)
{
    uint64_t most = atomic_load(&s->max_eps_milli);

    if (!s->config.eps_milli)
        return hx_error_set(err, HX_EINVAL, "set_rate: this storm goes as fast as it can");
    if (eps_milli < 1000 || eps_milli > most)
        return hx_error_set(err, HX_EINVAL,
                            "set_rate: eps %.3f is not from 1 to %.0f; --max-eps N allows more",
                            (double)eps_milli / 1000, (double)most / 1000);
    offer(s, FASTER_OR_SLOWER, eps_milli);
    hx_stat_set(hx_stats_value(s->stats, HX_STATS_TOOL, SENDER_TARGET_EPS), eps_milli / 1000);
    atomic_fetch_add_explicit(&s->rate_epoch, 1, memory_order_release);
    return 0;
}

int hx_sender_set_burst(hx_sender *s, uint32_t burst_us, hx_error *err)
{
    if (!s->config.eps_milli)
        return hx_error_set(err, HX_EINVAL,
                            "set_burst: this storm goes as fast as it can, in turns of one length");
    if (burst_us < HX_SENDER_BURST_US_MIN || burst_us > HX_SENDER_BURST_US_MAX)
        return hx_error_set(err, HX_EINVAL, "set_burst: %u us is not from %d to %d", burst_us,
                            HX_SENDER_BURST_US_MIN, HX_SENDER_BURST_US_MAX);
    atomic_store(&s->burst_us, burst_us);
    return 0;
}

void sender_fail(hx_sender *s, int code, const hx_error *err)
{
    pthread_mutex_lock(&s->error_lock);
    if (!atomic_load(&s->failed)) {
        s->error = *err;
        s->error_code = code;
        atomic_store(&s->failed, true);
    }
    pthread_mutex_unlock(&s->error_lock);
    hx_sender_stop(s);
}

/* --- running -----------------------------------------------------------------------------------
 */

static int start_workers(hx_sender *s, hx_error *err)
{
    struct timespec real;
    int64_t after_ns = s->config.unhurried ? 0 : (int64_t)START_AFTER_MS * NS_PER_MS;

    pthread_mutex_lock(&s->rate_lock); /* commands may come from the first moment on */
    s->zero_ns = sender_now_ns() + after_ns;
    clock_gettime(CLOCK_REALTIME, &real);
    s->zero_real_ns = (int64_t)real.tv_sec * NS_PER_S + real.tv_nsec + after_ns;
    s->offered_since_ns = s->zero_ns;
    pthread_mutex_unlock(&s->rate_lock);
    if (s->config.start_now)
        s->config.composer.start_ns = s->zero_real_ns;
    atomic_store(&s->stopped_ns, s->zero_ns);
    for (uint32_t i = 0; i < s->stream_count; i++)
        s->streams[i].next_mark_ns = s->zero_ns + NS_PER_S * i / s->stream_count;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        if (pthread_create(&s->workers[i].thread, NULL, worker_run, &s->workers[i]) != 0)
            return hx_error_set(err, HX_EIO, "workers: thread %u cannot be started", i);
        s->workers[i].started = true;
    }
    return 0;
}

static bool all_done(const hx_sender *s)
{
    for (uint32_t i = 0; i < s->worker_count; i++)
        if (!atomic_load(&s->workers[i].done))
            return false;
    return true;
}

/* The best full second. */
static void watch(hx_sender *s)
{
    const struct timespec nap = {0, (int64_t)WATCH_MS * NS_PER_MS};
    int64_t second_ns = s->zero_ns;
    uint64_t before = 0;

    while (!all_done(s)) {
        nanosleep(&nap, NULL);
        if (s->config.on_watch)
            s->config.on_watch(s->config.context, s);
        if (s->config.output && atomic_load(&s->stopping) && !atomic_load(&s->workers[0].done))
            pthread_kill(s->workers[0].thread, SIGTERM);
        int64_t now_ns = sender_now_ns();
        if (now_ns - second_ns < NS_PER_S)
            continue;
        uint64_t events = hx_stats_total(s->stats, SENDER_EVENTS);
        uint64_t eps = (uint64_t)((double)(events - before) * 1e9 / (double)(now_ns - second_ns));
        if (eps > atomic_load(&s->eps_peak))
            atomic_store(&s->eps_peak, eps);
        before = events;
        second_ns = now_ns;
    }
}

int hx_sender_run(hx_sender *s, hx_error *err)
{
    _Atomic uint64_t *running = hx_stats_value(s->stats, HX_STATS_TOOL, SENDER_RUNNING);
    int rc;

    hx_stat_set(hx_stats_value(s->stats, HX_STATS_TOOL, SENDER_TARGET_EPS),
                atomic_load(&s->eps_milli) / 1000);
    hx_stat_set(running, 1);
    rc = start_workers(s, err);
    if (rc)
        sender_fail(s, rc, err);
    else
        watch(s);
    for (uint32_t i = 0; i < s->worker_count; i++)
        if (s->workers[i].started)
            pthread_join(s->workers[i].thread, NULL);
    hx_stat_set(running, 0);
    atomic_store(&s->ended_ns, sender_now_ns());
    if (atomic_load(&s->failed)) {
        *err = s->error;
        return s->error_code;
    }
    return 0;
}
