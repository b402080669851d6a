/* How fast one thread takes datagrams: a thread sends equal messages, 64 a call (UDP_SEGMENT), and
 * the listener takes them, as whole buffers and as any other receiver does. Processor time of the
 * receiving thread alone; what the sender was too fast for is in the loss.
 *
 *   bench-net [SECONDS [MESSAGE_BYTES [PORTS [SEGMENTS]]]]
 */
#include <haechi/net.h>

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 64, TAKE_BYTES = 4 << 20, PAUSE_NS = 200000 };

typedef struct sending {
    int fds[HX_NET_PORTS_MAX];
    uint32_t ports, bytes, segments;
    double seconds;
    uint64_t sent;
    atomic_bool done;
} sending;

static double clock_of(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* one core only: both share it */
}

static void *send_all(void *arg)
{
    sending *s = arg;
    char *data = malloc((size_t)s->bytes * s->segments);
    double until = clock_of(CLOCK_MONOTONIC) + s->seconds;
    int stride = (int)s->bytes;

    pin(0);
    memset(data, 'x', (size_t)s->bytes * s->segments);
    for (uint32_t i = 0; i < s->ports; i++)
        if (s->segments > 1)
            setsockopt(s->fds[i], SOL_UDP, UDP_SEGMENT, &stride, sizeof stride);
    for (uint32_t at = 0, turn = 0; clock_of(CLOCK_MONOTONIC) < until; turn++) {
        /* A storm stays with a port for a while too. */
        if (send(s->fds[at], data, (size_t)s->bytes * s->segments, 0) > 0)
            s->sent += s->segments;
        if (turn % 64 == 63)
            at = (at + 1) % s->ports;
    }
    free(data);
    atomic_store(&s->done, true);
    return NULL;
}

static void connect_all(sending *s, hx_listener *l)
{
    for (uint32_t i = 0; i < s->ports; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(hx_listener_port(l, i)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        s->fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (connect(s->fds[i], (struct sockaddr *)&to, sizeof to)) {
            perror("connect");
            exit(1);
        }
    }
}

static uint64_t count(const hx_taken *runs, int n)
{
    uint64_t messages = 0;

    for (int i = 0; i < n; i++)
        messages += runs[i].stride ? (runs[i].bytes + runs[i].stride - 1) / runs[i].stride : 1;
    return messages;
}

static void measure(sending *s, bool plain)
{
    static const uint16_t ports[HX_NET_PORTS_MAX];
    hx_listen_config config = {
        .ports = ports, .port_count = s->ports, .buffer_bytes = 16 << 20, .plain = plain};
    hx_taken runs[RUNS];
    hx_listener *l;
    hx_error err, warning;
    pthread_t thread;
    uint64_t got = 0, dropped = 0;
    double cpu;

    if (hx_listener_create(&config, &l, &warning, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    connect_all(s, l);
    s->sent = 0;
    s->done = false;
    pthread_create(&thread, NULL, send_all, s);
    pin(1);
    cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
    for (;;) {
        bool last = atomic_load(&s->done);
        int n = hx_listener_take(l, runs, RUNS, TAKE_BYTES, NULL, NULL);

        got += count(runs, n);
        if (n > 0)
            continue;
        if (last)
            break;
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
    }
    cpu = clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < s->ports; i++) {
        hx_port_counters counters;
        hx_listener_counters(l, i, &counters);
        dropped += counters.kernel_dropped;
        close(s->fds[i]);
    }
    printf("%-5s %10.0f messages/s  %6.2f ns/message  lost %.4f  (%llu %s dropped)\n",
           plain ? "plain" : "gro", (double)got / s->seconds, cpu * 1e9 / (double)got,
           1 - (double)got / (double)s->sent, (unsigned long long)dropped,
           plain ? "datagrams" : "buffers");
    hx_listener_destroy(l);
}

int main(int argc, char **argv)
{
    sending s = {.seconds = argc > 1 ? atof(argv[1]) : 2,
                 .bytes = argc > 2 ? (uint32_t)atoi(argv[2]) : 150,
                 .ports = argc > 3 ? (uint32_t)atoi(argv[3]) : 40,
                 .segments = argc > 4 ? (uint32_t)atoi(argv[4]) : 64};

    if (s.ports < 1 || s.ports > HX_NET_PORTS_MAX || s.bytes < 1 || s.segments < 1 ||
        s.bytes * s.segments > 65000) {
        fprintf(stderr, "usage: bench-net [SECONDS [MESSAGE_BYTES [PORTS [SEGMENTS]]]]\n");
        return 2;
    }
    measure(&s, false);
    measure(&s, true);
    return 0;
}
