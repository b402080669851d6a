/* mscred: how often log keys come, judged by how they hang together (Zhang et al., AAAI 2019;
 * docs/mscred.md). Counts become signature matrices (series.h), a network says what the last of
 * them should look like, and the score of a moment is how many of its cells are off by more than
 * validation's were.
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

#define NAMED_MAX    3   /* series in an alert, as the paper names three root causes */
#define SAMPLE_BYTES 200 /* of a line */
#define SUBJECT      "all lines"

typedef struct mscred_sample {
    uint32_t len; /* of the whole line; 0: none yet */
    char text[SAMPLE_BYTES];
} mscred_sample;

/* What is known of the anomaly that lasts, or of the last one. */
typedef struct mscred_finding {
    uint64_t active;           /* there has been one */
    int64_t first_us, last_us; /* the ends of its first and last moment */
    uint64_t told;             /* severities told so far */
    /* Of the shortest window, over all its moments: */
    uint32_t broken[HX_SERIES_MAX]; /* cells of a series' row */
    double off[HX_SERIES_MAX];      /* their residuals in units of their limits, added up */
} mscred_finding;

typedef struct mscred_state {
    const hx_mscred *model;
    hx_series *series;
    float *wanted;         /* [HX_SERIES_SCALES][count][count]: what the network says */
    mscred_sample *sample; /* [count] */
    mscred_finding finding;
    uint64_t unscored;     /* moments that the network could not be asked about */
    hx_reporter *reporter; /* of the batch at hand */
} mscred_state;

/* --- a moment ----------------------------------------------------------------------------------
 */

typedef struct mscred_verdict {
    uint32_t score[HX_SERIES_SCALES]; /* broken cells */
    bool over[HX_SERIES_SCALES];
} mscred_verdict;

static inline float off_by(const mscred_state *s, const float *last, size_t cell)
{
    return fabsf(last[cell] - s->wanted[cell]);
}

static const float *last_of(const hx_mscred *m, const float *matrices)
{
    return matrices +
           (size_t)(HX_SERIES_HISTORY - 1) * HX_SERIES_SCALES * m->form.count * m->form.count;
}

static void judge(const mscred_state *s, const float *last, mscred_verdict *v)
{
    const hx_mscred *m = s->model;
    const size_t cells = (size_t)m->form.count * m->form.count;

    *v = (mscred_verdict){0};
    for (uint32_t scale = 0; scale < HX_SERIES_SCALES; scale++) {
        for (size_t c = scale * cells; c < (scale + 1) * cells; c++)
            v->score[scale] += off_by(s, last, c) > m->limit[c];
        v->over[scale] = v->score[scale] > m->threshold[scale];
    }
}

/* Who it is that does not fit: the rows of the shortest window. */
static void blame(const mscred_state *s, const float *last, mscred_finding *f)
{
    const uint32_t n = s->model->form.count;

    for (size_t c = 0; c < (size_t)n * n; c++) {
        const float off = off_by(s, last, c), limit = s->model->limit[c];

        f->broken[c / n] += off > limit;
        f->off[c / n] += (double)off / (double)limit;
    }
}

/* The series with most broken cells first; where two have as many, the one that is further off. */
static uint32_t worst(const hx_mscred *m, const mscred_finding *f, uint32_t best[NAMED_MAX])
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->form.count; i++) {
        uint32_t at = n;

        while (at > 0 &&
               (f->broken[i] > f->broken[best[at - 1]] ||
                (f->broken[i] == f->broken[best[at - 1]] && f->off[i] > f->off[best[at - 1]])))
            at--;
        if (!f->broken[i] || at == NAMED_MAX)
            continue;
        n += n < NAMED_MAX;
        memmove(&best[at + 1], &best[at], (n - at - 1) * sizeof *best);
        best[at] = i;
    }
    return n;
}

/* --- what is said of it ------------------------------------------------------------------------
 */

/* The paper's severities are durations: of 30, 60 and 90 steps. An anomaly has that of the nearest.
 */
static const struct {
    const char *rule, *severity;
    int64_t least; /* intervals */
} severities[] = {
    {"counts_short", "medium", 0}, {"counts_medium", "high", 45}, {"counts_long", "critical", 75}};

#define SEVERITIES (sizeof severities / sizeof severities[0])

/* How long it has lasted, in intervals. The first and the last moment that show it lie a piece
 * further apart than its ends do. */
static int64_t lasted(const hx_mscred *m, const mscred_finding *f)
{
    int64_t apart = (f->last_us - f->first_us) / m->form.interval_us - HX_SERIES_STEP;

    return apart > 0 ? apart : 0;
}

static void put_scales(const hx_mscred *m, const mscred_verdict *v, hx_text *out)
{
    hx_text_json_key(out, "scales");
    hx_text_str(out, "[");
    for (uint32_t scale = 0; scale < HX_SERIES_SCALES; scale++) {
        hx_text_str(out, scale ? ", {" : "{");
        hx_text_json_key(out, "window_s");
        hx_text_json_number(out, hx_series_windows[scale] * 1e-6 * (double)m->form.interval_us);
        hx_text_json_key(out, "score");
        hx_text_printf(out, "%u", v->score[scale]);
        hx_text_json_key(out, "threshold");
        hx_text_json_number(out, m->threshold[scale]);
        hx_text_json_key(out, "broke");
        hx_text_str(out, v->over[scale] ? "true}" : "false}");
    }
    hx_text_str(out, "]");
}

static hx_slice template_of(const hx_mscred *m, uint32_t series)
{
    return hx_slice_str(hx_matcher_text(m->matcher, m->key_of[series]));
}

static void put_kind(const hx_mscred *m, uint32_t series, hx_text *out)
{
    hx_text_json_key(out, "log_key");
    if (m->key_of[series] == UINT32_MAX)
        hx_text_str(out, "null");
    else
        hx_text_printf(out, "%u", m->key_of[series]);
    hx_text_json_key(out, "template");
    if (m->key_of[series] == UINT32_MAX)
        hx_text_str(out, "null");
    else
        hx_text_json_string(out, template_of(m, series));
}

static void put_series(const mscred_state *s, const uint32_t *piece, hx_text *out)
{
    const hx_mscred *m = s->model;
    uint32_t best[NAMED_MAX], n = worst(m, &s->finding, best);

    hx_text_json_key(out, "series");
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < n; i++) {
        const mscred_sample *sample = &s->sample[best[i]];

        hx_text_str(out, i ? ", {" : "{");
        put_kind(m, best[i], out);
        hx_text_json_key(out, "broken_cells");
        hx_text_printf(out, "%u", s->finding.broken[best[i]]);
        hx_text_json_key(out, "events");
        hx_text_printf(out, "%u", piece[best[i]]);
        hx_text_json_key(out, "line");
        if (sample->len)
            hx_text_json_string(out, hx_slice_make(sample->text, sample->len < SAMPLE_BYTES
                                                                     ? sample->len
                                                                     : SAMPLE_BYTES));
        else
            hx_text_str(out, "null");
        hx_text_str(out, "}");
    }
    hx_text_str(out, "]");
}

static void say_kind(const hx_mscred *m, uint32_t series, hx_text *out)
{
    if (m->key_of[series] == UINT32_MAX) {
        hx_text_str(out, "all rarer kinds together");
        return;
    }
    hx_text_str(out, "\"");
    hx_text_bytes(out, template_of(m, series).ptr, template_of(m, series).len);
    hx_text_str(out, "\"");
}

static void say(const mscred_state *s, const mscred_verdict *v, hx_text *out)
{
    const hx_mscred *m = s->model;
    uint32_t best[NAMED_MAX], n = worst(m, &s->finding, best);

    hx_text_printf(out,
                   "The counts of log keys do not go together as they usually do: over the last "
                   "%g s, %u of %u pairs are off (the limit is %g); most of all those of ",
                   hx_series_windows[0] * 1e-6 * (double)m->form.interval_us, v->score[0],
                   m->form.count * m->form.count, floor(m->threshold[0]));
    for (uint32_t i = 0; i < n; i++) {
        hx_text_str(out, i == 0 ? "" : i + 1 < n ? ", " : " and ");
        say_kind(m, best[i], out);
    }
    hx_text_str(out, ".");
}

static void tell(mscred_state *s, const mscred_verdict *v, const uint32_t *piece, uint32_t level,
                 int64_t time_us)
{
    const hx_mscred *m = s->model;
    hx_text reason = {0}, detail = {0};
    hx_finding finding;

    hx_text_str(&detail, "{");
    put_scales(m, v, &detail);
    put_series(s, piece, &detail);
    hx_text_json_key(&detail, "lasted_s");
    hx_text_json_number(&detail, 1e-6 * (double)(lasted(m, &s->finding) * m->form.interval_us));
    hx_text_json_key(&detail, "late_events");
    hx_text_printf(&detail, "%llu", (unsigned long long)hx_series_late(s->series));
    hx_text_json_key(&detail, "unscored_moments");
    hx_text_printf(&detail, "%llu", (unsigned long long)s->unscored);
    hx_text_str(&detail, "}");
    say(s, v, &reason);
    finding = (hx_finding){
        .rule = severities[level].rule,
        .score = v->score[0],
        .limit = m->threshold[0],
        .severity = severities[level].severity,
        .stage = 2,
        .subject = HX_SLICE_LIT(SUBJECT),
        .detail = hx_slice_make(detail.ptr, detail.len),
        .reason = hx_slice_make(reason.ptr, reason.len),
    };
    if (!reason.failed && !detail.failed)
        s->reporter->report(s->reporter, NULL, time_us, &finding);
    hx_text_free(&reason);
    hx_text_free(&detail);
}

/* An anomaly is told when it begins, and again whenever it has lasted long enough to be graver. Two
 * moments are of one anomaly where the second one's verdict still looks at what the first one saw.
 */
static void follow(mscred_state *s, const mscred_verdict *v, const float *last,
                   const uint32_t *piece, int64_t end_us)
{
    mscred_finding *f = &s->finding;
    uint32_t level = 0;

    if (!v->over[0])
        return;
    if (!f->active || end_us - f->last_us > HX_SERIES_SEEN * s->model->form.interval_us)
        *f = (mscred_finding){.active = 1, .first_us = end_us};
    f->last_us = end_us;
    blame(s, last, f);
    while (level + 1 < SEVERITIES && lasted(s->model, f) >= severities[level + 1].least)
        level++;
    if (level < f->told)
        return;
    f->told = level + 1;
    tell(s, v, piece, level, end_us);
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
        return;
    }
    judge(s, last, &v);
    follow(s, &v, last, piece, end_us);
}

/* --- events ------------------------------------------------------------------------------------
 */

static void mscred_lines(const void *model, void *state, const hx_event *events, uint32_t count,
                         const char *buffer, hx_reporter *reporter)
{
    const hx_mscred *m = model;
    mscred_state *s = state;

    if (!s->series)
        return;
    s->reporter = reporter;
    for (uint32_t i = 0; i < count; i++) {
        const hx_event *e = &events[i];
        mscred_sample *sample;

        if (!hx_series_add(s->series, e->key, e->time_us, moment, s))
            continue;
        sample = &s->sample[hx_series_of(&m->form, e->key)];
        sample->len = e->length;
        memcpy(sample->text, buffer + e->line, e->length < SAMPLE_BYTES ? e->length : SAMPLE_BYTES);
    }
}

static void mscred_advance(const void *model, void *state, int64_t watermark_us,
                           hx_reporter *reporter)
{
    mscred_state *s = state;

    (void)model;
    if (!s->series)
        return;
    s->reporter = reporter;
    hx_series_advance(s->series, watermark_us, moment, s);
}

/* --- a worker's state --------------------------------------------------------------------------
 */

#define TIME_MAX (INT64_C(1) << 60)

static bool plausible(const mscred_finding *f)
{
    return f->told <= SEVERITIES && f->first_us > -TIME_MAX && f->first_us <= f->last_us &&
           f->last_us < TIME_MAX;
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
    if (hx_batch_owner(hx_hash_bytes(SUBJECT, sizeof SUBJECT - 1, HX_HASH_SEED), workers) != worker)
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
    hx_series_save(s->series, out);
}

static int mscred_restore(const void *model, void *state, const char *bytes, size_t len)
{
    mscred_state *s = state;
    mscred_finding finding;

    (void)model;
    if (!s->series || !len)
        return 0;
    if (len < sizeof s->finding)
        return HX_EMALFORMED;
    memcpy(&finding, bytes, sizeof finding);
    /* Counts of other series, of another bundle, are no error: these begin anew. */
    if (hx_series_restore(s->series, bytes + sizeof finding, len - sizeof finding) == 0 &&
        plausible(&finding))
        s->finding = finding;
    return 0;
}

const hx_detector hx_mscred_detector = {
    .name = "mscred",
    .load = hx_mscred_load,
    .unload = hx_mscred_unload,
    .open = mscred_open,
    .close = mscred_close,
    .lines = mscred_lines,
    .advance = mscred_advance,
    .save = mscred_save,
    .restore = mscred_restore,
};
