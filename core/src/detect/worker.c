#include "detect/holes.h"
#include "detect/idle.h"

#include <stdlib.h>
#include <time.h>

/* How many events ahead the session table's lines are asked for: enough to hide a memory access
 * behind the work on the events between. */
#define AHEAD_INDEX 24
#define AHEAD_SLOT  12
/* --- sessions ----------------------------------------------------------------------------------
 */

static uint32_t open_session(hx_worker *w, const hx_event *e, int64_t before_us)
{
    uint32_t slot;

    if (w->sessions.open == w->sessions.max_open) {
        uint32_t victim = hx_sessions_victim(&w->sessions, before_us);

        w->count[HX_STAT_SESSIONS_EVICTED]++;
        w->count[HX_STAT_SESSIONS_CUT]--;
        hx_idle_close(w, victim, HX_ITEM_RELEASE);
    }
    if (!hx_sessions_has_slot(&w->sessions))
        hx_judge_settle(w);
    w->count[HX_STAT_SESSIONS_OPENED]++;
    slot = hx_sessions_open(&w->sessions, e, w->bundle->window, w->bundle->deeplog.begin);
    hx_detector_session_opens(&w->room, slot);
    return slot;
}

static void show_event_to(hx_worker *w, const struct hx_detector_places *places, uint32_t slot,
                          const hx_event *e, uint16_t token)
{
    const hx_detector_set *set = w->room.set;

    w->reporter.slot = slot;
    for (uint32_t k = 0; k < places->count; k++) {
        const uint32_t i = places->at[k];

        w->reporter.detector = i;
        set->detector[i]->event(set->model[i], w->room.state[i],
                                hx_detector_session(&w->room, slot, i), e, w->batch->buffer, token,
                                &w->reporter.base);
    }
}

/* What is kept of a session, for one more event. Nothing is, while the window has room for that
 * event, for one more and for the end: the session is all in it. */
static inline void keep_event(hx_worker *w, uint32_t slot, const hx_event *e, uint16_t token)
{
    const uint16_t *window = w->sessions.slots[slot].window;
    uint32_t count;

    if (!hx_detector_grown(&w->room, slot)) {
        if (hx_judge_keeps_tokens(w) && window[2] == w->bundle->deeplog.begin)
            return;
        window = hx_judge_tokens(w, &w->sessions.slots[slot], &count);
        hx_detector_session_grows(&w->room, slot, window, count);
    }
    show_event_to(w, &w->room.set->of_kept, slot, e, token);
}

/* The other detectors' look at an event, before deeplog's. */
static inline void show_event(hx_worker *w, uint32_t slot, const hx_event *e, uint16_t token)
{
    const hx_detector_set *set = w->room.set;

    if (set->of_kept.count)
        keep_event(w, slot, e, token);
    if (__builtin_expect(set->of_all.count != 0, 0))
        show_event_to(w, &set->of_all, slot, e, token);
    if (__builtin_expect(e->odd_value && set->of_odd.count, 0))
        show_event_to(w, &set->of_odd, slot, e, token);
}

/* What is not of a session: every line of the batch, and the time that has come. */
static void show_batch(hx_worker *w, const hx_batch *batch)
{
    const hx_detector_set *set = w->room.set;

    const hx_seen_lines lines = {batch->seen, batch->seen_count, batch->events, batch->event_count,
                                 batch->buffer};

    w->reporter.slot = HX_SESSION_NONE;
    for (uint32_t i = 0; i < set->count; i++) {
        w->reporter.detector = i;
        if (set->detector[i]->lines)
            set->detector[i]->lines(set->model[i], w->room.state[i], &lines, &w->reporter.base);
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

    hx_idle_sweep(w, before_us);
    slot = hx_sessions_find(&w->sessions, e);
    if (slot != HX_SESSION_NONE &&
        __builtin_expect(hx_idle_is(w, &w->sessions.slots[slot], before_us), 0)) {
        hx_idle_close(w, slot, HX_ITEM_END);
        slot = HX_SESSION_NONE;
    }
    if (slot == HX_SESSION_NONE)
        slot = open_session(w, e, before_us);
    else if (__builtin_expect(w->met_hole, 0))
        hx_holes_cross(w, &w->sessions.slots[slot], e->line);
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
        hx_idle_close(w, slot, HX_ITEM_END);
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

/* What the events after this one will touch. Another worker may have read them: then they are as
 * far away as anything. */
static inline void fetch_ahead(const hx_worker *w, const hx_batch *batch, const hx_owned *owned,
                               uint32_t i, uint32_t n)
{
    const hx_event *events = batch->events;

    if (i + AHEAD_INDEX < n) {
        const hx_event *e = &events[owned ? owned[i + AHEAD_INDEX].event : i + AHEAD_INDEX];

        if (owned) {
            __builtin_prefetch(e);
            __builtin_prefetch((const char *)e + 64);
        }
        hx_sessions_prefetch_index(&w->sessions,
                                   owned ? owned[i + AHEAD_INDEX].hash : (uint32_t)e->session);
    }
    if (i + AHEAD_SLOT < n)
        hx_sessions_prefetch_slot(&w->sessions, owned ? owned[i + AHEAD_SLOT].hash
                                                      : (uint32_t)events[i + AHEAD_SLOT].session);
}

static void take_events(hx_worker *w, const hx_batch *batch)
{
    const uint32_t workers = w->shared->workers;
    const hx_owned *owned =
        workers > 1 ? batch->owned + (size_t)w->index * hx_front_capacity(batch->capacity) : NULL;
    const uint32_t n = owned ? batch->owned_count[w->index] : batch->event_count;
    const int64_t base_us = w->watermark_us;
    uint32_t next_ruling = 0;

    w->ruling = (hx_ruling){0, HX_NO_RULE, 0, 0};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = owned ? owned[i].event : i;

        fetch_ahead(w, batch, owned, i, n);
        if (__builtin_expect(batch->ruling_count != 0, 0))
            w->ruling = obey(w, batch, at, &next_ruling);
        take_event(w, &batch->events[at], at, base_us);
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
        if (!ruling.escalated && hx_novelty_due(&w->novelty, n->id, e->time_us, repeat_us) &&
            hx_flood_over(w, HX_FLOOD_NEW_EVENT, NULL, e->time_us))
            continue; /* likewise */
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
    int rc = hx_worker_make_front(worker, batch->bundle, err);
    hx_rule_counters before = {{0}, 0, 0};

    if (rc)
        return rc;
    if (batch->rules)
        before = *hx_rule_seat_counters(hx_rules_seat(batch->rules, worker->index));
    batch->read_ns = hx_worker_now_ns(CLOCK_MONOTONIC);
    hx_batch_read(batch, worker->front, worker->index, worker->shared->workers);
    if (batch->rules)
        count_rules(worker, batch, &before);
    batch->read_ns = hx_worker_now_ns(CLOCK_MONOTONIC) - batch->read_ns;
    worker->count[HX_STAT_LINES] += batch->counted.lines;
    worker->count[HX_STAT_EMPTY] += batch->counted.empty;
    worker->count[HX_STAT_MALFORMED] += batch->counted.malformed;
    worker->count[HX_STAT_UNSEEN_LINES] += batch->counted.unseen;
    worker->count[HX_STAT_CLOCK_AHEAD] += batch->clock_ahead;
    worker->count[HX_STAT_HOLES] += batch->chunk.holes;
    worker->count[HX_STAT_BYTES] += batch->chunk.length;
    worker->count[HX_STAT_BATCHES]++;
    return 0;
}

static int write_alerts(hx_worker *w, hx_error *err)
{
    int64_t late_us =
        (int64_t)(hx_worker_now_ns(CLOCK_REALTIME) / 1000) - w->batch->chunk.arrival_us;
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
    w->count[HX_STAT_MSCRED_LATE] = w->reporter.base.losses.late_events;
    w->count[HX_STAT_MSCRED_UNSCORED] = w->reporter.base.losses.unscored_moments;
    for (uint32_t i = 0; i < HX_STAT_SESSIONS_OPEN; i++)
        hx_stat_set(hx_stats_value(w->shared->stats, w->index, i), w->count[i]);
    hx_stat_set(hx_stats_value(w->shared->stats, w->index, HX_STAT_SESSIONS_OPEN),
                w->sessions.open);
    hx_histogram_record(w->batch_ns, hx_worker_now_ns(CLOCK_MONOTONIC) - started_ns);
}

/* How long each line was in stage one: until the last of its batch was through, the model's time
 * not counted. */
static void note_stage_one(hx_worker *w, const hx_batch *batch, uint64_t started_ns)
{
    const uint64_t ns = batch->read_ns + hx_worker_now_ns(CLOCK_MONOTONIC) - started_ns;

    hx_histogram_record_many(w->stage1_us, (ns > w->model_ns ? ns - w->model_ns : 0) / 1000,
                             batch->owned ? batch->owned_count[w->index] : batch->event_count);
}

/* The model's share of the time that has passed; what is not used is kept for a second. */
static void give_credit(hx_worker *w, uint64_t at_ns)
{
    const int64_t most = hx_worker_credit_most(w->shared);

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
    uint64_t started_ns = hx_worker_now_ns(CLOCK_MONOTONIC);
    int rc = 0;

    if (batch->bundle != w->bundle)
        rc = hx_worker_adopt(w, batch->bundle, err);
    if (rc)
        return rc;
    atomic_store_explicit(&w->rules_epoch, hx_rules_epoch(batch->rules), memory_order_release);
    w->batch = batch;
    w->model_windows = 0;
    w->model_ns = 0;
    give_credit(w, started_ns);
    w->reporter.base.before_us = w->watermark_us;
    hx_holes_meet(w, batch);
    take_events(w, batch);
    if (batch->latest_us > w->watermark_us)
        w->watermark_us = batch->latest_us;
    note_latest(w, batch->latest_us);
    if (batch->tick_us > w->watermark_us)
        w->watermark_us = batch->tick_us;
    hx_idle_sweep(w, w->watermark_us);
    hx_judge_settle(w);
    note_stage_one(w, batch, started_ns);
    hx_memo_grow(&w->memo);
    show_batch(w, batch);
    take_novelties(w, batch);
    if (batch->last && (batch->close_all || !batch->checkpoint))
        hx_idle_finish(w, batch->close_all);
    rc = write_alerts(w, err);
    publish(w, started_ns);
    return rc;
}
