/* A worker judges the sessions it owns: session, window, memo or model, verdict, alert. It owns an
 * event from its batch to its verdict; nothing on the way allocates or locks. One thread's. */
#ifndef HAECHI_DETECT_WORKER_H
#define HAECHI_DETECT_WORKER_H

#include "detect/alert.h"
#include "detect/batch.h"
#include "detect/memo.h"
#include "detect/novelty.h"
#include "detect/session.h"

#include <haechi/stats.h>

/* What a worker counts, in the order of the stats page. lines = every line that is not empty;
 * lines - malformed make events (by value: one for each session a line names). With a model, events
 * + sessions_ended = windows + unseen_events + torn_events + torn_ends, and windows = memo_hits +
 * answered by the model + unscored; one window of model_windows may answer for several.
 * sessions_opened = ended + evicted + cut + open. */
enum hx_worker_stat {
    HX_STAT_LINES,
    HX_STAT_EMPTY,
    HX_STAT_MALFORMED,
    HX_STAT_UNSEEN_LINES,
    HX_STAT_CLOCK_AHEAD,
    HX_STAT_BYTES,
    HX_STAT_BATCHES,
    HX_STAT_EVENTS,
    HX_STAT_UNSEEN_EVENTS,
    HX_STAT_WINDOWS,
    HX_STAT_MEMO_HITS,
    HX_STAT_MODEL_WINDOWS,
    HX_STAT_MODEL_RUNS,
    HX_STAT_MEMO_EVICTED,
    HX_STAT_UNSCORED,
    HX_STAT_SESSIONS_OPENED,
    HX_STAT_SESSIONS_ENDED,
    HX_STAT_SESSIONS_EVICTED,
    HX_STAT_SESSIONS_CUT,
    HX_STAT_HOLES,
    HX_STAT_TORN_SESSIONS,
    HX_STAT_TORN_EVENTS,
    HX_STAT_TORN_ENDS,
    HX_STAT_ALERTS,
    HX_STAT_ALERTS_SUPPRESSED,
    HX_STAT_ALERTS_KNOWN,
    HX_STAT_ALERTS_OVER,
    HX_STAT_NOVELTIES_SUPPRESSED,
    HX_STAT_ALLOWED_ALERTS,
    HX_STAT_RULE_HITS_DENY,
    HX_STAT_RULE_HITS_ALLOW,
    HX_STAT_RULE_HITS_ESCALATE,
    HX_STAT_RULE_ALERTS_OVER,
    HX_STAT_RULE_KNOWN,
    HX_STAT_RULE_SCANS,
    HX_STAT_MSCRED_LATE,
    HX_STAT_MSCRED_UNSCORED,
    HX_STAT_SESSIONS_OPEN,
    HX_STAT_BATCH_NS,
    HX_STAT_STAGE1_US,
    HX_STAT_STAGE2_US,
    HX_STAT_ALERT_LATENCY_US,
    HX_WORKER_STATS,
};
extern const hx_stat_def hx_worker_stat_defs[HX_WORKER_STATS];

/* What all workers share and none changes. */
typedef struct hx_worker_shared {
    uint32_t workers;
    uint32_t memo_entries;
    uint32_t max_shapes;
    uint32_t max_model_windows; /* of a batch; what is over is unscored; 0: no bound */
    double ml_share;            /* of this worker's time that the model may take; 0: no bound */
    uint32_t alerts_per_second; /* of one detector or rule, of this worker's; 0: no bound */
    int64_t repeat_us;          /* novelties; negative: as the bundle says */
    bool judge_torn;            /* as if no line had been lost (holes.h) */
    hx_alert_sink *sink;
    hx_stats *stats;
    const hx_source *source;
    const _Atomic bool *give_up;
    _Atomic int64_t *latest_us; /* largest event time judged by any worker */
    hx_intern *host_numbers;    /* HX_HOST_NUMBERS of them; or NULL */
    hx_intern *process_numbers; /* HX_PROCESS_NUMBERS */
} hx_worker_shared;

typedef struct hx_worker hx_worker;

int hx_worker_create(const hx_worker_shared *shared, uint32_t index, const hx_bundle *bundle,
                     hx_worker **out, hx_error *err);
void hx_worker_destroy(hx_worker *worker);

/* Lines to events: the first half of the walk, for the batches this worker reads. 0, or an error of
 * a bundle that cannot be taken up. */
int hx_worker_read(hx_worker *worker, hx_batch *batch, hx_error *err);

/* Events to alerts: the second half, for every batch in turn. 0, or HX_EIO when alerts can no
 * longer be written. */
int hx_worker_judge(hx_worker *worker, hx_batch *batch, hx_error *err);

/* What its detectors saw where they were asked to look: members of a JSON object, by their names,
 * or nothing. After its last batch. */
void hx_worker_observed(const hx_worker *worker, hx_text *out);

/* The epoch of the bundle it judges with, from any thread: it is done with every earlier one. */
uint64_t hx_worker_epoch(const hx_worker *worker);
/* The same of its rules; 0: none. */
uint64_t hx_worker_rules_epoch(const hx_worker *worker);

/* --- checkpoint --------------------------------------------------------------------------------
 */

/* Appends the worker's whole state between two batches. */
void hx_worker_save(const hx_worker *worker, hx_text *out);

/* What the numbers in a saved state stood for: the hash of each log key's template, and what an
 * input's number is now (UINT32_MAX: it is gone). */
typedef struct hx_saved_numbers {
    const uint64_t *key_hash;
    const uint32_t *input;
    uint32_t key_count, input_count;
} hx_saved_numbers;

/* Puts back the sessions and novelties this worker owns out of what any number of workers saved.
 * 0, or HX_EMALFORMED. */
int hx_worker_load(hx_worker *worker, const char *bytes, size_t len,
                   const hx_saved_numbers *numbers, hx_error *err);

#endif
