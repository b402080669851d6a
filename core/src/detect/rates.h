/* rates: how often a host speaks and a log key comes, against its own history and against all
 * others.
 *
 * Event time is cut into intervals of three lengths, each ten times the last. For every host, every
 * log key and every length two histories are kept: the mean number of events an interval (an
 * exponentially weighted moving average), and the mean share of all events. An interval holds a
 * burst when its number is improbable by both: then neither what grows with all others nor what
 * others leave more room is anything new. A silence is what is not heard for so long, and while so
 * many events of others came, that both histories make it improbable.
 *
 * Where training saw enough days there is a third history, of the hour of the day or of the week
 * (rates_season.c). What an hour explains is no burst and no silence; and an hour that holds far
 * more or far less than it ever does is reported by itself.
 *
 * Lines that come a little late, as a network or a stall of the writer brings them, are no silence
 * of what they are of: a silence is judged as far back as lines have come late lately.
 *
 * Scores are nats: Chernoff's bound on the tails of a Poisson distribution, and for a silence the
 * exponent of its probability of nothing. Real hosts vary by more than Poisson's, so the limits
 * come from what normal logs score, each length of its own (src/haechi/train/rates.py).
 *
 * One thread's. Nothing here depends on where batches begin. */
#ifndef HAECHI_DETECT_RATES_H
#define HAECHI_DETECT_RATES_H

#include "detect/bundle.h"
#include "detect/detector.h"

#include <haechi/stats.h>

#define HX_RATE_LEVELS     3
#define HX_RATE_STEP       10 /* an interval of a level holds so many of the one before */
#define HX_RATE_MEMORY     32 /* intervals that a mean goes back, about */
#define HX_RATE_HOUR_US    INT64_C(3600000000)
#define HX_RATE_PERIOD_MAX 168 /* hours: a week */
#define HX_RATE_NAME_MAX   48
#define HX_RATE_LONG_US    INT64_C(9000000000000000) /* longer than any silence */

/* What is watched: both kinds in the same way, each with limits of its own. */
typedef enum hx_rate_group { HX_RATE_HOSTS, HX_RATE_KEYS, HX_RATE_GROUPS } hx_rate_group;

typedef struct hx_rate_limit {
    double nats; /* infinite: this is not judged */
    hx_evidence evidence;
} hx_rate_limit;

typedef struct hx_rate_limits {
    hx_rate_limit burst[HX_RATE_LEVELS], silence;
    hx_rate_limit busy_hour, quiet_hour;
} hx_rate_limits;

typedef struct hx_rates_model {
    int64_t interval_us; /* of the first level */
    hx_rate_limits limits[HX_RATE_GROUPS];
    bool watch_keys;
    uint32_t warm;      /* intervals of a host before it is judged at a level */
    uint32_t max_hosts; /* of a worker; further ones are counted and not watched */
    int64_t repeat_us;  /* a host is not reported again for so long */
    bool observe;       /* keep the scores of normal logs, for training */
} hx_rates_model;

/* How far a number is above what is usual: 0 where it is not. Nats. */
double hx_rate_excess(double count, double usual);

/* And how far below. */
double hx_rate_lack(double count, double usual);

/* Inside: how a worker keeps what it watches. */
#define HX_RATE_OBSERVED_UNITS 1000 /* a nat in the histograms of scores */
#define HX_RATE_STARTS         256 /* of the first level's intervals whose beginning is remembered */

/* What is usual of a host at one level. */
typedef struct rate_history {
    int64_t interval;     /* the one that is open */
    uint32_t count;       /* in it */
    uint32_t seen;        /* intervals that were closed */
    double mean, share;   /* events an interval; of all events */
    uint64_t total_began; /* all events before the interval */
    double peak;          /* for training: the highest score that was looked at before its end */
} rate_history;

typedef enum rate_standing {
    RATE_WATCHED = 0,
    RATE_SILENT,  /* and reported as such */
    RATE_UNKNOWN, /* it had no event yet, or none here: another worker's */
} rate_standing;

/* As checkpoints hold it. What each event changes is up to date when it is settled (rate_hot). */
typedef struct rate_watch {
    _Alignas(64) int64_t last_us; /* event time at its last event */
    int64_t quiet_us;             /* so long after it there may be a silence: look closer */
    uint64_t last_total;          /* all events by then */
    rate_standing standing;
    uint32_t alarm_at;       /* of the first level: the count at which to look closer */
    uint32_t vote_key, vote; /* of a host: what it says most, about */
    rate_history level[HX_RATE_LEVELS];
    int64_t reported_us;    /* HX_TIME_NONE: never */
    uint32_t season;        /* row of the seasons + 1; 0: none */
    uint32_t hour_alarm_at; /* as alarm_at, of the hour */
    int64_t hour_closed;    /* events of the hour up to the first level's open interval */
} rate_watch;

/* What has come in the open hour. */
static inline uint32_t hx_rate_hour_count(const rate_watch *w)
{
    return (uint32_t)(w->hour_closed + (int64_t)w->level[0].count);
}

/* What each event changes of a watch, and what says that there is more to be done: half a cache
 * line, so that those of all hosts and log keys stay near. The watch itself is asked when an
 * interval opens or a limit comes near. */
typedef struct rate_hot {
    int64_t last_us;     /* as in the watch */
    uint64_t last_total; /* likewise */
    int64_t ends_us;     /* of the first level's open interval; INT64_MIN: it is not watched yet */
    uint32_t left;       /* events until its count is alarm_at */
    uint32_t quiet_us;   /* as in the watch, or UINT32_MAX where that is less */
} rate_hot;

_Static_assert(sizeof(rate_hot) == 32, "an event's part is half a line");

/* What a host says most, about. */
typedef struct rate_vote {
    uint32_t key, votes;
} rate_vote;

typedef struct rate_host {
    rate_watch watch; /* the first */
    uint32_t hash;
    uint8_t name_len;
    char name[HX_RATE_NAME_MAX];
} rate_host;

typedef struct rate_start {
    int64_t interval;
    uint64_t total; /* all events before its first */
} rate_start;

/* What training saw in the hours of a day or of a week, UTC. Rows: hosts, then log keys. */
typedef struct rate_season_host {
    uint32_t hash;
    uint8_t len;
    char name[HX_RATE_NAME_MAX];
} rate_season_host;

typedef struct rate_seasons {
    uint32_t period; /* hours: 24 or 168; 0: none are known */
    double total[HX_RATE_PERIOD_MAX];
    uint32_t rows, hosts;
    float *mean; /* [rows][period] */
    rate_season_host *host;
    uint32_t *host_index; /* + 1; 0: empty */
    uint32_t host_mask;
    uint32_t *row_of_key; /* [log_keys], + 1; 0: none */
} rate_seasons;

typedef struct rates_model {
    hx_rates_model rule;
    rate_seasons seasons;
    const struct hx_bundle *bundle;
} rates_model;

typedef struct rates_observed {
    hx_histogram burst[HX_RATE_GROUPS][HX_RATE_LEVELS], silence[HX_RATE_GROUPS];
    hx_text hours; /* of each whole hour what came in it, JSON */
    bool hours_cut;
} rates_observed;

typedef struct rates_state {
    uint32_t worker, workers;
    uint64_t total;                      /* all events so far, whoever's */
    int64_t open_interval;               /* the first level's, of the last event */
    int64_t open_from_us, open_until_us; /* it; none where anything more is to be done */
    int64_t hour, hour_ends_us;          /* the open one; ends INT64_MAX: hours do not matter */
    uint64_t hour_began;                 /* all events before it */
    uint32_t ahead;                      /* lines in a row that lie behind it */
    bool hour_whole;                     /* its beginning was seen */
    rate_start start[HX_RATE_STARTS];
    rate_host *hosts;
    uint32_t *index; /* + 1; 0: empty */
    uint32_t count, max, mask;
    uint32_t *numbered; /* [HX_HOST_NUMBERS + 1] the host + 1 by its name's number; 0: not known */
    rate_watch *keys;   /* [key_count] */
    uint32_t *place_of_key; /* [key_count + 1] the key + 1; 0: not watched by this worker */
    /* By host + 1 and by key + 1. The first of each counts what is another worker's, to no end:
     * that costs less than to go around it. */
    rate_hot *hot_hosts, *hot_keys;
    rate_vote *votes;         /* likewise, of hosts */
    const uint64_t *key_hash; /* likewise; the bundle's */
    uint32_t key_count;
    uint32_t openings;      /* in the last lines: what an event changed was not all */
    uint64_t unwatched;     /* events of hosts beyond max */
    int64_t late_us;        /* how far lines lay behind the latest of others, at most, of late */
    int64_t late_interval;  /* in which that was lowered last */
    int64_t lost_us;        /* who has not been heard may have spoken until then: lines were lost */
    int64_t quiet_after_us; /* nothing that is watched can be silent before event time is there */
    rates_observed *observed;
} rates_state;

/* The worker that a host, or a log key by its hash, is watched by. */
static inline bool hx_rates_owns(const rates_state *s, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * s->workers) >> 32) == s->worker;
}

/* A place for a host that is not there yet; NULL where there is none left. */
rate_host *hx_rates_add_host(rates_state *state, uint32_t hash);

/* A watch has changed: what its events look at follows. */
void hx_rates_arm(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w);

/* What events have changed is brought into a watch; into all of them. */
void hx_rates_settle(const rates_state *s, hx_rate_group group, rate_watch *w);
void hx_rates_settle_all(const rates_state *s);

/* How long an interval of a level is. */
static inline int64_t hx_rates_length_us(const rates_model *m, uint32_t level)
{
    int64_t length_us = m->rule.interval_us;

    for (uint32_t l = 0; l < level; l++)
        length_us *= HX_RATE_STEP;
    return length_us;
}

/* What would have come by now, by the more generous of the two moving histories. */
static inline double hx_rates_usual(const rates_state *s, const rate_history *h)
{
    double by_share = h->share * (double)(s->total - h->total_began);

    return h->mean > by_share ? h->mean : by_share;
}

/* --- rates_interval.c ----------------------------------------------------------------------------
 */

/* The interval that an event is in, and whether the hour is over. */
void hx_rates_enter_interval(const rates_model *m, rates_state *s, int64_t time_us,
                             hx_reporter *reporter);

/* An event at hand comes when its first level's interval is over. The longer intervals get what a
 * shorter one held, and are judged then. */
void hx_rates_close_levels(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                           const hx_event *e, hx_reporter *reporter);

/* Whether the open interval of a level holds too much already. */
void hx_rates_judge_burst(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                          uint32_t level, const hx_event *e, hx_reporter *reporter);

/* Its next event has come, after a time that may have been a silence. */
void hx_rates_look_back(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                        int64_t before_us, hx_reporter *reporter);

/* Nats against hearing nothing until the watermark is at at_us. */
double hx_rates_silence_score(const rates_model *m, const rates_state *s, const rate_watch *w,
                              int64_t at_us);

/* How far lines may lie behind the others before who speaks in them is called silent: twice as far
 * as any did. Where the way takes as long as that for some, it can take them longer. */
static inline int64_t hx_rates_lateness(const rates_state *s)
{
    return 2 * s->late_us;
}

/* From when on nothing was heard of who spoke last at last_us, and nothing was lost. */
static inline int64_t hx_rates_silent_since(const rates_state *s, int64_t last_us)
{
    return last_us > s->lost_us ? last_us : s->lost_us;
}

/* The earliest end of what may be said by everybody; it grows as they speak, unseen. */
static inline void hx_rates_expect_quiet(rates_state *s, int64_t quiet_at_us)
{
    if (quiet_at_us < s->quiet_after_us)
        s->quiet_after_us = quiet_at_us;
}

/* --- rates_season.c, rates_season_load.c -------------------------------------------------------
 */

struct cJSON;
int hx_rates_seasons_load(const struct cJSON *section, const hx_bundle_files *files, rates_model *m,
                          hx_error *err);
void hx_rates_seasons_free(rate_seasons *seasons);

/* The row + 1 of a host or a log key; 0 where nothing is known of its hours. */
uint32_t hx_rates_season_of_host(const rate_seasons *seasons, uint32_t hash, hx_slice name);
uint32_t hx_rates_season_of_key(const rate_seasons *seasons, uint32_t key);

/* What an hour usually holds of it: in that hour or one beside it, whichever holds most. */
double hx_rates_season_most(const rates_model *m, const rate_watch *w, int64_t hour);

/* What at most is to be expected of it in so much time, in which all together said total: by number
 * and by share, whichever of its hours holds more. */
double hx_rates_season_within(const rates_model *m, const rate_watch *w, int64_t from_us,
                              int64_t length_us, uint64_t total);

/* What is to be expected of it from one time to another, as each hour alone has it. */
double hx_rates_season_between(const rates_model *m, const rate_watch *w, int64_t from_us,
                               int64_t to_us);

int64_t hx_rates_hour_of(int64_t time_us);

/* An event at or behind the end of the open hour. */
void hx_rates_hour_over(const rates_model *m, rates_state *s, int64_t time_us,
                        hx_reporter *reporter);

/* Where to look closer in the open hour. */
void hx_rates_hour_begins(const rates_model *m, const rates_state *s, hx_rate_group group,
                          rate_watch *w);

/* The hour's count has come that far. */
void hx_rates_hour_fills(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                         const hx_event *e, hx_reporter *reporter);

/* --- rates_report.c: unless it was reported shortly before ---------------------------------------
 */

typedef struct rate_hour_report {
    const char *rule;
    int64_t hour, time_us;
    double score, usual;
    const hx_rate_limit *limit;
} rate_hour_report;

void hx_rates_report_burst(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                           uint32_t level, double usual, const hx_event *e, hx_reporter *reporter);
void hx_rates_report_silence(const rates_model *m, const rates_state *s, hx_rate_group group,
                             rate_watch *w, hx_reporter *reporter);
bool hx_rates_report_hour(const rates_model *m, const rates_state *s, hx_rate_group group,
                          rate_watch *w, const rate_hour_report *what, const hx_event *e,
                          hx_reporter *reporter);

/* --- rates_state.c, rates_load.c: parts of the detector ------------------------------------------
 */

int hx_rates_open(const void *model, uint32_t worker, uint32_t workers, void **state);
void hx_rates_close(void *state);
void hx_rates_save(const void *state, hx_text *out);
int hx_rates_restore(const void *model, void *state, const char *bytes, size_t len);
void hx_rates_observed(const void *state, hx_text *out);
int hx_rates_load(const struct cJSON *section, const hx_bundle_files *files,
                  const struct hx_bundle *bundle, void **model, hx_error *err);
void hx_rates_unload(void *model);

extern const hx_detector hx_rates_detector;

#endif
