/* A worker made, and changed to another bundle. */
#include "detect/holes.h"

#include <stdlib.h>

const hx_stat_def hx_worker_stat_defs[HX_WORKER_STATS] = {
    [HX_STAT_LINES] = {"lines", HX_STAT_COUNTER},
    [HX_STAT_EMPTY] = {"empty_lines", HX_STAT_COUNTER},
    [HX_STAT_MALFORMED] = {"malformed_lines", HX_STAT_COUNTER},
    [HX_STAT_UNSEEN_LINES] = {"unseen_lines", HX_STAT_COUNTER},
    [HX_STAT_CLOCK_AHEAD] = {"clock_ahead_lines", HX_STAT_COUNTER},
    [HX_STAT_BYTES] = {"bytes", HX_STAT_COUNTER},
    [HX_STAT_BATCHES] = {"batches", HX_STAT_COUNTER},
    [HX_STAT_EVENTS] = {"events", HX_STAT_COUNTER},
    [HX_STAT_UNSEEN_EVENTS] = {"unseen_events", HX_STAT_COUNTER},
    [HX_STAT_WINDOWS] = {"windows", HX_STAT_COUNTER},
    [HX_STAT_MEMO_HITS] = {"memo_hits", HX_STAT_COUNTER},
    [HX_STAT_MODEL_WINDOWS] = {"model_windows", HX_STAT_COUNTER},
    [HX_STAT_MODEL_RUNS] = {"model_runs", HX_STAT_COUNTER},
    [HX_STAT_MEMO_EVICTED] = {"memo_evicted", HX_STAT_COUNTER},
    [HX_STAT_UNSCORED] = {"unscored", HX_STAT_COUNTER},
    [HX_STAT_SESSIONS_OPENED] = {"sessions_opened", HX_STAT_COUNTER},
    [HX_STAT_SESSIONS_ENDED] = {"sessions_ended", HX_STAT_COUNTER},
    [HX_STAT_SESSIONS_EVICTED] = {"sessions_evicted", HX_STAT_COUNTER},
    [HX_STAT_SESSIONS_CUT] = {"sessions_cut", HX_STAT_COUNTER},
    [HX_STAT_HOLES] = {"holes", HX_STAT_COUNTER},
    [HX_STAT_TORN_SESSIONS] = {"torn_sessions", HX_STAT_COUNTER},
    [HX_STAT_TORN_EVENTS] = {"torn_events", HX_STAT_COUNTER},
    [HX_STAT_TORN_ENDS] = {"torn_ends", HX_STAT_COUNTER},
    [HX_STAT_ALERTS] = {"alerts", HX_STAT_COUNTER},
    [HX_STAT_ALERTS_SUPPRESSED] = {"alerts_suppressed", HX_STAT_COUNTER},
    [HX_STAT_ALERTS_KNOWN] = {"alerts_known", HX_STAT_COUNTER},
    [HX_STAT_ALERTS_OVER] = {"alerts_over", HX_STAT_COUNTER},
    [HX_STAT_NOVELTIES_SUPPRESSED] = {"novelties_suppressed", HX_STAT_COUNTER},
    [HX_STAT_ALLOWED_ALERTS] = {"allowed_alerts", HX_STAT_COUNTER},
    [HX_STAT_RULE_HITS_DENY] = {"rule_hits_deny", HX_STAT_COUNTER},
    [HX_STAT_RULE_HITS_ALLOW] = {"rule_hits_allow", HX_STAT_COUNTER},
    [HX_STAT_RULE_HITS_ESCALATE] = {"rule_hits_escalate", HX_STAT_COUNTER},
    [HX_STAT_RULE_ALERTS_OVER] = {"rule_alerts_over", HX_STAT_COUNTER},
    [HX_STAT_RULE_KNOWN] = {"rule_texts_known", HX_STAT_COUNTER},
    [HX_STAT_RULE_SCANS] = {"rule_scans", HX_STAT_COUNTER},
    [HX_STAT_MSCRED_LATE] = {"mscred_late_events", HX_STAT_COUNTER},
    [HX_STAT_MSCRED_UNSCORED] = {"mscred_unscored_moments", HX_STAT_COUNTER},
    [HX_STAT_SESSIONS_OPEN] = {"sessions_open", HX_STAT_GAUGE},
    [HX_STAT_BATCH_NS] = {"batch_ns", HX_STAT_HISTOGRAM},
    [HX_STAT_STAGE1_US] = {"stage1_us", HX_STAT_HISTOGRAM},
    [HX_STAT_STAGE2_US] = {"stage2_us", HX_STAT_HISTOGRAM},
    [HX_STAT_ALERT_LATENCY_US] = {"alert_latency_us", HX_STAT_HISTOGRAM},
};

static int make_room(hx_worker *w, const hx_bundle *bundle, hx_error *err)
{
    size_t classes = bundle->deeplog.classes;
    int64_t *tokens = calloc((size_t)HX_PENDING_MAX * bundle->window, sizeof *tokens);
    float *rows = calloc(HX_PENDING_MAX * classes, sizeof *rows);
    float *told = calloc(HX_TOLD_MAX * classes, sizeof *told);

    if (!tokens || !rows || !told) {
        free(tokens);
        free(rows);
        free(told);
        return hx_error_set(err, HX_ENOMEM, "worker: out of memory");
    }
    free(w->tokens);
    free(w->rows);
    free(w->told);
    w->tokens = tokens;
    w->rows = rows;
    w->told = told;
    memset(w->told_of, 0, sizeof w->told_of);
    return 0;
}

int hx_worker_make_front(hx_worker *worker, const hx_bundle *bundle, hx_error *err)
{
    hx_worker *w = worker;
    hx_front *front;
    int rc;

    if (w->front && w->front_epoch == bundle->epoch)
        return 0;
    rc = hx_front_create(bundle->format, bundle->matcher, &bundle->rule, &front, err);
    if (rc)
        return rc;
    if (hx_detector_set_wants_hosts(&bundle->detectors))
        hx_front_watch_hosts(front, w->shared->host_numbers);
    if (hx_detector_set_wants_processes(&bundle->detectors))
        hx_front_watch_processes(front, w->shared->process_numbers);
    if (hx_detector_set_values(&bundle->detectors) &&
        hx_front_watch_values(front, hx_detector_set_values(&bundle->detectors))) {
        hx_front_destroy(front);
        return hx_error_set(err, HX_ENOMEM, "worker: no memory to check values");
    }
    hx_front_destroy(w->front);
    w->front = front;
    w->front_epoch = bundle->epoch;
    return 0;
}

static void look_beside(hx_worker *w)
{
    w->sessions.beside = w->room.sessions;
    w->sessions.grown = w->room.grown;
    w->sessions.beside_bytes = w->room.set->session_bytes;
}

static int make_detector_room(hx_worker *w, const hx_bundle *bundle, hx_error *err)
{
    if (hx_detector_room_init(&w->room, &bundle->detectors, w->index, w->shared->workers,
                              w->sessions.slot_count))
        return hx_error_set(err, HX_ENOMEM, "worker: no memory for its detectors");
    w->reporter = (hx_worker_reporter){
        {HX_TIME_NONE, HX_TIME_NONE, hx_judge_report, {0, 0}}, w, 0, HX_SESSION_NONE};
    look_beside(w);
    return 0;
}

int hx_worker_create(const hx_worker_shared *shared, uint32_t index, const hx_bundle *bundle,
                     hx_worker **out, hx_error *err)
{
    hx_worker *w = calloc(1, sizeof *w);
    uint32_t max_open = (bundle->max_open + shared->workers - 1) / shared->workers;
    int rc;

    if (!w)
        return hx_error_set(err, HX_ENOMEM, "worker: out of memory");
    w->shared = shared;
    w->index = index;
    w->bundle = bundle;
    w->watermark_us = w->swept_us = HX_TIME_NONE;
    w->sweep_us = HX_TIME_NONE + 1; /* at the first time there is */
    atomic_init(&w->epoch, bundle->epoch);
    w->batch_ns = hx_stats_histogram(shared->stats, index, HX_STAT_BATCH_NS);
    w->stage1_us = hx_stats_histogram(shared->stats, index, HX_STAT_STAGE1_US);
    w->stage2_us = hx_stats_histogram(shared->stats, index, HX_STAT_STAGE2_US);
    w->credit_ns = hx_worker_credit_most(shared);
    w->credit_at = hx_worker_now_ns(CLOCK_MONOTONIC);
    w->alert_latency_us = hx_stats_histogram(shared->stats, index, HX_STAT_ALERT_LATENCY_US);
    rc = hx_worker_make_front(w, bundle, err);
    if (!rc)
        rc = make_room(w, bundle, err);
    if (!rc && (hx_sessions_init(&w->sessions, max_open) ||
                hx_memo_init(&w->memo, bundle->window, shared->memo_entries) ||
                hx_novelty_init(&w->novelty, shared->max_shapes) || hx_holes_init(w)))
        rc = hx_error_set(err, HX_ENOMEM, "worker: no memory for %u sessions and %u memo entries",
                          max_open, shared->memo_entries);
    if (!rc)
        rc = make_detector_room(w, bundle, err);
    if (rc) {
        hx_worker_destroy(w);
        return rc;
    }
    *out = w;
    return 0;
}

void hx_worker_destroy(hx_worker *worker)
{
    if (!worker)
        return;
    hx_front_destroy(worker->front);
    hx_sessions_free(&worker->sessions);
    hx_memo_free(&worker->memo);
    hx_novelty_free(&worker->novelty);
    hx_detector_room_free(&worker->room);
    free(worker->holes);
    free(worker->tokens);
    free(worker->rows);
    free(worker->told);
    hx_text_free(&worker->out);
    free(worker);
}

typedef struct key_place {
    uint64_t hash;
    uint16_t token;
} key_place;

static int compare_places(const void *a, const void *b)
{
    uint64_t x = ((const key_place *)a)->hash, y = ((const key_place *)b)->hash;

    return x < y ? -1 : x > y;
}

uint16_t *hx_worker_token_map(const hx_bundle *bundle, const uint64_t *key_hash, uint32_t key_count)
{
    uint16_t *map = calloc((size_t)key_count + 3, sizeof *map);
    key_place *places = calloc((size_t)bundle->log_keys + 1, sizeof *places);

    if (!map || !places) {
        free(map);
        free(places);
        return NULL;
    }
    for (uint32_t k = 0; k < bundle->log_keys; k++)
        places[k] = (key_place){bundle->key_hash[k], bundle->token_of_key[k]};
    qsort(places, bundle->log_keys, sizeof *places, compare_places);
    for (uint32_t k = 0; k < key_count; k++) {
        const key_place want = {key_hash[k], 0};
        const key_place *found =
            bsearch(&want, places, bundle->log_keys, sizeof *places, compare_places);

        map[k] = found ? found->token : bundle->deeplog.unseen;
    }
    map[key_count] = bundle->deeplog.begin;
    map[key_count + 1] = bundle->deeplog.end;
    map[key_count + 2] = bundle->deeplog.unseen;
    free(places);
    return map;
}

void hx_worker_translate(hx_session *s, const uint16_t *map, uint32_t old_window,
                         const hx_bundle *bundle)
{
    uint16_t old[HX_WINDOW_MAX];
    uint32_t h = bundle->window;

    memcpy(old, s->window, old_window * sizeof *old);
    for (uint32_t i = 0; i < h; i++) {
        uint32_t back = h - i; /* 1: the newest */

        s->window[i] = back <= old_window ? map[old[old_window - back]] : bundle->deeplog.begin;
    }
    s->worst_token = map[s->worst_token];
}

/* Another bundle may have another window. */
static void grow_sessions(hx_worker *w)
{
    for (uint32_t slot = 0; slot < w->sessions.touched; slot++) {
        uint32_t count;
        const uint16_t *tokens = hx_judge_tokens(w, &w->sessions.slots[slot], &count);

        if ((w->sessions.slots[slot].flags & HX_SESSION_OPEN) && !hx_detector_grown(&w->room, slot))
            hx_detector_session_grows(&w->room, slot, tokens, count);
    }
}

/* Between two batches, and with nothing pending. Open sessions go on: their windows are translated,
 * the memo starts empty. */
int hx_worker_adopt(hx_worker *worker, const hx_bundle *bundle, hx_error *err)
{
    hx_worker *w = worker;
    const hx_bundle *old = w->bundle;
    uint16_t *map = hx_worker_token_map(bundle, old->key_hash, old->log_keys);
    hx_memo memo;
    int rc;

    if (!map || hx_memo_init(&memo, bundle->window, w->shared->memo_entries)) {
        free(map);
        return hx_error_set(err, HX_ENOMEM, "worker: no memory to take up bundle %s",
                            bundle->digest);
    }
    rc = hx_worker_make_front(w, bundle, err);
    if (!rc)
        rc = make_room(w, bundle, err);
    if (!rc)
        grow_sessions(w);
    if (!rc && hx_detector_room_adopt(&w->room, &bundle->detectors, w->index, w->shared->workers,
                                      w->sessions.touched, map, old->log_keys + 3))
        rc = hx_error_set(err, HX_ENOMEM, "worker: no memory to take up bundle %s", bundle->digest);
    if (rc) {
        hx_memo_free(&memo);
        free(map);
        return rc;
    }
    for (uint32_t slot = 0; slot < w->sessions.touched; slot++)
        if (w->sessions.slots[slot].flags & HX_SESSION_OPEN)
            hx_worker_translate(&w->sessions.slots[slot], map, old->window, bundle);
    free(map);
    look_beside(w);
    memo.evictions = w->memo.evictions;
    hx_memo_free(&w->memo);
    w->memo = memo;
    w->bundle = bundle;
    atomic_store(&w->epoch, bundle->epoch);
    w->model_broken = false;
    return 0;
}

void hx_worker_observed(const hx_worker *worker, hx_text *out)
{
    const hx_detector_set *set = worker->room.set;
    hx_text members = {0};

    for (uint32_t i = 0; i < set->count; i++) {
        if (set->detector[i]->observed)
            set->detector[i]->observed(worker->room.state[i], &members);
        if (!members.len)
            continue;
        hx_text_json_key(out, set->detector[i]->name);
        hx_text_str(out, "{");
        hx_text_bytes(out, members.ptr, members.len);
        hx_text_str(out, "}");
        members.len = 0;
    }
    out->failed |= members.failed;
    hx_text_free(&members);
}

uint64_t hx_worker_epoch(const hx_worker *worker)
{
    return atomic_load(&worker->epoch);
}

uint64_t hx_worker_rules_epoch(const hx_worker *worker)
{
    return atomic_load(&worker->rules_epoch);
}
