#include "room.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Datagrams in a GSO buffer: the kernel's UDP_MAX_SEGMENTS. */
    GSO_DATAGRAMS = 128,
    TAKE_BYTES_MIN = 128 << 10,
};

int64_t listener_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- opening ---------------------------------------------------------------------------------- */

static const char *transport_name(hx_transport transport)
{
    return transport == HX_UDP ? "UDP" : transport == HX_TCP ? "TCP" : "TLS";
}

static const char *what_to_do(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return "; low ports need root or the capability CAP_NET_BIND_SERVICE, so grant it or "
               "choose ports from 1024 on";
    case EADDRINUSE:
        return "; another program has it, so stop that one or choose another port (ss -lntup "
               "shows which)";
    case EADDRNOTAVAIL:
        return "; give an address of this machine, or * for all of them";
    case EMFILE:
        return "; raise the limit of open files (ulimit -n)";
    default:
        return "";
    }
}

static int open_port(hx_listener *l, uint32_t i, const hx_listen_config *config,
                     const char *address, hx_error *err)
{
    struct sockaddr_storage name;
    socklen_t len;
    int rc = hx_net_address(address, config->ports[i], &name, &len, err);

    if (rc)
        return rc;
    l->ports[i].ledger = ledger_create();
    if (!l->ports[i].ledger)
        return hx_error_set(err, HX_ENOMEM, "ports: out of memory");
    rc = l->udp ? udp_open(&l->ports[i], &name, len, config)
                : clients_open(l->clients, i, &l->ports[i], &name, len, config);
    if (rc)
        return hx_error_set(err, rc, "%s port %u (%s) cannot be opened: %s%s", address,
                            config->ports[i], transport_name(config->transport), strerror(errno),
                            what_to_do(errno));
    return 0;
}

static int check_config(const hx_listen_config *config, hx_error *err)
{
    if (config->port_count < 1 || config->port_count > HX_NET_PORTS_MAX)
        return hx_error_set(err, HX_EINVAL, "%u ports: give 1 to %d", config->port_count,
                            HX_NET_PORTS_MAX);
    if (config->buffer_bytes > INT32_MAX / 2)
        return hx_error_set(err, HX_EINVAL,
                            "a receive buffer of %u bytes: at most %d bytes are possible",
                            config->buffer_bytes, INT32_MAX / 2);
    return 0;
}

static void warn_of_buffer(const hx_listener *l, const hx_listen_config *config, hx_error *warning)
{
    uint32_t want = config->buffer_bytes ? config->buffer_bytes : UDP_BUFFER_DEFAULT;
    uint32_t have = udp_buffer_bytes(&l->ports[0]);

    if (have < want)
        hx_error_set(warning, 0,
                     "receive buffers have %u bytes a port, not %u: the system allows no more, so "
                     "bursts are lost sooner; raise it (sysctl -w net.core.rmem_max=%u) or grant "
                     "the capability CAP_NET_ADMIN",
                     have, want, want);
}

static int open_all(hx_listener *l, const hx_listen_config *config, hx_error *err)
{
    const char *address = config->address ? config->address : "127.0.0.1";
    int rc;

    l->ready_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->ready_fd < 0)
        return hx_error_set(err, HX_EIO, "listener: %s%s", strerror(errno), what_to_do(errno));
    if (l->transport == HX_UDP) {
        l->udp = udp_create(config->plain);
        rc = l->udp ? 0 : hx_error_set(err, HX_ENOMEM, "receive buffers: out of memory");
    } else {
        rc = clients_create(config, &l->clients, err);
    }
    if (rc)
        return rc;
    for (uint32_t i = 0; i < l->port_count; i++) {
        rc = open_port(l, i, config, address, err);
        if (rc)
            return rc;
    }
    return 0;
}

int hx_listener_create(const hx_listen_config *config, hx_listener **out, hx_error *warning,
                       hx_error *err)
{
    hx_listener *l;
    int rc = check_config(config, err);

    *out = NULL;
    if (warning)
        warning->text[0] = '\0';
    if (rc)
        return rc;
    l = calloc(1, sizeof *l);
    if (!l)
        return hx_error_set(err, HX_ENOMEM, "listener: out of memory");
    l->transport = config->transport;
    l->port_count = config->port_count;
    l->shed = config->shed;
    l->ready_fd = -1;
    l->ports = calloc(l->port_count, sizeof *l->ports);
    if (!l->ports) {
        rc = hx_error_set(err, HX_ENOMEM, "ports: out of memory");
        goto fail;
    }
    for (uint32_t i = 0; i < l->port_count; i++)
        l->ports[i].fd = -1;
    rc = open_all(l, config, err);
    if (rc)
        goto fail;
    if (l->transport == HX_UDP)
        warn_of_buffer(l, config, warning);
    *out = l;
    return 0;
fail:
    hx_listener_destroy(l);
    return rc;
}

void hx_listener_destroy(hx_listener *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; l->ports && i < l->port_count; i++) {
        if (l->ports[i].fd >= 0)
            close(l->ports[i].fd);
        ledger_destroy(l->ports[i].ledger);
    }
    udp_destroy(l->udp);
    clients_destroy(l->clients);
    if (l->ready_fd >= 0)
        close(l->ready_fd);
    free(l->ports);
    free(l);
}

uint16_t hx_listener_port(const hx_listener *l, uint32_t port)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;

    getsockname(l->ports[port].fd, (struct sockaddr *)&name, &len);
    return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                            : ((struct sockaddr_in *)&name)->sin_port);
}

/* --- taking and waiting ----------------------------------------------------------------------- */

int hx_listener_take(hx_listener *l, hx_taken *out, uint32_t capacity, uint32_t max_bytes,
                     hx_on_mark on_mark, void *context)
{
    taking t = {.out = out, .capacity = capacity, .bytes_left = max_bytes};

    if (capacity < 1 || max_bytes < TAKE_BYTES_MIN)
        return HX_EINVAL;
    l->on_mark = on_mark;
    l->context = context;
    return l->udp ? udp_take(l, &t) : clients_take(l, &t);
}

uint32_t hx_listener_fds(const hx_listener *l, struct pollfd *out)
{
    uint32_t n = 0;

    if (l->clients)
        out[n++] = (struct pollfd){clients_fd(l->clients), POLLIN, 0};
    for (uint32_t i = 0; l->udp && i < l->port_count; i++)
        out[n++] = (struct pollfd){l->ports[i].fd, POLLIN, 0};
    if (l->udp ? udp_holds(l->udp) : clients_hold(l->clients))
        out[n++] = (struct pollfd){l->ready_fd, POLLIN, 0};
    return n;
}

void hx_listener_wait(hx_listener *l, int wake_fd, int timeout_ms)
{
    struct pollfd fds[HX_LISTENER_FDS_MAX + 1];
    uint32_t n = hx_listener_fds(l, fds);

    if (wake_fd >= 0)
        fds[n++] = (struct pollfd){wake_fd, POLLIN, 0};
    (void)poll(fds, n, timeout_ms);
}

/* --- counters and account --------------------------------------------------------------------- */

/* The kernel's own counter is exact and current; what it sends along with messages (SO_RXQ_OVFL) is
 * as old as the last one that it took. */
void listener_read_drops(net_port *p)
{
    uint32_t meminfo[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof meminfo;

    if (getsockopt(p->fd, SOL_SOCKET, SO_MEMINFO, meminfo, &len) ||
        len < (SK_MEMINFO_DROPS + 1) * sizeof meminfo[0])
        return;
    p->counters.kernel_dropped += meminfo[SK_MEMINFO_DROPS] - p->drops_seen;
    p->drops_seen = meminfo[SK_MEMINFO_DROPS];
    p->waiting = meminfo[SK_MEMINFO_RMEM_ALLOC];
    p->room = meminfo[SK_MEMINFO_RCVBUF];
}

static void refresh_drops(hx_listener *l, uint32_t i)
{
    if (l->transport != HX_UDP)
        return;
    listener_read_drops(&l->ports[i]);
    l->look_for_loss |= l->ports[i].hole || l->ports[i].drops_seen != l->ports[i].drops_told;
}

/* What the kernel dropped before a message it tells with that message. Where that was a control
 * message, or where it has dropped more and nothing waited then, no line tells until the next one
 * comes. */
bool hx_listener_lost_last(hx_listener *l, uint32_t *port)
{
    for (uint32_t i = 0; l->look_for_loss && i < l->port_count; i++) {
        net_port *p = &l->ports[i];

        if (!p->hole && (p->drops_seen == p->drops_told || p->waiting))
            continue;
        if (!p->waiting)
            p->drops_told = p->drops_seen;
        p->hole = false;
        *port = i;
        return true;
    }
    l->look_for_loss = false;
    return false;
}

static ledger_totals totals_of(hx_listener *l, uint32_t i)
{
    net_port *p = &l->ports[i];

    refresh_drops(l, i);
    return (ledger_totals){.events = p->counters.messages,
                           .bytes = p->counters.bytes,
                           .controls = p->counters.controls,
                           .shed = p->counters.shed,
                           .dropped = p->counters.kernel_dropped};
}

uint32_t listener_mark(hx_listener *l, uint32_t i, const hx_mark *mark, int64_t arrival_ns,
                       char *report)
{
    ledger_totals totals;
    hx_mark answer;
    bool asked;

    l->ports[i].counters.controls++;
    totals = totals_of(l, i);
    asked = ledger_take(l->ports[i].ledger, mark, &totals, &answer);
    if (l->on_mark)
        l->on_mark(l->context, i, mark, arrival_ns);
    return asked ? hx_mark_format(&answer, report) : 0;
}

void hx_listener_counters(hx_listener *l, uint32_t i, hx_port_counters *out)
{
    refresh_drops(l, i);
    *out = l->ports[i].counters;
}

void hx_listener_account(hx_listener *l, uint32_t i, hx_account *out)
{
    ledger_totals totals = totals_of(l, i);

    ledger_account(l->ports[i].ledger, &totals, l->ports[i].gro ? GSO_DATAGRAMS : 1, out);
}
