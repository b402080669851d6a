#include "send/timeline.h"

#include <math.h>

/* A run within the ramp is an eighth of what came before it: the rate within it differs by less
 * than that from the straight line, and the points between runs lie on it. */
enum { PART = 8 };

void timeline_start(timeline *t, int64_t start_ns, uint64_t eps_milli, int64_t ramp_ns)
{
    *t = (timeline){.eps_milli = eps_milli, .start_ns = start_ns, .ramp_ns = ramp_ns};
    if (ramp_ns > 0)
        t->ramp_events = (uint64_t)((double)ramp_ns / 1e9 * (double)eps_milli / 1000 / 2);
}

static int64_t ramp_time(const timeline *t, uint64_t n)
{
    double part = sqrt((double)n / (double)t->ramp_events);

    return t->start_ns + (int64_t)((double)t->ramp_ns * part);
}

timeline_run timeline_next(timeline *t, uint32_t events)
{
    timeline_run run = {t->start_ns + t->ramp_ns, t->eps_milli, UINT32_MAX};

    if (!timeline_is_ramping(t))
        return run;
    uint64_t n = t->done / PART + 1, left = t->ramp_events - t->done;
    if (n > events)
        n = events;
    if (n > left)
        n = left;
    run.time_ns = ramp_time(t, t->done);
    int64_t span_ns = ramp_time(t, t->done + n) - run.time_ns;
    run.events = (uint32_t)n;
    /* Rounded up: the last one must not be due behind the next run's first one. */
    double eps_milli = span_ns > 0 ? ceil((double)n * 1e12 / (double)span_ns) : 1e12;
    run.eps_milli = (uint64_t)fmin(eps_milli, 1e12); /* an event a nanosecond is the most */
    t->done += n;
    return run;
}
