#include "detect/holes.h"

#include <math.h>
#include <stdio.h>

static inline bool anomalous(const hx_deeplog *dl, uint16_t token, hx_surprise s)
{
    if (dl->likelihood)
        return s.q10 > dl->event_limit_q10;
    return token == dl->unseen || s.rank >= dl->top_k;
}

/* --- from an event to an item ------------------------------------------------------------------
 */

/* The pending row of this window; a new one where it is not there. */
static uint32_t pending_row(hx_worker *w, const uint16_t *window)
{
    uint32_t bytes = w->bundle->window * (uint32_t)sizeof *window, row;
    uint64_t hash = hx_hash_bytes(window, bytes, HX_HASH_SEED);

    /* Linear: at most HX_PENDING_MAX, and only on the way to the model. */
    for (row = 0; row < w->pending_count; row++)
        if (w->pending_hash[row] == hash && memcmp(w->pending[row], window, bytes) == 0)
            return row;
    if (!w->pending_count)
        w->pending_ns = hx_worker_now_ns(CLOCK_MONOTONIC);
    memcpy(w->pending[row], window, bytes);
    w->pending_hash[row] = hash;
    w->pending_count++;
    w->model_windows++;
    return row;
}

static void keep_evidence(hx_worker *w, hx_item *item, const uint16_t *window)
{
    memcpy(w->evidence[w->evidence_count], window, w->bundle->window * sizeof *window);
    item->evidence = w->evidence_count++;
}

/* Full, or, where nothing waits for the model, as much as stays in the nearest cache until the
 * verdict. */
static inline bool is_due(const hx_worker *w)
{
    return (w->item_count >= HX_ITEMS_NEAR && w->pending_count == 0) ||
           w->item_count == HX_ITEMS_MAX || w->pending_count == HX_PENDING_MAX ||
           w->evidence_count == HX_EVIDENCE_MAX;
}

/* A bound on the windows of a batch, or on the model's share of the time: what is over it is let
 * through and counted. */
static bool over_bound(const hx_worker *w, bool escalated)
{
    const hx_worker_shared *shared = w->shared;

    if (w->model_broken)
        return true;
    return !escalated &&
           ((shared->max_model_windows && w->model_windows >= shared->max_model_windows) ||
            (shared->ml_share > 0 && w->credit_ns <= 0));
}

/* Whether the window reaches back to where the session was first seen, and a hole is so near that
 * it may have begun before. */
static bool lacks_beginning(const hx_worker *w, const hx_session *s)
{
    return w->met_hole && s->window[0] == w->bundle->deeplog.begin && hx_holes_near(w, s);
}

/* Another event of a torn session. Whether it is not judged: its window has the hole, and a line
 * that is known is odd by its order alone. */
static bool passes_hole(hx_worker *w, hx_item *item, hx_session *s)
{
    s->flags = (uint8_t)(s->flags - (1 << 4));
    if (item->token == w->bundle->deeplog.unseen)
        return false;
    w->count[HX_STAT_TORN_EVENTS]++;
    item->kind = HX_ITEM_TORN;
    return true;
}

void hx_judge_event(hx_worker *worker, uint32_t slot, uint16_t token, uint32_t event,
                    hx_item_kind kind)
{
    hx_worker *w = worker;
    const hx_deeplog *dl = &w->bundle->deeplog;
    const uint32_t h = w->bundle->window;
    hx_session *s = &w->sessions.slots[slot];
    uint16_t *window = s->window;
    hx_item *item;

    if (__builtin_expect(is_due(w), 0))
        hx_judge_settle(w);
    item = &w->items[w->item_count++];
    *item = (hx_item){slot, event, HX_NO_ROW, HX_NOWHERE, {0, 0}, token, (uint8_t)kind, 0, 0, 0};
    if (kind == HX_ITEM_EVENT) {
        item->allowed = w->ruling.allowed;
        item->escalated = w->ruling.escalated;
    }
    if (kind == HX_ITEM_RELEASE || !dl->enabled)
        return;
    if (__builtin_expect(hx_session_torn(s) > 1, 0) && passes_hole(w, item, s)) {
        hx_session_push(s, h, token);
        return;
    }
    if (token == dl->unseen) {
        item->surprise = (hx_surprise){dl->unseen_surprise_q10, UINT16_MAX};
        w->count[HX_STAT_UNSEEN_EVENTS]++;
        keep_evidence(w, item, window);
    } else {
        uint64_t hash = hx_memo_hash(&w->memo, window, token);

        w->count[HX_STAT_WINDOWS]++;
        if (hx_memo_get(&w->memo, hash, window, token, &item->surprise)) {
            w->count[HX_STAT_MEMO_HITS]++;
            if (__builtin_expect(anomalous(dl, token, item->surprise), 0)) {
                keep_evidence(w, item, window);
                item->unsure = lacks_beginning(w, s);
            }
        } else if (over_bound(w, item->escalated)) {
            item->kind = kind == HX_ITEM_END ? HX_ITEM_UNSCORED_END : HX_ITEM_UNSCORED;
        } else {
            item->row = pending_row(w, window);
            item->unsure = lacks_beginning(w, s);
        }
    }
    hx_session_push(s, h, token);
}

/* --- the model ---------------------------------------------------------------------------------
 */

int hx_judge_run_model(hx_worker *worker, const uint16_t (*windows)[HX_WINDOW_MAX], uint32_t count,
                       float *rows)
{
    hx_worker *w = worker;
    const uint32_t h = w->bundle->window;
    hx_error err = {{0}};
    int rc;

    for (uint32_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < h; i++)
            w->tokens[r * h + i] = windows[r][i];
    rc = hx_model_run(w->bundle->deeplog.model, w->tokens, count, rows, &err);
    if (rc && !w->model_broken) {
        fprintf(stderr, "haechi-detect: %s: events it should judge are counted as unscored\n",
                err.text);
        w->model_broken = true;
    }
    return rc;
}

/* How much more the event surprises than the model expected to be surprised: its negative
 * log-likelihood less the entropy of the answer. In a place where anything may follow, a rare event
 * is no surprise; where one thing follows always, another one is. */
static hx_surprise surprise_of(const hx_deeplog *dl, const float *row, uint16_t token)
{
    const float own = row[token];
    double nll = -(double)own, entropy = 0;
    uint32_t rank = 0;

    for (uint32_t t = 0; t < dl->classes; t++) {
        const double p = exp((double)row[t]);

        rank += row[t] > own && t != dl->begin && t != dl->unseen;
        entropy -= p > 0 ? p * (double)row[t] : 0; /* of nought: not nought times infinity */
    }
    if (!(nll < dl->unseen_surprise))
        nll = dl->unseen_surprise;
    if (nll < 0)
        nll = 0;
    return (hx_surprise){(int32_t)floor((nll - entropy) * HX_NAT + 0.5),
                         (uint16_t)(rank < UINT16_MAX ? rank : UINT16_MAX)};
}

static void answer_pending(hx_worker *w)
{
    const hx_deeplog *dl = &w->bundle->deeplog;
    uint64_t began_ns, ended_ns;
    int rc;

    if (!w->pending_count)
        return;
    began_ns = hx_worker_now_ns(CLOCK_MONOTONIC);
    rc = hx_judge_run_model(w, w->pending, w->pending_count, w->rows);
    ended_ns = hx_worker_now_ns(CLOCK_MONOTONIC);
    w->model_ns += ended_ns - began_ns;
    w->credit_ns -= w->shared->ml_share > 0 ? (int64_t)(ended_ns - began_ns) : 0;
    hx_histogram_record_many(w->stage2_us, (ended_ns - w->pending_ns) / 1000, w->pending_count);
    w->count[HX_STAT_MODEL_RUNS]++;
    w->count[HX_STAT_MODEL_WINDOWS] += w->pending_count;
    for (uint32_t i = 0; i < w->item_count; i++) {
        hx_item *item = &w->items[i];

        if (item->row == HX_NO_ROW)
            continue;
        if (rc) {
            item->kind = item->kind == HX_ITEM_END ? HX_ITEM_UNSCORED_END : HX_ITEM_UNSCORED;
            continue;
        }
        item->surprise = surprise_of(dl, w->rows + (size_t)item->row * dl->classes, item->token);
        hx_memo_put(&w->memo, hx_memo_hash(&w->memo, w->pending[item->row], item->token),
                    w->pending[item->row], item->token, item->surprise);
    }
}

/* --- verdicts ----------------------------------------------------------------------------------
 */

static void note_worst(hx_worker *w, hx_session *s, const hx_item *item)
{
    s->worst_q10 = item->surprise.q10;
    s->worst_token = item->token;
    if (item->event == HX_NO_EVENT) {
        s->worst_offset = s->last_offset;
        s->worst_input = s->last_input;
    } else {
        s->worst_offset = w->batch->chunk.offset + w->batch->events[item->event].line;
        s->worst_input = w->batch->chunk.input;
    }
}

static void judge_item(hx_worker *w, const hx_item *item, hx_session *s)
{
    const hx_deeplog *dl = &w->bundle->deeplog;

    /* After the events before it, and so at the same one however many were judged together. */
    if (__builtin_expect(item->escalated, 0))
        s->flags |= HX_SESSION_ESCALATED;
    if (__builtin_expect(item->allowed, 0)) {
        if (anomalous(dl, item->token, item->surprise))
            hx_judge_allowed(w, s);
        return;
    }
    s->sum_q10 += item->surprise.q10;
    if (s->events++ == 0 || item->surprise.q10 > s->worst_q10)
        note_worst(w, s, item);
    if (__builtin_expect(!anomalous(dl, item->token, item->surprise), 1))
        return;
    if (item->unsure)
        hx_holes_tear(w, s);
    else
        hx_judge_event_alert(w, item, s);
}

void hx_judge_settle(hx_worker *worker)
{
    hx_worker *w = worker;

    answer_pending(w);
    for (uint32_t i = 0; i < w->item_count; i++) {
        const hx_item *item = &w->items[i];
        hx_session *s = &w->sessions.slots[item->slot];

        switch ((hx_item_kind)item->kind) {
        case HX_ITEM_EVENT:
            if (w->bundle->deeplog.enabled)
                judge_item(w, item, s);
            break;
        case HX_ITEM_END:
            if (w->bundle->deeplog.enabled)
                judge_item(w, item, s);
            hx_judge_session(w, item, s);
            hx_sessions_release(&w->sessions, item->slot);
            break;
        case HX_ITEM_UNSCORED_END:
            hx_judge_session(w, item, s);
            /* fallthrough */
        case HX_ITEM_RELEASE:
            w->count[HX_STAT_UNSCORED] += item->kind == HX_ITEM_UNSCORED_END;
            hx_sessions_release(&w->sessions, item->slot);
            break;
        case HX_ITEM_UNSCORED:
            w->count[HX_STAT_UNSCORED]++;
            break;
        case HX_ITEM_TORN:
            s->events++;
            s->flags |= item->escalated ? HX_SESSION_ESCALATED : 0;
            break;
        }
    }
    w->item_count = w->pending_count = w->evidence_count = 0;
}
