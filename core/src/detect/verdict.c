/* From a verdict to its alert: what is said of an event, of a session as a whole, and by the other
 * detectors. */
#include "detect/holes.h"

#include <fcntl.h>
#include <unistd.h>

#define LINE_AGAIN_MAX 4096

void hx_judge_emit(hx_worker *worker, const hx_alert *alert)
{
    size_t before = worker->out.len;
    uint64_t id[2];

    hx_alert_render(alert, worker->bundle, &worker->out, id);
    if (hx_alert_sink_knows(worker->shared->sink, id)) {
        worker->out.len = before;
        worker->count[HX_STAT_ALERTS_KNOWN]++;
        return;
    }
    worker->count[HX_STAT_ALERTS]++;
}

/* The bytes of an earlier line, read again where its input is a file: only where the line found
 * there belongs to the session, because the file may have been rotated meanwhile. buffer:
 * LINE_AGAIN_MAX bytes.
 */
static hx_slice line_again(hx_worker *w, const hx_session *s, uint32_t input, const char *source,
                           uint64_t offset, char *buffer)
{
    hx_event events[256];
    hx_front_counters ignored = {0};
    hx_slice line = {0}, whole;
    uint32_t consumed, count;
    const bool is_file = input >= w->port_count && strcmp(source, "-") != 0;
    int fd = !is_file ? -1 : open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, buffer, LINE_AGAIN_MAX, (off_t)offset);
    const char *newline;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return line;
    newline = memchr(buffer, '\n', (size_t)n);
    whole = line = hx_slice_make(buffer, newline ? (size_t)(newline - buffer) : (size_t)n);
    whole.len -= whole.len && newline && newline[-1] == '\r';
    if (hx_front_capacity(line.len) > 256)
        line.len = 256;
    count = hx_front_read(w->front, line.ptr, line.len, w->batch->chunk.arrival_us, events, 256,
                          &consumed, &ignored);
    for (uint32_t i = 0; i < count; i++)
        if (hx_session_is(s, &events[i]))
            return whole;
    return (hx_slice){0};
}

/* Where the model's answer to a window is kept, or is to be: then its hash is not this one. */
static struct hx_told *told_place(hx_worker *w, const uint16_t *window, uint64_t hash)
{
    const uint32_t bytes = w->bundle->window * (uint32_t)sizeof *window;
    struct hx_told *set = &w->told_of[hash >> 32 & (HX_TOLD_MAX - HX_TOLD_WAYS)];

    for (uint32_t way = 0; way < HX_TOLD_WAYS; way++)
        if (set[way].hash == hash && memcmp(set[way].window, window, bytes) == 0)
            return &set[way];
    set += w->told_turn++ % HX_TOLD_WAYS;
    set->hash = 0;
    memcpy(set->window, window, bytes);
    return set;
}

static uint64_t told_hash(const hx_worker *w, const uint16_t *window)
{
    return hx_hash_bytes(window, w->bundle->window * (uint32_t)sizeof *window, HX_HASH_SEED) | 1;
}

static float *told_row(const hx_worker *w, const struct hx_told *told)
{
    return w->told + (size_t)(told - w->told_of) * w->bundle->deeplog.classes;
}

/* The model's answer to a window whose verdict the memo knew, or NULL. The last answers are kept:
 * in a storm of alerts the model would have nothing else to do. */
static const float *answer_again(hx_worker *w, const uint16_t (*window)[HX_WINDOW_MAX])
{
    const uint64_t hash = told_hash(w, *window);
    struct hx_told *told = told_place(w, *window, hash);
    float *row = told_row(w, told);

    if (told->hash != hash && (w->model_broken || hx_judge_run_model(w, window, 1, row) != 0))
        return NULL;
    told->hash = hash;
    return row;
}

/* The answer at hand, for the alerts to come about the same window. */
static void keep_answer(hx_worker *w, const uint16_t *window, const float *row)
{
    const uint64_t hash = told_hash(w, window);
    struct hx_told *told = told_place(w, window, hash);

    if (told->hash == hash)
        return;
    memcpy(told_row(w, told), row, w->bundle->deeplog.classes * sizeof *row);
    told->hash = hash;
}

/* What the model expected: its answer is at hand for a pending window, and is asked for again for a
 * remembered one. */
static void add_expectation(hx_worker *w, const hx_item *item, hx_alert *alert)
{
    if (item->row != HX_NO_ROW) {
        alert->window = w->pending[item->row];
        alert->row = w->rows + (size_t)item->row * w->bundle->deeplog.classes;
        alert->stage = 2;
        keep_answer(w, alert->window, alert->row);
        return;
    }
    alert->stage = 1;
    if (item->evidence == HX_NOWHERE)
        return;
    alert->window = w->evidence[item->evidence];
    alert->row = answer_again(w, &w->evidence[item->evidence]);
}

static void emit_deeplog(hx_worker *w, const hx_item *item, hx_session *s, hx_alert_kind kind,
                         const hx_opinion *opinions, uint32_t opinion_count)
{
    const hx_batch *batch = w->batch;
    char buffer[LINE_AGAIN_MAX], name[HX_SESSION_NAME_MAX];
    hx_alert alert = {
        .kind = kind,
        .session = hx_session_name(s, name),
        .key = item->token < w->bundle->log_keys ? item->token : HX_KEY_UNSEEN,
        .token = item->token,
        .surprise_q10 = item->surprise.q10,
        .rank = item->surprise.rank,
        .events = s->events,
        .mean_surprise = (double)s->sum_q10 / HX_NAT / (s->events ? s->events : 1),
        .worst_token = s->worst_token,
        .severity = HX_PRI_NONE,
        .opinions = opinions,
        .opinion_count = opinion_count,
    };

    alert.lifted = (s->flags & HX_SESSION_ESCALATED) != 0;
    add_expectation(w, item, &alert);
    if (item->event != HX_NO_EVENT) {
        const hx_event *e = &batch->events[item->event];

        alert.time_us = e->time_us;
        alert.key = e->key;
        alert.severity = e->severity;
        alert.source = batch->source;
        alert.identity = batch->chunk.identity;
        alert.offset = batch->chunk.offset + e->line;
        alert.line = hx_slice_make(batch->buffer + e->line, e->length);
        alert.content = hx_hash_bytes(alert.line.ptr, alert.line.len, HX_HASH_SEED);
    } else {
        /* The end has no line: the last one stands for it, the worst one for a whole session. */
        bool whole = kind == HX_ALERT_SESSION;
        const uint32_t input = whole ? s->worst_input : s->last_input;

        alert.time_us = s->last_us;
        alert.source = hx_source_input_name(w->shared->source, input);
        if (!alert.source)
            alert.source = ""; /* an input of an earlier run */
        alert.identity = s->last_identity;
        alert.offset = whole ? s->worst_offset : s->last_offset;
        alert.line = line_again(w, s, input, alert.source, alert.offset, buffer);
        if (whole && s->worst_token < w->bundle->log_keys)
            alert.key = s->worst_token;
    }
    hx_judge_emit(w, &alert);
}

/* One alert a session: what comes after it is counted. And not too many in all: place is of who
 * raises it, time_us of what it is about. lifted: a rule escalates what is about to be judged. */
static bool may_alert(hx_worker *w, hx_session *s, uint32_t place, int64_t time_us, bool lifted)
{
    if (s->flags & HX_SESSION_ALERTED) {
        w->count[HX_STAT_ALERTS_SUPPRESSED]++;
        return false;
    }
    s->flags |= HX_SESSION_ALERTED;
    return lifted || (s->flags & HX_SESSION_ESCALATED) || !hx_flood_over(w, place, NULL, time_us);
}

void hx_judge_event_alert(hx_worker *worker, const hx_item *item, hx_session *session)
{
    const hx_deeplog *dl = &worker->bundle->deeplog;
    hx_opinion opinion = {"deeplog",
                          hx_evidence_of(&dl->event_evidence, (double)item->surprise.q10 / HX_NAT)};

    if (may_alert(worker, session, HX_FLOOD_DEEPLOG,
                  item->event == HX_NO_EVENT ? session->last_us
                                             : worker->batch->events[item->event].time_us,
                  false))
        emit_deeplog(worker, item, session, HX_ALERT_EVENT, &opinion, 1);
}

/* --- a session as a whole ----------------------------------------------------------------------
 */

/* Who has something against a session, the strongest evidence first. */
typedef struct hx_verdict {
    uint32_t count;
    hx_opinion opinion[HX_OPINIONS_MAX];
    int detector[HX_OPINIONS_MAX]; /* its place in the set, or DEEPLOG */
    hx_outcome outcome[HX_OPINIONS_MAX];
} hx_verdict;

#define DEEPLOG (-1)

static void hold_against(hx_verdict *v, int detector, const char *name, const hx_outcome *outcome)
{
    uint32_t at = v->count++;

    while (at > 0 && outcome->evidence > v->opinion[at - 1].evidence) {
        v->opinion[at] = v->opinion[at - 1];
        v->detector[at] = v->detector[at - 1];
        v->outcome[at] = v->outcome[at - 1];
        at--;
    }
    v->opinion[at] = (hx_opinion){name, outcome->evidence};
    v->detector[at] = detector;
    v->outcome[at] = *outcome;
}

static void ask_deeplog(hx_worker *w, const hx_session *s, hx_verdict *v)
{
    const hx_deeplog *dl = &w->bundle->deeplog;
    hx_outcome o = {(double)s->sum_q10 / HX_NAT / (s->events ? s->events : 1), dl->session_surprise,
                    0};

    if (!dl->enabled || !dl->likelihood || s->sum_q10 <= dl->least_q10 ||
        (double)s->sum_q10 <= dl->session_surprise * HX_NAT * (double)s->events)
        return;
    o.evidence = hx_evidence_of(&dl->session_evidence, o.score);
    hold_against(v, DEEPLOG, "deeplog", &o);
}

/* Of one session. tokens: all of it but its end, where it has not grown; else NULL. */
static bool ask_detector(hx_worker *w, uint32_t i, uint32_t slot, const uint16_t *tokens,
                         uint32_t count, hx_outcome *out)
{
    const hx_detector_set *set = w->room.set;
    const hx_detector *d = set->detector[i];

    if (!d->end)
        return false;
    if (tokens)
        return d->end_short(set->model[i], w->room.state[i], tokens, count, out);
    return d->end(set->model[i], w->room.state[i], hx_detector_session(&w->room, slot, i), out);
}

static void ask_detectors(hx_worker *w, uint32_t slot, const hx_session *s, hx_verdict *v)
{
    const hx_detector_set *set = w->room.set;
    const uint16_t *tokens = NULL;
    uint32_t count = 0;

    if (!hx_detector_grown(&w->room, slot)) {
        tokens = hx_judge_tokens(w, s, &count);
        count--; /* the end */
    }
    for (uint32_t i = 0; i < set->count; i++) {
        hx_outcome o = {0};

        if (ask_detector(w, i, slot, tokens, count, &o) && o.score > o.limit)
            hold_against(v, (int)i, set->detector[i]->name, &o);
    }
}

/* A detector's own words on the session that it was strongest against. The line shown is the last
 * one: it is what ended the session. */
static void emit_outcome(hx_worker *w, const hx_item *item, hx_session *s, const hx_verdict *v)
{
    const hx_detector_set *set = w->room.set;
    const uint32_t i = (uint32_t)v->detector[0];
    char buffer[LINE_AGAIN_MAX], name[HX_SESSION_NAME_MAX];
    hx_text reason = {0}, detail = {0};
    hx_alert alert = {
        .kind = HX_ALERT_DETECTOR,
        .stage = 1,
        .detector = set->detector[i]->name,
        .rule = "session",
        .score = v->outcome[0].score,
        .threshold = v->outcome[0].limit,
        .time_us = s->last_us,
        .session = hx_session_name(s, name),
        .key = HX_KEY_UNSEEN,
        .severity = HX_PRI_NONE,
        .source = hx_source_input_name(w->shared->source, s->last_input),
        .identity = s->last_identity,
        .offset = s->last_offset,
        .opinions = v->opinion,
        .opinion_count = v->count,
    };

    if (!hx_detector_grown(&w->room, item->slot)) {
        uint32_t count;
        const uint16_t *tokens = hx_judge_tokens(w, s, &count);

        hx_detector_session_grows(&w->room, item->slot, tokens, count - 1);
    }
    set->detector[i]->say(set->model[i], w->room.state[i], w->bundle,
                          hx_detector_session(&w->room, item->slot, i), &v->outcome[0], &reason,
                          &detail);
    alert.reason = hx_slice_make(reason.ptr, reason.len);
    alert.detail = hx_slice_make(detail.ptr, detail.len);
    if (!alert.source)
        alert.source = ""; /* an input of an earlier run */
    alert.lifted = (s->flags & HX_SESSION_ESCALATED) != 0;
    alert.line = line_again(w, s, s->last_input, alert.source, alert.offset, buffer);
    hx_judge_emit(w, &alert);
    w->out.failed |= reason.failed | detail.failed;
    hx_text_free(&reason);
    hx_text_free(&detail);
}

void hx_judge_session(hx_worker *worker, const hx_item *item, hx_session *session)
{
    hx_verdict v;

    if (session->flags & (HX_SESSION_ALERTED | HX_SESSION_TORN))
        return;
    v.count = 0; /* the rest has no meaning yet: this is every session's way */
    ask_deeplog(worker, session, &v);
    ask_detectors(worker, item->slot, session, &v);
    if (!v.count)
        return;
    if (worker->met_hole && hx_holes_near(worker, session)) { /* it may have lost its beginning */
        hx_holes_tear(worker, session);
        return;
    }
    if (!may_alert(worker, session,
                   v.detector[0] == DEEPLOG ? (uint32_t)HX_FLOOD_DEEPLOG
                                            : HX_FLOOD_DETECTOR + (uint32_t)v.detector[0],
                   session->last_us, false))
        return;
    if (v.detector[0] == DEEPLOG)
        emit_deeplog(worker, item, session, HX_ALERT_SESSION, v.opinion, v.count);
    else
        emit_outcome(worker, item, session, &v);
}

/* --- what a detector reports by itself ---------------------------------------------------------
 */

static hx_alert alert_of(const hx_worker_reporter *r, const hx_finding *f,
                         const hx_opinion *opinion)
{
    return (hx_alert){
        .kind = HX_ALERT_DETECTOR,
        .stage = f->stage == 2 ? 2 : 1,
        .detector = r->worker->room.set->detector[r->detector]->name,
        .rule = f->rule,
        .score = f->score,
        .threshold = f->limit,
        .severity_word = f->severity,
        .session = f->subject,
        .key = HX_KEY_UNSEEN,
        .severity = HX_PRI_NONE,
        .source = "",
        .reason = f->reason,
        .detail = f->detail,
        .opinions = opinion,
        .opinion_count = 1,
    };
}

static void put_line(const hx_worker *w, const hx_event *e, hx_alert *alert)
{
    const hx_batch *batch = w->batch;

    alert->key = e->key;
    alert->severity = e->severity;
    alert->source = batch->source;
    alert->identity = batch->chunk.identity;
    alert->offset = batch->chunk.offset + e->line;
    alert->line = hx_slice_make(batch->buffer + e->line, e->length);
    alert->content = hx_hash_bytes(alert->line.ptr, alert->line.len, HX_HASH_SEED);
}

void hx_judge_report(hx_reporter *reporter, const hx_event *event, int64_t time_us,
                     const hx_finding *finding)
{
    hx_worker_reporter *r = (hx_worker_reporter *)reporter;
    hx_opinion opinion = {r->worker->room.set->detector[r->detector]->name, finding->evidence};
    hx_alert alert = alert_of(r, finding, &opinion);
    hx_ruling ruling = event ? hx_judge_ruling(r->worker, event) : (hx_ruling){0, HX_NO_RULE, 0, 0};

    if (ruling.allowed) {
        r->worker->count[HX_STAT_ALLOWED_ALERTS]++;
        return;
    }
    alert.lifted = ruling.escalated;
    /* Of a session's event there is one alert; what is of no session reports as often as it has
     * reason to. */
    if (r->slot != HX_SESSION_NONE
            ? !may_alert(r->worker, &r->worker->sessions.slots[r->slot],
                         HX_FLOOD_DETECTOR + r->detector, time_us, alert.lifted)
            : !alert.lifted &&
                  hx_flood_over(r->worker, HX_FLOOD_DETECTOR + r->detector, NULL, time_us))
        return;
    alert.time_us = time_us;
    if (event) {
        if (!finding->subject.len)
            alert.session = hx_slice_make(event->name, event->name_len);
        put_line(r->worker, event, &alert);
    } else {
        alert.content = hx_hash_u64(HX_HASH_SEED, (uint64_t)time_us);
    }
    hx_judge_emit(r->worker, &alert);
}
