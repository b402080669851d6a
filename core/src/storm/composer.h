/* The inside of a composer, for the files that it is spread over. */
#ifndef HAECHI_STORM_COMPOSER_H
#define HAECHI_STORM_COMPOSER_H

#include "storm/slots.h"
#include "storm/stamp.h"

/* Slots are drawn this many events before their use, and fetched; half as many before, what the
 * slot's next text is made of. */
enum { STORM_AHEAD = 8 };

/* An anomalous session under way, beside its slot. */
typedef struct storm_open {
    int64_t first_time_ns, last_time_ns;
    uint64_t first_event, last_event;
    uint32_t events; /* 0: none is open */
    uint32_t away;   /* the first session of this slot that is away, or 0 (disturb.c) */
    bool resumed;    /* the slot's session was away while its host was silent */
} storm_open;

typedef struct storm_disturbances storm_disturbances;

struct hx_composer {
    uint64_t random;
    uint64_t sequence, sequence_step;
    uint64_t alarm; /* the event at which a disturbance has something to do */
    /* time_ns + time_part / time_base is exact; both advance by one event's share */
    int64_t time_ns, step_ns;
    uint64_t time_part, step_part, time_base;
    int64_t wake_ns; /* the time at which the stamp or a silence ends */
    hx_stamp stamp;
    const storm_text *texts;
    const storm_piece *pieces;
    const char *literals;
    uint32_t first_mutant;
    storm_lane *lane;            /* whose turn it is */
    uint32_t lane_first;         /* the number of its first slot */
    uint32_t ahead[STORM_AHEAD]; /* slots of the events to come, a ring */
    uint32_t ahead_at;
    /* The lane's slots by number, those that are still to be drawn in this turn first. Any order
     * will do to begin with, so the lanes share it. */
    uint16_t *order;
    uint32_t *order_wide; /* instead, where the numbers need more than 16 bits */
    uint32_t turn_left;   /* how many are still to be drawn */
    uint32_t turn_end;    /* a new turn begins by itself when so many are left */
    uint32_t slot;        /* of the event composed last */
    int64_t last_time_ns; /* of the event composed last */
    storm_slots live;
    storm_open *open;                 /* one a slot */
    uint8_t *marks;                   /* one a slot: whether disturb.c says what comes next in it */
    storm_disturbances *disturbances; /* NULL: there are none */
    hx_composer_config config;
};

/* compose.c: a turn of the lane begins. */
void hx_storm_turn_start(hx_composer *c, uint32_t lane);

/* episode.c: an event of the anomalous session in slot `number`, of which slot has the state. */
void hx_storm_episode_event(hx_composer *c, uint32_t number, bool last);
void hx_storm_episode_of_session(hx_composer *c, const storm_slot *slot, storm_open *open,
                                 bool complete);
void hx_storm_episode_of_host(hx_composer *c, const char *kind, const char *technique,
                              uint32_t host, const storm_open *open, bool complete);

/* disturb.c */
int hx_storm_disturbances_create(hx_composer *c, uint64_t seed);
void hx_storm_disturbances_destroy(hx_composer *c);
/* Bursts and silences that are still open, and the episodes of sessions that are away. */
void hx_storm_disturbances_finish(hx_composer *c);
/* At c->alarm: starts what is due. The slot to write a line of, where this event is of a burst, or
 * NULL. */
const storm_slot *hx_storm_disturb(hx_composer *c);
/* Another lane's turn begins: from then on bursts are that lane's. */
void hx_storm_disturb_turn(hx_composer *c, uint32_t lane);
/* Ends the silences that are over; returns when the next one is. */
int64_t hx_storm_silences_end(hx_composer *c);
/* The session of slot i ended, which is marked: starts another one, or brings one back. */
void hx_storm_slot_refill(hx_composer *c, uint32_t i);

#endif
