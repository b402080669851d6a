#include "clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_ROOM = 16 << 10,
    EVENTS_MAX = 64,
    ACCEPT_MAX = 64, /* new connections of a port before others have their turn */
    HANDSHAKE_MS = 10000,
    BACKLOG = 1024,
    /* What an event is of: below it the number of a client, from it on a port. */
    EVENT_PORT = HX_NET_CLIENTS_MAX,
    EVENT_TIMER = EVENT_PORT + HX_NET_PORTS_MAX,
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int watch(clients *c, int fd, uint32_t events, uint32_t what, int operation)
{
    struct epoll_event event = {.events = events, .data.u32 = what};

    return epoll_ctl(c->epoll_fd, operation, fd, &event);
}

/* --- opening ---------------------------------------------------------------------------------- */

int clients_create(const hx_listen_config *config, clients **out, hx_error *err)
{
    clients *c = calloc(1, sizeof *c);
    int rc = 0;

    *out = NULL;
    if (!c)
        return hx_error_set(err, HX_ENOMEM, "connections: out of memory");
    c->framing = config->framing;
    c->handshake_ms = config->handshake_ms ? config->handshake_ms : HANDSHAKE_MS;
    c->free_count = HX_NET_CLIENTS_MAX;
    for (uint32_t i = 0; i < HX_NET_CLIENTS_MAX; i++)
        c->free_slots[i] = (uint16_t)(HX_NET_CLIENTS_MAX - 1 - i);
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    c->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (c->epoll_fd < 0 || c->timer_fd < 0 || c->spare_fd < 0 ||
        watch(c, c->timer_fd, EPOLLIN, EVENT_TIMER, EPOLL_CTL_ADD))
        rc = hx_error_set(err, HX_EIO, "connections cannot be waited for: %s", strerror(errno));
    if (!rc && config->transport == HX_TLS)
        rc = tls_create(config, &c->tls, err);
    if (rc)
        clients_destroy(c);
    else
        *out = c;
    return rc;
}

int clients_open(clients *c, uint32_t i, net_port *p, const struct sockaddr_storage *address,
                 socklen_t len, const hx_listen_config *config)
{
    int one = 1, none = 0;

    p->fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0)
        return HX_EIO;
    if (address->ss_family == AF_INET6)
        setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &none, sizeof none);
    setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (config->reuse_port && setsockopt(p->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one))
        return HX_EIO;
    if (bind(p->fd, (const struct sockaddr *)address, len) || listen(p->fd, BACKLOG) ||
        watch(c, p->fd, EPOLLIN, EVENT_PORT + i, EPOLL_CTL_ADD))
        return HX_EIO;
    return 0;
}

/* --- connections come and go ------------------------------------------------------------------ */

void clients_enqueue(clients *c, client *k)
{
    if (k->queued)
        return;
    k->queued = true;
    c->queue[(c->queue_at + c->queue_len++) % HX_NET_CLIENTS_MAX] = (uint16_t)k->number;
}

client *clients_dequeue(clients *c)
{
    client *k = c->slots[c->queue[c->queue_at]];

    c->queue_at = (c->queue_at + 1) % HX_NET_CLIENTS_MAX;
    c->queue_len--;
    k->queued = false;
    return k;
}

void clients_watch(clients *c, client *k, uint32_t events)
{
    watch(c, k->fd, events, k->number, EPOLL_CTL_MOD);
}

static void set_timer(clients *c)
{
    struct itimerspec when = {{0, 0}, {0, 0}};
    int64_t at = c->shaking_first ? c->shaking_first->deadline_ms : 0;

    when.it_value = (struct timespec){at / 1000, at % 1000 * 1000000};
    timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void begin_shaking(clients *c, client *k)
{
    k->shaking = true;
    k->deadline_ms = now_ms() + c->handshake_ms;
    k->previous = c->shaking_last;
    if (c->shaking_last)
        c->shaking_last->next = k;
    else
        c->shaking_first = k;
    c->shaking_last = k;
    if (c->shaking_first == k)
        set_timer(c);
}

void clients_end_shaking(clients *c, client *k)
{
    bool first = c->shaking_first == k;

    if (!k->shaking)
        return;
    k->shaking = false;
    *(k->previous ? &k->previous->next : &c->shaking_first) = k->next;
    *(k->next ? &k->next->previous : &c->shaking_last) = k->previous;
    if (first)
        set_timer(c);
}

static void expire_shaking(clients *c)
{
    int64_t now = now_ms();

    for (client *k = c->shaking_first; k && k->deadline_ms <= now; k = k->next) {
        k->ended = true;
        clients_enqueue(c, k);
    }
}

static void free_client(client *k)
{
    if (k)
        free(k->bytes);
    free(k);
}

void clients_drop(clients *c, client *k)
{
    clients_end_shaking(c, k);
    tls_close(k->tls);
    close(k->fd);
    c->slots[k->number] = NULL;
    c->free_slots[c->free_count++] = (uint16_t)k->number;
    k->next_gone = c->gone;
    c->gone = k;
}

void clients_free_gone(clients *c)
{
    while (c->gone) {
        client *k = c->gone;
        c->gone = k->next_gone;
        free_client(k);
    }
}

void clients_destroy(clients *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < HX_NET_CLIENTS_MAX; i++)
        if (c->slots[i])
            clients_drop(c, c->slots[i]);
    clients_free_gone(c);
    tls_destroy(c->tls);
    if (c->epoll_fd >= 0)
        close(c->epoll_fd);
    if (c->timer_fd >= 0)
        close(c->timer_fd);
    if (c->spare_fd >= 0)
        close(c->spare_fd);
    free(c);
}

/* False where there is no room for it. */
static bool admit(clients *c, uint32_t port, int fd)
{
    client *k = c->free_count ? calloc(1, sizeof *k) : NULL;
    int one = 1;

    if (!k)
        return false;
    *k = (client){.fd = fd,
                  .number = c->free_slots[c->free_count - 1],
                  .port = port,
                  .framing = {.kind = c->framing},
                  .bytes = malloc(FIRST_ROOM),
                  .room = FIRST_ROOM,
                  .tls = c->tls ? tls_open(c->tls, fd) : NULL};
    /* A peer that vanished must not hold its place for ever. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (!k->bytes || (c->tls && !k->tls) || watch(c, fd, EPOLLIN, k->number, EPOLL_CTL_ADD)) {
        tls_close(k->tls);
        free_client(k);
        return false;
    }
    c->free_count--;
    c->slots[k->number] = k;
    if (k->tls)
        begin_shaking(c, k);
    return true;
}

/* Without a descriptor for it a connection would stay in the kernel's queue and be reported for
 * ever. */
static int accept_to_refuse(clients *c, int listening)
{
    int fd;

    close(c->spare_fd);
    fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    c->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd;
}

static void accept_all(clients *c, uint32_t i, net_port *p)
{
    for (int n = 0; n < ACCEPT_MAX; n++) {
        int fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0 && admit(c, i, fd)) {
            p->counters.clients++;
        } else if (fd >= 0) {
            close(fd);
            p->counters.refused++;
        } else if (errno == EMFILE || errno == ENFILE) {
            if (accept_to_refuse(c, p->fd) < 0)
                return;
            p->counters.refused++;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

void clients_look(hx_listener *l)
{
    clients *c = l->clients;
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(c->epoll_fd, events, EVENTS_MAX, 0);

    for (int i = 0; i < n; i++) {
        uint32_t what = events[i].data.u32;

        if (what == EVENT_TIMER)
            expire_shaking(c);
        else if (what >= EVENT_PORT)
            accept_all(c, what - EVENT_PORT, &l->ports[what - EVENT_PORT]);
        else if (c->slots[what])
            clients_enqueue(c, c->slots[what]);
    }
}

bool clients_hold(const clients *c)
{
    return c->queue_len > 0;
}

int clients_fd(const clients *c)
{
    return c->epoll_fd;
}
