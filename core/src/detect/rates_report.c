/* What is said of a host that bursts, and of one that is silent. */
#include "detect/rates.h"

#include <math.h>

static bool may_report(const rates_model *m, rate_host *h, int64_t time_us)
{
    if (h->reported_us != HX_TIME_NONE && time_us - h->reported_us < m->rule.repeat_us)
        return false;
    h->reported_us = time_us;
    return true;
}

void hx_rates_report_burst(const rates_model *m, rates_state *s, rate_host *h, uint32_t level,
                           const hx_event *e, hx_reporter *reporter)
{
    const rate_history *r = &h->level[level];
    double usual = hx_rates_usual(s, r), score = hx_rate_excess(r->count, usual);
    double seconds = (double)m->rule.interval_us / 1e6 * pow(HX_RATE_STEP, level);
    const char *kind =
        h->vote_key < m->bundle->log_keys ? hx_matcher_text(m->bundle->matcher, h->vote_key) : "";
    hx_text reason = {0}, detail = {0};

    if (!may_report(m, h, e->time_us))
        return;
    hx_text_printf(&reason, "The host %.*s has said %u lines within %.3g s; usual are %.3g",
                   (int)h->name_len, h->name, r->count, seconds, usual);
    if (*kind)
        hx_text_printf(&reason, "; most were \"%s\"", kind);
    hx_text_str(&reason, ".");
    hx_text_str(&detail, "{\"host\": ");
    hx_text_json_string(&detail, hx_slice_make(h->name, h->name_len));
    hx_text_printf(&detail, ", \"count\": %u, \"usual\": %.6g, \"seconds\": %.6g", r->count, usual,
                   seconds);
    if (*kind) {
        hx_text_printf(&detail, ", \"log_key\": %u, \"template\": ", h->vote_key);
        hx_text_json_string(&detail, hx_slice_str(kind));
    }
    hx_text_str(&detail, "}");
    reporter->report(reporter, e, e->time_us,
                     &(hx_finding){.rule = "burst",
                                   .score = score,
                                   .limit = m->rule.burst_limit[level],
                                   .evidence = hx_evidence_of(&m->rule.burst[level], score),
                                   .subject = hx_slice_make(h->name, h->name_len),
                                   .detail = hx_slice_make(detail.ptr, detail.len),
                                   .reason = hx_slice_make(reason.ptr, reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
}

/* The time at which it is said to have begun to matter is a function of the host's history alone,
 * so that it is the same whoever notices, and whenever. */
void hx_rates_report_silence(const rates_model *m, rate_host *h, hx_reporter *reporter)
{
    const rate_history *r = &h->level[0];
    double limit = m->rule.silence_limit;
    double wait_us = limit / r->mean * (double)m->rule.interval_us;
    int64_t time_us = h->last_us + (int64_t)(wait_us < 9e15 ? wait_us : 9e15);
    hx_text reason = {0}, detail = {0};

    h->silent = true;
    if (!may_report(m, h, time_us))
        return;
    hx_text_printf(&reason,
                   "The host %.*s is silent: nothing for %.3g s, where %.3g lines are usual.",
                   (int)h->name_len, h->name, wait_us / 1e6, limit);
    hx_text_str(&detail, "{\"host\": ");
    hx_text_json_string(&detail, hx_slice_make(h->name, h->name_len));
    hx_text_str(&detail, ", \"last\": ");
    hx_text_json_time(&detail, h->last_us);
    hx_text_printf(&detail, ", \"seconds\": %.6g, \"usual\": %.6g}", wait_us / 1e6, limit);
    reporter->report(reporter, NULL, time_us,
                     &(hx_finding){.rule = "silence",
                                   .score = limit,
                                   .limit = limit,
                                   .evidence = hx_evidence_of(&m->rule.silence, limit),
                                   .subject = hx_slice_make(h->name, h->name_len),
                                   .detail = hx_slice_make(detail.ptr, detail.len),
                                   .reason = hx_slice_make(reason.ptr, reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
}
