#include "receiver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A nap costs as much as being woken by a message, and there are five thousand of them a second: so
 * many messages are the border, some 4 KB of them in a window of 5 ms. */
#define WINDOW_NS  5000000u
#define HIGH_BYTES 4096u
#define NAP_NS     200000
#define REFRESH_NS 100000000u
/* Of a chunk, but for a longer message: a line has been judged when all of its chunk has, so this
 * is what it waits for. What came meanwhile goes with the next one. */
#define CHUNK_BYTES (64u << 10)
/* Where a line waits anyway: what a chunk costs is shared by more. */
#define CHUNK_BEHIND (160u << 10)
/* Of all listeners, before there is nothing: taking a connection is a round. */
#define TAKE_ROUNDS 2

uint64_t receiver_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int receiver_init(receiver *r, const net_input *inputs, uint32_t input_count,
                  const hx_listen_config *listen, uint32_t listen_count)
{
    uint32_t first = 0;

    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->inputs = inputs;
    r->input_count = input_count;
    r->copy = lines_copy_best();
    r->listeners = calloc(listen_count, sizeof(hx_listener *));
    r->first_input = calloc(listen_count, sizeof *r->first_input);
    r->port_count = calloc(listen_count, sizeof *r->port_count);
    r->fds = calloc((size_t)listen_count * HX_LISTENER_FDS_MAX + 1, sizeof *r->fds);
    r->counts = calloc(input_count, sizeof *r->counts);
    r->ports = calloc(input_count, sizeof *r->ports);
    if (!r->fds || !r->listeners || !r->first_input || !r->port_count || !r->counts || !r->ports)
        return HX_ENOMEM;
    r->listener_count = listen_count;
    for (uint32_t i = 0; i < listen_count; i++) {
        r->first_input[i] = first;
        r->port_count[i] = listen[i].port_count;
        first += listen[i].port_count;
    }
    return 0;
}

void receiver_free(receiver *r)
{
    for (uint32_t i = 0; i < r->listener_count; i++)
        hx_listener_destroy(r->listeners[i]);
    free(r->listeners);
    free(r->first_input);
    free(r->port_count);
    free(r->fds);
    free(r->counts);
    free(r->ports);
    pthread_mutex_destroy(&r->lock);
}

/* --- reading --------------------------------------------------------------------------------- */

static int64_t realtime_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void on_mark(void *context, uint32_t port, const hx_mark *mark, int64_t arrival_ns)
{
    receiver *r = context;
    int64_t late_ns = arrival_ns - mark->time_ns;

    (void)port;
    if (mark->kind == HX_MARK_PROBE)
        hx_histogram_record(&r->latency_us, late_ns > 0 ? (uint64_t)late_ns / 1000 : 0);
}

/* Takes what waits at the listener of the last turn, or at the next one. */
static bool take(receiver *r, bool same)
{
    hx_listener *listener;
    int n;

    if (!same) {
        r->run_listener = r->turn;
        r->turn = r->turn + 1 < r->listener_count ? r->turn + 1 : 0;
    }
    listener = r->listeners[r->run_listener];
    if (!listener || r->closed)
        return false;
    n = hx_listener_take(listener, r->runs, RECEIVER_RUNS, RECEIVER_TAKE_BYTES, on_mark, r);
    if (n < 0)
        atomic_fetch_add_explicit(&r->take_errors, 1, memory_order_relaxed);
    if (n <= 0)
        return false;
    r->run_at = r->run_used = 0;
    r->run_count = (uint32_t)n;
    r->taken_us = realtime_us();
    return true;
}

/* Copies runs of one port, as many as follow each other and fit, behind what the chunk has. */
static uint32_t copy_runs(receiver *r, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    uint32_t port = r->runs[r->run_at].port, input = chunk->input, at = 0;
    const bool whole = chunk->length == 0;

    while (r->run_at < r->run_count && r->runs[r->run_at].port == port) {
        const hx_taken *t = &r->runs[r->run_at];
        message_run run = {t->data + r->run_used, t->bytes - r->run_used,
                           t->stride ? t->stride : t->bytes};

        if (t->hole && !r->hole_told)
            hx_chunk_note_hole(chunk, chunk->length + at);
        r->hole_told = t->hole;
        at += r->copy(buffer + at, capacity - at, whole && at == 0, &run, &r->counts[input]);
        if (run.bytes) {
            r->run_used = t->bytes - run.bytes;
            break;
        }
        r->run_at++;
        r->run_used = 0;
        r->hole_told = false;
    }
    return at;
}

static uint32_t chunk_room(const receiver *r, uint32_t capacity)
{
    const hx_taken *t = &r->runs[r->run_at];
    const uint32_t left = t->bytes - r->run_used;
    const uint32_t first = t->stride && t->stride < left ? t->stride : left;

    const uint32_t most = r->behind ? CHUNK_BEHIND : CHUNK_BYTES;

    return capacity > most && first < most ? most : capacity;
}

/* The lines of the port whose turn it is, in as large a piece as there is. */
static uint32_t copy_port(receiver *r, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    uint32_t port = r->runs[r->run_at].port, more;
    uint32_t input = r->first_input[r->run_listener] + port;

    *chunk = (hx_chunk){
        .input = input, .identity = r->inputs[input].identity, .arrival_us = r->taken_us};
    capacity = chunk_room(r, capacity);
    do {
        more = copy_runs(r, buffer + chunk->length, capacity - chunk->length, chunk);
        chunk->length += more;
    } while (more && r->run_at == r->run_count && chunk->length < capacity && take(r, true) &&
             r->runs[0].port == port);
    r->load.bytes += chunk->length;
    return chunk->length;
}

/* The newest lines of a port are lost and nothing has come since: a chunk without lines says so. */
static int tell_loss(receiver *r, hx_chunk *chunk)
{
    uint32_t port;

    for (uint32_t i = 0; i < r->listener_count; i++) {
        uint32_t input;

        if (!r->listeners[i] || r->closed || !hx_listener_lost_last(r->listeners[i], &port))
            continue;
        input = r->first_input[i] + port;
        *chunk = (hx_chunk){
            .input = input, .identity = r->inputs[input].identity, .arrival_us = realtime_us()};
        hx_chunk_note_hole(chunk, 0);
        return 0;
    }
    return HX_EAGAIN;
}

int receiver_read(receiver *r, char *buffer, uint32_t capacity, hx_chunk *chunk)
{
    uint32_t quiet = 0;

    for (;;) {
        if (r->run_at == r->run_count) {
            if (quiet == TAKE_ROUNDS * r->listener_count)
                return tell_loss(r, chunk);
            if (!take(r, false)) {
                quiet++;
                continue;
            }
        }
        if (copy_port(r, buffer, capacity, chunk) || chunk->holes) /* else all were empty */
            return 0;
    }
}

/* --- waiting --------------------------------------------------------------------------------- */

bool load_is_high(load *l)
{
    uint64_t now_ns = receiver_now_ns(), passed_ns = now_ns - l->since_ns;

    if (passed_ns >= WINDOW_NS) {
        l->high = (double)l->bytes * WINDOW_NS >= (double)HIGH_BYTES * (double)passed_ns;
        l->since_ns = now_ns;
        l->bytes = 0;
    }
    return l->high;
}

void receiver_nap(void)
{
    const struct timespec nap = {0, NAP_NS};

    nanosleep(&nap, NULL);
}

uint32_t receiver_fds(const receiver *r, struct pollfd *out)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->listener_count; i++)
        if (r->listeners[i])
            n += hx_listener_fds(r->listeners[i], out + n);
    return n;
}

bool receiver_has_more(receiver *r)
{
    return !r->closed && poll(r->fds, receiver_fds(r, r->fds), 0) > 0;
}

/* --- counting -------------------------------------------------------------------------------- */

void receiver_refresh(receiver *r, bool now)
{
    uint64_t now_ns = receiver_now_ns();

    if (!now && now_ns - r->refreshed_ns < REFRESH_NS)
        return;
    r->refreshed_ns = now_ns;
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->listener_count; i++) {
        for (uint32_t p = 0; r->listeners[i] && p < r->port_count[i]; p++) {
            uint32_t input = r->first_input[i] + p;
            hx_source_port *port = &r->ports[input];

            hx_listener_counters(r->listeners[i], p, &port->counters);
            hx_listener_account(r->listeners[i], p, &port->account);
            /* The listener took for a message what turned out to be nothing but line ends. */
            port->counters.messages -= r->counts[input].empty;
            port->counters.empty += r->counts[input].empty;
        }
    }
    pthread_mutex_unlock(&r->lock);
}

static void add_counters(hx_port_counters *sum, const hx_port_counters *part)
{
    sum->messages += part->messages;
    sum->bytes += part->bytes;
    sum->controls += part->controls;
    sum->kernel_dropped += part->kernel_dropped;
    sum->shed += part->shed;
    sum->truncated += part->truncated;
    sum->empty += part->empty;
    sum->bad_framing += part->bad_framing;
    sum->clients += part->clients;
    sum->refused += part->refused;
    sum->tls_failed += part->tls_failed;
    sum->unanswered += part->unanswered;
}

void receiver_add_ports(receiver *r, hx_source_port *ports)
{
    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->listener_count; i++) {
        for (uint32_t p = 0; r->listeners[i] && p < r->port_count[i]; p++) {
            uint32_t input = r->first_input[i] + p;

            ports[input].readers++;
            add_counters(&ports[input].counters, &r->ports[input].counters);
            hx_account_add(&ports[input].account, &r->ports[input].account);
        }
    }
    pthread_mutex_unlock(&r->lock);
}
