/* What the files of this room share: a listener, its ports, and the two ways to receive. */
#ifndef HAECHI_NET_ROOM_H
#define HAECHI_NET_ROOM_H

#include "ledger.h"

#include <haechi/net.h>

typedef struct net_port {
    int fd;
    bool gro;            /* the kernel hands over, and drops, whole GSO buffers */
    uint32_t rest;       /* rounds that pass it over: it had nothing when it was asked last */
    uint32_t drops_seen; /* of the kernel's counter, which has 32 bits */
    uint32_t drops_told; /* of the same: before the newest message that was taken */
    bool hole;           /* some of them are still to be told, with the next messages */
    uint32_t waiting; /* bytes in its queue when the counter was read, as the kernel books them */
    uint32_t room;    /* for so many */
    uint32_t drops_shed; /* of the kernel's counter: when its queue was last looked at or let go */
    int64_t looked_ns;
    hx_port_counters counters;
    ledger *ledger;
} net_port;

typedef struct udp udp;
typedef struct clients clients;

struct hx_listener {
    hx_transport transport;
    uint32_t port_count;
    net_port *ports;
    udp *udp;         /* UDP */
    clients *clients; /* TCP, TLS */
    /* Always readable: among the descriptors to wait on while the listener itself holds messages.
     */
    int ready_fd;
    bool shed;          /* hx_listen_config */
    bool overflowed;    /* a port's queue has, and nothing was let go since */
    bool look_for_loss; /* a port's counter is ahead of what its messages told */
    hx_on_mark on_mark; /* of the call that is running */
    void *context;
};

/* What a call fills. */
typedef struct taking {
    hx_taken *out;
    uint32_t count, capacity;
    uint32_t bytes_left;
} taking;

/* --- listener.c */

/* Counts a mark and tells of it. The length of the report to send back, in report (HX_MARK_MAX
 * bytes); 0: none. */
uint32_t listener_mark(hx_listener *l, uint32_t port, const hx_mark *mark, int64_t arrival_ns,
                       char *report);
int64_t listener_now_ns(void); /* since 1970 */
/* Asks the kernel what it dropped at the port and what waits there. */
void listener_read_drops(net_port *p);

/* --- udp.c */

enum { UDP_BUFFER_DEFAULT = 8 << 20 };

udp *udp_create(bool plain); /* NULL: out of memory */
void udp_destroy(udp *u);
/* Opens ports[i] on an address: buffer and GRO. HX_EIO with errno. */
int udp_open(net_port *p, const struct sockaddr_storage *address, socklen_t len,
             const hx_listen_config *config);
/* The socket's receive buffer, as its owner asks for it: the kernel books twice as much. */
uint32_t udp_buffer_bytes(const net_port *p);
int udp_take(hx_listener *l, taking *t);
bool udp_holds(const udp *u); /* taken from the kernel and not handed out yet */

/* --- clients.c, stream.c */

/* HX_EINVAL with a sentence in err where the TLS files do not do; HX_ENOMEM, HX_EIO. */
int clients_create(const hx_listen_config *config, clients **out, hx_error *err);
void clients_destroy(clients *c);
/* Opens ports[i] on an address. HX_EIO with errno. */
int clients_open(clients *c, uint32_t i, net_port *p, const struct sockaddr_storage *address,
                 socklen_t len, const hx_listen_config *config);
int clients_take(hx_listener *l, taking *t);
bool clients_hold(const clients *c); /* something read and not handed out */
int clients_fd(const clients *c);    /* readable when a socket is ready */

#endif
