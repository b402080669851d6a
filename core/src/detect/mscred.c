/* mscred: how often log keys come, or hosts speak, judged by how they hang together (Zhang et al.,
 * AAAI 2019; docs/mscred.md). Counts become signature matrices (series.h), a network says what the
 * last of them should look like, and the score of a moment is how many of its cells are off by more
 * than validation's were.
 *
 * All lines are one thing, so one worker keeps it: the owner of its name. Every worker is shown
 * every event, in the order of the input, and that one counts them; nothing is shared and nothing
 * waits, and the counts are the same for any number of workers.
 *
 * A checkpoint holds the counts of the intervals that the matrices rest on, and these are computed
 * from them again. Another bundle's series begin anew. */
#include "detect/mscred.h"

#include "detect/batch.h"

#include <haechi/hash.h>

#include <math.h>
#include <stdlib.h>

#define MIDDLE 1   /* of the windows */
#define RAISED 0.5 /* of its threshold */
#define LULL   5   /* moments in between that are not */

/* --- a moment ----------------------------------------------------------------------------------
 */

static inline float off_by(const mscred_state *s, const float *last, size_t cell)
{
    return fabsf(last[cell] - s->wanted[cell]);
}

static const float *last_of(const hx_mscred *m, const float *matrices)
{
    return matrices +
           (size_t)(HX_SERIES_HISTORY - 1) * HX_SERIES_SCALES * m->form.count * m->form.count;
}

/* Whether a's worst window is further over its threshold than b's, as a ratio. */
static bool is_worse(const hx_mscred *m, const mscred_verdict *a, const mscred_verdict *b)
{
    return a->score[a->worst] * m->threshold[b->worst] >
           b->score[b->worst] * m->threshold[a->worst];
}

static void judge(const mscred_state *s, const float *last, mscred_verdict *v)
{
    const hx_mscred *m = s->model;
    const size_t cells = (size_t)m->form.count * m->form.count;
    mscred_verdict other;

    *v = (mscred_verdict){0};
    for (uint32_t scale = 0; scale < HX_SERIES_SCALES; scale++)
        for (size_t c = scale * cells; c < (scale + 1) * cells; c++)
            v->score[scale] += off_by(s, last, c) > m->limit[c];
    other = *v;
    for (other.worst = 1; m->any_window && other.worst < HX_SERIES_SCALES; other.worst++)
        if (is_worse(m, &other, v))
            v->worst = other.worst;
}

/* Without an event in training and in all that is seen now: what its row lacks is the network's
 * doing. */
static bool is_idle(const hx_mscred *m, const float *last, uint32_t series)
{
    const uint32_t n = m->form.count;
    const size_t longest = (size_t)(HX_SERIES_SCALES - 1) * n * n;

    return last[longest + (size_t)series * n + series] == 0 && hx_series_is_new(&m->form, series);
}

/* Who it is that does not fit: the rows of the windows that found it. */
static void blame(const mscred_state *s, const float *last, const mscred_verdict *v,
                  mscred_finding *f)
{
    const hx_mscred *m = s->model;
    const uint32_t n = m->form.count;

    for (uint32_t row = 0; row < HX_SERIES_SCALES * n; row++) {
        const uint32_t scale = row / n, series = row % n;

        if (!hx_mscred_over(m, v, scale) || (scale && !m->any_window))
            continue;
        f->found[scale] += series == 0;
        if (is_idle(m, last, series))
            continue;
        for (size_t c = (size_t)row * n; c < (size_t)(row + 1) * n; c++) {
            const float off = off_by(s, last, c);

            f->broken[scale][series] += off > m->limit[c];
            f->off[scale][series] += (double)off / (double)m->limit[c];
        }
    }
}

/* How long what lasts now has lasted, in intervals: how long the middle window has been raised. The
 * shortest one breaks where an anomaly begins and ends, and hardly in between. The first and the
 * last raised moment lie a piece further apart than its ends do. */
static int64_t lasted(mscred_state *s, const mscred_verdict *v, int64_t end_us)
{
    const int64_t interval_us = s->model->form.interval_us;
    mscred_raised *r = &s->raised;
    int64_t apart;

    if (v->score[MIDDLE] > RAISED * s->model->threshold[MIDDLE]) {
        if (!r->any || end_us - r->last_us > (LULL + 1) * HX_SERIES_STEP * interval_us)
            r->begin_us = end_us;
        r->any = 1;
        r->last_us = end_us;
    }
    if (!r->any || end_us - r->last_us > LULL * HX_SERIES_STEP * interval_us)
        return 0;
    apart = (r->last_us - r->begin_us) / interval_us - HX_SERIES_STEP;
    return apart > 0 ? apart : 0;
}

/* The worst window of a verdict is over whenever any is. */
static void extend(mscred_state *s, const mscred_verdict *v, const float *last, int64_t end_us,
                   bool begins)
{
    mscred_finding *f = &s->finding;

    if (begins)
        *f = (mscred_finding){.active = 1, .first_us = end_us, .verdict = *v};
    else if (is_worse(s->model, v, &f->verdict))
        f->verdict = *v;
    f->last_us = end_us;
    blame(s, last, v, f);
}

/* An anomaly is told when it begins, and again whenever it has lasted long enough to be graver. Two
 * moments are of one anomaly where the second one's verdict still looks at what the first one saw.
 */
static void follow(mscred_state *s, const mscred_verdict *v, const float *last,
                   const uint32_t *piece, int64_t end_us)
{
    const int64_t now = lasted(s, v, end_us);
    mscred_finding *f = &s->finding;
    const bool known =
        f->active && end_us - f->last_us <= HX_SERIES_SEEN * s->model->form.interval_us;
    uint32_t level;

    if (hx_mscred_over(s->model, v, v->worst))
        extend(s, v, last, end_us, !known);
    else if (!known)
        return;
    f->lasted = now > f->lasted ? now : f->lasted;
    level = hx_mscred_level(s);
    if (level < f->told)
        return;
    f->told = level + 1;
    hx_mscred_tell(s, piece, level, end_us);
}

static void moment(void *context, const float *matrices, const uint32_t *piece, int64_t end_us)
{
    mscred_state *s = context;
    const float *last = last_of(s->model, matrices);
    mscred_verdict v;
    hx_error err;

    /* The network was run when the bundle was loaded; where it fails now, memory is out. */
    if (hx_model_run_floats(s->model->network, &s->model->in, matrices, &s->model->out, s->wanted,
                            &err)) {
        s->unscored++;
        s->reporter->losses.unscored_moments++;
        return;
    }
    judge(s, last, &v);
    follow(s, &v, last, piece, end_us);
}

/* --- events ------------------------------------------------------------------------------------
 */

static uint32_t row_of(const hx_mscred *m, const hx_event *e, const char *buffer)
{
    if (!m->form.host_count || !e->host_len)
        return 0;
    return hx_series_row(&m->form, e->host, hx_slice_make(buffer + e->host_at, e->host_len));
}

static void mscred_lines(const void *model, void *state, const hx_seen_lines *lines,
                         hx_reporter *reporter)
{
    const hx_mscred *m = model;
    mscred_state *s = state;
    uint64_t late;

    if (!s->series)
        return;
    s->reporter = reporter;
    late = hx_series_late(s->series);
    hx_series_lose(s->series, reporter->lost_us);
    for (uint32_t i = 0; i < lines->event_count; i++) {
        const hx_event *e = &lines->events[i];
        const uint32_t of = hx_series_of(&m->form, row_of(m, e, lines->buffer), e->key);
        mscred_sample *sample;

        if (!hx_series_add(s->series, of, e->time_us, moment, s))
            continue;
        sample = &s->sample[of];
        sample->len = e->length;
        memcpy(sample->text, lines->buffer + e->line,
               e->length < MSCRED_SAMPLE_BYTES ? e->length : MSCRED_SAMPLE_BYTES);
    }
    reporter->losses.late_events += hx_series_late(s->series) - late;
}

static void mscred_advance(const void *model, void *state, int64_t watermark_us,
                           hx_reporter *reporter)
{
    mscred_state *s = state;

    (void)model;
    if (!s->series)
        return;
    s->reporter = reporter;
    hx_series_lose(s->series, reporter->lost_us);
    hx_series_advance(s->series, watermark_us, moment, s);
}

/* --- a worker's state --------------------------------------------------------------------------
 */

#define TIME_MAX (INT64_C(1) << 60)

static bool is_span(int64_t first_us, int64_t last_us)
{
    return first_us > -TIME_MAX && first_us <= last_us && last_us < TIME_MAX;
}

static bool plausible(const mscred_finding *f, const mscred_raised *r)
{
    return f->told <= MSCRED_SEVERITIES && f->verdict.worst < HX_SERIES_SCALES && f->lasted >= 0 &&
           is_span(f->first_us, f->last_us) && is_span(r->begin_us, r->last_us);
}

static void mscred_close(void *state)
{
    mscred_state *s = state;

    hx_series_destroy(s->series);
    free(s->wanted);
    free(s->sample);
    free(s);
}

static int mscred_open(const void *model, uint32_t worker, uint32_t workers, void **state)
{
    const hx_mscred *m = model;
    mscred_state *s = calloc(1, sizeof *s);
    const size_t n = m->form.count;

    if (!s)
        return HX_ENOMEM;
    s->model = m;
    *state = s;
    if (hx_batch_owner(hx_hash_bytes(MSCRED_SUBJECT, sizeof MSCRED_SUBJECT - 1, HX_HASH_SEED),
                       workers) != worker)
        return 0;
    s->wanted = calloc(HX_SERIES_SCALES * n * n, sizeof *s->wanted);
    s->sample = calloc(n, sizeof *s->sample);
    if (!s->wanted || !s->sample || hx_series_create(&m->form, &s->series)) {
        mscred_close(s);
        *state = NULL;
        return HX_ENOMEM;
    }
    return 0;
}

/* The lines shown begin anew after a restart: a few seconds later there are others. */
static void mscred_save(const void *state, hx_text *out)
{
    const mscred_state *s = state;

    if (!s->series)
        return;
    hx_text_bytes(out, &s->finding, sizeof s->finding);
    hx_text_bytes(out, &s->raised, sizeof s->raised);
    hx_series_save(s->series, out);
}

static int mscred_restore(const void *model, void *state, const char *bytes, size_t len)
{
    mscred_state *s = state;
    mscred_finding finding;
    mscred_raised raised;
    const size_t head = sizeof finding + sizeof raised;

    (void)model;
    if (!s->series || !len)
        return 0;
    if (len < head)
        return HX_EMALFORMED;
    memcpy(&finding, bytes, sizeof finding);
    memcpy(&raised, bytes + sizeof finding, sizeof raised);
    /* Counts of other series, of another bundle, are no error: these begin anew. */
    if (hx_series_restore(s->series, bytes + head, len - head) == 0 &&
        plausible(&finding, &raised)) {
        s->finding = finding;
        s->raised = raised;
    }
    return 0;
}

const hx_detector hx_mscred_detector = {
    .name = "mscred",
    .wants_hosts = true,
    .load = hx_mscred_load,
    .unload = hx_mscred_unload,
    .open = mscred_open,
    .close = mscred_close,
    .lines = mscred_lines,
    .advance = mscred_advance,
    .save = mscred_save,
    .restore = mscred_restore,
};
