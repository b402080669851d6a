/* What the sender's tests share: a storm in a thread of its own, and receivers on loopback that
 * answer nothing and lose nothing without saying so. */
#ifndef HAECHI_TESTS_SEND_STORMS_H
#define HAECHI_TESTS_SEND_STORMS_H

#include "../check.h"
#include "send/room.h"

#include <cjson/cJSON.h>

typedef struct storm_test {
    hx_profile *profile;
    hx_sender *sender;
    pthread_t thread;
    int rc;
    hx_error err;
} storm_test;

/* Events to 127.0.0.1, of the small profile; the rest is the test's. */
hx_sender_config storm_config(const uint16_t *ports, uint32_t port_count);
void storm_start(storm_test *t, hx_sender_config config);
/* Waits for its end; the totals. It must have ended with rc. */
cJSON *storm_end(storm_test *t, int rc);
/* What creating one says where it is refused with HX_EINVAL. */
const char *storm_refused(hx_sender_config config);

/* It cannot be created, for whatever reason. */
void storm_fails(hx_sender_config config);

/* Until at least so many events were sent. */
void storm_await(const storm_test *t, uint64_t events);
uint64_t storm_total(const storm_test *t, enum sender_stat what);

double number_of(const cJSON *totals, const char *name);
bool is_true(const cJSON *totals, const char *name);

/* --- a receiver of datagrams, one socket a port, drained by a thread */
#define DRAIN_PORTS 8
typedef struct drain {
    uint32_t port_count;
    uint16_t ports[DRAIN_PORTS];
    int fds[DRAIN_PORTS];
    pthread_t thread;
    _Atomic bool ending;
    _Atomic uint64_t received;
    uint64_t bytes;
    hx_text lines; /* all of them, each with a newline */
} drain;

void drain_start(drain *d, uint32_t port_count);
/* Takes what still waits; returns how many datagrams the kernel dropped. */
uint64_t drain_end(drain *d);
void drain_free(drain *d);

/* A port on which nobody listens. */
uint16_t port_of_nobody(void);

#endif
