/* The connections of a listener: who is there, who shakes hands still, who is to be served. */
#ifndef HAECHI_NET_CLIENTS_H
#define HAECHI_NET_CLIENTS_H

#include "framing.h"
#include "room.h"
#include "tls.h"

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

/* To be served in a coming turn; once, however often it is said. */
void clients_enqueue(clients *c, client *k);
/* The next one of the queue, which must not be empty. */
client *clients_dequeue(clients *c);
/* What the client's socket is waited for: EPOLLIN, EPOLLOUT. */
void clients_watch(clients *c, client *k, uint32_t events);
/* It has agreed. */
void clients_end_shaking(clients *c, client *k);
/* The connection ends now; what lies in its buffer lives until clients_free_gone. */
void clients_drop(clients *c, client *k);
void clients_free_gone(clients *c);
/* New connections, those that are ready, and those whose time is up. Never waits. */
void clients_look(hx_listener *l);

#endif
