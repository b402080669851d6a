/* Slots: the sessions that are live, and what starts the next one in a slot whose session ended.
 *
 * Sessions of processes with a pid get a (host, pid) from a walk over all of them that comes back
 * to the first only after the last; a kernel, which has no pid, has its host for itself while its
 * flow lives. Which flow comes next is drawn by weight (Walker's alias method, one draw). */
#ifndef HAECHI_STORM_SLOTS_H
#define HAECHI_STORM_SLOTS_H

#include "storm/model.h"
#include "storm/random.h"

/* One cache line: what every event of a session needs. */
typedef struct storm_slot {
    char head[STORM_HEAD_BYTES]; /* "host process[pid]: " */
    uint32_t seed;               /* of the values that the session keeps */
    uint32_t cursor;             /* its next step */
    uint16_t host;
    uint16_t pid; /* from 0 */
    uint16_t flow;
    uint8_t left; /* steps */
    uint8_t head_len;
} storm_slot;

_Static_assert(sizeof(storm_slot) == 64, "a slot is a cache line");

typedef struct storm_host {
    char name[31];
    uint8_t length;
} storm_host;

/* All (host, pid) of one process, in steps of a stride that has no divisor with their number. */
typedef struct storm_walk {
    uint32_t at, stride, size;
} storm_walk;

typedef struct storm_alias {
    uint32_t below; /* of 2^32: take flow, else other */
    uint16_t flow, other;
} storm_alias;

/* The slots with pids, or those without. */
typedef struct storm_pool {
    storm_alias *aliases;
    uint32_t alias_count;
    uint32_t slot_first, slot_count;
    /* Groups of mutants by kind. */
    uint32_t group_count[STORM_KINDS];
    const storm_group **groups[STORM_KINDS];
    uint8_t kinds[STORM_KINDS];
    uint32_t kind_count;
} storm_pool;

typedef struct storm_slots {
    const hx_profile *profile;
    storm_slot *slots;
    storm_host *hosts; /* this worker's */
    storm_walk *walks; /* one a process */
    uint16_t *idle;    /* hosts on which no kernel flow lives, longest idle at idle_at */
    uint32_t host_count, idle_count, idle_at;
    storm_pool pools[2]; /* with pid, without */
    const storm_group **group_refs;
    uint64_t without_pid_below; /* of 2^32: events of sessions without a pid */
    uint64_t anomaly_below;     /* of 2^32: sessions made anomalous */
    uint32_t layout;            /* 1 for RFC 5424 */
    uint64_t random;
} storm_slots;

/* live: sessions wanted, of this worker. Hosts host_first .. host_first + host_count - 1. */
int hx_slots_create(storm_slots *s, const hx_composer_config *config, uint32_t live,
                    uint32_t host_first, uint32_t host_count, uint64_t seed);
void hx_slots_destroy(storm_slots *s);

/* A new session in slot i. */
void hx_slots_start(storm_slots *s, uint32_t i);

/* The session of slot i by name: "host process pid". */
void hx_slots_session_name(const storm_slots *s, uint32_t i, char *out, size_t room);

#endif
