/* What one thread receives: its listeners, served in turn, as chunks of lines. */
#ifndef HAECHI_SOURCE_RECEIVER_H
#define HAECHI_SOURCE_RECEIVER_H

#include "line.h"

#include <haechi/source.h>
#include <haechi/stats.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* Inputs of all listeners, numbered through: one for each port. */
typedef struct net_input {
    char *name; /* "udp:127.0.0.1:514" */
    uint64_t identity;
    hx_transport transport;
    uint16_t port;
} net_input;

/* How much comes, to decide how to wait: asleep for a moment, or in a poll. A storm's receiver that
 * polls is woken for every message, at the sender's cost too (hx_listener_wait); one that naps
 * while little comes works for nothing. */
typedef struct load {
    uint64_t since_ns, bytes; /* of the window that is measured */
    bool high;                /* the window before it */
} load;

bool load_is_high(load *l);

#define RECEIVER_RUNS 1024

typedef struct receiver {
    const net_input *inputs; /* of the source */
    uint32_t input_count;
    hx_listener **listeners; /* [listener_count]; those of other receivers are NULL */
    uint32_t *first_input;   /* [listener_count] */
    uint32_t *port_count;
    uint32_t listener_count;
    uint32_t turn; /* whose messages come next */
    bool behind;   /* hx_source_behind */
    bool closed;   /* nothing more is taken; what was is still handed out */
    lines_copier *copy;
    struct pollfd *fds; /* room for every descriptor, and one more */

    hx_taken runs[RECEIVER_RUNS]; /* what the last take took, and is not yet handed out */
    uint32_t run_at, run_count, run_listener;
    uint32_t run_used; /* bytes of runs[run_at] that are handed out */
    bool hole_told;    /* of runs[run_at] */
    int64_t taken_us;
    line_counts *counts;     /* [input_count] */
    hx_histogram latency_us; /* of a storm's probes: from when an event was due to its taking */
    _Atomic uint64_t take_errors;
    load load;
    uint64_t refreshed_ns;

    pthread_mutex_t lock;  /* of what follows: the ports as they were at the last refresh */
    hx_source_port *ports; /* [input_count] */
} receiver;

/* What hx_listener_take's memory holds at most: as much as should still be in the cache when it is
 * copied. */
#define RECEIVER_TAKE_BYTES (256u << 10)

/* Listeners that are put in belong to it from then on. HX_ENOMEM. */
int receiver_init(receiver *r, const net_input *inputs, uint32_t input_count,
                  const hx_listen_config *listen, uint32_t listen_count);
void receiver_free(receiver *r);

/* The next lines of one input into buffer; never waits. 0 with length, input, arrival_us and holes
 * of the chunk, or HX_EAGAIN. */
int receiver_read(receiver *r, char *buffer, uint32_t capacity, hx_chunk *chunk);

void receiver_nap(void);
/* Descriptors to poll. Returns how many. */
uint32_t receiver_fds(const receiver *r, struct pollfd *out);
/* Whether anything waits, also what is no line: a round of control messages alone gives none. */
bool receiver_has_more(receiver *r);

/* Looks at the ports' counters anew, at most ten times a second (now: at once). From the
 * receiver's thread. */
void receiver_refresh(receiver *r, bool now);
/* Adds what the last refresh saw. From any thread. */
void receiver_add_ports(receiver *r, hx_source_port *ports);

uint64_t receiver_now_ns(void);

#endif
