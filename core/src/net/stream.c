#include "framing.h"
#include "room.h"
#include "tls.h"

#include <haechi/outlet.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_ROOM = 16 << 10,
    ROOM_MAX = FRAMING_ROOM,
    EVENTS_MAX = 64,
    ACCEPT_MAX = 64, /* new connections of a port before others have their turn */
    HANDSHAKE_MS = 10000,
    BACKLOG = 1024,
    /* What an event is of: below it the number of a client, from it on a port. */
    EVENT_PORT = HX_NET_CLIENTS_MAX,
    EVENT_TIMER = EVENT_PORT + HX_NET_PORTS_MAX,
};

typedef struct client {
    int fd;
    uint32_t number, port;
    framing framing;
    tls_link *tls; /* NULL: plain TCP */
    bool shaking, queued, ended;
    bool full; /* the last read filled the buffer: a larger one saves calls */
    char *bytes;
    uint32_t from, to, room; /* unused bytes within the buffer */
    char report[HX_MARK_MAX + 8];
    uint32_t report_from, report_to; /* of it, still to be written */
    int64_t deadline_ms;             /* while shaking */
    struct client *previous, *next;  /* shaking, in the order of their deadlines */
    struct client *next_gone;
} client;

struct clients {
    int epoll_fd, timer_fd;
    int spare_fd; /* given up for a moment to refuse a connection when no descriptor is left */
    hx_framing framing;
    tls *tls;
    uint32_t handshake_ms;
    client *slots[HX_NET_CLIENTS_MAX];
    uint16_t free_slots[HX_NET_CLIENTS_MAX];
    uint32_t free_count;
    uint16_t queue[HX_NET_CLIENTS_MAX]; /* to be served, a ring */
    uint32_t queue_at, queue_len;
    client *shaking_first, *shaking_last;
    client *gone; /* closed, but their messages may be in the caller's hands until the next call */
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

static void enqueue(clients *c, client *k)
{
    if (k->queued)
        return;
    k->queued = true;
    c->queue[(c->queue_at + c->queue_len++) % HX_NET_CLIENTS_MAX] = (uint16_t)k->number;
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

static void end_shaking(clients *c, client *k)
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
        enqueue(c, k);
    }
}

static void free_client(client *k)
{
    if (k)
        free(k->bytes);
    free(k);
}

/* The connection ends now; what lies in its buffer lives until the next call. */
static void drop(clients *c, client *k)
{
    end_shaking(c, k);
    tls_close(k->tls);
    close(k->fd);
    c->slots[k->number] = NULL;
    c->free_slots[c->free_count++] = (uint16_t)k->number;
    k->next_gone = c->gone;
    c->gone = k;
}

static void free_gone(clients *c)
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
            drop(c, c->slots[i]);
    free_gone(c);
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

static void look(hx_listener *l)
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
            enqueue(c, c->slots[what]);
    }
}

/* --- reports ---------------------------------------------------------------------------------- */

static int write_some(client *k, const char *bytes, uint32_t len)
{
    ssize_t n;

    if (k->tls)
        return tls_write(k->tls, bytes, len);
    n = send(k->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n >= 0 ? (int)n : errno == EAGAIN || errno == EINTR ? HX_EAGAIN : HX_EIO;
}

/* A report that has been begun must be finished, or the stream's framing is lost. False: not yet.
 */
static bool flush_report(client *k)
{
    int n;

    if (k->report_from == k->report_to)
        return true;
    n = write_some(k, k->report + k->report_from, k->report_to - k->report_from);
    if (n > 0)
        k->report_from += (uint32_t)n;
    return k->report_from == k->report_to;
}

/* In the framing that the client uses itself. */
static void frame_report(client *k, const char *report, uint32_t len)
{
    bool newline = k->framing.kind == HX_FRAMING_NEWLINE;

    k->report_from = 0;
    k->report_to = newline ? 0 : hx_frame_prefix(len, k->report);
    memcpy(k->report + k->report_to, report, len);
    k->report_to += len;
    if (newline)
        k->report[k->report_to++] = '\n';
}

static void answer(hx_listener *l, client *k, const hx_mark *mark)
{
    hx_port_counters *counters = &l->ports[k->port].counters;
    char report[HX_MARK_MAX];
    uint32_t len = listener_mark(l, k->port, mark, listener_now_ns(), report);

    if (!len)
        return;
    if (!flush_report(k)) {
        counters->unanswered++;
        return;
    }
    frame_report(k, report, len);
    /* TLS has begun it, even where the socket took nothing. */
    if (!flush_report(k) && k->report_from == 0 && !k->tls) {
        k->report_to = 0;
        counters->unanswered++;
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static void hand_out(hx_listener *l, client *k, hx_slice message, taking *t)
{
    hx_port_counters *counters = &l->ports[k->port].counters;
    hx_mark mark;

    if (message.len == 0) {
        counters->empty++;
        return;
    }
    if (hx_mark_maybe(message.ptr, message.len) && hx_mark_parse(message, &mark) != HX_MARK_NONE) {
        answer(l, k, &mark);
        return;
    }
    counters->messages++;
    counters->bytes += message.len;
    t->out[t->count++] =
        (hx_taken){.port = k->port, .data = message.ptr, .bytes = message.len, .stride = 0};
    t->bytes_left -= message.len;
}

static bool has_room(const taking *t)
{
    return t->count < t->capacity && t->bytes_left >= HX_NET_MESSAGE_MAX;
}

/* The whole messages in the buffer. False where there was no room for all of them. */
static bool hand_out_all(hx_listener *l, client *k, taking *t)
{
    hx_port_counters *counters = &l->ports[k->port].counters;
    frame_result result;
    frame f;

    do {
        if (!has_room(t))
            return false;
        result = framing_next(&k->framing, k->bytes + k->from, k->to - k->from, k->ended, &f);
        k->from += f.used;
        if (result == FRAME_MESSAGE) {
            counters->truncated += f.cut;
            hand_out(l, k, f.message, t);
        }
    } while (result == FRAME_MESSAGE);
    if (result == FRAME_BAD) {
        counters->bad_framing++;
        k->ended = true;
        k->from = k->to;
    }
    return true;
}

/* Room behind what is left of the last read; false: out of memory. */
static bool make_room(client *k)
{
    uint32_t room = k->room * 2 < ROOM_MAX ? k->room * 2 : ROOM_MAX;
    char *grown;

    if (k->from) {
        memmove(k->bytes, k->bytes + k->from, k->to - k->from);
        k->to -= k->from;
        k->from = 0;
    }
    if (!k->full || k->room == ROOM_MAX)
        return true;
    grown = realloc(k->bytes, room);
    if (grown) {
        k->bytes = grown;
        k->room = room;
    }
    return grown || k->to < k->room;
}

static int read_some(client *k)
{
    ssize_t n;

    if (k->tls)
        return tls_read(k->tls, k->bytes + k->to, k->room - k->to);
    n = recv(k->fd, k->bytes + k->to, k->room - k->to, MSG_DONTWAIT);
    return n >= 0 ? (int)n : errno == EAGAIN || errno == EINTR ? HX_EAGAIN : HX_EIO;
}

/* A socket is read once, TLS until it has nothing or the buffer is full: epoll does not know what
 * OpenSSL holds. */
static void fill(clients *c, client *k)
{
    int n;

    if (!make_room(k)) {
        k->ended = true;
        return;
    }
    do {
        n = read_some(k);
        if (n > 0)
            k->to += (uint32_t)n;
    } while (k->tls && n > 0 && k->to < k->room);
    k->ended = n == 0 || n == HX_EIO;
    k->full = k->to == k->room;
    if (k->tls && k->full)
        enqueue(c, k);
}

/* False while there is nothing to read yet. */
static bool shake(hx_listener *l, client *k)
{
    bool to_write = false;
    int rc = k->ended ? HX_EIO : tls_shake(k->tls, &to_write);

    if (rc == HX_EAGAIN) {
        watch(l->clients, k->fd, to_write ? EPOLLOUT : EPOLLIN, k->number, EPOLL_CTL_MOD);
        return false;
    }
    if (rc) {
        l->ports[k->port].counters.tls_failed++;
        drop(l->clients, k);
        return false;
    }
    end_shaking(l->clients, k);
    watch(l->clients, k->fd, EPOLLIN, k->number, EPOLL_CTL_MOD);
    return true;
}

static void serve(hx_listener *l, client *k, taking *t)
{
    uint32_t before = t->count;

    if (k->shaking && !shake(l, k))
        return;
    flush_report(k);
    if (!hand_out_all(l, k, t)) {
        enqueue(l->clients, k);
        return;
    }
    /* What was handed out just now must stay where it is. */
    if (t->count > before && !k->ended) {
        enqueue(l->clients, k);
        return;
    }
    if (!k->ended) {
        fill(l->clients, k);
        if (!hand_out_all(l, k, t)) {
            enqueue(l->clients, k);
            return;
        }
    }
    if (k->ended && !k->queued)
        drop(l->clients, k);
}

int clients_take(hx_listener *l, taking *t)
{
    clients *c = l->clients;
    uint32_t turns;

    free_gone(c);
    look(l);
    for (turns = c->queue_len; turns && has_room(t); turns--) {
        client *k = c->slots[c->queue[c->queue_at]];

        c->queue_at = (c->queue_at + 1) % HX_NET_CLIENTS_MAX;
        c->queue_len--;
        k->queued = false;
        serve(l, k, t);
    }
    return (int)t->count;
}

bool clients_hold(const clients *c)
{
    return c->queue_len > 0;
}

int clients_fd(const clients *c)
{
    return c->epoll_fd;
}
