#include "network.h"

#include <haechi/hash.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_MAX 64
#define DRAIN_NS   2000000000u

/* --- making ---------------------------------------------------------------------------------- */

static const char *address_of(const hx_listen_config *c)
{
    return c->address ? c->address : "127.0.0.1";
}

static int name_input(net_input *input, const hx_listen_config *c, uint16_t port, uint64_t salt)
{
    static const char *const transports[] = {[HX_UDP] = "udp", [HX_TCP] = "tcp", [HX_TLS] = "tls"};
    const char *address = address_of(c);
    bool six = strchr(address, ':') && address[0] != '[';

    input->transport = c->transport;
    input->port = port;
    if (asprintf(&input->name, "%s:%s%s%s:%u", transports[c->transport], six ? "[" : "", address,
                 six ? "]" : "", port) < 0) {
        input->name = NULL;
        return HX_ENOMEM;
    }
    input->identity = hx_hash_bytes(input->name, strlen(input->name), salt);
    return 0;
}

/* By the ports as they are: where the configuration says 0, the kernel chose. */
static int name_inputs(network *n, const hx_source_config *config, hx_error *err)
{
    struct timespec t;
    uint64_t salt;
    uint32_t at = 0;

    clock_gettime(CLOCK_REALTIME, &t);
    salt = hx_hash_u64((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec, (uint64_t)getpid());
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const hx_listen_config *c = &config->listen[i];
        const hx_listener *listener = n->receivers[i % n->receiver_count].listeners[i];

        for (uint32_t p = 0; p < c->port_count; p++, at++) {
            if (name_input(&n->inputs[at], c, hx_listener_port(listener, p), salt))
                return hx_error_set(err, HX_ENOMEM, "network: out of memory");
            n->plain[at] = c->transport == HX_UDP && c->plain;
        }
    }
    return 0;
}

static int check_config(const hx_source_config *config, hx_error *err)
{
    if (config->readers > HX_READERS_MAX)
        return hx_error_set(err, HX_EINVAL, "readers: %u is not within 1 to %d", config->readers,
                            HX_READERS_MAX);
    if (config->listen_count > LISTEN_MAX)
        return hx_error_set(err, HX_EINVAL,
                            "network: %u places to listen, at most %d are allowed: name ranges of "
                            "ports",
                            config->listen_count, LISTEN_MAX);
    return 0;
}

/* A refusal of the system's is about what the user asked for. The first warning stays. */
static int listen_at(const hx_listen_config *c, hx_listener **out, hx_error *warning, hx_error *err)
{
    hx_error said = {{0}};
    int rc = hx_listener_create(c, out, &said, err);

    if (!rc && said.text[0] && !warning->text[0])
        *warning = said;
    return rc && rc != HX_ENOMEM ? HX_EINVAL : rc;
}

/* Sockets that share their port would also share it with another engine of the same user, and each
 * would get a part: so the first one asks for the port alone. ports: what it got. */
static int claim(const hx_listen_config *c, uint16_t *ports, hx_error *err)
{
    hx_listen_config alone = *c;
    hx_listener *listener = NULL;
    hx_error warning = {{0}};
    int rc;

    alone.reuse_port = false;
    rc = listen_at(&alone, &listener, &warning, err);
    for (uint32_t p = 0; p < c->port_count && !rc; p++)
        ports[p] = hx_listener_port(listener, p);
    hx_listener_destroy(listener);
    return rc;
}

static int listen_all(network *n, const hx_source_config *config, hx_error *warning, hx_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; i < config->listen_count && !rc; i++) {
        hx_listen_config c = config->listen[i];
        uint16_t ports[HX_NET_PORTS_MAX];

        c.address = address_of(&c);
        c.reuse_port = n->receiver_count > 1 && c.transport == HX_UDP;
        if (c.reuse_port && c.port_count <= HX_NET_PORTS_MAX) {
            rc = claim(&c, ports, err);
            c.ports = ports;
        }
        for (uint32_t r = 0; r < n->receiver_count && !rc; r++)
            if (c.reuse_port || r == i % n->receiver_count)
                rc = listen_at(&c, &n->receivers[r].listeners[i], warning, err);
    }
    return rc;
}

static int make_receivers(network *n, const hx_source_config *config, hx_error *err)
{
    uint32_t count = config->readers > 1 ? config->readers : 1;

    n->receivers = calloc(count, sizeof *n->receivers);
    if (!n->receivers)
        return hx_error_set(err, HX_ENOMEM, "network: out of memory");
    for (; n->receiver_count < count; n->receiver_count++)
        if (receiver_init(&n->receivers[n->receiver_count], n->inputs, n->input_count,
                          config->listen, config->listen_count)) {
            n->receiver_count++; /* what it has is freed */
            return hx_error_set(err, HX_ENOMEM, "network: out of memory");
        }
    return 0;
}

int network_create(const hx_source_config *config, network **out, hx_error *err)
{
    hx_error warning = {{0}};
    network *n = calloc(1, sizeof *n);
    int rc = check_config(config, err);

    *out = NULL;
    for (uint32_t i = 0; n && i < config->listen_count; i++)
        n->input_count += config->listen[i].port_count;
    if (n) {
        n->inputs = calloc(n->input_count, sizeof *n->inputs);
        n->offsets = calloc(n->input_count, sizeof *n->offsets);
        n->plain = calloc(n->input_count, sizeof *n->plain);
    }
    if (!rc && (!n || !n->inputs || !n->offsets || !n->plain))
        rc = hx_error_set(err, HX_ENOMEM, "network: out of memory");
    if (!rc)
        rc = make_receivers(n, config, err);
    if (!rc)
        rc = listen_all(n, config, &warning, err);
    if (!rc)
        rc = name_inputs(n, config, err);
    if (!rc && n->receiver_count > 1)
        rc = readers_create(n->receivers, n->receiver_count, &n->readers, err);
    if (rc) {
        network_destroy(n);
        return rc;
    }
    if (err)
        *err = warning;
    *out = n;
    return 0;
}

void network_destroy(network *n)
{
    if (!n)
        return;
    readers_destroy(n->readers);
    for (uint32_t i = 0; i < n->receiver_count; i++)
        receiver_free(&n->receivers[i]);
    for (uint32_t i = 0; n->inputs && i < n->input_count; i++)
        free(n->inputs[i].name);
    free(n->receivers);
    free(n->inputs);
    free(n->offsets);
    free(n->plain);
    free(n);
}

/* --- reading --------------------------------------------------------------------------------- */

static int receive_one(receiver *r, char *buffer, uint32_t capacity, hx_source_counters *counters,
                       hx_chunk *chunk)
{
    int rc = receiver_read(r, buffer, capacity, chunk);

    if (rc == 0) {
        counters->truncated_lines += r->counts[chunk->input].truncated;
        r->counts[chunk->input].truncated = 0;
    }
    return rc;
}

static int hand_out(network *n, int rc, hx_source_counters *counters, hx_chunk *chunk)
{
    if (rc)
        return rc;
    chunk->offset = n->offsets[chunk->input];
    n->offsets[chunk->input] += chunk->length;
    counters->bytes += chunk->length;
    counters->chunks++;
    return 0;
}

int network_read(network *n, char *buffer, uint32_t capacity, hx_source_counters *counters,
                 hx_chunk *chunk)
{
    int rc = n->readers
                 ? readers_read(n->readers, buffer, capacity, &counters->truncated_lines, chunk)
                 : receive_one(n->receivers, buffer, capacity, counters, chunk);

    return hand_out(n, rc, counters, chunk);
}

void network_behind(network *n, bool behind)
{
    n->receivers->behind = behind && !n->readers;
}

/* The end of what waits, or of the time: what was taken from the kernel by then is still handed
 * out, since it is counted as received. */
static int read_taken(network *n, char *buffer, uint32_t capacity, hx_source_counters *counters,
                      hx_chunk *chunk)
{
    int rc = HX_EAGAIN;

    if (n->readers) {
        readers_stop(n->readers);
        rc = readers_read(n->readers, buffer, capacity, &counters->truncated_lines, chunk);
    }
    for (uint32_t i = 0; i < n->receiver_count && rc == HX_EAGAIN; i++) {
        n->receivers[i].closed = true;
        rc = receive_one(&n->receivers[i], buffer, capacity, counters, chunk);
        if (rc == HX_EAGAIN)
            receiver_refresh(&n->receivers[i], true);
    }
    return rc == HX_EAGAIN ? HX_EEND : hand_out(n, rc, counters, chunk);
}

int network_drain(network *n, char *buffer, uint32_t capacity, hx_source_counters *counters,
                  hx_chunk *chunk)
{
    if (!n->drain_until_ns) {
        n->drain_until_ns = receiver_now_ns() + DRAIN_NS;
        if (n->readers)
            readers_finish(n->readers);
    }
    while (receiver_now_ns() < n->drain_until_ns) {
        bool ended = n->readers && readers_finished(n->readers);

        if (network_read(n, buffer, capacity, counters, chunk) == 0)
            return 0;
        if (ended || (!n->readers && !receiver_has_more(n->receivers)))
            break;
        if (n->readers)
            receiver_nap();
    }
    return read_taken(n, buffer, capacity, counters, chunk);
}

/* --- waiting --------------------------------------------------------------------------------- */

bool network_busy(network *n)
{
    return n->readers ? readers_busy(n->readers) : load_is_high(&n->receivers->load);
}

uint32_t network_fds_max(const network *n)
{
    return n->readers ? 1 : n->receivers->listener_count * HX_LISTENER_FDS_MAX;
}

uint32_t network_wait_begin(network *n, struct pollfd *out, bool *ready)
{
    *ready = false;
    if (!n->readers)
        return receiver_fds(n->receivers, out);
    *ready = readers_wait_begin(n->readers);
    *out = (struct pollfd){.fd = readers_fd(n->readers), .events = POLLIN};
    return 1;
}

void network_wait_end(network *n)
{
    if (n->readers)
        readers_wait_end(n->readers);
}

/* --- counting -------------------------------------------------------------------------------- */

void network_refresh(network *n, hx_source_counters *counters)
{
    if (!n->readers)
        receiver_refresh(n->receivers, false);
    for (uint32_t i = 0; i < n->receiver_count; i++)
        counters->read_errors += atomic_exchange(&n->receivers[i].take_errors, 0);
}

void network_latency(const network *n, hx_histogram *sum)
{
    for (uint32_t r = 0; r < n->receiver_count; r++)
        hx_histogram_add(sum, &n->receivers[r].latency_us);
}

void network_ports(network *n, hx_source_port *out)
{
    for (uint32_t i = 0; i < n->input_count; i++)
        out[i] = (hx_source_port){.name = n->inputs[i].name,
                                  .transport = n->inputs[i].transport,
                                  .port = n->inputs[i].port,
                                  .plain = n->plain[i]};
    for (uint32_t r = 0; r < n->receiver_count; r++)
        receiver_add_ports(&n->receivers[r], out);
}
