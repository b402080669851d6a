/* A worker: takes what its ports have, counts it, writes it. */
#include "sink/parts.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define RUNS_MAX    1024
#define ROUND_BYTES (1u << 20)
#define LITTLE_RUNS 8 /* a take that brought fewer was not worth the way */
#define NAP_NS      200000
#define QUIET_NS    5000000 /* without anything, before the kernel is asked to wake the worker */
#define PUBLISH_NS  100000000
#define WAIT_MS     1000
#define RETRY_MS    100
#define DRAIN_NS    INT64_C(2000000000)
#define THROTTLE_NS 1000000 /* the most a worker waits for another one's allowance */

/* --- life --------------------------------------------------------------------------------------
 */

static void choose_ports(hx_sink *sink, hx_sink_worker *worker)
{
    const hx_listen_config *listen = &sink->config.listen;
    uint32_t first = worker->index % listen->port_count;

    for (uint32_t p = first; p < listen->port_count; p += sink->workers) {
        hx_sink_row *row = &worker->row[worker->port_count];

        worker->ports[worker->port_count++] = listen->ports[p];
        row->index = sink->rows > listen->port_count ? worker->index : p;
        row->received = hx_stats_value(sink->stats, row->index, HX_SINK_RECEIVED);
        row->bytes = hx_stats_value(sink->stats, row->index, HX_SINK_BYTES);
        row->latency = hx_stats_histogram(sink->stats, row->index, HX_SINK_LATENCY_US);
        hx_stat_set(hx_stats_value(sink->stats, row->index, HX_SINK_PORT), listen->ports[p]);
    }
}

int hx_sink_worker_init(hx_sink *sink, uint32_t index, hx_error *warning, hx_error *err)
{
    hx_sink_worker *worker = &sink->worker[index];
    hx_listen_config listen = sink->config.listen;
    int rc;

    worker->sink = sink;
    worker->index = index;
    pthread_mutex_init(&worker->lock, NULL);
    choose_ports(sink, worker);
    worker->runs = calloc(RUNS_MAX, sizeof *worker->runs);
    if (!worker->runs)
        return HX_ENOMEM;
    if (sink->file_open) {
        rc = hx_sink_block_init(&worker->block, &sink->file);
        if (rc)
            return rc;
    }
    listen.ports = worker->ports;
    listen.port_count = worker->port_count;
    listen.reuse_port = sink->workers > sink->config.listen.port_count;
    return hx_listener_create(&listen, &worker->listener, warning, err);
}

void hx_sink_worker_free(hx_sink_worker *worker)
{
    if (!worker->sink)
        return;
    hx_listener_destroy(worker->listener);
    hx_sink_block_free(&worker->block);
    free(worker->runs);
    pthread_mutex_destroy(&worker->lock);
}

/* The first error is what the run ends with. */
static void fail(hx_sink_worker *worker, int code)
{
    hx_sink *sink = worker->sink;
    const char *why = code == HX_EIO ? strerror(errno) : hx_strerror(code);

    pthread_mutex_lock(&sink->error_lock);
    if (!sink->error_code)
        sink->error_code =
            hx_error_set(&sink->error, code, "worker %u cannot receive: %s", worker->index, why);
    pthread_mutex_unlock(&sink->error_lock);
    hx_sink_stop(sink);
}

/* --- figures -----------------------------------------------------------------------------------
 */

static void publish_row(hx_sink *sink, const hx_sink_row *row)
{
    const hx_port_counters *c = &row->counters;
    const hx_account *a = &row->account;
    const struct {
        enum hx_sink_stat stat;
        uint64_t value;
    } values[] = {
        {HX_SINK_CONTROLS, c->controls},
        {HX_SINK_KERNEL_DROPPED, c->kernel_dropped},
        {HX_SINK_TRUNCATED, c->truncated},
        {HX_SINK_EMPTY, c->empty},
        {HX_SINK_BAD_FRAMING, c->bad_framing},
        {HX_SINK_CLIENTS, c->clients},
        {HX_SINK_REFUSED, c->refused},
        {HX_SINK_TLS_FAILED, c->tls_failed},
        {HX_SINK_SENT, a->sent},
        {HX_SINK_CLOSED, a->closed},
        {HX_SINK_STREAMS, a->streams},
        {HX_SINK_STREAMS_ENDED, a->streams_ended},
        {HX_SINK_LOST, hx_sink_lost(a)},
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hx_stat_set(hx_stats_value(sink->stats, row->index, values[i].stat), values[i].value);
}

/* While marks have not said how much was sent, what the kernel says that it dropped is lost at
 * least. */
static void read_row(hx_sink_worker *worker, uint32_t port)
{
    hx_sink_row *row = &worker->row[port];

    hx_listener_counters(worker->listener, port, &row->counters);
    hx_listener_account(worker->listener, port, &row->account);
    if (!row->account.closed && row->account.kernel_dropped < row->counters.kernel_dropped)
        row->account.kernel_dropped = row->counters.kernel_dropped;
}

static void publish(hx_sink_worker *worker, int64_t now_ns)
{
    worker->published_ns = now_ns;
    pthread_mutex_lock(&worker->lock);
    for (uint32_t i = 0; i < worker->port_count; i++)
        read_row(worker, i);
    pthread_mutex_unlock(&worker->lock);
    for (uint32_t i = 0; i < worker->port_count; i++)
        publish_row(worker->sink, &worker->row[i]);
}

static void hear_mark(void *context, uint32_t port, const hx_mark *mark, int64_t arrival_ns)
{
    hx_sink_worker *worker = context;

    worker->marks++;
    if (mark->kind == HX_MARK_PROBE)
        hx_histogram_record(
            worker->row[port].latency,
            arrival_ns > mark->time_ns ? (uint64_t)(arrival_ns - mark->time_ns) / 1000 : 0);
}

/* --- rounds ------------------------------------------------------------------------------------
 */

typedef struct round_result {
    uint64_t messages;
    bool anything; /* marks too */
    bool full;     /* there may be more */
} round_result;

static round_result take_round(hx_sink_worker *worker, uint32_t capacity)
{
    uint64_t marks = worker->marks;
    round_result took = {0};
    int n =
        hx_listener_take(worker->listener, worker->runs, capacity, ROUND_BYTES, hear_mark, worker);

    if (n < 0) {
        fail(worker, n);
        return took;
    }
    for (int i = 0; i < n; i++) {
        const hx_taken *run = &worker->runs[i];
        const hx_sink_row *row = &worker->row[run->port];
        uint64_t messages =
            run->stride ? (run->bytes + run->stride - 1) / run->stride : run->bytes > 0;

        hx_stat_add(row->received, messages);
        hx_stat_add(row->bytes, run->bytes);
        took.messages += messages;
        if (worker->block.bytes)
            hx_sink_block_put(&worker->block, run);
    }
    took.full = n == (int)capacity || n >= LITTLE_RUNS;
    took.anything = n > 0 || worker->marks > marks;
    return took;
}

static void note_arrival(hx_sink_worker *worker, int64_t now_ns)
{
    if (!atomic_load_explicit(&worker->first_ns, memory_order_relaxed))
        atomic_store_explicit(&worker->first_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&worker->last_ns, now_ns, memory_order_relaxed);
}

/* How many runs may be taken now, reserved; 0: none, until *until_ns. */
static uint32_t reserve(hx_sink *sink, int64_t now_ns, int64_t *until_ns)
{
    int64_t allowance;

    *until_ns = now_ns + QUIET_NS;
    if (atomic_load_explicit(&sink->paused, memory_order_relaxed))
        return 0;
    if (!atomic_load_explicit(&sink->max_eps, memory_order_relaxed))
        return RUNS_MAX;
    pthread_mutex_lock(&sink->rate_lock);
    allowance = hx_bucket_allowance(&sink->bucket, now_ns);
    if (allowance > RUNS_MAX)
        allowance = RUNS_MAX;
    if (allowance > 0)
        sink->bucket.tokens -= allowance;
    *until_ns = hx_bucket_next_ns(&sink->bucket);
    pthread_mutex_unlock(&sink->rate_lock);
    /* Another worker may give back what it has reserved and found no use for. */
    if (sink->workers > 1 && *until_ns > now_ns + THROTTLE_NS)
        *until_ns = now_ns + THROTTLE_NS;
    return allowance > 0 ? (uint32_t)allowance : 0;
}

/* A run is a message at least: what was reserved for it and what it held may differ. */
static void settle(hx_sink *sink, uint32_t reserved, uint64_t messages)
{
    if (!atomic_load_explicit(&sink->max_eps, memory_order_relaxed))
        return;
    pthread_mutex_lock(&sink->rate_lock);
    sink->bucket.tokens += (int64_t)reserved - (int64_t)messages;
    pthread_mutex_unlock(&sink->rate_lock);
}

static void nap(int64_t ns)
{
    const struct timespec t = {0, ns};

    if (ns > 0)
        nanosleep(&t, NULL);
}

static void rest(hx_sink_worker *worker, int64_t now_ns, round_result took)
{
    int64_t last_ns = atomic_load_explicit(&worker->last_ns, memory_order_relaxed);

    if (took.full)
        return;
    if (now_ns - last_ns < QUIET_NS) {
        nap(NAP_NS);
        return;
    }
    if (worker->block.bytes)
        hx_sink_block_flush(&worker->block);
    publish(worker, now_ns);
    hx_listener_wait(worker->listener, worker->sink->wake, worker->block.len ? RETRY_MS : WAIT_MS);
}

static void take_until_stopped(hx_sink_worker *worker)
{
    hx_sink *sink = worker->sink;

    while (!atomic_load_explicit(&sink->stopping, memory_order_relaxed)) {
        int64_t now_ns = hx_sink_now_ns(), until_ns;
        uint32_t runs = reserve(sink, now_ns, &until_ns);
        round_result took = {0};

        if (runs) {
            took = take_round(worker, runs);
            settle(sink, runs, took.messages);
            if (took.anything)
                note_arrival(worker, now_ns);
        }
        if (now_ns - worker->published_ns >= PUBLISH_NS) {
            if (worker->block.bytes)
                hx_sink_block_flush(&worker->block);
            publish(worker, now_ns);
        }
        if (runs)
            rest(worker, now_ns, took);
        else
            nap(until_ns - now_ns);
    }
}

/* What waits in the sockets when the sink is told to stop was received: it is taken. */
static void drain(hx_sink_worker *worker)
{
    int64_t now_ns = hx_sink_now_ns(), until_ns = now_ns + DRAIN_NS;

    while (now_ns < until_ns && take_round(worker, RUNS_MAX).anything) {
        note_arrival(worker, now_ns);
        now_ns = hx_sink_now_ns();
    }
    if (worker->block.bytes)
        hx_sink_block_finish(&worker->block);
    publish(worker, now_ns);
}

static void settle_down(hx_sink_worker *worker)
{
    const hx_sink_config *config = &worker->sink->config;
    char name[16] = "sink-";
    cpu_set_t set;

    snprintf(name + 5, sizeof name - 5, "%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    prctl(PR_SET_TIMERSLACK, 1000UL); /* naps of 200 us that last 250 are a quarter more latency */
    if (!config->pin_count)
        return;
    CPU_ZERO(&set);
    CPU_SET(config->pin[worker->index % config->pin_count], &set);
    /* A processor that is not there was refused when the sink was made; a later refusal (a cgroup
     * that shrank) only costs speed. */
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void *hx_sink_work(void *arg)
{
    hx_sink_worker *worker = arg;

    settle_down(worker);
    take_until_stopped(worker);
    drain(worker);
    return NULL;
}
