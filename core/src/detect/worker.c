#include "detect/judge.h"

#include <stdlib.h>
#include <time.h>

/* How many events ahead the session table's lines are asked for: enough to hide a memory access
 * behind the work on the events between. */
#define AHEAD_INDEX 24
#define AHEAD_SLOT  12
/* How many slots a search for idle sessions is ahead of itself. */
#define AHEAD_SWEEP 24
/* What the model may take at once where it was not asked for a while, in its share's seconds. */
#define CREDIT_MOST_S 1.0

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
    [HX_STAT_ALERTS] = {"alerts", HX_STAT_COUNTER},
    [HX_STAT_ALERTS_SUPPRESSED] = {"alerts_suppressed", HX_STAT_COUNTER},
    [HX_STAT_ALERTS_KNOWN] = {"alerts_known", HX_STAT_COUNTER},
    [HX_STAT_NOVELTIES_SUPPRESSED] = {"novelties_suppressed", HX_STAT_COUNTER},
    [HX_STAT_ALLOWED_ALERTS] = {"allowed_alerts", HX_STAT_COUNTER},
    [HX_STAT_RULE_HITS_DENY] = {"rule_hits_deny", HX_STAT_COUNTER},
    [HX_STAT_RULE_HITS_ALLOW] = {"rule_hits_allow", HX_STAT_COUNTER},
    [HX_STAT_RULE_HITS_ESCALATE] = {"rule_hits_escalate", HX_STAT_COUNTER},
    [HX_STAT_RULE_ALERTS_OVER] = {"rule_alerts_over", HX_STAT_COUNTER},
    [HX_STAT_RULE_KNOWN] = {"rule_texts_known", HX_STAT_COUNTER},
    [HX_STAT_RULE_SCANS] = {"rule_scans", HX_STAT_COUNTER},
    [HX_STAT_SESSIONS_OPEN] = {"sessions_open", HX_STAT_GAUGE},
    [HX_STAT_BATCH_NS] = {"batch_ns", HX_STAT_HISTOGRAM},
    [HX_STAT_STAGE1_US] = {"stage1_us", HX_STAT_HISTOGRAM},
    [HX_STAT_STAGE2_US] = {"stage2_us", HX_STAT_HISTOGRAM},
    [HX_STAT_ALERT_LATENCY_US] = {"alert_latency_us", HX_STAT_HISTOGRAM},
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- making and changing -----------------------------------------------------------------------
 */

static int make_room(hx_worker *w, const hx_bundle *bundle, hx_error *err)
{
    size_t classes = bundle->deeplog.classes;
    int64_t *tokens = calloc((size_t)HX_PENDING_MAX * bundle->window, sizeof *tokens);
    float *rows = calloc(HX_PENDING_MAX * classes, sizeof *rows);
    float *one_row = calloc(classes, sizeof *one_row);

    if (!tokens || !rows || !one_row) {
        free(tokens);
        free(rows);
        free(one_row);
        return hx_error_set(err, HX_ENOMEM, "worker: out of memory");
    }
    free(w->tokens);
    free(w->rows);
    free(w->one_row);
    w->tokens = tokens;
    w->rows = rows;
    w->one_row = one_row;
    return 0;
}

static int64_t credit_most(const hx_worker_shared *shared)
{
    return (int64_t)(shared->ml_share * CREDIT_MOST_S * 1e9);
}

static int make_front(hx_worker *w, const hx_bundle *bundle, hx_error *err)
{
    hx_front *front;
    int rc;

    if (w->front && w->front_epoch == bundle->epoch)
        return 0;
    rc = hx_front_create(bundle->format, bundle->matcher, &bundle->rule, &front, err);
    if (rc)
        return rc;
    if (hx_detector_set_wants_hosts(&bundle->detectors))
        hx_front_watch_hosts(front);
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
    w->sessions.beside_bytes = w->room.set->session_bytes;
}

static int make_detector_room(hx_worker *w, const hx_bundle *bundle, hx_error *err)
{
    if (hx_detector_room_init(&w->room, &bundle->detectors, w->index, w->shared->workers,
                              w->sessions.slot_count))
        return hx_error_set(err, HX_ENOMEM, "worker: no memory for its detectors");
    w->reporter = (hx_worker_reporter){{HX_TIME_NONE, hx_judge_report}, w, 0, HX_SESSION_NONE};
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
    atomic_init(&w->epoch, bundle->epoch);
    w->batch_ns = hx_stats_histogram(shared->stats, index, HX_STAT_BATCH_NS);
    w->stage1_us = hx_stats_histogram(shared->stats, index, HX_STAT_STAGE1_US);
    w->stage2_us = hx_stats_histogram(shared->stats, index, HX_STAT_STAGE2_US);
    w->credit_ns = credit_most(shared);
    w->credit_at = now_ns(CLOCK_MONOTONIC);
    w->alert_latency_us = hx_stats_histogram(shared->stats, index, HX_STAT_ALERT_LATENCY_US);
    rc = make_front(w, bundle, err);
    if (!rc)
        rc = make_room(w, bundle, err);
    if (!rc && (hx_sessions_init(&w->sessions, max_open) ||
                hx_memo_init(&w->memo, bundle->window, shared->memo_entries) ||
                hx_novelty_init(&w->novelty, shared->max_shapes)))
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
    free(worker->tokens);
    free(worker->rows);
    free(worker->one_row);
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

/* Between two batches, and with nothing pending. Open sessions go on: their windows are translated,
 * the memo starts empty. */
static int adopt(hx_worker *w, const hx_bundle *bundle, hx_error *err)
{
    const hx_bundle *old = w->bundle;
    uint16_t *map = hx_worker_token_map(bundle, old->key_hash, old->log_keys);
    hx_memo memo;
    int rc;

    if (!map || hx_memo_init(&memo, bundle->window, w->shared->memo_entries)) {
        free(map);
        return hx_error_set(err, HX_ENOMEM, "worker: no memory to take up bundle %s",
                            bundle->digest);
    }
    rc = make_front(w, bundle, err);
    if (!rc)
        rc = make_room(w, bundle, err);
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

/* --- sessions ----------------------------------------------------------------------------------
 */

static void close_session(hx_worker *w, uint32_t slot, hx_item_kind kind)
{
    hx_sessions_unlink(&w->sessions, slot);
    w->count[kind == HX_ITEM_END ? HX_STAT_SESSIONS_ENDED : HX_STAT_SESSIONS_CUT]++;
    hx_judge_event(w, slot, w->bundle->deeplog.end, HX_NO_EVENT, kind);
}

static inline bool is_idle(const hx_worker *w, const hx_session *s, int64_t watermark_us)
{
    return s->watermark_us != HX_TIME_NONE && watermark_us != HX_TIME_NONE &&
           watermark_us - s->watermark_us > w->bundle->idle_us;
}

static void end_sessions(hx_worker *w, const uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        hx_sessions_prefetch_unlink(&w->sessions, slots[i]);
    for (uint32_t i = 0; i < count; i++) {
        close_session(w, slots[i], HX_ITEM_END);
        /* The closing ones hold slots until they are judged. */
        if (w->sessions.closing >= HX_ITEMS_MAX / 4)
            hx_judge_settle(w);
    }
}

/* Ends every session that is idle at this watermark. When it runs changes nothing but when an alert
 * is written: an event that comes after the idle time opens a new session in any case. */
static void sweep(hx_worker *w, int64_t watermark_us)
{
    uint32_t idle[AHEAD_SLOT], count = 0;

    if (watermark_us == HX_TIME_NONE ||
        (w->swept_us != HX_TIME_NONE && watermark_us - w->swept_us < w->bundle->idle_us / 4))
        return;
    w->swept_us = watermark_us;
    for (uint32_t slot = 0; slot < w->sessions.touched; slot++) {
        const hx_session *s = &w->sessions.slots[slot];

        if (slot + AHEAD_SWEEP < w->sessions.touched)
            __builtin_prefetch(s + AHEAD_SWEEP);
        if (!(s->flags & HX_SESSION_OPEN) || !is_idle(w, s, watermark_us))
            continue;
        hx_sessions_prefetch_end(&w->sessions, slot);
        idle[count++] = slot;
        if (count == AHEAD_SLOT) {
            end_sessions(w, idle, count);
            count = 0;
        }
    }
    end_sessions(w, idle, count);
}

static uint32_t open_session(hx_worker *w, const hx_event *e, int64_t before_us)
{
    uint32_t slot;

    if (w->sessions.open == w->sessions.max_open) {
        uint32_t victim = hx_sessions_victim(&w->sessions, before_us);

        w->count[HX_STAT_SESSIONS_EVICTED]++;
        w->count[HX_STAT_SESSIONS_CUT]--;
        close_session(w, victim, HX_ITEM_RELEASE);
    }
    if (!hx_sessions_has_slot(&w->sessions))
        hx_judge_settle(w);
    w->count[HX_STAT_SESSIONS_OPENED]++;
    slot = hx_sessions_open(&w->sessions, e, w->bundle->window, w->bundle->deeplog.begin);
    hx_detector_session_opens(&w->room, slot);
    return slot;
}

/* The other detectors' look at an event, before deeplog's. */
static inline void show_event(hx_worker *w, uint32_t slot, const hx_event *e, uint16_t token)
{
    const hx_detector_set *set = w->room.set;

    for (uint32_t i = 0; i < set->count; i++) {
        if (!set->detector[i]->event || (set->detector[i]->only_odd && !e->odd_value))
            continue;
        w->reporter.detector = i;
        w->reporter.slot = slot;
        set->detector[i]->event(set->model[i], w->room.state[i],
                                hx_detector_session(&w->room, slot, i), e, w->batch->buffer, token,
                                &w->reporter.base);
    }
}

/* What is not of a session: every line of the batch, and the time that has come. */
static void show_batch(hx_worker *w, const hx_batch *batch)
{
    const hx_detector_set *set = w->room.set;

    w->reporter.slot = HX_SESSION_NONE;
    for (uint32_t i = 0; i < set->count; i++) {
        w->reporter.detector = i;
        if (set->detector[i]->lines)
            set->detector[i]->lines(set->model[i], w->room.state[i], batch->events,
                                    batch->event_count, batch->buffer, &w->reporter.base);
        if (set->detector[i]->advance && w->watermark_us != HX_TIME_NONE)
            set->detector[i]->advance(set->model[i], w->room.state[i], w->watermark_us,
                                      &w->reporter.base);
    }
}

static void take_event(hx_worker *w, const hx_event *e, uint32_t index, int64_t base_us)
{
    int64_t before_us = e->earlier_us > base_us ? e->earlier_us : base_us;
    const uint16_t token = hx_bundle_token(w->bundle, e->key);
    uint32_t slot;
    hx_session *s;

    sweep(w, before_us);
    slot = hx_sessions_find(&w->sessions, e);
    if (slot != HX_SESSION_NONE &&
        __builtin_expect(is_idle(w, &w->sessions.slots[slot], before_us), 0)) {
        close_session(w, slot, HX_ITEM_END);
        slot = HX_SESSION_NONE;
    }
    if (slot == HX_SESSION_NONE)
        slot = open_session(w, e, before_us);
    s = &w->sessions.slots[slot];
    s->watermark_us = e->time_us > before_us ? e->time_us : before_us;
    s->last_us = e->time_us;
    s->last_offset = w->batch->chunk.offset + e->line;
    s->last_input = w->batch->chunk.input;
    s->last_identity = (uint32_t)w->batch->chunk.identity;
    w->count[HX_STAT_EVENTS]++;
    show_event(w, slot, e, token);
    hx_judge_event(w, slot, token, index, HX_ITEM_EVENT);
    if (e->ends_session)
        close_session(w, slot, HX_ITEM_END);
}

/* What the rules say of the event at this index, their alerts made. *next: the first ruling that is
 * of no earlier event. */
static hx_ruling obey(hx_worker *w, const hx_batch *batch, uint32_t index, uint32_t *next)
{
    hx_ruling first = {index, HX_NO_RULE, 0, 0};

    while (*next < batch->ruling_count && batch->rulings[*next].event < index)
        ++*next;
    if (*next < batch->ruling_count && batch->rulings[*next].event == index)
        first = batch->rulings[*next];
    for (; *next < batch->ruling_count && batch->rulings[*next].event == index; ++*next)
        if (batch->rulings[*next].rule != HX_NO_RULE)
            hx_judge_deny(w, &batch->rulings[*next]);
    return first;
}

static void take_events(hx_worker *w, const hx_batch *batch)
{
    const uint32_t workers = w->shared->workers;
    const uint32_t *owned =
        workers > 1 ? batch->owned + (size_t)w->index * hx_front_capacity(batch->capacity) : NULL;
    const uint32_t n = owned ? batch->owned_count[w->index] : batch->event_count;
    const hx_event *events = batch->events;
    const int64_t base_us = w->watermark_us;
    uint32_t next_ruling = 0;

    w->ruling = (hx_ruling){0, HX_NO_RULE, 0, 0};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = owned ? owned[i] : i;

        if (i + AHEAD_INDEX < n)
            hx_sessions_prefetch_index(
                &w->sessions, events[owned ? owned[i + AHEAD_INDEX] : i + AHEAD_INDEX].session);
        if (i + AHEAD_SLOT < n)
            hx_sessions_prefetch_slot(
                &w->sessions, events[owned ? owned[i + AHEAD_SLOT] : i + AHEAD_SLOT].session);
        if (__builtin_expect(batch->ruling_count != 0, 0))
            w->ruling = obey(w, batch, at, &next_ruling);
        take_event(w, &events[at], at, base_us);
    }
}

/* --- novelties ---------------------------------------------------------------------------------
 */

static void take_novelties(hx_worker *w, const hx_batch *batch)
{
    const int64_t repeat_us =
        w->shared->repeat_us >= 0 ? w->shared->repeat_us : w->bundle->repeat_us;

    for (uint32_t i = 0; i < batch->novel_count; i++) {
        const hx_novel *n = &batch->novel[i];
        hx_ruling ruling;
        const hx_event *e = &batch->events[n->event];
        hx_alert alert = {
            .kind = e->key == HX_KEY_UNSEEN ? HX_ALERT_NEW_SHAPE : HX_ALERT_NEW_KEY,
            .stage = 1,
            .time_us = e->time_us,
            .session = hx_slice_make(e->name, e->name_len),
            .key = e->key,
            .severity = e->severity,
            .source = batch->source,
            .identity = batch->chunk.identity,
            .offset = batch->chunk.offset + e->line,
            .line = hx_slice_make(batch->buffer + e->line, e->length),
        };

        alert.content = hx_hash_bytes(alert.line.ptr, alert.line.len, n->id);

        if (hx_batch_owner(n->id, w->shared->workers) != w->index)
            continue;
        ruling = hx_batch_ruling(batch, n->event);
        alert.lifted = ruling.escalated;
        if (ruling.allowed) { /* it has not been reported: the next one may be */
            w->count[HX_STAT_ALLOWED_ALERTS] +=
                hx_novelty_due(&w->novelty, n->id, e->time_us, repeat_us);
            continue;
        }
        if (hx_novelty_note(&w->novelty, n->id, e->time_us, repeat_us, &alert.since))
            hx_judge_emit(w, &alert);
        else
            w->count[HX_STAT_NOVELTIES_SUPPRESSED]++;
    }
}

/* --- a batch -----------------------------------------------------------------------------------
 */

/* What the reading of a batch added to what its rules have counted. */
static void count_rules(hx_worker *w, const hx_batch *batch, const hx_rule_counters *before)
{
    const hx_rule_counters *now = hx_rule_seat_counters(hx_rules_seat(batch->rules, w->index));

    for (uint32_t action = 0; action < HX_RULE_ACTIONS; action++)
        w->count[HX_STAT_RULE_HITS_DENY + action] += now->hits[action] - before->hits[action];
    w->count[HX_STAT_RULE_KNOWN] += now->known - before->known;
    w->count[HX_STAT_RULE_SCANS] += now->scans - before->scans;
    w->count[HX_STAT_RULE_ALERTS_OVER] += batch->rules_over;
}

int hx_worker_read(hx_worker *worker, hx_batch *batch, hx_error *err)
{
    /* A front for a new bundle; the sessions follow when the worker judges the same batch. */
    int rc = make_front(worker, batch->bundle, err);
    hx_rule_counters before = {{0}, 0, 0};

    if (rc)
        return rc;
    if (batch->rules)
        before = *hx_rule_seat_counters(hx_rules_seat(batch->rules, worker->index));
    batch->read_ns = now_ns(CLOCK_MONOTONIC);
    hx_batch_read(batch, worker->front, worker->index, worker->shared->workers);
    if (batch->rules)
        count_rules(worker, batch, &before);
    batch->read_ns = now_ns(CLOCK_MONOTONIC) - batch->read_ns;
    worker->count[HX_STAT_LINES] += batch->counted.lines;
    worker->count[HX_STAT_EMPTY] += batch->counted.empty;
    worker->count[HX_STAT_MALFORMED] += batch->counted.malformed;
    worker->count[HX_STAT_UNSEEN_LINES] += batch->counted.unseen;
    worker->count[HX_STAT_CLOCK_AHEAD] += batch->clock_ahead;
    worker->count[HX_STAT_BYTES] += batch->chunk.length;
    worker->count[HX_STAT_BATCHES]++;
    return 0;
}

/* The end of the input: what is idle or told to end, ends; the rest is cut, and not judged as if it
 * had ended. */
static void finish_sessions(hx_worker *w, bool close_all)
{
    for (uint32_t slot = 0; slot < w->sessions.touched; slot++) {
        const hx_session *s = &w->sessions.slots[slot];
        bool ends = close_all || is_idle(w, s, w->watermark_us);

        if (!(s->flags & HX_SESSION_OPEN))
            continue;
        close_session(w, slot, ends ? HX_ITEM_END : HX_ITEM_RELEASE);
        if (w->sessions.closing >= HX_ITEMS_MAX / 4)
            hx_judge_settle(w);
    }
    hx_judge_settle(w);
}

static int write_alerts(hx_worker *w, hx_error *err)
{
    int64_t late_us = (int64_t)(now_ns(CLOCK_REALTIME) / 1000) - w->batch->chunk.arrival_us;
    int rc;

    if (w->out.failed)
        return hx_error_set(err, HX_ENOMEM, "alerts: out of memory");
    if (!w->out.len)
        return 0;
    rc = hx_alert_sink_write(w->shared->sink, w->out.ptr, w->out.len, w->shared->give_up);
    for (size_t at = 0; at < w->out.len; at++)
        if (w->out.ptr[at] == '\n' && w->batch->chunk.length)
            hx_histogram_record(w->alert_latency_us, (uint64_t)(late_us > 0 ? late_us : 0));
    w->out.len = 0;
    return rc ? hx_error_set(err, rc, "alerts: cannot be written") : 0;
}

static void note_latest(hx_worker *w, int64_t time_us)
{
    int64_t have = atomic_load_explicit(w->shared->latest_us, memory_order_relaxed);

    while (time_us > have && !atomic_compare_exchange_weak(w->shared->latest_us, &have, time_us))
        ;
}

static void publish(hx_worker *w, uint64_t started_ns)
{
    w->count[HX_STAT_MEMO_EVICTED] = w->memo.evictions;
    for (uint32_t i = 0; i < HX_STAT_SESSIONS_OPEN; i++)
        hx_stat_set(hx_stats_value(w->shared->stats, w->index, i), w->count[i]);
    hx_stat_set(hx_stats_value(w->shared->stats, w->index, HX_STAT_SESSIONS_OPEN),
                w->sessions.open);
    hx_histogram_record(w->batch_ns, now_ns(CLOCK_MONOTONIC) - started_ns);
}

/* How long each line was in stage one: until the last of its batch was through, the model's time
 * not counted. */
static void note_stage_one(hx_worker *w, const hx_batch *batch, uint64_t started_ns)
{
    const uint64_t ns = batch->read_ns + now_ns(CLOCK_MONOTONIC) - started_ns;

    hx_histogram_record_many(w->stage1_us, (ns > w->model_ns ? ns - w->model_ns : 0) / 1000,
                             batch->owned ? batch->owned_count[w->index] : batch->event_count);
}

/* The model's share of the time that has passed; what is not used is kept for a second. */
static void give_credit(hx_worker *w, uint64_t at_ns)
{
    const int64_t most = credit_most(w->shared);

    if (w->shared->ml_share <= 0)
        return;
    w->credit_ns += (int64_t)((double)(at_ns - w->credit_at) * w->shared->ml_share);
    if (w->credit_ns > most)
        w->credit_ns = most;
    w->credit_at = at_ns;
}

int hx_worker_judge(hx_worker *worker, hx_batch *batch, hx_error *err)
{
    hx_worker *w = worker;
    uint64_t started_ns = now_ns(CLOCK_MONOTONIC);
    int rc = 0;

    if (batch->bundle != w->bundle)
        rc = adopt(w, batch->bundle, err);
    if (rc)
        return rc;
    atomic_store_explicit(&w->rules_epoch, hx_rules_epoch(batch->rules), memory_order_release);
    w->batch = batch;
    w->model_windows = 0;
    w->model_ns = 0;
    give_credit(w, started_ns);
    w->reporter.base.before_us = w->watermark_us;
    take_events(w, batch);
    if (batch->latest_us > w->watermark_us)
        w->watermark_us = batch->latest_us;
    note_latest(w, batch->latest_us);
    if (batch->tick_us > w->watermark_us)
        w->watermark_us = batch->tick_us;
    sweep(w, w->watermark_us);
    hx_judge_settle(w);
    note_stage_one(w, batch, started_ns);
    hx_memo_grow(&w->memo);
    show_batch(w, batch);
    take_novelties(w, batch);
    if (batch->last && (batch->close_all || !batch->checkpoint))
        finish_sessions(w, batch->close_all);
    rc = write_alerts(w, err);
    publish(w, started_ns);
    return rc;
}
