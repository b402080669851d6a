/* net: syslog from and to the network. UDP with one message a datagram (RFC 5426), TCP with octet
 * counting or newlines (RFC 6587), TLS over TCP (RFC 5425).
 *
 * A listener owns its sockets and the memory that messages lie in; one thread uses a listener.
 * For UDP that memory is 1 MiB (4 MiB where plain), for TCP 16 to 64 KiB a connection, so 64 MiB at
 * most, and with TLS as much again at worst.
 * Workers that share the work have a listener each: on ports of their own, or on the same UDP ports
 * with reuse_port, where the kernel keeps a sender's datagrams on one of them, in order.
 */
#ifndef HAECHI_NET_H
#define HAECHI_NET_H

#include <haechi/error.h>
#include <haechi/mark.h>
#include <haechi/slice.h>

#include <netinet/in.h>

#define HX_NET_PORTS_MAX   1024
#define HX_NET_MESSAGE_MAX 65535 /* bytes of one message; what is longer is cut and counted */
#define HX_NET_CLIENTS_MAX 1024  /* connections at once, of a listener; the next one is refused */

/* --- names -------------------------------------------------------------------------------------
 */

/* An IPv4 or IPv6 address, or a name to look up. "*" is every address. HX_EINVAL, HX_ENOTFOUND. */
int hx_net_address(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len,
                   hx_error *err);

/* "514", "514-553", "514,601,6000-6003": ascending order is kept as written, doubles are refused.
 * ports has HX_NET_PORTS_MAX places. HX_EINVAL with a sentence in err. */
int hx_net_ports(const char *text, uint16_t *ports, uint32_t *count, hx_error *err);

typedef enum hx_transport { HX_UDP, HX_TCP, HX_TLS } hx_transport;
typedef enum hx_framing { HX_FRAMING_AUTO, HX_FRAMING_OCTETS, HX_FRAMING_NEWLINE } hx_framing;

/* --- listening ---------------------------------------------------------------------------------
 */

typedef struct hx_listen_config {
    hx_transport transport;
    const char *address; /* to bind to; NULL: 127.0.0.1 */
    const uint16_t *ports;
    uint32_t port_count;
    uint32_t buffer_bytes; /* receive buffer of a UDP socket; 0: 8 MiB, or what the system allows */
    bool plain;            /* UDP: without UDP_GRO, as any other receiver takes datagrams */
    bool reuse_port;       /* several listeners on the same ports */
    /* UDP: once a port's queue has overflowed, most of what waits there is taken and let go at
     * once, oldest first. Loss then comes in few large pieces: messages that belong together are
     * lost together, where a queue that stays full loses a little of everything, and what is taken
     * is no older than it has to be. False: what waits is taken, and the kernel drops what is new.
     */
    bool shed;
    hx_framing framing; /* TCP, TLS; AUTO: by a connection's first byte */
    /* TLS: PEM files. client_ca: client certificates are asked for and checked; NULL: not asked. */
    const char *certificate, *key, *client_ca;
    uint32_t handshake_ms; /* TLS: how long a client may take to agree; 0: 10,000 */
} hx_listen_config;

typedef struct hx_port_counters {
    uint64_t messages, bytes; /* taken, control messages not among them; bytes without framing */
    uint64_t controls;
    /* What the kernel says that it dropped for want of room, by the socket's own counter
     * (SO_MEMINFO). It counts buffers: a datagram each where the listener is plain, a GSO buffer of
     * up to 128 datagrams where it is not. */
    uint64_t kernel_dropped;
    uint64_t shed;        /* messages taken and let go: hx_listen_config.shed */
    uint64_t truncated;   /* longer than HX_NET_MESSAGE_MAX, or a counted one that its connection's
                             end cut short */
    uint64_t empty;       /* no bytes: no message */
    uint64_t bad_framing; /* TCP: a count was expected and did not come; the connection is closed */
    uint64_t clients, refused, tls_failed; /* TCP: connections taken, refused, not agreed on */
    uint64_t unanswered; /* control messages whose report could not be sent at once */
} hx_port_counters;

/* What a call took, of one port. Messages lie in the listener's memory until the next call. */
typedef struct hx_taken {
    uint32_t port; /* index into the configuration's ports */
    /* Messages that follow each other in memory: `bytes` in steps of `stride`, the last one of the
     * rest. stride 0: one message. Never empty: what has no bytes is counted, not handed out. */
    const char *data;
    uint32_t bytes, stride;
    bool hole; /* UDP: messages between these and the port's last ones were dropped or let go */
} hx_taken;

typedef struct hx_listener hx_listener;

/* Binds and listens. HX_EINVAL or HX_EIO with a sentence in err that names address and port and,
 * where a privilege is missing, says so. *warning (may be NULL) gets a sentence where the system
 * gave less buffer than was asked for; else it is empty. */
int hx_listener_create(const hx_listen_config *config, hx_listener **out, hx_error *warning,
                       hx_error *err);
void hx_listener_destroy(hx_listener *listener);

/* The number of port i: where the configuration says 0, the one that the kernel chose. */
uint16_t hx_listener_port(const hx_listener *listener, uint32_t port);

/* Takes what waits, ports in turn, at most `capacity` runs (at least 1) and at most max_bytes (at
 * least 128 KiB); never waits. Returns the number of runs, 0 where there is nothing, or a negative
 * error. Control messages are cut out of the runs and answered: on_mark sees each (NULL: nobody).
 * arrival_ns (CLOCK_REALTIME) is when the call took them. */
typedef void (*hx_on_mark)(void *context, uint32_t port, const hx_mark *mark, int64_t arrival_ns);
int hx_listener_take(hx_listener *listener, hx_taken *out, uint32_t capacity, uint32_t max_bytes,
                     hx_on_mark on_mark, void *context);

/* Waits until there is something to take, wake_fd (-1: none) becomes readable, or timeout_ms have
 * passed (-1: for ever). A receiver under load does not call this: it sleeps a fraction of a
 * millisecond between two rounds, since a waiting receiver costs the sender a wake-up for every
 * buffer (docs/performance.md). */
void hx_listener_wait(hx_listener *listener, int wake_fd, int timeout_ms);

/* What hx_listener_wait waits on, for a caller that waits for more than one listener in one poll:
 * at most HX_LISTENER_FDS_MAX descriptors with their events. Returns how many it wrote. They hold
 * until the next take, which may accept and close connections. */
#define HX_LISTENER_FDS_MAX (HX_NET_PORTS_MAX + HX_NET_CLIENTS_MAX + 1)
struct pollfd;
uint32_t hx_listener_fds(const hx_listener *listener, struct pollfd *out);

/* A port whose newest messages were dropped or let go with none behind them that could tell
 * (hx_taken.hole), as the counters knew when they were last read; each such loss is told once.
 * False: there is none.
 */
bool hx_listener_lost_last(hx_listener *listener, uint32_t *port);

/* Of port i; counters of the kernel are read anew. From the listener's thread. */
void hx_listener_counters(hx_listener *listener, uint32_t port, hx_port_counters *out);

/* --- account -----------------------------------------------------------------------------------
 */

/* Where a port's messages went, from the end marks of every stream that was sent to it. */
typedef struct hx_account {
    uint64_t sent, sent_bytes; /* by the marks */
    uint64_t sent_controls;
    uint64_t received, received_bytes, received_controls;
    /* sent + sent_controls = received + received_controls + shed + kernel_dropped + lost_elsewhere,
     * exactly. Where the kernel counts buffers, what is missing is its doing as far as its buffers
     * can hold it (128 datagrams each). */
    uint64_t shed, kernel_dropped, lost_elsewhere;
    uint32_t streams, streams_ended; /* of which an end mark came */
    /* Every stream seen has ended and the equation holds. Not where more came than was sent: then
     * somebody else sends too. */
    bool closed;
} hx_account;

/* Of port i, as it stands. From the listener's thread. Listeners that share a port by reuse_port
 * have a part of its account each: they add up. At most 4096 streams that have not ended are
 * followed; a control message of a further one counts as a stream that never ends. */
void hx_listener_account(hx_listener *listener, uint32_t port, hx_account *out);
/* sum starts as zeroes. */
void hx_account_add(hx_account *sum, const hx_account *part);

#endif
