#include "net/outlet_tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000
#define WAIT_FIRST_NS      10000000
#define WAIT_LAST_NS       1000000000
#define LASTED_NS          1000000000 /* after so long, a connection counts as a good one */

typedef enum phase { GONE, CONNECTING, SHAKING, OPEN, TLS_CLOSED, CLOSED } phase;

struct hx_outlet {
    hx_transport transport;
    struct sockaddr_storage address;
    socklen_t address_len;
    uint32_t connect_timeout_ms, send_buffer_bytes;
    char peer[400];
    hx_outlet_tls *tls;
    int fd; /* -1: none */
    phase phase;
    short events; /* what the phase waits for */
    int64_t attempt_end_ns, next_attempt_ns, opened_ns, wait_ns;
    hx_error reason;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t deadline_ns(int timeout_ms)
{
    return now_ns() + (int64_t)timeout_ms * 1000000;
}

/* Until the socket is ready (then true) or it is time. fd -1: only the time. */
static bool wait_until(int fd, short events, int64_t end_ns)
{
    struct pollfd p = {fd, events, 0};

    for (;;) {
        int64_t left = end_ns - now_ns();
        struct timespec t = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
        int n = ppoll(&p, 1, &t, NULL);

        if (n > 0)
            return true;
        if (left <= 0 || (n < 0 && errno != EINTR))
            return false;
    }
}

/* --- connecting --------------------------------------------------------------------------------
 */

static void leave(hx_outlet *o)
{
    char rest[4096];

    if (o->tls)
        hx_outlet_tls_stop(o->tls);
    if (o->fd >= 0) {
        /* Closing with something unread sends a reset, which overtakes what is on its way. */
        for (int i = 0; i < 256 && recv(o->fd, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
            ;
        close(o->fd);
    }
    o->fd = -1;
    o->phase = GONE;
}

static void schedule_attempt(hx_outlet *o)
{
    int64_t doubled = o->wait_ns ? 2 * o->wait_ns : WAIT_FIRST_NS;

    o->wait_ns = doubled < WAIT_LAST_NS ? doubled : WAIT_LAST_NS;
    o->next_attempt_ns = now_ns() + o->wait_ns;
}

/* The receiver has gone; what it said before can still be read. */
static int lose(hx_outlet *o)
{
    if (o->phase == OPEN && now_ns() - o->opened_ns > LASTED_NS) {
        o->wait_ns = 0;
        o->next_attempt_ns = 0;
    } else if (o->phase != GONE) {
        schedule_attempt(o);
    }
    o->phase = GONE;
    return HX_EIO;
}

static int lose_saying(hx_outlet *o, int number)
{
    hx_error_set(&o->reason, HX_EIO, "%s has closed the connection%s%s", o->peer,
                 number ? ": " : "", number ? strerror(number) : "");
    return lose(o);
}

static int refuse(const hx_outlet *o, int number, hx_error *err)
{
    const char *advice = "check the address and the network's routes";

    if (number == ECONNREFUSED)
        advice = "nothing listens there; start the receiver, or correct the port";
    else if (number == EACCES || number == EPERM)
        advice = "a firewall of this machine may forbid it";
    else if (number == EMFILE || number == ENFILE)
        advice = "raise the limit of open files (ulimit -n)";
    else if (number == EADDRNOTAVAIL)
        advice = "this machine has no free port left for it (net.ipv4.ip_local_port_range)";
    return hx_error_set(err, HX_EIO, "cannot connect to %s: %s; %s", o->peer, strerror(number),
                        advice);
}

/* A socket that connects to a free port of its own machine may be given that very port, and then
 * talks to itself. */
static bool is_itself(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_len = sizeof here, there_len = sizeof there;

    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

static int begin(hx_outlet *o, hx_error *err)
{
    int one = 1, bytes = (int)o->send_buffer_bytes;

    o->reason.text[0] = '\0';
    o->attempt_end_ns = deadline_ns((int)o->connect_timeout_ms);
    o->fd = socket(o->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (o->fd < 0)
        return refuse(o, errno, err);
    setsockopt(o->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* the caller makes batches */
    if (bytes > 0)
        setsockopt(o->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (connect(o->fd, (const struct sockaddr *)&o->address, o->address_len) != 0 &&
        errno != EINPROGRESS)
        return refuse(o, errno, err);
    o->phase = CONNECTING;
    o->events = POLLOUT;
    return HX_EAGAIN;
}

static int step(hx_outlet *o, hx_error *err)
{
    int number = 0, rc;
    socklen_t len = sizeof number;

    if (o->phase == CONNECTING) {
        getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &number, &len);
        if (number == 0 && is_itself(o->fd))
            number = ECONNREFUSED;
        if (number)
            return refuse(o, number, err);
        rc = o->tls ? hx_outlet_tls_start(o->tls, o->fd, err) : 0;
        if (rc)
            return rc;
        o->phase = SHAKING;
    }
    rc = o->tls ? hx_outlet_tls_shake(o->tls, &o->events, err) : 0;
    if (rc == 0) {
        o->phase = OPEN;
        o->opened_ns = now_ns();
    }
    return rc;
}

static int time_out(const hx_outlet *o, hx_error *err)
{
    if (o->phase == SHAKING)
        return hx_error_set(err, HX_EIO,
                            "%s took the connection, but the TLS handshake was not done within %u "
                            "ms; is this a port for TLS?",
                            o->peer, o->connect_timeout_ms);
    return hx_error_set(err, HX_EIO,
                        "cannot connect to %s: no answer within %u ms; check the address, and "
                        "whether a firewall drops what is sent there",
                        o->peer, o->connect_timeout_ms);
}

/* One attempt, begun here or by an earlier call. HX_EAGAIN: not done by end_ns. */
static int attempt(hx_outlet *o, int64_t end_ns, hx_error *err)
{
    int rc = o->phase == GONE ? begin(o, err) : HX_EAGAIN;

    while (rc == HX_EAGAIN) {
        int64_t end = end_ns < o->attempt_end_ns ? end_ns : o->attempt_end_ns;

        if (wait_until(o->fd, o->events, end))
            rc = step(o, err);
        else if (now_ns() >= o->attempt_end_ns)
            rc = time_out(o, err);
        else
            return HX_EAGAIN;
    }
    if (rc) {
        leave(o);
        schedule_attempt(o);
    }
    return rc;
}

int hx_outlet_reconnect(hx_outlet *o, int timeout_ms, hx_error *err)
{
    int64_t end_ns = deadline_ns(timeout_ms);

    if (err)
        err->text[0] = '\0';
    if (o->phase > OPEN || (o->phase == GONE && o->fd >= 0))
        leave(o);
    while (o->phase != OPEN) {
        int64_t next = o->next_attempt_ns < end_ns ? o->next_attempt_ns : end_ns;

        if (o->phase == GONE) {
            wait_until(-1, 0, next);
            if (now_ns() < o->next_attempt_ns)
                return HX_EAGAIN;
        }
        if (attempt(o, end_ns, err) != 0 && now_ns() >= end_ns)
            return HX_EAGAIN;
    }
    return 0;
}

/* --- made and taken apart ----------------------------------------------------------------------
 */

/* Numbers of the address into host, and the receiver as messages call it into o->peer. */
static int name_peer(hx_outlet *o, const char *name, char *host, size_t host_room)
{
    char port[16];
    const char *open = o->address.ss_family == AF_INET6 ? "[" : "";
    const char *close_ = o->address.ss_family == AF_INET6 ? "]" : "";

    if (getnameinfo((const struct sockaddr *)&o->address, o->address_len, host,
                    (socklen_t)host_room, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return HX_EINVAL;
    host[strcspn(host, "%")] =
        '\0'; /* the interface of a link-local address is no part of a name */
    if (name && strcmp(name, host) != 0)
        snprintf(o->peer, sizeof o->peer, "%.255s (%s%.63s%s:%s)", name, open, host, close_, port);
    else
        snprintf(o->peer, sizeof o->peer, "%s%.63s%s:%s", open, host, close_, port);
    return 0;
}

static int check(const hx_outlet_config *config, hx_error *err)
{
    if (config->transport != HX_TCP && config->transport != HX_TLS)
        return hx_error_set(err, HX_EINVAL, "a stream's transport is tcp or tls");
    if (config->framing != HX_FRAMING_OCTETS && config->framing != HX_FRAMING_NEWLINE)
        return hx_error_set(err, HX_EINVAL,
                            "framing: a sender has to choose octets or newline; auto is for "
                            "receiving");
    if (!config->address || config->address_len > sizeof *config->address)
        return hx_error_set(err, HX_EINVAL, "the receiver's address is missing");
    if (config->address->ss_family != AF_INET && config->address->ss_family != AF_INET6)
        return hx_error_set(err, HX_EINVAL, "the receiver's address is neither IPv4 nor IPv6");
    return 0;
}

static int set_up(hx_outlet *o, const hx_outlet_config *config, hx_error *err)
{
    char host[NI_MAXHOST];

    o->transport = config->transport;
    memcpy(&o->address, config->address, config->address_len);
    o->address_len = config->address_len;
    o->connect_timeout_ms =
        config->connect_timeout_ms ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    o->send_buffer_bytes = config->send_buffer_bytes;
    if (name_peer(o, config->name, host, sizeof host))
        return hx_error_set(err, HX_EINVAL, "the receiver's address cannot be read");
    if (o->transport != HX_TLS)
        return 0;
    return hx_outlet_tls_create(config, config->name ? config->name : host, o->peer, &o->tls, err);
}

int hx_outlet_create(const hx_outlet_config *config, hx_outlet **out, hx_error *err)
{
    int rc = check(config, err);
    hx_outlet *o = rc ? NULL : calloc(1, sizeof *o);

    *out = NULL;
    if (!o)
        return rc ? rc : HX_ENOMEM;
    o->fd = -1;
    rc = set_up(o, config, err);
    if (rc == 0)
        rc = attempt(o, INT64_MAX, err);
    if (rc) {
        hx_outlet_destroy(o);
        return rc;
    }
    o->wait_ns = 0;
    *out = o;
    return 0;
}

void hx_outlet_destroy(hx_outlet *o)
{
    if (!o)
        return;
    leave(o);
    hx_outlet_tls_destroy(o->tls);
    free(o);
}

const char *hx_outlet_reason(const hx_outlet *o)
{
    return o->reason.text;
}

/* --- writing, reading --------------------------------------------------------------------------
 */

static int put(hx_outlet *o, const char *bytes, size_t len, size_t *written)
{
    if (o->tls)
        return hx_outlet_tls_write(o->tls, bytes, len, written, &o->events, &o->reason);
    o->events = POLLOUT;
    while (*written < len) {
        ssize_t n = send(o->fd, bytes + *written, len - *written, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            *written += (size_t)n;
        else if (errno == EAGAIN)
            return HX_EAGAIN;
        else if (errno != EINTR)
            return lose_saying(o, errno);
    }
    return 0;
}

int hx_outlet_write(hx_outlet *o, const char *bytes, size_t len, size_t *written, int timeout_ms)
{
    int64_t end_ns = 0;

    *written = 0;
    if (o->phase != OPEN)
        return HX_EIO;
    for (;;) {
        int rc = put(o, bytes, len, written);

        if (rc == HX_EIO)
            return lose(o);
        if (rc != HX_EAGAIN)
            return rc;
        if (end_ns == 0)
            end_ns = deadline_ns(timeout_ms);
        if (!wait_until(o->fd, o->events, end_ns))
            return HX_EAGAIN;
    }
}

int hx_outlet_read(hx_outlet *o, char *out, size_t room)
{
    size_t none = 0;
    ssize_t n;

    if (o->fd < 0 || o->phase == CONNECTING || o->phase == SHAKING)
        return -1;
    if (o->tls) {
        int got = hx_outlet_tls_read(o->tls, out, room, &o->reason);

        if (got < 0 || (o->phase == OPEN && got == 0 && put(o, NULL, 0, &none) == HX_EIO))
            lose(o);
        return got == 0 && o->phase != OPEN ? -1 : got;
    }
    do
        n = recv(o->fd, out, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0 || (n < 0 && errno == EAGAIN && o->phase == OPEN))
        return n > 0 ? (int)n : 0;
    if (o->phase == OPEN)
        lose_saying(o, n < 0 ? errno : 0);
    return -1;
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* 0: the receiver has closed. */
static int hear_out(hx_outlet *o)
{
    char rest[4096];

    o->events = POLLIN;
    for (int i = 0; i < 64; i++) { /* then the time is looked at again */
        ssize_t n = recv(o->fd, rest, sizeof rest, MSG_DONTWAIT);

        if (n == 0)
            return 0;
        if (n < 0 && errno == EAGAIN)
            return HX_EAGAIN;
        if (n < 0 && errno != EINTR)
            return lose_saying(o, errno);
    }
    return HX_EAGAIN;
}

static int close_step(hx_outlet *o)
{
    if (o->phase == OPEN) {
        int rc = o->tls ? hx_outlet_tls_close(o->tls, &o->events, &o->reason) : 0;

        if (rc)
            return rc;
        o->phase = TLS_CLOSED;
    }
    if (o->phase == TLS_CLOSED) {
        if (shutdown(o->fd, SHUT_WR) != 0)
            return lose_saying(o, errno);
        o->phase = CLOSED;
    }
    return hear_out(o);
}

int hx_outlet_finish(hx_outlet *o, int timeout_ms)
{
    int64_t end_ns = deadline_ns(timeout_ms);

    if (o->phase < OPEN)
        return HX_EIO;
    for (;;) {
        int rc = close_step(o);

        if (rc == HX_EIO)
            return lose(o);
        if (rc != HX_EAGAIN)
            return rc;
        if (now_ns() >= end_ns || !wait_until(o->fd, o->events, end_ns))
            return HX_EAGAIN;
    }
}

uint32_t hx_frame_prefix(uint32_t message_len, char out[8])
{
    char digits[8];
    uint32_t n = 0, i = 0;

    if (message_len > 9999999)
        return 0;
    do
        digits[n++] = (char)('0' + message_len % 10);
    while (message_len /= 10);
    while (n)
        out[i++] = digits[--n];
    out[i++] = ' ';
    return i;
}
