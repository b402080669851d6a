/* The schedule of one worker: when its n-th event is due, in event time, as rates that hold for a
 * run of events. Steady: time goes on in equal steps, for which the composer's own clock is exact.
 * Ramp: the rate grows in a straight line from 0, so event n of the N that the ramp has is due at
 * ramp * sqrt(n / N); runs of events are spaced evenly between such points. */
#ifndef HAECHI_SEND_TIMELINE_H
#define HAECHI_SEND_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct timeline {
    uint64_t eps_milli; /* of this worker, at the end of the ramp */
    int64_t start_ns, ramp_ns;
    uint64_t ramp_events; /* 0: no ramp */
    uint64_t done;        /* events of the ramp that runs were made for */
} timeline;

typedef struct timeline_run {
    int64_t time_ns; /* of the first event */
    uint64_t eps_milli;
    uint32_t events; /* that it holds for; UINT32_MAX: until further notice */
} timeline_run;

void timeline_start(timeline *t, int64_t start_ns, uint64_t eps_milli, int64_t ramp_ns);

static inline bool timeline_is_ramping(const timeline *t)
{
    return t->done < t->ramp_events;
}

/* The next run, of at most `events`. */
timeline_run timeline_next(timeline *t, uint32_t events);

#endif
