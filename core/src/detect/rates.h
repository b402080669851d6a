/* rates: how often a host speaks, against its own history and against everybody's.
 *
 * Event time is cut into intervals of three lengths, each ten times the last. For every host and
 * length two histories are kept: the mean number of events an interval (an exponentially weighted
 * moving average), and the mean share of all events. An interval holds a burst when its number is
 * improbable by both: then neither a host that grows with all others nor one that others leave more
 * room is anything new. A silence is a host that is not heard for so long, and while so many events
 * of others came, that both histories make it improbable.
 *
 * Scores are nats: Chernoff's bound on the tail of a Poisson distribution for a burst, the
 * exponent of its probability of nothing for a silence. Real hosts vary by more than Poisson's, so
 * the limits come from what normal logs score, each length of its own (src/haechi/train/rates.py).
 *
 * One thread's. Nothing here depends on where batches begin. */
#ifndef HAECHI_DETECT_RATES_H
#define HAECHI_DETECT_RATES_H

#include "detect/detector.h"

#define HX_RATE_LEVELS 3
#define HX_RATE_STEP   10 /* an interval of a level holds so many of the one before */
#define HX_RATE_MEMORY 32 /* intervals that a mean goes back, about */

typedef struct hx_rates_model {
    int64_t interval_us;                /* of the first level */
    double burst_limit[HX_RATE_LEVELS]; /* nats; infinite: this level is not judged */
    double silence_limit;
    hx_evidence burst[HX_RATE_LEVELS], silence;
    uint32_t warm;      /* intervals of a host before it is judged at a level */
    uint32_t max_hosts; /* of a worker; further ones are counted and not watched */
    int64_t repeat_us;  /* a host is not reported again for so long */
    bool observe;       /* keep the scores of normal logs, for training */
} hx_rates_model;

/* How far a number is above what is usual: 0 where it is not. Nats. */
double hx_rate_excess(double count, double usual);

extern const hx_detector hx_rates_detector;

#endif
