/* What mscred says of an anomaly: the series behind it with a line of each, the windows, how long
 * it has lasted. */
#include "detect/mscred.h"

#include <math.h>

#define NAMED_MAX 3 /* series in an alert, as the paper names three root causes */

/* The shortest window that was over: the paper's, where it was. */
static uint32_t naming(const mscred_finding *f)
{
    uint32_t scale = 0;

    while (scale + 1 < HX_SERIES_SCALES && !f->found[scale])
        scale++;
    return scale;
}

/* The series with most broken cells first; where two have as many, the one that is further off. */
static uint32_t worst(const hx_mscred *m, const mscred_finding *f, uint32_t best[NAMED_MAX])
{
    const uint32_t *broken = f->broken[naming(f)];
    const double *off = f->off[naming(f)];
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->form.count; i++) {
        uint32_t at = n;

        while (at > 0 && (broken[i] > broken[best[at - 1]] ||
                          (broken[i] == broken[best[at - 1]] && off[i] > off[best[at - 1]])))
            at--;
        if (!broken[i] || at == NAMED_MAX)
            continue;
        n += n < NAMED_MAX;
        memmove(&best[at + 1], &best[at], (n - at - 1) * sizeof *best);
        best[at] = i;
    }
    return n;
}

/* The paper's severities are durations: of 30, 60 and 90 steps. An anomaly has that of the nearest.
 */
static const struct {
    const char *rule, *severity;
    int64_t least; /* intervals */
} severities[MSCRED_SEVERITIES] = {
    {"counts_short", "medium", 0}, {"counts_medium", "high", 45}, {"counts_long", "critical", 75}};

uint32_t hx_mscred_level(const mscred_state *s)
{
    uint32_t level = 0;

    while (level + 1 < MSCRED_SEVERITIES && s->finding.lasted >= severities[level + 1].least)
        level++;
    return level;
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
        hx_text_str(out, hx_mscred_over(m, v, scale) ? "true}" : "false}");
    }
    hx_text_str(out, "]");
}

static hx_slice template_of(const hx_mscred *m, uint32_t series)
{
    return hx_slice_str(hx_matcher_text(m->matcher, m->key_of[series]));
}

static hx_slice host_of(const hx_mscred *m, uint32_t series)
{
    const hx_series_host *host = &m->form.hosts[m->host_of[series] - 1];

    return hx_slice_make(host->name, host->len);
}

static void put_text(const char *key, bool known, hx_slice text, hx_text *out)
{
    hx_text_json_key(out, key);
    if (known)
        hx_text_json_string(out, text);
    else
        hx_text_str(out, "null");
}

static void put_kind(const hx_mscred *m, uint32_t series, hx_text *out)
{
    const bool has_key = m->key_of[series] != UINT32_MAX, has_host = m->host_of[series] != 0;

    hx_text_json_key(out, "log_key");
    if (has_key)
        hx_text_printf(out, "%u", m->key_of[series]);
    else
        hx_text_str(out, "null");
    put_text("template", has_key, has_key ? template_of(m, series) : (hx_slice){0}, out);
    if (m->by != HX_MSCRED_KEY)
        put_text("host", has_host, has_host ? host_of(m, series) : (hx_slice){0}, out);
}

static void put_series(const mscred_state *s, const uint32_t *piece, hx_text *out)
{
    const hx_mscred *m = s->model;
    uint32_t best[NAMED_MAX], n = worst(m, &s->finding, best);

    if (n && m->host_of[best[0]])
        put_text("host", true, host_of(m, best[0]), out);
    hx_text_json_key(out, "series");
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < n; i++) {
        const mscred_sample *sample = &s->sample[best[i]];

        hx_text_str(out, i ? ", {" : "{");
        put_kind(m, best[i], out);
        hx_text_json_key(out, "broken_cells");
        hx_text_printf(out, "%u", s->finding.broken[naming(&s->finding)][best[i]]);
        hx_text_json_key(out, "events");
        hx_text_printf(out, "%u", piece[best[i]]);
        hx_text_json_key(out, "line");
        if (sample->len)
            hx_text_json_string(out, hx_slice_make(sample->text, sample->len < MSCRED_SAMPLE_BYTES
                                                                     ? sample->len
                                                                     : MSCRED_SAMPLE_BYTES));
        else
            hx_text_str(out, "null");
        hx_text_str(out, "}");
    }
    hx_text_str(out, "]");
}

static void say_kind(const hx_mscred *m, uint32_t series, hx_text *out)
{
    const bool has_key = m->key_of[series] != UINT32_MAX, has_host = m->host_of[series] != 0;

    if (!has_key && !has_host)
        hx_text_str(out, "all rarer kinds together");
    if (has_key) {
        hx_text_str(out, "\"");
        hx_text_bytes(out, template_of(m, series).ptr, template_of(m, series).len);
        hx_text_str(out, has_host ? "\" of " : "\"");
    }
    if (has_host)
        hx_text_bytes(out, host_of(m, series).ptr, host_of(m, series).len);
}

static const char *const counted[] = {[HX_MSCRED_KEY] = "log keys",
                                      [HX_MSCRED_HOST] = "hosts",
                                      [HX_MSCRED_HOST_KEY] = "log keys of hosts"};

static void say(const mscred_state *s, hx_text *out)
{
    const mscred_verdict *v = &s->finding.verdict;
    const hx_mscred *m = s->model;
    uint32_t best[NAMED_MAX], n = worst(m, &s->finding, best);

    hx_text_printf(out,
                   "The counts of %s do not go together as they usually do: over %g s, %u of %u "
                   "pairs are off (the limit is %g); most of all those of ",
                   counted[m->by], hx_series_windows[v->worst] * 1e-6 * (double)m->form.interval_us,
                   v->score[v->worst], m->form.count * m->form.count,
                   floor(m->threshold[v->worst]));
    for (uint32_t i = 0; i < n; i++) {
        hx_text_str(out, i == 0 ? "" : i + 1 < n ? ", " : " and ");
        say_kind(m, best[i], out);
    }
    hx_text_str(out, ".");
}

void hx_mscred_tell(mscred_state *s, const uint32_t *piece, uint32_t level, int64_t time_us)
{
    const mscred_verdict *v = &s->finding.verdict;
    const hx_mscred *m = s->model;
    hx_text reason = {0}, detail = {0};
    hx_finding finding;

    hx_text_str(&detail, "{");
    put_scales(m, v, &detail);
    put_series(s, piece, &detail);
    hx_text_json_key(&detail, "lasted_s");
    hx_text_json_number(&detail, 1e-6 * (double)(s->finding.lasted * m->form.interval_us));
    hx_text_json_key(&detail, "late_events");
    hx_text_printf(&detail, "%llu", (unsigned long long)hx_series_late(s->series));
    hx_text_json_key(&detail, "unscored_moments");
    hx_text_printf(&detail, "%llu", (unsigned long long)s->unscored);
    hx_text_str(&detail, "}");
    say(s, &reason);
    finding = (hx_finding){
        .rule = severities[level].rule,
        .score = v->score[v->worst],
        .limit = m->threshold[v->worst],
        .severity = severities[level].severity,
        .stage = 2,
        .subject = HX_SLICE_LIT(MSCRED_SUBJECT),
        .detail = hx_slice_make(detail.ptr, detail.len),
        .reason = hx_slice_make(reason.ptr, reason.len),
    };
    if (!reason.failed && !detail.failed)
        s->reporter->report(s->reporter, NULL, time_us, &finding);
    hx_text_free(&reason);
    hx_text_free(&detail);
}
