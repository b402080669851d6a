/* The network as hx_source sees it: received in the reading thread itself, or by readers. */
#ifndef HAECHI_SOURCE_NETWORK_H
#define HAECHI_SOURCE_NETWORK_H

#include "readers.h"

typedef struct network {
    net_input *inputs;
    uint32_t input_count;
    uint64_t *offsets;   /* [input_count] of the first byte not handed out */
    bool *plain;         /* [input_count] */
    receiver *receivers; /* [receiver_count] */
    uint32_t receiver_count;
    readers *readers; /* NULL: the one receiver is the reading thread's */
    uint64_t drain_until_ns;
} network;

/* err holds a warning where it succeeds and the system gave less than was asked for. */
int network_create(const hx_source_config *config, network **out, hx_error *err);
void network_destroy(network *n);

/* The next chunk, whole but for what hx_source counts; never waits. 0 or HX_EAGAIN. */
int network_read(network *n, char *buffer, uint32_t capacity, hx_source_counters *counters,
                 hx_chunk *chunk);
/* hx_source_behind. Readers fill blocks of their own ahead of time, of one size. */
void network_behind(network *n, bool behind);
/* What waits, to its end. 0 or HX_EEND. */
int network_drain(network *n, char *buffer, uint32_t capacity, hx_source_counters *counters,
                  hx_chunk *chunk);

/* Whether so much comes that a nap is better than a poll. */
bool network_busy(network *n);
/* Room for the descriptors to wait on. */
uint32_t network_fds_max(const network *n);
/* Before a poll: its descriptors into out, and how many. *ready: something came, do not wait. */
uint32_t network_wait_begin(network *n, struct pollfd *out, bool *ready);
void network_wait_end(network *n);

void network_refresh(network *n, hx_source_counters *counters);
void network_latency(const network *n, hx_histogram *sum);
void network_ports(network *n, hx_source_port *out);

#endif
