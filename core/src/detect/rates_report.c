/* What is said of a host or a log key that bursts, that is silent, or whose hour is unlike others.
 */
#include "detect/rates.h"

#define SHOWN_MAX 200 /* bytes of a template that stand for its log key */

/* Who it is about. */
typedef struct rate_subject {
    hx_slice name;
    uint32_t key;          /* of a log key; else HX_KEY_UNSEEN */
    const rate_host *host; /* of a host; else NULL */
} rate_subject;

static rate_subject subject_of(const rates_model *m, const rates_state *s, hx_rate_group group,
                               const rate_watch *w)
{
    const rate_host *h = (const rate_host *)(const void *)w; /* its first member */
    rate_subject subject = {{0}, HX_KEY_UNSEEN, NULL};

    if (group == HX_RATE_HOSTS) {
        subject.host = h;
        subject.name = hx_slice_make(h->name, h->name_len);
    } else {
        subject.key = (uint32_t)(w - s->keys);
        subject.name = hx_slice_str(hx_matcher_text(m->bundle->matcher, subject.key));
        subject.name.len = subject.name.len < SHOWN_MAX ? subject.name.len : SHOWN_MAX;
    }
    return subject;
}

static void say_who(const rate_subject *who, hx_text *reason)
{
    if (who->host)
        hx_text_printf(reason, "The host %.*s", (int)who->name.len, who->name.ptr);
    else
        hx_text_printf(reason, "The log key %u, \"%.*s\",", who->key, (int)who->name.len,
                       who->name.ptr);
}

static void put_key(const rates_model *m, uint32_t key, hx_text *detail)
{
    hx_text_json_key(detail, "log_key");
    hx_text_printf(detail, "%u", key);
    hx_text_json_key(detail, "template");
    hx_text_json_string(detail, hx_slice_str(hx_matcher_text(m->bundle->matcher, key)));
}

static void put_who(const rates_model *m, const rate_subject *who, hx_text *detail)
{
    hx_text_str(detail, "{");
    if (who->host) {
        hx_text_json_key(detail, "host");
        hx_text_json_string(detail, who->name);
    } else {
        put_key(m, who->key, detail);
    }
}

/* Of one interval or hour there is one report: wait_us is its length. */
static bool may_report(const rates_model *m, rate_watch *w, int64_t time_us, int64_t wait_us)
{
    wait_us = wait_us > m->rule.repeat_us ? wait_us : m->rule.repeat_us;
    if (w->reported_us != HX_TIME_NONE && time_us - w->reported_us < wait_us)
        return false;
    w->reported_us = time_us;
    return true;
}

/* Frees the texts. */
static void report(const rate_subject *who, const char *rule, double score,
                   const hx_rate_limit *limit, const hx_event *e, int64_t time_us, hx_text *reason,
                   hx_text *detail, hx_reporter *reporter)
{
    hx_text_str(detail, "}");
    reporter->report(
        reporter, e, time_us,
        &(hx_finding){.rule = rule,
                      .score = score,
                      .limit = limit->nats,
                      .evidence = hx_evidence_of(&limit->evidence, score),
                      .subject = who->name,
                      .detail = hx_slice_make(detail->ptr, detail->failed ? 0 : detail->len),
                      .reason = hx_slice_make(reason->ptr, reason->failed ? 0 : reason->len)});
    hx_text_free(reason);
    hx_text_free(detail);
}

void hx_rates_report_burst(const rates_model *m, rates_state *s, hx_rate_group group, rate_watch *w,
                           uint32_t level, double usual, const hx_event *e, hx_reporter *reporter)
{
    const rate_subject who = subject_of(m, s, group, w);
    const uint32_t count = w->level[level].count;
    const double seconds = (double)hx_rates_length_us(m, level) / 1e6;
    const bool made_of = who.host && who.host->watch.vote_key < m->bundle->log_keys;
    hx_text reason = {0}, detail = {0};

    if (!may_report(m, w, e->time_us, hx_rates_length_us(m, level)))
        return;
    say_who(&who, &reason);
    hx_text_printf(&reason, " has %s %u %s within %.4g s; usual are %.3g",
                   who.host ? "said" : "come", count, who.host ? "lines" : "times", seconds, usual);
    if (made_of)
        hx_text_printf(&reason, "; most were \"%s\"",
                       hx_matcher_text(m->bundle->matcher, who.host->watch.vote_key));
    hx_text_str(&reason, ".");
    put_who(m, &who, &detail);
    hx_text_printf(&detail, ", \"count\": %u, \"usual\": %.6g, \"seconds\": %.6g", count, usual,
                   seconds);
    if (made_of)
        put_key(m, who.host->watch.vote_key, &detail);
    report(&who, "burst", hx_rate_excess(count, usual), &m->rule.limits[group].burst[level], e,
           e->time_us, &reason, &detail, reporter);
}

/* The time at which it is said to have begun to matter is a function of the history alone, so that
 * it is the same whoever notices, and whenever. */
void hx_rates_report_silence(const rates_model *m, const rates_state *s, hx_rate_group group,
                             rate_watch *w, hx_reporter *reporter)
{
    const rate_subject who = subject_of(m, s, group, w);
    const hx_rate_limit *limit = &m->rule.limits[group].silence;
    double wait_us = limit->nats / w->level[0].mean * (double)m->rule.interval_us;
    int64_t time_us =
        hx_rates_silent_since(s, w->last_us) + (int64_t)(wait_us < 9e15 ? wait_us : 9e15);
    hx_text reason = {0}, detail = {0};

    w->standing = RATE_SILENT;
    if (!may_report(m, w, time_us, 0))
        return;
    say_who(&who, &reason);
    hx_text_printf(&reason, " is silent: nothing for %.3g s, where %.3g lines are usual.",
                   wait_us / 1e6, limit->nats);
    put_who(m, &who, &detail);
    hx_text_json_key(&detail, "last");
    hx_text_json_time(&detail, w->last_us);
    hx_text_printf(&detail, ", \"seconds\": %.6g, \"usual\": %.6g", wait_us / 1e6, limit->nats);
    report(&who, "silence", limit->nats, limit, NULL, time_us, &reason, &detail, reporter);
}

/* "between 03:00 and 04:00 UTC", with the day where the week matters. */
static void say_hour(const rates_model *m, int64_t hour, hx_text *reason)
{
    static const char *const days[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
    const int of_day = (int)((hour % 24 + 24) % 24);
    const int64_t day = (hour - of_day) / 24;

    hx_text_printf(reason, " between %02d:00 and %02d:00 UTC", of_day, (of_day + 1) % 24);
    if (m->seasons.period > 24) /* 1970 began on a Thursday */
        hx_text_printf(reason, " on a %s", days[((day + 4) % 7 + 7) % 7]);
}

bool hx_rates_report_hour(const rates_model *m, const rates_state *s, hx_rate_group group,
                          rate_watch *w, const rate_hour_report *what, const hx_event *e,
                          hx_reporter *reporter)
{
    const rate_subject who = subject_of(m, s, group, w);
    hx_text reason = {0}, detail = {0};

    if (!may_report(m, w, what->time_us, 0))
        return false;
    say_who(&who, &reason);
    hx_text_printf(&reason, " has %s", who.host ? "said" : "come");
    if (e)
        hx_text_printf(&reason, " %u %s so far", hx_rate_hour_count(w),
                       who.host ? "lines" : "times");
    else
        hx_text_printf(&reason, " only %u %s", hx_rate_hour_count(w), who.host ? "lines" : "times");
    say_hour(m, what->hour, &reason);
    hx_text_printf(&reason, "; usual at that hour are %s %.3g.", e ? "at most" : "at least",
                   what->usual);
    put_who(m, &who, &detail);
    hx_text_printf(&detail, ", \"count\": %u, \"usual\": %.6g, \"seconds\": 3600",
                   hx_rate_hour_count(w), what->usual);
    hx_text_json_key(&detail, "hour");
    hx_text_json_time(&detail, what->hour * HX_RATE_HOUR_US);
    report(&who, what->rule, what->score, what->limit, e, what->time_us, &reason, &detail,
           reporter);
    return true;
}
