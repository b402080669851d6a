/* Inside a worker: the events of a batch that wait for the model's answer or for their verdict. */
#ifndef HAECHI_DETECT_JUDGE_H
#define HAECHI_DETECT_JUDGE_H

#include "detect/flood.h"
#include "detect/worker.h"

#include <time.h>

/* Windows that one run of the model takes. Larger batches are no faster with a small LSTM on one
 * thread, and cost more memory. */
#define HX_PENDING_MAX  64
#define HX_ITEMS_MAX    4096
#define HX_ITEMS_NEAR   96
#define HX_EVIDENCE_MAX 256
#define HX_TOLD_MAX     512 /* a power of two, in sets of HX_TOLD_WAYS */
#define HX_TOLD_WAYS    4
#define HX_NO_EVENT     UINT32_MAX
#define HX_NO_ROW       UINT32_MAX
#define HX_NOWHERE      UINT32_MAX

typedef enum hx_item_kind {
    HX_ITEM_EVENT,    /* an event of a session */
    HX_ITEM_END,      /* its end mark; the session is judged as a whole and released */
    HX_ITEM_RELEASE,  /* dropped without an end: evicted, or cut by the end of the input */
    HX_ITEM_UNSCORED, /* an event that the bound on model runs left out */
    HX_ITEM_UNSCORED_END,
    HX_ITEM_TORN, /* an event whose window has a hole (holes.h) */
} hx_item_kind;

typedef struct hx_item {
    uint32_t slot;
    uint32_t event;    /* index in the batch, or HX_NO_EVENT */
    uint32_t row;      /* of the pending windows, or HX_NO_ROW: the answer is known */
    uint32_t evidence; /* where the window of a known, anomalous answer is kept, or HX_NOWHERE */
    hx_surprise surprise;
    uint16_t token;
    uint8_t kind;
    bool allowed : 1;   /* by a rule */
    bool escalated : 1; /* by a rule */
    bool unsure : 1;    /* of a session that may have lost its beginning */
} hx_item;

/* Who reports, for hx_judge_report. */
typedef struct hx_worker_reporter {
    hx_reporter base;
    hx_worker *worker;
    uint32_t detector; /* its place in the set */
    uint32_t slot;     /* of the session whose event it is looking at, or HX_SESSION_NONE */
} hx_worker_reporter;

struct hx_worker {
    const hx_worker_shared *shared;
    uint32_t index;
    hx_front *front;
    uint64_t front_epoch; /* ahead of epoch while older batches are still to be judged */
    const hx_bundle *bundle;
    _Atomic uint64_t epoch; /* the bundle's; read by other threads */
    _Atomic uint64_t rules_epoch;

    hx_sessions sessions;
    hx_memo memo;
    hx_novelty novelty;
    int64_t watermark_us;
    int64_t swept_us; /* watermark of the last search for idle sessions */
    int64_t sweep_us; /* and of the next */
    uint32_t hand;    /* the slot where it goes on */

    struct hx_holes *holes; /* [port_count]: of the inputs, the ports come first */
    uint32_t port_count;
    int64_t jump_us; /* where event time was after it last went far at once across a hole */
    bool met_hole;   /* ever */

    hx_batch *batch;  /* the one being judged */
    hx_ruling ruling; /* what rules say of the event at hand */
    hx_item items[HX_ITEMS_MAX];
    uint32_t item_count;
    uint16_t pending[HX_PENDING_MAX][HX_WINDOW_MAX];
    uint64_t pending_hash[HX_PENDING_MAX];
    uint32_t pending_count;
    uint16_t evidence[HX_EVIDENCE_MAX][HX_WINDOW_MAX];
    uint32_t evidence_count;
    uint32_t model_windows; /* of this batch */
    int64_t *tokens;        /* [HX_PENDING_MAX][window] */
    float *rows;            /* [HX_PENDING_MAX][classes] */
    float *told;            /* [HX_TOLD_MAX][classes]: answers that alerts may need again */
    struct hx_told {
        uint64_t hash; /* 0: none */
        uint16_t window[HX_WINDOW_MAX];
    } told_of[HX_TOLD_MAX]; /* each in a set by its hash: many alerts are about few windows */
    uint32_t told_turn;     /* which of a set goes next */
    hx_flood flood;
    hx_text out;       /* alerts, written at the end of the batch */
    bool model_broken; /* said once */

    hx_detector_room room; /* the other detectors' */
    hx_worker_reporter reporter;

    uint64_t count[HX_STAT_SESSIONS_OPEN]; /* copied to the stats page after each batch */
    hx_histogram *batch_ns, *alert_latency_us, *stage1_us, *stage2_us;
    uint64_t pending_ns; /* when the first of the pending windows came */
    uint64_t model_ns;   /* spent on the model in this batch */
    int64_t credit_ns;   /* what the model may still take, where that is bounded */
    uint64_t credit_at;  /* when credit was last given */
};

static inline uint64_t hx_worker_now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What the model may take at once where it was not asked for a while: a second's share. */
static inline int64_t hx_worker_credit_most(const hx_worker_shared *shared)
{
    return (int64_t)(shared->ml_share * 1e9);
}

/* worker_make.c: a front for a bundle whose batches come now, and between two batches everything
 * else; open sessions go on. */
int hx_worker_make_front(hx_worker *worker, const hx_bundle *bundle, hx_error *err);
int hx_worker_adopt(hx_worker *worker, const hx_bundle *bundle, hx_error *err);

/* Puts an event of an open session, or its end, among the items. */
void hx_judge_event(hx_worker *worker, uint32_t slot, uint16_t token, uint32_t event,
                    hx_item_kind kind);

/* Whether a session's window holds all of its tokens while it is short. */
static inline bool hx_judge_keeps_tokens(const hx_worker *w)
{
    return w->bundle->deeplog.enabled && w->bundle->window >= 3;
}

/* What a session's window holds of it, oldest first. */
static inline const uint16_t *hx_judge_tokens(const hx_worker *w, const hx_session *s,
                                              uint32_t *count)
{
    uint32_t first = 0;

    while (first < w->bundle->window && s->window[first] == w->bundle->deeplog.begin)
        first++;
    *count = w->bundle->window - first;
    return s->window + first;
}

/* Runs the model for what is pending, gives every item its verdict in order, and empties the list.
 */
void hx_judge_settle(hx_worker *worker);

/* count windows through the model; rows: [count][classes]. 0, or what the model failed with; said
 * once on standard error. */
int hx_judge_run_model(hx_worker *worker, const uint16_t (*windows)[HX_WINDOW_MAX], uint32_t count,
                       float *rows);

/* verdict.c: the alert of an event that is anomalous to deeplog, unless its session had one. */
void hx_judge_event_alert(hx_worker *worker, const hx_item *item, hx_session *session);

/* A session that has ended: asks deeplog and the other detectors; the alert is of the one with the
 * strongest evidence and names all that agree. */
void hx_judge_session(hx_worker *worker, const hx_item *item, hx_session *session);

/* ruling.c: what rules say of an event of the batch at hand. */
hx_ruling hx_judge_ruling(const hx_worker *worker, const hx_event *event);
/* The alert of a rule that denies an event. */
void hx_judge_deny(hx_worker *worker, const hx_ruling *ruling);
/* An event that is anomalous to deeplog and that a rule allows. */
void hx_judge_allowed(hx_worker *worker, const hx_session *session);

/* An hx_reporter's report. */
void hx_judge_report(hx_reporter *reporter, const hx_event *event, int64_t time_us,
                     const hx_finding *finding);

/* Renders an alert unless it was written before the crash this run recovers from. */
void hx_judge_emit(hx_worker *worker, const hx_alert *alert);

/* [key_count + 3]: what each token of another bundle, whose templates have these hashes, is in this
 * one. A key is the same where its template's text is. To be freed; NULL when out of memory. */
uint16_t *hx_worker_token_map(const hx_bundle *bundle, const uint64_t *key_hash,
                              uint32_t key_count);

/* A session's window of old_window tokens into the bundle's vocabulary and length. */
void hx_worker_translate(hx_session *session, const uint16_t *map, uint32_t old_window,
                         const hx_bundle *bundle);

#endif
