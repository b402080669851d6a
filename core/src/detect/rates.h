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

#include "detect/bundle.h"
#include "detect/detector.h"

#include <haechi/stats.h>

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

/* Inside: how a worker keeps its hosts. */
#define HX_RATE_OBSERVED_UNITS 1000 /* a nat in the histograms of scores */
#define HX_RATE_NAME_MAX       48
#define HX_RATE_STARTS         256 /* of the first level's intervals whose beginning is remembered */

/* What is usual of a host at one level. */
typedef struct rate_history {
    int64_t interval;     /* the one that is open */
    double mean, share;   /* events an interval; of all events */
    uint64_t total_began; /* all events before the interval */
    uint32_t count;       /* in it */
    uint32_t seen;        /* intervals that were closed */
} rate_history;

typedef struct rate_host {
    uint32_t hash;
    uint32_t alarm_at; /* of the first level: the count at which to look closer */
    uint32_t vote_key, vote;
    int64_t last_us;     /* event time at its last event */
    uint64_t last_total; /* all events by then */
    int64_t reported_us; /* HX_TIME_NONE: never */
    bool silent;         /* and reported as such */
    uint8_t name_len;
    char name[HX_RATE_NAME_MAX];
    rate_history level[HX_RATE_LEVELS];
} rate_host;

typedef struct rate_start {
    int64_t interval;
    uint64_t total; /* all events before its first */
} rate_start;

typedef struct rates_model {
    hx_rates_model rule;
    const struct hx_bundle *bundle;
} rates_model;

typedef struct rates_observed {
    hx_histogram burst[HX_RATE_LEVELS], silence;
} rates_observed;

typedef struct rates_state {
    uint32_t worker, workers;
    uint64_t total; /* all events so far, whoever's */
    rate_start start[HX_RATE_STARTS];
    rate_host *hosts;
    uint32_t *index; /* + 1; 0: empty */
    uint32_t count, max, mask;
    uint64_t unwatched; /* events of hosts beyond max */
    rates_observed *observed;
} rates_state;

/* The worker that a host is watched by. */
static inline bool hx_rates_owns(const rates_state *s, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * s->workers) >> 32) == s->worker;
}

/* A place for a host that is not there yet; NULL where there is none left. */
rate_host *hx_rates_add_host(rates_state *state, uint32_t hash);

/* What a host would have said by now, by the more generous of its two histories. */
static inline double hx_rates_usual(const rates_state *s, const rate_history *h)
{
    double by_share = h->share * (double)(s->total - h->total_began);

    return h->mean > by_share ? h->mean : by_share;
}

/* rates_report.c: unless the host was reported shortly before. */
void hx_rates_report_burst(const rates_model *model, rates_state *state, rate_host *host,
                           uint32_t level, const hx_event *event, hx_reporter *reporter);
void hx_rates_report_silence(const rates_model *model, rate_host *host, hx_reporter *reporter);

/* rates_state.c, rates_load.c: parts of the detector. */
int hx_rates_open(const void *model, uint32_t worker, uint32_t workers, void **state);
void hx_rates_close(void *state);
void hx_rates_save(const void *state, hx_text *out);
int hx_rates_restore(const void *model, void *state, const char *bytes, size_t len);
void hx_rates_observed(const void *state, hx_text *out);
int hx_rates_load(const struct cJSON *section, const hx_bundle_files *files,
                  const struct hx_bundle *bundle, void **model, hx_error *err);

extern const hx_detector hx_rates_detector;

#endif
