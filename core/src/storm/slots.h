/* Slots: the sessions that are live, and what starts the next one in a slot whose session ended.
 *
 * Slots are split among lanes, each with hosts of its own. Sessions of processes with a pid get a
 * (host, pid) from a walk over all of the lane's that comes back to the first only after the last;
 * a kernel, which has no pid, has its host for itself while its flow lives. Which flow comes next
 * is drawn by weight (Walker's alias method, one draw). */
#ifndef HAECHI_STORM_SLOTS_H
#define HAECHI_STORM_SLOTS_H

#include "storm/model.h"
#include "storm/random.h"

/* One cache line: what every event of a session needs. The text of the next step is drawn when the
 * step before it is composed, so that it can be fetched ahead of its use. */
typedef struct storm_slot {
    char head[STORM_HEAD_BYTES]; /* "host process[pid]: " */
    uint8_t head_len;
    uint8_t left;    /* steps, the next one included */
    uint32_t seed;   /* of the values that the session keeps */
    uint32_t cursor; /* its next step */
    uint16_t text;   /* the next step's */
    uint16_t flow;
    uint16_t host;
    uint16_t pid; /* from 0 */
} storm_slot;

_Static_assert(sizeof(storm_slot) == 64, "a slot is a cache line");

typedef struct storm_host {
    char name[31];
    uint8_t length;
} storm_host;

/* All (host, pid) of one process in a lane, in steps of a stride that has no divisor with their
 * number: the stride, and the place, as a number of whole hosts and the pids beyond. */
typedef struct storm_walk {
    uint32_t host, pid;
    uint32_t stride_hosts, stride_pids;
} storm_walk;

/* What starting a session needs of a flow and of its process, close together. */
typedef struct storm_start {
    uint32_t first_step;
    uint16_t process;
    uint16_t flow;
    uint8_t step_count;
    bool has_pid;
} storm_start;

typedef struct storm_pid {
    char digits[7];
    uint8_t length;
} storm_pid;

typedef struct storm_lead {
    char text[32]; /* after the host: " sshd[" */
    uint32_t length;
    uint32_t unused[7];
} storm_lead;

typedef struct storm_alias {
    uint32_t below;    /* of 2^32: take flows[0], else flows[1] */
    uint16_t flows[2]; /* by index and not by a branch, which no predictor could foretell */
} storm_alias;

/* The slots with pids, or those without. */
typedef struct storm_pool {
    storm_alias *aliases;
    uint32_t alias_count;
    /* Groups of mutants by kind. */
    uint32_t group_count[STORM_KINDS];
    const storm_group **groups[STORM_KINDS];
    uint8_t kinds[STORM_KINDS];
    uint32_t kind_count;
    /* The flow that starts next is drawn when one starts: looking it up takes several loads, each
     * of which waits for the one before. */
    storm_start next;
} storm_pool;

typedef struct storm_lane {
    storm_slot *slots; /* slot_count; from without_pid_at on, those of processes without a pid */
    storm_walk *walks; /* one a process */
    uint16_t *idle;    /* hosts on which no kernel flow lives, longest idle at idle_at */
    uint32_t idle_count, idle_at;
    uint32_t host_first, host_count;
    uint32_t absent; /* how many of its hosts */
} storm_lane;

typedef struct storm_slots {
    const hx_profile *profile;
    storm_lane *lanes;
    storm_slot *slots; /* of all lanes, one lane's behind the other's */
    storm_walk *walks;
    uint16_t *idle;
    storm_host *hosts; /* this worker's */
    uint8_t *absent;   /* one a host: not 0 where no session may start */
    storm_pid *pids;
    uint32_t pid_count;  /* of sessions; those behind are of bursts */
    storm_lead *leads;   /* one a process */
    storm_start *starts; /* one a flow */
    uint32_t lane_count, host_count;
    uint32_t slot_count, without_pid_at; /* of each lane */
    storm_pool pools[2];                 /* with pid, without */
    const storm_group **group_refs;
    uint64_t anomaly_below; /* of 2^32: sessions made anomalous */
    uint32_t layout;        /* 1 for RFC 5424 */
    uint64_t random;
} storm_slots;

/* The hosts of this worker, from host_first on. */
int hx_slots_create(storm_slots *s, const hx_composer_config *config, uint32_t host_first,
                    uint32_t host_count, uint64_t seed);
void hx_slots_destroy(storm_slots *s);

/* Draws the text of the slot's next step. */
static inline void hx_slot_arm(storm_slots *s, storm_slot *slot)
{
    const storm_step *step = &s->profile->steps[slot->cursor];
    uint32_t choice = hx_random_below(hx_random_next(&s->random), step->count);

    slot->text = s->profile->text_refs[step->first + choice];
}

/* The flow that starts next of this pool. */
void hx_slots_draw(storm_slots *s, storm_pool *pool);

/* A new session in slot i of the lane. */
void hx_slots_start(storm_slots *s, storm_lane *lane, uint32_t i);

/* The same, without giving up the slot's host to others: hx_slots_host_return does. Where the slot
 * is of a process without pid, some host has to be idle. */
void hx_slots_restart(storm_slots *s, storm_lane *lane, uint32_t i);
bool hx_slots_host_idles(const storm_slots *s, const storm_lane *lane);
void hx_slots_host_return(storm_lane *lane, uint16_t host);

/* Makes the slot the one of this process on this host, which has a pid. */
void hx_slots_head(const storm_slots *s, storm_slot *slot, uint32_t process, uint32_t host,
                   uint32_t pid);

/* The slot's session by name: "host process pid". */
void hx_slots_session_name(const storm_slots *s, const storm_slot *slot, char *out, size_t room);

#endif
